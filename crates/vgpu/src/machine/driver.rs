//! NVIDIA's kernel modules: which are loaded, their version, and who holds a GPU.

use std::path::{Path, PathBuf};

use super::files;
use super::pci::Address;

/// The loaded kernel modules by name, as /proc/modules has them: nvidia_vgpu_vfio with underscores.
pub fn modules(root: &Path) -> Vec<String> {
    let modules = files::read(&root.join("proc/modules")).unwrap_or_default();
    modules.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The version of the loaded driver, from /proc/driver/nvidia/version: 550.163.02. `None` if it isn't loaded.
///
/// The line is `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.02  Sun …`, or `… Open Kernel Module for x86_64 …`.
pub fn version(root: &Path) -> Option<String> {
    let text = files::read(&root.join("proc/driver/nvidia/version"))?;
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    let version = |word: &&str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    line.split_whitespace().find(version).map(str::to_owned)
}

/// The file that asks the driver to release a GPU. It reads 1 when nobody uses the GPU. Every process that talks to the
/// driver uses it.
pub fn unbind_lock(root: &Path, gpu: Address) -> PathBuf {
    root.join(format!("proc/driver/nvidia/gpus/{gpu}/unbindLock"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_version_is_found_in_both_flavours() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/driver/nvidia")).unwrap();
        assert_eq!(version(root.path()), None);
        for (line, expected) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.02  Sun Mar 30 2025\nGCC version:  gcc 12.2.0",
                "550.163.02",
            ),
            ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.06  Release Build", "580.105.06"),
        ] {
            fs::write(root.path().join("proc/driver/nvidia/version"), line).unwrap();
            assert_eq!(version(root.path()).as_deref(), Some(expected));
        }
    }
}
