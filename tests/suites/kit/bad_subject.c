/* SPDX-License-Identifier: MIT */
/* A small loop of timers, polls, wake-ups and operations of sockets and pipes as a subject, with
 * one fault that is chosen when it is compiled (-DFAULT=…): so that the runner and the judge from
 * outside are seen to find it, and to survive it. tests/suites/kit/faults.sh lists the faults and
 * what must come of each. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <dlfcn.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "etalon_subject.h"

#define FUTEX_WAIT_PRIVATE 128 /* of linux/futex.h, which not every C library comes with */
#define FUTEX_WAKE_PRIVATE 129

#ifndef FAULT
#define FAULT NONE
#endif

enum fault {
    NONE,
    /* at the first callback */
    CRASH,
    ABORTS,
    CRASHES_TWICE, /* in two places */
    ASSERTS,
    TALKS, /* more than a file may hold, on standard error */
    EXITS,
    LOOPS,
    SLEEPS,
    SCRIBBLES,
    CLOSES,
    SHOUTS,
    STOPS_ITSELF,
    FORKS,
    FORKS_AND_SLEEPS,
    SPAWNS_AND_SLEEPS,   /* by other calls than fork(), and one leaves its group and session */
    ESCAPES,             /* as FORKS, out of its process group */
    WAITS_BY_THE_KERNEL, /* where no name of the C library stands in between */
    WAITS_ON_A_CONDITION,
    TIMES_BY_A_POSIX_TIMER,
    TIMES_BY_AN_INTERVAL_TIMER,
    OVERFLOWS,
    /* in its ways as a loop */
    EARLY,
    LATE,
    WHEEL, /* its timers are due at the next multiple of 4 ms */
    TWICE,
    NEVER,
    UNSORTED,
    OTHER_USERDATA,
    AFTER_DELETION,
    IN_THE_CALL,
    SPINS,
    WAITS_FOR_EVER,
    NO_WAIT_WAITS,
    NEVER_DONE,
    LEAKS,
    TIME_BACK,
    GOES_ON_AFTER_STOP,
    LIES_ABOUT_STATE,
    OTHER_NUMBER,
    FAILS_INIT,
    ENDS_AT_EINTR,
    FAILS_AFTER_EINTR,
    /* in its delays */
    CUTS_DELAYS,
    OVERFLOWS_NANOSECONDS,
    OVERFLOWS_MICROSECONDS,
    OVERFLOWS_MILLISECONDS,
    REFUSES_LONG,         /* and is late */
    WAITS_IN_NANOSECONDS, /* no fault */
    /* in its wake-ups and polls */
    DRAINS_LATE,
    DRAINS_NEVER,
    KEEPS_WAKEUPS,
    POLLS_FAIL,
    POLLS_ARE_CANCELLED,
    POLLS_ARE_READY,
    POLLS_TELL_MORE,
    /* in its operations */
    READS_FAIL,
    READS_END,
    READS_CLAIM_ALL,
    READS_CLAIM_MORE,
    READS_HOLD_OTHER_BYTES,
    READS_LOSE_BYTES,
    READS_WAIT,
    READS_GO_ON,
    WRITES_DO_NOTHING,
    ACCEPTS_FAIL,
    ACCEPTS_NOTHING,
    CONNECTS_FAIL,
    CONNECTS_DO_NOTHING,
    SHUTDOWNS_FAIL,
    SHUTDOWNS_DO_NOTHING,
    CLOSES_FAIL,
    CLOSES_DO_NOTHING,
    NEVER_CANCELS,
    /* no faults: other ways to wait, to be woken and to read */
    WAITS_BY_PSELECT,
    WAITS_BY_SYSCALL,
    WAITS_ON_A_TIMED_CONDITION, /* while another thread asks the kernel, as Tcl's does */
    WAITS_ON_A_SEMAPHORE,       /* likewise */
    WAITS_ON_A_FUTEX,           /* likewise */
    WOKEN_BY_A_SIGNALFD,
    HAS_NO_UPDATE, /* of its time */
    WAITS_BY_CLOCK_NANOSLEEP,
    READS_BY_THREADS,
    /* in what its calls return, and in its results */
    REFUSES_TIMERS,
    REFUSES_ZERO,
    REFUSES_OPERATIONS,
    REFUSES_CANCELS,
    REFUSES_DELETIONS,
    REFUSES_EMPTY_DELETIONS,
    FAILS_DEINIT,
    FAILS_RUN,
    TIMERS_HAVE_RESULTS,
    NOOPS_HAVE_RESULTS,
    NOOPS_WAIT,
    TIMERS_WAIT,
    BACKWARDS,
    TIME_AHEAD,
    TIME_JUMPS_BACK,
    RETURNS_EARLY,
    RETURNS_WOKEN,
    RETURNS_BETWEEN,
    WAITS_AGAIN,
    READS_HALF_A_COUNTER,
    FAILS_ASYNC_INIT,
    ONLY_TIMERS, /* aborts at any operation but a poll */
    /* in its asyncs */
    LOSES_A_NOTIFICATION,
    NOTIFIED_TWICE,
    NOTIFIED_UNASKED,
    REFUSES_TO_NOTIFY,
    LEAKS_ASYNCS,
    /* when it is loaded */
    OTHER_VERSION,
    NO_NAME,
    INCOMPLETE,
    CRASHES_EARLY,
    HANGS_EARLY,
    EXITS_EARLY,
    HALF_ROUNDS,
    NO_ASYNC_WAIT,
    OLDER, /* its struct has fewer members: no fault */
    TOO_SHORT,
};

