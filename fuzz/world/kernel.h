/* SPDX-License-Identifier: MIT */
/* What stands behind the wrapped system calls while a world is begun: the simulated kernel
 * (kernel.c) or the real one with virtual time (real_world.c). wrap.c turns the
 * loop's calls into calls of this table, tells the observer of world.h, and plays the wait.
 * Included by those three files and by their test only.
 *
 * Every function that returns int64_t gives the value of the system call or the negated errno;
 * errno itself and the observer are the business of wrap.c. */
#ifndef ETALON_KERNEL_H
#define ETALON_KERNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include "virtual_time.h"
#include "world.h"

/* Sizes of the simulated world. Small, so that a short program can fill every buffer. */
#define KERNEL_NUMBERS 64 /* descriptors 0 … 63; 0, 1 and 2 are never given out */
/* the loop's own descriptors have numbers from here on, the program's have lower ones */
#define KERNEL_OWN_FROM 40
#define KERNEL_FILES    64 /* open files, the ends in the world's hands included */
#define KERNEL_WATCHES  64 /* registrations of all epoll instances together */
#define KERNEL_PAGE     32 /* of a pipe; also its PIPE_BUF: larger writes may be partial */
#define KERNEL_PAGES    4  /* of a pipe */
/* of a socket: sending goes on below this; EPOLLOUT means at most a quarter of it */
#define KERNEL_SNDBUF       128
#define KERNEL_CHUNK        64 /* a stream socket sends in pieces of this size */
#define KERNEL_MESSAGE      96 /* the longest datagram */
#define KERNEL_MESSAGES     16 /* that fit into a send buffer, however short they are */
#define KERNEL_PORT         11 /* datagrams that can wait at a port: net.unix.max_dgram_qlen + 1 */
#define KERNEL_ERRORS       4  /* entries of an error queue */
#define KERNEL_BACKLOG      1  /* one connection more than this can wait for accept, as on Linux */
#define KERNEL_FAULTS       8  /* pending COMMAND_FAIL */
#define KERNEL_FILE_SIZE    64
#define KERNEL_MESSAGE_COST 8 /* what a message weighs on the send buffer beside its bytes */
/* then a connect in progress fails, as Linux gives up after six repetitions */
#define KERNEL_CONNECT_US 127000000

/* The sizes in which a simulation may differ from Linux. Only the numbers differ, what is done with
 * them does not: `etalon compare` gives the simulated kernel those of the real one. */
struct kernel_sizes {
    uint32_t page;        /* of a pipe; also its PIPE_BUF */
    uint32_t send_buffer; /* of a socket: sending goes on below this */
    uint32_t writable;    /* EPOLLOUT means that no more than this is on its way */
    uint32_t piece;       /* a stream socket sends in pieces of this size */
    uint32_t message;     /* the longest datagram */
    uint32_t port;        /* how many datagrams wait at a socket that is nobody's other end */
    /* [length]: what a message weighs on the send buffer. NULL: its bytes and KERNEL_MESSAGE_COST.
     */
    const uint16_t *cost;
};

extern const struct kernel_sizes *kernel_sizes; /* of the simulated world that begins next */
/* the KERNEL_… above: what kernel_sizes points at in the beginning */
extern const struct kernel_sizes kernel_small;
/* as measured; of the sockets and pipes that world_real makes */
const struct kernel_sizes *real_world_sizes(void);

/* In world_real, what the other end of fd has sent and got, for a judge of results. The bytes that
 * it sends, by their place among them; none is 0. */
/* How often a number has come to name another file, or none. */
uint64_t real_world_changes(void);
unsigned char real_world_byte(uint64_t place);
#define REAL_WORLD_URGENT '!'    /* which is none of these */
bool real_world_letters(int fd); /* what is read from fd comes from such an end */
bool real_world_received(int fd,
                         /* that have come to that end so far; false: it has none that counts */
                         uint64_t *bytes);

/* Whether these bytes have come to the other end of fd, a stream, at this place; also true where
 * nobody knows any more. */
bool real_world_came(int fd, uint64_t place, const void *bytes, size_t length);
/* Whether a message of just these bytes waits at the other end of fd, datagrams, which has read
 * nothing since real_world_reads said `reads`; also true where nobody knows. */
bool real_world_message(int fd, unsigned reads, const void *bytes, size_t length);
unsigned real_world_reads(int fd);
/* The number-th datagram, from 0, that the other end of fd has sent: its first place, as of
 * real_world_byte, and its length. False: it has sent none, or nobody knows any more. */
bool real_world_sent(int fd, unsigned number, uint64_t *place, size_t *length);
/* From now on who sends a datagram is told with it (SCM_CREDENTIALS). */
void real_world_give_credentials(void);
bool real_world_was_full(void); /* an accept may have got no number, or no file */
/* The number, which names nothing now, was closed by the loop. */
bool real_world_closed_by_loop(int fd);
/* The other end was closed with bytes that it had not read: Linux says -ECONNRESET, once. */
bool real_world_reset(int fd);
bool real_world_has_errors(int fd); /* its error queue was given something */
bool real_world_left(int fd);       /* it had another end, which the program has closed */
/* The at-th next close of the loop says EINTR, and closes; as world_installed has called what the
 * last such one has closed, or 0. */
