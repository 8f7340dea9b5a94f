//! `vgpu-patcher`: what it does with the results of the script, and with each kind of failure of the script.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};

use crate::program;
use crate::scene::{GUEST, HOST, Scene, patcher};

const GPL: [&str; 2] = ["--enable-nvidia-gpl-for-experimenting", "--force-nvidia-gpl-I-know-it-is-wrong"];

#[test]
fn every_target_and_flag_ends_in_the_right_command_line_and_tree() {
    let scene = Scene::new();
    let archive = scene.archive();
    let archive = archive.to_str().unwrap();
    let remap: &[&str] = &[GPL[0], GPL[1], "--remap-p2v"];
    let extra: &[&str] = &[GPL[0], GPL[1], "--remap-p2v", "--no-klogtrace", "--spoof-devid"];
    for flags in [&[][..], &GPL, &["--remap-p2v"], remap, extra] {
        for (target, sources, version, name, content) in [
            ("vgpu-kvm", &["host.run"][..], HOST, "vgpu-kvm", &["sriov-manage"][..]),
            ("vgpu-kvm", &[archive], HOST, "vgpu-kvm", &["sriov-manage"]),
            ("grid", &["guest.run"], GUEST, "grid", &["nvidia-gridd"]),
            ("grid", &[archive], GUEST, "grid", &["nvidia-gridd"]),
            (
                "general-merge",
                &["host.run", "general.run"],
                GUEST,
                "merged",
                &["sriov-manage", "nvidia-application-profiles-550.90.07-rc"],
            ),
            (
                "general-merge",
                &[archive, "general.run"],
                GUEST,
                "merged",
                &["sriov-manage", "nvidia-application-profiles-550.90.07-rc"],
            ),
        ] {
            let out = format!("here/{name}");
            let mut command = scene.command(sources);
            command.args(["--out", name, "--expect", version, "--"]).args(flags).arg(target);
            command.assert().success().stdout(format!("{name}\n"));
            assert_eq!(
                scene.read(&format!("{out}/command-line")).split_whitespace().collect::<Vec<_>>(),
                [flags, &[target]].concat()
            );
            assert!(scene.read(&format!("{out}/.manifest")).contains(&format!("\n{version}\n")));
            for file in [content, &["kernel/unlock/hooks.c", "kernel/unlock/blob.diff"]].concat() {
                assert!(scene.path(&format!("{out}/{file}")).is_file(), "{target} from {sources:?} lacks {file}");
            }
            assert!(scene.read(&format!("{out}/kernel/nvidia/nvidia.Kbuild")).contains("unlock/hooks.c"));
            assert_eq!(scene.entries("here"), [name], "the directory it worked in is still there");
            fs::remove_dir_all(scene.path(&out)).unwrap();
        }
    }
}

#[test]
fn the_patcher_itself_stays_as_it_is() {
    let scene = Scene::new();
    let before = (scene.entries("patcher"), scene.read("patcher/patches/kbuild.patch"));
    scene.command(&["host.run"]).args(["--", "vgpu-kvm"]).assert().success();
    assert_eq!((scene.entries("patcher"), scene.read("patcher/patches/kbuild.patch")), before);
    assert_eq!(scene.entries("patcher/patches"), ["kbuild.patch"]);
}

#[test]
fn a_failing_script_shows_its_last_thirty_lines() {
    let scene = Scene::new().mode("die");
    let error = scene.refused(&["host.run"], HOST, &["vgpu-kvm"]);
    assert!(!error.contains("line 11\n") && error.contains("  line 12\n  line 13\n"), "{error}");
    assert!(error.contains("  line 40\n  blobpatch failed: expected 0F got 10 instead\nhelp: "), "{error}");
}

