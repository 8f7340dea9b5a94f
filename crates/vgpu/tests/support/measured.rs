//! `vgpu build` in a sandbox: if anything but d is new in it, the build has written outside its output. Its memory is
//! measured.

use std::process::{Command, Stdio};

use wait4::Wait4;

use crate::support::Sandbox;

/// The most memory that a build may take, in bytes.
pub const MEMORY: u64 = 250_000_000;

/// The result of a build.
pub struct Ended {
    pub code: Option<i32>,
    pub stderr: String,
    /// Peak memory, in bytes.
    pub memory: u64,
}

/// Builds the guest driver `source` into d. It must not take more than [`MEMORY`], and must write nothing elsewhere.
pub fn build(sandbox: &Sandbox, source: &str) -> Ended {
    let before = sandbox.names();
    // The kernel's count begins with the memory of the process that starts it. So that process must be small.
    let mut measurer = Command::new(std::env::current_exe().unwrap());
    measurer.args(["measured::measurer", "--exact", "--ignored", "--nocapture"]).current_dir(sandbox.path(""));
    let output = measurer.env("MEASURED_SOURCE", source).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let measured = stdout.lines().find_map(|line| line.split_once("measured ")).expect(&stdout).1;
    let (code, memory) = measured.split_once(' ').unwrap();
    let (code, memory) = (code.parse().ok(), memory.parse().unwrap());
    let mut after = sandbox.names();
    after.retain(|name| name != "d");
    assert_eq!(after, before, "{stderr}");
    assert!(memory < MEMORY, "{memory} bytes of memory for {source}: {stderr}");
    Ended { code, stderr, memory }
}

/// This is no test. It is the small process that starts the program and measures it.
#[test]
#[ignore = "other tests start it"]
fn measurer() {
    let Ok(source) = std::env::var("MEASURED_SOURCE") else { return };
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.args(["build", &source, "--role", "guest", "--out", "d"]).stdout(Stdio::null());
    let ended = command.spawn().unwrap().wait4().unwrap();
    let code = ended.status.code().map_or("none".to_owned(), |code| code.to_string());
    println!("measured {code} {}", ended.rusage.maxrss);
}

/// The build must end in an error that contains `expected`, and leave nothing.
pub fn refused(sandbox: &Sandbox, source: &str, expected: &str) {
    let Ended { code, stderr, .. } = build(sandbox, source);
    assert_eq!(code, Some(1), "expected {expected:?} in:\n{stderr}");
    assert!(stderr.contains(expected), "expected {expected:?} in:\n{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains("\nhelp: "), "{stderr}");
    assert!(!sandbox.path("d").exists());
}
