/* SPDX-License-Identifier: MIT */
/* The loop itself: its life, its two queues, the calls that move a completion through its states,
 * and the rounds. The public functions here are documented in etalon.h; ET-… are clauses of
 * spec/etalon.md. */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define DESCRIPTORS_MAX (1 << 20)
#define POLL_EVENTS     (POLLIN | POLLPRI | POLLOUT | EPOLLRDHUP | POLLERR | POLLHUP)

/* ---- the queues ------------------------------------------------------------------------------ */

void eti_join(struct et_completion **head, struct et_completion **tail, struct et_completion *c) {
    c->internal.next = NULL;
    c->internal.previous = *tail;
    if (*tail != NULL)
        (*tail)->internal.next = c;
    else
        *head = c;
    *tail = c;
}

void eti_leave(struct et_completion **head, struct et_completion **tail, struct et_completion *c) {
    struct et_completion *next = c->internal.next, *previous = c->internal.previous;
    if (previous != NULL)
        previous->internal.next = next;
    else
        *head = next;
    if (next != NULL)
        next->internal.previous = previous;
    else
        *tail = previous;
    c->internal.next = c->internal.previous = NULL;
}

static void join_submissions(struct et_loop *loop, struct et_completion *c) {
    c->internal.loop = loop;
    c->internal.state = ET_ADDING;
    c->internal.place = PLACE_NOWHERE; /* where deinit found it, otherwise */
    c->internal.round = loop->round;
    eti_join(&loop->submissions_head, &loop->submissions_tail, c);
}

static void leave_submissions(struct et_loop *loop, struct et_completion *c) {
    eti_leave(&loop->submissions_head, &loop->submissions_tail, c);
}

static void join_deletions(struct et_loop *loop, struct et_completion *c) {
    c->internal.state = ET_DELETING;
    eti_join(&loop->deletions_head, &loop->deletions_tail, c);
}

/* ---- transitions ----------------------------------------------------------------------------- */

void eti_become_active(struct et_loop *loop, struct et_completion *c, enum place place) {
    assert(c->internal.state == ET_ADDING);
    leave_submissions(loop, c);
    c->internal.state = ET_ACTIVE;
    c->internal.place = (uint8_t)place;
    c->internal.trusted = false; /* until a report ends it */
    c->internal.order = loop->order++;
    loop->active++;
}

void eti_become_dead(struct et_loop *loop, struct et_completion *c, int64_t result) {
    et_callback callback = c->callback;
    c->internal.state = ET_DEAD;
    loop->called++;
    if (callback == NULL)
        return;
    loop->in_callback = true;
    enum et_action action = callback(loop, c, result, c->userdata);
    loop->in_callback = false;
    if (action != ET_REARM)
        return; /* the memory may be gone */
    bool trusted = c->internal.trusted && c->internal.state == ET_DEAD;
    if (et_loop_add(loop, c) == 0)
        c->internal.trusted = trusted;
}

void eti_withdraw(struct et_loop *loop, struct et_completion *c) {
    if (c->internal.state == ET_ADDING) {
        leave_submissions(loop, c);
        c->internal.trusted = false; /* it does not end by a report */
        return;
    }
    assert(c->internal.state == ET_ACTIVE && loop->active > 0);
    loop->active--;
    switch ((enum place)c->internal.place) {
    case PLACE_NOWHERE:
        if (loop->current == c)
            loop->current = NULL; /* tells the cancel or close in progress that it was deleted */
        break;
    case PLACE_HEAP: eti_heap_remove(&loop->timers, c); break;
    case PLACE_EXPIRED:
        if (c->internal.wait_previous != NULL)
            c->internal.wait_previous->internal.wait_next = c->internal.wait_next;
        else
            loop->expired = c->internal.wait_next;
        if (c->internal.wait_next != NULL)
            c->internal.wait_next->internal.wait_previous = c->internal.wait_previous;
        break;
    case PLACE_HELD: /* ET-RESET-10: the carrier ends without a timer to key */
        c->internal.partner->internal.partner = NULL;
        c->internal.partner = NULL;
        break;
    case PLACE_IN:
    case PLACE_OUT:
    case PLACE_POLLS: eti_stop_waiting(loop, c); break;
    case PLACE_POOL: break; /* it was recalled, or has come back */
    }
    c->internal.place = PLACE_NOWHERE;
}

void eti_finish(struct et_loop *loop, struct et_completion *c, int64_t result) {
    eti_withdraw(loop, c);
    eti_become_dead(loop, c, result);
}

