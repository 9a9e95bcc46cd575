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

#define ALWAYS     (EPOLLHUP | EPOLLERR) /* reported unasked, and to everybody */
#define IN_EVENTS  (EPOLLIN | EPOLLRDHUP | ALWAYS)
#define OUT_EVENTS (EPOLLOUT | ALWAYS)

static void apply_changes(struct et_loop *loop) {
    for (int fd; eti_is_ours(loop) && (fd = eti_take_changed(loop)) >= 0;) {
        struct et_completion *c;
        int error = eti_fit_registration(loop, fd);
        while (error != 0 && eti_is_ours(loop) &&
               (c = eti_first_uncovered(&loop->descriptors[fd])) != NULL)
            eti_finish(loop, c, error); /* ET-REGISTER-3 */
    }
}

/* c, and whoever waits behind it, until one has an answer (ET-EVENT-10). Nothing can change among
 * them before that, as no callback runs. */
static void serve(struct et_loop *loop, struct et_completion *c, uint32_t reported) {
    const int fd = c->internal.fd;
    assert(c->internal.wait_previous == NULL);
    for (; c != NULL; c = c->internal.wait_next) {
        int64_t result;
        assert(c->internal.state == ET_ACTIVE && c->internal.fd == fd);
        if (eti_try_operation(loop, c, (reported & ALWAYS) != 0, &result)) {
            eti_finish_reported(loop, c, result);
            return;
        }
    }
    /* A false report is rare; but it may also come from another file that once had this number,
     * again and again. Looking at the registration tells the two apart. */
    eti_mark_changed(loop, fd);
}

static uint32_t matching(const struct et_completion *c, uint32_t reported) {
    return reported & (c->internal.events | ALWAYS);
}

/* A poll ends with what it matches. What waits for urgent data, or for the error queue, is tried:
 * of each of these two classes until one has an answer. */
static void serve_others(struct et_loop *loop, int fd, uint32_t reported) {
    struct et_descriptor *d = &loop->descriptors[fd];
    unsigned answered = 0; /* bit e: in the class that asks for the events e */
    uint64_t next = 0; /* in the order of starting: what comes before has been served or tried */
    bool none = true;
    for (struct et_completion *c = d->others.head, *following; c != NULL; c = following) {
        int64_t result = matching(c, reported);
        assert(c->internal.state == ET_ACTIVE && c->internal.place == PLACE_OTHERS);
        following = c->internal.wait_next;
        if (result == 0 || c->internal.order < next)
            continue;
        next = c->internal.order + 1;
        if (c->internal.operation != ET_POLL) {
            unsigned class = 1U << c->internal.events;
            if ((answered & class) != 0 ||
                !eti_try_operation(loop, c, (reported & ALWAYS) != 0, &result))
                continue;
            answered |= class;
        }
        eti_finish_reported(loop, c, result);
        /* The callback may have taken any of them away. */
        following = eti_is_ours(loop) ? d->others.head : NULL;
        none = false;
    }
    if (none)
        eti_mark_changed(loop, fd); /* as in serve */
}

static bool any_matches(const struct et_completion *c, uint32_t reported) {
    while (c != NULL && matching(c, reported) == 0)
        c = c->internal.wait_next;
    return c != NULL;
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
    bool others = any_matches(d->others.head, event->events);
    if (!in && !out && !others)
        eti_report_was_useless(loop, fd);
    /* Out first: a failed connect gets the error, and not a receive that waits beside it. */
    if (out)
        serve(loop, d->out.head, event->events);
    if (in && eti_is_ours(loop) && d->in.head != NULL)
        serve(loop, d->in.head, event->events);
    if (others && eti_is_ours(loop))
        serve_others(loop, fd, event->events);
}

/* By the clock and not by the loop time: callbacks may have taken long. */
/*@ assigns clock_ns;
    ensures normal: 0 <= \result.tv_nsec < 1000000000 && 0 <= \result.tv_sec <= WAIT_MS_MAX;
    ensures exact: ns_of(\result) == \max(0, ns(deadline_ms) - clock_ns) ||
            ns_of(\result) > ns(WAIT_MS_MAX - 1) && ns_of(\result) <= ns(deadline_ms) - clock_ns; */
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
/*@ requires timeout == \null || \valid_read(timeout) && 0 <= timeout->tv_nsec < 1000000000 &&
             0 <= timeout->tv_sec <= WAIT_MS_MAX;
    assigns \nothing;
    ensures endless: timeout == \null <==> \result == -1;
    ensures never_short: timeout != \null && \result < INT_MAX ==>
            ns(\result - 1) < ns_of(*timeout) <= ns(\result); */
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
    const struct et_completion *timer = blocks ? eti_heap_first(loop->timers) : NULL;
    if (timer != NULL)
        limit = time_left(timer->internal.deadline_ms);
    else if (blocks)
        timeout = NULL;
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
