# What nixpkgs' own nvidia module does by itself, decided here for all of our modules.
{ config, lib }:

rec {
  # The machine's own screens are NVIDIA's, so the driver must have graphics.
  screens = lib.elem "nvidia" config.services.xserver.videoDrivers;

  # Whether it does anything: loads modules, starts services, puts programs on the system path. Where it does not,
  # headless.nix does.
  nixpkgsActs = screens || config.hardware.nvidia.datacenter.enable;
}
