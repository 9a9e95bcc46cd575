#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes the code in one place at a time, as the compiler sees it, and looks whether any check
notices. Called by `make mutate`; coverage/README.md says how to read what it finds.

usage: mutate.py [--since REV] [--sample N [--seed S]] [--jobs N] [--fuzz-seconds N] [--fresh]
                 [--list] [FILE...]

FILE: of src/ or model/ (all of src/*.c, and model/model.c and model/promise.c). --since: only what
stands on a line that differs from REV. --sample: N of them, chosen by S. A change that is judged is
not judged again as long as its function is the same text (build/mutate/judged.jsonl), unless
--fresh; so a run that was interrupted goes on.

A change that nothing notices is a survivor, unless coverage/mutants.equivalent says why it cannot
be noticed. Writes build/report/mutants.json and build/report/mutants.html. Exit status: 0 no
survivor, 1 some, 2 bad arguments, a check that fails without any change, or a stale equivalent."""
import argparse
import collections
import concurrent.futures
import hashlib
import html
import json
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

try:
    import clang.cindex as clang
except ModuleNotFoundError:  # Debian's module is for Debian's python
    if os.path.realpath(sys.executable) == os.path.realpath("/usr/bin/python3"):
        sys.exit("mutate.py: there is no python3-clang (make setup)")
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = ROOT / "build/mutate"
JUDGED = WORK / "judged.jsonl"
EQUIVALENT = ROOT / "coverage/mutants.equivalent"
sys.path.insert(0, str(ROOT / "tests/suites"))
import broken  # noqa: E402

K = clang.CursorKind
Mutant = collections.namedtuple("Mutant", "file line function operator start end old new key")

BINARY = {
    "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"], "==": ["!="],
    "!=": ["=="], "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["*"], "&": ["|"],
    "|": ["&"], "^": ["&"], "<<": [">>"], ">>": ["<<"], "&&": ["||"], "||": ["&&"]
}
ASSIGN = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=", "&=": "|=", "^=": "|=",
          "<<=": ">>=", ">>=": "<<="}


# ---- what can be changed -------------------------------------------------------------------------


class Source:
    """One file: its text and the changes that the compiler's view of it offers."""

    def __init__(self, file):
        self.file = file
        self.raw = (ROOT / file).read_bytes()
        self.found, self.function, self.text_of_function = {}, None, b""
        resource = subprocess.run(["clang", "-print-resource-dir"], capture_output=True, text=True,
                                  check=True).stdout.strip()
        # without assertions: what they say is no behaviour
        unit = clang.Index.create().parse(
            str(ROOT / file),
            args=["-std=c11", "-D_GNU_SOURCE", "-DNDEBUG", f"-I{resource}/include"])
        errors = [d.spelling for d in unit.diagnostics if d.severity >= 3]
        if errors:
            sys.exit(f"mutate.py: {file}: {errors[0]}")
        for cursor in unit.cursor.get_children():
            if cursor.kind == K.FUNCTION_DECL and cursor.is_definition() and self.ours(cursor):
                self.function = cursor.spelling
                self.text_of_function = self.text(cursor)
                self.enter(cursor)
                self.walk(cursor, None)

    def ours(self, cursor):
        at = cursor.extent.start.file
        return at is not None and os.path.samefile(at.name, ROOT / self.file)

    def text(self, cursor):
        return self.raw[cursor.extent.start.offset:cursor.extent.end.offset]

    def put(self, operator, cursor_or_range, new):
        if isinstance(cursor_or_range, tuple):
            start, end = cursor_or_range
        else:
            start, end = cursor_or_range.extent.start.offset, cursor_or_range.extent.end.offset
        old = self.raw[start:end].decode()
        if start >= end or old == new:
            return
        within = hashlib.sha256(self.text_of_function).hexdigest()[:12]
        place = start - self.raw.find(self.text_of_function)
        key = f"{self.file}:{self.function}:{within}:{place}:{operator}:{old}:{new}"
        line = self.raw.count(b"\n", 0, start) + 1
        self.found[(start, end, new)] = Mutant(self.file, line, self.function, operator, start, end,
                                               old, new, hashlib.sha256(key.encode()).hexdigest())

    def enter(self, function):
        """Returns at once."""
        body = [c for c in function.get_children() if c.kind == K.COMPOUND_STMT]
        if not body or not list(body[0].get_children()):
            return
        at = body[0].extent.start.offset + 1
        kind = function.result_type.get_canonical().kind
        if kind == clang.TypeKind.VOID:
            self.put("return at once", (at - 1, at), "{ return;")
        elif kind != clang.TypeKind.RECORD:
            self.put("return at once", (at - 1, at), "{ return 0;")

    def walk(self, cursor, parent):
        for child in cursor.get_children():
            if child.extent.start.offset < child.extent.end.offset and self.ours(child):
                self.change(child, cursor)
                self.walk(child, cursor)

    def change(self, cursor, parent):
        kind = cursor.kind
        if kind in (K.BINARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR):
            self.change_operator(cursor)
        elif kind == K.UNARY_OPERATOR:
            self.change_unary(cursor)
        elif kind == K.INTEGER_LITERAL and parent.kind != K.CASE_STMT:
            self.change_number(cursor)
        elif kind in (K.IF_STMT, K.WHILE_STMT, K.CONDITIONAL_OPERATOR, K.DO_STMT, K.FOR_STMT):
            self.change_condition(cursor)
        elif kind == K.RETURN_STMT:
            self.change_result(cursor)
        elif kind == K.CALL_EXPR:
            self.swap_arguments(cursor)
        in_list = parent.kind in (K.COMPOUND_STMT, K.IF_STMT, K.WHILE_STMT, K.FOR_STMT, K.CASE_STMT,
                                  K.DEFAULT_STMT)
        is_statement = kind in (K.CALL_EXPR, K.BREAK_STMT, K.CONTINUE_STMT, K.RETURN_STMT,
                                K.COMPOUND_ASSIGNMENT_OPERATOR) or \
            (kind == K.BINARY_OPERATOR and self.operator_of(cursor)[0] == "=") or \
            (kind == K.UNARY_OPERATOR and self.text(cursor)[-2:] in (b"++", b"--"))
        follows = self.raw[cursor.extent.end.offset:].lstrip()[:1] == b";"
        if in_list and is_statement and follows:
            self.put("delete a statement", cursor, "")

    def operator_of(self, cursor):
        """The operator's text and where it stands: between the two operands."""
        operands = list(cursor.get_children())
        if len(operands) != 2:
            return "", (0, 0)
        start, end = operands[0].extent.end.offset, operands[1].extent.start.offset
        between = self.raw[start:end].decode()
        match = re.search(r"[-+*/%<>=!&|^]+", re.sub(r"/\*.*?\*/", lambda m: " " * len(m[0]),
                                                     between, flags=re.S))
        return (match[0], (start + match.start(), start + match.end())) if match else ("", (0, 0))

    def change_operator(self, cursor):
        operator, place = self.operator_of(cursor)
        for new in BINARY.get(operator, []):
            self.put("another operator", place, new)
        if operator in ASSIGN:
            self.put("another operator", place, ASSIGN[operator])

    def change_unary(self, cursor):
        text = self.text(cursor).decode()
        if text.startswith("!"):
            self.put("drop a negation", cursor, f"!!({text[1:]})")
        elif text.startswith(("~", "-")) and not text.startswith("--"):
            self.put("drop a sign", cursor, text[1:])
        for old, new in (("++", "--"), ("--", "++")):
            if text.startswith(old):
                self.put("another operator", cursor, new + text[2:])
            elif text.endswith(old):
                self.put("another operator", cursor, text[:-2] + new)

    def change_number(self, cursor):
        match = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", self.text(cursor).decode())
        if match is None:
            return
        value = int(match[1], 0)
        self.put("off by one", cursor, f"{value + 1}{match[2]}")
        if value > 0:
            self.put("off by one", cursor, f"{value - 1}{match[2]}")

    def change_condition(self, cursor):
        parts = list(cursor.get_children())
        if cursor.kind == K.FOR_STMT:  # its parts may be missing: by the text
            inner = self.text(cursor).decode()
            match = re.match(r"for \(([^;]*);([^;]+);", inner)
            if match is None:
                return
            start = cursor.extent.start.offset + match.start(2)
            place = (start + (len(match[2]) - len(match[2].lstrip())), start + len(match[2]))
        else:
            condition = parts[-1] if cursor.kind == K.DO_STMT else parts[0]
            place = (condition.extent.start.offset, condition.extent.end.offset)
        text = self.raw[place[0]:place[1]].decode()
        if not re.fullmatch(r"[^&|?<>]*[!=]=[^&|?<>]*", text.replace("->", ".")):  # done there
            self.put("negate a condition", place, f"!({text})")
        if cursor.kind in (K.IF_STMT, K.CONDITIONAL_OPERATOR):
            self.put("fix a condition", place, "1")
        self.put("fix a condition", place, "0")

    def change_result(self, cursor):
        value = next(cursor.get_children(), None)
        if value is None:
            return
        kind = value.type.get_canonical().kind
        text = self.text(value).decode()
        if kind == clang.TypeKind.BOOL:
            self.put("another result", value, f"!({text})")
        elif kind == clang.TypeKind.POINTER:
            self.put("another result", value, "0")
        elif kind != clang.TypeKind.RECORD:
            self.put("another result", value, f"({text}) + 1")
            self.put("another result", value, "0")

    def swap_arguments(self, cursor):
        given = list(cursor.get_arguments())
        for a, b in zip(given, given[1:]):
            if a.type.get_canonical() == b.type.get_canonical() and self.text(a) != self.text(b):
                place = (a.extent.start.offset, b.extent.end.offset)
                between = self.raw[a.extent.end.offset:b.extent.start.offset].decode()
                self.put("swap two arguments", place,
                         self.text(b).decode() + between + self.text(a).decode())


