/* SPDX-License-Identifier: MIT */
/* What Linux can have answered (answers.h): the manual's list of errors for each operation, each
 * with what has to be so for it. */
#ifndef ETALON_WITHOUT_KIT

#include "answers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../fuzz/world/kernel.h"
#include "../../model/words.h"

struct nature {
    mode_t kind; /* S_IFIFO, S_IFSOCK, S_IFREG; 0: an eventfd and its like */
    int type, access;
    bool listens, connected;
    short events;
};

static int option(int fd, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return syscall(SYS_getsockopt, fd, SOL_SOCKET, name, &value, &length) == 0 ? value : 0;
}

static struct nature nature_of(int fd) {
    struct nature n = {.kind = 0};
    struct stat status = {.st_mode = 0};
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    struct timespec none = {0};
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (fstat(fd, &status) == 0)
        n.kind = status.st_mode & S_IFMT;
    n.access = (int)syscall(SYS_fcntl, fd, F_GETFL, 0) & O_ACCMODE;
    if (n.kind == S_IFSOCK) {
        n.type = option(fd, SO_TYPE);
        n.listens = option(fd, SO_ACCEPTCONN) != 0;
        n.connected = syscall(SYS_getpeername, fd, &address, &length) == 0;
    }
    if (syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0)
        n.events = p.revents;
    return n;
}

static bool of_sockets(uint32_t operation) {
    return operation == ETALON_ACCEPT || operation == ETALON_CONNECT ||
           operation == ETALON_SHUTDOWN ||
           (operation >= ETALON_SEND && operation <= ETALON_RECVMSG);
}

static bool gives(uint32_t operation) {
    return (operation_traits(operation, 0) & GIVES_BYTES) != 0;
}

static bool takes(uint32_t operation) {
    return (operation_traits(operation, 0) & TAKES_BYTES) != 0;
}

/* Nothing is sent by it: a stream has no empty messages. */
static bool cannot_send(int fd) {
    return syscall(SYS_sendto, fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) < 0 &&
           errno == EPIPE;
}

static bool is_timerfd(int fd) {
    struct itimerspec value;
    return syscall(SYS_timerfd_gettime, fd, &value) == 0;
}

/* Linux says EINVAL to who asks for urgent data where there are none. */
static bool waits_for_urgent_data(const struct etalon_subject_description *d) {
    struct pollfd p = {.fd = d->fd, .events = POLLPRI};
    struct timespec none = {0};
    return takes(d->operation) && of_sockets(d->operation) && (d->flags & MSG_OOB) != 0 &&
           option(d->fd, SO_TYPE) == SOCK_STREAM &&
           (syscall(SYS_ppoll, &p, 1, &none, NULL, 8) <= 0 || (p.revents & POLLPRI) == 0);
}

unsigned passing_causes(const struct etalon_subject_description *d) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    unsigned causes = 0;
    if (!takes(d->operation) && !gives(d->operation))
        return 0;
    if (syscall(SYS_getpeername, d->fd, &address, &length) != 0 && errno == ENOTCONN)
        causes |= CAUSE_UNCONNECTED;
    if (waits_for_urgent_data(d))
        causes |= CAUSE_NOT_URGENT;
    return causes;
}

static bool is_invalid(const struct etalon_subject_description *d, const struct nature *n,
                       unsigned passing) {
    switch (d->operation) {
    case ETALON_ACCEPT: return !n->listens;
    case ETALON_CONNECT: return n->kind == S_IFSOCK;
    case ETALON_SHUTDOWN: return d->flags < SHUT_RD || d->flags > SHUT_RDWR || n->listens;
    case ETALON_PREAD:
    case ETALON_PWRITE: return d->offset < 0 || n->kind == 0;
    default:
        return (takes(d->operation) || gives(d->operation)) &&
               (n->kind == 0 || n->listens || !n->connected || passing != 0 ||
                waits_for_urgent_data(d));
    }
}

static bool of_connecting(const struct etalon_subject_description *d, int error,
                          const struct nature *n) {
    int fd = d->fd;
    switch (error) {
    case EAFNOSUPPORT: return d->address->sa_family != option(fd, SO_DOMAIN);
    case EISCONN: return n->connected || n->listens;
    case EAGAIN: return option(fd, SO_DOMAIN) == AF_UNIX;   /* the listener has no room */
    case EALREADY: return option(fd, SO_DOMAIN) != AF_UNIX; /* others connect meanwhile */
    case ECONNREFUSED:
    case EPROTOTYPE:
    case EOPNOTSUPP:
    case ENOTCONN: return true;
    default: return false;
    }
}

static bool is_of_another_family(const struct etalon_subject_description *d) {
    const struct sockaddr *address = d->message->msg_name;
    return address != NULL && address->sa_family != option(d->fd, SO_DOMAIN);
}