static struct {
    const struct etalon_subject_host *host;
    struct {
        int used;
        uint64_t deadline, order;
        uint32_t userdata;
    } timer[ETALON_SUBJECT_COMPLETIONS];
    struct {
        int fd; /* 0: not initialised */
        int waits;
        uint64_t order;
        uint32_t waiter, userdata;
    } async[ETALON_SUBJECT_ASYNCS];
    struct operation {
        int used, at_once, deleted, error; /* of what could not be registered */
        uint64_t order;
        struct etalon_subject_description d;
    } poll[ETALON_SUBJECT_COMPLETIONS];
    uint64_t now, orders;
    int begun; /* the next millisecond has */
    unsigned calls;
    int epoll, wakeup, told, stopped, kept;
} loop;

static uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    loop.begun = now.tv_nsec % 1000000 != 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void scribble(void) {
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        char *end, *mode;
        unsigned long from = strtoul(line, &end, 16), to = strtoul(end + 1, &mode, 16);
        if (mode[2] == 'w' && mode[4] == 's') /* what is shared with the runner */
            memset((void *)from, 0xff, to - from);
    }
    __builtin_trap();
}

static void overflow(void) {
    volatile char small[16], *p = small;
    for (unsigned i = 0; i < 100000000; i++)
        p[i] = 1;
}

static volatile int hundred = 100;

__attribute__((noinline)) static void in_a_timer(void) {
    *(volatile int *)16 = hundred;
}

__attribute__((noinline)) static void in_a_deletion(void) {
    *(volatile int *)32 = hundred;
}

static void talk(void) {
    static char line[1 << 16];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 300; i++)
        (void)!write(STDERR_FILENO, line, sizeof line);
}

/* As a library that asks Linux by instructions of its own. */
#define unseen_call(...)                                                                           \
    ((long (*)(long, ...))dlsym(dlopen("libc.so.6", RTLD_LAZY), "syscall"))(__VA_ARGS__)

static void misbehave(void) {
    switch (FAULT) {
    case CRASH: *(volatile int *)16 = 1; break;
    case ABORTS: abort();
    case CRASHES_TWICE: in_a_timer(); break;
    case ASSERTS: {
        int fewer_than_a_hundred = hundred < 100;
        assert(fewer_than_a_hundred);
        break;
    }
    case TALKS: talk(); break;
    case EXITS: exit(0);
    case LOOPS:
        for (volatile int i = 0;; i++) {
        }
    case SLEEPS: {
        struct timespec long_time = {3600, 0};
        unseen_call(SYS_nanosleep, &long_time, NULL);
        break;
    }
    case SCRIBBLES: scribble(); break;
    case CLOSES:
        for (int fd = 0; fd < 1024; fd++)
            close(fd);
        break;
    case SHOUTS:
        for (int i = 0; i < 1000; i++)
            puts("ok 1 - everything is fine"), fputs("not ok\n", stderr);
        fflush(NULL);
        break;
    case STOPS_ITSELF: raise(SIGSTOP); break;
    case FORKS:
        if (fork() == 0)
            pause();
        break;
    case FORKS_AND_SLEEPS:
        (void)fork();
        pause();
        break;
    case SPAWNS_AND_SLEEPS: {
        static char *const waits[] = {"sleep", "977.32", NULL}, *const apart[] = {"setsid", "sleep",
                                                                                  "977.32", NULL};
        pid_t child;
        posix_spawnp(&child, *waits, NULL, NULL, waits, environ);
        posix_spawnp(&child, *apart, NULL, NULL, apart, environ);
        if (vfork() == 0) {
            execvp(*waits, waits);
            _exit(1);
        }
        pause();
        break;
    }
    case ESCAPES:
        if (fork() == 0) {
            setsid();
            pause();
        }
        break;
    case OVERFLOWS: overflow(); break;
    default: break;
    }
}

#define WAKEUP 100 /* in a report, instead of a completion */
#define ASYNC  101
#define TOLD   102

static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int init(const struct etalon_subject_host *host, void **self) {
    memset(&loop, 0, sizeof loop);
    loop.host = host;
    loop.now = milliseconds();
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.wakeup =
        FAULT == WOKEN_BY_A_SIGNALFD ? open_signals() : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKEUP};
    epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wakeup, &event);
    loop.told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event.data.u64 = TOLD;
    epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.told, &event);
    *self = &loop;
    return FAULT == FAILS_INIT ? -12 : 0;
}

static void end_reader(uint32_t c);

static int deinit(void *self) {
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (loop.async[a].fd != 0 && FAULT != LEAKS_ASYNCS)
            close(loop.async[a].fd);
    if (FAULT != LEAKS)
        close(loop.epoll);
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        end_reader(c);
    close(loop.wakeup);
    close(loop.told);
    return FAULT == FAILS_DEINIT ? -EIO : 0;
}

