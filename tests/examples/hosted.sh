#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds Etalon into the loops of GLib and libuv, where they are installed, and runs it there: all
# must come, and the host must not turn more often than something happens. Prints TAP.
#
#   tests/examples/hosted.sh [LIBRARY]        (build/default/libetalon.a)
set -u
cd "$(dirname "$0")/../.." || exit 2
library=${1:-build/default/libetalon.a}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
failed=0

# hosted NAME PACKAGE
hosted() {
    number=$((number + 1))
    if ! pkg-config --exists "$2" 2>/dev/null; then
        echo "ok $number - hosted by $1 # SKIP $2 is not installed"
        return
    fi
    # shellcheck disable=SC2046 # flags are words
    if ${CC:-cc} -std=c11 -D_GNU_SOURCE -pthread -Wall -Wextra -Werror -O2 -g \
        "tests/examples/hosted_$1.c" tests/examples/hosted.c "$library" \
        $(pkg-config --cflags --libs "$2") -o "$work/$1" >"$work/log" 2>&1 &&
        timeout -k 5 20 "$work/$1" >>"$work/log" 2>&1; then
        echo "ok $number - $(cat "$work/log")"
    else
        failed=1
        echo "not ok $number - hosted by $1"
        sed 's/^/# /' "$work/log"
    fi
}

hosted glib glib-2.0
hosted uv libuv
echo "1..$number"
exit $failed
