/* SPDX-License-Identifier: MIT */
/* What each of the sixteen operations does when it is started and when its descriptor is reported
 * ready. For the files of src/ only. */
#include "internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* EINTR counts as unanswered: the descriptor is ready still and will be reported again, and a storm
 * of signals cannot keep the loop inside one system call. */
static bool is_answer(int64_t value, int64_t *result) {
    if (value >= 0) {
        *result = value;
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return false;
    *result = -errno;
    return true;
}

/* ET-OP-3. No pending error does not mean connected: the report may be a false one, or another
 * operation has taken the error; then the socket has hung up, and waiting would be for ever. */
static bool connect_result(int fd, bool hung_up, int64_t *result) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error == 0) {
        struct sockaddr_storage peer;
        length = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0) {
            if (errno == ENOTCONN && !hung_up)
                return false;
            error = errno;
        }
    }
    *result = -error;
    return error != EINTR && error != EINPROGRESS; /* not an answer: the next report asks again */
}

/* A write to a socket is made as a send, which can be told not to raise SIGPIPE and not to wait
 * (ET-OP-5). What is no socket is asked once for each registration. */
static ssize_t write_or_send(struct et_loop *loop, const struct et_completion *c) {
    struct et_descriptor *d = &loop->descriptors[c->internal.fd];
    if (!d->is_no_socket) {
        ssize_t sent =
            send(c->internal.fd, c->write.buffer, c->write.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0 || errno != ENOTSOCK)
            return sent;
        d->is_no_socket = true;
    }
    return write(c->internal.fd, c->write.buffer, c->write.length);
}

bool eti_try_operation(struct et_loop *loop, const struct et_completion *c, bool hung_up,
                       int64_t *result) {
    const int quietly = MSG_DONTWAIT | MSG_NOSIGNAL, fd = c->internal.fd;
    int64_t value;
    assert(fd >= 0 && fd < loop->descriptors_max && !c->internal.on_pool);
    switch (c->internal.operation) {
    case ET_CONNECT: return connect_result(fd, hung_up, result);
    case ET_ACCEPT:
        value = accept4(fd, c->accept.address, c->accept.address_length, c->accept.flags);
        if (value >= 0)
            eti_descriptor_opened(loop, (int)value);
        break;
    case ET_READ: value = read(fd, c->read.buffer, c->read.length); break;
    case ET_PREAD: value = pread(fd, c->pread.buffer, c->pread.length, c->pread.offset); break;
    case ET_WRITE: value = write_or_send(loop, c); break;
    case ET_PWRITE: value = pwrite(fd, c->pwrite.buffer, c->pwrite.length, c->pwrite.offset); break;
    case ET_SEND: value = send(fd, c->send.buffer, c->send.length, c->send.flags | quietly); break;
    case ET_RECV:
        value = recv(fd, c->recv.buffer, c->recv.length, c->recv.flags | MSG_DONTWAIT);
        break;
    case ET_SENDMSG: value = sendmsg(fd, c->sendmsg.message, c->sendmsg.flags | quietly); break;
    default:
        assert(c->internal.operation == ET_RECVMSG); /* polls are not tried */
        value = recvmsg(fd, c->recvmsg.message, c->recvmsg.flags | MSG_DONTWAIT);
    }
    return is_answer(value, result);
}

/* Whether there is something to cancel, or else (*result) why not. */
static bool can_cancel(struct et_loop *loop, struct et_completion *target, int64_t *result) {
    bool ours = target->internal.loop == loop;
    *result = -ENOENT;
    if (ours && target->internal.state == ET_ACTIVE && target->internal.place == PLACE_POOL) {
        *result = -EALREADY; /* ET-POOL-6 */
        return eti_pool_recall(loop, target);
    }
    return ours && (target->internal.state == ET_ACTIVE || target->internal.state == ET_ADDING);
}

/* Whether the cancel or close that is being carried out is to go on after a callback, which may
 * have deleted it, or be in a child. */
static bool goes_on(const struct et_loop *loop, const struct et_completion *c) {
    return eti_is_ours(loop) && loop->current == c;
}

/* ET-CANCEL-4 … 7. The target's callback may delete the cancel. */
static void start_cancel(struct et_loop *loop, struct et_completion *c) {
    struct et_completion *target = c->internal.partner;
    int64_t result;
    eti_become_active(loop, c, PLACE_NOWHERE);
    loop->current = c;
    if (can_cancel(loop, target, &result)) {
        result = 0;
        if (target->internal.operation == CARRIER)
            eti_end_carrier(loop, target); /* ET-RESET-9 */
        else
            eti_finish(loop, target, -ECANCELED);
    }
    if (goes_on(loop, c))
        eti_finish(loop, c, result);
}

