//! Checks that catalog/releases.toml keeps its own rules, and that each mistake in a broken copy of it is found.
//!
//! `UPDATE_DOCS=1 cargo test --test catalog` writes the table of measured kernels in docs/kernels.md anew.

use std::collections::BTreeMap;
use std::{fs, iter};

use vgpu::catalog::gpus::{self, Gpus};
use vgpu::catalog::kernels::{self, Kernels};
use vgpu::catalog::{self, Catalog, FileHash, HashSource, Release};

/// All mistakes in a catalog, one per line.
fn problems(text: &str) -> Vec<String> {
    let catalog = match Catalog::parse(text) {
        Ok(catalog) => catalog,
        Err(error) => return vec![error.0.message().to_owned()],
    };
    let mut problems = Vec::new();
    for pair in catalog.branches().windows(2) {
        if pair[0].number <= pair[1].number || pair[0].driver <= pair[1].driver {
            problems.push(format!("branch {} stands after {}", pair[1].number, pair[0].number));
        }
    }
    for pair in catalog.releases().windows(2) {
        if pair[0].release <= pair[1].release {
            problems.push(format!("release {} stands after {}", pair[1].release, pair[0].release));
        }
    }
    // The types accept a hash in any of Nix's notations. The file uses only one, so that people can search for a hash.
    let hash_lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once("sha256 = "));
    for (key, value) in hash_lines.filter(|(_, value)| !value.starts_with("\"sha256-")) {
        problems.push(format!("{key}sha256 is not SRI: {value}"));
    }
    let mut hashes = BTreeMap::new();
    for release in catalog.releases() {
        let number = release.release;
        problems.extend(problems_of(&catalog, release).into_iter().map(|problem| format!("{number}: {problem}")));
        // A hash belongs to one file, and a file has one hash.
        let zip = release.zip_sha256.map(|hash| (release.zip_name(), hash));
        let guest = release.guest_sha256.map(|hash| (release.guest.to_string(), hash));
        for (file, hash) in zip.into_iter().chain(guest) {
            if let Some(other) = hashes.insert(hash.to_string(), file.clone())
                && other != file
            {
                problems.push(format!("{number}: {file} and {other} have one hash"));
            }
        }
    }
    problems
}

fn problems_of(catalog: &Catalog, release: &Release) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    let Some(branch) = catalog.branch(release.release.branch()) else {
        return vec!["its branch is not in the catalog".to_owned()];
    };
    expect(release.host.major() == branch.driver, "the host driver is of another branch");
    expect(release.guest.major() == branch.driver, "the guest driver is of another branch");
    let general = release.general.as_ref();
    expect(general.is_none_or(|general| general.major() == branch.driver), "the consumer driver is of another branch");
    // Windows drivers of a branch are numbered a little higher: 550 is 551 to 553.
    let windows = release.windows.major();
    expect((branch.driver..branch.driver + 5).contains(&windows), "the Windows driver is of another branch");
    expect(release.windows.as_str().split('.').count() == 2, "the Windows driver is not of Windows");
    if let Some(zip) = &release.zip {
        let rule = catalog::zip_name(&release.host, &release.guest, &release.windows);
        expect(*zip == rule, "the archive's name disagrees with the versions");
    }
    expect(!release.is_pinned() || release.zip.is_some(), "pinned without the archive's name");
    // The guest driver is in the archive, so people with the archive know its hash. Records of others may lack it.
    let confirmed = matches!(release.hash(FileHash::ZipSha256), Some((_, HashSource::Confirmed)));
    expect(!confirmed || release.guest_sha256.is_some(), "confirmed without the guest driver's hash");
    expect(
        release.unconfirmed.iter().all(|hash| release.hash(*hash).is_some()),
        "a hash is unconfirmed that is not there",
    );
    let mut unconfirmed = release.unconfirmed.clone();
    unconfirmed.dedup();
    expect(unconfirmed == release.unconfirmed, "a hash is unconfirmed twice");
    expect(!release.is_pinned() || general.is_some(), "pinned without a consumer driver");
    expect(release.settings_sha256.is_none() || general.is_some(), "nvidia-settings without a version");
    if let Some(patcher) = &release.patcher {
        expect(release.is_pinned(), "a patcher for a release that is not pinned");
        expect(patcher.general.major() == branch.driver, "the patcher's consumer driver is of another branch");
        expect(patcher.linux_guest == release.guest, "the patcher's guest driver is another");
        let same = patcher.linux_sha256.is_none() || patcher.linux_sha256 == release.guest_sha256;
        expect(same, "the patcher's guest driver has another hash");
        // One script is for all releases with the same Linux drivers. It wants the Windows driver of one of them.
        let alike = catalog.by_versions(Some(&release.host), Some(&release.guest));
        let ours = |other: &&Release| patcher.windows_guest_filename.starts_with(&format!("{}_grid_", other.windows));
        expect(alike.iter().any(ours), "the patcher's Windows driver is another");
        expect(patcher.rev.len() == 40, "the patcher's revision is not a commit");
    }
    problems
}

