/* SPDX-License-Identifier: MIT */
/* The calls of a subject that reach Linux through the C library's names (interpose.h). The tool
 * exports these definitions (calls.def names them), and a shared object that is loaded into
 * it binds to them instead of the C library's.
 *
 * The tool itself comes here too: for it, and for every thread but the first, each call is what it
 * always is. A call of the kernel is made by syscall() here, since the C library's own function is
 * this one. */
#ifndef ETALON_WITHOUT_KIT

#include "interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "interpose_inside.h"
#include "kernel.h"

#define SECOND_NS UINT64_C(1000000000)
/* time lands a little after a deadline: some loops spin when it lands exactly on it */
#define PAST_NS 1000
/* CLOCK_REALTIME is set with each wait, forth and back by hours: no law of a loop speaks of it. */
static const uint64_t wall_clock_ahead_ns[] = {0, 10800 * SECOND_NS, 3600 * SECOND_NS};
#define GRACE_MS 300 /* for other threads of the subject, before a wait counts as one for ever */

static enum interpose_mode mode;
static struct interpose_hooks hooks;
static _Thread_local bool inside;
static _Thread_local bool first_thread, driven_thread;

struct participant {
    bool used, ended;
    pthread_t thread;
    void *(*start)(void *);
    void *argument, *result;
    sem_t go, halted;
    bool away;                       /* in the runner's code, whose calls are not the subject's */
    bool calling;                    /* between INTERPOSE_CALL and INTERPOSE_CALLED */
    bool at_locks;                   /* it is to stop there */
    const pthread_cond_t *condition; /* that it waits for, until it is told of it; or NULL */
    enum interpose_stop stop;
    struct interpose_call call;
};
static struct participant participants[INTERPOSE_THREADS_MAX];
static bool participants_wanted;
static const pthread_cond_t *awaited;        /* by the first thread, likewise */
static _Thread_local struct participant *me; /* NULL: this thread is none */

static struct {
    int epfd; /* -1: a poll, of `fd` */
    int fd;
    struct epoll_event event;
    bool is_full;
} report; /* the first of the last wait that had one; whether the last may have left some out */

static struct virtual_timers timers; /* the subject's timerfds */
static unsigned wall_clock_set;      /* how often */

void interpose_begin(enum interpose_mode new_mode, const struct interpose_hooks *new_hooks) {
    interpose_threads_end();
    mode = new_mode;
    memset(&hooks, 0, sizeof hooks);
    if (new_hooks != NULL)
        hooks = *new_hooks;
    first_thread = true;
    inside = false;
    timers.count = 0;
    wall_clock_set = 0;
    report.epfd = report.fd = -1;
    participants_wanted = false;
    awaited = NULL;
    interpose_waits_begin();
}

void interpose_enter_runner(void) {
    if (interpose_drives_threads())
        interpose_lock_runner();
    inside = false;
}

void interpose_leave_runner(void) {
    inside = true;
    if (interpose_drives_threads())
        interpose_unlock_runner();
}

void interpose_begin_thread(void) {
    inside = driven_thread = true;
}

bool interpose_is_first(void) {
    return first_thread;
}

const struct interpose_hooks *interpose_hooks(void) {
    return &hooks;
}

bool interpose_inside(bool now) {
    bool before = inside;
    if (before && !now) {
        interpose_enter_runner();
        if (first_thread)
            interpose_settle(); /* what the call has made others do */
    } else if (!before && now)
        interpose_leave_runner();
    return before;
}

void interpose_asked(bool before) {
    if (inside && !before)
        interpose_enter_runner();
}

static bool by_subject(enum interpose_mode wanted) {
    return mode == wanted && inside && (first_thread || driven_thread);
}

/* … by one of several threads, which wait for each other. */
static bool together(void) {
    return interpose_drives_threads() && by_subject(INTERPOSE_TIME);
}

static bool participates(void) {
    return me != NULL && !me->away;
}

static void await(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0)
        continue;
}

/* By a participant: the first thread goes on, until it lets this one. */
static void halt(enum interpose_stop stop) {
    me->stop = stop;
    sem_post(&me->halted);
    await(&me->go);
}

/* The call that comes next is one of those that a pool's thread makes. */
static void halt_before(enum et_operation operation, int fd, uintptr_t identity) {
    if (!participates())
        return;
    me->call = (struct interpose_call){operation, fd, (const void *)identity};
    me->calling = true;
    halt(INTERPOSE_CALL);
}

static bool enter_world(void) {
    bool enters = by_subject(INTERPOSE_WORLD) || participates();
    if (enters && me != NULL)
        me->away = true;
    else if (enters)
        inside = false;
    return enters;
}

static void leave_world(void) {
    int kept = errno;
    if (me == NULL) {
        inside = true;
        return;
    }
    if (me->calling)
        halt(INTERPOSE_CALLED);
    me->calling = me->away = false;
    errno = kept;
}

