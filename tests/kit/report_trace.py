# SPDX-License-Identifier: MIT
"""Expected against observed: the alignment of both, the table, and the picture. A part of
report.py.

Rows of the table and columns of the picture are the same thing under the same number. Long traces
are shown around the row that says what broke, or else around their first difference. What is
expected is the run of Etalon's own loop, so a difference from it is no failure by itself: only the
rows where the judge objected are marked as such. """
import difflib
import re

from report_data import STATES
from report_text import clip, plural, text

ROWS_BEFORE, ROWS_AFTER = 24, 16  # what is shown around the row that matters
COLUMNS_BEFORE, COLUMNS_AFTER = 24, 24
NUMBERED = 4  # of so many columns one has its number below it; they follow one another
# Of a run in which nothing is wrong, or what is missed is a SHOULD: rows and columns.
FEW = {"pass": (1, 3), "not_offered": (1, 3), "not_strict": (6, 6)}
ALIGN_MAX = 400  # events between which differences are aligned; the rest is set side by side
TEXT_MAX = 2000
# Loops count in milliseconds, and each wait of a subject takes a microsecond that the reference's
# does not.
TIME_US = 1000
MARKS = {
    "same": ("", ""), "time": ("◷", "at another time"), "other": ("≠", "differs"),
    "missing": ("−", "missing"), "unexpected": ("+", "not in the expected run"),
    "broke": ("✗", "here it breaks")
}

# In pixels: a column, what is above the lanes, a lane, a track of a double lane, between lanes.
COLUMN, TOP, LANE, TRACK, GAP = 28, 30, 24, 16, 12


def duration(us):
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("s", 1_000_000), ("ms", 1000)):
        if us >= size:
            return f"{us / size:.4g} {unit}"
    return f"{us} µs"


# ---- alignment -----------------------------------------------------------------------------------


ASIDE = re.compile(
    r", (?:dead|adding|active|deleting)$|, \d+ active$|, \d+ ready(?=,)|, the clock stands at .*$")


def same_words(a, b):
    """What the reference alone can say (a count, a state, its own time), and the event says
    elsewhere, makes no difference."""
    return a == b or ASIDE.sub("", a) == ASIDE.sub("", b)


def same_state(expected, observed):
    return expected == observed or expected is None or observed is None or expected in STATES[
        observed]


def same(a, b):
    return (a["kind"] == b["kind"] and a["completion"] == b["completion"]
            and same_words(a["text"], b["text"]) and same_state(a["state"], b["state"]))


def objections(result):
    """Which observed events are those where the judge objected: its own remarks, or else the last
    thing that was seen."""
    if result["verdict"] in ("pass", "not_offered"):
        return frozenset()
    said = [
        i for i, event in enumerate(result["observed"]) if event["kind"] in (
            "state", "end") and event["text"] and result["message"].startswith(event["text"])
    ]
    return frozenset(said or [len(result["observed"]) - 1][:len(result["observed"])])


def pair(number, expected, observed, broke):
    if broke:
        mark = "broke"
    elif observed is None:
        mark = "missing"
    elif expected is None:
        mark = "unexpected"
    elif not same(expected, observed):
        mark = "other"
    else:
        mark = "same" if abs(expected["at_us"] - observed["at_us"]) < TIME_US else "time"
    return number, mark, expected, observed


