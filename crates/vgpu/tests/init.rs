//! `vgpu init` on machines that are directory trees.

mod nix_store;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use nix_store::{NixStore, nixpkgs_lib, quoted};
use tempfile::TempDir;

/// A directory tree as a machine, and a place to write to.
struct Machine {
    directory: TempDir,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { directory: tempfile::tempdir().unwrap() };
        machine.file("proc/sys/kernel/osrelease", "6.12.8\n");
        machine.file("proc/sys/kernel/hostname", "rack\n");
        machine.file("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx sse2\n");
        machine.file("etc/os-release", "ID=nixos\nNAME=NixOS\nVERSION_ID=\"25.05\"\n");
        machine
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    fn file(&self, path: &str, text: &str) -> &Machine {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Puts a device on the PCI bus: vendor, device, class.
    fn device(&self, address: &str, vendor: &str, device: &str, class: &str) -> PathBuf {
        let directory = format!("sys/bus/pci/devices/{address}");
        for (name, value) in [("vendor", vendor), ("device", device), ("class", class)] {
            self.file(&format!("{directory}/{name}"), &format!("{value}\n"));
        }
        self.root().join(directory)
    }

    /// An A40 with its name, its virtual functions, its audio device and another maker's VGA beside it.
    fn with_a40(self) -> Machine {
        let gpu = self.device("0000:41:00.0", "0x10de", "0x2235", "0x030200");
        fs::write(gpu.join("sriov_totalvfs"), "32\n").unwrap();
        symlink("../../../../bus/pci/drivers/nouveau", gpu.join("driver")).unwrap();
        let function = self.device("0000:41:00.4", "0x10de", "0x2235", "0x030200");
        symlink("../0000:41:00.0", function.join("physfn")).unwrap();
        self.device("0000:41:00.1", "0x10de", "0x1aef", "0x040300");
        self.device("0000:03:00.0", "0x1a03", "0x2000", "0x030000");
        self.file(
            "usr/share/misc/pci.ids",
            "# Names\n10dd  Enhance Electronics\n\t2235  Wrong\n10de  NVIDIA Corporation\n\t1eb8  TU104GL [Tesla T4]\n\
             \t2235  GA102GL [A40]\n\t\t10de 145a  A40\n10df  Emulex\n\t2235  Wrong, too\n",
        );
        self
    }

    fn init(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
        command.arg("init").arg("--root").arg(self.root()).arg("--out").arg(self.out()).args(args).assert()
    }

    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.out().join(name)).unwrap()
    }
}

/// The file that was written. The newest release in it is replaced, so that a new release changes no test.
fn timeless(text: &str) -> String {
    let release = text.lines().find_map(|line| line.trim().strip_prefix("hardware.nvidia.vgpu.release = \"")).unwrap();
    let release = release.trim_end_matches("\";");
    let zip = vgpu::catalog::Catalog::builtin().find(&release.parse().unwrap()).unwrap().zip_name();
    text.replace(&zip, "NVIDIA-GRID-….zip").replace(&format!("\"{release}\""), "\"NEWEST\"")
}

