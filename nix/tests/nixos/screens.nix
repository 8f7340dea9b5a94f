# Machines whose screens are NVIDIA's: guests and merged hosts, where nixpkgs' nvidia module acts and ours adds to it.
{
  lib,
  host,
  guest,
  machine,
  screens,
  packageOf,
  ...
}:

let
  plainHost = host { };
  plainGuest = guest { };
  merged = host {
    imports = [ screens ];
    services.xserver.enable = true;
    hardware.nvidia.vgpu.patcher.enable = true;
  };
  ofNvidia = lib.filter (lib.hasInfix "nvidia");
  warningsOf = machine: lib.length (lib.filter (lib.hasInfix "nothing loads it") machine.warnings);
in
{
  "test a merged host's modules come from nixpkgs' module alone" = {
    expr = [
      (lib.sort lib.lessThan (ofNvidia merged.config.boot.kernelModules))
      (lib.length merged.config.boot.extraModulePackages)
      (lib.count (name: name == "nouveau") merged.config.boot.blacklistedKernelModules)
      (packageOf merged).useProfiles
      (lib.elem "lib32" (packageOf merged).outputs)
      merged.failed
    ];
    expected = [
      [
        "nvidia"
        "nvidia-vgpu-vfio"
        "nvidia_drm"
        "nvidia_modeset"
      ]
      1
      1
      true
      true
      [ ]
    ];
  };
  "test a host without screens has no 32-bit libraries and no application profiles" = {
    expr =
      let
        driver = packageOf plainHost;
      in
      [
        (lib.elem "lib32" driver.outputs)
        driver.lib32
        driver.useProfiles
      ];
    expected = [
      false
      null
      false
    ];
  };
  "test files under /etc" = {
    expr = map (machine: ofNvidia (lib.attrNames machine.config.environment.etc)) [
      plainHost
      plainGuest
    ];
    expected = [
      [
        "nvidia/vgpu/instances.json"
        "nvidia/vgpu/libnvidia-ml.so.1"
        "nvidia/vgpu/vgpuConfig.xml"
      ]
      [
        "nvidia/gridd.conf.template"
        "nvidia/nvidia-application-profiles-rc"
        "nvidia/nvidia-topologyd.conf.template"
      ]
    ];
  };
  "test a guest has modesetting on and gsp off, unless it says otherwise" = {
    expr =
      map
        (
          module:
          let
            # From 560 on nixpkgs has other defaults.
            inherit
              (guest {
                imports = [ module ];
                hardware.nvidia.vgpu.release = "18.1";
              })
              config
              failed
              ;
          in
          [
            config.hardware.nvidia.modesetting.enable
            config.hardware.nvidia.gsp.enable
            failed
          ]
        )
        [
          { }
          {
            hardware.nvidia.modesetting.enable = false;
            hardware.nvidia.gsp.enable = true;
          }
        ];
    expected = [
      [
        true
        false
        [ ]
      ]
      [
        false
        true
        [ ]
      ]
    ];
  };
  "test a guest that loads no driver is warned" = {
    expr = map warningsOf [
      (guest { services.xserver.videoDrivers = lib.mkForce [ "modesetting" ]; })
      plainGuest
    ];
    expected = [
      1
      0
    ];
  };
  "test NixOS' VM variant of a guest is not warned, and is a system" = {
    expr =
      let
        inherit (plainGuest.config.virtualisation) vmVariant;
      in
      [
        (lib.filter (lib.hasInfix "nothing loads it") vmVariant.warnings)
        (map (assertion: assertion.message) (
          lib.filter (assertion: !assertion.assertion) vmVariant.assertions
        ))
      ];
    expected = [
      [ ]
      [ ]
    ];
  };
  "test a host's driver in a guest's configuration is refused, and not warned of" = {
    expr =
      let
        mistaken = machine {
          role = "guest";
          module = {
            nixpkgs.overlays = [ (import ../../overlay.nix) ];
            imports = [
              (
                { config, ... }:
                {
                  hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_17_6;
                }
              )
            ];
          };
        };
      in
      [
        (lib.length mistaken.failed)
        (warningsOf mistaken)
      ];
    expected = [
      1
      0
    ];
  };
}
