# One host, to time: `nix-instantiate nix/tests/cost.nix --arg module true` against `--arg module false`. Both
# instantiate the kernel, the Rust compiler (of switch-to-configuration) and the libraries that a NixOS system
# evaluates anyway; one has our driver too.
{
  lib ? import <nixpkgs/lib>,
  pkgsWith ? overlays: import ./package-set.nix { inherit lib overlays; },
  module,
}:

let
  # Of the configuration's own package set, which has our overlay.
  system =
    let
      inherit (evaluated._module.args) pkgs;
    in
    [
      config.boot.kernelPackages.kernel
      config.boot.kernelPackages.kernel.dev
      pkgs.rustc
      pkgs.dbus
      pkgs.libGL
      pkgs.libxext
      pkgs.openssl
      pkgs.wayland
      pkgs.pciutils
      pkgs.gawk
    ];
  modules = [
    (import ./stubs.nix {
      inherit pkgsWith;
      release = "25.11";
    })
  ]
  ++ lib.optionals module [
    (import ../.. { })
    {
      hardware.nvidia.vgpu.release = "17.6";
    }
  ];
  evaluated = lib.evalModules { inherit modules; };
  inherit (evaluated) config;
in
system
++ lib.optionals (lib.all (assertion: assertion.assertion) config.assertions) (
  config.environment.systemPackages
  ++ config.boot.extraModulePackages
  ++ config.hardware.firmware
  ++ lib.optional module (
    evaluated._module.args.pkgs.writeText "services" (
      builtins.toJSON [
        config.systemd.services
        config.environment.etc
      ]
    )
  )
)
