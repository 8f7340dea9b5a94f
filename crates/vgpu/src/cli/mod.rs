//! The command line: a file a command. Nothing outside this module parses arguments or prints.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage. Results go to standard output, all else to standard error.

pub mod build;
mod builder;
mod check_certificate;
mod completions;
mod demo;
mod doctor;
mod identify;
mod import;
mod init;
mod license;
mod man;
mod output;
mod profiles;
mod releases;

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, Parser, Subcommand};
use miette::{IntoDiagnostic, WrapErr};
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
    vgpu_base::terminal::exit_code(run(Cli::parse().command))
}

fn run(command: Command) -> miette::Result<()> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Init(args) => init::run(args),
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

/// The command line as clap knows it: what completions, man pages and the command reference are made of.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Takes a role from the command line, and tells help and completions which there are.
fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(["host", "guest"]).try_map(|text| text.parse::<Role>())
}

/// The catalog in that file, or the one that is built in.
fn catalog(path: Option<&Path>) -> miette::Result<Cow<'static, Catalog>> {
    let Some(path) = path else { return Ok(Cow::Borrowed(Catalog::builtin())) };
    let text = std::fs::read_to_string(path).into_diagnostic();
    let read = text.and_then(|text| Ok(Catalog::parse(&text)?));
    Ok(Cow::Owned(read.wrap_err_with(|| format!("cannot read the catalog {}", path.display()))?))
}
