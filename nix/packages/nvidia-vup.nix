# `nvidia-vup`: patch.sh as a command, for what a system does not build by itself, such as drivers for Windows guests.
# It works below the directory it is called in and leaves its results there; NVIDIA's files come along.
{
  lib,
  writeShellScriptBin,
  vgpu-patcher,
  mono,
  mscompress,
  osslsigncode,
  p7zip,
}:

{
  # From mkVgpuPatcher, called with the driver.
  patcher,
  # The host's GRID .zip or .run file.
  source,
}:

let
  tools = patcher.tools ++ [
    vgpu-patcher
    # For the target wsys: unpack, change and sign Windows drivers.
    mono
    mscompress
    osslsigncode
    p7zip
  ];
  # An archive has the guest drivers in it.
  archive = lib.hasSuffix ".zip" (source.name or (toString source));
  sources = [
    source
    patcher.generalDriver
  ]
  ++ lib.optionals (!archive) (
    lib.filter (driver: driver != null) [
      patcher.linuxGuestDriver
      patcher.windowsGuestDriver
    ]
  );
in
writeShellScriptBin "nvidia-vup" ''
  export PATH=${lib.makeBinPath tools}''${PATH:+:$PATH}
  exec vgpu-patcher --patcher ${patcher} \
    ${lib.concatMapStringsSep " " (file: "--source ${file}") sources} -- "$@"
''
