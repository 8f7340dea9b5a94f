//! The arguments of `vgpu instances`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use miette::{Result, WrapErr};
use serde::Serialize;
use uuid::Uuid;

use crate::instances::declaration::{self, Declaration, Name, Parameter};
use crate::instances::view::View;
use crate::machine::pci::Address;

/// Keep the vGPUs of this host as they are declared: list, plan, apply.
///
/// The declaration is /etc/nvidia/vgpu/instances.json. On NixOS the option hardware.nvidia.vgpu.instances writes it, and
/// nvidia-vgpu-instances.service applies it at every start and switch. On other systems, write it by hand.
#[derive(Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = r#"The declaration:
  {
    "instances": {
      "office": {
        "profile": "A40-8Q",          NVIDIA's name, or its number
        "gpu": "0000:41:00.0",        default: any that has room
        "virtual_function": "...",    default: a free one, always the same
        "uuid": "...",                default: one made from the name
        "parameters": { "frame_rate_limiter": false },
        "placement": 6,               vgpu-placement-id
        "user": "...", "group": "kvm" who may open /dev/vfio/N
      }
    },
    "gpus": { "0000:41:00.0": { "mixed_sizes": true } }
  }
Only profile is needed.

Examples:
  vgpu instances
  vgpu instances plan
  vgpu instances apply
  vgpu instances attach office --format libvirt"#
)]
pub struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) list: List,
}

#[derive(Subcommand)]
pub(super) enum Command {
    List(List),
    Plan(PlanArgs),
    Apply(Apply),
    Create(Create),
    Remove(Remove),
    Attach(Attach),
    Check(Check),
    #[command(hide = true)]
    Owner(Owner),
}

/// The machine, and its declaration.
#[derive(clap::Args)]
pub(super) struct Machine {
    /// The declaration
    #[arg(long, value_name = "FILE")]
    pub(super) declaration: Option<PathBuf>,
    /// Root directory of the machine to look at; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub(super) root: PathBuf,
}

impl Machine {
    pub(super) fn declaration(&self) -> Result<Declaration> {
        Ok(declaration::read(&self.declaration.clone().unwrap_or_else(|| declaration::path(&self.root)))?)
    }

    pub(super) fn view(&self) -> Result<View> {
        View::read(&self.root).wrap_err("cannot look at the vGPUs of this machine")
    }
}

/// List declared and existing vGPUs.
#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) machine: Machine,
    /// Print JSON: [{name, declared, gpu, virtual_function, uuid, profile: {id, name}, interface, state, used_by}]
    #[arg(long)]
    pub(super) json: bool,
}

/// Show what apply would do, and why, or why it is not possible. Changes nothing.
#[derive(clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) machine: Machine,
    /// Print JSON: [{action, name, gpu, virtual_function, profile, reason}]
    #[arg(long)]
    pub(super) json: bool,
}

/// Create, change and remove vGPUs until they are as declared.
///
/// You can run it at any time. It does not touch a vGPU that is right, that a virtual machine has open, or that somebody
/// else made. If one instance cannot be made, the others still are. The error says why, and the exit code is 1.
#[derive(clap::Args)]
pub(super) struct Apply {
    #[command(flatten)]
    pub(super) machine: Machine,
    /// Wait up to so long for nvidia-vgpud to tell the kernel the types
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(super) wait: u64,
    /// Print JSON: what was done, as [{action, name, gpu, virtual_function, profile, reason}]
    #[arg(long)]
    pub(super) json: bool,
}

/// Make one vGPU now: a declared one, or with --profile one that lasts until the next start.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu instances create office
  vgpu instances create try --profile A40-4Q --gpu 0000:41:00.0
  vgpu instances create try --profile A40-4Q --parameter frame_rate_limiter=0")]
pub(super) struct Create {
    /// Its name
    pub(super) name: Name,
    /// NVIDIA's name of the profile, or its number
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// The physical GPU; any with room if left out
    #[arg(long, value_name = "ADDRESS", requires = "profile")]
    pub(super) gpu: Option<Address>,
    /// The virtual function; any that is free if left out
    #[arg(long, value_name = "ADDRESS", requires = "profile")]
    pub(super) virtual_function: Option<Address>,
    /// UUID of the mediated device; made from the name if left out
    #[arg(long, requires = "profile")]
    pub(super) uuid: Option<Uuid>,
    /// A parameter for the driver; may be given several times
    #[arg(long = "parameter", value_name = "KEY=VALUE", requires = "profile", value_parser = parameter)]
    pub(super) parameters: Vec<(String, Parameter)>,
    #[command(flatten)]
    pub(super) machine: Machine,
    /// Print JSON: what was done, as [{action, name, gpu, virtual_function, profile, reason}]
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("write KEY=VALUE, as in frame_rate_limiter=0")]
struct NotAParameter;

fn parameter(text: &str) -> Result<(String, Parameter), NotAParameter> {
    let (key, value) = text.split_once('=').ok_or(NotAParameter)?;
    Ok((key.to_owned(), Parameter::Text(value.to_owned())))
}

/// Remove one vGPU now. If it is declared, the next apply creates it again.
#[derive(clap::Args)]
pub(super) struct Remove {
    /// Its name
    pub(super) name: Name,
    #[command(flatten)]
    pub(super) machine: Machine,
    /// Print JSON: what was done, as [{action, name, gpu, virtual_function, profile, reason}]
    #[arg(long)]
    pub(super) json: bool,
}

/// Print what a virtual machine needs to use the vGPU: XML for libvirt, or arguments for QEMU.
#[derive(clap::Args)]
pub(super) struct Attach {
    /// Name of the instance
    pub(super) name: Name,
    /// The program that it is for
    #[arg(long, value_enum, default_value = "libvirt")]
    pub(super) format: Format,
    /// Print JSON: {format, text}
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) machine: Machine,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// <hostdev> for <devices> of a domain
    Libvirt,
    /// Arguments of qemu-system-x86_64
    Qemu,
}

/// Check a declaration against a driver's vgpuConfig.xml, without the machine. The build of a NixOS system does this.
#[derive(clap::Args)]
pub(super) struct Check {
    /// The declaration
    #[arg(long, value_name = "FILE")]
    pub(super) declaration: PathBuf,
    /// The driver's vgpuConfig.xml
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Write the declaration to this file if it is good
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// For udev: prints the owner of a device below /dev/vfio, as VGPU_USER and VGPU_GROUP.
#[derive(clap::Args)]
pub(super) struct Owner {
    /// 12 for /dev/vfio/12, vfio3 for /dev/vfio/devices/vfio3
    pub(super) device: String,
    #[command(flatten)]
    pub(super) machine: Machine,
}
