# Licences of guests: the unit of nvidia-gridd, gridd.conf, the token's way, and which releases can be unlocked.
{ guest, lib, ... }:

let
  vgpu = options: guest { hardware.nvidia.vgpu = options; };
  unit = machine: machine.config.systemd.units."nvidia-gridd.service".text;
  lines = text: lib.filter (line: line != "") (lib.splitString "\n" text);
  # The lines of the unit that begin with one of these keys, store paths shortened to what the package is called.
  keys =
    machine: wanted:
    lib.filter (line: lib.any (key: lib.hasPrefix "${key}=" line) wanted) (
      lines (lib.concatStrings (shorten (unit machine)))
    );
  shorten =
    text:
    map (part: if lib.isList part then "STORE/" else part) (
      builtins.split "/nix/store/[0-9a-z]{32}-[^/ \n]*/" text
    );
  conf = machine: lines machine.config.environment.etc."nvidia/gridd.conf".source.text;

  plain = guest { };
  licensed = vgpu {
    licensing = {
      tokenFile = "/run/secrets/vgpu.tok";
      featureType = "workstation";
      proxy.address = "proxy.example.org";
      settings.EnableUI = true;
    };
  };
  unlocked =
    release:
    vgpu {
      inherit release;
      griddUnlock = {
        enable = true;
        rootCaFile = ../../../crates/vgpu/tests/certificates/good.pem;
      };
    };
in
{
  "test a guest without options is as it was" = {
    expr = {
      conf = plain.config.environment.etc ? "nvidia/gridd.conf";
      unit = keys plain [
        "After"
        "AssertPathExists"
        "ExecStartPre"
        "LoadCredential"
        "NoNewPrivileges"
        "RuntimeDirectory"
        "StateDirectory"
        "Type"
        "Wants"
        "X-Restart-Triggers"
      ];
    };
    expected = {
      conf = false;
      unit = [
        "After=network-online.target nvidia-persistenced.service"
        "Wants=network-online.target"
        "StateDirectory=nvidia"
        "Type=forking"
      ];
    };
  };

  "test the token is a credential, copied to where root alone can enter" = {
    expr = {
      inherit (licensed) failed;
      unit = keys licensed [
        "AssertPathExists"
        "ExecStartPre"
        "LoadCredential"
        "RuntimeDirectory"
        "RuntimeDirectoryMode"
      ];
    };
    expected = {
      failed = [ ];
      unit = [
        "AssertPathExists=/run/secrets/vgpu.tok"
        "ExecStartPre=-STORE/bin/timeout 60 STORE/lib/systemd/systemd-time-wait-sync"
        "ExecStartPre=STORE/bin/install -m 0400 %d/client_configuration_token.tok /run/nvidia-gridd-token/client_configuration_token.tok"
        "LoadCredential=client_configuration_token.tok:/run/secrets/vgpu.tok"
        "RuntimeDirectory=nvidia-gridd-token"
        "RuntimeDirectoryMode=0700"
      ];
    };
  };

  "test gridd.conf has what the options say" = {
    expr = conf licensed;
    expected = [
      "ClientConfigTokenPath=/run/nvidia-gridd-token"
      "EnableUI=TRUE"
      "FeatureType=2"
      "ProxyServerAddress=proxy.example.org"
      "ProxyServerPort=3128"
    ];
  };

  "test settings win, and leave tokens where NVIDIA looks for them" = {
    expr =
      let
        machine = vgpu {
          licensing = {
            featureType = "compute";
            settings.FeatureType = 0;
          };
        };
      in
      {
        conf = conf machine;
        unit = keys machine [
          "LoadCredential"
          "RuntimeDirectory"
        ];
      };
    expected = {
      conf = [ "FeatureType=0" ];
      unit = [ ];
    };
  };

  "test a changed gridd.conf reaches the licence client, and another release does not meet old modules" =
    {
      expr = {
        client = keys licensed [
          "X-RestartIfChanged"
          "X-Restart-Triggers"
        ];
        settings = map (key: lib.head (lib.splitString "=" key)) (
          lib.filter (line: lib.hasPrefix "X-Re" line || lib.hasPrefix "ExecReload" line) (
            lines licensed.config.systemd.units."nvidia-gridd-settings.service".text
          )
        );
      };
      expected = {
        client = [ "X-RestartIfChanged=false" ];
        settings = [
          "X-Restart-Triggers"
          "X-ReloadIfChanged"
          "ExecReload"
        ];
      };
    };

  "test griddUnlock changes the licence client, not the driver" = {
    expr =
      let
        machines = [
          (vgpu { release = "18.1"; })
          (unlocked "18.1")
        ];
      in
      [
        (lib.allUnique (map (machine: machine.config.hardware.nvidia.package.drvPath) machines))
        (map (
          machine:
          lib.hasInfix "nvidia-gridd-unlocked" machine.config.systemd.services.nvidia-gridd.serviceConfig.ExecStart
        ) machines)
      ];
    expected = [
      false
      [
        false
        true
      ]
    ];
  };

  "test the clock is waited for where there is one to wait for" = {
    expr =
      let
        machine = guest {
          hardware.nvidia.vgpu.licensing.tokenFile = "/run/secrets/vgpu.tok";
          services.timesyncd.enable = false;
        };
      in
      map (machine: lib.hasInfix "time-wait-sync" (unit machine)) [
        plain
        licensed
        machine
      ]
      ++ map (machine: lib.hasInfix "time-sync.target" (unit machine)) [
        plain
        licensed
      ];
    expected = [
      false
      true
      false
      false
      true
    ];
  };

  "test a path without quotes is not copied into the store" = {
    expr = keys (vgpu { licensing.tokenFile = /run/secrets/vgpu.tok; }) [ "LoadCredential" ];
    expected = [ "LoadCredential=client_configuration_token.tok:/run/secrets/vgpu.tok" ];
  };

  "test a token in the store is refused and not used" = {
    expr =
      let
        machine = vgpu { licensing.tokenFile = "${./licensing.nix}"; };
      in
      {
        failed = map (lib.hasInfix "is in the Nix store") machine.failed;
        used = lib.hasInfix "LoadCredential" (unit machine);
      };
    expected = {
      failed = [ true ];
      used = false;
    };
  };

  "test griddUnlock is for 18.0 and everything after it" = {
    expr =
      lib.genAttrs
        [
          "16.11"
          "17.6"
          "18.0"
          "18.4"
          "19.0"
          "20.0"
        ]
        (
          release: lib.length (lib.filter (lib.hasInfix "there is nothing to") (unlocked release).failed) == 0
        );
    expected = {
      "16.11" = false;
      "17.6" = false;
      "18.0" = true;
      "18.4" = true;
      "19.0" = true;
      "20.0" = true;
    };
  };
}
