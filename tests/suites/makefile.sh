#!/bin/sh
# SPDX-License-Identifier: MIT
# The Makefile's own promises: make help has every target, a change of flags compiles anew, a header
# alone is no library, one version, a licence in each source file. Works on a copy; prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
work=$PWD/build/test/makefile-$$
trap 'rm -rf "$work"' EXIT
mkdir -p "$work" || exit 2
cp -r Makefile src model fuzz spec tests coverage "$work" || exit 2
export MAKEFLAGS=
unset VARIANT
. tests/suites/tap.sh

verdict() { # verdict NAME STATUS: what is in $work/log explains a failure
    report "$1" "$2" "$work/log"
}

copy() { # copy ARGUMENTS…: make in the copy
    make -C "$work" "$@" 2>&1
}

sed -n 's/^\.PHONY: //p' Makefile | tr ' ' '\n' | grep -v '[$]\|^FORCE$' | sort >"$work/targets"
copy help | sed -n 's/^  \([a-z_.-]*\)  *[^ ].*/\1/p' | sort >"$work/helped"
diff "$work/targets" "$work/helped" >"$work/log" && test "$(wc -l <"$work/targets")" -gt 30
verdict 'make help has a line for each target' $?

cat >"$work/cc" <<'END'
#!/bin/sh
# A compiler that finds the header of Jansson, as a cross compiler may, but has no such library.
case " $* " in *' -ljansson '*) exit 1 ;; esac
exec cc "$@"
END
chmod +x "$work/cc"
mkdir "$work/include" && touch "$work/include/jansson.h"
jansson=build/default/jansson.flags
copy CC="$work/cc" CPPFLAGS="-I$work/include" $jansson >"$work/log" && test ! -s "$work/$jansson"
verdict 'a library of which there is only the header is not there' $?

# setup.sh, where all packages are there
mkdir "$work/bin" && printf '#!/bin/sh\necho installed\n' >"$work/bin/dpkg-query" &&
    chmod +x "$work/bin/dpkg-query"
PATH=$work/bin:$PATH sh tests/setup.sh one-more >"$work/log" 2>&1 &&
    test "$(wc -l <"$work/log")" = 1 &&
    grep -q '^setup: all [0-9]* Debian packages that the checks need are here$' "$work/log"
verdict 'make setup says so when there is nothing to do' $?

for flags in -O1 -O1 -O0; do copy CFLAGS=$flags build/default/src/async.o; done >"$work/log"
test "$(grep -c 'cc .*async.o' "$work/log")" = 2
verdict 'a change of flags compiles anew, and nothing else does' $?

copy compile_commands.json >"$work/log" && python3 - "$work" >>"$work/log" 2>&1 <<'END'
import json, os, sys
entries = json.load(open(sys.argv[1] + "/build/compile_commands.json"))
assert len(entries) > 40 and all(entry["file"] in entry["command"] for entry in entries)
assert all(os.path.exists(os.path.join(entry["directory"], entry["file"])) for entry in entries)
END
verdict 'compile_commands.json names the files and how they are compiled' $?

version() { # version FILE EXPRESSION: the first match of the sed expression
    echo "$(sed -n "s/$2/\1/p" "$1" | head -n 1) $1"
}
{
    version src/etalon.h '^#define ET_VERSION *"\([^"]*\)".*'
    version CITATION.cff '^version: *\(.*\)'
    version CHANGELOG.md '^## \([0-9.]*\).*'
} >"$work/log"
test "$(cut -d' ' -f1 "$work/log" | sort -u | wc -l)" = 1 && ! grep -q '^ ' "$work/log"
verdict 'one version' $?
{
    version src/etalon.h '^#define ET_SPECIFICATION *"\([^"]*\)".*'
    version spec/etalon.md '^Version \([^ ]*\)\.$'
} >"$work/log"
test "$(cut -d' ' -f1 "$work/log" | sort -u | wc -l)" = 1 && ! grep -q '^ ' "$work/log"
verdict 'one version of the law' $?

sources='Makefile .ci src spec model fuzz tests coverage'
# shellcheck disable=SC2086 # a list of words
{
    find $sources -type f |
        grep -E '\.([ch13]|def|pml|css|py|sh|bash|mjs|js|zig|pc\.in)$|^Makefile$'
    grep -rIl '^#!/' $sources
} | grep -v __pycache__ | sort -u | xargs grep -L 'SPDX-License-Identifier: MIT' >"$work/log"
test ! -s "$work/log"
verdict 'a licence in each source file' $?

plan
