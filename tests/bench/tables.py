# SPDX-License-Identifier: MIT
"""What bench.py has measured, as text for a terminal, and as the tables of README.md (Markdown)."""
from loads import DEARER, GOALS, PEERS


def print_load(name, result):
    others = [each for each in [*PEERS, "floor"] if each in result]
    runs = max((entry["runs"] for entry in result.values()), default=0)
    print(f"\n{name}  ({runs} run{'s' if runs != 1 else ''})")
    print(f"  {'':22}{'ns':>9}{'from':>9}{'to':>9}" +
          "".join(f"{'/ ' + each:>12}" for each in others))
    for subject, entry in result.items():
        print(f"  {subject:22}{entry['median']:9.1f}{entry['min']:9.1f}{entry['max']:9.1f}" +
              "".join(f"{entry.get('ratio_to_' + each, ''):>12}" for each in others) +
              (f"  {entry['bytes']:,} bytes for each {entry['bytes_of']}" if "bytes" in entry
               else "") +
              ("  latency " + ", ".join(f"{key} {value:,.0f}" for key, value in
                                        entry["latency_us"].items()) + " µs"
               if "echo" in name and "latency_us" in entry else ""), flush=True)


def print_counts(results):
    print("\nsystem calls and instructions for each operation")
    subjects = list(dict.fromkeys(subject for result in results.values() for subject in result))
    print(f"  {'':32}" + "".join(f"{subject:>18}" for subject in subjects))
    for load, result in results.items():
        cells = []
        for subject in subjects:
            entry = result.get(subject, {})
            count = entry.get("instructions")
            cells.append("" if "system_calls" not in entry else f"{entry['system_calls']:g} " +
                         ("/     -" if count is None else f"/{count:6,.0f}"))
        print(f"  {load:32}" + "".join(f"{cell:>18}" for cell in cells))


def print_curve(name, points):
    counts = sorted({count for curve in points.values() for count in curve})
    print(f"\ngrowth: {name}; ns for each operation")
    print(f"  {'':22}" + "".join(f"{count:>11,}" for count in counts))
    for subject, curve in points.items():
        print(f"  {subject:22}" + "".join(f"{curve[count]:11.1f}" if count in curve else
                                          f"{'':11}" for count in counts), flush=True)


def goals(results):
    """(goal, limit, value) of those that were measured"""
    found = []
    for what, load, subject, other, limit in GOALS:
        value = results.get(load, {}).get(subject, {}).get("ratio_to_" + other)
        if value is not None:
            way = {"etalon_polls": ", by polls"}.get(subject, "")
            where = "" if what == load else f" ({load})"
            found.append((f"{what}{way}{where}, against {other}", limit, value))
    many, one, limit = DEARER
    if "etalon" in results.get(many, {}) and "etalon" in results.get(one, {}):
        value = results[many]["etalon"]["median"] / results[one]["etalon"]["median"]
        found.append((f"{many}, against {one}", limit, round(value, 3)))
    return found


def behind(results):
    """(load, peer, ratio) wherever a peer is ahead of both ways that Etalon has."""
    found = []
    for load, result in results.items():
        for peer in PEERS:
            ratios = [entry["ratio_to_" + peer] for subject, entry in result.items()
                      if subject in ("etalon", "etalon_polls") and "ratio_to_" + peer in entry]
            if ratios and min(ratios) > 1:
                found.append((load, peer, min(ratios)))
    return found


def print_goals(results):
    for what, limit, value in goals(results):
        print(f"{'reached' if value <= limit else 'MISSED':8} {what}: {value} (at most {limit})")
    for load, peer, ratio in behind(results):
        print(f"behind   {peer} in {load}: {ratio}")


# ---- Markdown ------------------------------------------------------------------------------------

def number(value):
    if value is None:
        return ""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def line(cells):
    return "| " + " | ".join(cells) + " |\n"


def table(head, rows):
    return line(head) + "|" + "---|" * len(head) + "\n" + "".join(map(line, rows))


OURS = ("etalon", "etalon_carrier", "etalon_polls")
WAYS = {"etalon_carrier": ", with a carrier", "etalon_polls": ", by polls"}


def load_rows(results):
    for load, result in results.items():
        medians = [number(result.get(each, {}).get("median")) for each in [*PEERS, "floor"]]
        for subject in [each for each in OURS if each in result]:
            entry = result[subject]
            count = entry.get("instructions")
            yield [load + WAYS.get(subject, ""), number(entry["median"]), *medians,
                   *(f"{entry.get('ratio_to_' + each, '')}" for each in [*PEERS, "floor"]),
                   f"{entry.get('system_calls', '')}", "" if count is None else f"{count:,.0f}"]


def echo_rows(results):
    for load, result in results.items():
        for subject, entry in result.items():
            if "echo" in load and "latency_us" in entry:
                yield [subject, f"{entry['per_second']:,.0f}",
                       *(f"{value:,.0f}" for value in entry["latency_us"].values())]


def memory_rows(results):
    for load, result in results.items():
        for_each = {subject: entry["bytes"] for subject, entry in result.items()
                    if "bytes" in entry}
        if for_each:
            item = next(entry["bytes_of"] for entry in result.values() if "bytes" in entry)
            yield [f"a {item} ({load})"] + [f"{for_each.get(subject, '')}"
                                            for subject in (*OURS, *PEERS, "floor")]


def markdown(full):
    results = full["loads"]
    text = f"`make bench`, commit {full['commit']}.\n\n" + table(
        ["load", "Etalon", *PEERS, "floor", *(f"/ {each}" for each in [*PEERS, "floor"]),
         "system calls", "instructions"], load_rows(results))
    text += "\n" + table(["goal", "at most", "measured", ""],
                         [[what, str(limit), str(value), "reached" if value <= limit else "missed"]
                          for what, limit, value in goals(results)])
    late = list(echo_rows(results))
    if late:
        text += "\n" + table(["echo under load", "messages a second", "p50 µs", "p90", "p99",
                              "p99.9", "longest"], late)
    memory = list(memory_rows(results))
    if memory:
        text += "\n" + table(["bytes of the heap for", *OURS, *PEERS, "floor"], memory)
    for name, points in full["growth"].items():
        counts = sorted({count for curve in points.values() for count in curve})
        text += "\n" + table([name, *(f"{count:,}" for count in counts)],
                             [[subject, *(number(curve.get(count)) for count in counts)]
                              for subject, curve in points.items()])
    return text
