# One whole host, to time: `nix-instantiate nix/tests/cost.nix --arg module true` against `--arg module false`.
{
  lib ? import <nixpkgs/lib>,
  module,
}:

(import <nixpkgs/nixos/lib/eval-config.nix> {
  inherit lib;
  system = null;
  modules = [
    {
      nixpkgs.hostPlatform = "x86_64-linux";
      nixpkgs.config.allowUnfree = true;
      boot.loader.grub.device = "/dev/sda";
      fileSystems."/".device = "/dev/sda1";
      system.stateVersion = "25.11";
      documentation.nixos.enable = false;
    }
  ]
  ++ lib.optionals module [
    ../modules/host.nix
    { hardware.nvidia.vgpu.release = "17.6"; }
  ];
}).config.system.build.toplevel
