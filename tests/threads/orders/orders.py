#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Searches every execution of small programs on the real pool.c and async.c with Relacy
(scenarios.cc), then weakens each atomic operation of the two files by one step, and asks what
breaks. What Relacy cannot see is asked of z3 (axioms.py). Called by `make orders`, and with --short
by `make test`. tests/threads/ORDERS.md has the result, and says how to read it.

usage: orders.py [--short] [--write]

--short leaves out what takes longer than some seconds, and z3. --write writes the tables of
ORDERS.md. Exit status 1: a search is not as expected, a weaker order is noticed by nothing and KEPT
does not say why it is not in the source, a reason of KEPT is needed no more, or ORDERS.md is stale.
Without --short it writes build/report/orders.json.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = pathlib.Path("tests/threads/orders")
BUILD = pathlib.Path("build/orders")
DOCUMENT = pathlib.Path("tests/threads/ORDERS.md")
FILES = ["pool.c", "async.c"]  # whose sites are weakened
COMPILED = ["src/pool.c", "src/async.c", "src/completion.c", f"{BUILD}/loop_calls.cc",
            f"{HERE}/scenarios.cc"]
FLAGS = ["-std=gnu++20", "-O1", "-w", "-fpermissive", "-D_GNU_SOURCE", "-pthread", f"-I{BUILD}",
         f"-I{HERE}/include", "-Isrc", "-include", f"{HERE}/machine.h", "-include",
         f"{BUILD}/internal.h", "-x", "c++"]
# What completion.c calls for timers and descriptors is not linked: a call of it is a crash.
LINK = ["-no-pie", "-pthread", "-Wl,--unresolved-symbols=ignore-all"]
LIMIT_S = 3000  # a search that takes longer has not ended, and fails

SCENARIOS = {  # name: (threads, what happens). The first ones take seconds: SHORT, SECONDS
    "hand_over_one": (2, "a thread executes, hands over, wakes, leaves; the loop waits and ends"),
    "end_at_once_one": (2, "the same, and the loop ends without a look"),
    "wake_one": (2, "a thread wakes a loop that ends; its number is given to another descriptor"),
    "wake_waited": (2, "a thread wakes a loop that waits for it, and then ends"),
    "notify_one": (2, "a thread notifies an async that its owner deinitialises"),
    "notify_made": (2, "a thread is told of an async, by release and acquire, and notifies it"),
    "notify_unordered": (2, "the same by a relaxed flag: a data race, and the caller's fault"),
    "push_two": (3, "two threads execute and hand over, and the loop looks twice"),
    "life_end_at_once": (2, "a pool makes a thread; the loop ends at once, and the pool"),
    "life_run": (2, "a pool makes a thread, and the loop waits for its work; loop and pool end"),
    "life_delete": (2, "the same, and what was submitted is deleted at once"),
    "wake_two": (3, "two threads wake a loop that ends"),
    "end_at_once_two": (3, "two threads are at work, and the loop ends without a look"),
    "take_two": (3, "two threads look for work, of which one is there, and it is deleted"),
    "notify_two": (3, "two threads notify an async that its owner deinitialises"),
}
SECONDS = list(SCENARIOS)[:11]
SHORT = list(SCENARIOS)[:9]
BAD = {"notify_unordered": "DATA RACE"}
EVERY_POINT = ["hand_over_one", "end_at_once_one", "wake_one", "notify_one"]

# Operations that no scenario makes, and steps that no scenario notices, each with its reason.
UNUSED = {
    "eti_raise_forgets store": "in a child of fork(2), where there is no other thread",
}
KEPT = {
    ("eti_raise_begins fetch_or", "relaxed"):
        "nothing between threads: whoever makes the object known to another one has to order that. "
        "Kept for a signal handler that interrupts the thread in et_async_init or et_loop_init: it "
        "must not see OPEN before the descriptor is in its place, and Relacy has no signals",
    ("eti_raise_begins load", "plain"): "nothing: an assertion, and nobody else is there yet",
}

WEAKER = {"seq_cst": ["acq_rel"], "acq_rel": ["acquire", "release"], "acquire": ["relaxed"],
          "release": ["relaxed"], "relaxed": ["plain"]}


