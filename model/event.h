/* SPDX-License-Identifier: MIT */
/* The alphabet: what a loop, a recording, a driver and a judge say to the model (model_step).
 *
 * An event is one call of the interface, or one thing that the subject was seen to do. Its fields
 * are the keys of a line of a recording (spec/trace-format.md, section 3); which of them a kind
 * has is said beside it. */
#ifndef ETALON_EVENT_H
#define ETALON_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../src/etalon_vocabulary.h"

enum event_kind {
    /* ---- calls ---- */
    /* c, as it was described; a recording says how. To promise_step, forgiven: its descriptor is
     * none on which anything can wait, and it may end at once. */
    EVENT_ADD,
    EVENT_DELETE, /* c */
    EVENT_TIMER,  /* c, delay_ms, has_callback, userdata */
    EVENT_RESET,  /* of c by the carrier `by`, or EVENT_NOBODY: a null pointer; as EVENT_TIMER */
    EVENT_CANCEL, /* of c by the cancel `by`; has_callback, userdata */
    EVENT_STOP,
    EVENT_UPDATE_NOW, /* to promise_step, before the call, as EVENT_INIT: the time is not earlier */
    /* Told before or after the subject's deinit; what threads are seen to do meanwhile is told as
     * ever (work may still be taken until the loop has taken its own out of the pool's queue).
     * When it has returned: EVENT_END, of_deinit. */
    EVENT_DEINIT,
    EVENT_WAKEUP, /* nothing that the model judges */
    /* fd: the async's descriptor, or -1 when it is deinitialised or zero-initialised. A notify is
     * told before the subject makes it (from whatever thread), and of a dead loop too: an async
     * belongs to none. */
    EVENT_ASYNC_WAIT, /* c, fd, has_callback, userdata */
    EVENT_NOTIFY,     /* fd */
    EVENT_ASYNC_DEINIT,
    EVENT_TICK, /* callbacks: EVENT_NEVER_REACHED: none are enough */
    /* mode, or a negative number: one that no loop knows. To promise_step, also
     * PROMISE_UNTIL_STOPPED. */
    EVENT_RUN,

    /* ---- what is seen during a tick, in the order in which it happens ---- */
    EVENT_END, /* of tick or run, with result; of_deinit: of a deinit that waited for the pool */
    /* c is called, with result and userdata; it lasts until EVENT_RETURNED. To promise_step,
     * forgiven: -ECANCELED may be what its own system call has said. */
    EVENT_CALLBACK,
    /* It was c's; rearm: as an add. To promise_step, forgiven: it relies on what it was reported
     * for, and its number names another file now. */
    EVENT_RETURNED,
    /* The kernel is asked, for at most result ns; negative: without limit. forgiven: it is not
     * judged by ET-REGISTER-5. */
    EVENT_WAIT,
    /* The wait has ended, with result: 0 or a negative errno. To promise_step, events: not 0 when
     * something was reported; claimed: that was one thing alone, the loop's own, by a number that
     * is not 0; others: not all of it was the loop's own, as the timer that it waits by; forgiven:
     * it could bring no more, and may have left out what is ready. */
    EVENT_WOKEN,
    /* One report of that wait, told before anything is delivered: fd, events, source. */
    EVENT_REPORT,
    /* A try of the operation on fd, with its result (unanswered ones too). c, or EVENT_NOBODY when
     * it cannot be told from the call (close, shutdown, the second step of a connect): then the
     * model finds the one completion for which this is lawful now. A second step of a connect that
     * found neither an error nor a connection is told as -EINPROGRESS. To promise_step: c's
     * try was unanswered (forgiven: as the kernel had reported it); or c is EVENT_NOBODY, and what
     * does not wait on the async fd has read its counter. */
    EVENT_TRY,
    /* The kernel finally refused to register fd, with result (ENOENT after a modification and
     * EEXIST after an addition are not final, and not told). events: what stays registered for it,
     * or 0 when nothing is; claimed: what may stay beyond that, by what the kernel has claimed
     * without saying what for. */
    EVENT_REFUSED,
    /* The number fd has come to name another file, or none, by whatever hand: told at any time,
     * before anything else is. */
    EVENT_MOVED,

