#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests Etalon by other compilers, with other C libraries, on other machines; asks the analysers.

usage: portable.py [--quick] [NAME...]    each NAME a configuration, a group, or a pattern

Called by `make portable`, and with --quick by `make test`: there only what a caller sees of the
library, where a compiler is installed. Prints the test-anything protocol, and writes the table of
what it saw, build/report/portable.md, with build/report/portable.json. Environment: JOBS compiles
at a time, SKIP_MISSING=1 leaves out what is not installed. Exit status 1 when a test fails, 2 when
something is missing or there is no such configuration."""
import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import analysers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build/portable"
ROWS = WORK / "rows"
REPORT = ROOT / "build/report"
UNITS = sorted(path.stem for path in (ROOT / "tests/unit").glob("test_*.c"))
CASES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "spec/cases").glob("*.trace"))
WARNINGS = "-Wall -Wextra -Wpedantic -Werror".split()
UNIT_S, CASES_S, EXEMPT_S, PROBE_S, BUILD_S = 1200, 2400, 60, 400, 2400
CASE_S = 120  # of processor time, for one case: an emulator takes ten times as long

LIBRARY = "/usr/{}-linux-gnu/lib/libc.so.6"


class Configuration:
    """One row. `needs` is {command or file: the Debian package it is in}."""

    def __init__(self, name, group, machine, needs, emulator=None):
        self.name, self.group, self.machine = name, group, machine
        self.needs, self.emulator = needs, emulator
        self.runner = []

    def missing(self):
        return {
            package: what
            for what, package in self.needs.items()
            if not (os.path.exists(what) if "/" in what else shutil.which(what))
        }


def other_machine(name, emulator, debian):
    needs = {
        f"{name}-linux-gnu-gcc": f"gcc-{name}-linux-gnu",
        LIBRARY.format(name): f"libc6-dev-{debian}-cross",
        emulator: "qemu-user",
    }
    return Configuration(name, "machines", name, needs,
                         [emulator, "-L", f"/usr/{name}-linux-gnu"])


COMPILED = [
    *(Configuration(f"gcc-{level}", "compilers", "x86-64", {"gcc": "gcc"})
      for level in ("O0", "O2", "O3", "lto")),
    *(Configuration(f"clang-{level}", "compilers", "x86-64", {"clang": "clang"})
      for level in ("O0", "O2", "O3")),
    Configuration("clang-lto", "compilers", "x86-64",
                  {"clang": "clang", "ld.lld": "lld", "llvm-ar": "llvm"}),
    Configuration("msan", "compilers", "x86-64",
                  {"clang": "clang", "/usr/lib/llvm-14/lib/clang": "libclang-rt-14-dev"}),
    Configuration("musl", "machines", "x86-64", {"musl-gcc": "musl-tools"}),
    other_machine("i686", "qemu-i386", "i386"),
    other_machine("aarch64", "qemu-aarch64", "arm64"),
    other_machine("riscv64", "qemu-riscv64", "riscv64"),
    other_machine("s390x", "qemu-s390x", "s390x"),
]
ANALYSERS = [Configuration(name, "analysers", "", needs) for name, needs in analysers.NEEDS.items()]
CONFIGURATIONS = COMPILED + ANALYSERS


# ---- the test-anything protocol ------------------------------------------------------------------


class Tests:
    number = failures = 0

    @classmethod
    def report(cls, name, good, output=""):
        cls.number += 1
        cls.failures += not good
        print(f"{'ok' if good else 'not ok'} {cls.number} - {name}")
        if not good:
            for line in output.rstrip().splitlines()[-30:]:
                print(f"#   {line}")
        sys.stdout.flush()
        return good

    @classmethod
    def skip(cls, name, why):
        cls.number += 1
        print(f"ok {cls.number} - {name} # SKIP {why}", flush=True)


def run(command, timeout_s, **environment):
    """(exit status, what it says on both); a process that takes too long is ended with its own."""
    with subprocess.Popen([str(word) for word in command], cwd=ROOT, text=True, errors="replace",
                          env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            status, output = 124, output + f"\n(ended after {timeout_s} s)"
    if status < 0:
        status, output = 128 - status, output + f"\n(ended by signal {-status})"
    return status, output


# ---- what an emulator lacks ----------------------------------------------------------------------


class Exemptions:
    """tests/portable/exempt. Raises ValueError about an entry that cannot be right."""

    def __init__(self, path=ROOT / "tests/portable/exempt"):
        self.entries = []
        trials = (ROOT / "tests/portable/emulator.c").read_text(encoding="utf-8")
        trials = set(re.findall(r'^    \{"([\w-]+)", \w+\},$', trials, re.M))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            words = line.split(None, 4)
            if len(words) < 5:
                raise ValueError(f"{path}:{number}: not LACK PROGRAM HOW NAME REASON")
            problem = self.problem(*words[:4], trials)
            if problem:
                raise ValueError(f"{path}:{number}: {problem}")
            self.entries.append(words)
        if unused := trials - {entry[0] for entry in self.entries}:
            raise ValueError(f"{path}: no entry needs {', '.join(sorted(unused))}")

    @staticmethod
    def problem(lack, program, how, name, trials):
        if lack not in trials:
            return f"emulator.c does not try {lack}"
        if how not in ("out", "may", "never", "apart", "set"):
            return f"{how} is none of: out, may, never, apart, set"
        if program == "cases":
            found = f"spec/cases/{name}.trace" in CASES and how in ("out", "may")
        elif program in UNITS:
            text = (ROOT / f"tests/unit/{program}.c").read_text(encoding="utf-8")
            found = name.partition("=")[0] in text
        else:
            found = False
        return None if found else f"{program} has no {name}"

    def of(self, program, lacks):
        return [entry for entry in self.entries if entry[1] == program and entry[0] in lacks]


# ---- one configuration ---------------------------------------------------------------------------


def words_of(name):
    """Compiler, flags and linker's flags that the Makefile has for this configuration."""
    status, output = run(["make", "-s", f"VARIANT={name}", "MAKEFLAGS=",
                          f"build/{name}/portable.flags"], 60)
    if status != 0:
        raise RuntimeError(output)
    lines = (ROOT / f"build/{name}/portable.flags").read_text(encoding="utf-8").splitlines()
    return [words.split() for words in lines]


