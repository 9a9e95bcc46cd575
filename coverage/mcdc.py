#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the conditions that llvm-cov says were shown to decide by themselves, without those that
coverage/exclusions.txt leaves out, and compares with coverage/thresholds. Called by
coverage/mcdc.sh.

usage: mcdc.py EXPORT.json WARNINGS REPORT.json [--missing]

An entry of kind `condition` names how many conditions of a line may be unshown; those of other
kinds, which leave out branches, leave out as many conditions. The conditions of an assertion are
not counted. WARNINGS is what the compiler has said: decisions that it cannot count (one that is
negated as a whole inside another) have an entry of kind `uncounted` each. --missing prints what is
not shown. Exit status 1: a figure is too low, or an entry is wrong."""
import collections
import json
import pathlib
import re
import sys

from exclude import LEAST, LIST, PARTS, ROOT, per_cent

problems = []


def places(export):
    """{file: {place: [whether each condition was shown]}}, merged over the programs; a place begins
    with its line and column. What a macro decides stands where the macro is defined, once for each
    number of conditions."""
    found = collections.defaultdict(dict)
    for file in export["data"][0]["files"]:
        path = str(pathlib.Path(file["filename"]).resolve().relative_to(ROOT))
        text = (ROOT / path).read_text().split("\n")
        for *place, _, _, conditions in file["mcdc_records"]:
            first = place[0]
            if "assert(" in text[first - 1]:
                continue
            here = found[path].setdefault((*place, len(conditions)), [False] * len(conditions))
            for number, shown in enumerate(conditions):
                here[number] |= shown
    return found


def entries():
    for entry in LIST.read_text().splitlines():
        if entry and not entry.startswith("#"):
            kind, path, count, expression, reason = entry.split("\t")
            text = (ROOT / path).read_text().split("\n")
            lines = [n for n, line in enumerate(text, 1) if re.search(expression, line)]
            if len(lines) == 1:  # exclude.py complains otherwise
                yield kind, path, int(count), lines[0], text, reason


def leave_out(found, entry):
    """How many conditions the entry takes out of what is counted."""
    kind, path, count, first, text, _ = entry
    last = text.index("}", first) + 1 if kind == "function" else first
    left = sys.maxsize if kind in ("function", "line") else count
    taken = 0
    for (line, *_), conditions in found[path].items():
        while first <= line <= last and left > 0 and False in conditions:
            conditions.remove(False)
            taken, left = taken + 1, left - 1
    if kind == "condition" and taken < count:
        problems.append(f"exclusions.txt: {path}:{first}: {count} conditions are left out, and "
                        f"{count - taken} of them are shown")
    return taken


def check_uncounted(warnings, uncounted):
    said = {(path, int(line)) for path, line in re.findall(
        r"^(\S+?):(\d+):\d+: warning: unsupported MC/DC", warnings, re.M)}
    for path, line in sorted(said - uncounted):
        problems.append(f"{path}:{line}: the compiler cannot count this decision, and "
                        "exclusions.txt has no entry of kind uncounted")
    for path, line in sorted(uncounted - said):
        problems.append(f"exclusions.txt: {path}:{line} is counted: take the entry out")


def main():
    given, warnings, report, *missing = sys.argv[1:]
    found = places(json.loads(pathlib.Path(given).read_text()))
    every = list(entries())
    check_uncounted(pathlib.Path(warnings).read_text(),
                    {(path, line) for kind, path, _, line, *_ in every if kind == "uncounted"})
    taken = {path: 0 for path in found}
    for entry in every:
        if entry[0] != "uncounted" and entry[1] in found:
            taken[entry[1]] += leave_out(found, entry)
    least = dict(re.findall(r"^(\w+) mcdc ([0-9.]+)$", LEAST.read_text(), re.M))
    written = {}
    for name, paths in PARTS.items():
        files = {path: [shown for each in at.values() for shown in each]
                 for path, at in found.items() if re.match(paths, path)}
        if not files:
            continue
        every_one = [shown for each in files.values() for shown in each]
        written[name] = {
            "mcdc": per_cent(sum(every_one), len(every_one)), "counted": len(every_one),
            "unshown": every_one.count(False), "excluded": sum(taken[path] for path in files),
            "files": {path: {"mcdc": per_cent(sum(each), len(each)), "counted": len(each)}
                      for path, each in sorted(files.items())}
        }
        print(f"mcdc: {name:6} {written[name]['mcdc']:6.2f} % of {len(every_one)} conditions; "
              f"excluded: {written[name]['excluded']}")
        if name not in least or written[name]["mcdc"] < float(least[name]):
            problems.append(f"{name}: {written[name]['mcdc']:.2f} % of conditions, and "
                            f"{least.get(name, 'no figure')} % are asked for (thresholds)")
    pathlib.Path(report).write_text(json.dumps(written) + "\n")
    for path, at in sorted(found.items()) if missing else []:
        for (line, column, *_), each in sorted(at.items()):
            if False in each:
                print(f"{path}:{line}:{column}: {each.count(False)} of {len(each)} not shown")
    for problem in problems:
        print(f"mcdc: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