#[test]
fn the_catalog_keeps_its_rules() {
    assert_eq!(problems(catalog::TEXT), Vec::<String>::new());
    assert!(Catalog::builtin().releases().len() >= 39, "releases went missing");
}

#[test]
fn zip_names_follow_from_the_versions() {
    let catalog = Catalog::builtin();
    let name = |number: &str| catalog.find(&number.parse().unwrap()).unwrap().zip_name();
    let unnamed = Catalog::parse(&broken("19.0", "zip = ", "# ")).unwrap();
    let by_rule = unnamed.find(&"19.0".parse().unwrap()).unwrap().zip_name();
    assert_eq!(by_rule, "NVIDIA-GRID-Linux-KVM-580.65.05-580.65.06-580.88.zip");
    assert_eq!(name("16.14"), "NVIDIA-GRID-Linux-KVM-535.309.01-539.72.zip"); // host and guest are one version
    assert_eq!(name("17.6"), "NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip"); // from the catalog
}

#[test]
fn releases_are_found_by_the_drivers_in_them() {
    let found = |host: Option<&str>, guest: Option<&str>| {
        let version = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let (host, guest) = (version(host), version(guest));
        let releases = Catalog::builtin().by_versions(host.as_ref(), guest.as_ref());
        releases.iter().map(|release| release.release.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(Some("550.163.02"), None), "17.6");
    assert_eq!(found(Some("550.90.05"), Some("550.90.07")), "17.3 17.2");
    assert_eq!(found(Some("535.161.05"), None), "16.5 16.4");
    assert_eq!(found(Some("535.161.05"), Some("535.161.07")), "16.4");
    assert_eq!(found(Some("550.163.02"), Some("550.90.07")), "");
    assert_eq!(found(None, None), "");
}

/// Replaces the only `from` in the entry of `release`. If `release` is empty: in the whole catalog.
fn broken(release: &str, from: &str, to: &str) -> String {
    let start = catalog::TEXT.find(&format!("release = \"{release}\"")).unwrap_or(0);
    let (before, rest) = catalog::TEXT.split_at(start);
    assert!(rest.contains(from), "the catalog no longer has {from:?} after {release}");
    format!("{before}{}", rest.replacen(from, to, 1))
}

#[test]
fn a_broken_catalog_is_noticed() {
    let h17_6 = "sha256-CFK1IPg9uAyEa5cA0vou47/SvobZ5DK5ap81j/AjCBQ=";
    let cases = [
        (broken("17.5", "17.5", "17.6"), "release 17.6 stands after 17.6"),
        (broken("17.5", "17.5", "17.7"), "release 17.7 stands after 17.6"),
        (broken("16.9", "16.9", "16.90"), "release 16.90 stands after 16.10"),
        (broken("", "branch = \"19\"", "branch = \"20\""), "branch 20 stands after 20"),
        (broken("20.0", "20.0", "21.0"), "21.0: its branch is not in the catalog"),
        (broken("17.6", "550.163.02", "535.163.02"), "17.6: the host driver is of another branch"),
        (broken("17.6", "\"550.163.01\"", "\"570.163.01\""), "17.6: the guest driver is of another branch"),
        (broken("17.6", "\"553.74\"", "\"573.74\""), "17.6: the Windows driver is of another branch"),
        (broken("17.6", "\"553.74\"", "\"550.163.01\""), "17.6: the Windows driver is not of Windows"),
        (broken("17.6", "\"550.144.03\"", "\"535.144.03\""), "17.6: the consumer driver is of another branch"),
        (broken("17.6", "-553.74.zip", "-553.75.zip"), "17.6: the archive's name disagrees with the versions"),
        (broken("16.9", "535.230.02-539", "535.230.02-535.230.02-539"), "16.9: the archive's name disagrees"),
        (broken("17.6", "zip = ", "#"), "17.6: pinned without the archive's name"),
        (broken("17.6", "guest_sha256", "#"), "17.6: confirmed without the guest driver's hash"),
        (
            broken("19.6", "unconfirmed = [", "unconfirmed = [\"guest_sha256\", "),
            "19.6: a hash is unconfirmed that is not",
        ),
        (broken("19.6", "unconfirmed = [", "unconfirmed = [\"zip_sha256\", "), "19.6: a hash is unconfirmed twice"),
        (broken("19.6", "unconfirmed = [\"zip", "unconfirmed = [\"tar"), "unknown variant `tar_sha256`"),
        (broken("17.6", "general = ", "#"), "17.6: pinned without a consumer driver"),
        (broken("17.5", "sha256-VeXJUqF82jp3wEKmCaH5VKQTS9e0gQmwkorf4GBcS8g=", h17_6), "have one hash"),
        (broken("17.6", h17_6, "sha256-CFK1"), "`sha256-CFK1` is not a SHA-256 hash"),
        (broken("17.6", h17_6, &h17_6.replace("sha256", "sha512")), "is a hash, but not a SHA-256"),
        (broken("17.6", h17_6, h17_6.trim_start_matches("sha256-")), "zip_sha256 is not SRI"),
        (broken("17.6", "550.163.02", "550.163.x"), "`550.163.x` is not a driver version"),
        (broken("17.6", "\"17.6\"", "17.6"), "invalid type: floating point"), // 16.10 would become 16.1
        (broken("17.6", "zip_sha256", "zip_sha265"), "unknown field `zip_sha265`"),
        (broken("17.6", "windows = ", "#"), "missing field `windows`"),
        (broken("", "2026-07", "2026-7"), "`2026-7` is not a month"),
        (broken("17.3", "zip_sha256", "#"), "17.3: a patcher for a release that is not pinned"),
        (broken("17.3", "linux_guest = \"550.90.07", "linux_guest = \"550.90.05"), "guest driver is another"),
        (broken("17.3", "linux_sha256 = \"sha256-hR0b", "linux_sha256 = \"sha256-hR0c"), "has another hash"),
        (broken("17.3", "552.55_grid", "552.65_grid"), "17.3: the patcher's Windows driver is another"),
        (broken("17.3", "rev = \"8f19e55", "rev = \"8f19"), "17.3: the patcher's revision is not a commit"),
    ];
    for (text, expected) in cases {
        let found = problems(&text);
        assert!(found.iter().any(|problem| problem.contains(expected)), "expected {expected:?}, found {found:?}");
    }
}

/// `vgpu identify --catalog-entry` prints entries that can be pasted into the catalog.
#[test]
fn printed_entries_keep_the_rules() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive.zip");
    std::fs::write(&archive, vgpu_sample::grid_archive().unwrap().1).unwrap();
    let mut command = assert_cmd::Command::cargo_bin("vgpu").unwrap();
    let output = command.args(["identify", "--catalog-entry", "--release", "17.7"]).arg(archive).assert().success();
    let entry = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let pasted = |entry: &str| {
        let at = catalog::TEXT.find("\n[[release]]\nrelease = \"17.6\"").unwrap();
        format!("{}\n{entry}{}", &catalog::TEXT[..at], &catalog::TEXT[at..])
    };
    assert_eq!(problems(&pasted(&entry)), Vec::<String>::new());
    assert!(!problems(&pasted(&entry.replace("17.7", "17.5"))).is_empty());
}

