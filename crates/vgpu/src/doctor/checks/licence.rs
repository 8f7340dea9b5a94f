//! Licences: whether a guest has one, and why not.

use std::time::SystemTime;

use super::super::check::{Check, Finding, Fix, Group, Status};
use super::super::logs::quote;
use super::super::observed::{Log, Observed};
use crate::license::failures::FAILURES;
use crate::license::journal_summary::{JournalSummary, ReportedFailure};
use crate::license::state::State;
use crate::license::{gridd_conf, token};
use crate::machine::files;
use crate::machine::journal::Entry;
use crate::machine::services;

const CLIENT: Log = Log::Service("nvidia-gridd");
const MANAGER: Log = Log::Service("nvidia-vgpu-mgr");
const CONF: &str = "etc/nvidia/gridd.conf";
/// Where tokens lie, unless gridd.conf says otherwise.
const TOKENS: &str = "etc/nvidia/ClientConfigToken";

pub const OF_HOSTS: &[Check] = &[Check {
    id: "guest-licences",
    group: Group::Licence,
    after: &["guest-match"],
    question: "Do the guests have licences?",
    symptom: "a guest slows down to 15 and then 3 frames a second; CUDA stops",
    fix: Fix { nixos: "", elsewhere: "in the guest: vgpu doctor, or vgpu license status" },
    answer: guest_licences,
}];

pub const OF_GUESTS: &[Check] = &[
    Check {
        id: "clock",
        group: Group::Licence,
        after: &[],
        question: "Does something keep the clock right?",
        symptom: "no licence: The allowed time to process response has expired; Clock windback has been detected",
        fix: Fix {
            nixos: "services.timesyncd.enable = true; and time.hardwareClockInLocalTime = false; (in libvirt: \
                    <clock offset='utc'>)",
            elsewhere: "timedatectl set-ntp true; timedatectl set-local-rtc 0",
        },
        answer: clock,
    },
    Check {
        id: "token",
        group: Group::Licence,
        after: &["guest-package"],
        question: "Is there exactly one valid client configuration token?",
        symptom: "nvidia-gridd: Unable to fetch the client configuration token file",
        fix: Fix {
            nixos: "get a token from the licence server, and set hardware.nvidia.vgpu.licensing.tokenFile to it",
            elsewhere: "get a token from the licence server, put it into /etc/nvidia/ClientConfigToken, and restart \
                        nvidia-gridd",
        },
        answer: token,
    },
    Check {
        id: "gridd-conf",
        group: Group::Licence,
        after: &["guest-package"],
        question: "Does only the token name the licence server, and not gridd.conf, too?",
        symptom: "the licence is asked of a server that has none",
        fix: Fix {
            nixos: "take ServerAddress and ServerPort out of hardware.nvidia.vgpu.licensing.settings: the token has them",
            elsewhere: "take ServerAddress and ServerPort out of /etc/nvidia/gridd.conf: the token has them",
        },
        answer: settings,
    },
    Check {
        id: "gridd",
        group: Group::Licence,
        after: &["guest-package", "token"],
        question: "Does nvidia-gridd run?",
        symptom: "nvidia-smi -q: License Status: Unlicensed, and nothing new in the journal",
        fix: Fix {
            nixos: "",
            elsewhere: "systemctl restart nvidia-gridd; journalctl -u nvidia-gridd tells why it ended",
        },
        answer: |seen| match seen.state("nvidia-gridd") {
            services::State::Running | services::State::Exited => Finding::ok("nvidia-gridd.service: running"),
            services::State::Starting => Finding::warning("nvidia-gridd.service: starting"),
            services::State::Failed => Finding::failed("nvidia-gridd.service: failed"),
            services::State::Stopped | services::State::Missing => Finding::failed("nvidia-gridd.service: not running"),
            services::State::Unknown => Finding::failed("/proc: no process nvidia-gridd"),
        },
    },
    Check {
        id: "licence-messages",
        group: Group::Licence,
        after: &["clock", "token"],
        question: "Does nvidia-gridd work without errors?",
        symptom: "Failed to acquire license from …; what each message means is listed below",
        fix: Fix {
            nixos: "see the table of what nvidia-gridd says",
            elsewhere: "see the table of what nvidia-gridd says",
        },
        answer: messages,
    },
    Check {
        id: "licensed",
        group: Group::Licence,
        after: &["gridd", "licence-messages", "host-match"],
        question: "Does this guest have a licence?",
        symptom: "nvidia-smi -q: License Status: Unlicensed (Restricted); 15 and then 3 frames a second; CUDA stops",
        fix: Fix { nixos: "", elsewhere: "vgpu license status --connect shows whether the server answers" },
        answer: licensed,
    },
];

/// The last message of the manager about each guest: `vGPU license state: Licensed`.
fn guest_licences(seen: &Observed) -> Finding {
    let mut last = std::collections::BTreeMap::new();
    for entry in seen.entries(MANAGER) {
        if entry.message.contains("vGPU license state: ") {
            last.insert(entry.pid, entry);
        }
    }
    let unlicensed =
        |entry: &Entry| entry.message.contains("state: Unlicensed") && !entry.message.contains("Unrestricted");
    let found = Finding::worst(last.into_values().map(|entry| match unlicensed(entry) {
        true => Finding::warning(quote(entry)),
        false => Finding::ok(quote(entry)),
    }));
    if found.status.is_some() { found } else { seen.nothing(MANAGER) }
}

