# Where a driver comes from: the options under hardware.nvidia.vgpu.driverSource, applied to a release.
#
#   { role, release, driverSource } → a derivation that is the .zip or .run file
#
# `release` has the attributes of mkVgpuDriver. What the file is called decides its type; a sha256 of the
# user's own is always that of a .run file; otherwise hosts take the archive and guests the .run file.
{
  lib,
  fetchurl,
  requireFile,
  runCommand,
}:

{
  role,
  release,
  driverSource,
}:

let
  inherit (driverSource) sha256 curlOptsList netrc;
  host = role == "host";
  option = "hardware.nvidia.vgpu.driverSource";

  version = if host then release.version else release.guestVersion;
  runName = "NVIDIA-Linux-x86_64-${version}-${if host then "vgpu-kvm" else "grid"}.run";

  extension =
    if driverSource.name != null then
      lib.last (lib.splitString "." driverSource.name)
    else if sha256 != null then
      "run"
    else if host then
      "zip"
    else
      "run";
  zip = extension == "zip";

  name =
    if driverSource.name != null then
      driverSource.name
    else if zip then
      release.zipFilename
    else
      runName;

  hash =
    if sha256 != null then
      if zip then
        throw ''
          ${option}.name is "${name}", a .zip archive, but ${option}.sha256 is the hash of a .run file.
          Give the name of the .run file, or leave sha256 out: the hash of the archive is known from the release.''
      else
        sha256
    else if zip then
      release.sha256
    else if host then
      throw ''
        ${option}.name is "${name}", a .run file, and only the hash of the archive is known for hosts.
        Set ${option}.sha256 to what this prints: nix-hash --flat --base32 --type sha256 ${name}''
    else
      release.guestSha256;

  # One address fits every release.
  fill =
    lib.replaceStrings
      [
        "@release@"
        "@version@"
      ]
      [
        release.gridVersion
        version
      ];
  url = lib.mapNullable fill driverSource.url;

  origin =
    if host then
      ''
        It is not public: log in to NVIDIA's licensing portal, https://ui.licensing.nvidia.com, and get vGPU
        software ${release.gridVersion} for "Linux KVM" under Software Downloads.''
    else
      ''
        Guest drivers are in the archive of vGPU software ${release.gridVersion} and in public at
        ${fill (import ./public-bucket.nix)}'';

  missing = ''
    ${name} is not in the Nix store.

    It is the ${role} driver of NVIDIA vGPU ${release.gridVersion}, ${
      if zip then "inside the GRID archive" else "as a .run file"
    }.
    ${origin}

    When you have it, check it and add it to the store:

      vgpu import ${name}

    or, without that program:

      nix-store --add-fixed sha256 ${name}

    ${
      lib.optionalString (release.oneRecord or false) ''
        Its hash is known from one public record alone. If your file from NVIDIA has another, `vgpu import` prints
        the configuration that takes it.

      ''
    }The file must have this very name. To fetch it from a server of your own, set
    ${option}.url.
  '';

  # A release that we know of, but whose file nobody has hashed for us yet.
  unpinned =
    runCommand name
      {
        allowSubstitutes = false;
        preferLocalBuild = true;
      }
      ''
        cat >&2 <<'MESSAGE'

        NVIDIA vGPU ${release.gridVersion} is known, but not the hash of ${name}.

        ${origin}

        Then let `vgpu import ${name}` add it to the store and print the configuration, or do it by hand:

          nix-store --add-fixed sha256 ${runName}
          nix-hash --flat --base32 --type sha256 ${runName}

        and set what the second command prints:

          ${option} = {
            name = "${runName}";
            sha256 = "…";
          };

        To use the archive instead, give mkVgpuDriver its hash:

          hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.mkVgpuDriver {
            version = "${release.version}";
            sha256 = "…"; # nix-hash --flat --base32 --type sha256 ${release.zipFilename}
            guestVersion = "${release.guestVersion}";
            guestSha256 = "…"; # of NVIDIA-Linux-x86_64-${release.guestVersion}-grid.run; any on a host
            generalVersion = "${release.generalVersion}";
            gridVersion = "${release.gridVersion}";
            zipFilename = "${release.zipFilename}";
            useSettings = false;
            usePersistenced = false;
            vgpuPatcher = null;
          };

        MESSAGE
        exit 1
      '';

  # With an empty hash Nix says what it should have been.
  hashOrFake = if hash == "" then lib.fakeHash else hash;
in
if hash == null then
  unpinned
else if url != null && netrc then
  # Nix downloads this one itself, and is the only one who may read its netrc file: builds can't.
  import <nix/fetchurl.nix> {
    inherit name url;
    sha256 = hashOrFake;
  }
else if url != null then
  fetchurl {
    inherit name url curlOptsList;
    sha256 = hashOrFake;
  }
else
  requireFile {
    inherit name;
    sha256 = hashOrFake;
    message = missing;
  }
