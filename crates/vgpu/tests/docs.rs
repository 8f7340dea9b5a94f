//! The documentation: generated pages are up to date, links lead somewhere, examples are valid, and the guides' commands
//! work as far as a machine without a GPU can follow them.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the generated pages anew.

mod nix_store;
#[path = "support/pages.rs"]
mod pages;
#[path = "support/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Command;

use nix_store::NixStore;
use pages::{blocks, docs, page, pages, readme};
use serde_json::Value;
use sha2::{Digest, Sha256};
use vgpu::catalog::{FileHash, HashSource, Release};
use vgpu::nix::sri::Sri;
use vgpu_driver::Role;

/// Compares a generated page with what it should be, or writes it.
fn up_to_date(name: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(docs().join(name), expected).unwrap();
    } else if page(name) != expected {
        panic!("docs/{name} is out of date: run `UPDATE_DOCS=1 cargo test --test docs`");
    }
}

#[test]
fn every_command_is_documented() {
    let mut text = String::from("# Commands\n\nWhat `--help` prints. Exit codes: 0 done, 1 failed, 2 wrong usage.\n");
    let mut root = vgpu::cli::command().term_width(100).disable_help_subcommand(true);
    root.build();
    document(&root, &mut text);
    up_to_date("commands.md", &text);
}

fn document(command: &clap::Command, text: &mut String) {
    let name = command.get_display_name().unwrap_or(command.get_name()).replace('-', " ");
    let help = command.clone().render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        document(sub, text);
    }
}

#[test]
fn every_option_is_documented() {
    let Some(options) = options() else { return };
    let mut text = String::from(
        "# Options\n\nWhat the modules add to NixOS. They are written here from the modules themselves; options of NixOS \
         that a vGPU\ndriver needs as well are in the [guides](host.md).\n",
    );
    let of = |role: &str| options[role].as_array().unwrap().clone();
    let (host, guest) = (of("host"), of("guest"));
    let names: BTreeSet<&str> = host.iter().chain(&guest).map(|option| option["name"].as_str().unwrap()).collect();
    assert!(names.contains("hardware.nvidia.vgpu.release"), "the modules' options were not found: {names:?}");
    for name in names {
        let find = |options: &[Value]| options.iter().find(|option| option["name"] == name).cloned();
        text.push_str(&format!("\n## `{name}`\n"));
        match (find(&host), find(&guest)) {
            (Some(host), Some(guest)) if host == guest => describe(&host, "", &mut text),
            (host, guest) => {
                host.iter().for_each(|option| describe(option, "**Hosts.** ", &mut text));
                guest.iter().for_each(|option| describe(option, "**Guests.** ", &mut text));
            }
        }
    }
    up_to_date("options.md", &text);
}

/// The modules' options by role, from docs/options.nix. `None`, after saying so, where nixpkgs' library is missing.
fn options() -> Option<Value> {
    let expression = format!("import {} {{ }}", docs().join("options.nix").display());
    let output = Command::new("nix-instantiate").args(["--eval", "--strict", "--json", "-E", &expression]).output();
    let problem = match &output {
        Ok(output) if output.status.success() => return Some(serde_json::from_slice(&output.stdout).unwrap()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let no_nix =
        output.is_err() || problem.contains("'nixpkgs/lib' was not found") || problem.contains("'nixpkgs/lib' in");
    assert!(no_nix, "{problem}");
    nix_store::skip("nix-instantiate or <nixpkgs/lib> is missing", nix_store::REQUIRED);
    None
}

fn describe(option: &Value, prefix: &str, text: &mut String) {
    let description = option["description"].as_str().unwrap().trim().replace("{option}`", "`");
    let kind = option["type"].as_str().unwrap().replace('<', "\\<");
    let short: String = kind.chars().take(120).collect();
    let dots = if short.len() < kind.len() { "…" } else { "" };
    text.push_str(&format!("\n{prefix}{description}\n\n- Type: {short}{dots}\n"));
    if option["readOnly"] == true {
        text.push_str("- Read only\n");
    }
    for (label, key) in [("Default", "default"), ("Example", "example")] {
        match option[key].as_str().map(|value| (value, value.trim_matches('`'))) {
            Some((_, code)) if code.contains('\n') => {
                let indented = code.replace('\n', "\n  ");
                text.push_str(&format!("- {label}:\n\n  ```nix\n  {indented}\n  ```\n"));
            }
            Some((value, _)) => text.push_str(&format!("- {label}: {}\n", value.replace("{option}`", "`"))),
            None => {}
        }
    }
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let all: BTreeSet<String> = pages().into_iter().filter(|name| name != "SUMMARY.md").collect();
    let linked: BTreeSet<String> = links(&page("SUMMARY.md")).into_iter().collect();
    assert_eq!(linked, all);
    for name in &all {
        for link in links(&page(name)).iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let target = if file.is_empty() { name } else { file };
            assert!(all.contains(target), "{name} links to {link}");
            assert!(has_anchor(&page(target), anchor), "{name} links to {link}");
        }
    }
}

/// The targets of a page's links: `[text](target)`.
fn links(text: &str) -> Vec<String> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// Whether a page has a heading with this anchor. A link without an anchor leads to the page.
fn has_anchor(text: &str, anchor: &str) -> bool {
    anchor.is_empty() || text.lines().any(|line| line.starts_with('#') && anchor_of(line) == anchor)
}

/// The anchor that mdBook gives a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-")
}

