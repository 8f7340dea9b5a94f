//! Answers checks from logs: are certain messages in them?

use super::check::Finding;
use super::observed::{Log, Observed, QEMU_LOGS};
use crate::machine::journal::{Entry, Source};
use crate::machine::services::State;

impl Observed {
    /// Whether a log has none of these messages. If it has some, the finding is a failure with the last one.
    pub fn free_of(&self, log: Log, messages: &[&str]) -> Finding {
        self.free_of_since(log, messages, &[])
    }

    /// As [`Observed::free_of`], but messages before a message of success, in any log, do not count.
    pub fn free_of_since(&self, log: Log, messages: &[&str], success: &[&str]) -> Finding {
        self.free_where(log, |text| messages.iter().any(|message| text.contains(message)), success)
    }

    /// As [`Observed::free_of_since`], for the messages that `wrong` picks.
    pub fn free_where(&self, log: Log, wrong: impl Fn(&str) -> bool, success: &[&str]) -> Finding {
        let mut found = self.entries(log);
        found.retain(|entry| wrong(&entry.message));
        let Some(last) = found.last() else { return self.nothing(log) };
        let after = self.journal.entries.iter().skip_while(|entry| !std::ptr::eq(*entry, *last)).skip(1);
        if after.into_iter().any(|entry| success.iter().any(|text| entry.message.contains(text))) {
            return Finding::ok(format!("{}\nit has worked since", quote(last)));
        }
        let again = if found.len() > 1 { format!(" ({} times)", found.len()) } else { String::new() };
        Finding::failed(quote(last) + &again)
    }

    /// The finding if no message was found. Either there is none, or the log could not be read.
    pub fn nothing(&self, log: Log) -> Finding {
        if let Some(why) = &self.journal.incomplete {
            return Finding::unknown(format!("the journal could not be read: {why}"));
        }
        let closed = matches!(log, Log::Machines).then(|| self.closed(QEMU_LOGS)).flatten();
        if let Some(unknown) = closed {
            return unknown;
        }
        let written = match log {
            Log::Kernel => self.journal.kernel,
            Log::Service(name) => self.journal.entries.iter().any(|entry| entry.source.is_of(name)),
            Log::Machines => !self.entries(log).is_empty(),
        };
        match log {
            _ if written => Finding::ok(format!("nothing of the kind in {log}")),
            Log::Service(name) if self.state(name) == State::Missing => Finding::irrelevant(),
            Log::Machines => Finding::irrelevant(),
            _ => Finding::unknown(format!("there is nothing at all in {log}")),
        }
    }
}

/// A line of the journal as evidence.
pub fn quote(entry: &Entry) -> String {
    let from = match &entry.source {
        Source::Kernel => "kernel",
        Source::Unit(unit) => unit,
        Source::Systemd(_) => "systemd",
    };
    format!("{} {from}: {}", entry.time, entry.message.trim()).trim_start().to_owned()
}
