//! A command is killed at random moments. Then its target is missing or complete, and the next run removes all leftovers.

#[path = "support/program.rs"]
mod program;
mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Sandbox, run_file, tree};
use vgpu_driver::Role;
use vgpu_sample as sample;

const MOMENTS: u32 = 50;

fn command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = program::interruptible(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.current_dir(sandbox.path("")).args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let path = std::env::join_paths([sandbox.path("bin"), "/bin".into(), "/usr/bin".into()]).unwrap();
    command.env("PATH", path);
    command
}

/// Kills the command `args`, which makes `target`, at random moments. `prepare` prepares a sandbox.
fn killed(args: &[&str], target: &str, prepare: impl Fn(&Sandbox)) {
    let sandbox = Sandbox::new();
    prepare(&sandbox);
    let before = sandbox.names();
    let is_there = || sandbox.path(target).symlink_metadata().is_ok();
    let found = || {
        let mut found = tree(&sandbox.path(""));
        // Preparing a sandbox a second time makes directories again.
        found.retain(|name, _| name == target || name.starts_with(&format!("{target}/")));
        found
    };
    let old = found();
    let start = Instant::now();
    assert!(command(&sandbox, args).status().unwrap().success(), "{args:?}");
    // Signals come within this time. It adapts, because a run takes longer while other tests run.
    let mut window = start.elapsed();
    let new = found();
    let clean = sandbox.names();
    assert_ne!(old, new, "{args:?} makes no {target}");
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut interrupted = 0;
    for moment in 0..MOMENTS {
        if is_there() && !before.contains(&target.to_owned()) {
            let path = sandbox.path(target);
            std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)).unwrap();
        }
        prepare(&sandbox);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let signal = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP][moment as usize % 4];
        let mut child = command(&sandbox, args).spawn().unwrap();
        sleep(window * (random % 1000) as u32 / 1000);
        let _ = kill_process(Pid::from_child(&child), signal);
        let status = child.wait().unwrap();
        if status.signal().is_some() || status.code() > Some(128) {
            interrupted += 1;
            window = window * 5 / 4;
        } else {
            window = window * 4 / 5;
        }
        let now = found();
        assert!(now == old || now == new, "{args:?} after {signal:?}: {:?}", now.keys());
        assert!(!status.success() || now == new, "{args:?} reported success for what is not there");
        if signal != Signal::KILL {
            let mut left = sandbox.names();
            left.retain(|name| name != target && !before.contains(name) && !name.starts_with(".vgpu-new-"));
            assert_eq!(left, [""; 0], "{args:?} after {signal:?}");
        }
        if now == old {
            prepare(&sandbox);
            assert!(command(&sandbox, args).status().unwrap().success(), "{args:?} after {signal:?}");
        }
        assert!(found() == new);
        if now == old {
            assert_eq!(sandbox.names(), clean, "{args:?}, run again after {signal:?}");
        }
    }
    assert!(interrupted > MOMENTS / 4, "only {interrupted} of {MOMENTS} runs of {args:?} were interrupted");
}

#[test]
fn build() {
    let mut files = sample::files(Role::Guest);
    // Long enough to be interrupted.
    for number in 0..300 {
        let name = format!("kernel/{}/{number}.c", number / 10);
        files[0].data.extend(format!("{name} 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1 MODULE:resman\n").bytes());
        files.push(sample::File::new(name, 0o644, "int nv;\n"));
    }
    let run = run_file(Role::Guest, &files);
    killed(&["build", "a.run", "--role", "guest", "--out", "d"], "d", |sandbox| {
        sandbox.write("a.run", &run);
    });
}

#[test]
fn demo() {
    killed(&["demo", "--out", "d"], "d", |_| {});
}

#[test]
fn init() {
    killed(&["init", "--root", "/nonexistent"], "vgpu.nix", |_| {});
}

