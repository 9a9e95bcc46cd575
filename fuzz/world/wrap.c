/* SPDX-License-Identifier: MIT */
/* The system calls of the loop, by the linker's --wrap: those of calls.def.
 * Without a world they pass through to Linux; inside one they go to its kernel (kernel.h), and
 * the observer is told of each.
 *
 * No call here sleeps while a world is begun: where the kernel would block, the observer is asked
 * to change the world, and when it has nothing more to do, time itself moves on.
 *
 * A call of a wrapped name in this file would not be wrapped; the __real_ names make that visible.
 */
#include <errno.h>
#include <string.h>

#include "kernel.h"

struct world_counts world_counts;
const struct world_failures *world_failures;

static const struct kernel *kernel; /* NULL: no world is begun */
static struct world_observer observer;
static void *observer_self;
static const struct world_failures *failures; /* of this world; NULL: no call is made to fail */

/* An observer may leave places empty. */
#define TELL(what, ...)                                                                            \
    do {                                                                                           \
        if (observer.what != NULL)                                                                 \
            observer.what(observer_self, __VA_ARGS__);                                             \
    } while (0)

void wrap_begin(const struct kernel *new_kernel, const struct world_observer *new_observer,
                void *self) {
    static const struct world_observer nobody;
    observer = new_observer != NULL ? *new_observer : nobody;
    observer_self = self;
    kernel = new_kernel;
    world_counts.unreleased = 0;
    failures = new_kernel->file != NULL ? world_failures : NULL;
    if (world_failures != NULL)
        world_failures->begun();
}

void wrap_end(void) {
    kernel = NULL;
}

static int64_t answer(int64_t result) {
    if (result >= 0)
        return result;
    errno = (int)-result;
    if (world_counts.failed == 0)
        world_counts.failed = errno;
    return -1;
}

/* A try, as the observer is told of it. */
struct trial {
    enum et_operation operation;
    const void *identity;
    uint64_t length;
    int64_t offset;
    int flags;
};

static int64_t tell(int fd, const struct trial *t, int64_t result) {
    if (!kernel->own(fd))
        TELL(tried, t->operation, fd, t->identity, t->length, t->offset, t->flags, result);
    return answer(result);
}

/* The errno with which this call is made to fail now, or 0. fd: -1 where the call has none. */
static int fails(enum world_call call, int fd) {
    if (failures == NULL)
        return 0;
    if (fd < 0)
        return failures->fails(call, WORLD_FILE_NONE, false);
    enum world_file file = kernel->file(fd);
    bool own = kernel->own(fd);
    return file != WORLD_FILE_NONE || own ? failures->fails(call, file, own) : 0;
}

/* The result of a call, unless it is made to fail: then it is not made. */
#define UNLESS_IT_FAILS(call, fd, result)                                                          \
    ((failure = fails(call, fd)) != 0 ? -(int64_t)failure : (result))

/* ---- the calls that are all alike ------------------------------------------------------------ */

#define WRAP_PLAYED(name, type, parameters, arguments, told)
#define WRAP_JUDGED(name, type, parameters, arguments, told)
#define WRAP_ANSWERED(name, type, parameters, arguments, told)                                     \
    type __wrap_##name parameters {                                                                \
        if (kernel == NULL)                                                                        \
            return __real_##name arguments;                                                        \
        int failure;                                                                               \
        return (type)answer(UNLESS_IT_FAILS(WORLD_CALL_##name, -1, kernel->name arguments));       \
    }
#define TRIAL(...)                                                                                 \
    { __VA_ARGS__ }
#define WRAP_TRIED(name, type, parameters, arguments, told)                                        \
    type __wrap_##name parameters {                                                                \
        if (kernel == NULL)                                                                        \
            return __real_##name arguments;                                                        \
        const struct trial trial = TRIAL told; /* the call may write to what it names */           \
        int failure;                                                                               \
        int64_t result = UNLESS_IT_FAILS(WORLD_CALL_##name, fd, kernel->name arguments);           \
        return (type)tell(fd, &trial, result);                                                     \
    }
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    WRAP_##way(name, result, parameters, arguments, told)
#include "calls.def"

/* ---- those that need more than that ---------------------------------------------------------- */

ssize_t __wrap_write(int fd, const void *buffer, size_t length) {
    if (kernel == NULL)
        return __real_write(fd, buffer, length);
    if (world_counts.notifying)
        return (ssize_t)answer(kernel->write(fd, buffer, length));
    int failure = fails(WORLD_CALL_write, fd);
    /* The loop's eventfd refuses a write only when its counter is full, and is then as readable as
     * after a write. */
    int64_t result = failure == 0 || kernel->own(fd) ? kernel->write(fd, buffer, length) : 0;
    return (ssize_t)tell(fd, &(struct trial){ET_WRITE, buffer, length, 0, 0},
                         failure != 0 ? -failure : result);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length) {
    if (kernel == NULL)
        return __real_connect(fd, address, length);
    int failure = fails(WORLD_CALL_connect, fd);
    /* it goes on by itself: the kernel has to know */
    if (failure == EINPROGRESS || failure == EINTR) {
        world_simulated.command(&(struct command){
            .kind = COMMAND_FAIL, .call = FAULTY_CONNECT, .error = (uint16_t)failure, .value = 1});
        failure = 0;
    }
    int64_t result = failure != 0 ? -failure : kernel->connect(fd, address, length);
    return (int)tell(fd, &(struct trial){ET_CONNECT, address, length, 0, 0}, result);
}

static const struct trial second_step = {.operation = ET_CONNECT};

/* The second step of a connect. Without a pending error it is getpeername that tells. */
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    if (kernel == NULL)
        return __real_getsockopt(fd, level, option, value, length);
    int failure;
    int64_t result = UNLESS_IT_FAILS(WORLD_CALL_getsockopt, fd,
                                     kernel->getsockopt(fd, level, option, value, length));
    if (result < 0) { /* told as -EINPROGRESS is only what getpeername has to say */
        (void)tell(fd, &second_step, result == -EINPROGRESS ? -EINTR : result);
        return (int)answer(result);
    }
    int pending = 0;
    if (level == SOL_SOCKET && option == SO_ERROR && *length >= sizeof pending)
        memcpy(&pending, value, sizeof pending);
    if (pending != 0)
        (void)tell(fd, &second_step, -pending);
    return (int)result;
}

