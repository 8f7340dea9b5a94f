{
  description = "A host that lends its NVIDIA GPU to virtual machines";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";
    vgpu4nixos.url = "github:mrzenc/vgpu4nixos";
  };

  outputs =
    { nixpkgs, vgpu4nixos, ... }:
    {
      nixosConfigurations.host = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ./configuration.nix
          vgpu4nixos.nixosModules.host
        ];
      };
    };
}
