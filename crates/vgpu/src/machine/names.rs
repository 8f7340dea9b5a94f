//! Names of boards, from the system's pci.ids.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::files::store_names;
use super::pci::NVIDIA;

/// Where systems keep the names of PCI devices. NixOS has them only in the store: see [`pci_ids`].
const PCI_IDS: [&str; 3] = ["usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids", "usr/share/pci.ids"];

/// The most that is read of it, in bytes. It has 1.6 MB.
const LARGEST: u64 = 32 << 20;

/// The names of these NVIDIA devices, as in "GA102GL [A40]": a line `10de  NVIDIA Corporation`, then
/// `<tab>2235  GA102GL [A40]`. Those that are not listed are left out.
pub fn of_devices(root: &Path, devices: &[u16]) -> BTreeMap<u16, String> {
    let Some(file) = pci_ids(root) else { return BTreeMap::new() };
    let lines = BufReader::new(file.take(LARGEST)).split(b'\n').map_while(Result::ok);
    let vendor = format!("{NVIDIA:04x} ");
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .skip_while(|line| !line.starts_with(&vendor))
        .skip(1)
        .take_while(|line| line.starts_with(['\t', '#']))
        .filter_map(|line| {
            let (id, name) = line.strip_prefix('\t')?.split_once("  ")?;
            Some((u16::from_str_radix(id, 16).ok()?, name.trim().to_owned()))
        })
        .filter(|(id, _)| devices.contains(id))
        .collect()
}

/// The system's pci.ids, or that of the newest package `hwdata` in the Nix store.
fn pci_ids(root: &Path) -> Option<File> {
    let in_store = || {
        let store = root.join("nix/store");
        let packages = store_names(&store).into_iter().filter(|(name, _)| name.starts_with("hwdata-"));
        packages
            .filter_map(|(name, path)| Some((name, File::open(path.join("share/hwdata/pci.ids")).ok()?)))
            .max_by(|(one, _), (other, _)| one.cmp(other))
    };
    let file = PCI_IDS.iter().find_map(|path| File::open(root.join(path)).ok());
    file.or_else(|| in_store().map(|(_, file)| file))
}
