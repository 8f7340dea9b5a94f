# A virtual machine without flakes: /etc/nixos/configuration.nix. This one asks a licence server with its own
# certificate authority (fastapi-dls).
{ config, ... }:

{
  imports = [
    (import (builtins.fetchGit {
      url = "https://github.com/mrzenc/vgpu4nixos.git";
      # Pin a commit, so that an update is your decision:
      # rev = "…";
    }) { guest = true; })
  ];

  hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.grid_18_1;
  services.xserver.videoDrivers = [ "nvidia" ];
  hardware.graphics.enable = true;

  hardware.nvidia.vgpu = {
    griddUnlock.enable = true;
    griddUnlock.rootCaFile = ./root_certificate.pem; # https://SERVER/-/config/root-certificate
    licensing.tokenFile = "/run/secrets/vgpu.tok"; # https://SERVER/-/client-token
  };

  nixpkgs.config.allowUnfree = true;

  # Replace what follows by your machine's own: nixos-generate-config writes it.
  networking.hostName = "guest";
  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "25.11";
}
