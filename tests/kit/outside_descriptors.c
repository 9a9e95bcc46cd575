/* SPDX-License-Identifier: MIT */
/* What descriptors are ready for, as the observer (outside.h) finds it by asking Linux itself. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../model/words.h"
#include "outside.h"

/* The flags of accept and shutdown say nothing here. */
unsigned item_traits(const struct item *i) {
    return operation_traits(i->d.operation, i->d.flags);
}

bool waits_on(const struct item *i) {
    return (item_traits(i) & WAITS_AT_ALL) != 0;
}

static short awaited(const struct item *i) {
    return (short)traits_await(item_traits(i), i->d.events & POLLED);
}

/* What is ready on the descriptor of i now: of what it waits for, and what is always told. */
short ready_now(const struct item *i) {
    struct pollfd p = {.fd = i->d.fd, .events = awaited(i)};
    struct timespec none = {0};
    if (!waits_on(i) || world_real.installed(i->d.fd) == 0 ||
        world_real.installed(i->d.fd) != i->installed)
        return 0;
    return syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0 ? (short)(p.revents & ~POLLNVAL) : 0;
}

void stir(const struct item *i) {
    if (waits_on(i) && i->d.fd >= 0 && i->d.fd < FILES) {
        observer.stirred[i->d.fd] = observer.waits;
        observer.idle_calls[i->d.fd] = 0;
    }
}

bool is_covered(const struct item *i) {
    uint32_t events = (uint16_t)awaited(i);
    return i->d.fd >= 0 && i->d.fd < FILES && (observer.registered[i->d.fd] & events) == events;
}

bool is_addressed(const struct item *i) {
    return i->d.operation == ET_SENDMSG && i->message.msg_name != NULL;
}

/* The port that it is addressed to has no room. Linux calls a socket unwritable for that if it is
 * connected to the port, and no other (section 15 of the law, 7). */
static bool goes_to_a_full_port(const struct item *i) {
    struct pollfd p = {.events = POLLOUT};
    struct timespec none = {0};
    if (!is_addressed(i))
        return false;
    p.fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool full = p.fd >= 0 &&
                syscall(SYS_connect, p.fd, i->message.msg_name, i->message.msg_namelen) == 0 &&
                syscall(SYS_ppoll, &p, 1, &none, NULL, 8) == 0;
    (void)syscall(SYS_close, p.fd);
    return full;
}

/* A socket that is said to be readable, although nothing can be received, a listener that was shut
 * down, or a socket that is writable and cannot send to a full port: Linux answers the try with
 * EAGAIN, and what waits for it has to stay (ET-EVENT-3). */
bool falsely_ready(const struct item *i) {
    if (goes_to_a_full_port(i))
        return true;
    struct pollfd p = {.fd = i->d.fd, .events = POLLIN | POLLRDHUP};
    struct timespec none = {0};
    int listens = 0;
    socklen_t length = sizeof listens;
    char byte;
    if (syscall(SYS_ppoll, &p, 1, &none, NULL, 8) <= 0)
        return false;
    if (i->d.operation == ET_ACCEPT) /* what does not listen refuses */
        return (p.revents & (POLLRDHUP | POLLHUP)) != 0 &&
               syscall(SYS_getsockopt, i->d.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) ==
                   0 &&
               listens != 0;
    if ((p.revents & POLLERR) != 0) /* asking would take a pending error away */
        return takes_bytes(i) && (p.revents & (POLLIN | POLLHUP)) == 0 &&
               (i->d.flags & MSG_ERRQUEUE) == 0 && real_world_has_errors(i->d.fd);
    return takes_bytes(i) && (p.revents & POLLIN) != 0 &&
           syscall(SYS_recvfrom, i->d.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) < 0 &&
           errno == EAGAIN;
}

int domain_of(int fd) {
    int domain = AF_UNSPEC;
    socklen_t length = sizeof domain;
    (void)syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
    return domain;
}

bool is_stream(int fd) {
    int type = SOCK_STREAM; /* of what is no socket, too */
    socklen_t length = sizeof type;
    (void)syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length);
    return type == SOCK_STREAM;
}

/* By a close of the loop that was submitted when the number named the file that it had last. */
static bool is_being_closed(int fd) {
    for (unsigned c = 0; c < COUNT; c++)
        if (observer.item[c].in_use && observer.item[c].d.operation == ET_CLOSE &&
            observer.item[c].d.fd == fd && observer.item[c].installed == observer.file[fd])
            return true;
    return false;
}

