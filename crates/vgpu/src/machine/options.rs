//! Options of the module nvidia: those in effect, and those that files and the kernel's command line set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files;

/// Directories of modprobe's files, the most important first (modprobe.d(5)). A file hides those with the same name in later
/// directories.
const DIRECTORIES: [&str; 4] = ["etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];

/// The file in which the module shows its options (kernel-open/nvidia/nv-procfs.c of open-gpu-kernel-modules).
pub const IN_EFFECT: &str = "proc/driver/nvidia/params";

/// An option that is set for the next time that the module is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file that sets it, below the root.
    pub file: String,
    /// Without `NVreg_`: RegistryDwords.
    pub name: String,
    /// Without quotation marks.
    pub value: String,
}

/// The options of the loaded module, without `NVreg_` and quotation marks. `None` if it does not show them.
pub fn in_effect(root: &Path) -> Option<BTreeMap<String, String>> {
    let text = files::read(&root.join(IN_EFFECT))?;
    let option = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
    };
    Some(text.lines().filter_map(option).collect())
}

/// The options that are set. As in modprobe, the last one with a name counts.
pub fn set(root: &Path) -> Vec<Setting> {
    let mut settings: BTreeMap<String, Setting> = BTreeMap::new();
    let mut add = |file: &str, option: &str| {
        let Some((name, value)) = option.split_once('=') else { return };
        let Some(name) = name.strip_prefix("NVreg_") else { return };
        let (name, value) = (name.to_owned(), value.replace('"', ""));
        settings.insert(name.clone(), Setting { file: file.to_owned(), name, value });
    };
    for (file, path) in configuration(root) {
        let text = files::read(&path).unwrap_or_default().replace("\\\n", " ");
        for line in text.lines() {
            if let [command, module, options @ ..] = &words(line)[..]
                && command == "options"
                && module == "nvidia"
            {
                options.iter().for_each(|option| add(&file, option));
            }
        }
    }
    // The kernel's command line comes last.
    let command_line = files::read(&root.join("proc/cmdline")).unwrap_or_default();
    for option in words(&command_line) {
        if let Some(option) = option.trim_matches('"').strip_prefix("nvidia.") {
            add("proc/cmdline", option);
        }
    }
    settings.into_values().collect()
}

/// modprobe's files in the order in which it reads them: by name, whatever their directory.
fn configuration(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found: BTreeMap<String, (String, PathBuf)> = BTreeMap::new();
    for directory in DIRECTORIES {
        for path in files::entries(&root.join(directory)) {
            let Some(name) = files::name(&path).filter(|name| name.ends_with(".conf")) else { continue };
            found.entry(name.clone()).or_insert((format!("{directory}/{name}"), path));
        }
    }
    found.into_values().collect()
}

/// Splits a line at spaces that are not between quotation marks.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn options_are_found_as_modprobe_finds_them() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("usr/lib/modprobe.d/a.conf", "options nvidia NVreg_Hidden=1\n"),
            ("etc/modprobe.d/a.conf", "# options nvidia NVreg_Comment=1\noptions nvidia NVreg_A=1 NVreg_B=2 other=3\n"),
            (
                "etc/modprobe.d/b.conf",
                "options nvidia \\\n  NVreg_B=0x3 NVreg_C=\"x=1; y=2\"\noptions nvidia_drm NVreg_D=1\n",
            ),
            ("etc/modprobe.d/b.conf.bak", "options nvidia NVreg_Backup=1\n"),
            ("proc/cmdline", "ro nvidia.NVreg_A=4 \"nvidia.NVreg_E=a b\"\n"),
            (IN_EFFECT, "A: 4\nRegistryDwords: \"RmPVMRL=0x01\"\n"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found: Vec<String> =
            set(root.path()).iter().map(|set| format!("{} {}={}", set.file, set.name, set.value)).collect();
        assert_eq!(
            found,
            [
                "proc/cmdline A=4",
                "etc/modprobe.d/b.conf B=0x3",
                "etc/modprobe.d/b.conf C=x=1; y=2",
                "proc/cmdline E=a b"
            ]
        );
        let in_effect = in_effect(root.path()).unwrap();
        assert_eq!(in_effect["RegistryDwords"], "RmPVMRL=0x01");
        assert_eq!(in_effect["A"], "4");
    }
}
