#!/bin/busybox sh
# First process of a guest that measures: see guest.rs, which puts the arguments in.
bb=/bin/busybox
export PATH=/guest/peers/bin:/usr/sbin:/usr/bin:/usr/local/bin HOME=/root LANG=C.UTF-8
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t debugfs debug /sys/kernel/debug
$bb mount -t tracefs trace /sys/kernel/tracing
$bb mount -t cgroup2 cgroup /sys/fs/cgroup
$bb mount -t tmpfs run /run
$bb ln -sf /proc/self/fd /dev/fd
$bb mkdir -p /dev/shm
$bb mount -t tmpfs shm /dev/shm
$bb mkdir -p /usr/local/bin
$bb --install -s /usr/local/bin
$bb ln -s /bin/busybox /usr/bin/sh # of the peers' scripts
[ ! -b /dev/vdb ] || $bb mount -t ext4 -o ro /dev/vdb /guest/peers/suite
$bb dmesg -n 1
# What a disk's flush takes is not the same each time.
case "ARGUMENTS" in *--instructions*) $bb mount -o remount,barrier=0 / ;; esac
ulimit -n 65536
export CARGO_MANIFEST_DIR=/guest/xtask-source
/guest/xtask bench --inside /guest/iotrace ARGUMENTS </dev/null 2>&1
echo "@@ end $?"
$bb poweroff -f
