//! Scenes on a real kernel, in QEMU, with a test module that offers NVIDIA's vGPU interfaces; see README.md here.
//!
//! Where the kernel was not downloaded yet, or QEMU is missing, they say so and pass, unless VGPU_REQUIRE_KERNEL is set.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "../support/kernel_bed.rs"]
mod kernel_bed;
#[path = "../support/skip.rs"]
mod skip;

use skip::skip;

/// In seconds, for one start of the machine. Killing a program at fifty moments takes a minute on an idle machine, and an
/// emulated one is the first to starve on a busy one.
const LIMIT: &str = "1200";

fn play(scene: &str) {
    let mut run = kernel_bed::run(LIMIT);
    run.args(["--vgpu", env!("CARGO_BIN_EXE_vgpu")]);
    if let Err(why) = kernel_bed::play(&mut run, scene) {
        skip(&why, kernel_bed::REQUIRED);
    }
}

macro_rules! scenes {
    ($($name:ident $file:literal)*) => {
        $(#[test] fn $name() { play($file) })*
        const SCENES: &[&str] = &[$($file),*];
    };
}

scenes! {
    bed_vendor "bed/vendor.sh"
    bed_mdev "bed/mdev.sh"
    bed_functions "bed/functions.sh"
    bed_restart "bed/restart.sh"
    doctor "doctor.sh"
    instances_cold_boot "instances/cold_boot.sh"
    instances_restart "instances/restart.sh"
    instances_changes "instances/changes.sh"
    instances_mdev "instances/mdev.sh"
    instances_refused "instances/refused.sh"
    instances_types "instances/types.sh"
    instances_functions "instances/functions.sh"
    instances_mixed "instances/mixed.sh"
    instances_killed "instances/killed.sh"
    instances_two "instances/two.sh"
}

#[test]
fn every_scene_is_played() {
    let mut found = BTreeSet::new();
    for directory in ["", "bed/", "instances/"] {
        for entry in fs::read_dir(Path::new(kernel_bed::HERE).join("scenes").join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".sh") {
                found.insert(format!("{directory}{name}"));
            }
        }
    }
    assert_eq!(found, SCENES.iter().map(|scene| scene.to_string()).collect());
}
