# Configurations just as users write them: what they fetch from the network is this tree here.
{
  lib,
  machine,
  packageSetOf,
  ...
}:

let
  tree = ../..;

  builtinsHere = builtins // {
    fetchGit =
      { url, ... }:
      assert url == "https://github.com/mrzenc/vgpu4nixos.git";
      tree;
  };
in
rec {
  # A file, as `import` has it.
  read = scopedImport { builtins = builtinsHere; };

  isFlake = value: lib.isAttrs value && value ? outputs;

  # A flake's modules without its inputs: what it would pass to nixosSystem.
  modulesOfFlake =
    flake:
    let
      outputs = flake.outputs {
        self = { };
        nixpkgs.lib.nixosSystem =
          { system, modules }:
          assert system == "x86_64-linux";
          modules;
        vgpu4nixos = (import (tree + "/flake.nix")).outputs {
          self = { };
          nixpkgs = { inherit lib; };
        };
      };
    in
    lib.head (lib.attrValues outputs.nixosConfigurations);

  # The machine of these modules alone, with a package set that they settle themselves.
  machineOf =
    shape: modules:
    machine {
      inherit shape;
      role = null;
      packageSet = packageSetOf shape;
      module.imports = modules;
    };
}
