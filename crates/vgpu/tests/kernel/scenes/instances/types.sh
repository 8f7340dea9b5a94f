# At boot nvidia-vgpud may still be telling the kernel the types: apply waits for it, and not for ever.
load_driver interface=mdev boards=p40@42
declare '{"instances": {"old": {"profile": "P40-8Q"}}}'
fails_with "the kernel offers no types of vGPU on 0000:42:00.0" vgpu instances apply --wait 2
(sleep 3; start_vgpud) &
vgpu instances apply --wait 30
is 1 "$(vgpus | wc -l)"
wait
unload_driver
load_driver interface=vfio boards=a40@41
declare '{"instances": {"new": {"profile": "A40-8Q"}}}'
fails_with "the kernel does not know this type (NVRM 0x57" vgpu instances apply
(sleep 3; start_vgpud) &
vgpu instances apply --wait 30
is 1 "$(vgpus | wc -l)"
