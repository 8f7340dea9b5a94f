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
        .filter(|line| ["REL", "19.0", "17.3", "17.2", "16.5"].iter().any(|r| line.starts_with(r)))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    RELEASE  BRANCH      HOST        GUEST       WINDOWS  PINNED  PATCHER
    19.0     R580 LTS    580.65.05   580.65.06   580.88   no      -
    17.3     R550 ended  550.90.05   550.90.07   552.74   yes     550.90
    17.2     R550 ended  550.90.05   550.90.07   552.55   no      -
    16.5     R535 LTS    535.161.05  535.161.08  538.46   yes     535.161
    ");
}

#[test]
fn support_is_judged_by_the_month() {
    let line = |month| stdout(&["--today", month]).lines().find(|line| line.starts_with("16.5 ")).unwrap().to_owned();
    assert!(!line("2026-07").contains("ended"));
    assert!(line("2026-08").contains("R535 LTS ended"));
}

#[test]
fn shows_a_release_in_full() {
    insta::assert_snapshot!(stdout(&["17.3", "--today", "2025-06"]), @r"
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
    packages        vgpu_17_3 (host), grid_17_3 (guest)
    patcher         550.90 at 8f19e550540dcdeccaded6cb61a71483ea00d509
    patcher hash    sha256-TyZkZcv7RI40U8czvcE/kIagpUFS/EJhVN0SYPzdNJM=
    ");
    insta::assert_snapshot!(stdout(&["19.0"]), @r"
    release         19.0
    branch          R580 LTS
    support         end not known
    host driver     580.65.05
    guest driver    580.65.06
    Windows driver  580.88
    archive         NVIDIA-GRID-Linux-KVM-580.65.05-580.65.06-580.88.zip
    archive hash    not known
    guest hash      not known
    guest from      https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU19.0/NVIDIA-Linux-x86_64-580.65.06-grid.run
    settings from   not known
    packages        vgpu_19_0 (host), grid_19_0 (guest)
    to use it       `vgpu import FILE` prints the configuration, with the hash
    ");
}

#[test]
fn json_has_everything() {
    let all = json(&["--json", "--today", "2025-07"]);
    assert_eq!(all.as_array().unwrap().len(), vgpu::catalog::Catalog::builtin().releases().len());
    let one = json(&["17.6", "--json", "--today", "2025-07"]);
    assert!(all.as_array().unwrap().contains(&one));
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
          "persistenced_sha256": null,
          "pinned": true,
          "release": "17.6",
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
    19.0     580.65.05   next LTS branch  end not known
    17.6     550.163.02  next branch      ended 2025-06
    16.14    535.309.01  same release     ended 2026-07
    16.5     535.161.05  same branch      ended 2026-07
    ");
}

#[test]
fn says_which_guests_fit_a_host() {
    insta::assert_snapshot!(stdout(&["--for-host", "17.6", "--today", "2026-07"]).lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    RELEASE  GUEST       WINDOWS  FITS AS          SUPPORT
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
    help: it has 17.6, 17.5, 17.4, 17.3, 17.2; `vgpu import` takes in archives of releases that are not in the catalog
    ");
    insta::assert_snapshot!(stderr(&["--for-host", "340.12"], 1), @r"
    error: the catalog knows no release 340.12, and no host driver of that version or branch
    help: `vgpu releases` lists the versions; `nvidia-smi` prints the driver that a machine runs
    ");
    assert!(stderr(&["seventeen"], 2).contains("is not a release of vGPU software"));
    assert!(stderr(&["--for-guest", "new"], 2).contains("is not a driver version"));
    stderr(&["17.6", "--for-guest", "17.6"], 2);
}
