//! How commands print: tables, JSON documents and progress. Lines, notes and errors are those of [`vgpu_base::terminal`].

use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, Result};
use serde::Serialize;
use textwrap::{WordSeparator, WordSplitter};
use vgpu_base::shown;
use vgpu_driver::archive::Progress;

pub use vgpu_base::terminal::{count, note, print};

/// How a command prints its result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Words and tables.
    Text,
    /// One JSON document.
    Json,
}

impl Form {
    /// What the option `--json` asks for.
    pub fn of(json: bool) -> Form {
        if json { Form::Json } else { Form::Text }
    }
}

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Column {
    heading: &'static str,
    alignment: CellAlignment,
    /// On a narrow terminal, the column with the highest number is left out first. A column with 0 always stays.
    spare: u8,
}

impl Column {
    pub const fn text(heading: &'static str) -> Column {
        Column { heading, alignment: CellAlignment::Left, spare: 0 }
    }

    /// Aligned to the right.
    pub const fn number(heading: &'static str) -> Column {
        Column { heading, alignment: CellAlignment::Right, spare: 0 }
    }

    /// A column that is left out if the table is wider than the terminal. Those with a higher number go first.
    pub const fn spare(self, spare: u8) -> Column {
        Column { spare, ..self }
    }
}

impl From<&'static str> for Column {
    fn from(heading: &'static str) -> Column {
        Column::text(heading)
    }
}

/// Lays out rows under headings. Columns are as wide as they need and two spaces apart. Columns for which a narrow terminal
/// has no room are left out. Each cell is made safe to show, as a name.
pub fn table(columns: &[impl Into<Column> + Copy], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut columns: Vec<Column> = columns.iter().map(|column| (*column).into()).collect();
    let mut rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(|cell| shown::name(cell)).collect()).collect();
    let room = width();
    loop {
        let text = laid_out(&columns, &rows);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let most = columns.iter().enumerate().map(|(at, column)| (column.spare, at)).max();
        match most {
            Some((spare, at)) if spare > 0 && widest > room => {
                columns.remove(at);
                rows.iter_mut().filter(|row| at < row.len()).for_each(|row| drop(row.remove(at)));
            }
            _ => return text,
        }
    }
}

/// Facts, a line each: the name, and the value from column `width` on, made safe to show. On a narrow terminal, values go on
/// in the next line.
pub fn facts(width: usize, facts: &[(&str, String)]) -> String {
    let room = self::width();
    let line = |(name, value): &(&str, String)| match (format!("{name:<width$}"), shown::line(value)) {
        (name, value) if room == usize::MAX => name + &value,
        (name, value) => filled(&value, &name, room),
    };
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn laid_out(columns: &[Column], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.heading)).add_rows(rows);
    for (column, wanted) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        column.set_cell_alignment(wanted.alignment);
    }
    table.trim_fmt()
}

/// The width of the terminal: COLUMNS, if it is set, or what the terminal says. Files and pipes have no limit, and neither have
/// terminals that don't know their width: on a serial line it is 0.
fn width() -> usize {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let mut known = [set, Table::new().width().map(usize::from)].into_iter().flatten();
    known.find(|columns| *columns > 0).unwrap_or(usize::MAX)
}

/// Wraps a text to lines of at most 80 columns, indented by `indent`. The first line begins with `label`; the others are
/// aligned with its text.
pub fn wrap(text: &str, label: &str, indent: usize) -> String {
    // It may be from a journal or a token.
    let text = shown::line(text);
    filled(&text, &format!("{:indent$}{label}", ""), 80) + "\n"
}

/// Wraps a text that begins with `label`. The other lines are aligned with the text.
fn filled(text: &str, label: &str, columns: usize) -> String {
    let rest = " ".repeat(label.chars().count());
    let options = textwrap::Options::new(columns).initial_indent(label).subsequent_indent(&rest).break_words(false);
    // Names of checks, options and devices are not broken.
    let options = options.word_separator(WordSeparator::AsciiSpace).word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

/// Prints one JSON document to standard output.
pub fn json(value: &impl Serialize) -> Result<()> {
    print(shown::json(&serde_json::to_string_pretty(value).into_diagnostic()?))
}

/// A progress bar over a number of bytes, only on terminals. `doing` is one word for the work. A line is at most 80
/// columns long.
pub fn progress(doing: &'static str, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template(
        "{msg:9} {percent:>3} % {bar:20} {decimal_bytes} of {decimal_total_bytes}, {eta} left",
    );
    bar.with_message(doing).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Does some work that reads a file, and shows its progress.
pub fn with_progress<T>(doing: &'static str, bytes: u64, work: impl FnOnce(Progress) -> T) -> T {
    let bar = progress(doing, bytes);
    let done = work(&|count| bar.inc(count));
    bar.finish_and_clear();
    done
}

/// A spinner for work of unknown length, only on terminals.
pub fn spinner(text: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal of 80 columns that remembers what was written to it.
    #[derive(Clone, Debug, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().push('\n');
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_progress_bar_says_what_is_done_and_how_far_it_is() {
        let terminal = Terminal::default();
        let bar = progress("unpacking", 353_305_520);
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        bar.set_position(176_652_760);
        bar.tick();
        let text = terminal.0.lock().unwrap().clone();
        let line = text.lines().last().unwrap().trim_end();
        assert!(line.starts_with("unpacking  50 % █"), "{text}");
        assert!(line.contains("176.65 MB of 353.31 MB, ") && line.ends_with(" left"), "{text}");
    }
}
