/* SPDX-License-Identifier: MIT */
/* etalon.h: a small completion-based event loop for Linux, checked against spec/etalon.md.
 *
 *   loop          et_loop_init  et_loop_deinit  et_loop_run  et_loop_tick
 *                 et_loop_stop  et_loop_stopped
 *   embedding     et_loop_descriptor  et_loop_timeout
 *   time          et_loop_now  et_loop_update_now
 *   completions   et_loop_add  et_loop_delete  et_completion_state
 *   timers        et_loop_timer  et_loop_timer_reset
 *   cancelling    et_loop_cancel
 *   other threads et_loop_wakeup  et_async_init  et_async_deinit  et_async_notify  et_async_wait
 *   thread pool   et_pool_init  et_pool_deinit
 *
 * Threads: one thread drives a loop and makes every call on it; et_loop_wakeup and et_async_notify
 * alone may be called by any thread and by a signal handler. Functions that return int return 0 or
 * a negated errno; those that submit, delete or cancel then change nothing: -EINVAL when the loop
 * or the completion is null, the loop is not initialised (ET-DEINIT-4), or the completion another
 * loop's; -EBUSY when it is at work already, or deleted and a pool thread is (see each call).
 * Times are milliseconds of CLOCK_MONOTONIC. No timer fires early. ET-… are clauses of
 * spec/etalon.md.
 *
 * fork(2): in the child, what the parent has made may be deinitialised, in any order, which waits
 * for no thread, releases the child's copies and changes nothing of the parent's; every other call
 * on it returns -ECHILD, or does nothing. A loop that the child makes is as any. (ET-FORK-1 … 6)
 * Not after vfork(2), whose child has the parent's memory, nor after closefrom(3). The memory of a
 * loop stays until the callback has returned in which the child deinitialises it. A process that
 * has several copies of the library uses each loop, pool and async by the copy that made it. */
#ifndef ETALON_H
#define ETALON_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "etalon_vocabulary.h"

#define ET_VERSION       "0.1.0"     /* of this library, and of all that comes with it */
#define ET_SPECIFICATION "1.0-draft" /* the version of the law (spec/etalon.md) that it keeps */

