# apply is killed at 50 moments of its run; whatever it left, the next apply ends in the declared state.
with_a='{ "instances": {
    "a": { "profile": "A16-4Q", "parameters": { "frame_rate_limiter": false } }, "b": { "profile": "A16-4Q" },
    "m": { "profile": "P40-2Q" }, "n": { "profile": "P40-2Q" } } }'
with_c='{ "instances": {
    "b": { "profile": "A16-4Q" }, "c": { "profile": "A16-4Q" },
    "n": { "profile": "P40-2Q" }, "o": { "profile": "P40-2Q" } } }'
load_driver interface=vfio boards=a16@41,p40@42
start_vgpud

# What the two declarations come to when nobody is killed.
state() {
    vgpus
    cd /run/vgpu
    for name in *; do
        echo "$name $(readlink -f "$name")"
    done
    cd /
}
declare "$with_a"
vgpu instances apply
is_a=$(state)
declare "$with_c"
start=$(cut -d ' ' -f 1 /proc/uptime | tr -d .)
vgpu instances apply
took=$((($(cut -d ' ' -f 1 /proc/uptime | tr -d .) - start) * 10000))
is_c=$(state)
echo "$is_c"
is 8 "$(echo "$is_c" | wc -l)" "lines of the state"
declare "$with_a"
vgpu instances apply >/tmp/told
is "$is_a" "$(state)" "the state, back again"

running=0
for moment in $(seq 1 50); do
    if [ $((moment % 2)) = 1 ]; then declare "$with_c"; else declare "$with_a"; fi
    if kill_after $((took * moment / 50)) vgpu instances apply 2>/dev/null; then
        running=$((running + 1))
    fi
    vgpu instances apply >/tmp/told 2>&1 || fail "after a kill at moment $moment: $(cat /tmp/told)"
    if [ $((moment % 2)) = 1 ]; then
        is "$is_c" "$(state)" "the state after moment $moment"
    else
        is "$is_a" "$(state)" "the state after moment $moment"
    fi
done
echo "a run takes $((took / 1000)) ms; $running of 50 were killed while they ran"
[ $running -ge 25 ] || fail "too few were killed while they ran"
