/* SPDX-License-Identifier: MIT */
/* The system calls of the loop, by the linker's --wrap (the options are in wrap.flags).
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

#include "../driver/lockstep.h"
#include "kernel.h"
#include "../driver/torture.h"

static const struct kernel *kernel; /* NULL: no world is begun */
static struct world_observer observer;
static void *observer_self;

/* Fill the places that an observer leaves empty. */
static void tried_nothing(void *self, enum et_operation operation, int fd, const void *identity,
                          uint64_t length, int64_t offset, int flags, int64_t result) {
    (void)self, (void)operation, (void)fd, (void)identity, (void)length, (void)offset, (void)flags,
        (void)result;
}

static void controlled_nothing(void *self, int op, int fd, uint32_t events, int error,
                               uint32_t kept, bool injected) {
    (void)self, (void)op, (void)fd, (void)events, (void)error, (void)kept, (void)injected;
}

static bool waits_freely(void *self, int64_t timeout_ns) {
    (void)self, (void)timeout_ns;
    return true;
}

static bool blocked_idle(void *self) {
    (void)self;
    return false;
}

static void woken_nothing(void *self, int error) {
    (void)self, (void)error;
}

static void reported_nothing(void *self, int fd, uint32_t events, bool stale) {
    (void)self, (void)fd, (void)events, (void)stale;
}

static void created_nothing(void *self, void *thread, int error) {
    (void)self, (void)thread, (void)error;
}

static void parked_nothing(void *self, const void *condition) {
    (void)self, (void)condition;
}

static void told_nothing(void *self, const void *condition, bool all) {
    (void)self, (void)condition, (void)all;
}

static void joined_nothing(void *self, void *thread) {
    (void)self, (void)thread;
}

void wrap_begin(const struct kernel *new_kernel, const struct world_observer *new_observer,
                void *self) {
    static const struct world_observer nobody;
    observer = new_observer != NULL ? *new_observer : nobody;
    if (observer.tried == NULL)
        observer.tried = tried_nothing;
    if (observer.controlled == NULL)
        observer.controlled = controlled_nothing;
    if (observer.waits == NULL)
        observer.waits = waits_freely;
    if (observer.blocked == NULL)
        observer.blocked = blocked_idle;
    if (observer.woken == NULL)
        observer.woken = woken_nothing;
    if (observer.reported == NULL)
        observer.reported = reported_nothing;
    if (observer.created == NULL)
        observer.created = created_nothing;
    if (observer.parked == NULL)
        observer.parked = parked_nothing;
    if (observer.told == NULL)
        observer.told = told_nothing;
    if (observer.joined == NULL)
        observer.joined = joined_nothing;
    observer_self = self;
    kernel = new_kernel;
    lockstep_unreleased = 0;
    torture_begin(new_kernel);
}

void wrap_end(void) {
    kernel = NULL;
}

