# An overlay that puts our drivers into `nvidiaPackages` of every kernel package set, whichever one is
# picked for boot.kernelPackages.
#
# packagesOf: a kernel package set → the attributes to add
{ lib, packagesOf }:

_final: prev:
let
  extend =
    kernelPackages:
    kernelPackages.extend (
      # `self` is the set with all later changes, so that our modules are built for the kernel that NixOS
      # makes of it (boot.kernelPatches), not for the one the set began with.
      self: super: {
        nvidiaPackages = lib.dontRecurseIntoAttrs (
          super.nvidiaPackages.extend (_: _: packagesOf self)
        );
      }
    );
in
if prev ? linuxKernel then
  {
    linuxKernel = prev.linuxKernel // {
      packagesFor = kernel: extend (prev.linuxKernel.packagesFor kernel);
    };
  }
else
  # Relatives of nixpkgs that have the kernel package sets alone.
  lib.genAttrs (lib.filter (name: lib.substring 0 13 name == "linuxPackages") (lib.attrNames prev)) (
    name: if prev.${name} ? extend then extend prev.${name} else prev.${name}
  )
