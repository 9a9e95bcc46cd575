/* SPDX-License-Identifier: MIT */
/* Checks the simulated kernel against the real one: the same scenarios run on both worlds, by the
 * wrapped system calls, and every result, readiness and hook must be the same. Also what only the
 * simulation can do, and what both promise of virtual time. Linked with -Wl,--wrap
 * (fuzz/world/calls.def), fuzz/world/kernel.c, fuzz/world/wrap.c and fuzz/world/real_world.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../fuzz/world/kernel.h"

#define NOTES_MAX 8192
/* the kind after these is the simulated kernel's only */
#define REAL_KINDS WORLD_TCP
#define START_NS   5000000000u
#define ALL        (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP)

/* What a scenario saw, in order. */
struct notes {
    unsigned count;
    struct note {
        const char *what;
        int64_t value;
    } note[NOTES_MAX];
};

static const struct world_kind_functions *world;
static struct notes *notes;
static size_t page;                /* of a pipe, in this world */
static void (*when_blocked)(void); /* what the world does while the caller waits; once */
static bool refuse_waits;
static char buffer[1 << 16];

static void note(const char *what, int64_t value) {
    assert_true(notes->count < NOTES_MAX);
    notes->note[notes->count++] = (struct note){what, value};
}

/* Notes the result of a system call. */
#define CALL(call)                                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        int64_t called = (call);                                                                   \
        note(#call, called < 0 ? -errno : called);                                                 \
    } while (0)

/* ---- the observer: notes everything but pointers --------------------------------------------- */

static const void *last_identity;

/* Transfers of about a page and more: the worlds' pages differ in size. */
static bool of_pages(uint64_t length) {
    return length >= KERNEL_PAGE - 2;
}

static void tried(void *self, enum et_operation operation, int fd, const void *identity,
                  uint64_t length, int64_t offset, int flags, int64_t result) {
    assert_ptr_equal(self, &world);
    last_identity = identity;
    note("tried", operation);
    note("  fd", fd);
    note("  length",
         /* addresses and pages differ */
         operation == ET_CONNECT || of_pages(length) ? 0 : (int64_t)length);
    note("  offset", offset);
    note("  flags", flags);
    note("  result", of_pages(length) ? result > 0 : result);
}

static void controlled(void *self, int op, int fd, uint32_t events, int error, uint32_t kept,
                       bool injected) {
    assert_ptr_equal(self, &world);
    note("controlled", op);
    note("  fd", fd);
    note("  events", events);
    note("  error", error);
    note("  kept", kept);
    note("  injected", injected);
}

static bool waits(void *self, int64_t timeout_ns) {
    assert_ptr_equal(self, &world);
    note("waits", timeout_ns);
    return !refuse_waits;
}

static bool blocked(void *self) {
    void (*happens)(void) = when_blocked;
    assert_ptr_equal(self, &world);
    note("blocked", happens != NULL);
    when_blocked = NULL;
    if (happens != NULL)
        happens();
    return happens != NULL;
}

static void woken(void *self, int error) {
    assert_ptr_equal(self, &world);
    note("woken", error);
    note("  clock", (int64_t)world->clock());
}

static void reported(void *self, int fd, uint32_t events, bool stale) {
    assert_ptr_equal(self, &world);
    note("reported", fd);
    note("  events", events);
    note("  stale", stale);
}

static const struct world_observer observer = {.tried = tried,
                                               .controlled = controlled,
                                               .waits = waits,
                                               .blocked = blocked,
                                               .woken = woken,
                                               .reported = reported};

/* ---- the means of a scenario ----------------------------------------------------------------- */

static bool order(unsigned kind, unsigned d, uint64_t value) {
    struct command command = {.kind = (uint8_t)kind, .d = (uint8_t)d, .value = value};
    return world->command(&command);
}

static int open_as(unsigned d, enum world_kind kind) {
    assert_true(order(COMMAND_OPEN, d, kind));
    note("open", world->descriptor(d));
    return world->descriptor(d);
}

static int duplicate(unsigned d, unsigned copy) {
    struct command command = {.kind = COMMAND_DUP, .d = (uint8_t)d, .other = (uint8_t)copy};
    assert_true(world->command(&command));
    note("dup", world->descriptor(copy));
    return world->descriptor(copy);
}

static void let_fail(enum faulty_call call, int error, uint64_t nth) {
    struct command command = {
        .kind = COMMAND_FAIL, .call = (uint8_t)call, .error = (uint16_t)error, .value = nth};
    assert_true(world->command(&command));
}

static int control(int epfd, int op, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = 0x1000000u + (unsigned)fd};
    return epoll_ctl(epfd, op, fd, &event);
}

/* Waits and notes what is delivered: the order among several is the kernel's. */
static int wait_ns(int epfd, int max, int64_t timeout_ns) {
    struct epoll_event events[16];
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    errno = 0;
    int count = epoll_pwait2(epfd, events, max, timeout_ns < 0 ? NULL : &timeout, NULL);
    note("wait", count < 0 ? -errno : count);
    for (int i = 0; i < count; i++) {
        note("  data", (int64_t)events[i].data.u64);
        note("  events", events[i].events);
    }
    return count;
}

/* Notes what fd is ready for now. */
static void ready(int epfd, int fd) {
    CALL(control(epfd, EPOLL_CTL_ADD, fd, ALL));
    wait_ns(epfd, 16, 0);
    CALL(control(epfd, EPOLL_CTL_DEL, fd, 0));
}

static int connect_with(int fd, unsigned listener) {
    unsigned length;
    const void *address = world->address(listener, &length);
    return connect(fd, address, length);
}

static int pending_error(int fd) {
    int error = -1;
    socklen_t length = sizeof error;
    int result = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return result < 0 ? result : error;
}

static int peer_name(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int result = getpeername(fd, (struct sockaddr *)&address, &length);
    return result < 0 ? result : length >= sizeof address.ss_family && address.ss_family == AF_UNIX;
}

/* ---- scenarios ------------------------------------------------------------------------------- */

static void every_call(int fd) {
    struct iovec vector = {buffer, 8};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    memset(buffer, 0, 8);
    CALL(read(fd, buffer, 0));
    CALL(pread(fd, buffer, 8, 0));
    CALL(pread(fd, buffer, 8, -1));
    CALL(pwrite(fd, buffer, 8, 0));
    CALL(recv(fd, buffer, 8, MSG_DONTWAIT));
    CALL(send(fd, buffer, 8, MSG_DONTWAIT | MSG_NOSIGNAL));
    CALL(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    CALL(recvmsg(fd, &message, MSG_DONTWAIT));
    CALL(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
#ifdef __GLIBC__ /* musl's tries accept after EINVAL */
    CALL(accept4(fd, NULL, NULL, 1));
#endif
    CALL(connect_with(fd, 7));
    CALL(pending_error(fd));
    CALL(peer_name(fd));
    CALL(shutdown(fd, 7));
    CALL(write(fd, buffer, 0));
    CALL(read(fd, buffer, 8));
    memset(buffer, 1, 8); /* an eventfd sees what is in it */
    CALL(write(fd, buffer, 8));
    CALL(read(fd, buffer, 8));
    memset(buffer, 1, 8);
    CALL(shutdown(fd, SHUT_RD));
    CALL(read(fd, buffer, 8));
    CALL(write(fd, buffer, 8));
    CALL(shutdown(fd, SHUT_WR));
    CALL(write(fd, buffer, 8));
}

static void scenario_every_kind(void) {
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned kind = 0; kind < REAL_KINDS; kind++) {
        int fd = open_as(0, kind);
        if (kind != WORLD_FILE)
            ready(epfd, fd);
        every_call(fd);
        /* lest a socket's buffer seems full, which is so much smaller in simulation */
        for (unsigned i = 0; i < 6; i++)
            order(COMMAND_PEER_READ, 0, 100);
        if (kind != WORLD_FILE)
            ready(epfd, fd);
        CALL(close(fd));
        CALL(close(fd));
        every_call(fd);
    }
    every_call(-1);
    every_call(1000000);
    CALL(close(-1));
    CALL(close(epfd));
}

static void scenario_pipe(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_PIPE_READER);
    CALL(read(fd, buffer, 4));
    order(COMMAND_PEER_WRITE, 0, 10);
    order(COMMAND_PEER_READ, 0, 10);
    order(COMMAND_PEER_SHUTDOWN, 0, 0);
    ready(epfd, fd);
    CALL(read(fd, buffer, 4));
    order(COMMAND_PEER_WRITE, 0, 3);
    order(COMMAND_PEER_CLOSE, 0, 0);
    order(COMMAND_PEER_CLOSE, 0, 0);
    ready(epfd, fd);
    CALL(read(fd, buffer, 100));
    CALL(read(fd, buffer, 100));
    ready(epfd, fd);

    fd = open_as(1, WORLD_PIPE_WRITER);
    order(COMMAND_PEER_WRITE, 1, 10);
    CALL(write(fd, buffer, 10));
    order(COMMAND_PEER_READ, 1, 4);
    ready(epfd, fd);
    order(COMMAND_PEER_CLOSE, 1, 0);
    ready(epfd, fd);
    CALL(write(fd, buffer, 10));
    CALL(write(fd, buffer, 0));
}

