# The package set that <nixpkgs> is.
{
  overlays ? [ ],
  ...
}:

import <nixpkgs> {
  system = "x86_64-linux";
  config.allowUnfree = true;
  inherit overlays;
}
