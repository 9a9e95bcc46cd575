#!/bin/bash
# SPDX-License-Identifier: MIT
# Explores every program of a scope on loop and model with Spin, to the fixpoint. Called by `make
# explore` (README.md), by the tests, and by explore_faults.py.
#
# usage: explore.sh SCOPE       a line of explore.scopes, which EXPLORE_DEFINES may change
#                               (-DCOMPLETIONS=2 …, see explore.h)
#
# EXPLORE_OBJECTS: where the loop's object code is (build/default). EXPLORE_REPORT: the figures
# (build/report/explore.json).
# EXPLORE_WALK="STEPS SEED": instead of searching, walks at random (explore_walk.c).
# SWARM=n: instead of searching, writes n jobs to build/explore/SCOPE-swarm that need nothing but
# the pan binary there.
# EXPLORE_SEED=n: the ways are taken in another order, which must make no difference to the number
# of states. EXPLORE_EXPECTED=1: a difference is expected, and only its shortest trail is written.
#
# pan's exit status says nothing (it is 0 with errors and with a truncated search), so its words are
# judged. Exit status 0: the search is exhausted and all states agree; 1: a difference, with its
# shortest trail as a trace; 2: no verdict. A search of programs that are cut off after DEPTH
# commands is not exhausted.
set -u
cd "$(dirname "$0")/../.." || exit 2
source=$PWD/model/spin
objects=$(realpath "${EXPLORE_OBJECTS:-build/default}") || exit 2
report=${EXPLORE_REPORT:-build/report/explore.json}
scope=${1:?usage: explore.sh SCOPE}
swarm=${SWARM:-}
seed=${EXPLORE_SEED:+-RS$EXPLORE_SEED}
work=build/explore/$scope${swarm:+-swarm}
work=${EXPLORE_WORK:-$work}
memory_mb=8000
depth_max=4000000

defines=$(sed -n "s/^$scope: *//p" "$source/explore.scopes")
if test -z "$defines"; then
    names=$(sed -n 's/^\([a-z-]*\):.*/\1/p' "$source/explore.scopes" | tr '\n' ' ')
    echo "explore: no scope is called '$scope'; there are: $names" >&2
    exit 2
fi
case $swarm in
*[!0-9]* | 0*) echo "explore: SWARM=$swarm is no number of jobs" >&2; exit 2 ;;
esac
for tool in spin gcc; do
    command -v $tool >/dev/null || { echo "explore: $tool is missing (make setup)" >&2; exit 2; }
done
# A later definition takes the place of an earlier one.
read -rd '' -a words <<<"${EXPLORE_DEFINES:-}"
for change in ${words[@]+"${words[@]}"}; do
    if ! [[ $change =~ ^-D([A-Z_]+)(=[A-Za-z0-9_,+|()-]+)?$ ]]; then
        echo "explore: EXPLORE_DEFINES: '$change' is not of the form -DNAME=VALUE" >&2
        exit 2
    elif ! grep -q "^#ifndef ${BASH_REMATCH[1]}\\( \|$\\)" "$source/explore.h" ||
        test "${BASH_REMATCH[1]}" = ETALON_EXPLORE_H; then
        echo "explore: EXPLORE_DEFINES: model/spin/explore.h has no option '${BASH_REMATCH[1]}'" >&2
        exit 2
    fi
    defines="$defines -U${BASH_REMATCH[1]} $change"
done
changes=${words[*]}
title="scope '$scope'${changes:+ with $changes}"
# shellcheck disable=SC2086
limit=$(gcc -E -P $defines -include "$source/explore.h" - <<<DEPTH | tail -n 1) # as it is compiled
[[ $limit =~ ^[0-9]{1,3}$ ]] && test "$limit" -le 255 ||
    { echo "explore: DEPTH is '$limit', and not a number up to 255" >&2; exit 2; }
rm -rf "$work"
mkdir -p "$work" "$(dirname "$report")"

# build NAME OPTIONS…: compiles pan into $work/NAME. Only what the loop and the kernel call is
# wrapped, not what pan itself calls.
build() {
    local name=$1
    shift
    (
        cd "$work" || exit 1
        test -f pan.c || { cp "$source/explore.pml" . && spin -a explore.pml; } || exit 1
        # shellcheck disable=SC2086 # lists of words
        if ! test -f loop.o; then
            for file in explore_loop explore_kernel; do
                gcc -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wconversion -Werror $defines \
                    -c "$source/$file.c" || exit 1
            done
            gcc -r -nostdlib -o loop.o explore_loop.o explore_kernel.o "$objects/explored.o" \
                "@$objects/wrap.flags" ||
                exit 1
        fi
        # shellcheck disable=SC2086
        gcc -std=gnu11 -D_GNU_SOURCE -O1 -w -DSAFETY -DNOREDUCE -DMEMLIM=$memory_mb \
            -DVECTORSZ=1024 -DFREQ=100000 "$@" $defines \
            -I"$source" -o "$name" "${main:-pan.c}" loop.o -pthread ${static:-}
    ) >"$work/build.log" 2>&1 || { echo "explore: cannot build pan:" >&2; tail -n 20 \
        "$work/build.log" >&2; exit 2; }
}

