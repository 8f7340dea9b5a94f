//! The licences of this machine: of a guest's own GPUs, or of the vGPUs that a host runs.
//!
//! The driver's answer counts. If it can't be asked, the journal counts. Hosts ask NVML, the driver's library. Guests ask
//! nvidia-smi, because NVML's functions for guests do not tell a slowed GPU from one that waits for its licence. The journal
//! also has the server and the failures, which the driver does not tell.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nvml_wrapper::enum_wrappers::vgpu::VgpuLicenseState;
use nvml_wrapper_sys::bindings::NVML_GRID_LICENSE_EXPIRY_VALID;
use roxmltree::{Document, ParsingOptions};
use serde::Serialize;

use super::gridd_conf;
use super::journal_summary::{JournalSummary, ReportedFailure};
use super::reach::{self, Answer};
use super::state::{self, State};
use super::token::{self, Token};
use crate::machine::journal::{Journal, Source};
use crate::machine::nvml::{self, Library};
use crate::machine::{driver, files, program};

/// Where nvidia-gridd looks for tokens, unless gridd.conf names another directory.
const TOKENS: &str = "/etc/nvidia/ClientConfigToken";

/// What is known of the licences of a machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Status {
    Guest(Box<Guest>),
    Host(Host),
}

/// A virtual machine, whose nvidia-gridd asks for licences.
#[derive(Debug, Serialize)]
pub struct Guest {
    /// One for each GPU of the virtual machine.
    pub licences: Vec<Licence>,
    /// Where this is from. `None` if nothing is known.
    pub told_by: Option<StatusSource>,
    /// The licence server, from the journal, or else from the token.
    pub server: Option<String>,
    /// Whether the clock is synchronised. `null` if that is not known.
    pub clock_synchronized: Option<bool>,
    pub token: Option<FoundToken>,
    /// Only if the user asked to connect.
    pub ports: Option<Vec<Answer>>,
    /// What went wrong since the last licence, and what to do.
    pub failures: Vec<ReportedFailure>,
    /// What is wrong with the configuration, each in a sentence.
    pub problems: Vec<String>,
}

/// Where a licence's state is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusSource {
    Nvml,
    NvidiaSmi,
    Journal,
}

/// The licence of a GPU in a virtual machine.
#[derive(Debug, Serialize)]
pub struct Licence {
    /// 00000000:06:00.0, as nvidia-smi writes addresses; `null` in the journal.
    pub gpu: Option<String>,
    /// NVIDIA RTX Virtual Workstation
    pub product: Option<String>,
    pub state: State,
    /// When it ends: RFC 3339 in UTC.
    pub expiry: Option<String>,
}

/// The token that nvidia-gridd finds.
#[derive(Debug, Serialize)]
pub struct FoundToken {
    pub file: PathBuf,
    #[serde(flatten)]
    pub token: Token,
}

/// A host, and the vGPUs it runs.
#[derive(Debug, Serialize)]
pub struct Host {
    pub vgpus: Vec<VgpuLicence>,
    pub told_by: StatusSource,
}

/// The licence of a vGPU, as the host sees it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct VgpuLicence {
    /// UUID of the mediated device; `null` where it is none, or nobody knows.
    pub vgpu: Option<String>,
    /// UUID or name of the virtual machine, from NVML.
    pub vm: Option<String>,
    /// Process of nvidia-vgpu-mgr for this vGPU, from the journal. It has one for each vGPU that a virtual machine has open.
    pub process: Option<u32>,
    /// `null` until the guest's driver reports something.
    pub state: Option<State>,
    /// When it ends, from NVML: RFC 3339 in UTC.
    pub expiry: Option<String>,
}

/// Whether to talk to licence servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Check whether their ports answer.
    Ask,
    Leave,
}

/// Reads the state of the machine with the root directory `root` and this journal.
pub fn read(root: &Path, journal: &Journal, network: Network) -> Status {
    if driver::modules(root).iter().any(|module| module == "nvidia_vgpu_vfio") {
        return Status::Host(host(root, journal));
    }
    Status::Guest(Box::new(guest(root, journal, network)))
}

fn host(root: &Path, journal: &Journal) -> Host {
    match Library::open(root).and_then(|library| library.vgpu_licences()) {
        Ok(told) => Host { vgpus: told.into_iter().map(of_nvml).collect(), told_by: StatusSource::Nvml },
        Err(_) => Host { vgpus: of_manager(root, journal), told_by: StatusSource::Journal },
    }
}

fn of_nvml(told: nvml::VgpuLicence) -> VgpuLicence {
    let state = match told.info.state {
        VgpuLicenseState::Licensed => Some(State::Licensed),
        VgpuLicenseState::Unlicensed => Some(State::Unlicensed),
        VgpuLicenseState::UnlicensedUnrestricted => Some(State::UnlicensedUnrestricted),
        VgpuLicenseState::UnlicensedRestricted => Some(State::UnlicensedRestricted),
        VgpuLicenseState::Unknown | VgpuLicenseState::Uninitialized => None,
    };
    let end = told.info.expiry;
    let expiry = (u32::from(end.status) == NVML_GRID_LICENSE_EXPIRY_VALID)
        .then(|| state::date(end.year, end.month, end.day, end.hour, end.min, end.sec))
        .flatten();
    VgpuLicence { vgpu: told.mdev_uuid, vm: told.vm, process: None, state, expiry }
}

