/* SPDX-License-Identifier: MIT */
/* What drives the loop in a reproducer: `etalon reproduce` puts this text, without this comment,
 * between the adapter and the program. It needs RP_EXPECTED, RP_SHOULD, RP_SLACK_MS and RP_LATE_US,
 * and works on the real kernel and the real clock. Everything in it begins with rp_, as the adapter
 * has names of its own. It is C11 as well as C++17, as the adapter may be either.
 *
 * Of the names in these headers an adapter may use those for its own functions that the driver does
 * not call; `etalon reproduce` gives them others then. So no header is here without need.
 *
 * It keeps what the caller of a loop knows: what it has started, and since when. So it sees when a
 * timer fires early, when something is called that is not in use, when the loop sleeps although
 * something is due, and the like; RP_EXPECTED says which of these is to be shown. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef RP_COUNT /* a program that needs more says so */
#define RP_COUNT   ETALON_SUBJECT_COMPLETIONS
#define RP_HANDLES 8
#endif
#define RP_ATTEMPTS 10
/* A busy machine misses the moment at which a failure shows: so many, when they take no longer. */
#define RP_MORE          60
#define RP_MORE_S        10
#define RP_MS            UINT64_C(1000000)
#define RP_BACKLOG       1
#define RP_CLIENTS       16
#define RP_FILE          64   /* bytes of a regular file */
#define RP_UNTIL_STOPPED 1000 /* as the mode of a run */

enum rp_check {
    RP_NOTHING,    /* all is to be well */
    RP_EARLY,      /* a timer fires before its delay has gone by */
    RP_ORDER,      /* a timer fires before one with an earlier deadline; polls of one descriptor */
    RP_LATE,       /* the loop sleeps, or returns, although a timer is due */
    RP_UNUSED,     /* a callback comes for what is not in use */
    RP_OTHER,      /* … or with what belongs to another */
    RP_RESULT,     /* … or with another result than it must have */
    RP_UNREADY,    /* … or tells of a descriptor that is not ready */
    RP_UNSERVED,   /* the loop sleeps, or returns, although a descriptor is ready or a noop owed */
    RP_AGAIN,      /* one pass that does not wait calls twice what was started again in between */
    RP_STARVED,    /* something is due while a hundred callbacks of others are called */
    RP_RETURNS,    /* a run returns too early */
    RP_WAITS,      /* a run waits although it is over */
    RP_UNWOKEN,    /* the loop sleeps although it was woken */
    RP_SPINS,      /* the loop asks the kernel again and again */
    RP_REFUSED,    /* a call is refused */
    RP_STATE,      /* the loop says something else of what is in use */
    RP_TIME,       /* the loop's time is ahead of the clock, or goes back */
    RP_LEAK,       /* descriptors are left open */
    RP_TURNS,      /* a turn sleeps again when its sleep was ended */
    RP_HOST_LATE,  /* a host is told to wait beyond the deadline of a timer */
    RP_HOST_EARLY, /* … or not as long as that */
    RP_HOST_VAIN,  /* … or not without limit, and there is nothing to wait for */
    RP_HOST_STOPPED, /* … or not without limit, and the loop is stopped */
    RP_HOST_HIDDEN,  /* neither descriptor nor timeout tells a host of what has come */
    RP_HOST_SHOWN,   /* the descriptor of a stopped loop is readable */
    RP_HOST_OTHER,   /* the descriptor is another one than before, or not close-on-exec */
    RP_BESIDE,       /* a callback is called beside another one, or outside of a run */
    RP_CRASH,
};

struct rp_address {
    struct sockaddr_un name;
    socklen_t length;
};

struct rp_item {
    int in_use, ever, deleted, is_timer, is_async, in_this_run;
    unsigned deleted_after; /* how many runs */
    uint32_t userdata, operation, async;
    unsigned serial;
    int fd;
    short events;
    short told; /* of a poll of an edge-triggered loop: what need not be told again */
    uint64_t earliest, latest;                /* of a timer: between these its deadline lies */
    unsigned due_for;                         /* callbacks of others since it was seen due */
    enum etalon_subject_action (*body)(void); /* or null */
    struct etalon_subject_description again;  /* to add it as it was described */
    unsigned from, into;                      /* of an accept, a connect or a close: handles */
};

static struct {
    void *self;
    struct etalon_subject_host host;
    struct rp_item item[RP_COUNT];
    char buffer[RP_COUNT][4096];
    struct rp_address address[RP_COUNT], named[RP_HANDLES]; /* the latter: of listeners and ports */
    struct iovec parts[RP_COUNT][2];
    struct msghdr message[RP_COUNT];
    const char *kind[RP_HANDLES];
    int fd[RP_HANDLES], peer[RP_HANDLES], async[ETALON_SUBJECT_ASYNCS],
        left[RP_HANDLES]; /* left: a number was taken over */
    struct {              /* what has connected to a listener, and is known by its name */
        int fd;
        struct rp_address address;
    } client[RP_CLIENTS];
    unsigned clients, names;
    uint32_t tokens;
    unsigned serials;
    uint64_t time_min, now_ms, work, since;
    volatile int mode;    /* of the run in progress, or -1 */
    volatile int calling; /* callbacks in progress */
    const char *wakes; /* of a run until it is stopped: 'w' for each step of the world that wakes */
    unsigned callbacks, all_callbacks, asked, runs;
    int stopped, woken;
    volatile int turn_over; /* what a turn may sleep for is over */
    uint64_t told_until;    /* how long a host was told to wait, since the last run */
    int told_fd;            /* by which descriptor it knows, and 1; 0: it was not asked for */
    long main_thread;
    volatile int interrupts;
    volatile unsigned world_next, world_count;
    void (*world)(unsigned step);
} rp;

static char *rp_said; /* shared with the parent */

static inline uint64_t rp_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

__attribute__((format(printf, 2, 3))) static inline void rp_seen(enum rp_check check,
                                                                 const char *format, ...) {
    va_list arguments;
    if (check != RP_EXPECTED && RP_EXPECTED != RP_NOTHING)
        return;
    va_start(arguments, format);
    vsnprintf(rp_said, 400, format, arguments);
    va_end(arguments);
    _exit(check == RP_EXPECTED ? 0 : 1);
}

