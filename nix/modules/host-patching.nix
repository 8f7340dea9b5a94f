# What vGPU-Unlock-patcher does for hosts alone: merged drivers, remapping, and the patcher as a command.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.hardware.nvidia.vgpu;
  inherit (config.hardware.nvidia) package;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
  inherit (import ../lib/nixpkgs-module.nix { inherit config lib; }) screens;
in
{
  options.hardware.nvidia.vgpu.patcher = {
    options.remapP40ProfilesToV100D = lib.mkEnableOption ''
      the profiles of V100D for boards that have those of P40 (`--remap-p2v`). The drivers of 17.x dropped Pascal's
      profiles; for other releases there is nothing to remap'';

    enablePatcherCmd = lib.mkEnableOption ''
      the command `nvidia-vup`, the patcher, on the system path. Use it to patch drivers for guests that don't run
      NixOS, Windows for instance'';
  };

  config = lib.mkMerge [
    {
      assertions = [
        {
          assertion = screens && driverIsOurs -> cfg.patcher.enable;
          message = ''
            services.xserver.videoDrivers has "nvidia", so this host's own screens need the driver too, and NVIDIA's host
            driver has no graphics. Set hardware.nvidia.vgpu.patcher.enable = true to merge it with the
            driver for screens, or take "nvidia" out of services.xserver.videoDrivers.
          '';
        }
        {
          assertion = cfg.patcher.enablePatcherCmd -> driverIsOurs && package.patcher != null;
          message = ''
            hardware.nvidia.vgpu.patcher.enablePatcherCmd: there is no vGPU-Unlock-patcher for the driver in use.
            Use a driver that has one (nvidiaPackages.vgpu_17_3 for instance), or set the option to false.
          '';
        }
      ];
    }

    (lib.mkIf driverIsOurs {
      assertions = [
        {
          assertion =
            cfg.patcher.options.remapP40ProfilesToV100D -> lib.hasPrefix "17." package.vgpu.gridVersion;
          message = ''
            hardware.nvidia.vgpu.patcher.options.remapP40ProfilesToV100D is for releases 17.x; this is ${package.vgpu.gridVersion}.
            16.x still has the profiles of P40, and later patchers have no such option. Set it to false.
          '';
        }
      ];

      environment.systemPackages = lib.optional cfg.patcher.enablePatcherCmd (
        pkgs.callPackage ../packages/nvidia-vup.nix { inherit (package.vgpu.tools) vgpu-patcher; } {
          inherit (package) patcher;
          inherit (package.vgpu) source;
        }
      );
    })
  ];
}
