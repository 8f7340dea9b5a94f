//! Why there is no patched driver.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use vgpu_driver::archive;
use vgpu_driver::manifest::ManifestError;

/// Why there is no patched driver.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum PatchError {
    #[error("cannot {doing} {}", path.display())]
    #[diagnostic(help("patching needs a directory that you may write to, with some 6 GB free"))]
    Io { doing: &'static str, path: PathBuf, source: io::Error },

    #[error("{} is no source of vGPU-Unlock-patcher: it has no patch.sh", patcher.display())]
    #[diagnostic(help("see that `rev` and `sha256` of the patcher belong to that repository"))]
    NoScript { patcher: PathBuf },

    #[error("cannot use {} as a driver for patch.sh", path.display())]
    #[diagnostic(help("give the GRID archive for Linux with KVM, or the .run file itself"))]
    Source { path: PathBuf, source: io::Error },

    #[error("{} is not the file of that name that patch.sh is to have", path.display())]
    #[diagnostic(help(
        "give it another name, or remove it: patch.sh gets that file from --source. nvidia-vup has those that the configuration \
         pins by their hashes"
    ))]
    Differs { path: PathBuf },

    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] archive::Error),

    #[error("cannot start bash to run patch.sh")]
    #[diagnostic(help("patch.sh needs bash, coreutils, patch, gawk, patchelf, gcc, make and zstd on PATH"))]
    Start { source: io::Error },

    #[error("interrupted")]
    #[diagnostic(help("nothing is left of what patch.sh had begun"))]
    Interrupted,

    #[error("patch.sh failed ({}); its last lines:", ended(status))]
    #[diagnostic(help(
        "it was given {given}. It names the versions it wants in its first lines: each branch of the patcher is for one release"
    ))]
    Failed {
        status: ExitStatus,
        #[related]
        tail: Vec<Line>,
        given: String,
    },

    #[error("patch.sh ignored what it does not know: {options}")]
    #[diagnostic(help("take that out of the patcher's options, or use a branch of the patcher that has it"))]
    UnknownOption { options: String },

    #[error("patch.sh left no patched driver, though it reported no failure; its last lines:")]
    #[diagnostic(help("it was given {given}; a damaged .run file ends like this, see `vgpu identify`"))]
    NoTree {
        #[related]
        tail: Vec<Line>,
        given: String,
    },

    #[error("patch.sh left several patched drivers: {names}")]
    #[diagnostic(help("give it one target"))]
    SeveralTrees { names: String },

    #[error("the patched driver {} has no .manifest", tree.display())]
    #[diagnostic(help("the log of patch.sh tells what went wrong while it unpacked the driver"))]
    NoManifest { tree: PathBuf, source: io::Error },

    #[error("the .manifest of the patched driver {} is damaged: {problem}", tree.display())]
    #[diagnostic(help("the log of patch.sh tells what went wrong while it unpacked the driver"))]
    Manifest { tree: PathBuf, problem: ManifestError },

    #[error("the patched driver is version {found}, not {expected}")]
    #[diagnostic(help(
        "the patcher belongs to another release; a merged driver has the version of the consumer driver (`generalVersion`)"
    ))]
    Version { found: String, expected: String },

    #[error("the patched driver {} lacks {count} of the files its .manifest names: {first}", tree.display())]
    #[diagnostic(help(
        "kernel/unlock missing: the patcher's source came without its git submodule; else see the log of patch.sh"
    ))]
    Missing { tree: PathBuf, count: usize, first: String },

    #[error("patches did not apply to the driver; rejected: {files}")]
    #[diagnostic(help("the patcher and the driver are not of one release; see the log of patch.sh"))]
    Rejected { files: String },
}

/// A line that patch.sh printed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{0}")]
pub struct Line(pub String);

fn ended(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "status unknown".into(),
    }
}

/// An I/O error, with what was being done to which file.
pub fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PatchError {
    move |source| PatchError::Io { doing, path: path.to_owned(), source }
}

/// The first five items in words, and how many more there are.
pub fn list(items: impl IntoIterator<Item = impl Into<String>>) -> String {
    let mut items: Vec<String> = items.into_iter().map(Into::into).collect();
    let more = items.len().saturating_sub(5);
    items.truncate(5);
    match (items.is_empty(), more) {
        (true, _) => "no driver".into(),
        (false, 0) => items.join(", "),
        (false, more) => format!("{} and {more} more", items.join(", ")),
    }
}
