# vGPU-Unlock-patcher at one revision: its source, untouched, with the drivers and programs its script looks for.
# Other people's work (https://github.com/VGPU-Community-Drivers/vGPU-Unlock-patcher); we fetch it and run it.
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
  rev,
  sha256,
  generalVersion,
  generalSha256,
  linuxGuest,
  linuxSha256,
  windowsGuestFilename,
  windowsSha256,
  gridVersion ? null,
  generalUrl ? "https://download.nvidia.com/XFree86/Linux-x86_64/${generalVersion}",
  vgpuUrl ? "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU${gridVersion}",

  # What the driver tells about itself.
  driver,
}:

stdenvNoCC.mkDerivation {
  pname = "vgpu-unlock-patcher";
  inherit version;

  src = fetchFromGitHub {
    owner = "VGPU-Community-Drivers";
    repo = "vGPU-Unlock-patcher";
    fetchSubmodules = true;
    inherit rev sha256;
  };

  # patch.sh goes on without its submodule, so that it shows in the kernel modules' build at the earliest.
  buildCommand = ''
    if [ ! -f "$src/patch.sh" ] || [ ! -d "$src/unlock" ] || [ -z "$(ls -A "$src/unlock")" ]; then
      echo "error: ${rev} of vGPU-Unlock-patcher has no patch.sh, or came without its git submodule unlock" >&2
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
    linuxGuestDriver = fetchurl {
      url = "${vgpuUrl}/NVIDIA-Linux-x86_64-${linuxGuest}-grid.run";
      sha256 = linuxSha256;
    };
    windowsGuestDriver = fetchurl {
      url = "${vgpuUrl}/${windowsGuestFilename}";
      sha256 = windowsSha256;
    };

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
    homepage = "https://github.com/VGPU-Community-Drivers/vGPU-Unlock-patcher";
    platforms = [ "x86_64-linux" ];
  };
}
