# What differs between the releases of nixpkgs that this project works with: 25.11, 26.05 and unstable.
# Decided here, and nowhere else; by looking at what the package set has, not at version numbers,
# because "unstable" carries the next release's number for half a year before it has its contents.
{ lib, pkgs }:

let
  # The folder of nixpkgs' own nvidia driver.
  nvidiaDir = pkgs.path + "/pkgs/os-specific/linux/nvidia-x11";

  # nixpkgs moved the X libraries out of `xorg` and gave them lower-case names.
  moved =
    pkgs: name: oldName:
    pkgs.${name} or pkgs.xorg.${oldName};

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
  # Up to 25.11 the nvidia module takes closed kernel modules from the output `bin` of the driver, where ours has none:
  # modules/kernel-modules.nix adds them. Since 26.05, when nixpkgs split its driver into userland and modules, it takes
  # them from `mod`, and brings the EGL platforms itself: then they must not be in the driver too.
  modulesApart = builtins.pathExists (nvidiaDir + "/kernel-modules.nix");

  # make's flags for a kernel module.
  moduleMakeFlags = kernelPackages: kernelPackages.kernelModuleMakeFlags;

  # The libraries that NVIDIA's own look for at run time, on any machine …
  driverLibraries = pkgs: [
    pkgs.zlib
    pkgs.stdenv.cc.cc
    pkgs.openssl
    pkgs.dbus # for nvidia-powerd and nvidia-gridd
  ];
  # … and where there are screens, or graphics without.
  graphicsLibraries = pkgs: [
    pkgs.libdrm
    (moved pkgs "libxext" "libXext")
    (moved pkgs "libx11" "libX11")
    (moved pkgs "libxv" "libXv")
    (moved pkgs "libxrandr" "libXrandr")
    (moved pkgs "libxcb" "libxcb")
    pkgs.wayland
    pkgs.libgbm
    pkgs.libGL
  ];

  # { driver, sha256 } → nvidia-settings, nvidia-persistenced
  settings = args: tool (args // { file = "settings.nix"; });
  persistenced = args: tool (args // { file = "persistenced.nix"; });
}
