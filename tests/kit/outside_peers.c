/* SPDX-License-Identifier: MIT */
/* Whether what the caller has given, and asked for, is what others got: the other end of a
 * descriptor, whoever is accepted, the process that a signal comes to. The observer (outside.h)
 * tells the promise what is not so. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "answers.h"
#include "outside.h"

/* ---- bytes ----------------------------------------------------------------------------------- */

static mode_t kind_of(int fd) {
    struct stat status = {.st_mode = 0};
    return fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG;
}

void fill_bytes(unsigned c) {
    const struct item *i = &observer.item[c];
    if (kind_of(i->d.fd) == 0) { /* as an eventfd reads it: 1 */
        uint64_t one = 1;
        memset(observer.buffer[c], 0, BUFFER);
        memcpy(observer.buffer[c], &one, sizeof one);
        return;
    }
    for (unsigned k = 0; k < BUFFER; k++) /* printable, and never the same twice in a row */
        observer.buffer[c][k] = (char)('!' + (i->d.userdata / 8 * 37 + k * 11 + k / 94) % 94);
}

void begin_at_peers(struct item *i) {
    i->reads = real_world_reads(i->d.fd);
    i->left = real_world_left(i->d.fd);
    observer.endings += i->d.operation == ET_SHUTDOWN || i->d.operation == ET_CLOSE;
    if (i->d.operation == ET_RECVMSG) { /* Linux writes all of these */
        memset(i->control, 0, sizeof i->control);
        i->message.msg_control = i->control;
        i->message.msg_controllen = sizeof i->control;
        i->message.msg_name = &i->address;
        i->message.msg_namelen = sizeof i->address;
        i->message.msg_flags = -1;
    }
    if (i->d.operation != ET_ACCEPT)
        return;
    memset(&i->address, 0xa5, sizeof i->address);
    i->address_length = sizeof i->address;
}

void lose_given(void) {
    observer.given_lost = true;
    for (unsigned k = 0; k < STREAMS; k++)
        observer.stream[k].certain = false;
}

void check_given_bytes(unsigned c, uint64_t place, bool certain, int64_t result) {
    const struct item *i = &observer.item[c];
    size_t length = result > 0 && result < BUFFER ? (size_t)result : 0;
    if (certain && !real_world_came(i->d.fd, place, observer.buffer[c], length))
        untrue(c, PROMISE_UNTRUE_GIVEN,
               "c%u ends with %lld byte%s, but others than were given have come to the other end",
               c, (long long)result, plural((uint64_t)result));
    if (!certain && !is_addressed(i) && !is_stream(i->d.fd) &&
        !real_world_message(i->d.fd, i->reads, observer.buffer[c], length))
        untrue(c, PROMISE_UNTRUE_GIVEN,
               "c%u ends with %lld byte%s, but no such message has come to the other end", c,
               (long long)result, plural((uint64_t)result));
}

/* Others may change the file meanwhile. */
static bool is_written_alone(unsigned c) {
    for (unsigned k = 0; k < COUNT; k++)
        if (k != c && observer.item[k].in_use && observer.item[k].d.fd == observer.item[c].d.fd &&
            (gives_bytes(&observer.item[k]) || observer.item[k].d.operation == ET_PWRITE))
            return false;
    return true;
}

void check_place(unsigned c, int64_t result) {
    static char there[BUFFER];
    const struct item *i = &observer.item[c];
    if (result < 0 || result > BUFFER || kind_of(i->d.fd) != S_IFREG || !is_written_alone(c))
        return;
    check_length_there(c, result);
    if (syscall(SYS_pread64, i->d.fd, there, (size_t)result, i->d.offset) != result ||
        memcmp(there, observer.buffer[c], (size_t)result) != 0)
        untrue(c, PROMISE_UNTRUE_OFFSET,
               "c%u ends with %lld byte%s, but those at %lld in the file are others", c,
               (long long)result, plural((uint64_t)result), (long long)i->d.offset);
}

/* ---- what an accept gives -------------------------------------------------------------------- */

void check_accepted(unsigned c, int fd) {
    const struct item *i = &observer.item[c];
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int flags = (int)syscall(SYS_fcntl, fd, F_GETFL, 0);
    if (flags < 0)
        return; /* it is not open, which was told */
    if (syscall(SYS_getpeername, fd, &peer, &length) == 0 &&
        (i->address_length != length ||
         memcmp(&i->address, &peer, length < sizeof peer ? length : sizeof peer) != 0))
        untrue(c, PROMISE_UNTRUE_ADDRESS,
               "the accept c%u ends with descriptor %d, but its address is not there", c, fd);
    if ((i->d.flags & SOCK_NONBLOCK) != 0 && (flags & O_NONBLOCK) == 0)
        untrue(c, PROMISE_UNTRUE_FLAGS,
               "the accept c%u ends with descriptor %d, which is not in non-blocking mode", c, fd);
    if ((i->d.flags & SOCK_CLOEXEC) != 0 && (syscall(SYS_fcntl, fd, F_GETFD, 0) & FD_CLOEXEC) == 0)
        untrue(c, PROMISE_UNTRUE_FLAGS,
               "the accept c%u ends with descriptor %d, which is not close-on-exec", c, fd);
}

