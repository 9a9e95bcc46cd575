/* SPDX-License-Identifier: MIT */
/* A small loop that calls back on threads of its own, as a subject, with one fault that is chosen
 * when it is compiled (-DFAULT=…): so that the runner is seen to drive such a loop, and the judge
 * to find what is wrong with it. tests/suites/kit/threads.sh has what must come of each.
 *
 * One thread waits for descriptors and timers, and puts what is due into a queue, from which two
 * others call back, one at a time; it waits again when the queue is empty. All of them stand still
 * while the first thread is not inside run. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "etalon_subject.h"

#ifndef FAULT
#define FAULT NONE
#endif

enum fault {
    NONE,
    TWO_AT_ONCE,
    CALLS_WHAT_IS_DELETED, /* while its callback waits for another one's end */
    LOSES_A_CALLBACK,      /* that would have to wait for another one's end */
    LOSES_A_WAKEUP,
    CALLS_OUTSIDE_OF_RUN,
    SPINS,
    RETURNS_TOO_EARLY, /* while a callback has yet to come */
    ENDS_AT_EINTR,
    HIDES_ITS_THREADS, /* does not say that it has any */
};

#define WORKERS 2

struct completion {
    int used, is_poll, fd;
    uint32_t userdata;
    uint64_t deadline_ns, delay_ms, order;
    uint32_t events;
    unsigned uses; /* how often it was started */
};

struct call {
    uint32_t c;
    int64_t result;
    unsigned uses;
};

static struct {
    const struct etalon_subject_host *host;
    struct completion completion[ETALON_SUBJECT_COMPLETIONS];
    struct call queue[2 * ETALON_SUBJECT_COMPLETIONS];
    unsigned queued, calls;
    uint64_t orders;
    uint32_t mode;
    int epoll, wakeup, runs, stopped, turned, calling, ends, poked;
    pthread_mutex_t mutex;
    pthread_cond_t work, done; /* for the threads; for run */
    pthread_t waiter, worker[WORKERS];
} loop = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- with the mutex -------------------------------------------------------------------------- */

static int start(uint32_t c) {
    struct completion *of = &loop.completion[c];
    const uint64_t farthest = INT64_MAX;
    struct epoll_event event = {.events = of->events, .data.u32 = c};
    of->used = 1;
    of->uses++;
    of->order = loop.orders++;
    of->deadline_ns =
        clock_ns() + (of->delay_ms > farthest / 1000000 ? farthest : of->delay_ms * 1000000);
    if (!of->is_poll || epoll_ctl(loop.epoll, EPOLL_CTL_ADD, of->fd, &event) == 0)
        return 0;
    of->used = 0;
    return -errno;
}

static void end(uint32_t c) {
    struct completion *of = &loop.completion[c];
    if (of->used && of->is_poll)
        (void)epoll_ctl(loop.epoll, EPOLL_CTL_DEL, of->fd, NULL);
    of->used = 0;
}

static int anything_in_use(void) {
    int any = 0;
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        any = any || loop.completion[c].used;
    return any;
}

static int is_timer(uint32_t c) {
    return loop.completion[c].used && !loop.completion[c].is_poll;
}

static int comes_before(const struct completion *a, const struct completion *b) {
    return a->deadline_ns < b->deadline_ns ||
           (a->deadline_ns == b->deadline_ns && a->order < b->order);
}

/* The timer whose turn it is behind `last`, which may be NULL. */
static struct completion *next_timer(const struct completion *last) {
    struct completion *first = NULL;
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++) {
        struct completion *of = &loop.completion[c];
        if (is_timer(c) && (last == NULL || comes_before(last, of)) &&
            (first == NULL || comes_before(of, first)))
            first = of;
    }
    return first;
}

static void put(uint32_t c, int64_t result) {
    loop.queue[loop.queued++] = (struct call){c, result, loop.completion[c].uses};
}

