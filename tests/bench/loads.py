# SPDX-License-Identifier: MIT
"""The loads that bench.py measures, the curves of growth, the goals, and what cannot be measured
here, with the reason."""
import dataclasses
import resource

PEERS = ["libev", "libevent", "libuv"]
PLAIN = ["etalon", *PEERS, "floor"]
RESETS = ["etalon", "etalon_carrier", *PEERS, "floor"]
READY = ["etalon", "etalon_polls", *PEERS, "floor"]
TIMER_BYTES = 450  # of a loop's largest timer, and of what a load adds to it


@dataclasses.dataclass
class Load:
    name: str
    program: str
    load: str
    count: int
    quick: int = 0  # the count of `make bench-quick`; 0: not there
    subjects: list = dataclasses.field(default_factory=lambda: PLAIN)
    is_pinned: bool = True  # to one processor, so that where threads run is no matter of luck
    has_instructions: bool = True  # the same whenever it is run, and callgrind sees them
    item: str = ""  # what is so many, if the memory of each says something


LOADS = [
    Load("start and fire 1M", "timer_loads", "fire", 1_000_000, 1_000_000),
    Load("start and fire 10M", "timer_loads", "fire", 10_000_000),
    Load("start and stop 1M", "timer_loads", "stop", 1_000_000, 1_000_000, item="timer"),
    Load("reset at random", "timer_loads", "reset-random", 100_000, 100_000, RESETS, item="timer"),
    Load("reset to shorter", "timer_loads", "reset-shorter", 100_000, 100_000, RESETS),
    Load("reset the idle", "timer_loads", "reset-idle", 100_000, 100_000, RESETS),
    Load("reset the idle, a turn for each", "timer_loads", "reset-idle-each", 100_000, 0, RESETS),
    Load("an hour, tick by tick", "timer_loads", "hour", 1_000_000, has_instructions=False),
    Load("ping-pong 1", "io_loads", "ping-pong", 1, 1, READY),
    Load("ping-pong 100", "io_loads", "ping-pong", 100, 0, READY),
    Load("ping-pong 1,000", "io_loads", "ping-pong", 1000, 1000, READY),
    Load("ping-pong 9,000", "io_loads", "ping-pong", 9000, 0, READY),
    Load("TCP ping-pong 1", "net_loads", "tcp", 1, 0, READY),
    Load("TCP ping-pong 100", "net_loads", "tcp", 100, 100, READY),
    Load("TCP ping-pong 10,000", "net_loads", "tcp", 10_000, 0, READY, item="connection"),
    Load("10 beside 1,000 idle", "net_loads", "idle", 1000, 0, READY),
    Load("echo under load", "net_loads", "echo", 64, 0, READY, is_pinned=False),
    Load("UDP", "net_loads", "udp", 64, 64, READY),
    Load("connection churn", "net_loads", "churn", 64, 64, READY),
    Load("wake-ups", "io_loads", "wake-ups", 1, 1, has_instructions=False),
    Load("wake-ups, 1 producer", "thread_loads", "ask", 1, has_instructions=False),
    Load("wake-ups, 2 producers", "thread_loads", "ask", 2, has_instructions=False),
    Load("wake-ups, 4 producers", "thread_loads", "ask", 4, 4, has_instructions=False),
    Load("pool, 1 at once", "thread_loads", "pool", 1, has_instructions=False),
    Load("pool, 64 at once", "thread_loads", "pool", 64, 64, has_instructions=False),
    Load("submit and delete", "io_loads", "submit-delete", 100, 100),
]


@dataclasses.dataclass
class Curve:
    name: str
    program: str
    load: str
    counts: list
    subjects: list = dataclasses.field(default_factory=lambda: PLAIN)


TENS = [10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000]
CURVES = [
    Curve("start and fire, over the timers", "timer_loads", "fire", TENS),
    Curve("start and stop, over the timers", "timer_loads", "stop", TENS),
    Curve("reset at random, over the timers", "timer_loads", "reset-random", TENS[:-1]),
    Curve("10 busy, over the idle connections", "net_loads", "idle", TENS[:4], READY),
    Curve("TCP ping-pong, over the connections", "net_loads", "tcp", [1, *TENS[:4]], READY),
    Curve("begin and end a wait, over the completions", "io_loads", "waits", TENS[:-1]),
]

GOALS = [  # what, load, subject, against, at most
    ("start and fire", "start and fire 1M", "etalon", "libev", 0.8),
    ("start and stop", "start and stop 1M", "etalon", "libev", 1.0),
    ("reset", "reset at random", "etalon", "libev", 0.8),
    ("reset", "reset to shorter", "etalon", "libev", 0.8),
    ("reset", "reset the idle", "etalon", "libev", 0.8),
    ("reset with a carrier", "reset at random", "etalon_carrier", "libev", 1.5),
    ("reset with a carrier", "reset to shorter", "etalon_carrier", "libev", 1.5),
    ("reset with a carrier", "reset the idle", "etalon_carrier", "libev", 1.5),
    *((name, name, subject, "floor", 1.03)
      for name in ("ping-pong 1", "ping-pong 1,000", "ping-pong 9,000", "TCP ping-pong 10,000")
      for subject in ("etalon", "etalon_polls")),
    ("wake-ups", "wake-ups", "etalon", "floor", 1.05),
]
DEARER = ("TCP ping-pong 10,000", "TCP ping-pong 1", 1.3)  # for each message, at most

NO_POOL = "it has no thread pool"
NOT_THERE = {  # by load, or curve, and loop
    ("wake-ups", "libevent"): "its way is in the loads with producers: event_active",
    ("pool, 1 at once", "libev"): NO_POOL, ("pool, 1 at once", "libevent"): NO_POOL,
    ("pool, 64 at once", "libev"): NO_POOL, ("pool, 64 at once", "libevent"): NO_POOL,
    ("begin and end a wait, over the completions", "libuv"): "one watcher for each descriptor",
}
ENDS_AT = {  # a curve, for a loop
    ("begin and end a wait, over the completions", "libev"):
        (10_000, "it looks for the one that ends among all of its descriptor"),
}


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)


def why_not(program, load, count):
    """What this machine lacks for it, or None."""
    descriptors = {"net_loads": count + 100, "io_loads": 2 * min(count, 10_000) + 100}
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if load not in ("waits", "submit-delete") and limit != resource.RLIM_INFINITY and \
            descriptors.get(program, 0) > limit:
        return f"the hard limit of descriptors is {limit:,}"
    if program == "timer_loads" and count * TIMER_BYTES > available_bytes():
        return f"needs {count * TIMER_BYTES / 1e9:.1f} GB of memory"
    return None
