/* SPDX-License-Identifier: MIT */
/* libev (Marc Lehmann's libev 4), for `etalon check`. Build: -lev
 *
 * A completion is a watcher: an ev_timer that does not repeat, or an ev_io that its callback stops
 * before anything else, as one call is all that a completion gets.
 *
 *   timer         ev_timer_set, ev_timer_start
 *   timer_reset   ev_timer_stop, then as timer; a carrier is not needed
 *   poll          ev_io_set, ev_io_start
 *   rearm         ev_timer_set, ev_timer_start; ev_io_start
 *   remove        ev_timer_stop, ev_io_stop
 *   state         ev_is_active, ev_is_pending
 *   run           ev_run: EVRUN_NOWAIT, EVRUN_ONCE, 0; EVRUN_ONCE, one iteration, is a turn, too
 *   stop          ev_break(EVBREAK_ALL)
 *   update_now    ev_now_update
 *   wakeup        ev_async_send; the ev_async holds no reference (ev_unref)
 *   async         an ev_async, started; notify is ev_async_send. It holds a reference only while a
 *                 completion waits on it
 *   deinit        all watchers are stopped, then ev_loop_destroy
 *
 * Not offered: notifications that are kept until something waits (an ev_async calls whether or
 * not), a cancel that calls back (libev has none), libev's repeat, now (ev_now is wall-clock time),
 * a stop for good ("this break state will be cleared on the next call to ev_run"), refusals (ev_run
 * may be called recursively), descriptor and timeout for a host (no call tells them). */
#include <ev.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "etalon_subject.h"

enum kind { NOTHING, TIMER, IO, ASYNC };

struct async {
    ev_async watcher;
    int started;
    struct completion *waiter; /* or null */
};

struct completion {
    union {
        ev_timer timer;
        ev_io io;
    };
    enum kind kind;
    uint32_t number, userdata;
    uint64_t delay_ms; /* of a TIMER */
    struct async *on;  /* that an ASYNC waits on; null: not any more */
};

struct subject {
    struct ev_loop *loop;
    const struct etalon_subject_host *host;
    ev_async wakeup;
    struct async asyncs[ETALON_SUBJECT_ASYNCS];
    /* each its own memory: a use after forget is seen */
    struct completion *completions[ETALON_SUBJECT_MANY];
    uint32_t uses[ETALON_SUBJECT_MANY]; /* how often it was started, or forgotten */
};

/* Calls back, and says whether the watcher is to be started again. */
static int rearms(struct subject *s, uint32_t c, int64_t result) {
    uint32_t uses = s->uses[c];
    return s->host->called(c, result, s->completions[c]->userdata) == ETALON_REARM &&
           s->uses[c] == uses;
}

static void timer_expired(struct ev_loop *loop, ev_timer *watcher, int events) {
    const struct completion *c = watcher->data;
    (void)events;
    if (!rearms(ev_userdata(loop), c->number, 0))
        return;
    ev_timer_set(watcher, (ev_tstamp)c->delay_ms / 1000, 0.);
    ev_timer_start(loop, watcher);
}

static void io_ready(struct ev_loop *loop, ev_io *watcher, int events) {
    const struct completion *c = watcher->data;
    ev_io_stop(loop, watcher);
    int64_t result = (events & EV_READ ? EPOLLIN : 0) | (events & EV_WRITE ? EPOLLOUT : 0);
    if (rearms(ev_userdata(loop), c->number, events & EV_ERROR ? -EBADF : result))
        ev_io_start(loop, watcher);
}

static void woken(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop, (void)watcher, (void)events;
}

static void end_wait(struct subject *s, struct completion *c) {
    if (c->on == NULL)
        return;
    c->on->waiter = NULL;
    c->on = NULL;
    ev_unref(s->loop);
}

static void wait_on(struct subject *s, struct completion *c, struct async *on) {
    c->on = on;
    on->waiter = c;
    ev_ref(s->loop);
}

static void notified(struct ev_loop *loop, ev_async *watcher, int events) {
    struct async *on = watcher->data;
    struct completion *c = on->waiter;
    struct subject *s = ev_userdata(loop);
    (void)events;
    if (c == NULL)
        return;
    end_wait(s, c);
    if (rearms(s, c->number, 0))
        wait_on(s, c, on);
}

/* That is to be started. */
static struct completion *completion(struct subject *s, uint32_t c) {
    if (s->completions[c] == NULL)
        s->completions[c] = calloc(1, sizeof(struct completion));
    s->uses[c]++;
    return s->completions[c];
}

static int delete_completion(void *self, uint32_t c) {
    struct subject *s = self;
    struct completion *its = s->completions[c];
    if (its != NULL && its->kind == TIMER)
        ev_timer_stop(s->loop, &its->timer);
    if (its != NULL && its->kind == IO)
        ev_io_stop(s->loop, &its->io);
    if (its != NULL && its->kind == ASYNC)
        end_wait(s, its);
    return 0;
}

static void forget(void *self, uint32_t c) {
    struct subject *s = self;
    delete_completion(self, c);
    free(s->completions[c]);
    s->completions[c] = NULL;
    s->uses[c]++;
}

static int async_init(void *self, uint32_t a) {
    struct subject *s = self;
    s->asyncs[a] = (struct async){.started = 1};
    ev_async_init(&s->asyncs[a].watcher, notified);
    s->asyncs[a].watcher.data = &s->asyncs[a];
    ev_async_start(s->loop, &s->asyncs[a].watcher);
    ev_unref(s->loop);
    return 0;
}

