//! The installer: takes a driver package and writes the outputs that NixOS wants. It directs the work; other modules do it.
//!
//! The archive is read once. One thread reads and checks it, another one decompresses, and two change and write the files.
//! Each file is written once, straight to its place. The result counts only when the check sums are right. If they are
//! wrong, the caller removes what was written: `vgpu build` works in a directory that it renames at the end, and Nix drops
//! failed outputs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::PoisonError;
use std::thread;

use crate::archive::payload::Member;
use crate::archive::{self, MemberError, Progress};
use crate::confined::Executable;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::links::Tree;
use crate::manifest::{self, Manifest, ManifestError};
use crate::memory::Refused;
use crate::parts::{PART, Threads};
use crate::placement::is_left_out;
use crate::plan::{Conflict, Plan, check_mode};
use crate::source::Source;
use crate::target::{Installed, Target, Written};
use crate::text;
use crate::treat::{self, Problem};
use crate::waiting::Waiting;
pub use crate::words::file_type::EGL_PLATFORMS;
pub use crate::words::options::Options;
pub use crate::words::output::Outputs;
use crate::words::output::{Output, Place, Treatment};
use crate::words::path::RelativePath;
pub use crate::words::report::Report;
use crate::writer::{Shared, Writers};

/// The longest list of libraries, in bytes. An ICD has 200, nvidia_layers.json has 3,000. Once parsed, a list takes 200
/// times as much memory.
const LONGEST_LIST: u64 = 128 << 10;
/// The most bytes of all files that name libraries, which are kept until the end. Those of the 550 driver have less than 10 KB.
const ALL_LISTS: usize = 4 << 20;
/// The installer's memory for the manifest is at most this many times the size of the manifest.
const MANIFEST_MEMORY: usize = 8;

/// Installs the driver `source` as `options` say.
///
/// # Errors
/// When the driver cannot be read or is not as it should be, and when something cannot be written.
pub fn install(source: &Source, options: &Options, progress: Progress) -> Result<Report, Error> {
    options.check()?;
    let ledger = Ledger::default();
    let target = Target::open(source.path(), options, &ledger)?;
    let shared = Shared::default();
    let (read, plan, deferred) = thread::scope(|scope| {
        let started = |e| archive::Error::io(source.path(), "cannot be read: no thread can be started for it", e);
        let writers = match Writers::start(scope, &shared) {
            Ok(writers) => writers,
            Err(error) => return (Err(Error::from(started(error))), None, vec![]),
        };
        let mut reader =
            Reader { target: &target, threads: Threads::new(&shared.memory, writers), plan: None, waiting: None };
        let read = source.for_each(&shared.memory, progress, |member| {
            ledger.read(member.size);
            reader.take(member)
        });
        let read = read.and_then(|()| reader.threads.correct_rest(&target));
        match reader.plan {
            Some(planned) => (read, Some((planned.plan, planned.seen)), planned.deferred),
            None => (read, None, vec![]),
        }
    });
    if ledger.is_exceeded() {
        return Err(Error::Growth { path: source.path().into(), most: ledger.most() });
    }
    // An error in reading explains the errors in writing that follow from it. A wrong check sum explains both.
    match (read, shared.finish()) {
        (Err(Error::Write { .. }), Err(error)) | (Err(error), _) | (Ok(()), Err(error)) => return Err(error),
        (Ok(()), Ok(())) => {}
    }
    let (plan, seen) = plan.ok_or_else(|| Error::NoManifest { path: source.path().into() })?;
    let report = finish(&target, plan, &seen, deferred);
    match report {
        Err(_) if ledger.is_exceeded() => Err(Error::Growth { path: source.path().into(), most: ledger.most() }),
        report => report,
    }
}

/// Takes the members of a package, in the order of the archive.
struct Reader<'s, 't, 'a> {
    target: &'t Target<'a>,
    threads: Threads<'s, 't>,
    /// Known once the manifest has been seen.
    plan: Option<Underway>,
    /// Members that came before the manifest.
    waiting: Option<Waiting>,
}

/// A plan that is being carried out.
struct Underway {
    plan: Plan,
    /// Planned files that the archive had so far.
    seen: HashSet<RelativePath>,
    /// Files that name libraries wait until all libraries are known.
    deferred: Vec<Deferred>,
    /// The length of all that is deferred, in bytes.
    deferred_length: usize,
}

struct Deferred {
    file: RelativePath,
    place: Place,
    text: String,
}

impl<'t> Reader<'_, 't, '_> {
    fn take(&mut self, member: Member) -> Result<(), Error> {
        if member.path.as_str() == manifest::FILE {
            return self.take_manifest(member);
        }
        let Some(underway) = &mut self.plan else {
            return self.waiting.get_or_insert_default().keep(self.target.archive, member);
        };
        take_file(self.target, &mut self.threads, underway, member)
    }

