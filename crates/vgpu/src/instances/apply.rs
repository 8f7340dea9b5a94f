//! Makes a machine have what is declared: reads its state, plans, acts, and reads the state again after each change.
//!
//! It can be run at any time and be killed at any moment: the next run goes on from what it finds. If two run at once, one
//! waits for the other.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nvml_wrapper::error::NvmlError;

use super::declaration::{Declaration, Instance, Name};
use super::lock::Lock;
use super::memory::{Memory, Remembered};
use super::outcome::{Error, Event, Failure};
use super::place::NoSuchUser;
use super::reason::{InUse, Reason};
use super::request::Request;
use super::situation::Situation;
use super::step::{Make, Plan, Step, Why};
use super::view::View;
use super::{functions, make, place, plan};
use crate::machine::nvml::Library;
use crate::machine::pci::Address;
use crate::machine::vgpu::{Sizes, Vgpu};

/// How to apply a declaration.
pub struct Options<'a> {
    pub root: &'a Path,
    /// How long to wait until nvidia-vgpud has told the kernel the types, which it does at boot.
    pub wait: Duration,
    /// The only instance to make. Others are neither made nor removed.
    pub only: Option<&'a Request>,
}

/// Makes the machine have what is declared. `tell` gets each thing that was done.
///
/// # Errors
/// When nothing can be done at all. Failures of single instances or GPUs are returned.
pub fn apply(
    options: &Options,
    lock: &Lock,
    declaration: &Declaration,
    tell: &mut dyn FnMut(Event),
) -> Result<Vec<Failure>, Error> {
    let mut apply = Apply {
        options,
        lock,
        declaration,
        until: Instant::now() + options.wait,
        tell,
        failures: Vec::new(),
        failed: BTreeSet::new(),
    };
    apply.functions()?;
    apply.wait_for_types()?;
    apply.modes()?;
    apply.vgpus()?;
    apply.places()?;
    Ok(apply.failures)
}

struct Apply<'a> {
    options: &'a Options<'a>,
    lock: &'a Lock,
    declaration: &'a Declaration,
    until: Instant,
    tell: &'a mut dyn FnMut(Event),
    failures: Vec<Failure>,
    /// Instances whose failure was told.
    failed: BTreeSet<Name>,
}

