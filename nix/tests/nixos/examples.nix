# The configurations under examples/, as whole systems, just as they stand, in both shapes of NixOS.
{
  lib,
  packageOf,
  shapes,
  whole,
  fine,
  ...
}@offered:

let
  folder = ../../../examples;

  inherit (import ../as-written.nix offered) read modulesOfFlake machineOf;

  examples = {
    host = modulesOfFlake (read (folder + "/host/flake.nix"));
    guest = modulesOfFlake (read (folder + "/guest/flake.nix"));
    host-without-flakes = [ (read (folder + "/host-without-flakes/configuration.nix")) ];
    guest-without-flakes = [
      (read (folder + "/guest-without-flakes/configuration.nix"))
      # Its user downloads it first.
      {
        hardware.nvidia.vgpu.griddUnlock.rootCaFile =
          lib.mkForce ../../../crates/vgpu/tests/certificates/good.pem;
      }
    ];
    merged-host = [
      ../../modules/host.nix
      (folder + "/merged-host/configuration.nix")
    ];
  };
  withDriver = example: whole example // { driver = (packageOf example).name; };
in
{
  "test no example is left out" = {
    expr = lib.attrNames (builtins.readDir folder);
    expected = lib.attrNames examples;
  };
  "test the examples are systems with the drivers they say" = {
    expr = lib.genAttrs shapes (
      shape: lib.mapAttrs (_: modules: withDriver (machineOf shape modules)) examples
    );
    expected = lib.genAttrs shapes (
      _:
      lib.mapAttrs (_: driver: fine // { inherit driver; }) {
        guest = "nvidia-vgpu-guest-580.126.09";
        guest-without-flakes = "nvidia-vgpu-guest-570.133.20";
        host = "nvidia-vgpu-host-580.178.05";
        host-without-flakes = "nvidia-vgpu-host-580.178.05";
        merged-host = "nvidia-vgpu-host-merged-550.90.07";
      }
    );
  };
}
