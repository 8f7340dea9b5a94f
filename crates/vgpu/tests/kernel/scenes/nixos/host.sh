# The units, /etc and udev's rules of a NixOS host under systemd, and NixOS' own script that switches to another
# configuration. /systems/first and /systems/second are made by nix/tests/booted.nix, which says how they differ.
said() {
    journalctl --no-pager --output=cat --unit="$1" | grep -qF -e "$2" || fail "$1 did not say: $2"
}
state() {
    systemctl show --value --property="$2" "$1"
}
# device NAME: the file that a virtual machine opens.
device() {
    group=$(readlink "/run/vgpu/$1/iommu_group")
    echo "/dev/vfio/${group##*/}"
}

is "" "$(systemctl --failed --no-legend --plain)" "units that failed"

# nvidia-vgpud read the file that NixOS has in /etc, not the one of NVIDIA's that lies here too, and told what is in it.
said nvidia-vgpud "types of /etc/nvidia/vgpu/vgpuConfig.xml"
is exited "$(state nvidia-vgpud SubState)"
is running "$(state nvidia-vgpu-mgr SubState)"
manager=$(state nvidia-vgpu-mgr MainPID)

# The vGPUs that are declared are there, each with its link, and /dev/vfio's group where one is asked for.
is exited "$(state nvidia-vgpu-instances SubState)"
is 3 "$(vgpus | wc -l)"
office=$(at office) studio=$(at studio) spare=$(at spare)
kvm=$(device office)
is "root kvm 660" "$(stat -c "%U %G %a" "$kvm")"
is "root root 600" "$(stat -c "%U %G %a" "$(device studio)")"

# It is udev's rule that keeps it so.
chown root:root "$kvm"
udevadm trigger --action=change --settle "/sys/class/vfio/${kvm##*/}"
is "root kvm 660" "$(stat -c "%U %G %a" "$kvm")"

# A switch to another driver with other profiles, where each vGPU is declared differently, while two are in use.
start_vm office "/sys/bus/pci/devices/$office"
first=$vm
start_vm spare "/sys/bus/pci/devices/$spare"
NIXOS_NO_SYNC=1 LC_ALL=C /systems/second/switch-to-configuration test >/tmp/switch 2>&1 || fail "$(cat /tmp/switch)"
cat /tmp/switch
is /systems/second "$(readlink /run/current-system)"
switched() {
    is "$2" "$(sed -n "s/^$1: //p" /tmp/switch)" "$1"
}
switched "NOT restarting the following changed units" "nvidia-vgpu-mgr.service, nvidia-vgpud.service"
switched "restarting the following units" nvidia-vgpu-instances.service
switched "stopping the following units" ""
switched "the following new units were started" sysinit-reactivation.target
is "$manager" "$(state nvidia-vgpu-mgr MainPID)"
kill -0 "$first" && kill -0 "$vm" || fail "a virtual machine ended"

# What is in use is as it was; the rest is as declared now.
is "$office" "$(at office)"
is "$spare" "$(at spare)"
said nvidia-vgpu-instances "office  kept: virtual machine office (process $first) has it open"
said nvidia-vgpu-instances "spare  kept: virtual machine spare (process $vm) has it open"
is "root kvm 660" "$(stat -c "%U %G %a" "$kvm")"
is "$studio" "$(at studio)"
file_is /run/vgpu/studio/nvidia/vgpu_params frame_rate_limiter=0
[ -e /run/vgpu/lab ] || fail "the new vGPU is not there"
is 4 "$(vgpus | wc -l)"

# The virtual machines end: the next start of the service follows.
stop_vm
vm=$first
stop_vm
systemctl restart nvidia-vgpu-instances
is 0000:41:01.0 "$(at office)"
is "root kvm 660" "$(stat -c "%U %G %a" "$(device office)")"
[ ! -L /run/vgpu/spare ] || fail "a link is left"
is 3 "$(vgpus | wc -l)"
