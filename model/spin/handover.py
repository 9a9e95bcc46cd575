#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks Spin whether the hand-over of pool work, the wake-ups and deinit are in order (handover.pml,
HANDOVER.md): exhaustively, for up to 3 producers; then with one defect at a time, each of which a
named property must notice. Before that, that every place of src/ that the model names exists, in
the same order. Called by `make handover`; --short, in `make test`, leaves out the largest models
and reports under build/test. Exit status 0: all verdicts are as expected."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from searches import Search, run  # noqa: E402

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
MODEL = "model/spin/handover.pml"
ANCHOR = re.compile(r'(src/\w+\.c): (\w+): (?:"([^"]+)"|([\w-]+))')


def body_of(text, function):
    found = re.search(r"^\w[^\n;{}#]*\b" + function + r"\([^;{}]*\)\s*\{.*?^\}", text, re.M | re.S)
    return found.group(0) if found else None


def misplaced(model, read=lambda path: open(path, encoding="utf-8").read()):
    """What is wrong with the places that the model names: a list of lines."""
    wrong, reached, named, texts = [], {}, set(), {}
    for path, function, code, label in ANCHOR.findall(model):
        if path not in texts:
            texts[path] = read(path)
        body = body_of(texts[path], function)
        what = code or f"hand-over: {label}"
        if label:
            named.add((path, label))
        if body is None:
            wrong.append(f"{path}: no function {function}")
            continue
        at = body.find(what, reached.get((path, function), 0))
        if at < 0:
            wrong.append(f"{path}: {function}: {what!r} " +
                         ("is not where the model has it" if what in body else "is not there"))
            continue
        reached[path, function] = at
    for path, text in texts.items():
        for label in re.findall(r"/\* hand-over: ([\w-]+)", text):
            if (path, label) not in named:
                wrong.append(f"{path}: the model does not name the place {label!r}")
    if len(reached) < 10:
        wrong.append(f"{MODEL}: only {len(reached)} functions are named")
    return wrong


LOST = r"invalid end state|acceptance cycle"
RELEASED = r"assertion violated \(place\["
GONE = r"assertion violated .*loop_gone"
CLOSED = r"assertion violated .*closed\["

