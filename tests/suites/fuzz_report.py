#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows what the fuzzer exercises, and what it never reaches. `make fuzz-report` calls it.

Reads from the environment: ENGINE (libfuzzer or afl), FUZZ_SECONDS, JOBS, and FUZZ_FROM, which is
`nothing` (the default: what the fuzzer reaches by itself) or `corpus` (as `make fuzz` begins). Runs
the committed corpus and the cases once, then fuzz/run with a harness that counts (fuzz/seen.h), and
prints how often each row of the lifecycle, each result of each operation and each clause was used.

A clause counts by two figures, of which the larger is shown: how often the model or the driver has
come to a line that decides by its name, and how often the loop has come to the text that keeps it,
as tests/suites/clauses.faults has it, unless a unit test must show that. tests/suites/fuzz.never
lists what is never reached, each with its reason. Writes
build/report/fuzz-report-ENGINE.{json,md,svg}. Exit status 1 when the list is not as it was seen, or
a difference was found; 2: a bad setting, or a run that failed.
FUZZ_REPORT_TO changes the folder of the report; --check only looks whether the list can be read.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import bites
import broken
import fuzz_picture

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "fuzz"))
from seen import Counts, read  # noqa: E402: it stands in a folder of its own
NEVER = ROOT / "tests/suites/fuzz.never"
SEEDS = ["build/fuzz/committed", "build/fuzz/seeds", "fuzz/seeds"]
JUDGES = ["model/model.c", "fuzz/driver/lockstep.c", "fuzz/driver/inspect.c"]
FORMS = {"cell": r"[A-Z]+ [A-Z]+ [A-Z]+", "result": r"(\*|[a-z]+) (0|>0|E[A-Z0-9]+)",
         "clause": r"ET-[A-Z]+-\d+"}


def stop(why):
    print(f"fuzz-report: {why}", file=sys.stderr)
    sys.exit(2)


# ---- the list ------------------------------------------------------------------------------------


def never_listed():
    """{(kind, name): reason} of the list."""
    listed = {}
    for number, line in enumerate(read(NEVER.relative_to(ROOT)).splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"(cell|result|clause) ([^:]+): (\S.*)", line)
        if not match or not re.fullmatch(FORMS[match[1]], match[2]):
            stop(f"{NEVER.relative_to(ROOT)}:{number}: expected 'cell EVENT STATE CONDITION', "
                 "'result OPERATION RESULT' or 'clause ET-NAME-N', ': ' and the reason")
        if match.group(1, 2) in listed:
            stop(f"{NEVER.relative_to(ROOT)}:{number}: {match[2]} is listed twice")
        listed[match.group(1, 2)] = match[3]
    return listed


# ---- what was reached ----------------------------------------------------------------------------


def governing(texts, counts, line):
    """How often the line was come to: its own count, or that of the condition that it is under."""
    indent = len(texts[line - 1]) - len(texts[line - 1].lstrip())
    if counts.get(line, 0) > 0:
        return counts[line]
    for above in range(line - 1, max(line - 12, 0), -1):
        text = texts[above - 1]
        if len(text) - len(text.lstrip()) >= indent or not text.strip():
            continue
        if counts.get(above, 0) > 0 or re.match(r"\s*(\}? *else )?(if|switch) ", text):
            return counts.get(above, 0)
        indent = len(text) - len(text.lstrip())
        if indent == 0:
            break
    return 0


def clauses(lines):
    """{clause: how often it was decided or kept}"""
    found = dict.fromkeys(bites.read_law(), 0)
    for file in JUDGES:
        texts = read(file).splitlines()
        for number, text in enumerate(texts, 1):
            for clause in re.findall(r'"(ET-[A-Z]+-\d+)"', text):
                if clause in found:
                    count = governing(texts, lines.get(file, {}), number)
                    found[clause] = max(found[clause], count)
    for fault in bites.read_list()[0]:
        for name, old, new in fault.changes if fault.test is None else ():
            path = str(broken.path_of(name))
            text = read(path)
            if old not in text or fault.clause not in found:
                continue
            begin = text[:text.index(old)].count("\n") + 1
            changed = [begin + i for i, line in enumerate(old.split("\n"))
                       if line not in new.split("\n")] or [begin]
            count = max(lines.get(path, {}).get(each, 0) for each in changed)
            found[fault.clause] = max(found[fault.clause], count)
    return found


