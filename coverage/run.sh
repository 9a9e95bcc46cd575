#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures what the tests reach in src/, and in model/ with the driver (lockstep.c and inspect.c of
# fuzz/driver/): lines and branches, by gcov and lcov, without what coverage/exclusions.txt leaves
# out. Called by `make coverage`.
#
#   coverage/run.sh [DIRECTORY OF THE COVERAGE BUILD]        (build/cov)
#
# Writes build/coverage/index.html, which joins what the other targets have reported, and
# build/report/coverage.json. Fails when a test fails, or under coverage/thresholds.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:-build/cov}
work=build/coverage
failures=0

rm -rf "$work"
mkdir -p "$work" build/report
find "$build" -name '*.gcda' -delete

. coverage/runs.sh

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
if ! genhtml -q --branch-coverage --title Etalon --prefix "$PWD" \
    --output-directory "$work/sources" "$work/coverage.info" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo 'coverage: genhtml failed' >&2
    exit 1
fi
coverage/index.py build/report "$work/index.html" || failures=$((failures + 1))
echo "coverage: $work/index.html"

test "$failures" = 0
