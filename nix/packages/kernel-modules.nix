# The kernel modules of a driver, for one kernel. A new kernel builds these again, and nothing else.
{
  lib,
  stdenv,
  nukeReferences,
  kernel,
  moduleMakeFlags,
  driver,
}:

let
  build = "${kernel.dev}/lib/modules/${kernel.modDirVersion}";
in
stdenv.mkDerivation {
  pname = "nvidia-vgpu-modules";
  version = "${driver.version}-${kernel.version}";

  # kernel-open lies beside it.
  src = "${driver.modsrc}/kernel";

  nativeBuildInputs = [ nukeReferences ] ++ kernel.moduleBuildDependencies;
  hardeningDisable = [
    "format"
    "pic"
  ];

  makeFlags =
    moduleMakeFlags
    ++ [
      "IGNORE_PREEMPT_RT_PRESENCE=1"
      "NV_BUILD_SUPPORTS_HMM=1"
      "SYSSRC=${build}/source"
      "SYSOUT=${build}/build"
      "MODLIB=${placeholder "out"}/lib/modules/${kernel.modDirVersion}"
      "DATE="
    ]
    ++ lib.optionals (stdenv.cc.isClang or false) [
      "C_INCLUDE_PATH=${lib.getLib stdenv.cc.cc}/lib/clang/${lib.versions.major stdenv.cc.cc.version}/include"
    ];

  buildFlags = [ "modules" ];
  installTargets = [ "modules_install" ];
  installFlags = [ "INSTALL_MOD_STRIP=1" ];
  enableParallelBuilding = true;

  # The compiler leaves paths of the kernel's sources in a module. One alone would keep 100 MB of them installed.
  postInstall = ''
    find $out -name '*.ko' -exec nuke-refs {} +
  '';
  disallowedReferences = [ kernel.dev ];

  meta = {
    description = "Kernel modules of ${driver.meta.description}";
    inherit (driver.meta)
      homepage
      license
      platforms
      broken
      ;
  };
}
