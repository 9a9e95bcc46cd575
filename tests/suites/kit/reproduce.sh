#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that `etalon reproduce` writes programs that need no Etalon: each published failure of a
# loop that is installed is shown by the one that is written of it, on the real kernel and the real
# clock; a good case passes; a loop that was mended shows nothing. Called by tests/run.
#
#   tests/suites/kit/reproduce.sh [--short] [ETALON]        (build/default/etalon)
#
# --short: of each loop one failure of each kind, by its shortest case.
# Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
short=
[ "${1:-}" != --short ] || { short=--short && shift; }
case ${1:-} in
-*) echo "reproduce.sh: $1: usage: reproduce.sh [--short] [ETALON]" >&2 && exit 2 ;;
esac
etalon=$(realpath "${1:-build/default/etalon}")
work=build/test/reproduce
rm -rf "$work" && mkdir -p "$work" || exit 2
. tests/suites/tap.sh

# shown SOURCE: compiles it in a folder where nothing of Etalon is, and runs it.
shown() {
    local source options compiler=${CC:-cc}
    source=$(realpath "$1")
    [ "${source##*.}" = c ] || compiler=${CXX:-g++}
    options=$(sed -n 's/^ \* Build: [^ ]* repro\.[cp]* \(.*\) -o repro \*\/$/\1/p' "$source")
    eval "options=\"$options\""
    # shellcheck disable=SC2086 # a list of words
    (cd "$work" && $compiler -Wall -Wextra -Werror -O1 "$source" -o "${source%.*}" $options &&
        timeout 100 "${source%.*}") 2>&1
}

# ---- the published failures ----------------------------------------------------------------------

python3 - $short >"$work/list" <<'EOF' || exit 2
import glob
import json
import os
import sys


def length(case):  # a random program is longer than any case
    path = f"spec/cases/{case}.trace"
    return os.path.getsize(path) if os.path.exists(path) else sys.maxsize


with open("spec/results.json", encoding="utf-8") as file:
    results = json.load(file)["results"]
for subject, cases in results.items():
    [adapter] = glob.glob(f"tests/kit/adapters/{subject}.c*") or [None]
    fails = {}  # by the failure, in the order of the file
    for case, entry in cases.items():
        if entry["verdict"] == "fail" and adapter is not None:
            kind = "/" + entry["kind"] if entry["kind"] else ""
            fails.setdefault(entry["clause"] + kind, []).append(case)
    for failure, of in fails.items():
        for case in [min(of, key=length)] if sys.argv[1:] else of:
            print(subject, case, adapter, failure)
EOF
[ -s "$work/list" ] || { echo 'reproduce.sh: spec/results.json has no failure' >&2; exit 2; }
# A random program may rest on the microseconds of virtual time: then a case shows its failure.
by_cases=' '
while read -r subject case adapter failure; do
    name=$subject-$case end=${adapter##*.}
    if [ ! -e "build/subjects/$subject.so" ]; then
        skip "$name" 'the loop is not installed'
        continue
    fi
    # the shortest program may need a kernel that does at once what a real one does in time; and a
    # busy machine may have missed the moment
    for whole in '' --whole ''; do
        # shellcheck disable=SC2086
        # an adapter in C++ takes long to compile: it is built already
        output=$("$etalon" reproduce $whole $([ "$end" = c ] ||
            echo "--adapter build/subjects/$subject.so") -o "$work/$name.$end" "$case" \
            "$adapter" 2>&1 && shown "$work/$name.$end")
        status=$?
        [ $status -eq 0 ] && break
    done
    case $case in
    random-*)
        [ $status -eq 0 ] || { grep -q 'seen: nothing else' <<<"$output" &&
            [[ $by_cases = *" $subject:$failure "* ]]; }
        status=$?
        ;;
    *) by_cases+="$subject:$failure " ;;
    esac
    # How early a timer is may be a fifth of a millisecond, which a busy machine sleeps through: the
    # program in tests/kit/reproducers, which run.sh runs, tries it otherwise.
    case $failure in
    ET-RESET-4 | ET-EXPIRE-4)
        if [ $status -ne 0 ] && grep -q 'seen: nothing else' <<<"$output"; then
            skip "$name, $failure" 'it needs the clock to a fifth of a millisecond'
            continue
        fi
        ;;
    esac
    report_said "$name, $failure" $status "$output"
