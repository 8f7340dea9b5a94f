//! Without root, a check is unknown if it needs a file that may not be read. It gives the reason. It does not fail, and
//! nothing crashes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program;
use crate::scene::{Base, Scene};
use crate::skip::skip;

const NOBODY: u32 = 65534;

/// Whether the tests can run a program as another user.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("only root can be somebody else", "VGPU_REQUIRE_ROOT");
    }
    root
}

/// A machine that everybody may read. The program is in it, because only root may be able to enter the directory in which
/// it was built.
struct Machine {
    scene: Scene,
    program: PathBuf,
    role: &'static str,
}

impl Machine {
    fn new(base: Base) -> Machine {
        let scene = Scene::new(base);
        scene.write_journal();
        let program = scene.machine.path("vgpu");
        program::copy(assert_cmd::cargo::cargo_bin!("vgpu"), &program);
        set_mode(scene.machine.root(), 0o755);
        let role = if base == Base::Guest { "guest" } else { "host" };
        Machine { scene, program, role }
    }

    /// The result of `vgpu doctor` for the user nobody: name, status and evidence of each check.
    fn checks(&self, what: &str) -> Vec<(String, String, String)> {
        let root = self.scene.machine.root();
        let mut command = Command::new(&self.program);
        command.args(["doctor", "--json", "--role", self.role, "--root"]).arg(root);
        command.arg("--journal").arg(root.join("journal.json"));
        let output = command.uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{what}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
        let checks = report["checks"].as_array().unwrap().iter();
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        checks.map(|check| (text(check, "id"), text(check, "status"), text(check, "evidence"))).collect()
    }

    /// The same while a file or directory is closed to all but root.
    fn without(&self, path: &Path, what: &str) -> Vec<(String, String, String)> {
        let mode = path.metadata().unwrap().mode();
        set_mode(path, 0);
        let checks = self.checks(what);
        set_mode(path, mode);
        checks
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// All files and directories below one, without links.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            found.extend(below(&path));
        }
        if !metadata.is_symlink() {
            found.push(path);
        }
    }
    found
}

/// On a sound machine, one place after the other is closed. Single files of sysfs and of a process are left out, because the
/// kernel closes only whole directories (hidepid of procfs).
#[test]
fn what_may_not_be_read_is_no_failure() {
    if !is_root() {
        return;
    }
    for base in [Base::Mdev, Base::SriovMdev, Base::Vfio, Base::Guest] {
        let machine = Machine::new(base);
        let root = machine.scene.machine.root().to_owned();
        let kernels = |path: &PathBuf| path.starts_with(root.join("sys")) || path.ends_with("comm");
        let ours = |path: &PathBuf| *path == machine.program || path.ends_with("journal.json");
        let mut looked_at = 0;
        for path in below(&root).iter().filter(|path| !ours(path) && (path.is_dir() || !kernels(path))) {
            let what = format!("{base:?}: {}", path.strip_prefix(&root).unwrap().display());
            let checks = machine.without(path, &what);
            for (id, status, evidence) in &checks {
                assert_ne!(status, "failed", "{what}: {id}: {evidence}");
            }
            looked_at += 1;
        }
        assert!(looked_at > 30, "{base:?}: only {looked_at} places");
    }
}

/// A check that needs a closed place is unknown, and says what to do.
#[test]
fn what_may_not_be_read_is_unknown_with_the_reason() {
    if !is_root() {
        return;
    }
    let definition = "etc/mdevctl.d/0000:41:00.0/my-vgpu = {}";
    for (base, change, closed, check) in [
        (Base::Mdev, "", "etc/nvidia/vgpu/vgpuConfig.xml", "profiles-file"),
        (Base::Mdev, "", "etc/nvidia/vgpu", "profiles-file"),
        (Base::Mdev, "", "proc/modules", "vfio-module"),
        (Base::Mdev, "", "proc/driver/nvidia", "nvidia-module"),
        (Base::Mdev, "", "proc/700", "vgpu-mgr"),
        (Base::Vfio, "", "sys/bus/pci/devices", "gpu"),
        (Base::Vfio, "", "sys/kernel/iommu_groups", "iommu"),
        (Base::Vfio, "", "etc/systemd/system", "vgpud"),
        (Base::Vfio, "etc/nvidia/vgpu/instances.json = {", "etc/nvidia/vgpu/instances.json", "declaration"),
        (Base::Mdev, definition, "etc/mdevctl.d", "mdevctl-definitions"),
        (Base::Vfio, "var/log/libvirt/qemu/a.log = a", "var/log/libvirt/qemu", "vfio-permission"),
        (Base::Guest, "etc/nvidia/gridd.conf = ServerAddress=a", "etc/nvidia/gridd.conf", "gridd-conf"),
        (Base::Guest, "", "etc/nvidia/ClientConfigToken", "token"),
        (Base::Guest, "", "etc/nvidia/ClientConfigToken/client_configuration_token_1.tok", "token"),
        (Base::Guest, "", "run/systemd/timesync", "clock"),
    ] {
        let machine = Machine::new(base);
        machine.scene.change(change);
        let what = format!("{base:?} {check}");
        let checks = machine.without(&machine.scene.machine.path(closed), &what);
        let found = checks.iter().find(|(id, ..)| id == check);
        let (_, status, evidence) = found.unwrap_or_else(|| panic!("{what}: not asked"));
        assert_eq!(status, "unknown", "{what}: {evidence}");
        let reason = evidence.contains("may not read /") && evidence.ends_with(": run vgpu doctor as root");
        assert!(reason || evidence.contains("Permission denied"), "{what}: {evidence}");
    }
}

/// Nobody gets the same answers as root if everybody may read all files.
#[test]
fn nobody_is_told_what_everybody_may_see() {
    if !is_root() {
        return;
    }
    for base in [Base::Mdev, Base::SriovMdev, Base::Vfio, Base::Guest] {
        let machine = Machine::new(base);
        let told = machine.checks("as nobody");
        assert!(told.iter().all(|(_, status, _)| status == "ok"), "{base:?}: {told:#?}");
    }
}
