#!/bin/bash
# SPDX-License-Identifier: MIT
# Feeds bad input to the command-line tool: it must say in one line what is wrong, with the line
# number where there is one, exit with status 2 and leave nothing behind; a fuzz input is always a
# program. Prints the test-anything protocol.
#
#   tests/suites/malformed.sh ETALON
set -u
etalon=$(realpath "${1:?usage: malformed.sh ETALON}") || exit 2
cases=$(realpath "$(dirname "$0")/../../spec/cases") || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
number=0

check() { # check NAME COMMAND…: the rest of the line decides
    local name=$1
    shift
    number=$((number + 1))
    if "$@"; then echo "ok $number - $name"; else echo "not ok $number - $name"; fi
}

# refused PATTERN ARGUMENTS…: status 2, one line on standard error that matches, nothing on standard
# output
refused() {
    local pattern=$1 status
    shift
    "$etalon" "$@" >out 2>err </dev/null
    status=$?
    [ "$status" = 2 ] && [ "$(wc -l <err)" = 1 ] && grep -qE "$pattern" err && [ ! -s out ] &&
        return 0
    echo "# status $status, said: $(head -c 300 err | tr '\n' '|')"
    return 1
}

# survives FILE…: every one is a program or is refused with a line number; a signal or a sanitizer
# is neither
survives() {
    local file status
    for file in "$@"; do
        timeout 20 "$etalon" replay --quiet "$file" >out 2>err </dev/null
        status=$?
        case $status in
        0) ;;
        2) grep -q 'line [0-9]' err || grep -q 'cannot do what' out ||
            { echo "# $file: $(head -c 200 err)"; return 1; } ;;
        *) echo "# $file: status $status: $(tail -c 300 out err)"; return 1 ;;
        esac
    done
}

check "a file that is not there" refused 'No such file' replay nowhere.trace
mkdir folder
check "a folder" refused 'folder' replay folder
check "an unknown command" refused "unknown command 'fly'" fly nowhere
check "an unknown world" refused "neither 'simulated' nor 'real'" replay --world other nowhere
check "an unknown option" refused 'option' replay --bogus nowhere
: >empty.trace
check "an empty trace" refused 'empty.trace: line 1: ' replay empty.trace
printf 'etalon-trace 2\nmain\n' >version.trace
check "another version" refused 'version.trace: line 1: ' replay version.trace
printf 'etalon-trace 1\ntitle x\nmain\n  tick 1\n  fly c0\n' >word.trace
check "an unknown word" refused 'word.trace: line 5: ' replay word.trace
printf 'etalon-trace 1\nmain\n  timer c4096 10ms\n' >index.trace
check "a completion that does not exist" refused 'index.trace: line 3: ' replay index.trace
printf 'etalon-trace 1\nmain\n  repeat 4097 add c0+1\n' >index.trace
check "a completion that does not exist, the last time" refused 'index.trace: line 3: .*c4095' \
    replay index.trace
printf 'etalon-trace 1\nmain\n  timer c0 99999999999999999999ms\n' >number.trace
check "a number that is too large" refused 'number.trace: line 3: ' replay number.trace
head -c 2000000 /dev/zero >long.trace
check "a file that is too long" refused 'long.trace: longer than' replay long.trace
printf 'etalon-trace 1\nmain\n  tick 1\n' >good.trace
check "an output folder that is not there" refused 'nowhere' decode --output nowhere/x good.trace
check "encode without a folder" refused 'output' encode good.trace
check "two inputs of one name" refused 'same name' encode --output folder good.trace ./good.trace
check "one output for two files" refused 'one file at a time' decode --output both good.trace \
    empty.trace
