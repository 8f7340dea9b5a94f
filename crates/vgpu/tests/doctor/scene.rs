//! A scene: a machine as a directory tree and a journal, and what `vgpu doctor` says about it.
//!
//! It starts from a sound host or guest, and is changed by a few lines:
//!
//!     path = text          a file with this text; \n and \0 stand for themselves
//!     path -> target       a link
//!     - path               a file or directory that is not there
//!     kernel: message      a line of the kernel's log
//!     name[pid]: message   a line of a service's journal
//!     systemd name: text   a line of systemd's about a service
//!
//! `$gpu` stands for the GPU's directory in sysfs, `$vf` for that of its first virtual function.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use assert_cmd::Command;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::machine_tree::MachineTree;

pub const GPU: &str = "0000:41:00.0";
const FUNCTIONS: [&str; 2] = ["0000:41:00.4", "0000:41:00.5"];
pub const UUID: &str = "c73f1fa6-489e-4834-9476-d70dabd98c40";

/// What a scene starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A T4: mediated devices of the GPU.
    Mdev,
    /// An A40 whose functions have mediated devices.
    SriovMdev,
    /// An A40 whose functions have NVIDIA's own files.
    Vfio,
    Guest,
}

pub struct Scene {
    pub machine: MachineTree,
    journal: RefCell<Vec<Value>>,
}

/// What `vgpu doctor` did.
pub struct Answer {
    pub code: i32,
    pub report: Value,
}

impl Answer {
    pub fn check(&self, id: &str) -> Option<&Value> {
        self.report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id)
    }

    /// Names of the checks with this status.
    pub fn with(&self, status: &str) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap().iter();
        checks.filter(|check| check["status"] == status).map(|check| check["id"].as_str().unwrap()).collect()
    }
}

impl Scene {
    /// A machine in which nothing is wrong.
    pub fn new(base: Base) -> Scene {
        let scene = Scene { machine: MachineTree::new(), journal: RefCell::default() };
        let machine = &scene.machine;
        machine.file("etc/os-release", "ID=nixos\nVERSION_ID=\"25.11\"\n");
        machine.file("proc/sys/kernel/osrelease", "6.12.58\n").file("proc/sys/kernel/hostname", "rack7\n");
        if base == Base::Guest {
            scene.guest()
        } else {
            scene.host(base)
        }
        scene
    }

