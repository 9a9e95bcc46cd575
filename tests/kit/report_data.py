# SPDX-License-Identifier: MIT
"""Reads and checks the results of a conformance run. A part of report.py.

A file that is not as REPORT.md says is refused with the place in it that is wrong; keys that are
not known are ignored. """
import json
import pathlib

# The last two are no verdict of a case, but stand in cells.
VERDICTS = {
    "pass": "✓", "not_strict": "≈", "fail": "✗", "hang": "∞", "crash": "↯", "not_offered": "–",
    "unsettled": "?", "none": "·"
}
WORDS = {
    **{v: v.replace("_", " ") for v in VERDICTS}, "unsettled": "not settled", "none": "not run"
}
# A cell shows the worst of its cases; one that passes says more than one that is not offered or not
# settled.
CELL_RANK = {
    v: rank for rank, v in enumerate(("crash", "hang", "fail", "not_strict", "pass", "unsettled",
                                      "not_offered", "none"))
}
CASE_VERDICTS = ("pass", "not_strict", "fail", "not_offered", "hang", "crash")
LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
KINDS = ("call", "callback", "state", "wait", "world", "end")
# What each state of an observed event agrees with in an expected one: a subject that tells less is
# not another one.
STATES = {"dead": {"dead"}, "adding": {"adding"}, "active": {"active"}, "deleting": {"deleting"},
          "unused": {"dead", "deleting"}, "in_use": {"adding", "active"},
          "submitted": {"adding", "active"}, "called": {"dead"}, "silent": {"dead", "deleting"}}
NUMBER_MAX = 2**64 - 1
NAMES = {
    str: "a text", int: "a number", bool: "true or false", list: "a list", dict: "an object",
    type(None): "null", float: "a number with a fraction"
}


class Malformed(Exception):
    pass


def take(value, place, key, kind, null=False):
    """value[key], which must be there and of that kind; with null, it may be null or absent."""
    found = value.get(key)
    if found is None and null:
        return None
    if key not in value:
        raise Malformed(f"{place}: '{key}' is missing")
    if type(found) is not kind:
        raise Malformed(f"{place}.{key}: {NAMES[kind]} is needed, this is {NAMES[type(found)]}")
    if kind is int and not 0 <= found <= NUMBER_MAX:
        raise Malformed(f"{place}.{key}: {found} is not from 0 to {NUMBER_MAX}")
    return found


def one_of(value, place, key, allowed, null=False):
    found = take(value, place, key, str, null)
    if found is not None and found not in allowed:
        raise Malformed(f"{place}.{key}: '{found[:60]}' is none of {', '.join(allowed)}")
    return found


def objects(value, place, key):
    for number, each in enumerate(take(value, place, key, list)):
        where = f"{place}.{key}[{number}]" if place != "top" else f"{key}[{number}]"
        if type(each) is not dict:
            raise Malformed(f"{where}: an object is needed, this is {NAMES[type(each)]}")
        yield where, each


def texts(value, place, key):
    for number, each in enumerate(take(value, place, key, list)):
        if type(each) is not str:
            raise Malformed(
                f"{place}.{key}[{number}]: a text is needed, this is {NAMES[type(each)]}")
    return value[key]


def once(seen, name, place):
    if name in seen:
        raise Malformed(f"{place}: '{str(name)[:120]}' is there twice")
    seen.add(name)


def read_states(place, event):
    states = take(event, place, "states", dict, True) or {}
    return {name: one_of(states, f"{place}.states", name, STATES) for name in states}


def read_event(place, event):
    return {
        "at_us": take(event, place, "at_us", int), "kind": one_of(event, place, "kind", KINDS),
        "completion": take(event, place, "completion", str,
                           True), "text": take(event, place, "text", str),
        "state": one_of(event, place, "state", STATES, True), "states": read_states(place, event)
    }


def read_result(place, result, subjects, cases, clauses):
    read = {
        "subject": take(result, place, "subject", str),
        "case": take(result, place, "case", str),
        "verdict": one_of(result, place, "verdict", CASE_VERDICTS),
        "clause": take(result, place, "clause", str, True),
        "kind": take(result, place, "kind", str, True),
        "message": take(result, place, "message", str, True) or "",
        "signal": take(result, place, "signal", str, True),
        "program": take(result, place, "program", str, True),
        "program_message": take(result, place, "program_message", str, True),
        "expected": [read_event(*each) for each in objects(result, place, "expected")],
        "observed": [read_event(*each) for each in objects(result, place, "observed")],
    }
    for key, known in (("subject", subjects), ("case", cases), ("clause", clauses)):
        if read[key] is not None and read[key] not in known:
            raise Malformed(f"{place}.{key}: '{read[key][:60]}' is not in the list of {key}s")
    return read


def read_all(top):
    data = {key: take(top, "top", key, str) for key in ("etalon", "spec", "created")}
    data.update({key: take(top, "top", key, int) for key in ("abi", "seed", "random")},
                strict=take(top, "top", "strict", bool))
    seen = {kind: set() for kind in ("clause", "subject", "case", "result")}
    data["clauses"], data["subjects"], data["cases"], data["results"] = [], [], [], []
    for place, each in objects(top, "top", "clauses"):
        data["clauses"].append({
            **{key: take(each, place, key, str) for key in ("id", "section", "text")},
            "level": one_of(each, place, "level", LEVELS)
        })
        once(seen["clause"], each["id"], place)
    for place, each in objects(top, "top", "subjects"):
        data["subjects"].append({
            "name": take(each, place, "name", str), "offers": texts(each, place, "offers"), **{
                key: take(each, place, key, str, True) or "" for key in ("version", "file", "notes")
            }
        })
        once(seen["subject"], each["name"], place)
        data["subjects"][-1]["differences"] = [{
            "kind": take(one, where, "kind", str, True),
            **{key: take(one, where, key, str) for key in ("clause", "why")}
        } for where, one in (objects(each, place, "differences") if "differences" in each else ())]
        for one in data["subjects"][-1]["differences"]:
            if one["clause"] not in seen["clause"]:
                raise Malformed(
                    f"{place}.differences: '{one['clause'][:60]}' is not in the list of clauses")
    for place, each in objects(top, "top", "cases"):
        data["cases"].append({
            **{key: take(each, place, key, str) for key in ("id", "title", "program")},
            "description": take(each, place, "description", str, True) or "",
            "clauses": list(dict.fromkeys(texts(each, place, "clauses")))
        })
        once(seen["case"], each["id"], place)
        for clause in each["clauses"]:
            if clause not in seen["clause"]:
                raise Malformed(f"{place}.clauses: '{clause[:60]}' is not in the list of clauses")
    for place, each in objects(top, "top", "results"):
        data["results"].append(
            read_result(place, each, seen["subject"], seen["case"], seen["clause"]))
        once(seen["result"], f"{each['case']} of {each['subject']}", place)
    return data


def read_input(path):
    content = pathlib.Path(path).read_bytes()
    try:
        top = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed(f"byte {error.start}: this is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise Malformed(f"cannot be read as JSON: {str(error)[:120]}") from error
    if type(top) is not dict:
        raise Malformed(f"an object is needed, this is {NAMES[type(top)]}")
    return read_all(top)
