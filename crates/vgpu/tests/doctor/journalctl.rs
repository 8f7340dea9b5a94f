//! Whatever journalctl does, `vgpu doctor` ends soon and takes little memory. It says what it could not read.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program;

/// The limit for address space, in bytes. The stacks of threads are part of it.
const MEMORY: u64 = 800 << 20;

/// The result of a check that reads only the kernel's log, with this script as journalctl.
fn with_journalctl(script: &str) -> (String, String) {
    let programs = tempfile::tempdir().unwrap();
    program::write(&programs.path().join("journalctl"), format!("#!/bin/sh\n{script}\n"));
    let begin = Instant::now();
    let output = Command::new("prlimit")
        .arg(format!("--as={MEMORY}"))
        .arg(assert_cmd::cargo::cargo_bin!("vgpu"))
        .args(["doctor", "--role", "host", "--json"])
        .env("PATH", format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20), "{script}: {:?}", begin.elapsed());
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{script}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == "module-signature").unwrap();
    (check["status"].as_str().unwrap().to_owned(), check["evidence"].as_str().unwrap().to_owned())
}

#[test]
fn a_journal_without_end_is_read_as_far_as_it_is_worth() {
    for script in [
        // Lines that are kept, and lines that are not.
        "exec yes '[ 1.0] NVRM: x'",
        "exec yes '[ 1.0] usb 1-1: new device'",
        // One line.
        "yes | tr -d '\\n'",
        "exec cat /dev/zero",
        // It waits for a minute. When it is killed, its child still has the pipes open.
        "echo '[ 1.0] NVRM: x'; sleep 60; true",
    ] {
        let (status, evidence) = with_journalctl(script);
        assert_eq!(status, "unknown", "{script}: {evidence}");
        // It depends on the machine which limit is reached first.
        let reasons = ["journalctl printed more than 64 MiB", "journalctl took longer than 3 seconds"];
        assert!(reasons.iter().any(|reason| evidence.ends_with(reason)), "{script}: {evidence}");
    }
}

#[test]
fn what_was_read_of_it_still_counts() {
    let (status, evidence) =
        with_journalctl("echo '[ 1.0] Loading of unsigned module is rejected'; exec yes '[ 2.0] NVRM: x'");
    assert_eq!(status, "failed", "{evidence}");
    assert!(evidence.contains("Loading of unsigned module"), "{evidence}");
}

#[test]
fn a_journalctl_that_complains_is_quoted() {
    for script in
        ["echo 'Failed to open: x' >&2; echo more >&2; exit 1", "echo 'Failed to open: x' >&2; exec yes more >&2"]
    {
        let (status, evidence) = with_journalctl(script);
        assert_eq!(status, "unknown", "{script}");
        assert!(evidence.ends_with("Failed to open: x"), "{script}: {evidence}");
    }
}
