#!/bin/bash
# SPDX-License-Identifier: MIT
# Asks Spin what dispatch.pml holds: a crash, a livelock, or neither, for each variant of the
# dispatch (spec/findings.md). Called by `make dispatch`.
#
# The searches are exhaustive. pan's exit status says nothing (it is 0 with errors and with a
# truncated search), so its words are judged: a property holds only when the whole state space was
# searched without an error and every statement was reached; it is violated only when the error is
# of the kind that was asked for. Exit status 0: all verdicts are as expected. Trails go to
# build/spin/*.txt, the figures to build/report/dispatch.json.
set -u
cd "$(dirname "$0")/../.." || exit 2
model=$PWD/model/spin/dispatch.pml
work=build/spin
report=build/report/dispatch.json
rm -rf "$work"
mkdir -p "$work" build/report
for tool in spin gcc; do
    command -v $tool >/dev/null || { echo "dispatch: $tool is missing (make setup)" >&2; exit 2; }
done

begun=$(date +%s.%N)

# search NAME KIND EXPECTED DEFINES…: compiles and searches in build/spin/NAME; leaves pan's words
# there. KIND is safety (breadth first, so that a trail is as short as can be), livelock or ltl.
search() {
    local directory=$work/$1 kind=$2 options optimise=-O2
    test "$3" = holds || optimise=-O0 # a violation is found sooner than it is compiled
    shift 3
    mkdir -p "$directory"
    case $kind in
    safety) options='-DSAFETY -DBFS -DNOCLAIM' ;;
    livelock) options='-DNP -DNOCLAIM' ;;
    ltl) options='-DNFAIR=1' ;;
    esac
    (
        cd "$directory" || exit 1
        cp "$model" dispatch.pml
        # shellcheck disable=SC2086 # a list of words
        spin "$@" -a dispatch.pml >spin.log 2>&1 &&
            gcc $optimise -w $options -o pan pan.c >gcc.log 2>&1 || exit 1
        case $kind in
        safety) ./pan -m1000000 -w22 ;;
        livelock) ./pan -l -m1000000 -w22 ;;
        ltl) ./pan -a -N served -m1000000 -w22 ;;
        esac >pan.log 2>&1
        true
    )
}

# judge DIRECTORY KIND: "holds", "violated", or what is wrong with the search.
judge() {
    local log=$1/pan.log kind=$2 errors
    test -s "$log" || { echo 'failed: no search'; return; }
    errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$log")
    local truncated='max search depth too small\|out of memory\|resource\|invalid array index'
    if grep -qi "$truncated\|aborting\|interrupted" "$log"; then
        echo 'failed: truncated'
    elif test -z "$errors"; then
        echo 'failed: no count of errors'
    elif test "$errors" = 0; then
        if ! grep -q '^Full statespace search' "$log" || grep -q 'Search not completed' "$log"; then
            echo 'failed: not exhaustive'
        elif grep 'dispatch.pml:[0-9]*, state' "$log" | grep -vq -- '"-end-"'; then
            echo 'failed: unreached statements'
        else
            echo holds
        fi
    else
        case $kind in
        safety) grep -q 'assertion violated' "$log" ;;
        livelock) grep -q 'non-progress cycle (at' "$log" ;;
        ltl) grep -q 'acceptance cycle (at' "$log" ;;
        esac && echo violated || echo 'failed: another error'
    fi
}

# check NAME KIND EXPECTED VARIANT PROPERTY DEFINES…: a line for people and one for the report, in
# build/spin/NAME/
check() {
    local name=$1 kind=$2 expected=$3 variant=$4 property=$5 seen mark=ok
    shift 5
    search "$name" "$kind" "$expected" "$@"
    local log=$work/$name/pan.log
    seen=$(judge "$work/$name" "$kind")
    number() { # number EXPRESSION: what it captures in pan's words, or null
        local found
        found=$(sed -n "s/$1/\\1/p" "$log" 2>/dev/null | head -n 1)
        echo "${found:-null}"
    }
    local states transitions depth seconds
    states=$(number '^ *\([0-9]*\) states, stored.*')
    transitions=$(number '^ *\([0-9]*\) transitions .*')
    depth=$(number '.*depth reached \([0-9]*\),.*')
    seconds=$(number '^pan: elapsed time \([0-9.]*\) seconds.*')
    test "$seen" = "$expected" || mark=FAIL
    if test "$seen" = violated; then
        (
            cd "$work/$name" || exit
            spin "$@" -t -B -T dispatch.pml 2>&1 |
                grep -v "claim\|is newer than\|^spin: trail ends" >"../$name.txt"
        )
    fi
    printf '%-4s  %-13s  %-29s  %-9s %8s states %8s transitions  depth %5s %6s s\n' "$mark" \
        "$variant" "$property" "$seen" \
        "$states" "$transitions" "$depth" "$seconds" >"$work/$name/line"
    {
        printf '{"variant": "%s", "property": "%s", "expected": "%s", "seen": "%s", ' "$variant" \
            "$property" "$expected" "$seen"
        printf '"states": %s, "transitions": %s, "depth": %s, "seconds": %s}' "$states" \
            "$transitions" "$depth" "$seconds"
    } >"$work/$name/json"
}

