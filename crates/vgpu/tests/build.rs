//! `vgpu build` on sample drivers: every form of archive gives the same complete and working tree.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use object_rewrite::Rewriter;
use predicates::prelude::*;
use serde_json::Value;
use support::{Sandbox, packed, run_file, tree};
use vgpu_driver::Role;
use vgpu_sample::{self as sample, Compression, File};

const BOTH: [Role; 2] = [Role::Host, Role::Guest];

/// Builds `source` into `name`, and gives the report.
fn build(sandbox: &Sandbox, source: &str, role: Role, name: &str) -> Value {
    let role = role.to_string();
    let output = sandbox
        .vgpu(&["build", source, "--role", &role, "--out", name, "--json"])
        .assert()
        .success()
        .get_output()
        .clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A sandbox with the sample archive, and its name.
fn with_archive() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let (name, content) = sample::grid_archive().unwrap();
    sandbox.write(&name, content);
    (sandbox, name)
}

#[test]
fn a_host_driver_is_complete_and_works() {
    let (sandbox, archive) = with_archive();
    let report = build(&sandbox, &archive, Role::Host, "d");
    assert_eq!(report["version"], sample::HOST_VERSION);
    assert_eq!(report["role"], "host");
    assert_eq!(report["unknown"], Value::Array(vec![]));
    let smi = Command::new(sandbox.path("d/bin/bin/nvidia-smi")).output().unwrap();
    assert!(smi.status.success(), "finds libnvidia-ml: {smi:?}");
    let vgpud = Command::new(sandbox.path("d/bin/bin/nvidia-vgpud")).output().unwrap();
    assert!(String::from_utf8_lossy(&vgpud.stdout).contains("reads /etc/nvidia/vgpu/vgpuConfig.xml\0"), "{vgpud:?}");
    let manager = Command::new(sandbox.path("d/bin/bin/nvidia-vgpu-mgr")).output().unwrap();
    assert!(manager.status.success(), "finds libnvidia-vgpu.so: {manager:?}");
    let original = fs::read(sandbox.path("d/bin/origBin/nvidia-vgpud")).unwrap();
    assert!(memchr::memmem::find(&original, b"/usr/share/nvidia/vgpu").is_some(), "the original is untouched");
    assert!(sandbox.path("d/out/vgpuConfig.xml").is_file());
    assert!(sandbox.path("d/modsrc/kernel/Makefile").is_file());
    assert!(sandbox.path("d/modsrc/kernel-open/nvidia/nv.c").is_file());
    assert!(sandbox.path("d/firmware/lib/firmware/nvidia/550.163.02/gsp_ga10x.bin").is_file());
    assert!(!sandbox.path("d/bin/bin/nvidia-modprobe").exists());
}

