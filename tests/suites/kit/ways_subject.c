/* SPDX-License-Identifier: MIT */
/* A small loop of timers and polls as a subject, which is built in other ways than Etalon's, one or
 * several of them (-DWAYS=…), and has one fault, or none (-DFAULT=…): so that the runner is seen to
 * ask such loops, to pass those that are lawful, and to find the others. tests/suites/kit/ways.sh
 * lists the faults and what must come of each. Build: -DWAYS=0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "etalon_subject.h"

#define COUNT ETALON_SUBJECT_COMPLETIONS
#define MS    UINT64_C(1000000)
#define NEVER UINT64_MAX

#define UNTIL_STOPPED 1  /* it has no other run, and a stop ends the run in progress */
#define LATER         2  /* its deletions take effect at the beginning of the next turn */
#define REPEATS       4  /* its timers have a beat: they count from their former deadline */
#define TIMERS_ALONE  8  /* a callback can rearm a timer, and nothing else */
#define NESTS         16 /* a run inside a callback is carried out */
#ifndef WAYS
#define WAYS 0
#endif
#define HAS(way) (((WAYS) & (way)) != 0)
#ifndef FAULT
#define FAULT NONE
#endif

enum fault {
    NONE,
    /* of a run until it is stopped */
    RETURNS_WHEN_DONE,
    RETURNS_WHEN_WOKEN,
    IGNORES_A_STOP,
    STAYS_STOPPED,
    /* of a deletion that takes effect with the next turn */
    CALLS_DELETED,
    NEVER_FREES,
    SLEEPS_BEFORE_IT_FREES, /* with nothing in use */
    /* of a timer that repeats */
    COMES_TOO_SOON,
    COMES_TOO_LATE,
    COMES_ONCE_MORE, /* after its callback has ended it */
    FORGETS_A_TIMER, /* which its callback has started anew: it repeats the former one */
    /* of a run inside a callback */
    REFUSES_INNER,
    ENDS_BOTH, /* when the inner one has ended */
};

enum kind { TIMER, POLL };

static struct {
    const struct etalon_subject_host *host;
    struct completion {
        enum kind kind;
        int used, leaves, ghost, fd, events;
        uint64_t deadline, delay_ms, order;
        uint32_t userdata;
    } completion[COUNT];
    uint64_t now, orders, calls;
    unsigned stops;
    int wakeup, woken, stopped, lasting, running;
} loop;

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int init(const struct etalon_subject_host *host, void **self) {
    memset(&loop, 0, sizeof loop);
    loop.host = host;
    loop.now = clock_ns();
    loop.wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *self = &loop;
    return loop.wakeup < 0 ? -errno : 0;
}

static int deinit(void *self) {
    (void)self;
    close(loop.wakeup);
    return 0;
}

/* ---- completions ----------------------------------------------------------------------------- */

static uint64_t later(uint64_t ns, uint64_t ms) {
    return ms > (NEVER - ns) / MS ? NEVER : ns + ms * MS;
}

static int start(uint32_t c) {
    loop.completion[c].used = 1;
    loop.completion[c].order = ++loop.orders;
    return 0;
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)self, (void)has_callback;
    loop.completion[c] = (struct completion){
        .kind = TIMER, .deadline = later(loop.now, delay_ms), .delay_ms = delay_ms};
    loop.completion[c].userdata = userdata;
    return start(c);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *d) {
    (void)self;
    loop.completion[c] = (struct completion){.kind = POLL, .fd = d->fd, .events = (int)d->events};
    loop.completion[c].userdata = d->userdata;
    return start(c);
}

static int remove_completion(void *self, uint32_t c) {
    struct completion *of = &loop.completion[c];
    (void)self;
    of->leaves = (of->used || of->leaves) && HAS(LATER);
    of->used = FAULT == CALLS_DELETED && of->used;
    return 0;
}

