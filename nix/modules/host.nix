# The hypervisor: NVIDIA's vGPU manager and its services.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (config.hardware.nvidia) package;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
  hardening = import ../lib/hardening.nix;
  withRole = file: lib.modules.importApply file { role = "host"; };
in
{
  imports = [
    (withRole ./driver.nix)
    (withRole ./source.nix)
    (withRole ./patching.nix)
    ./kernel-modules.nix
    ./headless.nix
    ./host-patching.nix
    ./instances.nix
    ./module-parameters.nix
    ./profiles.nix
  ];

  config = lib.mkIf driverIsOurs {
    boot.kernelModules = [ "nvidia-vgpu-vfio" ];

    # A virtual machine hangs when one of these services ends. So a new configuration never restarts them.
    systemd.services = {
      nvidia-vgpud = {
        description = "NVIDIA vGPU Daemon";
        wantedBy = [ "multi-user.target" ];
        after = [ "systemd-modules-load.service" ];
        restartIfChanged = false;
        serviceConfig = hardening // {
          Type = "forking";
          PrivateTmp = true;
          # It tells the driver the profiles, and ends. Without this, a switch would start it again, with the files of the
          # new configuration, under the vGPUs of the old one.
          RemainAfterExit = true;
          ExecStart = "${package.vgpu.programs}/bin/nvidia-vgpud";
          ExecStopPost = "${pkgs.coreutils}/bin/rm -rf /var/run/nvidia-vgpud";
        };
      };

      nvidia-vgpu-mgr = {
        description = "NVIDIA vGPU Manager Daemon";
        wantedBy = [ "multi-user.target" ];
        requires = [ "nvidia-vgpud.service" ];
        after = [ "nvidia-vgpud.service" ];
        restartIfChanged = false;
        # It starts a process for each virtual machine. That process reads QEMU's command line and memory, and must outlive a
        # restart. So it has no /tmp, /proc, processes or network of its own, and KillMode is `process`.
        serviceConfig = hardening // {
          Type = "forking";
          KillMode = "process";
          ExecStart = "${package.vgpu.programs}/bin/nvidia-vgpu-mgr";
          ExecStopPost = "${pkgs.coreutils}/bin/rm -rf /var/run/nvidia-vgpu-mgr";
        };
      };

      # Writes errors of the GPU to a file of its own, for NVIDIA's support. It is off by default. With
      # `systemd.services.nvidia-xid-logd.enable = true` it starts with the machine.
      nvidia-xid-logd = {
        enable = lib.mkDefault false;
        description = "NVIDIA Xid Log Daemon";
        wantedBy = [ "multi-user.target" ];
        restartIfChanged = false;
        serviceConfig = hardening // {
          Type = "forking";
          PrivateTmp = true;
          ExecStart = "${package.vgpu.programs}/bin/nvidia-xid-logd";
          RuntimeDirectory = "nvidia-xid-logd";
        };
      };
    };
  };
}
