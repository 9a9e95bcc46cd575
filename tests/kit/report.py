#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the results of a conformance run into one self-contained HTML page.

usage: report.py INPUT.json OUTPUT.html

INPUT is what `etalon check` writes; tests/kit/REPORT.md describes both. report.css and report.js
lie beside this file and become part of the page. It needs Python 3.9 and nothing else. Exit status
2 and one line on standard error when something is wrong; then OUTPUT is as it was before. Called by
`make conform` and by `etalon check --html`. """
import base64
import collections
import hashlib
import os
import pathlib
import re
import sys
import tempfile

sys.dont_write_bytecode = True  # nothing is to appear beside an installed copy
from report_data import CELL_RANK, VERDICTS, WORDS, Malformed, read_input  # noqa: E402
from report_trace import align, objections, render_timeline, render_trace  # noqa: E402
from report_text import clip, label, plural, prose, text  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ICON = ("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
        "%3Cpath d='M2 2h12v3H6v2h6v3H6v1h8v3H2z' fill='%23256'/%3E%3C/svg%3E")
LEGEND = {
    "pass": "everything the clause demands was seen",
    "not_strict": "a SHOULD is missed, or a MUST is broken in just the way that the loop’s own "
                  "manual announces",
    "fail": "a MUST is broken; the cell shows where",
    "hang": "the subject waits, and nothing could ever wake it",
    "crash": "the subject's process ended by a signal",
    "not_offered": "the subject has no such operation; this is no failure",
    "unsettled": "the only cases of this clause broke on another clause first",
    "none": "no case was run here",
}
LAW_SHOWN = 200  # of a clause that a case is about: its own sheet has the whole
SUBJECTS_MANY = 10  # from here on the matrix scrolls by itself
SUBJECTS_FEW = 3  # up to here names have room, also on a phone
DIFFERS = ("crash", "hang", "fail", "not_strict")


# ---- from results to cells -----------------------------------------------------------------------


class Names:
    """Gives everything that can be linked to its address, which is stable: the id itself where that
    can be one."""

    def __init__(self):
        self.taken = set()

    def add(self, name):
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_"
                        for c in name)[:80] or "_"
        number, slug = 1, plain
        while slug in self.taken:
            number += 1
            slug = f"{plain}.{number}"
        self.taken.add(slug)
        return slug


def verdict_for(clause, result):
    """What a case's result says of one of its clauses: a case that broke on another clause leaves
    this one open."""
    if result["verdict"] in ("pass", "not_offered") or result["clause"] in (None, clause):
        return result["verdict"]
    return "unsettled"


class Report:
    def __init__(self, data):
        names, own = Names(), Names()
        self.data = data
        self.subjects = data["subjects"]
        self.slug = {("clause", c["id"]): names.add(c["id"]) for c in data["clauses"]}
        self.slug.update({("case", c["id"]): names.add(c["id"]) for c in data["cases"]})
        self.slug.update({("subject", s["name"]): own.add(s["name"]) for s in data["subjects"]})
        self.case = {c["id"]: c for c in data["cases"]}
        self.clause = {c["id"]: c for c in data["clauses"]}
        self.result = {(r["case"], r["subject"]): r for r in data["results"]}
        self.cases_of = collections.defaultdict(list)
        broken = collections.defaultdict(set)
        for result in data["results"]:
            if result["clause"]:
                broken[result["case"]].add(result["clause"])
        for case in data["cases"]:
            for clause in dict.fromkeys([*case["clauses"], *sorted(broken[case["id"]])]):
                self.cases_of[clause].append(case["id"])

    def address(self, kind, name, subject=None):
        return self.slug[kind, name] + (f"/{self.slug['subject', subject]}"
                                        if subject is not None else "")

    def verdicts(self, clause, subject):
        """The pairs (case, verdict) of one cell, worst first."""
        found = []
        for case in self.cases_of[clause]:
            result = self.result.get((case, subject))
            if result and (clause in self.case[case]["clauses"] or result["clause"] == clause):
                found.append((case, verdict_for(clause, result)))
        return sorted(found, key=lambda pair: CELL_RANK[pair[1]])

    def cell(self, clause, subject):
        """The verdict of a cell, how many of its cases have it, and of how many: those that were
        asked, or all when none was."""
        found = self.verdicts(clause, subject)
        if not found:
            return "none", 0, 0
        verdict = found[0][1]
        asked = sum(v != "not_offered" for _, v in found)
        return verdict, sum(v == verdict for _, v in found), asked or len(found)


# ---- pieces --------------------------------------------------------------------------------------


def mark(verdict):
    return f'<span class="g" aria-hidden="true">{VERDICTS[verdict]}</span>'


def render_cell(verdict, count, total, address, label):
    number = f"<small>{count}/{total}</small>" if total > 1 and count < total else ""
    said = f"{label}: {WORDS[verdict]}" + (f" in {count} of {plural(total, 'case')}"
                                           if total > 1 else "")
    if address is None:
        return (f'<td class="v {verdict}"><span role="img" aria-label="{text(said)}">'
                f'{mark(verdict)}</span></td>')
    return (f'<td class="v {verdict}"><a href="#{address}" aria-label="{text(said)}">'
            f'{mark(verdict)}{number}</a></td>')


def subject_head(report, first):
    heads = "".join(f'<th scope="col"><a href="#about:{report.slug["subject", s["name"]]}" '
                    f'title="{label(s["name"], 80)}">'
                    f'<span>{label(s["name"], 40)}</span></a></th>' for s in report.subjects)
    few = ' class="few"' if len(report.subjects) <= SUBJECTS_FEW else ""
    return f'<thead{few}><tr><th scope="col" class="corner">{first}</th>{heads}</tr></thead>'


def clause_cell_address(report, clause, subject, found):
    """A cell with one case opens that case; one with more opens the list of them."""
    if not found:
        return None
    if len(found) == 1:
        return report.address("case", found[0][0], subject)
    return report.address("clause", clause, subject)


def render_matrix(report):
    rows, section = [], None
    for clause in report.data["clauses"]:
        if clause["section"] != section:
            section = clause["section"]
            rows.append(("</tbody>" if rows else "") +
                        f'<tbody><tr class="section"><th colspan="{len(report.subjects) + 1}" '
                        f'scope="rowgroup"><span>{label(section, 120)}</span></th></tr>')
        cells = []
        for subject in report.subjects:
            found = report.verdicts(clause["id"], subject["name"])
            cells.append(
                render_cell(*report.cell(clause["id"], subject["name"]),
                            clause_cell_address(report, clause["id"], subject["name"], found),
                            f"{clip(clause['id'], 80)}, {clip(subject['name'], 80)}"))
        slug = report.address("clause", clause["id"])
        rows.append(f'<tr id="row:{slug}" data-find="{text(clip(clause["text"], 400))}">'
                    f'<th scope="row"><a href="#{slug}">{label(clause["id"], 60)}</a></th>'
                    f'{"".join(cells)}</tr>')
    return table("matrix", report, "Clauses", rows, "Verdicts by clause and subject")


def table(name, report, first, rows, caption):
    many = " many" if len(report.subjects) > SUBJECTS_MANY else ""
    return (f'<div class="wide{many}" tabindex="0" role="region" aria-label="{caption}">'
            f'<table class="grid" id="page:{name}-table">'
            f'<caption class="h">{caption}</caption>{subject_head(report, first)}{"".join(rows)}'
            '</tbody></table></div>')


def render_case_list(report):
    rows = ["<tbody>"]
    for case in report.data["cases"]:
        cells = []
        for subject in report.subjects:
            result = report.result.get((case["id"], subject["name"]))
            address = report.address("case", case["id"], subject["name"]) if result else None
            cells.append(render_cell(result["verdict"] if result else "none", 1, 1, address,
                                     f"{clip(case['id'], 80)}, {clip(subject['name'], 80)}"))
        slug = report.address("case", case["id"])
        rows.append(f'<tr id="row:{slug}" data-find="{text(" ".join(case["clauses"]))}">'
                    '<th scope="row">'
                    f'<a href="#{slug}">{label(case["id"], 60)}</a><span class="title">'
                    f'{label(case["title"], 200)}</span></th>'
                    f'{"".join(cells)}</tr>')
    return table("cases", report, "Cases", rows, "Verdicts by case and subject")


def render_bar(counts, total):
    x, pieces = 0.0, []
    for verdict in ("pass", "not_strict", "fail", "hang", "crash"):
        if counts[verdict]:
            width = counts[verdict] * 100 / max(total, 1)
            pieces.append(f'<rect class="{verdict}" x="{x:.2f}" width="{width:.2f}" height="8"/>')
            x += width
    return ('<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
            f'{"".join(pieces)}</svg>')


def render_subjects(report):
    shown = [v for v in VERDICTS if v not in ("unsettled", "none")]
    rows, notes = [], []
    for subject in report.subjects:
        counts = collections.Counter(
            r["verdict"] for r in report.data["results"] if r["subject"] == subject["name"])
        cells = "".join(f'<td class="{v if counts[v] else "zero"}">{counts[v]}</td>' for v in shown)
        asked = sum(counts.values()) - counts["not_offered"]
        good = counts["pass"] + counts["not_strict"]
        share = f"{good} of {asked} asked" + (f", {100 * good // asked} %" if asked else "")
        name, slug = label(subject["name"], 60), report.slug["subject", subject["name"]]
        rows.append(f'<tr><th scope="row"><a href="#about:{slug}">{name}</a> <span class="version">'
                    f'{text(clip(subject["version"], 40))}'
                    f'</span>{render_bar(counts, asked)}</th><td class="share">{share}</td>'
                    f'{cells}</tr>')
        offers = "".join(
            f"<li>{label(offer, 60)}</li>" for offer in subject["offers"]) or "<li>nothing</li>"
        known = "".join(
            f'<li><a href="#{report.address("clause", d["clause"])}">{text(d["clause"])}</a>'
            f'{text(" (" + d["kind"] + ")") if d["kind"] else ""}: {text(d["why"])}</li>'
            for d in subject["differences"])
        known = ('<p class="file">Documented by the loop: such a failure is not strict instead.'
                 f'</p><ul>{known}</ul>' if known else "")
        notes.append(f'<article id="about:{slug}"><h3>{name} <span class="version">'
                     f'{text(clip(subject["version"], 40))}</span></h3>'
                     f'<p class="notes">{text(subject["notes"])}</p><p class="file">Adapter: <code>'
                     f'{text(subject["file"])}</code>. '
                     f'Offers:</p><ul class="offers">{offers}</ul>{known}</article>')
    heads = "".join(
        f'<th scope="col"><span class="g v {v}" aria-hidden="true">{VERDICTS[v]}</span>'
        f'<span class="word">{WORDS[v]}</span></th>'
        for v in shown)
    return ('<div class="wide" tabindex="0" role="region" aria-label="Cases by verdict">'
            '<table class="totals"><caption class="h">Number of cases by subject and verdict'
            '</caption><thead><tr><th scope="col">Subject</th><th scope="col">Good</th>'
            f'{heads}</tr></thead><tbody>{"".join(rows)}'
            f'</tbody></table></div>'), "".join(notes)


def failure(result):
    """As RUNNER.md names it: the clause, and the kind where there are several."""
    return text(clip(result["clause"] + ("/" + result["kind"] if result["kind"] else ""), 80))


def render_differences(report):
    """What a reader looks for first: for each subject the results that differ from the law, worst
    first."""
    parts = []
    for subject in report.subjects:
        found = sorted((r for r in report.data["results"]
                        if r["subject"] == subject["name"] and r["verdict"] in DIFFERS),
                       key=lambda r: CELL_RANK[r["verdict"]])
        items = "".join(
            f'<li><a class="v {r["verdict"]}" '
            f'href="#{report.address("case", r["case"], r["subject"])}">'
            f'{mark(r["verdict"])} {label(r["case"], 60)}</a> '
            f'<span class="word">{WORDS[r["verdict"]]}{", " + failure(r) if r["clause"] else ""}'
            f'</span><p>{text(clip(r["message"], 300))}</p></li>'
            for r in found)
        if items:
            unfold = " open" if len(report.subjects) == 1 else ""
            parts.append(
                f'<details{unfold}><summary>{label(subject["name"], 60)}: '
                f'{plural(len(found), "case")}</summary><ol>{items}</ol></details>'
            )
    return "".join(parts) or "<p>Nothing: no case failed, and none is merely not strict.</p>"


def render_legend():
    items = "".join(f'<div><dt class="v {v}">{mark(v)} {WORDS[v]}</dt><dd>{LEGEND[v]}</dd></div>'
                    for v in VERDICTS)
    return f'<dl class="legend">{items}</dl>'


# ---- the sheets that cells open ------------------------------------------------------------------


def sheet(slug, kind, title, subtitle, body):
    return (f'<section class="sheet" id="{slug}" aria-labelledby="title:{slug}">'
            f'<a class="away" href="#row:{slug}" tabindex="-1" aria-hidden="true"></a>'
            '<div class="paper"><header>'
            f'<a class="close" href="#row:{slug}" aria-label="Close">×</a>'
            f'<p class="kind">{kind}</p>'
            f'<h2 id="title:{slug}" tabindex="-1">{title}</h2>{subtitle}</header>{body}'
            f'</div></section>\n')


def level(clause):
    return f'<b class="level {clause["level"].split()[0]}">{text(clause["level"])}</b>'


def render_laws(report, clauses):
    """Their numbers only: each sheet of theirs has the words."""
    links = (f'<a href="#{report.address("clause", clause)}">{text(clause)}</a>'
             for clause in clauses)
    return f'<blockquote class="law">{" ".join(links)}</blockquote>' if clauses else ""


def render_law(report, clause):
    law = report.clause[clause]
    return (f'<blockquote class="law"><a href="#{report.address("clause", clause)}">'
            f'{text(clause)}</a> {level(law)} {prose(clip(law["text"], LAW_SHOWN))}'
            f'</blockquote>')


def foreign_law(report, case, result):
    """The clause on which the case broke, when it is none of its own."""
    clause = result["clause"]
    return "" if clause in (None, *case["clauses"]) else render_law(report, clause)


def describe(verdict, result):
    """One sentence on a result, escaped."""
    said = text(result["message"])
    if result["verdict"] == "not_offered":
        return ("It does not offer what the case needs"
                f"{': ' + said.removeprefix('needs ') if said else ''}.")
    if result["verdict"] == "crash" and result["signal"]:
        said = f"{text(result['signal'])}{'. ' + said if said else ''}"
    if verdict == "unsettled":
        said = f"The case broke on {text(result['clause'])} first, so it says nothing here. {said}"
    return said or ("Every clause that the case is about holds." if verdict == "pass" else "")


def render_clause(report, clause):
    """A clause's sheet: its text, for each subject the list of cases, and all subjects in a
    table."""
    slug = report.address("clause", clause["id"])
    blocks, rows = [], []
    for subject in report.subjects:
        found = report.verdicts(clause["id"], subject["name"])
        verdict, count, total = report.cell(clause["id"], subject["name"])
        items = "".join(
            f'<li><a class="v {v}" href="#{report.address("case", case, subject["name"])}">'
            f'{mark(v)} {label(case, 80)}</a> '
            f'<span class="word">{WORDS[v]}</span>'
            + ("" if v == "not_offered" else
               f' <span class="title">{label(report.case[case]["title"], 200)}</span>')
            + (f'<p>{describe(v, report.result[case, subject["name"]])}</p></li>'
               if v not in ("pass", "not_offered") else "</li>") for case, v in found)
        of = f" in {count} of {plural(total, 'case')}" if total > 1 else ""
        blocks.append('<div class="result list" '
                      f'id="{report.address("clause", clause["id"], subject["name"])}">'
                      f'<h3 class="verdict v {verdict}">'
                      f'{mark(verdict)} {label(subject["name"], 80)}: {WORDS[verdict]}{of}</h3><ol>'
                      f'{items}</ol></div>')
    for case in report.cases_of[clause["id"]]:
        cells = []
        for subject in report.subjects:
            result = report.result.get((case, subject["name"]))
            counted = result and (clause["id"] in report.case[case]["clauses"]
                                  or result["clause"] == clause["id"])
            verdict = verdict_for(clause["id"], result) if counted else "none"
            cells.append(
                render_cell(verdict, 1, 1,
                            report.address("case", case, subject["name"]) if counted else None,
                            clip(subject["name"], 40)))
        rows.append(
            f'<tr><th scope="row"><a href="#{report.address("case", case)}">{label(case, 60)}</a>'
            f'</th>{"".join(cells)}</tr>'
        )
    overview = ('<h3 class="all">All subjects</h3>'
                '<div class="wide" tabindex="0" role="region" aria-label="Cases of the clause">'
                f'<table class="grid">{subject_head(report, "Cases")}'
                f'<tbody>{"".join(rows)}</tbody></table></div>'
                if rows and len(report.subjects) > 1
                else "" if rows else "<p>No case names this clause.</p>")
    return sheet(slug, f"Clause, {label(clause['section'], 120)}", label(clause["id"], 80),
                 f'<blockquote class="law">{level(clause)} {prose(clause["text"])}</blockquote>',
                 f'<div class="body">{"".join(blocks)}{overview}</div>')


def said_of_lines(rows):
    """What a mere line stands for, in this picture."""
    told = {
        state for row in rows for event in row[2:] if event
        for state in (event["state"], *event["states"].values())
    }
    return "dead" + (", unused" if "unused" in told else "") + (
        ", called &nbsp; ┄ silent" if told & {"submitted", "called", "silent"} else "")


def render_variant(report, case, results):
    """The results of a case that saw the very same thing share one picture and one table."""
    first, heads = results[0], []
    for result in results:
        verdict, broken = result["verdict"], ""
        if result["clause"]:
            broken = (f', <a href="#{report.address("clause", result["clause"])}">'
                      f'{failure(result)}</a>')
        heads.append('<div class="result" '
                     f'id="{report.address("case", case["id"], result["subject"])}">'
                     f'<h3 class="verdict v {verdict}">{mark(verdict)} '
                     f'{label(result["subject"], 80)}: {WORDS[verdict]}{broken}</h3>'
                     f'<p class="message">{describe(verdict, result)}</p>'
                     f'{foreign_law(report, case, result)}</div>')
    program = ""
    if first["program"] is not None:
        own = f', in which {text(first["program_message"])}' if first["program_message"] not in (
            None, first["message"]) else ""
        program = (f'<h4>The shortest program found that shows it{own}</h4><pre tabindex="0">'
                   f'{text(first["program"])}</pre>')
    shown = ""
    if first["expected"] or first["observed"]:
        rows = align(first["expected"], first["observed"], objections(first))
        shown = (f'<h4>Timeline{" of the case’s program" if program else ""} <span class="hint">'
                 f'▶ callback &nbsp; ○ call &nbsp; — {said_of_lines(rows)}</span></h4>'
                 f'{render_timeline(rows, first["verdict"])}{render_trace(rows, first["verdict"])}')
    return f'<div class="variant">{"".join(heads)}{program}{shown}</div>'


def render_case(report, case):
    slug = report.address("case", case["id"])
    variants = {}
    tabs = []
    for subject in report.subjects:
        result = report.result.get((case["id"], subject["name"]))
        if result is None:
            continue
        variants.setdefault((result["verdict"], objections(result), repr(
            result["expected"]), repr(result["observed"]), result["program"]), []).append(result)
        tabs.append(f'<a class="v {result["verdict"]}" '
                    f'href="#{report.address("case", case["id"], subject["name"])}">'
                    f'{mark(result["verdict"])} '
                    f'{label(subject["name"], 40)}<span class="h">: {WORDS[result["verdict"]]}'
                    '</span></a>')
    differs = any(report.result.get((case["id"], subject["name"]), {}).get("verdict") in DIFFERS
                  for subject in report.subjects)
    laws = ("".join(render_law(report, clause) for clause in case["clauses"])
            if differs else render_laws(report, case["clauses"]))
    about = f'<p class="description">{text(case["description"])}</p>' if case["description"].strip(
    ) else ""
    seen = "".join(render_variant(report, case, group) for group in variants.values())
    nav = (f'<nav class="tabs" aria-label="Subjects">{"".join(tabs)}</nav>'
           if len(report.subjects) > 1 else "")
    body = (f'{nav}<div class="body two">'
            f'<div class="given">{about}{laws}'
            f'<h4>Program</h4><pre tabindex="0">{text(case["program"])}</pre></div>'
            '<div class="seen">'
            f'{seen or "<p>It was not run.</p>"}</div></div>')
    return sheet(slug, f"Case <code>{label(case['id'], 120)}</code>", label(case["title"], 300), "",
                 body)


# ---- the page ------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src '{style_hash}'; script-src '{script_hash}'; \
base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">\
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Etalon {etalon}"><title>Etalon conformance report</title>\
<link rel="icon" href="{icon}"><style>{style}</style></head>
<body>
<svg class="patterns" aria-hidden="true" width="0" height="0"><defs>\
<pattern id="page:adding" width="6" height="6" patternUnits="userSpaceOnUse" \
patternTransform="rotate(45)"><rect class="ground" width="6" height="6"/>\
<rect class="ink" width="2" height="6"/></pattern>\
<pattern id="page:deleting" width="5" height="5" patternUnits="userSpaceOnUse">\
<rect class="ground" width="5" height="5"/>\
<circle class="ink" cx="2.5" cy="2.5" r="1.3"/></pattern></defs></svg>
<header class="top" id="page:top"><h1><span>Etalon</span> conformance report</h1>
<p class="lead">{lead}</p><p class="facts">{facts}</p></header>
<main>
<section aria-labelledby="page:subjects"><h2 id="page:subjects">Subjects</h2>{totals}
<details class="key"><summary>What the marks mean</summary>{legend}</details></section>
<section class="differences" aria-labelledby="page:differences">\
<h2 id="page:differences">What differs</h2>{differences}</section>
<section aria-labelledby="page:matrix"><h2 id="page:matrix">Clauses</h2>\
<p>Every cell opens what was run, what was expected and what was seen. \
A fraction says how many of the clause’s cases that were asked have that verdict.</p>
<form class="filter" hidden><label>Find \
<input type="search" placeholder="clause, case or word" autocomplete="off"></label>\
<label><input type="checkbox"{filtered}> only rows with a difference or a “?”</label>\
<output></output></form>{matrix}</section>
<section aria-labelledby="page:cases"><h2 id="page:cases">Cases</h2>{cases}</section>
<section class="about" aria-labelledby="page:about">\
<h2 id="page:about">How each subject was driven</h2>{notes}</section>
<footer><p>Cite a clause by its number, as “Etalon spec {spec}, ET-RESET-3”; \
its address in this page is <code>#ET-RESET-3</code>. Numbers never change their meaning. \
It speaks of submissions, phases and rounds; \
the last section of ADAPTERS.md says what those are in a loop of watchers.</p></footer>
</main>
{sheets}<script>{script}</script></body></html>
"""


