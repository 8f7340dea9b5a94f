# The option tree of one of the modules: a list of { name, missing }, where `missing` has what an option should say
# of itself and doesn't.
{
  lib ? import <nixpkgs/lib>,
  guest,
}:

let
  inherit
    (import ./eval.nix { inherit lib; } {
      inherit guest;
      modules = [ ];
    })
    options
    ;
in
map
  (option: {
    inherit (option) name;
    missing = lib.filter (what: !(option ? ${what}) || option.${what} == "" || option.${what} == null) (
      [
        "description"
        "example"
        "type"
      ]
      # What an instance is has no default: it must be said.
      ++ lib.optional (
        !lib.hasInfix "*" option.name
        && !(option.readOnly or false)
        && !lib.hasSuffix ".instances.<name>.profile" option.name
      ) "default"
    );
  })
  (
    lib.filter (option: option.visible && !option.internal) (
      lib.optionAttrSetToDocList { inherit (options.hardware.nvidia) vgpu; }
    )
  )
