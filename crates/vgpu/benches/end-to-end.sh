#!/bin/bash
# What a user of Nix waits for: our derivations beside those of the shell version of vgpu4nixos, in one run, as ratios.
#
#   crates/vgpu/benches/end-to-end.sh RUN ORIGINAL VGPUCONFIG [OLD NEW]
#
# RUN         a guest's .run file of release 17.6, with the sources of its kernel modules
# ORIGINAL    a checkout of the shell version: git clone https://github.com/mrzenc/vgpu4nixos, the last commit of its master
# VGPUCONFIG  the vgpuConfig.xml of a host's driver
# OLD NEW     releases of kernel headers of Debian's that are installed: 6.1.0-47-amd64 6.1.0-57-amd64
#
# Needs Nix, <nixpkgs/lib>, a finished `vgpu` (cargo build --release), the headers, and what the shell version runs: patchelf,
# libarchive-tools, jq, xmlstarlet. Both sides use the machine's own tools in a store of their own (nix/tests/host-tools.nix), so
# that neither waits for downloads. What nixpkgs' stdenv would do behind an installation (man pages, wrappers) is left
# out of both. Everything is in units of the shell version's first build: how long it took, and the processor time, which says
# more when the machine has other work.
set -euo pipefail
[ $# = 3 ] || [ $# = 5 ] || { sed -n '2,/^set/p' "$0" | sed 's/^# \{0,1\}//;$d' >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
run=$(realpath "$1") original=$(realpath "$2") profiles=$(realpath "$3")
old=${4:-6.1.0-47-amd64} new=${5:-6.1.0-57-amd64}
vgpu=$root/target/release/vgpu
[ -x "$vgpu" ] || { echo "end-to-end.sh: no $vgpu: cargo build --release" >&2; exit 2; }
lib=$(nix-instantiate --eval -E 'toString <nixpkgs/lib>' | tr -d '"')
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# build SIDE ATTRIBUTE KERNEL: seconds that it took, and those of the processor as a user and in the kernel
build() {
    export NIX_STORE_DIR=$work/$1/store NIX_STATE_DIR=$work/$1/state NIX_LOG_DIR=$work/$1/log
    local TIMEFORMAT='%R %U %S'
    { time nix-build "$source/crates/vgpu/benches/end-to-end.nix" --no-out-link -A "$1.$2" --cores "$(nproc)" \
        --option sandbox false --option substitute false --option build-users-group "" --arg lib "import $lib" \
        --argstr vgpu "$(realpath "$vgpu")" --argstr archive "$run" --argstr original "$original" --argstr profiles "$profiles" \
        --argstr kernelRelease "$3" >"$work/$1.log" 2>&1 || { tail -n 30 "$work/$1.log" >&2; exit 1; }; } 2>&1
}

# A copy, in which the catalog changes.
source=$work/source
mkdir "$source"
(cd "$root" && git ls-files -z | xargs -0 cp --parents -t "$source")

unit=''
# step NAME ATTRIBUTE KERNEL: both sides, one after the other
step() {
    local theirs ours
    theirs=$(build original "$2" "$3")
    ours=$(build ours "$2" "$3")
    unit=${unit:-$theirs}
    echo "$unit $theirs $ours" | awk -v name="$1" '{
        printf "%-28s %10.3f %8.3f %10.3f %8.3f\n", name, $4 / $1, $7 / $1, ($5 + $6) / ($2 + $3), ($8 + $9) / ($2 + $3)
    }'
}
printf '%-28s %19s %19s\n' '' time 'processor time'
printf '%-28s %10s %8s %10s %8s\n' '' shell ours shell ours
step 'first build' driver "$old"
step 'nothing changed' driver "$old"
step 'another kernel' driver "$new"
step 'first profile' profiles "$old"
echo '# A comment.' >> "$source/catalog/releases.toml"
echo '# A comment.' >> "$source/docs/host.md"
step 'a release in the catalog' driver "$old"