/* ---- what comes with a message --------------------------------------------------------------- */

/* Apart, since musl's macro converts and compares numbers of both signs. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
static struct cmsghdr *next_header(struct msghdr *message, struct cmsghdr *m) {
    return CMSG_NXTHDR(message, m);
}
#pragma GCC diagnostic pop

static bool tells_sender(struct msghdr *message) {
    for (struct cmsghdr *m = CMSG_FIRSTHDR(message); m != NULL; m = next_header(message, m)) {
        struct ucred sender;
        if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&sender, CMSG_DATA(m), sizeof sender);
        return sender.pid == getpid();
    }
    return false;
}

void check_message(unsigned c, int64_t result, size_t length) {
    struct item *i = &observer.item[c];
    struct msghdr *message = &i->message;
    size_t room = i->iov[0].iov_len + i->iov[1].iov_len;
    bool cut = length != SIZE_MAX && length > room;
    if (message->msg_flags == -1 || message->msg_namelen == sizeof i->address)
        untrue(c, PROMISE_UNTRUE_MESSAGE,
               "c%u ends with %lld byte%s, but the address and the flags of the message are not "
               "there",
               c, (long long)result, plural((uint64_t)result));
    else if (length != SIZE_MAX && cut != ((message->msg_flags & MSG_TRUNC) != 0))
        untrue(c, PROMISE_UNTRUE_MESSAGE,
               "c%u ends with %lld byte%s of a message of %zu, and the flags %#x", c,
               (long long)result, plural((uint64_t)result), length, (unsigned)message->msg_flags);
    else if (length != SIZE_MAX && !tells_sender(message))
        untrue(c, PROMISE_UNTRUE_MESSAGE,
               "c%u ends with %lld byte%s, but the control data are not there", c,
               (long long)result, plural((uint64_t)result));
}

/* ---- shutdown -------------------------------------------------------------------------------- */

void check_shut(unsigned c) {
    if (observer.endings == 1 && is_shut_too_far(&observer.item[c].d))
        untrue(c, PROMISE_UNTRUE_FLAGS,
               "the shutdown c%u was to shut down one direction, and has shut down both", c);
}

/* ---- signals --------------------------------------------------------------------------------- */

/* A pipe that nobody reads is the caller's affair (section 15, 6). */
static bool is_broken_pipe(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    struct timespec none = {0};
    return kind_of(fd) == S_IFIFO && syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0 &&
           (p.revents & POLLERR) != 0;
}

