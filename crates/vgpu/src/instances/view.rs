//! The vGPUs of a machine as they are now: which exist, who uses them, and which we made.

use std::path::Path;

use super::declaration::Declaration;
use super::memory::{self, Memory};
use super::profiles::Profiles;
use super::situation::Situation;
use crate::machine::processes::VfioUsers;
use crate::machine::vgpu::{self, HostGpu};

/// The vGPUs of a machine, as they are now.
pub struct View {
    pub gpus: Vec<HostGpu>,
    pub users: VfioUsers,
    pub profiles: Profiles,
    pub memory: Memory,
    pub boot: String,
}

impl View {
    /// Reads the state of a machine.
    ///
    /// # Errors
    /// When /var/lib/vgpu/instances.json cannot be read.
    pub fn read(root: &Path) -> Result<View, memory::Error> {
        let gpus = vgpu::host_gpus(root);
        Ok(View {
            profiles: Profiles::read(root, &gpus),
            users: VfioUsers::read(root),
            memory: Memory::read(root)?,
            boot: memory::boot(root),
            gpus,
        })
    }

    /// The declared instances, and those that were made by hand since the start of the machine.
    pub fn wanted(&self, declaration: &Declaration) -> Declaration {
        let mut wanted = declaration.clone();
        for (name, remembered) in &self.memory.instances {
            if let Some(instance) = remembered.by_hand.as_ref().filter(|_| remembered.boot == self.boot) {
                wanted.instances.entry(name.clone()).or_insert_with(|| instance.clone());
            }
        }
        wanted
    }

    pub fn situation<'a>(&'a self, wanted: &'a Declaration) -> Situation<'a> {
        let View { gpus, users, profiles, memory, boot } = self;
        Situation { declaration: wanted, memory, gpus, users, profiles, boot }
    }
}