fn guest(root: &Path, journal: &Journal, network: Network) -> Guest {
    let unit = Source::Unit("nvidia-gridd".to_owned());
    let summary = JournalSummary::read(journal.of(&unit).map(|entry| (entry.time.as_str(), entry.message.as_str())));
    let mut problems = Vec::new();
    let conf = files::read(&root.join("etc/nvidia/gridd.conf")).unwrap_or_default();
    let template = files::read(&root.join("etc/nvidia/gridd.conf.template"));
    for key in template.iter().flat_map(|template| gridd_conf::unknown(&conf, template)) {
        problems.push(format!("/etc/nvidia/gridd.conf sets {key:?}, which this driver's gridd.conf.template has not"));
    }
    let directory = gridd_conf::settings(&conf).get("ClientConfigTokenPath").copied().unwrap_or(TOKENS).to_owned();
    let token = find_token(root, &directory, &mut problems);
    let (licences, told_by) = licences(&summary);
    let servers = token.as_ref().map_or(&[][..], |found| &found.token.servers);
    Guest {
        licences,
        told_by,
        server: summary.server.or_else(|| Some(servers.first()?.visible())),
        clock_synchronized: clock(root),
        ports: (network == Network::Ask).then(|| reach::ask(servers)),
        token,
        failures: summary.failures,
        problems,
    }
}

/// What the driver says, or else what the journal says.
fn licences(summary: &JournalSummary) -> (Vec<Licence>, Option<StatusSource>) {
    let told = program::output("nvidia-smi", &["-q", "-x"]).map(|xml| of_nvidia_smi(&xml)).unwrap_or_default();
    if !told.is_empty() {
        return (told, Some(StatusSource::NvidiaSmi));
    }
    let licence =
        |state| Licence { gpu: None, product: summary.product.clone(), state, expiry: summary.expiry.clone() };
    let told: Vec<Licence> = summary.state.map(licence).into_iter().collect();
    let told_by = (!told.is_empty()).then_some(StatusSource::Journal);
    (told, told_by)
}

/// `nvidia-smi -q -x`: a `<gpu id="…">` each, with a `<vgpu_software_licensed_product>` in it where it needs a licence.
fn of_nvidia_smi(xml: &str) -> Vec<Licence> {
    // The document names its DTD.
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let Ok(document) = Document::parse_with_options(xml, options) else { return Vec::new() };
    let products = document.descendants().filter(|node| node.has_tag_name("vgpu_software_licensed_product"));
    let licence = |product: roxmltree::Node| {
        let text = |name: &str| product.children().find(|node| node.has_tag_name(name))?.text();
        let status = state::parse(text("license_status")?)?;
        let gpu = product.ancestors().find_map(|node| node.attribute("id"));
        Some(Licence {
            gpu: gpu.map(str::to_owned),
            product: text("licensed_product_name").map(|name| name.trim().to_owned()),
            state: status.state,
            expiry: status.expiry,
        })
    };
    products.filter_map(licence).collect()
}

/// The only token in the directory. It is a problem if there is none, if there are several, or if it can't be read.
fn find_token(root: &Path, directory: &str, problems: &mut Vec<String>) -> Option<FoundToken> {
    let within = root.join(directory.trim_start_matches('/'));
    let entries = match fs::read_dir(&within) {
        Ok(entries) => entries,
        Err(error) => {
            // It exists while the service runs.
            let hint = if directory.starts_with("/run/") { "; does it run? systemctl status nvidia-gridd" } else { "" };
            problems.push(format!("{directory}, where nvidia-gridd finds its token, cannot be read: {error}{hint}"));
            return None;
        }
    };
    let is_token = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tok");
    let mut tokens: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_token).collect();
    tokens.sort();
    if tokens.len() != 1 {
        problems.push(format!("{directory} has {} tokens (*.tok), and one is needed", tokens.len()));
    }
    let path = tokens.pop()?;
    let file = Path::new("/").join(path.strip_prefix(root).unwrap_or(&path));
    let read = File::open(&path).map_err(token::TokenError::Read).and_then(|open| token::read(open, SystemTime::now()));
    match read {
        Ok(token) => Some(FoundToken { file, token }),
        Err(error) => {
            let reason = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
            problems.push(format!("{}: {error}{reason}", file.display()));
            None
        }
    }
}

/// systemd-timesyncd leaves a file when it has set the clock. For other services, systemd knows what the kernel says.
fn clock(root: &Path) -> Option<bool> {
    if root.join("run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    match program::output("timedatectl", &["show", "--property=NTPSynchronized", "--value"])?.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Reads what nvidia-vgpu-mgr wrote. It has a process for each vGPU, which first names the vGPU (`… mdev uuid UUID GPU PCI id
/// …`) and then tells the state of its licence (`vGPU license state: Licensed`). The last state of each running process counts.
fn of_manager(root: &Path, journal: &Journal) -> Vec<VgpuLicence> {
    let mut vgpus: BTreeMap<u32, VgpuLicence> = BTreeMap::new();
    let new = |pid, vgpu| VgpuLicence { vgpu, vm: None, process: Some(pid), state: None, expiry: None };
    for entry in journal.of(&Source::Unit("nvidia-vgpu-mgr".to_owned())) {
        let Some(pid) = entry.pid else { continue };
        let started = entry.message.split_once("mdev uuid ").and_then(|(_, rest)| rest.split_whitespace().next());
        let told = entry.message.split_once("vGPU license state: ").and_then(|(_, words)| state::parse(words));
        if let Some(uuid) = started {
            vgpus.insert(pid, new(pid, Some(uuid.to_owned())));
        }
        if let Some(status) = told {
            vgpus.entry(pid).or_insert_with(|| new(pid, None)).state = Some(status.state);
        }
    }
    let running = vgpus.into_iter().filter(|(pid, _)| root.join(format!("proc/{pid}")).exists());
    running.map(|(_, vgpu)| vgpu).collect()
}
