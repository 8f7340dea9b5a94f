//! What a check is, and what it finds.

use std::fmt;

use serde::Serialize;

use super::observed::Observed;

/// A question to a machine.
pub struct Check {
    /// A name that stays, for programs and other checks: `iommu`.
    pub id: &'static str,
    pub group: Group,
    /// The checks without which this one says nothing new: where one of them failed, this one is not made.
    pub after: &'static [&'static str],
    /// What is asked; *yes* is good.
    pub question: &'static str,
    /// What people see who have this problem, in the words of the program that says it.
    pub symptom: &'static str,
    /// The way out; a finding may have a better one.
    pub fix: Fix,
    /// Answers the question from what was observed.
    pub answer: fn(&Observed) -> Finding,
}

/// What to do.
pub struct Fix {
    /// On NixOS; empty where it is the same as elsewhere.
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

/// How a check ended; the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// It could not be looked at; the evidence says why.
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
    /// `None`: the machine has nothing that the question is about.
    pub status: Option<Status>,
    /// How it is known, a line each.
    pub evidence: String,
    /// A way out that fits better than the check's.
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

    /// There is nothing to ask here.
    pub fn irrelevant() -> Finding {
        Finding::new(None, "")
    }

    fn new(status: Option<Status>, evidence: impl Into<String>) -> Finding {
        Finding { status, evidence: evidence.into(), fix: None }
    }

    /// With a way out of its own.
    pub fn fix(self, fix: impl Into<String>) -> Finding {
        Finding { fix: Some(fix.into()), ..self }
    }

    /// The worst of what was found on several things, with all that was found like it.
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