class Row:
    def __init__(self, configuration):
        self.configuration = configuration
        self.name = configuration.name
        self.passed = self.failed = self.skipped = 0
        self.cases = {"simulated": "–", "real": "–"}
        self.cases_passed = self.cases_failed = self.failures = 0
        self.lacks, self.why, self.options = [], "", ""
        self.compiler, self.flags, self.linked = [], [], []
        # What each program of the variant is linked with (Makefile: extra.msan), of ours.
        self.extra = ["build/msan/tests/portable/msan.o"] if self.name == "msan" else []
        self.seconds = 0.0

    def report(self, what, good, output=""):
        self.failures += not good
        return Tests.report(f"{self.name}: {what}", good, output)

    # -- what it is made of

    def build(self, parts):
        log = WORK / f"{self.name}.log"
        jobs = os.environ.get("JOBS") or str(os.cpu_count() or 1)
        print(f"# {self.name}: building", flush=True)
        goals = [f"build/{self.name}/{part}" for part in parts]
        status, output = run(["make", f"-j{jobs}", *goals], BUILD_S, MAKEFLAGS="")
        log.write_text(output, encoding="utf-8")
        good = status == 0
        if good:
            self.compiler, self.flags, self.linked = words_of(self.name)
            self.options = " ".join(word for word in self.flags
                                    if re.match(r"-(O.|flto(=.*)?|fsanitize=.*)$", word))
        return self.report("builds without a warning", good and "warning:" not in output, output)

    def choose_runner(self):
        """By the kernel itself, or an emulator. False where neither can."""
        source, program = WORK / "nothing.c", WORK / f"nothing-{self.name}"
        source.write_text("int main(void) { return 0; }\n", encoding="utf-8")
        status, output = run([*self.compiler, source, *self.linked, "-o", program], 60)
        for runner in [], self.configuration.emulator:
            if status == 0 and runner is not None and self.starts([*runner, program]):
                self.configuration.runner = runner
                return True
        return self.report("a program runs", False, output)

    @staticmethod
    def starts(command):
        try:
            return run(command, 60)[0] == 0
        except OSError:  # not of this machine
            return False

    def run(self, command, timeout_s, **environment):
        return run([*self.configuration.runner, *command], timeout_s, **environment)

    def find_lacks(self):
        program = WORK / f"emulator-{self.name}"
        status, output = run([*self.compiler, "-std=c11", "-D_GNU_SOURCE",
                              "tests/portable/emulator.c", *self.linked, "-pthread", "-o", program],
                             60)
        if status == 0:
            status, output = self.run([program], PROBE_S)
            self.lacks = output.split() if status == 0 else []
        without = f", without {', '.join(self.lacks)}" if self.lacks else ""
        good = status == 0 and (not self.lacks or self.configuration.runner)
        self.report(f"what its programs run on, of Linux{without}", good, output)

    # -- unit tests

    def count(self, status, output):
        """Adds what a file of unit tests says; false when one failed or it did not end well."""
        counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
        for verdict, number in re.findall(r"^\[ +(PASSED|FAILED|SKIPPED) +\] (\d+) test", output,
                                          re.M):
            counts[verdict] += int(number)
        ran = sum(int(each) for each in re.findall(r"^\[=+\] (\d+) test\(s\) run", output, re.M))
        if (status != 0 and not counts["FAILED"]) or sum(counts.values()) != ran or ran == 0:
            counts["FAILED"] += 1
        self.passed += counts["PASSED"]
        self.failed += counts["FAILED"]
        self.skipped += counts["SKIPPED"]
        return counts["FAILED"] == 0

    def unit(self, unit, exemptions):
        program = f"build/{self.name}/tests/unit/{unit}"
        entries = exemptions.of(unit, self.lacks)
        alone = [entry for entry in entries if entry[2] != "set"]
        settings = dict(entry[3].split("=", 1) for entry in entries if entry[2] == "set")
        started = time.monotonic()
        status, output = self.run([program], UNIT_S, **settings,
                                  ETALON_TEST_SKIP=" ".join(entry[3] for entry in alone))
        good = self.count(status, output)
        self.report(f"{unit} ({time.monotonic() - started:.0f} s)", good,
                    "\n".join(line for line in output.splitlines()
                              if not re.match(r"\[ RUN |\[ +OK ", line)))
        for lack, _, how, name, reason in alone:
            status, output = 1, ""
            if how != "never":
                status, output = self.run([program], UNIT_S if how == "apart" else EXEMPT_S,
                                          TEST=name, **settings)
            if how == "apart":
                self.report(f"{unit}: {name}, apart", self.count(status, output), output)
            elif how == "out" and status == 0:
                self.failed += 1
                self.report(f"{unit}: {name}", False, f"passes, though the emulator lacks {lack}: "
                            "tests/portable/exempt has an entry too many")
            else:
                self.skipped += 1
                Tests.skip(f"{self.name}: {unit}: {name}", f"{lack}: {reason}")

    # -- cases

    def run_cases(self, world, exemptions):
        started = time.monotonic()
        status, output = self.run([f"build/{self.name}/etalon", "check-cases", "--seconds", CASE_S,
                                   "--world", world, *CASES], CASES_S)
        seen = re.findall(r"^(not )?ok \d+ - ([\w.-]+)\.trace\b.*?( # SKIP .*)?$", output, re.M)
        failed = {name for bad, name, _ in seen if bad}
        skipped = sum(1 for _, _, skip in seen if skip)
        known = {entry[3]: entry for entry in exemptions.of("cases", self.lacks)
                 if world == "real"}
        wrong = sorted(failed - set(known))
        stale = sorted(name for name, entry in known.items()
                       if entry[2] == "out" and name not in failed)
        good = (not wrong and not stale and len(seen) == len(CASES) and
                status == (1 if failed else 0) and len(failed) + skipped < len(CASES) / 2)
        excused = len(failed & set(known))
        self.cases[world] = f"{len(seen) - len(failed) - skipped} of {len(CASES)}" + \
            (f", {skipped} skipped" if skipped else "") + \
            (f", {excused} excused" if excused else "")
        count = len(wrong) + len(stale) + len(CASES) - len(seen)
        self.cases_passed += len(seen) - len(failed) - skipped
        self.cases_failed += count
        if count:
            self.cases[world] += f", **{count} failed**"
        bad = [line for line in output.splitlines() if not line.startswith("ok ")]
        bad += [f"{name}: passes, and tests/portable/exempt says that it cannot" for name in stale]
        self.report(f"cases on the {world} kernel: {self.cases[world]} "
                    f"({time.monotonic() - started:.0f} s)", good, "\n".join(bad))
        for name in sorted(failed & set(known)):
            Tests.skip(f"{self.name}: {name} on the real kernel",
                       f"{known[name][0]}: {known[name][4]}")

    # -- what a caller sees

    def waits(self):
        """As where the C library has no epoll_pwait2."""
        program = WORK / f"wait-{self.name}"
        status, output = run([*self.compiler, "-std=c11", "-D_GNU_SOURCE", *WARNINGS,
                              "-DETI_LACKS_EPOLL_PWAIT2=", "src/linux.c", "tests/portable/wait.c",
                              *self.linked, "-o", program], 60)
        if status == 0:
            status, output = self.run([program], 60)
        self.report("the duration of a wait, as the kernel has it", status == 0, output)

    def callers(self):
        """The caller's way of compiling changes nothing of what it shares with the library."""
        ways = ["-std=c11 -D_GNU_SOURCE"]
        if self.name == "i686":
            ways += [ways[0] + " -D_FILE_OFFSET_BITS=64",
                     ways[0] + " -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64"]
        sizes = None
        for way in ways:
            program = WORK / f"caller-{self.name}"
            status, output = run([*self.compiler, *self.flags, *way.split(), *WARNINGS,
                                  "tests/portable/caller.c", *self.extra,
                                  f"build/{self.name}/libetalon.a",
                                  *self.linked, "-pthread", "-o", program], 60)
            if status == 0:
                status, output = self.run([program], 60)
            sizes = sizes or output
            self.report(f"a caller compiled with {way}, far offsets",
                        status == 0 and output == sizes, output)

    def check(self, quick, exemptions):
        started = time.monotonic()
        parts = ["libetalon.a"]
        parts += [each.removeprefix(f"build/{self.name}/") for each in self.extra]
        if not quick:
            parts += ["etalon", *(f"tests/unit/{unit}" for unit in UNITS)]
        if not self.build(parts):
            self.why = "does not build"
        elif not self.choose_runner():
            self.why = "its programs do not run"
        else:
            built = time.monotonic()
            if not quick:
                self.find_lacks()
                for unit in UNITS:
                    self.unit(unit, exemptions)
                for world in self.cases:
                    self.run_cases(world, exemptions)
            self.waits()
            self.callers()
            self.seconds = time.monotonic() - built
            return
        self.seconds = time.monotonic() - started


