/* SPDX-License-Identifier: MIT */
/* Whether a read has got as many bytes as there were, and a write has given as many as there was
 * room for; and whether what was told is what was moved. The observer (outside.h) tells the promise
 * what is not so.
 *
 * When within its episode an operation was tried nobody knows: a loop may try it when it is
 * submitted. So what counts is what there was at every moment of it. */
#ifndef ETALON_WITHOUT_KIT

#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside.h"

static mode_t kind_of(int fd) {
    struct stat status = {.st_mode = 0};
    return fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

/* A pipe, or a stream that no network carries: what is sent is there at once, and what was sent is
 * not taken away but by who reads it. */
static bool is_immediate(int fd) {
    return kind_of(fd) == S_IFIFO || (domain_of(fd) == AF_UNIX && is_stream(fd));
}

/* A file goes on where somebody has left it, and a terminal may give what it has in parts. */
static bool is_plain(int fd) {
    return kind_of(fd) == S_IFIFO || kind_of(fd) == S_IFSOCK;
}

static uint64_t waiting_at(int fd) {
    int bytes = 0;
    return syscall(SYS_ioctl, fd, FIONREAD, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

size_t whole_length(const struct item *i) {
    bool message = i->d.operation == ET_SENDMSG || i->d.operation == ET_RECVMSG;
    return message ? i->iov[0].iov_len + i->iov[1].iov_len : i->d.length;
}

bool is_alone(unsigned c, bool takes) {
    const struct item *i = &observer.item[c];
    for (unsigned k = 0; k < COUNT; k++) {
        const struct item *other = &observer.item[k];
        if (k != c && other->in_use && other->installed == i->installed &&
            (takes ? takes_bytes(other) : gives_bytes(other)))
            return false;
    }
    return !interpose_other_threads();
}

/* ---- what is taken --------------------------------------------------------------------------- */

void begin_counting(struct stream *stream, int fd, bool certain) {
    stream->counted = certain;
    stream->arrived = waiting_at(fd);
    stream->taken = 0;
    stream->marks = 0;
}

void begin_taking(struct item *i, const struct stream *stream) {
    i->came = is_immediate(i->d.fd) ? stream->arrived : stream->taken + waiting_at(i->d.fd);
}

struct stream *stream_named(uint64_t installed) {
    unsigned k = 0;
    while (k < STREAMS && observer.stream[k].installed != installed &&
           observer.stream[k].installed != 0)
        k++;
    return installed != 0 && k < STREAMS ? &observer.stream[k] : NULL;
}

struct stream *stream_at(int fd) {
    struct stream *stream = stream_named(world_real.installed(fd));
    return stream != NULL && stream->installed != 0 ? stream : NULL;
}

/* All marks that are behind what was taken make room for a new one. */
static void mark(struct stream *stream) {
    unsigned old = 0;
    while (old < stream->marks && stream->mark[old] <= stream->taken)
        old++;
    if (stream->marks == MARKS) {
        stream->marks -= old;
        memmove(stream->mark, stream->mark + old, stream->marks * sizeof *stream->mark);
    }
    if (stream->marks == MARKS)
        stream->counted = false;
    else
        stream->mark[stream->marks++] = stream->arrived;
}

uint64_t before_arrival(const struct command *command) {
    return command->kind == COMMAND_PEER_WRITE ? waiting_at(descriptor(command->d)) : 0;
}

void note_arrival(const struct command *command, uint64_t before) {
    int fd = descriptor(command->d);
    struct stream *stream = stream_at(fd);
    if (command->kind == COMMAND_PEER_URGENT)
        note_urgent(fd);
    if (command->kind == COMMAND_PEER_WRITE && waiting_at(fd) > before)
        note_edge(fd);
    if (stream == NULL)
        return;
    if (command->kind == COMMAND_PEER_URGENT || interpose_other_threads())
        stream->counted = false;
    uint64_t now = waiting_at(fd);
    if (command->kind != COMMAND_PEER_WRITE || now <= before)
        return;
    stream->arrived += now - before;
    mark(stream);
}

/* What had come in all at the first moment of the episode at which there was anything for it; 0:
 * nobody knows. */
static uint64_t least_there(const struct item *i, const struct stream *stream, bool ended) {
    if (i->came > stream->taken)
        return i->came;
    if (!is_immediate(i->d.fd) || ended)
        return 0;
    for (unsigned k = 0; k < stream->marks; k++)
        if (stream->mark[k] > stream->taken)
            return stream->mark[k];
    return 0;
}

/* c, a read of a stream, has ended with this many bytes. */
void check_length_taken(unsigned c, struct stream *stream, int64_t result) {
    const struct item *i = &observer.item[c];
    uint64_t room = whole_length(i), least = least_there(i, stream, result == 0);
    uint64_t got = result > 0 ? (uint64_t)result : 0;
    bool peeks = (i->d.flags & MSG_PEEK) != 0;
    stream->counted = stream->counted && (i->d.flags & (MSG_OOB | MSG_ERRQUEUE)) == 0;
    if (result < 0 || !stream->counted || room == 0 || !is_stream(i->d.fd) || !is_plain(i->d.fd))
        return;
    uint64_t told = stream->taken + (peeks ? 0 : got), left = waiting_at(i->d.fd);
    if (is_immediate(i->d.fd) && is_alone(c, true) && told + left < stream->arrived)
        untrue(c, PROMISE_UNTRUE_BYTES,
               "c%u ends with %lld bytes, but %llu more were taken from its descriptor %d", c,
               (long long)result, (unsigned long long)(stream->arrived - told - left), i->d.fd);
    else if (least > stream->taken && got < room && got < least - stream->taken)
        untrue(c, PROMISE_UNTRUE_GIVEN,
               "c%u ends with %lld bytes, but there were %llu, and it has room for %llu", c,
               (long long)result, (unsigned long long)(least - stream->taken),
               (unsigned long long)room);
    stream->taken = told;
}

/* ---- what is given --------------------------------------------------------------------------- */

/* Linux takes as much as there is room for; so there would be none, unless somebody has read. A
 * socket has room while it has less on its way than its buffer is large, which is more than what
 * makes it writable. */
static bool has_room(const struct item *i) {
    struct pollfd p = {.fd = i->d.fd, .events = POLLOUT};
    struct timespec none = {0};
    int waiting = 0, size = 0;
    uint64_t received; /* which the program alone knows where it holds both ends */
    socklen_t length = sizeof size;
    if (!is_immediate(i->d.fd) || !real_world_received(i->d.fd, &received) ||
        real_world_reads(i->d.fd) != i->reads)
        return false;
    bool polled = syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0;
    if (polled && p.revents != POLLOUT)
        return false;
    if (kind_of(i->d.fd) == S_IFIFO)
        return polled;
    return syscall(SYS_ioctl, i->d.fd, TIOCOUTQ, &waiting) == 0 &&
           syscall(SYS_getsockopt, i->d.fd, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 &&
           waiting < size;
}

static bool is_taken_whole(const struct item *i) {
    return !is_stream(i->d.fd) || kind_of(i->d.fd) == S_IFREG;
}

void check_length_given(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    uint64_t length = whole_length(i), given = result > 0 ? (uint64_t)result : 0;
    if (result < 0 || given >= length)
        return;
    if (is_taken_whole(i))
        untrue(c, PROMISE_UNTRUE_GIVEN,
               "c%u ends with %lld bytes of %llu, which Linux takes as a whole", c,
               (long long)result, (unsigned long long)length);
    else if (has_room(i))
        untrue(c, PROMISE_UNTRUE_GIVEN,
               "c%u ends with %lld bytes of %llu, but there is room for more, and nobody has read",
               c, (long long)result, (unsigned long long)length);
}

void check_more_given(unsigned c, const struct stream *stream, uint64_t received) {
    uint64_t there = received - stream->before;
    if (stream->certain && is_alone(c, false) && there > stream->given)
        untrue(c, PROMISE_UNTRUE_BYTES,
               "c%u has ended, and %llu bytes more than were told have come to the other end", c,
               (unsigned long long)(there - stream->given));
}

/* A file of the world's has so much at least. */
void check_length_there(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    int64_t least = (int64_t)i->d.length;
    if (i->d.operation == ET_PREAD && least > KERNEL_FILE_SIZE - i->d.offset)
        least = KERNEL_FILE_SIZE - i->d.offset;
    if (result < least)
        untrue(c, PROMISE_UNTRUE_GIVEN,
               "c%u ends with %lld bytes of %zu at %lld in a file, where %lld can be moved", c,
               (long long)result, i->d.length, (long long)i->d.offset, (long long)least);
}

#else
typedef int nothing_here;
#endif
