#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the adapter of Boost.Asio on purpose, one fault at a time, and shows that `etalon check`
finds it beyond what Asio itself fails by: the negative control of what is published about a loop
that is not of this house. Called by tests/run (--short) and by `make faults-adapter`.

usage: negative.py [--check] [--short] [--etalon FILE] [NAME...]

A fault is a replacement of text in tests/kit/adapters/asio.cpp, and must be found by the clause
that stands beside it. --short takes three of them, a case for each; --check only looks whether
the texts are there. Works on copies under build/test/negative. Prints the test-anything protocol.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
ADAPTER = ROOT / "tests/kit/adapters/asio.cpp"
WORK = ROOT / "build/test/negative"
SHORT = {"a callback comes twice": "timer-zero", "a cancel of nothing says 0": "cancel-completed",
         "a wake-up is lost": "wakeup-in-the-wait"}  # by these cases

AFTER = "    uint32_t after = c.episode;\n"
CALLS = "s->host->called(number, result, c.d.userdata)"

FAULTS = [  # name, the clause by which it is found, what stands there, what is made of it
    ("a callback is lost", "ET-STATE-2",
     AFTER, "    if (c.d.operation == ETALON_READ && result > 0)\n        return;\n" + AFTER),
    ("a callback comes twice", "ET-STATE-3",
     AFTER, f"    if (c.d.operation == ETALON_TIMER)\n        (void){CALLS};\n{AFTER}"),
    ("another completion is called", "ET-CALL-2",
     CALLS, "s->host->called(number, result, c.d.userdata + 1)"),
    ("a timer is early", "ET-EXPIRE-4",
     "std::chrono::milliseconds(c.d.delay_ms)",
     "std::chrono::milliseconds(c.d.delay_ms - (c.d.delay_ms > 2 ? 2 : 0))"),
    ("a timer is late", "ET-WAIT-2/late",
     "std::chrono::milliseconds(c.d.delay_ms)", "std::chrono::milliseconds(c.d.delay_ms + 3)"),
    ("timers come out of order", "ET-EXPIRE-2",
     "[ended = ends(s, number)](const error_code &error) { ended(error, 0); });\n}\n\n"
     "/* Its handlers",
     "[s, number, ended = ends(s, number)](const error_code &error) {\n"
     "        if (number % 2 != 0)\n            return ended(error, 0);\n"
     "        asio::post(s->context, [ended, error] { ended(error, 0); });\n    });\n}\n\n"
     "/* Its handlers"),
    ("a reset keeps the old deadline", "ET-WAIT-2/late",
     "    c.d = {};\n    c.d.operation = ETALON_TIMER;",
     "    if (c.in_use)\n        return 0;\n    c.d = {};\n    c.d.operation = ETALON_TIMER;"),
    ("a cancel of nothing says 0", "ET-CANCEL-4",
     "(ended && !other.cancelled) ? -ENOENT", "(ended && !other.cancelled) ? 0"),
    ("a cancel ends its target, and says that it was too late", "ET-CANCEL-4",
     ": ended                               ? 0",
     ": ended                               ? -ENOENT"),
    ("a deletion is loud", "ET-DELETE-4",
     "    abort(s, c);\n    c.episode++;\n    c.in_use = false;\n    leave(s, c);\n    return 0;",
     "    abort(s, c);\n    return 0;"),
    ("a result has one byte less", "ET-OP-1/bytes",
     "return static_cast<int64_t>(bytes);",
     "return static_cast<int64_t>(bytes > 1 && bytes < 4096 ? bytes - 1 : bytes);"),
    ("the end of a stream is an error", "ET-OP-1/error",
     "error == asio::error::eof ? 0 :", "error == asio::error::eof ? -EPIPE :"),
    ("bytes stand in another place", "ET-OP-1/bytes",
     "on.async_receive(asio::buffer(d.buffer, d.length)",
     "on.async_receive(asio::buffer(static_cast<char *>(d.buffer) + 1, d.length - 1)"),
    ("a poll tells more than there is", "ET-EVENT-4/result",
     "[ended](const error_code &error) { ended(error, EPOLLIN); }",
     "[ended](const error_code &error) { ended(error, EPOLLIN | EPOLLOUT); }"),
    ("an accepted connection is closed", "ET-OP-1/end",
     "        int fd = peer->release();\n",
     "        int fd = peer->release();\n        ::close(fd);\n"),
    ("a refused connection is a success", "ET-OP-1/end",
     "ended = ends(s, number)](const error_code &error) { ended(error, 0); });\n}\n\ntemplate",
     "ended = ends(s, number)](const error_code &) {\n"
     "        ended(error_code(), 0);\n    });\n}\n\ntemplate"),
    ("a rearm is forgotten", "ET-STATE-2",
     "ETALON_REARM && c.episode == after", "ETALON_REARM && c.episode != after"),
    ("what is in use is said to be dead", "ET-STATE-2",
     "in_use ? ETALON_ACTIVE : ETALON_DEAD", "cancelled ? ETALON_ACTIVE : ETALON_DEAD"),
    ("a wake-up is lost", "ET-WAKE-1",
     "    asio::post(static_cast<subject *>(self)->context, [] {});", "    (void)self;"),
    ("a stop does not last", "ET-STOP-1",
     "    s->stopped = true;\n", ""),
    ("run once goes on", "ET-WAIT-1/enough",
     "s->context.run_one();", "s->context.run();"),
    ("run until done does one turn", "ET-RUN-3/early",
     "s->context.run();", "s->context.run_one();"),
    ("run without waiting waits", "ET-RUN-1",
     "s->context.poll();", "s->context.run_for(std::chrono::milliseconds(1));"),
    ("deinit leaves descriptors open", "ET-DEINIT-3",
     "    delete s;\n", "    s->objects.clear();\n"),
]


