# Two systems of a host, for a machine to start and to switch between: its units, /etc and udev's rules as NixOS' own
# modules make them. crates/vgpu/tests/booted.rs starts them under a real systemd.
#
#   OUT/first, OUT/second        with etc/ and NixOS' switch-to-configuration, where this nixpkgs has the script
#   OUT/roots                    the store paths that they need
#
# The driver is built from the sample archive, with programs put in that stand for NVIDIA's. What comes from nixpkgs is
# the machine's own.
{
  nixpkgs,
  vgpu,
  # SRI hash of the sample's archive.
  zip,
  # A folder: what stands for NVIDIA's files of the same names.
  standIns,
}:

let
  lib = import (nixpkgs + "/lib");
  harness = import ./nixos { inherit lib nixpkgs; };
  inherit (harness) machine;

  tools = import ./host-tools.nix {
    inherit lib vgpu;
    kernelRelease = harness.pkgs.linuxPackages.kernel.modDirVersion;
  };
  # Not an overlay: those reach the stages that a compiler is built in.
  pkgs = harness.pkgs // {
    stdenvNoCC = harness.pkgs.stdenvNoCC // {
      inherit (tools.stdenvNoCC) mkDerivation;
    };
    inherit (tools)
      coreutils
      gawk
      gnugrep
      gnused
      kmod
      pciutils
      runtimeShell
      ;
    writeText = name: text: tools.runCommand name { inherit text; } ''printf %s "$text" > $out'';
    callPackage = lib.callPackageWith pkgs;
    # What NixOS makes of it.
    appendOverlays = _: pkgs;
    __splicedPackages = pkgs;
  };

  driver =
    changes:
    (import ./eval.nix
      {
        inherit lib vgpu;
        pkgs = tools;
      }
      {
        modules = [
          (
            { config, ... }:
            {
              hardware.nvidia.package = import ./sample-driver.nix {
                inherit (config.boot.kernelPackages) nvidiaPackages;
                inherit zip;
                guest = lib.fakeHash;
                changes = {
                  prePatch = "cp -f ${standIns}/* .";
                  postPatch = changes;
                };
              };
            }
          )
        ];
      }
    ).config.hardware.nvidia.package;

  host =
    { package, instances }:
    machine {
      packageSet.nixpkgs.pkgs = pkgs;
      module.hardware.nvidia = {
        inherit package;
        vgpu = { inherit instances; };
      };
    };

  first = host {
    package = driver "";
    instances = {
      office = {
        profile = "A16-4Q";
        group = "kvm";
      };
      studio.profile = "A16-4Q";
      spare.profile = "A16-4Q";
    };
  };

  # Another driver, with other profiles; and every vGPU is another.
  second = host {
    package = driver "sed -i 's/<numHeads>4/<numHeads>2/' vgpuConfig.xml";
    instances = {
      office = {
        profile = "A16-4Q";
        virtualFunction = "0000:41:01.0";
        group = "kvm";
      };
      studio = {
        profile = "A16-4Q";
        parameters.frame_rate_limiter = false;
      };
      lab.profile = "A16-4Q";
    };
  };

  ours = name: lib.hasPrefix "nvidia" name || name == "sysinit-reactivation.target";
  plain = builtins.unsafeDiscardStringContext;
  # Text, without what it refers to: that is in `roots`, or the machine's own.
  file = name: text: builtins.toFile (lib.strings.sanitizeDerivationName name) (plain text);

  unitsOf =
    { config, ... }: lib.filterAttrs (name: unit: ours name && unit.enable) config.systemd.units;

  # Below /etc.
  filesOf =
    evaluated@{ config, ... }:
    lib.mapAttrs (_: entry: entry.source) (
      lib.filterAttrs (name: _: lib.hasPrefix "nvidia/" name) config.environment.etc
    )
    // lib.mapAttrs' (name: unit: lib.nameValuePair "systemd/system/${name}" (file name unit.text)) (
      unitsOf evaluated
    )
    // {
      "udev/rules.d/99-local.rules" = file "99-local.rules" config.services.udev.extraRules;
      "modprobe.d/nixos.conf" = file "nixos.conf" config.environment.etc."modprobe.d/nixos.conf".text;
      # The other modules are Debian's kernel's own.
      "modules-load.d/nixos.conf" = file "modules" (
        lib.concatLines (lib.filter (lib.hasPrefix "nvidia") config.boot.kernelModules)
      );
      group = file "group" (
        lib.concatLines (
          lib.mapAttrsToList (name: group: "${name}:x:${toString group.gid}:") (
            lib.filterAttrs (_: group: group.gid != null) config.users.groups
          )
        )
      );
    };

  # Links that start units, below etc/systemd/system.
  linksOf =
    evaluated:
    lib.concatLists (
      lib.mapAttrsToList (
        name: unit:
        map (target: "${target}.wants/${name}") unit.wantedBy
        ++ map (target: "${target}.requires/${name}") unit.requiredBy
      ) (unitsOf evaluated)
    );

  # What the script is given of this system's.
  script = nixpkgs + "/nixos/modules/system/activation/switch-to-configuration.pl";
  switch =
    name:
    file "switch-to-configuration" (
      lib.replaceStrings
        [
          "@perl@"
          "@out@"
          "@toplevel@"
          "@systemd@"
          "@distroId@"
          "@localeArchive@"
          "@installBootLoader@"
          "@coreutils@"
          "@utillinux@"
          "@su@"
          "@shell@"
        ]
        [
          "/usr"
          "/systems/${name}"
          "/systems/${name}"
          "/systems/systemd"
          "nixos"
          ""
          "/bin/true"
          "/usr"
          "/usr"
          "/bin/true"
          "/bin/sh"
        ]
        (builtins.readFile script)
    );

  system =
    name: evaluated:
    assert lib.assertMsg (evaluated.failed == [ ]) (lib.concatStringsSep "\n" evaluated.failed);
    lib.concatStrings (
      lib.mapAttrsToList (path: source: ''
        install -D -m 644 "$(realpath ${source})" "$out/${name}/etc/${path}"
      '') (filesOf evaluated)
    )
    + lib.concatMapStrings (link: ''
      mkdir -p "$out/${name}/etc/systemd/system/${dirOf link}"
      ln -s "../${baseNameOf link}" "$out/${name}/etc/systemd/system/${link}"
    '') (linksOf evaluated)
    + lib.optionalString (builtins.pathExists script) ''
      install -m 755 ${switch name} $out/${name}/switch-to-configuration
    '';

  roots =
    lib.concatMap
      (
        { config, ... }:
        let
          inherit (config.hardware.nvidia) package;
        in
        package.all ++ [ package.vgpu.program ]
      )
      [
        first
        second
      ];
in
tools.runCommand "systems" { } ''
  mkdir $out
  ${system "first" first}
  ${system "second" second}
  echo ${toString roots} > $out/roots
''
