//! The driver: who has the GPUs, and whether NVIDIA's kernel modules are loaded, of one version, and of the right kind.

use super::super::check::{Check, Finding, Fix, Group};
use super::super::observed::{Log, Observed};
use crate::catalog::kernels::Kernels;
use crate::catalog::{Catalog, DriverVersion, Month};
use crate::machine::files;
use crate::machine::services::State;
use vgpu_driver::Role;

/// Directories of libraries whose names contain the version of the driver.
const LIBRARIES: [&str; 4] =
    ["run/opengl-driver/lib", "usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib/x86_64-linux-gnu/nvidia/current"];

pub const CHECKS: &[Check] = &[
    Check {
        id: "module-signature",
        group: Group::Modules,
        after: &[],
        question: "Does the kernel accept unsigned modules?",
        symptom: "Key was rejected by service; Lockdown: modprobe: unsigned module loading is restricted",
        fix: Fix {
            nixos: "switch off Secure Boot in the firmware's setup: the modules are built on this machine and not signed",
            elsewhere: "switch off Secure Boot in the firmware's setup, or sign the modules with a key that is enrolled",
        },
        answer: signature,
    },
    Check {
        id: "gpu-driver",
        group: Group::Modules,
        after: &["gpu"],
        question: "Does NVIDIA's driver have the GPUs?",
        symptom: "lspci -k: Kernel driver in use: vfio-pci, or nouveau",
        fix: Fix {
            nixos: "take the GPU's ids out of boot.extraModprobeConfig and boot.kernelParams (vfio-pci.ids=), which give \
                    it to a virtual machine as a whole; our module blacklists nouveau; then restart",
            elsewhere: "remove vfio-pci's ids= and driver_override, blacklist nouveau and nova_core, then restart",
        },
        answer: gpu_driver,
    },
    Check {
        id: "kernel-fit",
        group: Group::Modules,
        after: &["gpu"],
        question: "Do the driver's modules compile on this kernel?",
        symptom: "the build of the kernel modules fails, or modprobe: Module nvidia not found",
        fix: Fix {
            nixos: "boot.kernelPackages = pkgs.linuxPackages_6_12; or a release for this kernel: `vgpu releases` shows \
                    which are",
            elsewhere: "start an older kernel, or install a release for this one: `vgpu releases` shows which are",
        },
        answer: kernel_fit,
    },
    Check {
        id: "nvidia-module",
        group: Group::Modules,
        after: &["gpu", "module-signature", "kernel-fit"],
        question: "Is the module nvidia loaded?",
        symptom: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
        fix: Fix {
            nixos: "restart the machine; if it stays so, `journalctl -k` tells why the module was refused",
            elsewhere: "modprobe nvidia; dkms status tells whether it was built for the running kernel",
        },
        answer: nvidia_module,
    },
    Check {
        id: "flavour",
        group: Group::Modules,
        after: &["nvidia-module"],
        question: "Do the GPUs work with this kind of kernel modules, open or closed?",
        symptom: "not supported by open nvidia.ko; requires use of the NVIDIA open kernel modules",
        fix: Fix {
            nixos: "hardware.nvidia.open = true; for Blackwell and later, false for GPUs before Turing; then restart",
            elsewhere: "install the open kernel modules for Blackwell and later, the closed ones for GPUs before Turing",
        },
        answer: flavour,
    },
    Check {
        id: "host-driver",
        group: Group::Modules,
        after: &["nvidia-module"],
        question: "Is this a host driver?",
        symptom: "No supported devices in vGPU mode; there is no nvidia-vgpu-mgr",
        fix: Fix {
            nixos: "import our host module and set hardware.nvidia.vgpu.release: the driver here has no vGPU manager",
            elsewhere: "install the driver whose name ends in -vgpu-kvm",
        },
        answer: host_driver,
    },
    Check {
        id: "versions",
        group: Group::Modules,
        after: &["nvidia-module"],
        question: "Do programs and loaded modules have the same version?",
        symptom: "Failed to initialize NVML: Driver/library version mismatch",
        fix: Fix { nixos: "", elsewhere: "restart the machine: loaded modules stay until then" },
        answer: versions,
    },
    Check {
        id: "vfio-version",
        group: Group::Modules,
        after: &["host-driver"],
        question: "Do nvidia and nvidia-vgpu-vfio have the same version?",
        symptom: "[nvidia-vgpu-vfio] Version mismatch: nvidia.ko(…) nvidia-vgpu-vfio.ko(…)",
        fix: Fix { nixos: "", elsewhere: "restart the machine: one of them is left from before an update" },
        answer: |seen| seen.free_of(Log::Kernel, &["Version mismatch: nvidia.ko"]),
    },
    Check {
        id: "vfio-symbols",
        group: Group::Modules,
        after: &["host-driver", "vfio-version"],
        question: "Does the kernel let nvidia-vgpu-vfio use what nvidia exports?",
        symptom: "failing symbol_get of non-GPLONLY symbol nvidia_vgpu_vfio_get_ops",
        fix: Fix {
            nixos: "take a newer release (hardware.nvidia.vgpu.release), or an older kernel (boot.kernelPackages): this \
                    source of the driver is older than the kernel's rule for symbol_get",
            elsewhere: "install a newer release, or an older kernel: this source of the driver is older than the kernel's \
                        rule for symbol_get",
        },
        answer: |seen| {
            let refused =
                ["symbol_get of non-GPLONLY symbol nvidia_vgpu", "Unable to get symbol for nvidia_vgpu_vfio_get_ops"];
            seen.free_of(Log::Kernel, &refused)
        },
    },
    Check {
        id: "unlock-symbols",
        group: Group::Modules,
        after: &["host-driver"],
        question: "Does the kernel have what the unlocking patch uses?",
        symptom: "Unknown symbol enable_apicv",
        fix: Fix {
            nixos: "boot.kernelPackages = pkgs.linuxPackages_6_1; or a patcher that does not need it: the kernel has not \
                    exported enable_apicv since 6.8",
            elsewhere: "use a kernel before 6.8, or a patcher that does not need it",
        },
        answer: |seen| seen.free_of(Log::Kernel, &["Unknown symbol enable_apicv"]),
    },
    Check {
        id: "vfio-module",
        group: Group::Modules,
        after: &["host-driver", "vfio-version", "vfio-symbols", "unlock-symbols"],
        question: "Is the module nvidia-vgpu-vfio loaded?",
        symptom: "mdevctl types prints nothing, though nvidia-smi works",
        fix: Fix {
            nixos: "restart the machine; our host module sets boot.kernelModules = [ \"nvidia-vgpu-vfio\" ];",
            elsewhere: "modprobe nvidia-vgpu-vfio, and put it into /etc/modules-load.d",
        },
        answer: |seen| match seen.has_module("nvidia_vgpu_vfio") {
            true => Finding::ok("/proc/modules: nvidia_vgpu_vfio"),
            false => Finding::failed("/proc/modules: no nvidia_vgpu_vfio"),
        },
    },
    Check {
        id: "vfio-kernel",
        group: Group::Modules,
        after: &["vfio-module"],
        question: "Can this kernel make vGPUs on virtual functions?",
        symptom: "Kernel doesn't support SRIOV based vGPU, aborting.",
        fix: Fix {
            nixos: "use one of nixpkgs' kernels, or build yours with VFIO_PCI_CORE: \
                    boot.kernelPatches = [ { name = \"vfio\"; patch = null; structuredExtraConfig.VFIO_PCI_CORE = lib.kernel.module; } ];",
            elsewhere: "use a kernel with CONFIG_VFIO_PCI_CORE, and build NVIDIA's modules against it again",
        },
        answer: |seen| seen.free_of(Log::Kernel, &["Kernel doesn't support SRIOV based vGPU"]),
    },
    Check {
        id: "support",
        group: Group::Modules,
        after: &["nvidia-module"],
        question: "Is the release known, and does NVIDIA still support it?",
        symptom: "no security updates; new kernels and GPUs don't work",
        fix: Fix {
            nixos: "choose a newer branch that has your GPU: `vgpu releases`, then hardware.nvidia.vgpu.release",
            elsewhere: "choose a newer branch that has your GPU: vgpu releases",
        },
        answer: support,
    },
];

