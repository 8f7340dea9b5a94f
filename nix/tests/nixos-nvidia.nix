# nixpkgs' nvidia module of another release than the tree has, to test both in one tree: what its options and settings
# are, in our words and as far as our modules meet them. Left out: PRIME, X screens, what only the fabric manager needs.
#
#   shape → a NixOS module
#
# Each part names where it is from, in nixos/modules/hardware/video/nvidia.nix of nixpkgs:
#
#   [both]     25.11 and 26.05 have it
#   [25.11]    up to 25.11
#   [26.05]    since 26.05
shape:
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  new = shape == "26.05";
  cfg = config.hardware.nvidia;
  inherit (config.boot.kernelPackages) nvidiaPackages;

  screens = lib.elem "nvidia" config.services.xserver.videoDrivers;
  # null where the module does nothing: defaults that look at it fail there.
  driver = if cfg.enabled then cfg.package else null;
  open = cfg.open == true;
  atLeast = lib.versionAtLeast driver.version;
  modules =
    if open then
      driver.open
    else if new then
      driver.mod
    else
      driver.bin;

  switch =
    default:
    mkOption {
      type = types.bool;
      inherit default;
    };

  parameters =
    lib.optional cfg.modesetting.enable [
      "nvidia-drm"
      "modeset"
      1
    ]
    ++ lib.optional (cfg.modesetting.enable && atLeast "545") [
      "nvidia-drm"
      "fbdev"
      1
    ]
    ++ lib.optional cfg.powerManagement.enable [
      "nvidia"
      "NVreg_PreserveVideoMemoryAllocations"
      1
    ]
    ++ lib.optional cfg.powerManagement.finegrained [
      "nvidia"
      "NVreg_DynamicPowerManagement"
      "0x02"
    ];

  persistenced = lib.mkIf cfg.nvidiaPersistenced {
    systemd.services.nvidia-persistenced = {
      description = "NVIDIA Persistence Daemon";
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "forking";
        Restart = "always";
        PIDFile = "/var/run/nvidia-persistenced/nvidia-persistenced.pid";
        ExecStart = "${lib.getExe driver.persistenced} --verbose";
        ExecStopPost = "${pkgs.coreutils}/bin/rm -rf /var/run/nvidia-persistenced";
      };
    };
    environment.systemPackages = [ driver.persistenced ];
  };

  sleepService = state: {
    requiredBy = [ "systemd-${state}.service" ];
    before = [ "systemd-${state}.service" ];
    path = [ pkgs.kbd ];
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "${driver.out}/bin/nvidia-sleep.sh '${state}'";
    };
  };
