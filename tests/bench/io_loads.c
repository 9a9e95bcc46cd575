/* SPDX-License-Identifier: MIT */
/* The loads of `make bench` in which the kernel has a part: ping-pong over socket pairs, wake-ups
 * between two threads; and submit-and-delete, in which it should have none. Compiled once for each
 * loop in its own calls (-DLOOP_etalon, …) and for a floor, which is epoll and nothing else. Called
 * by bench.py; bench.h has the usage.
 *
 * What a loop provides: init, watch (descriptor i is read for ever: bounce, or the loop's own calls
 * and bounced), run (until `left` is 0), wait_begin and wait_end (of a wait on a descriptor), turn;
 * and for two threads wake_init, wake_send, wake_run. */
#include "bench.h"
#include "run.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PAIRS_MAX  10000
#define WAITS_MAX  10000000
#define BOUNCES    200000
#define WAKE_UPS   50000
#define ADDITIONS  500000
#define MAY_UNUSED __attribute__((unused))

static uint64_t left;
static int descriptors[2 * PAIRS_MAX];

static uint32_t left_of[2 * PAIRS_MAX + 100]; /* bytes to come, by descriptor */

/* A byte has come; whether it goes back. Each pair has so many to bounce, and the load ends with
 * the last of all: when one is lost, never. */
static MAY_UNUSED bool goes_back(int fd) {
    must(left > 0 && left_of[fd] > 0, "no byte that nobody sent");
    left--;
    return --left_of[fd] > 0;
}

/* Readiness: reads the byte, and sends it back. Returns false when all are done. */
static MAY_UNUSED bool bounce(int fd) {
    char byte;
    must(read(fd, &byte, 1) == 1, "read");
    if (goes_back(fd))
        must(write(fd, &byte, 1) == 1, "write");
    return left > 0;
}

/* ---- the loops ------------------------------------------------------------------------------- */

#ifndef LOOP_libevent /* which has no call of its own for another thread */
struct side;          /* one of two threads, with its loop */
static void woken(struct side *side);
#endif

#if defined LOOP_etalon || defined LOOP_etalon_polls

static struct et_completion *reads, *writes;
static char *bytes;

static MAY_UNUSED enum et_action on_polled(struct et_loop *l, struct et_completion *c,
                                           int64_t result, void *userdata) {
    (void)result, (void)userdata;
    if (!bounce(c->fd))
        et_loop_stop(l);
    return ET_REARM;
}

static MAY_UNUSED enum et_action on_received(struct et_loop *l, struct et_completion *c,
                                             int64_t result, void *userdata) {
    struct et_completion *reply = userdata;
    must(result == 1, "recv");
    if (goes_back(c->fd))
        et_loop_add(l, reply);
    else if (left == 0)
        et_loop_stop(l);
    return ET_REARM;
}

static void init(size_t count) {
    must(et_loop_init(&loop, NULL) == 0, "et_loop_init");
    must((reads = calloc(2 * count, sizeof *reads)) != NULL, "calloc");
    must((writes = calloc(2 * count, sizeof *writes)) != NULL, "calloc");
    must((bytes = calloc(2 * count, 1)) != NULL, "calloc");
}

static void watch(size_t i, int fd) {
#ifdef LOOP_etalon
    reads[i] = (struct et_completion){.operation = ET_RECV,
                                      .fd = fd,
                                      .callback = on_received,
                                      .userdata = &writes[i],
                                      .recv = {&bytes[i], 1, 0}};
    writes[i] = (struct et_completion){.operation = ET_SEND, .fd = fd, .send = {&bytes[i], 1, 0}};
#else
    reads[i] = (struct et_completion){
        .operation = ET_POLL, .fd = fd, .callback = on_polled, .poll.events = EPOLLIN};
#endif
    must(et_loop_add(&loop, &reads[i]) == 0, "et_loop_add");
}

static void turn(void) {
    must(et_loop_run(&loop, ET_RUN_NO_WAIT) == 0, "et_loop_run");
}

static void wait_begin(size_t i, int fd) {
    reads[i].operation = ET_RECV;
    reads[i].fd = fd;
    et_loop_add(&loop, &reads[i]);
}

