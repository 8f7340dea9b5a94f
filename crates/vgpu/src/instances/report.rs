//! Steps in words and as JSON: those of a plan, and those that were done.

use miette::Diagnostic;
use serde::Serialize;

use super::declaration::Name;
use super::outcome::Event;
use super::profiles::Profiles;
use super::step::{Plan, Step, Why};
use crate::machine::pci::Address;
use crate::machine::vgpu::{Interface, Sizes, Vgpu};

/// A step, planned or done, as it is shown and as JSON. A key that the step does not have is null.
#[derive(Serialize)]
pub struct Row {
    action: &'static str,
    name: Option<Name>,
    gpu: Option<Address>,
    virtual_function: Option<Address>,
    profile: Option<String>,
    reason: Option<String>,
    /// The step in words.
    #[serde(skip)]
    pub text: String,
}

impl Row {
    fn of_gpu(action: &'static str, gpu: Address, text: &str) -> Row {
        let text = text.to_owned();
        Row { action, name: None, gpu: Some(gpu), virtual_function: None, profile: None, reason: None, text }
    }

    fn of_name(action: &'static str, name: &Name, text: String) -> Row {
        let name = Some(name.clone());
        Row { action, name, gpu: None, virtual_function: None, profile: None, reason: None, text }
    }

    fn at(self, vgpu: &Vgpu) -> Row {
        let on_gpu = vgpu.interface == Interface::Mdev;
        let function = Some(vgpu.function);
        if on_gpu { Row { gpu: function, ..self } } else { Row { virtual_function: function, ..self } }
    }

    fn because(self, reason: &impl std::fmt::Display) -> Row {
        Row { reason: Some(reason.to_string()), ..self }
    }

    /// The name of the instance, or the address of the GPU.
    pub fn subject(&self) -> String {
        self.name.as_ref().map(Name::to_string).or(self.gpu.map(|gpu| gpu.to_string())).unwrap_or_default()
    }
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Undeclared => "no longer declared",
        Why::Changed => "declared as another one now",
    }
}

fn mode(sizes: Sizes) -> &'static str {
    match sizes {
        Sizes::Mixed => "allow several sizes of vGPU",
        Sizes::Equal => "allow one size of vGPU",
    }
}

/// What will be done, and what will not. Instances that are right are left out.
pub fn planned(plan: &Plan, profiles: &Profiles) -> Vec<Row> {
    let functions = plan.functions.iter();
    let mut rows: Vec<Row> =
        functions.map(|gpu| Row::of_gpu("enable-functions", *gpu, "switch on its virtual functions")).collect();
    rows.extend(plan.modes.iter().map(|(gpu, sizes)| {
        Row::of_gpu("set-mixed-sizes", *gpu, &format!("{}, unless it does already", mode(*sizes)))
    }));
    for removal in &plan.removals {
        let text = format!("remove it from {}: {}", removal.vgpu.function, why(removal.why));
        rows.push(Row::of_name("remove", &removal.name, text).at(&removal.vgpu).because(&why(removal.why)));
    }
    for (name, vgpu, in_use) in &plan.kept {
        rows.push(Row::of_name("keep", name, format!("keep: {in_use}")).at(vgpu).because(in_use));
    }
    for (name, step) in &plan.instances {
        rows.extend(planned_step(name, step, profiles));
    }
    rows
}

fn planned_step(name: &Name, step: &Step, profiles: &Profiles) -> Option<Row> {
    Some(match step {
        Step::Nothing(_) => return None,
        Step::Parameters(vgpu, text) => {
            let text = if text.is_empty() { "take back its parameters".to_owned() } else { format!("set {text}") };
            Row::of_name("set-parameters", name, text).at(vgpu)
        }
        Step::Make(make) => {
            let profile = profiles.name(make.type_id);
            let place = match make.function {
                Some(function) => function.to_string(),
                None => format!("a virtual function of {}", make.gpu),
            };
            let row = Row::of_name("create", name, format!("make {profile} on {place}"));
            let virtual_function = make.function.filter(|function| *function != make.gpu);
            Row { gpu: Some(make.gpu), virtual_function, profile: Some(profile), ..row }
        }
        Step::Keep(vgpu, in_use) => Row::of_name("keep", name, format!("keep: {in_use}")).at(vgpu).because(in_use),
        Step::Cannot(reason) => {
            let help = reason.help().map(|help| format!("\n    help: {help}")).unwrap_or_default();
            Row::of_name("cannot", name, format!("cannot be made: {reason}{help}")).because(reason)
        }
    })
}

/// What was done, in words.
pub fn done(event: &Event, profiles: &Profiles) -> Row {
    match event {
        Event::Functions(gpu) => Row::of_gpu("enable-functions", *gpu, "its virtual functions are on"),
        Event::Mode(gpu, sizes) => Row::of_gpu("set-mixed-sizes", *gpu, &format!("now set to {}", mode(*sizes))),
        Event::Made(name, type_id, vgpu) => {
            let profile = profiles.name(*type_id);
            let text = format!("made: {profile} on {}", vgpu.function);
            Row { profile: Some(profile), ..Row::of_name("create", name, text).at(vgpu) }
        }
        Event::Removed(name, vgpu, reason) => {
            let text = format!("removed from {}: {}", vgpu.function, why(*reason));
            Row::of_name("remove", name, text).at(vgpu).because(&why(*reason))
        }
        Event::Parameters(name, vgpu) => Row::of_name("set-parameters", name, "parameters set".to_owned()).at(vgpu),
        Event::Owner(name) => Row::of_name("set-owner", name, "given to its user and group".to_owned()),
        Event::Kept(name, in_use) => Row::of_name("keep", name, format!("kept: {in_use}")).because(in_use),
    }
}

/// A vGPU that was removed because somebody asked for it.
pub fn removed(name: &Name, vgpu: &Vgpu) -> Row {
    Row::of_name("remove", name, format!("removed from {}", vgpu.function)).at(vgpu)
}
