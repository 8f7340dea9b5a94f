# The kernel modules and programs of a driver, built for real against Debian's kernel headers. .ci/kernel-modules.sh runs it.
#
#   nix-build nix/tests/kernel-modules.nix -A modules --argstr archive GRID.zip --argstr vgpu target/debug/vgpu
{
  lib ? import <nixpkgs/lib>,
  # A GRID .zip or .run with the sources of a 550 driver in it.
  archive,
  role ? "guest",
  # The program, finished.
  vgpu,
  # Of the headers that are installed.
  kernelRelease ? "6.1.0-47-amd64",
  system ? "x86_64-linux",
}:

let
  pkgs = import ./host-tools.nix {
    inherit
      lib
      system
      vgpu
      kernelRelease
      ;
  };
  evaluated = import ./eval.nix { inherit lib pkgs; } {
    guest = role == "guest";
    modules = [
      (
        { config, ... }:
        {
          # The archive as it is, where a user's comes from NVIDIA with a hash.
          hardware.nvidia.package =
            let
              inherit (config.boot.kernelPackages) nvidiaPackages;
              driver = if role == "guest" then nvidiaPackages.grid_17_6 else nvidiaPackages.vgpu_17_6;
            in
            driver.overrideAttrs {
              src = builtins.path {
                path = archive;
                name = baseNameOf archive;
              };
            };
        }
      )
    ];
  };
in
{
  modules = evaluated.config.hardware.nvidia.package.mod;
  programs = evaluated.config.hardware.nvidia.package.bin;
}