    fn host(&self, base: Base) {
        let machine = &self.machine;
        machine.file("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n");
        machine.driver("580.105.06");
        match base {
            Base::Mdev => {
                machine.gpu(GPU, "1eb8", "12a2").group(GPU, 12);
                machine.mdev_parent(GPU, &[(230, "GRID T4-1Q", 0), (231, "GRID T4-2Q", 7)]);
                machine.mdev(GPU, UUID, 231, 100);
                machine.file("sys/kernel/iommu_groups/100/type", "DMA\n");
            }
            Base::SriovMdev | Base::Vfio | Base::Guest => {
                machine.gpu(GPU, "2235", "145a").sriov(GPU, 32, &FUNCTIONS);
            }
        }
        match base {
            Base::SriovMdev => {
                machine.mdev_parent(FUNCTIONS[0], &[(558, "NVIDIA A40-8Q", 0)]);
                machine.mdev_parent(FUNCTIONS[1], &[(557, "NVIDIA A40-1Q", 0), (558, "NVIDIA A40-8Q", 1)]);
                machine.mdev(FUNCTIONS[0], UUID, 558, 100);
            }
            Base::Vfio => {
                machine.vfio(FUNCTIONS[0], 558, &[]).vfio(FUNCTIONS[1], 0, &[(558, "NVIDIA A40-8Q")]);
            }
            Base::Mdev | Base::Guest => {}
        }
        self.change(&format!(
            "etc/nvidia/vgpu/vgpuConfig.xml = {}
             etc/nvidia/vgpu/nvml = host 1\\necc 0\\nmig -1
             proc/driver/nvidia/params = RegistryDwords: \"\"\\nRegistryDwordsPerDevice: \"\"\\nEnableMSI: 1
             etc/systemd/system/nvidia-vgpud.service = [Service]\\nExecStart=/nix/store/x-nvidia-x11-580.105.06-6.12.58/bin/nvidia-vgpud
             etc/systemd/system/nvidia-vgpu-mgr.service = [Service]\\nExecStart=/nix/store/x/bin/nvidia-vgpu-mgr
             etc/systemd/system/nvidia-vgpu-instances.service = [Service]
             proc/700/comm = nvidia-vgpu-mgr
             proc/700/stat = 700 (nvidia-vgpu-mgr) S 1 7 7 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 5000 99 1
             kernel: DMAR: IOMMU enabled
             kernel: NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.105.06
             systemd nvidia-vgpud: Starting NVIDIA vGPU Daemon...
             systemd nvidia-vgpud: nvidia-vgpud.service: Deactivated successfully.
             systemd nvidia-vgpu-mgr: Starting NVIDIA vGPU Manager Daemon...
             nvidia-vgpu-mgr[4800]: notice: vmiop_log: FRL Value: 60 FPS
             nvidia-vgpu-mgr[4800]: notice: vmiop_log: vGPU supported range: (0x70001, 0xb0001)
             nvidia-vgpu-mgr[4800]: notice: vmiop_log: display_init inst: 0 successful
             nvidia-vgpu-mgr[4800]: notice: vmiop_log: ######## Guest NVIDIA Driver Information: ########
             nvidia-vgpu-mgr[4800]: notice: vmiop_log: vGPU version: 0xb0001
             nvidia-vgpu-mgr[4800]: notice: vmiop_log: (0x0): vGPU license state: Licensed
             nvidia-vgpu-instances[699]: made win10
             libvirtd[650]: libvirt version: 11.7.0",
            vgpu_config()
        ));
        machine.link("etc/nvidia/vgpu/libnvidia-ml.so.1", library());
        machine.virtual_machine(4711, "win10", "100");
        self.change(
            "proc/4711/cmdline = qemu-system-x86_64\\0-name\\0guest=win10\\0-uuid\\0a\\0
             proc/4711/stat = 4711 (qemu) x) S 1 7 7 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 9000 99 1",
        );
    }

    fn guest(&self) {
        let machine = &self.machine;
        machine.file("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor\n");
        machine.gpu(GPU, "1eb8", "1310").driver("580.105.08");
        self.change(&format!(
            "proc/modules = nvidia_uvm 1 0 - Live 0x0\\nnvidia 1 1 nvidia_uvm, Live 0x0
             proc/driver/nvidia/params = RegistryDwords: \"\"\\nEnableGpuFirmware: 0
             run/opengl-driver/lib/libnvidia-ml.so.580.105.08 =
             run/systemd/timesync/synchronized =
             etc/systemd/system/nvidia-gridd.service = [Service]
             proc/600/comm = nvidia-gridd
             etc/nvidia/ClientConfigToken/client_configuration_token_1.tok = {}
             kernel: NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.105.08
             systemd nvidia-gridd: Starting NVIDIA Grid Daemon...
             nvidia-gridd[600]: Failed to open file /etc/nvidia/gridd.conf (No such file or directory)
             nvidia-gridd[600]: Acquiring license. (Info: dls.example.org; NVIDIA RTX Virtual Workstation)
             nvidia-gridd[600]: License acquired successfully. (Info: dls.example.org, NVIDIA RTX Virtual Workstation; Expiry: 2099-1-1 1:1:1 GMT)",
            token(4_000_000_000)
        ));
    }

    /// Changes the scene; see the top of this file.
    pub fn change(&self, lines: &str) -> &Scene {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line =
                line.replace("$gpu", &self.machine.device(GPU)).replace("$vf", &self.machine.device(FUNCTIONS[0]));
            if let Some(path) = line.strip_prefix("- ") {
                self.remove(path);
            } else if let Some((path, target)) = line.split_once(" -> ") {
                self.machine.link(path, target);
            } else if let Some((path, text)) = line.split_once(" =").filter(|(path, _)| !path.contains(": ")) {
                self.machine.file(path, &text.trim_start().replace("\\n", "\n").replace("\\0", "\0"));
            } else {
                self.journal.borrow_mut().push(entry(&line));
            }
        }
        self
    }

    fn remove(&self, path: &str) {
        let path = self.machine.path(path);
        let metadata = path.symlink_metadata().unwrap_or_else(|_| panic!("{} is not there", path.display()));
        if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// Writes the journal of this machine, as journalctl prints it, to a file.
    pub fn write_journal(&self) -> PathBuf {
        let journal = self.machine.path("journal.json");
        let lines: Vec<String> = self.journal.borrow().iter().map(Value::to_string).collect();
        fs::write(&journal, lines.join("\n")).unwrap();
        journal
    }

    /// The program on this machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let journal = self.write_journal();
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
        command.arg("doctor").arg("--root").arg(self.machine.root()).arg("--journal").arg(&journal).args(args);
        command
    }

    pub fn doctor(&self, args: &[&str]) -> Answer {
        let output = self.command(args).arg("--json").output().unwrap();
        let code = output.status.code().unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Answer { code, report }
    }
}

