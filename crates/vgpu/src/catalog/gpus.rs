//! Which GPUs which branches serve, from catalog/gpus.toml, compiled in.
//!
//! A *generation* (Ampere) is known by the PCI device ids of its GPUs. A *board* (A40) is one that NVIDIA lists for vGPU.

use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use vgpu_profiles::gpu_id::plain_name;

use super::BranchNumber;

/// The text of catalog/gpus.toml.
pub const TEXT: &str = include_str!("../../../../catalog/gpus.toml");

static BUILTIN: LazyLock<Gpus> =
    LazyLock::new(|| toml::from_str(TEXT).expect("tests/catalog.rs parses the GPUs that are compiled in"));

/// Every generation we know, newest first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpus {
    #[serde(rename = "generation")]
    pub generations: Vec<Generation>,
}

/// The GPUs that NVIDIA made of one architecture.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    pub name: String,
    #[serde(skip_serializing)]
    pub devices: Vec<DeviceIds>,
    /// The branches that serve it, newest first.
    pub branches: Vec<BranchNumber>,
    /// Branches for which the sources disagree.
    #[serde(default)]
    pub unsure: Vec<BranchNumber>,
    /// The only kind of kernel modules that drives it. `None` if both kinds do.
    pub modules: Option<Modules>,
    #[serde(skip_serializing)]
    pub boards: Vec<Board>,
    pub donor: Option<Donor>,
}

/// The two kinds of kernel modules that NVIDIA makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modules {
    Open,
    Closed,
}

/// A board that NVIDIA lists for vGPU.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    pub name: String,
    #[serde(skip_serializing)]
    pub devices: Vec<DeviceIds>,
}

/// A listed board. With a patched driver, an unlisted board can have its profiles.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Donor {
    /// PCI device and subsystem, as in vgpuConfig.xml: `1E30:12BA`.
    pub gpu: String,
    pub name: String,
}

/// A range of PCI device ids, both ends included: `2680-28ff`. One id is also a range: `26b9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DeviceIds {
    pub first: u16,
    pub last: u16,
}

impl DeviceIds {
    pub fn contains(&self, device: u16) -> bool {
        (self.first..=self.last).contains(&device)
    }
}

/// A text that is no range of PCI device ids.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("`{0}` is not a range of PCI device ids such as 2680-28ff")]
pub struct NotDeviceIds(String);

impl FromStr for DeviceIds {
    type Err = NotDeviceIds;

    fn from_str(text: &str) -> Result<DeviceIds, NotDeviceIds> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let id = |text: &str| (text.len() == 4).then(|| u16::from_str_radix(text, 16).ok()).flatten();
        match (id(first), id(last)) {
            (Some(first), Some(last)) if first <= last => Ok(DeviceIds { first, last }),
            _ => Err(NotDeviceIds(text.to_owned())),
        }
    }
}

impl TryFrom<String> for DeviceIds {
    type Error = NotDeviceIds;

    fn try_from(text: String) -> Result<DeviceIds, NotDeviceIds> {
        text.parse()
    }
}

impl Gpus {
    /// The GPUs that this program was built with.
    pub fn builtin() -> &'static Gpus {
        &BUILTIN
    }

    /// The generation of the GPU with this PCI device id.
    pub fn generation_of(&self, device: u16) -> Option<&Generation> {
        self.generations.iter().find(|generation| contains(&generation.devices, device))
    }

    /// The generation of that name, or the one of the board of that name, as people write it: `Ada`, `l40s`, `Tesla T4`. What
    /// nvidia-smi says of a board's form counts only where it makes another board: `Tesla V100-PCIE-16GB`, but `H100 NVL`.
    pub fn by_name(&self, name: &str) -> Option<(&Generation, Option<&Board>)> {
        self.called(name).or_else(|| self.called(without_form(name)))
    }

    fn called(&self, name: &str) -> Option<(&Generation, Option<&Board>)> {
        let wanted = plain_name(name);
        let same = |other: &str| plain_name(other) == wanted;
        self.generations.iter().find_map(|generation| {
            let board = generation.boards.iter().find(|board| same(&board.name));
            (board.is_some() || same(&generation.name)).then_some((generation, board))
        })
    }
}

