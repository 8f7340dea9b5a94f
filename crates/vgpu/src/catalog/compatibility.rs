//! Which releases fit together.
//!
//! NVIDIA's rule (release notes, "Compatibility Requirements"): a host driver works with guest drivers of its own branch and of
//! the branch before. A host driver of a long-term branch also works with those of the long-term branch before.

use serde::Serialize;

use super::{Branch, BranchNumber, Catalog, DriverVersion, Release, ReleaseNumber};
use vgpu_driver::Role;

/// Why a guest driver works with a host driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    SameRelease,
    SameBranch,
    PreviousBranch,
    PreviousLongTermBranch,
}

/// What a release must fit: a release, or a driver that a machine already runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// The releases it belongs to, newest first. Empty if the catalog knows only its branch.
    pub releases: Vec<ReleaseNumber>,
    pub branch: BranchNumber,
}

impl Catalog {
    /// Finds what `version` means: a release, or the version of a driver of that role. `None` if the catalog does not even
    /// know its branch. Guests may run Windows; those drivers have other numbers.
    pub fn target(&self, version: &str, role: Role) -> Option<Target> {
        let driver: Option<DriverVersion> = version.parse().ok();
        let holds = |release: &&Release| {
            release.release.to_string() == version
                || driver.as_ref().is_some_and(|driver| {
                    release.version(role) == driver || (role == Role::Guest && release.windows == *driver)
                })
        };
        let releases: Vec<&Release> = self.releases().iter().filter(holds).collect();
        let known = releases.first().map(|release| release.release.branch());
        let by_number = || version.parse::<ReleaseNumber>().ok().map(|number| number.branch());
        let by_driver = || self.branches().iter().find(|b| driver.as_ref().is_some_and(|d| d.major() == b.driver));
        let branch = known
            .or_else(|| self.branch(by_number()?).map(|branch| branch.number))
            .or_else(|| by_driver().map(|branch| branch.number))?;
        Some(Target { releases: releases.iter().map(|release| release.release).collect(), branch })
    }

    /// Whether `release` works as the *other* side of `target`, and why. With `Role::Guest`, `target` is the guest and
    /// `release` the host.
    pub fn fit(&self, target: &Target, role: Role, release: &Release) -> Option<Fit> {
        if target.releases.contains(&release.release) {
            return Some(Fit::SameRelease);
        }
        let other = self.branch(release.release.branch())?;
        let own = self.branch(target.branch)?;
        match role {
            Role::Guest => self.fit_branches(other, own),
            Role::Host => self.fit_branches(own, other),
        }
    }

    fn fit_branches(&self, host: &Branch, guest: &Branch) -> Option<Fit> {
        let previous_long_term = || {
            let older = self.branches().iter().filter(|branch| branch.long_term && branch.number < host.number);
            older.map(|branch| branch.number).max()
        };
        if host.number == guest.number {
            Some(Fit::SameBranch)
        } else if guest.number.precedes(host.number) {
            Some(Fit::PreviousBranch)
        } else if host.long_term && previous_long_term() == Some(guest.number) {
            Some(Fit::PreviousLongTermBranch)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every branch of guests that some host takes, as `host<-guest: reason`.
    fn fits(host: &str) -> Vec<(String, Fit)> {
        let catalog = Catalog::builtin();
        let target = catalog.target(host, Role::Host).unwrap();
        let mut fits: Vec<_> = catalog
            .releases()
            .iter()
            .filter_map(|guest| Some((guest.release.branch().to_string(), catalog.fit(&target, Role::Host, guest)?)))
            .collect();
        fits.dedup();
        fits
    }

    #[test]
    fn hosts_take_guests_of_their_own_the_previous_and_the_long_term_branch() {
        use Fit::*;
        let expect = |list: &[(&str, Fit)]| list.iter().map(|(b, f)| (b.to_string(), *f)).collect::<Vec<_>>();
        assert_eq!(fits("20.0"), expect(&[("20", SameBranch), ("20", SameRelease), ("19", PreviousBranch)]));
        assert_eq!(
            fits("19.0"),
            expect(&[("19", SameBranch), ("19", SameRelease), ("18", PreviousBranch), ("16", PreviousLongTermBranch)])
        );
        assert_eq!(fits("18.6"), expect(&[("18", SameRelease), ("18", SameBranch), ("17", PreviousBranch)]));
        assert_eq!(fits("16.0"), expect(&[("16", SameBranch), ("16", SameRelease)]));
    }

    #[test]
    fn the_long_term_branch_before_is_the_last_one() {
        let branch =
            |number: u16| format!("[[branch]]\nbranch = \"{number}\"\ndriver = {number}00\nlong_term = true\n");
        let release = |number: u16| {
            let driver = format!("{number}00.1.1");
            format!(
                "[[release]]\nrelease = \"{number}.0\"\nhost = \"{driver}\"\nguest = \"{driver}\"\nwindows = \"{number}01.1\"\n"
            )
        };
        let text: String = [19, 16, 13].map(branch).into_iter().chain([19, 16, 13].map(release)).collect();
        let catalog = Catalog::parse(&text).unwrap();
        let target = catalog.target("19.0", Role::Host).unwrap();
        let fits: Vec<_> = catalog.releases().iter().map(|guest| catalog.fit(&target, Role::Host, guest)).collect();
        assert_eq!(fits, [Some(Fit::SameRelease), Some(Fit::PreviousLongTermBranch), None]);
    }

    #[test]
    fn a_target_is_a_release_a_driver_or_a_driver_of_a_known_branch() {
        let target = |version: &str, role| {
            let target = Catalog::builtin().target(version, role)?;
            let releases: Vec<String> = target.releases.iter().map(ToString::to_string).collect();
            Some((target.branch.to_string(), releases.join(" ")))
        };
        let matching = |branch: &str, releases: &str| Some((branch.to_owned(), releases.to_owned()));
        assert_eq!(target("17.6", Role::Host), matching("17", "17.6"));
        assert_eq!(target("550.90.07", Role::Guest), matching("17", "17.3 17.2"));
        assert_eq!(target("550.90.07", Role::Host), matching("17", "")); // no host has it
        assert_eq!(target("553.74", Role::Guest), matching("17", "17.6")); // Windows
        assert_eq!(target("553.74", Role::Host), None);
        assert_eq!(target("17.99", Role::Host), matching("17", ""));
        assert_eq!(target("580.999.01", Role::Host), matching("19", ""));
        assert_eq!(target("21.0", Role::Host), None);
        assert_eq!(target("nonsense", Role::Host), None);
    }
}