/// Secure Boot, or lockdown.
pub fn signature(seen: &Observed) -> Finding {
    let refused = [
        "Key was rejected by service",
        "unsigned module loading is restricted",
        "Loading of unsigned module",
        "Loading of module with unavailable key",
    ];
    Finding::worst([Log::Kernel, Log::Machines].map(|log| seen.free_of(log, &refused)))
}

/// The words of both kinds of modules (open-gpu-kernel-modules, kernel-open/nvidia/nv-pci.c and src/nvidia/arch/nvalloc).
pub fn flavour(seen: &Observed) -> Finding {
    let refused =
        ["not supported by open", "requires use of the NVIDIA open", "requires use of the NVIDIA proprietary"];
    seen.free_of(Log::Kernel, &refused)
}

fn gpu_driver(seen: &Observed) -> Finding {
    // It is normal that another GPU is passed through as a whole.
    let one_has_nvidia = seen.gpus.iter().any(|host| host.gpu.function.driver.as_deref() == Some("nvidia"));
    Finding::worst(seen.gpus.iter().map(|host| {
        let driver = host.gpu.function.driver.as_deref();
        let evidence = format!("{} driver: {}", host.address(), driver.unwrap_or("none"));
        match driver {
            Some("nvidia") => Finding::ok(evidence),
            // sriov-manage gives it to this driver for a moment: the check of virtual functions knows.
            Some("pci-pf-stub") => Finding::ok(evidence),
            // Without the module, no driver can have it. The next check is about that.
            None if seen.driver.is_none() => Finding::irrelevant(),
            _ if one_has_nvidia => Finding::warning(evidence),
            _ => Finding::failed(evidence),
        }
    }))
}

