/* SPDX-License-Identifier: MIT */
/* A simulated Linux: pipes, AF_UNIX sockets, eventfd, timerfd, a regular file and epoll, as far as
 * the loop can see them. It implements world_simulated of fuzz/world/world.h; its system calls are
 * reached through fuzz/world/wrap.c.
 *
 * Everything lies in static tables and nothing depends on the real system: the same program always
 * sees the same world. What is in use stands in bit masks, so that a new world costs a few stores
 * and not a pass over the tables.
 *
 * The behaviour follows Linux 6.x to the errno; tests/unit/test_kernel.c runs the same scenarios on
 * both. Data has no content: what is read is filled with a pattern. Sizes are in kernel.h, far
 * smaller than those of Linux. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#include "kernel_state.h"

#define PATTERN      'e'
#define SHUT_IN      1
#define SHUT_OUT     2
#define SHUT_BOTH    3
#define ALWAYS       ((uint32_t)(EPOLLERR | EPOLLHUP))
#define INTERESTS    (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | ALWAYS | EPOLLET | EPOLLONESHOT)
#define WAKE_ALL     UINT32_MAX
#define KEY_READABLE (EPOLLIN | EPOLLPRI)

struct simulation simulation;

/* Where the bytes of a send go: not static, so that no compiler drops the reading of the caller's
 * buffer. */
unsigned char kernel_sink[KERNEL_SNDBUF];

const struct kernel_sizes kernel_small = {
    .page = KERNEL_PAGE,
    .send_buffer = KERNEL_SNDBUF,
    .writable = KERNEL_SNDBUF / 4,
    .piece = KERNEL_CHUNK,
    .message = KERNEL_MESSAGE,
    .port = KERNEL_PORT,
};
const struct kernel_sizes *kernel_sizes = &kernel_small;
bool kernel_limit_met;

/* ---- descriptor numbers and open files ------------------------------------------------------- */

static struct file *file_new(enum file_kind kind) {
    if (simulation.files_used == UINT64_MAX) {
        kernel_limit_met = true;
        return NULL;
    }
    unsigned index = lowest(~simulation.files_used);
    simulation.files_used |= bit(index);
    struct file *f = &simulation.file[index];
    memset(f, 0, sizeof *f);
    f->kind = (uint8_t)kind;
    f->peer = NONE;
    return f;
}

static void file_free(struct file *f) {
    uint64_t gone = ~bit(index_of(f));
    simulation.files_used &= gone;
    simulation.epolls &= gone;
    /* the loop has given up the new one: it goes on with the old one */
    if (simulation.newest_epoll == index_of(f))
        simulation.newest_epoll =
            simulation.epolls != 0 ? (uint8_t)lowest(simulation.epolls) : NONE;
    simulation.timers &= gone;
    simulation.connecting &= gone;
}

static int64_t install_at(struct file *f, unsigned number) {
    simulation.numbers_used |= bit(number);
    simulation.number[number].file = (uint8_t)index_of(f);
    simulation.number[number].installed = ++simulation.installs;
    f->numbers++;
    return number;
}

/* The numbers that the program can get. */
static uint64_t numbers_free(void) {
    return ~simulation.numbers_used & (bit(simulation.limit) - 1);
}

static int64_t install(struct file *f) {
    uint64_t unused =
        f->own ? ~simulation.numbers_used & ~(bit(KERNEL_OWN_FROM) - 1) : numbers_free();
    return unused == 0 ? -EMFILE : install_at(f, lowest(unused));
}

static void pair(struct file *f, struct file *other) {
    f->peer = (uint8_t)index_of(other);
    other->peer = (uint8_t)index_of(f);
}

/* ---- readiness ------------------------------------------------------------------------------- */

/* What the socket has sent and nobody has read. */
static uint32_t on_its_way(const struct file *f) {
    const struct file *peer = peer_of(f);
    return f->charged + (peer != NULL ? peer->queued : 0);
}

static bool is_port(const struct file *f) {
    return f->kind == FILE_DATAGRAM && f->name >= PORT_NAMES;
}

static bool sockets_have(const struct file *f, unsigned end) {
    return (f->shutdown & end) != 0;
}

static uint32_t readiness_of_socket(const struct file *f) {
    if (f->state == SOCKET_CONNECTING)
        return 0; /* like TCP before its handshake */
    uint32_t events = f->error != 0 || f->errors > 0 ? EPOLLERR : 0;
    if (f->urgent)
        events |= EPOLLPRI;
    if (f->shutdown == SHUT_BOTH)
        events |= EPOLLHUP;
    if (sockets_have(f, SHUT_IN))
        events |= EPOLLRDHUP | EPOLLIN;
    if (f->queued > 0 || f->count > 0)
        events |= EPOLLIN;
    if (f->kind == FILE_STREAM && f->state == SOCKET_FRESH)
        events |= EPOLLHUP;
    if (f->state != SOCKET_LISTENING && on_its_way(f) <= kernel_sizes->writable)
        events |= EPOLLOUT;
    return events;
}

static uint32_t readiness_of_epoll(const struct file *f);

static uint32_t readiness(const struct file *f) {
    const struct file *peer = peer_of(f);
    switch (f->kind) {
    case FILE_PIPE_READER: return (f->count > 0 ? EPOLLIN : 0u) | (peer == NULL ? EPOLLHUP : 0u);
    case FILE_PIPE_WRITER:
        if (peer == NULL)
            return EPOLLERR | (f->was_full ? 0u : EPOLLOUT);
        return peer->count < KERNEL_PAGES ? EPOLLOUT : 0;
    case FILE_STREAM:
    case FILE_DATAGRAM: return readiness_of_socket(f);
    case FILE_EVENTFD:
        return (f->counter > 0 ? EPOLLIN : 0u) | (f->counter < UINT64_MAX - 1 ? EPOLLOUT : 0u) |
               (f->counter == UINT64_MAX ? EPOLLERR : 0u);
    case FILE_TIMERFD: return f->timer.expired ? EPOLLIN : 0;
    case FILE_EPOLL: return readiness_of_epoll(f);
    default: return 0;
    }
}

/* What a watch is to be told of. */
static uint32_t asked_by(const struct watch *w) {
    return w->spent ? 0 : (w->events & (uint32_t) ~(EPOLLET | EPOLLONESHOT)) | ALWAYS;
}

/* As on Linux, a look takes from the front of the list what is not ready any more, which may
 * join it again at its end. One that contains another one is as ready as that. */
static uint32_t readiness_of_epoll(const struct file *f) {
    struct file *epoll = &simulation.file[index_of(f)];
    for (uint64_t left = simulation.watches_used; left != 0; left &= left - 1) {
        const struct watch *w = &simulation.watch[lowest(left)];
        if (w->epoll == index_of(f) && simulation.file[w->file].kind == FILE_EPOLL)
            return readiness(&simulation.file[w->file]);
    }
    while (epoll->epoll.count > 0) {
        struct watch *w = &simulation.watch[epoll->epoll.ready[0]];
        if (readiness(&simulation.file[w->file]) & asked_by(w))
            return EPOLLIN;
        memmove(epoll->epoll.ready, epoll->epoll.ready + 1, --epoll->epoll.count);
        w->ready = false;
    }
    return 0;
}

static void ready_put(struct watch *w) {
    struct file *epoll = &simulation.file[w->epoll];
    if (!w->ready)
        epoll->epoll.ready[epoll->epoll.count++] = (uint8_t)(w - simulation.watch);
    w->ready = true;
}

/* What Linux does for the waiters of a file: a watch joins the ready list when it asks for one of
 * the events in `key`. Whether it is really ready is seen when somebody waits. Of several watches
 * of one file the newest comes first. */
