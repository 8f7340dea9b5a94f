//! Which GPU and which virtual function an instance gets.

use std::collections::{BTreeMap, BTreeSet};

use super::declaration::{Instance, Name};
use super::memory::Remembered;
use super::reason::Reason;
use super::room::{Fit, Room};
use super::situation::Situation;
use super::step::Make;
use crate::machine::pci::Address;

/// What a choice depends on.
pub struct Choice<'a, 'b> {
    pub situation: Situation<'a>,
    /// The room on each GPU, with all that was placed so far.
    pub rooms: &'b BTreeMap<Address, Room<'a>>,
}

impl<'a> Choice<'a, '_> {
    /// The place for an instance: the GPU that it asks for, the GPU that it had, or the one where it fits best.
    pub fn place(&self, name: &Name, instance: &Instance) -> Result<Make, Reason> {
        let types = self
            .situation
            .profiles
            .find(&instance.profile)
            .map_err(|nearest| Reason::UnknownProfile { profile: instance.profile.to_string(), nearest });
        let remembered = self.situation.memory.instances.get(name);
        let mut found = None;
        let mut reasons = Vec::new();
        for (address, room) in self.candidates(instance)? {
            match self.fits(room, types.as_ref().map_err(Reason::clone)?, instance) {
                Ok((fit, type_id)) => {
                    let had = remembered.is_some_and(|remembered| remembered.gpu == *address);
                    let better = (!had, fit, *address);
                    if found.as_ref().is_none_or(|(best, _)| better < *best) {
                        found = Some((better, type_id));
                    }
                }
                Err(reason) => reasons.push(reason),
            }
        }
        let Some(((_, _, gpu), type_id)) = found else {
            return Err(if reasons.len() == 1 { reasons.remove(0) } else { Reason::NoRoom(reasons) });
        };
        let function = self.function(&self.rooms[&gpu], name, instance, remembered)?;
        let uuid = instance.uuid.unwrap_or(name.uuid());
        Ok(Make { gpu, function, type_id, uuid, parameters: instance.parameter_text() })
    }

    /// The GPUs that are possible.
    fn candidates(&self, instance: &Instance) -> Result<Vec<(&Address, &Room<'a>)>, Reason> {
        let wanted = |(address, room): &(&Address, &Room)| {
            let has = |function: Address| room.gpu.gpu.function.virtual_functions.contains(&function);
            // Before functions are switched on, nobody knows to which GPU they will belong.
            let may_have = |function: Address| has(function) || room.needs_functions();
            instance.gpu.is_none_or(|gpu| gpu == **address) && instance.virtual_function.is_none_or(may_have)
        };
        let found: Vec<_> = self.rooms.iter().filter(wanted).collect();
        match (found.is_empty(), instance.gpu, instance.virtual_function) {
            (false, ..) => Ok(found),
            (true, None, None) => Err(Reason::NoGpu),
            (true, Some(gpu), _) if !self.rooms.contains_key(&gpu) => Err(Reason::NoSuchGpu(gpu)),
            (true, Some(gpu), Some(function)) => Err(Reason::NotAFunction { gpu, function }),
            (true, None, Some(function)) => match self.rooms.keys().next() {
                Some(gpu) => Err(Reason::NotAFunction { gpu: *gpu, function }),
                None => Err(Reason::NoGpu),
            },
            (true, Some(gpu), None) => Err(Reason::NoSuchGpu(gpu)),
        }
    }

    /// Whether one of the types fits on a GPU.
    fn fits(&self, room: &Room, types: &[u32], instance: &Instance) -> Result<(Fit, u32), Reason> {
        let mut reason = None;
        for type_id in types {
            match room.fits(*type_id) {
                Ok(fit) => return Ok((fit, *type_id)),
                // `NotOffered` says least, so another reason replaces it.
                Err(other @ Reason::NotOffered { .. }) => reason = reason.or(Some(other)),
                Err(other) => reason = Some(other),
            }
        }
        let profile = instance.profile.to_string();
        Err(reason.unwrap_or(Reason::NotOffered { gpu: room.gpu.address(), profile }))
    }

    /// The function: the one that it asks for, the one that it had, or the first free one.
    fn function(
        &self,
        room: &Room,
        name: &Name,
        instance: &Instance,
        remembered: Option<&Remembered>,
    ) -> Result<Option<Address>, Reason> {
        if !room.on_functions() {
            return Ok(Some(room.gpu.address()));
        }
        if room.needs_functions() {
            return Ok(None);
        }
        let free: Vec<Address> = room.free_functions().collect();
        if let Some(function) = instance.virtual_function {
            let taken = || {
                let there = room.gpu.vgpus.iter().find(|vgpu| vgpu.function == function);
                Reason::FunctionTaken {
                    function,
                    there: there.map(|vgpu| self.situation.describe(vgpu)).unwrap_or_default(),
                }
            };
            return if free.contains(&function) { Ok(Some(function)) } else { Err(taken()) };
        }
        let had = remembered.map(|remembered| remembered.function).filter(|function| free.contains(function));
        let claimed = self.claimed_by_others(name);
        let first = || free.iter().find(|function| !claimed.contains(function)).or(free.first()).copied();
        had.or_else(first).map(Some).ok_or(Reason::NoFunction { gpu: room.gpu.address() })
    }

    /// Functions that other declared names ask for or had. They are kept for these names.
    fn claimed_by_others(&self, name: &Name) -> BTreeSet<Address> {
        let others = self.situation.declaration.instances.iter().filter(|(other, _)| *other != name);
        let claims = others.flat_map(|(other, instance)| {
            let had = self.situation.memory.instances.get(other).map(|remembered| remembered.function);
            [instance.virtual_function, had]
        });
        claims.flatten().collect()
    }
}