class Site:
    """An atomic operation of the source."""

    def __init__(self, file, function, operation, orders):
        self.file, self.name, self.orders = file, f"{function} {operation}", orders

    def steps(self):
        """(name, order, weaker order): for a compare-exchange of its failure, too, but below
        relaxed: it is one operation, and that step is taken with the other."""
        for name, order in zip((self.name, self.name + " failing"), self.orders):
            for weaker in WEAKER[order]:
                if weaker != "plain" or name == self.name:
                    yield name, order, weaker


def sites():
    found = {}
    for file in FILES:
        text = re.sub(r"/\*.*?\*/", "", (ROOT / "src" / file).read_text(), flags=re.S)
        function = None
        for line in re.finditer(r"^.*$", text, re.M):
            if head := re.match(r"[a-z].*?\b(\w+)\(.*[{,]$", line[0]):
                function = head[1]
            for call in re.finditer(r"\batomic_(\w+?)_explicit\(", line[0]):
                after = text[line.start() + call.start():]
                orders = re.findall(r"memory_order_(\w+)", after[:after.index(";")])
                count = 2 if "compare" in call[1] else 1
                site = Site(file, function, call[1], orders[:count])
                if site.name in found or len(site.orders) != count or function is None:
                    sys.exit(f"orders: src/{file}: {site.name} is there twice, or not understood")
                found[site.name] = site
        if re.search(r"\batomic_\w+\((?<!_explicit\()", text):
            sys.exit(f"orders: src/{file}: an atomic operation without its order")
    return found


# ---- building and running ------------------------------------------------------------------------


def compile_one(source):
    target = BUILD / (pathlib.Path(source).stem + ".o")
    inputs = [source, f"{HERE}/machine.h", f"{BUILD}/etalon.h", f"{BUILD}/internal.h",
              "src/etalon_vocabulary.h", f"{HERE}/orders.py"]
    state = hashlib.sha256(b"".join((ROOT / each).read_bytes() for each in inputs)).hexdigest()
    mark = ROOT / target.with_suffix(".of")
    if not (ROOT / target).exists() or not mark.exists() or mark.read_text() != state:
        subprocess.run(["g++", *FLAGS, "-c", source, "-o", target], cwd=ROOT, check=True)
        mark.write_text(state)
    return str(target)


def build(pool):
    subprocess.run([sys.executable, HERE / "generate.py", BUILD], cwd=ROOT, check=True)
    objects = list(pool.map(compile_one, reversed(COMPILED)))
    subprocess.run(["g++", *LINK, *objects, "-o", BUILD / "scenarios"], cwd=ROOT, check=True)


