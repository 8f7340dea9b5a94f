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
    let mut command = with_releases(without_hidden(&super::command()));
    clap_complete::generate(args.shell, &mut command, "vgpu", &mut script);
    if args.shell == Shell::Fish {
        script.extend(releases_for_fish().bytes());
    }
    output::print(String::from_utf8_lossy(&script).trim_end())
}

/// The same command and its subcommands. What clap hides in the help, it offers in completions all the same.
fn without_hidden(command: &Command) -> Command {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    let mut same = Command::new(command.get_name().to_owned()).args(shown);
    same = same.about(command.get_about().cloned().unwrap_or_default());
    if let Some(version) = command.get_version() {
        same = same.version(version.to_owned());
    }
    same.subcommands(command.get_subcommands().filter(|command| !command.is_hide_set()).map(without_hidden))
}

/// Values of an argument without a name, which clap's script for fish lacks.
fn releases_for_fish() -> String {
    format!("complete -c vgpu -n \"__fish_vgpu_using_subcommand releases\" -f -k -a \"{}\"\n", numbers().join(" "))
}

/// The releases of the catalog, newest first.
fn numbers() -> Vec<String> {
    Catalog::builtin().releases().iter().map(|release| release.release.to_string()).collect()
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
    for (name, argument) in RELEASES {
        command = command.mut_subcommand(name, |command| {
            command.mut_arg(argument, |argument| argument.value_parser(PossibleValuesParser::new(numbers())))
        });
    }
    command
}
