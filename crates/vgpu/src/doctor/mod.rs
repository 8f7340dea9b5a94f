//! Why does vGPU not work? Looks at a machine and says what is wrong, how it knows, and what to do.
//!
//! A *check* is a small function of what was observed. [`checks`] has all of them, causes first: nothing works without an
//! IOMMU, no type is offered without the driver, and no vGPU is made of a type that is not offered. A check names the checks
//! that it builds on. If one of them failed, it is not made, because its failure would say nothing new. So the first failure
//! of a report is a cause.
//!
//! - [`observed`]: all that checks can ask about, read below one root directory.
//! - [`check`]: what a check is, and what its result is.
//! - [`logs`]: answers from logs.
//! - [`closed`]: places that this user may not read.
//! - [`library`]: answers from NVIDIA's library.
//! - [`checks`]: the checks, one file per group.
//! - [`private`]: keeps private data out of reports.
//! - [`table`]: all checks as a page of the manual.

pub mod check;
mod checks;
mod closed;
mod library;
mod logs;
pub mod observed;
mod private;
mod table;

use std::collections::BTreeMap;

use serde::Serialize;
use vgpu_driver::Role;

use check::{Check, Finding, Group, Status};
use closed::Closed;
use observed::Observed;
pub use private::Privacy;
pub use table::table;

/// The report of `vgpu doctor`.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(serialize_with = "role_name")]
    pub role: Role,
    /// Causes come first. Checks that do not apply to this machine are left out.
    pub checks: Vec<Outcome>,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub id: &'static str,
    pub group: Group,
    /// The question, for people.
    #[serde(skip)]
    pub question: &'static str,
    pub status: Status,
    /// The failed check that this one waits for, if it was not made.
    #[serde(skip)]
    pub waits_for: Option<&'static str>,
    /// The facts that show it, one per line: files with their content, lines of the journal.
    pub evidence: String,
    /// What to do on this system.
    pub fix: Option<String>,
}

impl Report {
    pub fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.checks.iter().filter(|check| check.status == Status::Failed)
    }
}

/// Makes all checks for the machine's role.
pub fn examine(seen: &Observed, privacy: Privacy) -> Report {
    let secrets = private::secrets(seen);
    let hide = |text: String| if privacy == Privacy::All { text } else { private::hide(&text, &secrets) };
    // Checks that failed or could not be made for want of permission, and those that wait for them. Each has its first cause.
    let mut causes: BTreeMap<&str, &'static str> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for check in checks::of(seen.role) {
        let cause = check.after.iter().find_map(|id| causes.get(id).copied());
        let (finding, closed) = match cause {
            Some(id) => (Finding::unknown(format!("follows from `{id}`: not looked at")), Closed::No),
            None => seen.or_closed((check.answer)(seen)),
        };
        let Some(status) = finding.status else { continue };
        if status == Status::Failed || cause.is_some() || closed == Closed::Yes {
            causes.insert(check.id, cause.unwrap_or(check.id));
        }
        outcomes.push(Outcome {
            id: check.id,
            group: check.group,
            question: check.question,
            status,
            waits_for: cause,
            fix: fix(check, &finding, seen).map(hide),
            evidence: hide(finding.evidence),
        });
    }
    Report { role: seen.role, checks: outcomes }
}

/// The advice of the finding. If it has none: the check's own advice for this kind of system.
fn fix(check: &Check, finding: &Finding, seen: &Observed) -> Option<String> {
    if !matches!(finding.status, Some(Status::Failed | Status::Warning)) {
        return None;
    }
    let own = || {
        let nixos = seen.machine.nixos.is_some() && !check.fix.nixos.is_empty();
        Some(if nixos { check.fix.nixos } else { check.fix.elsewhere }.to_owned())
    };
    let mut fix = finding.fix.clone().or_else(own)?;
    // If there is only one GPU, users need not look up its address.
    if let [host] = &seen.gpus[..] {
        fix = fix.replace("ADDRESS", &host.address().to_string());
    }
    if let (Role::Host, Some(version)) = (seen.role, &seen.driver) {
        fix = fix.replace("VERSION", version);
    }
    Some(fix)
}

fn role_name<S: serde::Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(role)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn checks_have_names_of_their_own_and_build_on_earlier_ones() {
        let mut names = BTreeSet::new();
        for role in [Role::Host, Role::Guest] {
            let mut earlier = BTreeSet::new();
            for check in checks::of(role) {
                assert!(names.insert(check.id), "there are two checks `{}`", check.id);
                for cause in check.after {
                    assert!(earlier.contains(cause), "`{}` builds on `{cause}`, which does not come before", check.id);
                }
                earlier.insert(check.id);
            }
        }
    }

    #[test]
    fn groups_are_not_torn_apart() {
        for role in [Role::Host, Role::Guest] {
            let mut groups: Vec<Group> = checks::of(role).map(|check| check.group).collect();
            groups.dedup();
            let different: BTreeSet<Group> = groups.iter().copied().collect();
            assert_eq!(groups.len(), different.len(), "{groups:?}");
        }
    }
}
