# A host without screens, where nixpkgs' nvidia module does nothing: what that module does for one with.
{
  config,
  lib,
  options,
  ...
}:

let
  inherit (config.hardware.nvidia) package;

  ours = import ../lib/is-ours.nix { inherit config lib options; };
  merged = lib.elem "nvidia" config.services.xserver.videoDrivers;
in
{
  config = lib.mkIf (ours && !merged) {
    boot = {
      kernelModules = [ "nvidia" ];
      extraModulePackages = [
        (if config.hardware.nvidia.open == true then package.open else package.mod)
      ];
      blacklistedKernelModules = [
        "nouveau"
        "nova_core"
        "nvidiafb"
      ];
    };
    hardware.firmware = [ package.firmware ];
    environment.systemPackages = [ package.vgpu.programs ];
  };
}
