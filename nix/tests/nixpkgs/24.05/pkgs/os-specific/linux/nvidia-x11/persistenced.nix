# The shape of nixpkgs' nvidia-persistenced: what it takes, and what it wants of the driver.
nvidia_x11: sha256:

{ stdenv, fetchFromGitHub }:

stdenv.mkDerivation {
  pname = "nvidia-persistenced";
  version = nvidia_x11.persistencedVersion;
  src = fetchFromGitHub {
    owner = "NVIDIA";
    repo = "nvidia-persistenced";
    rev = nvidia_x11.persistencedVersion;
    inherit sha256;
  };
  makeFlags = nvidia_x11.makeFlags ++ [ "DATE=true" ];
  runPath = "${nvidia_x11}/lib";
  meta = { inherit (nvidia_x11.meta) platforms; };
}