static void wait_end(size_t i) {
    et_loop_delete(&loop, &reads[i]);
}

#define CAN_WAKE
struct side {
    struct et_loop loop;
    struct et_async async;
    struct et_completion wait;
    struct side *other;
};

static enum et_action on_async(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)l, (void)c;
    must(result == 8, "et_async_wait");
    woken(userdata);
    return ET_REARM;
}

static void wake_init(struct side *side) {
    must(et_loop_init(&side->loop, NULL) == 0, "et_loop_init");
    must(et_async_init(&side->async) == 0, "et_async_init");
    et_async_wait(&side->loop, &side->async, &side->wait, on_async, side);
}

static void wake_send(struct side *side) {
    et_async_notify(&side->async);
}

static void wake_run(struct side *side) {
    et_loop_run(&side->loop, ET_RUN_UNTIL_DONE);
}

static void wake_stop(struct side *side) {
    et_loop_stop(&side->loop);
}

#elif defined LOOP_libuv

static uv_pipe_t *pipes;
static uv_poll_t *polls;

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    static char byte[64];
    (void)handle, (void)size;
    *buffer = uv_buf_init(byte, sizeof byte);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count == 0)
        return;
    must(count == 1, "uv_read");
    uv_buf_t reply = uv_buf_init(buffer->base, 1);
    if (goes_back(descriptors[(uv_pipe_t *)stream - pipes]))
        must(uv_try_write(stream, &reply, 1) == 1, "uv_try_write");
    else if (left == 0)
        uv_stop(stream->loop);
}

static void on_poll(uv_poll_t *p, int status, int events) {
    (void)p, (void)status, (void)events;
}

static void init(size_t count) {
    must(uv_loop_init(&loop) == 0, "uv_loop_init");
    must((pipes = calloc(2 * count, sizeof *pipes)) != NULL, "calloc");
    must((polls = calloc(2 * count, sizeof *polls)) != NULL, "calloc");
}

static void watch(size_t i, int fd) {
    must(uv_pipe_init(&loop, &pipes[i], 0) == 0, "uv_pipe_init");
    must(uv_pipe_open(&pipes[i], fd) == 0, "uv_pipe_open");
    must(uv_read_start((uv_stream_t *)&pipes[i], on_alloc, on_read) == 0, "uv_read_start");
}

