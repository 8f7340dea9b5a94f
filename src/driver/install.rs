//! The installer: takes a driver package and writes the outputs NixOS wants.
//!
//! The archive is read once. While one thread reads and checks it and another decompresses, two write: each file once,
//! straight to its place. Nothing counts before the check sums are right; removing what was written then is the
//! caller's business ([`crate::cli::build`] works in a directory that it renames at the end; Nix drops failed outputs).

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use serde::Serialize;

use super::links::{self, Tree};
use super::manifest::{self, Entry, Manifest};
use super::placement::{self, EGL_PLATFORMS, Output, Place, Placement, Treatment};
use super::source::Source;
use super::writer::{Job, Shared, Writers, Written, write_file};
use super::{Error, Role, text};
use crate::archive::payload::Member;
use crate::archive::{self, Progress};

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
        let list = read_small(self.path, member)?;
        let manifest = Manifest::parse(&list).map_err(unusable)?;
        let mut plan = Plan::new(self.path, manifest, self.options)?;
        if let Some(early) = self.early.take() {
            early.replay(self.path, |member| plan.take(self.path, &self.writers, member))?;
        }
        self.plan = Some(plan);
        Ok(())
    }
}

/// Reads a member into `buffer`, which has its size. One that ends early is an error.
fn read_into(path: &Path, member: Member, buffer: &mut [u8]) -> Result<(), Error> {
    member.data.read_exact(buffer).map_err(|source| archive::Error::Payload { path: path.into(), source }.into())
}

/// Reads a small member.
fn read_small(path: &Path, member: Member) -> Result<Vec<u8>, Error> {
    let mut buffer = vec![0; member.size as usize];
    read_into(path, member, &mut buffer)?;
    Ok(buffer)
}

/// Members that came before the manifest wait in an unnamed temporary file.
#[derive(Default)]
struct Early {
    file: Option<File>,
    members: Vec<(String, u32, u64)>,
}

impl Early {
    fn keep(&mut self, path: &Path, member: &mut Member) -> Result<(), Error> {
        let unwritable = |e| Error::write(&std::env::temp_dir(), e);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(unwritable)?),
        };
        let copied = std::io::copy(&mut member.data, file).map_err(unwritable)?;
        if copied != member.size {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(archive::Error::Payload { path: path.into(), source }.into());
        }
        self.members.push((std::mem::take(&mut member.path), member.mode, member.size));
        Ok(())
    }

    fn replay(self, path: &Path, mut take: impl FnMut(Member) -> Result<(), Error>) -> Result<(), Error> {
        let Some(mut file) = self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(0)).map_err(|e| archive::Error::io(path, "cannot be read again", e))?;
        for (member, mode, size) in self.members {
            let mut data = (&mut file).take(size);
            take(Member { path: member, mode, size, data: &mut data })?;
            std::io::copy(&mut data, &mut std::io::sink())
                .map_err(|e| archive::Error::io(path, "cannot be read again", e))?;
        }
        Ok(())
    }
}

/// What is to happen with each file of the manifest.
struct Plan {
    version: String,
    files: HashMap<String, Planned>,
    symlinks: Vec<Entry>,
    /// Files that name libraries wait until all libraries are known.
    deferred: Vec<Deferred>,
    has_gridd: bool,
    skipped: Vec<Skipped>,
    unknown: Vec<String>,
}

struct Planned {
    places: Vec<Place>,
    mode: u32,
    seen: bool,
}

struct Deferred {
    file: String,
    place: Place,
    text: String,
}

impl Plan {
    fn new(path: &Path, manifest: Manifest, options: &Options) -> Result<Plan, Error> {
        let mut plan = Plan {
            version: manifest.version,
            files: HashMap::new(),
            symlinks: Vec::new(),
            deferred: Vec::new(),
            has_gridd: false,
            skipped: Vec::new(),
            unknown: Vec::new(),
        };
        let mut taken: HashMap<(Output, String), String> = HashMap::new();
        for entry in manifest.entries {
            if entry.is_symlink() {
                plan.add_symlink(entry);
                continue;
            }
            for place in plan.places(&entry, options) {
                let place_name = (place.output, place.path.clone());
                if let Some(first) = taken.insert(place_name, entry.file.clone()) {
                    if first == entry.file {
                        continue; // NVIDIA lists some files twice.
                    }
                    let second = entry.file.clone();
                    return Err(Error::Conflict { path: path.into(), first, second, place: place.path });
                }
                check_mode(path, &entry.file, entry.mode)?;
                plan.has_gridd |= place.path == "bin/nvidia-gridd";
                let planned = plan.files.entry(entry.file.clone());
                planned.or_insert(Planned { places: vec![], mode: entry.mode, seen: false }).places.push(place);
            }
        }
        Ok(plan)
    }