/* In pages: those of Linux are larger. */
static void pages(int64_t result) {
    int64_t whole = result < 0 ? 0 : (result + (int64_t)page / 2) / (int64_t)page;
    note("pages", result < 0 ? -errno : whole);
    note("odd", result < 0 ? 0 : result - whole * (int64_t)page);
}

static void scenario_full_pipe(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_PIPE_WRITER);
    pages(write(fd, buffer, 6 * page));
    pages(write(fd, buffer, 1));
    ready(epfd, fd);
    order(COMMAND_PEER_READ, 0, page - 1);
    ready(epfd, fd);
    pages(write(fd, buffer, 1));
    order(COMMAND_PEER_READ, 0, 1);
    ready(epfd, fd);
    pages(write(fd, buffer, page - 2));
    ready(epfd, fd);
    pages(write(fd, buffer, 3));
    pages(write(fd, buffer, 2));
    pages(write(fd, buffer, 1));
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT));
    wait_ns(epfd, 4, 0);
    order(COMMAND_PEER_READ, 0, page);
    wait_ns(epfd, 4, 0);
    pages(write(fd, buffer, page + 5));
    wait_ns(epfd, 4, 0);
    order(COMMAND_PEER_CLOSE, 0, 0);
    wait_ns(epfd, 4, 0);

    fd = open_as(1, WORLD_PIPE_READER);
    order(COMMAND_PEER_WRITE, 1, page * 3 + 7);
    pages(read(fd, buffer, page + 1));
    pages(read(fd, buffer, 6 * page));
    CALL(read(fd, buffer, 1));
    order(COMMAND_PEER_WRITE, 1, 1);
    /* far more than there is room for; the odd bytes have a place */
    order(COMMAND_PEER_WRITE, 1, page * 300 + 7);
    CALL(read(fd, buffer, 8));
    pages(read(fd, buffer, 6 * page));
    CALL(read(fd, buffer, 1));
}

static void scenario_stream(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    ready(epfd, fd);
    CALL(peer_name(fd));
    CALL(read(fd, buffer, 5));
    CALL(recv(fd, buffer, 0, 0));
    order(COMMAND_PEER_WRITE, 0, 10);
    order(COMMAND_PEER_WRITE, 0, 10);
    CALL(recv(fd, buffer, 0, 0));
    CALL(recv(fd, buffer, 4, MSG_PEEK));
    CALL(recv(fd, buffer, 4, 0));
    CALL(recv(fd, buffer, 40, MSG_WAITALL | MSG_DONTWAIT));
    order(COMMAND_PEER_WRITE, 0, 6);
    order(COMMAND_PEER_SHUTDOWN, 0, 0);
    ready(epfd, fd);
    CALL(read(fd, buffer, 40));
    CALL(read(fd, buffer, 40));
    CALL(send(fd, buffer, 9, 0));
    order(COMMAND_PEER_READ, 0, 9);
    order(COMMAND_PEER_CLOSE, 0, 0);
    ready(epfd, fd);
    CALL(send(fd, buffer, 9, MSG_NOSIGNAL));
    CALL(pending_error(fd));
    CALL(peer_name(fd));
    CALL(connect_with(fd, 3));

    fd = open_as(1, WORLD_STREAM); /* closed by the other end before it has read all */
    CALL(write(fd, buffer, 9));
    order(COMMAND_PEER_READ, 1, 4);
    order(COMMAND_PEER_WRITE, 1, 2);
    order(COMMAND_PEER_CLOSE, 1, 0);
    ready(epfd, fd);
    CALL(write(fd, buffer, 9));
    CALL(write(fd, buffer, 0));
    CALL(read(fd, buffer, 9));
    CALL(read(fd, buffer, 9));
    CALL(read(fd, buffer, 9));

    fd = open_as(2, WORLD_STREAM);
    CALL(write(fd, buffer, 1));
    order(COMMAND_PEER_CLOSE, 2, 0);
    CALL(pending_error(fd));
    CALL(pending_error(fd));
    ready(epfd, fd);
    CALL(shutdown(fd, SHUT_RDWR));

    fd = open_as(3, WORLD_STREAM);
    order(COMMAND_PEER_WRITE, 3, 3);
    CALL(shutdown(fd, SHUT_RD));
    order(COMMAND_PEER_WRITE, 3, 3);
    ready(epfd, fd);
    CALL(read(fd, buffer, 9));
    CALL(read(fd, buffer, 9));
    CALL(shutdown(fd, SHUT_WR));
    ready(epfd, fd);
    CALL(send(fd, buffer, 0, MSG_NOSIGNAL));
}

static void scenario_messages(void) {
    char part[3][4] = {"par", "", "ts"};
    struct iovec vector[3] = {{part[0], 4}, {part[1], 0}, {part[2], 3}};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 3};
    int fd = open_as(0, WORLD_STREAM);
    CALL(sendmsg(fd, &message, 0));
    order(COMMAND_PEER_WRITE, 0, 6);
    CALL(recvmsg(fd, &message, 0));
    CALL(recvmsg(fd, &message, MSG_DONTWAIT));
    fd = open_as(1, WORLD_DATAGRAM);
    CALL(sendmsg(fd, &message, 0));
    order(COMMAND_PEER_WRITE, 1, 20);
    order(COMMAND_PEER_WRITE, 1, 7);
    order(COMMAND_PEER_WRITE, 1, 3);
    char name[64], spare[64];
    message.msg_name = name;
    message.msg_namelen = sizeof name;
    message.msg_control = spare;
    message.msg_controllen = sizeof spare;
    for (int i = 0; i < 3; i++) {
        CALL(recvmsg(fd, &message, 0));
        note("flags", message.msg_flags & MSG_TRUNC);
        note("name", message.msg_namelen);
        note("control", (int64_t)message.msg_controllen);
        message.msg_namelen = sizeof name;
    }
    memset(name, 0, sizeof name);
    CALL(sendmsg(world->descriptor(0), &message, 0));
    vector[1].iov_len = 4;
    message = (struct msghdr){.msg_iov = vector, .msg_iovlen = 5000};
    CALL(sendmsg(fd, &message, 0));
    CALL(recvmsg(fd, &message, 0));
}

/* What recvmsg, accept and getpeername tell of the other end. The listeners' names differ in
 * length, from world to world. */
static void scenario_names(void) {
    struct iovec vector = {buffer, 4};
    struct sockaddr_un name;
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_namelen = 77};
    socklen_t length = sizeof name;
    int listener = open_as(0, WORLD_LISTENER), client = open_as(1, WORLD_SOCKET);
    CALL(connect_with(client, 0));
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    int server = (int)notes->note[notes->count - 1].value;
    CALL(send(server, buffer, 9, MSG_DONTWAIT));
    CALL(recvmsg(client, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    note("length, without a place for the name", message.msg_namelen);
    note("flags", message.msg_flags);
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    CALL(recvmsg(client, &message, MSG_DONTWAIT));
    note("named", message.msg_namelen > sizeof name.sun_family && name.sun_path[0] == '\0');
    message.msg_namelen = 1;
    CALL(recvmsg(client, &message, MSG_DONTWAIT));
    note("the whole length", message.msg_namelen > sizeof name.sun_family);
    CALL(recvmsg(client, &message, MSG_DONTWAIT));
    CALL(getpeername(client, (struct sockaddr *)&name, &length));
    note("named", length > sizeof name.sun_family);
    length = sizeof name;
    CALL(getpeername(server, (struct sockaddr *)&name, &length));
    note("unnamed", length);
    CALL(send(client, buffer, 1, MSG_DONTWAIT));
    message.msg_namelen = sizeof name;
    CALL(recvmsg(server, &message, MSG_DONTWAIT));
    note("unnamed", message.msg_namelen);
    CALL(close(server));
    message.msg_namelen = sizeof name;
    CALL(recvmsg(client, &message, MSG_DONTWAIT));
    note("the end has no name", message.msg_namelen);
    length = sizeof name;
    CALL(getpeername(client, (struct sockaddr *)&name, &length));
    note("named", length > sizeof name.sun_family);
}

/* The loop's own descriptors have numbers that the program never gets, whatever was closed before.
 */
static void scenario_number_limit(void) {
    int epfd = epoll_create1(EPOLL_CLOEXEC), wakeup = eventfd(0, EFD_CLOEXEC);
    note("own", epfd);
    note("own", wakeup);
    order(COMMAND_LIMIT, 0, 6);
    int listener = open_as(0, WORLD_LISTENER);
    open_as(1, WORLD_STREAM);
    open_as(2, WORLD_EVENTFD);
    open_as(3, WORLD_PIPE_READER);
    duplicate(1, 3);
    duplicate(1, 2);
    duplicate(0, 3);
    order(COMMAND_PEER_CONNECT, 0, 0);
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    CALL(accept4(world->descriptor(1), NULL, NULL, SOCK_NONBLOCK));
    ready(epfd, listener);
    CALL(close(wakeup));
    CALL(close(epfd));
    note("own", epfd = epoll_create1(EPOLL_CLOEXEC));
    order(COMMAND_CLOSE, 1, 0);
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    order(COMMAND_LIMIT, 0, 0);
    open_as(4, WORLD_STREAM);
    open_as(5, WORLD_STREAM);
    CALL(close(epfd));
}

static void scenario_datagram(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_DATAGRAM);
    ready(epfd, fd);
    CALL(recv(fd, buffer, 5, 0));
    order(COMMAND_PEER_WRITE, 0, 10);
    order(COMMAND_PEER_WRITE, 0, 0);
    order(COMMAND_PEER_WRITE, 0, 7);
    CALL(read(fd, buffer, 0));
    CALL(recv(fd, buffer, 4, MSG_PEEK));
    CALL(recv(fd, buffer, 4, MSG_TRUNC));
    CALL(recv(fd, buffer, 4, 0));
    CALL(recv(fd, buffer, 0, 0));
    CALL(read(fd, buffer, 20));
    CALL(peer_name(fd));
    CALL(accept4(fd, NULL, NULL, 0));
    CALL(send(fd, buffer, 0, 0));
    CALL(write(fd, buffer, 3));
    order(COMMAND_PEER_WRITE, 0, 5);
    order(COMMAND_PEER_SHUTDOWN, 0, 0);
    ready(epfd, fd);
    order(COMMAND_PEER_CLOSE, 0, 0);
    ready(epfd, fd);
    CALL(read(fd, buffer, 2));
    CALL(send(fd, buffer, 3, 0));
    ready(epfd, fd);
    CALL(send(fd, buffer, 3, 0));
    CALL(recv(fd, buffer, 3, 0));
    CALL(peer_name(fd));

    fd = open_as(1, WORLD_DATAGRAM);
    order(COMMAND_PEER_WRITE, 1, 5);
    order(COMMAND_PEER_CLOSE, 1, 0);
    CALL(send(fd, buffer, 3, 0));
    ready(epfd, fd);
    CALL(recv(fd, buffer, 3, 0));

    fd = open_as(2, WORLD_DATAGRAM);
    order(COMMAND_PEER_WRITE, 2, 5);
    CALL(shutdown(fd, SHUT_RD));
    order(COMMAND_PEER_WRITE, 2, 5);
    ready(epfd, fd);
    CALL(recv(fd, buffer, 9, 0));
    CALL(recv(fd, buffer, 9, 0));
    CALL(shutdown(fd, SHUT_WR));
    ready(epfd, fd);
    CALL(send(fd, buffer, 3, 0));
    CALL(connect_with(fd, 5));
}

