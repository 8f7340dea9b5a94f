//! A host's units, /etc and udev rules as NixOS' own modules make them, under a real systemd on a real kernel.
//!
//! nix/tests/booted.nix makes two systems of a driver that is built from the sample archive, with stand-ins of NVIDIA's
//! programs in it; kernel/run starts the first in QEMU, and the scene switches to the second with NixOS' own script.
//! This needs the tools of both. If something is missing, it says so and passes, unless VGPU_REQUIRE_NIX or
//! VGPU_REQUIRE_KERNEL is set.

#[path = "support/kernel_bed.rs"]
mod kernel_bed;
mod nix_store;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix_store::{NixStore, programs, quoted, skip};
use vgpu::nix::sri::Sri;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// In seconds. On an idle machine it takes one minute.
const LIMIT: &str = "600";

/// The nixpkgs whose modules are evaluated, if there is one with NixOS and with the script that switches in it.
fn nixpkgs() -> Option<PathBuf> {
    let found = Command::new("nix-instantiate").args(["--find-file", "nixpkgs"]).output();
    let Some(found) = found.ok().filter(|output| output.status.success()) else {
        skip("<nixpkgs> was not found", nix_store::REQUIRED);
        return None;
    };
    let nixpkgs = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    let script = "nixos/modules/system/activation/switch-to-configuration.pl";
    if !nixpkgs.join(script).is_file() {
        skip(&format!("<nixpkgs> has no {script}"), "VGPU_REQUIRE_NIXOS_SCRIPT");
        return None;
    }
    Some(nixpkgs)
}

/// Makes the stand-ins for NVIDIA's programs, by their names in the driver.
fn stand_ins(directory: &Path) {
    let compile = |arguments: &[&str], source: &str, name: &str| {
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-Wall", "-Werror"]).args(arguments);
        gcc.arg("-o").arg(directory.join(name)).arg(format!("{}/guest/{source}", kernel_bed::HERE));
        assert!(gcc.status().unwrap().success(), "{gcc:?}");
    };
    compile(&[], "daemon.c", "nvidia-vgpud");
    compile(&[], "daemon.c", "nvidia-vgpu-mgr");
    compile(&["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"], "nvml.c", "libnvidia-ml.so.550.163.02");
    for file in ["sriov-manage", "vgpuConfig.xml"] {
        fs::copy(format!("{}/guest/{file}", kernel_bed::HERE), directory.join(file)).unwrap();
    }
}

#[test]
fn a_host_starts_and_is_switched_under_its_virtual_machines() {
    let Some(nixpkgs) = nixpkgs() else { return };
    let Some(store) = NixStore::new() else { return };
    let files = tempfile::tempdir().unwrap();
    let (name, archive) = vgpu_sample::grid_archive().unwrap();
    let archive_file = files.path().join(name);
    fs::write(&archive_file, &archive).unwrap();
    store.add(&archive_file);
    let programs_of_nvidia = files.path().join("stand-ins");
    fs::create_dir(&programs_of_nvidia).unwrap();
    stand_ins(&programs_of_nvidia);

    let zip = {
        use sha2::Digest;
        Sri::of_digest(sha2::Sha256::digest(&archive).into()).to_string()
    };
    let systems = store.build(&format!(
        "import {ROOT}/nix/tests/booted.nix {{ nixpkgs = {}; vgpu = {}; zip = \"{zip}\"; standIns = {}; }}",
        nixpkgs.display(),
        quoted(&programs()),
        quoted(&programs_of_nvidia)
    ));

    let mut run = kernel_bed::run(LIMIT);
    run.arg("--systems").arg(&systems[0]);
    if let Err(why) = kernel_bed::play(store.prepare(&mut run), "nixos/host.sh") {
        skip(&why, kernel_bed::REQUIRED);
    }
}
