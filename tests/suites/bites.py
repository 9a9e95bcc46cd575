#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows of every clause that it bites: a seeded fault breaks this clause, and a case that names the
clause fails and blames this clause. Where no program can say it, a unit test is the case, whose
name names the clause; what Part I alone asks for is blamed by the judge from outside.

usage: bites.py [--check | --sample | --write] [--all] [CLAUSE...]

The faults stand in tests/suites/clauses.faults, which says how they are written. For each of them a
runner of cases is linked with the one file that it changes, and the cases that name its clause are
run on both kernels. The loop is compiled without its assertions, or these would speak before the
law does. Without a fault all cases must pass.

Prints a line for each fault; writes build/report/faults.json. spec/bites.md is the same table for a
reader: --write writes it, any other run compares it. --sample takes the faults of a sixth of the
clauses, always the same; --check runs nothing, and looks only whether the list is whole: every
clause of the law is in it, and every text in the source. --all runs all cases, to see what else a
fault breaks. JOBS=n runs at a time. Exit status 1 when a clause does not bite. """
import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zlib

import broken
import faults
from broken import ROOT, counted

WORK = ROOT / "build/bites"
BUILT = ROOT / "build/default"
# What the runner is made of, for programs of thousands of completions, too; unit tests are not.
MANY = BUILT / "many"
LIST = ROOT / "tests/suites/clauses.faults"
TABLE = ROOT / "spec/bites.md"
SAMPLE_ONE_IN = 6
CASE_SECONDS = 5  # of processor time; three times as much of real time
CC = [*os.environ.get("CC", "cc").split(), "-std=c11", "-D_GNU_SOURCE", "-O1", "-w", "-DNDEBUG",
      "-pthread"]


# What the runner of cases consists of, beside the loop.
PARTS = ["model", "fuzz/driver", "fuzz/world", "tests/tool", "tests/kit"]


class Fault:
    def __init__(self, clause, name, line):
        self.clause, self.name, self.line = clause, name, line
        self.test = None  # (program, name) of a unit test
        self.outside = False  # for the judge from outside
        self.changes = []  # (file, what stands there, what the fault makes of it)

    def texts(self):
        """What the fault makes of which files."""
        return broken.texts_of(self.name, *self.changes)


def thread_faults():
    """tests/threads/faults.py, which has the name of the other list."""
    path = ROOT / "tests/threads/faults.py"
    specification = importlib.util.spec_from_file_location("thread_faults", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def read_list():
    """The faults, and the clauses that have none: {clause: reason}."""
    found, without = [], {}
    shared = {fault[0]: [fault[1:]] for fault in faults.FAULTS}
    shared.update({fault[0]: fault[1:] for fault in thread_faults().FAULTS})
    file, side = None, None
    for number, line in enumerate(LIST.read_text().split("\n"), 1):
        fault = found[-1] if found else None
        if line.startswith("#") or not line.strip():
            side = None
        elif match := re.fullmatch(r"(ET-[A-Z]+-\d+): (.+)", line):
            found.append(Fault(*match.groups(), number))
        elif match := re.fullmatch(r"no fault: (ET-[A-Z]+-\d+): (.+)", line):
            without[match[1]] = match[2]
        elif line.startswith("as: ") and line[4:] in shared:
            fault.changes.extend(shared[line[4:]])
        elif match := re.fullmatch(r"by: (tests/unit/\w+)\.c:(\w+)", line):
            fault.test = match.groups()
        elif line == "by: the judge from outside":
            fault.outside = True
        elif line.startswith("in: "):
            file, side = line[4:], None
        elif line[0] in "-+" and file is not None:
            if line[0] == "-" and side != "-":
                fault.changes.append((file, "", ""))
            name, old, new = fault.changes[-1]
            if line[0] == "-":
                old += ("\n" if old else "") + line[1:]
            else:
                new += ("\n" if side == "+" else "") + line[1:]
            fault.changes[-1] = (name, old, new)
            side = line[0]
        else:
            sys.exit(f"{LIST.relative_to(ROOT)}:{number}: not understood: {line}")
    return found, without


def read_law():
    """{clause: its words}, in the order of the text."""
    text = (ROOT / "spec/etalon.md").read_text()
    return dict(re.findall(r"^- \*\*(ET-[A-Z]+-\d+)\*\* (.*(?:\n  .*)*)", text, re.M))


def cases_by_clause():
    named = {}
    for path in sorted((ROOT / "spec/cases").glob("*.trace")):
        for line in re.findall(r"^clause (.*)", path.read_text(), re.M):
            for clause in line.split():
                named.setdefault(clause, []).append(path)
    return named


def check_list(found, without, law):
    """What is wrong with the list, a line each."""
    have = {fault.clause for fault in found}
    for clause in [*have, *without]:
        if clause not in law:
            yield f"{clause}: there is no such clause"
    for clause, words in law.items():
        if clause in have and clause in without:
            yield f"{clause}: has a fault, and a reason why it has none"
        if clause not in have and clause not in without:
            yield f"{clause}: has no fault"
        if clause in without and "MUST" in words and without[clause].startswith("MAY"):
            yield f"{clause}: says MUST"
    for fault in found:
        if not fault.changes:
            yield f"{fault.clause}: {fault.name}: changes nothing"
        try:
            fault.texts()
        except SystemExit as error:  # all of them at once
            yield f"{LIST.relative_to(ROOT)}:{fault.line}: {error}"


# ---- building ------------------------------------------------------------------------------------


def compiled(path, text, output, *flags):
    """The object of a source file, whose text may be another than it is."""
    source = output.with_suffix(".c")
    source.write_text(text)
    build = subprocess.run([*CC, *flags, "-iquote", (ROOT / path).parent, "-c", source, "-o",
                            output], capture_output=True, text=True)
    if build.returncode != 0:
        sys.exit(f"bites.py: {path} does not compile:\n{build.stderr}")
    return output


class Builder:
    """Links the runner of cases from what `make` has built, with the files that faults change
    compiled here."""

    def __init__(self, changed):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        self.loop, self.others, self.many = {}, {}, {}
        for path in sorted(changed | {p.relative_to(ROOT) for p in (ROOT / "src").glob("*.c")}):
            output = WORK / f"{'-'.join(path.with_suffix('').parts)}.o"
            of = self.loop if path.parts[0] == "src" else self.others
            text = (ROOT / path).read_text()
            of[path] = compiled(path, text, output)
            if of is self.others:
                self.many[path] = compiled(path, text, output.with_stem(f"{output.stem}-many"),
                                           "-DETALON_MANY")
        seam = ["fuzz/world/wrap.o", "fuzz/world/real_world.o"]
        left = {MANY / path.with_suffix(".o") for path in [*self.loop, *self.others]}
        parts = [MANY / source.relative_to(ROOT).with_suffix(".o") for folder in PARTS
                 for source in (ROOT / folder).glob("*.c")]
        objects = sorted({*parts, BUILT / "model/wide.o"} - left - {MANY / o for o in seam})
        subprocess.run([*CC, "-r", "-nostdlib", *objects, "-o", WORK / "rest.o"], check=True)
        wrap = f"@{BUILT / 'wrap.flags'}"
        self.seam = [*[BUILT / o for o in seam], wrap]
        self.seam_of_many = [*[MANY / o for o in seam], wrap]
        self.libraries = [*(BUILT / "jansson.flags").read_text().split(),
                          f"-Wl,--dynamic-list={BUILT / 'interposed.list'}"]

    def objects(self, folder, texts, many):
        """Those of the loop, and the others that a fault changes."""
        folder.mkdir()
        loop, others = dict(self.loop), dict(self.many if many else self.others)
        for path, text in texts.items():
            of = loop if path in loop else others
            flags = ["-DETALON_MANY"] if many and of is others else []
            of[path] = compiled(path, text, folder / f"{path.stem}.o", *flags)
        return loop, others

    def unit_test(self, name, texts, program):
        folder = WORK / name
        loop, others = self.objects(folder, texts, many=False)
        checker = [source for part in PARTS[:3] for source in (ROOT / part).glob("*.c")
                   if not source.name.startswith("interpose") and
                   source.name not in ("wrap.c", "real_world.c")]
        objects = {BUILT / source.relative_to(ROOT).with_suffix(".o") for source in checker}
        objects -= {BUILT / path.with_suffix(".o") for path in others}
        flags = ROOT / f"{program}.flags"
        subprocess.run([*CC, BUILT / f"{program}.o", *objects, *others.values(), *loop.values(),
                        *self.seam, *([f"@{flags}"] if flags.exists() else []), "-lcmocka", "-o",
                        folder / "test"], check=True)
        return folder / "test"

    def adapter(self, name, texts):
        """Etalon's loop with this fault, as one that is loaded."""
        folder = WORK / name
        folder.mkdir()
        sources = {path.relative_to(ROOT) for path in (ROOT / "src").glob("*.c")}
        objects = []
        for path in sources | {pathlib.Path("fuzz/driver/etalon_loop.c")}:
            text = texts.get(path) or (ROOT / path).read_text()
            objects.append(compiled(path, text, folder / f"{path.stem}.o", "-fPIC",
                                    "-DETALON_MANY"))
        subprocess.run([*CC, "-shared", "-Wl,-Bsymbolic", *objects, "-o", folder / "etalon.so"],
                       check=True)
        return folder / "etalon.so"

    def runner(self, name, texts):
        folder = WORK / name
        loop, others = self.objects(folder, texts, many=True)
        wrapped = folder / "wrapped.o"
        subprocess.run([*CC, "-r", "-nostdlib", *loop.values(), *self.seam_of_many, "-o",
                        wrapped],
                       check=True)
        subprocess.run([*CC, WORK / "rest.o", *others.values(), wrapped, *self.libraries, "-o",
                        folder / "etalon"], check=True)
        return folder / "etalon"