static int64_t answer(int64_t result) {
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static int64_t tell(enum et_operation operation, int fd, const void *identity, uint64_t length,
                    int64_t offset, int flags, int64_t result) {
    if (!kernel->own(fd))
        observer.tried(observer_self, operation, fd, identity, length, offset, flags, result);
    return answer(result);
}

/* The result of a call, unless it is the one that torture fails: then it is not made. */
#define UNLESS_TORTURED(call, fd, result)                                                          \
    ((failure = torture_fails(call, fd)) != 0 ? -(int64_t)failure : (result))

/* ---- reading, writing, sockets --------------------------------------------------------------- */

ssize_t __wrap_read(int fd, void *buffer, size_t length) {
    if (kernel == NULL)
        return __real_read(fd, buffer, length);
    int failure;
    return tell(ET_READ, fd, buffer, length, 0, 0,
                UNLESS_TORTURED(TORTURE_READ, fd, kernel->read(fd, buffer, length)));
}

ssize_t __wrap_write(int fd, const void *buffer, size_t length) {
    if (kernel == NULL)
        return __real_write(fd, buffer, length);
    if (lockstep_notifying)
        return answer(kernel->write(fd, buffer, length));
    int failure = torture_fails(TORTURE_WRITE, fd);
    /* The loop's eventfd refuses a write only when its counter is full, and is then as readable as
     * after a write. */
    int64_t result = failure == 0 || kernel->own(fd) ? kernel->write(fd, buffer, length) : 0;
    return tell(ET_WRITE, fd, buffer, length, 0, 0, failure != 0 ? -failure : result);
}

ssize_t __wrap_pread(int fd, void *buffer, size_t length, off_t offset) {
    if (kernel == NULL)
        return __real_pread(fd, buffer, length, offset);
    int failure;
    return tell(ET_PREAD, fd, buffer, length, offset, 0,
                UNLESS_TORTURED(TORTURE_PREAD, fd, kernel->pread(fd, buffer, length, offset)));
}

ssize_t __wrap_pwrite(int fd, const void *buffer, size_t length, off_t offset) {
    if (kernel == NULL)
        return __real_pwrite(fd, buffer, length, offset);
    int failure;
    return tell(ET_PWRITE, fd, buffer, length, offset, 0,
                UNLESS_TORTURED(TORTURE_PWRITE, fd, kernel->pwrite(fd, buffer, length, offset)));
}

ssize_t __wrap_send(int fd, const void *buffer, size_t length, int flags) {
    if (kernel == NULL)
        return __real_send(fd, buffer, length, flags);
    int failure;
    return tell(ET_SEND, fd, buffer, length, 0, flags,
                UNLESS_TORTURED(TORTURE_SEND, fd, kernel->send(fd, buffer, length, flags)));
}

ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags) {
    if (kernel == NULL)
        return __real_recv(fd, buffer, length, flags);
    int failure;
    return tell(ET_RECV, fd, buffer, length, 0, flags,
                UNLESS_TORTURED(TORTURE_RECV, fd, kernel->recv(fd, buffer, length, flags)));
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (kernel == NULL)
        return __real_sendmsg(fd, message, flags);
    int failure;
    return tell(ET_SENDMSG, fd, message, 0, 0, flags,
                UNLESS_TORTURED(TORTURE_SENDMSG, fd, kernel->sendmsg(fd, message, flags)));
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    if (kernel == NULL)
        return __real_recvmsg(fd, message, flags);
    int failure;
    return tell(ET_RECVMSG, fd, message, 0, 0, flags,
                UNLESS_TORTURED(TORTURE_RECVMSG, fd, kernel->recvmsg(fd, message, flags)));
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    if (kernel == NULL)
        return __real_accept4(fd, address, length, flags);
    int failure;
    uint64_t passed = length != NULL ? *length : 0;
    return (int)tell(
        ET_ACCEPT, fd, address, passed, 0, flags,
        UNLESS_TORTURED(TORTURE_ACCEPT, fd, kernel->accept4(fd, address, length, flags)));
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length) {
    if (kernel == NULL)
        return __real_connect(fd, address, length);
    int failure = torture_fails(TORTURE_CONNECT, fd);
    /* it goes on by itself: the kernel has to know */
    if (failure == EINPROGRESS || failure == EINTR) {
        world_simulated.command(&(struct command){
            .kind = COMMAND_FAIL, .call = FAULTY_CONNECT, .error = (uint16_t)failure, .value = 1});
        failure = 0;
    }
    int64_t result = failure != 0 ? -failure : kernel->connect(fd, address, length);
    return (int)tell(ET_CONNECT, fd, address, length, 0, 0, result);
}

/* The second step of a connect. Without a pending error it is getpeername that tells. */
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    if (kernel == NULL)
        return __real_getsockopt(fd, level, option, value, length);
    int failure;
    int64_t result = UNLESS_TORTURED(TORTURE_GETSOCKOPT, fd,
                                     kernel->getsockopt(fd, level, option, value, length));
    if (result < 0) { /* told as -EINPROGRESS is only what getpeername has to say */
        (void)tell(ET_CONNECT, fd, NULL, 0, 0, 0, result == -EINPROGRESS ? -EINTR : result);
        return (int)answer(result);
    }
    int pending = 0;
    if (level == SOL_SOCKET && option == SO_ERROR && *length >= sizeof pending)
        memcpy(&pending, value, sizeof pending);
    if (pending != 0)
        (void)tell(ET_CONNECT, fd, NULL, 0, 0, 0, -pending);
    return (int)result;
}

