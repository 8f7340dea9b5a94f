# The test bed itself, interface 1: mdevs on a GPU without SR-IOV, by the kernel's own mdev core.
load_driver boards=p40@41
parent=/sys/class/mdev_bus/0000:41:00.0
is "" "$(ls /sys/class/mdev_bus)" "there is a parent before nvidia-vgpud"
[ ! -e /sys/bus/pci/devices/0000:41:00.0/sriov_totalvfs ] || fail "a P40 has no SR-IOV"
start_vgpud
types=$parent/mdev_supported_types
file_is $types/nvidia-47/name "GRID P40-2Q"
file_is $types/nvidia-47/description \
    "num_heads=4, frl_config=60, framebuffer=2048M, max_resolution=7680x4320, max_instance=12"
file_is $types/nvidia-47/device_api vfio-pci
file_is $types/nvidia-47/available_instances 12

one=aaaaaaaa-0000-4000-8000-000000000001
two=aaaaaaaa-0000-4000-8000-000000000002
refused "Invalid argument" not-a-uuid $types/nvidia-47/create
put $one $types/nvidia-47/create
refused "File exists" $one $types/nvidia-47/create
mdev=/sys/bus/mdev/devices/$one
is nvidia-47 "$(basename "$(readlink $mdev/mdev_type)")"
is nvidia-vgpu-vfio "$(basename "$(readlink $mdev/driver)")"
[ -c /dev/vfio/"$(basename "$(readlink $mdev/iommu_group)")" ] || fail "no VFIO group"
file_is $mdev/nvidia/vgpu_params ""
put disable_vnc=1 $mdev/nvidia/vgpu_params
file_is $mdev/nvidia/vgpu_params disable_vnc=1

# Sizes.
file_is $types/nvidia-47/available_instances 11
file_is $types/nvidia-46/available_instances 0
refused "Input/output error" $two $types/nvidia-46/create
kernel_said "NVRM: Failed to add vgpu create request: 0x56"
kernel_said "[nvidia-vgpu-vfio] $two: vGPU creation failed, -5"
[ ! -e /sys/bus/mdev/devices/$two ] || fail "a refused mdev stays"

# In use: the parameters stay, and removing waits until the device is closed.
start_vm office $mdev
file_is $mdev/nvidia/vm_name office
refused "Operation not permitted" disable_vnc=0 $mdev/nvidia/vgpu_params
echo 1 >$mdev/remove &
remover=$!
sleep 1
[ -e $parent/$one ] || fail "an mdev in use was removed"
[ -e /proc/$remover ] || fail "removing did not wait"
stop_vm
wait $remover
[ ! -e $parent/$one ] || fail "the mdev stays"
file_is $types/nvidia-46/available_instances 24

# Its process outlives the virtual machine, and is killed when the mdev goes.
echo 8000 >/sys/module/nvidia/parameters/plugin_exit_ms
put $one $types/nvidia-47/create
start_vm office $mdev
stop_vm
put 1 $mdev/remove
file_is $types/nvidia-46/available_instances 24

# Full.
for number in 1 2 3; do
    put aaaaaaaa-0000-4000-8000-00000000001$number $types/nvidia-51/create
done
file_is $types/nvidia-51/available_instances 0
refused "Input/output error" $one $types/nvidia-51/create
kernel_said "NVRM: Failed to add vgpu create request: 0x1a"
