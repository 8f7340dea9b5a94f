# Tests of the modules in NixOS' own module tree: real assertions, services, /etc and options, no stubs.
#
#   nix-instantiate --eval --strict nix/tests/nixos --argstr subject services [--argstr only "is never restarted"]
#
# Several subjects in one process, separated by spaces, share what is evaluated once: `--argstr subject "services source"`.
#
# A subject is a file beside this one, nix/tests/nixos/SUBJECT.nix, and is found by itself: `cargo test --test nixos`
# runs them all. It is a function of what this file offers (the arguments below `offered`) and returns tests in the
# form of lib.runTests; names say what is promised and must begin with "test":
#
#   { lib, host, ... }:
#   {
#     "test a host's vGPU manager is never restarted" = {
#       expr = (host { }).config.systemd.services.nvidia-vgpu-mgr.restartIfChanged;
#       expected = false;
#     };
#   }
#
# `host` and `guest` take a NixOS module and evaluate a machine with ours; they have release 17.3 unless the module
# chooses another driver. `machine` evaluates without choosing one: machine { role = "host"; module = { … }; }, and can be
# told the NixOS to resemble: shape = "25.11" or "26.05" (default: what <nixpkgs> is). All return
#
#   config options pkgs     as NixOS has them
#   failed                  the messages of all assertions that do not hold
#   warnings                only ours and those that our settings cause
#   toplevel                the path of the whole system's derivation; throws what building it would
#   extend                  module → the same machine with it added
#
# Evaluating a machine costs a second and its toplevel two: bind one with `let` where several tests look at it.
# Overlays cost another second, since the package set is evaluated again for them.
{
  lib ? import <nixpkgs/lib>,
  nixpkgs ? <nixpkgs>,
  # One or more; null: what is offered to subjects, for evaluations elsewhere.
  subject ? null,
  # Part of the names of the tests to run; all by default.
  only ? "",
  # A folder with the blocks of Nix in the manual, for the subject `documents`.
  documents ? throw "the manual's blocks are written by `cargo test --test nixos`",
}:

let
  evalConfig = import (nixpkgs + "/nixos/lib/eval-config.nix");

  # The shape of nixpkgs' nvidia module and driver. Two are supported; a tree has one, the other is put in.
  treeShape =
    if builtins.pathExists (nixpkgs + "/pkgs/os-specific/linux/nvidia-x11/kernel-modules.nix") then
      "26.05"
    else
      "25.11";

  own = import nixpkgs {
    system = "x86_64-linux";
    config.allowUnfree = true;
  };
  shapes = [
    "25.11"
    "26.05"
  ];
  # Our driver takes files from the nixpkgs that it is in.
  overlaysOf = shape: lib.optional (shape != treeShape) (_: _: { path = ../nixpkgs + "/${shape}"; });
  pkgsOf = lib.genAttrs shapes (shape: own.appendOverlays (overlaysOf shape));

  # What a machine needs to be one.
  base =
    whole:
    { lib, ... }:
    {
      boot.loader.grub.device = lib.mkDefault "/dev/sda";
      fileSystems."/" = lib.mkDefault {
        device = "/dev/sda1";
        fsType = "ext4";
      };
      system.stateVersion = "25.11";
      # The manual wants nixpkgs' doc folder and says nothing about a machine.
      documentation.nixos.enable = false;
      # Who may log in is nothing of a driver's, and a quarter of evaluating a system.
      security.pam.services = lib.mkIf (!whole) (lib.mkForce { });
    };

  # The nvidia module of the NixOS to resemble, where the tree has another.
  nvidiaModule =
    shape:
    lib.optional (shape != treeShape) {
      disabledModules = [ "hardware/video/nvidia.nix" ];
      imports = [ (import ../nixos-nvidia.nix shape) ];
    };

  finish =
    evaluated:
    let
      inherit (evaluated) config;
    in
    {
      inherit config;
      inherit (evaluated) options pkgs;
      failed = map (assertion: assertion.message) (
        lib.filter (assertion: !assertion.assertion) config.assertions
      );
      inherit (config) warnings;
      # Not the whole derivation: that its closure is written to the store is for nix-instantiate to see.
      toplevel = builtins.unsafeDiscardStringContext config.system.build.toplevel.drvPath;
      extend = module: finish (evaluated.extendModules { modules = [ module ]; });
    };

  offered = rec {
    inherit
      lib
      nixpkgs
      treeShape
      shapes
      pkgsOf
      documents
      ;

    machine =
      {
        # "host", "guest", or null for a machine without our module.
        role ? "host",
        shape ? treeShape,
        module ? { },
        # Whether to leave nothing out of it to save time.
        whole ? false,
        # A module that settles the package set; by default all machines of a process share one.
        packageSet ? {
          nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
          nixpkgs.pkgs = lib.mkDefault pkgsOf.${shape};
        },
      }:
      finish (evalConfig {
        inherit lib;
        system = null;
        modules = [
          (base whole)
          packageSet
          module
        ]
        ++ lib.optional (role == "host") ../../modules/host.nix
        ++ lib.optional (role == "guest") ../../modules/guest.nix
        ++ nvidiaModule shape;
      });

    # The package set of a machine that has one for itself.
    packageSetOf = shape: {
      nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
      nixpkgs.overlays = overlaysOf shape;
    };

    # Chosen unless the module chooses another.
    withRelease = {
      hardware.nvidia.vgpu.release = lib.mkOverride 1400 "17.3";
    };
    # A driver out of nvidiaPackages instead.
    byPackage =
      name:
      { config, ... }:
      {
        hardware.nvidia.vgpu.release = null;
        hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.${name};
      };
    screens.services.xserver.videoDrivers = [ "nvidia" ];

    host =
      module:
      machine {
        module.imports = [
          withRelease
          module
        ];
      };
    guest =
      module:
      machine {
        role = "guest";
        module.imports = [
          withRelease
          screens
          module
        ];
      };

    # What is asked of a whole system, and what is right.
    whole = machine: {
      inherit (machine) failed;
      warnings = lib.filter (
        warning: lib.hasInfix "nvidia" warning || lib.hasInfix "vgpu" warning
      ) machine.warnings;
      system = builtins.match ".*-nixos-system-.*\\.drv" machine.toplevel != null;
    };
    fine = {
      failed = [ ];
      warnings = [ ];
      system = true;
    };

    packageOf = machine: machine.config.hardware.nvidia.package;
    nvidiaPackagesOf = machine: machine.config.boot.kernelPackages.nvidiaPackages;

    # Whether evaluating a value (deeply) throws.
    throws = value: !(builtins.tryEval (builtins.deepSeq value true)).success;

    pkgs = own;
  };

  run =
    subject:
    let
      tests = lib.filterAttrs (name: _: lib.hasInfix only name) (
        import (./. + "/${subject}.nix") offered
      );
      misnamed = lib.filter (name: !lib.hasPrefix "test" name) (lib.attrNames tests);
      result = {
        ran = lib.length (lib.attrNames tests);
        failed = lib.runTests tests;
      };
    in
    if misnamed != [ ] then
      throw "${subject}.nix: lib.runTests leaves out what does not begin with \"test\": ${toString misnamed}"
    else
      # All of it now, so that memory for the machines is free again.
      builtins.deepSeq result result;
in
if subject == null then offered else lib.genAttrs (lib.splitString " " subject) run
