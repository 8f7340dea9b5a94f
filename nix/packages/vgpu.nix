# The program `vgpu`: on the system path of hosts and guests, for people and for services.
{ rustProgram }:

rustProgram {
  pname = "vgpu";
  crate = "vgpu";
  needs = [
    "base"
    "driver"
    "profiles"
    "sample"
  ];
  files = [
    "catalog"
    "crates/vgpu/benches"
  ];

  postInstall = ''
    for shell in bash fish zsh; do
      $out/bin/vgpu completions $shell > vgpu.$shell
    done
    install -Dm644 vgpu.bash $out/share/bash-completion/completions/vgpu
    install -Dm644 vgpu.fish $out/share/fish/vendor_completions.d/vgpu.fish
    install -Dm644 vgpu.zsh $out/share/zsh/site-functions/_vgpu
    mkdir -p $out/share/man/man1
    $out/bin/vgpu man --out $out/share/man/man1
  '';

  description = "NVIDIA vGPU on NixOS: from NVIDIA's archive to virtual machines with working vGPUs";
}
