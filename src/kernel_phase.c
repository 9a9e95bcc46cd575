/* SPDX-License-Identifier: MIT */
/* The kernel phase: registrations are made to fit, the kernel is asked, and what it reports is
 * delivered. Reports name a number and its generation, never a completion: what they mean is looked
 * up when they are delivered. For loop.c only. */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define REPORTS_MAX 256                 /* more are reported by the next wait, none is lost */
#define WAIT_MS_MAX (UINT64_C(1) << 40) /* a longer wait is split: 34 years, no overflow */

#define IN_EVENTS  (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define OUT_EVENTS (EPOLLOUT | EPOLLHUP | EPOLLERR)

static void apply_changes(struct et_loop *loop) {
    for (int fd; eti_is_ours(loop) && (fd = eti_take_changed(loop)) >= 0;) {
        struct et_completion *c;
        int error = eti_fit_registration(loop, fd);
        while (error != 0 && eti_is_ours(loop) &&
               (c = eti_first_uncovered(&loop->descriptors[fd])) != NULL)
            eti_finish(loop, c, error); /* ET-REGISTER-3 */
    }
}

static void serve(struct et_loop *loop, struct et_completion *c, uint32_t reported) {
    int64_t result;
    assert(c->internal.state == ET_ACTIVE && c->internal.wait_previous == NULL);
    /* A false report is rare; but it may also come from another file that once had this number,
     * again and again. Looking at the registration tells the two apart. */
    if (!eti_try_operation(loop, c, (reported & (EPOLLHUP | EPOLLERR)) != 0, &result))
        eti_mark_changed(loop, c->internal.fd);
    else
        eti_finish_reported(loop, c, result);
}

static void serve_polls(struct et_loop *loop, struct et_descriptor *d, uint32_t reported) {
    struct et_completion *c = d->polls.head;
    while (c != NULL) {
        uint32_t events = reported & (c->internal.events | EPOLLERR | EPOLLHUP);
        assert(c->internal.place == PLACE_POLLS);
        if (events == 0) {
            c = c->internal.wait_next;
            continue;
        }
        eti_finish_reported(loop, c, events);
        /* The callback may have taken any of them away; those before do not match anyway. */
        c = eti_is_ours(loop) ? d->polls.head : NULL;
    }
}

/* What a report means: see struct et_descriptor. */
static void deliver(struct et_loop *loop, const struct epoll_event *event) {
    int fd = (int)(uint32_t)event->data.u64;
    struct et_descriptor *d = &loop->descriptors[fd];
    assert(fd >= 0 && fd < loop->descriptors_used);
    if (d->generation != (uint32_t)(event->data.u64 >> 32)) {
        eti_report_was_former(loop, fd, (uint32_t)(event->data.u64 >> 32));
        return;
    }
    assert(d->is_registered);
    bool in = (event->events & IN_EVENTS) != 0 && d->in.head != NULL;
    bool out = (event->events & OUT_EVENTS) != 0 && d->out.head != NULL;
    bool poll = false;
    for (const struct et_completion *c = d->polls.head; c != NULL && !poll;
         c = c->internal.wait_next)
        poll = (event->events & (c->internal.events | EPOLLERR | EPOLLHUP)) != 0;
    if (!in && !out && !poll)
        eti_report_was_useless(loop, fd);
    /* Out first: a failed connect gets the error, and not a receive that waits beside it. */
    if (out)
        serve(loop, d->out.head, event->events);
    if (in && eti_is_ours(loop) && d->in.head != NULL)
        serve(loop, d->in.head, event->events);
    if (poll && eti_is_ours(loop))
        serve_polls(loop, d, event->events);
}

/* By the clock and not by the loop time: callbacks may have taken long. */
static struct timespec time_left(uint64_t deadline_ms) {
    uint64_t now_ns = eti_clock_ns();
    uint64_t now_ms = now_ns / NANOSECONDS_PER_MS;
    if (deadline_ms <= now_ms) /* not <: in the deadline's millisecond left_ns would overflow */
        return (struct timespec){0};
    uint64_t left_ms = deadline_ms - now_ms;
    if (left_ms > WAIT_MS_MAX)
        left_ms = WAIT_MS_MAX;
    uint64_t left_ns = left_ms * NANOSECONDS_PER_MS - now_ns % NANOSECONDS_PER_MS;
    assert(left_ns > 0 && left_ns <= WAIT_MS_MAX * NANOSECONDS_PER_MS);
    return (struct timespec){.tv_sec = (time_t)(left_ns / 1000000000),
                             .tv_nsec = (long)(left_ns % 1000000000)};
}

/* Rounded up, or a wait would end just before its deadline, again and again. */
static int whole_ms(const struct timespec *timeout) {
    if (timeout == NULL)
        return -1;
    int64_t left_ms = (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    assert(left_ms >= 0); /* or the wait would have no end */
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

/* What says that there is no epoll_pwait2: Linux before 5.11 and Valgrind (ENOSYS), and sandboxes
 * that were written before it. None is an error that it reports of its arguments, which are right;
 * if they were not, epoll_wait would say so, too (ET-WAIT-6). */
static bool is_unknown_call(int error) {
    return error == ENOSYS || error == EPERM || error == EACCES || error == EINVAL ||
           error == ENOTSUP;
}

static int wait_for_reports(struct et_loop *loop, struct epoll_event *events,
                            const struct timespec *timeout) {
    if (!loop->no_pwait2) {
        int count = epoll_pwait2(loop->epoll, events, REPORTS_MAX, timeout, NULL);
        if (count >= 0 || !is_unknown_call(errno))
            return count;
        loop->no_pwait2 = true;
    }
    return epoll_wait(loop->epoll, events, REPORTS_MAX, whole_ms(timeout));
}

/* One read takes the whole counter. Should it fail, the next wait comes back for it. */
static void drain_wakeup(struct et_loop *loop) {
    uint64_t count;
    ssize_t bytes = read(loop->wakeup, &count, sizeof count);
    (void)bytes;
}

int eti_ask_kernel(struct et_loop *loop, uint64_t callbacks) {
    struct epoll_event events[REPORTS_MAX];
    struct timespec limit = {0};
    const struct timespec *timeout = &limit;
    assert(loop->expired == NULL && loop->delivering == NULL && loop->current == NULL);
    if (loop->epoll_stale)
        eti_renew_epoll(loop);
    if (loop->outer_lacks_epoll)
        (void)eti_show_outside(loop);
    apply_changes(loop);
    if (!eti_is_ours(loop) || loop->stopped) /* in the callback of a refused operation */
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
    assert(count <= REPORTS_MAX);
    /* Before any callback, or a wake-up that it asks for would be lost (ET-WAKE-1). */
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 == WAKEUP)
            drain_wakeup(loop);
    for (int i = 0; i < count && eti_is_ours(loop); i++)
        if (events[i].data.u64 != WAKEUP)
            deliver(loop, &events[i]);
    return error == EINTR ? 0 : -error;
}
