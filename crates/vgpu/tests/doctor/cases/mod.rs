//! For each check, a scene in which it finds something, and a change after which it finds nothing, if one is needed.

mod guests;
mod machines;
mod platform;
mod vgpus;

use crate::scene::Base;

pub struct Case {
    pub check: &'static str,
    pub base: Base,
    /// What is wrong; see [`crate::scene`].
    pub change: &'static str,
    pub status: &'static str,
    /// Text that its evidence or its fix must contain.
    pub tells: &'static str,
    /// The change after which the object of the check is there, and sound.
    pub sound: &'static str,
}

const fn failed(check: &'static str, base: Base, change: &'static str, tells: &'static str) -> Case {
    Case { check, base, change, status: "failed", tells, sound: "" }
}

const fn warning(check: &'static str, base: Base, change: &'static str, tells: &'static str) -> Case {
    Case { check, base, change, status: "warning", tells, sound: "" }
}

const fn sound(case: Case, sound: &'static str) -> Case {
    Case { sound, ..case }
}

/// All of them, in the order of the checks.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [platform::CASES, vgpus::CASES, machines::CASES, guests::CASES].into_iter().flatten()
}
