# What the README promises, by name: a list of { name, got, want }. tests/nix_modules.rs compares them.
#
# release: the nixpkgs to resemble
{
  lib ? import <nixpkgs/lib>,
  release ? "25.11",
}:

let
  evaluate = import ./eval.nix { inherit lib release; };

  # A host or guest, from a configuration; a driver is chosen unless it chooses one.
  machine =
    guest: module:
    evaluate {
      inherit guest;
      modules = [
        (
          { config, ... }:
          {
            hardware.nvidia.package = lib.mkOverride 1400 (
              let
                inherit (config.boot.kernelPackages) nvidiaPackages;
              in
              if guest then nvidiaPackages.grid_17_3 else nvidiaPackages.vgpu_17_3
            );
          }
        )
        module
      ];
    };
  host = machine false;
  guest = machine true;
  nvidiaScreens.services.xserver.videoDrivers = [ "nvidia" ];
  guestWith =
    module:
    guest {
      imports = [
        module
        nvidiaScreens
      ];
    };

  packageOf = machine: machine.config.hardware.nvidia.package;
  nvidiaPackagesOf = machine: machine.config.boot.kernelPackages.nvidiaPackages;
  srcOf = machine: (packageOf machine).src;

  plainText = builtins.unsafeDiscardStringContext;

  # Whether a configuration is refused for its types.
  refused =
    module:
    !(builtins.tryEval (builtins.deepSeq (host module).config.hardware.nvidia.vgpu.patcher true))
    .success;
  refusedSource =
    driverSource:
    !(builtins.tryEval (
      builtins.deepSeq
        (host { hardware.nvidia.vgpu.driverSource = driverSource; })
        .config.hardware.nvidia.vgpu.driverSource
        true
    )).success;

  # A machine's services, PROGRAMS standing for the driver's.
  servicesOf =
    machine:
    lib.mapAttrs (
      _: service:
      service
      // {
        # Without what is the same for all of them; nix/tests/nixos has that.
        serviceConfig =
          lib.mapAttrs (_: lib.replaceStrings [ "${(packageOf machine).vgpu.programs}" ] [ "PROGRAMS" ])
            (
              removeAttrs service.serviceConfig ([ "PrivateTmp" ] ++ lib.attrNames (import ../lib/hardening.nix))
            );
      }
    ) machine.config.systemd.services;

  plainHost = host { };
  plainGuest = guestWith { };

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

  releases = import ../lib/releases.nix { inherit lib; };
  # The list of supported releases in the README.
  supported = [
    "16_2"
    "16_5"
    "16_8"
    "16_9"
    "16_10"
    "17_3"
    "17_4"
    "17_5"
    "17_6"
    "18_0"
    "18_1"
  ];

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
  mkOn = machine: changes: (nvidiaPackagesOf machine).mkVgpuDriver (custom // changes);

  table = {
    "default.nix is the host's module unless asked for the guest's" = {
      got = [
        (import ../.. { })
        (import ../.. { guest = false; })
        (import ../.. { guest = true; })
      ];
      want = [
        ../modules/host.nix
        ../modules/host.nix
        ../modules/guest.nix
      ];
    };

    "vgpu_XX_X of every supported release on hosts" = {
      got = map (name: (nvidiaPackagesOf plainHost)."vgpu_${name}".version) supported;
      want = map (name: releases.${name}.host) supported;
    };
    "grid_XX_X of every supported release on guests" = {
      got = map (name: (nvidiaPackagesOf plainGuest)."grid_${name}".version) supported;
      want = map (name: releases.${name}.guest) supported;
    };
    "no grid_ on hosts, no vgpu_ on guests" = {
      got =
        lib.filter (lib.hasPrefix "grid_") (lib.attrNames (nvidiaPackagesOf plainHost))
        ++ lib.filter (lib.hasPrefix "vgpu_") (lib.attrNames (nvidiaPackagesOf plainGuest));
      want = [ ];
    };
    "every release of the catalog has a package, and nixpkgs' own stay" = {
      got = lib.attrNames (
        removeAttrs (nvidiaPackagesOf plainHost) [
          "__unfix__"
          "extend"
          "recurseForDerivations"
        ]
      );
      want = lib.sort lib.lessThan (
        map (name: "vgpu_${name}") (lib.attrNames releases)
        ++ [
          "mkVgpuDriver"
          "mkVgpuPatcher"
          "stable"
        ]
      );
    };
    "users can extend nvidiaPackages further" = {
      got =
        let
          extended = (nvidiaPackagesOf plainHost).extend (_: prev: { mine = prev.vgpu_17_3; });
        in
        [
          extended.mine.version
          (extended ? vgpu_17_6)
          (nvidiaPackagesOf plainHost).recurseForDerivations
        ];
      want = [
        "550.90.05"
        true
        false
      ];
    };
    "overlays.default has both drivers as they are without options, and mkVgpuDriver for hosts" = {
      got =
        let
          pkgs = (import ./host-tools.nix { inherit lib release; }).extend (import ../overlay.nix);
          inherit (pkgs.linuxPackages) nvidiaPackages;
        in
        [
          nvidiaPackages.vgpu_17_3.drvPath
          nvidiaPackages.grid_17_3.drvPath
          (nvidiaPackages.mkVgpuDriver custom).vgpu.role
        ];
      want = [
        (packageOf plainHost).drvPath
        (packageOf plainGuest).drvPath
        "host"
      ];
    };
    "the packages come with whichever kernel is picked" = {
      got =
        (nvidiaPackagesOf (host ({ pkgs, ... }: { boot.kernelPackages = pkgs.linuxPackages_latest; })))
        .vgpu_17_3.mod.name;
      want = "nvidia-vgpu-modules-550.90.05-6.18.1-built-again";
    };
    "hardware.nvidia.vgpu.release chooses a driver" = {
      got = [
        (packageOf (host {
          hardware.nvidia.vgpu.release = "18.1";
        })).version
        (packageOf (guestWith {
          hardware.nvidia.vgpu.release = "18.1";
        })).version
      ];
      want = [
        "570.133.10"
        "570.133.20"
      ];
    };
    "hardware.nvidia.vgpu.release works with kernels from another package set" = {
      got =
        (packageOf (host {
          hardware.nvidia.vgpu.release = "18.1";
          boot.kernelPackages = (import ./host-tools.nix { inherit lib release; }).linuxPackages_latest;
        })).mod.name;
      want = "nvidia-vgpu-modules-570.133.10-6.18.1-built-again";
    };
    "hardware.nvidia.package wins over hardware.nvidia.vgpu.release" = {
      got =
        (packageOf (
          host (
            { config, ... }:
            {
              hardware.nvidia.vgpu.release = "18.1";
              hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_16_2;
            }
          )
        )).version;
      want = "535.129.03";
    };
    "hardware.nvidia.vgpu.release wins over what other modules have for the GPU" = {
      got =
        let
          machine = host (
            { config, ... }:
            {
              hardware.nvidia.vgpu.release = "18.1";
              hardware.nvidia.package = lib.mkDefault config.boot.kernelPackages.nvidiaPackages.stable;
              hardware.nvidia.open = lib.mkOverride 990 true;
            }
          );
        in
        [
          (packageOf machine).version
          machine.config.hardware.nvidia.open
          machine.failed
        ];
      want = [
        "570.133.10"
        false
        [ ]
      ];
    };
    "hardware.nvidia.vgpu.release knows its releases" = {
      got =
        (builtins.tryEval
          (host { hardware.nvidia.vgpu.release = "17.66"; }).config.hardware.nvidia.vgpu.release
        ).success;
      want = false;
    };

    "a host's archive comes from the store" = {
      got = [
        (srcOf plainHost).name
        (lib.hasInfix "nix-store --add-fixed sha256 NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip" (srcOf plainHost)
        .message)
        (lib.hasInfix "vgpu import NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip" (srcOf plainHost)
        .message)
        (srcOf plainHost).outputHash
      ];
      want = [
        "NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip"
        true
        true
        releases."17_3".zip_sha256
      ];
    };
    "a guest's driver is downloaded from NVIDIA" = {
      got = [
        (srcOf plainGuest).name
        (srcOf plainGuest).url
        (srcOf plainGuest).outputHash
      ];
      want = [
        "NVIDIA-Linux-x86_64-550.90.07-grid.run"
        "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.3/NVIDIA-Linux-x86_64-550.90.07-grid.run"
        releases."17_3".guest_sha256
      ];
    };
    "driverSource.name names the file" = {
      got =
        (srcOf (host {
          hardware.nvidia.vgpu.driverSource.name = "mine.zip";
        })).name;
      want = "mine.zip";
    };
    "driverSource.name forces the type on guests" = {
      got =
        let
          src = srcOf (guestWith {
            hardware.nvidia.vgpu.driverSource.name = "mine.zip";
          });
        in
        [
          src.name
          src.outputHash
          (src ? url)
        ];
      want = [
        "mine.zip"
        releases."17_3".zip_sha256
        false
      ];
    };
    "driverSource.url downloads" = {
      got =
        let
          src = srcOf (host {
            hardware.nvidia.vgpu.driverSource = {
              url = "https://files.lan/@release@/@version@.zip";
              curlOptsList = [
                "-u"
                "admin:some nice password"
              ];
            };
          });
        in
        [
          src.url
          src.curlOptsList
          src.name
        ];
      want = [
        "https://files.lan/17.3/550.90.05.zip"
        [
          "-u"
          "admin:some nice password"
        ]
        "NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip"
      ];
    };
    "driverSource.url = null forces the store on guests" = {
      got =
        let
          src = srcOf (guestWith {
            hardware.nvidia.vgpu.driverSource.url = null;
          });
        in
        [
          (src ? url)
          (src ? message)
        ];
      want = [
        false
        true
      ];
    };
    "driverSource.sha256 means a .run file" = {
      got =
        map
          (
            machine:
            let
              src = srcOf (machine {
                hardware.nvidia.vgpu.driverSource.sha256 = "hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
              });
            in
            [
              src.name
              src.outputHash
            ]
          )
          [
            host
            guestWith
          ];
      want = [
        [
          "NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm.run"
          "hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4="
        ]
        [
          "NVIDIA-Linux-x86_64-550.90.07-grid.run"
          "hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4="
        ]
      ];
    };
    "driverSource.sha256 against driverSource.name fails" = {
      got =
        (builtins.tryEval
          (srcOf (host {
            hardware.nvidia.vgpu.driverSource = {
              name = "mine.zip";
              sha256 = "hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
            };
          })).name
        ).success;
      want = false;
    };
    "a hash of one public record is called that" = {
      got =
        map
          (
            name:
            lib.hasInfix "known from one public record alone" (nvidiaPackagesOf plainHost).${name}.src.message
          )
          [
            "vgpu_19_2"
            "vgpu_17_6"
          ];
      want = [
        true
        false
      ];
    };
    "an unpinned release says which hash to give, and how" = {
      got =
        let
          inherit ((nvidiaPackagesOf plainGuest).grid_19_2.src) buildCommand;
        in
        map (text: lib.hasInfix text buildCommand) [
          "NVIDIA-GRID-Linux-KVM-580.95.02-580.95.05-581.42.zip"
          "nix-hash --flat --base64 --type sha256 NVIDIA-Linux-x86_64-580.95.05-grid.run"
          "hardware.nvidia.vgpu.driverSource"
          "mkVgpuDriver"
        ];
      want = [
        true
        true
        true
        true
      ];
    };
    "driverSource pins an unpinned release" = {
      got =
        (srcOf (guestWith {
          hardware.nvidia.vgpu.release = "19.2";
          hardware.nvidia.vgpu.driverSource.sha256 = "hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
        })).name;
      want = "NVIDIA-Linux-x86_64-580.95.05-grid.run";
    };
    "driverSource is typed" = {
      got = map refusedSource [
        { name = "driver.exe"; }
        { name = "../driver.zip"; }
        { url = "files.lan"; }
        { sha256 = "sha1-abc"; }
        { curlOptsList = "-u"; }
        { }
      ];
      want = [
        true
        true
        true
        true
        true
        false
      ];
    };

    "patcher.options.doNotForceGPLLicense is off unless it is set" = {
      got = plainHost.config.hardware.nvidia.vgpu.patcher.options.doNotForceGPLLicense;
      want = false;
    };
    "patcher.enable patches: a host's driver for vgpu-kvm" = {
      got = patchFlags { };
      want = "vgpu-kvm\n";
    };
    "patcher.enable patches: merged when the host's screens are NVIDIA's" = {
      got =
        let
          merged = host {
            imports = [ nvidiaScreens ];
            hardware.nvidia.vgpu.patcher.enable = true;
          };
        in
        [
          (lib.hasSuffix " general-merge\n" (srcOf merged).buildCommand)
          (packageOf merged).pname
          (packageOf merged).version
          merged.failed
        ];
      want = [
        true
        "nvidia-vgpu-host-merged"
        "550.90.07"
        [ ]
      ];
    };
    "patcher.enable patches: a guest's driver for grid" = {
      got =
        lib.hasSuffix " grid\n"
          (srcOf (guestWith {
            hardware.nvidia.vgpu.patcher.enable = true;
          })).buildCommand;
      want = true;
    };
    "patcher.options.doNotForceGPLLicense" = {
      got = patchFlags { doNotForceGPLLicense = false; };
      want = "--enable-nvidia-gpl-for-experimenting --force-nvidia-gpl-I-know-it-is-wrong vgpu-kvm\n";
    };
    "patcher.options.remapP40ProfilesToV100D" = {
      got = patchFlags { remapP40ProfilesToV100D = true; };
      want = "--remap-p2v vgpu-kvm\n";
    };
    "patcher.options.extra" = {
      got = patchFlags {
        extra = [
          "--test-dmabuf-export"
          "--spoof-devid"
        ];
      };
      want = "--test-dmabuf-export --spoof-devid vgpu-kvm\n";
    };
    "patcher.copyVGPUProfiles and patcher.profileOverrides change vgpuConfig.xml" = {
      got =
        let
          machine = host {
            hardware.nvidia.vgpu.patcher = {
              enable = true;
              copyVGPUProfiles."AAAA:BBBB" = "CCCC:DDDD";
              profileOverrides."333" = {
                vramAllocation = 3584;
                heads = 1;
                enableCuda = true;
                display.width = 1920;
                display.height = 1080;
                framerateLimit = 144;
                xmlConfig.eccSupported = 1;
                xmlConfig.display.width = "1";
              };
            };
          };
          inherit (machine.config.hardware.nvidia.vgpu.patcher) copyVGPUProfiles profileOverrides;
        in
        [
          (lib.hasSuffix "-vgpuConfig.xml" machine.config.hardware.nvidia.vgpu.vgpuConfig)
          (
            machine.config.environment.etc."nvidia/vgpu/vgpuConfig.xml".source
            == machine.config.hardware.nvidia.vgpu.vgpuConfig
          )
          copyVGPUProfiles
          profileOverrides
        ];
      want = [
        true
        true
        { "AAAA:BBBB" = "CCCC:DDDD"; }
        {
          "333" = {
            vramAllocation = 3584;
            heads = 1;
            enableCuda = true;
            display = {
              width = 1920;
              height = 1080;
            };
            framerateLimit = 144;
            xmlConfig = {
              eccSupported = "1";
              display.width = "1";
            };
          };
        }
      ];
    };
    "patcher.profileOverrides takes a part" = {
      got =
        (host {
          hardware.nvidia.vgpu.patcher = {
            enable = true;
            profileOverrides."333".framerateLimit = 0;
          };
        }).config.hardware.nvidia.vgpu.patcher.profileOverrides."333";
      want = {
        vramAllocation = null;
        heads = null;
        enableCuda = null;
        display = {
          width = null;
          height = null;
        };
        framerateLimit = 0;
        xmlConfig = { };
      };
    };
    "patcher options are typed" = {
      got = map (patcher: refused { hardware.nvidia.vgpu = { inherit patcher; }; }) [
        { copyVGPUProfiles."1E87" = "1E30:12BA"; }
        { copyVGPUProfiles."1E87:0000" = "0x1E30:0x12BA"; }
        { profileOverrides."nvidia-333".heads = 1; }
        { profileOverrides."333".vramAllocation = 0; }
        { profileOverrides."333".heads = -1; }
        { profileOverrides."333".framerateLimit = -1; }
        { profileOverrides."333".frameRateLimit = 1; }
        { options.extra = "--spoof-devid"; }
        { profileOverrides."333".heads = 1; }
      ];
      want = [
        true
        true
        true
        true
        true
        true
        true
        true
        false
      ];
    };
    "patcher.enablePatcherCmd puts nvidia-vup on the system path" = {
      got = map lib.getName (
        lib.filter (package: lib.hasInfix "vup" (lib.getName package))
          (host {
            hardware.nvidia.vgpu.patcher.enablePatcherCmd = true;
          }).config.environment.systemPackages
      );
      want = [ "nvidia-vup" ];
    };

    "griddUnlock changes the licence client, not the driver" = {
      got =
        let
          configuration =
            unlock:
            guestWith (
              { config, ... }:
              {
                hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.grid_18_1;
                hardware.nvidia.vgpu.griddUnlock = lib.mkIf unlock {
                  enable = true;
                  rootCaFile = ./promises.nix;
                };
              }
            );
          locked = configuration false;
          unlocked = configuration true;
          start = machine: machine.config.systemd.services.nvidia-gridd.serviceConfig.ExecStart;
        in
        [
          ((packageOf locked).drvPath == (packageOf unlocked).drvPath)
          (lib.hasInfix "nvidia-gridd-unlocked" (start unlocked))
          (lib.hasInfix "nvidia-gridd-unlocked" (start locked))
        ];
      want = [
        true
        true
        false
      ];
    };

    "mkVgpuDriver makes a host's driver" = {
      got =
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
      want = [
        "555.44.33"
        custom.zipFilename
        custom.sha256
        "555.40"
        "555.41"
        null
      ];
    };
    "mkVgpuDriver makes a guest's driver" = {
      got =
        let
          driver = mkOn plainGuest { };
        in
        [
          driver.version
          driver.src.url
          driver.src.outputHash
        ];
      want = [
        "555.44.34"
        "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.9/NVIDIA-Linux-x86_64-555.44.34-grid.run"
        custom.guestSha256
      ];
    };
    "mkVgpuDriver without settings and persistenced" = {
      got =
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
      want = [
        null
        null
      ];
    };
    "a release's tools are built from the closest consumer driver's sources" = {
      got =
        let
          inherit ((nvidiaPackagesOf plainHost).vgpu_17_6) settings;
        in
        [
          settings.version
          settings.src.outputHash
          settings.src.urls
        ];
      want = [
        "550.144.03"
        releases."17_6".settings_sha256
        [
          "https://github.com/NVIDIA/nvidia-settings/archive/550.144.03.tar.gz"
          "https://download.nvidia.com/XFree86/nvidia-settings/nvidia-settings-550.144.03.tar.bz2"
        ]
      ];
    };
    "mkVgpuDriver: the tools' versions default to generalVersion" = {
      got =
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
      want = [
        "555.42"
        "555.42"
      ];
    };
    "mkVgpuDriver passes hooks to stdenv.mkDerivation" = {
      got =
        let
          driver = mkOn plainHost {
            prePatch = "echo prePatch";
            postPatch = "echo postPatch";
            patches = [ ./promises.nix ];
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
      want = [
        "echo prePatch"
        "echo postPatch"
        [ ./promises.nix ]
        [ "-p2" ]
        "echo preInstall"
        "echo postInstall"
        true
      ];
    };
    "stdenv builds a driver with any hook, the program one with none" = {
      got =
        let
          builder = hooks: lib.head ((mkOn plainHost hooks).args ++ [ "builder" ]);
        in
        map builder [
          { }
          { patches = [ ]; }
          { patches = [ ./promises.nix ]; }
          { prePatch = "true"; }
          { postPatch = "true"; }
          { preInstall = "true"; }
          { postInstall = "true"; }
        ];
      want = [
        "builder"
        "builder"
        "-e"
        "-e"
        "-e"
        "-e"
        "-e"
      ];
    };
    "mkVgpuPatcher gives a function of the driver, whose result can be overridden" = {
      got =
        let
          configuration =
            change:
            host (
              { config, ... }:
              {
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
      want = [
        true
        true
        true
        true
        true
        [ ]
      ];
    };
    "mkVgpuPatcher downloads from NVIDIA, or from where it is told" = {
      got =
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
      want = [
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
    "mkVgpuPatcher fetches the revision it is given" = {
      got = ((nvidiaPackagesOf plainHost).mkVgpuPatcher customPatcher { }).src.url;
      want = "https://github.com/VGPU-Community-Drivers/vGPU-Unlock-patcher/archive/refs/heads/555.44.tar.gz";
    };
    "mkVgpuPatcher takes any fork, or a source of the user's own" = {
      got =
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
          fork.src.url
          fork.linuxGuestDriver
          fork.windowsGuestDriver
          (patcher (least // { src = ./patcher/source; })).src
        ];
      want = [
        "https://github.com/somebody/their-patcher/archive/0123.tar.gz"
        null
        null
        ./patcher/source
      ];
    };
    "overrideAttrs works in all its forms" = {
      got =
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
      want = [
        "1"
        "2"
        "3"
        "555.44.33.4"
        "1"
      ];
    };

    "the package has all that nixpkgs' nvidia module takes" = {
      got = lib.filter (name: !(packageOf plainGuest ? ${name})) [
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
      want = [ ];
    };
    "what nixpkgs' nvidia module reads has the values of nixpkgs' own driver" = {
      got = map (name: (packageOf plainGuest).${name}) [
        "fabricmanager"
        "useProfiles"
        "ibtSupport"
        "compressFirmware"
      ];
      want = [
        null
        true
        true
        false
      ];
    };
    "the driver's meta" = {
      got =
        let
          inherit (packageOf plainGuest) meta;
        in
        [
          meta.license.free
          meta.platforms
          meta.priority
          meta.broken
          (packageOf plainGuest).bin.meta.license.free
          (packageOf plainGuest).bin.meta.priority
        ];
      want = [
        false
        [ "x86_64-linux" ]
        4
        false
        false
        4
      ];
    };
    "scripts of a driver get a shell and the programs they call" = {
      got = [
        (packageOf plainGuest).shell
        (lib.length (packageOf plainGuest).tools)
        (packageOf plainGuest).interpreter
      ];
      want = [
        "/bin/bash"
        5
        "/lib64/ld-linux-x86-64.so.2"
      ];
    };
    "kernel modules are in bin up to 25.11, apart since" = {
      got = [
        (lib.hasSuffix "-with-modules" (packageOf plainGuest).bin.name)
        (map (package: package.name) plainGuest.config.boot.extraModulePackages)
        (packageOf plainGuest).eglPlatforms
      ];
      want =
        if release == "26.05" then
          [
            false
            [ "nvidia-vgpu-modules-550.90.07-6.1.170-built-again" ]
            false
          ]
        else
          [
            true
            [ "nvidia-vgpu-guest-550.90.07-with-modules" ]
            true
          ];
    };
    "kernel modules are for the kernel that NixOS makes of the one picked, with its flags for make" = {
      got =
        let
          inherit (packageOf plainHost) mod;
        in
        [
          mod.makeFlags
          (map toString (lib.take 1 mod.drvAttrs.disallowedReferences))
          mod.hardeningDisable
          mod.src
        ];
      want =
        let
          inherit (plainHost.config.boot.kernelPackages) kernel;
          headers = "${kernel.dev}/lib/modules/6.1.0-47-amd64";
        in
        [
          [
            "KERNEL_FLAG=1"
            "IGNORE_PREEMPT_RT_PRESENCE=1"
            "NV_BUILD_SUPPORTS_HMM=1"
            "SYSSRC=${headers}/source"
            "SYSOUT=${headers}/build"
            "MODLIB=${placeholder "out"}/lib/modules/6.1.0-47-amd64"
            "DATE="
          ]
          [ "${kernel.dev}" ]
          [
            "format"
            "pic"
          ]
          "${(packageOf plainHost).modsrc}/kernel"
        ];
    };
    "vgpu is compiled by a compiler that is new enough" = {
      got = lib.versionAtLeast (packageOf plainHost).vgpu.program.rustc.version "1.88";
      want = true;
    };
    "settings and persistenced are made for our driver, not its kernel" = {
      got =
        let
          driver =
            machine:
            packageOf (machine {
              hardware.nvidia.package = lib.mkForce (mkOn plainHost { });
            });
          # The same driver with another kernel.
          latest =
            (nvidiaPackagesOf (host ({ pkgs, ... }: { boot.kernelPackages = pkgs.linuxPackages_latest; })))
            .mkVgpuDriver
              custom;
        in
        [
          ((driver host).settings.drvPath == latest.settings.drvPath)
          ((driver host).persistenced.drvPath == latest.persistenced.drvPath)
          (lib.elem "${(driver host).out}" (map toString (driver host).settings.buildInputs))
        ];
      want = [
        true
        true
        true
      ];
    };

    "services of a host" = {
      # Lazily: that of instances is tested in nix/tests/nixos.
      got = removeAttrs (servicesOf plainHost) [ "nvidia-vgpu-instances" ];
      want = {
        nvidia-vgpud = {
          description = "NVIDIA vGPU Daemon";
          wantedBy = [ "multi-user.target" ];
          after = [ "systemd-modules-load.service" ];
          restartIfChanged = false;
          serviceConfig = {
            Type = "forking";
            ExecStart = "PROGRAMS/bin/nvidia-vgpud";
            ExecStopPost = "/usr/bin/rm -rf /var/run/nvidia-vgpud";
          };
        };
        nvidia-vgpu-mgr = {
          description = "NVIDIA vGPU Manager Daemon";
          wantedBy = [ "multi-user.target" ];
          requires = [ "nvidia-vgpud.service" ];
          after = [ "nvidia-vgpud.service" ];
          restartIfChanged = false;
          serviceConfig = {
            Type = "forking";
            KillMode = "process";
            ExecStart = "PROGRAMS/bin/nvidia-vgpu-mgr";
            ExecStopPost = "/usr/bin/rm -rf /var/run/nvidia-vgpu-mgr";
          };
        };
        # Off unless somebody starts it.
        nvidia-xid-logd = {
          description = "NVIDIA Xid Log Daemon";
          restartIfChanged = false;
          serviceConfig = {
            Type = "forking";
            ExecStart = "PROGRAMS/bin/nvidia-xid-logd";
            RuntimeDirectory = "nvidia-xid-logd";
          };
        };
      };
    };
    "services of a guest" = {
      got = servicesOf plainGuest;
      want = {
        nvidia-gridd = {
          description = "NVIDIA Grid Daemon";
          wantedBy = [ "multi-user.target" ];
          wants = [ "network-online.target" ];
          after = [
            "network-online.target"
            "nvidia-persistenced.service"
          ];
          environment.LD_LIBRARY_PATH = "${packageOf plainGuest}/lib";
          serviceConfig = {
            Type = "forking";
            ExecStart = "PROGRAMS/bin/nvidia-gridd";
            ExecStopPost = "/usr/bin/rm -rf /var/run/nvidia-gridd";
            StateDirectory = "nvidia";
          };
        };
        nvidia-topologyd = {
          description = "NVIDIA Topology Daemon";
          wantedBy = [ "multi-user.target" ];
          serviceConfig = {
            Type = "forking";
            ExecStart = "PROGRAMS/bin/nvidia-topologyd";
          };
        };
      };
    };
    "a guest's D-Bus policies are read" = {
      got = map toString plainGuest.config.services.dbus.packages;
      want = [ "${(packageOf plainGuest).vgpu.programs}" ];
    };
    "a guest that loads no driver is warned" = {
      got = map (machine: lib.length machine.config.warnings) [
        (guest { })
        plainGuest
      ];
      want = [
        1
        0
      ];
    };
    "files under /etc" = {
      got =
        lib.attrNames plainHost.config.environment.etc ++ lib.attrNames plainGuest.config.environment.etc;
      want = [
        "nvidia/vgpu/instances.json"
        "nvidia/vgpu/libnvidia-ml.so.1"
        "nvidia/vgpu/vgpuConfig.xml"
        "nvidia/gridd.conf.template"
        "nvidia/nvidia-application-profiles-rc"
        "nvidia/nvidia-topologyd.conf.template"
      ];
    };
    "a host without screens loads its modules itself" = {
      got = [
        plainHost.config.boot.kernelModules
        plainHost.config.boot.blacklistedKernelModules
        (map (package: package.name) plainHost.config.boot.extraModulePackages)
        (map (package: package.name) plainHost.config.environment.systemPackages)
        (map toString plainHost.config.hardware.firmware)
      ];
      want = [
        [
          "nvidia"
          "nvidia-vgpu-vfio"
        ]
        [
          "nouveau"
          "nova_core"
          "nvidiafb"
        ]
        [ "nvidia-vgpu-modules-550.90.05-6.1.170-built-again" ]
        [
          "vgpu-0.1.0"
          "nvidia-vgpu-host-550.90.05"
        ]
        [ "${(packageOf plainHost).firmware}" ]
      ];
    };
    "a merged host leaves the rest to nixpkgs' module" = {
      got =
        let
          merged = host {
            imports = [ nvidiaScreens ];
            hardware.nvidia.vgpu.patcher.enable = true;
          };
        in
        [
          merged.config.boot.kernelModules
          merged.config.boot.blacklistedKernelModules
          (lib.length merged.config.boot.extraModulePackages)
          merged.config.hardware.firmware
          (packageOf merged).useProfiles
          (lib.elem "lib32" (packageOf merged).outputs)
        ];
      want = [
        [ "nvidia-vgpu-vfio" ]
        [ ]
        1
        [ ]
        true
        true
      ];
    };
    "a host without screens has no 32-bit libraries and no application profiles" = {
      got = [
        (packageOf plainHost).outputs
        (packageOf plainHost).lib32
        (packageOf plainHost).useProfiles
      ];
      want = [
        [
          "out"
          "bin"
          "firmware"
          "modsrc"
        ]
        null
        false
      ];
    };
    "a guest has modesetting on, open and gsp off" = {
      got =
        let
          # From 560 on nixpkgs has other defaults.
          release.hardware.nvidia.vgpu.release = "18.1";
          inherit (guestWith release) config failed;
          changed = guestWith {
            imports = [ release ];
            hardware.nvidia.modesetting.enable = false;
            hardware.nvidia.open = true;
            hardware.nvidia.gsp.enable = true;
          };
        in
        [
          config.hardware.nvidia.modesetting.enable
          config.hardware.nvidia.open
          config.hardware.nvidia.gsp.enable
          failed
          changed.config.hardware.nvidia.modesetting.enable
          changed.config.hardware.nvidia.open
          changed.config.hardware.nvidia.gsp.enable
        ];
      want = [
        true
        false
        false
        [ ]
        false
        true
        true
      ];
    };
    "nothing happens before a driver is chosen" = {
      got =
        let
          machine = evaluate { modules = [ ]; };
        in
        [
          machine.failed
          machine.config.systemd.services
          machine.config.environment.systemPackages
          (builtins.tryEval machine.config.hardware.nvidia.vgpu.vgpuConfig).success
        ];
      want = [
        [ ]
        { }
        [ ]
        false
      ];
    };
  };
in
lib.mapAttrsToList (name: { got, want }: {
  inherit name;
  got = builtins.toJSON got;
  want = builtins.toJSON want;
}) table