# ---- running -------------------------------------------------------------------------------------


def failing(runner, cases):
    """[(case, kernel, what is blamed)]: a clause, or that it crashes, hangs, or is seen to do
    otherwise than the case says."""
    result = []
    for kernel in ["simulated", "real"]:
        run = subprocess.run([runner, "check-cases", "--seconds", str(CASE_SECONDS), "--world",
                              kernel, *cases], cwd=ROOT, capture_output=True, text=True,
                             errors="replace")
        failures = re.findall(r"^not ok \d+ - (.*?)\.trace:(.*(?:\n#.*)?)", run.stdout, re.M)
        for base, rest in failures:
            clause = re.search(r"\n# (ET-[A-Z]+-\d+):", rest)
            word = ("no end" if " no end within" in rest else
                    "a crash" if " the loop crashes" in rest else "other observations")
            result.append((pathlib.Path(base).name, kernel, clause[1] if clause else word))
    return result


def failing_test(builder, name, texts, test):
    """As failing; the name of a unit test begins with the clause that it is about."""
    program = builder.unit_test(name, texts, test[0])
    run = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, errors="replace",
                         env={**os.environ, "TEST": test[1]}, timeout=60)
    shutil.rmtree(program.parent)
    output = run.stdout + run.stderr
    if not re.search(rf"^\[ +RUN +\] {test[1]}$", output, re.M):
        sys.exit(f"bites.py: {test[0]}: there is no {test[1]}")
    failed = re.search(rf"^\[ +(FAILED|ERROR) +\] {test[1]}$", output, re.M)
    clause = "-".join(re.match(r"(ET)_([A-Z]+)_(\d+)", test[1]).groups())
    where = f"{test[0].split('/')[-1]}: {test[1]}"
    return [(where, "unit test", clause)] if failed else []


