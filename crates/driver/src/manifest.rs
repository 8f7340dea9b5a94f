//! `.manifest`: NVIDIA's list of every file in a driver package, with its type.
//!
//! Eight lines of header, then an entry a line:
//!
//! ```text
//! <file> <octal mode> <TYPE> [NATIVE|COMPAT32] [path] [INHERIT_PATH_DEPTH:n] [symlink target] MODULE:<module>
//! ```
//!
//! Which of the bracketed fields an entry has depends on its type. nvidia-installer knows by a table, and so do we.

use crate::archive::payload::member_path;

/// Name of the manifest in a package.
pub const FILE: &str = ".manifest";

/// No manifest is larger, in bytes: that of the 550 driver has 60 KB.
pub const LARGEST: u64 = 8 << 20;

const HEADER_LINES: usize = 8;

/// The list of files of one driver package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the driver: `550.163.01`.
    pub version: String,
    /// The entries in NVIDIA's order.
    pub entries: Vec<Entry>,
}

/// A file or symlink of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path within the package, without `./`. For symlinks the name of the link.
    pub file: String,
    /// Permission bits; 0 for symlinks.
    pub mode: u32,
    /// NVIDIA's type, `OPENGL_LIB`.
    pub kind: String,
    /// Whether this is a file for 32-bit programs.
    pub compat32: bool,
    /// Where NVIDIA's installer puts it, below the directory it has for the type; empty without one.
    pub path: String,
    /// What a symlink points at.
    pub target: Option<String>,
    /// Whether the type is in the table. Of unknown ones only file, mode, type and word size are known.
    pub known: bool,
}

impl Entry {
    /// The file name without folders.
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }

    /// Whether this is a symlink to make, not a file of the package.
    pub fn is_symlink(&self) -> bool {
        self.kind.ends_with("_SYMLINK")
    }
}

/// The fields of each type: a(rchitecture), p(ath), s(ymlink target); an inherited path needs no place of its own.
pub(super) const FIELDS: [(&str, &str); 9] = [
    (
        "a",
        "OPENGL_LIB UTILITY_LIB GBM_BACKEND_LIB NVCUVID_LIB ENCODEAPI_LIB GLVND_LIB GLX_CLIENT_LIB EGL_CLIENT_LIB \
         WINE_LIB INTERNAL_UTILITY_BINARY INTERNAL_UTILITY_LIB LIBGL_LA NVIFR_LIB",
    ),
    ("ap", "CUDA_LIB OPENCL_LIB OPENCL_WRAPPER_LIB TLS_LIB VDPAU_LIB"),
    (
        "as",
        "OPENGL_SYMLINK UTILITY_LIB_SYMLINK GBM_BACKEND_LIB_SYMLINK NVCUVID_LIB_SYMLINK ENCODEAPI_LIB_SYMLINK \
         GLVND_SYMLINK GLX_CLIENT_SYMLINK EGL_CLIENT_SYMLINK NVIFR_LIB_SYMLINK",
    ),
    ("aps", "CUDA_SYMLINK OPENCL_LIB_SYMLINK OPENCL_WRAPPER_SYMLINK VDPAU_SYMLINK"),
    (
        "p",
        "DOCUMENTATION APPLICATION_PROFILE MANPAGE EXPLICIT_PATH DOT_DESKTOP ICON XMODULE_SHARED_LIB \
         GLX_MODULE_SHARED_LIB GRID_LIB NVIDIA_MODPROBE NVIDIA_MODPROBE_MANPAGE VULKAN_ICD_JSON VULKANSC_ICD_JSON \
         OPENGL_DATA FLEXERA_LIB SANDBOXUTILS_FILELIST_JSON \
         SYSTEMD_UNIT_SYMLINK", // NVIDIA leaves its target out: it is the unit of the same name.
    ),
    ("ps", "GLX_MODULE_SYMLINK GRID_LIB_SYMLINK FLEXERA_LIB_SYMLINK"),
    ("s", "UTILITY_BIN_SYMLINK VGX_LIB_SYMLINK"),
    ("", "KERNEL_MODULE_SRC DKMS_CONF FIRMWARE"),
    (
        "",
        "KERNEL_MODULE CUDA_ICD INSTALLER_BINARY UTILITY_BINARY VGX_LIB MODULE_SIGNING_KEY XORG_OUTPUTCLASS_CONFIG \
         GLVND_EGL_ICD_JSON EGL_EXTERNAL_PLATFORM_JSON INTERNAL_UTILITY_DATA SYSTEMD_UNIT SYSTEMD_SLEEP_SCRIPT",
    ),
];

fn fields_of(kind: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(_, kinds)| kinds.split_ascii_whitespace().any(|k| k == kind)).map(|(fields, _)| *fields)
}