static void wake(const struct file *f, uint32_t key) {
    for (uint64_t below = UINT64_MAX;;) {
        struct watch *newest = NULL;
        for (uint64_t left = simulation.watches_used; left != 0; left &= left - 1) {
            struct watch *w = &simulation.watch[lowest(left)];
            if (w->file == index_of(f) && w->serial < below &&
                (newest == NULL || w->serial > newest->serial))
                newest = w;
        }
        if (newest == NULL)
            return;
        if (key & asked_by(newest))
            ready_put(newest);
        below = newest->serial;
    }
}

/* What a message weighs on the sender's buffer for as long as it is not wholly read. */
static uint32_t cost(size_t length) {
    return kernel_sizes->cost != NULL ? kernel_sizes->cost[length]
                                      : (uint32_t)length + KERNEL_MESSAGE_COST;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void watch_free(struct watch *w) {
    struct file *epoll = &simulation.file[w->epoll];
    unsigned kept = 0;
    for (unsigned i = 0; w->ready && i < epoll->epoll.count; i++)
        if (epoll->epoll.ready[i] != w - simulation.watch)
            epoll->epoll.ready[kept++] = epoll->epoll.ready[i];
    if (w->ready)
        epoll->epoll.count = (uint8_t)kept;
    simulation.watches_used &= ~bit((unsigned)(w - simulation.watch));
}

/* The other end learns that f is closed. An end in the world's hands goes with it: nobody can name
 * it any more. */
static void hang_up(struct file *f, bool never_accepted) {
    struct file *peer = peer_of(f);
    if (peer == NULL)
        return;
    f->peer = NONE;
    peer->peer = NONE;
    peer->peer_gone = true;
    if (peer->held) {
        file_free(peer);
        return;
    }
    if (f->kind == FILE_PIPE_READER)
        peer->was_full = f->count == KERNEL_PAGES;
    if (f->kind == FILE_STREAM) {
        peer->shutdown = SHUT_BOTH;
        if (f->queued > 0 || never_accepted)
            peer->error = ECONNRESET;
    }
    if (f->kind != FILE_DATAGRAM)
        wake(peer, WAKE_ALL);
    else if (f->queued > 0)
        wake(peer, EPOLLOUT); /* what was on its way is gone: there is room */
}

/* The sender of the i-th message at a port has room again. */
static void discharge(const struct file *port, unsigned i) {
    if (port->from[i] == NONE)
        return;
    struct file *sender = &simulation.file[port->from[i]];
    sender->charged -= cost(port->message[i]);
    if (on_its_way(sender) <= kernel_sizes->writable)
        wake(sender, EPOLLOUT);
}

/* What it has sent to ports stays there, and is nobody's. */
static void sender_leaves(const struct file *f) {
    for (uint64_t left = f->charged > 0 ? simulation.files_used : 0; left != 0; left &= left - 1) {
        struct file *port = &simulation.file[lowest(left)];
        for (unsigned i = 0; is_port(port) && i < port->count; i++)
            if (port->from[i] == index_of(f))
                port->from[i] = NONE;
    }
}

static void file_release(struct file *f) {
    sender_leaves(f);
    for (unsigned i = 0; is_port(f) && i < f->count; i++)
        discharge(f, i);

    for (uint64_t left = simulation.watches_used; left != 0; left &= left - 1) {
        struct watch *w = &simulation.watch[lowest(left)];
        if (w->file == index_of(f) || w->epoll == index_of(f))
            watch_free(w);
    }
    for (unsigned i = 0; f->state == SOCKET_LISTENING && i < f->count; i++) {
        hang_up(&simulation.file[f->pending[i]], true);
        file_free(&simulation.file[f->pending[i]]);
    }
    hang_up(f, false);
    file_free(f);
}

static void number_release(int fd) {
    struct file *f = named(fd);
    assert(f != NULL && f->numbers > 0);
    simulation.numbers_used &= ~bit((unsigned)fd);
    for (unsigned d = 0; d < PROGRAM_FEW; d++)
        if (simulation.handle[d] == fd)
            simulation.handle[d] = -1;
    if (--f->numbers == 0)
        file_release(f);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static int fault_slow(enum faulty_call call) {
    int error = 0;
    unsigned kept = 0;
    simulation.faulty = 0;
    for (unsigned i = 0; i < simulation.faults; i++) {
        struct fault *f = &simulation.fault[i];
        if (f->call == call && f->after > 0)
            f->after--;
        if (f->call == call && f->after == 0 && error == 0) {
            error = f->error;
            continue;
        }
        simulation.faulty |= 1u << f->call;
        simulation.fault[kept++] = *f;
    }
    simulation.faults = kept;
    return error;
}

/* The errno with which this call has to fail, or 0. The loop's own descriptors are spared: their
 * failing tells nothing of a law, and would let a wake-up last for ever. */
static int fault(enum faulty_call call, int fd) {
    if (!(simulation.faulty & (1u << call)))
        return 0;
    const struct file *f = named(fd);
    return f != NULL && f->own ? 0 : fault_slow(call);
}

/* ---- the caller's memory --------------------------------------------------------------------- */

/* Reads or fills `length` bytes of the caller's buffers as Linux would, so that a sanitizer sees
 * the use of dead ones. */
static void take(const struct iovec *vector, size_t vectors, size_t length) {
    for (size_t i = 0; i < vectors && length > 0; i++) {
        size_t part = vector[i].iov_len < length ? vector[i].iov_len : length;
        for (size_t at = 0; at < part; at += sizeof kernel_sink) {
            size_t piece = part - at < sizeof kernel_sink ? part - at : sizeof kernel_sink;
            memcpy(kernel_sink, (const char *)vector[i].iov_base + at, piece);
        }
        length -= part;
    }
}

static void fill(const struct iovec *vector, size_t vectors, size_t length) {
    for (size_t i = 0; i < vectors && length > 0; i++) {
        size_t part = vector[i].iov_len < length ? vector[i].iov_len : length;
        if (part > 0)
            memset(vector[i].iov_base, PATTERN, part);
        length -= part;
    }
}

static size_t size_of(const struct iovec *vector, size_t vectors) {
    size_t size = 0;
    for (size_t i = 0; i < vectors; i++)
        size += vector[i].iov_len;
    return size;
}

/* ---- pipes ----------------------------------------------------------------------------------- */

static int64_t pipe_read(struct file *f, size_t length) {
    size_t done = 0;
    bool was_full = f->count == KERNEL_PAGES;
    if (length == 0)
        return 0;
    if (f->count == 0)
        return f->peer == NONE ? 0 : -EAGAIN;
    while (f->count > 0 && done < length) {
        size_t part = f->page[0].length < length - done ? f->page[0].length : length - done;
        done += part;
        f->page[0].start = (uint16_t)(f->page[0].start + part);
        f->page[0].length = (uint16_t)(f->page[0].length - part);
        if (f->page[0].length == 0)
            memmove(&f->page[0], &f->page[1], --f->count * sizeof f->page[0]);
    }
    if (was_full && f->count < KERNEL_PAGES && f->peer != NONE)
        wake(peer_of(f), EPOLLOUT);
    return (int64_t)done;
}

/* As pipe_write of Linux: the odd bytes go into the last page if they all fit there, the rest into
 * free pages. */
static int64_t pipe_write(const struct file *writer, size_t length) {
    size_t done = 0;
    struct file *f = peer_of(writer);
    if (length == 0)
        return 0;
    if (f == NULL)
        return -EPIPE;
    size_t page = kernel_sizes->page, odd = length % page;
    unsigned last = f->count - 1u;
    if (odd > 0 && f->count > 0 && f->page[last].start + f->page[last].length + odd <= page) {
        f->page[last].length = (uint16_t)(f->page[last].length + odd);
        done = odd;
    }
    while (done < length && f->count < KERNEL_PAGES) {
        size_t part = length - done < page ? length - done : page;
        f->page[f->count].start = 0;
        f->page[f->count++].length = (uint16_t)part;
        done += part;
    }
    if (done == 0)
        return -EAGAIN;
    wake(f, EPOLLIN);
    return (int64_t)done;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static bool is_socket(const struct file *f) {
    return f->kind == FILE_STREAM || f->kind == FILE_DATAGRAM;
}

static int error_taken(struct file *f) {
    int error = f->error;
    f->error = 0;
    return error;
}

static bool has_room(const struct file *receiver) {
    if (receiver->queued >= kernel_sizes->send_buffer)
        return false;
    kernel_limit_met |= receiver->count == KERNEL_MESSAGES;
    return receiver->count < KERNEL_MESSAGES;
}

static void message_put(struct file *receiver, size_t length) {
    receiver->message[receiver->count++] = (uint16_t)length;
    receiver->queued += cost(length);
}

/* The first message goes; that makes room for the other end, which hears of it when it can be
 * called writable. */
static void message_drop(struct file *f) {
    f->queued -= cost(f->message[0]);
    f->begun = 0;
    if (is_port(f))
        discharge(f, 0);
    memmove(&f->message[0], &f->message[1], --f->count * sizeof f->message[0]);
    memmove(&f->from[0], &f->from[1], f->count * sizeof f->from[0]);
    if (f->peer != NONE && on_its_way(peer_of(f)) <= kernel_sizes->writable)
        wake(peer_of(f), EPOLLOUT);
}

static int64_t stream_send(struct file *f, size_t length, bool has_address) {
    size_t sent = 0;
    if (has_address)
        return f->state == SOCKET_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    if (f->state == SOCKET_CONNECTING)
        return -EAGAIN;
    if (f->state == SOCKET_FAILED)
        return f->error != 0 ? -error_taken(f) : -EPIPE;
    if (f->peer == NONE && !f->peer_gone)
        return -ENOTCONN;
    if (sockets_have(f, SHUT_OUT))
        return -EPIPE;
    if (length > 0 && f->error != 0)
        return -error_taken(f);
    struct file *peer = peer_of(f);
    assert(peer != NULL); /* else SHUT_OUT */
    while (sent < length && has_room(peer)) {
        size_t part = length - sent < kernel_sizes->piece ? length - sent : kernel_sizes->piece;
        /* it was shut down before it was connected: we were not told */
        if (sockets_have(peer, SHUT_IN))
            return -EPIPE;
        message_put(peer, part);
        sent += part;
    }
    if (sent > 0)
        wake(peer, KEY_READABLE);
    return sent > 0 || length == 0 ? (int64_t)sent : -EAGAIN;
}

/* In the order of Linux 6.18; an older one looks for the other end first. */
/* What a port sends to itself has room. */
static bool is_full(const struct file *port, const struct file *from) {
    if (port->count >= kernel_sizes->port && port != from)
        return true;
    kernel_limit_met |= port->count == KERNEL_MESSAGES;
    return port->count == KERNEL_MESSAGES;
}

/* from: NULL for a stranger. */
static void port_put(struct file *port, size_t length, struct file *from) {
    port->from[port->count] = from != NULL ? (uint8_t)index_of(from) : NONE;
    message_put(port, length);
    if (from != NULL)
        from->charged += cost(length);
    wake(port, KEY_READABLE);
}

static struct file *port_at(const struct msghdr *address);

static int64_t port_send(struct file *f, size_t length, const struct msghdr *address) {
    struct file *port = port_at(address);
    if (port == NULL)
        return -ECONNREFUSED;
    if (sockets_have(port, SHUT_IN))
        return -EPIPE;
    if (is_full(port, f))
        return -EAGAIN;
    port_put(port, length, f);
    return (int64_t)length;
}

static int64_t datagram_send(struct file *f, size_t length, const struct msghdr *address) {
    if (length > kernel_sizes->message)
        return -EMSGSIZE;
    if (f->error != 0)
        return -error_taken(f);
    if (sockets_have(f, SHUT_OUT))
        return -EPIPE;
    if (on_its_way(f) >= kernel_sizes->send_buffer)
        return -EAGAIN;
    if (address != NULL)
        return port_send(f, length, address);
    struct file *peer = peer_of(f);
    if (peer == NULL && !f->peer_gone)
        return -ENOTCONN;
    /* this very send finds out: the socket is disconnected and loses what it has not read */
    if (peer == NULL) {
        f->peer_gone = false;
        f->count = 0;
        f->queued = 0;
        return -ECONNREFUSED;
    }
    if (!has_room(peer))
        return -EAGAIN;
    if (sockets_have(peer, SHUT_IN))
        return -EPIPE;
    message_put(peer, length);
    wake(peer, KEY_READABLE);
    return (int64_t)length;
}

/* Of the entries nothing is simulated but their number: what was sent is not told back. */
static int64_t error_receive(struct file *f) {
    if (f->errors == 0)
        return -EAGAIN;
    f->errors--;
    return 0;
}

/* As TCP's: without any it is an error to ask. */
static int64_t urgent_receive(struct file *f, size_t length, int flags) {
    if (!f->urgent)
        return -EINVAL;
    if ((flags & MSG_PEEK) == 0)
        f->urgent = false;
    return length > 0;
}

static int64_t stream_receive(struct file *f, size_t length, int flags) {
    if (f->inet && (flags & MSG_ERRQUEUE) != 0)
        return error_receive(f);
    if (f->inet && (flags & MSG_OOB) != 0)
        return urgent_receive(f, length, flags);
    if (f->state == SOCKET_CONNECTING)
        return -EAGAIN;
    if (f->state != SOCKET_CONNECTED && f->state != SOCKET_FAILED)
        return -EINVAL;
    if (flags & MSG_OOB)
        return -EINVAL;
    if (f->queued == 0) {
        if (f->error != 0)
            return -error_taken(f);
        return sockets_have(f, SHUT_IN) ? 0 : -EAGAIN;
    }
    size_t done = 0;
    for (unsigned i = 0; flags & MSG_PEEK && i < f->count && done < length; i++)
        done += f->message[i] - (i == 0 ? f->begun : 0u);
    while (!(flags & MSG_PEEK) && f->count > 0 && done < length) {
        size_t left = (size_t)f->message[0] - f->begun,
               part = left < length - done ? left : length - done;
        done += part;
        f->begun = (uint16_t)(f->begun + part);
        if (part == left)
            message_drop(f);
    }
    return (int64_t)(done < length ? done : length);
}

/* Returns the bytes to copy; *whole is the length of the datagram. */
static int64_t datagram_receive(struct file *f, size_t length, int flags, size_t *whole) {
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (f->error != 0)
        return -error_taken(f);
    if (f->count == 0)
        return -EAGAIN;
    *whole = f->message[0];
    if (!(flags & MSG_PEEK))
        message_drop(f);
    return (int64_t)(*whole < length ? *whole : length);
}

static int64_t socket_send(struct file *f, const struct iovec *vector, size_t vectors, int flags,
                           const struct msghdr *address) {
    size_t length = size_of(vector, vectors);
    if (flags & MSG_OOB)
        return -EOPNOTSUPP; /* out-of-band data of AF_UNIX is not simulated */
    int64_t sent = f->kind == FILE_STREAM ? stream_send(f, length, address != NULL)
                                          : datagram_send(f, length, address);
    if (sent > 0)
        take(vector, vectors, (size_t)sent);
    return sent;
}

static int64_t socket_receive(struct file *f, const struct iovec *vector, size_t vectors, int flags,
                              int *flags_out) {
    size_t length = size_of(vector, vectors);
    size_t whole = 0;
    if (f->kind == FILE_STREAM) {
        int64_t got = stream_receive(f, length, flags);
        if (got > 0)
            fill(vector, vectors, (size_t)got);
        return got;
    }
    int64_t got = datagram_receive(f, length, flags, &whole);
    if (got < 0)
        return got;
    fill(vector, vectors, (size_t)got);
    if (whole > (size_t)got)
        *flags_out |= MSG_TRUNC;
    return flags & MSG_TRUNC ? (int64_t)whole : got;
}

/* ---- connections ----------------------------------------------------------------------------- */

static struct file *listener_named(uint32_t name) {
    for (uint64_t left = simulation.files_used; left != 0; left &= left - 1) {
        struct file *f = &simulation.file[lowest(left)];
        if (f->kind == FILE_STREAM && f->state == SOCKET_LISTENING && f->name == name)
            return f;
    }
    return NULL;
}

/* Puts a connection into the listener's queue: the server's end, which accept will give a number.
 */
static int connect_to(struct file *client, struct file *listener) {
    struct file *server = file_new(FILE_STREAM);
    if (server == NULL)
        return ENOMEM;
    pair(client, server);
    client->state = server->state = SOCKET_CONNECTED;
    client->name = listener->name;
    listener->pending[listener->count++] = (uint8_t)index_of(server);
    wake(listener, KEY_READABLE);
    return 0;
}

/* 0, or why a connect to this listener cannot succeed now. */
static int refusal(const struct file *listener) {
    if (listener == NULL || sockets_have(listener, SHUT_IN))
        return ECONNREFUSED;
    return listener->count > KERNEL_BACKLOG ? EAGAIN : 0;
}

static void connect_fails(struct file *f, int error) {
    simulation.connecting &= ~bit(index_of(f));
    f->state = SOCKET_FAILED;
    f->error = error;
    f->shutdown = SHUT_BOTH;
    wake(f, WAKE_ALL);
}

/* Asynchronous connects end by themselves, like a handshake whose answer has come in. A full queue
 * lets them wait, until it has taken too long. Where no listener ever was there is no way to get
 * to. */
static void connects_complete(void) {
    for (uint64_t left = simulation.connecting; left != 0; left &= left - 1) {
        struct file *f = &simulation.file[lowest(left)];
        struct file *listener = listener_named(f->name);
        int error = f->name == 0 ? EHOSTUNREACH : refusal(listener);
        if (error == EAGAIN && f->timer.expiry > simulation.clock_ns)
            continue;
        if (error == EAGAIN)
            error = ETIMEDOUT;
        simulation.connecting &= ~bit(index_of(f));
        if (error == 0)
            error = connect_to(f, listener);
        if (error != 0)
            connect_fails(f, error);
        else
            wake(f, WAKE_ALL);
    }
}

static const struct sockaddr *address_write(struct sockaddr_un *address, uint32_t name,
                                            unsigned *length) {
    address->sun_family = AF_UNIX;
    address->sun_path[0] = '\0';
    memcpy(address->sun_path + 1, &name, sizeof name);
    *length = (unsigned)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof name);
    return (const struct sockaddr *)address;
}

/* For the caller: as much as there is room for, and the whole length. Without a name the family is
 * all. */
static void address_copy(struct sockaddr *to, socklen_t *length, uint32_t name) {
    struct sockaddr_un address;
    unsigned whole;
    address_write(&address, name, &whole);
    if (name == 0)
        whole = sizeof address.sun_family;
    memcpy(to, &address, *length < whole ? *length : whole);
    *length = whole;
}

/* The listener's name that an address holds; 0, which no listener has, for any other one. */
static int64_t address_read(const struct sockaddr *address, socklen_t length) {
    struct sockaddr_un copy = {.sun_family = AF_UNSPEC};
    uint32_t name = 0;
    if (length <= offsetof(struct sockaddr_un, sun_path) || length > sizeof copy)
        return -EINVAL;
    memcpy(&copy, address, length);
    if (copy.sun_family != AF_UNIX)
        return -EINVAL;
    if (length == offsetof(struct sockaddr_un, sun_path) + 1 + sizeof name &&
        copy.sun_path[0] == '\0')
        memcpy(&name, copy.sun_path + 1, sizeof name);
    return name;
}

static struct file *port_at(const struct msghdr *address) {
    int64_t name = address_read(address->msg_name, address->msg_namelen);
    for (uint64_t left = simulation.files_used; left != 0; left &= left - 1) {
        struct file *f = &simulation.file[lowest(left)];
        if (is_port(f) && f->name == name)
            return f;
    }
    return NULL;
}

static int64_t call_connect(int fd, const struct sockaddr *address, socklen_t length) {
    int failure = fault(FAULTY_CONNECT, fd);
    struct file *f = named(fd);
    bool asynchronous = (failure == EINPROGRESS || failure == EINTR) && f != NULL &&
                        f->kind == FILE_STREAM && f->state == SOCKET_FRESH;
    if (failure != 0 && !asynchronous)
        return -failure;
    if (f == NULL)
        return -EBADF;
    if (!is_socket(f))
        return -ENOTSOCK;
    int64_t name = address_read(address, length);
    if (name < 0)
        return name;
    if (f->kind == FILE_DATAGRAM)
        /* the listeners are stream sockets: no datagram socket has such a name */
        return -ECONNREFUSED;
    if (f->state == SOCKET_CONNECTING)
        return -EALREADY;
    if (f->state == SOCKET_FAILED) { /* told once, then the socket is as a new one */
        f->state = SOCKET_FRESH;
        f->shutdown = 0;
        return f->error != 0 ? -error_taken(f) : -ECONNABORTED;
    }
    if (asynchronous) {
        f->state = SOCKET_CONNECTING;
        f->name = (uint32_t)name;
        f->timer.expiry = virtual_later_us(simulation.clock_ns, KERNEL_CONNECT_US);
        simulation.connecting |= bit(index_of(f));
        return -failure;
    }
    struct file *listener = listener_named((uint32_t)name);
    int error = refusal(listener);
    if (error == 0 && f->state != SOCKET_FRESH)
        error = f->state == SOCKET_CONNECTED ? EISCONN : EINVAL;
    return error != 0 ? -error : -connect_to(f, listener);
}

static int64_t call_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    int failure = fault(FAULTY_ACCEPT, fd);
    if (failure != 0)
        return -failure;
    struct file *f = named(fd);
    if (f == NULL)
        return -EBADF;
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    if (numbers_free() == 0)
        return -EMFILE;
    if (!is_socket(f))
        return -ENOTSOCK;
    if (f->kind == FILE_DATAGRAM)
        return -EOPNOTSUPP;
    if (f->state != SOCKET_LISTENING)
        return -EINVAL;
    if (f->count == 0)
        return -EAGAIN;
    struct file *server = &simulation.file[f->pending[0]];
    memmove(&f->pending[0], &f->pending[1], --f->count * sizeof f->pending[0]);
    if (address != NULL && length != NULL)
        address_copy(address, length, 0); /* the client has no name */
    return install(server);
}

/* ---- the calls on descriptors ---------------------------------------------------------------- */

static int64_t regular_move(struct file *f, size_t length, uint64_t *position, bool writes) {
    uint64_t at = *position;
    if (writes && length > 0 && at > (uint64_t)INT64_MAX - length)
        return -EFBIG;
    if (!writes)
        length = at >= f->regular.size           ? 0
                 : f->regular.size - at < length ? (size_t)(f->regular.size - at)
                                                 : length;
    else if (length > 0 && at + length > f->regular.size)
        f->regular.size = at + length;
    *position = at + length;
    return (int64_t)length;
}

static int64_t counter_read(struct file *f, size_t length, uint64_t *value) {
    if (length < sizeof *value)
        return -EINVAL;
    *value = f->kind == FILE_TIMERFD ? f->timer.expired : f->counter;
    if (*value == 0)
        return -EAGAIN;
    if (f->kind == FILE_TIMERFD) {
        f->timer.expired = false;
    } else {
        f->counter = 0;
        wake(f, EPOLLOUT);
    }
    return sizeof *value;
}

static int64_t counter_write(struct file *f, uint64_t value) {
    if (value == UINT64_MAX)
        return -EINVAL;
    if (value >= UINT64_MAX - f->counter)
        return -EAGAIN;
    f->counter += value;
    wake(f, EPOLLIN);
    return sizeof value;
}

static int64_t call_read(int fd, void *buffer, size_t length) {
    int failure = fault(FAULTY_READ, fd);
    if (failure != 0)
        return -failure;
    struct file *f = named(fd);
    struct iovec vector = {buffer, length};
    uint64_t value;
    int64_t result = -EINVAL;
    int flags = 0;
    if (f == NULL)
        return -EBADF;
    switch (f->kind) {
    case FILE_PIPE_READER: result = pipe_read(f, length); break;
    case FILE_PIPE_WRITER: return -EBADF;
    case FILE_STREAM:
    case FILE_DATAGRAM: return length == 0 ? 0 : socket_receive(f, &vector, 1, 0, &flags);
    case FILE_EVENTFD:
    case FILE_TIMERFD:
        result = counter_read(f, length, &value);
        if (result > 0)
            memcpy(buffer, &value, sizeof value);
        return result;
    case FILE_REGULAR: result = regular_move(f, length, &f->regular.position, false); break;
    default: break;
    }
    if (result > 0)
        fill(&vector, 1, (size_t)result);
    return result;
}

static int64_t call_write(int fd, const void *buffer, size_t length) {
    int failure = world_counts.notifying ? 0 : fault(FAULTY_WRITE, fd);
    if (failure != 0)
        return -failure;
    struct file *f = named(fd);
    struct iovec vector = {(void *)(uintptr_t)buffer, length};
    uint64_t value;
    int64_t result = -EINVAL;
    if (f == NULL)
        return -EBADF;
    switch (f->kind) {
    case FILE_PIPE_READER: return -EBADF;
    case FILE_PIPE_WRITER: result = pipe_write(f, length); break;
    case FILE_STREAM:
    case FILE_DATAGRAM: return socket_send(f, &vector, 1, 0, NULL);
    case FILE_EVENTFD:
        /* Linux before 6.7 took more, and looked at the first eight bytes */
        if (length != sizeof value)
            return -EINVAL;
        memcpy(&value, buffer, sizeof value);
        return counter_write(f, value);
    case FILE_REGULAR: result = regular_move(f, length, &f->regular.position, true); break;
    default: break;
    }
    if (result > 0)
        take(&vector, 1, (size_t)result);
    return result;
}

/* The checks that pread and pwrite share: 0 when there is a regular file. */
static int64_t positioned(enum faulty_call call, int fd, int64_t offset) {
    int failure = fault(call, fd);
    if (failure != 0)
        return -failure;
    if (offset < 0)
        return -EINVAL;
    struct file *f = named(fd);
    if (f == NULL)
        return -EBADF;
    return f->kind == FILE_REGULAR ? 0 : -ESPIPE;
}

static int64_t call_pread(int fd, void *buffer, size_t length, off_t offset) {
    int64_t result = positioned(FAULTY_PREAD, fd, offset);
    if (result < 0)
        return result;
    uint64_t position = (uint64_t)offset;
    struct iovec vector = {buffer, length};
    result = regular_move(named(fd), length, &position, false);
    if (result > 0)
        fill(&vector, 1, (size_t)result);
    return result;
}

static int64_t call_pwrite(int fd, const void *buffer, size_t length, off_t offset) {
    int64_t result = positioned(FAULTY_PWRITE, fd, offset);
    if (result < 0)
        return result;
    uint64_t position = (uint64_t)offset;
    struct iovec vector = {(void *)(uintptr_t)buffer, length};
    result = regular_move(named(fd), length, &position, true);
    if (result > 0)
        take(&vector, 1, (size_t)result);
    return result;
}

/* The socket that fd names, or NULL and *error. */
static struct file *socket_named(enum faulty_call call, int fd, int64_t *error) {
    *error = -fault(call, fd);
    if (*error < 0)
        return NULL;
    struct file *f = named(fd);
    if (f != NULL && is_socket(f))
        return f;
    *error = f == NULL ? -EBADF : -ENOTSOCK;
    return NULL;
}

static int64_t call_send(int fd, const void *buffer, size_t length, int flags) {
    int64_t error;
    struct iovec vector = {(void *)(uintptr_t)buffer, length};
    struct file *f = socket_named(FAULTY_SEND, fd, &error);
    return f == NULL ? error : socket_send(f, &vector, 1, flags, NULL);
}

static int64_t call_recv(int fd, void *buffer, size_t length, int flags) {
    int64_t error;
    int flags_out = 0;
    struct iovec vector = {buffer, length};
    struct file *f = socket_named(FAULTY_RECV, fd, &error);
    return f == NULL ? error : socket_receive(f, &vector, 1, flags, &flags_out);
}

static int64_t call_sendmsg(int fd, const struct msghdr *message, int flags) {
    int64_t error;
    struct file *f = socket_named(FAULTY_SENDMSG, fd, &error);
    if (f == NULL)
        return error;
    if (message->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    return socket_send(f, message->msg_iov, (size_t)message->msg_iovlen, flags,
                       message->msg_name != NULL && message->msg_namelen > 0 ? message : NULL);
}

static int64_t call_recvmsg(int fd, struct msghdr *message, int flags) {
    int64_t error;
    int flags_out = 0;
    struct file *f = socket_named(FAULTY_RECVMSG, fd, &error);
    if (f == NULL)
        return error;
    if (message->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    int64_t result =
        socket_receive(f, message->msg_iov, (size_t)message->msg_iovlen, flags, &flags_out);
    if (result < 0)
        return result;
    if (message->msg_name != NULL && result > 0 && f->name != 0)
        address_copy(message->msg_name, &message->msg_namelen, f->name);
    else if (message->msg_name != NULL) /* else Linux leaves the length as it was */
        message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = flags_out | (flags & MSG_CMSG_CLOEXEC);
    return result;
}

static int64_t call_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    int64_t error;
    struct file *f = socket_named(FAULTY_GETSOCKOPT, fd, &error);
    if (f == NULL)
        return error;
    if (level != SOL_SOCKET || option != SO_ERROR)
        return -ENOPROTOOPT;
    int pending = error_taken(f);
    *length = *length < sizeof pending ? *length : sizeof pending;
    memcpy(value, &pending, *length);
    return 0;
}

static int64_t call_getpeername(int fd, struct sockaddr *address, socklen_t *length) {
    const struct file *f = named(fd);
    if (f == NULL)
        return -EBADF;
    if (!is_socket(f))
        return -ENOTSOCK;
    if (f->peer == NONE && !f->peer_gone)
        return -ENOTCONN;
    address_copy(address, length, f->name);
    return 0;
}

static int64_t socket_shutdown(struct file *f, int how) {
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    unsigned mode = (unsigned)how + 1;
    if (f->state == SOCKET_CONNECTING) { /* that ends the attempt */
        simulation.connecting &= ~bit(index_of(f));
        f->state = SOCKET_FRESH;
        f->error = ECONNRESET;
        wake(f, WAKE_ALL);
        return 0;
    }
    f->shutdown |= (uint8_t)mode;
    wake(f, WAKE_ALL);
    if (f->state == SOCKET_FAILED)
        return -ENOTCONN;
    struct file *peer = peer_of(f);
    if (peer != NULL && f->kind == FILE_STREAM) {
        peer->shutdown |=
            (uint8_t)((mode & SHUT_IN ? SHUT_OUT : 0) | (mode & SHUT_OUT ? SHUT_IN : 0));
        wake(peer, WAKE_ALL);
    }
    return 0;
}

static int64_t call_shutdown(int fd, int how) {
    int64_t error;
    struct file *f = socket_named(FAULTY_SHUTDOWN, fd, &error);
    return f == NULL ? error : socket_shutdown(f, how);
}

static int64_t call_close(int fd) {
    int failure = fault(FAULTY_CLOSE, fd);
    if (named(fd) == NULL)
        return failure != 0 ? -failure : -EBADF;
    number_release(fd);
    return -failure; /* Linux closes the number even when it reports an error */
}

/* ---- epoll and the loop's eventfd ------------------------------------------------------------ */

static int64_t own_new(enum file_kind kind) {
    struct file *f = file_new(kind);
    if (f == NULL)
        return -ENFILE;
    f->own = true;
    int64_t number = install(f);
    if (number < 0)
        file_free(f);
    return number;
}

static int64_t call_epoll_create1(int flags) {
    int failure = fault(FAULTY_EPOLL_CREATE, -1);
    if (failure != 0)
        return -failure;
    if (flags & ~EPOLL_CLOEXEC)
        return -EINVAL;
    int64_t number = own_new(FILE_EPOLL);
    if (number >= 0) {
        simulation.newest_epoll = (uint8_t)index_of(named((int)number));
        simulation.epolls |= bit(simulation.newest_epoll);
    }
    return number;
}

/* The loop puts a new epoll instance in the place of its old one. */
static int64_t call_dup3(int fd, int copy, int flags) {
    struct file *f = named(fd);
    if (fd == copy || (flags & ~O_CLOEXEC) != 0)
        return -EINVAL;
    if (f == NULL || copy < 3 || copy >= KERNEL_NUMBERS)
        return -EBADF;
    if (named(copy) != NULL)
        number_release(copy);
    return install_at(f, (unsigned)copy);
}

/* Of an async: a descriptor of the program. */
static int64_t given_new(void) {
    if (numbers_free() == 0)
        return -EMFILE;
    struct file *f = file_new(FILE_EVENTFD);
    if (f == NULL)
        return -ENFILE;
    int64_t number = install(f);
    simulation.handle[simulation.gives - 1] = (int8_t)number;
    return number;
}

static int64_t call_eventfd(unsigned value, int flags) {
    if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    int64_t number = simulation.gives != 0 ? given_new() : own_new(FILE_EVENTFD);
    if (number >= 0)
        named((int)number)->counter = value;
    return number;
}

static struct watch *watch_of(unsigned epoll, int fd) {
    if (named(fd) == NULL)
        return NULL;
    for (uint64_t left = simulation.watches_used; left != 0; left &= left - 1) {
        struct watch *w = &simulation.watch[lowest(left)];
        if (w->epoll == epoll && w->number == fd && w->file == simulation.number[fd].file)
            return w;
    }
    return NULL;
}

static int64_t watch_set(struct watch *w, const struct epoll_event *event) {
    w->events = event->events;
    w->data = event->data;
    w->spent = false;
    if (readiness(&simulation.file[w->file]) & asked_by(w))
        ready_put(w);
    return 0;
}

/* The loop shows its instance to a host by another one that contains it; it waits on none that
 * contains one. */
static void contains(unsigned epoll, int fd) {
    if (named(fd)->kind != FILE_EPOLL)
        return;
    simulation.epolls &= ~bit(epoll);
    simulation.newest_epoll = simulation.number[fd].file;
}

static int64_t watch_add(unsigned epoll, int fd, const struct epoll_event *event) {
    contains(epoll, fd);
    if (simulation.watches_used == UINT64_MAX) {
        kernel_limit_met = true;
        return -ENOSPC;
    }
    unsigned index = lowest(~simulation.watches_used);
    simulation.watches_used |= bit(index);
    simulation.watch[index] = (struct watch){.epoll = (uint8_t)epoll,
                                             .number = (uint8_t)fd,
                                             .file = simulation.number[fd].file,
                                             .serial = simulation.watches++};
    return watch_set(&simulation.watch[index], event);
}

static int64_t control(int epfd, int op, int fd, const struct epoll_event *event) {
    const struct file *epoll = named(epfd);
    const struct file *f = named(fd);
    if (epoll == NULL || f == NULL)
        return -EBADF;
    if (f->kind == FILE_REGULAR)
        return -EPERM;
    if (epoll == f || epoll->kind != FILE_EPOLL)
        return -EINVAL;
    struct watch *w = watch_of(index_of(epoll), fd);
    if (op == EPOLL_CTL_DEL) {
        if (w == NULL)
            return -ENOENT;
        watch_free(w);
        return 0;
    }
    if ((op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD) || (event->events & ~(uint32_t)INTERESTS) != 0)
        return -EINVAL;
    if (op == EPOLL_CTL_ADD)
        return w != NULL ? -EEXIST : watch_add(index_of(epoll), fd, event);
    return w == NULL ? -ENOENT : watch_set(w, event);
}

/* That the loop's instance is in another one already is believed, as nobody could tell better: so
 * it is made true. Of a descriptor the loop finds out (ET-REGISTER-2). */
static bool comes_true(int failure, int op, int fd) {
    return failure == EEXIST && op == EPOLL_CTL_ADD && named(fd) != NULL &&
           named(fd)->kind == FILE_EPOLL;
}

static int64_t call_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *event,
                              struct kernel_control *told) {
    int failure = simulation.faulty & (1u << FAULTY_EPOLL_CTL) ? fault_slow(FAULTY_EPOLL_CTL) : 0;
    bool acts = failure == 0 || comes_true(failure, op, fd);
    int64_t done = acts ? control(epfd, op, fd, event) : 0;
    int64_t result = failure != 0 ? -failure : done;
    const struct file *epoll = named(epfd);
    const struct watch *w = epoll != NULL ? watch_of(index_of(epoll), fd) : NULL;
    told->kept = w != NULL ? w->events : 0;
    told->injected = failure != 0;
    return result;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int asked(void) {
    return fault(FAULTY_EPOLL_WAIT, -1);
}

static int thread(void) {
    return fault(FAULTY_THREAD, -1);
}

static struct file *next_timer(void) {
    struct file *next = NULL;
    for (uint64_t left = simulation.timers; left != 0; left &= left - 1) {
        struct file *f = &simulation.file[lowest(left)];
        if (next == NULL || f->timer.expiry < next->timer.expiry ||
            (f->timer.expiry == next->timer.expiry && f->timer.armed < next->timer.armed))
            next = f;
    }
    return next;
}

static uint64_t next_expiry(void) {
    const struct file *f = next_timer();
    uint64_t next = f != NULL ? f->timer.expiry : VIRTUAL_NEVER;
    for (uint64_t left = simulation.connecting; left != 0; left &= left - 1)
        if (simulation.file[lowest(left)].timer.expiry < next)
            next = simulation.file[lowest(left)].timer.expiry;
    return next;
}

static void timers_expire(void) {
    for (struct file *f; (f = next_timer()) != NULL && f->timer.expiry <= simulation.clock_ns;) {
        f->timer.expired = true;
        simulation.timers &= ~bit(index_of(f));
        wake(f, EPOLLIN);
    }
}

/* Linux's monotonic clock never does: a loop must not depend on it. */
static void rewind_by(uint64_t duration_ns) {
    simulation.clock_ns -= duration_ns < simulation.clock_ns ? duration_ns : simulation.clock_ns;
}

static void advance(uint64_t clock_ns) {
    if (clock_ns > simulation.clock_ns)
        simulation.clock_ns = clock_ns;
    timers_expire();
}

/* The pending COMMAND_SPURIOUS: its watches count as ready, once, with events that Linux could
 * report for them. */
static void spurious_take(unsigned epoll, uint32_t extra[KERNEL_WATCHES], uint64_t *marked) {
    for (unsigned d = 0; d < PROGRAM_FEW; d++) {
        struct watch *w =
            simulation.spurious & (1u << d) ? watch_of(epoll, simulation.handle[d]) : NULL;
        uint32_t events = w == NULL ? 0 : simulation.spurious_events[d] & asked_by(w);
        if (events == 0)
            continue;
        ready_put(w);
        extra[w - simulation.watch] = events;
        *marked |= bit((unsigned)(w - simulation.watch));
    }
    simulation.spurious = 0;
}

/* Collects up to max ready watches. As in Linux a reported watch goes to the end of the list, and
 * leaves it if it is edge-triggered or one-shot, or turns out not to be ready; one for which there
 * is no room stays at the front. */
static unsigned ready_take(struct file *epoll, unsigned max, uint8_t *taken, uint32_t *events) {
    uint32_t extra[KERNEL_WATCHES];
    uint64_t marked = 0;
    unsigned count = 0, seen = 0, kept = 0;
    if (simulation.spurious != 0)
        spurious_take(index_of(epoll), extra, &marked);
    for (; seen < epoll->epoll.count && count < max; seen++) {
        uint8_t index = epoll->epoll.ready[seen];
        struct watch *w = &simulation.watch[index];
        uint32_t now = readiness(&simulation.file[w->file]) & asked_by(w);
        if (marked & bit(index))
            now |= extra[index];
        w->ready = now != 0;
        if (now == 0)
            continue;
        taken[count] = index;
        events[count++] = now;
    }
    while (seen < epoll->epoll.count)
        epoll->epoll.ready[kept++] = epoll->epoll.ready[seen++];
    for (unsigned i = 0; i < count; i++) {
        struct watch *w = &simulation.watch[taken[i]];
        w->spent = (w->events & EPOLLONESHOT) != 0;
        w->ready = !w->spent && (w->events & EPOLLET) == 0;
        if (w->ready)
            epoll->epoll.ready[kept++] = taken[i];
    }
    epoll->epoll.count = (uint8_t)kept;
    return count;
}

/* position[i]: which of the batch is delivered as the i-th. */
static void permute(unsigned count, uint8_t *position) {
    uint64_t seed = simulation.order;
    for (unsigned i = 0; i < count; i++)
        position[i] = (uint8_t)(simulation.order == 1 ? count - 1 - i : i);
    for (unsigned i = count; simulation.order > 1 && i > 1; i--) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned other = (unsigned)(seed >> 33) % i;
        uint8_t swapped = position[i - 1];
        position[i - 1] = position[other];
        position[other] = swapped;
    }
}

static int look(int epfd, struct epoll_event *events, int max, struct kernel_report *reports) {
    uint8_t taken[KERNEL_WATCHES], position[KERNEL_WATCHES];
    uint32_t bits[KERNEL_WATCHES];
    struct file *epoll = named(epfd);
    if (epoll == NULL)
        return -EBADF;
    if (epoll->kind != FILE_EPOLL)
        return -EINVAL;
    if (simulation.connecting != 0)
        connects_complete();
    unsigned limit = (unsigned)max;
    if (simulation.batch != 0 && simulation.batch < limit)
        limit = (unsigned)simulation.batch;
    unsigned count = ready_take(epoll, limit, taken, bits);
    permute(count, position);
    for (unsigned i = 0; i < count; i++) {
        const struct watch *w = &simulation.watch[taken[position[i]]];
        events[i].events = bits[position[i]];
        events[i].data = w->data;
        const struct file *now = named(w->number);
        reports[i] = (struct kernel_report){.fd = w->number,
                                            .events = bits[position[i]],
                                            .stale = now != &simulation.file[w->file],
                                            .own = simulation.file[w->file].own};
    }
    return (int)count;
}

static bool own(int fd) {
    const struct file *f = named(fd);
    return f != NULL && f->own;
}

static enum world_file file_kind(int fd) {
    const struct file *f = named(fd);
    if (f == NULL || f->own)
        return WORLD_FILE_NONE;
    switch (f->kind) {
    case FILE_PIPE_READER:
    case FILE_PIPE_WRITER: return WORLD_FILE_PIPE;
    case FILE_STREAM:
    case FILE_DATAGRAM: return WORLD_FILE_SOCKET;
    case FILE_REGULAR: return WORLD_FILE_REGULAR;
    default: return WORLD_FILE_COUNTER;
    }
}

static uint32_t interest(int epfd, int fd) {
    const struct file *epoll = named(epfd);
    const struct watch *w = epoll != NULL ? watch_of(index_of(epoll), fd) : NULL;
    return w != NULL ? w->events : 0;
}

static uint64_t clock_now(void) {
    return simulation.clock_ns;
}

static const struct kernel simulated = {
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    KERNEL_ENTRY_##way(name)
#include "calls.def"
    KERNEL_PARTS,
    .file = file_kind,
    .interest = interest,
};

/* ---- commands -------------------------------------------------------------------------------- */

static enum file_kind kind_of(uint64_t world_kind) {
    switch (world_kind) {
    case WORLD_PIPE_READER: return FILE_PIPE_READER;
    case WORLD_PIPE_WRITER: return FILE_PIPE_WRITER;
    case WORLD_PORT:
    case WORLD_DATAGRAM: return FILE_DATAGRAM;
    case WORLD_EVENTFD:
    case WORLD_ASYNC: return FILE_EVENTFD;
    case WORLD_TIMERFD: return FILE_TIMERFD;
    case WORLD_FILE: return FILE_REGULAR;
    default: return FILE_STREAM;
    }
}

static enum file_kind other_end(enum file_kind kind) {
    if (kind == FILE_PIPE_READER)
        return FILE_PIPE_WRITER;
    return kind == FILE_PIPE_WRITER ? FILE_PIPE_READER : kind;
}

static bool has_other_end(uint64_t world_kind) {
    return world_kind == WORLD_PIPE_READER || world_kind == WORLD_PIPE_WRITER ||
           world_kind == WORLD_STREAM || world_kind == WORLD_DATAGRAM || world_kind == WORLD_TCP;
}

static void open_handle(unsigned d, uint64_t world_kind) {
    if (simulation.handle[d] >= 0 || world_kind >= WORLD_KINDS || numbers_free() == 0)
        return;
    struct file *f = file_new(kind_of(world_kind));
    if (f == NULL)
        return;
    if (has_other_end(world_kind)) {
        struct file *other = file_new(other_end(f->kind));
        if (other == NULL) {
            file_free(f);
            return;
        }
        pair(f, other);
        other->held = true;
        f->state = other->state = SOCKET_CONNECTED;
        f->inet = world_kind == WORLD_TCP;
    } else if (world_kind == WORLD_PORT) {
        f->name = PORT_NAMES | ++simulation.listeners;
    } else if (world_kind == WORLD_LISTENER) {
        f->state = SOCKET_LISTENING;
        f->name = ++simulation.listeners;
    } else if (world_kind == WORLD_FILE) {
        f->regular.size = KERNEL_FILE_SIZE;
    }
    simulation.handle[d] = (int8_t)install(f);
}

static void duplicate(unsigned d, unsigned copy) {
    if (d == copy || copy >= PROGRAM_FEW || simulation.handle[d] < 0)
        return;
    if (simulation.handle[copy] >= 0)
        number_release(simulation.handle[copy]);
    if (numbers_free() != 0)
        simulation.handle[copy] = (int8_t)install(named(simulation.handle[d]));
}

static void peer_write(struct file *f, uint64_t value) {
    struct file *peer = peer_of(f);
    size_t length = value < SIZE_MAX ? (size_t)value : SIZE_MAX;
    if (f->kind == FILE_EVENTFD) {
        counter_write(f, value);
    } else if (f->kind == FILE_TIMERFD) {
        f->timer.expiry = virtual_later_us(simulation.clock_ns, value);
        f->timer.armed = ++simulation.armings;
        f->timer.expired = false; /* as timerfd_settime: what had expired is forgotten */
        simulation.timers |= bit(index_of(f));
        timers_expire();
    } else if (is_port(f)) {
        while (length <= kernel_sizes->message && !sockets_have(f, SHUT_IN) && !is_full(f, NULL))
            port_put(f, length, NULL);
    } else if (peer == NULL || !peer->held) {
        return;
    } else if (f->kind == FILE_PIPE_READER) {
        pipe_write(peer, length);
    } else if (f->kind == FILE_STREAM) {
        stream_send(peer, length, false);
    } else if (f->kind == FILE_DATAGRAM) {
        datagram_send(peer, length, NULL);
    }
}

static void peer_read(const struct file *f, uint64_t value) {
    struct file *peer = peer_of(f);
    size_t length = value < SIZE_MAX ? (size_t)value : SIZE_MAX, whole;
    if (peer == NULL || !peer->held)
        return;
    if (f->kind == FILE_PIPE_WRITER)
        pipe_read(peer, length);
    else if (f->kind == FILE_STREAM)
        stream_receive(peer, length, 0);
    else if (f->kind == FILE_DATAGRAM)
        datagram_receive(peer, length, 0, &whole);
}

static void peer_close(const struct file *f) {
    struct file *peer = peer_of(f);
    if (peer == NULL || !peer->held)
        return;
    hang_up(peer, false);
    file_free(peer);
}

static void peer_shutdown(const struct file *f) {
    struct file *peer = peer_of(f);
    if (peer != NULL && peer->held && is_socket(f))
        socket_shutdown(peer, SHUT_WR);
}

static void peer_urgent(struct file *f) {
    const struct file *peer = peer_of(f);
    if (!f->inet || peer == NULL || !peer->held || sockets_have(f, SHUT_IN))
        return;
    f->urgent = true;
    wake(f, KEY_READABLE);
}

static void peer_error(struct file *f) {
    if (!f->inet || f->errors == KERNEL_ERRORS)
        return;
    f->errors++;
    wake(f, EPOLLERR);
}

static void peer_connect(struct file *f) {
    if (f->kind != FILE_STREAM || f->state != SOCKET_LISTENING || refusal(f) != 0)
        return;
    struct file *client = file_new(FILE_STREAM);
    if (client == NULL)
        return;
    client->held = true;
    if (connect_to(client, f) != 0)
        file_free(client);
}

static void fail(const struct command *command) {
    if (simulation.faults == KERNEL_FAULTS || command->call >= FAULTY_CALLS || command->error == 0)
        return;
    simulation.fault[simulation.faults++] =
        (struct fault){command->call, command->value, command->error};
    simulation.faulty |= 1u << command->call;
}

static bool world_command(const struct command *command) {
    unsigned d = command->d;
    struct file *f =
        d < PROGRAM_FEW && simulation.handle[d] >= 0 ? named(simulation.handle[d]) : NULL;
    switch (command->kind) {
    case COMMAND_ADVANCE: advance(virtual_later(simulation.clock_ns, command->value)); return true;
    case COMMAND_REWIND: rewind_by(virtual_later(0, command->value)); return true;
    case COMMAND_FAIL: fail(command); return true;
    case COMMAND_ORDER: simulation.order = command->value; return true;
    case COMMAND_BATCH: simulation.batch = command->value; return true;
    case COMMAND_LIMIT:
        simulation.limit = command->value > 0 && command->value < KERNEL_OWN_FROM
                               ? (unsigned)command->value
                               : KERNEL_OWN_FROM;
        return true;
    case COMMAND_OPEN:
        if (d >= PROGRAM_FEW || command->value >= WORLD_KINDS)
            return false; /* its tables are small, and what it knows is little */
        open_handle(d, command->value);
        return true;
    default: break;
    }
    if (command->kind < COMMAND_CLOSE || command->kind > COMMAND_BATCH)
        return false;
    if (f == NULL)
        return true;
    switch (command->kind) {
    case COMMAND_CLOSE: number_release(simulation.handle[d]); break;
    case COMMAND_DUP: duplicate(d, command->other); break;
    case COMMAND_PEER_WRITE: peer_write(f, command->value); break;
    case COMMAND_PEER_READ: peer_read(f, command->value); break;
    case COMMAND_PEER_CLOSE: peer_close(f); break;
    case COMMAND_PEER_SHUTDOWN: peer_shutdown(f); break;
    case COMMAND_PEER_CONNECT: peer_connect(f); break;
    case COMMAND_PEER_URGENT: peer_urgent(f); break;
    case COMMAND_PEER_ERROR: peer_error(f); break;
    case COMMAND_SPURIOUS:
        simulation.spurious |= 1u << d;
        simulation.spurious_events[d] = (uint32_t)command->value;
        break;
    default: break;
    }
    return true;
}

/* ---- the world ------------------------------------------------------------------------------- */

static void world_begin(const struct world_observer *observer, void *self, uint64_t clock_ns) {
    /* the masks, which say what of the tables is in use */
    memset(&simulation, 0, offsetof(struct simulation, handle));
    memset(simulation.handle, -1, sizeof simulation.handle);
    simulation.clock_ns = clock_ns;
    simulation.numbers_used = NUMBERS_AT_ALL;
    simulation.limit = KERNEL_OWN_FROM;
    simulation.newest_epoll = NONE;
    wrap_begin(&simulated, observer, self);
}

static int world_owned(void) {
    int owned = 0;
    for (uint64_t left = simulation.numbers_used & ~(uint64_t)NUMBERS_AT_ALL; left != 0;
         left &= left - 1)
        owned += simulation.file[simulation.number[lowest(left)].file].own;
    return owned;
}

static int world_end(void) {
    int unreleased = world_owned();
    memset(simulation.handle, -1,
           sizeof simulation.handle); /* the rest is reset when the next world begins */
    wrap_end();
    return unreleased;
}

static int world_descriptor(unsigned handle) {
    return handle < PROGRAM_FEW ? simulation.handle[handle] : -1;
}

static bool world_adopt(unsigned handle, int fd) {
    const struct file *f = named(fd);
    if (f == NULL || f->own || handle >= PROGRAM_FEW)
        return false;
    if (simulation.handle[handle] >= 0) {
        number_release(fd);
        return false;
    }
    simulation.handle[handle] = (int8_t)fd;
    return true;
}

static const void *world_address(unsigned listener, unsigned *length) {
    static struct sockaddr_un address[PROGRAM_FEW + 1];
    unsigned d = listener < PROGRAM_FEW ? listener : PROGRAM_FEW;
    const struct file *f = d < PROGRAM_FEW ? named(simulation.handle[d]) : NULL;
    bool listens = f != NULL && f->kind == FILE_STREAM && f->state == SOCKET_LISTENING;
    return address_write(&address[d], listens ? f->name : 0, length);
}

static const void *world_port(unsigned handle, unsigned *length) {
    static struct sockaddr_un address[PROGRAM_FEW + 1];
    unsigned d = handle < PROGRAM_FEW ? handle : PROGRAM_FEW;
    const struct file *f = d < PROGRAM_FEW ? named(simulation.handle[d]) : NULL;
    return address_write(&address[d], f != NULL && is_port(f) ? f->name : 0, length);
}

static uint32_t world_ready(int fd) {
    const struct file *f = named(fd);
    return f != NULL ? readiness(f) : 0;
}

/* While the loop replaces its epoll instance it has two; the newest one that lives counts. */
static unsigned waited_on(void) {
    if (simulation.newest_epoll != NONE && (simulation.epolls & bit(simulation.newest_epoll)))
        return simulation.newest_epoll;
    return simulation.epolls != 0 ? lowest(simulation.epolls) : NONE;
}

static uint32_t world_registered(int fd, bool *any) {
    const struct watch *w = waited_on() != NONE ? watch_of(waited_on(), fd) : NULL;
    *any = w != NULL;
    return w != NULL ? w->events : 0;
}

static bool world_readable(int fd) {
    return named(fd) != NULL && (readiness(named(fd)) & EPOLLIN) != 0;
}

static bool world_has_reports(void) {
    if (simulation.connecting != 0)
        connects_complete();
    return waited_on() != NONE && readiness(&simulation.file[waited_on()]) != 0;
}

static uint64_t world_installed(int fd) {
    return named(fd) != NULL ? simulation.number[fd].installed : 0;
}

static bool world_is_socket(int fd) {
    const struct file *f = named(fd);
    return f != NULL && is_socket(f);
}

static void world_gives(int handle) {
    simulation.gives = (int8_t)(handle + 1);
}

const struct world_kind_functions world_simulated = WORLD_TABLE("simulated");
