# The options of NixOS that our modules set or read, without NixOS: enough for lib.evalModules to evaluate a
# whole host or guest, for tests that build with the machine's own tools or have nixpkgs' lib alone. What NixOS makes
# of it all is tested in nixos/.
#
# pkgsWith: overlays → a package set
# release: the nixpkgs whose nvidia module to resemble, "25.11" or "26.05"
{ pkgsWith, release }:
{
  config,
  lib,
  ...
}:

let
  inherit (lib) mkOption types;

  listOf =
    type:
    mkOption {
      type = types.listOf type;
      default = [ ];
    };
  anything = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
in
{
  imports = [ (import ./nixos-nvidia.nix release) ];

  options = {
    assertions = listOf types.unspecified;
    warnings = listOf types.str;

    nixpkgs.overlays = listOf types.raw;
    nixpkgs.config = anything;

    boot = {
      kernelPackages = mkOption {
        type = types.raw;
        default = config._module.args.pkgs.linuxPackages;
        # NixOS builds the kernel again with the features the configuration wants.
        apply =
          kernelPackages:
          kernelPackages.extend (_: super: { kernel = super.kernel.override { features = { }; }; });
      };
      kernelModules = listOf types.str;
      kernelParams = listOf types.str;
      extraModulePackages = listOf types.package;
      blacklistedKernelModules = listOf types.str;
      extraModprobeConfig = mkOption {
        type = types.lines;
        default = "";
      };
      loader = anything;
    };

    environment = {
      etc = mkOption {
        type = types.attrsOf (
          types.submodule {
            options = {
              source = mkOption { type = types.path; };
              text = mkOption {
                type = types.nullOr types.lines;
                default = null;
              };
            };
          }
        );
        default = { };
      };
      systemPackages = listOf types.package;
    };

    systemd = {
      services = mkOption {
        type = types.attrsOf (types.submodule { freeformType = types.attrsOf types.anything; });
        default = { };
      };
      package = mkOption {
        type = types.package;
        default = config._module.args.pkgs.coreutils;
      };
    };

    services = {
      udev.extraRules = mkOption {
        type = types.lines;
        default = "";
      };
      xserver = {
        enable = lib.mkEnableOption "the X server";
        drivers = listOf types.attrs;
        videoDrivers = listOf types.str;
      };
      dbus.packages = listOf types.path;
      openssh = anything;
      timesyncd.enable = mkOption {
        type = types.bool;
        default = true;
      };
    };

    hardware = {
      firmware = listOf types.package;
      graphics = {
        enable = lib.mkEnableOption "graphics";
        extraPackages = listOf types.package;
        extraPackages32 = listOf types.package;
      };
    };

    systemd.packages = listOf types.package;
    systemd.tmpfiles.rules = listOf types.str;

    networking = anything;
    users = anything;
    fileSystems = anything;
    virtualisation = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf types.anything;
        options.docker.enableNvidia = lib.mkEnableOption "NVIDIA in containers";
      };
      default = { };
    };
    system.stateVersion = mkOption {
      type = types.str;
      default = "25.11";
    };
  };

  config = lib.mkMerge [
    { _module.args.pkgs = pkgsWith config.nixpkgs.overlays; }
  ];
}