/* Fields that several threads use at once. C++ does not look into them. */
#ifdef __cplusplus
extern "C" {
#define ET_ATOMIC(type) type
#else
#define ET_ATOMIC(type) _Atomic(type)
#endif

/* ---- completions ----------------------------------------------------------------------------- */

struct et_loop;
struct et_completion;

/* What the loop calls when an operation has ended. The completion is dead by then: the callback may
 * free it, describe it anew, add it again. result: >= 0 the operation's value (bytes, an accepted
 * descriptor, the poll events; 0 is the end of a stream for reads, and success for the others), < 0
 * the negated errno (-ECANCELED: cancelled). Returns ET_DISARM, or ET_REARM to have it added again
 * (ET-CALL-3). A callback that has closed its descriptor must call et_loop_add instead of returning
 * ET_REARM (ET-REGISTER-6). It must return: left by longjmp(3) or a C++ exception, the loop stays
 * within it, and can neither be run nor deinitialised any more. */
typedef enum et_action (*et_callback)(struct et_loop *loop, struct et_completion *completion,
                                      int64_t result, void *userdata);

/* The loop's own part of a completion. The caller zeroes it once and never looks into it. */
struct et_private {
    uint8_t state, operation, place;
    bool on_pool;    /* as the description said when it was added */
    bool is_queued;  /* in the pool's queue; under the pool's mutex */
    bool trusted;    /* rearmed after a report: its registration holds (completion.c) */
    uint16_t events; /* of a poll */
    struct et_loop *loop;
    union {
        uint64_t deadline_ms; /* of a timer */
        int64_t result;       /* of a pool thread's system call; what an async's wait has read */
    };
    union {
        uint32_t round; /* in which it joined the submissions */
        uint64_t order; /* of starting: of timers, and of those that wait on a descriptor */
        struct et_completion *pooled_previous;
    };
    union {
        struct et_completion *next;      /* in a queue of the loop or the pool, or handed over */
        struct et_completion *wait_next; /* of a descriptor, of the heap or of `expired` */
    };
    union {
        struct et_completion *previous, *wait_previous;
    };
    union {
        struct et_completion *child;       /* in the heap */
        struct et_completion *partner;     /* timer and carrier; a cancel's target */
        struct et_completion *pooled_next; /* in the loop's list of what the pool has */
    };
    int fd;
};

/* What the operations take, each in the member of its name. C++ wants these outside the union. */
/* clang-format off */
struct et_cancel { struct et_completion *target; };
/* address may be null; *address_length is overwritten: set it again before a rearm. -EMFILE leaves
 * the connection in the queue, and a rearm meets it again at once, for ever: give a descriptor that
 * was kept in reserve for it, or come back by a timer. */
struct et_accept { struct sockaddr *address; socklen_t *address_length; int flags; };
/* when it is cancelled or deleted the kernel goes on connecting: close the socket then */
struct et_connect { const struct sockaddr *address; socklen_t address_length; };
/* POLLIN, POLLOUT, POLLPRI, POLLRDHUP; the result holds poll(2)'s bits */
struct et_poll { uint32_t events; };
struct et_read { void *buffer; size_t length; };
struct et_pread { void *buffer; size_t length; int64_t offset; };
/* Of what gives bytes, send and sendmsg included: when one is done in part and rearmed for the
 * rest, that comes behind the next one of its descriptor, and the bytes mix. Have one at a time. */
struct et_write { const void *buffer; size_t length; };
struct et_pwrite { const void *buffer; size_t length; int64_t offset; };
/* flags: MSG_…; MSG_DONTWAIT is always added, and MSG_NOSIGNAL to what sends. A receive with
 * MSG_ERRQUEUE waits for EPOLLERR, one with MSG_OOB for EPOLLPRI (ET-REGISTER-1) */
struct et_recv { void *buffer; size_t length; int flags; };
struct et_send { const void *buffer; size_t length; int flags; };
/* msg_namelen, msg_controllen and msg_flags are overwritten: set them again before a rearm */
struct et_recvmsg { struct msghdr *message; int flags; };
struct et_sendmsg { const struct msghdr *message; int flags; };
/* SHUT_RD, SHUT_WR, SHUT_RDWR; it does not wait for a send in use, which then ends with -EPIPE */
struct et_shutdown { int how; };
struct et_timer { uint64_t delay_ms; };
/* clang-format on */

/* One asynchronous operation, in memory the caller owns. Zero-initialised it is a dead, valid noop
 * (ET-STATE-1). Fill in the description (everything above `internal`) while it is dead, add it, and
 * leave it, and the buffers and addresses that it names, alone until it is dead again. */
struct et_completion {
    uint8_t operation; /* enum et_operation */
    /* Of read, pread, write, pwrite and close: the system call is made once, by a thread of the
     * pool; -EOPNOTSUPP without a pool. Its result may be -EAGAIN: of a descriptor in non-blocking
     * mode (ET-POOL-4), or of a pool that has no thread and can make none (ET-POOL-3). */
    bool on_pool;
    /* In non-blocking mode, unless only send…, recv… and the pool use it. epoll takes no regular
     * files, no directories, not /dev/null and its kind, and not many files of /proc: what waits on
     * one of them ends with -EPERM (ET-REGISTER-3), unless it is on_pool. While something waits on
     * it, close it by ET_CLOSE, or end that before close(2) or dup2(2): it could take what is meant
     * for the next file with this number. */
    int fd;
    et_callback callback; /* may be null: as one that returns ET_DISARM */
    void *userdata;
    union {
        struct et_cancel cancel;
        struct et_accept accept;
        struct et_connect connect;
        struct et_poll poll;
        struct et_read read;
        struct et_pread pread;
        struct et_write write;
        struct et_pwrite pwrite;
        struct et_recv recv;
        struct et_send send;
        struct et_recvmsg recvmsg;
        struct et_sendmsg sendmsg;
        struct et_shutdown shutdown;
        struct et_timer timer;
    };
    struct et_private internal;
};

/* The state of a completion; a null pointer is dead. (ET-STATE-2) */
enum et_state et_completion_state(const struct et_completion *completion);

/* ---- the loop -------------------------------------------------------------------------------- */

struct et_pool;
struct et_descriptor; /* what the loop knows of one descriptor number */
struct et_heap;

struct et_options {
    /* Descriptors with numbers from this on are refused (-EMFILE, ET-SUBMIT-5); each takes 64 bytes
     * of a table. At most 1,048,576; 0: the soft RLIMIT_NOFILE at the time of the call, or that. */
    unsigned descriptors_max;
    struct et_pool *pool; /* executes what is marked on_pool; may be null; must outlive the loop */
};

/* Its fields are private. It must not move in memory while it is in use. */
struct et_loop {
    struct et_completion *submissions_head, *submissions_tail;
    struct et_completion *deletions_head, *deletions_tail;
    struct et_heap *timers;        /* those that run; the allocation, with `descriptors` behind */
    struct et_completion *expired; /* taken out of the heap to fire in this timer phase, in order */
    struct et_completion *current; /* the cancel or close that is being carried out */
    struct et_descriptor *descriptors;
    struct et_pool *pool;
    struct et_completion *delivering; /* what this pool phase still has to deliver, in order */
    ET_ATOMIC(struct et_completion *) handed_over; /* by pool threads, the last first */
    uint64_t now_ns;
    uint64_t order;          /* of the next start */
    uint64_t expired_before; /* `order` when the last timer phase began */
    uint64_t called;         /* callbacks in this tick */
    uint32_t active;
    uint32_t lingering; /* deleted, but a pool thread has them */
    uint32_t executing; /* by pool threads, which still touch the loop; under the pool's mutex */
    uint32_t round;
    int descriptors_max;
    int descriptors_used;           /* numbers from this on have never been waited on */
    int changed_head, changed_tail; /* registrations that have to be looked at; -1: none */
    int epoll;
    int outer; /* contains epoll, for a loop around this one; -1: nobody has asked for it */
    int wakeup;
    bool stopped, in_callback, epoll_stale, no_pwait2;
    bool outer_lacks_epoll;       /* it could not be put there */
    struct et_completion *pooled; /* active or lingering with the pool, the last first */
    uint32_t process;             /* that made it. Deinit zeroes all but this and the next. */
    ET_ATOMIC(uint32_t) wakers;   /* threads inside et_loop_wakeup */
};

/* Makes *loop, which is not a loop in use, ready: one allocation, the last one (ET-STATE-8; but for
 * what pthread_create(3) takes), an epoll instance and an eventfd, both close-on-exec. options may
 * be null. Errors: -EINVAL (null loop, descriptors_max out of range, a pool that is not
 * initialised), -ENOMEM, and those of epoll_create1(2), eventfd(2) and epoll_ctl(2). */
int et_loop_init(struct et_loop *loop, const struct et_options *options);

/* Makes every completion dead, without callbacks, releases everything and zeroes *loop. Descriptors
 * of the caller stay open. Waits for system calls that pool threads are making for this loop, and
 * for wake-ups that other threads are writing. Errors: -EBUSY inside a callback of this loop.
 * In a child of fork(2) neither: it waits for nobody, and may be called in a callback. (ET-DEINIT-1
 * … 4, ET-POOL-13, ET-WAKE-3, ET-FORK-1) */
int et_loop_deinit(struct et_loop *loop);

/* Runs the loop: ET_RUN_NO_WAIT one round, ET_RUN_ONCE until a callback was called,
 * ET_RUN_UNTIL_DONE until nothing is left (all: or stopped), ET_RUN_TURN one round that may wait
 * once: it returns after callbacks, a wake-up, a signal whose handler has returned, or the time of
 * the earliest timer, which the next turn fires. Errors: -EINVAL (unknown mode), -EBUSY inside a
 * callback of this loop, or what epoll_pwait2(2) reports except EINTR, which is 0; the loop can be
 * run again after that. (ET-RUN-1 … 5, ET-TICK-6, ET-WAIT-5) */
int et_loop_run(struct et_loop *loop, enum et_run_mode mode);

/* Runs rounds until `callbacks` callbacks were called, or nothing is active (what was deleted while
 * a pool thread is at work on it counts as active) and both queues are empty, or the loop is
 * stopped; 0: one round that does not wait. Errors: as et_loop_run. (ET-TICK-1 … 7) */
int et_loop_tick(struct et_loop *loop, unsigned callbacks);

/* Stops the loop for good, after the phase in progress. Other calls act as before; what is in use
 * then ends by et_loop_delete or et_loop_deinit, and has no callback any more. (ET-STOP-1 … 4) */
void et_loop_stop(struct et_loop *loop);
bool et_loop_stopped(const struct et_loop *loop);

/* The loop time in whole milliseconds, rounded down, as of the last update; 0 for a loop that is
 * not initialised. (ET-TIME-1, -2) */
uint64_t et_loop_now(const struct et_loop *loop);

/* Reads the clock: for a callback that takes long and then sets timers. (ET-TIME-1) */
void et_loop_update_now(struct et_loop *loop);

/* ---- inside another loop: wait for both, then call et_loop_run with ET_RUN_NO_WAIT ----------- */

/* A descriptor that is readable when the loop has something to do that the kernel knows of. The
 * number stays the same until et_loop_deinit, which closes it; it is made by the first call, and
 * close-on-exec. Only to be waited on, by poll(2), epoll(7) and their like, level-triggered; it is
 * never readable after et_loop_stop. Errors: those of epoll_create1(2) and epoll_ctl(2).
 * (ET-HOST-4, -5) */
int et_loop_descriptor(struct et_loop *loop);

/* In how many milliseconds the loop must be run even if the descriptor is not readable, rounded up:
 * 0 now (something is queued, handed over by the pool, or due; inside a callback), -1 whenever the
 * descriptor says so (no timer is active, or the loop is stopped). By the clock, so ask right
 * before each wait; waiting for less does no harm. (ET-HOST-1 … 3) */
int64_t et_loop_timeout(const struct et_loop *loop);

/* Ends the wait in progress; when there is none, the loop does not wait when it next asks the
 * kernel. Not a callback: a run or tick goes on until it has what it was called for, but for
 * ET_RUN_TURN, by which a loop runs until a flag is set: set it, then wake. Any thread;
 * async-signal-safe; errno is preserved. May race with et_loop_deinit, if the memory lives on until
 * it has returned, but not with an et_loop_init that uses it again. (ET-WAKE-1 … 4) */
void et_loop_wakeup(struct et_loop *loop);

/* ---- submitting ------------------------------------------------------------------------------ */

/* Submits a completion as it is described, to start in the next round; 0 when it is adding already.
 * Two writes or sends on one descriptor are one after the other only until the first is done in
 * part: what it rearms for the rest comes behind the second (ET-CALL-3). Add the second in the
 * callback of the first. So, too, a shutdown, which does not wait for a send (ET-SUBMIT-9).
 * Errors: -EBUSY, -EINVAL (description), -EOPNOTSUPP (on_pool, without a pool). (ET-ADD-1 … 7) */
int et_loop_add(struct et_loop *loop, struct et_completion *completion);

/* Ends a completion silently: its callback is not called after this has returned. The memory is the
 * caller's when it is dead: after the second phase of a round, or et_loop_deinit; where a pool
 * thread is at work on it, in the round after that has ended. (ET-DELETE-1 … 4, ET-POOL-7, -8) */
int et_loop_delete(struct et_loop *loop, struct et_completion *completion);

/* Describes a completion as a timer and adds it; an adding timer gets the new delay, in its place.
 * It fires at the first full millisecond at which delay_ms have gone by since the loop time, which
 * the loop keeps to the nanosecond: less than a millisecond later than asked for, but for the time
 * that others take, and not early. 0: in the next round. Errors: -EBUSY (active, adding and no
 * timer, or lingering). (ET-TIMER-1 … 4, ET-ADD-7, ET-EXPIRE-4) */
int et_loop_timer(struct et_loop *loop, struct et_completion *completion, uint64_t delay_ms,
                  et_callback callback, void *userdata);

/* Moves a timer to a new deadline, as of et_loop_timer now. With a null carrier an active one is
 * moved at once, and counts as started now. Otherwise it is moved in the next round by `carrier`, a
 * completion that is adding until then, has no callback, and can serve again afterwards; until then
 * the timer does not fire. On a timer that is not active this is et_loop_timer, and the carrier is
 * not touched. Errors: -EINVAL (active and no timer; carrier is the timer itself), -EBUSY (adding
 * and no timer; carrier at other work; either lingers with a pool). (ET-RESET-1 … 14) */
int et_loop_timer_reset(struct et_loop *loop, struct et_completion *completion,
                        struct et_completion *carrier, uint64_t delay_ms, et_callback callback,
                        void *userdata);

/* Submits `cancel`, which in the next round ends `target`: the target's callback gets -ECANCELED,
 * then the cancel's gets 0; or -ENOENT when there is nothing to cancel then; or -EALREADY when a
 * pool thread has it, which ends by itself. The target stays valid memory until the cancel is dead.
 * Errors: -EBUSY, -EINVAL (target null or the cancel). (ET-CANCEL-1 … 10, ET-POOL-5, -6) */
int et_loop_cancel(struct et_loop *loop, struct et_completion *cancel, struct et_completion *target,
                   et_callback callback, void *userdata);

/* ---- the thread pool ------------------------------------------------------------------------- */

struct eti_worker;

struct et_pool_options {
    unsigned threads_max; /* 1 … 1024; 0: the number of processors online */
    size_t stack_bytes;   /* of each thread, at least PTHREAD_STACK_MIN; 0: the system's default */
};

/* A fixed number of threads at most, created when there is work for them. They take work in the
 * order of submission, whatever loop it is of: what several of them execute may end, and take
 * effect, in another order. Work that waits for other work of the pool (a read of a pipe for the
 * write that fills it) may wait for ever when all threads there can be do so. All signals are
 * blocked in them. Its fields are private. It must not move in memory while it is in use. */
struct et_pool {
    pthread_mutex_t mutex;      /* over all below, and the counts of `executing` of the loops */
    pthread_cond_t work, left;  /* there is work; a loop has no more work executing */
    pthread_attr_t attributes;  /* of its threads */
    struct eti_worker *workers; /* threads_max of them */
    struct et_completion *head, *tail; /* the queue */
    unsigned queued, idle, threads, threads_max;
    unsigned loops;   /* that may still submit work */
    uint32_t process; /* that made it */
    bool ending;
};

/* Makes *pool, which is not a pool in use, ready: one allocation, no thread yet. options may be
 * null. Errors: -EINVAL (null pool, a number out of range), -ENOMEM, and those of
 * pthread_cond_init(3) and its kind. (ET-INIT-3, ET-POOL-15) */
int et_pool_init(struct et_pool *pool, const struct et_pool_options *options);

/* Ends the threads, releases everything and zeroes *pool. Not while another thread initialises a
 * loop with it. Errors: -EBUSY (a loop has it), -EINVAL (not initialised). In a child of fork(2)
 * never -EBUSY, and no thread is waited for. (ET-POOL-14, -16, ET-FORK-2) */
int et_pool_deinit(struct et_pool *pool);

/* ---- notifications from other threads -------------------------------------------------------- */

/* A counter that any thread raises and completions wait for, on any loop. Fields are private. */
struct et_async {
    int fd;
    uint32_t process;          /* that made it */
    ET_ATOMIC(uint32_t) users; /* threads inside et_async_notify */
};

/* Makes *async, which is not one in use, ready: an eventfd, close-on-exec. Errors: -EINVAL (null),
 * and those of eventfd(2). (ET-INIT-3) */
int et_async_init(struct et_async *async);

/* Releases it, after waiting for notifications that other threads are writing; later ones are
 * refused, as long as the memory of *async lives on until they have returned. No completion may
 * wait on it; a callback of its own wait that deinitialises it must not return ET_REARM. Not in a
 * signal handler. Errors: -EINVAL (null, or not initialised). (ET-ASYNC-5) */
int et_async_deinit(struct et_async *async);

/* Ends one wait on the async, now or when it comes; several notifications may end one wait
 * together, none is lost. Any thread; async-signal-safe; never blocks; errno is preserved. Errors:
 * -EINVAL (null, or not initialised). (ET-ASYNC-2 … 5) */
int et_async_notify(struct et_async *async);

/* Describes a completion as a read of the async's counter and adds it; its result is 8 when it was
 * notified. ET_REARM in the callback waits for the next notification. Errors: -EBUSY, -EINVAL
 * (async null, or not initialised). (ET-ASYNC-1) */
int et_async_wait(struct et_loop *loop, struct et_async *async, struct et_completion *completion,
                  et_callback callback, void *userdata);

#ifdef __cplusplus
}
#endif

#endif
