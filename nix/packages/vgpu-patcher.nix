# `vgpu-patcher`: runs vGPU-Unlock-patcher for patched-driver.nix and nvidia-vup.nix.
{ rustProgram }:

rustProgram {
  pname = "vgpu-patcher";
  crate = "patcher";
  needs = [
    "base"
    "driver"
  ];
  description = "Runs vGPU-Unlock-patcher and checks what it leaves";
}
