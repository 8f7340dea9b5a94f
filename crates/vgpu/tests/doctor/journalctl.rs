//! Whatever a journalctl does, `vgpu doctor` ends soon and takes little memory. What it could not read, it says.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

/// In bytes: NVML's and the threads' stacks are address space, too.
const MEMORY: u64 = 800 << 20;

/// What the check of unsigned modules, which reads the kernel's log alone, finds with this script as journalctl.
fn with_journalctl(script: &str) -> (String, String) {
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("journalctl");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
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
        // Nothing, for ever. Its child has the pipes open when it is ended.
        "echo '[ 1.0] NVRM: x'; sleep 60; true",
    ] {
        let (status, evidence) = with_journalctl(script);
        assert_eq!(status, "unknown", "{script}: {evidence}");
        // Which comes first depends on how busy the machine is.
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
