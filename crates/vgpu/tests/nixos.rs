//! The modules in NixOS' own module tree. nix/tests/nixos has the tests, a file a subject; this runs them.
//!
//! They need nix-instantiate and a `<nixpkgs>` with NixOS in it. Where there is none they say so and pass, unless
//! VGPU_REQUIRE_NIX is set.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Whether `<nixpkgs>` is one with NixOS' modules.
fn have_nixos() -> bool {
    let found = Command::new("nix-instantiate").args(["--find-file", "nixpkgs/nixos/lib/eval-config.nix"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("VGPU_REQUIRE_NIX").is_none(), "<nixpkgs/nixos> was not found");
    if !found {
        eprintln!("skipped: <nixpkgs/nixos> was not found");
    }
    found
}

/// The files of nix/tests/nixos, without the harness.
fn subjects() -> BTreeSet<String> {
    fs::read_dir(format!("{ROOT}/nix/tests/nixos"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".nix")?.to_owned()))
        .filter(|name| name != "default")
        .collect()
}

/// What is wrong with a subject; nothing if nothing is.
fn problems(subject: &str) -> Option<String> {
    let output = Command::new("nix-instantiate")
        .args(["--option", "allow-import-from-derivation", "false", "--eval", "--strict", "--json"])
        .args(["nix/tests/nixos", "--argstr", "subject", subject])
        // Collecting garbage on the way to it takes a third of the time.
        .env("GC_INITIAL_HEAP_SIZE", "1G")
        .current_dir(ROOT)
        .output()
        .unwrap();
    if !output.status.success() {
        return Some(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(result["ran"].as_u64().unwrap() > 0, "{subject} has no tests");
    let failed = result["failed"].as_array().unwrap();
    let lines = failed.iter().map(|test| {
        format!("{}\n  got  {}\n  want {}", test["name"].as_str().unwrap(), test["result"], test["expected"])
    });
    (!failed.is_empty()).then(|| lines.collect::<Vec<_>>().join("\n"))
}

/// Every subject, two at a time: an evaluation takes two to three gigabytes.
#[test]
fn every_subject_holds() {
    if !have_nixos() {
        return;
    }
    let waiting = Mutex::new(subjects());
    assert!(!waiting.lock().unwrap().is_empty());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(subject) = waiting.lock().unwrap().pop_first() else { break };
                    if let Some(problems) = problems(&subject) {
                        wrong.lock().unwrap().push(format!("{subject}:\n{problems}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