# number EXPRESSION: what it captures in pan's words (which are of the kind of 1.2e+08 when it is
# large), or null
number() {
    sed -n "s/$1/\\1/p" "$work/pan.log" |
        awk '{ n = $1 ~ /e/ ? sprintf("%.0f", $1) : $1 } END { print n == "" ? "null" : n }'
}

# verdict: "agree", "differ", or why there is none
verdict() {
    local log=$work/pan.log errors
    errors=$(number '.*errors: \([0-9]*\)$')
    if grep -q 'assertion violated' "$log" && test "$errors" != 0; then
        echo differ
    elif grep -qi 'max search depth too small' "$log"; then
        echo 'the search was too deep and is truncated'
    elif grep -qi 'out of memory\|MEMLIM\|memory limit\|resource\|aborting' "$log"; then
        echo 'the memory did not suffice'
    elif grep -qi 'interrupted' "$log"; then
        echo 'the search was interrupted'
    elif test "$errors" != 0 || test "$1" != 0; then
        echo "pan failed (exit status $1): $(grep -m1 '^explore:\|^pan:' "$log")"
    elif ! grep -q '^Full statespace search' "$log" || grep -q 'Search not completed' "$log"; then
        echo 'the search is not exhausted'
    else
        echo agree
    fi
}

# Where nothing differs among programs that are cut off, that is no verdict on the scope.
judge_limit() {
    if test "$verdict" = agree && test "$limit" != 0; then
        verdict="the programs are cut off after DEPTH=$limit commands; up to there all states agree"
    fi
}

# search NAME MEMORY_BITS: runs pan, with its words in pan.log, and sets verdict.
search() {
    local status
    TIMEFORMAT='%U %S' # what counts on a machine that does other things beside
    if test -t 1; then
        { time (cd "$work" && "./$1" $seed -m$depth_max -w"$2" 2>&1 | tee pan.log |
            grep --line-buffered '^Depth='; exit "${PIPESTATUS[0]}") 2>&1; } 2>"$work/cpu"
    else
        { time (cd "$work" && "./$1" $seed -m$depth_max -w"$2" >pan.log 2>&1); } 2>"$work/cpu"
    fi
    status=$?
    verdict=$(verdict $status)
}

# deepen NAME DEFINES…: when something differs, searches deeper and deeper, so that what is found is
# as short as can be. REACH: a state that is met again with more depth left is searched again. That
# these searches are cut off is their purpose. Returns whether anything differs.
deepen() {
    local name=$1 depth depth_max_found all=$defines
    shift
    rm -f "$work"/*.o
    defines="$all $* -UMERGED -DMERGED=0"
    build "$name" || exit 2
    search "$name" 22
    if test "$verdict" = differ; then
        depth_max_found=$(number '.*depth reached \([0-9]*\),.*')
        build "$name-short" -DREACH || exit 2
    fi
    defines=$all
    test "$verdict" = differ || return 1
    for ((depth = 8; ; depth += 2)); do
        test -t 2 && printf '\rno deeper than %d steps … ' "$depth" >&2
        (cd "$work" && rm -f explore.pml.trail explore.trace &&
            "./$name-short" -m$depth -w20 >short.log 2>&1)
        grep -q 'assertion violated' "$work/short.log" && break
        test $depth -le "$depth_max_found" ||
            { echo "explore: what was found is not found again" >&2; exit 2; }
    done
    test -t 2 && printf '\r' >&2
    (cd "$work" && EXPLORE_VERBOSE=1 "./$name-short" -r -n >replay.log 2>&1)
    test -s "$work/explore.trace" || \
        { echo "explore: no trace came of the trail ($work/replay.log)" >&2; exit 2; }
}

# The shortest trail that a trace can hold, whose callbacks do the same each time, and which the
# driver judges as strictly when it is replayed; or, if there is none, the shortest of all.
shorten() {
    deepen bound -UBOUND -DBOUND=1 -UAGAIN -DAGAIN=0 && return
    case $verdict in agree) ;; *) echo "explore: no shortest trail: $verdict" >&2; exit 2 ;; esac
    test -n "${EXPLORE_EXPECTED:-}" && return 1
    deepen free || { echo "explore: what was found is not found again" >&2; exit 2; }
    beyond_traces=1
}

write_swarm() {
    local i jobs=$work/jobs.txt
    static=-static build pan -DBITSTATE -DT_RAND || exit 2
    for ((i = 1; i <= swarm; i++)); do
        echo "mkdir -p job-$i && cd job-$i && ../pan -h$((i % 32)) -RS$((i * 7919)) -w30" \
            "-k$((2 + i % 3)) -m$((200000 + i % 5 * 100000)) >pan.log 2>&1"
    done >"$jobs"
    cat >"$work/swarm.sbatch" <<EOF
#!/bin/sh
# Etalon, scope $scope: one job of the swarm is one line of jobs.txt. Submit from this directory:
# sbatch swarm.sbatch
#SBATCH --job-name=etalon-explore
#SBATCH --array=1-$swarm
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
eval "\$(sed -n "\${SLURM_ARRAY_TASK_ID}p" jobs.txt)"
EOF
    rm -f "$work"/*.o "$work"/pan.[a-z] "$work"/explore.pml "$work"/_spin_nvr.tmp
    echo "explore: $swarm jobs for the scope '$scope' in $work:"
    echo "  parallel <jobs.txt          GNU parallel, in that directory"
    echo "  sbatch swarm.sbatch         Slurm, likewise"
    echo "  grep -l 'errors: [1-9]' job-*/pan.log; in such a directory," \
        "../pan -r -n ../explore.pml.trail writes explore.trace"
    echo "A job that finds nothing proves nothing:" \
        "see model/spin/README.md on what its coverage estimate says."
}

