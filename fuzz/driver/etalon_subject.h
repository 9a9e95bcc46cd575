/* SPDX-License-Identifier: MIT */
/* etalon_subject.h: how an event loop is shown to `etalon check`. ABI version 1.
 *
 * An adapter is one C file that includes this header and nothing else of Etalon, and exports one
 * symbol:
 *
 *     const struct etalon_subject etalon_subject = {
 *         .abi = ETALON_SUBJECT_ABI, .name = "my loop", ...
 *     };
 *
 *     cc -shared -fPIC my.c -lmyloop -o my.so && etalon check ./my.so
 *
 * A subject *offers* what the bits of `offers` say. A case that needs anything else counts as "not
 * offered", never as failed; a function whose bit is not set is never called and may be null. A set
 * bit with a null function is an error of the adapter (exit status 2).
 *
 * The rules of the game
 *
 * - An adapter maps what its loop documents, and no more. It does not mend, sort, delay, count or
 *   repeat what the loop does. The head of the file states the mapping; `notes` says it in a few
 *   sentences for the report.
 * - The runner names completions by number, 0 to ETALON_SUBJECT_COMPLETIONS - 1, or to
 *   completions_max - 1 where the adapter says so. The adapter keeps, for each number, whatever its
 *   loop needs (a handle, a watcher, a source), and tells the runner of each callback by
 *   `host->called`. A number is *dead* until something is submitted by it. It is dead again from
 *   just before its callback on, or once its deletion is complete. So a callback may, while it
 *   runs, make any call on any number, its own included.
 * - One process makes one loop at a time: init … deinit, perhaps init again. All calls come from
 *   one thread, or from that of a callback; no call comes from within init or deinit. From within a
 *   callback any function but init may be called.
 * - The process runs under virtual time: clock_gettime, gettimeofday, time, nanosleep, poll, ppoll,
 *   select, epoll_wait, epoll_pwait, epoll_pwait2 and timerfd_* are interposed. A wait that would
 *   sleep lets time jump instead. A loop must not spin, sleep by other means, or make raw system
 *   calls to wait.
 * - Everything that is passed by pointer (buffers, addresses, messages) stays valid until the
 *   completion is dead. Descriptors are non-blocking, and the runner opens and closes them (except
 *   with ETALON_OFFERS_CLOSE).
 * - Results: 0 or more is the operation's value; less is a negated errno. Functions that return int
 *   return 0 or a negated errno.
 * - When ETALON_OFFERS_POOL is offered, the runner schedules the threads that the loop makes. Each
 *   runs only while the first thread waits for it, from one stop to the next. It stops before and
 *   after each read, pread, write, pwrite and close, before it locks a mutex, and where it waits
 *   for a condition. For that, pthread_create, pthread_join, pthread_mutex_lock and
 *   pthread_cond_wait are interposed too. Such a thread must not wait by other means (semaphores,
 *   pthread_cond_timedwait, futexes of its own). Without that bit threads are as free as ever.
 *
 * What changes in this header: new bits, new operations and new members at the end of a struct
 * leave the version as it is. The runner takes what an older adapter does not have as not offered:
 * `size` tells, and a bit that needs a member beyond it counts as not set. Anything else makes a
 * new version, which an older runner refuses. So far: the members from pool_init on, and `pool` of
 * the host, came after the first; then those from timeout on, and the bits 22, 23 and 28; then the
 * bits 30 and 31, the bit 56 with its mode of run, and the bits 57 to 60. */
#ifndef ETALON_SUBJECT_H
#define ETALON_SUBJECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ETALON_SUBJECT_ABI         1
#define ETALON_SUBJECT_COMPLETIONS 8 /* completions 0 … 7 */
/* … of an adapter that has room for more; a case that needs more than it has is not asked */
#define ETALON_SUBJECT_MANY   4096
#define ETALON_SUBJECT_ASYNCS 8 /* asyncs 0 … 7 */

/* ---- what a subject can offer (bits of `offers`) --------------------------------------------- */

/* Calls. Each comment begins with the function that the bit needs. */

