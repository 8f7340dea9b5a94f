//! Files whose hash the catalog does not have, files of unknown releases, and files of clouds.

use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use serde_json::{Value, json};
use vgpu_driver::Role;
use vgpu_sample::{self as sample, Compression, GUEST_VERSION, HOST_VERSION};

use crate::machine::*;

/// A .run file of another version.
fn other_run(role: Role, version: &str) -> Vec<u8> {
    let suffix = if role == Role::Host { "vgpu-kvm" } else { "grid" };
    let payload = sample::compress(&sample::tar(&sample::files(role)).unwrap(), Compression::Zstd).unwrap();
    sample::makeself(&format!("NVIDIA-Linux-x86_64-{version}-{suffix}"), version, &payload, b"")
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

/// A guest driver that a cloud has built. `targetdir` says which cloud.
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
        // The catalog does not have this release.
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
    assert!(text.contains("none: clouds build their own files"), "{text}");
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
