//! The program kernel/run, which plays a scene on a real kernel in QEMU.

use std::path::Path;
use std::process::Command;

/// If this environment variable is set, scenes must not be skipped.
pub const REQUIRED: &str = "VGPU_REQUIRE_KERNEL";

pub const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel");

/// The exit code of `run` if a scene cannot be run at all.
const SKIPPED: i32 = 77;

/// The program, with a time limit for a scene in seconds. It downloads nothing unless scenes are required.
pub fn run(limit: &str) -> Command {
    let mut run = Command::new(Path::new(HERE).join("run"));
    run.args(["--timeout", limit]);
    if std::env::var_os(REQUIRED).is_none() {
        run.arg("--offline");
    }
    run
}

/// Plays a scene. If it fails, the test fails. `Err` says why it cannot be played here.
pub fn play(run: &mut Command, scene: &str) -> Result<(), String> {
    let output = run.arg(Path::new(HERE).join("scenes").join(scene)).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(SKIPPED) {
        return Err(told.trim().to_owned());
    }
    assert!(output.status.success(), "{scene}: {}\n{told}", output.status);
    Ok(())
}