static int async_init(void *self, uint32_t a) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = ASYNC};
    (void)self;
    if (FAULT == FAILS_ASYNC_INIT)
        return -ENOMEM;
    loop.async[a].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop.async[a].waits = 0;
    return epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.async[a].fd, &event);
}

static int async_deinit(void *self, uint32_t a) {
    (void)self;
    close(loop.async[a].fd);
    loop.async[a].fd = 0;
    return 0;
}

static int async_notify(void *self, uint32_t a) {
    uint64_t one = 1;
    (void)self;
    if (FAULT == REFUSES_TO_NOTIFY)
        return -11;
    return FAULT == LOSES_A_NOTIFICATION || write(loop.async[a].fd, &one, sizeof one) == sizeof one
               ? 0
               : -11;
}

static int async_wait(void *self, uint32_t c, uint32_t a, uint32_t userdata, int has_callback) {
    (void)has_callback;
    loop.async[a].waits = 1;
    loop.async[a].order = loop.orders++;
    loop.async[a].waiter = c;
    loop.async[a].userdata = userdata;
    return FAULT == NOTIFIED_UNASKED ? async_notify(self, a) : 0;
}

static void call(uint32_t c, int64_t result, uint32_t userdata) {
    loop.calls++;
    loop.host->called(c, result, userdata);
}

static void end_waits(uint64_t until) {
    uint64_t count;
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++) {
        if (loop.async[a].fd == 0 || loop.stopped ||
            (loop.async[a].waits && loop.async[a].order >= until) ||
            read(loop.async[a].fd, &count, sizeof count) < 0)
            continue;
        for (int twice = FAULT == NOTIFIED_TWICE; loop.async[a].waits && twice >= 0; twice--) {
            loop.async[a].waits = 0;
            call(loop.async[a].waiter, FAULT == READS_HALF_A_COUNTER ? 4 : 8,
                 loop.async[a].userdata);
        }
    }
}

static int waits(void) {
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (loop.async[a].fd != 0 && loop.async[a].waits)
            return 1;
    for (unsigned c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        if (loop.poll[c].used)
            return 1;
    return 0;
}

/* ---- reads by threads ------------------------------------------------------------------------ */

static struct reader {
    pthread_t thread;
    int runs;
    atomic_int ends, done;
    int64_t result;
} reader[ETALON_SUBJECT_COMPLETIONS];

static void *read_there(void *self) {
    struct reader *r = self;
    const struct etalon_subject_description *d = &loop.poll[r - reader].d;
    struct pollfd p = {.fd = d->fd, .events = POLLIN};
    uint64_t one = 1;
    while (!atomic_load(&r->ends)) {
        if (poll(&p, 1, 1) <= 0 || atomic_load(&r->ends))
            continue;
        ssize_t got = d->operation == ETALON_RECV ? recv(d->fd, d->buffer, d->length, MSG_DONTWAIT)
                                                  : read(d->fd, d->buffer, d->length);
        r->result = got < 0 ? -errno : got;
        if (r->result == -EAGAIN)
            continue;
        atomic_store(&r->done, 1);
        (void)!write(loop.told, &one, sizeof one);
        break;
    }
    return NULL;
}

static void end_reader(uint32_t c) {
    atomic_store(&reader[c].ends, 1);
    if (reader[c].runs)
        pthread_join(reader[c].thread, NULL);
    reader[c].runs = 0;
}

static void begin_reader(uint32_t c) {
    end_reader(c);
    atomic_store(&reader[c].ends, 0);
    atomic_store(&reader[c].done, 0);
    reader[c].runs = pthread_create(&reader[c].thread, NULL, read_there, &reader[c]) == 0;
}

/* ---- operations ------------------------------------------------------------------------------ */

static int is_at_once(uint32_t operation) {
    return operation == ETALON_NOOP || operation == ETALON_SHUTDOWN || operation == ETALON_CLOSE ||
           operation == ETALON_CONNECT || operation == ETALON_CANCEL;
}

static int takes(uint32_t operation) {
    return operation == ETALON_READ || operation == ETALON_RECV || operation == ETALON_RECVMSG;
}

static int gives(uint32_t operation) {
    return operation == ETALON_WRITE || operation == ETALON_SEND || operation == ETALON_SENDMSG;
}

static void start(uint32_t c, const struct etalon_subject_description *d, int error) {
    loop.poll[c] = (struct operation){.used = 1,
                                      .at_once = error != 0 || is_at_once(d->operation),
                                      .error = error,
                                      .order = loop.orders++,
                                      .d = *d};
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *d) {
    struct epoll_event event = {.events = gives(d->operation)           ? EPOLLOUT
                                          : d->operation == ETALON_POLL ? d->events
                                                                        : EPOLLIN,
                                .data.u64 = c};
    (void)self;
    if (FAULT == ONLY_TIMERS && d->operation != ETALON_POLL)
        abort();
    if (FAULT == REFUSES_OPERATIONS)
        return -ENOMEM;
    if (FAULT == READS_BY_THREADS && takes(d->operation) &&
        (d->flags & (MSG_OOB | MSG_ERRQUEUE)) == 0) {
        start(c, d, 0);
        begin_reader(c);
        return 0;
    }
    int fails =
        !is_at_once(d->operation) && epoll_ctl(loop.epoll, EPOLL_CTL_ADD, d->fd, &event) != 0;
    start(c, d, fails ? -errno : 0);
    return 0;
}

static int cancel(void *self, uint32_t c, uint32_t target, uint32_t userdata, int has_callback) {
    struct etalon_subject_description d = {
        .operation = ETALON_CANCEL, .fd = -1, .target = target, .userdata = userdata};
    (void)self, (void)has_callback;
    if (FAULT == REFUSES_CANCELS)
        return -ENOMEM;
    start(c, &d, 0);
    return 0;
}

static void wakeup(void *self) {
    uint64_t one = 1;
    (void)self;
    if (FAULT == WOKEN_BY_A_SIGNALFD)
        kill(getpid(), SIGUSR1);
    else if (write(loop.wakeup, &one, sizeof one) < 0)
        abort();
}

static void end_poll(uint32_t c) {
    end_reader(c);
    if (loop.poll[c].used && !loop.poll[c].at_once)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, loop.poll[c].d.fd, NULL);
    loop.poll[c].used = 0;
}

