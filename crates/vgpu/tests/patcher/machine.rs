//! The options under hardware.nvidia.vgpu.patcher, from a configuration to the installed driver.

use std::fs;
use std::path::Path;

use crate::packages::{Store, read};

const GPL: &str = "--enable-nvidia-gpl-for-experimenting --force-nvidia-gpl-I-know-it-is-wrong";

/// The configuration of a host with these settings, as an expression.
fn host(module: &str) -> String {
    format!("(machine {{ module = {{ config, ... }}: {{ {module} }}; }})")
}

#[test]
fn options_end_in_the_right_command_line_and_the_right_installed_driver() {
    let Some(store) = Store::new() else { return };
    let options = "hardware.nvidia.vgpu.patcher.options";
    let forced = format!("{options}.doNotForceGPLLicense = false;");
    let merged = r#"services.xserver.videoDrivers = [ "nvidia" ];"#;
    let more = r#"remapP40ProfilesToV100D = true; extra = [ "--spoof-devid" "--no-klogtrace" ];"#;
    let guest = format!("(machine {{ guest = true; module = {{ {forced} {merged} }}; }})");
    let config = ("out", "vgpuConfig.xml");
    for (machine, command_line, version, (output, file)) in [
        (host(&forced), format!("{GPL} vgpu-kvm"), "550.90.05", config),
        (host(&format!("{options}.doNotForceGPLLicense = true;")), "vgpu-kvm".into(), "550.90.05", config),
        (
            host(&format!("{options} = {{ doNotForceGPLLicense = false; {more} }};")),
            format!("{GPL} --remap-p2v --spoof-devid --no-klogtrace vgpu-kvm"),
            "550.90.05",
            config,
        ),
        (host(&format!("{forced} {merged}")), format!("{GPL} general-merge"), "550.90.07", config),
        (guest, format!("{GPL} grid"), "550.90.07", ("vgpu.programs", "bin/nvidia-gridd")),
    ] {
        let package = format!("{machine}.hardware.nvidia.package");
        assert_eq!(store.evaluate(&format!("{package}.version")), format!("{version:?}"));
        assert_eq!(read(store.build(&format!("{package}.src")).join("command-line")), format!("{command_line}\n"));
        let installed = store.build(&format!("{package}.{output}"));
        assert!(installed.join(file).is_file(), "{command_line}: no {file}");
        let sources = store.build(&format!("{package}.modsrc")).join("kernel");
        let kbuild = read(sources.join("nvidia/nvidia.Kbuild"));
        assert!(kbuild.contains("unlock/hooks.c") && sources.join("unlock/hooks.c").is_file());
    }
}

#[test]
fn profiles_do_not_run_the_patcher_again() {
    let Some(store) = Store::new() else { return };
    let driver = |module: &str| store.evaluate(&format!("{}.hardware.nvidia.package.drvPath", host(module)));
    let changed = r#"hardware.nvidia.vgpu.patcher = {
        copyVGPUProfiles."1E84:0000" = "1E30:12BA";
        profileOverrides."333".heads = 1;
    };"#;
    assert_eq!(driver(changed), driver(""));
    let config = |module: &str| store.evaluate(&format!("{}.hardware.nvidia.vgpu.vgpuConfig", host(module)));
    assert_ne!(config(changed), config(""));
}

#[test]
fn a_drivers_patcher_can_be_overridden_as_the_readme_shows() {
    let Some(store) = Store::new() else { return };
    let package = |change: &str| {
        let driver = format!(
            r#"(config.boot.kernelPackages.nvidiaPackages.mkVgpuDriver {{
                version = "550.90.05";
                sha256 = "";
                guestVersion = "550.90.07";
                guestSha256 = "";
                generalVersion = "550.90.07";
                gridVersion = "17.3";
                zipFilename = "NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip";
                useSettings = false;
                usePersistenced = false;
                vgpuPatcher = config.boot.kernelPackages.nvidiaPackages.mkVgpuPatcher attributes;
            }}){change}"#
        );
        format!("{}.hardware.nvidia.package", host(&format!("hardware.nvidia.package = {driver};")))
    };
    let changed =
        package(r#".overrideAttrs (self: super: { patcher = self.patcher.override { version = "mine"; }; })"#);
    assert_eq!(store.evaluate(&format!("{}.patcher.version", package(""))), "\"550.90\"");
    assert_eq!(store.evaluate(&format!("{changed}.patcher.version")), "\"mine\"");
    assert!(store.build(&format!("{changed}.src")).join("command-line").is_file());
    // The driver is made with the patcher it says it has.
    assert_ne!(
        store.evaluate(&format!("{changed}.src.drvPath")),
        store.evaluate(&format!("{}.src.drvPath", package("")))
    );
}

#[test]
fn enable_patcher_cmd_puts_nvidia_vup_on_the_system_path() {
    let Some(store) = Store::new() else { return };
    let module = "hardware.nvidia.vgpu.patcher.enablePatcherCmd = true;";
    let command = |module: &str| {
        let found = r#"builtins.filter (package: builtins.match "nvidia-vup.*" (package.name or "") != null)"#;
        format!("{found} {}.environment.systemPackages", host(module))
    };
    assert_eq!(store.evaluate(&command("")), "[ ]");
    let program = store.build(&command(module)).join("bin/nvidia-vup");
    let script = read(&program);
    for path in script.split_whitespace().filter(|word| word.ends_with(".zip") || word.ends_with(".run")) {
        assert!(Path::new(path).exists(), "{path}");
    }
    assert!(fs::metadata(program).unwrap().is_file());
}

#[test]
fn hooks_change_patched_drivers_too() {
    let Some(store) = Store::new() else { return };
    let package = format!("{}.hardware.nvidia.package", host(""));
    let hooked = format!("({package}.overrideAttrs {{ postPatch = \"echo hooked >> vgpuConfig.xml\"; }})");
    assert!(read(store.build(&format!("{hooked}.out")).join("vgpuConfig.xml")).ends_with("hooked\n"));
    // This changes a copy. The patcher has not run again, and its result is the same as before.
    assert_eq!(store.evaluate(&format!("{hooked}.src.drvPath")), store.evaluate(&format!("{package}.src.drvPath")));
    assert!(!read(store.build(&format!("{package}.src")).join("vgpuConfig.xml")).contains("hooked"));
}
