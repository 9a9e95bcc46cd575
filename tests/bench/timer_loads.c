/* SPDX-License-Identifier: MIT */
/* The timer loads of `make bench`, compiled once for each loop in its own calls (-DLOOP_etalon, …)
 * and for a floor: a data structure that is written for these loads and can do nothing else. The
 * loop sees a clock that the load alone moves, so that a load of an hour takes seconds. Called by
 * bench.py; bench.h has the usage.
 *
 * What a loop provides: init, start, stop, reset (of a running timer), turn (a round that does not
 * wait), turn_waiting (a round in which the loop looks at its earliest deadline; a descriptor is
 * always ready, so that it does not wait), and `fired`, which its callback counts. */
#define BENCH_VIRTUAL_TIME
#include "bench.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#define MS_NS      UINT64_C(1000000)
#define TIMERS_MAX 20000000
#define SPREAD_MS  UINT64_C(60000)
#define HOUR_MS    UINT64_C(3600000)

#define OPERATIONS_MIN 100000

static uint64_t fired, ready;

/* ---- the loops ------------------------------------------------------------------------------- */

#if defined LOOP_etalon || defined LOOP_etalon_carrier
#include <etalon.h>

static struct et_loop loop;
static struct et_completion *timers, poll_completion;
#ifdef LOOP_etalon_carrier
static struct et_completion *carriers;
#endif

static enum et_action on_timer(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)l, (void)c, (void)result, (void)userdata;
    fired++;
    return ET_DISARM;
}

static enum et_action on_ready(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)l, (void)c, (void)result, (void)userdata;
    ready++;
    return ET_REARM;
}

static void init(size_t count) {
    must(et_loop_init(&loop, NULL) == 0, "et_loop_init");
    must((timers = calloc(count, sizeof *timers)) != NULL, "calloc");
#ifdef LOOP_etalon_carrier
    must((carriers = calloc(count, sizeof *carriers)) != NULL, "calloc");
#endif
}

static void watch(int fd) {
    poll_completion = (struct et_completion){
        .operation = ET_POLL, .fd = fd, .callback = on_ready, .poll.events = EPOLLIN};
    must(et_loop_add(&loop, &poll_completion) == 0, "et_loop_add");
}

static void unwatch(void) {
    et_loop_delete(&loop, &poll_completion);
}

static void start(size_t i, uint64_t delay_ms) {
    et_loop_timer(&loop, &timers[i], delay_ms, on_timer, NULL);
}

static void stop(size_t i) {
    et_loop_delete(&loop, &timers[i]);
}

static void reset(size_t i, uint64_t delay_ms) {
#ifdef LOOP_etalon
    et_loop_timer_reset(&loop, &timers[i], NULL, delay_ms, on_timer, NULL);
#else
    et_loop_timer_reset(&loop, &timers[i], &carriers[i], delay_ms, on_timer, NULL);
#endif
}

static void turn(void) {
    must(et_loop_run(&loop, ET_RUN_NO_WAIT) == 0, "et_loop_run");
}

static void turn_waiting(void) {
    must(et_loop_run(&loop, ET_RUN_TURN) == 0, "et_loop_run");
}

#elif defined LOOP_libuv
#include <uv.h>

static uv_loop_t loop;
static uv_timer_t *timers;
static uv_poll_t poll_handle;

static void on_timer(uv_timer_t *t) {
    (void)t;
    fired++;
}

static void on_ready(uv_poll_t *p, int status, int events) {
    (void)p, (void)status, (void)events;
    ready++;
}

static void init(size_t count) {
    must(uv_loop_init(&loop) == 0, "uv_loop_init");
    must((timers = calloc(count, sizeof *timers)) != NULL, "calloc");
    for (size_t i = 0; i < count; i++)
        uv_timer_init(&loop, &timers[i]);
}

static void watch(int fd) {
    must(uv_poll_init(&loop, &poll_handle, fd) == 0, "uv_poll_init");
    must(uv_poll_start(&poll_handle, UV_READABLE, on_ready) == 0, "uv_poll_start");
}

