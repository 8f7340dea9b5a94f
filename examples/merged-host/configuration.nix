# A desktop that also lends its GPU: one merged driver for the host's own screens and for virtual machines, on a GPU
# that NVIDIA sells without vGPU. Use it with the flake of ../host.
{ config, ... }:

{
  # This makes the driver a merged one.
  services.xserver.videoDrivers = [ "nvidia" ];
  hardware.graphics.enable = true;

  # A release that vGPU-Unlock-patcher has a branch for.
  hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_17_3;

  hardware.nvidia.vgpu.patcher = {
    enable = true;
    options.remapP40ProfilesToV100D = true;

    # A GPU that the patcher does not know gets the profiles of one that has them.
    copyVGPUProfiles."1E87:0000" = "1E30:12BA";

    # Less memory than NVIDIA gives this profile, and no frame limit.
    profileOverrides."333" = {
      vramAllocation = 3584;
      heads = 1;
      display.width = 1920;
      display.height = 1080;
      framerateLimit = 0;
    };
  };

  nixpkgs.config.allowUnfree = true;
  boot.kernelParams = [
    "intel_iommu=on" # AMD: without this line
    "iommu=pt"
  ];
  virtualisation.libvirtd.enable = true;

  # Replace what follows by your machine's own: nixos-generate-config writes it.
  networking.hostName = "desktop";
  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "25.11";
}