static int run_is_over(void) {
    if (FAULT == RETURNS_TOO_EARLY && loop.turned)
        return 1;
    return loop.stopped || (loop.mode == ETALON_RUN_NO_WAIT && loop.turned) ||
           (loop.mode != ETALON_RUN_NO_WAIT && !anything_in_use()) ||
           (loop.mode == ETALON_RUN_ONCE && loop.calls > 0);
}

/* ---- the threads ----------------------------------------------------------------------------- */

static int wait_for_events(struct epoll_event *event) {
    const struct completion *first = next_timer(NULL);
    uint64_t now = clock_ns();
    uint64_t left = first == NULL || first->deadline_ns <= now ? 0 : first->deadline_ns - now;
    int waits = loop.mode != ETALON_RUN_NO_WAIT && loop.runs && FAULT != SPINS;
    if (!waits)
        left = 0;
    int for_ever = first == NULL && waits;
    struct timespec limit = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    pthread_mutex_unlock(&loop.mutex);
    int count = epoll_pwait2(loop.epoll, event, ETALON_SUBJECT_COMPLETIONS + 1,
                             for_ever ? NULL : &limit, NULL);
    int error = errno;
    pthread_mutex_lock(&loop.mutex);
    if (FAULT == ENDS_AT_EINTR && count < 0 && error == EINTR)
        loop.stopped = 1;
    return count;
}

static void turn(void) {
    struct epoll_event event[ETALON_SUBJECT_COMPLETIONS + 1];
    int count = wait_for_events(event);
    uint64_t now = clock_ns(), value;
    for (struct completion *of = next_timer(NULL); of != NULL && of->deadline_ns <= now;
         of = next_timer(of))
        put((uint32_t)(of - loop.completion), 0);
    for (int i = 0; i < count; i++)
        if (event[i].data.u32 != ETALON_NOBODY)
            put(event[i].data.u32, event[i].events);
        else if (FAULT != LOSES_A_WAKEUP || loop.mode == ETALON_RUN_NO_WAIT)
            (void)!read(loop.wakeup, &value, sizeof value);
    loop.turned = 1;
    loop.poked = 0;
}

static void *wait_in_turns(void *unused) {
    (void)unused;
    pthread_mutex_lock(&loop.mutex);
    while (!loop.ends) {
        int idle = !loop.runs && !loop.poked;
        if (idle || loop.queued > 0 || loop.calling) {
            pthread_cond_wait(&loop.work, &loop.mutex);
        } else if (loop.runs && run_is_over()) {
            loop.runs = 0;
            pthread_cond_signal(&loop.done);
        } else {
            turn();
            pthread_cond_broadcast(&loop.work);
        }
    }
    pthread_mutex_unlock(&loop.mutex);
    return NULL;
}

/* The mutex is not held while it calls. */
static void call(const struct call *what) {
    struct completion *of = &loop.completion[what->c];
    uint32_t userdata = of->userdata;
    int deleted = !of->used || of->uses != what->uses;
    if (loop.stopped || (deleted && FAULT != CALLS_WHAT_IS_DELETED))
        return;
    end(what->c);
    loop.calling++;
    loop.calls++;
    unsigned uses = of->uses;
    pthread_mutex_unlock(&loop.mutex);
    enum etalon_subject_action action = loop.host->called(what->c, what->result, userdata);
    pthread_mutex_lock(&loop.mutex);
    loop.calling--;
    if (action == ETALON_REARM && of->uses == uses)
        (void)start(what->c);
}

