/* SPDX-License-Identifier: MIT */
/* Descriptors and the kernel phase: who waits for what, what the kernel has been told, and what it
 * reports. For the files of src/ only.
 *
 * All completions that wait on one number share one registration. A registration is looked at just
 * before the kernel is asked, once, when something began to wait on it: it is then made to fit, and
 * made anew if the number was closed and reopened behind our back (ET-REGISTER-4). Nothing is done
 * when the last waiter leaves: the next one may come before the kernel has anything to report. The
 * first report that nobody waits for removes it (ET-REGISTER-5).
 *
 * Reports name the number and its generation, never a completion: what they mean is looked up when
 * they are delivered. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* of one wait: more are reported by the next one, none is lost */
#define REPORTS_MAX 256
/* a longer wait is split: 34 years, and far from any overflow */
#define WAIT_MS_MAX (UINT64_C(1) << 40)

#define IN_EVENTS  (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define OUT_EVENTS (EPOLLOUT | EPOLLHUP | EPOLLERR)

/* ---- who waits ------------------------------------------------------------------------------- */

static struct waiters *waiters_at(struct et_descriptor *d, enum place place) {
    return place == PLACE_IN ? &d->in : place == PLACE_OUT ? &d->out : &d->polls;
}

static void look_at(struct et_loop *loop, int fd) {
    struct et_descriptor *d = &loop->descriptors[fd];
    if (d->is_changed)
        return;
    d->is_changed = true;
    d->next_changed = -1;
    if (loop->changed_head >= 0)
        loop->descriptors[loop->changed_tail].next_changed = fd;
    else
        loop->changed_head = fd;
    loop->changed_tail = fd;
}

static uint32_t interest(const struct et_completion *c) {
    switch (c->internal.place) {
    case PLACE_IN: return EPOLLIN;
    case PLACE_OUT: return EPOLLOUT;
    /* those two are always reported */
    default: return c->internal.events & ~(uint32_t)(EPOLLERR | EPOLLHUP);
    }
}

static bool is_covered(const struct et_descriptor *d, const struct et_completion *c) {
    return d->is_registered && (interest(c) & ~d->registered) == 0;
}

void eti_wait_on(struct et_loop *loop, struct et_completion *c, enum place place, bool trusted) {
    int fd = c->internal.fd;
    struct et_descriptor *d = &loop->descriptors[fd];
    struct waiters *waiters = waiters_at(d, place);
    if (fd >= loop->descriptors_used)
        loop->descriptors_used = fd + 1;
    c->internal.wait_next = NULL;
    c->internal.wait_previous = waiters->tail;
    if (waiters->tail != NULL)
        waiters->tail->internal.wait_next = c;
    else
        waiters->head = c;
    waiters->tail = c;
    /* ET-REGISTER-6: only a completion that is rearmed after a report vouches for its descriptor.
     * Any other may mean a new file under the old number, which only the kernel can tell. */
    if (!trusted || !is_covered(d, c))
        look_at(loop, fd);
}

void eti_stop_waiting(struct et_loop *loop, struct et_completion *c) {
    struct waiters *waiters =
        waiters_at(&loop->descriptors[c->internal.fd], (enum place)c->internal.place);
    struct et_completion *next = c->internal.wait_next, *previous = c->internal.wait_previous;
    if (previous != NULL)
        previous->internal.wait_next = next;
    else
        waiters->head = next;
    if (next != NULL)
        next->internal.wait_previous = previous;
    else
        waiters->tail = previous;
    c->internal.wait_next = c->internal.wait_previous = NULL;
}

static struct et_completion *older(struct et_completion *a, struct et_completion *b) {
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    return a->internal.order < b->internal.order ? a : b;
}

struct et_completion *eti_first_waiter(const struct et_descriptor *d) {
    return older(older(d->in.head, d->out.head), d->polls.head);
}

static struct et_completion *first_uncovered(const struct et_descriptor *d) {
    struct et_completion *in = d->in.head, *out = d->out.head, *poll = d->polls.head;
    if (in != NULL && is_covered(d, in))
        in = NULL;
    if (out != NULL && is_covered(d, out))
        out = NULL;
    while (poll != NULL && is_covered(d, poll))
        poll = poll->internal.wait_next;
    return older(older(in, out), poll);
}

static uint32_t wanted(const struct et_descriptor *d) {
    uint32_t events = 0;
    if (d->in.head != NULL)
        events |= EPOLLIN;
    if (d->out.head != NULL)
        events |= EPOLLOUT;
    for (const struct et_completion *c = d->polls.head; c != NULL; c = c->internal.wait_next)
        events |= interest(c);
    return events;
}

/* ---- what the kernel has been told ----------------------------------------------------------- */

/* Whatever the kernel still reports under the present generation is not about the number's present
 * file. */
