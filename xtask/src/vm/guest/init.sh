#!/bin/busybox sh
# First process on the root image: runs the tests and ends the machine. What it reports begins with @@ on a line of its own
# (xtask/src/vm/console.rs). MECHANISM and FILTERS, separated by commas, come from the kernel's command line.
bb=/bin/busybox
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t cgroup2 cgroup /sys/fs/cgroup
$bb mkdir -p /dev/pts /dev/shm
$bb mount -t devpts devpts /dev/pts
$bb mount -t tmpfs shm /dev/shm
$bb mount -t tmpfs run /run
$bb ln -sf /proc/self/fd /dev/fd
$bb ip link set lo up

# The tests' limits on time are for a real machine; an emulated one is about eight times slower.
export IOTRACE_BIN=/guest/iotrace IOTRACE_SKIPS=/run/skips IOTRACE_TEST_SLOWDOWN=8 RUST_BACKTRACE=0
[ -z "$MECHANISM" ] || export IOTRACE_TEST_MECHANISM="$MECHANISM"
filters=$(echo "$FILTERS" | $bb tr , ' ')
unset MECHANISM FILTERS

if [ -n "$IOTRACE_TEST_MECHANISM" ]; then
    if ! "$IOTRACE_BIN" top --mechanism "$IOTRACE_TEST_MECHANISM" -d 10ms >/dev/null 2>/run/stderr </dev/null; then
        echo "@@ impossible $($bb tr '\n' ' ' </run/stderr)"
        echo "@@ end"
        $bb poweroff -f
    fi
fi

for executable in /guest/tests/*; do
    group=${executable##*/}
    names=$filters
    for filter in $filters; do # the name of a group stands for all its tests
        [ "$filter" != "$group" ] || names=
    done
    : >"$IOTRACE_SKIPS"
    echo "@@ group $group"
    # shellcheck disable=SC2086
    "$executable" --test-threads 1 $names </dev/null 2>/run/stderr
    status=$?
    echo # ends the line of a test that was killed
    $bb sed 's/^/@@ skip /' "$IOTRACE_SKIPS"
    [ $status = 0 ] || $bb sed 's/^/@@ stderr /' /run/stderr
    echo "@@ status $status"
done
echo "@@ end"
$bb poweroff -f