fn notes(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn a_host_is_described_and_configured() {
    let machine = Machine::new().with_a40();
    let assert = machine.init(&[]).success();
    insta::assert_snapshot!(timeless(&machine.written("vgpu.nix")), @r#"
    # NVIDIA vGPU on this machine, a host. Written by `vgpu init`; yours to edit.
    #
    # GPU      0000:41:00.0 GA102GL [A40] [10de:2235], SR-IOV, driver nouveau
    # vGPU     NVIDIA lists the A40
    # kernel   6.12.8
    # NixOS    25.05
    # IOMMU    off
    # archives none in the Nix store
    { ... }:
    {
      # The modules. Pin them with `rev = "<commit>";` beside the url.
      imports = [
        (import (builtins.fetchGit { url = "https://github.com/mrzenc/vgpu4nixos.git"; }) { guest = false; })
      ];

      # NVIDIA's drivers are unfree.
      nixpkgs.config.allowUnfree = true;

      # Release of vGPU software; `vgpu releases` lists them. A host works with guests of its own branch and
      # of the one before: `vgpu releases --for-guest VERSION`, `--for-host VERSION`.
      # Its archive is behind NVIDIA's login. Get it and add it to the store: vgpu import FILE, with FILE
      # NVIDIA-GRID-….zip
      hardware.nvidia.vgpu.release = "NEWEST";

      # Open kernel modules instead of closed ones; both drive GPUs from Turing to Hopper.
      # hardware.nvidia.open = true;

      # Virtual machines reach the GPU through the IOMMU, which is off. Switch it on in the firmware, too.
      boot.kernelParams = [
        "intel_iommu=on"
        "iommu=pt"
      ];

      # vGPUs: declared here, they are there after every start. `vgpu profiles list` shows what the GPU offers,
      # `vgpu instances attach NAME` what a virtual machine needs.
      # hardware.nvidia.vgpu.instances.office.profile = "PROFILE";

      # To use the GPU for this machine's own screens as well, or one that NVIDIA doesn't list, the driver has
      # to be patched, by vGPU-Unlock-patcher. `vgpu releases` shows which releases can be (PATCHER).
      # hardware.nvidia.vgpu.patcher.enable = true;
    }
    "#);
    insta::assert_snapshot!(notes(&assert).replace(&machine.out().display().to_string(), "OUT"), @r"
    note: the IOMMU is off: switch on VT-d or AMD-Vi (and SR-IOV) in the firmware's setup
    note: add OUT/vgpu.nix to `imports` in configuration.nix, then `nixos-rebuild boot` and restart: the kernel modules change
    note: if something does not work then: vgpu doctor
    ");
}

#[test]
fn a_release_is_chosen_that_serves_the_gpu() {
    let today = |machine: &Machine, month: &str, role: &str| {
        let assert = machine.init(&["--today", month, "--role", role]).success();
        let written = machine.written("vgpu.nix");
        fs::remove_dir_all(machine.out()).unwrap();
        (written, notes(&assert))
    };
    let release = |text: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix("hardware.nvidia.vgpu.release = \""));
        line.map(|line| line.trim_end_matches("\";").to_owned())
    };
    let with = |device: &str| {
        let machine = Machine::new();
        machine.device("0000:01:00.0", "0x10de", device, "0x030000");
        machine
    };
    // Pascal: no branch after 16 serves it. Otherwise a supported branch would be preferred.
    let (written, said) = today(&with("0x1b38"), "2026-08", "host");
    assert!(written.contains("# vGPU     NVIDIA lists the P40\n"), "{written}");
    assert_eq!(release(&written).unwrap().split('.').next(), Some("16"));
    assert!(said.contains("NVIDIA's support for vGPU 16."), "{said}");
    let (_, said) = today(&with("0x1b38"), "2026-07", "host");
    assert!(!said.contains("NVIDIA's support"), "{said}");
    // Blackwell: no branch before 19 serves it, whatever archives there are.
    let machine = with("0x2bb5");
    machine
        .file("nix/store/0pn3zhzq0qvfq4b0h8qsxkkkzbsz0hx9-NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip", "");
    assert!(!release(&today(&machine, "2026-01", "host").0).unwrap().starts_with("17"));
    // A GeForce RTX 2070 Super: the newest release with a patcher, and the profiles of a listed board.
    let (written, said) = today(&with("0x1e84"), "2026-01", "host");
    assert!(written.contains("not listed by NVIDIA; with a patched driver as a Quadro RTX 6000\n"), "{written}");
    assert!(written.contains("  hardware.nvidia.vgpu.patcher.enable = true;\n"), "{written}");
    assert!(written.contains("    \"1E84:0000\" = \"1E30:12BA\"; # what a Quadro RTX 6000 has\n"), "{written}");
    assert!(said.contains("it gets the profiles of a Quadro RTX 6000"), "{said}");
    let catalog = vgpu::catalog::Catalog::builtin();
    let number = release(&written).unwrap().parse().unwrap();
    assert!(catalog.find(&number).unwrap().patcher.is_some());
    // A GeForce GTX 1070 is too old for the newest release with a patcher.
    assert_eq!(release(&today(&with("0x1b81"), "2026-01", "host").0).as_deref(), Some("16.5"));
    // A GeForce RTX 4090 makes no vGPUs.
    let (_, said) = today(&with("0x2684"), "2026-01", "host");
    assert!(said.contains("vGPU-Unlock-patcher does not serve Ada GPUs"), "{said}");
    // Guests need no patcher, but the hash of their own driver.
    let (written, _) = today(&with("0x2235"), "2026-01", "guest");
    let number = release(&written).unwrap().parse().unwrap();
    assert!(catalog.find(&number).unwrap().guest_sha256.is_some() && !written.contains("patcher"), "{written}");
}

#[test]
fn an_archive_in_the_store_decides_the_release() {
    let machine = Machine::new().with_a40();
    fs::create_dir_all(machine.root().join("sys/kernel/iommu_groups/0")).unwrap();
    machine
        .file("nix/store/0pn3zhzq0qvfq4b0h8qsxkkkzbsz0hx9-NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip", "");
    machine
        .file("nix/store/0pn3zhzq0qvfq4b0h8qsxkkkzbsz0hx8-NVIDIA-GRID-Linux-KVM-535.161.05-535.161.08-538.46.zip", "");
    machine.init(&[]).success();
    let written = machine.written("vgpu.nix");
    assert!(written.contains("hardware.nvidia.vgpu.release = \"17.6\";"), "{written}");
    assert!(written.contains("# archives 17.6, 16.5\n"), "{written}");
    assert!(written.contains("# IOMMU    on\n"), "{written}");
    assert!(!written.contains("boot.kernelParams"), "{written}");
    assert!(!written.contains("behind NVIDIA's login"), "{written}");
}

#[test]
fn names_come_from_the_store_where_the_system_has_none() {
    let machine = Machine::new();
    machine.device("0000:01:00.0", "0x10de", "0x2235", "0x030000");
    for (package, name) in
        [("0pn3-hwdata-0.382", "Old"), ("9zz9-hwdata-0.395", "GA102GL [A40]"), ("1abc-hwdata-0.391", "Old")]
    {
        let text = format!("10de  NVIDIA Corporation\n\t2235  {name}\n");
        machine.file(&format!("nix/store/{package}/share/hwdata/pci.ids"), &text);
    }
    machine.file("nix/store/aaaa-hwdata-0.400.drv", "Derive()");
    machine.init(&[]).success();
    let written = machine.written("vgpu.nix");
    assert!(written.contains("# GPU      0000:01:00.0 GA102GL [A40] [10de:2235]\n"), "{written}");
}

#[test]
fn gpus_that_one_kind_of_kernel_modules_drives_get_it() {
    for (device, open) in [("0x2bb5", true), ("0x1bb3", false), ("0x1db4", false)] {
        let machine = Machine::new();
        machine.device("0000:01:00.0", "0x10de", device, "0x030200");
        machine.init(&[]).success();
        let written = machine.written("vgpu.nix");
        assert!(written.contains(&format!("\n  hardware.nvidia.open = {open};\n")), "{device}: {written}");
    }
}

#[test]
fn a_virtual_machine_is_a_guest() {
    let machine = Machine::new();
    machine.file("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor sse2\n");
    machine.device("0000:07:00.0", "0x10de", "0x2235", "0x030000");
    let assert = machine.init(&[]).success();
    insta::assert_snapshot!(timeless(&machine.written("vgpu.nix")), @r#"
    # NVIDIA vGPU on this machine, a guest. Written by `vgpu init`; yours to edit.
    #
    # GPU      0000:07:00.0 NVIDIA GPU [10de:2235]
    # kernel   6.12.8
    # NixOS    25.05
    { ... }:
    {
      # The modules. Pin them with `rev = "<commit>";` beside the url.
      imports = [
        (import (builtins.fetchGit { url = "https://github.com/mrzenc/vgpu4nixos.git"; }) { guest = true; })
      ];

      # NVIDIA's drivers are unfree.
      nixpkgs.config.allowUnfree = true;

      # Release of vGPU software; `vgpu releases` lists them. A host works with guests of its own branch and
      # of the one before: `vgpu releases --for-guest VERSION`, `--for-host VERSION`.
      hardware.nvidia.vgpu.release = "NEWEST";

      # Open kernel modules instead of closed ones; both drive GPUs from Turing to Hopper.
      # hardware.nvidia.open = true;

      # Screens, OpenGL, Vulkan and CUDA through NVIDIA's driver.
      services.xserver.videoDrivers = [ "nvidia" ];

      # The licence: the client configuration token of your licence server, readable by root alone.
      # `vgpu license token FILE` explains a token.
      # hardware.nvidia.vgpu.licensing.tokenFile = "/run/secrets/vgpu.tok";

      # For guests from 18.0 on, and a licence server with its own certificate authority:
      # hardware.nvidia.vgpu.griddUnlock.enable = true;
      # hardware.nvidia.vgpu.griddUnlock.rootCaFile = ./root_certificate.pem;
    }
    "#);
    insta::assert_snapshot!(notes(&assert).replace(&machine.out().display().to_string(), "OUT"), @r"
    note: add OUT/vgpu.nix to `imports` in configuration.nix, then `nixos-rebuild boot` and restart: the kernel modules change
    note: if something does not work then: vgpu doctor
    ");
}

#[test]
fn the_role_can_be_chosen() {
    let machine = Machine::new().with_a40();
    machine.init(&["--role", "guest"]).success();
    assert!(machine.written("vgpu.nix").contains("guest = true"));
}

#[test]
fn a_flake_is_written_beside_it() {
    let machine = Machine::new().with_a40();
    machine.file("proc/sys/kernel/hostname", "rack-${1}\n");
    machine.init(&["--flake"]).success();
    insta::assert_snapshot!(machine.written("flake.nix"), @r#"
    # The system of this machine, with NVIDIA vGPU. Written by `vgpu init --flake`; yours to edit.
    {
      inputs = {
        nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
        vgpu4nixos.url = "github:mrzenc/vgpu4nixos";
      };

      outputs =
        { nixpkgs, vgpu4nixos, ... }:
        {
          nixosConfigurations."rack-\${1}" = nixpkgs.lib.nixosSystem {
            system = "x86_64-linux";
            modules = [
              ./configuration.nix
              ./vgpu.nix
              vgpu4nixos.nixosModules.host
            ];
          };
        };
    }
    "#);
    assert!(!machine.written("vgpu.nix").contains("fetchGit"), "the flake brings the modules in");
}

#[test]
fn nothing_is_overwritten() {
    for name in ["vgpu.nix", "flake.nix"] {
        let machine = Machine::new().with_a40();
        fs::create_dir(machine.out()).unwrap();
        fs::write(machine.out().join(name), "mine").unwrap();
        let message = notes(&machine.init(&["--flake"]).code(1).stdout(""));
        assert!(message.contains(&format!("{name} exists already")), "{message}");
        assert_eq!(machine.written(name), "mine");
        assert_eq!(fs::read_dir(machine.out()).unwrap().count(), 1, "something else was written");
    }
    // A link that leads nowhere is not overwritten either.
    let machine = Machine::new().with_a40();
    fs::create_dir(machine.out()).unwrap();
    symlink("/nonexistent/vgpu.nix", machine.out().join("vgpu.nix")).unwrap();
    machine.init(&[]).code(1);
}

#[test]
fn a_machine_that_shows_nothing_gets_a_configuration_all_the_same() {
    let machine = Machine { directory: tempfile::tempdir().unwrap() };
    let notes = notes(&machine.init(&[]).success());
    assert!(notes.contains("no NVIDIA GPU was found"), "{notes}");
    assert!(notes.contains("this is not NixOS"), "{notes}");
    assert!(machine.written("vgpu.nix").contains("# GPU      none found\n"));
}

#[test]
fn nix_reads_what_is_written() {
    let Some(store) = NixStore::new() else { return };
    let read = |machine: &Machine, name: &str, what: &str| {
        let path: &Path = &machine.out().join(name);
        store.evaluate(&format!("let file = import (/. + {}); in {what}", quoted(path)))
    };
    let machine = Machine::new().with_a40();
    machine.file("proc/sys/kernel/hostname", "rack-${1}\n");
    machine.init(&["--flake"]).success();
    let module = read(&machine, "vgpu.nix", "file { }");
    assert_eq!(module["boot"]["kernelParams"], serde_json::json!(["intel_iommu=on", "iommu=pt"]));
    assert_eq!(module["nixpkgs"]["config"]["allowUnfree"], true);
    let release = module["hardware"]["nvidia"]["vgpu"]["release"].as_str().unwrap();
    let release = vgpu::catalog::Catalog::builtin().find(&release.parse().unwrap()).unwrap();
    assert!(release.is_pinned());
    assert_eq!(read(&machine, "flake.nix", "file.inputs.nixpkgs.url"), "github:NixOS/nixpkgs/nixos-25.05");
    let systems =
        "builtins.attrNames (file.outputs { nixpkgs.lib.nixosSystem = x: x; vgpu4nixos.nixosModules.host = 1; })";
    assert_eq!(read(&machine, "flake.nix", systems), serde_json::json!(["nixosConfigurations"]));
    let guest = Machine::new();
    guest.init(&["--role", "guest"]).success();
    let guest = read(&guest, "vgpu.nix", "builtins.removeAttrs (file { }) [ \"imports\" ]");
    assert_eq!(guest["services"]["xserver"]["videoDrivers"], serde_json::json!(["nvidia"]));
}

#[test]
fn the_modules_accept_what_is_written() {
    let (Some(store), Some(lib)) = (NixStore::new(), nixpkgs_lib()) else { return };
    for (role, guest) in [("host", false), ("guest", true)] {
        let machine = Machine::new().with_a40();
        machine.init(&["--role", role]).success();
        let system = store.evaluate(&format!(
            r#"
            let
              evaluate = import {}/nix/tests/eval.nix {{ lib = import {}; }};
              module = builtins.removeAttrs (import (/. + {}) {{ }}) [ "imports" ];
              system = evaluate {{ guest = {guest}; modules = [ module ]; }};
            in
            {{ inherit (system) failed; driver = system.config.hardware.nvidia.package.vgpu.gridVersion; }}
            "#,
            concat!(env!("CARGO_MANIFEST_DIR"), "/../.."),
            lib.display(),
            quoted(&machine.out().join("vgpu.nix")),
        ));
        assert_eq!(system["failed"], serde_json::json!([]), "{role}");
        let written = machine.written("vgpu.nix");
        assert!(written.contains(&format!("hardware.nvidia.vgpu.release = {};", system["driver"])), "{role}: {system}");
    }
}

/// The flake is the template of `nix flake init -t`. Only facts about the machine differ.
#[test]
fn the_flake_is_the_template() {
    for role in ["host", "guest"] {
        let template =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("examples").join(role).join("flake.nix");
        let template = fs::read_to_string(template).unwrap();
        let machine = Machine::new();
        machine.file("proc/sys/kernel/hostname", role).file("etc/os-release", "ID=nixos\nVERSION_ID=25.11\n");
        machine.init(&["--flake", "--role", role]).success();
        let lines = |text: &str| -> Vec<String> {
            let ours = ["#", "description", "./vgpu.nix", ""];
            let lines = text.lines().map(|line| line.trim().replace('"', ""));
            lines
                .filter(|line| !ours.iter().any(|our| line == our || (!our.is_empty() && line.starts_with(our))))
                .collect()
        };
        assert_eq!(lines(&machine.written("flake.nix")), lines(&template), "{role}");
    }
}
