//! The Nix packages of the patchers. nix-build really builds them, in a store that the test makes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::nix_store::{NixStore, nixpkgs_lib, programs, quoted};
use crate::scene::Scene;

const GOOD: &str = include_str!("../certificates/good.pem");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A Nix store of its own, beside the files of a [`Scene`].
pub struct Store {
    store: NixStore,
    pub scene: Scene,
    /// Where nixpkgs' library is.
    lib: String,
}

impl Store {
    /// On a machine without Nix or nixpkgs' library, it says so and returns nothing.
    pub fn new() -> Option<Self> {
        let store = NixStore::new()?;
        let lib = nixpkgs_lib()?.display().to_string();
        let scene = Scene::new();
        scene.archive();
        fs::write(scene.path("windows.exe"), "MZ, a Windows installer").unwrap();
        // Other users run what is built here.
        for directory in [&scene.path(""), &scene.path("here"), store.path().parent().unwrap()] {
            fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Some(Store { store, scene, lib })
    }

    fn nix(&self, program: &str, arguments: &[&str], expression: &str) -> Output {
        let drivers = self.scene.path("patcher");
        let expression = format!(
            "with import {ROOT}/nix/tests/patcher {{ lib = import {}; vgpu = {}; drivers = {}; source = {}; }}; {expression}",
            self.lib,
            quoted(&programs()),
            drivers.parent().unwrap().display(),
            drivers.display(),
        );
        let mut command = Command::new(program);
        for (option, value) in [("sandbox", "false"), ("substitute", "false"), ("build-users-group", "")] {
            command.args(["--option", option, value]);
        }
        command.args(arguments).args(["-E", &expression]).current_dir(self.scene.path("here"));
        self.store.prepare(&mut command).output().unwrap()
    }

    /// Builds what an expression over nix/tests/patcher describes.
    pub fn build(&self, expression: &str) -> PathBuf {
        let output = self.nix("nix-build", &[], expression);
        assert!(output.status.success(), "{expression}: {}", String::from_utf8_lossy(&output.stderr));
        let _ = fs::remove_file(self.scene.path("here/result"));
        String::from_utf8(output.stdout).unwrap().trim().into()
    }

    /// The log of a build that must fail.
    fn broken(&self, expression: &str) -> String {
        let output = self.nix("nix-build", &[], expression);
        assert!(!output.status.success(), "{expression} was built");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The value of an expression, as Nix prints it.
    pub fn evaluate(&self, expression: &str) -> String {
        let output = self.nix("nix-instantiate", &["--eval"], expression);
        assert!(output.status.success(), "{expression}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The error of an expression that must not evaluate.
    fn thrown(&self, expression: &str) -> String {
        let output = self.nix("nix-instantiate", &["--eval"], expression);
        assert!(!output.status.success(), "{expression} evaluates");
        String::from_utf8(output.stderr).unwrap()
    }
}

pub fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

#[test]
fn patched_drivers_are_built_from_archives_and_run_files() {
    let Some(store) = Store::new() else { return };
    let flags = r#"[ "--enable-nvidia-gpl-for-experimenting" "--remap-p2v" "--no-klogtrace" ]"#;
    for (file, role, target, version, member) in [
        ("grid.zip", "host", "vgpu-kvm", "550.90.05", "sriov-manage"),
        ("host.run", "host", "general-merge", "550.90.07", "nvidia-application-profiles-550.90.07-rc"),
        ("grid.zip", "guest", "grid", "550.90.07", "nvidia-gridd"),
    ] {
        let tree = store.build(&format!(
            r#"patched {{ file = "{file}"; role = "{role}"; target = "{target}"; extraFlags = {flags}; }}"#
        ));
        assert!(tree.to_str().unwrap().ends_with(&format!("nvidia-vgpu-{role}-patched-{version}")));
        assert_eq!(
            read(tree.join("command-line")),
            format!("--enable-nvidia-gpl-for-experimenting --remap-p2v --no-klogtrace {target}\n")
        );
        assert!(read(tree.join(".manifest")).contains(&format!("\n{version}\n")));
        for file in [member, "kernel/unlock/hooks.c"] {
            assert!(tree.join(file).is_file(), "{target} lacks {file}");
        }
    }
}

#[test]
fn failures_of_the_script_fail_the_build() {
    let Some(store) = Store::new() else { return };
    let driver = r#"patched { file = "host.run"; role = "host"; target = "vgpu-kvm"; }"#;
    for (mode, message) in [
        ("die", "  blobpatch failed: expected 0F got 10 instead"),
        ("no-tree", "cause: patch.sh left no patched driver"),
        ("missing-file", "lacks 1 of the files its .manifest names: kernel/nvidia/nv.c"),
        ("other-version", "cause: the patched driver is version 1.2.3, not 550.90.05"),
    ] {
        fs::write(store.scene.path("patcher/mode"), mode).unwrap();
        let log = store.broken(driver);
        assert!(log.contains(message), "{mode}: {log}");
    }
    fs::remove_file(store.scene.path("patcher/mode")).unwrap();
    fs::remove_file(store.scene.path("patcher/unlock/hooks.c")).unwrap();
    assert!(store.broken(driver).contains("came without its git submodule unlock"));
}

#[test]
fn a_patcher_is_described_as_the_readme_says_and_can_be_overridden() {
    let Some(store) = Store::new() else { return };
    let described = |change: &str| format!("(mkVgpuPatcher ({change}) {{ }}).version");
    let seen = store.thrown(&described(r#"removeAttrs attributes [ "rev" ] // { generalVerison = ""; }"#));
    assert!(seen.contains("`rev` missing; `generalVerison` not known"), "{seen}");
    let seen = store.thrown(&described(r#"removeAttrs attributes [ "gridVersion" ]"#));
    assert!(seen.contains("`gridVersion` missing"), "{seen}");
    let elsewhere = r#"removeAttrs attributes [ "gridVersion" ] // { vgpuUrl = "https://example.org"; }"#;
    assert_eq!(store.evaluate(&described(elsewhere)), "\"550.90\"");
    let changed = store
        .build(r#"(patcher.override { version = "mine"; }).overrideAttrs (_: { buildCommand = "cp -r $src $out"; })"#);
    assert!(changed.to_str().unwrap().ends_with("vgpu-unlock-patcher-mine"));
    assert!(changed.join("patch.sh").is_file());
}

#[test]
fn nvidia_vup_works_in_any_directory_for_a_user_without_rights() {
    let Some(store) = Store::new() else { return };
    let here = store.scene.path("here");
    let as_user = |program: PathBuf, arguments: &[&str]| {
        let root = rustix::process::getuid().is_root();
        let mut command = Command::new(if root { "setpriv".into() } else { program.clone() });
        if root {
            std::os::unix::fs::chown(&here, Some(65534), Some(65534)).unwrap();
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
        }
        command.args(arguments).current_dir(&here).env("HOME", "/nonexistent").output().unwrap()
    };
    for (file, targets) in [
        // The archive contains the drivers of guests. With a .run file, they are downloaded.
        ("grid.zip", ["general-merge", "grid", "vgpu-kvm"]),
        ("host.run", ["general", "grid", "vgpu-kvm"]),
    ] {
        let command = store.build(&format!("command {file:?}")).join("bin/nvidia-vup");
        for target in targets {
            let output = as_user(command.clone(), &["--no-klogtrace", target]);
            assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
            let tree = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
            assert_eq!(read(tree.join("command-line")), format!("--no-klogtrace {target}\n"));
            assert_eq!(tree.parent(), Some(here.as_path()));
            let owner = |path: &Path| fs::metadata(path).unwrap().uid();
            assert_eq!(owner(&tree), owner(&here), "made by the user");
            fs::remove_dir_all(tree).unwrap();
        }
        let output = as_user(command.clone(), &["--create-cert", "wsys"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(store.scene.entries("here"), ["NVIDIA-Windows-x86_64-552.74-patched", "wtestsign"]);
        fs::remove_dir_all(here.join("wtestsign")).unwrap();
        fs::remove_dir_all(here.join("NVIDIA-Windows-x86_64-552.74-patched")).unwrap();
    }
}

#[test]
fn nvidia_gridd_gets_a_good_certificate_and_no_other() {
    let Some(store) = Store::new() else { return };
    let gridd = |certificate: &str, tool: &str| format!("gridd {{ certificate = {certificate}; tool = \"{tool}\"; }}");
    let insert = r#"cat \"$4\" >> \"$2\""#;
    let file = store.scene.path("root.pem");
    let path = file.display();
    fs::write(&file, GOOD).unwrap();
    // A path, a string outside the store, and one inside.
    for certificate in [format!("{path}"), format!("\"{path}\""), format!("\"${{{path}}}\"")] {
        let built = store.build(&gridd(&certificate, insert));
        assert!(read(built.join("bin/nvidia-gridd")).ends_with(GOOD));
        assert_eq!(fs::metadata(built.join("bin/nvidia-gridd")).unwrap().permissions().mode() & 0o111, 0o111);
    }
    let log = store.broken(&gridd(&format!("{path}"), "true"));
    assert!(log.contains("error: gridd-unlock-patcher changed nothing in nvidia-gridd 570.124.03"), "{log}");
    fs::write(&file, format!("{GOOD}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")).unwrap();
    assert!(
        store.broken(&gridd(&format!("{path}"), insert)).contains("root-certificate.pem holds a key (PRIVATE KEY)")
    );
    fs::write(&file, "<html></html>").unwrap();
    assert!(
        store.broken(&gridd(&format!("{path}"), insert)).contains("holds a web page in place of a PEM certificate")
    );
    fs::remove_file(&file).unwrap();
    assert!(store.broken(&gridd(&format!("{path}"), insert)).contains("root.pem"));
}

#[test]
fn gridd_unlock_patcher_is_built_without_a_network() {
    let Some(store) = Store::new() else { return };
    let prepared = read(store.build("griddSource"));
    assert!(!prepared.contains("CPM"), "{prepared}");
    assert!(prepared.contains("LIEF_SRC_ADDED") && prepared.contains("include(ExternalProject)"), "{prepared}");
    assert!(store.evaluate("toString griddSource.cmakeFlags").contains("-DLIEF_SRC_SOURCE_DIR=/source-of-lief"));
}
