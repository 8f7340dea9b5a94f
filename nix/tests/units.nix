# The units that our modules make, as NixOS writes them: crates/vgpu/tests/nixos.rs has systemd verify them.
#
#   nix-instantiate --eval --strict --json nix/tests/units.nix
#
# { host, guest }, each name → text.
{
  lib ? import <nixpkgs/lib>,
  nixpkgs ? <nixpkgs>,
}:

let
  inherit (import ./nixos { inherit lib nixpkgs; }) host guest;

  # Those of NVIDIA's programs, and of these what ours are ordered against.
  units =
    { config, ... }:
    lib.mapAttrs (_: unit: builtins.unsafeDiscardStringContext unit.text) (
      lib.filterAttrs (name: unit: lib.hasPrefix "nvidia" name && unit.enable) config.systemd.units
    );
in
{
  host = units (host {
    hardware.nvidia.vgpu.instances.office.profile = "A40-8Q";
  });
  guest = units (guest { });
}
