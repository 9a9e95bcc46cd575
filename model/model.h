/* SPDX-License-Identifier: MIT */
/* The law of spec/etalon.md as a pure state machine: no clock, no I/O, no allocation, no pointer.
 *
 * Whoever drives it says each call, and each thing that the subject is seen to do, by model_step.
 * Where the law leaves a choice, the model accepts every lawful one and remembers what is still
 * owed. `struct model` is plain data: it can be copied and compared. */
#ifndef ETALON_MODEL_H
#define ETALON_MODEL_H

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "event.h"

/* A set of completions; bit i is completion i. model.c is compiled several times: with MODEL_WIDE
 * for whoever reads what others have recorded (wide.h), with ETALON_MANY for the programs that need
 * many. The text of the law is the same; with MODEL_WIDE the few names that the linker sees begin
 * with wide_. */
#if defined MODEL_WIDE || defined ETALON_MANY
#ifdef MODEL_WIDE
#define MODEL_NAME(name) wide_##name
#define MODEL_ASYNCS     64
#else
#define MODEL_NAME(name) model_##name
#define MODEL_ASYNCS     4
#endif
#define MODEL_COMPLETIONS 4096
#define MODEL_REPORTS     256
#define MODEL_NONE        0xffff
typedef uint16_t model_index;
typedef uint64_t model_set __attribute__((vector_size(MODEL_COMPLETIONS / 8), aligned(8)));
static inline bool model_has(const model_set *set, unsigned c) {
    return ((*set)[c / 64] >> (c % 64) & 1) != 0;
}
static inline bool model_is_empty(const model_set *set) {
    uint64_t any = 0;
    for (unsigned i = 0; i < MODEL_COMPLETIONS / 64; i++)
        any |= (*set)[i];
    return any == 0;
}
static inline void model_put(model_set *set, unsigned c) {
    (*set)[c / 64] |= UINT64_C(1) << (c % 64);
}
static inline void model_take(model_set *set, unsigned c) {
    (*set)[c / 64] &= ~(UINT64_C(1) << (c % 64));
}
#else
#define MODEL_NAME(name)  model_##name
#define MODEL_COMPLETIONS 16
#define MODEL_REPORTS     32   /* reports that one wait can deliver */
#define MODEL_ASYNCS      4    /* descriptors of asyncs that are in use at a time */
#define MODEL_NONE        0xff /* no completion: a null pointer, or "not known which" */
typedef uint8_t model_index;
typedef uint32_t model_set;
static inline bool model_has(const model_set *set, unsigned c) {
    return (*set >> c & 1) != 0;
}
static inline bool model_is_empty(const model_set *set) {
    return *set == 0;
}
static inline void model_put(model_set *set, unsigned c) {
    *set |= UINT32_C(1) << c;
}
static inline void model_take(model_set *set, unsigned c) {
    *set &= ~(UINT32_C(1) << c);
}
#endif
#define MODEL_RUNS          1 /* of a tick: it makes rounds; what is seen in them follows */
#define MODEL_WAIT_FOREVER  (-1)
#define MODEL_NEVER_REACHED EVENT_NEVER_REACHED

/* What the caller filled in. For a waiting operation, close and shutdown: the descriptor's number.
 */
struct model_description {
    uint8_t operation;  /* enum et_operation; a larger number is an unknown operation */
    model_index target; /* of a cancel: completion, or MODEL_NONE */
    bool pool_mark;
    bool has_callback; /* false: the callback pointer is null */
    int fd;
    int flags;         /* of send, recv, sendmsg, recvmsg: MSG_… */
    uint32_t events;   /* of a poll */
    uint32_t userdata; /* a token: what the callback must be called with */
    uint64_t delay_ms; /* of a timer */
};

/* Everything below that the driver compares with the subject: state, the queues, active, now_ms,
 * stopped. */