static void unwatch(void) {
    uv_close((uv_handle_t *)&poll_handle, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void start(size_t i, uint64_t delay_ms) {
    uv_timer_start(&timers[i], on_timer, delay_ms, 0);
}

static void stop(size_t i) {
    uv_timer_stop(&timers[i]);
}

static void reset(size_t i, uint64_t delay_ms) {
    uv_timer_start(&timers[i], on_timer, delay_ms, 0);
}

static void turn(void) {
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void turn_waiting(void) {
    uv_run(&loop, UV_RUN_ONCE);
}

#elif defined LOOP_libev
#include <ev.h>

static struct ev_loop *loop;
static ev_timer *timers;
static ev_io io;

static void on_timer(struct ev_loop *l, ev_timer *t, int events) {
    (void)events;
    ev_timer_stop(l, t); /* `repeat` is its delay, by which it is reset */
    fired++;
}

static void on_ready(struct ev_loop *l, ev_io *w, int events) {
    (void)l, (void)w, (void)events;
    ready++;
}

static void init(size_t count) {
    must((loop = ev_loop_new(EVFLAG_AUTO)) != NULL, "ev_loop_new");
    must((timers = calloc(count, sizeof *timers)) != NULL, "calloc");
}

static void watch(int fd) {
    ev_io_init(&io, on_ready, fd, EV_READ);
    ev_io_start(loop, &io);
}

static void unwatch(void) {
    ev_io_stop(loop, &io);
}

static void start(size_t i, uint64_t delay_ms) {
    ev_timer_init(&timers[i], on_timer, (double)delay_ms / 1e3, 0.);
    ev_timer_start(loop, &timers[i]);
}

static void stop(size_t i) {
    ev_timer_stop(loop, &timers[i]);
}

/* what libev's manual advises for timeouts */
static void reset(size_t i, uint64_t delay_ms) {
    timers[i].repeat = (double)delay_ms / 1e3;
    ev_timer_again(loop, &timers[i]);
}

static void turn(void) {
    ev_run(loop, EVRUN_NOWAIT);
}

static void turn_waiting(void) {
    ev_run(loop, EVRUN_ONCE);
}

#elif defined LOOP_libevent
#include <event2/event.h>
#include <event2/event_struct.h>

static struct event_base *loop;
static struct event *timers, io;

static void on_timer(evutil_socket_t fd, short events, void *i) {
    (void)fd, (void)events, (void)i;
    fired++;
}

static void on_ready(evutil_socket_t fd, short events, void *i) {
    (void)fd, (void)events, (void)i;
    ready++;
}

static void init(size_t count) {
    must((loop = event_base_new()) != NULL, "event_base_new");
    must((timers = calloc(count, sizeof *timers)) != NULL, "calloc");
    for (size_t i = 0; i < count; i++)
        must(event_assign(&timers[i], loop, -1, 0, on_timer, NULL) == 0, "event_assign");
}

static void watch(int fd) {
    must(event_assign(&io, loop, fd, EV_READ | EV_PERSIST, on_ready, NULL) == 0, "event_assign");
    must(event_add(&io, NULL) == 0, "event_add");
}

static void unwatch(void) {
    event_del(&io);
}

static void start(size_t i, uint64_t delay_ms) {
    struct timeval delay = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000)};
    event_add(&timers[i], &delay);
}

static void stop(size_t i) {
    event_del(&timers[i]);
}

static void reset(size_t i, uint64_t delay_ms) {
    start(i, delay_ms);
}

static void turn(void) {
    event_base_loop(loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void turn_waiting(void) {
    event_base_loop(loop, EVLOOP_ONCE);
}

#elif defined LOOP_floor

/* One list for each of 4,194,304 milliseconds, and three levels of bits that say which are not
 * empty: all there is to do for delays below an hour and nine minutes. Nothing is checked. */
#define SLOTS (UINT64_C(1) << 22)

struct timer {
    struct timer *next, **link;
    uint64_t deadline_ms;
    void (*callback)(struct timer *);
};

static struct timer *timers, **slots;
static uint64_t *bits[4], now_ms, passed_ms;
static int epoll_fd, watched;

static void on_timer(struct timer *t) {
    (void)t;
    fired++;
}

static void init(size_t count) {
    must((timers = calloc(count, sizeof *timers)) != NULL, "calloc");
    must((slots = calloc(SLOTS, sizeof *slots)) != NULL, "calloc");
    for (int level = 0; level < 4; level++)
        must((bits[level] = calloc((SLOTS >> (6 * level + 6)) + 1, 8)) != NULL, "calloc");
    must((epoll_fd = epoll_create1(0)) >= 0, "epoll_create1");
    now_ms = passed_ms = bench_now_ns / MS_NS;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watched = fd, &event) == 0, "epoll_ctl");
}

static void unwatch(void) {
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watched, NULL);
}

