//! `vgpu doctor`: why does it not work?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use miette::{Diagnostic, Result};
use vgpu_base::shown;
use vgpu_driver::Role;

use super::output::{self, wrap};
use crate::doctor::check::{Group, Status};
use crate::doctor::observed::Observed;
use crate::doctor::{self, Outcome, Privacy, Report};
use crate::machine::journal::Journal;

/// Find out why vGPU does not work on this machine.
///
/// Checks firmware, kernel, modules, services, virtual functions, types, vGPUs, virtual machines and licences, causes first.
/// It says what is wrong, what shows it, and what to do. It changes nothing. The exit code is 1 if a check failed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu doctor                  on the host, or in the guest; best as root
  vgpu doctor --json           for an issue: no names of hosts and servers
  vgpu doctor --all            every check, with these names
  vgpu doctor --journal FILE   with a journal that was saved elsewhere")]
pub struct Args {
    /// What the machine is: the host of virtual machines, or a guest; guessed by default
    #[arg(long, value_parser = super::role())]
    role: Option<Role>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Show passed checks too, and names of hosts, virtual machines and servers
    #[arg(long)]
    all: bool,

    /// Read the journal from a file: journalctl -b -o json, or the text of journalctl or dmesg
    #[arg(long, value_name = "FILE")]
    journal: Vec<PathBuf>,

    /// Root directory of the machine to look at; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

/// The reason for exit code 1. It is no error of the program.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{failed} of {all} checks failed")]
#[diagnostic(help("begin with `{first}`, and run `vgpu doctor` again: it then makes the checks that build on it"))]
struct Unsound {
    failed: usize,
    all: usize,
    first: &'static str,
}

pub fn run(args: Args) -> Result<()> {
    let journal = match &args.journal[..] {
        [] if args.root == Path::new("/") => Journal::of_this_boot(),
        [] => Journal::missing("it is another machine's: give its journal with --journal FILE"),
        files => Journal::of_files(files)?,
    };
    let seen = Observed::of_machine(&args.root, journal, args.role);
    let privacy = if args.all { Privacy::All } else { Privacy::Hidden };
    let report = doctor::examine(&seen, privacy);
    if args.json {
        output::json(&report)?;
    } else {
        output::print(render(&seen, &report, privacy))?;
    }
    let failed: Vec<&Outcome> = report.failed().collect();
    match failed.first() {
        Some(first) => Err(Unsound { failed: failed.len(), all: report.checks.len(), first: first.id }.into()),
        None => Ok(()),
    }
}

/// A line about the machine, then the groups, each with what is wrong in it.
fn render(seen: &Observed, report: &Report, privacy: Privacy) -> String {
    let mut text = headline(seen) + "\n";
    let mut groups: Vec<Group> = report.checks.iter().map(|check| check.group).collect();
    groups.dedup();
    for group in groups {
        let checks: Vec<&Outcome> = report.checks.iter().filter(|check| check.group == group).collect();
        text.push_str(&format!("\n{group:<21}{}\n", summary(&checks)));
        for check in &checks {
            match check.status {
                Status::Ok if privacy == Privacy::Hidden => {}
                Status::Unknown => {}
                _ => text.push_str(&describe(check)),
            }
        }
        text.push_str(&unknown(&checks));
    }
    text.trim_end().to_owned()
}

fn headline(seen: &Observed) -> String {
    let machine = &seen.machine;
    let mut parts = vec![seen.role.to_string()];
    parts.extend(machine.nixos.as_ref().map(|release| format!("NixOS {release}")));
    parts.extend(machine.kernel.as_ref().map(|kernel| format!("kernel {kernel}")));
    parts.push(match &seen.driver {
        Some(version) => format!("NVIDIA's driver {version}"),
        None => "no driver of NVIDIA's".to_owned(),
    });
    shown::line(&parts.join(", "))
}

/// `1 failed, 3 ok, 4 wait for gpu`.
fn summary(checks: &[&Outcome]) -> String {
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    for check in checks {
        match check.waits_for {
            Some(cause) => *waiting.entry(cause).or_default() += 1,
            None => *counts.entry(check.status).or_default() += 1,
        }
    }
    let counts = counts.iter().rev().map(|(status, count)| {
        let style = style(*status);
        format!("{style}{count} {status}{style:#}")
    });
    let waiting = waiting.iter().map(|(cause, count)| format!("{count} wait for {cause}"));
    counts.chain(waiting).collect::<Vec<_>>().join(", ")
}

fn style(status: Status) -> Style {
    match status {
        Status::Ok => AnsiColor::Green.on_default(),
        Status::Unknown => AnsiColor::Cyan.on_default(),
        Status::Warning => AnsiColor::Yellow.on_default().bold(),
        Status::Failed => AnsiColor::Red.on_default().bold(),
    }
}

fn describe(check: &Outcome) -> String {
    let style = style(check.status);
    let title = wrap(&format!("{}: {}", check.id, check.question), "", 10);
    let mut text = format!("  {style}{:<8}{style:#}{}", check.status, &title[10..]);
    for line in check.evidence.lines() {
        text.push_str(&wrap(line, "", 10));
    }
    if let Some(fix) = &check.fix {
        text.push_str(&wrap(fix, "fix: ", 10));
    }
    text
}

/// Checks that could not be made, by the reason.
fn unknown(checks: &[&Outcome]) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in checks.iter().filter(|check| check.status == Status::Unknown && check.waits_for.is_none()) {
        match reasons.iter_mut().find(|(reason, _)| *reason == check.evidence) {
            Some((_, ids)) => ids.push(check.id),
            None => reasons.push((&check.evidence, vec![check.id])),
        }
    }
    let style = style(Status::Unknown);
    let describe = |(reason, ids): (&str, Vec<&str>)| {
        let title = wrap(&format!("{}:", ids.join(", ")), "", 10);
        let reason: String = reason.lines().map(|line| wrap(line, "", 10)).collect();
        format!("  {style}unknown {style:#}{}{reason}", &title[10..])
    };
    reasons.into_iter().map(describe).collect()
}
