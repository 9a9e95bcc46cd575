#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks that the law is whole: every clause of etalon.md has a case in cases/, nothing cites a
# clause that does not exist, and what is generated from lifecycle.def is up to date. That every
# clause has a verdict is checked by tests/suites/tidy. Prints the test-anything protocol.
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
number=0 failures=0

report() { # report NAME FILE: an empty file is success, otherwise its lines say what is wrong
    number=$((number + 1))
    if [ -s "$2" ]; then
        failures=$((failures + 1))
        echo "not ok $number - $1"
        sed 's/^/#   /' "$2"
    else
        echo "ok $number - $1"
    fi
}

sed -n 's/^- \*\*\(ET-[A-Z]*-[0-9]*\)\*\* .*/\1/p' spec/etalon.md > "$work/listed"
sort -u "$work/listed" > "$work/clauses"
[ "$(wc -l < "$work/clauses")" -ge 80 ] ||
    echo "only $(wc -l < "$work/clauses") clauses were found" > "$work/few"
report "the clauses of etalon.md can be read" "$work/few"
sort "$work/listed" | uniq -d > "$work/double"
report "no clause number is used twice" "$work/double"

sed -n '/^- \*\*ET-/,/^$/p' spec/etalon.md | awk '
    /^- \*\*ET-/ { if (name != "" && text !~ /(MUST|SHOULD|MAY)/) print name; name = $2; text = "" }
    { text = text " " $0 }
    END { if (text !~ /(MUST|SHOULD|MAY)/) print name }' > "$work/toothless"
report "every clause says MUST, SHOULD or MAY" "$work/toothless"

cited() { grep -ohE 'ET-[A-Z]{2,9}-[0-9]{1,2}' "$@" 2> /dev/null | sort -u; }
sed -n 's/^clause //p' spec/cases/*.trace | tr ' ' '\n' | grep . | sort -u > "$work/cases"
# What no program can express, a unit test shows; tests/suites/tidy checks that there is such a one.
sed -n 's/^\(ET-[A-Z]*-[0-9]*\) tests\/unit\/.*/\1/p' spec/verdicts.exempt > "$work/by-test"
sort -u "$work/cases" "$work/by-test" | comm -23 "$work/clauses" - > "$work/no-case"
report "every clause has a case in spec/cases/, or a unit test" "$work/no-case"
cited model/*.[ch] src/*.[ch] spec/cases/*.trace spec/*.md spec/lifecycle.def fuzz/*/*.[ch] \
    tests/tool/*.c tests/unit/*.c README.md |
    comm -13 "$work/clauses" - > "$work/unknown"
report "every clause that is cited exists" "$work/unknown"

spec/render.py --check 2> "$work/stale"
report "what is generated from lifecycle.def is up to date" "$work/stale"

spec/profiles.py --check 2> "$work/profiles"
report "the lists of the profiles are those of the cases" "$work/profiles"

echo "1..$number"
[ "$failures" -eq 0 ]