int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *length) {
    if (kernel == NULL)
        return __real_getpeername(fd, address, length);
    int failure;
    int64_t result =
        UNLESS_IT_FAILS(WORLD_CALL_getpeername, fd, kernel->getpeername(fd, address, length));
    (void)tell(fd, &second_step, result == -ENOTCONN ? -EINPROGRESS : result);
    return (int)answer(result);
}

int __wrap_close(int fd) {
    if (kernel == NULL)
        return __real_close(fd);
    bool own = kernel->own(fd); /* asked before the number is free */
    int failure = fails(WORLD_CALL_close, fd);
    int64_t result = kernel->close(fd);
    if (failure != 0 && result == 0)
        result = -failure; /* and yet the number is free */
    if (!own)
        TELL(tried, ET_CLOSE, fd, NULL, 0, 0, 0, result);
    return (int)answer(result);
}

/* ---- epoll, eventfd, the clock --------------------------------------------------------------- */

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    if (kernel == NULL)
        return __real_epoll_ctl(epfd, op, fd, event);
    struct kernel_control told = {0, false};
    int failure = fails(op == EPOLL_CTL_ADD   ? WORLD_CALL_epoll_ctl_add
                        : op == EPOLL_CTL_MOD ? WORLD_CALL_epoll_ctl_modify
                                              : WORLD_CALL_epoll_ctl_remove,
                        fd);
    int64_t result = -failure;
    if (failure != 0)
        told = (struct kernel_control){kernel->interest(epfd, fd), true};
    else
        result = kernel->epoll_ctl(epfd, op, fd, event, &told);
    if (!kernel->own(fd))
        TELL(controlled, op, fd, event != NULL && op != EPOLL_CTL_DEL ? event->events : 0,
             result < 0 ? (int)-result : 0, told.kept, told.injected);
    return (int)answer(result);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
    if (kernel == NULL || clock != CLOCK_MONOTONIC)
        return __real_clock_gettime(clock, now);
    uint64_t clock_ns = kernel->clock();
    now->tv_sec = (time_t)(clock_ns / 1000000000u);
    now->tv_nsec = (long)(clock_ns % 1000000000u);
    return 0;
}

struct look {
    int epfd, max;
    struct epoll_event *events;
    struct kernel_report *reports;
};

static int64_t look(void *self, int grace_ms) {
    const struct look *at = self;
    (void)grace_ms;
    return kernel->look(at->epfd, at->events, at->max, at->reports);
}

static bool blocked(void *self) {
    (void)self;
    return observer.blocked != NULL && observer.blocked(observer_self);
}

static int64_t would_hang(void) {
    return -EDEADLK;
}

/* Nothing here sleeps. */
static int wait_until_ready(struct look *at, int64_t timeout_ns) {
    const struct virtual_wait wait = {.clock = kernel->clock,
                                      .look = look,
                                      .blocked = blocked,
                                      .next = kernel->next_expiry,
                                      .advance = kernel->advance,
                                      .forever = would_hang};
    uint64_t start = kernel->clock(), deadline = VIRTUAL_NEVER;
    if (timeout_ns >= 0 && (uint64_t)timeout_ns <= VIRTUAL_END - start)
        deadline = start + (uint64_t)timeout_ns;
    return (int)virtual_wait(&wait, at, deadline);
}

