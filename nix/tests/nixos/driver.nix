# How a driver is chosen: by release, by package, by branch, with whichever package set.
{
  lib,
  host,
  guest,
  machine,
  byPackage,
  packageOf,
  nvidiaPackagesOf,
  pkgs,
  screens,
  throws,
  ...
}:

let
  plainHost = host (byPackage "vgpu_17_3");
  plainGuest = guest (byPackage "grid_17_3");
  releases = import ../../lib/releases.nix { inherit lib; };
  # The list of supported releases in the README.
  supported = [
    "16_2"
    "16_5"
    "16_8"
    "16_9"
    "16_10"
    "17_3"
    "17_4"
    "17_5"
    "17_6"
    "18_0"
    "18_1"
  ];

  plainByRelease = host { };
  publicPackages = (pkgs.extend (import ../../overlay.nix)).linuxPackages.nvidiaPackages;
in
{
  "test default.nix is the host's module unless asked for the guest's" = {
    expr = [
      (import ../../.. { })
      (import ../../.. { guest = false; })
      (import ../../.. { guest = true; })
    ];
    expected = [
      ../../modules/host.nix
      ../../modules/host.nix
      ../../modules/guest.nix
    ];
  };
  "test vgpu_XX_X of every supported release on hosts" = {
    expr = map (name: (nvidiaPackagesOf plainHost)."vgpu_${name}".version) supported;
    expected = map (name: releases.${name}.host) supported;
  };
  "test grid_XX_X of every supported release on guests" = {
    expr = map (name: (nvidiaPackagesOf plainGuest)."grid_${name}".version) supported;
    expected = map (name: releases.${name}.guest) supported;
  };
  "test no grid_ on hosts, no vgpu_ on guests" = {
    expr =
      lib.filter (lib.hasPrefix "grid_") (lib.attrNames (nvidiaPackagesOf plainHost))
      ++ lib.filter (lib.hasPrefix "vgpu_") (lib.attrNames (nvidiaPackagesOf plainGuest));
    expected = [ ];
  };
  "test every release of the catalog has a package, and nixpkgs' own stay" = {
    expr = {
      ours = lib.filter (lib.hasPrefix "vgpu") (lib.attrNames (nvidiaPackagesOf plainHost));
      theirs = lib.isDerivation (nvidiaPackagesOf plainHost).stable;
    };
    expected = {
      ours = lib.sort lib.lessThan (
        map (name: "vgpu_${name}") (lib.attrNames releases) ++ [ "vgpuNixpkgsOverlay" ]
      );
      theirs = true;
    };
  };
  "test users can extend nvidiaPackages further" = {
    expr =
      let
        extended = (nvidiaPackagesOf plainHost).extend (_: prev: { mine = prev.vgpu_17_3; });
      in
      [
        extended.mine.version
        (extended ? vgpu_17_6)
        (nvidiaPackagesOf plainHost).recurseForDerivations
      ];
    expected = [
      "550.90.05"
      true
      false
    ];
  };
  "test overlays.default has both drivers as they are without options" = {
    expr = [
      publicPackages.vgpu_17_3.drvPath
      publicPackages.grid_17_3.drvPath
      ((publicPackages.vgpu_17_3.override { gridVersion = "17.99"; }).vgpu.gridVersion)
    ];
    expected = [
      (packageOf plainHost).drvPath
      (packageOf plainGuest).drvPath
      "17.99"
    ];
  };
  "test overlays.default beside the module: the module's options count, in any order" = {
    expr =
      map
        (
          order:
          (packageOf (host ({
            imports = [
              screens
              (byPackage "vgpu_17_3")
            ];
            nixpkgs.overlays = order [ (import ../../overlay.nix) ];
            hardware.nvidia.vgpu.patcher.enable = true;
          }))).pname
        )
        [
          lib.mkBefore
          lib.mkAfter
        ];
    expected = [
      "nvidia-vgpu-host-merged"
      "nvidia-vgpu-host-merged"
    ];
  };
  "test vgpuNixpkgsOverlay gives another nixpkgs the same drivers" = {
    expr =
      let
        other = pkgs.extend (nvidiaPackagesOf plainHost).vgpuNixpkgsOverlay;
      in
      [
        other.linuxPackages.nvidiaPackages.vgpu_17_3.drvPath
        (other.linuxPackages.nvidiaPackages ? grid_17_3)
      ];
    expected = [
      (packageOf plainHost).drvPath
      false
    ];
  };
  "test the packages come with whichever kernel is picked" = {
    expr =
      let
        latest = host (
          { pkgs, ... }:
          {
            imports = [ (byPackage "vgpu_17_3") ];
            boot.kernelPackages = pkgs.linuxPackages_latest;
          }
        );
      in
      [
        (packageOf latest).mod.version
        latest.failed
      ];
    expected = [
      "550.90.05-${pkgs.linuxPackages_latest.kernel.version}"
      [ ]
    ];
  };
  "test hardware.nvidia.vgpu.release chooses a driver" = {
    expr = [
      (packageOf (host {
        hardware.nvidia.vgpu.release = "18.1";
      })).version
      (packageOf (guest {
        hardware.nvidia.vgpu.release = "18.1";
      })).version
    ];
    expected = [
      "570.133.10"
      "570.133.20"
    ];
  };
  "test hardware.nvidia.vgpu.release works with kernels from another package set" = {
    expr =
      (packageOf (host {
        hardware.nvidia.vgpu.release = "18.1";
        boot.kernelPackages = (pkgs.extend (_: _: { })).linuxPackages_latest;
      })).mod.version;
    expected = "570.133.10-${pkgs.linuxPackages_latest.kernel.version}";
  };
  "test hardware.nvidia.vgpu.release wins over what other modules have for the GPU" = {
    expr =
      let
        machine = host (
          { config, ... }:
          {
            hardware.nvidia.vgpu.release = "18.1";
            hardware.nvidia.package = lib.mkDefault config.boot.kernelPackages.nvidiaPackages.stable;
            hardware.nvidia.open = lib.mkOverride 990 true;
          }
        );
      in
      [
        (packageOf machine).version
        machine.config.hardware.nvidia.open
        machine.failed
      ];
    expected = [
      "570.133.10"
      false
      [ ]
    ];
  };
  "test hardware.nvidia.vgpu.release knows its releases" = {
    expr =
      (builtins.tryEval
        (host { hardware.nvidia.vgpu.release = "17.66"; }).config.hardware.nvidia.vgpu.release
      ).success;
    expected = false;
  };
  "test nothing happens before a driver is chosen" = {
    expr =
      let
        nothing = machine { };
      in
      {
        inherit (nothing) failed;
        services = lib.filter (lib.hasPrefix "nvidia") (lib.attrNames nothing.config.systemd.services);
        programs = lib.filter (lib.hasInfix "vgpu") (
          map lib.getName nothing.config.environment.systemPackages
        );
        vgpuConfig = throws nothing.config.hardware.nvidia.vgpu.vgpuConfig;
      };
    expected = {
      failed = [ ];
      services = [ ];
      programs = [ ];
      vgpuConfig = true;
    };
  };
  "test nobody needs to accept NVIDIA's licence for importing the module" = {
    expr =
      (machine {
        packageSet.nixpkgs.hostPlatform = "x86_64-linux";
      }).failed;
    expected = [ ];
  };
  "test a module list shared with another platform evaluates where no driver is chosen" = {
    expr =
      (machine {
        packageSet.nixpkgs.hostPlatform = "aarch64-linux";
      }).failed;
    expected = [ ];
  };

  "test release alone leaves the package set as it is" = {
    expr = plainByRelease.config.nixpkgs.overlays;
    expected = [ ];
  };
  "test hardware.nvidia.branch chooses a driver of ours" = {
    expr = map (
      shape:
      let
        branch = machine {
          inherit shape;
          module.hardware.nvidia.branch = "vgpu_17_6";
        };
      in
      [
        (packageOf branch).version
        branch.config.boot.kernelModules
        branch.failed
      ]
    ) [ "26.05" ];
    expected = [
      [
        releases."17_6".host
        plainByRelease.config.boot.kernelModules
        [ ]
      ]
    ];
  };
  "test the program vgpu can be replaced" = {
    expr =
      lib.elem pkgs.hello
        (plainByRelease.extend { hardware.nvidia.vgpu.package = pkgs.hello; })
        .config.environment.systemPackages;
    expected = true;
  };
}