/// What is wrong with the GPUs.
fn gpu_problems(text: &str) -> Vec<String> {
    let gpus: Gpus = match toml::from_str(text) {
        Ok(gpus) => gpus,
        Err(error) => return vec![error.message().to_owned()],
    };
    let mut problems = Vec::new();
    let branches: Vec<_> = Catalog::builtin().branches().iter().map(|branch| branch.number).collect();
    let mut taken: Vec<(u16, u16, &str)> = Vec::new();
    for generation in &gpus.generations {
        let name = &generation.name;
        for ids in &generation.devices {
            if let Some((.., other)) = taken.iter().find(|(first, last, _)| ids.first <= *last && *first <= ids.last) {
                problems.push(format!("{name} and {other} have device ids in common"));
            }
            taken.push((ids.first, ids.last, name));
        }
        for board in &generation.boards {
            let inside = |id: u16| generation.devices.iter().any(|ids| ids.contains(id));
            if board.devices.is_empty() || !board.devices.iter().all(|ids| inside(ids.first) && inside(ids.last)) {
                problems.push(format!("{} is not within the device ids of {name}", board.name));
            }
        }
        for branch in generation.branches.iter().chain(&generation.unsure) {
            if !branches.contains(branch) {
                problems.push(format!("{name}: there is no branch {branch}"));
            }
        }
        if generation.branches.is_empty() || generation.unsure.iter().any(|branch| generation.branches.contains(branch))
        {
            problems.push(format!("{name}: its branches are not clear"));
        }
        if let Some(donor) = &generation.donor {
            let id = donor.gpu.parse::<vgpu_profiles::gpu_id::GpuId>().map(|id| id.device);
            if !id.is_ok_and(|id| generation.board(id).is_some()) {
                problems.push(format!("{name}: the donor {} is not a listed board of it", donor.gpu));
            }
        }
    }
    problems
}

