//! `.manifest`: NVIDIA's list of every file in a driver package, with its type.
//!
//! It has a header of eight lines. Then each line is an entry:
//!
//! ```text
//! <file> <octal mode> <TYPE> [NATIVE|COMPAT32] [path] [INHERIT_PATH_DEPTH:n] [symlink target] MODULE:<module>
//! ```
//!
//! The type of an entry decides which of the fields in brackets it has: see [`FileType::fields`].

use vgpu_base::shown;

use crate::words::file_type::{Field, FileType, is_symlink};
use crate::words::path::{PathError, RelativePath, Target};

/// Name of the manifest in a package.
pub const FILE: &str = ".manifest";

/// The largest manifest that is read, in bytes. That of the 550 driver has 60 KB.
pub const LARGEST: u64 = 4 << 20;

/// The most files that a driver may have. The 550 driver has 1,200; newer ones, with more kernel sources, have 3,000.
pub const MOST_FILES: usize = 20_000;

const HEADER_LINES: usize = 8;

/// The list of files of one driver package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the driver: `550.163.01`.
    pub version: String,
    /// The entries in NVIDIA's order.
    pub entries: Vec<Entry>,
}

/// A file or symlink of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path within the package. For symlinks the name of the link.
    pub file: RelativePath,
    /// Permission bits; 0 for symlinks.
    pub mode: u32,
    /// Its type, as NVIDIA names it.
    pub file_type: Type,
    /// Whether this is a file for 32-bit programs.
    pub compat32: bool,
    /// Where NVIDIA's installer puts it, below the directory of its type. It has no slash at the start or end.
    pub path: Option<RelativePath>,
    /// What a symlink points at.
    pub target: Option<Target>,
}

/// A type of file. If it is not recognised, only file, mode, type and word size of the entry are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Recognised(FileType),
    /// The name of a type that is not in the table.
    Unrecognised(String),
}

impl Type {
    /// What NVIDIA calls it.
    pub fn name(&self) -> &str {
        match self {
            Type::Recognised(known) => known.name(),
            Type::Unrecognised(name) => name,
        }
    }
}

impl Entry {
    /// Whether this is a symlink to make, not a file of the package.
    pub fn is_symlink(&self) -> bool {
        is_symlink(self.file_type.name())
    }
}

/// Why a manifest cannot be used. Words of the manifest are escaped when they are shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("it has {0} bytes")]
    TooLarge(u64),
    #[error("there are two of them")]
    Twice,
    #[error("it names more than {MOST_FILES} files")]
    TooMany,
    #[error("it names no files")]
    Empty,
    #[error("it is not UTF-8 text")]
    NotUtf8,
    #[error("its second line is not a version")]
    Version,
    #[error("line {line}: {problem}")]
    Line { line: usize, problem: LineError },
}

/// What is wrong in a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("too few fields: expected a file, its mode and its type")]
    TooFew,
    #[error("too few fields: {name} needs {missing}")]
    Missing { name: &'static str, missing: &'static str },
    #[error("{0} is not an octal mode")]
    Mode(String),
    #[error("{0} is neither NATIVE nor COMPAT32")]
    Arch(String),
    #[error("{0} is no file")]
    NoFile(String),
    #[error("{0} {1}")]
    Path(String, PathError),
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is damaged. The error names the line, but not the archive.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotUtf8)?;
        let version = text.lines().nth(1).unwrap_or_default().trim();
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if version.len() > 32 || !version.split('.').all(digits) {
            return Err(ManifestError::Version);
        }
        let mut entries = Vec::new();
        for (number, line) in text.lines().enumerate().skip(HEADER_LINES) {
            if line.trim().is_empty() {
                continue;
            }
            if entries.len() == MOST_FILES {
                return Err(ManifestError::TooMany);
            }
            entries.push(entry(line).map_err(|problem| ManifestError::Line { line: number + 1, problem })?);
        }
        Ok(Manifest { version: version.to_owned(), entries })
    }
}

