//! The files of the sample drivers, and the manifest that lists them.

use crate::elf::{self, Class};
use crate::version;
use vgpu_driver::Role;

const NATIVE: [Class; 1] = [Class::Elf64];
const BOTH: [Class; 2] = [Class::Elf64, Class::Elf32];

/// A file of a driver package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub mode: u32,
    pub data: Vec<u8>,
}

impl File {
    pub fn new(name: impl Into<String>, mode: u32, data: impl Into<Vec<u8>>) -> File {
        File { name: name.into(), mode, data: data.into() }
    }
}

/// The lines of the manifest and the files they name.
struct Package {
    version: &'static str,
    manifest: String,
    files: Vec<File>,
}

/// All files of the driver for a role, the manifest first.
pub fn files(role: Role) -> Vec<File> {
    let modules = match role {
        Role::Host => "nvidia nvidia-vgpu-vfio",
        Role::Guest => "nvidia nvidia-uvm nvidia-modeset nvidia-drm",
    };
    let version = version(role);
    let header = format!(
        "NVIDIA Accelerated Graphics Driver for Linux-x86_64\n{version}\n \n{modules} \n \n \n./kernel/\n./kernel/precompiled/\n"
    );
    let mut package = Package { version, manifest: header, files: Vec::new() };
    package.add_common();
    match role {
        Role::Host => package.add_host(),
        Role::Guest => package.add_guest(),
    }
    package.files.insert(0, File::new(".manifest", 0o644, package.manifest));
    package.files
}

impl Package {
    /// Adds a file, listed with this type and what follows it.
    fn add(&mut self, name: &str, mode: u32, kind: &str, data: impl Into<Vec<u8>>) {
        let listed = if name.starts_with("32/") { format!("./{name}") } else { name.to_owned() };
        self.manifest += &format!("{listed} {mode:04o} {kind} MODULE:sample\n");
        self.files.push(File::new(name, mode, data));
    }

    fn symlink(&mut self, name: &str, kind: &str) {
        self.manifest += &format!("{name} 0000 {kind} MODULE:sample\n");
    }

    /// Adds a library and its symlink of the manifest, once for each class.
    fn library(&mut self, stem: &str, soname: &str, kind: &str, path: &str, classes: &[Class]) {
        let file = format!("{stem}.so.{}", self.version);
        let link = kind.replace("_LIB", "_SYMLINK").replace("OPENCL_SYMLINK", "OPENCL_LIB_SYMLINK");
        let link = link
            .replace("UTILITY_SYMLINK", "UTILITY_LIB_SYMLINK")
            .replace("ENCODEAPI_SYMLINK", "ENCODEAPI_LIB_SYMLINK");
        for &class in classes {
            let (folder, arch) = match class {
                Class::Elf64 => ("", "NATIVE"),
                Class::Elf32 => ("32/", "COMPAT32"),
            };
            let data = elf::library(Some(soname), class);
            self.add(&format!("{folder}{file}"), 0o755, &format!("{kind} {arch}{path}"), data);
            if soname != file {
                self.symlink(soname, &format!("{link} {arch}{path} {file}"));
            }
        }
    }

    fn program(&mut self, name: &str, needed: Option<&str>, message: &str) {
        self.add(name, 0o755, "UTILITY_BINARY", elf::program(needed, message));
    }

