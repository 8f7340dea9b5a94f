//! What must be done so that a machine has what is declared. Nothing is touched here: a state goes in, steps come out.
//!
//! The order is fixed by NVIDIA's driver: virtual functions first, since switching them on takes modes and vGPUs away;
//! then modes, which change on empty GPUs alone; then what is to go, and what is to come.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::declaration::{Declaration, Instance, Name};
use super::memory::{Memory, Remembered};
use super::profiles::Profiles;
use super::reason::{InUse, Reason};
use super::room::{Fit, Room};
use crate::machine::pci::Address;
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

/// What is to be done, in this order.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// GPUs whose virtual functions are switched on.
    pub functions: BTreeSet<Address>,
    /// GPUs whose mode is set, if it isn't: whether sizes are mixed.
    pub modes: BTreeMap<Address, bool>,
    /// vGPUs that go.
    pub removals: Vec<Removal>,
    /// Each declared instance, by name, and what becomes of it.
    pub instances: BTreeMap<Name, Step>,
    /// vGPUs of names that are no longer declared, which are left because they are in use.
    pub kept: Vec<(Name, Vgpu, InUse)>,
    /// Names whose vGPU went without us, and that nobody declares.
    pub forgotten: Vec<Name>,
}

/// A vGPU that goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub name: Name,
    pub vgpu: Vgpu,
    pub why: Why,
}

/// Why a vGPU goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody declares it any more.
    Undeclared,
    /// Its declaration is another one now: it is made anew.
    Changed,
}

/// What becomes of a declared instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is there and right.
    Nothing(Vgpu),
    /// It is there, and gets other parameters.
    Parameters(Vgpu, String),
    /// It is to be made.
    Make(Make),
    /// It is there and should be another, but is in use.
    Keep(Vgpu, InUse),
    /// There is no place for it.
    Cannot(Reason),
}

/// A vGPU to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Make {
    pub gpu: Address,
    /// The function to make it on; unknown while virtual functions are off.
    pub function: Option<Address>,
    pub type_id: u32,
    pub uuid: Uuid,
    /// For `vgpu_params`.
    pub parameters: String,
}

/// What must be done.
pub fn plan(situation: Situation) -> Plan {
    let mut planner = Planner {
        situation,
        rooms: situation.gpus.iter().map(|gpu| (gpu.address(), situation.room(gpu))).collect(),
        plan: Plan::default(),
    };
    planner.undeclared();
    let missing = planner.present();
    planner.missing(missing);
    planner.modes();
    planner.plan
}

impl<'a> Situation<'a> {
    fn room(&self, gpu: &'a HostGpu) -> Room<'a> {
        let settings = self.declaration.gpus.get(&gpu.address());
        Room::new(gpu, self.profiles, settings.and_then(|gpu| gpu.mixed_sizes) == Some(true))
    }

    fn vgpus(&self) -> impl Iterator<Item = &'a Vgpu> {
        self.gpus.iter().flat_map(|gpu| &gpu.vgpus)
    }

    /// The vGPU that was made for a name since the machine was started, if it is there.
    pub fn made(&self, name: &Name) -> Option<&'a Vgpu> {
        let remembered = self.memory.instances.get(name).filter(|remembered| remembered.boot == self.boot)?;
        self.vgpus().find(|vgpu| match vgpu.interface {
            Interface::Vfio => vgpu.function == remembered.function && vgpu.type_id == Some(remembered.type_id),
            _ => vgpu.uuid == remembered.uuid,
        })
    }

    /// The vGPU that is a name's, made by us or not: on the function, or with the UUID, that it asks for.
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
    fn is_ours(&self, name: &Name, vgpu: &Vgpu) -> bool {
        vgpu.uuid == Some(name.uuid()) || self.made(name) == Some(vgpu)
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

struct Planner<'a> {
    situation: Situation<'a>,
    rooms: BTreeMap<Address, Room<'a>>,
    plan: Plan,
}

/// An instance that has no vGPU yet, or has one that is replaced.
struct Missing<'a> {
    name: &'a Name,
    instance: &'a Instance,
    replaced: Option<&'a Vgpu>,
}

