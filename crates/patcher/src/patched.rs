//! Drivers changed by vGPU-Unlock-patcher: run its patch.sh the way it wants to be run, and check what it leaves.
//!
//! patch.sh is other people's program and stays as it is. It wants a directory it may write to, with its own source
//! and the driver files it knows by name in it, and leaves `<name>-patched/` there, an unpacked driver. Its exit status
//! tells little: it goes on when a .run file does not unpack, when a patch does not apply, when its git submodule is
//! missing, and over options it does not know. So the result is checked: see [`check`] and [`PatchError`].

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use vgpu_driver::Role;
use vgpu_driver::archive;
use vgpu_driver::archive::grid::Grid;
use vgpu_driver::archive::kind::Kind;
use vgpu_driver::archive::makeself::{Header, LONGEST_SCRIPT};
use vgpu_driver::manifest::{self, Manifest, ManifestError};

/// How many of the script's last lines an error repeats.
const TAIL: usize = 30;

/// Options that may be ignored: branches of the patcher from 17.2 on lost them, because their drivers build without.
const NO_LONGER_NEEDED: [&str; 2] = ["--enable-nvidia-gpl-for-experimenting", "--force-nvidia-gpl-I-know-it-is-wrong"];

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

    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] archive::Error),

    #[error("cannot start bash to run patch.sh")]
    #[diagnostic(help("patch.sh needs bash, coreutils, patch, gawk, patchelf, gcc, make and zstd on PATH"))]
    Start { source: io::Error },

    #[error("interrupted")]
    #[diagnostic(help("nothing is left of what patch.sh had begun"))]
    Interrupted,

    #[error("patch.sh failed ({}); its last lines:\n{tail}", ended(status))]
    #[diagnostic(help(
        "it was given {given}. It names the versions it wants in its first lines: each branch of the patcher is for one release"
    ))]
    Failed { status: ExitStatus, tail: String, given: String },

    #[error("patch.sh ignored what it does not know: {options}")]
    #[diagnostic(help("take that out of the patcher's options, or use a branch of the patcher that has it"))]
    UnknownOption { options: String },

    #[error("patch.sh left no patched driver, though it reported no failure; its last lines:\n{tail}")]
    #[diagnostic(help("it was given {given}; a damaged .run file ends like this, see `vgpu identify`"))]
    NoTree { tail: String, given: String },

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

fn ended(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "status unknown".into(),
    }
}

fn source_error(path: &Path) -> impl FnOnce(io::Error) -> PatchError {
    move |source| PatchError::Source { path: path.to_owned(), source }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PatchError {
    move |source| PatchError::Io { doing, path: path.to_owned(), source }
}

/// One call of patch.sh.
pub struct Job<'a> {
    /// The patcher's source, submodule included. Only read.
    pub patcher: &'a Path,
    /// GRID archives, .run files and Windows installers the script may look for.
    pub sources: &'a [PathBuf],
    /// The script's arguments: options, then the target.
    pub args: &'a [OsString],
    /// Gets each line the script prints, as it prints it.
    pub log: &'a mut dyn FnMut(&str),
}

/// Does this call need no driver and no directory to work in? `vcfg` and `diff2c` change the file they are given, and
/// without a target the script tells how it is used.
pub fn needs_no_driver(args: &[OsString]) -> bool {
    target(args).is_none_or(|target| target == "vcfg" || target == "diff2c")
}

/// The first argument that is no option.
fn target(args: &[OsString]) -> Option<&OsStr> {
    args.iter().map(OsString::as_os_str).find(|arg| !arg.as_encoded_bytes().starts_with(b"--"))
}