/* timer: one-shot timers in milliseconds */
#define ETALON_OFFERS_TIMERS (UINT64_C(1) << 0)
/* timer_reset: a running timer gets a new deadline */
#define ETALON_OFFERS_RESET (UINT64_C(1) << 1)
/* cancel: loud; the target is called with -ECANCELED, then the cancel with 0 (or -ENOENT) */
#define ETALON_OFFERS_CANCEL (UINT64_C(1) << 2)
/* remove: silent; after it the callback does not come (stop, remove, destroy) */
#define ETALON_OFFERS_DELETE (UINT64_C(1) << 3)
/* submit with a null description: add again what was described before */
#define ETALON_OFFERS_READD (UINT64_C(1) << 4)
/* ETALON_REARM, returned by a callback, submits the same operation again */
#define ETALON_OFFERS_REARM (UINT64_C(1) << 5)
/* run(NO_WAIT): what is ready now, without waiting */
#define ETALON_OFFERS_NO_WAIT (UINT64_C(1) << 6)
/* run(ONCE): waits until at least one callback was called, or nothing is active */
#define ETALON_OFFERS_ONCE (UINT64_C(1) << 7)
/* run(UNTIL_DONE): until nothing is active, or stopped */
#define ETALON_OFFERS_UNTIL_DONE (UINT64_C(1) << 8)
/* tick: run until a number of callbacks was called (ET-TICK-3, -4) */
#define ETALON_OFFERS_TICK (UINT64_C(1) << 9)
/* stop, from within a callback: the run in progress ends */
#define ETALON_OFFERS_STOP (UINT64_C(1) << 10)
/* stopped: and a stop is for good: later runs do nothing (ET-STOP-1, ET-TICK-1) */
#define ETALON_OFFERS_STOPPED (UINT64_C(1) << 11)
/* wakeup: ends the wait in progress, or the next one; any thread */
#define ETALON_OFFERS_WAKEUP (UINT64_C(1) << 12)
/* now: the loop's own idea of CLOCK_MONOTONIC, in whole milliseconds */
#define ETALON_OFFERS_NOW (UINT64_C(1) << 13)
/* update_now: reads the clock */
#define ETALON_OFFERS_UPDATE_NOW (UINT64_C(1) << 14)
/* state: dead, adding, active or deleting, as section 9 of the law has them */
#define ETALON_OFFERS_STATE (UINT64_C(1) << 15)
/* state: but only in use (ACTIVE) or not (DEAD); of no meaning beside STATE */
#define ETALON_OFFERS_IN_USE (UINT64_C(1) << 16)
/* deinit with completions in use: they become dead, silently, and nothing leaks */
#define ETALON_OFFERS_DEINIT (UINT64_C(1) << 17)
/* run and tick inside a callback are refused (-EBUSY) rather than undefined */
#define ETALON_OFFERS_GUARDED (UINT64_C(1) << 18)
/* misuse (busy, unknown operation) is refused by a negative return rather than undefined */
#define ETALON_OFFERS_CHECKED (UINT64_C(1) << 19)
/* has_callback = 0 is possible; otherwise the runner gives an empty callback */
#define ETALON_OFFERS_NULL_CALLBACK (UINT64_C(1) << 20)
/* forget: a dead completion's memory is released and made anew */
#define ETALON_OFFERS_FORGET (UINT64_C(1) << 21)
/* timer_reset without a carrier: a running timer has its new deadline when the call returns */
#define ETALON_OFFERS_RESET_ALONE (UINT64_C(1) << 22)
/* run(TURN): as run(ONCE), but one sleep, whatever that brings (ET-RUN-5) */
#define ETALON_OFFERS_TURN (UINT64_C(1) << 23)
/* timeout and descriptor: by which a loop around it knows when to call run(NO_WAIT). Both are asked
 * for before each wait of that loop, the descriptor first; a loop that has no descriptor of its own
 * may bring one up to date then */
