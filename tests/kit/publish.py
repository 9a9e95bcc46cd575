#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Publishes what `make conform` has found: called by `make conform-publish`.

Reads build/report/conform.full.json, writes spec/results.json (each subject's verdict of each case,
the clause and a sentence for each that is no pass) and, between its markers, the matrix in
spec/findings.md. With --check, changes nothing and fails unless the two files agree and findings.md
has, in the subject's section, a row for every clause that the subject fails, and no row for any
other, but for those that its adapter documents: random programs that they excuse are counted, not
told. With --compare [FILE], fails when FILE (by default build/report/conform.full.json) says
anything else than spec/results.json of a subject whose version is the same, random programs left
aside. With --random FILE..., reads what `etalon check --strict --random N --json FILE` has written
of one subject or several, with one seed or several, and writes how many programs there were of each
sort: spec/random.json and, between its markers, the table in spec/findings.md; --check asks the
same of these sorts. Called by the tests."""

import glob
import json
import os
import re
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

FULL, RESULTS, FINDINGS = "build/report/conform.full.json", "spec/results.json", "spec/findings.md"
REPRODUCERS = "tests/kit/reproducers"
RANDOM = "spec/random.json"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
RANDOM_BEGIN, RANDOM_END = "<!-- random: begin -->", "<!-- random: end -->"
PROFILES = ("Timers", "Readiness", "Threads", "Completion", "Pool")
VERDICTS = ("pass", "not_strict", "fail", "hang", "crash", "not_offered")
MARKS = {
    "pass": "ok", "not_strict": "~", "fail": "**fail**", "hang": "**hang**", "crash": "**crash**",
    "not_offered": ""
}
COMMAND = "make conform conform-publish CONFORM_RANDOM=2000"
RANDOM_COMMAND = "make conform-random conform-random-publish"


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def is_random(case):
    return case.startswith("random-")


def reduced(full):
    results = {}
    for result in full["results"]:
        entry = {"verdict": result["verdict"]}
        if result["verdict"] not in ("pass", "not_offered"):
            entry.update(clause=result["clause"], kind=result["kind"], message=result["message"])
            if is_random(result["case"]):
                entry["program"] = result["program"]
        results.setdefault(result["subject"], {})[result["case"]] = entry
    for name, entries in results.items():  # by name, in whichever order they were named and ran
        results[name] = dict(
            sorted(entries.items(),
                   key=lambda item: (is_random(item[0]), "" if is_random(item[0]) else item[0])))
    subjects = [{key: subject[key]
                 for key in ("name", "version", "claim", "slack_ms", "offers", "differences")}
                for subject in full["subjects"]]
    return {
        "command": COMMAND, "etalon": full["etalon"], "spec": full["spec"], "abi": full["abi"],
        "random": full["random"], "seed": full["seed"], "subjects": subjects, "results": results
    }


def profile_lists():
    """[(profile, [(case, the profiles that it needs besides)])]."""
    for path in sorted(glob.glob("spec/profiles/*.txt"), key=lambda path: PROFILES.index(
            os.path.basename(path).split("-")[0])):
        with open(path, encoding="utf-8") as file:
            entries = [line.split() for line in file if not line.startswith(("#", "suite "))]
        yield os.path.basename(path).split("-")[0], [(case, set(rest)) for case, *rest in entries]


def by_profile(results):
    """The claims, and what each subject passes of what it is asked, by profile."""
    names = [subject["name"] for subject in results["subjects"]]
    lines = ["What may be claimed:", ""]
    lines += [f"- {subject['claim']}" for subject in results["subjects"] if subject["claim"]]
    lines += ["", "Passed, or not strict, of the cases that the loop offers to be asked:", "",
              "| profile | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for profile, entries in profile_lists():
        cells = []
        for name in names:
            verdicts = [results["results"][name].get(case, {}).get("verdict", "not_offered")
                        for case, _ in entries]
            asked = [verdict for verdict in verdicts if verdict != "not_offered"]
            good = sum(verdict in ("pass", "not_strict") for verdict in asked)
            cells.append(f"{good} of {len(asked)}" if asked else "")
        lines.append(f"| {profile} ({len(entries)}) | " + " | ".join(cells) + " |")
    return lines + [""]


def matrix(results):
    names = [subject["name"] for subject in results["subjects"]]
    lines = by_profile(results) + [
        "| | " +
        " | ".join(f"{s['name']} {s['version'] or ''}".strip() for s in results["subjects"]) + " |",
        "|---" * (len(names) + 1) + "|"
    ]
    for verdict in VERDICTS:
        counts = [
            sum(r["verdict"] == verdict
                for case, r in results["results"][name].items()
                if not is_random(case))
            for name in names
        ]
        lines.append(f"| {verdict.replace('_', ' ')} | " +
                     " | ".join(str(count) for count in counts) + " |")
    lines += [
        "", "The cases in which anybody differs (ok: pass, ~: not strict, empty: not offered):", "",
        "| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"
    ]
    cases = sorted(
        {case for name in names for case in results["results"][name] if not is_random(case)})
    for case in cases:
        verdicts = [
            results["results"][name].get(case, {"verdict": "not_offered"})["verdict"]
            for name in names
        ]
        if any(verdict not in ("pass", "not_offered") for verdict in verdicts):
            lines.append(f"| {case} | " + " | ".join(MARKS[verdict] for verdict in verdicts) + " |")
    return "\n".join(lines) + "\n"


def between(text, begin, made, end):
    before, rest = text.split(begin + "\n")
    return before + begin + "\n" + made + end + rest.split(end, 1)[1]


def with_matrix(text, results):
    return between(text, BEGIN, matrix(results), END)


# ---- random programs, by their sorts -------------------------------------------------------------


def add_run(subjects, path):
    full = load(path)
    if not full["strict"]:
        raise ValueError(f"{path}: it was made without --strict: what is not strict is not counted")
    for subject in full["subjects"]:
        name = subject["name"]
        of = subjects.setdefault(name, {"version": subject["version"], "runs": {}, "sorts": {}})
        if of["version"] != subject["version"]:
            raise ValueError(f"{path}: {name} is of another version than in the files before it")
        if str(full["seed"]) in of["runs"]:
            raise ValueError(f"{path}: {name} has programs of the seed {full['seed']} already")
        of["runs"][str(full["seed"])] = full["random"]
        for result in full["results"]:
            if result["subject"] != name or not is_random(result["case"]):
                continue
            sort = of["sorts"].setdefault(f"{failure_of(result)}, {result['verdict']}", {
                "verdict": result["verdict"], "clause": result["clause"], "kind": result["kind"],
                "case": result["case"], "message": result["message"],
                "program": result["program"], "programs": 0
            })
            sort["programs"] += result["programs"]


def counted(paths):
    subjects = {}
    for path in paths:
        add_run(subjects, path)
    return {"command": RANDOM_COMMAND, "subjects": dict(sorted(subjects.items()))}


def reproducers(name, clause):
    """The files that show such a failure alone."""
    path = f"{REPRODUCERS}/{name}-{clause.lower().removeprefix('et-')}"
    return sorted(glob.glob(path + ".c*") + glob.glob(path + "-*.c*"))


def random_table(random):
    lines = ["| loop | programs | seeds | sort | in so many | the first | shown alone by |",
             "|---" * 7 + "|"]
    for name, of in random["subjects"].items():
        seeds = [int(seed) for seed in of["runs"]]
        first, last = min(seeds), max(seeds)
        head = [f"{name} {of['version']}", f"{sum(of['runs'].values()):,}",
                str(first) if first == last else f"{first} to {last}"]
        for sort, found in sorted(of["sorts"].items(), key=lambda item: -item[1]["programs"]):
            fails = found["verdict"] == "fail"
            alone = reproducers(name, found["clause"]) if fails else []
            row = [*head, sort.replace("_", " "), f"{found['programs']:,}", f"`{found['case']}`",
                   ", ".join(f"`{os.path.basename(path)}`" for path in alone)]
            lines.append("| " + " | ".join(row) + " |")
            head = ["", "", ""]
        if not of["sorts"]:
            lines.append("| " + " | ".join([*head, "none", "0", "", ""]) + " |")
    return "\n".join(lines) + "\n"


def with_random(text, random):
    return between(text, RANDOM_BEGIN, random_table(random), RANDOM_END)


def failures_said(section):
    """{(failure, verdict)} of a section's rows: "| ET-RUN-2/woken, /early, not strict | …"; a crash
    and a hang have no clause of their own: "| crash | …"."""
    said = set()
    for row in re.findall(r"^\| (ET-[^|]*|crash|hang) \|", section, re.M):
        if "-" not in row:
            said.add((row, row))
            continue
        *failures, verdict = row.split(", ")
        for failure in failures:
            clause = failure.split("/")[0] or clause
            said.add((clause + failure[failure.find("/"):] if "/" in failure else clause,
                      verdict.replace(" ", "_")))
    return said


def failure_of(entry):
    return (entry["clause"] or entry["verdict"]) + ("/" + entry["kind"] if entry["kind"] else "")


def unexplained(text, results, random):
    """What findings.md owes, or says of nothing: by clause, kind and verdict."""
    said = {}
    for section in re.split(r"^### ", text, flags=re.M)[1:]:
        name = section.split("\n", 1)[0].split(",")[0].split(" ")[0]
        said[name] = failures_said(section.split("\n## ")[0])
    documented = {
        subject["name"]: {(failure_of({**difference, "verdict": ""}), "not_strict")
                          for difference in subject["differences"]
                          } for subject in results["subjects"]
    }
    for name in sorted(results["results"].keys() - random["subjects"].keys() - {"etalon"}):
        yield f"{RANDOM}: no random program of {name} is counted (make conform-random)"
    for name, cases in results["results"].items():
        sorts = random["subjects"].get(name, {"sorts": {}})["sorts"]
        owed = {(failure_of(entry), entry["verdict"])
                for entry in cases.values() if entry["verdict"] not in ("pass", "not_offered")}
        owed |= {(failure_of(entry), entry["verdict"])
                 for entry in sorts.values()} - documented[name]
        for failure, verdict in sorted(owed - said.get(name, set())):
            yield f"{FINDINGS}: nothing is said of {name} and {failure}, {verdict}"
        for failure in sorted(failure for failure, verdict in owed if verdict == "fail"):
            clause = failure.split("/")[0]
            if not reproducers(name, clause):
                program = f"{REPRODUCERS}/{name}-{clause.lower().removeprefix('et-')}.c"
                yield f"{program}, which shows {failure} alone, is missing"
        for failure, verdict in sorted(said.get(name, set()) - owed - documented.get(name, set())):
            yield (f"{FINDINGS}: {failure}, {verdict}, is said of {name}, but {RESULTS} has no "
                   "such result, and its adapter documents none")


def changed(results, full):
    then = {subject["name"]: subject["version"] for subject in results["subjects"]}
    now = reduced(full)
    for subject in now["subjects"]:
        name = subject["name"]
        if then.get(name) != subject["version"]:
            continue
        before, after = results["results"][name], now["results"][name]
        for case in sorted(case for case in before.keys() | after.keys() if not is_random(case)):
            said = [side.get(case, {}) for side in (before, after)]
            said = [", ".join(each[key] for key in ("verdict", "clause", "kind") if each.get(key))
                    or "absent" for each in said]
            if said[0] != said[1]:
                yield (f"{name}, {case}: {said[1]}; but {RESULTS} has {said[0]} "
                       "(make conform-publish)")


def write(path, value, text):
    """A file of results, and findings.md with what it says."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")
    with open(FINDINGS, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    try:
        with open(FINDINGS, encoding="utf-8") as file:
            text = file.read()
        if "--random" in sys.argv:
            files = sys.argv[sys.argv.index("--random") + 1:]
            if not files:
                raise ValueError("--random takes the files of make conform-random")
            random = counted(files)
            text = with_random(text, random)
            write(RANDOM, random, text)
            faults = list(unexplained(text, load(RESULTS), random))
        elif "--compare" in sys.argv:
            faults = list(changed(load(RESULTS), load((sys.argv[2:] or [FULL])[0])))
        elif "--check" in sys.argv:
            results, random = load(RESULTS), load(RANDOM)
            faults = [] if with_matrix(text, results) == text else [
                f"{FINDINGS}: the matrix is not that of {RESULTS} (make conform-publish)"
            ]
            faults += [] if with_random(text, random) == text else [
                f"{FINDINGS}: the table is not that of {RANDOM} (make conform-random-publish)"
            ]
            faults += unexplained(text, results, random)
        else:
            results = reduced(load(FULL))
            text = with_matrix(text, results)
            write(RESULTS, results, text)
            faults = list(unexplained(text, results, load(RANDOM)))
    except (OSError, ValueError, KeyError) as error:
        print(f"publish: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print("\n".join(faults) if faults else "the published results are explained"
          if "--compare" not in sys.argv else "the results are those that are published")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
