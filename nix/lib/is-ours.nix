# Whether hardware.nvidia.package is one of our drivers.
#
# nixpkgs' default for it is not looked at: only to ask would already need NVIDIA's licence accepted.
{
  config,
  lib,
  options,
}:

let
  inherit (options.hardware.nvidia) package;
  chosen = package.highestPrio < (lib.mkOptionDefault null).priority;
in
chosen && config.hardware.nvidia.package ? vgpu
