# A host without screens: it gets what nixpkgs' nvidia module gives one with, by the same options, once.
{
  lib,
  machine,
  packageOf,
  ...
}:

let
  shapes = [
    "25.11"
    "26.05"
  ];
  headless =
    shape: options:
    machine {
      inherit shape;
      module.imports = [
        { hardware.nvidia.vgpu.release = "17.3"; }
        { hardware.nvidia = options; }
      ];
    };
  plain = lib.genAttrs shapes (shape: headless shape { });
  onBoth =
    options: look:
    map (shape: look (if options == { } then plain.${shape} else headless shape options)) shapes;

  ofNvidia = lib.filter (lib.hasInfix "nvidia");
  programs =
    machine:
    lib.unique (ofNvidia (map (package: package.name) machine.config.environment.systemPackages));
  linesWith =
    word: text:
    lib.filter (line: lib.hasInfix word line && !lib.hasPrefix "#" line) (lib.splitString "\n" text);
in
{
  "test modules are loaded, once, and others kept away" = {
    expr = onBoth { } (
      machine:
      let
        inherit (machine.config) boot;
      in
      {
        loaded = lib.sort lib.lessThan (ofNvidia boot.kernelModules);
        installed = map (package: package == (packageOf machine).mod) boot.extraModulePackages;
        blacklisted = lib.filter (
          name:
          lib.elem name [
            "nouveau"
            "nova_core"
            "nvidiafb"
          ]
        ) boot.blacklistedKernelModules;
        uvm = linesWith "softdep nvidia" boot.extraModprobeConfig;
        firmware = lib.elem (packageOf machine).firmware (
          lib.concatLists machine.options.hardware.firmware.definitions
        );
      }
    );
    expected =
      let
        same = {
          loaded = [
            "nvidia"
            "nvidia-vgpu-vfio"
          ];
          installed = [ true ];
          blacklisted = [
            "nouveau"
            "nova_core"
            "nvidiafb"
          ];
          uvm = [ "softdep nvidia post: nvidia-uvm" ];
          firmware = true;
        };
      in
      [
        same
        same
      ];
  };
  "test the programs are on the system path, and no application with windows" = {
    expr = onBoth { } programs;
    expected = [
      [ "nvidia-vgpu-host-550.90.05" ]
      [ "nvidia-vgpu-host-550.90.05" ]
    ];
  };
  "test device files come from udev" = {
    expr = onBoth { } (
      machine:
      let
        rules = linesWith "mknod" machine.config.services.udev.extraRules;
      in
      [
        (lib.length rules)
        (lib.any (lib.hasInfix "/dev/nvidiactl") rules)
        (lib.any (lib.hasInfix "/dev/nvidia-uvm c") rules)
      ]
    );
    expected = [
      [
        4
        true
        true
      ]
      [
        4
        true
        true
      ]
    ];
  };
  "test nvidiaPersistenced runs the daemon" = {
    expr = onBoth { nvidiaPersistenced = true; } (machine: {
      start = baseNameOf (
        lib.head (
          lib.splitString " " machine.config.systemd.services.nvidia-persistenced.serviceConfig.ExecStart
        )
      );
      inherit (machine.config.systemd.services.nvidia-persistenced) wantedBy;
      programs = lib.any (lib.hasPrefix "nvidia-persistenced") (programs machine);
    });
    expected =
      let
        same = {
          start = "nvidia-persistenced";
          wantedBy = [ "multi-user.target" ];
          programs = true;
        };
      in
      [
        same
        same
      ];
  };
  "test powerManagement saves the boards' memory" = {
    expr = onBoth { powerManagement.enable = true; } (machine: {
      services = ofNvidia (
        lib.attrNames (
          lib.filterAttrs (
            _: service: lib.any (lib.hasPrefix "systemd-") service.requiredBy
          ) machine.config.systemd.services
        )
      );
      parameters = linesWith "options nvidia " machine.config.boot.extraModprobeConfig;
      hook = lib.elem (packageOf machine).out machine.config.systemd.packages;
    });
    expected =
      let
        same = {
          services = [
            "nvidia-hibernate"
            "nvidia-resume"
            "nvidia-suspend"
          ];
          parameters = [ "options nvidia NVreg_PreserveVideoMemoryAllocations=1" ];
          hook = true;
        };
      in
      [
        same
        same
      ];
  };
  "test powerManagement.finegrained lets the GPU sleep" = {
    expr = onBoth { powerManagement.finegrained = true; } (machine: [
      (linesWith "options nvidia " machine.config.boot.extraModprobeConfig)
      (lib.length (linesWith "power/control" machine.config.services.udev.extraRules))
    ]);
    expected =
      let
        same = [
          [ "options nvidia NVreg_DynamicPowerManagement=0x02" ]
          2
        ];
      in
      [
        same
        same
      ];
  };
  "test moduleParams reach modprobe" = {
    expr =
      linesWith "options nvidia "
        (headless "26.05" { moduleParams.nvidia.NVreg_EnableGpuFirmware = 0; })
        .config.boot.extraModprobeConfig;
    expected = [ "options nvidia NVreg_EnableGpuFirmware=0" ];
  };
  "test nvidiaSettings and dynamicBoost are obeyed" = {
    expr =
      onBoth
        {
          nvidiaSettings = true;
          dynamicBoost.enable = true;
        }
        (machine: [
          (lib.any (lib.hasPrefix "nvidia-settings") (programs machine))
          (baseNameOf machine.config.systemd.services.nvidia-powerd.serviceConfig.ExecStart)
          (lib.elem "${(packageOf machine).vgpu.programs}" (
            map toString machine.config.services.dbus.packages
          ))
        ]);
    expected =
      let
        same = [
          true
          "nvidia-powerd"
          true
        ];
      in
      [
        same
        same
      ];
  };
  "test container toolkits find the driver" = {
    expr = onBoth { } (
      machine:
      let
        container = machine.extend {
          hardware.graphics.enable = true;
          hardware.graphics.enable32Bit = true;
          hardware.nvidia-container-toolkit.enable = true;
          virtualisation.docker.enable = true;
          virtualisation.docker.enableNvidia = true;
        };
      in
      [
        (lib.elem (packageOf machine).out container.config.hardware.graphics.extraPackages)
        (lib.length (
          linesWith "/run/nvidia-docker/bin" (
            lib.concatStringsSep "\n" container.config.systemd.tmpfiles.rules
          )
        ))
        container.failed
      ]
    );
    expected =
      let
        same = [
          true
          1
          [ ]
        ];
      in
      [
        same
        same
      ];
  };
}
