#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that the loops that are installed behave as spec/results.json has it, and that the page of
# each is small and says what it is of. Called by tests/run, which has built the subjects.
#
#   tests/suites/kit/published.sh [ETALON]        (build/default/etalon)
#
# Prints the test-anything protocol.
cd "$(dirname "$0")/../../.." || exit 2
etalon=${1:-build/default/etalon}
work=build/test/published
rm -rf "$work" && mkdir -p "$work" || exit 2
. tests/suites/tap.sh

"$etalon" check --matrix --gate etalon --json "$work/full.json" build/subjects/*.so \
    >"$work/said" 2>&1
report 'Etalon passes, and each loop is judged to the end' $? "$work/said"
tests/kit/publish.py --compare "$work/full.json" >"$work/said" 2>&1
report 'the verdicts are those that are published' $? "$work/said"

# one SUBJECT: what a run of this subject alone would have written
one() {
    python3 - "$work/full.json" "$1" <<'END' >"$work/$1.json"
import json
import sys
with open(sys.argv[1], encoding="utf-8") as file:
    whole = json.load(file)
for list_of, key in ("subjects", "name"), ("results", "subject"):
    whole[list_of] = [each for each in whole[list_of] if each[key] == sys.argv[2]]
assert len(whole["subjects"]) == 1 and whole["results"], sys.argv[2]
json.dump(whole, sys.stdout)
END
}

for subject in build/subjects/*.so; do
    name=$(basename "$subject" .so)
    page=$work/$name.html
    one "$name" && tests/kit/report.py "$work/$name.json" "$page" >"$work/said" 2>&1
    report "a page of $name is written" $? "$work/said"
    bytes=$(wc -c <"$page")
    [ "$bytes" -lt 2000000 ]
    report_said '… and has less than 2 MB' $? "$bytes bytes"
    output=$(sed -n 's/.*<span class="version">\([^<]*\)<.*class="*share"*>\([^<]*\)<.*/\1 \2/p' \
        "$page")
    grep -qE '^[0-9][0-9a-z.-]* [0-9]+ of [0-9]+ asked, [0-9]+ %$' <<<"$output"
    report_said '… and its version, and the share of what was asked' $? "$output"
done

# A command that a loop leaves undefined is left out of a random program, with all that it says:
# here a second wait on an async, by a completion that is rearmed then.
for name in libuv libev; do
    [ -e "build/subjects/$name.so" ] || continue
    "$etalon" check --case "random-1-83844-$name" "build/subjects/$name.so" >"$work/said" 2>&1
    report "$name: what is left out leaves no trace" $? "$work/said"
done

plan
