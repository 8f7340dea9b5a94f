# The program `vgpu`: builds drivers for Nix, and is on the system path of hosts and guests for people.
{
  lib,
  compat,
}:

compat.rustPlatform.buildRustPackage {
  pname = "vgpu";
  inherit ((builtins.fromTOML (builtins.readFile ../../Cargo.toml)).package) version;

  # Only what the program is made of: every driver is built again when one of these changes.
  src = lib.cleanSourceWith {
    name = "vgpu-source";
    src = ../..;
    filter =
      path: _:
      lib.elem (lib.head (lib.splitString "/" (lib.removePrefix "${toString ../..}/" path))) [
        "Cargo.lock"
        "Cargo.toml"
        "benches"
        "catalog"
        "src"
      ];
  };
  cargoLock.lockFile = ../../Cargo.lock;

  # One program less to build before this one.
  auditable = false;

  # The tests are the flake's check `tests`: a machine that rebuilds its system need not repeat them.
  doCheck = false;

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

  meta = {
    description = "NVIDIA vGPU on NixOS: from an archive NVIDIA gave you to an installed driver";
    homepage = "https://github.com/mrzenc/vgpu4nixos";
    license = lib.licenses.mit;
    mainProgram = "vgpu";
    platforms = [ "x86_64-linux" ];
  };
}