done <"$work/list"

# ---- controls ------------------------------------------------------------------------------------

libuv=tests/kit/adapters/libuv.c
if [ -e build/subjects/libuv.so ]; then
    # without timers of more than 0 ms, which libuv may fire early on any clock
    for case in timer-zero poll-readable poll-writable; do
        output=$("$etalon" reproduce -o "$work/$case.c" "$case" $libuv 2>&1 &&
            shown "$work/$case.c")
        report_said "a good case passes: $case" $? "$output"
    done
    # what a loop says that is inside another one, a turn that is interrupted, and what the manuals
    # have as the example
    examples=$(sed -n 's/.*etalon reproduce \([a-z-]*\) my.*/\1/p' tests/kit/ADAPTERS.md \
        tests/tool/etalon.1 | sort -u)
    for case in hosted-timers turn-interrupted $examples; do
        output=$("$etalon" reproduce -o "$work/$case.c" "$case" $libuv 2>&1 &&
            shown "$work/$case.c")
        report_said "a failure is shown: $case" $? "$output"
    done
    build=$(sed -n 's/^ \* Build: \(.*\) \*\/$/\1/p' "$work/timer-zero.c")
    output=$(cd "$work" && cp timer-zero.c repro.c && sh -c "$build" 2>&1 && ./repro 2>&1)
    report_said 'its head has the command that builds it' $? "$output"
    output=$("$work/timer-zero" 2>&1) && [ "$(head -n 1 <<<"$output")" = shown ]
    report_said 'it says "shown"' $? "$output"
    ! grep -q 'etalon_subject.h"' "$work/timer-zero.c" && head -n 1 "$work/timer-zero.c" |
        grep -q SPDX
    report_said 'it includes nothing of Etalon' $?
    "$etalon" reproduce -o "$work/early.c" timer-not-early $libuv
    sed 's/^    return uv_timer_start(&w->timer, .*, w->delay_ms, 0);/    w->delay_ms++;\n&/' \
        "$work/early.c" >"$work/mended.c"
    ! cmp -s "$work/early.c" "$work/mended.c"
    report_said 'the loop can be mended' $?
    output=$(shown "$work/mended.c")
    [ $? -eq 1 ] && grep -q '^not shown$' <<<"$output" && grep -q '^seen: nothing else' <<<"$output"
    report_said 'of a loop that was mended nothing is shown' $? "$output"
    # what a host is told, by adapters that were broken
    cat >"$work/hosted.trace" <<'EOF'
etalon-trace 1
body 1
main
  open d0 stream
  submit c0 poll d0 in do b1
  run no_wait
  descriptor
  peer_write d0 3
  descriptor
  timeout
