//! What is to happen with each file that a manifest names: planned when the manifest is read, done as the files come,
//! finished with what needs all of them: symlinks, files that name libraries, the report.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::archive;
use crate::archive::payload::Member;
use crate::install::{Options, Report, Skipped};
use crate::links::{self, Tree};
use crate::manifest::{Entry, Manifest};
use crate::placement::{self, EGL_PLATFORMS, Output, Place, Placement, Treatment};
use crate::writer::{Job, Writers, Written, is_large, write_file};
use crate::{Error, text};

/// What is to happen with each file of the manifest.
pub(super) struct Plan {
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
    pub(super) fn new(path: &Path, manifest: Manifest, options: &Options) -> Result<Plan, Error> {
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
    pub(super) fn take(&mut self, path: &Path, writers: &Writers, member: Member) -> Result<(), Error> {
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
        let mut places = std::mem::take(&mut planned.places);
        let stopped = || Error::write(path, std::io::ErrorKind::Interrupted.into()); // The writer's error replaces this.
        if let [Place { treatment: Treatment::Copy, .. }] = places[..]
            && is_large(member.size)
        {
            let executable = executable && places[0].keeps_executable();
            let written = writers.write_in_parts(path, member, places.remove(0), executable)?;
            return if written { Ok(()) } else { Err(stopped()) };
        }
        let mut data = writers.wait_for_room(member.size).ok_or_else(stopped)?;
        member.read_into(path, &mut data)?;
        writers.write(Job { file, places, data, executable });
        Ok(())
    }

    fn defer(&mut self, path: &Path, member: Member, places: Vec<Place>) -> Result<(), Error> {
        let file = member.path.clone();
        let damaged = |problem: &str| Error::File { path: path.into(), file: file.clone(), problem: problem.into() };
        if member.size > 1 << 20 {
            return Err(damaged("is too large for a list of libraries"));
        }
        let text = String::from_utf8(member.read(path)?).map_err(|_| damaged("is not UTF-8 text"))?;
        for place in places {
            self.deferred.push(Deferred { file: file.clone(), place, text: text.clone() });
        }
        Ok(())
    }

    /// What can only be done when all files are there: symlinks, files that name libraries, the report.
    pub(super) fn finish(mut self, path: &Path, options: &Options, mut written: Written) -> Result<Report, Error> {
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
