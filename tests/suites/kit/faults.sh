#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that `etalon check` finds what a subject does wrong, and survives it. Called by tests/run.
#
#   tests/suites/kit/faults.sh [ETALON]        (build/default/etalon)
#
# Builds kit/bad_subject.c once for each fault and looks at verdicts, clauses and exit status.
# Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=${1:-build/default/etalon}
work=build/test/faults
rm -rf "$work" && mkdir -p "$work" || exit 2
. tests/suites/tap.sh

build() {
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT="$1" \
        ${difference:+-DDIFFERENCE=\"$difference\"} ${slack:+-DSLACK="$slack"} \
        tests/suites/kit/bad_subject.c -o "$work/$1${difference:+-documented}.so"
}

# judged FAULT STATUS PATTERN CASE…: the exit status, and a line of the output that matches. One
# FILE.trace of kit/ can be the case. quiet=--quiet: nothing is shrunk, where each run takes long.
# watchdog: in seconds of processor time.
quiet='' watchdog=3
judged() {
    local fault=$1 status=$2 pattern=$3 cases=() output got
    shift 3
    for name in "$@"; do
        case $name in
        *.trace) cases+=(--cases "tests/suites/kit/$name") ;;
        *) cases+=(--case "$name") ;;
        esac
    done
    build "$fault" || { report "$fault builds" 1; return; }
    output=$("$etalon" check --tap - $quiet --watchdog $watchdog "${cases[@]}" \
        "$work/$fault${difference:+-documented}.so" 2>&1 </dev/null)
    got=$?
    if [ "$got" -eq "$status" ] && grep -qE -- "$pattern" <<<"$output"; then
        report_said "$fault: $pattern" 0
    else
        report_said "$fault: exit status $got (expected $status), expected a line: $pattern" 1 \
            "$output"
    fi
}

judged NONE 0 '^ok .*bad/timers-sorted' timers-sorted timer-zero timer-not-early stop-in-a-timer \
    time-stands-still

# The process of the run ends, and the run goes on: the second case is judged all the same.
judged CRASH 1 'it crashes: SIGSEGV' timer-zero timers-sorted
judged ABORTS 1 'it crashes: SIGABRT' timer-zero
judged EXITS 1 'it ends the process by itself, with status 0' timer-zero
quiet=--quiet watchdog=1 judged LOOPS 1 'timer-zero: hang' timer-zero
quiet=--quiet watchdog=1 judged SLEEPS 1 'timer-zero: hang' timer-zero
judged SCRIBBLES 1 'it crashes: SIG' timer-zero timers-sorted
judged CLOSES 1 'timers-sorted: (fail|crash)' timer-zero timers-sorted
judged SHOUTS 0 '^1\.\.1$' timer-zero
quiet=--quiet watchdog=1 judged STOPS_ITSELF 1 'timer-zero: hang' timer-zero
judged FORKS 0 '^ok 1 - bad/timer-zero$' timer-zero
judged ESCAPES 0 '^ok 1 - bad/timer-zero$' timer-zero
left=$(grep -lsa "[E]SCAPES.so" /proc/[0-9]*/cmdline | tr -dc '0-9\n' | grep -vx $$)
test -z "$left"
report_said 'what a run has started is ended with it, also out of its process group' $? "$left"
for pid in $left; do kill -9 "$pid"; done
judged WAITS_BY_THE_KERNEL 2 \
    'cannot be driven, because it waits by epoll_pwait, asked of the kernel itself' timer-zero
judged WAITS_ON_A_CONDITION 2 \
    'cannot be driven, because it waits for a condition without a limit' timer-zero
judged TIMES_BY_A_POSIX_TIMER 2 \
    'cannot be driven, because its timers are those of timer_settime' timer-zero
judged TIMES_BY_AN_INTERVAL_TIMER 2 \
    'cannot be driven, because its timers are those of setitimer' timer-zero
judged OVERFLOWS 1 'it crashes: SIGSEGV' timer-zero

judged EARLY 1 'ET-EXPIRE-4' timer-not-early
judged LATE 1 'ET-WAIT-2/late: the loop waits beyond' timers-sorted
judged WHEEL 1 'ET-(WAIT-2/late|EXPIRE-1/waits)' timers-sorted nearest-deadline-of-many
slack=4 judged WHEEL 0 '^ok .*bad/timers-sorted' timers-sorted nearest-deadline-of-many
slack=ETALON_EXACT judged NONE 0 '^ok .*bad/timers-sorted' timers-sorted timer-not-early
judged TWICE 1 'ET-STATE-3' timer-zero
judged NEVER 1 'ET-EXPIRE-1' timer-deletes-expired-timer
judged UNSORTED 1 'ET-EXPIRE-2|ET-WAIT-2' timers-sorted
judged OTHER_USERDATA 1 'ET-CALL-2' timer-zero
judged AFTER_DELETION 1 'ET-DELETE-4|ET-STATE-2' timer-deletes-expired-timer
judged IN_THE_CALL 1 'ET-CALL-5' timer-zero
spins='ET-WAIT-3: 65 waits in a row .* the loop spins; no descriptor is reported,'
judged SPINS 1 "$spins the last wait asked for 0 ns" once-is-once
spins='ET-REGISTER-5: 65 waits .* the loop spins; descriptor [0-9]+ \(none of the program.s\)'
judged DRAINS_NEVER 1 "$spins is reported for 0x1" wakeup-in-the-wait
judged DRAINS_LATE 1 'ET-WAKE-1: the loop waits although it was woken' wakeup-in-a-polls-callback
judged NONE 0 '^ok .*bad/wakeup-in-a-polls-callback$' wakeup-in-a-polls-callback \
    wakeups-before-a-poll wakeup-in-the-wait stop-before-a-poll