    fn skip(&mut self, file: &str, reason: impl Into<String>) {
        self.skipped.push(Skipped { file: file.to_owned(), reason: reason.into() });
    }

    fn add_symlink(&mut self, entry: Entry) {
        if entry.known {
            self.symlinks.push(entry);
        } else {
            self.skip_unknown(&entry);
        }
    }

    fn skip_unknown(&mut self, entry: &Entry) {
        self.skip(&entry.file, format!("its type {} is not known", entry.kind));
        self.unknown.push(entry.kind.clone());
    }

    /// The places of a file that this installation wants.
    fn places(&mut self, entry: &Entry, options: &Options) -> Vec<Place> {
        let mut places = match placement::place(entry, &self.version) {
            Placement::Places(places) => places,
            Placement::Nowhere(reason) => {
                self.skip(&entry.file, reason);
                return vec![];
            }
            Placement::Unknown => {
                self.skip_unknown(entry);
                return vec![];
            }
        };
        if !options.egl_platforms && placement::is_egl_platform(entry) {
            self.skip(&entry.file, "NixOS has its own EGL platforms");
            return vec![];
        }
        if options.destination.lib32.is_none() {
            places.retain(|place| place.output != Output::Lib32);
            if places.is_empty() {
                self.skip(&entry.file, "32-bit libraries are not wanted");
            }
        }
        places
    }

    /// Takes a member of the archive: hands it to the writers if it goes anywhere.
    fn take(&mut self, path: &Path, writers: &Writers, member: Member) -> Result<(), Error> {
        let Some(planned) = self.files.get_mut(&member.path) else {
            return Ok(());
        };
        if planned.seen {
            let problem = "is there twice";
            return Err(archive::Error::member(path, member.path, problem).into());
        }
        planned.seen = true;
        check_mode(path, &member.path, member.mode)?;
        let file = member.path.clone();
        let executable = (planned.mode | member.mode) & 0o111 != 0;
        let names_libraries = |p: &Place| matches!(p.treatment, Treatment::LibraryJson | Treatment::OpenclIcd);
        if planned.places.iter().any(names_libraries) {
            let places = std::mem::take(&mut planned.places);
            return self.defer(path, member, places);
        }
        let places = std::mem::take(&mut planned.places);
        let Some(mut data) = writers.wait_for_room(member.size) else {
            return Err(Error::write(path, std::io::ErrorKind::Interrupted.into())); // The writer's error replaces this.
        };
        read_into(path, member, &mut data)?;
        writers.write(Job { file, places, data, executable });
        Ok(())
    }

    fn defer(&mut self, path: &Path, member: Member, places: Vec<Place>) -> Result<(), Error> {
        let file = member.path.clone();
        let damaged = |problem: &str| Error::File { path: path.into(), file: file.clone(), problem: problem.into() };
        if member.size > 1 << 20 {
            return Err(damaged("is too large for a list of libraries"));
        }
        let text = String::from_utf8(read_small(path, member)?).map_err(|_| damaged("is not UTF-8 text"))?;
        for place in places {
            self.deferred.push(Deferred { file: file.clone(), place, text: text.clone() });
        }
        Ok(())
    }

    /// What can only be done when all files are there: symlinks, files that name libraries, the report.
    fn finish(mut self, path: &Path, options: &Options, mut written: Written) -> Result<Report, Error> {
        let mut absent: Vec<_> = self.files.iter().filter(|(_, p)| !p.seen).map(|(file, _)| file.clone()).collect();
        if !absent.is_empty() {
            absent.sort();
            return Err(Error::Absent { path: path.into(), files: absent });
        }
        let tree = self.link(options, &written)?;
        self.write_deferred(path, options, &tree, &mut written)?;
        if self.has_gridd {
            let policy = options.place(Output::Bin, "share/dbus-1/system.d/nvidia-grid.conf");
            write(&policy, text::GRID_POLICY.as_bytes(), &mut written)?;
        }
        if let Some(config) = &options.vgpu_config {
            replace_config(path, options, config, &mut written)?;
        }
        for (output, _) in Output::ALL {
            let dir = options.destination.of(output);
            open_directories(dir).map_err(|e| Error::write(dir, e))?;
        }
        self.skipped.sort();
        self.skipped.dedup();
        self.unknown.sort();
        self.unknown.dedup();
        let outputs = Output::ALL
            .into_iter()
            .filter(|(output, _)| *output != Output::Lib32 || options.outputs.lib32.is_some())
            .map(|(output, name)| (name, options.outputs.of(output).to_owned()))
            .collect();
        Ok(Report {
            role: options.role,
            version: self.version,
            files: written.files,
            bytes: written.bytes,
            outputs,
            skipped: self.skipped,
            unknown: self.unknown,
        })
    }

