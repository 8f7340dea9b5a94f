# The hypervisor: NVIDIA's vGPU manager and its services.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:

let
  inherit (config.hardware.nvidia) package;

  ours = import ../lib/is-ours.nix { inherit config lib options; };
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
    ./module-parameters.nix
    ./profiles.nix
  ];

  config = lib.mkIf ours {
    boot.kernelModules = [ "nvidia-vgpu-vfio" ];

    # Virtual machines hang when these go away under them, so a new configuration never restarts them.
    systemd.services = {
      nvidia-vgpud = {
        description = "NVIDIA vGPU Daemon";
        wantedBy = [ "multi-user.target" ];
        after = [ "systemd-modules-load.service" ];
        restartIfChanged = false;
        serviceConfig = {
          Type = "forking";
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
        serviceConfig = {
          Type = "forking";
          KillMode = "process";
          ExecStart = "${package.vgpu.programs}/bin/nvidia-vgpu-mgr";
          ExecStopPost = "${pkgs.coreutils}/bin/rm -rf /var/run/nvidia-vgpu-mgr";
        };
      };

      # Writes GPU errors to a file of its own; for support cases, started by hand.
      nvidia-xid-logd = {
        description = "NVIDIA Xid Log Daemon";
        restartIfChanged = false;
        serviceConfig = {
          Type = "forking";
          ExecStart = "${package.vgpu.programs}/bin/nvidia-xid-logd";
          RuntimeDirectory = "nvidia-xid-logd";
        };
      };
    };
  };
}
