# Hosts without screens. nixpkgs' nvidia module does nothing for them. This module does what that one does for hosts with
# screens, by the same options. The model is nixos/modules/hardware/video/nvidia.nix of nixpkgs 26.05, without what only an
# X server needs.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:

let
  cfg = config.hardware.nvidia;
  inherit (cfg) package powerManagement;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
  inherit (import ../lib/nixpkgs-module.nix { inherit config lib; }) nixpkgsActs;

  # Options that came with 26.05.
  hasModuleParams = options.hardware.nvidia ? moduleParams;
  hasSuspendNotifier = options.hardware.nvidia.powerManagement ? kernelSuspendNotifier;

  open = cfg.open == true;
  suspendNotifier = hasSuspendNotifier && powerManagement.kernelSuspendNotifier;
  # NVIDIA's scripts save the memory of the GPUs. With the notifier, the driver does it itself.
  suspendByServices = powerManagement.enable && !suspendNotifier;

  moduleParams =
    lib.optionalAttrs powerManagement.enable { NVreg_PreserveVideoMemoryAllocations = 1; }
    // lib.optionalAttrs (powerManagement.enable && suspendNotifier) {
      NVreg_UseKernelSuspendNotifiers = 1;
    }
    // lib.optionalAttrs powerManagement.finegrained { NVreg_DynamicPowerManagement = "0x02"; };
  optionsLine =
    module: parameters:
    lib.optionalString (parameters != { })
      "options ${module} ${
        lib.concatStringsSep " " (lib.mapAttrsToList (name: value: "${name}=${toString value}") parameters)
      }";

  # They are null where no source is pinned. driver.nix has an assertion for that.
  nvidiaSettings = cfg.nvidiaSettings && package.settings != null;
  nvidiaPersistenced = cfg.nvidiaPersistenced && package.persistenced != null;

  mkOurDefault = lib.mkOverride 900;

  # Saves the memory of the GPUs when the host goes to sleep, and restores it when the host wakes.
  sleepService = state: {
    description = "NVIDIA system ${state} actions";
    path = [ pkgs.kbd ];
    before = [ "systemd-${state}.service" ];
    requiredBy = [ "systemd-${state}.service" ];
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "${package.out}/bin/nvidia-sleep.sh '${state}'";
    };
  };