#[test]
fn a_guest_driver_leads_nowhere_wrong() {
    let (sandbox, archive) = with_archive();
    build(&sandbox, &archive, Role::Guest, "d");
    let root = sandbox.path("d");
    let root_text = root.to_str().unwrap();
    let files = tree(&root);
    for (name, (mode, content)) in &files {
        let path = root.join(name);
        assert_eq!(mode & 0o7000, 0, "{name}");
        assert!(path.exists(), "{name} is a dangling symlink");
        let text = String::from_utf8_lossy(content);
        if name.ends_with(".json") || name.ends_with(".icd") {
            for (at, _) in text.match_indices(root_text) {
                let end = text[at..].find(['"', '\n']).unwrap();
                assert!(fs::exists(&text[at..at + end]).unwrap(), "{name} names {}", &text[at..at + end]);
            }
        }
    }
    for (name, expected) in [
        ("out/lib/libcuda.so", "libcuda.so.1"),
        ("out/lib/libcuda.so.1", "libcuda.so.550.163.01"),
        ("out/lib/gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so.1"),
        ("lib32/lib/gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so.1"),
        ("out/lib/vdpau/libvdpau_nvidia.so.1", "libvdpau_nvidia.so.550.163.01"),
        ("lib32/lib/libcuda.so.1", "libcuda.so.550.163.01"),
        ("bin/lib/xorg/modules/extensions/libglxserver_nvidia.so", "libglxserver_nvidia.so.550.163.01"),
    ] {
        assert_eq!(files.get(name).map(|(_, to)| String::from_utf8_lossy(to)), Some(expected.into()), "{name}");
    }
    for name in [
        "out/share/vulkan/icd.d/nvidia_icd.x86_64.json",
        "out/share/vulkan/implicit_layer.d/nvidia_layers.json",
        "lib32/share/vulkan/icd.d/nvidia_icd.i686.json",
        "out/share/glvnd/egl_vendor.d/10_nvidia.json",
        "out/share/egl/egl_external_platform.d/15_nvidia_gbm.json",
        "out/share/egl/egl_external_platform.d/10_nvidia_wayland.json",
        "out/lib/nvidia/wine/nvngx.dll",
        "out/lib/nvoptix.bin",
        "out/gridd.conf.template",
        "bin/share/nvidia/nvidia-application-profiles-rc",
        "bin/share/dbus-1/system.d/nvidia-dbus.conf",
        "bin/share/dbus-1/system.d/nvidia-grid.conf",
        "bin/share/man/man1/nvidia-smi.1.gz",
        "bin/lib/xorg/modules/drivers/nvidia_drv.so",
    ] {
        assert!(files.contains_key(name), "{name} is missing");
    }
    assert!(!files.contains_key("out/lib/libGL.so.1.7.0"), "nixpkgs has its own libglvnd");
}

#[test]
fn run_paths_and_interpreters_are_as_asked() {
    let (sandbox, archive) = with_archive();
    let extra = ["--lib-path", "/one:/two", "--lib-path-32", "/three", "--interpreter", "/ld.so"];
    sandbox.vgpu(&["build", &archive, "--role", "guest", "--out", "d"]).args(extra).assert().success();
    let elf = |name: &str| fs::read(sandbox.path("d").join(name)).unwrap();
    let run_path =
        |data: &[u8]| String::from_utf8_lossy(Rewriter::read(data).unwrap().elf_runpath().unwrap()).into_owned();
    let (own, own_32) = (sandbox.path("d/out/lib"), sandbox.path("d/lib32/lib"));
    assert_eq!(run_path(&elf("out/lib/libcuda.so.1")), format!("{}:/one:/two", own.display()));
    assert_eq!(run_path(&elf("bin/lib/xorg/modules/drivers/nvidia_drv.so")), format!("{}:/one:/two", own.display()));
    assert_eq!(run_path(&elf("lib32/lib/libcuda.so.1")), format!("{}:/three", own_32.display()));
    let smi = elf("bin/bin/nvidia-smi");
    assert_eq!(run_path(&smi), format!("{}:/one:/two", own.display()));
    assert_eq!(Rewriter::read(&smi[..]).unwrap().elf_interpreter(), Some(&b"/ld.so\0"[..]));
}

#[test]
fn every_form_of_archive_yields_the_same_tree() {
    for role in BOTH {
        let sandbox = Sandbox::new();
        let tar = sample::tar(&sample::files(role)).unwrap();
        let mut expected = None;
        let mut compare = |sandbox: &Sandbox, source: &str| {
            build(sandbox, source, role, "d");
            let found = tree(&sandbox.path("d"));
            fs::remove_dir_all(sandbox.path("d")).unwrap();
            assert!(found.len() > 40 || role == Role::Host && found.len() > 20);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert!(*expected == found, "{source} for {role} differs");
        };
        for compression in [Compression::Zstd, Compression::Xz, Compression::Gzip, Compression::Bzip2] {
            for decompressor in [&b""[..], b"\x7fELF\n\n binary \n\0"] {
                sandbox.write("driver.run", packed(role, &tar, compression, decompressor));
                compare(&sandbox, "driver.run");
            }
        }
        let (name, grid) = sample::grid_archive().unwrap();
        sandbox.write(&name, grid);
        compare(&sandbox, &name);
        for File { name, data, .. } in sample::files(role) {
            sandbox.write(&format!("unpacked/{name}"), data);
        }
        compare(&sandbox, "unpacked");
        let mut files = sample::files(role);
        files.reverse(); // The manifest comes last.
        sandbox.write("reversed.run", run_file(role, &files));
        compare(&sandbox, "reversed.run");
    }
}

