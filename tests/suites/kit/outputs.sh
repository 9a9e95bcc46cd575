#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows what `etalon check` says to a person and to programs: text, the test-anything protocol,
# JUnit's XML, the places of crashes, baselines. Called by tests/run.
#
#   tests/suites/kit/outputs.sh [ETALON]        (build/default/etalon)
#
# Builds kit/bad_subject.c, and libuv's adapter with and without changes. Prints the test-anything
# protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=$(realpath "${1:-build/default/etalon}")
work=build/test/outputs
rm -rf "$work" && mkdir -p "$work" || exit 2
. tests/suites/tap.sh

build() { # build FAULT [NAME]
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT="$1" \
        tests/suites/kit/bad_subject.c -o "$work/${2:-$1}.so"
}

for fault in NONE EARLY LATE UNSORTED TWICE NEVER CRASH CRASHES_TWICE ASSERTS EXITS LOOPS TALKS; do
    build $fault || report "$fault builds" 1
done

# ---- for people ----------------------------------------------------------------------------------

output=$("$etalon" check "$work/EARLY.so" 2>&1)
[ $? -eq 1 ] && grep -q '^fail ET-EXPIRE-4$' <<<"$output" &&
    grep -q '^  case   ' <<<"$output" && grep -q ' and [0-9]* more$' <<<"$output" &&
    grep -q '^  expected   A timer MUST NOT fire before' <<<"$output" &&
    grep -qE '^  seen       the timer c[0-9] fires [0-9]+ us before its deadline' <<<"$output" &&
    grep -qE '^  program    .*main: timer c[0-9] ' <<<"$output" &&
    grep -q '^  claim      bad ' <<<"$output" &&
    grep -q '^  Timers     ' <<<"$output" &&
    grep -q '^  not asked  [0-9]* of [0-9]* cases' <<<"$output"
report_said 'what fails, the claim by profile, and what was not asked' $? "$output"
! grep -q '^TAP\|^ok\|^not ok' <<<"$output" && [ "$(grep -c '^fail ' <<<"$output")" -le 3 ] &&
    [ "$(wc -l <<<"$output")" -le 50 ] && ! grep -qE '.{101}' <<<"$output"
report_said 'on one screen, in 100 columns' $? "$output"

for of in 'RETURNS_WOKEN:run(ONCE), which is tick(1), goes on, and sleeps, until one callback' \
    'NO_WAIT_WAITS:run(NO_WAIT), which is tick(0), calls the callbacks of what is due' \
    'NEVER_DONE:run(UNTIL_DONE) goes on, however many callbacks have been called, until'; do
    build "${of%%:*}"
    output=$("$etalon" check --case 'wakeup-*' --case 'timer*' "$work/${of%%:*}.so" 2>&1)
    grep -qF "expected   ${of#*:}" <<<"$output" && ! grep -q 'MUST act as' <<<"$output"
    report_said "what a run is expected to do is said by callbacks (${of%%:*})" $? "$output"
done
output=$("$etalon" check --case timers-sorted "$work/LATE.so" 2>&1)
grep -qE 'ms  [a-z0-9_]+\(timeout = [0-9]+\)$' <<<"$output"
report_said 'waits are shown as they were called' $? "$output"
! grep -q 'claim' <<<"$output"
report_said 'there is no claim of one case' $? "$output"
output=$("$etalon" check --quiet "$work/EARLY.so" 2>&1)
grep -q '^fail ET-EXPIRE-4$' <<<"$output" && ! grep -q '^  program\|^  expected' <<<"$output"
report_said '--quiet leaves programs and clauses out' $? "$output"
output=$("$etalon" check --case timer-zero "$work/NONE.so" 2>&1)
[ $? -eq 0 ] && grep -q '^bad .*: 1 case asked, 1 passed$' <<<"$output"
report_said 'nothing fails' $? "$output"
output=$("$etalon" check "$work/NONE.so" 2>&1)
python3 - "$output" <<'EOF'
import re, sys
text = " ".join(re.search(r"^  not asked (.*?)(?=^  \S|\Z)", sys.argv[1], re.M | re.S)[1].split())
none, *parts = map(int, re.findall(r"(\d+)(?: of \d+ cases| (?:is|are) about| needs? what)", text))
assert none == sum(parts) and len(parts) == 3, text
EOF
report_said 'the parts of what was not asked make the whole' $? "$output"

