# The options of NixOS that our modules set or read, without NixOS: enough for lib.evalModules to evaluate a
# whole host or guest. `hardware.nvidia` has the shape of nixpkgs' module.
#
# pkgsWith: overlays → a package set
# release: the nixpkgs whose nvidia module to resemble, "24.05", "25.11" or "26.05"
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
  nvidia = config.hardware.nvidia;
  enabled = lib.elem "nvidia" config.services.xserver.videoDrivers;
  anything = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
in
{
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
      xserver.videoDrivers = listOf types.str;
      dbus.packages = listOf types.path;
      udev.extraRules = mkOption {
        type = types.lines;
        default = "";
      };
      openssh = anything;
      timesyncd.enable = mkOption {
        type = types.bool;
        default = true;
      };
    };

    hardware = {
      firmware = listOf types.package;
      graphics = anything;
      nvidia = {
        package = mkOption {
          type = types.package;
          default = config.boot.kernelPackages.nvidiaPackages.stable;
        };
        open = mkOption {
          type = types.nullOr types.bool;
          default = if lib.versionOlder nvidia.package.version "560" then false else null;
        };
        modesetting.enable = mkOption {
          type = types.bool;
          default = release != "24.05" && lib.versionAtLeast nvidia.package.version "535";
        };
        gsp.enable = mkOption {
          type = types.bool;
          default = lib.versionAtLeast nvidia.package.version "555";
        };
        nvidiaSettings = mkOption {
          type = types.bool;
          default = true;
        };
        nvidiaPersistenced = mkOption {
          type = types.bool;
          default = false;
        };
      };
    };

    networking = anything;
    users = anything;
    fileSystems = anything;
    virtualisation = anything;
    system.stateVersion = mkOption {
      type = types.str;
      default = "25.11";
    };
  };

  config = lib.mkMerge [
    { _module.args.pkgs = pkgsWith config.nixpkgs.overlays; }

    # What nixpkgs' module makes of the driver.
    (lib.mkIf enabled {
      assertions = [
        {
          assertion = nvidia.open != null;
          message = "You must configure `hardware.nvidia.open` on NVIDIA driver versions >= 560.";
        }
        {
          assertion = nvidia.gsp.enable -> nvidia.package ? firmware;
          message = "This version of NVIDIA driver does not provide a GSP firmware.";
        }
      ];
      boot.extraModulePackages = [
        (if release == "26.05" then nvidia.package.mod else nvidia.package.bin)
      ];
      hardware.firmware = lib.optional nvidia.gsp.enable nvidia.package.firmware;
      hardware.graphics.extraPackages = [ nvidia.package.out ];
      hardware.graphics.extraPackages32 = [ nvidia.package.lib32 ];
      environment.etc."nvidia/nvidia-application-profiles-rc" = lib.mkIf nvidia.package.useProfiles {
        source = "${nvidia.package.bin}/share/nvidia/nvidia-application-profiles-rc";
      };
      environment.systemPackages = [
        nvidia.package.bin
      ]
      ++ lib.optional nvidia.nvidiaSettings nvidia.package.settings
      ++ lib.optional nvidia.nvidiaPersistenced nvidia.package.persistenced;
    })
  ];
}
