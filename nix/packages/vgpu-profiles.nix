# `vgpu-profiles`: makes vgpuConfig.xml for vgpu-config.nix.
{ rustProgram }:

rustProgram {
  pname = "vgpu-profiles";
  crate = "profiles";
  needs = [ "base" ];
  description = "Makes a vgpuConfig.xml with some GPUs and profiles changed";
}