/* ---- what is due ----------------------------------------------------------------------------- */

static inline uint64_t rp_late_ns(void) {
    return RP_EXPECTED == RP_LATE ? RP_LATE_US * UINT64_C(1000) : 1000 * RP_MS;
}

static inline uint64_t rp_later(uint64_t from, uint64_t ms) {
    return ms > (UINT64_MAX - from) / RP_MS ? UINT64_MAX : from + ms * RP_MS;
}

static inline short rp_ready(const struct rp_item *i) {
    struct pollfd fd = {i->fd, i->events, 0};
    if (!i->in_use || i->is_timer || i->is_async || i->fd < 0 || i->operation == ETALON_CLOSE)
        return 0;
    return poll(&fd, 1, 0) == 1 ? fd.revents : 0;
}

/* … and what of that the loop owes: of an edge-triggered one not what it has told. */
static inline short rp_owed(struct rp_item *i) {
    short ready = rp_ready(i);
    if (i->in_use)
        i->told = (short)(i->told & ready);
    return (short)(ready & ~i->told);
}

/* The callback of the poll is called with this. */
static inline void rp_tell(struct rp_item *i, int64_t result) {
    int more = (etalon_subject.offers & ETALON_OFFERS_POLL_MORE) != 0;
    short ready = rp_owed(i);
    if ((etalon_subject.offers & ETALON_OFFERS_EDGES) != 0 && result != -ECANCELED)
        i->told |= !more && (ready & (POLLHUP | POLLERR)) != 0 ? ready : (short)result;
}

/* More bytes come to the descriptor. */
static inline void rp_edge(int fd) {
    for (unsigned c = 0; c < RP_COUNT; c++)
        if (rp.item[c].fd == fd)
            rp.item[c].told = (short)(rp.item[c].told & ~POLLIN);
}

static inline int rp_is_due(struct rp_item *i, uint64_t late_ns) {
    uint64_t now = rp_clock();
    if (!i->in_use)
        return 0;
    if (i->is_timer)
        return i->latest < now && now - i->latest > late_ns;
    return !i->is_async && (i->operation == ETALON_NOOP || rp_owed(i) != 0);
}