SHORT = [
    Search("1 producer", "safety", "PRODUCERS=1"),
    Search("2 producers", "safety", "PRODUCERS=2"),
    Search("async alone", "safety", "PRODUCERS=0 ASYNC"),
    Search("1 producer, async, waker", "safety", "PRODUCERS=1 ASYNC"),
    *[
        Search("1 producer", formula, "PRODUCERS=1")
        for formula in ("delivered", "taken", "ended", "handed")
    ],
    *[Search("2 producers", formula, "PRODUCERS=2") for formula in ("delivered", "taken", "ended")],
    *[
        Search("1 producer, waker", formula, "PRODUCERS=1 WAKER")
        for formula in ("delivered", "woken", "ended")
    ],
    *[
        Search("async alone", formula, "PRODUCERS=0 ASYNC")
        for formula in ("notified", "woken", "ended")
    ],
    Search("2 producers: the push may wait", "handed", "PRODUCERS=2", "acceptance cycle"),
]
LONG = [
    Search("3 producers", "safety", "PRODUCERS=3", large=True),
    Search("2 producers, waker", "safety", "PRODUCERS=2 WAKER", large=True),
    *[
        Search(f"3 producers, completion {c}", "delivered", f"PRODUCERS=3 ONCE TRACKED={c}",
               large=True) for c in range(3)
    ],
    Search("3 producers", "ended", "PRODUCERS=3 ONCE", large=True),
    Search("3 producers", "taken", "PRODUCERS=3 ONCE", large=True),
    Search("2 producers, waker", "woken", "PRODUCERS=2 WAKER", large=True),
]
DEFECTS = [
    Search("woken before the push", "safety", "PRODUCERS=1 WAKE_BEFORE_PUSH", "invalid end state"),
    Search("woken before the push, as liveness", "delivered", "PRODUCERS=1 WAKE_BEFORE_PUSH",
           "acceptance cycle"),
    Search("empty as it was at the first look", "safety", "PRODUCERS=2 EMPTY_BY_FIRST_LOOK",
           "invalid end state"),
    Search("drained after the list was taken", "safety", "PRODUCERS=1 DRAIN_AFTER_TAKE",
           "invalid end state"),
    Search("drained after the callbacks", "woken", "PRODUCERS=0 ASYNC DRAIN_AFTER_CALLBACKS",
           "acceptance cycle"),
    Search("touched after the push", "safety", "PRODUCERS=1 TOUCH_AFTER_PUSH", RELEASED),
    Search("linked after the push", "safety", "PRODUCERS=2 LINK_AFTER_PUSH",
           r"assertion violated|invalid end state"),
    Search("pushed without comparing", "safety", "PRODUCERS=2 TORN_PUSH",
           r"assertion violated \(k==c\)|invalid end state"),
    Search("taken in two steps", "safety", "PRODUCERS=2 TORN_TAKE",
           r"assertion violated|invalid end state"),
    Search("taken, not reversed", "safety", "PRODUCERS=2 NO_REVERSAL",
           r"assertion violated \(k==c\)"),
    Search("link read after the callback", "safety", "PRODUCERS=1 LINK_AFTER_CALLBACK", RELEASED),
    Search("left before the wake-up", "safety", "PRODUCERS=1 LEAVE_BEFORE_WAKE", GONE),
    Search("left without a signal", "safety", "PRODUCERS=1 LEAVE_WITHOUT_SIGNAL",
           "invalid end state"),
    Search("left without a signal, as liveness", "ended", "PRODUCERS=1 LEAVE_WITHOUT_SIGNAL",
           "acceptance cycle"),
    Search("queued without a signal", "safety", "PRODUCERS=1 JOIN_WITHOUT_SIGNAL",
           "invalid end state"),
    Search("queued without a signal, as liveness", "taken", "PRODUCERS=1 JOIN_WITHOUT_SIGNAL",
           "acceptance cycle"),
    Search("one thread told of the end", "safety", "PRODUCERS=2 END_SIGNALS_ONE",
           "invalid end state"),
    Search("recalled in two steps", "safety", "PRODUCERS=1 TORN_RECALL", "assertion violated"),
    Search("delete releases what executes", "safety", "PRODUCERS=1 DELETE_RELEASES", RELEASED),
    Search("deinit does not wait", "safety", "PRODUCERS=1 DEINIT_DOES_NOT_WAIT", GONE),
    Search("raised without being counted", "safety", "PRODUCERS=0 ASYNC RAISE_WITHOUT_COUNT",
           CLOSED),
    Search("raised by the first look", "safety", "PRODUCERS=0 ASYNC RAISE_BY_FIRST_LOOK", CLOSED),
    Search("counted without a look", "ended", "PRODUCERS=0 ASYNC RAISE_WITHOUT_LOOK",
           "acceptance cycle"),
    Search("closed before the raising ends", "safety", "PRODUCERS=0 ASYNC CLOSE_BEFORE_RAISE_ENDS",
           CLOSED),
    Search("async read after the callback", "notified", "PRODUCERS=0 ASYNC READ_AFTER_CALLBACK",
           "acceptance cycle"),
    Search("the caller's: init under a wake-up", "safety", "PRODUCERS=0 WAKER INIT_UNDER_WAKEUP",
           "assertion violated .*users"),
]


def main():
    with open(MODEL, encoding="utf-8") as file:
        wrong = misplaced(file.read())
    for line in wrong:
        print("FAIL  " + line)
    if not wrong:
        print("ok    every place that the model names is in the source, in the same order")
    short = "--short" in sys.argv[1:]
    searches = SHORT + DEFECTS if short else LONG + SHORT + DEFECTS
    return 1 if run("handover", MODEL, searches,
                    "build/test" if short else "build") + len(wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
