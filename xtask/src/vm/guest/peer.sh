#!/bin/sh
# Starts the peer whose name this script has, with the loader and the libraries of its own suite.
suite=${0%/bin/*}/suite name=${0##*/}
for libraries in "$suite"/usr/lib/*-linux-gnu; do :; done
for loader in "$libraries"/ld-linux-*; do :; done
for program in "$suite/usr/sbin/$name-libbpf" "$suite/usr/bin/$name"; do
    [ ! -x "$program" ] || exec "$loader" --library-path "$libraries" "$program" "$@"
done
echo "$name is not in $suite" >&2
exit 127