impl Manifest {
    /// Reads a manifest. The error says in which line the mistake is, without the name of the archive.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let version = text.lines().nth(1).unwrap_or_default().trim();
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if version.len() > 32 || !version.split('.').all(digits) {
            return Err("its second line is not a version".into());
        }
        let mut entries = Vec::new();
        for (number, line) in text.lines().enumerate().skip(HEADER_LINES) {
            if !line.trim().is_empty() {
                entries.push(entry(line).map_err(|problem| format!("line {}: {problem}", number + 1))?);
            }
        }
        Ok(Manifest { version: version.to_owned(), entries })
    }
}

fn entry(line: &str) -> Result<Entry, String> {
    let mut words = line.split_ascii_whitespace().filter(|w| !w.starts_with("INHERIT_PATH_DEPTH:"));
    let (Some(file), Some(mode), Some(kind)) = (words.next(), words.next(), words.next()) else {
        return Err("too few fields: expected a file, its mode and its type".into());
    };
    let mut rest = words.take_while(|w| !w.starts_with("MODULE:"));
    let mut entry = Entry {
        file: member_path(file.as_bytes()).map_err(|problem| format!("{file} {problem}"))?,
        mode: u32::from_str_radix(mode, 8).map_err(|_| format!("{mode} is not an octal mode"))?,
        kind: kind.to_owned(),
        compat32: false,
        path: String::new(),
        target: None,
        known: true,
    };
    if entry.file.is_empty() {
        return Err(format!("{file} is no file"));
    }
    let Some(fields) = fields_of(kind) else {
        return Ok(Entry { known: false, compat32: rest.any(|word| word == "COMPAT32"), ..entry });
    };
    for field in fields.bytes() {
        let missing = |what| format!("too few fields: {kind} needs {what}");
        // Only symlinks need their path, and those lack a target then.
        match field {
            b'a' => match rest.next() {
                Some("NATIVE") => {}
                Some("COMPAT32") => entry.compat32 = true,
                Some(other) => return Err(format!("{other} is neither NATIVE nor COMPAT32")),
                None => return Err(missing("NATIVE or COMPAT32")),
            },
            b'p' => entry.path = rest.next().unwrap_or_default().to_owned(),
            _ => entry.target = Some(rest.next().ok_or_else(|| missing("a symlink target"))?.to_owned()),
        }
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "NVIDIA Accelerated Graphics Driver\n440.82\n \nnvidia \n \n \n./kernel/\n./kernel/precompiled/\n";

    fn only(line: &str) -> Result<Entry, String> {
        Manifest::parse(format!("{HEADER}{line}\n").as_bytes()).map(|m| m.entries[0].clone())
    }

    #[test]
    fn every_field_finds_its_place() {
        let entry =
            only("libvdpau_nvidia.so 0000 VDPAU_SYMLINK COMPAT32 / vdpau/libvdpau_nvidia.so.440.82 MODULE:vdpau");
        let entry = entry.unwrap();
        assert_eq!((entry.file.as_str(), entry.compat32, entry.path.as_str()), ("libvdpau_nvidia.so", true, "/"));
        assert_eq!(entry.target.as_deref(), Some("vdpau/libvdpau_nvidia.so.440.82"));
        assert!(entry.is_symlink());
        let entry = only("kernel/nvidia/nv.c 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1 MODULE:resman").unwrap();
        assert_eq!((entry.mode, entry.path.as_str()), (0o644, ""));
    }

    #[test]
    fn what_nixos_does_not_need_may_be_missing() {
        let unit =
            "nvidia-suspend.service 0000 SYSTEMD_UNIT_SYMLINK systemd-suspend.service.requires/ MODULE:installer";
        assert_eq!(only(unit).unwrap().target, None);
        assert_eq!(only("LICENSE 0444 DOCUMENTATION MODULE:installer").unwrap().path, "");
    }

    #[test]
    fn a_new_type_is_kept_as_unknown() {
        let entry = only("thing.so 0755 QUANTUM_LIB NATIVE / x MODULE:q").unwrap();
        assert_eq!((entry.kind.as_str(), entry.known, entry.compat32), ("QUANTUM_LIB", false, false));
        assert!(only("./32/thing.so 0755 QUANTUM_LIB COMPAT32 / x MODULE:q").unwrap().compat32);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert_eq!(only("lib.so 0755"), Err("line 9: too few fields: expected a file, its mode and its type".into()));
        assert_eq!(
            only("a 0000 CUDA_SYMLINK NATIVE / MODULE:x"),
            Err("line 9: too few fields: CUDA_SYMLINK needs a symlink target".into())
        );
        assert_eq!(only("a 0x9 CUDA_ICD"), Err("line 9: 0x9 is not an octal mode".into()));
        assert_eq!(only("./ 0644 CUDA_ICD"), Err("line 9: ./ is no file".into()));
        assert_eq!(only("../a 0644 CUDA_ICD"), Err("line 9: ../a leads out of the package with `..`".into()));
    }
}