judged ENDS_AT_EINTR 1 'ET-WAIT-5: .* returned -EINTR; expected: an interrupted wait' \
    interrupted-waits
judged FAILS_AFTER_EINTR 1 'ET-WAIT-5: .* returned -EIO; expected: an interrupted wait' \
    interrupted-waits
judged NONE 0 '^ok .*bad/wait-interrupted$' interrupted-waits wait-interrupted
far=(far-timers timer-of-40-days timer-beyond-32-bits timer-beyond-nanoseconds \
    timer-beyond-microseconds timer-beyond-63-bits)
judged NONE 0 '^ok .*bad/timer-beyond-63-bits$' "${far[@]}"
judged WAITS_IN_NANOSECONDS 0 '^ok .*bad/timer-beyond-63-bits$' "${far[@]}"
for delay in 9223372036857 9223372036854775807 18446744073709551615; do
    printf 'etalon-trace 1\nmain\n  timer c0 %sms\n  run once\n  run once\n' $delay \
        >"$work/never.trace"
    output=$("$etalon" check --tap - --strict --cases "$work/never.trace" \
        "$work/WAITS_IN_NANOSECONDS.so" 2>&1)
    grep -q '^ok 1 - bad/never' <<<"$output"
    report_said "a wait for a timer of $delay ms, which no clock reaches, ends the program" $? \
        "$output"
done
judged CUTS_DELAYS 1 'ET-EXPIRE-4: the timer c0 fires [0-9]+ us before' timer-beyond-32-bits
judged OVERFLOWS_NANOSECONDS 1 \
    'ET-EXPIRE-4: the timer c0, which was set to 9223372036854 ms, fires [0-9]+ us later' \
    timer-beyond-nanoseconds
judged OVERFLOWS_MICROSECONDS 1 'ET-EXPIRE-4: the timer c0, which was set to 9223372036854775 ms' \
    timer-beyond-microseconds
judged OVERFLOWS_MILLISECONDS 1 \
    'ET-EXPIRE-4: the timer c0, which was set to 9223372036854775807 ms' timer-beyond-63-bits
judged WAITS_FOR_EVER 1 'once-is-once: hang' once-is-once
judged NO_WAIT_WAITS 1 'ET-RUN-1: run\(NO_WAIT\) waits' timer-not-early
judged NEVER_DONE 1 'ET-RUN-3' timers-sorted
judged LEAKS 1 'ET-DEINIT-3' timer-zero
judged TIME_BACK 1 'ET-TIME-3|ET-TIME-1|ET-TIME-2|ET-INIT-2' time-stands-still
judged GOES_ON_AFTER_STOP 1 'ET-STOP-2' stop-in-a-timer
judged LIES_ABOUT_STATE 1 'ET-STATE-2' timer-zero
judged OTHER_NUMBER 1 'ET-CALL-2: a callback was called for completion 99' timer-zero
judged FAILS_INIT 1 'ET-INIT-2' timer-zero

# What is documented excuses that failure, and no other of the same clause.
difference=ET-EXPIRE-1/returns judged NEVER 0 'timer-deletes-expired-timer: not_strict' \
    timer-deletes-expired-timer
difference=ET-EXPIRE-1/waits judged NEVER 1 'timer-deletes-expired-timer: fail' \
    timer-deletes-expired-timer
difference=ET-STATE-3 judged TWICE 2 \
    "the difference 'ET-STATE-3', which no documentation can excuse" timer-zero
difference=ET-REGISTER-5 judged NONE 2 'which no documentation can excuse' timer-zero
# What is refused, as documented, has not happened, and the run goes on without it.
difference=ET-TIMER-1/long judged REFUSES_LONG 1 'timer-beyond-32-bits: fail' timer-beyond-32-bits
difference=ET-TIMER-1/long judged REFUSES_LONG 0 'timer-of-40-days: not_strict' timer-of-40-days
kinds="of this clause there are 'ET-EXPIRE-1/result', 'ET-EXPIRE-1/waits', 'ET-EXPIRE-1/returns'"
difference=ET-EXPIRE-1 judged NONE 2 \
    "the difference 'ET-EXPIRE-1', which is no failure in the table of RUNNER.md; $kinds" timer-zero
difference=ET-EXPIRE-1/sometimes judged NONE 2 \
    "the difference 'ET-EXPIRE-1/sometimes', .*; $kinds" timer-zero
difference=ET-EXPIRE-17 judged NONE 2 \
    "the difference 'ET-EXPIRE-17', .*, nor is another one of this clause" timer-zero

judged NONE 0 '^ok .*bad/async-notified-by-a-timer$' async-notified-by-a-timer async-ends-the-wait \
    async-each-its-own async-deleted-wait
judged LOSES_A_NOTIFICATION 1 'ET-ASYNC-2: the loop waits' async-ends-the-wait
judged NOTIFIED_TWICE 1 'ET-ASYNC-3' async-notified-by-a-timer
judged NOTIFIED_UNASKED 1 'ET-ASYNC-3' async-ends-the-wait
judged REFUSES_TO_NOTIFY 1 'ET-ASYNC-2: .* returned -EAGAIN' async-ends-the-wait
judged LEAKS_ASYNCS 1 'ET-DEINIT-3' async-ends-the-wait

# What operations report is checked against what has happened to their descriptors.
judged NONE 0 '^ok .*bad/socket-life$' read-and-write poll-readable poll-writable write-to-socket \
    connect-refused close-and-reuse socket-life cancel-active-read
judged NONE 0 '^ok 1 - bad/reads-of-a-stream$' reads-of-a-stream.trace
judged NONE 0 '^ok 1 - bad/one-wakeup$' one-wakeup.trace
judged KEEPS_WAKEUPS 1 \
    'ET-WAKE-2: descriptor [0-9]+, the loop.s own, ends a second wait after one wake-up' \
    one-wakeup.trace
