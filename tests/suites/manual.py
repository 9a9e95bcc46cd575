#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the manual pages and the shells' completions against the header and the tool. Prints the
test-anything protocol.

usage: manual.py ETALON     called by `make test`

Every function of src/etalon.h is on a page, with its very prototype; every command and option of
`etalon --help`, and every one that the tool's sources know, is in etalon(1) and in both
completions, and nothing else is; pages name only clauses that exist; mandoc and groff have no
warnings. """
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASH = """source tests/tool/completion/etalon.bash
COMP_WORDS=(etalon {words}); COMP_CWORD=$(({count})); _etalon
printf '%s\\n' "${{COMPREPLY[@]}}" """
number = failed = 0


def check(name, problems):
    global number, failed
    number += 1
    failed += bool(problems)
    print(f"{'not ok' if problems else 'ok'} {number} - {name}")
    for problem in list(problems)[:20]:
        print(f"#   {problem}")


def skip(name, why):
    global number
    number += 1
    print(f"ok {number} - {name} # skip {why}")


def squeeze(text):
    return re.sub(r"\s*([*(),])\s*", r"\1", " ".join(text.split()))


def header_prototypes():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "src/etalon.h").read_text(), flags=re.S)
    found = re.findall(r"^((?:enum |struct |const )?\w+(?: \*)?) ?(et_\w+)\(([^;{]*)\);", text,
                       re.M)
    return {name: squeeze(f"{kind} {name}({arguments})") for kind, name, arguments in found}


def page_prototypes(text):
    synopsis = re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh ", text, re.S | re.M)[1]
    found, kind, name = {}, None, None
    for line in synopsis.splitlines():
        words = re.findall(r'"[^"]*"|\S+', line)
        words = [word.strip('"') for word in words]
        if words[0] == ".Ft":
            kind = " ".join(words[1:])
        elif words[0] == ".Fn":
            found[words[1]] = squeeze(f"{kind} {words[1]}({','.join(words[2:])})")
        elif words[0] == ".Fo":
            name, arguments = words[1], []
        elif words[0] == ".Fa":
            arguments.append(words[1])
        elif words[0] == ".Fc":
            found[name] = squeeze(f"{kind} {name}({','.join(arguments)})")
    return found


def check_functions(pages):
    declared = header_prototypes()
    documented, problems = {}, []
    for page, text in pages.items():
        names = set(re.findall(r"^\.Nm (\w+)",
                               text.split(".Sh LIBRARY")[0],
                               re.M)) if page.name != "etalon.h.3" else set()
        shown = page_prototypes(text) if page.suffix == ".3" else {}
        if page.suffix == ".3" and names != set(shown):
            problems.append(
                f"{page.name}: its names are {sorted(names)}, its synopsis has {sorted(shown)}")
        documented.update(shown)
    problems += [f"{name} is on no page" for name in declared if name not in documented]
    problems += [
        f"{name} is on a page, but not in src/etalon.h" for name in documented
        if name not in declared
    ]
    problems += [f"a page has {documented[name]}, the header {declared[name]}" for name in declared
                 if name in documented and documented[name] != declared[name]]
    problems += [] if len(declared) > 10 else ["the header's functions could not be read"]
    check(f"{len(declared)} functions of etalon.h are on a page, as they are declared", problems)
    overview = pages[ROOT / "src/man/etalon.h.3"]
    check("etalon.h(3) names them all",
          [name for name in declared if f".Xr {name} 3" not in overview])
    silent = [f"{page.name}: no '{what}'" for page, text in pages.items() if page.suffix == ".3"
              for what in ("Threads", ".Sh RETURN VALUES", "(ET-") if what not in text]
    check("each of these pages says which threads may call, what is returned, and the clauses",
          silent)


def tool_words(etalon):
    shown = subprocess.run([etalon, "--help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^  ([a-z][a-z-]+)  +\S", shown, re.M))
    for command in sorted(commands):  # some have a help of their own
        shown += subprocess.run([etalon, command, "--help"], capture_output=True, text=True).stdout
    return commands, set(re.findall(r"--[a-z][a-z-]*", shown))


def known_options():
    """What the sources of the tool hand to getopt_long."""
    text = "".join(path.read_text() for path in sorted((ROOT / "tests/tool").glob("*.c")) +
                   sorted((ROOT / "tests/kit").glob("*.c")))
    return {
        "--" + name
        for name in re.findall(r'\{"([a-z-]+)", (?:no|required|optional)_argument', text)
    }


def differences(what, wanted, found):
    return [f"{what} lacks {word}" for word in sorted(wanted - found)
            ] + [f"{what} has {word}, which --help lacks" for word in sorted(found - wanted)]


def options_of(etalon, commands):
    """{command: the options that its help has at the beginning of a line, and --help}."""
    return {command: {"--help"} | set(re.findall(
        r"^  (--[a-z][a-z-]*)",
        subprocess.run([etalon, command, "--help"], capture_output=True, text=True,
                       check=True).stdout, re.M)) for command in commands}


def zsh_options(zsh):
    """{command: its options}; what no branch names has those of the last one."""
    every = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.search(r"every=\((.*?)^\)", zsh,
                                                                 re.S | re.M)[1]))
    found = {}
    for names, text in re.findall(r"^([a-z|*-]+)\)(.*?);;", zsh, re.S | re.M):
        for name in names.split("|"):
            found[name] = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) | (
                every if "$every" in text else set())
    return found


def complete(*words):
    script = BASH.format(words=" ".join(f"'{word}'" for word in words), count=len(words))
    return set(
        subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT,
                       check=True).stdout.split())


def check_tool(etalon, page):
    commands, options = tool_words(etalon)
    check(f"--help has all of the {len(known_options())} options that the sources know",
          [option for option in known_options() if option not in options]
          or ([] if known_options() else ["no option was found"]))
    listed = page.split("The commands are:")[1].split("The options are:")
    check(
        "etalon(1) has the commands of --help",
        differences("the page", commands, set(re.findall(r"^\.It Cm ([a-z-]+)", listed[0], re.M))))
    check(
        "etalon(1) has the options of --help",
        differences(
            "the page", options,
            {"-" + word for word in re.findall(r"^\.It Fl (?:\w , )?(-[a-z-]+)", listed[1], re.M)}))
    runner = (ROOT / "tests/kit/RUNNER.md").read_text()
    words = set(re.findall(r"^\| \*([a-z_]+)\* \|", runner, re.M)) | set(
        re.findall(r"^\| ET-.* \| `([a-z]+)` \|", runner, re.M))
    told = set(re.findall(r"[a-z_]+", page.split(".Sh ADAPTERS AND VERDICTS")[1].split(".Sh ")[0]))
    check("etalon(1) has the verdicts and kinds of RUNNER.md",
          [f"the page lacks {word}" for word in sorted(words - told)]
          or ([] if words else ["none was found"]))
    check("completion for bash has the commands", differences("it", commands, complete("")))
    found = complete("-").union(*(complete(command, "-") for command in commands))
    check("completion for bash has the options", differences("it", options, found))
    check("completion for bash has the worlds",
          differences("it", {"real"}, complete("replay", "--world", "r")))
    zsh = (ROOT / "tests/tool/completion/_etalon").read_text()
    check("completion for zsh has the commands",
          differences("it", commands, set(re.findall(r"^    '([a-z-]+):", zsh, re.M))))
    check("completion for zsh has the options",
          differences("it", options, set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", zsh))))
    in_zsh, by_command = zsh_options(zsh), options_of(etalon, commands)
    for command in sorted(commands):
        check(f"… and those of {command}, as bash has",
              differences("zsh's", by_command[command], in_zsh.get(command, in_zsh["*"])) +
              differences("bash's", by_command[command], complete(command, "-")))
    if shutil.which("zsh"):
        result = subprocess.run(["zsh", "-n", ROOT / "tests/tool/completion/_etalon"],
                                capture_output=True, text=True)
        check("completion for zsh can be read",
              [result.stderr] if result.returncode or result.stderr else [])
    else:
        skip("completion for zsh can be read", "there is no zsh")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: manual.py ETALON")
    pages = {
        path: path.read_text()
        for path in [*sorted((ROOT / "src/man").iterdir()), ROOT / "tests/tool/etalon.1"]
    }
    check_functions(pages)
    check_tool(sys.argv[1], pages[ROOT / "tests/tool/etalon.1"])
    clauses = set(re.findall(r"\*\*(ET-[A-Z]+-\d+)\*\*", (ROOT / "spec/etalon.md").read_text()))
    check("the pages name clauses that exist", [
        f"{page.name}: {clause}" for page, text in pages.items()
        for clause in re.findall(r"ET-[A-Z]+-\d+", text) if clause not in clauses
    ])
    for tool, command in (("mandoc", ["mandoc", "-Tlint", "-Wwarning"]),
                          ("man", ["man", "--warnings", "-E", "UTF-8", "-l"])):
        if shutil.which(tool):
            problems = []
            for page in pages:
                result = subprocess.run([*command, page], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
                problems += (result.stderr +
                             (result.stdout if tool == "mandoc" else "")).splitlines()
            check(f"no warning from {tool}", problems)
        else:
            skip(f"no warning from {tool}", f"there is no {tool}")
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
