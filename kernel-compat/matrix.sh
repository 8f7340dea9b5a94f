#!/bin/bash
# Compiles kernel module sources against kernel headers, without and with our compatibility code, and prints a table.
#
#   matrix.sh [-r ROOT] [-j JOBS] [-m plain|compat|both] [-k] -s SOURCES… -h HEADERS…
#
#   -s    folders named by a driver's version, each with kernel/ or kernel-open/ (or nvidia/) in it. Original sources:
#         git clone https://github.com/NVIDIA/open-gpu-kernel-modules; git archive TAG kernel-open | tar x -C TAG
#   -h    releases of Debian's headers, as in /usr/src/linux-headers-RELEASE-amd64: 6.12.117+deb13
#   -r    compile in a chroot, for headers whose tools want a newer libc: SOURCES and HEADERS are inside it, and /proc, which objtool
#         reads since Linux 7.2: mount -t proc proc ROOT/proc
#   -k    keep the folders that were built in
#
# NVIDIA's binary parts need not be there: objects without content stand for them. So this shows what compiles and links,
# not what loads. A line of the table: driver, kernel, mode, `yes` or the first error. Logs stay in ${TMPDIR:-/tmp}/kernel-matrix.
set -euo pipefail

compat=$(cd "$(dirname "$0")" && pwd)
root='' jobs=2 mode=both keep='' sources=() headers=()
while [ $# -gt 0 ]; do
    case $1 in
        -r) root=$2; shift 2 ;;
        -j) jobs=$2; shift 2 ;;
        -m) mode=$2; shift 2 ;;
        -k) keep=yes; shift ;;
        -s) shift; while [ $# -gt 0 ] && [[ $1 != -* ]]; do sources+=("${1%/}"); shift; done ;;
        -h) shift; while [ $# -gt 0 ] && [[ $1 != -* ]]; do headers+=("$1"); shift; done ;;
        *) sed -n '2,/^set/p' "$0" | sed 's/^# \{0,1\}//;$d' >&2; exit 2 ;;
    esac
done
[ ${#sources[@]} -gt 0 ] && [ ${#headers[@]} -gt 0 ] || { echo "matrix.sh: give -s SOURCES and -h HEADERS" >&2; exit 2; }
for folder in "${sources[@]}"; do
    [ -d "$root$folder" ] || { echo "matrix.sh: no folder $root$folder" >&2; exit 2; }
done
[ -d "$root/proc/self" ] || { echo "matrix.sh: no $root/proc: mount -t proc proc $root/proc" >&2; exit 2; }
[ "$mode" = both ] && modes=(plain compat) || modes=("$mode")

# As seen from inside the chroot, and from here.
work=/tmp/kernel-matrix
logs=${TMPDIR:-/tmp}/kernel-matrix
mkdir -p "$root$work" "$logs"
enter() { if [ -n "$root" ]; then chroot "$root" "$@"; else "$@"; fi; }

# build SOURCE HEADERS MODE → its log
build() {
    local from=$root$1 name
    name=$(basename "$1")@$2@$3
    local to=$root$work/$name log=$logs/$name.log
    rm -rf "$to"
    for folder in kernel-open kernel; do [ ! -d "$from/$folder" ] || { from=$from/$folder; break; }; done
    cp -r "$from" "$to"
    for part in nvidia/nv-kernel.o_binary nvidia-modeset/nv-modeset-kernel.o_binary; do
        if [ -d "$to/${part%/*}" ] && [ ! -e "$to/$part" ]; then
            echo | gcc -c -x c -o "$to/$part" -
        fi
    done
    if [ "$3" = compat ]; then
        rm -rf "$root$work/compat"
        cp -r "$compat" "$root$work/compat"
        enter sh "$work/compat/apply.sh" "$work/$name"
    fi
    # No BTF: it wants pahole, and is no question of compiling. No debug information: it takes longer than the rest.
    enter nice -n 10 make -k -j"$jobs" -C "$work/$name" modules \
        SYSSRC="/usr/src/linux-headers-$2-common" SYSOUT="/usr/src/linux-headers-$2-amd64" \
        IGNORE_PREEMPT_RT_PRESENCE=1 NV_BUILD_SUPPORTS_HMM=1 DATE= \
        KBUILD_MODPOST_WARN=1 CONFIG_DEBUG_INFO_BTF_MODULES= KCFLAGS=-g0 > "$log" 2>&1 && status=yes || status=no
    [ -n "$keep" ] || rm -rf "$to"
    if [ $status = yes ]; then
        echo yes
    else
        grep -m 1 -E '(^|: )(fatal )?error: |ERROR: |\*\*\* ' "$log" || tail -n 1 "$log"
    fi
}

printf '%-14s %-18s %-7s %s\n' DRIVER KERNEL MODE COMPILES
for source in "${sources[@]}"; do
    for header in "${headers[@]}"; do
        for each in "${modes[@]}"; do
            printf '%-14s %-18s %-7s %s\n' "$(basename "$source")" "$header" "$each" "$(build "$source" "$header" "$each")"
        done
    done
done