EOF
    host() { # host FAILURE CASE SCRIPT-OF-SED [ADAPTER]
        sed -e "s,^#include \"etalon_subject.h\",#include <sys/epoll.h>\n&," "${4:-$libuv}" |
            sed "$3" >"$work/host.adapter.c"
        output=$("$etalon" reproduce -o "$work/host.c" "$2" "$work/host.adapter.c" 2>&1 &&
            shown "$work/host.c")
        [ $? -eq 0 ] && grep -q '^shown$' <<<"$output" && grep -q " fail $1: " "$work/host.c"
        report_said "a failure is shown: $1" $? "$output$(head -n 3 "$work/host.c")"
    }
    host ET-HOST-1 hosted-poll \
        's/^    return \(uv_backend_timeout(.*\);/    return \1 == 0 ? -1 : \1;/'
    host ET-HOST-5/hidden "$work/hosted.trace" \
        's/^    return uv_backend_fd(.*;/    static int no;\n    (void)of;\n\
    return no != 0 ? no : (no = epoll_create1(EPOLL_CLOEXEC));/'
    host ET-HOST-4 "$work/hosted.trace" \
        's/^    return \(uv_backend_fd(.*)\);/    return fcntl(\1, F_DUPFD_CLOEXEC, 3);/
        s,^#include <uv.h>,&\n#include <fcntl.h>,'
    # a loop that stays stopped
    if [ -e build/subjects/sd-event.so ]; then
        printf '%s\n' 'etalon-trace 1' 'body 1' '  stop' main '  timer c0 1ms do b1' \
            '  descriptor' '  run once' '  descriptor' >"$work/stopped.trace"
        host ET-HOST-5/stopped "$work/stopped.trace" \
            's/^    return sd_event_get_fd(.*;/    static int no;\n    int code;\n\
    if (no == 0)\n        no = epoll_create1(EPOLL_CLOEXEC);\n\
    if (sd_event_get_exit_code(s->event, \&code) >= 0)\n        epoll_ctl(no, EPOLL_CTL_ADD,\n\
                  eventfd(1, EFD_CLOEXEC), \&(struct epoll_event){.events = EPOLLIN});\n\
    return no;/
            s,^#include "etalon_subject.h",#include <sys/eventfd.h>\n&,' \
            tests/kit/adapters/sd-event.c
    else
        skip 'a failure is shown: ET-HOST-5/stopped' 'sd-event is not installed'
    fi
    # what is documented is no failure, and shown all the same
    printf 'etalon-trace 1\nbody 1\nmain\n  wakeup\n  timer c1 200ms do b1\n  run once\n' \
        >"$work/woken.trace"
    output=$("$etalon" reproduce --whole -o "$work/documented.c" "$work/woken.trace" $libuv 2>&1 &&
        shown "$work/documented.c")
    [ $? -eq 0 ] && grep -q '^shown$' <<<"$output" &&
        grep -q 'a documented difference, ET-RUN-2/woken: ' "$work/documented.c" &&
        ! grep -q 'nothing is wrong' "$work/documented.c"
    report_said 'a documented difference is shown, and called so' $? "$output"
    # a good case of a loop that was broken since
    refuses='    if (w->delay_ms == 0)\n        return -12;'
    sed "s/^    return uv_timer_start(&w->timer, .*;/$refuses\n&/" \
        "$work/timer-zero.c" >"$work/broken.c"
    output=$(shown "$work/broken.c")
    [ $? -eq 1 ] && grep -q 'seen: .*returned -12' <<<"$output"
    report_said 'of one that was broken it is shown, where nothing was expected' $? "$output"
    output=$("$etalon" reproduce timer-zero $libuv 2>&1 | cmp - "$work/timer-zero.c" 2>&1)
    report_said 'it is written to standard output' $? "$output"
else
    skip 'controls' 'libuv is not installed'
fi

# ---- broken loops --------------------------------------------------------------------------------

of_fault() { # of_fault FAULT CASE [--whole]: a copy of the loop that is broken on purpose
    sed "s/^#define FAULT NONE/#define FAULT $1/; 1s,\$,\n/* Build: -pthread */," \
        tests/suites/kit/bad_subject.c >"$work/$1.adapter.c"
    # -w: it has names that it does not use
    local try status
    for try in 1 2 3; do # a busy machine may miss the moment
        # shellcheck disable=SC2086 # a word, or none
        output=$("$etalon" reproduce $3 -o "$work/$1.c" "$2" "$work/$1.adapter.c" 2>&1 &&
            sed -i 's/^ \* Build: .* -pthread/& -w/' "$work/$1.c" && shown "$work/$1.c")
        status=$?
        [ $status -ne 0 ] || break
    done
    report_said "a loop with $1, by $2" $status "$output"
}
of_fault CRASH timer-zero
of_fault ABORTS timer-zero
of_fault TWICE timer-zero
of_fault REFUSES_TIMERS timers-sorted
of_fault NOOPS_WAIT cancel-adding-late
of_fault SPINS once-is-once --whole
of_fault TIME_AHEAD time-stands-still
of_fault LEAKS timer-zero
of_fault LATE timers-sorted
of_fault CONNECTS_FAIL connect-refused
cat >"$work/accept.trace" <<'EOF'
etalon-trace 1
body 1
  submit c1 recv d1 5 do b2
