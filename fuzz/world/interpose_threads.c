/* SPDX-License-Identifier: MIT */
/* Threads that a subject makes and that call its callbacks, under virtual time (interpose.h): they
 * run as they like, but what they wait for is looked after here.
 *
 * One mutex, the runner's, is held exactly by the thread whose code is the runner's at the moment.
 * Who waits is in a list, and looks again whenever somebody may have done something, which is when
 * another thread begins to wait; the turn counts that. When all threads wait, and have looked in
 * this turn, nothing will happen by itself: the loop sleeps. Then the one that has found that does
 * what the world does next, or lets time go on. */
#ifndef ETALON_WITHOUT_KIT

#include "interpose_inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"

#define PAST_NS   1000
#define SETTLE_MS 1000 /* of real time, for a thread that waits by other means */

struct waiter {
    int64_t (*look)(void *call, int grace_ms);
    void *call;
    uint64_t deadline_ns; /* VIRTUAL_NEVER: none */
    bool by_kernel;       /* a signal may interrupt it */
    uint64_t looked;      /* in which turn */
    struct waiter *next;
};

static struct {
    pthread_mutex_t runner;
    pthread_cond_t changed, settled; /* for who waits; for who lets the others do what they can */
    struct waiter *waiters;
    uint64_t turn;
    unsigned count; /* of threads that have not ended, the first one included */
    unsigned settling;
    bool sleeps;  /* … the loop, and the observer was told */
    bool goes_on; /* the world does, or time */
    struct waiter *interrupted;
} all = {.runner = PTHREAD_MUTEX_INITIALIZER,
         .changed = PTHREAD_COND_INITIALIZER,
         .settled = PTHREAD_COND_INITIALIZER};

static _Atomic bool drives;

bool interpose_drives_threads(void) {
    return atomic_load(&drives);
}

void interpose_lock_runner(void) {
    INTERPOSE_REAL(lock)(&all.runner);
}

void interpose_unlock_runner(void) {
    pthread_mutex_unlock(&all.runner);
}

void interpose_drive_threads(void) {
    interpose_lock_runner();
    all.count = 1;
    atomic_store(&drives, true);
}

void interpose_threads_end(void) {
    if (!atomic_exchange(&drives, false))
        return;
    all.waiters = NULL;
    all.sleeps = false;
    interpose_unlock_runner();
}

/* ---- who waits ------------------------------------------------------------------------------- */

/* Whoever waits looks again. */
static void begin_turn(void) {
    all.turn++;
    INTERPOSE_REAL(broadcast)(&all.changed);
}

static void await_change(void) {
    INTERPOSE_REAL(wait)(&all.changed, &all.runner);
}

static unsigned idle(void) {
    unsigned count = 0;
    for (const struct waiter *w = all.waiters; w != NULL; w = w->next)
        count += w->looked == all.turn;
    return count;
}

static bool is_settled(void) {
    return all.settling > 0 && idle() + all.settling >= all.count;
}

static void link_waiter(struct waiter *w) {
    w->next = all.waiters;
    all.waiters = w;
}

static void unlink_waiter(const struct waiter *w) {
    struct waiter **at = &all.waiters;
    while (*at != NULL && *at != w) /* interpose_threads_end has left none */
        at = &(*at)->next;
    if (*at != NULL)
        *at = w->next;
}

static uint64_t earliest(void) {
    uint64_t at = interpose_next_expiry();
    for (const struct waiter *w = all.waiters; w != NULL; w = w->next)
        at = w->deadline_ns < at ? w->deadline_ns : at;
    return at;
}

/* The signal is for one that waits by the kernel. */
static void interrupt(int error) {
    for (struct waiter *w = all.waiters; w != NULL; w = w->next)
        if (w->by_kernel && error == EINTR)
            all.interrupted = w;
}

/* All wait, and nothing is there for any of them. Returns the error by which one fails, or 0. */
static int let_something_happen(const struct interpose_hooks *hooks, uint64_t at) {
    uint64_t now = hooks->clock();
    int64_t limit_ns = at == VIRTUAL_NEVER ? -1 : at > now ? (int64_t)(at - now) : 0;
    if (!all.sleeps) {
        int error = hooks->wait_begins(limit_ns);
        all.sleeps = true;
        begin_turn();
        return error;
    }
    if (!hooks->blocked(limit_ns)) {
        if (at == VIRTUAL_NEVER)
            hooks->forever();
        hooks->advance(at + PAST_NS);
    }
    begin_turn();
    return 0;
}

