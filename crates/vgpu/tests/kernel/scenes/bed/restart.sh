# The test bed itself: a restart of the machine keeps /var/lib and loses all vGPUs.
case $BOOT in
    1)
        load_driver boards=p40@41
        start_vgpud
        put aaaaaaaa-0000-4000-8000-000000000001 /sys/class/mdev_bus/0000:41:00.0/mdev_supported_types/nvidia-47/create
        echo first >/var/lib/kept
        reboot_machine
        ;;
    2)
        file_is /var/lib/kept first
        load_driver boards=p40@41
        start_vgpud
        is "" "$(ls /sys/bus/mdev/devices)"
        ;;
esac
