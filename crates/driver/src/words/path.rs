//! Names in packages and outputs, and targets of links. The same rule holds for members of archives, for manifests, and
//! for all paths that are made from their names.

use std::fmt;

use serde::{Serialize, Serializer};
use vgpu_base::shown;

/// The longest path, in bytes. Those of the 550 driver have up to 60.
pub const LONGEST_PATH: usize = 1024;
/// The longest part of a path, in bytes: the limit of Linux' file systems.
const LONGEST_PART: usize = 255;

/// A path to something below the directory that it starts from. It has one part or more, and none of them is `..`.
///
/// It has no empty part, no `.`, no control character and no mark that turns text around. So it can be shown as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(String);

/// Why a text is no [`RelativePath`]. It continues a sentence with the name: "contains x, which …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("has an empty name")]
    Empty,
    #[error("has a name that is not UTF-8")]
    NotUtf8,
    #[error("has a name of absurd length")]
    TooLong,
    #[error("has a control character in its name")]
    Control,
    #[error("leads out of the package with `..`")]
    Up,
    #[error("has an absolute path")]
    Absolute,
}

impl RelativePath {
    /// Reads a path as archives and manifests write it. `./` and doubled slashes are dropped.
    ///
    /// # Errors
    /// When it could lead to a place that is not below its start, or names nothing.
    pub fn parse(path: impl AsRef<[u8]>) -> Result<RelativePath, PathError> {
        let path = std::str::from_utf8(path.as_ref()).map_err(|_| PathError::NotUtf8)?;
        if path.starts_with('/') {
            return Err(PathError::Absolute);
        }
        if path.contains(shown::is_unsafe) {
            return Err(PathError::Control);
        }
        let mut clean = String::with_capacity(path.len());
        for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." {
                return Err(PathError::Up);
            }
            if part.len() > LONGEST_PART {
                return Err(PathError::TooLong);
            }
            if !clean.is_empty() {
                clean.push('/');
            }
            clean.push_str(part);
        }
        match clean.len() {
            0 => Err(PathError::Empty),
            1..=LONGEST_PATH => Ok(RelativePath(clean)),
            _ => Err(PathError::TooLong),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder that it lies in; `None` at the top.
    pub fn folder(&self) -> Option<RelativePath> {
        self.0.rsplit_once('/').map(|(folder, _)| RelativePath(folder.to_owned()))
    }

    /// All folders above it, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(end, _)| &self.0[..end])
    }

    /// Another name in the same folder.
    ///
    /// # Errors
    /// When that is no path.
    pub fn beside(&self, name: &str) -> Result<RelativePath, PathError> {
        match self.0.rsplit_once('/') {
            Some((folder, _)) => RelativePath::parse(format!("{folder}/{name}")),
            None => RelativePath::parse(name),
        }
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RelativePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a symbolic link points at: a number of folders up from its own folder, and a path from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    up: usize,
    path: RelativePath,
}

impl Target {
    /// Reads a target. `..` may be only at its beginning.
    ///
    /// # Errors
    /// When it is absolute, or `..` comes later in it.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Target, PathError> {
        let (mut up, mut rest) = (0, text.as_ref());
        while let Some(more) = rest.strip_prefix(b"../") {
            (up, rest) = (up + 1, more);
        }
        Ok(Target { up, path: RelativePath::parse(rest)? })
    }

    /// The same from one folder further down.
    #[must_use]
    pub fn from_below(self) -> Target {
        Target { up: self.up + 1, ..self }
    }

    /// Whether it is a name in the folder of the link.
    pub fn is_beside(&self) -> bool {
        self.up == 0 && !self.path.0.contains('/')
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.path.name()
    }

    /// Where a link at `link` leads. `None` if that is outside the directory that `link` starts from.
    pub fn from(&self, link: &RelativePath) -> Option<RelativePath> {
        let folders: Vec<&str> = link.folders().collect();
        let path = match folders.len().checked_sub(self.up)? {
            0 => self.path.0.clone(),
            depth => format!("{}/{}", folders[depth - 1], self.path),
        };
        RelativePath::parse(path).ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", "../".repeat(self.up), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<String, PathError> {
        RelativePath::parse(path).map(|path| path.to_string())
    }

    #[test]
    fn names_stay_within_the_package() {
        assert_eq!(parse("./32/libcuda.so").as_deref(), Ok("32/libcuda.so"));
        assert_eq!(parse("a//b/./c/").as_deref(), Ok("a/b/c"));
        assert_eq!(parse("a/../../b"), Err(PathError::Up));
        assert_eq!(parse(".."), Err(PathError::Up));
        assert_eq!(parse("/etc/passwd"), Err(PathError::Absolute));
        assert_eq!(RelativePath::parse(b"a\xff"), Err(PathError::NotUtf8));
        for empty in ["", ".", "./", ".//."] {
            assert_eq!(parse(empty), Err(PathError::Empty), "{empty}");
        }
        for unsafe_name in ["a\0b", "a\nb", "a\x1b[2Jb", "a\u{202e}b", "\u{85}"] {
            assert_eq!(parse(unsafe_name), Err(PathError::Control), "{unsafe_name:?}");
        }
        assert_eq!(parse(&"x".repeat(256)), Err(PathError::TooLong));
        assert_eq!(parse(&"long/".repeat(300)), Err(PathError::TooLong));
    }

    #[test]
    fn a_target_leads_to_one_place_or_out() {
        let link = RelativePath::parse("lib/gbm/nvidia-drm_gbm.so").unwrap();
        let leads = |text: &str| Target::parse(text).unwrap().from(&link).map(|path| path.to_string());
        assert_eq!(leads("liba.so").as_deref(), Some("lib/gbm/liba.so"));
        assert_eq!(leads("../liba.so").as_deref(), Some("lib/liba.so"));
        assert_eq!(leads("../../bin/a").as_deref(), Some("bin/a"));
        assert_eq!(leads("../../../a"), None);
        assert_eq!(Target::parse("/etc/passwd"), Err(PathError::Absolute));
        assert_eq!(Target::parse("a/../../b"), Err(PathError::Up));
        assert_eq!(Target::parse(".."), Err(PathError::Up));
        assert_eq!(Target::parse("vdpau/x").unwrap().from_below().to_string(), "../vdpau/x");
    }
}
