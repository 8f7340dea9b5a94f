//! `vgpu profiles`: shows and changes vgpuConfig.xml.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use miette::{Diagnostic, Result, WrapErr};
use similar::TextDiff;
use vgpu_base::shown;

use super::bars::{self, Piece};
use super::output::{self, Column};
use crate::machine::{overview, pci};
use crate::profiles::listing::{self, Cut, Listed};
use crate::profiles::source;
use vgpu_profiles::gpu_id::GpuQuery;
use vgpu_profiles::model::{PhysicalGpu, Profile};
use vgpu_profiles::{Config, file};

/// Where a host driver looks for the file on NixOS.
const CONFIG: &str = "/etc/nvidia/vgpu/vgpuConfig.xml";

/// See, clone and change vGPU profiles (vgpuConfig.xml of a host driver).
///
/// A profile says what a vGPU gets. Its name has the board, the memory in GB, and a letter: GRID T4-2Q is 2 GB of a T4. The
/// letter is the purpose: Q workstations, C computing, B virtual desktops, A published applications.
#[derive(Parser)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Gpus(Gpus),
    List(List),
    Show(Show),
    Apply(Apply),
}

/// List the physical GPUs that a driver makes vGPUs on, a line each.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu profiles gpus
  vgpu profiles gpus --config ~/Downloads/NVIDIA-GRID-Linux-KVM-*.zip")]
struct Gpus {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON: an array of physical GPUs
    #[arg(long)]
    json: bool,
}

/// List what each physical GPU may be cut into.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu profiles list
  vgpu profiles list --gpu 10de:2235
  vgpu profiles list --gpu 0000:41:00.0
  vgpu profiles list --config ./vgpuConfig.xml --gpu 1EB8:12A2 --json")]