static void forget_registration(struct et_descriptor *d) {
    d->is_registered = d->is_no_socket = false;
    d->registered = 0;
    d->generation++;
}

static int control(struct et_loop *loop, int operation, int fd, uint32_t events) {
    struct et_descriptor *d = &loop->descriptors[fd];
    /* A generation of its own, for a modification too: it may have reached the registration of an
     * earlier file that has come back to its number, and what the file in between still reports
     * must be told from that (ET-REGISTER-8). */
    uint32_t generation = d->generation + 1;
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};
    if (epoll_ctl(loop->epoll, operation, fd, &event) != 0)
        return -errno;
    d->generation = generation;
    d->is_registered = true;
    d->registered = (uint16_t)events;
    return 0;
}

/* Makes the registration of a descriptor fit, or returns the error of the last refusal;
 * is_registered and registered then say what is left. A modification that is refused for any reason
 * becomes an addition: only that tells whether the number still names the file that was registered
 * (ET-REGISTER-2, ET-REGISTER-4). An addition that is refused because there is a registration
 * becomes a modification. */
static int register_descriptor(struct et_loop *loop, int fd, uint32_t events) {
    struct et_descriptor *d = &loop->descriptors[fd];
    struct et_descriptor before = *d;
    /* What the kernel denies does not: whoever believed in it would wait for ever. */
    bool stays = false;
    int error;
    if (d->is_registered) {
        error = control(loop, EPOLL_CTL_MOD, fd, events);
        if (error == 0)
            return 0;
        stays = error != -ENOENT;
        forget_registration(d);
    }
    error = control(loop, EPOLL_CTL_ADD, fd, events);
    if (error != -EEXIST)
        return error;
    error = control(loop, EPOLL_CTL_MOD, fd, events);
    if (error != 0 && error != -ENOENT && stays) {
        d->is_registered = true;
        d->registered = before.registered;
        d->generation = before.generation;
    }
    return error;
}

static void remove_registration(struct et_loop *loop, int fd) {
    /* When this fails the number was closed. Should a duplicate of its file live on, then the next
     * report is one of a former generation: see deliver. */
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    forget_registration(&loop->descriptors[fd]);
}

static void apply_changes(struct et_loop *loop) {
    while (loop->changed_head >= 0) {
        int fd = loop->changed_head;
        struct et_descriptor *d = &loop->descriptors[fd];
        struct et_completion *c;
        loop->changed_head = d->next_changed;
        d->is_changed = false;
        if (eti_first_waiter(d) != NULL) {
            int error = register_descriptor(loop, fd, wanted(d));
            while (error != 0 && (c = first_uncovered(d)) != NULL)
                eti_finish(loop, c, error); /* ET-REGISTER-3 */
        } else if (d->is_useless && d->is_registered) {
            remove_registration(loop, fd);
        }
        d->is_useless = false;
    }
}

void eti_descriptor_closes(struct et_loop *loop, int fd) {
    /* Closing removes the registration only with the last duplicate of the file: do not leave it to
     * that. */
    if (loop->descriptors[fd].is_registered)
        remove_registration(loop, fd);
}

void eti_descriptor_opened(struct et_loop *loop, int fd) {
    if (fd >= loop->descriptors_used)
        return;
    forget_registration(&loop->descriptors[fd]);
    loop->descriptors[fd].opened_round = loop->round;
    if (eti_first_waiter(&loop->descriptors[fd]) != NULL)
        look_at(loop, fd);
}

/* A registration that we cannot name any more (its number was closed while a duplicate lives on)
 * reports for ever, and only closing the epoll instance ends it (ET-REGISTER-7). The new instance
 * takes the number of the old one: a number that the program has closed, and still uses by mistake,
 * must never come to mean a descriptor of ours. When there is no descriptor for a new instance, the
 * next useless report tries again. */
static void renew_epoll(struct et_loop *loop) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKEUP};
    loop->epoll_stale = false;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return;
    bool renewed = epoll_ctl(epoll, EPOLL_CTL_ADD, loop->wakeup, &event) == 0 &&
                   dup3(epoll, loop->epoll, O_CLOEXEC) >= 0;
    close(epoll);
    for (int fd = 0; renewed && fd < loop->descriptors_used; fd++) {
        forget_registration(&loop->descriptors[fd]);
        look_at(loop, fd);
    }
}

/* ---- what the kernel reports ----------------------------------------------------------------- */

static void serve(struct et_loop *loop, int fd, struct et_completion *c, uint32_t reported) {
    int64_t result;
    if (!eti_try_operation(loop, c, (reported & (EPOLLHUP | EPOLLERR)) != 0, &result)) {
        /* A false report is rare; but it may also come from another file that once had this number,
         * again and again. Looking at the registration tells the two apart. */
        look_at(loop, fd);
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
        look_at(loop, fd);
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
        renew_epoll(loop);
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