def integrity(content):
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def slim(html):
    """Without the quotes that HTML does not need: a page of one loop is to stay below 2 MB."""
    return re.sub(r"<[a-z][^<>]*>",
                  lambda tag: re.sub(r'="(-?[A-Za-z0-9_.]+)"(?=[ >])', r"=\1", tag[0]), html)


def render_page(data):
    report = Report(data)
    style = (HERE / "report.css").read_text(encoding="utf-8")
    script = (HERE / "report.js").read_text(encoding="utf-8")
    totals, notes = render_subjects(report)
    sheets = [render_clause(report, clause) for clause in data["clauses"]
              ] + [render_case(report, case) for case in data["cases"]]
    lead = (f'{plural(len(data["subjects"]), "event loop")} checked against '
            f'{plural(len(data["clauses"]), "clause")} by '
            f'{plural(len(data["cases"]), "case")}.')
    facts = [
        f'Etalon {text(data["etalon"])}', f'specification {text(data["spec"])}',
        f'adapter interface {data["abi"]}',
        text(data["created"]), f'{plural(data["random"], "random program")}, seed {data["seed"]}',
        "strict" if data["strict"] else "not strict"
    ]
    if len(data["subjects"]) == 1 and data["subjects"][0]["version"]:
        facts.insert(0, f'{text(data["subjects"][0]["name"])} '
                        f'{text(clip(data["subjects"][0]["version"], 80))}')
    alone = len(report.subjects) == 1 and any(r["verdict"] in DIFFERS for r in data["results"])
    return PAGE.format(differences=slim(render_differences(report)),
                       filtered=" checked" if alone else "",
                       style=style, script=script, style_hash=integrity(style),
                       script_hash=integrity(script), icon=ICON, etalon=text(data["etalon"]),
                       spec=text(data["spec"]), lead=lead, legend=render_legend(), totals=totals,
                       notes=notes, facts="".join(f"<span>{fact}</span> " for fact in facts),
                       matrix=slim(render_matrix(report)), cases=slim(render_case_list(report)),
                       sheets=slim("".join(sheets)))


def write_whole(path, content):
    """A regular file gets its name only when it is complete; a device or a pipe is written to, a
    symbolic link stays."""
    path = os.path.realpath(path) if os.path.islink(path) and (
        os.path.isfile(path) or not os.path.exists(path)) else path
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return
    handle, part = tempfile.mkstemp(prefix=os.path.basename(path)[:100] + ".", suffix=".part",
                                    dir=os.path.dirname(path) or ".")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(content)
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(file.fileno(), 0o666 & ~umask)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def main():
    if len(sys.argv) == 2 and sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    if len(sys.argv) != 3:
        print("report.py: usage: report.py INPUT.json OUTPUT.html", file=sys.stderr)
        return 2
    try:
        write_whole(sys.argv[2], render_page(read_input(sys.argv[1])))
    except Malformed as error:
        print(
            f"report.py: {text(clip(sys.argv[1], 200), False)}: "
            f"{text(clip(str(error), 500), False)}",
            file=sys.stderr)
        return 2
    except OSError as error:
        print(f"report.py: {error.filename or sys.argv[2]}: {error.strerror or error}",
              file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