/* The world's own calls are not the subject's. */
#define IN_WORLD(type, call)                                                                       \
    if (enter_world()) {                                                                           \
        type answer = (call);                                                                      \
        leave_world();                                                                             \
        return answer;                                                                             \
    }

/* accept, connect and close of a program's descriptor change what its world knows. */
#define OF_PROGRAM(type, fd, call)                                                                 \
    if (by_subject(INTERPOSE_TIME) && hooks.of_program(fd)) {                                      \
        interpose_enter_runner();                                                                  \
        type answer = (call);                                                                      \
        interpose_leave_runner();                                                                  \
        return answer;                                                                             \
    }

/* musl has macros of these names, which are the other names' calls. */
#undef pread64
#undef pwrite64

/* Each has the type that the C library gives it, and those that no header names have one. */
#define LIBRARY(name, result, parameters) result name parameters;
#include "calls.def"

/* ---- the calls that go to the world or to Linux ---------------------------------------------- */

#define SYS_pread  SYS_pread64
#define SYS_pwrite SYS_pwrite64

#define PLAIN(...)                         __VA_ARGS__
#define OF_TRIAL(operation, identity, ...) operation, fd, (uintptr_t)(identity)
#define DEFINE_OWN(name, type, parameters, arguments, told)
#define DEFINE_HIDDEN(name, type, parameters, arguments, told)
#define DEFINE_PASSED(name, type, parameters, arguments, told)                                     \
    EXPORT type name parameters {                                                                  \
        IN_WORLD(type, __wrap_##name arguments)                                                    \
        return (type)syscall(SYS_##name, PLAIN arguments);                                         \
    }
#define DEFINE_STEPPED(name, type, parameters, arguments, told)                                    \
    EXPORT type name parameters {                                                                  \
        halt_before(OF_TRIAL told);                                                                \
        IN_WORLD(type, __wrap_##name arguments)                                                    \
        return (type)syscall(SYS_##name, PLAIN arguments);                                         \
    }
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    DEFINE_##exported(name, result, parameters, arguments, told)
#include "calls.def"

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    IN_WORLD(int, __wrap_epoll_ctl(epfd, op, fd, event))
    bool told = by_subject(INTERPOSE_TIME) && hooks.controls != NULL && hooks.of_program(fd);
    uint32_t events = event != NULL && op != EPOLL_CTL_DEL ? event->events : 0;
    if (told)
        interpose_enter_runner();
    int error = told ? hooks.controls(fd, events) : 0;
    int result = error == 0 ? (int)syscall(SYS_epoll_ctl, epfd, op, fd, event) : -1;
    if (error == 0)
        error = errno;
    if (told && result == 0)
        hooks.controlled(fd, events);
    if (told)
        interpose_leave_runner();
    errno = error;
    return result;
}

EXPORT int getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    IN_WORLD(int, __wrap_getsockopt(fd, level, option, value, length))
    int error, result = (int)syscall(SYS_getsockopt, fd, level, option, value, length);
    if (result != 0 || level != SOL_SOCKET || option != SO_ERROR || *length != sizeof error)
        return result;
    memcpy(&error, value, sizeof error);
    if (error != 0 && by_subject(INTERPOSE_TIME) && hooks.took_error != NULL &&
        hooks.of_program(fd)) {
        interpose_enter_runner();
        hooks.took_error(fd, error);
        interpose_leave_runner();
    }
    return result;
}

EXPORT int eventfd(unsigned value, int flags) {
    IN_WORLD(int, __wrap_eventfd(value, flags))
    return (int)syscall(SYS_eventfd2, value, flags);
}

/* What a library calls that was compiled with _FORTIFY_SOURCE: with the size of the buffer, which
 * the caller answers for here. */
static void must_fit(size_t length, size_t size) {
    if (length > size)
        abort(); /* as the C library does */
}

EXPORT ssize_t __read_chk(int fd, void *buffer, size_t length, size_t size) {
    must_fit(length, size);
    return read(fd, buffer, length);
}

EXPORT ssize_t pread64(int fd, void *buffer, size_t length, off_t offset) {
    return pread(fd, buffer, length, offset);
}

EXPORT ssize_t __pread_chk(int fd, void *buffer, size_t length, off_t offset, size_t size) {
    must_fit(length, size);
    return pread(fd, buffer, length, offset);
}

EXPORT ssize_t __pread64_chk(int fd, void *buffer, size_t length, off_t offset, size_t size) {
    return __pread_chk(fd, buffer, length, offset, size);
}

EXPORT ssize_t pwrite64(int fd, const void *buffer, size_t length, off_t offset) {
    return pwrite(fd, buffer, length, offset);
}

EXPORT ssize_t send(int fd, const void *buffer, size_t length, int flags) {
    IN_WORLD(ssize_t, __wrap_send(fd, buffer, length, flags))
    return syscall(SYS_sendto, fd, buffer, length, flags, NULL, 0);
}

EXPORT ssize_t recv(int fd, void *buffer, size_t length, int flags) {
    IN_WORLD(ssize_t, __wrap_recv(fd, buffer, length, flags))
    return syscall(SYS_recvfrom, fd, buffer, length, flags, NULL, NULL);
}

/* Without an address it is the same call. */
EXPORT ssize_t recvfrom(int fd, void *restrict buffer, size_t length, int flags,
                        struct sockaddr *restrict address, socklen_t *restrict address_length) {
    if (address == NULL)
        return recv(fd, buffer, length, flags);
    return syscall(SYS_recvfrom, fd, buffer, length, flags, address, address_length);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buffer, size_t length, size_t size, int flags,
                              struct sockaddr *restrict address,
                              socklen_t *restrict address_length) {
    must_fit(length, size);
    return recvfrom(fd, buffer, length, flags, address, address_length);
}

EXPORT ssize_t sendto(int fd, const void *buffer, size_t length, int flags,
                      const struct sockaddr *address, socklen_t address_length) {
    if (address == NULL)
        return send(fd, buffer, length, flags);
    return syscall(SYS_sendto, fd, buffer, length, flags, address, address_length);
}

EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t size, int flags) {
    must_fit(length, size);
    return recv(fd, buffer, length, flags);
}

EXPORT int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length,
                   int flags) {
    IN_WORLD(int, __wrap_accept4(fd, address, length, flags))
    OF_PROGRAM(int, fd, __wrap_accept4(fd, address, length, flags))
    return (int)syscall(SYS_accept4, fd, address, length, flags);
}