    fn take_manifest(&mut self, member: Member) -> Result<(), Error> {
        let (target, memory, threads) = (self.target, self.threads.memory, &mut self.threads);
        let unusable = |problem| Error::Manifest { path: target.archive.into(), problem };
        if member.size > manifest::LARGEST {
            return Err(unusable(ManifestError::TooLarge(member.size)));
        }
        if self.plan.is_some() {
            return Err(unusable(ManifestError::Twice));
        }
        let refused = |refused: Refused| target.damaged(&member.path, refused.into());
        memory.lease(member.size as usize * MANIFEST_MEMORY + ALL_LISTS).map_err(refused)?;
        let list = member.read(target.archive)?;
        let manifest = Manifest::parse(&list).map_err(unusable)?;
        let plan = Plan::new(manifest, target.options).map_err(|conflict| match conflict {
            Conflict::Places { first, second, place } => {
                Error::Conflict { path: target.archive.into(), first, second, place }
            }
            Conflict::File(file, problem) => target.member(&file, problem),
        })?;
        let mut underway = Underway { plan, seen: HashSet::new(), deferred: vec![], deferred_length: 0 };
        if let Some(waiting) = self.waiting.take() {
            waiting.replay(target.archive, |member| take_file(target, threads, &mut underway, member))?;
        }
        self.plan = Some(underway);
        Ok(())
    }
}

/// Takes a member of the archive. If it has a place, it is handed to the writers.
fn take_file<'t>(
    target: &'t Target<'_>,
    threads: &mut Threads<'_, 't>,
    underway: &mut Underway,
    member: Member,
) -> Result<(), Error> {
    let Some(planned) = underway.plan.files.get(&member.path) else { return Ok(()) };
    if !underway.seen.insert(member.path.clone()) {
        return Err(target.member(&member.path, MemberError::Twice));
    }
    check_mode(member.mode).map_err(|problem| target.member(&member.path, problem))?;
    let executable = Executable::of(planned.mode | member.mode);
    let mut places = planned.places.clone();
    if target.options.vgpu_config.is_some() {
        places.retain(|place| !is_config(place)); // Another one takes its place: see `finish`.
    }
    if places.iter().any(|place| place.treatment.names_libraries()) {
        return defer(target, underway, member, places);
    }
    match &places[..] {
        [] => return Ok(()),
        [place] if member.size > PART && matches!(place.treatment, Treatment::Copy | Treatment::Library) => {
            let keeps = place.treatment == Treatment::Library || place.keeps_executable();
            let executable = if place.treatment == Treatment::Library { Executable::Yes } else { executable };
            let executable = if keeps { executable } else { Executable::No };
            return threads.write_in_parts(target, place, executable, member);
        }
        _ => {}
    }
    let file = member.path.clone();
    let mut data = threads.memory.buffer(member.size).map_err(|r| target.refused(&file, r))?;
    member.read_into(target.archive, &mut data)?;
    let besides = places.iter().map(|place| treat::memory(treat::of_content(place.treatment, &data), &data)).max();
    data.take_besides(besides.unwrap_or(0)).map_err(|r| target.refused(&file, r))?;
    let work =
        move |data: &mut [u8]| places.into_iter().try_for_each(|place| target.install(&file, place, executable, data));
    threads.writers.hand_over(threads.writers.turn(), data, Box::new(work));
    Ok(())
}

fn defer(target: &Target, underway: &mut Underway, member: Member, places: Vec<Place>) -> Result<(), Error> {
    let file = member.path.clone();
    if member.size > LONGEST_LIST {
        return Err(target.damaged(&file, Problem::ListTooLong));
    }
    underway.deferred_length += member.size as usize * places.len();
    if underway.deferred_length > ALL_LISTS {
        return Err(target.refused(&file, Refused::TooMuch { needed: underway.deferred_length }));
    }
    let text = String::from_utf8(member.read(target.archive)?).map_err(|_| target.damaged(&file, Problem::NotUtf8))?;
    underway.deferred.extend(places.into_iter().map(|place| Deferred {
        file: file.clone(),
        place,
        text: text.clone(),
    }));
    Ok(())
}

