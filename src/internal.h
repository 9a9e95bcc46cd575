/* SPDX-License-Identifier: MIT */
/* What the files of the loop share. Private: nobody outside src/ includes it, but the tests that
 * look inside. The functions are called eti_… because the linker does not know private from public.
 *
 * A file calls only what stands below it here, and tests/suites/layers keeps it so. To read the loop,
 * start at make_round in loop.c.
 *
 *   loop.c           the calls, the rounds, the loop's life
 *   kernel_phase.c   asks the kernel, and delivers what it reports
 *   operations.c     what each operation does when it is started, and when it is tried
 *   pool.c           the threads, and the way of a completion through them
 *   async.c          what other threads may do
 *   timers.c         time, and the timer phase
 *   completion.c     the queues and the transitions of a completion
 *   registrations.c  who waits for what, and what the kernel has been told of it
 *   heap.c           the timer queue
 */
#ifndef ETALON_INTERNAL_H
#define ETALON_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, dup3, epoll_pwait2 */
#endif

#include "etalon.h"

#include <assert.h>
#include <pthread.h>

/* The private operation of a completion that timer_reset has put to work. */
#define CARRIER ET_OPERATIONS

#define NANOSECONDS_PER_MS UINT64_C(1000000)

/* What epoll returns for the eventfd of et_loop_wakeup; no descriptor has this number. */
#define WAKEUP UINT64_MAX

/* Where an active completion is linked. */
enum place {
    PLACE_NOWHERE, /* a cancel or close that is being carried out */
    PLACE_HEAP,
    PLACE_EXPIRED, /* a timer about to fire in this timer phase */
    PLACE_HELD,    /* a timer that must not fire before its carrier is processed (ET-RESET-4) */
    PLACE_IN,
    PLACE_OUT,
    PLACE_POLLS,
    PLACE_POOL, /* queued, executing or handed over; also of a lingering (deleting) completion */
};

struct waiters {
    struct et_completion *head, *tail;
};

/* One descriptor number. Its registration may outlive the need for it (ET-REGISTER-5). */
struct et_descriptor {
    struct waiters in, out, polls; /* active completions, in the order of starting */
    uint32_t generation;           /* goes with the registration: tells reports of a former one */
    /* in which accept returned this number: a report of the same wait is of the file before; 0:
     * never */
    uint32_t opened_round;
    int next_changed;
    uint16_t registered; /* the events that the kernel has been told: those of a poll fit */
    bool is_registered : 1;
    bool is_changed : 1;   /* in the list of descriptors to be looked at */
    bool is_no_socket : 1; /* send(2) has said so, since it was registered */
    bool is_useless : 1;   /* was reported without anything waiting for what was reported */
};

/* What a pool thread does next. Each phase is one step of eti_pool_step, so that whoever plays the
 * threads can stop between any two. */
enum eti_phase {
    ETI_IDLE,       /* takes work from the pool's queue, or waits for some */
    ETI_EXECUTES,   /* makes the system call */
    ETI_HANDS_OVER, /* pushes the completion to its loop's list: the last touch of the completion */
    ETI_WAKES,      /* writes to the loop's eventfd, if the list was empty */
    ETI_LEAVES,     /* lowers the loop's count of executing work: the last touch of the loop */
};

_Static_assert(sizeof(void *) > 8 || sizeof(struct et_descriptor) <= 64,
               "etalon.h says what a descriptor costs");

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
/* Tries an operation. hung_up: its descriptor was reported with EPOLLHUP or EPOLLERR. Returns
 * whether the kernel answered. */
bool eti_try_operation(struct et_loop *loop, const struct et_completion *c, bool hung_up,
                       int64_t *result);

/* ---- pool.c ---------------------------------------------------------------------------------- */

/* What a pool thread does, one phase at a time. Returns false when the thread has to end. */
bool eti_pool_step(struct eti_worker *worker);
/* -EINVAL when it is no pool in use. */
int eti_pool_attach(struct et_loop *loop, struct et_pool *pool);
/* Makes every completion that the pool has of this loop dead, after waiting for those that are
 * executing, and leaves the pool, if any. */
void eti_pool_detach(struct et_loop *loop);
/* Queues an active completion: 0, or (and it is not queued) the negated errno of a creation that
 * has left the pool without a thread. */