/// A line of a scene as journald writes it.
fn entry(line: &str) -> Value {
    let (source, message) = line.split_once(": ").unwrap_or_else(|| panic!("not a line of a scene: {line}"));
    let mut entry = json!({ "MESSAGE": message, "__REALTIME_TIMESTAMP": "1763985784000000" });
    if source == "kernel" {
        entry["_TRANSPORT"] = json!("kernel");
    } else if let Some(unit) = source.strip_prefix("systemd ") {
        entry["UNIT"] = json!(format!("{unit}.service"));
    } else {
        let (unit, pid) = source.split_once('[').unwrap_or((source, "1]"));
        entry["_SYSTEMD_UNIT"] = json!(format!("{unit}.service"));
        entry["_PID"] = json!(pid.trim_end_matches(']'));
    }
    entry
}

/// The stand-in for NVIDIA's library, described in nvml.c. It is built once.
fn library() -> &'static str {
    static LIBRARY: LazyLock<String> = LazyLock::new(|| {
        let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/doctor-nvml.so");
        // Another run of the tests may have it open.
        let new = format!("{file}.{}", std::process::id());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/nvml.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-Wall", "-Werror", "-o", &new, source]).output();
        let built = built.expect("Rust has its linker called cc, which compiles C as well");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        fs::rename(new, file).unwrap();
        file.to_owned()
    });
    &LIBRARY
}

/// Boards and profiles in the shape of NVIDIA's file: a T4 and an A40.
fn vgpu_config() -> String {
    let profile = |(id, name): (u32, &str)| format!("<vgpuType id=\"{id}\" name=\"{name}\" class=\"Quadro\"/>");
    let board = |(device, mode, id): (&str, &str, u32)| {
        format!(
            "<pgpu {mode}><devId vendorId=\"0x10de\" deviceId=\"{device}\" subsystemVendorId=\"0x10de\" \
             subsystemId=\"0x0\"/><supportedVgpu vgpuId=\"{id}\"><maxVgpus>8</maxVgpus></supportedVgpu></pgpu>"
        )
    };
    let profiles = [(231, "GRID T4-2Q"), (558, "NVIDIA A40-8Q")].map(profile).concat();
    let boards = [("0x1EB8", "", 231), ("0x2235", "hostVgpuMode=\"sriov\"", 558)].map(board).concat();
    format!("<vgpuconfig>{profiles}{boards}</vgpuconfig>")
}

/// A client configuration token that ends at this time, in seconds since 1970.
pub fn token(end: u64) -> String {
    let payload = json!({
        "jti": "a", "iss": "NLS Service Instance", "aud": "NLS Licensed Client", "iat": 1_700_000_000,
        "nbf": 1_700_000_000, "exp": end, "update_mode": "ABSOLUTE", "scope_ref_list": ["b"],
        "fulfillment_class_ref_list": [],
        "service_instance_configuration": {
            "nls_service_instance_ref": "c",
            "svc_port_set_list": [{
                "idx": 0, "d_name": "DLS",
                "svc_port_map": [{ "service": "auth", "port": 443 }, { "service": "lease", "port": 443 }],
            }],
            "node_url_list": [{ "idx": 0, "url": "licences.example.com", "url_qr": "licences.example.com", "svc_port_set_idx": 0 }],
        },
    });
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        part(json!({ "alg": "RS256", "typ": "JWT" }).to_string()),
        part(payload.to_string()),
        part("s".repeat(256))
    )
}

/// The whole table of checks that the program prints, by name.
pub fn all_checks() -> Vec<String> {
    let table = vgpu::doctor::table();
    let (checks, _) = table.split_once("What nvidia-gridd says").unwrap();
    let name = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    checks.lines().filter_map(name).collect()
}

/// The content of a file of the repository.
pub fn repository(path: &str) -> String {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
