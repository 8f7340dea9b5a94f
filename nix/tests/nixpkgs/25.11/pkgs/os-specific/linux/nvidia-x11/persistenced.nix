nvidia_x11: sha256:

{ stdenv, fetchFromGitHub }:

import ../../../../../tool.nix {
  name = "nvidia-persistenced";
  inherit nvidia_x11 sha256 stdenv;
  fetch = fetchFromGitHub;
}
