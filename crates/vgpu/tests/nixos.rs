//! The modules in NixOS' own module tree. nix/tests/nixos has the tests, a file a subject; this runs them.
//!
//! They need nix-instantiate and a `<nixpkgs>` with NixOS in it. Where there is none they say so and pass, unless
//! VGPU_REQUIRE_NIX is set.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "support/pages.rs"]
mod pages;
#[path = "support/skip.rs"]
mod skip;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Whether `<nixpkgs>` is one with NixOS' modules.
fn have_nixos() -> bool {
    let found = Command::new("nix-instantiate").args(["--find-file", "nixpkgs/nixos/lib/eval-config.nix"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("VGPU_REQUIRE_NIX").is_none(), "<nixpkgs/nixos> was not found");
    if !found {
        eprintln!("skipped: <nixpkgs/nixos> was not found");
    }
    found
}

/// The files of nix/tests/nixos, without the harness.
fn subjects() -> BTreeSet<String> {
    fs::read_dir(format!("{ROOT}/nix/tests/nixos"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".nix")?.to_owned()))
        .filter(|name| name != "default")
        .collect()
}

/// The names of drivers that a page has, as `vgpu_17_6`, `grid_17_6`, or `release = "17.6";`, and both drivers of the
/// releases in the README's list, whose lines begin with a series (`- 17.x:`). The catalog's own lines have no semicolon.
fn drivers_in(text: &str) -> BTreeSet<String> {
    let is_release = |word: &str| {
        let (major, minor) = word.split_once('.').unwrap_or_default();
        [major, minor].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let package = |word: &&str| {
        let release = word.strip_prefix("vgpu_").or(word.strip_prefix("grid_")).unwrap_or_default();
        is_release(&release.replacen('_', ".", 1))
    };
    let both = |release: &str| ["vgpu", "grid"].map(|role| format!("{role}_{}", release.replace('.', "_")));
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(package).map(str::to_owned);
    let chosen = text.split("release = \"").skip(1).filter_map(|rest| Some(rest.split_once("\";")?.0));
    let listed = text
        .lines()
        .filter_map(|line| line.strip_prefix("- ")?.split_once(".x: ").map(|(_, list)| list))
        .flat_map(|list| list.split(", "));
    words.chain(chosen.chain(listed).filter(|word| is_release(word)).flat_map(both)).collect()
}

#[test]
fn drivers_are_found_in_pages() {
    let text = "vgpu_17_6; # grid_19_4 in VMs, `vgpu_XX_X`, my_vgpu_1_2\nrelease = \"18.1\"; release = \"99.1\"\nrelease = \"…\";\n- 16.x: 16.2, 16.10";
    let found: Vec<String> = drivers_in(text).into_iter().collect();
    assert_eq!(
        found,
        ["grid_16_10", "grid_16_2", "grid_18_1", "grid_19_4", "vgpu_16_10", "vgpu_16_2", "vgpu_17_6", "vgpu_18_1"]
    );
}

/// The blocks of Nix in the README and the manual as files, and the drivers that they name, for
/// nix/tests/nixos/documents.nix.
fn documents() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let mut index = Vec::new();
    let mut drivers = BTreeSet::new();
    let manual = pages::pages().into_iter().map(|name| (format!("docs/{name}"), pages::page(&name)));
    for (page, text) in std::iter::once(("README.md".to_owned(), pages::readme())).chain(manual) {
        drivers.append(&mut drivers_in(&text));
        for block in pages::blocks_of(&text, "nix") {
            let file = format!("{}-{}.nix", page.replace(['/', '.'], "-"), block.line);
            // Readers put in the hash of their own file.
            write(&file, &block.text.replace("sha256-…", &format!("sha256-{}=", "A".repeat(43))));
            let option = (page == "docs/options.md").then(|| block.heading.trim_matches('`').to_owned());
            index.push(json!({ "name": format!("{page}:{}", block.line), "file": file, "option": option }));
        }
    }
    write("index.json", &json!(index).to_string());
    write("drivers.json", &json!(drivers).to_string());
    // What a reader has beside the configuration: the installer's files, and a licence server's certificate.
    write("configuration.nix", "{ }");
    write("hardware-configuration.nix", "{ }");
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/good.pem");
    fs::copy(certificate, folder.path().join("root_certificate.pem")).unwrap();
    folder
}

