# An overlay that puts our drivers into `nvidiaPackages` of every kernel package set, whichever one is picked for
# boot.kernelPackages.
#
# The modules' overlay and overlays.default can be on one package set, in any order. What the modules know of the
# configuration counts then: both leave what they know in `vgpu4nixos`, and the drivers are made from the end of that.
{
  lib,
  # { host, guest }: the settings of drivers of a role, as in packages.nix; one role may be left out.
  settings,
  # Whether they give way to those of another overlay: they are only defaults.
  weak ? false,
}:

final: prev:
let
  others = prev.vgpu4nixos or { };
  packagesOf =
    kernelPackages:
    lib.foldl'
      (
        packages: roleSettings:
        packages
        // import ./packages.nix {
          inherit lib;
          pkgs = final;
          settings = roleSettings;
        } kernelPackages
      )
      { vgpuNixpkgsOverlay = overlay; }
      (lib.attrValues (removeAttrs final.vgpu4nixos [ "main" ]) ++ [ final.vgpu4nixos.main ]);
  # For another nixpkgs beside the configuration's own, whose kernel is to be used: it gets the same drivers.
  overlay = import ./overlay.nix {
    inherit lib;
    settings = removeAttrs final.vgpu4nixos [ "main" ];
  };
in
{
  vgpu4nixos = (if weak then settings // others else others // settings) // {
    # Whose mkVgpuDriver it is, where there are both.
    main = if weak && others ? main then others.main else settings.host or settings.guest;
  };
}
# Once is enough.
// lib.optionalAttrs (!prev ? vgpu4nixos) {
  linuxKernel = prev.linuxKernel // {
    packagesFor =
      kernel:
      (prev.linuxKernel.packagesFor kernel).extend (
        # `self` is the set with all later changes, so that our modules are built for the kernel that NixOS
        # makes of it (boot.kernelPatches), not for the one the set began with.
        self: super: {
          nvidiaPackages = lib.dontRecurseIntoAttrs (super.nvidiaPackages.extend (_: _: packagesOf self));
        }
      );
  };
}
