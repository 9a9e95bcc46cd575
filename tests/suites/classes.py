#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Classes of wrong loops that only their caller, or its peer, notices: one broken copy of Etalon's
adapter for each, before the judge that sees what a caller sees.

usage: classes.py [--check] [--all] [NAME...]

Each copy is shown the case that is named for it, and has to fail it by the clause that is named;
with --all it is shown all cases and 200 random programs, and what finds it is printed. The copy
without a fault must pass. --check only looks whether each text is still there. A copy replaces
texts, in a file of src/ or one that is named from the root. Prints the test-anything protocol. """
import argparse
import re
import shutil
import subprocess
import sys

import faults

WORK = faults.ROOT / "build/classes"
ADAPTER = "fuzz/driver/etalon_loop.c"

CLASSES = [  # name, the case that shows it, the clause that is blamed, (file, old, new)...
    ("a cancel always loses", "cancel-of-what-waits", "ET-CANCEL-11",
     ("operations.c", "    return ours && (target->internal.state == ET_ACTIVE ||",
      "    if (ours && target->internal.state == ET_ACTIVE)\n        *result = -EALREADY;\n"
      "    return ours && (target->internal.state == ET_ADDING && false ||")),
]


def faulty(fault):
    """What the fault makes of which files."""
    texts = {}
    for file, old, new in fault[3:]:
        text = texts.get(file) or (faults.ROOT / faults.path_of(file)).read_text()
        texts[file] = faults.replaced(fault[0], file, text, old, new)
    return texts


def build(number, texts, good):
    objects = dict(good)
    for at, (file, text) in enumerate(texts.items()):
        source = WORK / f"fault-{number}-{at}.c"
        source.write_text(text)
        objects[file] = faults.compiled(source, WORK)
    adapter = WORK / f"{number}.so"
    subprocess.run(["cc", "-shared", "-pthread", "-Wl,-Bsymbolic", *objects.values(), "-o",
                    adapter], check=True)
    return adapter


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    chosen = [c for c in CLASSES if not options.name or c[0] in options.name]
    if not chosen:
        parser.error("no class has such a name")
    made = [faulty(fault) for fault in chosen]
    if options.check:
        print(f"{len(chosen)} classes have their text")
        return 0
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    good = {source.name: faults.compiled(source, WORK)
            for source in (faults.ROOT / "src").glob("*.c")}
    good[ADAPTER] = faults.compiled(faults.ROOT / ADAPTER, WORK)
    cases = sorted({case for _, case, _, *_ in chosen} - {""})
    failed, count = 0, 0

    def report(name, passed, said):
        nonlocal failed, count
        count += 1
        failed += not passed
        print(f"{'ok' if passed else 'not ok'} {count} - {name}: {said}", flush=True)

    found = faults.failing_outside(build("good", {}, good), [] if options.all else cases,
                                   200 if options.all else 0)
    report("no fault", not found, f"{len(found)} cases fail" if found else "nothing is blamed")
    for number, (fault, texts) in enumerate(zip(chosen, made)):
        name, case, clause = fault[:3]
        adapter = build(number, texts, good)
        found = faults.failing_outside(adapter, [] if options.all or not case else [case],
                                       200 if options.all or not case else 0)
        said = " ".join(f"{of} ({by})" for of, by in found[:4]) or "nothing"
        report(name, (case, clause) in found, said)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