#define ETALON_OFFERS_HOSTED (UINT64_C(1) << 28)
/* deinit inside a callback is refused (-EBUSY) rather than undefined */
#define ETALON_OFFERS_GUARDED_DEINIT (UINT64_C(1) << 29)
/* host->called may be called by threads that the loop makes itself, while the first thread is
 * inside run or tick: one callback at a time, and all calls from within it come from that thread.
 * What these threads wait for is virtual, too: epoll, poll and select, conditions, semaphores,
 * mutexes, sleeping, pthread_join. The loop sleeps when all of them and the first thread wait. A
 * loop without a run of its own goes on, and stands still, by its own calls for that, which `run`
 * makes. Judged from outside, also with ETALON_OFFERS_ROUNDS. */
#define ETALON_OFFERS_THREADS (UINT64_C(1) << 31)

/* Operations: readiness. */

/* POLL for in and out: one call, with what is ready */
#define ETALON_OFFERS_POLL (UINT64_C(1) << 24)
/* POLL: its result also says hup and err, and it can ask for pri and rdhup */
#define ETALON_OFFERS_POLL_MORE (UINT64_C(1) << 25)
/* several completions can wait on one descriptor at once */
#define ETALON_OFFERS_MANY_POLLS (UINT64_C(1) << 26)
/* The caller may close a descriptor while a completion still waits on it (the loop documents that
 * this is allowed). Otherwise the runner closes only what nothing waits on. */
#define ETALON_OFFERS_CLOSED_EARLY (UINT64_C(1) << 27)
/* POLL is edge-triggered: started by `submit` it is told what is ready then, but started again by
 * ETALON_REARM no more than what has come since (section 2 of the law, *edge*). What was there
 * before may be told again, and need not. */
#define ETALON_OFFERS_EDGES (UINT64_C(1) << 30)

/* Operations: completion. Each is one that `submit` takes. */

#define ETALON_OFFERS_NOOP       (UINT64_C(1) << 32)
#define ETALON_OFFERS_READ       (UINT64_C(1) << 33) /* READ and WRITE, on pipes and sockets */
#define ETALON_OFFERS_POSITIONED (UINT64_C(1) << 34) /* PREAD and PWRITE */
#define ETALON_OFFERS_SEND       (UINT64_C(1) << 35) /* SEND and RECV */
#define ETALON_OFFERS_MESSAGES   (UINT64_C(1) << 36) /* SENDMSG and RECVMSG */
#define ETALON_OFFERS_ACCEPT     (UINT64_C(1) << 37)
#define ETALON_OFFERS_CONNECT    (UINT64_C(1) << 38)
#define ETALON_OFFERS_CLOSE      (UINT64_C(1) << 39)
#define ETALON_OFFERS_SHUTDOWN   (UINT64_C(1) << 40)

/* READ, WRITE and the positioned ones on regular files, which epoll refuses (a thread pool,
 * io_uring) */
#define ETALON_OFFERS_FILES (UINT64_C(1) << 41)
/* pool_init, pool_deinit, on_pool: such an operation is run by a thread of a pool */
#define ETALON_OFFERS_POOL (UINT64_C(1) << 42)
/* async_…: what other threads notify, and completions wait for, one notification each */
#define ETALON_OFFERS_ASYNC (UINT64_C(1) << 43)
/* a notification that comes while nothing waits ends the next wait (ET-ASYNC-2) */
#define ETALON_OFFERS_ASYNC_KEPT (UINT64_C(1) << 44)

/* How strictly the order of events is checked against the law. */

/* A run is made of rounds with the phases of section 13, and there are adding and deleting
 * completions: every system call and every callback is then checked against the model. Without this
 * bit only what a caller can see is judged: which callbacks come, with which results, when, and in
 * which order where the law says so by itself. */
#define ETALON_OFFERS_ROUNDS (UINT64_C(1) << 48)
/* init takes descriptors_max (ET-SUBMIT-5) */
#define ETALON_OFFERS_DESCRIPTOR_LIMIT (UINT64_C(1) << 49)

/* Other ways in which a loop may be built, and documents it. */

/* run(UNTIL_STOPPED), and stop: goes on until a callback stops it, also when nothing is in use
 * (ET-RUN-6). Where ONCE, UNTIL_DONE and TICK are not offered besides, the runner asks for this run
 * in their place, and makes the stop itself, as a program of such a loop does: in the last callback
 * that it asks for, or in that after which nothing is in use */
