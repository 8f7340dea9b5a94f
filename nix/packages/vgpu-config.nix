# vgpuConfig.xml with some GPUs and profiles changed. It is a derivation of its own: it takes milliseconds to build, and
# the driver takes a minute. `changes` has the shapes of the options: { clones, overrides }.
{
  lib,
  stdenvNoCC,
  writeText,
  vgpu-profiles,
}:

{ driver, changes }:

stdenvNoCC.mkDerivation {
  name = "vgpuConfig.xml";
  realBuilder = "${vgpu-profiles}/bin/vgpu-profiles";
  args = [
    "--changes"
    (writeText "vgpu-profile-changes.json" (builtins.toJSON changes))
    "--config"
    "${driver.out}/vgpuConfig.xml"
    "--out"
    (placeholder "out")
  ];
  preferLocalBuild = true;
  allowSubstitutes = false;
  meta.description = "vGPU profiles of ${driver.name}";
}
