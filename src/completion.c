/* SPDX-License-Identifier: MIT */
/* Completions: their queues, the transitions between their four states, and the call that submits
 * one. The public functions are documented in etalon.h; ET-… are clauses of spec/etalon.md. */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#define POLL_EVENTS (POLLIN | POLLPRI | POLLOUT | EPOLLRDHUP | POLLERR | POLLHUP)

/* ---- the queues ------------------------------------------------------------------------------ */

void eti_append(struct et_completion **head, struct et_completion **tail, struct et_completion *c) {
    assert((*head == NULL) == (*tail == NULL) && *tail != c);
    assert(*tail == NULL || (*tail)->internal.next == NULL);
    c->internal.next = NULL;
    c->internal.previous = *tail;
    if (*tail != NULL)
        (*tail)->internal.next = c;
    else
        *head = c;
    *tail = c;
}

void eti_unlink(struct et_completion **head, struct et_completion **tail, struct et_completion *c) {
    struct et_completion *next = c->internal.next, *previous = c->internal.previous;
    assert(previous != NULL ? previous->internal.next == c : *head == c);
    assert(next != NULL ? next->internal.previous == c : *tail == c);
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

/* ---- what calls ask -------------------------------------------------------------------------- */

int eti_check_loop(const struct et_loop *loop) {
    if (!eti_is_initialised(loop))
        return -EINVAL;
    return eti_is_inherited(loop->process) ? -ECHILD : 0; /* ET-FORK-3 */
}

enum et_state et_completion_state(const struct et_completion *c) {
    return c == NULL ? ET_DEAD : (enum et_state)c->internal.state;
}

uint64_t et_loop_now(const struct et_loop *loop) {
    return eti_is_ours(loop) ? loop->now_ns / NANOSECONDS_PER_MS : 0;
}

/* ET-ADD-7. Rounded up, or the timer would be early by what `now` leaves out. Without a delay there
 * is nothing to wait for: rounded up it would be a wait of its own. */
uint64_t eti_deadline_after(const struct et_loop *loop, uint64_t delay_ms) {
    uint64_t now_ms = loop->now_ns / NANOSECONDS_PER_MS;
    if (delay_ms > 0 && loop->now_ns % NANOSECONDS_PER_MS != 0)
        now_ms++;
    return delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;
}

/* ---- transitions ----------------------------------------------------------------------------- */

/* The one place where a state changes, and `trusted` with it: the registration by which c was
 * served still holds for its descriptor, and need not be looked at (ET-REGISTER-6). A report makes
 * it so for the callback that it leads to; when this returns ET_REARM it remains so until c is
 * started, if c then names the same number. Every other transition ends it. */
static void change_state(struct et_completion *c, enum et_state from, enum et_state to,
                         bool trusted) {
    (void)from;
    assert(c->internal.state == from && from != to);
    assert(!trusted || to == ET_DEAD || (from == ET_DEAD && to == ET_ADDING));
    c->internal.state = (uint8_t)to;
    c->internal.trusted = trusted;
}

static void submit(struct et_loop *loop, struct et_completion *c, bool trusted) {
    change_state(c, ET_DEAD, ET_ADDING, trusted);
    c->internal.loop = loop;
    c->internal.place = PLACE_NOWHERE; /* it may be stale after a deinit */
    c->internal.round = loop->round;
    eti_append(&loop->submissions_head, &loop->submissions_tail, c);
}

void eti_become_active(struct et_loop *loop, struct et_completion *c, enum place place) {
    assert(loop->submissions_head == c && c->internal.place == PLACE_NOWHERE);
    eti_unlink(&loop->submissions_head, &loop->submissions_tail, c);
    change_state(c, ET_ADDING, ET_ACTIVE, false);
    c->internal.place = (uint8_t)place;
    c->internal.order = loop->order++;
    loop->active++;
}

void eti_join_pooled(struct et_loop *loop, struct et_completion *c) {
    assert(c->internal.state == ET_ACTIVE && c->internal.place == PLACE_NOWHERE);
    c->internal.place = PLACE_POOL;
    c->internal.pooled_previous = NULL;
    c->internal.pooled_next = loop->pooled;
    if (loop->pooled != NULL)
        loop->pooled->internal.pooled_previous = c;
    loop->pooled = c;
}

static void leave_pooled(struct et_loop *loop, struct et_completion *c) {
    struct et_completion *next = c->internal.pooled_next, *previous = c->internal.pooled_previous;
    assert(!c->internal.is_queued); /* recalled, or has come back */
    assert(previous != NULL ? previous->internal.pooled_next == c : loop->pooled == c);
    if (previous != NULL)
        previous->internal.pooled_next = next;
    else
        loop->pooled = next;
    if (next != NULL)
        next->internal.pooled_previous = previous;
}

/* That it is among the expired, is not written into it: that would be a look at each timer more,
 * and costs half as much as all of its life (tests/bench/README.md). It was in the heap when this
 * timer phase began, and due; what starts or restarts since then has a later order. */
static bool has_expired(const struct et_loop *loop, const struct et_completion *c) {
    return c->internal.order < loop->expired_before &&
           c->internal.deadline_ms <= loop->timers->base_ms;
}

static void leave_expired(struct et_loop *loop, struct et_completion *c) {
    struct et_completion *next = c->internal.wait_next, *previous = c->internal.wait_previous;
    assert(previous != NULL ? previous->internal.wait_next == c : loop->expired == c);
    if (previous != NULL)
        previous->internal.wait_next = next;
    else
        loop->expired = next;
    if (next != NULL)
        next->internal.wait_previous = previous;
}

/* Out of the heap, or of those that are about to fire. */
static inline void leave_timers(struct et_loop *loop, struct et_completion *timer) {
    if (has_expired(loop, timer))
        leave_expired(loop, timer);
    else
        eti_heap_remove(loop->timers, timer);
}

/* ET-RESET-10: the carrier ends without a timer to put back. */
static inline void leave_carrier(struct et_loop *loop, struct et_completion *timer) {
    assert(timer->internal.partner->internal.partner == timer);
    timer->internal.partner->internal.partner = NULL;
    timer->internal.partner = NULL;
    if (timer->internal.wait_next != NULL)
        eti_heap_remove(loop->timers, timer);
}

/* Takes an adding or active completion out of wherever it is linked, before its state changes. */
static void withdraw(struct et_loop *loop, struct et_completion *c) {
    if (c->internal.state == ET_ADDING) {
        eti_unlink(&loop->submissions_head, &loop->submissions_tail, c);
        return;
    }
    assert(c->internal.state == ET_ACTIVE && loop->active > 0);
    loop->active--;
    switch ((enum place)c->internal.place) {
    case PLACE_NOWHERE:
        if (loop->current == c)
            loop->current = NULL; /* tells the cancel or close in progress that it was deleted */
        break;
    case PLACE_HEAP:
    case PLACE_LEVEL: leave_timers(loop, c); break;
    case PLACE_HELD: leave_carrier(loop, c); break;
    case PLACE_IN:
    case PLACE_OUT:
    case PLACE_OTHERS: eti_stop_waiting(loop, c); break;
    case PLACE_POOL: leave_pooled(loop, c); break;
    }
    c->internal.place = PLACE_NOWHERE;
}

/* 0, or why the description cannot be added (ET-ADD-5, ET-ADD-6). */
static int check_description(const struct et_loop *loop, const struct et_completion *c) {
    if (c->operation >= ET_OPERATIONS)
        return -EINVAL;
    if (c->operation == ET_CANCEL && (c->cancel.target == NULL || c->cancel.target == c))
        return -EINVAL;
    if (c->operation == ET_POLL && (c->poll.events & ~(uint32_t)POLL_EVENTS) != 0)
        return -EINVAL;
    if (!c->on_pool)
        return 0;
    switch (c->operation) {
    case ET_READ:
    case ET_PREAD:
    case ET_WRITE:
    case ET_PWRITE:
    case ET_CLOSE: return loop->pool == NULL ? -EOPNOTSUPP : 0;
    default: return -EINVAL;
    }
}

static void leave_deletions(struct et_loop *loop, struct et_completion *c) {
    if (c->internal.state == ET_DELETING)
        eti_retire(loop, c); /* ET-ADD-4 */
}

static int add(struct et_loop *loop, struct et_completion *c, bool trusted) {
    int error = eti_check_use(loop, c);
    if (error != 0)
        return error;
    if (c->internal.state == ET_ADDING)
        return 0;
    if (eti_is_busy(c))
        return -EBUSY;
    error = check_description(loop, c);
    if (error != 0)
        return error;
    leave_deletions(loop, c);
    c->internal.operation = c->operation;
    c->internal.on_pool = c->on_pool;
    c->internal.events = c->operation == ET_POLL ? (uint16_t)c->poll.events : 0; /* as checked */
    c->internal.partner = c->operation == ET_CANCEL ? c->cancel.target : NULL;
    if (c->operation == ET_TIMER)
        c->internal.deadline_ms = eti_deadline_after(loop, c->timer.delay_ms);
    submit(loop, c, trusted);
    return 0;
}

void eti_add_timer(struct et_loop *loop, struct et_completion *c) {
    assert(eti_check_use(loop, c) == 0 && !eti_is_busy(c) && c->operation == ET_TIMER);
    leave_deletions(loop, c);
    c->internal.operation = ET_TIMER;
    c->internal.on_pool = false;
    c->internal.events = 0;
    c->internal.partner = NULL;
    c->internal.deadline_ms = eti_deadline_after(loop, c->timer.delay_ms);
    submit(loop, c, false);
}

int et_loop_add(struct et_loop *loop, struct et_completion *c) {
    return add(loop, c, false);
}

/* Adding or active to dead, then the callback. */
static void become_dead(struct et_loop *loop, struct et_completion *c, int64_t result,
                        bool by_report) {
    enum et_state from = (enum et_state)c->internal.state;
    et_callback callback = c->callback;
    assert(!loop->in_callback && c->internal.operation != CARRIER);
    withdraw(loop, c);
    change_state(c, from, ET_DEAD, by_report);
    loop->called++;
    if (callback == NULL)
        return;
    loop->in_callback = true;
    enum et_action action = callback(loop, c, result, c->userdata);
    if (!eti_is_ours(loop))
        return;
    loop->in_callback = false;
    if (action == ET_REARM) /* otherwise the memory may be gone */
        add(loop, c, c->internal.trusted && c->internal.state == ET_DEAD);
}

void eti_finish(struct et_loop *loop, struct et_completion *c, int64_t result) {
    become_dead(loop, c, result, false);
}

void eti_finish_reported(struct et_loop *loop, struct et_completion *c, int64_t result) {
    assert(c->internal.place >= PLACE_IN && c->internal.place <= PLACE_OTHERS);
    become_dead(loop, c, result, true);
}

void eti_become_deleting(struct et_loop *loop, struct et_completion *c) {
    enum et_state from = (enum et_state)c->internal.state;
    withdraw(loop, c);
    change_state(c, from, ET_DELETING, false);
    eti_append(&loop->deletions_head, &loop->deletions_tail, c);
}

void eti_become_lingering(struct et_loop *loop, struct et_completion *c) {
    assert(c->internal.place == PLACE_POOL && loop->active > 0);
    change_state(c, ET_ACTIVE, ET_DELETING, false);
    loop->active--;
    loop->lingering++;
}

void eti_end_lingering(struct et_loop *loop, struct et_completion *c) {
    assert(eti_is_lingering(c) && loop->lingering > 0); /* ET-POOL-8 */
    leave_pooled(loop, c);
    change_state(c, ET_DELETING, ET_DEAD, false);
    c->internal.place = PLACE_NOWHERE;
    loop->lingering--;
}

/* In its level's ring it stays linked, so that its neighbours are not looked at: each would be a
 * miss of the cache, and both half of what a reset costs (tests/bench/README.md). */
void eti_move_timer(struct et_loop *loop, struct et_completion *timer, uint64_t deadline_ms) {
    const enum place place = (enum place)timer->internal.place;
    const bool stays = place == PLACE_LEVEL && eti_heap_keeps(loop->timers, timer, deadline_ms);
    assert(timer->internal.state == ET_ACTIVE && timer->internal.operation == ET_TIMER);
    if (place == PLACE_HELD)
        leave_carrier(loop, timer); /* ET-RESET-14 */
    else if (!stays)
        leave_timers(loop, timer);
    timer->internal.deadline_ms = deadline_ms;
    timer->internal.order = loop->order++;
    if (place == PLACE_HEAP)
        eti_heap_insert_sorted(loop->timers, timer);
    else if (!stays)
        eti_heap_insert(loop->timers, timer);
}

/* The carrier is dead: its timer, if it still has one, goes back into the heap. */
static void apply_reset(struct et_loop *loop, struct et_completion *carrier) {
    struct et_completion *timer = carrier->internal.partner;
    assert(carrier->internal.state == ET_DEAD && carrier->internal.operation == CARRIER);
    carrier->internal.partner = NULL;
    if (timer == NULL)
        return;
    assert(timer->internal.state == ET_ACTIVE && timer->internal.place == PLACE_HELD);
    assert(timer->internal.partner == carrier);
    timer->internal.partner = NULL;
    timer->internal.order = loop->order++;
    if (timer->internal.wait_next != NULL) /* it has stayed linked */
        timer->internal.place = PLACE_LEVEL;
    else
        eti_heap_insert_sorted(loop->timers, timer);
}

void eti_retire(struct et_loop *loop, struct et_completion *c) {
    assert(c->internal.place == PLACE_NOWHERE);
    eti_unlink(&loop->deletions_head, &loop->deletions_tail, c);
    change_state(c, ET_DELETING, ET_DEAD, false);
    if (c->internal.operation == CARRIER)
        apply_reset(loop, c); /* ET-RESET-9 */
}

void eti_end_carrier(struct et_loop *loop, struct et_completion *c) {
    assert(c->internal.state == ET_ADDING);
    withdraw(loop, c);
    change_state(c, ET_ADDING, ET_DEAD, false);
    apply_reset(loop, c);
}

void eti_hold(struct et_loop *loop, struct et_completion *timer, struct et_completion *carrier) {
    if (carrier->internal.state == ET_DELETING)
        eti_retire(loop, carrier); /* may bring this very timer back into the heap */
    assert(timer->internal.state == ET_ACTIVE && timer->internal.operation == ET_TIMER);
    if (timer->internal.place == PLACE_HELD) {
        leave_carrier(loop, timer); /* ET-RESET-11 */
    } else if (timer->internal.place == PLACE_HEAP) {
        leave_timers(loop, timer);
        timer->internal.wait_next = NULL;
    } /* and in its level's ring it stays linked, where the heap leaves it out */
    timer->internal.place = PLACE_HELD;
    timer->internal.partner = carrier;
    carrier->operation = ET_CANCEL;
    carrier->on_pool = false;
    carrier->cancel.target = timer;
    carrier->callback = NULL;
    carrier->internal.operation = CARRIER;
    carrier->internal.partner = timer;
    submit(loop, carrier, false);
}

void eti_set_held(struct et_loop *loop, struct et_completion *timer, uint64_t deadline_ms) {
    assert(timer->internal.place == PLACE_HELD);
    const bool moves =
        timer->internal.wait_next != NULL && !eti_heap_keeps(loop->timers, timer, deadline_ms);
    if (moves)
        eti_heap_remove(loop->timers, timer);
    timer->internal.deadline_ms = deadline_ms;
    if (moves)
        eti_heap_insert_held(loop->timers, timer);
}

void eti_abandon(struct et_loop *loop, struct et_completion *c) {
    change_state(c, (enum et_state)c->internal.state, ET_DEAD, false);
    if (c->internal.operation == CARRIER)
        apply_reset(loop, c); /* the held timer is in nobody else's list */
}
