/* SPDX-License-Identifier: MIT */
/* libwayland-server, for `etalon check`. Build: $(pkg-config --cflags --libs wayland-server)
 *
 * A completion is a wl_event_source: a timer, which is kept and set anew, or a descriptor, which is
 * removed when it is called.
 *
 *   timer         wl_event_loop_add_timer, wl_event_source_timer_update (milliseconds in an int;
 *                 more is -ERANGE)
 *   timer_reset   wl_event_source_timer_update; a carrier is not needed
 *   poll          wl_event_loop_add_fd
 *   noop          wl_event_loop_add_idle
 *   rearm         wl_event_source_timer_update; wl_event_loop_add_fd or _add_idle anew
 *   remove        wl_event_source_remove
 *   run           wl_event_loop_dispatch, with a timeout of 0 or -1, which is a turn, too
 *   descriptor    wl_event_loop_get_fd
 *   timeout       0 while an idle callback is owed, which a host has to know by itself ("idle
 *                 sources excluded": wl_event_loop_get_fd); else -1: timers are in the descriptor
 *   deinit        all sources are removed, then the loop is destroyed
 *
 * An update by 0 ms disarms a timer: there is no timer of 0 ms, and the adapter answers -EINVAL.
 * Not offered: UNTIL_DONE, stop (a wl_display has them, a loop has not), wake-ups, now, states, a
 * cancel that calls back, refusals. */
#include <wayland-server-core.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "etalon_subject.h"

struct completion {
    struct subject *subject;
    struct wl_event_source *source;
    int is_timer, is_idle;
    uint32_t number, userdata;
    uint32_t uses; /* how often it was started */
    int delay_ms;  /* of a timer */
    int fd;        /* of a descriptor */
    uint32_t mask;
};

struct subject {
    struct wl_event_loop *loop;
    const struct etalon_subject_host *host;
    struct completion completions[ETALON_SUBJECT_MANY];
};

static void forget(void *self, uint32_t c) {
    struct subject *s = self;
    struct wl_event_source *source = s->completions[c].source;
    s->completions[c].source = NULL;
    if (source != NULL)
        wl_event_source_remove(source);
}

static int delete_completion(void *self, uint32_t c) {
    forget(self, c);
    return 0;
}

static int expired(void *data);

/* Calls back, and says whether the source is to be set again. */
static int rearms(const struct completion *c, int64_t result) {
    uint32_t uses = c->uses;
    return c->subject->host->called(c->number, result, c->userdata) == ETALON_REARM &&
           c->uses == uses;
}

static int start_timer(struct completion *c) {
    c->uses++;
    c->is_idle = 0;
    if (c->source == NULL)
        c->source = wl_event_loop_add_timer(c->subject->loop, expired, c);
    if (c->source == NULL)
        return -ENOMEM;
    return wl_event_source_timer_update(c->source, c->delay_ms) == 0 ? 0 : -EINVAL;
}

static int expired(void *data) {
    if (rearms(data, 0))
        (void)start_timer(data);
    return 0;
}

static int start_poll(struct completion *c);

static int ready(int fd, uint32_t mask, void *data) {
    struct completion *c = data;
    (void)fd;
    int64_t result =
        (mask & WL_EVENT_READABLE ? EPOLLIN : 0) | (mask & WL_EVENT_WRITABLE ? EPOLLOUT : 0) |
        (mask & WL_EVENT_HANGUP ? EPOLLHUP : 0) | (mask & WL_EVENT_ERROR ? EPOLLERR : 0);
    forget(c->subject, c->number);
    if (rearms(c, result))
        (void)start_poll(c);
    return 0;
}

/* The loop removes the source of an idle callback itself, when that returns. */
static void start_idle(struct completion *c);

static void idle(void *data) {
    struct completion *c = data;
    c->source = NULL;
    if (rearms(c, 0))
        start_idle(c);
}

static void start_idle(struct completion *c) {
    c->uses++;
    c->is_idle = 1;
    c->source = wl_event_loop_add_idle(c->subject->loop, idle, c);
}

static int start_poll(struct completion *c) {
    c->uses++;
    c->is_idle = 0;
    c->source = wl_event_loop_add_fd(c->subject->loop, c->fd, c->mask, ready, c);
    return c->source != NULL ? 0 : errno != 0 ? -errno : -EINVAL;
}

