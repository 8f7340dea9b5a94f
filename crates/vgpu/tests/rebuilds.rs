//! Which changes build a driver again, and which do not. The test compares paths of derivations, in a copy of this
//! repository.

#[path = "nix_store/mod.rs"]
mod nix_store;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix_store::nixpkgs_lib;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A copy of what Nix reads of the repository.
struct Copy {
    directory: tempfile::TempDir,
    lib: PathBuf,
}

impl Copy {
    fn new() -> Option<Copy> {
        let lib = nixpkgs_lib()?;
        let directory = tempfile::tempdir().unwrap();
        for name in ["Cargo.toml", "Cargo.lock", "catalog", "crates", "default.nix", "docs", "nix"] {
            let from = Path::new(ROOT).join(name);
            assert!(Command::new("cp").arg("-r").arg(from).arg(directory.path()).status().unwrap().success());
        }
        Some(Copy { directory, lib })
    }

    /// The paths of the derivations, by name.
    fn derivations(&self) -> BTreeMap<String, String> {
        let expression = format!(
            r#"
            let
              evaluate = import {root}/nix/tests/eval.nix {{ lib = import {lib}; }};
              host = (evaluate {{ modules = [ ({{ config, ... }}: {{
                hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_17_3;
                hardware.nvidia.vgpu.patcher.enable = true;
                hardware.nvidia.vgpu.patcher.profileOverrides."333".heads = 2;
              }}) ]; }}).config;
              guest = (evaluate {{ guest = true; modules = [ {{
                hardware.nvidia.vgpu.release = "17.6";
                services.xserver.videoDrivers = [ "nvidia" ];
              }} ]; }}).config;
            in
            {{
              guest = guest.hardware.nvidia.package.drvPath;
              host = host.hardware.nvidia.package.drvPath;
              patched = host.hardware.nvidia.package.src.drvPath;
              profiles = builtins.unsafeDiscardStringContext "${{host.hardware.nvidia.vgpu.vgpuConfig}}";
              vgpu = host.hardware.nvidia.package.vgpu.program.drvPath;
            }}
            "#,
            root = self.directory.path().display(),
            lib = self.lib.display(),
        );
        let mut command = Command::new("nix-instantiate");
        let output = command.args(["--eval", "--strict", "--json", "-E", &expression]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The names of the derivations that differ after the change `change` of `file`.
    fn rebuilt(&self, file: &str, change: impl FnOnce(String) -> String) -> Vec<String> {
        let path = self.directory.path().join(file);
        let (before, text) = (self.derivations(), fs::read_to_string(&path).unwrap());
        let changed = change(text.clone());
        assert_ne!(changed, text, "nothing changed in {file}");
        fs::write(&path, changed).unwrap();
        let after = self.derivations();
        fs::write(&path, text).unwrap();
        before.into_iter().filter(|(name, path)| after[name] != *path).map(|(name, _)| name).collect()
    }
}

fn commented(text: String) -> String {
    text + "// A comment more.\n"
}

#[test]
fn only_what_a_derivation_runs_builds_it_again() {
    let Some(copy) = Copy::new() else { return };
    let none: [&str; 0] = [];
    let cases = [
        ("crates/vgpu/src/cli/mod.rs", &["vgpu"][..]),
        ("crates/vgpu/tests/cli.rs", &none),
        ("docs/host.md", &none),
        ("crates/sample/src/lib.rs", &["vgpu"]),
        ("crates/profiles/src/lib.rs", &["profiles", "vgpu"]),
        ("crates/patcher/src/main.rs", &["host", "patched", "profiles"]),
        ("crates/driver/src/lib.rs", &["guest", "host", "patched", "profiles", "vgpu"]),
        ("crates/base/src/lib.rs", &["guest", "host", "patched", "profiles", "vgpu"]),
    ];
    for (file, expected) in cases {
        assert_eq!(copy.rebuilt(file, commented), expected, "{file}");
    }
    // Another release is added to the catalog. The sample's release stays the same.
    let release = "\n[[release]]\nrelease = \"99.0\"\nhost = \"999.1\"\nguest = \"999.1\"\nwindows = \"999.2\"\n";
    assert_eq!(copy.rebuilt("catalog/releases.toml", |text| text + release), ["vgpu"]);
}

#[test]
fn a_dependency_of_the_command_line_alone_does_not_build_drivers_again() {
    let Some(copy) = Copy::new() else { return };
    let bump = |name: &'static str| {
        move |text: String| {
            let start = text.find(&format!("name = \"{name}\"\nversion = \"")).unwrap();
            let (before, after) = text.split_at(start);
            before.to_owned() + &after.replacen("checksum = \"", "checksum = \"0", 1)
        }
    };
    assert_eq!(copy.rebuilt("Cargo.lock", bump("clap")), ["vgpu"]);
    assert!(copy.rebuilt("Cargo.lock", bump("zstd")).contains(&"guest".to_owned()));
}

/// The packages in a Cargo.lock.
fn packages(lock: &str) -> BTreeSet<String> {
    lock.split("[[package]]").skip(1).map(|entry| entry.lines().skip(1).take(2).collect()).collect()
}

/// Builds have no network. So the part of Cargo.lock that a program is built with must have every package that cargo needs.
#[test]
fn cargo_needs_no_more_than_the_part_of_cargo_lock_that_a_program_needs() {
    let Some(copy) = Copy::new() else { return };
    for (program, crates) in [
        ("vgpu-builder", &["base", "driver"][..]),
        ("vgpu-patcher", &["base", "driver", "patcher"]),
        ("vgpu-profiles", &["base", "profiles"]),
        ("vgpu", &["base", "driver", "profiles", "sample", "vgpu"]),
    ] {
        let expression = format!(
            "let lib = import {}; in (import {ROOT}/nix/lib/tools.nix {{ inherit lib; pkgs = import {ROOT}/nix/tests/host-tools.nix {{ inherit lib; }}; }}).{program}.lock",
            copy.lib.display()
        );
        let mut command = Command::new("nix-instantiate");
        let output = command.args(["--eval", "--strict", "--json", "-E", &expression]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lock: String = serde_json::from_slice(&output.stdout).unwrap();
        let workspace = tempfile::tempdir().unwrap();
        fs::write(workspace.path().join("Cargo.lock"), &lock).unwrap();
        fs::copy(copy.directory.path().join("Cargo.toml"), workspace.path().join("Cargo.toml")).unwrap();
        fs::create_dir(workspace.path().join("crates")).unwrap();
        for name in crates {
            let from = copy.directory.path().join("crates").join(name);
            let status = Command::new("cp").arg("-r").arg(from).arg(workspace.path().join("crates")).status();
            assert!(status.unwrap().success());
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--quiet", "--offline", "--target", "x86_64-unknown-linux-gnu"]);
        let output = cargo.current_dir(workspace.path()).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        let needed = packages(&fs::read_to_string(workspace.path().join("Cargo.lock")).unwrap());
        assert!(needed.len() > 20 && needed.is_subset(&packages(&lock)), "{program}");
    }
}
