#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has Frama-C prove that functions of src/ keep their contracts, and that nothing undefined can
happen in them (tests/proofs/README.md). Called by `make prove` and `make prove-faults`.

usage: prove.py [FUNCTION...]      prints goals, proved, provers and seconds by function
       prove.py --faults [FUNCTION...]   breaks each function: a goal of it must then stay open
       prove.py --check            without Frama-C: contracts and tests/proofs/proved agree

Frama-C itself ends with status 0 when it has proved nothing, so its goals are counted here. Before
it prints that all is proved, one function is broken, to see that this would be noticed. Writes
build/report/prove.json. Exit status: 0 all proved, 1 a goal is open, 2 it cannot be run."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = "tests/proofs/proved"
WORK = ROOT / "build/proofs"
# Of two static functions of one name, the first keeps it.
FIRST = ["heap.c", "timers.c", "completion.c", "registrations.c"]
PROVERS = "cvc5"
# Why3 1.5 does not know it. What is defined by a quantifier is replaced by its definition: with
# that it finds the proofs about lists, without it in no time that one waits for.
CVC5 = """
[prover]
name = "CVC5"
shortcut = "cvc5"
version = "1"
driver = "cvc4_17"
command = "cvc5 -q --force-logic=ALL --macros-quant --tlimit=%t000 --lang=smt2 %f"
editor = ""
in_place = false
interactive = false
"""
GOAL_SECONDS_MAX = 60
PACKAGES = "apt-get install --no-install-recommends frama-c-base why3 cvc5"
# Of a goal that is proved, the prover, and then ": Valid"; of an open one, why it is open.
GOAL = re.compile(r"\[wp\] \[([^\]]+)\] Goal (\w+)(?: : (\w+)(.*))?$")
SMOKE = re.compile(r"\[wp\] \[(\w+)\] Smoke-test (\w+)")


def fail(message):
    print(f"prove: {message}", file=sys.stderr)
    sys.exit(2)


class Proved:
    """A function of the list, with the faults that must leave a goal of it open."""

    def __init__(self, file, name):
        self.file, self.name, self.faults = file, name, []


def read_list(path=ROOT / LIST):
    """The functions, and the contracts that are believed: {function: reason}."""
    functions, believed = {}, {}
    for number, line in enumerate(path.read_text().split("\n"), 1):
        where = f"{path}:{number}"
        if not line or line.startswith("#"):
            continue
        if found := re.fullmatch(r"(\w+\.[ch]): (\w+)", line):
            if found[2] in functions:
                fail(f"{where}: {found[2]} once more")
            function = functions[found[2]] = Proved(*found.groups())
        elif found := re.fullmatch(r"believed: (\w+): (.+)", line):
            believed[found[1]] = found[2]
        elif functions and (found := re.fullmatch(r"fault: (.+)", line)):
            function.faults.append([found[1], [], []])
        elif functions and function.faults and line[0] in "-+":
            function.faults[-1][1 if line[0] == "-" else 2].append(line[1:])
        else:
            fail(f"{where}: neither a function, nor a fault, nor a contract: {line}")
    return functions, believed


# ---- what has a contract, by the text alone ------------------------------------------------------


def contracts(path):
    """The functions with a contract in front of their prototype or definition."""
    text = path.read_text()
    for found in re.finditer(r"/\*@(.*?)\*/\n([^;{]*?\b(\w+)\([^;{]*?)[;{]", text, re.S):
        if re.search(r"\b(requires|assigns|ensures)\b", found[1]) and "/*" not in found[2]:
            yield found[3]


def check():
    functions, believed = read_list()
    wrong, seen = [], set()
    for path in sorted((ROOT / "src").glob("*.[ch]")):
        for name in contracts(path):
            seen.add(name)
            if name not in functions and name not in believed:
                wrong.append(f"{path.name}: the contract of {name} is in no list of {LIST}")
    for function in functions.values():
        text = (ROOT / "src" / function.file).read_text()
        if not re.search(rf"^\w[^;{{}}=]*\b{function.name}\([^;{{}}=]*\) {{$", text, re.M):
            wrong.append(f"{LIST}: {function.file} does not define {function.name}")
        if function.name not in seen:
            wrong.append(f"{LIST}: {function.name} has no contract")
        if not function.faults:
            wrong.append(f"{LIST}: {function.name} has no fault that shows that the proof bites")
        for what, old, new in function.faults:
            if text.count("\n".join(old)) != 1 or old == new:
                wrong.append(f"{LIST}: {function.name}: {what}: its text is not in "
                             f"{function.file}, or twice")
    wrong += [f"{LIST}: {name} is believed, and has no contract"
              for name in believed if name not in seen]
    for line in wrong:
        print(line)
    print(f"prove --check: {len(functions)} functions are proved, {len(believed)} contracts "
          f"believed, {len(wrong)} complaints")
    return 1 if wrong else 0


