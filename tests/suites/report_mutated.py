#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives report.py files that are nearly right: each is shown, or refused with one clear line.

usage: report_mutated.py INPUT.json [COUNT]     (2000 of them; always the same). Prints TAP.

Bytes are changed, left out, doubled and swapped in the text, and values are replaced by those of
another kind, taken out, or moved in what it says. Any exception but the refusal is a failure.
"""
import copy
import json
import pathlib
import random
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/kit"))
import report  # noqa: E402: it stands in a folder of its own

VALUES = [None, True, 0, -1, 2**64, 1.5, "", "\u0000", "\ud800", "<b>", "pass", [], [[]], {},
          {"": 0}, "9" * 5000]
SHOWN_EVERY = 5  # most is decided by what is read; the page takes longer


def places(value, found, parent=None, key=None):
    """Every (object or list, key) in it."""
    if parent is not None:
        found.append((parent, key))
    for each in (value if isinstance(value, dict) else
                 range(len(value)) if isinstance(value, list) else ()):
        places(value[each], found, value, each)
    return found


def changed_values(data, chance):
    data = copy.deepcopy(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        found = places(data, [])
        parent, key = chance.choice(found)
        way = chance.randrange(4)
        if way == 0:
            del parent[key]
        elif way == 1:
            parent[key] = copy.deepcopy(chance.choice(VALUES))
        elif way == 2:
            other, its_key = chance.choice(found)
            parent[key] = copy.deepcopy(other[its_key])
        elif isinstance(parent, list):
            parent.insert(chance.randrange(len(parent) + 1), copy.deepcopy(parent[key]))
        else:
            parent[chance.choice(("", "id", "name", "verdict"))] = copy.deepcopy(parent[key])
    return json.dumps(data).encode()


def changed_bytes(text, chance):
    text = bytearray(text)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at, length = chance.randrange(len(text)), chance.choice((1, 1, 2, 30))
        way = chance.randrange(4)
        if way == 0:
            del text[at:at + length]
        elif way == 1:
            text[at:at] = text[at:at + length]
        elif way == 2:
            text[at] = chance.randrange(256)
        else:
            text[at:at] = chance.choice((b"[", b"{", b"]", b"\"", b"\\u0000", b"1e999", b"NaN"))
    return bytes(text)


def failure_of(path, shown):
    """What is wrong with the way in which report.py takes the file; None: nothing."""
    try:
        data = report.read_input(path)
        if shown:
            report.render_page(data)
    except report.Malformed as error:
        said = report.text(report.clip(str(error), 500), False)
        return None if said.strip() and "\n" not in said else f"it is refused with {said!r}"
    except Exception:  # pylint: disable=broad-except
        return traceback.format_exc()
    return None


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    text = pathlib.Path(sys.argv[1]).read_bytes()
    data, count = json.loads(text), int(sys.argv[2]) if len(sys.argv) == 3 else 2000
    chance, failed = random.Random(1), 0
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        path = pathlib.Path(folder) / "input.json"
        for i in range(count):
            path.write_bytes(changed_bytes(text, chance) if i % 3 == 0
                             else changed_values(data, chance))
            why = failure_of(path, i % SHOWN_EVERY == 0 and len(path.read_bytes()) < 2 << 20)
            if why is not None:
                failed += 1
                kept = ROOT / f"build/test/report-mutated-{i}.json"
                kept.parent.mkdir(exist_ok=True)
                kept.write_bytes(path.read_bytes())
                print("\n".join(f"# {line}" for line in [str(kept), *why.splitlines()[-6:]]))
            if failed == 5:
                break
    print(f"{'not ' * bool(failed)}ok 1 - {count} files that are nearly a report's data\n1..1")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
