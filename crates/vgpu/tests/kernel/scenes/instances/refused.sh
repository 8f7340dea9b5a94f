# What cannot be made fails alone, with the kernel's reason, and the others are made.
load_driver interface=vfio boards=a40@41
declare '{"instances": {
    "big": {"profile": "A40-24Q", "gpu": "0000:41:00.0"}, "a": {"profile": "A40-8Q"},
    "typo": {"profile": "A40-80Q"}, "gone": {"profile": "A40-8Q", "gpu": "0000:99:00.0"}
}}'
start_vgpud
fails_with "cannot make instance" vgpu instances apply
cat /tmp/out /tmp/err
grep -q "error: cannot make instance gone" /tmp/err
grep -q "cause: there is no NVIDIA GPU at 0000:99:00.0" /tmp/err
grep -q "cause: no profile is called A40-80Q" /tmp/err
grep -q "help: the nearest are A40-8Q" /tmp/err
is 1 "$(vgpus | wc -l)"
fails_with "cannot be made" vgpu instances plan
grep -q "a *cannot be made: 0000:41:00.0 is cut into NVIDIA A40-24Q" /tmp/out
cat /tmp/out

# What files cannot tell, the kernel tells. Without vgpuConfig.xml, sizes are not known.
declare '{"instances": {"big": {"profile": "A40-24Q"}, "a": {"profile": 562, "virtual_function": "0000:41:00.6"}}}'
mv /usr/share/nvidia/vgpu/vgpuConfig.xml /tmp/
fails_with "another size of vGPU is in use on the GPU" vgpu instances apply
grep -q "NVRM 0x56" /tmp/err
mv /tmp/vgpuConfig.xml /usr/share/nvidia/vgpu/

# Nor how many fit: the seventh of 8 GiB is asked for, and refused.
declare '{"instances": {}}'
vgpu instances apply
declare '{"instances": {"a": {"profile": 562}, "b": {"profile": 562}, "c": {"profile": 562}, "d": {"profile": 562},
    "e": {"profile": 562}, "f": {"profile": 562}, "g": {"profile": 562}}}'
mv /usr/share/nvidia/vgpu/vgpuConfig.xml /tmp/
fails_with "the GPU is full (NVRM 0x1a" vgpu instances apply
mv /tmp/vgpuConfig.xml /usr/share/nvidia/vgpu/
is 6 "$(vgpus | wc -l)"

# A full board, of which vgpuConfig.xml tells.
fails_with "0000:41:00.0 is full: 6 of 6 vGPUs are on it" vgpu instances apply
is 6 "$(vgpus | wc -l)"

# Other codes of the resource manager: each is told in words, and nothing is left.
declare '{}'
vgpu instances apply
is 0 "$(vgpus | wc -l)"
declare '{"instances": {"a": {"profile": 562}}}'
testbed refuse 38 1
fails_with "the GPU is in MIG mode and has no GPU instance for it, or the virtual function is taken (NVRM 0x38" \
    vgpu instances apply
testbed refuse 57 1
fails_with "the kernel does not know this type (NVRM 0x57" vgpu instances apply
testbed refuse 51 1
fails_with "the driver has no memory for it (NVRM 0x51" vgpu instances apply
is 0 "$(vgpus | wc -l)"

# Not ready yet: it is asked again.
testbed refuse 66 3
declare '{"instances": {"a": {"profile": 562}}}'
vgpu instances apply
is 1 "$(vgpus | wc -l)"

# The manager's process is still ending.
echo 8000 >/sys/module/nvidia/parameters/plugin_exit_ms
start_vm one "/sys/bus/pci/devices/$(at a)"
stop_vm
declare '{}'
vgpu instances apply
is 0 "$(vgpus | wc -l)"
