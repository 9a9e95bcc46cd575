/* SPDX-License-Identifier: MIT */
/* A program: the commands that a case, a fuzz input or a counterexample performs, and its two
 * notations.
 *
 * Every byte string decodes to a program; every program has a text (spec/trace-format.md) and that
 * text reads back into an equal program. Pure data; knows neither loop nor kernel. */
#ifndef ETALON_PROGRAM_H
#define ETALON_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What the bytes of the fuzzers can name, and all that they, the explorer and most cases need. */
#define PROGRAM_FEW 8
/* What is compiled with ETALON_MANY runs programs that show what only numbers show, too. */
#ifdef ETALON_MANY
#define PROGRAM_COMPLETIONS 4096 /* c0 … c4095 */
#define PROGRAM_HANDLES     2048 /* d0 … d2047: descriptors of the program's world */
#else
#define PROGRAM_COMPLETIONS PROGRAM_FEW /* c0 … c7 */
#define PROGRAM_HANDLES     PROGRAM_FEW /* d0 … d7 */
#endif
#define PROGRAM_WORKERS 4 /* w0 … w3: threads of the pool */
/* body 0: the main sequence; 1 … 6: callbacks; 7: the world while the loop waits */
#define PROGRAM_BODIES       8
#define PROGRAM_BODY_WORLD   7
#define PROGRAM_COMMANDS_MAX 512
#define PROGRAM_RECORD       4     /* bytes of one command in the binary notation */
#define PROGRAM_TIMES_MAX    10000 /* a command is repeated so often at most */

enum command_kind {
    /* calls on the loop */
    COMMAND_SUBMIT, /* describe completion `c` if it is dead, then add it */
    COMMAND_ADD,    /* add c, as it is described */
    COMMAND_DELETE, /* delete c */
    COMMAND_TIMER,  /* timer c value=delay_ms body */
    /* timer_reset c, carrier other, or PROGRAM_COMPLETIONS: a null carrier; value=delay_ms, body */
    COMMAND_RESET,
    /* cancel target other, or PROGRAM_COMPLETIONS: a null one, by the cancel completion c; body */
    COMMAND_CANCEL,
    COMMAND_TICK, /* tick value=callbacks */
    COMMAND_RUN,  /* run value=enum et_run_mode */
    COMMAND_STOP,
    COMMAND_UPDATE_NOW,
    COMMAND_DEINIT, /* at top level: deinit, then init again; in a callback: must be refused */
    /* as DEINIT, but the loop and its pool are made anew, with at most value threads; 0: no pool */
    COMMAND_POOL,
    COMMAND_ASYNC_WAIT, /* async_wait of c on the async d, body */
    /* when c is dead: its memory is freed, c is a new zero-initialised completion */
    COMMAND_FORGET,
    COMMAND_DESCRIBE, /* as SUBMIT without the add */
    COMMAND_RETURN,   /* ends a callback body: value = enum et_action */
    COMMAND_TIMEOUT,  /* what a loop around this one asks */
    /* likewise; from then on the driver looks whether the descriptor is readable when it must be */
    COMMAND_DESCRIPTOR,
    /* the world: also allowed in body 7 */
    COMMAND_WAKEUP,
    COMMAND_STEP,       /* thread `other` of the pool does one step of its work */
    COMMAND_NOTIFY,     /* notify of the async d */
    COMMAND_OPEN,       /* d: open a descriptor of kind value=enum world_kind, unless d is open */
    COMMAND_CLOSE,      /* d: close it behind the loop's back; an async: deinit it */
    COMMAND_DUP,        /* d2 becomes a duplicate of d (d2 is closed first if open): other = d2 */
    COMMAND_PEER_WRITE, /* d: the other end writes value bytes */
    COMMAND_PEER_READ,  /* d: the other end reads up to value bytes */
    COMMAND_PEER_CLOSE,
    COMMAND_PEER_SHUTDOWN, /* d: the other end shuts down its sending side */
    COMMAND_PEER_CONNECT,  /* d, a listener: a client connects to it */
    COMMAND_PEER_URGENT,   /* d, a tcp: the other end sends a byte of urgent data */
    COMMAND_PEER_ERROR,    /* d, a tcp: its error queue gets an entry */
    COMMAND_ADVANCE,       /* the clock moves forward by value nanoseconds */
    COMMAND_FAIL,          /* the value-th next system call of `call` fails with `error` */
    /* the next wait also reports d with value=epoll events, if d is registered */
    COMMAND_SPURIOUS,
    /* the order within a batch: 0 as it became ready, 1 reversed, else a permutation with that seed
     */
    COMMAND_ORDER,
    COMMAND_BATCH, /* a wait reports at most value descriptors (0: no limit) */
    COMMAND_LIMIT, /* the world gives out no number from value on (0: no limit) */
    /* the clock moves back by what COMMAND_ADVANCE would move it forward; Linux's never does */
    COMMAND_REWIND,
    COMMAND_KINDS
};
#define COMMAND_FIRST_OF_WORLD COMMAND_WAKEUP

