//! The repository as a whole: what a file says about other files is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vgpu::nix::sri::Sri;

#[path = "support/skip.rs"]
mod skip;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// Files below a directory with one of these extensions.
fn files(directory: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| match path.is_dir() {
        true => files(&path, extensions),
        false => vec![path],
    });
    found.filter(|path| path.extension().is_some_and(|found| extensions.iter().any(|one| found == *one))).collect()
}

/// A version of Rust as numbers: "1.89" is "1.89.0".
fn rust_version(text: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = text.split('.').map(|number| number.parse().unwrap()).collect();
    numbers.resize(3, 0);
    numbers
}

/// Cargo.toml states the oldest Rust that works, once. It is the one that the dependencies in Cargo.lock need. clippy
/// (incompatible_msrv) and CI with that version check that our own code needs no newer one.
#[test]
fn the_oldest_rust_is_what_the_dependencies_need() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).current_dir(ROOT);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let needed = packages.iter().filter(|package| !package["source"].is_null());
    let needed = needed.filter_map(|package| package["rust_version"].as_str()).map(rust_version).max().unwrap();
    let promised: toml::Table = read("Cargo.toml").parse().unwrap();
    let promised = promised["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert_eq!(rust_version(promised), needed, "rust-version in Cargo.toml");
    assert!(read("README.md").contains(&format!("Rust ({promised} or later)")), "README.md");
}

/// Every crate gets its edition, licence and lints from the workspace.
#[test]
fn crates_share_what_the_workspace_says() {
    for entry in fs::read_dir(Path::new(ROOT).join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let manifest: toml::Table = read(&format!("crates/{name}/Cargo.toml")).parse().unwrap();
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{name}");
        for key in ["edition", "rust-version", "license"] {
            assert_eq!(manifest["package"][key]["workspace"].as_bool(), Some(true), "{name}: {key}");
        }
    }
}

/// The form for problems asks for the output of `vgpu doctor`, without private data.
#[test]
fn issues_are_asked_for_what_doctor_says() {
    let form = read(".github/ISSUE_TEMPLATE/problem.yml");
    let (_, field) = form.split_once("label: vgpu doctor --json\n").expect("the form asks for vgpu doctor --json");
    let (field, _) = field.split_once("  - type:").unwrap();
    assert!(field.contains("required: true") && field.contains("render: json"), "{field}");
    assert!(form.contains("run `vgpu doctor` first"));
    assert!(read(".github/ISSUE_TEMPLATE/config.yml").contains("vgpu doctor"));
    assert!(read("docs/troubleshooting.md").starts_with("# Troubleshooting\n\nStart with `vgpu doctor`."));
}

/// Folders and files that CONTRIBUTING.md's map names.
fn map() -> Vec<PathBuf> {
    let page = read("CONTRIBUTING.md");
    let (_, map) = page.split_once("## Where things are\n\n").unwrap();
    let (map, _) = map.split_once("\n## ").unwrap();
    let mut above: Vec<(usize, PathBuf)> = Vec::new();
    let mut named = Vec::new();
    for line in map.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        above.retain(|(at, _)| *at < indent);
        let folder = above.last().map_or(PathBuf::new(), |(_, path)| path.clone());
        // Names come before their description. Several names are two spaces apart.
        let names = line.trim().split("  ").map(str::trim).filter(|part| !part.is_empty());
        let names: Vec<&str> = names.take_while(|name| !name.contains(' ') && name.contains(['/', '.'])).collect();
        assert!(!names.is_empty(), "a line of the map names nothing: {line}");
        assert!(!line.trim().ends_with(names[names.len() - 1]), "a line of the map says nothing: {line}");
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        above.push((indent, paths[0].clone()));
        named.extend(paths);
    }
    named
}

/// A newcomer finds every folder on the map: it is named there, or it is in a named folder of which no part is named.
#[test]
fn the_map_has_every_folder() {
    let named = map();
    for path in &named {
        assert!(Path::new(ROOT).join(path).exists(), "the map names {}, which is not there", path.display());
    }
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(ROOT).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return skip::skip("this is no clone of the repository", "VGPU_REQUIRE_GIT");
    };
    let files = String::from_utf8(output.stdout).unwrap();
    let folders: BTreeSet<&Path> = files.split('\0').filter_map(|file| Path::new(file).parent()).collect();
    assert!(folders.len() > 50, "{folders:?}");
    let has_parts = |folder: &Path| named.iter().any(|path| path != folder && path.starts_with(folder));
    let whole = |folder: &Path| named.iter().any(|path| path == folder) && !has_parts(folder);
    for folder in folders {
        let found = has_parts(folder) || folder.ancestors().any(whole);
        assert!(found, "CONTRIBUTING.md's map does not have {}", folder.display());
    }
}

/// The most lines of code of a file, without comments, blank lines, and its own unit tests.
const MOST: usize = 400;

/// A longer file gives the reason in its head: "One file, because …".
#[test]
fn long_files_say_why() {
    let mut looked_at = 0;
    for directory in ["crates", "fuzz/fuzz_targets", "nix"] {
        for path in files(&Path::new(ROOT).join(directory), &["rs", "nix", "c", "sh"]) {
            looked_at += 1;
            let text = fs::read_to_string(&path).unwrap();
            let code = lines_of_code(&text);
            assert!(
                code <= MOST || gives_a_reason(&text),
                "{} has {code} lines of code: split it by subject, or say in its head: One file, because …",
                path.display()
            );
        }
    }
    assert!(looked_at > 200, "only {looked_at} files were looked at");
}

fn lines_of_code(text: &str) -> usize {
    let text = text.split("#[cfg(test)]\nmod").next().unwrap();
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("# ")).count()
}

fn gives_a_reason(text: &str) -> bool {
    let head = text.lines().take_while(|line| line.starts_with("//!") || line.starts_with("# "));
    head.into_iter().any(|line| line.contains("One file, because"))
}

#[test]
fn lines_of_code_are_counted() {
    let long = "//! Head.\n\n// Comment.\n".to_owned() + &"f();\n".repeat(MOST + 1);
    assert_eq!(lines_of_code(&long), MOST + 1);
    assert_eq!(lines_of_code(&format!("{long}#[cfg(test)]\nmod tests {{\n}}\n")), MOST + 1);
    assert!(!gives_a_reason(&long));
    assert!(gives_a_reason(&long.replace("Head.", "Head. One file, because it is one table.")));
}

/// The commands in messages and pages work with the installed Nix. Options of `nix-hash` have changed with time.
#[test]
fn commands_for_hashes_print_hashes() {
    if Command::new("nix-hash").arg("--version").output().is_err() {
        return skip::skip("nix-hash is not on PATH", "VGPU_REQUIRE_NIX");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let expected: Sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().unwrap(); // Of nothing.
    let mut tried = 0;
    for directory in ["nix", "docs", "crates"] {
        for path in files(&Path::new(ROOT).join(directory), &["nix", "md", "rs"]) {
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("nix-hash --") {
                let command = text[at..].split(['`', '"', '\'', '\n']).next().unwrap();
                let options = command.split(' ').skip(1).take_while(|word| word.starts_with("--") || *word == "sha256");
                let options: Vec<&str> = options.collect();
                if !options.contains(&"sha256") {
                    continue; // It is only mentioned.
                }
                let output = Command::new("nix-hash").args(&options).arg(file.path()).output().unwrap();
                let printed = String::from_utf8(output.stdout).unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(printed.trim().parse::<Sri>().ok(), Some(expected), "{}: {command}: {said}", path.display());
                tried += 1;
            }
        }
    }
    assert!(tried > 5, "only {tried} commands were found");
}
