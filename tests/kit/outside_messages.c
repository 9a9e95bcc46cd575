/* SPDX-License-Identifier: MIT */
/* What belongs to messages: where one goes to, who has sent one, and which errors a datagram can
 * meet; and errors that wait to be told. The observer (outside.h) tells the promise what is not so.
 */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../fuzz/world/kernel.h"
#include "answers.h"
#include "outside.h"

#define INET_MESSAGE_MAX 65507

static int option(int fd, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return syscall(SYS_getsockopt, fd, SOL_SOCKET, name, &value, &length) == 0 ? value : 0;
}

static short polled(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    struct timespec none = {0};
    return syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0 ? p.revents : 0;
}

/* ---- errors of datagrams --------------------------------------------------------------------- */

static bool is_connected(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    return syscall(SYS_getpeername, fd, &address, &length) == 0;
}

/* A socket has the name that i is addressed to. */
static bool is_there(const struct item *i) {
    int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool there =
        fd >= 0 && syscall(SYS_connect, fd, i->message.msg_name, i->message.msg_namelen) == 0;
    (void)syscall(SYS_close, fd);
    return there;
}

static bool is_short_enough(const struct item *i) {
    int domain = domain_of(i->d.fd), size = option(i->d.fd, SO_SNDBUF);
    return whole_length(i) <= (domain == AF_UNIX ? (size_t)size - 32 : INET_MESSAGE_MAX);
}

bool datagram_is_refused_in_vain(const struct item *i, int64_t result) {
    int fd = i->d.fd;
    if ((!takes_bytes(i) && !gives_bytes(i)) || is_stream(fd))
        return false;
    bool changed = observer.endings > 0 || observer.connects > 0; /* whoever it was */
    switch (-result) {
    case EMSGSIZE: return is_short_enough(i) && !real_world_has_errors(fd);
    case EDESTADDRREQ:
    case ENOTCONN:
        return is_addressed(i) || (is_connected(fd) && (i->passing & CAUSE_UNCONNECTED) == 0);
    case EPIPE:
    case ECONNRESET: return !changed;
    case ECONNREFUSED: return is_addressed(i) ? is_there(i) : !changed && !real_world_left(fd);
    default: return false;
    }
}

/* Nobody has listened, and nothing else has happened to either end: Linux has one answer. */
bool connection_is_refused_otherwise(const struct item *i, int64_t result) {
    int fd = i->d.fd;
    return i->d.operation == ET_CONNECT && result < 0 && result != -ECONNREFUSED &&
           i->listener == 0 && observer.endings == 0 && observer.connects == 1 &&
           stream_at(fd) == NULL && option(fd, SO_TYPE) == SOCK_STREAM &&
           domain_of(fd) == i->address.ss_family && option(fd, SO_ACCEPTCONN) == 0 &&
           !is_connected(fd);
}

/* ---- errors that wait ------------------------------------------------------------------------ */

/* Of the network: Linux tells whoever sends or receives next, and nobody else. */
static bool has_pending_error(const struct item *i) {
    return (i->d.flags & (MSG_OOB | MSG_ERRQUEUE)) == 0 && domain_of(i->d.fd) == AF_INET &&
           (polled(i->d.fd, POLLIN | POLLOUT) & POLLERR) != 0 && !real_world_has_errors(i->d.fd);
}

static void note_pending_error(struct item *i, const struct stream *stream) {
    if (stream == NULL || i->error_waits || !has_pending_error(i))
        return;
    i->error_waits = true;
    i->errors_told = stream->errors;
}

/* The loop sleeps, and has told all that it knew. */
void note_pending_errors(void) {
    for (unsigned c = 0; c < COUNT; c++) {
        struct item *i = &observer.item[c];
        if (i->in_use && (takes_bytes(i) || gives_bytes(i)) &&
            world_real.installed(i->d.fd) == i->installed)
            note_pending_error(i, stream_at(i->d.fd));
    }
}

static bool is_error_forgotten(unsigned c) {
    const struct item *i = &observer.item[c];
    if (!i->in_use || !i->error_waits || world_real.installed(i->d.fd) != i->installed ||
        observer.taken.installed == i->installed)
        return false;
    const struct stream *stream = stream_at(i->d.fd);
    return stream != NULL && i->errors_told == stream->errors && stream->counted &&
           !observer.given_lost && !has_pending_error(i) && is_alone(c, true) && is_alone(c, false);
}

