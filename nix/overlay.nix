# The packages without the modules: `vgpu`, and both drivers of every release, unpatched, in `nvidiaPackages`
# of every kernel package set. mkVgpuDriver makes hosts' drivers here.
final: prev:

let
  inherit (prev) lib;
  plain = role: {
    inherit role;
    merged = false;
    driverSource = {
      name = null;
      url = if role == "host" then null else import ./lib/public-bucket.nix;
      sha256 = null;
      netrc = false;
      curlOptsList = [ ];
    };
    patching = {
      enable = false;
      target = null;
      extraFlags = [ ];
    };
  };
in
import ./lib/overlay.nix {
  inherit lib;
  settings = {
    host = plain "host";
    guest = plain "guest";
  };
  weak = true;
} final prev
// {
  inherit
    (import ./lib/tools.nix {
      inherit lib;
      pkgs = final;
    })
    vgpu
    ;
}
