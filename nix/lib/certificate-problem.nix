# What a file has in it that must not go into the store with a root certificate, where every user can read it: the end of a
# sentence, or null. It is read where it lies and not copied. `vgpu check-certificate` looks closer, but in a build, when the
# store has the file already.
{ lib }:

# A path, or a string that is one.
file:
let
  path = if builtins.isPath file then file else /. + file;
  # A file that a build makes is not there yet. A file that is not there has a message of its own.
  isThere = !builtins.hasContext "${toString file}" && builtins.pathExists path;

  text = builtins.readFile path;
  lines = map (line: lib.head (builtins.match "[[:space:]]*(.*[^[:space:]]|)[[:space:]]*" line)) (
    lib.splitString "\n" text
  );
  # The form that gridd-unlock-patcher accepts.
  isComment = line: line == "" || lib.hasPrefix "#" line;
  certificate = lib.filter (line: !isComment line) lines;
  inside = lib.drop 1 (lib.init certificate);
  isOne =
    lib.length certificate > 2
    && lib.head certificate == "-----BEGIN CERTIFICATE-----"
    && lib.last certificate == "-----END CERTIFICATE-----"
    && lib.all (line: builtins.match "[A-Za-z0-9+/=]+" line != null) inside
    && fills (lib.concatStrings inside);

  # Whether a text in base64 is one DER value to its last byte, and begins as certificates do: a sequence in a sequence. What
  # is behind it could be a key, and keys themselves begin with a number.
  fills =
    base64:
    let
      digits = lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      values = lib.listToAttrs (lib.imap0 (value: digit: lib.nameValuePair digit value) digits);
      value = at: values.${builtins.substring at 1 base64} or 0;
      four = at: ((value at * 64 + value (at + 1)) * 64 + value (at + 2)) * 64 + value (at + 3);
      three = number: [
        (number / 65536)
        (lib.mod (number / 256) 256)
        (lib.mod number 256)
      ];
      bytes = three (four 0) ++ three (four 4);
      byte = lib.elemAt bytes;
      # A certificate's length takes one byte or two.
      long = byte 1 == 130;
      header = if long then 4 else 3;
      length = header + (if long then byte 2 * 256 + byte 3 else byte 2);
      data = builtins.replaceStrings [ "=" ] [ "" ] base64;
      padding = lib.mod (3 - lib.mod length 3) 3;
    in
    byte 0 == 48
    && (long || byte 1 == 129)
    && byte header == 48
    && lib.stringLength data == (length * 4 + 2) / 3
    && base64 == data + builtins.substring 0 padding "==";
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
