//! A machine as a directory tree: what the kernel and NVIDIA's driver show in /sys and /proc of a host with vGPUs.
//!
//! Files in it have no effect when they are written. So it is for code that only reads.
#![allow(dead_code)] // Each test program uses its part.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub struct MachineTree {
    directory: TempDir,
}

/// A type of vGPU as the kernel shows it: number, name, how many more.
pub type Type<'a> = (u32, &'a str, u32);

impl MachineTree {
    /// A machine with nothing in it.
    pub fn new() -> MachineTree {
        MachineTree { directory: tempfile::tempdir().unwrap() }
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// A file, and the directories above it.
    pub fn file(&self, path: &str, text: &str) -> &MachineTree {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A symbolic link, and the directories above it. It replaces an old link.
    pub fn link(&self, path: &str, target: &str) -> &MachineTree {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
        self
    }

    /// The directory of a function in sysfs, relative to the root.
    pub fn device(&self, address: &str) -> String {
        format!("sys/devices/pci0000:40/{address}")
    }

    /// NVIDIA's host driver, loaded, in a version.
    pub fn driver(&self, version: &str) -> &MachineTree {
        self.file(
            "proc/driver/nvidia/version",
            &format!("NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Sun Mar 30 00:00:00 UTC 2025\n"),
        );
        self.file(
            "proc/modules",
            "nvidia_vgpu_vfio 86016 0 - Live 0x0000000000000000 (OE)\nnvidia 54423552 1 nvidia_vgpu_vfio, Live 0x0000000000000000 (POE)\n",
        )
    }

    /// A GPU of NVIDIA's, with the driver `nvidia`. Device and subsystem are hexadecimal: 2235, 145a.
    pub fn gpu(&self, address: &str, device: &str, subsystem: &str) -> &MachineTree {
        self.function(address, device, subsystem);
        self.file(&format!("proc/driver/nvidia/gpus/{address}/unbindLock"), "0\n")
    }

    fn function(&self, address: &str, device: &str, subsystem: &str) {
        let directory = self.device(address);
        for (name, value) in [
            ("vendor", "0x10de"),
            ("device", &format!("0x{device}")),
            ("subsystem_vendor", "0x10de"),
            ("subsystem_device", &format!("0x{subsystem}")),
            ("class", "0x030200"),
            ("numa_node", "-1"),
        ] {
            self.file(&format!("{directory}/{name}"), &format!("{value}\n"));
        }
        self.link(&format!("{directory}/driver"), "../../../bus/pci/drivers/nvidia");
        self.link(&format!("sys/bus/pci/devices/{address}"), &format!("../../../devices/pci0000:40/{address}"));
    }

    /// SR-IOV of a GPU: how many virtual functions it can have, and the addresses of those that are on.
    pub fn sriov(&self, gpu: &str, total: u32, functions: &[&str]) -> &MachineTree {
        let directory = self.device(gpu);
        self.file(&format!("{directory}/sriov_totalvfs"), &format!("{total}\n"));
        self.file(&format!("{directory}/sriov_numvfs"), &format!("{}\n", functions.len()));
        let id =
            |name: &str| fs::read_to_string(self.root().join(&directory).join(name)).unwrap().trim()[2..].to_owned();
        let device = id("device");
        for (number, address) in functions.iter().enumerate() {
            self.function(address, &device, "0000");
            self.link(&format!("{directory}/virtfn{number}"), &format!("../{address}"));
            self.link(&format!("{}/physfn", self.device(address)), &format!("../{gpu}"));
            self.group(address, 100 + number as u32);
        }
        self
    }

    /// The IOMMU group of a function.
    pub fn group(&self, address: &str, group: u32) -> &MachineTree {
        self.file(&format!("sys/kernel/iommu_groups/{group}/type"), "DMA-FQ\n");
        self.link(&format!("{}/iommu_group", self.device(address)), &format!("../../../kernel/iommu_groups/{group}"))
    }

    /// A function as a parent of mediated devices, with its types.
    pub fn mdev_parent(&self, address: &str, types: &[Type]) -> &MachineTree {
        let directory = self.device(address);
        for (id, name, available) in types {
            let kind = format!("{directory}/mdev_supported_types/nvidia-{id}");
            self.file(&format!("{kind}/name"), &format!("{name}\n"));
            self.file(&format!("{kind}/available_instances"), &format!("{available}\n"));
            self.file(&format!("{kind}/device_api"), "vfio-pci\n");
            self.file(&format!("{kind}/create"), "");
            fs::create_dir_all(self.root().join(format!("{kind}/devices"))).unwrap();
        }
        self.link(&format!("sys/class/mdev_bus/{address}"), &format!("../../devices/pci0000:40/{address}"))
    }

    /// A mediated device on a parent, of one of its types.
    pub fn mdev(&self, parent: &str, uuid: &str, type_id: u32, group: u32) -> &MachineTree {
        let directory = format!("{}/{uuid}", self.device(parent));
        self.file(&format!("{directory}/nvidia/vgpu_params"), "\n");
        self.file(&format!("{directory}/remove"), "");
        self.link(&format!("{directory}/mdev_type"), &format!("../mdev_supported_types/nvidia-{type_id}"));
        self.link(&format!("{directory}/iommu_group"), &format!("../../../../kernel/iommu_groups/{group}"));
        self.link(&format!("sys/bus/mdev/devices/{uuid}"), &format!("../../../devices/pci0000:40/{parent}/{uuid}"))
    }

    /// NVIDIA's own files on a virtual function: the type that it has (0 for none) and those it could get.
    pub fn vfio(&self, address: &str, current: u32, creatable: &[(u32, &str)]) -> &MachineTree {
        let directory = self.device(address);
        let lines: String = creatable.iter().map(|(id, name)| format!("{id:<5} : {name}\n")).collect();
        self.file(&format!("{directory}/nvidia/creatable_vgpu_types"), &format!("ID    : vGPU Name\n{lines}"));
        self.file(&format!("{directory}/nvidia/current_vgpu_type"), &format!("{current}\n"));
        self.file(&format!("{directory}/nvidia/vgpu_params"), "\n")
    }

    /// A virtual machine that holds a file below /dev/vfio open.
    pub fn virtual_machine(&self, pid: u32, name: &str, device: &str) -> &MachineTree {
        self.file(&format!("proc/{pid}/comm"), "qemu-system-x86\n");
        self.file(
            &format!("proc/{pid}/cmdline"),
            &format!("/usr/bin/qemu-system-x86_64\0-name\0guest={name},debug-threads=on\0"),
        );
        self.link(&format!("proc/{pid}/fd/3"), "/dev/vfio/vfio");
        self.link(&format!("proc/{pid}/fd/31"), &format!("/dev/vfio/{device}"))
    }

    /// The path below the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }
}
