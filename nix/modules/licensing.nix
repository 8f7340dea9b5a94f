# Licences of a guest: nvidia-gridd, its settings and token, who may talk to it, and licence servers with their own root
# certificate.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.hardware.nvidia.vgpu;
  inherit (cfg) licensing;
  inherit (config.hardware.nvidia) package;

  driverIsOurs = import ../lib/driver-is-ours.nix { inherit config; };
  certificateProblem = lib.mapNullable (import ../lib/certificate-problem.nix {
    inherit lib;
  }) cfg.griddUnlock.rootCaFile;

  gridd =
    if cfg.griddUnlock.enable then
      pkgs.callPackage ../packages/unlocked-gridd.nix
        {
          vgpu = package.vgpu.program;
          gridd-unlock-patcher = pkgs.callPackage ../packages/gridd-unlock-patcher.nix { };
        }
        {
          driver = package;
          inherit (cfg.griddUnlock) rootCaFile;
        }
    else
      package.vgpu.programs;

  # It is a string. A path in a string would copy the token into the store.
  tokenFile = lib.mapNullable toString licensing.tokenFile;
  inStore = tokenFile != null && lib.hasPrefix "${builtins.storeDir}/" tokenFile;
  hasToken = tokenFile != null && !inStore;

  # A directory for the token alone. nvidia-gridd reads the directory and takes files with this ending.
  tokenDirectory = "nvidia-gridd-token";
  tokenName = "client_configuration_token.tok";

  # These numbers are NVIDIA's, from gridd.conf.template.
  featureTypes = {
    automatic = null;
    vgpu = 1;
    workstation = 2;
    compute = 4;
  };

  griddConf =
    lib.filterAttrs (_: value: value != null) {
      ClientConfigTokenPath = if hasToken then "/run/${tokenDirectory}" else null;
      FeatureType = featureTypes.${licensing.featureType};
      ProxyServerAddress = licensing.proxy.address;
      ProxyServerPort = if licensing.proxy.address == null then null else licensing.proxy.port;
    }
    // licensing.settings;

  configured = griddConf != { };

  griddConfFile = pkgs.writeText "gridd.conf" (
    lib.generators.toKeyValue {
      mkKeyValue = lib.generators.mkKeyValueDefault {
        mkValueString =
          value: if lib.isBool value then lib.toUpper (lib.boolToString value) else toString value;
      } "=";
    } griddConf
  );
