//! Versions: releases (17.6), branches (17), drivers (550.163.01), and the months in which support ends.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A text that is none of these numbers.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum VersionError {
    #[error("`{0}` is not a release of vGPU software, such as 17.6")]
    #[diagnostic(help("a release is two numbers, as in 17.6; `vgpu releases` lists the ones we know"))]
    Release(String),
    #[error("`{0}` is not a branch of vGPU software")]
    #[diagnostic(help("a branch is the first number of a release: 17 of 17.6"))]
    Branch(String),
    #[error("`{0}` is not a driver version, such as 550.163.01")]
    #[diagnostic(help("a driver version is two or three numbers, as in 550.163.01 or 553.74"))]
    Driver(String),
    #[error("`{0}` is not a month")]
    #[diagnostic(help("a month is written year-month, as in 2026-07"))]
    Month(String),
}

/// Reads a type from text and writes it as text, wherever serde meets it.
macro_rules! as_text {
    ($($type:ty),+) => {$(
        impl TryFrom<String> for $type {
            type Error = VersionError;
            fn try_from(text: String) -> Result<Self, VersionError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    )+};
}
as_text!(ReleaseNumber, BranchNumber, DriverVersion, Month);

/// The number of a release: 17.6. 16.10 comes after 16.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseNumber {
    major: u16,
    minor: u16,
}

impl ReleaseNumber {
    /// 17 of 17.6.
    pub fn branch(&self) -> BranchNumber {
        BranchNumber(self.major)
    }

    /// 17_6 of 17.6: the way package names spell it.
    pub fn underscored(&self) -> String {
        format!("{}_{}", self.major, self.minor)
    }
}

impl FromStr for ReleaseNumber {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        text.split_once('.')
            .and_then(|(major, minor)| Some(ReleaseNumber { major: number(major)?, minor: number(minor)? }))
            .filter(|release| release.to_string() == text)
            .ok_or_else(|| VersionError::Release(text.to_owned()))
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The number of a branch: 17.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchNumber(u16);

impl BranchNumber {
    /// Whether this branch came right before `other`.
    pub(super) fn precedes(self, other: BranchNumber) -> bool {
        self.0.checked_add(1) == Some(other.0)
    }
}

impl FromStr for BranchNumber {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        number(text)
            .map(BranchNumber)
            .filter(|branch| branch.to_string() == text)
            .ok_or_else(|| VersionError::Branch(text.to_owned()))
    }
}

impl fmt::Display for BranchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a driver: 550.163.01 for Linux, 553.74 for Windows. Compares by number, prints as NVIDIA writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DriverVersion(String);

impl DriverVersion {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first number: 550 of 550.163.01.
    pub fn major(&self) -> u32 {
        self.numbers().next().unwrap_or_default()
    }

    fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.split('.').filter_map(number)
    }
}

impl FromStr for DriverVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let parts: Option<Vec<u32>> = text.split('.').map(number).collect();
        match parts.as_deref() {
            Some([_, _] | [_, _, _]) => Ok(DriverVersion(text.to_owned())),
            _ => Err(VersionError::Driver(text.to_owned())),
        }
    }
}

impl Ord for DriverVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers().cmp(other.numbers()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for DriverVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A month of a year, as in 2026-07.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: u16,
    month: u8,
}

impl Month {
    /// The month we are in, by the system's clock (UTC).
    pub fn now() -> Month {
        Month::of(SystemTime::now())
    }

    /// The month of a point in time (UTC); January 1970 for anything before, and no later than the year 4707.
    fn of(time: SystemTime) -> Month {
        let mut days = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
        days = days.min(1_000_000); // If the clock is wrong, this must not count for ever.
        let (mut year, mut month) = (1970, 1);
        while days >= length(year, month) {
            days -= length(year, month);
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        Month { year, month }
    }
}

/// Number of days in a month of the Gregorian calendar.
fn length(year: u16, month: u8) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Month {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        text.split_once('-')
            .and_then(|(year, month)| Some(Month { year: number(year)?, month: number(month)? }))
            .filter(|date| (1..=12).contains(&date.month) && date.to_string() == text)
            .ok_or_else(|| VersionError::Month(text.to_owned()))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// Only digits. `str::parse` would also accept a sign.
fn number<N: FromStr>(text: &str) -> Option<N> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn releases_and_drivers_compare_by_number() {
        let release = |text: &str| text.parse::<ReleaseNumber>().unwrap();
        assert!(release("16.10") > release("16.9"));
        assert!(release("20.0") > release("19.6"));
        let driver = |text: &str| text.parse::<DriverVersion>().unwrap();
        assert!(driver("550.163.01") > driver("550.90.07"));
        assert!(driver("570.169") > driver("550.163.02"));
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in ["", "17", "17.", ".6", "17.6.1", "+17.6", "17.06", "v17.6", "17.99999"] {
            text.parse::<ReleaseNumber>().expect_err(text);
        }
        for text in ["", "550", "550.", "550.163.01.2", "550.163.-1", "550.163 .01", "550.163.01-grid"] {
            text.parse::<DriverVersion>().expect_err(text);
        }
        for text in ["2026", "2026-13", "2026-00", "2026-7", "26-07"] {
            text.parse::<Month>().expect_err(text);
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        let month = |seconds| Month::of(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        assert_eq!(month(0), "1970-01");
        assert_eq!(month(1_709_251_199), "2024-02"); // 29 February 2024, 23:59:59
        assert_eq!(month(1_709_251_200), "2024-03");
        assert_eq!(month(1_785_542_399), "2026-07"); // 31 July 2026, 23:59:59
        assert_eq!(month(1_785_542_400), "2026-08");
        assert_eq!(month(u64::from(u32::MAX) << 20), "4707-11");
    }
}
