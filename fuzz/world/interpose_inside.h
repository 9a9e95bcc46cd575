/* SPDX-License-Identifier: MIT */
/* Between the two files of the interposition, interpose.c and interpose_waits.c. */
#ifndef ETALON_INTERPOSE_INSIDE_H
#define ETALON_INTERPOSE_INSIDE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#include "interpose.h"

#define EXPORT             __attribute__((visibility("default")))
#define INTERPOSE_EPOCH_NS (UINT64_C(1700000000) * 1000000000) /* of CLOCK_REALTIME: in 2023 */

#if defined(__GLIBC__)
typedef __itimer_which_t interpose_itimer;
#else
typedef int interpose_itimer;
#endif

/* The C library's, or a sanitizer's that stands before it: no name leads there any more, for the
 * name is taken here. */
struct interpose_real {
    int (*create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                  void *argument);
    int (*join)(pthread_t thread, void **result);
    int (*lock)(pthread_mutex_t *mutex);
    int (*wait)(pthread_cond_t *condition, pthread_mutex_t *mutex);
    int (*timedwait)(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *end);
    int (*clockwait)(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                     const struct timespec *end);
    int (*signal)(pthread_cond_t *condition);
    int (*broadcast)(pthread_cond_t *condition);
    pid_t (*fork)(void);
    int (*sem_wait)(sem_t *semaphore);
    int (*sem_timedwait)(sem_t *semaphore, const struct timespec *end);
    int (*timer_settime)(timer_t timer, int flags, const struct itimerspec *value,
                         struct itimerspec *old);
};
const struct interpose_real *interpose_find_real(void);
#define INTERPOSE_REAL(call) (interpose_find_real()->call)

/* A call of Linux, whatever stands behind the name syscall. */
long interpose_syscall(long number, long a, long b, long c, long d, long e, long f);

/* Whether time is virtual for the calls that come now, and whether they are also those of the
 * subject's first thread, which waits for nothing real. */
bool interpose_virtual(void);
bool interpose_in_time(void);

/* What the wait was given, for the report: the timeout, NULL: none. */
void interpose_ask(const char *call, const struct timespec *timeout);

/* A wait of the first thread. < 0: without a limit. Returns what `look` does, 0 when the time is
 * over, or -1 with errno. */
int interpose_wait(int64_t timeout_ns, int64_t (*look)(void *call, int grace_ms), void *call);

/* The wait was ended by something else than a descriptor. */
void interpose_reports_nothing(void);

/* Somebody tells of the condition. */
void interpose_tell(const pthread_cond_t *condition);

/* The first thread waits for it, without a limit, and has it now; false: time is not virtual. */
bool interpose_waits_for(pthread_cond_t *condition, pthread_mutex_t *mutex);

void interpose_waits_begin(void);

/* ---- threads that call back (interpose_threads.c) ---- */

/* Whether the subject's threads are driven, by interpose_drive_threads(). */
bool interpose_drives_threads(void);
void interpose_threads_end(void);
/* The thread that is the subject's becomes the runner's, and back. */
void interpose_enter_runner(void);
void interpose_leave_runner(void);
void interpose_lock_runner(void);
void interpose_unlock_runner(void);
/* A thread of the subject's begins. */
void interpose_begin_thread(void);
const struct interpose_hooks *interpose_hooks(void);
uint64_t interpose_next_expiry(void); /* of its timerfds, or VIRTUAL_NEVER */

/* As interpose_wait, by any of the threads, in the runner. by_kernel: a signal may end it. */
int64_t interpose_wait_together(int64_t timeout_ns, int64_t (*look)(void *call, int grace_ms),
                                void *call, bool by_kernel);
/* What a thread of the subject's calls, with the results of the C library. */
int interpose_lock_together(pthread_mutex_t *mutex);
int interpose_await_together(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t timeout_ns);
void interpose_tell_together(const pthread_cond_t *condition, bool is_for_all);
int interpose_create_together(pthread_t *thread, const pthread_attr_t *attributes,
                              void *(*start)(void *), void *argument);
/* False: it is none that was created so. */
bool interpose_join_together(pthread_t thread, void **result, int *error);

#endif
