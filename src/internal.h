/* SPDX-License-Identifier: MIT */
/* What the files of the loop share. Private: nobody outside src/ includes it, but the tests that
 * look inside. The functions are called eti_… because the linker does not know private from public.
 * A file calls only what stands below it here: tests/suites/layers. Start at make_round, in loop.c.
 *
 *   loop.c           the calls, the rounds, the loop's life
 *   kernel_phase.c   asks the kernel, and delivers what it reports
 *   operations.c     what each operation does when it is started, and when it is tried
 *   pool.c           the threads, and the way of a completion through them
 *   async.c          what other threads may do
 *   timers.c         time, and the timer phase
 *   completion.c     the queues and the transitions of a completion
 *   registrations.c  what waits for what, and what the kernel has been told of it
 *   heap.c           the timers that run, by their deadlines
 *   process.c        whether this process made it, or one that it was forked from
 *   linux.c          what not every C library has */
#ifndef ETALON_INTERNAL_H
#define ETALON_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, dup3, epoll_pwait2 */
#endif
/* Offsets of 64 bits on machines of 32, too. etalon.h has no off_t: its users may have either. */
#undef _FILE_OFFSET_BITS
#ifndef __LP64__
#define _FILE_OFFSET_BITS 64
#endif
#include "etalon.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#ifdef __FRAMAC__
#include <time.h>

#include "contracts.h"
#endif

#define NANOSECONDS_PER_MS UINT64_C(1000000)
#define CARRIER            ET_OPERATIONS /* of a completion that timer_reset has put to work */
#define WAKEUP             UINT64_MAX    /* epoll's word for the loop's eventfd: no descriptor's */

/* Where an active completion is linked. */
enum place {
    PLACE_NOWHERE, /* adding, or being carried out (a cancel, a close, what goes to the pool) */
    PLACE_HEAP,    /* or among those that are about to fire in this timer phase: has_expired */
    PLACE_LEVEL,   /* in the heap, where a reset can leave it (heap.c) */
    PLACE_HELD, /* a timer that must not fire before its carrier is processed (ET-RESET-4); linked
                    * as in PLACE_LEVEL, if wait_next is not null */
    PLACE_IN,
    PLACE_OUT,
    PLACE_OTHERS, /* polls, and what waits for urgent data or for the error queue */
    PLACE_POOL,   /* queued, executing or handed over; also of a lingering (deleting) completion */
};

struct waiters {
    struct et_completion *head, *tail;
};

/* One descriptor number, with one registration for all that wait on it.
 *
 * The kernel registers files, not numbers: a file that has left its number is still reported under
 * it while a duplicate is open. So a registration that is made, changed or given up raises the
 * generation, which is in its reports. A report is of one of three kinds:
 * - of this generation, and awaited: the waiters are served;
 * - of this generation, and awaited by nobody: it would come at once and for ever. The registration
 *   is_useless, to be removed or narrowed before the kernel is asked again (ET-REGISTER-5);
 * - of a former generation. It is taken for the last one if accept has returned the number since
 *   the kernel was asked, and the generation was the present one until then (opened_round: the file
 *   was closed, and mostly its registration with it; if not, it is reported again). It is the last
 *   one if the registration can be removed now. Otherwise that registration cannot be reached, and
 *   only a new epoll instance, in which all waiters are registered anew, ends its reports
 *   (epoll_stale, ET-REGISTER-7).
 * They are level-triggered. While reports are delivered, only accept raises a generation. */
struct et_descriptor {
    struct waiters in, out, others; /* active completions, in the order of starting */
    uint32_t generation;
    uint32_t opened_round; /* 0: never */
    int next_changed;
    uint16_t registered; /* the events that the kernel has been told */
    bool is_registered : 1;
    bool is_changed : 1;   /* in the list of descriptors to be looked at */
    bool is_no_socket : 1; /* send(2) has said so, since it was registered */
    bool is_useless : 1;
};

_Static_assert(sizeof(void *) > 8 || sizeof(struct et_descriptor) <= 64,
               "etalon.h says what a descriptor costs");

#define DIGIT_BITS 6
#define SLOTS      (1U << DIGIT_BITS)
#define LEVELS     ((64 + DIGIT_BITS - 1) / DIGIT_BITS)

/* All zero is an empty one. */
struct et_heap {
    uint64_t base_ms;  /* all that is in it is due then or later, or overdue */
    uint64_t is_mixed; /* bit s: slot s of the lowest level is not in the order of its timers */
    uint32_t levels;   /* bit l: a slot of level l is used */
    uint64_t used[LEVELS];
    struct et_completion *first[LEVELS][SLOTS];
};

