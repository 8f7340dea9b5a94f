//! Boards by their PCI ids, as files and people write them.

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use thiserror::Error;

/// Why a text is not the id of a board.
#[derive(Debug, Error, Diagnostic)]
pub enum GpuIdError {
    #[error("{text:?} is not the id of a physical GPU")]
    #[diagnostic(help(
        "write DEVICE:SUBSYSTEM, each up to four hexadecimal digits, as in 1B38:0000; `lspci -nn` shows a board's device \
         as [10de:1b38], and subsystem 0000 stands for every subsystem"
    ))]
    NotAGpu { text: String },
    #[error("{text:?} names NVIDIA's vendor id, 10DE, where the id of a device belongs")]
    #[diagnostic(help(
        "write DEVICE:SUBSYSTEM, as in 1B38:0000: of `lspci -nn`'s [10de:1b38] the second half; \
         subsystem 0000 stands for every subsystem"
    ))]
    VendorId { text: String },
}

/// A board by its PCI ids. Written `1B38:0000`; subsystem 0 stands for every subsystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GpuId {
    pub device: u16,
    pub subsystem: u16,
}

impl fmt::Display for GpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}:{:04X}", self.device, self.subsystem)
    }
}

impl FromStr for GpuId {
    type Err = GpuIdError;

    /// Hexadecimal in either case, with or without 0x and leading zeros.
    fn from_str(text: &str) -> Result<Self, GpuIdError> {
        let parsed = text
            .split_once(':')
            .and_then(|(device, subsystem)| Some(GpuId { device: pci_id(device)?, subsystem: pci_id(subsystem)? }));
        match parsed {
            Some(id) if id.device == NVIDIA => Err(GpuIdError::VendorId { text: text.to_owned() }),
            Some(id) => Ok(id),
            None => Err(GpuIdError::NotAGpu { text: text.to_owned() }),
        }
    }
}

/// A board as people write it, to look it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuQuery {
    pub device: u16,
    /// `None` stands for every subsystem.
    pub subsystem: Option<u16>,
}

impl GpuQuery {
    /// Reads `2235`, `10de:2235`, `[10de:2235]` and `2235:145a`, hexadecimal in either case, with or without 0x. NVIDIA's
    /// vendor id, 10de, is never a device: `lspci -nn` prints it before the device id.
    pub fn parse(text: &str) -> Option<GpuQuery> {
        let text = text.trim();
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let parts: Option<Vec<u16>> = text.split(':').map(pci_id).collect();
        match *parts?.as_slice() {
            [device] if device != NVIDIA => Some(GpuQuery { device, subsystem: None }),
            [NVIDIA, device] if device != NVIDIA => Some(GpuQuery { device, subsystem: None }),
            [device, subsystem] if device != NVIDIA => Some(GpuQuery { device, subsystem: Some(subsystem) }),
            [NVIDIA, device, subsystem] => Some(GpuQuery { device, subsystem: Some(subsystem) }),
            _ => None,
        }
    }
}

/// The name of a board, to compare it with others: in lower case, without spaces and what NVIDIA's programs write before it.
/// The same board is `Tesla T4` for nvidia-smi and `GRID T4` in vgpuConfig.xml; `Quadro RTX 6000` is `GRID RTX6000` there.
pub fn plain_name(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let first = words.iter().position(|word| !["nvidia", "grid", "tesla", "quadro"].contains(word));
    words[first.unwrap_or_default()..].concat()
}

/// NVIDIA, as a vendor on the PCI bus.
const NVIDIA: u16 = 0x10de;

/// One half of a board's ids: one to four hexadecimal digits, with or without 0x.
fn pci_id(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    // from_str_radix allows a sign.
    let hexadecimal = digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}
