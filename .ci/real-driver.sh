#!/bin/bash
# Builds drivers from archives of real files, and tries whether they work.
#
#   .ci/real-driver.sh VGPU DIRECTORY
#
# VGPU: the finished program. DIRECTORY: a GRID .zip and its two .run files, as drivers/assemble.py makes them.
# With --small after it, the archive holds stand-ins: what only real files can do is not asked for.
set -euo pipefail
vgpu=$(realpath "$1")
archives=$(realpath "$2")
sources=$(realpath "$(dirname "$0")/../crates/vgpu/src/machine")
small=${3:-}
work=$(mktemp -d -p "${TMPDIR:-/tmp}")

# nvidia-vgpud has this path compiled in.
config=/etc/nvidia/vgpu/vgpuConfig.xml
if [ -e $config ]; then
    echo "$config is there already: this machine is a host, and not to be tested on" >&2
    exit 1
fi

trap 'rm -rf "$work" "$config"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

# No symlink and no absolute path in an ICD leads nowhere.
check_paths() {
    local dangling
    dangling=$(find "$1" -xtype l)
    [ -z "$dangling" ] || fail "dangling symlinks: $dangling"
    { grep -rshoE "$1/[^\" ]+" "$1"/*/share "$1"/*/etc || true; } | sort -u | while read -r path; do
        [ -e "$path" ] || fail "an ICD names $path, which is not there"
    done
}

check_guest() {
    check_paths "$1"
    local library count=0
    while read -r library; do
        case $library in *libglxserver_nvidia*) continue ;; esac # Needs the symbols of an X server.
        python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$library" || fail "$library does not load"
        count=$((count + 1))
    done < <(find "$1/out/lib" -name '*.so*' -type f)
    [ "$count" -gt 10 ] || fail "only $count libraries in $1/out/lib"
    for library in "$1"/lib32/lib/*.so*; do
        [ -f "$library" ] || continue
        readelf -h "$library" | grep -q ELF32 || fail "$library is not ELF32"
        readelf -d "$library" | grep -q "RUNPATH.*\[$1/lib32/lib" || fail "$library has not its run path"
    done
    local said
    said=$("$1/bin/bin/nvidia-smi" 2>&1 || true)
    if [ "$small" = --small ]; then
        [ -n "$said" ] || fail "nvidia-smi says nothing"
    else
        grep -q "couldn't communicate with the NVIDIA driver" <<<"$said" || fail "nvidia-smi says: $said"
    fi
    echo "  $count libraries load; nvidia-smi runs"
}

# Our code asks the driver's own libnvidia-ml.so: it has every function that we call by name, and without a GPU it says so.
check_nvml() {
    local root=$work/machine gpu library has name reason
    library=$(find "$1/out/lib" -name 'libnvidia-ml.so.*' -type f)
    has=$(nm -D --defined-only "$library")
    while read -r name; do
        grep -qE " $name(@|\$)" <<<"$has" || fail "$library has no $name"
    done < <(cd "$sources" && grep -ohE '(lib\(\)|library)\.nvml\w+' nvml.rs nvml/*.rs | sed 's/.*\.//')
    gpu=$root/sys/bus/pci/devices/0000:41:00.0
    mkdir -p "$gpu" "$root/etc/nvidia/vgpu" "$root/proc/driver/nvidia" "$root/sys/bus/pci/drivers/nvidia"
    ln -s "$library" "$root/etc/nvidia/vgpu/libnvidia-ml.so.1"
    ln -s ../../drivers/nvidia "$gpu/driver"
    echo 0x10de >"$gpu/vendor"
    echo 0x1b38 >"$gpu/device"
    echo 0x030200 >"$gpu/class"
    echo "nvidia_vgpu_vfio 1 0 - Live 0x0" >"$root/proc/modules"
    echo "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.02  Sun" >"$root/proc/driver/nvidia/version"
    reason=$("$vgpu" doctor --role host --root "$root" --json 2>/dev/null || true)
    rm -r "$root"
    grep -q "libnvidia-ml.so.1 can't be asked: .*driver" <<<"$reason" || fail "without a GPU vgpu doctor says: $reason"
    echo "  libnvidia-ml has what we call, and says that there is no driver"
}

check_host() {
    check_paths "$1"
    mkdir -p /etc/nvidia/vgpu
    cp "$1/out/vgpuConfig.xml" "$config"
    "$1/bin/bin/nvidia-vgpud" | grep -q 'config: /etc/nvidia/vgpu/vgpuConfig.xml' || fail "nvidia-vgpud reads elsewhere"
    "$1/bin/bin/nvidia-vgpu-mgr" | grep -q 'plugin: libnvidia-vgpu' || fail "nvidia-vgpu-mgr does not find its plugin"
    "$vgpu" profiles list --config "$1/out/vgpuConfig.xml" >/dev/null
    [ "$small" = --small ] || check_nvml "$1"
    echo "  nvidia-vgpud reads its configuration; nvidia-vgpu-mgr finds its plugin"
}

for archive in "$archives"/*.zip "$archives"/*.run; do
    "$vgpu" identify "$archive"
    for role in host guest; do
        case $archive in
            *-grid.run) [ $role = guest ] || continue ;;
            *-vgpu-kvm.run) [ $role = host ] || continue ;;
        esac
        "$vgpu" build "$archive" --role $role --out "$work/$role"
        check_$role "$work/$role"
        mv "$work/$role" "$work/first"
        "$vgpu" build "$archive" --role $role --out "$work/$role" >/dev/null
        diff -r --no-dereference "$work/first" "$work/$role" || fail "building twice gives two trees"
        rm -rf "$work/first" "${work:?}/$role"
    done
done