struct model_completion {
    uint8_t state;     /* enum et_state */
    uint8_t operation; /* of this episode: as it was when the completion left dead */
    struct model_description description;
    uint64_t deadline_ms; /* of a timer that is adding or active */
    uint64_t order;       /* the order of starting, while active */
    bool is_vague;        /* the deadline may also be a millisecond earlier: rest_is_vague */
    /* of an active timer: the completion that carries its pending reset, or MODEL_NONE */
    model_index carrier;
    model_index carries; /* of a carrier: the timer whose reset it will apply, or MODEL_NONE */
    /* from timer_reset until dead, even when the reset was dropped or moved */
    bool is_carrier;
    /* enum model_pool: where a pooled operation that is active or lingering is */
    uint8_t pool;
    int64_t pool_result; /* what the pool thread's system call has said, once it was made */
    bool pool_called;    /* it was made */
    bool pool_kept;      /* a cancel has come too late for it: ET-CANCEL-9 */
    /* the positive errno by which it is owed an end, while its bit in `refused` is set */
    int refusal;
    /* from the callback of a report to the start that its rearm brings: for this number; or -1 */
    int vouches;
    /* For what finds a difference: the clauses by which it is in its state, and where it is queued;
     * by which it has its deadline; of a timer and of a carrier, by which they are tied or not; by
     * which its callback must not be called, since it was deleted. Null: nothing has happened. */
    const char *clause, *deadline_clause, *reset_clause, *forbidden;
};

enum model_pool { MODEL_NO_POOL, MODEL_QUEUED, MODEL_EXECUTING, MODEL_HANDED_OVER };

struct model_queue {
    model_index item[MODEL_COMPLETIONS]; /* item[0] is the head */
    model_index count;
};

struct model_report {
    int fd;
    uint32_t events;
    uint8_t source;     /* enum model_source */
    uint8_t tries_owed; /* of which classes no try was answered, if anything still waits */
    /* bit i: the poll i matches and has not ended by it; what is owed of these: claim() */
    model_set polls;
    model_set tried; /* bit i: completion i was tried for it, unanswered */
};

struct model {
    struct model_completion completion[MODEL_COMPLETIONS];
    model_index completions; /* how many of them exist */
    struct model_queue submissions;
    struct model_queue deletions;
    uint32_t active;
    uint64_t now_ms;     /* the loop time in whole milliseconds, rounded down, */
    uint32_t now_rest;   /* and the nanoseconds that it is beyond them */
    bool rest_is_vague;  /* of a recording (wide.h): nobody knows them; now_rest is 0 */
    bool clock_is_vague; /* likewise of the clock, below */
    bool stopped;
    bool dead; /* deinitialised */
    bool in_tick;
    model_index in_callback; /* the completion whose callback runs, or MODEL_NONE */
    int descriptors_max;     /* the limit that init was given */
    /* set by the driver after model_init, with pool_threads_max: the loop was initialised with a
     * pool */
    bool has_pool;
    unsigned pool_threads_max; /* that pool_init was given */
    unsigned pool_threads;     /* that exist */
    /* of those: that have taken work and are not idle again (ET-POOL-15) */
    unsigned pool_busy;
    struct model_queue queued; /* in the pool's queue, in order; one loop's only */
    /* not yet delivered, in the order of handing over; lingering ones included */
    struct model_queue handed_over;
    uint32_t lingering; /* how many completions are */
    struct model_async {
        bool used;
        int fd;
        uint64_t notified; /* notifications that have not ended a wait, at most */
    } async[MODEL_ASYNCS];
    uint64_t clock_ns;       /* where the monotonic clock stands */
    const char *why;         /* after a broken clause: what was expected, in one static sentence */
    const char *clause;      /* the clause by which the last call was answered */
    const char *time_clause; /* the clause by which the loop time was updated last */

    /* Completions with a null callback, or lingering, whose end is due at a moment that the law
     * leaves free, or is past unseen: the subject may show them as they are or dead, and count
     * accordingly (in active, in lingering). While it is not 0, say EVENT_DEAD before every
     * observation by the loop. */
    model_set maybe_dead;
    /* The orphaned (section 2 of the law): whose number has come to name another file, or none,
     * since they were started. Nothing is owed to them by a report or a refusal, and much is
     * allowed. */
    model_set orphaned;
    /* the next wait is not judged by ET-REGISTER-5 */
    bool forgive_registration;

