#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the reference loop otherwise, one design at a time, and has each judged by both parts of
the law: a design that no caller can complain of must pass Part I, with its slack, and fail Part II,
as it is another loop than the reference; one that harms a caller must fail both.

usage: designs.py [--check] [--random N] [NAME...]   N: random programs for each, too (300)

--check only looks whether each design still has its text in src/. Writes
build/report/designs.json. Exit status 1 when a verdict is another one than is said here."""
import argparse
import json
import os
import shutil
import subprocess
import sys

import broken
from broken import ROOT

WORK = ROOT / "build/designs"
HARMLESS, HARMFUL = True, False

DESIGNS = [  # name, whether it is harmless, slack in ms, [(file, what stands there, instead)]
    ("a timer wheel with slots of 4 ms", HARMLESS, 4, [
        ("completion.c",
         "return delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;",
         "uint64_t at_ms = delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;\n"
         "    return at_ms > UINT64_MAX - 3 ? UINT64_MAX : (at_ms + 3) / 4 * 4;"),
    ]),
    ("no system call while nothing is registered", HARMLESS, 1, [
        ("kernel_phase.c",
         "int eti_ask_kernel(struct et_loop *loop, uint64_t callbacks) {\n",
         "static bool nothing_is_registered(const struct et_loop *loop) {\n"
         "    for (int fd = 0; fd < loop->descriptors_used; fd++)\n"
         "        if (loop->descriptors[fd].is_registered)\n"
         "            return false;\n"
         "    return true;\n"
         "}\n\n"
         "int eti_ask_kernel(struct et_loop *loop, uint64_t callbacks) {\n"),
        ("kernel_phase.c",
         "    int count = wait_for_reports(loop, events, timeout);\n",
         "    if (!blocks && nothing_is_registered(loop)) {\n"
         "        eti_update_time(loop);\n"
         "        return 0;\n"
         "    }\n"
         "    int count = wait_for_reports(loop, events, timeout);\n"),
    ]),
    ("the timers after the kernel phase", HARMLESS, 1, [
        ("loop.c",
         "    eti_expire_timers(loop);\n    if (!goes_on(loop))\n        return 0;\n"
         "    eti_deliver_handed_over(loop);\n",
         "    eti_deliver_handed_over(loop);\n"),
        ("loop.c",
         "    return eti_ask_kernel(loop, callbacks);\n",
         "    int error = eti_ask_kernel(loop, callbacks);\n"
         "    if (error == 0 && goes_on(loop))\n"
         "        eti_expire_timers(loop);\n"
         "    return error;\n"),
    ]),
    ("reads are tried when they are started", HARMLESS, 1, [
        ("operations.c",
         "    if (c->internal.operation != ET_SEND && c->internal.operation != ET_SENDMSG)\n"
         "        return false;\n",
         "    if (place_of(c) == PLACE_IN)\n"
         "        return loop->descriptors[fd].in.head == NULL &&\n"
         "               (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 &&\n"
         "               eti_try_operation(loop, c, false, result);\n"
         "    if (c->internal.operation != ET_SEND && c->internal.operation != ET_SENDMSG)\n"
         "        return false;\n"),
        ("operations.c", "#include <errno.h>\n", "#include <errno.h>\n#include <fcntl.h>\n"),
    ]),
    ("several operations for one report", HARMLESS, 1, [
        ("kernel_phase.c",
         "    if (in && eti_is_ours(loop) && d->in.head != NULL)\n"
         "        serve(loop, d->in.head, event->events);\n",
         "    for (int most = 8; most > 0 && in && d->in.head != NULL &&\n"
         "                       (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && !loop->stopped;\n"
         "         most--) {\n"
         "        uint64_t called = loop->called;\n"
         "        serve(loop, d->in.head, event->events);\n"
         "        if (loop->called == called)\n"
         "            break;\n"
         "    }\n"),
        ("kernel_phase.c", "#include <errno.h>\n", "#include <errno.h>\n#include <fcntl.h>\n"),
    ]),
    ("a cancel that loses against what has data", HARMLESS, 1, [
        ("operations.c",
         "    return ours && (target->internal.state == ET_ACTIVE || "
         "target->internal.state == ET_ADDING);\n",
         "    if (ours && target->internal.state == ET_ACTIVE &&\n"
         "        target->internal.place >= PLACE_IN && target->internal.place <= PLACE_OUT) {\n"
         "        bool in = target->internal.place == PLACE_IN;\n"
         "        int bytes = 0;\n"
         "        /* what the runner would take a poll for is a wait, and this is none */\n"
         "        *result = in && ioctl(target->internal.fd, FIONREAD, &bytes) == 0 && bytes > 0\n"
         "                      ? -EALREADY : -ENOENT;\n"
         "        return *result == -ENOENT;\n"
         "    }\n"
         "    return ours && (target->internal.state == ET_ACTIVE || "
         "target->internal.state == ET_ADDING);\n"),
        ("operations.c", "#include <errno.h>\n",
         "#include <errno.h>\n#include <sys/ioctl.h>\n"),
    ]),
    ("a look at the kernel before and after each round", HARMLESS, 1, [
        ("loop.c",
         "    return eti_ask_kernel(loop, callbacks);\n",
         "    int error = eti_ask_kernel(loop, callbacks);\n"
         "    return error == 0 && goes_on(loop) ? eti_ask_kernel(loop, 0) : error;\n"),
        ("loop.c",
         "    do\n        error = make_round(loop, callbacks);\n    while (!one_round",
         "    do {\n"
         "        bool looks = !one_round && callbacks > 0;\n"
         "        error = looks ? eti_ask_kernel(loop, 0) : 0;\n"
         "        if (error == 0 && goes_on(loop))\n"
         "            error = make_round(loop, callbacks);\n"
         "    } while (!one_round"),
    ]),
    ("edge-triggered, and each report serves one operation", HARMFUL, 1, [
        ("registrations.c", "struct epoll_event event = {.events = events,\n",
         "struct epoll_event event = {.events = events | EPOLLET,\n"),
    ]),
]


def build(number, name, slack, replacements):
    folder = WORK / str(number)
    folder.mkdir(parents=True)
    for source in (ROOT / "src").iterdir():
        if source.suffix in (".c", ".h"):
            shutil.copy(source, folder)
    for path, text in broken.texts_of(name, *replacements).items():
        (folder / path.name).write_text(text, encoding="utf-8")
    adapter = folder / "etalon.so"
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-w", "-DNDEBUG", "-fPIC", "-pthread",
                    f"-I{folder}", f"-DSLACK_MS={slack}", "-shared", "-Wl,-Bsymbolic",
                    *sorted(map(str, folder.glob("*.c"))), ROOT / "fuzz/driver/etalon_loop.c",
                    "-o", adapter], check=True)
    return adapter


def shown(found):
    if not found:
        return "passes"
    return f"{broken.counted(len(found), 'failure')}, as {found[0][0]} ({found[0][1]})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--random", type=int, default=300)
    options, made = broken.chosen(parser, DESIGNS, lambda design: design[3], "design")
    chosen = [design for design, _ in made]
    subprocess.run(["make", "-s", "build/default/etalon"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(WORK, ignore_errors=True)
    rows, wrong = [], 0
    for number, (name, harmless, slack, replacements) in enumerate(
            [("the reference loop", None, 1, []), *chosen]):
        adapter = build(number, name, slack, replacements)
        first = broken.failing(adapter, options.random, "--watchdog", "5", "--outside")
        second = broken.failing(adapter, 0, "--watchdog", "5")
        good = bool(first) == (harmless is HARMFUL) and bool(second) == (harmless is not None)
        wrong += not good
        rows.append({"design": name, "slack_ms": slack, "part_1": first, "part_2": second,
                     "as_said": good})
        print(f"{'as said' if good else 'NOT SO '} {name:54} Part I@{slack}ms: {shown(first):48} "
              f"Part II: {shown(second)}", flush=True)
    path = ROOT / "build/report/designs.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"designs": len(chosen), "not_as_said": wrong, "rows": rows},
                               indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
