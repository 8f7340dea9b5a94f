# Instances keep their virtual function and UUID over a restart, and over other instances' coming and going.
places() {
    for name in "$@"; do
        echo "$name $(at "$name")"
    done
}
instance='"profile": "A40-8Q"'
load_driver interface=vfio boards=a40@41,p40@42
start_vgpud
case $BOOT in
    1)
        declare "{ \"instances\": { \"b\": { $instance }, \"c\": { $instance }, \"d\": { $instance },
            \"m\": { \"profile\": \"P40-8Q\" } } }"
        vgpu instances apply
        places b c d m >/var/lib/places
        # The first goes, and the last takes its function: the order of functions is no longer that of names.
        declare "{ \"instances\": { \"c\": { $instance }, \"d\": { $instance }, \"e\": { $instance },
            \"m\": { \"profile\": \"P40-8Q\" } } }"
        vgpu instances apply
        is "$(grep -v ^b /var/lib/places)" "$(places c d m)"
        [ ! -e /run/vgpu/b ] || fail "b is still there"
        is 0000:41:00.4 "$(at e)"
        places c d e m >/var/lib/places
        reboot_machine
        ;;
    2)
        is "" "$(vgpus)" "vGPUs after a restart"
        # One more, that comes before all others in the alphabet.
        declare "{ \"instances\": { \"a\": { $instance }, \"c\": { $instance }, \"d\": { $instance },
            \"e\": { $instance }, \"m\": { \"profile\": \"P40-8Q\" } } }"
        vgpu instances apply
        is "$(cat /var/lib/places)" "$(places c d e m)"
        ;;
esac
