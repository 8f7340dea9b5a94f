//! nvidia-vgpud, which tells the kernel about types, and nvidia-vgpu-mgr, which runs the vGPUs of virtual machines.

use vgpu_base::terminal::count;

use super::super::check::{Check, Finding, Fix, Group};
use super::super::logs::quote;
use super::super::observed::{Log, Observed, Profiles};
use crate::machine::files;
use crate::machine::journal::Source;
use crate::machine::services::State;

pub const CHECKS: &[Check] = &[
    Check {
        id: "rm-client",
        group: Group::Services,
        after: &["nvidia-module", "host-driver"],
        question: "Do the services reach the driver?",
        symptom: "vmiop_env_log: Failed to initialize RM client: 0x26",
        fix: Fix {
            nixos: "",
            elsewhere: "the services ran without the module or its device files: restart the machine, or, with no \
                        virtual machine running: systemctl restart nvidia-vgpud nvidia-vgpu-mgr",
        },
        answer: |seen| {
            let services = ["nvidia-vgpud", "nvidia-vgpu-mgr"].map(Log::Service);
            Finding::worst(services.map(|log| seen.free_of(log, &["Failed to initialize RM client"])))
        },
    },
    Check {
        id: "profiles-file",
        group: Group::Services,
        after: &["host-driver"],
        question: "Can vgpuConfig.xml be read?",
        symptom: "nvidia-vgpud ends at once, or no type is offered",
        fix: Fix {
            nixos: "our host module writes /etc/nvidia/vgpu/vgpuConfig.xml: nixos-rebuild switch; see that \
                    environment.etc does not set another",
            elsewhere: "copy vgpuConfig.xml of the driver package to /usr/share/nvidia/vgpu/",
        },
        answer: |seen| match &seen.profiles {
            Profiles::Missing => Finding::failed("/etc/nvidia/vgpu/vgpuConfig.xml: missing"),
            Profiles::Damaged(why) => Finding::failed(why.clone()),
            Profiles::Read { path, profiles, gpus } => {
                let (profiles, gpus) = (count(profiles.len() as u64, "profile"), count(gpus.len() as u64, "GPU"));
                Finding::ok(format!("{path}: {profiles} for {gpus}"))
            }
        },
    },
    Check {
        id: "vgpud",
        group: Group::Services,
        after: &["rm-client", "profiles-file", "gpu-alive"],
        question: "Has nvidia-vgpud done its work?",
        symptom: "no type is offered; systemctl status nvidia-vgpud: failed",
        fix: Fix { nixos: "", elsewhere: "journalctl -u nvidia-vgpud tells why; then: systemctl restart nvidia-vgpud" },
        // It ends when the kernel knows the types. So it is no failure if it does not run.
        answer: |seen| service(seen, "nvidia-vgpud", Runs::Once),
    },
    Check {
        id: "vgpud-unlock",
        group: Group::Services,
        after: &["vgpud"],
        question: "Does the driver accept what nvidia-vgpud tells it?",
        symptom: "failed to set pGPU fractional multivgpu information; failed to send vGPU configuration info to RM",
        fix: Fix {
            nixos: "take a release whose patcher is newer (column PATCHER of `vgpu releases`): this one does not know the \
                    driver's newer calls",
            elsewhere: "use a newer patcher or unlock: this one does not know the driver's newer calls",
        },
        answer: |seen| {
            let refused = ["failed to set pGPU fractional multivgpu", "failed to send vGPU configuration info to RM"];
            seen.free_of(Log::Service("nvidia-vgpud"), &refused)
        },
    },
    Check {
        id: "vgpu-mgr",
        group: Group::Services,
        after: &["rm-client"],
        question: "Does nvidia-vgpu-mgr run?",
        symptom: "start failed. status: 0x0 Timeout Occured; QEMU: Connection timed out",
        fix: Fix {
            nixos: "",
            elsewhere: "systemctl start nvidia-vgpu-mgr; journalctl -u nvidia-vgpu-mgr tells why it ended",
        },
        answer: |seen| service(seen, "nvidia-vgpu-mgr", Runs::Always),
    },
    Check {
        id: "mgr-restarted",
        group: Group::Services,
        after: &["vgpu-mgr"],
        question: "Is nvidia-vgpu-mgr older than the virtual machines that it serves?",
        symptom: "virtual machines hang after nvidia-vgpu-mgr was restarted",
        fix: Fix {
            nixos: "shut these virtual machines down and start them again; our module never restarts the service \
                    (restartIfChanged = false)",
            elsewhere: "shut these virtual machines down and start them again; never restart nvidia-vgpu-mgr under them",
        },
        answer: mgr_restarted,
    },
];

