#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the lists of cases in spec/profiles, one file for each profile of etalon.md: called by
`make spec`. With --check, fails unless the files are those that it would write.

A case is listed when a loop that is built otherwise than Etalon's can be asked it: it cites a
clause of Part I, runs on the real kernel, and asks for no failure of the kernel but EINTR, and
EMFILE while a loop is made. It is in the file of the last of the profiles, in their order, whose
operations it uses, with the others beside it; one that uses none is in each file.

usage: profiles.py [--check]"""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SUITE = "1.0.0-draft"
VERSION = "1.0"
PROFILES = ("Timers", "Readiness", "Threads", "Completion", "Pool")
KERNEL = {"spurious", "order", "batch"}  # what only a simulated kernel does
NO_NUMBER = "fail epoll_create EMFILE at 1"


def promised():
    """The clauses of Part I."""
    text = (HERE / "etalon.md").read_text(encoding="utf-8")
    part = text.split("\n# Part I:")[1].split("\n# Part II:")[0]
    return set(re.findall(r"^- \*\*(ET-[A-Z]+-\d+)\*\* \(", part, re.M))


def uses(command):
    """The profiles whose operations a command uses."""
    words = command.split()
    found = set()
    if words[0] in ("timer", "reset"):
        found.add("Timers")
    elif words[0] in ("wakeup", "notify", "async_wait"):
        found.add("Threads")
    elif words[0] == "cancel":
        found.add("Completion")
    elif words[0] == "step":
        found.add("Pool")
    elif words[0] in ("submit", "describe") and len(words) > 2:
        found.add({"timer": "Timers", "poll": "Readiness"}.get(words[2], "Completion"))
    elif words[0] == "open" and words[2:3] == ["async"]:
        found.add("Threads")
    if "pool" in words[1:]:
        found.add("Pool")
    return found


def profiles_of(trace, clauses):
    """The profiles of a case, in their order; None: it is for the reference loop alone."""
    lines = [line.strip() for line in trace.splitlines()]
    head, commands, inside = [], [], False
    for line in lines:
        if re.match(r"(main|body|world)\b", line):
            inside = True
        elif line and not line.startswith(("#", ">")):
            (commands if inside else head).append(re.sub(r"^repeat \d+ ", "", line))
    cited = next((line.split()[1:] for line in head if line.startswith("clause ")), [])
    asks = {command.split()[0] for command in commands}
    failing = [command for command in commands if command.startswith("fail ")]
    # the runner can interrupt any wait, and leave a loop no number while it is made
    anyones = [command for command in failing
               if command.startswith("fail epoll_wait EINTR") or command == NO_NUMBER]
    simulated = "simulated" in head and not anyones
    lawful = failing == anyones and clauses & set(cited)
    if simulated or asks & KERNEL or not lawful:
        return None
    used = set().union(*map(uses, commands)) if commands else set()
    return [profile for profile in PROFILES if profile in used]


def lists():
    clauses = promised()
    cases = {profile: [] for profile in PROFILES}
    for path in sorted((HERE / "cases").glob("*.trace")):
        profiles = profiles_of(path.read_text(encoding="utf-8"), clauses)
        if profiles is None:
            continue
        for profile in profiles[-1:] or PROFILES:
            cases[profile].append(" ".join([path.stem, *profiles[:-1]]))
    for profile, entries in cases.items():
        head = (f"# Etalon {VERSION}, profile {profile}: the cases, and which profiles they need"
                f" besides.\nsuite {SUITE}\n")
        yield HERE / "profiles" / f"{profile}-{VERSION}.txt", head + "\n".join(entries) + "\n"


def main():
    stale = [path for path, text in lists()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(HERE.parent)} is not what the cases say (make spec)",
                  file=sys.stderr)
        return 1 if stale else 0
    (HERE / "profiles").mkdir(exist_ok=True)
    for path, text in lists():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