int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *length) {
    if (kernel == NULL)
        return __real_getpeername(fd, address, length);
    int failure;
    int64_t result =
        UNLESS_TORTURED(TORTURE_GETPEERNAME, fd, kernel->getpeername(fd, address, length));
    (void)tell(ET_CONNECT, fd, NULL, 0, 0, 0, result == -ENOTCONN ? -EINPROGRESS : result);
    return (int)answer(result);
}

int __wrap_shutdown(int fd, int how) {
    if (kernel == NULL)
        return __real_shutdown(fd, how);
    int failure;
    return (int)tell(ET_SHUTDOWN, fd, NULL, 0, 0, how,
                     UNLESS_TORTURED(TORTURE_SHUTDOWN, fd, kernel->shutdown(fd, how)));
}

int __wrap_close(int fd) {
    if (kernel == NULL)
        return __real_close(fd);
    bool own = kernel->own(fd); /* asked before the number is free */
    int failure = torture_fails(TORTURE_CLOSE, fd);
    int64_t result = kernel->close(fd);
    if (failure != 0 && result == 0)
        result = -failure; /* and yet the number is free */
    if (!own)
        observer.tried(observer_self, ET_CLOSE, fd, NULL, 0, 0, 0, result);
    return (int)answer(result);
}

/* ---- epoll, eventfd, the clock --------------------------------------------------------------- */

int __wrap_epoll_create1(int flags) {
    if (kernel == NULL)
        return __real_epoll_create1(flags);
    int failure;
    return (int)answer(UNLESS_TORTURED(TORTURE_EPOLL_CREATE, -1, kernel->epoll_create1(flags)));
}

int __wrap_dup3(int fd, int copy, int flags) {
    if (kernel == NULL)
        return __real_dup3(fd, copy, flags);
    int failure;
    return (int)answer(UNLESS_TORTURED(TORTURE_DUP, -1, kernel->dup3(fd, copy, flags)));
}

