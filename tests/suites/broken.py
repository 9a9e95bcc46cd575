# SPDX-License-Identifier: MIT
"""What the scripts share that change the source on purpose and ask a check what it says of it:
faults.py, bites.py, designs.py, fuzz_time.py, tests/threads/faults.py, model/spin/explore_faults.py
and coverage/mutate.py.

A change replaces texts: (file, what stands there, what comes in its place)…. A text must stand in
its file once: the lists are to be kept up to date.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program():
    return pathlib.Path(sys.argv[0]).name


def path_of(file):
    """A file is named from the root, or by its name alone in src/."""
    return pathlib.Path(file if "/" in file else f"src/{file}")


def counted(number, word, words=None):
    """ "1 case", "2 cases"."""
    return f"{number} {word if number == 1 else words or word + 's'}"


def chosen(parser, known, replacements, word="fault", words=None):
    """The options, with NAME… and --check added, and the entries of the list that are named, or
    all, with the texts that each makes: [(entry, {file: text})…]. With --check no more is asked
    than that these can be made. replacements: of an entry, as texts_of takes them."""
    parser.add_argument("--check", action="store_true",
                        help=f"only check that every {word} still has its text")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    named = [entry for entry in known if not options.name or entry[0] in options.name]
    if not named:
        parser.error(f"no {word} has such a name")
    made = [(entry, texts_of(entry[0], *replacements(entry))) for entry in named]
    if options.check:
        has = "has its" if len(made) == 1 else "have their"
        print(f"{counted(len(made), word, words)} {has} text")
        sys.exit(0)
    return options, made


def texts_of(name, *replacements):
    """{file from the root: text}: what a change makes of the files that it touches."""
    texts = {}
    for file, old, new in replacements:
        path = path_of(file)
        text = texts.get(path) or (ROOT / path).read_text(encoding="utf-8")
        if text.count(old) != 1:
            times = counted(text.count(old), "time")
            sys.exit(f"{program()}: '{name}': its text stands {times} in {path}, "
                     "expected once")
        texts[path] = text.replace(old, new)
    return texts


def copy_tree(work, variants):
    """A copy of the tree with its objects, so that only what a fault touches is compiled anew."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in ["Makefile", "src", "model", "fuzz", "spec", "tests"]:
        subprocess.run(["cp", "-a", str(ROOT / name), str(work / name)], check=True)
    (work / "build").mkdir()
    for name in variants:
        subprocess.run(["cp", "-a", str(ROOT / "build" / name), str(work / "build" / name)],
                       check=True)


def inject(work, name, texts, targets):
    """texts: what the fault makes of which files."""
    for path, text in texts.items():
        (work / path).write_text(text, encoding="utf-8")
    build = subprocess.run(["make", "-s", "-j2", "WERROR=", *targets], cwd=work,
                           capture_output=True, text=True)
    if build.returncode != 0:
        sys.exit(f"{program()}: '{name}' does not compile:\n{build.stderr}")


def restore(work, texts):
    for path in texts:
        # a new time stamp: it is compiled again
        shutil.copy(ROOT / path, work / path)


def fuzz(seconds, work, seeds=(), seed=1):
    """Seconds until the fuzzer, starting from copies of these folders, or else from nothing, stops
    at something, and what it says; or None."""
    corpus = work / "corpus"
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir()
    flags = (ROOT / "fuzz/libfuzzer.flags").read_text().split()
    started = time.monotonic()
    run = subprocess.run([work / "build/fuzz/harness", *flags, f"-max_total_time={seconds}",
                          f"-seed={seed}", f"-artifact_prefix={corpus}/found-", str(corpus),
                          *seeds],
                         capture_output=True, text=True, errors="replace", cwd=work,
                         env={**os.environ, "ASAN_OPTIONS": "symbolize=0:handle_abort=0"})
    if run.returncode == 0:
        return None
    said = re.search(r"difference: (\S+):|ERROR: (AddressSanitizer: [\w-]+|libFuzzer: timeout)|"
                     r"(runtime error): |(Assertion)", run.stderr)
    elapsed = time.monotonic() - started
    return elapsed, next(g for g in said.groups() if g) if said else "crash"


def failing(adapter, randoms, *options):
    """[(case, what is blamed)]: what `etalon check` says to fail, hang or crash, in its order."""
    run = subprocess.run([ROOT / "build/default/etalon", "check", *options, "--quiet",
                          "--tap", "-", "--random", str(randoms), adapter],
                         capture_output=True, text=True, errors="replace", cwd=ROOT)
    if run.returncode not in (0, 1):
        sys.exit(f"{program()}: {run.stdout}{run.stderr}")
    return re.findall(r"^not ok \d+ - \S+?/(\S+): \w+\n#   (?:it crashes: )?([A-Z0-9-]+)",
                      run.stdout, re.M)


def failing_outside(adapter, cases, randoms):
    """As failing, of these cases, by the judge from outside. A case that is a file of
    tests/suites/kit stands alone."""
    if len(cases) == 1 and cases[0].endswith(".trace"):
        named = ["--cases", ROOT / "tests/suites/kit" / cases[0]]
    else:
        named = [word for case in cases if not case.endswith(".trace")
                 for word in ("--case", case)]
    return failing(adapter, randoms, "--outside", "--strict", "--watchdog", "3", *named)


def conclude(report, rows, survived):
    """Writes build/report/REPORT; returns the exit status."""
    path = ROOT / "build/report" / report
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mutants": len(rows), "killed": len(rows) - survived,
                                "equivalent": 0, "survived": survived, "faults": rows},
                               indent=1) + "\n")
    print(f"{len(rows) - survived} of {counted(len(rows), 'fault')} were found")
    return 1 if survived else 0
