#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the loop on purpose, one fault at a time, and shows which check finds it: the conformance
cases, and the fuzzer.

usage: faults.py [--check] [--seconds N] [NAME...]
       faults.py --outside [--short] [--sample N] [NAME...]

N is how long the fuzzer may search for one fault (60). With --outside it is the conformance kit's
judge from outside that searches, as if it were a stranger's loop.

Every fault is a replacement in one file of src/. A fault whose text is no longer there is an error:
the list is to be kept up to date. Works on copies under build/faults; writes
build/report/mutate.json. Exit status 1 when a fault is not found. With --outside it writes
build/report/outside.json, and fails when a fault is not found that OUTSIDE says to be, or the other
way round; with --short each is only shown the case that is named there. """
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

import broken
from broken import ROOT

WORK = ROOT / "build/faults"

FAULTS = [  # name, file, what stands there, what the fault makes of it
    ("no generation check", "kernel_phase.c",
     "if (d->generation != (uint32_t)(event->data.u64 >> 32)) {", "if (false) {"),
    ("a modification keeps its generation", "registrations.c",
     "uint32_t generation = d->generation + 1;", "uint32_t generation = d->generation;"),
    ("deleted timer stays in the heap", "completion.c",
     "        leave_expired(loop, timer);\n    else\n        eti_heap_remove(loop->timers, timer);",
     "        leave_expired(loop, timer);"),
    ("active count is not lowered", "completion.c",
     "assert(c->internal.state == ET_ACTIVE && loop->active > 0);\n    loop->active--;",
     "assert(c->internal.state == ET_ACTIVE && loop->active > 0);"),
    ("ties fire in reverse", "heap.c",
     "return a->internal.order < b->internal.order;",
     "return a->internal.order > b->internal.order;"),
    ("a re-added completion is not taken from the deletions", "completion.c",
     "if (c->internal.state == ET_DELETING)\n        eti_retire(loop, c); /* ET-ADD-4 */", ""),
    ("a reset timer keeps its old deadline", "loop.c",
     "const uint64_t deadline_ms = eti_deadline_after(loop, delay_ms);\n    if (carrier == NULL)",
     "const uint64_t deadline_ms = c->internal.deadline_ms;\n    if (carrier == NULL)"),
    ("a reset timer is not held back", "completion.c",
     "timer->internal.place = PLACE_HELD;\n",
     "if (timer->internal.wait_next == NULL)\n        eti_heap_insert(loop->timers, timer);\n"),
    ("the timeout is rounded down", "kernel_phase.c",
     "uint64_t left_ns = left_ms * NANOSECONDS_PER_MS - now_ns % NANOSECONDS_PER_MS;",
     "uint64_t left_ns = (left_ms - 1) * NANOSECONDS_PER_MS;"),
    ("delivered twice after a rearm", "completion.c",
     "add(loop, c, c->internal.trusted && c->internal.state == ET_DEAD);",
     "add(loop, c, c->internal.trusted && c->internal.state == ET_DEAD);\n"
     "    if (action == ET_REARM && result > 0)\n        callback(loop, c, result, c->userdata);"),
    ("a rearmed completion runs again in the same round", "loop.c",
     "while (eti_is_ours(loop) && loop->submissions_head != NULL &&\n"
     "           loop->submissions_head->internal.round != round)",
     "(void)round;\n    while (loop->submissions_head != NULL)"),
    ("the second waiter of a descriptor is lost", "registrations.c",
     "else\n        waiters->head = next;\n    if (next != NULL)\n"
     "        next->internal.wait_previous = previous;\n    else\n"
     "        waiters->tail = previous;\n    c->internal.wait_next",
     "else\n        waiters->head = NULL;\n    if (next != NULL)\n"
     "        next->internal.wait_previous = previous;\n    else\n"
     "        waiters->tail = previous;\n    c->internal.wait_next"),
    ("the loop goes on to the kernel after stop", "loop.c",
     "eti_expire_timers(loop);\n    if (!goes_on(loop))\n        return 0;",
     "eti_expire_timers(loop);"),
    ("the wake-up is drained after the callbacks", "kernel_phase.c",
     "    for (int i = 0; i < count && eti_is_ours(loop); i++)\n"
     "        if (events[i].data.u64 != WAKEUP)\n            deliver(loop, &events[i]);",
     "    for (int i = 0; i < count; i++)\n        if (events[i].data.u64 != WAKEUP)\n"
     "            deliver(loop, &events[i]);\n    for (int i = 0; i < count; i++)\n"
     "        if (events[i].data.u64 == WAKEUP)\n            drain_wakeup(loop);"),
    ("the time is not updated after the wait", "kernel_phase.c",
     "int error = count < 0 ? errno : 0;\n    eti_update_time(loop);",
     "int error = count < 0 ? errno : 0;"),
    ("a useless registration stays", "registrations.c",
     "loop->descriptors[fd].is_useless = true;\n    eti_mark_changed(loop, fd);\n", ""),
    ("an added completion trusts the registration", "registrations.c",
     "if (!trusted || !is_covered(", "(void)trusted;\n    if (!is_covered("),
    ("a refused modification is final", "registrations.c",
     "if (error == 0)\n            return 0;\n        stays = error != -ENOENT;\n"
     "        forget_registration(d);",
     "return error;"),
    ("everybody on the descriptor gets the registration's error", "registrations.c",
     "if (in != NULL && is_covered(d, in))\n        in = NULL;", ""),
    ("what asks for nothing counts as registered", "registrations.c",
     "return d->is_registered && (interest(c) & ~d->registered) == 0;",
     "return (interest(c) & ~d->registered) == 0;"),
    ("close leaves its registration to the kernel", "registrations.c",
     "if (loop->descriptors[fd].is_registered)\n        remove_registration(loop, fd);\n}\n\n"
     "void eti_descriptor_opened",
     "}\n\nvoid eti_descriptor_opened"),
    ("close leaves the waiters alone", "operations.c",
     "eti_finish(loop, waiter, -ECANCELED);", "break;"),
    ("close is repeated after EINTR", "operations.c",
     "int result = close(fd) == 0 || errno == EINTR ? 0 : -errno;",
     "int result = close(fd) == 0 || (errno == EINTR && close(fd) == 0) ? 0 : -errno;"),
    ("the cancel forgets that it was deleted", "operations.c",
     "if (goes_on(loop, c))\n        eti_finish(loop, c, result);",
     "if (c->internal.state != ET_DEAD)\n        eti_finish(loop, c, result);"),
    ("a send overtakes one that waits", "operations.c",
     "if (loop->descriptors[fd].out.head != NULL) /* ET-SUBMIT-8: it must not overtake */\n"
     "        return false;",
     ""),
    ("a deadline overflows", "completion.c",
     "return delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;",
     "return now_ms + delay_ms;"),
    ("deadlines are rounded down", "completion.c",
     "if (delay_ms > 0 && loop->now_ns % NANOSECONDS_PER_MS != 0)\n        now_ms++;\n", ""),
    ("deadlines are rounded up from microseconds", "completion.c",
     "loop->now_ns % NANOSECONDS_PER_MS != 0)", "loop->now_ns / 1000 % 1000 != 0)"),
    ("a full millisecond is rounded up", "completion.c",
     "if (delay_ms > 0 && loop->now_ns % NANOSECONDS_PER_MS != 0)", "if (delay_ms > 0)"),
    ("a delay of 0 is rounded up", "completion.c",
     "if (delay_ms > 0 && loop->now_ns", "if (loop->now_ns"),
    ("now rounds to the nearest millisecond", "completion.c",
     "return eti_is_ours(loop) ? loop->now_ns / NANOSECONDS_PER_MS : 0;",
     "return eti_is_ours(loop) ? (loop->now_ns + 500000) / NANOSECONDS_PER_MS : 0;"),
    ("the loop time is kept in milliseconds", "timers.c",
     "uint64_t now_ns = eti_clock_ns();\n    if (now_ns > loop",
     "uint64_t now_ns = eti_clock_ns() / NANOSECONDS_PER_MS * NANOSECONDS_PER_MS;\n"
     "    if (now_ns > loop"),
    ("a deleted carrier forgets its reset", "completion.c",
     "if (c->internal.operation == CARRIER)\n        apply_reset(loop, c); /* ET-RESET-9 */", ""),
    ("a timer that is moved at once keeps its place", "completion.c",
     "timer->internal.order = loop->order++;\n    if (place == PLACE_HEAP)",
     "if (place == PLACE_HEAP)"),
    ("a reset without a carrier leaves it to one that is at work", "loop.c",
     "        eti_move_timer(loop, c, deadline_ms); /* ET-RESET-13 */\n",
     "        if (c->internal.place == PLACE_HELD)\n"
     "            eti_set_held(loop, c, deadline_ms);\n        else\n"
     "            eti_move_timer(loop, c, deadline_ms);\n"),
    ("a timer may carry its own reset", "loop.c",
     "if (error != 0 || carrier == c)\n        return error != 0 ? error : -EINVAL;",
     "if (error != 0)\n        return error;\n    if (carrier == c)\n        carrier = NULL;"),
    ("a turn goes on until a callback was called", "loop.c",
     "case ET_RUN_TURN: return make_rounds(loop, 1, true);",
     "case ET_RUN_TURN: return make_rounds(loop, 1, false);"),
    ("a turn does not wait", "loop.c",
     "case ET_RUN_TURN: return make_rounds(loop, 1, true);",
     "case ET_RUN_TURN: return make_rounds(loop, 0, true);"),
    ("what is handed over is not in the timeout", "loop.c",
     "loop->deletions_head != NULL ||\n"
     "                  atomic_load_explicit(&loop->handed_over, memory_order_relaxed) != NULL;",
     "loop->deletions_head != NULL;"),
    ("submissions are not in the timeout", "loop.c",
     "bool queued = loop->submissions_head != NULL || ", "bool queued = "),
    ("the timeout is told inside a callback", "loop.c",
     "if (queued || loop->in_callback || loop->outer_lacks_epoll)",
     "if (queued || loop->outer_lacks_epoll)"),
    ("the timeout goes by the loop time", "loop.c",
     "uint64_t now_ms = eti_clock_ns() / NANOSECONDS_PER_MS;\n"
     "    uint64_t deadline_ms = timer->",
     "uint64_t now_ms = et_loop_now(loop);\n    uint64_t deadline_ms = timer->"),
    ("the timeout of a host is rounded down", "loop.c",
     "uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0; /* a begun one counts */",
     "uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms - 1 : 0;"),
    ("a stopped loop has a timeout", "loop.c",
     "    if (loop->stopped)\n        return -1;\n", ""),
    ("each call makes another descriptor", "loop.c",
     "if (loop->outer >= 0)\n        return loop->outer;\n    loop->outer = epoll",
     "loop->outer = epoll"),
    ("the descriptor is the instance that may be renewed", "loop.c",
     "return error;\n    }\n    return loop->outer;",
     "return error;\n    }\n    return loop->epoll;"),
    ("a stopped loop is still shown as ready", "loop.c",
     "eti_hide_outside(loop); /* or a loop", "; /* or a loop"),
    ("a renewed instance is not shown", "registrations.c",
     "if (loop->outer >= 0)\n        (void)eti_show_outside(loop);\n    for", "for"),
    ("a sandbox's refusal is an error of the wait", "kernel_phase.c",
     "return error == ENOSYS || error == EPERM || error == EACCES || error == EINVAL ||\n"
     "           error == ENOTSUP;",
     "return error == ENOSYS;"),
    ("registrations are edge-triggered", "registrations.c",
     "struct epoll_event event = {.events = events,",
     "struct epoll_event event = {.events = events | EPOLLET,"),
    ("registrations are edge-triggered where the loop does not wait", "kernel_phase.c",
     "    const struct et_completion *timer = blocks ?",
     "    static bool edges;\n"
     "    for (int fd = 0; fd < loop->descriptors_used && edges == blocks; fd++) {\n"
     "        struct et_descriptor *d = &loop->descriptors[fd];\n"
     "        struct epoll_event event = {.events = d->registered | (blocks ? 0 : EPOLLET),\n"
     "                                    .data.u64 = (uint64_t)d->generation << 32 |\n"
     "                                                (uint32_t)fd};\n"
     "        if (d->is_registered)\n"
     "            epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event);\n    }\n"
     "    edges = !blocks;\n"
     "    const struct et_completion *timer = blocks ?"),
    ("a report leads to one try", "kernel_phase.c",
     "for (; c != NULL; c = c->internal.wait_next) {", "{"),
    ("a report is answered by all that can", "kernel_phase.c",
     "            eti_finish_reported(loop, c, result);\n            return;\n        }\n    }",
     "            struct et_completion *next = c->internal.wait_next;\n"
     "            eti_finish_reported(loop, c, result);\n            c = next;\n"
     "            if (c == NULL || c->internal.state != ET_ACTIVE || c->internal.fd != fd ||\n"
     "                !eti_try_operation(loop, c, (reported & ALWAYS) != 0, &result))\n"
     "                return;\n"
     "            eti_finish_reported(loop, c, result);\n            return;\n        }\n    }"),
    ("what waits to write has no turn beside what waits to read", "kernel_phase.c",
     "if (out)\n        serve(loop, d->out.head, event->events);",
     "if (out && !in)\n        serve(loop, d->out.head, event->events);"),
    ("the error queue is read when data have come", "operations.c",
     "if ((flags & (MSG_ERRQUEUE | MSG_OOB)) == 0)", "if ((flags & MSG_OOB) == 0)"),
    ("urgent data are read when data have come", "operations.c",
     "if ((flags & (MSG_ERRQUEUE | MSG_OOB)) == 0)", "if ((flags & MSG_ERRQUEUE) == 0)"),
    ("nobody asks for urgent data", "operations.c",
     "c->internal.events = (flags & MSG_ERRQUEUE) != 0 ? 0 : EPOLLPRI;", "c->internal.events = 0;"),
    ("all that wait for the error queue are answered", "kernel_phase.c", "answered |= class;", ""),
    ("the flags of a receive are dropped", "operations.c",
     "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);",
     "value = recv(fd, c->recv.buffer, c->recv.length, MSG_DONTWAIT);"),
    ("a connect that is made is told to be refused", "operations.c",
     "address_length) == 0) {\n            *result = 0;",
     "address_length) == 0) {\n            *result = -ECONNREFUSED;"),
    ("a connect has no room where there is some", "operations.c",
     "address_length) == 0) {\n            *result = 0;",
     "address_length) == 0) {\n            *result = -EAGAIN;"),
    ("a connect leaves out the end of the address", "operations.c",
     "c->connect.address_length) == 0) {", "c->connect.address_length - 1) == 0) {"),
    ("the completion dies after its callback", "completion.c",
     "    change_state(c, from, ET_DEAD, by_report);\n    loop->called++;\n"
     "    if (callback == NULL)\n        return;\n    loop->in_callback = true;\n"
     "    enum et_action action = callback(loop, c, result, c->userdata);",
     "    loop->called++;\n    if (callback == NULL) {\n"
     "        change_state(c, from, ET_DEAD, by_report);\n        return;\n    }\n"
     "    loop->in_callback = true;\n"
     "    enum et_action action = callback(loop, c, result, c->userdata);\n"
     "    c->internal.state = ET_DEAD;"),
]


OUTSIDE = {  # which case shows the fault to the judge from outside; or why it cannot be seen there
    "no generation check": "all-stale-batch",
    "a modification keeps its generation": "former-file-comes-back",
    "deleted timer stays in the heap": "cancel-deleting",
    "active count is not lowered": "batch-closes",
    "ties fire in reverse": "timer-ties",
    "a re-added completion is not taken from the deletions": "delete-active-add",
    "a reset timer keeps its old deadline": "timer-reset",
    "a reset timer is not held back": "reset-carrier-deleted",
    "the timeout is rounded down": "deadline-passed-while-calling",
    "delivered twice after a rearm": "partial-write",
    "a rearmed completion runs again in the same round": "rearmed-noop-once-a-round",
    "the second waiter of a descriptor is lost": "broken-pipe",
    "the loop goes on to the kernel after stop":
        "which callbacks belong to the phase in which the loop was stopped is a matter of rounds",
    "the wake-up is drained after the callbacks": "wakeup-in-callback",
    "the time is not updated after the wait": "deadline-moves-nearer-in-the-wait",
    "a useless registration stays": "unpolled-data-does-not-spin",
    "an added completion trusts the registration": "poll-on-a-reopened-number",
    "a refused modification is final": "batch-closes",
    "everybody on the descriptor gets the registration's error": "registration-refused-in-part",
    "what asks for nothing counts as registered":
        "what epoll refuses may wait for ever in another loop, and nothing was asked for",
    "close leaves its registration to the kernel":
        "whether the poll had begun when its number got another file is a matter of rounds",
    "close leaves the waiters alone": "close-with-waiters",
    "close is repeated after EINTR": "close-interrupted",
    "the cancel forgets that it was deleted": "cancel-deleted-and-added-by-target",
    "a send overtakes one that waits": "sends-keep-their-turn",
    "a deadline overflows": "far-timers",
    "deadlines are rounded down": "timer-not-early",
    "deadlines are rounded up from microseconds": "the clock moves by whole microseconds there",
    "a full millisecond is rounded up": "it is as late as rounding up may be elsewhere",
    "a delay of 0 is rounded up": "any delay may be as late as the slack is long",
    "now rounds to the nearest millisecond": "loop-time",
    "the loop time is kept in milliseconds": "timer-not-early",
    "a deleted carrier forgets its reset": "reset-carrier-deleted",
    "a timer that is moved at once keeps its place": "reset-of-a-silent-timer",
    "a reset without a carrier leaves it to one that is at work":
        "what becomes of a carrier is a matter of rounds",
    "a timer may carry its own reset": "what is refused as a carrier is a matter of rounds",
    "a turn goes on until a callback was called": "turn-interrupted",
    "a turn does not wait": "turn-brings-callbacks",
    "what is handed over is not in the timeout":
        "a pool is the strict judge's alone",
    "submissions are not in the timeout": "hosted-poll",
    "the timeout is told inside a callback":
        "what the timeout is there is promised by Part II alone",
    "the timeout goes by the loop time": "hosted-timers",
    "the timeout of a host is rounded down": "hosted-timers",
    "a stopped loop has a timeout": "hosted-stopped-with-a-timer",
    "each call makes another descriptor": "hosted-poll",
    "the descriptor is the instance that may be renewed":
        "a host that polls the number sees no difference",
    "a stopped loop is still shown as ready": "hosted-stopped",
    "a renewed instance is not shown":
        "behind what is orphaned nothing is owed",
    "a sandbox's refusal is an error of the wait": "no real kernel refuses a wait on request",
    "registrations are edge-triggered": "second-of-two-reads-unasked",
    "registrations are edge-triggered where the loop does not wait": "second-of-two-reads-polled",
    "a report leads to one try": "full-port-beside-an-empty-one",
    "a report is answered by all that can":
        "how many tries a report leads to is a matter of rounds",
    "what waits to write has no turn beside what waits to read": "write-beside-a-busy-receive",
    "the error queue is read when data have come":
        "a look at an empty error queue is unanswered: no caller sees it",
    "urgent data are read when data have come": "inet-urgent-beside-a-receive",
    "nobody asks for urgent data": "inet-urgent-received",
    "all that wait for the error queue are answered":
        "a look at an empty error queue is unanswered: no caller sees it",
    "the flags of a receive are dropped": "flags-are-passed",
    "a connect that is made is told to be refused": "socket-life",
    "a connect has no room where there is some": "socket-life",
    "a connect leaves out the end of the address": "socket-life",
    "the completion dies after its callback": "timer-zero",
}


def failing_cases():
    """The names of the cases that fail, on either kernel; a crash or a hang is a failure of the
    case that it happened in."""
    failed = set()
    for case in sorted((WORK / "spec/cases").glob("*.trace")):
        for world in ["simulated", "real"]:
            try:
                run = subprocess.run([WORK / "build/default/etalon", "check-cases", "--world",
                                      world, case],
                                     capture_output=True, timeout=10)
                bad = run.returncode != 0
            except subprocess.TimeoutExpired:
                bad = True
            if bad:
                failed.add(case.stem)
                break
    return sorted(failed)


def compiled(source, work):
    result = work / (pathlib.Path(source).stem + ".o")
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-w", "-DNDEBUG", "-fPIC",
                    "-DETALON_MANY", "-pthread", f"-I{ROOT / 'src'}",
                    f"-I{ROOT / 'fuzz/driver'}", "-c", source, "-o", result], check=True)
    return result


def outside(chosen, short):
    """Etalon's adapter with each fault and no assertions, before the judge that sees what a caller
    sees."""
    work = ROOT / "build/faults-outside"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    good = {source.name: compiled(source, work) for source in (ROOT / "src").glob("*.c")}
    adapter = compiled(ROOT / "fuzz/driver/etalon_loop.c", work).rename(work / "adapter.o")
    good["etalon.c"] = adapter
    rows, wrong = [], 0
    for number, fault in enumerate([("none", None, "", ""), *chosen]):
        name, objects = fault[0], dict(good)
        if fault[1]:
            (text,) = broken.texts_of(name, fault[1:]).values()
            (work / f"fault-{number}.c").write_text(text)
            objects[fault[1]] = compiled(work / f"fault-{number}.c", work)
        subprocess.run(["cc", "-shared", "-pthread", "-Wl,-Bsymbolic", *objects.values(), "-o",
                        work / f"{number}.so"], check=True)
        said = OUTSIDE.get(name, "")
        cases = [said] if short and re.fullmatch(r"[a-z0-9-]+", said) else []
        found = broken.failing_outside(work / f"{number}.so", cases, 0 if short else 200)
        not_to_be_seen = name == "none" or " " in said
        good_word = not found if not_to_be_seen else any(case == said for case, _ in found)
        wrong += not good_word
        rows.append({"fault": name, "file": fault[1], "said": said,
                     "found": [f"{case}: {clause}" for case, clause in found]})
        shown = said or "not found"
        if found:
            shown = f"{broken.counted(len(found), 'case')}, as {found[0][0]} ({found[0][1]})"
        print(f"{'as said ' if good_word else 'NOT SO  '} {name:58} {shown}", flush=True)
    path = ROOT / "build/report/outside.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    seen = sum(bool(row["found"]) for row in rows)
    path.write_text(json.dumps({"faults": len(chosen), "found": seen, "rows": rows}, indent=1) +
                    "\n")
    print(f"{seen} of {broken.counted(len(chosen), 'fault')} can be seen from outside")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--outside", action="store_true", help="before the judge from outside")
    parser.add_argument("--short", action="store_true",
                        help="with --outside: only the case that is named for each")
    parser.add_argument("--sample", type=int, default=1, metavar="N",
                        help="with --outside: one fault in N, from the first")
    options, made = broken.chosen(parser, FAULTS, lambda fault: [fault[1:]])
    if (options.sample != 1 or options.short) and not options.outside:
        parser.error("--sample and --short are for --outside")
    if options.sample < 1:
        parser.error("--sample takes a number from 1")
    if options.outside:
        return outside([fault for fault, _ in made[::options.sample]], options.short)
    targets = ["build/default/etalon", "build/fuzz/harness"]
    subprocess.run(["make", "-s", *targets], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    broken.copy_tree(WORK, ["default", "fuzz"])
    rows, survived = [], 0
    for fault, texts in made:
        broken.inject(WORK, fault[0], texts, targets)
        cases = failing_cases()
        found = broken.fuzz(options.seconds, WORK)
        broken.restore(WORK, texts)
        by_cases = f"{broken.counted(len(cases), 'case')}, as {cases[0]}" if cases else "no case"
        by_fuzz = f"{found[1]} after {found[0]:.1f} s" if found else f"not in {options.seconds} s"
        survived += not cases and not found
        rows.append({"fault": fault[0], "file": fault[1], "cases": cases, "fuzz": by_fuzz})
        print(f"{'found    ' if cases or found else 'NOT FOUND'} {fault[0]:58} "
              f"cases: {by_cases:40} fuzzer: {by_fuzz}", flush=True)
    return broken.conclude("mutate.json", rows, survived)


if __name__ == "__main__":
    sys.exit(main())
