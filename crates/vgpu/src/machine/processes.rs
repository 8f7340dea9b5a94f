//! Finds out who has a vGPU open: processes with /dev/vfio/N open, and their virtual machines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::files;

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Process {
    pub pid: u32,
    /// Name of the program: qemu-system-x86.
    pub command: String,
    /// Name of the virtual machine, from QEMU's `-name`.
    pub vm: Option<String>,
    /// UUID of the virtual machine, from QEMU's `-uuid`. NVIDIA's library uses it as its name.
    #[serde(skip)]
    pub vm_uuid: Option<String>,
}

/// The open devices of VFIO: names below /dev/vfio (`12` for a group, `devices/vfio3` for a device) with their processes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VfioUsers {
    users: BTreeMap<String, Process>,
    /// Whether the files of all processes could be read. Only root may.
    pub complete: bool,
}

impl VfioUsers {
    /// Reads the open files of all processes.
    pub fn read(root: &Path) -> VfioUsers {
        let mut found = VfioUsers { users: BTreeMap::new(), complete: true };
        for process in files::entries(&root.join("proc")) {
            let Some(pid) = files::name(&process).and_then(|name| name.parse().ok()) else { continue };
            match fs::read_dir(process.join("fd")) {
                Ok(open) => {
                    for file in open.flatten() {
                        let Ok(target) = fs::read_link(file.path()) else { continue };
                        let Ok(device) = target.strip_prefix("/dev/vfio") else { continue };
                        let device = device.to_string_lossy().into_owned();
                        if device != "vfio" {
                            found.users.entry(device).or_insert_with(|| describe(pid, &process));
                        }
                    }
                }
                // It has ended, or we may not read its files.
                Err(error) => found.complete &= error.kind() != std::io::ErrorKind::PermissionDenied,
            }
        }
        found
    }

    /// All processes that have a device of VFIO open.
    pub fn all(&self) -> impl Iterator<Item = &Process> {
        self.users.values()
    }

    /// Who has a vGPU open: by the group of its IOMMU, or by its device (`vfio3`) below /dev/vfio/devices.
    pub fn of(&self, iommu_group: Option<u32>, vfio_device: Option<&str>) -> Option<&Process> {
        let group = iommu_group.and_then(|group| self.users.get(&group.to_string()));
        group.or_else(|| self.users.get(&format!("devices/{}", vfio_device?)))
    }
}

fn describe(pid: u32, process: &Path) -> Process {
    let command_line = fs::read(process.join("cmdline")).unwrap_or_default();
    let arguments =
        command_line.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned());
    let arguments: Vec<String> = arguments.collect();
    Process {
        pid,
        command: files::read(&process.join("comm")).unwrap_or_default(),
        vm: vm_name(&arguments),
        vm_uuid: value_of(&arguments, "uuid").map(str::to_owned),
    }
}

/// The name of a virtual machine in QEMU's arguments: `-name win10`, `-name guest=win10,debug-threads=on`.
fn vm_name(arguments: &[String]) -> Option<String> {
    let parts: Vec<&str> = value_of(arguments, "name")?.split(',').collect();
    let named = parts.iter().find_map(|part| part.strip_prefix("guest="));
    let first = parts.first().copied().filter(|part| !part.contains('='));
    named.or(first).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The value of an option of QEMU's, written with one dash or two.
fn value_of<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
    let dashed = |argument: &String| argument.strip_prefix("--").or(argument.strip_prefix('-')) == Some(option);
    let at = arguments.iter().position(dashed)?;
    arguments.get(at + 1).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_machines_are_named_as_qemu_is_told() {
        let name = |text: &str| vm_name(&["qemu".to_owned(), "-name".to_owned(), text.to_owned()]);
        assert_eq!(name("win10").as_deref(), Some("win10"));
        assert_eq!(name("guest=win 10,debug-threads=on").as_deref(), Some("win 10"));
        assert_eq!(name("win10,process=x").as_deref(), Some("win10"));
        assert_eq!(name("debug-threads=on"), None);
        assert_eq!(vm_name(&["qemu".to_owned(), "-name".to_owned()]), None);
    }
}
