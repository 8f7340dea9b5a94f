//! A summary of nvidia-gridd's journal: which licence it got from which server, and what went wrong since.

use serde::Serialize;

use super::failures;
use super::state::{self, State};

/// The summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalSummary {
    pub state: Option<State>,
    /// NVIDIA RTX Virtual Workstation
    pub product: Option<String>,
    /// The server that gave the licence, or was asked for it.
    pub server: Option<String>,
    /// When the licence ends: RFC 3339 in UTC.
    pub expiry: Option<String>,
    /// What went wrong since the last licence. Each kind of failure appears once, with its last line.
    pub failures: Vec<ReportedFailure>,
}

/// A failure in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedFailure {
    /// The name of a [`failures::Failure`], or `unknown`.
    pub id: &'static str,
    /// The time, as in the journal.
    pub time: String,
    /// The line itself.
    pub line: String,
    pub cause: Option<&'static str>,
    pub help: Option<&'static str>,
}

impl JournalSummary {
    /// Reads lines from the oldest to the newest, each with its time.
    pub fn read<'a>(lines: impl IntoIterator<Item = (&'a str, &'a str)>) -> JournalSummary {
        let mut summary = JournalSummary::default();
        for (time, line) in lines {
            summary.add(time, line);
        }
        summary
    }

    fn add(&mut self, time: &str, line: &str) {
        if line.starts_with("License acquired successfully") || line.starts_with("License renewed successfully") {
            self.failures.clear();
            self.state = Some(State::Licensed);
            self.note(line);
        } else if line.starts_with("License returned successfully") {
            self.state = Some(State::Unlicensed);
            self.expiry = None;
        } else if line.starts_with("Acquiring license") {
            self.note(line);
        } else if failures::is_failure(line) {
            self.fail(time, line);
        }
    }

    /// `(Info: SERVER, PRODUCT; Expiry: DATE)`; while it asks, `(Info: SERVER; PRODUCT)`.
    fn note(&mut self, line: &str) {
        let Some((_, info)) = line.split_once("(Info: ") else { return };
        let info = info.strip_suffix(')').unwrap_or(info);
        let (info, expiry) = info.split_once("; Expiry: ").map_or((info, None), |(info, date)| (info, Some(date)));
        let (server, product) = match info.split_once([',', ';']) {
            Some((server, product)) => (server, Some(product.trim().to_owned())),
            None => (info, None),
        };
        self.server = Some(server.trim().to_owned());
        self.product = product.or(self.product.take());
        self.expiry = expiry.and_then(state::parse_date);
    }

    fn fail(&mut self, time: &str, line: &str) {
        let failure = failures::explain(line);
        let told = ReportedFailure {
            id: failure.map_or("unknown", |failure| failure.id),
            time: time.to_owned(),
            line: line.to_owned(),
            cause: failure.map(|failure| failure.cause),
            help: failure.map(|failure| failure.help),
        };
        // The lines before it say this better.
        if told.id == "unlicensed" {
            self.state = Some(State::Unlicensed);
            if !self.failures.is_empty() {
                return;
            }
        } else {
            self.failures.retain(|other| other.id != "unlicensed");
        }
        self.failures.retain(|other| other.id != told.id || (told.id == "unknown" && other.line != told.line));
        self.failures.push(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> JournalSummary {
        JournalSummary::read(lines.iter().map(|line| ("then", *line)))
    }

    fn ids(summary: &JournalSummary) -> Vec<&str> {
        summary.failures.iter().map(|told| told.id).collect()
    }

    const SUCCESS: &str =
        "License acquired successfully. (Info: licences.example.org, NVIDIA Virtual PC; Expiry: 2027-1-4 8:1:9 GMT)";
    const ASKING: &str = "Acquiring license. (Info: licences.example.org; NVIDIA Virtual PC)";
    const NETWORK: &str = "Failed to acquire license from licences.example.org (Info: NVIDIA Virtual PC - Error: Generic network communication failure)";
    const NONE: &str = "Valid GRID license not found. GPU features and performance will be restricted.";

    #[test]
    fn a_licence_is_told_with_its_end() {
        let summary = read(&["Started (7)", "vGPU Software package (0)", "NLS initialized", ASKING, SUCCESS]);
        assert_eq!(summary.state, Some(State::Licensed));
        assert_eq!(summary.product.as_deref(), Some("NVIDIA Virtual PC"));
        assert_eq!(summary.server.as_deref(), Some("licences.example.org"));
        assert_eq!(summary.expiry.as_deref(), Some("2027-01-04T08:01:09Z"));
        assert_eq!(ids(&summary), [""; 0]);
    }

    #[test]
    fn success_ends_what_went_wrong_before() {
        assert_eq!(ids(&read(&[NETWORK, SUCCESS])), [""; 0]);
        let renewed =
            "License renewed successfully. (Info: licences.example.org, NVIDIA Virtual PC; Expiry: 2028-1-4 8:1:9 GMT)";
        assert_eq!(read(&[SUCCESS, NETWORK, renewed]).expiry.as_deref(), Some("2028-01-04T08:01:09Z"));
        let returned = read(&[SUCCESS, "License returned successfully. (Info: licences.example.org)", "Shutdown (7)"]);
        assert_eq!((returned.state, returned.expiry), (Some(State::Unlicensed), None));
    }

    #[test]
    fn a_failure_is_told_once_and_only_consequences_are_left_out() {
        let summary = read(&[ASKING, NETWORK, NONE, NETWORK, "Failed to be understood", "Failed to be understood"]);
        assert_eq!(ids(&summary), ["network", "unknown"]);
        assert_eq!(summary.state, Some(State::Unlicensed));
        assert_eq!(ids(&read(&[NONE])), ["unlicensed"]);
        assert_eq!(ids(&read(&[NONE, NETWORK])), ["network"]);
    }

    #[test]
    fn a_licence_that_cannot_be_renewed_stays_one_until_it_ends() {
        let summary = read(&[SUCCESS, NETWORK]);
        assert_eq!(summary.state, Some(State::Licensed));
        assert_eq!(ids(&summary), ["network"]);
    }
}
