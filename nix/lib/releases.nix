# The releases of catalog/releases.toml, by the names they have in `nvidiaPackages`: 17.6 → "17_6".
{ lib }:

lib.listToAttrs (
  map (release: {
    name = lib.replaceStrings [ "." ] [ "_" ] release.release;
    value = release;
  }) (builtins.fromTOML (builtins.readFile ../../catalog/releases.toml)).release
)