judged POLLS_FAIL 1 'ET-EVENT-4/result: the poll c0 ends with -5' poll-readable
judged POLLS_ARE_CANCELLED 1 'ET-CANCEL-10: c0 is called with -ECANCELED' poll-readable
judged POLLS_ARE_READY 1 'ET-EVENT-6: the poll c0 ends with 0x1, but its descriptor is not ready' \
    deadline-moves-nearer-in-the-wait
judged POLLS_TELL_MORE 1 'ET-EVENT-4/result' poll-readable
judged READS_FAIL 1 'ET-OP-1/error: .* -EIO, which has no cause' reads-of-a-stream.trace
judged READS_END 1 'ET-OP-1/end: .* the end of a stream, but its descriptor [0-9]+ is at no end' \
    reads-of-a-stream.trace
judged READS_CLAIM_ALL 1 'ET-OP-1/bytes: .* but byte 1 in its buffer' batch-cancels
judged READS_CLAIM_MORE 1 'ET-OP-1: c0 ends with 5 bytes of 4' reads-of-a-stream.trace
judged READS_HOLD_OTHER_BYTES 1 \
    'ET-OP-1/bytes: .* but byte 0 in its buffer .0x78. is not what was sent' reads-of-a-stream.trace
judged READS_LOSE_BYTES 1 'ET-OP-1/bytes: .* but [0-9]+ more were taken from its descriptor' \
    reads-of-a-stream.trace
judged READS_WAIT 1 'ET-EVENT-1/returns: the run returns, but c0 has not ended' \
    reads-of-a-stream.trace
judged READS_GO_ON 1 'ET-DELETE-4: the buffer of c1 is written to, which was deleted and is dead' \
    batch-deletes-a-read
judged WRITES_DO_NOTHING 1 'ET-OP-1/bytes: .* 5 less than were written have come to the other end' \
    write-to-socket
judged ACCEPTS_FAIL 1 'ET-OP-1/error: .* -EIO, which has no cause' socket-life
judged ACCEPTS_NOTHING 1 'ET-OP-1/end: the accept c0 ends with descriptor 200, which is not open' \
    socket-life
judged CONNECTS_FAIL 1 'ET-OP-1/error: .* -EIO, which has no cause' connect-refused
judged CONNECTS_DO_NOTHING 1 'ET-OP-1/end: c0 ends with 0, but what it is for has not happened' \
    connect-refused
judged SHUTDOWNS_FAIL 1 'ET-OP-1/error: c4 ends with -EIO, which has no cause' socket-life
judged SHUTDOWNS_DO_NOTHING 1 'ET-OP-1/end: c4 ends with 0, but what it is for has not happened' \
    socket-life
judged CLOSES_FAIL 1 'ET-OP-1/error: the close c1 ends with -EIO' close-and-reuse
judged CLOSES_DO_NOTHING 1 'ET-OP-1/end: the close c1 ends with 0, but descriptor [0-9]+ is open' \
    close-and-reuse
judged NEVER_CANCELS 1 'ET-CANCEL-9: c1 is called with -EALREADY' cancel-completed

# Lawful loops that wait or read in other ways: by pselect, by an absolute clock_nanosleep, by
# threads of their own.
judged WAITS_BY_PSELECT 0 '^ok .*bad/once-is-once$' once-is-once timers-sorted wakeup-in-the-wait \
    poll-readable interrupted-waits
for way in WAITS_BY_SYSCALL WAITS_ON_A_TIMED_CONDITION WAITS_ON_A_SEMAPHORE WAITS_ON_A_FUTEX \
    WOKEN_BY_A_SIGNALFD; do
    judged $way 0 '^ok .*bad/once-is-once$' once-is-once timers-sorted wakeup-in-the-wait \
        poll-readable far-timers wakeups-before-a-poll
done
judged HAS_NO_UPDATE 0 '^ok [0-9]* - bad/timer-zero-at-once$' timer-zero-at-once only-in-tick \
    timer-one-millisecond timer-full-millisecond
judged HAS_NO_UPDATE 0 "^ok .*bad/update-now-fires-nothing # SKIP not offered: needs update_now" \
    update-now-fires-nothing
judged WAITS_BY_CLOCK_NANOSLEEP 0 '^ok .*bad/once-is-once$' once-is-once timers-sorted \
    timer-not-early
for jobs in 1 8; do
    build READS_BY_THREADS
    output=$("$etalon" check --tap - --jobs $jobs --random 40 "$work/READS_BY_THREADS.so" 2>&1)
    report_said "READS_BY_THREADS: nothing is blamed with --jobs $jobs" $? "$output"
done

# What calls return, results and times.
judged REFUSES_TIMERS 1 "ET-TIMER-1: .* returned -EINVAL; expected" timers-sorted
judged REFUSES_TIMERS 1 "ET-TIMER-1/long: .* returned -EINVAL; expected" timer-of-40-days
judged REFUSES_ZERO 1 "ET-TIMER-1/zero: 'timer c1 0ms do b1' returned -EINVAL" stop-before-a-poll
judged REFUSES_OPERATIONS 1 "ET-ADD-1: 'submit c0 noop do b1' returned -ENOMEM" add-delete-add
judged REFUSES_CANCELS 1 'ET-CANCEL-1: .* returned -ENOMEM' batch-cancels
judged REFUSES_DELETIONS 1 "ET-DELETE-3: 'delete c0' returned -EIO" add-delete-tick
judged REFUSES_EMPTY_DELETIONS 1 "ET-DELETE-1: 'delete c0' returned -ENOENT" delete-fired
judged FAILS_DEINIT 1 'ET-DEINIT-2: deinit of a fresh loop returned -EIO' timer-zero
judged FAILS_RUN 1 "ET-TICK-7: 'tick 1' returned -EIO" add-delete-tick
judged TIMERS_HAVE_RESULTS 1 'ET-EXPIRE-1/result: c0 is called with 1; expected' timer-zero
judged NOOPS_HAVE_RESULTS 1 'ET-SUBMIT-2/result: c0 is called with 1; expected' cancel-adding-late
judged NOOPS_WAIT 1 'ET-SUBMIT-2/waits: the loop waits, and c0 with it' cancel-adding-late
judged NOOPS_WAIT 1 'ET-SUBMIT-2/returns: the run returns, but c0' tick-counts
judged TIMERS_WAIT 1 'ET-CALL-4/starved' ready-descriptor-starves-no-timer
judged BACKWARDS 1 'ET-EXPIRE-2: c1 is called with 0, and not c2; expected: the earlier' \
    deadline-passed-while-calling