def search(scenario, *options):
    """What scenarios.cc says, with the seconds that it took. Anything but a verdict is an error."""
    begun = time.monotonic()
    try:
        run = subprocess.run([BUILD / "scenarios", *options, scenario], cwd=ROOT, timeout=LIMIT_S,
                             capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return {"scenario": scenario, "result": f"NO END WITHIN {LIMIT_S} s", "place": "",
                "executions": 0, "sites": {}, "seconds": LIMIT_S}
    try:
        found = json.loads(run.stdout)
    except ValueError:
        found = {"scenario": scenario, "result": "CRASH", "place": run.stderr[-200:],
                 "executions": 0, "sites": {}}
    if (run.returncode == 0) != (found["result"] == "SUCCESS"):
        found["result"] = f"EXIT STATUS {run.returncode}"
    found["seconds"] = round(time.monotonic() - begun, 1)
    return found


def weaken(step, scenarios):
    """The first of the scenarios that a weaker order breaks, or None when all do without."""
    name, _, weaker = step
    for scenario in scenarios:
        if scenario not in BAD:
            found = search(scenario, "--weaken", f"{name}={weaker}")
            if found["result"] != "SUCCESS":
                return found
    return None


# ---- what is found -------------------------------------------------------------------------------


def breaks(found):
    """In the words of ORDERS.md."""
    return f"{found['result'].lower()} ({found['place']}), `{found['scenario']}`"


def table(steps, results, known):
    lines = ["| file | operation | order | below it | what breaks |", "|---|---|---|---|---|"]
    for step, found in zip(steps, results):
        name, order, weaker = step
        what = breaks(found) if found else KEPT.get((name, weaker), "nothing")
        file = known[name.removesuffix(" failing")].file
        lines.append(f"| {file} | `{name}` | {order} | {weaker} | {what} |")
    lines += [f"| {known[name].file} | `{name}` | {known[name].orders[0]} | | not asked: {why} |"
              for name, why in UNUSED.items()]
    lines += ["", "| scenario | threads | |", "|---|---|---|"]
    lines += [f"| `{name}` | {threads} | {what} |" for name, (threads, what) in SCENARIOS.items()]
    return "".join(line + "\n" for line in lines)


def axioms():
    """(as a table, what is wrong). By Debian's Python, which has Debian's z3."""
    run = subprocess.run(["/usr/bin/python3", HERE / "axioms.py"], cwd=ROOT, capture_output=True,
                         text=True)
    print(run.stdout, end="")
    lines = [re.split(r"  +", line)[1:] for line in run.stdout.splitlines()]
    rows = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    wrong = [f"axioms.py: exit status {run.returncode} {run.stderr[-300:]}"]
    return "| is there an execution with | |\n|---|---|\n" + rows, wrong if run.returncode else []


def compare(sections, writes):
    """The parts of ORDERS.md that are written from what was found."""
    document = text = (ROOT / DOCUMENT).read_text()
    for name, part in sections.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        if not begin or not end:
            return [f"{DOCUMENT} has no part '{name}'"]
        text = before + begin + part + end + after
    if writes:
        (ROOT / DOCUMENT).write_text(text)
    elif document != text:
        return [f"{DOCUMENT} is stale: {HERE}/orders.py --write"]
    return []


def problems_of(searches, steps, results, known):
    used = set()
    for found in searches:
        used |= {name for name, uses in found["sites"].items() if uses > 0}
        expected = BAD.get(found["scenario"], "SUCCESS")
        if found["result"] != expected:
            yield f"{found['scenario']}: {found['result']} {found['place']}"
    for name in sorted(known.keys() - used - UNUSED.keys()):
        yield f"no scenario makes the operation {name}"
    for name in sorted(UNUSED.keys() & used | UNUSED.keys() - known.keys()):
        yield f"UNUSED: {name} is not, or is used"
    for (name, order, weaker), found in zip(steps, results):
        if found is None and (name, weaker) not in KEPT:
            yield f"{name}: {order} is stronger than needed, {weaker} does: nothing breaks"
    needed = {(name, weaker) for (name, _, weaker), found in zip(steps, results) if found is None}
    for name, weaker in sorted(KEPT.keys() - needed):
        yield f"KEPT: {name} {weaker}: it is noticed, or not there"


def show(found, option=""):
    ok = found["result"] == BAD.get(found["scenario"], "SUCCESS")
    what = "all tried" if found["result"] == "SUCCESS" else found["result"].lower()
    print(f"{'ok  ' if ok else 'FAIL'}  {found['scenario'] + option:32} "
          f"{found['executions']:>12,} executions, {what:12} {found['seconds']:7.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    known = sites()
    steps = [step for name in known if name not in UNUSED for step in known[name].steps()]
    (ROOT / BUILD).mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        build(pool)
        chosen = SHORT if options.short else list(SCENARIOS)
        asked = [pool.submit(search, name) for name in reversed(chosen)]  # the long ones first
        points = [] if options.short else EVERY_POINT
        each_point = [pool.submit(search, name, "--every-point") for name in points]
        looking = SHORT if options.short else SECONDS
        weakened = [pool.submit(weaken, step, looking) for step in steps]
        searches = [each.result() for each in reversed(asked)]
        everywhere = [each.result() for each in each_point]
        results = [each.result() for each in weakened]
    for found in searches:
        show(found)
    for found in everywhere:
        show(found, " --every-point")
    for (name, order, weaker), found in zip(steps, results):
        print(f"      {name + ': ' + weaker:48} {breaks(found) if found else 'nothing'}")
    problems = list(problems_of(searches + everywhere, steps, results, known))
    sections = {"orders": table(steps, results, known)}
    if not options.short:
        sections["axioms"], wrong = axioms()
        problems += wrong
    problems += compare(sections, options.write)
    for problem in problems:
        print(f"FAIL  {problem}")
    if not options.short:
        report = ROOT / "build/report/orders.json"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps({
            "searches": len(searches + everywhere), "executions":
                sum(found["executions"] for found in searches + everywhere),
            "weakened": len(steps), "found": sum(found is not None for found in results),
            "kept": len(KEPT), "problems": problems, "scenarios": searches + everywhere}, indent=1)
            + "\n")
    print(f"{len(steps)} steps weaker: {sum(found is not None for found in results)} are noticed, "
          f"{len(KEPT)} are kept for a reason; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
