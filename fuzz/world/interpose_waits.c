/* SPDX-License-Identifier: MIT */
/* More ways in which a subject waits, under virtual time (interpose.c): on its first thread for a
 * condition, a semaphore or a signal; and any of the waits, when it asks for it by its number. What
 * takes its time from Linux all the same is remembered, so that somebody can say that such a loop
 * cannot be driven. */
#ifndef ETALON_WITHOUT_KIT

#include "interpose_inside.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

#define SECOND_NS UINT64_C(1000000000)

/* of linux/futex.h, which not every C library comes with */
#ifndef FUTEX_WAIT_PRIVATE
#define FUTEX_WAIT_PRIVATE        128
#define FUTEX_WAIT_BITSET_PRIVATE (128 | 9)
#define FUTEX_CLOCK_REALTIME      256
#endif

#define LIBRARY(name, result, parameters) result name parameters;
#include "calls.def"

static const char *undriven;

const char *interpose_undriven(void) {
    return undriven;
}

static struct timespec in_real(clockid_t clock, int64_t ns) {
    struct timespec now;
    interpose_syscall(SYS_clock_gettime, (long)clock, (long)&now, 0, 0, 0, 0);
    uint64_t end = (uint64_t)now.tv_nsec + (uint64_t)(ns > 0 ? ns : 0);
    return (struct timespec){now.tv_sec + (time_t)(end / SECOND_NS), (long)(end % SECOND_NS)};
}

/* How long it is until then. An absolute time of CLOCK_REALTIME is known by its size. */
static int64_t until(const struct timespec *end) {
    struct timespec now;
    int64_t at = virtual_duration(end);
    clock_gettime(at >= (int64_t)(INTERPOSE_EPOCH_NS / 2) ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    return at > virtual_duration(&now) ? at - virtual_duration(&now) : 0;
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* The one that the first thread waits for, and how often somebody has told of it since. Its mutex
 * is not held meanwhile: who wakes the loop up may need it. */
static struct {
    const pthread_cond_t *_Atomic condition;
    sem_t told;
    bool made;
} by_time;

void interpose_tell(const pthread_cond_t *condition) {
    if (atomic_load(&by_time.condition) == condition)
        sem_post(&by_time.told);
}

static int64_t look_semaphore(void *semaphore, int grace_ms) {
    struct timespec end = in_real(CLOCK_REALTIME, grace_ms * INT64_C(1000000));
    bool got = grace_ms > 0 ? INTERPOSE_REAL(sem_timedwait)(semaphore, &end) == 0
                            : sem_trywait(semaphore) == 0;
    if (got)
        interpose_reports_nothing();
    return got;
}

/* end: NULL: without a limit. */
static int wait_for_condition(pthread_cond_t *condition, pthread_mutex_t *mutex,
                              const struct timespec *end) {
    if (!by_time.made)
        sem_init(&by_time.told, 0, 0);
    by_time.made = true;
    while (sem_trywait(&by_time.told) == 0)
        continue;
    atomic_store(&by_time.condition, condition);
    pthread_mutex_unlock(mutex);
    int ready = interpose_wait(end == NULL ? -1 : until(end), look_semaphore, &by_time.told);
    atomic_store(&by_time.condition, NULL);
    pthread_mutex_lock(mutex);
    return ready == 0 ? ETIMEDOUT : 0; /* after a signal: as if for no reason, as it may be */
}

bool interpose_waits_for(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    if (!interpose_in_time())
        return false;
    undriven = "it waits for a condition without a limit";
    interpose_ask("pthread_cond_wait", NULL);
    (void)wait_for_condition(condition, mutex, NULL);
    undriven = NULL;
    return true;
}

/* Of another thread: it waits in real time for as long as is left of virtual time. */
EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict condition,
                                  pthread_mutex_t *restrict mutex,
                                  const struct timespec *restrict end) {
    if (!interpose_virtual())
        return INTERPOSE_REAL(timedwait)(condition, mutex, end);
    if (interpose_in_time() && interpose_drives_threads())
        return interpose_await_together(condition, mutex, until(end));
    if (interpose_in_time()) {
        interpose_ask("pthread_cond_timedwait", end);
        return wait_for_condition(condition, mutex, end);
    }
    bool has_clock = INTERPOSE_REAL(clockwait) != NULL;
    struct timespec real_end = in_real(has_clock ? CLOCK_MONOTONIC : CLOCK_REALTIME, until(end));
    return has_clock ? INTERPOSE_REAL(clockwait)(condition, mutex, CLOCK_MONOTONIC, &real_end)
                     : INTERPOSE_REAL(timedwait)(condition, mutex, &real_end);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *restrict condition,
                                  pthread_mutex_t *restrict mutex, clockid_t clock,
                                  const struct timespec *restrict end) {
    if (!interpose_virtual())
        return INTERPOSE_REAL(clockwait)(condition, mutex, clock, end);
    return pthread_cond_timedwait(condition, mutex, end);
}

/* ---- semaphores ------------------------------------------------------------------------------ */

static int wait_for_semaphore(sem_t *semaphore, const struct timespec *end) {
    int ready = interpose_wait(end == NULL ? -1 : until(end), look_semaphore, semaphore);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0 ? 0 : -1;
}

EXPORT int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict end) {
    if (!interpose_in_time())
        return INTERPOSE_REAL(sem_timedwait)(semaphore, end);
    interpose_ask("sem_timedwait", end);
    return wait_for_semaphore(semaphore, end);
}