fn entry(line: &str) -> Result<Entry, LineError> {
    let mut words = line.split_ascii_whitespace().filter(|w| !w.starts_with("INHERIT_PATH_DEPTH:"));
    let (Some(file), Some(mode), Some(kind)) = (words.next(), words.next(), words.next()) else {
        return Err(LineError::TooFew);
    };
    let wrong = |word: &str| {
        let word = shown::name(word);
        |problem| LineError::Path(word, problem)
    };
    let mut rest = words.take_while(|w| !w.starts_with("MODULE:"));
    let known = FileType::named(kind);
    let mut entry = Entry {
        file: RelativePath::parse(file).map_err(|problem| match problem {
            PathError::Empty => LineError::NoFile(shown::name(file)),
            problem => LineError::Path(shown::name(file), problem),
        })?,
        mode: u32::from_str_radix(mode, 8).map_err(|_| LineError::Mode(shown::name(mode)))?,
        file_type: known.map_or_else(|| Type::Unrecognised(shown::name(kind)), Type::Recognised),
        compat32: false,
        path: None,
        target: None,
    };
    let Some(known) = known else {
        return Ok(Entry { compat32: rest.any(|word| word == "COMPAT32"), ..entry });
    };
    for field in known.fields() {
        let missing = |missing| LineError::Missing { name: known.name(), missing };
        match field {
            Field::Arch => match rest.next() {
                Some("NATIVE") => {}
                Some("COMPAT32") => entry.compat32 = true,
                Some(other) => return Err(LineError::Arch(shown::name(other))),
                None => return Err(missing("NATIVE or COMPAT32")),
            },
            // Only symlinks need their path. An entry without a path has no target either.
            Field::Path => match rest.next().unwrap_or_default().trim_matches('/') {
                "" => {}
                path => entry.path = Some(RelativePath::parse(path).map_err(wrong(path))?),
            },
            Field::Target => {
                let target = rest.next().ok_or_else(|| missing("a symlink target"))?;
                entry.target = Some(Target::parse(target).map_err(wrong(target))?);
            }
        }
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "NVIDIA Accelerated Graphics Driver\n440.82\n \nnvidia \n \n \n./kernel/\n./kernel/precompiled/\n";

    fn only(line: &str) -> Result<Entry, ManifestError> {
        let manifest = Manifest::parse(format!("{HEADER}{line}\n").as_bytes())?;
        Ok(manifest.entries[0].clone())
    }

    fn path(entry: &Entry) -> Option<&str> {
        entry.path.as_ref().map(RelativePath::as_str)
    }

    #[test]
    fn every_field_finds_its_place() {
        let entry =
            only("libvdpau_nvidia.so 0000 VDPAU_SYMLINK COMPAT32 / vdpau/libvdpau_nvidia.so.440.82 MODULE:vdpau");
        let entry = entry.unwrap();
        assert_eq!((entry.file.as_str(), entry.compat32, path(&entry)), ("libvdpau_nvidia.so", true, None));
        assert_eq!(entry.target.as_ref().unwrap().to_string(), "vdpau/libvdpau_nvidia.so.440.82");
        assert!(entry.is_symlink());
        let entry = only("kernel/nvidia/nv.c 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1 MODULE:resman").unwrap();
        assert_eq!((entry.mode, path(&entry)), (0o644, None));
        assert_eq!(path(&only("a 0644 EXPLICIT_PATH /usr/lib/nvidia/ MODULE:x").unwrap()), Some("usr/lib/nvidia"));
    }

    #[test]
    fn what_nixos_does_not_need_may_be_missing() {
        let unit =
            "nvidia-suspend.service 0000 SYSTEMD_UNIT_SYMLINK systemd-suspend.service.requires/ MODULE:installer";
        assert_eq!(only(unit).unwrap().target, None);
        assert_eq!(only("LICENSE 0444 DOCUMENTATION MODULE:installer").unwrap().path, None);
    }

    #[test]
    fn a_new_type_is_kept_as_unknown() {
        let entry = only("thing.so 0755 QUANTUM_LIB NATIVE / x MODULE:q").unwrap();
        assert_eq!((entry.file_type, entry.compat32), (Type::Unrecognised("QUANTUM_LIB".into()), false));
        assert!(only("./32/thing.so 0755 QUANTUM_LIB COMPAT32 / x MODULE:q").unwrap().compat32);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (line, expected) in [
            ("lib.so 0755", "line 9: too few fields: expected a file, its mode and its type"),
            ("a 0000 CUDA_SYMLINK NATIVE / MODULE:x", "line 9: too few fields: CUDA_SYMLINK needs a symlink target"),
            ("a 0x9 CUDA_ICD", "line 9: 0x9 is not an octal mode"),
            ("./ 0644 CUDA_ICD", "line 9: ./ is no file"),
            ("../a 0644 CUDA_ICD", "line 9: ../a leads out of the package with `..`"),
            ("a 0000 CUDA_SYMLINK NATIVE ../../../x b", "line 9: ../../../x leads out of the package with `..`"),
            ("a 0000 VGX_LIB_SYMLINK /etc/passwd", "line 9: /etc/passwd has an absolute path"),
            ("a 0000 VGX_LIB_SYMLINK b/../../c", "line 9: b/../../c leads out of the package with `..`"),
            ("a\x1b[31m 0644 CUDA_ICD", "line 9: a\\u{1b}[31m has a control character in its name"),
        ] {
            assert_eq!(only(line).unwrap_err().to_string(), expected);
        }
        let many = format!("{HEADER}{}", "a 0644 CUDA_ICD\n".repeat(MOST_FILES + 1));
        assert_eq!(Manifest::parse(many.as_bytes()), Err(ManifestError::TooMany));
    }
}
