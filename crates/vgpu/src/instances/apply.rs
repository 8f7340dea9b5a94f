//! Making a machine have what is declared: looks, plans, acts, and looks again after each thing that changes what there is.
//!
//! It can be run at any time and be killed at any moment: the next run goes on where it finds the machine. Two at once wait
//! for one another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use miette::Diagnostic;

use super::declaration::{Declaration, Instance, Name};
use super::memory::{self, Memory, Remembered};
use super::plan::{self, Plan, Situation, Step, Why};
use super::profiles::Profiles;
use super::reason::{InUse, Reason};
use super::{functions, make, place};
use crate::machine::nvml::Library;
use crate::machine::pci::Address;
use crate::machine::processes::VfioUsers;
use crate::machine::vgpu::{self, HostGpu, Vgpu};

/// Something that was done, or was not.
#[derive(Debug)]
pub enum Event {
    /// Virtual functions of a GPU are on.
    Functions(Address),
    /// Mixed sizes of a GPU are on, or off.
    Mode(Address, bool),
    /// A vGPU was made for a name: its type, and where.
    Made(Name, u32, Vgpu),
    /// A name's vGPU was removed.
    Removed(Name, Vgpu, Why),
    /// The parameters of a name's vGPU were set.
    Parameters(Name, Vgpu),
    /// The device files of a name's vGPU have another owner.
    Owner(Name),
    /// A name's vGPU is left as it is.
    Kept(Name, InUse),
}

/// What was not done.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Failure {
    #[error("cannot switch on the virtual functions of {gpu}")]
    Functions {
        gpu: Address,
        #[source]
        #[diagnostic_source]
        source: functions::Error,
    },
    #[error("cannot switch mixed sizes of {gpu} {}", if *.on { "on" } else { "off" })]
    #[diagnostic(help(
        "it takes a board and driver that can, libnvidia-ml, and a GPU without vGPUs: shut virtual machines down"
    ))]
    Mode {
        gpu: Address,
        on: bool,
        #[source]
        source: nvml_wrapper::error::NvmlError,
    },
    #[error("cannot make instance {name}")]
    NoPlace {
        name: Name,
        #[source]
        #[diagnostic_source]
        source: Reason,
    },
    #[error("cannot make instance {name}, as {kind}, on {gpu}")]
    Make {
        name: Name,
        kind: String,
        gpu: Address,
        #[source]
        #[diagnostic_source]
        source: make::Error,
    },
    #[error("instance {name} is there, but without its parameters")]
    Parameters {
        name: Name,
        #[source]
        #[diagnostic_source]
        source: make::Error,
    },
    #[error("cannot remove instance {name}")]
    Remove {
        name: Name,
        #[source]
        #[diagnostic_source]
        source: make::Error,
    },
    #[error("instance {name} is there, but {user:?} is no user or group of this machine")]
    #[diagnostic(help("name one that is in /etc/passwd and /etc/group"))]
    NoSuchUser { name: Name, user: String },
    #[error("cannot give the device files of instance {name} to its user and group")]
    #[diagnostic(help("run it as root"))]
    Owner {
        name: Name,
        #[source]
        source: std::io::Error,
    },
}

/// Why nothing could be done at all.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Memory(#[from] memory::Error),
    #[error("cannot write to {}", path.display())]
    #[diagnostic(help("run it as root"))]
    Run { path: PathBuf, source: std::io::Error },
    #[error("cannot see who has vGPUs open")]
    #[diagnostic(help("run it as root: only root sees the open files of all processes"))]
    Users,
}

/// How to do it.
pub struct Options<'a> {
    pub root: &'a Path,
    /// How long to wait for the kernel to be told the types, which nvidia-vgpud does at boot.
    pub wait: Duration,
    /// Of the instances, only this one. Others are neither made nor removed.
    pub only: Option<&'a Name>,
    /// What that one is to be, if it is asked for by hand.
    pub by_hand: Option<&'a Instance>,
}

/// What is known of a machine when steps are planned.
pub struct View {
    pub gpus: Vec<HostGpu>,
    pub users: VfioUsers,
    pub profiles: Profiles,
    pub memory: Memory,
    pub boot: String,
}

impl View {
    /// Looks at a machine.
    ///
    /// # Errors
    /// When what was made for whom can't be read.
    pub fn look(root: &Path) -> Result<View, memory::Error> {
        let gpus = vgpu::look(root);
        Ok(View {
            profiles: Profiles::look(root, &gpus),
            users: VfioUsers::look(root),
            memory: Memory::read(root)?,
            boot: memory::boot(root),
            gpus,
        })
    }

    /// What is declared, and what was asked for by hand since the machine was started.
    pub fn wanted(&self, declaration: &Declaration) -> Declaration {
        let mut wanted = declaration.clone();
        for (name, remembered) in &self.memory.instances {
            if let Some(instance) = remembered.by_hand.as_ref().filter(|_| remembered.boot == self.boot) {
                wanted.instances.entry(name.clone()).or_insert_with(|| instance.clone());
            }
        }
        wanted
    }

    pub fn situation<'a>(&'a self, wanted: &'a Declaration) -> Situation<'a> {
        let View { gpus, users, profiles, memory, boot } = self;
        Situation { declaration: wanted, memory, gpus, users, profiles, boot }
    }
}

