# What `nix flake check` builds: the program, its tests, and the examples as whole NixOS systems.
{
  self,
  nixpkgs,
  pkgs,
}:

let
  inherit (pkgs.stdenv.hostPlatform) system;

  # Evaluated to the end, but not built: nobody has the host's archive but its users.
  evaluates =
    name: module: example:
    let
      nixos = nixpkgs.lib.nixosSystem {
        inherit system;
        modules = [
          module
          example
        ];
      };
    in
    pkgs.writeText name (
      builtins.unsafeDiscardStringContext nixos.config.system.build.toplevel.drvPath
    );
in
{
  inherit (self.packages.${system}) vgpu;

  tests = self.packages.${system}.vgpu.overrideAttrs (prev: {
    pname = "vgpu-tests";
    src = self;
    nativeBuildInputs = prev.nativeBuildInputs ++ [
      pkgs.gcc
      pkgs.zstd
    ];
    doCheck = true;
  });

  host = evaluates "host" self.nixosModules.host ../../examples/host/configuration.nix;
  guest = evaluates "guest" self.nixosModules.guest ../../examples/guest/configuration.nix;
}
