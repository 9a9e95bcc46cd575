/* SPDX-License-Identifier: MIT */
/* The loads of `make bench` in which several threads have a part: producers that ask a loop and
 * wait for its answer, and a pool that makes system calls for the loop. Compiled once for each loop
 * in its own calls (-DLOOP_etalon, …) and for a floor of epoll, an eventfd and pthreads. Called by
 * bench.py; bench.h has the usage.
 *
 * What a loop provides: init, notify (by any thread: the loop then calls answer_all), run, end_run;
 * and, if it has a pool, submit (a read of one byte by a thread of the pool, which ends with
 * is_read). */
#include "bench.h"
#include "run.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define PRODUCERS_MAX 64
#define REQUESTS      60000
#define READS         100000
#define UNDER_WAY_MAX 1024
#define POOL_THREADS  2
#define FILE_BYTES    4096

static void answer_all(void);

#if defined LOOP_etalon || defined LOOP_libuv || defined LOOP_floor

#define HAS_POOL
/* A read of the pool: one byte at `offset`, which is byte number `offset` of the file. */
static int file;
static size_t under_way;
static void is_read(size_t i, int64_t result);
static struct part {
    unsigned char byte;
    off_t offset;
} parts[UNDER_WAY_MAX];
#endif

/* ---- the loops ------------------------------------------------------------------------------- */

#if defined LOOP_etalon

static struct et_pool pool;
static struct et_async async;
static struct et_completion wait_completion, *reads;

static enum et_action on_async(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)l, (void)c, (void)userdata;
    must(result == 8, "et_async_wait");
    answer_all();
    return ET_REARM;
}

static void init(size_t count) {
    must(et_pool_init(&pool, &(struct et_pool_options){.threads_max = POOL_THREADS}) == 0,
         "et_pool_init");
    must(et_loop_init(&loop, &(struct et_options){.pool = &pool}) == 0, "et_loop_init");
    must(et_async_init(&async) == 0, "et_async_init");
    must(et_async_wait(&loop, &async, &wait_completion, on_async, NULL) == 0, "et_async_wait");
    must((reads = calloc(count, sizeof *reads)) != NULL, "calloc");
}

static void notify(void) {
    must(et_async_notify(&async) == 0, "et_async_notify");
}

static enum et_action on_read(struct et_loop *l, struct et_completion *c, int64_t result,
                              void *userdata) {
    (void)l, (void)userdata;
    is_read((size_t)(c - reads), result);
    return ET_DISARM;
}

static void submit(size_t i) {
    reads[i].operation = ET_PREAD;
    reads[i].on_pool = true;
    reads[i].fd = file;
    reads[i].callback = on_read;
    reads[i].pread.buffer = &parts[i].byte;
    reads[i].pread.length = 1;
    reads[i].pread.offset = parts[i].offset;
    must(et_loop_add(&loop, &reads[i]) == 0, "et_loop_add");
}

#elif defined LOOP_libuv

static uv_async_t async;
static uv_fs_t *reads;

static void on_async(uv_async_t *a) {
    (void)a;
    answer_all();
}

static void init(size_t count) {
    char threads[12];
    snprintf(threads, sizeof threads, "%d", POOL_THREADS);
    must(setenv("UV_THREADPOOL_SIZE", threads, 1) == 0, "setenv");
    must(uv_loop_init(&loop) == 0, "uv_loop_init");
    must(uv_async_init(&loop, &async, on_async) == 0, "uv_async_init");
    must((reads = calloc(count, sizeof *reads)) != NULL, "calloc");
}

static void notify(void) {
    must(uv_async_send(&async) == 0, "uv_async_send");
}

static void on_read(uv_fs_t *request) {
    int64_t result = request->result;
    uv_fs_req_cleanup(request);
    is_read((size_t)(request - reads), result);
}

static void submit(size_t i) {
    uv_buf_t buffer = uv_buf_init((char *)&parts[i].byte, 1);
    must(uv_fs_read(&loop, &reads[i], file, &buffer, 1, parts[i].offset, on_read) == 0,
         "uv_fs_read");
}

