/* SPDX-License-Identifier: MIT */
/* Part I of the law (spec/etalon.md) as a pure state machine: what every caller of a
 * completion-based loop may rely on, in terms of what a caller can see. No clock, no I/O, no
 * allocation, no pointer; `struct promise` is plain data that can be copied and compared.
 *
 * An observer tells it each call and each thing that was seen, by promise_step, and is answered
 * with the verdict. Where the law leaves a choice, every lawful one is accepted: a time that is not
 * known lies between two, and what may have ended unseen may be in use or not. It knows no loop and
 * no program: where the loop's own manual decides, promise_settings say what it decides. */
#ifndef ETALON_PROMISE_H
#define ETALON_PROMISE_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

/* How many completions may be told of; an event takes time in proportion to it. */
#ifndef PROMISE_COMPLETIONS
#ifdef ETALON_MANY
#define PROMISE_COMPLETIONS 4096
#else
#define PROMISE_COMPLETIONS 16
#endif
#endif
#define PROMISE_ASYNCS 8  /* asyncs that are in use at a time */
#define PROMISE_MOVED  16 /* numbers that came to name another file; older ones are forgotten */
/* ET-PROGRESS-2: episodes of another one that may end meanwhile, with so many completions in use;
 * at most */
#define PROMISE_MAY_OVERTAKE(used) ((used) > 1024 ? (used) / 64 : 16)
#define PROMISE_OVERTAKES          PROMISE_MAY_OVERTAKE(PROMISE_COMPLETIONS)
#define PROMISE_WAITS_MAX          64 /* in a row that lead to nothing: spinning */

/* How much a verdict weighs. */
enum promise_weight {
    PROMISE_SHOULD,   /* not strict */
    PROMISE_MUST,     /* a failure, unless the loop's own manual announces it */
    PROMISE_CARDINAL, /* a failure whatever a manual says: no caller can live with it */
};

/* Every way in which Part I can be seen to be broken (promise.def). */
#define VERDICT(name, clause, kind, weight, why) PROMISE_##name,
enum promise_verdict {
#include "promise.def"
    PROMISE_VERDICTS
};

struct promise_law {
    const char *clause, *kind, *why;
    enum promise_weight weight;
    bool trusts_kernel; /* it rests on the kernel's telling the truth */
};
extern const struct promise_law promise_laws[PROMISE_VERDICTS];

/* What EVENT_UNTRUE says in source. */
enum promise_untrue {
    PROMISE_UNTRUE_ERROR,  /* an error without a cause */
    PROMISE_UNTRUE_END,    /* 0, and nothing is at its end, connected, shut down or closed */
    PROMISE_UNTRUE_BYTES,  /* bytes that were not sent, or did not arrive */
    PROMISE_UNTRUE_LENGTH, /* more than was asked for */
    PROMISE_UNTRUE_CLOSES, /* its descriptor was not closed, or more than once */
    PROMISE_UNTRUE_BUFFER, /* a buffer was touched after the deletion */
    /* what the description says was not passed on, or not given back: */
    PROMISE_UNTRUE_GIVEN,   /* other bytes */
    PROMISE_UNTRUE_ADDRESS, /* an address */
    PROMISE_UNTRUE_FLAGS,   /* flags, or how to shut down */
    PROMISE_UNTRUE_OFFSET,  /* the place in a file */
    PROMISE_UNTRUE_MESSAGE, /* the flags of a message, or what came with it */
    PROMISE_UNTRUES
};

/* What the loop's manual decides. */
struct promise_settings {
    uint64_t slack_ns;   /* how late beyond its deadline a timer may be due */
    uint32_t serves_max; /* ET-TICK-3: episodes that a run(NO_WAIT) ends at most; 0: all */
    bool stays_stopped;  /* a stop is for good; otherwise it ends the run in progress */
    bool tells;          /* whether a completion is in use: otherwise a carrier is never in use */
    bool nests;          /* ET-RUN-7: a run inside a callback is carried out */
    bool has_turn;       /* run(TURN) is a known mode */
    bool no_pool;        /* what has a pool mark is refused */
    bool keeps;          /* a notification that comes while nothing waits ends the next wait */
    bool lingers;        /* ET-LINGER-1: a deleted operation may stay in use silently */
    bool repeats;        /* ET-REPEAT-1: a rearmed timer may count from its former deadline */
    bool deletes_later;  /* ET-LINGER-2: and so may whatever is deleted, until the next turn */
    /* EVENT_NOW says the loop time whenever it has changed, with all of its nanoseconds: then the
     * deadlines are known, too; and an async is named by its descriptor, which may be closed */
    bool exact;
    /* verdicts that the manual announces: they count as a missed SHOULD does */
    uint8_t excused[(PROMISE_VERDICTS + 7) / 8];
};

