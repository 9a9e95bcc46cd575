#!/bin/sh
# SPDX-License-Identifier: MIT
# Collects the seeds of the parsers' fuzz targets out of committed files, into FOLDER/NAME. Called
# by the Makefile:   tests/parsers/seeds.sh ETALON FOLDER
set -eu
etalon=$(realpath "$1")
rm -rf "$2"
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/../.."
for name in $(cd tests/parsers && printf '%s\n' *.c | sed 's/\.c$//; /^target$/d'); do
    mkdir "$folder/$name"
done
# Some of the cases; the recordings of fewer, which are long.
find spec/cases -name '*.trace' | sort | awk 'NR % 5 == 1' | while read -r case; do
    name=$(basename "$case" .trace)
    cp "$case" "$folder/trace/$name"
    cp "build/fuzz/seeds/$name.trace.bin" "$folder/program/$name"
done
find spec/cases -name '*.trace' | sort | awk 'NR % 12 == 1' | while read -r case; do
    "$etalon" record --events "$case" >"$folder/recording/$(basename "$case" .trace)" || :
done
cp spec/profiles/*-1.0.txt "$folder/profiles"
awk -v folder="$folder/law" 'NR % 100 == 1 { file = folder "/" NR } { print >file }' spec/etalon.md
awk -v folder="$folder/expectations" 'NR % 20 == 1 { file = folder "/" NR } { print >file }' \
    tests/suites/errors.expected
sed -n 's/^VERDICT([A-Z0-9_]*, "\([^"]*\)", "\([^"]*\)".*/\1 \2/p' model/promise.def |
    while read -r clause kind; do
        printf '%s' "$clause${kind:+/$kind}" >"$folder/differences/$clause-$kind"
    done
cp tests/kit/adapters/*.c fuzz/driver/etalon_subject.h "$folder/source"
{
    echo 'etalon-baseline 1'
    echo '# what is known'
    echo 'libuv case fail ET-WAIT-2/late timer-zero'
    echo 'libuv case not_strict ET-EXPIRE-3 timer-ties'
    echo 'libev random crash SIGSEGV of 1000 programs with seed 7'
    echo 'libev random hang ET-TICK-4/spins of 20 programs with seed 1'
} >"$folder/baseline/one"
