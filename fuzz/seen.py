# SPDX-License-Identifier: MIT
"""Reads what a harness has counted (seen.c): rows of the lifecycle, results of operations, lines.
For fuzz/corpus and tests/suites/fuzz_report.py, which run the harness of `make fuzz-report`."""
import errno
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
STATES, ROWS, RESULTS = ["DEAD", "ADDING", "ACTIVE", "DELETING"], 352, 136  # as in seen.c
COUNTED = ("accept", "poll", "read", "pread", "write", "pwrite", "send", "recv", "sendmsg",
           "recvmsg")  # whose result says how much, or which


def stop(why):
    print(f"seen: {why}", file=sys.stderr)
    sys.exit(2)


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


# ---- what there is to reach ----------------------------------------------------------------------


def names_of(text, begin):
    """The names of an enumeration of the model, without their prefix."""
    body = re.search(rf"{begin} {{(.*?)}}", text, re.S)[1]
    return [name.split("_", 1)[1] for name in re.findall(r"\w+_\w+", body)]


def places():
    """{cell of lifecycle.def: its place in the model's table}"""
    model = read("model/model.c")
    events, conditions = names_of(model, "enum on"), names_of(model, "enum condition")
    cells = re.findall(r"^LIFECYCLE\((\w+), (\w+), (\w+),", read("spec/lifecycle.def"), re.M)
    if len(events) * len(STATES) * len(conditions) != ROWS:
        stop("the model's table is not what fuzz/seen.c counts")
    return {" ".join(cell): (events.index(cell[0]) * len(STATES) + STATES.index(cell[1])) *
            len(conditions) + conditions.index(cell[2]) for cell in cells}


def operations():
    return [name.lower() for name in
            names_of(read("src/etalon_vocabulary.h"), "enum et_operation")]


def possible_results():
    """Each result that an operation can have, by tests/suites/errors.expected."""
    found = {}
    for name in operations():
        found[f"{name} >0" if name in COUNTED else f"{name} 0"] = 0
        if name in COUNTED and name not in ("accept", "poll"):
            found[f"{name} 0"] = 0
    for line in read("tests/suites/errors.expected").splitlines():
        if line.endswith(" met") and not line.startswith("#"):
            operation, *errors = line.split()[:-1]
            found.update({f"{operation} {error}": 0 for error in errors})
    return found


def errno_names():
    """{number: the name that a trace has for it}"""
    names = re.findall(r"\bE\((E\w+)\)", read("model/program.c"))
    return {getattr(errno, name): name for name in reversed(names) if hasattr(errno, name)}


class Counts:
    """What a harness has counted in one folder: in the file of fuzz/seen.c, and line by line."""

    def __init__(self, folder, harness):
        self.folder, self.harness = folder, harness
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.seen = folder / "seen"
        self.numbers = f"={ROWS + len(operations()) * RESULTS}Q"
        self.forget()
        self.environment = {"ETALON_FUZZ_SEEN": str(self.seen.resolve()),
                            "LLVM_PROFILE_FILE": f"{folder.resolve()}/%m%c.profraw"}

    def forget(self):
        self.seen.write_bytes(bytes(struct.calcsize(self.numbers)))

    def lines(self):
        """{file: {line: how often it was run}} of what is counted."""
        raw, data = sorted(self.folder.glob("*.profraw")), self.folder / "lines.data"
        if not raw:
            return {}
        merge = subprocess.run(["llvm-profdata", "merge", *raw, "-o", data], capture_output=True,
                               text=True)
        export = subprocess.run(["llvm-cov", "export", "-format=lcov", "-instr-profile", data,
                                 self.harness], capture_output=True, text=True)
        if merge.returncode != 0 or export.returncode != 0:
            stop(f"the lines cannot be counted:\n{merge.stderr}{export.stderr}")
        found = {}
        for line in export.stdout.splitlines():
            if line.startswith("SF:"):
                path = os.path.relpath(line[3:], ROOT)
                file = found.setdefault(path, {})
            elif line.startswith("DA:"):
                number, count = map(int, line[3:].split(",")[:2])
                file[number] = max(count, file.get(number, 0))
        return found

    def used(self):
        """{cell: count}, {result: count}"""
        values = struct.unpack(self.numbers, self.seen.read_bytes())
        errors, results = errno_names(), possible_results()
        for i, operation in enumerate(operations()):
            at = ROWS + i * RESULTS
            for place, count in enumerate(values[at:at + RESULTS]):
                name = ("0" if place == 0 else ">0" if place == RESULTS - 2
                        else errors.get(place, f"E{place}"))
                if count or f"{operation} {name}" in results:
                    results[f"{operation} {name}"] = count
        return {cell: values[place] for cell, place in places().items()}, results
