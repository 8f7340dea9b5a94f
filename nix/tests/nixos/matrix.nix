# Whole systems: every kind of machine, in both shapes of NixOS, evaluated to the derivation that would be built.
{
  lib,
  machine,
  withRelease,
  screens,
  nixpkgs,
  ...
}:

let
  everyOption = {
    hardware.nvidia = {
      nvidiaPersistenced = true;
      nvidiaSettings = true;
      powerManagement.enable = true;
      powerManagement.finegrained = true;
      dynamicBoost.enable = true;
      modesetting.enable = true;
      gsp.enable = true;
      forceFullCompositionPipeline = true;
      videoAcceleration = true;
    };
  };

  kinds = {
    # The only one with all that NixOS has of its own.
    host = {
      role = "host";
      whole = true;
    };
    "headless host with every option of hardware.nvidia" = {
      role = "host";
      module = everyOption;
    };
    "merged host with a desktop" = {
      role = "host";
      module = {
        imports = [ screens ];
        services.xserver.enable = true;
        hardware.nvidia.vgpu.patcher.enable = true;
      };
    };
    "host with containers" = {
      role = "host";
      module = {
        virtualisation.docker.enable = true;
        hardware.graphics.enable = true;
        hardware.nvidia-container-toolkit.enable = true;
      };
    };
    "host with a container of NixOS'" = {
      role = "host";
      module.containers.inner = {
        config.system.stateVersion = "25.11";
        # By default pkgs.path, which another shape replaces.
        inherit nixpkgs;
      };
    };
    guest = {
      role = "guest";
      module = screens;
    };
    "guest of 18.x with a server's own certificate" = {
      role = "guest";
      module = {
        imports = [ screens ];
        hardware.nvidia.vgpu.release = "18.1";
        hardware.nvidia.vgpu.griddUnlock = {
          enable = true;
          rootCaFile = ../../../crates/vgpu/tests/certificates/good.pem;
        };
      };
    };
    "host that chooses no driver" = {
      role = "host";
      module.hardware.nvidia.vgpu.release = lib.mkForce null;
    };
  };

  derivation = builtins.match ".*-nixos-system-.*\\.drv";
  whole =
    shape: kind:
    let
      evaluated = machine (
        kind
        // {
          inherit shape;
          module.imports = [
            withRelease
            (kind.module or { })
          ];
        }
      );
    in
    {
      inherit (evaluated) failed;
      warnings = lib.filter (lib.hasInfix "nvidia") evaluated.warnings;
      system = derivation evaluated.toplevel != null;
    };
in
lib.listToAttrs (
  lib.concatMap
    (
      shape:
      lib.mapAttrsToList (name: kind: {
        name = "test ${name}, on ${shape}";
        value = {
          expr = whole shape kind;
          expected = {
            failed = [ ];
            warnings = [ ];
            system = true;
          };
        };
      }) kinds
    )
    [
      "25.11"
      "26.05"
    ]
)
