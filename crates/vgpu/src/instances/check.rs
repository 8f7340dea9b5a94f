//! Finds mistakes in a declaration without the machine, from the driver's vgpuConfig.xml, when a configuration is built. It
//! does not know which boards the machine has, but it knows what no board can do.

use std::collections::BTreeMap;

use miette::Diagnostic;
use vgpu_profiles::model::bare_name;

use super::declaration::{Declaration, Instance, Name};
use super::profiles::{Board, Profiles};
use super::reason::nearest_first;
use crate::machine::pci::Address;
use crate::machine::vgpu::Sizes;

/// Something that is not possible on any machine.
#[derive(Debug, PartialEq, Eq, thiserror::Error, Diagnostic)]
pub enum Mistake {
    #[error("instance {name}: this driver has no profile {profile}")]
    #[diagnostic(help("{}`vgpu profiles list` shows all", nearest_first(nearest)))]
    UnknownProfile { name: Name, profile: String, nearest: Vec<String> },
    #[error("instance {name}: no board offers {profile} with this driver")]
    #[diagnostic(help("`vgpu profiles list` shows what each board offers"))]
    NoBoard { name: Name, profile: String },
    #[error("GPU {gpu}: no board offers both {one} and {other}")]
    #[diagnostic(help("a profile has the name of its board: take profiles of the board that is at {gpu}"))]
    OtherBoards { gpu: Address, one: String, other: String },
    #[error("GPU {gpu}: {one} and {other} are of two sizes, and a GPU is cut into one")]
    #[diagnostic(help("take profiles of one size, or set gpus.\"{gpu}\".mixedSizes = true for a board that can"))]
    Sizes { gpu: Address, one: String, other: String },
    #[error("GPU {gpu}: {count} vGPUs are declared on it, and {profile} fits {most} times")]
    #[diagnostic(help("take fewer, smaller ones, or another GPU for some"))]
    TooMany { gpu: Address, count: u64, profile: String, most: u64 },
    #[error("GPU {gpu}: the vGPUs declared on it take {wanted} MiB, and it has {memory}")]
    #[diagnostic(help("take fewer, smaller ones, or another GPU for some"))]
    TooLarge { gpu: Address, wanted: u64, memory: u64 },
}

/// All mistakes, in the order of names and addresses.
pub fn check(declaration: &Declaration, profiles: &Profiles) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut gpus: BTreeMap<Address, Vec<Vec<u32>>> = BTreeMap::new();
    for (name, instance) in &declaration.instances {
        match known(name, instance, profiles) {
            Ok(types) => {
                if let Some(gpu) = instance.gpu {
                    gpus.entry(gpu).or_default().push(types);
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    for (gpu, instances) in gpus {
        let sizes = declaration.gpus.get(&gpu).and_then(|gpu| gpu.sizes()).unwrap_or(Sizes::Equal);
        mistakes.extend(check_gpu(gpu, &instances, sizes, profiles).err());
    }
    mistakes
}

/// The types that an instance can be.
fn known(name: &Name, instance: &Instance, profiles: &Profiles) -> Result<Vec<u32>, Mistake> {
    let profile = instance.profile.to_string();
    let types = match profiles.find(&instance.profile) {
        Ok(types) => types,
        Err(nearest) => return Err(Mistake::UnknownProfile { name: name.clone(), profile, nearest }),
    };
    let offered = profiles.boards().iter().any(|board| offer(board, &types).is_some());
    if offered { Ok(types) } else { Err(Mistake::NoBoard { name: name.clone(), profile }) }
}

/// The first of these types that a board offers.
fn offer(board: &Board, types: &[u32]) -> Option<u32> {
    types.iter().copied().find(|id| board.offers.contains_key(id))
}

/// Checks that some board can have all of these instances. Each is a list of the types that it can be.
fn check_gpu(gpu: Address, instances: &[Vec<u32>], sizes: Sizes, profiles: &Profiles) -> Result<(), Mistake> {
    let mut first = None;
    for board in profiles.boards() {
        let types: Option<Vec<u32>> = instances.iter().map(|types| offer(board, types)).collect();
        let Some(types) = types else { continue };
        let fits = match sizes {
            Sizes::Mixed => fits_mixed(gpu, board, &types, profiles),
            Sizes::Equal => fits_equal(gpu, board, &types, profiles),
        };
        match fits {
            Ok(()) => return Ok(()),
            Err(mistake) => first = first.or(Some(mistake)),
        }
    }
    Err(first.unwrap_or_else(|| other_boards(gpu, instances, profiles)))
}

fn name(profiles: &Profiles, id: u32) -> String {
    bare_name(&profiles.name(id)).to_owned()
}

fn other_boards(gpu: Address, instances: &[Vec<u32>], profiles: &Profiles) -> Mistake {
    let together = |one: &[u32], other: &[u32]| {
        profiles.boards().iter().any(|board| offer(board, one).is_some() && offer(board, other).is_some())
    };
    let one = &instances[0];
    let other = instances.iter().find(|other| !together(one, other)).or(instances.last()).unwrap_or(one);
    Mistake::OtherBoards { gpu, one: name(profiles, one[0]), other: name(profiles, other[0]) }
}

fn fits_equal(gpu: Address, board: &Board, types: &[u32], profiles: &Profiles) -> Result<(), Mistake> {
    let size = |id: u32| profiles.get(id).and_then(|profile| profile.size);
    if let Some(other) = types.iter().find(|other| size(**other) != size(types[0])) {
        return Err(Mistake::Sizes { gpu, one: name(profiles, types[0]), other: name(profiles, *other) });
    }
    let count = types.len() as u64;
    for id in types {
        if let Some(most) = board.offers[id].filter(|most| count > *most) {
            return Err(Mistake::TooMany { gpu, count, profile: name(profiles, *id), most });
        }
    }
    Ok(())
}

fn fits_mixed(gpu: Address, board: &Board, types: &[u32], profiles: &Profiles) -> Result<(), Mistake> {
    let wanted: u64 = types.iter().filter_map(|id| profiles.get(*id)?.size).sum();
    match profiles.memory(board).filter(|memory| wanted > *memory) {
        Some(memory) => Err(Mistake::TooLarge { gpu, wanted: wanted >> 20, memory: memory >> 20 }),
        None => Ok(()),
    }
}
