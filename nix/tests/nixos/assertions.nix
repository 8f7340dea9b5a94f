# Every wrong combination of options, in whole systems: exactly one message comes for each mistake, in place of the
# system, and it names the option, the reason and the way out. No assertion is without a case.
# One file, because the last test compares its cases with all assertions that there are.
{
  lib,
  machine,
  pkgs,
  ...
}:

let
  evaluate =
    {
      guest ? false,
      system ? "x86_64-linux",
      screens ? guest,
      driver ? "17_3",
      # packages → a driver, instead.
      package ? null,
      vgpu ? { },
      nvidia ? { },
    }:
    machine {
      role = if guest then "guest" else "host";
      ${if system == "x86_64-linux" then null else "packageSet"}.nixpkgs.hostPlatform = system;
      module =
        { config, ... }:
        {
          services.xserver.videoDrivers = lib.mkIf screens [ "nvidia" ];
          hardware.nvidia = {
            package = lib.mkIf (package != null) (package config.boot.kernelPackages.nvidiaPackages);
            vgpu = {
              release = lib.mkIf (package == null && driver != null) (
                lib.mkDefault (lib.replaceStrings [ "_" ] [ "." ] driver)
              );
            }
            // vgpu;
          }
          // nvidia;
        };
    };

  # A driver whose tools have no sources.
  unpinned =
    packages:
    packages.mkVgpuDriver {
      version = "570.133.10";
      sha256 = lib.fakeHash;
      guestVersion = "570.133.20";
      guestSha256 = lib.fakeHash;
      generalVersion = "570.133.07";
      gridVersion = "18.1";
      zipFilename = "NVIDIA-GRID-Linux-KVM-570.133.10-570.133.20-572.83.zip";
      vgpuPatcher = null;
      useSettings = false;
      usePersistenced = false;
    };

  # Mistakes that have nothing to do with each other can share a machine: `mentionsEach` has the words of a message each.
  cases = {
    "a password for nothing, profile overrides without patcher, a time slice without a policy, the data centre's driver" =
      {
        machine = {
          nvidia.datacenter.enable = true;
          vgpu = {
            driverSource.netrc = true;
            patcher.profileOverrides."333".heads = 1;
            scheduler.timeSlice = 2;
          };
        };
        mentionsEach = [
          [
            "hardware.nvidia.vgpu.driverSource.netrc: this driver is not downloaded"
            "hardware.nvidia.vgpu.driverSource.url"
            "leave netrc out"
          ]
          [
            "hardware.nvidia.vgpu.patcher.profileOverrides"
            "signed"
            "hardware.nvidia.vgpu.patcher.enable = true"
          ]
          [
            "hardware.nvidia.vgpu.scheduler.timeSlice"
            "have a time slice"
            "hardware.nvidia.vgpu.scheduler.policy"
          ]
          [
            "hardware.nvidia.datacenter.enable"
            "fabric manager"
            "Set it to false"
          ]
        ];
      };
    "sha256 against the extension of name, and copied profiles without patcher" = {
      machine.vgpu = {
        driverSource = {
          name = "driver.zip";
          sha256 = "sha256-hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
        };
        patcher.copyVGPUProfiles."1E87:0000" = "1E30:12BA";
      };
      mentionsEach = [
        [
          "hardware.nvidia.vgpu.driverSource.sha256"
          "hardware.nvidia.vgpu.driverSource.name"
          "driver.zip"
          "leave sha256 out"
        ]
        [
          "hardware.nvidia.vgpu.patcher.copyVGPUProfiles"
          "signed"
          "hardware.nvidia.vgpu.patcher.enable = true"
        ]
      ];
    };
    "patcher command without a patcher, and a host's .run file without its hash" = {
      machine = {
        driver = "18_1";
        vgpu.patcher.enablePatcherCmd = true;
        vgpu.driverSource.name = "driver.run";
      };
      mentionsEach = [
        [
          "hardware.nvidia.vgpu.patcher.enablePatcherCmd"
          "no vGPU-Unlock-patcher"
          "vgpu_17_3"
        ]
        [
          "hardware.nvidia.vgpu.driverSource.name"
          "only the archives' hashes are known"
          "nix-hash --flat --base32 --type sha256 driver.run"
        ]
      ];
    };
    "nvidia-settings and nvidia-persistenced of a release that has no sources for them" = {
      machine = {
        package = unpinned;
        nvidia.nvidiaPersistenced = true;
        nvidia.nvidiaSettings = true;
      };
      mentionsEach = [
        [
          "hardware.nvidia.nvidiaPersistenced"
          "not pinned"
          "persistencedSha256"
        ]
        [
          "hardware.nvidia.nvidiaSettings"
          "not pinned"
          "settingsSha256"
        ]
      ];
    };
    "a token in the store, and griddUnlock without rootCaFile" = {
      machine = {
        guest = true;
        driver = "18_1";
        vgpu.licensing.tokenFile = "${./assertions.nix}";
        vgpu.griddUnlock.enable = true;
      };
      mentionsEach = [
        [
          "hardware.nvidia.vgpu.licensing.tokenFile"
          "in the Nix store"
          "every user can read it"
          "\"/run/secrets/vgpu.tok\""
        ]
        [
          "hardware.nvidia.vgpu.griddUnlock.enable"
          "certificate"
          "hardware.nvidia.vgpu.griddUnlock.rootCaFile"
        ]
      ];
    };
    "merged without patcher" = {
      machine.screens = true;
      mentions = [
        "services.xserver.videoDrivers"
        "has no graphics"
        "hardware.nvidia.vgpu.patcher.enable = true"
      ];
    };
    "patcher on a release that has none" = {
      machine = {
        driver = "17_6";
        vgpu.patcher.enable = true;
      };
      mentions = [
        "hardware.nvidia.vgpu.patcher.enable"
        "no branch for vGPU 17.6"
        "16.0, 16.1, 16.2, 16.5, 17.0, 17.2, 17.3"
        "mkVgpuPatcher"
      ];
    };
    "patcher without a driver of ours" = {
      machine = {
        driver = null;
        vgpu.patcher.enable = true;
      };
      mentions = [
        "hardware.nvidia.vgpu.patcher.enable"
        "not one of vgpu4nixos"
        "hardware.nvidia.vgpu.release ="
      ];
    };
    "a guest's driver on a host" = {
      machine.package =
        _: (pkgs.extend (import ../../overlay.nix)).linuxPackages.nvidiaPackages.grid_17_6;
      mentions = [
        "hardware.nvidia.package"
        "driver of a guest"
        "nvidiaPackages.vgpu_"
      ];
    };
    "netrc and curl's arguments" = {
      machine.vgpu.driverSource = {
        url = "https://files.example.org/driver.zip";
        netrc = true;
        curlOptsList = [ "--compressed" ];
      };
      mentions = [
        "hardware.nvidia.vgpu.driverSource.netrc has Nix download"
        "hardware.nvidia.vgpu.driverSource.curlOptsList"
        "Leave one of them out"
      ];
    };
    "remapP40ProfilesToV100D outside 17.x" = {
      machine = {
        driver = "16_5";
        vgpu.patcher = {
          enable = true;
          options.remapP40ProfilesToV100D = true;
        };
      };
      mentions = [
        "hardware.nvidia.vgpu.patcher.options.remapP40ProfilesToV100D"
        "17.x"
        "16.5"
        "Set it to false"
      ];
    };
    "griddUnlock where there is nothing to unlock" = {
      machine = {
        guest = true;
        vgpu.griddUnlock = {
          enable = true;
          rootCaFile = ../../../crates/vgpu/tests/certificates/good.pem;
        };
      };
      mentions = [
        "hardware.nvidia.vgpu.griddUnlock.enable"
        "17.3"
        "before 18.0 there is nothing to"
        "Set it to false"
      ];
    };
    "licensing without a driver of ours" = {
      machine = {
        guest = true;
        screens = false;
        driver = null;
        vgpu.licensing.tokenFile = "/run/secrets/vgpu.tok";
      };
      mentions = [
        "hardware.nvidia.vgpu.licensing.tokenFile:"
        "not one of vgpu4nixos"
        "hardware.nvidia.vgpu.release"
      ];
    };
    "open kernel modules of a driver that has none" = {
      machine = {
        nvidia.open = true;
        package =
          packages:
          packages.mkVgpuDriver {
            version = "510.108.03";
            sha256 = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            guestVersion = "510.108.03";
            guestSha256 = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            generalVersion = "510.108.03";
            gridVersion = "14.4";
            zipFilename = "NVIDIA-GRID-Linux-KVM-510.108.03-514.08.zip";
            vgpuPatcher = null;
            useSettings = false;
            usePersistenced = false;
          };
      };
      mentions = [
        "hardware.nvidia.open"
        "since driver 515"
        "Set it to false"
      ];
    };
    "open kernel modules beside the patcher" = {
      machine = {
        guest = false;
        nvidia.open = true;
        vgpu.patcher.enable = true;
      };
      mentions = [
        "hardware.nvidia.open"
        "closed kernel modules alone"
        "Set one of the two to false"
      ];
    };
    "another platform" = {
      machine = {
        system = "aarch64-linux";
        driver = null;
        vgpu.release = "17.6";
      };
      mentions = [
        "hardware.nvidia.vgpu"
        "aarch64-linux"
        "x86_64-linux only"
        "release unset"
      ];
    };
    "nvidia-settings of a release that has no sources for it, with screens" = {
      machine = {
        screens = true;
        vgpu.patcher.enable = true;
        package =
          packages:
          packages.vgpu_17_3.override {
            gridVersion = "18.1";
            useSettings = false;
          };
        nvidia.nvidiaSettings = true;
      };
      mentions = [
        "hardware.nvidia.nvidiaSettings"
        "not pinned"
        "settingsSha256"
      ];
    };
    "a certificate that is not there" = {
      machine = {
        guest = true;
        driver = "18_1";
        vgpu.griddUnlock = {
          enable = true;
          rootCaFile = ./nowhere.pem;
        };
      };
      mentions = [
        "hardware.nvidia.vgpu.griddUnlock.rootCaFile"
        "no file"
        "nowhere.pem"
      ];
    };
    "a certificate with its key" = {
      machine = {
        guest = true;
        driver = "18_1";
        vgpu.griddUnlock = {
          enable = true;
          rootCaFile = ../../../crates/vgpu/tests/certificates/with-key.pem;
        };
      };
      mentions = [
        "hardware.nvidia.vgpu.griddUnlock.rootCaFile"
        "with-key.pem has a private key in it"
        "from BEGIN CERTIFICATE to END CERTIFICATE"
      ];
    };
    "a certificate with more behind it, by a string" = {
      machine = {
        guest = true;
        driver = "18_1";
        vgpu.griddUnlock = {
          enable = true;
          rootCaFile = toString ../../../crates/vgpu/tests/certificates/with-more.pem;
        };
      };
      mentions = [
        "hardware.nvidia.vgpu.griddUnlock.rootCaFile"
        "with-more.pem has lines that belong to no certificate"
        "from BEGIN CERTIFICATE to END CERTIFICATE"
      ];
    };
    "a driver for another kernel" = {
      machine = {
        package = _: (pkgs.extend (import ../../overlay.nix)).linuxPackages_6_6.nvidiaPackages.vgpu_17_6;
      };
      mentions = [
        "hardware.nvidia.package"
        pkgs.linuxPackages_6_6.kernel.modDirVersion
        pkgs.linuxPackages.kernel.modDirVersion
        "config.boot.kernelPackages.nvidiaPackages"
      ];
    };
    "a driver made outside of the configuration" = {
      machine = {
        package = _: (pkgs.extend (import ../../overlay.nix)).linuxPackages.nvidiaPackages.vgpu_17_3;
        vgpu.patcher.enable = true;
      };
      mentions = [
        "hardware.nvidia.package"
        "knows nothing of its options"
        "hardware.nvidia.vgpu.release"
      ];
    };
  };

  # What is asked of a machine, and nothing of the machine: memory for thirty is slower to have than to have again.
  evaluated = lib.mapAttrs (
    _: case:
    let
      machine = evaluate case.machine;
      answers = {
        failed = ofOurs machine;
        system = (builtins.tryEval machine.toplevel).success;
      };
    in
    builtins.deepSeq answers answers
  ) cases;
  # nixpkgs may have a message of its own for the same thing.
  ofOurs =
    machine:
    lib.filter (
      message:
      lib.any (prefix: lib.hasPrefix prefix message) [
        "hardware.nvidia."
        "services.xserver.videoDrivers has"
      ]
    ) machine.failed;
  explain = name: case: {
    name = "test ${name}";
    value = {
      expr =
        let
          inherit (evaluated.${name}) failed system;
          answer =
            mentions:
            lib.findFirst (
              message: lib.all (part: lib.hasInfix part message) mentions
            ) "no message with ${toString mentions}" failed;
          answers = lib.unique (map answer (case.mentionsEach or [ case.mentions ]));
        in
        {
          inherit system;
          # Each has one, and there are no more.
          more = lib.subtractLists answers failed;
          missing = lib.subtractLists failed answers;
          count = lib.length failed;
        };
      expected = {
        system = false;
        more = [ ];
        missing = [ ];
        count = lib.length (case.mentionsEach or [ case.mentions ]);
      };
    };
  };

  # Messages of one assertion begin with the same words, but for the options that it is about.
  words = 12;
  opening =
    message:
    lib.concatStringsSep " " (
      lib.take words (lib.splitString " " (lib.replaceStrings [ "\n" ] [ " " ] message))
    );
  provoked = lib.unique (
    map opening (lib.concatMap (machine: machine.failed) (lib.attrValues evaluated))
  );
  modules = ../../modules;
  written = lib.foldl' (
    sum: file:
    sum + lib.length (lib.splitString "assertion =" (builtins.readFile (modules + "/${file}"))) - 1
  ) 0 (lib.attrNames (builtins.readDir modules));
in
lib.mapAttrs' explain cases
// {
  "test every assertion is provoked" = {
    # Copied and overridden profiles share one assertion, and so do all options that a foreign driver makes useless.
    expr = lib.length provoked;
    expected = written + 2;
  };
}
