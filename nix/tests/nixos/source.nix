# Where a driver's file comes from: the options of driverSource.
{
  lib,
  host,
  guest,
  throws,
  ...
}:

let
  plainHost = host { };
  plainGuest = guest { };
  srcOf = machine: machine.config.hardware.nvidia.package.src;
  releases = import ../../lib/releases.nix { inherit lib; };

  refusedSource =
    driverSource:
    throws
      (host { hardware.nvidia.vgpu.driverSource = driverSource; })
      .config.hardware.nvidia.vgpu.driverSource;
in
{
  "test a host's archive comes from the store" = {
    expr = [
      (srcOf plainHost).name
      (srcOf plainHost).outputHash
      (plainHost.config.hardware.nvidia.vgpu.driverSource.url)
    ];
    expected = [
      "NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip"
      releases."17_3".zip_sha256
      null
    ];
  };
  "test what is missing from the store comes with the way to get it there" = {
    expr =
      let
        # As packages call it, with a requireFile that keeps what it is told.
        source = import ../../lib/driver-source.nix {
          inherit lib;
          fetchurl = throw "downloaded";
          runCommand = throw "unpinned";
          requireFile = arguments: arguments;
        };
        message =
          oneRecord:
          (source {
            role = "host";
            release = {
              inherit oneRecord;
              version = "550.90.05";
              gridVersion = "17.3";
              zipFilename = "grid.zip";
              sha256 = lib.fakeHash;
            };
            driverSource = {
              name = null;
              url = null;
              sha256 = null;
              netrc = false;
              curlOptsList = [ ];
            };
          }).message;
        once = lib.hasInfix "known from one public record alone";
      in
      map (text: lib.hasInfix text (message false)) [
        "nix-store --add-fixed sha256 grid.zip"
        "vgpu import grid.zip"
        "https://ui.licensing.nvidia.com"
      ]
      ++ map once [
        (message false)
        (message true)
      ];
    expected = [
      true
      true
      true
      false
      true
    ];
  };
  "test a guest's driver is downloaded from NVIDIA" = {
    expr = [
      (srcOf plainGuest).name
      (srcOf plainGuest).url
      (srcOf plainGuest).outputHash
    ];
    expected = [
      "NVIDIA-Linux-x86_64-550.90.07-grid.run"
      "https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU17.3/NVIDIA-Linux-x86_64-550.90.07-grid.run"
      releases."17_3".guest_sha256
    ];
  };
  "test driverSource.name names the file" = {
    expr =
      (srcOf (host {
        hardware.nvidia.vgpu.driverSource.name = "mine.zip";
      })).name;
    expected = "mine.zip";
  };
  "test driverSource.name forces the type on guests" = {
    expr =
      let
        src = srcOf (guest {
          hardware.nvidia.vgpu.driverSource.name = "mine.zip";
        });
      in
      [
        src.name
        src.outputHash
        (src ? url)
      ];
    expected = [
      "mine.zip"
      releases."17_3".zip_sha256
      false
    ];
  };
  "test driverSource.url downloads" = {
    expr =
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
    expected = [
      "https://files.lan/17.3/550.90.05.zip"
      [
        "-u"
        "admin:some nice password"
      ]
      "NVIDIA-GRID-Linux-KVM-550.90.05-550.90.07-552.74.zip"
    ];
  };
  "test driverSource.url = null forces the store on guests" = {
    expr =
      let
        src = srcOf (guest {
          hardware.nvidia.vgpu.driverSource.url = null;
        });
      in
      [
        (src ? url)
        src.name
      ];
    expected = [
      false
      "NVIDIA-Linux-x86_64-550.90.07-grid.run"
    ];
  };
  "test driverSource.sha256 means a .run file" = {
    expr =
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
          guest
        ];
    expected = [
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
  "test driverSource.sha256 against driverSource.name fails" = {
    expr =
      (builtins.tryEval
        (srcOf (host {
          hardware.nvidia.vgpu.driverSource = {
            name = "mine.zip";
            sha256 = "hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
          };
        })).name
      ).success;
    expected = false;
  };
  "test an unpinned release says which hash to give, and how" = {
    expr =
      let
        inherit ((guest { hardware.nvidia.vgpu.release = "19.2"; }).config.hardware.nvidia.package.src)
          buildCommand
          ;
      in
      map (text: lib.hasInfix text buildCommand) [
        "NVIDIA-GRID-Linux-KVM-580.95.02-580.95.05-581.42.zip"
        "nix-hash --flat --base32 --type sha256 NVIDIA-Linux-x86_64-580.95.05-grid.run"
        "hardware.nvidia.vgpu.driverSource"
        "mkVgpuDriver"
      ];
    expected = [
      true
      true
      true
      true
    ];
  };
  "test driverSource pins an unpinned release" = {
    expr =
      (srcOf (guest {
        hardware.nvidia.vgpu.release = "19.2";
        hardware.nvidia.vgpu.driverSource.sha256 = "hR0b+ctNdXhDA6J1Zo1tYEgMtCvoBQ4jQpQvg1/Kjg4=";
      })).name;
    expected = "NVIDIA-Linux-x86_64-580.95.05-grid.run";
  };
  "test driverSource is typed" = {
    expr = map refusedSource [
      { name = "driver.exe"; }
      { name = "../driver.zip"; }
      { url = "files.lan"; }
      { sha256 = "sha1-abc"; }
      { curlOptsList = "-u"; }
      { sha256 = ""; }
      { }
    ];
    expected = [
      true
      true
      true
      true
      true
      false
      false
    ];
  };

  "test an empty hash lets Nix tell the right one" = {
    expr =
      (srcOf (host {
        hardware.nvidia.vgpu.driverSource = {
          url = "https://files.lan/driver.run";
          sha256 = "";
        };
      })).outputHash;
    expected = lib.fakeHash;
  };
}
