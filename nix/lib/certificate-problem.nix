# What a file has in it that must not go into the store with a root certificate, where every user can read it: the end of a
# sentence, or null. It is read where it lies and not copied. `vgpu check-certificate` looks closer, but in a build, when the
# store has the file already.
{ lib }:

# A path, or a string that is one.
file:
let
  path = if builtins.isPath file then file else /. + file;
  # What a build makes is not there yet, and what is not there has a message of its own.
  isThere = !builtins.hasContext "${toString file}" && builtins.pathExists path;

  text = builtins.readFile path;
  lines = map (line: lib.head (builtins.match "[[:space:]]*(.*[^[:space:]]|)[[:space:]]*" line)) (
    lib.splitString "\n" text
  );
  # As gridd-unlock-patcher takes them.
  isComment = line: line == "" || lib.hasPrefix "#" line;
  certificate = lib.filter (line: !isComment line) lines;
  inside = lib.drop 1 (lib.init certificate);
  isOne =
    lib.length certificate > 2
    && lib.head certificate == "-----BEGIN CERTIFICATE-----"
    && lib.last certificate == "-----END CERTIFICATE-----"
    && lib.all (line: builtins.match "[A-Za-z0-9+/=]+" line != null) inside;
in
if !isThere then
  null
# Nix looks into long lines by recursion. nvidia-gridd has room for 4 KB.
else if lib.stringLength text > 16384 then
  "is too large for a certificate"
else if lib.hasInfix "PRIVATE KEY" text then
  "has a private key in it: make a new one if this file was ever in a store or repository"
else if !isOne then
  "has lines that belong to no certificate, and could be a key"
else
  null