static void free_what_leaves(void) {
    for (uint32_t c = 0; c < COUNT; c++)
        if (loop.completion[c].leaves && FAULT != NEVER_FREES)
            loop.completion[c].leaves = loop.completion[c].used = 0;
}

static int timer_reset(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback) {
    (void)carrier;
    return timer(self, c, delay_ms, userdata, has_callback);
}

static int state(void *self, uint32_t c) {
    const struct completion *of = &loop.completion[c];
    (void)self;
    return (of->used && !of->ghost) || of->leaves ? ETALON_ACTIVE : ETALON_DEAD;
}

static void call(uint32_t c, int64_t result) {
    struct completion *of = &loop.completion[c];
    uint64_t order = of->order;
    of->used = 0;
    loop.calls++;
    struct completion was = *of;
    int rearms = loop.host->called(c, result, was.userdata) == ETALON_REARM,
        anew = of->order != order;
    if (anew && FAULT == FORGETS_A_TIMER && was.kind == TIMER && of->used)
        of->deadline = later(was.deadline, was.delay_ms);
    of->ghost = !anew && !rearms && FAULT == COMES_ONCE_MORE && was.kind == TIMER && !was.ghost;
    rearms = rearms || of->ghost;
    if (!rearms || anew)
        return;
    if (of->kind == TIMER)
        of->deadline = later(HAS(REPEATS) ? of->deadline : loop.now, of->delay_ms);
    if (FAULT == COMES_TOO_SOON)
        of->deadline -= of->delay_ms > 1 ? MS : 0;
    if (FAULT == COMES_TOO_LATE)
        of->deadline += 25 * MS + 5 * MS * loop.calls;
    start(c);
}

/* ---- running --------------------------------------------------------------------------------- */

static int anything(void) {
    for (uint32_t c = 0; c < COUNT; c++)
        if (loop.completion[c].used ||
            (FAULT == SLEEPS_BEFORE_IT_FREES && loop.completion[c].leaves))
            return 1;
    return 0;
}

/* The earliest timer that is due, of those that were started by then; COUNT: there is none. */
static uint32_t due(uint64_t orders) {
    uint32_t first = COUNT;
    for (uint32_t c = 0; c < COUNT; c++) {
        const struct completion *of = &loop.completion[c];
        if (of->used && of->kind == TIMER && of->order <= orders && of->deadline <= loop.now &&
            (first == COUNT || of->deadline < loop.completion[first].deadline ||
             (of->deadline == loop.completion[first].deadline &&
              of->order < loop.completion[first].order)))
            first = c;
    }
    return first;
}

static void serve_timers(uint64_t orders) {
    for (uint32_t c; !loop.stopped && (c = due(orders)) != COUNT;)
        call(c, 0);
}

/* For how long it may sleep. */
static uint64_t limit(void) {
    uint64_t first = NEVER, now = clock_ns();
    for (uint32_t c = 0; c < COUNT; c++)
        if (loop.completion[c].used && loop.completion[c].kind == TIMER &&
            loop.completion[c].deadline < first)
            first = loop.completion[c].deadline;
    return first == NEVER ? NEVER : first > now ? first - now : 0;
}

static void sleep_for(struct pollfd *fds, uint64_t ns) {
    struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    for (uint32_t c = 0; c < COUNT; c++) {
        const struct completion *of = &loop.completion[c];
        fds[c] = (struct pollfd){.fd = of->used && of->kind == POLL ? of->fd : -1,
                                 .events = (short)of->events};
    }
    fds[COUNT] = (struct pollfd){.fd = loop.wakeup, .events = POLLIN};
    if (ppoll(fds, COUNT + 1, ns == NEVER ? NULL : &time, NULL) < 0)
        for (uint32_t c = 0; c <= COUNT; c++)
            fds[c].revents = 0;
    loop.now = clock_ns();
}

