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
  given = name: lib.isAttrs attrs && attrs.${name} or null != null;
  checked = checkAttrs {
    function = "mkVgpuPatcher";
    required =
      # Source of your own, or a revision of a repository.
      lib.optionals (!given "src") [
        "rev"
        "sha256"
      ]
      ++ [
        "generalVersion"
        "generalSha256"
      ]
      # Without its hash a guest driver is not downloaded.
      ++ lib.optional (given "linuxSha256") "linuxGuest"
      ++ lib.optional (given "windowsSha256") "windowsGuestFilename"
      # Only part of the address that vgpuUrl would be.
      ++ lib.optional ((given "linuxSha256" || given "windowsSha256") && !given "vgpuUrl") "gridVersion";
    optional = [
      "src"
      "owner"
      "repo"
      "rev"
      "sha256"
      "version"
      "linuxGuest"
      "linuxSha256"
      "windowsGuestFilename"
      "windowsSha256"
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
