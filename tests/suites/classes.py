#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Classes of wrong loops that only their caller, or its peer, notices: one broken copy of Etalon's
adapter for each, before the judge that sees what a caller sees.

usage: classes.py [--check] [--all] [NAME...]

Each copy is shown the case that is named for it, and has to fail it by the clause that is named;
with --all it is shown all cases and 200 random programs, and what finds it is printed. The copy
without a fault must pass, and so must those without a clause. --check only looks whether each text
is still there. A copy replaces texts, in a file of src/ or one that is named from the root. Prints
the test-anything protocol. """
import argparse
import re
import shutil
import subprocess
import sys

import broken
import faults

WORK = broken.ROOT / "build/classes"
ADAPTER = "fuzz/driver/etalon_loop.c"

# Etalon's adapter as one of a loop that has files read and written by a thread of its own.
BY_A_THREAD = (
    (ADAPTER, "    etalon_loop.host = host;\n",
     "    struct et_pool_options one = {.threads_max = 1};\n"
     "    et_pool_init(&etalon_loop.pool, &one);\n"
     "    options.pool = &etalon_loop.pool;\n    etalon_loop.host = host;\n"),
    (ADAPTER, "    return et_loop_deinit(&etalon_loop.loop);",
     "    int error = et_loop_deinit(&etalon_loop.loop);\n"
     "    return error != 0 ? error : et_pool_deinit(&etalon_loop.pool);"),
    (ADAPTER, "    c->on_pool = d->on_pool != 0;",
     "    c->on_pool = (d->operation == ET_PREAD || d->operation == ET_PWRITE) &&\n"
     "                 lseek(d->fd, 0, SEEK_CUR) >= 0;"),
    (ADAPTER, "#include <string.h>\n", "#include <string.h>\n#include <unistd.h>\n"),
)


# Etalon's adapter as one of a loop that tries an operation when it is submitted, and tells in the
# next run what came of it: a noop tells that.
EAGER = (
    (ADAPTER, "static enum et_action on_callback(",
     """#include <sys/socket.h>

static struct {
    bool has;
    uint8_t operation;
    int64_t result;
} tried[COUNT];

