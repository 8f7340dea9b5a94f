//! Files that were given by hash or by name. No file in the current directory replaces them.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::packages::Store;
use crate::scene::Scene;

const HOST_RUN: &str = "here/NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run";
const GUEST_RUN: &str = "here/NVIDIA-Linux-x86_64-550.90.07-grid.run";
const WINDOWS: &str = "here/552.74_grid_win10_win11_server2022_dch_64bit_international.exe";

/// What `vgpu-patcher` says when it may not use what is in the current directory. Nothing is left there.
fn differs(scene: &Scene, sources: &[&str], target: &str) -> String {
    let before = scene.entries("here");
    let output = scene.command(sources).args(["--", target]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    assert_eq!(scene.entries("here"), before, "something is left");
    scene.error(&output)
}

#[test]
fn another_file_under_the_name_of_one_that_was_asked_for_is_an_error() {
    let scene = Scene::new();
    scene.run_file(HOST_RUN, "550.90.05-vgpu-kvm", "550.90.05", &[("evil", "UTILITY_BINARY")]);
    assert_snapshot!(differs(&scene, &["host.run"], "vgpu-kvm"), @r"
        error: cannot patch the driver
        cause: DIR/here/NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run is not the file of that name that patch.sh is to have
        help: give it another name, or remove it: patch.sh gets that file from --source. nvidia-vup has those that the configuration pins by their hashes
        ");
    let same = differs(&scene, &["host.run"], "vgpu-kvm");
    scene.archive();
    assert_eq!(differs(&scene, &["grid.zip"], "vgpu-kvm"), same);
    // This holds even if, as far as we know, this target does not need the file.
    assert_eq!(differs(&scene, &["grid.zip"], "grid"), same);
    // It has the same length, and differs only at the end.
    let mut flipped = fs::read(scene.path("host.run")).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(scene.path(HOST_RUN), flipped).unwrap();
    assert_eq!(differs(&scene, &["host.run"], "vgpu-kvm"), same);
}

#[test]
fn whatever_has_the_name_is_compared() {
    for (file, target) in [(HOST_RUN, "vgpu-kvm"), (GUEST_RUN, "grid"), (WINDOWS, "wsys")] {
        let scene = Scene::new();
        scene.archive();
        let name = file.strip_prefix("here/").unwrap();
        let says_so = || {
            let start = Instant::now();
            let error = differs(&scene, &["grid.zip"], target);
            assert!(error.contains(&format!("{name} is not the file of that name")), "{error}");
            assert!(start.elapsed() < Duration::from_secs(20), "it waits for something");
        };
        fs::write(scene.path(file), "").unwrap();
        says_so();
        fs::remove_file(scene.path(file)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", scene.path(file)).unwrap();
        says_so();
        fs::remove_file(scene.path(file)).unwrap();
        assert!(Command::new("mkfifo").arg(scene.path(file)).status().unwrap().success());
        says_so();
        fs::remove_file(scene.path(file)).unwrap();
        fs::create_dir(scene.path(file)).unwrap();
        says_so();
    }
}

#[test]
fn the_same_file_is_welcome() {
    let scene = Scene::new();
    scene.archive();
    fs::copy(scene.path("guest.run"), scene.path(GUEST_RUN)).unwrap();
    std::os::unix::fs::symlink(scene.path("host.run"), scene.path(HOST_RUN)).unwrap();
    for (sources, target) in [(&["grid.zip"][..], "grid"), (&["host.run", "guest.run"], "vgpu-kvm")] {
        scene.command(sources).args(["--", target]).assert().success();
    }
    // Two files with the same name were given, and they differ.
    scene.run_file("other.run", "550.90.05-vgpu-kvm", "550.90.05", &[("other", "UTILITY_BINARY")]);
    let error = differs(&scene, &["host.run", "other.run"], "vgpu-kvm");
    assert!(error.contains("DIR/other.run is not the file of that name"), "{error}");
}

#[test]
fn nvidia_vup_uses_what_is_pinned() {
    let Some(store) = Store::new() else { return };
    for (file, target, name) in [("grid.zip", "vgpu-kvm", HOST_RUN), ("host.run", "grid", GUEST_RUN)] {
        let program = store.build(&format!("command {file:?}")).join("bin/nvidia-vup");
        let run = || Command::new(&program).arg(target).current_dir(store.scene.path("here")).output().unwrap();
        fs::write(store.scene.path(name), "#!/bin/sh\n: > \"$3/evil\"\n").unwrap();
        let output = run();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("is not the file of that name that patch.sh is to have"), "{stderr}");
        assert_eq!(store.scene.entries("here"), [name.strip_prefix("here/").unwrap()]);
        fs::remove_file(store.scene.path(name)).unwrap();
        assert!(run().status.success());
        fs::remove_dir_all(store.scene.path("here")).unwrap();
        fs::create_dir(store.scene.path("here")).unwrap();
    }
}
