# Which kernels a driver's modules compile against: catalog/kernels.toml, as the modules and derivations ask it.
#
# `available`: whether a package set has linuxPackages_… of that name; without it, all are taken to be there.
{
  lib,
  available ? _: true,
}:

let
  data = builtins.fromTOML (builtins.readFile ../../catalog/kernels.toml);

  series = kernel: lib.versions.majorMinor kernel;

  # What was measured of the driver, or of the nearest one before it in its branch; null for a branch nobody measured.
  measurement =
    driver:
    let
      branch = lib.filter (m: lib.versions.major m.driver == lib.versions.major driver) data.measured;
      older = lib.filter (m: lib.versionAtLeast driver m.driver) branch;
      byVersion = lib.sort (a: b: lib.versionOlder a.driver b.driver);
    in
    if older != [ ] then
      lib.last (byVersion older)
    else if branch != [ ] then
      lib.head (byVersion branch)
    else
      null;

  # The kernels that compile, oldest first.
  compiling = measured: lib.sort lib.versionOlder measured.compiles;

  # nixpkgs' names of the series that compile.
  packages =
    measured:
    lib.filter available (
      map (version: "linuxPackages_${lib.replaceStrings [ "." ] [ "_" ] version}") (
        lib.unique (map series (compiling measured))
      )
    );
in
{
  # What to do when modules do not compile.
  advice =
    driver:
    let
      measured = measurement driver;
      names = if measured == null then [ ] else packages measured;
    in
    if names == [ ] then
      "choose another kernel (boot.kernelPackages) or a newer release of the driver"
    else
      "choose a kernel that is known to work: boot.kernelPackages = ${
        lib.concatMapStringsSep " or " (name: "pkgs.${name}") names
      };";

  # Why the modules of a driver are not expected to compile with a kernel; null where there is no reason to doubt.
  doubt =
    { driver, kernel }:
    let
      measured = measurement driver;
      versions = compiling measured;
      # A kernel stands for those of its series that came before it, and a failing one for those that came after.
      failing = lib.filter (
        failure: series failure.kernel == series kernel && lib.versionAtLeast kernel failure.kernel
      ) measured.fails or [ ];
    in
    if measured == null then
      null
    else if failing != [ ] then
      "they do not with ${(lib.last failing).kernel}: ${(lib.last failing).error}"
    else if lib.versionOlder kernel (series (lib.head versions)) then
      "the oldest that was tried is ${lib.head versions}"
    else if lib.versionOlder (series (lib.last versions)) (series kernel) then
      "the newest that was tried is ${lib.last versions}"
    else
      null;

  # Why virtual machines may not start on a host with this kernel; null where there is no reason to doubt. Modules can
  # compile, and still fail then: Linux 6.19 has a core of VFIO that asks a driver for its regions through a function
  # of its own, get_region_info_caps in struct vfio_device_ops, and no longer through its ioctl. A driver without it still
  # compiles. The sources of nvidia-vgpu-vfio are not public, so what its releases have was not looked at.
  hostDoubt =
    kernel:
    let
      older = lib.filter (version: lib.versionOlder version "6.19") (
        lib.concatMap (measured: measured.compiles) data.measured
      );
      names = packages { compiles = older; };
    in
    if lib.versionOlder kernel "6.19" then
      null
    else
      ''
        since Linux 6.19 VFIO asks drivers in another way for the regions of a device (get_region_info_caps), and
        nvidia-vgpu-vfio was not tried with it. If QEMU reports no regions, choose an older kernel${
          lib.optionalString (names != [ ])
            ": boot.kernelPackages = ${lib.concatMapStringsSep " or " (name: "pkgs.${name}") names};"
        }'';
}