def changed_lines(rev, file):
    run = subprocess.run(["git", "diff", "-U0", rev, "--", file], cwd=ROOT, capture_output=True,
                         text=True)
    if run.returncode != 0:
        sys.exit(f"mutate.py: --since {rev}: {run.stderr.strip()}")
    lines = set()
    for first, count in re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", run.stdout, re.M):
        lines.update(range(int(first), int(first) + int(count or 1)))
    return lines


# ---- what may notice -----------------------------------------------------------------------------


class Check:
    """One check: what is built for it, and what is run; its verdict is the exit status."""

    def __init__(self, name, targets, command, rank=0):
        self.name, self.targets, self.command, self.rank = name, targets, command, rank
        self.seconds, self.killed, self.took = 600, 0, 1.0  # until it is measured

    def order(self):
        return self.rank, -(self.killed + 1) / self.took


def checks(options):
    tool, harness = "build/default/etalon", "build/fuzz/harness"
    cases = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "spec/cases").glob("*.trace"))
    found = [Check(unit.stem, [f"build/default/tests/unit/{unit.stem}"],
                   [f"build/default/tests/unit/{unit.stem}"])
             for unit in sorted((ROOT / "tests/unit").glob("test_*.c"))
             if unit.stem != "test_program"]  # of traces alone, and takes a minute
    found += [Check(f"cases, {world}", [tool],
                    [tool, "check-cases", "--seconds", "2", "--world", world, *cases])
              for world in ("simulated", "real")]
    corpus = sorted(str(p) for p in (WORK / "corpus").glob("*.trace"))
    found.append(Check("corpus", [tool], [tool, "replay", "--quiet", *corpus], 1))
    found.append(Check("both kernels", [tool], [tool, "compare", "--random", "300", "--output",
                                               "build/compared"], 2))
    found.append(Check("explore small", [tool, "build/default/explored.o"],
                       ["model/spin/explore.sh", "small"], 3))
    if options.fuzz_seconds > 0:
        flags = (ROOT / "fuzz/libfuzzer.flags").read_text().split()
        found.append(Check("fuzzing", [harness],
                           [harness, *flags, f"-max_total_time={options.fuzz_seconds}", "-seed=1",
                            "-artifact_prefix=build/", str(WORK / "corpus")], 4))
    return found


