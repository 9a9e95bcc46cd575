# SPDX-License-Identifier: MIT
"""What the scripts of the Promela models share: one search with Spin is one Search; run() makes
them, prints the table of verdicts, and writes the report.

pan's exit status says nothing (it is 0 with errors and with a truncated search), so its words are
judged: a property holds only when the whole state space was searched without an error; it is
violated only when the error is of the kind that was asked for; and every line of the model must be
reached in one of the exhaustive searches for safety."""

import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import threading
import time

TRUNCATED = re.compile(
    r"max search depth too small|out of memory|resource|invalid array index|aborting|interrupted|"
    r"Search not completed", re.I)


class Search:
    """kind: "safety" or the name of a formula. expected: "holds", or the words of pan's error, a
    regular expression."""

    def __init__(self, name, kind, defines="", expected="holds", large=False):
        self.name, self.kind, self.defines, self.expected = name, kind, defines.split(), expected
        self.large = large  # it is searched for longer than a compiler optimises
        self.seen, self.figures, self.unreached = "failed: no search", {}, None

    def build(self, model, work, programs):
        """The program that searches, in a directory of its own: searches that differ in their
        formula alone share it."""
        safety, holds = self.kind == "safety", self.expected == "holds"
        defines = [f"-D{define}" for define in self.defines] + ([] if safety else ["-DCHECK_LTL"])
        merging = ["-o3"] if safety and holds else [
        ]  # no merging, so that pan knows every line that it has not reached
        options = ["-DSAFETY", "-DNOCLAIM"] + ([] if holds else ["-DBFS"]) if safety else [
            "-DNFAIR=2"
        ]
        key = " ".join([*merging, *defines, *options, str(self.large)])
        with programs["lock"]:
            directory = os.path.join(work, f"program-{len(programs)}")
            program = programs.setdefault(
                key,
                {"lock": threading.Lock(), "directory": directory, "error": None, "built": False})
        with program["lock"]:
            if not program["built"]:
                program["built"] = True
                os.makedirs(program["directory"])
                shutil.copy(model, program["directory"])
                optimised = "-O1" if self.large else "-O0"
                for command in ["spin", *merging, *defines, "-a", os.path.basename(model)], \
                        ["gcc", optimised, "-w", *options, "-o", "search", "pan.c"]:
                    done = subprocess.run(command, cwd=program["directory"], capture_output=True,
                                          text=True, check=False)
                    if done.returncode != 0:
                        program[
                            "error"] = f"failed: {' '.join(command)}: {done.stdout}{done.stderr}"
                        break
        return program, defines

    def run(self, model, work, fair, programs):
        program, defines = self.build(model, work, programs)
        if program["error"]:
            self.seen = program["error"]
            return self
        directory = os.path.join(work,
                                 re.sub(r"[^a-z0-9]+", "-", self.name.lower()) + "-" + self.kind)
        os.makedirs(directory)
        file = os.path.basename(model)
        shutil.copy(model, directory)
        command = [
            os.path.abspath(os.path.join(program["directory"], "search")),
            "-m4000000" if self.large else "-m1000000", "-w22"
        ]
        if self.kind != "safety":
            command += ["-a", "-N", self.kind] + (["-f"] if fair else [])
        with open(os.path.join(directory, "pan.log"), "w", encoding="utf-8") as log:
            done = subprocess.run(command, cwd=directory, stdout=log, stderr=subprocess.STDOUT,
                                  check=False)
        with open(os.path.join(directory, "pan.log"), encoding="utf-8", errors="replace") as log:
            self.judge(log.read(), file, program["directory"])
        if done.returncode < 0:
            self.seen = f"failed: the search was ended by signal {-done.returncode}"
        if self.seen == "violated":
            trail = subprocess.run(["spin", *defines, "-t", "-p", "-g", "-l", file], cwd=directory,
                                   capture_output=True, check=False)
            with open(directory + ".txt", "wb") as out:
                out.write(trail.stdout)
        return self

    def judge(self, words, file, directory):
        def number(pattern):
            found = re.search(pattern, words, re.M)
            return float(found.group(1)) if found else None

        self.figures = {
            "states": number(r"^ *([0-9.e+]+) states, stored"),
            "transitions": number(r"^ *([0-9.e+]+) transitions"),
            "depth": number(r"depth reached (\d+)"),
            "seconds": number(r"^pan: elapsed time ([0-9.e+-]+) sec")
        }
        errors = number(r"errors: (\d+)$")
        if errors is None:
            self.seen = "failed: no count of errors"
        elif errors == 0:
            whole = re.search(r"^Full statespace search", words,
                              re.M) and not TRUNCATED.search(words)
            self.seen = "holds" if whole else "failed: truncated"
            self.unreached = self.unreached_lines(words, file, directory)
        elif self.expected != "holds" and re.search(self.expected, words):
            self.seen = "violated"
        else:
            error = re.search(r"^pan:\d+: (.*)", words, re.M)
            self.seen = "failed: " + (error.group(1) if error else "another error")

    @staticmethod
    def unreached_lines(words, file, directory):
        """The lines of which no copy was reached: an inline has one for each of its uses. pan.m
        lists them all."""
        with open(os.path.join(directory, "pan.m"), encoding="utf-8") as code:
            copies = collections.Counter(
                re.findall(r"STATE \d+ - " + re.escape(file) + r":(\d+) - ", code.read()))
        states = {(line, state) for line, state, what in re.findall(
            r"\t" + re.escape(file) + r":(\d+), state (\d+), (.*)", words) if what != '"-end-"'}
        missed = collections.Counter(line for line, state in states)
        return {line for line in missed if missed[line] >= copies[line]}

    def is_as_expected(self):
        return self.seen == ("holds" if self.expected == "holds" else "violated")


