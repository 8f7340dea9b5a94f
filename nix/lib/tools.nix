# Programs that do not depend on a driver, and what is decided once for a package set.
{ lib, pkgs }:

rec {
  compat = import ./compat.nix { inherit lib pkgs; };
  vgpu = pkgs.callPackage ../packages/vgpu.nix { inherit compat; };
  gridd-unlock-patcher = pkgs.callPackage ../packages/gridd-unlock-patcher.nix { };
}