def broken(before, after):
    text = ADAPTER.read_text(encoding="utf-8")
    if text.count(before) != 1:
        sys.exit(f"negative.py: {text.count(before)} times in asio.cpp:\n{before}")
    return text.replace(before, after)


def failures(etalon, subject, case=None):
    """{(case, verdict, clause or clause/kind)} of what counts."""
    only = ["--case", case] if case else []
    output = subprocess.run([etalon, "check", "--quiet", "--watchdog", "3", "--tap", "-", *only,
                             subject], capture_output=True, text=True, cwd=ROOT, check=False).stdout
    return {(case, verdict, of if of.startswith("ET-") else "-") for case, verdict, of in
            re.findall(r"^not ok \d+ - asio/(\S+): (\w+)\n#   ([^:\n]*)", output, re.M)}


def built(source, subject):
    """What the compiler says, when it says no. Without -O2 it takes a third of the time."""
    flags = re.search(r"Build: (.*)", ADAPTER.read_text(encoding="utf-8"))[1].split()
    return subprocess.run([os.environ.get("CXX", "g++"), "-D_GNU_SOURCE", "-O0", "-w", "-shared",
                           "-fPIC", "-pthread", f"-I{ROOT}/fuzz/driver", source, "-o", subject,
                           *flags], capture_output=True, text=True, check=False).stderr


def test(etalon, known, number, fault, short):
    name, clause, before, after = fault
    source, subject = WORK / f"{number}.cpp", WORK / f"{number}.so"
    source.write_text(broken(before, after), encoding="utf-8")
    subject.unlink(missing_ok=True)
    said = built(source, subject)
    if not subject.exists():
        return False, said
    new = failures(etalon, subject, SHORT[name] if short else None) - known
    by = sorted({of for _, _, of in new})
    count = len({case for case, _, _ in new})
    return (clause in by, f"{count} new failing case{'' if count == 1 else 's'}, by "
                          f"{' '.join(by)}; expected: {clause}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--etalon", default=ROOT / "build/default/etalon", type=pathlib.Path)
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    unknown = set(options.name) - {fault[0] for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    for _, _, before, after in FAULTS:
        broken(before, after)
    if options.check:
        return 0
    subject = ROOT / "build/subjects/asio.so"
    if not subject.exists():
        print("ok 1 - faults of Asio's adapter # SKIP Boost is not installed\n1..1")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    known, told, bad = failures(options.etalon, subject), 0, 0
    for number, fault in enumerate(FAULTS, 1):
        if fault[0] not in (options.name or (SHORT if options.short else [fault[0]])):
            continue
        good, why = test(options.etalon, known, number, fault, options.short)
        told += 1
        bad += not good
        print(f"{'' if good else 'not '}ok {told} - {fault[0]}")
        print("".join(f"#   {line}\n" for line in why.splitlines()), end="", flush=True)
    print(f"1..{told}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
