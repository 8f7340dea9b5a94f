//! `vgpu import`: makes a configuration that uses a file from NVIDIA.

use std::io::Write;
use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, Report as Failure, Result, WrapErr};
use serde::Serialize;

use super::output;
use crate::catalog::ReleaseNumber;
use crate::identity::Identity;
use crate::import::{self, Accepted, Doubt, Wanted};
use crate::nix::configuration;
use crate::nix::store;
use crate::verify;
use vgpu_base::interrupt;
use vgpu_base::publish::{self, Staged};
use vgpu_driver::Role;

/// Check a driver file, add it to the Nix store and print the configuration that uses it.
///
/// The file is a GRID archive (.zip) or a driver (.run), under any name. It is compared with the catalog and added under
/// the name that the packages expect. The configuration goes to standard output. It is a NixOS module, and complete for
/// releases of the catalog. For other releases it marks what you have to fill in.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu import ~/Downloads/NVIDIA-GRID-Linux-KVM-580.178.05-580.178.04-582.78.zip
  vgpu import download.zip --out vgpu-driver.nix
  vgpu import NVIDIA-Linux-x86_64-580.65.06-grid.run --release 19.0
  vgpu import download.zip --json | jq -r .store_path")]
pub struct Args {
    /// A GRID archive or .run file
    file: PathBuf,

    /// What to configure [default: guest for a guest's .run file, host for all others]
    #[arg(long, value_parser = super::role())]
    role: Option<Role>,

    /// The release of the file, if the file does not tell
    #[arg(long)]
    release: Option<ReleaseNumber>,

    /// Write the configuration to this file if all goes well. An existing file is replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print JSON, with the configuration in it
    #[arg(long)]
    json: bool,

    /// A catalog to compare with instead of the one built in; for tests
    #[arg(long, value_name = "FILE", hide = true)]
    catalog: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    role: Role,
    /// Name in the store.
    name: &'a str,
    store_path: &'a Path,
    /// False if it was there already.
    added: bool,
    /// A NixOS module that uses it.
    configuration: &'a str,
}

pub fn run(args: Args) -> Result<()> {
    import(&args).wrap_err_with(|| format!("cannot import {}", args.file.display()))
}

fn import(args: &Args) -> Result<()> {
    interrupt::answer().into_diagnostic().wrap_err("cannot start a thread that waits for signals")?;
    let catalog = super::catalog(args.catalog.as_deref())?;
    let catalog = catalog.as_ref();
    store::remove_leftovers(&args.file);
    // Writing is tried first, before all that takes time.
    let out = args.out.as_deref().map(|out| Ok::<_, Failure>((out, Staged::file(out)?))).transpose()?;
    let size = args.file.metadata().map_or(0, |meta| meta.len());
    let mut identity =
        output::with_progress("hashing", size, |progress| import::identity_of(&args.file, catalog, progress))?;
    let wanted = Wanted { role: args.role, release: args.release };
    let accepted = output::with_progress("checking", verify::size(&args.file, &identity), |progress| {
        import::accept(&args.file, &mut identity, wanted, catalog, progress)
    })?;
    let source = &accepted.source;
    let path = store::fixed_path(&source.name, source.sha256)?;
    let added = !store::is_valid(&path)?;
    if added {
        add(&args.file, &source.name, &path)?;
    }
    let configuration = configuration::render(source, accepted.known);
    if let Some((out, mut file)) = out {
        let written = file.content().write_all(configuration.as_bytes());
        written.map_err(|error| publish::Error::write(out, error))?;
        file.replace()?;
    }
    if args.json {
        let (role, name) = (source.role, &source.name);
        let report =
            Report { identity: &identity, role, name, store_path: &path, added, configuration: &configuration };
        return output::json(&report);
    }
    output::note(if added {
        format!("added {}", path.display())
    } else {
        format!("{} was there already", path.display())
    });
    explain(&accepted);
    if let Some((name, release, _)) = import::expected_by_name(&args.file, catalog)
        && accepted.known.number() != Some(release)
    {
        output::note(format!("the file is called {name}, which is vGPU {release}, but holds other drivers"));
    }
    match &args.out {
        Some(out) => output::print(out.display()),
        None => output::print(configuration.trim_end()),
    }
}

fn add(file: &Path, name: &str, path: &Path) -> Result<()> {
    let named = store::Named::new(file, name)?;
    interrupt::also_left("the Nix store may have the file by now, until its garbage is collected");
    let spinner = output::spinner(format!("adding {name} to the Nix store"));
    let added = store::add(&named, path);
    spinner.finish_and_clear();
    Ok(added?)
}

/// Says what the configuration cannot say.
fn explain(accepted: &Accepted) {
    match accepted.doubt {
        None => {}
        Some(Doubt::OneRecord(release)) => output::note(format!(
            "this is the file that one public record has as vGPU {release}. Nobody has confirmed the record yet: use the \
             file only if you got it from NVIDIA"
        )),
        Some(Doubt::OtherThanRecord(release)) => output::note(format!(
            "the one public record of vGPU {release} has another hash. The file is whole, but one of the two is not \
             NVIDIA's: use the file only if you got it from NVIDIA, and then please tell the maintainers its hash"
        )),
        Some(Doubt::NoHash(release)) => output::note(format!(
            "the catalog has vGPU {release}, but no hash to compare this file with: it is whole, but is it NVIDIA's? \
             Use it only if you got it from NVIDIA"
        )),
        Some(Doubt::Cloud(cloud)) => output::note(format!(
            "this is the build that {0} makes for its own virtual machines, where the licence comes from {0} too. The catalog \
             has no hashes of such files: use it only if you got it from there",
            cloud.name()
        )),
        Some(Doubt::UnknownDrivers) => {
            output::note(
                "the catalog has no such drivers: the file is whole, but is it NVIDIA's? Use it only if you got it from NVIDIA",
            );
            if accepted.known.number().is_none() {
                output::note("put the release in place of gridVersion, or give it with --release");
            }
        }
    }
}
