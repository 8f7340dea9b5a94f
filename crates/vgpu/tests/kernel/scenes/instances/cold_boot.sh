# Three starts of the machine, on interface 3 and on a GPU without SR-IOV: all that is declared is made, at its place.
declare '{"instances": {
    "office": {"profile": "A40-8Q", "parameters": {"frame_rate_limiter": false}},
    "lab": {"profile": "NVIDIA A40-8Q", "gpu": "0000:41:00.0"},
    "studio": {"profile": 562, "virtual_function": "0000:41:00.7", "group": "kvm"},
    "old": {"profile": "P40-8Q"}
}}'
echo "kvm:x:36:" >/etc/group
load_driver interface=vfio boards=a40@41,p40@42
start_vgpud
vgpu instances apply
is 562 "$(cat /sys/bus/pci/devices/0000:41:00.7/nvidia/current_vgpu_type)"
is 0000:41:00.7 "$(at studio)"
file_is "/run/vgpu/office/nvidia/vgpu_params" frame_rate_limiter=0
is 4 "$(vgpus | wc -l)"
is 3 "$(made 41)"
is 1 "$(made 42)"
group=$(basename "$(readlink /run/vgpu/studio/iommu_group)")
is "0 36 660" "$(stat -c '%u %g %a' "/dev/vfio/$group")"
vgpu instances
vgpu instances plan

# Once more: nothing is done.
before=$(stat -c %Y /var/lib/vgpu/instances.json)
sleep 1
is "" "$(vgpu instances apply)"
is 3 "$(made 41)"
is "$before" "$(stat -c %Y /var/lib/vgpu/instances.json)"

# Each name has its function and its UUID after a restart, whoever came before it in the alphabet.
case $BOOT in
    1)
        echo "$(at office) $(at lab) $(at old)" >/var/lib/places
        reboot_machine
        ;;
    2)
        is "$(cat /var/lib/places)" "$(at office) $(at lab) $(at old)"
        reboot_machine
        ;;
    3) is "$(cat /var/lib/places)" "$(at office) $(at lab) $(at old)" ;;
esac

# A virtual machine opens what attach says.
eval "set -- $(vgpu instances attach office --format qemu)"
start_vm win10 "${4#vfio-pci,sysfsdev=}"
vgpu instances list | grep -q "office *in-use *NVIDIA A40-8Q .* win10" || fail "$(vgpu instances)"
stop_vm