# ---- Frama-C -------------------------------------------------------------------------------------


def set_up():
    needed = ("gcc", "frama-c", "why3", "cvc5")
    missing = [each for each in needed if shutil.which(each) is None]
    if missing:
        fail(f"{', '.join(missing)}: not installed. In Debian 12: {PACKAGES}")
    WORK.mkdir(parents=True, exist_ok=True)
    os.environ["WHY3CONFIG"] = str(WORK / "why3.conf")
    (WORK / "why3.conf").unlink(missing_ok=True)
    subprocess.run(["why3", "config", "detect"], capture_output=True)  # finds no CVC5
    with open(WORK / "why3.conf", "a", encoding="utf-8") as conf:
        conf.write(CVC5)


def preprocessor(source):
    """A macro cannot take away the qualifier of a pointer."""
    share = subprocess.run(["frama-c", "-print-share-path"], capture_output=True, text=True)
    return ("gcc -E -C -dD -nostdinc -m64 -std=c11 -D_GNU_SOURCE -D__FRAMAC__ "
            f"-D__FC_MACHDEP_X86_64 -Itests/proofs/include -I{share.stdout.strip()}/libc "
            f"-I{source} -include linux_only.h %args %i | sed 's/\\*_Atomic /*/' >%o")


def sources(source):
    files = sorted(path.name for path in (ROOT / source).glob("*.c"))
    return [f"{source}/{name}" for name in FIRST + [each for each in files if each not in FIRST]]


