//! Writes to sysfs, and reads why the kernel refused: an errno, and the code of NVIDIA's resource manager in its log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

/// A write that the kernel refused.
#[derive(Debug)]
pub struct Refusal {
    pub file: PathBuf,
    pub error: io::Error,
    /// NV_STATUS of the resource manager, where the log has one.
    pub status: Option<u32>,
}

/// Codes of nvstatuscodes.h (open-gpu-kernel-modules) with which a request for a vGPU can fail.
mod status {
    pub const INSUFFICIENT_RESOURCES: u32 = 0x1a;
    pub const INVALID_OPERATION: u32 = 0x38;
    pub const NO_MEMORY: u32 = 0x51;
    pub const NOT_SUPPORTED: u32 = 0x56;
    pub const OBJECT_NOT_FOUND: u32 = 0x57;
    pub const TIMEOUT_RETRY: u32 = 0x66;
}

impl Refusal {
    /// Whether the same request may work a moment later: the GPU is starting, or the last user is ending.
    pub fn is_passing(&self) -> bool {
        self.status == Some(status::TIMEOUT_RETRY)
            || self.error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error())
    }

    /// Whether it was refused because the vGPU is in use, or there already.
    pub fn is_not_permitted(&self) -> bool {
        self.error.kind() == io::ErrorKind::PermissionDenied
            && self.error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error())
    }

    fn meaning(&self) -> Option<(&'static str, &'static str)> {
        Some(match self.status? {
            status::NOT_SUPPORTED => (
                "another size of vGPU is in use on the GPU, or the GPU does not offer this one",
                "use profiles of one size on a GPU, or mixed sizes on boards that can; `vgpu status` shows what is there",
            ),
            status::INSUFFICIENT_RESOURCES => {
                ("the GPU is full", "take fewer or smaller ones; `vgpu status` shows what is there")
            }
            status::INVALID_OPERATION => (
                "the GPU is in MIG mode and has no GPU instance for it, or the virtual function is taken",
                "make GPU instances after virtual functions are switched on (nvidia-smi mig -cgi), or leave MIG mode",
            ),
            status::OBJECT_NOT_FOUND => (
                "the kernel does not know this type",
                "nvidia-vgpud tells it the types of vgpuConfig.xml: look at `systemctl status nvidia-vgpud`",
            ),
            status::TIMEOUT_RETRY => {
                ("the GPU is not ready yet", "try again in a minute; if it stays so, `dmesg` has more")
            }
            status::NO_MEMORY => ("the driver has no memory for it", "take fewer or smaller ones"),
            _ => return None,
        })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match (self.meaning(), self.status) {
            (Some((meaning, _)), Some(status)) => write!(f, "{meaning} (NVRM {status:#x}, {})", self.error),
            (None, Some(status)) => write!(f, "refused by the driver (NVRM {status:#x}, {})", self.error),
            (_, None) => write!(f, "{}", self.error),
        }
    }
}

impl std::error::Error for Refusal {}

impl Diagnostic for Refusal {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let help = match self.meaning() {
            Some((_, help)) => help,
            None if self.error.kind() == io::ErrorKind::PermissionDenied && !self.is_not_permitted() => {
                "run it as root"
            }
            None => "`dmesg | tail` shows what the driver says of it",
        };
        Some(Box::new(help))
    }
}

/// Writes a value to a file of sysfs, in one call. If that fails, the reason is read from the kernel's log.
pub fn write(root: &Path, file: &Path, value: &str) -> Result<(), Refusal> {
    let log = Log::from_now(root);
    let written = OpenOptions::new().write(true).open(file).and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|error| {
        let status = log.and_then(|log| creation_status(&log.since()));
        Refusal { file: file.to_owned(), error, status }
    })
}

/// The code in the first line `NVRM: Failed to add vgpu create request: 0x56`.
fn creation_status(log: &str) -> Option<u32> {
    let (_, code) = log.split_once("Failed to add vgpu create request: 0x")?;
    let end = code.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(code.len());
    u32::from_str_radix(&code[..end], 16).ok()
}

/// The kernel's log from a moment on: /dev/kmsg, which root may read.
struct Log(File);

impl Log {
    fn from_now(root: &Path) -> Option<Log> {
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut log = OpenOptions::new().read(true).custom_flags(nonblocking).open(root.join("dev/kmsg")).ok()?;
        log.seek(SeekFrom::End(0)).ok()?;
        Some(Log(log))
    }

    /// What was logged since then. Each read gives one record. It fails with EPIPE for records that were overwritten.
    fn since(mut self) -> String {
        let mut text = String::new();
        let mut record = [0; 8192];
        for _ in 0..1000 {
            match self.0.read(&mut record) {
                Ok(0) => break,
                Ok(length) => text.push_str(&String::from_utf8_lossy(&record[..length])),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_among_other_lines() {
        let log = "6,1,2,-;usb 1-1: new device\n3,5,9,-;NVRM: Failed to add vgpu create request: 0x1a\n3,6,9,-;[nvidia-vgpu-vfio] x: vGPU creation failed, -5\n";
        assert_eq!(creation_status(log), Some(0x1a));
        assert_eq!(creation_status("NVRM: Failed to add vgpu create request: 0x"), None);
    }
}
