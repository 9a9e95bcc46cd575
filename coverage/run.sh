#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures what the tests reach in src/, and in model/ with the driver (lockstep.c and inspect.c of
# fuzz/driver/): lines and branches, by gcov and lcov. Called by `make coverage`.
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
seeds=(build/fuzz/seeds/* fuzz/seeds/*)
for unit in tests/unit/test_*.c; do
    run "$unit" "$build/${unit%.c}"
done
run 'cases on the simulated kernel' "$build/etalon" check-cases --world simulated "${cases[@]}"
run 'cases on the real kernel' "$build/etalon" check-cases --world real "${cases[@]}"
run 'seeds' "$build/replay" "${seeds[@]}"
run 'examples' tests/examples/run.sh "$build/tests/examples"
run 'malformed input' tests/suites/malformed.sh "$build/etalon"

# ---- gather ----

# exclusion KIND: the expressions of coverage/exclusions.txt as one.
exclusion() {
    awk -F'\t' -v kind="$1" '!/^#/ && $1 == kind { printf "%s%s", n++ ? "|" : "", $2 }' \
        coverage/exclusions.txt
}
while IFS=$'\t' read -r kind expression reason; do
    case $kind in
    '#'* | '') continue ;;
    line | branch) ;;
    *)
        echo "coverage: exclusions.txt: '$kind' is neither line nor branch" >&2
        exit 1
        ;;
    esac
    if test -z "$reason" || ! grep -qE "$expression" src/*.[ch] model/*.[ch] \
        fuzz/driver/lockstep.[ch] fuzz/driver/inspect.c; then
        echo "coverage: exclusions.txt: '$expression' has no reason, or matches nothing" >&2
        exit 1
    fi
done <coverage/exclusions.txt

lines=$(exclusion line)
branches=$(exclusion branch)
# The model's second object is the judge's large table, from the same text: it is not counted again.
rm -f "$build"/model/wide.gcda "$build"/model/wide.gcno
if ! lcov -q --capture --directory "$build/src" --directory "$build/model" \
    --directory "$build/fuzz/driver" \
    --base-directory . --no-external \
    --rc lcov_branch_coverage=1 --rc lcov_excl_line="LCOV_EXCL_LINE${lines:+|$lines}" \
    --rc lcov_excl_br_line="LCOV_EXCL_BR_LINE${branches:+|$branches}" \
    --output-file "$work/all.info" >"$work/log" 2>&1 ||
    ! lcov -q --rc lcov_branch_coverage=1 --extract "$work/all.info" "$PWD/src/*" "$PWD/model/*" \
    "$PWD/fuzz/driver/lockstep.c" "$PWD/fuzz/driver/inspect.c" \
        --output-file "$work/coverage.info" >>"$work/log" 2>&1 ||
    ! genhtml -q --branch-coverage --title Etalon --prefix "$PWD" --output-directory "$work" \
    "$work/coverage.info" \
        >>"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo 'coverage: lcov failed' >&2
    exit 1
fi

# totals FILES: "LINES BRANCHES" in per cent, of the files whose paths match the expression.
totals() {
    awk -F: -v root="$PWD/" -v files="^($1)" '
        $1 == "SF" { here = index($2, root) == 1 && substr($2, length(root) + 1) ~ files }
        here && /^LF:/ { lines += $2 } here && /^LH:/ { lines_hit += $2 }
        here && /^BRF:/ { branches += $2 } here && /^BRH:/ { branches_hit += $2 }
        END {
            printf "%.2f %.2f\n", lines ? 100 * lines_hit / lines : 0,
                branches ? 100 * branches_hit / branches : 0
        }
    ' "$work/coverage.info"
}
read -r src_lines src_branches <<<"$(totals src/)"
read -r model_lines model_branches <<<"$(totals "model/|fuzz/driver/(lockstep|inspect)[.]c$")"

totals='{"lines": %s, "branches": %s, "mcdc": null}'
printf "{\"src\": $totals, \"model\": $totals}\n" \
    "$src_lines" "$src_branches" "$model_lines" "$model_branches" >build/report/coverage.json
printf 'coverage: src/   %6s %% of lines, %6s %% of branches\n' "$src_lines" "$src_branches"
printf 'coverage: model/ %6s %% of lines, %6s %% of branches\n' "$model_lines" "$model_branches"
echo "coverage: $work/index.html"

threshold() {
    sed -n "s/^$1 //p" coverage/thresholds
}
require() { # require WHAT PER_CENT LEAST
    if ! awk -v is="$2" -v least="${3:-100}" 'BEGIN { exit !(is + 0 >= least + 0) }'; then
        echo "coverage: $1: $2 %, and $3 % are asked for (coverage/thresholds)" >&2
        failures=$((failures + 1))
    fi
}
require 'lines of src/' "$src_lines" "$(threshold lines)"
require 'branches of src/' "$src_branches" "$(threshold branches)"
require 'lines of model/' "$model_lines" "$(threshold lines)"
require 'branches of model/' "$model_branches" "$(threshold branches)"
test "$failures" = 0
