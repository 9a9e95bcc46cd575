/* SPDX-License-Identifier: MIT */
/* A small loop whose polls are edge-triggered, as a subject, with one fault that is chosen when it
 * is compiled (-DFAULT=…): so that the judge is seen to find an edge that is lost, and to blame no
 * loop that says nothing twice. tests/suites/kit/edges.sh has what must come of each.
 *
 * A poll is registered with EPOLLET when it is started, and removed when it is deleted or its
 * callback does not rearm it. A rearm leaves the registration as it is. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "etalon_subject.h"

#ifndef FAULT
#define FAULT NONE
#endif

enum fault {
    NONE,
    REPEATS,     /* no fault: what is there is told again and again */
    TELLS_LATER, /* no fault: of two events, one is told first */
    NEVER_TELLS_THE_START,
    LOSES_BETWEEN,      /* what comes between the callback's beginning and the rearm */
    LOSES_AFTER,        /* what comes after the rearm */
    LOSES_MORE,         /* what comes while something is there */
    LOSES_THE_OTHER,    /* of two events */
    LOSES_IN_THE_BATCH, /* what is reported while a callback deletes something */
    HIDES_ITS_EDGES,    /* does not say that it has any */
};

struct poll {
    int used, armed, fd; /* armed: registered; a callback may be running */
    uint32_t events, waiting, userdata, level;
    unsigned uses; /* how often it was started */
};

struct timer {
    int used;
    uint64_t deadline_ns, order, delay_ms;
    uint32_t userdata;
    unsigned uses;
};

static struct {
    const struct etalon_subject_host *host;
    struct poll poll[ETALON_SUBJECT_COMPLETIONS];
    struct timer timer[ETALON_SUBJECT_COMPLETIONS];
    uint64_t orders, now_ns;
    int epoll, wakeup, stopped, deleted;
    unsigned calls;
} loop;

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int in_use(uint32_t c) {
    return loop.poll[c].used || loop.timer[c].used;
}

static int anything_in_use(void) {
    int any = 0;
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        any = any || in_use(c);
    return any;
}

/* ---- polls ----------------------------------------------------------------------------------- */

static int control(int operation, uint32_t c) {
    uint32_t edges = FAULT == REPEATS ? 0 : EPOLLET;
    struct epoll_event event = {.events = loop.poll[c].events | edges, .data.u32 = c};
    return epoll_ctl(loop.epoll, operation, loop.poll[c].fd, &event) == 0 ? 0 : -errno;
}

static void disarm(uint32_t c) {
    if (loop.poll[c].armed)
        (void)epoll_ctl(loop.epoll, EPOLL_CTL_DEL, loop.poll[c].fd, NULL);
    loop.poll[c].armed = loop.poll[c].used = 0;
    loop.poll[c].waiting = 0;
}

/* What is reported of c now is lost. */
static void swallow(uint32_t c) {
    struct epoll_event event[ETALON_SUBJECT_COMPLETIONS + 1];
    int count = epoll_wait(loop.epoll, event, ETALON_SUBJECT_COMPLETIONS + 1, 0);
    for (int i = 0; i < count; i++)
        if (event[i].data.u32 != c && event[i].data.u32 < ETALON_SUBJECT_COMPLETIONS)
            loop.poll[event[i].data.u32].waiting |= event[i].events;
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *d) {
    struct poll *p = &loop.poll[c];
    (void)self;
    disarm(c);
    *p = (struct poll){.fd = d->fd, .events = d->events, .userdata = d->userdata, .uses = p->uses};
    int error = control(EPOLL_CTL_ADD, c);
    p->armed = p->used = error == 0;
    p->uses++;
    if (error == 0 && FAULT == NEVER_TELLS_THE_START)
        swallow(c);
    return error;
}

static uint32_t level_of(const struct poll *p) {
    struct pollfd asked = {.fd = p->fd, .events = (short)p->events};
    return poll(&asked, 1, 0) > 0 ? (uint32_t)(unsigned short)asked.revents : 0;
}

static void call_poll(uint32_t c) {
    struct poll *p = &loop.poll[c];
    uint32_t told = p->waiting;
    unsigned uses = p->uses;
    if (FAULT == LOSES_MORE)
        told &= ~p->level;
    if ((FAULT == TELLS_LATER || FAULT == LOSES_THE_OTHER) && (told & EPOLLOUT) != 0)
        told &= EPOLLOUT | EPOLLHUP | EPOLLERR;
    p->waiting = FAULT == TELLS_LATER ? p->waiting & ~told : 0;
    if (told == 0)
        return;
    loop.calls++;
    p->used = 0;
    enum etalon_subject_action action = loop.host->called(c, told, p->userdata);
    if (p->uses != uses)
        return;
    if (action != ETALON_REARM || loop.timer[c].used) {
        disarm(c);
        return;
    }
    p->used = 1;
    if (!p->armed) { /* it was deleted meanwhile */
        p->armed = p->used = control(EPOLL_CTL_ADD, c) == 0;
        return;
    }
    p->level = FAULT == LOSES_MORE ? level_of(p) : 0;
    if (FAULT == LOSES_BETWEEN)
        swallow(c);
    if (FAULT == LOSES_AFTER) {
        p->events = 0;
        (void)control(EPOLL_CTL_MOD, c);
    }
}

