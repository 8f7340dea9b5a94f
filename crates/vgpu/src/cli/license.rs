//! `vgpu license`: explains client configuration tokens, and the licences of this machine.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use miette::{Result, WrapErr};
use vgpu_base::shown;

use super::output;
use crate::license::state::State;
use crate::license::status::{self, Guest, Host, Network, Status, VgpuLicence};
use crate::license::token::{self, Kind, Server, Token, TokenError};
use crate::machine::journal::Journal;

/// Explain tokens and the state of licences
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Status(StatusArgs),
    Token(TokenArgs),
}

/// Tell whether this machine has licences, and why not
///
/// In a guest, it shows product, state, end and server of the licence, whether the clock is right, and what to do about
/// each failure in the journal of nvidia-gridd. On a host, it shows the licence of each running vGPU. Root sees the token, too.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu license status
  sudo vgpu license status --connect
  vgpu license status --json | jq -r '.licences[].state'")]
struct StatusArgs {
    /// Check that the ports of the token's licence server answer (5 seconds at most)
    #[arg(long)]
    connect: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    /// Root directory of the machine to look at; for tests
    #[arg(long, hide = true, default_value = "/")]
    root: PathBuf,
}

/// Tell what a client configuration token says
///
/// Shows the licence server and its ports, the dates between which the token is valid, and what is wrong with it. It needs
/// no network and no key. It does not prove who made the token.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu license token client_configuration_token.tok
  sudo cat /run/secrets/vgpu.tok | vgpu license token -")]
struct TokenArgs {
    /// The token's file, or - for standard input
    file: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Status(args) => status(args),
        Command::Token(args) => explain_token(args),
    }
}

fn status(args: StatusArgs) -> Result<()> {
    let journal = Journal::of_this_boot();
    if let Some(why) = &journal.incomplete {
        output::note(format!("the journal is incomplete: {why}"));
    }
    let network = if args.connect { Network::Ask } else { Network::Leave };
    let status = status::read(&args.root, &journal, network);
    if args.json {
        return output::json(&status);
    }
    output::print(match &status {
        Status::Guest(guest) => describe_guest(guest),
        Status::Host(host) => describe_host(host),
    })
}

fn describe_guest(guest: &Guest) -> String {
    let mut lines = Lines::default();
    for licence in &guest.licences {
        lines.add("product", licence.product.as_deref().unwrap_or("unknown"));
        lines.add("state", describe_state(licence.state));
        if let Some(expiry) = &licence.expiry {
            lines.add("until", expiry);
        }
        if let Some(gpu) = &licence.gpu {
            lines.add("GPU", gpu);
        }
    }
    if guest.licences.is_empty() {
        lines.add("state", "unknown: neither nvidia-smi nor the journal of nvidia-gridd tells");
    }
    lines.add("server", guest.server.as_deref().unwrap_or("unknown"));
    lines.add(
        "clock",
        match guest.clock_synchronized {
            Some(true) => "synchronised",
            Some(false) => "NOT synchronised: licences depend on it (services.timesyncd.enable)",
            None => "unknown",
        },
    );
    if let Some(found) = &guest.token {
        lines.add("token", &found.file.display().to_string());
        for problem in &found.token.problems {
            lines.add("problem", problem);
        }
    }
    for answer in guest.ports.iter().flatten() {
        let reason = answer.reason.as_deref().unwrap_or("answers");
        lines.add("port", &format!("{} {}: {reason}", answer.server, answer.port));
    }
    for problem in &guest.problems {
        lines.add("problem", problem);
    }
    for told in &guest.failures {
        lines.add("failure", &format!("{} {}", told.time, told.line));
        if let Some(cause) = told.cause {
            lines.add("cause", cause);
        }
        lines.add("help", told.help.unwrap_or("this failure is not known yet; see the lines around it in the journal"));
    }
    lines.finish()
}

fn describe_host(host: &Host) -> String {
    if host.vgpus.is_empty() {
        return "no vGPU of a running virtual machine has told of its licence".to_owned();
    }
    let row = |vgpu: &VgpuLicence| {
        let process = || vgpu.process.map_or("unknown".to_owned(), |pid| format!("process {pid}"));
        let name = vgpu.vgpu.clone().or_else(|| vgpu.vm.clone()).unwrap_or_else(process);
        let state = vgpu.state.map_or("not told yet", name_state).to_owned();
        vec![name, state, vgpu.expiry.clone().unwrap_or_default()]
    };
    output::table(&["VGPU", "LICENCE", "UNTIL"], host.vgpus.iter().map(row))
}

/// Short, for a table.
fn name_state(state: State) -> &'static str {
    match state {
        State::Licensed => "licensed",
        State::Unlicensed => "NOT licensed",
        State::UnlicensedUnrestricted => "not licensed yet",
        State::UnlicensedRestricted => "NOT licensed, slow",
    }
}

fn describe_state(state: State) -> &'static str {
    match state {
        State::Licensed => "licensed",
        State::Unlicensed => "NOT licensed",
        State::UnlicensedUnrestricted => "not licensed yet, at full speed for now",
        State::UnlicensedRestricted => "NOT licensed, slowed down",
    }
}

/// Lines, each a word and a text.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, what: &str, text: &str) {
        self.0.push_str(&output::wrap(text, &format!("{what:<11} "), 2));
    }

    fn finish(self) -> String {
        self.0.trim_end().to_owned()
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
    let mut lines = Lines(format!("{}\n", shown::line(&file.display().to_string())));
    lines.add(
        "kind",
        match token.kind {
            Kind::Cls => "CLS: NVIDIA's licence server in the cloud",
            Kind::Dls => "DLS: a licence server of your own",
        },
    );
    for server in &token.servers {
        lines.add("server", &describe_server(server));
    }
    lines.add("valid from", token.valid_from.as_deref().unwrap_or("any time"));
    lines.add("valid until", token.valid_until.as_deref().unwrap_or("not said"));
    for problem in &token.problems {
        lines.add("problem", problem);
    }
    lines.finish()
}

fn describe_server(server: &Server) -> String {
    let ports: Vec<String> = server.ports.iter().map(u16::to_string).collect();
    let ports = if ports.is_empty() { "none".into() } else { ports.join(", ") };
    format!("{}, ports: {ports}", server.visible())
}
