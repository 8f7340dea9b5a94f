//! Reasons why a vGPU cannot be made, or is left as it is, that are known before the kernel is asked.

use std::fmt;

use miette::Diagnostic;

use crate::machine::pci::Address;

/// Why there is no place for an instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Diagnostic)]
pub enum Reason {
    #[error("no profile is called {profile}")]
    #[diagnostic(help("{}`vgpu profiles list` shows all", nearest_first(nearest)))]
    UnknownProfile { profile: String, nearest: Vec<String> },
    #[error("there is no NVIDIA GPU at {0}")]
    #[diagnostic(help("`vgpu status` shows the GPUs of this machine"))]
    NoSuchGpu(Address),
    #[error("this machine shows no NVIDIA GPU")]
    #[diagnostic(help("`lspci -d 10de:` lists them; inside a virtual machine no vGPUs can be made on its vGPU"))]
    NoGpu,
    #[error("{gpu} is with the driver {driver}, not with NVIDIA's")]
    #[diagnostic(help("take the GPU from it: look for vfio-pci.ids or nouveau in the configuration, and restart"))]
    OtherDriver { gpu: Address, driver: String },
    #[error("{gpu} is with no driver")]
    #[diagnostic(help("load NVIDIA's host driver: modprobe nvidia nvidia-vgpu-vfio"))]
    NoDriver { gpu: Address },
    #[error("{gpu} does not offer {profile}")]
    #[diagnostic(help("`vgpu profiles list` shows what each board offers"))]
    NotOffered { gpu: Address, profile: String },
    #[error("{gpu} is cut into {there} and takes no other size")]
    #[diagnostic(help("use profiles of one size on a GPU, or mixed sizes (mixed_sizes) on boards that can"))]
    OtherSize { gpu: Address, there: String },
    #[error("{gpu} is full: {there} of {most} vGPUs are on it")]
    #[diagnostic(help("take fewer, smaller ones, or another GPU"))]
    Full { gpu: Address, there: u64, most: u64 },
    #[error("{gpu} has {left} MiB left, and {wanted} are needed")]
    #[diagnostic(help("take fewer, smaller ones, or another GPU"))]
    Memory { gpu: Address, left: u64, wanted: u64 },
    #[error("{gpu} has no free virtual function")]
    #[diagnostic(help("each vGPU takes one: `vgpu instances list` shows who has them"))]
    NoFunction { gpu: Address },
    #[error("{function} is no virtual function of {gpu}")]
    #[diagnostic(help("`ls -d /sys/bus/pci/devices/{gpu}/virtfn*` lists those there are"))]
    NotAFunction { gpu: Address, function: Address },
    #[error("{function} has a vGPU of another: {there}")]
    #[diagnostic(help("remove that vGPU, or take another function"))]
    FunctionTaken { function: Address, there: String },
    #[error("the mediated device {uuid} was made by somebody else, as {there}")]
    #[diagnostic(help("remove that one, or take another uuid"))]
    UuidTaken { uuid: uuid::Uuid, there: String },
    #[error("no GPU has room: {}", list(.0))]
    #[diagnostic(help("take fewer, smaller ones, or vGPUs of a size that is on a GPU already"))]
    NoRoom(Vec<Reason>),
}

fn list(reasons: &[Reason]) -> String {
    reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")
}

/// "the nearest are a, b, c; ", or nothing.
pub fn nearest_first(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("the nearest are {}; ", nearest.join(", ")) }
}

/// Why something that should change is left as it is: it is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// virtual machine win10 (process 4711)
    pub by: String,
    /// What happens once it is free.
    pub then: String,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has it open; when that ends, {}", self.by, self.then)
    }
}
