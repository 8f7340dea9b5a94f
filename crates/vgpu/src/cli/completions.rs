//! `vgpu completions`: completions for a shell. For packagers; hidden from the list of commands.

use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use miette::Result;

use super::output;
use crate::catalog::Catalog;

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
    clap_complete::generate(args.shell, &mut with_releases(super::visible()), "vgpu", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end())
}

/// Arguments that are releases, by command. They accept other releases, too, but a shell offers those of the catalog.
const RELEASES: [(&str, &str); 5] = [
    ("releases", "what"),
    ("releases", "for_guest"),
    ("releases", "for_host"),
    ("import", "release"),
    ("identify", "release"),
];

fn with_releases(mut command: Command) -> Command {
    let numbers: Vec<String> =
        Catalog::builtin().releases().iter().map(|release| release.release.to_string()).collect();
    for (name, argument) in RELEASES {
        let numbers = numbers.clone();
        command = command.mut_subcommand(name, |command| {
            command.mut_arg(argument, |argument| argument.value_parser(PossibleValuesParser::new(numbers)))
        });
    }
    command
}
