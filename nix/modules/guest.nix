# A virtual machine: NVIDIA's GRID driver and its services.
{
  config,
  lib,
  options,
  ...
}:

let
  inherit (config.hardware.nvidia) package;

  ours = import ../lib/is-ours.nix { inherit config lib options; };
  withRole = file: lib.modules.importApply file { role = "guest"; };
in
{
  imports = [
    (withRole ./driver.nix)
    (withRole ./source.nix)
    (withRole ./patching.nix)
    ./kernel-modules.nix
    ./licensing.nix
  ];

  config = lib.mkIf ours {
    warnings = lib.optional (!lib.elem "nvidia" config.services.xserver.videoDrivers) ''
      hardware.nvidia.package is a vGPU guest driver, but nothing loads it: add "nvidia" to services.xserver.videoDrivers
      (this does not start a desktop).
    '';

    hardware.nvidia = {
      modesetting.enable = lib.mkDefault true;
      # The GPU's own system processor serves the host, not the guest; but open kernel modules come with its firmware.
      gsp.enable = lib.mkDefault (config.hardware.nvidia.open == true);
    };

    environment.etc."nvidia/nvidia-topologyd.conf.template".source =
      "${package.out}/nvidia-topologyd.conf.template";

    systemd.services.nvidia-topologyd = {
      description = "NVIDIA Topology Daemon";
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "forking";
        ExecStart = "${package.vgpu.programs}/bin/nvidia-topologyd";
      };
    };
  };
}
