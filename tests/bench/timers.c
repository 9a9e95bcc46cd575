/* SPDX-License-Identifier: MIT */
/* How exact the timers of a loop are on the real clock: starts COUNT timers of DELAY milliseconds,
 * a batch at a time, each at a random moment of a millisecond, and prints as JSON how
 * many fired before their delay had gone by and how late they were. Compiled once for each loop, in
 * its own calls (-DLOOP_etalon, …). Called by timers.py, and by tests/run for Etalon alone.
 *
 * usage: timers COUNT DELAY…     exit status 1: a timer was early
 *
 * The clock is read right before the loop is asked to look at it and to start the timer: no loop
 * can count from an earlier moment without being early. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH     20
#define COUNT_MAX 1000000
#define DELAY_MAX 1000
#define MS_NS     UINT64_C(1000000)
#define GAP_NS    (MS_NS / 25) /* between two starts of a batch, at most */

static unsigned left, delay_ms;
static uint64_t started_ns[BATCH];
static int64_t *late_ns;
static size_t fired;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * MS_NS + (uint64_t)t.tv_nsec;
}

/* In every callback, first of all. */
static void fires(size_t i) {
    late_ns[fired++] = (int64_t)(clock_ns() - started_ns[i]) - (int64_t)(delay_ms * MS_NS);
    left--;
}

static void must(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "timers: %s: it failed\n", what);
    exit(2);
}

/* ---- the loops: init, start of timer i, and a run until all have fired ----------------------- */

#if defined LOOP_etalon
#include <etalon.h>

static struct et_loop loop;
static struct et_completion timer[BATCH];

static enum et_action on_timer(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)l, (void)result, (void)userdata;
    fires((size_t)(c - timer));
    return ET_DISARM;
}

static void init(void) {
    must(et_loop_init(&loop, NULL) == 0, "et_loop_init");
}

static void start(size_t i) {
    et_loop_update_now(&loop);
    must(et_loop_timer(&loop, &timer[i], delay_ms, on_timer, NULL) == 0, "et_loop_timer");
}

static void run(void) {
    must(et_loop_run(&loop, ET_RUN_UNTIL_DONE) == 0, "et_loop_run");
}

#elif defined LOOP_libuv
#include <uv.h>

static uv_loop_t loop;
static uv_timer_t timer[BATCH];

static void on_timer(uv_timer_t *t) {
    fires((size_t)(t - timer));
}

static void init(void) {
    must(uv_loop_init(&loop) == 0, "uv_loop_init");
    for (size_t i = 0; i < BATCH; i++)
        must(uv_timer_init(&loop, &timer[i]) == 0, "uv_timer_init");
}

static void start(size_t i) {
    uv_update_time(&loop);
    must(uv_timer_start(&timer[i], on_timer, delay_ms, 0) == 0, "uv_timer_start");
}

static void run(void) {
    must(uv_run(&loop, UV_RUN_DEFAULT) == 0, "uv_run");
}

#elif defined LOOP_libev
#include <ev.h>

static struct ev_loop *loop;
static ev_timer timer[BATCH];

static void on_timer(struct ev_loop *l, ev_timer *t, int events) {
    (void)l, (void)events;
    fires((size_t)(t - timer));
}

static void init(void) {
    must((loop = ev_loop_new(EVFLAG_AUTO)) != NULL, "ev_loop_new");
}

static void start(size_t i) {
    ev_now_update(loop);
    ev_timer_init(&timer[i], on_timer, delay_ms / 1e3, 0.);
    ev_timer_start(loop, &timer[i]);
}

static void run(void) {
    ev_run(loop, 0);
}

#elif defined LOOP_libevent || defined LOOP_libevent_precise
#include <event2/event.h>

static struct event_base *base;
static struct event *timer[BATCH];
static size_t number[BATCH];

static void on_timer(evutil_socket_t fd, short events, void *i) {
    (void)fd, (void)events;
    fires(*(size_t *)i);
}

static void init(void) {
    struct event_config *config = event_config_new();
    must(config != NULL, "event_config_new");
#ifdef LOOP_libevent_precise
    must(event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0, "precise timers");
#endif
    must((base = event_base_new_with_config(config)) != NULL, "event_base_new");
    for (size_t i = 0; i < BATCH; i++) {
        number[i] = i;
        timer[i] = event_new(base, -1, 0, on_timer, &number[i]);
        must(timer[i] != NULL, "event_new");
    }
}

static void start(size_t i) {
    struct timeval delay = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000)};
    event_base_update_cache_time(base);
    must(event_add(timer[i], &delay) == 0, "event_add");
}

static void run(void) {
    must(event_base_dispatch(base) >= 0, "event_base_dispatch");
}
#endif

/* ---- the measurement ------------------------------------------------------------------------- */

static uint64_t random_below(uint64_t limit) {
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 16) % limit;
}

static int compare(const void *left_of, const void *right_of) {
    const int64_t a = *(const int64_t *)left_of, b = *(const int64_t *)right_of;
    return (a > b) - (a < b);
}

/* Returns how many were early. */
static size_t measure(size_t count) {
    size_t early = 0;
    fired = 0;
    while (fired < count) {
        size_t batch = count - fired < BATCH ? count - fired : BATCH;
        for (size_t i = 0; i < batch; i++) {
            /* the last batch has ended at some moment of a millisecond that the loop prefers */
            uint64_t until_ns = clock_ns() + random_below(i == 0 ? MS_NS : GAP_NS);
            while ((started_ns[i] = clock_ns()) < until_ns) {
            }
            left++;
            start(i);
        }
        run();
        must(left == 0, "a run that ends with every timer fired");
    }
    qsort(late_ns, count, sizeof *late_ns, compare);
    while (early < count && late_ns[early] < 0)
        early++;
    printf("{\"delay_ms\": %u, \"timers\": %zu, \"early\": %zu, \"late_us\": "
           "{\"min\": %.1f, \"median\": %.1f, \"p99\": %.1f, \"max\": %.1f}}\n",
           delay_ms, count, early, (double)late_ns[0] / 1e3, (double)late_ns[count / 2] / 1e3,
           (double)late_ns[count * 99 / 100] / 1e3, (double)late_ns[count - 1] / 1e3);
    fflush(stdout);
    return early;
}

static size_t number_of(const char *text, size_t max) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || value == 0 || value > max) {
        fprintf(stderr, "timers: %s is no number from 1 to %zu\n", text, max);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv) {
    size_t early = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: timers COUNT DELAY…\n");
        return 2;
    }
    size_t count = number_of(argv[1], COUNT_MAX);
    late_ns = calloc(count, sizeof *late_ns);
    must(late_ns != NULL, "calloc");
    init();
    for (int i = 2; i < argc; i++) {
        delay_ms = (unsigned)number_of(argv[i], DELAY_MAX);
        early += measure(count);
    }
    free(late_ns);
    return early > 0;
}
