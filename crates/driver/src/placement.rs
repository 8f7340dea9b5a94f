//! Where NixOS wants each file of a driver: one table, from the manifest's types and a few names to places.
//!
//! What has no place is reported with the reason, never guessed.

use crate::manifest::Entry;

/// One of the five parts of an installed driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// Libraries and data.
    Out,
    /// Programs and the X driver.
    Bin,
    /// Libraries for 32-bit programs.
    Lib32,
    /// GSP firmware.
    Firmware,
    /// Sources of the kernel modules: `kernel/` and `kernel-open/`.
    Modsrc,
}

impl Output {
    /// All outputs with their names.
    pub const ALL: [(Output, &'static str); 5] = [
        (Output::Out, "out"),
        (Output::Bin, "bin"),
        (Output::Lib32, "lib32"),
        (Output::Firmware, "firmware"),
        (Output::Modsrc, "modsrc"),
    ];
}

/// What is done to a file's content on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Nothing.
    Copy,
    /// A library: run path to the driver's own libraries.
    Library,
    /// A program: run path and interpreter. The original also goes to origBin. Scripts are treated as [`Script`](Self::Script).
    Program,
    /// A script: shell, PATH, and the places of other programs.
    Script,
    /// JSON that names a library: its absolute path.
    LibraryJson,
    /// A text file with the name of the OpenCL library: its absolute path.
    OpenclIcd,
}

/// A place for a file: an output and a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub output: Output,
    pub path: String,
    pub treatment: Treatment,
}

impl Place {
    /// Whether a file that was executable in the package stays so here: only where programs lie.
    pub fn keeps_executable(&self) -> bool {
        self.path.starts_with("bin/")
    }
}

/// What the table says about an entry of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The file goes here (a JSON file that serves both word sizes goes to two places).
    Places(Vec<Place>),
    /// It goes nowhere, for this reason.
    Nowhere(&'static str),
    /// The table has no row for this type.
    Unknown,
}

use Output::*;
use Treatment::*;

/// Rows of the table that go by name, whatever the type: vGPU packages don't always list these the same way.
///
/// Each is a name, or a beginning of names with `*`.
const BY_NAME: [(&str, Row); 24] = [
    ("nvidia-settings*", Row::Nowhere("built from source: nvidia-settings")),
    ("libnvidia-gtk*", Row::Nowhere("built from source: nvidia-settings")),
    ("libnvidia-wayland-client*", Row::Nowhere("built from source: nvidia-settings")),
    ("nvidia-persistenced*", Row::Nowhere("built from source: nvidia-persistenced")),
    ("nvidia-xconfig*", Row::Nowhere("built from source: nvidia-xconfig")),
    ("nvidia-installer*", Row::Nowhere("NixOS needs no installer")),
    ("nvidia-uninstall*", Row::Nowhere("NixOS needs no installer")),
    ("nvidia-modprobe*", Row::Nowhere("built from source: nvidia-modprobe")),
    ("libnvidia-pkcs11.so*", Row::Nowhere("for OpenSSL 1.1, which nixpkgs no longer has")),
    ("vgpuConfig.xml", Row::At(Out, "", Copy)),
    ("gridd.conf.template", Row::At(Out, "", Copy)),
    ("nvidia-topologyd.conf.template", Row::At(Out, "", Copy)),
    ("nvidia-sleep.sh", Row::At(Out, "bin", Script)),
    ("nvidia-dbus.conf", Row::At(Bin, "share/dbus-1/system.d", Copy)),
    ("nvidia-vgpud", Row::At(Bin, "bin", Program)),
    ("nvidia-vgpu-mgr", Row::At(Bin, "bin", Program)),
    ("nvidia-xid-logd", Row::At(Bin, "bin", Program)),
    ("sriov-manage", Row::At(Bin, "bin", Script)),
    ("nvidia-gridd", Row::At(Bin, "bin", Program)),
    ("nvidia-topologyd", Row::At(Bin, "bin", Program)),
    ("nvidia-pcc", Row::At(Bin, "bin", Program)),
    ("libnvidia-vgpu.so*", Row::At(Out, "lib", Library)),
    ("libnvidia-vgxcfg.so*", Row::At(Out, "lib", Library)),
    ("nvoptix.bin", Row::At(Out, "lib", Copy)),
];

/// Where libEGL looks for platforms (Wayland, GBM, X11).
pub const EGL_PLATFORMS: &str = "share/egl/egl_external_platform.d";