judged TIME_AHEAD 1 'ET-TIME-2: the loop time is 1001000 ms when the clock says 1000000 ms' \
    time-stands-still
judged TIME_JUMPS_BACK 1 'ET-TIME-3: .*; expected: the loop time does not go back' add-delete-tick
judged RETURNS_EARLY 1 'ET-RUN-2/slice|ET-RUN-2/early' all-stale-batch
judged RETURNS_WOKEN 1 'ET-RUN-2/woken: the run returns after 0 callbacks' wakeup-after-renewal
judged RETURNS_BETWEEN 1 'ET-RUN-2/slice: the run returns after 0 callbacks' all-stale-batch
judged WAITS_AGAIN 1 'ET-WAIT-1/enough' far-timers
judged READS_HALF_A_COUNTER 1 'ET-ASYNC-1: c0 is called with 4; expected' async-coalesce
judged FAILS_ASYNC_INIT 1 "ET-ASYNC-5: async_init returned -ENOMEM" async-busy

# An adapter from before there were pools and asyncs, whatever its bits say; one that is no adapter
# at all.
judged OLDER 0 'bad/async-ends-the-wait # .* not offered: needs async' async-ends-the-wait \
    timer-zero
judged OLDER 0 '^ok .*bad/timer-zero$' timer-zero
judged OLDER 0 'bad/pool-round-trip # .* not offered: needs .*pool' pool-round-trip timer-zero
judged TOO_SHORT 2 'says that its struct etalon_subject has [0-9]+ bytes, expected at least' \
    timer-zero
judged NO_ASYNC_WAIT 2 "needs the function 'async_wait', which is null" timer-zero