    /// What hosts and guests have in common.
    fn add_common(&mut self) {
        self.add("LICENSE", 0o444, "DOCUMENTATION NVIDIA_GLX-1.0/", "A sample driver; nothing in it is NVIDIA's.\n");
        self.library("libnvidia-ml", "libnvidia-ml.so.1", "CUDA_LIB", " /", &NATIVE);
        self.library("libnvidia-cfg", "libnvidia-cfg.so.1", "UTILITY_LIB", "", &NATIVE);
        let message = format!("sample nvidia-smi {}: there is no driver to talk to\n", self.version);
        self.program("nvidia-smi", Some("libnvidia-ml.so.1"), &message);
        self.add("nvidia-smi.1.gz", 0o444, "MANPAGE man1/", "a manual page\n");
        self.add("nvidia-bug-report.sh", 0o755, "UTILITY_BINARY", "#!/bin/sh\n/bin/ls / | /bin/grep proc\n");
        self.symlink("nvidia-uninstall", "UTILITY_BIN_SYMLINK nvidia-installer");
        self.add("nvidia-modprobe", 0o4755, "NVIDIA_MODPROBE /usr/bin/", "never installed\n");
        self.add(
            "systemd/nvidia-sleep.sh",
            0o755,
            "UTILITY_BINARY",
            "#!/bin/bash\nPATH=\"/bin:/usr/bin\"\necho \"$1\"\n",
        );
        self.add(
            "systemd/system-sleep/nvidia",
            0o755,
            "SYSTEMD_SLEEP_SCRIPT",
            "#!/bin/sh\n/usr/bin/nvidia-sleep.sh resume\n",
        );
        self.add("systemd/system/nvidia-suspend.service", 0o644, "SYSTEMD_UNIT", "[Unit]\n");
        self.symlink("nvidia-suspend.service", "SYSTEMD_UNIT_SYMLINK systemd-suspend.service.requires/");
        for (folder, arch) in [("", "NATIVE"), ("32/", "COMPAT32")] {
            let name = format!("{folder}libglvnd_install_checker/glvnd_check");
            self.add(&name, 0o755, &format!("INTERNAL_UTILITY_BINARY {arch}"), "never installed\n");
        }
        for gpu in ["ga10x", "tu10x"] {
            self.add(
                &format!("firmware/gsp_{gpu}.bin"),
                0o444,
                "FIRMWARE INHERIT_PATH_DEPTH:1",
                format!("firmware for {gpu}\n"),
            );
        }
        for (name, text) in KERNEL {
            self.add(name, 0o644, "KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1", text);
        }
    }

    fn add_host(&mut self) {
        let version = self.version;
        for stem in ["libnvidia-vgpu", "libnvidia-vgxcfg"] {
            let (soname, file) = (format!("{stem}.so"), format!("{stem}.so.{version}"));
            self.add(&file, 0o755, "VGX_LIB", elf::library(Some(&soname), Class::Elf64));
            self.symlink(&soname, &format!("VGX_LIB_SYMLINK {file}"));
        }
        self.program("nvidia-vgpud", None, "sample nvidia-vgpud reads /usr/share/nvidia/vgpu/vgpuConfig.xml\0\n");
        self.program("nvidia-vgpu-mgr", Some("libnvidia-vgpu.so"), "sample nvidia-vgpu-mgr: plugin found\n");
        self.program("nvidia-xid-logd", None, "sample nvidia-xid-logd\n");
        self.add(
            "sriov-manage",
            0o755,
            "EXPLICIT_PATH /usr/lib/nvidia",
            "#!/bin/bash\necho \"Usage: /usr/lib/nvidia/sriov-manage <-e|-d> <GPU|ALL>\"\n",
        );
        self.add("vgpuConfig.xml", 0o644, "EXPLICIT_PATH /usr/share/nvidia/vgpu", VGPU_CONFIG);
    }