    /* ---- what the pool's threads are seen to do, at any time: inside a tick, a callback, deinit,
     * or between calls. A call during which threads may run is told when the subject has returned,
     * since its outcome may depend on where a thread was (EVENT_DELETE). A hand-over is told when
     * the loop can find it; until the loop is next seen to do something, the model allows both
     * that the pool phase has begun before, and after it. ---- */
    EVENT_THREAD,    /* the pool has tried to create one, with result: 0 or a negative errno */
    EVENT_TOOK,      /* a thread has taken c from the pool's queue */
    EVENT_EXECUTED,  /* it has made c's system call: operation, fd, result */
    EVENT_GAVE_BACK, /* it has handed c over */
    EVENT_IDLE,      /* a thread that has handed over is idle again */

    /* ---- what belongs to no call ---- */
    EVENT_POOL, /* the loop has a pool from now on: threads_max, and threads that exist */
    /* c is dead now, without a callback; of several at once, c EVENT_NOBODY, dead: the set of them
     * (a model_set), and those that are not in it are not dead. Of those that are not dead in the
     * model and have no callback or are in m->maybe_dead. */
    EVENT_DEAD,
    EVENT_INIT, /* another loop begins; model_init tells it to the observer, and nobody else */

    /* ---- what a judge from outside has, which knows no rounds: for promise_step (promise.h).
     * To it a call is told when it has returned, with what it returned in result; a tick or run
     * when it begins; the descriptor of an async is any number that names it. ---- */
    /* What the descriptor of c has now of the events that c waits for, EPOLLERR and EPOLLHUP
     * included; of an operation: EPOLLIN or EPOLLOUT when its system call would be answered. 0:
     * nothing. Told of what waits when that changes: before EVENT_WOKEN, EVENT_CALLBACK,
     * EVENT_SLEEP, and before a run begins and ends. forgiven: the loop is edge-triggered, and of
     * all of it a callback has told already. */
    EVENT_READY,
    /* The wait sleeps now, as nothing has happened that the loop could learn: for result ns, when
     * nothing happens meanwhile; negative: for ever; 0: it is not known yet for how long. Said
     * again when it still sleeps after the world has done something. */
    EVENT_SLEEP,
    EVENT_NOW,          /* the loop says that it is now_ms; rest_ns: see promise_settings.exact */
    EVENT_SAYS_IN_USE,  /* the loop says of c: result 1, it is in use, or 0 */
    EVENT_SAYS_STOPPED, /* the loop says: result 1, it is stopped, or 0 */
    /* A loop around it asks, before it would wait, for the timeout (result), and whether the
     * descriptor is readable (events: not 0). */
    EVENT_HOSTED,
    /* What c, which was called with result before, or deleted, or refused, came to contradicts the
     * world: source, an enum promise_untrue. */
    EVENT_UNTRUE,
};

/* Of what a report speaks: of the file that its number names, of one that has left the number (it
 * serves nobody but the orphaned), or of nobody knows what, since it was not seen but inferred from
 * what came of it (it may serve whatever it matches, and owes nothing). */
enum model_source { MODEL_SEEN, MODEL_STALE, MODEL_INFERRED };

#define EVENT_NOBODY        UINT64_MAX /* no completion */
#define EVENT_NEVER_REACHED UINT64_MAX /* the `callbacks` of run(UNTIL_DONE) */
#define EVENT_NO_STATE      0xff

enum {
    EVENT_HAS_NOW = 1,
    EVENT_HAS_CLOCK = 2,
    EVENT_HAS_USERDATA = 4,
    EVENT_HAS_ACTIVE = 8,
    EVENT_HAS_DESCRIPTION = 16,
};

struct event {
    enum event_kind kind;
    uint8_t has;       /* of what a recording may leave out */
    uint8_t operation; /* enum et_operation; a larger number is an unknown operation */
    uint8_t state;     /* of the completion that was submitted or deleted, after the call */
    int8_t mode;
    uint8_t source; /* enum model_source */
    bool pool, has_callback, rearm, forgiven, of_deinit;
    bool coarse;    /* of a wait: it counts in whole milliseconds */
    bool addressed; /* of a sendmsg: its port may have no room although its socket is writable */
    bool async;     /* of a description: it waits on the async fd */
    bool others;    /* of the end of a wait: what was reported is not the loop's own */
    int fd;
    int flags; /* of send, recv, sendmsg, recvmsg */
    uint32_t events, userdata;
    uint32_t active; /* how many completions are, after a tick */
    uint32_t claimed, threads_max, threads;
    uint32_t rest_ns; /* beyond now_ms */
    uint64_t c, by, target;
    uint64_t delay_ms, callbacks;
    int64_t result; /* of a call: what it returned */
    uint64_t now_ms, clock_ns;
    uint64_t line; /* of the recording */
    const void *dead;
};

#endif
