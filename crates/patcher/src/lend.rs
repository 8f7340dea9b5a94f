//! Puts the files that patch.sh needs into the directory it works in.
//!
//! patch.sh wants its own source there, writable, and NVIDIA's files under the names that it knows. Files that were asked for
//! come first: nothing that lies in the current directory replaces one of them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use vgpu_driver::Role;
use vgpu_driver::archive;
use vgpu_driver::archive::grid::{Driver, Grid};
use vgpu_driver::archive::kind::Kind;
use vgpu_driver::archive::makeself::{Header, LONGEST_SCRIPT};

use crate::error::{PatchError, io_error};
use crate::names::{CERTIFICATE, names};

/// How much of two files is compared at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Copies the patcher's source, so that its owner may write to all of it. In the Nix store nothing is writable.
pub fn patcher(from: &Path, to: &Path) -> Result<(), PatchError> {
    fs::create_dir_all(to).map_err(io_error("create", to))?;
    for entry in fs::read_dir(from).map_err(io_error("read", from))? {
        let entry = entry.map_err(io_error("read", from))?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(io_error("read", &source))?;
        if kind.is_dir() {
            patcher(&source, &copy)?;
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

/// Links the files that patch.sh would find if it ran in `here`: drivers under the names that it knows, and the
/// certificate that Windows drivers are signed with, from an earlier run (`--create-cert`).
///
/// # Errors
/// When one differs from the file that `work` has under its name.
pub fn directory(here: &Path, work: &Path) -> Result<(), PatchError> {
    let drivers = [".run", ".exe"].iter().flat_map(|end| names(here, end));
    for name in drivers.chain([CERTIFICATE.to_owned()]).filter(|name| here.join(name).exists()) {
        offer(&here.join(&name), &work.join(&name))?;
    }
    Ok(())
}

/// Links `file` as `link`, where something of the same content may lie already.
fn offer(file: &Path, link: &Path) -> Result<(), PatchError> {
    match symlink(file, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match are_same(file, link)? {
            true => Ok(()),
            false => Err(PatchError::Differs { path: file.to_owned() }),
        },
        linked => linked.map_err(io_error("create", link)),
    }
}

/// Whether two files have the same content. False if one of them is no file.
fn are_same(one: &Path, other: &Path) -> Result<bool, PatchError> {
    let (Ok(first), Ok(second)) = (archive::open(one), archive::open(other)) else { return Ok(false) };
    let length = |file: &File, path| file.metadata().map(|meta| meta.len()).map_err(io_error("read", path));
    if length(&first, one)? != length(&second, other)? {
        return Ok(false);
    }
    let (mut first, mut second) = (BufReader::with_capacity(CHUNK, first), BufReader::with_capacity(CHUNK, second));
    loop {
        let (read, known) =
            (first.fill_buf().map_err(io_error("read", one))?, second.fill_buf().map_err(io_error("read", other))?);
        let length = read.len().min(known.len());
        if read[..length] != known[..length] || length == 0 {
            return Ok(read.is_empty() && known.is_empty());
        }
        first.consume(length);
        second.consume(length);
    }
}

/// Puts one of NVIDIA's files where patch.sh finds it. A driver is linked under the name that patch.sh knows. From an archive,
/// the files are unpacked that `target` needs, and those that have the name of a file in `here`.
pub fn source(source: &Path, work: &Path, target: &OsStr, here: Option<&Path>) -> Result<(), PatchError> {
    let name = match archive::kind_of(source)? {
        Kind::Zip => return unpack(source, work, target, here),
        Kind::Script => run_name(source)?,
        Kind::WindowsProgram => file_name(source),
        kind => return Err(archive::Error::NotADriver { path: source.to_owned(), kind }.into()),
    };
    let source = fs::canonicalize(source).map_err(source_error(source))?;
    offer(&source, &work.join(name))
}

/// The name under which patch.sh knows a .run file: that of the directory that it unpacks to. The file itself may have
/// any name.
fn run_name(file: &Path) -> Result<String, PatchError> {
    let start = File::open(file).and_then(|mut file| archive::read_up_to(&mut file, LONGEST_SCRIPT));
    let start = start.map_err(source_error(file))?;
    let header = Header::parse(&start).map_err(|problem| archive::Error::Header { path: file.to_owned(), problem })?;
    Ok(header.target.map_or_else(|| file_name(file), |target| format!("{target}.run")))
}

/// The name of a file. The hash that a Nix store puts in front of it (32 letters and digits) is left out.
fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match name.split_once('-') {
        Some((hash, name)) if hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) => name.into(),
        _ => name.into(),
    }
}

/// Unpacks what is needed of a GRID archive, which has drivers for hosts, Linux guests and Windows guests.
fn unpack(archive: &Path, work: &Path, target: &OsStr, here: Option<&Path>) -> Result<(), PatchError> {
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
        unpack_driver(&mut grid, &driver, work)?;
    }
    let all = [grid.driver(Role::Host)?, grid.driver(Role::Guest)?, grid.windows()];
    for driver in all.into_iter().flatten() {
        if here.is_some_and(|here| here.join(driver.file()).symlink_metadata().is_ok()) {
            unpack_driver(&mut grid, &driver, work)?;
        }
    }
    Ok(())
}

fn unpack_driver(grid: &mut Grid, driver: &Driver, work: &Path) -> Result<(), PatchError> {
    let path = work.join(driver.file());
    if path.exists() {
        return Ok(());
    }
    let (_, mut content) = grid.open_driver(driver)?;
    let mut file = File::create_new(&path).map_err(io_error("create", &path))?;
    io::copy(&mut content, &mut file).map(drop).map_err(io_error("unpack", &path))
}

fn source_error(path: &Path) -> impl FnOnce(io::Error) -> PatchError {
    move |source| PatchError::Source { path: path.to_owned(), source }
}
