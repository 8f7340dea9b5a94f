# What to look at of the flake's outputs: names, and that what they name evaluates.
{ outputs, pkgs }:
let
  system = "x86_64-linux";
  names = builtins.attrNames;
  derivation =
    value: if value.type == "derivation" && builtins.isString value.drvPath then value.name else null;
in
{
  # `default` has no file, but a message.
  nixosModules = builtins.mapAttrs (
    _: module: builtins.all builtins.pathExists (module.imports or [ ])
  ) outputs.nixosModules;
  packages = builtins.mapAttrs (_: derivation) outputs.packages.${system};
  devShells = names outputs.devShells.${system};
  checks = names outputs.checks.${system};
  formatter = outputs.formatter.${system}.name;
  overlay =
    let
      inherit (pkgs.extend outputs.overlays.default) linuxPackages vgpu;
      ours = [
        "grid_17_6"
        "mkVgpuDriver"
        "vgpu_17_6"
      ];
    in
    assert derivation vgpu != null;
    builtins.filter (name: linuxPackages.nvidiaPackages ? ${name}) ours;
  templates = builtins.mapAttrs (
    _: template: builtins.pathExists (template.path + "/flake.nix") && template.description != ""
  ) outputs.templates;
}