#define ETALON_OFFERS_UNTIL_STOPPED (UINT64_C(1) << 56)
/* remove, where that takes effect with the next turn: until then the callback does not come, but
 * state may say that the completion is in use, and its number is not used again (ET-LINGER-2); with
 * ETALON_OFFERS_CHECKED that is refused by -EBUSY */
#define ETALON_OFFERS_DELETES_LATER (UINT64_C(1) << 57)
/* ETALON_REARM, by the callback of a timer and of nothing else; of no meaning beside REARM */
#define ETALON_OFFERS_REARM_TIMERS (UINT64_C(1) << 58)
/* ETALON_REARM of a timer is the loop's own repetition: a timer of an interval, which is its delay,
 * goes on by itself until its callback ends it. The next deadline counts from the former one, from
 * the time of the callback, or from any time between (ET-REPEAT-1). The adapter starts each timer
 * as such a one, and stops it where the callback returns ETALON_DISARM; while that runs the number
 * is not in use, as ever. Includes REARM_TIMERS */
#define ETALON_OFFERS_REPEATS (UINT64_C(1) << 59)
/* run and tick inside a callback are carried out, as any others (ET-RUN-7); not beside GUARDED */
#define ETALON_OFFERS_NESTS (UINT64_C(1) << 60)

/* ---- words ----------------------------------------------------------------------------------- */

/* The numbers are Etalon's. */
enum etalon_subject_operation {
    ETALON_NOOP,
    ETALON_CANCEL, /* only by ETALON_OFFERS_ROUNDS: a cancel that is submitted like any operation */
    ETALON_ACCEPT,
    ETALON_CONNECT,
    ETALON_POLL,
    ETALON_READ,
    ETALON_PREAD,
    ETALON_WRITE,
    ETALON_PWRITE,
    ETALON_SEND,
    ETALON_RECV,
    ETALON_SENDMSG,
    ETALON_RECVMSG,
    ETALON_CLOSE,
    ETALON_SHUTDOWN,
    ETALON_TIMER, /* only by ETALON_OFFERS_READD; otherwise timers come by `timer` */
};

enum etalon_subject_state { ETALON_DEAD, ETALON_ADDING, ETALON_ACTIVE, ETALON_DELETING };
enum etalon_subject_action { ETALON_DISARM, ETALON_REARM };
enum etalon_subject_run {
    ETALON_RUN_NO_WAIT,
    ETALON_RUN_ONCE,
    ETALON_RUN_UNTIL_DONE,
    ETALON_RUN_TURN,
};
#define ETALON_RUN_UNTIL_STOPPED UINT32_MAX /* no number that a program can write */

/* One operation, as the runner describes it. Members that an operation does not need are zero. */
struct etalon_subject_description {
    /* enum etalon_subject_operation; a larger number is an unknown one (only with
     * ETALON_OFFERS_CHECKED) */
    uint32_t operation;
    int32_t fd;      /* of all but noop, cancel and timer */
    uint32_t events; /* of a poll: EPOLLIN, EPOLLOUT, … (the same bits as POLLIN, …) */
    /* Of accept (as accept4); of send, recv, sendmsg, recvmsg (0: the adapter adds MSG_DONTWAIT,
     * MSG_NOSIGNAL); of shutdown: how. */
    int32_t flags;
    void *buffer;              /* read, pread, write, pwrite, send, recv */
    size_t length;             /* likewise */
    int64_t offset;            /* pread, pwrite */
    struct sockaddr *address;  /* connect: where to; accept: for the peer's address, or null */
    socklen_t *address_length; /* connect, accept */
    struct msghdr *message;    /* sendmsg, recvmsg */
    uint64_t delay_ms;         /* timer */
    uint32_t target;           /* cancel: a completion, or ETALON_NOBODY */
    uint32_t userdata;         /* a token: carried through the loop's own user data to `called` */
    uint8_t has_callback;      /* 0 only with ETALON_OFFERS_NULL_CALLBACK */
    uint8_t on_pool;           /* 1 only with ETALON_OFFERS_POOL or ETALON_OFFERS_CHECKED */
};
#define ETALON_NOBODY UINT32_MAX /* no completion: a null pointer */

