//! Shows something again and again, until a signal or the reader ends it.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use miette::{IntoDiagnostic, Result, WrapErr};
use vgpu_base::interrupt::Ending;

use super::output;

const PAUSE: Duration = Duration::from_secs(2);

/// Switches to the terminal's second screen and hides the cursor; and back (xterm's control sequences). What was on the
/// first screen stays.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner, with nothing below it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints what `screen` gives, every two seconds: on a terminal always at the same place, into a file or pipe one after the
/// other. Ends with the exit code of a program that the signal has ended.
///
/// # Errors
/// When there is nothing to show, or nobody who reads it any more.
pub fn watch(screen: impl Fn() -> Result<String>) -> Result<()> {
    let ending = Ending::awaited().into_diagnostic().wrap_err("cannot wait for signals")?;
    let terminal = Terminal::take();
    loop {
        let text = screen()?;
        terminal.clear();
        output::print(text)?;
        if let Some(signal) = ending.within(PAUSE) {
            drop(terminal);
            std::process::exit(128 + signal);
        }
    }
}

/// The terminal, if standard output is one. It is given back as it was, whatever ends the program's work.
struct Terminal {
    there: bool,
}

impl Terminal {
    fn take() -> Terminal {
        let dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
        let terminal = Terminal { there: io::stdout().is_terminal() && !dumb };
        terminal.control(ENTER);
        terminal
    }

    fn clear(&self) {
        self.control(CLEAR);
    }

    /// It is wanted even where colours are not (NO_COLOR). So it is not written through anstream, which would remove it.
    fn control(&self, sequence: &str) {
        if self.there {
            let mut out = io::stdout().lock();
            let _ = out.write_all(sequence.as_bytes()).and_then(|()| out.flush());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.control(LEAVE);
    }
}