static void turn(void) {
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void wait_begin(size_t i, int fd) {
    if (polls[i].loop == NULL)
        must(uv_poll_init(&loop, &polls[i], fd) == 0, "uv_poll_init");
    uv_poll_start(&polls[i], UV_READABLE, on_poll);
}

static void wait_end(size_t i) {
    uv_poll_stop(&polls[i]);
}

#define CAN_WAKE
struct side {
    uv_loop_t loop;
    uv_async_t async;
    struct side *other;
};

static void on_async(uv_async_t *async) {
    woken(async->data);
}

static void wake_init(struct side *side) {
    must(uv_loop_init(&side->loop) == 0, "uv_loop_init");
    must(uv_async_init(&side->loop, &side->async, on_async) == 0, "uv_async_init");
    side->async.data = side;
}

static void wake_send(struct side *side) {
    uv_async_send(&side->async);
}

static void wake_run(struct side *side) {
    uv_run(&side->loop, UV_RUN_DEFAULT);
}

static void wake_stop(struct side *side) {
    uv_stop(&side->loop);
}

#elif defined LOOP_libev

static ev_io *ios;

static void on_io(struct ev_loop *l, ev_io *w, int events) {
    (void)events;
    if (!bounce(w->fd))
        ev_break(l, EVBREAK_ALL);
}

static void init(size_t count) {
    must((loop = ev_loop_new(EVFLAG_AUTO)) != NULL, "ev_loop_new");
    must((ios = calloc(2 * count, sizeof *ios)) != NULL, "calloc");
}

static void watch(size_t i, int fd) {
    ev_io_init(&ios[i], on_io, fd, EV_READ);
    ev_io_start(loop, &ios[i]);
}

static void turn(void) {
    ev_run(loop, EVRUN_NOWAIT);
}

static void wait_begin(size_t i, int fd) {
    ev_io_init(&ios[i], on_io, fd, EV_READ);
    ev_io_start(loop, &ios[i]);
}

static void wait_end(size_t i) {
    ev_io_stop(loop, &ios[i]);
}

#define CAN_WAKE
struct side {
    struct ev_loop *loop;
    ev_async async;
    struct side *other;
};

static void on_async(struct ev_loop *l, ev_async *async, int events) {
    (void)l, (void)events;
    woken(async->data);
}

static void wake_init(struct side *side) {
    must((side->loop = ev_loop_new(EVFLAG_AUTO)) != NULL, "ev_loop_new");
    ev_async_init(&side->async, on_async);
    side->async.data = side;
    ev_async_start(side->loop, &side->async);
}

static void wake_send(struct side *side) {
    ev_async_send(side->loop, &side->async);
}

static void wake_run(struct side *side) {
    ev_run(side->loop, 0);
}

static void wake_stop(struct side *side) {
    ev_break(side->loop, EVBREAK_ALL);
}

#elif defined LOOP_libevent

static struct event *ios;

static void on_io(evutil_socket_t fd, short events, void *i) {
    (void)events, (void)i;
    if (!bounce(fd))
        event_base_loopbreak(loop);
}

static void init(size_t count) {
    must((loop = event_base_new()) != NULL, "event_base_new");
    must((ios = calloc(2 * count, sizeof *ios)) != NULL, "calloc");
}

static void watch(size_t i, int fd) {
    must(event_assign(&ios[i], loop, fd, EV_READ | EV_PERSIST, on_io, NULL) == 0, "event_assign");
    must(event_add(&ios[i], NULL) == 0, "event_add");
}

static void turn(void) {
    event_base_loop(loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void wait_begin(size_t i, int fd) {
    event_assign(&ios[i], loop, fd, EV_READ | EV_PERSIST, on_io, NULL);
    event_add(&ios[i], NULL);
}

static void wait_end(size_t i) {
    event_del(&ios[i]);
}

#elif defined LOOP_floor

static int epoll_fd;

static struct waiter {
    struct waiter *next, *previous;
    int fd;
} * waiters, head = {&head, &head, -1};

static void init(size_t count) {
    must((epoll_fd = epoll_create1(0)) >= 0, "epoll_create1");
    must((waiters = calloc(2 * count, sizeof *waiters)) != NULL, "calloc");
}

static void watch(size_t i, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    (void)i;
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void run(void) {
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++)
            if (!bounce(events[i].data.fd))
                return;
    }
}

static void turn(void) {
    struct epoll_event events[256];
    epoll_wait(epoll_fd, events, 256, 0);
}

/* Into a list, and out of it. */
static void wait_begin(size_t i, int fd) {
    struct waiter *w = &waiters[i];
    *w = (struct waiter){&head, head.previous, fd};
    head.previous = head.previous->next = w;
    __asm__ volatile("" ::: "memory"); /* or begin and end together would be nothing */
}

static void wait_end(size_t i) {
    waiters[i].previous->next = waiters[i].next;
    waiters[i].next->previous = waiters[i].previous;
    __asm__ volatile("" ::: "memory");
}

#define CAN_WAKE
struct side {
    int epoll, event;
    bool stopped;
    struct side *other;
};

static void wake_init(struct side *side) {
    must((side->epoll = epoll_create1(0)) >= 0, "epoll_create1");
    must((side->event = eventfd(0, EFD_NONBLOCK)) >= 0, "eventfd");
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(side->epoll, EPOLL_CTL_ADD, side->event, &event) == 0, "epoll_ctl");
}

static void wake_send(struct side *side) {
    uint64_t one = 1;
    must(write(side->event, &one, sizeof one) == sizeof one, "write");
}

static void wake_run(struct side *side) {
    struct epoll_event events[256];
    uint64_t count;
    while (!side->stopped)
        if (epoll_wait(side->epoll, events, 256, -1) == 1) {
            must(read(side->event, &count, sizeof count) == sizeof count, "read");
            woken(side);
        }
}

static void wake_stop(struct side *side) {
    side->stopped = true;
}
#endif

/* ---- the loads ------------------------------------------------------------------------------- */

static void open_pairs(size_t count) {
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    if (limit.rlim_max < 2 * count + 64) {
        fprintf(stderr, "%s: %zu pairs need more descriptors than the hard limit allows\n",
                bench_name, count);
        exit(2);
    }
    for (size_t i = 0; i < count; i++)
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, &descriptors[2 * i]) == 0,
             "socketpair");
}