EXPORT int sem_wait(sem_t *semaphore) {
    if (!interpose_in_time())
        return INTERPOSE_REAL(sem_wait)(semaphore);
    if (!interpose_drives_threads())
        undriven = "it waits for a semaphore without a limit";
    interpose_ask("sem_wait", NULL);
    int result = wait_for_semaphore(semaphore, NULL);
    undriven = NULL;
    return result;
}

/* ---- signals --------------------------------------------------------------------------------- */

struct signal_call {
    const sigset_t *set;
    siginfo_t *info;
};

static int64_t look_signals(void *self, int grace_ms) {
    const struct signal_call *call = self;
    struct timespec limit = {grace_ms / 1000, grace_ms % 1000 * 1000000L};
    long number = interpose_syscall(SYS_rt_sigtimedwait, (long)call->set, (long)call->info,
                                    (long)&limit, 8, 0, 0);
    if (number > 0)
        interpose_reports_nothing();
    return number < 0 ? errno == EAGAIN ? 0 : -errno : number;
}

EXPORT int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info,
                        const struct timespec *restrict timeout) {
    struct signal_call call = {set, info};
    if (!interpose_in_time())
        return (int)interpose_syscall(SYS_rt_sigtimedwait, (long)set, (long)info, (long)timeout, 8,
                                      0, 0);
    interpose_ask("sigtimedwait", timeout);
    int number =
        interpose_wait(timeout == NULL ? -1 : virtual_duration(timeout), look_signals, &call);
    if (number == 0)
        errno = EAGAIN;
    return number > 0 ? number : -1;
}

EXPORT int sigwaitinfo(const sigset_t *restrict set, siginfo_t *restrict info) {
    return sigtimedwait(set, info, NULL);
}

EXPORT int sigwait(const sigset_t *restrict set, int *restrict number) {
    int kept = errno, got;
    while ((got = sigtimedwait(set, NULL, NULL)) < 0 && errno == EINTR)
        continue;
    int error = got < 0 ? errno : 0;
    errno = kept;
    if (got > 0)
        *number = got;
    return error;
}

/* ---- timers that are Linux's own ------------------------------------------------------------- */

EXPORT int timer_settime(timer_t timer, int flags, const struct itimerspec *restrict value,
                         struct itimerspec *restrict old) {
    if (interpose_in_time())
        undriven = "its timers are those of timer_settime";
    return INTERPOSE_REAL(timer_settime)(timer, flags, value, old);
}

EXPORT int setitimer(interpose_itimer which, const struct itimerval *restrict value,
                     struct itimerval *restrict old) {
    if (interpose_in_time() && (int)which == ITIMER_REAL)
        undriven = "its timers are those of setitimer";
    return (int)interpose_syscall(SYS_setitimer, (long)which, (long)value, (long)old, 0, 0, 0);
}

EXPORT unsigned alarm(unsigned seconds) {
    struct itimerval value = {{0, 0}, {(time_t)seconds, 0}}, old = {{0, 0}, {0, 0}};
    (void)setitimer(ITIMER_REAL, &value, &old);
    return (unsigned)old.it_value.tv_sec + (old.it_value.tv_usec > 0);
}

/* ---- by number ------------------------------------------------------------------------------- */

struct futex_call {
    const _Atomic uint32_t *word;
    uint32_t value;
};

static int64_t look_futex(void *self, int grace_ms) {
    const struct futex_call *call = self;
    struct timespec limit = {grace_ms / 1000, grace_ms % 1000 * 1000000L};
    long result = atomic_load(call->word) != call->value
                      ? (errno = EAGAIN, -1)
                      : interpose_syscall(SYS_futex, (long)call->word, FUTEX_WAIT_PRIVATE,
                                          (long)call->value, (long)&limit, 0, 0);
    interpose_reports_nothing();
    return result == 0 ? 1 : errno == ETIMEDOUT ? 0 : -errno;
}

/* False: it is no wait that can be driven. */
static bool is_futex_wait(int operation) {
    operation &= ~FUTEX_CLOCK_REALTIME;
    return operation == FUTEX_WAIT_PRIVATE || operation == FUTEX_WAIT_BITSET_PRIVATE;
}

