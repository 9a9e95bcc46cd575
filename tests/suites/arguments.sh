#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows what the tool says of arguments that it cannot use: one line that names the file or the
# option and says what to do instead, exit status 2, and nothing written; and that each command has
# a help of its own. Called by tests/run; prints the test-anything protocol.
#
#   tests/suites/arguments.sh [ETALON]        (build/default/etalon)
cd "$(dirname "$0")/../.." || exit 2
etalon=$(realpath "${1:-build/default/etalon}")
tree=$PWD
work=build/test/arguments
rm -rf "$work" && mkdir -p "$work" && cd "$work" || exit 2
. "$tree/tests/suites/tap.sh"

refused() { # refused PATTERN ARGUMENT…: one line on standard error that matches, and nothing else
    local pattern=$1 output status
    shift
    output=$(timeout 60 "$etalon" "$@" 2>&1 >out </dev/null)
    status=$?
    [ $status -eq 2 ] && [ "$(wc -l <<<"$output")" -eq 1 ] && [ ! -s out ] &&
        grep -qE -- "^etalon: $pattern" <<<"$output"
    report_said "refused: $*" $? "exit status $status: $output$(head -n 3 out)"
}
build() { # build FILE [OPTION…]: the adapter of a loop that is good
    local file=$1
    shift
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -w -I"$tree/fuzz/driver" -DFAULT=NONE "$@" \
        "$tree/tests/suites/kit/bad_subject.c" -o "$file"
}

# ---- what is no adapter --------------------------------------------------------------------------

build good.so -shared -fPIC && build object.o -c -fPIC || report 'an adapter' 1
how="an adapter is built by 'cc -shared -fPIC my\.c -lmyloop -o my\.so' \(ADAPTERS\.md\)\$"
echo 'int main(void) { return 0; }' >program.c
for source in c cpp cc cxx; do
    cp program.c "source.$source"
    refused "source.$source: this is a source file, and no shared object: $how" check \
        "source.$source"
done
${CC:-cc} -no-pie program.c -o program && ${CC:-cc} -fPIE -pie program.c -o pie &&
    ar rc archive.a object.o
report 'programs and an archive' $?
echo 'int nothing;' | ${CC:-cc} -shared -fPIC -x c - -o library.so
echo 'int nothing(void); int all(void) { return nothing(); }' |
    ${CC:-cc} -shared -fPIC -x c - -o unlinked.so
echo '#!/bin/sh' >script.so
head -c 4000 /dev/urandom | tr '\177' 'x' >noise.so
head -c 40 good.so >cut.so
size=$(stat -c %s good.so)
for part in 1 2 3; do # in its segments, and in its table of sections
    head -c $((size * part / 4)) good.so >"quarters-$part.so"
done
head -c $((size - 1)) good.so >shorter.so
: >empty.so
mkfifo pipe.so
mkdir folder.so
refused "program: this is a program, and no shared object: $how" check program
refused "pie: this is a program, and no shared object: $how" check pie
refused "archive.a: this is a static archive, and no shared object: $how" check archive.a
refused "object.o: this is an object file that is not linked, and no .*$how" check object.o
refused "script.so: this is no program code \(ELF\), and no shared object: $how" check script.so
refused "noise.so: this is no program code \(ELF\), and no shared object: $how" check noise.so
refused "empty.so: this is an empty file, and no shared object: $how" check empty.so
refused "folder.so: this is a folder, and no shared object: $how" check folder.so
refused "pipe.so: this is no regular file, and no shared object: $how" check pipe.so
refused "cut.so: cannot be loaded: file too short" check cut.so
for of in quarters-1 quarters-2 quarters-3 shorter; do
    refused "$of.so: the file is cut off: by its headers it has at least [0-9]+ bytes, and .*" \
        check $of.so
done
strip -o stripped.so good.so && "$etalon" check --dry-run --case timer-zero stripped.so >out 2>&1
report_said 'one without symbols is whole' $? "$(head -n 3 out)"
refused "unlinked.so: .*undefined symbol: nothing \(is it linked with its loop\?\)\$" check \
    unlinked.so
refused "library.so: exports no symbol 'etalon_subject': a library, and no adapter" check \
    library.so