impl Job<'_> {
    /// Prepares `work` (an empty directory), runs patch.sh there and returns the `…-patched` directory it left.
    /// Nothing is known about what is inside until [`check`] has seen it.
    pub fn run(&mut self, work: &Path) -> Result<PathBuf, PatchError> {
        let script = self.patcher.join("patch.sh");
        if !script.is_file() {
            return Err(PatchError::NoScript { patcher: self.patcher.to_owned() });
        }
        copy_writable(self.patcher, work)?;
        for source in self.sources {
            provide(source, work, target(self.args).unwrap_or_default())?;
        }
        let (status, seen) = self.call(Path::new("./patch.sh"), work)?;
        let given = || list(names(work, ".run").into_iter().chain(names(work, ".exe")));
        if !status.success() {
            return Err(PatchError::Failed { status, tail: seen.tail(), given: given() });
        }
        let wanted: Vec<_> =
            seen.unknown.iter().filter(|option| !NO_LONGER_NEEDED.contains(&option.as_str())).collect();
        if !wanted.is_empty() {
            return Err(PatchError::UnknownOption { options: list(wanted) });
        }
        let mut trees = names(work, "-patched").into_iter().filter(|name| work.join(name).is_dir());
        match (trees.next(), trees.next()) {
            (Some(tree), None) => Ok(work.join(tree)),
            (None, _) => Err(PatchError::NoTree { tail: seen.tail(), given: given() }),
            (Some(one), Some(other)) => {
                Err(PatchError::SeveralTrees { names: list([one, other].into_iter().chain(trees)) })
            }
        }
    }

    /// Runs patch.sh from where it is, in the current directory: for calls that [need no driver](needs_no_driver).
    pub fn run_here(&mut self) -> Result<(), PatchError> {
        let (status, seen) = self.call(&self.patcher.join("patch.sh"), Path::new("."))?;
        match status.success() {
            true => Ok(()),
            false => Err(PatchError::Failed { status, tail: seen.tail(), given: list(Vec::<String>::new()) }),
        }
    }

    /// Runs the script to its end, both of its outputs through one pipe so that their order stays.
    fn call(&mut self, script: &Path, directory: &Path) -> Result<(ExitStatus, Seen), PatchError> {
        let start = |source| PatchError::Start { source };
        let (reader, writer) = io::pipe().map_err(start)?;
        let mut command = Command::new("bash");
        command.arg(script).args(self.args).current_dir(directory).stdin(Stdio::null());
        command.stdout(writer.try_clone().map_err(start)?).stderr(writer);
        // A group of its own, so that all it has started can be ended with it.
        let mut child = command.process_group(0).spawn().map_err(start)?;
        let interruption = Interruption::ends(&child).map_err(start)?;
        drop(command); // Holds the pipe's other end: without this the script's output never ends.
        let mut seen = Seen::default();
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(io_error("read the output of", script))? > 0 {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            (self.log)(text);
            seen.line(text);
            line.clear();
        }
        let status = child.wait().map_err(io_error("wait for", script))?;
        match interruption.happened() {
            true => Err(PatchError::Interrupted),
            false => Ok((status, seen)),
        }
    }
}

/// Ends a child and all it has started when we are interrupted (Ctrl-C) or terminated: only then can what they were
/// writing be removed.
struct Interruption {
    handle: signal_hook::iterator::Handle,
    thread: JoinHandle<bool>,
}

impl Interruption {
    fn ends(child: &Child) -> io::Result<Interruption> {
        let group = Pid::from_child(child);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let thread = std::thread::spawn(move || {
            let interrupted = signals.forever().next().is_some();
            if interrupted {
                let _ = kill_process_group(group, Signal::KILL);
            }
            interrupted
        });
        Ok(Interruption { handle, thread })
    }

    /// Stops waiting for signals and tells whether there was one.
    fn happened(self) -> bool {
        self.handle.close();
        self.thread.join().unwrap_or(false)
    }
}

/// What matters of the script's output.
#[derive(Default)]
struct Seen {
    last: VecDeque<String>,
    unknown: BTreeSet<String>,
}