def bite(builder, number, fault, cases):
    """The row of a fault."""
    name = f"{fault.clause}-{number}"
    if fault.test:
        if failing_test(builder, f"{name}-good", {}, fault.test):
            sys.exit(f"bites.py: {fault.test[1]} fails without a fault")
        found = failing_test(builder, name, fault.texts(), fault.test)
    elif fault.outside:
        adapter = builder.adapter(name, fault.texts())
        found = [(case, "from outside", clause) for case, clause in
                 broken.failing_outside(adapter, [path.stem for path in cases], 0)]
        shutil.rmtree(adapter.parent)
    else:
        runner = builder.runner(name, fault.texts())
        found = failing(runner, cases)
        shutil.rmtree(runner.parent)
    right = [row for row in found if row[2] == fault.clause]
    return {"clause": fault.clause, "fault": fault.name, "bites": bool(right),
            "case": right[0][0] if right else None, "kernel": right[0][1] if right else None,
            "blamed": sorted({row[2] for row in found}),
            "failing": [f"{case} ({kernel}): {clause}" for case, kernel, clause in found]}


def told(row):
    mark = "bites " if row["bites"] else "BLUNT "
    others = ", ".join(row["failing"][:4]) or "no case that names it fails"
    shown = f"{row['case']} ({row['kernel']})" if row["bites"] else others
    return f"{mark} {row['clause']:14} {row['fault'][:70]:70} {shown}"


