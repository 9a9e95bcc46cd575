#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that `etalon check` asks loops that are built in other ways than Etalon's, passes those that
# are lawful, and finds what is wrong with others. Called by tests/run.
#
#   tests/suites/kit/ways.sh [ETALON]        (build/default/etalon)
#
# Builds kit/ways_subject.c for each way, with each fault, and adapters of loops that are installed.
# Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=$(realpath "${1:-build/default/etalon}")
work=build/test/ways
rm -rf "$work" && mkdir -p "$work" || exit 2
. tests/suites/tap.sh

compiled() { # compiled SOURCE OBJECT [OPTION…]
    local source=$1 object=$2
    shift 2
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver "$source" -o "$object" "$@"
}

# lawful WAYS CASES: all cases, so many of which are asked at least, and random programs pass.
lawful() {
    local object=$work/$1.so output status
    compiled tests/suites/kit/ways_subject.c "$object" -DWAYS="$1" || return
    output=$("$etalon" check --strict --random 100 --seed 5 "$object" 2>&1 </dev/null)
    status=$?
    [ $status -eq 0 ] && [ "$(sed -n 's/^ways .*: \([0-9]*\) cases asked.*/\1/p' \
        <<<"$output")" -ge "$2" ]
    report_said "$1: nothing is blamed, and $2 cases are asked" $? "$output"
}

# broken WAYS FAULT PATTERN CASE…: the case fails by what matches.
broken() {
    local object=$work/$2.so pattern=$3 ways=$1 fault=$2 cases=() output
    shift 3
    for name in "$@"; do cases+=(--case "$name"); done
    compiled tests/suites/kit/ways_subject.c "$object" -DWAYS="$ways" -DFAULT="$fault" || return
    output=$("$etalon" check --tap - --watchdog 3 "${cases[@]}" "$object" 2>&1 </dev/null)
    [ $? -eq 1 ] && grep -qE -- "$pattern" <<<"$output"
    report_said "$ways, $fault: $pattern" $? "$output"
}

# shown WAYS FAULT CASE: … and so it does without Etalon.
shown() {
    local source=$work/$2-shown.c adapter=$work/$2.adapter.c build output
    sed "s,Build: -DWAYS=0,Build: -w -DWAYS='$1' -DFAULT=$2," tests/suites/kit/ways_subject.c \
        >"$adapter"
    output=$("$etalon" reproduce -o "$source" "$3" "$adapter" 2>&1) &&
        build=$(sed -n 's/^ \* Build: [^ ]* repro.c \(.*\) -o repro \*\/$/\1/p' "$source") &&
        output+=$(eval "${CC:-cc} -O1 '$source' -o '${source%.c}' $build" 2>&1) &&
        output+=$(timeout 100 "${source%.c}" 2>&1)
    report_said "$1, $2 is shown without Etalon, by $3" $? "$output"
}

# Adapters of loops that are installed, changed so that they offer another way.
# installed NAME LIBRARY FAILURES CASES SED…: so many cases pass at least, and none fails otherwise.
installed() {
    local name=$1 library=$2 failures=$3 cases=$4 adapter=$work/$1.c output others
    shift 4
    if ! pkg-config --exists "$library" 2>/dev/null && [ "$library" != libev ]; then
        skip "$name" 'the loop is not installed'
        return
    fi
    sed "$@" >"$adapter"
    # shellcheck disable=SC2046 # a list of words
    compiled "$adapter" "$work/$name.so" $(pkg-config --cflags --libs "$library" 2>/dev/null ||
        echo -lev)
    output=$("$etalon" check --tap - --random 100 "$work/$name.so" 2>&1)
    others=$(sed -n '/^not ok/,/^#   /{ s/^#   \(it crashes: \)\{0,1\}\([A-Z0-9a-z/-]*\).*/\2/p }' \
        <<<"$output" | grep -vxE -- "$failures")
    [ "$(grep -c '^ok [^#]*$' <<<"$output")" -ge "$cases" ] && [ -z "$others" ]
    report_said "$name: $cases cases pass, and what fails is what fails otherwise" $? \
        "$others
$output"
}

