# Declared vGPUs. They are made at every start of the machine, before virtual machines start, and changed at a switch.
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

  addressType = types.strMatching "[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[01][0-9a-fA-F]\\.[0-7]" // {
    description = "PCI address, like 0000:41:00.0";
  };

  # null: the program chooses.
  optional =
    type: example: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit example description;
    };

  instanceOptions = {
    options = {
      profile = mkOption {
        type = types.either types.ints.unsigned types.str;
        example = "A40-8Q";
        description = ''
          What the vGPU is: NVIDIA's name of the profile, with or without `NVIDIA ` or `GRID ` before it, or its number.
          `vgpu profiles list` shows those of each board.
        '';
      };
      gpu = optional addressType "0000:41:00.0" ''
        The physical GPU it is made on. Leave it out to have any that has room: first one that is cut into this size
        already.
      '';
      uuid =
        optional
          (
            types.strMatching "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
            // {
              description = "UUID";
            }
          )
          "c73f1fa6-489e-4834-9476-d70dabd98c40"
          ''
            UUID of the mediated device, on GPUs that have these. Leave it out for one made from the name, the same at
            every start. Set it to keep the one that a virtual machine knows already.
          '';
      virtualFunction = optional addressType "0000:41:00.4" ''
        The virtual function it is made on. Leave it out for one that is free; it is remembered then, and the same at
        every start.
      '';
      parameters = mkOption {
        type = types.attrsOf (
          types.oneOf [
            types.bool
            types.int
            types.str
          ]
        );
        default = { };
        example = {
          frame_rate_limiter = false;
        };
        description = ''
          Parameters of the vGPU, `vgpu_params` in NVIDIA's user guide: `frame_rate_limiter`, `disable_vnc`,
          `enable_uvm`, `enable_debugging`, `enable_profiling`. They count from the next start of the virtual machine on.
        '';
      };
      placement = optional types.ints.unsigned 6 ''
        Where in the GPU's memory it is put, `vgpu-placement-id` in NVIDIA's user guide. Set it on GPUs with mixed sizes
        when large vGPUs must find room beside small ones.
      '';
      user = optional types.str "qemu-libvirtd" ''
        Who owns the device below /dev/vfio. Set it for virtual machines that do not run as root and are not in the group.
      '';
      group = optional types.str "kvm" ''
        The group that may open the device below /dev/vfio. Set it for virtual machines that do not run as root, such as
        those of microvm.nix; libvirt needs it not.
      '';
    };
  };

  gpuOptions.options.mixedSizes = mkOption {
    type = types.nullOr types.bool;
    default = null;
    example = true;
    description = ''
      Whether vGPUs of several sizes may be on this GPU. Set it on boards that can do that (NVIDIA's user guide lists
      them) when one size is not enough. It can be changed while no vGPU is on the GPU. `null` leaves it as it is.
    '';
  };

  isSet = _: value: value != null && value != { };
  declaration = {
    instances = lib.mapAttrs (
      _: instance:
      lib.filterAttrs isSet (removeAttrs instance [ "virtualFunction" ])
      // lib.optionalAttrs (instance.virtualFunction != null) {
        virtual_function = instance.virtualFunction;
      }
    ) cfg.instances;
    gpus = lib.mapAttrs (_: gpu: { mixed_sizes = gpu.mixedSizes; }) (
      lib.filterAttrs (_: gpu: gpu.mixedSizes != null) cfg.gpus
    );
  };

  checked = pkgs.callPackage ../packages/vgpu-instances.nix { } {
    vgpu = package.vgpu.program;
    inherit declaration;
    inherit (cfg) vgpuConfig;
  };

  owned = lib.any (instance: instance.user != null || instance.group != null) (
    lib.attrValues cfg.instances
  );
in
{
  options.hardware.nvidia.vgpu = {
    instances = mkOption {
      type = types.attrsOf (types.submodule instanceOptions);
      default = { };
      example = {
        office = {
          profile = "A40-8Q";
        };
        studio = {
          profile = "A40-8Q";
          gpu = "0000:41:00.0";
          parameters.frame_rate_limiter = false;
        };
      };
      description = ''
        The vGPUs of this host, by names of your choice. They are there after every start, each at its place, before
        libvirt starts virtual machines; a changed declaration is applied at a switch, without touching vGPUs that
        virtual machines have open. `vgpu instances attach NAME` prints what a virtual machine needs. Names and sums are
        checked against the driver's profiles when the configuration is built.
      '';
    };

    gpus = mkOption {
      type = types.attrsOf (types.submodule gpuOptions);
      default = { };
      example = {
        "0000:41:00.0" = {
          mixedSizes = true;
        };
      };
      description = ''
        How GPUs work, by PCI address. What is not named here is left as it is.
      '';
    };
  };

  config = lib.mkIf driverIsOurs {
    environment.etc = {
      "nvidia/vgpu/instances.json".source = checked;
      # Where `vgpu` looks for it: a host without screens has no /run/opengl-driver.
      "nvidia/vgpu/libnvidia-ml.so.1".source = "${package.out}/lib/libnvidia-ml.so.1";
    };

    systemd.services.nvidia-vgpu-instances = {
      description = "NVIDIA vGPUs that are declared";
      wantedBy = [ "multi-user.target" ];
      wants = [ "nvidia-vgpud.service" ];
      # nvidia-vgpud tells the kernel the types. That may end a moment after the service has started. So apply waits for it.
      after = [
        "nvidia-vgpud.service"
        "nvidia-vgpu-mgr.service"
      ];
      before = [
        "libvirtd.service"
        "virtqemud.service"
        "libvirt-guests.service"
      ];
      unitConfig.RequiresMountsFor = "/var/lib/vgpu";
      # A restart runs apply again, and apply leaves alone what is in use.
      restartTriggers = [ checked ];
      stopIfChanged = false;
      # NVIDIA's sriov-manage calls these.
      path = [
        package.vgpu.programs
        pkgs.coreutils
        pkgs.gawk
        pkgs.gnugrep
        pkgs.gnused
        pkgs.kmod
        pkgs.pciutils
      ];
      serviceConfig = import ../lib/hardening.nix // {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${package.vgpu.program}/bin/vgpu instances apply --wait 60";
        TimeoutStartSec = "5min";
        StateDirectory = "vgpu";
        RuntimeDirectory = "vgpu";
        # The links in /run/vgpu stay when the service is restarted.
        RuntimeDirectoryPreserve = true;
        # It writes to /sys and loads modules, so ProtectKernelTunables and ProtectKernelModules stay off.
        PrivateTmp = true;
        ProtectSystem = "full";
      };
    };

    services.udev.extraRules = lib.mkIf owned ''
      # Gives the devices below /dev/vfio to the user or group that is declared for the vGPU.
      SUBSYSTEM=="vfio|vfio-dev", KERNEL!="vfio", IMPORT{program}="${package.vgpu.program}/bin/vgpu instances owner %k"
      SUBSYSTEM=="vfio|vfio-dev", ENV{VGPU_GROUP}=="?*", OWNER="$env{VGPU_USER}", GROUP="$env{VGPU_GROUP}", MODE="0660"
    '';
  };
}