def table(rows, without, law):
    """The Markdown of spec/bites.md."""
    lines = [
        "# Every clause bites", "",
        "Each row is a fault that breaks one clause, seeded into the text of Etalon's loop "
        "(`tests/suites/clauses.faults`), and a case that names the clause, fails, and blames "
        "that clause.", "`make faults` runs them all and compares this page, which "
        "`tests/suites/bites.py --write` writes.", "",
        "| clause | fault | case that blames it | kernel |", "|---|---|---|---|"]
    for clause in law:
        if clause in without:
            lines.append(f"| {clause} | – | {without[clause]} | – |")
        lines += [f"| {row['clause']} | {row['fault']} | {row['case']} | {row['kernel']} |"
                  for row in rows if row["clause"] == clause]
    return lines


def compare_table(rows, without, law, whole):
    """Whether spec/bites.md says what was seen."""
    page = TABLE.read_text().split("\n") if TABLE.exists() else []
    seen = [line for line in table(rows, without, law) if line.startswith("| ET-")]
    missing = [line for line in seen if line not in page]
    stale = [line for line in page if line.startswith("| ET-") and line not in seen and whole]
    for line in missing:
        print(f"spec/bites.md does not say: {line}")
    for line in stale:
        print(f"spec/bites.md says, and it is not so: {line}")
    return not missing and not stale


def run_all(options, chosen, named):
    changed = {path for fault in chosen for path in fault.texts()}
    units = sorted({f"build/default/{fault.test[0]}.o" for fault in chosen if fault.test})
    subprocess.run(["make", "-s", "build/default/etalon", *units], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    builder = Builder(changed)
    every = sorted({path for paths in named.values() for path in paths})
    wrong = failing(builder.runner("none", {}), every)
    for case, kernel, clause in wrong:
        print(f"without a fault: {case} fails on the {kernel} kernel: {clause}")
    rows = []
    jobs = int(os.environ.get("JOBS") or os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(bite, builder, number, fault,
                               every if options.all else named.get(fault.clause, []))
                   for number, fault in enumerate(chosen)]
        for done in waiting:
            rows.append(done.result())
            if not options.sample or not rows[-1]["bites"]:
                print(told(rows[-1]), flush=True)
    return rows, not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("clause", nargs="*")
    options = parser.parse_args()
    found, without = read_list()
    law, named = read_law(), cases_by_clause()
    found.sort(key=lambda fault: list(law).index(fault.clause) if fault.clause in law else 0)
    problems = list(check_list(found, without, law))
    for problem in problems:
        print(problem)
    if options.check and problems:
        return 1
    if options.check:
        print(f"{counted(len(found), 'fault')} for "
              f"{counted(len({f.clause for f in found}), 'clause')} have their text; "
              f"without one, with a reason: {counted(len(without), 'clause')}")
        return 0
    if any(" its text " in problem for problem in problems):
        return 1
    chosen = [fault for fault in found
              if (not options.clause or fault.clause in options.clause) and
              (not options.sample or zlib.crc32(fault.clause.encode()) % SAMPLE_ONE_IN == 0)]
    rows, good = run_all(options, chosen, named)
    good = good and all(row["bites"] for row in rows)
    whole = not options.clause and not options.sample
    if options.write and whole and good:
        TABLE.write_text("\n".join(table(rows, without, law)) + "\n")
    elif good and not options.all:
        good = compare_table(rows, without if whole else {}, law, whole)
    clauses = {row["clause"] for row in rows}
    bitten = {c for c in clauses if all(r["bites"] for r in rows if r["clause"] == c)}
    if whole:
        path = ROOT / "build/report/faults.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"clauses": len(law) - len(without), "bitten": len(bitten),
                                    "faults": len(rows), "without": without, "rows": rows},
                                   indent=1) + "\n")
    print(f"{len(bitten)} of {counted(len(clauses), 'clause')} bite, by "
          f"{counted(len(rows), 'fault')}"
          + (f"; without one, with a reason: {len(without)}" if whole else ""))
    return 0 if good and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
