//! `vgpu doctor` reads what the real `journalctl` prints of a real journal.
//!
//! systemd-journal-remote makes the journal (Debian's package has the same name). If it or journalctl is missing, the tests
//! say so and pass, unless VGPU_REQUIRE_JOURNAL is set.

#[path = "support/program.rs"]
mod program;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// systemd installs it outside of PATH.
const REMOTE: [&str; 2] = ["/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote"];

/// A field of an entry: a name and bytes.
type Field<'a> = (&'a str, &'a [u8]);

/// An entry in systemd's Journal Export Format. Bytes that are no text come after their length.
fn export(second: u64, boot: &str, fields: &[Field]) -> Vec<u8> {
    let time = 1_763_985_784 + second;
    let mut bytes =
        format!("__REALTIME_TIMESTAMP={time}000000\n__MONOTONIC_TIMESTAMP={second}000000\n_BOOT_ID={boot}\n")
            .into_bytes();
    for (name, value) in fields {
        bytes.extend(name.as_bytes());
        if value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            bytes.push(b'=');
        } else {
            bytes.push(b'\n');
            bytes.extend((value.len() as u64).to_le_bytes());
        }
        bytes.extend(*value);
        bytes.push(b'\n');
    }
    bytes.push(b'\n');
    bytes
}

/// Makes a journal, and a `journalctl` that reads it instead of this machine's. `None` if that is not possible here.
fn journal(directory: &Path, entries: &[Vec<u8>]) -> Option<PathBuf> {
    let remote = REMOTE.into_iter().find(|path| Path::new(path).exists());
    let path = std::env::var_os("PATH").unwrap();
    let journalctl = std::env::split_paths(&path).map(|path| path.join("journalctl")).find(|path| path.is_file());
    let (Some(remote), Some(journalctl)) = (remote, journalctl) else {
        skip::skip("systemd-journal-remote or journalctl is missing", "VGPU_REQUIRE_JOURNAL");
        return None;
    };
    let (exported, journal) = (directory.join("exported"), directory.join("test.journal"));
    fs::write(&exported, entries.concat()).unwrap();
    let made = Command::new(remote).arg("-o").args([&journal, &exported]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let programs = directory.join("bin");
    fs::create_dir(&programs).unwrap();
    let script = format!("#!/bin/sh\nexec {} --file={} \"$@\"\n", journalctl.display(), journal.display());
    program::write(&programs.join("journalctl"), script);
    Some(programs)
}

/// The result of a check on this machine, with this directory first in PATH.
fn evidence(programs: &Path, id: &str) -> (String, String) {
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"))
        .args(["doctor", "--role", "host", "--json", "--all"])
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == id).cloned().unwrap_or_default();
    let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("evidence"))
}

const BEFORE: &str = "00000000000000000000000000000001";
const THIS: &str = "00000000000000000000000000000002";

/// Bytes that are no text, a field that is there twice, a long message, which journalctl prints only with `--all`, other
/// services, and an earlier start of the machine.
#[test]
fn what_journalctl_prints_of_a_real_journal_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let long = [&[b'x'; 6000][..], b" RLIMIT_MEMLOCK (65536) exceeded"].concat();
    let kernel = |second, message: &[u8]| export(second, THIS, &[("_TRANSPORT", b"kernel"), ("MESSAGE", message)]);
    let unit = |second, unit: &str, messages: &[&[u8]]| {
        let mut fields: Vec<Field> =
            vec![("_TRANSPORT", b"stdout"), ("_SYSTEMD_UNIT", unit.as_bytes()), ("_PID", b"9")];
        fields.extend(messages.iter().map(|message| ("MESSAGE", *message)));
        export(second, THIS, &fields)
    };
    let entries = [
        export(1, BEFORE, &[("_TRANSPORT", b"kernel"), ("MESSAGE", b"NVRM: GPU has fallen off the bus")]),
        kernel(2, b"Loading of unsigned module is rejected \xff\xfe"),
        unit(3, "libvirtd.service", &[b"first", b"vfio x: Could not open '/dev/vfio/3': Permission denied"]),
        kernel(4, &long),
        unit(5, "other.service", &[b"vfio y: Could not open '/dev/vfio/4': Permission denied"]),
        unit(
            6,
            "nvidia-vgpu-mgr.service",
            &[b"error: vmiop_env_log: Failed to get VM UUID from QEMU command-line 0x57"],
        ),
    ];
    let Some(programs) = journal(directory.path(), &entries) else { return };
    let told = |id, wanted: &str| {
        let (status, evidence) = evidence(&programs, id);
        assert_eq!(status, "failed", "{id}: {evidence}");
        assert!(evidence.contains(wanted), "{id}: {evidence}");
        evidence
    };
    told("module-signature", "2025-11-24 12:03:06 UTC kernel: Loading of unsigned module is rejected \u{fffd}\u{fffd}");
    // The message of another service is not counted and not quoted.
    assert!(!told("vfio-permission", "libvirtd: first\nvfio x: Could not open").contains("times"));
    told("memlock", "RLIMIT_MEMLOCK (65536) exceeded");
    told("vm-uuid", "nvidia-vgpu-mgr: error: vmiop_env_log");
}

/// Users who may not read the system's journal, or have none, are told so.
#[test]
fn a_journal_with_nothing_in_it_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let other = export(1, THIS, &[("_SYSTEMD_UNIT", b"other.service"), ("MESSAGE", b"x")]);
    let Some(programs) = journal(directory.path(), &[other]) else { return };
    let (status, evidence) = evidence(&programs, "module-signature");
    assert_eq!(status, "unknown");
    assert!(evidence.contains("journald"), "{evidence}");
}
