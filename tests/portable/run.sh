#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests the loop with other C libraries, on other machines, and from C++: the unit tests and the
# cases in each variant for which there is a compiler here, what a caller sees of the header's
# types, and the header under the compilers of C++. Prints the test-anything protocol.
#
# usage: run.sh VARIANT:COMPILER…     called by `make portable-c`, which builds build/VARIANT
cd "$(dirname "$0")/../.." || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
number=0 failures=0
warnings='-Wall -Wextra -Wpedantic -Werror'

report() { # report NAME STATUS FILE: the file says what is wrong
    number=$((number + 1))
    if [ "$2" = 0 ]; then
        echo "ok $number - $1"
    else
        failures=$((failures + 1))
        echo "not ok $number - $1"
        tail -n 30 "$3" | sed 's/^/#   /'
    fi
}

skip() { # skip NAME WHY
    number=$((number + 1))
    echo "ok $number - $1 # skip $2 (make setup)"
}

run() { # run NAME COMMAND…
    local name=$1
    shift
    timeout 200 "$@" >"$work/log" 2>&1 </dev/null
    report "$name" $? "$work/log"
}

# By what a variant's programs run here: the kernel itself, or an emulator. False where neither can.
choose_runner() { # choose_runner VARIANT COMPILER
    runner=()
    # shellcheck disable=SC2046 # a list of words
    echo 'int main(void) { return 0; }' | "$2" $(linked "$1") -x c - -o "$work/nothing" ||
        return 1
    "$work/nothing" 2>/dev/null && return 0
    case $1 in
    i686) runner=(env ETALON_TEST_EMULATED=1 qemu-i386 -L /usr/i686-linux-gnu) ;;
    esac
    [ ${#runner[@]} -gt 0 ] && command -v "${runner[2]}" >/dev/null
}

units() { # units VARIANT
    for source in tests/unit/test_*.c; do
        unit=$(basename "$source" .c)
        run "$1: $unit" "${runner[@]}" "build/$1/tests/unit/$unit"
    done
}

cases() { # cases VARIANT
    for world in simulated real; do
        run "$1: cases on the $world kernel" "${runner[@]}" "build/$1/etalon" \
            check-cases --seconds 60 --world $world spec/cases/*.trace
    done
}

# The caller's way of compiling changes nothing of what it shares with the library.
callers() { # callers VARIANT COMPILER
    local variant=$1 compiler=$2 sizes= ways=('-std=c11 -D_GNU_SOURCE')
    case $variant in
    *86)
        ways+=('-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64'
            '-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64')
        ;;
    esac
    for way in "${ways[@]}"; do
        # shellcheck disable=SC2086 # lists of words
        {
            $compiler $way $warnings $(linked "$variant") tests/portable/caller.c \
                "build/$variant/libetalon.a" -pthread -o "$work/caller" &&
                "${runner[@]}" "$work/caller"
        } >"$work/log" 2>&1
        local status=$?
        test -n "$sizes" || sizes=$(cat "$work/log")
        test "$sizes" = "$(cat "$work/log")" || status=1
        report "$variant: a caller compiled with ${way#-std=c11 -D_GNU_SOURCE}, far offsets" \
            $status "$work/log"
    done
}

linked() { # how a program of a variant finds its C library here
    case $1 in
    i686) echo "-Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2" \
        "-Wl,-rpath=/usr/i686-linux-gnu/lib" ;;
    esac
}

header() { # header COMPILER STANDARD
    if ! command -v "$1" >/dev/null; then
        skip "the header under $1 -std=$2" "no $1"
        return
    fi
    # shellcheck disable=SC2086
    run "the header under $1 -std=$2" "$1" "-std=$2" $warnings -x c++ tests/portable/caller.c \
        -x none build/default/libetalon.a -pthread -o "$work/caller-$1-$2"
    if [ -x "$work/caller-$1-$2" ]; then
        run "a caller in C++, compiled by $1 -std=$2" "$work/caller-$1-$2"
    fi
}

for target in "$@"; do
    variant=${target%%:*} compiler=${target#*:}
    if ! command -v "$compiler" >/dev/null; then
        skip "$variant: unit tests and cases" "no $compiler"
        continue
    fi
    if ! choose_runner "$variant" "$compiler"; then
        skip "$variant: unit tests and cases" "nothing here runs its programs"
        continue
    fi
    units "$variant"
    cases "$variant"
    callers "$variant" "$compiler"
done
for standard in c++11 c++14 c++17 c++20; do
    header g++ $standard
    header clang++ $standard
done

echo "1..$number"
[ "$failures" -eq 0 ]
