# What a machine with systems of NixOS has beside the common part: systemd, udev, D-Bus and Perl of this machine, and the
# systems with their part of the Nix store. Part of `run`, which has $work, $systems, copy_libraries and skip.

# Programs of the packages systemd, udev, dbus, kmod, perl-base, bash.
systemd_programs="/lib/systemd/systemd /lib/systemd/systemd-journald /lib/systemd/systemd-udevd
    /lib/systemd/systemd-modules-load /usr/bin/systemctl /usr/bin/systemd-escape /usr/bin/busctl /usr/bin/journalctl
    /usr/bin/udevadm /usr/bin/dbus-daemon /usr/bin/perl /bin/bash"

# Units that NixOS has of the same names; what is behind the colon wants them.
base_units="sysinit.target basic.target multi-user.target sockets.target paths.target slices.target timers.target
    local-fs-pre.target local-fs.target swap.target shutdown.target umount.target
    systemd-journald.socket:sockets.target systemd-journald-dev-log.socket:sockets.target
    systemd-journald.service:sysinit.target
    systemd-udevd-control.socket:sockets.target systemd-udevd-kernel.socket:sockets.target
    systemd-udevd.service:sysinit.target systemd-udev-trigger.service:sysinit.target
    systemd-modules-load.service:sysinit.target dbus.socket:sockets.target dbus.service"

copy() {
    local file
    for file; do
        mkdir -p "$work/root$(dirname "$file")"
        cp -rL "$file" "$work/root$file"
    done
}

# Perl's modules and libraries that NixOS' script loads.
copy_perl() {
    perl -MConfig::IniFiles -MFile::Slurp -MJSON::PP -MIPC::Cmd -MSys::Syslog -MCwd -MFcntl -MPOSIX -MFile::Temp \
        -MFile::Glob -MDynaLoader -e 'print "$_\n" for grep { -e } values %INC, @DynaLoader::dl_shared_objects' \
        >"$work/perl" 2>/dev/null || skip "no libconfig-inifiles-perl and libfile-slurp-perl for NixOS' script"
    # shellcheck disable=SC2046 # Their names have no spaces.
    copy $(sort -u "$work/perl")
}

# A system gets the units of systemd itself, and what its script asks for.
complete() {
    local system=$1 entry unit
    for entry in $base_units; do
        unit=${entry%:*}
        cp "/lib/systemd/system/$unit" "$system/etc/systemd/system/"
        if [ "$unit" != "$entry" ]; then
            mkdir -p "$system/etc/systemd/system/${entry#*:}.wants"
            ln -s "../$unit" "$system/etc/systemd/system/${entry#*:}.wants/"
        fi
    done
    mkdir -p "$system/sw"
    ln -s /usr/bin "$system/sw/bin"
    touch "$system/init-interface-version" "$system/etc/fstab"
    ln -s /dev/null "$system/etc/systemd/system.conf"
    cp "$here/guest/systemd/activate" "$system/"
    # What is asked for on the kernel's command line.
    printf 'options nvidia interface=vfio boards=a16@41\nalias nvidia-vgpu-vfio nvidia\n' >"$system/etc/modprobe.d/testbed.conf"
}

build_systems() {
    local root=$work/root program path store place
    for program in $systemd_programs depmod; do
        command -v "$program" >/dev/null || skip "no $program to run systemd with"
    done
    command -v nix-store >/dev/null || skip "no nix-store"

    # shellcheck disable=SC2086
    copy $systemd_programs
    # shellcheck disable=SC2086
    copy_libraries $systemd_programs
    copy_perl
    copy /lib/udev/rules.d/{50-udev-default,80-drivers,99-systemd}.rules /usr/share/dbus-1/system.conf \
        /usr/share/dbus-1/system.d/org.freedesktop.systemd1.conf
    mkdir -p "$root"/{lib/systemd/system,etc,systems/systemd/bin,systems/systemd/lib/systemd}
    cp "$here/guest/systemd/scene.service" "$root/lib/systemd/system/"
    printf 'root:x:0:0::/root:/bin/sh\nmessagebus:x:301:301::/:/bin/false\n' >"$root/etc/passwd"
    echo 'ID=nixos' >"$root/etc/os-release"
    echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
    # The script's own systemd. Nobody is logged in.
    ln -s /usr/bin/systemctl "$root/systems/systemd/bin/"
    printf '#!/bin/sh\n' >"$root/systems/systemd/bin/loginctl"
    chmod +x "$root/systems/systemd/bin/loginctl"
    ln -s /lib/systemd/systemd "$root/systems/systemd/lib/systemd/"
    # systemd reads these lists in their binary form, which busybox does not write.
    cp -r "$cache/common/lib/modules" "$root/lib/"
    depmod -b "$root" "$kernel" 2>/dev/null

    # The systems, and what they need of the store: at a place that no unit hides (a store of the tests is below /tmp). Its
    # name is as long as the old one, since programs have it in them.
    store=$(dirname "$systems")
    place=/store$(printf '%*s' $((${#store} - 6)) '' | tr ' ' _)
    mkdir -p "$root$place"
    for path in $(nix-store --query --requisites "$systems"); do
        [ "$path" = "$systems" ] || cp -r "$path" "$root$place/"
    done
    cp -r "$systems"/{first,second} "$root/systems/"
    chmod -R u+w "$root$place" "$root/systems"
    for program in "$root$place"/*-vgpu-[0-9]*/bin/vgpu; do
        strip "$program"
        copy_libraries "$program"
        ln -sf "${program#"$root"}" "$root/usr/bin/vgpu"
    done
    grep -rlZ "$store/" "$root$place" "$root/systems" | xargs -0 sed -i "s|$store/|$place/|g"
    complete "$root/systems/first"
    complete "$root/systems/second"
    append="systemd.unit=scene.service systemd.show_status=0"
}