static int64_t value(ssize_t result) {
    return result < 0 ? -errno : result;
}

static int64_t take(const struct etalon_subject_description *d) {
    if (d->operation == ETALON_RECVMSG)
        return FAULT == READS_FAIL ? -EIO
                                   : value(recvmsg(d->fd, d->message, d->flags | MSG_DONTWAIT));
    int64_t got = value(d->operation == ETALON_RECV
                            ? recv(d->fd, d->buffer, d->length, d->flags | MSG_DONTWAIT)
                            : read(d->fd, d->buffer, d->length));
    if (FAULT == READS_HOLD_OTHER_BYTES && got > 0)
        memset(d->buffer, 'x', d->length);
    if (FAULT == READS_LOSE_BYTES && got > 0)
        got = value(read(d->fd, d->buffer, d->length)) > 0 ? got : got;
    return got < 0                     ? got
           : FAULT == READS_CLAIM_ALL  ? (int64_t)d->length
           : FAULT == READS_CLAIM_MORE ? (int64_t)d->length + 1
                                       : got;
}

static int64_t give(const struct etalon_subject_description *d) {
    if (FAULT == WRITES_DO_NOTHING)
        return (int64_t)d->length;
    if (d->operation == ETALON_SENDMSG)
        return value(sendmsg(d->fd, d->message, d->flags | MSG_DONTWAIT | MSG_NOSIGNAL));
    int64_t sent = value(send(d->fd, d->buffer, d->length, d->flags | MSG_DONTWAIT | MSG_NOSIGNAL));
    return sent == -ENOTSOCK && d->operation == ETALON_WRITE
               ? value(write(d->fd, d->buffer, d->length))
               : sent; /* a write to a socket would raise SIGPIPE */
}

/* What comes of the operation that the kernel has reported; -EAGAIN: it goes on waiting. */
static int64_t try(const struct etalon_subject_description *d, uint32_t events) {
    switch (d->operation) {
    case ETALON_POLL:
        return FAULT == POLLS_TELL_MORE ? events | (d->events & EPOLLOUT ? EPOLLHUP : EPOLLOUT)
                                        : events;
    case ETALON_ACCEPT:
        return FAULT == ACCEPTS_FAIL ? -EIO
               : FAULT == ACCEPTS_NOTHING
                   ? 200
                   : value(accept4(d->fd, d->address, d->address_length, d->flags));
    case ETALON_WRITE:
    case ETALON_SENDMSG:
    case ETALON_SEND: return give(d);
    default: return take(d);
    }
}

static void end(uint32_t c, int64_t result) {
    end_poll(c);
    call(c, result, loop.poll[c].d.userdata);
}

static int64_t end_target(uint32_t target) {
    if (FAULT == NEVER_CANCELS)
        return -EALREADY;
    if (loop.timer[target].used) {
        loop.timer[target].used = 0;
        call(target, -ECANCELED, loop.timer[target].userdata);
    } else if (loop.poll[target].used) {
        end(target, -ECANCELED);
    } else {
        return -ENOENT;
    }
    return 0;
}

static int64_t close_after_others(uint32_t closing) {
    int fd = loop.poll[closing].d.fd;
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        if (loop.poll[c].used && !loop.poll[c].at_once && loop.poll[c].d.fd == fd)
            end(c, -ECANCELED);
    if (FAULT == CLOSES_FAIL || FAULT == CLOSES_DO_NOTHING)
        return FAULT == CLOSES_FAIL ? -EIO : 0;
    int64_t closed = value(close(fd));
    return closed == -EINTR ? 0 : closed; /* the number is free all the same */
}

/* On the loopback device that takes no time. */
static int64_t connect_to_the_end(const struct etalon_subject_description *d) {
    int error = connect(d->fd, d->address, *d->address_length) == 0 ? 0 : errno;
    socklen_t length = sizeof error;
    if (error != EINPROGRESS)
        return -error;
    for (struct pollfd p = {.fd = d->fd, .events = POLLOUT};
         syscall(SYS_ppoll, &p, 1, NULL, NULL, 8) < 0;) {
    }
    getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return -error;
}