/* The loop does not sleep any more; or one has asked the kernel while others were at work, or has
 * waited for as long as it wanted. Returns what its wait does. */
static int64_t tell_end(const struct interpose_hooks *hooks, const struct waiter *w,
                        int64_t ready) {
    if (!all.sleeps && !w->by_kernel && ready != 0)
        return ready;
    int error = all.sleeps ? 0 : hooks->wait_begins(0);
    if (w->by_kernel && ready == 0)
        ready = -error;
    all.sleeps = false;
    hooks->wait_ends((int)ready);
    return ready;
}

/* In the runner. Returns what `look` does, or 0. */
static int64_t await_ready(struct waiter *w) {
    const struct interpose_hooks *hooks = interpose_hooks();
    int64_t ready;
    link_waiter(w);
    begin_turn();
    for (;;) {
        interpose_expire_timers();
        bool is_signalled = all.interrupted == w;
        ready = is_signalled ? -EINTR : w->look(w->call, 0);
        if (is_signalled)
            all.interrupted = NULL;
        if (ready != 0 || (w->deadline_ns != VIRTUAL_NEVER && hooks->clock() >= w->deadline_ns))
            break;
        w->looked = all.turn;
        if (is_settled())
            INTERPOSE_REAL(broadcast)(&all.settled);
        if (idle() < all.count) {
            await_change();
            continue;
        }
        uint64_t at = earliest();
        unlink_waiter(w); /* the world may have it wait for something else */
        all.goes_on = true;
        int error = let_something_happen(hooks, at);
        all.goes_on = false;
        link_waiter(w);
        interrupt(error);
    }
    unlink_waiter(w);
    return tell_end(hooks, w, ready);
}

int64_t interpose_wait_together(int64_t timeout_ns, int64_t (*look)(void *call, int grace_ms),
                                void *call, bool by_kernel) {
    uint64_t now = interpose_hooks()->clock(), left = now < VIRTUAL_END ? VIRTUAL_END - now : 0;
    uint64_t asked = (uint64_t)timeout_ns;
    struct waiter w = {.look = look,
                       .call = call,
                       .by_kernel = by_kernel,
                       .deadline_ns =
                           timeout_ns < 0 ? VIRTUAL_NEVER : now + (asked < left ? asked : left)};
    return await_ready(&w);
}

void interpose_settle(void) {
    struct timespec end;
    if (!interpose_drives_threads() || all.goes_on)
        return;
    interpose_syscall(SYS_clock_gettime, CLOCK_REALTIME, (long)&end, 0, 0, 0, 0);
    end.tv_sec += SETTLE_MS / 1000;
    all.settling++;
    begin_turn();
    if (all.settling > 1) /* which may have been what another one waited for */
        INTERPOSE_REAL(broadcast)(&all.settled);
    while (!is_settled() && INTERPOSE_REAL(timedwait)(&all.settled, &all.runner, &end) == 0)
        continue;
    all.settling--;
}

/* ---- mutexes --------------------------------------------------------------------------------- */

static int64_t look_mutex(void *mutex, int grace_ms) {
    (void)grace_ms;
    int error = pthread_mutex_trylock(mutex);
    if (error == EBUSY)
        return 0;
    interpose_reports_nothing();
    return error == 0 ? 1 : -error;
}

/* Who unlocks it goes on, and waits in the end: then it is looked at again. */
int interpose_lock_together(pthread_mutex_t *mutex) {
    int error = pthread_mutex_trylock(mutex);
    if (error != EBUSY)
        return error;
    interpose_enter_runner();
    struct waiter w = {.look = look_mutex, .call = mutex, .deadline_ns = VIRTUAL_NEVER};
    int64_t ready = await_ready(&w);
    interpose_leave_runner();
    return ready > 0 ? 0 : (int)-ready;
}

/* ---- conditions ------------------------------------------------------------------------------ */

