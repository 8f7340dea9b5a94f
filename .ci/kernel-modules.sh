#!/bin/bash
# Builds the kernel modules of a driver for real: Nix, our derivations, Debian's kernel headers, NVIDIA's sources.
#
#   .ci/kernel-modules.sh ARCHIVE VGPU
#
# ARCHIVE: a GRID .zip or .run of the 550 branch with kernel sources in it. VGPU: the finished program.
# Takes two to three minutes of make. 550.163 does not build with 6.1.0-56 and later, so the oldest headers are taken.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=$(realpath "$1")
vgpu=$(realpath "$2")

headers=$(ls -d /usr/src/linux-headers-6.1.0-*-amd64 2>/dev/null | sort -V | head -n 1 || true)
if [ -z "$headers" ]; then
    package=$(apt-cache pkgnames linux-headers-6.1.0- | grep -E '^linux-headers-6\.1\.0-[0-9]+-amd64$' | sort -V | head -n 1)
    [ -n "$package" ] || { echo "no linux-headers-6.1.0-*-amd64 in apt's sources" >&2; exit 1; }
    apt-get install -y --no-install-recommends "$package"
    headers=/usr/src/$package
fi
release=${headers#/usr/src/linux-headers-}

# A store of its own, so that nothing stays behind.
store=$(mktemp -d)
trap 'chmod -R u+w "$store"; rm -rf "$store"' EXIT
lib=$(nix-instantiate --eval -E 'toString <nixpkgs/lib>' | tr -d '"')
export NIX_STORE_DIR=$store/store NIX_STATE_DIR=$store/state NIX_LOG_DIR=$store/log

result=$(nix-build --no-out-link nix/tests/kernel-modules.nix \
    --option sandbox false --option substitute false --option build-users-group "" \
    --arg lib "import $lib" --arg archive "$archive" --argstr vgpu "$vgpu" --argstr kernelRelease "$release")

modules=$result/lib/modules/$release
for module in nvidia nvidia-drm nvidia-modeset nvidia-uvm; do
    found=$(find -L "$modules" -name "$module.ko")
    [ -n "$found" ] || { echo "no $module.ko in $modules" >&2; exit 1; }
    grep -aq "vermagic=$release " "$found" || { echo "$found is not for $release" >&2; exit 1; }
done
[ -x "$result/bin/nvidia-smi" ] || { echo "no programs beside the modules in $result" >&2; exit 1; }
if nix-store --query --requisites "$result" | grep -E 'headers|modsrc'; then
    echo "the modules keep their sources installed" >&2
    exit 1
fi
echo "kernel modules for $release: $(find -L "$modules" -name '*.ko' | wc -l), $(du -shL "$modules" | cut -f1)"