static int async_deinit(void *self, uint32_t a) {
    struct subject *s = self;
    ev_ref(s->loop);
    ev_async_stop(s->loop, &s->asyncs[a].watcher);
    s->asyncs[a].started = 0;
    return 0;
}

static int async_notify(void *self, uint32_t a) {
    struct subject *s = self;
    ev_async_send(s->loop, &s->asyncs[a].watcher);
    return 0;
}

static int async_wait(void *self, uint32_t c, uint32_t a, uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = completion(s, c);
    (void)has_callback;
    if (its == NULL)
        return -ENOMEM;
    its->kind = ASYNC;
    its->number = c;
    its->userdata = userdata;
    wait_on(s, its, &s->asyncs[a]);
    return 0;
}

static int deinit(void *self) {
    struct subject *s = self;
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        forget(self, c);
    for (uint32_t a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (s->asyncs[a].started)
            async_deinit(s, a);
    if (s->loop != NULL) {
        ev_ref(s->loop);
        ev_async_stop(s->loop, &s->wakeup);
        ev_loop_destroy(s->loop);
    }
    free(s);
    return 0;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct subject *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->host = host;
    s->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    if (s->loop == NULL) {
        free(s);
        return -ENOMEM;
    }
    ev_set_userdata(s->loop, s);
    ev_async_init(&s->wakeup, woken);
    ev_async_start(s->loop, &s->wakeup);
    ev_unref(s->loop);
    *self = s;
    return 0;
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = completion(s, c);
    (void)has_callback;
    if (its == NULL)
        return -ENOMEM;
    its->kind = TIMER;
    its->number = c;
    its->userdata = userdata;
    its->delay_ms = delay_ms;
    ev_timer_init(&its->timer, timer_expired, (ev_tstamp)delay_ms / 1000, 0.);
    its->timer.data = its;
    ev_timer_start(s->loop, &its->timer);
    return 0;
}

static int timer_reset(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback) {
    (void)carrier;
    delete_completion(self, c);
    return timer(self, c, delay_ms, userdata, has_callback);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *description) {
    struct subject *s = self;
    struct completion *its = completion(s, c);
    if (its == NULL)
        return -ENOMEM;
    its->kind = IO;
    its->number = c;
    its->userdata = description->userdata;
    ev_io_init(&its->io, io_ready, description->fd,
               (description->events & EPOLLIN ? EV_READ : 0) |
                   (description->events & EPOLLOUT ? EV_WRITE : 0));
    its->io.data = its;
    ev_io_start(s->loop, &its->io);
    return 0;
}

static int state(void *self, uint32_t c) {
    const struct subject *s = self;
    const struct completion *its = s->completions[c];
    if (its == NULL || its->kind == NOTHING)
        return ETALON_DEAD;
    if (its->kind == ASYNC)
        return its->on != NULL ? ETALON_ACTIVE : ETALON_DEAD;
    return ev_is_active(&its->timer) || ev_is_pending(&its->timer) ? ETALON_ACTIVE : ETALON_DEAD;
}

static int run(void *self, uint32_t mode) {
    struct subject *s = self;
    ev_run(s->loop, mode == ETALON_RUN_NO_WAIT      ? EVRUN_NOWAIT
                    : mode == ETALON_RUN_UNTIL_DONE ? 0
                                                    : EVRUN_ONCE);
    return 0;
}

static void stop(void *self) {
    struct subject *s = self;
    ev_break(s->loop, EVBREAK_ALL);
}

static void wakeup(void *self) {
    struct subject *s = self;
    ev_async_send(s->loop, &s->wakeup);
}

static void update_now(void *self) {
    struct subject *s = self;
    ev_now_update(s->loop);
}

static const char *version(void) {
    static char text[16];
    snprintf(text, sizeof(text), "%d.%d", ev_version_major(), ev_version_minor());
    return text;
}

#define AN_INTERNAL_EVENT                                                                          \
    "EVRUN_ONCE waits for one new event, which may be internal to libev, so that no callback is "  \
    "guaranteed: ev(3), ev_run"

static const struct etalon_subject_difference differences[] = {
    {"ET-RUN-2/woken", AN_INTERNAL_EVENT},
    {"ET-RUN-2/slice", AN_INTERNAL_EVENT},
    {"ET-RUN-2/ended", AN_INTERNAL_EVENT},
    {"ET-RUN-2/early", AN_INTERNAL_EVENT},
    {NULL, NULL},
};

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "libev",
    .notes = "A completion is an ev_timer that does not repeat, or an ev_io that is stopped when "
             "it is called; a rearm starts it again. A reset stops the timer and starts it again. "
             "A wake-up is an ev_async without a reference, an async one that has a reference "
             "while a completion waits on it.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
              ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_STOP |
              ETALON_OFFERS_WAKEUP | ETALON_OFFERS_UPDATE_NOW | ETALON_OFFERS_IN_USE |
              ETALON_OFFERS_DEINIT | ETALON_OFFERS_FORGET | ETALON_OFFERS_POLL |
              ETALON_OFFERS_MANY_POLLS | ETALON_OFFERS_ASYNC | ETALON_OFFERS_TURN,
    .differences = differences,
    .version = version,
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
    .async_init = async_init,
    .async_deinit = async_deinit,
    .async_notify = async_notify,
    .async_wait = async_wait,
    .completions_max = ETALON_SUBJECT_MANY,
};
