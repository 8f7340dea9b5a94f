//! How commands print: tables, JSON documents and progress. Lines, notes and errors are those of [`vgpu_base::terminal`].

use comfy_table::{ContentArrangement, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, Result};
use serde::Serialize;

pub use vgpu_base::interrupt::remove_when_interrupted;
pub use vgpu_base::terminal::{note, print};

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