/* Which numbers name other files than before. */
static void tell_moved(void) {
    uint64_t changes = real_world_changes();
    if (changes == observer.changes)
        return;
    observer.changes = changes;
    for (int fd = 0; fd < (int)observer.files; fd++) {
        uint64_t installed = world_real.installed(fd);
        if (observer.file[fd] == installed)
            continue;
        if (is_being_closed(fd)) { /* by the loop, whose callback tells it */
            observer.changes = UINT64_MAX;
            continue;
        }
        if (observer.file[fd] != 0 && observer.mode[fd].installed == observer.file[fd] &&
            real_world_closed_by_loop(fd) && !observer.to_close[fd])
            observed("ET-REGISTER-9", "descriptor %d of the program was closed", fd);
        if (observer.file[fd] != 0)
            TELL(EVENT_MOVED, .fd = fd);
        observer.file[fd] = installed != 0 ? installed : MOVED_AWAY;
        if (observer.file[fd] == MOVED_AWAY) /* of what waits on it from now on, too */
            observer.changes = UINT64_MAX;
    }
}

/* Asks Linux of all that waits at once: each by itself would take thousands too long. */
static unsigned ask_linux(struct pollfd *polled, uint16_t *who) {
    struct timespec none = {0};
    unsigned count = 0;
    for (unsigned c = 0; c < COUNT; c++) {
        const struct item *i = &observer.item[c];
        if (!i->in_use || !waits_on(i))
            continue;
        bool same = i->installed != 0 && world_real.installed(i->d.fd) == i->installed;
        polled[count] = (struct pollfd){.fd = same ? i->d.fd : -1, .events = awaited(i)};
        who[count++] = (uint16_t)c;
    }
    if (count > 0)
        (void)syscall(SYS_ppoll, polled, count, &none, NULL, 8);
    return count;
}

/* Something waits whose try another thread may make at any moment. */
static bool any_is_tried(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (observer.item[c].in_use && observer.item[c].d.operation != ET_POLL &&
            waits_on(&observer.item[c]))
            return true;
    return false;
}

/* ---- an edge-triggered loop ------------------------------------------------------------------ */

static bool has_edges(const struct item *i) {
    return i->d.operation == ET_POLL && offers(ETALON_OFFERS_EDGES);
}

bool is_stale(const struct item *i, uint32_t ready) {
    return has_edges(i) && ready != 0 && (ready & i->edges) == 0;
}

void note_edge(int fd) {
    for (unsigned c = 0; c < COUNT && fd >= 0; c++)
        if (has_edges(&observer.item[c]) && observer.item[c].d.fd == fd)
            observer.item[c].edges |= observer.item[c].d.events & POLLIN;
}

void take_edges(struct item *i, int64_t result) {
    const uint32_t always = POLLHUP | POLLERR;
    bool all = result < 0 || (!offers(ETALON_OFFERS_POLL_MORE) && (i->edges & always) != 0);
    if (has_edges(i) && result != -ECANCELED)
        i->edges &= all ? 0 : ~(uint32_t)result;
}

/* … when it is looked at. */
static bool look_for_edges(struct item *i, uint32_t ready) {
    i->edges = (i->edges | (ready & ~i->level)) & ready;
    i->level = ready;
    return is_stale(i, ready);
}

void tell_ready(bool settled) {
    static struct pollfd polled[PROGRAM_COMPLETIONS];
    static uint16_t who[PROGRAM_COMPLETIONS];
    tell_moved();
    bool threads = !settled && any_is_tried() && interpose_other_threads();
    unsigned count = ask_linux(polled, who);
    for (unsigned k = 0; k < count; k++) {
        unsigned c = who[k];
        struct item *i = &observer.item[c];
        uint32_t ready = (uint32_t)(unsigned short)(polled[k].revents & ~POLLNVAL);
        if (i->d.operation != ET_POLL && falsely_ready(i))
            ready = 0;
        if (i->d.operation == ET_POLL && !offers(ETALON_OFFERS_POLL_MORE) &&
            (ready & (POLLHUP | POLLERR)) != 0)
            ready |= i->d.events;
        if (threads && i->d.operation != ET_POLL)
            ready = 0;
        bool stale = look_for_edges(i, ready);
        if (ready != 0 || ready != i->told)
            stir(i);
        if (ready != 0 && i->d.operation == ET_RECVMSG)
            note_sender(i);
        if (ready != i->told || stale != i->stale)
            TELL(EVENT_READY, .c = c, .events = ready, .forgiven = stale);
        i->told = ready;
        i->stale = stale;
    }
}

#else
typedef int nothing_here;
#endif
