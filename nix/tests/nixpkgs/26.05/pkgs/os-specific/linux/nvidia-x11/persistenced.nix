nvidia_x11: sha256:

{ stdenv, fetchFromGithubOrNvidia }:

import ../../../../../tool.nix {
  name = "nvidia-persistenced";
  inherit nvidia_x11 sha256 stdenv;
  fetch = { rev, ... }@args: fetchFromGithubOrNvidia (removeAttrs args [ "rev" ] // { tag = rev; });
}