fn clock(seen: &Observed) -> Finding {
    if seen.read("etc/adjtime").is_some_and(|text| text.lines().nth(2) == Some("LOCAL")) {
        return Finding::warning("/etc/adjtime: the hardware clock is in local time");
    }
    if seen.root.join("run/systemd/timesync/synchronized").exists() {
        return Finding::ok("/run/systemd/timesync/synchronized: there");
    }
    let running = files::entries(&seen.root.join("proc")).filter_map(|process| files::read(&process.join("comm")));
    let keepers = ["chronyd", "ntpd", "openntpd", "ptp4l", "phc2sys"];
    match running.into_iter().find(|name| keepers.contains(&name.as_str())) {
        Some(name) => Finding::ok(format!("{name} runs")),
        None => Finding::warning("/run/systemd/timesync/synchronized: missing; nothing keeps it: no chronyd, no ntpd"),
    }
}

/// The directory of tokens: `ClientConfigTokenPath` of gridd.conf, or NVIDIA's.
fn token_directory(seen: &Observed) -> String {
    let named = setting(seen, "ClientConfigTokenPath").filter(|path| path.starts_with('/'));
    named.map_or(TOKENS.to_owned(), |path| path.trim_start_matches('/').to_owned())
}

fn setting(seen: &Observed, key: &str) -> Option<String> {
    let text = seen.read(CONF)?;
    let value = *gridd_conf::settings(&text).get(key)?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn token(seen: &Observed) -> Finding {
    let directory = token_directory(seen);
    let path = seen.root.join(&directory);
    let mut tokens = match std::fs::read_dir(&path) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Finding::unknown(format!("/{directory}: {error}"));
        }
        Err(_) => Vec::new(),
    };
    tokens.retain(|path| path.extension().is_some_and(|extension| extension == "tok"));
    tokens.sort();
    let [path] = &tokens[..] else {
        return match tokens.len() {
            0 => Finding::failed(format!("/{directory}: no file that ends in .tok")),
            count => Finding::warning(format!("/{directory}: {count} tokens, and nvidia-gridd takes any"))
                .fix("leave the one that is right: vgpu license token FILE explains each; then restart nvidia-gridd"),
        };
    };
    let name = format!("/{directory}/{}", files::name(path).unwrap_or_default());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Finding::unknown(format!("{name}: {error}"));
        }
        Err(error) => return Finding::failed(format!("{name}: {error}")),
    };
    match token::read(file, SystemTime::now()) {
        Ok(token) if token.problems.is_empty() => {
            let until = token.valid_until.map_or(String::new(), |until| format!(", valid until {until}"));
            Finding::ok(format!("{name}: a token{until}"))
        }
        Ok(token) => Finding::failed(format!("{name}: {}", token.problems.join("; "))),
        Err(error) => Finding::failed(format!("{name}: {error}")),
    }
}

/// Hosts of the licence servers that the tokens name.
pub fn token_servers(seen: &Observed) -> Vec<String> {
    let files = files::entries(&seen.root.join(token_directory(seen)));
    let tokens = files.filter_map(|path| token::read(std::fs::File::open(path).ok()?, SystemTime::now()).ok());
    tokens.flat_map(|token| token.servers).map(|server| token::host(&server.url).to_owned()).collect()
}

fn settings(seen: &Observed) -> Finding {
    let tokens = files::entries(&seen.root.join(token_directory(seen)));
    let token = tokens.into_iter().any(|path| path.extension().is_some_and(|extension| extension == "tok"));
    let server = match setting(seen, "ServerAddress") {
        Some(server) if token => Finding::warning(format!("/{CONF}: ServerAddress={server}, and there is a token")),
        Some(server) => Finding::ok(format!("/{CONF}: ServerAddress={server}")),
        None => Finding::ok(format!("/{CONF}: no ServerAddress")),
    };
    let (conf, template) = (seen.read(CONF), seen.read("etc/nvidia/gridd.conf.template"));
    let (conf, template) = (conf.unwrap_or_default(), template.unwrap_or_default());
    let unknown = if template.is_empty() { Vec::new() } else { gridd_conf::unknown(&conf, &template) };
    let unknown = unknown.into_iter().map(|key| {
        Finding::warning(format!("/{CONF}: {key}, which this driver's gridd.conf.template has not"))
            .fix("look for a spelling mistake: /etc/nvidia/gridd.conf.template has the names")
    });
    Finding::worst(std::iter::once(server).chain(unknown))
}

/// What nvidia-gridd wrote since it was started.
fn summary(seen: &Observed) -> JournalSummary {
    JournalSummary::read(seen.entries(CLIENT).into_iter().map(|entry| (entry.time.as_str(), entry.message.as_str())))
}

fn messages(seen: &Observed) -> Finding {
    let failures = summary(seen).failures;
    // In the table of failures, those that explain most come first.
    let rank =
        |told: &&ReportedFailure| FAILURES.iter().position(|failure| failure.id == told.id).unwrap_or(FAILURES.len());
    let Some(told) = failures.iter().min_by_key(rank) else { return seen.nothing(CLIENT) };
    let cause = told.cause.map(|cause| format!("\n{cause}")).unwrap_or_default();
    let finding = Finding::failed(format!("{} nvidia-gridd: {}{cause}", told.time, told.line));
    match told.help {
        Some(help) => finding.fix(help),
        None => finding,
    }
}

fn licensed(seen: &Observed) -> Finding {
    let told = summary(seen);
    let product = told.product.unwrap_or_default();
    let until = told.expiry.map(|expiry| format!(" until {expiry}")).unwrap_or_default();
    match told.state {
        Some(State::Licensed) => Finding::ok(format!("the journal of nvidia-gridd: licensed{until}: {product}")),
        Some(_) => Finding::failed("the journal of nvidia-gridd: the licence was returned, or there was none"),
        None => match seen.nothing(CLIENT) {
            silent if silent.status == Some(Status::Unknown) => silent,
            _ => Finding::warning("the journal of nvidia-gridd: no licence was acquired since it was started"),
        },
    }
}
