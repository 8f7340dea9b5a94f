//! What a test of `vgpu-patcher` needs: small stand-ins for NVIDIA's files, the stand-in patcher, a directory to work in.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

pub const HOST: &str = "550.90.05";
pub const GUEST: &str = "550.90.07";

/// The program `vgpu-patcher`.
pub fn patcher() -> PathBuf {
    crate::nix_store::programs().with_file_name("vgpu-patcher")
}

/// A directory with small stand-ins for NVIDIA's files, and with the stand-in patcher, which nobody may write to.
pub struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Self {
        let scene = Scene { dir: tempfile::tempdir().unwrap() };
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../nix/tests/patcher/source")), &scene.path("patcher"));
        let config = ("vgpuConfig.xml", "EXPLICIT_PATH /usr/share/nvidia/vgpu");
        let profiles = ("nvidia-application-profiles-550.90.07-rc", "APPLICATION_PROFILE /");
        scene.run_file("host.run", &format!("{HOST}-vgpu-kvm"), HOST, &[config, ("sriov-manage", "UTILITY_BINARY")]);
        scene.run_file("guest.run", &format!("{GUEST}-grid"), GUEST, &[("nvidia-gridd", "UTILITY_BINARY")]);
        scene.run_file("general.run", GUEST, GUEST, &[profiles]);
        fs::create_dir(scene.path("here")).unwrap();
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How the stand-in is to fail.
    pub fn mode(self, mode: &str) -> Self {
        fs::write(self.path("patcher/mode"), mode).unwrap();
        self
    }

    /// A self-extracting driver: `NVIDIA-Linux-x86_64-<package>.run` under any name.
    pub fn run_file(&self, file: &str, package: &str, version: &str, more: &[(&str, &str)]) {
        let mut manifest = format!("NVIDIA driver\n{version}\n\nnvidia\n\n\n./kernel/\n./kernel/precompiled/\n");
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |name: &str, content: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        };
        for (name, kind) in
            [("kernel/nvidia/nv.c", "KERNEL_MODULE_SRC"), ("kernel/nvidia/nvidia.Kbuild", "KERNEL_MODULE_SRC")]
        {
            manifest += &format!("{name} 0644 {kind} INHERIT_PATH_DEPTH:1 MODULE:resman\n");
        }
        for (name, kind) in more {
            if *kind == "UTILITY_BINARY" {
                manifest += &format!("nvidia-link 0000 UTILITY_BIN_SYMLINK {name} MODULE:vgpu\n");
            }
            manifest += &format!("{name} 0755 {kind} MODULE:vgpu\n");
            add(name, "#!/bin/sh\n");
        }
        add("kernel/nvidia/nv.c", "int nv;\n");
        add("kernel/nvidia/nvidia.Kbuild", "NVIDIA_SOURCES += nvidia/nv.c\n");
        add(".manifest", &manifest);
        let stub = format!(
            "#! /bin/sh\nCRCsum=1\nMD5={:032}\nskip=9\nversion_string={version}\ntargetdir=NVIDIA-Linux-x86_64-{package}\n\
             [ \"$1 $2\" = '--extract-only --target' ] && mkdir \"$3\" && tail -n +$skip \"$0\" | tar -x -C \"$3\" -f -\nexit\n",
            0
        );
        fs::write(self.path(file), [stub.into_bytes(), tar.into_inner().unwrap()].concat()).unwrap();
    }

    /// A GRID archive of the host's and the guest's driver.
    pub fn archive(&self) -> PathBuf {
        let mut zip = zip::ZipWriter::new(File::create(self.path("grid.zip")).unwrap());
        let mut add = |name: &str, content: &[u8]| {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, content).unwrap();
        };
        add("Host_Drivers/NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run", &fs::read(self.path("host.run")).unwrap());
        add("Guest_Drivers/NVIDIA-Linux-x86_64-550.90.07-grid.run", &fs::read(self.path("guest.run")).unwrap());
        add("Guest_Drivers/552.74_grid_win10_win11_server2022_dch_64bit_international.exe", b"MZ, a Windows installer");
        zip.finish().unwrap();
        self.path("grid.zip")
    }

    /// `vgpu-patcher` in the directory `here`.
    pub fn command(&self, sources: &[&str]) -> Command {
        let mut command = Command::new(patcher());
        command.current_dir(self.path("here")).args(["--patcher", "../patcher"]);
        for source in sources {
            command.arg("--source").arg(self.path(source));
        }
        command
    }

    /// Patches into `here/out`, for tests of failures. Returns the error, and checks that nothing is left.
    pub fn refused(&self, sources: &[&str], expect: &str, arguments: &[&str]) -> String {
        let output =
            self.command(sources).args(["--out", "out", "--expect", expect, "--"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(self.entries("here"), [""; 0], "something is left");
        self.error(&output)
    }

    /// The error in what a command printed, without the script's own lines before it.
    pub fn error(&self, output: &Output) -> String {
        let text = String::from_utf8_lossy(&output.stderr);
        let error = &text[text.find("error: ").unwrap_or_else(|| panic!("no error in {text}"))..];
        // The working directory has another name each time.
        let words = error.split_inclusive([' ', '\n']).map(|word| match word.find(".vgpu-patch-") {
            Some(_) => word.rsplit_once('/').map_or(word, |(_, name)| name),
            None => word,
        });
        words.collect::<String>().replace(&self.dir.path().display().to_string(), "DIR")
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub fn entries(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Copies a directory and takes away the right to write to the copy's files, as the Nix store does.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let copied = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &copied);
        } else {
            fs::copy(entry.path(), &copied).unwrap();
            fs::set_permissions(&copied, PermissionsExt::from_mode(0o555)).unwrap();
        }
    }
}
