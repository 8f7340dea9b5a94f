# Killed at 50 moments of its work, the next run ends in the right state, and knows what is its own.
load_driver interface=vfio boards=a40@41
start_vgpud
three='{"instances": {"a": {"profile": "A40-8Q"}, "b": {"profile": "A40-8Q"}, "c": {"profile": "A40-8Q"}}}'
# How long a whole run takes, in steps of which there are 25: making and removing take turns.
now() {
    echo $(($(cut -d ' ' -f 1 /proc/uptime | tr -d .) * 10000)) # Microseconds.
}
begin=$(now)
declare "$three"
vgpu instances apply
step=$((($(now) - begin) / 25))
declare '{}'
vgpu instances apply
killed=0
turn=0
while [ $turn -lt 50 ]; do
    turn=$((turn + 1))
    if [ $((turn % 2)) = 1 ]; then declare "$three"; else declare '{}'; fi
    if kill_after $(((turn + 1) / 2 * step)) vgpu instances apply; then killed=$((killed + 1)); fi
    vgpu instances apply >/tmp/told
    if [ $((turn % 2)) = 1 ]; then
        is 3 "$(vgpus | wc -l)" "vGPUs after turn $turn"
        is "a b c" "$(ls /run/vgpu | tr '\n' ' ' | sed 's/ $//')"
    else
        is "" "$(vgpus)" "vGPUs after turn $turn"
        is "" "$(ls /run/vgpu)" "links after turn $turn"
    fi
done
echo "killed $killed of $turn times"
[ $killed -gt 20 ] || fail "killed only $killed times"
