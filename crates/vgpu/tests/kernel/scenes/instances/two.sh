# Two at once wait for one another: each vGPU is made once.
load_driver interface=vfio boards=a40@41
start_vgpud
declare '{"instances": {"a": {"profile": "A40-8Q"}, "b": {"profile": "A40-8Q"}, "c": {"profile": "A40-8Q"}}}'
vgpu instances apply >/tmp/one 2>&1 &
one=$!
vgpu instances apply >/tmp/two 2>&1 &
two=$!
wait $one
wait $two
cat /tmp/one /tmp/two
is 3 "$(made 41)"
is 3 "$(vgpus | wc -l)"
cat /tmp/one /tmp/two | grep -q "another vgpu changes vGPUs: waiting for it"

# A run that was killed while sriov-manage was working: nobody meddles until that has ended.
unload_driver
load_driver interface=vfio boards=a40@41
start_vgpud
cat >/tmp/slow <<'EOF'
#!/bin/sh
touch /tmp/working
sleep 5
exec /usr/lib/nvidia/sriov-manage "$@"
EOF
chmod +x /tmp/slow
mkdir -p /tmp/path
mv /tmp/slow /tmp/path/sriov-manage
PATH=/tmp/path:$PATH
vgpu instances apply &
one=$!
eventually 30 test -e /tmp/working
kill -9 $one
wait $one || true
vgpu instances apply >/tmp/two 2>&1
cat /tmp/two
grep -q "waiting for it" /tmp/two
is 3 "$(vgpus | wc -l)"