/* What a pool thread does next: each is one step, so that a test can stop between any two. */
enum eti_phase {
    ETI_IDLE,       /* takes work from the pool's queue, or waits for some */
    ETI_EXECUTES,   /* makes the system call */
    ETI_HANDS_OVER, /* pushes the completion to its loop's list: the last touch of the completion */
    ETI_WAKES,      /* writes to the loop's eventfd, if the list was empty */
    ETI_LEAVES,     /* lowers the loop's count of executing work: the last touch of the loop */
};

struct eti_worker {
    struct et_pool *pool;
    struct et_completion *work; /* from ETI_EXECUTES to ETI_HANDS_OVER */
    struct et_loop *loop;       /* whose work it is, from ETI_EXECUTES to ETI_LEAVES */
    pthread_t thread;
    enum eti_phase phase;
    bool wakes; /* it is this thread's to wake the loop */
};
/* ---- kernel_phase.c -------------------------------------------------------------------------- */
/* Phase 5. callbacks: how many the tick asks for. Returns 0 or a negated errno. */
int eti_ask_kernel(struct et_loop *loop, uint64_t callbacks);
/* ---- operations.c ---------------------------------------------------------------------------- */
void eti_start(struct et_loop *loop, struct et_completion *c);
/* Makes the system call; false: it says EAGAIN or EINTR, c keeps waiting. hung_up: the descriptor
 * was reported with EPOLLHUP or EPOLLERR. */
bool eti_try_operation(struct et_loop *loop, const struct et_completion *c, bool hung_up,
                       int64_t *result);
/* ---- pool.c ---------------------------------------------------------------------------------- */
/* What a pool thread does, one phase at a time. Returns false when the thread has to end. */
bool eti_pool_step(struct eti_worker *worker);
/* -EINVAL when it is no pool in use. */
int eti_pool_attach(struct et_loop *loop, struct et_pool *pool);
/* The loop ends: waits for what is executing, abandons all that the pool has of the loop. */
void eti_pool_detach(struct et_loop *loop);
/* The same in a child, where the pool has no thread, and may be gone (ET-FORK-1). */
void eti_pool_forget(struct et_loop *loop);
/* 0, or (and it is not queued) the negated errno with which the pool was left without a thread. */
int eti_pool_queue(struct et_loop *loop, struct et_completion *c);
/* Takes a queued completion back: false when a thread has it, or it is handed over. */
bool eti_pool_recall(struct et_loop *loop, struct et_completion *c);
/* Phase 4. */
void eti_deliver_handed_over(struct et_loop *loop);
/* ---- async.c: a descriptor that any thread may write to, and its owner may close meanwhile --- */
/* Lets eti_raise reach its descriptor until eti_raise_ends has returned. users: 0 before. */
void eti_raise_begins(ET_ATOMIC(uint32_t) * users);
/* Adds 1 to the eventfd *fd if it may be used, or returns false. Async-signal-safe, keeps errno. */
bool eti_raise(ET_ATOMIC(uint32_t) * users, const int *fd);
/* Returns when nobody uses the descriptor any more, nor will. */
void eti_raise_ends(ET_ATOMIC(uint32_t) * users);
/* The same in a child: what was using the parent's is not there, and never leaves. */
void eti_raise_forgets(ET_ATOMIC(uint32_t) * users);
/* ---- timers.c -------------------------------------------------------------------------------- */
/*@ assigns clock_ns;
    ensures \result == clock_ns <= INT64_MAX; */
uint64_t eti_clock_ns(void);
/*@ requires \valid(loop) && \separated(&clock_ns, &loop->now_ns);
    requires loop->now_ns <= INT64_MAX;
    assigns clock_ns, loop->now_ns;
    ensures never_back: loop->now_ns == \max(\old(loop->now_ns), clock_ns) <= INT64_MAX; */
void eti_update_time(struct et_loop *loop);
/* Phase 3. */
void eti_expire_timers(struct et_loop *loop);
/* ---- completion.c ---------------------------------------------------------------------------- */
/* A queue that is linked by next and previous: the submissions, the deletions, or the pool's. */
/*@ requires \valid(c) && \separated(c, head, tail);
    requires \exists list l; queue(head, tail, l) && apart(l, c);
    assigns *head, *tail, c->internal.next, c->internal.previous, (*tail)->internal.next;
    ensures joins: \forall list l; \old(queue(head, tail, l) && apart(l, c)) ==>
            placed(with_last(l, c)) && ends(head, tail, with_last(l, c));
    ensures forth: \forall list l; \old(queue(head, tail, l) && apart(l, c)) ==>
            forth(with_last(l, c));
    ensures back: \forall list l; \old(queue(head, tail, l) && apart(l, c)) ==>
            back(with_last(l, c)); */
