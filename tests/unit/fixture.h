/* SPDX-License-Identifier: MIT */
/* What the tests of the loop on the real kernel share: a loop, completions, a log of the callbacks,
 * and descriptors that are closed when the test is over. Every test begins and ends with the same
 * number of open descriptors. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "filter.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../src/etalon.h"

#define COMPLETIONS 16
#define EVENTS_MAX  64
#define KEPT_MAX    64
#define HOUR_MS     3600000
#define WATCHDOG_S  15 /* a test that hangs is aborted */

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

struct event {
    struct et_completion *completion;
    int64_t result;
    struct et_loop *loop;
    void *userdata;
    uint64_t loop_ms, clock_ms;
    enum et_state state;
};

struct expected {
    struct et_completion *completion;
    int64_t result;
};

/* Static, because the loop still knows them when a test fails and its frame is gone. */
static struct et_loop loop;
static struct et_completion c[COMPLETIONS];
static struct event events[EVENTS_MAX];
static unsigned events_count;
static int kept[KEPT_MAX];
static unsigned kept_count, descriptors_before;

/* ---- time and load --------------------------------------------------------------------------- */

static inline uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ms(void) {
    return clock_ns() / 1000000;
}

static inline void sleep_ms(uint64_t ms) {
    uint64_t end_ns = clock_ns() + ms * 1000000, now_ns;
    while ((now_ns = clock_ns()) < end_ns) {
        uint64_t left_ns = end_ns - now_ns;
        nanosleep(&(struct timespec){(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)},
                  NULL);
    }
}

/* What this thread has cost so far. */
static inline uint64_t cpu_ms(void) {
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* How often this thread has slept: every wait of the loop that is not answered at once is one of
 * them. */
static inline long sleeps(void) {
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return u.ru_nvcsw;
}

/* ---- the log --------------------------------------------------------------------------------- */

static inline enum et_action note(struct et_loop *l, struct et_completion *x, int64_t result,
                                  void *userdata) {
    if (events_count < EVENTS_MAX)
        events[events_count] = (struct event){
            x, result, l, userdata, et_loop_now(l), clock_ms(), et_completion_state(x)};
    events_count++;
    return ET_DISARM;
}

static inline enum et_action note_and_rearm(struct et_loop *l, struct et_completion *x,
                                            int64_t result, void *userdata) {
    note(l, x, result, userdata);
    return ET_REARM;
}

static inline void print_event(const char *word, size_t i, const struct et_completion *x,
                               int64_t result) {
    if (x >= c && x < c + COMPLETIONS)
        print_error("%s %zu: c[%td] %" PRId64 "\n", word, i, x - c, result);
    else
        print_error("%s %zu: %p %" PRId64 "\n", word, i, (const void *)x, result);
}

static inline void expect_events(const struct expected *expected, size_t count, const char *file,
                                 int line) {
    bool same = events_count == count;
    for (size_t i = 0; i < count && same; i++)
        same = events[i].completion == expected[i].completion &&
               events[i].result == expected[i].result && events[i].state == ET_DEAD &&
               events[i].loop == &loop;
    if (!same) {
        for (size_t i = 0; i < count; i++)
            print_event("expected", i, expected[i].completion, expected[i].result);
        for (size_t i = 0; i < events_count && i < EVENTS_MAX; i++)
            print_event("happened", i, events[i].completion, events[i].result);
        _fail(file, line);
    }
    events_count = 0;
}

/* EXPECT({&c[0], 0}, …): exactly these callbacks since the last EXPECT, in this order. */
#define EXPECT(...)                                                                                \
    expect_events((struct expected[]){__VA_ARGS__},                                                \
                  sizeof((struct expected[]){__VA_ARGS__}) / sizeof(struct expected), __FILE__,    \
                  __LINE__)
#define EXPECT_NOTHING()   expect_events(NULL, 0, __FILE__, __LINE__)
#define EXPECT_STATE(x, s) assert_int_equal(et_completion_state(x), s)

/* ---- descriptors ----------------------------------------------------------------------------- */

static inline unsigned descriptors_open(void) {
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Closed in the teardown. */
static inline int keep(int fd) {
    assert_true(fd >= 0);
    assert_true(kept_count < KEPT_MAX);
    return kept[kept_count++] = fd;
}

/* Somebody else has closed it, or will. */
static inline int forget(int fd) {
    for (unsigned i = 0; i < kept_count; i++)
        if (kept[i] == fd) {
            kept[i] = kept[--kept_count];
            return fd;
        }
    fail_msg("descriptor %d is not kept", fd);
    return -1;
}

static inline void drop(int fd) {
    assert_int_equal(close(forget(fd)), 0);
}

/* p[0] to read, p[1] to write; both in non-blocking mode. */
static inline void open_pipe(int p[2]) {
    assert_int_equal(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    keep(p[0]);
    keep(p[1]);
}

static inline void open_pair(int p[2], int type) {
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, p), 0);
    keep(p[0]);
    keep(p[1]);
}

/* A TCP socket that listens on the loopback interface, and where. */
static inline int open_listener(int backlog, struct sockaddr_in *where) {
    int fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    socklen_t length = sizeof *where;
    *where = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)where, sizeof *where), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)where, &length), 0);
    return fd;
}

