#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast lockstep is: commands per second of the harness and of the toy, with the sanitizers and
# without, one after the other on one core and on copies of the same corpus. Called by `make
# bench-lockstep`; BENCH_SECONDS each (5).
set -u
cd "$(dirname "$0")/.." || exit 2

seconds=${BENCH_SECONDS:-5}
work=build/fuzz/bench-$$
mkdir -p "$work" build/report
trap 'rm -rf "$work"' EXIT
export ASAN_OPTIONS=abort_on_error=1

# measure VARIANT PROGRAM: prints its commands per second, having started from a fresh copy of the
# corpus.
measure() {
    local copy=$work/$1-$2 line
    mkdir -p "$copy"
    for directory in build/fuzz/seeds fuzz/seeds build/fuzz/corpus; do
        test "$2" = harness && test -d "$directory" &&
            find "$directory" -type f -exec cp -t "$copy" {} +
    done
    if ! "build/$1/$2" -entropic=0 -max_len=1024 -max_total_time="$seconds" \
        -artifact_prefix="$work/" "$copy" >"$copy.log" 2>&1; then
        grep -a '^etalon-fuzz: difference\|ERROR:\|runtime error' "$copy.log" >&2
        echo "bench: build/$1/$2 failed; is 'make fuzz' clean?" >&2
        return 1
    fi
    line=$(grep -a '^etalon-' "$copy.log" | tail -n 1)
    sed -n 's/.* commands=\([0-9]*\) seconds=\([0-9.]*\).*/\1 \2/p' <<<"$line" |
        awk '$2 > 0 { printf "%.0f\n", $1 / $2 }'
}

row() { # row NAME LOCKSTEP TOY
    awk -v name="$1" -v lockstep="$2" -v toy="$3" \
        'BEGIN {
            printf "  %-24s %12.0f %12.0f %16.3f\n", name, lockstep, toy, toy ? lockstep / toy : 0
        }'
}

echo "bench: commands per second, $seconds s each"
printf '  %-24s %12s %12s %16s\n' '' lockstep toy 'lockstep / toy'
checked=$(measure fuzz harness) && checked_toy=$(measure fuzz toy) || exit 1
row 'fuzzer, ASan, UBSan' "$checked" "$checked_toy"
bare=$(measure fuzz-bare harness) && bare_toy=$(measure fuzz-bare toy) || exit 1
row 'fuzzer alone' "$bare" "$bare_toy"
awk -v a="$checked" -v at="$checked_toy" -v b="$bare" -v bt="$bare_toy" \
    'BEGIN {
        printf "  %-24s %12.2f %12.2f\n", "alone / with sanitizers", a ? b / a : 0, at ? bt / at : 0
    }'
rates='{"commands_per_s": %s, "toy_commands_per_s": %s}'
printf "{\"seconds\": %s, \"sanitized\": $rates, \"bare\": $rates}\n" \
    "$seconds" "$checked" "$checked_toy" "$bare" "$bare_toy" >build/report/bench-lockstep.json
