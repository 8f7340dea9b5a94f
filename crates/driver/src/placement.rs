//! Where NixOS wants each file of a driver. The names of a few files decide this; for all others, the type in the manifest.
//!
//! A file without a place is reported with the reason. No place is ever guessed.

use crate::manifest::{Entry, Type};
use crate::words::file_type::{FileType, Rule};
use crate::words::output::Output::{self, *};
use crate::words::output::Treatment::*;
use crate::words::output::{Place, Treatment};
use crate::words::path::{PathError, RelativePath};

/// What the table says about an entry of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The places of the file. A JSON file that serves both word sizes has two.
    Places(Vec<Place>),
    /// It goes nowhere, for this reason.
    Nowhere(&'static str),
    /// The table has no row for this type.
    Unknown,
}

/// Files whose name decides, whatever their type is: vGPU packages don't always give them the same type.
///
/// Each is a name, or the beginning of a name and `*`.
const BY_NAME: [(&str, Rule); 24] = [
    ("nvidia-settings*", Rule::Nowhere("built from source: nvidia-settings")),
    ("libnvidia-gtk*", Rule::Nowhere("built from source: nvidia-settings")),
    ("libnvidia-wayland-client*", Rule::Nowhere("built from source: nvidia-settings")),
    ("nvidia-persistenced*", Rule::Nowhere("built from source: nvidia-persistenced")),
    ("nvidia-xconfig*", Rule::Nowhere("NixOS writes the X server's configuration")),
    ("nvidia-installer*", Rule::Nowhere("NixOS needs no installer")),
    ("nvidia-uninstall*", Rule::Nowhere("NixOS needs no installer")),
    ("nvidia-modprobe*", Rule::Nowhere("udev loads the modules and makes the device files")),
    ("libnvidia-pkcs11.so*", Rule::Nowhere("for OpenSSL 1.1, which nixpkgs no longer has")),
    ("vgpuConfig.xml", Rule::At(Out, "", Copy)),
    ("gridd.conf.template", Rule::At(Out, "", Copy)),
    ("nvidia-topologyd.conf.template", Rule::At(Out, "", Copy)),
    ("nvidia-sleep.sh", Rule::At(Out, "bin", Script)),
    ("nvidia-dbus.conf", Rule::At(Bin, "share/dbus-1/system.d", Copy)),
    ("nvidia-vgpud", Rule::At(Bin, "bin", Program)),
    ("nvidia-vgpu-mgr", Rule::At(Bin, "bin", Program)),
    ("nvidia-xid-logd", Rule::At(Bin, "bin", Program)),
    ("sriov-manage", Rule::At(Bin, "bin", Script)),
    ("nvidia-gridd", Rule::At(Bin, "bin", Program)),
    ("nvidia-topologyd", Rule::At(Bin, "bin", Program)),
    ("nvidia-pcc", Rule::At(Bin, "bin", Program)),
    ("libnvidia-vgpu.so*", Rule::At(Out, "lib", Library)),
    ("libnvidia-vgxcfg.so*", Rule::At(Out, "lib", Library)),
    ("nvoptix.bin", Rule::At(Out, "lib", Copy)),
];

/// Whether a file of the driver belongs to an EGL platform: its library, or the JSON that names it.
pub fn is_egl_platform(entry: &Entry) -> bool {
    entry.file_type == Type::Recognised(FileType::EglExternalPlatformJson)
        || entry.file.name().starts_with("libnvidia-egl-")
}

fn by_name(name: &str) -> Option<Rule> {
    let row = BY_NAME.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    });
    row.map(|(_, rule)| *rule)
}

/// Whether a file of this name is left out, whatever its type is.
pub fn is_left_out(name: &str) -> bool {
    matches!(by_name(name), Some(Rule::Nowhere(_)))
}

/// Looks up where a file of the manifest goes. `version` is that of the driver; some paths contain it.
///
/// # Errors
/// When the file's name cannot be a path there.
pub fn place(entry: &Entry, version: &str) -> Result<Placement, PathError> {
    let by_type = || match &entry.file_type {
        Type::Recognised(known) => Some(known.rule()),
        Type::Unrecognised(_) => None,
    };
    by_name(entry.file.name()).or_else(by_type).map_or(Ok(Placement::Unknown), |rule| places(rule, entry, version))
}

fn places(rule: Rule, entry: &Entry, version: &str) -> Result<Placement, PathError> {
    let name = entry.file.name();
    let libraries = if entry.compat32 { Lib32 } else { Out };
    let place = |output: Output, path: String, treatment: Treatment| {
        Ok(Place { output, path: RelativePath::parse(path)?, treatment })
    };
    let at = |output, folder: &str, treatment| place(output, format!("{folder}/{name}"), treatment);
    let places = match rule {
        Rule::Nowhere(reason) => return Ok(Placement::Nowhere(reason)),
        Rule::At(output, "", treatment) => vec![place(output, name.to_owned(), treatment)?],
        Rule::At(output, folder, treatment) => vec![at(output, folder, treatment)?],
        Rule::Both(folder, treatment) => vec![at(Out, folder, treatment)?, at(Lib32, folder, treatment)?],
        Rule::Library("") => vec![at(libraries, "lib", Library)?],
        Rule::Library(folder) => vec![at(libraries, &format!("lib/{folder}"), Library)?],
        Rule::Wine => vec![at(libraries, "lib/nvidia/wine", Copy)?],
        Rule::Vulkan(share) => {
            let [native, compat32] = vulkan(share, name);
            vec![place(Out, native, LibraryJson)?, place(Lib32, compat32, LibraryJson)?]
        }
        Rule::Profile => {
            let name = RelativePath::parse(name.replace(&format!("-{version}"), ""))?;
            vec![place(Bin, format!("share/nvidia/{name}"), Copy)?]
        }
        Rule::Firmware => vec![at(Firmware, &format!("lib/firmware/nvidia/{version}"), Copy)?],
        Rule::KernelSource => vec![Place { output: Modsrc, path: entry.file.clone(), treatment: Copy }],
        // Symlinks go where their targets are: see links.rs.
        Rule::Link(..) | Rule::ModuleLink | Rule::LibraryLink | Rule::BackendLink => return Ok(Placement::Unknown),
    };
    Ok(Placement::Places(places))
}

/// The names of ICDs get the architecture. Layers keep their names.
fn vulkan(share: &str, name: &str) -> [String; 2] {
    let stem = name.trim_end_matches(".template").trim_end_matches(".json");
    ["x86_64", "i686"].map(|arch| {
        if stem.contains("layers") {
            format!("{share}/implicit_layer.d/{stem}.json")
        } else {
            format!("{share}/icd.d/{stem}.{arch}.json")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    /// The places of the only entry of a manifest: `out/lib/libcuda.so.550 Library`, `-` for nowhere.
    fn places(line: &str) -> String {
        let manifest = format!("driver\n550\n\n\n\n\n\n\n{line} MODULE:x\n");
        match place(&Manifest::parse(manifest.as_bytes()).unwrap().entries[0], "550").unwrap() {
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
}
