//! What a host has and what it should have: which vGPU belongs to which name, and who has it open.

use super::declaration::{Declaration, Instance, Name};
use super::memory::Memory;
use super::profiles::Profiles;
use crate::machine::processes::VfioUsers;
use crate::machine::vgpu::{HostGpu, Interface, Vgpu};

/// A machine and what it should be.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    pub declaration: &'a Declaration,
    pub memory: &'a Memory,
    pub gpus: &'a [HostGpu],
    pub users: &'a VfioUsers,
    pub profiles: &'a Profiles,
    /// The number of this start of the machine.
    pub boot: &'a str,
}

impl<'a> Situation<'a> {
    fn vgpus(&self) -> impl Iterator<Item = &'a Vgpu> {
        self.gpus.iter().flat_map(|gpu| &gpu.vgpus)
    }

    /// The vGPU that was made for a name since the start of the machine, if it still exists.
    pub fn made(&self, name: &Name) -> Option<&'a Vgpu> {
        let remembered = self.memory.instances.get(name).filter(|remembered| remembered.boot == self.boot)?;
        self.vgpus().find(|vgpu| match vgpu.interface {
            Interface::Vfio => vgpu.function == remembered.function && vgpu.type_id == Some(remembered.type_id),
            _ => vgpu.uuid == remembered.uuid,
        })
    }

    /// The vGPU of a name, even if somebody else made it: it has the function or the UUID that the name asks for.
    pub fn existing(&self, name: &Name, instance: &Instance) -> Option<&'a Vgpu> {
        let types = self.profiles.find(&instance.profile).unwrap_or_default();
        let with_uuid = |vgpu: &&Vgpu| vgpu.uuid == Some(instance.uuid.unwrap_or(name.uuid()));
        let on_function = |vgpu: &&Vgpu| {
            vgpu.interface == Interface::Vfio
                && Some(vgpu.function) == instance.virtual_function
                && vgpu.type_id.is_some_and(|id| types.contains(&id))
                && !self.belongs_to_another(name, vgpu)
        };
        self.made(name).or_else(|| self.vgpus().find(with_uuid)).or_else(|| self.vgpus().find(on_function))
    }

    fn belongs_to_another(&self, name: &Name, vgpu: &Vgpu) -> bool {
        let others = self.memory.instances.keys().filter(|other| *other != name);
        others.filter_map(|other| self.made(other)).any(|made| made == vgpu)
    }

    /// Whether we may remove it: we made it, or its UUID was made from its name.
    pub fn is_ours(&self, name: &Name, vgpu: &Vgpu) -> bool {
        vgpu.uuid == Some(name.uuid()) || self.made(name) == Some(vgpu)
    }

    /// The profile of a vGPU, in words.
    pub fn describe(&self, vgpu: &Vgpu) -> String {
        vgpu.type_name.clone().or_else(|| Some(self.profiles.name(vgpu.type_id?))).unwrap_or_default()
    }

    /// Who has a vGPU open: "virtual machine win10 (process 4711)".
    pub fn user(&self, vgpu: &Vgpu) -> Option<String> {
        user(self.users, vgpu)
    }
}

/// Who has a vGPU open: "virtual machine win10 (process 4711)".
pub fn user(users: &VfioUsers, vgpu: &Vgpu) -> Option<String> {
    let process = users.of(vgpu.iommu_group, vgpu.vfio_device.as_deref());
    match (process.and_then(|process| process.vm.as_ref()).or(vgpu.vm_name.as_ref()), process) {
        (Some(vm), Some(process)) => Some(format!("virtual machine {vm} (process {})", process.pid)),
        (Some(vm), None) => Some(format!("virtual machine {vm}")),
        (None, Some(process)) => Some(format!("{} (process {})", process.command, process.pid)),
        (None, None) => None,
    }
}