static void start(size_t i, uint64_t delay_ms) {
    struct timer *t = &timers[i];
    t->deadline_ms = now_ms + delay_ms;
    t->callback = on_timer;
    uint64_t slot = t->deadline_ms & (SLOTS - 1);
    if ((t->next = slots[slot]) != NULL)
        t->next->link = &t->next;
    else
        for (int level = 0; level < 4; level++)
            bits[level][slot >> (6 * level + 6)] |= UINT64_C(1) << ((slot >> 6 * level) & 63);
    slots[slot] = t;
    t->link = &slots[slot];
}

static void stop(size_t i) {
    struct timer *t = &timers[i];
    *t->link = t->next;
    if (t->next != NULL) {
        t->next->link = t->link;
        return;
    }
    uint64_t slot = t->deadline_ms & (SLOTS - 1);
    for (int level = 0; slots[slot] == NULL && level < 4; level++) {
        uint64_t *word = &bits[level][slot >> (6 * level + 6)];
        *word &= ~(UINT64_C(1) << ((slot >> 6 * level) & 63));
        if (*word != 0)
            return;
    }
}

static void reset(size_t i, uint64_t delay_ms) {
    stop(i);
    start(i, delay_ms);
}

/* The first slot that is not empty from `from` on, without going round; SLOTS: none. */
static uint64_t first_slot(uint64_t from) {
    for (int level = 0; level < 4; level++) {
        uint64_t at = from >> 6 * level;
        if (at >= SLOTS >> 6 * level)
            return SLOTS;
        uint64_t rest = bits[level][at >> 6] >> (at & 63);
        if (rest != 0) {
            at += (uint64_t)__builtin_ctzll(rest);
            while (level-- > 0)
                at = at << 6 | (uint64_t)__builtin_ctzll(bits[level][at]);
            return at;
        }
        from = (from | ((UINT64_C(64) << 6 * level) - 1)) + 1;
    }
    return SLOTS;
}

static uint64_t earliest(void) {
    uint64_t at = first_slot(passed_ms & (SLOTS - 1));
    return at < SLOTS ? at : first_slot(0);
}

static void round_of(int wait_ms) {
    struct epoll_event event;
    now_ms = bench_now_ns / MS_NS;
    while (passed_ms <= now_ms) {
        uint64_t at = earliest();
        uint64_t due = at == SLOTS ? now_ms + 1 : passed_ms + ((at - passed_ms) & (SLOTS - 1));
        if (due > now_ms) {
            passed_ms = now_ms;
            break;
        }
        passed_ms = due;
        while (slots[at] != NULL) {
            struct timer *t = slots[at];
            stop((size_t)(t - timers));
            t->callback(t);
        }
    }
    ready += epoll_wait(epoll_fd, &event, 1, wait_ms) == 1;
}

static void turn(void) {
    round_of(0);
}

static void turn_waiting(void) {
    round_of((int)((earliest() - now_ms) & (SLOTS - 1)));
}
#endif

/* ---- the loads ------------------------------------------------------------------------------- */

/* A little past the millisecond: exactly on a deadline, libev's doubles make it ask again. */
static void pass_ms(uint64_t ms) {
    bench_now_ns += ms * MS_NS;
}

static void fire_all(uint64_t until) {
    for (int i = 0; i < 1000 && fired < until; i++)
        turn();
    must(fired == until, "a turn that fires what is due");
}

/* How often a load of few timers is repeated: a handful of operations cannot be measured. */
static uint64_t times_for(size_t count) {
    return OPERATIONS_MIN / bench_share / count + 1;
}

/* Start all, due in 0 or 1 ms, and let them fire. */
static uint64_t fire(size_t count) {
    uint64_t times = times_for(count);
    bench_begin();
    turn();
    for (uint64_t k = 0; k < times; k++) {
        uint64_t before = fired;
        for (size_t i = 0; i < count; i++)
            start(i, i & 1);
        pass_ms(3);
        fire_all(before + count);
    }
    bench_end();
    return times * count;
}

