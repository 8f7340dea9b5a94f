# Virtual functions: switched on once, however sriov-manage fails, and never where vGPUs are.
load_driver interface=vfio boards=a40@41,a40@42
start_vgpud
declare '{"instances": {"a": {"profile": "A40-8Q", "gpu": "0000:41:00.0"}}}'
vgpu instances plan | grep -q "0000:41:00.0  switch on its virtual functions"
echo silent >/run/sriov-manage
fails_with "sriov-manage made no virtual functions on 0000:41:00.0" vgpu instances apply
grep -q "SR-IOV on in the firmware" /tmp/err
mv /usr/sbin/lspci /usr/sbin/lspci.away
fails_with "it needs lspci on its PATH" vgpu instances apply
mv /usr/sbin/lspci.away /usr/sbin/lspci

# Half-way: the GPU stays lent to pci-pf-stub, unless somebody puts it back.
echo half-way >/run/sriov-manage
fails_with "sriov-manage made no virtual functions" vgpu instances apply
is nvidia "$(basename "$(readlink /sys/bus/pci/devices/0000:41:00.0/driver)")"
sriov-manage -e 0000:41:00.0 || true
is pci-pf-stub "$(basename "$(readlink /sys/bus/pci/devices/0000:41:00.0/driver)")"
rm /run/sriov-manage
vgpu instances apply
is 1 "$(vgpus | wc -l)"
file_is /sys/bus/pci/devices/0000:41:00.0/sriov_numvfs 32
file_is /sys/bus/pci/devices/0000:42:00.0/sriov_numvfs 0

# Somebody holds the other GPU for a moment.
declare '{"instances": {"a": {"profile": "A40-8Q", "gpu": "0000:41:00.0"}, "b": {"profile": "A40-8Q", "gpu": "0000:42:00.0"}}}'
(sleep 3) <>/dev/nvidia1 &
vgpu instances apply
is 2 "$(vgpus | wc -l)"
is 1 "$(made 41)"
wait

# And for long.
declare '{}'
vgpu instances apply
sriov-manage -d 0000:42:00.0
declare '{"instances": {"b": {"profile": "A40-8Q", "gpu": "0000:42:00.0"}}}'
sleep 100 <>/dev/nvidia1 &
holder=$!
fails_with "0000:42:00.0 is in use by a process that talks to the driver" vgpu instances apply
kill $holder

# A GPU that carries a vGPU keeps its functions, even when all others have lost their driver.
declare '{"instances": {"a": {"profile": "A40-8Q", "gpu": "0000:41:00.0"}}}'
vgpu instances apply
is 1 "$(vgpus | wc -l)"
for function in /sys/bus/pci/devices/0000:41:00.0/virtfn*; do
    if [ "$(cat "$function/nvidia/current_vgpu_type")" = 0 ]; then
        basename "$(readlink "$function")" >"$function/driver/unbind"
    fi
done
declare '{"instances": {"a": {"profile": "A40-8Q", "gpu": "0000:41:00.0"}, "b": {"profile": "A40-8Q", "gpu": "0000:41:00.0"}}}'
fails_with "0000:41:00.0 has no free virtual function" vgpu instances apply
is 1 "$(vgpus | wc -l)"
file_is /sys/bus/pci/devices/0000:41:00.0/sriov_numvfs 32