names=()
jobs_max=$(nproc)
# later NAME …: the same, beside others.
later() {
    names+=("$1")
    while test "$(jobs -rp | wc -l)" -ge "$jobs_max"; do
        wait -n
    done
    check "$@" &
}

# For what is violated the calls alone suffice (-DNO_CLOSE); what holds, holds with closing and
# opening as well.
later published-deleted safety violated published 'no callback after delete' -DPUBLISHED \
    -DNO_CLOSE -DCHECK_DELETED
later published-dead safety violated published 'callbacks of active ones only' -DPUBLISHED \
    -DNO_CLOSE -DCHECK_ACTIVE
later published-control safety violated published 'no DEL fails' -DPUBLISHED -DNO_CLOSE \
    -DCHECK_CONTROL
later published-registered safety violated published 'whatever waits is registered' -DPUBLISHED \
    -DNO_CLOSE -DCHECK_REGISTERED

later published-livelock livelock holds published 'no livelock' -DPUBLISHED -DNO_CLOSE

for variant in '#239' '#239+#237'; do
    name=guard
    defines='-DGUARD'
    if test "$variant" != '#239'; then
        name=guard-237
        defines='-DGUARD -DCANCEL_237'
    fi
    # shellcheck disable=SC2086 # a list of words
    {
        later $name-active safety holds "$variant" 'callbacks of active ones only' $defines \
            -DCHECK_ACTIVE
        later $name-livelock livelock violated "$variant" 'no livelock' $defines -DNO_CLOSE
        later $name-turns safety violated "$variant" 'two useless waits at most' $defines \
            -DNO_CLOSE -DCHECK_TURNS
        later $name-orphan safety violated "$variant" 'the same, after a close' $defines \
            -DCOMMANDS=1 -DCHECK_TURNS
        later $name-episode safety violated "$variant" 'of the same episode' $defines -DNO_CLOSE \
            -DCHECK_EPISODE
        later $name-control safety violated "$variant" 'no DEL fails' $defines -DNO_CLOSE \
            -DCHECK_CONTROL
        later $name-registered safety violated "$variant" 'whatever waits is registered' $defines \
            -DNO_CLOSE -DCHECK_REGISTERED
    }
done

later law-safety safety holds law 'all of safety' -DLAW -DCHECK_ACTIVE -DCHECK_EPISODE \
    -DCHECK_REGISTERED -DCHECK_TURNS
later law-livelock livelock holds law 'no livelock' -DLAW
later law-served ltl holds law 'whatever waits is served' -DLAW -DCHECK_SERVED

# The checks bite: one defect each in the law's variant.
later seed-1 safety violated 'law, seeded 1' 'no generation check' -DLAW -DSEED=1 -DCHECK_EPISODE
later seed-2 livelock violated 'law, seeded 2' 'useless one not removed' -DLAW -DSEED=2 -DNO_CLOSE
later seed-3 livelock violated 'law, seeded 3' 'epoll not created anew' -DLAW -DSEED=3
later seed-4 safety violated 'law, seeded 4' 'new epoll without the waiting' -DLAW -DSEED=4 \
    -DCHECK_REGISTERED
later seed-4-served ltl violated 'law, seeded 4' 'the same, as liveness' -DLAW -DSEED=4 \
    -DCHECK_SERVED
later seed-5 safety violated 'law, seeded 5' 'the state is not looked at' -DLAW -DSEED=5 \
    -DCHECK_ACTIVE

wait
wrong=0
for name in "${names[@]}"; do
    cat "$work/$name/line"
    grep -q '^ok ' "$work/$name/line" || wrong=$((wrong + 1))
done
seconds=$(awk -v a="$begun" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
{
    printf '{"wrong": %s, "seconds": %s, "spin": "%s", "searches": [' "$wrong" "$seconds" \
        "$(spin -V)"
    separator=
    for name in "${names[@]}"; do
        printf '%s\n  %s' "$separator" "$(cat "$work/$name/json")"
        separator=,
    done
    printf '\n]}\n'
} >"$report"
if test "$wrong" = 0; then
    echo "dispatch: crash class as published, livelock with the guard, neither by the law" \
        "($seconds s; trails: $work/*.txt)"
else
    echo "dispatch: $wrong verdict(s) not as expected (pan's words: $work/*/pan.log)"
    exit 1
fi
