//! What a virtual machine needs to use a vGPU: XML for libvirt, or arguments for QEMU.

use std::path::Path;

use super::declaration::{Declaration, Name};
use super::place::outside;
use super::view::View;
use crate::machine::vgpu::{Interface, Vgpu};

/// The vGPU of a name that a virtual machine can be given now.
pub fn find(view: &View, declaration: &Declaration, name: &Name) -> Option<Vgpu> {
    let wanted = view.wanted(declaration);
    let situation = view.situation(&wanted);
    let instance = wanted.instances.get(name);
    let existing = instance.and_then(|instance| situation.existing(name, instance));
    existing.or_else(|| situation.made(name)).cloned()
}

/// What libvirt's domain needs below `<devices>`.
///
/// `managed='no'` is important. With `managed='yes'`, libvirt binds the virtual function to vfio-pci, and the vGPU is gone.
pub fn libvirt(vgpu: &Vgpu) -> String {
    let (kind, address) = match (vgpu.interface, vgpu.uuid) {
        (Interface::Mdev | Interface::SriovMdev, Some(uuid)) => {
            ("type='mdev' managed='no' model='vfio-pci'", format!("uuid='{uuid}'"))
        }
        _ => {
            let at = vgpu.function;
            let address = format!(
                "domain='{:#06x}' bus='{:#04x}' slot='{:#04x}' function='{:#x}'",
                at.domain, at.bus, at.slot, at.function
            );
            ("type='pci' managed='no'", address)
        }
    };
    format!("<hostdev mode='subsystem' {kind}>\n  <source>\n    <address {address}/>\n  </source>\n</hostdev>")
}

/// The arguments for QEMU. NVIDIA's manager starts no vGPU for a virtual machine without a UUID.
pub fn qemu(root: &Path, name: &Name, vgpu: &Vgpu) -> String {
    let device = outside(root, &vgpu.directory);
    format!("-uuid {} -device vfio-pci,sysfsdev={}", name.vm_uuid(), device.display())
}
