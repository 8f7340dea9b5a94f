# What differs between the releases of nixpkgs that this project works with, 24.05 to unstable.
# Decided here, and nowhere else; by looking at what the package set has, not at version numbers,
# because "unstable" carries the next release's number for half a year before it has its contents.
{ lib, pkgs }:

let
  # The folder of nixpkgs' own nvidia driver.
  nvidiaDir =
    lib.findFirst builtins.pathExists
      (throw "vgpu4nixos: no nvidia-x11 folder in ${toString pkgs.path}; this nixpkgs is not one we know")
      (
        map (folder: pkgs.path + folder) [
          "/pkgs/os-specific/linux/nvidia-x11"
          "/pkgs/linux-support/pkgs/nvidia-x11"
        ]
      );

  # nixpkgs moved the X libraries out of `xorg` and gave them lower-case names.
  moved = pkgs: name: oldName: pkgs.${name} or pkgs.xorg.${oldName};

  # nixpkgs fetches the sources of NVIDIA's own tools from where NVIDIA tagged them; some tags exist in
  # one place only. The two places compress differently: an extension that is none makes tar look.
  fetchFromGitHubOrNvidia =
    {
      owner,
      repo,
      rev ? args.tag,
      ...
    }@args:
    pkgs.fetchzip {
      name = "source";
      urls = [
        "https://github.com/${owner}/${repo}/archive/${rev}.tar.gz"
        "https://download.nvidia.com/XFree86/${repo}/${repo}-${rev}.tar.bz2"
      ];
      extension = "tar.??";
      hash = args.hash or args.sha256;
    };

  # One of nixpkgs' tools, built for our driver: `nvidia_x11: sha256: { …packages… }: derivation`.
  tool =
    {
      file,
      driver,
      sha256,
    }:
    let
      build = import (nvidiaDir + "/${file}") driver sha256;
      wanted = lib.functionArgs build;
    in
    pkgs.callPackage build (
      lib.filterAttrs (name: _: wanted ? ${name}) {
        fetchFromGitHub = fetchFromGitHubOrNvidia;
        fetchFromGithubOrNvidia = fetchFromGitHubOrNvidia;
      }
    );
in
{
  # Up to 25.11 the nvidia module takes kernel modules from the output `bin` of the driver. Since 26.05, when
  # nixpkgs split its driver into userland and modules, it takes them from `mod`, and brings the EGL platforms
  # itself: then they must not be in the driver too.
  modulesApart = builtins.pathExists (nvidiaDir + "/kernel-modules.nix");

  # make's flags for a kernel module: a member of kernelPackages since 25.05.
  moduleMakeFlags =
    kernelPackages: kernelPackages.kernelModuleMakeFlags or kernelPackages.kernel.makeFlags;

  # The libraries that NVIDIA's own look for at run time.
  driverLibraries = pkgs: [
    pkgs.libdrm
    (moved pkgs "libxext" "libXext")
    (moved pkgs "libx11" "libX11")
    (moved pkgs "libxv" "libXv")
    (moved pkgs "libxrandr" "libXrandr")
    (moved pkgs "libxcb" "libxcb")
    pkgs.zlib
    pkgs.stdenv.cc.cc
    pkgs.wayland
    (pkgs.libgbm or pkgs.mesa)
    pkgs.libGL
    pkgs.openssl
    pkgs.dbus # for nvidia-powerd and nvidia-gridd
  ];

  # { driver, sha256 } → nvidia-settings, nvidia-persistenced
  settings = args: tool (args // { file = "settings.nix"; });
  persistenced = args: tool (args // { file = "persistenced.nix"; });

  # The compiler for `vgpu`. Releases before 25.11 have none that is new enough: they build it with Rust's own
  # binaries, wrapped the way nixpkgs wraps those to build its compiler.
  rustPlatform =
    if lib.versionAtLeast pkgs.rustc.version "1.88" then
      pkgs.rustPlatform
    else
      let
        binaries = pkgs.callPackage (pkgs.path + "/pkgs/development/compilers/rust/bootstrap.nix") {
          version = "1.89.0";
          hashes.x86_64-unknown-linux-gnu = "542f517d0624cbee516627221482b166bf0ffe5fd560ec32beb778c01f5c99b6";
        };
      in
      pkgs.makeRustPlatform { inherit (binaries) cargo rustc; };
}
