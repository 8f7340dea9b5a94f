# Our modules as modules: how they are imported, and what they say of themselves.
{
  lib,
  host,
  guest,
  machine,
  nixpkgs,
  packageOf,
  ...
}:

let
  flake = (import ../../../flake.nix).outputs {
    self = { };
    nixpkgs = { inherit lib; };
  };

  undecided = machine {
    role = null;
    module = flake.nixosModules.default;
  };

  folder = toString ../../modules + "/";
  # host.nix and guest.nix import the files that declare options.
  declares =
    file:
    lib.hasPrefix folder (toString file)
    && lib.any (word: lib.hasInfix word (builtins.readFile file)) [
      "mkOption"
      "mkEnableOption"
    ];
  # Options that name no file of ours in which options are declared.
  strays =
    evaluated:
    map (option: option.name) (
      lib.filter (
        option:
        option.visible
        && !option.internal
        && (option.declarations == [ ] || !lib.all declares option.declarations)
      ) (lib.optionAttrSetToDocList { inherit (evaluated.options.hardware.nvidia) vgpu; })
    );

  # What NixOS' manual says of our options, made by NixOS itself.
  manualOf =
    evaluated:
    import (nixpkgs + "/nixos/lib/make-options-doc") {
      inherit lib;
      inherit (evaluated) pkgs;
      options.hardware.nvidia = { inherit (evaluated.options.hardware.nvidia) vgpu; };
    };
in
{
  "test nixosModules.default says that a machine is a host or a guest" = {
    expr = {
      ofOurs = lib.length (
        lib.filter (
          message:
          lib.all (words: lib.hasInfix words message) [
            "vgpu4nixos.nixosModules.default: say what this machine is"
            "nixosModules.host"
            "nixosModules.guest"
          ]
        ) undecided.failed
      );
      all = lib.length undecided.failed;
      system = (builtins.tryEval undecided.toplevel).success;
    };
    expected = {
      ofOurs = 1;
      all = 1;
      system = false;
    };
  };
  "test a module that is imported by flake and by path is there once" = {
    expr =
      (host {
        imports = [
          flake.nixosModules.host
          (import ../../.. { })
        ];
      }).failed;
    expected = [ ];
  };
  "test a machine that is extended is a system with what is added" = {
    expr =
      let
        extended = (host { }).extend { hardware.nvidia.vgpu.release = "18.1"; };
      in
      [
        (packageOf extended).version
        extended.failed
        (lib.hasSuffix ".drv" extended.toplevel)
      ];
    expected = [
      "570.133.10"
      [ ]
      true
    ];
  };
  "test every option names the file it is declared in" = {
    expr = map strays [
      (host { })
      (guest { })
    ];
    expected = [
      [ ]
      [ ]
    ];
  };
  "test NixOS makes options.json of our options, with where each is declared and what it is for" = {
    expr =
      map
        (
          evaluated:
          let
            manual = manualOf evaluated;
            described = manual.optionsNix;
          in
          {
            file = lib.hasSuffix "-options.json.drv" manual.optionsJSON.drvPath;
            incomplete = lib.attrNames (
              lib.filterAttrs (
                _: option: option.declarations == [ ] || option.description or null == null
              ) described
            );
            release = described ? "hardware.nvidia.vgpu.release";
          }
        )
        [
          (host { })
          (guest { })
        ];
    expected = lib.replicate 2 {
      file = true;
      incomplete = [ ];
      release = true;
    };
  };
}
