#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# Builds the fuzz targets for an engine that is not ours, as OSS-Fuzz and ClusterFuzzLite ask for
# it: with $CC, $CFLAGS, $CXX, $CXXFLAGS and $LIB_FUZZING_ENGINE, from $SRC/etalon, in $WORK. In
# $OUT are then the targets, a zip with the seeds of each, its options and its dictionary.
#
# What makes the seeds is an ordinary program: HOST_CC (clang) compiles it, with HOST_CFLAGS (-O1),
# HOST_CPPFLAGS and HOST_LDFLAGS.
source=$SRC/etalon
objects=$WORK/etalon
here=$source/fuzz/oss-fuzz
cd "$source"

parsers=$(cd tests/parsers && printf 'parser-%s\n' *.c | sed 's/\.c$//; /-target$/d')
# shellcheck disable=SC2206 # a list of words
targets=(harness heap $parsers)
# A change of the engine alone changes nothing that make would see.
for target in "${targets[@]}"; do rm -f "$objects/$target"; done
make -j"$(nproc)" VARIANT=engine B="$objects" WERROR= CC="$CC" CFLAGS="$CFLAGS" CXX="$CXX" \
    CXXFLAGS="$CXXFLAGS" LIB_FUZZING_ENGINE="$LIB_FUZZING_ENGINE" JANSSON=-l:libjansson.a \
    "${targets[@]/#/$objects/}"
make CC="${HOST_CC:-clang}" CFLAGS="${HOST_CFLAGS--O1}" CPPFLAGS="${HOST_CPPFLAGS-}" \
    LDFLAGS="${HOST_LDFLAGS-}" build/committed.made build/seeds.made build/parsers.made

mkdir -p "$OUT"
# zipped ARCHIVE FOLDER...: the files of the folders, without their paths
zipped() {
    rm -f "$1"
    find "${@:2}" -type f | sort | zip -q -j -X "$1" -@
}
for target in "${targets[@]}"; do
    name=${target/harness/lockstep}
    cp "$objects/$target" "$OUT/$name"
    if [ -f "$here/$name.options" ]; then
        cp "$here/$name.options" "$OUT"
    else
        cp "$here/parser.options" "$OUT/$name.options"
    fi
    parser=${name#parser-}
    if [ -f "tests/parsers/$parser.dict" ]; then
        cp "tests/parsers/$parser.dict" "$OUT/$name.dict"
        printf 'dict = %s\n' "$name.dict" >>"$OUT/$name.options"
    fi
done
zipped "$OUT/lockstep_seed_corpus.zip" build/fuzz/committed build/fuzz/seeds
for parser in $parsers; do
    kept=$(find tests/parsers/found -name "${parser#parser-}-*")
    # shellcheck disable=SC2086 # a list of words
    zipped "$OUT/${parser}_seed_corpus.zip" "build/parsers/seeds/${parser#parser-}" $kept
done
echo "oss-fuzz: ${#targets[@]} targets in $OUT"
