//! `vgpu releases` from the command line.

use assert_cmd::Command;
use serde_json::Value;

fn vgpu(args: &[&str]) -> assert_cmd::assert::Assert {
    Command::cargo_bin("vgpu").unwrap().arg("releases").args(args).assert()
}

fn stdout(args: &[&str]) -> String {
    String::from_utf8(vgpu(args).success().get_output().stdout.clone()).unwrap()
}

fn stderr(args: &[&str], code: i32) -> String {
    String::from_utf8(vgpu(args).code(code).stdout("").get_output().stderr.clone()).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

#[test]
fn lists_every_release_in_80_columns() {
    let table = stdout(&["--today", "2026-01"]);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert_eq!(table.lines().count(), 1 + vgpu::catalog::Catalog::builtin().releases().len());
    let shown: Vec<&str> = table
        .lines()
        .filter(|line| ["REL", "16.5", "17.2", "17.3", "18.6"].iter().any(|r| line.starts_with(r)))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    RELEASE  BRANCH      HOST        GUEST       WINDOWS  PINNED  PATCHER
    16.5     R535 LTS    535.161.05  535.161.08  538.46   yes     535.161
    17.2     R550 ended  550.90.05   550.90.07   552.55   record  550.90
    17.3     R550 ended  550.90.05   550.90.07   552.74   yes     550.90
    18.6     R570        570.211.01  570.211.01  573.96   record  -
    ");
    let newest = vgpu::catalog::Catalog::builtin().releases()[0].release.to_string();
    assert!(table.lines().last().unwrap().starts_with(&newest), "the newest is not the last: {table}");
}

/// A telephone, or half of a split screen.
#[test]
fn narrow_terminals_get_the_columns_that_matter() {
    let at = |columns: &str, args: &[&str]| {
        let output = Command::cargo_bin("vgpu").unwrap().env("COLUMNS", columns).arg("releases").args(args).unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = |text: String| text.lines().next().unwrap().to_owned() + "\n" + text.lines().last().unwrap();
    for args in [&[] as &[&str], &["17"], &["A40"], &["--for-host", "19.6"], &["--for-guest", "550.163.01"]] {
        for columns in ["40", "60", "80"] {
            let text = at(columns, args);
            let room = columns.parse().unwrap();
            let table = text.rsplit("\n\n").next().unwrap();
            assert!(table.lines().all(|line| line.chars().count() <= room), "{columns} {args:?}:\n{text}");
        }
    }
    insta::assert_snapshot!(at("40", &["17"]).split("\n\n").next().unwrap(), @r"
    branch          17, drivers R550
    support         ended 2025-06
    GPUs            Hopper, Ada, Ampere,
                    Turing, Volta
    ");
    insta::assert_snapshot!(shown(at("40", &["17"]).rsplit("\n\n").next().unwrap().to_owned()), @r"
    RELEASE  HOST        GUEST
    17.6     550.163.02  550.163.01
    ");
    // What a terminal on a serial line says: it does not know its width.
    assert_eq!(at("0", &["17"]), stdout(&["17"]));
    assert!(at("81", &[]).contains("PATCHER") && !at("60", &[]).contains("PINNED"));
}

#[test]
fn answers_branches_drivers_and_gpus() {
    insta::assert_snapshot!(stdout(&["R550", "--today", "2025-06"]), @r"
    branch          17, drivers R550
    support         until 2025-06
    GPUs            Hopper, Ada, Ampere, Turing, Volta

    RELEASE  BRANCH  HOST        GUEST       WINDOWS  PINNED  PATCHER
    17.0     R550    550.54.10   550.54.14   551.61   record  550.54
    17.1     R550    550.54.16   550.54.15   551.78   record  -
    17.2     R550    550.90.05   550.90.07   552.55   record  550.90
    17.3     R550    550.90.05   550.90.07   552.74   yes     550.90
    17.4     R550    550.127.06  550.127.05  553.24   yes     -
    17.5     R550    550.144.02  550.144.03  553.62   yes     -
    17.6     R550    550.163.02  550.163.01  553.74   yes     -
    ");
    assert_eq!(stdout(&["550.163.02"]), stdout(&["17.6"]));
    let both = stdout(&["550.90.07"]);
    assert!(both.contains("\n17.2 ") && both.contains("\n17.3 "), "{both}");
    let gpu = |word: &str| {
        let text = stdout(&[word, "--today", "2026-08"]);
        let old = ["16 ", "17 ", "18 "]; // Branches that are over don't change any more.
        text.lines()
            .filter(|line| !line.starts_with(['1', '2']) || old.iter().any(|b| line.starts_with(b)))
            .fold(String::new(), |text, line| text + line + "\n")
    };
    insta::assert_snapshot!(gpu("10de:1e84"), @r"
    GPU             [10de:1e84]
    generation      Turing
    listed for vGPU not that we know of
    unlisted boards patched driver, profiles of 1E30:12BA (Quadro RTX 6000)

    BRANCH  NEWEST  PATCHED  SUPPORT
    16      16.14   16.5     ended 2026-07
    17      17.6    17.3     ended 2025-06
    18      18.6    -        ended 2026-03
    ");
    insta::assert_snapshot!(gpu("10de:2206"), @r"
    GPU             [10de:2206]
    generation      Ampere
    listed for vGPU not that we know of
    unlisted boards no patcher makes vGPUs on them

    BRANCH  NEWEST  PATCHED  SUPPORT
    16      16.14   -        ended 2026-07
    17      17.6    -        ended 2025-06
    18      18.6    -        ended 2026-03
    ");
    insta::assert_snapshot!(gpu("V100"), @r"
    GPU             V100
    generation      Volta
    listed for vGPU yes
    unsure          branch 19: the sources disagree

    BRANCH  NEWEST  PATCHED  SUPPORT
    16      16.14   16.5     ended 2026-07
    17      17.6    17.3     ended 2025-06
    18      18.6    -        ended 2026-03
    ");
    let json = json(&["2235:145a", "--json", "--today", "2026-08"]);
    assert_eq!(
        (&json["device"], &json["generation"], &json["board"]),
        (&"10de:2235".into(), &"Ampere".into(), &"A40".into())
    );
    let last = json["branches"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["branch"], &last["newest_patched_release"], &last["ended"]),
        (&"16".into(), &"16.5".into(), &true.into())
    );
    assert_eq!(self::json(&["17", "--json"]).as_array().unwrap().len(), 7);
}

#[test]
fn support_is_judged_by_the_month() {
    let line = |month| stdout(&["--today", month]).lines().find(|line| line.starts_with("16.5 ")).unwrap().to_owned();
    assert!(!line("2026-07").contains("ended"));
    assert!(line("2026-08").contains("R535 LTS ended"));
}

/// The description of a release without the kernels, which change with each measurement.
fn without_kernels(arguments: &[&str]) -> String {
    let text = stdout(arguments);
    let line = text.lines().find(|line| line.starts_with("kernels         6.")).expect("kernels that were tried");
    text.replace(line, "kernels         […]")
}

#[test]
fn shows_a_release_in_full() {
    insta::assert_snapshot!(without_kernels(&["17.3", "--today", "2025-06"]), @r"
    release         17.3
    branch          R550
    support         until 2025-06
    host driver     550.90.05
    guest driver    550.90.07
    Windows driver  552.74
    archive         NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip
    archive hash    sha256-ydNOnbhbqkO2gVaUQXsIWCZsbjw0NMEYl9iV0T01OX0=
    guest hash      sha256-hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=
    guest from      https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.3/NVIDIA-Linux-x86_64-550.90.07-grid.run
    settings from   550.90.07
    kernels         […]
    packages        vgpu_17_3 (host), grid_17_3 (guest)
    patcher         550.90 at 8f19e550540dcdeccaded6cb61a71483ea00d509
    patcher hash    sha256-TyZkZcv7RI40U8czvcE/kIagpUFS/EJhVN0SYPzdNJM=
    ");
    let unhashed = without_kernels(&["19.0", "--today", "2026-01"]);
    insta::assert_snapshot!(unhashed.split("or release").next().unwrap(), @r"
    release         19.0
    branch          R580 LTS
    support         until 2028-06
    host driver     580.65.05
    guest driver    580.65.06
    Windows driver  580.88
    archive         NVIDIA-GRID-Linux-KVM-580.65.05-580.65.06-580.88.zip
    archive hash    sha256-RdFRJu4ktkaZqlPiwsr4s+97v6H8/LeOeyQwtQhgLg8= (one public record)
    guest hash      not known
    guest from      https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU19.0/NVIDIA-Linux-x86_64-580.65.06-grid.run
    settings from   580.65.06
    kernels         […]
    packages        vgpu_19_0 (host), grid_19_0 (guest)
    guests          `vgpu import FILE` of the guest's .run file
    ");
}

/// Not only one of the same branch: a new branch has none at first.
#[test]
fn a_release_without_a_guest_hash_names_one_that_guests_can_take() {
    let catalog = vgpu::catalog::Catalog::builtin();
    let unhashed = || catalog.releases().iter().filter(|release| release.guest_sha256.is_none());
    for number in unhashed().map(|release| release.release.to_string()) {
        let text = stdout(&[&number]);
        let (_, rest) = text.split_once("or release ").expect(&text);
        let other = rest.split(' ').next().unwrap();
        assert!(catalog.find(&other.parse().unwrap()).unwrap().guest_sha256.is_some(), "{text}");
        let fitting = stdout(&["--for-host", &number]);
        assert!(fitting.lines().any(|line| line.starts_with(&format!("{other} "))), "{text}{fitting}");
    }
    assert!(unhashed().count() > 0);
}

#[test]
fn releases_are_found_by_kernel() {
    let releases = |kernel: &str| {
        let found = json(&["--kernel", kernel, "--json"]);
        found.as_array().unwrap().iter().map(|release| release["release"].as_str().unwrap().to_owned()).collect()
    };
    let on_6_12: Vec<String> = releases("6.12.117+deb13-amd64");
    assert!(["16.13", "17.6", "18.4", "19.4", "20.0"].iter().all(|release| on_6_12.contains(&(*release).to_owned())));
    assert_eq!(releases("4.19"), Vec::<String>::new());
    assert!(stdout(&["--kernel", "6.12"]).contains("550.163.02"));
}

#[test]
fn a_kernel_that_nothing_compiles_against_is_an_error_with_a_way_out() {
    let output = Command::cargo_bin("vgpu").unwrap().args(["releases", "--kernel", "4.19.1"]).assert().code(1);
    let output = output.get_output();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.contains("no release is known to compile against Linux 4.19.1"), "{said}");
    // An older kernel would be no way out of this one.
    assert!(said.contains("help: choose another kernel") && output.stdout.is_empty(), "{said}");
}

#[test]
fn json_has_everything() {
    let all = json(&["--json", "--today", "2025-07"]);
    assert_eq!(all.as_array().unwrap().len(), vgpu::catalog::Catalog::builtin().releases().len());
    let mut one = json(&["17.6", "--json", "--today", "2025-07"]);
    assert!(all.as_array().unwrap().contains(&one));
    let kernels = one.as_object_mut().unwrap().remove("kernels").unwrap();
    assert_eq!(kernels["driver"], "550.163.01");
    assert!(kernels["compiles"].as_array().unwrap().contains(&"6.12.117".into()), "{kernels}");
    assert_eq!(
        one,
        serde_json::json!({
          "branch": "17",
          "driver_branch": 550,
          "end_of_life": "2025-06",
          "ended": true,
          "general": "550.144.03",
          "guest": "550.163.01",
          "guest_sha256": "sha256-Y+FkfxvlccynuUEtkAvJR3k5xRNX/StpnmvjTHCnOGY=",
          "guest_url": "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.6/NVIDIA-Linux-x86_64-550.163.01-grid.run",
          "host": "550.163.02",
          "long_term": false,
          "patcher": null,
          "persistenced_sha256": "sha256-pwbVQ0De8Q4L4XqV11uQIsLUUPFjL9+sABRgGGyr+wc=",
          "pinned": true,
          "release": "17.6",
          "unconfirmed": [],
          "settings_sha256": "sha256-ZopBInC4qaPvTFJFUdlUw4nmn5eRJ1Ti3kgblprEGy4=",
          "windows": "553.74",
          "zip": "NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip",
          "zip_sha256": "sha256-CFK1IPg9uAyEa5cA0vou47/SvobZ5DK5ap81j/AjCBQ="
        })
    );
}

#[test]
fn says_which_hosts_fit_a_guest() {
    let table = stdout(&["--for-guest", "535.309.01", "--today", "2026-08"]);
    let releases: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let expected: Vec<String> = vgpu::catalog::Catalog::builtin()
        .releases()
        .iter()
        .rev()
        .map(|release| release.release.to_string())
        .filter(|release| ["19.", "17.", "16."].iter().any(|branch| release.starts_with(branch)))
        .collect();
    assert_eq!(releases, expected);
    let shown: Vec<&str> = table
        .lines()
        .filter(|line| ["REL", "19.0", "17.6", "16.14", "16.5"].iter().any(|r| line.starts_with(r)))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    RELEASE  HOST        FITS AS          SUPPORT
    16.5     535.161.05  same branch      ended 2026-07
    16.14    535.309.01  same release     ended 2026-07
    17.6     550.163.02  next branch      ended 2025-06
    19.0     580.65.05   next LTS branch  until 2028-06
    ");
}

#[test]
fn says_which_guests_fit_a_host() {
    insta::assert_snapshot!(stdout(&["--for-host", "17.6", "--today", "2026-07"]).lines().rev().take(2).collect::<Vec<_>>().join("\n"), @r"
    17.6     550.163.01  553.74   same release     ended 2025-06
    17.5     550.144.03  553.62   same branch      ended 2025-06
    ");
    let fits = json(&["--for-host", "580.65.05", "--json"]);
    assert_eq!(fits["role"], "host");
    assert_eq!(fits["version"], "580.65.05");
    assert_eq!(fits["releases"], serde_json::json!(["19.0"]));
    assert_eq!(fits["branch"], "19");
    let fit = |number: &str| {
        let entries = fits["fitting"].as_array().unwrap();
        entries.iter().find(|entry| entry["release"] == number).map(|entry| entry["fit"].as_str().unwrap().to_owned())
    };
    assert_eq!(fit("19.0").as_deref(), Some("same_release"));
    assert_eq!(fit("19.6").as_deref(), Some("same_branch"));
    assert_eq!(fit("18.4").as_deref(), Some("previous_branch"));
    assert_eq!(fit("16.5").as_deref(), Some("previous_long_term_branch"));
    assert_eq!(fit("17.6"), None);
    assert_eq!(fit("20.0"), None);
}

#[test]
fn unknown_versions_are_explained() {
    insta::assert_snapshot!(stderr(&["17.9"], 1), @r"
    error: the catalog has no release 17.9
    help: it has 17.6, 17.5, 17.4, 17.3, 17.2, 17.1, 17.0; `vgpu import` also takes archives of releases that are not in the catalog
    ");
    insta::assert_snapshot!(stderr(&["--for-host", "340.12"], 1), @r"
    error: the catalog knows no release 340.12, and no host driver of that version or branch
    help: `vgpu releases` lists the versions; `nvidia-smi` prints the driver that a machine runs
    ");
    insta::assert_snapshot!(stderr(&["seventeen"], 1), @r"
    error: the catalog has nothing called seventeen
    help: give a release (19.6), a branch (19 or R580), the version of a driver (580.178.05), or a GPU by its PCI id (10de:2235, see `lspci -nn -d 10de:`), its name (A40) or its generation (Ampere)
    ");
    assert!(stderr(&["--for-guest", "new"], 2).contains("is not a driver version"));
    stderr(&["17.6", "--for-guest", "17.6"], 2);
}