EXPORT int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict length) {
    return accept4(fd, address, length, 0);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length) {
    IN_WORLD(int, __wrap_connect(fd, address, length))
    OF_PROGRAM(int, fd, __wrap_connect(fd, address, length))
    return (int)syscall(SYS_connect, fd, address, length);
}

EXPORT int close(int fd) {
    halt_before(ET_CLOSE, fd, 0);
    IN_WORLD(int, __wrap_close(fd))
    OF_PROGRAM(int, fd, __wrap_close(fd))
    bool enters = together();
    if (enters)
        interpose_enter_runner();
    virtual_timer_forget(&timers, fd);
    if (enters)
        interpose_leave_runner();
    return (int)syscall(SYS_close, fd);
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool virtual_time(void) {
    return mode == INTERPOSE_TIME && (inside || !first_thread);
}

/* What CLOCK_REALTIME says when the virtual clock says 0. */
static uint64_t epoch(void) {
    size_t times = sizeof wall_clock_ahead_ns / sizeof *wall_clock_ahead_ns;
    return INTERPOSE_EPOCH_NS + wall_clock_ahead_ns[wall_clock_set % times];
}

/* A timerfd that waits for an hour of the day goes by the new time. */
static void set_wall_clock(void) {
    uint64_t before = epoch();
    wall_clock_set++;
    for (unsigned i = 0; i < timers.count; i++) {
        struct virtual_timer *t = &timers.timer[i];
        if (t->by_day && t->expiry != VIRTUAL_NEVER)
            t->expiry = t->expiry + before > epoch() ? t->expiry + before - epoch() : 0;
    }
}

bool interpose_virtual(void) {
    return virtual_time();
}

bool interpose_in_time(void) {
    return by_subject(INTERPOSE_TIME);
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *now) {
    IN_WORLD(int, __wrap_clock_gettime(clock, now))
    if (!virtual_time() || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
        return (int)syscall(SYS_clock_gettime, clock, now);
    bool enters = together();
    if (enters)
        interpose_enter_runner();
    if ((first_thread || driven_thread) && hooks.clock_is_read != NULL)
        hooks.clock_is_read();
    uint64_t ns = hooks.clock();
    if (enters)
        interpose_leave_runner();
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
        ns += epoch();
    *now = (struct timespec){(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
    return 0;
}

EXPORT int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    if (result == 0)
        *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
    return result;
}

EXPORT time_t time(time_t *there) {
    struct timespec precise = {0};
    clock_gettime(CLOCK_REALTIME, &precise);
    if (there != NULL)
        *there = precise.tv_sec;
    return precise.tv_sec;
}

/* ---- timerfd --------------------------------------------------------------------------------- */

bool interpose_is_timer(int fd) {
    return virtual_timer_of(&timers, fd) != NULL;
}

EXPORT int timerfd_create(int clock, int flags) {
    int fd = (int)syscall(SYS_timerfd_create, clock, flags);
    bool enters = together();
    if (fd < 0 || !by_subject(INTERPOSE_TIME))
        return fd;
    if (enters)
        interpose_enter_runner();
    if (virtual_timer_add(&timers, fd) &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM))
        virtual_timer_of(&timers, fd)->wall = true;
    if (enters)
        interpose_leave_runner();
    return fd;
}

void interpose_expire_timers(void) {
    (void)virtual_timers_expire(&timers, hooks.clock());
}

static void remaining(const struct virtual_timer *t, struct itimerspec *value) {
    uint64_t now = hooks.clock(), left = t->expiry == VIRTUAL_NEVER ? 0
                                         : t->expiry > now          ? t->expiry - now
                                                                    : 1;
    value->it_value = (struct timespec){(time_t)(left / SECOND_NS), (long)(left % SECOND_NS)};
    value->it_interval =
        (struct timespec){(time_t)(t->interval / SECOND_NS), (long)(t->interval % SECOND_NS)};
}

static void set_timer(struct virtual_timer *t, int flags, const struct itimerspec *value,
                      struct itimerspec *old) {
    if (old != NULL)
        remaining(t, old);
    uint64_t at = (uint64_t)virtual_duration(&value->it_value), now = hooks.clock(), expiry;
    uint64_t zero = t->wall ? epoch() : 0;
    if (at == 0)
        expiry = VIRTUAL_NEVER;
    else if (at >= VIRTUAL_END)
        expiry = VIRTUAL_NEVER - PAST_NS;
    else if ((flags & TFD_TIMER_ABSTIME) != 0)
        expiry = at > zero ? at - zero : 0;
    else
        expiry = at < VIRTUAL_NEVER - now - PAST_NS ? now + at : VIRTUAL_NEVER - PAST_NS;
    t->by_day = t->wall && (flags & TFD_TIMER_ABSTIME) != 0;
    virtual_timer_arm(&timers, t, expiry, (uint64_t)virtual_duration(&value->it_interval));
    interpose_expire_timers();
}

EXPORT int timerfd_settime(int fd, int flags, const struct itimerspec *value,
                           struct itimerspec *old) {
    bool enters = together(), mine = by_subject(INTERPOSE_TIME);
    if (enters)
        interpose_enter_runner();
    struct virtual_timer *t = mine && value != NULL ? virtual_timer_of(&timers, fd) : NULL;
    if (t != NULL)
        set_timer(t, flags, value, old);
    if (enters)
        interpose_leave_runner();
    return t != NULL ? 0 : (int)syscall(SYS_timerfd_settime, fd, flags, value, old);
}

EXPORT int timerfd_gettime(int fd, struct itimerspec *value) {
    bool enters = together(), mine = by_subject(INTERPOSE_TIME);
    if (enters)
        interpose_enter_runner();
    const struct virtual_timer *t = mine ? virtual_timer_of(&timers, fd) : NULL;
    if (t != NULL)
        remaining(t, value);
    if (enters)
        interpose_leave_runner();
    return t != NULL ? 0 : (int)syscall(SYS_timerfd_gettime, fd, value);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int64_t outcome(long result) {
    return result < 0 ? -errno : result;
}

bool interpose_other_threads(void) {
    struct stat tasks;
    return stat("/proc/self/task", &tasks) != 0 ||
           tasks.st_nlink > 3; /* ".", "..", and one for each */
}

void interpose_grace(void) {
    struct timespec time = {0, GRACE_MS * 1000000L};
    syscall(SYS_ppoll, NULL, 0, &time, NULL, 0);
}

static bool others(bool at_the_end) {
    return (at_the_end || hooks.looks_unlawful()) && interpose_other_threads();
}

/* What the outermost of its calls was given; those that it is made of come after it. */
static _Thread_local char wait_asked[80];
static char wait_made[80];

const char *interpose_wait_call(void) {
    return wait_made;
}

static void ask(const char *call, const char *timeout_format, ...) {
    if (!by_subject(INTERPOSE_TIME) || wait_asked[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, timeout_format);
    int length = snprintf(wait_asked, sizeof wait_asked, "%s(timeout = ", call);
    vsnprintf(wait_asked + length, sizeof wait_asked - (size_t)length - 1, timeout_format,
              arguments);
    va_end(arguments);
    strcat(wait_asked, ")");
}

static void ask_for(const char *call, const struct timespec *timeout) {
    if (timeout == NULL)
        ask(call, "NULL");
    else
        ask(call, "{%lld, %ld}", (long long)timeout->tv_sec, timeout->tv_nsec);
}

void interpose_ask(const char *call, const struct timespec *timeout) {
    ask_for(call, timeout);
}

/* A wait of whatever kind. */
struct subject_wait {
    int64_t timeout_ns;
    int64_t (*look)(void *call, int grace_ms);
    void *call;
    int epfd;
};

static int64_t look_again(void *self, int grace_ms) {
    const struct subject_wait *wait = self;
    interpose_expire_timers(); /* the program may have moved the clock */
    return wait->look(wait->call, grace_ms);
}

static bool blocked(void *self) {
    return hooks.blocked(((const struct subject_wait *)self)->timeout_ns);
}

static uint64_t next_expiry(void) {
    return virtual_timers_next(&timers);
}

uint64_t interpose_next_expiry(void) {
    return next_expiry();
}

static void advance(uint64_t clock_ns) {
    hooks.advance(clock_ns + PAST_NS);
}

static int64_t forever(void) {
    hooks.forever();
    return -EDEADLK; /* not reached */
}

/* Without taking what an edge-triggered registration tells once. */
static bool is_ready(const struct subject_wait *wait) {
    const uint64_t at_once[2] = {0};
    struct pollfd p = {.fd = wait->epfd, .events = POLLIN};
    if (wait->epfd < 0)
        return wait->look(wait->call, 0) != 0;
    return syscall(SYS_ppoll, &p, 1, at_once, NULL, 8) != 0;
}

/* A signal comes when half of the time has passed, where the wait sleeps: so whoever waits again as
 * long as before waits too long. */
static void let_half_pass(const struct subject_wait *wait) {
    uint64_t now = hooks.clock(), half = (uint64_t)wait->timeout_ns / 2;
    if (wait->timeout_ns <= 0 || half >= VIRTUAL_END - now || next_expiry() <= now + half ||
        interpose_other_threads() || is_ready(wait))
        return;
    hooks.advance(now + half);
}

static int64_t look_nowhere(void *self, int timeout_ms);
static int64_t look_poll(void *self, int timeout_ms);
static int64_t look_select(void *self, int timeout_ms);

/* One of several threads waits. */
static int64_t wait_with_others(int64_t timeout_ns, int64_t (*look)(void *call, int grace_ms),
                                void *call, int epfd) {
    bool by_kernel = epfd >= 0 || look == look_poll || look == look_select || look == look_nowhere;
    interpose_enter_runner();
    memcpy(wait_made, wait_asked, sizeof wait_made);
    wait_asked[0] = '\0';
    int64_t ready = interpose_wait_together(timeout_ns, look, call, by_kernel);
    set_wall_clock();
    interpose_leave_runner();
    return ready;
}

/* Returns what `look` does, or -1 with errno. epfd: -1 for what is no wait on an epoll instance. */
static int wait_virtually(int64_t timeout_ns, int64_t (*look)(void *call, int grace_ms), void *call,
                          int epfd) {
    const struct virtual_wait wait = {hooks.clock, look_again, blocked, next_expiry,
                                      advance,     forever,    others,  GRACE_MS};
    struct subject_wait self = {timeout_ns, look, call, epfd};
    if (together()) {
        int64_t ready = wait_with_others(timeout_ns, look, call, epfd);
        errno = ready < 0 ? (int)-ready : errno;
        return ready < 0 ? -1 : (int)ready;
    }
    uint64_t begun = hooks.clock();
    uint64_t left = begun < VIRTUAL_END ? VIRTUAL_END - begun : 0, asked = (uint64_t)timeout_ns;
    uint64_t deadline = timeout_ns < 0 ? VIRTUAL_NEVER : begun + (asked < left ? asked : left);
    inside = false;
    memcpy(wait_made, wait_asked, sizeof wait_made);
    wait_asked[0] = '\0';
    int64_t ready = -hooks.wait_begins(timeout_ns);
    if (ready == 0)
        ready = virtual_wait(&wait, &self, deadline);
    else if (ready == -EINTR)
        let_half_pass(&self);
    set_wall_clock();
    hooks.wait_ends((int)ready);
    inside = true;
    if (ready >= 0)
        return (int)ready;
    errno = (int)-ready;
    return -1;
}

int interpose_wait(int64_t timeout_ns, int64_t (*look)(void *call, int grace_ms), void *call) {
    return wait_virtually(timeout_ns, look, call, -1);
}

void interpose_reports_nothing(void) {
    report.epfd = report.fd = -1;
    report.is_full = false;
}

bool interpose_is_full(void) {
    return report.is_full;
}

struct epoll_call {
    int epfd, max;
    struct epoll_event *events;
    const sigset_t *mask;
};

static int64_t look_epoll(void *self, int timeout_ms) {
    struct epoll_call *call = self;
    int64_t ready = outcome(
        syscall(SYS_epoll_pwait, call->epfd, call->events, call->max, timeout_ms, call->mask, 8));
    report.is_full = ready == call->max;
    if (ready > 0) {
        report.epfd = call->epfd;
        report.event = call->events[0];
    }
    return ready;
}

/* The kernel says which number a registration has, also when that number was closed since. */
int interpose_reported(uint32_t *events) {
    char path[64], line[256];
    int fd = report.fd, found;
    unsigned mask;
    unsigned long long data;
    *events = report.event.events;
    if (report.epfd < 0)
        return fd;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", report.epfd);
    FILE *info = fopen(path, "r");
    for (fd = -1; info != NULL && fgets(line, sizeof line, info) != NULL;)
        if (sscanf(line, "tfd: %d events: %x data: %llx", &found, &mask, &data) == 3 &&
            data == report.event.data.u64)
            fd = found;
    if (info != NULL)
        fclose(info);
    return fd;
}

static int64_t milliseconds(int timeout) {
    return timeout < 0 ? -1 : (int64_t)timeout * 1000000;
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout,
                       const sigset_t *mask) {
    struct epoll_call call = {epfd, max, events, mask};
    ask("epoll_pwait", "%d", timeout);
    if (by_subject(INTERPOSE_TIME))
        return wait_virtually(milliseconds(timeout), look_epoll, &call, epfd);
    return (int)syscall(SYS_epoll_pwait, epfd, events, max, timeout, mask, 8);
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout) {
    IN_WORLD(int, __wrap_epoll_wait(epfd, events, max, timeout))
    ask("epoll_wait", "%d", timeout);
    return epoll_pwait(epfd, events, max, timeout, NULL);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max,
                        const struct timespec *timeout, const sigset_t *mask) {
    IN_WORLD(int, __wrap_epoll_pwait2(epfd, events, max, timeout, mask))
    struct epoll_call call = {epfd, max, events, mask};
    ask_for("epoll_pwait2", timeout);
    if (by_subject(INTERPOSE_TIME))
        return wait_virtually(virtual_duration(timeout), look_epoll, &call, epfd);
    return (int)syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask, 8);
}

struct poll_call {
    struct pollfd *fds;
    nfds_t count;
    const sigset_t *mask;
};

static int64_t look_poll(void *self, int timeout_ms) {
    struct poll_call *call = self;
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    int64_t ready = outcome(syscall(SYS_ppoll, call->fds, call->count, &timeout, call->mask, 8));
    report.is_full = false;
    for (nfds_t i = call->count; ready > 0 && i-- > 0;)
        if (call->fds[i].revents != 0) {
            report.epfd = -1;
            report.fd = call->fds[i].fd;
            report.event.events = (uint32_t)(unsigned short)call->fds[i].revents;
        }
    return ready;
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask) {
    struct poll_call call = {fds, count, mask};
    struct timespec copy;
    ask_for("ppoll", timeout);
    if (by_subject(INTERPOSE_TIME))
        return wait_virtually(virtual_duration(timeout), look_poll, &call, -1);
    if (timeout != NULL)
        copy = *timeout; /* the kernel writes to it */
    return (int)syscall(SYS_ppoll, fds, count, timeout == NULL ? NULL : &copy, mask, 8);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout) {
    struct timespec precise = {timeout / 1000, timeout % 1000 * 1000000L};
    ask("poll", "%d", timeout);
    return ppoll(fds, count, timeout < 0 ? NULL : &precise, NULL);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size) {
    (void)size;
    return poll(fds, count, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                       const sigset_t *mask, size_t size) {
    (void)size;
    return ppoll(fds, count, timeout, mask);
}

struct select_call {
    int count;
    fd_set *sets[3], asked[3];
    const sigset_t *mask;
};

/* The kernel writes to the time, and takes the mask with its size. */
static int64_t select_now(int count, fd_set *const sets[3], struct timespec *timeout,
                          const sigset_t *mask) {
    struct {
        const sigset_t *mask;
        size_t size;
    } both = {mask, 8};
    return outcome(syscall(SYS_pselect6, count, sets[0], sets[1], sets[2], timeout, &both));
}

static int64_t look_select(void *self, int timeout_ms) {
    struct select_call *call = self;
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    for (unsigned i = 0; i < 3; i++)
        if (call->sets[i] != NULL)
            *call->sets[i] = call->asked[i];
    int64_t ready = select_now(call->count, call->sets, &timeout, call->mask);
    report.is_full = false;
    static const uint32_t events[] = {POLLIN, POLLOUT, POLLPRI};
    for (int fd = 0; ready > 0 && fd < call->count; fd++)
        for (unsigned i = 0; i < 3; i++)
            if (call->sets[i] != NULL && FD_ISSET((size_t)fd, call->sets[i])) {
                report.epfd = -1;
                report.fd = fd;
                report.event.events = events[i];
            }
    return ready;
}

EXPORT int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
                   const struct timespec *restrict timeout, const sigset_t *restrict mask) {
    struct select_call call = {count, {in, out, except}, {{{0}}}, mask};
    struct timespec precise = {0};
    if (timeout != NULL)
        precise = *timeout;
    if (!by_subject(INTERPOSE_TIME)) {
        int64_t ready = select_now(count, call.sets, timeout == NULL ? NULL : &precise, mask);
        errno = ready < 0 ? (int)-ready : errno;
        return ready < 0 ? -1 : (int)ready;
    }
    for (unsigned i = 0; i < 3; i++)
        if (call.sets[i] != NULL)
            call.asked[i] = *call.sets[i];
    ask_for("pselect", timeout);
    return wait_virtually(timeout == NULL ? -1 : virtual_duration(&precise), look_select, &call,
                          -1);
}

EXPORT int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
                  struct timeval *restrict timeout) {
    struct timespec precise = {0};
    if (timeout != NULL)
        precise = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
    if (timeout == NULL)
        ask("select", "NULL");
    else
        ask("select", "{%lld, %ld}", (long long)timeout->tv_sec, (long)timeout->tv_usec);
    return pselect(count, in, out, except, timeout == NULL ? NULL : &precise, NULL);
}

/* Sleeping is waiting for nothing: only time passes. */
static int64_t look_nowhere(void *self, int timeout_ms) {
    (void)self, (void)timeout_ms;
    return 0;
}

EXPORT int nanosleep(const struct timespec *duration, struct timespec *rest) {
    if (!by_subject(INTERPOSE_TIME))
        return (int)syscall(SYS_nanosleep, duration, rest);
    ask_for("nanosleep", duration);
    return wait_virtually(virtual_duration(duration), look_nowhere, NULL, -1);
}

/* An absolute time is one of the virtual clock. Returns the error, and leaves errno alone. */
EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *duration,
                           struct timespec *rest) {
    struct timespec now, left = *duration;
    int kept = errno, result;
    if (!by_subject(INTERPOSE_TIME)) {
        result = (int)syscall(SYS_clock_nanosleep, clock, flags, duration, rest) == 0 ? 0 : errno;
        errno = kept;
        return result;
    }
    ask_for("clock_nanosleep", duration);
    if ((flags & TIMER_ABSTIME) != 0) {
        clock_gettime(clock, &now);
        int64_t until = virtual_duration(duration), from = virtual_duration(&now);
        uint64_t ns = until > from ? (uint64_t)(until - from) : 0;
        left = (struct timespec){(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
    }
    result = nanosleep(&left, rest) == 0 ? 0 : errno;
    errno = kept;
    return result;
}

EXPORT int usleep(useconds_t duration) {
    struct timespec precise = {(time_t)(duration / 1000000), (long)(duration % 1000000) * 1000};
    return nanosleep(&precise, NULL);
}

/* ---- threads --------------------------------------------------------------------------------- */

static struct interpose_real real;

extern int __interceptor_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                        void *(*start)(void *), void *argument)
    __attribute__((weak));

static void *next_of(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        _exit(2);
    return found;
}

/* Not in a constructor: those of libraries come before it, and lock mutexes. */
static void find_real(void) {
    *(void **)&real.join = next_of("pthread_join");
    *(void **)&real.timedwait = next_of("pthread_cond_timedwait");
    *(void **)&real.clockwait = dlsym(RTLD_NEXT, "pthread_cond_clockwait"); /* musl has none */
    *(void **)&real.sem_wait = next_of("sem_wait");
    *(void **)&real.sem_timedwait = next_of("sem_timedwait");
    *(void **)&real.timer_settime = next_of("timer_settime");
    *(void **)&real.wait = next_of("pthread_cond_wait");
    *(void **)&real.signal = next_of("pthread_cond_signal");
    *(void **)&real.broadcast = next_of("pthread_cond_broadcast");
    *(void **)&real.fork = next_of("fork");
    *(void **)&real.create = next_of("pthread_create");
    if (__interceptor_pthread_create != NULL)
        real.create = __interceptor_pthread_create;
    *(void **)&real.lock = next_of("pthread_mutex_lock");
}

const struct interpose_real *interpose_find_real(void) {
    if (real.lock == NULL)
        find_real();
    return &real;
}

#define REAL INTERPOSE_REAL

long interpose_syscall(long number, long a, long b, long c, long d, long e, long f) {
    static long (*call)(long, ...);
    if (call == NULL)
        *(void **)&call = next_of("syscall");
    return call(number, a, b, c, d, e, f);
}

/* Whatever ends the run ends it, too: the tool, which ends what it finds, may be killed itself. (Of
 * another thread's child the kernel would say so when that thread ends.) */
pid_t fork(void) {
    pid_t parent = getpid();
    bool first = syscall(SYS_gettid) == parent;
    pid_t child = REAL(fork)();
    if (child == 0 && first) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(128 + SIGKILL);
    }
    return child;
}

void interpose_participants(void) {
    participants_wanted = true;
}

struct interpose_call interpose_call(const struct participant *participant) {
    return participant->call;
}

bool interpose_sleeps(const struct participant *participant) {
    return participant->ended || participant->condition != NULL;
}

enum interpose_stop interpose_step(struct participant *participant, bool at_locks) {
    if (participant->ended)
        return INTERPOSE_ENDED;
    if (participant->condition != NULL)
        return INTERPOSE_PARKED;
    participant->at_locks = at_locks;
    sem_post(&participant->go);
    await(&participant->halted);
    return participant->stop;
}

unsigned interpose_participants_left(void) {
    unsigned left = 0;
    for (unsigned i = 0; i < INTERPOSE_THREADS_MAX; i++)
        left += participants[i].used && !participants[i].ended;
    return left;
}

static void end_participant(void *self) {
    struct participant *participant = self;
    participant->ended = true;
    participant->stop = INTERPOSE_ENDED;
    me = NULL;
    sem_post(&participant->halted);
}

static void *run_participant(void *self) {
    struct participant *participant = self;
    await(&participant->go);
    pthread_cleanup_push(end_participant, participant); /* also when it calls pthread_exit */
    me = participant;
    if (participant->start != NULL)
        participant->result = participant->start(participant->argument);
    pthread_cleanup_pop(1);
    return participant->result;
}

static int begin_participant(pthread_t *thread, const pthread_attr_t *attributes,
                             void *(*start)(void *), void *argument) {
    pthread_t ignored;
    unsigned i = 0;
    while (i < INTERPOSE_THREADS_MAX && participants[i].used)
        i++;
    if (i == INTERPOSE_THREADS_MAX)
        return EAGAIN;
    struct participant *participant = &participants[i];
    memset(participant, 0, sizeof *participant);
    sem_init(&participant->go, 0, 0);
    sem_init(&participant->halted, 0, 0);
    int error = REAL(create)(&participant->thread, attributes, run_participant, participant);
    if (error != 0)
        return error;
    participant->used = true;
    error = __wrap_pthread_create(&ignored, attributes, start, participant);
    if (error != 0) { /* the world has refused it: it ends before it has begun */
        (void)interpose_step(participant, false);
        REAL(join)(participant->thread, NULL);
        participant->used = false;
        return error;
    }
    participant->start = start;
    participant->argument = argument;
    *thread = participant->thread;
    return 0;
}

EXPORT int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                          void *(*start)(void *), void *restrict argument) {
    if (together())
        return interpose_create_together(thread, attributes, start, argument);
    if (!participants_wanted || !by_subject(INTERPOSE_WORLD))
        return REAL(create)(thread, attributes, start, argument);
    IN_WORLD(int, begin_participant(thread, attributes, start, argument))
    return EAGAIN; /* not reached */
}

