//! `vgpu build`: from an archive to an installed driver, on any Linux.

use std::path::{Path, PathBuf};

use miette::{Result, WrapErr, miette};

use super::output;
use vgpu_base::publish::Staged;
use vgpu_driver::Role;
use vgpu_driver::install::{self, Options, Outputs, Report};
use vgpu_driver::memory;
use vgpu_driver::source::Source;
use vgpu_profiles::{Config, file};

/// Install a driver into a directory
///
/// Unpacks the driver from NVIDIA's archive and writes it in the form that NixOS needs: libraries and programs that find
/// each other, all symlinks, ICD files with absolute paths, firmware, and the sources of the kernel modules.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu build --role host --out driver \\
    NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
  vgpu build --role guest --out /opt/nvidia \\
    NVIDIA-Linux-x86_64-550.163.01-grid.run
  driver/bin/bin/nvidia-smi")]
pub struct Args {
    /// GRID .zip, .run file, or a directory with an unpacked driver
    #[arg(value_name = "FILE|DIR")]
    source: PathBuf,

    /// Which driver: for the hypervisor or for a virtual machine
    #[arg(long, value_parser = super::role())]
    role: Role,

    /// Directory for out, bin, lib32, firmware and modsrc; must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Library directories for the run path, after the driver's own
    /// [default: the system's]
    #[arg(long, value_name = "DIR:DIR", value_delimiter = ':', value_parser = absolute)]
    lib_path: Option<Vec<PathBuf>>,

    /// The same for 32-bit libraries [default: the system's]
    #[arg(long, value_name = "DIR:DIR", value_delimiter = ':', value_parser = absolute)]
    lib_path_32: Option<Vec<PathBuf>>,

    /// Dynamic loader of the programs [default: as NVIDIA set it]
    #[arg(long, value_name = "FILE", value_parser = absolute)]
    interpreter: Option<PathBuf>,

    /// Install this vgpuConfig.xml in place of the driver's (hosts)
    #[arg(long, value_name = "FILE")]
    vgpu_config: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("it has to be an absolute path")]
struct NotAbsolute;

/// A path that is written into programs. They can be started in any directory.
fn absolute(text: &str) -> Result<PathBuf, NotAbsolute> {
    if text.starts_with('/') { Ok(text.into()) } else { Err(NotAbsolute) }
}

impl Args {
    /// All defaults.
    pub fn new(source: PathBuf, role: Role, out: PathBuf) -> Args {
        Args { source, role, out, lib_path: None, lib_path_32: None, interpreter: None, vgpu_config: None, json: false }
    }
}

pub fn run(args: Args) -> Result<()> {
    let doing = || format!("cannot build the {} driver from {}", args.role, args.source.display());
    memory::enough().wrap_err_with(doing)?;
    let config = args.vgpu_config.as_deref().map(|config| read_config(config, args.role));
    let report = config.transpose().and_then(|config| build(&args, config)).wrap_err_with(doing)?;
    let printed = if args.json { output::json(&report) } else { output::print(summary(&report)) };
    printed.wrap_err_with(|| format!("the driver lies complete in {}, but that could not be said", args.out.display()))
}

/// The text of a file that is to replace the driver's vgpuConfig.xml, checked.
fn read_config(config: &Path, role: Role) -> Result<String> {
    if role == Role::Guest {
        return Err(miette!(
            help = "leave --vgpu-config out, or build with --role host",
            "{} cannot replace vgpuConfig.xml: only host drivers have one",
            config.display()
        ));
    }
    let doing = || format!("{} cannot replace the driver's vgpuConfig.xml", config.display());
    let text = file::read(config).wrap_err_with(doing)?;
    Config::parse(&text).wrap_err_with(doing)?;
    Ok(text)
}

/// Builds into a directory beside `--out`. If all is well, that directory gets the name; if not, it is removed.
fn build(args: &Args, config: Option<String>) -> Result<Report> {
    let out = std::path::absolute(&args.out).unwrap_or_else(|_| args.out.clone());
    let staging = Staged::directory(&args.out)?;
    let report = install(args, config, &out, staging.path())?;
    staging.publish()?;
    Ok(report)
}

/// Installs into the directory `staging`, which will be `out` in the end. `config` replaces the driver's vgpuConfig.xml.
pub fn install(args: &Args, config: Option<String>, out: &Path, staging: &Path) -> Result<Report> {
    let options = Options {
        role: args.role,
        outputs: Outputs::below(out),
        destination: Outputs::below(staging),
        lib_path: args.lib_path.clone().unwrap_or_else(|| existing(&SYSTEM_LIBRARIES)),
        lib_path_32: args.lib_path_32.clone().unwrap_or_else(|| existing(&SYSTEM_LIBRARIES_32)),
        interpreter: args.interpreter.clone(),
        vgpu_config: config,
        shell: None,
        tools: Vec::new(),
        egl_platforms: true,
    };
    options.check()?;
    let source = Source::open(&args.source, args.role)?;
    Ok(output::with_progress("unpacking", source.size, |progress| install::install(&source, &options, progress))?)
}

/// Where systems keep their libraries: NixOS first, then Debian and Fedora.
const SYSTEM_LIBRARIES: [&str; 4] =
    ["/run/opengl-driver/lib", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64"];
const SYSTEM_LIBRARIES_32: [&str; 4] =
    ["/run/opengl-driver-32/lib", "/usr/lib/i386-linux-gnu", "/lib/i386-linux-gnu", "/usr/lib32"];

fn existing(dirs: &[&str]) -> Vec<PathBuf> {
    dirs.iter().map(PathBuf::from).filter(|dir| dir.is_dir()).collect()
}

pub fn summary(report: &Report) -> String {
    let mut text = format!(
        "Installed the {} driver {}: {}, {}\n",
        report.role,
        report.version,
        output::count(report.files, "file"),
        indicatif::DecimalBytes(report.bytes)
    );
    for (name, path) in &report.outputs {
        text += &format!("  {name:<9} {}\n", path.display());
    }
    let skipped = output::count(report.skipped.len() as u64, "file");
    text += &format!("Left out: {skipped} that NixOS has itself or doesn't need (--json lists them)");
    if !report.unknown.is_empty() {
        text += &format!("\nOf unknown types, also left out: {}", report.unknown.join(", "));
    }
    text
}
