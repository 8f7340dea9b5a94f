# Which kernel modules are built, open or closed, and whether they are known to compile with the kernel.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (config.hardware.nvidia) open package;
  inherit (config.boot.kernelPackages) kernel;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
  kernels = import ../lib/kernels.nix {
    inherit lib;
    available = name: pkgs ? ${name};
  };

  inherit (import ../lib/compat.nix { inherit lib pkgs; }) modulesApart;
  inherit (import ../lib/nixpkgs-module.nix { inherit config lib; }) nixpkgsActs;

  driver = "vGPU ${package.vgpu.gridVersion} (${package.version})";
  doubt = kernels.doubt {
    driver = package.version;
    kernel = kernel.version;
  };
  hostDoubt = kernels.hostDoubt kernel.version;
  patchedHost = package.vgpu.role == "host" && config.hardware.nvidia.vgpu.patcher.enable;
in
{
  config = lib.mkIf driverIsOurs {
    # Which GPU a machine has is not known here. The closed modules serve all but Blackwell and later, where
    # `vgpu init` says so. What the user sets comes first. Defaults of other modules (nixos-hardware) do not.
    hardware.nvidia.open = lib.mkOverride 900 false;

    # nixpkgs' module up to 25.11 looks for closed modules in the output `bin`. There they would be built even where the
    # open ones are loaded: twice the time, and a failure where only the open ones compile.
    boot.extraModulePackages = lib.mkIf (nixpkgsActs && !modulesApart && open != true) [ package.mod ];

    assertions = [
      {
        assertion = open == true -> lib.versionAtLeast package.version "515";
        message = ''
          hardware.nvidia.open: NVIDIA has made open kernel modules since driver 515, and ${driver} has none.
          Set it to false, or choose a newer release.
        '';
      }
      {
        assertion = open == true -> !patchedHost;
        message = ''
          hardware.nvidia.open: vGPU-Unlock-patcher changes the closed kernel modules alone; on open ones
          hardware.nvidia.vgpu.patcher.enable would unlock nothing. Set one of the two to false.
        '';
      }
    ];

    warnings =
      lib.optional (doubt != null && !config.boot.isContainer) ''
        The kernel modules of ${driver} are not known to compile with Linux ${kernel.version}: ${doubt}.
        If they don't, ${kernels.advice package.version}
      ''
      ++ lib.optional (hostDoubt != null && package.vgpu.role == "host" && !config.boot.isContainer) ''
        Virtual machines with vGPUs of ${driver} may not start with Linux ${kernel.version}:
        ${hostDoubt}
      '';
  };
}
