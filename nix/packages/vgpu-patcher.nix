# `vgpu-patcher`: runs vGPU-Unlock-patcher for patched-driver.nix and nvidia-vup.nix.
{ lib, rustProgram }:

rustProgram {
  pname = "vgpu-patcher";
  crate = "patcher";
  needs = [
    "base"
    "driver"
  ];
  meta = {
    description = "Runs vGPU-Unlock-patcher and checks what it leaves";
    homepage = "https://github.com/mrzenc/vgpu4nixos";
    license = lib.licenses.mit;
    mainProgram = "vgpu-patcher";
    platforms = [ "x86_64-linux" ];
  };
}
