#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the fuzz targets as OSS-Fuzz does (fuzz/oss-fuzz/build.sh), for three engines, and runs
# each on its seeds: libFuzzer by a flag; libFuzzer as a library, which the targets are linked with;
# an engine of another kind, whose main() is below. Prints the test-anything protocol.
set -u
cd "$(dirname "$0")/../.." || exit 2
root=$PWD work=$PWD/build/test/oss-fuzz-$$
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src" || exit 2
ln -s "$root" "$work/src/etalon"
. tests/suites/tap.sh
export MAKEFLAGS=
export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:quarantine_size_mb=16
export HOST_CC=${CC:-cc} HOST_CFLAGS=${CFLAGS--O2 -g -gdwarf-4}
export HOST_CPPFLAGS=${CPPFLAGS-} HOST_LDFLAGS=${LDFLAGS-}
clang=${CLANG:-clang}
unset VARIANT

cat >"$work/main.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
int main(int argc, char **argv) {
    static uint8_t data[1 << 20];
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL)
            return 2;
        LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
        fclose(file);
    }
    printf("%d files\n", argc - 1);
    return 0;
}
END

build() { # build NAME CC CXX FLAGS ENGINE: by the script, into $work/NAME
    SRC=$work/src WORK=$work/objects-$2 OUT=$work/$1 CC=$2 CXX=$3 CFLAGS=$4 CXXFLAGS=$4 \
        LIB_FUZZING_ENGINE=$5 CPPFLAGS='' LDFLAGS='' fuzz/oss-fuzz/build.sh >"$work/log" 2>&1
}

each() { # each NAME COMMAND…: every target of that build, with a folder of its seeds behind
    local out=$work/$1 target seeds run=0
    shift
    for target in "$out"/*; do
        test -x "$target" || continue
        seeds=$work/seeds-$(basename "$target")
        mkdir -p "$seeds"
        if test -f "${target}_seed_corpus.zip" && test -z "$(ls "$seeds")"; then
            "${PYTHON:-python3}" -m zipfile -e "${target}_seed_corpus.zip" "$seeds" || return 1
        fi
        "$@" "$target" "$seeds" >"$work/log" 2>&1 || return 1
        run=$((run + 1))
    done
    test $run -gt 8
}

by_libfuzzer() {
    grep -q 'max_len' "$1.options" && timeout 100 "$1" -runs=0 -max_len=70000 \
        -artifact_prefix="$work/" "$2" && grep -qE 'DONE|Done' "$work/log"
}
by_main() {
    find "$2" -type f -print0 | xargs -0 -r timeout 100 "$1" && find "$2" -type f | wc -l
}

flags='-O0 -fsanitize=address -fsanitize=fuzzer-no-link'
build flag "$clang" "$clang++" "$flags" -fsanitize=fuzzer
report 'the targets are built for libFuzzer by its flag' $? "$work/log"
each flag by_libfuzzer
report 'each runs on its seeds' $? "$work/log"

runtime=$("$clang" -print-file-name=lib/linux/libclang_rt.fuzzer-x86_64.a)
test -f "$runtime" || runtime=$("$clang" -print-runtime-dir)/libclang_rt.fuzzer-x86_64.a
build library "$clang" "$clang++" "$flags" "$runtime"
report 'the targets are built with an engine that is a library' $? "$work/log"
each library by_libfuzzer
report 'each runs on its seeds' $? "$work/log"

"$HOST_CC" -c "$work/main.c" -o "$work/main.o" 2>"$work/log" &&
    build main "$HOST_CC" "${CXX:-c++}" -O0 "$work/main.o"
report 'the targets are built with an engine of another kind' $? "$work/log"
each main by_main
report 'each runs on its seeds' $? "$work/log"

printf 'etalon-trace 1\nmain\n  fly c0\n' >"$work/wrong"
! timeout 20 "$work/main/lockstep" "$work/nowhere" >/dev/null 2>&1 &&
    timeout 20 "$work/main/parser-trace" "$work/wrong" >/dev/null
report 'a file that is not there is a failure, one that is refused is none' $? "$work/log"
plan
