#!/bin/sh
# The threads' stress test for SECONDS, one part of it under AddressSanitizer (which also looks for leaks), the rest at full speed. Called by
# `make soak`. usage: soak.sh SECONDS
set -eu
cd "$(dirname "$0")/../.."
seconds=$1
third=$((seconds / 3 > 0 ? seconds / 3 : 1))
echo "under AddressSanitizer and UndefinedBehaviorSanitizer for $third s:"
ASAN_OPTIONS=detect_leaks=1 build/asan/stress --operations 1000000000000 --seconds "$third" --seed 2
echo "at full speed for $((seconds - third)) s:"
build/default/stress --operations 1000000000000 --seconds "$((seconds - third > 0 ? seconds - third : 1))" --loops 6 --threads 4