# Etalon's own adapter, of a loop whose threads or asyncs are broken. What is replaced has to be
# there.
objects=$work/objects
compiled() { # compiled SOURCE OBJECT
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -fPIC -pthread -DETALON_MANY -Isrc -Ifuzz/driver \
        -c "$1" -o "$2"
}
mkdir -p "$objects" || exit 2
for source in src/*.c fuzz/driver/etalon_loop.c; do
    compiled "$source" "$objects/$(basename "$source" .c).o" || exit 2
done

broken() { # broken NAME FILE TEXT BY PATTERN CASE: TEXT and BY are one line each, of src/FILE
    local name=$1 file=${2##*/} text=$3 by=$4 pattern=$5 case=$6 output status
    rm -rf "$work/broken" && mkdir -p "$work/broken" || exit 2
    cp "$objects"/*.o "$work/broken" || exit 2
    python3 - "src/$2" "$text" "$by" >"$work/broken/$file" <<'END' ||
import pathlib, sys
whole, text, by = pathlib.Path(sys.argv[1]).read_text(), *sys.argv[2:]
if whole.count(text) != 1:
    sys.exit(1)
sys.stdout.write(whole.replace(text, by))
END
        { report "$name: its text is not there" 1; return; }
    compiled "$work/broken/$file" "$work/broken/${file%.c}.o" &&
        ${CC:-cc} -shared -pthread -Wl,-Bsymbolic "$work"/broken/*.o -o "$work/broken/etalon.so" ||
        { report "$name: it builds" 1; return; }
    # shellcheck disable=SC2086
    output=$("$etalon" check $judge $quiet --tap - --watchdog 3 --case "$case" \
        "$work/broken/etalon.so" 2>&1 </dev/null)
    status=$?
    [ $status -eq 1 ] && grep -qE -- "$pattern" <<<"$output"
    report_said "$name: $pattern" $? "$output"
}
broken 'nobody wakes the loop' pool.c 'return last == NULL;' 'return false;' 'ET-POOL-11' \
    pool-cancel-executing
broken 'the last work is taken first' pool.c 'struct et_completion *c = pool->head;' \
    'struct et_completion *c = pool->tail;' 'ET-POOL-2' \
    pool-first-in-first-out
broken 'the system call is made twice' pool.c 'case ET_READ: value = read(' \
    'case ET_READ: read(fd, c->read.buffer, c->read.length); value = read(' \
    'ET-POOL-4: .* a second system call' pool-round-trip
broken 'work is queued and no thread told' pool.c 'pthread_cond_signal(&pool->work);' ';' \
    'ET-POOL-17: c1 stays' \
    pool-idle-thread-is-told
broken 'only the first work of a queue is told of' pool.c 'pthread_cond_signal(&pool->work);' \
    'pool->queued == 1 && pthread_cond_signal(&pool->work);' \
    'ET-POOL-17: c3 stays' pool-every-idle-thread-is-told
broken 'the last to leave tells nobody' pool.c 'pthread_cond_broadcast(&pool->left);' ';' \
    'ET-POOL-13: the loop waits for ever' \
    pool-deinit-executing
broken 'pool_deinit does not join' pool.c 'pthread_join(pool->workers[i].thread, NULL);' \
    'pthread_detach(pool->workers[i].thread);' \
    'ET-POOL-14: 1 threads have not ended' pool-shut-down
broken 'a thread is made for each work' pool.c 'if (pool->queued > pool->idle &&' 'if (' \
    'ET-POOL-15' pool-threads-created-lazily
broken 'a wait reads half a counter' async.c 'c->read.length = sizeof c->internal.result;' \
    'c->read.length = 4;' 'ET-ASYNC-1' async-ends-the-wait
broken 'a notification is not counted' async.c 'uint64_t one = 1;' 'uint64_t one = 0;' \
    'ET-ASYNC-2' async-ends-the-wait
broken 'a deinitialised async takes calls' async.c \
    $'        return -EINVAL;\n    return eti_is_inherited(async->process) ? -ECHILD : 0;' \
    '        return 0; return 0;' \
    'ET-ASYNC-[125]: the call returned 0, expected -EINVAL' async-deinit

# What only numbers show, before both judges.
many() { # many NAME FILE TEXT BY STRICTLY OUTSIDE CASE: as broken, which does not shrink these
    local quiet=--quiet
    broken "$1" "$2" "$3" "$4" "$5" "$7"
    judge=--outside broken "$1, from outside" "$2" "$3" "$4" "$6" "$7"
}
many 'the 65th report of a wait is lost, and those behind it' kernel_phase.c \
    'for (int i = 0; i < count && eti_is_ours(loop); i++)' \
    'for (int i = 64; i < count; i++)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, (int)(uint32_t)events[i].data.u64, NULL);
    for (int i = 0; i < count && i < 64 && eti_is_ours(loop); i++)' \
    'ET-EVENT-4: ' \
    'ET-REGISTER-1: the loop waits, and c64 with it' thousand-polls-at-once
many 'a table of timers has a thousand places' heap.c \
    'struct et_completion *first = heap->first[at.level][at.slot], *last;' \
    'struct et_completion *first = heap->first[at.level][at.slot], *last; static unsigned used;
    if (++used > 1000)
        return;' \
    'ET-EXPIRE-1: .*c1000 comes next' \
    'ET-EXPIRE-1/waits: the loop waits, and c1000 with it' thousands-of-timers
many 'descriptors beyond 1024 are not registered' registrations.c \
    'if (epoll_ctl(loop->epoll, operation, fd, &event) != 0)' \
    'if (fd < 1024 && epoll_ctl(loop->epoll, operation, fd, &event) != 0)' \
    'ET-REGISTER-1: c0 waits on descriptor 1[0-9]*' \
    'ET-REGISTER-1: the loop waits, and c0 with it' descriptors-beyond-1024
many 'completions are told apart by eight bits' ../fuzz/driver/etalon_loop.c \
    'return c < COUNT ? etalon_completion(c) : NULL;' \
    'return c < COUNT ? etalon_completion(c & 255) : NULL;' \
    'ET-CANCEL-8: .*c1000 comes next' \
    'ET-CANCEL-8: c232 is called with -ECANCELED' cancel-the-thousandth

# What the handles of the real kernel show.
broken 'a terminal that is hung up is at its end' operations.c '    *result = -errno;
    return true;' '    *result = errno == EIO ? 0 : -errno;
    return true;' 'ET-(OP-1|EVENT-2): ' terminal-hung-up
broken 'a datagram that is refused is not told' operations.c \
    'if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)' \
    'if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNREFUSED)' \
    'ET-EVENT-2: ' inet-datagram-refused
broken 'a reset connection is told as what can be read' kernel_phase.c \
    'serve_others(loop, fd, event->events);' 'serve_others(loop, fd, event->events & ~8u);' \
    'ET-EVENT-4: ' inet-reset-ends-polls

# Compiled with _FORTIFY_SOURCE, as far as it knows the size of a buffer: the strict judge has to
# see those reads.
cat >"$work/fortified.h" <<'END'
#include <unistd.h>
#include <sys/socket.h>
extern ssize_t __read_chk(int, void *, size_t, size_t);
extern ssize_t __recv_chk(int, void *, size_t, size_t, int);
extern ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
#define read(fd, buffer, length) __read_chk(fd, buffer, length, (size_t)-1)
#define recv(fd, buffer, length, flags) __recv_chk(fd, buffer, length, (size_t)-1, flags)
#define pread(fd, buffer, length, offset) __pread_chk(fd, buffer, length, offset, (size_t)-1)
END
${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -pthread -Wl,-Bsymbolic \
    -include "$work/fortified.h" \
    -Ifuzz/driver fuzz/driver/etalon_loop.c src/*.c -o "$work/fortified.so"
output=$("$etalon" check --tap - --case read-and-write --case pool-round-trip --case two-reads \
    "$work/fortified.so" 2>&1)
report_said 'reads of a fortified library are seen' $? "$output"

judged OTHER_VERSION 2 'is made for version 7' timer-zero
judged NO_NAME 2 'has no name' timer-zero
judged INCOMPLETE 2 "needs the function 'timer', which is null" timer-zero
judged CRASHES_EARLY 2 'crashes when it is loaded: SIGSEGV' timer-zero
judged HANGS_EARLY 2 'hangs when it is loaded' timer-zero
judged EXITS_EARLY 2 'ends the process when it is loaded' timer-zero
judged HALF_ROUNDS 2 'offers rounds, but not all' timer-zero

# The table of failures in RUNNER.md, and what the promise can say; what no manual can excuse.
listed=$(sed -n 's/^[A-Z]*([A-Z0-9_]*, "\(ET-[A-Z0-9-]*\)", "\([a-z]\+\)".*/\1\/\2/p' \
    model/promise.def | sort -u)
