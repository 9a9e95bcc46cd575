#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes one page of what the checks have reached: the totals, a bar for each file, what is left
out and why, and what each other report of the same folder says. Called by coverage/run.sh.

usage: index.py REPORTS PAGE.html

Reads coverage.json, which has to be there, and what else of REPORTS it knows: an absent report is
named with the target that writes it. Exit status 2: a report that cannot be read."""
import html
import json
import os
import pathlib
import sys

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
       color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #ddd;
         vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.bar { display: block; width: 12rem; height: .7rem; background: #d9534f }
.bar i { display: block; height: 100%; background: #3a7d44 }
code { font-size: .92em }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 } th, td { border-color: #444 } a { color: #8ab4f8 } }
"""


class Bad(Exception):
    """A report is not as its target writes it."""


def load(folder, name):
    """A report, or None where there is none."""
    path = folder / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Bad(f"{path}: {error}") from None


# ---- what the other reports say, in one line each ------------------------------------------------


def of_figures(report):
    """The numbers at the top of a report, by their names."""
    return ", ".join(f"{value:,} {key.replace('_', ' ')}" for key, value in report.items()
                     if isinstance(value, (int, float)) and not isinstance(value, bool))


OTHERS = [
    ("test", "make test", "the last run of the tests"),
    ("test-long", "make test-long", "the tests that take long"),
    ("mcdc", "make mcdc", "conditions that decide alone"),
    ("prove", "make prove", "functions that are proved"),
    ("portable", "make portable", "other compilers, machines, analysers"),
    ("fuzz", "make fuzz", "random programs on loop and model"),
    ("fuzz-time", "make fuzz-time", "how soon a fix that is undone is found"),
    ("fuzz-parsers", "make fuzz-parsers", "random files for each parser"),
    ("mutants", "make mutate", "changes in one place that no check notices"),
    ("faults", "make faults", "each clause broken on purpose"),
    ("mutate", "make faults-fuzzed", "the seeded faults, by cases and fuzzer"),
    ("outside", "make faults-outside", "the seeded faults, seen from outside"),
    ("thread-faults", "make thread-faults", "what crosses threads, broken on purpose"),
    ("orders", "make orders", "each memory order weakened"),
    ("explore", "make explore", "every program of a small scope"),
    ("designs", "make designs", "the loop built otherwise"),
    ("conform", "make conform", "other loops against the law"),
    ("peers", "make peers", "CPython's tests on Etalon"),
    ("timers", "make timer-accuracy", "timers on the real clock"),
    ("bench", "make bench", "loads beside other loops"),
]


def others(folder):
    rows = []
    for name, target, words in OTHERS:
        report = load(folder, name)
        if report is None:
            said = f"not there: <code>{target}</code> writes it"
        else:
            said = html.escape(of_figures(report)) if isinstance(report, dict) else ""
            kind = "html" if (folder / f"{name}.html").exists() else "json"
            said += f' (<a href="../report/{name}.{kind}">the whole</a>)'
        rows.append(f"<tr><td><code>{target}</code><td>{words}<td>{said}")
    return rows


# ---- coverage ------------------------------------------------------------------------------------


def bar(per_cent):
    return (f'<span class="bar" title="{per_cent:.2f} %">'
            f'<i style="width:{per_cent:.2f}%"></i></span>')


def row(name, part, link=""):
    shown = f'<a href="{html.escape(link)}">{html.escape(name)}</a>' if link else f"<b>{name}</b>"
    cells = "".join(
        f'<td class="number">{part[what]:.2f} % of {part["counted"][what]:,}<td>{bar(part[what])}'
        for what in ("lines", "branches"))
    out = part["excluded"]
    return (f'<tr><td>{shown}{cells}<td class="number">{out["lines"]} and {out["branches"]}'
            f'<td class="number">{out["assertions"]}')


def page(folder):
    report = load(folder, "coverage")
    if report is None:
        raise Bad(f"{folder / 'coverage.json'}: it is not there (make coverage)")
    try:
        parts = {name: part for name, part in report.items() if name != "exclusions"}
        rows = []
        for name, part in parts.items():
            rows.append(row(name, part))
            rows += [row(path, each, f"sources/{path}.gcov.html")
                     for path, each in sorted(part["files"].items())]
        left_out = [
            f'<tr><td><code>{html.escape(each["file"])}:{each["line"]}</code>'
            f'<td class="number">{each["lines"]}<td class="number">{each["branches"]}'
            f'<td>{html.escape(each["reason"])}' for each in report["exclusions"]
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Bad(f"{folder / 'coverage.json'}: not as coverage/exclude.py writes it: "
                  f"{error!r}") from None
    return "\n".join([
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Etalon: what is checked'
        '</title><meta name="viewport" content="width=device-width">', f"<style>{STYLE}</style>",
        "<h1>What the checks reach</h1>",
        "<p>Lines and branches by gcov, in all and by file; red is what no test reaches. "
        '<a href="sources/index.html">The sources, line by line</a>.',
        "<table><tr><th>part<th>lines<th><th>branches<th><th>lines and branches left out"
        "<th>assertions", *rows, "</table>", "<h2>What is left out, and why</h2>",
        "<table><tr><th>place<th>lines<th>branches<th>reason", *left_out, "</table>",
        "<h2>The other reports of this folder</h2>",
        "<table><tr><th>target<th>what it asks<th>what it said last", *others(folder), "</table>",
        "</html>", ""
    ])


def main():
    if len(sys.argv) != 3:
        print("index.py: usage: index.py REPORTS PAGE.html", file=sys.stderr)
        return 2
    folder, target = map(pathlib.Path, sys.argv[1:])
    try:
        written = page(folder)
        beside = target.with_name(target.name + ".new")
        beside.write_text(written, encoding="utf-8")
        os.replace(beside, target)
    except (Bad, OSError) as error:
        print(f"index.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
