//! Files that the catalog knows, under their own name and under another, and the driver that is built from them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use serde_json::{Value, json};
use vgpu_driver::Role;
use vgpu_sample::{GUEST_VERSION, HOST_VERSION, WINDOWS_VERSION};

use crate::machine::*;
use crate::nix_store::{nixpkgs_lib, programs, quoted};

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

/// Imports, and builds the driver with the printed configuration. Returns its outputs.
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