static inline void put(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* ---- submitting ------------------------------------------------------------------------------ */

static inline void submit(struct et_completion *x, struct et_completion description) {
    *x = description;
    if (x->callback == NULL)
        x->callback = note;
    assert_int_equal(et_loop_add(&loop, x), 0);
    EXPECT_STATE(x, ET_ADDING);
}

static inline void submit_noop(struct et_completion *x) {
    submit(x, (struct et_completion){.operation = ET_NOOP});
}

static inline void submit_timer(struct et_completion *x, uint64_t delay_ms) {
    submit(x, (struct et_completion){.operation = ET_TIMER, .timer = {delay_ms}});
}

static inline void submit_read(struct et_completion *x, int fd, void *buffer, size_t length) {
    submit(x, (struct et_completion){.operation = ET_READ, .fd = fd, .read = {buffer, length}});
}

static inline void submit_write(struct et_completion *x, int fd, const void *buffer,
                                size_t length) {
    submit(x, (struct et_completion){.operation = ET_WRITE, .fd = fd, .write = {buffer, length}});
}

static inline void submit_recv(struct et_completion *x, int fd, void *buffer, size_t length) {
    submit(x, (struct et_completion){.operation = ET_RECV, .fd = fd, .recv = {buffer, length, 0}});
}

static inline void submit_send(struct et_completion *x, int fd, const void *buffer, size_t length) {
    submit(x, (struct et_completion){.operation = ET_SEND, .fd = fd, .send = {buffer, length, 0}});
}

static inline void submit_poll(struct et_completion *x, int fd, uint32_t asked) {
    submit(x, (struct et_completion){.operation = ET_POLL, .fd = fd, .poll = {asked}});
}

static inline void submit_close(struct et_completion *x, int fd) {
    submit(x, (struct et_completion){.operation = ET_CLOSE, .fd = fd});
}

static inline void submit_cancel(struct et_completion *x, struct et_completion *target) {
    assert_int_equal(et_loop_cancel(&loop, x, target, note, NULL), 0);
    EXPECT_STATE(x, ET_ADDING);
}

static inline void run(enum et_run_mode mode) {
    assert_int_equal(et_loop_run(&loop, mode), 0);
}

/* ---- before and after each test -------------------------------------------------------------- */

/* SIGABRT, which ends the program, unless the next test or the end comes first. */
static inline void wind_watchdog(time_t seconds) {
    static timer_t watchdog;
    static bool made;
    struct sigevent signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGABRT};
    if (!made)
        assert_int_equal(timer_create(CLOCK_MONOTONIC, &signal, &watchdog), 0);
    made = true;
    assert_int_equal(
        timer_settime(watchdog, 0, &(struct itimerspec){.it_value.tv_sec = seconds}, NULL), 0);
}

static inline int setup(void **state) {
    (void)state;
    wind_watchdog(WATCHDOG_S);
    memset(c, 0, sizeof c);
    memset(&loop, 0, sizeof loop);
    events_count = kept_count = 0;
    descriptors_before = descriptors_open();
    return et_loop_init(&loop, NULL);
}

static inline int teardown(void **state) {
    (void)state;
    et_loop_deinit(&loop);
    while (kept_count > 0)
        assert_int_equal(close(kept[--kept_count]), 0);
    for (size_t i = 0; i < COMPLETIONS; i++)
        EXPECT_STATE(&c[i], ET_DEAD);
    assert_int_equal(descriptors_open(), descriptors_before);
    wind_watchdog(0);
    return 0;
}

#endif