struct List {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this physical GPU: its name (A40, Tesla P40), PCI ids as `lspci -nn` prints them (2235, 10de:2235, 2235:145A), or the
    /// address of a GPU of this machine (0000:41:00.0)
    #[arg(long, value_name = "GPU")]
    gpu: Option<String>,
    /// Print JSON: an array of profiles, each with the physical GPUs that offer it
    #[arg(long)]
    json: bool,
    /// Root directory of the machine to look at; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

/// Show one profile in full, with everything NVIDIA wrote about it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu profiles show 46
  vgpu profiles show nvidia-46 --config ./vgpuConfig.xml
  vgpu profiles show 'GRID T4-2Q'")]
struct Show {
    /// The number of the profile (46 or nvidia-46), or its name
    id: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where the profiles are read from.
#[derive(clap::Args)]
struct ConfigFile {
    /// What to read: a vgpuConfig.xml, a GRID archive or a host's .run file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

impl ConfigFile {
    fn read(&self) -> Result<String> {
        let size = source::size(&self.config);
        Ok(output::with_progress("unpacking", size, |progress| source::read(&self.config, progress))?)
    }
}

/// Clone physical GPUs and override profiles.
///
/// CHANGES is JSON in the form of the NixOS options copyVGPUProfiles (clones) and profileOverrides (overrides). If one change
/// is not possible, nothing is written. All other bytes of the file stay the same. Only a driver patched by
/// vGPU-Unlock-patcher accepts changed profiles.
#[derive(clap::Args)]
#[command(after_help = r#"Changes:
  clones              {"AAAA:BBBB": "CCCC:DDDD"}: AAAA:BBBB gets the profiles of
                      CCCC:DDDD (PCI device and subsystem of physical GPUs). One
                      that is listed already is replaced
  overrides           {"46": {...}}: what of this is set changes nvidia-46:
    vramAllocation      memory in MiB, from 384 on
    maxInstances        vGPUs of it on one board, as far as its memory goes
    heads               virtual monitors
    enableCuda          true or false
    display             {"width": ..., "height": ...} in pixels; maxPixels is
                        their product
    framerateLimit      frames a second; 0 for no limit
    xmlConfig           {"element": "text"}, {"element": {"attribute": "value"}}
                        for anything else; made where absent; wins over the rest

Examples:
  echo '{"clones": {"1E07:0000": "1E30:12BA"}}' > changes.json
  vgpu profiles apply --changes changes.json --diff
  vgpu profiles apply --changes changes.json --out vgpuConfig.xml
  echo '{"overrides": {"46": {"vramAllocation": 3584, "heads": 1}}}' |
    vgpu profiles apply --changes /dev/stdin --config old.xml --out new.xml"#)]
struct Apply {
    /// The changes, as JSON
    #[arg(long, value_name = "CHANGES.json")]
    changes: PathBuf,
    /// The vgpuConfig.xml to change
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// The file to write; it may be the one that is read
    #[arg(long, value_name = "FILE", required_unless_present = "diff")]
    out: Option<PathBuf>,
    /// Print what changes as a unified diff; without --out nothing is written
    #[arg(long)]
    diff: bool,
}

pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Gpus(args) => gpus(&args),
        Command::List(args) => list(&args),
        Command::Show(args) => show(&args),
        Command::Apply(args) => apply(&args),
    }
}

fn gpus(args: &Gpus) -> Result<()> {
    let doing = || format!("cannot list the physical GPUs in {}", args.config.config.display());
    let text = args.config.read().wrap_err_with(doing)?;
    let config = Config::parse(&text).wrap_err_with(doing)?;
    let boards = listing::boards(&config);
    if args.json {
        return output::json(&boards);
    }
    let rows = boards.iter().map(|board| {
        vec![
            format!("{}:{}", board.device, board.subsystem),
            or_dash(board.name),
            board.memory_mib.to_string(),
            board.profiles.to_string(),
            board.series.iter().map(|series| format!("{series:?}")).collect::<Vec<_>>().join(" "),
            if board.sriov { "yes" } else { "no" }.to_owned(),
        ]
    });
    let columns = [
        Column::text("GPU"),
        Column::text("NAME"),
        Column::number("MIB"),
        Column::number("PROFILES").spare(2),
        Column::text("SERIES").spare(1),
        Column::text("SR-IOV").spare(3),
    ];
    output::print(output::table(&columns, rows))
}

/// The boards that the user means: by name, by ids, or by the address of a GPU of this machine. A name wins: A40 and A100
/// are also hexadecimal numbers.
fn boards<'c>(config: &'c Config<'_>, text: &str, root: &Path) -> Result<Vec<&'c PhysicalGpu>> {
    let named = config.gpus_named(text);
    if !named.is_empty() {
        return Ok(named);
    }
    let digits = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && text.len() < 4 {
        return Err(Error::TooShort(text.to_owned()).into());
    }
    let found = config.find_gpus(query(text, root)?);
    if digits && text.starts_with(|first: char| first.is_ascii_alphabetic()) && found.is_err() {
        return Err(Error::Neither(text.to_owned()).into());
    }
    Ok(found?)
}

/// Reads ids, or the address of a GPU of this machine.
fn query(text: &str, root: &Path) -> Result<GpuQuery> {
    let Ok(address) = text.parse::<pci::Address>() else {
        return Ok(GpuQuery::parse(text).ok_or_else(|| Error::NotAGpu(text.to_owned()))?);
    };
    let gpu = overview::gpus(root).into_iter().find(|gpu| gpu.function.address == address);
    let function = gpu.ok_or_else(|| Error::NoGpuThere(address.to_string()))?.function;
    Ok(GpuQuery { device: function.device, subsystem: Some(function.subsystem_device) })
}

#[derive(Debug, thiserror::Error, Diagnostic)]
enum Error {
    #[error("no physical GPU of this driver is called {0}, and it is no PCI device id of one")]
    #[diagnostic(help(
        "`vgpu profiles gpus` lists names and ids. Of what `lspci -nn` prints, [10de:1b38], the second half is the device"
    ))]
    NotAGpu(String),
    #[error("this machine has no physical GPU of NVIDIA's at {0}")]
    #[diagnostic(help("`lspci -nn -d 10de:` shows addresses and ids"))]
    NoGpuThere(String),
    #[error("no physical GPU of this driver is called {0}, and as a PCI device id {0} lacks digits: those have four")]
    #[diagnostic(help("`vgpu profiles gpus` lists names and ids"))]
    TooShort(String),
    #[error("no physical GPU of this driver is called {0}, and none has the PCI device id {0}")]
    #[diagnostic(help("`vgpu profiles gpus` lists names and ids"))]
    Neither(String),
}