enum promise_use {
    PROMISE_DEAD,
    PROMISE_IN_USE,
    /* perhaps, and nobody will hear of it: it has no callback and may have ended, it lingers after
     * its deletion, or it carries a reset */
    PROMISE_PERHAPS,
};
enum promise_ended { PROMISE_NEVER, PROMISE_CALLED, PROMISE_DELETED, PROMISE_DROPPED };
enum promise_due {
    PROMISE_NOT_DUE,
    PROMISE_TIMER,
    PROMISE_QUEUED,
    PROMISE_READY,
    PROMISE_NOTIFIED
};

struct promise_completion {
    uint8_t use;       /* enum promise_use */
    uint8_t ended;     /* enum promise_ended: how the last episode did, or its callback's would */
    uint8_t operation; /* enum et_operation */
    uint8_t due;       /* enum promise_due */
    bool pool, has_callback;
    bool refusable;    /* it has a descriptor on which nothing can wait */
    bool unbegun;      /* perhaps its episode has not begun: then it may be submitted again */
    bool orphaned;     /* its number names another file since it was submitted: nothing is owed */
    bool new_file;     /* its number had come to name another file before it was submitted */
    bool either_place; /* set anew before it had begun: it keeps its place, or takes a new one */
    bool reset;        /* the deadline was moved in this episode */
    bool repeated;     /* a timer: by a rearm, of a loop that repeats */
    bool carries;      /* it carries a reset, or did last, and ends silently */
    bool async;        /* it waits on the async fd */
    bool idle_seen;    /* of a cancel: its target was not in use at some moment since */
    bool late_seen;    /* of a cancel: it may have been too late for it at some moment since */
    bool told_slow;    /* ET-WAIT-4 was told of this episode */
    bool leaving;      /* it was deleted, and that may not have taken effect yet (ET-LINGER-2) */
    bool left;         /* … but has by now */
    bool may_be_cancelled; /* by a cancel that was deleted, and lingers */
    uint8_t overtaking;    /* the oldest of `ends` */
    bool addressed;        /* its try may have been unanswered although it was ready */
    bool stale;            /* … of an edge-triggered loop: it may end, and need not */
    int fd, flags;
    uint32_t userdata;
    uint32_t asked;      /* of a poll: events */
    uint32_t ready, had; /* events: now; at some moment since the last wait or the submission */
    uint32_t found;      /* when the last wait ended; 0: it was submitted afterwards */
    uint32_t stood;      /* … when a run or wait, or a callback, began or ended last */
    uint64_t delay_ms;
    uint64_t earliest_ns, latest_ns; /* the deadline lies between */
    uint64_t set_ns, set_epoch;      /* the clock, and which passage of the loop, when it was set */
    uint64_t order, set_order;       /* of submission, of setting a deadline; from 1 on */
    uint64_t turn, set_turn;         /* in which turn that was */
    uint64_t left_turn;              /* … and, of the whole ones, in which it was deleted */
    uint64_t called_in;              /* the number of the run that called it last, or 0 */
    uint64_t by_callback_of;         /* the number of the run whose callback submitted it, or 0 */
    uint64_t due_since, due_step;    /* how many episodes had ended with a result; which event */
    uint32_t due_among;              /* how many were in use then */
    uint64_t ends_before;            /* how many when it was submitted */
    uint64_t target;                 /* of a cancel */
    /* its ends with -ECANCELED that no cancel has claimed; of these, what another hand may have
     * brought about: a cancel that was deleted since, a close, its own system call */
    uint64_t canceled, disowned;
    uint64_t ends[PROMISE_OVERTAKES + 1]; /* when its last episodes ended, as due_since */
    uint32_t next; /* in its chain, which begins in `chain`: which completion, plus 1; 0: none */
};

struct promise_async {
    bool used;
    int fd;
    uint64_t least, most; /* notifications that have ended no wait: between */
};

struct promise_run {
    uint64_t number; /* of runs, from 1 on; 0: none is in progress */
    uint64_t asked, called;
    uint64_t silent;           /* episodes without a callback that may have ended in it */
    uint64_t step, order;      /* at which event it began; what was submitted before it */
    uint8_t mode;              /* enum et_run_mode, or one of these that follow */
    bool stopped, was_stopped; /* the loop was stopped in it; before, for good */
    bool failed;               /* a wait has failed */
    bool full;                 /* a wait may have left out what was ready */
    bool woken, interrupted;   /* in it, or a wake-up was left from before */
    bool sliced;               /* the last wait ended by itself, and nothing was due */
    bool turned;               /* a wait that could sleep has ended, or one that was woken */
    bool something, before_it; /* a deletion, or a descriptor's callback: here, in the one before */
    bool may_end;              /* a run around it, or within it, was stopped */
    uint32_t callbacks;        /* that were in progress when it began … */
    uint64_t in_callback;      /* … the innermost of them */
    uint64_t nested;           /* callbacks of runs within it, which may count for it */
};
#define PROMISE_NESTED        8 /* runs that are in progress around another one */
#define PROMISE_CHAINS        (PROMISE_COMPLETIONS / 2) /* a power of 2 */
#define PROMISE_TICKS         4                         /* tick(n), n > 1 */
#define PROMISE_UNKNOWN       5
#define PROMISE_UNTIL_STOPPED 6 /* ET-RUN-6; also the `mode` of its EVENT_RUN */

