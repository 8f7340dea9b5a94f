#!/bin/sh
# Makes a driver's kernel module sources use the compatibility code beside this file.
#
#   apply.sh SOURCES        SOURCES: kernel/ or kernel-open/ of a driver, writable
set -eu
compat=$(cd "$(dirname "$0")" && pwd)
cd "$1"

echo "include $compat/compat.mk" >> Kbuild
echo "include $compat/makefile.mk" >> Makefile

# changes/page-pgmap.h: no macro can stand for a member of one structure alone.
if [ -d nvidia-uvm ] && ! grep -qs page_pgmap nvidia-uvm/uvm_linux.h; then
    sed -i 's/\([a-z_]*page\)->pgmap\>/page_pgmap(\1)/g' nvidia-uvm/*.c
fi
