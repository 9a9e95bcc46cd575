#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures how exact timers are on the real clock: Etalon's, and those of the loops beside it that
are installed, in one run. Called by `make timer-accuracy`.

usage: timers.py COUNT FOLDER     COUNT timers of each delay; the programs are FOLDER/timers-LOOP

Each delay is measured with one loop after the other, so that what else the machine does befalls
all of them. Writes build/report/timers.json. Exit status 1 when a timer of Etalon's was early."""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOOPS = {  # and the call of each that makes it look at the clock before a timer is started
    "etalon": "et_loop_update_now", "libuv": "uv_update_time", "libev": "ev_now_update",
    "libevent": "event_base_update_cache_time",
    "libevent_precise": "the same, with EVENT_BASE_FLAG_PRECISE_TIMER"
}
DELAYS_MS = (1, 2, 5, 10)


def measured(program, count, delay_ms):
    run = subprocess.run([program, str(count), str(delay_ms)], stdout=subprocess.PIPE, text=True,
                         timeout=600, check=False)
    if run.returncode not in (0, 1):
        sys.exit(f"timers.py: {program} ends with {run.returncode}")
    return json.loads(run.stdout)


def main():
    count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    programs = {loop: folder / f"timers-{loop}" for loop in LOOPS}
    rows = []
    for loop, program in programs.items():
        if not os.access(program, os.X_OK):
            print(f"{loop}: not installed")
    print(f"{count} timers of each delay; early: before the delay had gone by since the clock was "
          "read, right before the start; how late: µs")
    print(f"{'delay':>6}  {'loop':18}{'early':>8}{'min':>10}{'median':>10}{'p99':>10}{'max':>10}")
    for delay_ms in DELAYS_MS:
        for loop, program in programs.items():
            if not os.access(program, os.X_OK):
                continue
            row = {"loop": loop, **measured(program, count, delay_ms)}
            rows.append(row)
            late = row["late_us"]
            print(f"{delay_ms:3} ms  {loop:18}{row['early']:8}" +
                  "".join(f"{late[key]:10.1f}" for key in ("min", "median", "p99", "max")),
                  flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            cwd=ROOT, check=False).stdout.strip()
    report = ROOT / "build/report/timers.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"commit": commit, "timers": rows}, indent=1) + "\n")
    early = sum(row["early"] for row in rows if row["loop"] == "etalon")
    print("no timer of Etalon's was early" if early == 0 else f"{early} of Etalon's were early")
    return 1 if early else 0


if __name__ == "__main__":
    sys.exit(main())
