#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's own tests of its selectors and of asyncio, on Etalon: tests/examples/etalon_selector.py
takes the places of DefaultSelector and EpollSelector. Called by `make peers`; `make setup-peers`
installs the tests (Debian: libpython3.11-testsuite).

usage: peers.py [NAME...]     of the suites: selectors, or a module of test.test_asyncio

What fails is compared with tests/suites/peers.known, a line for each test that is known to fail,
with the reason: another failure, and a known one that passes, are errors. Writes
build/report/peers.json. Exit status: 0 when all is as known, 1 otherwise, 2 it cannot be run."""
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "build/peers/libetalon.so"
SUITES = ["selectors", "base_events", "buffered_proto", "context", "events", "futures", "futures2",
          "locks", "pep492", "proactor_events", "protocols", "queues", "runners", "selector_events",
          "sendfile", "server", "sock_lowlevel", "ssl", "sslproto", "streams", "subprocess",
          "taskgroups", "tasks", "threads", "timeouts", "transports", "unix_events", "waitfor"]
SECONDS_MAX = 600  # of one suite


def suite_of(name):
    """Within the process that runs it: the tests, with Etalon in the place of epoll."""
    sys.path.insert(0, str(ROOT / "tests/examples"))
    import selectors

    from etalon_selector import EtalonSelector
    if name != "selectors":
        selectors.DefaultSelector = selectors.EpollSelector = EtalonSelector
        return unittest.defaultTestLoader.loadTestsFromName("test.test_asyncio.test_" + name)
    from test import test_selectors

    class EtalonSelectorTestCase(test_selectors.BaseSelectorTestCase,
                                 test_selectors.ScalableSelectorMixIn, unittest.TestCase):
        SELECTOR = EtalonSelector
    return unittest.defaultTestLoader.loadTestsFromTestCase(EtalonSelectorTestCase)


class Result(unittest.TextTestResult):
    """Which tests have passed, too; one with subtests passes when none of these has failed."""

    def startTest(self, test):
        super().startTest(test)
        self.of.setdefault(test.id(), "passed")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.of = {}

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.of[test.id()] = "skipped"

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.of[test.id()] = "failed"

    def addError(self, test, err):
        super().addError(test, err)
        self.of[test.id()] = "failed"

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.of[test.id()] = "failed"


def run_here(name, path):
    result = unittest.TextTestRunner(resultclass=Result, verbosity=1).run(suite_of(name))
    pathlib.Path(path).write_text(json.dumps(result.of))


def build():
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    sources = [*sorted((ROOT / "src").glob("*.c")), ROOT / "tests/examples/selector_sizes.c"]
    subprocess.run([os.environ.get("CC") or "cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-fPIC",
                    "-shared", "-pthread", *sources, "-o", LIBRARY], check=True)


def known_failures():
    lines = (ROOT / "tests/suites/peers.known").read_text().splitlines()
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def outcome(name):
    """A dictionary of tests, or nothing after a word about why there is none."""
    path, log = ROOT / f"build/peers/{name}.json", ROOT / f"build/peers/{name}.log"
    path.unlink(missing_ok=True)
    environment = {**os.environ, "ETALON_LIBRARY": str(LIBRARY)}
    with open(log, "w") as out:
        try:
            subprocess.run([sys.executable, __file__, "--here", name, path], env=environment,
                           stdout=out, stderr=out, timeout=SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            print(f"{name}: no end within {SECONDS_MAX} s", file=out)
    return json.loads(path.read_text()) if path.exists() else None


def main():
    if sys.argv[1:2] == ["--here"]:
        return run_here(*sys.argv[2:4])
    try:
        from test import test_asyncio
    except ImportError:
        print("CPython's tests are not installed: make setup-peers", file=sys.stderr)
        return 2
    build()
    where = pathlib.Path(test_asyncio.__file__).parents[1]
    print(f"CPython {sys.version.split()[0]}, its tests in {where}", flush=True)
    counts, failed, seen, begun = {"passed": 0, "failed": 0, "skipped": 0}, [], set(), time.time()
    for name in sys.argv[1:] or SUITES:
        of = outcome(name)
        if of is None:
            failed.append(f"{name} (build/peers/{name}.log)")
            print(f"{name:16} did not end")
            continue
        seen.update(of)
        words = [list(of.values()).count(word) for word in counts]
        for word, count in zip(counts, words):
            counts[word] += count
        failed += [test for test, word in of.items() if word == "failed"]
        print(f"{name:16} {words[0]:4} passed, {words[1]} failed, {words[2]} skipped", flush=True)
    known = known_failures()
    new = sorted(set(failed) - known)
    mended = sorted(known & seen - set(failed))
    for test in new:
        print(f"fails, and is not known to: {test}")
    for test in mended:
        print(f"passes, and is known to fail: {test}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                            text=True, check=False).stdout.strip()
    report = {"commit": commit, **counts, "known": len(known & seen), "new": new, "mended": mended,
              "python": sys.version.split()[0], "seconds": round(time.time() - begun)}
    (ROOT / "build/report").mkdir(parents=True, exist_ok=True)
    (ROOT / "build/report/peers.json").write_text(json.dumps(report, indent=1) + "\n")
    return 1 if new or mended else 0


if __name__ == "__main__":
    sys.exit(main())
