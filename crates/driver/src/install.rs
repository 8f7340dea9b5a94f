//! The installer: takes a driver package and writes the outputs NixOS wants.
//!
//! The archive is read once. While one thread reads and checks it and another decompresses, two write: each file once,
//! straight to its place. Nothing counts before the check sums are right; removing what was written then is the
//! caller's business ([`crate::cli::build`] works in a directory that it renames at the end; Nix drops failed outputs).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde::Serialize;

use crate::archive::Progress;
use crate::archive::payload::Member;
use crate::early::Early;
use crate::manifest::{self, Manifest};
use crate::placement::Output;
use crate::plan::Plan;
use crate::source::Source;
use crate::writer::{Shared, Writers};
use crate::{Error, Role};

/// Where the five parts of a driver go. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Libraries and data.
    pub out: PathBuf,
    /// Programs and the X driver.
    pub bin: PathBuf,
    /// 32-bit libraries. `None` drops them.
    pub lib32: Option<PathBuf>,
    /// GSP firmware.
    pub firmware: PathBuf,
    /// Kernel module sources.
    pub modsrc: PathBuf,
}

impl Outputs {
    /// The five parts below one directory.
    pub fn below(dir: &Path) -> Outputs {
        let at = |name| dir.join(name);
        Outputs {
            out: at("out"),
            bin: at("bin"),
            lib32: Some(at("lib32")),
            firmware: at("firmware"),
            modsrc: at("modsrc"),
        }
    }

    /// Where an output lies. Nothing is placed in `lib32` when there is none.
    pub(super) fn of(&self, output: Output) -> &Path {
        match output {
            Output::Out => &self.out,
            Output::Bin => &self.bin,
            Output::Lib32 => self.lib32.as_deref().unwrap_or(&self.out),
            Output::Firmware => &self.firmware,
            Output::Modsrc => &self.modsrc,
        }
    }
}

/// What the installer needs to know beyond the driver itself.
#[derive(Clone, Debug)]
pub struct Options {
    pub role: Role,
    /// Where the outputs will lie in the end: paths in run paths, ICD files and scripts.
    pub outputs: Outputs,
    /// Where they are written now. Nix writes them to their place at once.
    pub destination: Outputs,
    /// Directories after the driver's own in the run path of 64-bit libraries and programs.
    pub lib_path: Vec<PathBuf>,
    /// The same for 32-bit libraries.
    pub lib_path_32: Vec<PathBuf>,
    /// The dynamic loader of programs. `None` keeps NVIDIA's.
    pub interpreter: Option<PathBuf>,
    /// A vgpuConfig.xml to install in place of the driver's.
    pub vgpu_config: Option<PathBuf>,
    /// The shell that scripts start with. `None` keeps NVIDIA's.
    pub shell: Option<PathBuf>,
    /// Directories of programs that scripts call, put in front of their PATH.
    pub tools: Vec<PathBuf>,
    /// Whether to install EGL platforms: share/egl/egl_external_platform.d and the libraries it names. From 26.05 on
    /// NixOS brings its own, and two packages with one file break its graphics environment.
    pub egl_platforms: bool,
}

/// What was done, for `vgpu build --json`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub role: Role,
    /// Version of the driver, from its manifest.
    pub version: String,
    /// Number of files written, without symlinks.
    pub files: u64,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// Where each output lies, by name.
    pub outputs: BTreeMap<&'static str, PathBuf>,
    /// What went nowhere, and why. Sorted.
    pub skipped: Vec<Skipped>,
    /// Types in the manifest this version doesn't know. Sorted.
    pub unknown: Vec<String>,
}

/// A file of the driver that was not installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skipped {
    /// Its path within the package.
    pub file: String,
    pub reason: String,
}

/// Installs the driver `source` as `options` say.
pub fn install(source: &Source, options: &Options, progress: Progress) -> Result<Report, Error> {
    for (output, _) in Output::ALL {
        let dir = options.destination.of(output);
        fs::create_dir_all(dir).map_err(|e| Error::write(dir, e))?;
    }
    let shared = Shared::new(options, source.path());
    let (mut plan, read) = thread::scope(|scope| {
        let mut installer = Installer {
            path: source.path(),
            options,
            writers: Writers::start(scope, &shared),
            plan: None,
            early: None,
        };
        let read = source.for_each(progress, |member| installer.take(member));
        (installer.plan, read)
    });
    // An error in reading explains more than the error in writing that it led to; a wrong check sum explains both.
    let written = match (read, shared.finish()) {
        (Err(Error::Write { .. }), Err(error)) => return Err(error),
        (Err(error), _) | (Ok(()), Err(error)) => return Err(error),
        (Ok(()), Ok(written)) => written,
    };
    let plan = plan.take().ok_or_else(|| Error::NoManifest { path: source.path().into() })?;
    plan.finish(source.path(), options, written)
}

/// Takes the members of a package as they come.
struct Installer<'scope, 'a> {
    path: &'a Path,
    options: &'a Options,
    writers: Writers<'scope, 'a>,
    /// Known once the manifest has been seen.
    plan: Option<Plan>,
    /// Members that came before the manifest.
    early: Option<Early>,
}

impl Installer<'_, '_> {
    fn take(&mut self, mut member: Member) -> Result<(), Error> {
        if member.path == manifest::FILE {
            return self.take_manifest(member);
        }
        let Some(plan) = &mut self.plan else {
            return self.early.get_or_insert_default().keep(self.path, &mut member);
        };
        plan.take(self.path, &self.writers, member)
    }

    fn take_manifest(&mut self, member: Member) -> Result<(), Error> {
        let unusable = |problem| Error::Manifest { path: self.path.into(), problem };
        if member.size > manifest::LARGEST {
            return Err(unusable(format!("it has {} bytes", member.size)));
        }
        if self.plan.is_some() {
            return Err(unusable("there are two of them".into()));
        }
        let list = member.read(self.path)?;
        let manifest = Manifest::parse(&list).map_err(unusable)?;
        let mut plan = Plan::new(self.path, manifest, self.options)?;
        if let Some(early) = self.early.take() {
            early.replay(self.path, |member| plan.take(self.path, &self.writers, member))?;
        }
        self.plan = Some(plan);
        Ok(())
    }
}
