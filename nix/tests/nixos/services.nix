# The services of a host and of a guest, as NixOS has them.
{
  lib,
  host,
  guest,
  packageOf,
  ...
}:

let
  plainHost = host { };
  plainGuest = guest { };

  # What a service says of itself, PROGRAMS standing for the driver's.
  service =
    machine: name:
    let
      unit = machine.config.systemd.services.${name};
    in
    {
      inherit (unit)
        after
        description
        requires
        restartIfChanged
        wantedBy
        wants
        ;
      serviceConfig = lib.mapAttrs (
        _: value:
        if lib.isString value then
          lib.replaceStrings [ "${(packageOf machine).vgpu.programs}" ] [ "PROGRAMS" ] value
        else
          value
      ) unit.serviceConfig;
    };
  coreutils = plainHost.pkgs.coreutils;
  hardening = import ../../lib/hardening.nix;
in
{
  "test nvidia-vgpud reads the profiles once and is never restarted" = {
    expr = service plainHost "nvidia-vgpud";
    expected = {
      description = "NVIDIA vGPU Daemon";
      wantedBy = [ "multi-user.target" ];
      wants = [ ];
      requires = [ ];
      after = [ "systemd-modules-load.service" ];
      restartIfChanged = false;
      serviceConfig = hardening // {
        PrivateTmp = true;
        RemainAfterExit = true;
        Type = "forking";
        ExecStart = "PROGRAMS/bin/nvidia-vgpud";
        ExecStopPost = "${coreutils}/bin/rm -rf /var/run/nvidia-vgpud";
      };
    };
  };
  "test nvidia-vgpu-mgr lives as long as the virtual machines" = {
    expr = service plainHost "nvidia-vgpu-mgr";
    expected = {
      description = "NVIDIA vGPU Manager Daemon";
      wantedBy = [ "multi-user.target" ];
      wants = [ ];
      requires = [ "nvidia-vgpud.service" ];
      after = [ "nvidia-vgpud.service" ];
      restartIfChanged = false;
      serviceConfig = hardening // {
        Type = "forking";
        KillMode = "process";
        ExecStart = "PROGRAMS/bin/nvidia-vgpu-mgr";
        ExecStopPost = "${coreutils}/bin/rm -rf /var/run/nvidia-vgpu-mgr";
      };
    };
  };
  "test nvidia-xid-logd is off, and starts with the machine where it is enabled" = {
    expr = service plainHost "nvidia-xid-logd" // {
      enabled = map (machine: machine.config.systemd.units."nvidia-xid-logd.service".enable) [
        plainHost
        (plainHost.extend { systemd.services.nvidia-xid-logd.enable = true; })
      ];
    };
    expected = {
      enabled = [
        false
        true
      ];
      description = "NVIDIA Xid Log Daemon";
      wantedBy = [ "multi-user.target" ];
      wants = [ ];
      requires = [ ];
      after = [ ];
      restartIfChanged = false;
      serviceConfig = hardening // {
        PrivateTmp = true;
        Type = "forking";
        ExecStart = "PROGRAMS/bin/nvidia-xid-logd";
        RuntimeDirectory = "nvidia-xid-logd";
      };
    };
  };
  "test nvidia-gridd finds its libraries and keeps its licence" = {
    expr = service plainGuest "nvidia-gridd" // {
      inherit (plainGuest.config.systemd.services.nvidia-gridd.environment) LD_LIBRARY_PATH;
    };
    expected = {
      description = "NVIDIA Grid Daemon";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      requires = [ ];
      after = [
        "network-online.target"
        "nvidia-persistenced.service"
      ];
      restartIfChanged = false;
      LD_LIBRARY_PATH = "${(packageOf plainGuest).out}/lib";
      serviceConfig = {
        Type = "forking";
        ExecStart = "PROGRAMS/bin/nvidia-gridd";
        ExecStopPost = "${coreutils}/bin/rm -rf /var/run/nvidia-gridd";
        StateDirectory = "nvidia";
      };
    };
  };
  "test nvidia-topologyd is not restarted, as it would meet the modules of another release" = {
    expr = service plainGuest "nvidia-topologyd";
    expected = {
      description = "NVIDIA Topology Daemon";
      wantedBy = [ "multi-user.target" ];
      wants = [ ];
      requires = [ ];
      after = [ ];
      restartIfChanged = false;
      serviceConfig = {
        Type = "forking";
        ExecStart = "PROGRAMS/bin/nvidia-topologyd";
      };
    };
  };
  "test a guest's D-Bus policies are read" = {
    expr = lib.elem "${(packageOf plainGuest).vgpu.programs}" (
      map toString plainGuest.config.services.dbus.packages
    );
    expected = true;
  };
}
