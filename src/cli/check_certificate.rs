//! `vgpu check-certificate`: is this file the root certificate of a licence server? The build of a patched nvidia-gridd asks.

use std::path::PathBuf;
use std::time::SystemTime;

use miette::{Result, WrapErr};

use super::output;
use crate::certificate;

/// Checks that a file is exactly one PEM certificate and holds no key.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu check-certificate root.pem")]
pub struct Args {
    /// The licence server's root certificate.
    file: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let checked = certificate::check(&args.file, SystemTime::now())
        .wrap_err("cannot use this file as the licence server's root certificate")?;
    if let Some(warning) = checked.warning {
        output::note(format!("{}: {warning} by this machine's clock", args.file.display()));
    }
    output::print(checked.subject)
}
