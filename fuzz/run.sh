#!/bin/bash
# Fuzzes: random programs on the loop and the model side by side, on one core. Called by `make fuzz`.
#
#   fuzz/run.sh [libfuzzer|afl] [SECONDS]
#
# Starts from build/fuzz/seeds (the conformance cases), fuzz/seeds, and what earlier runs have kept. Exit status 0: no
# difference was found; 1: one was, and the last line names its minimised trace; 2: the fuzzer itself failed. FUZZ_CORPUS,
# FUZZ_REPORT and TOY_SECONDS change where the corpus and the report go and how long the yardstick runs.
set -u
cd "$(dirname "$0")/.." || exit 2

engine=${1:-libfuzzer}
seconds=${2:-60}
if ! [[ $seconds =~ ^[1-9][0-9]{0,6}$ ]]; then
    echo "fuzz: FUZZ_SECONDS=$seconds is no number of seconds" >&2
    exit 2
fi
toy_seconds=${TOY_SECONDS:-5}
corpus=${FUZZ_CORPUS:-build/fuzz/corpus}
report=${FUZZ_REPORT:-build/report/fuzz.json}
work=build/fuzz/work-$$
found=build/fuzz/found
mkdir -p "$work" "$found" "$(dirname "$report")"
trap 'rm -rf "$work"' EXIT

# A program that is linked from everything stops at the first report of a sanitizer.
export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1

fail() {
    echo "fuzz: $*" >&2
    exit 2
}

# field NAME LINE: the number after NAME= in a line such as "etalon-fuzz: executions=7 commands=90 seconds=1.5".
field() {
    sed -n "s/.*[: ]$1=\([0-9.]*\).*/\1/p" <<<"$2" | tail -n 1
}

# per_second COUNT SECONDS: rounded; 0 when nothing was measured.
per_second() {
    awk -v n="${1:-0}" -v s="${2:-0}" 'BEGIN { printf "%.0f", (s > 0 ? n / s : 0) }'
}

# A number in groups of three digits, for people.
grouped() {
    awk -v n="$1" 'BEGIN { n = sprintf("%.0f", n); while (n ~ /[0-9]{4}/ || length(n) > 3) { r = "," substr(n, length(n) - 2) r; n = substr(n, 1, length(n) - 3) } print n r }'
}

# Lets through libFuzzer's milestones, one other status line every five seconds, and what was found.
condense() {
    local next=0 line
    while IFS= read -r line; do
        case $line in
        '#'*INITED* | '#'*DONE*) echo "  $line" ;;
        '#'[0-9]*)
            if ((SECONDS >= next)); then
                echo "  $line"
                next=$((SECONDS + 5))
            fi
            ;;
        'etalon-fuzz: difference'* | *'runtime error'* | *'ERROR: AddressSanitizer'* | *'ERROR: LeakSanitizer'* | \
            *'Assertion '*' failed'* | *'ERROR: libFuzzer: timeout'* | *'ERROR: libFuzzer: out-of-memory'*) echo "  $line" ;;
        esac
    done
}

# ---- libFuzzer: sets executions_per_s, commands_per_s, toy_commands_per_s and the list of raw findings ----

run_libfuzzer() {
    local status line
    mkdir -p "$corpus" "$work/found"
    local seeds=()
    for directory in build/fuzz/seeds fuzz/seeds; do
        test -d "$directory" && seeds+=("$directory")
    done
    echo "fuzz: libFuzzer, $seconds s, corpus $corpus ($(find "$corpus" -type f | wc -l) inputs)"
    build/fuzz/harness -entropic=0 -max_len=1024 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/found/" "$corpus" "${seeds[@]}" 2>&1 | tee "$work/log" | condense
    status=${PIPESTATUS[0]}

    line=$(grep -a '^etalon-fuzz: ' "$work/log" | tail -n 1)
    if test -n "$line"; then
        executions_per_s=$(per_second "$(field executions "$line")" "$(field seconds "$line")")
        commands_per_s=$(per_second "$(field commands "$line")" "$(field seconds "$line")")
        seconds=$(field seconds "$line")
    fi
    raw=$(find "$work/found" -type f | sort)
    if test "$status" != 0 && test -z "$raw"; then
        tail -n 20 "$work/log" >&2
        fail "the harness ended with exit status $status and left no input to look at"
    fi
    if test "$status" = 0 && test -z "$line"; then
        fail "the harness did not say what it did"
    fi

    mkdir -p "$work/toy"
    line=$(build/fuzz/toy -entropic=0 -max_len=1024 -max_total_time="$toy_seconds" "$work/toy" 2>&1 | grep -a '^etalon-toy: ')
    toy_commands_per_s=$(per_second "$(field commands "$line")" "$(field seconds "$line")")
}

# ---- AFL++: the same. AFL counts executions; commands are these times the average of the queue in the end. ----

