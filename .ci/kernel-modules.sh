#!/bin/bash
# Builds kernel modules for real: Nix, our derivations, Debian's kernel headers, NVIDIA's sources.
#
#   .ci/kernel-modules.sh ARCHIVE VGPU
#
# ARCHIVE: a GRID .zip or .run of the 550 branch with kernel sources in it. VGPU: the finished program.
#
# The archive's modules are built with its driver, against the oldest headers there are; then closed and open ones of
# Debian's source packages against the oldest and the newest. Three minutes of make each. The newest want our compatibility
# code: pci_resize_resource() has another type there.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=$(realpath "$1")
vgpu=$(realpath "$2")
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

# Installs the headers that `$1` (head, tail) chooses of all in apt's sources; prints their release.
headers() {
    local package
    package=$(apt-cache pkgnames linux-headers-6.1.0- | grep -E '^linux-headers-6\.1\.0-[0-9]+-amd64$' | sort -V | "$1" -n 1)
    [ -n "$package" ] || fail "no linux-headers-6.1.0-*-amd64 in apt's sources"
    [ -d "/usr/src/$package" ] || apt-get install -y --no-install-recommends "$package" >&2
    echo "${package#linux-headers-}"
}
oldest=$(headers head)
newest=$(headers tail)

# NVIDIA's sources as Debian packs them, through an apt configuration of its own: they are in trixie's non-free.
sources() {
    local apt=$work/apt mirror
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/sources"
    mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } | grep -m 1 -oE 'https?://[^ ]*/debian/?( |$)')
    echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie contrib non-free" > "$apt/sources.list"
    local options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Retries=5
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    apt-get "${options[@]}" -qq update
    (cd "$work" && apt-get "${options[@]}" -qq download nvidia-kernel-source nvidia-open-kernel-source)
    local kind package
    for kind in kernel:nvidia-kernel kernel-open:nvidia-open-kernel; do
        package=${kind#*:}
        dpkg-deb --fsys-tarfile "$work/$package"-source_*.deb | tar xO "./usr/src/$package.tar.xz" | tar xJ -C "$work"
        mv "$(dirname "$(find "$work/modules" -name Kbuild -path '*nvidia*' | head -n 1)")" "$work/sources/${kind%:*}"
        rm -rf "$work/modules"
    done
}
sources

# A store of its own, so that nothing stays behind.
lib=$(nix-instantiate --eval -E 'toString <nixpkgs/lib>' | tr -d '"')
export NIX_STORE_DIR=$work/store NIX_STATE_DIR=$work/state NIX_LOG_DIR=$work/log
build() {
    nix-build --no-out-link --option sandbox false --option substitute false --option build-users-group "" \
        --arg lib "import $lib" "$@"
}

# check RESULT RELEASE WHAT
check() {
    local modules=$1/lib/modules/$2 module found
    for module in nvidia nvidia-drm nvidia-modeset nvidia-uvm; do
        found=$(find -L "$modules" -name "$module.ko")
        [ -n "$found" ] || fail "no $module.ko in $modules"
        grep -aq "vermagic=$2 " "$found" || fail "$found is not for $2"
    done
    if nix-store --query --requisites "$1" | grep -E 'headers|modsrc|kernel-compat'; then
        fail "the modules keep their sources installed"
    fi
    echo "$3 kernel modules for $2: $(find -L "$modules" -name '*.ko' | wc -l), $(du -shL "$modules" | cut -f1)"
}

of_archive() {
    build nix/tests/kernel-modules.nix --arg archive "$archive" --argstr vgpu "$vgpu" --argstr kernelRelease "$oldest" -A "$1"
}
programs=$(of_archive programs)
[ -x "$programs/bin/nvidia-smi" ] || fail "no nvidia-smi in $programs"
check "$(of_archive modules)" "$oldest" "the archive's"

# Closed modules for the oldest were just built.
for pair in "$oldest true" "$newest false" "$newest true"; do
    read -r release open <<<"$pair"
    folder=$work/sources/kernel
    [ "$open" = false ] || folder=$folder-open
    version=$(sed -n 's/.*NV_VERSION_STRING=\\"\([0-9.]*\)\\".*/\1/p' "$folder/Kbuild" | head -n 1)
    [ -n "$version" ] || fail "no version in $folder/Kbuild"
    result=$(build nix/tests/module-build.nix --argstr sources "$work/sources" --arg open "$open" --argstr kernelRelease "$release" --argstr version "$version")
    check "$result" "$release" "open = $open"
    case $open:$(strings -a "$(find "$result" -name nvidia.ko)" | grep '^license=') in
        false:license=NVIDIA | "true:license=Dual MIT/GPL") ;;
        *) fail "the modules are not of the kind that was asked for" ;;
    esac
done