def frama_c(source, arguments, log):
    command = ["nice", "-n", "3", "frama-c", "-c11", "-cpp-frama-c-compliant", "-cpp-command",
               preprocessor(source), *sources(source), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    log.write_text(done.stdout)
    return done


def seconds_in(text):
    units = {"s": 1, "ms": 1e-3, "us": 1e-6}
    return sum(float(number) * units[unit]
               for number, unit in re.findall(r"([0-9.]+)(us|ms|s)\b", text))


class Result:
    """What became of the goals of a function."""

    def __init__(self):
        self.goals, self.open, self.provers, self.seconds = 0, [], {}, 0.0

    def add(self, prover, goal, verdict, rest):
        self.goals += 1
        if verdict == "Valid":
            prover = prover.split()[0]
            self.provers[prover] = self.provers.get(prover, 0) + 1
            self.seconds += seconds_in(rest)
        else:
            self.open.append(f"{goal} ({verdict or prover})")


def prove(functions, source="src", log=None, is_smoked=True, timeout=GOAL_SECONDS_MAX):
    """{function: Result}; and what else was wrong, line by line."""
    # What is proved of functions, or else all lemmas.
    what = ["-wp-fct", ",".join(functions)] if functions else ["-wp-prop=@lemma"]
    smoke_tests = ["-wp-smoke-tests", "-wp-no-smoke-dead-code", "-wp-smoke-timeout", "1"]
    done = frama_c(source, ["-wp", "-wp-rte", "-warn-unsigned-overflow", "-wp-cache", "none",
                            "-wp-prover", PROVERS, "-wp-timeout", str(timeout),
                            "-wp-par", os.environ.get("JOBS") or "2", *what,
                            *(smoke_tests if is_smoked else [])],
                   log or WORK / "wp.log")
    if done.returncode != 0:
        fail(f"frama-c ended with status {done.returncode}:\n{done.stdout[-3000:]}")
    results, wrong, smoke, passed = {name: Result() for name in functions}, set(), set(), set()
    by_length = sorted(functions, key=len, reverse=True)
    for line in done.stdout.splitlines():
        if found := GOAL.match(line):
            goal = found[2].removeprefix("typed_")
            owner = next((name for name in by_length if goal.startswith(name + "_")), "lemmas")
            results.setdefault(owner, Result()).add(found[1], goal, found[3], found[4])
        elif found := SMOKE.match(line):
            (passed if found[1] == "Passed" else smoke).add(found[2])
    wrong |= {f"what is supposed cannot be, so anything is proved: {each}" for each in smoke}
    said = re.search(r"\[wp\] Proved goals: +(\d+) / (\d+)", done.stdout)
    goals = sum(each.goals for each in results.values())
    proved = goals - sum(len(each.open) for each in results.values())
    read = goals + len(smoke | passed)
    if said is None or (int(said[1]), int(said[2])) != (proved + len(passed), read):
        wrong.add(f"Frama-C says {said[0] if said else 'nothing'}, and what was read is "
                  f"{proved + len(passed)} / {read}")
    wrong |= {f"{name}: no goal" for name in functions if results[name].goals == 0}
    return results, sorted(wrong)


def break_one(function, fault, number):
    """The folder of a copy of src/ with this fault."""
    _, old, new = fault
    folder = WORK / "broken" / f"{function.name}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "src", folder)
    text = (folder / function.file).read_text()
    if text.count("\n".join(old)) != 1:
        fail(f"{LIST}: {function.name}: {fault[0]}: its text is not in {function.file}, or twice")
    (folder / function.file).write_text(text.replace("\n".join(old), "\n".join(new)))
    return folder


def is_noticed(function, number):
    """The goals that stay open when the function has this fault."""
    folder = break_one(function, function.faults[number], number)
    results, wrong = prove([function.name], str(folder.relative_to(ROOT)), folder / "wp.log",
                           is_smoked=False, timeout=20)
    if wrong:
        fail(f"{function.name} with a fault: {wrong[0]}")
    return results[function.name].open


# ---- the commands --------------------------------------------------------------------------------


def print_table(functions, results):
    width = max(len(name) for name in results)
    print(f"{'file':16} {'function':{width}} goals proved  seconds  provers")
    for name, result in sorted(results.items(),
                               key=lambda each: (each[0] not in functions, functions[each[0]].file
                                                 if each[0] in functions else "")):
        file = functions[name].file if name in functions else "contracts.h"
        provers = ", ".join(f"{key} {count}" for key, count in sorted(result.provers.items()))
        print(f"{file:16} {name:{width}} {result.goals:5} {result.goals - len(result.open):6} "
              f"{result.seconds:8.2f}  {provers}")


def prove_all(functions, chosen):
    begun = time.monotonic()
    results, wrong = prove(chosen)
    lemmas, more = prove([], log=WORK / "lemmas.log", is_smoked=False)
    results.update(lemmas)
    wrong += more + ([] if lemmas else ["no lemma was found"])
    print_table(functions, results)
    opened = [goal for result in results.values() for goal in result.open]
    if not opened and not wrong:
        first = functions[chosen[0]]
        if not is_noticed(first, 0):
            wrong = [f"a fault is not noticed: {first.name}: {first.faults[0][0]}"]
    for line in opened + wrong:
        print(f"open: {line}" if line in opened else line)
    goals = sum(result.goals for result in results.values())
    seconds = round(time.monotonic() - begun, 1)
    if len(chosen) == len(functions):
        report = ROOT / "build/report"
        report.mkdir(parents=True, exist_ok=True)
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True,
                                text=True).stdout.strip()
        (report / "prove.json").write_text(json.dumps({
            "commit": commit, "goals": goals, "proved": goals - len(opened), "seconds": seconds,
            "functions": {name: {"goals": each.goals, "proved": each.goals - len(each.open),
                                 "provers": each.provers, "seconds": round(each.seconds, 2)}
                          for name, each in results.items()}}, indent=1) + "\n")
    print(f"prove: {goals} goals of {len(chosen)} functions, {goals - len(opened)} proved by "
          f"Qed and CVC5 in {seconds} s ({(WORK / 'wp.log').relative_to(ROOT)})")
    return 1 if opened or wrong else 0


def all_faults(functions, chosen):
    missed = count = 0
    for name in chosen:
        for number, (what, *_) in enumerate(functions[name].faults):
            opened = is_noticed(functions[name], number)
            count += 1
            missed += not opened
            seen = opened[0] + (f" and {len(opened) - 1} more" if opened[1:] else "") \
                if opened else "NOT NOTICED"
            print(f"{name}: {what}\n    {seen}", flush=True)
    print(f"prove --faults: {count} faults, {count - missed} leave a goal open")
    return 1 if missed else 0


def main(arguments):
    if arguments == ["--check"]:
        return check()
    faults = arguments[:1] == ["--faults"]
    functions, _ = read_list()
    chosen = arguments[1:] if faults else arguments
    for name in chosen:
        if name not in functions:
            fail(f"{name}: not in {LIST}")
    chosen = chosen or list(functions)
    if check() != 0:
        return 1
    set_up()
    return all_faults(functions, chosen) if faults else prove_all(functions, chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
