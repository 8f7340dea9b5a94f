# mkVgpuPatcher attrs → driver: patcher
#
# A version of vGPU-Unlock-patcher, described as in docs/custom-drivers.md. What comes back is a function: a driver calls
# it with facts about itself, { source, … }, and gets the patcher, a derivation with `.override` over these attributes.
{
  lib,
  callPackage,
  checkAttrs,
}:

attrs:
let
  checked = checkAttrs {
    function = "mkVgpuPatcher";
    required = [
      "rev"
      "sha256"
      "generalVersion"
      "generalSha256"
      "linuxGuest"
      "linuxSha256"
      "windowsGuestFilename"
      "windowsSha256"
    ]
    # Only part of the address that vgpuUrl would be.
    ++ lib.optional (!(lib.isAttrs attrs && attrs ? vgpuUrl)) "gridVersion";
    optional = [
      "version"
      "gridVersion"
      "generalUrl"
      "vgpuUrl"
    ];
  } attrs;
in
# Wrong attributes are told at once, not when a driver is built with them.
builtins.seq checked (
  driver: callPackage ../packages/vgpu-unlock-patcher.nix (checked // { inherit driver; })
)