refused "nowhere.so: No such file or directory\$" check nowhere.so
refused "archive.a: this is a static archive" reproduce --adapter archive.a timer-zero \
    "$tree/tests/kit/examples/tiny_adapter.c"

# ---- what is no trace ----------------------------------------------------------------------------

header='expected the header "etalon-trace 1"'
hint=' \(a fuzz input that is a text is named \.bin\)$'
printf 'Read this first\n' >readme
printf 'caf\xc3\xa9, \xe2\x80\xa6 and so on\n' >words
printf '{"etalon-recording":1,"observes":[]}' >recording.ndjson
printf '\xef\xbb\xbfetalon-trace 1\nmain\n  run once\n' >marked
printf 'Etalon-Trace 1\nmain\n\0\n' >capital
printf 'etalon-trace 1\r\nmain\r\n' >dos
printf 'etalon-trace 1\nmain\n  fly c0\n' >unnamed
for command in replay decode record shrink; do
    refused "readme: line 1: $header$hint" $command readme
done
refused "readme: line 1: $header$hint" compare --output . readme
refused "readme: line 1: $header$hint" encode --output encoded readme
refused "words: line 1: $header$hint" replay words
refused "recording.ndjson: line 1: $header$hint" replay recording.ndjson
refused 'marked: this is a text with a byte order mark: save it without one \(a fuzz .*\.bin\)$' \
    replay marked
cp marked marked.trace
refused 'marked\.trace: this is a text with a byte order mark: save it without one$' replay \
    marked.trace
printf 'etalon-trace 1\nmain\n  run once\n' | iconv -t UTF-16 >wide
printf 'etalon-trace 1\nmain\n  run once\n' | gzip >packed
refused 'wide: this is UTF-16: save it as UTF-8 \(a fuzz input is named \.bin\)$' replay -q wide
refused 'packed: this is compressed by gzip: unpack it \(.*\.bin\)$' replay --quiet packed
refused "capital: line 1: $header$hint" replay capital
refused 'dos: line 1: the control byte \\x0d at column 15$' replay dos
refused 'unnamed: line 3: .*fly.?$' replay unnamed
refused "readme: line 1: $header$hint" check --cases readme good.so
name=0123456789abcdef0123456789abcdef01234567
cp readme $name && cp readme crash-$name && cp readme readme.bin && cp readme id:0,src:1
printf 'etalon\0\n' >etalon.bin && printf ' \nEtalon-Trace 2\n' >blanks.bin
printf 'etalon-trace 12\nmain\n' >twelve.bin && cp wide wide.bin && cp packed packed.bin
printf '\1\2\3etalon\n' >binary
printf '\n' >line
: >nothing
for input in $name crash-$name readme.bin id:0,src:1 etalon.bin blanks.bin twelve.bin wide.bin \
    packed.bin binary line nothing; do
    output=$("$etalon" replay $input 2>&1 >out)
    [ $? -eq 0 ] && [ "$output" = "etalon: $input: no trace: it is read as a fuzz input" ] &&
        grep -q 'no difference in' out
    report_said "read as a fuzz input, and said so: $input" $? "$output"
done
output=$("$etalon" replay --quiet binary 2>&1 >out)
[ "$output" = 'etalon: binary: no trace: it is read as a fuzz input' ]
report_said '… also with --quiet, where the name does not say it' $? "$output"
printf 'etalon-trace 1\nbody 1\nmain\n  timer c0 0ms do b1\n  run once\n' >whole.bin
output=$("$etalon" replay --quiet whole.bin readme.bin 2>&1)
[ $? -eq 0 ] && grep -q '^whole.bin: no difference in 2 commands' <<<"$output" &&
    ! grep -q 'no trace' <<<"$output"
report_said 'a whole trace is one by any name' $? "$output"
output=$("$etalon" replay "$tree/spec/cases/timer-zero.trace" 2>&1 >out)
[ $? -eq 0 ] && [ -z "$output" ]
report_said 'of a trace this is not said' $? "$output"

# ---- one of a kind -------------------------------------------------------------------------------