#[test]
fn examples_of_nix_are_valid() {
    let Some(store) = NixStore::new() else { return };
    for name in pages() {
        for block in blocks(&page(&name), "nix") {
            let output =
                store.prepare(Command::new("nix-instantiate").args(["--parse", "-E", &block])).output().unwrap();
            assert!(output.status.success(), "{name}:\n{block}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn examples_of_the_catalog_are_valid() {
    // The pages show an entry in pieces: a new one, hashes to add to it, a patcher.
    let text: String =
        ["adding-releases.md", "adding-patchers.md"].iter().flat_map(|name| blocks(&page(name), "toml")).collect();
    let catalog = vgpu::catalog::Catalog::parse(&text.replace("sha256-…", &Sri::of_digest([1; 32]).to_string()));
    let catalog = catalog.unwrap_or_else(|error| panic!("{}", error.0));
    let release = &catalog.releases()[0];
    assert!(release.is_pinned() && release.patcher.is_some());
    assert_eq!(release.zip_name(), vgpu::catalog::zip_name(&release.host, &release.guest, &release.windows));
}

#[test]
fn completions_and_man_pages_come_with_the_program() {
    let vgpu = || Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
    let script = vgpu().args(["completions", "bash"]).output().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &script.stdout).unwrap();
    let complete = format!(
        "source {}; COMP_WORDS=(vgpu releases --for); COMP_CWORD=2; _vgpu vgpu --for releases; echo ${{COMPREPLY[@]}}",
        file.path().display()
    );
    let completed = Command::new("bash").args(["-c", &complete]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "--for-guest --for-host");

    // A shell offers releases, and no command that is for Nix or for packagers.
    let script = String::from_utf8(script.stdout).unwrap();
    let newest = &vgpu::catalog::Catalog::builtin().releases()[0].release.to_string();
    assert!(script.contains(newest), "releases are not completed");
    for hidden in ["builder", "completions", "man)"] {
        assert!(!script.contains(hidden), "{hidden} is completed");
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = String::from_utf8(vgpu().args(["completions", shell]).output().unwrap().stdout).unwrap();
        // --root, --today and --catalog are for tests. --gpu is for all.
        assert!(!script.contains("for tests") && !script.contains("--root") && script.contains("gpu"), "{shell}");
        // `vgpu instances owner` is for udev.
        assert!(!script.contains("owner"), "{shell}");
    }
    for misspelt in [&["buildr"][..], &["completion"], &["instances", "ownr"]] {
        let refused = String::from_utf8(vgpu().args(misspelt).output().unwrap().stderr).unwrap();
        let hidden = ["'builder'", "'completions'", "'owner'"];
        assert!(!hidden.iter().any(|name| refused.contains(name)), "{refused}");
    }
    let script = vgpu().args(["completions", "fish"]).output().unwrap().stdout;
    let releases = "subcommand releases\" -f -k -a \"";
    assert!(String::from_utf8_lossy(&script).contains(&format!("{releases}{newest} ")), "fish completes no releases");

    let directory = tempfile::tempdir().unwrap();
    let status = vgpu().arg("man").arg("--out").arg(directory.path().join("man1")).status().unwrap();
    assert!(status.success());
    let page = fs::read_to_string(directory.path().join("man1/vgpu-releases.1")).unwrap();
    assert!(page.contains(r"\fB\-\-for\-guest\fR"), "{page}");
    for command in vgpu::cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let page = format!("man1/vgpu-{}.1", command.get_name());
        assert!(directory.path().join(&page).exists(), "{page} is missing");
    }
    assert!(!directory.path().join("man1/vgpu-builder.1").exists());
    for entry in fs::read_dir(directory.path().join("man1")).unwrap() {
        let path = entry.unwrap().path();
        assert!(fs::read(&path).unwrap().is_ascii(), "troff warns of other characters in {}", path.display());
        let Ok(rendered) = Command::new("groff").args(["-man", "-Tascii", "-ww", "-z"]).arg(&path).output() else {
            eprintln!("skipped: groff is not on PATH");
            continue;
        };
        assert!(rendered.stderr.is_empty(), "{}", String::from_utf8_lossy(&rendered.stderr));
    }
}

/// What a page tells the reader to type, line by line.
fn typed(page_name: &str) -> Vec<String> {
    let lines = blocks(&page(page_name), "console")
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    lines.iter().filter_map(|line| line.strip_prefix("$ ").map(str::to_owned)).collect()
}

#[test]
fn the_guides_can_be_followed() {
    for (guide, made, archives) in [
        ("host.md", ["vgpu/vgpu.nix", "vgpu-driver.nix"].as_slice(), [ARCHIVE].as_slice()),
        ("guest.md", &["vgpu/vgpu.nix", "vgpu-driver.nix"], &[ARCHIVE]),
        (
            "which.md",
            &["listed/vgpu.nix", "vgpu-driver.nix", "patched/vgpu.nix", "patched-driver.nix"],
            &[FOR_PATCHER, ARCHIVE],
        ),
    ] {
        let Some(store) = NixStore::new() else { return };
        let machine = Machine::new(store);
        let commands = typed(guide);
        assert!(commands.len() >= 3, "{guide} has hardly anything to type: {commands:?}");
        for command in &commands {
            machine.type_in(guide, command);
        }
        // What the guide made is Nix that chooses a driver.
        for file in made {
            let expression =
                format!("(import {}/{file} {{ }}).hardware.nvidia.vgpu.release", machine.home.path().display());
            assert!(machine.store.evaluate(&expression).is_string(), "{guide}: {file}");
        }
        assert_eq!(machine.store.names(), archives, "{guide}");
    }
}

#[test]
fn the_guide_lists_the_guest_drivers_that_nix_downloads() {
    let releases = vgpu::catalog::Catalog::builtin().releases().iter();
    let known: Vec<String> =
        releases.filter(|release| release.guest_sha256.is_some()).map(|release| release.release.to_string()).collect();
    assert_eq!(listed(&page("guest.md")), known.iter().cloned().collect(), "the list in docs/guest.md is out of date");
    let newest = format!("The newest is {};", known[0]);
    assert!(readme().contains(&newest), "the README does not say: {newest}");
}

/// The releases of a list like "- 16.x: 16.2, 16.5".
fn listed(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(".x: "));
    lines.flat_map(|(_, releases)| releases.split(", ").map(str::to_owned)).collect()
}

