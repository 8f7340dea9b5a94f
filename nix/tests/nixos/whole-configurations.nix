# What users have in their configurations, all of it at once: every option, attribute and way of importing the modules
# that is promised, as whole systems.
{
  lib,
  machine,
  packageOf,
  treeShape,
  whole,
  fine,
  ...
}@offered:

let
  asWritten = import ../as-written.nix offered;
  inherit (asWritten) modulesOfFlake;
  machineOf = asWritten.machineOf treeShape;

  hashOf = letter: "sha256-${lib.concatStrings (lib.replicate 43 letter)}=";
  # As NixOS' installer writes it.
  configuration = module: {
    imports = [ module ];
    nixpkgs.config.allowUnfree = true;
  };

  patchedHost = machineOf (modulesOfFlake {
    inputs.vgpu4nixos.url = "github:mrzenc/vgpu4nixos";
    outputs =
      {
        nixpkgs,
        vgpu4nixos,
        ...
      }:
      {
        nixosConfigurations.hypervisor = nixpkgs.lib.nixosSystem {
          system = "x86_64-linux";
          modules = [
            vgpu4nixos.nixosModules.host
            (configuration (
              { config, ... }:
              {
                hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.vgpu_17_3;
                hardware.nvidia.vgpu.patcher = {
                  enable = true;
                  enablePatcherCmd = true;
                  copyVGPUProfiles."1E04:1111" = "1E30:129E";
                  options = {
                    doNotForceGPLLicense = true;
                    remapP40ProfilesToV100D = true;
                    extra = [ "--no-klogtrace" ];
                  };
                  profileOverrides."256" = {
                    vramAllocation = 2048;
                    heads = 2;
                    enableCuda = true;
                    display.width = 2560;
                    display.height = 1440;
                    framerateLimit = 0;
                    xmlConfig.ftrace = 1;
                  };
                };
              }
            ))
          ];
        };
      };
  });

  # The driver's file is somewhere else, and the licence server has a certificate of its own.
  licensedGuest = machineOf [
    (import ../../.. { guest = true; })
    (configuration (
      { config, ... }:
      {
        services.xserver.videoDrivers = [ "nvidia" ];
        hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.grid_18_1;
        hardware.nvidia.vgpu = {
          griddUnlock = {
            enable = true;
            rootCaFile = ../../../crates/vgpu/tests/certificates/good.pem;
          };
          driverSource = {
            name = "guest.run";
            url = "https://intranet.example.org/nvidia/guest.run";
            sha256 = hashOf "A";
            curlOptsList = [
              "--user"
              "reader:two words"
            ];
          };
        };
      }
    ))
  ];

  # A release that is in no catalog, with a patcher of its own, which is changed again.
  mergedHost = machineOf [
    (import ../../.. { guest = false; })
    (configuration (
      { config, ... }:
      let
        packages = config.boot.kernelPackages.nvidiaPackages;
        own = packages.mkVgpuDriver {
          version = "560.10.01";
          sha256 = hashOf "B";
          guestVersion = "560.10.02";
          guestSha256 = hashOf "C";
          useSettings = true;
          settingVersion = "560.9";
          settingsSha256 = hashOf "D";
          usePersistenced = true;
          persistencedVersion = "560.8";
          persistencedSha256 = hashOf "E";
          generalVersion = "560.10";
          gridVersion = "17.98";
          zipFilename = "archive.zip";
          vgpuPatcher = packages.mkVgpuPatcher {
            version = "560.10";
            rev = "refs/heads/560.10";
            sha256 = hashOf "F";
            generalVersion = "560.10";
            generalSha256 = hashOf "G";
            linuxGuest = "560.10.02";
            linuxSha256 = hashOf "H";
            windowsGuestFilename = "560_guest_windows.exe";
            windowsSha256 = hashOf "I";
            gridVersion = "17.98";
            generalUrl = "https://intranet.example.org/nvidia/general.run";
            vgpuUrl = "https://intranet.example.org/nvidia";
          };
          prePatch = ": before patches";
          postPatch = ": after patches";
          patches = [ ];
          patchFlags = [ "-p1" ];
          preInstall = ": before installing";
          postInstall = ": after installing";
          broken = false;
        };
      in
      {
        services.xserver.videoDrivers = [ "nvidia" ];
        hardware.nvidia.open = false;
        hardware.nvidia.package = own.overrideAttrs (
          self: _: {
            patcher = self.patcher.override { rev = "1111111111111111111111111111111111111111"; };
          }
        );
        hardware.nvidia.vgpu.patcher.enable = true;
        hardware.nvidia.vgpu.driverSource = {
          name = "mine.zip";
          url = null;
        };
      }
    ))
  ];

  withDriver = evaluated: whole evaluated // { driver = (packageOf evaluated).name; };
  fineWith = driver: fine // { inherit driver; };
in
{
  "test a patched host by flake, its driver out of nvidiaPackages" = {
    expr = withDriver patchedHost // {
      flags = lib.last (lib.splitString "-- " (packageOf patchedHost).src.buildCommand);
      profiles = lib.hasSuffix "-vgpuConfig.xml" patchedHost.config.hardware.nvidia.vgpu.vgpuConfig;
      command = lib.any (package: lib.getName package == "nvidia-vup") (
        patchedHost.config.environment.systemPackages
      );
    };
    expected = fineWith "nvidia-vgpu-host-550.90.05" // {
      flags = "--remap-p2v --no-klogtrace vgpu-kvm\n";
      profiles = true;
      command = true;
    };
  };
  "test a guest without flakes, its driver's file and certificate from the user" = {
    expr = withDriver licensedGuest // {
      source = {
        inherit ((packageOf licensedGuest).src)
          name
          url
          outputHash
          curlOptsList
          ;
      };
      unlocked = lib.hasInfix "nvidia-gridd-unlocked" (
        licensedGuest.config.systemd.services.nvidia-gridd.serviceConfig.ExecStart
      );
    };
    expected = fineWith "nvidia-vgpu-guest-570.133.20" // {
      source = {
        name = "guest.run";
        url = "https://intranet.example.org/nvidia/guest.run";
        outputHash = hashOf "A";
        curlOptsList = [
          "--user"
          "reader:two words"
        ];
      };
      unlocked = true;
    };
  };
  "test a merged host without flakes, its driver and patcher made by the user" = {
    expr =
      let
        driver = packageOf mergedHost;
      in
      withDriver mergedHost
      // {
        tools = [
          driver.settings.version
          driver.persistenced.version
        ];
        inherit (driver) preInstall postInstall;
        archive = driver.vgpu.source.name;
        target = lib.last (lib.splitString " " driver.src.buildCommand);
        inherit (driver.patcher.src) rev;
      };
    expected = fineWith "nvidia-vgpu-host-merged-560.10" // {
      tools = [
        "560.9"
        "560.8"
      ];
      preInstall = ": before installing";
      postInstall = ": after installing";
      archive = "mine.zip";
      target = "general-merge\n";
      rev = "1111111111111111111111111111111111111111";
    };
  };
}
