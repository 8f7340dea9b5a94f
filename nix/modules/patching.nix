# Whether and how vGPU-Unlock-patcher is run on the driver.
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
  inherit (config.hardware.nvidia) package;
  host = role == "host";

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
  releases = import ../lib/releases.nix { inherit lib; };
in
{
  options.hardware.nvidia.vgpu = {
    patcher = {
      enable = lib.mkEnableOption (
        if host then
          ''
            vGPU-Unlock-patcher, which changes the driver before it is installed. Use it for vGPU on a GPU that NVIDIA
            did not make for it, to change profiles, or to have one driver for virtual machines and the host's own
            screens. The last happens when {option}`services.xserver.videoDrivers` has `"nvidia"`''
        else
          ''
            vGPU-Unlock-patcher, which changes the driver before it is installed. Guests seldom need it: only when the
            patcher's README asks for a patched guest driver''
      );

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
  };

  config = lib.mkIf driverIsOurs {
    assertions = [
      {
        assertion = cfg.patcher.enable -> package.patcher != null;
        message = ''
          hardware.nvidia.vgpu.patcher.enable: vGPU-Unlock-patcher has no branch for vGPU ${package.vgpu.gridVersion} that we know of.
          Use a release that has one (${
            lib.concatMapStringsSep ", " (release: release.release) (
              lib.filter (release: release ? patcher) (lib.attrValues releases)
            )
          }), or give mkVgpuDriver a vgpuPatcher of your own, made with mkVgpuPatcher.
        '';
      }
    ];
  };
}
