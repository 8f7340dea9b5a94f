# A host without flakes: /etc/nixos/configuration.nix.
{ config, ... }:

{
  imports = [
    (import (builtins.fetchGit {
      url = "https://github.com/mrzenc/vgpu4nixos.git";
      # Pin a commit, so that an update is your decision:
      # rev = "…";
    }) { guest = false; })
  ];

  hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_19_6;

  nixpkgs.config.allowUnfree = true;
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
