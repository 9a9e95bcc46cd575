#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that the checks need, and those that are named besides, where they
# are missing, and says so in a line. `make all` needs none of them. Called by `make setup`, and
# with others by `make setup-peers` and `make setup-portable`.
set -eu

packages='gcc libc6-dev make clang libclang-rt-14-dev llvm clang-format libcmocka-dev'
packages="$packages valgrind libc6-dbg lcov afl++ graphviz pkg-config python3 spin libjansson-dev"
packages="$packages libxml2-utils zip"
# Another C library, a machine of 32 bits, C++ (tests/portable/portable.py --quick).
packages="$packages musl-tools gcc-i686-linux-gnu libc6-dev-i386-cross g++ qemu-user"
# Memory orders (make orders).
packages="$packages relacy-dev python3-z3"
# The loops that the conformance kit is tried on.
packages="$packages libuv1-dev libev-dev libevent-dev libglib2.0-dev libsystemd-dev libwayland-dev"
packages="$packages libboost-dev"
# The compiler's view of the source, for mutations.
packages="$packages python3-clang"

installed() {
    test "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed
}

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is no Debian; install what corresponds to: $packages" >&2
    exit 1
fi

# The report's test in a browser, the manual pages, the completions. Where node and npm come from
# elsewhere, Debian's packages would not install beside them.
packages="$packages chromium fonts-dejavu-core mandoc zsh"
command -v node >/dev/null || packages="$packages nodejs"
command -v npm >/dev/null || packages="$packages npm"
packages="$packages $*"

missing=
for package in $packages; do
    installed "$package" || missing="$missing $package"
done
if test -z "$missing"; then
    # shellcheck disable=SC2086 # a list of words
    set -- $packages
    echo "setup: all $# Debian packages that the checks need are here"
    exit 0
fi

echo "setup: installing$missing"
as_root=
if test "$(id -u)" != 0; then
    if ! command -v sudo >/dev/null; then
        echo "setup: neither root nor sudo here; as root:" \
            "apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root='sudo'
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # both are lists of words
if ! { $as_root apt-get -q update &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install \
    --no-install-recommends $missing; } \
    >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    echo "setup: apt-get failed" >&2
    exit 1
fi
for package in $missing; do
    if ! installed "$package"; then
        echo "setup: $package is still missing" >&2
        exit 1
    fi
done
# shellcheck disable=SC2086
set -- $missing
echo "setup: installed $# Debian package$(test $# = 1 || echo s)"