static int64_t do_at_once(uint32_t c) {
    const struct etalon_subject_description *d = &loop.poll[c].d;
    if (loop.poll[c].error != 0)
        return loop.poll[c].error;
    switch (d->operation) {
    case ETALON_SHUTDOWN:
        return FAULT == SHUTDOWNS_FAIL         ? -EIO
               : FAULT == SHUTDOWNS_DO_NOTHING ? 0
                                               : value(shutdown(d->fd, d->flags));
    case ETALON_CONNECT:
        return FAULT == CONNECTS_FAIL         ? -EIO
               : FAULT == CONNECTS_DO_NOTHING ? 0
                                              : connect_to_the_end(d);
    case ETALON_CLOSE: return close_after_others(c);
    case ETALON_CANCEL: return end_target(d->target);
    default: return FAULT == NOOPS_HAVE_RESULTS;
    }
}

/* What a fault makes of an operation that waits, without a report; -EAGAIN: nothing. */
static int64_t out_of_the_blue(uint32_t operation) {
    switch (FAULT) {
    case POLLS_FAIL: return operation == ETALON_POLL ? -EIO : -EAGAIN;
    case POLLS_ARE_CANCELLED: return operation == ETALON_POLL ? -ECANCELED : -EAGAIN;
    case POLLS_ARE_READY: return operation == ETALON_POLL ? EPOLLIN : -EAGAIN;
    case READS_FAIL: return takes(operation) ? -EIO : -EAGAIN;
    case READS_END: return takes(operation) ? 0 : -EAGAIN;
    default: return -EAGAIN;
    }
}

/* What waits for nothing, in the order of submission. */
static void end_at_once(uint64_t until) {
    for (;;) {
        int first = -1;
        for (int c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
            if (loop.poll[c].used && loop.poll[c].order < until &&
                !(FAULT == NOOPS_WAIT && loop.poll[c].d.operation == ETALON_NOOP) &&
                (first < 0 || loop.poll[c].order < loop.poll[first].order) &&
                (loop.poll[c].at_once || out_of_the_blue(loop.poll[c].d.operation) != -EAGAIN))
                first = c;
        if (first < 0 || loop.stopped)
            return;
        uint64_t order = loop.poll[first].order;
        int64_t result = loop.poll[first].at_once ? do_at_once((uint32_t)first)
                                                  : out_of_the_blue(loop.poll[first].d.operation);
        /* its target's callback has not deleted it */
        if (loop.poll[first].used && loop.poll[first].order == order)
            end((uint32_t)first, result);
    }
}

/* A read that was deleted takes bytes all the same. */
static void go_on_reading(void) {
    for (unsigned c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        if (loop.poll[c].deleted && take(&loop.poll[c].d) > 0)
            loop.poll[c].deleted = 0;
}

static void drain(const struct epoll_event *event, int count) {
    uint64_t counter;
    char wakeups[sizeof(struct signalfd_siginfo)]; /* or a counter */
    for (int i = 0; i < count; i++)
        if (event[i].data.u64 == TOLD)
            (void)!read(loop.told, &counter, sizeof counter);
        else if (event[i].data.u64 == WAKEUP && FAULT != DRAINS_NEVER &&
                 (FAULT != KEEPS_WAKEUPS || ++loop.kept % 2 == 0))
            (void)!read(loop.wakeup, wakeups, sizeof wakeups);
}

/* Of what was submitted before `until`, and is the same still. */
static void deliver(const struct epoll_event *event, int count, uint32_t mode, uint64_t until) {
    if (FAULT != DRAINS_LATE)
        drain(event, count);
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS && FAULT == READS_BY_THREADS; c++)
        if (loop.poll[c].used && reader[c].runs && atomic_load(&reader[c].done) &&
            loop.poll[c].order < until && !loop.stopped)
            end(c, reader[c].result);

    for (int i = 0; i < count; i++) {
        uint32_t c = (uint32_t)event[i].data.u64;
        if (c >= WAKEUP || !loop.poll[c].used || loop.poll[c].at_once ||
            loop.poll[c].order >= until || loop.stopped)
            continue;
        if (FAULT == READS_WAIT && mode == ETALON_RUN_NO_WAIT && takes(loop.poll[c].d.operation))
            continue;
        int64_t result = try(&loop.poll[c].d, event[i].events);
        if (result != -EAGAIN)
            end(c, result);
    }
    if (FAULT == DRAINS_LATE)
        drain(event, count);
}

static uint64_t deadline(uint64_t delay_ms) {
    if (FAULT == CUTS_DELAYS)
        delay_ms = (uint32_t)delay_ms;
    uint64_t unit = FAULT == OVERFLOWS_NANOSECONDS    ? 1000000
                    : FAULT == OVERFLOWS_MICROSECONDS ? 1000
                                                      : 1;
    uint64_t at = (loop.now + (loop.begun && delay_ms > 0 ? 1 : 0) + delay_ms) * unit;
    if (FAULT == OVERFLOWS_NANOSECONDS || FAULT == OVERFLOWS_MICROSECONDS ||
        FAULT == OVERFLOWS_MILLISECONDS)
        return (int64_t)at < 0 ? 0 : at / unit;
    return at < delay_ms ? UINT64_MAX : at;
}

static void fire(uint32_t c) {
    loop.timer[c].used = 0;
    uint32_t userdata = loop.timer[c].userdata, number = FAULT == OTHER_NUMBER ? 99 : c;
    call(number, FAULT == TIMERS_HAVE_RESULTS, FAULT == OTHER_USERDATA ? userdata + 8 : userdata);
    if (FAULT == TWICE)
        call(c, 0, userdata);
    misbehave();
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)self, (void)has_callback;
    if (FAULT == REFUSES_LONG && delay_ms > INT_MAX)
        return -ERANGE;
    if (FAULT == REFUSES_TIMERS || (FAULT == REFUSES_ZERO && delay_ms == 0))
        return -EINVAL;
    loop.timer[c].used = 1;
    loop.timer[c].deadline = deadline(FAULT == EARLY ? delay_ms / 2 : delay_ms);
    if (FAULT == LATE || FAULT == REFUSES_LONG)
        loop.timer[c].deadline += 10;
    if (FAULT == WHEEL && loop.timer[c].deadline < UINT64_MAX - 3)
        loop.timer[c].deadline = (loop.timer[c].deadline + 3) / 4 * 4;
    loop.timer[c].order = loop.orders++;
    loop.timer[c].userdata = userdata;
    if (FAULT == IN_THE_CALL && delay_ms == 0)
        fire(c);
    return 0;
}

