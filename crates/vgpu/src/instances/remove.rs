//! Removes one vGPU by its name.

use std::fs;
use std::path::Path;

use miette::Diagnostic;

use super::declaration::{Declaration, Name};
use super::lock::Lock;
use super::outcome::{Error, Failure};
use super::view::View;
use super::{make, place};
use crate::machine::vgpu::Vgpu;

/// Removes the vGPU of a name, declared or made by hand. Returns it.
///
/// # Errors
/// When there is none, or it can't be removed.
pub fn remove(root: &Path, _lock: &Lock, declaration: &Declaration, name: &Name) -> Result<Vgpu, RemoveError> {
    let view = View::read(root).map_err(Error::from)?;
    if !view.users.complete {
        return Err(Error::Users.into());
    }
    let wanted = view.wanted(declaration);
    let situation = view.situation(&wanted);
    let with_uuid = || view.gpus.iter().flat_map(|gpu| &gpu.vgpus).find(|vgpu| vgpu.uuid == Some(name.uuid()));
    let vgpu = situation.made(name).or_else(with_uuid).ok_or_else(|| RemoveError::None(name.clone()))?;
    make::remove(root, vgpu).map_err(|source| Failure::Remove { name: name.clone(), source })?;
    let _ = place::give(root, vgpu, None);
    let mut memory = view.memory.clone();
    match memory.instances.get_mut(name) {
        // A declared one will get the same function again.
        Some(remembered) if remembered.by_hand.is_none() => remembered.boot.clear(),
        _ => drop(memory.instances.remove(name)),
    }
    memory.write(root).map_err(Error::from)?;
    let link = root.join(place::DIRECTORY).join(name.to_string());
    if link.is_symlink() {
        fs::remove_file(&link).map_err(|source| Error::Run { path: link, source })?;
    }
    Ok(vgpu.clone())
}

/// Why a vGPU was not removed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum RemoveError {
    #[error("there is no vGPU that was made as {0}")]
    #[diagnostic(help("`vgpu instances list` shows all vGPUs; remove those that others made with their tools"))]
    None(Name),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Nothing(#[from] Error),
}
