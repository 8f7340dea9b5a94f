# What every scene may use. A scene is plain shell (busybox) and runs under `set -eu`: a command that fails ends it.

# load_driver [boards=KIND@BUS,...] [interface=mdev|vfio] [plugin_exit_ms=N]
load_driver() {
    modprobe nvidia "$@"
}

# start_vgpud: what nvidia-vgpud does at boot. Before it no vGPU can be made.
start_vgpud() {
    nvidia-vgpud
}

# unload_driver: all vGPUs and virtual functions are lost, as on a driver update.
unload_driver() {
    modprobe -r nvidia
}

# testbed COMMAND: see module/proc.c.
testbed() {
    echo "$*" >/proc/driver/nvidia/testbed
}

# end the scene, and run it again after a restart of the machine, with BOOT one higher.
reboot_machine() {
    exit 100
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# is WANTED FOUND [WHAT]
is() {
    [ "$1" = "$2" ] || fail "${3:-value}: wanted '$1', found '$2'"
}

# file_is FILE TEXT
file_is() {
    is "$2" "$(cat "$1")" "$1"
}

# put VALUE FILE: write it, and fail the scene if the kernel refuses.
put() {
    echo "$1" >"$2" || fail "writing $1 to $2 was refused"
}

# refused ERROR VALUE FILE: the write must fail, with this text of errno.
refused() {
    if told=$( (echo "$2" >"$3") 2>&1); then
        fail "writing $2 to $3 should be refused with: $1"
    fi
    case $told in
        *"$1"*) ;;
        *) fail "writing $2 to $3: wanted '$1', found '$told'" ;;
    esac
}

# kernel_said TEXT
kernel_said() {
    dmesg | grep -qF -e "$1" || fail "not in the kernel's log: $1"
}

# eventually SECONDS COMMAND...
eventually() {
    left=$(($1 * 10))
    shift
    until "$@"; do
        [ "$left" -gt 0 ] || fail "never came true: $*"
        left=$((left - 1))
        usleep 100000
    done
}

# start_vm NAME SYSFSDEV: a process that has the vGPU open as QEMU has; sets $vm. It ends with stop_vm.
start_vm() {
    rm -f /tmp/vm-ready
    qemu-system-x86_64 -name "$1" -uuid 11111111-2222-3333-4444-555555555555 \
        -device "vfio-pci,sysfsdev=$2" >/tmp/vm-ready &
    vm=$!
    eventually 10 test -s /tmp/vm-ready
}

stop_vm() {
    kill "$vm"
    wait "$vm" || true
}

# kill_after MICROSECONDS COMMAND...: start it and kill it without mercy; says whether it was still running.
kill_after() {
    delay=$1
    shift
    "$@" >/tmp/killed 2>&1 &
    usleep "$delay"
    if kill -9 $! 2>/dev/null; then
        wait $! && return 1 || return 0
    fi
    return 1
}

# declare JSON: what /etc/nvidia/vgpu/instances.json says.
declare() {
    echo "$1" >/etc/nvidia/vgpu/instances.json
}

# vgpus: a line for each vGPU that there is, whatever the interface: FUNCTION [UUID] TYPE PARAMETERS
# Without other programs where it can: starting one takes long here.
vgpus() {
    for file in /sys/bus/pci/devices/*/nvidia/current_vgpu_type; do
        [ -e "$file" ] || continue
        read -r type <"$file"
        [ "$type" != 0 ] || continue
        nvidia=${file%/*}
        read -r parameters <"$nvidia/vgpu_params" || true
        function=${nvidia%/nvidia}
        echo "${function##*/} $type $parameters"
    done
    for mdev in /sys/bus/mdev/devices/*; do
        [ -e "$mdev" ] || continue
        real=$(readlink -f "$mdev")
        type=$(readlink "$mdev/mdev_type")
        read -r parameters <"$mdev/nvidia/vgpu_params" || true
        function=${real%/*}
        echo "${function##*/} ${real##*/} ${type##*/nvidia-} $parameters"
    done
}

# at NAME: the function or UUID of an instance's vGPU, as /run/vgpu has it.
at() {
    basename "$(readlink "/run/vgpu/$1")"
}

# made BUS: how many vGPUs were ever made on the GPU there.
made() {
    sed -n "s/^$1 made \([0-9]*\).*/\1/p" /proc/driver/nvidia/testbed
}

# fails_with TEXT COMMAND...: it must exit with 1 and say TEXT on standard error.
fails_with() {
    text=$1
    shift
    status=0
    "$@" >/tmp/out 2>/tmp/err || status=$?
    is 1 "$status" "exit code of $*: $(cat /tmp/err)"
    # Messages are wrapped: compare words.
    tr -s ' \n' '  ' </tmp/err | grep -qF -e "$text" || fail "$* does not say '$text': $(cat /tmp/err)"
}
