# The shape of nixpkgs' nvidia-settings: what it takes, and what it wants of the driver.
nvidia_x11: sha256:

{ stdenv, fetchFromGithubOrNvidia }:

stdenv.mkDerivation {
  pname = "nvidia-settings";
  version = nvidia_x11.settingsVersion;
  src = fetchFromGithubOrNvidia {
    owner = "NVIDIA";
    repo = "nvidia-settings";
    tag = nvidia_x11.settingsVersion;
    inherit sha256;
  };
  buildInputs = [ nvidia_x11 ];
  profiles = "${nvidia_x11.bin}/share/nvidia";
  meta = { inherit (nvidia_x11.meta) platforms; };
}
