#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures which conditions of src/ and the model the tests show to decide by themselves (modified
# condition/decision coverage), by clang 19. Called by `make mcdc`.
#
#   coverage/mcdc.sh [DIRECTORY OF THE BUILD]        (build/mcdc)
#
# The runs are those of `make coverage`. Writes build/mcdc-report/sources, the text with each
# condition, and build/report/mcdc.json. Fails when a test fails, or when the figures are not as
# coverage/exclusions.txt and coverage/thresholds have them.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:-build/mcdc}
work=build/mcdc-report
failures=0

for tool in llvm-profdata-19 llvm-cov-19; do
    command -v $tool >/dev/null || { echo "mcdc: $tool is missing (make setup-mcdc)" >&2; exit 2; }
done
rm -rf "$work"
mkdir -p "$work/raw" build/report
# One file for each program, or a few: each process adds its counts to one of them when it ends.
export LLVM_PROFILE_FILE=$PWD/$work/raw/%4m.profraw

. coverage/runs.sh
unset LLVM_PROFILE_FILE

if ! llvm-profdata-19 merge -sparse "$work"/raw/*.profraw -o "$work/all.profdata" \
    2>"$work/log"; then
    cat "$work/log" >&2
    echo 'mcdc: llvm-profdata failed' >&2
    exit 1
fi
objects=()
for unit in tests/unit/test_*.c; do
    objects+=(-object "$build/${unit%.c}")
done
counted=(src/*.c model/*.c)
llvm-cov-19 export "$build/replay" "${objects[@]}" -instr-profile "$work/all.profdata" \
    -format=text "${counted[@]}" >"$work/export.json" 2>"$work/log" &&
    llvm-cov-19 show "$build/replay" "${objects[@]}" -instr-profile "$work/all.profdata" \
        -show-mcdc -format=html -output-dir "$work/sources" "${counted[@]}" >>"$work/log" 2>&1 || {
    cat "$work/log" >&2
    echo 'mcdc: llvm-cov failed' >&2
    exit 1
}
# The compiler says which decisions it cannot count, when it compiles them.
(for source in "${counted[@]}"; do
    ${MCDC_CLANG:-clang-19} -std=c11 -D_GNU_SOURCE -Isrc -fprofile-instr-generate \
        -fcoverage-mapping -fcoverage-mcdc -c "$source" -o "$work/object.o" || exit 1
done) 2>"$work/warnings" || { cat "$work/warnings" >&2; exit 1; }
coverage/mcdc.py "$work/export.json" "$work/warnings" build/report/mcdc.json ||
    failures=$((failures + 1))
echo "mcdc: $work/sources/index.html"

test "$failures" = 0
