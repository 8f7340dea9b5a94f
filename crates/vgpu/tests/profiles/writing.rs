//! Files that `vgpu profiles apply` writes: permissions, links, and what it refuses to replace.

use crate::scene::*;
use insta::assert_snapshot;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

#[test]
fn apply_writes_a_new_file_that_everybody_may_read() {
    let place = Place::new();
    fs::write(place.path("changes.json"), r#"{"overrides": {"43": {"heads": 1}}}"#).unwrap();
    let args = ["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", "new.xml"];
    place.profiles(&args).assert().success().stdout("").stderr("");
    assert_eq!(place.read("new.xml"), applied(SAMPLE, r#"{"overrides": {"43": {"heads": 1}}}"#));
    assert_eq!(place.read("vgpuConfig.xml"), SAMPLE);
    assert_eq!(mode(&place.path("new.xml")), 0o644);
    assert_eq!(names(&place), ["changes.json", "new.xml", "vgpuConfig.xml"]);
}

#[test]
fn apply_in_place_keeps_permissions_and_follows_links() {
    let place = Place::new();
    fs::rename(place.path("vgpuConfig.xml"), place.path("real.xml")).unwrap();
    symlink("real.xml", place.path("vgpuConfig.xml")).unwrap();
    fs::set_permissions(place.path("real.xml"), fs::Permissions::from_mode(0o640)).unwrap();
    place.applies(r#"{"overrides": {"43": {"heads": 1}}}"#);
    assert!(place.path("vgpuConfig.xml").is_symlink());
    assert_ne!(place.read("real.xml"), SAMPLE);
    assert_eq!(mode(&place.path("real.xml")), 0o640);
}

#[test]
fn apply_refuses_what_it_cannot_replace() {
    let place = Place::new();
    fs::write(place.path("changes.json"), "{}").unwrap();
    let out = |out: &str| {
        failure(&place, &["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", out])
    };
    assert_snapshot!(out("."), @"
    note: nothing to change: vgpuConfig.xml has all of it
    error: cannot apply changes.json to vgpuConfig.xml
    cause: . is not a regular file
    help: name a file to write to; `--diff` alone shows the changes and writes nothing
    ");
    assert_snapshot!(out("/dev/null"), @"
    note: nothing to change: vgpuConfig.xml has all of it
    error: cannot apply changes.json to vgpuConfig.xml
    cause: /dev/null is not a regular file
    help: name a file to write to; `--diff` alone shows the changes and writes nothing
    ");
    // The cause names a temporary file.
    assert!(out("nowhere/new.xml").contains("cause: cannot write nowhere/new.xml\ncause: No such file or directory"));
    assert_eq!(names(&place), ["changes.json", "vgpuConfig.xml"]);
}

#[test]
fn a_diff_without_out_writes_nothing() {
    let place = Place::new();
    fs::write(place.path("changes.json"), r#"{"overrides": {"43": {"heads": 1}}}"#).unwrap();
    assert_snapshot!(place.prints(&["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--diff"]), @r#"
    --- vgpuConfig.xml
    +++ vgpuConfig.xml
    @@ -8,7 +8,7 @@
         <profileSize>0x100000000</profileSize>
         <framebuffer>0xEC000000</framebuffer>
         <fbReservation>0x14000000</fbReservation>
    -    <numHeads>4</numHeads>
    +    <numHeads>1</numHeads>
         <display width="5120" height="2880"/>
         <maxPixels>36864000</maxPixels>
         <frlConfig>0x3C</frlConfig>
    "#);
    assert_eq!(place.read("vgpuConfig.xml"), SAMPLE);
    place.profiles(&["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml"]).assert().code(2);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.0.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