# ---- crashes -------------------------------------------------------------------------------------

output=$("$etalon" check --case timer-zero "$work/CRASH.so" 2>&1)
grep -q '^crash SIGSEGV/[a-z]' <<<"$output" && grep -q 'it crashes: SIGSEGV, in ' <<<"$output"
report_said 'a crash is told by the function that it was in' $? "$output"
output=$("$etalon" check --case timer-zero "$work/ASSERTS.so" 2>&1)
grep -q '^crash SIGABRT/.*fewer.than.a.hundred' <<<"$output" &&
    grep -q "^  it said .*Assertion .*fewer.than.a.hundred" <<<"$output"
report_said 'an assertion is told by what it has said' $? "$output"
output=$("$etalon" check --case nothing-to-do --random 60 --seed 3 "$work/CRASHES_TWICE.so" 2>&1)
grep -q '^crash SIGSEGV/in_a_timer' <<<"$output" &&
    grep -q '^crash SIGSEGV/in_a_deletion' <<<"$output"
report_said 'two crashes in two places are two sorts' $? "$output"
if [ -f build/subjects/glib.so ]; then
    # GLib says in which process and at what time.
    output=$(for run in 1 2; do
        "$etalon" check --case init-without-a-number build/subjects/glib.so 2>&1 | grep '^crash '
    done)
    [ "$(sort -u <<<"$output" | wc -l)" = 1 ] && grep -q 'GLib-ERROR' <<<"$output"
    report_said 'the place of a crash is the same in each process' $? "$output"
else
    skip 'the place of a crash is the same in each process' 'GLib is not installed'
fi
output=$("$etalon" check --case timer-zero "$work/TALKS.so" 2>&1)
[ $? -eq 0 ]
report_said 'more on standard error than can be kept is no crash' $? "$output"

# ---- what a subject says, and what it leaves behind ----------------------------------------------

compile() { # compile NAME [OPTION…]
    local name=$1
    shift
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver "$@" "$work/$name.c" \
        -o "$work/$name.so"
}
cat >"$work/strange.sed" <<'EOF'
s/case EXITS:/&\
    fputs("a\\033[31mb \\x9b" "31m \\xc2\\x9b" "31m "\
        "\\xe2\\x80\\xae \\xe9 caf\\xc3\\xa9\\n", stderr);/
EOF
sed -f "$work/strange.sed" tests/suites/kit/bad_subject.c >"$work/strange.c" &&
    compile strange -DFAULT=EXITS
for tap in '' '--tap -'; do
    # shellcheck disable=SC2086 # words
    output=$("$etalon" check --case timer-zero $tap "$work/strange.so" 2>&1)
    grep -qaF 'a?[31mb ?31m ??31m ??? ? caf'$'\xc3\xa9' <<<"$output"
    report_said "what it said has no escape sequence ${tap:-}" $? "$output"
