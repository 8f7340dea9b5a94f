//! Plans what happens to each file that a manifest names. From the manifest and the options it makes lists of files, links
//! and files that are left out, or reports a conflict. Nothing is read or written here.

use std::collections::{HashMap, HashSet};

use crate::archive::MemberError;
use crate::links::{self, Link, nested};
use crate::manifest::{Entry, Manifest, Type};
use crate::placement::{self, Placement};
use crate::words::options::Options;
use crate::words::output::{Output, Place};
use crate::words::path::RelativePath;
use crate::words::report::Skipped;

/// What happens to each file of the manifest.
#[derive(Debug)]
pub struct Plan {
    /// The version of the driver.
    pub version: String,
    /// Files by their path in the package. The package must have all of them.
    pub files: HashMap<RelativePath, Planned>,
    /// Symlinks of the manifest, by entry.
    pub links: Vec<(RelativePath, Link)>,
    /// Files that are not installed.
    pub skipped: Vec<Skipped>,
    /// Types that are new, in the manifest's order.
    pub unknown: Vec<String>,
}

/// A file that goes somewhere.
#[derive(Debug, PartialEq, Eq)]
pub struct Planned {
    pub places: Vec<Place>,
    /// From the manifest.
    pub mode: u32,
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two files would have the same place, or one would lie below the other.
    Places { first: String, second: RelativePath, place: RelativePath },
    /// A file that cannot be installed at all.
    File(RelativePath, MemberError),
}

impl Plan {
    /// Plans an installation.
    ///
    /// # Errors
    /// When two files would have one place, or a file would be installed set-user-ID.
    pub fn new(manifest: Manifest, options: &Options) -> Result<Plan, Conflict> {
        let version = manifest.version;
        let mut plan = Plan { version, files: HashMap::new(), links: vec![], skipped: vec![], unknown: vec![] };
        let mut taken: HashMap<(Output, RelativePath), RelativePath> = HashMap::new();
        for entry in manifest.entries {
            if entry.is_symlink() {
                plan.add_link(entry, options)?;
                continue;
            }
            for place in plan.places(&entry, options)? {
                let place_name = (place.output, place.path.clone());
                if let Some(first) = taken.insert(place_name, entry.file.clone()) {
                    if first == entry.file {
                        continue; // NVIDIA lists some files twice.
                    }
                    return Err(Conflict::Places { first: first.to_string(), second: entry.file, place: place.path });
                }
                check_mode(entry.mode).map_err(|error| Conflict::File(entry.file.clone(), error))?;
                let planned = plan.files.entry(entry.file.clone());
                planned.or_insert(Planned { places: vec![], mode: entry.mode }).places.push(place);
            }
        }
        for output in Output::ALL {
            let paths = taken.keys().filter(|(other, _)| *other == output).map(|(_, path)| path);
            if let Some((path, above)) = nested(paths) {
                let second = taken[&(output, path.clone())].clone();
                return Err(Conflict::Places { first: above, second, place: path.clone() });
            }
        }
        Ok(plan)
    }

    /// Whether the driver has this file in this place.
    pub fn installs(&self, output: Output, path: &str) -> bool {
        let mut places = self.files.values().flat_map(|file| &file.places);
        places.any(|place| place.output == output && place.path.as_str() == path)
    }

    /// The names of files that are left out. Links to them are left out, too.
    pub fn left_out(&self) -> HashSet<String> {
        let name = |skipped: &Skipped| skipped.file.rsplit('/').next().unwrap_or_default().to_owned();
        self.skipped.iter().map(name).collect()
    }

    /// Notes a file that is not installed.
    pub fn skip(&mut self, file: &RelativePath, reason: impl Into<String>) {
        self.skipped.push(Skipped { file: file.to_string(), reason: reason.into() });
    }

    fn skip_unknown(&mut self, entry: &Entry) {
        self.skip(&entry.file, format!("its type {} is not known", entry.file_type.name()));
        self.unknown.push(entry.file_type.name().to_owned());
    }

    fn add_link(&mut self, entry: Entry, options: &Options) -> Result<(), Conflict> {
        if let Type::Unrecognised(_) = entry.file_type {
            self.skip_unknown(&entry);
            return Ok(());
        }
        match links::link(&entry).map_err(|error| Conflict::File(entry.file.clone(), error.into()))? {
            Some(link) if link.output == Output::Lib32 && options.destination.lib32.is_none() => {}
            Some(link) => self.links.push((entry.file, link)),
            None => self.skip(&entry.file, "links to what nixpkgs has itself"),
        }
        Ok(())
    }

