#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs into a directory under build/, compiles a program against what is there, and uninstalls.
# Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
root=$PWD/build/test/install-$$
trap 'rm -rf "$root"' EXIT
. tests/suites/tap.sh

verdict() { # verdict NAME STATUS: what is in $root/log explains a failure
    report "$1" "$2" "$root/log"
}

mkdir -p "$root"
make install DESTDIR="$root" PREFIX=/opt/etalon >"$root/log" 2>&1
verdict 'make install' $?
test "$(grep -c '^install: ' "$root/log")" = 1 &&
    grep -q "^install: .* in $root/opt/etalon\$" "$root/log"
verdict 'it says where things are' $?

grep -qx "Version: $(build/default/etalon --version | sed 's/[^0-9]*\([0-9.]*\).*/\1/')" \
    "$root/opt/etalon/lib/pkgconfig/etalon.pc" >"$root/log" 2>&1
verdict 'etalon.pc has the version' $?

cat >"$root/program.c" <<'END'
#include <etalon.h>
int main(void) {
    struct et_loop loop;
    return et_loop_init(&loop, NULL) != 0 || et_loop_run(&loop, ET_RUN_UNTIL_DONE) != 0 ||
           et_loop_deinit(&loop) != 0;
}
END
flags() { # what pkg-config would say
    sed -n "s|^$1: ||p" "$root/opt/etalon/lib/pkgconfig/etalon.pc" |
        sed "s|\${includedir}|$root/opt/etalon/include|g; s|\${libdir}|$root/opt/etalon/lib|g"
}
# shellcheck disable=SC2046 # a list of words
"${CC:-cc}" -std=c11 -Wall -Wextra -Werror $(flags Cflags) "$root/program.c" -o "$root/program" \
    $(flags Libs) \
    $(flags Libs.private) >"$root/log" 2>&1 && "$root/program" >>"$root/log" 2>&1
verdict 'a C program with the installed library' $?

if command -v clang++ >/dev/null; then
    # shellcheck disable=SC2046
    clang++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only $(flags Cflags) -x c++ \
        "$root/program.c" >"$root/log" 2>&1
    verdict 'the header in C++' $?
fi

nm -g --defined-only "$root/opt/etalon/lib/libetalon.a" |
    awk 'NF == 3 && $3 !~ /^eti?_/ { print $3 }' >"$root/log" 2>&1
test ! -s "$root/log"
verdict 'every name in the library begins with et_ or eti_' $?

man=$root/opt/etalon/share/man/man3
test -s "$root/opt/etalon/share/man/man1/etalon.1" &&
    grep -q '^\.so man3/et_loop_init\.3$' "$man/et_loop_deinit.3" >"$root/log" 2>&1 &&
    for function in $(sed -n 's/^[a-z].* \**\(et_[a-z_]*\)(.*/\1/p' src/etalon.h); \
    do test -s "$man/$function.3" || echo "no $function.3"; done >"$root/log" &&
    test ! -s "$root/log"
verdict 'a manual page for the tool and for each function' $?

echo '{"etalon":"","spec":"","created":"","abi":1,"seed":1,"random":0,"strict":false,' \
    '"clauses":[],"subjects":[],"cases":[],"results":[]}' \
    >"$root/none.json"
python3 "$root/opt/etalon/share/etalon/report.py" "$root/none.json" "$root/none.html" >"$root/log" \
    2>&1 && grep -q '</html>' "$root/none.html"
verdict 'the installed report, of a run without anything' $?

doc=$root/opt/etalon/share/doc/etalon
test -s "$doc/ADAPTERS.md" && test -s "$doc/RUNNER.md" &&
    grep -q '](RUNNER.md#verdicts)' "$doc/ADAPTERS.md" && (
    cd "$doc" && grep -oh '](\([^)#:]*\)[^)]*)' ./*.md | sed 's/^](//; s/[#)].*$//' | sort -u |
        while read -r link; do test -z "$link" || test -e "$link" ||
        echo "a link leads nowhere: $link"; done
) >"$root/log" 2>&1 && test ! -s "$root/log"
verdict 'how to write an adapter, and each link in it leads to what is installed' $?

# As a stranger would: from elsewhere, with nothing but what is installed.
cp "$root/opt/etalon/share/doc/etalon/examples/"tiny_* "$root/" && (
    cd "$root" || exit
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -shared -fPIC \
        -I"$root/opt/etalon/include" tiny_adapter.c tiny_loop.c -o tiny.so &&
        "$root/opt/etalon/bin/etalon" check --case 'timer-*' --html tiny.html ./tiny.so &&
        grep -q '</html>' tiny.html && grep -q 'id="timer-ties/tiny"' tiny.html
) >"$root/log" 2>&1
verdict 'an adapter by the installed header, checked by the installed tool, with its page' $?

(
    cd "$root" && mv opt/etalon/share/etalon/report_text.py .
    "$root/opt/etalon/bin/etalon" check --case timer-ties --html none.page ./tiny.so
    test $? = 2 && ! ls none.page*
    mv report_text.py opt/etalon/share/etalon/
) >"$root/log" 2>&1
verdict 'a page that cannot be made: status 2, and no half of it' $?

make uninstall DESTDIR="$root" PREFIX=/opt/etalon >"$root/log" 2>&1 &&
    find "$root/opt" -type f >>"$root/log" &&
    test -z "$(find "$root/opt" -type f)"
verdict 'make uninstall leaves nothing' $?

plan
