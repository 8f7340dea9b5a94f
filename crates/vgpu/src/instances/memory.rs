//! Remembers which vGPU was made for which name: /var/lib/vgpu/instances.json.
//!
//! A virtual machine is given a virtual function, so a name keeps its function over restarts. A vGPU on a function has no
//! name of its own: only this file tells our vGPUs from others. It is written *before* a vGPU is made, and after one is
//! removed. So we always recognise our vGPUs, even if we were killed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::declaration::{Instance, Name};
use crate::machine::pci::Address;

const DIRECTORY: &str = "var/lib/vgpu";
const FILE: &str = "instances.json";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Memory {
    pub instances: BTreeMap<Name, Remembered>,
}

/// Where the vGPU of a name is, or was before the last restart.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Remembered {
    pub gpu: Address,
    /// The virtual function, or the GPU itself if it has mediated devices of its own.
    pub function: Address,
    /// UUID of a mediated device.
    pub uuid: Option<Uuid>,
    pub type_id: u32,
    /// The start of the machine in which we made it. vGPUs do not outlive a restart.
    pub boot: String,
    /// What the user asked for by hand. The declaration does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<Instance>,
}

/// Why the memory could not be read or written.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error("cannot read {}", .0.display())]
    #[diagnostic(help(
        "it says where vGPUs are; if it is damaged, remove it and restart the machine: all vGPUs are made again"
    ))]
    Read(PathBuf, #[source] std::io::Error),
    #[error("{} is damaged", .0.display())]
    #[diagnostic(help("it says where vGPUs are: shut virtual machines down, remove it, and restart the machine"))]
    Damaged(PathBuf, #[source] serde_json::Error),
    #[error("cannot write {}", .0.display())]
    #[diagnostic(help("run it as root; what was made is written there first, so nothing was made"))]
    Write(PathBuf, #[source] std::io::Error),
}

impl Memory {
    /// What is remembered on a machine. Empty if it had no vGPU yet.
    pub fn read(root: &Path) -> Result<Memory, Error> {
        let path = root.join(DIRECTORY).join(FILE);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| Error::Damaged(path, error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Memory::default()),
            Err(error) => Err(Error::Read(path, error)),
        }
    }

    /// Writes it to the disk in one step. The temporary file always has the same name, so that killed runs do not leave many.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        let directory = root.join(DIRECTORY);
        let write = || {
            let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
            fs::create_dir_all(&directory)?;
            let new = directory.join(".instances.json.new");
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, directory.join(FILE))?;
            File::open(&directory)?.sync_all()
        };
        write().map_err(|error| Error::Write(directory.join(FILE), error))
    }
}

/// The number of this start of the machine.
pub fn boot(root: &Path) -> String {
    fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).unwrap_or_default().trim().to_owned()
}