/// Takes the lock that those who change something hold. `waiting` is called if somebody else has it.
///
/// # Errors
/// When /run/vgpu can't be written to.
pub fn lock(root: &Path, waiting: impl FnOnce()) -> Result<File, Error> {
    let path = root.join(place::DIRECTORY).join(".lock");
    let open = || {
        fs::create_dir_all(root.join(place::DIRECTORY))?;
        let file = File::create(&path)?;
        if file.try_lock().is_err() {
            waiting();
            file.lock()?;
        }
        Ok(file)
    };
    open().map_err(|source| Error::Run { path: path.clone(), source })
}

/// Makes the machine have what is declared. `lock` is what [`lock`] gave. Each thing done is told to `tell`.
///
/// # Errors
/// When nothing can be done at all. What fails for one instance or GPU alone is returned.
pub fn apply(
    options: &Options,
    lock: &File,
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

/// Removes the vGPU of a name, declared or made by hand. `lock` is what [`lock`] gave. Returns it.
///
/// # Errors
/// When there is none, or it can't be removed.
pub fn remove(root: &Path, _lock: &File, declaration: &Declaration, name: &Name) -> Result<Vgpu, RemoveError> {
    let view = View::look(root).map_err(Error::from)?;
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
        // A declared one comes back to its function.
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
    #[diagnostic(help("`vgpu instances list` shows those there are; what others made is theirs to remove"))]
    None(Name),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Nothing(#[from] Error),
}

struct Apply<'a> {
    options: &'a Options<'a>,
    lock: &'a File,
    declaration: &'a Declaration,
    until: Instant,
    tell: &'a mut dyn FnMut(Event),
    failures: Vec<Failure>,
    /// Instances whose failure was told.
    failed: BTreeSet<Name>,
}

impl Apply<'_> {
    /// Looks and plans anew.
    fn look(&self) -> Result<(View, Declaration, Plan), Error> {
        let view = View::look(self.options.root)?;
        if !view.users.complete {
            return Err(Error::Users);
        }
        let mut wanted = view.wanted(self.declaration);
        if let (Some(name), Some(instance)) = (self.options.only, self.options.by_hand) {
            wanted.instances.insert(name.clone(), instance.clone());
        }
        let mut plan = plan::plan(view.situation(&wanted));
        if let Some(only) = self.options.only {
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
        let (_, _, plan) = self.look()?;
        for gpu in plan.functions {
            match functions::enable(self.options.root, gpu, Some(self.lock)) {
                Ok(()) => (self.tell)(Event::Functions(gpu)),
                Err(source) => self.failures.push(Failure::Functions { gpu, source }),
            }
        }
        Ok(())
    }

    /// Waits until the kernel knows types on all GPUs that are to get a vGPU.
    fn wait_for_types(&self) -> Result<(), Error> {
        loop {
            let (view, _, plan) = self.look()?;
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
        let (_, _, plan) = self.look()?;
        if plan.modes.is_empty() {
            return Ok(());
        }
        let library = Library::open(self.options.root);
        for (gpu, on) in plan.modes {
            let set = match &library {
                Ok(library) => library.mixed_sizes(gpu).and_then(|there| {
                    if there == on { Ok(false) } else { library.set_mixed_sizes(gpu, on).map(|()| true) }
                }),
                Err(_) => Library::open(self.options.root).map(|_| false),
            };
            match set {
                Ok(true) => (self.tell)(Event::Mode(gpu, on)),
                // Boards that cannot mix sizes need not be told not to.
                Err(nvml_wrapper::error::NvmlError::NotSupported) if !on => {}
                Err(_) if !on && library.is_err() => {}
                Ok(false) => {}
                Err(source) => self.failures.push(Failure::Mode { gpu, on, source }),
            }
        }
        Ok(())
    }

    /// Removes, makes and sets parameters.
    fn vgpus(&mut self) -> Result<(), Error> {
        let (view, wanted, plan) = self.look()?;
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

    /// A mediated device with the UUID of its name is ours, even where that was not written down.
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
        make: &plan::Make,
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
        // Before it is made: were we killed in between, nobody would know whose it is.
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

    /// What is not there is not ours. The function stays remembered: the name may get it back.
    fn not_made(&self, name: &Name, before: Option<Remembered>, memory: &mut Memory) -> Result<(), Error> {
        match before {
            Some(before) => memory.instances.insert(name.clone(), Remembered { boot: String::new(), ..before }),
            None => memory.instances.remove(name),
        };
        Ok(memory.write(self.options.root)?)
    }

    /// Links and owners of all vGPUs of ours, as they are now.
    fn places(&mut self) -> Result<(), Error> {
        let view = View::look(self.options.root)?;
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
            Err(user) => return self.fail(name, Failure::NoSuchUser { name: name.clone(), user }),
        };
        match place::give(self.options.root, vgpu, Some(owner)) {
            Ok(true) => (self.tell)(Event::Owner(name.clone())),
            Ok(false) => {}
            Err(source) => self.fail(name, Failure::Owner { name: name.clone(), source }),
        }
    }
}