static int join_participant(struct participant *participant, void **result) {
    /* the observer lets it end */
    (void)__wrap_pthread_join((pthread_t)(uintptr_t)participant, NULL);
    participant->used = false;
    return REAL(join)(participant->thread, result);
}

EXPORT int pthread_join(pthread_t thread, void **result) {
    struct participant *participant = NULL;
    int error;
    if (together() && interpose_join_together(thread, result, &error))
        return error;
    for (unsigned i = 0; i < INTERPOSE_THREADS_MAX; i++)
        if (participants[i].used && pthread_equal(participants[i].thread, thread))
            participant = &participants[i];
    if (participant != NULL)
        IN_WORLD(int, join_participant(participant, result))
    return REAL(join)(thread, result);
}

/* A mutex that another participant has is tried again when this one is let go on. */
static int lock_stepwise(pthread_mutex_t *mutex, enum interpose_stop stop) {
    int result;
    while ((result = pthread_mutex_trylock(mutex)) == EBUSY)
        halt(stop);
    return result;
}

EXPORT int pthread_mutex_lock(pthread_mutex_t *mutex) {
    if (together())
        return interpose_lock_together(mutex);
    if (!participates())
        return REAL(lock)(mutex);
    if (me->at_locks)
        halt(INTERPOSE_LOCK);
    return lock_stepwise(mutex, INTERPOSE_LOCK);
}

