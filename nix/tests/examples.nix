# The configurations under examples/, evaluated as they stand: name → { failed, driver, etc, services }.
{
  lib ? import <nixpkgs/lib>,
}:

let
  evaluate = import ./eval.nix { inherit lib; };

  # An example without flakes fetches our module from the network: here it gets this tree.
  withoutFetching = scopedImport {
    builtins = builtins // {
      fetchGit =
        { url, ... }:
        assert url == "https://github.com/mrzenc/vgpu4nixos.git";
        ../..;
    };
  };

  # A flake's modules without its inputs: what it would pass to nixosSystem.
  modulesOfFlake =
    path:
    let
      outputs = (import path).outputs {
        nixpkgs.lib.nixosSystem =
          { system, modules }:
          assert system == "x86_64-linux";
          modules;
        vgpu4nixos.nixosModules = {
          host = ../modules/host.nix;
          guest = ../modules/guest.nix;
        };
      };
    in
    lib.head (lib.attrValues outputs.nixosConfigurations);

  summary = { config, failed, ... }: {
    inherit failed;
    inherit (config) warnings;
    driver = config.hardware.nvidia.package.name;
    source = config.hardware.nvidia.package.src.name;
    etc = lib.attrNames config.environment.etc;
    services = lib.attrNames config.systemd.services;
    paths = map toString (config.environment.systemPackages ++ config.boot.extraModulePackages);
  };
  bare =
    guest: modules:
    summary (evaluate {
      inherit guest modules;
    });
in
{
  host = bare false (modulesOfFlake ../../examples/host/flake.nix);
  guest = bare true (modulesOfFlake ../../examples/guest/flake.nix);
  host-without-flakes = bare false [
    (withoutFetching ../../examples/host-without-flakes/configuration.nix)
  ];
  guest-without-flakes = bare true [
    (withoutFetching ../../examples/guest-without-flakes/configuration.nix)
  ];
  merged-host = bare false [ ../../examples/merged-host/configuration.nix ];
}