#elif defined LOOP_libev

static ev_async async;

static void on_async(struct ev_loop *l, ev_async *a, int events) {
    (void)l, (void)a, (void)events;
    answer_all();
}

static void init(size_t count) {
    (void)count;
    must((loop = ev_loop_new(EVFLAG_AUTO)) != NULL, "ev_loop_new");
    ev_async_init(&async, on_async);
    ev_async_start(loop, &async);
}

static void notify(void) {
    ev_async_send(loop, &async);
}

#elif defined LOOP_libevent

#include <event2/thread.h>

static struct event async;

static void on_active(evutil_socket_t fd, short events, void *argument) {
    (void)fd, (void)events, (void)argument;
    answer_all();
}

/* An event of no descriptor, which other threads make active: libevent wakes its loop then. */
static void init(size_t count) {
    (void)count;
    must(evthread_use_pthreads() == 0, "evthread_use_pthreads");
    must((loop = event_base_new()) != NULL, "event_base_new");
    must(event_assign(&async, loop, -1, EV_READ | EV_PERSIST, on_active, NULL) == 0,
         "event_assign");
    must(event_add(&async, NULL) == 0, "event_add");
}

static void notify(void) {
    event_active(&async, EV_READ, 0);
}

#elif defined LOOP_floor

static int epoll_fd, wake_fd;
static bool run_ends;
static struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    size_t numbers[UNDER_WAY_MAX], first, count;
} asked = {.mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER},
  done = {.mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};
static int64_t results[UNDER_WAY_MAX];

/* Returns whether it was empty before. */
static bool put(struct queue *q, size_t i) {
    pthread_mutex_lock(&q->mutex);
    bool was_empty = q->count == 0;
    q->numbers[(q->first + q->count++) % UNDER_WAY_MAX] = i;
    pthread_mutex_unlock(&q->mutex);
    return was_empty;
}

static bool get(struct queue *q, size_t *i, bool waits) {
    pthread_mutex_lock(&q->mutex);
    while (waits && q->count == 0)
        pthread_cond_wait(&q->filled, &q->mutex);
    bool found = q->count > 0;
    if (found) {
        *i = q->numbers[q->first];
        q->first = (q->first + 1) % UNDER_WAY_MAX;
        q->count--;
    }
    pthread_mutex_unlock(&q->mutex);
    return found;
}

static void notify(void) {
    uint64_t one = 1;
    must(write(wake_fd, &one, sizeof one) == sizeof one, "write");
}

static void *work(void *unused) {
    (void)unused;
    for (size_t i; get(&asked, &i, true);) {
        results[i] = pread(file, &parts[i].byte, 1, parts[i].offset);
        if (put(&done, i))
            notify();
    }
    return NULL;
}

static void init(size_t count) {
    (void)count;
    must((epoll_fd = epoll_create1(0)) >= 0, "epoll_create1");
    must((wake_fd = eventfd(0, EFD_NONBLOCK)) >= 0, "eventfd");
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) == 0, "epoll_ctl");
}

static void submit(size_t i) {
    static unsigned threads;
    pthread_t thread;
    if (threads < POOL_THREADS && threads < under_way) {
        must(pthread_create(&thread, NULL, work, NULL) == 0, "pthread_create");
        threads++;
    }
    put(&asked, i);
    pthread_cond_signal(&asked.filled);
}

static void run(void) {
    struct epoll_event event;
    uint64_t count;
    while (!run_ends) {
        must(epoll_wait(epoll_fd, &event, 1, -1) == 1, "epoll_wait");
        must(read(wake_fd, &count, sizeof count) == sizeof count, "read");
        for (size_t i; !run_ends && get(&done, &i, false);)
            is_read(i, results[i]);
        answer_all();
    }
}

static void end_run(void) {
    run_ends = true;
}
#endif