/* ET-POOL-1, ET-POOL-3. */
static void give_to_pool(struct et_loop *loop, struct et_completion *c) {
    assert(loop->current == NULL);
    eti_join_pooled(loop, c);
    int error = eti_pool_queue(loop, c);
    if (error != 0)
        eti_finish(loop, c, error);
}

static void start_pooled(struct et_loop *loop, struct et_completion *c) {
    c->internal.fd = c->fd;
    eti_become_active(loop, c, PLACE_NOWHERE);
    give_to_pool(loop, c);
}

/* ET-CLOSE-1 … 3. Ends those that wait for a report, not the adding or pooled ones. */
static void start_close(struct et_loop *loop, struct et_completion *c) {
    const int fd = c->internal.fd = c->fd;
    eti_become_active(loop, c, PLACE_NOWHERE);
    loop->current = c;
    if (fd < loop->descriptors_used) {
        struct et_completion *waiter;
        while (goes_on(loop, c) && (waiter = eti_first_waiter(&loop->descriptors[fd])) != NULL)
            eti_finish(loop, waiter, -ECANCELED);
        if (!goes_on(loop, c))
            return;
        eti_descriptor_closes(loop, fd);
    }
    if (c->internal.on_pool) {
        loop->current = NULL;
        give_to_pool(loop, c);
        return;
    }
    /* Linux has closed the number even when it says EINTR: closing again could hit another file. */
    int result = close(fd) == 0 || errno == EINTR ? 0 : -errno;
    eti_finish(loop, c, result);
}

/* Ordinary data are no news for what waits for urgent data or for the error queue: that asks for
 * its events as a poll does, and for none if it is the error queue, as EPOLLERR comes unasked. */
static enum place received_by(struct et_completion *c, int flags) {
    if ((flags & (MSG_ERRQUEUE | MSG_OOB)) == 0)
        return PLACE_IN;
    c->internal.events = (flags & MSG_ERRQUEUE) != 0 ? 0 : EPOLLPRI;
    return PLACE_OTHERS;
}

static enum place place_of(struct et_completion *c) {
    switch (c->internal.operation) {
    case ET_POLL: return PLACE_OTHERS;
    case ET_RECV: return received_by(c, c->recv.flags);
    case ET_RECVMSG: return received_by(c, c->recvmsg.flags);
    case ET_CONNECT:
    case ET_WRITE:
    case ET_PWRITE:
    case ET_SEND:
    case ET_SENDMSG: return PLACE_OUT;
    default: return PLACE_IN;
    }
}

/* What is tried before a report: connect, which nothing else can begin, and sends, which mostly
 * succeed at once. A receive mostly would not, and others may block (ET-EVENT-8). */
static bool try_at_start(struct et_loop *loop, struct et_completion *c, int64_t *result) {
    int fd = c->internal.fd;
    if (c->internal.operation == ET_CONNECT) {
        if (connect(fd, c->connect.address, c->connect.address_length) == 0) {
            *result = 0;
            return true;
        }
        *result = -errno;
        return errno != EINPROGRESS && errno != EINTR;
    }
    if (c->internal.operation != ET_SEND && c->internal.operation != ET_SENDMSG)
        return false;
    if (loop->descriptors[fd].out.head != NULL) /* ET-SUBMIT-8: it must not overtake */
        return false;
    return eti_try_operation(loop, c, false, result);
}

static void start_waiting(struct et_loop *loop, struct et_completion *c) {
    int64_t result;
    if (c->fd >= loop->descriptors_max) {
        eti_finish(loop, c, -EMFILE);
        return;
    }
    bool trusted = c->internal.trusted && c->internal.fd == c->fd;
    c->internal.fd = c->fd;
    if (try_at_start(loop, c, &result)) {
        eti_finish(loop, c, result);
        return;
    }
    eti_become_active(loop, c, place_of(c));
    eti_wait_on(loop, c, trusted);
}

void eti_start(struct et_loop *loop, struct et_completion *c) {
    const uint8_t operation = c->internal.operation;
    assert(loop->submissions_head == c && loop->current == NULL);
    switch (operation) {
    case ET_NOOP: eti_finish(loop, c, 0); return;
    case ET_CANCEL: start_cancel(loop, c); return;
    case ET_TIMER:
        eti_become_active(loop, c, PLACE_HEAP);
        eti_heap_insert(loop->timers, c);
        return;
    case CARRIER: eti_end_carrier(loop, c); return; /* ET-RESET-8 */
    default: break;
    }
    if (c->fd < 0)
        eti_finish(loop, c, -EBADF);
    else if (operation == ET_CLOSE)
        start_close(loop, c);
    else if (operation == ET_SHUTDOWN)
        eti_finish(loop, c, shutdown(c->fd, c->shutdown.how) == 0 ? 0 : -errno);
    else if (c->internal.on_pool)
        start_pooled(loop, c);
    else
        start_waiting(loop, c);
}