cardinal=$(grep ', CARDINAL,' model/promise.def |
    sed 's/^[A-Z]*([A-Z0-9_]*, "\(ET-[A-Z0-9-]*\)", "\([a-z]*\)".*/\1\/\2/; s,/$,,' | sort -u)
missing=$(for each in $listed; do
    grep -qE "^\| .*${each%/*}.*\| \`${each#*/}\` \|" tests/kit/RUNNER.md || echo "$each"
done; for each in $cardinal; do
    grep -q "^A documented difference never excuses .*$each" tests/kit/RUNNER.md || echo "$each"
done)
test -n "$listed" && test -n "$cardinal" && test -z "$missing"
report_said 'every kind of failure is in RUNNER.md, and what nothing excuses' $? "$missing"

# Programs are made of every operation that is offered, and fail where one is not fit to be asked.
build NONE && build ONLY_TIMERS
output=$("$etalon" check --tap - --case nothing-to-do --random 300 "$work/NONE.so" 2>&1)
report_said 'random programs of every operation, and none fails' $? "$output"
output=$("$etalon" check --tap - --case nothing-to-do --random 50 "$work/ONLY_TIMERS.so" 2>&1)
[ $? -eq 1 ] && grep -q 'it crashes: SIGABRT' <<<"$output"
report_said 'random programs are of more than timers and polls' $? "$output"

# Random programs find a fault, and make it short.
output=$("$etalon" check --tap - --case nothing-to-do --random 300 --seed 7 "$work/EARLY.so" 2>&1)
status=$?
[ $status -eq 1 ] && grep -q 'ET-EXPIRE-4' <<<"$output" &&
    [ "$(grep -c '^#     ' <<<"$output")" -le 12 ]
report_said 'random programs find an early timer, and shrink it' $? "$output"

# A random program is run again by the name that was told, and what was printed of it is a trace.
random=$(grep -oE 'random-7-[0-9]+-bad' <<<"$output" | head -n 1)
again=$("$etalon" check --tap - --case "$random" "$work/EARLY.so")
[ $? -eq 1 ] && grep -q "^not ok 1 - bad/$random: fail" <<<"$again" &&
    grep -q '^1\.\.1$' <<<"$again"
report_said 'a random program is run again by its name' $? "$again"
sed -n 's/^#     //p' <<<"$again" >"$work/again.trace"
again=$("$etalon" check --tap - --cases "$work/again.trace" "$work/EARLY.so")
[ $? -eq 1 ] && grep -q '^not ok 1 - bad/again: fail' <<<"$again" &&
    grep -q 'ET-EXPIRE-4' <<<"$again"
report_said 'a printed program is a trace, and one trace can be the cases' $? "$again"

# The sentence beside a shrunk program is the one of its run; a documented failure of a random
# program is counted.
output=$(build LATE && "$etalon" check --tap - --case timers-sorted "$work/LATE.so")
shown='the shortest program found that shows it, in which the loop waits beyond the deadline of c'
grep -A 20 "$shown" <<<"$output" | grep -q '^#     etalon-trace 1'
report_said 'the shortest program has its own sentence' $? "$output"
"$etalon" check --matrix --case timers-sorted --json "$work/own.json" --html "$work/own.html" \
    "$work/LATE.so" >/dev/null
