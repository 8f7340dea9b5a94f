//! Files that `vgpu profiles apply` writes: permissions, links, and what it refuses to replace.

use crate::scene::*;
use insta::assert_snapshot;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
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

/// The owner, the mode and every link stay, wherever the links lead.
#[test]
fn apply_keeps_the_owner() {
    let place = Place::new();
    fs::create_dir(place.path("etc")).unwrap();
    symlink("../vgpuConfig.xml", place.path("etc/link.xml")).unwrap();
    symlink(place.path("etc/link.xml"), place.path("last.xml")).unwrap();
    fs::write(place.path("changes.json"), r#"{"overrides": {"43": {"heads": 1}}}"#).unwrap();
    let real = place.path("vgpuConfig.xml");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o606)).unwrap();
    let owner = if rustix::process::geteuid().is_root() { (61_234, 61_235) } else { owner(&real) };
    std::os::unix::fs::chown(&real, Some(owner.0), Some(owner.1)).unwrap();
    place
        .profiles(&["apply", "--changes", "changes.json", "--config", "last.xml", "--out", "last.xml"])
        .assert()
        .success();
    assert_eq!(place.read("vgpuConfig.xml"), applied(SAMPLE, r#"{"overrides": {"43": {"heads": 1}}}"#));
    assert_eq!((self::owner(&real), mode(&real)), (owner, 0o606));
    assert!(place.path("last.xml").is_symlink() && place.path("etc/link.xml").is_symlink());
    assert_eq!(names(&place), ["changes.json", "etc", "last.xml", "vgpuConfig.xml"]);
    assert_eq!(fs::read_dir(place.path("etc")).unwrap().count(), 1);
    // A link to nothing does not tell where to write.
    symlink("nowhere.xml", place.path("dangling.xml")).unwrap();
    let args = ["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", "dangling.xml"];
    assert!(failure(&place, &args).contains("cause: cannot write dangling.xml"));
    assert!(!place.path("nowhere.xml").exists());
}

/// Each of many changes at once is there at the end, by whatever name the file was called.
#[test]
fn changes_at_once_lose_nothing() {
    let place = Place::new();
    symlink("vgpuConfig.xml", place.path("link.xml")).unwrap();
    let elements: Vec<String> = (0..16).map(|number| format!("at_once_{number}")).collect();
    let children: Vec<_> = elements
        .iter()
        .enumerate()
        .map(|(number, element)| {
            let changes = format!("{element}.json");
            fs::write(
                place.path(&changes),
                format!(r#"{{"overrides": {{"43": {{"xmlConfig": {{"{element}": "1"}}}}}}}}"#),
            )
            .unwrap();
            let file = if number % 2 == 0 { "vgpuConfig.xml" } else { "link.xml" };
            let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
            command.current_dir(place.0.path()).args(["profiles", "apply", "--changes", &changes]);
            command.args(["--config", file, "--out", file]).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let text = place.read("vgpuConfig.xml");
    for element in elements {
        assert!(text.contains(&format!("<{element}>1</{element}>")), "{element} is lost");
    }
    assert!(place.path("link.xml").is_symlink());
}

/// A shell in the place, with the program as $1. Returns what it says.
fn shell(place: &Place, script: &str) -> String {
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(assert_cmd::cargo::cargo_bin!("vgpu"));
    let output = command.current_dir(place.0.path()).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn a_full_disk_is_called_so_and_the_old_file_stays() {
    let place = Place::new();
    fs::write(place.path("changes.json"), r#"{"overrides": {"43": {"heads": 1}}}"#).unwrap();
    let expected = |cause: &str| {
        format!(
            "error: cannot apply changes.json to v/a.xml\ncause: cannot write v/a.xml\n\
        cause: {cause}\nhelp: make room there; the old file is unchanged\n"
        )
    };
    let apply = "\"$1\" profiles apply --changes changes.json --config v/a.xml --out v/a.xml";
    // A limit for the size of files.
    fs::create_dir(place.path("v")).unwrap();
    fs::write(place.path("v/a.xml"), SAMPLE).unwrap();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &format!("trap '' XFSZ; ulimit -f 1; {apply}"), "sh"])
        .arg(assert_cmd::cargo::cargo_bin!("vgpu"));
    let output = command.current_dir(place.0.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected("File too large (os error 27)"));
    assert_eq!(place.read("v/a.xml"), SAMPLE);
    assert_eq!(fs::read_dir(place.path("v")).unwrap().count(), 1);
    // A disk that is really full.
    let full =
        "mount -t tmpfs -o size=16k none v || exit 77; cp vgpuConfig.xml v/a.xml; cat /dev/zero > v/rest 2>/dev/null;";
    if !rustix::process::geteuid().is_root() || shell(&place, &format!("{full} echo ok")) != "ok\n" {
        return eprintln!("skipped: only root can mount a small file system");
    }
    let said = shell(&place, &format!("{full} {apply}; cmp vgpuConfig.xml v/a.xml && ls -A v >&2"));
    assert_eq!(said, expected("No space left on device (os error 28)") + "a.xml\nrest\n");
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

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
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