void real_world_interrupt_close(unsigned at);
uint64_t real_world_interrupted_close(void);
/* How many files somebody else keeps open, as their other end does not see that they were closed.
 */
unsigned real_world_kept_open(void);
/* How often SIGPIPE has come since this was asked last. */
unsigned real_world_broken_pipes(void);

/* Set when a table of the simulation was full, where Linux would have gone on; whoever wants to
 * know resets it. */
extern bool kernel_limit_met;

/* One event that a wait delivers, as the observer is told of it. */
struct kernel_report {
    int fd;
    uint32_t events;
    bool stale;
    bool own; /* the loop's own descriptor: not told */
};

/* An epoll_ctl as the observer is told of it. */
struct kernel_control {
    uint32_t kept;
    bool injected;
};

struct kernel {
    /* the calls of calls.def that a kernel answers, and epoll_ctl */
#define MEMBER_PLAYED(name, parameters)
#define MEMBER_ANSWERED(name, parameters) int64_t(*name) parameters;
#define MEMBER_TRIED(name, parameters)    MEMBER_ANSWERED(name, parameters)
#define MEMBER_JUDGED(name, parameters)   MEMBER_ANSWERED(name, parameters)
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    MEMBER_##way(name, parameters)
#include "calls.def"
    int64_t (*epoll_ctl)(int epfd, int op, int fd, const struct epoll_event *event,
                         struct kernel_control *told);

    bool (*own)(int fd); /* fd names an epoll instance or eventfd that the loop made */

    /* The parts of a wait. `asked` gives the errno that COMMAND_FAIL has in store for it, or 0.
     * `look` collects what is ready now, without waiting: the number of events, or the negated
     * errno. */
    int (*asked)(void);
    int (*look)(int epfd, struct epoll_event *events, int max, struct kernel_report *reports);
    uint64_t (*clock)(void);
    /* of the program's timerfds and connects in progress, or VIRTUAL_NEVER */
    uint64_t (*next_expiry)(void);
    /* the clock moves forward to clock_ns and timerfds expire */
    void (*advance)(uint64_t clock_ns);
    /* the errno that COMMAND_FAIL has in store for a pthread_create, or 0 */
    int (*thread)(void);

    /* For world_failures; null where calls cannot be made to fail. file: of the program's
     * descriptors; interest: what is registered for fd, 0 for nothing. */
    enum world_file (*file)(int fd);
    uint32_t (*interest)(int epfd, int fd);
};

/* From here on the wrapped calls reach this kernel and the observer is told; its functions may be
 * null, and so may it. */
void wrap_begin(const struct kernel *kernel, const struct world_observer *observer, void *self);

/* From here on the wrapped calls pass through to Linux, as they do before wrap_begin. */
void wrap_end(void);

/* Which function of a kernel stands in its table: call_NAME, for each call that it answers. */
#define KERNEL_ENTRY_PLAYED(name)
#define KERNEL_ENTRY_ANSWERED(name) .name = call_##name,
#define KERNEL_ENTRY_TRIED(name)    .name = call_##name,
#define KERNEL_ENTRY_JUDGED(name)   .name = call_##name,

/* … and the rest of the table, by the names that its functions have in either file. */
#define KERNEL_PARTS                                                                               \
    .epoll_ctl = call_epoll_ctl, .own = own, .asked = asked, .look = look, .clock = clock_now,     \
    .next_expiry = next_expiry, .advance = advance, .thread = thread

/* Likewise, the table of a world. */
#define WORLD_TABLE(word)                                                                          \
    {                                                                                              \
        .name = word, .begin = world_begin, .end = world_end, .clock = clock_now,                  \
        .command = world_command, .descriptor = world_descriptor, .adopt = world_adopt,            \
        .address = world_address, .port = world_port, .ready = world_ready,                        \
        .registered = world_registered, .installed = world_installed, .readable = world_readable,  \
        .has_reports = world_has_reports, .gives = world_gives, .owned = world_owned,              \
        .is_socket = world_is_socket,                                                              \
    }

/* On a machine of 32 bits with the GNU C library, pread and pwrite with offsets of 64 bits have
 * names of their own, under which the loop calls them. */
#if defined(__GLIBC__) && !defined(__LP64__)
ssize_t __real_pread(int fd, void *buffer, size_t length, off_t offset) __asm__("__real_pread64");
ssize_t __wrap_pread(int fd, void *buffer, size_t length, off_t offset) __asm__("__wrap_pread64");
ssize_t __real_pwrite(int fd, const void *buffer, size_t length,
                      off_t offset) __asm__("__real_pwrite64");
ssize_t __wrap_pwrite(int fd, const void *buffer, size_t length,
                      off_t offset) __asm__("__wrap_pwrite64");
_Static_assert(sizeof(off_t) == 8, "the build is to ask for large files");
#endif

/* Not every C library declares it; the loop brings its own then (src/linux.c). */
int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask);

/* What the wrapped names stand for without the wrapping, and what the linker makes of them. */
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;
#include "calls.def"

#endif
