//! Programs that tests make and then start.
//!
//! Another process writes them. The kernel does not start a program that is open for writing ("Text file busy"). If this
//! process wrote the file, it would also be open in each child that another test starts at that time.

#![allow(dead_code)] // Each test uses a part of it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a program with this content.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    let mut shell = Command::new("sh");
    shell.args(["-euc", "cat > \"$1\"; chmod 755 \"$1\"", "sh"]).arg(path).stdin(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    shell.stdin.take().unwrap().write_all(content.as_ref()).unwrap();
    assert!(shell.wait().unwrap().success(), "{}", path.display());
}

/// Starts a program that signals can end. Shells let what they start in the background ignore SIGINT, and nohup lets it ignore
/// SIGHUP. If that is how the tests were started, their children would go on.
pub fn interruptible(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM,HUP").arg(program);
    command
}

/// Copies a program.
pub fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success(), "{}", to.display());
}
