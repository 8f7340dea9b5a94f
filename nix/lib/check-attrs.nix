# checkAttrs { function; required; optional; } attrs
#
# Returns attrs, or fails with an error that names every attribute that is missing and every one that
# `function` does not know. Nix itself stops at the first, and does not say what would have been right.
{ lib }:

{
  function,
  required,
  optional ? [ ],
}:
attrs:
let
  list = lib.concatMapStringsSep ", " (name: "`${name}`");
  missing = lib.filter (name: !(attrs ? ${name})) required;
  unknown = lib.subtractLists (required ++ optional) (lib.attrNames attrs);
  problems =
    lib.optional (missing != [ ]) "${list missing} missing"
    ++ lib.optional (unknown != [ ]) "${list unknown} not known";
in
if !lib.isAttrs attrs then
  throw "${function}: expected an attribute set, got a ${builtins.typeOf attrs}"
else if problems == [ ] then
  attrs
else
  throw ''
    ${function}: ${lib.concatStringsSep "; " problems}
    It needs ${list required}${
      lib.optionalString (optional != [ ]) " and may be given ${list optional}"
    }.''