/// Whether a file of the driver belongs to an EGL platform: its library, or the JSON that names it.
pub fn is_egl_platform(entry: &Entry) -> bool {
    entry.kind == "EGL_EXTERNAL_PLATFORM_JSON" || entry.name().starts_with("libnvidia-egl-")
}

const OWN_GLVND: Row = Row::Nowhere("nixpkgs has its own libglvnd");
const OWN_OCL: Row = Row::Nowhere("nixpkgs has its own ocl-icd");
const OWN_UNITS: Row = Row::Nowhere("the NixOS module has its own services");

/// Rows of the table that go by type.
const BY_KIND: [(&str, Row); 50] = [
    ("OPENGL_LIB", Row::Library("")),
    ("UTILITY_LIB", Row::Library("")),
    ("NVCUVID_LIB", Row::Library("")),
    ("ENCODEAPI_LIB", Row::Library("")),
    ("NVIFR_LIB", Row::Library("")),
    ("CUDA_LIB", Row::Library("")),
    ("OPENCL_LIB", Row::Library("")),
    ("TLS_LIB", Row::Library("")),
    ("VGX_LIB", Row::Library("")),
    ("GRID_LIB", Row::Library("")),
    ("FLEXERA_LIB", Row::Library("")),
    ("VDPAU_LIB", Row::Library("vdpau")),
    ("GBM_BACKEND_LIB", Row::Library("gbm")),
    ("GLVND_LIB", OWN_GLVND),
    ("GLX_CLIENT_LIB", OWN_GLVND),
    ("EGL_CLIENT_LIB", OWN_GLVND),
    ("LIBGL_LA", OWN_GLVND),
    ("OPENCL_WRAPPER_LIB", OWN_OCL),
    ("WINE_LIB", Row::Wine),
    ("OPENGL_DATA", Row::At(Out, "lib", Copy)),
    ("XMODULE_SHARED_LIB", Row::At(Bin, "lib/xorg/modules/drivers", Library)),
    ("GLX_MODULE_SHARED_LIB", Row::At(Bin, "lib/xorg/modules/extensions", Library)),
    ("UTILITY_BINARY", Row::At(Bin, "bin", Program)),
    ("CUDA_ICD", Row::Both("etc/OpenCL/vendors", OpenclIcd)),
    ("VULKAN_ICD_JSON", Row::Vulkan("share/vulkan")),
    ("VULKANSC_ICD_JSON", Row::Vulkan("share/vulkansc")),
    ("GLVND_EGL_ICD_JSON", Row::Both("share/glvnd/egl_vendor.d", LibraryJson)),
    ("EGL_EXTERNAL_PLATFORM_JSON", Row::Both(EGL_PLATFORMS, LibraryJson)),
    ("APPLICATION_PROFILE", Row::Profile),
    ("MANPAGE", Row::At(Bin, "share/man/man1", Copy)),
    ("FIRMWARE", Row::Firmware),
    ("KERNEL_MODULE_SRC", Row::KernelSource),
    ("DKMS_CONF", Row::KernelSource),
    ("SYSTEMD_SLEEP_SCRIPT", Row::At(Out, "lib/systemd/system-sleep", Script)),
    ("SYSTEMD_UNIT", OWN_UNITS),
    ("SYSTEMD_UNIT_SYMLINK", OWN_UNITS),
    // They try the system's libglvnd out, and come in both word sizes under one name.
    ("INTERNAL_UTILITY_BINARY", Row::Nowhere("NixOS needs no installer")),
    ("INTERNAL_UTILITY_LIB", Row::Nowhere("NixOS needs no installer")),
    ("INTERNAL_UTILITY_DATA", Row::Nowhere("NixOS needs no installer")),
    ("INSTALLER_BINARY", Row::Nowhere("NixOS needs no installer")),
    ("XORG_OUTPUTCLASS_CONFIG", Row::Nowhere("the NixOS module configures the X server")),
    ("DOCUMENTATION", Row::Nowhere("documentation")),
    ("KERNEL_MODULE", Row::Nowhere("kernel modules are built from source")),
    ("MODULE_SIGNING_KEY", Row::Nowhere("kernel modules are built from source")),
    // Lists files that land anywhere; those we want are known by name.
    ("EXPLICIT_PATH", Row::Nowhere("not needed on NixOS")),
    ("DOT_DESKTOP", Row::Nowhere("built from source: nvidia-settings")),
    ("ICON", Row::Nowhere("built from source: nvidia-settings")),
    ("NVIDIA_MODPROBE", Row::Nowhere("built from source: nvidia-modprobe")),
    ("NVIDIA_MODPROBE_MANPAGE", Row::Nowhere("built from source: nvidia-modprobe")),
    ("SANDBOXUTILS_FILELIST_JSON", Row::Nowhere("for containers of other systems")),
];