/// A loaded module has compiled. If it is not loaded, and its kernel is none of the measured ones, compiling may have failed.
fn kernel_fit(seen: &Observed) -> Finding {
    let kernel = seen.machine.kernel.as_deref().unwrap_or_default();
    if let Some(loaded) = &seen.driver {
        return Finding::ok(format!("/proc/sys/kernel/osrelease: {kernel}; {loaded} is loaded"));
    }
    let fit = || {
        let (path, installed) = installed(seen)?;
        let measured = Kernels::builtin().of(&installed.parse().ok()?)?;
        let evidence = format!("/proc/sys/kernel/osrelease: {kernel}; {path}: {installed}, for kernels {measured}");
        let fits = measured.expects(&kernel.parse().ok()?);
        let releases = format!("vgpu releases --kernel {kernel}");
        Some(if fits {
            Finding::ok(evidence)
        } else if seen.machine.nixos.is_some() {
            Finding::failed(evidence)
                .fix(format!("boot.kernelPackages = pkgs.linuxPackages_6_12; or a release for this kernel: {releases}"))
        } else {
            Finding::failed(evidence)
                .fix(format!("start an older kernel, or install a release for this one: {releases}"))
        })
    };
    fit().unwrap_or_else(Finding::irrelevant)
}

/// Whether the driver is loaded. If not, and the system was rebuilt since its start, that is the reason.
pub fn nvidia_module(seen: &Observed) -> Finding {
    if let Some(version) = &seen.driver {
        return Finding::ok(format!("/proc/driver/nvidia/version: {version}"));
    }
    let loaded = seen.has_module("nvidia");
    let modules = if loaded { "/proc/modules has nvidia" } else { "/proc/modules: no nvidia" };
    let evidence = format!("/proc/driver/nvidia/version: missing; {modules}");
    if rebuilt(seen) {
        let evidence = format!("{evidence}\nthe running kernel's modules are not those of /run/current-system");
        return Finding::failed(evidence).fix("restart the machine: the system was rebuilt since its start");
    }
    Finding::failed(evidence)
}

