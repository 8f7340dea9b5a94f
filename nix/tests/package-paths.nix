# Our packages in a real package set: store paths to compare.
#
#   releases    every package of the catalog, for hosts and guests, with what belongs to it
#   custom      mkVgpuDriver and mkVgpuPatcher with every attribute
#   libraries   where a driver's libraries look for others
#   changes     one host as it is, with another kernel, and with a changed profile
{
  lib ? import <nixpkgs/lib>,
  pkgsWith ? overlays: import ./package-set.nix { inherit lib overlays; },
}:

let
  evaluate = import ./eval.nix { inherit lib pkgsWith; };

  inherit
    (import ../lib/tools.nix {
      inherit lib;
      pkgs = pkgsWith [ ];
    })
    vgpu
    ;

  parts = driver: {
    driver = driver.drvPath;
    outputs = map toString driver.all;
    modules = driver.mod.drvPath;
    bin = driver.bin.drvPath;
    settings = driver.settings.drvPath or null;
    persistenced = driver.persistenced.drvPath or null;
  };

  nvidiaPackages =
    guest:
    (evaluate {
      inherit guest;
      modules = [ ];
    }).config.boot.kernelPackages.nvidiaPackages;
  releasesOf =
    guest:
    lib.mapAttrs (_: parts) (
      lib.filterAttrs (name: _: lib.hasPrefix (if guest then "grid_" else "vgpu_") name) (
        nvidiaPackages guest
      )
    );

  hash = "sha256-hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";

  machine =
    module:
    let
      inherit
        (evaluate {
          modules = [
            (
              { config, ... }:
              {
                hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_17_3;
                hardware.nvidia.vgpu.patcher.enable = true;
              }
            )
            module
          ];
        })
        config
        ;
    in
    parts config.hardware.nvidia.package
    // {
      vgpuConfig = config.hardware.nvidia.vgpu.vgpuConfig;
    };
in
{
  vgpu = vgpu.drvPath;

  releases = releasesOf false // releasesOf true;

  custom = parts (
    (nvidiaPackages false).mkVgpuDriver {
      version = "555.44.33";
      sha256 = hash;
      guestVersion = "555.44.34";
      guestSha256 = hash;
      useSettings = true;
      settingVersion = "555.40";
      settingsSha256 = hash;
      usePersistenced = true;
      persistencedVersion = "555.41";
      persistencedSha256 = hash;
      generalVersion = "555.42";
      gridVersion = "17.9";
      zipFilename = "NVIDIA-GRID-Linux-KVM-555.44.33-555.44.34-556.1.zip";
      vgpuPatcher = (nvidiaPackages false).mkVgpuPatcher {
        version = "555.44";
        rev = "refs/heads/555.44";
        sha256 = hash;
        generalVersion = "555.42";
        generalSha256 = hash;
        linuxGuest = "555.44.34";
        linuxSha256 = hash;
        windowsGuestFilename = "556.1_international.exe";
        windowsSha256 = hash;
        gridVersion = "17.9";
        generalUrl = "https://example.org/general";
        vgpuUrl = "https://example.org/grid";
      };
      prePatch = "true";
      postPatch = "true";
      patchFlags = [ "-p1" ];
      patches = [ ];
      preInstall = "true";
      postInstall = "true";
      broken = false;
    }
  );

  # Where a guest's libraries look for others.
  libraries = {
    inherit ((nvidiaPackages true).grid_17_3) libPath libPath32;
  };

  changes = {
    before = machine { };
    kernel = machine ({ pkgs, ... }: { boot.kernelPackages = pkgs.linuxPackages_latest; });
    profile = machine { hardware.nvidia.vgpu.patcher.profileOverrides."333".heads = 2; };
    otherProfile = machine { hardware.nvidia.vgpu.patcher.profileOverrides."333".heads = 3; };
  };
}
