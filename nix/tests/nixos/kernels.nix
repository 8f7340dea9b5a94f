# Open and closed kernel modules, and warnings about kernels, as NixOS has them.
{
  lib,
  host,
  guest,
  nixpkgs,
  packageOf,
  ...
}:

let
  kind = open: { hardware.nvidia = { inherit open; }; };
  modulesOf = machine: map toString machine.config.boot.extraModulePackages;
  # A kernel of another version, of which nothing is built. NixOS overrides the kernel it is given.
  withKernel =
    version:
    { pkgs, ... }:
    {
      boot.kernelPackages = pkgs.linuxPackages.extend (
        _: previous:
        let
          kernel = previous.kernel // {
            inherit version;
            override = _: kernel;
          };
        in
        {
          inherit kernel;
        }
      );
    };
  about = machine: lib.filter (lib.hasInfix "not known to compile") machine.warnings;

  plainHost = host { };
  openHost = host (kind true);
  # A guest of each kind.
  guests = map (open: guest (kind open)) [
    true
    false
  ];

  # Since 26.05.
  nixpkgsFile = nixpkgs + "/pkgs/os-specific/linux/nvidia-x11/kernel-modules.nix";
in
lib.optionalAttrs (builtins.pathExists nixpkgsFile) {
  "test modules are built as nixpkgs builds those of its own driver" =
    let
      driver = packageOf plainHost;
      ours = driver.mod;
      theirs = plainHost.pkgs.callPackage nixpkgsFile {
        inherit (plainHost.config.boot.kernelPackages) kernel kernelModuleMakeFlags;
        inherit (driver.meta) broken;
        open = false;
        patches = [ ];
        # Ours has the sources of both kinds, in a folder each.
        nvidia_x11 = driver // {
          modsrc = "${driver.modsrc}/kernel";
        };
      };
      outline = modules: {
        inherit (modules)
          src
          version
          allowedReferences
          enableParallelBuilding
          installTargets
          ;
        inherit (modules.meta) broken license sourceProvenance;
      };
    in
    {
      expr = outline ours // {
        missingFlags = lib.subtractLists ours.makeFlags (
          map (lib.replaceStrings [ "$(out)" ] [ (placeholder "out") ]) theirs.makeFlags
        );
        missingTools = lib.subtractLists ours.nativeBuildInputs theirs.nativeBuildInputs;
      };
      expected = outline theirs // {
        missingFlags = [ ];
        missingTools = [ ];
      };
    };
}
// {
  "test a host without screens loads the kind of modules that is chosen" = {
    expr = [
      (lib.elem "${(packageOf openHost).open}" (modulesOf openHost))
      (lib.elem "${(packageOf plainHost).mod}" (modulesOf plainHost))
      (lib.elem "${(packageOf plainHost).open}" (modulesOf plainHost))
      openHost.failed
    ];
    expected = [
      true
      true
      false
      [ ]
    ];
  };
  "test nixpkgs' nvidia module takes the kind of modules that is chosen" = {
    expr = map (machine: [
      (lib.elem "${(packageOf machine).open}" (modulesOf machine))
      machine.failed
    ]) guests;
    expected = [
      [
        true
        [ ]
      ]
      [
        false
        [ ]
      ]
    ];
  };
  "test open modules are built from the folder of their own, with our compatibility code" = {
    expr =
      let
        package = packageOf openHost;
      in
      [
        (package.open.src == "${package.modsrc}/kernel-open")
        (package.mod.src == "${package.modsrc}/kernel")
        (lib.hasInfix "kernel-compat/apply.sh ." package.open.postPatch)
        (package.open.drvPath == package.mod.drvPath)
      ];
    expected = [
      true
      true
      true
      false
    ];
  };
  "test the patcher's host refuses open modules" = {
    expr =
      map (lib.hasInfix "vGPU-Unlock-patcher changes the closed kernel modules alone")
        (host {
          imports = [ (kind true) ];
          hardware.nvidia.vgpu.patcher.enable = true;
        }).failed;
    expected = [ true ];
  };
  "test a guest's open modules come with GSP firmware, and closed ones without" = {
    expr = map (machine: machine.config.hardware.nvidia.gsp.enable) guests;
    expected = [
      true
      false
    ];
  };
  "test a kernel within what was measured draws no warning" = {
    expr = map (version: about (host (withKernel version))) [
      "6.1.100"
      "6.6.50"
      "6.12.117"
    ];
    expected = [
      [ ]
      [ ]
      [ ]
    ];
  };
  "test a kernel newer than what was measured is warned of, with kernels that work" = {
    expr =
      let
        warnings = about (host (withKernel "9.9.1"));
      in
      [
        (lib.length warnings)
        (lib.all (lib.hasInfix "Linux 9.9.1: the newest that was tried is") warnings)
        (lib.all (lib.hasInfix "If they don't, choose ") warnings)
      ];
    expected = [
      1
      true
      true
    ];
  };
  "test a host is warned of kernels that ask VFIO drivers in another way, a guest is not" = {
    expr =
      let
        vfio = machine: lib.filter (lib.hasInfix "get_region_info_caps") machine.warnings;
        warnings = vfio (host (withKernel "7.2.1"));
      in
      [
        (lib.length warnings)
        (lib.all (lib.hasInfix "linuxPackages_6_12;") warnings)
        (vfio (host (withKernel "6.18.40")))
        (vfio (guest (withKernel "7.2.1")))
      ];
    expected = [
      1
      true
      [ ]
      [ ]
    ];
  };
}
