/* SPDX-License-Identifier: MIT */
/* The loop itself: the calls, the rounds, and its life. Start at make_round. The public functions
 * here are documented in etalon.h; ET-… are clauses of spec/etalon.md. */
#include "internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define DESCRIPTORS_MAX (1 << 20)

/* ---- calls ----------------------------------------------------------------------------------- */

int et_loop_delete(struct et_loop *loop, struct et_completion *c) {
    if (!eti_is_usable(loop, c))
        return -EINVAL;
    if (c->internal.state != ET_ADDING && c->internal.state != ET_ACTIVE)
        return 0;
    bool pooled = c->internal.state == ET_ACTIVE && c->internal.place == PLACE_POOL;
    if (pooled && !eti_pool_recall(loop, c)) { /* ET-POOL-8 */
        c->internal.state = ET_DELETING;
        loop->active--;
        loop->lingering++;
        return 0;
    }
    eti_withdraw(loop, c);
    eti_join_deletions(loop, c);
    return 0;
}

static void describe_timer(struct et_completion *c, uint64_t delay_ms, et_callback callback,
                           void *userdata) {
    c->operation = ET_TIMER;
    c->on_pool = false;
    c->timer.delay_ms = delay_ms;
    c->callback = callback;
    c->userdata = userdata;
}

int et_loop_timer(struct et_loop *loop, struct et_completion *c, uint64_t delay_ms,
                  et_callback callback, void *userdata) {
    if (!eti_is_usable(loop, c))
        return -EINVAL;
    if (eti_is_busy(c) && (c->internal.state != ET_ADDING || c->internal.operation != ET_TIMER))
        return -EBUSY;
    describe_timer(c, delay_ms, callback, userdata);
    if (c->internal.state != ET_ADDING)
        return et_loop_add(loop, c);
    c->internal.deadline_ms = eti_deadline_after(loop, delay_ms);
    return 0;
}

int et_loop_timer_reset(struct et_loop *loop, struct et_completion *c,
                        struct et_completion *carrier, uint64_t delay_ms, et_callback callback,
                        void *userdata) {
    if (!eti_is_usable(loop, c) || carrier == NULL || carrier == c)
        return -EINVAL;
    if (c->internal.state != ET_ACTIVE)
        return et_loop_timer(loop, c, delay_ms, callback, userdata);
    if (c->internal.operation != ET_TIMER || !eti_is_usable(loop, carrier))
        return -EINVAL;
    bool carried = carrier->internal.state == ET_ADDING && c->internal.partner == carrier;
    if (!carried && eti_is_busy(carrier))
        return -EBUSY;
    if (!carried) {
        if (carrier->internal.state == ET_DELETING)
            eti_retire(loop, carrier); /* may bring c itself back into the heap */
        eti_withdraw(loop, c);
        loop->active++; /* the timer stays active: it is held */
        c->internal.place = PLACE_HELD;
        c->internal.partner = carrier;
        carrier->operation = ET_CANCEL;
        carrier->on_pool = false;
        carrier->cancel.target = c;
        carrier->callback = NULL;
        carrier->internal.operation = CARRIER;
        carrier->internal.partner = c;
        eti_join_submissions(loop, carrier);
    }
    describe_timer(c, delay_ms, callback, userdata);
    c->internal.deadline_ms = eti_deadline_after(loop, delay_ms);
    return 0;
}

