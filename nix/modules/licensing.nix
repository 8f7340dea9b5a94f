# The licence of a guest: nvidia-gridd, and licence servers with a certificate authority of their own.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.hardware.nvidia.vgpu;
  inherit (config.hardware.nvidia) package;

  ours = import ../lib/is-ours.nix { inherit config lib options; };

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
in
{
  options.hardware.nvidia.vgpu.griddUnlock = {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether to make `nvidia-gridd` accept a licence server with its own certificate authority, such as
        fastapi-dls, by running gridd-unlock-patcher on it. Only drivers of 18.x need it.
      '';
    };

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
      ];
    }

    (lib.mkIf ours {
      assertions = [
        {
          assertion = cfg.griddUnlock.enable -> lib.hasPrefix "18." package.vgpu.gridVersion;
          message = ''
            hardware.nvidia.vgpu.griddUnlock.enable is for releases 18.x; this is ${package.vgpu.gridVersion}, whose nvidia-gridd
            gridd-unlock-patcher does not know. Set it to false: older drivers take any licence server.
          '';
        }
      ];

      # Who may talk to the licensing services.
      services.dbus.packages = [ package.vgpu.programs ];

      environment.etc."nvidia/gridd.conf.template".source = "${package.out}/gridd.conf.template";

      systemd.services.nvidia-gridd = {
        description = "NVIDIA Grid Daemon";
        wantedBy = [ "multi-user.target" ];
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
          # Where it keeps its licence: /var/lib/nvidia.
          StateDirectory = "nvidia";
        };
      };
    })
  ];
}