body 2
main
  open d0 listener
  submit c0 accept d0 into d1 do b1
  run no_wait
  peer_connect d0
  run until_done
  peer_write d1 5
  run until_done
EOF
cat >"$work/message.trace" <<'EOF'
etalon-trace 1
body 1
main
  open d0 datagram
  open d1 port
  submit c0 recvmsg d0 5 do b1
  run no_wait
  peer_write d0 5
  run until_done
  submit c1 sendmsg d0 5 to d1 do b1
  submit c2 recvmsg d1 5 do b1
  run until_done
EOF
of_fault ACCEPTS_FAIL "$work/accept.trace"
of_fault READS_FAIL "$work/message.trace"
for of in accept message; do
    of_fault NONE "$work/$of.trace"
done

# ---- bad input -----------------------------------------------------------------------------------

refused() { # refused PATTERN ARGUMENT…
    local pattern=$1
    shift
    output=$("$etalon" reproduce -o "$work/none.c" "$@" 2>&1)
    [ $? -eq 2 ] && grep -qE -- "^etalon: .*$pattern" <<<"$output" && [ ! -e "$work/none.c" ]
    report_said "refused: $pattern" $? "$output"
}
tiny=tests/kit/examples/tiny_adapter.c
echo 'int nothing; /* Build: -lm */' >"$work/nothing.c"
printf '#include "etalon_subject.h"\nint nothing;\n' >"$work/nobuild.c"
printf '/* Build: -lm */\n#include "etalon_subject.h"\nint nothing\n' >"$work/syntax.c"
printf '/* Build: -lm */\n#include "etalon_subject.h"\nint nothing;\n' >"$work/symbol.c"
printf '/* Build: -lm */\n#include "etalon_subject.h"\nint nothing;\n' >"$work/other.f"
printf '/* Build: -lm */\n#include "etalon_subject.h"\n\0\n' >"$work/zero.c"
refused 'no-such-case: neither a case' no-such-case $tiny
for number_of in 1-99999999999999999999 1-100000000 4294967296-1 -1-1 1--1 '1- 1' 1-1x; do
    refused "random-$number_of: neither a case" "random-$number_of" $tiny
done
refused '--law: it was given already, as a' --law a --law b timer-zero $tiny
refused 'No such file' timer-zero "$work/nowhere.c"
refused 'it does not include etalon_subject.h' timer-zero "$work/nothing.c"
rm -f touched
odd="$work/a \$(touch touched) \"b\".c"
sed 's/-I tests.kit.examples //' $tiny >"$odd" # the compiler says in which file a header is missing
output=$("$etalon" reproduce -o "$work/odd.c" timer-zero "$odd" 2>&1)
grep -qF 'a $(touch touched) "b".c' <<<"$output" && [ ! -e touched ]
report_said 'the name of an adapter is no text of the shell' $? "$output"
refused "its head does not say how it is built" timer-zero "$work/nobuild.c"
refused 'no source in C or C\+\+' timer-zero "$work/other.f"
refused 'has a byte 0' timer-zero "$work/zero.c"
refused "exports no symbol 'etalon_subject'" timer-zero "$work/symbol.c"
refused 'cannot be read|Is a directory' timer-zero "$work"
refused 'not offered: needs' read-and-write $tiny
output=$("$etalon" reproduce -o "$work/none.c" timer-zero "$work/syntax.c" 2>&1)
[ $? -eq 2 ] && grep -q 'syntax.c: does not compile (with: -lm)' <<<"$output" &&
    [ ! -e "$work/none.c" ]
report_said 'refused: an adapter that does not compile' $? "$output"
output=$("$etalon" reproduce timer-zero 2>&1)
[ $? -eq 2 ] && grep -q '^usage: etalon reproduce' <<<"$output"
report_said 'refused: no adapter' $? "$output"

plan
