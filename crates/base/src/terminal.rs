//! How programs print: results on standard output, notes and errors on standard error.
//!
//! Colours appear on terminals only and obey NO_COLOR (anstream decides).

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use miette::{Diagnostic, Report, Result};

use crate::{interrupt, shown};

const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// Why a result could not be printed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum PrintError {
    /// As in `vgpu releases | head -1`. This is no failure: see [`exit_code`].
    #[error("nobody reads standard output any more")]
    ReaderGone,
    #[error("cannot write to standard output")]
    #[diagnostic(help("look at where it leads: a full disk is the usual reason"))]
    Failed(#[source] std::io::Error),
}

/// Prints a result to standard output, made safe for a terminal: its lines and colours stay.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let written = writeln!(out, "{}", shown::result(&text.to_string())).and_then(|()| out.flush());
    Ok(written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => PrintError::ReaderGone,
        _ => PrintError::Failed(error),
    })?)
}

/// Writes a line to standard error. If that is not possible, there is nobody to tell.
fn say(line: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Tells the user something on standard error that is neither a result nor an error.
pub fn note(text: impl Display) {
    say(format_args!("{CYAN}note{CYAN:#}: {}", safe(text)));
}

/// Prints a line of a program that we run to standard error.
pub fn relay(line: &str) {
    say(shown::result(line));
}

/// A number of things: `1 file`, `2 files`. `thing` is one of them.
pub fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Prints an error: what was being done, why it failed, what to do.
pub fn report(report: &Report) {
    let _not_interrupted = interrupt::hold();
    let mut chain = report.chain();
    say(format_args!("{RED}error{RED:#}: {}", safe(chain.next().expect("an error has a message"))));
    for cause in chain {
        say(format_args!("{CYAN}cause{CYAN:#}: {}", safe(cause)));
    }
    for line in details(report.as_ref()) {
        say(format_args!("  {}", shown::line(&line)));
    }
    if let Some(help) = help(report.as_ref()) {
        say(format_args!("{CYAN}help{CYAN:#}: {}", safe(help)));
    }
}

/// The text of an error, made safe for a terminal: it may contain names from outside.
fn safe(text: impl Display) -> String {
    shown::message(&text.to_string())
}

/// The advice of the outermost error that has one.
fn help(error: &dyn Diagnostic) -> Option<String> {
    error.help().map(|help| help.to_string()).or_else(|| help(error.diagnostic_source()?))
}

/// The lines that belong to an error, such as the last ones of a program that failed. They are not part of its message: a
/// name in that could look like one.
fn details(error: &dyn Diagnostic) -> Vec<String> {
    match error.related() {
        Some(lines) => lines.map(|line| line.to_string()).collect(),
        None => error.diagnostic_source().map_or(Vec::new(), details),
    }
}

/// Ends a program: reports the error, if there is one, and gives the exit code.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if matches!(error.downcast_ref(), Some(PrintError::ReaderGone)) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_called_several() {
        assert_eq!([0, 1, 2].map(|number| count(number, "file")), ["0 files", "1 file", "2 files"]);
    }
}