/* The loop is about to sleep. */
void check_forgotten_errors(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (is_error_forgotten(c))
            untrue(c, PROMISE_UNTRUE_ERROR,
                   "c%u waits, but the error that waited for its descriptor %d is gone, and nobody "
                   "was told",
                   c, observer.item[c].d.fd);
}

/* What has come before it is still read. */
static bool is_hidden(const struct item *i, int64_t result) {
    return whole_length(i) > 0 && (!is_stream(i->d.fd) || gives_bytes(i) || result == 0);
}

static void check_pending_error(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    struct stream *stream = stream_at(i->d.fd);
    if (stream == NULL)
        return;
    stream->errors += result < 0;
    if (result >= 0 && i->error_waits && i->errors_told == stream->errors && is_hidden(i, result) &&
        stream->counted && !observer.given_lost && is_alone(c, true) && is_alone(c, false))
        untrue(c, PROMISE_UNTRUE_ERROR,
               "c%u ends with %lld, but an error waited for its descriptor %d, and nobody was told",
               c, (long long)result, i->d.fd);
}

/* ---- who has sent ---------------------------------------------------------------------------- */

/* The first message that waits for i: nobody else takes it. */
void note_sender(struct item *i) {
    struct msghdr message = {.msg_name = &i->sender, .msg_namelen = sizeof i->sender};
    if (i->d.operation != ET_RECVMSG || i->sender_known || is_stream(i->d.fd) ||
        polled(i->d.fd, POLLIN) != POLLIN)
        return;
    if (syscall(SYS_recvmsg, i->d.fd, &message, MSG_PEEK | MSG_DONTWAIT) < 0)
        return;
    i->sender_known = true;
    i->sender_length = message.msg_namelen;
}

static void begin_receiving(struct item *i, const struct stream *stream) {
    i->sender_known = false;
    i->takes = stream->takes;
    if (is_alone((unsigned)(i - observer.item), true))
        note_sender(i);
}

static void check_sender(unsigned c, struct stream *stream) {
    const struct item *i = &observer.item[c];
    if (!i->sender_known || i->takes != stream->takes || !stream->counted || !is_alone(c, true))
        return;
    if (i->message.msg_namelen != i->sender_length ||
        memcmp(&i->address, &i->sender, i->sender_length) != 0)
        untrue(c, PROMISE_UNTRUE_MESSAGE,
               "c%u has received a message, but the address of its sender is not there", c);
}

/* ---- where it goes to ------------------------------------------------------------------------ */

/* Linux shows one after the other to whoever looks from an offset on. */
static bool waits_there(int fd, const void *bytes, size_t length) {
    static char message[BUFFER + 1];
    int offset = 0, off = -1;
    bool found = false;
    if (syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) != 0)
        return true;
    for (long got = 0; got >= 0 && !found;) {
        got =
            syscall(SYS_recvfrom, fd, message, sizeof message, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
        found = got == (long)length && memcmp(message, bytes, length) == 0;
    }
    (void)syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off);
    return found;
}

/* The network asks no address of a stream that is connected. */
static void check_destination(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    int fd = descriptor(i->into);
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    if (!is_addressed(i) || is_stream(i->d.fd) || result <= 0 || fd < 0 || observer.duplicated ||
        syscall(SYS_getsockname, fd, &own, &length) != 0 || length != i->message.msg_namelen ||
        memcmp(&own, i->message.msg_name, length) != 0)
        return;
    const struct stream *there = stream_at(fd);
    if ((there == NULL || !there->is_read) && !waits_there(fd, observer.buffer[c], (size_t)result))
        untrue(c, PROMISE_UNTRUE_ADDRESS,
               "c%u ends with %lld bytes, but no such message has come to where it is addressed to",
               c, (long long)result);
}

/* ---- for both -------------------------------------------------------------------------------- */

void begin_message(struct item *i, struct stream *stream) {
    i->error_waits = false;
    note_pending_error(i, stream);
    if (!takes_bytes(i))
        return;
    stream->is_read = true;
    begin_receiving(i, stream);
}

void check_message_ends(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    struct stream *stream = stream_at(i->d.fd);
    if (stream == NULL)
        return;
    if (i->d.operation == ET_RECVMSG && result >= 0 && !is_stream(i->d.fd) &&
        (i->d.flags & (MSG_OOB | MSG_ERRQUEUE)) == 0)
        check_sender(c, stream);
    if (takes_bytes(i) && result >= 0 && (i->d.flags & MSG_PEEK) == 0)
        stream->takes++;
    if (gives_bytes(i))
        check_destination(c, result);
    check_pending_error(c, result);
}

#else
typedef int nothing_here;
#endif
