#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the two judges from outside side by side, and tells where they differ. Called by `make
judges`.

usage: judges.py [--random N] [--seed S] [SUBJECT.so...]     (build/subjects/*.so)

The old judge is the rules of tests/kit/outside.c, the new one the promise (model/promise.c), which
is told of the same run. Differences that are explained stand in EXPLAINED, with who is right and
why; any other one is a failure, and is printed with the command that shows its program.
"""
import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# (what the old judge says, what the new one says, who is right and why); ~ is "not strict".
EXPLAINED = [
    (r"ET-WAIT-4~", r"pass~",
     "new: the clause is about one timer that is alone, and a long wait may be made in slices"),
    (r"ET-EXPIRE-3~", r"pass~|ET-EVENT-4/returns~|ET-EXPIRE-1/returns~",
     "new: the loop may have taken the time between the two submissions, or they were reset"),
    (r"pass~", r"ET-EXPIRE-3~", "new: the old one looked at what was set before the run only"),
    (r"ET-EVENT-4/returns", r"pass~",
     "new: it was ready at the beginning and the end of the run, and not in between"),
    (r"pass~", r"ET-EXPIRE-4", "new: the old one tolerated 2 us, of a loop time that is rounded down"),
    (r"ET-ADD-5", r"ET-ADD-6", "new: what is refused without a pool has a clause of its own"),
    (r"ET-EXPIRE-4", r"ET-RESET-4", "both are broken; the new one names the clause about resets"),
    (r"ET-EVENT-4/result|ET-OP-1/error", r"ET-CANCEL-(8|10)",
     "both are broken; the new one names the clause about cancels"),
    (r"pass~|ET-\S+~", r"ET-EXPIRE-2~",
     "new: the loop time does not go back, so what is set first with a shorter delay is earlier"),
]
LINE = re.compile(r"(\S+) the judges differ: old (\S+) \((.*?)\), new (\S+) \((.*)\)$")


def differences(subject, options):
    log = ROOT / "build/test" / f"judges-{subject.stem}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    environment = dict(os.environ, ETALON_JUDGE="both", ETALON_JUDGE_LOG=str(log))
    run = subprocess.run([ROOT / "build/default/etalon", "check", "--outside", "--quiet", "--tap",
                          "-", "--random", str(options.random), "--seed", str(options.seed),
                          subject],
                         env=environment, cwd=ROOT, capture_output=True, text=True,
                         errors="replace")
    if run.returncode not in (0, 1):
        sys.exit(f"judges.py: {run.stdout}{run.stderr}")
    judged = re.search(r"(\d+) judged", run.stdout)
    found = collections.Counter()
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        match = LINE.match(line)
        found[(match[2], match[4]) if match else (line, "")] += 1
    cases = len(re.findall(r"^(?:not )?ok \d+ - (?!.*# SKIP)", run.stdout, re.M))
    return cases, judged[1] if judged else "0", found


def explained(before, now):
    for old, new, why in EXPLAINED:
        if re.fullmatch(old, before) and re.fullmatch(new, now):
            return why
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--random", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("subject", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    wrong = 0
    for subject in options.subject or sorted((ROOT / "build/subjects").glob("*.so")):
        cases, programs, found = differences(subject.resolve(), options)
        print(f"{subject.stem}: {cases} cases, {programs} random programs, "
              f"{sum(found.values())} differences", flush=True)
        for (before, now), count in found.most_common():
            why = explained(before, now)
            wrong += why is None
            print(f"  {count:5} old {before:24} new {now:24} {why or 'NOT EXPLAINED'}")
    if wrong:
        print("to see a program: ETALON_JUDGE=both build/default/etalon check --outside "
              f"--random {options.random} --seed {options.seed} build/subjects/NAME.so")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
