#!/bin/bash
# A stand-in for patch.sh of vGPU-Unlock-patcher, for tests: it takes the same options and targets, looks for the
# same files in the same places, leaves the same trees, and fails as quietly. It unlocks nothing.
# A file `mode` beside it says how it is to fail.

BASEDIR=$(dirname "$0")

GNRL="NVIDIA-Linux-x86_64-550.90.07"
VGPU="NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm"
GRID="NVIDIA-Linux-x86_64-550.90.07-grid"
WSYS="NVIDIA-Windows-x86_64-552.74"

MODE=$(cat "$BASEDIR/mode" 2>/dev/null)
COMMAND_LINE="$*"
REPACK=false
CREATE_CERT=false

die() {
    echo "$@"
    exit 1
}

while [ "${1:0:2}" = "--" ]; do
    case "$1" in
    --repack) REPACK=true ;;
    --create-cert) CREATE_CERT=true ;;
    # Some branches have lost these.
    --enable-nvidia-gpl-for-experimenting | --force-nvidia-gpl-I-know-it-is-wrong)
        [ "$MODE" = newer ] && echo "Unknown option $1"
        ;;
    --remap-p2v | --spoof-devid | --no-klogtrace | --test-dmabuf-export) ;;
    *) echo "Unknown option $1" ;;
    esac
    shift
done

case "$1" in
vgpu*) SOURCE=$VGPU NEEDS=$VGPU ;;
grid) SOURCE=$GRID NEEDS=$GRID ;;
general) SOURCE=$GNRL NEEDS=$GNRL ;;
general-merge) SOURCE=$GNRL-merged-vgpu-kvm NEEDS="$VGPU $GNRL" ;;
wsys) SOURCE=$WSYS NEEDS= ;;
vcfg)
    shift
    [ $# -eq 5 ] && [ -e "$1" ] || die "Usage: $0 vcfg xmlfile devid subdevid cdevid csubdevid"
    echo "<!-- $2:$3 -> $4:$5 -->" >>"$1"
    exit
    ;;
*) die "Usage: $0 [options] <vgpu-kvm | grid | general | wsys | grid-merge | general-merge | vcfg>" ;;
esac
TARGET=$SOURCE-patched

# It writes where it lies, and where it is called.
touch "$BASEDIR/tool-built-by-patch.sh" || die "cannot write to $BASEDIR"
echo "blob" >>"$BASEDIR/patches/blob.diff" || die "cannot write to $BASEDIR/patches"
: >>"$BASEDIR/patches/kbuild.patch" || die "cannot write to a file in $BASEDIR"

$CREATE_CERT && mkdir -p wtestsign && echo "test certificate" >wtestsign/wsys-test-cert.pfx

if [ "$1" = wsys ]; then
    which 7z msexpand osslsigncode || die "install the tools for Windows drivers"
    installer=$(ls -1 "${WSYS##*-}"*_win*_64bit*.exe | head -n 1)
    [ -e "$installer" ] || die "nvidia windows driver installer not found"
    [ -e wtestsign/wsys-test-cert.pfx ] || die "testsign certificate missing, try with --create-cert option"
    mkdir -p "$TARGET" && cp "$installer" "$TARGET/nvlddmkm.sys"
    exit 0
fi

for name in $NEEDS; do
    [ -e "$name.run" ] || die "package $name.run not found"
    # No check of what comes out: a damaged file leaves nothing, and the script goes on.
    sh "$name.run" --extract-only --target "$name"
    chmod -R u+w "$name"
done

if [ "$1" = general-merge ]; then
    mkdir "$SOURCE"
    cp -a "$VGPU/." "$SOURCE"
    cp -a "$GNRL/." "$SOURCE"
    grep ' MODULE:vgpu$' "$VGPU/.manifest" >>"$SOURCE/.manifest"
fi

case "$MODE" in
die) for i in $(seq 1 40); do echo "line $i"; done && die "blobpatch failed: expected 0F got 10 instead" ;;
no-tree) exit 0 ;;
busy) while :; do mkdir -p "made-$RANDOM" && touch made-*/file; done ;;
signal) kill -9 $$ ;;
esac

cp -a "$SOURCE" "$TARGET"

# The hooks come from the git submodule, beside the script; the blob patch from the current directory.
mkdir -p "$TARGET/kernel/unlock"
cp "$BASEDIR/unlock/hooks.c" "$TARGET/kernel/unlock"
echo "kernel/unlock/hooks.c 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1 MODULE:vgpu" >>"$TARGET/.manifest"
if [ -e patches/blob.diff ]; then
    cp patches/blob.diff "$TARGET/kernel/unlock/blob.diff"
fi
change="$BASEDIR/patches/kbuild.patch"
kbuild="$TARGET/kernel/nvidia/nvidia.Kbuild"
if command -v patch >/dev/null; then
    patch -d "$TARGET" -p1 --no-backup-if-mismatch -f <"$change"
elif grep -qxF "$(sed -n 's/^ //p' "$change")" "$kbuild"; then
    # What patch(1) does with this one change, for machines that only run `cargo test` and have no patch(1).
    sed -n 's/^+\([^+]\)/\1/p' "$change" >>"$kbuild"
else
    sed -n '/^@@/,$p' "$change" >"$kbuild.rej"
fi
echo "$COMMAND_LINE" >"$TARGET/command-line"

case "$MODE" in
no-manifest) rm "$TARGET/.manifest" ;;
empty-manifest) : >"$TARGET/.manifest" ;;
no-entries) sed -i '9,$d' "$TARGET/.manifest" ;;
missing-file) rm "$TARGET"/kernel/nvidia/nv.c ;;
other-version) sed -i '2s/.*/1.2.3/' "$TARGET/.manifest" ;;
two-trees) mkdir another-patched ;;
esac

$REPACK && tar -cf "$TARGET.run" "$TARGET"
exit 0
