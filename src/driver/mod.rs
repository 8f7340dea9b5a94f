//! A driver package: its manifest, where each file goes, ELF files, and the installer that ties them together.

pub mod install;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which side of a vGPU a driver serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The hypervisor: the vGPU Manager (`…-vgpu-kvm.run`).
    Host,
    /// A virtual machine (`…-grid.run`).
    Guest,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Host => "host",
            Role::Guest => "guest",
        })
    }
}
