#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the example of ADAPTERS.md and checks it against the law: all that it offers passes, also
# by the lines that this page gives; the same loop with a defect on purpose is found out, by the
# clause, and one that touches freed memory by AddressSanitizer and by Valgrind, as the page says.
# Called by `make conform-example` and tests/run. Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=${1:-build/default/etalon}
work=build/test/example-subject
mkdir -p "$work" || exit 2
. tests/suites/tap.sh

verdict() { # verdict NAME STATUS: what is in $work/log explains a failure
    report "$1" "$2" "$work/log"
}

tests/kit/build.sh tests/kit/examples/tiny_adapter.c "$work/tiny.so" > "$work/log" 2>&1 &&
    test -f "$work/tiny.so"
verdict "the adapter builds" $?
"$etalon" check --strict --quiet --tap - --random 100 "$work/tiny.so" > "$work/log" 2>&1 &&
    grep -q '^ok' "$work/log"
verdict "the loop passes all that it offers, strictly, and 100 random programs" $?
${CC:-cc} -std=c11 -D_GNU_SOURCE '-DTINY_EARLIER=>' -shared -fPIC \
    -Ifuzz/driver tests/kit/examples/tiny_adapter.c \
    tests/kit/examples/tiny_loop.c -o "$work/reversed.so" &&
    ! "$etalon" check --strict --quiet "$work/reversed.so" > "$work/log" 2>&1 &&
    grep -q 'ET-EXPIRE-3' "$work/log"
verdict "with ties turned round it fails, by ET-EXPIRE-3" $?
# The loop looks at a watcher that its callback has freed.
sed 's/^    watcher->callback(watcher, events);$/&\n    watcher->started = 0;/' \
    tests/kit/examples/tiny_loop.c > "$work/late_loop.c"
compile() { # compile LOOP.c OUT.so FLAG…
    loop=$1 out=$2
    shift 2
    gcc -std=c11 -D_GNU_SOURCE -g "$@" -shared -fPIC -Ifuzz/driver \
        -Itests/kit/examples tests/kit/examples/tiny_adapter.c \
        "$loop" -o "$out"
}
compile "$work/late_loop.c" "$work/late.so" &&
    compile "$work/late_loop.c" "$work/late-asan.so" -fsanitize=address &&
    compile tests/kit/examples/tiny_loop.c "$work/sound-asan.so" -fsanitize=address || exit 2
asan=$(gcc -print-file-name=libasan.so)
free="--case freed-in-the-callback"
# shellcheck disable=SC2086 # two words
LD_PRELOAD=$asan ASAN_OPTIONS=detect_leaks=0 "$etalon" check $free "$work/sound-asan.so" \
    > "$work/log" 2>&1 && rm -f "$work"/asan.* &&
    ! LD_PRELOAD=$asan ASAN_OPTIONS=detect_leaks=0:log_path="$work/asan" "$etalon" check $free \
    "$work/late-asan.so" > "$work/log" 2>&1 &&
    grep -q '^crash ' "$work/log" && grep -q 'heap-use-after-free' "$work"/asan.*
status=$?
verdict "a use after free is a crash under AddressSanitizer, loaded first; its log has the stack" \
    $status
"$etalon" check "$work/late-asan.so" > "$work/log" 2>&1
test $? -eq 2 && grep -q 'ends the process when it is loaded: .*LD_PRELOAD' "$work/log"
verdict "loaded later, it is refused with the reason" $?
if command -v valgrind > /dev/null; then
    # shellcheck disable=SC2086
    valgrind -q --trace-children=yes "$etalon" check $free "$work/late.so" > "$work/log" 2>&1
    grep -q 'Invalid write of size' "$work/log" && grep -q 'late_loop.c' "$work/log"
    verdict "a use after free is told by Valgrind" $?
else
    skip "a use after free is told by Valgrind" "there is no Valgrind"
fi
# The lines of ADAPTERS.md as they stand there, but with the tool and the folder of this run.
sed -n '/^cp .*tiny_adapter\.c/,/^```/p' tests/kit/ADAPTERS.md | grep -v '```' |
    sed "s,^cc ,${CC:-cc} ,; s, \(\./\)*my, $work/my,g; s,^build/default/etalon,$etalon," \
        > "$work/page.sh"
grep -q tiny_loop "$work/page.sh" && grep -q ' check ' "$work/page.sh" &&
    sh -e "$work/page.sh" > "$work/log" 2>&1 && grep -q ' asked, .* passed$' "$work/log"
verdict "the lines that ADAPTERS.md gives for the example build and check it" $?
plan
