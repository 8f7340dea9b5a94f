//! With too little memory, or too few open files or threads, there is one clear error and nothing is left; or the driver is
//! complete. There is never a panic.

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use support::{Sandbox, run_file, tree};
use vgpu_driver::Role;
use vgpu_sample as sample;

/// A user that has no other process, so that the kernel's count of its threads is known.
const NOBODY_ELSE: u32 = 61_234;

/// A sandbox with an archive and the program, for every user.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    files.iter_mut().find(|file| file.name == "nvoptix.bin").unwrap().data = vec![7; 30 << 20];
    sandbox.write("a.run", run_file(Role::Guest, &files));
    program::copy(assert_cmd::cargo::cargo_bin!("vgpu"), &sandbox.path("vgpu"));
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o777)).unwrap();
    sandbox
}

/// Builds with a limit. Returns whether that worked.
fn build(sandbox: &Sandbox, limit: &str, expected: &str, change: impl FnOnce(&mut Command)) -> bool {
    let mut command = Command::new("prlimit");
    command.arg(limit).args(["./vgpu", "build", "a.run", "--role", "guest", "--out", "new/d"]);
    command.current_dir(sandbox.path("")).env_remove("RUST_BACKTRACE");
    change(&mut command);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    if status.success() {
        assert_eq!(stderr, "", "{limit}");
        let driver = tree(&sandbox.path("new/d"));
        assert!(driver.contains_key("out/lib/libcuda.so.1") && driver.contains_key("out/lib/nvoptix.bin"), "{limit}");
        fs::remove_dir_all(sandbox.path("new")).unwrap();
        assert_eq!(sandbox.names(), ["a.run", "vgpu"]);
        return true;
    }
    assert_eq!(status.code(), Some(1), "{limit}: {stderr}");
    assert!(stderr.starts_with("error: cannot build the guest driver from a.run\ncause: "), "{limit}: {stderr}");
    assert_eq!(stderr.matches("error: ").count(), 1, "{limit}: {stderr}");
    assert!(stderr.contains(expected), "{limit}: expected {expected:?} in:\n{stderr}");
    assert!(stdout.is_empty());
    assert_eq!(sandbox.names(), ["a.run", "vgpu"], "{limit}: {stderr}");
    false
}

/// Builds with each of these limits. The first ones are too low, and the last one is enough.
fn each(limits: impl Iterator<Item = String>, expected: &str, change: impl Fn(&mut Command)) {
    let sandbox = sandbox();
    let ended: Vec<bool> = limits.map(|limit| build(&sandbox, &limit, expected, &change)).collect();
    let enough = ended.iter().position(|well| *well).expect("the last limit is enough");
    assert!(enough > 0 && ended[enough..].iter().all(|well| *well), "{ended:?}");
}

#[test]
fn open_files() {
    // With fewer than four, the system cannot load the program.
    each((4..=20).map(|count| format!("--nofile={count}")), "help: too many files are open", |_| {});
}

#[test]
fn memory() {
    // With less than 30 MiB, the system may fail to load the program.
    let sizes = [30, 40, 60, 100, 200, 400, 600, 700, 1000];
    each(sizes.iter().map(|size| format!("--as={}", size << 20)), "less than 640 MiB of memory", |_| {});
}

#[test]
fn threads() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can be a user that runs nothing else");
    }
    each((1..=8).map(|count| format!("--nproc={count}")), "help: there are too many threads", |command| {
        command.uid(NOBODY_ELSE).gid(NOBODY_ELSE);
    });
}
