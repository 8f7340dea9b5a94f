//! `vgpu builder` as Nix runs it, without Nix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;
use vgpu_driver::Role;

/// What Nix leaves in the build directory for a guest driver, with `changes`.
fn attributes(dir: &Path, changes: Value) -> std::path::PathBuf {
    let at = |name: &str| dir.join(name).display().to_string();
    let (name, run) = vgpu_sample::run_file(Role::Guest).unwrap();
    fs::write(dir.join(&name), run).unwrap();
    let mut attributes = json!({
        "outputs": { "out": at("out"), "bin": at("bin"), "lib32": at("lib32"), "firmware": at("firmware"), "modsrc": at("modsrc") },
        "src": at(&name),
        "role": "guest",
        "libPath": ["/run/lib"],
        "libPath32": ["/run/lib32"],
        "interpreter": "/lib64/ld-linux-x86-64.so.2",
        "shell": "/run/shell",
        "tools": ["/run/tools"],
        "stdenv": "/nix/store/x-stdenv",
    });
    attributes.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let file = dir.join(".attrs.json");
    fs::write(&file, attributes.to_string()).unwrap();
    file
}

fn builder() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.arg("builder").env_clear();
    command
}

fn error(command: &mut Command) -> String {
    let output = command.assert().code(1).get_output().clone();
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn builds_into_the_outputs() {
    let dir = TempDir::new().unwrap();
    let file = attributes(dir.path(), json!({}));
    builder().env("NIX_ATTRS_JSON_FILE", file).assert().success().stdout("");
    for output in
        ["out/lib", "bin/bin/nvidia-smi", "lib32/lib", "firmware", "modsrc/kernel/nvidia", "modsrc/kernel-open/nvidia"]
    {
        assert!(dir.path().join(output).exists(), "{output}");
    }
    assert!(dir.path().join("out/share/egl/egl_external_platform.d").is_dir());
    assert!(dir.path().join("out/lib/libnvidia-egl-wayland.so.1").exists());
}

#[test]
fn leaves_egl_platforms_out_where_nixos_has_them() {
    let dir = TempDir::new().unwrap();
    let file = attributes(dir.path(), json!({ "eglPlatforms": false }));
    builder().env("NIX_ATTRS_JSON_FILE", file).assert().success();
    assert!(!dir.path().join("out/share/egl").exists());
    assert!(!dir.path().join("out/lib/libnvidia-egl-wayland.so.1").is_symlink(), "NixOS has the library, too");
}

#[test]
fn finds_the_attributes_by_their_place() {
    let dir = TempDir::new().unwrap();
    attributes(dir.path(), json!({}));
    builder().env("NIX_BUILD_TOP", dir.path()).assert().success();
    assert!(dir.path().join("out/lib").exists());
}

#[test]
fn unpacks_for_hooks_and_installs_what_they_left() {
    let dir = TempDir::new().unwrap();
    let file = attributes(dir.path(), json!({}));
    let tree = dir.path().join("tree");
    builder().arg("--unpack").arg(&tree).env("NIX_ATTRS_JSON_FILE", &file).assert().success().stdout("").stderr("");
    assert!(!dir.path().join("out").exists());
    for member in vgpu_sample::files(Role::Guest) {
        let path = tree.join(&member.name);
        assert_eq!(fs::read(&path).unwrap(), member.data, "{}", member.name);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, if member.mode & 0o111 == 0 { 0o644 } else { 0o755 }, "{}", member.name);
    }

    fs::write(tree.join("gridd.conf.template"), "changed").unwrap();
    builder().arg("--source").arg(&tree).env("NIX_ATTRS_JSON_FILE", file).assert().success();
    assert_eq!(fs::read_to_string(dir.path().join("out/gridd.conf.template")).unwrap(), "changed");
}

#[test]
fn says_what_is_wrong() {
    insta::assert_snapshot!(error(&mut builder()), @"
    error: NIX_ATTRS_JSON_FILE is not set
    help: Nix runs this program; to build a driver yourself, use `vgpu build`
    ");

    let dir = TempDir::new().unwrap();
    let shown = |command: &mut Command| error(command).replace(dir.path().to_str().unwrap(), "DIR");
    let missing = dir.path().join("missing.json");
    insta::assert_snapshot!(shown(builder().env("NIX_ATTRS_JSON_FILE", missing)), @"
    error: cannot read the attributes of the derivation from DIR/missing.json
    cause: No such file or directory (os error 2)
    help: Nix writes this file for derivations with __structuredAttrs = true
    ");

    let file = attributes(dir.path(), json!({ "role": "visitor" }));
    insta::with_settings!({ filters => vec![(r"column \d+", "column …")] }, {
        insta::assert_snapshot!(shown(builder().env("NIX_ATTRS_JSON_FILE", &file)), @"
        error: the attributes of the derivation in DIR/.attrs.json are not what a driver needs
        cause: unknown variant `visitor`, expected `host` or `guest` at line 1 column …
        help: a driver derivation has outputs {out, bin, firmware, modsrc}, src and role; see nix/packages/driver.nix
        ");
    });

    let file = attributes(dir.path(), json!({ "src": dir.path().join("gone.zip") }));
    insta::assert_snapshot!(shown(builder().env("NIX_ATTRS_JSON_FILE", file)), @"
    error: cannot build the guest driver from DIR/gone.zip
    cause: DIR/gone.zip cannot be opened
    cause: No such file or directory (os error 2)
    help: check the path, and that you may read it
    ");
}
