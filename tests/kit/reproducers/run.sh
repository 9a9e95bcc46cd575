#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows each failure that is published of another loop without the conformance kit: a program that
# calls nothing but that loop, on the real kernel and the real clock. Each ends with 0 when it has
# shown the failure. A loop that is not installed is skipped. Prints the test-anything protocol.
#
#   tests/kit/reproducers/run.sh [NAME.c...]
cd "$(dirname "$0")" || exit 2
work=../../../build/test/reproducers
mkdir -p "$work" || exit 2
number=0 failures=0
[ $# -gt 0 ] || set -- *.c
for source in "$@"; do
    number=$((number + 1)) name=$(basename "$source" .c)
    options=$(sed -n 's/^ \* Build: \(.*\) \*\/$/\1/p' "$source")
    if [ -z "$options" ]; then
        failures=$((failures + 1))
        echo "not ok $number - $name: its head has no 'Build:'"
        continue
    fi
    eval "options=\"$options\"" 2>/dev/null
    # shellcheck disable=SC2086 # a list of words
    if ! ${CC:-cc} -Wall -Wextra -Werror -O1 "$source" -o "$work/$name" $options \
        2>"$work/$name.log"; then
        if grep -qE 'fatal error: .*No such file|cannot find -l' "$work/$name.log"; then
            echo "ok $number - $name # SKIP the loop is not installed"
        else
            failures=$((failures + 1))
            echo "not ok $number - $name: does not compile"
            head -n 5 "$work/$name.log" | sed 's/^/#   /'
        fi
        continue
    fi
    said=$(timeout 30 "$work/$name" 2>&1)
    if [ $? -eq 0 ]; then
        echo "ok $number - $name"
    else
        failures=$((failures + 1))
        echo "not ok $number - $name: the failure is not shown"
    fi
    echo "#   $said"
done
echo "1..$number"
[ "$failures" -eq 0 ]
