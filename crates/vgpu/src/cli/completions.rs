//! `vgpu completions`: completions for a shell. For packagers; hidden from the list of commands.

use clap_complete::Shell;
use miette::Result;

use super::output;

/// Print completions for a shell, to be installed with the package.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu completions bash > share/bash-completion/completions/vgpu
  vgpu completions fish > share/fish/vendor_completions.d/vgpu.fish
  vgpu completions zsh > share/zsh/site-functions/_vgpu")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "vgpu", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end())
}
