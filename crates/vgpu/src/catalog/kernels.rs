//! Which kernels the modules of a driver compile against, from catalog/kernels.toml, compiled in.
//!
//! Nobody can measure every kernel. A *measurement* holds for its driver and for later drivers of the branch, up to the next
//! measured one. We expect a kernel to compile if it lies between the oldest and the newest one that compiled, and if no
//! earlier kernel of its series failed.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::DriverVersion;

/// The text of catalog/kernels.toml.
pub const TEXT: &str = include_str!("../../../../catalog/kernels.toml");

static BUILTIN: LazyLock<Kernels> =
    LazyLock::new(|| toml::from_str(TEXT).expect("tests/catalog.rs parses the kernels that are compiled in"));

/// What was measured, oldest driver first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    pub measured: Vec<Measurement>,
}

/// The kernels that a driver was compiled against.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    pub driver: DriverVersion,
    /// Kernels that compile with our compatibility code, oldest first. Never empty.
    pub compiles: Vec<KernelVersion>,
    /// Those of them that compile without our compatibility code.
    pub unaided: Vec<KernelVersion>,
    #[serde(default)]
    pub fails: Vec<Failure>,
}

/// A kernel against which a driver does not compile.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub kernel: KernelVersion,
    /// The compiler's first error.
    pub error: String,
}

impl Kernels {
    /// What this program was built with.
    pub fn builtin() -> &'static Kernels {
        &BUILTIN
    }

    /// What was measured of this driver, or of the nearest earlier driver of its branch. If there is none, of the branch's
    /// first.
    pub fn of(&self, driver: &DriverVersion) -> Option<&Measurement> {
        let branch = || self.measured.iter().filter(|measured| measured.driver.major() == driver.major());
        branch().rfind(|measured| measured.driver <= *driver).or_else(|| branch().next())
    }
}

impl Measurement {
    /// Whether the modules are expected to compile against this kernel.
    pub fn expects(&self, kernel: &KernelVersion) -> bool {
        let (Some(oldest), Some(newest)) = (self.compiles.first(), self.compiles.last()) else { return false };
        let within = oldest.series() <= kernel.series() && kernel.series() <= newest.series();
        let failed = |failure: &Failure| failure.kernel.series() == kernel.series() && failure.kernel <= *kernel;
        within && !self.fails.iter().any(failed)
    }
}

/// `6.1 to 7.2 (tried: 6.1.192, 6.12.117, 7.2.12)`
impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried: Vec<String> = self.compiles.iter().map(ToString::to_string).collect();
        let series = |kernel: Option<&KernelVersion>| kernel.map_or((0, 0), KernelVersion::series);
        let (oldest, newest) = (series(self.compiles.first()), series(self.compiles.last()));
        write!(f, "{}.{} to {}.{} (tried: {})", oldest.0, oldest.1, newest.0, newest.1, tried.join(", "))
    }
}

/// The version of a kernel, `6.12.117`, or of a series, `6.12`. What else `uname -r` prints is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelVersion {
    major: u32,
    minor: u32,
    /// `None`: any of the series.
    patch: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the version of a kernel, such as 6.12.117 or 6.12")]
pub struct KernelVersionError(String);

impl KernelVersion {
    /// 6.12 of 6.12.117: kernels that differ only in fixes.
    fn series(&self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

impl FromStr for KernelVersion {
    type Err = KernelVersionError;

    fn from_str(text: &str) -> Result<Self, KernelVersionError> {
        let error = || KernelVersionError(text.to_owned());
        let version = text.split(['-', '+', '_']).next().unwrap_or_default();
        let numbers: Vec<u32> = version.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| error())?;
        match numbers[..] {
            [major, minor] => Ok(KernelVersion { major, minor, patch: None }),
            [major, minor, patch] => Ok(KernelVersion { major, minor, patch: Some(patch) }),
            _ => Err(error()),
        }
    }
}

impl TryFrom<String> for KernelVersion {
    type Error = KernelVersionError;

    fn try_from(text: String) -> Result<Self, KernelVersionError> {
        text.parse()
    }
}

impl From<KernelVersion> for String {
    fn from(version: KernelVersion) -> String {
        version.to_string()
    }
}

/// A series comes after all its kernels: 6.12 means the newest 6.12.
impl Ord for KernelVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |version: &KernelVersion| (version.major, version.minor, version.patch.unwrap_or(u32::MAX));
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for KernelVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> KernelVersion {
        text.parse().unwrap()
    }

    fn measured() -> Kernels {
        toml::from_str(
            r#"
            [[measured]]
            driver = "550.90.07"
            compiles = ["6.1.170", "6.12.95"]
            unaided = []
            fails = [{ kernel = "6.12.97", error = "too few arguments" }]

            [[measured]]
            driver = "550.163.01"
            compiles = ["6.1.170", "6.12.117"]
            unaided = []
            "#,
        )
        .unwrap()
    }

    #[test]
    fn a_measurement_holds_until_the_next_of_the_branch() {
        let kernels = measured();
        let driver = |text: &str| kernels.of(&text.parse().unwrap()).map(|measured| measured.driver.to_string());
        assert_eq!(driver("550.54.14").as_deref(), Some("550.90.07"), "the first stands for what came before it");
        assert_eq!(driver("550.127.05").as_deref(), Some("550.90.07"));
        assert_eq!(driver("550.163.02").as_deref(), Some("550.163.01"));
        assert_eq!(driver("570.172.08"), None);
    }

    #[test]
    fn kernels_compile_between_the_oldest_and_newest_series_that_did() {
        let kernels = measured();
        let expects = |kernel: &str| kernels.measured[1].expects(&version(kernel));
        assert_eq!(["6.1.2", "6.6.9", "6.12.500", "6.12"].map(expects), [true; 4]);
        assert_eq!(["5.15.1", "6.13.1", "7.2"].map(expects), [false; 3]);
    }

    #[test]
    fn a_series_ends_where_a_kernel_failed() {
        let kernels = measured();
        let expects = |kernel: &str| kernels.measured[0].expects(&version(kernel));
        assert_eq!(["6.12.96", "6.6.200"].map(expects), [true; 2]);
        assert_eq!(["6.12.97", "6.12.117", "6.12"].map(expects), [false; 3]);
    }

    #[test]
    fn versions_are_read_as_uname_prints_them() {
        assert_eq!(version("6.12.117+deb13-amd64").to_string(), "6.12.117");
        assert_eq!(version("6.18").to_string(), "6.18");
        for wrong in ["", "6", "6.x", "6.1.2.3", "six"] {
            assert!(wrong.parse::<KernelVersion>().is_err(), "{wrong}");
        }
    }
}