def ended(command, work, seconds):
    """The exit status, or None when it did not end in time; with its children, always."""
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


class Judge:
    """A copy of the tree, in which one change after the other is made and judged."""

    lock = threading.Lock()

    def __init__(self, number, all_checks):
        self.work = WORK / f"work-{number}"
        self.checks = all_checks
        broken.copy_tree(self.work, ["default", "fuzz"])
        shutil.copytree(ROOT / "coverage", self.work / "coverage")
        shutil.copytree(ROOT / "fuzz", self.work / "fuzz", dirs_exist_ok=True)

    def build(self, targets):
        return subprocess.run(["make", "-s", "WERROR=", *targets], cwd=self.work,
                              capture_output=True, text=True).returncode == 0

    def notices(self, check):
        """Whether the check fails; None when what it needs cannot be built."""
        if not self.build(check.targets):
            return None
        return ended(check.command, self.work, check.seconds) != 0

    def measure(self):
        """Without any change each check must pass; and how long it takes."""
        for check in self.checks:
            started = time.monotonic()
            if self.notices(check) is not False:
                raise RuntimeError(f"'{check.name}' fails without any change")
            check.took = time.monotonic() - started
            check.seconds = 5 + 10 * check.took

    def judge(self, mutant):
        path = self.work / mutant.file
        raw = (ROOT / mutant.file).read_bytes()
        path.write_bytes(raw[:mutant.start] + mutant.new.encode() + raw[mutant.end:])
        started, by, verdict = time.monotonic(), None, "survived"
        try:
            if not self.build(["build/default/etalon"]):
                return "does not compile", None, 0
            with self.lock:
                order = sorted(self.checks, key=Check.order)
            for check in order:
                if self.notices(check) is not False:
                    by, verdict = check.name, "killed"
                    with self.lock:
                        check.killed += 1
                    break
        finally:
            path.write_bytes(raw)
            os.utime(path)
        return verdict, by, time.monotonic() - started


