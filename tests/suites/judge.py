#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks `etalon judge` itself: every case, recorded from the loop, must be judged lawful, whatever
part of it was observed; what is corrupted on purpose must be found, with the clause that is broken;
input that is bad must be refused with its line. Prints the test-anything protocol. Called by
tests/run.

    tests/suites/judge.py ETALON CHECKED RECORD [CASE...]

CHECKED is the tool with the sanitizers, for what is odd; RECORD is tests/examples/record, built."""

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile

ETALON, CHECKED, RECORD = (os.path.realpath(path) for path in sys.argv[1:4])
CASES = sys.argv[4:]
NAMES = ["time", "states", "waits", "readiness", "pool"]
OBSERVED = [
    ",".join(some) or ","
    for size in range(5, -1, -1)
    for some in itertools.combinations(NAMES, size)
    if "waits" in some or "readiness" not in some
]  # spec/trace-format.md
UNSEEN = "can be judged only when"
number = failures = 0


def verdict(good, name, why=""):
    global number, failures
    number += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if not good:
        print("# " + why.replace("\n", "\n# "))


def judge(text, *options, tool=None):
    done = subprocess.run([tool or ETALON, "judge", *options, "-"], input=text, capture_output=True,
                          timeout=60)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(
        errors="replace")


def lines(*events, observes=("time", "states")):
    header = {"etalon-recording": 1, "subject": "a test", "observes": list(observes)}
    return "".join(json.dumps(e) + "\n" for e in (header, *events)).encode()


def judge_all(paths, *options, tool=None):
    """For each of the files: status and what was said of it."""
    done = subprocess.run([tool or ETALON, "judge", *options, *paths], capture_output=True,
                          timeout=200)
    said = (done.stdout + done.stderr).decode(errors="replace")
    result = {}
    for path in paths:
        lines_of = [line for line in said.splitlines() if path + ":" in line]
        lawful = any(line.startswith(f"{path}: lawful") for line in lines_of)
        refused = any(line.startswith(f"etalon: {path}:") for line in lines_of)
        broken = any(line.startswith(f"{path}: the law is broken") for line in lines_of)
        result[path] = (0 if lawful else 2 if refused else 1 if broken else 3, "\n".join(lines_of))
    return result, done.returncode, said


def recorded_cases(folder):
    paths = []
    for case in CASES:
        path = os.path.join(folder, os.path.basename(case) + ".ndjson")
        with open(case, encoding="utf-8") as text:
            world = "real" if "real\n" in text.readlines() else "simulated"
        done = subprocess.run([ETALON, "record", "--world", world, case, "--output", path],
                              capture_output=True, timeout=60)
        if done.returncode == 0:
            paths.append(path)
        else:
            print(f"# {case}: {done.stderr.decode(errors='replace')}")
    return paths


# Blamed without a cause where the waits are not observed: spec/trace-format.md says so.
GUESSED = ("hosted-pool.trace",)
# Recordings of thousands are judged once, with all that was observed.
LONG_BYTES = 100_000


def check_cases(recordings):
    for observed in OBSERVED:
        asked = [
            path for path in recordings
            if ("waits" in observed.split(",") or
                os.path.basename(path).removesuffix(".ndjson") not in GUESSED) and
            (observed == OBSERVED[0] or os.path.getsize(path) < LONG_BYTES)
        ]
        result, status, said = judge_all(asked, "--observes", observed)
        wrong = [
            text for number_, text in result.values()
            if number_ not in (0, 2) or (number_ == 2 and UNSEEN not in text)
        ]
        seen = sum(number_ == 0 for number_, _ in result.values())
        enough = seen > 0.75 * len(CASES) and (observed != OBSERVED[0] or seen == len(CASES))
        verdict(not wrong and enough and status in (0, 2),
                f"{seen} cases are lawful, observed: {observed}", "\n".join(wrong) or said[-500:])


# ---- corruption ----------------------------------------------------------------------------------
# A recording of a program that does everything, each fault at every place where it can be made.

def parse(text):
    return [json.loads(line) for line in text.splitlines()]


def calls_back(e, result=None):
    return "callback" in e and (result is None or e["result"] == result)


def pairs(events):
    """The places of callbacks that make no call: their two lines, one after the other."""
    return [
        i for i in range(len(events) - 1) if calls_back(events[i]) and "returned" in events[i + 1]
    ]


def dropped(events):
    for i in pairs(events):
        if events[i + 1]["action"] == "disarm":
            yield events[:i] + events[i + 2:]


def duplicated(events):
    for i in pairs(events):
        if events[i + 1]["action"] == "disarm":
            yield events[:i + 2] + events[i:i + 2] + events[i + 2:]


def reordered(events):
    """Two timers that fire one after the other."""
    timers = {e["c"] for e in events if e.get("call") == "timer"}
    for i in pairs(events):
        if i + 2 in pairs(events) and {events[i]["callback"], events[i + 2]["callback"]
                                       } <= timers and events[i]["result"] == 0:
            if events[i + 2]["result"] == 0 and events[i]["now"] == events[i + 2]["now"]:
                yield events[:i] + events[i + 2:i + 4] + events[i:i + 2] + events[i + 4:]


def wrong_result(events):
    for i in pairs(events):
        if events[i]["result"] == "-ECANCELED" or events[i]["result"] == 0:
            yield events[:i] + [{**events[i], "result": 7}] + events[i + 1:]


def early_timer(events):
    fired = {e["callback"] for e in events if calls_back(e, 0)
             } - {e["c"] for e in events if e.get("call") == "reset"}
    for i, e in enumerate(events):
        if e.get("call") == "timer" and e["c"] in fired:
            yield events[:i] + [{**e, "delay_ms": e["delay_ms"] + 100000}] + events[i + 1:]


def wrong_return(events):
    for i, e in enumerate(events):
        if e.get("call") in ("add", "delete", "cancel", "reset"):
            yield events[:i] + [{**e, "returns": "-EPERM"}] + events[i + 1:]


def after_delete(events):
    """The callback of what the last one has deleted."""
    for i, e in enumerate(events):
        if e.get("call") == "delete" and e["state"] == "deleting" and "returned" in events[i + 1]:
            fault = [{"callback": e["c"], "result": 0, "now": e["now"]},
                     {"returned": e["c"], "action": "disarm", "now": e["now"]}]
            yield events[:i + 2] + fault + events[i + 2:]


def wrong_state(events):
    for i, e in enumerate(events):
        if e.get("state") == "adding":
            yield events[:i] + [{**e, "state": "active"}] + events[i + 1:]


def wrong_time(events):
    for i, e in enumerate(events):
        if e.get("call") == "add":
            yield events[:i] + [{**e, "now": e["now"] + 5}] + events[i + 1:]


FAULTS = {
    "a callback is dropped": (dropped, {
        "ET-EXPIRE-1", "ET-EXPIRE-2", "ET-EXPIRE-3", "ET-TICK-3", "ET-TICK-4", "ET-SUBMIT-2",
        "ET-CANCEL-4", "ET-CANCEL-5", "ET-CANCEL-6", "ET-STATE-3", "ET-RUN-1", "ET-RUN-2",
        "ET-RUN-3"
    }),
    "a callback comes twice": (duplicated, {
        "ET-STATE-3", "ET-SUBMIT-2", "ET-EXPIRE-1", "ET-CANCEL-4", "ET-CANCEL-5", "ET-EVENT-6",
        "ET-TICK-4", "ET-TICK-3", "ET-RUN-1", "ET-RUN-2", "ET-RUN-3"
    }),
    "callbacks in another order": (reordered, {"ET-EXPIRE-2", "ET-EXPIRE-3", "ET-EXPIRE-1"}),
    "a wrong result": (wrong_result, {
        "ET-EXPIRE-1", "ET-CANCEL-4", "ET-CANCEL-5", "ET-CANCEL-6", "ET-SUBMIT-2", "ET-EXPIRE-4"
    }),
    "a timer fires early": (early_timer, {"ET-EXPIRE-4"}),
    "a wrong return value": (wrong_return, {
        "ET-ADD-1", "ET-ADD-2", "ET-DELETE-1", "ET-DELETE-2", "ET-DELETE-3", "ET-CANCEL-1",
        "ET-RESET-1", "ET-RESET-3", "ET-RESET-5"
    }),
    "a callback after delete": (after_delete, {"ET-DELETE-4"}),
    "a wrong state": (wrong_state, {"ET-STATE-2"}),
    "a wrong loop time": (wrong_time, {"ET-TIME-1", "ET-TIME-3"}),
}
PROGRAM = """etalon-trace 1
body 1
  delete c2