#[test]
fn scripts_that_end_early_are_errors() {
    assert_snapshot!(Scene::new().mode("signal").refused(&["host.run"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: patch.sh failed (ended by signal 9); its last lines:
          (it printed nothing)
        help: it was given NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run. It names the versions it wants in its first lines: each branch of the patcher is for one release
        ");
    assert_snapshot!(Scene::new().mode("no-tree").refused(&["host.run"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: patch.sh left no patched driver, though it reported no failure; its last lines:
          (it printed nothing)
        help: it was given NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run; a damaged .run file ends like this, see `vgpu identify`
        ");
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let scene = Scene::new().mode("busy");
        let mut command = program::interruptible(patcher());
        command.current_dir(scene.path("here")).args(["--patcher", "../patcher", "--source", "../host.run"]);
        let mut child = command.args(["--", "vgpu-kvm"]).stderr(Stdio::piped()).spawn().unwrap();
        let busy = || {
            let work = scene.entries("here").into_iter().next()?;
            scene.entries(&format!("here/{work}")).into_iter().find(|name| name.starts_with("made-"))
        };
        while busy().is_none() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(scene.error(&output).contains("cause: interrupted\n"));
        assert_eq!(scene.entries("here"), [""; 0]);
    }
}

#[test]
fn a_driver_the_script_does_not_know_is_an_error() {
    let scene = Scene::new();
    scene.run_file("host.run", "535.161.05-vgpu-kvm", "535.161.05", &[]);
    assert_snapshot!(scene.refused(&["host.run"], "535.161.05", &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: patch.sh failed (exit status 1); its last lines:
          package NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run not found
        help: it was given NVIDIA-Linux-x86_64-535.161.05-vgpu-kvm.run. It names the versions it wants in its first lines: each branch of the patcher is for one release
        ");
}

#[test]
fn a_damaged_run_file_is_an_error_though_the_script_goes_on() {
    let scene = Scene::new();
    let run = fs::read(scene.path("host.run")).unwrap();
    fs::write(scene.path("host.run"), &run[..700]).unwrap();
    let error = scene.refused(&["host.run"], HOST, &["vgpu-kvm"]);
    assert!(error.contains("cause: the .manifest of the patched driver"), "{error}");
    assert!(error.contains("its second line is not a version"), "{error}");
}

#[test]
fn unknown_options_and_targets_are_errors() {
    let scene = Scene::new();
    assert_snapshot!(scene.refused(&["host.run"], HOST, &["--remap-p2w", "--no-klogtrace", "--fast", "vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: patch.sh ignored what it does not know: --fast, --remap-p2w
        help: take that out of the patcher's options, or use a branch of the patcher that has it
        ");
    assert_snapshot!(scene.refused(&["host.run"], HOST, &["unlock"]), @r"
        error: cannot patch the driver
        cause: patch.sh failed (exit status 1); its last lines:
          Usage: ./patch.sh [options] <vgpu-kvm | grid | general | wsys | grid-merge | general-merge | vcfg>
        help: it was given NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run. It names the versions it wants in its first lines: each branch of the patcher is for one release
        ");
}

#[test]
fn options_that_newer_branches_do_not_need_may_be_unknown() {
    let scene = Scene::new().mode("newer");
    scene.command(&["host.run"]).arg("--").args(GPL).arg("vgpu-kvm").assert().success();
    let error = scene.command(&["host.run"]).arg("--").args(GPL).args(["--fast", "vgpu-kvm"]).output().unwrap();
    assert!(scene.error(&error).contains("ignored what it does not know: --fast\n"));
}

#[test]
fn the_tree_is_checked() {
    let refused = |mode| Scene::new().mode(mode).refused(&["host.run"], HOST, &["vgpu-kvm"]);
    assert_snapshot!(refused("no-manifest"), @r"
        error: cannot patch the driver
        cause: the patched driver NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm-patched has no .manifest
        cause: No such file or directory (os error 2)
        help: the log of patch.sh tells what went wrong while it unpacked the driver
        ");
    assert_snapshot!(refused("empty-manifest"), @r"
        error: cannot patch the driver
        cause: the .manifest of the patched driver NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm-patched is damaged: its second line is not a version
        help: the log of patch.sh tells what went wrong while it unpacked the driver
        ");
    assert_snapshot!(refused("no-entries"), @r"
    error: cannot patch the driver
    cause: the .manifest of the patched driver NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm-patched is damaged: it names no files
    help: the log of patch.sh tells what went wrong while it unpacked the driver
    ");
    assert_snapshot!(refused("missing-file"), @r"
        error: cannot patch the driver
        cause: the patched driver NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm-patched lacks 1 of the files its .manifest names: kernel/nvidia/nv.c
        help: kernel/unlock missing: the patcher's source came without its git submodule; else see the log of patch.sh
        ");
    assert_snapshot!(refused("other-version"), @r"
        error: cannot patch the driver
        cause: the patched driver is version 1.2.3, not 550.90.05
        help: the patcher belongs to another release; a merged driver has the version of the consumer driver (`generalVersion`)
        ");
    assert_snapshot!(refused("two-trees"), @r"
        error: cannot patch the driver
        cause: patch.sh left several patched drivers: NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm-patched, another-patched
        help: give it one target
        ");
}

#[test]
fn a_rejected_patch_is_an_error() {
    let scene = Scene::new();
    let patch = scene.path("patcher/patches/kbuild.patch");
    fs::set_permissions(&patch, PermissionsExt::from_mode(0o644)).unwrap();
    let hunk = "--- a/kernel/nvidia/nvidia.Kbuild\n+++ b/kernel/nvidia/nvidia.Kbuild\n@@ -1 +1 @@\n-OTHER = line\n+NEW = line\n";
    fs::write(&patch, hunk).unwrap();
    assert_snapshot!(scene.refused(&["host.run"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: patches did not apply to the driver; rejected: kernel/nvidia/nvidia.Kbuild.rej
        help: the patcher and the driver are not of one release; see the log of patch.sh
        ");
}

#[test]
fn a_missing_submodule_is_an_error() {
    let scene = Scene::new();
    fs::remove_file(scene.path("patcher/unlock/hooks.c")).unwrap();
    assert_snapshot!(scene.refused(&["host.run"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: the patched driver NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm-patched lacks 1 of the files its .manifest names: kernel/unlock/hooks.c
        help: kernel/unlock missing: the patcher's source came without its git submodule; else see the log of patch.sh
        ");
}

#[test]
fn wrong_inputs_are_named() {
    let scene = Scene::new();
    assert_snapshot!(scene.refused(&["nothing.run"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: DIR/nothing.run cannot be opened
        cause: No such file or directory (os error 2)
        help: check the path, and that you may read it
        ");
    fs::write(scene.path("broken.zip"), "PK\x03\x04 and no more").unwrap();
    assert_snapshot!(scene.refused(&["broken.zip"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: DIR/broken.zip is a damaged or incomplete .zip archive
        cause: invalid Zip archive: Could not find EOCD
        help: download it again and compare its size with the one NVIDIA's portal shows
        ");
    let mut zip = zip::ZipWriter::new(File::create(scene.path("other.zip")).unwrap());
    zip.start_file("readme.pdf", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    assert_snapshot!(scene.refused(&["other.zip"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: DIR/other.zip has no vgpu-kvm driver
        help: give the GRID archive for Linux with KVM, or the .run file itself
        ");
    fs::remove_file(scene.path("patcher/patch.sh")).unwrap();
    assert_snapshot!(scene.refused(&["host.run"], HOST, &["vgpu-kvm"]), @r"
        error: cannot patch the driver
        cause: DIR/patcher is no source of vGPU-Unlock-patcher: it has no patch.sh
        help: see that `rev` and `sha256` of the patcher belong to that repository
        ");
}

#[test]
fn a_run_file_cannot_choose_a_place_elsewhere() {
    let scene = Scene::new();
    scene.run_file("host.run", "../../evil", HOST, &[]);
    let error = scene.refused(&["host.run"], HOST, &["vgpu-kvm"]);
    assert!(error.contains("it was given host.run."), "{error}");
    assert!(!scene.path("evil.run").exists());
}

#[test]
fn an_existing_output_stays() {
    let scene = Scene::new();
    fs::create_dir(scene.path("here/out")).unwrap();
    let output = scene.command(&["host.run"]).args(["--out", "out", "--", "vgpu-kvm"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_snapshot!(scene.error(&output), @r"
        error: cannot patch the driver
        cause: out exists already
        help: name a directory that does not exist
        ");
    assert_eq!(scene.entries("here/out"), [""; 0]);
}

#[test]
fn results_stay_in_the_current_directory_and_replace_older_ones() {
    let scene = Scene::new();
    scene.archive();
    fs::copy(scene.path("host.run"), scene.path("here/NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run")).unwrap();
    for _ in 0..2 {
        let mut command = scene.command(&["grid.zip", "general.run"]);
        command.args(["--", "--repack", "general-merge"]).assert().success();
        assert_eq!(
            scene.entries("here"),
            [
                "NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run",
                "NVIDIA-Linux-x86_64-550.90.07-merged-vgpu-kvm-patched",
                "NVIDIA-Linux-x86_64-550.90.07-merged-vgpu-kvm-patched.run"
            ]
        );
    }
}

#[test]
fn windows_drivers_are_signed_with_the_certificate_of_an_earlier_run() {
    let scene = Scene::new();
    scene.archive();
    let tools = scene.path("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["7z", "msexpand", "osslsigncode"] {
        crate::program::write(&tools.join(tool), "#!/bin/sh\n");
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let wsys = |options: &[&str]| {
        scene.command(&["grid.zip"]).env("PATH", &path).arg("--").args(options).arg("wsys").output().unwrap()
    };
    let output = wsys(&[]);
    assert_eq!(output.status.code(), Some(1), "no certificate yet");
    assert!(scene.error(&output).contains("  testsign certificate missing, try with --create-cert option"));
    for options in [&["--create-cert"][..], &[], &["--create-cert"]] {
        assert!(wsys(options).status.success());
        assert_eq!(scene.entries("here"), ["NVIDIA-Windows-x86_64-552.74-patched", "wtestsign"]);
        assert_eq!(scene.read("here/wtestsign/wsys-test-cert.pfx"), "test certificate\n");
        assert_eq!(scene.read("here/NVIDIA-Windows-x86_64-552.74-patched/nvlddmkm.sys"), "MZ, a Windows installer");
        fs::remove_dir_all(scene.path("here/NVIDIA-Windows-x86_64-552.74-patched")).unwrap();
    }
}

#[test]
fn vcfg_changes_the_file_it_is_given_where_that_is() {
    let scene = Scene::new();
    fs::write(scene.path("here/vgpuConfig.xml"), "<vgpuconfig/>\n").unwrap();
    let vcfg = ["--", "vcfg", "vgpuConfig.xml", "0x1E30", "0x12BA", "0x1E84", "0x0000"];
    scene.command(&["host.run"]).args(vcfg).assert().success();
    assert_eq!(scene.read("here/vgpuConfig.xml"), "<vgpuconfig/>\n<!-- 0x1E30:0x12BA -> 0x1E84:0x0000 -->\n");
    let output = scene.command(&[]).args(["--", "vcfg", "none.xml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(scene.error(&output).contains("  Usage: "));
}

#[test]
fn without_a_target_the_script_tells_how_it_is_used() {
    let scene = Scene::new();
    let output = scene.command(&["a-gigabyte-that-is-not-read.zip"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(scene.error(&output).contains("[options] <vgpu-kvm | grid | general"));
}

#[test]
fn patched_drivers_install_like_any_other() {
    let scene = Scene::new();
    for (role, target, sources, files) in [
        ("host", "vgpu-kvm", &["host.run"][..], &["out/vgpuConfig.xml", "bin/bin/sriov-manage"][..]),
        ("guest", "grid", &["guest.run"], &["bin/bin/nvidia-gridd"]),
        (
            "host",
            "general-merge",
            &["host.run", "general.run"],
            &["out/vgpuConfig.xml", "bin/bin/sriov-manage", "bin/share/nvidia/nvidia-application-profiles-rc"],
        ),
    ] {
        scene.command(sources).args(["--out", target, "--", target]).assert().success();
        let mut build = assert_cmd::Command::cargo_bin("vgpu").unwrap();
        build.current_dir(scene.path("here")).args(["build", target, "--role", role, "--out", "installed"]);
        build.assert().success();
        for file in [&["modsrc/kernel/unlock/hooks.c"], files].concat() {
            assert!(scene.path(&format!("here/installed/{file}")).exists(), "{target} lacks {file}");
        }
        fs::remove_dir_all(scene.path("here/installed")).unwrap();
    }
}