# ---- the header, in C++ --------------------------------------------------------------------------


def headers():
    """A caller in C++, with the library as it is by default."""
    for standard in "c++11", "c++14", "c++17", "c++20":
        for compiler in "g++", "clang++":
            name = f"a caller in C++, compiled by {compiler} -std={standard}"
            if not shutil.which(compiler):
                Tests.skip(name, f"no {compiler} (make setup)")
                continue
            program = WORK / f"caller-{compiler}-{standard}"
            status, output = run([compiler, f"-std={standard}", *WARNINGS, "-x", "c++",
                                  "tests/portable/caller.c", "-x", "none",
                                  "build/default/libetalon.a", "-pthread", "-o", program], 60)
            if status == 0:
                status, output = run([program], 60)
            Tests.report(name, status == 0, output)


# ---- the table -----------------------------------------------------------------------------------


def said(command):
    status, output = run(command, 60)
    return output.strip() if status == 0 else "?"


def version(row):
    return said([*row.compiler, "-dumpfullversion" if "gcc" in row.compiler[-1] else
                 "-dumpversion"]) if row.compiler else ""


SUBJECT = ["src", "model", "fuzz", "spec/cases", "tests/unit", "tests/kit", "tests/tool"]


def measured():
    """The commit that has changed last what the table is about."""
    commit = said(["git", "log", "-1", "--format=%h", "--", *SUBJECT])
    return commit + ("-dirty" if said(["git", "status", "--porcelain", "--", *SUBJECT]) else "")


