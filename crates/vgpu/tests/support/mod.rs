//! Shared code for tests of drivers: a sandbox to work in, sample packages, and trees to compare.
#![allow(dead_code)] // Each test program uses its part.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;
use vgpu_driver::Role;
use vgpu_sample::{self as sample, Compression, File};

/// A temporary directory, removed at the end.
pub struct Sandbox(TempDir);

impl Sandbox {
    pub fn new() -> Sandbox {
        Sandbox(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The names in the sandbox, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `vgpu` with arguments, in the sandbox.
    pub fn vgpu(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("vgpu").unwrap();
        command.current_dir(self.0.path()).args(args);
        command
    }
}

/// A .run file with these files for a role. All check sums are right.
pub fn run_file(role: Role, files: &[File]) -> Vec<u8> {
    run_file_of(role, &sample::tar(files).unwrap())
}

/// A .run file around a tar stream.
pub fn run_file_of(role: Role, tar: &[u8]) -> Vec<u8> {
    packed(role, tar, Compression::Zstd, b"")
}

/// A .run file around a tar stream, with this compression and this embedded decompressor.
pub fn packed(role: Role, tar: &[u8], compression: Compression, decompressor: &[u8]) -> Vec<u8> {
    let payload = sample::compress(tar, compression).unwrap();
    sample::makeself(&sample::target(role), sample::version(role), &payload, decompressor)
}

/// Writes the sample guest driver, unpacked, into `unpacked`.
pub fn unpacked(sandbox: &Sandbox) {
    for File { name, data, .. } in sample::files(Role::Guest) {
        sandbox.write(&format!("unpacked/{name}"), data);
    }
}

/// Bytes that cannot be compressed, the same in every run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The content of a tree: path → mode and content, or the target of a symlink.
pub fn tree(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            let mode = meta.permissions().mode();
            if meta.is_dir() {
                found.insert(name, (mode, vec![]));
                open.push(path);
            } else if meta.is_symlink() {
                found.insert(name, (mode, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
            } else {
                found.insert(name, (mode, fs::read(&path).unwrap()));
            }
        }
    }
    found
}
