# A driver for hosts or guests: NVIDIA's files, placed and patched by `vgpu-builder`. Kernel modules and a changed
# vgpuConfig.xml are derivations of their own. So another kernel or profile does not build this one again.
#
#   { role, merged, version, source, vgpuPatcher, … } → what hardware.nvidia.package takes
{
  lib,
  stdenv,
  pkgs,
  pkgsi686Linux,
  runtimeShell,
  coreutils,
  gawk,
  gnugrep,
  gnused,
  pciutils,
  tools,
  kernelPackages,
  patchDriver,
}:

{
  # "host" or "guest".
  role,
  # Whether it is a host's driver that also serves the host's own screens.
  merged,
  # Version of the driver, and the vGPU release it belongs to.
  version,
  gridVersion,
  # NVIDIA's .zip or .run.
  source,
  # From mkVgpuPatcher: a function that a driver calls. null: there is none.
  vgpuPatcher,
  # Whether and how to use it: { enable, target, extraFlags }.
  patching,
  # { version, sha256 } of nvidia-settings and nvidia-persistenced; null for none.
  settings,
  persistenced,
  # For stdenv.mkDerivation: of the driver, and of its kernel modules alone.
  hooks,
  moduleHooks,
  broken,
}:

let
  inherit (tools) compat vgpu-builder;

  driver = stdenv.mkDerivation (
    finalAttrs:
    let
      inherit (finalAttrs.passthru) patcher;
      self = finalAttrs.finalPackage;

      # Of both kinds, the one that is used is built.
      modules =
        open:
        pkgs.callPackage ./kernel-modules.nix {
          inherit (kernelPackages) kernel;
          inherit (kernelPackages.kernel) stdenv;
          inherit open;
          driver = self;
          moduleMakeFlags = compat.moduleMakeFlags kernelPackages;
          hooks = moduleHooks;
        };

      # Whether NVIDIA's files are changed before they are installed: by hooks of mkVgpuDriver, or by overrideAttrs.
      hooked =
        lib.any
          (
            name:
            !lib.elem (finalAttrs.${name} or null) [
              null
              ""
              [ ]
            ]
          )
          [
            "patches"
            "postInstall"
            "postPatch"
            "preInstall"
            "prePatch"
          ];

      # nixpkgs' own tools get this. Nothing in it depends on the kernel.
      forTools = self // {
        makeFlags = [ ];
      };
    in
    {
      pname = "nvidia-vgpu-${role}${lib.optionalString merged "-merged"}";
      # A merged driver is the consumer driver with the vGPU manager added, and goes by its version.
      version = if patching.enable && merged && patcher != null then patcher.generalVersion else version;

      src =
        if patching.enable && patcher == null then
          throw "hardware.nvidia.vgpu.patcher.enable: there is no patcher for vGPU ${gridVersion}"
        else if patching.enable then
          patchDriver {
            inherit role source patcher;
            inherit (patching) target extraFlags;
            expectedVersion = version;
          }
        else
          source;

      outputs = [
        "out"
        "bin"
      ]
      ++ lib.optional withLib32 "lib32"
      ++ [
        "firmware"
        "modsrc"
      ];

      # Nothing stands between the archive and the outputs: the builder is the program. With hooks it is stdenv,
      # and the program does the first and the last step.
      realBuilder = if hooked then stdenv.shell else "${vgpu-builder}/bin/vgpu-builder";
      args =
        if hooked then
          [
            "-e"
            ./driver-phases.sh
          ]
        else
          [ ];
      nativeBuildInputs = [ vgpu-builder ];
      unpackPhase = ''
        runHook preUnpack
        if [ -d "$src" ]; then
          cp -r "$src" driver
          chmod -R u+w driver
        else
          vgpu-builder --unpack driver
        fi
        sourceRoot=driver
        runHook postUnpack
      '';
      dontConfigure = true;
      dontBuild = true;
      installPhase = ''
        runHook preInstall
        vgpu-builder --source "$PWD"
        runHook postInstall
      '';
      dontFixup = true;

      # What `vgpu-builder` reads.
      __structuredAttrs = true;
      inherit role;
      libPath = libraryDirs pkgs;
      libPath32 = lib.optionals withLib32 (libraryDirs pkgsi686Linux);
      interpreter = stdenv.cc.bintools.dynamicLinker;
      shell = runtimeShell;
      tools = map (package: "${lib.getBin package}/bin") [
        coreutils
        gawk
        gnugrep
        gnused
        pciutils
      ];
      eglPlatforms = !compat.modulesApart;

      passthru = {
        # Which of a release's two drivers this is; how our modules know their own packages.
        vgpu = {
          inherit
            role
            merged
            gridVersion
            source
            tools
            kernelPackages
            patching
            ;
          programs = self.bin;
          program = tools.vgpu;
        };
        patcher = lib.mapNullable (make: make { inherit role version source; }) vgpuPatcher;
        inherit settingsVersion persistencedVersion;

        mod = modules false;
        open = modules true;
        fabricmanager = null;
        settings = lib.mapNullable (
          { sha256, ... }:
          compat.settings {
            inherit sha256;
            driver = forTools;
          }
        ) settings;
        persistenced = lib.mapNullable (
          { sha256, ... }:
          compat.persistenced {
            inherit sha256;
            driver = forTools;
          }
        ) persistenced;
        useProfiles = withLib32;
        ibtSupport = lib.versionAtLeast version "530";
        compressFirmware = false;
      }
      // lib.optionalAttrs (!withLib32) { lib32 = null; };

      meta = {
        homepage = "https://docs.nvidia.com/vgpu/";
        description = "NVIDIA vGPU ${gridVersion} ${role} driver";
        license = lib.licenses.unfree;
        sourceProvenance = [ lib.sourceTypes.binaryNativeCode ];
        platforms = [ "x86_64-linux" ];
        priority = 4; # over the files that xorg-server has too
        inherit broken;
      };
    }
    // hooks
  );

  settingsVersion = settings.version or version;
  persistencedVersion = persistenced.version or version;

  # Hosts without screens need no graphics libraries, and NVIDIA packs none for them.
  withLib32 = role == "guest" || merged;

  libraryDirs =
    pkgs:
    map (package: "${lib.getLib package}/lib") (
      compat.driverLibraries pkgs ++ lib.optionals withLib32 (compat.graphicsLibraries pkgs)
    );

  # The way to change the patcher is (docs/custom-drivers.md)
  #
  #   overrideAttrs (self: super: { patcher = self.patcher.override { … }; })
  #
  # where `self.patcher` must be the patcher so far: taken from the result, it would define itself.
  # It is no attribute of the derivation but of passthru, since a function can't be passed to a builder.
  withPatcherOverride =
    drv:
    drv
    // {
      overrideAttrs =
        change:
        withPatcherOverride (
          drv.overrideAttrs (
            final: prev:
            let
              withPatcher = attrs: attrs // { inherit (prev.passthru) patcher; };
              once = if lib.isFunction change then change (withPatcher prev) else change;
              changed = if lib.isFunction once then change (withPatcher final) (withPatcher prev) else once;
            in
            removeAttrs changed [ "patcher" ]
            // lib.optionalAttrs (changed ? patcher) {
              passthru = changed.passthru or prev.passthru // {
                inherit (changed) patcher;
              };
            }
          )
        );
    };
in
withPatcherOverride driver
