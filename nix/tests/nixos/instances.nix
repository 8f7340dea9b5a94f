# vGPUs that are declared: the file, its check, the service and udev's rule.
{
  lib,
  host,
  packageOf,
  ...
}:

let
  plain = host { };
  declared = host {
    virtualisation.libvirtd.enable = true;
    hardware.nvidia.vgpu.instances = {
      office.profile = "A40-8Q";
      studio = {
        profile = 562;
        gpu = "0000:41:00.0";
        virtualFunction = "0000:41:00.7";
        uuid = "c73f1fa6-489e-4834-9476-d70dabd98c40";
        parameters.frame_rate_limiter = false;
        placement = 6;
        group = "kvm";
      };
    };
    hardware.nvidia.vgpu.gpus."0000:41:00.0".mixedSizes = true;
    # Says nothing about its sizes: they stay as they are.
    hardware.nvidia.vgpu.gpus."0000:61:00.0".scheduler.policy = "best-effort";
  };
  unit = declared.config.systemd.services.nvidia-vgpu-instances;
  checked = declared.config.environment.etc."nvidia/vgpu/instances.json".source;
  argument =
    name: lib.elemAt checked.args (1 + lib.lists.findFirstIndex (arg: arg == name) null checked.args);
  rules = machine: machine.config.services.udev.extraRules;
in
{
  "test the declaration has what is set and nothing else" = {
    expr = builtins.fromJSON (argument "--declaration").text;
    expected = {
      instances = {
        office.profile = "A40-8Q";
        studio = {
          profile = 562;
          gpu = "0000:41:00.0";
          virtual_function = "0000:41:00.7";
          uuid = "c73f1fa6-489e-4834-9476-d70dabd98c40";
          parameters.frame_rate_limiter = false;
          placement = 6;
          group = "kvm";
        };
      };
      gpus."0000:41:00.0".mixed_sizes = true;
    };
  };
  "test the declaration is checked against the profiles the host has" = {
    expr = argument "--config";
    expected = declared.config.hardware.nvidia.vgpu.vgpuConfig;
  };
  "test a changed declaration is applied at a switch, without a stop" = {
    expr = {
      triggered = lib.elem checked unit.restartTriggers;
      inherit (unit) restartIfChanged stopIfChanged;
      stop = unit.serviceConfig ? ExecStop;
    };
    expected = {
      triggered = true;
      restartIfChanged = true;
      stopIfChanged = false;
      stop = false;
    };
  };
  "test vGPUs are there before virtual machines start" = {
    expr = {
      inherit (unit) after before;
      # NixOS has both.
      real = lib.all (name: declared.config.systemd.services ? ${name}) [
        "libvirtd"
        "libvirt-guests"
        "nvidia-vgpud"
        "nvidia-vgpu-mgr"
      ];
    };
    expected = {
      after = [
        "nvidia-vgpud.service"
        "nvidia-vgpu-mgr.service"
      ];
      before = [
        "libvirtd.service"
        "virtqemud.service"
        "libvirt-guests.service"
      ];
      real = true;
    };
  };
  "test sriov-manage and what it calls are on the service's path" = {
    expr = lib.all (wanted: lib.elem wanted unit.path) [
      (packageOf declared).vgpu.programs
      declared.pkgs.pciutils
      declared.pkgs.gawk
      declared.pkgs.kmod
    ];
    expected = true;
  };
  "test the devices of owned vGPUs get their owner from udev" = {
    expr = lib.hasInfix "instances owner %k" (rules declared);
    expected = true;
  };
  "test a host that declares no owner has no rule" = {
    expr = lib.hasInfix "vfio" (rules plain);
    expected = false;
  };
  "test what was declared last goes, too" = {
    expr = plain.config.systemd.services ? nvidia-vgpu-instances;
    expected = true;
  };
  "test no unit of the host closes the devices of the GPU" = {
    expr = lib.filter (
      name:
      let
        settings = plain.config.systemd.services.${name}.serviceConfig;
      in
      lib.any (closed: settings.${closed} or false != false) [
        "DeviceAllow"
        "DevicePolicy"
        "MemoryDenyWriteExecute"
        "PrivateDevices"
        "ProtectClock"
      ]
    ) (lib.filter (lib.hasPrefix "nvidia") (lib.attrNames plain.config.systemd.services));
    expected = [ ];
  };
}
