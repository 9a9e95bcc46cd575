#!/bin/bash
# Whether the abstraction of `make explore` can be trusted: the same scope, cut off after DEPTH commands, once with the abstract state matched
# and once with all concrete memory matched and no command left out. The sets of what can be observed must be the same: all sequences of
# calls with their results and of callbacks with theirs, up to names. Called by `make explore-sound` and by the tests (small).
#
# That the comparison can fail is shown each time: with an abstraction that is made blind on purpose the sets must differ.
# usage: explore_sound.sh DEPTH [SCOPE...]
set -u
cd "$(dirname "$0")/../.." || exit 2
depth=${1:?usage: explore_sound.sh DEPTH [SCOPE...]}
shift
work=$PWD/build/explore/sound
wrong=0

# observed NAME SCOPE DEFINES…: the sorted set, in $work/NAME.set
observed() {
    local name=$1 scope=$2
    shift 2
    mkdir -p "$work"
    EXPLORE_WORK=$work/$name EXPLORE_REPORT=$work/$name.json EXPLORE_DEFINES="-DHISTORY=1 -DDEPTH=$depth $*" \
        model/spin/explore.sh "$scope" >"$work/$name.log" 2>&1 || { cat "$work/$name.log"; exit 2; }
    sort -u "$work/$name/explore.observed" >"$work/$name.set"
}

states() {
    sed -n 's/.*"states": \([0-9]*\),.*/\1/p' "$work/$1.json"
}

for scope in "${@:-small}"; do
    observed "$scope-abstract" "$scope" || exit 2
    observed "$scope-concrete" "$scope" -DCANONICAL=0 -DWHOLE=${WHOLE:-0} || exit 2
    text="$(wc -l <"$work/$scope-concrete.set") observable behaviours of $depth commands: $(states "$scope-abstract") abstract states, $(states "$scope-concrete") concrete ones"
    if cmp -s "$work/$scope-abstract.set" "$work/$scope-concrete.set"; then
        echo "ok    scope '$scope': the same $text"
    else
        echo "FAIL  scope '$scope': $(comm -23 "$work/$scope-concrete.set" "$work/$scope-abstract.set" | wc -l) are missing, $(comm -13 "$work/$scope-concrete.set" "$work/$scope-abstract.set" | wc -l) too many of $text"
        wrong=1
    fi
    for blind in ${BLIND:-1}; do
        observed "$scope-blind" "$scope" -DBLIND="$blind" || exit 2
        if cmp -s "$work/$scope-blind.set" "$work/$scope-concrete.set"; then
            echo "FAIL  scope '$scope': an abstraction that is blind ($blind) makes no difference: this comparison sees nothing"
            wrong=1
        else
            echo "ok    scope '$scope': an abstraction that is blind ($blind) loses $(comm -23 "$work/$scope-concrete.set" "$work/$scope-blind.set" | wc -l) of them"
        fi
    done
done
exit $wrong
