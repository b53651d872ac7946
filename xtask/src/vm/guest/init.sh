#!/bin/busybox sh
# First process on the root image: runs what it is told and ends the machine. What it reports begins with @@ on a line of its own
# (xtask/src/vm/console.rs). From /guest/job: MODE, SLOWDOWN, and the rest, which are lists.
bb=/bin/busybox
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t securityfs security /sys/kernel/security
$bb mount -t debugfs debug /sys/kernel/debug
$bb mount -t tracefs trace /sys/kernel/tracing
$bb mount -t cgroup2 cgroup /sys/fs/cgroup
$bb mkdir -p /dev/pts /dev/shm
$bb mount -t devpts devpts /dev/pts
$bb mount -t tmpfs shm /dev/shm
$bb mount -t tmpfs run /run
$bb ln -sf /proc/self/fd /dev/fd
$bb ip link set lo up
# For names that are not there otherwise.
$bb mkdir -p /usr/local/bin
$bb --install -s /usr/local/bin
export PATH=$PATH:/usr/local/bin

. /guest/job
# The tests' limits on time are for a real machine; an emulated one is several times slower.
export IOTRACE_BIN=/guest/iotrace IOTRACE_SKIPS=/run/skips IOTRACE_TEST_SLOWDOWN="$SLOWDOWN" RUST_BACKTRACE=0
mode=$MODE
mechanisms=$(echo "$MECHANISMS" | $bb tr , ' ')
filters=$(echo "$FILTERS" | $bb tr , ' ')
done=,$EXCEPT, # groups that do not run, or not again
once=,$ONCE,   # groups that run with one mechanism
each=,$EACH,   # or, where there are any, groups that run with each
if [ -b /dev/vdb ]; then
    $bb mount -t ext4 -o ro /dev/vdb /guest/peers/suite
    export IOTRACE_PEERS=/guest/peers/bin
else
    done=${done}peers,
fi
skips=
for name in $(echo "$EXCEPT" | $bb tr , ' '); do
    [ -e "/guest/tests/$name" ] || skips="$skips --skip $name"
done
first=  # tests that do not run again with another mechanism
for name in $(echo "$FIRST" | $bb tr , ' '); do
    first="$first --skip $name"
done
ran=,

seconds() { $bb cut -d . -f 1 /proc/uptime; }

# Runs the tests of $executable that failed once more, each alone, if they are few: an emulated machine may have been too slow.
again() {
    failed=$($bb awk '/^failures:$/ { names = "" } /^    [^ ]+$/ { names = names " " $1 } END { print names }' /run/stdout)
    # shellcheck disable=SC2086
    set -- $failed
    [ $# -ge 1 ] && [ $# -le 3 ] || return
    still=$status status=0
    for name in "$@"; do
        if "$executable" --test-threads 1 --exact "$name" </dev/null >/run/stdout 2>&1 && $bb grep -q '^test result: ok. 1 passed' /run/stdout; then
            echo "@@ unstable $name"
        else
            status=$still
        fi
    done
}

set -o pipefail
for mechanism in $mechanisms; do
    began=$(seconds)
    echo "@@ mechanism $mechanism"
    unset IOTRACE_TEST_MECHANISM
    if [ "$mechanism" != auto ]; then
        if ! "$IOTRACE_BIN" top --mechanism "$mechanism" -d 10ms >/dev/null 2>/run/stderr </dev/null; then
            echo "@@ impossible $($bb tr '\n' ' ' </run/stderr)"
            continue
        fi
        export IOTRACE_TEST_MECHANISM="$mechanism"
    fi
    if [ "$mode" = verifier ]; then
        . /guest/verifier.sh
        continue
    fi
    for executable in /guest/tests/*; do
        group=${executable##*/}
        case $done in *,$group,*) continue ;; esac
        case $once in *,$group,*) done=$done$group, ;; esac
        case $each in ,, | *,$group,*) ;; *) done=$done$group, ;; esac
        names=$filters
        for filter in $filters; do # the name of a group stands for all its tests
            [ "$filter" != "$group" ] || names=
        done
        left=$skips
        case $ran in *,$group,*) left=$skips$first ;; esac
        ran=$ran$group,
        : >"$IOTRACE_SKIPS"
        echo "@@ group $group"
        # shellcheck disable=SC2086
        "$executable" --test-threads 1 $left $names </dev/null 2>/run/stderr | $bb tee /run/stdout
        status=$?
        echo # ends the line of a test that was killed
        $bb sed 's/^/@@ skip /' "$IOTRACE_SKIPS"
        [ $status = 0 ] || $bb sed 's/^/@@ stderr /' /run/stderr
        [ $status = 0 ] || again
        echo "@@ status $status"
    done
    echo "@@ took $(($(seconds) - began))"
done
echo "@@ end"
$bb poweroff -f
