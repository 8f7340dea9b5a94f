# vgpuConfig.xml: profiles given to other GPUs, and changed.
{
  lib,
  host,
  throws,
  ...
}:

let
  refused = module: throws (host module).config.hardware.nvidia.vgpu.patcher;
in
{
  "test patcher.copyVGPUProfiles and patcher.profileOverrides change vgpuConfig.xml" = {
    expr =
      let
        machine = host {
          hardware.nvidia.vgpu.patcher = {
            enable = true;
            copyVGPUProfiles."AAAA:BBBB" = "CCCC:DDDD";
            profileOverrides."333" = {
              vramAllocation = 3584;
              maxInstances = 6;
              heads = 1;
              enableCuda = true;
              display.width = 1920;
              display.height = 1080;
              framerateLimit = 144;
              xmlConfig.eccSupported = 1;
              xmlConfig.display.width = "1";
            };
          };
        };
        inherit (machine.config.hardware.nvidia.vgpu.patcher) copyVGPUProfiles profileOverrides;
      in
      [
        (lib.hasSuffix "-vgpuConfig.xml" machine.config.hardware.nvidia.vgpu.vgpuConfig)
        (
          machine.config.environment.etc."nvidia/vgpu/vgpuConfig.xml".source
          == machine.config.hardware.nvidia.vgpu.vgpuConfig
        )
        copyVGPUProfiles
        profileOverrides
      ];
    expected = [
      true
      true
      { "AAAA:BBBB" = "CCCC:DDDD"; }
      {
        "333" = {
          vramAllocation = 3584;
          maxInstances = 6;
          heads = 1;
          enableCuda = true;
          display = {
            width = 1920;
            height = 1080;
          };
          framerateLimit = 144;
          xmlConfig = {
            eccSupported = "1";
            display.width = "1";
          };
        };
      }
    ];
  };
  "test patcher.profileOverrides takes a part" = {
    expr =
      (host {
        hardware.nvidia.vgpu.patcher = {
          enable = true;
          profileOverrides."333".framerateLimit = 0;
        };
      }).config.hardware.nvidia.vgpu.patcher.profileOverrides."333";
    expected = {
      vramAllocation = null;
      maxInstances = null;
      heads = null;
      enableCuda = null;
      display = {
        width = null;
        height = null;
      };
      framerateLimit = 0;
      xmlConfig = { };
    };
  };
  "test patcher options are typed" = {
    expr = map (patcher: refused { hardware.nvidia.vgpu = { inherit patcher; }; }) [
      { copyVGPUProfiles."1E87" = "1E30:12BA"; }
      { copyVGPUProfiles."11E87:0" = "1E30:12BA"; }
      { copyVGPUProfiles."1E87:0000" = "0x1E30:0x12BA"; }
      { profileOverrides."nvidia-333".heads = 1; }
      { profileOverrides."333".vramAllocation = 0; }
      { profileOverrides."333".maxInstances = 0; }
      { profileOverrides."333".heads = -1; }
      { profileOverrides."333".framerateLimit = -1; }
      { profileOverrides."333".frameRateLimit = 1; }
      { options.extra = "--spoof-devid"; }
      { profileOverrides."333".heads = 1; }
      { copyVGPUProfiles."1C02:0000" = "1B38:0"; }
    ];
    expected = [
      true
      true
      true
      true
      true
      true
      true
      true
      true
      true
      false
      false
    ];
  };
}