# ---- the run -------------------------------------------------------------------------------------


def read_equivalents(mutants):
    """{key: reason}. A line: FILE FUNCTION | OPERATOR | OLD -> NEW | reason. It names one change,
    or all in the function that are alike."""
    known, wrong = {}, []
    by_name = collections.defaultdict(list)
    for m in mutants:
        by_name[(m.file, m.function, m.operator, squeeze(m.old), squeeze(m.new))].append(m.key)
    if not EQUIVALENT.exists():
        return known
    for number, line in enumerate(EQUIVALENT.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\S+) (\S+) \| (.*?) \| (.*?) -> (.*?) \| (.+)", line)
        keys = by_name.get(match.groups()[:5]) if match else None
        if not keys:
            wrong.append(f"{EQUIVALENT.relative_to(ROOT)}:{number}: " +
                         ("there is no such change" if match else "is not FILE FUNCTION | …"))
            continue
        known.update((key, match[6]) for key in keys)
    if wrong:
        sys.exit("\n".join(wrong))
    return known


def squeeze(text):
    return " ".join(text.split()) or "(nothing)"


def read_judged(fresh):
    if fresh or not JUDGED.exists():
        return {}
    rows = [json.loads(line) for line in JUDGED.read_text(encoding="utf-8").splitlines()]
    return {row["key"]: row for row in rows}


