//! `vgpu-builder` as Nix runs it, without Nix.

mod nix_store;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use assert_cmd::Command;
use serde_json::{Value, json};
use support::{run_file, run_file_of, tree};
use tempfile::TempDir;
use vgpu_driver::Role;
use vgpu_sample as sample;

const OUTPUTS: [&str; 5] = ["out", "bin", "lib32", "firmware", "modsrc"];

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

/// The program that our derivations run.
static BUILDER: LazyLock<PathBuf> = LazyLock::new(|| nix_store::programs().with_file_name("vgpu-builder"));

fn builder() -> Command {
    let mut command = Command::new(&*BUILDER);
    command.env_clear();
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

/// Derivations that name `vgpu` as their builder get the same.
#[test]
fn vgpu_builder_is_the_same() {
    let dir = TempDir::new().unwrap();
    let file = attributes(dir.path(), json!({}));
    builder().env("NIX_ATTRS_JSON_FILE", &file).assert().success();
    let expected = tree(dir.path());
    for output in OUTPUTS {
        fs::remove_dir_all(dir.path().join(output)).unwrap();
    }
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.arg("builder").env_clear().env("NIX_ATTRS_JSON_FILE", file).assert().success().stdout("");
    assert!(expected.len() > 20 && tree(dir.path()) == expected);
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

/// The sample driver with another member before all others.
fn with_member(name: &[u8], kind: tar::EntryType, target: Option<&str>) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(0);
    target.iter().for_each(|target| header.set_link_name_literal(target).unwrap());
    header.set_cksum();
    let files = sample::tar(&sample::files(Role::Guest)).unwrap();
    run_file_of(Role::Guest, &[header.as_bytes().as_slice(), &files].concat())
}

/// The sample driver with another line in its manifest.
fn with_line(line: &str) -> Vec<u8> {
    let mut files = sample::files(Role::Guest);
    files[0].data.extend(format!("{line}\n").bytes());
    run_file(Role::Guest, &files)
}

/// What derivations have: outputs that Nix drops after an error, and their own source. All else stays as it was.
fn stays_within(dir: &Path, file: &Path, args: &[&str], expected: &str) {
    let beside = || {
        let mut all = tree(dir);
        all.retain(|name, _| !OUTPUTS.iter().any(|output| name == output || name.starts_with(&format!("{output}/"))));
        all
    };
    let before = beside();
    let message = error(builder().args(args).current_dir(dir).env("NIX_ATTRS_JSON_FILE", file));
    assert!(message.contains(expected), "expected {expected:?} in:\n{message}");
    assert!(message.starts_with("error: cannot ") && message.contains("\nhelp: "), "{message}");
    assert!(beside() == before, "{args:?}: {:?} after\n{message}", beside().keys());
    for (name, (mode, target)) in tree(dir).into_iter().filter(|(name, _)| !before.contains_key(name)) {
        let target = String::from_utf8_lossy(&target);
        assert!(mode & 0o170_000 != 0o120_000 || !target.contains("outside"), "{name} leads to {target}");
    }
    OUTPUTS.iter().for_each(|output| drop(fs::remove_dir_all(dir.join(output))));
}

/// With hooks, the archive is unpacked first.
#[test]
fn an_archive_that_leads_out_writes_nothing_there() {
    use tar::EntryType::{Fifo, Regular, Symlink};
    let dir = TempDir::new().unwrap();
    let place = dir.path().join("top/build");
    fs::create_dir_all(&place).unwrap();
    fs::write(dir.path().join("top/outside"), "mine").unwrap();
    let outside = dir.path().join("top/outside").display().to_string();
    let file = attributes(&place, json!({}));
    let run = place.join(vgpu_sample::run_file(Role::Guest).unwrap().0);
    let untouched = tree(&dir.path().join("top"));
    for (content, expected) in [
        (with_member(b"../outside", Regular, None), "leads out of the package with `..`"),
        (with_member(b"a/../../../outside", Regular, None), "leads out of the package with `..`"),
        (with_member(&outside.as_bytes()[..outside.len().min(100)], Regular, None), "has an absolute path"),
        (with_member(b"l", Symlink, Some("../outside")), "is a symbolic link that leads out"),
        (with_member(b"kernel", Symlink, Some("firmware")), "lies below a symbolic link"),
        (with_member(b"pipe", Fifo, None), "is a device"),
    ] {
        fs::write(&run, content).unwrap();
        stays_within(&place, &file, &[], expected);
        stays_within(&place, &file, &["--unpack", "driver"], expected);
    }
    // A file that is damaged at its end is unpacked by then.
    let (_, mut damaged) = vgpu_sample::run_file(Role::Guest).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&run, damaged).unwrap();
    stays_within(&place, &file, &["--unpack", "driver"], "is damaged or incomplete");
    for (line, expected) in [
        ("evil 0000 CUDA_SYMLINK NATIVE ../../../../outside libcuda.so.1", "leads out of the package with `..`"),
        ("evil 0000 VGX_LIB_SYMLINK ../../../outside", "which leads out of the output out"),
        ("../../outside 0644 OPENGL_DATA /", "leads out of the package with `..`"),
    ] {
        fs::write(&run, with_line(line)).unwrap();
        stays_within(&place, &file, &[], expected);
        // Only what is installed has links of the manifest.
        builder().args(["--unpack", "driver"]).current_dir(&place).env("NIX_ATTRS_JSON_FILE", &file).assert().success();
        stays_within(&place, &file, &["--source", "driver"], expected);
        // Nothing is unpacked over something else.
        stays_within(&place, &file, &["--unpack", "driver"], "driver exists already");
        fs::remove_dir_all(place.join("driver")).unwrap();
    }
    // What hooks leave is no archive, but is not followed out of it either.
    fs::write(&run, vgpu_sample::run_file(Role::Guest).unwrap().1).unwrap();
    builder().args(["--unpack", "driver"]).current_dir(&place).env("NIX_ATTRS_JSON_FILE", &file).assert().success();
    fs::remove_file(place.join("driver/nvidia-smi")).unwrap();
    std::os::unix::fs::symlink("../../outside", place.join("driver/nvidia-smi")).unwrap();
    stays_within(&place, &file, &["--source", "driver"], "which is a symbolic link");
    fs::remove_dir_all(place.join("driver")).unwrap();
    assert!(tree(&dir.path().join("top")) == untouched);
}
