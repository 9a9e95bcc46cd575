#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures what the tests reach in src/, and in model/ with the driver (lockstep.c and inspect.c of
# fuzz/driver/): lines and branches, by gcov and lcov, without what coverage/exclusions.txt leaves
# out. Called by `make coverage`.
#
#   coverage/run.sh [DIRECTORY OF THE COVERAGE BUILD]        (build/cov)
#
# Writes build/coverage/index.html and build/report/coverage.json. Fails when a test fails, or under
# coverage/thresholds.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:-build/cov}
work=build/coverage
failures=0

rm -rf "$work"
mkdir -p "$work" build/report
find "$build" -name '*.gcda' -delete

# ---- run everything that is not a matter of chance ----

run() { # run NAME COMMAND…
    local name=$1
    shift
    printf '  run   %s\n' "$name"
    if ! timeout 300 "$@" >"$work/log" 2>&1 </dev/null; then
        echo "coverage: $name failed:" >&2
        grep -v '^\[ RUN\|^\[ *OK\|^ok ' "$work/log" | tail -n 20 >&2
        failures=$((failures + 1))
    fi
}

shopt -s nullglob
# What is counted is compiled for few completions (ETALON_MANY, model/program.h).
mapfile -t cases < <(grep -LE '^ *repeat [0-9]{2}' spec/cases/*.trace)
seeds=(build/fuzz/seeds/* build/fuzz/committed/*)
for unit in tests/unit/test_*.c; do
    run "$unit" "$build/${unit%.c}"
done
run 'cases on the simulated kernel' "$build/etalon" check-cases --world simulated "${cases[@]}"
run 'cases on the real kernel' "$build/etalon" check-cases --world real "${cases[@]}"
run 'seeds and corpus' "$build/replay" "${seeds[@]}"
# One run in ten of those in which a call fails; always the same.
run 'failing calls' "$build/etalon" torture --sample 10 --seed 16 "${cases[@]}"
run 'random programs' "$build/etalon" compare --random 300 --seed 16
run 'examples' tests/examples/run.sh "$build/tests/examples"
run 'malformed input' tests/suites/malformed.sh "$build/etalon"

# ---- gather ----

# The model's second object is the judge's large table, from the same text: it is not counted again.
rm -f "$build"/model/wide.gcda "$build"/model/wide.gcno
if ! lcov -q --capture --directory "$build/src" --directory "$build/model" \
    --directory "$build/fuzz/driver" --base-directory . --no-external \
    --rc lcov_branch_coverage=1 --output-file "$work/all.info" >"$work/log" 2>&1 ||
    ! lcov -q --rc lcov_branch_coverage=1 --extract "$work/all.info" "$PWD/src/*" "$PWD/model/*" \
        "$PWD/fuzz/driver/lockstep.c" "$PWD/fuzz/driver/inspect.c" \
        --output-file "$work/gathered.info" >>"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo 'coverage: lcov failed' >&2
    exit 1
fi
coverage/exclude.py "$work/gathered.info" "$work/coverage.info" build/report/coverage.json ||
    failures=$((failures + 1))
if ! genhtml -q --branch-coverage --title Etalon --prefix "$PWD" --output-directory "$work" \
    "$work/coverage.info" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo 'coverage: genhtml failed' >&2
    exit 1
fi
echo "coverage: $work/index.html"

test "$failures" = 0
