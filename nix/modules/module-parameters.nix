# Parameters of a host's kernel modules: those of merged drivers, and how the GPU's time is shared out.
{
  config,
  lib,
  options,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.hardware.nvidia.vgpu;

  ours = import ../lib/is-ours.nix { inherit config; };
  # nixpkgs has an option for parameters since 26.05. It does nothing on hosts without screens.
  hasModuleParams = options.hardware.nvidia ? moduleParams;
  throughNixpkgs = hasModuleParams && lib.elem "nvidia" config.services.xserver.videoDrivers;

  # What NVIDIA's registry key RmPVMRL means: interface/nvrm_registry.h of NVIDIA/open-gpu-kernel-modules. The first bit
  # says that there is a policy, bits 4 to 7 which, bits 16 to 23 the time slice in milliseconds.
  policies = {
    best-effort = 0;
    equal-share = 1;
    fixed-share = 17;
  };
  slice = if cfg.scheduler.timeSlice == null then 0 else cfg.scheduler.timeSlice;
  registry = "RmPVMRL=0x" + lib.toHexString (policies.${cfg.scheduler.policy} + slice * 65536);

  parameters =
    cfg.patcher.options.moduleParameters
    // lib.optionalAttrs (cfg.scheduler.policy != null) { NVreg_RegistryDwords = registry; };
  text = value: if lib.isBool value then (if value then "1" else "0") else toString value;
in
{
  options.hardware.nvidia.vgpu = {
    patcher.options.moduleParameters = mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.bool
          types.int
          types.str
        ]
      );
      default = { };
      example = {
        vup_sunlock = true;
        vup_swrlwar = true;
        vup_qmode = true;
      };
      description = ''
        Parameters for the kernel module `nvidia`. vGPU-Unlock-patcher adds some to merged drivers: `vup_sunlock`
        unlocks consumer boards in the module, `vup_swrlwar` lets virtual machines start while the host's screens use the GPU,
        `vup_qmode` makes the module treat the board as a Quadro. Set them where its README says so for your board, or where
        virtual machines don't start on a merged host. A parameter that the driver doesn't have is ignored, with a line in the kernel's log.
      '';
    };

    scheduler = {
      policy = mkOption {
        type = types.nullOr (types.enum (lib.attrNames policies));
        default = null;
        example = "fixed-share";
        description = ''
          How the vGPUs of a GPU share its time. `best-effort`: whoever has work gets the GPU; the best throughput, but one busy
          machine slows down the others. `equal-share`: the machines that are running get equal parts. `fixed-share`: each gets the
          part that a full board would give it, however many run; choose it where performance must not depend on others.
          `null` leaves it to the driver. It takes effect when the modules are loaded, so after a restart.
        '';
      };

      timeSlice = mkOption {
        type = types.nullOr (types.ints.between 1 30);
        default = null;
        example = 2;
        description = ''
          How long a vGPU has the GPU at a time, in milliseconds, with `equal-share` and `fixed-share`. Short slices
          make desktops smoother; long ones suit computing. `null` leaves it to the driver.
        '';
      };
    };
  };

  config = lib.mkIf ours (
    {
      assertions = [
        {
          assertion =
            cfg.scheduler.timeSlice != null
            -> lib.elem cfg.scheduler.policy [
              "equal-share"
              "fixed-share"
            ];
          message = ''
            hardware.nvidia.vgpu.scheduler.timeSlice: only vGPUs that share the GPU's time by a rule have a time slice. Set
            hardware.nvidia.vgpu.scheduler.policy to "equal-share" or "fixed-share" too, or take timeSlice out.
          '';
        }
      ];

      boot.extraModprobeConfig =
        lib.mkIf (parameters != { } && !throughNixpkgs)
          "options nvidia ${
            lib.concatStringsSep " " (lib.mapAttrsToList (name: value: "${name}=${text value}") parameters)
          }";
    }
    // lib.optionalAttrs hasModuleParams {
      hardware.nvidia.moduleParams.nvidia = lib.mkIf throughNixpkgs (lib.mapAttrs (_: text) parameters);
    }
  );
}