    /// Makes the symlinks.
    fn link(&mut self, options: &Options, written: &Written) -> Result<Tree, Error> {
        let mut tree = Tree::default();
        for file in &written.installed {
            tree.add_file(file.output, &file.path);
        }
        let mut wanted = Vec::new();
        for entry in std::mem::take(&mut self.symlinks) {
            match (links::place(&entry), links::target(&entry)) {
                (Some((Output::Lib32, _)), _) if options.destination.lib32.is_none() => {}
                (Some((output, path)), Some(target)) => {
                    tree.want_link(output, &path, &target);
                    wanted.push((entry.file, output, path));
                }
                _ => self.skip(&entry.file, "links to what nixpkgs has itself"),
            }
        }
        for library in written.installed.iter().filter(|file| file.is_library) {
            tree.want_library_links(library.output, &library.path, library.soname.as_deref());
        }
        for output in [Output::Out, Output::Lib32] {
            // Newer drivers don't list this one.
            tree.want_link(output, "lib/gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so");
        }
        for (file, output, path) in wanted {
            if !tree.leads_to_file(output, &path) {
                self.skip(&file, "links to a file that is not installed");
            }
        }
        for (output, path, target) in tree.links() {
            let link = options.place(output, path);
            make_link(&link, target).map_err(|e| Error::write(&link, e))?;
        }
        Ok(tree)
    }

    /// Writes the files that name libraries, with the libraries' absolute paths.
    fn write_deferred(
        &mut self,
        path: &Path,
        options: &Options,
        tree: &Tree,
        written: &mut Written,
    ) -> Result<(), Error> {
        for Deferred { file, place, text } in std::mem::take(&mut self.deferred) {
            let mut missing = None;
            let mut locate = |name: &str| {
                let found = tree.leads_to_file(place.output, &format!("lib/{name}"));
                if !found {
                    missing = Some(name.to_owned());
                }
                found.then(|| options.outputs.of(place.output).join("lib").join(name).display().to_string())
            };
            let text = match place.treatment {
                Treatment::OpenclIcd => locate(text.trim()).map_or(text, |path| path + "\n"),
                _ => text::library_json(&text, &mut locate).map_err(|problem| Error::File {
                    path: path.into(),
                    file: file.clone(),
                    problem,
                })?,
            };
            match missing {
                // The system's own library serves EGL platforms; 32-bit ICDs come only with 32-bit libraries.
                Some(_) if place.output == Output::Lib32 => continue,
                Some(name) if !place.path.starts_with(EGL_PLATFORMS) => {
                    self.skip(&file, format!("the driver has no {name}"));
                    continue;
                }
                _ => {}
            }
            write(&options.place(place.output, &place.path), text.as_bytes(), written)?;
        }
        Ok(())
    }
}

/// Nothing set-user-ID is ever installed.
fn check_mode(path: &Path, file: &str, mode: u32) -> Result<(), Error> {
    if mode & 0o7000 != 0 {
        return Err(archive::Error::member(path, file, "would be installed set-user-ID, set-group-ID or sticky").into());
    }
    Ok(())
}

fn write(path: &Path, content: &[u8], written: &mut Written) -> Result<(), Error> {
    write_file(path, false, |out| out.write_all(content)).map_err(|e| Error::write(path, e))?;
    written.files += 1;
    written.bytes += content.len() as u64;
    Ok(())
}

/// Installs the user's vgpuConfig.xml in place of the driver's.
fn replace_config(path: &Path, options: &Options, config: &Path, written: &mut Written) -> Result<(), Error> {
    let installed = options.place(Output::Out, "vgpuConfig.xml");
    let old = fs::metadata(&installed).map_err(|_| {
        let problem = "is not in this driver, so it cannot be replaced: only host drivers have one".to_owned();
        Error::File { path: path.into(), file: "vgpuConfig.xml".into(), problem }
    })?;
    let content = fs::read(config).map_err(|e| archive::Error::io(config, "cannot be read", e))?;
    fs::remove_file(&installed).map_err(|e| Error::write(&installed, e))?;
    written.files -= 1;
    written.bytes -= old.len();
    write(&installed, &content, written)
}

/// Gives directories the mode that NixOS' store knows, whatever the umask is.
fn open_directories(dir: &Path) -> std::io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_directories(&entry.path())?;
        }
    }
    Ok(())
}

fn make_link(link: &Path, target: &str) -> std::io::Result<()> {
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent)?;
    }
    std::os::unix::fs::symlink(target, link)
}
