# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# The test-anything protocol, for scripts that read this file: report or skip each test, then end
# with `plan`, whose status is the script's.
number=0 failures=0

report() { # report NAME STATUS [FILE…]: the ends of the files explain a failure
    number=$((number + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $number - $1"
        return
    fi
    failures=$((failures + 1))
    echo "not ok $number - $1"
    shift 2
    [ $# -eq 0 ] || tail -q -n 30 "$@" | sed 's/^/#   /'
}

report_said() { # report_said NAME STATUS [TEXT]: the beginning of the text explains a failure
    report "$1" "$2"
    [ "$2" -eq 0 ] || printf '%s\n' "${3:-}" | head -n 12 | sed 's/^/#   /'
}

skip() { # skip NAME WHY
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

plan() {
    echo "1..$number"
    [ "$failures" -eq 0 ]
}