/* How long a wait takes that is made to fail. */
#define FAILED_NS 1300000

/* That a wait can bring: what a world can have registered, or as many as a model has room for. */
#ifdef ETALON_MANY
#define REPORTS_MAX 256
#else
#define REPORTS_MAX KERNEL_WATCHES
#endif

static int wait_for_events(int epfd, struct epoll_event *events, int max, int64_t timeout_ns,
                           int failure) {
    struct kernel_report reports[REPORTS_MAX];
    if (observer.waits != NULL && !observer.waits(observer_self, timeout_ns))
        return (int)answer(-EDEADLK);
    int count = -failure;
    if (max <= 0)
        count = -EINVAL;
    else if (failure != 0 && failures != NULL)
        /* not at once, so that it shows what does not look at the clock */
        kernel->advance(kernel->clock() + (timeout_ns < 0 || timeout_ns > FAILED_NS
                                               ? FAILED_NS
                                               : (uint64_t)timeout_ns));
    else if (failure == 0)
        count = wait_until_ready(
            &(struct look){epfd, max < REPORTS_MAX ? max : REPORTS_MAX, events, reports},
            timeout_ns);
    TELL(woken, count < 0 ? -count : 0);
    for (int i = 0; i < count; i++)
        if (!reports[i].own)
            TELL(reported, reports[i].fd, reports[i].events, reports[i].stale);
    return (int)answer(count);
}

/* The errno that is in store for a wait. */
static int asked(enum world_call call) {
    int failure = fails(call, -1);
    return failure != 0 ? failure : kernel->asked();
}

int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout) {
    if (kernel == NULL)
        return __real_epoll_wait(epfd, events, max, timeout);
    return wait_for_events(epfd, events, max, timeout < 0 ? -1 : (int64_t)timeout * 1000000,
                           asked(WORLD_CALL_epoll_wait));
}

int __wrap_epoll_pwait2(int epfd, struct epoll_event *events, int max,
                        const struct timespec *timeout, const sigset_t *mask) {
    if (kernel == NULL)
        return __real_epoll_pwait2(epfd, events, max, timeout, mask);
    int failure = asked(WORLD_CALL_epoll_pwait2);
    /* an old system or sandbox: the loop will come again with epoll_wait (ET-WAIT-6) */
    if (failure == ENOSYS || failure == EPERM || failure == EACCES || failure == EINVAL ||
        failure == ENOTSUP)
        return (int)answer(-failure);
    if (timeout != NULL &&
        (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000))
        return (int)answer(-EINVAL);
    return wait_for_events(epfd, events, max, virtual_duration(timeout), failure);
}

/* ---- threads: inside a world there are none, only participants whose steps the observer makes
 * ---- */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument) {
    if (kernel == NULL)
        return __real_pthread_create(thread, attributes, start, argument);
    int failure = fails(WORLD_CALL_pthread_create, -1);
    if (failure == 0)
        failure = kernel->thread();
    if (failure == 0)
        *thread = (pthread_t)(uintptr_t)argument;
    TELL(created, argument, failure);
    return failure;
}

int __wrap_pthread_join(pthread_t thread, void **result) {
    if (kernel == NULL)
        return __real_pthread_join(thread, result);
    TELL(joined, (void *)(uintptr_t)thread);
    if (result != NULL)
        *result = NULL;
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    if (kernel == NULL)
        return __real_pthread_cond_wait(condition, mutex);
    pthread_mutex_unlock(mutex);
    TELL(parked, condition);
    return pthread_mutex_lock(mutex);
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition) {
    if (kernel == NULL)
        return __real_pthread_cond_signal(condition);
    TELL(told, condition, false);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition) {
    if (kernel == NULL)
        return __real_pthread_cond_broadcast(condition);
    TELL(told, condition, true);
    return 0;
}

/* ---- memory: only counted, and refused where it has to fail, while a world is begun ---------- */

static bool allocates(void) {
    if (kernel == NULL)
        return true;
    if (fails(WORLD_CALL_allocation, -1) != 0) {
        (void)answer(-ENOMEM);
        return false;
    }
    world_counts.allocations++;
    world_counts.unreleased++;
    return true;
}

void *__wrap_malloc(size_t size) {
    return allocates() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size) {
    return allocates() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *memory, size_t size) {
    if (!allocates())
        return NULL;
    if (kernel != NULL && memory != NULL)
        world_counts.unreleased--; /* the old block */
    return __real_realloc(memory, size);
}

void __wrap_free(void *memory) {
    if (kernel != NULL && memory != NULL)
        world_counts.unreleased--;
    __real_free(memory);
}
