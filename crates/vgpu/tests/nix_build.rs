//! nix-build really builds drivers here, in a store that the test makes, from a sample archive that was put into it.
//!
//! nix/tests/build.nix says what to build, and nix/tests/host-tools.nix with which tools. These tests need Nix and
//! `<nixpkgs/lib>`. If there is none, they say so and pass, unless VGPU_REQUIRE_NIX is set.

mod nix_store;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix_store::{NixStore, nixpkgs_lib, programs, quoted};
use vgpu::nix::sri::Sri;
use vgpu_driver::Role;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const HOST_RUN: &str = "NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run";
const GUEST_RUN: &str = "NVIDIA-Linux-x86_64-550.163.01-grid.run";

/// A Nix store and the sample's files.
struct Machine {
    store: NixStore,
    files: tempfile::TempDir,
    /// Where nixpkgs' library is.
    lib: PathBuf,
    hashes: String,
}

impl Machine {
    fn new() -> Option<Machine> {
        let store = NixStore::new()?;
        let lib = nixpkgs_lib()?;
        let files = tempfile::tempdir().unwrap();
        let hashes = sample(files.path());
        Some(Machine { store, files, lib, hashes })
    }

    fn nix_store(&self, arguments: &[&str]) -> Output {
        self.store.prepare(Command::new("nix-store").args(arguments)).output().unwrap()
    }

    /// Adds one of the sample's files to the store.
    fn add(&self, name: &str) {
        self.store.add(&self.files.path().join(name));
    }

    fn nix_build(&self, arguments: &str, attribute: &str) -> Output {
        let vgpu = quoted(&programs());
        let (lib, hashes) = (self.lib.display(), &self.hashes);
        let expression = format!(
            "(import {ROOT}/nix/tests/build.nix {{ lib = import {lib}; vgpu = {vgpu}; hashes = {hashes}; {arguments} }}).{attribute}"
        );
        self.store.prepare(Command::new("nix-build").args(["--no-out-link", "-E", &expression])).output().unwrap()
    }

    fn build(&self, attribute: &str) -> PathBuf {
        self.build_on("25.11", attribute)
    }