/// What a row of the table says.
#[derive(Clone, Copy)]
enum Row {
    Nowhere(&'static str),
    /// A folder of one output.
    At(Output, &'static str, Treatment),
    /// A folder of `out`, and the same of `lib32`.
    Both(&'static str, Treatment),
    /// A library, below lib/ of `out` or `lib32`.
    Library(&'static str),
    /// A library of Windows, for Wine.
    Wine,
    Vulkan(&'static str),
    Profile,
    Firmware,
    KernelSource,
}

/// Looks up where a file of the manifest goes. `version` is the driver's, which some paths contain.
///
/// Symlinks are not looked up here: they go where their targets are.
pub fn place(entry: &Entry, version: &str) -> Placement {
    let name = entry.name();
    let by_name = BY_NAME.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    });
    let row = by_name.or_else(|| BY_KIND.iter().find(|(kind, _)| *kind == entry.kind)).map(|(_, row)| *row);
    row.map_or(Placement::Unknown, |row| row.places(entry, version))
}

impl Row {
    fn places(self, entry: &Entry, version: &str) -> Placement {
        let name = entry.name();
        let libraries = if entry.compat32 { Lib32 } else { Out };
        let at = |output, folder: &str, treatment| Place { output, path: join(folder, name), treatment };
        let places = match self {
            Row::Nowhere(reason) => return Placement::Nowhere(reason),
            Row::At(output, folder, treatment) => vec![at(output, folder, treatment)],
            Row::Both(folder, treatment) => vec![at(Out, folder, treatment), at(Lib32, folder, treatment)],
            Row::Library(folder) => vec![at(libraries, &join("lib", folder), Library)],
            Row::Wine => vec![at(libraries, "lib/nvidia/wine", Copy)],
            Row::Vulkan(share) => vulkan(share, name),
            Row::Profile => {
                let path = join("share/nvidia", &name.replace(&format!("-{version}"), ""));
                vec![Place { output: Bin, path, treatment: Copy }]
            }
            Row::Firmware => vec![at(Firmware, &format!("lib/firmware/nvidia/{version}"), Copy)],
            Row::KernelSource => vec![Place { output: Modsrc, path: entry.file.clone(), treatment: Copy }],
        };
        Placement::Places(places)
    }
}

/// ICDs get the architecture into their name; layers keep theirs.
fn vulkan(share: &str, name: &str) -> Vec<Place> {
    let stem = name.trim_end_matches(".template").trim_end_matches(".json");
    [(Out, "x86_64"), (Lib32, "i686")]
        .map(|(output, arch)| {
            let path = if stem.contains("layers") {
                format!("{share}/implicit_layer.d/{stem}.json")
            } else {
                format!("{share}/icd.d/{stem}.{arch}.json")
            };
            Place { output, path, treatment: LibraryJson }
        })
        .into()
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() || name.is_empty() { format!("{folder}{name}") } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    /// The places of the only entry of a manifest: `out/lib/libcuda.so.550 Library`, `-` for nowhere.
    fn places(line: &str) -> String {
        let manifest = format!("driver\n550\n\n\n\n\n\n\n{line} MODULE:x\n");
        match place(&Manifest::parse(manifest.as_bytes()).unwrap().entries[0], "550") {
            Placement::Places(places) => {
                let shown = |Place { output, path, treatment }: &Place| format!("{output:?}/{path} {treatment:?}");
                places.iter().map(shown).collect::<Vec<_>>().join(", ")
            }
            Placement::Nowhere(_) => "-".into(),
            Placement::Unknown => "?".into(),
        }
    }

    #[test]
    fn every_type_has_its_place() {
        for (line, expected) in [
            ("libGLX_nvidia.so.550 0755 OPENGL_LIB NATIVE", "Out/lib/libGLX_nvidia.so.550 Library"),
            ("./32/libGLX_nvidia.so.550 0755 OPENGL_LIB COMPAT32", "Lib32/lib/libGLX_nvidia.so.550 Library"),
            ("libnvidia-cfg.so.550 0755 UTILITY_LIB NATIVE", "Out/lib/libnvidia-cfg.so.550 Library"),
            ("libnvcuvid.so.550 0755 NVCUVID_LIB NATIVE", "Out/lib/libnvcuvid.so.550 Library"),
            ("libnvidia-encode.so.550 0755 ENCODEAPI_LIB NATIVE", "Out/lib/libnvidia-encode.so.550 Library"),
            ("libnvidia-ifr.so.550 0755 NVIFR_LIB NATIVE", "Out/lib/libnvidia-ifr.so.550 Library"),
            ("libcuda.so.550 0755 CUDA_LIB NATIVE /", "Out/lib/libcuda.so.550 Library"),
            ("libnvidia-opencl.so.550 0755 OPENCL_LIB NATIVE /", "Out/lib/libnvidia-opencl.so.550 Library"),
            ("libnvidia-tls.so.550 0755 TLS_LIB NATIVE /", "Out/lib/libnvidia-tls.so.550 Library"),
            ("libfoo.so.550 0755 VGX_LIB", "Out/lib/libfoo.so.550 Library"),
            ("libfoo.so.550 0755 GRID_LIB /", "Out/lib/libfoo.so.550 Library"),
            ("libfoo.so.550 0755 FLEXERA_LIB /", "Out/lib/libfoo.so.550 Library"),
            ("libvdpau_nvidia.so.550 0755 VDPAU_LIB NATIVE vdpau/", "Out/lib/vdpau/libvdpau_nvidia.so.550 Library"),
            ("nvidia-drm_gbm.so 0755 GBM_BACKEND_LIB NATIVE", "Out/lib/gbm/nvidia-drm_gbm.so Library"),
            ("libGL.so.1.7.0 0755 GLX_CLIENT_LIB NATIVE", "-"),
            ("libEGL.so.1.1.0 0755 EGL_CLIENT_LIB NATIVE", "-"),
            ("libGLdispatch.so.0 0755 GLVND_LIB NATIVE", "-"),
            ("libGL.la 0644 LIBGL_LA NATIVE", "-"),
            ("libOpenCL.so.1.0.0 0755 OPENCL_WRAPPER_LIB NATIVE /", "-"),
            ("nvngx.dll 0644 WINE_LIB NATIVE", "Out/lib/nvidia/wine/nvngx.dll Copy"),
            ("32/nvngx.dll 0644 WINE_LIB COMPAT32", "Lib32/lib/nvidia/wine/nvngx.dll Copy"),
            ("nvoptix.bin 0444 OPENGL_DATA /usr/share/nvidia", "Out/lib/nvoptix.bin Copy"),
            ("nvidia_drv.so 0755 XMODULE_SHARED_LIB drivers/", "Bin/lib/xorg/modules/drivers/nvidia_drv.so Library"),
            (
                "libglxserver_nvidia.so.550 0755 GLX_MODULE_SHARED_LIB extensions/",
                "Bin/lib/xorg/modules/extensions/libglxserver_nvidia.so.550 Library",
            ),
            ("nvidia-smi 0755 UTILITY_BINARY", "Bin/bin/nvidia-smi Program"),
            (
                "nvidia.icd 0644 CUDA_ICD",
                "Out/etc/OpenCL/vendors/nvidia.icd OpenclIcd, Lib32/etc/OpenCL/vendors/nvidia.icd OpenclIcd",
            ),
            (
                "nvidia_icd.json 0644 VULKAN_ICD_JSON icd.d/",
                "Out/share/vulkan/icd.d/nvidia_icd.x86_64.json LibraryJson, \
                 Lib32/share/vulkan/icd.d/nvidia_icd.i686.json LibraryJson",
            ),
            (
                "nvidia_icd_vksc.json 0644 VULKANSC_ICD_JSON icd.d/",
                "Out/share/vulkansc/icd.d/nvidia_icd_vksc.x86_64.json LibraryJson, \
                 Lib32/share/vulkansc/icd.d/nvidia_icd_vksc.i686.json LibraryJson",
            ),
            (
                "nvidia-application-profiles-550-rc 0644 APPLICATION_PROFILE /",
                "Bin/share/nvidia/nvidia-application-profiles-rc Copy",
            ),
            ("nvidia-smi.1.gz 0644 MANPAGE man1/", "Bin/share/man/man1/nvidia-smi.1.gz Copy"),
            ("firmware/gsp_ga10x.bin 0444 FIRMWARE", "Firmware/lib/firmware/nvidia/550/gsp_ga10x.bin Copy"),
            ("kernel/nvidia/nv.c 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1", "Modsrc/kernel/nvidia/nv.c Copy"),
            ("kernel/dkms.conf 0644 DKMS_CONF INHERIT_PATH_DEPTH:1", "Modsrc/kernel/dkms.conf Copy"),
            (
                "kernel-open/nvidia/nv.c 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1",
                "Modsrc/kernel-open/nvidia/nv.c Copy",
            ),
            ("systemd/system-sleep/nvidia 0755 SYSTEMD_SLEEP_SCRIPT", "Out/lib/systemd/system-sleep/nvidia Script"),
            ("libglvnd_install_checker/glvnd_check 0755 INTERNAL_UTILITY_BINARY NATIVE", "-"),
            ("32/libglvnd_install_checker/libGLX_installcheck.so.0 0755 INTERNAL_UTILITY_LIB COMPAT32", "-"),
            ("systemd/system/nvidia-suspend.service 0644 SYSTEMD_UNIT", "-"),
            ("nvidia-installer 0755 INSTALLER_BINARY", "-"),
            ("LICENSE 0644 DOCUMENTATION NVIDIA_GLX-1.0/", "-"),
            ("sandboxutils-filelist.json 0644 SANDBOXUTILS_FILELIST_JSON files.d/", "-"),
            ("thing 0644 QUANTUM_DATA", "?"),
        ] {
            assert_eq!(places(line), expected, "{line}");
        }
    }

    #[test]
    fn some_names_have_a_place_whatever_their_type() {
        for (name, expected) in [
            ("nvidia-vgpud", "Bin/bin/nvidia-vgpud Program"),
            ("nvidia-vgpu-mgr", "Bin/bin/nvidia-vgpu-mgr Program"),
            ("nvidia-xid-logd", "Bin/bin/nvidia-xid-logd Program"),
            ("sriov-manage", "Bin/bin/sriov-manage Script"),
            ("vgpuConfig.xml", "Out/vgpuConfig.xml Copy"),
            ("libnvidia-vgpu.so.550", "Out/lib/libnvidia-vgpu.so.550 Library"),
            ("libnvidia-vgxcfg.so.550", "Out/lib/libnvidia-vgxcfg.so.550 Library"),
            ("nvidia-gridd", "Bin/bin/nvidia-gridd Program"),
            ("nvidia-topologyd", "Bin/bin/nvidia-topologyd Program"),
            ("nvidia-pcc", "Bin/bin/nvidia-pcc Program"),
            ("gridd.conf.template", "Out/gridd.conf.template Copy"),
            ("nvidia-topologyd.conf.template", "Out/nvidia-topologyd.conf.template Copy"),
            ("nvidia-dbus.conf", "Bin/share/dbus-1/system.d/nvidia-dbus.conf Copy"),
            ("systemd/nvidia-sleep.sh", "Out/bin/nvidia-sleep.sh Script"),
            ("nvoptix.bin", "Out/lib/nvoptix.bin Copy"),
            ("libnvidia-pkcs11.so.550", "-"),
            ("libnvidia-gtk3.so.550", "-"),
            ("libnvidia-wayland-client.so.550", "-"),
            ("nvidia-settings", "-"),
            ("nvidia-settings.1.gz", "-"),
            ("nvidia-persistenced", "-"),
            ("nvidia-xconfig", "-"),
            ("nvidia-installer.1.gz", "-"),
            ("nvidia-modprobe.1.gz", "-"),
        ] {
            for kind in ["UTILITY_BINARY", "QUANTUM_FILE NATIVE", "EXPLICIT_PATH /usr/share"] {
                assert_eq!(places(&format!("{name} 0755 {kind}")), expected, "{name} {kind}");
            }
        }
    }

    /// What a manifest can say about a type, and what becomes of its files, are two tables: no type is in one alone.
    #[test]
    fn every_known_type_is_placed_or_left_out() {
        for (_, kinds) in crate::manifest::FIELDS {
            for kind in kinds.split_ascii_whitespace().filter(|kind| !kind.ends_with("_SYMLINK")) {
                assert!(BY_KIND.iter().any(|(known, _)| *known == kind), "{kind}");
            }
        }
    }
}
