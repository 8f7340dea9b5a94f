//! How commands print: results, JSON documents, notes, progress and errors.
//!
//! Colours appear on terminals only and obey NO_COLOR (anstream decides).

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{Diagnostic, IntoDiagnostic, Report, Result};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// Why a result could not be printed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum PrintError {
    /// As in `vgpu releases | head -1`: no failure, see [`super::main`].
    #[error("nobody reads standard output any more")]
    ReaderGone,
    #[error("cannot write to standard output")]
    #[diagnostic(help("look at where it leads: a full disk is the usual reason"))]
    Failed(#[source] std::io::Error),
}

/// Prints a result to standard output.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    Ok(written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => PrintError::ReaderGone,
        _ => PrintError::Failed(error),
    })?)
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

/// Writes a line to standard error. Where that is not possible there is nobody to tell.
fn say(line: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Tells the user something on standard error that is neither a result nor an error.
pub fn note(text: impl Display) {
    say(format_args!("{CYAN}note{CYAN:#}: {text}"));
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

/// Directories that are half done. Locked for good when the program is interrupted: whoever ends it must hold the lock.
static HALF_DONE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn half_done() -> MutexGuard<'static, Vec<PathBuf>> {
    HALF_DONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a half-done directory when the program is interrupted (Ctrl-C) or terminated.
pub fn remove_when_interrupted(dir: &Path) {
    let mut dirs = half_done();
    dirs.push(dir.to_owned());
    if dirs.len() > 1 {
        return; // A thread waits already.
    }
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let dirs = half_done();
            dirs.iter().for_each(|dir| remove_under_way(dir));
            std::process::exit(128 + signal);
        }
    });
}

/// Removes a directory that other threads are writing into. They would create it again, so a link to itself takes its
/// name: nothing can be written through that.
fn remove_under_way(dir: &Path) {
    let mut moved = Vec::new();
    for attempt in 0..100 {
        let doomed = dir.with_extension(format!("interrupted-{attempt}"));
        if std::fs::rename(dir, &doomed).is_err() {
            break; // It has another name, or is gone: done.
        }
        moved.push(doomed);
        if symlink(dir, dir).is_ok() {
            break; // Else somebody was faster, and created it again.
        }
    }
    for doomed in &moved {
        let _ = std::fs::remove_dir_all(doomed);
    }
    if dir.is_symlink() {
        let _ = std::fs::remove_file(dir);
    }
}

/// Passes on, to standard error, a line that a program we run has printed.
pub fn relay(line: &str) {
    say(line);
}

/// Prints an error: what was being done, why it failed, what to do.
pub fn report(report: &Report) {
    let _not_interrupted = half_done();
    let mut chain = report.chain();
    say(format_args!("{RED}error{RED:#}: {}", chain.next().expect("an error has a message")));
    for cause in chain {
        say(format_args!("{CYAN}cause{CYAN:#}: {cause}"));
    }
    if let Some(help) = help(report.as_ref()) {
        say(format_args!("{CYAN}help{CYAN:#}: {help}"));
    }
}

/// The advice of the outermost error that has one.
fn help(error: &dyn Diagnostic) -> Option<String> {
    error.help().map(|help| help.to_string()).or_else(|| help(error.diagnostic_source()?))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Writers go on while the directory is removed, and must not bring it back.
    #[test]
    fn a_directory_that_is_written_into_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("half-done");
        std::fs::create_dir(&dir).unwrap();
        for number in 0..2000 {
            std::fs::write(dir.join(number.to_string()), "").unwrap();
        }
        let inside = dir.join("deep/inside");
        let written = inside.clone();
        let writer = std::thread::spawn(move || {
            let begin = Instant::now();
            while std::fs::create_dir_all(&inside).is_ok() && begin.elapsed() < Duration::from_secs(5) {}
        });
        while !written.exists() {
            std::thread::yield_now();
        }
        remove_under_way(&dir);
        writer.join().unwrap();
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
