/* SPDX-License-Identifier: MIT */
/* The loop itself: the calls, the rounds, and its life. Start at make_round. The public functions
 * here are documented in etalon.h; ET-… are clauses of spec/etalon.md. */
#include "internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define DESCRIPTORS_MAX (1 << 20)
#define CACHE_LINE      64

/* ---- calls ----------------------------------------------------------------------------------- */

int et_loop_delete(struct et_loop *loop, struct et_completion *c) {
    int error = eti_check_use(loop, c);
    if (error != 0)
        return error;
    if (c->internal.state != ET_ADDING && c->internal.state != ET_ACTIVE)
        return 0;
    bool pooled = c->internal.state == ET_ACTIVE && c->internal.place == PLACE_POOL;
    if (pooled && !eti_pool_recall(loop, c)) /* ET-POOL-8 */
        eti_become_lingering(loop, c);
    else
        eti_become_deleting(loop, c);
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
    int error = eti_check_use(loop, c);
    if (error != 0)
        return error;
    if (eti_is_busy(c) && (c->internal.state != ET_ADDING || c->internal.operation != ET_TIMER))
        return -EBUSY;
    describe_timer(c, delay_ms, callback, userdata);
    if (c->internal.state != ET_ADDING)
        eti_add_timer(loop, c);
    else
        c->internal.deadline_ms = eti_deadline_after(loop, delay_ms);
    return 0;
}

int et_loop_timer_reset(struct et_loop *loop, struct et_completion *c,
                        struct et_completion *carrier, uint64_t delay_ms, et_callback callback,
                        void *userdata) {
    int error = eti_check_use(loop, c);
    if (error != 0 || carrier == c)
        return error != 0 ? error : -EINVAL;
    if (c->internal.state != ET_ACTIVE)
        return et_loop_timer(loop, c, delay_ms, callback, userdata);
    if (c->internal.operation != ET_TIMER || (carrier != NULL && eti_check_use(loop, carrier) != 0))
        return -EINVAL;
    bool carried =
        carrier != NULL && carrier->internal.state == ET_ADDING && c->internal.partner == carrier;
    if (carrier != NULL && !carried && eti_is_busy(carrier))
        return -EBUSY;
    describe_timer(c, delay_ms, callback, userdata);
    const uint64_t deadline_ms = eti_deadline_after(loop, delay_ms);
    if (carrier == NULL) {
        eti_move_timer(loop, c, deadline_ms); /* ET-RESET-13 */
        return 0;
    }
    if (!carried)
        eti_hold(loop, c, carrier);
    eti_set_held(loop, c, deadline_ms);
    return 0;
}

int et_loop_cancel(struct et_loop *loop, struct et_completion *cancel, struct et_completion *target,
                   et_callback callback, void *userdata) {
    int error = eti_check_use(loop, cancel);
    if (error != 0 || target == NULL || target == cancel)
        return error != 0 ? error : -EINVAL;
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

/* Phase 1. What joins meanwhile waits for the next round (ET-SUBMIT-1, ET-CALL-4). */
static void process_submissions(struct et_loop *loop) {
    uint32_t round = ++loop->round;
    assert(!loop->in_callback);
    while (eti_is_ours(loop) && loop->submissions_head != NULL &&
           loop->submissions_head->internal.round != round)
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

/* Not after a callback has stopped the loop, or has returned in a child. */
static bool goes_on(const struct et_loop *loop) {
    return eti_is_ours(loop) && !loop->stopped;
}

static int make_round(struct et_loop *loop, uint64_t callbacks) {
    process_submissions(loop);
    if (!goes_on(loop))
        return 0;
    process_deletions(loop);
    eti_expire_timers(loop);
    if (!goes_on(loop))
        return 0;
    eti_deliver_handed_over(loop);
    if (!goes_on(loop))
        return 0;
    return eti_ask_kernel(loop, callbacks);
}

static int make_rounds(struct et_loop *loop, uint64_t callbacks, bool one_round) {
    int error = eti_check_loop(loop);
    if (error != 0 || loop->stopped)
        return error;
    if (loop->in_callback)
        return -EBUSY;
    loop->called = 0;
    do
        error = make_round(loop, callbacks);
    while (!one_round && error == 0 && goes_on(loop) && loop->called < callbacks && has_work(loop));
    return eti_is_ours(loop) ? error : -ECHILD; /* ET-FORK-5 */
}

int et_loop_tick(struct et_loop *loop, unsigned callbacks) {
    return make_rounds(loop, callbacks, false);
}

int et_loop_run(struct et_loop *loop, enum et_run_mode mode) {
    switch (mode) {
    case ET_RUN_NO_WAIT: return make_rounds(loop, 0, false);
    case ET_RUN_ONCE: return make_rounds(loop, 1, false);
    case ET_RUN_UNTIL_DONE: return make_rounds(loop, UINT64_MAX, false);
    case ET_RUN_TURN: return make_rounds(loop, 1, true);
    }
    return eti_check_loop(loop) == -ECHILD ? -ECHILD : -EINVAL;
}

void et_loop_stop(struct et_loop *loop) {
    if (!eti_is_ours(loop))
        return;
    loop->stopped = true;
    eti_hide_outside(loop); /* or a loop around this one would spin on what stays ready */
}

bool et_loop_stopped(const struct et_loop *loop) {
    return eti_is_ours(loop) && loop->stopped;
}

void et_loop_update_now(struct et_loop *loop) {
    if (eti_is_ours(loop))
        eti_update_time(loop);
}

/* ---- inside another loop --------------------------------------------------------------------- */

/* Not the instance that the loop waits on: that one may be replaced (eti_renew_epoll), and the
 * registrations of it elsewhere would go with it. */
int et_loop_descriptor(struct et_loop *loop) {
    int error = eti_check_loop(loop);
    if (error != 0)
        return error;
    if (loop->outer >= 0)
        return loop->outer;
    loop->outer = epoll_create1(EPOLL_CLOEXEC);
    if (loop->outer < 0)
        return -errno;
    error = loop->stopped ? 0 : eti_show_outside(loop);
    if (error != 0) {
        close(loop->outer);
        loop->outer = -1;
        loop->outer_lacks_epoll = false;
        return error;
    }
    return loop->outer;
}

/* Registrations that have to be looked at are no reason to run the loop: what the kernel reports by
 * them makes the descriptor readable. */
int64_t et_loop_timeout(const struct et_loop *loop) {
    int error = eti_check_loop(loop);
    if (error != 0)
        return error;
    if (loop->stopped)
        return -1;
    bool queued = loop->submissions_head != NULL || loop->deletions_head != NULL ||
                  atomic_load_explicit(&loop->handed_over, memory_order_relaxed) != NULL;
    if (queued || loop->in_callback || loop->outer_lacks_epoll)
        return 0;
    const struct et_completion *timer = eti_heap_first(loop->timers);
    if (timer == NULL)
        return -1;
    uint64_t now_ms = eti_clock_ns() / NANOSECONDS_PER_MS;
    uint64_t deadline_ms = timer->internal.deadline_ms;
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0; /* a begun one counts */
    return left_ms < INT64_MAX ? (int64_t)left_ms : INT64_MAX;
}

void et_loop_wakeup(struct et_loop *loop) {
    /* `process`, `wakers` and `wakeup` are all that another thread may look at. */
    if (loop != NULL && !eti_is_inherited(loop->process))
        eti_raise(&loop->wakers, &loop->wakeup);
}

/* ---- the loop's life ------------------------------------------------------------------------- */

static int descriptors_max(const struct et_options *options) {
    if (options != NULL && options->descriptors_max > 0)
        return options->descriptors_max > DESCRIPTORS_MAX ? -1 : (int)options->descriptors_max;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > DESCRIPTORS_MAX)
        return DESCRIPTORS_MAX;
    return limit.rlim_cur > 0 ? (int)limit.rlim_cur : 1;
}

static void release(struct et_loop *loop) {
    if (eti_is_inherited(loop->process))
        eti_raise_forgets(&loop->wakers);
    else
        eti_raise_ends(&loop->wakers);
    if (loop->wakeup >= 0)
        close(loop->wakeup);
    if (loop->outer >= 0)
        close(loop->outer);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop->timers);
    memset(loop, 0, offsetof(struct et_loop, process)); /* other threads may look at the rest */
}

