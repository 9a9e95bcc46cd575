# SPDX-License-Identifier: MIT
"""Draws what bench.py has measured, as SVG: for each load the time of each loop as a ratio to that
of the floor, on a logarithmic scale, and for each curve of growth the time over the number."""
import html
import math

COLOURS = {"etalon": "#c0392b", "etalon_carrier": "#e67e22", "etalon_polls": "#e67e22",
           "libev": "#2471a3", "libevent": "#229954", "libuv": "#8e44ad", "floor": "#7f8c8d"}
WIDTH, LEFT, ROW, GRAPH = 900, 240, 30, 240


def colour(subject):
    return COLOURS.get(subject.split("@")[0], "#000000")


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{html.escape(words)}</text>'


def mark(x, y, subject, title):
    hollow = "@" in subject
    fill = "none" if hollow else colour(subject)
    return (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="{colour(subject)}" '
            f'stroke-width="2"><title>{html.escape(title)}</title></circle>')


def ratios(loads, top):
    """One row for each load, a mark for each loop."""
    values = [entry["ratio_to_floor"] for result in loads.values() for entry in result.values()
              if "ratio_to_floor" in entry] or [1]
    last = 10 ** math.ceil(math.log10(max(max(values), 10)))
    scale = (WIDTH - LEFT - 40) / math.log10(last / 0.5)

    def at(ratio):
        return LEFT + math.log10(max(ratio, 0.5) / 0.5) * scale

    bottom = top + ROW * len(loads)
    lines = [text(LEFT, top - 26, "processor time of an operation / that of the floor")]
    for tick in [each * 10 ** power for power in range(-1, 5) for each in (1, 2, 5)]:
        if 0.5 <= tick <= last:
            lines.append(f'<line x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{top}" y2="{bottom}" '
                         f'stroke="{"#555" if tick == 1 else "#ddd"}"/>')
            lines.append(text(at(tick), top - 6, f"{tick:g}", 'text-anchor="middle"'))
    for i, (load, result) in enumerate(loads.items()):
        y = top + ROW * i + ROW / 2
        lines.append(text(LEFT - 12, y + 4, load, 'text-anchor="end"'))
        for subject, entry in result.items():
            ratio = entry.get("ratio_to_floor", 1 if subject == "floor" else None)
            if ratio is not None:
                lines.append(mark(at(ratio), y, subject,
                                  f"{subject}: {entry['median']} ns, {ratio} times the floor"))
    return lines, bottom


def graph(name, curves, top):
    counts = sorted({int(count) for curve in curves.values() for count in curve})
    values = [value for curve in curves.values() for value in curve.values()]
    low, high = math.log10(min(values)), math.log10(max(values))
    steps = math.log10(counts[-1] / counts[0]) or 1

    def x(count):
        return LEFT + math.log10(int(count) / counts[0]) / steps * (WIDTH - LEFT - 40)

    def y(value):
        return top + GRAPH - (math.log10(value) - low) / ((high - low) or 1) * (GRAPH - 20)

    lines = [text(LEFT, top - 6, name + ": ns for each operation")]
    for value in [each * 10 ** power for power in range(0, 5) for each in (1, 2, 5)]:
        if low <= math.log10(value) <= high:
            lines.append(f'<line x1="{LEFT}" x2="{WIDTH - 40}" y1="{y(value):.1f}" '
                         f'y2="{y(value):.1f}" stroke="#ddd"/>')
            lines.append(text(LEFT - 12, y(value) + 4, f"{value}", 'text-anchor="end"'))
    for count in counts:
        lines.append(text(x(count), top + GRAPH + 18, f"{count:,}", 'text-anchor="middle"'))
    for subject, curve in curves.items():
        points = [(x(count), y(value), count, value) for count, value in curve.items()]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b, _, _ in points)
        dashes = ' stroke-dasharray="4 3"' if "@" in subject else ""
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour(subject)}" '
                     f'stroke-width="2"{dashes}/>')
        lines += [mark(a, b, subject, f"{subject}, {count}: {value} ns")
                  for a, b, count, value in points]
    return lines, top + GRAPH + 60


def draw(full):
    subjects = dict.fromkeys(subject for result in full["loads"].values() for subject in result)
    lines = [text(20, 30, f"Etalon {full['commit']}: the loads of make bench",
                  'font-size="16" font-weight="bold"')]
    for i, subject in enumerate(subjects):
        x = 20 + i % 6 * 145
        lines.append(mark(x + 6, 52 + i // 6 * 20, subject, subject))
        lines.append(text(x + 18, 56 + i // 6 * 20, subject))
    more, bottom = ratios(full["loads"], 130)
    lines += more
    top = bottom + 50
    for name, curves in full["growth"].items():
        if not curves:
            continue
        more, top = graph(name, curves, top)
        lines += more
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 10:.0f}" '
            'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" '
            'fill="#fff"/>\n' + "\n".join(lines) + "\n</svg>\n")
