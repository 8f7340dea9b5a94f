# `vgpu-builder`: the builder of every driver. What is named here builds all drivers again when it changes.
{ lib, rustProgram }:

rustProgram {
  pname = "vgpu-builder";
  crate = "driver";
  needs = [ "base" ];
  meta = {
    description = "Installs NVIDIA vGPU drivers: the builder of their derivations";
    homepage = "https://github.com/mrzenc/vgpu4nixos";
    license = lib.licenses.mit;
    mainProgram = "vgpu-builder";
    platforms = [ "x86_64-linux" ];
  };
}