#[test]
fn a_changed_config_replaces_the_drivers_and_nothing_else() {
    let (sandbox, archive) = with_archive();
    build(&sandbox, &archive, Role::Host, "d");
    let plain = tree(&sandbox.path("d"));
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    sandbox.write("mine.xml", "<vgpuconfig/>");
    let args = ["build", &archive, "--role", "host", "--out", "d", "--vgpu-config", "mine.xml"];
    sandbox.vgpu(&args).assert().success();
    let changed = tree(&sandbox.path("d"));
    let differing: Vec<_> = plain.keys().filter(|name| plain[*name] != changed[*name]).collect();
    assert_eq!(differing, ["out/vgpuConfig.xml"]);
    assert_eq!(changed["out/vgpuConfig.xml"].1, b"<vgpuconfig/>");
    assert_eq!(plain.len(), changed.len());
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    // A pipe can be read only once.
    let pipe = ["build", &archive, "--role", "host", "--out", "d", "--vgpu-config", "/dev/stdin"];
    sandbox.vgpu(&pipe).write_stdin("<vgpuconfig/>").assert().success();
    assert!(tree(&sandbox.path("d")) == changed);
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    let args = ["build", &archive, "--role", "guest", "--out", "d", "--vgpu-config", "mine.xml"];
    sandbox.vgpu(&args).assert().code(1).stderr(predicate::str::contains("only host drivers have one"));
}

#[test]
fn scripts_find_what_they_call() {
    let (sandbox, archive) = with_archive();
    build(&sandbox, &archive, Role::Host, "d");
    let text = |name: &str| fs::read_to_string(sandbox.path("d").join(name)).unwrap();
    let (out, bin) = (sandbox.path("d/out/bin"), sandbox.path("d/bin/bin"));
    assert_eq!(text("out/bin/nvidia-sleep.sh"), "#!/bin/bash\nPATH=\"$PATH:/bin:/usr/bin\"\necho \"$1\"\n");
    let sleep = format!("#!/bin/sh\n{}/nvidia-sleep.sh resume\n", out.display());
    assert_eq!(text("out/lib/systemd/system-sleep/nvidia"), sleep);
    assert!(text("bin/bin/sriov-manage").contains(&format!("Usage: {}/sriov-manage ", bin.display())));
    assert_eq!(text("bin/bin/nvidia-bug-report.sh"), "#!/bin/sh\nls / | grep proc\n");
    for name in ["out/bin/nvidia-sleep.sh", "out/lib/systemd/system-sleep/nvidia", "bin/bin/sriov-manage"] {
        assert_eq!(fs::metadata(sandbox.path("d").join(name)).unwrap().permissions().mode(), 0o100755, "{name}");
    }
}

#[test]
fn what_is_in_bin_can_be_run_whatever_it_is() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Host);
    files[0].data.extend(b"tool 0755 UTILITY_BINARY MODULE:x\ntool.txt 0644 UTILITY_BINARY MODULE:x\n");
    files.extend([File::new("tool", 0o644, "\x7fOTHER"), File::new("tool.txt", 0o644, "text")]);
    sandbox.write("driver.run", run_file(Role::Host, &files));
    build(&sandbox, "driver.run", Role::Host, "d");
    for (name, mode) in [("tool", 0o100755), ("tool.txt", 0o100644)] {
        assert_eq!(fs::metadata(sandbox.path("d/bin/bin").join(name)).unwrap().permissions().mode(), mode, "{name}");
    }
}

