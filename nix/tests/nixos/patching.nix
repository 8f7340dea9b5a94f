# vGPU-Unlock-patcher: what it is run with, and on which driver.
{
  lib,
  host,
  guest,
  screens,
  packageOf,
  ...
}:

let
  plainHost = host { };
  srcOf = machine: (packageOf machine).src;

  # What patch.sh is given.
  patchFlags =
    options:
    lib.last (
      lib.splitString "-- "
        (srcOf (host {
          hardware.nvidia.vgpu.patcher = {
            enable = true;
            options = {
              doNotForceGPLLicense = true;
            }
            // options;
          };
        })).buildCommand
    );
in
{
  "test patcher.options.doNotForceGPLLicense is off unless it is set" = {
    expr = plainHost.config.hardware.nvidia.vgpu.patcher.options.doNotForceGPLLicense;
    expected = false;
  };
  "test patcher.enable patches: a host's driver for vgpu-kvm" = {
    expr = patchFlags { };
    expected = "vgpu-kvm\n";
  };
  "test patcher.enable patches: merged when the host's screens are NVIDIA's" = {
    expr =
      let
        merged = host {
          imports = [ screens ];
          hardware.nvidia.vgpu.patcher.enable = true;
        };
      in
      [
        (lib.hasSuffix " general-merge\n" (srcOf merged).buildCommand)
        (packageOf merged).pname
        (packageOf merged).version
        merged.failed
      ];
    expected = [
      true
      "nvidia-vgpu-host-merged"
      "550.90.07"
      [ ]
    ];
  };
  "test patcher.enable patches: a guest's driver for grid" = {
    expr =
      lib.hasSuffix " grid\n"
        (srcOf (guest {
          hardware.nvidia.vgpu.patcher.enable = true;
        })).buildCommand;
    expected = true;
  };
  "test patcher.options.doNotForceGPLLicense" = {
    expr = patchFlags { doNotForceGPLLicense = false; };
    expected = "--enable-nvidia-gpl-for-experimenting --force-nvidia-gpl-I-know-it-is-wrong vgpu-kvm\n";
  };
  "test patcher.options.remapP40ProfilesToV100D" = {
    expr = patchFlags { remapP40ProfilesToV100D = true; };
    expected = "--remap-p2v vgpu-kvm\n";
  };
  "test patcher.options.extra" = {
    expr = patchFlags {
      extra = [
        "--test-dmabuf-export"
        "--spoof-devid"
      ];
    };
    expected = "--test-dmabuf-export --spoof-devid vgpu-kvm\n";
  };
  "test patcher.enablePatcherCmd puts nvidia-vup on the system path" = {
    expr = map lib.getName (
      lib.filter (package: lib.hasInfix "vup" (lib.getName package))
        (host {
          hardware.nvidia.vgpu.patcher.enablePatcherCmd = true;
        }).config.environment.systemPackages
    );
    expected = [ "nvidia-vup" ];
  };
}
