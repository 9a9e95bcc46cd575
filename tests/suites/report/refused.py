#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives report.py inputs and arguments that it must refuse: status 2, one line that says what, and
an output that stays as it was.

usage: refused.py GOOD.json FOLDER     called by report.test.mjs; prints the problems and "N inputs"
"""
import contextlib
import copy
import io
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
import report  # noqa: E402


def inputs(good):
    def changed(change):
        data = copy.deepcopy(good)
        change(data)
        return json.dumps(data).encode()

    first = good["results"][0]
    yield "an empty file", b"", "line 1, column 1"
    yield "half a file", json.dumps(good).encode()[:5000], "line 1, column"
    yield "no UTF-8", b"{\xff", "byte 1"
    yield "another kind of value", b"[]", "an object is needed"
    yield "brackets without end", b"[" * 200000, "cannot be read as JSON"
    yield "a number without end", b'{"abi": ' + b"9" * 6000 + b"}", "cannot be read as JSON"
    yield "no number", b'{"abi": NaN}', "'etalon' is missing"
    yield "a missing key", changed(
        lambda d: d["clauses"][3].pop("text")), r"clauses\[3\]: 'text' is missing"
    yield "a fraction", changed(lambda d: d.update(seed=1.5)), "seed: a number is needed"
    yield "a truth for a number", changed(lambda d: d.update(abi=True)), "abi: a number is needed"
    yield "a list of the wrong things", changed(
        lambda d: d.update(cases=[1])), r"cases\[0\]: an object is needed"
    for key, value, pattern in (("at_us", "1", r"results\[0\]\.expected\[0\]\.at_us: a number"),
                                ("at_us", -1, "at_us: -1"), ("state", "gone", "state: 'gone'"),
                                ("states", {"c0": "gone"},
                                 "states.c0: 'gone'"), ("states", [], "states: an object"),
                                ("at_us", 2**64, "at_us: 18446744073709551616"),
                                ("kind", "x" * 99999, "kind: 'xxx"), ("text", None,
                                                                      "text: a text")):
        yield f"{key} {str(value)[:30]}", changed(
            lambda d: d["results"][0]["expected"][0].update({key: value})), pattern
    for key, value, pattern in (("verdict", "fine", r"results\[0\]\.verdict: 'fine'"),
                                ("case", "none\n", r"results\[0\]\.case: 'none"),
                                ("clause", "ET-NONE-1", "clause: 'ET-NONE-1'"),
                                ("subject", "zulu", "subject: 'zulu'"), ("expected", {},
                                                                         "expected: a list")):
        yield f"{key} {value}", changed(lambda d: d["results"][0].update({key: value})), pattern
    yield "a case of no clause", changed(
        lambda d: d["cases"][0].update(clauses=["ET-NONE-1"])), r"cases\[0\]\.clauses: 'ET-NONE-1'"
    yield "a difference of no clause", changed(lambda d: d["subjects"][1]["differences"][0].update(
        clause="x")), r"subjects\[1\]\.differences: 'x'"
    yield "a result twice", changed(lambda d: d["results"].append(first)), r"results\[1\]: .* twice"
    yield "a subject twice", changed(
        lambda d: d["subjects"].append(d["subjects"][0])), r"subjects\[8\]: .* twice"


def run(*arguments):
    sys.argv = ["report.py", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = report.main()
    return status, out.getvalue(), err.getvalue()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: refused.py GOOD.json FOLDER")
    good_path, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    good = json.loads(good_path.read_text())
    good["results"] = good["results"][:1]
    bad, output, count = folder / "refused.json", folder / "refused.html", 0
    output.write_text("as it was")
    bad.write_text("")
    before = sorted(folder.iterdir())

    def refused(name, pattern, *arguments):
        status, out, err = run(*arguments)
        if status != 2 or out or err.count("\n") != 1 or len(err) > 1000 or not re.search(
                pattern, err):
            print(f"problem: {name}: status {status}: {err[:200]}")
        if output.read_text() != "as it was" or sorted(folder.iterdir()) != before:
            print(f"problem: {name}: the output was touched")

    for name, content, pattern in inputs(good):
        bad.write_bytes(content)
        refused(name, pattern, bad, output)
        count += 1
    for arguments, pattern in ((("nowhere.json", output), "nowhere.json: No such file"),
                               ((good_path, "/nowhere/at/all.html"), "No such file"),
                               ((good_path, folder), "directory"), ((folder, output), "directory"),
                               ((), "usage"), ((good_path, ), "usage")):
        refused(str(arguments), pattern, *arguments)
        count += 1
    print(f"{count} inputs")


if __name__ == "__main__":
    main()
