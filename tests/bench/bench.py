#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the loads of tests/bench in the calls of each loop that is installed. Called by `make
bench` and `make bench-quick`; README.md says how to read what it prints.

usage: bench.py [--quick] [--runs N] [--seconds N] [--base REVISION] FOLDER [LOAD ...]

The programs are FOLDER/timer_loads-LOOP and its like, FOLDER/client and FOLDER/count. Each load is
run by one loop after the other, so that what else the machine does befalls all of them, up to
--runs times as far as --seconds allow; what is compared is the processor time of an operation.
--base builds src/ of another commit and measures it beside. Writes build/report/bench.json,
bench.full.json, bench.md and bench.svg. Exit status 2: a bad argument, or a load that failed; what
did not fail is measured and written all the same."""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

import picture
import tables
from loads import CURVES, ENDS_AT, LOADS, NOT_THERE, PEERS, why_not

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = "-std=c11 -D_GNU_SOURCE -pthread -O2 -g -DNDEBUG -fno-strict-aliasing"
PROGRAMS = {"timer_loads": ["etalon", "etalon_carrier"], "io_loads": ["etalon", "etalon_polls"],
            "net_loads": ["etalon", "etalon_polls"], "thread_loads": ["etalon"]}
PARTS = {"loads": 0.5, "counts": 0.25, "growth": 0.25}  # of the time
LONGEST_S = 8  # a curve ends for a loop for which a point took longer
PROCESSOR = max(os.sched_getaffinity(0))


class Failure(Exception):
    """A bad argument, or a load that failed: exit status 2."""


failures = []  # of loads: the others are measured all the same


def fails(failure):
    failures.append(str(failure))
    print(f"FAILED   {failure}", flush=True)


def say(words):
    """Progress, where somebody watches: a line that the next one overwrites."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)


def run_load(program, load, count, *more, before=(), is_pinned=True):
    command = [*before, str(program), load, str(count), *more]
    say(f"{program.name} {load} {count:,}")
    environment = {**os.environ, "BENCH_CLIENT": str(run_load.client)}
    pin = ["taskset", "-c", str(PROCESSOR)] if is_pinned and shutil.which("taskset") else []
    try:
        run = subprocess.run(pin + command, capture_output=True, text=True, timeout=300,
                             check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command)}: no end within 300 s") from None
    finally:
        say("")
    if run.returncode != 0:
        why = "no end" if run.returncode in (-14, 142) else f"exit status {run.returncode}"
        raise Failure(f"{' '.join(command)}: " + (run.stderr.strip() or why))
    return run


def measured(program, load, count, is_pinned=True):
    result = json.loads(run_load(program, load, count, is_pinned=is_pinned).stdout)
    return {**result, "ns": result["cpu_ns"] / result["operations"]}


def counted(folder, program, row, count):
    """System calls for each operation."""
    run = run_load(program, row.load, count, "cold", before=[str(folder / "count")])
    return int(run.stderr) / json.loads(run.stdout)["operations"]


def instructions(program, row, count):
    """Instructions for each operation, of this process, by callgrind; None without valgrind."""
    if shutil.which("valgrind") is None or not row.has_instructions:
        return None
    out = ROOT / f"build/bench/callgrind.{os.getpid()}"
    run = run_load(program, row.load, count, "cold", before=[
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--zero-before=bench_end",
        "--zero-before=bench_begin", "--dump-before=bench_end"])
    parts = sorted(out.parent.glob(out.name + "*"))
    totals = [re.search(r"^(?:totals|summary): (\d+)", each.read_text(encoding="utf-8"), re.M)
              for each in parts if each.name.endswith(".1")]
    for each in parts:
        each.unlink()
    return int(totals[0][1]) / json.loads(run.stdout)["operations"] if totals else None


def commit_of(revision):
    run = subprocess.run(["git", "rev-parse", "--short", "--verify", revision + "^{commit}"],
                         capture_output=True, text=True, cwd=ROOT, check=False)
    if run.returncode != 0:
        raise Failure(f"--base: {revision} is no commit")
    return run.stdout.strip()


def build_base(revision):
    """The same programs on src/ of that commit: {subject: {program: path}}."""
    commit = commit_of(revision)
    folder = ROOT / "build/bench" / f"base-{commit}"
    folder.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "archive", commit, "src"], capture_output=True, cwd=ROOT,
                             check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    compiler = os.environ.get("CC", "cc").split() + FLAGS.split()

    def compile_(*arguments):
        run = subprocess.run([*compiler, *map(str, arguments)], capture_output=True, text=True,
                             check=False, cwd=folder)
        if run.returncode != 0:
            raise Failure(f"--base {revision}: {run.stderr.strip()}")

    compile_("-c", *sorted((folder / "src").glob("*.c")))
    made = {}
    for program, loops in PROGRAMS.items():
        for loop in loops:
            path = folder / f"{program}-{loop}"
            compile_(f"-I{folder}/src", f"-DLOOP_{loop}", ROOT / f"tests/bench/{program}.c",
                     *sorted(folder.glob("*.o")), "-o", path)
            made.setdefault(f"{loop}@{commit}", {})[program] = path
    return made


def subjects_of(folder, row, base):
    """{subject: path} of those that are there; --base stands beside the loop it is a base of."""
    found = {}
    for name in row.subjects:
        path = folder / f"{row.program}-{name}"
        if (row.name, name) in NOT_THERE:
            continue
        if os.access(path, os.X_OK):
            found[name] = path
        for subject, paths in base.items():
            if subject.split("@")[0] == name and row.program in paths:
                found[subject] = paths[row.program]
    return found


def summary(runs):
    values = [run["ns"] for run in runs]
    entry = {"median": round(statistics.median(values), 2), "min": round(min(values), 2),
             "max": round(max(values), 2), "runs": len(runs)}
    middle = sorted(runs, key=lambda run: run["ns"])[len(runs) // 2]
    entry.update({key: middle[key] for key in ("latency_us", "per_second") if key in middle})
    return entry


def rounds(subjects, once, runs, seconds):
    """{subject: results} of up to `runs` rounds in which every subject has its turn; at least one,
    and no more than `seconds` allow."""
    begun, results = time.monotonic(), {subject: [] for subject in subjects}
    for number in range(1, runs + 1):
        for subject in list(results):
            try:
                results[subject].append(once(subjects[subject]))
            except Failure as failure:
                del results[subject]  # a loop that fails once has no figure
                fails(failure)
        spent = time.monotonic() - begun
        if spent + spent / number > seconds:
            break
    return results


def measure(folder, row, count, runs, base, seconds):
    subjects = subjects_of(folder, row, base)
    results = rounds(subjects, lambda program: measured(program, row.load, count, row.is_pinned),
                     runs, seconds)
    result = {subject: summary(each) for subject, each in results.items()}
    for subject, entry in result.items():
        if row.item:
            entry["bytes"] = round(results[subject][0]["heap_bytes"] / count)
            entry["bytes_of"] = row.item
        for other in [*PEERS, "floor"]:
            if other in result and other != subject:
                ratio = entry["median"] / result[other]["median"]
                entry["ratio_to_" + other] = round(ratio, 3)
    return result


def count_all(folder, rows, results, base, seconds):
    """System calls and instructions, which do not depend on the machine: one run of each."""
    until = time.monotonic() + seconds
    for row in rows:
        for subject, entry in results[row.name].items():
            program = subjects_of(folder, row, base)[subject]
            try:
                entry["system_calls"] = round(counted(folder, program, row, row.count), 3)
                if time.monotonic() < until or subject.startswith("etalon"):
                    count = instructions(program, row, min(row.count, 20_000))
                    entry["instructions"] = count and round(count, 1)
            except Failure as failure:
                fails(failure)


def grow(folder, curve, runs, base, seconds):
    """{subject: {count: ns}}"""
    subjects, points = subjects_of(folder, curve, base), {}
    begun = time.monotonic()
    for i, count in enumerate(curve.counts):
        why = why_not(curve.program, curve.load, count)
        if why is not None:
            print(f"  {curve.name}: {count:,}: left out: {why}")
            continue
        share = (seconds - (time.monotonic() - begun)) / (len(curve.counts) - i)
        results = rounds(subjects, lambda program, n=count: measured(program, curve.load, n), runs,
                         share)
        subjects = {subject: subjects[subject] for subject in results}
        for subject, each in results.items():
            point = statistics.median(run["ns"] for run in each)
            points.setdefault(subject, {})[count] = round(point, 1)
            last, why = ENDS_AT.get((curve.name, subject), (max(curve.counts), ""))
            if min(run["wall_ns"] for run in each) > LONGEST_S * 1e9:
                last, why = count, "it took too long"
            if count >= last and why:
                del subjects[subject]
                print(f"  {curve.name}: {subject}: no more than {count:,}: {why}")
    return points


def chosen(names):
    things = [*LOADS, *CURVES]
    for name in names:
        if name != "growth" and not any(name in each.name or name == each.load for each in things):
            raise Failure(f"no load is called {name}; there are: growth, " +
                          ", ".join(each.name for each in things))
    return [row for row in LOADS if not names or any(name in row.name or name == row.load
                                                     for name in names)]


def chosen_curves(names):
    """By `growth`, or by a name that is no load's."""
    of_curves = [name for name in names if not chosen([name])]
    return [curve for curve in CURVES if not names or "growth" in names or
            any(name in curve.name for name in of_curves)]


def write_reports(commit, results, curves):
    report = ROOT / "build/report"
    report.mkdir(parents=True, exist_ok=True)
    full = {"commit": commit, "loads": results, "growth": curves}
    short = {"commit": commit, **{
        load: {subject: {"median": entry["median"],
                         "ratio_to_floor": entry.get("ratio_to_floor", 1)}
               for subject, entry in result.items()} for load, result in results.items()}}
    for name, text in (("json", json.dumps(short, indent=1) + "\n"),
                       ("full.json", json.dumps(full, indent=1) + "\n"),
                       ("md", tables.markdown(full)), ("svg", picture.draw(full))):
        (report / f"bench.{name}").write_text(text, encoding="utf-8")
    print("\nbuild/report/bench.json, bench.full.json, bench.md, bench.svg")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--base", default="")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("load", nargs="*")
    options = parser.parse_args()
    if options.runs < 1 or options.seconds < 0:
        raise Failure("--runs is at least 1, --seconds at least 0")
    options.seconds = options.seconds or (45 if options.quick else 540)
    return options


def measure_all(options, rows, base):
    results = {}
    until = time.monotonic() + options.seconds * (1 if options.quick else PARTS["loads"])
    for i, row in enumerate(rows):
        count = row.quick if options.quick else row.count
        why = why_not(row.program, row.load, count)
        if why is not None:
            print(f"\n{row.name}: left out: {why}")
            continue
        share = (until - time.monotonic()) / (len(rows) - i)
        results[row.name] = measure(options.folder, row, count, options.runs, base, share)
        tables.print_load(row.name, results[row.name])
        for (load, loop), reason in NOT_THERE.items():
            if load == row.name:
                print(f"  {loop}: left out: {reason}")
    return results


def main():
    options = arguments()
    dirty = subprocess.run(["git", "status", "--porcelain", "src", "tests/bench"], cwd=ROOT,
                           capture_output=True, text=True, check=False).stdout.strip()
    commit = commit_of("HEAD") + ("+" if dirty else "")
    rows = [row for row in chosen(options.load) if not options.quick or row.quick]
    run_load.client = options.folder / "client"
    base = build_base(options.base) if options.base else {}
    if not os.access(options.folder / "timer_loads-etalon", os.X_OK):
        raise Failure("the programs were not built: see build/bench/build.log")
    for loop in PEERS:
        if not os.access(options.folder / f"timer_loads-{loop}", os.X_OK):
            print(f"{loop}: not installed, left out")
    print(f"{commit}: ns of processor time for each operation, the median of up to {options.runs} "
          f"runs, as far as {options.seconds} s allow")
    results = measure_all(options, rows, base)
    curves = {}
    if not options.quick:
        rows = [row for row in rows if row.name in results]
        count_all(options.folder, rows, results, base, options.seconds * PARTS["counts"])
        tables.print_counts(results)
        grown = chosen_curves(options.load)
        until = time.monotonic() + options.seconds * PARTS["growth"]
        for i, curve in enumerate(grown):
            share = (until - time.monotonic()) / (len(grown) - i)
            curves[curve.name] = grow(options.folder, curve, min(options.runs, 3), base, share)
            tables.print_curve(curve.name, curves[curve.name])
    tables.print_goals(results)
    write_reports(commit, results, curves)
    if failures:
        raise Failure(f"{len(failures)} of the programs failed; the first: {failures[0]}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"bench.py: {failure}", file=sys.stderr)
        sys.exit(2)
