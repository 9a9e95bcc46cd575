#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures how fast the fuzzer finds again what is known: mends taken back, and seeded faults.

usage: fuzz_time.py [--repeat N] [--seconds N] [--empty] [--check] [--list] [NAME...]

Builds the harness with one change at a time, in a copy of the tree, and measures the seconds until
libFuzzer, on one core, stops: from the committed corpus (loading it counts) and, with --empty, from
nothing as well; REPEAT times with different seeds. Names choose among both lists. Prints a table;
writes build/report/fuzz-time.json. Exit status 1 when something was never found from the corpus.
"""
import argparse
import json
import statistics
import subprocess
import sys

import broken
import faults

WORK = broken.ROOT / "build/fuzz-time"
SEEDS = [broken.ROOT / "build/fuzz" / name for name in ("committed", "seeds")]

# A mend taken back: name, file (from the root), what stands there, what stood there before. That a
# refusal owes the orphaned nothing is not here: Etalon's loop ends them all the same, always.
MENDS = [
    ("a modification keeps the generation of the file in between", "src/registrations.c",
     "uint32_t generation = d->generation + 1;", "uint32_t generation = d->generation;"),
    ("a number that accept has returned has no former reports", "src/registrations.c",
     "if (d->opened_round == loop->round && generation + 1 == d->generation)",
     "if (d->opened_round == loop->round)"),
    ("the model is not told that a number has moved", "fuzz/driver/lockstep.c",
     "        (void)SAY(EVENT_MOVED, .fd = fd);\n", ""),
    ("a report owes the orphaned what it owes others", "model/model.c",
     "report->source == MODEL_SEEN ? mask & ~m->orphaned : NOTHING;",
     "report->source == MODEL_SEEN ? mask : NOTHING;"),
    ("what the kernel has claimed is in no doubt", "model/model.c",
     "return m->refused & ~m->doubtful & ~m->orphaned;", "return m->refused & ~m->orphaned;"),
    ("the orphaned keep the order of starting", "model/model.c",
     "    if (HAS(m->orphaned, c))\n        return NOTHING;\n    mask &= ~m->orphaned;\n", ""),
    ("an orphaned operation is no longer one when its callback rearms it", "model/model.c",
     "        m->orphaned |= orphaned ? BIT(c) : NOTHING;\n    }\n", "    }\n"),
    ("what has ended unseen goes on into the next round", "model/model.c",
     "        end_silently(m, dead & m->maybe_dead);\n        return move_on(m);",
     "        return move_on(m);"),
    ("what may have ended unseen cannot have been reset", "model/promise.c",
     "        if (perhaps && e->result == 0)\n            of->reset = true;\n", ""),
    ("what the kernel says of the instance that is shown is not so", "fuzz/world/kernel.c",
     "bool acts = failure == 0 || comes_true(failure, op, fd);", "bool acts = failure == 0;"),
    ("a second wait is owed the second notification", "model/promise.c",
     "        if (other->async && other != of)\n            return false;\n", ""),
    ("a close that is started is known to be made", "model/model.c",
     "    m->tick.current = (model_index)c;\n    if (of->operation == ET_CONNECT ||",
     "    m->tick.current = (model_index)c;\n    if (of->operation == ET_CLOSE)\n"
     "        forget_vouched(m, of->description.fd);\n    if (of->operation == ET_CONNECT ||"),
    ("a run that is refused is a turn", "model/promise.c",
     "run.something = p->something || (!known_mode && p->run.something);",
     "run.something = p->something;"),
    ("a poll goes before what was reported before it was ready", "model/promise.c",
     "of->turn != p->turns && other->found != 0)", "of->turn != p->turns && other->ready != 0)"),
]


def measured(change, options):
    """{"committed" or "empty": seconds of each repetition, None where it was not found}."""
    texts = broken.texts_of(change[0], change[1:])
    broken.inject(WORK, change[0], texts, ["build/fuzz/harness"])
    times = {}
    for start in ["committed", "empty"] if options.empty else ["committed"]:
        seeds = SEEDS if start == "committed" else []
        runs = [broken.fuzz(options.seconds, WORK, seeds, seed + 1)
                for seed in range(options.repeat)]
        times[start] = [run and round(run[0], 2) for run in runs]
    broken.restore(WORK, texts)
    return times


def figures(times, limit):
    """The median and the worst; what was not found counts as longer than the limit."""
    ordered = sorted(limit if t is None else t for t in times)
    shown = [f"> {limit}" if t >= limit else f"{t:.1f}"
             for t in (statistics.median_high(ordered), ordered[-1])]
    found = sum(t is not None for t in times)
    return f"{shown[0]:>8} {shown[1]:>8} {found:>3} of {len(times)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--seconds", type=int, default=60, help="the longest run (60)")
    parser.add_argument("--empty", action="store_true", help="from an empty corpus as well")
    parser.add_argument("--check", action="store_true", help="only check that each has its text")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    if options.repeat < 1 or options.seconds < 1:
        parser.error("--repeat and --seconds are at least 1")
    known = [*MENDS, *faults.FAULTS]
    chosen = [change for change in known if not options.name or change[0] in options.name]
    if len(chosen) < len(options.name) or not chosen:
        parser.error("no mend or fault has such a name (--list)")
    for change in chosen:
        broken.texts_of(change[0], change[1:])
    if options.list or options.check:
        print("\n".join(c[0] for c in chosen) if options.list else f"{len(chosen)} have their text")
        return 0
    targets = ["build/fuzz/harness", "build/seeds.made", "build/committed.made"]
    subprocess.run(["make", "-s", *targets], cwd=broken.ROOT, check=True, stdout=subprocess.DEVNULL)
    broken.copy_tree(WORK, ["fuzz"])
    starts = ["committed", "empty"] if options.empty else ["committed"]
    print(f"{'seconds from a corpus that is':58}" + "".join(f"  {start:>24}" for start in starts))
    print(f"{'':58}" + "  {:>8} {:>8} {:>6}".format("median", "worst", "found") * len(starts))
    report, missed = {start: {} for start in starts}, 0
    for change in chosen:
        times = measured(change, options)
        for start in starts:
            report[start][change[0]] = times[start]
        missed += all(t is None for t in times["committed"])
        row = "".join(f"  {figures(times[start], options.seconds)}" for start in starts)
        print(f"{change[0]:58}{row}", flush=True)
    path = broken.ROOT / "build/report/fuzz-time.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"limit_s": options.seconds, "seconds": report}, indent=1) + "\n")
    print(f"{len(chosen) - missed} of {len(chosen)} were found from the committed corpus")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