def align(expected, observed, broke=frozenset()):
    """Rows (number, mark, expected event or None, observed event or None) that hold every event
    once, in order. The judge's own remarks, among the observed events that are numbered in `broke`,
    have no counterpart and get rows of their own."""
    remarks = {i for i in broke if observed[i]["kind"] in ("state", "end")}
    whole, observed = observed, [event for i, event in enumerate(observed) if i not in remarks]
    start = 0
    while start < min(len(expected), len(observed)) and same(expected[start], observed[start]):
        start += 1
    pairs = list(zip(expected[:start], observed[:start]))
    a, b = expected[start: start + ALIGN_MAX], observed[start: start + ALIGN_MAX]
    keys = [[likeness(event) for event in side] for side in (a, b)]
    for _, i1, i2, j1, j2 in difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        pairs += longest(a[i1:i2], b[j1:j2])
    pairs += longest(expected[start + ALIGN_MAX:], observed[start + ALIGN_MAX:])
    rows, seen = [], 0

    def remark():
        nonlocal seen
        while seen in remarks:
            rows.append((None, whole[seen], True))
            seen += 1

    remark()
    for left, right in pairs:
        rows.append((left, right, right is not None and seen in broke))
        if right is not None:
            seen += 1
            remark()
    return [pair(number + 1, *each) for number, each in enumerate(rows)]


def likeness(event):
    """Events that are alike in this stand in one row, even if they differ: the call before its
    result, the beginning of a wait."""
    if event["kind"] == "wait":
        return event["kind"], event["text"].split(" ")[0]
    return event["kind"], event["completion"], re.sub(r"[0-9]+", "0", event["text"].split(" = ")[0])


def longest(a, b):
    size = max(len(a), len(b))
    return zip(a + [None] * (size - len(a)), b + [None] * (size - len(b)))


def around(rows, before, after):
    """The part of the rows that is shown, and how many are left out before and after it."""
    first = next((i for wanted in ({"broke"}, MARKS.keys() - {"same"})
                  for i, row in enumerate(rows) if row[1] in wanted), 0)
    start = max(0, min(first - before, len(rows) - before - after))
    end = min(len(rows), start + before + after)
    return rows[start:end], start, len(rows) - end


WHERE = {
    "pass": "Nothing here breaks the law. ",
    "fail": "It breaks in {0}, which says how: what came just before is the cause. ",
    "not_strict": "What is not strict is in {0}, which says how: what came just before is the "
                  "cause. ",
    "hang": "The last that was seen before the hang: {0}. ",
    "crash": "The last that was seen before the crash: {0}. ", "not_offered": ""
}
REFERENCE = ("Expected is what Etalon’s own loop did with this program; the other rows that differ "
             "from it (grey) break nothing by that.")

EMPHASISED = ("callback", "wait", "world", "end")

# ---- the table -----------------------------------------------------------------------------------


def marked(own, other):
    """The event's text, with the words in it that the other event does not have."""
    own_words, other_words = clip(own, TEXT_MAX).split(" "), clip(other, TEXT_MAX).split(" ")
    if len(own_words) > 60 or len(other_words) > 60:
        return text(clip(own, TEXT_MAX))
    pieces = []
    for what, i1, i2, _, _ in difflib.SequenceMatcher(None, own_words, other_words,
                                                      autojunk=False).get_opcodes():
        words = text(" ".join(own_words[i1:i2]))
        if words:
            pieces.append(words if what == "equal" else f"<mark>{words}</mark>")
    return " ".join(pieces)


def render_event(event, other, mark, differs=False):
    if event is None:
        return '<span class="nothing">nothing</span>'
    # a page has many of these: one letter for the time, and one for the state
    at = text(duration(event["at_us"]))
    if mark == "time":
        at = f"<mark>{at}</mark>"
    shown = marked(event["text"], other["text"]) if mark == "other" else text(
        clip(event["text"], TEXT_MAX))
    state = ""
    if event["state"]:
        changed = " changed" if mark == "other" and differs else ""
        said = event["state"].replace("_", " ")
        name = f'"{event["state"]}{changed}"' if changed else event["state"]
        state = f' <b class={name}>{said}</b>'
    if event["kind"] in EMPHASISED:
        shown = f'<code class=k-{event["kind"]}>{shown}</code>'
    return f'<i>{at}</i> {shown}{state}'


