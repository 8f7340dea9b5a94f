//! `vgpu license`: what a client configuration token says.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use miette::{Result, WrapErr};

use super::output;
use crate::license::token::{self, Kind, Server, Token, TokenError};

/// Explain tokens and the state of licences
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Token(TokenArgs),
}

/// Tell what a client configuration token says
///
/// The licence server and its ports, from when until when it is valid, and what is wrong with it. Needs no network and no
/// key; who made the token is not proven.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu license token client_configuration_token.tok
  sudo cat /run/secrets/vgpu.tok | vgpu license token -")]
struct TokenArgs {
    /// The token's file; - reads standard input
    file: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Token(args) => explain_token(args),
    }
}

fn explain_token(args: TokenArgs) -> Result<()> {
    let token = read(&args.file).wrap_err_with(|| format!("cannot explain the token {}", args.file.display()))?;
    if args.json { output::json(&token) } else { output::print(describe(&args.file, &token)) }
}

fn read(file: &Path) -> Result<Token, TokenError> {
    if file == Path::new("-") {
        return token::read(io::stdin().lock(), SystemTime::now());
    }
    token::read(File::open(file).map_err(TokenError::Read)?, SystemTime::now())
}

fn describe(file: &Path, token: &Token) -> String {
    let mut lines = vec![file.display().to_string()];
    let mut line = |what: &str, value: &str| lines.push(format!("  {what:<11} {value}").trim_end().to_owned());
    line(
        "kind",
        match token.kind {
            Kind::Cls => "CLS: NVIDIA's licence server in the cloud",
            Kind::Dls => "DLS: a licence server of your own",
        },
    );
    for server in &token.servers {
        line("server", &describe_server(server));
    }
    line("valid from", token.valid_from.as_deref().unwrap_or("any time"));
    line("valid until", token.valid_until.as_deref().unwrap_or("not said"));
    for problem in &token.problems {
        line("problem", problem);
    }
    lines.join("\n")
}

fn describe_server(server: &Server) -> String {
    let ports: Vec<String> = server.ports.iter().map(u16::to_string).collect();
    let ports = if ports.is_empty() { "none".into() } else { ports.join(", ") };
    format!("{}, ports: {ports}", server.visible())
}
