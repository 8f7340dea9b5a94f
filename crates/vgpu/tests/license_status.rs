//! `vgpu license status` on guests and hosts that are directory trees, with stand-ins for programs on PATH.
//!
//! The journal's lines are nvidia-gridd's; the XML has the elements of nvidia-smi 550 that matter here.

#[path = "support/program.rs"]
mod program;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use assert_cmd::Command;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_snapshot;
use serde_json::{Value, json};
use vgpu::license::failures::FAILURES;

struct Machine(tempfile::TempDir);

impl Machine {
    /// A machine with a right clock and nothing else.
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        for directory in ["bin", "root/proc", "root/etc/nvidia/ClientConfigToken"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        machine.program("timedatectl", "echo yes");
        machine.journal("nvidia-gridd", &[]);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &str) {
        let path = self.path("root").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        program::write(&self.path("bin").join(name), format!("#!/bin/sh\n{script}\n"));
    }

    /// Lines of a service, each from another process.
    fn journal(&self, unit: &str, lines: &[(u32, &str)]) {
        let lines: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(second, (pid, line))| {
                json!({
                    "__REALTIME_TIMESTAMP": format!("{}", 1_763_985_784_000_000 + 1_000_000 * second as u64),
                    "_SYSTEMD_UNIT": format!("{unit}.service"), "_PID": pid.to_string(), "MESSAGE": line
                })
                .to_string()
            })
            .collect();
        fs::write(self.path("journal"), lines.join("\n") + "\n").unwrap();
        self.program(
            "journalctl",
            &format!("while read -r line; do echo \"$line\"; done < {}", self.path("journal").display()),
        );
    }

    /// What nvidia-gridd wrote.
    fn gridd(&self, lines: &[&str]) {
        self.journal("nvidia-gridd", &lines.iter().map(|line| (7, *line)).collect::<Vec<_>>());
    }

    fn nvidia_smi(&self, status: &str) {
        let xml = format!(
            r#"<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<driver_version>550.163.01</driver_version>
	<gpu id="00000000:06:00.0">
		<product_name>NVIDIA A40-8Q</product_name>
		<vgpu_software_licensed_product>
			<licensed_product_name>NVIDIA RTX Virtual Workstation</licensed_product_name>
			<license_status>{status}</license_status>
		</vgpu_software_licensed_product>
	</gpu>
</nvidia_smi_log>"#
        );
        fs::write(self.path("smi"), xml).unwrap();
        // It answers only if it is called with the right arguments.
        self.program(
            "nvidia-smi",
            &format!("[ \"$*\" = '-q -x' ] && while IFS= read -r line || [ -n \"$line\" ]; do printf '%s\\n' \"$line\"; done < {}", self.path("smi").display()),
        );
    }

    fn token(&self, name: &str, url: &str, ports: &[u16]) {
        let ports: Vec<Value> = ports.iter().map(|port| json!({"service": "auth", "port": port})).collect();
        let payload = json!({"nbf": 1_577_836_800, "exp": 4_102_444_800_u64, "service_instance_configuration": {
            "svc_port_set_list": [{"idx": 0, "d_name": "DLS", "svc_port_map": ports}],
            "node_url_list": [{"idx": 0, "url": url, "svc_port_set_idx": 0}]}});
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let payload = part(payload.to_string().as_bytes());
        let text = format!("{}.{payload}.{}", part(br#"{"alg":"RS256"}"#), part(&[1; 256]));
        self.file(&format!("etc/nvidia/ClientConfigToken/{name}"), &text);
    }

    fn status(&self, arguments: &[&str]) -> (String, String) {
        let mut command = Command::cargo_bin("vgpu").unwrap();
        command.args(["license", "status", "--root"]).arg(self.path("root")).args(arguments);
        let output = command.env("PATH", self.path("bin")).assert().success().get_output().clone();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn text(&self) -> String {
        let (text, errors) = self.status(&[]);
        assert_eq!(errors, "");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.status(&[&["--json"], arguments].concat()).0).unwrap()
    }
}

const ACQUIRED: &str = "License acquired successfully. (Info: licences.example.org, NVIDIA RTX Virtual Workstation; Expiry: 2027-1-4 8:1:9 GMT)";

#[test]
fn a_licensed_guest() {
    let machine = Machine::new();
    machine.token("client_configuration_token.tok", "licences.example.org", &[443]);
    machine.gridd(&["Started (7)", ACQUIRED]);
    machine.nvidia_smi("Licensed (Expiry: 2027-2-5 9:2:1 GMT)");
    assert_snapshot!(machine.text(), @r"
      product     NVIDIA RTX Virtual Workstation
      state       licensed
      until       2027-02-05T09:02:01Z
      GPU         00000000:06:00.0
      server      licences.example.org
      clock       synchronised
      token       /etc/nvidia/ClientConfigToken/client_configuration_token.tok
    ");
    let status = machine.json(&[]);
    assert_eq!(status["role"], "guest");
    assert_eq!(status["told_by"], "nvidia-smi");
    assert_eq!(status["licences"][0]["state"], "licensed");
    assert_eq!(status["ports"], Value::Null);
    assert_eq!(status["token"]["kind"], "dls");
}

#[test]
fn without_nvidia_smi_the_journal_tells() {
    let machine = Machine::new();
    machine.token("client_configuration_token.tok", "licences.example.org", &[443]);
    machine.gridd(&[ACQUIRED]);
    let status = machine.json(&[]);
    assert_eq!(status["told_by"], "journal");
    assert_eq!(
        status["licences"],
        json!([{"gpu": null, "product": "NVIDIA RTX Virtual Workstation", "state": "licensed", "expiry": "2027-01-04T08:01:09Z"}])
    );
    // A program that fails, or prints something else, gives no information either.
    machine.program("nvidia-smi", "echo '<gpu>'");
    assert_eq!(machine.json(&[])["told_by"], "journal");
    machine.program("nvidia-smi", "exit 9");
    assert_eq!(machine.json(&[])["told_by"], "journal");
}

#[test]
fn an_unlicensed_guest_learns_why() {
    let machine = Machine::new();
    machine.program("timedatectl", "echo no");
    machine.nvidia_smi("Unlicensed (Restricted)");
    machine.gridd(&[
        "Acquiring license. (Info: licences.example.org; NVIDIA RTX Virtual Workstation)",
        "Failed to acquire license from licences.example.org (Info: NVIDIA RTX Virtual Workstation - Error: The allowed time to process response has expired)",
        "Valid GRID license not found. GPU features and performance will be restricted.",
    ]);
    assert_snapshot!(machine.text(), @r"
      product     NVIDIA RTX Virtual Workstation
      state       NOT licensed, slowed down
      GPU         00000000:06:00.0
      server      licences.example.org
      clock       NOT synchronised: licences depend on it
                  (services.timesyncd.enable)
      problem     /etc/nvidia/ClientConfigToken has 0 tokens (*.tok), and one is
                  needed
      failure     2025-11-24 12:03:05 UTC Failed to acquire license from
                  licences.example.org (Info: NVIDIA RTX Virtual Workstation -
                  Error: The allowed time to process response has expired)
      cause       the clocks of guest and server differ, or the token was made more
                  than an hour before its first use
      help        synchronise the clocks of both (time zone, too); then get a new
                  token and restart nvidia-gridd
    ");
}

#[test]
fn every_failure_of_the_journal_is_told_with_its_way_out() {
    for (id, line) in [
        ("no-token", "Unable to fetch the client configuration token file"),
        ("certificate", "Failed to acquire license from a (Info: b - Error: certificate verify failed)"),
        ("token-refused", "Failed to decode signature from token received"),
        (
            "clock",
            "Failed to acquire license from a (Info: b - Error: The allowed time to process response has expired)",
        ),
        ("clock-set-back", "Clock windback has been detected"),
        ("network", "Failed to acquire license from a (Info: b - Error: Generic network communication failure)"),
        ("no-such-licence", "Failed to acquire license from a (Info: b - Error: No pool features found for : b)"),
        ("feature-type", "Invalid feature type requested"),
        ("trusted-store", "Failed to update local trusted store - Maximum buffer size exceeded"),
        ("refused", "Failed to acquire license from a (Info: b - Error: c)"),
        ("unlicensed", "Valid GRID license not found. GPU features and performance will be restricted."),
        ("unknown", "Failed to do what nobody has seen"),
    ] {
        let machine = Machine::new();
        machine.gridd(&[line]);
        let status = machine.json(&[]);
        assert_eq!(status["failures"].as_array().unwrap().len(), 1, "{line}");
        assert_eq!(status["failures"][0]["id"], id, "{line}");
        let known = FAILURES.iter().find(|failure| failure.id == id);
        assert_eq!(status["failures"][0]["help"], json!(known.map(|failure| failure.help)));
        let first = known.map_or("this failure is not known yet", |known| known.help);
        let help = machine.text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(&format!("help {}", first.split_whitespace().collect::<Vec<_>>().join(" "))), "{help}");
    }
}

#[test]
fn ports_are_asked_only_when_wanted() {
    let machine = Machine::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = server.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    machine.token("client_configuration_token.tok", "127.0.0.1", &[open, closed]);
    assert_eq!(machine.json(&[])["ports"], Value::Null);
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err(), "nothing was sent");
    let ports = machine.json(&["--connect"])["ports"].clone();
    let mut answers: Vec<_> =
        ports.as_array().unwrap().iter().map(|port| (port["port"].as_u64(), port["answers"].clone())).collect();
    answers.sort_by_key(|(port, _)| *port == Some(closed.into()));
    assert_eq!(answers, [(Some(open.into()), json!(true)), (Some(closed.into()), json!(false))]);
    let (text, _) = machine.status(&["--connect"]);
    assert!(text.contains(&format!("port        127.0.0.1 {open}: answers\n")), "{text}");
    assert!(text.contains(&format!("port        127.0.0.1 {closed}: Connection refused")), "{text}");
    // A guest without a token knows no server that it could ask.
    fs::remove_file(machine.path("root/etc/nvidia/ClientConfigToken/client_configuration_token.tok")).unwrap();
    assert_eq!(machine.json(&["--connect"])["ports"], json!([]));
}

#[test]
fn the_token_is_looked_for_where_gridd_conf_says() {
    let machine = Machine::new();
    machine.file("etc/nvidia/gridd.conf.template", "# FeatureType=0\n#ServerPort=7070\n");
    machine.file("etc/nvidia/gridd.conf", "ClientConfigTokenPath=/run/elsewhere\nServerport=7070\nFeatureType=1\n");
    let problems =
        |machine: &Machine| -> Vec<String> { serde_json::from_value(machine.json(&[])["problems"].clone()).unwrap() };
    assert_eq!(
        problems(&machine),
        [
            "/etc/nvidia/gridd.conf sets \"Serverport\", which this driver's gridd.conf.template has not",
            "/run/elsewhere, where nvidia-gridd finds its token, cannot be read: No such file or directory (os error 2); \
             does it run? systemctl status nvidia-gridd",
        ]
    );
    machine.file("run/elsewhere/a.tok", "<html>");
    machine.file("etc/nvidia/gridd.conf", "ClientConfigTokenPath=/run/elsewhere\n");
    assert_eq!(problems(&machine), ["/run/elsewhere/a.tok: it holds a web page in place of a token"]);
    machine.file("run/elsewhere/b.tok", "");
    assert_eq!(
        problems(&machine),
        ["/run/elsewhere has 2 tokens (*.tok), and one is needed", "/run/elsewhere/b.tok: it is empty"]
    );
}

#[test]
fn a_host_tells_of_the_vgpus_that_run() {
    let machine = Machine::new();
    machine.file("proc/modules", "nvidia_vgpu_vfio 90112 0 - Live 0x0\nnvidia 1 0 - Live 0x0\n");
    assert_snapshot!(machine.text(), @"no vGPU of a running virtual machine has told of its licence");
    let start = |uuid: &str| {
        format!(
            "notice: vmiop_env_log: (0x0): Received start call from nvidia-vgpu-vfio module: mdev uuid {uuid} GPU PCI id 00:07:00.0 config params vgpu_type_id=259"
        )
    };
    let (one, two, gone) = (
        start("11111111-0000-0000-0000-000000000000"),
        start("22222222-0000-0000-0000-000000000000"),
        start("33333333-0000-0000-0000-000000000000"),
    );
    let license = |state: &str| format!("notice: vmiop_log: (0x0): vGPU license state: {state}");
    let (no, yes) = (license("Unlicensed (Unrestricted)"), license("Licensed"));
    machine.journal(
        "nvidia-vgpu-mgr",
        &[(10, &one), (20, &two), (10, &no), (20, &no), (30, &gone), (30, &yes), (10, &yes), (40, &no)],
    );
    for pid in [10, 20, 40] {
        fs::create_dir_all(machine.path(&format!("root/proc/{pid}"))).unwrap();
    }
    assert_snapshot!(machine.text(), @r"
    VGPU                                  LICENCE           UNTIL
    11111111-0000-0000-0000-000000000000  licensed
    22222222-0000-0000-0000-000000000000  not licensed yet
    process 40                            not licensed yet
    ");
    assert_eq!(machine.json(&[])["told_by"], "journal");
    assert_eq!(
        machine.json(&[])["vgpus"][0],
        json!({"vgpu": "11111111-0000-0000-0000-000000000000", "vm": null, "process": 10, "state": "licensed", "expiry": null})
    );
}

#[test]
fn a_hosts_driver_knows_better_than_the_journal() {
    let machine = Machine::new();
    machine.file("proc/modules", "nvidia_vgpu_vfio 90112 0 - Live 0x0\n");
    let library = machine.path("root/etc/nvidia/vgpu/libnvidia-ml.so.1");
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/license/nvml.c");
    let compiled = std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        skip::skip("there is no C compiler", "VGPU_REQUIRE_CC");
        return;
    }
    assert_snapshot!(machine.text(), @r"
    VGPU                                  LICENCE             UNTIL
    11111111-0000-0000-0000-000000000000  licensed            2027-01-04T08:00:00Z
    machine-101                           NOT licensed, slow
    ");
    let status = machine.json(&[]);
    assert_eq!(status["told_by"], "nvml");
    assert_eq!(
        status["vgpus"][1],
        json!({"vgpu": null, "vm": "machine-101", "process": null, "state": "unlicensed-restricted", "expiry": null})
    );
}

#[test]
fn a_machine_without_anything_is_no_failure() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.path("bin")).unwrap();
    let (text, errors) = machine.status(&[]);
    assert!(text.contains("state       unknown: neither nvidia-smi nor the journal"), "{text}");
    assert!(text.contains("clock       unknown"), "{text}");
    assert!(errors.contains("note: the journal is incomplete: journalctl"), "{errors}");
}

#[test]
fn nothing_of_the_journal_moves_the_terminal() {
    let machine = Machine::new();
    machine.gridd(&["Failed to be kind \u{1b}[2J \u{7}"]);
    let text = machine.text();
    assert!(text.contains(r"Failed to be kind \u{1b}[2J \u{7}"), "{text:?}");
}