if test -n "$swarm"; then
    write_swarm
    exit 0
fi

# Where a difference is expected (explore_faults.py) the search for the shortest trail follows the
# whole one, which has to find it, too.
if test -n "${EXPLORE_EXPECTED:-}"; then
    build pan || exit 2
    search pan 22
    whole=$verdict
    if ! shorten; then
        states=$(number '^ *\([0-9.e+]*\) states, stored.*')
        judge_limit
        test "$verdict" = agree && echo "all $states states agree: $title, exhausted" && exit 0
        echo "explore: no verdict on $title: $verdict ($states states)"
        exit 2
    fi
    test "$whole" = differ ||
        { echo "explore: the whole search does not find what this one does: $whole"; exit 2; }
    echo "difference: $(sed -n 's/^title //p' "$work/explore.trace")"
    exit 1
fi

if test -n "${EXPLORE_WALK:-}"; then
    defines="$defines -UMERGED -DMERGED=0"
    main=$source/explore_walk.c build walk || exit 2
    # shellcheck disable=SC2086
    (cd "$work" && ./walk $EXPLORE_WALK)
    exit
fi

build pan ${seed:+-DT_RAND} || exit 2
begun=$(date +%s.%N)
search pan 24
seconds=$(awk -v a="$begun" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
cpu_seconds=$(awk 'END { printf "%.1f", $1 + $2 }' "$work/cpu")
states=$(number '^ *\([0-9.e+]*\) states, stored.*')
transitions=$(number '^ *\([0-9.e+]*\) transitions .*')
steps=$(number '^ *\([0-9.e+]*\) atomic steps.*')
depth=$(number '.*depth reached \([0-9]*\),.*')
memory=$(number '^ *\([0-9.]*\)[[:space:]]*total actual memory usage.*')
exhausted=false errors=1
judge_limit
case $verdict in
agree) exhausted=true errors=0 ;;
differ) shorten ;;
*) errors=null ;;
esac
figures='"states": %s, "transitions": %s, "exhausted": %s, "errors": %s, "seconds": %s'
figures=$figures', "cpu_seconds": %s, "steps": %s, "depth": %s, "memory_mb": %s'
printf "{$figures, \"scope\": \"%s\", \"defines\": \"%s\", \"verdict\": \"%s\"}\n" \
    "$states" "$transitions" "$exhausted" "$errors" "$seconds" "$cpu_seconds" "$steps" "$depth" \
    "$memory" "$scope" "$changes" "${verdict//\"/}" >"$report"
case $verdict in
agree) echo "all $states states agree: $title, exhausted" ;;
differ) echo "difference: $(sed -n 's/^title //p' "$work/explore.trace")" ;;
*) echo "explore: no verdict on $title: $verdict (pan's words: $work/pan.log)" ;;
esac
echo "$states states, $transitions transitions and $steps steps inside them, depth $depth," \
    "$seconds s ($cpu_seconds s on one core), $memory MB"
case $verdict in
agree) exit 0 ;;
differ)
    if test -n "${beyond_traces:-}"; then
        echo "No trace shows it: a callback has to do different things at different times," \
            "or there is more than one failure. What happens:"
        grep '^  [>.] ' "$work/replay.log"
        exit 1
    fi
    echo "As a trace ($work/explore.trace):"
    cat "$work/explore.trace"
    test -x "$objects/etalon" && echo "etalon replay:" &&
        "$objects/etalon" replay "$work/explore.trace"
    exit 1
    ;;
*) exit 2 ;;
esac
