//! The state of a licence, in the words of nvidia-smi and of nvidia-gridd's journal.

use serde::Serialize;
use x509_cert::der::DateTime;

/// What a vGPU's licence allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Licensed,
    /// There is none, and nothing more is known.
    Unlicensed,
    /// There is none yet, and the vGPU has full speed, in the first minutes.
    UnlicensedUnrestricted,
    /// There is none, and the vGPU is slowed down.
    UnlicensedRestricted,
}

/// A licence status, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// When the licence ends: RFC 3339 in UTC.
    pub expiry: Option<String>,
}

/// Parses what nvidia-smi prints as License Status: `Licensed (Expiry: 2023-1-31 11:32:22 GMT)`,
/// `Unlicensed (Restricted)`. `None` for unknown words.
pub fn parse(text: &str) -> Option<Status> {
    let text = text.trim();
    let state = match text.split(" (Expiry").next()? {
        "Licensed" => State::Licensed,
        "Unlicensed (Unrestricted)" => State::UnlicensedUnrestricted,
        "Unlicensed (Restricted)" => State::UnlicensedRestricted,
        "Unlicensed" => State::Unlicensed,
        _ => return None,
    };
    Some(Status { state, expiry: text.split_once("Expiry: ").and_then(|(_, date)| parse_date(date)) })
}

/// `2023-1-31 11:32:22 GMT`, as NVIDIA prints dates: without leading zeros. The time zone is ignored.
pub fn parse_date(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (date, time) = (words.next()?, words.next()?);
    let number = |part: Option<&str>| part?.trim_end_matches(|last: char| !last.is_ascii_digit()).parse::<u16>().ok();
    let mut date = date.split('-');
    let mut time = time.split(':');
    let year = number(date.next())?;
    let small = |part: Option<&str>| u8::try_from(number(part)?).ok();
    let (month, day) = (small(date.next())?, small(date.next())?);
    let (hour, minute, second) = (small(time.next())?, small(time.next())?, small(time.next())?);
    self::date(year, month, day, hour, minute, second)
}

/// A date in UTC, in the form of RFC 3339. `None` if there is no such day.
pub fn date(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<String> {
    Some(DateTime::new(year, month, day, hour, minute, second).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nvidias_words_are_understood() {
        let status = |state, expiry: Option<&str>| Some(Status { state, expiry: expiry.map(str::to_owned) });
        let end = Some("2023-01-31T11:32:22Z");
        assert_eq!(parse("Licensed (Expiry: 2023-1-31 11:32:22 GMT)"), status(State::Licensed, end));
        assert_eq!(parse(" Licensed\n"), status(State::Licensed, None));
        assert_eq!(parse("Licensed (Expiry: N/A)"), status(State::Licensed, None));
        assert_eq!(parse("Licensed (Expiry: Permanent)"), status(State::Licensed, None));
        assert_eq!(parse("Unlicensed (Unrestricted)"), status(State::UnlicensedUnrestricted, None));
        assert_eq!(parse("Unlicensed (Restricted)"), status(State::UnlicensedRestricted, None));
        assert_eq!(parse("Unlicensed"), status(State::Unlicensed, None));
        assert_eq!(parse("Lizenziert"), None);
    }

    #[test]
    fn dates_that_are_none_are_left_out() {
        for text in ["", "2023-1-31", "2023-1-31 11:32", "2023-2-30 11:32:22", "2023-1-31 25:00:00", "99999-1-1 1:1:1"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
        assert_eq!(parse_date("2027-1-4 8:1:9)").as_deref(), Some("2027-01-04T08:01:09Z"));
    }
}
