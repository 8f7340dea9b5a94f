# What nixpkgs' stdenv does, in the few lines that our own packages use.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/homeless-shelter
if [ -n "${NIX_ATTRS_SH_FILE:-}" ]; then
    source "$NIX_ATTRS_SH_FILE"
    for output in "${!outputs[@]}"; do declare -x "$output=${outputs[$output]}"; done
fi
for input in ${nativeBuildInputs[@]}; do PATH=$input/bin:$PATH; done
export PATH

runHook() { eval "${!1:-}"; }
phase() { if [ -n "${!1:-}" ]; then eval "${!1}"; else "$1"; fi; }

unpackPhase() {
    cp -r "$src" source
    chmod -R u+w source
    sourceRoot=source
}

patchPhase() {
    runHook prePatch
    local file
    for file in ${patches[@]}; do patch ${patchFlags[@]:--p1} < "$file"; done
    runHook postPatch
}

buildPhase() { make -j"$(nproc)" $makeFlags $buildFlags; }

installPhase() {
    make $makeFlags $installFlags $installTargets
    runHook postInstall
}

if [ -n "${buildCommand:-}" ]; then
    eval "$buildCommand"
else
    phase unpackPhase
    cd "$sourceRoot"
    patchPhase
    [ -n "${dontBuild:-}" ] || phase buildPhase
    phase installPhase
fi
