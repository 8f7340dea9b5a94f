//! The five parts of an installed driver, places in them, and what is done to a file on the way there.

use std::path::{Path, PathBuf};

use super::path::RelativePath;

/// One of the five parts of an installed driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// Libraries and data.
    Out,
    /// Programs and the X driver.
    Bin,
    /// Libraries for 32-bit programs.
    Lib32,
    /// GSP firmware.
    Firmware,
    /// Sources of the kernel modules: `kernel/` and `kernel-open/`.
    Modsrc,
}

impl Output {
    /// All outputs, in the order of the table above.
    pub const ALL: [Output; 5] = [Output::Out, Output::Bin, Output::Lib32, Output::Firmware, Output::Modsrc];

    /// Its name in Nix and in `vgpu build`.
    pub fn name(self) -> &'static str {
        match self {
            Output::Out => "out",
            Output::Bin => "bin",
            Output::Lib32 => "lib32",
            Output::Firmware => "firmware",
            Output::Modsrc => "modsrc",
        }
    }
}

/// What is done to the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Nothing.
    Copy,
    /// A library: run path to the driver's own libraries.
    Library,
    /// A program: run path and interpreter. The original also goes to origBin. Scripts are treated as [`Script`](Self::Script).
    Program,
    /// A script: shell, PATH, and the places of other programs.
    Script,
    /// JSON that names a library: its absolute path.
    LibraryJson,
    /// A text file with the name of the OpenCL library: its absolute path.
    OpenclIcd,
}

impl Treatment {
    /// Whether all libraries must be known before the content can be made.
    pub fn names_libraries(self) -> bool {
        matches!(self, Treatment::LibraryJson | Treatment::OpenclIcd)
    }
}

/// A place for a file: an output and a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub output: Output,
    pub path: RelativePath,
    pub treatment: Treatment,
}

impl Place {
    /// Whether a file that was executable in the package stays executable. It does only in folders of programs.
    pub fn keeps_executable(&self) -> bool {
        self.path.as_str().starts_with("bin/")
    }
}

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
        let at = |output: Output| dir.join(output.name());
        Outputs {
            out: at(Output::Out),
            bin: at(Output::Bin),
            lib32: Some(at(Output::Lib32)),
            firmware: at(Output::Firmware),
            modsrc: at(Output::Modsrc),
        }
    }

    /// Where an output lies. `None` for `lib32` where it is not wanted.
    pub fn get(&self, output: Output) -> Option<&Path> {
        match output {
            Output::Out => Some(&self.out),
            Output::Bin => Some(&self.bin),
            Output::Lib32 => self.lib32.as_deref(),
            Output::Firmware => Some(&self.firmware),
            Output::Modsrc => Some(&self.modsrc),
        }
    }
}
