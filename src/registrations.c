/* SPDX-License-Identifier: MIT */
/* Who waits for what, and what the kernel has been told of it. For the files of src/ only.
 *
 * A registration is looked at just before the kernel is asked, once, when something began to wait,
 * was not answered, or was reported in vain: the kernel is told again even if nothing differs, as
 * only its answer shows whether the number still names the file (ET-REGISTER-4). Nothing is done
 * when the last waiter leaves: another may soon come. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- what waits ------------------------------------------------------------------------------ */

static struct et_descriptor *descriptor(const struct et_loop *loop, int fd) {
    assert(fd >= 0 && fd < loop->descriptors_max);
    return &loop->descriptors[fd];
}

static struct waiters *waiters_of(const struct et_loop *loop, const struct et_completion *c) {
    struct et_descriptor *d = descriptor(loop, c->internal.fd);
    assert(c->internal.state == ET_ACTIVE);
    switch (c->internal.place) {
    case PLACE_IN: return &d->in;
    case PLACE_OUT: return &d->out;
    default: assert(c->internal.place == PLACE_OTHERS); return &d->others;
    }
}

void eti_mark_changed(struct et_loop *loop, int fd) {
    struct et_descriptor *d = descriptor(loop, fd);
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

int eti_take_changed(struct et_loop *loop) {
    int fd = loop->changed_head;
    if (fd < 0)
        return -1;
    struct et_descriptor *d = descriptor(loop, fd);
    assert(d->is_changed && (d->next_changed >= 0) == (fd != loop->changed_tail));
    loop->changed_head = d->next_changed;
    d->is_changed = false;
    return fd;
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

void eti_wait_on(struct et_loop *loop, struct et_completion *c, bool trusted) {
    int fd = c->internal.fd;
    struct waiters *waiters = waiters_of(loop, c);
    assert((waiters->head == NULL) == (waiters->tail == NULL));
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
    if (!trusted || !is_covered(&loop->descriptors[fd], c))
        eti_mark_changed(loop, fd);
}

void eti_stop_waiting(struct et_loop *loop, struct et_completion *c) {
    struct waiters *waiters = waiters_of(loop, c);
    struct et_completion *next = c->internal.wait_next, *previous = c->internal.wait_previous;
    assert(previous != NULL ? previous->internal.wait_next == c : waiters->head == c);
    assert(next != NULL ? next->internal.wait_previous == c : waiters->tail == c);
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
    assert(a->internal.fd == b->internal.fd && a->internal.order != b->internal.order);
    return a->internal.order < b->internal.order ? a : b;
}

struct et_completion *eti_first_waiter(const struct et_descriptor *d) {
    return older(older(d->in.head, d->out.head), d->others.head);
}

struct et_completion *eti_first_uncovered(const struct et_descriptor *d) {
    struct et_completion *in = d->in.head, *out = d->out.head, *other = d->others.head;
    if (in != NULL && is_covered(d, in))
        in = NULL;
    if (out != NULL && is_covered(d, out))
        out = NULL;
    while (other != NULL && is_covered(d, other))
        other = other->internal.wait_next;
    return older(older(in, out), other);
}

static uint32_t wanted(const struct et_descriptor *d) {
    uint32_t events = 0;
    if (d->in.head != NULL)
        events |= EPOLLIN;
    if (d->out.head != NULL)
        events |= EPOLLOUT;
    for (const struct et_completion *c = d->others.head; c != NULL; c = c->internal.wait_next)
        events |= interest(c);
    assert(events <= UINT16_MAX); /* or `registered` could not hold them */
    return events;
}

/* ---- what the kernel has been told ----------------------------------------------------------- */

/* What the kernel still reports by the registration so far becomes a former report. */
static void forget_registration(struct et_descriptor *d) {
    d->is_registered = d->is_no_socket = false;
    d->registered = 0;
    d->generation++;
}

static int control(struct et_loop *loop, int operation, int fd, uint32_t events) {
    struct et_descriptor *d = descriptor(loop, fd);
    /* A modification, too: the number may have gone from one file to another and back, and what the
     * file in between still reports must not pass for the first one's (ET-REGISTER-8). */
    const uint32_t generation = d->generation + 1;
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};
    if (epoll_ctl(loop->epoll, operation, fd, &event) != 0)
        return -errno;
    d->generation = generation;
    d->is_registered = true;
    d->registered = (uint16_t)events;
    return 0;
}

/* is_registered and registered then say what is left. A modification that is refused for any reason
 * becomes an addition: only that tells whether the number still names the file that was registered
 * (ET-REGISTER-2, ET-REGISTER-4). An addition that is refused because there is a registration
 * becomes a modification. Returns the error of the last refusal. */
static int register_descriptor(struct et_loop *loop, int fd, uint32_t events) {
    struct et_descriptor *d = descriptor(loop, fd);
    struct et_descriptor before = *d;
    bool stays = false; /* what the kernel denies does not stay, or it is waited for for ever */
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
    assert(descriptor(loop, fd)->is_registered);
    /* When this fails, the number was closed. A duplicate may live on: eti_report_was_former. */
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    forget_registration(&loop->descriptors[fd]);
}

int eti_fit_registration(struct et_loop *loop, int fd) {
    struct et_descriptor *d = descriptor(loop, fd);
    int error = 0;
    assert(!d->is_changed);
    if (eti_first_waiter(d) != NULL)
        error = register_descriptor(loop, fd, wanted(d));
    else if (d->is_useless && d->is_registered)
        remove_registration(loop, fd);
    d->is_useless = false;
    return error;
}

void eti_descriptor_closes(struct et_loop *loop, int fd) {
    assert(eti_first_waiter(descriptor(loop, fd)) == NULL);
    /* Closing removes the registration only with the last duplicate: do not leave it to that. */
    if (loop->descriptors[fd].is_registered)
        remove_registration(loop, fd);
}

void eti_descriptor_opened(struct et_loop *loop, int fd) {
    assert(fd >= 0);
    if (fd >= loop->descriptors_used)
        return;
    /* Now, not at the next refusal: a report in this batch, of the old file, could end a poll. */
    forget_registration(&loop->descriptors[fd]);
    loop->descriptors[fd].opened_round = loop->round;
    if (eti_first_waiter(&loop->descriptors[fd]) != NULL)
        eti_mark_changed(loop, fd);
}

void eti_report_was_useless(struct et_loop *loop, int fd) {
    assert(descriptor(loop, fd)->is_registered);
    loop->descriptors[fd].is_useless = true;
    eti_mark_changed(loop, fd);
}

void eti_report_was_former(struct et_loop *loop, int fd, uint32_t generation) {
    struct et_descriptor *d = descriptor(loop, fd);
    assert(generation != d->generation);
    if (d->opened_round == loop->round && generation + 1 == d->generation)
        return;
    /* EPOLL_CTL_DEL would reach the present registration, if there is one. */
    if (d->is_registered || epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL) != 0)
        loop->epoll_stale = true;
}

