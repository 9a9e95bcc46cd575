#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes out of what lcov has gathered what coverage does not ask for (coverage/exclusions.txt),
counts the rest, and compares it with the least that is asked for (coverage/thresholds). Called by
coverage/run.sh.

usage: exclude.py IN.info OUT.info REPORT.json

Only what is unreached is left out, at most as much as an exclusion says; the branches of a line
with an assertion always. Prints a line for src/, model/ and the driver each, and writes the same as
JSON. Exit status 1 when a figure is too low, an exclusion is wrong, or more than 1 % of the
branches of one of them are excluded."""
import collections
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIST = ROOT / "coverage/exclusions.txt"
LEAST = ROOT / "coverage/thresholds"
EXCLUDED_MAX = 0.01
KINDS = ("line", "branch", "function")
OF_CONDITIONS = ("condition", "uncounted")  # mcdc.py asks for these
PARTS = {"src": r"src/", "model": r"model/", "driver": r"fuzz/driver/(lockstep|inspect)\.c$"}

problems = []
excluded = []  # what each entry of the list has left out, for the report


class File:
    """What lcov says of one file: lines[line] = times, branches[line] = [[id, times], ...]."""

    def __init__(self, path):
        self.path = path
        self.lines, self.branches, self.functions = {}, collections.defaultdict(list), []
        self.left_out = collections.Counter()

    def leave_out_assertions(self):
        for number, text in enumerate((ROOT / self.path).read_text().split("\n"), 1):
            if "assert(" in text:
                self.left_out["assertions"] += len(self.branches.pop(number, [])) > 0

    def leave_out(self, kind, line, count):
        dropped = kind != "branch" and self.lines[line] == 0
        if dropped:
            del self.lines[line]
            self.left_out["lines"] += 1
        unreached = [b for b in self.branches[line] if b[1] in ("-", "0")]
        for branch in unreached if dropped else unreached[:count]:
            self.branches[line].remove(branch)
            self.left_out["branches"] += 1

    def count(self):
        branches = [times for all_of in self.branches.values() for _, times in all_of]
        return collections.Counter(
            lines=len(self.lines), lines_reached=sum(n > 0 for n in self.lines.values()),
            branches=len(branches), branches_reached=sum(t not in ("-", "0") for t in branches))

    def write(self, out):
        count = self.count()
        print("TN:", f"SF:{ROOT / self.path}", *self.functions, sep="\n", file=out)
        for line, all_of in sorted(self.branches.items()):
            for name, times in all_of:
                print(f"BRDA:{line},{name},{times}", file=out)
        print(f"BRF:{count['branches']}\nBRH:{count['branches_reached']}", file=out)
        for line, times in sorted(self.lines.items()):
            print(f"DA:{line},{times}", file=out)
        print(f"LF:{count['lines']}\nLH:{count['lines_reached']}\nend_of_record", file=out)


def read(path):
    files, here = {}, None
    for text in pathlib.Path(path).read_text().splitlines():
        tag, _, value = text.partition(":")
        if tag == "SF":
            name = str(pathlib.Path(value).resolve().relative_to(ROOT))
            here = files[name] = File(name)
        elif tag == "DA":
            line, times = value.split(",")[:2]
            here.lines[int(line)] = int(times)
        elif tag == "BRDA":
            line, name, times = re.fullmatch(r"(\d+),(.*),([^,]*)", value).groups()
            here.branches[int(line)].append([name, times])
        elif tag.startswith("FN"):
            here.functions.append(text)
    return files


def exclude(files, entry):
    fields = entry.split("\t")
    if len(fields) != 5 or fields[0] not in KINDS + OF_CONDITIONS or not fields[4].strip():
        problems.append(f"exclusions.txt: five fields are asked for, the last a reason: {entry}")
        return
    kind, path, count, expression, reason = fields
    if path not in files:
        problems.append(f"exclusions.txt: {path} is not counted")
        return
    text = (ROOT / path).read_text().split("\n")
    found = [n for n, line in enumerate(text, 1) if re.search(expression, line)]
    if len(found) != 1:
        problems.append(f"exclusions.txt: '{expression}' is in {len(found)} lines of {path}")
    elif kind in OF_CONDITIONS:
        pass
    elif found[0] not in files[path].lines:
        problems.append(f"exclusions.txt: there is no code in line {found[0]} of {path}")
    else:
        last = text.index("}", found[0]) + 1 if kind == "function" else found[0]
        before = files[path].left_out.copy()
        for line in range(found[0], last + 1):
            if line in files[path].lines:
                files[path].leave_out(kind, line, int(count))
        used = files[path].left_out - before
        excluded.append({"file": path, "line": found[0], "lines": used["lines"],
                         "branches": used["branches"], "reason": reason})


def per_cent(part, whole):
    return int(10000 * part / whole) / 100 if whole else 0.0  # 100 is all


def figures(files):
    """What is counted, unreached and left out of some files."""
    count, left_out = collections.Counter(), collections.Counter()
    for file in files:
        count += file.count()
        left_out += file.left_out
    return {"lines": per_cent(count["lines_reached"], count["lines"]),
            "branches": per_cent(count["branches_reached"], count["branches"]), "mcdc": None,
            "counted": {key: count[key] for key in ("lines", "branches")},
            "unreached": {key: count[key] - count[f"{key}_reached"]
                          for key in ("lines", "branches")},
            "excluded": {key: left_out[key] for key in ("lines", "branches", "assertions")}}


def total(name, files):
    whole = figures(files)
    branches = whole["excluded"]["branches"]
    if branches > EXCLUDED_MAX * (whole["counted"]["branches"] + branches):
        problems.append(f"{name}: {branches} branches are excluded: above 1 %")
    whole["files"] = {file.path: figures([file]) for file in files if file.lines}
    return whole


def compare(totals):
    for name, what, least in re.findall(r"^(src|model|driver) (lines|branches) ([0-9.]+)$",
                                        LEAST.read_text(), re.M):
        if totals[name][what] < float(least):
            problems.append(f"{name}: {totals[name][what]:.2f} % of {what}, and {least} % are "
                            "asked for (coverage/thresholds)")


def main():
    given, filtered, report = sys.argv[1:]
    files = read(given)
    for file in files.values():
        file.leave_out_assertions()
    for entry in LIST.read_text().splitlines():
        if entry and not entry.startswith("#"):
            exclude(files, entry)
    with open(filtered, "w", encoding="utf-8") as out:
        for _, file in sorted(files.items()):
            file.write(out)
    totals = {name: total(name, [f for f in files.values() if re.match(paths, f.path)])
              for name, paths in PARTS.items()}
    pathlib.Path(report).write_text(json.dumps({**totals, "exclusions": excluded}) + "\n")
    for name, part in totals.items():
        counted, left_out = part["counted"], part["excluded"]
        print(f"coverage: {name:6} {part['lines']:6.2f} % of {counted['lines']} lines, "
              f"{part['branches']:6.2f} % of {counted['branches']} branches; excluded: "
              f"{left_out['lines']} and {left_out['branches']}, "
              f"and the branches of {left_out['assertions']} assertions")
    compare(totals)
    for problem in problems:
        print(f"coverage: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
