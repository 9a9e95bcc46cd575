/* The law of spec/etalon.md as a pure state machine: no clock, no I/O, no allocation, no pointer.
 *
 * The driver performs each call on the model and on the subject, and tells the model what the
 * subject is seen to do. An observation is answered with NULL, or with the number of the clause
 * that it breaks (model.why then holds a sentence). Where the law leaves a choice, the model
 * accepts every lawful one and remembers what is still owed. `struct model` is plain data: it can
 * be copied and compared. */
#ifndef ETALON_MODEL_H
#define ETALON_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "../src/etalon_vocabulary.h"

/* A set of completions; bit i is completion i. Whoever needs a larger table than the lockstep
 * driver (tool/judge.c, for traces of other people's programs) compiles model.c once more with
 * MODEL_WIDE; the text of the law is the same. */
#ifdef MODEL_WIDE
#define MODEL_COMPLETIONS 1024
#define MODEL_REPORTS     256
#define MODEL_NONE        0xffff
#define MODEL_ASYNCS      64
typedef uint16_t model_index;
typedef uint64_t model_set __attribute__((vector_size(MODEL_COMPLETIONS / 8), aligned(8)));
#else
#define MODEL_COMPLETIONS 16
#define MODEL_REPORTS     32   /* reports that one wait can deliver */
#define MODEL_ASYNCS      4    /* descriptors of asyncs that are in use at a time */
#define MODEL_NONE        0xff /* no completion: a null pointer, or "not known which" */
typedef uint8_t model_index;
typedef uint32_t model_set;
#endif
#define MODEL_RUNS                                                                                 \
    1 /* model_tick: the call makes rounds; observations follow, then model_tick_end */
#define MODEL_WAIT_FOREVER  (-1)
#define MODEL_NEVER_REACHED UINT64_MAX /* the `callbacks` of run(UNTIL_DONE) */

/* What the caller filled in. For a waiting operation, close and shutdown: the descriptor's number.
 */
struct model_description {
    uint8_t operation;  /* enum et_operation; a larger number is an unknown operation */
    model_index target; /* of a cancel: completion, or MODEL_NONE */
    bool pool_mark;
    bool has_callback; /* false: the callback pointer is null */
    int fd;
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
    /* of an active timer: the completion that carries its pending reset, or MODEL_NONE */
    model_index carrier;
    model_index carries; /* of a carrier: the timer whose reset it will apply, or MODEL_NONE */
    /* from timer_reset until dead, even when the reset was dropped or moved */
    bool is_carrier;
    /* enum model_pool: where a pooled operation that is active or lingering is */
    uint8_t pool;
    int64_t pool_result; /* what the pool thread's system call has said, once it was made */
    bool pool_called;    /* it was made */
    /* the positive errno by which it is owed an end, while its bit in `refused` is set */
    int refusal;
    /* from the callback of a report to the start that its rearm brings: for this number; or -1 */
    int vouches;
};

enum model_pool { MODEL_NO_POOL, MODEL_QUEUED, MODEL_EXECUTING, MODEL_HANDED_OVER };

struct model_queue {
    model_index item[MODEL_COMPLETIONS]; /* item[0] is the head */
    model_index count;
};

/* Of whom a report speaks: of the file that its number names, of one that has left the number (it
 * serves nobody but the orphaned), or of nobody knows what, since it was not seen but inferred from
 * what came of it (it may serve whatever it matches, and owes nothing). */
enum model_source { MODEL_SEEN, MODEL_STALE, MODEL_INFERRED };

struct model_report {
    int fd;
    uint32_t events;
    uint8_t source;     /* enum model_source */
    uint8_t tries_owed; /* of which directions, if anything still waits */
    /* bit i: the poll i matches and has not ended by it; what is owed of these: claim() */
    model_set polls;
};

struct model {
    struct model_completion completion[MODEL_COMPLETIONS];
    model_index completions; /* how many of them exist */
    struct model_queue submissions;
    struct model_queue deletions;
    uint32_t active;
    uint64_t now_ms;
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
    uint64_t clock_ns;  /* where the monotonic clock stands */
    const char *why;    /* after a broken clause: what was expected, in one static sentence */
    const char *clause; /* the clause by which the last call was answered */

    /* Completions with a null callback, or lingering, whose end is due at a moment that the law
     * leaves free, or is past unseen: the subject may show them as they are or dead, and count
     * accordingly (in active, in lingering). While it is not 0, call model_settled before every
     * observation by the loop. */
    model_set maybe_dead;
    /* The orphaned (section 1 of the law): whose number has come to name another file, or none, since
     * they were started. Nothing is owed to them by a report or a refusal, and much is allowed. */
    model_set orphaned;
    /* set by the driver, reset by model_wait: that wait is not judged by ET-REGISTER-5 */
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
        uint8_t due, due_event; /* what must be observed next, for whom, and what it does to it */
        int64_t due_result;
        const char *due_clause;
    } tick;
};

/* ---- set-up ---------------------------------------------------------------------------------- */
void model_init(struct model *m, unsigned completions, int descriptors_max, uint64_t clock_ns);

/* The monotonic clock now stands at clock_ns (the environment moved it; this alone updates no loop
 * time). */
void model_clock(struct model *m, uint64_t clock_ns);

/* The caller fills in a description. Called only while the completion is dead. */
void model_describe(struct model *m, unsigned c, const struct model_description *description);