def keep(row):
    """A row of the table, so that a run of one configuration leaves the others' rows."""
    machine = row.configuration.machine
    if row.configuration.runner:
        emulator = row.configuration.runner[0]
        machine += f" ({emulator} {said([emulator, '--version']).split()[2]})"
    units = f"{row.passed}, {row.failed}, {row.skipped}"
    kept = {
        "commit": measured(),
        "cells": [row.name, machine, f"{' '.join(row.compiler)} {version(row)}",
                  f"`{row.options}`", *([f"**{row.why}**", "", ""] if row.why else
                                        [units, row.cases["simulated"], row.cases["real"]]),
                  str(row.failures), f"{row.seconds:.0f}"],
        "lacks": row.lacks,
        "passed": row.passed + row.cases_passed,
        "failed": row.failed + row.cases_failed + bool(row.why),
    }
    (ROWS / f"{row.name}.json").write_text(json.dumps(kept) + "\n", encoding="utf-8")


COLUMNS = ["configuration", "machine", "compiler", "options",
           "unit tests: passed, failed, skipped", "cases, simulated kernel", "cases, real kernel",
           "failures", "seconds", "commit"]


def table(rows):
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for row in rows:
        yield f"| {' | '.join([*row['cells'], row['commit']])} |"
    yield ""
    by_lacks = {}
    for row in rows:
        if row["lacks"]:
            by_lacks.setdefault(", ".join(row["lacks"]), []).append(row["cells"][0])
    for lacks, names in by_lacks.items():
        yield f"The emulator of {', '.join(names)} lacks: {lacks}."
    yield ""