# ---- a run that goes on until it is stopped ------------------------------------------------------

lawful 0 120
lawful UNTIL_STOPPED 55
broken UNTIL_STOPPED RETURNS_WHEN_DONE \
    'ET-RUN-6/[a-z]*: the run returns; expected: no return before a stop' until-stopped
broken UNTIL_STOPPED RETURNS_WHEN_WOKEN 'ET-RUN-6/woken' until-stopped
broken UNTIL_STOPPED IGNORES_A_STOP 'ET-STOP-2: the loop waits' timers-sorted
broken UNTIL_STOPPED STAYS_STOPPED 'ET-RUN-6/early' until-stopped
broken 0 STAYS_STOPPED 'ET-RUN-3/early: .*; expected: no return while' runs-after-a-stop
broken 0 IGNORES_A_STOP 'ET-STOP-2: the loop waits' runs-after-a-stop
shown UNTIL_STOPPED RETURNS_WHEN_DONE until-stopped
shown UNTIL_STOPPED IGNORES_A_STOP timers-sorted
shown UNTIL_STOPPED STAYS_STOPPED until-stopped

sed 's/^    \.stop = stop,$//' tests/suites/kit/ways_subject.c >"$work/no_stop.c" &&
    compiled "$work/no_stop.c" "$work/no_stop.so" -DWAYS=UNTIL_STOPPED
output=$("$etalon" check --case timer-zero "$work/no_stop.so" 2>&1)
[ $? -eq 2 ] && grep -q "offers what needs the function 'stop', which is null" <<<"$output"
report_said 'a run until it is stopped needs a stop' $? "$output"