/// How long a service runs.
#[derive(PartialEq)]
enum Runs {
    /// It does its work and ends.
    Once,
    Always,
}

/// A service's state. Where systemd cannot be asked, the journal may tell of failures.
fn service(seen: &Observed, name: &'static str, runs: Runs) -> Finding {
    let state = seen.state(name);
    let systemd = Source::Systemd(name.to_owned());
    let last = seen.journal.of(&systemd).next_back();
    let failure = last.filter(|entry| entry.message.contains("Failed with result"));
    let evidence = match state {
        State::Missing => format!("/etc/systemd/system: no {name}.service"),
        _ => format!("{name}.service: {}", describe(state)),
    };
    match (state, failure) {
        (State::Failed, failure) => {
            Finding::failed(failure.map_or(evidence.clone(), |entry| format!("{evidence}\n{}", quote(entry))))
        }
        (State::Missing, _) => Finding::failed(evidence),
        (State::Running | State::Exited, _) => Finding::ok(evidence),
        (_, Some(failure)) => Finding::failed(quote(failure)),
        (State::Stopped, None) if runs == Runs::Always => Finding::failed(evidence),
        (State::Unknown, None) if runs == Runs::Always => {
            Finding::failed(format!("/proc: no process {name}")).fix(format!("systemctl start {name}"))
        }
        (State::Starting, None) => Finding::warning(evidence),
        _ => Finding::ok(evidence),
    }
}

fn describe(state: State) -> &'static str {
    match state {
        State::Missing => "not installed",
        State::Running => "running",
        State::Exited => "has done its work",
        State::Starting => "starting",
        State::Stopped => "not running",
        State::Failed => "failed",
        State::Unknown => "installed; systemd can't be asked",
    }
}

/// Compares when processes were started: field 22 of /proc/PID/stat (proc(5)), ticks since the start of the machine.
fn mgr_restarted(seen: &Observed) -> Finding {
    let started = |pid: &str| {
        let stat = seen.read(&format!("proc/{pid}/stat"))?;
        // The name is in brackets and may contain anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse::<u64>().ok()
    };
    let processes = files::entries(&seen.root.join("proc")).filter_map(|path| files::name(&path));
    let manager = processes
        .filter(|pid| seen.read(&format!("proc/{pid}/comm")).as_deref() == Some("nvidia-vgpu-mgr"))
        // It starts a process for each virtual machine. The first process is the service.
        .filter_map(|pid| started(&pid))
        .min();
    let Some(manager) = manager else { return Finding::irrelevant() };
    let users = seen.gpus.iter().flat_map(|gpu| &gpu.vgpus);
    let users = users.filter_map(|vgpu| seen.users.of(vgpu.iommu_group, vgpu.vfio_device.as_deref()));
    Finding::worst(users.filter_map(|process| {
        let older = started(&process.pid.to_string())? < manager;
        let what = format!("{} (process {})", process.command, process.pid);
        Some(if older {
            Finding::failed(format!("{what} was started before the nvidia-vgpu-mgr that runs now"))
        } else {
            Finding::ok(format!("{what} was started after nvidia-vgpu-mgr"))
        })
    }))
}
