//! Small files, directories and links of sysfs and procfs.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use vgpu_base::bounded;

/// The entries of a directory, in no order. None if it can't be read.
pub fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// The largest file that is read completely, in bytes. /proc/cpuinfo has 1.5 KB for each processor.
const MOST: u64 = 8 << 20;

/// A small text file, trimmed. Bytes that are not UTF-8 are replaced. `None` if it can't be read, or is not small.
pub fn read(path: &Path) -> Option<String> {
    bounded::read_file(path, MOST).ok().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The end of a text file, at most `most` bytes.
pub fn end(path: &Path, most: u64) -> Option<String> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most))).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The decimal number in a file.
pub fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    read(path)?.parse().ok()
}

/// The hexadecimal number in a file, with 0x or without.
pub fn hexadecimal(path: &Path) -> Option<u32> {
    u32::from_str_radix(read(path)?.trim_start_matches("0x"), 16).ok()
}

/// The last part of a link's target: `nvidia` for `driver -> ../../bus/pci/drivers/nvidia`.
pub fn link_name(link: &Path) -> Option<String> {
    name(&fs::read_link(link).ok()?)
}

/// The last part of a path.
pub fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// What is in a store directory, by name: paths are `<32 digits>-<name>`.
pub fn store_names(store: &Path) -> Vec<(String, PathBuf)> {
    let store_name = |path: &PathBuf| Some(name(path)?.split_once('-')?.1.to_owned());
    entries(store).filter_map(|path| Some((store_name(&path)?, path))).collect()
}
