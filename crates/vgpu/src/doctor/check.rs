//! What a check is, and what its result is.

use std::fmt;

use serde::Serialize;

use super::observed::Observed;

/// A question about a machine.
pub struct Check {
    /// A name for programs and other checks: `iommu`. It never changes.
    pub id: &'static str,
    pub group: Group,
    /// The checks that this one builds on. If one of them failed, this check would say nothing new, so it is not made.
    pub after: &'static [&'static str],
    /// The question. *Yes* is good.
    pub question: &'static str,
    /// What people with this problem see, in the words of the program that prints it.
    pub symptom: &'static str,
    /// What to do. A finding may have better advice.
    pub fix: Fix,
    /// Answers the question from what was observed.
    pub answer: fn(&Observed) -> Finding,
}

/// What to do.
pub struct Fix {
    /// On NixOS. Empty if it is the same as elsewhere.
    pub nixos: &'static str,
    /// On other systems.
    pub elsewhere: &'static str,
}

/// What checks are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    Platform,
    Modules,
    Services,
    VirtualFunctions,
    Types,
    Instances,
    VirtualMachines,
    Driver,
    Match,
    Licence,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Group::Platform => "platform",
            Group::Modules => "modules",
            Group::Services => "services",
            Group::VirtualFunctions => "virtual functions",
            Group::Types => "types",
            Group::Instances => "instances",
            Group::VirtualMachines => "virtual machines",
            Group::Driver => "driver",
            Group::Match => "match with the host",
            Group::Licence => "licence",
        })
    }
}

/// The result of a check. The worst is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// It could not be checked. The evidence says why.
    Unknown,
    Warning,
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Ok => "ok",
            Status::Unknown => "unknown",
            Status::Warning => "warning",
            Status::Failed => "failed",
        })
    }
}

/// The answer to a check's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `None` if the machine has nothing that the question is about.
    pub status: Option<Status>,
    /// The facts that show it, one per line.
    pub evidence: String,
    /// Better advice than the check's own.
    pub fix: Option<String>,
}

impl Finding {
    pub fn ok(evidence: impl Into<String>) -> Finding {
        Finding::new(Some(Status::Ok), evidence)
    }

    pub fn warning(evidence: impl Into<String>) -> Finding {
        Finding::new(Some(Status::Warning), evidence)
    }

    pub fn failed(evidence: impl Into<String>) -> Finding {
        Finding::new(Some(Status::Failed), evidence)
    }

    pub fn unknown(why: impl Into<String>) -> Finding {
        Finding::new(Some(Status::Unknown), why)
    }

    /// The question does not apply to this machine.
    pub fn irrelevant() -> Finding {
        Finding::new(None, "")
    }

    fn new(status: Option<Status>, evidence: impl Into<String>) -> Finding {
        Finding { status, evidence: evidence.into(), fix: None }
    }

    /// Adds advice of its own.
    pub fn fix(self, fix: impl Into<String>) -> Finding {
        Finding { fix: Some(fix.into()), ..self }
    }

    /// The worst of several findings, with the evidence of all findings that are equally bad.
    pub fn worst(findings: impl IntoIterator<Item = Finding>) -> Finding {
        let mut worst = Finding::irrelevant();
        for finding in findings {
            if finding.status > worst.status {
                worst = finding;
            } else if finding.status == worst.status && finding.evidence != worst.evidence {
                worst.evidence = format!("{}\n{}", worst.evidence, finding.evidence);
                worst.fix = worst.fix.or(finding.fix);
            }
        }
        worst
    }
}
