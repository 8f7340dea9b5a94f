# gridd-unlock-patcher: makes nvidia-gridd from 18.0 on accept a licence server's own certificate authority.
# Other people's work (https://git.collinwebdesigns.de/vGPU/gridd-unlock-patcher); we build it from their source.
{
  lib,
  stdenv,
  fetchFromGitLab,
  cmake,
  lief,
  pkg-config,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "gridd-unlock-patcher";
  version = "1.1";

  src = fetchFromGitLab {
    domain = "git.collinwebdesigns.de";
    owner = "vGPU";
    repo = "gridd-unlock-patcher";
    rev = "16fb0727724d1dd9b1f57e4ac619cdab64e595fb";
    sha256 = "sha256-kho3DIepg52HF1ktcLadKg3jUsyvVWQr3q3wiAmWHkM=";
  };

  # Its build downloads LIEF with CPM; a Nix build has no network and takes the source nixpkgs has.
  postPatch = ''
    sed -i -e '/FetchCPM/d' -e '/^CPMAddPackage(/,/^)/d' src/CMakeLists.txt
    if grep -q CPM src/CMakeLists.txt; then
      echo "error: src/CMakeLists.txt of gridd-unlock-patcher still downloads with CPM" >&2
      exit 1
    fi
  '';
  cmakeDir = "../src";
  cmakeBuildType = "Release";
  cmakeFlags = [
    "-DLIEF_SRC_ADDED=TRUE"
    "-DLIEF_SRC_SOURCE_DIR=${lief.src}"
  ];

  nativeBuildInputs = [
    cmake
    pkg-config
  ];

  installPhase = ''
    runHook preInstall
    install -Dm755 gridd-unlock-patcher $out/bin/gridd-unlock-patcher
    runHook postInstall
  '';

  meta = {
    description = "Patches nvidia-gridd to accept a licence server's own root certificate";
    homepage = "https://git.collinwebdesigns.de/vGPU/gridd-unlock-patcher";
    license = lib.licenses.gpl3Plus;
    mainProgram = "gridd-unlock-patcher";
    platforms = [ "x86_64-linux" ];
  };
})
