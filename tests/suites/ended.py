#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that no step of tests/run outlives it: whatever signal ends it, and when a step has taken
too long, all that the step has started is gone. Called by tests/run; prints the test-anything
protocol.

    tests/suites/ended.py [RUN]        (tests/run)

The step is a script whose children sleep: one in the background, one that ignores SIGTERM, one in a
session of its own, and one that `timeout` has given a group of its own.
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = f"{100 + os.getpid() % 1000 / 1000:.3f}"  # by this argument such a child is known
STEP = f"""sleep {SECONDS} & setsid sleep {SECONDS} & timeout 90 sleep {SECONDS} &
(trap '' TERM; exec sleep {SECONDS}) & wait"""
RUN = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests/run").resolve()
CHILDREN = 4
PATIENCE_S = 30
SIGNALS = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
# The process that is to be ended: tests/run with this step alone.
CHILD = f"""import importlib.machinery, signal, sys
for each in {[int(each) for each in SIGNALS]}:
    signal.signal(each, signal.SIG_DFL)
run = importlib.machinery.SourceFileLoader("run", sys.argv[1]).load_module()
run.run([run.Step("sleeps", ["bash", "-c", sys.argv[2]], timeout_s=int(sys.argv[3]))], 1)
"""


def children():
    """The numbers of those of the step that live."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", SECONDS.encode()]:
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def ended(by, limit_s=PATIENCE_S * 3):
    """What is wrong after a run whose step is ended by a signal, or by its limit."""
    process = subprocess.Popen(
        [sys.executable, "-B", "-W", "ignore", "-c", CHILD,
         str(RUN), STEP, str(limit_s)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not wait_until(lambda: len(children()) == CHILDREN):
        yield f"{len(children())} of {CHILDREN} children have begun"
    if by is not None:
        process.send_signal(by)
    try:
        said, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    if process.returncode != (-by if by is not None else 0):
        yield f"the exit status is {process.returncode}: {said}"
    if by is None and "no end within" not in said:
        yield said
    if not wait_until(lambda: not children()):
        yield f"{len(children())} of {CHILDREN} children were left"
    for pid in children():
        os.kill(pid, signal.SIGKILL)


def main():
    failed = 0
    ways = [(f"a run that ends by {each.name} takes its steps along", (each,)) for each in SIGNALS]
    ways.append(("a step beyond its time limit takes its children along", (None, 2)))
    for number, (name, arguments) in enumerate(ways, 1):
        problems = list(ended(*arguments))
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for problem in problems:
            print("# " + problem.replace("\n", "\n# "), flush=True)
    print(f"1..{len(ways)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
