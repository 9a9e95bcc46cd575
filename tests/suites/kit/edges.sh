#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that of an edge-triggered loop each lost edge is found, and no missing repeat is blamed.
# Called by tests/run.
#
#   tests/suites/kit/edges.sh [ETALON]        (build/default/etalon)
#
# Builds kit/edge_subject.c once for each fault, and libevent with EV_ET where it is installed, and
# has them judged by all cases and by random programs. Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=${1:-build/default/etalon}
work=build/test/edges
rm -rf "$work" && mkdir -p "$work" || exit 2
. tests/suites/tap.sh

build() { # build NAME SOURCE [OPTION…]
    local name=$1
    shift
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver "$@" -o "$work/$name.so"
}

# lawful NAME FAULT: nothing is blamed, in any case nor in 300 programs of each of three seeds.
lawful() {
    build "$2" tests/suites/kit/edge_subject.c -DFAULT="$2"
    for seed in 1 2 3; do
        output=$("$etalon" check --strict --random 300 --seed $seed "$work/$2.so" 2>&1)
        report_said "$1: nothing is blamed with seed $seed" $? "$output"
    done
}

# wrong NAME FAULT CASE: the case fails by ET-REGISTER-1.
wrong() {
    build "$2" tests/suites/kit/edge_subject.c -DFAULT="$2"
    output=$("$etalon" check --tap - --case "$3" "$work/$2.so" 2>&1)
    [ $? -eq 1 ] && grep -q 'ET-REGISTER-1: the loop waits' <<<"$output"
    report_said "$1: $3 shows it" $? "$output"
}

lawful 'what is there is told once' NONE
lawful 'what is there is told again and again' REPEATS
lawful 'of two events, one is told first' TELLS_LATER
output=$("$etalon" check --tap - --case 'edge*' "$work/NONE.so" 2>&1)
[ "$(grep -c '^ok [0-9]* - edges/edge' <<<"$output")" -eq 5 ]
report_said 'all cases of edges are asked' $? "$output"

wrong 'what is ready at the start is not told' NEVER_TELLS_THE_START edge-before-the-next-poll
wrong 'what comes between the report and the rearm is lost' LOSES_BETWEEN \
    edge-between-report-and-rearm
wrong 'what comes after the rearm is lost' LOSES_AFTER edge-after-a-rearm
wrong 'what comes while something is there is lost' LOSES_MORE edge-after-a-rearm
wrong 'of two events one is lost' LOSES_THE_OTHER edges-of-two-events
wrong 'what is reported beside a deletion is lost' LOSES_IN_THE_BATCH edges-behind-a-deletion
wrong 'a loop that does not say that it has edges' HIDES_ITS_EDGES rearmed-poll

# Without the kit: what sleeps beside bytes that it has told is not taken for the failure.
sed 's/^#define FAULT NONE/#define FAULT LOSES_AFTER/; 1s,$,\n/* Build: -w */,' \
    tests/suites/kit/edge_subject.c >"$work/adapter.c"
output=$("$etalon" reproduce --whole -o "$work/shows.c" \
    tests/suites/kit/edges-beside-a-timer.trace \
    "$work/adapter.c" 2>&1 &&
    sed 's/^#define FAULT LOSES_AFTER/#define FAULT NONE/' "$work/shows.c" >"$work/sound.c" &&
    ${CC:-cc} -D_GNU_SOURCE -w "$work/shows.c" -o "$work/shows" -pthread &&
    ${CC:-cc} -D_GNU_SOURCE -w "$work/sound.c" -o "$work/sound" -pthread && "$work/shows" 2>&1)
report_said 'a lost edge is shown without the kit' $? "$output"
output=$("$work/sound" 2>&1)
[ $? -eq 1 ] && grep -q '^not shown' <<<"$output"
report_said '… and not of the loop without the fault' $? "$output"

# What it is blamed for has nothing to do with edges (spec/findings.md).
if build libevent tests/suites/kit/libevent_edges.c -levent_pthreads -levent_core 2>/dev/null; then
    for seed in 1 2 3; do
        output=$("$etalon" check --tolerate ET-CALL-4 --random 300 --seed $seed \
            "$work/libevent.so" 2>&1)
        ! grep -E '^(fail|hang|crash)' <<<"$output" | grep -vq '^crash exit/warn-epoll_create' &&
            grep -q '300 judged' <<<"$output"
        report_said "libevent's EV_ET: no edge is lost, with seed $seed" $? "$output"
    done
else
    skip "libevent's EV_ET" 'it is not installed'
fi

plan