static int64_t try_now(const struct et_completion *c) {
    int64_t value = -1;
    errno = EAGAIN;
    switch (c->operation) {
    case ET_CONNECT: value = connect(c->fd, c->connect.address, c->connect.address_length); break;
    case ET_SEND:
        value = send(c->fd, c->send.buffer, c->send.length,
                     c->send.flags | MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
    case ET_RECV:
        value = recv(c->fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);
        break;
    default: break;
    }
    return value < 0 ? -errno : value;
}

static enum et_action on_callback("""),
    (ADAPTER, "    enum etalon_subject_action action =\n",
     """    if (i < COUNT && tried[i].has && c->operation == ET_NOOP) {
        c->operation = tried[i].operation;
        result = result == 0 ? tried[i].result : result;
    }
    enum etalon_subject_action action =
"""),
    (ADAPTER, "    return et_loop_add(&etalon_loop.loop, etalon_completion(c));",
     """    struct et_completion *e = etalon_completion(c);
    if (d == NULL) /* it is in use, and so refused */
        return et_loop_add(&etalon_loop.loop, e);
    int64_t result = try_now(e);
    tried[c].has = result != -EAGAIN && result != -EINPROGRESS && result != -EALREADY;
    tried[c].operation = e->operation;
    tried[c].result = result;
    if (tried[c].has)
        e->operation = ET_NOOP;
    return et_loop_add(&etalon_loop.loop, e);"""),
)


# Etalon's adapter as one of a loop that calls back on a thread that each run makes.
BY_OTHERS = (
    (ADAPTER, "static int run(void *of, uint32_t mode) {\n    (void)of;\n"
     "    return et_loop_run(&etalon_loop.loop, (enum et_run_mode)mode);\n}",
     """static struct there {
    uint32_t mode;
    int result;
} there;

static void *run_there(void *self) {
    struct there *of = self;
    of->result = et_loop_run(&etalon_loop.loop, (enum et_run_mode)of->mode);
    return NULL;
}

static int run(void *of, uint32_t mode) {
    pthread_t thread;
    (void)of;
    there.mode = mode;
    pthread_create(&thread, NULL, run_there, &there);
    pthread_join(thread, NULL);
    return there.result;
}"""),
    (ADAPTER, "#include <string.h>\n",
     "#include <pthread.h>\n#include <string.h>\n"),
)
SAYS_SO = (ADAPTER, "    .offers = CALLS |", "    .offers = ETALON_OFFERS_THREADS | CALLS |")
# … and on one that a timer of no delay makes, which nobody has run.
UNASKED = (
    (ADAPTER, "    return et_loop_timer(&etalon_loop.loop, etalon_completion(c), delay_ms,\n"
     "                         callback_if(has_callback), (void *)(uintptr_t)userdata);",
     """    int result = et_loop_timer(&etalon_loop.loop, etalon_completion(c), delay_ms,
                               callback_if(has_callback), (void *)(uintptr_t)userdata);
    if (delay_ms == 0)
        run(of, ET_RUN_NO_WAIT);
    return result;"""),
    (ADAPTER, "static int timer(void *of,",
     "static int run(void *of, uint32_t mode);\n\nstatic int timer(void *of,"),
)


def edge_triggered(flags):
    """Etalon's adapter as one of a loop that says that it is edge-triggered, registered so: a rearm
    relies on its registration, and what is submitted is registered anew."""
    return ((ADAPTER, "    .offers = CALLS |", "    .offers = ETALON_OFFERS_EDGES | CALLS |"),
            ("registrations.c", "{.events = events,", "{.events = events | " + flags + ","))


OFFERS = ".offers = CALLS | OPERATIONS | THREADS | ETALON_OFFERS_ROUNDS | " \
    "ETALON_OFFERS_DESCRIPTOR_LIMIT,"


def offering(more, *less):
    """The adapter's offers, without rounds, with one more and without these."""
    without = " | ".join(f"ETALON_OFFERS_{name}" for name in less) or "0"
    return (ADAPTER, OFFERS, ".offers = ((CALLS | OPERATIONS | THREADS) & "
            f"~(uint64_t)({without})) |\n              ETALON_OFFERS_{more},")


def until_stopped(keeps="et_async_wait(&etalon_loop.loop, &kept, &keeper, NULL, NULL);",
                  goes_on="!etalon_loop.loop.stopped", stops="et_loop_stop(&etalon_loop.loop);",
                  clears="etalon_loop.loop.stopped = false;"):
    """Etalon's adapter as one of a loop that has one run alone, which goes on until it is stopped:
    turns, with a wait of the loop's own that nobody ends. A stop ends the run in progress."""
    return (
        offering("UNTIL_STOPPED", "NO_WAIT", "ONCE", "UNTIL_DONE", "TICK", "TURN", "STOPPED",
                 "GUARDED", "HOSTED"),
        (ADAPTER, "static enum et_action on_callback(",
         "static struct et_completion keeper;\nstatic struct et_async kept;\n"
         "static unsigned calls, stops;\n\nstatic enum et_action on_callback("),
        (ADAPTER, "    enum etalon_subject_action action =\n",
         "    calls++;\n    enum etalon_subject_action action =\n"),
        (ADAPTER, "    return et_loop_init(&etalon_loop.loop, &options);",
         "    memset(&keeper, 0, sizeof keeper);\n    memset(&kept, 0, sizeof kept);\n"
         "    int error = et_loop_init(&etalon_loop.loop, &options);\n"
         "    if (error != 0)\n        return error;\n"
         "    error = et_async_init(&kept);\n"
         "    if (error != 0)\n        et_loop_deinit(&etalon_loop.loop);\n"
         f"    else {{\n        {keeps}\n    }}\n    return error;"),
        (ADAPTER, "    return et_loop_deinit(&etalon_loop.loop);",
         "    int error = et_loop_deinit(&etalon_loop.loop);\n"
         "    return error != 0 ? error : et_async_deinit(&kept);"),
        (ADAPTER, "    return et_loop_run(&etalon_loop.loop, (enum et_run_mode)mode);",
         "    if (mode != ETALON_RUN_UNTIL_STOPPED)\n"
         "        return et_loop_run(&etalon_loop.loop, (enum et_run_mode)mode);\n"
         f"    {clears}\n    int error;\n    unsigned before;\n    do {{\n"
         "        before = calls;\n        (void)before;\n"
         "        error = et_loop_run(&etalon_loop.loop, ET_RUN_TURN);\n"
         f"    }} while (error == 0 && ({goes_on}));\n    return error;"),
        (ADAPTER, "    et_loop_stop(&etalon_loop.loop);", f"    {stops}"),
    )


def deletes_later(tells="told == ET_DELETING", refuses="tells(c) == ET_DELETING",
                  removes="et_loop_delete(&etalon_loop.loop, etalon_completion(c));"):
    """Etalon's adapter as one of a loop whose deletions take effect with the next turn: what is
    deleting is said to be in use, and its number refused."""
    return (
        offering("DELETES_LATER | ETALON_OFFERS_IN_USE", "STATE"),
        (ADAPTER, "static int init(",
         "static bool ever[COUNT];\n\nstatic int tells(uint32_t c) {\n"
         "    return (int)et_completion_state(etalon_completion(c));\n}\n\n"
         f"static bool refuses(uint32_t c) {{\n    return {refuses};\n}}\n\nstatic int init("),
        *((ADAPTER, f"    return et_loop_{call}(&etalon_loop.loop, etalon_completion(c){end}",
           f"    if (refuses(c))\n        return -EBUSY;\n    return et_loop_{call}("
           f"&etalon_loop.loop, etalon_completion(c){end}")
          for call, end in (("add", ");"), ("timer", ", delay"), ("timer_reset", ", completion"),
                            ("cancel", ", completion"))),
        (ADAPTER, "    return et_loop_delete(&etalon_loop.loop, etalon_completion(c));",
         f"    ever[c] = ever[c] || tells(c) != ET_DEAD;\n    return {removes}"),
        (ADAPTER, "    return (int)et_completion_state(etalon_completion(c));\n}\n\nstatic int run",
         f"    int told = tells(c);\n    return {tells} ? ET_ACTIVE : told;\n}}\n\nstatic int run"),
    )


def repeats(beat="beat[i] += c->timer.delay_ms * 1000000;", again="action == ETALON_REARM"):
    """Etalon's adapter as one of a loop whose timers repeat, by a beat: each deadline counts from
    the former one."""
    return (
        offering("REPEATS", "READD", "RESET", "RESET_ALONE"),
        (ADAPTER, "static enum et_action on_callback(",
         "static uint64_t beat[COUNT];\n\n"
         "static int timer_at(uint32_t i, void *userdata);\n\n"
         "static enum et_action on_callback("),
        (ADAPTER, "    /* A callback that freed the completion does not ask for a rearm. */\n",
         "    enum et_state state = i < COUNT ? et_completion_state(c) : ET_ACTIVE;\n"
         "    if (i < COUNT && c == etalon_completion(i) && c->operation == ET_TIMER &&\n"
         f"        (state == ET_DEAD || state == ET_DELETING) && ({again})) {{\n"
         f"        {beat}\n        timer_at(i, userdata);\n        return ET_DISARM;\n    }}\n"),
        (ADAPTER, "static int timer(void *of,",
         "static int timer_at(uint32_t i, void *userdata) {\n"
         "    uint64_t delay = etalon_completion(i)->timer.delay_ms;\n"
         "    uint64_t now = etalon_loop.loop.now_ns;\n"
         "    uint64_t left = beat[i] > now ? (beat[i] - now + 999999) / 1000000 : 0;\n"
         "    int error = et_loop_timer(&etalon_loop.loop, etalon_completion(i), left,\n"
         "                              on_callback, userdata);\n"
         "    etalon_completion(i)->timer.delay_ms = delay;\n    return error;\n}\n\n"
         "static int timer(void *of,"),
        (ADAPTER, "    return et_loop_timer(&etalon_loop.loop, etalon_completion(c), delay_ms,\n"
         "                         callback_if(has_callback), (void *)(uintptr_t)userdata);",
         "    uint64_t now = etalon_loop.loop.now_ns;\n"
         "    int error = et_loop_timer(&etalon_loop.loop, etalon_completion(c), delay_ms,\n"
         "                              callback_if(has_callback), (void *)(uintptr_t)userdata);\n"
         "    if (error == 0)\n"
         "        beat[c] = delay_ms > UINT64_MAX / 2000000 ? UINT64_MAX\n"
         "                                                  : now + delay_ms * 1000000;\n"
         "    return error;"),
    )


def refuses_datagrams(error):
    """Each send on a datagram socket ends with this error, and is not made."""
    return ("operations.c",
            "case ET_SEND: value = send(fd, c->send.buffer, c->send.length, "
            "c->send.flags | quietly); break;",
            "case ET_SEND: {\n"
            "        int type = 0;\n        socklen_t size = sizeof type;\n"
            "        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);\n"
            f"        if (type == SOCK_DGRAM)\n            errno = {error}, value = -1;\n"
            "        else\n            value = send(fd, c->send.buffer, c->send.length, "
            "c->send.flags | quietly);\n        break;\n    }")


CLASSES = [  # name, the case that shows it, the clause that is blamed, (file, old, new)...
    ("a cancel always loses", "cancel-of-what-waits", "ET-CANCEL-11",
     ("operations.c", "    return ours && (target->internal.state == ET_ACTIVE ||",
      "    if (ours && target->internal.state == ET_ACTIVE)\n        *result = -EALREADY;\n"
      "    return ours && (target->internal.state == ET_ADDING && false ||")),
    ("a write sends other bytes", "what-is-written-comes-there", "ET-OP-6",
     ("operations.c",
      "            send(c->internal.fd, c->write.buffer, c->write.length, MSG_NOSIGNAL",
      "            send(c->internal.fd, (char *)c + 1, c->write.length, MSG_NOSIGNAL")),
    ("a write to a pipe sends other bytes", "what-is-written-comes-there", "ET-OP-6",
     ("operations.c", "    return write(c->internal.fd, c->write.buffer, c->write.length);",
      "    return write(c->internal.fd, (char *)c + 1, c->write.length);")),
    ("a sendmsg sends its first piece twice", "what-is-written-comes-there", "ET-OP-6",
     ("operations.c",
      "value = sendmsg(fd, c->sendmsg.message, c->sendmsg.flags | quietly);",
      "{\n        struct msghdr message = *c->sendmsg.message;\n"
      "        struct iovec iov[2] = {message.msg_iov[0], message.msg_iov[1]};\n"
      "        iov[1].iov_base = iov[0].iov_base;\n"
      "        message.msg_iov = iov;\n"
      "        value = sendmsg(fd, &message, c->sendmsg.flags | quietly);\n    }")),
    ("an accept returns no address", "socket-life", "ET-OP-6",
     ("operations.c",
      "accept4(fd, c->accept.address, c->accept.address_length, c->accept.flags);",
      "accept4(fd, NULL, NULL, c->accept.flags);")),
    ("an accept is not close-on-exec", "socket-life", "ET-OP-6",
     ("operations.c", "c->accept.address_length, c->accept.flags);",
      "c->accept.address_length, c->accept.flags & ~02000000);")),
    ("an accept is in blocking mode", "socket-life", "ET-OP-6",
     ("operations.c", "c->accept.address_length, c->accept.flags);",
      "c->accept.address_length, c->accept.flags & ~04000);")),
    ("an accept swallows EMFILE", "descriptor-limit", "ET-EVENT-1",
     ("operations.c", "    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)",
      "    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == EMFILE)")),
    ("a send's flags are dropped", "send-flags-are-passed", "ET-OP-1",
     ("operations.c", "c->send.length, c->send.flags | quietly);", "c->send.length, quietly);")),
    ("a sendmsg's flags are dropped", "send-flags-are-passed", "ET-OP-1",
     ("operations.c", "c->sendmsg.message, c->sendmsg.flags | quietly);",
      "c->sendmsg.message, quietly);")),
    ("a shutdown shuts both ways", "shut-down-one-way", "ET-OP-6",
     ("operations.c", "shutdown(c->fd, c->shutdown.how)", "shutdown(c->fd, SHUT_RDWR)")),
    ("a write raises SIGPIPE", "write-to-socket", "ET-OP-5",
     ("operations.c", "c->write.length, MSG_NOSIGNAL | MSG_DONTWAIT);",
      "c->write.length, MSG_DONTWAIT);")),
    ("a send raises SIGPIPE", "connection-reset", "ET-OP-5",
     ("operations.c", "c->send.length, c->send.flags | quietly);",
      "c->send.length, c->send.flags | MSG_DONTWAIT);")),
    ("a connect ends with -ENOTCONN all the same", "socket-life", "ET-OP-1",
     ("operations.c", "            *result = 0;\n            return true;",
      "            *result = -ENOTCONN;\n            return true;")),
    ("an accept says EMFILE without a cause", "socket-life", "ET-OP-1",
     ("operations.c", "            eti_descriptor_opened(loop, (int)value);",
      "            errno = EMFILE, value = -1;")),
    ("a write says EFBIG without a cause", "write-to-socket", "ET-OP-1",
     ("operations.c", "case ET_WRITE: value = write_or_send(loop, c); break;",
      "case ET_WRITE: errno = EFBIG, value = -1; break;")),
    ("a reset is told as an end", "connection-reset", "ET-OP-1",
     ("operations.c", "    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)",
      "    if (errno == ECONNRESET) {\n        *result = 0;\n        return true;\n    }\n"
      "    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)")),
    ("what has ended is closed", "broken-pipe", "ET-REGISTER-9",
     ("operations.c", "case ET_READ: value = read(fd, c->read.buffer, c->read.length); break;",
      "case ET_READ:\n        value = read(fd, c->read.buffer, c->read.length);\n"
      "        if (value == 0 && c->read.length > 0)\n            close(fd);\n        break;")),
    ("a refused connect is a success", "connect-refused", "ET-OP-1",
     ("operations.c", "*result = -errno;\n        return errno != EINPROGRESS",
      "*result = errno == ECONNREFUSED ? 0 : -errno;\n        return errno != EINPROGRESS")),
    ("a connect that is refused later is a success", "inet-connect-refused", "ET-OP-1",
     ("operations.c", "    *result = -error;\n    return error != EINTR",
      "    *result = error == ECONNREFUSED ? 0 : -error;\n    return error != EINTR")),
    ("a pending error is read and dropped by a connect", "inet-connect-refused", "ET-OP-1",
     ("operations.c", "        error = errno;\n    if (error == 0) {",
      "        error = errno;\n    error = 0;\n    if (error == 0) {")),
    ("a pending error is read and dropped before a receive", "inet-reset", "ET-OP-1",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n",
      "{\n        int error;\n        socklen_t size = sizeof error;\n"
      "        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);\n"
      "        value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n"
      "        }\n")),
    ("a receive's flag for urgent data is dropped", "inet-urgent-received", "ET-OP-1",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);",
      "value = recv(fd, c->recv.buffer, c->recv.length,\n"
      "                     (c->recv.flags & ~MSG_OOB) | MSG_DONTWAIT);")),
    ("a receive's flag for the error queue is dropped", "inet-error-queue", "ET-EVENT-1",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);",
      "value = recv(fd, c->recv.buffer, c->recv.length,\n"
      "                     (c->recv.flags & ~MSG_ERRQUEUE) | MSG_DONTWAIT);")),
    ("urgent data are never asked for", "inet-urgent", "ET-REGISTER-1",
     ("registrations.c", "{.events = events,", "{.events = events & ~(uint32_t)EPOLLPRI,")),
    ("a refused datagram is a success", "datagram-refused", "ET-OP-1",
     ("operations.c", "    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)",
      "    if (errno == ECONNREFUSED) {\n        *result = 1;\n        return true;\n    }\n"
      "    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)")),
    ("a refused datagram is tried for ever", "datagram-refused", "ET-OP-1",
     ("operations.c", "errno == EWOULDBLOCK || errno == EINTR)",
      "errno == EWOULDBLOCK || errno == EINTR || errno == ECONNREFUSED)")),
    ("a refusal that waits for a receive is tried away", "inet-refusal-before-a-receive", "ET-OP-1",
     ("operations.c", "errno == EWOULDBLOCK || errno == EINTR)",
      "errno == EWOULDBLOCK || errno == EINTR || errno == ECONNREFUSED)")),
    ("time is taken from the wall clock", "loop-time", "ET-TIME-2",
     ("timers.c", "clock_gettime(CLOCK_MONOTONIC, &t);", "clock_gettime(CLOCK_REALTIME, &t);\n"
      "    t.tv_sec -= 1700000000;")),
    ("an interrupted wait is made again as long", "interrupted-waits", "ET-WAIT-2",
     ("kernel_phase.c",
      "        int count = epoll_pwait2(loop->epoll, events, REPORTS_MAX, timeout, NULL);",
      "        int count;\n        do\n"
      "            count = epoll_pwait2(loop->epoll, events, REPORTS_MAX, timeout, NULL);\n"
      "        while (count < 0 && errno == EINTR);")),
    ("a wake-up changes errno", "errno-is-left", "ET-WAKE-4",
     ("async.c", "    pthread_setcancelstate(cancelling, NULL);\n    errno = saved;",
      "    pthread_setcancelstate(cancelling, NULL);\n    errno = saved + 1;")),
    ("O_NONBLOCK of the caller is cleared", "descriptors-stay-as-they-are", "ET-REGISTER-9",
     ("operations.c", "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;",
      "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;\n"
      "    extern int fcntl(int, int, ...);\n"
      "    fcntl(c->fd, 4, fcntl(c->fd, 3) & ~04000);")),
    ("the loop's descriptors are not close-on-exec", "descriptors-stay-as-they-are", "ET-INIT-5",
     ("loop.c", "loop->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);",
      "loop->wakeup = eventfd(0, EFD_NONBLOCK);")),
    ("a closed file is kept open", "closed-files-end", "ET-CLOSE-4",
     ("operations.c", "    int result = close(fd) == 0 || errno == EINTR ? 0 : -errno;",
      "    extern int fcntl(int, int, ...);\n    fcntl(fd, 1030, 100);\n"
      "    int result = close(fd) == 0 || errno == EINTR ? 0 : -errno;")),
    ("a recvmsg returns no control data", "messages", "ET-OP-6",
     ("operations.c", "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);",
      "struct msghdr message = *c->recvmsg.message;\n        message.msg_control = NULL;\n"
      "        message.msg_controllen = 0;\n"
      "        value = recvmsg(fd, &message, c->recvmsg.flags | MSG_DONTWAIT);\n"
      "        c->recvmsg.message->msg_flags = message.msg_flags;")),
    ("a recvmsg returns no flags", "truncated-datagram", "ET-OP-6",
     ("operations.c", "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);",
      "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);\n"
      "        c->recvmsg.message->msg_flags = 0;")),
    ("an empty datagram is taken for nothing", "empty-datagram", "ET-SUBMIT-8",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n"
      "        int type = 0;\n        socklen_t size = sizeof type;\n"
      "        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);\n"
      "        if (value == 0 && type == SOCK_DGRAM)\n            return false;\n")),
    *[(f"what is submitted is tried at once, which is no fault: {case}", case, None, *EAGER)
      for case in ("send-released-with-its-loop", "both-ends-in-one-loop.trace",
                   "inet-datagram-urgent", "inet-connect-to-itself",
                   "urgent-byte-that-is-not-there.trace", "send-before-a-connect.trace")],
    *[(f"as it is: {case}", case, None)
      for case in ("orphaned-send.trace", "closed-and-closed-again.trace")],
    *[(f"a run until it is stopped, which is no fault: {case}", case, None, *until_stopped())
      for case in ("until-stopped", "stop-in-a-timer", "deadline-moves-nearer-in-the-wait",
                   "wakeup-in-the-wait", "timers-sorted")],
    ("a run until it is stopped ends as nothing is in use", "until-stopped", "ET-RUN-6",
     *until_stopped(keeps="", goes_on="!etalon_loop.loop.stopped && etalon_loop.loop.active > 0")),
    ("a run until it is stopped is ended by a wake-up", "until-stopped", "ET-RUN-6",
     *until_stopped(goes_on="!etalon_loop.loop.stopped && calls != before")),
    ("a run until it is stopped goes on after the stop", "timers-sorted", "ET-STOP-2",
     *until_stopped(stops="if (stops++ % 2 == 1)\n        et_loop_stop(&etalon_loop.loop);")),
    ("a loop that was stopped does not run again", "until-stopped", "ET-RUN-6",
     *until_stopped(clears="")),
    *[(f"deletions take effect with the next turn, which is no fault: {case}", case, None,
       *deletes_later())
      for case in ("deleted-for-the-next-turn", "timer-deletes-expired-timer",
                   "poll-deleted-in-the-batch", "done-when-the-last-is-deleted")],
    ("a deletion takes no effect with the next turn", "deleted-for-the-next-turn", "ET-DELETE-4",
     *deletes_later(removes="etalon_completion(c)->operation != ET_TIMER\n"
                    "               ? et_loop_delete(&etalon_loop.loop, etalon_completion(c))\n"
                    "               : 0;")),
    ("what was deleted is said to be in use for good", "deleted-for-the-next-turn", "ET-LINGER-2",
     *deletes_later(tells="told == ET_DELETING || ever[c]")),
    ("what was deleted is never to be used again", "deleted-for-the-next-turn", "ET-TIMER-1",
     *deletes_later(refuses="ever[c]")),
    *[(f"timers repeat by a beat, which is no fault: {case}", case, None, *repeats())
      for case in ("repeated-timer", "rearmed-timer", "timer-not-early-rearmed",
                   "until-done-is-until-all-is-done")],
    ("a timer is repeated too soon", "repeated-timer", "ET-REPEAT-1",
     *repeats("beat[i] += c->timer.delay_ms * 1000000 - 1500000;")),
    ("a timer is repeated too late", "repeated-timer", "ET-WAIT-2",
     *repeats("beat[i] += c->timer.delay_ms * 2000000;")),
    ("a timer comes once more when its callback has ended it", "timers-sorted", "ET-STATE-3",
     *repeats(again="action == ETALON_REARM || beat[i] % 2 == 0")),
    ("files by a thread, which is no fault", "places-in-a-file", None, *BY_A_THREAD),
    ("a pread is made at the beginning", "places-in-a-file", "ET-OP-6", *BY_A_THREAD,
     ("pool.c", "c->pread.length, c->pread.offset);", "c->pread.length, 0);")),
    ("a pwrite is made at the beginning", "places-in-a-file", "ET-OP-6", *BY_A_THREAD,
     ("pool.c", "c->pwrite.length, c->pwrite.offset);", "c->pwrite.length, 0);")),
    ("a read asks for less than there is room for", "reads-take-what-there-is", "ET-OP-6",
     ("operations.c", "value = read(fd, c->read.buffer, c->read.length); break;",
      "value = read(fd, c->read.buffer, (c->read.length + 1) / 2); break;")),
    ("a receive asks for less than there is room for", "reads-take-what-there-is", "ET-OP-6",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);",
      "value = recv(fd, c->recv.buffer, c->recv.length < 5 ? c->recv.length : 5,\n"
      "                     c->recv.flags | MSG_DONTWAIT);")),
    ("a recvmsg fills its first piece alone", "messages-are-whole", "ET-OP-6",
     ("operations.c", "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);",
      "c->recvmsg.message->msg_iovlen = 1;\n"
      "        value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);\n"
      "        c->recvmsg.message->msg_iovlen = 2;")),
    ("a read tells of fewer bytes than it took", "reads-take-what-there-is", "ET-OP-1",
     ("operations.c", "value = read(fd, c->read.buffer, c->read.length); break;",
      "value = read(fd, c->read.buffer, c->read.length);\n        value -= value > 1; break;")),
    ("a receive tells of fewer bytes than it took", "reads-take-what-there-is", "ET-OP-1",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n"
      "        value -= value > 1;\n")),
    ("a write gives half", "writes-give-what-there-is-room-for", "ET-OP-6",
     ("operations.c",
      "            send(c->internal.fd, c->write.buffer, c->write.length, MSG_NOSIGNAL",
      "            send(c->internal.fd, c->write.buffer, (c->write.length + 1) / 2, MSG_NOSIGNAL")),
    ("a write to a pipe gives half", "writes-give-what-there-is-room-for", "ET-OP-6",
     ("operations.c", "    return write(c->internal.fd, c->write.buffer, c->write.length);",
      "    return write(c->internal.fd, c->write.buffer, (c->write.length + 1) / 2);")),
    ("a write to a pipe tells of fewer bytes than it gave", "writes-give-what-there-is-room-for",
     "ET-OP-1",
     ("operations.c", "    return write(c->internal.fd, c->write.buffer, c->write.length);",
      "    return write(c->internal.fd, c->write.buffer, c->write.length) - 1;")),
    ("a send gives half", "writes-give-what-there-is-room-for", "ET-OP-6",
     ("operations.c", "c->send.length, c->send.flags | quietly);",
      "(c->send.length + 1) / 2, c->send.flags | quietly);")),
    ("a send tells of fewer bytes than it gave", "writes-give-what-there-is-room-for", "ET-OP-1",
     ("operations.c", "c->send.length, c->send.flags | quietly); break;",
      "c->send.length, c->send.flags | quietly);\n        value -= value > 1; break;")),
    ("a sendmsg sends its first piece alone", "messages-are-whole", "ET-OP-6",
     ("operations.c", "value = sendmsg(fd, c->sendmsg.message, c->sendmsg.flags | quietly);",
      "{\n        struct msghdr message = *c->sendmsg.message;\n"
      "        message.msg_iovlen = 1;\n"
      "        value = sendmsg(fd, &message, c->sendmsg.flags | quietly);\n    }")),
    ("a datagram is sent in half", "messages-are-whole", "ET-OP-6",
     ("operations.c", "c->send.length, c->send.flags | quietly);",
      "(c->send.length + 1) / 2, c->send.flags | quietly);")),
    ("a pread asks for half", "places-in-a-file", "ET-OP-6", *BY_A_THREAD,
     ("pool.c", "c->pread.length, c->pread.offset);", "c->pread.length / 2, c->pread.offset);")),
    ("a pwrite gives half", "places-in-a-file", "ET-OP-6", *BY_A_THREAD,
     ("pool.c", "c->pwrite.length, c->pwrite.offset);",
      "c->pwrite.length / 2, c->pwrite.offset);")),
    *[(f"a datagram is refused with {error} without a cause", "messages-are-whole", "ET-OP-1",
       refuses_datagrams(error)) for error in ("EMSGSIZE", "EDESTADDRREQ", "EPIPE", "ECONNRESET")],
    *[(f"a datagram of the network is refused with {error} without a cause",
       "inet-datagrams-are-sent", "ET-OP-1", refuses_datagrams(error))
      for error in ("EMSGSIZE", "EDESTADDRREQ", "EPIPE", "ECONNRESET", "ECONNREFUSED")],
    ("a refusal that waits for a datagram's receiver is swallowed", "inet-datagram-refused",
     "ET-OP-1",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n"
      "        if (value < 0 && errno == ECONNREFUSED)\n            value = 0;\n")),
    ("a refusal that waits for who sends datagrams is swallowed", "inet-refusal-of-a-send",
     "ET-OP-1",
     ("operations.c", "c->send.length, c->send.flags | quietly); break;",
      "c->send.length, c->send.flags | quietly);\n"
      "        if (value < 0 && errno == ECONNREFUSED)\n"
      "            value = send(fd, c->send.buffer, c->send.length, c->send.flags | quietly);\n"
      "        break;")),
    ("a connection that the network refuses is told as none", "inet-connect-refused", "ET-OP-1",
     ("operations.c", "    int error = 0;\n    socklen_t length = sizeof error;\n",
      "    int error = 0;\n    socklen_t length = sizeof error;\n"
      "    if (hung_up) {\n        *result = -ENOTCONN;\n        return true;\n    }\n")),
    ("a connection that is refused is told as none", "connect-to-nobody", "ET-OP-1",
     ("operations.c", "*result = -errno;\n        return errno != EINPROGRESS",
      "*result = errno == ECONNREFUSED ? -ENOTCONN : -errno;\n"
      "        return errno != EINPROGRESS")),
    ("a reset of the network is told as an end", "inet-reset", "ET-OP-1",
     ("operations.c",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n",
      "value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);\n"
      "        if (value < 0 && errno == ECONNRESET)\n            value = 0;\n")),
    ("a reset of the network that comes meanwhile is told as an end", "inet-reset-while-it-waits",
     "ET-OP-1",
     ("operations.c", "value = read(fd, c->read.buffer, c->read.length); break;",
      "value = read(fd, c->read.buffer, c->read.length);\n"
      "        if (value < 0 && errno == ECONNRESET)\n            value = 0;\n        break;")),
    ("a message goes to the other end, not to its address", "messages-go-where-they-are-addressed",
     "ET-OP-6",
     ("operations.c", "value = sendmsg(fd, c->sendmsg.message, c->sendmsg.flags | quietly);",
      "{\n        struct msghdr message = *c->sendmsg.message;\n"
      "        message.msg_name = NULL;\n        message.msg_namelen = 0;\n"
      "        value = sendmsg(fd, &message, c->sendmsg.flags | quietly);\n    }")),
    ("a message goes to the address of the one before", "messages-go-where-they-are-addressed",
     "ET-OP-6",
     ("operations.c", "value = sendmsg(fd, c->sendmsg.message, c->sendmsg.flags | quietly);",
      "{\n        static struct sockaddr_storage first;\n"
      "        struct msghdr message = *c->sendmsg.message;\n"
      "        if (message.msg_name != NULL && first.ss_family == 0)\n"
      "            memcpy(&first, message.msg_name, message.msg_namelen);\n"
      "        if (message.msg_name != NULL)\n            message.msg_name = &first;\n"
      "        value = sendmsg(fd, &message, c->sendmsg.flags | quietly);\n    }"),
     ("operations.c", "#include <errno.h>\n", "#include <errno.h>\n#include <string.h>\n")),
    ("a recvmsg returns a sender's address of zeros", "who-has-sent-is-told", "ET-OP-6",
     ("operations.c", "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);",
      "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);\n"
      "        if (value >= 0 && c->recvmsg.message->msg_name != NULL)\n"
      "            memset(c->recvmsg.message->msg_name, 0, c->recvmsg.message->msg_namelen);"),
     ("operations.c", "#include <errno.h>\n", "#include <errno.h>\n#include <string.h>\n")),
    ("a recvmsg returns no sender's address", "who-has-sent-is-told", "ET-OP-6",
     ("operations.c", "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);",
      "value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);\n"
      "        if (value >= 0)\n            c->recvmsg.message->msg_namelen = 0;")),
    ("memory grows with each operation", "nothing-grows", "ET-STATE-9",
     ("operations.c", "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;",
      "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;\n"
      "    extern void *malloc(size_t);\n    static void *volatile last;\n"
      "    last = malloc(64);")),
    ("memory grows with each wake-up", "nothing-grows-with-wakeups", "ET-STATE-9",
     ("loop.c", "    if (loop != NULL && !eti_is_inherited(loop->process))\n        eti_raise",
      "    static void *volatile last;\n    last = malloc(48);\n"
      "    if (loop != NULL && !eti_is_inherited(loop->process))\n        eti_raise")),
    ("memory is kept by deinit", "released-loops-leave-no-memory", "ET-DEINIT-3",
     ("loop.c", "    free(loop->timers);\n", "")),
    ("a few bytes are kept by deinit", "released-loops-leave-no-memory", "ET-DEINIT-3",
     ("loop.c", "    free(loop->timers);\n",
      "    free(loop->timers);\n    static void *volatile last;\n    last = malloc(24);\n")),
    ("memory is freed in lots of a hundred", "nothing-grows", "",
     ("operations.c", "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;",
      "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;\n"
      "    extern void *malloc(size_t);\n    extern void free(void *);\n"
      "    static void *lot[100];\n    static unsigned count;\n"
      "    lot[count++] = malloc(48);\n    while (count == 100) {\n"
      "        for (unsigned i = 0; i < 100; i++)\n            free(lot[i]);\n"
      "        count = 0;\n    }")),
    ("descriptors grow with each operation", "nothing-grows", "ET-STATE-9",
     ("operations.c", "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;",
      "    bool trusted = c->internal.trusted && c->internal.fd == c->fd;\n"
      "    extern int fcntl(int, int, ...);\n    static int count;\n"
      "    if (count++ < 120)\n        fcntl(loop->wakeup, 1030, 100);")),
    *[(f"polls are edge-triggered, which is no fault: {case}", case, None,
       *edge_triggered("EPOLLET"))
      for case in ("edge-between-report-and-rearm", "edge-after-a-rearm", "edges-of-two-events",
                   "edges-behind-a-deletion", "rearmed-poll")],
    ("an edge after a rearm is lost", "edge-after-a-rearm", "ET-REGISTER-1",
     *edge_triggered("EPOLLET | EPOLLONESHOT")),
    ("an edge before the start is lost", "edge-before-the-next-poll", "ET-REGISTER-1",
     *edge_triggered("EPOLLET"),
     ("operations.c", "    eti_wait_on(loop, c, trusted);",
      "    (void)trusted;\n    eti_wait_on(loop, c, true);")),
    *[(f"callbacks come on the loop's own thread, which is no fault: {case}", case, None,
       *BY_OTHERS, SAYS_SO)
      for case in ("timers-sorted", "edge-between-report-and-rearm", "wakeup-in-the-wait",
                   "batch-deletes", "stop-in-a-timer", "interrupted-waits")],
    ("a callback comes on the loop's own thread while nothing runs", "timer-zero", "ET-CALL-5",
     *BY_OTHERS, SAYS_SO, *UNASKED),
    ("everything is registered anew in each round", "what-waits-costs-no-calls", "ET-REGISTER-10",
     ("kernel_phase.c", "    int count = wait_for_reports(loop, events, timeout);",
      "    for (int fd = 0; fd < loop->descriptors_used; fd++) {\n"
      "        struct et_descriptor *d = &loop->descriptors[fd];\n"
      "        struct epoll_event event = {.events = d->registered,\n"
      "                                    .data.u64 = (uint64_t)d->generation << 32 |\n"
      "                                                (uint32_t)fd};\n"
      "        if (d->is_registered)\n"
      "            epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event);\n    }\n"
      "    int count = wait_for_reports(loop, events, timeout);")),
]


