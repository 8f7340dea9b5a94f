# `vgpu-builder`: the builder of every driver. What is named here builds all drivers again when it changes.
{ rustProgram }:

rustProgram {
  pname = "vgpu-builder";
  crate = "driver";
  needs = [ "base" ];
  description = "Installs NVIDIA vGPU drivers: the builder of their derivations";
}