static ssize_t send_to(int fd, unsigned port, size_t length) {
    struct iovec iov = {buffer, length};
    unsigned size;
    const void *address = world->port(port, &size);
    struct msghdr message = {.msg_name = (void *)(uintptr_t)address,
                             .msg_namelen = size,
                             .msg_iov = &iov,
                             .msg_iovlen = 1};
    return sendmsg(fd, &message, MSG_DONTWAIT);
}

/* Datagrams for somebody by name: whose buffer they weigh on, and what is full. */
static void scenario_port(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_PORT), other = open_as(1, WORLD_PORT);
    ready(epfd, fd);
    CALL(send(fd, buffer, 3, 0));
    CALL(recv(fd, buffer, 3, 0));
    CALL(peer_name(fd));
    CALL(send_to(fd, 1, 5));
    CALL(send_to(fd, 0, 4));
    CALL(send_to(fd, 5, 4)); /* nobody */
    ready(epfd, fd);
    ready(epfd, other);
    CALL(recv(other, buffer, 9, 0));
    CALL(recv(other, buffer, 9, 0));
    CALL(recv(fd, buffer, 9, MSG_ERRQUEUE)); /* which AF_UNIX has not: an ordinary one */
    order(COMMAND_PEER_WRITE, 1, 8);
    CALL(send_to(fd, 1, 5));
    ready(epfd, fd); /* it is said to be writable all the same */
    CALL(recv(other, buffer, 9, 0));
    CALL(send_to(fd, 1, 5));
    CALL(send_to(fd, 1, 5));
    int third = open_as(2, WORLD_DATAGRAM);
    CALL(send_to(third, 0, 6));
    CALL(send_to(third, 1, 6));
    ready(epfd, third);
    CALL(close(third)); /* what it has sent stays */
    CALL(recv(fd, buffer, 9, 0));
    for (unsigned i = 0; i < 6; i++)
        CALL(send_to(fd, 0, 30)); /* to itself, until its own buffer is full */
    ready(epfd, fd);
    CALL(recv(fd, buffer, 9, 0));
    ready(epfd, fd);
    CALL(shutdown(fd, SHUT_RD));
    CALL(send_to(other, 0, 6));
    CALL(shutdown(other, SHUT_WR));
    CALL(send_to(other, 0, 6));
    CALL(close(fd));
    CALL(send_to(other, 0, 6));
    ready(epfd, other);
    CALL(close(other));
    CALL(close(epfd));
}

/* What epoll repeats, and what only when something new has come, or never. */
static void scenario_edges(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET));
    order(COMMAND_PEER_WRITE, 0, 5);
    wait_ns(epfd, 16, 0);
    wait_ns(epfd, 16, 0);
    CALL(recv(fd, buffer, 2, 0));
    wait_ns(epfd, 16, 0);
    order(COMMAND_PEER_WRITE, 0, 5);
    wait_ns(epfd, 16, 0);
    wait_ns(epfd, 16, 0);
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET));
    wait_ns(epfd, 16, 0);
    wait_ns(epfd, 16, 0);
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
    wait_ns(epfd, 16, 0);
    order(COMMAND_PEER_WRITE, 0, 5);
    order(COMMAND_PEER_CLOSE, 0, 0);
    wait_ns(epfd, 16, 0);
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
    wait_ns(epfd, 16, 0);
    wait_ns(epfd, 16, 0);
    CALL(close(fd));
    CALL(close(epfd));
}

