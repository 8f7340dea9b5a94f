# Mixed sizes: functions first, then the mode, then vGPUs of two sizes; changed on an empty GPU alone.
load_driver interface=vfio boards=a40@41
start_vgpud
declare '{"instances": {"a": {"profile": "A40-24Q"}, "b": {"profile": "A40-2Q"}},
    "gpus": {"0000:41:00.0": {"mixed_sizes": true}}}'
vgpu instances apply
is 2 "$(vgpus | wc -l)"
is "" "$(vgpu instances apply)"
is 2 "$(made 41)"

# Off again: not under vGPUs.
declare '{"instances": {"a": {"profile": "A40-24Q"}}, "gpus": {"0000:41:00.0": {"mixed_sizes": false}}}'
fails_with "cannot switch mixed sizes of 0000:41:00.0 off" vgpu instances apply
vgpu instances remove a
vgpu instances apply
is 1 "$(vgpus | wc -l)"