impl<'a> Planner<'a> {
    /// What we made for names that nobody declares goes, unless it is in use.
    fn undeclared(&mut self) {
        let declared = &self.situation.declaration.instances;
        for name in self.situation.memory.instances.keys().filter(|name| !declared.contains_key(name)) {
            let Some(vgpu) = self.situation.made(name) else {
                self.plan.forgotten.push(name.clone());
                continue;
            };
            match self.situation.user(vgpu) {
                Some(by) => {
                    let then = "the next apply removes it".to_owned();
                    self.plan.kept.push((name.clone(), vgpu.clone(), InUse { by, then }));
                }
                None => self.remove(name, vgpu, Why::Undeclared),
            }
        }
    }

    fn remove(&mut self, name: &Name, vgpu: &Vgpu, why: Why) {
        self.take_off(vgpu);
        self.plan.removals.push(Removal { name: name.clone(), vgpu: vgpu.clone(), why });
    }

    fn take_off(&mut self, vgpu: &Vgpu) {
        if let Some(room) = self.room_of(vgpu) {
            room.remove(vgpu.function, vgpu.type_id);
        }
    }

    fn room_of(&mut self, vgpu: &Vgpu) -> Option<&mut Room<'a>> {
        self.rooms.values_mut().find(|room| room.gpu.vgpus.iter().any(|there| there == vgpu))
    }

    /// Settles the instances that are there, and returns the others.
    fn present(&mut self) -> Vec<Missing<'a>> {
        let mut missing = Vec::new();
        for (name, instance) in &self.situation.declaration.instances {
            let Some(vgpu) = self.situation.existing(name, instance) else {
                missing.push(Missing { name, instance, replaced: None });
                continue;
            };
            let step = match (self.is_right(name, instance, vgpu), self.situation.user(vgpu)) {
                // Of one that somebody else made, nothing is changed.
                (true, _) if !self.situation.is_ours(name, vgpu) => Step::Nothing(vgpu.clone()),
                (true, user) => settle_parameters(instance, vgpu, user),
                (false, Some(by)) => {
                    let then = format!("the next apply makes it {}", instance.profile);
                    Step::Keep(vgpu.clone(), InUse { by, then })
                }
                (false, None) if self.situation.is_ours(name, vgpu) => {
                    missing.push(Missing { name, instance, replaced: Some(vgpu) });
                    continue;
                }
                (false, None) => {
                    Step::Cannot(Reason::UuidTaken { uuid: vgpu.uuid.unwrap_or_default(), there: self.describe(vgpu) })
                }
            };
            self.plan.instances.insert(name.clone(), step);
        }
        missing
    }

    fn describe(&self, vgpu: &Vgpu) -> String {
        vgpu.type_name.clone().or_else(|| Some(self.situation.profiles.name(vgpu.type_id?))).unwrap_or_default()
    }

    /// Whether a vGPU is what is declared: type, GPU, function and UUID.
    fn is_right(&self, name: &Name, instance: &Instance, vgpu: &Vgpu) -> bool {
        let types = self.situation.profiles.find(&instance.profile);
        let gpu = self.situation.gpus.iter().find(|gpu| gpu.vgpus.iter().any(|there| there == vgpu));
        let uuid = instance.uuid.unwrap_or(name.uuid());
        types.is_ok_and(|types| vgpu.type_id.is_some_and(|id| types.contains(&id)))
            && instance.gpu.is_none_or(|wanted| gpu.is_some_and(|gpu| gpu.address() == wanted))
            && instance.virtual_function.is_none_or(|wanted| vgpu.function == wanted)
            && vgpu.uuid.is_none_or(|there| there == uuid)
    }

    /// Places the instances that are not there: first those that leave no choice, then those that had a place, then the rest.
    fn missing(&mut self, mut missing: Vec<Missing<'a>>) {
        let memory = &self.situation.memory.instances;
        missing.sort_by_key(|missing| {
            let instance = missing.instance;
            let had_a_place = memory.contains_key(missing.name);
            (instance.virtual_function.is_none(), instance.gpu.is_none(), !had_a_place, missing.name)
        });
        for Missing { name, instance, replaced } in missing {
            if let Some(vgpu) = replaced {
                self.take_off(vgpu);
            }
            let step = match self.place(name, instance) {
                Ok(make) => {
                    if let Some(vgpu) = replaced {
                        self.plan.removals.push(Removal { name: name.clone(), vgpu: vgpu.clone(), why: Why::Changed });
                    }
                    let room = self.rooms.get_mut(&make.gpu).expect("a place is on a GPU");
                    if room.needs_functions() {
                        self.plan.functions.insert(make.gpu);
                    }
                    room.add(make.function, Some(make.type_id));
                    Step::Make(make)
                }
                Err(reason) => {
                    // What is there is better than nothing.
                    if let Some(room) = replaced.and_then(|vgpu| self.room_of(vgpu)) {
                        let vgpu = replaced.expect("it has a room");
                        room.add(Some(vgpu.function), vgpu.type_id);
                    }
                    Step::Cannot(reason)
                }
            };
            self.plan.instances.insert(name.clone(), step);
        }
    }

    /// The place for an instance: the GPU it asks for, the one it had, or the one where it fits best.
    fn place(&self, name: &Name, instance: &Instance) -> Result<Make, Reason> {
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

    /// The GPUs that come into question.
    fn candidates(&self, instance: &Instance) -> Result<Vec<(&Address, &Room<'a>)>, Reason> {
        let wanted = |(address, room): &(&Address, &Room)| {
            let has = |function: Address| room.gpu.gpu.function.virtual_functions.contains(&function);
            // Before functions are switched on, nobody knows whose they will be.
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
                // That it is not offered at all says least.
                Err(other @ Reason::NotOffered { .. }) => reason = reason.or(Some(other)),
                Err(other) => reason = Some(other),
            }
        }
        let profile = instance.profile.to_string();
        Err(reason.unwrap_or(Reason::NotOffered { gpu: room.gpu.address(), profile }))
    }

    /// The function: the one it asks for, the one it had, or the first that is nobody's.
    fn function(
        &self,
        room: &Room,
        name: &Name,
        instance: &Instance,
        remembered: Option<&Remembered>,
    ) -> Result<Option<Address>, Reason> {
        if !room.on_functions() {
            return Ok(room.gpu.interface().map(|_| room.gpu.address()));
        }
        if room.needs_functions() {
            return Ok(None);
        }
        let free: Vec<Address> = room.free_functions().collect();
        if let Some(function) = instance.virtual_function {
            let taken = || {
                let there = room.gpu.vgpus.iter().find(|vgpu| vgpu.function == function);
                Reason::FunctionTaken { function, there: there.map(|vgpu| self.describe(vgpu)).unwrap_or_default() }
            };
            return if free.contains(&function) { Ok(Some(function)) } else { Err(taken()) };
        }
        let had = remembered.map(|remembered| remembered.function).filter(|function| free.contains(function));
        let claimed = self.claimed_by_others(name);
        let first = || free.iter().find(|function| !claimed.contains(function)).or(free.first()).copied();
        had.or_else(first).map(Some).ok_or(Reason::NoFunction { gpu: room.gpu.address() })
    }

    /// Functions that other declared names ask for or had: they come back to them.
    fn claimed_by_others(&self, name: &Name) -> BTreeSet<Address> {
        let others = self.situation.declaration.instances.iter().filter(|(other, _)| *other != name);
        let claims = others.flat_map(|(other, instance)| {
            let had = self.situation.memory.instances.get(other).map(|remembered| remembered.function);
            [instance.virtual_function, had]
        });
        claims.flatten().collect()
    }

    fn modes(&mut self) {
        let gpus = self.situation.declaration.gpus.iter();
        let modes = gpus.filter_map(|(address, gpu)| Some((*address, gpu.mixed_sizes?)));
        self.plan.modes = modes.filter(|(address, _)| self.rooms.contains_key(address)).collect();
    }
}

/// What becomes of a vGPU that is right but for its parameters.
fn settle_parameters(instance: &Instance, vgpu: &Vgpu, user: Option<String>) -> Step {
    let wanted = instance.parameter_text();
    match (&vgpu.parameters, user) {
        (Some(there), _) if *there == wanted => Step::Nothing(vgpu.clone()),
        // A driver without the file has nothing to say them to; making it told so.
        (None, _) => Step::Nothing(vgpu.clone()),
        (Some(_), Some(by)) => {
            let then = "the next apply sets its parameters".to_owned();
            Step::Keep(vgpu.clone(), InUse { by, then })
        }
        (Some(_), None) => Step::Parameters(vgpu.clone(), wanted),
    }
}
