/* SPDX-License-Identifier: MIT */
/* The seam between the lockstep driver and whatever plays the kernel: the simulated one (kernel.c)
 * or the real one with virtual time (real_world.c). The driver commands the world and is told what
 * the loop asked of it; it may let calls fail. The world knows no more of it than this. */
#ifndef ETALON_WORLD_H
#define ETALON_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "../../src/etalon_vocabulary.h"
#include "../../model/program.h"

/* What the driver offers to the world: called while the loop is inside a system call. */
struct world_observer {
    /* A try: the loop made operation's system call on fd. `identity` tells whose try it is: the
     * buffer of read, pread, write, pwrite, send, recv; the msghdr of sendmsg, recvmsg; the address
     * of accept and connect; NULL for close, shutdown and the second step of a connect (getsockopt,
     * and getpeername when no error is pending; told once, as ET_CONNECT, unanswered as
     * -EINPROGRESS). result: >= 0, or the negated errno. length, offset, flags: as passed
     * (shutdown's how is told as flags; the length of accept is what *address_length said before).
     * Calls on the loop's own descriptors (its epoll and eventfd) are not told, nor is the write of
     * a notify (world_counts). */
    void (*tried)(void *self, enum et_operation operation, int fd, const void *identity,
                  uint64_t length, int64_t offset, int flags, int64_t result);
    /* epoll_ctl(op, fd) by the loop on a descriptor of the program; error 0 or a positive errno.
     * events: the interest passed; kept: what is registered for fd now (0 also when nothing is).
     * injected: the failure came from COMMAND_FAIL. */
    void (*controlled)(void *self, int op, int fd, uint32_t events, int error, uint32_t kept,
                       bool injected);
    /* The loop asks for events; timeout_ns < 0: without limit. Returns false to refuse (a law is
     * broken): the wait then fails with EDEADLK. */
    bool (*waits)(void *self, int64_t timeout_ns);
    /* The wait would block now. The driver may change the world (return true: look again) or has no
     * more to do (false). */
    bool (*blocked)(void *self);
    /* The wait ends: error (0 or a positive errno), and the clock as it stands. Then one `reported`
     * for each descriptor of the program. */
    void (*woken)(void *self, int error);
    /* stale: the registration belongs to an open file that `fd` no longer names. */
    void (*reported)(void *self, int fd, uint32_t events, bool stale);
    /* The loop's thread has called pthread_create; error: what that returns. There is no thread:
     * `thread` is what it would have been given, and is a participant from now on, whose steps the
     * driver makes. */
    void (*created)(void *self, void *thread, int error);
    /* pthread_cond_wait was called; the mutex is free meanwhile. By the loop's thread: the driver
     * makes steps of participants until somebody has told of the condition. By a participant: its
     * step ends, and it makes none until then. */
    void (*parked)(void *self, const void *condition);
    /* pthread_cond_signal was called, or (all) pthread_cond_broadcast. */
    void (*told)(void *self, const void *condition, bool all);
    /* pthread_join was called: the driver makes the participant's steps until there is none left.
     */
    void (*joined)(void *self, void *thread);
};

struct world;

/* The functions of one kind of world. All times are in nanoseconds, CLOCK_MONOTONIC. */
struct world_kind_functions {
    const char *name; /* "simulated" or "real" */
    /* A new, empty world whose clock stands at clock_ns. There is one world at a time; the loop's
     * system calls reach it. */
    void (*begin)(const struct world_observer *observer, void *self, uint64_t clock_ns);
    /* Closes all that the program opened. Returns how many of the loop's own descriptors (epoll,
     * eventfd) it had not released. */
    int (*end)(void);
    uint64_t (*clock)(void);
    /* Performs one command of the world (COMMAND_WAKEUP excepted: the driver calls the loop). A
     * command that is not possible now (a handle that is not open, …) does nothing. Returns false
     * when this world cannot do this command at all. */
    bool (*command)(const struct command *command);
    int (*descriptor)(unsigned handle); /* the number of d, or -1 when it is not open */
    bool (*adopt)(unsigned handle,
                  /* an accepted descriptor becomes handle d; false (and closed) when d is open */
                  int fd);
    const void *(*address)(
        unsigned listener,
        /* where a connect to that listener goes (a struct sockaddr), never NULL */
        unsigned *length);
    /* likewise, where a datagram to that port goes; never NULL */
    const void *(*port)(unsigned handle, unsigned *length);
    /* what the kernel would report now of the file that fd names, were it asked for everything */
    uint32_t (*ready)(int fd);
    uint32_t (*registered)(int fd,
                           /* the interest that is registered for the file that fd names now; *any:
                              there is a registration */
                           bool *any);
    /* a number that changes whenever fd comes to name another open file; 0: closed */
    uint64_t (*installed)(int fd);
    /* Whether a poll(2) of that descriptor of the loop's, for POLLIN, would return at once. */
    bool (*readable)(int fd);
    /* Whether the loop's next wait would, were it to register nothing before. */
    bool (*has_reports)(void);
    /* Until this is called with -1: an eventfd that is made is one of the program's, and becomes
     * this handle, which is not open. */
    void (*gives)(int handle);
    int (*owned)(void); /* how many descriptors of its own the loop has open */
    bool (*is_socket)(int fd);
};

/* The calls of the loop, and what counts apart from its call or stands for several calls. */
enum world_call {
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    WORLD_CALL_##name,
#define PART(name, words, errors) WORLD_CALL_##name,
#include "calls.def"
    WORLD_CALLS
};

/* What a descriptor names, as far as it decides which errors a call on it can meet. */
enum world_file {
    WORLD_FILE_NONE,
    WORLD_FILE_PIPE,
    WORLD_FILE_SOCKET,
    WORLD_FILE_COUNTER,
    WORLD_FILE_REGULAR
};

/* Who lets calls fail that the program did not ask to fail. Only the simulated kernel does as it is
 * told here: no call of a real one is asked about. */
struct world_failures {
    /* A world begins, simulated or real. */
    void (*begun)(void);
    /* The errno with which this call has to fail now, or 0. file: behind the descriptor, if the
     * call has one; own: it is one of the loop's own. Of a number that is not open nobody is asked:
     * that fails by itself. */
    int (*fails)(enum world_call call, enum world_file file, bool own);
};

/* In the worlds that begin from now on; NULL: nobody. */
extern const struct world_failures *world_failures;

/* What the wrapped calls count, and what they are to know (wrap.c). */
extern struct world_counts {
    uint64_t allocations; /* calls of malloc and its kind, by the loop */
    int failed;           /* the errno of the first call of the loop that failed, since it was 0 */
    int64_t unreleased;   /* blocks allocated and not released since the world was begun */
    /* A notify is in progress, whose write cannot fail by an errno: like that of a wake-up it is
     * neither told nor made to fail. */
    bool notifying;
} world_counts;

extern const struct world_kind_functions world_simulated; /* fuzz/world/kernel.c */
extern const struct world_kind_functions world_real;      /* fuzz/world/real_world.c */

#endif
