# Which driver is used: the release, the packages to choose from, and whether the choice fits.
#
#   { role } → a NixOS module; role is "host" or "guest"
{ role }:
{
  config,
  lib,
  options,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.hardware.nvidia.vgpu;
  inherit (config.hardware.nvidia) package;
  host = role == "host";
  # Of the packages' names.
  prefix = if host then "vgpu_" else "grid_";

  releases = import ../lib/releases.nix { inherit lib; };
  newest = lib.last (
    lib.naturalSort (lib.attrNames (lib.filterAttrs (_: release: release ? zip_sha256) releases))
  );

  # On a host whose own screens are NVIDIA's, one driver must do for both.
  merged = host && lib.elem "nvidia" config.services.xserver.videoDrivers;

  packagesOf = import ../lib/packages.nix {
    inherit lib pkgs;
    settings = {
      inherit role merged;
      inherit (cfg) driverSource;
      patching = {
        inherit (cfg.patcher) enable;
        target =
          if !host then
            "grid"
          else if merged then
            "general-merge"
          else
            "vgpu-kvm";
        # patch.sh reads its options in this order, before the target.
        extraFlags =
          lib.optionals (!cfg.patcher.options.doNotForceGPLLicense) [
            "--enable-nvidia-gpl-for-experimenting"
            "--force-nvidia-gpl-I-know-it-is-wrong"
          ]
          ++ lib.optional (cfg.patcher.options.remapP40ProfilesToV100D or false) "--remap-p2v"
          ++ cfg.patcher.options.extra;
      };
    };
  };

  ours = import ../lib/is-ours.nix { inherit config lib options; };

  # Gives way to what the user sets, but not to defaults for a GPU that other modules set (nixos-hardware).
  mkOurDefault = lib.mkOverride 900;

  # What a message says of the driver.
  driver = "vGPU ${package.vgpu.gridVersion}";

  # Options that do nothing unless the driver is ours.
  wishes =
    lib.optional cfg.patcher.enable "patcher.enable"
    ++ lib.optional (cfg.griddUnlock.enable or false) "griddUnlock.enable"
    ++ lib.optional ((cfg.licensing.tokenFile or null) != null) "licensing.tokenFile"
    ++ lib.optional ((cfg.licensing.featureType or "automatic") != "automatic") "licensing.featureType"
    ++ lib.optional ((cfg.licensing.proxy.address or null) != null) "licensing.proxy.address"
    ++ lib.optional ((cfg.licensing.settings or { }) != { }) "licensing.settings";

in
{
  options.hardware.nvidia.vgpu = {
    release = mkOption {
      type = types.nullOr (types.enum (map (release: release.release) (lib.attrValues releases)));
      default = null;
      example = releases.${newest}.release;
      description = ''
        The vGPU release to use, as NVIDIA numbers them. This is the short way to choose a driver; it is the
        default of {option}`hardware.nvidia.package`. Set that option instead to use a driver of your own
        (`mkVgpuDriver`). Host and guests should be of one release.
      '';
    };

  };

  config = lib.mkMerge [
    {
      nixpkgs.overlays = [ (import ../lib/overlay.nix { inherit lib packagesOf; }) ];

      hardware.nvidia.package = lib.mkIf (cfg.release != null) (
        mkOurDefault
          (packagesOf config.boot.kernelPackages).${prefix + lib.replaceStrings [ "." ] [ "_" ] cfg.release}
      );

      assertions = [
        {
          assertion = pkgs.stdenv.hostPlatform.system == "x86_64-linux";
          message = ''
            hardware.nvidia.vgpu: this system is ${pkgs.stdenv.hostPlatform.system}, and NVIDIA makes vGPU drivers for Linux with
            KVM for x86_64-linux only. Leave the vgpu4nixos module out of this configuration.
          '';
        }
        {
          assertion = wishes == [ ] || ours;
          message = ''
            ${
              lib.concatMapStringsSep ", " (name: "hardware.nvidia.vgpu.${name}") wishes
            }: the driver is not one of vgpu4nixos, so there is nothing to apply this to.
            Set hardware.nvidia.vgpu.release = "${releases.${newest}.release}", or hardware.nvidia.package =
            config.boot.kernelPackages.nvidiaPackages.${prefix}${newest}.
          '';
        }
      ];
    }

    (lib.mkIf ours {
      environment.systemPackages = [ package.vgpu.program ];

      hardware.nvidia.nvidiaSettings = lib.mkDefault (package.settings != null);

      assertions = [
        {
          assertion = package.vgpu.role == role;
          message = ''
            hardware.nvidia.package is the driver of a ${package.vgpu.role}, and this configuration has the module for a ${role}.
            Choose nvidiaPackages.${prefix}${newest} for instance, or import vgpu4nixos' module for a ${package.vgpu.role}.
          '';
        }
        {
          assertion = config.hardware.nvidia.nvidiaPersistenced -> package.persistenced != null;
          message = ''
            hardware.nvidia.nvidiaPersistenced: the sources of nvidia-persistenced for ${driver} are not pinned.
            Set it to false, or give mkVgpuDriver persistencedVersion and persistencedSha256.
          '';
        }
      ];
    })
  ];
}