#[test]
fn older_drivers_do_not_list_the_link_for_gbm() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    let manifest = String::from_utf8(files[0].data.clone()).unwrap();
    let older: String = manifest.lines().filter(|l| !l.contains("GBM_BACKEND")).flat_map(|l| [l, "\n"]).collect();
    assert_ne!(older, manifest);
    files[0].data = older.into_bytes();
    sandbox.write("driver.run", run_file(Role::Guest, &files));
    build(&sandbox, "driver.run", Role::Guest, "d");
    for output in ["out", "lib32"] {
        let link = sandbox.path("d").join(output).join("lib/gbm/nvidia-drm_gbm.so");
        assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("../libnvidia-allocator.so"));
        assert!(link.exists());
    }
}

#[test]
fn payloads_in_several_compressed_parts_are_read_whole() {
    let sandbox = Sandbox::new();
    let tar = sample::tar(&sample::files(Role::Host)).unwrap();
    let (first, second) = tar.split_at(tar.len() / 2);
    for compression in [Compression::Zstd, Compression::Xz, Compression::Gzip, Compression::Bzip2] {
        let parts = [first, second].map(|part| sample::compress(part, compression).unwrap()).concat();
        let target = sample::target(Role::Host);
        sandbox.write("driver.run", sample::makeself(&target, sample::HOST_VERSION, &parts, b""));
        build(&sandbox, "driver.run", Role::Host, "d");
        fs::remove_dir_all(sandbox.path("d")).unwrap();
    }
}

#[test]
fn zip_archives_of_other_makers_are_read_too() {
    use zip::write::SimpleFileOptions;
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for options in [stored, SimpleFileOptions::default().large_file(true)] {
        let sandbox = Sandbox::new();
        let (name, run) = sample::run_file(Role::Host).unwrap();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.add_directory("17.6/", options).unwrap();
        zip.start_file(format!("17.6\\Host\\{name}"), options).unwrap();
        std::io::Write::write_all(&mut zip, &run).unwrap();
        sandbox.write("a.zip", zip.finish().unwrap().into_inner());
        build(&sandbox, "a.zip", Role::Host, "d");
    }
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let (sandbox, archive) = with_archive();
    let vgpu = assert_cmd::cargo::cargo_bin("vgpu");
    for (mask, out) in [("022", "a"), ("077", "b"), ("000", "c")] {
        let script = format!("umask {mask}; exec {} build {archive} --role guest --out {out}", vgpu.display());
        assert!(Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).status().unwrap().success());
    }
    let modes = |out: &str| {
        let modes = |(name, (mode, _)): (String, (u32, Vec<u8>))| (name, mode);
        tree(&sandbox.path(out)).into_iter().map(modes).collect::<Vec<_>>()
    };
    assert!(modes("a").iter().all(|(_, mode)| [0o040755, 0o100755, 0o100644, 0o120777].contains(mode)));
    assert_eq!(modes("a"), modes("b"));
    assert_eq!(modes("a"), modes("c"));
}

#[test]
fn a_manifest_that_comes_late_needs_room_for_what_comes_before() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    files.reverse();
    sandbox.write("reversed.run", run_file(Role::Guest, &files));
    let build = ["build", "reversed.run", "--role", "guest", "--out", "d"];
    let failed = sandbox.vgpu(&build).env("TMPDIR", sandbox.path("no/such")).assert().code(1);
    failed.stderr(predicate::str::contains("no/such cannot be written").and(predicate::str::contains("help: ")));
    assert_eq!(sandbox.names(), ["reversed.run"]);
}

