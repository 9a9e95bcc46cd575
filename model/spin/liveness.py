#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks Spin whether what the law says ends does end (liveness.pml, LIVENESS.md): every submission,
every cancel, run(UNTIL_DONE), under a fair world and whatever callbacks do; then with one defect at
a time, each of which a named formula must notice. Called by `make liveness`; --short, in `make
test-long`, leaves out the programs with all five completions and reports under build/test. Exit
status 0: all verdicts are as expected."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from searches import Search, run  # noqa: E402

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))

# bits: 1 a noop, 2 a timer, 4 and 8 reads, 16 a cancel
ONE_READ, TWO_READS, NO_READ, ALL = "PRESENT=23", "PRESENT=13", "PRESENT=19", "PRESENT=31"
FAIR = {"ends_read", "ends_read_2",
        "done"}  # these need the descriptor to become ready again and again


def formulas(name, present, kinds, large=False):
    return [
        Search(name, kind, present + (" FAIR_PEER" if kind in FAIR else ""), large=large)
        for kind in kinds
    ]


KINDS = ["ends_noop", "ends_timer", "ends_read", "deleted_read", "ends_cancel", "done", "served"]
SHORT = [
    Search("noop, timer, read, cancel", "safety",
           ONE_READ), *formulas("noop, timer, read, cancel", ONE_READ, KINDS),
    Search("noop, two reads", "safety", TWO_READS), *formulas("noop, two reads", TWO_READS, [
        "ends_noop", "ends_read", "ends_read_2", "deleted_noop", "deleted_read", "deleted_read_2",
        "done"
    ]),
    *formulas("noop, timer, cancel", NO_READ, ["deleted_noop", "deleted_timer", "deleted_cancel"])
]
LONG = [
    Search("all five", "safety", ALL, large=True), *formulas("all five", ALL, [
        *KINDS, "ends_read_2", "deleted_noop", "deleted_timer", "deleted_read_2", "deleted_cancel"
    ], large=True)
]


def defect(name, kind, switch, present=ONE_READ, fair_peer=False):
    return Search(name, kind, f"{present} {switch}" + (" FAIR_PEER" if fair_peer else ""),
                  "acceptance cycle")


DEFECTS = [
    defect("re-added ones processed in the same round", "served", "SAME_ROUND"),
    defect("the same, for a timer", "ends_timer", "SAME_ROUND"),
    defect("the same, for the end of the world", "ends_read", "SAME_ROUND", fair_peer=True),
    defect("a timer of 0 ms fires again in its phase", "served", "REFIRES"),
    defect("no timer phase while something is submitted", "ends_timer",
           "TIMERS_WAIT_FOR_SUBMISSIONS"),
    defect("no kernel phase while something is submitted", "served",
           "KERNEL_WAITS_FOR_SUBMISSIONS"),
    defect("no deletion phase while something is submitted", "deleted_read",
           "DELETIONS_WAIT_FOR_SUBMISSIONS"),
    defect("of a noop, no deletion is completed", "deleted_noop", "ONLY_READ_IS_DELETED",
           TWO_READS),
    defect("of a timer, no deletion is completed", "deleted_timer", "ONLY_READ_IS_DELETED",
           NO_READ),
    defect("of the second read, no deletion is completed", "deleted_read_2", "ONLY_READ_IS_DELETED",
           TWO_READS),
    defect("of a cancel, no deletion is completed", "deleted_cancel", "ONLY_READ_IS_DELETED",
           NO_READ),
    defect("a rearmed read keeps its place", "ends_read", "REARM_KEEPS_PLACE", TWO_READS, True),
    defect("the first read always overtakes the second", "ends_read_2", "READ_OVERTAKES", TWO_READS,
           True),
    defect("waits although something is submitted", "ends_noop", "BLOCKS_DESPITE_QUEUE"),
    defect("waits beyond the next deadline", "ends_timer", "WAITS_WITHOUT_LIMIT"),
    defect("a cancel is lost when its target is dead", "ends_cancel", "CANCEL_LOST_WHEN_DEAD"),
    defect("a cancel is lost with its target", "ends_cancel", "CANCEL_LOST_WITH_ITS_TARGET"),
    defect("the count is not lowered by a cancel", "done", "COUNT_NOT_LOWERED_BY_CANCEL",
           fair_peer=True),
    defect("the count is not lowered by a delete", "done", "COUNT_NOT_LOWERED_BY_DELETE",
           fair_peer=True),
    defect("the count is lowered twice by a cancel", "ends_timer", "COUNT_LOWERED_TWICE"),
]


def main():
    short = "--short" in sys.argv[1:]
    searches = SHORT + DEFECTS if short else LONG + SHORT + DEFECTS
    return 1 if run("liveness", "model/spin/liveness.pml", searches,
                    "build/test" if short else "build") else 0


if __name__ == "__main__":
    sys.exit(main())