#[test]
fn the_gpus_keep_their_rules_too() {
    assert_eq!(gpu_problems(gpus::TEXT), Vec::<String>::new());
    let broken = |from: &str, to: &str| {
        assert!(gpus::TEXT.contains(from), "the file no longer has {from:?}");
        gpus::TEXT.replacen(from, to, 1)
    };
    for (text, expected) in [
        (broken("\"2300-237f\"", "\"2300-2680\""), "Ada and Hopper have device ids in common"),
        (broken("\"27b6\"", "\"27b6\", \"2b00\""), "L2 is not within the device ids of Ada"),
        (broken("branches = [\"20\", \"19\"]", "branches = [\"21\"]"), "Blackwell: there is no branch 21"),
        (broken("unsure = [\"19\"]", "unsure = [\"18\"]"), "Volta: its branches are not clear"),
        (broken("1E30:12BA", "1E04:12BA"), "Turing: the donor 1E04:12BA is not a listed board of it"),
        (broken("\"2300-237f\"", "\"237f-2300\""), "is not a range of PCI device ids"),
    ] {
        let found = gpu_problems(&text);
        assert!(found.iter().any(|problem| problem.contains(expected)), "expected {expected:?}, found {found:?}");
    }
}

/// If the system has pci.ids, its names contain the name of the chip, which tells the generation.
#[test]
fn generations_agree_with_pci_ids() {
    let paths = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];
    let Some(text) = paths.iter().find_map(|path| std::fs::read(path).ok()) else {
        eprintln!("skipped: there is no pci.ids");
        return;
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let nvidia = text.lines().skip_while(|line| !line.starts_with("10de ")).skip(1);
    let mut seen = 0;
    for line in nvidia.take_while(|line| line.starts_with(['\t', '#'])) {
        let Some((id, name)) = line.strip_prefix('\t').and_then(|line| line.split_once("  ")) else { continue };
        let Ok(id) = u16::from_str_radix(id, 16) else { continue };
        let chips = [
            ("GM", "Maxwell"),
            ("GP1", "Pascal"),
            ("GV1", "Volta"),
            ("TU1", "Turing"),
            ("GA10", "Ampere"),
            ("GH1", "Hopper"),
            ("AD1", "Ada"),
            ("GB", "Blackwell"),
        ];
        let Some((_, expected)) = chips.iter().find(|(chip, _)| name.starts_with(chip)) else { continue };
        let other_function = ["Audio", "USB", "UCSI", "Bridge", "Switch"].iter().any(|word| name.contains(word));
        if other_function {
            continue;
        }
        let found = Gpus::builtin().generation_of(id).map(|generation| generation.name.as_str());
        assert_eq!(found, Some(*expected), "{id:04x} {name}");
        seen += 1;
    }
    assert!(seen > 300, "pci.ids has hardly any GPU: {seen}");
}