enum world_kind {
    WORLD_PIPE_READER, /* the read end; the peer is the write end */
    WORLD_PIPE_WRITER,
    WORLD_STREAM,   /* one end of a connected stream socket pair */
    WORLD_DATAGRAM, /* one end of a connected datagram socket pair */
    WORLD_LISTENER, /* a listening stream socket */
    WORLD_SOCKET,   /* a fresh stream socket, to connect to a listener */
    WORLD_EVENTFD,  /* peer_write adds value to its counter */
    WORLD_TIMERFD,  /* peer_write arms it: it expires after value microseconds */
    WORLD_FILE,     /* a regular file of 64 bytes */
    /* an async of the interface; peer_write adds value to its counter behind its back */
    WORLD_ASYNC,
    /* a datagram socket with a name and without another end; peer_write: strangers send datagrams
     * of value bytes until it is full */
    WORLD_PORT,
    /* as a stream, and with an error queue and urgent data. The simulated kernel's only. */
    WORLD_TCP,
    WORLD_KINDS, /* those that random programs have; */
    /* from here on the real kernel alone, on the loopback device: */
    WORLD_INET_STREAM = WORLD_KINDS, /* one end of a TCP connection */
    WORLD_INET_DATAGRAM,             /* one of two UDP sockets that are connected to each other */
    WORLD_INET_LISTENER,
    /* a fresh TCP socket, to connect to a listener; who connects to it is refused */
    WORLD_INET_SOCKET,
    WORLD_TERMINAL, /* the controlling side of a pseudo-terminal; the peer is what runs in it */
    WORLD_SIGNALFD, /* peer_write: so many signals, which can be read one by one */
    WORLD_INOTIFY,  /* … the file that it watches is written to */
    WORLD_PIDFD,    /* of a process; peer_close: that ends */
    WORLD_REAL_KINDS
};

enum faulty_call { /* what COMMAND_FAIL can name */
                   FAULTY_EPOLL_CTL,
                   FAULTY_EPOLL_WAIT,
                   FAULTY_READ,
                   FAULTY_WRITE,
                   FAULTY_PREAD,
                   FAULTY_PWRITE,
                   FAULTY_SEND,
                   FAULTY_RECV,
                   FAULTY_SENDMSG,
                   FAULTY_RECVMSG,
                   FAULTY_ACCEPT,
                   FAULTY_CONNECT,
                   FAULTY_GETSOCKOPT,
                   FAULTY_SHUTDOWN,
                   FAULTY_CLOSE,
                   FAULTY_EPOLL_CREATE,
                   FAULTY_THREAD,
                   FAULTY_CALLS
};

/* How a number of a command that is repeated goes on: the i-th time, from 0 on, it is larger by
 * i * by, or, if `of` is not 0, by the rest of that when it is divided by `of`. */
struct command_series {
    uint32_t by, of;
};

