# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Everything that coverage counts and that is not a matter of chance, for run.sh and mcdc.sh: both
# set $build, the folder of the programs, and $work; a run that fails is counted in $failures.

run() { # run NAME COMMAND…
    local name=$1
    shift
    printf '  run   %s\n' "$name"
    if ! timeout 900 "$@" >"$work/log" 2>&1 </dev/null; then
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
