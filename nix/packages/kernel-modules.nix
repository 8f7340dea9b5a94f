# The kernel modules of a driver, for one kernel. A new kernel builds these again, and nothing else.
#
# nixpkgs has a file of this name too, since 26.05, which is not used: it takes open modules from tags on GitHub, where
# vGPU's drivers have none, and NVIDIA's sources as they are. nix/tests/nixos/kernels.nix compares the two.
{
  lib,
  stdenv,
  kmod,
  nukeReferences,
  kernel,
  moduleMakeFlags,
  driver,
  # NVIDIA's open modules, or the closed ones: an archive has the sources of both side by side.
  open ? false,
  # { patches, postPatch } for these sources alone.
  hooks ? { },
}:

let
  build = "${kernel.dev}/lib/modules/${kernel.modDirVersion}";
  flavour = if open then "open" else "closed";
  directory = if open then "kernel-open" else "kernel";

  # With this, NVIDIA's sources compile against kernels that are newer than they are.
  compat = builtins.path {
    path = ../../kernel-compat;
    name = "kernel-compat";
  };

  kernels = import ../lib/kernels.nix { inherit lib; };
in
stdenv.mkDerivation {
  pname = "nvidia-vgpu-modules${lib.optionalString open "-open"}";
  version = "${driver.version}-${kernel.version}";

  src = "${driver.modsrc}/${directory}";

  nativeBuildInputs = [
    kmod
    nukeReferences
  ]
  ++ kernel.moduleBuildDependencies;
  hardeningDisable = [
    "format"
    "pic"
  ];

  preUnpack = ''
    if ! [ -d "$src" ]; then
      echo "error: building the ${flavour} kernel modules of ${driver.name}" >&2
      echo "cause: NVIDIA's archive has no folder ${directory}" >&2
      echo "help: set hardware.nvidia.open = ${lib.boolToString (!open)}" >&2
      exit 1
    fi
  '';

  # Our code comes last, so that patches are applied to NVIDIA's own lines.
  patches = hooks.patches or [ ];
  postPatch = ''
    ${hooks.postPatch or ""}
    sh ${compat}/apply.sh .
  '';

  makeFlags =
    moduleMakeFlags
    ++ [
      "IGNORE_PREEMPT_RT_PRESENCE=1"
      "NV_BUILD_SUPPORTS_HMM=1"
      "SYSSRC=${build}/source"
      "SYSOUT=${build}/build"
      "MODLIB=${placeholder "out"}/lib/modules/${kernel.modDirVersion}"
      "DATE="
      "TARGET_ARCH=x86_64"
      # Debug information is stripped below, and takes a quarter of the time. Types for BPF (BTF) are made of it.
      "KCFLAGS=-g0"
      "CONFIG_DEBUG_INFO_BTF_MODULES="
    ]
    ++ lib.optionals (stdenv.cc.isClang or false) [
      "C_INCLUDE_PATH=${lib.getLib stdenv.cc.cc}/lib/clang/${lib.versions.major stdenv.cc.cc.version}/include"
    ];

  buildFlags = [ "modules" ];
  installTargets = [ "modules_install" ];
  installFlags = [ "INSTALL_MOD_STRIP=1" ];
  enableParallelBuilding = true;

  # Twenty minutes of make end with what matters. In a subshell of its own, since `if` would switch off its `set -e`.
  buildPhase = ''
    log=$NIX_BUILD_TOP/make.log
    set +e
    (set -e; buildPhase) 2>&1 | tee "$log"
    status=''${PIPESTATUS[0]}
    set -e
    if [ "$status" != 0 ]; then
      {
        echo
        echo "error: the ${flavour} kernel modules of ${driver.name} do not compile with Linux ${kernel.modDirVersion}"
        echo "cause: $(grep -m 1 -E '(^|: )(fatal )?error: |ERROR: |\*\*\* ' "$log" || tail -n 1 "$log")"
        echo "help: ${kernels.advice driver.version}"
      } >&2
      exit 1
    fi
  '';

  # NVIDIA's programs refuse modules of another version than their own, but only on the machine they are for. A module need
  # not say its version. Kernels may have modules compressed.
  #
  # The compiler leaves paths of the kernel's sources in a module. One alone would keep 100 MB of them installed.
  postInstall = ''
    modules=$(find $out -name '*.ko*')
    if [ -z "$modules" ]; then
      echo "error: the ${flavour} sources of ${driver.name} made no kernel modules" >&2
      exit 1
    fi
    for module in $modules; do
      version=$(modinfo -F version "$module")
      if [ -n "$version" ] && [ "$version" != "${driver.version}" ]; then
        echo "error: checking the version of ''${module##*/} in ${driver.name}" >&2
        echo "cause: it is $version, and the driver is called ${driver.version}" >&2
        echo "help: choose the release that the file is of, which \`vgpu identify FILE\` says; where src or patches are overridden, override version too" >&2
        exit 1
      fi
    done
    find $out -name '*.ko' -exec nuke-refs {} +
  '';
  allowedReferences = [ ];

  meta = {
    description = "Kernel modules of ${driver.meta.description}, ${flavour}";
    inherit (driver.meta)
      homepage
      platforms
      broken
      ;
    license =
      if open then
        with lib.licenses;
        [
          gpl2Plus
          mit
        ]
      else
        driver.meta.license;
    # The closed ones have NVIDIA's object files in them.
    sourceProvenance = [
      lib.sourceTypes.fromSource
    ]
    ++ lib.optional (!open) lib.sourceTypes.binaryNativeCode;
  };
}