struct command {
    uint8_t kind;   /* enum command_kind */
    uint8_t body;   /* the body that the callback runs: 0 none (a null callback), 1 … 6 */
    uint16_t c;     /* completion, from 0 on */
    uint16_t other; /* second completion (carrier, target), second handle (accept's "into",
                       connect's listener, dup's copy) or thread; of a target
                       PROGRAM_COMPLETIONS: none */
    uint16_t
        /* handle, from 0 on; PROGRAM_HANDLES: the descriptor -1; PROGRAM_HANDLES + 1: a number
           above the loop's limit */
        d;
    /* of SUBMIT and DESCRIBE: enum et_operation, or ET_OPERATIONS: an unknown one */
    uint8_t operation;
    uint8_t call;   /* of FAIL: enum faulty_call */
    uint8_t pool;   /* of SUBMIT and DESCRIBE: 1 when marked for the pool */
    uint16_t error; /* of FAIL: a positive errno */
    uint16_t flags; /* of send, recv, sendmsg, recvmsg: MSG_… */
    uint16_t to; /* of sendmsg: the handle that it is addressed to, plus 1; 0: it has no address */
    uint16_t times; /* it is repeated so often, with these series; 0: it is not */
    uint64_t value; /* delay, count, bytes, flags, events, action … */
    struct command_series c_series, other_series, d_series, value_series;
};
/* Fields that a kind does not use are 0, so that equal programs compare equal with memcmp. */

struct program {
    uint16_t first[PROGRAM_BODIES]; /* body b is command[first[b]] … [first[b] + count[b] - 1] */
    uint16_t count[PROGRAM_BODIES];
    uint16_t commands; /* all bodies together, in the order of the bodies */
    struct command command[PROGRAM_COMMANDS_MAX];
};

/* Where in its file a pread or pwrite of so many bytes is made: short ones not at the beginning. */
static inline int64_t program_offset(uint64_t length) {
    return length < 32 ? (int64_t)length : 0;
}

/* Decodes any byte string. A record of PROGRAM_RECORD bytes is one command; a trailing piece of a
 * record is ignored, and so is what exceeds PROGRAM_COMMANDS_MAX. */
void program_decode(struct program *p, const uint8_t *bytes, size_t size);

/* Encodes as far as the binary notation can (delays and counts become the nearest that it has).
 * Returns the bytes written, at most PROGRAM_COMMANDS_MAX * PROGRAM_RECORD. */
size_t program_encode(const struct program *p, uint8_t *bytes, size_t size);

/* ---- the text notation ----------------------------------------------------------------------- */

#define TRACE_CLAUSES_MAX      24
#define TRACE_OBSERVATIONS_MAX 2048

struct trace {
    char title[160];
    char clause[TRACE_CLAUSES_MAX][24];
    unsigned clauses;
    bool simulated_only; /* uses what only a simulated kernel can do */
    bool real_only;      /* … only a real one */
    struct program program;
    /* observation lines, in order, each without leading blanks and the '>' mark: what must be seen
     * when the program runs. A trace without observations demands nothing but agreement with the
     * model. */
    char (*observed)[96];
    unsigned observations; /* in use of TRACE_OBSERVATIONS_MAX, allocated by trace_read */
};

/* Reads a trace. 0, or -1 with one line "line N: what is wrong" in error. Never crashes, whatever
 * the bytes are. trace_free releases what it allocated (also after an error; safe on a zeroed
 * struct). */
int trace_read(struct trace *t, const char *text, size_t size, char *error, size_t error_size);
void trace_free(struct trace *t);

/* What a command that is repeated is the i-th time, from 0 on: one that is not. */
struct command command_repeated(const struct command *command, unsigned i);

/* How many completions and handles a program needs: those up to the highest that it names, but
 * PROGRAM_FEW at least. Returns whether it repeats anything: then it may do far more than others
 * (PROGRAM_LONG). */
bool program_needs(const struct program *p, unsigned *completions, unsigned *handles);
#define PROGRAM_LONG 50 /* times as many commands, callbacks and waits as other programs */

/* Writes the program as text: header, bodies, main sequence. */
void trace_write(FILE *out, const struct trace *t);

/* One command as text, without newline, e.g. "submit c0 read d1 16 do b2". */
void command_write(FILE *out, const struct command *command);

const char *operation_name(unsigned operation);    /* "noop" … "timer", or "unknown" */
const char *errno_name(int error);                 /* "EBUSY", or "E???" */
int errno_number(const char *name, size_t length); /* 0 when unknown */

#endif