printf 'etalon-trace 1\nbody 1\nmain\n  timer c0 0ms do b1\n  run once\n' >one.trace
output=$("$etalon" replay --quiet one.trace 2>&1)
[ "$output" = 'one.trace: no difference in 2 commands, 1 callback, 1 wait' ]
report_said 'one callback, and no "1 callbacks"' $? "$output"
output=$("$etalon" torture --sample 1000000 one.trace 2>&1)
grep -q ' in 1 program, 0 failures$' <<<"$output"
report_said '… and one program' $? "$output"
output=$("$etalon" compare --output . one.trace 2>&1)
[ "$output" = '1 program compared, 0 not comparable, 0 differences' ]
report_said '… that is compared' $? "$output"

# ---- options and --help --------------------------------------------------------------------------

commands='replay check-cases record decode encode shrink torture compare check judge reproduce'
for command in $commands; do
    refused "$command: unknown option '--foo'; see etalon $command --help\$" "$command" --foo x
    output=$("$etalon" "$command" --help 2>&1)
    [ $? -eq 0 ] && head -n 1 <<<"$output" | grep -q "^usage: etalon $command " &&
        grep -q '^Exit status: ' <<<"$output" && ! grep -qE '.{101}' <<<"$output"
    report_said "$command --help is about it, in 100 columns" $? "$output"
    ! "$etalon" "$command" --help >/dev/full 2>err
    report "$command --help on a full disk" $?
done
output=$("$etalon" --help 2>&1)
[ $? -eq 0 ] && ! grep -qE '.{101}' <<<"$output" && for command in $commands; do
    grep -q "^  $command " <<<"$output" || break
done
report_said '--help has each command, in 100 columns' $? "$output"
refused "unknown option '--foo'; see etalon --help\$" --foo
refused "check: --list takes no argument; see etalon check --help\$" check --list=3
refused "check: --case needs an argument; see etalon check --help\$" check --case
refused "replay: -w needs an argument; see" replay -w
refused "replay: unknown option '-z'; see" replay -qz x
refused "replay: --s can be more than one option; see" replay --s x
refused "decode: --seconds is for shrink and check-cases; see etalon decode --help\$" decode \
    --seconds 3 x
refused "check-cases: --no-fork is for replay; see" check-cases --no-fork x
refused "decode: --world is for replay, check-cases, record and shrink; see etalon decode" decode \
    --world real x
refused "encode: --world is for .*; see" encode --output folder -w simulated x
refused "torture: --world is for .*; see" torture --world simulated x
refused "replay: --output is for record, decode, encode, .* and reproduce; see" replay \
    --output file x
for command in check-cases record decode encode shrink torture; do
    refused "$command: --quiet is for replay, check and judge; see" $command --quiet x
done
refused "replay: no FILE is given; see etalon replay --help\$" replay
refused "unknown command 'nonsense'; see etalon --help\$" nonsense --help
refused "unknown command 'nonsense'; see etalon --help\$" --help nonsense
refused "unknown command 'nonsense'; see etalon --help\$" nonsense --help replay
refused "check: its options stand behind it; see etalon check --help\$" --quiet check good.so
for command in $commands; do
    [ "$("$etalon" --help "$command")" = "$("$etalon" "$command" --help)" ] &&
        [ "$("$etalon" "$command" file --help)" = "$("$etalon" "$command" --help)" ]
    report "--help $command is $command --help" $?
done

# ---- outputs -------------------------------------------------------------------------------------

for option in tap junit json html summary; do
    for without in --dry-run --list; do
        subject=good.so
        [ $without = --dry-run ] || subject=
        refused "--$option file: nothing is run with $without, and nothing to be written\$" \
            check $without --$option file $subject
    done
done
refused "--update-baseline file: nothing is run with --dry-run" check --dry-run --baseline file \
    --update-baseline good.so
printf '{"etalon-recording":1,"observes":[]}\n' >lawful.ndjson
refused 'judge: --json lawful.ndjson: it is read, and would be overwritten$' judge \
    --json lawful.ndjson lawful.ndjson
cp "$tree"/tests/kit/examples/tiny_* .
refused '--output: tiny_adapter.c: it is read, and would be overwritten$' reproduce \
    --output tiny_adapter.c timer-zero tiny_adapter.c
cmp -s tiny_adapter.c "$tree/tests/kit/examples/tiny_adapter.c" && [ ! -e file ]
report 'and nothing is written' $?

plan
