//! Plans the steps by which a machine gets what is declared, from its state. Nothing is changed here.
//!
//! NVIDIA's driver fixes the order. Virtual functions come first: when they are switched on, modes and vGPUs are lost.
//! Then come modes, which change on empty GPUs alone. Then vGPUs are removed, and at last vGPUs are made.

use std::collections::BTreeMap;

use super::choose::Choice;
use super::declaration::{Instance, Name};
use super::reason::{InUse, Reason};
use super::room::Room;
use super::situation::Situation;
use super::step::{Plan, Removal, Step, Why};
use crate::machine::pci::Address;
use crate::machine::vgpu::{HostGpu, Sizes, Vgpu};

/// Plans what must be done.
pub fn plan(situation: Situation) -> Plan {
    let mut planner = Planner {
        situation,
        rooms: situation.gpus.iter().map(|gpu| (gpu.address(), room(situation, gpu))).collect(),
        plan: Plan::default(),
    };
    planner.undeclared();
    let missing = planner.present();
    planner.missing(missing);
    planner.modes();
    planner.plan
}

/// The room on a GPU, in the mode that is declared.
fn room<'a>(situation: Situation<'a>, gpu: &'a HostGpu) -> Room<'a> {
    let declared = situation.declaration.gpus.get(&gpu.address());
    Room::new(gpu, situation.profiles, declared.and_then(|gpu| gpu.sizes()).unwrap_or(Sizes::Equal))
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
    /// Removes vGPUs of ours whose names are no longer declared, unless they are in use.
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

    /// Plans the steps for instances that exist, and returns the others.
    fn present(&mut self) -> Vec<Missing<'a>> {
        let mut missing = Vec::new();
        for (name, instance) in &self.situation.declaration.instances {
            let Some(vgpu) = self.situation.existing(name, instance) else {
                missing.push(Missing { name, instance, replaced: None });
                continue;
            };
            let step = match (self.is_right(name, instance, vgpu), self.situation.user(vgpu)) {
                // Nothing is changed on a vGPU that somebody else made.
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
                (false, None) => Step::Cannot(Reason::UuidTaken {
                    uuid: vgpu.uuid.unwrap_or_default(),
                    there: self.situation.describe(vgpu),
                }),
            };
            self.plan.instances.insert(name.clone(), step);
        }
        missing
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

    /// Finds places for missing instances. Those without a choice come first, then those that had a place, then the others.
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
            let choice = Choice { situation: self.situation, rooms: &self.rooms };
            let step = match choice.place(name, instance) {
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
                    // The old vGPU stays: it is better than none.
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

    fn modes(&mut self) {
        let gpus = self.situation.declaration.gpus.iter();
        let modes = gpus.filter_map(|(address, gpu)| Some((*address, gpu.sizes()?)));
        self.plan.modes = modes.filter(|(address, _)| self.rooms.contains_key(address)).collect();
    }
}

/// Plans the step for a vGPU that is right, except perhaps for its parameters.
fn settle_parameters(instance: &Instance, vgpu: &Vgpu, user: Option<String>) -> Step {
    let wanted = instance.parameter_text();
    match (&vgpu.parameters, user) {
        (Some(there), _) if *there == wanted => Step::Nothing(vgpu.clone()),
        // This driver takes no parameters. The error came when the vGPU was made.
        (None, _) => Step::Nothing(vgpu.clone()),
        (Some(_), Some(by)) => {
            let then = "the next apply sets its parameters".to_owned();
            Step::Keep(vgpu.clone(), InUse { by, then })
        }
        (Some(_), None) => Step::Parameters(vgpu.clone(), wanted),
    }
}