def row_of(mutant, verdict, by, seconds, reason=None):
    return {**mutant._asdict(), "verdict": verdict, "by": by, "seconds": round(seconds, 1),
            "reason": reason}


def run(mutants, options, judged, known):
    rows, left = [], []
    for m in mutants:
        if m.key in known:
            rows.append(row_of(m, "equivalent", None, 0, known[m.key]))
        elif m.key in judged:
            old = judged[m.key]
            rows.append(row_of(m, old["verdict"], old["by"], old["seconds"]))
        else:
            left.append(m)
    if not left:
        return rows
    prepare()
    judges = queue.Queue()
    all_checks = checks(options)
    first = Judge(0, all_checks)
    print(f"mutate: {len(left)} changes to judge, {len(rows)} are known; each check once without",
          flush=True)
    try:
        first.measure()
    except RuntimeError as error:
        sys.exit(f"mutate.py: {error}")
    judges.put(first)
    for number in range(1, options.jobs):
        judges.put(Judge(number, all_checks))
    started = time.monotonic()

    def one(mutant):
        judge = judges.get()
        try:
            return mutant, judge.judge(mutant)
        finally:
            judges.put(judge)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool, \
            JUDGED.open("a", encoding="utf-8") as log:
        for done, future in enumerate(
                concurrent.futures.as_completed([pool.submit(one, m) for m in left]), 1):
            mutant, (verdict, by, seconds) = future.result()
            row = row_of(mutant, verdict, by, seconds)
            rows.append(row)
            log.write(json.dumps(row) + "\n")
            log.flush()
            remaining = (time.monotonic() - started) / done * (len(left) - done)
            if verdict == "survived" or done % 20 == 0 or done == len(left):
                print(f"  {done:5} of {len(left)}  {remaining / 60:4.0f} min to go  "
                      f"{mutant.file}:{mutant.line} {mutant.operator}: {verdict}"
                      f"{' by ' + by if by else ''}", flush=True)
    return rows