impl Apply<'_> {
    /// Reads the state, and plans again.
    fn read_and_plan(&self) -> Result<(View, Declaration, Plan), Error> {
        let view = View::read(self.options.root)?;
        if !view.users.complete {
            return Err(Error::Users);
        }
        let mut wanted = view.wanted(self.declaration);
        if let Some(Request { name, by_hand: Some(instance) }) = self.options.only {
            wanted.instances.insert(name.clone(), instance.clone());
        }
        let situation = view.situation(&wanted);
        let mut plan = plan::plan(situation);
        if let Some(Request { name: only, by_hand }) = self.options.only {
            if let (Some(_), Some(step)) = (by_hand, plan.instances.get_mut(only)) {
                refuse_of_others(situation, only, step);
            }
            plan.removals.retain(|removal| removal.name == *only);
            plan.instances.retain(|name, _| name == only);
            plan.modes.clear();
            plan.kept.clear();
            plan.forgotten.clear();
            let gpu = plan.instances.values().find_map(|step| match step {
                Step::Make(make) => Some(make.gpu),
                _ => None,
            });
            plan.functions.retain(|function| Some(*function) == gpu);
        }
        Ok((view, wanted, plan))
    }

    fn functions(&mut self) -> Result<(), Error> {
        let (_, _, plan) = self.read_and_plan()?;
        for gpu in plan.functions {
            match functions::enable(self.options.root, gpu, self.lock.as_fd()) {
                Ok(()) => (self.tell)(Event::Functions(gpu)),
                Err(source) => self.failures.push(Failure::Functions { gpu, source }),
            }
        }
        Ok(())
    }

    /// Waits until the kernel knows types on all GPUs that will get a vGPU.
    fn wait_for_types(&self) -> Result<(), Error> {
        loop {
            let (view, _, plan) = self.read_and_plan()?;
            let unknown = |step: &Step| match step {
                Step::Make(make) => view.gpus.iter().any(|gpu| gpu.address() == make.gpu && !gpu.knows_types()),
                Step::Cannot(Reason::UnknownProfile { .. }) => view.gpus.iter().any(|gpu| !gpu.knows_types()),
                _ => false,
            };
            if !plan.instances.values().any(unknown) || Instant::now() >= self.until {
                return Ok(());
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// Sets modes that are not as declared. NVML is closed again before anything else happens.
    fn modes(&mut self) -> Result<(), Error> {
        let (_, _, plan) = self.read_and_plan()?;
        if plan.modes.is_empty() {
            return Ok(());
        }
        let library = Library::open(self.options.root);
        for (gpu, sizes) in plan.modes {
            let set = match &library {
                Ok(library) => set_sizes(library, gpu, sizes),
                Err(_) => Library::open(self.options.root).map(|_| Changed::No),
            };
            match set {
                Ok(Changed::Yes) => (self.tell)(Event::Mode(gpu, sizes)),
                Ok(Changed::No) => {}
                // A board that cannot mix sizes has equal ones already.
                Err(NvmlError::NotSupported) if sizes == Sizes::Equal => {}
                Err(_) if sizes == Sizes::Equal && library.is_err() => {}
                Err(source) => self.failures.push(Failure::Mode { gpu, sizes, source }),
            }
        }
        Ok(())
    }

    /// Removes, makes and sets parameters.
    fn vgpus(&mut self) -> Result<(), Error> {
        let (view, wanted, plan) = self.read_and_plan()?;
        let mut memory = view.memory.clone();
        for name in &plan.forgotten {
            memory.instances.remove(name);
        }
        for removal in plan.removals {
            match make::remove(self.options.root, &removal.vgpu) {
                Ok(()) => {
                    let _ = place::give(self.options.root, &removal.vgpu, None);
                    if removal.why == Why::Undeclared {
                        memory.instances.remove(&removal.name);
                    }
                    (self.tell)(Event::Removed(removal.name, removal.vgpu, removal.why));
                }
                Err(make::Error::InUse(by)) => {
                    let then = "the next apply does it".to_owned();
                    self.failed.insert(removal.name.clone());
                    (self.tell)(Event::Kept(removal.name, InUse { by, then }));
                }
                Err(source) => self.fail(&removal.name.clone(), Failure::Remove { name: removal.name, source }),
            }
        }
        if memory != view.memory {
            memory.write(self.options.root)?;
        }
        for (name, _, in_use) in plan.kept {
            (self.tell)(Event::Kept(name, in_use));
        }
        for (name, step) in plan.instances {
            let instance = &wanted.instances[&name];
            self.step(&name, instance, step, &view, &mut memory)?;
        }
        Ok(())
    }

    fn fail(&mut self, name: &Name, failure: Failure) {
        self.failed.insert(name.clone());
        self.failures.push(failure);
    }

    fn step(
        &mut self,
        name: &Name,
        instance: &Instance,
        step: Step,
        view: &View,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        match step {
            _ if self.failed.contains(name) => {}
            Step::Nothing(vgpu) => self.remember(name, &vgpu, view, memory)?,
            Step::Parameters(vgpu, text) => match make::set_parameters(self.options.root, &vgpu, &text) {
                Ok(()) => (self.tell)(Event::Parameters(name.clone(), vgpu)),
                Err(source) => self.fail(name, Failure::Parameters { name: name.clone(), source }),
            },
            Step::Keep(_, in_use) => (self.tell)(Event::Kept(name.clone(), in_use)),
            Step::Cannot(source) => self.fail(name, Failure::NoPlace { name: name.clone(), source }),
            Step::Make(make) => self.make(name, instance, &make, view, memory)?,
        }
        Ok(())
    }

    /// A mediated device with the UUID of its name is ours, even if the memory does not have it.
    fn remember(&self, name: &Name, vgpu: &Vgpu, view: &View, memory: &mut Memory) -> Result<(), Error> {
        let known = memory.instances.get(name).is_some_and(|remembered| remembered.boot == view.boot);
        let gpu = view.gpus.iter().find(|gpu| gpu.vgpus.contains(vgpu));
        let (Some(gpu), Some(type_id), false, true) = (gpu, vgpu.type_id, known, vgpu.uuid == Some(name.uuid())) else {
            return Ok(());
        };
        let (gpu, function, uuid) = (gpu.address(), vgpu.function, vgpu.uuid);
        let remembered = Remembered { gpu, function, uuid, type_id, boot: view.boot.clone(), by_hand: None };
        memory.instances.insert(name.clone(), remembered);
        Ok(memory.write(self.options.root)?)
    }

    fn make(
        &mut self,
        name: &Name,
        instance: &Instance,
        make: &Make,
        view: &View,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let declared = self.declaration.instances.get(name);
        let by_hand = (declared != Some(instance)).then(|| instance.clone());
        let before = memory.instances.get(name).cloned();
        let remembered = Remembered {
            gpu: make.gpu,
            function: make.function.unwrap_or(make.gpu),
            uuid: Some(make.uuid),
            type_id: make.type_id,
            boot: view.boot.clone(),
            by_hand,
        };
        // It is written before the vGPU is made. If we were killed in between, nobody would know whose it is.
        if before.as_ref() != Some(&remembered) {
            memory.instances.insert(name.clone(), remembered);
            memory.write(self.options.root)?;
        }
        match make::make(self.options.root, make, self.until) {
            Ok(vgpu) => (self.tell)(Event::Made(name.clone(), make.type_id, vgpu)),
            Err(source @ make::Error::NoParameters(_)) => {
                self.fail(name, Failure::Parameters { name: name.clone(), source });
            }
            Err(source) => {
                self.not_made(name, before, memory)?;
                let (kind, gpu) = (view.profiles.name(make.type_id), make.function.unwrap_or(make.gpu));
                self.fail(name, Failure::Make { name: name.clone(), kind, gpu, source });
            }
        }
        Ok(())
    }

    /// Notes that no vGPU was made. The memory keeps the function, so that the name can get it again.
    fn not_made(&self, name: &Name, before: Option<Remembered>, memory: &mut Memory) -> Result<(), Error> {
        match before {
            Some(before) => memory.instances.insert(name.clone(), Remembered { boot: String::new(), ..before }),
            None => memory.instances.remove(name),
        };
        Ok(memory.write(self.options.root)?)
    }

    /// Sets links and owners of all our vGPUs, as they are now.
    fn places(&mut self) -> Result<(), Error> {
        let view = View::read(self.options.root)?;
        let wanted = view.wanted(self.declaration);
        let situation = view.situation(&wanted);
        let declared =
            wanted.instances.iter().filter_map(|(name, instance)| Some((name, situation.existing(name, instance)?)));
        let kept = view.memory.instances.keys().filter_map(|name| Some((name, situation.made(name)?)));
        let vgpus: BTreeMap<&Name, &Vgpu> = kept.chain(declared).collect();
        let path = self.options.root.join(place::DIRECTORY);
        place::link(self.options.root, &vgpus).map_err(|source| Error::Run { path, source })?;
        for (name, vgpu) in vgpus {
            if let Some(instance) = wanted.instances.get(name) {
                self.owner(name, instance, vgpu);
            }
        }
        Ok(())
    }

    fn owner(&mut self, name: &Name, instance: &Instance, vgpu: &Vgpu) {
        let owner = match place::owner(self.options.root, instance) {
            Ok(Some(owner)) => owner,
            Ok(None) => return,
            Err(NoSuchUser(user)) => return self.fail(name, Failure::NoSuchUser { name: name.clone(), user }),
        };
        match place::give(self.options.root, vgpu, Some(owner)) {
            Ok(true) => (self.tell)(Event::Owner(name.clone())),
            Ok(false) => {}
            Err(source) => self.fail(name, Failure::Owner { name: name.clone(), source }),
        }
    }
}

/// What is asked for by hand is made. A vGPU that somebody else made in its place does not do: nothing would remember
/// that it has this name.
fn refuse_of_others(situation: Situation, name: &Name, step: &mut Step) {
    let there = match &*step {
        Step::Nothing(vgpu) | Step::Parameters(vgpu, _) | Step::Keep(vgpu, _) => vgpu,
        Step::Make(_) | Step::Cannot(_) => return,
    };
    if !situation.is_ours(name, there) {
        let (function, uuid, there) = (there.function, there.uuid, situation.describe(there));
        *step = Step::Cannot(match uuid {
            Some(uuid) => Reason::UuidTaken { uuid, there },
            None => Reason::FunctionTaken { function, there },
        });
    }
}

/// Whether something was changed, or was right already.
enum Changed {
    Yes,
    No,
}

fn set_sizes(library: &Library, gpu: Address, sizes: Sizes) -> Result<Changed, NvmlError> {
    if library.sizes(gpu)? == sizes {
        return Ok(Changed::No);
    }
    library.set_sizes(gpu, sizes)?;
    Ok(Changed::Yes)
}
