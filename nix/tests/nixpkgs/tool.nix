# What nixpkgs' nvidia-settings and nvidia-persistenced want of the driver they are built for.
{
  name,
  nvidia_x11,
  sha256,
  stdenv,
  fetch,
}:

let
  version =
    if name == "nvidia-settings" then nvidia_x11.settingsVersion else nvidia_x11.persistencedVersion;
in
stdenv.mkDerivation {
  pname = name;
  inherit version;
  src = fetch {
    owner = "NVIDIA";
    repo = name;
    rev = version;
    inherit sha256;
  };
  # nvidia-settings is linked with the driver and reads its profiles; nvidia-persistenced has its run path.
  buildInputs = [ nvidia_x11 ];
  profiles = "${nvidia_x11.bin}/share/nvidia";
  makeFlags = nvidia_x11.makeFlags ++ [ "DATE=true" ];
  meta = {
    inherit (nvidia_x11.meta) platforms;
    mainProgram = name;
  };
}