def write_report():
    """Of all configurations that have been seen, each with its commit."""
    seen = {each.name: json.loads((ROWS / f"{each.name}.json").read_text(encoding="utf-8"))
            for each in CONFIGURATIONS if (ROWS / f"{each.name}.json").exists()}
    lines = [*table([row for row in seen.values() if "cells" in row]),
             *analysers.table({name: row for name, row in seen.items() if "cells" not in row})]
    REPORT.mkdir(parents=True, exist_ok=True)
    (REPORT / "portable.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    numbers = {name: {"passed": row["passed"], "failed": row["failed"]}
               for name, row in seen.items()}
    (REPORT / "portable.json").write_text(json.dumps(numbers) + "\n", encoding="utf-8")
    for line in lines:
        print(f"# {line}")


# ---- what is asked for ---------------------------------------------------------------------------


def choose(names):
    chosen = []
    for name in names:
        found = [each for each in CONFIGURATIONS
                 if name == each.group or fnmatch.fnmatchcase(each.name, name)]
        if not found:
            names = " ".join(each.name for each in CONFIGURATIONS)
            print(f"portable: {name} is none of: compilers machines analysers {names}",
                  file=sys.stderr)
            sys.exit(2)
        chosen += found
    return [each for each in CONFIGURATIONS if each in chosen or not names]


def leave_out_missing(chosen, allowed):
    """What is to be installed is said, and an error unless it is allowed."""
    packages = {}
    for each in chosen:
        packages |= each.missing()
    if packages and not allowed:
        for package, what in sorted(packages.items()):
            print(f"portable: no {what}: it is in {package}", file=sys.stderr)
        print(f"portable: make setup-portable installs all that it needs, or as root: apt-get"
              f" install --no-install-recommends {' '.join(sorted(packages))}; SKIP_MISSING=1"
              " leaves out what needs them", file=sys.stderr)
        sys.exit(2)
    for each in chosen:
        if missing := each.missing():
            Tests.skip(each.name, f"no {', '.join(sorted(missing.values()))} (make setup-portable)")
    return [each for each in chosen if not each.missing()]


def main():
    arguments = sys.argv[1:]
    quick = arguments[:1] == ["--quick"]
    names = arguments[quick:]
    if any(name.startswith("-") for name in names):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        sys.exit(2)
    try:
        exemptions = Exemptions()
    except ValueError as error:
        print(f"portable: {error}", file=sys.stderr)
        return 2
    allowed = quick or os.environ.get("SKIP_MISSING", "") not in ("", "0")
    chosen = leave_out_missing(choose(names), allowed)
    ROWS.mkdir(parents=True, exist_ok=True)
    for each in chosen:
        if each.group == "analysers":
            found = analysers.run(each.name, Tests)
            found["commit"] = measured()
            (ROWS / f"{each.name}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
            continue
        row = Row(each)
        row.check(quick, exemptions)
        if not quick:
            keep(row)
    if quick or not names:
        headers()
    if not quick:
        write_report()
    print(f"1..{Tests.number}")
    return 1 if Tests.failures else 0


if __name__ == "__main__":
    sys.exit(main())