full() { "$etalon" replay good.trace >/dev/full 2>err; [ $? = 2 ] && grep -q 'No space' err; }
check "a full disk" full
printf '{"etalon-recording":1,"observes":[]}\n' >lawful.ndjson
# piped COMMAND…: what it writes into the pipe `pipe` comes out of it, and it stays a pipe
piped() {
    mkfifo pipe || return 1
    timeout 10 cat pipe >out &
    "$etalon" "$@" >/dev/null 2>&1
    wait $!
    [ -p pipe ] && [ -s out ] && rm pipe
}
# linked COMMAND…: what it writes to the symbolic link `link` is in the file there, which keeps its
# mode; no other file is made
linked() {
    rm -rf links && mkdir links && echo old >links/file && chmod 640 links/file &&
        ln -s file links/link || return 1
    "$etalon" "$@" >/dev/null 2>&1
    [ -h links/link ] && ! grep -q '^old$' links/file && [ -s links/file ] &&
        [ "$(stat -c %a links/file)" = 640 ] &&
        [ "$(ls links | tr '\n' ' ')" = 'file link ' ]
}
new_file() { # behind a symbolic link that leads to nothing yet
    rm -rf links && mkdir links && ln -s file links/link || return 1
    "$etalon" decode --output links/link good.trace && [ -h links/link ] && [ -s links/file ]
}
# Not by a link in /dev: a tool that is broken would destroy it.
standard() { # the JSON text alone
    "$etalon" judge --json "$1" lawful.ndjson >out && grep -q '"verdict"' out &&
        ! grep -q ': lawful in' out && [ ! -e ./- ]
}
# with a tool that has AddressSanitizer, and says what was lost
spec=${cases%/cases}
kept() {
    "$etalon" check --list --cases "$cases" --law "$spec/etalon.md" --profiles "$spec/profiles" \
        >out 2>err && [ ! -s err ] && return 0
    head -n 12 err | sed 's/^/# /'
    return 1
}
check "paths that were given" kept
check "a pipe as output stays a pipe" piped decode --output pipe good.trace
check "a pipe as output of judge stays a pipe" piped judge --json pipe lawful.ndjson
check "a symbolic link as output stays one" linked decode --output links/link good.trace
check "a symbolic link as output of judge stays one" linked judge --json links/link lawful.ndjson
check "a symbolic link to a new file" new_file
check "standard output as output" standard /proc/self/fd/1
check "a dash for it" standard -
check "the file that is standard output" standard out
rm -rf links
simulated=$(grep -lx 'simulated' "$cases"/*.trace | head -n 1)
check "recording what only the simulated kernel can do" refused 'the real kernel cannot do' record \
    --world real --output real.trace "$simulated"
check "and its events" refused 'the real kernel cannot do' record --world real \
    --output real.ndjson "$simulated"
check "of which nothing is left" test ! -e real.trace -a ! -e real.ndjson
check "shrinking what shows no difference" refused 'no difference' shrink --output shrunk good.trace
check "and nothing is left behind" test ! -e shrunk -a ! -e nowhere -a ! -e both -a \
    -z "$(ls folder)"

check "a recording that is not there" refused 'No such file' judge nowhere.ndjson
check "a recording that is none" refused 'good.trace:1: ' judge good.trace
check "one file for two verdicts" refused 'one recording at a time' judge --json both good.trace \
    good.trace
check "an unknown capability" refused 'not one of' judge --observes colour good.trace
check "readiness without waits" refused 'observes waits too' judge --observes readiness,time \
    good.trace
mkdir random
for i in $(seq 1 40); do
    head -c $((i * 17)) /dev/urandom >"random/$i.bin"
    { printf 'etalon-trace 1\nmain\n'; head -c $((i * 5)) /dev/urandom; } >"random/$i.trace"
done
judged() { # no recording, and no crash
    local file
    for file in "$@"; do
        refused ':1: ' judge "$file" || return 1
    done
}
check "random bytes as recordings" judged random/[1-5].*
check "random bytes as fuzz inputs" survives random/*.bin
check "random bytes behind the header of a trace" survives random/*.trace
mkdir cut
for file in "$cases"/socket-life.trace "$cases"/reset-dropped.trace; do
    size=$(wc -c <"$file")
    for at in $(seq 1 37 "$size"); do
        head -c "$at" "$file" >"cut/$(basename "$file" .trace)-$at.trace"
        { head -c "$at" "$file"; printf '\377'; tail -c +$((at + 2)) "$file"; } \
            >"cut/$(basename "$file" .trace)-$at-odd.trace"
    done
done
# A trace that is cut in its observations is still one, which the run then does not satisfy: status
# 1 is right there.
survives_or_differs() {
    local file status
    for file in "$@"; do
        timeout 20 "$etalon" replay --quiet "$file" >out 2>err </dev/null
        status=$?
        if [ "$status" -gt 2 ] || { [ "$status" = 2 ] && ! grep -q 'line [0-9]' err; }; then
            echo "# $file: status $status: $(tail -c 300 out err)"
            return 1
        fi
    done
}
check "traces that are cut or have an odd byte" survives_or_differs cut/*.trace
echo "1..$number"
