# Interfaces 1 and 2: mediated devices on a GPU and on virtual functions, with UUIDs made from names.
load_driver interface=mdev boards=a16@41,p40@42
declare '{"instances": {
    "one": {"profile": "A16-4Q"}, "two": {"profile": "A16-4Q", "parameters": {"frame_rate_limiter": 0}},
    "old": {"profile": "GRID P40-8Q"}, "own": {"profile": "P40-8Q", "uuid": "aaaaaaaa-0000-4000-8000-000000000001"}
}}'
start_vgpud
vgpu instances apply
vgpus
is 4 "$(vgpus | wc -l)"
is aaaaaaaa-0000-4000-8000-000000000001 "$(at own)"
file_is /run/vgpu/two/nvidia/vgpu_params frame_rate_limiter=0
one=$(at one)
is "" "$(vgpu instances apply)"
is 2 "$(made 41)"
vgpu instances attach own
vgpu instances attach own | grep -q "<address uuid='aaaaaaaa-0000-4000-8000-000000000001'/>"

# An open one is never removed: the kernel would wait for it for ever.
start_vm win10 "/sys/bus/mdev/devices/$one"
declare '{"instances": {"two": {"profile": "A16-4Q"}}}'
vgpu instances apply
is "$one" "$(at one)"
is 2 "$(vgpus | wc -l)"
is "" "$(tr -d " \n" </run/vgpu/two/nvidia/vgpu_params)" # A space takes them back.
fails_with "virtual machine win10 (process $vm) has it open" vgpu instances remove one
stop_vm
vgpu instances apply
is 1 "$(vgpus | wc -l)"
