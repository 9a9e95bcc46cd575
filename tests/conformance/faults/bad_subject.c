/* A small loop of timers, polls and wake-ups as a subject, with one fault that is chosen when it is compiled (-DFAULT=…): so that the runner and the judge
 * from outside are seen to find it, and to survive it. tests/conformance/faults.sh lists the faults and what must come of each. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "etalon_subject.h"

#ifndef FAULT
#define FAULT NONE
#endif

enum fault {
    NONE,
    /* at the first callback */
    CRASH,
    ABORTS,
    EXITS,
    LOOPS,
    SLEEPS,
    SCRIBBLES,
    CLOSES,
    SHOUTS,
    STOPS_ITSELF,
    FORKS,
    OVERFLOWS,
    /* in its ways as a loop */
    EARLY,
    LATE,
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
        uint32_t waiter, userdata;
    } async[ETALON_SUBJECT_ASYNCS];
    struct {
        int used, fd;
        uint32_t events, userdata;
    } poll[ETALON_SUBJECT_COMPLETIONS];
    uint64_t now, orders;
    int epoll, wakeup, stopped;
} loop;

static uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
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

static void misbehave(void) {
    switch (FAULT) {
    case CRASH: *(volatile int *)16 = 1; break;
    case ABORTS: abort();
    case EXITS: exit(0);
    case LOOPS:
        for (volatile int i = 0;; i++) {
        }
    case SLEEPS: {
        struct timespec long_time = {3600, 0};
        syscall(SYS_nanosleep, &long_time, NULL);
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
    case OVERFLOWS: overflow(); break;
    default: break;
    }
}

#define WAKEUP 100 /* in a report, instead of a completion */
#define ASYNC  101

static int init(const struct etalon_subject_host *host, void **self) {
    memset(&loop, 0, sizeof loop);
    loop.host = host;
    loop.now = milliseconds();
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKEUP};
    epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wakeup, &event);
    *self = &loop;
    return FAULT == FAILS_INIT ? -12 : 0;
}

static int deinit(void *self) {
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (loop.async[a].fd != 0 && FAULT != LEAKS_ASYNCS)
            close(loop.async[a].fd);
    if (FAULT != LEAKS)
        close(loop.epoll);
    close(loop.wakeup);
    return 0;
}

static int async_init(void *self, uint32_t a) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = ASYNC};
    (void)self;
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
    return FAULT == LOSES_A_NOTIFICATION || write(loop.async[a].fd, &one, sizeof one) == sizeof one ? 0 : -11;
}

static int async_wait(void *self, uint32_t c, uint32_t a, uint32_t userdata, int has_callback) {
    (void)has_callback;
    loop.async[a].waits = 1;
    loop.async[a].waiter = c;
    loop.async[a].userdata = userdata;
    return FAULT == NOTIFIED_UNASKED ? async_notify(self, a) : 0;
}

static unsigned end_waits(void) {
    unsigned ended = 0;
    uint64_t count;
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++) {
        if (loop.async[a].fd == 0 || read(loop.async[a].fd, &count, sizeof count) < 0)
            continue;
        for (int twice = FAULT == NOTIFIED_TWICE; loop.async[a].waits && twice >= 0; twice--) {
            loop.async[a].waits = 0;
            loop.host->called(loop.async[a].waiter, 8, loop.async[a].userdata);
            ended++;
        }
    }
    return ended;
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

static int submit(void *self, uint32_t c, const struct etalon_subject_description *d) {
    struct epoll_event event = {.events = d->events, .data.u64 = c};
    (void)self;
    if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, d->fd, &event) != 0)
        return -errno;
    loop.poll[c].used = 1;
    loop.poll[c].fd = d->fd;
    loop.poll[c].events = d->events;
    loop.poll[c].userdata = d->userdata;
    return 0;
}

static void wakeup(void *self) {
    uint64_t one = 1;
    (void)self;
    if (write(loop.wakeup, &one, sizeof one) < 0)
        abort();
}

static void end_poll(uint32_t c) {
    if (loop.poll[c].used)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, loop.poll[c].fd, NULL);
    loop.poll[c].used = 0;
}

static unsigned deliver(const struct epoll_event *event, int count) {
    uint64_t counter;
    unsigned fired = 0;
    for (int late = 0; late <= (FAULT == DRAINS_LATE); late++)
        for (int i = 0; i < count; i++)
            if (event[i].data.u64 == WAKEUP && late == (FAULT == DRAINS_LATE) && FAULT != DRAINS_NEVER)
                (void)!read(loop.wakeup, &counter, sizeof counter);
            else if (event[i].data.u64 < WAKEUP && late == 0 && loop.poll[event[i].data.u64].used) {
                uint32_t c = (uint32_t)event[i].data.u64;
                end_poll(c);
                loop.host->called(c, event[i].events, loop.poll[c].userdata);
                fired++;
            }
    return fired;
}

static uint64_t deadline(uint64_t delay_ms) {
    if (FAULT == CUTS_DELAYS)
        delay_ms = (uint32_t)delay_ms;
    uint64_t unit = FAULT == OVERFLOWS_NANOSECONDS ? 1000000 : FAULT == OVERFLOWS_MICROSECONDS ? 1000 : 1;
    uint64_t at = (loop.now + delay_ms) * unit;
    if (FAULT == OVERFLOWS_NANOSECONDS || FAULT == OVERFLOWS_MICROSECONDS || FAULT == OVERFLOWS_MILLISECONDS)
        return (int64_t)at < 0 ? 0 : at / unit;
    return at < delay_ms ? UINT64_MAX : at;
}

