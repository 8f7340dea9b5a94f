# The shape of nixpkgs' nvidia-settings: what it takes, and what it wants of the driver.
nvidia_x11: sha256:

{ stdenv, fetchFromGitHub }:

stdenv.mkDerivation {
  pname = "nvidia-settings";
  version = nvidia_x11.settingsVersion;
  src = fetchFromGitHub {
    owner = "NVIDIA";
    repo = "nvidia-settings";
    rev = nvidia_x11.settingsVersion;
    inherit sha256;
  };
  buildInputs = [ nvidia_x11 ];
  profiles = "${nvidia_x11.bin}/share/nvidia";
  meta = { inherit (nvidia_x11.meta) platforms; };
}