    /// The places of a file that this installation wants.
    fn places(&mut self, entry: &Entry, options: &Options) -> Result<Vec<Place>, Conflict> {
        let placed = placement::place(entry, &self.version);
        let mut places = match placed.map_err(|error| Conflict::File(entry.file.clone(), error.into()))? {
            Placement::Places(places) => places,
            Placement::Nowhere(reason) => {
                self.skip(&entry.file, reason);
                return Ok(vec![]);
            }
            Placement::Unknown => {
                self.skip_unknown(entry);
                return Ok(vec![]);
            }
        };
        if !options.egl_platforms && placement::is_egl_platform(entry) {
            self.skip(&entry.file, "NixOS has its own EGL platforms");
            return Ok(vec![]);
        }
        if options.destination.lib32.is_none() {
            places.retain(|place| place.output != Output::Lib32);
            if places.is_empty() {
                self.skip(&entry.file, "32-bit libraries are not wanted");
            }
        }
        Ok(places)
    }
}

/// Nothing set-user-ID is ever installed.
pub fn check_mode(mode: u32) -> Result<(), MemberError> {
    if mode & 0o7000 == 0 { Ok(()) } else { Err(MemberError::SetId) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::words::output::Outputs;
    use crate::words::role::Role;

    fn options() -> Options {
        Options {
            role: Role::Guest,
            outputs: Outputs::below(Path::new("/driver")),
            destination: Outputs::below(Path::new("/staging")),
            lib_path: vec![],
            lib_path_32: vec![],
            interpreter: None,
            vgpu_config: None,
            shell: None,
            tools: vec![],
            egl_platforms: true,
        }
    }

    fn plan(lines: &str, options: &Options) -> Result<Plan, Conflict> {
        Plan::new(Manifest::parse(format!("driver\n550\n\n\n\n\n\n\n{lines}").as_bytes()).unwrap(), options)
    }

    const LINES: &str = "libcuda.so.550 0755 CUDA_LIB NATIVE / MODULE:x
./32/libcuda.so.550 0755 CUDA_LIB COMPAT32 / MODULE:x
libcuda.so.1 0000 CUDA_SYMLINK NATIVE / libcuda.so.550 MODULE:x
libcuda.so.1 0000 CUDA_SYMLINK COMPAT32 / libcuda.so.550 MODULE:x
libGL.so 0000 GLX_CLIENT_SYMLINK NATIVE libGL.so.1 MODULE:x
nvidia_icd.json 0644 VULKAN_ICD_JSON icd.d/ MODULE:x
10_nvidia_wayland.json 0644 EGL_EXTERNAL_PLATFORM_JSON MODULE:x
nvidia-settings 0755 UTILITY_BINARY MODULE:x
thing 0644 QUANTUM_DATA MODULE:x
";

    #[test]
    fn everything_has_its_place_or_a_reason() {
        let plan = plan(LINES, &options()).unwrap();
        assert_eq!(plan.files.len(), 4);
        assert!(plan.installs(Output::Out, "lib/libcuda.so.550") && plan.installs(Output::Lib32, "lib/libcuda.so.550"));
        assert_eq!(plan.links.len(), 2);
        assert_eq!(plan.unknown, ["QUANTUM_DATA"]);
        let skipped: Vec<_> = plan.skipped.iter().map(|skipped| skipped.file.as_str()).collect();
        assert_eq!(skipped, ["libGL.so", "nvidia-settings", "thing"]);
        assert!(plan.left_out().contains("nvidia-settings"));
    }

    #[test]
    fn options_leave_things_out() {
        let mut options = options();
        options.destination.lib32 = None;
        options.egl_platforms = false;
        let plan = plan(LINES, &options).unwrap();
        assert!(!plan.files.values().flat_map(|file| &file.places).any(|place| place.output == Output::Lib32));
        assert_eq!(plan.links.len(), 1);
        assert_eq!(plan.files.len(), 2, "libcuda and the ICD: {:?}", plan.files);
    }

    #[test]
    fn files_do_not_get_in_each_others_way() {
        let refused = |lines: &str| plan(lines, &options()).unwrap_err();
        assert!(matches!(
            refused("a/nvidia-smi 0755 UTILITY_BINARY\nb/nvidia-smi 0755 UTILITY_BINARY\n"),
            Conflict::Places { first, place, .. } if first == "a/nvidia-smi" && place.as_str() == "bin/nvidia-smi"
        ));
        assert!(matches!(
            refused("kernel/a 0644 KERNEL_MODULE_SRC\nkernel/a/b 0644 KERNEL_MODULE_SRC\n"),
            Conflict::Places { first, place, .. } if first == "kernel/a" && place.as_str() == "kernel/a/b"
        ));
        assert!(matches!(refused("a 04755 UTILITY_BINARY\n"), Conflict::File(_, MemberError::SetId)));
        assert!(matches!(refused("-550 0644 APPLICATION_PROFILE /\n"), Conflict::File(_, MemberError::Path(_))));
        assert_eq!(plan("a 0755 UTILITY_BINARY\na 0755 UTILITY_BINARY\n", &options()).unwrap().files.len(), 1);
    }
}