/* One byte goes to and fro in each of `count` pairs, all of them in this loop. */
static uint64_t ping_pong(size_t count) {
    for (size_t i = 0; i < 2 * count; i++)
        watch(i, descriptors[i]);
    turn();
    uint32_t times = (uint32_t)(BOUNCES / bench_share / (2 * count)) + 1;
    for (size_t i = 0; i < count; i++) {
        left_of[descriptors[2 * i]] = times; /* its last byte stays */
        left_of[descriptors[2 * i + 1]] = times + 1;
        must(write(descriptors[2 * i], "x", 1) == 1, "write");
    }
    uint64_t bounces = left = (uint64_t)times * 2 * count;
    bench_begin();
    run();
    bench_end();
    must(left == 0, "every byte in every pair");
    return bounces;
}

/* Of a wait on each of `count` descriptors in turn; a turn after every 64th. */
static uint64_t submit_delete(size_t count) {
    bench_begin();
    for (unsigned i = 0; i < ADDITIONS / bench_share; i++) {
        wait_begin(i % count, descriptors[2 * (i % count)]);
        wait_end(i % count);
        if (i % 64 == 63)
            turn();
    }
    bench_end();
    return ADDITIONS / bench_share;
}

#define WAITED 10 /* descriptors, for any number of waits */

/* `count` waits are begun, and after a turn all are ended, in the same order. */
static uint64_t waits(size_t count) {
    uint64_t times = ADDITIONS / bench_share / count + 1;
    turn();
    bench_begin();
    for (uint64_t k = 0; k < times; k++) {
        for (size_t i = 0; i < count; i++)
            wait_begin(i, descriptors[2 * (i % WAITED)]);
        turn();
        for (size_t i = 0; i < count; i++)
            wait_end(i);
        turn();
    }
    bench_end();
    return times * count;
}

#ifdef CAN_WAKE
static struct side sides[2];

static void woken(struct side *side) {
    bool ends = __atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) <= 2; /* each is told once more */
    wake_send(side->other);
    if (ends)
        wake_stop(side);
}

static void *run_side(void *side) {
    wake_run(side);
    return NULL;
}

/* Two threads, each with its loop, wake each other in turn. */
static uint64_t wake_ups(size_t count) {
    pthread_t thread;
    (void)count;
    left = WAKE_UPS / bench_share;
    for (int i = 0; i < 2; i++) {
        sides[i].other = &sides[1 - i];
        wake_init(&sides[i]);
    }
    must(pthread_create(&thread, NULL, run_side, &sides[1]) == 0, "pthread_create");
    bench_begin();
    wake_send(&sides[1]);
    wake_run(&sides[0]);
    must(pthread_join(thread, NULL) == 0, "pthread_join");
    bench_end();
    return WAKE_UPS / bench_share;
}
#endif

static const struct bench_load loads[] = {
    {"ping-pong", ping_pong, false},
    {"submit-delete", submit_delete, true},
    {"waits", waits, true},
#ifdef CAN_WAKE
    {"wake-ups", wake_ups, false},
#endif
};

static void begin(size_t count) {
    open_pairs(count);
    init(count);
}

static void begin_waits(size_t count) {
    open_pairs(WAITED);
    init(count);
}

int main(int argc, char **argv) {
    bool of_waits = argc > 1 && strcmp(argv[1], "waits") == 0;
    return bench_main(argc, argv, loads, sizeof loads / sizeof *loads,
                      of_waits ? WAITS_MAX : PAIRS_MAX, of_waits ? begin_waits : begin);
}