static int drop(void *self, uint32_t c) {
    (void)self;
    int used = loop.timer[c].used || loop.poll[c].used;
    if (FAULT == CRASHES_TWICE && used)
        in_a_deletion();
    if (FAULT == REFUSES_DELETIONS && used)
        return -EIO;
    if (FAULT == REFUSES_EMPTY_DELETIONS && !used)
        return -ENOENT;

    if (FAULT != AFTER_DELETION)
        loop.timer[c].used = 0;
    loop.poll[c].deleted =
        FAULT == READS_GO_ON && loop.poll[c].used && takes(loop.poll[c].d.operation);
    end_poll(c);
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (loop.async[a].waiter == c)
            loop.async[a].waits = 0;
    return 0;
}

static int state(void *self, uint32_t c) {
    (void)self;
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (loop.async[a].fd != 0 && loop.async[a].waits && loop.async[a].waiter == c)
            return ETALON_ACTIVE;
    return (loop.timer[c].used || loop.poll[c].used) && FAULT != LIES_ABOUT_STATE ? ETALON_ACTIVE
                                                                                  : ETALON_DEAD;
}

/* The timer that comes next, or -1. */
static int next(void) {
    int best = -1;
    for (int c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        if (loop.timer[c].used &&
            (best < 0 ||
             (FAULT == BACKWARDS && loop.timer[c].deadline <= loop.now &&
              loop.timer[c].deadline > loop.timer[best].deadline) ||
             (FAULT != UNSORTED && loop.timer[c].deadline < loop.timer[best].deadline &&
              !(FAULT == BACKWARDS && loop.timer[best].deadline <= loop.now)) ||
             (FAULT != UNSORTED && loop.timer[c].deadline == loop.timer[best].deadline &&
              loop.timer[c].order < loop.timer[best].order)))
            best = c;
    return best;
}

static void fire_expired(uint64_t until) {
    for (int c;
         (c = next()) >= 0 && loop.timer[c].deadline <= loop.now && loop.timer[c].order < until;) {
        if (FAULT == NEVER || (FAULT == TIMERS_WAIT && waits()) ||
            (loop.stopped && FAULT != GOES_ON_AFTER_STOP))
            return;
        fire((uint32_t)c);
    }
}

static int limit(uint32_t mode, unsigned fired) {
    int c = next();
    if (mode == ETALON_RUN_NO_WAIT && FAULT != NO_WAIT_WAITS)
        return 0;
    for (unsigned k = 0; k < ETALON_SUBJECT_COMPLETIONS && FAULT != NOOPS_WAIT; k++)
        if (loop.poll[k].used && loop.poll[k].at_once)
            return 0;
    if (FAULT == WAITS_AGAIN && mode == ETALON_RUN_ONCE && c >= 0)
        fired = 0;
    if (c < 0 && waits() && !(fired > 0 && mode == ETALON_RUN_ONCE))
        return -1;
    if (c < 0 || (fired > 0 && mode == ETALON_RUN_ONCE) || FAULT == SPINS)
        return 0;
    if (FAULT == WAITS_FOR_EVER || (FAULT == TIMERS_WAIT && waits()))
        return -1;
    uint64_t now = milliseconds(); /* callbacks take time */
    uint64_t left = loop.timer[c].deadline > now ? loop.timer[c].deadline - now : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/* limit_ms: what a wait in milliseconds is to ask for. */
static void on_alarm(int number) {
    (void)number;
}

/* The wait is without a limit, and a signal ends it. */
static int wait_for_alarm(struct epoll_event event[16], int limit_ms) {
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerspec value = {.it_value = {limit_ms / 1000, limit_ms % 1000 * 1000000L}};
    struct itimerval other = {.it_value = {limit_ms / 1000, limit_ms % 1000 * 1000L}};
    timer_t timer;
    if (limit_ms <= 0)
        return epoll_wait(loop.epoll, event, 16, limit_ms);
    sigaction(SIGALRM, &action, NULL);
    if (FAULT == TIMES_BY_AN_INTERVAL_TIMER) {
        setitimer(ITIMER_REAL, &other, NULL);
    } else {
        timer_create(CLOCK_MONOTONIC, NULL, &timer);
        timer_settime(timer, 0, &value, NULL);
    }
    int count = epoll_wait(loop.epoll, event, 16, -1);
    return count < 0 && errno == EINTR ? 0 : count;
}

/* One thread asks the kernel, and tells the first one when something is there. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    sem_t semaphore;
    _Atomic uint32_t word;
    int wanted, there, begun;
} helper = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};

static void *help(void *unused) {
    struct pollfd fd = {.events = POLLIN};
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&helper.mutex);
        while (!helper.wanted)
            pthread_cond_wait(&helper.condition, &helper.mutex);
        pthread_mutex_unlock(&helper.mutex);
        fd.fd = loop.epoll;
        int ready = poll(&fd, 1, 10);
        pthread_mutex_lock(&helper.mutex);
        if (ready > 0 && helper.wanted) {
            helper.wanted = 0;
            helper.there = 1;
            helper.word++;
            sem_post(&helper.semaphore);
            syscall(SYS_futex, &helper.word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
            pthread_cond_broadcast(&helper.condition);
        }
        pthread_mutex_unlock(&helper.mutex);
    }
    return NULL;
}

static void wait_for_thread(int limit_ms) {
    struct timespec end, left = {limit_ms / 1000, limit_ms % 1000 * 1000000L};
    pthread_t thread;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += left.tv_sec + (end.tv_nsec + left.tv_nsec) / 1000000000;
    end.tv_nsec = (end.tv_nsec + left.tv_nsec) % 1000000000;
    pthread_mutex_lock(&helper.mutex);
    if (!helper.begun++) {
        sem_init(&helper.semaphore, 0, 0);
        pthread_create(&thread, NULL, help, NULL);
    }
    helper.wanted = 1;
    helper.there = 0;
    uint32_t word = helper.word;
    while (sem_trywait(&helper.semaphore) == 0)
        ;
    pthread_cond_broadcast(&helper.condition);
    int error = 0;
    while (FAULT == WAITS_ON_A_TIMED_CONDITION && !helper.there && error == 0)
        error = limit_ms < 0 ? pthread_cond_wait(&helper.condition, &helper.mutex)
                             : pthread_cond_timedwait(&helper.condition, &helper.mutex, &end);
    pthread_mutex_unlock(&helper.mutex);
    if (FAULT == WAITS_ON_A_SEMAPHORE && limit_ms < 0)
        sem_wait(&helper.semaphore);
    else if (FAULT == WAITS_ON_A_SEMAPHORE)
        sem_timedwait(&helper.semaphore, &end);
    else if (FAULT == WAITS_ON_A_FUTEX)
        syscall(SYS_futex, &helper.word, FUTEX_WAIT_PRIVATE, word, limit_ms < 0 ? NULL : &left,
                NULL, 0);
    pthread_mutex_lock(&helper.mutex);
    helper.wanted = 0;
    pthread_mutex_unlock(&helper.mutex);
}

static int wait(struct epoll_event event[16], int limit_ms) {
    int c = next();
    struct timespec timeout = {limit_ms / 1000, limit_ms % 1000 * 1000000L}, end;
    fd_set in;
    if (FAULT == WAITS_BY_PSELECT) {
        FD_ZERO(&in);
        FD_SET(loop.epoll, &in);
        if (pselect(loop.epoll + 1, &in, NULL, NULL, limit_ms < 0 ? NULL : &timeout, NULL) < 0)
            return -1;
        limit_ms = 0;
    }
    if (FAULT == WAITS_BY_CLOCK_NANOSLEEP && limit_ms > 0 && !waits()) {
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += timeout.tv_sec + (end.tv_nsec + timeout.tv_nsec) / 1000000000;
        end.tv_nsec = (end.tv_nsec + timeout.tv_nsec) % 1000000000;
        errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
        if (errno != 0)
            return -1;
        limit_ms = 0;
    }
    if (FAULT == WAITS_BY_SYSCALL)
        return (int)syscall(SYS_epoll_pwait, loop.epoll, event, 16, limit_ms, NULL, 8);
    if (FAULT == WAITS_BY_THE_KERNEL)
        return (int)unseen_call(SYS_epoll_pwait, loop.epoll, event, 16, limit_ms, NULL, 8);
    if (FAULT == TIMES_BY_A_POSIX_TIMER || FAULT == TIMES_BY_AN_INTERVAL_TIMER)
        return wait_for_alarm(event, limit_ms);
    if (FAULT == WAITS_ON_A_TIMED_CONDITION || FAULT == WAITS_ON_A_SEMAPHORE ||
        FAULT == WAITS_ON_A_FUTEX) {
        if (limit_ms != 0)
            wait_for_thread(limit_ms);
        limit_ms = 0;
    }
    if (FAULT == WAITS_ON_A_CONDITION && limit_ms != 0) {
        static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
        pthread_mutex_lock(&mutex);
        pthread_cond_wait(&condition, &mutex);
        pthread_mutex_unlock(&mutex);
    }
    if (FAULT != WAITS_IN_NANOSECONDS || limit_ms <= 0 || c < 0)
        return epoll_wait(loop.epoll, event, 16, limit_ms);
    uint64_t left_ms = loop.timer[c].deadline - loop.now;
    struct timespec left = {(time_t)(left_ms / 1000), (long)(left_ms % 1000 * 1000000)};
    return epoll_pwait2(loop.epoll, event, 16, &left, NULL);
}

static int run(void *self, uint32_t mode) {
    struct epoll_event event[16];
    int was_interrupted = 0;
    (void)self;
    loop.stopped = 0;
    loop.calls = 0;
    do {
        uint64_t until = loop.orders;
        loop.now = milliseconds();
        fire_expired(until);
        end_at_once(until);
        if (loop.stopped && FAULT != GOES_ON_AFTER_STOP)
            return 0;
        int count = wait(event, limit(mode, loop.calls));
        if (count < 0 && FAULT == ENDS_AT_EINTR)
            return -errno;
        if (was_interrupted && FAULT == FAILS_AFTER_EINTR)
            return -EIO;
        was_interrupted = was_interrupted || count < 0;
        loop.now = milliseconds();
        if (FAULT == READS_GO_ON)
            go_on_reading();
        deliver(event, count, mode, until);
        end_waits(until);
        int was_woken = 0;
        for (int i = 0; i < count; i++)
            was_woken = was_woken || event[i].data.u64 == WAKEUP;
        if (mode == ETALON_RUN_ONCE &&
            (FAULT == RETURNS_EARLY || (FAULT == RETURNS_WOKEN && was_woken) ||
             (FAULT == RETURNS_BETWEEN && count == 0)))
            return 0;
        if (FAULT == FAILS_RUN)
            return -EIO;
        if (FAULT == NEVER_DONE && mode == ETALON_RUN_UNTIL_DONE)
            return 0;
        if (mode == ETALON_RUN_NO_WAIT)
            return 0;
    } while ((next() >= 0 || waits()) && !(mode == ETALON_RUN_ONCE && loop.calls > 0));
    return 0;
}

static void stop(void *self) {
    (void)self;
    loop.stopped = 1;
}

static uint64_t now(void *self) {
    (void)self;
    static uint64_t asked;
    if (FAULT == TIME_AHEAD)
        return loop.now + 1000;
    if (FAULT == TIME_JUMPS_BACK && ++asked % 4 == 0)
        return loop.now - 1;
    return FAULT == TIME_BACK ? 1000000 - loop.now : loop.now;
}

static void update_now(void *self) {
    (void)self;
    loop.now = milliseconds();
}

__attribute__((constructor)) static void on_load(void) {
    if (FAULT == CRASHES_EARLY)
        *(volatile int *)16 = 1;
    if (FAULT == EXITS_EARLY)
        _exit(0);
    for (volatile int i = 0; FAULT == HANGS_EARLY; i++) {
    }
}

#ifdef DIFFERENCE
static const struct etalon_subject_difference differences[] = {{DIFFERENCE, "its manual says so"},
                                                               {NULL, NULL}};
#endif

ETALON_SUBJECT = {
    .abi = FAULT == OTHER_VERSION ? 7 : ETALON_SUBJECT_ABI,
    .size = FAULT == OLDER       ? offsetof(struct etalon_subject, pool_init)
            : FAULT == TOO_SHORT ? offsetof(struct etalon_subject, update_now)
                                 : sizeof(struct etalon_subject),
    .name = FAULT == NO_NAME ? "not a name" : "bad",
#ifdef SLACK
    .slack_ms = SLACK,
#endif
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_DELETE | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_STOP |
              ETALON_OFFERS_NOW | (FAULT != HAS_NO_UPDATE ? ETALON_OFFERS_UPDATE_NOW : 0) |
              ETALON_OFFERS_IN_USE | ETALON_OFFERS_DEINIT | ETALON_OFFERS_ASYNC |
              ETALON_OFFERS_POLL | ETALON_OFFERS_WAKEUP | ETALON_OFFERS_NOOP | ETALON_OFFERS_READ |
              ETALON_OFFERS_SEND | (FAULT != READS_BY_THREADS ? ETALON_OFFERS_MESSAGES : 0) |
              ETALON_OFFERS_ACCEPT | ETALON_OFFERS_CONNECT | ETALON_OFFERS_CLOSE |
              ETALON_OFFERS_SHUTDOWN | ETALON_OFFERS_CANCEL |
              (FAULT == OLDER ? ETALON_OFFERS_POOL : 0) |
              (FAULT == HALF_ROUNDS ? ETALON_OFFERS_ROUNDS : 0),
#ifdef DIFFERENCE
    .differences = differences,
#endif
    .init = init,
    .deinit = deinit,
    .timer = FAULT == INCOMPLETE ? NULL : timer,
    .submit = submit,
    .cancel = cancel,
    .wakeup = wakeup,
    .remove = drop,
    .state = state,
    .run = run,
    .stop = stop,
    .now = now,
    .update_now = update_now,
    .async_init = async_init,
    .async_deinit = async_deinit,
    .async_notify = async_notify,
    .async_wait = FAULT == NO_ASYNC_WAIT ? NULL : async_wait,
};