impl Generation {
    /// Whether the releases of this branch drive such GPUs.
    pub fn is_served_by(&self, branch: BranchNumber) -> bool {
        self.branches.contains(&branch)
    }

    /// The board with this device id that NVIDIA lists for vGPU: `A2 or A16` where two boards have the id.
    pub fn board(&self, device: u16) -> Option<&Board> {
        self.boards.iter().find(|board| contains(&board.devices, device))
    }
}

/// The name of a board without its form and memory: `Tesla V100` of `Tesla V100-PCIE-16GB`.
fn without_form(name: &str) -> &str {
    let mut rest = name.trim_end();
    while let Some((before, _)) = rest.rsplit_once([' ', '-']).filter(|(_, last)| is_form(&last.to_lowercase())) {
        rest = before;
    }
    rest
}

fn is_form(word: &str) -> bool {
    let memory =
        |word: &str| word.strip_suffix("gb").is_some_and(|size| size.bytes().all(|byte| byte.is_ascii_digit()));
    ["pcie", "fhhl", "dgxs", "ls"].contains(&word) || word.starts_with("sxm") || word.starts_with("hbm") || memory(word)
}

fn contains(ids: &[DeviceIds], device: u16) -> bool {
    ids.iter().any(|ids| ids.contains(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_found_by_its_device_id_and_by_name() {
        let gpus = Gpus::builtin();
        let generation = |device| gpus.generation_of(device).map(|generation| generation.name.as_str());
        assert_eq!(generation(0x2235), Some("Ampere"));
        assert_eq!(generation(0x1e84), Some("Turing")); // GeForce RTX 2070 SUPER
        assert_eq!(generation(0x1b81), Some("Pascal")); // GeForce GTX 1070
        assert_eq!(generation(0x10f7), None); // the sound of a GPU
        let board = |device| Some(gpus.generation_of(device)?.board(device)?.name.as_str());
        assert_eq!((board(0x26b9), board(0x2684)), (Some("L40S"), None)); // not a GeForce RTX 4090
        assert_eq!((board(0x25b6), board(0x1e78)), (Some("A2 or A16"), Some("Quadro RTX 6000 or 8000")));
        let (generation, board) = gpus.by_name("l40s").unwrap();
        assert_eq!((generation.name.as_str(), board.unwrap().name.as_str()), ("Ada", "L40S"));
        assert!(gpus.by_name("turing").unwrap().1.is_none());
        assert!(gpus.by_name("GeForce").is_none());
    }

    #[test]
    fn a_board_is_found_by_the_name_that_nvidia_smi_has() {
        let board = |name| Some(Gpus::builtin().by_name(name)?.1?.name.as_str());
        for name in ["NVIDIA A100-PCIE-40GB", "NVIDIA A100 80GB PCIe", "A100-SXM4-40GB"] {
            assert_eq!(board(name), Some("A100"), "{name}");
        }
        assert_eq!((board("Tesla V100-SXM2-32GB-LS"), board("Tesla P100-PCIE-16GB")), (Some("V100"), Some("P100")));
        assert_eq!((board("NVIDIA H100 80GB HBM3"), board("NVIDIA H100 NVL")), (Some("H100"), Some("H100 NVL")));
        assert_eq!((board("NVIDIA A16"), board("Quadro RTX 8000")), (Some("A16"), Some("Quadro RTX 8000")));
        // Boards of other names.
        for name in ["NVIDIA GeForce RTX 3080 12GB", "A100X", "RTX 6000 Ada", "PCIe", "-16GB"] {
            assert_eq!(board(name), None, "{name}");
        }
    }

    #[test]
    fn ranges_are_hexadecimal_and_go_upwards() {
        assert_eq!("2680-28ff".parse(), Ok(DeviceIds { first: 0x2680, last: 0x28ff }));
        for text in ["", "26b", "26b9-", "28ff-2680", "26g9", "0x26b9"] {
            text.parse::<DeviceIds>().expect_err(text);
        }
    }
}
