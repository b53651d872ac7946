#!/bin/busybox sh
# First process of the guest: loads the modules, waits for the disk, goes on with the root image.
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
for module in /modules/*; do
    $bb insmod "$module" >/dev/null 2>&1
done
tries=0
until [ -b /dev/vda ] || [ $tries -ge 100 ]; do
    $bb usleep 100000
    tries=$((tries + 1))
done
$bb mount -t ext4 -o noatime /dev/vda /root || { echo "@@ broken no root file system"; $bb poweroff -f; }
if [ -e /config ]; then
    $bb mkdir -p /root/boot
    $bb cp /config "/root/boot/config-$($bb uname -r)"
fi
$bb cp /job /root/guest/job
$bb mount --move /dev /root/dev
exec $bb switch_root /root /guest/init
