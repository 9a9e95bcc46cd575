#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds one adapter, in C or C++, into a shared object: tests/kit/build.sh ADAPTER.c OUT.so. Called
# by `make conform`.
#
# The first line of an adapter with "Build:" says how: that word and the flags ($(pkg-config …) is
# asked, $(LIBXEV) is the variable of that name), and before that "Compiler:" when it has to be a
# certain one. When the loop's header or library is not there, a line says so, OUT.so does not come
# about, and the status is 0: the subject is skipped. Anything else that goes wrong is an error,
# status 1.
adapter=$1 out=$2
name=$(basename "$adapter")
name=${name%.*}
standard=-std=c11
[ "${adapter##*.}" = c ] || standard=-std=c++17
rm -f "$out"
head=$(grep -m 1 "Build:" "$adapter")
flags=$(printf '%s\n' "$head" | sed -n 's/.*Build: *\(.*\)$/\1/p' | sed 's,\*/ *$,,')
compiler=$(printf '%s\n' "$head" | sed -n 's/.*Compiler: *\([a-z0-9+-]*\).*/\1/p')
case $flags in
*'$(LIBXEV)'*)
    if [ -z "$LIBXEV" ]; then
        echo "$name: not installed (LIBXEV=/prefix names one)"
        exit 0
    fi
    flags=$(printf '%s' "$flags" | sed "s|\$(LIBXEV)|$LIBXEV|g")
    ;;
esac
packages=$(printf '%s' "$flags" | sed -n 's/.*$(pkg-config[^)]* \([a-z0-9.-]*\)).*/\1/p')
if [ -n "$packages" ] && ! pkg-config --exists "$packages" 2> /dev/null; then
    echo "$name: not installed ($packages)"
    exit 0
fi
eval "flags=\"$flags\""
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ${compiler:-${CC:-cc}} $standard -D_GNU_SOURCE -O2 -g -Wall -Wextra \
    -Wconversion ${WERROR--Werror} -shared -fPIC -pthread \
    -I"$(dirname "$0")/../../fuzz/driver" "$adapter" -o "$out" $flags 2> "$log"; then
    exit 0
fi
rm -f "$out"
missing=$(sed -n -e "s/.*fatal error: '\{0,1\}\([^':]*\)'\{0,1\}:\{0,1\} .*[Nn]o such file.*/\1/p" \
    -e "s/.*fatal error: '\([^']*\)' file not found.*/\1/p" \
    -e "s/.*cannot find \(-l[a-z0-9_-]*\).*/\1/p" "$log" | head -n 1)
if [ -n "$missing" ]; then
    echo "$name: not installed ($missing is missing)"
    exit 0
fi
cat "$log" >&2
exit 1
