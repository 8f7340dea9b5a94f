//! `vgpu check-certificate`: is this file the root certificate of a licence server? The build of a patched nvidia-gridd runs it.

use std::path::PathBuf;
use std::time::SystemTime;

use miette::{Result, WrapErr};
use vgpu_base::shown;

use super::output;
use crate::license::certificate;

/// Check the root certificate of a licence server
///
/// `hardware.nvidia.vgpu.griddUnlock.rootCaFile` needs a file with exactly one certificate in PEM and no private key. The
/// build of the driver makes the same check. Prints the subject of the certificate.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu check-certificate root_certificate.pem")]
pub struct Args {
    /// The licence server's root certificate
    file: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let checked = certificate::check(&args.file, SystemTime::now())
        .wrap_err("cannot use this file as the licence server's root certificate")?;
    if let Some(warning) = checked.warning {
        output::note(format!("{}: {warning} by this machine's clock", args.file.display()));
    }
    output::print(shown::line(&checked.subject))
}
