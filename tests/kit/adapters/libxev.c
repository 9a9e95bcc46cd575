/* SPDX-License-Identifier: MIT */
/* libxev. Compiler: clang. Build: -I$(LIBXEV)/include $(LIBXEV)/lib/libxev.a -Wno-gnu
 *
 * By its public C header. Built only when the user names an installed libxev: make conform
 * LIBXEV=/prefix. (gcc refuses the header's array sizes, which are constants of C++ only.)
 *
 *   timer         xev_timer_run
 *   timer_reset   xev_timer_reset, with a carrier of its own
 *   cancel        xev_timer_cancel
 *   rearm         XEV_REARM
 *   state         xev_completion_state: in use or not
 *   run           xev_loop_run: XEV_RUN_NO_WAIT, _ONCE, _UNTIL_DONE
 *   now           xev_loop_now
 *   update_now    xev_loop_update_now
 *   forget        xev_completion_zero
 *
 * The header has timers, xev_async and a thread pool. Its codes of errors are not stable ("unique",
 * by the order in which the compiler met them), so any error of a timer's callback stands for
 * -ECANCELED, any of a cancel's for -ENOENT: each has no other documented one. Not offered, as the
 * C interface lacks it: descriptors, delete, stop, a wake-up that is no completion (an xev_async is
 * one), deinit with completions in use, refusals.
 *
 * Virtual time reaches libxev only where it calls the C library: a build of the epoll backend that
 * links it does (as of 2023), the io_uring backend, which is the default on Linux, waits by a raw
 * system call and cannot be judged in this way. `etalon judge` can, by a recorded trace. */
#include <stddef.h>
#define max_align_t long double /* the header subtracts its size from 24, and x86-64's is 32 */
#include <xev.h>
#undef max_align_t

#include <errno.h>
#include <stdlib.h>

#include "etalon_subject.h"

struct completion {
    xev_completion completion, carrier; /* the carrier works for its resets only */
    struct subject *subject;
    uint32_t number, userdata;
};

struct subject {
    xev_loop loop;
    xev_watcher watcher; /* a timer's watcher holds nothing: one serves all */
    const struct etalon_subject_host *host;
    struct completion *completions[ETALON_SUBJECT_MANY];
};

static xev_cb_action call(void *userdata, int64_t result) {
    const struct completion *c = userdata;
    return c->subject->host->called(c->number, result, c->userdata) == ETALON_REARM ? XEV_REARM
                                                                                    : XEV_DISARM;
}

static xev_cb_action expired(xev_loop *loop, xev_completion *c, int result, void *userdata) {
    (void)loop, (void)c;
    return call(userdata, result == 0 ? 0 : -ECANCELED);
}

static xev_cb_action cancelled(xev_loop *loop, xev_completion *c, int result, void *userdata) {
    (void)loop, (void)c;
    return call(userdata, result == 0 ? 0 : -ENOENT);
}

static struct completion *completion(struct subject *s, uint32_t c) {
    struct completion *its = s->completions[c];
    if (its == NULL) {
        its = s->completions[c] = calloc(1, sizeof(*its));
        if (its == NULL)
            return NULL;
        xev_completion_zero(&its->completion);
        xev_completion_zero(&its->carrier);
        its->subject = s;
        its->number = c;
    }
    return its;
}

static void forget(void *self, uint32_t c) {
    struct subject *s = self;
    free(s->completions[c]);
    s->completions[c] = NULL;
}

static int deinit(void *self) {
    struct subject *s = self;
    xev_loop_deinit(&s->loop);
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        forget(self, c);
    xev_timer_deinit(&s->watcher);
    free(s);
    return 0;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct subject *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->host = host;
    if (xev_timer_init(&s->watcher) != 0 || xev_loop_init(&s->loop) != 0) {
        free(s);
        return -EIO;
    }
    *self = s;
    return 0;
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = completion(s, c);
    (void)has_callback;
    if (its == NULL)
        return -ENOMEM;
    its->userdata = userdata;
    xev_timer_run(&s->watcher, &s->loop, &its->completion, delay_ms, its, expired);
    return 0;
}

static int timer_reset(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = completion(s, c);
    (void)carrier, (void)has_callback;
    if (its == NULL)
        return -ENOMEM;
    its->userdata = userdata;
    xev_timer_reset(&s->watcher, &s->loop, &its->completion, &its->carrier, delay_ms, its, expired);
    return 0;
}

static int cancel(void *self, uint32_t c, uint32_t target, uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = completion(s, c);
    struct completion *timer_of_it = target == ETALON_NOBODY ? NULL : completion(s, target);
    (void)has_callback;
    if (its == NULL || timer_of_it == NULL)
        return -EINVAL;
    its->userdata = userdata;
    xev_timer_cancel(&s->watcher, &s->loop, &timer_of_it->completion, &its->completion, its,
                     cancelled);
    return 0;
}

static int state(void *self, uint32_t c) {
    struct subject *s = self;
    struct completion *its = completion(s, c);
    return its != NULL && xev_completion_state(&its->completion) == XEV_COMPLETION_ACTIVE
               ? ETALON_ACTIVE
               : ETALON_DEAD;
}

static int run(void *self, uint32_t mode) {
    struct subject *s = self;
    xev_run_mode_t its = mode == ETALON_RUN_NO_WAIT ? XEV_RUN_NO_WAIT
                         : mode == ETALON_RUN_ONCE  ? XEV_RUN_ONCE
                                                    : XEV_RUN_UNTIL_DONE;
    return xev_loop_run(&s->loop, its) == 0 ? 0 : -EIO;
}

static uint64_t now(void *self) {
    struct subject *s = self;
    return (uint64_t)xev_loop_now(&s->loop);
}

static void update_now(void *self) {
    struct subject *s = self;
    xev_loop_update_now(&s->loop);
}

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "libxev",
    .notes = "The timers of the C interface; a reset with its own completion, a cancel that calls "
             "back, XEV_REARM. Any error of a timer "
             "is -ECANCELED, any of a cancel -ENOENT. Only a build that waits through the C "
             "library (epoll) can be judged.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_CANCEL |
              ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE |
              ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_NOW | ETALON_OFFERS_UPDATE_NOW |
              ETALON_OFFERS_IN_USE | ETALON_OFFERS_FORGET,
    .init = init,
    .deinit = deinit,
    .timer = timer,
    .timer_reset = timer_reset,
    .cancel = cancel,
    .forget = forget,
    .state = state,
    .run = run,
    .now = now,
    .update_now = update_now,
    .completions_max = ETALON_SUBJECT_MANY,
};
