//! What can be wrong with a vgpuConfig.xml or with the changes asked for.

use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;
use vgpu_base::publish::scarce;

use crate::gpu_id::{GpuId, GpuIdError};
use crate::limits::{MAX_BYTES, MIN_VRAM_MIB};

/// Why a vgpuConfig.xml could not be read, changed or written. Nothing was written then.
#[derive(Debug, Error, Diagnostic)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    #[diagnostic(help(
        "check the path, and that you may read it; `vgpu profiles list --config FILE` takes a vgpuConfig.xml, a GRID \
         archive or a host's .run file"
    ))]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than {} MiB", path.display(), MAX_BYTES >> 20)]
    #[diagnostic(help("NVIDIA's vgpuConfig.xml has less than one MiB; check that this is the right file"))]
    TooLong { path: PathBuf },
    #[error("{} is not text in UTF-8", path.display())]
    #[diagnostic(help(
        "vgpuConfig.xml lies at the root of an unpacked host driver: `sh FILE-vgpu-kvm.run -x --target DIR`"
    ))]
    NotText { path: PathBuf },
    #[error("cannot write {}", path.display())]
    #[diagnostic(help("{}", advice(.source)))]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{} is not a regular file", path.display())]
    #[diagnostic(help("name a file to write to; `--diff` alone shows the changes and writes nothing"))]
    NotAFile { path: PathBuf },

    #[error("not well-formed XML")]
    #[diagnostic(help("the file is damaged or not XML; take vgpuConfig.xml from the host driver again"))]
    Xml(#[from] roxmltree::Error),
    #[error("line {line} declares an entity")]
    #[diagnostic(help("NVIDIA's files have none; take vgpuConfig.xml from the host driver again"))]
    Entities { line: usize },
    #[error("a tag has more than {limit} attributes")]
    #[diagnostic(help("NVIDIA's have four; take vgpuConfig.xml from the host driver again"))]
    Attributes { limit: usize },
    #[error("the outermost element is <{root}>, not <vgpuconfig>")]
    #[diagnostic(help("this is some other XML file; vgpuConfig.xml lies at the root of an unpacked host driver"))]
    NotVgpuConfig { root: String },
    #[error("line {line}: <{element}> has no {missing}")]
    #[diagnostic(help("every profile and physical GPU needs it; take vgpuConfig.xml from the host driver again"))]
    Malformed { line: usize, element: &'static str, missing: &'static str },

    #[error("{mistake}")]
    #[diagnostic(help("`vgpu profiles apply --help` shows what changes look like and what each option takes"))]
    Changes { mistake: String },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Gpu(#[from] GpuIdError),
    #[error("{text:?} is not the number of a profile")]
    #[diagnostic(help("write 333 for nvidia-333; `vgpu profiles list` shows the numbers"))]
    NotAProfile { text: String },
    #[error("clones goes round in a circle: {}", circle.iter().map(GpuId::to_string).collect::<Vec<_>>().join(" gets what "))]
    #[diagnostic(help("a clone needs a physical GPU that vgpuConfig.xml lists and that is no clone itself"))]
    Circle { circle: Vec<GpuId> },

    #[error("physical GPU {gpu} is not listed")]
    #[diagnostic(help("{nearest}`vgpu profiles list` shows all"))]
    UnknownGpu { gpu: String, nearest: String },
    #[error("profile {profile} is not listed")]
    #[diagnostic(help("{nearest}`vgpu profiles list` shows all"))]
    UnknownProfile { profile: String, nearest: String },
    #[error("overrides.{profile}.vramAllocation is {mib} MiB, less than a vGPU needs")]
    #[diagnostic(help("give it {} MiB at least", MIN_VRAM_MIB))]
    TooSmall { profile: u32, mib: u32 },
    #[error(
        "overrides.{profile}.vramAllocation is {mib} MiB, but the largest board that offers {name} has {board} MiB"
    )]
    #[diagnostic(help("give it {board} MiB at most; the memory of a board is what its profiles fill together"))]
    TooLarge { profile: u32, name: String, mib: u32, board: u64 },
    #[error(
        "overrides.{profile}.maxInstances is {count}, but the largest board that offers {name} has {board} MiB, which is \
         room for {room}"
    )]
    #[diagnostic(help("give it {room} at most, or lower vramAllocation with it"))]
    TooMany { profile: u32, name: String, count: u32, room: u64, board: u64 },
    #[error("line {line}: <{element}> holds other elements and cannot get a text")]
    #[diagnostic(help("xmlConfig changes elements with a text; {{\"attribute\": \"value\"}} changes attributes"))]
    NotALeaf { line: usize, element: String },
    #[error("the changed file would not hold what was asked for")]
    #[diagnostic(help("this is a defect of vgpu: please report it with the changes and the driver's version"))]
    Broken,
}

fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if let Some(advice) = scarce(error) {
        return advice;
    }
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "make room there; the old file is unchanged",
        _ => "name a file in a directory that exists and that you may write to",
    }
}
