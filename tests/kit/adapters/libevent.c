/* SPDX-License-Identifier: MIT */
/* libevent 2.1, for `etalon check`. Build: -levent_pthreads -levent_core
 *
 * A completion is a struct event without EV_PERSIST: pending from event_add on, and not any more
 * when its callback runs.
 *
 *   timer         event_new, event_add with a timeout
 *   timer_reset   event_add: "replaces the old timeout"; a carrier is not needed
 *   poll          event_new with EV_READ, EV_WRITE, event_add
 *   noop          event_active of an event that is not added
 *   rearm         event_add, of a timer with the same timeout; event_active of a noop
 *   remove        event_del
 *   state         event_pending
 *   run           event_base_loop: EVLOOP_NONBLOCK, EVLOOP_ONCE, 0
 *   stop          event_base_loopexit(NULL)
 *   update_now    event_base_update_cache_time
 *   wakeup        event_active of an event that is never added
 *   deinit        all events are freed, then the base
 *
 * evthread_use_pthreads is called, as a wake-up from elsewhere needs it. Not offered: asyncs
 * (event_active from another thread comes closest, but an event without a timeout or a descriptor
 * cannot be pending, so that nothing would keep event_base_loop waiting for it), a cancel that
 * calls back (libevent has none), EV_PERSIST, now (event_base_gettimeofday_cached is wall-clock
 * time), a stop for good ("subsequent invocations of event_base_loop() will proceed normally"),
 * refusals, a turn (EVLOOP_ONCE is to "block until we have an active event", so it waits again
 * behind an interrupted wait), descriptor and timeout for a host (no call tells them). */
#include <event2/event.h>
#include <event2/thread.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "etalon_subject.h"

struct completion {
    struct event *event;
    struct subject *subject;
    uint32_t number, userdata;
    uint64_t delay_ms; /* of a timer */
    int is_noop;
    uint32_t uses; /* how often it was started, or forgotten */
};

struct subject {
    struct event_base *base;
    struct event *wakeup;
    const struct etalon_subject_host *host;
    struct completion completions[ETALON_SUBJECT_MANY];
};

static struct timeval timeval(uint64_t delay_ms) {
    return (struct timeval){.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};
}

static void ready(evutil_socket_t fd, short events, void *arg) {
    const struct completion *c = arg;
    uint32_t uses = c->uses;
    /* 0 of a timer */
    int64_t result = (events & EV_READ ? EPOLLIN : 0) | (events & EV_WRITE ? EPOLLOUT : 0);
    enum etalon_subject_action action = c->subject->host->called(c->number, result, c->userdata);
    struct timeval timeout = timeval(c->delay_ms);
    if (action == ETALON_REARM && c->uses == uses && c->is_noop)
        event_active(c->event, EV_TIMEOUT, 0);
    else if (action == ETALON_REARM && c->uses == uses)
        event_add(c->event, fd == -1 ? &timeout : NULL);
}

static void woken(evutil_socket_t fd, short events, void *arg) {
    (void)fd, (void)events, (void)arg;
}

static void forget(void *self, uint32_t c) {
    struct subject *s = self;
    if (s->completions[c].event != NULL)
        event_free(s->completions[c].event);
    s->completions[c].event = NULL;
    s->completions[c].is_noop = 0;
    s->completions[c].uses++;
}

static int deinit(void *self) {
    struct subject *s = self;
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        forget(self, c);
    if (s->wakeup != NULL)
        event_free(s->wakeup);
    if (s->base != NULL)
        event_base_free(s->base);
    free(s);
    return 0;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct subject *s = calloc(1, sizeof(*s));
    if (s == NULL || evthread_use_pthreads() != 0) {
        free(s);
        return -ENOMEM;
    }
    s->host = host;
    s->base = event_base_new();
    s->wakeup = s->base == NULL ? NULL : event_new(s->base, -1, 0, woken, NULL);
    if (s->wakeup == NULL) {
        deinit(s);
        return -ENOMEM;
    }
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        s->completions[c] = (struct completion){.subject = s, .number = c};
    *self = s;
    return 0;
}

static int make_event(struct subject *s, uint32_t c, int fd, short events, uint32_t userdata) {
    forget(s, c);
    s->completions[c].userdata = userdata;
    s->completions[c].event = event_new(s->base, fd, events, ready, &s->completions[c]);
    return s->completions[c].event == NULL ? -ENOMEM : 0;
}