def run(title, model, searches, directory="build", fair=True):
    """Returns how many verdicts are not as expected. The report is directory/report/title.json,
    trails are directory/spin-title/*.txt."""
    work, report = f"{directory}/spin-{title}", f"{directory}/report/{title}.json"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    programs = {"lock": threading.Lock()}
    os.makedirs(os.path.dirname(report), exist_ok=True)
    if not all(map(shutil.which, ("spin", "gcc"))):
        raise SystemExit(f"{title}: spin or gcc is missing (make setup)")
    begun = time.monotonic()
    width = max(len(search.name) for search in searches)
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS") or os.cpu_count()
                                                   or 1)) as pool:
        for done in concurrent.futures.as_completed(
            [pool.submit(search.run, model, work, fair, programs) for search in searches]):
            search = done.result()
            figures = {key: 0 if value is None else value
                       for key, value in search.figures.items()} or dict.fromkeys(
                           ("states", "transitions", "depth", "seconds"), 0)
            print(f"{'ok  ' if search.is_as_expected() else 'FAIL'}  {search.name:{width}}  "
                  f"{search.kind:10} {search.seen:9} {figures['states']:11,.0f} states "
                  f"{figures['transitions']:12,.0f} transitions  depth {figures['depth']:9,.0f} "
                  f"{figures['seconds']:7.2f} s", flush=True)
    wrong = sum(not search.is_as_expected() for search in searches)
    unreached = [
        search.unreached
        for search in searches
        if search.kind == "safety" and search.unreached is not None
    ]
    never = set.intersection(*unreached) if unreached else {"0 (no exhaustive search)"}
    for line in sorted(never):
        print(f"FAIL  never reached in an exhaustive search: {os.path.basename(model)}:{line}")
    wrong += len(never)
    seconds = round(time.monotonic() - begun, 1)
    with open(report, "w", encoding="utf-8") as out:
        json.dump(
            {
                "wrong": wrong, "seconds": seconds, "states": sum(
                    search.figures.get("states") or 0
                    for search in searches
                    if search.expected == "holds"), "searches": [{
                        "name": search.name, "property": search.kind, "defines": search.defines,
                        "expected": "holds" if search.expected == "holds" else "violated",
                        "seen": search.seen, **search.figures
                    } for search in searches]
            }, out, indent=1)
        out.write("\n")
    held = sum(search.seen == "holds" for search in searches)
    caught = sum(search.seen == "violated" for search in searches)
    print(f"{title}: {held} hold, {caught} violated as they must be, {wrong} not as expected "
          f"({seconds} s; {work}, {report})")
    return wrong
