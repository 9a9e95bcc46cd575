/* SPDX-License-Identifier: MIT */
/* libevent 2.1 with events that are edge-triggered, as a subject: tests/suites/kit/edges.sh builds
 * it, where libevent is installed. Build: -levent_pthreads -levent_core
 *
 * "EV_ET: Select edge-triggered behavior, if supported by the backend"; with EV_PERSIST an event
 * stays added when its callback is called. So a poll is event_new with EV_ET | EV_PERSIST and
 * event_add, its rearm nothing at all, and any other return event_del. Several events of one
 * descriptor are not offered: the second is not registered anew, and not told what is ready. */
#include <event2/event.h>
#include <event2/thread.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "etalon_subject.h"

static struct {
    const struct etalon_subject_host *host;
    struct event_base *base;
    struct event *wakeup;
    struct completion {
        struct event *event;
        uint32_t number, userdata;
        unsigned uses;
        int is_called, is_poll;
        uint64_t delay_ms;
    } completion[ETALON_SUBJECT_COMPLETIONS];
} loop;

static int add(struct completion *c) {
    struct timeval timeout = {(time_t)(c->delay_ms / 1000),
                              (suseconds_t)(c->delay_ms % 1000 * 1000)};
    return event_add(c->event, c->is_poll ? NULL : &timeout) == 0 ? 0 : -EINVAL;
}

static void ready(evutil_socket_t fd, short events, void *arg) {
    struct completion *c = arg;
    unsigned uses = c->uses;
    int64_t result = (events & EV_READ ? EPOLLIN : 0) | (events & EV_WRITE ? EPOLLOUT : 0);
    (void)fd;
    c->is_called = 1;
    enum etalon_subject_action action = loop.host->called(c->number, result, c->userdata);
    if (c->uses != uses)
        return;
    c->is_called = 0;
    if (action != ETALON_REARM)
        event_del(c->event);
    else if (!c->is_poll)
        (void)add(c);
}

static void woken(evutil_socket_t fd, short events, void *arg) {
    (void)fd, (void)events, (void)arg;
}

static int make(uint32_t number, int fd, short events, uint32_t userdata, uint64_t delay_ms) {
    struct completion *c = &loop.completion[number];
    if (c->event != NULL)
        event_free(c->event);
    c->event = event_new(loop.base, fd, events, ready, c);
    c->uses++;
    c->number = number;
    c->userdata = userdata;
    c->delay_ms = delay_ms;
    c->is_called = 0;
    c->is_poll = fd >= 0;
    return c->event == NULL ? -ENOMEM : add(c);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *d) {
    short events =
        (short)((d->events & EPOLLIN ? EV_READ : 0) | (d->events & EPOLLOUT ? EV_WRITE : 0));
    (void)self;
    return make(c, d->fd, (short)(events | EV_ET | EV_PERSIST), d->userdata, 0);
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)self, (void)has_callback;
    return make(c, -1, 0, userdata, delay_ms);
}

static int delete_completion(void *self, uint32_t c) {
    (void)self;
    if (loop.completion[c].event != NULL && !loop.completion[c].is_called)
        event_del(loop.completion[c].event);
    return 0;
}

static int state(void *self, uint32_t c) {
    const struct completion *of = &loop.completion[c];
    (void)self;
    return of->event != NULL && !of->is_called &&
                   event_pending(of->event, EV_TIMEOUT | EV_READ | EV_WRITE, NULL)
               ? ETALON_ACTIVE
               : ETALON_DEAD;
}

static int deinit(void *self) {
    (void)self;
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++) {
        if (loop.completion[c].event != NULL)
            event_free(loop.completion[c].event);
        loop.completion[c].event = NULL;
    }
    event_free(loop.wakeup);
    event_base_free(loop.base);
    return 0;
}

static int init(const struct etalon_subject_host *host, void **self) {
    loop.host = host;
    *self = &loop;
    if (evthread_use_pthreads() != 0 || (loop.base = event_base_new()) == NULL)
        return -ENOMEM;
    loop.wakeup = event_new(loop.base, -1, 0, woken, NULL);
    return loop.wakeup == NULL ? -ENOMEM : 0;
}

static int run(void *self, uint32_t mode) {
    int flags = mode == ETALON_RUN_NO_WAIT ? EVLOOP_NONBLOCK
                : mode == ETALON_RUN_ONCE  ? EVLOOP_ONCE
                                           : 0;
    (void)self;
    return event_base_loop(loop.base, flags) >= 0 ? 0 : -EINVAL; /* 1: nothing was pending */
}

static void stop(void *self) {
    (void)self;
    event_base_loopexit(loop.base, NULL);
}

static void wakeup(void *self) {
    (void)self;
    event_active(loop.wakeup, 0, 0);
}

/* As in tests/kit/adapters/libevent.c, which says where. */
static const struct etalon_subject_difference differences[] = {
    {"ET-WAIT-2/late", "the time is cached"},
    {"ET-EXPIRE-1/waits", "the time is cached"},
    {"ET-RUN-2/woken", "the event of a wake-up is one"},
    {"ET-WAKE-1", "the event of a wake-up is called before the next wait"},
    {NULL, NULL},
};

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "libevent-edges",
    .notes = "A poll is an event with EV_ET and EV_PERSIST; a rearm leaves it added.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM |
              ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE |
              ETALON_OFFERS_STOP | ETALON_OFFERS_WAKEUP | ETALON_OFFERS_IN_USE |
              ETALON_OFFERS_DEINIT | ETALON_OFFERS_POLL | ETALON_OFFERS_EDGES,
    .differences = differences,
    .version = event_get_version,
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