#[test]
fn the_readme_lists_the_confirmed_releases() {
    let text = readme();
    let listed = listed(&text);
    let catalog = vgpu::catalog::Catalog::builtin();
    let confirmed = |release: &&Release| matches!(release.hash(FileHash::ZipSha256), Some((_, HashSource::Confirmed)));
    let confirmed = catalog.releases().iter().filter(confirmed);
    let confirmed = confirmed.map(|release| release.release.to_string()).collect();
    assert_eq!(listed, confirmed, "the list in README.md is out of date");
    let branches: Vec<u16> =
        catalog.branches().iter().map(|branch| branch.number.to_string().parse().unwrap()).collect();
    let range = format!("Releases {}.x to {}.x", branches.iter().min().unwrap(), branches.iter().max().unwrap());
    assert!(text.contains(&range), "the README does not say: {range}");
    assert_eq!(
        text.contains("has the hash of every archive"),
        catalog.releases().iter().all(|release| release.is_pinned()),
        "the README is wrong about the hashes of archives"
    );
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    for link in links(&readme()).iter().filter(|link| !link.contains("://")) {
        let (file, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
        let target = docs().join("..").join(if file.is_empty() { "README.md" } else { file });
        assert!(target.exists(), "README.md links to {link}");
        let text = fs::read_to_string(target).unwrap_or_default(); // or a directory
        assert!(has_anchor(&text, anchor), "README.md links to {link}");
    }
}

#[test]
fn every_attribute_of_custom_drivers_is_documented() {
    let page = page("custom-drivers.md");
    for (file, function) in [("packages.nix", "mkVgpuDriver"), ("mk-vgpu-patcher.nix", "mkVgpuPatcher")] {
        let source = fs::read_to_string(docs().join("../nix/lib").join(file)).unwrap();
        let (_, rest) = source.split_once(&format!("function = \"{function}\";")).unwrap();
        let (lists, _) = rest.split_once("attrs;").or_else(|| rest.split_once("attrs\n")).unwrap();
        let names: Vec<&str> = lists.split('"').skip(1).step_by(2).collect();
        assert!(names.len() > 8, "{function}: {names:?}");
        for name in names {
            assert!(page.contains(&format!("`{name}`")), "{function}: {name}");
        }
    }
}

/// The archive that the guides download, and the one for boards that NVIDIA doesn't list.
const ARCHIVE: &str = "NVIDIA-GRID-Linux-KVM-580.178.05-580.178.04-582.78.zip";
const FOR_PATCHER: &str = "NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip";

/// What stands for NVIDIA's archive of a release: small drivers of its versions.
fn archive(release: &Release) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for role in [Role::Host, Role::Guest] {
        let version = release.version(role);
        let name = format!("NVIDIA-Linux-x86_64-{version}{}", role.suffix());
        let tar = vgpu_sample::tar(&vgpu_sample::files(role)).unwrap();
        let payload = vgpu_sample::compress(&tar, vgpu_sample::Compression::Zstd).unwrap();
        zip.start_file(format!("{name}.run"), options).unwrap();
        zip.write_all(&vgpu_sample::makeself(&name, version.as_str(), &payload, b"")).unwrap();
    }
    zip.start_file(format!("{}_grid_win10_win11_64bit_international.exe", release.windows), options).unwrap();
    zip.finish().unwrap().into_inner()
}