/// Does what is possible only when all files are there: symlinks, files that name libraries, the report.
fn finish(
    target: &Target,
    mut plan: Plan,
    seen: &HashSet<RelativePath>,
    deferred: Vec<Deferred>,
) -> Result<Report, Error> {
    let mut absent: Vec<_> = plan.files.keys().filter(|file| !seen.contains(file)).cloned().collect();
    if !absent.is_empty() {
        absent.sort();
        return Err(Error::Absent { path: target.archive.into(), files: absent });
    }
    let tree = make_links(target, &mut plan)?;
    for deferred in deferred {
        write_deferred(target, &mut plan, &tree, deferred)?;
    }
    if plan.installs(Output::Bin, "bin/nvidia-gridd") {
        write_fixed(target, Output::Bin, "share/dbus-1/system.d/nvidia-grid.conf", text::GRID_POLICY.as_bytes())?;
    }
    if let Some(config) = &target.options.vgpu_config {
        replace_config(target, &plan, config)?;
    }
    let mut written = target.written.lock().unwrap_or_else(PoisonError::into_inner);
    plan.skipped.sort();
    plan.skipped.dedup();
    plan.unknown.sort();
    plan.unknown.dedup();
    let outputs = Output::ALL
        .into_iter()
        .filter_map(|output| Some((output.name(), target.options.outputs.get(output)?.to_owned())))
        .collect();
    let Written { files, bytes, .. } = std::mem::take(&mut *written);
    Ok(Report {
        role: target.options.role,
        version: plan.version,
        files,
        bytes,
        outputs,
        skipped: plan.skipped,
        unknown: plan.unknown,
    })
}

/// Makes the symlinks.
fn make_links(target: &Target, plan: &mut Plan) -> Result<Tree, Error> {
    let unusable = |link: RelativePath, problem| Error::Link { path: target.archive.into(), link, problem };
    let mut tree = Tree::default();
    let left_out = plan.left_out();
    {
        let written = target.written.lock().unwrap_or_else(PoisonError::into_inner);
        let places = written.installed.iter().map(|file| &file.place);
        places.for_each(|place| tree.add_file(place.output, place.path.clone()));
        plan.links.iter().for_each(|(_, link)| tree.want(link.clone()));
        for Installed { place, soname } in &written.installed {
            if place.treatment == Treatment::Library {
                tree.want_library_links(place.output, &place.path, soname.as_deref());
            }
        }
    }
    for output in [Output::Out, Output::Lib32] {
        // Newer drivers don't list this one.
        tree.want_default_backend(output);
    }
    for (file, link) in std::mem::take(&mut plan.links) {
        let unwanted = |name: &str| left_out.contains(name) || is_left_out(name);
        if !tree.can_make(&link, unwanted).map_err(|problem| unusable(file.clone(), problem))? {
            plan.skip(&file, "links to a file that is not installed");
        }
    }
    for link in tree.links().map_err(|(link, problem)| unusable(link, problem))? {
        let directory = target.directory(link.output)?;
        let made = directory.link(&link.path, &link.target);
        made.map_err(|e| Error::write(&directory.shown(&link.path), e))?;
    }
    Ok(tree)
}

/// Writes a file that names libraries, with the libraries' absolute paths.
fn write_deferred(target: &Target, plan: &mut Plan, tree: &Tree, deferred: Deferred) -> Result<(), Error> {
    let Deferred { file, place, text } = deferred;
    let own = target.options.outputs.get(place.output).unwrap_or(Path::new("/"));
    let mut missing = None;
    let mut locate = |name: &str| {
        let path = RelativePath::parse(format!("lib/{name}")).ok();
        let path = path.filter(|path| tree.leads_to_file(place.output, path));
        if path.is_none() {
            missing = Some(vgpu_base::shown::name(name));
        }
        Some(own.join(path?.as_str()).display().to_string())
    };
    let text = match place.treatment {
        Treatment::OpenclIcd => locate(text.trim()).map_or(text, |path| path + "\n"),
        _ => text::library_json(&text, &mut locate).map_err(|problem| target.damaged(&file, problem.into()))?,
    };
    match missing {
        // The system's own library serves EGL platforms; 32-bit ICDs come only with 32-bit libraries.
        Some(_) if place.output == Output::Lib32 => return Ok(()),
        Some(name) if !place.path.as_str().starts_with(EGL_PLATFORMS) => {
            plan.skip(&file, format!("the driver has no {name}"));
            return Ok(());
        }
        _ => {}
    }
    let bytes = target.write(place.output, &place.path, Executable::No, text.as_bytes())?;
    target.count(bytes, None);
    Ok(())
}

fn write_fixed(target: &Target, output: Output, path: &str, content: &[u8]) -> Result<(), Error> {
    let path = RelativePath::parse(path).map_err(|e| archive::Error::member(target.archive, path, e.into()))?;
    let bytes = target.write(output, &path, Executable::No, content)?;
    target.count(bytes, None);
    Ok(())
}

const CONFIG: &str = "vgpuConfig.xml";

fn is_config(place: &Place) -> bool {
    place.output == Output::Out && place.path.as_str() == CONFIG
}

/// Installs the user's vgpuConfig.xml in place of the driver's.
fn replace_config(target: &Target, plan: &Plan, config: &str) -> Result<(), Error> {
    if !plan.installs(Output::Out, CONFIG) {
        let file = RelativePath::parse(CONFIG).map_err(|e| archive::Error::member(target.archive, CONFIG, e.into()))?;
        return Err(target.damaged(&file, Problem::Absent));
    }
    target.ledger.read(config.len() as u64);
    write_fixed(target, Output::Out, CONFIG, config.as_bytes())
}