/* Others are let go on until one of them has told of the condition. */
static int wait_for_participants(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    int result = 0;
    for (awaited = condition; awaited != NULL && result == 0;)
        result = __wrap_pthread_cond_wait(condition, mutex);
    return result;
}

EXPORT int pthread_cond_wait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex) {
    if (together())
        return interpose_await_together(condition, mutex, -1);
    if (participates()) {
        me->condition = condition;
        pthread_mutex_unlock(mutex);
        halt(INTERPOSE_PARKED);
        return lock_stepwise(mutex, INTERPOSE_PARKED);
    }
    if (participants_wanted)
        IN_WORLD(int, wait_for_participants(condition, mutex))
    return interpose_waits_for(condition, mutex) ? 0 : REAL(wait)(condition, mutex);
}

/* Who gives way waits for others. */
EXPORT int sched_yield(void) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t nothing = PTHREAD_COND_INITIALIZER;
    if (participates())
        halt(INTERPOSE_LOCK);
    else if (participants_wanted && enter_world()) {
        pthread_mutex_lock(&mutex);
        (void)__wrap_pthread_cond_wait(&nothing, &mutex);
        pthread_mutex_unlock(&mutex);
        leave_world();
    }
    return (int)syscall(SYS_sched_yield);
}

/* A signal lets one participant go on: what is for all of them says so. */
static void tell(const pthread_cond_t *condition, bool all) {
    if (awaited == condition)
        awaited = NULL;
    for (unsigned i = 0; i < INTERPOSE_THREADS_MAX; i++)
        if (participants[i].condition == condition) {
            participants[i].condition = NULL;
            if (!all)
                return;
        }
}

EXPORT int pthread_cond_signal(pthread_cond_t *condition) {
    if (participants_wanted)
        tell(condition, false);
    if (interpose_drives_threads())
        interpose_tell_together(condition, false);
    interpose_tell(condition);
    return REAL(signal)(condition);
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *condition) {
    if (participants_wanted)
        tell(condition, true);
    if (interpose_drives_threads())
        interpose_tell_together(condition, true);
    interpose_tell(condition);
    return REAL(broadcast)(condition);
}

#else
typedef int nothing_here;
#endif
