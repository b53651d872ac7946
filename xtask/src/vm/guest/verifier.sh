#!/bin/busybox sh
# Part of init.sh: loads all programs that iotrace has for $mechanism in all that it can do, and reports what the verifier says.
export VERIFIER_LOG=/run/verifier
: >$VERIFIER_LOG
[ "$mechanism" = auto ] || how="--mechanism $mechanism"

loads() {
    LD_PRELOAD=/guest/verifier.so "$IOTRACE_BIN" "$@" >/dev/null 2>/run/stderr </dev/null && return
    echo "@@ impossible iotrace $*: $($bb tr '\n' ' ' </run/stderr)"
}

loads doctor
for command in "top --all" "fsync --trace" events open latency block; do
    # shellcheck disable=SC2086
    loads $command $how -d 10ms
    # shellcheck disable=SC2086
    loads $command $how -d 10ms --pid 1 --children
    # shellcheck disable=SC2086
    loads $command $how -d 10ms --tid 1 --comm 'x*' --uid 0 --disk vda --min-latency 1us --failed
done
# Before 6.5 it is not seen by tracepoints.
loads copyup -d 10ms
for command in life disk diagnose "block --summary"; do
    # shellcheck disable=SC2086
    loads $command $how -d 10ms
done
# shellcheck disable=SC2086
loads wait --all $how -d 10ms --pid 1 --comm 'x*' --uid 0 --disk vda --min-latency 1us
# shellcheck disable=SC2086
loads top --all --no-latency $how -d 10ms --pid 1 --comm 'x*' --uid 0 --disk vda --failed
$bb sed 's/^/@@ program /' $VERIFIER_LOG
