#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that a program without an end costs no more than its time: check-cases counts it as a failed
# case and goes on, and whatever ends the tool ends the processes in which it runs programs, also
# those of `etalon check`. Called by tests/run; prints the test-anything protocol.
#
#   tests/suites/endless.sh [ETALON]        (build/default/etalon, without sanitizers)
#
# A case is a pipe that nobody writes: reading it waits for ever. Another spins: a library that is
# loaded before the C library opens it and does not come back.
cd "$(dirname "$0")/../.." || exit 2
etalon=${1:-build/default/etalon}
work=build/test/endless.$$
trap 'rm -rf "$work"' EXIT
mkdir -p "$work" && mkfifo "$work/waits.trace" || exit 2
. tests/suites/tap.sh

cat > "$work/spins.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
FILE *fopen(const char *path, const char *mode) {
    while (strstr(path, "spins.trace") != NULL)
        ;
    return fdopen(open(path, 0), mode);
}
END
${CC:-cc} -shared -fPIC -O0 -D_GNU_SOURCE "$work/spins.c" -o "$work/spins.so" || exit 2

LD_PRELOAD=$work/spins.so timeout 20 "$etalon" check-cases --seconds 1 \
    "$work/spins.trace" "$work/waits.trace" spec/cases/timer.trace > "$work/log" 2>&1
status=$?
grep -qE '^not ok 1 - .*spins.trace: no end within (1 s of processor|3 s of real) time$' \
    "$work/log"
report "a case that spins has failed" $? "$work/log"
grep -q '^not ok 2 - .*waits.trace: no end within 3 s of real time$' "$work/log"
report "a case that waits for ever has failed" $? "$work/log"
grep -q '^ok 3 - timer.trace' "$work/log" && [ "$status" -eq 1 ]
report "the case after them is run, and the exit status is 1" $? "$work/log"

# What hangs has a child that waits, too, and one that has left its group and session.
cat > "$work/forks.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
FILE *fopen(const char *path, const char *mode) {
    static char *const waits[] = {"sleep", "977.31", NULL};
    for (int left = 0; strstr(path, "forks.trace") != NULL && left < 2; left++)
        if (fork() == 0) {
            if (left)
                setsid();
            unsetenv("LD_PRELOAD");
            execvp(*waits, waits);
        }
    return fdopen(open(path, 0), mode);
}
END
mkfifo "$work/forks.trace" &&
    ${CC:-cc} -shared -fPIC -O0 -D_GNU_SOURCE -w "$work/forks.c" -o "$work/forks.so" || exit 2
LD_PRELOAD=$work/forks.so timeout 20 "$etalon" check-cases --seconds 1 "$work/forks.trace" \
    > "$work/log" 2>&1
left=$(grep -lsaz '^977.31$' /proc/[0-9]*/cmdline | tr -dc '0-9\n')
[ -z "$left" ] && grep -q '^not ok 1' "$work/log"
report "a case that has no end is ended with its children" $? "$work/log"
for pid in $left; do kill -9 "$pid"; done

gone() { # gone PID: within two seconds
    for _ in $(seq 40); do
        kill -0 "$1" 2> "$work/kill" || return 0
        sleep 0.05
    done
    return 1
}

# ends_with SIGNAL ARGUMENT…: the child of the tool ends with it.
ends_with() {
    local signal=$1 parent before child=
    shift
    # Without a terminal, a background job of the shell ignores SIGINT.
    env --default-signal=INT "$etalon" "$@" > "$work/log" 2>&1 &
    parent=$!
    for _ in $(seq 100); do
        before=$child
        child=$(cat "/proc/$parent/task/$parent/children")
        # Twice the same: it is at its case. What `check` starts to look at the adapter ends soon.
        [ -n "$child" ] && [ "$child" = "$before" ] && break
        sleep 0.3
    done
    kill "-$signal" "$parent"
    wait "$parent" 2> "$work/wait"
    [ -n "$child" ] && gone $child
    report "what ends by SIG$signal takes its child along: etalon $1" $? "$work/log"
    [ -z "$child" ] || kill -KILL $child 2> "$work/kill"
}

for signal in TERM INT KILL; do
    ends_with "$signal" check-cases "$work/waits.trace"
done
ends_with KILL replay "$work/waits.trace"
${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT=SLEEPS \
    tests/suites/kit/bad_subject.c -o "$work/sleeps.so" || exit 2
ends_with KILL check --jobs 1 --case timer-zero "$work/sleeps.so"

# takes_along FAULT WORD WHAT COUNT SIGNAL [group | worker]: … and what a loop has started, whose
# processes have the word. The signal is sent to the command, to its process group, or to the child
# of it that works.
takes_along() {
    local left failed=0 parent to
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT="$1" \
        tests/suites/kit/bad_subject.c -o "$work/forks.so" || exit 2
    setsid env --default-signal "$etalon" check --jobs 1 --case timer-zero "$work/forks.so" \
        > "$work/log" 2>&1 &
    parent=$!
    for _ in $(seq 100); do
        left=$(grep -lsaE "$2" /proc/[0-9]*/cmdline | tr -dc '0-9\n')
        [ "$(wc -w <<<"$left")" -ge "$4" ] && break
        sleep 0.1
    done
    case ${6:-} in
    group) to=-$parent ;;
    worker) read -r to < "/proc/$parent/task/$parent/children" ;;
    *) to=$parent ;;
    esac
    kill "-$5" -- $to
    wait $parent 2> "$work/wait"
    for pid in $left; do gone "$pid" || failed=1; done
    [ "$(wc -w <<<"$left")" -ge "$4" ] && [ $failed -eq 0 ]
    report "what ends by SIG$5${6:+ to the $6} takes along what a loop has $3" $? "$work/log"
    for pid in $left; do kill -KILL "$pid" 2> "$work/kill"; done
}
# this one, which waits, the one that works, the run, and its child
takes_along FORKS_AND_SLEEPS '[f]orks.so' forked 4 KILL
for signal in KILL TERM HUP; do
    takes_along SPAWNS_AND_SLEEPS '^sleep.977[.]32.$' spawned 3 $signal
done
for signal in ALRM USR1 USR2 PIPE PROF RTMIN; do
    takes_along SPAWNS_AND_SLEEPS '^sleep.977[.]32.$' spawned 3 $signal group
done
for signal in KILL PIPE SEGV; do
    takes_along SPAWNS_AND_SLEEPS '^sleep.977[.]32.$' spawned 3 $signal worker
done

# What was there before, as a shell leaves it that becomes this program, is not ended with a case.
bash -c 'sleep 100 & echo $! > "$1"; exec "$2" replay --quiet spec/cases/timer-zero.trace' bash \
    "$work/before" "$etalon" > "$work/log" 2>&1
kill "$(cat "$work/before")" 2>> "$work/log"
report "what was there before it is not ended" $? "$work/log"

plan
