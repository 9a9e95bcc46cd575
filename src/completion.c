/* SPDX-License-Identifier: MIT */
/* Completions: their queues, the transitions between their states, and the call that submits one.
 * The public functions here are documented in etalon.h; ET-… are clauses of spec/etalon.md. */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#define POLL_EVENTS (POLLIN | POLLPRI | POLLOUT | EPOLLRDHUP | POLLERR | POLLHUP)

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

void eti_join_submissions(struct et_loop *loop, struct et_completion *c) {
    c->internal.loop = loop;
    c->internal.state = ET_ADDING;
    c->internal.place = PLACE_NOWHERE; /* where deinit found it, otherwise */
    c->internal.round = loop->round;
    eti_join(&loop->submissions_head, &loop->submissions_tail, c);
}

static void leave_submissions(struct et_loop *loop, struct et_completion *c) {
    eti_leave(&loop->submissions_head, &loop->submissions_tail, c);
}

void eti_join_deletions(struct et_loop *loop, struct et_completion *c) {
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

bool eti_is_initialised(const struct et_loop *loop) {
    return loop != NULL && loop->descriptors != NULL;
}

bool eti_is_usable(const struct et_loop *loop, const struct et_completion *c) {
    return eti_is_initialised(loop) && c != NULL &&
           (c->internal.state == ET_DEAD || c->internal.loop == loop);
}

uint64_t eti_deadline_after(const struct et_loop *loop, uint64_t delay_ms) {
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

uint64_t et_loop_now(const struct et_loop *loop) {
    return eti_is_initialised(loop) ? loop->now_ns / NANOSECONDS_PER_MS : 0;
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
        c->internal.deadline_ms = eti_deadline_after(loop, c->timer.delay_ms);
    eti_join_submissions(loop, c);
    return 0;
}