main
  timer c0 10ms do b2
  timer c1 10ms do b2
  timer c2 50ms do b2
  timer c3 5ms do b1
  submit c4 noop do b2
  timer c5 70ms do b2
  tick 0
  cancel c5 by c6 do b2
  reset c1 by c7 10ms do b2
  tick 1
  advance 20ms
  tick 2
  add c4
  run until_done
"""


def check_faults(folder):
    path = os.path.join(folder, "program.trace")
    with open(path, "w", encoding="ascii") as file:
        file.write(PROGRAM)
    done = subprocess.run([ETALON, "record", "--events", path], capture_output=True, timeout=60,
                          check=True)
    header, *events = parse(done.stdout)
    clean, out, _ = judge(done.stdout)
    verdict(clean == 0, "the program that is corrupted below is lawful", out)
    for name, (corrupt, clauses) in FAULTS.items():
        # Waits would betray most faults at once; so they are found without them too.
        for observes in "time,states,waits,readiness", "time,states":
            wrong, made = [], 0
            for corrupted in corrupt(events):
                made += 1
                text = "".join(json.dumps(e) + "\n" for e in (header, *corrupted)).encode()
                status, out, err = judge(text, "--observes", observes)
                clause = out.split(": ")[1] if status == 1 else None
                if status != 1 or clause not in clauses:
                    wrong.append(f"{status} {(out + err).splitlines()[0]}")
            verdict(made > 0 and not wrong, f"found in {made} places: {name}; observed: {observes}",
                    "\n".join(wrong))


# ---- bad input ----

def check_malformed():
    header = b'{"etalon-recording":1,"observes":[]}\n'
    add = b'{"call":"add","c":1,"op":"noop","returns":0}\n'
    for name, text, line in [
        ("nothing", b"", 1),
        ("another version", b'{"etalon-recording":2,"observes":[]}\n', 1),
        ("no JSON", header + b"hello\n", 2),
        ("no object", header + b"[1]\n", 2),
        ("no event", header + add + b'{"hello":1}\n', 3),
        ("a key twice", header + b'{"end":"run","end":"run"}\n', 2),
        ("an unknown call", header + b'{"call":"fly","c":1}\n', 2),
        ("a missing key", header + b'{"call":"add","op":"noop","returns":0}\n', 2),
        ("a null byte", header + b'{"call":"stop"}\0\n', 2),
        ("odd bytes", header + b"\xff\xfe\n", 2),
        ("a number that is too large",
         header + b'{"call":"delete","c":99999999999999999999,"returns":0}\n', 2),
        ("a line that is too long", header + b" " * 70000 + b"\n", 2),
        ("a deep nesting", header + b"[" * 60000 + b"\n", 2),
        ("an end without a tick", header + b'{"end":"tick","returns":0}\n', 2),
        ("a return without a callback", header + b'{"returned":1,"action":"disarm"}\n', 2),
        ("a wait that was not announced", header + b'{"wait":0}\n', 2),
        ("an add that says not what", header + b'{"call":"add","c":1,"returns":0}\n', 2),
        ("a last line that is cut", header + add + b'{"call":"del', 3),
    ]:
        status, out, err = judge(text, tool=CHECKED)
        good = status == 2 and out == "" and err.count("\n") == 1 and err.startswith(
            f"etalon: standard input:{line}: ")
        verdict(good, f"refused with its line: {name}", f"{status} {out}{err}")


def mutated(text, chance):
    text = bytearray(text)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(text))
        what = chance.randrange(5)
        if what == 0:
            text[at] = chance.randrange(256)
        elif what == 1:
            del text[at:at + chance.randrange(1, 40)]
        elif what == 2:
            text[at:at] = text[at:at + chance.randrange(1, 200)]
        elif what == 3:
            all_lines = bytes(text).splitlines(keepends=True)
            one, other = chance.randrange(1, len(all_lines)), chance.randrange(1, len(all_lines))
            all_lines[one], all_lines[other] = all_lines[other], all_lines[one]
            text = bytearray(b"".join(all_lines))
        else:
            digits = [i for i, byte in enumerate(text) if 48 <= byte <= 57]
            text[chance.choice(digits)] = chance.randrange(48, 58)
        if len(text) < 100:
            break
    return bytes(text)


def check_mutations(recordings, folder, count=600):
    chance = random.Random(1)
    texts = []
    for path in recordings:
        with open(path, "rb") as file:
            texts.append(file.read())
    seen, bad = {}, ""
    for observed in OBSERVED:
        paths = []
        for i in range(count // len(OBSERVED)):
            paths.append(os.path.join(folder, f"mutant-{i}"))
            with open(paths[-1], "wb") as file:
                file.write(mutated(chance.choice(texts), chance))
        result, status, said = judge_all(paths, "--keep-going", "--observes", observed,
                                         tool=CHECKED)
        for number_, _ in result.values():
            seen[number_] = seen.get(number_, 0) + 1
        if status not in (0, 1, 2) or 3 in seen:
            bad += f"{status}: {said[-1500:]}"
            break
    verdict(not bad and set(seen) == {0, 1, 2},
            f"recordings with odd bytes and lines in another order: {seen}", bad)


def call(what, c, returns=0, state="adding", **keys):
    return {"call": what, "c": c, "returns": returns, "state": state, "now": 5, **keys}


def tick(*events, callbacks=0, returns=0, **keys):
    return [{"call": "tick", "callbacks": callbacks, "now": 5}, *events,
            {"end": "tick", "returns": returns, "now": 5, **keys}]


def back(c, result, *calls):
    return [{"callback": c, "result": result, "now": 5}, *calls,
            {"returned": c, "action": "disarm", "now": 5}]


NOOP = call("add", 9, op="noop")
READ = call("add", 1, op="read", fd=3)


# What is lawful for a judge that sees no waits or no readiness, and was not always found so; and
# beside it what is not. Each yields (name, events, clause or None, what is observed…).


def unseen_of_rounds():
    """What waits for its round, and what a round has started."""
    pooled = [
        {"has_pool": 1, "threads": 1},
        call("add", 1, op="read", fd=3, pool=True),
        {"call": "run", "mode": "until_done", "now": 5},
        {"took": 1},
        {"executed": 1, "op": "read", "fd": 3, "result": 3},
        {"gave_back": 1},
        {"callback": 1, "result": 3, "now": 7},
    ]
    yield ("the pool gives back behind its phase, and a wait goes by", pooled, None, "time",
           "states", "pool")
    start = {"call": "timer", "c": 1, "delay_ms": 10}
    late = [
        NOOP, {"call": "add", "c": 8, "op": "timer", "delay_ms": 20, "returns": 0},
        {"call": "tick", "callbacks": 2}, *back(9, 0, {**start, "returns": 0}),
        *back(8, 0, {**start, "returns": "-EBUSY"}), *back(1, 0)
    ]
    yield "a timer fires that a call has shown to be active", late, None, "states"
    waiting = call("timer", 1, "-EBUSY", delay_ms=5)
    started = call("timer", 1, "-EBUSY", "active", delay_ms=5)
    yield ("a timer is refused for what waits for its round",
           [NOOP, *tick(*back(9, 0, READ, waiting))], None)
    yield ("a timer is refused for what a round has started",
           [NOOP, *tick(*back(9, 0, READ, started))], None)
    # The dead that a cancel is about to look at keep their places when places are short: else the
    # target would be another one.
    many = [call("add", c, op="timer", delay_ms=1000) for c in range(20, 40)]
    yield ("the target of a cancel is dead, and places are short",
           [call("cancel", 1, by=2), *many, *tick(*back(2, "-ENOENT"), active=len(many))], None)


def unseen_of_registrations():
    """What is deleted, and what is refused."""
    shutdown = call("add", 2, op="shutdown", fd=4)
    recv = call("add", 3, op="recv", fd=4)
    deleting, dead = call("delete", 1, 0, "deleting"), call("delete", 1, 0, "dead")
    wait = [{"wait": 0, "forgiven": True, "now": 5}, {"woken": 0, "now": 5}]
    refused = [
        READ, *tick(*wait), call("add", 2, op="poll", fd=-1, events=1), recv,
        *tick(*back(2, "-EBADF", deleting), *back(3, "-EPERM", dead), *wait)
    ]
    yield ("what a callback has deleted is dead when a registration is refused", refused, None,
           "time", "states", "waits")
    yield ("what a callback has deleted may be dead in a later one of its tick",
           [READ, *tick(active=1), NOOP, recv, *tick(*back(9, 0, deleting), *back(3, 1, dead))],
           None)
    yield "but not at once", [READ, *tick(active=1), dead], "ET-STATE-2"
    yield ("a registration is refused with EINTR",
           [READ, shutdown, *tick(*back(1, "-EINTR"), *back(2, 0))], None)
    yield "or with EIO", [READ, shutdown, *tick(*back(1, "-EIO"), *back(2, 0))], None
    yield ("but not with an end of file", [READ, shutdown, *tick(*back(1, 0), *back(2, 0))],
           "ET-EVENT-7")
    stop = {"call": "stop", "now": 5}
    yield ("an error of a try, whose callback stops the loop before another one",
           [READ, call("add", 2, op="read", fd=4), *tick(*back(1, "-EIO", stop), *back(2, 3))],
           None)


def unseen_of_ends():
    """A wait that fails, and what has ended."""
    again = {"op": "read", "fd": 3}
    before = [call("add", 1, op="recv", fd=3)]
    *before, ended = [*before, *tick(*back(1, 3, call("add", 2, **again)), callbacks=9,
                                     returns="-EDEADLK", active=1)]
    yield "a round more before a wait that fails", [*before, ended], None
    yield ("where it has started what it was given",
           [*before, ended, call("add", 2, "-EBUSY", "active", **again)], None)
    yield ("or no round more", [*before, {**ended, "active": 0}, call("add", 2, **again)], None)
    yield ("nothing is active that nobody has submitted", [*before, {**ended, "active": 2}],
           "ET-STATE-6")
    yield ("what was submitted before a tick is active after it", [READ, *tick(active=0)],
           "ET-STATE-6")
    yield "what has ended is not active", [NOOP, *tick(*back(9, 0), active=1)], "ET-STATE-6"
    yield ("the callback of what was deleted",
           [READ, *tick(active=1), call("delete", 1, 0, "deleting"), *tick(), *tick(*back(1, 3))],
           "ET-DELETE-4")
    yield ("the callback of what has ended", [NOOP, *tick(*back(9, 0)), *tick(*back(9, 0))],
           "ET-STATE-3")


def check_unseen():
    for name, events, clause, *observes in itertools.chain(unseen_of_rounds(),
                                                           unseen_of_registrations(),
                                                           unseen_of_ends()):
        status, out, err = judge(lines(*events, observes=observes or ("time", "states")))
        good = status == 0 if clause is None else status == 1 and f": {clause}: " in out
        verdict(good, f"{clause or 'lawful'}: {name}", out + err)
    # Without the time of a wait's limit only its being there is judged.
    timer = [{"call": "timer", "c": 1, "delay_ms": 50, "returns": 0},
             {"call": "run", "mode": "until_done"}]
    for limit, clause in (50_000_000, None), (1, None), (None, "ET-WAIT-2"):
        status, out, _ = judge(lines(*timer, {"wait": limit}, {"woken": 0}, observes=["waits"]))
        good = status == 1 and clause in out if clause else status == 0
        verdict(good, f"a wait with the limit {limit} for a timer, at a time that is not observed",
                out)
    for returned in 0, "-EBUSY":
        status, out, _ = judge(
            lines({"has_pool": 1}, {"call": "deinit", "returns": 0},
                  {"call": "notify", "fd": 5, "returns": 0}, {"end": "deinit", "returns": returned},
                  observes=["pool"]))
        verdict(status == (returned != 0) and ("ET-DEINIT-2" in out) == (returned != 0),
                f"a deinit with a pool ends with {returned}", out)


def check_options(folder):
    stop = [{"call": "stop", "now": 5}]
    unfinished = [{"call": "add", "c": 1, "op": "noop", "returns": "-EBUSY", "now": 5},
                  {"call": "delete", "c": 2, "returns": "-EBUSY", "now": 5}]
    status, out, _ = judge(lines(*unfinished))
    verdict(status == 1 and out.count("ET-ADD-1") == 1 and "ET-DELETE-1" not in out,
            "it stops at the first difference", out)
    status, out, _ = judge(lines(*unfinished), "--keep-going")
    verdict(status == 1 and "ET-ADD-1" in out and "ET-DELETE-1" in out, "or not: --keep-going", out)
    path = os.path.join(folder, "verdict.json")
    status, _, _ = judge(lines(*unfinished), "--keep-going", "--json", path)
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    good = status == 1 and told["verdict"] == "fail" and [d["line"]
                                                          for d in told["differences"]] == [2, 3]
    verdict(good, "--json FILE", json.dumps(told))
    status, out, err = judge(lines(*stop), "--json", os.path.join(folder, "nowhere",
                                                                  "verdict.json"))
    verdict(status == 2 and "nowhere" in err, "a folder that is not there", out + err)
    # Two timers have expired; the first one's callback stops the loop, and the second one's does
    # not come: ET-STOP-3 is a SHOULD.
    timer = {"call": "add", "op": "timer", "delay_ms": 1, "returns": 0, "now": 0}
    lazy = [{**timer, "c": 1}, {**timer, "c": 2}, {"call": "tick", "callbacks": 1, "now": 0},
            {"callback": 1, "result": 0, "now": 5}, {"call": "stop", "now": 5},
            {"returned": 1, "action": "disarm", "now": 5}, {"end": "tick", "returns": 0, "now": 5}]
    status, out, _ = judge(lines(*lazy))
    verdict(status == 0 and "ET-STOP-3 (should)" in out, "what should be and is not is told", out)
    status, out, _ = judge(lines(*lazy), "--strict")
    verdict(status == 1 and "ET-STOP-3 (should)" in out, "and fails when --strict", out)


def check_deadlines():
    """What a time in whole milliseconds leaves open, and one to the nanosecond does not."""
    for clock, fires, clause in [(None, 9, "ET-EXPIRE-4"), (None, 10, None), (None, 11, None),
                                 (0, 10, None), (1, 10, "ET-EXPIRE-4"), (1, 11, None)]:
        begun = {} if clock is None else {"clock_ns": clock}
        late = {} if clock is None else {"clock_ns": fires * 1000000}
        status, out, _ = judge(
            lines({"call": "update_now", "now": 0, **begun},
                  {"call": "timer", "c": 1, "delay_ms": 10, "returns": 0, "now": 0},
                  {"call": "run", "mode": "until_done", "now": 0},
                  {"callback": 1, "result": 0, "now": fires, **late},
                  {"returned": 1, "action": "disarm", "now": fires},
                  {"end": "run", "returns": 0, "active": 0, "now": fires}))
        good = status == 1 and clause in out if clause else status == 0
        verdict(good, f"a timer of 10 ms, set at {'0 ms' if clock is None else f'{clock} ns'}, "
                      f"fires at {fires} ms", out)
    # They are due at 11 ms both, if the second was set behind 1 ms; nobody may know.
    for clock in {}, {"clock_ns": 1200000}:
        for first in 1, 2:
            fired = [event for c in (first, 3 - first) for event in
                     ({"callback": c, "result": 0, "now": 11},
                      {"returned": c, "action": "disarm", "now": 11})]
            status, out, _ = judge(
                lines({"call": "update_now", "now": 0, **({"clock_ns": 700000} if clock else {})},
                      {"call": "timer", "c": 1, "delay_ms": 10, "returns": 0, "now": 0},
                      {"call": "update_now", "now": 1, **clock},
                      {"call": "timer", "c": 2, "delay_ms": 9, "returns": 0, "now": 1},
                      {"call": "run", "mode": "until_done", "now": 1},
                      {**fired[0], **({"clock_ns": 11000000} if clock else {})}, *fired[1:],
                      {"end": "run", "returns": 0, "active": 0, "now": 11}))
            wrong = first == 2
            verdict(status == wrong and ("ET-EXPIRE-3" in out) == wrong,
                    f"of two timers of one millisecond, {first} first, "
                    f"{'with' if clock else 'without'} the clock", out)
    two = [{"call": "timer", "c": 1, "delay_ms": 10, "returns": 0, "now": 0}]
    for limit, clause in (9_000_001, None), (10_500_000, None), (9_000_000, "ET-WAIT-3"), \
            (12_100_000, "ET-WAIT-2"):
        status, out, _ = judge(
            lines(two[0], {"call": "run", "mode": "until_done", "now": 0},
                  {"wait": limit, "now": 0}, {"woken": 0, "now": 11},
                  observes=["time", "states", "waits"]))
        good = clause in out if clause else "ET-WAIT" not in out
        verdict(good, f"a wait of {limit} ns for a timer of 10 ms, set at 0 ms", out)


def check_numbers():
    """How many completions there is room for."""
    many = [{"call": "add", "c": c, "op": "timer", "delay_ms": 1, "returns": 0, "now": 0}
            for c in range(4200)]
    status, out, err = judge(lines(*many))
    verdict(status == 2 and ":4098: more than 4096" in err,
            "more completions than there is room for", out + err)
    for count in 998, 4096:
        for back in True, False:
            at_work = [{
                "call": "add", "c": c, "op": "noop", "has_callback": back, "returns": 0, "now": 0
            } for c in range(count)]
            at_work.append({"call": "run", "mode": "until_done", "now": 0})
            for c in range(count * back):
                at_work += [{"callback": c, "result": 0, "now": 0},
                            {"returned": c, "action": "disarm", "now": 0}]
            status, out, err = judge(
                lines(*at_work, {"end": "run", "returns": 0, "active": 0, "now": 0}))
            verdict(status == 0,
                    f"{count} completions at once, {'with' if back else 'without'} callbacks",
                    f"{status} {out}{err}")
    timers = [{"call": "timer", "c": c, "delay_ms": 5, "returns": 0, "now": 0} for c in range(4096)]
    timers.append({"call": "run", "mode": "until_done", "now": 0})
    for c in range(4096):
        timers += [{"callback": c, "result": 0, "now": 5},
                   {"returned": c, "action": "disarm", "now": 5}]
    status, out, err = judge(lines(*timers, {"end": "run", "returns": 0, "active": 0, "now": 5}))
    verdict(status == 0, "4096 timers at once", f"{status} {out}{err}")
    status, out, err = judge(b'{"etalon-recording":1,"observes":[]}\n' + b"".join(
        b'{"call":"add","c":%d,"op":"noop","returns":0}\n{"call":"tick","callbacks":1}\n'
        b'{"callback":%d,"result":0}\n'
        b'{"returned":%d,"action":"disarm"}\n{"end":"tick","returns":0}\n' % (c, c, c)
        for c in range(5000)))
    verdict(status == 0 and "25000 events" in out, "five thousand completions, one after the other",
            out + err)


def main():
    with tempfile.TemporaryDirectory() as folder:
        recordings = recorded_cases(folder)
        check_cases(recordings)
        check_faults(folder)
        check_malformed()
        check_mutations(recordings, folder)
        check_unseen()
        check_options(folder)
        check_deadlines()
        check_numbers()
        done = subprocess.run([RECORD], capture_output=True, timeout=60)
        status, out, err = judge(done.stdout, tool=CHECKED)
        verdict(done.returncode == 0 and status == 0 and " 9" in out,
                "the example that records itself is lawful", out + err)
    print(f"1..{number}")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
