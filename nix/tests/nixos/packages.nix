# Drivers as packages: mkVgpuDriver, mkVgpuPatcher, and what nixpkgs takes from a driver.
# One file, because each file is an evaluation of NixOS of its own, which takes long.
{
  lib,
  host,
  machine,
  guest,
  byPackage,
  packageOf,
  nvidiaPackagesOf,
  screens,
  ...
}:

let
  # Chosen by package, so that nvidiaPackages has ours.
  plainHost = host (byPackage "vgpu_17_3");
  plainGuest = guest (byPackage "grid_17_3");
  srcOf = machine: (packageOf machine).src;
  plainText = builtins.unsafeDiscardStringContext;
  releases = import ../../lib/releases.nix { inherit lib; };

  custom = {
    version = "555.44.33";
    sha256 = "sha256-ydNOnbhbqkO2gVaUQXsIWCZsbjw0NMEYl9iV0T01OX0=";
    guestVersion = "555.44.34";
    guestSha256 = "sha256-hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
    settingVersion = "555.40";
    settingsSha256 = "sha256-sX9dHEp9zH9t3RWp727lLCeJLo8QRAGhVb8iN6eX49g=";
    persistencedVersion = "555.41";
    persistencedSha256 = "sha256-qe8e1Nxla7F0U88AbnOZm6cHxo57pnLCqtjdvOvq9jk=";
    generalVersion = "555.42";
    gridVersion = "17.9";
    zipFilename = "NVIDIA-GRID-Linux-KVM-555.44.33-555.44.34-556.1.zip";
    vgpuPatcher = null;
  };
  customPatcher = {
    version = "555.44";
    rev = "refs/heads/555.44";
    sha256 = "sha256-TyZkZcv7RI40U8czvcE/kIagpUFS/EJhVN0SYPzdNJM=";
    generalVersion = "555.42";
    generalSha256 = "sha256-Uaz1edWpiE9XOh0/Ui5/r6XnhB4iqc7AtLvq4xsLlzM=";
    linuxGuest = "555.44.34";
    linuxSha256 = "sha256-hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
    windowsGuestFilename = "556.1_grid_win10_win11_server2022_dch_64bit_international.exe";
    windowsSha256 = "sha256-UU+jbwlfg9xCie8IjPASb/gWalcEzAwzy+VAmgr0868=";
    gridVersion = "17.9";
    generalUrl = "https://example.org/general.run";
    vgpuUrl = "https://example.org/grid";
  };
  # Kernel modules of either kind, as nixpkgs' module of each release asks for them.
  everyKind = {
    shape = [
      "25.11"
      "26.05"
    ];
    open = [
      false
      true
    ];
  };
  mkOn = machine: changes: (nvidiaPackagesOf machine).mkVgpuDriver (custom // changes);
in
{
  "test mkVgpuDriver makes a host's driver" = {
    expr =
      let
        driver = mkOn plainHost { };
      in
      [
        driver.version
        driver.src.name
        driver.src.outputHash
        driver.settings.version
        driver.persistenced.version
        driver.patcher
      ];
    expected = [
      "555.44.33"
      custom.zipFilename
      custom.sha256
      "555.40"
      "555.41"
      null
    ];
  };
  "test mkVgpuDriver makes a guest's driver" = {
    expr =
      let
        driver = mkOn plainGuest { };
      in
      [
        driver.version
        driver.src.url
        driver.src.outputHash
      ];
    expected = [
      "555.44.34"
      "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.9/NVIDIA-Linux-x86_64-555.44.34-grid.run"
      custom.guestSha256
    ];
  };
  "test mkVgpuDriver without settings and persistenced" = {
    expr =
      let
        driver = (nvidiaPackagesOf plainHost).mkVgpuDriver (
          removeAttrs custom [
            "settingVersion"
            "settingsSha256"
            "persistencedVersion"
            "persistencedSha256"
          ]
          // {
            useSettings = false;
            usePersistenced = false;
          }
        );
      in
      [
        driver.settings
        driver.persistenced
      ];
    expected = [
      null
      null
    ];
  };
  "test a release's tools are built from the closest consumer driver's sources" = {
    expr =
      let
        inherit ((nvidiaPackagesOf plainHost).vgpu_17_6) settings;
      in
      [
        settings.version
        settings.src.outputHash
        settings.src.urls
      ];
    expected = [
      "550.144.03"
      releases."17_6".settings_sha256
      [
        "https://github.com/NVIDIA/nvidia-settings/archive/550.144.03.tar.gz"
        "https://download.nvidia.com/XFree86/nvidia-settings/nvidia-settings-550.144.03.tar.bz2"
      ]
    ];
  };
  "test mkVgpuDriver: the tools' versions default to generalVersion" = {
    expr =
      let
        driver = (nvidiaPackagesOf plainHost).mkVgpuDriver (
          removeAttrs custom [
            "settingVersion"
            "persistencedVersion"
          ]
        );
      in
      [
        driver.settings.version
        driver.persistenced.version
      ];
    expected = [
      "555.42"
      "555.42"
    ];
  };
  "test mkVgpuDriver passes hooks to stdenv.mkDerivation" = {
    expr =
      let
        driver = mkOn plainHost {
          prePatch = "echo prePatch";
          postPatch = "echo postPatch";
          patches = [ ./packages.nix ];
          patchFlags = [ "-p2" ];
          preInstall = "echo preInstall";
          postInstall = "echo postInstall";
          broken = true;
        };
      in
      map (name: driver.drvAttrs.${name} or null) [
        "prePatch"
        "postPatch"
        "patches"
        "patchFlags"
        "preInstall"
        "postInstall"
      ]
      ++ [ driver.meta.broken ];
    expected = [
      "echo prePatch"
      "echo postPatch"
      [ ./packages.nix ]
      [ "-p2" ]
      "echo preInstall"
      "echo postInstall"
      true
    ];
  };
  "test stdenv builds a driver with any hook, the program one with none" = {
    expr =
      let
        builder = hooks: lib.head ((mkOn plainHost hooks).args ++ [ "builder" ]);
      in
      map builder [
        { }
        { patches = [ ]; }
        { patches = [ ./packages.nix ]; }
        { prePatch = "true"; }
        { postPatch = "true"; }
        { preInstall = "true"; }
        { postInstall = "true"; }
      ];
    expected = [
      "builder"
      "builder"
      "-e"
      "-e"
      "-e"
      "-e"
      "-e"
    ];
  };
  "test mkVgpuPatcher gives a function of the driver, whose result can be overridden" = {
    expr =
      let
        configuration =
          change:
          host (
            { config, ... }:
            {
              hardware.nvidia.vgpu.release = null;
              hardware.nvidia.vgpu.patcher.enable = true;
              hardware.nvidia.package = change (
                config.boot.kernelPackages.nvidiaPackages.mkVgpuDriver (
                  custom
                  // {
                    vgpuPatcher = config.boot.kernelPackages.nvidiaPackages.mkVgpuPatcher customPatcher;
                  }
                )
              );
            }
          );
        # As the README prints it.
        overridden = configuration (
          driver:
          driver.overrideAttrs (
            self: super: {
              patcher = self.patcher.override { rev = "0123456789"; };
            }
          )
        );
        plain = configuration (driver: driver);
        inherit (packageOf plain) patcher;
      in
      [
        (lib.isFunction ((nvidiaPackagesOf plainHost).mkVgpuPatcher customPatcher))
        (lib.isDerivation patcher)
        ((packageOf overridden).patcher.drvPath != patcher.drvPath)
        ((packageOf overridden).drvPath != (packageOf plain).drvPath)
        (lib.hasInfix (plainText "${(packageOf overridden).patcher}") (
          plainText (srcOf overridden).buildCommand
        ))
        plain.failed
      ];
    expected = [
      true
      true
      true
      true
      true
      [ ]
    ];
  };
  "test mkVgpuPatcher downloads from NVIDIA, or from where it is told" = {
    expr =
      let
        urls =
          changes: removed:
          let
            patcher = (nvidiaPackagesOf plainHost).mkVgpuPatcher (
              removeAttrs customPatcher removed // changes
            ) { };
          in
          map (driver: driver.url) [
            patcher.generalDriver
            patcher.linuxGuestDriver
            patcher.windowsGuestDriver
          ];
      in
      [
        (urls { } [
          "generalUrl"
          "vgpuUrl"
        ])
        (urls { } [ "gridVersion" ])
        (urls { generalUrl = "https://example.org/general"; } [ ])
      ];
    expected = [
      [
        "https://download.nvidia.com/XFree86/Linux-x86_64/555.42/NVIDIA-Linux-x86_64-555.42.run"
        "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.9/NVIDIA-Linux-x86_64-555.44.34-grid.run"
        "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.9/${customPatcher.windowsGuestFilename}"
      ]
      [
        "https://example.org/general.run"
        "https://example.org/grid/NVIDIA-Linux-x86_64-555.44.34-grid.run"
        "https://example.org/grid/${customPatcher.windowsGuestFilename}"
      ]
      [
        "https://example.org/general/NVIDIA-Linux-x86_64-555.42.run"
        "https://example.org/grid/NVIDIA-Linux-x86_64-555.44.34-grid.run"
        "https://example.org/grid/${customPatcher.windowsGuestFilename}"
      ]
    ];
  };
  "test mkVgpuPatcher fetches the revision it is given" = {
    expr = ((nvidiaPackagesOf plainHost).mkVgpuPatcher customPatcher { }).src.rev;
    expected = "refs/heads/555.44";
  };
  "test mkVgpuPatcher takes any fork, or a source of the user's own" = {
    expr =
      let
        patcher = attrs: (nvidiaPackagesOf plainHost).mkVgpuPatcher attrs { };
        least = {
          generalVersion = "555.42";
          generalSha256 = "sha256-Uaz1edWpiE9XOh0/Ui5/r6XnhB4iqc7AtLvq4xsLlzM=";
        };
        fork = patcher (
          least
          // {
            owner = "somebody";
            repo = "their-patcher";
            rev = "0123";
            inherit (customPatcher) sha256;
          }
        );
      in
      [
        (lib.hasInfix "github.com/somebody/their-patcher" fork.src.url)
        fork.src.rev
        fork.linuxGuestDriver
        fork.windowsGuestDriver
        (patcher (least // { src = ../patcher/source; })).src
      ];
    expected = [
      true
      "0123"
      null
      null
      ../patcher/source
    ];
  };
  "test overrideAttrs works in all its forms" = {
    expr =
      let
        driver = mkOn plainHost { };
      in
      map (change: (driver.overrideAttrs change).version) [
        { version = "1"; }
        (_: { version = "2"; })
        (_: _: { version = "3"; })
        (_: prev: { version = prev.version + ".4"; })
      ]
      ++ [
        ((driver.overrideAttrs { version = "1"; }).overrideAttrs (_: {
          role = "x";
        })).version
      ];
    expected = [
      "1"
      "2"
      "3"
      "555.44.33.4"
      "1"
    ];
  };
  "test the package has all that nixpkgs' nvidia module takes" = {
    expr = lib.filter (name: !(packageOf plainGuest ? ${name})) [
      "out"
      "bin"
      "lib32"
      "firmware"
      "open"
      "settings"
      "persistenced"
      "fabricmanager"
      "version"
      "useProfiles"
      "ibtSupport"
      "compressFirmware"
      "mod"
    ];
    expected = [ ];
  };
  "test what nixpkgs' nvidia module reads has the values of nixpkgs' own driver" = {
    expr = map (name: (packageOf plainGuest).${name}) [
      "fabricmanager"
      "useProfiles"
      "ibtSupport"
      "compressFirmware"
    ];
    expected = [
      null
      true
      true
      false
    ];
  };
  "test the driver's meta" = {
    expr =
      let
        inherit (packageOf plainGuest) meta;
      in
      [
        meta.license.free
        meta.platforms
        meta.priority
        meta.broken
        meta.sourceProvenance
        (packageOf plainGuest).bin.meta.license.free
        (packageOf plainGuest).bin.meta.priority
      ];
    expected = [
      false
      [ "x86_64-linux" ]
      4
      false
      [ lib.sourceTypes.binaryNativeCode ]
      false
      4
    ];
  };
  "test kernel modules say where they come from, and under which licence" = {
    expr =
      map
        (
          kind:
          let
            inherit ((packageOf plainGuest).${kind}) meta;
          in
          {
            binary = lib.elem lib.sourceTypes.binaryNativeCode meta.sourceProvenance;
            source = lib.elem lib.sourceTypes.fromSource meta.sourceProvenance;
            free = lib.all (license: license.free) (lib.toList meta.license);
            inherit (meta) platforms;
          }
        )
        [
          "mod"
          "open"
        ];
    expected = [
      # NVIDIA's object files are in the closed ones.
      {
        binary = true;
        source = true;
        free = false;
        platforms = [ "x86_64-linux" ];
      }
      {
        binary = false;
        source = true;
        free = true;
        platforms = [ "x86_64-linux" ];
      }
    ];
  };
  "test scripts of a driver get a shell and the programs they call" = {
    expr = [
      (packageOf plainGuest).shell
      (lib.length (packageOf plainGuest).tools)
      (packageOf plainGuest).interpreter
    ];
    expected = [
      plainGuest.pkgs.runtimeShell
      5
      plainGuest.pkgs.stdenv.cc.bintools.dynamicLinker
    ];
  };
  "test the kind of kernel modules that is loaded is built, and no other" = {
    expr = lib.mapCartesianProduct (
      { shape, open }:
      let
        shaped = machine {
          inherit shape;
          role = "guest";
          module = {
            imports = [ screens ];
            hardware.nvidia = {
              inherit open;
              vgpu.release = "17.3";
            };
          };
        };
        package = packageOf shaped;
        inherit (shaped.config) boot environment;
        has = modules: lib.elem modules.drvPath (map (package: package.drvPath) boot.extraModulePackages);
      in
      {
        inherit shape open;
        closedModules = has package.mod;
        openModules = has package.open;
        # Programs are an output of the driver, which has no kernel in it.
        programs =
          package.bin.drvPath == package.drvPath && lib.elem package.bin environment.systemPackages;
      }
    ) everyKind;
    expected = lib.mapCartesianProduct (
      { shape, open }:
      {
        inherit shape open;
        closedModules = !open;
        openModules = open;
        programs = true;
      }
    ) everyKind;
  };
  "test the EGL platforms come with the driver up to 25.11, and with nixpkgs' module since" = {
    expr =
      map
        (
          shape:
          (packageOf (machine {
            inherit shape;
            role = "guest";
            module = {
              imports = [ screens ];
              hardware.nvidia.vgpu.release = "17.3";
            };
          })).eglPlatforms
        )
        [
          "25.11"
          "26.05"
        ];
    expected = [
      true
      false
    ];
  };
  "test kernel modules are for the kernel that NixOS makes of the one picked" = {
    expr =
      let
        patched = host {
          imports = [ (byPackage "vgpu_17_3") ];
          boot.kernelPatches = [
            {
              name = "mine";
              patch = null;
            }
          ];
        };
        inherit (patched.config.boot.kernelPackages) kernel;
        build = "${kernel.dev}/lib/modules/${kernel.modDirVersion}";
      in
      [
        (kernel.drvPath == plainHost.config.boot.kernelPackages.kernel.drvPath)
        (lib.elem "SYSSRC=${build}/source" (packageOf patched).mod.makeFlags)
        patched.failed
      ];
    expected = [
      false
      true
      [ ]
    ];
  };
  "test drivers have .override, over the attributes of mkVgpuDriver" = {
    expr =
      let
        driver = (packageOf plainHost).override {
          useSettings = false;
          postInstall = "true";
        };
      in
      [
        driver.settings
        driver.postInstall
        (driver.overrideAttrs { version = "1"; }).version
        ((driver.overrideAttrs { version = "1"; }).override { usePersistenced = false; }).version
      ];
    expected = [
      null
      "true"
      "1"
      "1"
    ];
  };
  "test only drivers with graphics have X and Mesa on their run path" = {
    expr =
      map
        (
          driver:
          lib.any (name: lib.any (lib.hasInfix name) driver.libPath) [
            "x11"
            "mesa"
            "wayland"
          ]
        )
        [
          (packageOf plainHost)
          (packageOf plainGuest)
        ];
    expected = [
      false
      true
    ];
  };
  "test settings and persistenced are made for our driver, not its kernel" = {
    expr =
      let
        driver =
          machine:
          packageOf (machine {
            hardware.nvidia.package = lib.mkForce (mkOn plainHost { });
          });
        # The same driver with another kernel.
        latest =
          (nvidiaPackagesOf (
            host (
              { pkgs, ... }:
              {
                imports = [ (byPackage "vgpu_17_3") ];
                boot.kernelPackages = pkgs.linuxPackages_latest;
              }
            )
          )).mkVgpuDriver
            custom;
      in
      [
        ((driver host).settings.drvPath == latest.settings.drvPath)
        ((driver host).persistenced.drvPath == latest.persistenced.drvPath)
        (lib.elem "${(driver host).out}" (map toString (driver host).settings.buildInputs))
      ];
    expected = [
      true
      true
      true
    ];
  };
}
