# SPDX-License-Identifier: MIT
"""What a process has started, and how it is ended. For fuzz/run and tests/run, of which nothing is
to be left behind."""
import glob
import os
import signal
import time

GRACE_S = 5  # for what is asked to end, to remove what it has made


def processes():
    """{(process, when it began): (parent, session)} of those that have not ended. A number alone
    may have a new owner."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:
            continue  # it has ended meanwhile
        fields = text.rsplit(")", 1)[1].split()
        if fields[0] != "Z":
            found[int(text.split(" ", 1)[0]), int(fields[19])] = int(fields[1]), int(fields[3])
    return found


def family(pid):
    """A process, all of the session that it leads, and all that these have started."""
    everybody, members = processes(), {pid}
    size = 0
    while size != len(members):
        size = len(members)
        members |= {each for (each, _), (parent, session) in everybody.items()
                    if parent in members or session == pid}
    return {each for each in everybody if each[0] in members}


def end(members):
    """Ends those of members(), which is asked anew each time: first asking, then at once."""
    known, deadline = set(), time.monotonic() + GRACE_S
    for number in signal.SIGTERM, signal.SIGKILL:
        known |= members()
        for pid, _ in known & processes().keys():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        while known & processes().keys() and time.monotonic() < deadline:
            time.sleep(0.05)