fn list(args: &List) -> Result<()> {
    let doing = || format!("cannot list the profiles in {}", args.config.config.display());
    let text = args.config.read().wrap_err_with(doing)?;
    let config = Config::parse(&text).wrap_err_with(doing)?;
    let gpus = match &args.gpu {
        Some(gpu) => boards(&config, gpu, &args.root).wrap_err_with(doing)?,
        None => config.gpus.iter().collect(),
    };
    if args.json {
        let listed = config.profiles.iter().map(|profile| Listed::new(profile, &gpus));
        // With --gpu, only the profiles that these GPUs offer.
        return output::json(
            &listed.filter(|profile| args.gpu.is_none() || !profile.gpus.is_empty()).collect::<Vec<_>>(),
        );
    }
    let bars = |gpu| if args.gpu.is_some() { bars(&config, gpu) } else { String::new() };
    let mut sections: Vec<_> = gpus.iter().map(|gpu| section(&config, gpu) + &bars(gpu)).collect();
    let rest = listing::not_offered(&config);
    if args.gpu.is_none() && !rest.is_empty() {
        let table = table(rest.into_iter().map(|profile| row(profile, None)));
        sections.push(format!("Offered by no physical GPU\n{table}"));
    }
    if sections.is_empty() {
        sections.push(format!("{} lists no physical GPUs and no profiles.", args.config.config.display()));
    }
    output::print(sections.join("\n\n"))
}

/// A physical GPU and its profiles, in the order of the file.
fn section(config: &Config, gpu: &PhysicalGpu) -> String {
    let profiles = gpu.supported.iter().map(|supported| {
        match config.profiles.iter().find(|profile| profile.id == supported.profile) {
            Some(profile) => row(profile, supported.max_instances),
            // The file lists it for the board, but does not describe it.
            None => [supported.profile.to_string(), "(not described)".to_owned()].into_iter().collect(),
        }
    });
    format!("Physical GPU {}\n{}", heading(config, gpu), table(profiles))
}

/// What a board could be cut into, drawn to scale: a bar for each size.
fn bars(config: &Config, gpu: &PhysicalGpu) -> String {
    let cuts = listing::cuts(config, gpu);
    let whole = listing::whole(&cuts);
    let bar = |Cut { label, size, count }: &Cut| {
        // A file can give any number. A bar needs no more pieces than it has characters.
        let pieces: Vec<Piece> = (0..(*count).min(1024)).map(|_| Piece { label, size: *size }).collect();
        format!("\n{:>5} {} {count} x {}", shown::name(label), bars::bar(&pieces, whole), bars::mib(size >> 20))
    };
    let drawn: String = cuts.iter().map(bar).collect();
    if drawn.is_empty() { drawn } else { format!("\n{drawn}") }
}

/// "1B38:0000, GRID P40, any subsystem, SR-IOV"
fn heading(config: &Config, gpu: &PhysicalGpu) -> String {
    let mut heading = gpu.id.to_string();
    let any = (gpu.id.subsystem == 0).then_some("any subsystem");
    let mode = gpu.mode.as_deref().map(|mode| if mode == "sriov" { "SR-IOV" } else { mode });
    for part in [config.board_name(gpu), any, mode].into_iter().flatten() {
        heading.push_str(", ");
        heading.push_str(&shown::name(part));
    }
    heading
}

