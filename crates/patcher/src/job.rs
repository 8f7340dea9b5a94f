//! One call of patch.sh: what it gets, and whether it left a patched driver.
//!
//! patch.sh is other people's program and stays as it is. It works in a directory that it may write to. That directory
//! has the script's own source and NVIDIA's files, under the names that the script knows. It leaves `<name>-patched/`
//! there, an unpacked driver. Its exit status tells little: the script goes on when a .run file does not unpack, when a
//! patch does not apply, when its git submodule is missing, and when it does not know an option. So the result is
//! checked, here and in [`check`](crate::check).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::{PatchError, list};
use crate::lend;
use crate::names::names;
use crate::script::{self, Ended};

/// Options that may be ignored. The drivers of 17.2 and later build without them, so newer branches of the patcher do
/// not have them.
const NO_LONGER_NEEDED: [&str; 2] = ["--enable-nvidia-gpl-for-experimenting", "--force-nvidia-gpl-I-know-it-is-wrong"];

/// One call of patch.sh.
pub struct Job<'a> {
    /// The patcher's source, with its git submodule. It is only read.
    pub patcher: &'a Path,
    /// GRID archives, .run files and Windows installers that the script may need.
    pub sources: &'a [PathBuf],
    /// A directory with files that the script may have besides, if they have other names or the same content.
    pub here: Option<&'a Path>,
    /// The script's arguments: options, then the target.
    pub args: &'a [OsString],
    /// Gets each line that the script prints, as it prints it.
    pub log: &'a mut dyn FnMut(&str),
}

/// Whether this call needs no driver and no directory to work in. The targets `vcfg` and `diff2c` change the file that
/// they are given. Without a target, the script prints its usage.
pub fn needs_no_driver(args: &[OsString]) -> bool {
    target(args).is_none_or(|target| target == "vcfg" || target == "diff2c")
}

/// The first argument that is not an option.
fn target(args: &[OsString]) -> Option<&OsStr> {
    args.iter().map(OsString::as_os_str).find(|arg| !arg.as_encoded_bytes().starts_with(b"--"))
}

impl Job<'_> {
    /// Prepares `work` (an empty directory), runs patch.sh there, and returns the `…-patched` directory that it left.
    /// What is inside may still be wrong: see [`check`](crate::check).
    pub fn run(&mut self, work: &Path) -> Result<PathBuf, PatchError> {
        let script = self.patcher.join("patch.sh");
        if !script.is_file() {
            return Err(PatchError::NoScript { patcher: self.patcher.to_owned() });
        }
        lend::patcher(self.patcher, work)?;
        for source in self.sources {
            lend::source(source, work, target(self.args).unwrap_or_default(), self.here)?;
        }
        if let Some(here) = self.here {
            lend::directory(here, work)?;
        }
        let Ended { status, printed } = script::run(Path::new("./patch.sh"), self.args, work, self.log)?;
        let given = || list(names(work, ".run").into_iter().chain(names(work, ".exe")));
        if !status.success() {
            return Err(PatchError::Failed { status, tail: printed.tail(), given: given() });
        }
        let unknown = printed.unknown_options.iter();
        let ignored: Vec<_> = unknown.filter(|option| !NO_LONGER_NEEDED.contains(&option.as_str())).collect();
        if !ignored.is_empty() {
            return Err(PatchError::UnknownOption { options: list(ignored) });
        }
        let mut trees = names(work, "-patched").into_iter().filter(|name| work.join(name).is_dir());
        match (trees.next(), trees.next()) {
            (Some(tree), None) => Ok(work.join(tree)),
            (None, _) => Err(PatchError::NoTree { tail: printed.tail(), given: given() }),
            (Some(one), Some(other)) => {
                Err(PatchError::SeveralTrees { names: list([one, other].into_iter().chain(trees)) })
            }
        }
    }

    /// Runs patch.sh in the current directory, for calls that [need no driver](needs_no_driver).
    pub fn run_here(&mut self) -> Result<(), PatchError> {
        let ended = script::run(&self.patcher.join("patch.sh"), self.args, Path::new("."), self.log)?;
        match ended.status.success() {
            true => Ok(()),
            false => {
                let (status, tail) = (ended.status, ended.printed.tail());
                Err(PatchError::Failed { status, tail, given: list(Vec::<String>::new()) })
            }
        }
    }
}