/// The failed tests of subjects, each with its subject.
fn problems(subjects: &[String], documents: &TempDir) -> Vec<String> {
    let output = Command::new("nix-instantiate")
        .args(["--option", "allow-import-from-derivation", "false", "--eval", "--strict", "--json"])
        .args(["nix/tests/nixos", "--argstr", "subject", &subjects.join(" "), "--arg", "documents"])
        .arg(documents.path())
        // Collecting garbage takes a third of the time, and finds little: the tests hold on to their machines.
        .env("GC_INITIAL_HEAP_SIZE", "3G")
        .current_dir(ROOT)
        .output()
        .unwrap();
    if !output.status.success() {
        return vec![format!("one of {subjects:?}: {}", String::from_utf8_lossy(&output.stderr))];
    }
    let results: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results.len(), subjects.len());
    let mut wrong = Vec::new();
    for (subject, result) in results {
        assert!(result["ran"].as_u64().unwrap() > 0, "{subject} has no tests");
        for test in result["failed"].as_array().unwrap() {
            let name = test["name"].as_str().unwrap();
            wrong.push(format!("{subject}: {name}\n  got  {}\n  want {}", test["result"], test["expected"]));
        }
    }
    wrong
}

/// How many evaluations there are: few, since each begins with NixOS' own modules and packages.
const EVALUATIONS: usize = 4;
/// The subjects that take longest: each begins an evaluation.
const LONGEST: [&str; EVALUATIONS] = ["documents", "matrix", "examples", "assertions"];
/// What an evaluation may take of the machine's memory, in bytes.
const MEMORY: u64 = 4 << 30;

/// How many evaluations run at the same time: as many as there are processors and memory for.
fn at_once() -> usize {
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    let kibibytes: u64 = available.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    let processors = thread::available_parallelism().unwrap().get();
    processors.min((kibibytes * 1024 / MEMORY) as usize).clamp(1, EVALUATIONS)
}

/// Runs every subject.
#[test]
fn every_subject_holds() {
    if !have_nixos() {
        return;
    }
    let mut evaluations = LONGEST.map(|subject| vec![subject.to_owned()]);
    let others = subjects().into_iter().filter(|subject| !LONGEST.contains(&subject.as_str()));
    // The longest of the longest has no other beside it.
    others.enumerate().for_each(|(at, subject)| evaluations[1 + at % (EVALUATIONS - 1)].push(subject));
    let waiting = Mutex::new(VecDeque::from(evaluations));
    let documents = documents();
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once() {
            scope.spawn(|| {
                loop {
                    let Some(subjects) = waiting.lock().unwrap().pop_front() else { break };
                    let problems = problems(&subjects, &documents);
                    wrong.lock().unwrap().extend(problems);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The units of a host and of a guest. The programs that they refer to are in a store that is not built.
fn units() -> Value {
    let output = Command::new("nix-instantiate")
        .args(["--option", "allow-import-from-derivation", "false", "--eval", "--strict", "--json"])
        .args(["-E", "import ./nix/tests/units.nix { }"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A unit with /bin/true, which every machine has, in place of every path in the store.
fn without_store(unit: &str) -> String {
    let mut parts = unit.split("/nix/store/");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "\"':;".contains(c)).unwrap_or(part.len());
        text.push_str("/bin/true");
        text.push_str(&part[end..]);
    }
    text
}

/// The result of `systemd-analyze verify` for units.
fn verify(units: &serde_json::Map<String, Value>) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]).env("SYSTEMD_LOG_TARGET", "console");
    for (name, text) in units {
        let path = directory.path().join(name);
        fs::write(&path, without_store(text.as_str().unwrap())).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn systemd_takes_the_units() {
    if !have_nixos() {
        return;
    }
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip::skip("systemd-analyze is missing", "VGPU_REQUIRE_SYSTEMD");
    }
    let all = units();
    let names = |role: &str| all[role].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names("host"),
        ["nvidia-vgpu-instances.service", "nvidia-vgpu-mgr.service", "nvidia-vgpud.service"],
        "host"
    );
    assert!(names("guest").contains(&"nvidia-gridd.service".to_owned()), "{:?}", names("guest"));
    for role in ["host", "guest"] {
        let units = all[role].as_object().unwrap();
        // It also loads units of this machine that ours name. It may find mistakes in those.
        let (good, told) = verify(units);
        let of_ours: Vec<&str> = told.lines().filter(|line| units.keys().any(|name| line.contains(name))).collect();
        assert!(good && of_ours.is_empty(), "{role}: {told}");
        // It finds mistakes in ours.
        let mut broken = units.clone();
        for unit in broken.values_mut() {
            *unit = Value::String(
                unit.as_str()
                    .unwrap()
                    .replace("ExecStart=", "ExecStrat=")
                    .replace("NoNewPrivileges=true", "NoNewPrivileges=perhaps"),
            );
        }
        assert!(!verify(&broken).0, "{role}");
    }
}