void check_signals(void) {
    if (real_world_broken_pipes() == 0)
        return;
    for (unsigned c = 0; c < COUNT; c++)
        if (observer.item[c].in_use && gives_bytes(&observer.item[c]) &&
            is_broken_pipe(observer.item[c].d.fd))
            return;
    observed("ET-OP-5", "SIGPIPE was raised, and no pipe was written to that nobody reads");
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static int descriptor_flags(int fd) {
    return (int)syscall(SYS_fcntl, fd, F_GETFD, 0);
}

static struct mode mode_of(int fd) {
    return (struct mode){world_real.installed(fd), (int)syscall(SYS_fcntl, fd, F_GETFL, 0),
                         descriptor_flags(fd)};
}

/* Numbers that are asked about one by one: a loop's epoll instance is among them, to which a poll
 * would mean something. */
#define FIRST_NUMBERS 32

/* Those that are open, of all that are looked at. Of hundreds that hardly any are Linux is asked at
 * once. */
static const bool *open_numbers(void) {
    static bool open[FILES];
    static struct pollfd polled[FILES];
    struct timespec none = {0};
    int count = (int)observer.files - FIRST_NUMBERS;
    for (int k = 0; k < count; k++)
        polled[k] = (struct pollfd){.fd = FIRST_NUMBERS + k};
    bool told = syscall(SYS_ppoll, polled, count, &none, NULL, 8) >= 0; /* or above the limit */
    for (int fd = 0; fd < (int)observer.files; fd++)
        open[fd] = told && fd >= FIRST_NUMBERS
                       ? (polled[fd - FIRST_NUMBERS].revents & POLLNVAL) == 0
                       : descriptor_flags(fd) >= 0;
    return open;
}

unsigned open_descriptors(void) {
    const bool *open = open_numbers();
    unsigned count = 0;
    for (int fd = 0; fd < (int)observer.files; fd++)
        count += open[fd];
    return count;
}

void note_others(void) {
    memcpy(observer.others, open_numbers(), observer.files * sizeof observer.others[0]);
}

void note_mode(int fd) {
    if (fd >= 0 && fd < FILES)
        observer.mode[fd] = mode_of(fd);
}

/* A loop may ask for what section 15, 5 has promised it. */
static void check_mode(int fd) {
    struct mode now = mode_of(fd), before = observer.mode[fd];
    if (now.flags < 0)
        observed("ET-REGISTER-9", "descriptor %d of the program was closed", fd);
    else if ((before.status & ~now.status & O_NONBLOCK) != 0)
        observed("ET-REGISTER-9", "descriptor %d is not in non-blocking mode any more", fd);
    else if (((before.status ^ now.status) & ~O_NONBLOCK) != 0 || before.flags != now.flags)
        observed("ET-REGISTER-9", "the flags of descriptor %d were %#x, %#x and are %#x, %#x", fd,
                 (unsigned)before.status, (unsigned)before.flags, (unsigned)now.status,
                 (unsigned)now.flags);
}

void check_descriptors(void) {
    if (real_world_kept_open() > 0)
        observed("ET-CLOSE-4", "a file was closed, and its other end does not see the end");
    const bool *open = open_numbers();
    for (int fd = 0; fd < (int)observer.files; fd++) {
        uint64_t installed = world_real.installed(fd);
        if (installed != 0 && installed == observer.mode[fd].installed)
            check_mode(fd);
        else if (installed == 0 && open[fd] && !observer.others[fd] && descriptor_flags(fd) == 0)
            observed("ET-INIT-5", "descriptor %d, the loop's own, is not close-on-exec", fd);
    }
}

/* ---- growth ---------------------------------------------------------------------------------- */

#define LOOK_EVERY 48 /* callbacks */
/* In a row. A table that doubles does not grow so often, nor what is freed in lots of a hundred. */
#define MEMORY_GROWS     7
#define DESCRIPTORS_GROW 4
#define LEAST            (LOOK_EVERY / 2 * 16) /* bytes: an allocation in two callbacks */

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33)
#define HAS_MALLINFO2
#endif
#endif

static uint64_t held_memory(void) {
#ifdef HAS_MALLINFO2
    struct mallinfo2 all = mallinfo2();
    return all.uordblks + all.hblkhd;
#else
    return 0;
#endif
}

static uint64_t held_descriptors(void) {
    const bool *open = open_numbers();
    uint64_t count = 0;
    for (int fd = 0; fd < (int)observer.files; fd++)
        count += open[fd] && world_real.installed(fd) == 0;
    return count;
}

/* What a loop releases when a turn is over does not grow, also in a turn without an end. */
void check_growth(void) {
    struct held *h = &observer.held;
    if (observer.callbacks % LOOK_EVERY != 0 || (h->looks > 0 && h->waits == observer.waits))
        return;
    h->waits = observer.waits;
    uint64_t memory = held_memory(), descriptors = held_descriptors();
    h->memory_grew = h->looks > 0 && memory >= h->memory + LEAST ? h->memory_grew + 1 : 0;
    h->descriptors_grew =
        h->looks > 0 && descriptors > h->descriptors ? h->descriptors_grew + 1 : 0;
    h->looks++;
    h->memory = memory;
    h->descriptors = descriptors;
    if (h->memory_grew == MEMORY_GROWS)
        observed("ET-STATE-9", "memory has grown with each %d of %d callbacks, to %llu bytes",
                 LOOK_EVERY, LOOK_EVERY * MEMORY_GROWS, (unsigned long long)memory);
    if (h->descriptors_grew == DESCRIPTORS_GROW)
        observed("ET-STATE-9", "there are more descriptors after each %d of %d callbacks, now %llu",
                 LOOK_EVERY, LOOK_EVERY * DESCRIPTORS_GROW, (unsigned long long)descriptors);
}

/* In a row: more than what a C library keeps by itself of memory that was freed. */
#define RELEASES_GROW 16

void check_release(void) {
    struct held *h = &observer.held;
    uint64_t memory = held_memory();
    bool grew = h->after_release != 0 && memory > h->after_release;
    h->releases_grew = grew ? h->releases_grew + 1 : 0;
    h->after_release = memory;
    if (h->releases_grew == RELEASES_GROW)
        observed("ET-DEINIT-3", "memory has grown with each of %d loops that were released",
                 RELEASES_GROW);
}

#else
typedef int nothing_here;
#endif