bool error_has_a_cause(const struct etalon_subject_description *d, int error, unsigned passing) {
    struct nature n = nature_of(d->fd);
    bool socket = n.kind == S_IFSOCK, stream = socket && n.type == SOCK_STREAM,
         gone = (n.events & (POLLERR | POLLHUP | POLLRDHUP)) != 0;
    if (d->operation == ETALON_CONNECT && socket && of_connecting(d, error, &n))
        return true;
    switch (error) {
    case EAGAIN: return d->on_pool; /* ET-POOL-4 */
    case EBADF:
        return (takes(d->operation) && n.access == O_WRONLY) ||
               (gives(d->operation) && n.access == O_RDONLY);
    case EPERM: return n.kind == S_IFREG;
    case ENOTSOCK: return of_sockets(d->operation) && !socket;
    case ESPIPE: return (operation_traits(d->operation, 0) & POSITIONED) != 0 && n.kind != S_IFREG;
    case EINVAL: return is_invalid(d, &n, passing);
    case EISCONN: return n.connected && d->operation == ETALON_SENDMSG; /* to an address */
    case EAFNOSUPPORT: return d->operation == ETALON_SENDMSG && socket && is_of_another_family(d);
    case ECANCELED: return takes(d->operation) && is_timerfd(d->fd); /* TFD_TIMER_CANCEL_ON_SET */
    case EOPNOTSUPP:
        return socket && (n.listens || !stream || d->operation == ETALON_SENDMSG /* as above */ ||
                          (of_sockets(d->operation) && (d->flags & MSG_OOB) != 0));
    case ENOTCONN: return socket && (!n.connected || gone || (passing & CAUSE_UNCONNECTED) != 0);
    case EPIPE:
        return gives(d->operation) && (gone || (passing & CAUSE_UNCONNECTED) != 0 ||
                                       (socket && !stream) || (stream && cannot_send(d->fd)));
    case ECONNRESET: return socket && (gone || !stream);
    /* of what was sent before, too: the loopback device brings the refusal back */
    case ECONNREFUSED:
        return (gives(d->operation) || takes(d->operation)) && socket && !stream &&
               (option(d->fd, SO_DOMAIN) != AF_UNIX || real_world_left(d->fd) ||
                d->operation == ETALON_SENDMSG);
    case EDESTADDRREQ:
    case EMSGSIZE: return gives(d->operation) && socket && !stream;
    case EIO: return n.kind == S_IFCHR && gone; /* a terminal that is hung up */
    case EMFILE:
    case ENFILE: return d->operation == ETALON_ACCEPT && real_world_was_full();
    case ECONNABORTED:
        return d->operation == ETALON_ACCEPT && n.listens && option(d->fd, SO_DOMAIN) != AF_UNIX;
    default: return false;
    }
}

bool is_to_be_refused(const struct etalon_subject_description *d, bool left) {
    int type = option(d->fd, SO_TYPE);
    if (!gives(d->operation))
        return false;
    /* what wrote to it has closed, or what it was connected to; the network tells of it later */
    if (left && option(d->fd, SO_DOMAIN) != AF_INET)
        return d->operation == ETALON_SENDMSG
                   ? d->message->msg_name == NULL &&
                         d->message->msg_iov[0].iov_len + d->message->msg_iov[1].iov_len > 0
                   : d->length > 0;
    return type == SOCK_DGRAM && option(d->fd, SO_DOMAIN) == AF_UNIX &&
           (d->operation == ETALON_SEND || d->operation == ETALON_SENDMSG) &&
           (d->flags & MSG_OOB) != 0;
}

bool takes_connections(int fd, const struct sockaddr *address, socklen_t length) {
    struct nature n = nature_of(fd);
    struct sockaddr_storage own;
    socklen_t own_length = sizeof own;
    return n.listens && (n.events & (POLLHUP | POLLRDHUP)) == 0 &&
           syscall(SYS_getsockname, fd, &own, &own_length) == 0 && own_length == length &&
           memcmp(&own, address, length) == 0;
}

bool can_be_at_its_end(int fd) {
    struct nature n = nature_of(fd);
    return n.kind == S_IFREG || (n.events & (POLLHUP | POLLRDHUP | POLLERR)) != 0 ||
           (n.kind == S_IFSOCK && n.type != SOCK_STREAM);
}

bool is_shut_too_far(const struct etalon_subject_description *d) {
    struct nature n = nature_of(d->fd);
    if (n.type != SOCK_STREAM || !n.connected)
        return false;
    return (d->flags == SHUT_WR && (n.events & POLLRDHUP) != 0) ||
           (d->flags == SHUT_RD && cannot_send(d->fd));
}

bool is_brought_about(const struct etalon_subject_description *d) {
    struct nature n = nature_of(d->fd);
    if (d->operation == ETALON_CONNECT)
        return n.type != SOCK_STREAM || n.connected;
    if (d->operation == ETALON_SHUTDOWN && n.type == SOCK_STREAM && n.connected)
        return (d->flags == SHUT_WR || (n.events & POLLRDHUP) != 0) &&
               (d->flags == SHUT_RD || cannot_send(d->fd));
    return true;
}

#else
typedef int nothing_here;
#endif
