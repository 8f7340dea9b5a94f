//! `vgpu status --watch` ends when it gets a signal, or when nobody reads its output any more. It restores the terminal.

#[path = "support/program.rs"]
mod program;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A screen comes every two seconds. On a busy machine it takes longer.
const SOON: Duration = Duration::from_secs(30);

fn watch() -> Command {
    let mut command = program::interruptible(assert_cmd::cargo::cargo_bin!("vgpu"));
    // In this directory there is no machine.
    command.args(["status", "--watch", "--root", concat!(env!("CARGO_MANIFEST_DIR"), "/tests")]).env("TERM", "xterm");
    command
}

/// Waits for the end. Returns the exit code.
fn end(mut child: Child) -> Option<i32> {
    let begin = Instant::now();
    while begin.elapsed() < SOON {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("it goes on");
}

#[test]
fn signals_end_it_at_once_and_quietly() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut child = watch().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut screen = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let mut line = String::new();
        screen.read_line(&mut line).unwrap();
        assert_eq!(line, "This machine shows no NVIDIA GPU.\n", "a pipe gets text alone");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(end(child), Some(code), "{signal:?}");
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(said, "", "{signal:?}");
        let mut rest = String::new();
        screen.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with('\n'), "the last screen is whole: {rest:?}");
    }
}

#[test]
fn it_ends_when_nobody_reads_it() {
    let mut child = watch().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut screen = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = child.stderr.take().unwrap();
    screen.read_line(&mut String::new()).unwrap();
    drop(screen);
    assert_eq!(end(child), Some(0));
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn the_terminal_is_given_back() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let other_end = File::options().read(true).write(true).open(name).unwrap();
        let mut command = watch();
        let child = command.env("NO_COLOR", "1").stdout(other_end).stderr(Stdio::null()).spawn().unwrap();
        drop(command); // It has the other end open as well.
        let mut terminal = File::from(terminal);
        let mut shown = Vec::new();
        let mut some = [0; 4096];
        while !String::from_utf8_lossy(&shown).contains("nvidia-vgpu-mgr") {
            let length = terminal.read(&mut some).unwrap();
            shown.extend(&some[..length]);
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(end(child), Some(code));
        // If nobody has the other end any more, this is an error.
        while let Ok(length @ 1..) = terminal.read(&mut some) {
            shown.extend(&some[..length]);
        }
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.starts_with("\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"), "{shown:?}");
        assert!(shown.ends_with("\x1b[?25h\x1b[?1049l"), "{shown:?}");
    }
}