static int add(struct subject *s, uint32_t c, const struct timeval *timeout) {
    return event_add(s->completions[c].event, timeout) == 0 ? 0 : errno != 0 ? -errno : -EINVAL;
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct timeval timeout = timeval(delay_ms);
    (void)has_callback;
    int error = make_event(self, c, -1, 0, userdata);
    s->completions[c].delay_ms = delay_ms;
    return error != 0 ? error : add(self, c, &timeout);
}

static int timer_reset(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct timeval timeout = timeval(delay_ms);
    (void)carrier;
    if (s->completions[c].event == NULL || s->completions[c].is_noop ||
        event_get_fd(s->completions[c].event) != -1)
        return timer(self, c, delay_ms, userdata, has_callback);
    s->completions[c].userdata = userdata;
    s->completions[c].delay_ms = delay_ms;
    s->completions[c].uses++;
    return add(s, c, &timeout);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *description) {
    short events = (short)((description->events & EPOLLIN ? EV_READ : 0) |
                           (description->events & EPOLLOUT ? EV_WRITE : 0));
    struct subject *s = self;
    int error = make_event(self, c, description->fd, events, description->userdata);
    if (error == 0 && description->operation == ETALON_NOOP) {
        s->completions[c].is_noop = 1;
        event_active(s->completions[c].event, EV_TIMEOUT, 0); /* ready() tells a 0 of it */
        return 0;
    }
    return error != 0 ? error : add(self, c, NULL);
}

static int delete_completion(void *self, uint32_t c) {
    struct subject *s = self;
    return s->completions[c].event == NULL || event_del(s->completions[c].event) == 0 ? 0 : -EINVAL;
}

static int state(void *self, uint32_t c) {
    const struct subject *s = self;
    const struct event *event = s->completions[c].event;
    return event != NULL && event_pending(event, EV_TIMEOUT | EV_READ | EV_WRITE, NULL)
               ? ETALON_ACTIVE
               : ETALON_DEAD;
}

static int run(void *self, uint32_t mode) {
    struct subject *s = self;
    int flags = mode == ETALON_RUN_NO_WAIT ? EVLOOP_NONBLOCK
                : mode == ETALON_RUN_ONCE  ? EVLOOP_ONCE
                                           : 0;
    /* 1: nothing was pending */
    return event_base_loop(s->base, flags) >= 0 ? 0 : errno != 0 ? -errno : -EINVAL;
}

static void stop(void *self) {
    struct subject *s = self;
    event_base_loopexit(s->base, NULL);
}

static void wakeup(void *self) {
    struct subject *s = self;
    event_active(s->wakeup, 0, 0);
}

static void update_now(void *self) {
    struct subject *s = self;
    event_base_update_cache_time(s->base);
}

#define A_CACHED_TIME                                                                              \
    "the time is cached, and EVENT_BASE_FLAG_NO_CACHE_TIME and event_base_update_cache_time() "    \
    "are for callbacks that take long: event2/event.h"

static const struct etalon_subject_difference differences[] = {
    {"ET-WAIT-2/late", A_CACHED_TIME},
    {"ET-EXPIRE-1/waits", A_CACHED_TIME},
    {"ET-RUN-2/woken",
     "EVLOOP_ONCE waits for an active event, and the event of a wake-up is one: event2/event.h"},
    {"ET-WAKE-1", "event_active() runs the callback of the wake-up's event, within a callback "
                  "before the next wait: event2/event.h"},
    {NULL, NULL},
};

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "libevent",
    .notes =
        "A completion is an event without EV_PERSIST; a rearm adds it again. A reset is "
        "event_add of the pending event. A noop is event_active of an event that is not added. "
        "A wake-up is event_active of an event that is never "
        "added. stop is event_base_loopexit without a delay.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
              ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_STOP |
              ETALON_OFFERS_WAKEUP | ETALON_OFFERS_UPDATE_NOW | ETALON_OFFERS_IN_USE |
              ETALON_OFFERS_DEINIT | ETALON_OFFERS_FORGET | ETALON_OFFERS_POLL |
              ETALON_OFFERS_MANY_POLLS | ETALON_OFFERS_NOOP,
    .differences = differences,
    .version = event_get_version,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .timer_reset = timer_reset,
    .remove = delete_completion,
    .forget = forget,
    .state = state,
    .run = run,
    .stop = stop,
    .wakeup = wakeup,
    .update_now = update_now,
    .completions_max = ETALON_SUBJECT_MANY,
};
