//! Rules for the whole program: what it prints where, its exit codes, the width of its help. Nothing unfinished is left
//! when it is interrupted or cannot write.

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{Sandbox, run_file};
use vgpu_driver::Role;
use vgpu_sample as sample;

fn vgpu() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("vgpu"))
}

/// A file to which every write fails, as on a full disk.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads.
fn broken() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

#[test]
fn every_help_fits_80_columns() {
    fn check(command: &clap::Command) {
        for help in [command.clone().render_help(), command.clone().render_long_help()] {
            let help = help.to_string();
            let long: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{}: {long:#?}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    let mut root = vgpu::cli::command();
    root.build();
    check(&root);
}

#[test]
fn misspelt_commands_are_answered_with_those_that_help_shows() {
    let said = |command: &str| {
        let output = vgpu().arg(command).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let text = said("buildr"); // builder is Nix's
    assert!(text.contains("'build'") && !text.contains("builder'"), "{text}");
    let text = said("mann");
    assert!(text.contains("unrecognized subcommand 'mann'") && !text.contains("tip:"), "{text}");
}

#[test]
fn examples_in_help_are_not_wrapped() {
    fn check(command: &clap::Command) {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let long: Vec<_> = after.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{}: {long:#?}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    check(&vgpu::cli::command());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let output = vgpu().arg("releases").stdout(broken()).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");

    // Nothing unfinished is left.
    let sandbox = Sandbox::new();
    let status = vgpu().arg("demo").current_dir(sandbox.path("")).stdout(broken()).status().unwrap();
    assert!(status.success());
    assert_eq!(sandbox.names(), [""; 0]);
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let output = vgpu().arg("releases").stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @r"
    error: cannot write to standard output
    cause: No space left on device (os error 28)
    help: look at where it leads: a full disk is the usual reason
    ");
}

#[test]
fn errors_that_nobody_can_read_are_no_panic() {
    for stderr in [full, broken] {
        let status = vgpu().args(["identify", "/nonexistent"]).stderr(stderr()).status().unwrap();
        assert_eq!(status.code(), Some(1));
    }
    let sandbox = Sandbox::new();
    let status = vgpu().args(["init", "--root", "/nonexistent", "--out"]).arg(sandbox.path("")).stderr(full()).status();
    assert!(status.unwrap().success());
    assert_eq!(sandbox.names(), ["vgpu.nix"]);
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    let sandbox = Sandbox::new();
    // Long enough to be interrupted: many small files, each with directories of its own.
    let mut files = sample::files(Role::Guest);
    for number in 0..3_000 {
        let name = format!("kernel/{}/{number}/nv.c", number / 10);
        files[0].data.extend(format!("{name} 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1 MODULE:resman\n").bytes());
        files.push(sample::File::new(name, 0o644, "int nv;\n"));
    }
    sandbox.write("driver.run", run_file(Role::Guest, &files));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut command = program::interruptible(assert_cmd::cargo::cargo_bin!("vgpu"));
        command.current_dir(sandbox.path("")).args(["build", "driver.run", "--role", "guest", "--out", "d"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let at_work = || {
            let staging = sandbox.names().into_iter().find(|name| name.starts_with(".vgpu-new-"));
            staging.is_some_and(|name| sandbox.path(&name).join("modsrc/kernel/20").exists())
        };
        while !at_work() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(sandbox.names(), ["driver.run"]);
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_before_building() {
    let sandbox = Sandbox::new();
    let (archive, content) = sample::grid_archive().unwrap();
    sandbox.write(&archive, content);
    sandbox.write("page.xml", "<html></html>");
    let refused = |role: &str, more: &[&str], code| {
        let mut command = sandbox.vgpu(&["build", &archive, "--role", role, "--out", "d"]);
        let output = command.args(more).assert().code(code).stdout("").get_output().clone();
        assert_eq!(sandbox.names(), [archive.as_str(), "page.xml"]);
        String::from_utf8(output.stderr).unwrap()
    };
    insta::assert_snapshot!(refused("host", &["--vgpu-config", "page.xml"], 1), @r"
    error: cannot build the host driver from NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
    cause: page.xml cannot replace the driver's vgpuConfig.xml
    cause: the outermost element is <html>, not <vgpuconfig>
    help: this is some other XML file; vgpuConfig.xml lies at the root of an unpacked host driver
    ");
    insta::assert_snapshot!(refused("guest", &["--vgpu-config", "page.xml"], 1), @r"
    error: cannot build the guest driver from NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
    cause: page.xml cannot replace vgpuConfig.xml: only host drivers have one
    help: leave --vgpu-config out, or build with --role host
    ");
    std::fs::File::create(sandbox.path("page.xml")).unwrap().set_len((8 << 20) + 1).unwrap();
    let message = refused("host", &["--vgpu-config", "page.xml"], 1);
    assert!(message.contains("cause: page.xml is larger than 8 MiB"), "{message}");
    for option in ["--interpreter", "--lib-path", "--lib-path-32"] {
        assert!(refused("guest", &[option, "lib"], 2).contains("it has to be an absolute path"), "{option}");
    }
}