/// Whether NixOS was switched to a system with other kernel modules since the start.
fn rebuilt(seen: &Observed) -> bool {
    let modules = |system: &str| {
        let link = seen.root.join("run").join(system).join("kernel-modules");
        std::fs::read_link(&link).or_else(|_| link.canonicalize()).ok()
    };
    match (modules("booted-system"), modules("current-system")) {
        (Some(booted), Some(current)) => booted != current,
        _ => false,
    }
}

fn host_driver(seen: &Observed) -> Finding {
    if seen.has_module("nvidia_vgpu_vfio") {
        return Finding::ok("/proc/modules: nvidia_vgpu_vfio");
    }
    let state = |name| seen.state(name) == State::Missing;
    if state("nvidia-vgpud") && state("nvidia-vgpu-mgr") {
        let units = "/etc/systemd/system: no units nvidia-vgpud and nvidia-vgpu-mgr";
        return Finding::failed(format!("{units}; /proc/modules: no nvidia_vgpu_vfio"));
    }
    Finding::ok("there are units nvidia-vgpud and nvidia-vgpu-mgr")
}

/// Compares the loaded version with the installed one.
pub fn versions(seen: &Observed) -> Finding {
    let Some(loaded) = &seen.driver else { return Finding::unknown("/proc/driver/nvidia/version: missing") };
    let Some((path, installed)) = installed(seen) else {
        return Finding::unknown("no libnvidia-ml.so.VERSION and no service tells the installed version");
    };
    let evidence = format!("/proc/driver/nvidia/version: {loaded}; {path}: {installed}");
    if *loaded == installed { Finding::ok(evidence) } else { Finding::failed(evidence) }
}

/// The version of the installed driver, by the name of its NVML or of the store path that its services run from.
fn installed(seen: &Observed) -> Option<(String, String)> {
    let is_version = |text: &str| text.parse::<DriverVersion>().is_ok();
    let library = LIBRARIES.iter().find_map(|directory| {
        let names = files::entries(&seen.root.join(directory)).filter_map(|path| files::name(&path));
        let version = |name: String| name.strip_prefix("libnvidia-ml.so.").filter(|v| is_version(v)).map(str::to_owned);
        let newest = names.filter_map(version).max()?;
        Some((format!("/{directory}/libnvidia-ml.so.{newest}"), newest))
    });
    let by_service = || {
        let program = seen.services.iter().find_map(|service| service.program.clone())?;
        // /nix/store/<hash>-nvidia-x11-550.163.02-6.12.8-programs/bin/nvidia-vgpud
        let name = program.strip_prefix("/nix/store/")?.split('/').next()?.to_owned();
        let version = name.split('-').find(|part| part.matches('.').count() == 2 && is_version(part))?.to_owned();
        Some((program, version))
    };
    library.or_else(by_service)
}

/// What the catalog knows about the loaded driver.
pub fn support(seen: &Observed) -> Finding {
    let Some(version) = seen.driver.as_deref() else { return Finding::irrelevant() };
    let catalog = Catalog::builtin();
    let Some(target) = catalog.target(version, seen.role) else {
        return Finding::warning(format!("{version} is of no branch of vGPU software that is known here"));
    };
    let name = match target.releases.last() {
        Some(release) => format!("release {release}"),
        None => format!("branch {}, a release that is not known here", target.branch),
    };
    let end = catalog.branch(target.branch).and_then(|branch| branch.end_of_life);
    match end {
        Some(month) if Month::now() > month => {
            Finding::warning(format!("{version} is {name}: NVIDIA's support ended with {month}"))
        }
        Some(month) => Finding::ok(format!("{version} is {name}: NVIDIA supports it until {month}")),
        None if target.releases.is_empty() && seen.role == Role::Host => {
            Finding::warning(format!("{version} is of {name}"))
        }
        None => Finding::ok(format!("{version} is {name}")),
    }
}
