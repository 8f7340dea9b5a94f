//! What the installer needs to know beyond the driver itself.

use std::fmt;
use std::path::{Path, PathBuf};

use super::output::{Output, Outputs};
use super::role::Role;

/// What the installer needs to know beyond the driver itself.
#[derive(Clone, Debug)]
pub struct Options {
    pub role: Role,
    /// The final place of the outputs. Run paths, ICD files and scripts contain it.
    pub outputs: Outputs,
    /// Where they are written now. With Nix, that is their final place.
    pub destination: Outputs,
    /// Directories after the driver's own in the run path of 64-bit libraries and programs.
    pub lib_path: Vec<PathBuf>,
    /// The same for 32-bit libraries.
    pub lib_path_32: Vec<PathBuf>,
    /// The dynamic loader of programs. `None` keeps NVIDIA's.
    pub interpreter: Option<PathBuf>,
    /// The content of a vgpuConfig.xml to install in place of the driver's. It is the content, not a path, since it was read
    /// to be checked: a pipe cannot be read twice, and a file may change.
    pub vgpu_config: Option<String>,
    /// The shell that scripts start with. `None` keeps NVIDIA's.
    pub shell: Option<PathBuf>,
    /// Directories of programs that scripts call, put in front of their PATH.
    pub tools: Vec<PathBuf>,
    /// Whether to install EGL platforms: share/egl/egl_external_platform.d and the libraries it names. From 26.05 on
    /// NixOS brings its own, and two packages with one file break its graphics environment.
    pub egl_platforms: bool,
}

/// A path that cannot be written into programs and scripts.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{} cannot be written into programs and scripts: {problem}", .path.display())]
#[diagnostic(help("name a directory without such characters"))]
pub struct Unwritable {
    path: PathBuf,
    problem: PathProblem,
}

/// Why a path cannot be written into programs and scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathProblem {
    NotUtf8,
    Relative,
    /// A character with a meaning there: `:` ends a directory, `$` begins a variable, quotes end a text.
    Contains(char),
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathProblem::NotUtf8 => f.write_str("it is not UTF-8"),
            PathProblem::Relative => f.write_str("it is not an absolute path"),
            PathProblem::Contains(c) => write!(f, "a path with {c:?} in it means something else there"),
        }
    }
}

/// Checks that a path can be written into run paths and scripts.
///
/// # Errors
/// When it cannot.
pub fn check_path(path: &Path) -> Result<(), PathProblem> {
    let text = path.to_str().ok_or(PathProblem::NotUtf8)?;
    if !path.is_absolute() {
        return Err(PathProblem::Relative);
    }
    match text.chars().find(|c| c.is_control() || matches!(c, ':' | '$' | '"' | '`' | '\\')) {
        Some(c) => Err(PathProblem::Contains(c)),
        None => Ok(()),
    }
}

impl Options {
    /// Checks that all paths can be written into programs and scripts.
    ///
    /// # Errors
    /// When one cannot. The error names the first.
    pub fn check(&self) -> Result<(), Unwritable> {
        let outputs = Output::ALL.into_iter().filter_map(|output| self.outputs.get(output));
        let lists = [&self.lib_path, &self.lib_path_32, &self.tools].into_iter().flatten().map(PathBuf::as_path);
        let single = self.interpreter.iter().chain(&self.shell).map(PathBuf::as_path);
        for path in outputs.chain(lists).chain(single) {
            check_path(path).map_err(|problem| Unwritable { path: path.to_owned(), problem })?;
        }
        Ok(())
    }
}
