# Killed at 50 moments of its work, the next run ends in the right state, and knows what is its own.
load_driver interface=vfio boards=a40@41
start_vgpud
two='{"instances": {"a": {"profile": "A40-8Q"}, "b": {"profile": "A40-8Q"}, "c": {"profile": "A40-8Q"}}}'
killed=0
turn=0
while [ $turn -lt 50 ]; do
    turn=$((turn + 1))
    # Up to the length of a whole run, in steps of 20 ms.
    declare "$two"
    if kill_after $((turn * 20000)) vgpu instances apply; then killed=$((killed + 1)); fi
    if [ $((turn % 2)) = 0 ]; then
        declare '{}'
        if kill_after $((turn * 10000)) vgpu instances apply; then killed=$((killed + 1)); fi
        vgpu instances apply >/tmp/told
        is "" "$(vgpus)" "vGPUs after turn $turn"
        is "" "$(ls /run/vgpu)" "links after turn $turn"
    else
        vgpu instances apply >/tmp/told
        is 3 "$(vgpus | wc -l)" "vGPUs after turn $turn"
        is "a b c" "$(ls /run/vgpu | tr '\n' ' ' | sed 's/ $//')"
    fi
done
echo "killed $killed times"
[ $killed -gt 20 ] || fail "killed only $killed times"
is instances.json "$(ls -A /var/lib/vgpu | grep -v new)"
