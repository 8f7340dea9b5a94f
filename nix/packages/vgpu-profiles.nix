# `vgpu-profiles`: makes vgpuConfig.xml for vgpu-config.nix.
{ lib, rustProgram }:

rustProgram {
  pname = "vgpu-profiles";
  crate = "profiles";
  needs = [ "base" ];
  meta = {
    description = "Makes a vgpuConfig.xml with some GPUs and profiles changed";
    homepage = "https://github.com/mrzenc/vgpu4nixos";
    license = lib.licenses.mit;
    mainProgram = "vgpu-profiles";
    platforms = [ "x86_64-linux" ];
  };
}