# afl PROGRAM REPLAY SEEDS OUT SECONDS: prints "EXECUTIONS_PER_S COMMANDS_PER_S".
afl() {
    local executions line
    AFL_NO_UI=1 AFL_NO_COLOR=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 AFL_BENCH_UNTIL_CRASH=1 \
        AFL_FORKSRV_INIT_TMOUT=30000 ASAN_OPTIONS=$ASAN_OPTIONS:symbolize=0:detect_leaks=0 \
        UBSAN_OPTIONS=$UBSAN_OPTIONS:symbolize=0 \
        afl-fuzz -i "$3" -o "$4" -V "$5" -G 1024 -t 5000 -- "$1" >"$4.log" 2>&1 || true
    test -s "$4/default/fuzzer_stats" || return 1
    executions=$(sed -n 's/^execs_per_sec *: *//p' "$4/default/fuzzer_stats")
    line=$("$2" "$4"/default/queue/id* 2>&1 | grep -a '^etalon-' | tail -n 1)
    awk -v x="$executions" -v n="$(field executions "$line")" -v c="$(field commands "$line")" \
        'BEGIN { printf "%.0f %.0f\n", x, (n > 0 ? x * c / n : 0) }'
}

run_afl() {
    local figures
    mkdir -p "$work/seeds"
    for directory in build/fuzz/seeds fuzz/seeds "$corpus"; do
        test -d "$directory" && find "$directory" -type f -size -2k -exec cp -t "$work/seeds" {} +
    done
    test -n "$(ls "$work/seeds")" || printf '\0\0\0\0' >"$work/seeds/noop"
    echo "fuzz: AFL++, $seconds s, from $(find "$work/seeds" -type f | wc -l) inputs"
    (while sleep 10 >/dev/null 2>&1; do
        echo "  $SECONDS s, $(find "$work/afl/default/queue" -name 'id*' 2>/dev/null | wc -l) inputs in the queue"
    done) &
    local progress=$!
    figures=$(afl build/afl/harness build/default/replay "$work/seeds" "$work/afl" "$seconds")
    kill "$progress" 2>/dev/null
    wait "$progress" 2>/dev/null
    raw=$(find "$work/afl/default/crashes" "$work/afl/default/hangs" -type f -name 'id*' 2>/dev/null | sort | head -n 1)
    if test -z "$figures" && test -z "$raw"; then
        tail -n 20 "$work/afl.log" >&2
        fail "afl-fuzz failed"
    fi
    cp "$work/afl.log" "$work/log"
    read -r executions_per_s commands_per_s <<<"$figures"
    mkdir -p "$corpus"
    for input in "$work"/afl/default/queue/id*; do # kept for both engines, named after what they hold
        cp "$input" "$corpus/$(sha1sum <"$input" | cut -d' ' -f1)"
    done

    mkdir -p "$work/toy-seeds"
    head -c 100 /dev/zero >"$work/toy-seeds/zeroes"
    read -r _ toy_commands_per_s <<<"$(afl build/afl/toy build/default/toy-replay "$work/toy-seeds" "$work/afl-toy" "$toy_seconds")"
}

# What earlier runs have found comes first: it is mended, or there is nothing to look for yet.
for input in "$found"/*.input; do
    test -f "$input" || continue
    if ! build/default/etalon replay --quiet "$input" >"$work/replay" 2>&1; then
        tail -n 3 "$work/replay"
        echo "fuzz: a difference that was found before is still there: ${input%.input}.trace (of $input; remove both if you know better)"
        exit 1
    fi
done

executions_per_s=0
commands_per_s=0
toy_commands_per_s=0
raw=
case $engine in
libfuzzer | afl) "run_$engine" ;;
*) fail "unknown engine '$engine' (libfuzzer or afl)" ;;
esac

# ---- what was found, as a trace that can be read ----

differences=0
trace=
for input in $raw; do
    differences=$((differences + 1))
    name=$engine-$(sha1sum <"$input" | cut -c1-12)
    cp "$input" "$found/$name.input"
    cp "$work/log" "$found/$name.log"
    rm -f "$found/$name.trace"
    timeout 120 build/default/etalon shrink "$found/$name.input" --output "$found/$name.trace" >"$work/shrink" 2>&1
    if test $? = 1 && test -s "$found/$name.trace"; then
        trace=$found/$name.trace
        echo
        cat "$trace"
        echo
    else
        # Only a sanitizer or the clock sees it: the whole program is the report.
        trace=$found/$name.input
        build/default/etalon decode "$trace" >"$found/$name.trace" 2>/dev/null && trace=$found/$name.trace
    fi
done

printf '{"engine": "%s", "seconds": %s, "executions_per_s": %s, "commands_per_s": %s, "toy_commands_per_s": %s, "differences": %s}\n' \
    "$engine" "$seconds" "${executions_per_s:-0}" "${commands_per_s:-0}" "${toy_commands_per_s:-0}" "$differences" >"$report"

figures="$(grouped "${executions_per_s:-0}") executions/s, $(grouped "${commands_per_s:-0}") commands/s (toy: $(grouped "${toy_commands_per_s:-0}") commands/s)"
if test "$differences" = 0; then
    echo "fuzz: $figures: no difference found"
else
    echo "fuzz: $figures: difference found: $trace (log and input beside it)"
    exit 1
fi