in
{
  options.hardware.nvidia = {
    # [both]
    enabled = mkOption {
      type = types.bool;
      readOnly = true;
      default = screens || cfg.datacenter.enable;
    };
    datacenter.enable = switch false;
    datacenter.settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
    };
    powerManagement.enable = switch false;
    powerManagement.finegrained = switch false;
    dynamicBoost.enable = switch false;
    modesetting.enable = switch (lib.versionAtLeast cfg.package.version "535");
    nvidiaSettings = switch true;
    nvidiaPersistenced = switch false;
    forceFullCompositionPipeline = switch false;
    videoAcceleration = switch true;
    gsp.enable = switch (open || atLeast "555");
    open = mkOption {
      type = types.nullOr types.bool;
      default = if lib.versionOlder driver.version "560" then false else null;
    };
    package = mkOption {
      type = types.package;
      default =
        nvidiaPackages.${
          if new then
            cfg.branch
          else if cfg.datacenter.enable then
            "dc"
          else
            "stable"
        };
    };
  }
  // lib.optionalAttrs new {
    # [26.05]
    branch = mkOption {
      type = types.enum (lib.attrNames (lib.filterAttrs (_: lib.isDerivation) nvidiaPackages));
      default = if cfg.datacenter.enable then "dc" else "stable";
    };
    moduleParams = mkOption {
      type = types.attrsOf (types.attrsOf types.raw);
      default = { };
    };
    powerManagement.enable = switch false;
    powerManagement.finegrained = switch false;
    powerManagement.kernelSuspendNotifier = switch (open && atLeast "595");
  };

  config = lib.mkIf cfg.enabled (
    lib.mkMerge [
      # [both]
      {
        assertions = [
          {
            assertion = !(screens && cfg.datacenter.enable);
            message = "You cannot configure both X11 and Data Center drivers at the same time.";
          }
          {
            assertion = cfg.open != null || cfg.datacenter.enable;
            message = "You must configure `hardware.nvidia.open` on NVIDIA driver versions >= 560.";
          }
          {
            assertion = open -> (driver.open or null) != null;
            message = "This version of NVIDIA driver does not provide a corresponding opensource kernel driver.";
          }
        ];
        boot = {
          blacklistedKernelModules = [
            "nouveau"
            "nova_core"
            "nvidiafb"
          ];
          extraModprobeConfig = "softdep nvidia post: nvidia-uvm";
          kernelModules = lib.optional open "nvidia_uvm";
          extraModulePackages = [ modules ];
        };
        environment.systemPackages = [ driver.bin ];
        hardware.graphics.extraPackages = [ driver.out ];
        hardware.graphics.extraPackages32 = [ driver.lib32 ];
        services.udev.extraRules = ''
          KERNEL=="nvidia", RUN+="${pkgs.runtimeShell} -c 'mknod -m 666 /dev/nvidiactl c 195 255'"
        '';
      }
      persistenced
      (lib.mkIf screens {
        assertions = [
          {
            assertion = cfg.gsp.enable -> cfg.package ? firmware;
            message = "This version of NVIDIA driver does not provide a GSP firmware.";
          }
          {
            assertion = open -> cfg.gsp.enable;
            message = "The GSP cannot be disabled when using the opensource kernel driver.";
          }
        ];
        boot.kernelModules = lib.optionals config.services.xserver.enable [
          "nvidia"
          "nvidia_modeset"
          "nvidia_drm"
        ];
        hardware.firmware = lib.optional cfg.gsp.enable driver.firmware;
        environment.systemPackages = lib.optional cfg.nvidiaSettings driver.settings;
        environment.etc = {
          "nvidia/nvidia-application-profiles-rc" = lib.mkIf driver.useProfiles {
            source = "${driver.bin}/share/nvidia/nvidia-application-profiles-rc";
          };
          "egl/egl_external_platform.d".source = "/run/opengl-driver/share/egl/egl_external_platform.d/";
        };
        services.xserver.drivers = [
          {
            name = "nvidia";
            modules = [ driver.bin ];
            display = true;
          }
        ];
      })
      (lib.mkIf (screens && cfg.powerManagement.enable) {
        systemd.packages = [ driver.out ];
        systemd.services = {
          nvidia-suspend = sleepService "suspend";
          nvidia-hibernate = sleepService "hibernate";
          nvidia-resume = sleepService "resume" // {
            before = [ ];
            after = [
              "systemd-suspend.service"
              "systemd-hibernate.service"
            ];
            requiredBy = [
              "systemd-suspend.service"
              "systemd-hibernate.service"
            ];
          };
        };
      })
      (lib.mkIf cfg.datacenter.enable {
        systemd.services.nvidia-fabricmanager = {
          wantedBy = [ "multi-user.target" ];
          serviceConfig.ExecStart = lib.getExe' driver.fabricmanager "nv-fabricmanager";
        };
      })

      # [25.11]
      (lib.optionalAttrs (!new) {
        boot.kernelParams = map (
          parameter:
          "${lib.elemAt parameter 0}.${lib.elemAt parameter 1}=${toString (lib.elemAt parameter 2)}"
        ) parameters;
      })

      # [26.05]
      (lib.optionalAttrs new {
        hardware.nvidia.moduleParams = lib.mkMerge (
          map (parameter: {
            ${lib.elemAt parameter 0}.${lib.elemAt parameter 1} = lib.elemAt parameter 2;
          }) parameters
        );
        boot.extraModprobeConfig = lib.concatStringsSep "\n" (
          lib.mapAttrsToList (
            module: values:
            "options ${module} ${
              lib.concatStringsSep " " (lib.mapAttrsToList (name: value: "${name}=${toString value}") values)
            }"
          ) cfg.moduleParams
        );
        hardware.graphics.extraPackages = [
          (pkgs.symlinkJoin {
            name = "nvidia-egl-external-platforms";
            paths = [ pkgs.egl-wayland ];
          })
        ];
      })
    ]
  );
}