/* What the runner hands to init. It outlives the loop. */
struct etalon_subject_host {
    size_t size;
    /* To be called, on the loop's thread (ETALON_OFFERS_THREADS: or on one that it has made), from
     * within the loop's own callback of completion c, with the result and the userdata as the loop
     * delivers them (a timer: 0; a poll: the ready events).
     * Returns what the callback returns. With ETALON_REARM (only with ETALON_OFFERS_REARM) the
     * adapter does what its loop has for that: returns true, keeps the watcher, starts it again. */
    enum etalon_subject_action (*called)(uint32_t c, int64_t result, uint32_t userdata);
    /* For ETALON_OFFERS_DESCRIPTOR_LIMIT: descriptors from this number on are refused; otherwise
     * ignore it. */
    unsigned descriptors_max;
    /* For ETALON_OFFERS_POOL: what pool_init gave, for this loop to use; null: none. Not there when
     * `size` ends before it. */
    void *pool;
};

/* A difference from the law that the loop documents as intended: then this way to break the clause
 * is not a failure, but "not strict". Only what the loop's own manual says counts; the sentence
 * says where. Clauses that no caller can live without (memory after a deletion, a lost callback, a
 * hang, a crash) are failures all the same: the list in RUNNER.md. */
struct etalon_subject_difference {
    /* "ET-TIMER-4", or "ET-RUN-2/woken" where RUNNER.md has kinds for it; null ends the list */
    const char *clause;
    const char *why; /* one sentence: what the loop does instead, and where it says so */
};

/* ---- the subject ----------------------------------------------------------------------------- */

struct etalon_subject {
    uint32_t abi;      /* ETALON_SUBJECT_ABI */
    uint32_t size;     /* sizeof(struct etalon_subject) */
    const char *name;  /* short, of letters, digits, '-', '.', '_': a column's head */
    const char *notes; /* the mapping, in a few sentences, for the report */
    uint64_t offers;   /* ETALON_OFFERS_… */
    const struct etalon_subject_difference *differences; /* null: none */

    /* The loop's own version, as it is found at run time; null: unknown. */
    const char *(*version)(void);

    /* Makes the loop. Called with no loop in existence. *self is passed to everything else. 0 or a
     * negated errno. */
    int (*init)(const struct etalon_subject_host *host, void **self);
    /* Releases everything. With ETALON_OFFERS_DEINIT also whatever is in use; otherwise it is
     * called only at the end of the process's last case, best effort. From within a callback:
     * -EBUSY with ETALON_OFFERS_GUARDED_DEINIT, and not called otherwise. */
    int (*deinit)(void *self);

    /* Submits an operation by the dead completion c. A null description: as it was described last
     * (ETALON_OFFERS_READD). With ETALON_OFFERS_CHECKED also called on completions in use, with a
     * null description. */
    int (*submit)(void *self, uint32_t c, const struct etalon_subject_description *description);
    /* Keeps a description for a later submit with null, only with ETALON_OFFERS_READD. */
    int (*describe)(void *self, uint32_t c, const struct etalon_subject_description *description);
    /* A one-shot timer by the completion c, from the loop's time on. On a completion in use only
     * with ETALON_OFFERS_CHECKED. */
    int (*timer)(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback);
    /* Gives the running timer c a new deadline, from the loop's time on; on a dead c: as timer.
     * carrier: a second completion for loops that need one (others ignore it), or ETALON_NOBODY for
     * none (ETALON_OFFERS_RESET_ALONE). */
    int (*timer_reset)(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback);
    /* Cancels target loudly, by the dead completion c. target: or ETALON_NOBODY for a null pointer
     * (ETALON_OFFERS_CHECKED). */
    int (*cancel)(void *self, uint32_t c, uint32_t target, uint32_t userdata, int has_callback);
    /* Ends c silently; 0 also when it is dead. */
    int (*remove)(void *self, uint32_t c);
    /* c is dead: release what is kept for it, so that a loop that still looks at it is seen to. */
    void (*forget)(void *self, uint32_t c);
    int (*state)(void *self, uint32_t c); /* enum etalon_subject_state */

