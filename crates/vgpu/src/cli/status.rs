//! `vgpu status`: the GPUs of a host, what they are cut into, and what still fits, on one screen.

use std::path::PathBuf;

use miette::{Result, WrapErr};
use vgpu_base::shown;
use vgpu_profiles::model::bare_name;

use super::bars::{Piece, bar, mib};
use super::{output, watch};
use crate::instances::declaration::{self, Declaration, Name};
use crate::instances::list::{Listed, State as VgpuState};
use crate::instances::room::Fits;
use crate::instances::status::{self, Gpu, OnGpu, Status};
use crate::machine::nvml::VgpuFigures;
use crate::machine::services::{Service, State};

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
    /// Print JSON: {"gpus", "services"}
    #[arg(long)]
    json: bool,
    /// Root directory of the machine to look at; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    if args.json {
        return output::json(&read(&args)?);
    }
    if !args.watch {
        return output::print(screen(&read(&args)?));
    }
    watch::watch(|| Ok(screen(&read(&args)?)))
}

fn read(args: &Args) -> Result<Status> {
    let declared = declaration::read(&declaration::path(&args.root));
    // `vgpu instances` fails over a damaged declaration. Here, what there is can still be shown.
    let declaration = declared.unwrap_or_else(|error| {
        output::note(error);
        Declaration::default()
    });
    status::read(&args.root, &declaration).wrap_err("cannot look at the vGPUs of this machine")
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
    let there: Vec<&OnGpu> = gpu.instances.iter().filter(|on| on.vgpu.state != VgpuState::Missing).collect();
    let sizes: Option<Vec<u64>> = there.iter().map(|on| on.memory_mib).collect();
    if let (Some(whole), Some(sizes)) = (gpu.memory_mib, sizes) {
        let names: Vec<String> = there.iter().map(|on| label(&on.vgpu)).collect();
        let pieces: Vec<Piece> = names.iter().zip(&sizes).map(|(label, size)| Piece { label, size: *size }).collect();
        lines.push(format!("  {}  {}", bar(&pieces, whole), mib(whole)));
        let taken: u64 = sizes.iter().sum();
        lines.push(format!("  {} taken, {} free{}", mib(taken), mib(whole.saturating_sub(taken)), fits(&gpu.room)));
    }
    if let Some(live) = &gpu.live {
        let used = live.memory_used.zip(live.memory_total);
        let used = used.map(|(used, whole)| format!("{used} of {whole} MiB in use"));
        lines.extend(load(live.utilization, used).map(|text| format!("  {text}")));
    }
    lines.extend(gpu.instances.iter().map(instance));
    lines.join("\n")
}

/// "12 % busy, 8192 of 46068 MiB in use", as far as it is known.
fn load(utilization: Option<u32>, used: Option<String>) -> Option<String> {
    let busy = utilization.map(|percent| format!("{percent} % busy"));
    [busy, used].into_iter().flatten().reduce(|a, b| format!("{a}, {b}"))
}

fn heading(gpu: &Gpu) -> String {
    let name = shown::name(gpu.name.as_deref().unwrap_or("NVIDIA GPU"));
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
    let profile = vgpu.profile.name.as_deref().map(bare_name);
    vgpu.name.as_ref().map(Name::to_string).or_else(|| profile.map(str::to_owned)).unwrap_or_default()
}

/// "; still fits: 3 x A40-8Q"
fn fits(room: &[Fits]) -> String {
    let all: Vec<String> =
        room.iter().map(|fits| format!("{} x {}", fits.count, shown::name(&fits.profile.to_string()))).collect();
    if all.is_empty() {
        return "; nothing more fits".to_owned();
    }
    // As many as fit into a line of 80 columns.
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
    let profile = vgpu.profile.name.as_deref().map_or("-", bare_name);
    let used = |live: &VgpuFigures| live.memory_used.map(|used| format!("{used} MiB"));
    let load = on.live.as_ref().and_then(|live| load(live.utilization, used(live)));
    let (user, load) = (user.unwrap_or_default(), load.unwrap_or_default());
    let line = format!("  {name:<16} {profile:<14} {:<10} {user:<12} {load}", vgpu.state.name());
    shown::line(line.trim_end())
}