def render_row(row, alike):
    number, mark, expected, observed = row
    if alike:
        return f'<tr><th>{number}<td>{render_event(observed, None, "same")}'
    sign, word = MARKS[mark]
    sign = f' aria-label="{word}">{sign}' if sign else ">"
    likewise = pair(number, expected, observed, False)[1]
    differs = likewise == "other" and not same_state(expected["state"], observed["state"])
    left, right = render_event(expected, observed, likewise,
                               differs), render_event(observed, expected, likewise, differs)
    name = f" class={mark}" if mark != "same" else ""
    return f"<tr{name}><th>{number}<td>{left}<td class=m{sign}<td>{right}"


def left_out(number, columns):
    if not number:
        return ""
    return (f'<tr class="left"><td colspan="{columns}">{plural(number, "row")} not shown here; '
            'the JSON file has them.')


def numbers(rows):
    """The rows where it breaks, in words."""
    broke = [str(row[0]) for row in rows if row[1] == "broke"]
    return f"row{'s' if len(broke) > 1 else ''} {' and '.join(broke)}" if broke else ""


def render_trace(rows, verdict):
    alike = all(row[1] == "same" for row in rows)
    columns = 2 if alike else 4
    heads = ('<th scope="col">#</th><th scope="col">Expected and observed: the same</th>'
             if alike else '<th scope="col">#</th><th scope="col">Expected</th>'
             '<th scope="col"><span class="h">Difference</span></th><th scope="col">Observed</th>')
    shown, before, after = around(
        rows, *FEW.get(verdict, (ROWS_BEFORE, ROWS_AFTER)))
    body = "".join(render_row(row, alike) for row in shown)
    caption = "Trace" if alike else "Expected and observed. " + WHERE[verdict].format(
        numbers(rows) or "no row") + REFERENCE
    return (f'<table class="trace{" alike" if alike else ""}"><caption>{caption}</caption>'
            f'<thead><tr>{heads}</tr></thead>'
            f'<tbody>{left_out(before, columns)}{body}{left_out(after, columns)}</tbody></table>')


# ---- the picture ---------------------------------------------------------------------------------


LINES = {"dead", "unused", "called", "silent"}  # drawn as a line: nothing is owed


def state_in(event, completion, state):
    """The completion's state once this has happened."""
    if event["completion"] == completion and event["state"]:
        return event["state"]
    return event["states"].get(completion, state)


def states_before(rows, side, completion, until):
    """The completion's state when the shown part begins."""
    state = "dead"
    for row in rows[:until]:
        if row[side]:
            state = state_in(row[side], completion, state)
    return state


def segments(columns, side, completion, state):
    """Runs (first column, end column, state), and the column in which this side ends."""
    runs, begun, last = [], 0, -1
    for column, row in enumerate(columns):
        event = row[side]
        if event is None:
            continue
        last = column
        after = state_in(event, completion, state)
        if after != state:
            if column > begun:
                runs.append((begun, column, state))
            begun, state = column, after
    end = last + 1
    if end > begun:
        runs.append((begun, end, state))
    return runs, end


def track(columns, side, completion, state, y, height):
    """One completion on one side: its states as bars, its callbacks as triangles, other calls on it
    as dots."""
    parts = []
    runs, _ = segments(columns, side, completion, state)
    for begin, end, name in runs:
        x, width = begin * COLUMN, (end - begin) * COLUMN
        if name in LINES:
            parts.append(f'<path class={name} d="M{x} {y + height / 2:g}h{width}"/>')
            continue
        parts.append(
            f'<rect class={name} x={x + 1} y={y} width={width - 2} height={height} rx=3 />'
        )
        if width >= 8 * len(name):
            said = name.replace("_", " ")
            parts.append(
                f'<text class="in {name}" x={x + 9} y={y + height / 2 + 3.5:g}>{said}</text>')
    callbacks, calls = [], []
    for column, row in enumerate(columns):
        event = row[side]
        if event is None or event["completion"] != completion:
            continue
        x, middle = column * COLUMN, y + height / 2
        if event["kind"] == "callback":
            callbacks.append(f"M{x + 1} {middle - 6:g}l11 6l-11 6z")
        elif event["kind"] == "call":
            calls.append(f"M{x} {middle:g}a3 3 0 1 0 6 0a3 3 0 1 0-6 0")
    for name, drawn in ("call", calls), ("callback", callbacks):
        if drawn:
            parts.append(f'<path class={name} d="{"".join(drawn)}"/>')
    return "".join(parts)


