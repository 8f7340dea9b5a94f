# Parameters of the kernel modules, as NixOS hands them to modprobe.
{ lib, host, ... }:

let
  # The lines for the module `nvidia`.
  lines =
    machine:
    lib.filter (lib.hasPrefix "options nvidia ") (
      lib.splitString "\n" machine.config.boot.extraModprobeConfig
    );
  scheduler = settings: host { hardware.nvidia.vgpu.scheduler = settings; };
in
{
  "test without options there are no parameters" = {
    expr = lines (host { });
    expected = [ ];
  };
  "test policies have the numbers of NVIDIA's registry" = {
    expr = map (settings: lines (scheduler settings)) [
      { policy = "best-effort"; }
      { policy = "equal-share"; }
      { policy = "fixed-share"; }
      {
        policy = "equal-share";
        timeSlice = 3;
      }
      {
        policy = "fixed-share";
        timeSlice = 30;
      }
    ];
    expected = [
      [ "options nvidia NVreg_RegistryDwords=RmPVMRL=0x0" ]
      [ "options nvidia NVreg_RegistryDwords=RmPVMRL=0x1" ]
      [ "options nvidia NVreg_RegistryDwords=RmPVMRL=0x11" ]
      [ "options nvidia NVreg_RegistryDwords=RmPVMRL=0x30001" ]
      [ "options nvidia NVreg_RegistryDwords=RmPVMRL=0x1E0011" ]
    ];
  };
  "test a GPU has a policy of its own beside the one for all" = {
    expr =
      let
        gpus = {
          "0000:41:00.0".scheduler = {
            policy = "fixed-share";
            timeSlice = 2;
          };
          "0000:61:00.0".scheduler.policy = "best-effort";
          "0000:81:00.0".mixedSizes = true;
        };
      in
      map lines [
        (host { hardware.nvidia.vgpu = { inherit gpus; }; })
        (host {
          hardware.nvidia.vgpu = {
            inherit gpus;
            scheduler.policy = "equal-share";
          };
        })
      ];
    expected =
      let
        perDevice = "NVreg_RegistryDwordsPerDevice=pci=0000:41:00.0;RmPVMRL=0x20011;pci=0000:61:00.0;RmPVMRL=0x0";
      in
      [
        [ "options nvidia ${perDevice}" ]
        [ "options nvidia NVreg_RegistryDwords=RmPVMRL=0x1 ${perDevice}" ]
      ];
  };
  "test a time slice without a policy is refused" = {
    expr = map (machine: map (text: lib.head (lib.splitString ":" text)) machine.failed) [
      (scheduler { timeSlice = 2; })
      (host {
        hardware.nvidia.vgpu.gpus."0000:41:00.0".scheduler = {
          policy = "best-effort";
          timeSlice = 2;
        };
      })
    ];
    expected = [
      [ "hardware.nvidia.vgpu.scheduler.timeSlice" ]
      [ ''hardware.nvidia.vgpu.gpus."0000'' ]
    ];
  };
  "test a merged host's parameters reach the module once" = {
    expr = lines (host {
      services.xserver.videoDrivers = [ "nvidia" ];
      hardware.nvidia.vgpu.patcher = {
        enable = true;
        options.moduleParameters = {
          vup_sunlock = true;
          vup_qmode = 1;
          vup_swrlwar = false;
        };
      };
    });
    expected = [ "options nvidia vup_qmode=1 vup_sunlock=1 vup_swrlwar=0" ];
  };
}