int eti_pool_queue(struct et_loop *loop, struct et_completion *c);
/* Takes a queued completion back: false when a thread has it, or it is handed over. */
bool eti_pool_recall(struct et_loop *loop, struct et_completion *c);
/* Phase 4. */
void eti_deliver_handed_over(struct et_loop *loop);

/* ---- async.c: a descriptor that any thread may write to, and its owner may close meanwhile --- */

/* Lets eti_raise reach fd, from now until eti_raise_ends has returned. users: 0 before. */
void eti_raise_begins(ET_ATOMIC(uint32_t) * users);
/* Adds 1 to the eventfd *fd, which is read only if it may be used: false if not. Async-signal-safe,
 * errno is preserved. */
bool eti_raise(ET_ATOMIC(uint32_t) * users, const int *fd);
/* Returns when nobody uses the descriptor any more, nor will. */
void eti_raise_ends(ET_ATOMIC(uint32_t) * users);

/* ---- timers.c -------------------------------------------------------------------------------- */

uint64_t eti_clock_ns(void);
void eti_update_time(struct et_loop *loop);
/* Phase 3. */
void eti_expire_timers(struct et_loop *loop);

/* ---- completion.c ---------------------------------------------------------------------------- */

/* A queue that is linked by next and previous: the submissions, the deletions, or the pool's. */
void eti_join(struct et_completion **head, struct et_completion **tail, struct et_completion *c);
void eti_leave(struct et_completion **head, struct et_completion **tail, struct et_completion *c);
void eti_join_submissions(struct et_loop *loop, struct et_completion *c);
void eti_join_deletions(struct et_loop *loop, struct et_completion *c);
bool eti_is_initialised(const struct et_loop *loop);
uint64_t eti_deadline_after(const struct et_loop *loop, uint64_t delay_ms);
/* Whether a deleting completion is one that a pool thread has, or has handed over (ET-POOL-8). */
bool eti_is_lingering(const struct et_completion *c);
/* Adding, active, or lingering: it cannot be submitted now. */
bool eti_is_busy(const struct et_completion *c);
/* Whether a call on this completion makes sense at all. */
bool eti_is_usable(const struct et_loop *loop, const struct et_completion *c);
void eti_become_active(struct et_loop *loop, struct et_completion *c, enum place place);
/* Ends an episode whose completion is linked nowhere any more: dead, then the callback. */
void eti_become_dead(struct et_loop *loop, struct et_completion *c, int64_t result);
/* Takes an adding or active completion out of wherever it is linked; its state is the caller's to
 * change. */
void eti_withdraw(struct et_loop *loop, struct et_completion *c);
/* Withdraws, then eti_become_dead: the end of an operation that was waiting. */
void eti_finish(struct et_loop *loop, struct et_completion *c, int64_t result);
/* Makes a deleting completion dead, silently. */
void eti_retire(struct et_loop *loop, struct et_completion *c);
void eti_apply_reset(struct et_loop *loop, struct et_completion *carrier);

/* ---- registrations.c ------------------------------------------------------------------------- */

/* trusted: the registration need not be looked at, if it covers c. */
void eti_wait_on(struct et_loop *loop, struct et_completion *c, enum place place, bool trusted);
void eti_stop_waiting(struct et_loop *loop, struct et_completion *c);
struct et_completion *eti_first_waiter(const struct et_descriptor *d);
/* The first that waits for what is not registered. */
struct et_completion *eti_first_uncovered(const struct et_descriptor *d);
/* The events that all who wait on it wait for. */
uint32_t eti_wanted(const struct et_descriptor *d);
/* The registration of fd has to be looked at before the kernel is asked. */
void eti_mark_changed(struct et_loop *loop, int fd);
int eti_register(struct et_loop *loop, int fd, uint32_t events);
void eti_unregister(struct et_loop *loop, int fd);
void eti_renew_epoll(struct et_loop *loop);
/* The number is about to be closed by the loop, or has just been handed out by the kernel for a new
 * file: no registration holds. */
void eti_descriptor_closes(struct et_loop *loop, int fd);
void eti_descriptor_opened(struct et_loop *loop, int fd);

/* ---- heap.c ---------------------------------------------------------------------------------- */

void eti_heap_insert(struct et_completion **root, struct et_completion *c);
void eti_heap_remove(struct et_completion **root, struct et_completion *c);

#endif
