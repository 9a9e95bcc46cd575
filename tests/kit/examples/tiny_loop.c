/* SPDX-License-Identifier: MIT */
/* tiny_loop.c: see tiny_loop.h. */
#include "tiny_loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#ifndef TINY_EARLIER
#define TINY_EARLIER < /* the test of the example turns it round, to see the defect found */
#endif

#define MS_NS 1000000u

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS_NS + (uint64_t)now.tv_nsec;
}

static void update_now(struct tiny_loop *loop) {
    loop->now_ns = clock_ns();
}

void tiny_init(struct tiny_loop *loop) {
    *loop = (struct tiny_loop){.count = 0};
    update_now(loop);
}

static int start(struct tiny_loop *loop, struct tiny_watcher *watcher, tiny_callback callback) {
    if (watcher->started != 0)
        return -EBUSY;
    if (loop->count == TINY_WATCHERS)
        return -ENOSPC;
    watcher->callback = callback;
    watcher->started = ++loop->starts;
    loop->watchers[loop->count++] = watcher;
    return 0;
}

int tiny_timer(struct tiny_loop *loop, struct tiny_watcher *watcher, uint64_t delay_ms,
               tiny_callback callback) {
    int error = start(loop, watcher, callback);
    /* rounded up, or it would fire before its delay is over; at once is at once */
    uint64_t now_ms = (loop->now_ns + (delay_ms > 0 ? MS_NS - 1 : 0)) / MS_NS;
    if (error == 0) {
        watcher->fd = -1;
        watcher->deadline_ms = delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;
    }
    return error;
}

int tiny_poll(struct tiny_loop *loop, struct tiny_watcher *watcher, int fd, short events,
              tiny_callback callback) {
    int error = start(loop, watcher, callback);
    if (error == 0) {
        watcher->fd = fd;
        watcher->events = events;
    }
    return error;
}

void tiny_end(struct tiny_loop *loop, struct tiny_watcher *watcher) {
    for (unsigned i = 0; i < loop->count; i++)
        if (loop->watchers[i] == watcher)
            loop->watchers[i] = loop->watchers[--loop->count];
    watcher->started = 0;
}

/* Whether the watcher is in use since that start. It is not looked into: its memory may be gone. */
static bool waits(const struct tiny_loop *loop, const struct tiny_watcher *watcher,
                  uint64_t started) {
    for (unsigned i = 0; i < loop->count; i++)
        if (loop->watchers[i] == watcher)
            return watcher->started == started;
    return false;
}

static void call(struct tiny_loop *loop, struct tiny_watcher *watcher, int events) {
    tiny_end(loop, watcher);
    loop->called++;
    watcher->callback(watcher, events);
}

/* The next to fire: the earliest deadline and, of equal ones, the first that was started. */
static struct tiny_watcher *earliest(const struct tiny_loop *loop, uint64_t starts) {
    struct tiny_watcher *first = NULL;
    for (unsigned i = 0; i < loop->count; i++) {
        struct tiny_watcher *w = loop->watchers[i];
        if (w->fd != -1 || w->started > starts)
            continue;
        if (first == NULL || w->deadline_ms < first->deadline_ms ||
            (w->deadline_ms == first->deadline_ms && w->started TINY_EARLIER first->started))
            first = w;
    }
    return first;
}

/* What callbacks start waits for the next round: otherwise a timer of 0 ms that is always started
 * again would starve the descriptors. */
static void fire_timers(struct tiny_loop *loop) {
    struct tiny_watcher *timer;
    uint64_t starts = loop->starts, now_ms = loop->now_ns / MS_NS;
    while ((timer = earliest(loop, starts)) != NULL && timer->deadline_ms <= now_ms)
        call(loop, timer, 0);
}

/* By the clock, not by the loop's time: callbacks may have taken long. */
static int timeout_ms(const struct tiny_loop *loop, bool wait) {
    const struct tiny_watcher *timer = earliest(loop, UINT64_MAX);
    uint64_t now_ms = clock_ns() / MS_NS;
    if (!wait || (timer != NULL && timer->deadline_ms <= now_ms))
        return 0;
    if (timer == NULL)
        return -1;
    return timer->deadline_ms - now_ms > INT_MAX ? INT_MAX : (int)(timer->deadline_ms - now_ms);
}

static int poll_descriptors(struct tiny_loop *loop, bool wait) {
    struct pollfd fds[TINY_WATCHERS];
    struct tiny_watcher *watchers[TINY_WATCHERS];
    uint64_t started[TINY_WATCHERS];
    unsigned count = 0;
    for (unsigned i = 0; i < loop->count; i++) {
        if (loop->watchers[i]->fd == -1)
            continue;
        watchers[count] = loop->watchers[i];
        started[count] = loop->watchers[i]->started;
        fds[count++] =
            (struct pollfd){.fd = loop->watchers[i]->fd, .events = loop->watchers[i]->events};
    }
    int ready = poll(fds, count, timeout_ms(loop, wait));
    if (ready < 0 && errno != EINTR)
        return -errno;
    update_now(loop);
    for (unsigned i = 0; ready > 0 && i < count; i++)
        /* a callback may have ended it */
        if (fds[i].revents != 0 && waits(loop, watchers[i], started[i]))
            call(loop, watchers[i], fds[i].revents);
    return 0;
}

int tiny_run(struct tiny_loop *loop, enum tiny_mode mode) {
    int error = 0;
    loop->called = 0;
    while (error == 0 && !loop->stopped) {
        update_now(loop);
        fire_timers(loop);
        bool satisfied = mode == TINY_NO_WAIT || (mode == TINY_ONCE && loop->called > 0);
        if (!loop->stopped)
            error = poll_descriptors(loop, !satisfied && loop->count > 0);
        if (mode == TINY_NO_WAIT || (mode == TINY_ONCE && loop->called > 0) || loop->count == 0)
            break;
    }
    return error;
}

void tiny_stop(struct tiny_loop *loop) {
    loop->stopped = true;
}