own=$(python3 -c 'import json, sys
[r] = json.load(open(sys.argv[1]))["results"]
print(r["program_message"])
sys.exit(r["program_message"] == r["message"])' "$work/own.json") &&
    grep -qF "The shortest program found that shows it, in which $own" "$work/own.html"
report_said '… also in the JSON file and the page' $? "$own"
output=$(difference=ET-WAIT-2/late && build LATE &&
    "$etalon" check --tap - --case nothing-to-do --random 40 "$work/LATE-documented.so")
grep -qE ' [0-9]+ judged, [0-9]+ not as the law has it, [1-9][0-9]* not strict' <<<"$output"
report_said 'random programs that are excused are counted' $? "$output"

# Results are told as they come, in order: here the second one would take a minute.
build LOOPS
"$etalon" check --tap - --watchdog 60 --jobs 2 --case nothing-to-do --case timer-zero \
    "$work/LOOPS.so" >"$work/stream" 2>&1 &
for _ in $(seq 300); do
    grep -q '^ok 1 - bad/nothing-to-do$' "$work/stream" && break
    sleep 0.1
done
grep -q '^ok 1 - bad/nothing-to-do$' "$work/stream" && ! grep -q timer-zero "$work/stream"
report_said 'a result is told when it is there, and not when all are' $? "$(cat "$work/stream")"
kill $! && wait $! 2>/dev/null

# What is not an adapter, and options.
refused() { # refused PATTERN ARGUMENT…
    local pattern=$1 output status
    shift
    output=$("$etalon" check "$@" 2>&1)
    status=$?
    [ $status -eq 2 ] && grep -qE -- "$pattern" <<<"$output"
    report_said "refused: $*" $? "exit status $status: $output"
}
echo 'int nothing;' | ${CC:-cc} -shared -fPIC -x c - -o "$work/empty.so"
head -c 4000 /dev/urandom >"$work/noise.so"
refused "exports no symbol 'etalon_subject'" "$work/empty.so"
refused 'no shared object' "$work/noise.so"
refused 'No such file' "$work/none.so"
refused "unknown option '--no-such-option'; see etalon check" --no-such-option "$work/NONE.so"
refused 'not a number' --random x "$work/NONE.so"
refused 'not a number' --jobs 0 "$work/NONE.so"
refused '--case no-such-case: no case has such a name or number' --case no-such-case \
    --case timer-zero "$work/NONE.so"
refused '--clause ET-EXPIRE-17: the law has no such clause' --clause ET-EXPIRE-17 "$work/NONE.so"
refused 'no case is chosen by all of these patterns together' --case timer-zero --clause ET-POOL-1 \
    "$work/NONE.so"
refused 'random-7-1-good: no subject has the name at its end' --case random-7-1-good "$work/NONE.so"
refused 'no subject has this name' --gate nobody "$work/NONE.so"
refused 'the same name' "$work/NONE.so" "$work/NONE.so"
refused 'usage' --case '*'
refused 'spec/nowhere' --cases spec/nowhere "$work/NONE.so"
refused 'Not a directory|No such file' --case timer-zero --json "$work/NONE.so/x" "$work/NONE.so"
refused '--html .*No such file' --case timer-zero --html "$work/no/folder/x.html" "$work/NONE.so"
refused '--html .*Is a directory' --case timer-zero --html "$work" "$work/NONE.so"
refused 'Not a directory|No such file' --case timer-zero --tap "$work/NONE.so/x" "$work/NONE.so"
output=$(PATH=$work "$etalon" check --case timer-zero --html "$work/none.html" "$work/NONE.so" 2>&1)
[ $? -eq 2 ] && [ ! -e "$work/none.html" ] &&
    grep -q 'python3, which makes the page, cannot be run' <<<"$output"
report_said 'a page without python3' $? "$output"
"$etalon" check --matrix --case timer-zero --html "$work/page.html" --tap "$work/page.tap" \
    "$work/NONE.so" >/dev/null 2>&1 &&
    grep -q '</html>' "$work/page.html" && grep -q '^ok 1 - bad/timer-zero$' "$work/page.tap"
report_said 'a page and the test-anything protocol beside a matrix' $?

# What a subject or the name of a case says cannot become another line of the results, or another
# result.
version='static const char *version(void) { return "1\\nnot ok 9 - v\\033[2J\\xc2\\x9b" "1m"; }'
sed -e "s/^ETALON_SUBJECT = {/$version\n&\n    .version = version,/" \
    -e 's/"its manual says so"/"why\\nnot ok 9 - w\\033[2J"/' \
    tests/suites/kit/bad_subject.c >"$work/forges.c" &&
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT=NEVER \
    -DDIFFERENCE='"ET-EXPIRE-1/returns"' \
        "$work/forges.c" -o "$work/forges.so"
forged() { "$etalon" check --case timer-deletes-expired-timer "$@" "$work/forges.so" 2>&1; }
output=$(forged --tap "$work/forges.tap"; forged --matrix; cat "$work/forges.tap")
grep -q 'documented: why?not ok 9 - w?' <<<"$output" &&
    grep -q '^bad  *1?not ok 9 -' <<<"$output" &&
    ! LC_ALL=C grep -q '^not ok\|[[:cntrl:]]' <<<"$output"
report_said 'a version and an explanation stay in their lines' $? "$output"
for name in 'x # SKIP y' $'x\nok 2 - y'; do
    rm -rf "$work/odd" && mkdir "$work/odd" &&
        cp spec/cases/timer-zero.trace "$work/odd/$name.trace"
    output=$("$etalon" check --cases "$work/odd" "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && [ "$output" = \
        "etalon: the name of a case has a '#' or an unprintable character" ]
    report_said 'a case with an odd name' $? "$output"
done
# What is only documented counts for --gate, so its result says so.
output=$(forged --gate bad --tap -)
[ $? -eq 1 ] && grep -q '^not ok 1 - bad/timer-deletes-expired-timer: not_strict' <<<"$output"
report_said '--gate tells what it counts' $? "$output"

# What is no regular file stays what it is. `outputs` is a folder of its own; nothing here is a
# device of the system.
check_quietly() { timeout 60 "$etalon" check --matrix --case timer-zero "$@" "$work/NONE.so" 2>&1; }
for option in json html tap summary; do
    rm -rf "$work/outputs" && mkdir "$work/outputs" && mkfifo "$work/outputs/pipe" &&
        echo old >"$work/outputs/file" &&
        ln -s file "$work/outputs/link"
    timeout 60 cat "$work/outputs/pipe" >"$work/piped" &
    output=$(check_quietly "--$option" "$work/outputs/pipe") && wait $! &&
        [ -p "$work/outputs/pipe" ] && [ -s "$work/piped" ]
    report_said "--$option into a pipe, which stays one" $? "$output"
    output=$(check_quietly "--$option" "$work/outputs/link") && [ -h "$work/outputs/link" ] &&
        ! grep -qx old "$work/outputs/file" &&
        [ "$(ls "$work/outputs" | tr '\n' ' ')" = 'file link pipe ' ]
    report_said "--$option through a symbolic link, which stays one" $? "$output"
done
# Refused before anything is run: so nothing is printed, and no output is written.
output=$(check_quietly --json "$work/outputs/new" --tap "$work/nowhere/x")
[ $? -eq 2 ] && [ ! -e "$work/outputs/new" ] &&
    [ "$output" = "etalon: --tap $work/nowhere/x: No such file or directory" ]
report_said 'an output that cannot be written' $? "$output"
output=$(check_quietly --json "$work/outputs/new" --summary "$work/outputs/../outputs/new")
[ $? -eq 2 ] && [ ! -e "$work/outputs/new" ] &&
    grep -q -- '--summary .*: the same file as that of --json' <<<"$output"
report_said 'one file for two outputs' $? "$output"
output=$(check_quietly --html "$work/outputs/link" --json "$work/outputs/file")
[ $? -eq 2 ] && grep -q -- '--html .*: the same file as that of --json' <<<"$output"
report_said 'one file for two outputs, by a symbolic link' $? "$output"
# A device that is always full, made here as only root can: the outputs after it are written all the
# same.
if mknod "$work/outputs/full" c 1 7 2>/dev/null; then
    output=$(check_quietly --json "$work/outputs/full" --tap "$work/outputs/tap" \
        --html "$work/outputs/page")
    [ $? -eq 2 ] && [ -c "$work/outputs/full" ] && [ -s "$work/outputs/tap" ] &&
        [ -s "$work/outputs/page" ] &&
        grep -q 'full: No space left on device' <<<"$output"
    report_said 'an output that fails keeps no other from being written' $? "$output"
fi
"$etalon" check --list --clause 'ET-RESET-*' | grep -q 'reset-moved'
report_said '--list with a clause pattern' $?
[ "$("$etalon" check --list --case 3-5 | wc -l)" -eq 3 ]
report_said 'cases are chosen by a range of numbers' $?
"$etalon" check --dry-run "$work/NONE.so" | grep -q '^would run bad/timer-zero'
report_said '--dry-run' $?
"$etalon" check --case 'timer*' --json "$work/full.json" --summary "$work/short.json" \
    "$work/TWICE.so" "$work/../../subjects/etalon.so" \
    >/dev/null 2>&1
python3 - "$work/full.json" "$work/short.json" <<'END'
import json, sys
full, short = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
assert {s["name"] for s in full["subjects"]} == {"bad", "etalon"} == set(short["subjects"])
for name, counts in short["subjects"].items():
    verdicts = [r["verdict"] for r in full["results"] if r["subject"] == name]
    assert counts.pop("claim") is None  # not all cases were looked at
    assert counts == {v: verdicts.count(v) for v in counts}
assert short["subjects"]["bad"]["fail"] > 0 and short["subjects"]["etalon"]["fail"] == 0
bad = next(r for r in full["results"] if r["verdict"] == "fail")
assert bad["clause"] == "ET-STATE-3" and bad["program"] and bad["expected"] and bad["observed"]
END
report_said 'the JSON files agree with each other' $?

# A claim is made of all cases, and of no fewer; the lists that it rests on are read before.
output=$("$etalon" check --matrix "$work/../../subjects/etalon.so" "$work/TWICE.so" 2>&1)
all='Timers@1ms, Readiness, Threads, Completion and Pool'
grep -qE "^# claim: etalon [0-9.]+: Etalon [^ ]+ $all, suite [^ ,]+$" <<<"$output" &&
    grep -qE '^# claim: bad .*, except .*ET-STATE-3' <<<"$output"
report_said 'what may be claimed' $? "$output"
mkdir -p "$work/profiles" && cp spec/profiles/*.txt "$work/profiles/"
echo 'timer-zero Leisure' >>"$work/profiles/Pool-1.0.txt"
output=$("$etalon" check --profiles "$work/profiles" "$work/NONE.so" 2>&1)
[ $? -eq 2 ] && grep -qE 'Pool-1.0.txt:[0-9]+: expected the name of a profile' <<<"$output"
report_said 'a profile that does not exist is refused' $? "$output"
rm "$work/profiles/Pool-1.0.txt"
output=$("$etalon" check --profiles "$work/profiles" "$work/NONE.so" 2>&1)
[ $? -eq 2 ] && grep -q 'Pool-1.0.txt: No such file' <<<"$output"
report_said 'a list that is missing is named' $? "$output"

# Two subjects that fail by random programs of the same number: each program is another one, and the
# page takes both.
build EARLY && sed 's/"bad"/"worse"/' tests/suites/kit/bad_subject.c >"$work/worse.c" &&
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT=EARLY \
    "$work/worse.c" -o "$work/worse.so"
output=$("$etalon" check --matrix --case nothing-to-do --random 40 --html "$work/both.html" \
    "$work/EARLY.so" "$work/worse.so" 2>&1)
[ $? -eq 1 ] && grep -q '</html>' "$work/both.html"
report_said 'a page of random programs for two subjects' $? "$output"

# The events say what the subject has said of its states: the four of Etalon, two of the loop here,
# and none of one that tells nothing.
sed 's/ETALON_OFFERS_IN_USE |//; s/"bad"/"mute"/' tests/suites/kit/bad_subject.c >"$work/mute.c" &&
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver "$work/mute.c" \
    -o "$work/mute.so" &&
    "$etalon" check --case timer-deletes-expired-timer --json "$work/states.json" "$work/NONE.so" \
    "$work/mute.so" build/subjects/etalon.so >/dev/null
python3 - "$work/states.json" <<'END'
import json, sys
results = {r["subject"]: r for r in json.load(open(sys.argv[1], encoding="utf-8"))["results"]}
def seen(name, kind):
    return {e["state"] for e in results[name]["observed"] if e["kind"] == kind and "state" in e}
def changes(name):
    return {state for e in results[name]["observed"] for state in e.get("states", {}).values()}
assert seen("etalon", "callback") == {"dead"} and seen("etalon", "call") == {"adding", "deleting"}
assert changes("etalon") == {"active", "dead"}
assert seen("bad", "callback") == {"unused"} and seen("bad", "call") == {"in_use", "unused"}
assert seen("mute", "callback") == {"called"} and seen("mute", "call") == {"submitted", "silent"}
assert not changes("mute")
assert results["etalon"]["observed"] == results["etalon"]["expected"]
END
report_said 'each event has the states that the subject tells, and no others' $?

# As ADAPTERS.md, 6, says: what Valgrind does not know it tells by a line that begins with --.
if command -v valgrind >/dev/null; then
    output=$(valgrind -q --trace-children=yes "$etalon" check --jobs 1 --case timer-zero \
        "$work/NONE.so" 2>&1)
    [ $? -eq 0 ] && grep -q ' 1 passed' <<<"$output" && ! grep -q '^--[0-9]*-- ' <<<"$output"
    report_said 'a loop passes under a memory checker' $? "$output"
else
    skip 'a loop passes under a memory checker' 'there is no valgrind'
fi

plan
