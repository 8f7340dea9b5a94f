# Since 26.05 nixpkgs builds kernel modules apart from the driver, in a file of this name.
{ }