struct promise {
    struct promise_settings settings;
    uint32_t completions; /* how many may be told of */
    struct promise_completion completion[PROMISE_COMPLETIONS];
    struct promise_async async[PROMISE_ASYNCS];
    int moved[PROMISE_MOVED];
    uint32_t moved_count;
    bool stopped;         /* for good */
    bool something;       /* was deleted since the last run has ended */
    bool fresh;           /* nothing was submitted since the loop was made */
    uint32_t callbacks;   /* that are in progress, one within the other */
    uint64_t in_callback; /* the innermost, or EVENT_NOBODY */
    uint64_t clock_ns;    /* the latest that was seen */
    uint64_t loop_ns;     /* the loop time is not before this */
    uint64_t said_ms;     /* what `now` said last */
    uint64_t epoch;       /* passages of the loop, in which it may have updated its time */
    uint64_t turns, orders, runs, ends, steps;
    uint64_t whole_turns; /* without those that a stop has cut short */
    /* What is due is worked out anew where an event may change it, and once the clock has come so
     * far. Of what has never been there nobody need be looked for. */
    uint64_t look_at_ns;
    bool has_cancels, has_nulls;
    uint32_t chain[PROMISE_CHAINS]; /* those in use, by their descriptors, once it is asked for */
    bool is_linked;
    uint32_t used; /* how many are in use, at the last look at all */
    struct promise_run run, around[PROMISE_NESTED]; /* the innermost, and those around it */
    uint32_t depth;                                 /* how many these are */
    uint8_t refused;      /* runs inside callbacks in progress that must be refused */
    bool refused_unknown; /* the last of them had an unknown mode */
    bool waiting, slept, could_sleep, wait_coarse, wake_pending;
    uint64_t wait_began_ns;
    uint32_t spins; /* waits in a row that led to nothing */
    /* what has just ended a wait as the loop was woken, and what has ended two by one wake-up */
    uint32_t woken_by, woken_twice_by;
    uint32_t alone; /* ET-WAIT-4: sleeps in a row for one timer alone */
    bool told_late; /* ET-HOST-2: to a host, since the last run: then its descriptor has to tell */
};

struct promise_answer {
    const char *broken; /* the clause, or NULL */
    const char *kind;   /* where it has several, else "" */
    const char *why;    /* what was expected */
    bool should;        /* it is a SHOULD, or excused */
    enum promise_verdict verdict;
    uint64_t c; /* about which completion, or EVENT_NOBODY */
};

/* A new loop with these settings; `completions` as in the struct. */
void promise_init(struct promise *p, const struct promise_settings *settings, unsigned completions,
                  uint64_t clock_ns);

/* The one way in. Whatever the answer, the promise goes on from what was seen: a submission that
 * was refused has not happened, and what was called is dead. Of several clauses that one event
 * breaks the answer is the first that is not excused. */
struct promise_answer promise_step(struct promise *p, const struct event *event);

static inline void promise_excuse(struct promise_settings *settings, enum promise_verdict v) {
    settings->excused[v / 8] = (uint8_t)(settings->excused[v / 8] | 1u << (v % 8));
}
static inline bool promise_excuses(const struct promise_settings *settings, unsigned v) {
    return (settings->excused[v / 8] >> (v % 8) & 1) != 0;
}
/* Whether c is certainly in use. */
static inline bool promise_in_use(const struct promise *p, unsigned c) {
    return p->completion[c].use == PROMISE_IN_USE;
}

/* What only the observer can judge (it tells by EVENT_UNTRUE, or itself):
 *   ET-STATE-5  that a refused call touches nothing: the promise goes on as before the call, so
 *               what did change is found later, by another clause
 *   ET-STATE-7  memory that is dead is not read or written (sanitizers, `forget`)
 *   ET-DELETE-4, ET-OP-1, ET-OP-6, ET-CLOSE-2  buffers, bytes, errors and their causes, what was
 *               given and got besides, closes: EVENT_UNTRUE
 *   ET-CALL-5   the thread that calls; that no callback comes from another one
 *   ET-DEINIT-3 descriptors and memory
 *   ET-OP-4     whose error it is: by the causes (EVENT_UNTRUE, error)
 *   ET-SUBMIT-8 the order of the bytes: EVENT_UNTRUE, bytes. Here: the order of the ends
 *   ET-WAKE-4   a signal handler, another thread
 *   ET-LINGER-1 that what lingers ends once it has been given back */

#endif