static struct condition_wait {
    const pthread_cond_t *condition;
    bool told;
    struct condition_wait *next;
} * condition_waits;
/* Who tells may be a thread of the runner's. Nobody who has this mutex waits for another one. */
static pthread_mutex_t conditions = PTHREAD_MUTEX_INITIALIZER;

static int64_t look_condition(void *self, int grace_ms) {
    const struct condition_wait *wait = self;
    (void)grace_ms;
    INTERPOSE_REAL(lock)(&conditions);
    bool told = wait->told;
    pthread_mutex_unlock(&conditions);
    if (told)
        interpose_reports_nothing();
    return told;
}

/* A signal is for the one that has waited longest. */
void interpose_tell_together(const pthread_cond_t *condition, bool is_for_all) {
    INTERPOSE_REAL(lock)(&conditions);
    for (struct condition_wait *w = condition_waits; w != NULL; w = w->next)
        if (w->condition == condition && !w->told) {
            w->told = true;
            if (!is_for_all)
                break;
        }
    pthread_mutex_unlock(&conditions);
}

/* Returns whether it was told, perhaps as its time had come already: then another was not. */
static bool end_condition_wait(const struct condition_wait *wait) {
    INTERPOSE_REAL(lock)(&conditions);
    struct condition_wait **at = &condition_waits;
    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    bool told = wait->told;
    pthread_mutex_unlock(&conditions);
    return told;
}

int interpose_await_together(pthread_cond_t *condition, pthread_mutex_t *mutex,
                             int64_t timeout_ns) {
    struct condition_wait wait = {.condition = condition};
    INTERPOSE_REAL(lock)(&conditions);
    struct condition_wait **at = &condition_waits;
    while (*at != NULL)
        at = &(*at)->next;
    *at = &wait;
    pthread_mutex_unlock(&conditions);
    pthread_mutex_unlock(mutex);
    interpose_enter_runner();
    (void)interpose_wait_together(timeout_ns, look_condition, &wait, false);
    interpose_leave_runner();
    bool told = end_condition_wait(&wait);
    int error = interpose_lock_together(mutex);
    return error != 0 ? error : told ? 0 : ETIMEDOUT;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

struct driven {
    void *(*start)(void *);
    void *argument;
    pthread_t thread;
    bool ended;
    struct driven *next;
};
static struct driven *driven; /* those that have not been joined; a detached one stays */

static void end_driven(void *self) {
    struct driven *of = self;
    interpose_enter_runner();
    of->ended = true;
    all.count--;
    begin_turn();
    INTERPOSE_REAL(broadcast)(&all.settled);
    interpose_leave_runner();
}

static void *run_driven(void *self) {
    struct driven *of = self;
    void *result = NULL;
    pthread_cleanup_push(end_driven, of); /* also when it calls pthread_exit */
    interpose_begin_thread();
    result = of->start(of->argument);
    pthread_cleanup_pop(1);
    return result;
}

int interpose_create_together(pthread_t *thread, const pthread_attr_t *attributes,
                              void *(*start)(void *), void *argument) {
    struct driven *of = calloc(1, sizeof *of);
    if (of == NULL)
        return EAGAIN;
    of->start = start;
    of->argument = argument;
    interpose_enter_runner();
    all.count++;
    int error = INTERPOSE_REAL(create)(&of->thread, attributes, run_driven, of);
    if (error == 0) {
        *thread = of->thread;
        of->next = driven;
        driven = of;
    } else
        all.count--;
    interpose_leave_runner();
    if (error != 0)
        free(of);
    return error;
}

static int64_t look_ended(void *self, int grace_ms) {
    const struct driven *of = self;
    (void)grace_ms;
    if (of->ended)
        interpose_reports_nothing();
    return of->ended;
}

bool interpose_join_together(pthread_t thread, void **result, int *error) {
    interpose_enter_runner();
    struct driven **at = &driven;
    while (*at != NULL && !pthread_equal((*at)->thread, thread))
        at = &(*at)->next;
    struct driven *of = *at;
    if (of != NULL) {
        *at = of->next;
        (void)interpose_wait_together(-1, look_ended, of, false);
    }
    interpose_leave_runner();
    if (of == NULL)
        return false;
    *error = INTERPOSE_REAL(join)(thread, result);
    free(of);
    return true;
}

#else
typedef int nothing_here;
#endif
