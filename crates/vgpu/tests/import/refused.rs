//! Files that are refused: another one, a truncated one, a damaged one, or none of NVIDIA's.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use assert_cmd::assert::OutputAssertExt;
use serde_json::json;
use vgpu_driver::Role;

use crate::machine::*;

/// Imports a file that must be refused. Nothing is added to the store. Returns the message without hashes.
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

/// There is nothing to take out of a .run file. The advice says where NVIDIA has it.
#[test]
fn another_run_file_gets_advice_for_a_run_file() {
    let Some(machine) = Machine::new() else { return };
    machine.download(GUEST_RUN, &run_file(Role::Guest)).catalog(None, Some(b"another"));
    insta::assert_snapshot!(refused(&machine, &[GUEST_RUN]), @r"
    error: cannot import NVIDIA-Linux-x86_64-550.163.01-grid.run
    cause: it is not the file that NVIDIA published as vGPU 17.6: its hash is sha256-…, the catalog says sha256-…
    help: the file is whole, so the download was not cut short: somebody changed it. Get it from https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.6/NVIDIA-Linux-x86_64-550.163.01-grid.run. If you trust this one, add it to the Nix store (`nix-store --add-fixed sha256 FILE`), and set hardware.nvidia.vgpu.driverSource.name to its name and .sha256 to its hash
    ");
}

/// Nobody has confirmed the record. So neither a match nor a difference proves whether the file is NVIDIA's.
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
    // A damaged file is refused all the same.
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

/// These are refused at once. None is read to its end, because some have no end.
#[test]
fn what_has_no_end_is_refused() {
    let Some(machine) = Machine::new() else { return };
    machine.catalog(Some(&archive()), None);
    let begin = Instant::now();
    let sparse = |name| fs::File::create(machine.path(name)).unwrap().set_len(1 << 40).unwrap();
    let pipe = |name| assert!(Command::new("mkfifo").arg(machine.path(name)).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", machine.path("link.zip")).unwrap();
    pipe("pipe.zip");
    pipe(ARCHIVE);
    sparse("sparse.zip");
    sparse(GUEST_RUN);
    for name in ["/dev/zero", "/dev/stdin", "link.zip", "pipe.zip", ARCHIVE, "."] {
        let message = refused(&machine, &[name]);
        assert!(message.contains("is a directory, pipe or device, not an archive"), "{name}: {message}");
    }
    for name in ["sparse.zip", GUEST_RUN] {
        let message = refused(&machine, &[name]);
        assert!(message.contains("is larger than 16 GiB, and no archive of NVIDIA's is"), "{name}: {message}");
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "something was read");
}

#[test]
fn options_that_do_not_fit_the_file_are_refused() {
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
