/* SPDX-License-Identifier: MIT */
/* The tables of the simulated Linux: for kernel.c itself, and for the exhaustive search
 * (model/spin/explore_kernel.c), which saves, restores and abstracts them. */
#ifndef ETALON_KERNEL_STATE_H
#define ETALON_KERNEL_STATE_H

#include "kernel.h"

#define NONE           0xff
#define PORT_NAMES     0x80000000U
#define NUMBERS_AT_ALL 7u /* the numbers 0, 1 and 2 are in use from the start */

enum file_kind {
    FILE_PIPE_READER,
    FILE_PIPE_WRITER,
    FILE_STREAM,
    FILE_DATAGRAM,
    FILE_EVENTFD,
    FILE_TIMERFD,
    FILE_REGULAR,
    FILE_EPOLL,
};

enum socket_state {
    SOCKET_FRESH,
    SOCKET_LISTENING,
    SOCKET_CONNECTING, /* in progress, as AF_UNIX never is: from here on it behaves as TCP does */
    SOCKET_FAILED,     /* … and came to nothing */
    SOCKET_CONNECTED,
};

/* An open file: what a descriptor number names. It lives while a number names it, the world holds
 * it as the other end, or it waits in a listener's queue. */
struct file {
    uint8_t kind;
    uint8_t numbers; /* how many numbers name it */
    uint8_t peer;    /* the other end, or NONE */
    bool peer_gone;  /* there was another end and it is closed */
    bool held;       /* the other end of a descriptor, in the world's hands: no number names it */
    bool own;        /* made by the loop */
    uint8_t state;   /* of a socket */
    uint8_t shutdown;
    bool was_full; /* of a pipe's writer: the pipe was full when its reader was closed */
    bool inet;   /* a stream that has what AF_UNIX has not, or not of every version of Linux: … */
    bool urgent; /* … a byte of urgent data that waits to be read at this end, */
    uint8_t errors; /* … entries of the error queue */
    uint8_t count;  /* pages of a pipe; datagrams; connections that wait for accept */
    int error;      /* pending on a socket */
    /* what waits to be read at this end, as it weighs on the other end's send buffer */
    uint32_t queued;
    uint32_t charged; /* what this socket has sent to ports, as it weighs on its send buffer */
    /* of a listener, or PORT_NAMES and more of a port; of another socket: the name of its other
     * end, which is a listener's or none (0) */
    uint32_t name;
    uint16_t begun; /* of a stream socket: bytes that were read of the first of its messages */
    union {
        struct {
            uint16_t start, length;
        } page[KERNEL_PAGES]; /* at the reader */
        struct {
            /* lengths: of datagrams, or of the pieces in which a stream was sent */
            uint16_t message[KERNEL_MESSAGES];
            uint8_t from[KERNEL_MESSAGES]; /* of a port: the file that is charged, or NONE */
        };
        uint8_t pending[KERNEL_BACKLOG + 1]; /* the server's ends */
        uint64_t counter;
        struct {
            /* armed: in this order among equals; expiry: also of a connect in progress */
            uint64_t expiry, armed;
            bool expired;
        } timer;
        struct {
            uint64_t size, position;
        } regular;
        struct {
            uint8_t ready[KERNEL_WATCHES], count;
        } epoll; /* watches in the order in which they became ready */
    };
};

/* A registration with an epoll instance. */
struct watch {
    uint8_t epoll, number, file;
    bool ready; /* it is in the instance's list */
    bool spent; /* one-shot, and reported */
    uint32_t events;
    uint64_t serial; /* of its making */
    epoll_data_t data;
};

struct fault {
    uint8_t call;
    uint64_t after; /* it hits the call that brings this to 0 */
    int error;
};

/* All that changes: saved and restored by the exhaustive search. */
struct simulation {
    uint64_t clock_ns;
    uint64_t files_used, numbers_used, watches_used; /* bit masks */
    uint64_t epolls, timers, connecting;             /* masks of files */
    uint64_t installs, watches, armings;
    uint64_t order;
    uint64_t batch;     /* 0: no limit */
    unsigned limit;     /* the program gets no number from here on */
    uint32_t listeners; /* names given so far, also of ports */
    uint32_t faulty;    /* mask of calls that have a pending fault */
    unsigned faults;
    unsigned spurious; /* mask of handles */
    uint8_t newest_epoll;
    /* the handle that the next eventfd becomes, plus 1; 0: it is the loop's own */
    int8_t gives;
    int8_t handle[PROGRAM_FEW]; /* number, or -1 */
    uint32_t spurious_events[PROGRAM_FEW];
    struct fault fault[KERNEL_FAULTS];
    struct {
        uint8_t file;
        uint64_t installed;
    } number[KERNEL_NUMBERS];
    struct file file[KERNEL_FILES];
    struct watch watch[KERNEL_WATCHES];
};
extern struct simulation simulation;

static inline unsigned lowest(uint64_t mask) {
    return (unsigned)__builtin_ctzll(mask);
}

static inline uint64_t bit(unsigned index) {
    return (uint64_t)1 << index;
}

static inline unsigned index_of(const struct file *f) {
    return (unsigned)(f - simulation.file);
}

static inline struct file *peer_of(const struct file *f) {
    return f->peer == NONE ? NULL : &simulation.file[f->peer];
}

static inline struct file *named(int fd) {
    if (fd < 0 || fd >= KERNEL_NUMBERS ||
        !(simulation.numbers_used & ~(uint64_t)NUMBERS_AT_ALL & bit((unsigned)fd)))
        return NULL;
    return &simulation.file[simulation.number[fd].file];
}

#endif
