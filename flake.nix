{
  description = "NVIDIA vGPU on NixOS, host and guest";

  # For this flake's own packages and checks. The modules use the nixpkgs of the configuration they are in.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      system = "x86_64-linux";
      inherit (nixpkgs) lib;
      pkgs = import nixpkgs { inherit system; };
      tools = import ./nix/lib/tools.nix { inherit lib pkgs; };
    in
    {
      nixosModules = {
        host.imports = [ ./nix/modules/host.nix ];
        guest.imports = [ ./nix/modules/guest.nix ];

        # A machine is one or the other, and only its owner knows.
        default.assertions = [
          {
            assertion = false;
            message = ''
              vgpu4nixos.nixosModules.default: say what this machine is. Import vgpu4nixos.nixosModules.host on the machine
              with the GPU, or vgpu4nixos.nixosModules.guest in a virtual machine.
            '';
          }
        ];
      };

      # `vgpu`, and the drivers in nvidiaPackages of every kernel package set, as they are without options.
      overlays.default = import ./nix/overlay.nix;

      packages.${system} = {
        default = tools.vgpu;
        inherit (tools) vgpu gridd-unlock-patcher;
      };

      devShells.${system}.default = pkgs.mkShell {
        packages = [
          pkgs.cargo
          pkgs.clippy
          pkgs.nixfmt-tree
          pkgs.patchelf
          pkgs.rustc
          pkgs.rustfmt
          pkgs.zstd
        ];
      };

      formatter.${system} = pkgs.nixfmt-tree;

      checks.${system} = import ./nix/tests/flake-checks.nix { inherit self nixpkgs pkgs; };

      templates = {
        host = {
          path = ./examples/host;
          description = "A host that lends its NVIDIA GPU to virtual machines";
        };
        guest = {
          path = ./examples/guest;
          description = "A virtual machine with an NVIDIA vGPU";
        };
        default = self.templates.host;
      };
    };
}
