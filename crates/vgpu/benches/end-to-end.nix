# What end-to-end.sh builds: a guest's driver with its kernel modules, and a changed vgpuConfig.xml, by our derivations and by
# those of the shell version of vgpu4nixos, with the tools of the machine.
{
  lib ? import <nixpkgs/lib>,
  # The programs, finished.
  vgpu,
  # A guest's .run file of release 17.6, with the sources of its kernel modules.
  archive,
  # A checkout of the shell version.
  original,
  # vgpuConfig.xml of a host's driver.
  profiles,
  # Kernel headers that are installed.
  kernelRelease,
}:

let
  src = builtins.path {
    path = archive;
    name = baseNameOf archive;
  };
  pkgs = import ../../../nix/tests/host-tools.nix { inherit lib vgpu kernelRelease; };

  configuration =
    guest: module:
    (import ../../../nix/tests/eval.nix { inherit lib pkgs; } {
      inherit guest;
      modules = [ module ];
    }).config.hardware.nvidia;

  # A driver of which nothing is built but its profiles.
  profilesAlone = pkgs.runCommand "profiles" {
    file = builtins.path {
      path = profiles;
      name = "vgpuConfig.xml";
    };
  } "mkdir $out && cp $file $out/vgpuConfig.xml";

  onMachine = pkgs.gcc;
  # What the shell version's derivation wants and host-tools.nix doesn't have.
  more = lib.genAttrs [ "bbe" "jq" "libarchive" "mesa" "patchutils" ] (_: onMachine) // {
    xorg = lib.genAttrs [ "libXext" "libX11" "libXv" "libXrandr" "libxcb" ] (_: onMachine);
    runCommandLocal = pkgs.runCommand;
  };
  withMore = pkgs.extend (_: _: more);
in
{
  ours = {
    driver =
      let
        inherit
          (configuration true (
            { config, ... }:
            {
              hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.grid_17_6.overrideAttrs {
                inherit src;
              };
            }
          ))
          package
          ;
      in
      [ package.mod ] ++ package.all;
    profiles =
      pkgs.runCommand "ours" { }
        "cp ${
          (configuration false (
            { config, ... }:
            {
              hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_17_6 // {
                outPath = "${profilesAlone}";
                out = profilesAlone;
              };
              hardware.nvidia.vgpu.patcher.profileOverrides."46".heads = 2;
            }
          )).vgpu.vgpuConfig
        } $out";
  };
  original = {
    driver =
      let
        package =
          withMore.callPackage
            (import "${original}/nvidia-vgpu" {
              version = "550.163.01";
              useSettings = false;
              usePersistenced = false;
            })
            {
              inherit src;
              inherit (pkgs.linuxPackages) kernel;
              guest = true;
            };
        # nixpkgs' stdenv unpacks so, and knows the dynamic linker.
        built = package.overrideAttrs (_: {
          # It removes the vendor-neutral libraries, and fails on archives that don't have them.
          preInstall = ''
            substituteInPlace() { sed -i "s|$3|$4|g" "$1"; }
            for name in GL GLX EGL GLESv1_CM GLESv2 OpenGL GLdispatch; do touch lib$name.so.0 32/lib$name.so.0; done
          '';
          unpackPhase = ''unpackFile "$src"; sourceRoot=$(ls -d NVIDIA-*)'';
          NIX_CC = pkgs.runCommand "cc" { } ''
            mkdir -p $out/nix-support
            echo /lib64/ld-linux-x86-64.so.2 > $out/nix-support/dynamic-linker
          '';
        });
      in
      [
        built
        built.bin
        built.lib32
      ];
    profiles = pkgs.runCommand "vgpuconfig-override" { } ''
      mkdir -p $out
      xmlstarlet ed -P -u '/vgpuconfig/vgpuType[@id="46"]/numHeads/text()' -v 2 \
        ${profilesAlone}/vgpuConfig.xml > $out/vgpuConfig.xml
    '';
  };
}
