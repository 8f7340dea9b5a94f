//! `vgpu status`: the GPUs of a host, what they are cut into, and what still fits, on one screen.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use miette::{Result, WrapErr};
use serde::Serialize;

use super::bars::{Piece, bar, mib};
use super::output;
use crate::instances::apply::View;
use crate::instances::declaration::{self, Declaration, Name};
use crate::instances::list::{self, Listed};
use crate::instances::profiles::bare;
use crate::instances::room::Room;
use crate::machine::driver;
use crate::machine::nvml::{Figures, Library};
use crate::machine::pci::{Address, Sriov};
use crate::machine::services::{self, Service, State};
use crate::machine::vgpu::{HostGpu, Interface};

/// Show the GPUs of this host, what they are cut into, and what still fits.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu status
  vgpu status --watch
  vgpu status --json")]
pub struct Args {
    /// Show it again every two seconds, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print JSON: {\"gpus\", \"services\"}
    #[arg(long)]
    json: bool,
    /// Root directory of the machine to look at; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

const PAUSE: Duration = Duration::from_secs(2);

/// The services of a host.
const SERVICES: [&str; 3] = ["nvidia-vgpud", "nvidia-vgpu-mgr", "nvidia-vgpu-instances"];

/// All that is shown.
#[derive(Serialize)]
struct Status {
    gpus: Vec<Gpu>,
    services: Vec<Service>,
}

/// A physical GPU. What is not known is null.
#[derive(Serialize)]
struct Gpu {
    address: Address,
    name: Option<String>,
    /// PCI device id, in hexadecimal.
    device: String,
    /// The kernel driver that has it.
    driver: Option<String>,
    driver_version: Option<String>,
    interface: Option<Interface>,
    /// Whether vGPUs of several sizes may be on it.
    mixed_sizes: Option<bool>,
    sriov: Option<Sriov>,
    /// What vGPUs can have together, in MiB.
    memory_mib: Option<u64>,
    instances: Vec<OnGpu>,
    /// What still fits: a profile of each size.
    room: Vec<Fits>,
    /// From NVIDIA's library.
    live: Option<Figures>,
}

/// A vGPU and what it takes of the GPU, in MiB.
#[derive(Serialize)]
struct OnGpu {
    #[serde(flatten)]
    vgpu: Listed,
    memory_mib: Option<u64>,
}

#[derive(Serialize)]
struct Fits {
    profile: String,
    count: u64,
}

pub fn run(args: Args) -> Result<()> {
    if args.json {
        return output::json(&look(&args)?);
    }
    if !args.watch {
        return output::print(screen(&look(&args)?));
    }
    loop {
        let screen = screen(&look(&args)?);
        // Home, and clear: what is no terminal gets one screen after the other.
        let _ = write!(anstream::stdout().lock(), "\x1b[H\x1b[2J");
        output::print(screen)?;
        sleep(PAUSE);
    }
}

fn look(args: &Args) -> Result<Status> {
    let declared = declaration::read(&args.root.join(declaration::PATH.trim_start_matches('/')));
    // A declaration that is damaged is for `vgpu instances` to complain about: what there is can be shown.
    let declaration = declared.unwrap_or_else(|error| {
        output::note(error);
        Declaration::default()
    });
    let view = View::look(&args.root).wrap_err("cannot look at the vGPUs of this machine")?;
    let version = driver::version(&args.root);
    // Opened for the moment alone: while it is open, sriov-manage can have no GPU.
    let library = version.as_ref().and_then(|_| Library::open(&args.root).ok());
    let mut listed = list::list(&view, &declaration);
    let gpus = view.gpus.iter().map(|gpu| {
        let (here, others) = std::mem::take(&mut listed).into_iter().partition(|vgpu| vgpu.gpu == Some(gpu.address()));
        listed = others;
        describe(&view, gpu, here, version.as_deref(), library.as_ref(), &declaration)
    });
    Ok(Status { gpus: gpus.collect(), services: services::states(&args.root, &SERVICES) })
}

fn describe(
    view: &View,
    gpu: &HostGpu,
    here: Vec<Listed>,
    version: Option<&str>,
    library: Option<&Library>,
    declaration: &Declaration,
) -> Gpu {
    let function = &gpu.gpu.function;
    let board = view.profiles.board(function);
    let live = library.and_then(|library| library.figures(gpu.address()).ok());
    let mixed_sizes = library.and_then(|library| library.mixed_sizes(gpu.address()).ok());
    let declared = declaration.gpus.get(&gpu.address()).and_then(|gpu| gpu.mixed_sizes);
    let memory = |id: Option<u32>| view.profiles.get(id?)?.size.map(|bytes| bytes >> 20);
    let board_name = board.and_then(|board| board.name.clone());
    let nvidia = function.driver.as_deref() == Some("nvidia");
    Gpu {
        address: gpu.address(),
        name: live.as_ref().and_then(|live| live.name.clone()).or_else(|| gpu.gpu.name.clone()).or(board_name),
        device: format!("{:04x}", function.device),
        driver: function.driver.clone(),
        driver_version: version.filter(|_| nvidia).map(str::to_owned),
        interface: gpu.interface(),
        mixed_sizes,
        sriov: function.sriov,
        memory_mib: board.and_then(|board| view.profiles.memory(board)).map(|bytes| bytes >> 20),
        room: room(view, gpu, mixed_sizes.or(declared) == Some(true)),
        instances: here.into_iter().map(|vgpu| OnGpu { memory_mib: memory(vgpu.profile.id), vgpu }).collect(),
        live,
    }
}

/// What still fits on a GPU: of each size one profile, and how many of it.
fn room(view: &View, gpu: &HostGpu, mixed: bool) -> Vec<Fits> {
    let Some(board) = view.profiles.board(&gpu.gpu.function) else { return Vec::new() };
    let mut sizes = BTreeMap::new();
    for id in board.offers.keys() {
        let Some((profile, size)) = view.profiles.get(*id).and_then(|profile| Some((profile, profile.size?))) else {
            continue;
        };
        // Workstations' profiles stand for those of their size.
        let best = sizes.entry(size).or_insert(profile);
        if profile.name.ends_with('Q') && !best.name.ends_with('Q') {
            *best = profile;
        }
    }
    let fits = |profile: &crate::instances::profiles::Profile| {
        let mut room = Room::new(gpu, &view.profiles, mixed);
        let most = board.offers[&profile.id].unwrap_or(u64::from(u16::MAX));
        let count = (0..most).take_while(|_| {
            let fits = room.fits(profile.id).is_ok();
            let function = room.free_functions().next();
            room.add(function, Some(profile.id));
            fits
        });
        Fits { count: count.count() as u64, profile: bare(&profile.name).to_owned() }
    };
    sizes.into_values().map(fits).filter(|fits| fits.count > 0).collect()
}

/// The screen.
fn screen(status: &Status) -> String {
    let mut blocks: Vec<String> = status.gpus.iter().map(block).collect();
    if blocks.is_empty() {
        blocks.push("This machine shows no NVIDIA GPU.".to_owned());
    }
    blocks.push(services_line(&status.services));
    blocks.join("\n\n")
}

fn services_line(services: &[Service]) -> String {
    let state = |state: &State| match state {
        State::Missing => "not installed",
        State::Running => "running",
        State::Exited => "done",
        State::Starting => "starting",
        State::Stopped => "stopped",
        State::Failed => "FAILED",
        State::Unknown => "unknown",
    };
    let lines = services.iter().map(|service| format!("{:<22} {}", service.name, state(&service.state)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A GPU: what it is, its bar, what still fits, its vGPUs.
fn block(gpu: &Gpu) -> String {
    let mut lines = vec![heading(gpu)];
    let there: Vec<&OnGpu> = gpu.instances.iter().filter(|on| on.vgpu.state != list::State::Missing).collect();
    let sizes: Option<Vec<u64>> = there.iter().map(|on| on.memory_mib).collect();
    if let (Some(whole), Some(sizes)) = (gpu.memory_mib, sizes) {
        let names: Vec<String> = there.iter().map(|on| label(&on.vgpu)).collect();
        let pieces: Vec<Piece> = names.iter().zip(&sizes).map(|(label, size)| Piece { label, size: *size }).collect();
        lines.push(format!("  {}  {}", bar(&pieces, whole), mib(whole)));
        let taken: u64 = sizes.iter().sum();
        lines.push(format!("  {} taken, {} free{}", mib(taken), mib(whole.saturating_sub(taken)), fits(&gpu.room)));
    }
    if let Some(live) = &gpu.live {
        let busy = live.utilization.map(|percent| format!("{percent} % busy"));
        let used = live.memory_used.zip(live.memory_total);
        let used = used.map(|(used, total)| format!("{} of {} MiB in use", used, total));
        lines.extend(
            [busy, used].into_iter().flatten().reduce(|a, b| format!("{a}, {b}")).map(|text| format!("  {text}")),
        );
    }
    lines.extend(gpu.instances.iter().map(instance));
    lines.join("\n")
}

fn heading(gpu: &Gpu) -> String {
    let name = gpu.name.as_deref().unwrap_or("NVIDIA GPU");
    let driver = match (&gpu.driver, &gpu.driver_version) {
        (Some(_), Some(version)) => format!("driver {version}"),
        (Some(driver), None) => format!("driver {driver}"),
        (None, _) => "no driver".to_owned(),
    };
    let functions = gpu.sriov.map(|sriov| format!("{} of {} functions on", sriov.enabled, sriov.total));
    let interface = gpu.interface.map(|interface| interface.to_string());
    let mode = gpu.mixed_sizes.filter(|mixed| *mixed).map(|_| "mixed sizes".to_owned());
    let facts: Vec<String> = [Some(driver), interface, functions, mode].into_iter().flatten().collect();
    format!("{}  {name}\n  {}", gpu.address, facts.join(", "))
}

fn label(vgpu: &Listed) -> String {
    let profile = vgpu.profile.name.as_deref().map(bare);
    vgpu.name.as_ref().map(Name::to_string).or_else(|| profile.map(str::to_owned)).unwrap_or_default()
}

/// "; still fits: 3 x A40-8Q"
fn fits(room: &[Fits]) -> String {
    let all: Vec<String> = room.iter().map(|fits| format!("{} x {}", fits.count, fits.profile)).collect();
    if all.is_empty() {
        return "; nothing more fits".to_owned();
    }
    // Lines of 80 columns: as many as there is room for.
    let mut text = String::from("; fits ");
    for (number, one) in all.iter().enumerate() {
        if text.len() + one.len() > 46 {
            text.push('…');
            break;
        }
        text.push_str(if number == 0 { "" } else { " or " });
        text.push_str(one);
    }
    text
}

fn instance(on: &OnGpu) -> String {
    let vgpu = &on.vgpu;
    let user = vgpu.used_by.as_ref();
    let user = user.map(|user| user.vm.clone().unwrap_or_else(|| format!("{} {}", user.command, user.pid)));
    let name = vgpu.name.as_ref().map_or("-".to_owned(), Name::to_string);
    let profile = vgpu.profile.name.as_deref().map_or("-", bare);
    let line = format!("  {name:<16} {profile:<14} {:<10} {}", vgpu.state.name(), user.unwrap_or_default());
    line.trim_end().to_owned()
}
