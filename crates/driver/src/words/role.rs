//! Which side of a vGPU a driver serves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which side of a vGPU a driver serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The hypervisor: the vGPU Manager (`…-vgpu-kvm.run`).
    Host,
    /// A virtual machine (`…-grid.run`).
    Guest,
}

impl Role {
    /// The end of the names of NVIDIA's drivers for this role: `NVIDIA-Linux-x86_64-550.163.01-grid`.
    pub fn suffix(self) -> &'static str {
        match self {
            Role::Host => "-vgpu-kvm",
            Role::Guest => "-grid",
        }
    }
}

/// A text that is no role.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`{0}` is not a role")]
#[diagnostic(help("a role is `host` or `guest`"))]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Role, RoleError> {
        match text {
            "host" => Ok(Role::Host),
            "guest" => Ok(Role::Guest),
            _ => Err(RoleError(text.to_owned())),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Host => "host",
            Role::Guest => "guest",
        })
    }
}