/// What is wrong with the measurements.
fn kernel_problems(text: &str) -> Vec<String> {
    let kernels: Kernels = match toml::from_str(text) {
        Ok(kernels) => kernels,
        Err(error) => return vec![error.message().to_owned()],
    };
    let mut problems = Vec::new();
    for pair in kernels.measured.windows(2).filter(|pair| pair[0].driver >= pair[1].driver) {
        problems.push(format!("{} stands after {}", pair[1].driver, pair[0].driver));
    }
    for measured in &kernels.measured {
        let driver = &measured.driver;
        if measured.compiles.is_empty() || measured.compiles.windows(2).any(|pair| pair[0] >= pair[1]) {
            problems.push(format!("{driver}: the kernels that compile are not in order"));
        }
        for kernel in measured.unaided.iter().filter(|kernel| !measured.compiles.contains(kernel)) {
            problems.push(format!("{driver}: {kernel} compiles without our code, but not with it"));
        }
        for failure in measured.fails.iter().filter(|failure| measured.compiles.contains(&failure.kernel)) {
            problems.push(format!("{driver}: {} compiles and fails", failure.kernel));
        }
    }
    for branch in Catalog::builtin().branches() {
        if !kernels.measured.iter().any(|measured| measured.driver.major() == branch.driver) {
            problems.push(format!("nothing was measured of R{}", branch.driver));
        }
    }
    problems
}

#[test]
fn the_kernels_keep_their_rules_too() {
    assert_eq!(kernel_problems(kernels::TEXT), Vec::<String>::new());
    let changed = |from: &str, to: &str| {
        assert!(kernels::TEXT.contains(from), "the file no longer has {from:?}");
        kernel_problems(&kernels::TEXT.replacen(from, to, 1))
    };
    assert_eq!(changed("\"595.45.04\"", "\"600.45.04\""), ["nothing was measured of R595"]);
    assert_eq!(
        changed("\"6.1.192\", \"6.12.117\"", "\"6.12.117\", \"6.1.192\"")[0],
        "535.288.01: the kernels that compile are not in order"
    );
    assert_eq!(
        changed("unaided = []", "unaided = [\"5.4.1\"]"),
        ["535.288.01: 5.4.1 compiles without our code, but not with it"]
    );
}

/// A table: without our compatibility code → with it.
fn measured_kernels() -> String {
    let measured = &Kernels::builtin().measured;
    let mut tried: Vec<_> = measured.iter().flat_map(|measured| &measured.compiles).copied().collect();
    tried.sort();
    tried.dedup();
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heading = row(iter::once("driver".to_owned()).chain(tried.iter().map(ToString::to_string)).collect());
    let rule = format!("|{}\n", "---|".repeat(tried.len() + 1));
    let rows = measured.iter().map(|measured| {
        let cell = |kernel| match () {
            () if measured.unaided.contains(kernel) => "yes",
            () if measured.compiles.contains(kernel) => "no → yes",
            () if measured.fails.iter().any(|failure| failure.kernel == *kernel) => "no",
            () => "?",
        };
        row(iter::once(measured.driver.to_string()).chain(tried.iter().map(|kernel| cell(kernel).to_owned())).collect())
    });
    heading + &rule + &rows.collect::<String>()
}

#[test]
fn the_measured_kernels_are_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kernels.md");
    let page = fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- measured -->\n", "<!-- end of measured -->");
    let (before, rest) = page.split_once(begin).expect("docs/kernels.md has a mark");
    let (table, after) = rest.split_once(end).expect("docs/kernels.md has a mark");
    let expected = measured_kernels();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert_eq!(table, expected, "out of date: run `UPDATE_DOCS=1 cargo test --test catalog`");
    }
}
