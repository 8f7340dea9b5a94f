//! The NixOS configuration that uses a driver file in the Nix store.
//!
//! It depends on what the catalog has, see [`InCatalog`]. A comment `not known` marks what could not be found out. Nix can
//! still read the value.

use super::expression::{Expression, Line, module};
use super::sri::Sri;
use crate::catalog::{self, DriverVersion, Patcher, Release, ReleaseNumber};
use vgpu_driver::Role;

/// A file that holds drivers, and what was found in it.
#[derive(Clone, Debug)]
pub struct Source {
    /// What the driver is for.
    pub role: Role,
    /// Whether the file is a GRID archive and not a .run file.
    pub archive: bool,
    /// Its name in the store.
    pub name: String,
    /// Its hash.
    pub sha256: Sri,
    pub host: Option<DriverVersion>,
    pub guest: Option<DriverVersion>,
    /// Hash of the guest's .run file: this file, or one inside the archive.
    pub guest_sha256: Option<Sri>,
}

/// What the catalog has of a file's release.
#[derive(Clone, Copy, Debug)]
pub enum InCatalog<'a> {
    /// It has the release, and the hash of this file.
    Pinned(&'a Release),
    /// It has the release, but no hash of this file.
    Unpinned(&'a Release),
    /// It has nothing. The number is what the user gave, if anything.
    Unknown(Option<ReleaseNumber>),
}

impl InCatalog<'_> {
    /// The number of the release, if it is known.
    pub fn number(&self) -> Option<ReleaseNumber> {
        match self {
            InCatalog::Pinned(release) | InCatalog::Unpinned(release) => Some(release.release),
            InCatalog::Unknown(number) => *number,
        }
    }

    /// The catalog's entry, if it has one.
    pub fn release(&self) -> Option<&Release> {
        match self {
            InCatalog::Pinned(release) | InCatalog::Unpinned(release) => Some(release),
            InCatalog::Unknown(_) => None,
        }
    }
}

const PACKAGE: &str = "hardware.nvidia.package";
const MAKE: &str = "config.boot.kernelPackages.nvidiaPackages.mkVgpuDriver";
const PATCHER: &str = "config.boot.kernelPackages.nvidiaPackages.mkVgpuPatcher";
const RELEASE: &str = "hardware.nvidia.vgpu.release";
const SOURCE: &str = "hardware.nvidia.vgpu.driverSource";

/// A NixOS module that uses the file.
pub fn render(source: &Source, known: InCatalog) -> String {
    // mkVgpuDriver needs the hash of an archive for hosts and of a .run file for guests. If the catalog has the release of
    // a .run file, less is needed: the release, and the file's hash as driverSource.
    let complete = match known {
        InCatalog::Pinned(_) => false,
        InCatalog::Unpinned(_) => source.archive,
        InCatalog::Unknown(_) => true,
    };
    let mut lines = Vec::new();
    if complete {
        let set = Expression::Set(attributes(source, known));
        lines.push(Line::binding(PACKAGE, Expression::Call(MAKE.to_owned(), Box::new(set))));
    } else if let Some(number) = known.number() {
        lines.push(Line::binding(RELEASE, Expression::text(number)));
    }
    lines.extend(driver_source(source, known));
    if source.role == Role::Guest {
        lines.push(Line::Blank);
        lines.push(Line::Comment("A guest's screens and programs need the driver, too.".to_owned()));
        let drivers = Expression::Code("[ \"nvidia\" ]".to_owned());
        lines.push(Line::binding("services.xserver.videoDrivers", drivers));
    }
    module(&header(source, known), if complete { &["config", "lib"] } else { &[] }, lines)
}

fn header(source: &Source, known: InCatalog) -> Vec<String> {
    let release = known.number().map_or("a release that is not in the catalog".to_owned(), |n| format!("vGPU {n}"));
    vec![
        format!("The {} driver of {release}, from {}", source.role, source.name),
        "in the Nix store. Import this file in configuration.nix, or paste the lines into it.".to_owned(),
    ]
}

/// hardware.nvidia.vgpu.driverSource, if the default of the role would look for another file.
fn driver_source(source: &Source, known: InCatalog) -> Option<Line> {
    let name = Line::binding("name", Expression::text(&source.name));
    let hash = Line::binding("sha256", Expression::text(source.sha256));
    let no_url = Line::noted("url", Expression::Null, "from the Nix store, not from NVIDIA's server");
    let lines = match (source.role, source.archive, known) {
        // Hosts expect the archive and guests the .run file. Both get the hash from the catalog or from mkVgpuDriver.
        (Role::Host, true, _) => return None,
        (Role::Guest, false, InCatalog::Pinned(_)) => return None,
        // A cloud's file has another name than NVIDIA's.
        (Role::Guest, false, InCatalog::Unknown(_)) if !named_by_nvidia(source) => vec![name, no_url],
        (Role::Guest, false, InCatalog::Unknown(_)) => vec![no_url],
        (Role::Guest, true, _) => vec![name, no_url],
        (_, false, _) => vec![name, hash],
    };
    Some(Line::binding(SOURCE, Expression::Set(lines)))
}

fn named_by_nvidia(source: &Source) -> bool {
    source.guest.as_ref().is_some_and(|version| source.name == catalog::run_name(version, Role::Guest))
}

