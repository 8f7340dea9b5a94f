# Programs that do not depend on a driver, and what is decided once for a package set.
{ lib, pkgs }:

let
  compat = import ./compat.nix { inherit lib pkgs; };
  rustProgram = pkgs.callPackage ../packages/rust-program.nix { };
  program = file: pkgs.callPackage file { inherit rustProgram; };
in
{
  inherit compat;
  vgpu = program ../packages/vgpu.nix;
  vgpu-builder = program ../packages/vgpu-builder.nix;
  vgpu-patcher = program ../packages/vgpu-patcher.nix;
  vgpu-profiles = program ../packages/vgpu-profiles.nix;
  gridd-unlock-patcher = pkgs.callPackage ../packages/gridd-unlock-patcher.nix { };
}