static inline int rp_anything(void) {
    for (unsigned c = 0; c < RP_COUNT; c++)
        if (rp.item[c].in_use)
            return 1;
    return 0;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

/* The processor time since the run began, or since its last callback, is that of sleeping. */
static inline void rp_check_work(void) {
    struct timespec used;
    int threads = (etalon_subject.offers & ETALON_OFFERS_THREADS) != 0;
    clock_gettime(threads ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID, &used);
    uint64_t work = (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec, now = rp_clock();
    if (rp.mode >= 0 && work - rp.work > 3 * RP_MS && work - rp.work > (now - rp.since) / 4 * 3)
        rp_seen(RP_SPINS, "the loop is at work for %.3f ms, and calls nothing",
                (double)(work - rp.work) / 1e6);
    rp.work = work;
    rp.since = now;
}

static inline void rp_look_for_others(uint32_t c) {
    for (unsigned k = 0; k < RP_COUNT; k++) {
        struct rp_item *i = &rp.item[k];
        i->due_for = k != c && rp_is_due(i, 5 * RP_MS) ? i->due_for + 1 : 0;
        if (i->due_for > 100)
            rp_seen(RP_STARVED, "%u callbacks of others were called while c%u was due", i->due_for,
                    k);
    }
}

static inline void rp_check_timer(uint32_t c, uint64_t now) {
    const struct rp_item *i = &rp.item[c];
    if (now < i->earliest)
        rp_seen(RP_EARLY, "the timer c%u fires %.3f ms before its deadline", c,
                (double)(i->earliest - now) / 1e6);
    for (unsigned k = 0; k < RP_COUNT; k++)
        if (k != c && rp.item[k].in_use && rp.item[k].is_timer && rp.item[k].latest < i->earliest)
            rp_seen(RP_ORDER, "the timer c%u fires before c%u, which has an earlier deadline", c,
                    k);
    if (now > i->latest && now - i->latest > rp_late_ns())
        rp_seen(RP_LATE, "the timer c%u fires %.3f ms too late", c,
                (double)(now - i->latest) / 1e6);
    if (i->earliest > rp.time_min) /* the loop's time has got there */
        rp.time_min = i->earliest;
}

/* Another poll of its descriptor, which was started before it, is ready and has not ended. */
static inline void rp_check_order(uint32_t c) {
    const struct rp_item *i = &rp.item[c];
    for (unsigned k = 0; k < RP_COUNT; k++)
        if (k != c && rp.item[k].operation == ETALON_POLL && rp.item[k].fd == i->fd &&
            rp.item[k].serial < i->serial && rp_owed(&rp.item[k]) != 0)
            rp_seen(RP_ORDER,
                    "the poll c%u ends before c%u of the same descriptor, which was started before "
                    "it",
                    c, k);
}

/* What Linux may have to answer: a connect is asked for once more, by another socket. */
static inline int rp_has_a_cause(const struct rp_item *i, int error) {
    if (error == ECANCELED || error == EPIPE || error == ECONNRESET)
        return 1;
    if (i->operation != ETALON_CONNECT)
        return fcntl(i->fd, F_GETFD) < 0 && error == EBADF;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const struct rp_address *to = &rp.address[i - rp.item];
    int answer = connect(fd, (const struct sockaddr *)&to->name, to->length) == 0 ? 0 : errno;
    close(fd);
    return answer == error || error == EISCONN || error == EINVAL;
}

static inline void rp_check_result(uint32_t c, int64_t result) {
    const struct rp_item *i = &rp.item[c];
    if (i->is_timer || (i->operation == ETALON_NOOP && !i->is_async)) {
        if (result != 0 && result != -ECANCELED)
            rp_seen(RP_RESULT, "c%u, a timer or noop, ends with %lld", c, (long long)result);
    } else if (i->operation == ETALON_POLL && !i->is_async && result != -ECANCELED) {
        if (result <= 0)
            rp_seen(RP_RESULT, "the poll c%u ends with %lld", c, (long long)result);
        else if (rp_ready(i) == 0)
            rp_seen(RP_UNREADY, "the poll c%u ends with 0x%llx, but its descriptor is not ready", c,
                    (long long)result);
    } else if (result < 0 && !rp_has_a_cause(i, (int)-result)) {
        rp_seen(RP_RESULT, "c%u ends with %lld (%s)", c, (long long)result, strerror((int)-result));
    }
}

/* The number that an accept has made becomes a descriptor of the program, and a close ends one. */
static inline void rp_take_over(struct rp_item *i, int64_t result) {
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    int other = -1;
    if (i->operation == ETALON_CLOSE && result == 0)
        rp.fd[i->from] = -1;
    if (i->operation != ETALON_ACCEPT || result < 0)
        return;
    if (rp.fd[i->into] >= 0) {
        close((int)result);
        return;
    }
    (void)getpeername((int)result, (struct sockaddr *)&name, &length);
    for (unsigned k = 0; k < rp.clients; k++)
        if (rp.client[k].address.length == length &&
            memcmp(&rp.client[k].address.name, &name, length) == 0) {
            other = rp.client[k].fd;
            rp.client[k].fd = -1;
        }
    rp.fd[i->into] = (int)result;
    rp.kind[i->into] = "stream";
    rp.peer[i->into] = other;
}

/* Another thread that calls back now is given the time to do so. */
static inline void rp_check_caller(uint32_t c) {
    const struct timespec moment = {0, 20 * 1000000};
    if (rp.mode < 0)
        rp_seen(RP_BESIDE, "c%u is called while nothing is in run", c);
    if (RP_EXPECTED == RP_BESIDE)
        nanosleep(&moment, NULL);
    if (rp.calling > 1 && (etalon_subject.offers & ETALON_OFFERS_NESTS) == 0)
        rp_seen(RP_BESIDE, "c%u is called while another callback runs", c);
}

/* What goes on until it is stopped is stopped in the last callback that is asked for, or that after
 * which nothing is in use, unless it is to be woken then. */
static inline void rp_stop_where_it_ends(void) {
    int woken_yet =
        rp.world_next < rp.world_count && rp.wakes != NULL && rp.wakes[rp.world_next] == 'w';
    if (rp.mode != RP_UNTIL_STOPPED || rp.stopped ||
        (rp.callbacks < rp.asked && (rp_anything() || woken_yet)))
        return;
    rp.stopped = 1;
    etalon_subject.stop(rp.self);
}

static inline enum etalon_subject_action rp_call(uint32_t c, int64_t result, uint32_t userdata) {
    uint64_t now = rp_clock();
    if (c >= RP_COUNT) {
        rp_seen(RP_OTHER, "a callback was called for completion %u", c);
        return ETALON_DISARM;
    }
    struct rp_item *i = &rp.item[c];
    if (!i->in_use)
        rp_seen(RP_UNUSED, "the callback of c%u is called, which %s", c,
                i->deleted ? "was deleted" : "is not in use");
    if (userdata != i->userdata)
        rp_seen(RP_OTHER, "c%u is called with what belongs to an earlier use of it", c);
    if (i->is_timer)
        rp_check_timer(c, now);
    if (i->operation == ETALON_POLL && !i->is_async && i->in_use)
        rp_check_order(c);
    rp_check_result(c, result);
    rp_tell(i, result);
    if (rp.mode == ETALON_RUN_NO_WAIT && i->in_this_run)
        rp_seen(RP_AGAIN,
                "c%u, which was started again, is called twice by one run that does not "
                "wait",
                c);
    i->in_this_run = 1;
    i->in_use = 0;
    rp_take_over(i, result);
    rp.callbacks++;
    if (++rp.all_callbacks > 200000)
        _exit(RP_EXPECTED != RP_NOTHING);
    rp.woken = 0;
    rp_look_for_others(c);
    rp_check_work();
    struct rp_item before = *i;
    int mode = rp.mode;
    enum etalon_subject_action action = i->body != NULL ? i->body() : ETALON_DISARM;
    rp.mode = -1; /* what the body has taken is not the loop's */
    rp_check_work();
    rp.mode = mode;
    if (!(action == ETALON_REARM && !i->in_use && !i->deleted))
        rp_stop_where_it_ends();
    else {
        i->in_use = 1;
        i->earliest = rp_later(rp.time_min, before.again.delay_ms);
        if ((etalon_subject.offers & ETALON_OFFERS_REPEATS) != 0 && before.is_timer &&
            rp_later(before.earliest, before.again.delay_ms) < i->earliest)
            i->earliest = rp_later(before.earliest, before.again.delay_ms);
        i->latest = rp_later(rp_clock(), before.again.delay_ms + RP_SLACK_MS);
    }
    return action;
}

static inline enum etalon_subject_action rp_called(uint32_t c, int64_t result, uint32_t userdata) {
    __atomic_add_fetch(&rp.calling, 1, __ATOMIC_SEQ_CST);
    rp_check_caller(c);
    enum etalon_subject_action action = rp_call(c, result, userdata);
    __atomic_sub_fetch(&rp.calling, 1, __ATOMIC_SEQ_CST);
    return action;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static inline int rp_answer(int result, const char *call) {
    if (result != 0)
        rp_seen(RP_REFUSED, "%s returned %d (%s)", call, result, strerror(-result));
    return result;
}

/* It was deleted, which takes effect with the next turn. */
static inline int rp_leaves(unsigned c) {
    return (etalon_subject.offers & ETALON_OFFERS_DELETES_LATER) != 0 && rp.item[c].deleted &&
           rp.runs <= rp.item[c].deleted_after;
}

static inline void rp_check_states(void) {
    const uint64_t bits = ETALON_OFFERS_STATE | ETALON_OFFERS_IN_USE;
    for (unsigned c = 0; c < RP_COUNT && (etalon_subject.offers & bits) != 0; c++) {
        int state = etalon_subject.state(rp.self, c);
        int in_use = state == ETALON_ADDING || state == ETALON_ACTIVE;
        if (rp.item[c].ever && in_use != rp.item[c].in_use && !rp_leaves(c))
            rp_seen(RP_STATE, "the loop says that c%u is %s", c,
                    in_use ? "in use, which it is not" : "not in use, which it is");
    }
    if ((etalon_subject.offers & ETALON_OFFERS_NOW) != 0) {
        uint64_t now = etalon_subject.now(rp.self);
        if (now < rp.now_ms || now > rp_clock() / RP_MS)
            rp_seen(RP_TIME, "the loop's time is %llu ms after %llu ms, at %llu ms of the clock",
                    (unsigned long long)now, (unsigned long long)rp.now_ms,
                    (unsigned long long)(rp_clock() / RP_MS));
        rp.now_ms = now;
    }
}

/* From here on c is in use, until its callback is called. */
static inline struct rp_item *rp_start(unsigned c, enum etalon_subject_action (*body)(void)) {
    struct rp_item *i = &rp.item[c];
    int in_this_run = i->in_this_run;
    memset(i, 0, sizeof *i);
    i->in_use = i->ever = 1;
    i->in_this_run = in_this_run;
    i->serial = ++rp.serials;
    i->fd = -1;
    i->body = body;
    i->userdata = ++rp.tokens;
    return i;
}

static inline void rp_started(unsigned c, int result, const char *call) {
    if (rp_answer(result, call) != 0)
        rp.item[c].in_use = 0;
    rp_check_states();
}

static inline void rp_timer(unsigned c, uint64_t delay_ms, enum etalon_subject_action (*body)(void),
                            const char *call) {
    if (rp.item[c].in_use || rp_leaves(c))
        return;
    struct rp_item *i = rp_start(c, body);
    i->is_timer = 1;
    i->again.delay_ms = delay_ms;
    i->earliest = rp_later(rp.time_min, delay_ms);
    i->latest = UINT64_MAX;
    int result = etalon_subject.timer(rp.self, c, delay_ms, i->userdata, 1);
    i->latest = rp_later(rp_clock(),
                         delay_ms > UINT64_MAX - RP_SLACK_MS ? delay_ms : delay_ms + RP_SLACK_MS);
    rp_started(c, result, call);
}

static inline void rp_reset(unsigned c, uint32_t carrier, uint64_t delay_ms,
                            enum etalon_subject_action (*body)(void), const char *call) {
    if ((rp.item[c].in_use && !rp.item[c].is_timer) || rp_leaves(c))
        return;
    struct rp_item *i = rp_start(c, body);
    i->is_timer = 1;
    i->again.delay_ms = delay_ms;
    i->earliest = rp_later(rp.time_min, delay_ms);
    i->latest = UINT64_MAX;
    int result = etalon_subject.timer_reset(rp.self, c, carrier, delay_ms, i->userdata, 1);
    i->latest = rp_later(rp_clock(),
                         delay_ms > UINT64_MAX - RP_SLACK_MS ? delay_ms : delay_ms + RP_SLACK_MS);
    rp_started(c, result, call);
}

static inline int rp_polled(int fd) {
    for (unsigned c = 0; c < RP_COUNT; c++)
        if (rp.item[c].in_use && rp.item[c].fd == fd)
            return 1;
    return 0;
}

static inline struct rp_item *rp_describe(unsigned c, uint32_t operation, int fd,
                                          enum etalon_subject_action (*body)(void)) {
    struct rp_item *i = rp_start(c, body);
    int writes = operation == ETALON_WRITE || operation == ETALON_SEND ||
                 operation == ETALON_SENDMSG || operation == ETALON_PWRITE;
    i->operation = operation;
    i->fd = operation == ETALON_NOOP ? -1 : fd;
    i->events = writes ? POLLOUT : POLLIN;
    i->again.operation = operation;
    i->again.fd = i->fd;
    i->again.target = ETALON_NOBODY;
    i->again.userdata = i->userdata;
    i->again.has_callback = 1;
    return i;
}

/* A name of its own, by which nobody listens yet. */
static inline void rp_name(struct rp_address *of) {
    memset(of, 0, sizeof *of);
    of->name.sun_family = AF_UNIX;
    int length = snprintf(of->name.sun_path + 1, sizeof of->name.sun_path - 1, "reproducer.%d.%u",
                          (int)getpid(), ++rp.names);
    of->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

/* events: of a poll; length: of what has a buffer; flags: of a shutdown, how. */
static inline void rp_submit(unsigned c, uint32_t operation, int fd, uint32_t events, size_t length,
                             int flags, enum etalon_subject_action (*body)(void),
                             const char *call) {
    int many = (etalon_subject.offers & ETALON_OFFERS_MANY_POLLS) != 0;
    if (rp.item[c].in_use || (operation != ETALON_NOOP && (fd < 0 || (!many && rp_polled(fd)))))
        return;
    struct rp_item *i = rp_describe(c, operation, fd, body);
    i->again.events = events;
    i->again.flags = flags;
    i->events = operation == ETALON_POLL ? (short)events : i->events;
    if (length > 0) {
        i->again.buffer = rp.buffer[c];
        i->again.length = length;
        memset(rp.buffer[c], 0, sizeof(uint64_t)); /* as an eventfd reads it: 1 */
        rp.buffer[c][0] = 1;
    }
    rp_started(c, etalon_subject.submit(rp.self, c, &i->again), call);
}

static inline int rp_may_start(unsigned c, int fd) {
    int many = (etalon_subject.offers & ETALON_OFFERS_MANY_POLLS) != 0;
    return !rp.item[c].in_use && !rp_leaves(c) && fd >= 0 && (many || !rp_polled(fd));
}

/* Accepts on the listener `from`; the connection becomes the descriptor `into`, if that is free. */
static inline void rp_accept(unsigned c, unsigned from, unsigned into,
                             enum etalon_subject_action (*body)(void), const char *call) {
    if (!rp_may_start(c, rp.fd[from]))
        return;
    struct rp_item *i = rp_describe(c, ETALON_ACCEPT, rp.fd[from], body);
    i->from = from;
    i->into = into;
    rp.address[c].length = sizeof rp.address[c].name;
    i->again.address = (struct sockaddr *)&rp.address[c].name;
    i->again.address_length = &rp.address[c].length;
    i->again.flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    rp_started(c, etalon_subject.submit(rp.self, c, &i->again), call);
}

/* Connects the socket `from` to the listener `to`, or to where none is. */
static inline void rp_connect(unsigned c, unsigned from, unsigned to,
                              enum etalon_subject_action (*body)(void), const char *call) {
    if (!rp_may_start(c, rp.fd[from]))
        return;
    struct rp_item *i = rp_describe(c, ETALON_CONNECT, rp.fd[from], body);
    i->from = from;
    i->into = to;
    i->events = 0; /* when it has to end, nobody but Linux knows */
    rp.address[c] = rp.named[to];
    if (rp.named[to].length == 0)
        rp_name(&rp.address[c]);
    i->again.address = (struct sockaddr *)&rp.address[c].name;
    i->again.address_length = &rp.address[c].length;
    rp_started(c, etalon_subject.submit(rp.self, c, &i->again), call);
}

/* A message in two parts; port: to which handle's address, or -1. */
static inline void rp_message(unsigned c, uint32_t operation, int fd, size_t length, int flags,
                              int port, enum etalon_subject_action (*body)(void),
                              const char *call) {
    if (!rp_may_start(c, fd))
        return;
    struct rp_item *i = rp_describe(c, operation, fd, body);
    rp.parts[c][0].iov_base = rp.buffer[c];
    rp.parts[c][0].iov_len = length / 2;
    rp.parts[c][1].iov_base = rp.buffer[c] + length / 2;
    rp.parts[c][1].iov_len = length - length / 2;
    memset(&rp.message[c], 0, sizeof rp.message[c]);
    rp.message[c].msg_iov = rp.parts[c];
    rp.message[c].msg_iovlen = 2;
    if (port >= 0) {
        rp.address[c] = rp.named[port];
        rp.message[c].msg_name = &rp.address[c].name;
        rp.message[c].msg_namelen = rp.address[c].length;
    }
    i->again.flags = flags;
    i->again.message = &rp.message[c];
    rp_started(c, etalon_subject.submit(rp.self, c, &i->again), call);
}

static inline void rp_close_by_loop(unsigned c, unsigned d,
                                    enum etalon_subject_action (*body)(void), const char *call) {
    if (!rp_may_start(c, rp.fd[d]))
        return;
    struct rp_item *i = rp_describe(c, ETALON_CLOSE, rp.fd[d], body);
    i->from = d;
    rp_started(c, etalon_subject.submit(rp.self, c, &i->again), call);
}

static inline void rp_cancel(unsigned c, uint32_t target, enum etalon_subject_action (*body)(void),
                             const char *call) {
    if (rp.item[c].in_use)
        return;
    struct rp_item *i = rp_start(c, body);
    i->operation = ETALON_CANCEL;
    i->is_async = 1; /* it is ready by itself */
    rp_started(c, etalon_subject.cancel(rp.self, c, target, i->userdata, 1), call);
}

static inline void rp_delete(unsigned c, const char *call) {
    int was = rp.item[c].in_use;
    rp.item[c].in_use = 0;
    if (was)
        rp.item[c].deleted_after = rp.runs + (rp.mode >= 0);
    rp.item[c].deleted = was || rp.item[c].deleted;
    if (rp_answer(etalon_subject.remove(rp.self, c), call) != 0)
        rp.item[c].in_use = was;
    rp_check_states();
}

static inline void rp_forget(unsigned c) {
    if (!rp.item[c].in_use && !rp_leaves(c))
        etalon_subject.forget(rp.self, c);
}

static inline void rp_stop(void) {
    if (rp.mode < 0 && (etalon_subject.offers & ETALON_OFFERS_STOPPED) == 0)
        return;
    rp.stopped = 1;
    etalon_subject.stop(rp.self);
}

static inline void rp_update_now(void) {
    uint64_t before = rp_clock();
    etalon_subject.update_now(rp.self);
    rp.time_min = before;
    rp_check_states();
}

static inline void rp_check_run_end(unsigned asked, const int *due) {
    static const char *const why = "which was due when the run began";
    if (!rp.stopped && rp.mode == RP_UNTIL_STOPPED)
        rp_seen(RP_RETURNS, "the run returns, and nothing has stopped it");
    if (!rp.stopped && rp_anything() && rp.callbacks < asked && rp.mode != ETALON_RUN_TURN)
        rp_seen(RP_RETURNS, "the run returns after %u callback%s, and something is in use",
                rp.callbacks, rp.callbacks == 1 ? "" : "s");
    for (unsigned c = 0; c < RP_COUNT && rp.mode == ETALON_RUN_NO_WAIT && !rp.stopped; c++)
        if (due[c] && !rp.item[c].in_this_run && rp.item[c].in_use)
            rp_seen(rp.item[c].is_timer ? RP_LATE : RP_UNSERVED,
                    "the run returns without the callback of c%u, %s", c, why);
}

static inline void rp_run(int mode, unsigned asked, const char *call) {
    int due[RP_COUNT];
    if (rp.mode >= 0)
        return;
    for (unsigned c = 0; c < RP_COUNT; c++) {
        rp.item[c].in_this_run = 0;
        due[c] = rp_is_due(&rp.item[c], 5 * RP_MS);
    }
    rp.callbacks = 0;
    rp.stopped = rp.turn_over = 0;
    rp.told_until = 0;
    rp.asked = asked;
    rp.mode = -1;
    rp_check_work();
    rp.mode = mode;
    rp_answer(etalon_subject.run(rp.self, mode == RP_UNTIL_STOPPED ? ETALON_RUN_UNTIL_STOPPED
                                                                   : (uint32_t)mode),
              call);
    rp_check_work();
    rp_check_run_end(asked, due);
    rp.mode = -1;
    rp.runs++;
    rp.woken = 0;
    rp_check_states();
}

static inline void rp_run_until_stopped(unsigned asked, const char *wakes, const char *call) {
    if (!rp_anything())
        return;
    rp.wakes = wakes;
    rp_run(RP_UNTIL_STOPPED, asked, call);
}

/* A loop that has a run of one turn only is asked for it again and again. */
static inline void rp_run_repeatedly(unsigned asked, const char *call) {
    unsigned left = asked;
    for (int turns = 0; turns < 1000 && left > 0 && rp_anything() && rp.mode < 0; turns++) {
        rp_run(ETALON_RUN_ONCE, 1, call);
        left -= rp.callbacks < left ? rp.callbacks : left;
        if (rp.stopped)
            break;
    }
}

/* ---- inside another loop --------------------------------------------------------------------- */

/* What a timer is due for, of which its host was told nothing, or too late a time. */
static inline void rp_check_told(int64_t told) {
    for (unsigned c = 0; c < RP_COUNT; c++) {
        struct rp_item *i = &rp.item[c];
        int late = told != 0 || (rp.told_until > i->latest && rp.told_until - i->latest > RP_MS);
        if (i->is_timer && rp_is_due(i, RP_MS / 3) && late)
            rp_seen(RP_HOST_LATE,
                    "the timeout is %lld ms, and the descriptor is not readable, %.3f ms beyond "
                    "the deadline of the timer c%u",
                    (long long)told, (double)(rp_clock() - i->latest) / 1e6, c);
    }
}

/* Something has come, and a host would wait. */
static inline void rp_check_hidden(int64_t told) {
    for (unsigned c = 0; c < RP_COUNT; c++)
        if (!rp.item[c].is_timer && rp_is_due(&rp.item[c], 0))
            rp_seen(RP_HOST_HIDDEN,
                    "the timeout is %lld ms, and the descriptor is not readable, although c%u can "
                    "be served",
                    (long long)told, c);
    if (rp.woken)
        rp_seen(RP_HOST_HIDDEN,
                "the timeout is %lld ms, and the descriptor is not readable, although the loop "
                "was woken",
                (long long)told);
}

static inline void rp_check_descriptor(int fd) {
    if (fd < 0 || fcntl(fd, F_GETFD) != FD_CLOEXEC)
        rp_seen(RP_HOST_OTHER, "the descriptor is %d, which is none that is close-on-exec", fd);
    if (rp.told_fd != 0 && rp.told_fd != fd + 1)
        rp_seen(RP_HOST_OTHER, "the descriptor is %d, and was %d before", fd, rp.told_fd - 1);
    rp.told_fd = fd + 1;
}

/* A host asks for both before it waits. */
static inline void rp_hosted(void) {
    struct pollfd p = {etalon_subject.descriptor(rp.self), POLLIN, 0};
    int readable = poll(&p, 1, 0) == 1, due = rp.woken;
    rp_check_descriptor(p.fd);
    int64_t told = etalon_subject.timeout(rp.self);
    uint64_t first = UINT64_MAX,
             until = told < 0 ? UINT64_MAX : rp_later(rp_clock(), (uint64_t)told);
    readable = readable || poll(&p, 1, 0) == 1;
    if (rp.mode >= 0)
        return;
    for (unsigned c = 0; c < RP_COUNT; c++) {
        due = due || rp_is_due(&rp.item[c], 0);
        if (rp.item[c].in_use && rp.item[c].is_timer && rp.item[c].earliest < first)
            first = rp.item[c].earliest;
    }
    if (rp.stopped && told != -1)
        rp_seen(RP_HOST_STOPPED, "the timeout is %lld ms, and the loop is stopped",
                (long long)told);
    if (rp.stopped && readable)
        rp_seen(RP_HOST_SHOWN, "the descriptor is readable, and the loop is stopped");
    if (!readable)
        rp_check_told(told);
    if (!readable && !rp.stopped && told != 0)
        rp_check_hidden(told);
    if (!due && told >= 0 && !rp_anything())
        rp_seen(RP_HOST_VAIN, "the timeout is %lld ms, and there is nothing to wait for",
                (long long)told);
    if (!due && first != UINT64_MAX && until < first)
        rp_seen(RP_HOST_EARLY, "the timeout is %lld ms, which ends %.3f ms before any timer is due",
                (long long)told, (double)(first - until) / 1e6);
    rp.told_until = until > rp.told_until ? until : rp.told_until;
}

/* ---- asyncs, and what another thread does ---------------------------------------------------- */

static inline void *rp_there(void *async) {
    if (async == NULL)
        etalon_subject.wakeup(rp.self);
    else
        (void)etalon_subject.async_notify(rp.self, (uint32_t)((int *)async - rp.async));
    return NULL;
}

static inline void rp_by_a_thread(void *async) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, rp_there, async) == 0)
        pthread_join(thread, NULL);
}

static inline void rp_wakeup(void) {
    rp.woken = 1;
    rp_by_a_thread(NULL);
    rp.turn_over = rp.mode == ETALON_RUN_TURN;
}

static inline void rp_async_open(unsigned a, const char *call) {
    if (!rp.async[a])
        rp.async[a] = rp_answer(etalon_subject.async_init(rp.self, a), call) == 0;
}

static inline void rp_async_close(unsigned a) {
    for (unsigned c = 0; c < RP_COUNT; c++)
        if (rp.item[c].in_use && rp.item[c].is_async && rp.item[c].async == a)
            return;
    if (rp.async[a])
        etalon_subject.async_deinit(rp.self, a);
    rp.async[a] = 0;
}

static inline void rp_notify(unsigned a) {
    if (rp.async[a])
        rp_by_a_thread(&rp.async[a]);
}

static inline void rp_async_wait(unsigned c, unsigned a, enum etalon_subject_action (*body)(void),
                                 const char *call) {
    if (rp.item[c].in_use || !rp.async[a])
        return;
    struct rp_item *i = rp_start(c, body);
    i->is_async = 1;
    i->async = a;
    rp_started(c, etalon_subject.async_wait(rp.self, c, a, i->userdata, 1), call);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* What has no other end. Returns 0, or another number after an error. */
static inline int rp_open_one(unsigned d, const char *kind, int *fd) {
    int listens = strcmp(kind, "listener") == 0, is_port = strcmp(kind, "port") == 0, small = 1;
    int type = (is_port ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (strcmp(kind, "file") == 0) {
        *fd = memfd_create("reproducer", MFD_CLOEXEC);
        return *fd < 0 || ftruncate(*fd, RP_FILE) != 0;
    }
    *fd = socket(AF_UNIX, type, 0);
    if (*fd < 0 || setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) != 0)
        return 1;
    if (!listens && !is_port)
        return 0;
    rp_name(&rp.named[d]);
    if (bind(*fd, (const struct sockaddr *)&rp.named[d].name, rp.named[d].length) != 0)
        return 1;
    return listens && listen(*fd, RP_BACKLOG) != 0;
}

static inline void rp_open(unsigned d, const char *kind) {
    int end[2] = {-1, -1}, small = 1, flags = SOCK_NONBLOCK | SOCK_CLOEXEC, bad;
    if (rp.fd[d] >= 0)
        return;
    if (strcmp(kind, "stream") == 0 || strcmp(kind, "datagram") == 0) {
        int type = strcmp(kind, "stream") == 0 ? SOCK_STREAM : SOCK_DGRAM;
        bad = socketpair(AF_UNIX, type | flags, 0, end);
        for (int i = 0; i < 2 && bad == 0; i++) /* so that it can be filled */
            bad = setsockopt(end[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    } else if (strcmp(kind, "eventfd") == 0) {
        bad = (end[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0;
    } else if (strncmp(kind, "pipe", 4) != 0) {
        bad = rp_open_one(d, kind, &end[0]);
    } else {
        bad = pipe2(end, O_NONBLOCK | O_CLOEXEC);
        if (bad == 0 && strcmp(kind, "pipe_writer") == 0) {
            int reader = end[0];
            end[0] = end[1];
            end[1] = reader;
        }
        if (bad == 0)
            bad = fcntl(end[0], F_SETPIPE_SZ, 65536) < 0;
    }
    rp.fd[d] = end[0];
    rp.kind[d] = kind;
    rp.peer[d] = end[1] < 0 ? -1 : fcntl(end[1], F_DUPFD_CLOEXEC, 500);
    if (end[1] >= 0)
        close(end[1]);
    if (bad != 0 || (end[1] >= 0 && rp.peer[d] < 0)) {
        perror("reproducer");
        _exit(2);
    }
}

static inline void rp_close(unsigned d) {
    int early = (etalon_subject.offers & ETALON_OFFERS_CLOSED_EARLY) != 0;
    if (rp.fd[d] < 0 || (!early && rp_polled(rp.fd[d])))
        return;
    close(rp.fd[d]);
    if (rp.peer[d] >= 0)
        close(rp.peer[d]);
    rp.fd[d] = rp.peer[d] = -1;
    rp.named[d].length = 0;
}

static inline void rp_dup(unsigned d, unsigned copy) {
    rp_close(copy);
    if (rp.fd[d] >= 0 && rp.fd[copy] < 0)
        rp.fd[copy] = fcntl(rp.fd[d], F_DUPFD_CLOEXEC, 0);
    rp.kind[copy] = rp.kind[d];
}

/* Strangers send to it until no more can. */
static inline void rp_fill_port(const struct rp_address *port, const char *bytes, size_t length) {
    for (ssize_t sent = 0; sent >= 0;) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sent = sendto(fd, bytes, length, MSG_DONTWAIT, (const struct sockaddr *)&port->name,
                      port->length);
        close(fd);
    }
}

static inline void rp_peer_write(unsigned d, uint64_t bytes) {
    static const char scrap[65536] = {0};
    size_t length = bytes < sizeof scrap ? (size_t)bytes : sizeof scrap;
    if (rp.peer[d] >= 0) {
        if (write(rp.peer[d], scrap, length) > 0)
            rp_edge(rp.fd[d]);
    } else if (rp.fd[d] >= 0 && strcmp(rp.kind[d], "eventfd") == 0)
        (void)!write(rp.fd[d], &bytes, sizeof bytes);
    else if (rp.fd[d] >= 0 && strcmp(rp.kind[d], "port") == 0)
        rp_fill_port(&rp.named[d], scrap, length);
}

static inline void rp_peer_read(unsigned d, uint64_t bytes) {
    static char scrap[65536];
    if (rp.peer[d] >= 0)
        (void)!read(rp.peer[d], scrap, bytes < sizeof scrap ? (size_t)bytes : sizeof scrap);
}

static inline void rp_peer_close(unsigned d) {
    if (rp.peer[d] >= 0)
        close(rp.peer[d]);
    rp.peer[d] = -1;
}

static inline void rp_peer_shutdown(unsigned d) {
    if (rp.peer[d] >= 0)
        shutdown(rp.peer[d], SHUT_WR);
}

/* A stranger connects to the listener. */
static inline void rp_peer_connect(unsigned d) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 500);
    struct rp_address own;
    close(fd);
    rp_name(&own);
    if (rp.clients < RP_CLIENTS &&
        bind(high, (const struct sockaddr *)&own.name, own.length) == 0 &&
        connect(high, (const struct sockaddr *)&rp.named[d].name, rp.named[d].length) == 0) {
        rp.client[rp.clients].fd = high;
        rp.client[rp.clients++].address = own;
    } else {
        close(high);
    }
}

/* As if the caller had computed for so long. */
static inline void rp_advance(uint64_t ns) {
    uint64_t until = rp_clock() + ns;
    struct timespec end;
    end.tv_sec = (time_t)(until / 1000000000);
    end.tv_nsec = (long)(until % 1000000000);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
}

static inline void rp_on_signal(int number) {
    (void)number;
}

/* The next wait that sleeps is interrupted by a signal. */
static inline void rp_interrupt(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = rp_on_signal;
    sigaction(SIGUSR1, &action, NULL);
    rp.interrupts = 1;
}

/* ---- the other thread sees the loop sleep, and then does what the world does ----------------- */

static inline int rp_thread_sleeps(long thread) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' && end[2] == 'S';
}

/* Its own threads do, too, if it calls back on such. */
static inline int rp_sleeps(void) {
    int all = rp_thread_sleeps(rp.main_thread);
    long here = syscall(SYS_gettid);
    DIR *tasks = all && (etalon_subject.offers & ETALON_OFFERS_THREADS) != 0
                     ? opendir("/proc/self/task")
                     : NULL;
    for (struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        long thread = atol(task->d_name);
        all = all && (thread == 0 || thread == here || rp_thread_sleeps(thread));
    }
    if (tasks != NULL)
        closedir(tasks);
    return all;
}

/* It has slept for long enough to have settled. */
static inline void rp_look_at_sleep(unsigned slept_ms) {
    for (unsigned c = 0; c < RP_COUNT; c++) {
        struct rp_item *i = &rp.item[c];
        if (i->is_timer && rp_is_due(i, rp_late_ns()))
            rp_seen(RP_LATE, "the loop sleeps %.3f ms beyond the deadline of the timer c%u",
                    (double)(rp_clock() - i->latest) / 1e6, c);
        if (slept_ms > 300 && !i->is_timer && rp_is_due(i, 0))
            rp_seen(RP_UNSERVED, "the loop sleeps although c%u can be served", c);
    }
    if (slept_ms > 2 && rp.turn_over)
        rp_seen(RP_TURNS, "a turn sleeps again, although its sleep was ended");
    if (slept_ms > 300 && rp.woken)
        rp_seen(RP_UNWOKEN, "the loop sleeps although it was woken");
    if (slept_ms > 5 && rp.mode >= 0 &&
        (rp.stopped || rp.mode == ETALON_RUN_NO_WAIT || rp.callbacks >= rp.asked ||
         (rp.mode != RP_UNTIL_STOPPED && !rp_anything())))
        rp_seen(RP_WAITS, "a run waits although %s",
                rp.stopped                      ? "it was stopped"
                : rp.mode == ETALON_RUN_NO_WAIT ? "it was asked not to"
                : !rp_anything()                ? "nothing is in use"
                                                : "enough callbacks were called");
}

static inline void *rp_watch(void *unused) {
    struct timespec moment = {0, 1000000};
    unsigned slept = 0, idle = 0;
    (void)unused;
    for (;;) {
        clock_t used = clock();
        nanosleep(&moment, NULL);
        slept = rp.mode >= 0 && rp_sleeps() ? slept + 1 : 0;
        /* in the run, and at work all the time, without a callback */
        static unsigned callbacks;
        idle = rp.mode >= 0 && slept == 0 && callbacks == rp.all_callbacks && clock() > used
                   ? idle + 1
                   : 0;
        callbacks = rp.all_callbacks;
        if (idle > 500)
            rp_seen(RP_SPINS, "the loop is at work for half a second, and calls nothing");
        if (slept > 0)
            rp_look_at_sleep(slept);
        if (slept >= 3 && rp.interrupts > 0) {
            rp.interrupts = 0;
            rp.turn_over = rp.mode == ETALON_RUN_TURN;
            syscall(SYS_tgkill, getpid(), rp.main_thread, SIGUSR1);
            slept = 0;
        } else if (slept >= 3 && rp.world_next < rp.world_count) {
            rp.time_min = rp_clock();
            rp.world(rp.world_next++);
            slept = 0;
        }
    }
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static inline unsigned rp_open_descriptors(void) {
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static inline void rp_init(void) {
    memset(&rp.host, 0, sizeof rp.host);
    rp.host.size = sizeof rp.host;
    rp.host.called = rp_called;
    rp.host.descriptors_max = 64;
    memset(rp.item, 0, sizeof rp.item);
    memset(rp.async, 0, sizeof rp.async);
    rp.now_ms = 0;
    rp.told_fd = 0;
    rp.time_min = rp_clock();
    rp.stopped = rp.woken = 0;
    rp_answer(etalon_subject.init(&rp.host, &rp.self), "init");
    rp_check_states();
}

static inline void rp_deinit(void) {
    if ((etalon_subject.offers & ETALON_OFFERS_DEINIT) != 0)
        rp_answer(etalon_subject.deinit(rp.self), "deinit");
}

static inline void rp_attempt(void (*program)(void), void (*world)(unsigned), unsigned count) {
    pthread_t watcher;
    signal(SIGPIPE, SIG_IGN);
    for (unsigned d = 0; d < RP_HANDLES; d++)
        rp.fd[d] = rp.peer[d] = -1;
    rp.mode = -1;
    rp.world = world;
    rp.world_count = count;
    rp.main_thread = syscall(SYS_gettid);
    rp_init(); /* what a library opens once for the whole process is no leak */
    rp_deinit();
    unsigned before = rp_open_descriptors();
    while (rp_clock() % RP_MS < 650000 || rp_clock() % RP_MS > 750000)
        ; /* late in a millisecond, as in the run that has shown it */
    rp_init();
    if (pthread_create(&watcher, NULL, rp_watch, NULL) != 0)
        _exit(2);
    program();
    rp_deinit();
    for (unsigned c = 0; c < RP_COUNT; c++) /* nothing waits on a descriptor any more */
        rp.item[c].in_use = 0;
    for (unsigned d = 0; d < RP_HANDLES; d++)
        rp_close(d);
    if ((etalon_subject.offers & ETALON_OFFERS_DEINIT) != 0 && rp_open_descriptors() > before)
        rp_seen(RP_LEAK, "descriptors that are left open: %u", rp_open_descriptors() - before);
    _exit(RP_EXPECTED != RP_NOTHING);
}

/* In a process of its own each time: the loop may crash, or hang. Late is what comes late always;
 * for everything else once is enough. */
static inline int rp_main(void (*program)(void), void (*world)(unsigned), unsigned count,
                          unsigned seconds) {
    int attempts = RP_EXPECTED == RP_NOTHING ? 1 : RP_EXPECTED == RP_LATE ? 3 : RP_ATTEMPTS;
    int shown = 0, more = RP_EXPECTED == RP_NOTHING || RP_EXPECTED == RP_LATE ? 0 : RP_MORE;
    uint64_t begun = rp_clock();
    rp_said = (char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rp_said == MAP_FAILED)
        return 2;
    for (int i = 0; (i < attempts || (i < more && rp_clock() - begun < RP_MORE_S * 1000 * RP_MS)) &&
                    (RP_EXPECTED == RP_LATE ? shown == i : shown == 0);
         i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            alarm(seconds);
            rp_attempt(program, world, count);
        }
        if (child < 0 || syscall(SYS_wait4, child, &status, 0, NULL) < 0)
            return 2;
        int number = status & 0x7f; /* of the signal that has ended it; 0: none */
        if (number != 0 && number != SIGALRM)
            snprintf(rp_said, 400, "it crashes: %s", strsignal(number));
        shown += number == 0         ? status >> 8 == 0
                 : number == SIGALRM ? RP_EXPECTED == RP_NOTHING
                                     : RP_EXPECTED == RP_CRASH;
    }
    int all = RP_EXPECTED == RP_LATE ? shown == attempts : shown > 0;
    printf("%s\nexpected: %s\nseen: %s\n", all ? "shown" : "not shown", RP_SHOULD,
           *rp_said != '\0' ? rp_said : "nothing else than that");
    return all ? 0 : 1;
}