/* The caller zeroes the memory of a dead completion: a new, zero-initialised completion. */
void model_forget(struct model *m, unsigned c);

/* ---- calls: return what the interface must return -------------------------------------------- */
int model_add(struct model *m, unsigned c);
int model_delete(struct model *m, unsigned c);
int model_timer(struct model *m, unsigned c, uint64_t delay_ms, bool has_callback,
                uint32_t userdata);
int model_reset(struct model *m, unsigned c, unsigned carrier, uint64_t delay_ms, bool has_callback,
                uint32_t userdata); /* carrier may be MODEL_NONE: a null pointer */
int model_cancel(struct model *m, unsigned cancel, unsigned target, bool has_callback,
                 uint32_t userdata);
void model_stop(struct model *m);
void model_update_now(struct model *m);
/* Told before or after the subject's deinit; what threads are seen to do meanwhile is told as ever
 * (work may still be taken until the loop has taken its own out of the pool's queue). When deinit
 * has returned: model_deinit_end. */
int model_deinit(struct model *m);
const char *model_deinit_end(struct model *m);
/* fd: the async's descriptor, or -1 when it is deinitialised or zero-initialised. notify is told
 * before the subject makes it (from whatever thread), and with m dead too: an async belongs to no
 * loop. */
int model_async_wait(struct model *m, unsigned c, int fd, bool has_callback, uint32_t userdata);
int model_notify(struct model *m, int fd);
int model_async_deinit(struct model *m, int fd);
/* tick(callbacks); run(NO_WAIT) is 0, run(ONCE) 1, run(UNTIL_DONE) MODEL_NEVER_REACHED. Returns
 * what the call returns at once (0 or negative), or MODEL_RUNS. */
int model_tick(struct model *m, uint64_t callbacks);

/* ---- observations during a tick, in the order in which they happen ----
 * NULL: lawful. Otherwise the broken clause, such as "ET-EVENT-1". */

/* A try of operation `operation` on fd was made. result >= 0, or a negative errno (unanswered ones
 * too). c is the completion, or MODEL_NONE when it cannot be told from the call (close, shutdown,
 * the second step of a connect): then the model finds the one completion for which this is lawful
 * now. A second step of a connect that found neither an error nor a connection is told as
 * -EINPROGRESS. */
const char *model_try(struct model *m, unsigned c, enum et_operation operation, int fd,
                      int64_t result);

/* The kernel finally refused to register fd (ENOENT after a modification and EEXIST after an
 * addition are not final, and not told). What stays registered for it: `kept` (epoll events), or 0
 * when nothing is registered; `claimed`: what may stay beyond that, by what the kernel has claimed
 * without saying what for. */
const char *model_refused(struct model *m, int fd, int error, uint32_t kept, uint32_t claimed);

/* The kernel is asked: 0 does not wait, MODEL_WAIT_FOREVER waits without limit. */
const char *model_wait(struct model *m, int64_t timeout_ns);

/* The number fd has come to name another file, or none, by whatever hand: told at any time, before
 * anything else is. */
void model_moved(struct model *m, int fd);

/* The pool has tried to create a thread; error: 0, or a positive errno. */
const char *model_thread(struct model *m, int error);

/* ---- what pool threads are seen to do, at any time: inside a tick, a callback, deinit, or between
 * calls ---- A call during which threads may run is told when the subject has returned, since its
 * outcome may depend on where a thread was (model_delete). A hand-over is told when the loop can
 * find it; until the loop is next seen to do something, the model allows both that the pool phase
 * has begun before, and after it.
 *
 * What the driver judges, for only it can see it:
 *   ET-POOL-11  a hand-over ends a wait; a wait that began with something handed over and blocks
 * for ever has lost it ET-POOL-12  memory that a completion's callback has given up is not touched
 *   ET-POOL-14, ET-POOL-16  the calls on a pool
 *   ET-POOL-17  no idle thread sleeps, or has ended, while work is queued
 *   ET-WAKE-3, -4, ET-ASYNC-4   a wakeup or notify in progress while deinit runs, in a signal
 * handler, its errno ET-INIT-3   what a pool_init or async_init that fails returns and leaves */

/* A thread has taken c from the pool's queue. */
const char *model_took(struct model *m, unsigned c);

/* The thread that has c has made operation's system call on fd. result >= 0, or a negative errno.
 */
const char *model_executed(struct model *m, unsigned c, enum et_operation operation, int fd,
                           int64_t result);

/* The thread that has c has handed it over. */
const char *model_gave_back(struct model *m, unsigned c);

/* A thread that has handed over is idle again. */
const char *model_idle(struct model *m);

/* The wait has ended; model_clock has been told the new time before. error: 0, or a positive errno.
 */
const char *model_woken(struct model *m, int error);

/* One report of that wait; called after model_woken, before anything is delivered. */
const char *model_report(struct model *m, int fd, uint32_t events, enum model_source source);

/* The callback of c is called with result; from here to model_returned the driver may make any
 * call. */
const char *model_callback(struct model *m, unsigned c, int64_t result, uint32_t userdata);

/* That callback returned action. */
const char *model_returned(struct model *m, enum et_action action);

/* These (bit i: completion i) are dead in the subject now, of those that are not in the model and
 * have no callback or are in m->maybe_dead; the others are not. */
const char *model_settled(struct model *m, model_set dead);

/* tick or run returned result: nothing that the law demands may be missing. */
const char *model_tick_end(struct model *m, int result);

#endif
