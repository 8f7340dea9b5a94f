# Declarations come, change and go: what is in use stays, what somebody else made stays, the rest follows.
load_driver interface=vfio boards=a40@41
start_vgpud
declare '{"instances": {"a": {"profile": "A40-8Q"}, "b": {"profile": "A40-8Q"}}}'
vgpu instances apply
a=$(at a) b=$(at b)
# By another hand.
put 562 /sys/bus/pci/devices/0000:41:02.0/nvidia/current_vgpu_type

# In use, and no longer declared.
start_vm win10 "/sys/bus/pci/devices/$a"
declare '{"instances": {"b": {"profile": "A40-8Q", "parameters": {"frame_rate_limiter": 0}}, "c": {"profile": "A40-8Q"}}}'
vgpu instances apply >/tmp/told
cat /tmp/told
grep -q "a  kept: virtual machine win10 (process $vm) has it open; when that ends, the next apply removes it" /tmp/told
file_is "/sys/bus/pci/devices/$a/nvidia/current_vgpu_type" 562
is "$a" "$(at a)"
is "$b" "$(at b)"
file_is "/run/vgpu/b/nvidia/vgpu_params" frame_rate_limiter=0
is 4 "$(vgpus | wc -l)"
vgpu instances list
vgpu instances list | grep -q "a *undeclared"
vgpu instances list | grep -q "^- *foreign *NVIDIA A40-8Q *0000:41:02.0"

# The virtual machine ends: it goes.
stop_vm
vgpu instances apply
file_is "/sys/bus/pci/devices/$a/nvidia/current_vgpu_type" 0
[ ! -L /run/vgpu/a ] || fail "a link is left"
is 3 "$(vgpus | wc -l)"

# Another profile while in use; then free.
start_vm win10 "/sys/bus/pci/devices/$b"
declare '{"instances": {"b": {"profile": "A40-8Q", "virtual_function": "0000:41:01.1"}, "c": {"profile": "A40-8Q"}}}'
vgpu instances apply | grep -q "b  kept: virtual machine win10"
is "$b" "$(at b)"
stop_vm
vgpu instances apply
is 0000:41:01.1 "$(at b)"

# Nobody declared anything: the foreign one is left.
declare '{}'
vgpu instances apply
is "0000:41:02.0 562 " "$(vgpus)"

# By hand.
vgpu instances create try --profile A40-8Q --parameter disable_vnc=1
vgpu instances apply
is 2 "$(vgpus | wc -l)"
file_is /run/vgpu/try/nvidia/vgpu_params disable_vnc=1
vgpu instances remove try
is 1 "$(vgpus | wc -l)"
[ ! -L /run/vgpu/try ] || fail "a link is left"
fails_with "there is no vGPU that was made as try" vgpu instances remove try
