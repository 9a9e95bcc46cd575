#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks z3 about the push and the take of pool.c, and about a wake-up and its end in async.c, by the
axioms of RC11 (Lahav and others, "Repairing sequential consistency in C/C++11", 2017), with and
without the one that Relacy takes for granted: no cycle of "sequenced before" and "reads from", so
no load that is overtaken by a later store of its thread (load buffering). Called by orders.py.

usage: axioms.py        prints each question and its answer; exit status 1: one is not as expected

An execution is which change each load reads from, and in which order the changes of each object
are. What is asked is whether one exists that is consistent, and in which something is wrong. The
orders are those of the source, which orders.py hands over, or a weaker one.
"""
import sys

import z3

INIT, LOOP = 0, 9  # threads; the others are 1, 2
EMPTY, UNFILLED, OPEN = 0, -1, 8


class Event:
    """An access: `reads` is the variable of what it reads, `writes` the value of what it writes."""

    def __init__(self, name, thread, place, order, reads=None, writes=None, happens=True):
        self.name, self.thread, self.place, self.order = name, thread, place, order
        self.reads, self.writes, self.happens = reads, writes, happens
        self.releases = order in ("release", "acq_rel", "seq_cst")
        self.acquires = order in ("acquire", "acq_rel", "seq_cst")


# ---- the programs: (events, what else holds) -----------------------------------------------------


def hand_over(order):
    """Two threads fill a completion and push it: the round of the loop that succeeds. The loop
    takes once, and looks at all that it got."""
    events = [Event("init", INIT, "list", "relaxed", writes=z3.IntVal(EMPTY))]
    rules, taken, next_of = [], z3.Int("taken"), {}
    for i in (1, 2):
        last, seen, next_of[i] = z3.Int(f"last{i}"), z3.Int(f"seen{i}"), z3.Int(f"next{i}")
        events += [
            Event("init", INIT, f"completion {i}", "plain", writes=z3.IntVal(UNFILLED)),
            Event("load", i, "list", order["hand_over load"], reads=last),
            Event("fill", i, f"completion {i}", "plain", writes=last),
            Event("push", i, "list", order["hand_over compare_exchange_weak"], seen, z3.IntVal(i)),
        ]
        rules.append(seen == last)
    events.append(Event("take", LOOP, "list", order["take_handed_over exchange"], taken,
                        z3.IntVal(EMPTY)))
    for i in (1, 2):
        other = 3 - i
        got = z3.Or(taken == i, z3.And(taken == other, next_of[other] == i))
        events.append(Event("look", LOOP, f"completion {i}", "plain", next_of[i], happens=got))
    return events, rules, {"taken": taken, "next": next_of}


def wake_up(order):
    """Two threads raise a counter, whose owner ends that and then closes the descriptor."""
    events = [Event("init", INIT, "users", "relaxed", writes=z3.IntVal(OPEN)),
              Event("init", INIT, "descriptor", "plain", writes=z3.IntVal(1))]
    for i in (1, 2):
        look, add, sub = z3.Int(f"look{i}"), z3.Int(f"add{i}"), z3.Int(f"sub{i}")
        goes_on = look >= OPEN
        events += [
            Event("look", i, "users", order["eti_raise load"], reads=look),
            Event("add", i, "users", order["eti_raise fetch_add"], add, add + 1, goes_on),
            Event("use", i, "descriptor", "plain", z3.Int(f"use{i}"),
                  happens=z3.And(goes_on, add >= OPEN)),
            Event("sub", i, "users", order["eti_raise fetch_sub"], sub, sub - 1, goes_on),
        ]
    clear, left = z3.Int("clear"), z3.Int("left")
    events += [
        Event("clear", LOOP, "users", order["eti_raise_ends fetch_and"], clear,
              z3.If(clear >= OPEN, clear - OPEN, clear)),
        Event("wait", LOOP, "users", order["eti_raise_ends load"], reads=left),
        Event("close", LOOP, "descriptor", "plain", writes=z3.IntVal(0)),
    ]
    return events, [left == 0], {}


# ---- the axioms ----------------------------------------------------------------------------------


def closure(relation):
    """The transitive closure of a matrix of conditions."""
    size, steps = len(relation), 1
    while steps < size:
        relation = [[z3.simplify(z3.Or(relation[a][b], *[
            z3.And(relation[a][m], relation[m][b]) for m in range(size)
            if not z3.is_false(relation[a][m]) and not z3.is_false(relation[m][b])]))
            for b in range(size)] for a in range(size)]
        steps *= 2
    return relation


class Execution:
    def __init__(self, program, order, extra=()):
        self.events, self.rules, self.values = program(order)
        self.size = range(len(self.events))
        self.solver = z3.Solver()
        self.solver.add(*self.rules)
        self.rf = [[z3.BoolVal(False)] * len(self.events) for _ in self.size]
        self.position = [z3.Int(f"position{e}") for e in self.size]
        self.extra = extra
        self.reads_from()
        self.orders()

    def both(self, a, b):
        return z3.And(self.events[a].happens, self.events[b].happens)

    def matrix(self, condition):
        return [[z3.simplify(z3.And(self.both(a, b), condition(a, b))) if a != b else
                 z3.BoolVal(False) for b in self.size] for a in self.size]

    def find(self, name, thread):
        return next(e for e in self.size
                    if (self.events[e].name, self.events[e].thread) == (name, thread))

    def reads_from(self):
        for b, reader in enumerate(self.events):
            if reader.reads is None:
                continue
            writers = [a for a, writer in enumerate(self.events)
                       if a != b and writer.writes is not None and writer.place == reader.place]
            for a in writers:
                self.rf[a][b] = z3.Bool(f"rf_{a}_{b}")
                self.solver.add(z3.Implies(self.rf[a][b], z3.And(
                    self.both(a, b), self.events[a].writes == reader.reads)))
            self.solver.add(z3.Implies(reader.happens,
                                       z3.PbEq([(self.rf[a][b], 1) for a in writers], 1)))

    def orders(self):
        events = self.events
        same = lambda a, b: events[a].place == events[b].place
        writes = lambda a: events[a].writes is not None
        for a in self.size:
            for b in range(a):
                if writes(a) and writes(b) and same(a, b):
                    self.solver.add(self.position[a] != self.position[b])
        self.sb = self.matrix(lambda a, b: z3.BoolVal(
            (events[a].thread == INIT != events[b].thread)
            or (events[a].thread == events[b].thread and a < b)))
        self.mo = self.matrix(lambda a, b: self.position[a] < self.position[b]
                              if writes(a) and writes(b) and same(a, b) else z3.BoolVal(False))
        self.rb = self.matrix(lambda a, b: z3.Or([
            z3.And(self.rf[w][a], self.mo[w][b]) for w in self.size if writes(w) and w != b])
            if writes(b) and same(a, b) and events[a].reads is not None else z3.BoolVal(False))
        # A release, then a chain of read-modify-writes of which each reads from the one before.
        chain = closure(self.matrix(lambda a, b: self.rf[a][b]
                                    if writes(b) else z3.BoolVal(False)))
        sw = self.matrix(lambda a, b: z3.Or(self.rf[a][b], *[
            z3.And(chain[a][m], self.rf[m][b]) for m in self.size if m not in (a, b)])
            if events[a].releases and events[b].acquires else z3.BoolVal(False))
        more = [(self.find(*a), self.find(*b)) for a, b in self.extra]
        self.hb = closure(self.matrix(lambda a, b: z3.Or(
            self.sb[a][b], sw[a][b], z3.BoolVal((a, b) in more))))
        eco = closure(self.matrix(lambda a, b: z3.Or(self.rf[a][b], self.mo[a][b], self.rb[a][b])))
        for a in self.size:
            # The second: a read-modify-write, one event here, has its load before its store.
            self.solver.add(z3.Not(self.hb[a][a]), z3.Not(eco[a][a]))
            for b in self.size:
                self.solver.add(z3.Not(z3.And(self.hb[a][b], eco[b][a])))  # coherence
                if events[a].reads is not None and writes(a):  # atomicity
                    self.solver.add(z3.Not(z3.And(self.rb[a][b], self.mo[b][a])))

    def cycle(self):
        """Load buffering: what RC11 forbids, and C11 does not."""
        both = closure(self.matrix(lambda a, b: z3.Or(self.sb[a][b], self.rf[a][b])))
        return z3.Or([both[a][a] for a in self.size])

    def race(self):
        found = []
        for a, first in enumerate(self.events):
            for b in range(a):
                second = self.events[b]
                if first.place == second.place and "plain" in (first.order, second.order) and (
                        first.writes is not None or second.writes is not None):
                    found.append(z3.And(self.both(a, b), z3.Not(self.hb[a][b]),
                                        z3.Not(self.hb[b][a])))
        return z3.Or(found)


# ---- the questions -------------------------------------------------------------------------------

WOKEN = [(("push", 1), ("take", LOOP))]  # the wake-up's write, and the wait that it ends, order


def missed(execution):
    """The first thread found the list empty, wakes the loop, and the take does not get it."""
    pushed = execution.events[execution.find("push", 1)]
    return z3.And(pushed.reads == EMPTY, execution.values["taken"] == EMPTY)


def questions(order):
    weaker = lambda name: {**order, name: "relaxed"}
    race, cycle = Execution.race, Execution.cycle
    yield "hand-over: a data race", hand_over, order, (), race, False
    yield "hand-over: load buffering", hand_over, order, (), cycle, False
    for name in "hand_over compare_exchange_weak", "take_handed_over exchange":
        text = f"hand-over, {name} relaxed: a data race"
        yield text, hand_over, weaker(name), (), race, True
    lost = "hand-over: woken, and not taken, if eventfds order"
    yield lost, hand_over, order, WOKEN, missed, False
    yield "hand-over: woken, and not taken, if they did not", hand_over, order, (), missed, True
    yield "wake-up: a data race", wake_up, order, (), race, False
    yield "wake-up: load buffering", wake_up, order, (), cycle, False
    for name in "eti_raise fetch_sub", "eti_raise_ends load":
        yield f"wake-up, {name} relaxed: a data race", wake_up, weaker(name), (), race, True


def ask(order):
    """Yields (question, whether it exists, whether that is as expected). No question here excludes
    the cycles: what does not exist without that axiom does not exist with it."""
    for text, program, orders, extra, wrong, expected in questions(order):
        execution = Execution(program, orders, extra)
        if execution.solver.check() != z3.sat:
            sys.exit(f"axioms: {text}: no execution at all")
        execution.solver.add(wrong(execution))
        answer = execution.solver.check()
        yield text, str(answer), str(answer) == ("sat" if expected else "unsat")


def main(order):
    failed = 0
    for text, answer, ok in ask(order):
        failed += not ok
        words = {"sat": "there is one", "unsat": "there is none"}.get(answer, answer)
        print(f"{'ok  ' if ok else 'FAIL'}  {text:72} {words}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    import orders

    sys.exit(main({name: site.orders[0] for name, site in orders.sites().items()}))
