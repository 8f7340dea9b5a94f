# instances.json, checked against the profiles of the driver. If a name is wrong, or if the vGPUs do not fit on a board,
# the build fails, and not the next start of the machine.
{
  stdenvNoCC,
  writeText,
}:

# vgpu: the program; declaration: in the shape of the file; vgpuConfig: path of the driver's profiles.
{
  vgpu,
  declaration,
  vgpuConfig,
}:

stdenvNoCC.mkDerivation {
  name = "vgpu-instances.json";
  realBuilder = "${vgpu}/bin/vgpu";
  args = [
    "instances"
    "check"
    "--declaration"
    (writeText "vgpu-instances-declared.json" (builtins.toJSON declaration))
    "--config"
    vgpuConfig
    "--out"
    (placeholder "out")
  ];
  preferLocalBuild = true;
  allowSubstitutes = false;
  meta.description = "The vGPUs that are declared";
}
