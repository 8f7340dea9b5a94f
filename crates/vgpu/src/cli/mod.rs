//! The command line: a file a command. Nothing outside this module parses arguments or prints.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage. Results go to standard output, all else to standard error.

mod bars;
pub mod build;
mod builder;
mod check_certificate;
mod completions;
mod demo;
mod doctor;
mod identify;
mod import;
mod init;
mod instances;
mod license;
mod man;
mod output;
mod profiles;
mod releases;
mod status;
mod watch;

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use miette::{IntoDiagnostic, WrapErr};
use vgpu_base::shown;
use vgpu_driver::Role;

use crate::catalog::Catalog;

/// NVIDIA vGPU on NixOS: from an archive NVIDIA gave you to an installed driver.
#[derive(Parser)]
#[command(name = "vgpu", version, arg_required_else_help = true, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Init(init::Args),
    Instances(instances::Args),
    Status(status::Args),
    Import(import::Args),
    Identify(identify::Args),
    Build(build::Args),
    Profiles(profiles::Args),
    Doctor(doctor::Args),
    Releases(releases::Args),
    License(license::Args),
    CheckCertificate(check_certificate::Args),
    #[command(hide = true)]
    Builder(builder::Args),
    #[command(hide = true)]
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

/// The whole program: parse the arguments, run the command, report its error.
pub fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| escaped(without_hidden_suggestion(error)).exit());
    vgpu_base::terminal::exit_code(run(cli.command))
}

/// The commands that users see, without those for Nix and for packagers.
pub fn visible() -> clap::Command {
    let all = command();
    let mut visible = clap::Command::new("vgpu").version(env!("CARGO_PKG_VERSION"));
    visible = visible.about(all.get_about().cloned().unwrap_or_default()).subcommand_required(true);
    visible.subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

/// For a misspelt command, clap suggests the nearest ones. This removes hidden commands from the suggestions. The error does
/// not tell which command the suggestion is below, so no visible command has the name of a hidden one.
fn without_hidden_suggestion(mut error: clap::Error) -> clap::Error {
    let command = command();
    let hidden = |name: &String| has_hidden(&command, name);
    let suggested = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::String(name)) => vec![name.clone()],
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => return error,
    };
    let shown: Vec<String> = suggested.into_iter().filter(|name| !hidden(name)).collect();
    if shown.is_empty() {
        error.remove(ContextKind::SuggestedSubcommand);
    } else {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
    }
    error
}

/// Whether a hidden command of this name is anywhere below `command`.
fn has_hidden(command: &clap::Command, name: &str) -> bool {
    command.get_subcommands().any(|below| below.get_name() == name && below.is_hide_set() || has_hidden(below, name))
}

/// Arguments may be names of files that somebody else chose: `vgpu identify *.zip`.
fn escaped(mut error: clap::Error) -> clap::Error {
    let said: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in said {
        let value = match value {
            ContextValue::String(text) => ContextValue::String(shown::line(&text)),
            ContextValue::Strings(texts) => ContextValue::Strings(texts.iter().map(|text| shown::line(text)).collect()),
            other => other,
        };
        error.insert(kind, value);
    }
    error
}

fn run(command: Command) -> miette::Result<()> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Init(args) => init::run(args),
        Command::Instances(args) => instances::run(args),
        Command::Status(args) => status::run(args),
        Command::Import(args) => import::run(args),
        Command::Identify(args) => identify::run(args),
        Command::Build(args) => build::run(args),
        Command::Profiles(args) => profiles::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Releases(args) => releases::run(args),
        Command::Builder(args) => builder::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::License(args) => license::run(args),
        Command::CheckCertificate(args) => check_certificate::run(args),
    }
}

/// The command line as clap sees it. Completions, man pages and the command reference are made of it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads a role from the command line. Help and completions show the possible values.
fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(["host", "guest"]).try_map(|text| text.parse::<Role>())
}

/// The catalog in a file, or the one that is built in.
fn catalog(path: Option<&Path>) -> miette::Result<Cow<'static, Catalog>> {
    let Some(path) = path else { return Ok(Cow::Borrowed(Catalog::builtin())) };
    let text = std::fs::read_to_string(path).into_diagnostic();
    let read = text.and_then(|text| Ok(Catalog::parse(&text)?));
    Ok(Cow::Owned(read.wrap_err_with(|| format!("cannot read the catalog {}", path.display()))?))
}