# GLib's:
installed g_main_loop_run glib-2.0 'ET-EXPIRE-2|SIGTRAP' 55 '
    s/^    g_main_context_iteration(.*/    g_main_loop_run(main_loop);/
    s/^struct subject {/static GMainLoop *main_loop;\n\n&/
    s/^    s->context = g_main_context_new();/&\n\
    main_loop = g_main_loop_new(s->context, FALSE);/
    s/^    g_main_context_unref(s->context);/    g_main_loop_unref(main_loop);\n&/
    s/^static const char \*version(void) {/static void quit(void *self) {\n\
    g_main_loop_quit(main_loop);\n}\n\n&/
    s/^    \.run = run,/&\n    .stop = quit,/
    s/ETALON_OFFERS_NO_WAIT |/ETALON_OFFERS_UNTIL_STOPPED |/
    s/ETALON_OFFERS_ONCE |//
    s/| ETALON_OFFERS_TURN | ETALON_OFFERS_HOSTED//' tests/kit/adapters/glib.c

# ---- deletions that take effect with the next turn -----------------------------------------------

lawful LATER 115
lawful 'LATER|UNTIL_STOPPED' 50
broken LATER CALLS_DELETED 'ET-DELETE-4' deleted-for-the-next-turn
broken LATER NEVER_FREES 'ET-LINGER-2: c[0-9] is in use, expected not in use' \
    deleted-for-the-next-turn
broken LATER SLEEPS_BEFORE_IT_FREES 'ET-WAIT-1/idle' done-when-the-last-is-deleted
shown LATER CALLS_DELETED deleted-for-the-next-turn
shown LATER NEVER_FREES deleted-for-the-next-turn

# libuv's handles, which are closed: their memory is the loop's until the callback of uv_close.
installed uv_close libuv 'ET-(CALL-4|RESET-4|EXPIRE-4|RUN-5|HOST-2)(/[a-z]*)?' 120 '
    s/^static void on_closed/static unsigned closing[COUNT];\n\n&/
    s/^static int remove_watcher/static void on_removed(uv_handle_t *handle) {\n\
    struct watcher *w = handle->data;\n    closing[w->c]--;\n    free(w);\n}\n\n&/
    s/^    let_go(of, c);/    struct self *self = of;\n    struct watcher *w = self->watcher[c];\n\
    if (w == NULL || w->kind == ASYNC) {\n        let_go(of, c);\n        return 0;\n    }\n\
    self->watcher[c] = NULL;\n    if (w->kind == TIMER)\n        self->timers[c] = NULL;\n\
    closing[c]++;\n    uv_close(\&w->handle, on_removed);/
    s/^    const struct watcher \*w = ((struct self \*)of)->watcher\[c\];/&\n\
    if (closing[c] > 0)\n        return ETALON_ACTIVE;/
    s/ETALON_OFFERS_DELETE |/& ETALON_OFFERS_DELETES_LATER |/' tests/kit/adapters/libuv.c

# ---- timers that repeat, and rearms of timers alone ----------------------------------------------

lawful REPEATS 120
lawful TIMERS_ALONE 115
lawful 'REPEATS|TIMERS_ALONE|LATER|UNTIL_STOPPED' 45
broken REPEATS COMES_TOO_SOON 'ET-REPEAT-1: the timer c0 fires [0-9]+ us before its deadline' \
    repeated-timer
broken REPEATS COMES_TOO_LATE 'ET-WAIT-2/late|ET-EXPIRE-1/waits' repeated-timer
broken REPEATS COMES_ONCE_MORE 'ET-STATE-3' timer-zero
broken REPEATS FORGETS_A_TIMER 'ET-EXPIRE-4' timer-sets-itself
shown REPEATS COMES_TOO_SOON repeated-timer
shown REPEATS COMES_ONCE_MORE timer-zero
# What keeps a beat and does not say so is early.
sed 's/? ETALON_OFFERS_REPEATS : 0/? 0 : 0/' tests/suites/kit/ways_subject.c >"$work/unsaid.c" &&
    compiled "$work/unsaid.c" "$work/unsaid.so" -DWAYS=REPEATS
output=$("$etalon" check --tap - --case timer-not-early-rearmed "$work/unsaid.so" 2>&1)
[ $? -eq 1 ] && grep -q 'ET-EXPIRE-4' <<<"$output"
report_said 'a beat that is not documented is blamed' $? "$output"
output=$(compiled tests/suites/kit/ways_subject.c "$work/alone.so" -DWAYS=TIMERS_ALONE &&
    "$etalon" check --tap - --case rearmed-timer --case rearmed-poll "$work/alone.so" 2>&1)
grep -q '^ok .*ways/rearmed-timer$' <<<"$output" &&
    grep -q 'rearmed-poll # SKIP not offered: needs a rearm of what is no timer' <<<"$output"
report_said 'a rearm is asked of timers alone' $? "$output"

# Timers of libuv and libev that repeat: the one counts from the turn in which the timer is called,
# the other keeps a beat. A timer of 0 ms does not repeat, and is started again.
installed uv_timer_repeat libuv \
    'ET-(CALL-4|RESET-4|EXPIRE-4|REPEAT-1|RUN-5|HOST-2)(/[a-z]*)?' 125 '
    /^static void on_timer(/,/^}/d
    s/^static void on_poll(/static void on_timer(uv_timer_t *timer) {\n\
    struct watcher *w = timer->data;\n    struct self *self = w->self;\n\
    uint32_t c = w->c, uses = self->uses[c];\n    self->watcher[c] = NULL;\n\
    int again = self->host->called(c, 0, w->userdata) == ETALON_REARM;\n\
    if (!again || self->uses[c] != uses) {\n        if (self->watcher[c] != w)\n\
            uv_timer_stop(timer);\n        return;\n    }\n\
    self->watcher[c] = w;\n    if (w->delay_ms == 0)\n\
        uv_timer_start(timer, on_timer, 0, 0);\n}\n\n&/
    s/\(uv_timer_start(&w->timer, on_timer\), \([a-z_>-]*\), 0)/\1, \2, \2)/
    s/ETALON_OFFERS_REARM |/& ETALON_OFFERS_REPEATS |/' tests/kit/adapters/libuv.c
delay='(ev_tstamp)its->delay_ms \/ 1000'
if [ -e build/subjects/libev.so ]; then
    installed ev_timer_repeat libev 'ET-EVENT-6' 110 '
        /^static void timer_expired(/,/^}/d
        s/^static void io_ready(/static void timer_expired(struct ev_loop *loop, ev_timer *timer,\
            int events) {\n    struct completion *its = timer->data;\n\
    struct subject *s = ev_userdata(loop);\n    uint32_t c = its->number, uses = s->uses[c];\n\
    (void)events;\n    its->called = 1;\n    int again = rearms(s, c, 0);\n\
    if (s->uses[c] != uses)\n        return;\n    its->called = 0;\n    if (!again) {\n\
        ev_timer_stop(loop, timer);\n    } else if (!ev_is_active(timer)) {\n\
        ev_timer_set(timer, '"$delay, $delay"');\n        ev_timer_start(loop, timer);\n    }\n\
}\n\n&/
        s/^    enum kind kind;/&\n    int called; \/* now *\//
        s/^\(    return s->completions\[c\];\)/    if (s->completions[c] != NULL) {\n\
        s->completions[c]->called = 0;\n        if (s->completions[c]->kind == TIMER)\n\
            ev_timer_stop(s->loop, \&s->completions[c]->timer);\n    }\n\1/
        s/ev_timer_init(&its->timer, .*, 0\.);/\n\
    ev_timer_init(\&its->timer, timer_expired, '"$delay, $delay"');/
        s/^    if (its == NULL || its->kind == NOTHING)/\
    if (its == NULL || its->kind == NOTHING || (its->kind == TIMER \&\& its->called))/
        s/ETALON_OFFERS_REARM |/& ETALON_OFFERS_REPEATS |/' tests/kit/adapters/libev.c
else
    skip ev_timer_repeat 'libev is not installed'
fi

# ---- runs inside a callback ----------------------------------------------------------------------

lawful NESTS 120
lawful 'NESTS|REPEATS|LATER' 110
broken NESTS REFUSES_INNER 'ET-RUN-7: .* returned -EBUSY' run-within-a-callback
broken NESTS ENDS_BOTH 'ET-RUN-3/' run-within-a-callback
broken NESTS IGNORES_A_STOP 'ET-STOP-2: the loop waits' stop-of-an-inner-run
sed 's/? ETALON_OFFERS_NESTS : 0/? ETALON_OFFERS_NESTS | ETALON_OFFERS_GUARDED : 0/' \
    tests/suites/kit/ways_subject.c >"$work/both.c" &&
    compiled "$work/both.c" "$work/both.so" -DWAYS=NESTS
output=$("$etalon" check --case timer-zero "$work/both.so" 2>&1)
[ $? -eq 2 ] && grep -q 'offers that a run inside a callback is refused, and carried out' \
    <<<"$output"
report_said 'a run inside a callback is refused or carried out, not both' $? "$output"
installed iterations_within glib-2.0 'ET-EXPIRE-2|SIGTRAP' 85 \
    's/ETALON_OFFERS_TURN |/& ETALON_OFFERS_NESTS |/' tests/kit/adapters/glib.c
if [ -e build/subjects/libev.so ]; then
    # It calls what is pending before it makes its turn, in which it may sleep, or call that again.
    installed ev_run_within libev 'ET-(EVENT-6|WAIT-1/enough|CALL-4/round)' 110 \
        's/ETALON_OFFERS_REARM |/& ETALON_OFFERS_NESTS |/' tests/kit/adapters/libev.c
else
    skip ev_run_within 'libev is not installed'
fi

plan
