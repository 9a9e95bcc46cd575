#!/bin/sh
# Builds the example of ADAPTERS.md and holds it against the law: all that it offers passes; the same loop with a defect on purpose is found
# out, by the clause. Called by `make conform-example` and tests/run. Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=${1:-build/default/etalon}
work=build/test/example-subject
mkdir -p "$work" || exit 2
failures=0

report() { # report NUMBER NAME STATUS
    if [ "$3" -eq 0 ]; then
        echo "ok $1 - $2"
    else
        failures=$((failures + 1))
        echo "not ok $1 - $2"
        tail -n 12 "$work/log" | sed 's/^/#   /'
    fi
}

echo 1..3
tests/conformance/build.sh tests/conformance/examples/tiny_adapter.c "$work/tiny.so" > "$work/log" 2>&1 && test -f "$work/tiny.so"
report 1 "the adapter builds" $?
"$etalon" check --strict --quiet --random 100 "$work/tiny.so" > "$work/log" 2>&1 && grep -q '^ok' "$work/log"
report 2 "the loop passes all that it offers, strictly, and 100 random programs" $?
${CC:-cc} -std=c11 -D_GNU_SOURCE '-DTINY_EARLIER=>' -shared -fPIC -Itests/conformance tests/conformance/examples/tiny_adapter.c \
    tests/conformance/examples/tiny_loop.c -o "$work/reversed.so" &&
    ! "$etalon" check --quiet "$work/reversed.so" > "$work/log" 2>&1 && grep -q 'ET-EXPIRE-3' "$work/log"
report 3 "with ties turned round it fails, by ET-EXPIRE-3" $?
test "$failures" = 0