/* ---- the loads ------------------------------------------------------------------------------- */

/* Producers: each asks `requests` times, and waits for the answer every time. Questions of several
 * may be answered by one call of the loop, but each once, and in order. */
static struct producer {
    _Alignas(64) _Atomic(uint64_t) asked;
    _Alignas(64) uint64_t answered;
    int answers; /* an eventfd */
    pthread_t thread;
} producers[PRODUCERS_MAX];
static size_t producers_count;
static uint64_t requests, answers_left;

static void *produce(void *producer) {
    struct producer *p = producer;
    uint64_t answer;
    for (uint64_t i = 1; i <= requests; i++) {
        atomic_store_explicit(&p->asked, i, memory_order_release);
        notify();
        must(read(p->answers, &answer, sizeof answer) == sizeof answer && answer == 1,
             "one answer for each request");
    }
    return NULL;
}

static void answer_all(void) {
    const uint64_t one = 1;
    for (size_t i = 0; i < producers_count; i++) {
        struct producer *p = &producers[i];
        uint64_t asked = atomic_load_explicit(&p->asked, memory_order_acquire);
        if (asked == p->answered)
            continue;
        must(asked == p->answered + 1, "no request is overtaken");
        p->answered = asked;
        must(write(p->answers, &one, sizeof one) == sizeof one, "write");
        if (--answers_left == 0)
            end_run();
    }
}

/* `count` threads ask the loop. */
static uint64_t ask(size_t count) {
    must(count <= PRODUCERS_MAX, "so many producers");
    producers_count = count;
    requests = REQUESTS / bench_share / count;
    answers_left = requests * count;
    for (size_t i = 0; i < count; i++)
        must((producers[i].answers = eventfd(0, EFD_CLOEXEC)) >= 0, "eventfd");
    bench_begin();
    for (size_t i = 0; i < count; i++)
        must(pthread_create(&producers[i].thread, NULL, produce, &producers[i]) == 0,
             "pthread_create");
    run();
    for (size_t i = 0; i < count; i++)
        must(pthread_join(producers[i].thread, NULL) == 0, "pthread_join");
    bench_end();
    for (size_t i = 0; i < count; i++)
        must(producers[i].answered == requests, "every request answered");
    return requests * count;
}

#ifdef HAS_POOL
static size_t reads_left;

static void begin_read(size_t i) {
    parts[i].offset = (off_t)(bench_random() % FILE_BYTES);
    parts[i].byte = 0;
    submit(i);
}

static unsigned char byte_at(off_t offset) {
    return (unsigned char)(offset * 31 + 7);
}

static void is_read(size_t i, int64_t result) {
    must(result == 1 && parts[i].byte == byte_at(parts[i].offset), "the byte that is there");
    if (reads_left > 0) {
        reads_left--;
        begin_read(i);
    } else if (--under_way == 0) {
        end_run();
    }
}

/* `count` reads are with the pool at once. */
static uint64_t hand_over(size_t count) {
    unsigned char bytes[FILE_BYTES];
    uint64_t reads_all = READS / bench_share;
    must((file = memfd_create("bench", MFD_CLOEXEC)) >= 0, "memfd_create");
    for (off_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = byte_at(i);
    must(write(file, bytes, sizeof bytes) == sizeof bytes, "write");
    must(count <= UNDER_WAY_MAX && count <= reads_all, "so many reads at once");
    under_way = count;
    reads_left = reads_all - count;
    bench_begin();
    for (size_t i = 0; i < count; i++)
        begin_read(i);
    run();
    bench_end();
    must(reads_left == 0 && under_way == 0, "every read ended");
    return reads_all;
}
#endif

static const struct bench_load loads[] = {
    {"ask", ask, false},
#ifdef HAS_POOL
    {"pool", hand_over, false},
#endif
};

int main(int argc, char **argv) {
    return bench_main(argc, argv, loads, sizeof loads / sizeof *loads, UNDER_WAY_MAX, init);
}
