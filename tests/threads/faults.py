#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks what crosses threads on purpose, one fault at a time, and shows which checks find it: the
conformance cases on the simulated kernel (cases), the conformance kit on Etalon's adapter (kit),
the unit tests of the pool (unit), the stress test (stress), left alone (alone), under
AddressSanitizer (asan) and under ThreadSanitizer (tsan), and the unit tests with children (fork).

usage: faults.py [--check] [NAME...]     --check: only that every fault still has its text.

Called by `make thread-faults`.

Works on a copy under build/thread-faults; writes build/report/thread-faults.json. Exit status 1
when a fault is found by nothing, or a check finds something where there is no fault. """
import argparse
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/suites"))
import broken  # noqa: E402

WORK = ROOT / "build/thread-faults"
TARGETS = [
    "build/default/etalon", "build/asan/tests/unit/test_pool", "build/default/stress",
    "build/asan/stress", "build/tsan/stress", "build/default/tests/unit/test_fork"
]

LIMIT_S = 40  # a hang is how a lost wake-up shows

FAULTS = [  # name, then (file, what stands there, what the fault makes of it)…
    ("the push does not release", ("pool.c", "memory_order_release,", "memory_order_relaxed,")),
    ("the take does not acquire", ("pool.c", "NULL, memory_order_acquire);",
                                   "NULL, memory_order_relaxed);")),
    ("the wake comes before the push",
     ("pool.c", "worker->wakes = hand_over(worker->loop, worker->work);",
      "eti_raise(&worker->loop->wakers, &worker->loop->wakeup);\n"
      "        worker->wakes = false;\n        (void)hand_over(worker->loop, worker->work);")),
    ("nobody wakes the loop", ("pool.c", "return last == NULL;", "return false;")),
    ("only a thread that finds the list filled wakes the loop", ("pool.c", "return last == NULL;",
                                                       "return last != NULL;")),
    ("the completion is written to after the push",
     ("pool.c", "worker->work = NULL; /* ET-POOL-12 */",
      "worker->work->internal.on_pool = true;\n        worker->work = NULL;")),
    ("the list is read and not taken: delivered twice",
     ("pool.c", "atomic_exchange_explicit(&loop->handed_over, NULL, memory_order_acquire)",
      "atomic_load_explicit(&loop->handed_over, memory_order_acquire)")),
    ("the list is read, then emptied",
     ("pool.c", "atomic_exchange_explicit(&loop->handed_over, NULL, memory_order_acquire);",
      "atomic_load_explicit(&loop->handed_over, memory_order_acquire);\n"
      "    atomic_store_explicit(&loop->handed_over, NULL, memory_order_release);")),
    ("delivered last first",
     ("pool.c", "        c->internal.next = in_order;\n        in_order = c;\n        c = before;",
      "        (void)before;\n        return c;")),
    ("pool_deinit does not join", ("pool.c", "pthread_join(pool->workers[i].thread, NULL);",
                                   "pthread_detach(pool->workers[i].thread);")),
    ("deinit does not wait for executing work",
     ("pool.c", "while (loop->executing > 0) /* ET-POOL-13 */", "while (false)")),
    ("a thread leaves the loop before it wakes it",
     ("pool.c", "        if (worker->wakes)\n",
      "        leave_loop(worker->pool, worker->loop);\n        if (worker->wakes)\n"),
     ("pool.c",
      "        worker->phase = ETI_IDLE;\n        leave_loop(worker->pool, worker->loop);",
      "        worker->phase = ETI_IDLE;")),
    ("the last to leave tells nobody", ("pool.c", "        pthread_cond_broadcast(&pool->left);",
                                      "        (void)pool;")),
    ("a wake-up is not counted while it writes",
     ("async.c",
      "bool open = (atomic_fetch_add_explicit(users, 1, memory_order_relaxed) & OPEN) != 0;",
      "bool open = (atomic_load_explicit(users, memory_order_relaxed) & OPEN) != 0;"),
     ("async.c", "    atomic_fetch_sub_explicit(users, 1, memory_order_release);\n", "")),
    ("deinit does not wait for a wake-up in progress",
     ("async.c", "while (atomic_load_explicit(users, memory_order_acquire) != 0)",
      "while (false)")),
    ("the end of a wake-up does not release",
     ("async.c", "atomic_fetch_sub_explicit(users, 1, memory_order_release);",
      "atomic_fetch_sub_explicit(users, 1, memory_order_relaxed);")),
    ("a late wake-up writes all the same", ("async.c", "    if (open) {", "    {")),
    ("executing work is recalled",
     ("pool.c",
      "bool queued = c->internal.is_queued;\n    if (queued)\n        leave_queue(loop->pool, c);",
      "bool queued = true;\n    if (c->internal.is_queued)\n        leave_queue(loop->pool, c);")),
    ("work is recalled without the mutex",
     ("pool.c", "    pthread_mutex_lock(&loop->pool->mutex);\n    bool queued", "    bool queued"),
     ("pool.c",
      "        leave_queue(loop->pool, c);\n    pthread_mutex_unlock(&loop->pool->mutex);",
      "        leave_queue(loop->pool, c);")),
    ("work is queued and no thread told", ("pool.c", "    pthread_cond_signal(&pool->work);\n",
                                           "")),
    ("a thread that finds no work ends", ("pool.c", "bool goes_on = c != NULL || !pool->ending;",
                                          "bool goes_on = c != NULL;")),
    ("one thread is told that the pool ends",
     ("pool.c", "    pthread_cond_broadcast(&pool->work);\n",
      "    pthread_cond_signal(&pool->work);\n")),
    ("the last work is taken first",
     ("pool.c", "struct et_completion *c = pool->head; /* ET-POOL-2 */",
      "struct et_completion *c = pool->tail;")),
    ("deleted work that executes is dead at once",
     ("loop.c", "if (pooled && !eti_pool_recall(loop, c))",
      "if (pooled && !eti_pool_recall(loop, c) && false)")),
    ("what lingers does not keep the loop running",
     ("loop.c", "loop->active > 0 || loop->lingering > 0 ||", "loop->active > 0 ||")),
    ("a refused pool_deinit ends the threads", ("pool.c", "pool->ending = !used;",
                                                "pool->ending = true;")),
    ("only the first work of a queue is told of",
     ("pool.c", "    pthread_cond_signal(&pool->work);\n",
      "    if (pool->queued == 1)\n        pthread_cond_signal(&pool->work);\n")),
    ("a loop has left the pool before it has waited",
     ("pool.c", "    while (loop->executing > 0) /* ET-POOL-13 */",
      "    pool->loops--;\n    while (loop->executing > 0) /* ET-POOL-13 */"),
     ("pool.c", "        pthread_cond_wait(&pool->left, &pool->mutex);\n    pool->loops--;\n",
      "        pthread_cond_wait(&pool->left, &pool->mutex);\n")),
    ("the last to leave tells one loop only",
     ("pool.c", "        pthread_cond_broadcast(&pool->left);",
      "        pthread_cond_signal(&pool->left);")),
    ("a pooled call is made again after EINTR",
     ("pool.c", "    c->internal.result = value >= 0",
      "    if (value < 0 && errno == EINTR && c->internal.operation == ET_PREAD)\n"
      "        value = pread(fd, c->pread.buffer, c->pread.length, c->pread.offset);\n"
      "    c->internal.result = value >= 0")),
    ("a child waits for the pool's threads",
     ("loop.c", "    if (inherited)\n        abandon_interrupted(loop);\n    else\n", "")),
    ("a child's loop leaves what the pool has as it is",
     ("loop.c", "        eti_abandon(loop, loop->current);\n    eti_pool_forget(loop);\n",
      "        eti_abandon(loop, loop->current);\n")),
    ("a child cannot deinitialise in a callback",
     ("loop.c", "if (loop->in_callback && !inherited)", "if (loop->in_callback)")),
    ("a child waits for wake-ups that never end",
     ("loop.c", "    if (eti_is_inherited(loop->process))\n"
      "        eti_raise_forgets(&loop->wakers);\n    else\n", "")),
    ("a child ends the pool as its parent would",
     ("pool.c", "    if (eti_is_inherited(pool->process)) {\n        release(pool);",
      "    if (false) {\n        release(pool);")),
    ("a child waits for notifications that never end",
     ("async.c", "        eti_raise_forgets(&async->users); /* ET-FORK-2 */",
      "        eti_raise_ends(&async->users);")),
    ("a child's notify reaches the parent",
     ("async.c", "return eti_is_inherited(async->process) ? -ECHILD : 0;", "return 0;")),
    ("a child's wake-up reaches the parent",
     ("loop.c", "if (loop != NULL && !eti_is_inherited(loop->process))", "if (loop != NULL)")),
    ("a child uses the parent's loop",
     ("completion.c", "return eti_is_inherited(loop->process) ? -ECHILD : 0; /* ET-FORK-3 */",
      "return 0;")),
    ("a child's loop takes the parent's pool",
     ("pool.c", "    if (eti_is_inherited(pool->process))\n        return -ECHILD;\n", "")),
    ("a child takes its registrations back",
     ("loop.c", "    if (loop->wakeup >= 0)\n        close(loop->wakeup);",
      "    if (loop->wakeup >= 0) {\n"
      "        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->wakeup, NULL);\n"
      "        close(loop->wakeup);\n    }")),
    ("a child goes on with the timers",
     ("timers.c", "while (eti_is_ours(loop) && loop->expired != NULL)",
      "while (loop->expired != NULL)")),
    ("a child goes on with a cancel",
     ("operations.c", "return eti_is_ours(loop) && loop->current == c;",
      "return loop->current == c;")),
    ("a child goes on with the reports",
     ("kernel_phase.c", "i < count && eti_is_ours(loop); i++", "i < count; i++")),
    ("a child goes on to the kernel",
     ("loop.c", "return eti_is_ours(loop) && !loop->stopped;", "return !loop->stopped;")),
    ("a child's tick returns as if nothing had been",
     ("loop.c", "return eti_is_ours(loop) ? error : -ECHILD; /* ET-FORK-5 */", "return error;")),
    ("a child has its parent's number",
     ("process.c",
      "uint32_t next = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;",
      "uint32_t next = 1;")),
    ("nobody wipes the word",
     ("process.c", "(void)madvise(page, bytes, MADV_WIPEONFORK);", "")),
    ("nobody wipes the word where the kernel cannot",
     ("process.c", "pthread_atfork(before_fork, NULL, wipe)", "0")),
    ("pool threads take the program's signals", ("pool.c", "    sigfillset(&all);\n",
                                                 "    sigemptyset(&all);\n")),
]


def fails(command):
    """Whether it fails, hangs or crashes."""
    try:
        return subprocess.run(
            command, cwd=WORK, capture_output=True, timeout=LIMIT_S, env={
                "PATH": "/usr/bin:/bin", "TSAN_OPTIONS": "halt_on_error=1 exitcode=66"
            }).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def failing_case():
    for case in sorted((WORK / "spec/cases").glob("*.trace")):
        if fails(["build/default/etalon", "check-cases", "--world", "simulated", str(case)]):
            return case.stem
    return None


def fails_as_a_subject():
    """Judged by its interface alone, by the tool that holds the sound loop, with the threads of the
    faulty one."""
    subject = WORK / "build/etalon.so"
    subprocess.run(["tests/kit/build.sh", "fuzz/driver/etalon_loop.c",
                    str(subject)], cwd=WORK, check=True, env={**os.environ, "WERROR": ""})
    return fails(
        [str(ROOT / "build/default/etalon"), "check", "--quiet", "--watchdog", "3",
         str(subject)])


def checks():
    case = failing_case()
    found = ["cases (" + case + ")"] if case else []
    if fails_as_a_subject():
        found.append("kit")
    if fails(["build/asan/tests/unit/test_pool"]):
        found.append("unit")
    if fails(["build/default/tests/unit/test_fork"]):
        found.append("fork")
    for name, variant, operations, *more in [("stress", "default", 400000),
                                             ("alone", "default", 400000, "--alone", "--watchdog",
                                              "5"), ("asan", "asan", 100000),
                                             ("tsan", "tsan", 100000)]:
        if fails([f"build/{variant}/stress", "--operations", str(operations), *more]):
            found.append(name)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    _, made = broken.chosen(parser, FAULTS, lambda fault: fault[1:])
    broken.copy_tree(WORK, ["default", "asan", "tsan"])
    broken.inject(WORK, "no fault", {}, TARGETS)
    found = checks()
    if found:
        print(f"without a fault there are findings: {', '.join(found)}", file=sys.stderr)
        return 1
    rows = []
    for fault, files in made:
        broken.inject(WORK, fault[0], files, TARGETS)
        found = checks()
        broken.restore(WORK, files)
        rows.append({"fault": fault[0], "found_by": found})
        print(f"{'found    ' if found else 'NOT FOUND'} {fault[0]:52} {', '.join(found)}",
              flush=True)
    return broken.conclude("thread-faults.json", rows,
                                sum(not row["found_by"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