in
{
  options.hardware.nvidia.vgpu = {
    licensing = {
      tokenFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/run/secrets/vgpu.tok";
        description = ''
          The client configuration token of your licence server, as a file on the guest that is outside the Nix store:
          where sops-nix or agenix put it, for instance, readable by root alone. It is handed to `nvidia-gridd` at
          every start, so restart that service after the token has changed. `null` leaves tokens to you, in
          `/etc/nvidia/ClientConfigToken`. `vgpu license token FILE` tells what is wrong with one.
        '';
      };

      featureType = mkOption {
        type = types.enum (lib.attrNames featureTypes);
        default = "automatic";
        example = "workstation";
        description = ''
          The licence to ask for. With a vGPU its profile decides, and `"automatic"` is right. Set it when a whole GPU
          is passed through: `"workstation"` for RTX Virtual Workstation, `"compute"` for Virtual Compute Server.
          `"vgpu"` writes down what a vGPU has anyway: vApps, vPC or vWS, by its profile.
        '';
      };

      proxy = {
        address = mkOption {
          type = types.nullOr (types.strMatching "[^[:space:]]+") // {
            description = "null or name or address";
          };
          default = null;
          example = "proxy.example.org";
          description = ''
            The proxy between this guest and NVIDIA's licence server in the cloud (CLS), for networks that have no
            other way out.
          '';
        };

        port = mkOption {
          type = types.port;
          default = 3128;
          example = 8080;
          description = "TCP port of the proxy.";
        };
      };

      settings = mkOption {
        type = types.attrsOf (
          types.oneOf [
            types.bool
            types.int
            (types.strMatching "[^\n]*")
          ]
        );
        default = { };
        example = {
          EnableUI = true;
        };
        description = ''
          Further settings for `/etc/nvidia/gridd.conf`, by NVIDIA's names; they win over the options above.
          `/etc/nvidia/gridd.conf.template` explains them. Everyone on this machine can read them. As soon as any option
          under {option}`hardware.nvidia.vgpu.licensing` is set, NixOS writes `gridd.conf`; before that it is yours.
        '';
      };
    };

    griddUnlock = {
      enable = lib.mkEnableOption ''
        licence servers with their own certificate authority, such as fastapi-dls, by running gridd-unlock-patcher on
        `nvidia-gridd`. Drivers from 18.0 on need it; those of 16.x and 17.x take any licence server'';

      rootCaFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = lib.literalExpression "./root_certificate.pem";
        description = ''
          The licence server's root certificate, in PEM. fastapi-dls serves it at
          `https://SERVER/-/config/root-certificate`. Needed when
          {option}`hardware.nvidia.vgpu.griddUnlock.enable` is set; everyone can read it in the Nix store, so it must not
          have the private key in it.
        '';
      };
    };
  };

  config = lib.mkMerge [
    {
      assertions = [
        {
          assertion = cfg.griddUnlock.enable -> cfg.griddUnlock.rootCaFile != null;
          message = ''
            hardware.nvidia.vgpu.griddUnlock.enable needs the certificate of your licence server.
            Set hardware.nvidia.vgpu.griddUnlock.rootCaFile to it.
          '';
        }
        {
          assertion = !inStore;
          message = ''
            hardware.nvidia.vgpu.licensing.tokenFile is in the Nix store, ${toString tokenFile}, where every user can read it.
            Set it to a path on the guest, as a string: "/run/secrets/vgpu.tok" (sops-nix, agenix), or a file that
            you put there by hand, readable by root alone.
          '';
        }
        {
          # Files that a build makes are not checked. They are not there yet.
          assertion =
            cfg.griddUnlock.enable && cfg.griddUnlock.rootCaFile != null
            ->
              builtins.hasContext "${toString cfg.griddUnlock.rootCaFile}"
              || builtins.pathExists cfg.griddUnlock.rootCaFile;
          message = ''
            hardware.nvidia.vgpu.griddUnlock.rootCaFile: there is no file ${toString cfg.griddUnlock.rootCaFile}.
            Download it from your licence server (https://SERVER/-/config/root-certificate) and, in a flake, add it to git.
          '';
        }
        {
          # This is checked before the file is in the store.
          assertion = cfg.griddUnlock.enable -> certificateProblem == null;
          message = ''
            hardware.nvidia.vgpu.griddUnlock.rootCaFile has more in it than one certificate, and everyone can read the Nix store:
            ${toString cfg.griddUnlock.rootCaFile} ${toString certificateProblem}.
            Leave the lines from BEGIN CERTIFICATE to END CERTIFICATE and comments that begin with #, and remove the others.
          '';
        }
      ];
    }

    (lib.mkIf driverIsOurs {
      assertions = [
        {
          assertion = cfg.griddUnlock.enable -> lib.versionAtLeast package.vgpu.gridVersion "18.0";
          message = ''
            hardware.nvidia.vgpu.griddUnlock.enable: this is release ${package.vgpu.gridVersion}, and before 18.0 there is nothing to
            unlock: nvidia-gridd takes any licence server. Set it to false.
          '';
        }
      ];

      # Who may talk to the licensing services.
      services.dbus.packages = [ package.vgpu.programs ];

      environment.etc."nvidia/gridd.conf.template".source = "${package.out}/gridd.conf.template";

      systemd.services.nvidia-gridd = {
        description = "NVIDIA Grid Daemon";
        wantedBy = [ "multi-user.target" ];
        # A switch to another release leaves the old kernel modules in place until the machine is started again, and the
        # new nvidia-gridd cannot talk to those: it would end, and the licence with it. The old one keeps both.
        restartIfChanged = false;
        wants = [ "network-online.target" ];
        after = [
          "network-online.target"
          "nvidia-persistenced.service"
        ];
        environment.LD_LIBRARY_PATH = "${package.out}/lib";
        serviceConfig = {
          Type = "forking";
          ExecStart = "${gridd}/bin/nvidia-gridd";
          ExecStopPost = "${pkgs.coreutils}/bin/rm -rf /var/run/nvidia-gridd";
          # It keeps its licence in /var/lib/nvidia.
          StateDirectory = "nvidia";
        };
      };
    })

    (lib.mkIf (driverIsOurs && configured) {
      environment.etc."nvidia/gridd.conf".source = griddConfFile;

      # New settings reach a running nvidia-gridd, which is not restarted by itself (see above). Where the modules in the
      # kernel are not this driver's, they wait for the next start of the machine, with the rest of the new release.
      systemd.services.nvidia-gridd-settings = {
        description = "Settings of the NVIDIA Grid Daemon";
        wantedBy = [ "multi-user.target" ];
        after = [ "nvidia-gridd.service" ];
        reloadIfChanged = true;
        restartTriggers = [ griddConfFile ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${pkgs.coreutils}/bin/true";
          ExecReload = pkgs.writeShellScript "restart-nvidia-gridd" ''
            if [ "$(cat /sys/module/nvidia/version)" = ${package.version} ]; then
              ${config.systemd.package}/bin/systemctl --no-block try-restart nvidia-gridd.service
            fi
          '';
        };
      };

      systemd.services.nvidia-gridd = {
        # Licences depend on the clock: an hour's difference and the server refuses. NixOS reaches time-sync.target as soon
        # as timesyncd runs, so that the clock itself is waited for, too: not longer than a minute, since a network may
        # have a licence server and no time server.
        wants = [ "time-sync.target" ];
        after = [ "time-sync.target" ];
        serviceConfig.ExecStartPre = lib.mkIf config.services.timesyncd.enable (
          lib.mkBefore [
            "-${pkgs.coreutils}/bin/timeout 60 ${config.systemd.package}/lib/systemd/systemd-time-wait-sync"
          ]
        );
      };
    })

    (lib.mkIf (driverIsOurs && hasToken) {
      systemd.services.nvidia-gridd = {
        # If the file is missing, `systemctl status` then names it.
        unitConfig.AssertPathExists = tokenFile;
        serviceConfig = {
          LoadCredential = "${tokenName}:${tokenFile}";
          # systemd's directory of credentials can't be written to, and what nvidia-gridd does in the directory of its
          # token is not documented. So it gets a copy in a directory of its own, which root alone can enter and which
          # goes when it stops.
          RuntimeDirectory = tokenDirectory;
          RuntimeDirectoryMode = "0700";
          ExecStartPre = [
            "${pkgs.coreutils}/bin/install -m 0400 %d/${tokenName} /run/${tokenDirectory}/${tokenName}"
          ];

          # It is root and talks to the network. These take away what no licence client needs; the devices of the GPU, the
          # network and /var/lib/nvidia stay.
          LockPersonality = true;
          NoNewPrivileges = true;
          PrivateTmp = true;
          ProtectControlGroups = true;
          ProtectHome = true;
          ProtectKernelLogs = true;
          ProtectKernelTunables = true;
          ProtectSystem = "full";
          RestrictNamespaces = true;
          RestrictRealtime = true;
          RestrictSUIDSGID = true;
          SystemCallArchitectures = "native";
        };
      };
    })
  ];
}
