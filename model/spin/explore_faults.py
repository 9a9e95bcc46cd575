#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the loop on purpose, one fault of tests/suites/faults.py at a time, and lets Spin search
for it. Called by `make explore-faults`.

usage: explore_faults.py [NAME...]

For each fault the scope in which it shows; its shortest trail is replayed by the broken loop's own
`etalon`, and must differ there too. Works on a copy under build/explore-faults; writes
build/report/explore_faults.json and a table. Exit status 1 when a fault is not found that fits a
scope, or there was no verdict on it. """
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/suites"))
import broken  # noqa: E402
import faults  # noqa: E402

WORK = ROOT / "build/explore-faults"
OBJECTS = ["build/default/etalon", "build/default/explored.o"]
SCOPES = {  # where the small scope does not suffice
    "no generation check": "copies",
    "the timeout is rounded down": "waits",
    "a rearmed completion runs again in the same round": "waits",
    "the wake-up is drained after the callbacks": "waits",
    "the time is not updated after the wait": "waits",
    "an added completion trusts the registration": "closes",
    "a refused modification is final": "closes",
    "close leaves its registration to the kernel": "closes",
    "close leaves the waiters alone": "closes",
    "close is repeated after EINTR": "closes",
    "a send overtakes one that waits": "sends",
    "a deadline overflows": "times",
    "a full millisecond is rounded up": "fractions",
    "a timer that is moved at once keeps its place": "alone",
    "a reset without a carrier leaves it to one that is at work": "alone",
    "a turn goes on until a callback was called": "turns",
    "a turn does not wait": "turns",
}
OUTSIDE = {  # what no scope can show, and why
    "the loop goes on to the kernel after stop":
        "shows only in what a pool has handed over, and no scope has a pool",
    "what asks for nothing counts as registered":
        "shows only in a poll without events, and no scope has a poll",
    "deadlines are rounded up from microseconds":
        "the clock stands at tenths of a millisecond there",
    "a modification keeps its generation":
        "shows when a number's former file comes back from a third number, and copies has two",
    "everybody on the descriptor gets the registration's error":
        "shows only once an addition was refused with EEXIST, after which nobody but the kernel "
        "knows what is covered: only the case's own record tells",
    "a timer may carry its own reset": "no program of a scope asks for that",
    "what is handed over is not in the timeout": "no scope has a loop around the loop",
    "a stopped loop has a timeout": "no scope has a loop around the loop",
    "each call makes another descriptor": "no scope has a loop around the loop",
    "the descriptor is the instance that may be renewed": "no scope has a loop around the loop",
    "a stopped loop is still shown as ready": "no scope has a loop around the loop",
    "a renewed instance is not shown": "no scope has a loop around the loop",
    "a sandbox's refusal is an error of the wait": "the kernel of the scopes has epoll_pwait2",
    "registrations are edge-triggered":
        "ET-PROGRESS-2 counts rounds, and the search keeps no such count",
    "registrations are edge-triggered where the loop does not wait":
        "ET-PROGRESS-2 counts rounds, and the search keeps no such count",
    "a report leads to one try":
        "ET-PROGRESS-2 counts rounds, and the search keeps no such count",
    "what waits to write has no turn beside what waits to read":
        "ET-PROGRESS-2 counts rounds, and the search keeps no such count",
    "the error queue is read when data have come": "no scope has flags",
    "urgent data are read when data have come": "no scope has flags",
    "nobody asks for urgent data": "no scope has flags",
    "all that wait for the error queue are answered": "no scope has flags",
    "the flags of a receive are dropped": "no scope has flags",
    "a connect that is made is told to be refused": "no scope has a connect",
    "a connect has no room where there is some": "no scope has a connect",
    "a connect leaves out the end of the address": "no scope has a connect",
}


def search(fault):
    """The report, and the trace's length in commands and what replaying it says; None where nothing
    was found."""
    texts = broken.texts_of(fault[0], fault[1:])
    broken.inject(WORK, fault[0], texts, OBJECTS)
    scope = SCOPES.get(fault[0], "small")
    report = WORK / "report.json"
    environment = {
        **os.environ, "EXPLORE_OBJECTS": str(WORK / "build/default"), "EXPLORE_REPORT": str(report),
        "EXPLORE_WORK": str(WORK / "search"), "EXPLORE_EXPECTED": "1"
    }
    run = subprocess.run([ROOT / "model/spin/explore.sh", scope], env=environment,
                         capture_output=True, text=True)
    broken.restore(WORK, texts)
    row = {"fault": fault[0], "scope": scope, "found": run.returncode == 1}
    if run.returncode != 1:
        row["failure"] = (run.stdout + run.stderr)[-500:].strip()
        return row
    if row["found"]:
        trace = (WORK / "search/explore.trace").read_text()
        shutil.copy(WORK / "search/explore.trace",
                    WORK / (re.sub(r"\W+", "-", fault[0]) + ".trace"))
        row["commands"] = len(re.findall(r"^  (?!open|>|return)", trace, re.M))
        row["shows"] = re.search(r"^title (.*)", trace, re.M).group(1)
        try:
            replay = subprocess.run(
                [WORK / "build/default/etalon", "replay", WORK / "search/explore.trace"],
                capture_output=True, timeout=60)
            row["replayed"] = replay.returncode != 0
        except subprocess.TimeoutExpired:
            row["replayed"] = True
    return row


def main():
    chosen = [f for f in faults.FAULTS if not sys.argv[1:] or f[0] in sys.argv[1:]]
    if not chosen or len(chosen) < len(sys.argv) - 1:
        sys.exit("explore_faults.py: no fault has such a name")
    for fault in chosen:
        if fault[0] in OUTSIDE:
            print(f"no scope  {fault[0]:58} {OUTSIDE[fault[0]]}")
    chosen = [fault for fault in chosen if fault[0] not in OUTSIDE]
    chosen.sort(key=lambda fault: fault[0] in SCOPES)  # what the small scope shows comes first
    subprocess.run(["make", "-s", *OBJECTS], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    broken.copy_tree(WORK, ["default"])
    rows, found = [], 0
    for fault in chosen:
        row = search(fault)
        rows.append(row)
        text = f"{row['commands']} commands: {row['shows']}" if row["found"] else row.get(
            "failure", "NOT FOUND")
        mark = "found    " if row["found"] and row["replayed"] else "NOT FOUND"
        print(f"{mark} {fault[0]:58} {row['scope']:9} {text}", flush=True)
        out = ROOT / "build/report/explore_faults.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        found = sum(r["found"] and r.get("replayed", False) for r in rows)
        out.write_text(
            json.dumps({"faults": len(rows), "found": found, "rows": rows}, indent=1) + "\n")
    print(f"{found} of {len(rows)} faults were found, each with a trace that the broken loop "
          f"replays ({WORK.relative_to(ROOT)}/*.trace)")
    return 0 if found == len(rows) else 1


sys.exit(main())
