# Kernel modules from sources that a test makes, in the folders `kernel` or `kernel-open` below `sources`.
# crates/vgpu/tests/kernel_modules.rs builds them for the messages, .ci/kernel-modules.sh to see NVIDIA's compile.
{
  lib,
  sources,
  open ? false,
  hooks ? { },
  kernelRelease ? "6.1.0-47-amd64",
  # Of the sources.
  version ? "550.163.02",
}:

let
  pkgs = import ./host-tools.nix { inherit lib kernelRelease; };
  modsrc = builtins.path {
    path = sources;
    name = "sources";
  };
in
pkgs.callPackage ../packages/kernel-modules.nix {
  inherit (pkgs.linuxPackages) kernel;
  inherit open hooks;
  moduleMakeFlags = [ ];
  driver = {
    name = "nvidia-vgpu-host-${version}";
    inherit version modsrc;
    meta = {
      description = "a driver";
      homepage = "";
      license = lib.licenses.unfree;
      platforms = [ ];
      broken = false;
    };
  };
}