static void scenario_listener(void) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_LISTENER);
    ready(epfd, fd);
    CALL(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
    order(COMMAND_PEER_CONNECT, 0, 0);
    order(COMMAND_PEER_CONNECT, 0, 0);
    order(COMMAND_PEER_CONNECT, 0, 0);
    ready(epfd, fd);
    int client = open_as(1, WORLD_SOCKET);
    ready(epfd, client);
    CALL(connect_with(client, 0));
    CALL(accept4(fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    assert_ptr_equal(last_identity, &address);
    note("address length", length);
    note("family", address.ss_family);
    int accepted = (int)notes->note[notes->count - 3].value;
    note("adopt", world->adopt(2, accepted));
    note("adopted", world->descriptor(2));
    order(COMMAND_PEER_WRITE, 2, 4);
    ready(epfd, accepted);
    CALL(read(accepted, buffer, 9));
    order(COMMAND_PEER_CLOSE, 2, 0);
    CALL(read(accepted, buffer, 9));
    CALL(peer_name(client));
    CALL(connect_with(client, 0));
    CALL(peer_name(client));
    CALL(pending_error(client));
    CALL(connect_with(client, 0));
    CALL(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
    CALL(connect_with(client, 0));
    note("adopt", world->adopt(2, (int)notes->note[notes->count - 2].value));
    ready(epfd, client);
    order(COMMAND_PEER_WRITE, 1, 4); /* its other end waits for accept: not in the world's hands */
    CALL(read(client, buffer, 9));
    CALL(write(client, buffer, 9));
    order(COMMAND_CLOSE, 0, 0);
    ready(epfd, client);
    CALL(read(client, buffer, 9));
    CALL(read(client, buffer, 9));
    CALL(connect_with(client, 0));
}

static void scenario_connect(void) {
    int epfd = epoll_create1(0);
    struct sockaddr_un bad = {.sun_family = AF_INET};
    int fd = open_as(0, WORLD_SOCKET);
    int listener = open_as(1, WORLD_LISTENER);
    CALL(connect_with(fd, 0));
    CALL(connect_with(fd, 4));
    CALL(connect(fd, (struct sockaddr *)&bad, sizeof bad));
    CALL(connect(fd, (struct sockaddr *)&bad, 2));
    CALL(connect(fd, (struct sockaddr *)&bad, sizeof bad + 1));
    CALL(connect_with(listener, 1));
    CALL(connect_with(fd, 1));
    CALL(write(fd, buffer, 5));
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    int accepted = (int)notes->note[notes->count - 1].value;
    note("adopt", world->adopt(2, accepted));
    CALL(read(accepted, buffer, 9));
    CALL(write(accepted, buffer, 9));
    order(COMMAND_PEER_READ, 2, 9); /* the other end is the program's own: nothing happens */
    order(COMMAND_PEER_CLOSE, 2, 0);
    CALL(read(fd, buffer, 9));
    CALL(close(fd));
    CALL(read(accepted, buffer, 9));
    CALL(close(accepted));

    fd = open_as(0, WORLD_SOCKET);
    CALL(shutdown(listener, SHUT_RD));
    ready(epfd, listener);
    CALL(connect_with(fd, 1));
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    CALL(shutdown(fd, SHUT_WR));
    ready(epfd, fd);
    order(COMMAND_CLOSE, 1, 0);
    listener = open_as(1, WORLD_LISTENER);
    CALL(connect_with(fd, 1));
    ready(epfd, fd);
    CALL(read(fd, buffer, 9));
    CALL(write(fd, buffer, 9));
    int other = open_as(3, WORLD_SOCKET);
    CALL(connect_with(other, 1));
    CALL(close(other)); /* before it is accepted */
    ready(epfd, listener);
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    accepted = (int)notes->note[notes->count - 1].value;
    ready(epfd, accepted);
    CALL(read(accepted, buffer, 9));
    CALL(pending_error(accepted));
}

/* Shut down first and connected then: only the sending end finds out. */
static void scenario_shut_before(void) {
    int epfd = epoll_create1(0);
    int client = open_as(0, WORLD_SOCKET);
    int listener = open_as(1, WORLD_LISTENER);
    CALL(shutdown(client, SHUT_RD));
    CALL(connect_with(client, 1));
    CALL(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    int accepted = (int)notes->note[notes->count - 1].value;
    ready(epfd, accepted);
    ready(epfd, client);
    CALL(send(accepted, buffer, 3, MSG_NOSIGNAL));
    CALL(send(accepted, buffer, 0, MSG_NOSIGNAL));
    CALL(send(client, buffer, 3, MSG_NOSIGNAL));
    CALL(read(accepted, buffer, 9));
    CALL(read(client, buffer, 9));
}

static void scenario_control(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    int file = open_as(1, WORLD_FILE);
    int timer = open_as(2, WORLD_TIMERFD);
    bool any;
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_DEL, fd, 0));
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT));
    note("registered", world->registered(fd, &any));
    note("any", any);
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLOUT));
    note("registered", world->registered(fd, &any));
    CALL(control(epfd, EPOLL_CTL_MOD, fd, 0));
    note("registered", world->registered(fd, &any));
    note("any", any);
    CALL(control(epfd, 77, fd, EPOLLOUT));
    CALL(control(epfd, EPOLL_CTL_ADD, file, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_ADD, epfd, EPOLLIN));
    CALL(control(fd, EPOLL_CTL_ADD, timer, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_ADD, -1, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_ADD, 20, EPOLLIN));
    CALL(control(20, EPOLL_CTL_ADD, fd, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_DEL, fd, 0));
    CALL(control(epfd, EPOLL_CTL_DEL, fd, 0));
    wait_ns(fd, 4, 0);
    wait_ns(20, 4, 0);
    wait_ns(epfd, 0, 0);
    CALL(epoll_wait(epfd, &(struct epoll_event){.events = 0}, 1, 3));
    CALL(control(epfd, EPOLL_CTL_ADD, fd, 0));
    order(COMMAND_PEER_CLOSE, 0, 0); /* EPOLLHUP needs no asking */
    wait_ns(epfd, 4, 0);
    CALL(close(fd));
    wait_ns(epfd, 4, 0);
    note("registered", world->registered(fd, &any));
    note("any", any);
    CALL(epoll_create1(12345));
    CALL(eventfd(0, 12345));
}

static void scenario_stale(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    bool any;
    duplicate(0, 1);
    duplicate(0, 0);
    uint64_t first = world->installed(fd);
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN));
    order(COMMAND_PEER_WRITE, 0, 3);
    order(COMMAND_CLOSE, 0, 0);
    note("closed", world->installed(fd) == 0);
    wait_ns(epfd, 4, 0);
    CALL(control(epfd, EPOLL_CTL_DEL, fd, 0));
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN));
    note("reopened", open_as(0, WORLD_PIPE_WRITER) == fd);
    note("same", world->installed(fd) == first);
    note("registered", world->registered(fd, &any));
    note("any", any);
    CALL(control(epfd, EPOLL_CTL_DEL, fd, 0));
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT));
    wait_ns(epfd, 4, 0);
    int second = epoll_create1(0);
    CALL(control(second, EPOLL_CTL_ADD, fd, EPOLLOUT));
    note("registered", world->registered(fd, &any));
    CALL(close(epfd));
    wait_ns(second, 4, 0);
    CALL(read(world->descriptor(1), buffer, 9));
    CALL(close(world->descriptor(1)));
    CALL(close(second));
    note("registered", world->registered(fd, &any));
}

/* As the loop gets rid of a registration that it cannot name any more. */
static void scenario_renewal(void) {
    bool any;
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    duplicate(0, 1);
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT));
    CALL(control(epfd, EPOLL_CTL_ADD, world->descriptor(1), EPOLLIN));
    order(COMMAND_CLOSE, 0, 0);
    wait_ns(epfd, 4, 0);
    int second = epoll_create1(0);
    note("registered", world->registered(world->descriptor(1), &any));
    CALL(close(second));
    note("registered", world->registered(world->descriptor(1), &any));
    second = epoll_create1(0);
    CALL(control(second, EPOLL_CTL_ADD, world->descriptor(1), EPOLLOUT));
    CALL(dup3(second, second, 0));
    CALL(dup3(20, epfd, 0));
    CALL(dup3(second, -1, 0));
    CALL(dup3(second, epfd, O_CLOEXEC));
    CALL(close(second));
    note("registered", world->registered(world->descriptor(1), &any));
    wait_ns(epfd, 4, 0);
    CALL(dup3(epfd, 30, 0));
    wait_ns(30, 4, 0);
    CALL(close(epfd));
    wait_ns(30, 4, 0);
}

/* As the loop shows its instance to a loop around it, and what becomes of that when it is renewed.
 * That a poll looks at the instance takes what is not ready any more out of its list. */
static void scenario_instance_in_another_one(void) {
    bool any;
    int inner = epoll_create1(0), outer = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM), other = open_as(1, WORLD_STREAM);
    note("readable", world->readable(outer));
    CALL(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN));
    CALL(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN));
    CALL(control(inner, EPOLL_CTL_ADD, fd, EPOLLIN));
    CALL(control(inner, EPOLL_CTL_ADD, other, EPOLLIN));
    note("registered", world->registered(fd, &any));
    note("readable", world->readable(outer) + 2 * world->has_reports());
    order(COMMAND_PEER_WRITE, 0, 3);
    order(COMMAND_PEER_WRITE, 1, 3);
    note("readable", world->readable(outer) + 2 * world->has_reports());
    CALL(recv(fd, buffer, 9, 0));
    note("readable", world->readable(outer) + 2 * world->has_reports());
    order(COMMAND_PEER_WRITE, 0, 3);
    wait_ns(inner, 4, 0);
    int renewed = epoll_create1(0);
    CALL(control(renewed, EPOLL_CTL_ADD, other, EPOLLIN));
    CALL(dup3(renewed, inner, 0));
    CALL(close(renewed));
    note("readable", world->readable(outer) + 2 * world->has_reports());
    CALL(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN));
    note("readable", world->readable(outer) + 2 * world->has_reports());
    CALL(recv(other, buffer, 9, 0));
    note("readable", world->readable(outer) + 2 * world->has_reports());
    CALL(control(outer, EPOLL_CTL_DEL, inner, 0));
    order(COMMAND_PEER_WRITE, 1, 3);
    note("readable", world->readable(outer) + 2 * world->has_reports());
    CALL(close(inner));
    note("readable", world->readable(inner) + 2 * world->has_reports());
    CALL(close(outer));
}

static void scenario_numbers(void) {
    open_as(0, WORLD_STREAM);
    open_as(1, WORLD_PIPE_READER);
    open_as(1, WORLD_PIPE_READER);
    open_as(2, WORLD_TIMERFD);
    order(COMMAND_CLOSE, 1, 0);
    note("gone", world->descriptor(1));
    CALL(eventfd(3, EFD_NONBLOCK));
    duplicate(0, 3);
    duplicate(0, 2);
    CALL(close(world->descriptor(0)));
    note("gone", world->descriptor(0));
    open_as(4, WORLD_FILE);
    note("none", world->descriptor(8));
    note("adopt", world->adopt(5, 40));
    note("adopt", world->adopt(4, world->descriptor(2)));
    note("gone", world->descriptor(2));
    order(COMMAND_OPEN, 8, WORLD_STREAM);
    order(COMMAND_OPEN, 5, 99);
    note("none", world->descriptor(5));
    note("wake-up command", order(COMMAND_WAKEUP, 0, 0));
}

static void scenario_regular(void) {
    int fd = open_as(0, WORLD_FILE);
    CALL(read(fd, buffer, 50));
    CALL(read(fd, buffer, 50));
    CALL(read(fd, buffer, 50));
    CALL(pread(fd, buffer, 50, 60));
    CALL(pread(fd, buffer, 50, 64));
    CALL(pwrite(fd, buffer, 10, 70));
    CALL(pread(fd, buffer, 50, 64));
    CALL(write(fd, buffer, 20));
    CALL(pread(fd, buffer, 50, 64));
    CALL(pwrite(fd, buffer, 0, 500));
    CALL(pread(fd, buffer, 50, 64));
    CALL(recv(fd, buffer, 50, 0));
}

