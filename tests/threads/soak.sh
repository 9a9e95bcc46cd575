#!/bin/sh
# SPDX-License-Identifier: MIT
# The threads' stress test for SECONDS: a third of it under AddressSanitizer (which also looks for
# leaks), a third at full speed, and a third with nothing but the pool to wake the loops, where a
# wake-up that is lost stops everything. Called by `make soak`. usage: soak.sh SECONDS
set -eu
cd "$(dirname "$0")/../.."
seconds=$1
case $seconds in
'' | 0 | *[!0-9]*)
    echo "soak: SOAK_SECONDS=$seconds is no number of seconds" >&2
    exit 2
    ;;
esac
third=$((seconds / 3 > 0 ? seconds / 3 : 1))
endless=1000000000000
echo "under AddressSanitizer and UndefinedBehaviorSanitizer for $third s:"
ASAN_OPTIONS=detect_leaks=1 build/asan/stress --operations $endless --seconds "$third" --seed 2
echo "at full speed for $third s:"
build/default/stress --operations $endless --seconds "$third" --loops 6 --threads 4
echo "left alone for $third s:"
build/default/stress --operations $endless --seconds "$third" --alone --seed 3
