//! How commands print: results, JSON documents, notes, progress and errors.
//!
//! Colours appear on terminals only and obey NO_COLOR (anstream decides).

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{Diagnostic, IntoDiagnostic, Report, Result};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// Prints a result to standard output. A reader that went away (`vgpu releases | head -1`) ends the program quietly.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.into_diagnostic(),
    }
}

/// Lays out rows under headings: columns as wide as they need, two spaces apart.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.to_vec()).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Prints one JSON document to standard output.
pub fn json(value: &impl Serialize) -> Result<()> {
    print(serde_json::to_string_pretty(value).into_diagnostic()?)
}

/// Tells the user something on standard error that is neither a result nor an error.
pub fn note(text: impl Display) {
    anstream::eprintln!("{CYAN}note{CYAN:#}: {text}");
}

/// A progress bar over a number of bytes, on terminals only.
pub fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("{bar:40} {decimal_bytes} of {decimal_total_bytes}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A sign of life for something of unknown length, on terminals only.
pub fn spinner(text: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

/// Removes a half-done directory when the program is interrupted (Ctrl-C) or terminated.
pub fn remove_when_interrupted(dir: &Path) {
    let dir = dir.to_owned();
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Under another name first, so that nothing more is written into it.
            let doomed = dir.with_extension("interrupted");
            let _ = std::fs::rename(&dir, &doomed);
            let _ = std::fs::remove_dir_all(&doomed);
            std::process::exit(128 + signal);
        }
    });
}

/// Passes on, to standard error, a line that a program we run has printed.
pub fn relay(line: &str) {
    anstream::eprintln!("{line}");
}

/// Prints an error: what was being done, why it failed, what to do.
pub fn report(report: &Report) {
    let mut chain = report.chain();
    anstream::eprintln!("{RED}error{RED:#}: {}", chain.next().expect("an error has a message"));
    for cause in chain {
        anstream::eprintln!("{CYAN}cause{CYAN:#}: {cause}");
    }
    if let Some(help) = help(report.as_ref()) {
        anstream::eprintln!("{CYAN}help{CYAN:#}: {help}");
    }
}

/// The advice of the outermost error that has one.
fn help(error: &dyn Diagnostic) -> Option<String> {
    error.help().map(|help| help.to_string()).or_else(|| help(error.diagnostic_source()?))
}