def share(lines, folder):
    counts = [count for path, file in lines.items() if path.startswith(folder) and
              path.endswith(".c") for count in file.values()]
    return round(100 * sum(count > 0 for count in counts) / max(1, len(counts)), 2)


def tables(counts):
    cells, results = counts.used()
    return {"cell": cells, "result": results, "clause": clauses(counts.lines())}


# ---- a run ---------------------------------------------------------------------------------------


def corpus_once(harness, folder):
    counts = Counts(folder, harness)
    files = [str(path) for seeds in SEEDS for path in sorted(pathlib.Path(seeds).glob("*"))]
    for first in range(0, len(files), 2000):
        run = subprocess.run([harness, *files[first:first + 2000]], capture_output=True, text=True,
                             errors="replace", env={**os.environ, **counts.environment})
        if run.returncode != 0:
            stop(f"the corpus shows a difference (make fuzz):\n{run.stderr[-1000:]}")
    return counts, len(files)


def point(counts, seconds):
    cells, results = counts.used()
    lines = counts.lines()
    return {"seconds": round(seconds, 1), "src": share(lines, "src/"),
            "model": share(lines, "model/"), "cells": sum(map(bool, cells.values())),
            "results": sum(map(bool, results.values()))}


def fuzz(engine, harness, folder, start):
    """Runs fuzz/run; what was reached when, and its report."""
    counts = Counts(folder, harness)
    report = folder / "fuzz.json"
    environment = {**os.environ, **counts.environment, "FUZZ_HARNESS": harness, "ENGINE": engine,
                   "FUZZ_CORPUS": str(folder / "corpus"), "FUZZ_REPORT": str(report),
                   "TOY_SECONDS": "0"}
    if start == "nothing":
        environment["FUZZ_SEEDS"] = ""
    begun = time.monotonic()
    series = [{"seconds": 0, "src": 0, "model": 0, "cells": 0, "results": 0}]
    run = subprocess.Popen([ROOT / "fuzz/run"], env=environment, stdout=subprocess.PIPE, text=True)
    ended = threading.Event()

    def watch():  # at 1, 2, 4 … seconds, and then each half minute
        due = 1.0
        while not ended.wait(max(0.0, begun + due - time.monotonic())):
            series.append(point(counts, time.monotonic() - begun))
            due = max(due + min(due, 30), time.monotonic() - begun + 0.5)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        for line in run.stdout:
            print(line, end="", flush=True)
        status = run.wait()
    finally:  # also when this is ended: it ends what it has started
        ended.set()
        run.terminate()
        run.wait()
        watcher.join()
    if status not in (0, 1):
        sys.exit(status)
    series.append(point(counts, time.monotonic() - begun))
    return counts, json.loads(report.read_text(encoding="utf-8")), series


# ---- what comes of it ----------------------------------------------------------------------------


def compare(corpus, fuzzed):
    """Complaints about the list, and what is never reached with its reason."""
    listed, explained, wrong = never_listed(), {}, []
    used = set()
    for kind, counts in corpus.items():
        for name, count in counts.items():
            if count or fuzzed[kind].get(name):
                continue
            keys = [(kind, name), (kind, "* " + name.split()[-1])]
            key = next((each for each in keys if each in listed), None)
            if key is None:
                wrong.append(f"{kind} {name} is never reached: reach it, or say why in "
                             f"{NEVER.relative_to(ROOT)}")
                continue
            used.add(key)
            explained[f"{kind} {name}"] = listed[key]
    for kind, name in listed.keys() - used:
        known = name in corpus[kind] or name in fuzzed[kind] or name.startswith("* ")
        wrong.append(f"{NEVER.relative_to(ROOT)}: {kind} {name} "
                     + ("is reached: take the entry out" if known else "is nothing to reach"))
    for kind, name in listed:
        if name.startswith("* "):
            met = [each for each in {**corpus[kind], **fuzzed[kind]} if
                   each.split()[-1] == name[2:] and
                   (corpus[kind].get(each) or fuzzed[kind].get(each))]
            wrong += [f"{NEVER.relative_to(ROOT)}: {kind} {name} is reached: {each}"
                      for each in met]
    return sorted(wrong), explained


