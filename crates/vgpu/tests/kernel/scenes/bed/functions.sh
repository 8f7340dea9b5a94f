# The test bed itself, interface 2: mdevs on virtual functions; and the ways in which sriov-manage fails.
load_driver interface=mdev boards=a16@08
start_vgpud
gpu=/sys/bus/pci/devices/0000:08:00.0
is "" "$(ls /sys/class/mdev_bus)" "there is a parent without virtual functions"

# Somebody holds the GPU.
sleep 1000 <>/dev/nvidia0 &
client=$!
if sriov-manage -e 0000:08:00.0; then fail "the lock was had while the GPU is used"; fi
file_is $gpu/sriov_numvfs 0
kill $client

# Fails and does not say so.
echo silent >/run/sriov-manage
sriov-manage -e 0000:08:00.0
file_is $gpu/sriov_numvfs 0
rm /run/sriov-manage
(PATH=/bin:/usr/lib/nvidia sriov-manage -e 0000:08:00.0)
file_is $gpu/sriov_numvfs 0

# Is stopped half-way.
echo half-way >/run/sriov-manage
if sriov-manage -e 0000:08:00.0; then fail "half-way should fail"; fi
is pci-pf-stub "$(basename "$(readlink $gpu/driver)")"
file_is $gpu/sriov_numvfs 0
[ ! -e /proc/driver/nvidia/gpus/0000:08:00.0 ] || fail "the driver still knows the GPU"
rm /run/sriov-manage
echo 0000:08:00.0 >/sys/bus/pci/drivers/pci-pf-stub/unbind
echo 0000:08:00.0 >/sys/bus/pci/drivers/nvidia/bind

sriov-manage -e ALL
file_is $gpu/sriov_numvfs 16
is "GPU at 0000:08:00.0 already has VFs enabled." "$(sriov-manage -e ALL)"
is 0000:08:02.3 "$(basename "$(readlink $gpu/virtfn15)")"
is 16 "$(ls /sys/class/mdev_bus | wc -l)"
[ ! -e $gpu/mdev_supported_types ] || fail "the GPU offers mdevs itself"

types=/sys/class/mdev_bus/0000:08:00.4/mdev_supported_types
one=aaaaaaaa-0000-4000-8000-000000000001
two=aaaaaaaa-0000-4000-8000-000000000002
file_is $types/nvidia-709/available_instances 1
put $one $types/nvidia-709/create
file_is $types/nvidia-709/available_instances 0
refused "Input/output error" $two $types/nvidia-709/create
kernel_said "NVRM: Failed to add vgpu create request: 0x38"
put $two /sys/class/mdev_bus/0000:08:00.5/mdev_supported_types/nvidia-709/create
is "$one" "$(ls /sys/class/mdev_bus/0000:08:00.4/mdev_supported_types/nvidia-709/devices)"

# Switching functions off loses the vGPUs.
sriov-manage -d ALL
file_is $gpu/sriov_numvfs 0
is "" "$(ls /sys/bus/mdev/devices)"