def build(number, texts, good):
    objects = dict(good)
    for at, (path, text) in enumerate(texts.items()):
        source = WORK / f"fault-{number}-{at}.c"
        source.write_text(text)
        objects[path] = faults.compiled(source, WORK)
    adapter = WORK / f"{number}.so"
    subprocess.run(["cc", "-shared", "-pthread", "-Wl,-Bsymbolic", *objects.values(), "-o",
                    adapter], check=True)
    return adapter


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--all", action="store_true")
    options, made = broken.chosen(parser, CLASSES, lambda fault: fault[3:], "class", "classes")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    good = {broken.path_of(source.name): faults.compiled(source, WORK)
            for source in (broken.ROOT / "src").glob("*.c")}
    good[broken.path_of(ADAPTER)] = faults.compiled(broken.ROOT / ADAPTER, WORK)
    cases = sorted({case for (_, case, *_), _ in made} - {""})
    failed, count = 0, 0

    def report(name, passed, said):
        nonlocal failed, count
        count += 1
        failed += not passed
        print(f"{'ok' if passed else 'not ok'} {count} - {name}: {said}", flush=True)

    found = broken.failing_outside(build("good", {}, good), [] if options.all else cases,
                                   200 if options.all else 0)
    report("no fault", not found,
           f"failing: {broken.counted(len(found), 'case')}" if found else "nothing is blamed")
    for number, (fault, texts) in enumerate(made):
        name, case, clause = fault[:3]
        adapter = build(number, texts, good)
        found = broken.failing_outside(adapter, [] if options.all or not case else [case],
                                       200 if options.all or not case else 0)
        said = " ".join(f"{of} ({by})" for of, by in found[:4]) or "nothing"
        report(name, (case, clause) in found if clause else not found, said)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
