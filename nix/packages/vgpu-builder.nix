# `vgpu-builder`: the builder of every driver. When something that is named here changes, all drivers are built again.
{ rustProgram }:

rustProgram {
  pname = "vgpu-builder";
  crate = "driver";
  needs = [ "base" ];
  description = "Installs NVIDIA vGPU drivers: the builder of their derivations";
}
