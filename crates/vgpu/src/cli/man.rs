//! `vgpu man`: a man page for the program and one for each command. For packagers; hidden from the list of commands.

use std::path::PathBuf;

use miette::{Result, WrapErr, miette};

/// Write man pages, to be installed with the package: vgpu.1, vgpu-build.1, …
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu man --out share/man/man1")]
pub struct Args {
    /// Directory to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    std::fs::create_dir_all(&args.out)
        .and_then(|()| clap_mangen::generate_to(super::visible(), &args.out))
        .map_err(|error| miette!(help = "name a directory that you may write to", "{error}"))
        .wrap_err_with(|| format!("cannot write man pages to {}", args.out.display()))
}
