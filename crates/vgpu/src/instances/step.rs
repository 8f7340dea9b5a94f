//! The steps of a plan: plain data.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::declaration::Name;
use super::reason::{InUse, Reason};
use crate::machine::pci::Address;
use crate::machine::vgpu::{Sizes, Vgpu};

/// What is to be done, in this order.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// GPUs whose virtual functions are switched on.
    pub functions: BTreeSet<Address>,
    /// GPUs whose mode is declared. It is set where it differs.
    pub modes: BTreeMap<Address, Sizes>,
    /// vGPUs that go.
    pub removals: Vec<Removal>,
    /// Each declared instance, by name, and what becomes of it.
    pub instances: BTreeMap<Name, Step>,
    /// vGPUs of names that are no longer declared, which are left because they are in use.
    pub kept: Vec<(Name, Vgpu, InUse)>,
    /// Names whose vGPU went without us, and that nobody declares.
    pub forgotten: Vec<Name>,
}

/// A vGPU that goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub name: Name,
    pub vgpu: Vgpu,
    pub why: Why,
}

/// Why a vGPU goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody declares it any more.
    Undeclared,
    /// Its declaration is another one now: it is made anew.
    Changed,
}

/// What becomes of a declared instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is there and right.
    Nothing(Vgpu),
    /// It is there, and gets other parameters.
    Parameters(Vgpu, String),
    /// It is to be made.
    Make(Make),
    /// It is there and should be another, but is in use.
    Keep(Vgpu, InUse),
    /// There is no place for it.
    Cannot(Reason),
}

/// A vGPU to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Make {
    pub gpu: Address,
    /// The function to make it on; unknown while virtual functions are off.
    pub function: Option<Address>,
    pub type_id: u32,
    pub uuid: Uuid,
    /// For `vgpu_params`.
    pub parameters: String,
}