#[test]
fn unknown_types_are_reported_and_put_nowhere() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    files[0].data.extend(b"quantum.bin 0644 QUANTUM_DATA / MODULE:q\n");
    files.push(File::new("quantum.bin", 0o644, "?"));
    sandbox.write("driver.run", run_file(Role::Guest, &files));
    let report = build(&sandbox, "driver.run", Role::Guest, "d");
    assert_eq!(report["unknown"], serde_json::json!(["QUANTUM_DATA"]));
    let skipped = report["skipped"].as_array().unwrap();
    let quantum = skipped.iter().find(|s| s["file"] == "quantum.bin").expect("it is in the list of skipped files");
    assert_eq!(quantum["reason"], "its type QUANTUM_DATA is not known");
    assert!(!tree(&sandbox.path("d")).keys().any(|name| name.contains("quantum")));
    let uninstall = skipped.iter().find(|s| s["file"] == "nvidia-uninstall").expect("so are links to nothing");
    assert_eq!(uninstall["reason"], "links to a file that is not installed");
}

#[test]
fn the_report_names_what_nobody_builds_with_what_does_its_work() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    files[0].data.extend(b"nvidia-xconfig 0755 UTILITY_BINARY MODULE:installer\n");
    files.push(File::new("nvidia-xconfig", 0o755, "?"));
    sandbox.write("driver.run", run_file(Role::Guest, &files));
    let report = build(&sandbox, "driver.run", Role::Guest, "d");
    let reason = |name: &str| {
        let skipped = report["skipped"].as_array().unwrap();
        skipped.iter().find(|skipped| skipped["file"] == name).unwrap_or_else(|| panic!("{name}"))["reason"].clone()
    };
    assert_eq!(reason("nvidia-modprobe"), "udev loads the modules and makes the device files");
    assert_eq!(reason("nvidia-xconfig"), "NixOS writes the X server's configuration");
    assert!(!tree(&sandbox.path("d")).keys().any(|name| name.contains("xconfig") || name.contains("modprobe")));
}

#[test]
fn a_large_file_comes_out_whole() {
    let sandbox = Sandbox::new();
    let mut files = sample::files(Role::Guest);
    let large: Vec<u8> = (0..9_000_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    files.iter_mut().find(|file| file.name == "nvoptix.bin").unwrap().data = large.clone();
    sandbox.write("driver.run", run_file(Role::Guest, &files));
    let report = build(&sandbox, "driver.run", Role::Guest, "d");
    let installed = sandbox.path("d/out/lib/nvoptix.bin");
    assert!(fs::read(&installed).unwrap() == large);
    assert_eq!(fs::metadata(&installed).unwrap().permissions().mode() & 0o7777, 0o644);
    assert!(report["bytes"].as_u64().unwrap() > 9_000_001);
}

#[test]
fn the_report_counts_what_was_written() {
    let (sandbox, archive) = with_archive();
    let report = build(&sandbox, &archive, Role::Guest, "d");
    let is_file = |name: &String| sandbox.path("d").join(name).symlink_metadata().unwrap().is_file();
    let files = tree(&sandbox.path("d"));
    let written: Vec<_> = files.iter().filter(|(name, _)| is_file(name)).collect();
    assert_eq!(report["files"], written.len());
    assert_eq!(report["bytes"], written.iter().map(|(_, (_, content))| content.len()).sum::<usize>());
    assert_eq!(report["outputs"]["modsrc"], sandbox.path("d/modsrc").to_str().unwrap());
}

#[test]
fn the_demo_runs_and_says_where_everything_lies() {
    let sandbox = Sandbox::new();
    let shown = sandbox.vgpu(&["demo"]).assert().success();
    let text = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(text.contains("sample nvidia-smi 550.163.01"), "{text}");
    assert!(text.contains("sample nvidia-vgpud reads /etc/nvidia/vgpu/vgpuConfig.xml"), "{text}");
    assert!(sandbox.path("vgpu-demo/guest/out/lib/libcuda.so.1").exists());
    sandbox.vgpu(&["demo"]).assert().code(1).stderr(predicate::str::contains("help: remove it"));
}