int __wrap_eventfd(unsigned value, int flags) {
    if (kernel == NULL)
        return __real_eventfd(value, flags);
    int failure;
    return (int)answer(UNLESS_TORTURED(TORTURE_EVENTFD, -1, kernel->eventfd(value, flags)));
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    if (kernel == NULL)
        return __real_epoll_ctl(epfd, op, fd, event);
    struct kernel_control told = {0, false};
    int failure = torture_fails(op == EPOLL_CTL_ADD   ? TORTURE_REGISTER
                                : op == EPOLL_CTL_MOD ? TORTURE_MODIFY
                                                      : TORTURE_REMOVE,
                                fd);
    int64_t result = -failure;
    if (failure != 0)
        told = (struct kernel_control){kernel->interest(epfd, fd), true};
    else
        result = kernel->epoll_ctl(epfd, op, fd, event, &told);
    if (!kernel->own(fd))
        observer.controlled(observer_self, op, fd,
                            event != NULL && op != EPOLL_CTL_DEL ? event->events : 0,
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

/* Looks until something is ready or the time is over; nothing here sleeps. */
static int wait_until_ready(int epfd, struct epoll_event *events, int max, int64_t timeout_ns,
                            struct kernel_report *reports) {
    uint64_t deadline = KERNEL_NEVER;
    uint64_t start = kernel->clock();
    if (timeout_ns >= 0)
        deadline = (uint64_t)timeout_ns <= KERNEL_HORIZON - start ? start + (uint64_t)timeout_ns
                                                                  : KERNEL_NEVER;
    for (;;) {
        int count = kernel->look(epfd, events, max, reports);
        if (count != 0 || kernel->clock() >= deadline)
            return count;
        if (observer.blocked(observer_self))
            continue;
        uint64_t expiry = kernel->next_expiry();
        if (expiry == KERNEL_NEVER && deadline == KERNEL_NEVER)
            return -EDEADLK; /* it would hang */
        kernel->advance(expiry < deadline ? expiry : deadline);
    }
}

/* How long a wait takes that torture fails. */
#define FAILED_NS 1300000

static int wait_for_events(int epfd, struct epoll_event *events, int max, int64_t timeout_ns,
                           int failure) {
    struct kernel_report reports[KERNEL_WATCHES];
    if (!observer.waits(observer_self, timeout_ns))
        return (int)answer(-EDEADLK);
    int count = -failure;
    if (max <= 0)
        count = -EINVAL;
    else if (failure != 0 &&
             torture_points() >
                 0) /* not at once, so that it shows who does not look at the clock */
        kernel->advance(kernel->clock() + (timeout_ns < 0 || timeout_ns > FAILED_NS
                                               ? FAILED_NS
                                               : (uint64_t)timeout_ns));
    else if (failure == 0)
        count = wait_until_ready(epfd, events, max < KERNEL_WATCHES ? max : KERNEL_WATCHES,
                                 timeout_ns, reports);
    observer.woken(observer_self, count < 0 ? -count : 0);
    for (int i = 0; i < count; i++)
        if (!reports[i].own)
            observer.reported(observer_self, reports[i].fd, reports[i].events, reports[i].stale);
    return (int)answer(count);
}

/* The errno that is in store for a wait. */
static int asked(enum torture_call call) {
    int failure = torture_fails(call, -1);
    return failure != 0 ? failure : kernel->asked();
}

int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout) {
    if (kernel == NULL)
        return __real_epoll_wait(epfd, events, max, timeout);
    return wait_for_events(epfd, events, max, timeout < 0 ? -1 : (int64_t)timeout * 1000000,
                           asked(TORTURE_WAIT));
}

int __wrap_epoll_pwait2(int epfd, struct epoll_event *events, int max,
                        const struct timespec *timeout, const sigset_t *mask) {
    if (kernel == NULL)
        return __real_epoll_pwait2(epfd, events, max, timeout, mask);
    int failure = asked(TORTURE_PWAIT2);
    /* an old system or sandbox: the loop will come again with epoll_wait */
    if (failure == ENOSYS || failure == EPERM)
        return (int)answer(-failure);
    int64_t timeout_ns = -1;
    if (timeout != NULL) {
        if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000)
            return (int)answer(-EINVAL);
        timeout_ns = timeout->tv_sec < INT64_MAX / 1000000000
                         ? timeout->tv_sec * 1000000000 + timeout->tv_nsec
                         : INT64_MAX;
    }
    return wait_for_events(epfd, events, max, timeout_ns, failure);
}

/* ---- threads: inside a world there are none, only participants whose steps the observer makes
 * ---- */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument) {
    if (kernel == NULL)
        return __real_pthread_create(thread, attributes, start, argument);
    int failure = torture_fails(TORTURE_THREAD, -1);
    if (failure == 0)
        failure = kernel->thread();
    if (failure == 0)
        *thread = (pthread_t)(uintptr_t)argument;
    observer.created(observer_self, argument, failure);
    return failure;
}

int __wrap_pthread_join(pthread_t thread, void **result) {
    if (kernel == NULL)
        return __real_pthread_join(thread, result);
    observer.joined(observer_self, (void *)(uintptr_t)thread);
    if (result != NULL)
        *result = NULL;
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    if (kernel == NULL)
        return __real_pthread_cond_wait(condition, mutex);
    pthread_mutex_unlock(mutex);
    observer.parked(observer_self, condition);
    return pthread_mutex_lock(mutex);
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition) {
    if (kernel == NULL)
        return __real_pthread_cond_signal(condition);
    observer.told(observer_self, condition, false);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition) {
    if (kernel == NULL)
        return __real_pthread_cond_broadcast(condition);
    observer.told(observer_self, condition, true);
    return 0;
}

/* ---- memory: only counted, and refused by torture, while a world is begun -------------------- */

static bool allocates(void) {
    if (kernel == NULL)
        return true;
    if (torture_fails(TORTURE_ALLOCATE, -1) != 0) {
        errno = ENOMEM;
        return false;
    }
    lockstep_allocations++;
    lockstep_unreleased++;
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
        lockstep_unreleased--; /* the old block */
    return __real_realloc(memory, size);
}

void __wrap_free(void *memory) {
    if (kernel != NULL && memory != NULL)
        lockstep_unreleased--;
    __real_free(memory);
}
