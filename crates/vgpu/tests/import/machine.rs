//! A machine with a Nix store and a directory of downloads.

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::process::Command;

use assert_cmd::assert::{Assert, OutputAssertExt};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vgpu::nix::sri::Sri;
use vgpu_driver::Role;
use vgpu_sample::{self as sample, GUEST_VERSION, HOST_VERSION, WINDOWS_VERSION};

use crate::nix_store::{NixStore, quoted};

pub const ARCHIVE: &str = "NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip";
pub const HOST_RUN: &str = "NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run";
pub const GUEST_RUN: &str = "NVIDIA-Linux-x86_64-550.163.01-grid.run";

/// A machine with a Nix store and a directory of downloads.
pub struct Machine {
    pub store: NixStore,
    pub downloads: TempDir,
}

impl Machine {
    pub fn new() -> Option<Machine> {
        Some(Machine { store: NixStore::new()?, downloads: tempfile::tempdir().unwrap() })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.downloads.path().join(name)
    }

    pub fn download(&self, name: &str, content: &[u8]) -> &Machine {
        fs::write(self.path(name), content).unwrap();
        self
    }

    /// A catalog in which the sample's release has these hashes, or none.
    pub fn catalog(&self, zip: Option<&[u8]>, guest: Option<&[u8]>) -> &Machine {
        let mut text = format!(
            "[[branch]]\nbranch = \"17\"\ndriver = 550\nlong_term = false\n[[release]]\nrelease = \"17.6\"\n\
             host = \"{HOST_VERSION}\"\nguest = \"{GUEST_VERSION}\"\nwindows = \"{WINDOWS_VERSION}\"\n"
        );
        for (key, content) in [("zip_sha256", zip), ("guest_sha256", guest)] {
            text += &content.map_or(String::new(), |content| format!("{key} = \"{}\"\n", sri(content)));
        }
        self.download("catalog.toml", text.as_bytes())
    }

    pub fn import(&self, args: &[&str]) -> Assert {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
        command.arg("import").args(args).current_dir(self.downloads.path());
        if self.path("catalog.toml").exists() {
            command.args(["--catalog", "catalog.toml"]);
        }
        self.store.prepare(&mut command).assert()
    }

    /// Imports, and evaluates the configuration that is printed. Here, mkVgpuDriver returns its arguments.
    pub fn configured(&self, args: &[&str]) -> Value {
        let assert = self.import(args).success();
        self.download("printed.nix", &assert.get_output().stdout);
        self.store.evaluate(&format!(
            "import (/. + {}) {{ lib.fakeHash = \"fake\"; config.boot.kernelPackages.nvidiaPackages.mkVgpuDriver = x: x; }}",
            quoted(&self.path("printed.nix"))
        ))["hardware"]["nvidia"]
            .take()
    }

    /// The other files beside the downloads: leftovers of the import, if there are some.
    pub fn listing(&self) -> Vec<String> {
        let entries = fs::read_dir(self.downloads.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn sri(content: &[u8]) -> String {
    Sri::of_digest(Sha256::digest(content).into()).to_string()
}

pub fn archive() -> Vec<u8> {
    sample::grid_archive().unwrap().1
}

pub fn run_file(role: Role) -> Vec<u8> {
    sample::run_file(role).unwrap().1
}

/// A .zip archive of these files.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(name.to_string(), options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}
