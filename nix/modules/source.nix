# Where a driver's file comes from.
#
#   { role } → a NixOS module; role is "host" or "guest"
{ role }:
{
  config,
  lib,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.hardware.nvidia.vgpu;
  host = role == "host";

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };

  hash =
    types.strMatching "|sha256-[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{43}=|[0-9a-fA-F]{64}|[0-9a-z]{52}"
    // {
      description = "SHA-256 hash in base 64, base 32 or hexadecimal";
    };
in
{
  options.hardware.nvidia.vgpu = {
    driverSource = {
      name = mkOption {
        type = types.nullOr (types.strMatching "[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]*\\.(zip|run)") // {
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
          `nix-hash --flat --base32 --type sha256 FILE` prints it; with `""` a download fails and tells it.
        '';
      };

      netrc = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = ''
          Whether the server that {option}`hardware.nvidia.vgpu.driverSource.url` names wants a password that Nix has in
          its netrc file, `/etc/nix/netrc` unless nix.conf says otherwise. Nix then downloads the driver by itself; the
          password stays in that file, which root alone must be able to read, and never comes into the store. A line of it
          is `machine files.example.org login NAME password SECRET`.
        '';
      };

      curlOptsList = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "--retry"
          "5"
        ];
        description = ''
          Arguments for `curl` when the driver is downloaded. Everyone on this machine can read them in the Nix store, as
          everything in a URL: for passwords there is {option}`hardware.nvidia.vgpu.driverSource.netrc`.
        '';
      };
    };
  };

  config = lib.mkIf driverIsOurs {
    assertions = [
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
          nix-hash --flat --base32 --type sha256 ${toString cfg.driverSource.name}
        '';
      }
      {
        assertion = cfg.driverSource.netrc -> cfg.driverSource.url != null;
        message = ''
          hardware.nvidia.vgpu.driverSource.netrc: this driver is not downloaded, so no password is needed.
          Set hardware.nvidia.vgpu.driverSource.url to where it is, or leave netrc out.
        '';
      }
      {
        assertion = cfg.driverSource.netrc -> cfg.driverSource.curlOptsList == [ ];
        message = ''
          hardware.nvidia.vgpu.driverSource.netrc has Nix download the driver without curl, so nobody would use
          hardware.nvidia.vgpu.driverSource.curlOptsList. Leave one of them out.
        '';
      }
    ];
  };
}
