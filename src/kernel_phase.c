/* SPDX-License-Identifier: MIT */
/* The kernel phase: registrations are made to fit, the kernel is asked, and what it reports is
 * delivered. For the files of src/ only.
 *
 * Reports name the number and its generation, never a completion: what they mean is looked up when
 * they are delivered. */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* of one wait: more are reported by the next one, none is lost */
#define REPORTS_MAX 256
/* a longer wait is split: 34 years, and far from any overflow */
#define WAIT_MS_MAX (UINT64_C(1) << 40)

#define IN_EVENTS  (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define OUT_EVENTS (EPOLLOUT | EPOLLHUP | EPOLLERR)

static void apply_changes(struct et_loop *loop) {
    while (loop->changed_head >= 0) {
        int fd = loop->changed_head;
        struct et_descriptor *d = &loop->descriptors[fd];
        struct et_completion *c;
        loop->changed_head = d->next_changed;
        d->is_changed = false;
        if (eti_first_waiter(d) != NULL) {
            int error = eti_register(loop, fd, eti_wanted(d));
            while (error != 0 && (c = eti_first_uncovered(d)) != NULL)
                eti_finish(loop, c, error); /* ET-REGISTER-3 */
        } else if (d->is_useless && d->is_registered) {
            eti_unregister(loop, fd);
        }
        d->is_useless = false;
    }
}

static void serve(struct et_loop *loop, int fd, struct et_completion *c, uint32_t reported) {
    int64_t result;
    if (!eti_try_operation(loop, c, (reported & (EPOLLHUP | EPOLLERR)) != 0, &result)) {
        /* A false report is rare; but it may also come from another file that once had this number,
         * again and again. Looking at the registration tells the two apart. */
        eti_mark_changed(loop, fd);
        return;
    }
    c->internal.trusted = true;
    eti_finish(loop, c, result);
}

static void serve_polls(struct et_loop *loop, struct et_descriptor *d, uint32_t reported) {
    struct et_completion *c = d->polls.head;
    while (c != NULL) {
        uint32_t events = reported & (c->internal.events | EPOLLERR | EPOLLHUP);
        if (events == 0) {
            c = c->internal.wait_next;
            continue;
        }
        c->internal.trusted = true;
        eti_finish(loop, c, events);
        /* The callback may have taken any of them away; those before do not match anyway. */
        c = d->polls.head;
    }
}

static void deliver(struct et_loop *loop, const struct epoll_event *event) {
    int fd = (int)(uint32_t)event->data.u64;
    struct et_descriptor *d = &loop->descriptors[fd];
    if (d->generation != (uint32_t)(event->data.u64 >> 32)) {
        /* Of a file that has left this number: in this very batch (then its registration went with
         * it), or before it (then a duplicate keeps the registration alive, and the number cannot
         * name it any more). */
        if (d->opened_round != loop->round &&
            (d->is_registered || epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL) != 0))
            loop->epoll_stale = true;
        return;
    }
    bool in = (event->events & IN_EVENTS) != 0 && d->in.head != NULL;
    bool out = (event->events & OUT_EVENTS) != 0 && d->out.head != NULL;
    bool poll = false;
    for (const struct et_completion *c = d->polls.head; c != NULL && !poll;
         c = c->internal.wait_next)
        poll = (event->events & (c->internal.events | EPOLLERR | EPOLLHUP)) != 0;
    if (!in && !out && !poll) {
        /* Nobody waits for this: without a change it would be reported at once and for ever. */
        d->is_useless = true;
        eti_mark_changed(loop, fd);
        return;
    }
    /* First, so that a failed connect gets the socket's error, and not a receive that waits beside
     * it. */
    if (out)
        serve(loop, fd, d->out.head, event->events);
    if (in && d->in.head != NULL)
        serve(loop, fd, d->in.head, event->events);
    if (poll)
        serve_polls(loop, d, event->events);
}

/* Nanoseconds until the earliest deadline, from the clock and not from the loop time: callbacks may
 * have taken long. */
static struct timespec time_left(uint64_t deadline_ms) {
    uint64_t now_ns = eti_clock_ns();
    uint64_t now_ms = now_ns / NANOSECONDS_PER_MS;
    if (deadline_ms <= now_ms)
        return (struct timespec){0};
    uint64_t left_ms = deadline_ms - now_ms;
    if (left_ms > WAIT_MS_MAX)
        left_ms = WAIT_MS_MAX;
    uint64_t left_ns = left_ms * NANOSECONDS_PER_MS - now_ns % NANOSECONDS_PER_MS;
    return (struct timespec){.tv_sec = (time_t)(left_ns / 1000000000),
                             .tv_nsec = (long)(left_ns % 1000000000)};
}

/* Milliseconds, rounded up, or a wait would end just before its deadline and be repeated until the
 * deadline has come. */
static int whole_ms(const struct timespec *timeout) {
    if (timeout == NULL)
        return -1;
    int64_t left_ms = (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static int wait_for_reports(struct et_loop *loop, struct epoll_event *events,
                            const struct timespec *timeout) {
    if (!loop->no_pwait2) {
        int count = epoll_pwait2(loop->epoll, events, REPORTS_MAX, timeout, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count;
        /* Linux before 5.11, Valgrind, and sandboxes that do not know the call. */
        loop->no_pwait2 = true;
    }
    return epoll_wait(loop->epoll, events, REPORTS_MAX, whole_ms(timeout));
}

/* Should this fail, the eventfd stays readable and the next wait comes back for it. */
static void drain_wakeup(struct et_loop *loop) {
    uint64_t count;
    ssize_t bytes = read(loop->wakeup, &count, sizeof count);
    (void)bytes;
}

int eti_ask_kernel(struct et_loop *loop, uint64_t callbacks) {
    struct epoll_event events[REPORTS_MAX];
    struct timespec limit = {0};
    const struct timespec *timeout = &limit;
    if (loop->epoll_stale)
        eti_renew_epoll(loop);
    apply_changes(loop);
    if (loop->stopped) /* in the callback of a refused operation */
        return 0;
    bool blocks = loop->called < callbacks && loop->submissions_head == NULL &&
                  loop->deletions_head == NULL &&
                  (loop->active > 0 || loop->lingering > 0); /* ET-WAIT-1 */
    if (blocks && loop->timers == NULL)
        timeout = NULL;
    else if (blocks)
        limit = time_left(loop->timers->internal.deadline_ms);
    int count = wait_for_reports(loop, events, timeout);
    int error = count < 0 ? errno : 0;
    eti_update_time(loop);
    /* Before any callback, or a wake-up that it asks for would be lost (ET-WAKE-1). */
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 == WAKEUP)
            drain_wakeup(loop);
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 != WAKEUP)
            deliver(loop, &events[i]);
    return error == EINTR ? 0 : -error;
}
