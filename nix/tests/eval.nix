# Evaluates a configuration with one of our modules: { config, options, failed } where `failed` has the
# messages of all assertions that don't hold.
{
  lib ? import <nixpkgs/lib>,
  release ? "25.11",
  system ? "x86_64-linux",
  vgpu ? "/nonexistent/vgpu",
  pkgs ? import ./host-tools.nix {
    inherit
      lib
      release
      system
      vgpu
      ;
  },
  # overlays → a package set
  pkgsWith ? pkgs.appendOverlays,
}:

{
  guest ? false,
  modules,
}:

let
  evaluated = lib.evalModules {
    modules = [
      (import ./stubs.nix { inherit pkgsWith release; })
      (import ../.. { inherit guest; })
    ]
    ++ modules;
  };
in
{
  inherit (evaluated) config options;
  failed = map (assertion: assertion.message) (
    lib.filter (assertion: !assertion.assertion) evaluated.config.assertions
  );
}