static int make_parts(struct et_loop *loop, const struct et_options *options) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKEUP};
    int error = eti_number_process(&loop->process);
    if (error != 0)
        return error;
    const size_t descriptors = (size_t)loop->descriptors_max * sizeof *loop->descriptors;
    loop->timers = calloc(1, sizeof *loop->timers + CACHE_LINE - 1 + descriptors);
    if (loop->timers == NULL)
        return -ENOMEM;
    /* Each in a line of its own: two or three misses less for a message (tests/bench/README.md). */
    const size_t beyond = (uintptr_t)(loop->timers + 1) % CACHE_LINE;
    loop->descriptors = (struct et_descriptor *)(void *)((char *)(loop->timers + 1) +
                                                         (CACHE_LINE - beyond) % CACHE_LINE);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll >= 0)
        loop->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wakeup < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wakeup, &event) != 0)
        return -errno;
    return options != NULL && options->pool != NULL ? eti_pool_attach(loop, options->pool) : 0;
}

int et_loop_init(struct et_loop *loop, const struct et_options *options) {
    if (loop == NULL)
        return -EINVAL;
    memset(loop, 0, sizeof *loop);
    loop->epoll = loop->outer = loop->wakeup = loop->changed_head = -1;
    loop->descriptors_max = descriptors_max(options);
    int error = loop->descriptors_max < 0 ? -EINVAL : make_parts(loop, options);
    if (error != 0) {
        release(loop);
        return error;
    }
    eti_update_time(loop);
    /* Or the first timers would move down from the level in which the present is. */
    loop->timers->base_ms = loop->now_ns / NANOSECONDS_PER_MS;
    eti_raise_begins(&loop->wakers);
    return 0;
}

/* What only a child can find when it deinitialises: the parent was in a callback, in a phase, and
 * threads of the pool were at work (ET-FORK-1). */
static void abandon_interrupted(struct et_loop *loop) {
    for (struct et_completion *c = loop->expired; c != NULL; c = c->internal.wait_next)
        eti_abandon(loop, c);
    if (loop->current != NULL)
        eti_abandon(loop, loop->current);
    eti_pool_forget(loop);
}

int et_loop_deinit(struct et_loop *loop) {
    if (!eti_is_initialised(loop))
        return -EINVAL;
    const bool inherited = eti_is_inherited(loop->process);
    if (loop->in_callback && !inherited)
        return -EBUSY;
    for (struct et_completion *c = loop->submissions_head; c != NULL; c = c->internal.next)
        eti_abandon(loop, c); /* a carrier brings its timer back into the heap */
    process_deletions(loop);
    for (struct et_completion *c = eti_heap_take_due(loop->timers, UINT64_MAX); c != NULL;
         c = c->internal.wait_next)
        eti_abandon(loop, c);
    for (int fd = 0; fd < loop->descriptors_used; fd++)
        for (struct et_completion *c; (c = eti_first_waiter(&loop->descriptors[fd])) != NULL;
             eti_abandon(loop, c))
            eti_stop_waiting(loop, c);
    if (inherited)
        abandon_interrupted(loop);
    else
        eti_pool_detach(loop);
    release(loop);
    return 0;
}