static void scenario_eventfd(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_EVENTFD);
    uint64_t value = 0;
    CALL(read(fd, &value, 8));
    order(COMMAND_PEER_WRITE, 0, 5);
    order(COMMAND_PEER_WRITE, 0, 2);
    ready(epfd, fd);
    CALL(read(fd, &value, 7));
    CALL(read(fd, &value, 8));
    note("counter", (int64_t)value);
    value = UINT64_MAX;
    CALL(write(fd, &value, 8));
    value = UINT64_MAX - 1;
    CALL(write(fd, &value, 8));
    ready(epfd, fd);
    value = 1;
    CALL(write(fd, &value, 8));
    CALL(write(fd, &value, 4));
    uint64_t longer[3] = {0};
    CALL(read(fd, longer, sizeof longer));
    value = longer[0];
    note("counter", (int64_t)value);
}

static void scenario_timerfd(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_TIMERFD);
    uint64_t value = 0;
    CALL(control(epfd, EPOLL_CTL_ADD, fd, ALL));
    wait_ns(epfd, 4, 1000000);
    order(COMMAND_PEER_WRITE, 0, 2000);
    wait_ns(epfd, 4, 0);
    wait_ns(epfd, 4, 1500000);
    wait_ns(epfd, 4, 500000); /* it expires exactly then */
    CALL(read(fd, &value, 8));
    note("expirations", (int64_t)value);
    CALL(read(fd, &value, 8));
    order(COMMAND_PEER_WRITE, 0, 3000);
    wait_ns(epfd, 4, -1);
    CALL(read(fd, &value, 4));
    CALL(write(fd, &value, 8));
    order(COMMAND_PEER_WRITE, 0, 10);
    wait_ns(epfd, 4, 0);
    order(COMMAND_ADVANCE, 0, 10000);
    wait_ns(epfd, 4, 0);
    order(COMMAND_PEER_WRITE, 0, 0);
    CALL(read(fd, &value, 8));
    int other = open_as(1, WORLD_TIMERFD); /* not registered: the time passes over it */
    order(COMMAND_PEER_WRITE, 1, 40);
    order(COMMAND_PEER_WRITE, 0, 50);
    wait_ns(epfd, 4, -1);
    CALL(read(other, &value, 8));
    order(COMMAND_PEER_WRITE, 0, 50);
    order(COMMAND_CLOSE, 0, 0);
    wait_ns(epfd, 4, -1);
}

static void write_to_peer(void) {
    order(COMMAND_PEER_WRITE, 0, 4);
}

static void let_time_pass(void) {
    order(COMMAND_ADVANCE, 0, 70000);
}

static int64_t monotonic_ns(void) {
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void scenario_wait(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    int wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t one = 1;
    note("now", monotonic_ns());
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN));
    CALL(control(epfd, EPOLL_CTL_ADD, wakeup, EPOLLIN));
    wait_ns(epfd, 4, 0);
    wait_ns(epfd, 4, 1234567);
    note("now", monotonic_ns());
    wait_ns(epfd, 4, -1); /* would hang */
    when_blocked = write_to_peer;
    wait_ns(epfd, 4, -1);
    CALL(read(fd, buffer, 9));
    when_blocked = let_time_pass;
    wait_ns(epfd, 4, 50000);
    when_blocked = let_time_pass;
    wait_ns(epfd, 4, 100000);
    CALL(write(wakeup, &one, 8));
    wait_ns(epfd, 4, -1);
    CALL(read(wakeup, &one, 8));
    CALL(epoll_wait(epfd, &(struct epoll_event){.events = 0}, 1, 2));
    CALL(epoll_wait(epfd, &(struct epoll_event){.events = 0}, 1, -1));
    refuse_waits = true;
    wait_ns(epfd, 4, 10);
    refuse_waits = false;
    struct timespec wrong = {0, 1000000000};
    CALL(epoll_pwait2(epfd, &(struct epoll_event){.events = 0}, 1, &wrong, NULL));
    CALL(close(wakeup));
}

/* Linux keeps the order in which descriptors became ready, and puts what it has reported to the
 * end. */
static void scenario_order(void) {
    int epfd = epoll_create1(0);
    for (unsigned d = 0; d < 4; d++)
        CALL(control(epfd, EPOLL_CTL_ADD, open_as(d, WORLD_STREAM), EPOLLIN));
    order(COMMAND_PEER_WRITE, 2, 3);
    order(COMMAND_PEER_WRITE, 0, 3);
    order(COMMAND_PEER_WRITE, 3, 3);
    wait_ns(epfd, 1, 0);
    wait_ns(epfd, 1, 0);
    wait_ns(epfd, 2, 0);
    wait_ns(epfd, 2, 0);
    wait_ns(epfd, 4, 0);
    CALL(read(world->descriptor(0), buffer, 9));
    order(COMMAND_PEER_WRITE, 1, 3);
    order(COMMAND_PEER_WRITE, 0, 3);
    wait_ns(epfd, 4, 0);
    CALL(control(epfd, EPOLL_CTL_MOD, world->descriptor(3), EPOLLOUT));
    CALL(read(world->descriptor(2), buffer, 9));
    wait_ns(epfd, 4, 0);
    order(COMMAND_PEER_WRITE, 2, 3);
    CALL(control(epfd, EPOLL_CTL_DEL, world->descriptor(0), 0));
    CALL(control(epfd, EPOLL_CTL_ADD, world->descriptor(0), EPOLLIN));
    wait_ns(epfd, 4, 0);
}

/* Who of the waiters hears of what. */
static void scenario_wakes(void) {
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    int client = open_as(1, WORLD_SOCKET);
    open_as(2, WORLD_LISTENER);
    CALL(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP));
    wait_ns(epfd, 4, 0);
    CALL(shutdown(fd, SHUT_RD));
    wait_ns(epfd, 4, 0);
    CALL(shutdown(fd, SHUT_RDWR));
    wait_ns(epfd, 4, 0);
    CALL(control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN));
    wait_ns(epfd, 4, 0);
    CALL(control(epfd, EPOLL_CTL_ADD, client, EPOLLIN));
    wait_ns(epfd, 4, 0);
    CALL(connect_with(client, 2));
    wait_ns(epfd, 4, 0);
    int datagram = open_as(3, WORLD_DATAGRAM);
    CALL(control(epfd, EPOLL_CTL_ADD, datagram, EPOLLIN | EPOLLRDHUP));
    CALL(shutdown(datagram, SHUT_RD));
    wait_ns(epfd, 4, 0);
    order(COMMAND_PEER_WRITE, 3, 4);
    wait_ns(epfd, 4, 0);
    order(COMMAND_PEER_CLOSE, 3, 0);
    wait_ns(epfd, 4, 0);
}

/* ---- a random walk --------------------------------------------------------------------------- */

static uint32_t random_state;

static unsigned draw(unsigned below) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 10) % below;
}

static size_t draw_length(void) {
    static const uint16_t lengths[] = {0,    1,    2,    3,    8,    100,  192,  193,  700,
                                       1728, 2240, 2241, 4095, 4096, 4097, 4576, 4577, 9000};
    return draw(2) ? draw(3) : lengths[draw(sizeof lengths / sizeof *lengths)];
}

static void random_command(unsigned d) {
    static const uint8_t kinds[] = {COMMAND_OPEN,          COMMAND_OPEN,         COMMAND_CLOSE,
                                    COMMAND_PEER_WRITE,    COMMAND_PEER_READ,    COMMAND_PEER_CLOSE,
                                    COMMAND_PEER_SHUTDOWN, COMMAND_PEER_CONNECT, COMMAND_ADVANCE};
    unsigned kind = kinds[draw(sizeof kinds)];
    uint64_t value = kind == COMMAND_OPEN ? draw(REAL_KINDS) : draw_length();
    if (draw(10) == 0) {
        duplicate(d, draw(PROGRAM_HANDLES));
        return;
    }
    note("command", kind * 10 + d);
    note("  value", (int64_t)value);
    order(kind, d, value);
    note("descriptor", world->descriptor(d));
}

static void random_transfer(int fd) {
    struct iovec vector = {buffer, draw_length()};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    size_t length = draw_length();
    memset(buffer, 0, 8);
    switch (draw(10)) {
    case 0: CALL(write(fd, buffer, length)); break;
    case 1: CALL(send(fd, buffer, length, MSG_NOSIGNAL)); break;
    case 2: CALL(sendmsg(fd, &message, MSG_NOSIGNAL)); break;
    case 3: CALL(recv(fd, buffer, length, MSG_DONTWAIT)); break;
    case 4:
        CALL(recvmsg(fd, &message, MSG_DONTWAIT));
        note("  flags", message.msg_flags);
        break;
    case 5: CALL(read(fd, buffer, length)); break;
    case 6: CALL(pread(fd, buffer, length, draw(70))); break;
    case 7: CALL(pwrite(fd, buffer, length, draw(70))); break;
    case 8: CALL(recv(fd, buffer, length, MSG_DONTWAIT | MSG_PEEK)); break;
    default: CALL(read(fd, buffer, 8)); break;
    }
}

