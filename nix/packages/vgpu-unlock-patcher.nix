# vGPU-Unlock-patcher at one revision: its source, untouched, with the drivers and programs its script looks for.
# Other people's work (https://github.com/VGPU-Community-Drivers/vGPU-Unlock-patcher, and its forks); we fetch it and
# run it.
{
  lib,
  stdenv,
  stdenvNoCC,
  fetchFromGitHub,
  fetchurl,
  bash,
  coreutils,
  diffutils,
  findutils,
  gawk,
  gnugrep,
  gnumake,
  gnupatch,
  gnused,
  gnutar,
  gzip,
  patchelf,
  which,
  xz,
  zstd,

  # The attributes of mkVgpuPatcher.
  version ? "custom",
  owner ? "VGPU-Community-Drivers",
  repo ? "vGPU-Unlock-patcher",
  rev ? null,
  sha256 ? null,
  # The source itself, submodules included; rev and sha256 play no part then.
  src ? null,
  generalVersion,
  generalSha256,
  linuxGuest ? null,
  linuxSha256 ? null,
  windowsGuestFilename ? null,
  windowsSha256 ? null,
  gridVersion ? null,
  generalUrl ? "https://download.nvidia.com/XFree86/Linux-x86_64/${generalVersion}",
  vgpuUrl ? "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU${gridVersion}",

  # What the driver tells about itself.
  driver,
}:

let
  # A guest driver from NVIDIA's server, or null where its hash is not known: only `nvidia-vup` takes them.
  guestDriver =
    name: sha256:
    if sha256 == null then
      null
    else
      fetchurl {
        url = "${vgpuUrl}/${name}";
        inherit sha256;
      };
in
stdenvNoCC.mkDerivation {
  pname = "vgpu-unlock-patcher";
  inherit version;

  src =
    if src != null then
      src
    else
      fetchFromGitHub {
        fetchSubmodules = true;
        inherit
          owner
          repo
          rev
          sha256
          ;
      };

  # patch.sh goes on without its submodule, so that it shows in the kernel modules' build at the earliest.
  buildCommand = ''
    if [ ! -f "$src/patch.sh" ] || [ ! -d "$src/unlock" ] || [ -z "$(ls -A "$src/unlock")" ]; then
      echo "error: ${
        if src != null then "src" else "${rev} of ${owner}/${repo}"
      } has no patch.sh, or came without its git submodule unlock" >&2
      echo "help: the hash must be that of a checkout with submodules (fetchSubmodules = true)" >&2
      exit 1
    fi
    cp -r "$src" $out
  '';

  passthru = {
    inherit driver generalVersion;

    generalDriver = fetchurl {
      # The file itself, or where it lies.
      url =
        if lib.hasSuffix ".run" generalUrl then
          generalUrl
        else
          "${generalUrl}/NVIDIA-Linux-x86_64-${generalVersion}.run";
      sha256 = generalSha256;
    };
    linuxGuestDriver = guestDriver "NVIDIA-Linux-x86_64-${linuxGuest}-grid.run" linuxSha256;
    windowsGuestDriver = guestDriver windowsGuestFilename windowsSha256;

    # What patch.sh and NVIDIA's self-extracting files call.
    tools = [
      bash
      coreutils
      diffutils
      findutils
      gawk
      gnugrep
      gnumake
      gnupatch
      gnused
      gnutar
      gzip
      patchelf
      stdenv.cc
      which
      xz
      zstd
    ];
  };

  meta = {
    description = "Patches NVIDIA vGPU drivers for GPUs that are not on NVIDIA's list";
    homepage = "https://github.com/${owner}/${repo}";
    platforms = [ "x86_64-linux" ];
  };
}