/// A reader's machine: a home with the archive in Downloads, and `vgpu` on PATH.
struct Machine {
    store: NixStore,
    home: tempfile::TempDir,
}

impl Machine {
    /// NVIDIA's archive is a sample here, and the catalog has the sample's hash.
    fn new(store: NixStore) -> Machine {
        let home = tempfile::tempdir().unwrap();
        let mut catalog = vgpu::catalog::TEXT.to_owned();
        let wrapper = format!(
            "#!/bin/sh\ncase \"$1\" in import | identify) set -- \"$@\" --catalog \"$HOME/catalog.toml\" ;; esac\n\
             exec {} \"$@\"\n",
            assert_cmd::cargo::cargo_bin!("vgpu").display()
        );
        fs::create_dir(home.path().join("bin")).unwrap();
        program::write(&home.path().join("bin/vgpu"), wrapper);
        let mut files = vec![];
        for name in [ARCHIVE, FOR_PATCHER] {
            let mut releases = vgpu::catalog::Catalog::builtin().releases().iter();
            let release = releases.find(|release| release.zip_name() == name).unwrap();
            let content = archive(release);
            let hash = Sri::of_digest(Sha256::digest(&content).into());
            catalog = catalog.replace(&release.zip_sha256.unwrap().to_string(), &hash.to_string());
            files.push((format!("Downloads/{name}"), content));
        }
        files.push(("catalog.toml".to_owned(), catalog.into_bytes()));
        for (path, content) in files {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Machine { store, home }
    }

    fn type_in(&self, guide: &str, line: &str) {
        let path = format!("{}:{}", self.home.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        self.store.prepare(command.args(["-e", "-c", line]).current_dir(self.home.path()));
        let output = command.env("HOME", self.home.path()).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{guide}: $ {line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