static void fire(uint32_t c) {
    loop.timer[c].used = 0;
    uint32_t userdata = loop.timer[c].userdata, number = FAULT == OTHER_NUMBER ? 99 : c;
    loop.host->called(number, 0, FAULT == OTHER_USERDATA ? userdata + 8 : userdata);
    if (FAULT == TWICE)
        loop.host->called(c, 0, userdata);
    misbehave();
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)self, (void)has_callback;
    if (FAULT == REFUSES_LONG && delay_ms > INT_MAX)
        return -ERANGE;
    loop.timer[c].used = 1;
    loop.timer[c].deadline = deadline(FAULT == EARLY ? delay_ms / 2 : delay_ms);
    if (FAULT == LATE || FAULT == REFUSES_LONG)
        loop.timer[c].deadline += 10;
    loop.timer[c].order = loop.orders++;
    loop.timer[c].userdata = userdata;
    if (FAULT == IN_THE_CALL && delay_ms == 0)
        fire(c);
    return 0;
}

static int drop(void *self, uint32_t c) {
    (void)self;
    if (FAULT != AFTER_DELETION)
        loop.timer[c].used = 0;
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
    return (loop.timer[c].used || loop.poll[c].used) && FAULT != LIES_ABOUT_STATE ? ETALON_ACTIVE : ETALON_DEAD;
}

/* The timer that comes next, or -1. */
static int next(void) {
    int best = -1;
    for (int c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        if (loop.timer[c].used &&
            (best < 0 || (FAULT != UNSORTED && loop.timer[c].deadline < loop.timer[best].deadline) ||
             (FAULT != UNSORTED && loop.timer[c].deadline == loop.timer[best].deadline &&
              loop.timer[c].order < loop.timer[best].order)))
            best = c;
    return best;
}

static unsigned fire_expired(void) {
    uint64_t until = loop.orders;
    unsigned fired = 0;
    for (int c; (c = next()) >= 0 && loop.timer[c].deadline <= loop.now && loop.timer[c].order < until;) {
        if (FAULT == NEVER || (loop.stopped && FAULT != GOES_ON_AFTER_STOP))
            return fired;
        fire((uint32_t)c);
        fired++;
    }
    return fired;
}

static int limit(uint32_t mode, unsigned fired) {
    int c = next();
    if (mode == ETALON_RUN_NO_WAIT && FAULT != NO_WAIT_WAITS)
        return 0;
    if (c < 0 && waits() && !(fired > 0 && mode == ETALON_RUN_ONCE))
        return -1;
    if (c < 0 || (fired > 0 && mode == ETALON_RUN_ONCE) || FAULT == SPINS)
        return 0;
    if (FAULT == WAITS_FOR_EVER)
        return -1;
    uint64_t now = milliseconds(); /* callbacks take time */
    uint64_t left = loop.timer[c].deadline > now ? loop.timer[c].deadline - now : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/* limit_ms: what a wait in milliseconds is to ask for. */
static int wait(struct epoll_event event[16], int limit_ms) {
    int c = next();
    if (FAULT != WAITS_IN_NANOSECONDS || limit_ms <= 0 || c < 0)
        return epoll_wait(loop.epoll, event, 16, limit_ms);
    uint64_t left_ms = loop.timer[c].deadline - loop.now;
    struct timespec left = {(time_t)(left_ms / 1000), (long)(left_ms % 1000 * 1000000)};
    return epoll_pwait2(loop.epoll, event, 16, &left, NULL);
}

static int run(void *self, uint32_t mode) {
    struct epoll_event event[16];
    unsigned fired = 0;
    int was_interrupted = 0;
    (void)self;
    loop.stopped = 0;
    do {
        loop.now = milliseconds();
        fired += fire_expired();
        if (loop.stopped && FAULT != GOES_ON_AFTER_STOP)
            return 0;
        int count = wait(event, limit(mode, fired));
        if (count < 0 && FAULT == ENDS_AT_EINTR)
            return -errno;
        if (was_interrupted && FAULT == FAILS_AFTER_EINTR)
            return -EIO;
        was_interrupted = was_interrupted || count < 0;
        loop.now = milliseconds();
        fired += deliver(event, count) + end_waits();
        if (FAULT == NEVER_DONE && mode == ETALON_RUN_UNTIL_DONE)
            return 0;
        if (mode == ETALON_RUN_NO_WAIT)
            return 0;
    } while ((next() >= 0 || waits()) && !(mode == ETALON_RUN_ONCE && fired > 0));
    return 0;
}

static void stop(void *self) {
    (void)self;
    loop.stopped = 1;
}

static uint64_t now(void *self) {
    (void)self;
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
static const struct etalon_subject_difference differences[] = {{DIFFERENCE, "its manual says so"}, {NULL, NULL}};
#endif

ETALON_SUBJECT = {
    .abi = FAULT == OTHER_VERSION ? 7 : ETALON_SUBJECT_ABI,
    .size = FAULT == OLDER       ? offsetof(struct etalon_subject, pool_init)
            : FAULT == TOO_SHORT ? offsetof(struct etalon_subject, update_now)
                                 : sizeof(struct etalon_subject),
    .name = FAULT == NO_NAME ? "not a name" : "bad",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_DELETE | ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE |
              ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_STOP | ETALON_OFFERS_NOW | ETALON_OFFERS_UPDATE_NOW |
              ETALON_OFFERS_IN_USE | ETALON_OFFERS_DEINIT | ETALON_OFFERS_ASYNC | ETALON_OFFERS_POLL |
              ETALON_OFFERS_WAKEUP | (FAULT == OLDER ? ETALON_OFFERS_POOL : 0) |
              (FAULT == HALF_ROUNDS ? ETALON_OFFERS_ROUNDS : 0),
#ifdef DIFFERENCE
    .differences = differences,
#endif
    .init = init,
    .deinit = deinit,
    .timer = FAULT == INCOMPLETE ? NULL : timer,
    .submit = submit,
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