int et_loop_cancel(struct et_loop *loop, struct et_completion *cancel, struct et_completion *target,
                   et_callback callback, void *userdata) {
    if (!eti_is_usable(loop, cancel) || target == NULL || target == cancel)
        return -EINVAL;
    if (eti_is_busy(cancel))
        return -EBUSY;
    cancel->operation = ET_CANCEL;
    cancel->on_pool = false;
    cancel->cancel.target = target;
    cancel->callback = callback;
    cancel->userdata = userdata;
    return et_loop_add(loop, cancel);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* Phase 1. What joins meanwhile carries the number of this round and waits for the next one
 * (ET-SUBMIT-1, ET-CALL-4). */
static void process_submissions(struct et_loop *loop) {
    uint32_t round = ++loop->round;
    while (loop->submissions_head != NULL && loop->submissions_head->internal.round != round)
        eti_start(loop, loop->submissions_head);
}

/* Phase 2. */
static void process_deletions(struct et_loop *loop) {
    while (loop->deletions_head != NULL)
        eti_retire(loop, loop->deletions_head);
}

static bool has_work(const struct et_loop *loop) {
    return loop->active > 0 || loop->lingering > 0 || loop->submissions_head != NULL ||
           loop->deletions_head != NULL;
}

static int make_round(struct et_loop *loop, uint64_t callbacks) {
    process_submissions(loop);
    if (loop->stopped)
        return 0;
    process_deletions(loop);
    eti_expire_timers(loop);
    if (loop->stopped)
        return 0;
    eti_deliver_handed_over(loop);
    if (loop->stopped)
        return 0;
    return eti_ask_kernel(loop, callbacks);
}

static int make_rounds(struct et_loop *loop, uint64_t callbacks) {
    if (!eti_is_initialised(loop))
        return -EINVAL;
    if (loop->stopped)
        return 0;
    if (loop->in_callback)
        return -EBUSY;
    loop->called = 0;
    int error;
    do
        error = make_round(loop, callbacks);
    while (error == 0 && !loop->stopped && loop->called < callbacks && has_work(loop));
    return error;
}

int et_loop_tick(struct et_loop *loop, unsigned callbacks) {
    return make_rounds(loop, callbacks);
}

int et_loop_run(struct et_loop *loop, enum et_run_mode mode) {
    switch (mode) {
    case ET_RUN_NO_WAIT: return make_rounds(loop, 0);
    case ET_RUN_ONCE: return make_rounds(loop, 1);
    case ET_RUN_UNTIL_DONE: return make_rounds(loop, UINT64_MAX);
    }
    return -EINVAL;
}

void et_loop_stop(struct et_loop *loop) {
    if (eti_is_initialised(loop))
        loop->stopped = true;
}

bool et_loop_stopped(const struct et_loop *loop) {
    return eti_is_initialised(loop) && loop->stopped;
}

void et_loop_update_now(struct et_loop *loop) {
    if (eti_is_initialised(loop))
        eti_update_time(loop);
}

void et_loop_wakeup(struct et_loop *loop) {
    /* The one look at the loop that another thread may take. */
    if (loop != NULL)
        eti_raise(&loop->wakers, &loop->wakeup);
}

/* ---- the loop's life ------------------------------------------------------------------------- */

static int descriptors_max(const struct et_options *options) {
    if (options != NULL && options->descriptors_max > 0)
        return options->descriptors_max <= DESCRIPTORS_MAX ? (int)options->descriptors_max
                                                           : -EINVAL;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > DESCRIPTORS_MAX)
        return DESCRIPTORS_MAX;
    return limit.rlim_cur > 0 ? (int)limit.rlim_cur : 1;
}

static void release(struct et_loop *loop) {
    eti_raise_ends(&loop->wakers);
    if (loop->wakeup >= 0)
        close(loop->wakeup);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop->descriptors);
    memset(loop, 0, offsetof(struct et_loop, wakers)); /* which another thread may still look at */
}

int et_loop_init(struct et_loop *loop, const struct et_options *options) {
    if (loop == NULL)
        return -EINVAL;
    memset(loop, 0, sizeof *loop);
    int limit = descriptors_max(options);
    if (limit < 0)
        return limit;
    loop->epoll = loop->wakeup = loop->changed_head = -1;
    loop->descriptors_max = limit;
    loop->descriptors = calloc((size_t)loop->descriptors_max, sizeof *loop->descriptors);
    if (loop->descriptors == NULL) {
        release(loop);
        return -ENOMEM;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKEUP};
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll >= 0)
        loop->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wakeup < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wakeup, &event) != 0) {
        int error = -errno;
        release(loop);
        return error;
    }
    if (options != NULL && options->pool != NULL) {
        int error = eti_pool_attach(loop, options->pool);
        if (error != 0) {
            release(loop);
            return error;
        }
    }
    eti_update_time(loop);
    eti_raise_begins(&loop->wakers);
    return 0;
}

static void drop_waiters(struct waiters *waiters) {
    for (struct et_completion *c = waiters->head; c != NULL; c = c->internal.wait_next)
        c->internal.state = ET_DEAD;
}

int et_loop_deinit(struct et_loop *loop) {
    if (!eti_is_initialised(loop))
        return -EINVAL;
    if (loop->in_callback)
        return -EBUSY;
    for (struct et_completion *c = loop->submissions_head; c != NULL; c = c->internal.next) {
        c->internal.state = ET_DEAD;
        if (c->internal.operation == CARRIER)
            eti_apply_reset(loop, c); /* the held timer is in nobody else's list */
    }
    process_deletions(loop);
    while (loop->timers != NULL) {
        loop->timers->internal.state = ET_DEAD;
        eti_heap_remove(&loop->timers, loop->timers);
    }
    for (int fd = 0; fd < loop->descriptors_used; fd++) {
        drop_waiters(&loop->descriptors[fd].in);
        drop_waiters(&loop->descriptors[fd].out);
        drop_waiters(&loop->descriptors[fd].polls);
    }
    eti_pool_detach(loop);
    release(loop);
    return 0;
}
