//! Any bytes as files of /sys, /proc and /etc: all that is read of a machine is read without a panic, and what is written into
//! Nix of it is the Nix that it should be.
//!
//! The input is a list of files: a byte that chooses the file, its content, and a byte 0x1e. They lie in memory, as most of
//! the time would go to making and removing them on a disk.

#![no_main]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use vgpu::machine::overview::Machine;
use vgpu::machine::{driver, names, options, processes, services, vgpu as vgpus};
use vgpu::nix::starter;
use vgpu_driver::Role;

const FILES: [&str; 30] = [
    "etc/os-release",
    "etc/modprobe.d/a.conf",
    "proc/cpuinfo",
    "proc/cmdline",
    "proc/modules",
    "proc/driver/nvidia/version",
    "proc/driver/nvidia/params",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/hostname",
    "proc/7/cmdline",
    "proc/7/comm",
    "usr/share/hwdata/pci.ids",
    "etc/systemd/system/nvidia-gridd.service",
    "sys/bus/pci/devices/0000:01:00.0/vendor",
    "sys/bus/pci/devices/0000:01:00.0/device",
    "sys/bus/pci/devices/0000:01:00.0/class",
    "sys/bus/pci/devices/0000:01:00.0/subsystem_device",
    "sys/bus/pci/devices/0000:01:00.0/sriov_totalvfs",
    "sys/bus/pci/devices/0000:01:00.0/sriov_numvfs",
    "sys/bus/pci/devices/0000:01:00.0/numa_node",
    "sys/bus/pci/devices/0000:01:00.0/mdev_supported_types/nvidia-1/name",
    "sys/bus/pci/devices/0000:01:00.0/mdev_supported_types/nvidia-1/available_instances",
    "sys/bus/pci/devices/0000:01:00.4/vendor",
    "sys/bus/pci/devices/0000:01:00.4/device",
    "sys/bus/pci/devices/0000:01:00.4/class",
    "sys/bus/pci/devices/0000:01:00.4/nvidia/current_vgpu_type",
    "sys/bus/pci/devices/0000:01:00.4/nvidia/creatable_vgpu_types",
    "sys/bus/pci/devices/0000:01:00.4/nvidia/vgpu_params",
    "sys/bus/mdev/devices/e3a1e9a4-0000-4000-8000-000000000000/nvidia/vm_name",
    "sys/kernel/iommu_groups/1/type",
];

/// Their content is the target of a link.
const LINKS: [&str; 5] = [
    "sys/bus/pci/devices/0000:01:00.0/virtfn0",
    "sys/bus/pci/devices/0000:01:00.0/driver",
    "sys/bus/pci/devices/0000:01:00.4/physfn",
    "sys/bus/pci/devices/0000:01:00.4/iommu_group",
    "proc/7/fd/3",
];

/// What was parsed already: parsing takes longer than all the rest, and most machines give the same text.
static PARSED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fuzz_target!(|data: &[u8]| {
    let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let root = place.path();
    for entry in data.split(|&byte| byte == 0x1e).take(64) {
        let Some((&choice, content)) = entry.split_first() else { continue };
        write(root, usize::from(choice) % (FILES.len() + LINKS.len()), content);
    }
    let machine = Machine::read(root);
    for role in [Role::Host, Role::Guest] {
        let flake = starter::flake(&machine, role);
        if !PARSED.lock().unwrap().contains(&flake) {
            let errors = rnix::Root::parse(&flake).errors().to_vec();
            assert!(errors.is_empty(), "{errors:?} in:\n{flake}");
            PARSED.lock().unwrap().insert(flake);
        }
    }
    for gpu in vgpus::host_gpus(root) {
        let _ = (gpu.address(), gpu.knows_types(), gpu.interface());
        gpu.vgpus.iter().for_each(|vgpu| _ = vgpu.placement());
    }
    let _ = (driver::modules(root), driver::version(root), options::in_effect(root), options::set(root));
    let _ = names::of_devices(root, &[0x2235, 0x1e30]);
    assert!(processes::VfioUsers::read(root).all().count() <= 1);
    assert_eq!(services::states(root, &["nvidia-gridd", "nvidia-vgpud"]).len(), 2);
});

fn write(root: &Path, choice: usize, content: &[u8]) {
    let path = root.join(FILES.iter().chain(&LINKS).nth(choice).unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if choice < FILES.len() {
        fs::write(path, content).unwrap();
    } else if let Ok(target) = std::str::from_utf8(content) {
        let _ = symlink(target.trim(), path);
    }
}
