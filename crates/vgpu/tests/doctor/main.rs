//! `vgpu doctor`: each check has a scene in which it finds something, and one in which it does not. Other tests are about
//! sound machines, and about how results are shown.

mod cases;
mod journalctl;
#[path = "../machine_tree/mod.rs"]
mod machine_tree;
#[path = "../support/program.rs"]
mod program;
mod scene;
#[path = "../support/skip.rs"]
mod skip;
mod symptoms;
mod unreadable;

use std::collections::BTreeSet;

use assert_cmd::Command;
use scene::{Base, Scene, all_checks, repository};
use serde_json::Value;

#[test]
fn every_check_finds_what_it_is_for() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let scene = Scene::new(case.base);
        let answer = scene.change(case.change).doctor(&[]);
        let found = answer.check(case.check).cloned().unwrap_or_default();
        let told = format!(
            "{}\n{}",
            found["evidence"].as_str().unwrap_or_default(),
            found["fix"].as_str().unwrap_or_default()
        );
        let first = answer.with("failed").first().is_none_or(|first| *first == case.check);
        let code = i32::from(case.status == "failed");
        let failed = case.status == "failed";
        if found["status"] != case.status
            || !told.contains(case.tells)
            || found["fix"].as_str().is_none_or(str::is_empty)
            || (failed && (!first || answer.with("failed").len() != 1 || answer.code != code))
        {
            wrong.push(format!(
                "{} on {:?}: {}\nfirst: {:?}\n{found:#}",
                case.check,
                case.base,
                case.change,
                answer.with("failed")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_check_passes_where_nothing_is_wrong() {
    for case in cases::all() {
        let scene = Scene::new(case.base);
        let answer = scene.change(case.sound).doctor(&[]);
        let found = answer.check(case.check).cloned().unwrap_or_default();
        assert_eq!(found["status"], "ok", "{} on {:?}: {found:#}", case.check, case.base);
        assert_eq!(found["fix"], Value::Null, "{}", case.check);
        assert_ne!(found["evidence"], "", "{}", case.check);
    }
}

#[test]
fn every_check_has_a_scene() {
    let tried: BTreeSet<String> = cases::all().map(|case| case.check.to_owned()).collect();
    assert_eq!(tried, all_checks().into_iter().collect());
}

#[test]
fn on_sound_machines_nothing_is_wrong() {
    for base in [Base::Mdev, Base::SriovMdev, Base::Vfio, Base::Guest] {
        let answer = Scene::new(base).doctor(&[]);
        for status in ["failed", "warning", "unknown"] {
            assert_eq!(answer.with(status), [""; 0], "{base:?}: {:#}", answer.report);
        }
        assert_eq!(answer.code, 0);
        assert_eq!(answer.report["role"], if base == Base::Guest { "guest" } else { "host" });
        assert!(answer.with("ok").len() >= 15, "{base:?}: {:?}", answer.with("ok"));
    }
}

/// Types that are in use are named, because they decide which others can be made.
#[test]
fn types_in_use_are_named() {
    for (base, expected) in
        [(Base::Mdev, "1 vGPU of GRID T4-2Q (nvidia-231)"), (Base::Vfio, "1 vGPU of NVIDIA A40-8Q (nvidia-558)")]
    {
        let answer = Scene::new(base).doctor(&[]);
        let evidence = answer.check("room").unwrap()["evidence"].as_str().unwrap().to_owned();
        assert!(evidence.contains(expected), "{evidence}");
    }
}

#[test]
fn the_first_failure_is_the_cause() {
    let causes = |base, change: &str| Scene::new(base).change(change).doctor(&[]).with("failed").join(" ");
    // The module was refused. So there is no driver, no service, no type and no virtual machine.
    assert_eq!(
        causes(
            Base::Vfio,
            "systemd-modules-load[3]: modprobe: ERROR: could not insert 'nvidia': Key was rejected by service
             - proc/driver/nvidia
             proc/modules =
             - $gpu/driver
             - $vf/driver
             - proc/700
             $gpu/sriov_numvfs = 0
             nvidia-vgpu-mgr[700]: error: vmiop_env_log: Failed to initialize RM client: 0x26
             systemd nvidia-vgpud: nvidia-vgpud.service: Failed with result 'exit-code'.
             kernel: [nvidia-vgpu-vfio] 0000:41:00.4: start failed. status: 0x0 Timeout Occured"
        ),
        "module-signature"
    );
    // Functions are off after a restart. So types and virtual machines cannot work either.
    assert_eq!(
        causes(
            Base::Vfio,
            "$gpu/sriov_numvfs = 0
             - $gpu/virtfn0
             - $gpu/virtfn1
             nvidia-vgpu-instances[699]: error: cannot make win10
             virtqemud[9]: internal error: vfio 0000:41:00.4: error getting device: No such device"
        ),
        "functions-on"
    );
    // Two causes that are independent of each other are both reported.
    assert_eq!(
        causes(Base::Mdev, "- sys/kernel/iommu_groups\n- etc/nvidia/vgpu/vgpuConfig.xml"),
        "iommu profiles-file"
    );
    // A guest that does not fit its host has no licence either.
    assert_eq!(
        causes(
            Base::Guest,
            "kernel: NVRM: Guest driver is incompatible with host driver
             kernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x25:0x65:1457)
             nvidia-gridd[600]: Valid GRID license not found. GPU features and performance will be restricted."
        ),
        "host-match licence-messages"
    );
}

#[test]
fn what_was_mended_is_history() {
    let ok = |base, check: &str, change: &str| {
        let answer = Scene::new(base).change(change).doctor(&[]);
        assert_eq!(answer.check(check).unwrap()["status"], "ok", "{:#}", answer.report);
    };
    ok(
        Base::Mdev,
        "rm-client",
        "nvidia-vgpu-mgr[700]: error: vmiop_env_log: Failed to initialize RM client: 0x26
         systemd nvidia-vgpu-mgr: Starting NVIDIA vGPU Manager Daemon...",
    );
    ok(
        Base::Mdev,
        "mgr-refusal",
        "kernel: [nvidia-vgpu-vfio] x: start failed. status: 0x1
         nvidia-vgpu-mgr[4900]: notice: vmiop_log: display_init inst: 0 successful",
    );
    ok(
        Base::Mdev,
        "vfio-version",
        "kernel: [nvidia-vgpu-vfio] Version mismatch: nvidia.ko(580.105.06) nvidia-vgpu-vfio.ko(580.95.02)
         kernel: NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.105.06",
    );
    ok(
        Base::Guest,
        "licence-messages",
        "nvidia-gridd[600]: Failed to acquire license from dls.example.org (Info: x - Error: Generic network communication failure)
         nvidia-gridd[600]: License acquired successfully. (Info: dls.example.org, NVIDIA RTX Virtual Workstation; Expiry: 2099-1-1)",
    );
}

/// Another board may be meant for something else.
#[test]
fn a_gpu_that_is_passed_through_is_no_failure_beside_one_that_works() {
    let scene = Scene::new(Base::Mdev);
    scene.machine.gpu("0000:81:00.0", "1e87", "0000");
    scene.machine.link("sys/devices/pci0000:40/0000:81:00.0/driver", "../../../bus/pci/drivers/vfio-pci");
    let answer = scene.doctor(&[]);
    assert_eq!(answer.code, 0);
    assert_eq!(answer.with("warning"), ["gpu-driver"]);
}

#[test]
fn without_a_journal_what_it_would_tell_is_unknown() {
    let scene = Scene::new(Base::Mdev);
    let output = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"))
        .args(["doctor", "--json", "--root"])
        .arg(scene.machine.root())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let symbols = checks.iter().find(|check| check["id"] == "vfio-symbols").unwrap();
    assert_eq!(symbols["status"], "unknown");
    assert!(symbols["evidence"].as_str().unwrap().contains("--journal FILE"), "{symbols}");
    assert!(checks.iter().any(|check| check["id"] == "iommu" && check["status"] == "ok"));
}

/// Without NVIDIA's library, only the checks that ask it are unknown.
#[test]
fn without_nvidias_library_what_it_would_tell_is_unknown() {
    let scene = Scene::new(Base::Vfio);
    scene.change("etc/nvidia/vgpu/nvml = broken 1");
    let answer = scene.doctor(&[]);
    assert_eq!(answer.with("unknown"), ["mig-instances", "vgpu-mode", "ecc"]);
    let evidence = answer.check("vgpu-mode").unwrap()["evidence"].as_str().unwrap();
    assert!(evidence.contains("libnvidia-ml.so.1 can't be asked") && evidence.contains("driver"), "{evidence}");
    assert_eq!(answer.code, 0);
}

#[test]
fn names_of_hosts_and_servers_are_told_on_request_alone() {
    let change = "etc/nvidia/gridd.conf = ServerAddress=10.0.0.9
        nvidia-gridd[600]: Failed to acquire license from dls.example.org (Info: x on rack7 - Error: https://10.1.2.3:443/ or licences.example.com: Generic network communication failure)";
    // The last one is only in the token.
    let private = ["dls.example.org", "rack7", "10.0.0.9", "10.1.2.3", "licences.example.com"];
    let scene = Scene::new(Base::Guest);
    scene.change(change);
    for args in [&["--json"][..], &[]] {
        let output = scene.command(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        for name in private {
            assert!(!text.contains(name), "{name}: {text}");
        }
        assert!(text.contains("Failed to acquire license from"), "{text}");
    }
    let text = String::from_utf8(scene.command(&["--json", "--all"]).output().unwrap().stdout).unwrap();
    for name in private {
        assert!(text.contains(name), "{name}: {text}");
    }
}

/// On hosts there is more: virtual machines and their images, boards, and the people who use them.
#[test]
fn nothing_private_of_a_host_is_told() {
    let change = "etc/passwd = root:x:0:0::/root:/bin/sh\\nalice:x:1000:100::/home/alice:/bin/sh\\nqemu-libvirtd:x:301:301::/:/bin/false
        kernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! GPU-12345678-489e-4834-9476-d70dabd98c40, serial number 0321120012345, rack7
        nvidia-vgpu-mgr[4800]: error: vmiop_log: init_device_instance failed for inst 0 with error 2 (unable to setup host connection state) 87654321-489e-4834-9476-d70dabd98c40
        libvirtd[650]: qemu: alice of 10.1.2.3: vfio 0000:41:00.4: Could not open '/dev/vfio/100': Permission denied, /home/bob/win10.qcow2
        etc/mdevctl.d/0000:41:00.0/c73f1fa6-489e-4834-9476-d70dabd98c41 = {\"mdev_type\":\"nvidia-999\",\"start\":\"auto\"}
        etc/nvidia/ClientConfigToken/client_configuration_token_1.tok = eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl
        nvidia-gridd[600]: Failed to read eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl";
    let private =
        ["alice", "bob", "rack7", "win10", "10.1.2.3", "0321120012345", "489e-4834-9476", "eyJhbGciOiJSUzI1NiJ9"];
    for base in [Base::Mdev, Base::SriovMdev, Base::Vfio] {
        let scene = Scene::new(base);
        scene.change(change);
        for args in [&["--json"][..], &[]] {
            let output = scene.command(args).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
            for name in private {
                assert!(!text.contains(name), "{base:?}: {name}: {text}");
            }
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(words.join(" ").contains("RmInitAdapter failed! GPU-12345678-…, serial"), "{text}");
        }
        let text = String::from_utf8(scene.command(&["--json", "--all"]).output().unwrap().stdout).unwrap();
        assert!(
            text.contains("0321120012345") && text.contains("alice") == text.contains("Permission denied"),
            "{text}"
        );
    }
    // A report of a sound host names vGPUs and virtual machines. It has no private data either.
    for base in [Base::Mdev, Base::SriovMdev, Base::Vfio] {
        let text = Scene::new(base).doctor(&[]).report.to_string();
        for name in ["489e-4834-9476", "win10", "rack7"] {
            assert!(!text.contains(name), "{base:?}: {name}: {text}");
        }
    }
}

/// A T4 has SR-IOV and does not use it: vgpuConfig.xml does not list it as sriov.
#[test]
fn boards_with_mediated_devices_of_their_own_need_no_functions() {
    let scene = Scene::new(Base::Mdev);
    scene.change("$gpu/sriov_totalvfs = 16\n$gpu/sriov_numvfs = 0");
    let answer = scene.doctor(&[]);
    assert_eq!((answer.with("failed"), answer.with("warning")), (vec![], vec![]), "{:#}", answer.report);
    assert!(answer.check("functions-on").is_none());
    // Before nvidia-vgpud has told the types, nothing else shows how its vGPUs are made.
    scene.change("- $gpu/mdev_supported_types");
    let answer = scene.doctor(&[]);
    assert_eq!(answer.with("failed"), ["types-offered"], "{:#}", answer.report);
    assert!(answer.check("types-offered").unwrap()["evidence"].as_str().unwrap().contains("no mdev_supported_types"));
}

#[test]
fn answers_are_read_without_colour_in_80_columns() {
    let scene = Scene::new(Base::Vfio);
    scene.change(
        "$gpu/sriov_numvfs = 0
         - $gpu/virtfn0
         - $gpu/virtfn1
         nvidia-vgpu-mgr[4801]: notice: vmiop_log: FRL Value: 45 FPS",
    );
    let output = scene.command(&[]).output().unwrap();
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r"
    host, NixOS 25.11, kernel 6.12.58, NVIDIA's driver 580.105.06

    platform             4 ok

    modules              14 ok

    services             5 ok

    virtual functions    1 failed, 4 ok, 2 wait for functions-on
      failed  functions-on: Are virtual functions switched on?
              0000:41:00.0 sriov_numvfs: 0 of 32
              fix: declare hardware.nvidia.vgpu.instances, which switches them on
                   where needed; by hand: sriov-manage -e 0000:41:00.0

    types                1 ok, 5 wait for functions-on

    instances            13 wait for functions-on

    virtual machines     1 warning, 11 ok, 3 wait for functions-on
      warning frame-rate: May guests draw 60 frames a second?
              2025-11-24 12:03:04 UTC nvidia-vgpu-mgr: notice: vmiop_log: FRL Value:
              45 FPS
              fix: parameters.frame_rate_limiter = false; of
                   hardware.nvidia.vgpu.instances.<name>, or another series: the B
                   profiles are limited to 45

    licence              1 ok
    ");
    let counted = String::from_utf8(output.stderr).unwrap();
    insta::assert_snapshot!(counted.split_once(" of ").unwrap().1.split_once(' ').unwrap().1, @r"
    checks failed
    help: begin with `functions-on`, and run `vgpu doctor` again: it then makes the checks that build on it
    ");

    for base in [Base::Mdev, Base::Guest] {
        let change = cases::all().filter(|case| case.base == base && case.status == "warning").map(|case| case.change);
        let scene = Scene::new(base);
        scene
            .change(&change.collect::<Vec<_>>().join("\n"))
            .change("kernel: NVRM: Xid \u{1b}[31m")
            .change("nvidia-gridd[600]: Failed to \u{1b}[31m");
        for args in [&[][..], &["--all"]] {
            let text = String::from_utf8(scene.command(args).output().unwrap().stdout).unwrap();
            // A word that is longer than a line cannot be wrapped.
            let long = |line: &&str| line.chars().count() > 80 && line.trim().contains(' ');
            assert_eq!(text.lines().find(long), None, "{text}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}

#[test]
fn a_machine_with_nothing_to_see_is_answered() {
    let machine = machine_tree::MachineTree::new();
    let doctor = |args: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
        command.args(["doctor", "--root"]).arg(machine.root()).args(args).output().unwrap()
    };
    for args in [&["--json"][..], &["--json", "--role", "guest"]] {
        let output = doctor(args);
        assert_eq!(output.status.code(), Some(1));
        assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["checks"].as_array().unwrap().len() > 10);
    }
    let output = doctor(&["--journal", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read the journal in /nonexistent"));
    assert_eq!(doctor(&["--role", "both"]).status.code(), Some(2));
}

/// On every machine there is an answer, with the right exit code.
#[test]
fn this_machine_is_answered() {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("vgpu")).args(["doctor", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = report["checks"].as_array().unwrap().iter().any(|check| check["status"] == "failed");
    assert_eq!(output.status.code(), Some(i32::from(failed)));
}

#[test]
fn the_manual_has_the_table_of_checks() {
    let page = repository("docs/troubleshooting.md");
    let (begin, end) = ("<!-- checks -->\n", "<!-- end of checks -->");
    let (before, rest) = page.split_once(begin).expect("docs/troubleshooting.md has a mark");
    let (table, after) = rest.split_once(end).expect("docs/troubleshooting.md has a mark");
    let expected = vgpu::doctor::table() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md");
        std::fs::write(path, format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert!(table == expected, "out of date: run `UPDATE_DOCS=1 cargo test --test doctor`");
    }
    let rows = expected.lines().filter(|line| line.starts_with("| `")).count();
    assert!(rows > 60, "{rows} rows");
}