void eti_append(struct et_completion **head, struct et_completion **tail, struct et_completion *c);
/*@ requires \exists list l; queue(head, tail, l) && in(c, l);
    assigns *head, *tail, c->internal.next, c->internal.previous,
            c->internal.next->internal.previous, c->internal.previous->internal.next;
    ensures leaves: \forall list l; \old(queue(head, tail, l)) && in(c, l) ==>
            placed(without(l, c)) && ends(head, tail, without(l, c));
    ensures forth: \forall list l; \old(queue(head, tail, l)) && in(c, l) ==>
            forth(without(l, c));
    ensures back: \forall list l; \old(queue(head, tail, l)) && in(c, l) ==>
            back(without(l, c));
    ensures c->internal.next == \null == c->internal.previous; */
void eti_unlink(struct et_completion **head, struct et_completion **tail, struct et_completion *c);
/* 0, or why no call on this loop makes sense: -EINVAL, -ECHILD. */
int eti_check_loop(const struct et_loop *loop);
/* What et_loop_add does with a timer, without looking again at what et_loop_timer has looked at. */
void eti_add_timer(struct et_loop *loop, struct et_completion *c);
/*@ requires \valid_read(loop) && loop->now_ns <= INT64_MAX;
    assigns \nothing;
    ensures at_once: delay_ms == 0 ==> \result == ms(loop->now_ns);
    ensures never_early: 0 < delay_ms && \result < UINT64_MAX ==>
            ns(\result) >= loop->now_ns + ns(delay_ms);
    ensures less_than_1_ms_late: 0 < delay_ms ==> ns(\result) < loop->now_ns + ns(delay_ms + 1);
    ensures no_later: \result == UINT64_MAX ==> loop->now_ns + ns(delay_ms) > ns(UINT64_MAX - 1); */
uint64_t eti_deadline_after(const struct et_loop *loop, uint64_t delay_ms);
/* Adding to active: the head of the submissions, which its operation then links at `place`. */
void eti_become_active(struct et_loop *loop, struct et_completion *c, enum place place);
/* An active completion is the pool's from now on: linked in the loop's own list, which no thread of
 * the pool touches, until it ends. */
void eti_join_pooled(struct et_loop *loop, struct et_completion *c);
/* Adding or active to dead, and the callback; …_reported: what it waited for was reported. */
void eti_finish(struct et_loop *loop, struct et_completion *c, int64_t result);
void eti_finish_reported(struct et_loop *loop, struct et_completion *c, int64_t result);
/* Adding or active to deleting; …_lingering: what a pool thread has cannot be withdrawn. */
void eti_become_deleting(struct et_loop *loop, struct et_completion *c);
void eti_become_lingering(struct et_loop *loop, struct et_completion *c);
/* Deleting to dead, silently. */
void eti_end_lingering(struct et_loop *loop, struct et_completion *c);
void eti_retire(struct et_loop *loop, struct et_completion *c);
/* An active timer gets another deadline, and counts as just started. It leaves those that are about
 * to fire, if it is among them (ET-EXPIRE-5). */
void eti_move_timer(struct et_loop *loop, struct et_completion *timer, uint64_t deadline_ms);
/* An active timer is held until its carrier, which is submitted, ends (ET-RESET-4), and meanwhile
 * gets another deadline, perhaps again and again. */
void eti_hold(struct et_loop *loop, struct et_completion *timer, struct et_completion *carrier);
void eti_set_held(struct et_loop *loop, struct et_completion *timer, uint64_t deadline_ms);
/* A carrier that is started or cancelled, adding to dead, without a callback. */
void eti_end_carrier(struct et_loop *loop, struct et_completion *carrier);
/* Any state to dead, silently, without unlinking it: the loop ends. */
void eti_abandon(struct et_loop *loop, struct et_completion *c);
/* ---- registrations.c ------------------------------------------------------------------------- */
/* Links c with the waiters of its descriptor, and has the registration looked at, unless it covers
 * c and is trusted. */
