# The options of the modules as data, from which docs/options.md is written:
# `UPDATE_DOCS=1 cargo test --test docs`.
{
  lib ? import <nixpkgs/lib>,
}:

let
  evaluate = import ../nix/tests/eval.nix { inherit lib; };

  # Text of a default or example: Nix or Markdown of the module's own, or the value itself.
  text =
    value:
    if value ? text then
      if value._type == "literalMD" then value.text else "`${value.text}`"
    else
      "`${lib.generators.toPretty { } value}`";

  describe = option: {
    inherit (option) name description type;
    readOnly = option.readOnly or false;
    default = if option ? default then text option.default else null;
    example = if option ? example then text option.example else null;
  };

  documented =
    guest:
    map describe (
      lib.filter
        (option: lib.hasPrefix "hardware.nvidia.vgpu." option.name && option.visible && !option.internal)
        (
          lib.optionAttrSetToDocList
            (evaluate {
              inherit guest;
              modules = [ ];
            }).options
        )
    );
in
{
  host = documented false;
  guest = documented true;
}
