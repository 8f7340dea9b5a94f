# Whole systems: every kind of machine, in both shapes of NixOS, evaluated to the derivation that would be built.
{
  lib,
  machine,
  withRelease,
  screens,
  nixpkgs,
  pkgsOf,
  shapes,
  whole,
  fine,
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

  kindsOn = shape: {
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
    "host with a read-only package set" = {
      role = "host";
      packageSet = readOnly shape;
    };
    "host that chooses no driver, with a read-only package set" = {
      role = "host";
      packageSet = readOnly shape;
      module.hardware.nvidia.vgpu.release = lib.mkForce null;
    };
    "host that is extended to one with vGPUs" = {
      role = "host";
      extended.hardware.nvidia.vgpu.instances.desk = {
        gpu = "0000:01:00.0";
        profile = "GRID P40-1Q";
      };
    };
    ${if shape == "26.05" then "host with a driver chosen by hardware.nvidia.branch" else null} = {
      role = "host";
      module.hardware.nvidia.vgpu.release = lib.mkForce null;
      module.hardware.nvidia.branch = "vgpu_17_6";
    };
  };
  # As runNixOSTest has it.
  readOnly = shape: {
    imports = [ (nixpkgs + "/nixos/modules/misc/nixpkgs/read-only.nix") ];
    nixpkgs.pkgs = pkgsOf.${shape};
  };

  evaluated =
    shape: kind:
    let
      plain = machine (
        removeAttrs kind [ "extended" ]
        // {
          inherit shape;
          module.imports = [
            withRelease
            (kind.module or { })
          ];
        }
      );
    in
    if kind ? extended then plain.extend kind.extended else plain;
in
lib.listToAttrs (
  lib.concatMap (
    shape:
    lib.mapAttrsToList (name: kind: {
      name = "test ${name}, on ${shape}";
      value = {
        expr = whole (evaluated shape kind);
        expected = fine;
      };
    }) (kindsOn shape)
  ) shapes
)
