//! Asks a real dbus-daemon with the defaults of a system bus who may have the names of the licence client.
//!
//! This needs root, because one test is another user.

#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use vgpu_driver::text::GRID_POLICY;

/// What every system bus begins with (system.conf of the dbus package).
const DEFAULTS: &str = r#"
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>"#;

struct Bus {
    daemon: Child,
    directory: PathBuf,
}

impl Bus {
    fn start(directory: &Path, policy: &str) -> Bus {
        let socket = directory.join("bus");
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(directory.join("nvidia-grid.conf"), policy).unwrap();
        fs::write(
            directory.join("system.conf"),
            format!(
                "<busconfig>\n  <type>system</type>\n  <listen>unix:path={}</listen>\n  <auth>EXTERNAL</auth>{DEFAULTS}\n  \
                 <include>{}</include>\n</busconfig>\n",
                socket.display(),
                directory.join("nvidia-grid.conf").display()
            ),
        )
        .unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--config-file={}", directory.join("system.conf").display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:"), "{address}");
        Bus { daemon, directory: directory.to_owned() }
    }

    /// Calls a method as this user, and returns what is printed: the answer or the error.
    fn call(&self, user: u32, arguments: &[&str]) -> String {
        let output = Command::new("setpriv")
            .args([format!("--reuid={user}"), "--clear-groups".into(), "busctl".into()])
            .arg(format!("--address=unix:path={}", self.directory.join("bus").display()))
            .arg("call")
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    }

    fn own(&self, user: u32, name: &str) -> String {
        let bus = "org.freedesktop.DBus";
        self.call(user, &[bus, "/org/freedesktop/DBus", bus, "RequestName", "su", name, "0"])
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

#[test]
fn root_alone_can_be_the_licence_client() {
    let tools = ["dbus-daemon", "busctl", "setpriv"];
    let have = |tool: &&str| Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    if !rustix::process::getuid().is_root() || !tools.iter().all(have) {
        skip::skip("needs root and dbus-daemon, busctl, setpriv", "VGPU_REQUIRE_DBUS");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let bus = Bus::start(directory.path(), GRID_POLICY);
    const NOBODY: u32 = 65534;
    for name in ["nvidia.grid.server", "nvidia.grid.client"] {
        assert_eq!(bus.own(0, name), "u 1", "{name}");
        let refused = bus.own(NOBODY, name);
        assert!(refused.contains("Access denied"), "{name}: {refused}");
    }
}