static void random_call(int epfd, int fd) {
    static const uint32_t interests[] = {0, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLRDHUP, ALL};
    uint32_t interest = interests[draw(6)];
    switch (draw(9)) {
    case 0: CALL(control(epfd, EPOLL_CTL_ADD, fd, interest)); break;
    case 1: CALL(control(epfd, EPOLL_CTL_MOD, fd, interest)); break;
    case 2: CALL(control(epfd, EPOLL_CTL_DEL, fd, 0)); break;
    case 3: CALL(shutdown(fd, (int)draw(3))); break;
    case 4: CALL(pending_error(fd)); break;
    case 5: CALL(peer_name(fd)); break;
    case 6: CALL(close(fd)); break;
    case 7: CALL(connect_with(fd, draw(PROGRAM_HANDLES))); break;
    default:
        CALL(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
        if (notes->note[notes->count - 1].value > 0) {
            unsigned d = draw(PROGRAM_HANDLES);
            note("adopt", world->adopt(d, (int)notes->note[notes->count - 1].value));
        }
    }
}

static void scenario_random(void) {
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    unsigned handles = 2 + draw(PROGRAM_HANDLES - 1);
    for (unsigned d = 0; d < handles; d++)
        open_as(d, draw(REAL_KINDS));
    for (unsigned step = 0; step < 120; step++) {
        unsigned d = draw(handles);
        int fd = world->descriptor(d);
        switch (draw(4)) {
        case 0: random_command(d); break;
        case 1: random_transfer(fd); break;
        case 2: random_call(epfd, fd); break;
        default: wait_ns(epfd, 1 + (int)draw(4), draw(2) * 300); break;
        }
        bool any;
        note("registered", world->registered(fd, &any));
    }
}

/* ---- the comparison -------------------------------------------------------------------------- */

/* The real world has closed all that it opened, the other ends included. */
static void nothing_leaks(void) {
    static const int from[] = {3, 500};
    for (unsigned i = 0; i < 2; i++) {
        int lowest = fcntl(0, F_DUPFD, from[i]);
        assert_int_equal(lowest, from[i]);
        close(lowest);
    }
}

static void run_on(const struct world_kind_functions *kind, void (*scenario)(void),
                   struct notes *seen) {
    world = kind;
    notes = seen;
    page = kernel_sizes->page;
    notes->count = 0;
    when_blocked = NULL;
    kind->begin(&observer, &world, START_NS);
    note("clock", (int64_t)kind->clock());
    scenario();
    note("unreleased", kind->end());
    nothing_leaks();
}

/* Returns whether both saw the same, and prints the first difference with what led to it. */
static bool agree(const struct notes *simulated, const struct notes *real) {
    unsigned i = 0;
    while (i < simulated->count && i < real->count &&
           simulated->note[i].value == real->note[i].value &&
           strcmp(simulated->note[i].what, real->note[i].what) == 0)
        i++;
    if (i == simulated->count && i == real->count)
        return true;
    fprintf(stderr, "the worlds differ (simulated, real):\n");
    for (unsigned j = i < 40 ? 0 : i - 40; j <= i; j++)
        fprintf(stderr, "  %-60s %lld\t%-60s %lld\n",
                j < simulated->count ? simulated->note[j].what : "-",
                j < simulated->count ? (long long)simulated->note[j].value : 0,
                j < real->count ? real->note[j].what : "-",
                j < real->count ? (long long)real->note[j].value : 0);
    return false;
}

static void compare(void (*scenario)(void)) {
    static struct notes simulated, real;
    kernel_sizes = real_world_sizes();
    run_on(&world_simulated, scenario, &simulated);
    run_on(&world_real, scenario, &real);
    kernel_sizes = &kernel_small;
    assert_true(agree(&simulated, &real));
}

#define COMPARED(name)                                                                             \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        compare(scenario_##name);                                                                  \
    }
COMPARED(every_kind)
COMPARED(pipe)
COMPARED(full_pipe)
COMPARED(stream)
COMPARED(messages)
COMPARED(names)
COMPARED(number_limit)
COMPARED(datagram)
COMPARED(listener)
COMPARED(connect)
COMPARED(shut_before)
COMPARED(control)
COMPARED(stale)
COMPARED(renewal)
COMPARED(instance_in_another_one)
COMPARED(numbers)
COMPARED(regular)
COMPARED(eventfd)
COMPARED(timerfd)
COMPARED(wait)
COMPARED(order)
COMPARED(wakes)

static void test_port(void **state) {
    (void)state;
    kernel_sizes = real_world_sizes();
    compare(scenario_port);
    kernel_sizes = &kernel_small;
}

COMPARED(edges)

static void test_random(void **state) {
    (void)state;
    static struct notes simulated, real;
    const char *walks = getenv("WALKS");
    const char *from = getenv("WALK");
    uint32_t first = from != NULL ? (uint32_t)atoi(from) : 0;
    kernel_sizes = real_world_sizes();
    for (uint32_t walk = first; walk < first + (walks != NULL ? (uint32_t)atoi(walks) : 300);
         walk++) {
        random_state = walk;
        run_on(&world_simulated, scenario_random, &simulated);
        random_state = walk;
        run_on(&world_real, scenario_random, &real);
        if (!agree(&simulated, &real))
            fail_msg("walk %u", walk);
    }
    kernel_sizes = &kernel_small;
}

/* ---- what only the simulated kernel can do --------------------------------------------------- */

static struct notes scrap;

static void begin(const struct world_kind_functions *kind) {
    world = kind;
    notes = &scrap;
    page = KERNEL_PAGE;
    scrap.count = 0;
    kind->begin(&observer, &world, START_NS);
}

/* The value of the n-th last note with this name. */
static int64_t noted(const char *what, unsigned nth) {
    for (unsigned i = scrap.count; i > 0; i--)
        if (strcmp(scrap.note[i - 1].what, what) == 0 && nth-- == 0)
            return scrap.note[i - 1].value;
    fail_msg("no note %s", what);
    return 0;
}

#define FAILS(call, number)                                                                        \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal((call), -1);                                                              \
        assert_int_equal(errno, number);                                                           \
    } while (0)

static void test_faults(void **state) {
    (void)state;
    begin(&world_simulated);
    struct epoll_event event;
    struct timespec soon = {0, 5};
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    int wakeup = eventfd(1, EFD_NONBLOCK);
    let_fail(FAULTY_READ, EIO, 2);
    let_fail(FAULTY_READ, EINTR, 3);
    let_fail(FAULTY_READ, EPERM, 3);
    assert_int_equal(read(wakeup, buffer, 8), 8); /* the loop's own is spared and not counted */
    FAILS(read(fd, buffer, 1), EAGAIN);
    FAILS(read(fd, buffer, 1), EIO);
    FAILS(read(fd, buffer, 1), EINTR);
    FAILS(read(fd, buffer, 1), EPERM);
    FAILS(read(fd, buffer, 1), EAGAIN);
    let_fail(FAULTY_EPOLL_CTL, ENOSPC, 2);
    assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    assert_int_equal(noted("  injected", 0), false);
    FAILS(control(epfd, EPOLL_CTL_MOD, fd, EPOLLOUT), ENOSPC);
    assert_int_equal(noted("  injected", 0), true);
    assert_int_equal(noted("  kept", 0), EPOLLIN);
    let_fail(FAULTY_EPOLL_WAIT, EINTR, 1);
    FAILS(epoll_wait(epfd, &event, 1, 7), EINTR);
    assert_int_equal(noted("woken", 0), EINTR);
    assert_int_equal(noted("  clock", 0), START_NS);
    unsigned before = scrap.count; /* an old kernel: the loop is to come again with epoll_wait */
    let_fail(FAULTY_EPOLL_WAIT, ENOSYS, 1);
    FAILS(epoll_pwait2(epfd, &event, 1, &soon, NULL), ENOSYS);
    assert_int_equal(scrap.count, before);
    let_fail(FAULTY_EPOLL_CREATE, EMFILE, 1);
    FAILS(epoll_create1(0), EMFILE);
    let_fail(FAULTY_CLOSE, EIO, 1);
    FAILS(close(fd), EIO);
    assert_int_equal(world->descriptor(0), -1);
    FAILS(close(fd), EBADF);
    assert_int_equal(world->end(), 2);
}

