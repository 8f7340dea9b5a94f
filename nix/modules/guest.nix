# A virtual machine: NVIDIA's GRID driver and its services.
{
  config,
  lib,
  options,
  ...
}:

let
  inherit (config.hardware.nvidia) package;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
  inherit (import ../lib/nixpkgs-module.nix { inherit config lib; }) nixpkgsActs;
  vmVariant = options.virtualisation ? qemu;
  withRole = file: lib.modules.importApply file { role = "guest"; };
in
{
  imports = [
    (withRole ./driver.nix)
    (withRole ./source.nix)
    (withRole ./patching.nix)
    ./kernel-modules.nix
    ./licensing.nix
  ];

  config = lib.mkIf driverIsOurs {
    # There is no warning about a driver that an assertion refuses, and none in NixOS' VM variant of this machine: its GPU
    # is QEMU's.
    warnings = lib.optional (package.vgpu.role == "guest" && !nixpkgsActs && !vmVariant) ''
      hardware.nvidia.package is a vGPU guest driver, but nothing loads it: add "nvidia" to services.xserver.videoDrivers
      (this does not start a desktop).
    '';

    hardware.nvidia = {
      modesetting.enable = lib.mkDefault true;
      # The GPU's system processor (GSP) serves the host and not the guest. But open kernel modules need its firmware.
      gsp.enable = lib.mkDefault (config.hardware.nvidia.open == true);
    };

    environment.etc."nvidia/nvidia-topologyd.conf.template".source =
      "${package.out}/nvidia-topologyd.conf.template";

    systemd.services.nvidia-topologyd = {
      description = "NVIDIA Topology Daemon";
      wantedBy = [ "multi-user.target" ];
      # Like nvidia-gridd: after a restart it would meet the modules of the old release.
      restartIfChanged = false;
      serviceConfig = {
        Type = "forking";
        ExecStart = "${package.vgpu.programs}/bin/nvidia-topologyd";
      };
    };
  };
}