    /* mode: one of those that are offered; with ETALON_OFFERS_CHECKED also an unknown one. */
    int (*run)(void *self, uint32_t mode);
    int (*tick)(void *self, uint32_t callbacks);
    void (*stop)(void *self);
    int (*stopped)(void *self); /* 0 or 1 */
    void (*wakeup)(void *self);
    uint64_t (*now)(void *self); /* milliseconds */
    void (*update_now)(void *self);

    /* ---- an adapter whose `size` ends here offers no pool and no async ---- */

    /* ETALON_OFFERS_POOL. Makes a pool of at most threads_max threads (1 … 4), for loops that are
     * initialised with it. Called with no loop in existence. 0 or a negated errno. */
    int (*pool_init)(uint32_t threads_max, void **pool);
    /* Ends its threads and releases it. -EBUSY with ETALON_OFFERS_ROUNDS while a loop has it, and
     * not called then otherwise. */
    int (*pool_deinit)(void *pool);

    /* ETALON_OFFERS_ASYNC. An async has a number, as completions have. It belongs to its loop,
     * whose deinit ends it. With ETALON_OFFERS_ROUNDS it belongs to none, lives on, and self is
     * null while there is no loop. What is not initialised is asked only with
     * ETALON_OFFERS_CHECKED, and refused by -EINVAL. */
    int (*async_init)(void *self, uint32_t a);
    /* Called when nothing waits on it, and no notification is in progress. */
    int (*async_deinit)(void *self, uint32_t a);
    /* Ends one wait on it. By any thread: the runner makes another one for it, while the first
     * stands still (with ETALON_OFFERS_ROUNDS it is the first). */
    int (*async_notify)(void *self, uint32_t a);
    /* c, which is dead, waits for the next notification. Its result is 8, as of the read of a
     * counter, or 0 where the loop's callback has none to give. ETALON_REARM: it waits for the
     * next. At most one waits on an async, except with ETALON_OFFERS_ROUNDS. */
    int (*async_wait)(void *self, uint32_t c, uint32_t a, uint32_t userdata, int has_callback);

    /* ---- an adapter whose `size` ends here has the slack of one millisecond ---- */

    /* How late beyond its exact deadline a timer of this loop may be due, in milliseconds: part of
     * its claim (section 1 of the law). 0: one, as of a loop that counts in whole ones. */
    uint32_t slack_ms;

    /* ---- an adapter whose `size` ends here does not say how it is hosted ---- */

    /* ETALON_OFFERS_HOSTED. In how many milliseconds the loop must be run; -1: no limit. */
    int64_t (*timeout)(void *self);
    /* A descriptor that is readable when the loop must be run, the same in each call; or a negated
     * errno. */
    int (*descriptor)(void *self);

    /* ---- an adapter whose `size` ends here keeps ETALON_SUBJECT_COMPLETIONS ---- */

    /* For how many completions it has room: they are 0 to this number - 1. 0: for
     * ETALON_SUBJECT_COMPLETIONS; more than ETALON_SUBJECT_MANY are never asked for. */
    uint32_t completions_max;
};
#define ETALON_EXACT UINT32_MAX /* slack_ms of a loop whose timers are due at their deadlines */

/* For the adapter's one definition: visible also where everything else is hidden. */
#if defined(__GNUC__)
#define ETALON_SUBJECT_EXPORT __attribute__((visibility("default")))
#else
#define ETALON_SUBJECT_EXPORT
#endif
#ifdef __cplusplus
#define ETALON_SUBJECT extern "C" ETALON_SUBJECT_EXPORT const struct etalon_subject etalon_subject
#else
#define ETALON_SUBJECT                                                                             \
    extern ETALON_SUBJECT_EXPORT const struct etalon_subject etalon_subject;                       \
    const struct etalon_subject etalon_subject
#endif
/* ETALON_SUBJECT = {
 *     .abi = ETALON_SUBJECT_ABI, .size = sizeof(struct etalon_subject), .name = …
 * }; */

#ifdef __cplusplus
}
#endif

#endif
