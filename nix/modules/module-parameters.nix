# Parameters of a host's kernel modules: those of merged drivers, and how vGPUs share the time of a GPU.
{
  config,
  lib,
  options,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.hardware.nvidia.vgpu;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
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
  registry =
    scheduler:
    let
      slice = if scheduler.timeSlice == null then 0 else scheduler.timeSlice;
    in
    "RmPVMRL=0x" + lib.toHexString (policies.${scheduler.policy} + slice * 65536);

  # GPUs with a policy of their own. For each key, the driver looks for one of the GPU first, and then for one for all.
  gpus = lib.filterAttrs (_: gpu: gpu.scheduler.policy != null) cfg.gpus;

  parameters =
    cfg.patcher.options.moduleParameters
    // lib.optionalAttrs (cfg.scheduler.policy != null) {
      NVreg_RegistryDwords = registry cfg.scheduler;
    }
    // lib.optionalAttrs (gpus != { }) {
      NVreg_RegistryDwordsPerDevice = lib.concatStringsSep ";" (
        lib.mapAttrsToList (address: gpu: "pci=${address};${registry gpu.scheduler}") gpus
      );
    };

  # Options that set a time slice where the policy has none.
  withoutPolicy = lib.filterAttrs (
    _: scheduler:
    scheduler.timeSlice != null
    && !lib.elem scheduler.policy [
      "equal-share"
      "fixed-share"
    ]
  ) schedulers;
  schedulers = {
    "hardware.nvidia.vgpu.scheduler" = cfg.scheduler;
  }
  // lib.mapAttrs' (
    address: gpu: lib.nameValuePair "hardware.nvidia.vgpu.gpus.\"${address}\".scheduler" gpu.scheduler
  ) cfg.gpus;

  text = value: if lib.isBool value then (if value then "1" else "0") else toString value;

  # `unset`: what happens where no policy is set.
  schedulerOptions = unset: {
    policy = mkOption {
      type = types.nullOr (types.enum (lib.attrNames policies));
      default = null;
      example = "fixed-share";
      description = ''
        How the vGPUs of a GPU share its time. `best-effort`: whoever has work gets the GPU; the best throughput, but one busy
        machine slows down the others. `equal-share`: the machines that are running get equal parts. `fixed-share`: each gets the
        part that a full board would give it, however many run; choose it where performance must not depend on others.
        ${unset} It takes effect when the modules are loaded, so after a restart.
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
        is for consumer boards whose virtual machines end with Xid 43, `vup_swrlwar` lets virtual machines start while the host's
        screens use the GPU, `vup_qmode` makes the module treat the board as a Quadro. None is set by itself: its authors recommend
        their defaults. Set them where virtual machines don't start on a merged host. A parameter that the driver doesn't have is
        ignored, with a line in the kernel's log.
      '';
    };

    scheduler = schedulerOptions "`null` leaves it to the driver.";

    gpus = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.scheduler = schedulerOptions "`null` leaves it to `hardware.nvidia.vgpu.scheduler`.";
        }
      );
    };
  };

  config = lib.mkIf driverIsOurs (
    {
      assertions = lib.mapAttrsToList (name: _: {
        assertion = false;
        message = ''
          ${name}.timeSlice: only vGPUs that share the GPU's time by a rule have a time slice. Set
          ${name}.policy to "equal-share" or "fixed-share" too, or take timeSlice out.
        '';
      }) withoutPolicy;

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
