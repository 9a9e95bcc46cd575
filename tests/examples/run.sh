#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the echo server and its load against each other, everything on the loopback interface, and
# the copy of files. Prints TAP.
#
#   tests/examples/run.sh [DIRECTORY OF THE PROGRAMS]        (build/default/tests/examples)
set -u
# Around all, not around the server: timeout sends SIGCONT behind every signal that it passes on,
# and that can take away the SIGSTOP with which LeakSanitizer begins its work at the server's end.
test -n "${EXAMPLES_TIMEOUT:-}" || EXAMPLES_TIMEOUT=120 exec timeout -k 5 120 "$0" "$@"
cd "$(dirname "$0")/../.." || exit 2
programs=${1:-build/default/tests/examples}
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill -9 "$server" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

needed=1200 # a thousand connections and what a process has beside them
if test "$(ulimit -Sn)" != unlimited && test "$(ulimit -Sn)" -lt "$needed" &&
    ! ulimit -Sn "$needed"; then
    echo "Bail out! The hard limit of descriptors is below $needed"
    exit 1
fi

. tests/suites/tap.sh

verdict() { # verdict NAME STATUS: what the programs said explains a failure
    report "$1" "$2" "$work/server" "$work/load"
}

# start_server OPTION…: sets server (its process) and port. DESCRIPTORS limits its descriptors.
start_server() {
    : >"$work/load"
    # Now, not when the server comes to it: it still holds the port of the last one.
    : >"$work/server"
    (
        test -z "${DESCRIPTORS:-}" || ulimit -Sn "$DESCRIPTORS"
        exec "$programs/echo_server" "$@"
    ) >>"$work/server" 2>&1 &
    server=$!
    port=
    for _ in $(seq 100); do
        port=$(sed -n 's/^listening on 127\.0\.0\.1://p' "$work/server")
        test -n "$port" && return
        sleep 0.05
    done
}

load() {
    "$programs/echo_load" --port "${port:-1}" "$@" >"$work/load" 2>&1
}

# stop_server PATTERN: asks the server to end; 0 when it ended well and its last line matches.
stop_server() {
    kill "$server" 2>/dev/null
    wait "$server"
    local status=$?
    server=
    test "$status" = 0 && grep -q "$1" "$work/server"
}

start_server --idle-ms 500
load --connections 1000 --messages 10 --idle 100 --idle-ms 500 &&
    stop_server ' 1000 accepted .* 1000 closed (100 when idle), 640000 bytes, 0 errors$'
verdict 'a thousand connections, a hundred of them closed when idle' $?

start_server
load --connections 20 --messages 5 --size 300000 --idle 0 &&
    stop_server ' 20 closed (0 when idle), 30000000 bytes, 0 errors$'
verdict 'messages larger than every buffer' $?

start_server --connections 16
load --connections 200 --idle 0 && stop_server ' 200 accepted (0 refusals), 200 closed .* 0 errors$'
verdict 'more clients than the server has slots' $?

DESCRIPTORS=32 start_server
load --connections 200 --idle 0 && \
    stop_server ' 200 accepted ([1-9][0-9]* refusals), 200 closed .* 0 errors$'
verdict 'more clients than the server may have descriptors' $?

start_server --exit-after 10
load --connections 10 --idle 0 && wait "$server" &&
    grep -q ' 10 accepted .* 10 closed ' "$work/server"
verdict 'the server ends by itself after ten connections' $?

start_server --idle-ms 0
exec 3<>"/dev/tcp/127.0.0.1/${port:-1}" && echo hello >&3 && read -r -t 10 reply <&3 &&
    test "$reply" = hello &&
    stop_server ' 1 accepted .* 1 closed (0 when idle), 6 bytes, 0 errors$'
verdict 'SIGTERM closes what is open' $?
exec 3>&-

: >"$work/server"
"$programs/echo_load" --port 1 --connections 3 --timeout-ms 5000 >"$work/load" 2>&1
test $? = 1 && grep -q ' 3 errors' "$work/load"
verdict 'the load says so when nobody listens' $?

"$programs/echo_server" --port 65536 >"$work/server" 2>&1
test $? = 2 && grep -q '^usage' "$work/server"
verdict 'a wrong option is refused' $?

# Files of no byte, of less than a block, of many; with a mode; and a target that exists.
head -c 5000000 /dev/urandom >"$work/large"
head -c 1000 /dev/urandom >"$work/small"
: >"$work/empty"
chmod 640 "$work/small"
echo old >"$work/small.copy"
"$programs/copy" --block-kib 16 --tick-ms 1 "$work/large" "$work/large.copy" "$work/small" \
    "$work/small.copy" "$work/empty" "$work/empty.copy" \
    >"$work/load" 2>&1 && cmp "$work/large" "$work/large.copy" &&
    cmp "$work/small" "$work/small.copy" && cmp "$work/empty" "$work/empty.copy" &&
    test "$(stat -c %a "$work/small.copy")" = 640 &&
    grep -q '^5001000 bytes copied, 0 failed; [1-9][0-9]* ticks' "$work/load"
verdict 'files are copied through the pool while a timer ticks' $?

# A loop that made the calls itself would be late by as long as each of them takes; the median bears
# with a busy machine.
late=$(sed -n 's/.* late by \([0-9]*\) ms (median).*/\1/p' "$work/load")
test -n "$late" && test "$late" -lt 100
verdict 'the ticks are not late' $?

"$programs/copy" /proc/version "$work/version" >"$work/load" 2>&1 &&
    cmp /proc/version "$work/version"
verdict 'a file that says it has no byte is copied to its end' $?

mkfifo "$work/fifo"
timeout 10 "$programs/copy" "$work/fifo" "$work/f" >"$work/load" 2>&1
test $? = 1 && ! ls "$work"/f.* >/dev/null 2>&1
verdict 'a FIFO is refused, not waited for' $?

truncate -s 2G "$work/sparse"
(trap - INT && exec "$programs/copy" --block-kib 1 "$work/sparse" "$work/s") >"$work/load" 2>&1 &
copy=$!
for _ in $(seq 200); do # until it is at work
    ls "$work"/s.* >/dev/null 2>&1 && break
    sleep 0.05
done
sleep 0.1
kill -INT $copy
wait $copy
test $? = 130 && grep -q 'Interrupted' "$work/load" && ! ls "$work"/s.* "$work/s" >/dev/null 2>&1
verdict 'SIGINT ends a copy and leaves nothing half-written' $?
rm -f "$work/sparse"

"$programs/copy" "$work/large" "$work/no/such/directory" "$work/none" "$work/x" "$work/small" \
    /dev/full "$work/large" "$work/large" \
    "$work/small" "$work/y" >"$work/load" 2>&1
test $? = 1 && cmp "$work/small" "$work/y" && grep -q ' 4 failed' "$work/load" && test -c /dev/full
verdict 'a copy that fails says so, harms no other, and leaves nothing half-written' $?

(ulimit -f 1000 && trap '' XFSZ && "$programs/copy" "$work/large" "$work/z") >"$work/load" 2>&1
test $? = 1 && grep -q 'File too large' "$work/load" && ! ls "$work"/z* >/dev/null 2>&1
verdict 'a disk that takes a part only' $?

"$programs/copy" "$work/large" >"$work/load" 2>&1
test $? = 2 && grep -q '^usage' "$work/load"
verdict 'wrong arguments are refused' $?

plan
