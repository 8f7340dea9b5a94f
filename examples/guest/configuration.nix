# A virtual machine. Its driver is downloaded; the licence server is the one thing to fill in.
{ ... }:

{
  # The release that the host has.
  hardware.nvidia.vgpu.release = "19.4";
  services.xserver.videoDrivers = [ "nvidia" ];
  hardware.graphics.enable = true;

  # NVIDIA's licence is not free.
  nixpkgs.config.allowUnfree = true;

  # The client token of the licence server: a file on the guest, readable by root alone.
  hardware.nvidia.vgpu.licensing.tokenFile = "/run/secrets/vgpu.tok";

  # Replace what follows by your machine's own: nixos-generate-config writes it.
  networking.hostName = "guest";
  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "25.11";
}