def prepare():
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run(["make", "-s", "build/default/etalon", "build/fuzz/harness",
                    *(f"build/default/tests/unit/{p.stem}"
                      for p in sorted((ROOT / "tests/unit").glob("test_*.c")))],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(WORK / "corpus", ignore_errors=True)
    (WORK / "corpus").mkdir()
    subprocess.run(["tar", "-xzf", ROOT / "fuzz/corpus.tar.gz", "-C", WORK / "corpus",
                    "--transform", "s,.*/,,"], check=True)
    said = subprocess.run(["build/default/etalon", "replay", "--quiet",
                           *(WORK / "corpus").glob("*.trace")],
                          cwd=ROOT, capture_output=True, text=True)
    for path in re.findall(r"^(\S+): the simulated kernel cannot", said.stdout + said.stderr, re.M):
        os.unlink(path)


def report(rows):
    folder = ROOT / "build/report"
    folder.mkdir(parents=True, exist_ok=True)
    rows.sort(key=lambda row: (row["file"], row["start"], row["new"]))
    counts = collections.Counter(row["verdict"] for row in rows)
    table = []
    for field in ("file", "operator"):
        for name in sorted({row[field] for row in rows}):
            of = collections.Counter(r["verdict"] for r in rows if r[field] == name)
            table.append({"by": field, "name": name, **of})
    killers = collections.Counter(row["by"] for row in rows if row["by"])
    (folder / "mutants.json").write_text(json.dumps(
        {"changes": len(rows), "verdicts": counts, "table": table, "killers": killers,
         "rows": rows}, indent=1) + "\n", encoding="utf-8")
    (folder / "mutants.html").write_text(page(rows, table, killers, counts), encoding="utf-8")
    for entry in table:
        print(f"{entry['name']:24} " + "  ".join(
            f"{verdict} {entry[verdict]}" for verdict in
            ("killed", "survived", "equivalent", "does not compile") if entry.get(verdict)))
    print("by: " + ", ".join(f"{name} {count}" for name, count in killers.most_common()))
    for row in rows:
        if row["verdict"] == "survived":
            print(f"survived {row['file']}:{row['line']} {row['function']} | {row['operator']} | "
                  f"{squeeze(row['old'])} -> {squeeze(row['new'])}")
    judged = counts["killed"] + counts["survived"]
    print(f"{counts['killed']} of {judged} changes were noticed, {counts['equivalent']} cannot be, "
          f"{counts['does not compile']} do not compile (build/report/mutants.html)")
    return 1 if counts["survived"] else 0


def page(rows, table, killers, counts):
    """The sources with their survivors."""
    parts = ["<!doctype html><html lang='en'><meta charset='utf-8'><title>Mutants</title><style>",
             "body{font:15px/1.4 sans-serif;margin:2rem;max-width:70rem}",
             "pre{background:#f6f6f4;padding:1rem;overflow:auto}mark{background:#fbd5d0}",
             "td,th{padding:.1rem .8rem;text-align:right}td:first-child{text-align:left}",
             "small{color:#98160c}</style><h1>What no check noticed</h1>",
             f"<p>{counts['killed']} of {counts['killed'] + counts['survived']} changes were "
             f"noticed; {counts['equivalent']} cannot be.</p><table><tr><th></th>"]
    verdicts = ("killed", "survived", "equivalent", "does not compile")
    parts += [f"<th>{v}</th>" for v in verdicts] + ["</tr>"]
    for entry in table:
        parts.append(f"<tr><td>{html.escape(entry['name'])}</td>" +
                     "".join(f"<td>{entry.get(v, 0)}</td>" for v in verdicts) + "</tr>")
    parts.append("</table><p>Noticed by: " + html.escape(
        ", ".join(f"{name} {count}" for name, count in killers.most_common())) + "</p>")
    for file in sorted({row["file"] for row in rows}):
        alive = collections.defaultdict(list)
        for row in rows:
            if row["file"] == file and row["verdict"] == "survived":
                alive[row["line"]].append(row)
        if not alive:
            continue
        parts.append(f"<h2>{html.escape(file)}</h2><pre>")
        for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").split("\n"), 1):
            text = f"{number:5} {html.escape(line)}"
            for row in alive.get(number, []):
                text += (f"\n      <small>{html.escape(row['operator'])}: "
                         f"{html.escape(squeeze(row['old']))} → "
                         f"{html.escape(squeeze(row['new']))}</small>")
            parts.append(f"<mark>{text}</mark>" if number in alive else text)
        parts.append("</pre>")
    return "\n".join(parts) + "\n"


def files_of(options, parser):
    default = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "src").glob("*.c"))
    default += ["model/model.c", "model/promise.c"]
    for file in options.file:
        if not re.fullmatch(r"(src|model)/\w+\.c", file) or not (ROOT / file).is_file():
            parser.error(f"{file} is no source of src/ or model/")
    return options.file or default


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--since")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--fuzz-seconds", type=int, default=20)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("file", nargs="*")
    options = parser.parse_args()
    if options.jobs < 1 or options.fuzz_seconds < 0 or (options.sample or 1) < 1:
        parser.error("a number is out of range")
    mutants = []
    for file in files_of(options, parser):
        found = list(Source(file).found.values())
        if options.since:
            lines = changed_lines(options.since, file)
            found = [m for m in found if m.line in lines]
        mutants += found
    known = read_equivalents(mutants) if not options.since and not options.file else \
        read_equivalents([m for f in files_of(argparse.Namespace(file=[]), parser)
                          for m in Source(f).found.values()])
    if options.sample is not None and options.sample < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    if options.list:
        for m in mutants:
            print(f"{m.file}:{m.line} {m.function} | {m.operator} | {squeeze(m.old)} -> "
                  f"{squeeze(m.new)}")
        return 0
    return report(run(mutants, options, read_judged(options.fresh), known))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
