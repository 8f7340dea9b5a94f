//! The steps of a plan: plain data.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::declaration::Name;
use super::reason::{InUse, Reason};
use crate::machine::pci::Address;
use crate::machine::vgpu::{Sizes, Vgpu};

/// What must be done, in this order.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// GPUs whose virtual functions are switched on.
    pub functions: BTreeSet<Address>,
    /// GPUs whose mode is declared. It is set where it differs.
    pub modes: BTreeMap<Address, Sizes>,
    /// vGPUs that are removed.
    pub removals: Vec<Removal>,
    /// The step for each declared instance, by name.
    pub instances: BTreeMap<Name, Step>,
    /// vGPUs whose names are no longer declared, but which stay because they are in use.
    pub kept: Vec<(Name, Vgpu, InUse)>,
    /// Names that are not declared any more and whose vGPU is gone already.
    pub forgotten: Vec<Name>,
}

/// A vGPU that is removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub name: Name,
    pub vgpu: Vgpu,
    pub why: Why,
}

/// Why a vGPU is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not declared any more.
    Undeclared,
    /// Its declaration has changed: it is made again.
    Changed,
}

/// The step for a declared instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It exists and is right.
    Nothing(Vgpu),
    /// It exists, and gets other parameters.
    Parameters(Vgpu, String),
    /// It is made.
    Make(Make),
    /// It exists and should change, but is in use.
    Keep(Vgpu, InUse),
    /// There is no place for it.
    Cannot(Reason),
}

/// A vGPU that is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Make {
    pub gpu: Address,
    /// The function to make it on. It is not known while virtual functions are off.
    pub function: Option<Address>,
    pub type_id: u32,
    pub uuid: Uuid,
    /// Text for `vgpu_params`.
    pub parameters: String,
}