void eti_wait_on(struct et_loop *loop, struct et_completion *c, bool trusted);
void eti_stop_waiting(struct et_loop *loop, struct et_completion *c);
struct et_completion *eti_first_waiter(const struct et_descriptor *d);
/* The first that waits for what is not registered. */
struct et_completion *eti_first_uncovered(const struct et_descriptor *d);
/* The registration of fd has to be looked at before the kernel is asked. */
void eti_mark_changed(struct et_loop *loop, int fd);
/* One that has to be looked at, or -1. */
int eti_take_changed(struct et_loop *loop);
/* Makes the registration fit those that wait; an error is for those that then are not covered. */
int eti_fit_registration(struct et_loop *loop, int fd);
/* The number is about to be closed by the loop, or was handed out for a new file. */
void eti_descriptor_closes(struct et_loop *loop, int fd);
void eti_descriptor_opened(struct et_loop *loop, int fd);
/* A report that nobody waits for, or of a former generation. */
void eti_report_was_useless(struct et_loop *loop, int fd);
void eti_report_was_former(struct et_loop *loop, int fd, uint32_t generation);
void eti_renew_epoll(struct et_loop *loop);
/* Lets the outer instance, which exists, report for the loop; 0 or a negated errno. */
int eti_show_outside(struct et_loop *loop);
void eti_hide_outside(struct et_loop *loop);
/* ---- heap.c ---------------------------------------------------------------------------------- */
/* c gets its place, PLACE_HEAP or PLACE_LEVEL; …_sorted: PLACE_HEAP. */
void eti_heap_insert(struct et_heap *heap, struct et_completion *c);
void eti_heap_insert_sorted(struct et_heap *heap, struct et_completion *c);
/* Links one that is held in its level's ring, if it has one: see PLACE_HELD. */
void eti_heap_insert_held(struct et_heap *heap, struct et_completion *c);
/* Also one that is held, and still linked. */
void eti_heap_remove(struct et_heap *heap, struct et_completion *c);
/* Whether one of PLACE_LEVEL, or held and still linked, stays linked with this deadline. */
bool eti_heap_keeps(const struct et_heap *heap, const struct et_completion *c,
                    uint64_t deadline_ms);
/* The earliest, or NULL. */
struct et_completion *eti_heap_first(struct et_heap *heap);
/* Takes out all that are due by now_ms, which must not be less than before: a list in the order of
 * their deadlines, and then of starting. */
struct et_completion *eti_heap_take_due(struct et_heap *heap, uint64_t now_ms);
/* ---- process.c ------------------------------------------------------------------------------- */
/* The number of this process, for what it makes, or a negated errno: never 0, and none that a
 * process has had that it descends from. */
int eti_number_process(uint32_t *process);
extern _Atomic(uint32_t) *_Atomic eti_process_word;
/* Whether what has this number was made before a fork. Async-signal-safe. It and the two below are
 * here because a round asks fifteen times: as calls that was a fifth of its instructions. */
static inline bool eti_is_inherited(uint32_t process) {
    _Atomic(uint32_t) *here = atomic_load_explicit(&eti_process_word, memory_order_acquire);
    return atomic_load_explicit(here, memory_order_relaxed) != process;
}
static inline bool eti_is_initialised(const struct et_loop *loop) {
    return loop != NULL && loop->descriptors != NULL;
}
/* Initialised, and by this process: false in a child that was forked in a callback, once that has
 * returned there. Whoever has called a callback asks before going on (ET-FORK-5). */
static inline bool eti_is_ours(const struct et_loop *loop) {
    return eti_is_initialised(loop) && !eti_is_inherited(loop->process);
}
/* 0, or why no call on this loop, or on this completion of it, makes sense: -EINVAL, -ECHILD. */
static inline int eti_check_use(const struct et_loop *loop, const struct et_completion *c) {
    if (!eti_is_ours(loop))
        return eti_check_loop(loop);
    return c != NULL && (c->internal.state == ET_DEAD || c->internal.loop == loop) ? 0 : -EINVAL;
}
/* Deleting, but a pool thread has it, or has handed it over (ET-POOL-8). */
static inline bool eti_is_lingering(const struct et_completion *c) {
    return c->internal.state == ET_DELETING && c->internal.place == PLACE_POOL;
}
/* Adding, active, or lingering: it cannot be submitted now. */
static inline bool eti_is_busy(const struct et_completion *c) {
    return c->internal.state == ET_ADDING || c->internal.state == ET_ACTIVE || eti_is_lingering(c);
}
/* ---- linux.c --------------------------------------------------------------------------------- */
/* epoll_pwait2(2), where the C library has none: musl, and glibc before 2.35. */
#if !defined(__GLIBC__) || (__GLIBC__ == 2 && __GLIBC_MINOR__ < 35)
#define ETI_LACKS_EPOLL_PWAIT2
int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask);
#endif

#endif