/* ---- timers ---------------------------------------------------------------------------------- */

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    const uint64_t farthest = INT64_MAX;
    struct timer *t = &loop.timer[c];
    uint64_t delay_ns = delay_ms > farthest / 1000000 ? farthest : delay_ms * 1000000;
    (void)self, (void)has_callback;
    *t = (struct timer){1, clock_ns() + delay_ns, loop.orders++, delay_ms, userdata, t->uses + 1};
    return 0;
}

static struct timer *earliest(void) {
    struct timer *first = NULL;
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++) {
        struct timer *t = &loop.timer[c];
        if (t->used && (first == NULL || t->deadline_ns < first->deadline_ns ||
                        (t->deadline_ns == first->deadline_ns && t->order < first->order)))
            first = t;
    }
    return first;
}

static void call_timers(void) {
    uint64_t orders = loop.orders; /* those that callbacks start have their turn later */
    for (struct timer *t; (t = earliest()) != NULL && !loop.stopped;) {
        unsigned uses = t->uses;
        uint32_t c = (uint32_t)(t - loop.timer);
        if (t->deadline_ns > loop.now_ns || t->order >= orders)
            return;
        t->used = 0;
        loop.calls++;
        if (loop.host->called(c, 0, t->userdata) == ETALON_REARM && t->uses == uses && !in_use(c))
            (void)timer(NULL, c, t->delay_ms, t->userdata, 1);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static int64_t time_left_ns(void) {
    const struct timer *first = earliest();
    uint64_t now = clock_ns();
    if (first == NULL)
        return -1;
    return first->deadline_ns > now ? (int64_t)(first->deadline_ns - now) : 0;
}

static int is_waiting(void) {
    int any = 0;
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        any = any || (loop.poll[c].used && loop.poll[c].waiting != 0);
    return any;
}

static void turn(int waits) {
    struct epoll_event event[ETALON_SUBJECT_COMPLETIONS + 1];
    int64_t left = waits && !is_waiting() ? time_left_ns() : 0;
    struct timespec limit = {left / 1000000000, left % 1000000000};
    int count = epoll_pwait2(loop.epoll, event, ETALON_SUBJECT_COMPLETIONS + 1,
                             left < 0 ? NULL : &limit, NULL);
    loop.now_ns = clock_ns();
    loop.deleted = 0;
    for (int i = 0; i < count; i++) {
        uint32_t c = event[i].data.u32;
        uint64_t value;
        if (c == ETALON_NOBODY)
            (void)!read(loop.wakeup, &value, sizeof value);
        else
            loop.poll[c].waiting |= event[i].events;
    }
    call_timers();
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS && !loop.stopped; c++) {
        if (!loop.poll[c].used || loop.poll[c].waiting == 0)
            continue;
        if (FAULT == LOSES_IN_THE_BATCH && loop.deleted) {
            loop.poll[c].waiting = 0;
            continue;
        }
        call_poll(c);
    }
}

static int run(void *self, uint32_t mode) {
    unsigned calls = loop.calls;
    (void)self;
    loop.stopped = 0;
    if (mode == ETALON_RUN_NO_WAIT)
        turn(0);
    while (mode != ETALON_RUN_NO_WAIT && anything_in_use() && !loop.stopped &&
           (mode == ETALON_RUN_UNTIL_DONE || loop.calls == calls))
        turn(1);
    return 0;
}

static void stop(void *self) {
    (void)self;
    loop.stopped = 1;
}

static void wakeup(void *self) {
    uint64_t one = 1;
    int saved = errno;
    (void)self;
    (void)!write(loop.wakeup, &one, sizeof one);
    errno = saved;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int delete_completion(void *self, uint32_t c) {
    (void)self;
    loop.deleted = loop.deleted || loop.poll[c].used;
    disarm(c);
    loop.timer[c].used = 0;
    return 0;
}

static int state(void *self, uint32_t c) {
    (void)self;
    return in_use(c) ? ETALON_ACTIVE : ETALON_DEAD;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = ETALON_NOBODY};
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop.host = host;
    *self = &loop;
    return epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wakeup, &event) == 0 ? 0 : -errno;
}

static int deinit(void *self) {
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        (void)delete_completion(self, c);
    close(loop.epoll);
    close(loop.wakeup);
    return 0;
}

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "edges",
    .notes = "Polls are registered with EPOLLET; a rearm leaves them registered.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM |
              ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE |
              ETALON_OFFERS_STOP | ETALON_OFFERS_WAKEUP | ETALON_OFFERS_IN_USE |
              ETALON_OFFERS_DEINIT | ETALON_OFFERS_POLL | ETALON_OFFERS_POLL_MORE |
              (FAULT == HIDES_ITS_EDGES ? 0 : ETALON_OFFERS_EDGES),
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .remove = delete_completion,
    .state = state,
    .run = run,
    .stop = stop,
    .wakeup = wakeup,
};
