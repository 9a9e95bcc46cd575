/* SPDX-License-Identifier: MIT */
/* The loop of a hundred lines, for `etalon check`.
 * Build: -I tests/kit/examples tests/kit/examples/tiny_loop.c
 *
 * A completion is a watcher.
 *
 *   timer  tiny_timer    remove  tiny_end         stop    tiny_stop, for good
 *   poll   tiny_poll     run     tiny_run         state   watcher.started
 *   now    loop.now_ns, in milliseconds
 *
 * Not offered: a reset (end it, and start another), a cancel that calls back, rearming, wake-ups,
 * refusals. */
#include "tiny_loop.h"

#include <errno.h>
#include <stdlib.h>

#include "etalon_subject.h"

struct completion {
    struct tiny_watcher watcher; /* first: a watcher's address is its completion's */
    struct subject *subject;
    uint32_t number, userdata;
};

struct subject {
    struct tiny_loop loop;
    const struct etalon_subject_host *host;
    /* each its own memory: a use after forget is seen */
    struct completion *completions[ETALON_SUBJECT_COMPLETIONS];
};

static void called(struct tiny_watcher *watcher, int events) {
    struct completion *c = (struct completion *)watcher;
    c->subject->host->called(c->number, events, c->userdata);
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct subject *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->host = host;
    tiny_init(&s->loop);
    *self = s;
    return 0;
}

static int delete_completion(void *self, uint32_t c) {
    struct subject *s = self;
    if (s->completions[c] != NULL)
        tiny_end(&s->loop, &s->completions[c]->watcher);
    return 0;
}

static void forget(void *self, uint32_t c) {
    struct subject *s = self;
    free(s->completions[c]);
    s->completions[c] = NULL;
}

static int deinit(void *self) {
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        forget(self, c);
    free(self);
    return 0;
}

static struct completion *completion(struct subject *s, uint32_t c, uint32_t userdata) {
    if (s->completions[c] == NULL)
        s->completions[c] = calloc(1, sizeof(struct completion));
    if (s->completions[c] != NULL) {
        s->completions[c]->subject = s;
        s->completions[c]->number = c;
        s->completions[c]->userdata = userdata;
    }
    return s->completions[c];
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = completion(s, c, userdata);
    (void)has_callback;
    return its == NULL ? -ENOMEM : tiny_timer(&s->loop, &its->watcher, delay_ms, called);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *description) {
    struct subject *s = self;
    struct completion *its = completion(s, c, description->userdata);
    return its == NULL ? -ENOMEM
                       : tiny_poll(&s->loop, &its->watcher, description->fd,
                                   (short)description->events, called);
}

static int state(void *self, uint32_t c) {
    const struct subject *s = self;
    return s->completions[c] != NULL && s->completions[c]->watcher.started != 0 ? ETALON_ACTIVE
                                                                                : ETALON_DEAD;
}

static int run(void *self, uint32_t mode) {
    struct subject *s = self;
    return tiny_run(&s->loop, mode == ETALON_RUN_NO_WAIT ? TINY_NO_WAIT
                              : mode == ETALON_RUN_ONCE  ? TINY_ONCE
                                                         : TINY_UNTIL_DONE);
}

static void stop(void *self) {
    struct subject *s = self;
    tiny_stop(&s->loop);
}

static int stopped(void *self) {
    const struct subject *s = self;
    return s->loop.stopped;
}

static uint64_t now(void *self) {
    const struct subject *s = self;
    return s->loop.now_ns / 1000000;
}

static const char *version(void) {
    return "1.0";
}

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "tiny",
    .notes = "The example of ADAPTERS.md: a completion is a watcher; nothing else is mapped.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_DELETE | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_STOP |
              ETALON_OFFERS_STOPPED | ETALON_OFFERS_NOW | ETALON_OFFERS_IN_USE |
              ETALON_OFFERS_DEINIT | ETALON_OFFERS_FORGET | ETALON_OFFERS_POLL |
              ETALON_OFFERS_POLL_MORE | ETALON_OFFERS_MANY_POLLS,
    .version = version,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .remove = delete_completion,
    .forget = forget,
    .state = state,
    .run = run,
    .stop = stop,
    .stopped = stopped,
    .now = now,
};