void eti_retire(struct et_loop *loop, struct et_completion *c) {
    assert(c->internal.state == ET_DELETING);
    eti_leave(&loop->deletions_head, &loop->deletions_tail, c);
    c->internal.state = ET_DEAD;
    if (c->internal.operation == CARRIER)
        eti_apply_reset(loop, c); /* ET-RESET-9 */
}

void eti_apply_reset(struct et_loop *loop, struct et_completion *carrier) {
    struct et_completion *timer = carrier->internal.partner;
    carrier->internal.partner = NULL;
    if (timer == NULL)
        return;
    assert(timer->internal.state == ET_ACTIVE && timer->internal.place == PLACE_HELD);
    timer->internal.partner = NULL;
    timer->internal.place = PLACE_HEAP;
    timer->internal.order = loop->order++;
    eti_heap_insert(&loop->timers, timer);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool is_initialised(const struct et_loop *loop) {
    return loop != NULL && loop->descriptors != NULL;
}

bool eti_is_usable(const struct et_loop *loop, const struct et_completion *c) {
    return is_initialised(loop) && c != NULL &&
           (c->internal.state == ET_DEAD || c->internal.loop == loop);
}

static uint64_t deadline_after(const struct et_loop *loop, uint64_t delay_ms) {
    uint64_t now_ms = et_loop_now(loop);
    return delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;
}

bool eti_is_lingering(const struct et_completion *c) {
    return c->internal.state == ET_DELETING && c->internal.place == PLACE_POOL;
}

bool eti_is_busy(const struct et_completion *c) {
    return c->internal.state == ET_ADDING || c->internal.state == ET_ACTIVE || eti_is_lingering(c);
}

/* 0, or why the description cannot be added (ET-ADD-5, ET-ADD-6). */
static int check_description(const struct et_loop *loop, const struct et_completion *c) {
    bool pooled = false;
    switch (c->operation) {
    case ET_CANCEL:
        if (c->cancel.target == NULL || c->cancel.target == c)
            return -EINVAL;
        break;
    case ET_POLL:
        if ((c->poll.events & ~(uint32_t)POLL_EVENTS) != 0)
            return -EINVAL;
        break;
    case ET_READ:
    case ET_PREAD:
    case ET_WRITE:
    case ET_PWRITE:
    case ET_CLOSE: pooled = c->on_pool; break;
    default:
        if (c->operation >= ET_OPERATIONS)
            return -EINVAL;
    }
    if (c->on_pool && !pooled)
        return -EINVAL;
    return c->on_pool && loop->pool == NULL ? -EOPNOTSUPP : 0;
}

enum et_state et_completion_state(const struct et_completion *c) {
    return c == NULL ? ET_DEAD : (enum et_state)c->internal.state;
}

int et_loop_add(struct et_loop *loop, struct et_completion *c) {
    if (!eti_is_usable(loop, c))
        return -EINVAL;
    if (c->internal.state == ET_ADDING)
        return 0;
    if (eti_is_busy(c))
        return -EBUSY;
    int error = check_description(loop, c);
    if (error != 0)
        return error;
    if (c->internal.state == ET_DELETING)
        eti_retire(loop, c); /* ET-ADD-4 */
    c->internal.operation = c->operation;
    c->internal.on_pool = c->on_pool;
    /* now, as checked: others share the registration */
    c->internal.events = c->operation == ET_POLL ? c->poll.events : 0;
    c->internal.trusted = false;
    c->internal.partner = c->operation == ET_CANCEL ? c->cancel.target : NULL;
    if (c->operation == ET_TIMER)
        c->internal.deadline_ms = deadline_after(loop, c->timer.delay_ms);
    join_submissions(loop, c);
    return 0;
}

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
    join_deletions(loop, c);
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
    c->internal.deadline_ms = deadline_after(loop, delay_ms);
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
        join_submissions(loop, carrier);
    }
    describe_timer(c, delay_ms, callback, userdata);
    c->internal.deadline_ms = deadline_after(loop, delay_ms);
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
    if (!is_initialised(loop))
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
    if (is_initialised(loop))
        loop->stopped = true;
}

bool et_loop_stopped(const struct et_loop *loop) {
    return is_initialised(loop) && loop->stopped;
}

uint64_t et_loop_now(const struct et_loop *loop) {
    return is_initialised(loop) ? loop->now_ns / NANOSECONDS_PER_MS : 0;
}

void et_loop_update_now(struct et_loop *loop) {
    if (is_initialised(loop))
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
    if (!is_initialised(loop))
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
