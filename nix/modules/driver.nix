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
  # The beginning of the packages' names.
  prefix = if host then "vgpu_" else "grid_";

  releases = import ../lib/releases.nix { inherit lib; };
  newest = lib.last (
    lib.naturalSort (lib.attrNames (lib.filterAttrs (_: release: release ? zip_sha256) releases))
  );

  inherit (import ../lib/nixpkgs-module.nix { inherit config lib; }) screens;

  # What our drivers need to know about this configuration.
  settings = {
    inherit role;
    # If the host's own screens are at an NVIDIA GPU, one driver must serve both screens and virtual machines.
    merged = host && screens;
    inherit (cfg) driverSource;
    patching = {
      inherit (cfg.patcher) enable;
      target =
        if !host then
          "grid"
        else if screens then
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

  overlay = import ../lib/overlay.nix {
    inherit lib;
    settings.${role} = settings;
  };
  # The driver of `release`, which needs no overlay.
  chosen =
    (import ../lib/packages.nix { inherit lib pkgs settings; } config.boot.kernelPackages)
    .${prefix + lib.replaceStrings [ "." ] [ "_" ] cfg.release};

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };

  # What the user sets comes first. Defaults that other modules set for a GPU (nixos-hardware) do not.
  mkOurDefault = lib.mkOverride 900;

  # `release` needs nothing in nvidiaPackages. Then the package set is left as it is: whoever has one already
  # (nixpkgs.pkgs) need not evaluate it again. Whether `package` is set too cannot be asked here, as it comes from that set.
  byRelease = cfg.release != null;
  # Some package sets cannot be added to (nixosModules.readOnlyPkgs of nixpkgs): they take one definition, their own.
  overlaysCanBeAdded = options.nixpkgs.overlays.type.name == "listOf";

  # How messages call the driver.
  driver = "vGPU ${package.vgpu.gridVersion}";

  # Options that are set, and that do nothing unless the driver is ours.
  optionsForOurDriver =
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
        The vGPU release to use, as NVIDIA numbers them. Host and guests should be of one release. This is the short way
        to choose a driver. For one of your own (`mkVgpuDriver`), set {option}`hardware.nvidia.package` instead:
        only where `release` is `null` are our packages added to `nvidiaPackages`. The value must not depend on `pkgs`.
      '';
    };

    package = mkOption {
      type = types.package;
      default = (import ../lib/tools.nix { inherit lib pkgs; }).vgpu;
      defaultText = lib.literalMD "`vgpu` of this project";
      example = lib.literalExpression "inputs.vgpu4nixos.packages.x86_64-linux.vgpu";
      description = ''
        The program `vgpu` that is put on the system path. Set it to one that is built already, by a binary cache of
        yours for instance. Drivers do not depend on it; they are {option}`hardware.nvidia.package`.
      '';
    };

  };

  config = lib.mkMerge [
    {
      nixpkgs.overlays = lib.mkIf (!byRelease && overlaysCanBeAdded) [ overlay ];

      hardware.nvidia.package = lib.mkIf byRelease (mkOurDefault chosen);

      assertions = [
        {
          assertion =
            pkgs.stdenv.hostPlatform.system == "x86_64-linux" || (cfg.release == null && !driverIsOurs);
          message = ''
            hardware.nvidia.vgpu: this system is ${pkgs.stdenv.hostPlatform.system}, and NVIDIA makes vGPU drivers for Linux with
            KVM for x86_64-linux only. Choose none here: leave hardware.nvidia.vgpu.release unset on this machine.
          '';
        }
        {
          assertion = optionsForOurDriver == [ ] || driverIsOurs;
          message = ''
            ${
              lib.concatMapStringsSep ", " (name: "hardware.nvidia.vgpu.${name}") optionsForOurDriver
            }: the driver is not one of vgpu4nixos, so there is nothing to apply this to.
            Set hardware.nvidia.vgpu.release = "${releases.${newest}.release}", or hardware.nvidia.package =
            config.boot.kernelPackages.nvidiaPackages.${prefix}${newest}.
          '';
        }
      ];
    }

    (lib.mkIf driverIsOurs {
      environment.systemPackages = [ cfg.package ];

      # An application with windows, for machines that have screens.
      hardware.nvidia.nvidiaSettings = lib.mkOverride 900 (screens && package.settings != null);

      assertions = [
        {
          assertion = package.vgpu.role == role;
          message = ''
            hardware.nvidia.package is the driver of a ${package.vgpu.role}, and this configuration has the module for a ${role}.
            Choose nvidiaPackages.${prefix}${newest} for instance, or import vgpu4nixos' module for a ${package.vgpu.role}.
          '';
        }
        {
          # Only the versions are compared. NixOS may change the configuration of the same kernel, which is no mistake.
          assertion =
            package.vgpu.kernelPackages.kernel.modDirVersion == config.boot.kernelPackages.kernel.modDirVersion;
          message = ''
            hardware.nvidia.package has kernel modules for Linux ${package.vgpu.kernelPackages.kernel.modDirVersion}, and boot.kernelPackages is Linux ${config.boot.kernelPackages.kernel.modDirVersion}:
            they would not load. Take the driver from config.boot.kernelPackages.nvidiaPackages, not from another set.
          '';
        }
        {
          assertion =
            package.vgpu.role != role
            ||
              package.vgpu.merged == settings.merged
              && package.vgpu.patching.enable == settings.patching.enable
              && (settings.patching.enable -> package.vgpu.patching.extraFlags == settings.patching.extraFlags);
          message = ''
            hardware.nvidia.package was made outside of this configuration and knows nothing of its options
            (hardware.nvidia.vgpu.patcher, services.xserver.videoDrivers). Set hardware.nvidia.vgpu.release, or take the
            driver from config.boot.kernelPackages.nvidiaPackages and let NixOS make the package set (nixpkgs.pkgs unset
            or not read-only).
          '';
        }
        {
          assertion = !config.hardware.nvidia.datacenter.enable;
          message = ''
            hardware.nvidia.datacenter.enable is for NVIDIA's data centre driver and its fabric manager; ${driver} has none.
            Set it to false: a ${role} with vGPU does not need it.
          '';
        }
        {
          assertion = config.hardware.nvidia.nvidiaSettings -> package.settings != null;
          message = ''
            hardware.nvidia.nvidiaSettings: the sources of nvidia-settings for ${driver} are not pinned.
            Set it to false, or give mkVgpuDriver settingsVersion and settingsSha256.
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
