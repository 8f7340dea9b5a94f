# vgpu doctor on a real kernel: what is wrong at each step on the way to a vGPU, and nothing at the end of it.
fails() {
    dmesg >/tmp/kernel.log
    vgpu doctor --role host --json --journal /tmp/kernel.log >/tmp/report.json 2>/tmp/told && code=0 || code=$?
    found=$(grep -B2 '"status": "failed"' /tmp/report.json | sed -n 's/.*"id": "\(.*\)".*/\1/p' | tr '\n' ' ')
    is "$1" "${found% }" "failed checks"
    is "$([ -z "$1" ] && echo 0 || echo 1)" "$code" "exit code"
}
# tells ID TEXT: the check's evidence has this.
tells() {
    grep -A4 "\"id\": \"$1\"" /tmp/report.json | grep -qF -e "$2" || { cat /tmp/report.json; fail "$1 does not tell: $2"; }
}

fails "iommu gpu"
mkdir -p /etc/systemd/system
for unit in nvidia-vgpud nvidia-vgpu-mgr; do
    echo "[Service]" >/etc/systemd/system/$unit.service
done
load_driver interface=vfio boards=a40@41
fails "iommu vfio-module vgpu-mgr"

# The test module is one, NVIDIA's are two.
(cat /proc/modules; echo "nvidia_vgpu_vfio 1 0 - Live 0x0") >/tmp/modules
mount -o bind /tmp/modules /proc/modules
cp /bin/busybox /tmp/nvidia-vgpu-mgr
(exec -a sleep /tmp/nvidia-vgpu-mgr 1000) &
manager=$!
eventually 5 grep -q vgpu-mgr /proc/$manager/comm
fails "iommu functions-on"
tells functions-on "sriov_numvfs: 0 of 32"

# Virtual functions are what makes IOMMU groups here.
sriov-manage -e 0000:41:00.0
fails "types-offered"
start_vgpud
fails ""
vf=/sys/bus/pci/devices/0000:41:00.4
put 558 $vf/nvidia/current_vgpu_type
start_vm one $vf
fails ""
tells room "1 vGPU of NVIDIA A40-2Q (nvidia-558)"
tells vm-uuid "has -uuid"

# Another size is refused, and the kernel's answer is explained.
refused "Input/output error" 562 /sys/bus/pci/devices/0000:41:00.5/nvidia/current_vgpu_type
fails ""
tells refused-size "create request: 0x56"

# A function without a type is opened.
if qemu-system-x86_64 -device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:41:00.6; then fail "it was opened"; fi
fails "no-type"
stop_vm
kill $manager
