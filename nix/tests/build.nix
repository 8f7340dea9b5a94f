# Drivers to build for real, with the machine's own tools. tests/nix_build.rs does.
#
# hashes: SRI hashes of the sample's files: { zip, host, guest }, the archive and the two .run files
{
  lib ? import <nixpkgs/lib>,
  vgpu,
  hashes,
  release ? "25.11",
}:

let
  evaluate =
    guest: module:
    (import ./eval.nix { inherit lib vgpu release; } {
      inherit guest;
      modules = [
        module
        { services.xserver.videoDrivers = lib.mkIf guest [ "nvidia" ]; }
      ];
    }).config;

  sample =
    changes:
    { config, ... }:
    {
      hardware.nvidia.package = import ./sample-driver.nix {
        inherit (config.boot.kernelPackages) nvidiaPackages;
        inherit (hashes) zip guest;
        inherit changes;
      };
    };
  fromStore.hardware.nvidia.vgpu.driverSource.url = null;

  host = evaluate false (sample { });
  guest = evaluate true {
    imports = [
      (sample { })
      fromStore
    ];
  };
  declaring =
    instances:
    (evaluate false {
      imports = [ (sample { }) ];
      hardware.nvidia.vgpu = { inherit instances; };
    }).environment.etc."nvidia/vgpu/instances.json".source;
  parts =
    { hardware, ... }:
    let
      driver = hardware.nvidia.package;
    in
    lib.listToAttrs (
      map (output: {
        name = output.outputName;
        value = output;
      }) driver.all
    );
in
{
  host = parts host;
  guest = parts guest;

  # The host's driver from its .run file, whose hash the user gives.
  hostFromRun = parts (
    evaluate false {
      hardware.nvidia.vgpu = {
        release = "17.6";
        driverSource.sha256 = hashes.host;
      };
    }
  );

  # The guest's from the archive, by its name.
  guestFromZip = parts (
    evaluate true {
      imports = [ (sample { }) ];
      hardware.nvidia.vgpu.driverSource.name = "NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip";
    }
  );

  # A driver that somebody changes on the way.
  hooked = parts (
    evaluate false (sample {
      prePatch = "echo before >> vgpuConfig.xml";
      patches = [
        (builtins.toFile "greeting.patch" ''
          --- a/greeting
          +++ b/greeting
          @@ -0,0 +1 @@
          +hello
        '')
      ];
      postPatch = "test -e greeting && echo after >> vgpuConfig.xml";
      preInstall = "echo installing >> vgpuConfig.xml";
      postInstall = "echo installed > $out/installed";
    })
  );

  # The same by overrideAttrs.
  overridden =
    lib.head
      (host.hardware.nvidia.package.overrideAttrs { postInstall = "echo installed > $out/installed"; })
      .all;

  # Profiles changed: made from the driver, without building it again.
  profiles =
    let
      inherit
        (evaluate false {
          imports = [ (sample { }) ];
          hardware.nvidia.vgpu.patcher.profileOverrides."46".heads = 2;
        })
        hardware
        ;
    in
    (import ./host-tools.nix { inherit lib; }).runCommand "profiles" { }
      "cp ${hardware.nvidia.vgpu.vgpuConfig} $out";

  # vGPUs declared, of which the driver has the profiles, and not.
  instances = declaring { office.profile = "P40-2Q"; };
  misspelt = declaring { office.profile = "P40-3Q"; };

  # Fails unless every file is there that the modules' services start and /etc points to.
  referred =
    let
      files =
        config:
        # The program, without its arguments.
        map (service: lib.head (lib.splitString " " service.serviceConfig.ExecStart)) (
          lib.attrValues config.systemd.services
        )
        ++ map (file: file.source) (
          lib.attrValues (removeAttrs config.environment.etc [ "nvidia/nvidia-application-profiles-rc" ])
        );
    in
    lib.mapAttrs
      (
        name: config:
        (import ./host-tools.nix { inherit lib; }).runCommand "${name}-refers-to" { } (
          lib.concatMapStrings (file: "test -e ${file} && echo ${file} >> $out\n") (files config)
        )
      )
      {
        inherit host guest;
      };

  # Archives that nobody has put into the store.
  missing = (evaluate false { hardware.nvidia.vgpu.release = "16.2"; }).hardware.nvidia.package.src;
  unpinned = (evaluate true { hardware.nvidia.vgpu.release = "19.2"; }).hardware.nvidia.package.src;
}