done
cat >"$work/wrong.sed" <<'EOF'
s/^ETALON_SUBJECT = {/static const struct etalon_subject_difference wrong[] =\
    {{"\\x9b" "2J", ""}, {0}};\
&\
    .differences = wrong,/
EOF
sed -f "$work/wrong.sed" tests/suites/kit/bad_subject.c >"$work/wrong.c" && compile wrong
output=$("$etalon" check --case timer-zero "$work/wrong.so" 2>&1)
[ $? -eq 2 ] && grep -qaF "documents the difference '?2J'" <<<"$output"
report_said '… nor has what it documents' $? "$output"
cat >"$work/constructor.c" <<'EOF'
#include <stdio.h>
#include <unistd.h>
static __attribute__((constructor)) void leave(void) {
    if (fork() != 0)
        return;
    if (APART)
        setsid();
    FILE *file = fopen(LEFT, "w");
    fprintf(file, "%d", (int)getpid());
    fclose(file);
    for (;;)
        pause();
}
EOF
cat tests/suites/kit/bad_subject.c "$work/constructor.c" >"$work/subject.c"
cp "$work/constructor.c" "$work/no-subject.c"
for apart in 0 1; do
    for kind in subject no-subject; do
        rm -f "$work/left"
        compile $kind -DAPART=$apart "-DLEFT=\"$PWD/$work/left\""
        "$etalon" check --dry-run "$work/$kind.so" >/dev/null 2>&1
        sleep 0.2
        ! kill -9 "$(cat "$work/left" 2>/dev/null || echo none)" 2>/dev/null
        report "a constructor that forks leaves nothing behind ($kind, apart: $apart)" $?
    done
done
bash -c 'sleep 100 & echo $! >"$1"; exec "$2" check --case timer-zero "$3"' bash "$work/before" \
    "$etalon" "$work/NONE.so" >/dev/null
kill "$(cat "$work/before")"
report 'what was there before it is not ended' $?

# ---- behind a failure ---------------------------------------------------------------------------

sed 's/^    if (FAULT != LEAKS)/    if (FAULT == LEAKS)/' tests/suites/kit/bad_subject.c \
    >"$work/two.c"
cmp -s "$work/two.c" tests/suites/kit/bad_subject.c && report 'a second fault' 1
${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT=TWICE "$work/two.c" \
    -o "$work/two.so"
output=$("$etalon" check --case timer-zero "$work/two.so" 2>&1)
grep -q '^fail ET-DEINIT-3' <<<"$output" || grep -q '^fail ET-STATE-3' <<<"$output"
report_said 'one failure hides another' $? "$output"
first=$(sed -n 's/^fail //p' <<<"$output")
output=$("$etalon" check --case timer-zero --tolerate "$first" "$work/two.so" 2>&1)
[ $? -eq 1 ] && grep -q '^fail ET-' <<<"$output" && ! grep -q "^fail $first" <<<"$output"
report_said '--tolerate shows what is behind it' $? "$output"
output=$("$etalon" check --case timer-zero --tolerate ET-DEINIT-3 --tolerate ET-STATE-3 \
    --tolerate ET-CALL-4 --strict "$work/two.so" 2>&1)
[ $? -eq 0 ] && grep -q '^  not strict ' <<<"$output"
report_said 'what is tolerated does not count, not even strictly' $? "$output"
output=$("$etalon" check --tolerate ET-EXPIRE-4 "$work/NONE.so" 2>&1)
[ $? -eq 0 ] && ! grep -q '^  claim' <<<"$output"
report_said 'and no claim is made' $? "$output"
for wrong in ET-EXPIRE-17 ET-RUN-2/never nothing ET-RUN ''; do
    output=$("$etalon" check --tolerate "$wrong" "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && [ "$output" = "etalon: --tolerate $wrong: no such failure (RUNNER.md has the \
table of them)" ]
    report_said "--tolerate '$wrong' is refused" $? "$output"
done
output=$("$etalon" check --tolerate ET-WAIT-3 "$work/NONE.so" 2>&1)
[ $? -eq 2 ] && grep -q -- '--tolerate ET-WAIT-3: nothing comes behind' <<<"$output"
report_said '--tolerate of spinning is refused' $? "$output"

# ---- for programs --------------------------------------------------------------------------------

"$etalon" check --case 'timer*' --tap "$work/tap" --junit "$work/junit" --json "$work/json" \
    "$work/EARLY.so" >"$work/text" 2>&1
[ $? -eq 1 ] && grep -q '^not ok .*bad/timer-not-early: fail' "$work/tap" &&
    grep -q '^fail ET-EXPIRE-4' "$work/text"
report_said 'the test-anything protocol beside the text' $? "$(cat "$work/text")"
for option in tap junit json summary; do
    output=$("$etalon" check --case timer-zero --$option - "$work/NONE.so" 2>&1)
    case $option in
    tap) pattern='^TAP version 13$' ;;
    junit) pattern='^<?xml' ;;
    *) pattern='^{"' ;;
    esac
    head -n 1 <<<"$output" | grep -q -- "$pattern" && ! grep -q '^bad .* asked' <<<"$output"
    report_said "--$option - writes to standard output, and nothing else does" $? "$output"
