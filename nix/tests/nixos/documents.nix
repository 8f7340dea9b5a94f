# Every block of Nix in the README and in docs/, as a whole system, in both shapes of NixOS. The blocks come as files:
# crates/vgpu/tests/nixos.rs takes them out of the pages and writes `index.json` beside them, a list of
#
#   { name, file, option }     `option`: what it is a value of, in docs/options.md; null for all other blocks
#
# and `drivers.json`, the names of all drivers that the pages mention.
{
  lib,
  machine,
  packageOf,
  nvidiaPackagesOf,
  host,
  guest,
  byPackage,
  documents,
  shapes,
  treeShape,
  whole,
  fine,
  ...
}@offered:

let
  asWritten = import ../as-written.nix offered;
  inherit (asWritten) machineOf modulesOfFlake isFlake;

  blocks = map (
    block:
    block
    // {
      text = builtins.readFile (documents + "/${block.file}");
      value = asWritten.read (documents + "/${block.file}");
    }
  ) (lib.importJSON (documents + "/index.json"));

  mentions = words: text: lib.any (word: lib.hasInfix word text) words;

  # What the reader has when a page changes a machine instead of describing one.
  role = {
    host = {
      module = ../../modules/host.nix;
      release = "17.3";
      screens = [ ];
    };
    guest = {
      module = ../../modules/guest.nix;
      release = "18.4";
      screens = [ "nvidia" ];
    };
  };
  before =
    {
      module,
      release,
      screens,
    }:
    {
      imports = [ module ];
      hardware.nvidia.vgpu = {
        release = lib.mkOverride 1400 release;
      };
      services.xserver.videoDrivers = screens;
    };

  # These options are of guests alone.
  ofGuests = mentions [
    "licensing."
    "griddUnlock."
  ];
  # The block says itself which module it takes.
  importsOurs = mentions [ "mrzenc/vgpu4nixos" ];

  # Machines that settle nothing about their package set share one: evaluating it takes as long as all the rest.
  sharing =
    shape: modules:
    machine {
      inherit shape;
      role = null;
      module.imports = modules;
    };
  # The block settles it.
  setsPackages = mentions [ "nixpkgs." ];
  unfree.nixpkgs.config.allowUnfree = lib.mkDefault true;

  systemOf =
    shape:
    { text, value, ... }:
    if isFlake value then
      machineOf shape (modulesOfFlake value)
    else if importsOurs text then
      machineOf shape [ value ]
    else
      (if setsPackages text then modules: machineOf shape ([ unfree ] ++ modules) else sharing shape) [
        (before (
          (if ofGuests text then role.guest else role.host)
          # A driver is chosen by release or by package.
          // lib.optionalAttrs (mentions [ "nvidiaPackages" ] text) { release = null; }
        ))
        value
      ];

  # Values of options: all of a role in one machine, since each is but a line of a configuration.
  nameFor = option: if lib.hasInfix ".instances." option then "office" else "333";
  setting =
    { option, value, ... }:
    lib.setAttrByPath (map (part: if part == "<name>" then nameFor option else part) (
      lib.splitString "." option
    )) value;
  values = lib.filter (block: block.option != null) blocks;
  ofRole = lib.partition (block: ofGuests block.option) values;
  machineWith =
    shape: role: blocks:
    sharing shape ([ (before role) ] ++ map setting blocks);

  # A block that says which licences are accepted and nothing else. It is asked about a driver, since not everything that
  # stands for nixpkgs has the option.
  isOfLicences = mentions [ "allowUnfreePredicate" ];
  accepts =
    { value, ... }:
    let
      inherit ((value { inherit lib; }).nixpkgs.config) allowUnfreePredicate;
    in
    lib.all allowUnfreePredicate (
      lib.concatMap (
        role:
        let
          driver = packageOf (sharing treeShape [ (before role) ]);
        in
        [
          driver
          driver.mod
          driver.settings
          driver.persistenced
        ]
      ) (lib.attrValues role)
    );

  # shape → a machine
  expect = systemOn: {
    expr = lib.genAttrs shapes (shape: whole (systemOn shape));
    expected = lib.genAttrs shapes (_: fine);
  };
in
lib.listToAttrs (
  map (block: {
    name = "test ${block.name}";
    value =
      if isOfLicences block.text then
        {
          expr = accepts block;
          expected = true;
        }
      else
        expect (shape: systemOf shape block);
  }) (lib.filter (block: block.option == null) blocks)
)
// {
  "test the examples of a guest's options" = expect (
    shape: machineWith shape role.guest ofRole.right
  );
  "test the examples of a host's options" = expect (
    shape:
    (machineWith shape role.host ofRole.wrong).extend { hardware.nvidia.vgpu.patcher.enable = true; }
  );
  # Whatever a reader puts in place of the driver in an example.
  "test every driver that a page names is one" =
    let
      hosts = nvidiaPackagesOf (host (byPackage "vgpu_17_3"));
      guests = nvidiaPackagesOf (guest (byPackage "grid_17_3"));
      named = lib.importJSON (documents + "/drivers.json");
      packages = name: if lib.hasPrefix "vgpu_" name then hosts else guests;
    in
    {
      expr = {
        wrong = lib.filter (name: !lib.isString ((packages name).${name}.drvPath or null)) named;
        kinds = lib.unique (map (lib.substring 0 5) named);
        # The one that is in a comment.
        guestOfReadme = lib.elem "grid_19_4" named;
      };
      expected = {
        wrong = [ ];
        kinds = [
          "grid_"
          "vgpu_"
        ];
        guestOfReadme = true;
      };
    };
  # That nothing is left out because a page was not read.
  "test there are blocks of every kind" = {
    expr = {
      flakes = lib.any ({ value, ... }: isFlake value) blocks;
      withImports = lib.any ({ text, ... }: importsOurs text) blocks;
      ofGuests = lib.length ofRole.right > 0;
      ofHosts = lib.length ofRole.wrong > 0;
      plain = lib.length blocks > 20;
    };
    expected = {
      flakes = true;
      withImports = true;
      ofGuests = true;
      ofHosts = true;
      plain = true;
    };
  };
}
