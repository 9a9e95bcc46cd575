#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests the loop with other C libraries, on other machines, and from C++: the unit tests and the
# cases in each variant for which there is a compiler here, what a caller sees of the header's
# types, and the header under the compilers of C++. Prints the test-anything protocol.
#
# usage: run.sh [--quick] VARIANT:COMPILER…
#
# Called by `make portable-c`, which builds build/VARIANT, and with --quick by `make test`: callers
# and header only.
cd "$(dirname "$0")/../.." || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
. tests/suites/tap.sh
quick=
if [ "${1:-}" = --quick ]; then
    quick=1
    shift
fi
warnings='-Wall -Wextra -Wpedantic -Werror'

run() { # run NAME COMMAND…
    local name=$1
    shift
    timeout 1800 "$@" >"$work/log" 2>&1 </dev/null
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
    i686) runner=(qemu-i386 -L /usr/i686-linux-gnu) ;;
    esac
    [ ${#runner[@]} -gt 0 ] && command -v "${runner[0]}" >/dev/null
}

# What an emulator lacks of Linux, as tests/portable/emulator.c shows without Etalon, and the tests
# that need it: the test is left out, or runs in a process of its own, where none before it has
# made a thread. What is not wiped on fork has to be so from the beginning.
needs='
threads-after-signals test_loop apart ET_WAKE_1_from_a_signal_handler
threads-after-signals test_loop apart ET_RUN_5_turn_returns_after_a_signal
threads-after-signals test_loop apart ET_WAKE_1_keeps_errno
threads-after-signals test_loop apart ET_WAIT_5_interrupted_waits
threads-after-signals test_pool apart ET_ASYNC_4_from_a_signal_handler
forks-beside-threads test_fork out ET_FORK_2_while_the_pool_works
forks-beside-threads test_fork out ET_FORK_6_in_the_same_memory
forks-beside-threads test_fork out ET_FORK_6_a_child_of_a_child
wiping-on-fork test_fork out ET_FORK_3_a_bare_clone
wiping-on-fork test_fork set ETALON_TEST_WITHOUT_WIPING=1
limits-of-memory test_loop out ET_DEINIT_3_init_without_memory_leaves_nothing
messages-without-names test_kernel out test_names
epoll_pwait2 test_kernel out test_passing_through'

find_lacks() { # find_lacks VARIANT COMPILER: sets `lacks`, one name a line
    # shellcheck disable=SC2046 # a list of words
    "$2" -std=c11 -D_GNU_SOURCE $(linked "$1") tests/portable/emulator.c -pthread \
        -o "$work/emulator" && lacks=$(timeout 200 "${runner[@]}" "$work/emulator")
    report "$1: what its programs run on, of Linux${lacks:+, without }${lacks//$'\n'/, }" $? \
        /dev/null
}

units() { # units VARIANT
    for source in tests/unit/test_*.c; do
        local unit skipped='' apart='' settings=() lack test how name
        unit=$(basename "$source" .c)
        while read -r lack test how name; do
            [ "$test" = "$unit" ] || continue
            grep -qxF "$lack" <<<"$lacks" || continue
            case $how in
            set) settings+=("$name") ;;
            apart) skipped+="$name " apart+="$name " ;;
            out)
                skipped+="$name "
                skip "$1: $unit: $name" "the emulator lacks $lack"
                ;;
            esac
        done <<<"$needs"
        run "$1: $unit" env ETALON_TEST_SKIP="$skipped" "${settings[@]}" "${runner[@]}" \
            "build/$1/tests/unit/$unit"
        for name in $apart; do
            run "$1: $unit: $name" env TEST="$name" "${runner[@]}" "build/$1/tests/unit/$unit"
        done
    done
}

cases() { # cases VARIANT
    for world in simulated real; do
        run "$1: cases on the $world kernel" "${runner[@]}" "build/$1/etalon" \
            check-cases --seconds 60 --world $world spec/cases/*.trace
    done
}

# As where the C library has no epoll_pwait2.
waits() { # waits VARIANT COMPILER
    # shellcheck disable=SC2046,SC2086 # lists of words
    {
        "$2" -std=c11 -D_GNU_SOURCE $warnings -DETI_LACKS_EPOLL_PWAIT2= $(linked "$1") \
            src/linux.c tests/portable/wait.c -o "$work/wait" && "${runner[@]}" "$work/wait"
    } >"$work/log" 2>&1
    report "$1: the duration of a wait, as the kernel has it" $? "$work/log"
}

# The caller's way of compiling changes nothing of what it shares with the library.
callers() { # callers VARIANT COMPILER
    local variant=$1 compiler=$2 sizes='' ways=('-std=c11 -D_GNU_SOURCE')
    case $variant in
    *86)
        ways+=('-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64'
            '-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64')
        ;;
    esac
    for way in "${ways[@]}"; do
        # shellcheck disable=SC2046,SC2086 # lists of words
        {
            $compiler $way $warnings $(linked "$variant") tests/portable/caller.c \
                "build/$variant/libetalon.a" -pthread -o "$work/caller" &&
                "${runner[@]}" "$work/caller"
        } >"$work/log" 2>&1
        local status=$?
        test -n "$sizes" || sizes=$(cat "$work/log")
        test "$sizes" = "$(cat "$work/log")" || status=1
        report "$variant: a caller compiled with $way, far offsets" $status "$work/log"
    done
}

linked() { # how a program of a variant finds its C library here
    case $1 in
    i686) echo "-Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2" \
        "-Wl,--disable-new-dtags,-rpath=/usr/i686-linux-gnu/lib" ;;
    esac
}

header() { # header COMPILER STANDARD
    if ! command -v "$1" >/dev/null; then
        skip "the header under $1 -std=$2" "no $1 (make setup)"
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
        skip "$variant" "no $compiler (make setup)"
        continue
    fi
    if ! choose_runner "$variant" "$compiler"; then
        skip "$variant" "nothing here runs its programs (make setup)"
        continue
    fi
    if [ -z "$quick" ]; then
        find_lacks "$variant" "$compiler"
        units "$variant"
        cases "$variant"
    fi
    waits "$variant" "$compiler"
    callers "$variant" "$compiler"
done
for standard in c++11 c++14 c++17 c++20; do
    header g++ $standard
    header clang++ $standard
done

plan
