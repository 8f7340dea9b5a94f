//! Nix for a test: a real store in a temporary directory. On machines without Nix, the test says so.

#![allow(dead_code)] // Each test uses a part of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

#[path = "../support/skip.rs"]
mod skip;

pub use skip::skip;

/// If this environment variable is set, tests of Nix must not be skipped.
pub const REQUIRED: &str = "VGPU_REQUIRE_NIX";

/// A store with nothing in it.
pub struct NixStore {
    directory: TempDir,
}

impl NixStore {
    /// A new store. On a machine without Nix it says so and returns `None`. With VGPU_REQUIRE_NIX, that is a failure.
    pub fn new() -> Option<NixStore> {
        if Command::new("nix-store").arg("--version").output().is_err() {
            skip("nix-store is not on PATH", REQUIRED);
            return None;
        }
        let directory = tempfile::Builder::new().prefix("vgpu-store-").tempdir().unwrap();
        std::fs::create_dir(directory.path().join("conf")).unwrap();
        // Builds run as the user who runs the tests, with the tools of this machine. Nothing comes from the network.
        std::fs::write(
            directory.path().join("conf/nix.conf"),
            "sandbox = false\nbuild-users-group =\nsubstituters =\n",
        )
        .unwrap();
        Some(NixStore { directory })
    }

    /// Where the store's own files lie.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Sets a command up to use this store and no other.
    pub fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let within = |name: &str| self.directory.path().join(name);
        command
            .env("NIX_STORE_DIR", self.path())
            .env("NIX_STATE_DIR", within("state"))
            .env("NIX_LOG_DIR", within("log"))
            .env("NIX_CONF_DIR", within("conf"))
            .env("HOME", self.directory.path())
            .env_remove("NIX_REMOTE")
            .env_remove("NIX_PATH")
    }

    /// `nix-store --add-fixed`, as the messages tell users to.
    pub fn add(&self, file: &Path) {
        let output =
            self.prepare(Command::new("nix-store").args(["--add-fixed", "sha256"]).arg(file)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What is in the store, by name without the hash.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).into_iter().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().split_once('-').map(|(_, n)| n.to_owned())
            })
            .collect();
        names.sort();
        names
    }

    /// Evaluates Nix, strictly, to JSON.
    pub fn evaluate(&self, expression: &str) -> serde_json::Value {
        let mut command = Command::new("nix-instantiate");
        let output = self.prepare(command.args(["--eval", "--strict", "--json", "-E", expression])).output().unwrap();
        assert!(output.status.success(), "{}\n{}", expression, String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Builds what the expression evaluates to, and returns the paths of its outputs.
    pub fn build(&self, expression: &str) -> Vec<PathBuf> {
        let mut command = Command::new("nix-build");
        let output = self.prepare(command.args(["--no-out-link", "-E", expression])).output().unwrap();
        assert!(output.status.success(), "{expression}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect()
    }
}

/// Where nixpkgs' library is, from NIX_PATH or nix.conf. If there is none, it says so and returns `None`.
pub fn nixpkgs_lib() -> Option<PathBuf> {
    let output = Command::new("nix-instantiate").args(["--find-file", "nixpkgs/lib"]).output();
    if let Some(output) = output.ok().filter(|output| output.status.success()) {
        return Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()));
    }
    skip("<nixpkgs/lib> was not found in NIX_PATH or nix.conf", REQUIRED);
    None
}

/// The program `vgpu`, with the programs of our derivations built beside it.
///
/// For a test, Cargo builds only the programs of the test's own package.
pub fn programs() -> PathBuf {
    let vgpu = PathBuf::from(assert_cmd::cargo::cargo_bin!("vgpu"));
    let profile = vgpu.parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--bins", "--target-dir"]).arg(profile.parent().unwrap());
    for package in ["vgpu-driver", "vgpu-patcher", "vgpu-profiles"] {
        cargo.args(["--package", package]);
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "{cargo:?}");
    vgpu
}

/// A path as Nix writes a string.
pub fn quoted(path: &Path) -> String {
    vgpu::nix::expression::quoted(path.to_str().unwrap())
}