/* In the order in which they were submitted, each by what the wait has said of it. */
static void serve_polls(const struct pollfd *fds) {
    uint64_t last = 0, until = loop.orders;
    while (!loop.stopped) {
        uint32_t next = COUNT;
        for (uint32_t c = 0; c < COUNT; c++) {
            const struct completion *of = &loop.completion[c];
            if (of->used && of->kind == POLL && fds[c].revents != 0 && of->order > last &&
                of->order <= until && (next == COUNT || of->order < loop.completion[next].order))
                next = c;
        }
        if (next == COUNT)
            return;
        last = loop.completion[next].order;
        call(next, (uint16_t)fds[next].revents);
    }
}

static void turn(int waits) {
    struct pollfd fds[COUNT + 1];
    uint64_t count, orders = loop.orders;
    if (FAULT != SLEEPS_BEFORE_IT_FREES && FAULT != CALLS_DELETED)
        free_what_leaves();
    sleep_for(fds, waits ? limit() : 0);
    if (FAULT == SLEEPS_BEFORE_IT_FREES)
        free_what_leaves();
    loop.woken = read(loop.wakeup, &count, sizeof count) == sizeof count;
    serve_timers(orders);
    serve_polls(fds);
    if (FAULT == CALLS_DELETED)
        free_what_leaves();
}

static int run(void *self, uint32_t mode) {
    uint64_t calls = loop.calls;
    int outer = loop.stopped;
    (void)self;
    if (FAULT == REFUSES_INNER && loop.running)
        return -EBUSY;
    loop.running++;
    loop.stopped = loop.lasting;
    loop.now = clock_ns();
    for (int over = loop.stopped; !over;) {
        int enough =
            mode == ETALON_RUN_NO_WAIT || (mode != ETALON_RUN_UNTIL_STOPPED && !anything());
        turn(!enough);
        over = loop.stopped || enough || (mode == ETALON_RUN_ONCE && loop.calls > calls) ||
               (mode == ETALON_RUN_UNTIL_DONE && !anything()) ||
               (FAULT == RETURNS_WHEN_DONE && !anything()) ||
               (FAULT == RETURNS_WHEN_WOKEN && loop.woken);
    }
    loop.stopped = --loop.running > 0 && (outer || FAULT == ENDS_BOTH);
    return 0;
}

static void stop(void *self) {
    (void)self;
    loop.stopped = FAULT != IGNORES_A_STOP || ++loop.stops > 1;
    loop.lasting = FAULT == STAYS_STOPPED;
}

static void wakeup(void *self) {
    int saved = errno;
    (void)self, (void)!write(loop.wakeup, &(uint64_t){1}, sizeof(uint64_t));
    errno = saved;
}

#define RUNS                                                                                       \
    (HAS(UNTIL_STOPPED) ? ETALON_OFFERS_UNTIL_STOPPED                                              \
                        : ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE)

#define REARMS                                                                                     \
    ((HAS(REPEATS) ? ETALON_OFFERS_REPEATS : 0) |                                                  \
     (HAS(TIMERS_ALONE) ? ETALON_OFFERS_REARM_TIMERS : ETALON_OFFERS_REARM))

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "ways",
    .notes = "A small loop that is built in another way.",
    .offers = RUNS | (HAS(NESTS) ? ETALON_OFFERS_NESTS : 0) |
              (HAS(LATER) ? ETALON_OFFERS_DELETES_LATER : 0) | ETALON_OFFERS_STOP |
              ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
              ETALON_OFFERS_DELETE | REARMS | ETALON_OFFERS_IN_USE | ETALON_OFFERS_DEINIT |
              ETALON_OFFERS_FORGET | ETALON_OFFERS_POLL | ETALON_OFFERS_MANY_POLLS |
              ETALON_OFFERS_WAKEUP,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .timer_reset = timer_reset,
    .remove = remove_completion,
    .forget = (void (*)(void *, uint32_t))(void (*)(void))remove_completion,
    .state = state,
    .run = run,
    .stop = stop,
    .wakeup = wakeup,
};
