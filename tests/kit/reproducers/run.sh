#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows each failure that is published of another loop without the conformance kit: a program that
# calls nothing but that loop, on the real kernel and the real clock. Each ends with 0 when it has
# shown the failure. A loop that is not installed is skipped. Prints the test-anything protocol.
#
#   tests/kit/reproducers/run.sh [NAME.c…]
cd "$(dirname "$0")" || exit 2
work=../../../build/test/reproducers
mkdir -p "$work" || exit 2
. ../../suites/tap.sh
[ $# -gt 0 ] || set -- *.c *.cpp
for source in "$@"; do
    name=${source##*/}
    name=${name%.*} compiler=${CC:-cc}
    [ "${source##*.}" = c ] || compiler=${CXX:-g++}
    options=$(sed -n 's/^ \* Build: \(.*\) \*\/$/\1/p' "$source")
    if [ -z "$options" ]; then
        report "$name: its head has no 'Build:'" 1
        continue
    fi
    eval "options=\"$options\"" 2>/dev/null
    # shellcheck disable=SC2086 # a list of words
    if ! $compiler -Wall -Wextra -Werror -O1 "$source" -o "$work/$name" $options \
        2>"$work/$name.log"; then
        if grep -qE 'fatal error: .*No such file|cannot find -l' "$work/$name.log"; then
            skip "$name" "the loop is not installed"
        else
            report "$name: does not compile" 1 "$work/$name.log"
        fi
        continue
    fi
    said=$(timeout 30 "$work/$name" 2>&1)
    report "$name shows its failure" $?
    sed 's/^/#   /' <<<"$said"
done
plan
