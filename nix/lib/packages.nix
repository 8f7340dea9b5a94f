# What we add to `nvidiaPackages` of a kernel package set:
#
#   vgpu_17_6 … on hosts, grid_17_6 … on guests      every release of the catalog
#   mkVgpuDriver, mkVgpuPatcher                      for releases that are not in it
#
# `settings` come from the user's options. The modules pass them on:
#
#   role            "host" or "guest"
#   merged          whether a host's driver must serve its own screens
#   driverSource    the options of that name
#   patching        { enable, target, extraFlags }
{
  lib,
  pkgs,
  settings,
}:

let
  # Shared by all kernels: evaluating the program's dependencies takes longer than all the rest.
  tools = import ./tools.nix { inherit lib pkgs; };
in
kernelPackages:

let
  checkAttrs = import ./check-attrs.nix { inherit lib; };
  releases = import ./releases.nix { inherit lib; };
  driverSource = pkgs.callPackage ./driver-source.nix { };
  mkVgpuPatcher = pkgs.callPackage ./mk-vgpu-patcher.nix { inherit checkAttrs; };

  makeDriver = pkgs.callPackage ../packages/driver.nix {
    inherit tools kernelPackages;
    patchDriver = pkgs.callPackage ../packages/patched-driver.nix { inherit (tools) vgpu-patcher; };
  };

  hookNames = [
    "prePatch"
    "postPatch"
    "patchFlags"
    "patches"
    "preInstall"
    "postInstall"
  ];

  # One of nixpkgs' tools as the attributes of mkVgpuDriver describe it: { version, sha256 }, or null.
  tool =
    {
      name,
      switch,
      use,
      version,
      sha256,
    }:
    if !use then
      null
    else if sha256 == null then
      throw ''
        mkVgpuDriver: `${name}Sha256` missing
        It is the hash of nvidia-${name} ${version}. Give it, or set `${switch} = false`.''
    else
      { inherit version sha256; };

  build =
    release:
    makeDriver {
      inherit (settings) role merged patching;
      inherit (release) gridVersion;
      version = if settings.role == "host" then release.version else release.guestVersion;
      source = driverSource {
        inherit (settings) role driverSource;
        inherit release;
      };
      inherit (release) vgpuPatcher;
      settings = tool {
        name = "settings";
        switch = "useSettings";
        use = release.useSettings or true;
        version = release.settingVersion or release.settingsVersion or release.generalVersion;
        sha256 = release.settingsSha256 or null;
      };
      persistenced = tool {
        name = "persistenced";
        switch = "usePersistenced";
        use = release.usePersistenced or true;
        version = release.persistencedVersion or release.generalVersion;
        sha256 = release.persistencedSha256 or null;
      };
      hooks = lib.filterAttrs (_: value: value != null && value != [ ]) (
        lib.getAttrs (lib.filter (name: release ? ${name}) hookNames) release
      );
      moduleHooks = {
        patches = release.modulePatches or [ ];
        postPatch = release.modulePostPatch or "";
      };
      broken = release.broken or false;
    };

  checkDriver =
    attrs:
    checkAttrs {
      function = "mkVgpuDriver";
      required = [
        "version"
        "sha256"
        "guestVersion"
        "guestSha256"
        "generalVersion"
        "gridVersion"
        "zipFilename"
        "vgpuPatcher"
      ];
      optional = [
        "useSettings"
        "settingVersion"
        "settingsVersion"
        "settingsSha256"
        "usePersistenced"
        "persistencedVersion"
        "persistencedSha256"
        "broken"
        "modulePatches"
        "modulePostPatch"
      ]
      ++ hookNames;
    } attrs;

  # Drivers have `.override`, over these attributes.
  mkVgpuDriver = lib.makeOverridable (attrs: build (checkDriver attrs));
  ofCatalog = lib.makeOverridable (
    attrs: build (checkDriver (removeAttrs attrs [ "oneRecord" ]) // { inherit (attrs) oneRecord; })
  );

  # A release of the catalog in mkVgpuDriver's words.
  fromCatalog = release: {
    gridVersion = release.release;
    version = release.host;
    sha256 = release.zip_sha256 or null;
    oneRecord = lib.elem "zip_sha256" (release.unconfirmed or [ ]);
    guestVersion = release.guest;
    guestSha256 = release.guest_sha256 or null;
    generalVersion = release.general or release.guest;
    zipFilename =
      release.zip or "NVIDIA-GRID-Linux-KVM-${
        lib.concatStringsSep "-" (
          lib.unique [
            release.host
            release.guest
            release.windows
          ]
        )
      }.zip";
    useSettings = release ? settings_sha256;
    settingsSha256 = release.settings_sha256 or null;
    usePersistenced = release ? persistenced_sha256;
    persistencedSha256 = release.persistenced_sha256 or null;
    vgpuPatcher = lib.mapNullable (
      patcher:
      mkVgpuPatcher {
        inherit (patcher) version rev sha256;
        generalVersion = patcher.general;
        generalSha256 = patcher.general_sha256;
        linuxGuest = patcher.linux_guest;
        linuxSha256 = patcher.linux_sha256 or null;
        windowsGuestFilename = patcher.windows_guest_filename;
        windowsSha256 = patcher.windows_sha256 or null;
        gridVersion = release.release;
      }
    ) (release.patcher or null);
  };

  prefix = if settings.role == "host" then "vgpu_" else "grid_";
in
lib.mapAttrs' (name: release: {
  name = prefix + name;
  value = ofCatalog (fromCatalog release);
}) releases
// {
  inherit mkVgpuDriver mkVgpuPatcher;
}