static int deinit(void *self) {
    struct subject *s = self;
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        forget(self, c);
    wl_event_loop_destroy(s->loop);
    free(s);
    return 0;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct subject *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->host = host;
    s->loop = wl_event_loop_create();
    if (s->loop == NULL) {
        free(s);
        return -ENOMEM;
    }
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        s->completions[c] = (struct completion){.subject = s, .number = c};
    *self = s;
    return 0;
}

static int timer_reset(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = &s->completions[c];
    (void)carrier, (void)has_callback;
    if (delay_ms == 0)
        return -EINVAL;
    if (delay_ms > INT_MAX)
        return -ERANGE;
    if (!its->is_timer)
        forget(self, c);
    its->is_timer = 1;
    its->userdata = userdata;
    its->delay_ms = (int)delay_ms;
    return start_timer(its);
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    return timer_reset(self, c, ETALON_NOBODY, delay_ms, userdata, has_callback);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *description) {
    struct subject *s = self;
    struct completion *its = &s->completions[c];
    forget(self, c);
    its->is_timer = 0;
    its->userdata = description->userdata;
    its->fd = description->fd;
    its->mask = (description->events & EPOLLIN ? WL_EVENT_READABLE : 0U) |
                (description->events & EPOLLOUT ? WL_EVENT_WRITABLE : 0U);
    if (description->operation != ETALON_NOOP)
        return start_poll(its);
    start_idle(its);
    return its->source != NULL ? 0 : -ENOMEM;
}

static int run(void *self, uint32_t mode) {
    const struct subject *s = self;
    return wl_event_loop_dispatch(s->loop, mode == ETALON_RUN_NO_WAIT ? 0 : -1) == 0 ? 0 : -errno;
}

static int64_t timeout(void *self) {
    const struct subject *s = self;
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        if (s->completions[c].is_idle && s->completions[c].source != NULL)
            return 0;
    return -1;
}

static int descriptor(void *self) {
    const struct subject *s = self;
    return wl_event_loop_get_fd(s->loop);
}

static const char *version(void) {
    return WAYLAND_VERSION; /* of the headers: the library does not tell */
}

static const struct etalon_subject_difference differences[] = {
    {"ET-TIMER-1/zero", "0 disarms: wl_event_source_timer_update()"},
    {"ET-TIMER-1/long", "a delay is an int of milliseconds: wl_event_source_timer_update()"},
    {"ET-RESET-3/zero", "0 disarms: wl_event_source_timer_update()"},
    {"ET-RESET-3/long", "a delay is an int of milliseconds: wl_event_source_timer_update()"},
    {"ET-EVENT-5", "each source waits on a duplicate of the descriptor, so that each has reports "
                   "of its own, whose order is free: wl_event_loop_add_fd()"},
    {"ET-WAIT-5",
     "a dispatch returns -1 for an error of polling, and EINTR is one: wl_event_loop_dispatch()"},
    {"ET-WAIT-1/idle", "a dispatch with the timeout -1 blocks indefinitely, also when there is no "
                       "source: wl_event_loop_dispatch()"},
    {"ET-WAIT-1/enough", "a dispatch blocks until an event source delivers an event, idle sources "
                         "excluded: wl_event_loop_dispatch()"},
    {"ET-CALL-4/round", "all idle sources are dispatched before a dispatch blocks, also those that "
                        "were added meanwhile: wl_event_loop_dispatch()"},
    {NULL, NULL},
};

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "wayland",
    .notes =
        "A completion is a wl_event_source: a timer that is kept and set anew, or a "
        "descriptor that is removed when it is called, and added again by a rearm. A noop is an "
        "idle callback. run is "
        "one wl_event_loop_dispatch. There are no timers of 0 ms.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
              ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_DEINIT | ETALON_OFFERS_FORGET |
              ETALON_OFFERS_POLL | ETALON_OFFERS_MANY_POLLS | ETALON_OFFERS_NOOP |
              ETALON_OFFERS_TURN | ETALON_OFFERS_HOSTED,
    .differences = differences,
    .version = version,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .timer_reset = timer_reset,
    .remove = delete_completion,
    .forget = forget,
    .run = run,
    .timeout = timeout,
    .descriptor = descriptor,
    .completions_max = ETALON_SUBJECT_MANY,
};
