# The profiles of a host: which GPUs offer them, and changes to them.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.hardware.nvidia.vgpu;
  inherit (config.hardware.nvidia) package;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };

  changes = {
    clones = cfg.patcher.copyVGPUProfiles;
    overrides = cfg.patcher.profileOverrides;
  };
  changed = changes.clones != { } || changes.overrides != { };

  # An attribute set whose names follow a pattern.
  namedBy =
    pattern: what: elemType:
    let
      base = types.attrsOf elemType;
    in
    types.addCheck base (
      value:
      lib.isAttrs value && lib.all (name: builtins.match pattern name != null) (lib.attrNames value)
    )
    // {
      name = "attrsNamedBy";
      description = "attribute set of ${elemType.description}, named by ${what}";
      # The module system makes a new type from a type with submodules. Without this, the pattern would be lost.
      substSubModules = modules: namedBy pattern what (elemType.substSubModules modules);
    };

  # Leading zeros may be left out.
  pciPair = "[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}";
  text = types.coercedTo types.int toString types.str;

  # An option of a profile. null keeps NVIDIA's value.
  optional =
    type: example: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit example description;
    };

  profileOptions = {
    options = {
      vramAllocation = optional types.ints.positive 3584 ''
        Memory of one vGPU, in MiB, at least 384. This does not change how many vGPUs a board can have: NVIDIA sets that
        number. To fit more virtual machines on a board, raise `maxInstances`, too.
      '';
      maxInstances = optional types.ints.positive 6 ''
        How many vGPUs with this profile one board can have. This holds for every board that offers the profile, also for
        clones. The memory of the board must be enough. A board with SR-IOV cannot have more vGPUs than virtual functions.
      '';
      heads = optional types.ints.positive 1 ''
        How many virtual monitors one virtual machine may have.
      '';
      enableCuda = optional types.bool true ''
        Whether CUDA works in virtual machines with this profile. NVIDIA turns it off in the smallest profiles.
      '';
      display.width = optional types.ints.positive 1920 ''
        Width of the largest display, in pixels. Set it together with the height.
      '';
      display.height = optional types.ints.positive 1080 ''
        Height of the largest display, in pixels. Set it together with the width.
      '';
      framerateLimit = optional types.ints.unsigned 144 ''
        The most frames per second that a virtual machine may draw. 0 means no limit. Raise it for games. Lower it when
        one virtual machine takes too much of the board.
      '';
      xmlConfig = mkOption {
        type = types.attrsOf (
          types.oneOf [
            text
            (types.attrsOf text)
          ]
        );
        default = { };
        example = {
          eccSupported = "1";
          encoderCapacity = "0x64";
        };
        description = ''
          Any other setting of the profile, by the name of its element in vgpuConfig.xml. Text sets the content of an
          element, and an attribute set sets its attributes. `vgpu profiles show ID` prints all elements.
        '';
      };
    };
  };
in
{
  options.hardware.nvidia.vgpu = {
    patcher = {
      copyVGPUProfiles = mkOption {
        type = namedBy pciPair "PCI device and subsystem, like 1E87:0000" (
          types.strMatching pciPair // { description = "PCI device and subsystem"; }
        );
        default = { };
        example = {
          "1E87:0000" = "1E30:12BA";
        };
        description = ''
          Gives the profiles of a listed GPU to one that NVIDIA does not list. `"AAAA:BBBB" = "CCCC:DDDD"` gives the
          profiles of CCCC:DDDD to AAAA:BBBB (PCI device and subsystem; 0000 is any subsystem). `vgpu profiles gpus` shows
          the listed GPUs. The patcher has the usual cases built in.
        '';
      };

      profileOverrides = mkOption {
        type = namedBy "[0-9]+" "profile id, like 333" (types.submodule profileOptions);
        default = { };
        example = {
          "333" = {
            vramAllocation = 3584;
            heads = 1;
            display.width = 1920;
            display.height = 1080;
            framerateLimit = 144;
          };
        };
        description = ''
          Changes to vGPU profiles, by the number of the profile: `"333"` for `nvidia-333`. Options that are not set keep
          NVIDIA's values. Only a patched driver accepts changed profiles. A change takes effect at the next start of
          `nvidia-vgpud`.
        '';
      };
    };

    vgpuConfig = mkOption {
      type = types.path;
      readOnly = true;
      default =
        if !driverIsOurs then
          throw "hardware.nvidia.vgpu.vgpuConfig: no vGPU driver is chosen; set hardware.nvidia.vgpu.release"
        else if changed then
          "${pkgs.callPackage ../packages/vgpu-config.nix { inherit (package.vgpu.tools) vgpu-profiles; } {
            driver = package;
            inherit changes;
          }}"
        else
          "${package.out}/vgpuConfig.xml";
      defaultText = lib.literalMD "the driver's `vgpuConfig.xml` with all changes";
      example = lib.literalExpression ''"''${config.hardware.nvidia.package.out}/vgpuConfig.xml"'';
      description = ''
        The profiles as the vGPU manager reads them. Use it to see the result without switching to it:
        `nix-build -A config.hardware.nvidia.vgpu.vgpuConfig`.
      '';
    };
  };

  config = lib.mkMerge [
    {
      assertions = [
        {
          assertion = changed -> cfg.patcher.enable;
          message = ''
            hardware.nvidia.vgpu.patcher.${
              if changes.overrides != { } then "profileOverrides" else "copyVGPUProfiles"
            }: profiles are signed, and only a patched driver accepts changed ones.
            Set hardware.nvidia.vgpu.patcher.enable = true, or leave the profiles as they are.
          '';
        }
      ];
    }

    (lib.mkIf driverIsOurs {
      environment.etc."nvidia/vgpu/vgpuConfig.xml".source = cfg.vgpuConfig;
    })
  ];
}
