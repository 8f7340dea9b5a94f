# The modules without flakes: (import … { guest = true; }) in a configuration's imports.
{
  # Whether the machine is a virtual machine that uses a vGPU, rather than the host that lends it.
  guest ? false,
}:

if guest then ./nix/modules/guest.nix else ./nix/modules/host.nix
