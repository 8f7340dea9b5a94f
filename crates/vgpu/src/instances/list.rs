//! Declared vGPUs and existing vGPUs, side by side.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::Uuid;

use super::declaration::{Declaration, Instance, Name};
use super::profiles::Profiles;
use super::step::Step;
use super::view::View;
use crate::machine::pci::Address;
use crate::machine::processes::Process;
use crate::machine::vgpu::{Interface, Vgpu};

/// A vGPU that is declared, or exists, or both. What is not known is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// `None` for vGPUs that somebody else made.
    pub name: Option<Name>,
    pub declared: bool,
    pub gpu: Option<Address>,
    pub virtual_function: Option<Address>,
    /// UUID of a mediated device.
    pub uuid: Option<Uuid>,
    pub profile: ListedProfile,
    pub interface: Option<Interface>,
    pub state: State,
    pub used_by: Option<Process>,
}

/// The profile of a vGPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedProfile {
    pub id: Option<u32>,
    pub name: Option<String>,
}

/// The state of a vGPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is declared, but does not exist.
    Missing,
    /// It exists, and is right.
    Ready,
    /// It exists, is right, and somebody has it open.
    InUse,
    /// It exists, but not as it is declared.
    Outdated,
    /// We made it, and it is not declared any more.
    Undeclared,
    /// Somebody else made it.
    Foreign,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Missing => "missing",
            State::Ready => "ready",
            State::InUse => "in-use",
            State::Outdated => "outdated",
            State::Undeclared => "undeclared",
            State::Foreign => "foreign",
        }
    }
}

/// All vGPUs: the named ones by name, then the others by address.
pub fn list(view: &View, declaration: &Declaration) -> Vec<Listed> {
    let wanted = view.wanted(declaration);
    let situation = view.situation(&wanted);
    let plan = super::plan::plan(situation);
    let mut listed = Vec::new();
    let mut named: Vec<&Vgpu> = Vec::new();
    let made_by_us = view.memory.instances.keys().filter(|name| situation.made(name).is_some());
    for name in wanted.instances.keys().chain(made_by_us).collect::<BTreeSet<_>>() {
        let instance = wanted.instances.get(name);
        let vgpu = instance.map_or_else(|| situation.made(name), |instance| situation.existing(name, instance));
        let state = match (instance, vgpu, plan.instances.get(name)) {
            (_, None, _) => State::Missing,
            (None, Some(_), _) => State::Undeclared,
            (_, Some(vgpu), Some(Step::Nothing(_))) if situation.user(vgpu).is_some() => State::InUse,
            (_, Some(_), Some(Step::Nothing(_))) => State::Ready,
            _ => State::Outdated,
        };
        let declared = declaration.instances.contains_key(name);
        named.extend(vgpu);
        let one = match (vgpu, instance) {
            (Some(vgpu), _) => there(view, Some(name.clone()), state, vgpu),
            (None, Some(instance)) => missing(&view.profiles, name, instance),
            (None, None) => continue,
        };
        listed.push(Listed { declared, ..one });
    }
    let others = view.gpus.iter().flat_map(|gpu| &gpu.vgpus).filter(|vgpu| !named.contains(vgpu));
    listed.extend(others.map(|vgpu| there(view, None, State::Foreign, vgpu)));
    listed
}

/// A vGPU that exists, as if nobody had declared it.
fn there(view: &View, name: Option<Name>, state: State, vgpu: &Vgpu) -> Listed {
    let gpu = view.gpus.iter().find(|gpu| gpu.vgpus.contains(vgpu)).map(|gpu| gpu.address());
    let known = || vgpu.type_id.and_then(|id| Some(view.profiles.get(id)?.name.clone()));
    Listed {
        name,
        declared: false,
        gpu,
        virtual_function: (vgpu.interface != Interface::Mdev).then_some(vgpu.function),
        uuid: vgpu.uuid,
        profile: ListedProfile { id: vgpu.type_id, name: vgpu.type_name.clone().or_else(known) },
        interface: Some(vgpu.interface),
        state,
        used_by: view.users.of(vgpu.iommu_group, vgpu.vfio_device.as_deref()).cloned(),
    }
}

/// A vGPU that does not exist. Without a declaration somebody wanted it by hand.
fn missing(profiles: &Profiles, name: &Name, instance: &Instance) -> Listed {
    let id = profiles.find(&instance.profile).ok().and_then(|found| found.first().copied());
    let described = id.and_then(|id| Some(profiles.get(id)?.name.clone()));
    Listed {
        name: Some(name.clone()),
        declared: false,
        gpu: instance.gpu,
        virtual_function: instance.virtual_function,
        uuid: None,
        profile: ListedProfile { id, name: described.or_else(|| Some(instance.profile.to_string())) },
        interface: None,
        state: State::Missing,
        used_by: None,
    }
}