    fn build_on(&self, release: &str, attribute: &str) -> PathBuf {
        let output = self.nix_build(&format!("release = \"{release}\";"), attribute);
        assert!(output.status.success(), "{attribute}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().into()
    }

    /// The messages of a build that must fail.
    fn broken(&self, attribute: &str) -> String {
        let output = self.nix_build("", attribute);
        assert!(!output.status.success(), "{attribute} was built");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Store paths that an output refers to, by name without the hash.
    fn references(&self, path: &Path) -> Vec<String> {
        let output = self.nix_store(&["--query", "--references", path.to_str().unwrap()]);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<_> =
            text.lines().map(|path| path.rsplit('/').next().unwrap().split_once('-').unwrap().1.to_owned()).collect();
        names.sort();
        names
    }
}

/// Writes the sample's archive and the .run files in it. Returns their hashes, as a Nix attribute set.
fn sample(dir: &Path) -> String {
    let (name, content) = vgpu_sample::grid_archive().unwrap();
    fs::write(dir.join(name), &content).unwrap();
    let mut hashes = format!("{{ zip = \"{}\"; ", sri(&content));
    for role in [Role::Host, Role::Guest] {
        let (name, content) = vgpu_sample::run_file(role).unwrap();
        fs::write(dir.join(name), &content).unwrap();
        hashes += &format!("{role} = \"{}\"; ", sri(&content));
    }
    hashes + "}"
}

fn sri(content: &[u8]) -> String {
    use sha2::Digest;
    Sri::of_digest(sha2::Sha256::digest(content).into()).to_string()
}

/// The files of an output, sorted, symlinks with their targets.
fn tree(path: &Path) -> String {
    fn walk(root: &Path, dir: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_symlink() {
                lines.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if path.is_dir() {
                walk(root, &path, lines);
            } else {
                lines.push(name);
            }
        }
    }
    let mut lines = Vec::new();
    walk(path, path, &mut lines);
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_host_driver() {
    let Some(machine) = Machine::new() else { return };
    machine.add("NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip");
    let out = machine.build("host.out");
    let bin = machine.build("host.bin");

    assert!(out.join("vgpuConfig.xml").is_file());
    assert!(out.join("lib/libnvidia-vgpu.so").exists());
    assert!(machine.build("host.modsrc").join("kernel/nvidia").is_dir());

    // The program reads the file that the module puts under /etc.
    let vgpud = fs::read(bin.join("bin/nvidia-vgpud")).unwrap();
    let within = |text: &[u8]| vgpud.windows(text.len()).any(|part| part == text);
    assert!(within(b"/etc/nvidia/vgpu/vgpuConfig.xml\0") && !within(b"/usr/share/nvidia/vgpu"));
    assert_eq!(fs::metadata(bin.join("bin/nvidia-vgpud")).unwrap().permissions().mode() & 0o777, 0o555);

    // Programs find their libraries. Nothing refers to the archive or to our own program, so these are not kept installed.
    assert_eq!(machine.references(&bin), ["nvidia-vgpu-host-550.163.02", "nvidia-vgpu-host-550.163.02-bin"]);
    assert_eq!(machine.references(&out), ["nvidia-vgpu-host-550.163.02"]);
    assert_eq!(machine.references(&machine.build("host.modsrc")), [""; 0]);
}

#[test]
fn a_host_driver_from_a_run_file() {
    let Some(machine) = Machine::new() else { return };
    machine.add("NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip");
    machine.add(HOST_RUN);
    assert_eq!(tree(&machine.build("hostFromRun.out")), tree(&machine.build("host.out")));
}

#[test]
fn a_guest_driver() {
    let Some(machine) = Machine::new() else { return };
    machine.add("NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip");
    machine.add(GUEST_RUN);
    let out = machine.build("guest.out");
    let bin = machine.build("guest.bin");
    let lib32 = machine.build("guest.lib32");

    assert!(out.join("gridd.conf.template").is_file());
    assert!(bin.join("bin/nvidia-gridd").is_file() && bin.join("bin/nvidia-topologyd").is_file());
    assert!(lib32.join("lib").is_dir());
    assert!(bin.join("share/nvidia/nvidia-application-profiles-rc").is_file());
    let icd = fs::read_to_string(out.join("share/vulkan/icd.d/nvidia_icd.x86_64.json")).unwrap();
    assert!(icd.contains(&format!("{}/lib/libGLX_nvidia.so", out.display())), "{icd}");
    let smi = Command::new(bin.join("bin/nvidia-smi")).output().unwrap();
    assert!(String::from_utf8_lossy(&smi.stdout).contains("550.163.01"), "{smi:?}");

    for output in [&out, &bin, &lib32] {
        for name in machine.references(output) {
            assert!(name.starts_with("nvidia-vgpu-guest-550.163.01"), "{} refers to {name}", output.display());
        }
    }

    // The archive contains the same driver.
    assert_eq!(tree(&machine.build("guestFromZip.out")), tree(&out));
}

/// Up to 25.11 the X server of NixOS finds drivers only in folders that are no links: `find OUTPUT -type d`.
#[test]
fn folders_with_x_drivers_are_no_links() {
    let Some(machine) = Machine::new() else { return };
    machine.add(GUEST_RUN);
    let bin = machine.build("guest.bin");
    let found = Command::new("find").arg(&bin).args(["-type", "d"]).output().unwrap();
    let folders = String::from_utf8(found.stdout).unwrap();
    let with_libraries: Vec<_> = folders
        .lines()
        .filter(|folder| {
            fs::read_dir(folder).unwrap().any(|entry| entry.unwrap().file_name().to_string_lossy().contains(".so"))
        })
        .map(|folder| Path::new(folder).strip_prefix(&bin).unwrap().to_str().unwrap())
        .collect();
    assert!(with_libraries.contains(&"lib/xorg/modules/drivers"), "{with_libraries:?}");
}

/// The modules and the installer agree on what is where.
#[test]
fn everything_that_modules_refer_to_is_there() {
    let Some(machine) = Machine::new() else { return };
    machine.add("NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip");
    machine.add(GUEST_RUN);
    let files = |role| {
        let list = fs::read_to_string(machine.build(&format!("referred.{role}"))).unwrap();
        // A file that is itself a store path has 32 digits before its name.
        let plain = |name: &str| name.get(33..).filter(|_| name.as_bytes()[32] == b'-').unwrap_or(name).to_owned();
        let mut names: Vec<_> = list.lines().map(|path| plain(path.rsplit('/').next().unwrap())).collect();
        names.sort();
        names.join(" ")
    };
    insta::assert_snapshot!(files("host"), @"libnvidia-ml.so.1 nvidia-vgpu-mgr nvidia-vgpud nvidia-xid-logd vgpu vgpu-instances.json vgpuConfig.xml");
    insta::assert_snapshot!(files("guest"), @"gridd.conf.template nvidia-gridd nvidia-topologyd nvidia-topologyd.conf.template");
}

#[test]
fn newer_nixpkgs_bring_the_egl_platforms() {
    let Some(machine) = Machine::new() else { return };
    machine.add(GUEST_RUN);
    let platforms = |release| machine.build_on(release, "guest.out").join("share/egl/egl_external_platform.d");
    assert!(platforms("25.11").is_dir());
    assert!(!platforms("26.05").exists());
}

#[test]
fn hooks_change_the_driver() {
    let Some(machine) = Machine::new() else { return };
    machine.add("NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip");
    let out = machine.build("hooked.out");
    let config = fs::read_to_string(out.join("vgpuConfig.xml")).unwrap();
    assert!(config.ends_with("before\nafter\ninstalling\n"), "{config}");
    assert_eq!(fs::read_to_string(out.join("installed")).unwrap(), "installed\n");
    assert_eq!(tree(&out).replace("installed\n", ""), tree(&machine.build("host.out")));
    assert_eq!(fs::read_to_string(machine.build("overridden").join("installed")).unwrap(), "installed\n");
}

#[test]
fn changed_profiles() {
    let Some(machine) = Machine::new() else { return };
    machine.add("NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip");
    let before = fs::read_to_string(machine.build("host.out").join("vgpuConfig.xml")).unwrap();
    let after = fs::read_to_string(machine.build("profiles")).unwrap();
    let changed: Vec<_> = before.lines().zip(after.lines()).filter(|(before, after)| before != after).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].1.contains("<numHeads>2</numHeads>"), "{changed:?}");
}

#[test]
fn declared_vgpus_are_checked_against_the_driver() {
    let Some(machine) = Machine::new() else { return };
    machine.add("NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip");
    let declared: serde_json::Value = serde_json::from_slice(&fs::read(machine.build("instances")).unwrap()).unwrap();
    assert_eq!(declared["instances"]["office"]["profile"], "P40-2Q");
    let message = machine.broken("misspelt");
    for part in ["instance office: this driver has no profile P40-3Q", "the nearest are P40-1Q, P40-2Q"] {
        assert!(message.contains(part), "no {part:?} in:\n{message}");
    }
}

#[test]
fn an_archive_that_is_not_there() {
    let Some(machine) = Machine::new() else { return };
    let message = machine.broken("missing");
    for part in [
        "NVIDIA-GRID-Linux-KVM-535.129.03-537.70.zip is not in the Nix store.",
        "vGPU\nsoftware 16.2 for \"Linux KVM\"",
        "https://ui.licensing.nvidia.com",
        "vgpu import NVIDIA-GRID-Linux-KVM-535.129.03-537.70.zip",
        "nix-store --add-fixed sha256 NVIDIA-GRID-Linux-KVM-535.129.03-537.70.zip",
    ] {
        assert!(message.contains(part), "no {part:?} in:\n{message}");
    }
}

#[test]
fn a_release_that_nobody_pinned() {
    let Some(machine) = Machine::new() else { return };
    let message = machine.broken("unpinned");
    for part in [
        "NVIDIA vGPU 19.2 is known, but not the hash of NVIDIA-Linux-x86_64-580.95.05-grid.run.",
        "nix-hash --flat --base32 --type sha256 NVIDIA-Linux-x86_64-580.95.05-grid.run",
        "hardware.nvidia.vgpu.driverSource = {",
        "mkVgpuDriver {",
    ] {
        assert!(message.contains(part), "no {part:?} in:\n{message}");
    }
}
