# SPDX-License-Identifier: MIT
"""What the analysers of gcc, clang, clang-tidy and cppcheck say of the code, for portable.py.

Each has its profile: ANALYSERS below, .clang-tidy, tests/portable/cppcheck.suppressions. A finding
is open unless tests/portable/findings.exempt has its reason; an entry there that no finding needs
is an error, too.
What an analyser cannot read is a failure, and so is one that says nothing of a fault
that is seeded in front of each run (tests/portable/seeded.c)."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("src", "model", "fuzz", "fuzz/driver", "fuzz/world", "tests/kit", "tests/tool")
SEEDED = "tests/portable/seeded.c"
EXEMPT = ROOT / "tests/portable/findings.exempt"
FILE_S = 600
BASE = ["-std=c11", "-D_GNU_SOURCE", "-pthread"]
DEFINED = {"fuzz/seen.c": ["-DMODEL_COUNTS"], "tests/tool/recording.c": ["-DETALON_WITH_JANSSON"]}

ANALYSERS = {  # name: (how it is called, what it says of SEEDED)
    "gcc-fanalyzer": (["gcc", *BASE, "-O2", "-Wall", "-Wextra", "-Wno-psabi",
                       "-fanalyzer", "-c", "-o", "/dev/null"],
                      "-Wanalyzer-null-dereference"),
    "clang-analyze": (["clang", *BASE, "--analyze", "--analyzer-output", "text"],
                      "core.NullDereference"),
    "clang-tidy": (["clang-tidy", "--quiet", "--", *BASE], "bugprone-branch-clone"),
    "cppcheck": (["cppcheck", "--quiet", "--std=c11", "--platform=unix64", "--inconclusive",
                  "--enable=warning,performance,portability", "--max-configs=1", "-D_GNU_SOURCE",
                  "-D__linux__", "--suppressions-list=tests/portable/cppcheck.suppressions",
                  "--template={file}:{line}:{column}: {severity}: {message} [{id}]"],
                 "nullPointer"),
}
NEEDS = {
    "gcc-fanalyzer": {"gcc": "gcc"},
    "clang-analyze": {"clang": "clang"},
    "clang-tidy": {"clang-tidy": "clang-tidy"},
    "cppcheck": {"cppcheck": "cppcheck"},
}
FINDING = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? "
                     r"(?P<severity>warning|error|fatal error|style|performance|portability): "
                     r"(?P<message>.*?)(?: \[(?P<check>[^][]+)\])?$", re.M)


def sources():
    return [str(path.relative_to(ROOT)) for folder in FOLDERS
            for path in sorted((ROOT / folder).glob("*.c"))]


def ask(analyser, file):
    """[(file, line, check, message)] of one file."""
    command = [*ANALYSERS[analyser][0], *DEFINED.get(file, [])]
    command.insert(command.index("--") if "--" in command else len(command), file)
    try:
        done = subprocess.run(command, cwd=ROOT, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=FILE_S)
    except subprocess.TimeoutExpired:
        return [(file, "0", "unread", f"no end after {FILE_S} s")]
    found = []
    for each in FINDING.finditer(done.stdout):
        name = os.path.relpath(ROOT / each["file"], ROOT)
        found.append((name, each["line"], each["check"] or "unread", each["message"]))
    if done.returncode != 0 and not found:
        found.append((file, "0", "unread", done.stdout.strip()[-300:] or "ended badly"))
    return found


def exemptions(analyser):
    """{(check, file, part of the message): line of the list}. Raises ValueError."""
    found = {}
    for number, line in enumerate(EXEMPT.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 5 or not all(parts):
            raise ValueError(f"{EXEMPT}:{number}: not ANALYSER | CHECK | FILE | MESSAGE | REASON")
        if parts[0] not in ANALYSERS:
            raise ValueError(f"{EXEMPT}:{number}: no analyser is called {parts[0]}")
        if parts[0] == analyser:
            found[tuple(parts[1:4])] = number
    return found


def judge(analyser, found):
    """The findings that nothing excuses, as lines, and how many are excused."""
    known, needed, wrong, excused = exemptions(analyser), set(), [], 0
    for file, line, check, message in sorted(set(found)):
        entry = next((key for key in known
                      if key[0] == check and key[1] == file and key[2] in message), None)
        needed.add(entry)
        if entry is None:
            wrong.append(f"{file}:{line}: {message} [{check}]")
        else:
            excused += 1
    wrong += [f"{EXEMPT.name}:{number}: nothing is found that needs this entry"
              for key, number in known.items() if key not in needed]
    return wrong, excused


def run(analyser, tests):
    started = time.monotonic()
    print(f"# {analyser}: {len(sources())} files", flush=True)
    jobs = int(os.environ.get("JOBS") or os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        asked = list(pool.map(lambda file: ask(analyser, file), [SEEDED, *sources()]))
    wanted = ANALYSERS[analyser][1]
    seen = any(check.endswith(wanted) for _, _, check, _ in asked[0])
    tests.report(f"{analyser}: finds what is seeded", seen, f"no {wanted} in {SEEDED}: {asked[0]}")
    wrong, excused = judge(analyser, [finding for each in asked[1:] for finding in each])
    seconds = time.monotonic() - started
    tests.report(f"{analyser}: no open finding in {len(sources())} files, {excused} with a reason"
                 f" ({seconds:.0f} s)", not wrong, "\n".join(wrong))
    return {"passed": int(seen) + (not wrong), "failed": (not seen) + bool(wrong),
            "analyser": [analyser, version(analyser), str(len(sources())), str(len(wrong)),
                         str(excused), "yes" if seen else "**no**", f"{seconds:.0f}"]}


def version(analyser):
    said = subprocess.run([next(iter(NEEDS[analyser])), "--version"], text=True, check=False,
                          capture_output=True).stdout
    return (re.search(r"\d+\.\d[\d.]*", said) or ["?"])[0]


COLUMNS = ["analyser", "version", "files", "open findings", "with a reason",
           "finds what is seeded", "seconds", "commit"]


def table(found):
    if not found:
        return []
    return [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|",
            *(f"| {' | '.join([*row['analyser'], row['commit']])} |" for row in found.values())]
