# The package set that <nixpkgs> is, with stand-ins for the few packages that relatives of nixpkgs lack.
{
  lib ? import <nixpkgs/lib>,
  overlays ? [ ],
}:

import <nixpkgs> {
  system = "x86_64-linux";
  config.allowUnfree = true;
  overlays = [
    (
      final: prev:
      lib.filterAttrs (name: _: !(prev ? ${name})) (
        lib.genAttrs [
          "lief"
          "libxrandr"
          "libxv"
          "libxxf86vm"
          "libXrandr"
          "libXv"
          "libXxf86vm"
          "libXext"
          "libtirpc"
          "libvdpau"
          "vulkan-headers"
        ] (_: final.libx11)
      )
      # Of these they have recipes whose own dependencies they lack.
      // lib.optionalAttrs (!(prev ? linuxKernel)) (
        lib.genAttrs [
          "gtk2"
          "gtk3"
          "librsvg"
          "wrapGAppsHook3"
        ] (_: final.libx11)
      )
      // {
        # Where the package set lies: the folder above the one that its kernel package sets come from.
        path =
          prev.path or (lib.foldr (_: dirOf) (builtins.unsafeGetAttrPos "nvidiabl" final.linuxPackages).file (
            lib.range 1 3
          ));
      }
    )
  ]
  ++ overlays;
}
