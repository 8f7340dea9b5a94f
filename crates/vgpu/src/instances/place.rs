//! Sets up what a vGPU needs besides sysfs: the link /run/vgpu/NAME, and who may open /dev/vfio/N.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::declaration::{Declaration, Instance, Name};
use super::view::View;
use crate::machine::vgpu::Vgpu;

/// The directory of the links and of the lock.
pub const DIRECTORY: &str = "run/vgpu";

/// Makes one link a name in /run/vgpu, and removes all other links. Links that are right stay.
///
/// # Errors
/// When the directory can't be written to.
pub fn link(root: &Path, vgpus: &BTreeMap<&Name, &Vgpu>) -> io::Result<()> {
    let directory = root.join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        let name: Option<Name> = entry.file_name().into_string().ok().and_then(|name| name.parse().ok());
        let wanted = name.is_some_and(|name| vgpus.contains_key(&name));
        if entry.file_type()?.is_symlink() && !wanted {
            fs::remove_file(entry.path())?;
        }
    }
    for (name, vgpu) in vgpus {
        let (link, target) = (directory.join(name.to_string()), outside(root, &vgpu.directory));
        if fs::read_link(&link).is_ok_and(|there| there == target) {
            continue;
        }
        let new = directory.join(".new");
        let _ = fs::remove_file(&new);
        symlink(&target, &new)?;
        fs::rename(&new, &link)?;
    }
    Ok(())
}

/// A path below `root`, as the machine itself names it.
pub fn outside(root: &Path, path: &Path) -> PathBuf {
    Path::new("/").join(path.strip_prefix(root).unwrap_or(path))
}

/// The owner of the device files of a vGPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
}

/// The name of a user or group that the machine does not have.
#[derive(Debug)]
pub struct NoSuchUser(pub String);

/// The owner of a device below /dev/vfio, by its name there: 12, or vfio3 for devices/vfio3. `None` if no instance that
/// has the device asks for an owner.
pub fn owner_of_device(root: &Path, view: &View, declaration: &Declaration, device: &str) -> Option<Owner> {
    let wanted = view.wanted(declaration);
    let situation = view.situation(&wanted);
    let has_device = |vgpu: &Vgpu| {
        vgpu.iommu_group.is_some_and(|group| group.to_string() == device) || vgpu.vfio_device.as_deref() == Some(device)
    };
    let mut instances = wanted.instances.iter();
    instances.find_map(|(name, instance)| {
        situation.existing(name, instance).filter(|vgpu| has_device(vgpu))?;
        owner(root, instance).ok()?
    })
}

/// The owner that an instance asks for, by number. `None` if it asks for none.
///
/// # Errors
/// When the machine does not have that user or group.
pub fn owner(root: &Path, instance: &Instance) -> Result<Option<Owner>, NoSuchUser> {
    if instance.user.is_none() && instance.group.is_none() {
        return Ok(None);
    }
    let number = |file: &str, name: &Option<String>| match name {
        Some(name) => number(&root.join(file), name).ok_or_else(|| NoSuchUser(name.clone())),
        None => Ok(0),
    };
    Ok(Some(Owner { user: number("etc/passwd", &instance.user)?, group: number("etc/group", &instance.group)? }))
}

/// The number of a user or group: the third field of its line. A number stands for itself.
fn number(file: &Path, name: &str) -> Option<u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split(':'));
    let listed = lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?);
    listed.or_else(|| name.parse().ok())
}

/// The existing device files of a vGPU.
fn device_files(root: &Path, vgpu: &Vgpu) -> Vec<PathBuf> {
    let group = vgpu.iommu_group.map(|group| format!("dev/vfio/{group}"));
    let device = vgpu.vfio_device.as_ref().map(|device| format!("dev/vfio/devices/{device}"));
    [group, device].into_iter().flatten().map(|path| root.join(path)).filter(|path| path.exists()).collect()
}

/// Gives the device files of a vGPU to an owner, who can then open them. Without an owner they go back to root, and only
/// root can open them. Returns whether something changed.
///
/// # Errors
/// When the kernel refuses.
pub fn give(root: &Path, vgpu: &Vgpu, owner: Option<Owner>) -> io::Result<bool> {
    let (Owner { user, group }, mode) = owner.map_or((Owner { user: 0, group: 0 }, 0o600), |owner| (owner, 0o660));
    let mut changed = false;
    for file in device_files(root, vgpu) {
        let there = fs::metadata(&file)?;
        if (there.uid(), there.gid()) != (user, group) {
            std::os::unix::fs::chown(&file, Some(user), Some(group))?;
            changed = true;
        }
        if there.mode() & 0o7777 != mode {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
            changed = true;
        }
    }
    Ok(changed)
}
