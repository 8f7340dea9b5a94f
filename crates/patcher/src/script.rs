//! Runs patch.sh to its end, and keeps what matters of what it prints.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Line, PatchError, io_error};

/// How many of the script's last lines an error repeats.
const TAIL: usize = 30;

/// How the script ended, and what it printed.
pub struct Ended {
    pub status: ExitStatus,
    pub printed: Printed,
}

/// Runs `script` in `directory`. `log` gets each line that the script prints, as it prints it.
pub fn run(script: &Path, args: &[OsString], directory: &Path, log: &mut dyn FnMut(&str)) -> Result<Ended, PatchError> {
    let start = |source| PatchError::Start { source };
    // One pipe for both of its outputs, so that the order of the lines stays.
    let (reader, writer) = io::pipe().map_err(start)?;
    let mut command = Command::new("bash");
    command.arg(script).args(args).current_dir(directory).stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(start)?).stderr(writer);
    // A process group of its own: all that it starts can be ended together.
    let mut child = command.process_group(0).spawn().map_err(start)?;
    let interruption = Interruption::watch(&child).map_err(|error| {
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
        start(error)
    })?;
    drop(command); // It holds the other end of the pipe. While that is open, the output has no end.
    let mut printed = Printed::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(io_error("read the output of", script))? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        log(text);
        printed.add(text);
        line.clear();
    }
    let status = child.wait().map_err(io_error("wait for", script))?;
    match interruption.happened() {
        true => Err(PatchError::Interrupted),
        false => Ok(Ended { status, printed }),
    }
}

/// What matters of the script's output.
#[derive(Default)]
pub struct Printed {
    last: VecDeque<String>,
    /// Options that the script said it does not know.
    pub unknown_options: BTreeSet<String>,
}

impl Printed {
    fn add(&mut self, line: &str) {
        if let Some(option) = line.strip_prefix("Unknown option ") {
            self.unknown_options.insert(option.to_owned());
        }
        if self.last.len() == TAIL {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    /// The last lines.
    pub fn tail(self) -> Vec<Line> {
        match self.last.is_empty() {
            true => vec![Line("(it printed nothing)".into())],
            false => self.last.into_iter().map(Line).collect(),
        }
    }
}

/// Ends a child, and all that it has started, when this program is interrupted (Ctrl-C) or terminated. Only after that
/// can the files be removed that they were writing.
struct Interruption {
    handle: signal_hook::iterator::Handle,
    thread: JoinHandle<bool>,
}

impl Interruption {
    fn watch(child: &Child) -> io::Result<Interruption> {
        let group = Pid::from_child(child);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let thread = std::thread::Builder::new().spawn(move || {
            let interrupted = signals.forever().next().is_some();
            if interrupted {
                let _ = kill_process_group(group, Signal::KILL);
            }
            interrupted
        })?;
        Ok(Interruption { handle, thread })
    }

    /// Stops waiting for signals and tells whether there was one.
    fn happened(self) -> bool {
        self.handle.close();
        self.thread.join().unwrap_or(false)
    }
}
