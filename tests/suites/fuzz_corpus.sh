#!/bin/bash
# SPDX-License-Identifier: MIT
# The committed corpus is within its bound and named by what it covers; the corpora of two machines
# are merged into one that reaches what both do (fuzz/corpus). Prints the test-anything protocol.
set -u
cd "$(dirname "$0")/../.." || exit 2
work=build/test/fuzz-corpus-$$
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/here" "$work/there" "$work/both" || exit 2
. tests/suites/tap.sh

fuzz/corpus --check >"$work/log" 2>&1
report 'the committed corpus is within its bound, and named by what it covers' $? "$work/log"

find build/fuzz/seeds -type f | sort | awk 'NR % 9 == 1' | xargs cp -t "$work/here"
find build/fuzz/seeds -type f | sort | awk 'NR % 9 == 4' | xargs cp -t "$work/there"
find "$work/here" -type f | sort | head -n 5 | while read -r file; do
    cp "$file" "$work/there/again-$(basename "$file")"
done
cp "$work/here"/* "$work/there"/* "$work/both"

merge() { # merge ARCHIVE FOLDER…
    local archive=$work/$1
    shift
    CORPUS_ARCHIVE=$archive CORPUS_BASE='' CORPUS_WORK=$work/merge \
        fuzz/corpus "$@" >"$work/log" 2>&1
}
reached() { sed -n 's/.*every row and result: //p' "$work/log"; }

merge one.tar.gz "$work/here" "$work/there"
report 'two folders are merged' $? "$work/log"
one=$(reached)
merge other.tar.gz "$work/there" "$work/here" && cmp "$work/one.tar.gz" "$work/other.tar.gz" \
    >>"$work/log" 2>&1
report 'in any order they give the same archive' $? "$work/log"
merge both.tar.gz "$work/both" && cmp "$work/one.tar.gz" "$work/both.tar.gz" >>"$work/log" 2>&1 &&
    test -n "$one" && test "$one" = "$(reached)"
report 'they reach what all inputs in one folder reach' $? "$work/log"
merge here.tar.gz "$work/here"
test "$(tar -tzf "$work/one.tar.gz" | wc -l)" -gt "$(tar -tzf "$work/here.tar.gz" | wc -l)" &&
    tar -tzf "$work/one.tar.gz" | grep -q 'more\|active'
report 'the second one has added to the first' $? "$work/log"

cp "$work/one.tar.gz" "$work/before"
! merge one.tar.gz "$work/here" "$work/nowhere" && grep -q 'nowhere is no folder' "$work/log" &&
    cmp "$work/one.tar.gz" "$work/before"
report 'a folder that is not there leaves the archive as it was' $? "$work/log"

CORPUS_ARCHIVE=$work/one.tar.gz fuzz/corpus --check >"$work/log" 2>&1
report 'what was merged is named by what it covers' $? "$work/log"
mkdir "$work/renamed" && tar -xzf "$work/one.tar.gz" -C "$work/renamed" &&
    for file in "$work/renamed"/*; do mv "$file" "${file%.trace}0.trace"; break; done
tar -czf "$work/renamed.tar.gz" -C "$work/renamed" .
! CORPUS_ARCHIVE=$work/renamed.tar.gz fuzz/corpus --check >"$work/log" 2>&1 &&
    grep -q 'not named by what it covers' "$work/log"
report 'another name is found' $? "$work/log"
head -c 2000001 /dev/urandom >"$work/renamed/large" && tar -czf "$work/large.tar.gz" \
    -C "$work/renamed" large
! CORPUS_ARCHIVE=$work/large.tar.gz fuzz/corpus --check >"$work/log" 2>&1 &&
    grep -q 'more than 2,000,000' "$work/log"
report 'a corpus beyond the bound is found' $? "$work/log"
plan
