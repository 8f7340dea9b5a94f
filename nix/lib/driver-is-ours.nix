# Whether hardware.nvidia.package is one of our drivers. The driver is asked, not the options: it can be chosen by
# `package`, by nixpkgs' `branch` or by our `release`. Asking needs no licence accepted: only building does.
{ config, ... }:

config.hardware.nvidia.package ? vgpu