int eti_show_outside(struct et_loop *loop) {
    struct epoll_event event = {.events = EPOLLIN};
    assert(loop->outer >= 0 && !loop->stopped);
    int error = epoll_ctl(loop->outer, EPOLL_CTL_ADD, loop->epoll, &event) == 0 ? 0 : -errno;
    loop->outer_lacks_epoll = error != 0 && error != -EEXIST;
    return loop->outer_lacks_epoll ? error : 0;
}

/* Even if that fails nothing is lost: a new instance under this number is another file. */
void eti_hide_outside(struct et_loop *loop) {
    if (loop->outer >= 0)
        epoll_ctl(loop->outer, EPOLL_CTL_DEL, loop->epoll, NULL);
}

/* The new instance takes the old one's number: one that the program has closed, and still uses by
 * mistake, could otherwise come to mean our epoll. If this fails, the next report tries again. The
 * old one is taken out of the outer instance before it cannot be named any more: a child process
 * may keep it open. */
void eti_renew_epoll(struct et_loop *loop) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKEUP};
    assert(loop->epoll_stale);
    loop->epoll_stale = false;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return;
    eti_hide_outside(loop);
    bool renewed = epoll_ctl(epoll, EPOLL_CTL_ADD, loop->wakeup, &event) == 0 &&
                   dup3(epoll, loop->epoll, O_CLOEXEC) >= 0;
    close(epoll);
    if (loop->outer >= 0)
        (void)eti_show_outside(loop);
    for (int fd = 0; renewed && fd < loop->descriptors_used; fd++) {
        forget_registration(&loop->descriptors[fd]);
        eti_mark_changed(loop, fd);
    }
}
