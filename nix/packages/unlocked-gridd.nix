# nvidia-gridd with the root certificate of the user's licence server in it. It is a derivation of its own. So another
# certificate builds only these few megabytes again, and not the driver.
{
  runCommand,
  lib,
  vgpu,
  gridd-unlock-patcher,
}:

{
  # The guest driver.
  driver,
  # A PEM certificate: a path, or a string that is one.
  rootCaFile,
}:

let
  # The program as installed, run path and interpreter set: the tool writes within .rodata and .data, at the same
  # length, and leaves both alone. `driver.bin` may have kernel modules beside it.
  programs = driver.vgpu.programs or (lib.getBin driver);

  # Builds do not see files outside the store, and the store not every file name.
  intoStore =
    path:
    builtins.path {
      inherit path;
      name = "root-certificate.pem";
    };
  certificate =
    if builtins.isPath rootCaFile then
      intoStore rootCaFile
    else if lib.hasPrefix "${builtins.storeDir}/" "${rootCaFile}" then
      "${rootCaFile}"
    else
      intoStore (/. + rootCaFile);
in
runCommand "nvidia-gridd-unlocked-${driver.version}"
  {
    nativeBuildInputs = [
      vgpu
      gridd-unlock-patcher
    ];
    meta = {
      description = "NVIDIA's licence client with a licence server's own root certificate";
      license = lib.licenses.unfree;
      mainProgram = "nvidia-gridd";
      platforms = [ "x86_64-linux" ];
    };
  }
  ''
    vgpu check-certificate ${certificate}
    install -Dm755 ${programs}/bin/nvidia-gridd $out/bin/nvidia-gridd
    gridd-unlock-patcher -g $out/bin/nvidia-gridd -c ${certificate}
    if cmp -s ${programs}/bin/nvidia-gridd $out/bin/nvidia-gridd; then
      echo "error: gridd-unlock-patcher changed nothing in nvidia-gridd ${driver.version}" >&2
      echo "help: it works with guest drivers from 570.124.03 (18.0) on" >&2
      exit 1
    fi
  ''