impl Seen {
    fn line(&mut self, line: &str) {
        if let Some(option) = line.strip_prefix("Unknown option ") {
            self.unknown.insert(option.to_owned());
        }
        if self.last.len() == TAIL {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    fn tail(&self) -> String {
        match self.last.is_empty() {
            true => "  (it printed nothing)".into(),
            false => self.last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// Copies a directory so that its owner may write to all of it, which a copy out of the Nix store is not.
fn copy_writable(from: &Path, to: &Path) -> Result<(), PatchError> {
    fs::create_dir_all(to).map_err(io_error("create", to))?;
    for entry in fs::read_dir(from).map_err(io_error("read", from))? {
        let entry = entry.map_err(io_error("read", from))?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(io_error("read", &source))?;
        if kind.is_dir() {
            copy_writable(&source, &copy)?;
        } else if kind.is_symlink() {
            let aim = fs::read_link(&source).map_err(io_error("read", &source))?;
            symlink(aim, &copy).map_err(io_error("create", &copy))?;
        } else {
            fs::copy(&source, &copy).map_err(io_error("copy", &source))?;
            let mode = fs::metadata(&copy).map_err(io_error("read", &copy))?.permissions().mode() | 0o200;
            fs::set_permissions(&copy, PermissionsExt::from_mode(mode)).map_err(io_error("change", &copy))?;
        }
    }
    Ok(())
}

/// Puts a driver file where patch.sh finds it: a link under the name it knows, or out of an archive what `target` needs.
fn provide(source: &Path, work: &Path, target: &OsStr) -> Result<(), PatchError> {
    let name = match archive::kind_of(source)? {
        Kind::Zip => return unpack(source, work, target),
        Kind::Script => run_name(source)?,
        Kind::WindowsProgram => file_name(source),
        kind => return Err(archive::Error::NotADriver { path: source.to_owned(), kind }.into()),
    };
    let source = fs::canonicalize(source).map_err(source_error(source))?;
    let link = work.join(name);
    match symlink(source, &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(io_error("create", &link)),
    }
}

/// The name patch.sh knows a .run file by: the directory it unpacks to. The file's own may be any.
fn run_name(file: &Path) -> Result<String, PatchError> {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST_SCRIPT as u64).read_to_end(&mut start));
    read.map_err(source_error(file))?;
    let header = Header::parse(&start).map_err(|problem| archive::Error::Header { path: file.to_owned(), problem })?;
    Ok(header.target.map_or_else(|| file_name(file), |target| format!("{target}.run")))
}

/// The name of a file, without the hash that files in a Nix store have in front of it (32 letters and digits).
fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match name.split_once('-') {
        Some((hash, name)) if hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) => name.into(),
        _ => name.into(),
    }
}

/// Takes out of a GRID archive what `target` needs: an archive has drivers for hosts, Linux guests and Windows guests.
fn unpack(archive: &Path, work: &Path, target: &OsStr) -> Result<(), PatchError> {
    let mut grid = Grid::open(archive)?;
    let needed = match target.to_str().unwrap_or_default() {
        "wsys" => vec![grid.windows()],
        "grid" | "general" => vec![grid.driver(Role::Guest)?],
        "grid-merge" => vec![grid.driver(Role::Guest)?, grid.driver(Role::Host)?],
        _ => vec![grid.driver(Role::Host)?],
    };
    for driver in needed {
        let driver = driver.ok_or_else(|| archive::Error::NoDriver {
            path: archive.to_owned(),
            wanted: target.to_string_lossy().into_owned(),
            found: "give the GRID archive for Linux with KVM, or the .run file itself".into(),
        })?;
        let path = work.join(driver.file());
        if !path.exists() {
            let (_, mut content) = grid.open_driver(&driver)?;
            let mut file = File::create_new(&path).map_err(io_error("create", &path))?;
            io::copy(&mut content, &mut file).map_err(io_error("unpack", &path))?;
        }
    }
    Ok(())
}

/// Checks an unpacked driver: it has a .manifest and every file that names, no patch was rejected, and the version is
/// `expected` if one is given. Returns the version.
pub fn check(tree: &Path, expected: Option<&str>) -> Result<String, PatchError> {
    let path = tree.join(manifest::FILE);
    let text = fs::read(&path).map_err(|source| PatchError::NoManifest { tree: tree.to_owned(), source })?;
    let damaged = |problem| PatchError::Manifest { tree: tree.to_owned(), problem };
    let Manifest { version, entries } = Manifest::parse(&text).map_err(damaged)?;
    if entries.is_empty() {
        return Err(damaged(ManifestError::Empty));
    }
    if let Some(expected) = expected.filter(|&expected| expected != version) {
        return Err(PatchError::Version { found: version, expected: expected.to_owned() });
    }
    // Links are made by the installer; all else has to be there.
    let files = entries.into_iter().filter(|entry| !entry.is_symlink()).map(|entry| entry.file.to_string());
    let missing: Vec<String> = files.filter(|file| !tree.join(file).is_file()).collect();
    if !missing.is_empty() {
        return Err(PatchError::Missing { tree: tree.to_owned(), count: missing.len(), first: list(missing) });
    }
    let rejected = rejects(tree).map_err(io_error("read", tree))?;
    match rejected.is_empty() {
        true => Ok(version),
        false => Err(PatchError::Rejected { files: list(rejected) }),
    }
}

/// The files patch(1) leaves for hunks that did not fit, relative to `tree`.
fn rejects(tree: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                directories.push(path);
            } else if path.extension() == Some(OsStr::new("rej")) {
                found.push(path.strip_prefix(tree).unwrap_or(&path).display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The names in `directory` that end in `suffix`, sorted.
pub fn names(directory: &Path, suffix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(suffix))
        .collect();
    names.sort();
    names
}

/// The first five, and how many more there are.
fn list(items: impl IntoIterator<Item = impl Into<String>>) -> String {
    let mut items: Vec<String> = items.into_iter().map(Into::into).collect();
    let more = items.len().saturating_sub(5);
    items.truncate(5);
    match (items.is_empty(), more) {
        (true, _) => "no driver".into(),
        (false, 0) => items.join(", "),
        (false, more) => format!("{} and {more} more", items.join(", ")),
    }
}
