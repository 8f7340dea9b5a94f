//! When a command is interrupted, it says what is left. That is nothing.

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs::File;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Sandbox, run_file};
use vgpu_driver::Role;
use vgpu_sample as sample;

fn command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = program::interruptible(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.current_dir(sandbox.path("")).args(args);
    command
}

/// Starts a command, interrupts it when it `is_at_work`, and returns what it said.
fn interrupted(command: &mut Command, signal: Signal, is_at_work: impl Fn() -> bool) -> String {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !is_at_work() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(128 + signal.as_raw()), "{said}");
    said
}

#[test]
fn build() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    // Long enough to be interrupted.
    files.iter_mut().find(|file| file.name == "nvoptix.bin").unwrap().data = vec![7; 200 << 20];
    sandbox.write("a.run", run_file(Role::Guest, &files));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let build = &mut command(&sandbox, &["build", "a.run", "--role", "guest", "--out", "new/driver"]);
        let said = interrupted(build, signal, || sandbox.path("new").exists());
        assert_eq!(said, format!("interrupted: nothing was left at {}\n", sandbox.path("new/driver").display()));
        assert_eq!(sandbox.names(), ["a.run"]);
    }
}

#[test]
fn demo() {
    let sandbox = Sandbox::new();
    let said =
        interrupted(&mut command(&sandbox, &["demo", "--out", "d"]), Signal::INT, || !sandbox.names().is_empty());
    assert_eq!(said, format!("interrupted: nothing was left at {}\n", sandbox.path("d").display()));
    assert_eq!(sandbox.names(), [""; 0]);
}

/// A Nix store that is so slow that adding a file never ends.
const SLOW_STORE: &str = "#!/bin/sh
case $1 in
--print-fixed-path) echo /nix/store/0123456789abcdfghijklmnpqrsvwxyz-$4 ;;
--check-validity) exit 1 ;;
--add-fixed) : > adding; while kill -0 $PPID 2>/dev/null; do sleep 0.01; done ;;
esac
";

const STORE: &str = "the Nix store may have the file by now, until its garbage is collected";

#[test]
fn import() {
    let sandbox = Sandbox::new();
    sandbox.write("a.zip", sample::grid_archive().unwrap().1);
    sandbox.write("old.nix", "mine");
    sandbox.write("empty.toml", "branch = []\nrelease = []\n");
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    program::write(&sandbox.path("bin/nix-store"), SLOW_STORE);
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let before = sandbox.names();
    let at = |name: &str| sandbox.path(name).display().to_string();
    for (out, left) in [
        (vec![], STORE.to_owned()),
        (vec!["--out", "new.nix"], format!("nothing was left at {}; {STORE}", at("new.nix"))),
        (vec!["--out", "old.nix"], format!("{} is as it was; {STORE}", at("old.nix"))),
    ] {
        let import = &mut command(&sandbox, &["import", "a.zip", "--catalog", "empty.toml"]);
        let said = interrupted(import.args(out).env("PATH", &path), Signal::INT, || sandbox.path("adding").exists());
        assert_eq!(said, format!("interrupted: {left}\n"));
        std::fs::remove_file(sandbox.path("adding")).unwrap();
        assert_eq!(sandbox.names(), before);
        assert_eq!(std::fs::read_to_string(sandbox.path("old.nix")).unwrap(), "mine");
    }
}

/// Reading the file takes most of the time. During that time there is nothing to leave.
#[test]
fn import_that_still_reads() {
    let sandbox = Sandbox::new();
    // If the file has the name of an archive, the hash is printed.
    let name = "NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip";
    File::create(sandbox.path(name)).unwrap().set_len(16 << 30).unwrap();
    let mut import = command(&sandbox, &["import", name]);
    let begin = Instant::now();
    let said = interrupted(&mut import, Signal::TERM, || begin.elapsed() > Duration::from_millis(300));
    assert_eq!(said, "interrupted: nothing was left\n");
}