/// The attributes of mkVgpuDriver.
fn attributes(source: &Source, known: InCatalog) -> Vec<Line> {
    let release = known.release();
    let host = source.host.as_ref().or(release.map(|release| &release.host));
    let guest = source.guest.as_ref().or(release.map(|release| &release.guest));
    let general = release.and_then(|release| release.general.as_ref());
    // The other role's driver is not used here, but its version must be valid.
    let version = |name, version: Option<&DriverVersion>, other: Option<&DriverVersion>| match (version, other) {
        (Some(version), _) => Line::binding(name, Expression::text(version)),
        (None, Some(other)) => Line::noted(name, Expression::text(other), "not known; unused here"),
        (None, None) => Line::noted(name, Expression::text("0"), "not known; unused here"),
    };
    let hash = |name, hash: Option<Sri>, note: &str| match hash {
        Some(hash) => Line::binding(name, Expression::text(hash)),
        None => Line::noted(name, Expression::Code("lib.fakeHash".to_owned()), note),
    };
    let unused = "not known; unused here";
    vec![
        match known.number() {
            Some(number) => Line::binding("gridVersion", Expression::text(number)),
            None => {
                Line::noted("gridVersion", Expression::text(branch(host.or(guest))), "not known: put the release here")
            }
        },
        version("version", host, guest),
        hash("sha256", source.archive.then_some(source.sha256), &format!("of the archive: {unused}")),
        Line::binding("zipFilename", Expression::text(zip_name(source, release))),
        version("guestVersion", guest, host),
        hash("guestSha256", source.guest_sha256.or(release.and_then(|release| release.guest_sha256)), unused),
        match general.or(guest).or(host) {
            Some(version) if general.is_some() => Line::binding("generalVersion", Expression::text(version)),
            Some(version) => {
                Line::noted("generalVersion", Expression::text(version), "not known: the closest consumer driver")
            }
            None => Line::noted("generalVersion", Expression::text("0"), "not known: the closest consumer driver"),
        },
        match release.and_then(|release| release.settings_sha256) {
            Some(hash) => Line::binding("settingsSha256", Expression::text(hash)),
            None => Line::noted("useSettings", Expression::Bool(false), "true needs generalVersion and settingsSha256"),
        },
        match release.and_then(|release| release.persistenced_sha256) {
            Some(hash) => Line::binding("persistencedSha256", Expression::text(hash)),
            None => {
                let needs = "true needs generalVersion and persistencedSha256";
                Line::noted("usePersistenced", Expression::Bool(false), needs)
            }
        },
        match release.and_then(|release| Some((release, release.patcher.as_ref()?))) {
            Some((release, patcher)) => Line::binding("vgpuPatcher", patcher_call(release, patcher)),
            None => Line::noted("vgpuPatcher", Expression::Null, "or mkVgpuPatcher { … } to patch the driver"),
        },
    ]
}

/// The patcher that the catalog has for a release, as nix/lib/packages.nix makes it.
fn patcher_call(release: &Release, patcher: &Patcher) -> Expression {
    let text = |name: &str, value: &dyn ToString| Line::binding(name, Expression::text(value.to_string()));
    let mut lines = vec![
        text("version", &patcher.version),
        text("rev", &patcher.rev),
        text("sha256", &patcher.sha256),
        text("generalVersion", &patcher.general),
        text("generalSha256", &patcher.general_sha256),
        text("linuxGuest", &patcher.linux_guest),
        text("windowsGuestFilename", &patcher.windows_guest_filename),
        text("gridVersion", &release.release),
    ];
    lines.extend(patcher.linux_sha256.map(|hash| text("linuxSha256", &hash)));
    lines.extend(patcher.windows_sha256.map(|hash| text("windowsSha256", &hash)));
    Expression::Call(PATCHER.to_owned(), Box::new(Expression::Set(lines)))
}

/// The branch of a driver with its minor number left open: `19.x`.
fn branch(version: Option<&DriverVersion>) -> String {
    let branches = catalog::Catalog::builtin().branches();
    let branch = branches.iter().find(|branch| version.is_some_and(|version| version.major() == branch.driver));
    branch.map_or("unknown".to_owned(), |branch| format!("{}.x", branch.number))
}

fn zip_name(source: &Source, release: Option<&Release>) -> String {
    match release {
        _ if source.archive => source.name.clone(),
        Some(release) => release.zip_name(),
        None => "unknown.zip".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// An archive that is not the one that a public record has.
    #[test]
    fn a_release_of_the_catalog_keeps_its_tools_and_its_patcher() {
        let release = Catalog::builtin().find(&"17.2".parse().unwrap()).unwrap();
        let source = Source {
            role: Role::Host,
            archive: true,
            name: release.zip_name(),
            sha256: Sri::of_digest([7; 32]),
            host: Some(release.host.clone()),
            guest: Some(release.guest.clone()),
            guest_sha256: None,
        };
        let text = render(&source, InCatalog::Unpinned(release));
        let patcher = release.patcher.as_ref().unwrap();
        for part in [
            format!("    settingsSha256 = \"{}\";\n", release.settings_sha256.unwrap()),
            format!("    persistencedSha256 = \"{}\";\n", release.persistenced_sha256.unwrap()),
            "    vgpuPatcher = config.boot.kernelPackages.nvidiaPackages.mkVgpuPatcher {\n".to_owned(),
            format!("      rev = \"{}\";\n", patcher.rev),
            format!("      linuxSha256 = \"{}\";\n", patcher.linux_sha256.unwrap()),
        ] {
            assert!(text.contains(&part), "{part}{text}");
        }
        assert!(!text.contains("useSettings") && !text.contains("usePersistenced"), "{text}");
    }
}
