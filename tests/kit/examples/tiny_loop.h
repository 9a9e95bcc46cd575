/* SPDX-License-Identifier: MIT */
/* tiny_loop.h: an event loop of a hundred lines, made to be checked against the law as a new user's
 * would be (ADAPTERS.md). Timers and one-shot polls, on poll(2); one thread. A watcher is the
 * caller's memory, zeroed once. */
#ifndef TINY_LOOP_H
#define TINY_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct tiny_watcher;
typedef void (*tiny_callback)(struct tiny_watcher *watcher, int events);

struct tiny_watcher {
    tiny_callback callback;
    uint64_t deadline_ms; /* of a timer */
    uint64_t started;     /* number of its start; 0: not in use, from just before its callback on */
    int fd;               /* of a poll; -1: a timer */
    short events;
};

enum { TINY_WATCHERS = 16 };

struct tiny_loop {
    struct tiny_watcher *watchers[TINY_WATCHERS]; /* those in use, in no order */
    uint64_t now_ns, starts;
    unsigned count, called;
    bool stopped; /* for good */
};

enum tiny_mode { TINY_NO_WAIT, TINY_ONCE, TINY_UNTIL_DONE };

void tiny_init(struct tiny_loop *loop);
int tiny_timer(struct tiny_loop *loop, struct tiny_watcher *watcher, uint64_t delay_ms,
               tiny_callback callback);
int tiny_poll(struct tiny_loop *loop, struct tiny_watcher *watcher, int fd, short events,
              tiny_callback callback);
/* its callback will not be called */
void tiny_end(struct tiny_loop *loop, struct tiny_watcher *watcher);
int tiny_run(struct tiny_loop *loop, enum tiny_mode mode); /* 0 or a negated errno */
void tiny_stop(struct tiny_loop *loop);

#endif
