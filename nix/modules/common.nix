# What hosts and guests share: where the driver comes from, how it is patched, how it is chosen.
#
#   role → a NixOS module
role:
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
    ++ lib.optional (cfg.griddUnlock.enable or false) "griddUnlock.enable";

  hash = types.strMatching "sha256-[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{43}=|[0-9a-fA-F]{64}|[0-9a-z]{52}" // {
    description = "SHA-256 hash in base 64, base 32 or hexadecimal";
  };
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

    patcher = {
      enable = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description =
          if host then
            ''
              Whether to run vGPU-Unlock-patcher on the driver. Enable it to use vGPU on a GPU that NVIDIA did not
              make for it, to change profiles, or to use one driver for virtual machines and the host's own screens.
              The last happens when {option}`services.xserver.videoDrivers` has `"nvidia"`.
            ''
          else
            ''
              Whether to run vGPU-Unlock-patcher on the driver. Guests seldom need it: only when the patcher's
              README asks for a patched guest driver.
            '';
      };

      options = {
        doNotForceGPLLicense = mkOption {
          type = types.bool;
          default = false;
          example = true;
          description = ''
            Unless this is `true`, the patcher is run with
            `--enable-nvidia-gpl-for-experimenting --force-nvidia-gpl-I-know-it-is-wrong`: the modules can then use
            symbols that the kernel keeps for GPL modules, and build for kernels slightly newer than the driver. Set
            it where the kernel's licence terms matter more than that.
          '';
        };

        extra = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "--test-dmabuf-export" ];
          description = ''
            More options for the patcher's `patch.sh`, for what has no option here. It ignores those it does not know.
          '';
        };
      };
    };

    driverSource = {
      name = mkOption {
        type =
          types.nullOr (types.strMatching "[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]*\\.(zip|run)")
          // {
            description = "null or file name that ends in .zip or .run";
          };
        default = null;
        example = "NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run";
        description = ''
          Name of the driver's file, when yours is called differently from NVIDIA's. Its extension decides what the file
          is taken for: a GRID archive (`.zip`) or a single driver (`.run`). By default hosts use
          the archive of the release and guests the `.run` file.
        '';
      };

      url = mkOption {
        type = types.nullOr (types.strMatching "[A-Za-z][A-Za-z0-9+.-]*://.+") // {
          description = "null or URL";
        };
        default =
          if host || (cfg.driverSource.name != null && lib.hasSuffix ".zip" cfg.driverSource.name) then
            null
          else
            import ../lib/public-bucket.nix;
        defaultText = lib.literalMD (
          if host then
            "`null`: host drivers are not public"
          else
            "NVIDIA's public bucket; `null` when {option}`hardware.nvidia.vgpu.driverSource.name` is a `.zip`"
        );
        example = "https://files.example.org/vgpu/@release@/driver.zip";
        description = ''
          Where to download the driver, when you keep it on a server. `@release@` stands for the vGPU release and
          `@version@` for the version of the driver. `null` means that it is in the Nix store already:
          the build says how to put it there when it is not.
        '';
      };

      sha256 = mkOption {
        type = types.nullOr hash // {
          description = "null or ${hash.description}";
        };
        default = null;
        example = "sha256-hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
        description = ''
          Hash of the `.run` file, when you use one whose hash the release does not have: a host's, or that of a release
          nobody has recorded yet. With it a `.run` file is expected, never an archive.
          `nix-hash --flat --base64 --type sha256 FILE` prints it.
        '';
      };

      curlOptsList = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "-u"
          "user:password"
        ];
        description = ''
          Arguments for `curl` when the driver is downloaded, for a server that wants a password. Everyone on this
          machine can read them in the Nix store.
        '';
      };
    };
  };

  config = lib.mkMerge [
    {
      nixpkgs.overlays = [ (import ../lib/overlay.nix { inherit lib packagesOf; }) ];

      hardware.nvidia.package = lib.mkIf (cfg.release != null) (
        mkOurDefault
          (packagesOf config.boot.kernelPackages).${
            prefix + lib.replaceStrings [ "." ] [ "_" ] cfg.release
          }
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

      hardware.nvidia = {
        # The open kernel modules are not built for vGPU drivers, and from 560 on nixpkgs wants an answer.
        open = mkOurDefault false;
        nvidiaSettings = lib.mkDefault (package.settings != null);
      };

      assertions = [
        {
          assertion = package.vgpu.role == role;
          message = ''
            hardware.nvidia.package is the driver of a ${package.vgpu.role}, and this configuration has the module for a ${role}.
            Choose nvidiaPackages.${prefix}${newest} for instance, or import vgpu4nixos' module for a ${package.vgpu.role}.
          '';
        }
        {
          assertion = cfg.patcher.enable -> package.patcher != null;
          message = ''
            hardware.nvidia.vgpu.patcher.enable: vGPU-Unlock-patcher has no branch for ${driver} that we know of.
            Use a release that has one (${
              lib.concatMapStringsSep ", " (release: release.release) (
                lib.filter (release: release ? patcher) (lib.attrValues releases)
              )
            }), or give mkVgpuDriver a vgpuPatcher of your own, made with mkVgpuPatcher.
          '';
        }
        {
          assertion =
            cfg.driverSource.sha256 != null && cfg.driverSource.name != null
            -> lib.hasSuffix ".run" cfg.driverSource.name;
          message = ''
            hardware.nvidia.vgpu.driverSource.sha256 is the hash of a .run file, but
            hardware.nvidia.vgpu.driverSource.name, "${toString cfg.driverSource.name}", is an archive.
            Name the .run file, or leave sha256 out: the hash of the archive is known from the release.
          '';
        }
        {
          assertion =
            host && cfg.driverSource.name != null && lib.hasSuffix ".run" cfg.driverSource.name
            -> cfg.driverSource.sha256 != null;
          message = ''
            hardware.nvidia.vgpu.driverSource.name, "${toString cfg.driverSource.name}", is a .run file, and of host
            drivers only the archives' hashes are known. Set hardware.nvidia.vgpu.driverSource.sha256 to what this prints:
            nix-hash --flat --base64 --type sha256 ${toString cfg.driverSource.name}
          '';
        }
        {
          assertion = config.hardware.nvidia.open != true;
          message = ''
            hardware.nvidia.open: the open kernel modules are not built for vGPU drivers, only those that come with ${driver}.
            Set it to false.
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