static long wait_for_futex(const long a[6]) {
    struct futex_call call = {(const _Atomic uint32_t *)a[0], (uint32_t)a[2]};
    const struct timespec *timeout = (const struct timespec *)a[3];
    bool relative = ((int)a[1] & ~FUTEX_CLOCK_REALTIME) == FUTEX_WAIT_PRIVATE;
    interpose_ask("futex", timeout);
    if (timeout == NULL && !interpose_drives_threads())
        undriven = "it waits for a futex without a limit";
    int ready = interpose_wait(timeout == NULL ? -1
                               : relative      ? virtual_duration(timeout)
                                               : until(timeout),
                               look_futex, &call);
    undriven = NULL;
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0 ? 0 : -1;
}

static long sleep_by_number(const long a[6]) {
    int error = clock_nanosleep((clockid_t)a[0], (int)a[1], (const struct timespec *)a[2],
                                (struct timespec *)a[3]);
    if (error != 0)
        errno = error;
    return error == 0 ? 0 : -1;
}

static long select_by_number(const long a[6]) {
    const struct {
        const sigset_t *mask;
        size_t size;
    } *both = (const void *)a[5];
    return pselect((int)a[0], (fd_set *)a[1], (fd_set *)a[2], (fd_set *)a[3],
                   (const struct timespec *)a[4], both != NULL ? both->mask : NULL);
}

/* The calls for time and waiting, as if they had been made by their names. */
static long by_name(long number, const long a[6]) {
    switch (number) {
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
        return epoll_wait((int)a[0], (struct epoll_event *)a[1], (int)a[2], (int)a[3]);
#endif
    case SYS_epoll_pwait:
        return epoll_pwait((int)a[0], (struct epoll_event *)a[1], (int)a[2], (int)a[3],
                           (const sigset_t *)a[4]);
    case SYS_epoll_pwait2:
        return epoll_pwait2((int)a[0], (struct epoll_event *)a[1], (int)a[2],
                            (const struct timespec *)a[3], (const sigset_t *)a[4]);
#ifdef SYS_poll
    case SYS_poll: return poll((struct pollfd *)a[0], (nfds_t)a[1], (int)a[2]);
#endif
    case SYS_ppoll:
        return ppoll((struct pollfd *)a[0], (nfds_t)a[1], (const struct timespec *)a[2],
                     (const sigset_t *)a[3]);
#ifdef SYS_select
    case SYS_select:
        return select((int)a[0], (fd_set *)a[1], (fd_set *)a[2], (fd_set *)a[3],
                      (struct timeval *)a[4]);
#endif
    case SYS_pselect6: return select_by_number(a);
    case SYS_nanosleep: return nanosleep((const struct timespec *)a[0], (struct timespec *)a[1]);
    case SYS_clock_nanosleep: return sleep_by_number(a);
    case SYS_clock_gettime: return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
    case SYS_gettimeofday: return gettimeofday((struct timeval *)a[0], (void *)a[1]);
    case SYS_timerfd_create: return timerfd_create((int)a[0], (int)a[1]);
    case SYS_timerfd_settime:
        return timerfd_settime((int)a[0], (int)a[1], (const struct itimerspec *)a[2],
                               (struct itimerspec *)a[3]);
    case SYS_timerfd_gettime: return timerfd_gettime((int)a[0], (struct itimerspec *)a[1]);
    case SYS_rt_sigtimedwait:
        return sigtimedwait((const sigset_t *)a[0], (siginfo_t *)a[1],
                            (const struct timespec *)a[2]);
    case SYS_close: return close((int)a[0]);
    case SYS_accept4:
        return accept4((int)a[0], (struct sockaddr *)a[1], (socklen_t *)a[2], (int)a[3]);
    case SYS_connect: return connect((int)a[0], (const struct sockaddr *)a[1], (socklen_t)a[2]);
    case SYS_futex: return wait_for_futex(a);
    default: return interpose_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}

/* The tool's own calls are those of Linux: each file of it may make some. */
static bool by_the_tool(const void *caller) {
    extern const char __executable_start, etext;
    return (const char *)caller >= &__executable_start && (const char *)caller < &etext;
}

/* As the C library's own, it takes six words, of which the caller may have given fewer. */
__attribute__((no_sanitize("address"))) EXPORT long syscall(long number, ...) {
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (unsigned i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    bool virtual = interpose_in_time() && !by_the_tool(__builtin_return_address(0)) &&
                   (number != SYS_futex || is_futex_wait((int)a[1]));
    return virtual ? by_name(number, a)
                   : interpose_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void interpose_waits_begin(void) {
    undriven = NULL;
    atomic_store(&by_time.condition, NULL);
}

#else
typedef int nothing_here;
#endif