fn table(rows: impl Iterator<Item = Vec<String>>) -> String {
    let columns = [
        Column::number("ID"),
        Column::text("NAME"),
        Column::text("CLASS").spare(4),
        Column::number("MIB"),
        Column::number("HEADS").spare(3),
        Column::text("DISPLAY").spare(2),
        Column::number("FPS").spare(1),
        Column::text("CUDA").spare(5),
        Column::number("FIT"),
    ];
    output::table(&columns, rows)
}

fn row(profile: &Profile, max_instances: Option<u64>) -> Vec<String> {
    vec![
        profile.id.to_string(),
        profile.name.clone(),
        profile.class.clone(),
        or_dash(profile.profile_size.map(|bytes| bytes >> 20)),
        or_dash(profile.heads),
        or_dash(profile.display.map(|display| format!("{}x{}", display.width, display.height))),
        or_dash(profile.frame_rate_limit.map(|limit| if limit == 0 { "none".to_owned() } else { limit.to_string() })),
        or_dash(profile.cuda.map(|cuda| if cuda { "yes" } else { "no" })),
        or_dash(max_instances),
    ]
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn show(args: &Show) -> Result<()> {
    let doing = || format!("cannot show a profile of {}", args.config.config.display());
    let text = args.config.read().wrap_err_with(doing)?;
    let config = Config::parse(&text).wrap_err_with(doing)?;
    let profile = config.find_profile(&args.id).wrap_err_with(doing)?;
    if args.json {
        return output::json(&Listed::new(profile, &config.gpus.iter().collect::<Vec<_>>()));
    }
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let limit = |limit| if limit == 0 { "none".to_owned() } else { format!("{limit} frames a second") };
    let mut facts = vec![
        ("Profile", format!("nvidia-{}", profile.id)),
        ("Name", profile.name.clone()),
        ("Class", profile.class.clone()),
        ("Series", or_dash(profile.series().map(|series| format!("{series:?}: {}", series.meaning())))),
        ("Framebuffer", or_dash(profile.profile_size.map(mib))),
        ("Heads", or_dash(profile.heads)),
        ("Display", or_dash(profile.display.map(|display| format!("{}x{}", display.width, display.height)))),
        ("Frame rate limit", or_dash(profile.frame_rate_limit.map(limit))),
        ("CUDA", or_dash(profile.cuda.map(|cuda| if cuda { "yes" } else { "no" }))),
    ];
    for gpu in &config.gpus {
        if let Some(offer) = gpu.offer(profile.id) {
            facts.push(("Fits", format!("{} times on {}", or_dash(offer.max_instances), heading(&config, gpu))));
        }
    }
    let facts = output::facts(18, &facts);
    let (line, source) = config.source(profile);
    output::print(format!("{facts}\n\nAs the file has it, from line {line}:\n{}", shown::lines(source)))
}

fn apply(args: &Apply) -> Result<()> {
    let doing = || format!("cannot apply {} to {}", args.changes.display(), args.config.display());
    let _locked = args.out.as_deref().map(file::lock).transpose().wrap_err_with(doing)?;
    let (text, applied) = vgpu_profiles::apply_file(&args.changes, &args.config).wrap_err_with(doing)?;
    applied.notes.iter().for_each(output::note);
    if applied.text == text {
        output::note(format!("nothing to change: {} has all of it", args.config.display()));
    }
    if let Some(out) = &args.out {
        file::write(out, &applied.text).wrap_err_with(doing)?;
    }
    match diff(args, &text, &applied.text).strip_suffix('\n') {
        Some(diff) if args.diff => output::print(shown::lines(diff)),
        _ => Ok(()),
    }
}

fn diff(args: &Apply, old: &str, new: &str) -> String {
    let name = |path: &Path| path.display().to_string();
    let out = args.out.as_ref().unwrap_or(&args.config);
    TextDiff::from_lines(old, new).unified_diff().header(&name(&args.config), &name(out)).to_string()
}