static void test_every_fault(void **state) {
    (void)state;
    begin(&world_simulated);
    struct msghdr message = {.msg_iovlen = 0};
    int fd = open_as(0, WORLD_STREAM);
    for (unsigned call = FAULTY_READ; call < FAULTY_CLOSE; call++)
        for (unsigned twice = 0; twice < 2 && call < FAULTY_READ + KERNEL_FAULTS; twice++)
            let_fail(call, ENOMEM, twice); /* only as many as there is room for */
    for (unsigned d = 1; d < 3; d++) {
        FAILS(read(fd, buffer, 1), ENOMEM);
        FAILS(write(fd, buffer, 1), ENOMEM);
        FAILS(pread(fd, buffer, 1, 0), ENOMEM);
        FAILS(pwrite(fd, buffer, 1, 0), ENOMEM);
    }
    FAILS(read(fd, buffer, 1), EAGAIN);
    for (unsigned call = FAULTY_SEND; call < FAULTY_CLOSE; call++)
        let_fail(call, ENOBUFS, 1);
    FAILS(send(fd, buffer, 1, 0), ENOBUFS);
    FAILS(recv(fd, buffer, 1, 0), ENOBUFS);
    FAILS(sendmsg(fd, &message, 0), ENOBUFS);
    FAILS(recvmsg(fd, &message, 0), ENOBUFS);
    FAILS(accept4(fd, NULL, NULL, 0), ENOBUFS);
    FAILS(connect_with(fd, 0), ENOBUFS);
    FAILS(pending_error(fd), ENOBUFS);
    assert_int_equal(noted("  result", 0), -ENOBUFS);
    FAILS(shutdown(fd, SHUT_WR), ENOBUFS);
    assert_int_equal(send(fd, buffer, 1, 0), 1);
    assert_int_equal(world->end(), 0);
}

static void test_asynchronous_connect(void **state) {
    (void)state;
    struct epoll_event event;
    for (unsigned i = 0; i < 2; i++) {
        begin(&world_simulated);
        int epfd = epoll_create1(0);
        int fd = open_as(0, WORLD_SOCKET);
        open_as(1, WORLD_LISTENER);
        let_fail(FAULTY_CONNECT, i ? EINTR : EINPROGRESS, 1);
        FAILS(connect_with(fd, 1), i ? EINTR : EINPROGRESS);
        FAILS(connect_with(fd, 1), EALREADY);
        assert_int_equal(pending_error(fd), 0);
        FAILS(peer_name(fd), ENOTCONN);
        assert_int_equal(noted("  result", 0), -EINPROGRESS);
        assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT), 0);
        order(COMMAND_PEER_CONNECT, 1, 0);
        order(COMMAND_PEER_CONNECT, 1, 0);
        assert_int_equal(epoll_wait(epfd, &event, 1, 1), 0); /* the queue is full */
        assert_true(accept4(world->descriptor(1), NULL, NULL, 0) > 0);
        assert_int_equal(epoll_wait(epfd, &event, 1, -1), 1);
        assert_int_equal(event.events, EPOLLOUT);
        assert_int_equal(pending_error(fd), 0);
        assert_true(peer_name(fd) > 0);
        assert_int_equal(noted("  result", 0), 0);
        assert_int_equal(world->end(), 1);
    }
    begin(&world_simulated);
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_SOCKET);
    open_as(1, WORLD_LISTENER);
    let_fail(FAULTY_CONNECT, EINPROGRESS, 1);
    FAILS(connect_with(fd, 1), EINPROGRESS);
    assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT), 0);
    order(COMMAND_CLOSE, 1, 0);
    assert_int_equal(epoll_wait(epfd, &event, 1, -1), 1);
    assert_int_equal(event.events, EPOLLOUT | EPOLLERR | EPOLLHUP);
    assert_int_equal(pending_error(fd), ECONNREFUSED);
    assert_int_equal(noted("  result", 0), -ECONNREFUSED);
    world->end();
}

/* A connect in progress is not of AF_UNIX: the simulation has it from TCP. So these two stories are
 * told by real TCP sockets, of no world, and by the simulated kernel. */
static int tcp_address(int fd, struct sockaddr_in *address) {
    socklen_t length = sizeof *address;
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return getsockname(fd, (struct sockaddr *)address, &length);
}

static void note_events(int epfd) {
    struct epoll_event event = {.events = 0};
    note("ready", epoll_wait(epfd, &event, 1, 20));
    note("  events", event.events);
}

static void story_of_a_connect(int fd, const void *address, socklen_t length,
                               void (*then)(int epfd, int fd)) {
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    CALL(connect(fd, address, length));
    CALL(control(epfd, EPOLL_CTL_ADD, fd, ALL));
    note_events(epfd);
    then(epfd, fd);
    note_events(epfd);
    CALL(pending_error(fd));
    CALL(peer_name(fd));
    note_events(epfd);
    CALL(recv(fd, buffer, 8, MSG_DONTWAIT));
    CALL(send(fd, buffer, 8, MSG_DONTWAIT | MSG_NOSIGNAL));
    CALL(close(epfd));
}

static void use_at_once(int epfd, int fd) {
    CALL(pending_error(fd));
    CALL(peer_name(fd));
    CALL(send(fd, buffer, 8, MSG_DONTWAIT | MSG_NOSIGNAL));
    CALL(recv(fd, buffer, 8, MSG_DONTWAIT));
    note_events(epfd);
}

static void send_before(int epfd, int fd) {
    (void)epfd;
    CALL(send(fd, buffer, 8, MSG_DONTWAIT | MSG_NOSIGNAL));
    CALL(send(fd, buffer, 8, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static void give_up(int fd, const void *address, socklen_t length) {
    CALL(connect(fd, address, length));
    CALL(shutdown(fd, SHUT_WR));
    CALL(pending_error(fd));
    CALL(pending_error(fd));
    CALL(peer_name(fd));
}

static void connects_of_tcp(struct notes *seen) {
    struct sockaddr_in nobody, busy;
    notes = seen;
    seen->count = 0;
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int closed = socket(AF_INET, type, 0), full = socket(AF_INET, type, 0),
        filler = socket(AF_INET, type, 0);
    assert_int_equal(tcp_address(closed, &nobody), 0);
    assert_int_equal(tcp_address(full, &busy), 0);
    assert_int_equal(listen(full, 0), 0);
    connect(filler, (const struct sockaddr *)&busy, sizeof busy);
    int fd[3];
    for (unsigned i = 0; i < 3; i++)
        fd[i] = socket(AF_INET, type, 0);
    story_of_a_connect(fd[0], &nobody, sizeof nobody, use_at_once);
    story_of_a_connect(fd[1], &nobody, sizeof nobody, send_before);
    story_of_a_connect(fd[2], &busy, sizeof busy, use_at_once); /* nobody answers */
    give_up(fd[2], &busy, sizeof busy);
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
    close(closed);
    close(full);
    close(filler);
}

static void connects_of_simulation(struct notes *seen) {
    static const struct world_observer nobody;
    unsigned length;
    world = &world_simulated;
    notes = seen;
    seen->count = 0;
    world->begin(&nobody, NULL, START_NS);
    order(COMMAND_OPEN, 0, WORLD_LISTENER);
    order(COMMAND_OPEN, 4, WORLD_LISTENER);
    order(COMMAND_PEER_CONNECT, 4, 0);
    order(COMMAND_PEER_CONNECT, 4, 0);
    const void *closed = world->address(0, &length), *busy = world->address(4, &length);
    order(COMMAND_CLOSE, 0, 0);
    for (unsigned d = 1; d < 4; d++) {
        order(COMMAND_OPEN, d, WORLD_SOCKET);
        let_fail(FAULTY_CONNECT, EINPROGRESS, 1);
        story_of_a_connect(world->descriptor(d), d < 3 ? closed : busy, length,
                           d != 2 ? use_at_once : send_before);
    }
    give_up(world->descriptor(3), busy, length);
    world->end();
}

static void test_tcp(void **state) {
    (void)state;
    static struct notes simulated, real;
    connects_of_tcp(&real);
    connects_of_simulation(&simulated);
    assert_true(agree(&simulated, &real));
}

static void test_timed_out_connect(void **state) {
    (void)state;
    struct epoll_event event;
    begin(&world_simulated);
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_SOCKET);
    open_as(1, WORLD_LISTENER);
    order(COMMAND_PEER_CONNECT, 1, 0);
    order(COMMAND_PEER_CONNECT, 1, 0);
    let_fail(FAULTY_CONNECT, EINPROGRESS, 1);
    FAILS(connect_with(fd, 1), EINPROGRESS);
    assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd, ALL), 0);
    assert_int_equal(epoll_wait(epfd, &event, 1, 126999), 0);
    assert_int_equal(epoll_wait(epfd, &event, 1, -1), 1);
    assert_int_equal(world->clock(), START_NS + 127000000000);
    assert_int_equal(event.events, EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    assert_int_equal(pending_error(fd), ETIMEDOUT);
    FAILS(connect_with(fd, 1), ECONNABORTED);
    let_fail(FAULTY_CONNECT, EINPROGRESS, 1);
    FAILS(connect_with(fd, 0), EINPROGRESS); /* no listener: nobody ever was there */
    assert_int_equal(epoll_wait(epfd, &event, 1, -1), 1);
    assert_int_equal(pending_error(fd), EHOSTUNREACH);
    world->end();
}

static void test_spurious(void **state) {
    (void)state;
    begin(&world_simulated);
    struct epoll_event event;
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    order(COMMAND_SPURIOUS, 0, EPOLLIN);
    assert_int_equal(epoll_wait(epfd, &event, 1, 1), 0); /* it is not registered */
    assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    order(COMMAND_SPURIOUS, 0, EPOLLIN | EPOLLOUT | EPOLLHUP);
    assert_int_equal(epoll_wait(epfd, &event, 1, -1), 1);
    assert_int_equal(event.events, EPOLLIN | EPOLLHUP); /* nothing that was not asked for */
    assert_int_equal(epoll_wait(epfd, &event, 1, 1), 0);
    order(COMMAND_SPURIOUS, 0, EPOLLOUT);
    assert_int_equal(epoll_wait(epfd, &event, 1, 1), 0);
    world->end();
}

static void test_permutations(void **state) {
    (void)state;
    begin(&world_simulated);
    struct epoll_event event[8];
    int fd[4], epfd = epoll_create1(0);
    unsigned orders = 0;
    for (unsigned d = 0; d < 4; d++) {
        fd[d] = open_as(d, WORLD_EVENTFD);
        assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd[d], EPOLLOUT), 0);
    }
    order(COMMAND_ORDER, 0, 1);
    assert_int_equal(epoll_wait(epfd, event, 8, 0), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal((int)event[i].data.u64 & 0xff, fd[3 - i]);
    for (unsigned seed = 2; seed < 200; seed++) {
        unsigned seen = 0, rank = 0;
        order(COMMAND_ORDER, 0, seed);
        assert_int_equal(epoll_wait(epfd, event, 8, 0), 4);
        for (unsigned i = 0; i < 4; i++) {
            unsigned at = (unsigned)event[i].data.u64 & 0xff;
            seen |= 1u << at;
            rank = rank * 4 + at - (unsigned)fd[0];
        }
        assert_int_equal(seen, 15u << fd[0]);
        orders |= rank == 27 ? 1u : rank == 228 ? 2u : rank == 114 ? 4u : 0u; /* 0123, 3210, 1302 */
    }
    assert_int_equal(orders, 7);
    order(COMMAND_ORDER, 0, 0);
    order(COMMAND_BATCH, 0, 3);
    assert_int_equal(epoll_wait(epfd, event, 8, 0), 3);
    assert_int_equal(epoll_wait(epfd, event, 2, 0), 2);
    order(COMMAND_BATCH, 0, 0);
    assert_int_equal(epoll_wait(epfd, event, 8, 0), 4);
    world->end();
}