    fn add_guest(&mut self) {
        let version = self.version;
        for (stem, soname, kind, path) in [
            ("libcuda", "libcuda.so.1", "CUDA_LIB", " /"),
            ("libGLX_nvidia", "libGLX_nvidia.so.0", "OPENGL_LIB", ""),
            ("libEGL_nvidia", "libEGL_nvidia.so.0", "OPENGL_LIB", ""),
            ("libvdpau_nvidia", "libvdpau_nvidia.so.1", "VDPAU_LIB", " vdpau/"),
            ("libnvidia-encode", "libnvidia-encode.so.1", "ENCODEAPI_LIB", ""),
            ("libnvidia-allocator", "libnvidia-allocator.so.1", "UTILITY_LIB", ""),
            ("libnvidia-opencl", "libnvidia-opencl.so.1", "OPENCL_LIB", " /"),
        ] {
            self.library(stem, soname, kind, path, &BOTH);
        }
        for arch in ["NATIVE", "COMPAT32"] {
            self.symlink("nvidia-drm_gbm.so", &format!("GBM_BACKEND_LIB_SYMLINK {arch} libnvidia-allocator.so.1"));
        }
        let glcore = format!("libnvidia-glcore.so.{version}");
        self.library("libnvidia-glcore", &glcore, "OPENGL_LIB", "", &BOTH);
        self.add("libGL.so.1.7.0", 0o755, "GLVND_LIB NATIVE", elf::library(Some("libGL.so.1"), Class::Elf64));
        let glx = format!("libglxserver_nvidia.so.{version}");
        self.add(&glx, 0o755, "GLX_MODULE_SHARED_LIB extensions/", elf::library(None, Class::Elf64));
        self.symlink("libglxserver_nvidia.so", &format!("GLX_MODULE_SYMLINK extensions/ {glx}"));
        self.add("nvidia_drv.so", 0o755, "XMODULE_SHARED_LIB drivers/", elf::library(None, Class::Elf64));
        self.add("nvidia_icd.json", 0o644, "VULKAN_ICD_JSON icd.d/", icd("ICD", "libGLX_nvidia.so.0"));
        self.add("nvidia_layers.json", 0o644, "VULKAN_ICD_JSON implicit_layer.d/", icd("layer", "libGLX_nvidia.so.0"));
        self.add("10_nvidia.json", 0o644, "GLVND_EGL_ICD_JSON", icd("ICD", "libEGL_nvidia.so.0"));
        self.library("libnvidia-egl-wayland", "libnvidia-egl-wayland.so.1", "OPENGL_LIB", "", &NATIVE);
        let wayland = icd("ICD", "libnvidia-egl-wayland.so.1");
        self.add("10_nvidia_wayland.json", 0o644, "EGL_EXTERNAL_PLATFORM_JSON", wayland);
        self.add("15_nvidia_gbm.json", 0o644, "EGL_EXTERNAL_PLATFORM_JSON", icd("ICD", "libnvidia-egl-gbm.so.1"));
        self.add("nvidia.icd", 0o444, "CUDA_ICD", "libnvidia-opencl.so.1\n");
        self.add("nvoptix.bin", 0o444, "OPENGL_DATA /", "data of OptiX\n");
        self.add("nvngx.dll", 0o644, "WINE_LIB NATIVE", "MZ: for Wine\n");
        for part in ["rc", "key-documentation"] {
            let name = format!("nvidia-application-profiles-{version}-{part}");
            self.add(&name, 0o444, "APPLICATION_PROFILE /", "{}\n");
        }
        self.program("nvidia-gridd", None, "sample nvidia-gridd\n");
        self.program("nvidia-topologyd", None, "sample nvidia-topologyd\n");
        self.add("gridd.conf.template", 0o644, "EXPLICIT_PATH /etc/nvidia", "# ServerAddress=\n# FeatureType=0\n");
        self.add("nvidia-topologyd.conf.template", 0o644, "EXPLICIT_PATH /etc/nvidia", "# TopologyFilePath=\n");
        self.add("nvidia-dbus.conf", 0o644, "EXPLICIT_PATH /usr/share/dbus-1/system.d", "<busconfig/>\n");
    }
}

fn icd(key: &str, library: &str) -> String {
    format!(
        "{{\n    \"file_format_version\" : \"1.0.0\",\n    \"{key}\": {{\n        \"library_path\": \"{library}\"\n    }}\n}}\n"
    )
}

const KERNEL: [(&str, &str); 4] = [
    (
        "kernel/Makefile",
        "modules:\n\t@echo built > nvidia.ko\n\nmodules_install:\n\tinstall -D -m 644 nvidia.ko $(MODLIB)/misc/nvidia.ko\n",
    ),
    ("kernel/Kbuild", "obj-m := nvidia.o\n"),
    ("kernel/nvidia/nv.c", "int nv;\n"),
    ("kernel-open/nvidia/nv.c", "int nv;\n"),
];

const VGPU_CONFIG: &str = include_str!("vgpuConfig.xml");
