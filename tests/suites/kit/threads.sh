#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that loops that call back on threads of their own are driven and judged: what is wrong with
# one is found, also where it is a matter of which thread is faster, and nothing else. Called by
# tests/run.
#
#   tests/suites/kit/threads.sh [ETALON]        (build/default/etalon)
#
# Builds kit/thread_subject.c once for each fault, and Boost.Asio with its io_context run by another
# thread where it is installed. Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=${1:-build/default/etalon}
work=build/test/threads
rm -rf "$work" && mkdir -p "$work" || exit 2
. tests/suites/tap.sh

build() { # build FAULT
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT="$1" \
        tests/suites/kit/thread_subject.c -o "$work/$1.so" -pthread
}

# judged FAULT STATUS PATTERN CASE…: the exit status, and a line of the output that matches.
judged() {
    local fault=$1 status=$2 pattern=$3 cases=()
    shift 3
    for name in "$@"; do cases+=(--case "$name"); done
    build "$fault"
    output=$("$etalon" check --tap - --watchdog 5 "${cases[@]}" "$work/$fault.so" 2>&1)
    [ $? -eq "$status" ] && grep -qE -- "$pattern" <<<"$output"
    report_said "$fault: $pattern" $? "$output"
}

build NONE
once=() # all cases
for seed in 1 2 3; do
    output=$("$etalon" check --strict "${once[@]}" --random 300 --seed $seed "$work/NONE.so" 2>&1)
    report_said "no fault: nothing is blamed, with 300 programs of seed $seed" $? "$output"
    once=(--case timer-zero)
done

beside='ET-CALL-5: c[0-9] is called while a callback of another completion runs'
judged TWO_AT_ONCE 1 "$beside" timers-with-one-deadline
output=$("$etalon" check --tolerate ET-CALL-5 --random 300 "$work/TWO_AT_ONCE.so" 2>&1)
[ $? -eq 0 ] && grep -q 'not strict ET-CALL-5' <<<"$output"
report_said 'of a loop that calls back so on purpose nothing else is blamed' $? "$output"
judged CALLS_WHAT_IS_DELETED 1 'ET-DELETE-4' batch-deletes
judged LOSES_A_CALLBACK 1 'ET-STATE-2|ET-EXPIRE-1' timers-with-one-deadline
judged LOSES_A_WAKEUP 1 'ET-WAKE-1: the loop waits although it was woken' wakeup-in-the-wait
judged CALLS_OUTSIDE_OF_RUN 1 'ET-CALL-5: .* callbacks are called by a tick or run' timer-zero
judged SPINS 1 'ET-WAIT-3: 65 waits in a row' timer-of-40-days
judged RETURNS_TOO_EARLY 1 'ET-RUN-3' poll-then-timer
judged ENDS_AT_EINTR 1 'ET-RUN-3/interrupted' interrupted-waits
judged HIDES_ITS_THREADS 1 'ET-CALL-5: c0 is called by another thread than that of the run' \
    poll-writable

# Without the kit, on real threads and the real clock.
of_fault() { # of_fault FAULT CASE
    sed "s/^#define FAULT NONE/#define FAULT $1/; 1s,\$,\n/* Build: -w -pthread */," \
        tests/suites/kit/thread_subject.c >"$work/adapter.c"
    output=$("$etalon" reproduce -o "$work/shows.c" "$2" "$work/adapter.c" 2>&1 &&
        sed "s/^#define FAULT $1/#define FAULT NONE/" "$work/shows.c" >"$work/sound.c" &&
        ${CC:-cc} -D_GNU_SOURCE -w "$work/shows.c" -o "$work/shows" -pthread &&
        ${CC:-cc} -D_GNU_SOURCE -w "$work/sound.c" -o "$work/sound" -pthread &&
        "$work/shows" 2>&1)
    report_said "$1 is shown without the kit" $? "$output"
    output=$("$work/sound" 2>&1)
    [ $? -eq 1 ] && grep -q '^not shown' <<<"$output"
    report_said '… and not of the loop without the fault' $? "$output"
}
of_fault TWO_AT_ONCE timers-with-one-deadline
of_fault CALLS_OUTSIDE_OF_RUN timer-zero
of_fault CALLS_WHAT_IS_DELETED batch-deletes

# by_threads NAME STATEMENT: Boost.Asio's adapter, run by one other thread; and by what else.
by_threads() {
    cat >"$work/asio.sed" <<END
s/^int run(void \*self/int run_here(void *self/
s/context{1}/context/
s/^#include <variant>/#include <thread>\n&/
/^void stop(void \*self) {/i\\
int run(void *self, uint32_t mode) {\\
    int result = 0;\\
    std::thread thread([&] { result = run_here(self, mode); });\\
    $2\\
    thread.join();\\
    return result;\\
}\\

s/^    subject.offers = /&ETALON_OFFERS_THREADS | /
END
    sed -f "$work/asio.sed" tests/kit/adapters/asio.cpp >"$work/$1.cpp" &&
        ${CXX:-c++} -std=c++17 -w -DBOOST_ASIO_NO_DEPRECATED -shared -fPIC -Ifuzz/driver \
            "$work/$1.cpp" -o "$work/$1.so" -pthread 2>/dev/null
}
if by_threads asio ''; then
    # What it is blamed for is what it is blamed for on the first thread (spec/findings.md).
    once=()
    for seed in 1 2 3; do
        output=$("$etalon" check "${once[@]}" --random 300 --seed $seed "$work/asio.so" 2>&1)
        once=(--case poll-moved-in-the-batch)
        found=$(grep -E '^(fail|hang|crash)' <<<"$output" | tr -s ' \n' ' ' )
        [[ $found =~ ^(fail (ET-EVENT-6|ET-OP-1/error) )+$ ]] && grep -q '300 judged' <<<"$output"
        report_said "Boost.Asio on another thread: only what is published, with seed $seed" $? \
            "$output"
    done
    by_threads two 'std::thread other([\&] { static_cast<subject *>(self)->context.run(); });\
    other.join();'
    output=$("$etalon" check --tap - --case timers-with-one-deadline "$work/two.so" 2>&1)
    [ $? -eq 1 ] && grep -qE "$beside" <<<"$output"
    report_said 'Boost.Asio on two threads: two callbacks at once are found' $? "$output"
else
    skip 'Boost.Asio on another thread' 'it is not installed'
fi

plan
