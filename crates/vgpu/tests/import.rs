//! `vgpu import` into a real Nix store, for each kind of file, whole and broken, under its name and another.

mod nix_store;

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::assert::{Assert, OutputAssertExt};
use nix_store::{NixStore, nixpkgs_lib, programs, quoted};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vgpu::nix::sri::Sri;
use vgpu_driver::Role;
use vgpu_sample::{self as sample, Compression, GUEST_VERSION, HOST_VERSION, WINDOWS_VERSION};

const ARCHIVE: &str = "NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip";
const HOST_RUN: &str = "NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run";
const GUEST_RUN: &str = "NVIDIA-Linux-x86_64-550.163.01-grid.run";

/// A machine with a Nix store and a directory of downloads.
struct Machine {
    store: NixStore,
    downloads: TempDir,
}

impl Machine {
    fn new() -> Option<Machine> {
        Some(Machine { store: NixStore::new()?, downloads: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.downloads.path().join(name)
    }

    fn download(&self, name: &str, content: &[u8]) -> &Machine {
        fs::write(self.path(name), content).unwrap();
        self
    }

    /// A catalog in which the sample's release has these hashes, or none.
    fn catalog(&self, zip: Option<&[u8]>, guest: Option<&[u8]>) -> &Machine {
        let mut text = format!(
            "[[branch]]\nbranch = \"17\"\ndriver = 550\nlong_term = false\n[[release]]\nrelease = \"17.6\"\n\
             host = \"{HOST_VERSION}\"\nguest = \"{GUEST_VERSION}\"\nwindows = \"{WINDOWS_VERSION}\"\n"
        );
        for (key, content) in [("zip_sha256", zip), ("guest_sha256", guest)] {
            text += &content.map_or(String::new(), |content| format!("{key} = \"{}\"\n", sri(content)));
        }
        self.download("catalog.toml", text.as_bytes())
    }

    fn import(&self, args: &[&str]) -> Assert {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
        command.arg("import").args(args).current_dir(self.downloads.path());
        if self.path("catalog.toml").exists() {
            command.args(["--catalog", "catalog.toml"]);
        }
        self.store.prepare(&mut command).assert()
    }

    /// Imports, and evaluates the configuration that is printed. mkVgpuDriver stands for its own arguments.
    fn configured(&self, args: &[&str]) -> Value {
        let assert = self.import(args).success();
        self.download("printed.nix", &assert.get_output().stdout);
        self.store.evaluate(&format!(
            "import (/. + {}) {{ lib.fakeHash = \"fake\"; config.boot.kernelPackages.nvidiaPackages.mkVgpuDriver = x: x; }}",
            quoted(&self.path("printed.nix"))
        ))["hardware"]["nvidia"]
            .take()
    }

    /// What lies beside the downloads: leftovers of the import, if any.
    fn listing(&self) -> Vec<String> {
        let entries = fs::read_dir(self.downloads.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn sri(content: &[u8]) -> String {
    Sri::of_digest(Sha256::digest(content).into()).to_string()
}

fn archive() -> Vec<u8> {
    sample::grid_archive().unwrap().1
}

fn run_file(role: Role) -> Vec<u8> {
    sample::run_file(role).unwrap().1
}

/// A .run file of another version.
fn other_run(role: Role, version: &str) -> Vec<u8> {
    let suffix = if role == Role::Host { "vgpu-kvm" } else { "grid" };
    let payload = sample::compress(&sample::tar(&sample::files(role)).unwrap(), Compression::Zstd).unwrap();
    sample::makeself(&format!("NVIDIA-Linux-x86_64-{version}-{suffix}"), version, &payload, b"")
}

/// A .zip archive of these files.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(name.to_string(), options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn a_pinned_archive_needs_its_release_alone() {
    let Some(machine) = Machine::new() else { return };
    machine.download(ARCHIVE, &archive()).catalog(Some(&archive()), None);
    assert_eq!(machine.configured(&[ARCHIVE]), json!({ "vgpu": { "release": "17.6" } }));
    assert_eq!(machine.store.names(), [ARCHIVE]);
}

#[test]
fn a_file_may_have_any_name_and_is_stored_under_the_expected_one() {
    let Some(machine) = Machine::new() else { return };
    let name = "$(rm -rf ~) \"grid\" ${x} ü.bin";
    machine.download(name, &archive()).catalog(Some(&archive()), None);
    let before = machine.listing();
    assert_eq!(machine.configured(&[name]), json!({ "vgpu": { "release": "17.6" } }));
    assert_eq!(machine.store.names(), [ARCHIVE]);
    fs::remove_file(machine.path("printed.nix")).unwrap();
    assert_eq!(machine.listing(), before, "something was left beside the download");
    assert_eq!(fs::read(machine.path(name)).unwrap(), archive());
}

#[test]
fn links_are_followed() {
    let Some(machine) = Machine::new() else { return };
    machine.download("real", &archive()).catalog(Some(&archive()), None);
    symlink("real", machine.path(ARCHIVE)).unwrap();
    machine.import(&[ARCHIVE]).success();
    let path = fs::read_dir(machine.store.path()).unwrap().map(|entry| entry.unwrap().path());
    let stored = path.into_iter().find(|path| path.to_str().unwrap().ends_with(ARCHIVE)).unwrap();
    assert!(stored.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read(stored).unwrap(), archive());
}

#[test]
fn the_second_time_it_is_there_already() {
    let Some(machine) = Machine::new() else { return };
    machine.download("a.zip", &archive()).catalog(Some(&archive()), None);
    let first = machine.import(&["a.zip", "--json"]).success();
    let second = machine.import(&["a.zip", "--json"]).success();
    let parse = |assert: &Assert| serde_json::from_slice::<Value>(&assert.get_output().stdout).unwrap();
    let (first, second) = (parse(&first), parse(&second));
    assert_eq!((&first["added"], &second["added"]), (&json!(true), &json!(false)));
    assert_eq!(first["store_path"], second["store_path"]);
    assert!(PathBuf::from(first["store_path"].as_str().unwrap()).is_file());
    assert!(stderr(&machine.import(&["a.zip"])).contains("was there already"));
}

#[test]
fn json_has_everything() {
    let Some(machine) = Machine::new() else { return };
    machine.download("a.zip", &archive()).catalog(Some(&archive()), None);
    let assert = machine.import(&["a.zip", "--json"]).success();
    let mut report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let path = report["store_path"].take();
    assert!(path.as_str().unwrap().starts_with(machine.store.path().to_str().unwrap()), "{path}");
    assert!(report["configuration"].take().as_str().unwrap().contains("hardware.nvidia.vgpu.release = \"17.6\";"));
    assert_eq!(
        report,
        json!({
            "file": "a.zip", "kind": "grid-archive", "size": archive().len(), "sha256": sri(&archive()),
            "release": "17.6", "catalog": "match", "voucher": "confirmed", "role": "host", "name": ARCHIVE, "added": true,
            "host": { "version": HOST_VERSION, "file": format!("Host_Drivers/{HOST_RUN}") },
            "guest": { "version": GUEST_VERSION, "file": format!("Guest_Drivers/{GUEST_RUN}") },
            "windows": WINDOWS_VERSION, "cloud": null, "store_path": null, "configuration": null
        })
    );
}

#[test]
fn a_guest_can_take_its_driver_from_the_archive() {
    let Some(machine) = Machine::new() else { return };
    machine.download(ARCHIVE, &archive()).catalog(Some(&archive()), None);
    assert_eq!(
        machine.configured(&[ARCHIVE, "--role", "guest"]),
        json!({ "vgpu": { "release": "17.6", "driverSource": { "name": ARCHIVE, "url": null } } })
    );
}

#[test]
fn a_hosts_run_file_is_given_by_its_hash() {
    let Some(machine) = Machine::new() else { return };
    machine.download("host", &run_file(Role::Host));
    assert_eq!(
        machine.configured(&["host"]),
        json!({ "vgpu": { "release": "17.6",
            "driverSource": { "name": HOST_RUN, "sha256": sri(&run_file(Role::Host)) } } })
    );
    assert_eq!(machine.store.names(), [HOST_RUN]);
}

#[test]
fn a_guests_run_file_needs_its_hash_if_the_catalog_has_none() {
    let Some(machine) = Machine::new() else { return };
    let run = run_file(Role::Guest);
    machine.download("guest.run", &run).catalog(None, Some(&run));
    assert_eq!(machine.configured(&["guest.run"]), json!({ "vgpu": { "release": "17.6" } }));
    assert_eq!(machine.store.names(), [GUEST_RUN]);
    machine.catalog(None, None);
    assert_eq!(
        machine.configured(&["guest.run"]),
        json!({ "vgpu": { "release": "17.6", "driverSource": { "name": GUEST_RUN, "sha256": sri(&run) } } })
    );
}

#[test]
fn an_archive_the_catalog_has_no_hash_of_becomes_a_driver_of_its_own() {
    let Some(machine) = Machine::new() else { return };
    machine.download(ARCHIVE, &archive()).catalog(None, None);
    let attributes = json!({
        "gridVersion": "17.6", "version": HOST_VERSION, "sha256": sri(&archive()), "zipFilename": ARCHIVE,
        "guestVersion": GUEST_VERSION, "guestSha256": sri(&run_file(Role::Guest)), "generalVersion": GUEST_VERSION,
        "useSettings": false, "usePersistenced": false, "vgpuPatcher": null
    });
    assert_eq!(machine.configured(&[ARCHIVE]), json!({ "package": attributes }));
    assert_eq!(
        machine.configured(&[ARCHIVE, "--role", "guest"]),
        json!({ "package": attributes, "vgpu": { "driverSource": { "name": ARCHIVE, "url": null } } })
    );
    assert!(stderr(&machine.import(&[ARCHIVE])).contains("no hash to compare this file with"));
}

#[test]
fn an_unknown_release_is_described_as_far_as_its_files_go() {
    let Some(machine) = Machine::new() else { return };
    let (host, guest) = (other_run(Role::Host, "580.999.01"), other_run(Role::Guest, "580.999.02"));
    let new = zip(&[
        ("NVIDIA-Linux-x86_64-580.999.01-vgpu-kvm.run", &host),
        ("x/NVIDIA-Linux-x86_64-580.999.02-grid.run", &guest),
        ("x/589.99_grid_win10_win11_server2022_dch_64bit_international.exe", b"MZ"),
    ]);
    machine.download("new.zip", &new);
    let assert = machine.import(&["new.zip"]).success();
    let printed = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let printed = printed.replace(&sri(&new), "sha256-ARCHIVE").replace(&sri(&guest), "sha256-GUEST");
    insta::assert_snapshot!(printed, @r#"
    # The host driver of a release that is not in the catalog, from NVIDIA-GRID-Linux-KVM-580.999.01-580.999.02-589.99.zip
    # in the Nix store. Import this file in configuration.nix, or paste the lines into it.
    { config, lib, ... }:
    {
      hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.mkVgpuDriver {
        gridVersion = "19.x"; # not known: put the release here
        version = "580.999.01";
        sha256 = "sha256-ARCHIVE";
        zipFilename = "NVIDIA-GRID-Linux-KVM-580.999.01-580.999.02-589.99.zip";
        guestVersion = "580.999.02";
        guestSha256 = "sha256-GUEST";
        generalVersion = "580.999.02"; # not known: the closest consumer driver
        useSettings = false; # true needs generalVersion and settingsSha256
        usePersistenced = false; # true needs generalVersion and persistencedSha256
        vgpuPatcher = null; # or mkVgpuPatcher { … } to patch the driver
      };
    }
    "#);
    insta::assert_snapshot!(stderr(&assert).lines().skip(1).collect::<Vec<_>>().join("\n"), @r"
    note: the catalog has no such drivers: the file is whole, but is it NVIDIA's? Use it only if you got it from NVIDIA
    note: put the release in place of gridVersion, or give it with --release
    ");
    assert_eq!(machine.store.names(), ["NVIDIA-GRID-Linux-KVM-580.999.01-580.999.02-589.99.zip"]);
    assert_eq!(machine.configured(&["new.zip", "--release", "19.99"])["package"]["gridVersion"], "19.99");
}

#[test]
fn a_run_file_of_an_unknown_release_is_described_too() {
    let Some(machine) = Machine::new() else { return };
    let (host, guest) = (other_run(Role::Host, "580.999.01"), other_run(Role::Guest, "580.999.02"));
    machine.download("host.run", &host).download("guest.run", &guest);
    let configured = machine.configured(&["host.run"]);
    assert_eq!(configured["package"]["version"], "580.999.01");
    assert_eq!(configured["package"]["sha256"], "fake");
    assert_eq!(
        configured["vgpu"]["driverSource"],
        json!({ "name": "NVIDIA-Linux-x86_64-580.999.01-vgpu-kvm.run", "sha256": sri(&host) })
    );
    let configured = machine.configured(&["guest.run", "--release", "19.99"]);
    assert_eq!(configured["package"]["gridVersion"], "19.99");
    assert_eq!(configured["package"]["guestVersion"], "580.999.02");
    assert_eq!(configured["package"]["guestSha256"], sri(&guest));
    assert_eq!(configured["vgpu"]["driverSource"], json!({ "url": null }));
}

/// A guest driver that a cloud has built: `targetdir` says whose it is.
fn cloud_run(target: &str) -> Vec<u8> {
    let payload = sample::compress(&sample::tar(&sample::files(Role::Guest)).unwrap(), Compression::Zstd).unwrap();
    sample::makeself(target, GUEST_VERSION, &payload, b"")
}

#[test]
fn a_clouds_build_is_named_as_such_and_not_suspected() {
    let Some(machine) = Machine::new() else { return };
    for (cloud, name) in [("aws", "Amazon Web Services"), ("azure", "Microsoft Azure"), ("gcp", "Google Cloud")] {
        let target = format!("NVIDIA-Linux-x86_64-{GUEST_VERSION}-grid-{cloud}");
        let file = cloud_run(&target);
        machine.catalog(None, Some(&run_file(Role::Guest))).download("driver.run", &file);
        let assert = machine.import(&["driver.run", "--json"]).success();
        let report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        let told = ["cloud", "release", "catalog", "name"].map(|key| report[key].as_str().unwrap().to_owned());
        assert_eq!(told, [cloud, "17.6", "unpinned", &format!("{target}.run")]);
        let message = stderr(&machine.import(&["driver.run"]).success());
        assert!(message.contains(&format!("the build that {name} makes")), "{message}");
        assert_eq!(
            machine.configured(&["driver.run"]),
            json!({ "vgpu": { "release": "17.6", "driverSource": { "name": format!("{target}.run"), "sha256": sri(&file) } } })
        );
        // Of a release that the catalog has not.
        machine.download("catalog.toml", b"");
        let configured = machine.configured(&["driver.run", "--release", "17.55"]);
        assert_eq!(configured["vgpu"]["driverSource"], json!({ "name": format!("{target}.run"), "url": null }));
        assert_eq!(configured["package"]["guestSha256"], sri(&file));
    }
}

#[test]
fn a_clouds_name_alone_is_believed_unless_the_hash_is_nvidias() {
    let Some(machine) = Machine::new() else { return };
    let (nvidias, other) = (run_file(Role::Guest), cloud_run("NVIDIA-Linux-x86_64-x-grid"));
    let name = format!("NVIDIA-Linux-x86_64-{GUEST_VERSION}-grid-azure-sig.run");
    machine.catalog(None, Some(&nvidias)).download(&name, &nvidias);
    let identified = |machine: &Machine| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
        command.args(["identify", &name, "--catalog", "catalog.toml"]).current_dir(machine.downloads.path());
        String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
    };
    let text = identified(&machine);
    assert!(text.contains("match: this is the file NVIDIA published") && !text.contains("Azure"), "{text}");
    machine.download(&name, &other);
    let text = identified(&machine);
    assert!(text.contains(".run file of Microsoft Azure, for its own virtual machines"), "{text}");
    assert!(text.contains("none: clouds build files of their own"), "{text}");
}

#[test]
fn a_name_that_promises_another_release_is_mentioned() {
    let Some(machine) = Machine::new() else { return };
    let name = "NVIDIA-Linux-x86_64-550.144.03-grid.run"; // of 17.5
    machine.download(name, &run_file(Role::Host));
    let message = stderr(&machine.import(&[name]).success());
    assert!(
        message.contains(&format!("the file is called {name}, which is vGPU 17.5, but holds other drivers")),
        "{message}"
    );
    assert_eq!(machine.store.names(), [HOST_RUN]);
}

/// Imports a file that must be refused: nothing gets into the store, and the message is returned without hashes.
fn refused(machine: &Machine, args: &[&str]) -> String {
    let assert = machine.import(args).code(1).stdout("");
    assert_eq!(machine.store.names(), [""; 0], "something got into the store");
    let message = stderr(&assert);
    let words = message.split(' ').map(|word| match word.strip_prefix("sha256-") {
        Some(rest) => format!("sha256-…{}", rest.get(44..).unwrap_or_default()),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn another_file_under_a_pinned_name_is_refused() {
    let Some(machine) = Machine::new() else { return };
    machine.download(ARCHIVE, &archive()).catalog(Some(b"another"), None);
    insta::assert_snapshot!(refused(&machine, &[ARCHIVE]), @r"
    error: cannot import NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
    cause: it is not the file that NVIDIA published as vGPU 17.6: its hash is sha256-…, the catalog says sha256-…
    help: the file is whole, so the download was not cut short: it was packed again by a mirror, or somebody changed it. Get it from NVIDIA's licensing portal. If you trust it, take the .run file out of it and import that
    ");
    let message = stderr(&machine.import(&[ARCHIVE]));
    assert!(message.contains(&sri(&archive())) && message.contains(&sri(b"another")), "{message}");
}

/// Nobody has confirmed the record: neither a match nor a difference says for sure whose file it is.
#[test]
fn one_public_record_is_no_judge() {
    let Some(machine) = Machine::new() else { return };
    let unconfirmed = |machine: &Machine, zip: &[u8]| {
        machine.catalog(Some(zip), None);
        let text = fs::read_to_string(machine.path("catalog.toml")).unwrap();
        machine.download("catalog.toml", format!("{text}unconfirmed = [\"zip_sha256\"]\n").as_bytes());
    };
    machine.download(ARCHIVE, &archive());
    unconfirmed(&machine, &archive());
    assert_eq!(machine.configured(&[ARCHIVE]), json!({ "vgpu": { "release": "17.6" } }));
    let message = stderr(&machine.import(&[ARCHIVE]).success());
    assert!(message.contains("this is the file that one public record has as vGPU 17.6"), "{message}");
    unconfirmed(&machine, b"another");
    assert_eq!(machine.configured(&[ARCHIVE])["package"]["sha256"], sri(&archive()));
    let message = stderr(&machine.import(&[ARCHIVE]).success());
    assert!(message.contains("the one public record of vGPU 17.6 has another hash"), "{message}");
    // Damage is damage.
    let mut damaged = archive();
    let middle = damaged.len() / 3;
    damaged[middle] ^= 1;
    machine.download("damaged.zip", &damaged).import(&["damaged.zip"]).code(1);
}

#[test]
fn a_configuration_is_written_only_on_success() {
    let Some(machine) = Machine::new() else { return };
    machine.download("a.zip", &archive()).download("bad.zip", b"<html>").catalog(Some(&archive()), None);
    let assert = machine.import(&["a.zip", "--out", "vgpu-driver.nix"]).success().stdout("vgpu-driver.nix\n");
    let written = fs::read_to_string(machine.path("vgpu-driver.nix")).unwrap();
    assert!(written.contains("hardware.nvidia.vgpu.release = \"17.6\";"), "{written}{}", stderr(&assert));
    machine.import(&["bad.zip", "--out", "vgpu-driver.nix"]).code(1);
    assert_eq!(fs::read_to_string(machine.path("vgpu-driver.nix")).unwrap(), written, "a failure changed the file");
    machine.import(&["bad.zip", "--out", "other.nix"]).code(1);
    assert!(!machine.path("other.nix").exists());
    machine.import(&["a.zip", "--out", "/proc/vgpu.nix"]).code(1);
    assert_eq!(machine.listing(), ["a.zip", "bad.zip", "catalog.toml", "vgpu-driver.nix"]);
}

#[test]
fn a_truncated_download_is_told_from_another_file() {
    let Some(machine) = Machine::new() else { return };
    let (archive, guest) = (archive(), run_file(Role::Guest));
    machine.catalog(Some(&archive), Some(&guest));
    machine.download(&format!("{ARCHIVE}.part"), &archive[..archive.len() / 2]);
    insta::assert_snapshot!(refused(&machine, &[&format!("{ARCHIVE}.part")]), @r"
    error: cannot import NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip.part
    cause: it is not NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip of vGPU 17.6: its hash is sha256-…, the catalog says sha256-…
    cause: NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip.part is a damaged or incomplete .zip archive
    cause: invalid Zip archive: Could not find EOCD
    help: download it again and compare its size with the one NVIDIA's portal shows
    ");
    machine.download(GUEST_RUN, &guest[..guest.len() - 1000]);
    let message = refused(&machine, &[GUEST_RUN]);
    assert!(message.contains("it is not NVIDIA-Linux-x86_64-550.163.01-grid.run of vGPU 17.6"), "{message}");
    assert!(message.contains("damaged or incomplete") && message.contains("help: download it again"), "{message}");
}

#[test]
fn damage_is_noticed_without_a_hash_to_compare_with() {
    let Some(machine) = Machine::new() else { return };
    machine.catalog(None, None);
    for (name, mut content) in [("a.zip", archive()), ("h.run", run_file(Role::Host)), ("g.run", run_file(Role::Guest))]
    {
        let middle = content.len() / 3;
        content[middle] ^= 1;
        machine.download(name, &content);
        let message = refused(&machine, &[name]);
        assert!(message.contains("damaged") || message.contains("cannot be read"), "{name}: {message}");
    }
    let run = run_file(Role::Host);
    machine.download("h.run", &run[..run.len() - 10]);
    assert!(refused(&machine, &["h.run"]).contains("damaged or incomplete"));
}

#[test]
fn a_web_page_is_told_from_an_archive() {
    let Some(machine) = Machine::new() else { return };
    machine.catalog(Some(&archive()), None).download(ARCHIVE, b"<!DOCTYPE html><html><title>Sign in</title>");
    insta::assert_snapshot!(refused(&machine, &[ARCHIVE]), @r"
    error: cannot import NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
    cause: it is not NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip of vGPU 17.6: its hash is sha256-…, the catalog says sha256-…
    cause: NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip is a web page (HTML), not a driver
    help: a browser saved NVIDIA's login or error page under this name: log in to the licensing portal and download the archive again
    ");
    machine.download("x.zip", b"<!DOCTYPE html><html><title>Sign in</title>");
    assert!(refused(&machine, &["x.zip"]).contains("web page (HTML)"));
}

#[test]
fn wrong_wishes_are_refused() {
    let Some(machine) = Machine::new() else { return };
    machine.download("host.run", &run_file(Role::Host)).download("guest.run", &run_file(Role::Guest));
    let message = refused(&machine, &["host.run", "--role", "guest"]);
    assert!(message.contains("it has no guest driver, only the host's 550.163.02"), "{message}");
    let message = refused(&machine, &["host.run", "--release", "17.5"]);
    assert!(message.contains("its host driver is 550.163.02, and vGPU 17.5 has 550.144.02"), "{message}");
    assert!(refused(&machine, &["absent.zip"]).contains("check the path"));
    machine.import(&["host.run", "--release", "new"]).code(2);
}

#[test]
fn a_machine_without_nix_is_told_so() {
    let downloads = tempfile::tempdir().unwrap();
    fs::write(downloads.path().join("host.run"), run_file(Role::Host)).unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.args(["import", "host.run"]).current_dir(downloads.path()).env("PATH", "");
    let message = stderr(&command.assert().code(1));
    assert!(message.contains("`nix-store` is not on PATH"), "{message}");
}

/// Imports, and builds the driver that the modules make of the printed configuration: its outputs.
fn built(machine: &Machine, lib: &Path, args: &[&str], guest: bool) -> Vec<PathBuf> {
    let assert = machine.import(args).success();
    machine.download("printed.nix", &assert.get_output().stdout);
    machine.store.build(&format!(
        r#"
        let
          evaluate = import {}/nix/tests/eval.nix {{ lib = import {}; vgpu = {}; }};
          system = evaluate {{ guest = {guest}; modules = [ (/. + {}) ]; }};
          driver = system.config.hardware.nvidia.package;
        in
        if system.failed != [ ] then throw (toString system.failed) else [ driver.out driver.bin driver.modsrc ]
        "#,
        concat!(env!("CARGO_MANIFEST_DIR"), "/../.."),
        lib.display(),
        quoted(&programs()),
        quoted(&machine.path("printed.nix")),
    ))
}

#[test]
fn what_is_printed_builds_a_driver() {
    let (Some(machine), Some(lib)) = (Machine::new(), nixpkgs_lib()) else { return };
    machine.catalog(None, None).download("a.zip", &archive());
    machine.download("host.run", &run_file(Role::Host)).download("guest.run", &run_file(Role::Guest));
    let has = |outputs: &[PathBuf], file: &str| outputs.iter().any(|output| output.join(file).exists());

    for file in ["a.zip", "host.run"] {
        let host = built(&machine, &lib, &[file], false);
        assert!(has(&host, "vgpuConfig.xml") && has(&host, "bin/nvidia-vgpud"), "{file}: {host:?}");
        assert!(!has(&host, "bin/nvidia-gridd"), "{file}: {host:?}");
    }
    for args in [["a.zip", "--role", "guest"].as_slice(), &["guest.run"]] {
        let guest = built(&machine, &lib, args, true);
        assert!(has(&guest, "gridd.conf.template") && has(&guest, "bin/nvidia-gridd"), "{args:?}: {guest:?}");
        assert!(!has(&guest, "bin/nvidia-vgpud"), "{args:?}: {guest:?}");
    }
}
