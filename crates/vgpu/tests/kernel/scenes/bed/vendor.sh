# The test bed itself, interface 3: files below nvidia/ of virtual functions, and every error they answer with.
load_driver interface=vfio boards=a40@41
gpu=/sys/bus/pci/devices/0000:41:00.0
[ ! -e $gpu/nvidia ] || fail "the GPU itself has vGPU files"
file_is $gpu/sriov_totalvfs 32
file_is $gpu/sriov_numvfs 0
refused "No such file" 4 $gpu/sriov_numvfs
sriov-manage -e 0000:41:00.0
file_is $gpu/sriov_numvfs 32
vf=/sys/bus/pci/devices/0000:41:00.4
is 0000:41:00.0 "$(basename "$(readlink $vf/physfn)")"
is nvidia "$(basename "$(readlink $vf/driver)")"
file_is $vf/class 0x030200
file_is $vf/vendor 0x10de
is 0000:41:04.3 "$(basename "$(readlink $gpu/virtfn31)")"
cd $vf/nvidia

# Nothing can be made before nvidia-vgpud.
file_is creatable_vgpu_types "ID    : vGPU Name"
refused "Input/output error" 558 current_vgpu_type
kernel_said "NVRM: Failed to add vgpu create request: 0x57"
start_vgpud
is "558   : NVIDIA A40-2Q" "$(grep 558 creatable_vgpu_types)"
file_is current_vgpu_type 0

refused "Invalid argument" A40-2Q current_vgpu_type
refused "Numerical result out of range" 99999999999999999999 current_vgpu_type
refused "Operation not permitted" 0 current_vgpu_type
kernel_said "0000:41:00.4: Failed to remove vGPU. No vGPU exists on current device"
refused "No such device or address" frame_rate_limiter=0 vgpu_params
! cat placement_id 2>/dev/null || fail "a placement without a vGPU"
refused "Input/output error" 4711 current_vgpu_type
file_is current_vgpu_type 0
if qemu-system-x86_64 -device vfio-pci,sysfsdev=$vf; then fail "a function without a type was opened"; fi
kernel_said "0000:41:00.4: current_vgpu_type of VF not configured"

put 558 current_vgpu_type
file_is current_vgpu_type 558
file_is creatable_vgpu_types "ID    : vGPU Name"
file_is placement_id 0
refused "Operation not permitted" 558 current_vgpu_type
kernel_said "vGPU device already created with type ID: 558"
put frame_rate_limiter=0 vgpu_params
file_is vgpu_params frame_rate_limiter=0
head -c 1025 /dev/zero | tr '\0' x >/tmp/long
! cat /tmp/long 2>/dev/null >vgpu_params || fail "1025 bytes of parameters were taken"

# Another size is refused, the same size of another series is not.
other=/sys/bus/pci/devices/0000:41:00.5/nvidia
refused "Input/output error" 562 $other/current_vgpu_type
kernel_said "NVRM: Failed to add vgpu create request: 0x56"
kernel_said "[nvidia-vgpu-vfio] 0000:41:00.5: vGPU creation failed, -5"
is "556   : NVIDIA A40-2B
558   : NVIDIA A40-2Q" "$(tail -n +2 $other/creatable_vgpu_types)"
put 556 $other/current_vgpu_type
file_is $other/placement_id 2
put 0 $other/current_vgpu_type

# A virtual machine has it open.
start_vm one $vf
refused "Operation not permitted" 0 current_vgpu_type
refused "Operation not permitted" disable_vnc=1 vgpu_params
kernel_said "0000:41:00.4: vGPU destroy failed: 0x38"
stop_vm
put 0 current_vgpu_type
file_is current_vgpu_type 0

# A full board: six of 8 GiB.
for function in 00.4 00.5 00.6 00.7 01.0 01.1; do
    put 562 /sys/bus/pci/devices/0000:41:$function/nvidia/current_vgpu_type
done
refused "Input/output error" 562 /sys/bus/pci/devices/0000:41:01.2/nvidia/current_vgpu_type
kernel_said "NVRM: Failed to add vgpu create request: 0x1a"

# Not before the GPU is empty: mixed sizes.
if (testbed mixed 41 1) 2>/dev/null; then fail "the mode changed under vGPUs"; fi
for function in 00.4 00.5 00.6 00.7 01.0 01.1; do
    put 0 /sys/bus/pci/devices/0000:41:$function/nvidia/current_vgpu_type
done
testbed mixed 41 1
put 565 current_vgpu_type
put 558 $other/current_vgpu_type
file_is $other/placement_id 24
put 0 current_vgpu_type
put 0 $other/current_vgpu_type

# The resource manager is not ready at first.
testbed refuse 66 2
refused "Input/output error" 558 current_vgpu_type
refused "Input/output error" 558 current_vgpu_type
kernel_said "NVRM: Failed to add vgpu create request: 0x66"
put 558 current_vgpu_type

# Its process outlives the virtual machine.
echo 8000 >/sys/module/nvidia/parameters/plugin_exit_ms
start_vm one $vf
stop_vm
refused "Device or resource busy" 0 current_vgpu_type
put 0 current_vgpu_type

put 558 current_vgpu_type
cd /
unload_driver
load_driver interface=vfio boards=a40@41
file_is $gpu/sriov_numvfs 0