#[test]
fn profiles_apply() {
    let config = include_str!("../../sample/src/vgpuConfig.xml");
    killed(&["profiles", "apply", "--changes", "c.json", "--config", "v.xml", "--out", "v.xml"], "v.xml", |sandbox| {
        sandbox.write("c.json", r#"{"overrides": {"46": {"heads": 1}}}"#);
        sandbox.write("v.xml", config);
    });
}

/// A Nix store that is a directory, and slow enough to be interrupted.
const STORE: &str = "#!/bin/sh
case $1 in
--print-fixed-path) echo $PWD/store/$3-$4 ;;
--check-validity) test -e $2 ;;
--add-fixed)
    sleep 0.05
    sum=$(sha256sum $3) to=$PWD/store/${sum%% *}-${3##*/}
    cp $3 store/.$$ && mv store/.$$ $to && echo $to ;;
esac
";

/// Makes the store, or empties it. A killed run may have added something to it.
fn store(sandbox: &Sandbox) {
    if !sandbox.path("store").exists() {
        std::fs::create_dir(sandbox.path("bin")).unwrap();
        program::write(&sandbox.path("bin/nix-store"), STORE);
        sandbox.write("empty.toml", "branch = []\nrelease = []\n");
        std::fs::create_dir(sandbox.path("store")).unwrap();
    }
    for name in stored(sandbox) {
        let _ = std::fs::remove_file(sandbox.path("store").join(name));
    }
}

fn stored(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path("store")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn import() {
    let (_, zip) = sample::grid_archive().unwrap();
    killed(&["import", "a.zip", "--catalog", "empty.toml", "--out", "new.nix"], "new.nix", |sandbox| {
        store(sandbox);
        sandbox.write("a.zip", &zip);
    });
}

/// This holds also for a run that has nothing to add and writes no file.
#[test]
fn the_next_import_removes_what_a_killed_one_has_left() {
    let sandbox = Sandbox::new();
    store(&sandbox);
    sandbox.write("a.zip", sample::grid_archive().unwrap().1);
    let before = sandbox.names();
    let leftovers = || sandbox.names().iter().filter(|name| name.starts_with(".vgpu-new-")).count();
    let args = ["import", "a.zip", "--catalog", "empty.toml"];
    let mut child = command(&sandbox, &args).spawn().unwrap();
    while leftovers() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        sleep(Duration::from_millis(1));
    }
    let other = sandbox.vgpu(&["init", "--root", "/nonexistent"]).assert().success();
    assert_eq!(leftovers(), 1, "another command removes what is in use: {other}");
    std::fs::remove_file(sandbox.path("vgpu.nix")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(leftovers(), 1);
    while !stored(&sandbox).iter().any(|name| name.ends_with(".zip")) {
        sleep(Duration::from_millis(1)); // The store goes on without us.
    }
    assert!(command(&sandbox, &args).status().unwrap().success());
    assert_eq!(sandbox.names(), before);
}

/// nohup lets programs ignore SIGHUP, and shells let those in the background ignore SIGINT.
#[test]
fn a_signal_that_is_ignored_stays_so() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    files.iter_mut().find(|file| file.name == "nvoptix.bin").unwrap().data = vec![7; 30 << 20];
    sandbox.write("a.run", run_file(Role::Guest, &files));
    let vgpu = assert_cmd::cargo::cargo_bin!("vgpu").display().to_string();
    let script = format!("trap '' HUP INT; : > ready; exec {vgpu} build a.run --role guest --out d >/dev/null");
    let mut child = Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).spawn().unwrap();
    // Before this, the shell does not ignore them.
    while !sandbox.path("ready").exists() {
        sleep(Duration::from_millis(1));
    }
    while child.try_wait().unwrap().is_none() {
        for signal in [Signal::HUP, Signal::INT] {
            let _ = kill_process(Pid::from_child(&child), signal);
        }
        sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    assert!(sandbox.path("d/out/lib/nvoptix.bin").exists());
}
