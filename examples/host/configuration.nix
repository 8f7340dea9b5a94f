# A host. Get the GRID archive of the release from NVIDIA's licensing portal first, and `vgpu import` it.
{ ... }:

{
  # The release. Guests get the driver of the same one.
  hardware.nvidia.vgpu.release = "19.6";

  # NVIDIA's licence is not free.
  nixpkgs.config.allowUnfree = true;

  # Virtual machines need the IOMMU.
  boot.kernelParams = [
    "intel_iommu=on" # AMD: without this line
    "iommu=pt"
  ];
  virtualisation.libvirtd.enable = true;

  # Replace what follows by your machine's own: nixos-generate-config writes it.
  networking.hostName = "host";
  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "25.11";
}
