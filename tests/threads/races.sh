#!/bin/sh
# SPDX-License-Identifier: MIT
# The threads' stress test under the three race detectors: OPERATIONS of it with ThreadSanitizer,
# fewer with helgrind and drd, which are a hundred times slower. Called by `make races`, and with
# little by `make test`. Nothing is suppressed (tests/threads/annotate.h).
# usage: races.sh OPERATIONS [VALGRIND_OPERATIONS]
set -eu
cd "$(dirname "$0")/../.."
operations=$1
few=${2:-20000}
mkdir -p build/report

echo "ThreadSanitizer, $operations operations:"
TSAN_OPTIONS='halt_on_error=1 exitcode=66' build/tsan/stress --operations "$operations"
for tool in helgrind drd; do
    echo "$tool, $few operations:"
    log=build/report/$tool.log
    # Valgrind 3.19 says at each call of epoll_pwait2 that it does not know it; that is not what is
    # looked for here.
    if ! valgrind -q --tool="$tool" --fair-sched=yes --error-exitcode=9 --log-file="$log" \
        "build/$tool/stress" --operations "$few" --loops 2; then
        cat "$log"
        exit 1
    fi
done
