//! Runs programs of the system, with limits of time and output.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// nvidia-smi takes some seconds if nothing keeps the driver awake.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most output, in bytes. nvidia-smi prints far less for a machine with sixteen GPUs.
const MOST: u64 = 4 << 20;

/// What a program on PATH prints. `None` if it is missing, fails, or takes too long.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let stdout = child.stdout.take()?;
    let (send, receive) = mpsc::channel();
    // If no thread can be started, nothing is ever sent.
    let reader = thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(MOST).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| bytes));
    });
    let read = receive.recv_timeout(if reader.is_ok() { PATIENCE } else { Duration::ZERO });
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().ok()?;
    let bytes = read.ok()?.ok()?;
    status.success().then(|| String::from_utf8_lossy(&bytes).into_owned())
}