def time_marks(columns, height):
    """A line wherever the clock has moved, with the time above where there is room for it."""
    parts, ticks, at_us, free = [], [], None, -1
    for column, (_, _, expected, observed) in enumerate(columns):
        event = observed or expected
        if at_us is not None and event["at_us"] <= at_us:
            continue
        at_us, x = event["at_us"], column * COLUMN
        ticks.append(f"M{x + .5} 14V{height - 16}")
        if x >= free:
            shown = duration(at_us)
            parts.append(f'<text x={x + 2} y=11>{shown}</text>')
            free = x + 7 * len(shown) + 6
    return f'<path class="tick" d="{"".join(ticks)}"/>{"".join(parts)}'


def render_timeline(rows, verdict):
    columns, before, after = around(
        rows, *FEW.get(verdict, (COLUMNS_BEFORE, COLUMNS_AFTER)))
    double = any(row[1] != "same" for row in rows)
    names = dict.fromkeys(name for row in columns for event in row[2:] if event
                          for name in (event["completion"], *event["states"]) if name)
    if not names:
        return '<p class="none">No completion takes part.</p>'
    lane = 2 * TRACK + 2 if double else LANE
    height = TOP + len(names) * (lane + GAP) + 12
    width = len(columns) * COLUMN + 10
    parts, labels = [], []
    for column, row in enumerate(columns):
        if row[1] != "same":
            parts.append(f'<rect class="differs {row[1]}" x={column * COLUMN} y=14 '
                         f'width={COLUMN} height={height - 14} />'
                         f'<text class="sign {row[1]}" x={column * COLUMN + COLUMN / 2:g} y=25>'
                         f'{MARKS[row[1]][0]}</text>')
    parts.append(time_marks(columns, height))
    for index, name in enumerate(names):
        y = TOP + index * (lane + GAP)
        labels.append(
            f'<text class="lane" x="0" y="{y + lane / 2 + 4:g}">{text(clip(name, 6))}</text>')
        tracks = [(2, y, TRACK), (3, y + TRACK + 2, TRACK)] if double else [(3, y, LANE)]
        for side, top, size in tracks:
            parts.append(
                track(columns, side, name, states_before(rows, side, name, before), top, size))
        if double:
            labels += [
                f'<text class="side" x="46" y="{y + 12}">exp</text>',
                f'<text class="side" x="46" y="{y + TRACK + 14}">obs</text>'
            ]
    numbered = "".join(f"<text x={column * COLUMN}>{row[0]}</text>"
                       for column, row in enumerate(columns)
                       if column % NUMBERED == 0)
    parts.append(f'<g class="numbers" transform="translate(2 {height - 2})">{numbered}</g>')
    said = f"{plural(len(names), 'completion')} over {plural(len(columns), 'row')}" + (
        f", it breaks in {numbers(rows)}" if numbers(rows) else "")
    undrawn = before + after
    rest = f'<p class="none">{plural(undrawn, "row")} not drawn.</p>' if undrawn else ""
    side = 74 if double else 48
    return (f'<div class="timeline"><svg class="lanes" width="{side}" height="{height}" '
            f'aria-hidden="true">{"".join(labels)}</svg>'
            '<div class="scroll" tabindex="0" role="region" '
            'aria-label="Timeline, scrolls sideways">'
            f'<svg class="line" width="{width}" height="{height}" role="img" aria-label="{said}">'
            f'{"".join(parts)}</svg></div></div>'
            f'{rest}')
