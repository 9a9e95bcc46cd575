#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes, from src/, what `make orders` compiles beside the real pool.c, async.c and completion.c:
the headers with fields that Relacy watches, and the calls of loop.c that meet other threads.

usage: generate.py FOLDER        (build/orders, by orders.py)

A field of the structs of WATCHED becomes `watched<type>`, or `watched_atomic<type>`: an access that
nothing orders after another thread's is a data race (machine.h). What is not found is an error, so
that a change of the headers is noticed here and is not lost.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
WATCHED = {  # file: {struct: the fields that stay as they are}
    "etalon.h": {
        "et_private": (),
        "et_read": (),
        "et_completion": (),
        "et_loop": (),
        "et_pool": ("mutex", "work", "left", "attributes"),  # the machine's own
        "et_async": (),
    },
    "internal.h": {"eti_worker": ()},
}
CLEARED = ("et_loop", "et_pool", "et_async", "eti_worker")  # by memset, calloc or assignment
CALLS = ("et_loop_delete", "et_loop_wakeup", "process_deletions", "release", "et_loop_deinit")
REPLACED = {
    "etalon.h": [("#define ET_ATOMIC(type) type", "#define ET_ATOMIC(type) watched_atomic<type>")],
    # What a child of fork sees is not asked: the scenarios' own, which is told of one process.
    "internal.h": [
        ("extern _Atomic(uint32_t) *_Atomic eti_process_word;\n", ""),
        ("""static inline bool eti_is_inherited(uint32_t process) {
    _Atomic(uint32_t) *here = atomic_load_explicit(&eti_process_word, memory_order_acquire);
    return atomic_load_explicit(here, memory_order_relaxed) != process;
}
""", "bool eti_is_inherited(uint32_t process);\n"),
    ],
}
# Members with constructors cannot be in one. Nothing here reads what another name has written.
UNION = re.compile(r"\bunion \{([^{}]*)\};")
FIELD = re.compile(r"(ET_ATOMIC\([^()]*\)|(?:const )?(?:struct |enum )?\w+) (.*)", re.S)


def fail(what):
    sys.exit(f"generate.py: {what}")


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def watched_fields(struct, body, plain):
    """The struct's text with watched fields, and the names of all fields, in their order."""
    lines, names, unused = [], [], set(plain)
    for part in re.findall(r"[^;{}]+;", UNION.sub(r"\1", without_comments(body))):
        part = " ".join(part.split())
        if own := re.fullmatch(r"struct (et_\w+) (\w+);", part):  # a struct of its own
            names.append(own[2])
            lines.append(part)
            continue
        found = FIELD.fullmatch(part[:-1].strip())
        if found is None:
            fail(f"struct {struct}: '{part}' is no field that is understood")
        for name in (each.strip() for each in found[2].split(",")):
            stars, name = re.fullmatch(r"(\**)(\w+)", name).groups()
            names.append(name)
            if name in plain:
                unused.discard(name)
                lines.append(f"{found[1]} {stars}{name};")
            elif found[1].startswith("ET_ATOMIC"):
                lines.append(f"{found[1]} {name};")
            else:
                kind = f"{found[1]} {stars}".strip()
                lines.append(f'watched<{kind}> {name}{{"{struct}.{name}"}};')
    if unused:
        fail(f"struct {struct} has no {', '.join(sorted(unused))}")
    return "".join(f"    {line}\n" for line in lines), names


def header(name):
    text, clears = (ROOT / "src" / name).read_text(), ""
    for old, new in REPLACED[name]:
        if text.count(old) != 1:
            fail(f"src/{name} has {text.count(old)} times: {old}")
        text = text.replace(old, new)
    for struct, plain in WATCHED[name].items():
        found = re.search(rf"^struct {struct} \{{([^\n]*)\}};", text, re.M) or re.search(
            rf"^struct {struct} \{{(.*?)^\}};", text, re.M | re.S)
        if found is None:
            fail(f"src/{name} has no struct {struct}")
        body, names = watched_fields(struct, found[1], plain)
        text = text[: found.start(1)] + "\n" + body + text[found.end(1):]
        if struct in CLEARED:
            clears += f"inline void clear(struct {struct} &object, size_t bytes) {{\n" + "".join(
                f"    if (offsetof(struct {struct}, {each}) < bytes)\n"
                f"        clear(object.{each});\n" for each in names) + "}\n"
    end = text.rindex("#endif")
    return text[:end] + clears + text[end:]


def calls():
    """Those of loop.c that are made here. The whole file is no C++ (nested designators)."""
    text = (ROOT / "src/loop.c").read_text()
    parts = []
    for name in CALLS:
        found = re.search(rf"^(?:static )?(?:int|void|bool) {name}\([^;{{]*\) \{{\n.*?^\}}\n", text,
                          re.M | re.S)
        if found is None:
            fail(f"src/loop.c has no {name}")
        line = text[: found.start()].count("\n") + 1
        parts.append(f'#line {line} "src/loop.c"\n{found[0]}')
    # Static in loop.c; a child of fork is not asked about here.
    return ('#include "internal.h"\n#include <errno.h>\n'
            "static void abandon_interrupted(struct et_loop *) {\n}\n" + "".join(parts))


def main():
    folder = pathlib.Path(sys.argv[1])
    made = {name: header(name) for name in WATCHED} | {"loop_calls.cc": calls()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    main()