done
for wrong in '--tap - --json -' '--matrix --tap -'; do
    # shellcheck disable=SC2086 # words
    output=$("$etalon" check --case timer-zero $wrong "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && grep -q 'standard output has another use already' <<<"$output" &&
        [ "$(wc -l <<<"$output")" -eq 1 ]
    report_said "$wrong is refused" $? "$output"
done
for name in /dev/stdout /proc/self/fd/1; do
    output=$("$etalon" check --case timer-zero --tap - --json $name "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && [ "$output" = 'etalon: --tap: standard output has another use already' ]
    report_said "--tap - --json $name is refused" $? "$output"
    output=$("$etalon" check --case timer-zero --json $name "$work/NONE.so" 2>&1)
    [ $? -eq 0 ] && python3 -c 'import json, sys; json.loads(sys.argv[1])' "$output" 2>/dev/null
    report_said "--json $name is all that is printed" $? "$output"
done
output=$("$etalon" check --case timer-zero --json /dev/null "$work/NONE.so" 2>&1 >/dev/null)
report_said '/dev/null takes both' $? "$output"
for option in tap junit json html summary baseline gate cases law profiles; do
    output=$("$etalon" check --case timer-zero --$option "$work/1" --$option "$work/2" \
        "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && [ "$output" = "etalon: --$option $work/2: it was given already, as $work/1" ]
    report_said "a second --$option is refused" $? "$output"
done
mkfifo "$work/fifo"
output=$(timeout 60 "$etalon" check --case timer-zero --json "$work/fifo" --tap "$work/after" \
    "$work/NONE.so" 2>&1)
[ $? -eq 2 ] && grep -q 'fifo: nobody reads this pipe$' <<<"$output" && [ -s "$work/after" ]
report_said 'a pipe that nobody reads is no end of all outputs' $? "$output"
timeout 60 "$etalon" check --case timer-zero --json "$work/fifo" "$work/NONE.so" >/dev/null 2>&1 &
sleep 1
timeout 60 cat "$work/fifo" | grep -q '^{'
report 'one that is read later is waited for' $?
wait $!
output=$("$etalon" check --case timer-zero --html - "$work/NONE.so" 2>&1)
[ $? -eq 2 ] && grep -q 'etalon: --html -: ' <<<"$output"
report_said '--html - is refused' $? "$output"
for option in junit; do
    output=$("$etalon" check --case timer-zero --$option "$work" "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && grep -q -- "--$option .*Is a directory" <<<"$output"
    report_said "--$option into a folder is refused" $? "$output"
done

valid() { # valid FILE
    xmllint --noout --schema tests/suites/kit/junit.xsd "$1" 2>&1
}
cat >"$work/odd.sed" <<'EOF'
s/^ETALON_SUBJECT = {/static const char *version(void) {\
    return "1<\&\\"\\x01\\xff]]>\\xef\\xbf\\xbf";\
}\
&\
    .version = version,/
EOF
sed -f "$work/odd.sed" tests/suites/kit/bad_subject.c >"$work/odd.c" &&
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -shared -fPIC -Ifuzz/driver -DFAULT=ASSERTS \
    "$work/odd.c" -o "$work/odd.so"
"$etalon" check --case 'timer*' --junit "$work/odd.xml" "$work/odd.so" \
    "$work/../../subjects/etalon.so" >/dev/null 2>&1
if command -v xmllint >/dev/null; then
    output=$(valid "$work/junit")
    report_said "JUnit's XML is valid" $? "$output"
    output=$(valid "$work/odd.xml")
    report_said "JUnit's XML is valid, whatever a subject says" $? "$output"
    for spoil in 's/ time="[0-9.]*"//' 's/ type="[^"]*"//' 's/<testcase/<test/' 's/ id="0"//'; do
        sed "$spoil" "$work/junit" >"$work/spoilt.xml"
        ! valid "$work/spoilt.xml" >/dev/null
        report_said "the validator finds $spoil" $?
    done
else
    number=$((number + 1))
    echo "ok $number - JUnit's XML is valid # SKIP xmllint is not installed"
fi
python3 - "$work/junit" "$work/json" <<'EOF'
import json, sys, xml.etree.ElementTree as xml
root, full = xml.parse(sys.argv[1]).getroot(), json.load(open(sys.argv[2], encoding="utf-8"))
[suite] = root
tests = suite.findall("testcase")
kinds = {"failure": ("fail",), "error": ("crash", "hang"), "skipped": ("not_offered",)}
for kind, verdicts in kinds.items():
    number = sum(r["verdict"] in verdicts for r in full["results"])
    of_attribute = {"failure": "failures", "error": "errors", "skipped": "skipped"}[kind]
    assert int(suite.get(of_attribute)) == number == sum(t.find(kind) is not None for t in tests)
assert len(tests) == len(full["results"]) == int(suite.get("tests"))
bad = next(t for t in tests if t.find("failure") is not None)
assert bad.find("failure").get("type") == "ET-EXPIRE-4"
assert "etalon-trace 1" in bad.find("failure").text
EOF
report_said "JUnit's XML has what the JSON file has" $?

# ---- baselines -----------------------------------------------------------------------------------

known() { # known FAULT OPTION…
    local fault=$1
    shift
    "$etalon" check --case 'timer*' --baseline "$work/known" "$@" "$work/$fault.so" 2>&1
}
output=$(known EARLY)
[ $? -eq 2 ] && grep -q -- '--baseline .*No such file.*--update-baseline' <<<"$output"
report_said 'a baseline that is not there' $? "$output"
output=$(known EARLY --update-baseline)
[ $? -eq 0 ] && head -n 1 "$work/known" | grep -qx 'etalon-baseline 1' &&
    grep -qx 'bad case fail ET-EXPIRE-4 timer-not-early' "$work/known"
report_said '--update-baseline writes it' $? "$output; $(cat "$work/known")"
cp "$work/known" "$work/first"
output=$(known EARLY)
[ $? -eq 0 ] && grep -q '^  known .* failures that .*known has' <<<"$output" &&
    ! grep -q '^fail' <<<"$output"
report_said 'what is known does not fail' $? "$output"
output=$(known EARLY --tap -)
[ $? -eq 0 ] && grep -q '^not ok .*timer-not-early: fail # TODO' <<<"$output"
report_said '… and is a TODO of the test-anything protocol' $? "$output"
output=$(known NONE)
[ $? -eq 1 ] &&
    grep -q 'gone  .*known:[0-9]*: timer-not-early: it is now a pass' <<<"$output"
report_said 'an unexpected pass fails' $? "$output"
output=$(known NONE --tap - --junit "$work/gone.xml")
[ $? -eq 1 ] && grep -q '^not ok .*timer-not-early: pass$' <<<"$output" &&
    grep -q '<failure message="it is now a pass, ' "$work/gone.xml"
report_said '… also in the protocol, and in XML' $? "$output"
output=$(known TWICE)
[ $? -eq 1 ] && grep -q '^fail ET-STATE-3' <<<"$output" && grep -q '^  gone  ' <<<"$output"
report_said 'a new failure, and what it takes the place of' $? "$output"
cmp -s "$work/known" "$work/first"
report_said 'without --update-baseline it stays as it is' $?
"$etalon" check --case timer-zero --baseline "$work/known" --update-baseline "$work/NONE.so" \
    >/dev/null 2>&1
cmp -s "$work/known" "$work/first"
report_said 'what was not looked at stays in it' $?
known NONE --update-baseline >/dev/null
! grep -q '^bad' "$work/known" && ! ls "$work"/known.* >/dev/null 2>&1
report_said 'what has gone leaves it' $? "$(cat "$work/known")"

random() { # random FAULT OPTION…
    local fault=$1
    shift
    "$etalon" check --case nothing-to-do --random 300 --seed 7 --baseline "$work/random" "$@" \
        "$work/$fault.so" 2>&1
}
output=$(random EARLY --update-baseline) &&
    grep -qx 'bad random fail ET-EXPIRE-4 of 300 programs with seed 7' "$work/random" &&
    output=$(random EARLY)
report_said 'sorts of failures of random programs are known, too' $? "$output"
output=$(random NONE)
[ $? -eq 1 ] && grep -q 'gone .*no random program is a fail by ET-EXPIRE-4 any more' <<<"$output"
report_said 'one that is gone fails' $? "$output"
output=$("$etalon" check --case nothing-to-do --random 300 --seed 8 --baseline "$work/random" \
    "$work/NONE.so" 2>&1)
report_said '… but of other programs it is not expected' $? "$output"
output=$(random UNSORTED)
[ $? -eq 1 ] && grep -q '^fail ET-' <<<"$output"
report_said 'one that is new fails' $? "$output"

malformed() { # malformed LINE PATTERN TEXT
    printf "$3" >"$work/malformed"
    output=$("$etalon" check --case timer-zero --baseline "$work/malformed" ${4:+"$4"} \
        "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && grep -qE -- "^etalon: .*malformed:$1: .*$2" <<<"$output" &&
        [ "$(wc -l <<<"$output")" -eq 1 ] && printf "$3" | cmp -s - "$work/malformed"
    report_said "a malformed baseline: $2" $? "$output"
}
first='etalon-baseline 1\n'
malformed 1 'expected .etalon-baseline 1' ''
malformed 1 'expected .etalon-baseline 1' 'etalon-baseline 2\n'
malformed 2 "expected 'SUBJECT case" "${first}bad case fail\n"
malformed 2 "expected 'SUBJECT case" "${first}bad case fail ET-EXPIRE-4\n"
malformed 2 "expected 'case' or 'random'" "${first}bad cases fail ET-EXPIRE-4 timer\n"
malformed 3 'expected fail, hang, crash' "$first\nbad case pass - timer\n"
for number_of in 'x programs with seed 1' '1 programs with seed 1 2' '1 programs'; do
    malformed 2 'of N programs with seed S' "${first}bad random fail ET-EXPIRE-4 of $number_of\n"
done
malformed 3 'the same is said in line 2' "${first}bad case fail ET-A-1 t\nbad case hang - t\n"
malformed 2 'ET-EXPIRE-17: the law has no such clause' "${first}bad case fail ET-EXPIRE-17 t\n"
malformed 2 'ET-RUN: the law has no such clause' "${first}bad case not_strict ET-RUN t\n"
malformed 2 'no such kind of failure' "${first}bad case fail ET-RUN-2/never timer-zero\n"
malformed 2 'Timer: expected a clause' "${first}bad case fail Timer timer-zero\n"
malformed 2 'no such clause' "${first}bad random fail ET-EXPIRE-17 of 5 programs with seed 1\n"
malformed 2 'really: expected nothing behind the name' "${first}bad case hang - timer-zero really\n"
malformed 2 'a byte 0' "${first}bad case fail\\0 ET-A-1 t\n"
malformed 2 'a control character' "${first}bad case fail ET-A-1 t\tu\n"
malformed 2 'too long' "${first}bad case fail ET-A-1 $(head -c 5000 /dev/zero | tr '\0' x)\n"
malformed 1 'expected .etalon-baseline 1' 'something else\n' --update-baseline
refused() { # refused PATTERN OPTION…
    local pattern=$1
    shift
    output=$("$etalon" check --case timer-zero "$@" "$work/NONE.so" 2>&1)
    [ $? -eq 2 ] && grep -qE -- "$pattern" <<<"$output" && [ "$(wc -l <<<"$output")" -eq 1 ]
    report_said "refused: $*" $? "$output"
}
refused '--update-baseline: needs --baseline' --update-baseline
refused '--update-baseline .*: nothing is run with --dry-run' --update-baseline \
    --baseline "$work/x" --dry-run
refused 'no regular file' --baseline "$work"
refused 'No such file' --baseline "$work/nowhere/x" --update-baseline
cp "$work/known" "$work/read"
refused 'it is read, and would be overwritten' --tap "$work/read" --baseline "$work/read"
refused 'no regular file' --baseline /dev/zero
refused 'it is read, and would be overwritten' --json "$work/known" --baseline "$work/known" \
    --update-baseline
if mknod "$work/full" c 1 7 2>/dev/null; then
    for option in tap junit; do
        output=$("$etalon" check --case timer-zero --$option "$work/full" "$work/NONE.so" 2>&1)
        [ $? -eq 2 ] && grep -q 'full: No space left on device' <<<"$output"
        report_said "--$option onto a full disk" $? "$output"
    done
    output=$("$etalon" check --case timer-zero "$work/NONE.so" 2>&1 >"$work/full")
    [ $? -eq 2 ] && grep -q 'standard output: No space left on device' <<<"$output"
    report_said 'the text onto a full disk' $? "$output"
fi

# ---- libuv ---------------------------------------------------------------------------------------

if [ ! -e build/subjects/libuv.so ]; then
    number=$((number + 1))
    echo "ok $number - libuv # SKIP it is not installed"
    plan
    exit
fi
output=$("$etalon" check build/subjects/libuv.so 2>&1)
[ $? -le 1 ] && [ "$(wc -l <<<"$output")" -le 60 ] && ! grep -qE '.{101}' <<<"$output" &&
    grep -q '^  claim      libuv ' <<<"$output"
report_said "libuv's output, of six sorts, is on one screen of sixty lines" $? "$output"

changed() { # changed NAME TEXT BY: libuv's adapter with other text, which has to be there
    python3 - tests/kit/adapters/libuv.c "$work/$1.c" "$2" "$3" <<'EOF' &&
import pathlib, sys
text = pathlib.Path(sys.argv[1]).read_text()
if text.count(sys.argv[3]) != 1:
    sys.exit(f"{sys.argv[3]}: not once in {sys.argv[1]}")
pathlib.Path(sys.argv[2]).write_text(text.replace(sys.argv[3], sys.argv[4]))
EOF
        WERROR='' tests/kit/build.sh "$work/$1.c" "$work/$1.so"
}
"$etalon" check --baseline "$work/libuv.txt" --update-baseline build/subjects/libuv.so >/dev/null &&
    output=$("$etalon" check --baseline "$work/libuv.txt" build/subjects/libuv.so 2>&1)
report_said 'libuv as it is agrees with its baseline' $? "$output"
# Timers that are due in libuv's sense wait another millisecond: those that were early are no more.
output=$(changed later 'return uv_timer_start(&w->timer, on_timer, w->delay_ms, 0);' \
    'return uv_timer_start(&w->timer, on_timer, w->delay_ms + 1, 0);' 2>&1) &&
    output=$("$etalon" check --baseline "$work/libuv.txt" "$work/later.so" 2>&1)
[ $? -eq 1 ] && grep -q '^  gone .*timer-not-early: it is now a pass' <<<"$output"
report_said 'an adapter of which something passes: the baseline reports it' $? "$output"
output=$(changed forgets 'uv_timer_stop(&w->timer);
        return;' 'return;' 2>&1) &&
    output=$("$etalon" check --baseline "$work/libuv.txt" "$work/forgets.so" 2>&1)
[ $? -eq 1 ] && grep -qE '^(fail|crash) ' <<<"$output" && ! grep -q '^fail ET-EXPIRE-4' <<<"$output"
report_said 'one that forgets to stop timers: the baseline reports what is new alone' $? "$output"

plan
