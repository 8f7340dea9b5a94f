# Our patcher packages, in a package set whose tools are the machine's. The patcher is the stand-in beside this
# file, and NVIDIA's files are what the test has made.
{
  lib ? import <nixpkgs/lib>,
  # A finished `vgpu`, as a string.
  vgpu,
  # A directory with what stands for NVIDIA's files: host.run, guest.run, general.run, windows.exe, perhaps grid.zip.
  drivers,
  # The patcher's source.
  source ? ./source,
}:

let
  pkgs = (import ../host-tools.nix { inherit lib vgpu; }).extend (
    final: prev:
    {
      fetchFromGitHub =
        { fetchSubmodules, ... }:
        assert fetchSubmodules;
        builtins.path {
          path = source;
          name = "source";
        };
      fetchurl =
        { url, ... }:
        builtins.path {
          name = baseNameOf url;
          path =
            drivers
            + (
              if lib.hasSuffix ".exe" url then
                "/windows.exe"
              else if lib.hasSuffix "-grid.run" url then
                "/guest.run"
              else
                "/general.run"
            );
        };
      fetchFromGitLab = _: ./gridd-source;
      cmake = prev.coreutils;
      pkg-config = prev.coreutils;
      lief.src = "/source-of-lief";
      requireFile =
        { name, ... }:
        builtins.path {
          inherit name;
          path = drivers + (if lib.hasSuffix ".zip" name then "/grid.zip" else "/host.run");
        };
      writeShellScriptBin = name: text: script name text;
    }
    # The machine has these, wherever.
    // lib.genAttrs (lib.filter (name: !(prev ? ${name})) [
      "diffutils"
      "findutils"
      "gnupatch"
      "gnutar"
      "gzip"
      "which"
      "xz"
    ]) (_: prev.coreutils)
    # These it may lack; only drivers for Windows need them.
    // {
      mono = script "makecert" "exit 0";
      mscompress = script "msexpand" "exit 0";
      osslsigncode = script "osslsigncode" "exit 0";
      p7zip = script "7z" "exit 0";
    }
  );

  script =
    name: text:
    pkgs.runCommand name { inherit text; } ''
      mkdir -p $out/bin
      printf '#!/bin/bash\n%s' "$text" > $out/bin/${name}
      chmod +x $out/bin/${name}
    '';

  tools = import ../../lib/tools.nix { inherit lib pkgs; };
  callPackage = file: pkgs.callPackage file { inherit (tools) vgpu-patcher; };

  mkVgpuPatcher = pkgs.callPackage ../../lib/mk-vgpu-patcher.nix {
    checkAttrs = import ../../lib/check-attrs.nix { inherit lib; };
  };
  attributes = {
    version = "550.90";
    rev = "8f19e550540dcdeccaded6cb61a71483ea00d509";
    sha256 = lib.fakeSha256;
    generalVersion = "550.90.07";
    generalSha256 = lib.fakeSha256;
    linuxGuest = "550.90.07";
    linuxSha256 = lib.fakeSha256;
    windowsGuestFilename = "552.74_grid_win10_win11_server2022_dch_64bit_international.exe";
    windowsSha256 = lib.fakeSha256;
    gridVersion = "17.3";
  };

  evaluate = import ../eval.nix {
    inherit lib;
    pkgsWith = pkgs.appendOverlays;
  };

  driverFile =
    name:
    builtins.path {
      path = drivers + "/${name}";
      inherit name;
    };
  patcherFor = file: mkVgpuPatcher attributes { source = driverFile file; };
  patch = callPackage ../../packages/patched-driver.nix;
in
{
  inherit mkVgpuPatcher attributes;
  patcher = patcherFor "host.run";

  # A driver patched by the stand-in: role, file, target, flags.
  patched =
    {
      file,
      role,
      target,
      extraFlags ? [ ],
      expectedVersion ? if role == "host" then "550.90.05" else "550.90.07",
    }:
    patch {
      inherit
        role
        target
        extraFlags
        expectedVersion
        ;
      source = driverFile file;
      patcher = patcherFor file;
    };

  command =
    file:
    callPackage ../../packages/nvidia-vup.nix {
      source = driverFile file;
      patcher = patcherFor file;
    };

  # nvidia-gridd with a certificate. `tool` stands for gridd-unlock-patcher.
  gridd =
    { certificate, tool }:
    pkgs.callPackage ../../packages/unlocked-gridd.nix
      {
        inherit (tools) vgpu;
        gridd-unlock-patcher = script "gridd-unlock-patcher" tool;
      }
      {
        driver = {
          version = "570.124.03";
          vgpu.programs = script "nvidia-gridd" "echo CERTIFICATE";
        };
        rootCaFile = certificate;
      };

  # What gridd-unlock-patcher is built from, prepared for a build without a network.
  griddSource = tools.gridd-unlock-patcher.overrideAttrs (_: {
    dontBuild = true;
    installPhase = "cp src/CMakeLists.txt $out";
  });

  # A configured machine: { guest, module } → its configuration.
  machine =
    {
      guest ? false,
      module,
    }:
    (evaluate {
      inherit guest;
      modules = [
        module
        (
          { config, ... }:
          {
            hardware.nvidia.package = lib.mkDefault (
              with config.boot.kernelPackages.nvidiaPackages; if guest then grid_17_3 else vgpu_17_3
            );
            hardware.nvidia.vgpu.patcher.enable = true;
          }
        )
      ];
    }).config;
}
