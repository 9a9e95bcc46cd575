#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the loads of tests/bench in the calls of each loop that is installed. Called by `make
bench` and `make bench-quick`; README.md says how to read what it prints.

usage: bench.py [--quick] [--runs N] [--base REVISION] FOLDER [LOAD ...]

The programs are FOLDER/timer_loads-LOOP, FOLDER/io_loads-LOOP and FOLDER/count. Each load is run by
one loop after the other, --runs times, so that what else the machine does befalls all of them; what
is compared is the processor time of an operation. --base builds src/ of another commit and measures
it beside. Writes build/report/bench.json, bench.full.json and bench.svg. Exit status 2: a bad
argument, or a load that failed."""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

import picture

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ["libev", "libevent", "libuv"]
OF_TIMERS = ["etalon", *PEERS, "floor"]
OF_RESETS = ["etalon", "etalon_carrier", *PEERS, "floor"]
OF_IO = ["etalon", "etalon_polls", *PEERS, "floor"]
FLAGS = "-std=c11 -D_GNU_SOURCE -pthread -O2 -g -DNDEBUG -fno-strict-aliasing"
LOADS = [  # name, program, its load, how many, the same when quick (0: not then), subjects
    ("start and fire 1M", "timer_loads", "fire", 1_000_000, 1_000_000, OF_TIMERS),
    ("start and fire 10M", "timer_loads", "fire", 10_000_000, 0, OF_TIMERS),
    ("start and stop 1M", "timer_loads", "stop", 1_000_000, 1_000_000, OF_TIMERS),
    ("reset at random", "timer_loads", "reset-random", 100_000, 100_000, OF_RESETS),
    ("reset to shorter", "timer_loads", "reset-shorter", 100_000, 100_000, OF_RESETS),
    ("reset the idle", "timer_loads", "reset-idle", 100_000, 100_000, OF_RESETS),
    ("reset the idle, a turn for each", "timer_loads", "reset-idle-each", 100_000, 0, OF_RESETS),
    ("an hour, tick by tick", "timer_loads", "hour", 1_000_000, 0, OF_TIMERS),
    ("ping-pong 1", "io_loads", "ping-pong", 1, 1, OF_IO),
    ("ping-pong 100", "io_loads", "ping-pong", 100, 0, OF_IO),
    ("ping-pong 1,000", "io_loads", "ping-pong", 1000, 1000, OF_IO),
    ("ping-pong 9,000", "io_loads", "ping-pong", 9000, 0, OF_IO),
    ("wake-ups", "io_loads", "wake-ups", 1, 1, OF_TIMERS),
    ("submit and delete", "io_loads", "submit-delete", 100, 100, OF_TIMERS),
]
GROWN = [("start and fire", "fire"), ("start and stop", "stop"),
         ("reset at random", "reset-random")]
GROWTH = [10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000]
NOT_THERE = {("wake-ups", "libevent"): "libevent has no call for another thread of its own"}


class Failure(Exception):
    """A bad argument, or a load that failed: exit status 2."""


def run_load(program, load, count, *more, before=()):
    command = [*before, str(program), load, str(count), *more]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command)}: no end within 300 s") from None
    if run.returncode != 0:
        raise Failure(f"{' '.join(command)}: " + (run.stderr.strip() or f"{run.returncode}"))
    return run


def measured(program, load, count):
    """ns of processor time for each operation"""
    result = json.loads(run_load(program, load, count).stdout)
    return result["cpu_ns"] / result["operations"]


def counted(folder, program, load, count):
    """System calls for each operation."""
    run = run_load(program, load, count, "cold", before=[str(folder / "count")])
    return int(run.stderr) / json.loads(run.stdout)["operations"]


def instructions(program, load, count):
    """Instructions for each operation, of this process, by callgrind; None without valgrind."""
    if shutil.which("valgrind") is None:
        return None
    out = ROOT / f"build/bench/callgrind.{os.getpid()}"
    run = run_load(program, load, count, "cold", before=[
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
    made = {}
    for program, loops in ("timer_loads", OF_RESETS), ("io_loads", OF_IO):
        for loop in [each for each in loops if each.startswith("etalon")]:
            path = folder / f"{program}-{loop}"
            command = [os.environ.get("CC", "cc"), *FLAGS.split(), f"-I{folder}/src",
                       f"-DLOOP_{loop}", str(ROOT / f"tests/bench/{program}.c"),
                       *map(str, sorted((folder / "src").glob("*.c"))), "-o", str(path)]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                raise Failure(f"--base {revision}: {run.stderr.strip()}")
            made.setdefault(f"{loop}@{commit}", {})[program] = path
    return made


def subjects_of(folder, program, names, base):
    """{subject: path} of those that are there; --base stands beside the loop it is a base of."""
    found = {}
    for name in names:
        path = folder / f"{program}-{name}"
        if os.access(path, os.X_OK):
            found[name] = path
        for subject, paths in base.items():
            if subject.split("@")[0] == name and program in paths:
                found[subject] = paths[program]
    return found


def summary(values):
    return {"median": round(statistics.median(values), 2), "min": round(min(values), 2),
            "max": round(max(values), 2)}


def shared(runs, load, count):
    """What takes long is run less often."""
    return max(1, runs // 3) if load == "hour" or count >= 10_000_000 else runs


def measure(folder, row, quick, runs, base):
    name, program, load, count, quick_count, names = row
    subjects = subjects_of(folder, program, names, base)
    count = quick_count if quick else count
    times = {subject: [] for subject in subjects if (name, subject) not in NOT_THERE}
    for _ in range(shared(runs, load, count)):
        for subject in times:
            times[subject].append(measured(subjects[subject], load, count))
    result = {subject: summary(values) for subject, values in times.items()}
    for subject, entry in result.items():
        for other in [*PEERS, "floor"]:
            if other in result and other != subject:
                ratio = entry["median"] / result[other]["median"]
                entry["ratio_to_" + other] = round(ratio, 3)
        if not quick:
            entry["system_calls"] = round(counted(folder, subjects[subject], load, count), 3)
            small = min(count, 20_000)
            entry["instructions"] = None if load in ("hour", "wake-ups") else \
                round(instructions(subjects[subject], load, small), 1)
    return result


def print_table(name, result):
    print(f"\n{name}")
    others = [each for each in [*PEERS, "floor"] if each in result]
    print(f"  {'':22}{'ns':>9}{'from':>9}{'to':>9}" +
          "".join(f"{'/ ' + each:>12}" for each in others) + f"{'calls':>9}{'instr.':>10}")
    for subject, entry in result.items():
        ratios = "".join(f"{entry.get('ratio_to_' + each, ''):>12}" for each in others)
        extra = "".join(f"{'' if entry.get(key) is None else entry[key]:>{width}}"
                        for key, width in (("system_calls", 9), ("instructions", 10)))
        print(f"  {subject:22}{entry['median']:9.1f}{entry['min']:9.1f}{entry['max']:9.1f}"
              f"{ratios}{extra}", flush=True)


def growth(folder, runs, base):
    """{load: {subject: {count: ns}}}"""
    curves = {}
    for name, load in GROWN:
        subjects = subjects_of(folder, "timer_loads", OF_TIMERS, base)
        for count in GROWTH:
            if load == "reset-random" and count > 1_000_000:
                continue
            values = {subject: [] for subject in subjects}
            for _ in range(shared(runs, load, count)):
                for subject, program in subjects.items():
                    values[subject].append(measured(program, load, count))
            for subject, each in values.items():
                curve = curves.setdefault(name, {}).setdefault(subject, {})
                curve[count] = round(statistics.median(each), 1)
        print(f"\ngrowth: {name}, ns for each operation")
        counts = sorted(next(iter(curves[name].values())))
        print(f"  {'':22}" + "".join(f"{count:>11,}" for count in counts))
        for subject, curve in curves[name].items():
            print(f"  {subject:22}" + "".join(f"{curve[count]:11.1f}" for count in counts),
                  flush=True)
    return curves


def chosen(names):
    rows = [row for row in LOADS if not names or any(name in row[0] or name == row[2]
                                                     for name in names)]
    for name in names:
        if not any(name in row[0] or name == row[2] for row in LOADS) and name != "growth":
            raise Failure(f"no load is called {name}; there are: growth, " +
                          ", ".join(row[0] for row in LOADS))
    return rows


def write_reports(commit, results, curves):
    report = ROOT / "build/report"
    report.mkdir(parents=True, exist_ok=True)
    full = {"commit": commit, "loads": results, "growth": curves}
    short = {"commit": commit, **{
        load: {subject: {"median": entry["median"],
                         "ratio_to_floor": entry.get("ratio_to_floor", 1)}
               for subject, entry in result.items()} for load, result in results.items()}}
    (report / "bench.json").write_text(json.dumps(short, indent=1) + "\n", encoding="utf-8")
    (report / "bench.full.json").write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")
    (report / "bench.svg").write_text(picture.draw(full), encoding="utf-8")
    print("\nbuild/report/bench.json, bench.full.json, bench.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--base", default="")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("load", nargs="*")
    options = parser.parse_args()
    runs = options.runs or (2 if options.quick else 5)
    dirty = subprocess.run(["git", "status", "--porcelain", "src", "tests/bench"], cwd=ROOT,
                           capture_output=True, text=True, check=False).stdout.strip()
    commit = commit_of("HEAD") + ("+" if dirty else "")
    rows = [row for row in chosen(options.load) if not options.quick or row[4]]
    base = build_base(options.base) if options.base else {}
    if not os.access(options.folder / "timer_loads-etalon", os.X_OK):
        raise Failure("the programs were not built: see build/bench/build.log")
    for loop in PEERS:
        if not os.access(options.folder / f"timer_loads-{loop}", os.X_OK):
            print(f"{loop}: not installed, left out")
    print(f"ns of processor time for each operation, the median of {runs} runs, of 10M timers and "
          f"of an hour of {shared(runs, 'hour', 0)}; calls: system calls for each operation")
    results, curves = {}, {}
    for row in rows:
        results[row[0]] = measure(options.folder, row, options.quick, runs, base)
        print_table(row[0], results[row[0]])
        for (load, loop), why in NOT_THERE.items():
            if load == row[0]:
                print(f"  {loop}: left out: {why}")
    if not options.quick and (not options.load or "growth" in options.load):
        curves = growth(options.folder, min(runs, 3), base)
    write_reports(commit, results, curves)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"bench.py: {failure}", file=sys.stderr)
        sys.exit(2)