static void test_full_sockets(void **state) {
    (void)state;
    begin(&world_simulated);
    struct epoll_event event;
    int epfd = epoll_create1(0);
    int fd = open_as(0, WORLD_STREAM);
    assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT), 0);
    assert_int_equal(send(fd, buffer, 1000, 0), KERNEL_SNDBUF);
    FAILS(send(fd, buffer, 1, 0), EAGAIN);
    order(COMMAND_PEER_READ, 0, KERNEL_CHUNK - 1);
    FAILS(send(fd, buffer, 1, 0), EAGAIN); /* a piece weighs until it is read to its end */
    order(COMMAND_PEER_READ, 0, 1);
    assert_int_equal(send(fd, buffer, 1, 0), 1);
    assert_int_equal(epoll_wait(epfd, &event, 1, 0), 0);
    order(COMMAND_PEER_READ, 0, KERNEL_CHUNK);
    assert_int_equal(epoll_wait(epfd, &event, 1, 0), 1);
    fd = open_as(1, WORLD_DATAGRAM);
    FAILS(send(fd, buffer, KERNEL_MESSAGE + 1, 0), EMSGSIZE);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(send(fd, buffer, 0, 0), 0);
    FAILS(send(fd, buffer, 0, 0), EAGAIN);
    order(COMMAND_PEER_READ, 1, 0);
    assert_int_equal(send(fd, buffer, KERNEL_MESSAGE, 0), KERNEL_MESSAGE);
    FAILS(send(fd, buffer, 0, 0), EAGAIN);
    world->end();
}

static void test_limits(void **state) {
    (void)state;
    begin(&world_simulated);
    unsigned made = 0;
    while (eventfd(0, 0) >= 0)
        made++;
    assert_int_equal(errno, EMFILE);
    assert_int_equal(made, KERNEL_NUMBERS - KERNEL_OWN_FROM);
    assert_int_equal(epoll_create1(0), -1);
    order(COMMAND_OPEN, 0, WORLD_STREAM);
    assert_int_equal(world->descriptor(0), 3);
    assert_int_equal(world->end(), KERNEL_NUMBERS - KERNEL_OWN_FROM);
    begin(&world_simulated);
    for (unsigned round = 0; round < 20; round++)
        for (unsigned d = 0; d < PROGRAM_HANDLES; d++) { /* no file is lost */
            order(COMMAND_CLOSE, d, 0);
            order(COMMAND_OPEN, d, (round + d) % WORLD_KINDS);
            order(COMMAND_PEER_CONNECT, d, 0);
            order(COMMAND_PEER_CONNECT, d, 0);
            assert_true(world->descriptor(d) >= 3);
        }
    assert_int_equal(world->end(), 0);
}

static void test_real_limits(void **state) {
    (void)state;
    begin(&world_real);
    assert_false(order(COMMAND_FAIL, 0, 1));
    assert_false(order(COMMAND_SPURIOUS, 0, 1));
    assert_false(order(COMMAND_BATCH, 0, 1));
    assert_true(order(COMMAND_ORDER, 0, 1));
    assert_int_equal(world->end(), 0);
}

/* As by a program that accepts again and again, with nobody to hear of it. */
static void test_real_files_run_out(void **state) {
    (void)state;
    begin(&world_real);
    int fd = open_as(0, WORLD_LISTENER), accepted = 0, last;
    while (order(COMMAND_PEER_CONNECT, 0, 0), (last = accept4(fd, NULL, NULL, 0)) >= 0)
        accepted++;
    assert_int_equal(errno, ENFILE);
    assert_int_equal(accepted, KERNEL_FILES - 1);
    FAILS(epoll_create1(0), ENFILE);
    FAILS(eventfd(0, 0), ENFILE);
    assert_int_equal(open_as(1, WORLD_STREAM), -1);
    assert_int_equal(world->end(), 0);
}

static void test_passing_through(void **state) {
    (void)state;
    int64_t start = monotonic_ns();
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(control(epfd, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    begin(&world_simulated);
    FAILS(close(epfd), EBADF); /* no descriptor of this world */
    world->end();
    notes = &scrap;
    assert_int_equal(wait_ns(epfd, 1, 0), 1);
    struct epoll_event event;
    uint64_t value;
    assert_int_equal(read(fd, &value, 8), 8);
    assert_int_equal(epoll_wait(epfd, &event, 1, 2), 0);
    assert_true(monotonic_ns() >= start + 2000000);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(epfd), 0);
}

/* A small program of a loop: how much the simulation itself costs. Printed, not judged. */
static void test_cost(void **state) {
    (void)state;
    static const struct world_observer nobody;
    struct epoll_event event[8];
    const unsigned rounds = 200000;
    world = &world_simulated;
    int64_t start = monotonic_ns();
    for (unsigned i = 0; i < rounds; i++)
        world->begin(&nobody, NULL, START_NS), world->end();
    int64_t empty = monotonic_ns();
    for (unsigned i = 0; i < rounds; i++) {
        world->begin(&nobody, NULL, START_NS);
        int epfd = epoll_create1(0);
        int wakeup = eventfd(0, EFD_NONBLOCK);
        control(epfd, EPOLL_CTL_ADD, wakeup, EPOLLIN);
        for (unsigned d = 0; d < 4; d++) {
            order(COMMAND_OPEN, d, d);
            control(epfd, EPOLL_CTL_ADD, world->descriptor(d), EPOLLIN | EPOLLOUT);
        }
        for (unsigned d = 0; d < 8; d++) {
            int fd = world->descriptor(d % 4);
            order(COMMAND_PEER_WRITE, d % 4, 5);
            (void)epoll_wait(epfd, event, 8, 1);
            (void)!read(fd, buffer, 16);
            (void)!write(fd, buffer, 8);
            order(COMMAND_PEER_READ, d % 4, 8);
            control(epfd, EPOLL_CTL_MOD, fd, EPOLLIN);
        }
        for (unsigned d = 0; d < 4; d++)
            close(world->descriptor(d));
        close(wakeup);
        close(epfd);
        world->end();
    }
    int64_t end = monotonic_ns();
    printf("[   cost   ] begin and end %lld ns, with 70 calls and commands %lld ns\n",
           (long long)((empty - start) / rounds), (long long)((end - empty) / rounds));
}

int main(void) {
    syscall(SYS_close_range, 3, ~0u, 0); /* what was inherited would shift the numbers */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_full_pipe),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_number_limit),
        cmocka_unit_test(test_datagram),
        cmocka_unit_test(test_listener),
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_shut_before),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_instance_in_another_one),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_regular),
        cmocka_unit_test(test_eventfd),
        cmocka_unit_test(test_timerfd),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_wakes),
        cmocka_unit_test(test_port),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_asynchronous_connect),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_timed_out_connect),
        cmocka_unit_test(test_spurious),
        cmocka_unit_test(test_permutations),
        cmocka_unit_test(test_full_sockets),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_real_limits),
        cmocka_unit_test(test_real_files_run_out),
        cmocka_unit_test(test_passing_through),
        cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