in
{
  config = lib.mkIf (driverIsOurs && !nixpkgsActs) (
    lib.mkMerge (
      [
        {
          boot = {
            blacklistedKernelModules = [
              "nouveau"
              "nova_core"
              "nvidiafb"
            ];
            kernelModules = [ "nvidia" ];
            extraModulePackages = [ (if open then package.open else package.mod) ];
            # It is loaded after nvidia, and only on machines that load nvidia. Its device files come from the rules below.
            extraModprobeConfig = "softdep nvidia post: nvidia-uvm";
            kernelParams = lib.optional (!open && !package.ibtSupport) "ibt=off";
          };
          hardware.firmware = [ package.firmware ];
          environment.systemPackages = [
            package.vgpu.programs
          ]
          ++ lib.optional nvidiaSettings package.settings
          ++ lib.optional nvidiaPersistenced package.persistenced;

          # Programs and container toolkits look for the driver there. nixpkgs makes it where hardware.graphics.enable is set.
          hardware.graphics.extraPackages = [ package.out ];
          hardware.graphics.extraPackages32 = lib.optional (package.lib32 != null) package.lib32;

          # nixpkgs' defaults for these depend on the driver, which it does not see on such a host.
          hardware.nvidia.gsp.enable = mkOurDefault (open || lib.versionAtLeast package.version "555");

          services.udev.extraRules = ''
            # Device files. NVIDIA's modules do not make them.
            KERNEL=="nvidia", RUN+="${pkgs.runtimeShell} -c 'mknod -m 666 /dev/nvidiactl c 195 255'"
            KERNEL=="nvidia", RUN+="${pkgs.runtimeShell} -c 'for i in $$(cat /proc/driver/nvidia/gpus/*/information | grep Minor | cut -d \  -f 4); do mknod -m 666 /dev/nvidia$${i} c 195 $${i}; done'"
            KERNEL=="nvidia_uvm", RUN+="${pkgs.runtimeShell} -c 'mknod -m 666 /dev/nvidia-uvm c $$(grep nvidia-uvm /proc/devices | cut -d \  -f 1) 0'"
            KERNEL=="nvidia_uvm", RUN+="${pkgs.runtimeShell} -c 'mknod -m 666 /dev/nvidia-uvm-tools c $$(grep nvidia-uvm /proc/devices | cut -d \  -f 1) 1'"
          '';
        }

        # Parameters of modules. nixpkgs has an option for them since 26.05. Older releases get lines for modprobe.
        (lib.optionalAttrs hasModuleParams {
          hardware.nvidia.moduleParams.nvidia = moduleParams;
          boot.extraModprobeConfig = lib.concatStringsSep "\n" (
            lib.mapAttrsToList optionsLine cfg.moduleParams
          );
        })
        (lib.optionalAttrs (!hasModuleParams) {
          boot.extraModprobeConfig = optionsLine "nvidia" moduleParams;
        })

        (lib.optionalAttrs hasSuspendNotifier {
          hardware.nvidia.powerManagement.kernelSuspendNotifier = mkOurDefault (
            open && lib.versionAtLeast package.version "595"
          );
        })

        (lib.mkIf suspendByServices {
          systemd.packages = [ package.out ];
          systemd.services = {
            nvidia-suspend = sleepService "suspend";
            nvidia-hibernate = sleepService "hibernate";
            nvidia-resume = sleepService "resume" // {
              before = [ ];
              after = [
                "systemd-suspend.service"
                "systemd-hibernate.service"
              ];
              requiredBy = [
                "systemd-suspend.service"
                "systemd-hibernate.service"
              ];
            };
          };
        })

        (lib.mkIf powerManagement.finegrained {
          services.udev.extraRules = ''
            # Lets a GPU that has a driver sleep while it has no work.
            ACTION=="bind", SUBSYSTEM=="pci", ATTR{vendor}=="0x10de", ATTR{class}=="0x03[0-9]*", TEST=="power/control", ATTR{power/control}="auto"
            ACTION=="unbind", SUBSYSTEM=="pci", ATTR{vendor}=="0x10de", ATTR{class}=="0x03[0-9]*", TEST=="power/control", ATTR{power/control}="on"
          '';
        })

        (lib.mkIf nvidiaPersistenced {
          systemd.services.nvidia-persistenced = {
            description = "NVIDIA Persistence Daemon";
            wantedBy = [ "multi-user.target" ];
            serviceConfig = {
              Type = "forking";
              Restart = "always";
              PIDFile = "/var/run/nvidia-persistenced/nvidia-persistenced.pid";
              ExecStart = "${lib.getExe package.persistenced} --verbose";
              ExecStopPost = "${pkgs.coreutils}/bin/rm -rf /var/run/nvidia-persistenced";
            };
          };
        })

        (lib.mkIf cfg.dynamicBoost.enable {
          services.dbus.packages = [ package.vgpu.programs ];
          systemd.services.nvidia-powerd = {
            description = "NVIDIA Dynamic Boost Daemon";
            wantedBy = [ "multi-user.target" ];
            # It calls lscpu.
            path = [ pkgs.util-linux ];
            serviceConfig = {
              Type = "dbus";
              BusName = "nvidia.powerd.server";
              ExecStart = "${package.vgpu.programs}/bin/nvidia-powerd";
            };
          };
        })

        # Docker's old runtime mounts these folders into containers.
        (lib.mkIf config.virtualisation.docker.enableNvidia {
          systemd.tmpfiles.rules = [
            "L+ /run/nvidia-docker/bin - - - - ${package.vgpu.programs}/origBin"
          ]
          ++
            lib.optional (package.persistenced != null)
              "L+ /run/nvidia-docker/extras/bin/nvidia-persistenced - - - - ${package.persistenced}/origBin/nvidia-persistenced";
        })
      ]
      # Without this, nixpkgs refuses hosts whose X server has no "nvidia". But these hosts have the driver.
      ++ lib.optional (options.hardware ? nvidia-container-toolkit.suppressNvidiaDriverAssertion) {
        hardware.nvidia-container-toolkit.suppressNvidiaDriverAssertion = lib.mkDefault true;
      }
    )
  );
}
