#!/bin/bash
# SPDX-License-Identifier: MIT
# Whether the abstraction of `make explore` can be trusted: the same scope, cut off after some
# commands, once with the abstract state matched and once with all concrete memory matched and no
# command left out. The sets of what can be observed must be the same: all sequences of calls with
# their results and of callbacks with theirs, up to names. Called by `make explore-sound`.
#
# And where a random walk meets an abstract state again, with other memory behind it, both must go
# on alike, whatever their pasts.
#
# That each comparison can fail is shown each time: with an abstraction that is made blind on
# purpose (BLIND in explore.h) there must be a difference. And the whole search has to find as many
# states when it takes its ways in another order: otherwise a state shows what has no consequences;
# and as many when it follows each way through a tick by itself (MERGED in explore.h), and fewer
# when it takes ways for one that are not.
#
# usage: explore_sound.sh SCOPE:COMMANDS[:BLIND]... BLIND: one digit for each way to be blind, 1
# unless it is given
set -u
cd "$(dirname "$0")/../.." || exit 2
test $# -gt 0 || { echo "usage: explore_sound.sh SCOPE:COMMANDS[:BLIND]..." >&2; exit 2; }
work=$PWD/build/explore/sound
wrong=0

# observed NAME SCOPE DEFINES…: the sorted set, in $work/NAME.set
observed() {
    local name=$1 scope=$2
    shift 2
    mkdir -p "$work"
    rm -f "$work/$name.json" # what is judged is of this search
    EXPLORE_WORK=$work/$name EXPLORE_REPORT=$work/$name.json \
        EXPLORE_DEFINES="-DHISTORY=1 -DDEPTH=$depth $*" \
        model/spin/explore.sh "$scope" >"$work/$name.log" 2>&1
    said="the programs are cut off after DEPTH=$depth commands; up to there all states agree"
    grep -q "\"verdict\": \"$said\"" "$work/$name.json" ||
        { cat "$work/$name.log"; exit 2; }
    sort -u "$work/$name/explore.observed" >"$work/$name.set"
}

states() {
    sed -n 's/.*"states": \([0-9]*\),.*/\1/p' "$work/$1.json"
}

# fixpoint NAME SCOPE SEED DEFINES…: the whole search, in the order of that seed
fixpoint() {
    EXPLORE_WORK=$work/$1 EXPLORE_REPORT=$work/$1.json EXPLORE_SEED=$3 EXPLORE_DEFINES="${*:4}" \
        model/spin/explore.sh "$2" >"$work/$1.log" 2>&1 ||
        { cat "$work/$1.log"; exit 2; }
}

# walk SCOPE DEFINES…: sets walked to its words; returns whether all states that are one go on alike
# (explore_walk.c)
walk() {
    local status
    walked=$(EXPLORE_WORK=$work/walk EXPLORE_WALK="20000 1" EXPLORE_DEFINES="${*:2}" \
        model/spin/explore.sh "$1" 2>&1)
    status=$?
    [[ $status -le 1 && $walked == *"go on differently" ]] || { echo "$walked"; exit 2; }
    return $status
}

for argument; do
    [[ $argument =~ ^([a-z]+):([1-9][0-9]*)(:([1-9]+))?$ ]] ||
        { echo "explore_sound.sh: '$argument' is not SCOPE:COMMANDS[:BLIND]" >&2; exit 2; }
    scope=${BASH_REMATCH[1]} depth=${BASH_REMATCH[2]} blinds=${BASH_REMATCH[4]:-1}
    meet=${blinds//[^4]/} blinds=${blinds//4/}
    observed "$scope-abstract" "$scope" || exit 2
    observed "$scope-concrete" "$scope" -DCANONICAL=0 -DWHOLE=${WHOLE:-0} || exit 2
    text="$(wc -l <"$work/$scope-concrete.set") observable behaviours of $depth commands:"
    text="$text $(states "$scope-abstract") abstract states,"
    text="$text $(states "$scope-concrete") concrete ones"
    if cmp -s "$work/$scope-abstract.set" "$work/$scope-concrete.set"; then
        echo "ok    scope '$scope': the same $text"
    else
        missing=$(comm -23 "$work/$scope-concrete.set" "$work/$scope-abstract.set" | wc -l)
        surplus=$(comm -13 "$work/$scope-concrete.set" "$work/$scope-abstract.set" | wc -l)
        echo "FAIL  scope '$scope': $missing are missing, $surplus too many of $text"
        wrong=1
    fi
    for blind in $(grep -o . <<<"$blinds"); do
        observed "$scope-blind" "$scope" -DBLIND="$blind" || exit 2
        if cmp -s "$work/$scope-blind.set" "$work/$scope-abstract.set"; then
            echo "FAIL  scope '$scope': an abstraction that is blind ($blind) makes no" \
                "difference: this comparison sees nothing"
            wrong=1
        else
            lost=$(comm -23 "$work/$scope-abstract.set" "$work/$scope-blind.set" | wc -l)
            echo "ok    scope '$scope': an abstraction that is blind ($blind) loses $lost of them"
        fi
    done
    if walk "$scope"; then
        echo "ok    scope '$scope', a random walk: $walked"
    else
        echo "FAIL  scope '$scope', a random walk: $walked"
        wrong=1
    fi
    for blind in $(grep -o . <<<"$blinds"); do
        if walk "$scope" -DBLIND="$blind"; then
            echo "FAIL  scope '$scope', a random walk that is blind ($blind) notices nothing:" \
                "$walked"
            wrong=1
        else
            echo "ok    scope '$scope', a random walk that is blind ($blind): $walked"
        fi
    done
    fixpoint "$scope-all" "$scope" "" || exit 2
    fixpoint "$scope-each" "$scope" "" -DMERGED=0 || exit 2
    if test "$(states "$scope-each")" = "$(states "$scope-all")"; then
        echo "ok    scope '$scope': $(states "$scope-all") states also where each way is followed"
    else
        echo "FAIL  scope '$scope': $(states "$scope-all") states," \
            "but $(states "$scope-each") where each way is followed by itself"
        wrong=1
    fi
    test -z "$meet" || fixpoint "$scope-blind" "$scope" "" -DBLIND=4 || exit 2
    if test -z "$meet"; then
        :
    elif test "$(states "$scope-blind")" -lt "$(states "$scope-all")"; then
        echo "ok    scope '$scope': $(states "$scope-blind") states where ways meet that do not"
    else
        echo "FAIL  scope '$scope': as many states where ways meet that do not"
        wrong=1
    fi
    for seed in ${SEEDS:-3 5}; do
        fixpoint "$scope-shuffled" "$scope" "$seed" || exit 2
        if test "$(states "$scope-shuffled")" = "$(states "$scope-all")"; then
            echo "ok    scope '$scope': $(states "$scope-all") states in another order, too ($seed)"
        else
            echo "FAIL  scope '$scope': $(states "$scope-all") states," \
            "but $(states "$scope-shuffled") in another order ($seed)"
            wrong=1
        fi
    done
done
exit $wrong
