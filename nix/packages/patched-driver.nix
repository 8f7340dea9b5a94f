# A driver changed by vGPU-Unlock-patcher: the unpacked tree that patch.sh leaves, .manifest included. The driver
# derivation installs from it as from an archive. `vgpu-patcher` runs the script and checks what comes out.
{
  lib,
  stdenv,
  vgpu-patcher,
}:

{
  # "host" or "guest".
  role,
  # The GRID .zip or the .run file.
  source,
  # From mkVgpuPatcher, called with the driver.
  patcher,
  # "grid", "vgpu-kvm" or "general-merge".
  target,
  # Options of patch.sh, in order.
  extraFlags ? [ ],
  # Version of the driver in `source`.
  expectedVersion,
}:

let
  merged = target == "general-merge";

  # A merged driver is the consumer driver with the vGPU Manager added to it, and goes by its version.
  version = if merged then patcher.generalVersion else expectedVersion;
  sources = [ source ] ++ lib.optional merged patcher.generalDriver;
in
stdenv.mkDerivation {
  pname = "nvidia-vgpu-${role}-patched";
  inherit version;

  nativeBuildInputs = patcher.tools ++ [ vgpu-patcher ];

  buildCommand = ''
    vgpu-patcher --patcher ${patcher} \
      ${lib.concatMapStringsSep " " (file: "--source ${file}") sources} \
      --expect ${lib.escapeShellArg version} --out $out \
      -- ${lib.escapeShellArgs (extraFlags ++ [ target ])}
  '';

  meta = {
    description = "NVIDIA vGPU ${role} driver ${version}, patched by vGPU-Unlock-patcher";
    license = lib.licenses.unfree;
    platforms = [ "x86_64-linux" ];
  };
}