def write_page(path, title, corpus, fuzzed, explained):
    """The tables as Markdown."""
    out = [f"# {title}", "", "How often each was used: by the committed corpus and the cases, "
           "once, and by the fuzzer.", ""]
    for kind, heading in (("cell", "The lifecycle"), ("result", "Results of operations"),
                          ("clause", "Clauses")):
        out += [f"## {heading}", "", f"| {kind} | corpus | fuzzed | |", "|---|--:|--:|---|"]
        for name in {**corpus[kind], **fuzzed[kind]}:
            a, b = corpus[kind].get(name, 0), fuzzed[kind].get(name, 0)
            why = explained.get(f"{kind} {name}", "" if b else "not by the fuzzer")
            out.append(f"| {name} | {a:,} | {b:,} | {why} |")
        out.append("")
    path.write_text("\n".join(out), encoding="utf-8")


def conclude(engine, start, report, series, corpus, fuzzed):
    wrong, explained = compare(corpus, fuzzed)
    base = ROOT / (os.environ.get("FUZZ_REPORT_TO") or "build/report") / f"fuzz-report-{engine}"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                            text=True).stdout.strip()
    title = (f"{report['seconds']:,.0f} s of {engine} from {start}: {report['executions']:,} "
             f"programs, {report['commands']:,} commands ({commit})")
    print()
    summary = {}
    for kind, words in (("cell", "rows of the lifecycle"), ("result", "results of operations"),
                        ("clause", "clauses")):
        names = {**corpus[kind], **fuzzed[kind]}
        by = {"all": len(names), "corpus": sum(map(bool, corpus[kind].values())),
              "fuzzed": sum(map(bool, fuzzed[kind].values())),
              "never": sum(not corpus[kind].get(n) and not fuzzed[kind].get(n) for n in names)}
        summary[kind] = by
        only = [n for n in names if corpus[kind].get(n) and not fuzzed[kind].get(n)]
        print(f"  {words}: {by['all']}, of which the corpus uses {by['corpus']}, the fuzzer "
              f"{by['fuzzed']}; never {by['never']}")
        if only:
            print(f"    not by the fuzzer: {', '.join(only[:12])}"
                  + (f" and {len(only) - 12} more" if len(only) > 12 else ""))
    write_page(base.with_suffix(".md"), title, corpus, fuzzed, explained)
    base.with_suffix(".svg").write_text(fuzz_picture.picture(title, series), encoding="utf-8")
    base.with_suffix(".json").write_text(json.dumps({
        "commit": commit, "engine": engine, "from": start, "seconds": report["seconds"],
        "processor_seconds": report["processor_seconds"], "executions": report["executions"],
        "commands": report["commands"], "differences": report["differences"], "summary": summary,
        "never": explained, "series": series, "corpus": corpus, "fuzzed": fuzzed},
        indent=1) + "\n", encoding="utf-8")
    for line in wrong:
        print(f"  {line}")
    print(f"fuzz-report: {title}: {len(explained)} never reached and explained, {len(wrong)} "
          f"complaints: {base.relative_to(ROOT)}.md, .svg, .json")
    return 1 if wrong or report["differences"] else 0


def main():
    os.chdir(ROOT)
    if sys.argv[1:] == ["--check"]:
        never_listed()
        return 0
    engine = os.environ.get("ENGINE") or "libfuzzer"
    start = os.environ.get("FUZZ_FROM") or "nothing"
    if engine not in ("libfuzzer", "afl") or start not in ("nothing", "corpus"):
        stop(f"ENGINE={engine} FUZZ_FROM={start}: expected libfuzzer or afl, nothing or corpus")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    never_listed()
    harness = f"build/{'fuzz' if engine == 'libfuzzer' else 'afl'}-seen/harness"
    if not os.access(harness, os.X_OK):
        stop(f"{harness} is not there: `make fuzz-report` builds it")
    os.makedirs("build/report", exist_ok=True)
    work = pathlib.Path(f"build/fuzz-report/{engine}-{os.getpid()}")
    try:
        once, files = corpus_once(harness, work / "corpus")
        print(f"fuzz-report: {files:,} programs of the corpus and the cases are counted",
              flush=True)
        counts, report, series = fuzz(engine, harness, work / "fuzzed", start)
        return conclude(engine, start, report, series, tables(once), tables(counts))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