static void *call_back(void *unused) {
    (void)unused;
    pthread_mutex_lock(&loop.mutex);
    while (!loop.ends) {
        if (loop.queued == 0 ||
            (loop.calling && FAULT != TWO_AT_ONCE && FAULT != LOSES_A_CALLBACK)) {
            pthread_cond_wait(&loop.work, &loop.mutex);
            continue;
        }
        struct call first = loop.queue[0];
        loop.queued--;
        for (unsigned i = 0; i < loop.queued; i++)
            loop.queue[i] = loop.queue[i + 1];
        if (FAULT != LOSES_A_CALLBACK || !loop.calling)
            call(&first);
        else
            end(first.c);
        pthread_cond_broadcast(&loop.work);
    }
    pthread_mutex_unlock(&loop.mutex);
    return NULL;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int begin(uint32_t c, struct completion what) {
    pthread_mutex_lock(&loop.mutex);
    what.uses = loop.completion[c].uses;
    loop.completion[c] = what;
    int result = start(c);
    loop.poked = FAULT == CALLS_OUTSIDE_OF_RUN;
    if (loop.poked)
        pthread_cond_broadcast(&loop.work);
    pthread_mutex_unlock(&loop.mutex);
    return result;
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *d) {
    (void)self;
    return begin(c, (struct completion){
                        .is_poll = 1, .fd = d->fd, .events = d->events, .userdata = d->userdata});
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)self, (void)has_callback;
    return begin(c, (struct completion){.delay_ms = delay_ms, .userdata = userdata});
}

static int delete_completion(void *self, uint32_t c) {
    (void)self;
    pthread_mutex_lock(&loop.mutex);
    end(c);
    pthread_mutex_unlock(&loop.mutex);
    return 0;
}

static int state(void *self, uint32_t c) {
    (void)self;
    pthread_mutex_lock(&loop.mutex);
    int used = loop.completion[c].used;
    pthread_mutex_unlock(&loop.mutex);
    return used ? ETALON_ACTIVE : ETALON_DEAD;
}

static int run(void *self, uint32_t mode) {
    (void)self;
    pthread_mutex_lock(&loop.mutex);
    loop.mode = mode;
    loop.stopped = loop.turned = 0;
    loop.calls = 0;
    loop.runs = 1;
    pthread_cond_broadcast(&loop.work);
    while (loop.runs && FAULT != HIDES_ITS_THREADS)
        pthread_cond_wait(&loop.done, &loop.mutex);
    while (loop.runs) {
        struct timespec end;
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec++;
        pthread_cond_timedwait(&loop.done, &loop.mutex, &end);
    }
    pthread_mutex_unlock(&loop.mutex);
    return 0;
}

static void stop(void *self) {
    (void)self;
    pthread_mutex_lock(&loop.mutex);
    loop.stopped = 1;
    pthread_mutex_unlock(&loop.mutex);
}

static void wakeup(void *self) {
    uint64_t one = 1;
    int saved = errno;
    (void)self;
    if (FAULT != LOSES_A_WAKEUP)
        (void)!write(loop.wakeup, &one, sizeof one);
    errno = saved;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = ETALON_NOBODY};
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop.host = host;
    loop.ends = loop.runs = 0;
    loop.queued = 0;
    *self = &loop;
    if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wakeup, &event) != 0) {
        int error = errno;
        close(loop.epoll);
        close(loop.wakeup);
        return -error;
    }
    pthread_create(&loop.waiter, NULL, wait_in_turns, NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_create(&loop.worker[i], NULL, call_back, NULL);
    return 0;
}

static int deinit(void *self) {
    for (uint32_t c = 0; c < ETALON_SUBJECT_COMPLETIONS; c++)
        (void)delete_completion(self, c);
    pthread_mutex_lock(&loop.mutex);
    loop.ends = 1;
    pthread_cond_broadcast(&loop.work);
    pthread_mutex_unlock(&loop.mutex);
    pthread_join(loop.waiter, NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(loop.worker[i], NULL);
    close(loop.epoll);
    close(loop.wakeup);
    return 0;
}

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "threads",
    .notes = "A thread waits, two others call back, one at a time, while the first is inside run.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM |
              ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE |
              ETALON_OFFERS_STOP | ETALON_OFFERS_WAKEUP | ETALON_OFFERS_IN_USE |
              ETALON_OFFERS_DEINIT | ETALON_OFFERS_POLL | ETALON_OFFERS_POLL_MORE |
              (FAULT == HIDES_ITS_THREADS ? 0 : ETALON_OFFERS_THREADS),
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .remove = delete_completion,
    .state = state,
    .run = run,
    .stop = stop,
    .wakeup = wakeup,
};
