# A package set that needs no binary cache: its derivations run with the tools of the machine they are on. Just
# enough of nixpkgs to evaluate our modules quickly and to build our packages for real. Not hermetic: tests only.
{
  lib ? import <nixpkgs/lib>,
  # A finished `vgpu` with our other programs beside it, as a string; without one the packages evaluate but don't build.
  vgpu ? "/nonexistent/vgpu",
  # The nixpkgs to resemble: "25.11" or "26.05".
  release ? "25.11",
  system ? "x86_64-linux",
  # Kernel headers of Debian's that are installed, for kernel modules.
  kernelRelease ? "6.1.0-47-amd64",
}:

let
  # What is on the machine, in the shape of a package.
  onMachine = name: {
    inherit name;
    type = "derivation";
    outPath = "/usr";
    out = onMachine name;
    meta = { };
  };

  mkDerivation =
    arguments:
    let
      make =
        ofFinal:
        let
          attrs = ofFinal (attrs // { inherit finalPackage; });
          finalPackage = build attrs (
            change:
            make (
              final:
              let
                prev = ofFinal final;
                once = change prev;
              in
              prev // (if lib.isFunction once then change final prev else once)
            )
          );
        in
        finalPackage;
    in
    make (if lib.isFunction arguments then arguments else _: arguments);

  build =
    attrs: overrideAttrs:
    let
      passthru = attrs.passthru or { };
      name = attrs.name or "${attrs.pname}-${attrs.version}";
      structured = attrs.__structuredAttrs or false;
    in
    lib.extendDerivation true
      (
        {
          inherit passthru overrideAttrs;
          meta = {
            inherit name;
          }
          // attrs.meta or { };
        }
        // passthru
      )
      (
        derivation (
          removeAttrs attrs [
            "meta"
            "passthru"
            "realBuilder"
            "builder"
            "finalPackage"
          ]
          // {
            inherit name system;
            stdenv = ./stdenv;
            builder = attrs.realBuilder or "/bin/bash";
            args =
              attrs.args or [
                "-e"
                (attrs.builder or ./stdenv/builder.sh)
              ];
            outputs = attrs.outputs or [ "out" ];
            __ignoreNulls = true;
            nativeBuildInputs = map toString (attrs.nativeBuildInputs or [ ]);
          }
          // lib.optionalAttrs (!structured && attrs ? allowedReferences) {
            allowedReferences = map toString attrs.allowedReferences;
          }
        )
      );

  stdenv = {
    inherit mkDerivation;
    shell = "/bin/bash";
    hostPlatform = {
      inherit system;
      isx86_64 = system == "x86_64-linux";
    };
    cc = onMachine "gcc" // {
      cc = onMachine "gcc";
      isClang = false;
      bintools.dynamicLinker = "/lib64/ld-linux-x86-64.so.2";
    };
  };

  # A download, which tests only look at.
  fixed =
    {
      name ? "source",
      url ? null,
      urls ? [ url ],
      hash ? null,
      sha256 ? hash,
      curlOptsList ? [ ],
      ...
    }:
    mkDerivation {
      inherit name urls curlOptsList;
      outputHash = sha256;
      outputHashAlgo = "sha256";
      buildCommand = "echo 'this package set downloads nothing' >&2; exit 1";
      passthru = { inherit url urls; };
    };

  kernel = version: modDirVersion: {
    inherit version modDirVersion;
    inherit stdenv;
    name = "linux-${version}";
    makeFlags = [ "KERNEL_FLAG=1" ];
    moduleBuildDependencies = [ ];
    kernelAtLeast = lib.versionAtLeast version;
    dev = mkDerivation {
      name = "linux-${version}-headers";
      buildCommand = ''
        mkdir -p $out/lib
        ln -s /lib/modules $out/lib/modules
      '';
    };
    # With other features it is another kernel.
    override = { features }: kernel "${version}-built-again" modDirVersion;
  };

  packagesFor =
    kernel:
    lib.makeExtensible (self: {
      inherit kernel;
      kernelModuleMakeFlags = self.kernel.makeFlags;
      nvidiaPackages = lib.makeExtensible (_: {
        stable = mkDerivation {
          pname = "nvidia-x11";
          version = "580.119.02";
        };
      });
    });

  libraries = lib.genAttrs [
    "dbus"
    "egl-wayland"
    "libGL"
    "libdrm"
    "libgbm"
    "libx11"
    "libxcb"
    "libxext"
    "libxrandr"
    "libxv"
    "openssl"
    "wayland"
    "zlib"
  ] onMachine;

  programs = lib.genAttrs [
    "bash"
    "bzip2"
    "cmake"
    "coreutils"
    "diffutils"
    "file"
    "findutils"
    "gawk"
    "gcc"
    "gnugrep"
    "gnumake"
    "gnupatch"
    "gnused"
    "gnutar"
    "gzip"
    "kbd"
    "kmod"
    "makeWrapper"
    "mono"
    "mscompress"
    "osslsigncode"
    "p7zip"
    "patch"
    "patchelf"
    "pciutils"
    "perl"
    "pkg-config"
    "unzip"
    "util-linux"
    "which"
    "xz"
    "zstd"
  ] onMachine;

  packages =
    self:
    libraries
    // programs
    // {
      inherit lib stdenv;
      stdenvNoCC = stdenv;
      pkgs = self;
      path = ./nixpkgs + "/${release}";
      config = { };
      pkgsi686Linux = self;
      callPackage = lib.callPackageWith self;
      appendOverlays = overlays: lib.foldl' (set: set.extend) self overlays;

      runtimeShell = "/bin/bash";
      runCommand =
        name: env: buildCommand:
        mkDerivation ({ inherit name buildCommand; } // env);
      symlinkJoin = { name, paths, ... }: self.runCommand name { inherit paths; } "mkdir $out";
      writeText = name: text: builtins.toFile name text;
      writeShellScript =
        name: text:
        mkDerivation {
          inherit name;
          script = "#!/bin/bash\n${text}\n";
          buildCommand = ''
            printf %s "$script" > $out
            chmod +x $out
          '';
        };
      writeShellScriptBin =
        name: text:
        mkDerivation {
          inherit name;
          script = "#!/bin/bash\n${text}\n";
          buildCommand = ''
            mkdir -p $out/bin
            printf %s "$script" > $out/bin/${name}
            chmod +x $out/bin/${name}
          '';
        };

      # Takes the place of nixpkgs' tool that removes the hashes of store paths from a file.
      nukeReferences = mkDerivation {
        name = "nuke-references";
        buildCommand = ''
          mkdir -p $out/bin
          cat > $out/bin/nuke-refs <<'EOF_SCRIPT'
          #!/bin/bash
          for file; do sed -i 's|${builtins.storeDir}/[0-9a-z]\{32\}-|${builtins.storeDir}/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-|g' "$file"; done
          EOF_SCRIPT
          chmod +x $out/bin/nuke-refs
        '';
      };

      rustc.version = "1.91.0";
      rustPlatform = self.makeRustPlatform { inherit (self) rustc; };
      makeRustPlatform =
        { rustc, ... }:
        assert lib.versionAtLeast rustc.version "1.88";
        {
          buildRustPackage =
            {
              pname,
              version,
              meta,
              passthru,
              src,
              cargoLock,
              ...
            }:
            mkDerivation {
              inherit pname version meta;
              # A change of its sources makes it another program, as with the real one.
              sources = "${src}";
              lock = cargoLock.lockFileContents;
              buildCommand = ''
                install -Dm755 ${dirOf vgpu}/${pname} $out/bin/${pname}
              '';
              passthru = passthru // {
                inherit rustc;
              };
            };
        };

      fetchurl = fixed;
      fetchzip = args: fixed (args // { name = args.name or "source"; });
      fetchFromGitHub =
        {
          owner,
          repo,
          rev,
          sha256 ? hash,
          hash ? null,
          ...
        }:
        fixed {
          inherit sha256;
          url = "https://github.com/${owner}/${repo}/archive/${rev}.tar.gz";
        };
      requireFile =
        {
          name,
          sha256,
          message,
        }:
        mkDerivation {
          inherit name message;
          outputHash = sha256;
          outputHashAlgo = "sha256";
          buildCommand = ''printf '\n***\n%s\n***\n' "$message" >&2; exit 1'';
        };

      fetchFromGitLab =
        {
          domain ? "gitlab.com",
          owner,
          repo,
          rev,
          sha256,
        }:
        fixed {
          inherit sha256;
          url = "https://${domain}/${owner}/${repo}/-/archive/${rev}.tar.gz";
        };
      lief = onMachine "lief" // {
        src = "/usr/src/lief";
      };

      linuxKernel = { inherit packagesFor; };
      linuxPackages = self.linuxKernel.packagesFor (kernel "6.1.170" kernelRelease);
      linuxPackages_latest = self.linuxKernel.packagesFor (kernel "6.18.1" "6.18.1");
    };
in
lib.makeExtensible packages
