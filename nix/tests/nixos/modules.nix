# Our modules as modules: how they are imported, and what they say of themselves.
{
  lib,
  host,
  guest,
  machine,
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
}