/* Start all, due in one to two minutes, and stop all, in the same order. */
static uint64_t start_stop(size_t count) {
    uint64_t times = times_for(count), before = fired;
    bench_begin();
    for (uint64_t k = 0; k < times; k++) {
        for (size_t i = 0; i < count; i++)
            start(i, SPREAD_MS + bench_random() % SPREAD_MS);
        turn();
        for (size_t i = 0; i < count; i++)
            stop(i);
        turn();
    }
    bench_end();
    pass_ms(3 * SPREAD_MS);
    turn();
    must(fired == before, "no timer that was stopped fires");
    return times * count;
}

static void stop_all(size_t count) {
    for (size_t i = 0; i < count; i++)
        stop(i);
    turn();
}

#define RESETS  1000000
#define LATE_MS 1000 /* that an idle connection may be heard of late */

/* Among `count` timers of one to two minutes, one at random gets another such delay; a turn after
 * every 64th. */
static uint64_t reset_random(size_t count) {
    uint64_t before = fired;
    for (size_t i = 0; i < count; i++)
        start(i, SPREAD_MS + bench_random() % SPREAD_MS);
    turn();
    bench_begin();
    for (unsigned i = 0; i < RESETS / bench_share; i++) {
        reset(bench_random() % count, SPREAD_MS + bench_random() % SPREAD_MS);
        if (i % 64 == 63)
            turn();
    }
    turn();
    bench_end();
    pass_ms(3 * SPREAD_MS);
    fire_all(before + count);
    return RESETS / bench_share;
}

/* The same with delays that become shorter and shorter, from two minutes to one, and again. */
static uint64_t reset_shorter(size_t count) {
    uint64_t before = fired;
    for (size_t i = 0; i < count; i++)
        start(i, SPREAD_MS + bench_random() % SPREAD_MS);
    turn();
    bench_begin();
    for (unsigned i = 0; i < RESETS / bench_share; i++) {
        reset(bench_random() % count, 2 * SPREAD_MS - i % SPREAD_MS);
        if (i % 64 == 63)
            turn();
    }
    turn();
    bench_end();
    pass_ms(3 * SPREAD_MS);
    fire_all(before + count);
    return RESETS / bench_share;
}

/* What idle timeouts do: `count` connections, each heard of once a minute, the one that was silent
 * longest first; its timer, always the earliest, is set to a minute from now. Time goes on; a turn
 * in which the loop computes how long to wait after every `each`. */
static uint64_t idle_turns(size_t count, unsigned each) {
    int fd = eventfd(1, EFD_NONBLOCK);
    uint64_t step_ns = SPREAD_MS * MS_NS / count, fired_before = fired;
    must(fd >= 0, "eventfd");
    watch(fd);
    for (size_t i = 0; i < count; i++)
        start(i, LATE_MS + SPREAD_MS * (i + 1) / count);
    turn();
    turn_waiting();
    bench_begin();
    for (size_t i = 0; i < RESETS / bench_share; i++) {
        bench_now_ns += step_ns;
        reset(i % count, SPREAD_MS + LATE_MS);
        if (i % each == each - 1)
            turn_waiting();
    }
    bench_end();
    must(fired == fired_before, "no timer of an idle connection fires");
    unwatch();
    stop_all(count);
    close(fd);
    return RESETS / bench_share;
}

static uint64_t reset_idle(size_t count) {
    return idle_turns(count, 64);
}

static uint64_t reset_idle_each(size_t count) {
    return idle_turns(count, 1);
}

/* `count` timers spread over an hour, and a turn for each millisecond of it. */
static uint64_t hour(size_t count) {
    uint64_t before = fired;
    bench_begin();
    turn();
    for (size_t i = 0; i < count; i++)
        start(i, 1 + bench_random() % HOUR_MS);
    for (uint64_t ms = 0; ms < HOUR_MS + 2; ms++) {
        turn();
        pass_ms(1);
    }
    fire_all(before + count);
    bench_end();
    return count;
}

static const struct bench_load loads[] = {
    {"fire", fire, true},
    {"stop", start_stop, true},
    {"reset-random", reset_random, true},
    {"reset-shorter", reset_shorter, true},
    {"reset-idle", reset_idle, true},
    {"reset-idle-each", reset_idle_each, true},
    {"hour", hour, false},
};

int main(int argc, char **argv) {
    bench_now_ns += 1000; /* see pass_ms */
    return bench_main(argc, argv, loads, sizeof loads / sizeof *loads, TIMERS_MAX, init);
}
