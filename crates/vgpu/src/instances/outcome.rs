//! The results of applying a declaration: what was done, what failed, and why nothing could be done.

use std::path::PathBuf;

use miette::Diagnostic;

use super::declaration::Name;
use super::reason::{InUse, Reason};
use super::step::Why;
use super::{functions, make, memory};
use crate::machine::pci::Address;
use crate::machine::vgpu::{Sizes, Vgpu};

/// Something that was done, or left as it was.
#[derive(Debug)]
pub enum Event {
    /// Virtual functions of a GPU are on.
    Functions(Address),
    /// A GPU has another mode.
    Mode(Address, Sizes),
    /// A vGPU of this type was made for a name.
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

/// Something that failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Failure {
    #[error("cannot switch on the virtual functions of {gpu}")]
    Functions {
        gpu: Address,
        #[source]
        #[diagnostic_source]
        source: functions::Error,
    },
    #[error("cannot switch mixed sizes of {gpu} {}", match .sizes { Sizes::Mixed => "on", Sizes::Equal => "off" })]
    #[diagnostic(help(
        "this needs a board and a driver that can mix sizes, libnvidia-ml, and a GPU without vGPUs: shut virtual machines down"
    ))]
    Mode {
        gpu: Address,
        sizes: Sizes,
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