    /* ---- private: where in a tick the subject is, and what is owed --------------------------- */
    bool forgiven;
    uint64_t orders; /* operations started so far */
    /* ET-REGISTER-3: bit i: completion i must end before the kernel is asked, unless it is orphaned
     * or in doubt: for these the kernel has claimed a registration, and not said what for */
    model_set refused, doubtful;
    struct model_useless {
        int fd;
        uint32_t events;
    } useless[2][MODEL_REPORTS]; /* ET-REGISTER-5: reported in vain by the last wait, and by the one
                                    before */
    model_index useless_count[2];
    uint8_t useless_last; /* which of the two is the last wait's */
    model_index reports;
    struct model_report report[MODEL_REPORTS];
    struct model_tick_state {
        uint64_t asked, called; /* callbacks asked for, called so far in this tick */
        uint8_t phase;
        model_index current;
        /* of the operation `current` that the submission phase is at */
        uint8_t step;
        /* whose try was answered: its callback comes before anything else */
        model_index answered;
        bool one_round;  /* ET-RUN-5: no other follows */
        bool fresh;      /* nothing of this round has been observed */
        bool collecting; /* reports may still be told */
        /* by which the wait failed or was interrupted, or 0 */
        int error;
        /* the submissions that this round still has to start */
        model_set snapshot;
        /* the timers that this timer phase still has to end */
        model_set expiring;
        /* what this pool phase still may deliver; must deliver */
        model_set delivering, delivering_owed;
        /* it has begun to: what is handed over from now on waits for the next */
        bool delivering_fixed;
        /* the last observation has told in which phase the loop is */
        bool placed;
        model_set recent; /* handed over since the last one that has */
        unsigned idled;   /* threads that have become idle since then */
        /* `orders` when the timer phase began, when the kernel was asked */
        uint64_t orders_timers, orders_asked;
        int64_t answered_result;
        model_index due_completion;
        uint8_t due, due_event; /* what must be observed next, of what, and what it does to it */
        int64_t due_result;
        const char *due_clause;
        const char *run_clause; /* of a tick that a run acts as; or NULL */
        model_index unanswered; /* whose try was unanswered, since anything else was seen */
    } tick;
};

/* ---- set-up: what is no event of the loop ---------------------------------------------------- */
void MODEL_NAME(init)(struct model *m, unsigned completions, int descriptors_max,
                      uint64_t clock_ns);

/* The monotonic clock now stands at clock_ns (the environment moved it; this alone updates no loop
 * time). */
static inline void model_clock(struct model *m, uint64_t clock_ns) {
    m->clock_ns = clock_ns;
}

/* The caller fills in a description. Called only while the completion is dead. */
static inline void model_describe(struct model *m, unsigned c,
                                  const struct model_description *description) {
    assert(c < m->completions && m->completion[c].state == ET_DEAD);
    m->completion[c].description = *description;
}

/* The caller zeroes the memory of a dead completion: a new, zero-initialised completion, which is
 * a noop without a callback (ET-STATE-1). */
static inline void model_forget(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    assert(of->state == ET_DEAD);
    *of = (struct model_completion){.carrier = MODEL_NONE, .carries = MODEL_NONE, .vouches = -1};
    of->description.target = MODEL_NONE;
}

/* ---- the one way in -------------------------------------------------------------------------- */
struct model_answer {
    const char *broken; /* the clause that this breaks, such as "ET-EVENT-10" (why: m->why); or NULL
                         */
    int returns; /* of a call: what it must return, by m->clause; of a tick perhaps MODEL_RUNS */
};
struct model_answer MODEL_NAME(step)(struct model *m, const struct event *event);

/* What et_loop_timeout must return now, while no call is in progress or a callback runs; by
 * m->clause. */
int64_t MODEL_NAME(timeout)(struct model *m);

/* Sees each event before the model does (answer: null) and after it; for whoever writes them down.
 * Null: nobody. */
typedef void model_observer_function(const struct model *m, const struct event *event,
                                     const struct model_answer *answer);
extern model_observer_function *MODEL_NAME(observer);

#ifdef MODEL_COUNTS
/* A row of the lifecycle's table was used, by its place there: event, state, condition. Only in the
 * builds that count it (make fuzz-report). */
void model_row_used(unsigned row);
#endif

/* What the driver judges, for only it can see it:
 *   ET-POOL-11  a hand-over ends a wait; a wait that began with something handed over and blocks
 *               for ever has lost it
 *   ET-POOL-12  memory that a completion's callback has given up is not touched
 *   ET-POOL-14, ET-POOL-16  the calls on a pool
 *   ET-POOL-17  no idle thread sleeps, or has ended, while work is queued
 *   ET-PROGRESS-1, ET-PROGRESS-2  what the kernel would report, and for how long it is left
 *   ET-WAKE-3, -4, ET-ASYNC-4  a wakeup or notify in progress while deinit runs, in a signal
 *               handler, its errno
 *   ET-INIT-3   what a pool_init or async_init that fails returns and leaves */

/* Of a null pointer, or what cannot be told. */
static inline uint64_t model_named(unsigned c) {
    return c == MODEL_NONE ? EVENT_NOBODY : c;
}

#endif
