/* SPDX-License-Identifier: MIT */
/* The binary notation of programs, and their commands as text (spec/trace-format.md). For the
 * fuzzers, the driver, the tests and trace.c.
 *
 * The decoder is total and runs for every input of the fuzzers: no allocation, no loop but over the
 * records. The encoder has no tables of its own, it searches for the bytes that decode to what is
 * wanted: so the two cannot disagree. */
#include "program.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "../src/etalon_vocabulary.h"
#include "notation.h"
#include "words.h"

/* ---- binary: which command a byte means ------------------------------------------------------ */

#define SLOTS 32
/* a slot may be shared by kinds that need few values: n's highest three bits choose */
#define PARTS 8
/* clang-format off */
#define ALWAYS(kind) {kind, kind, kind, kind, kind, kind, kind, kind}
#define HALVES(low, high) {low, low, low, low, high, high, high, high}

/* Some kinds have no slot of their own, so that frequent ones get a second slot and stop and
 * deinit, after which little happens, are rare. */
static const uint8_t slot_kind[SLOTS][PARTS] = {
    ALWAYS(COMMAND_SUBMIT),
    ALWAYS(COMMAND_ADD),
    ALWAYS(COMMAND_DELETE),
    ALWAYS(COMMAND_TIMER),
    ALWAYS(COMMAND_RESET),
    ALWAYS(COMMAND_CANCEL),
    ALWAYS(COMMAND_TICK),
    ALWAYS(COMMAND_RUN),
    {COMMAND_UPDATE_NOW, COMMAND_UPDATE_NOW, COMMAND_UPDATE_NOW, COMMAND_DESCRIPTOR,
     COMMAND_DESCRIPTOR, COMMAND_TIMEOUT, COMMAND_STOP, COMMAND_DEINIT},
    ALWAYS(COMMAND_SUBMIT),
    ALWAYS(COMMAND_TICK),
    ALWAYS(COMMAND_FORGET),
    ALWAYS(COMMAND_DESCRIBE),
    ALWAYS(COMMAND_RETURN),
    ALWAYS(COMMAND_WAKEUP),
    ALWAYS(COMMAND_OPEN),
    ALWAYS(COMMAND_CLOSE),
    ALWAYS(COMMAND_DUP),
    ALWAYS(COMMAND_PEER_WRITE),
    ALWAYS(COMMAND_PEER_READ),
    HALVES(COMMAND_PEER_SHUTDOWN, COMMAND_PEER_CLOSE),
    ALWAYS(COMMAND_PEER_WRITE),
    {COMMAND_PEER_CONNECT, COMMAND_PEER_CONNECT, COMMAND_PEER_CONNECT, COMMAND_PEER_CONNECT,
     COMMAND_PEER_URGENT, COMMAND_PEER_URGENT, COMMAND_PEER_ERROR, COMMAND_PEER_ERROR},
    {COMMAND_ADVANCE, COMMAND_ADVANCE, COMMAND_ADVANCE, COMMAND_ADVANCE,
     COMMAND_ADVANCE, COMMAND_ADVANCE, COMMAND_ADVANCE, COMMAND_REWIND},
    ALWAYS(COMMAND_FAIL),
    ALWAYS(COMMAND_SPURIOUS),
    {COMMAND_ORDER, COMMAND_ORDER, COMMAND_ORDER, COMMAND_ORDER,
     COMMAND_BATCH, COMMAND_BATCH, COMMAND_BATCH, COMMAND_LIMIT},
    ALWAYS(COMMAND_STEP),
    {COMMAND_ASYNC_WAIT, COMMAND_ASYNC_WAIT, COMMAND_ASYNC_WAIT, COMMAND_ASYNC_WAIT,
     COMMAND_ASYNC_WAIT, COMMAND_ASYNC_WAIT, COMMAND_POOL, COMMAND_POOL},
    ALWAYS(COMMAND_CANCEL),
    ALWAYS(COMMAND_DELETE),
    HALVES(COMMAND_STEP, COMMAND_NOTIFY),
};
/* clang-format on */

/* What a call on the loop becomes in the body of the world. */
static const uint8_t kind_in_world[COMMAND_FIRST_OF_WORLD] = {
    [COMMAND_SUBMIT] = COMMAND_PEER_WRITE,   [COMMAND_ADD] = COMMAND_PEER_WRITE,
    [COMMAND_DELETE] = COMMAND_CLOSE,        [COMMAND_TIMER] = COMMAND_ADVANCE,
    [COMMAND_RESET] = COMMAND_ADVANCE,       [COMMAND_CANCEL] = COMMAND_PEER_READ,
    [COMMAND_TICK] = COMMAND_WAKEUP,         [COMMAND_RUN] = COMMAND_PEER_CONNECT,
    [COMMAND_STOP] = COMMAND_WAKEUP,         [COMMAND_UPDATE_NOW] = COMMAND_WAKEUP,
    [COMMAND_DEINIT] = COMMAND_PEER_CLOSE,   [COMMAND_FORGET] = COMMAND_OPEN,
    [COMMAND_DESCRIBE] = COMMAND_PEER_WRITE, [COMMAND_RETURN] = COMMAND_SPURIOUS,
    [COMMAND_POOL] = COMMAND_STEP,           [COMMAND_ASYNC_WAIT] = COMMAND_NOTIFY,
    [COMMAND_TIMEOUT] = COMMAND_WAKEUP,      [COMMAND_DESCRIPTOR] = COMMAND_WAKEUP,
};

/* ---- binary: what n means -------------------------------------------------------------------- */

/* clang-format off */
#define ROW(from)                                                                                  \
    from, from + 1, from + 2, from + 3, from + 4, from + 5, from + 6, from + 7, from + 8,          \
    from + 9, from + 10, from + 11, from + 12, from + 13, from + 14, from + 15

/* Of SUBMIT and DESCRIBE: from here on n marks for the pool, and its value is that of n - POOLED.
 */
#define POOLED 240u

static const uint64_t no_value[1] = {0};

/* Milliseconds. Small ones are frequent so that deadlines tie; the last nine before POOLED are
 * those at which clocks and timeouts break. */
static const uint64_t delays[256] = {
    ROW(0), ROW(0), ROW(0), ROW(0), ROW(0), ROW(0), ROW(0),
    ROW(16), ROW(32), ROW(48), ROW(64), ROW(80),
    96, 99, 100, 101, 105, 110, 115, 120, 125, 128, 130, 135, 140, 145, 150, 155, 160, 165, 170,
    175, 180, 185, 190, 195, 199, 200, 250, 256, 300, 400, 500, 512, 600, 700, 750, 800, 900, 999,
    1001, 1000,
    86400000, 3456000000, 2147483647, 2147483648, 4294967295, 4294967296, UINT64_MAX - 1,
    UINT64_MAX,
    ROW(0),
};

#define LONG_LENGTHS                                                                               \
    64, 65, 96, 128, 160, 192, 255, 256, 257, 512, 1000, 1024, 2048, 3000, 4095, NOTATION_LENGTH_MAX
static const uint64_t lengths[POOLED] = {
    ROW(0), ROW(16), ROW(32), ROW(48), ROW(0), ROW(16), ROW(32), ROW(48),
    ROW(0), ROW(16), ROW(32), ROW(48), LONG_LENGTHS, LONG_LENGTHS, LONG_LENGTHS,
};

enum { IN = 1, PRI = 2, OUT = 4, ERR = 8, HUP = 16, NVAL = 32, RDHUP = 0x2000, ONESHOT = 1 << 30 };
#define EDGE 0x80000000u

#define USUAL_EVENTS                                                                               \
    IN, OUT, IN | OUT, IN, OUT, IN, IN | RDHUP, IN | OUT,                                          \
    RDHUP, IN, OUT, PRI, IN | PRI, IN | OUT | RDHUP, IN, OUT
static const uint64_t poll_events[64] = {
    USUAL_EVENTS, USUAL_EVENTS, USUAL_EVENTS,
    IN, OUT, IN | OUT, IN, OUT, IN, IN | RDHUP, RDHUP | PRI,
    ERR, HUP, ERR | HUP, IN | PRI | OUT | ERR | HUP | RDHUP, 0, NVAL, IN | ONESHOT, IN | EDGE,
};

static const uint64_t spurious_events[32] = {
    IN, OUT, IN | OUT, HUP, ERR, IN | HUP, IN | RDHUP, IN | RDHUP | HUP,
    OUT | ERR | HUP, IN | OUT | ERR | HUP, RDHUP, PRI, IN | PRI, OUT | HUP, ERR | HUP,
    IN | OUT | RDHUP,
    IN, OUT, IN, OUT, IN, OUT, IN | OUT, IN | OUT, IN, OUT, IN, OUT, IN | OUT, HUP, ERR,
    IN | PRI | OUT | ERR | HUP | RDHUP,
};

static const uint64_t ticks[16] = {1, 0, 2, 1, 3, 0, 1, 2, 4, 1, 0, 5, 8, 1, 100, UINT32_MAX};
/* 4: no such mode */
static const uint64_t modes[16] = {0, 1, 2, 0, 1, 2, 3, 1, 2, 3, 1, 2, 0, 3, 0, 4};
static const uint64_t actions[2] = {ET_DISARM, ET_REARM};
/* 3: no such way */
static const uint64_t hows[16] = {1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 1, 3};

static const uint64_t descriptor_kinds[32] = {
    WORLD_STREAM, WORLD_PIPE_READER, WORLD_PIPE_WRITER, WORLD_DATAGRAM, WORLD_LISTENER,
    WORLD_SOCKET, WORLD_EVENTFD, WORLD_TIMERFD, WORLD_FILE, WORLD_ASYNC, WORLD_PORT, WORLD_TCP,
    WORLD_STREAM, WORLD_STREAM, WORLD_PORT, WORLD_TCP, WORLD_PIPE_READER, WORLD_PIPE_READER,
    WORLD_PIPE_READER, WORLD_PIPE_WRITER, WORLD_PIPE_WRITER, WORLD_DATAGRAM, WORLD_DATAGRAM,
    WORLD_STREAM, WORLD_LISTENER, WORLD_LISTENER, WORLD_LISTENER, WORLD_SOCKET, WORLD_SOCKET,
    WORLD_SOCKET, WORLD_EVENTFD, WORLD_TIMERFD,
};

#define LARGE_BYTES                                                                                \
    64, 65, 100, 128, 255, 256, 512, 1000, 1024, 2048, 4096, 8192, 65535, 65536, 212992, 1000000
static const uint64_t bytes_moved[256] = {
    ROW(1), ROW(1), ROW(1), ROW(1), ROW(1), ROW(1), ROW(1), ROW(1),
    ROW(0), ROW(16), ROW(32), ROW(48), LARGE_BYTES, LARGE_BYTES, LARGE_BYTES, LARGE_BYTES,
};

/* Nanoseconds. None is so large that 512 of them overflow a clock of nanoseconds. The second half
 * lies about the edges of a millisecond: where a program begins, the clock stands 300 us before. */
static const uint64_t advances[128] = {
    1000000, 0, 1000, 10000, 100000, 250000, 500000, 750000, 900000, 999000, 1001000, 1500000,
    1999000, 2000000, 2500000, 3000000, 4000000, 5000000, 6000000, 7000000, 8000000, 9000000,
    9999000, 10000000, 10001000, 11000000, 12000000, 13000000, 14000000, 15000000, 15999000,
    16000000, 1000000, 2000000, 3000000, 5000000, 10000000, 20000000, 25000000, 30000000,
    40000000, 50000000, 64000000, 75000000, 99000000, 100000000, 128000000, 150000000, 199000000,
    200000000, 250000000, 500000000, 750000000, 1000000000, 2000000000, 10000000000, 60000000000,
    3600000000000, 86400000000000, 3456000000000000, 2147483647000000, 2147483648000000,
    4294967295000000, 4294967296000000,
    1, 2, 10, 100, 500, 999, 1001, 299999, 300000, 300001, 699999, 700000, 700001, 999999,
    1000000, 1000001, 1299999, 1300000, 1300001, 1699999, 1700000, 1700001, 1999999, 2000000,
    2000001, 2299999, 2300000, 2300001, 2999999, 3000000, 3000001, 3999999, 4000000, 4000001,
    4299999, 4300000, 4300001, 4999999, 5000000, 5000001, 5299999, 5300000, 5300001, 9999999,
    10000000, 10000001, 10299999, 10300000, 10300001, 1, 500001, 499999, 999999, 1000001, 1000000,
    2000000, 3000000, 300000, 299999, 300001, 700000, 1000, 500000, 0,
};

static const uint64_t nth_calls[16] = {1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8};
static const uint64_t orders[32] = {ROW(0), ROW(16)};
static const uint64_t threads[8] = {2, 1, 2, 3, 4, 2, 1, 0};
static const uint64_t limits[8] = {0, 3, 4, 5, 6, 7, 9, 12};
static const uint64_t batches[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 1, 16, 1, 64};

static const uint16_t injected_errors[] = {
    EINTR,  EAGAIN,     ENOMEM, EMFILE,       ENFILE,      ENOSPC,   EPERM,     EBADF,     EIO,
    EINVAL, ECONNRESET, EPIPE,  ECONNREFUSED, EINPROGRESS, ENOTCONN, ETIMEDOUT, ECANCELED,
    /* what some call of Linux documents, and seldom says */
    ENOENT, ENXIO,      EACCES, EFAULT,       EEXIST,      EISDIR,   EFBIG,     ESPIPE,    ELOOP,
    ENOSR,  ENONET,     EPROTO, EOVERFLOW,    ENOTSOCK,    EDESTADDRREQ, EMSGSIZE, EPROTOTYPE,
    ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EOPNOTSUPP, EAFNOSUPPORT, EADDRINUSE,
    EADDRNOTAVAIL, ENETDOWN, ENETUNREACH, ECONNABORTED, ENOBUFS, EISCONN, EHOSTDOWN, EHOSTUNREACH,
    EALREADY, EDQUOT,
};
#define USUAL_ERRORS 17 /* the first ones */
#define INJECTED_ERRORS (sizeof injected_errors / sizeof *injected_errors)
/* clang-format on */

/* ---- binary: which fields a command has ------------------------------------------------------ */

/* The four masks are 0 for a field that is not used. Every record has all fields; the masks keep
 * the unused ones 0. */
struct use {
    uint8_t c, other, d, body;
    uint8_t n_mask; /* n & n_mask is the index into values */
    const uint64_t *values;
};
#define NO_VALUE      0, no_value
#define VALUES(table) (uint8_t)(sizeof(table) / sizeof *(table)-1), table

static const struct use use_of_kind[COMMAND_KINDS] = {
    [COMMAND_SUBMIT] = {0, 0, 0, 0, NO_VALUE}, /* by operation, below */
    [COMMAND_ADD] = {7, 0, 0, 0, NO_VALUE},
    [COMMAND_DELETE] = {7, 0, 0, 0, NO_VALUE},
    [COMMAND_TIMER] = {7, 0, 0, 7, VALUES(delays)},
    [COMMAND_RESET] = {7, 15, 0, 7, VALUES(delays)},
    [COMMAND_CANCEL] = {7, 15, 0, 7, NO_VALUE},
    [COMMAND_TICK] = {0, 0, 0, 0, VALUES(ticks)},
    [COMMAND_RUN] = {0, 0, 0, 0, VALUES(modes)},
    [COMMAND_STOP] = {0, 0, 0, 0, NO_VALUE},
    [COMMAND_UPDATE_NOW] = {0, 0, 0, 0, NO_VALUE},
    [COMMAND_DEINIT] = {0, 0, 0, 0, NO_VALUE},
    [COMMAND_POOL] = {0, 0, 0, 0, VALUES(threads)},
    [COMMAND_ASYNC_WAIT] = {7, 0, 7, 7, NO_VALUE},
    [COMMAND_FORGET] = {7, 0, 0, 0, NO_VALUE},
    [COMMAND_DESCRIBE] = {0, 0, 0, 0, NO_VALUE}, /* by operation, below */
    [COMMAND_RETURN] = {0, 0, 0, 0, VALUES(actions)},
    [COMMAND_TIMEOUT] = {0, 0, 0, 0, NO_VALUE},
    [COMMAND_DESCRIPTOR] = {0, 0, 0, 0, NO_VALUE},
    [COMMAND_WAKEUP] = {0, 0, 0, 0, NO_VALUE},
    [COMMAND_STEP] = {0, 3, 0, 0, NO_VALUE},
    [COMMAND_NOTIFY] = {0, 0, 7, 0, NO_VALUE},
    [COMMAND_OPEN] = {0, 0, 7, 0, VALUES(descriptor_kinds)},
    [COMMAND_CLOSE] = {0, 0, 7, 0, NO_VALUE},
    [COMMAND_DUP] = {0, 7, 7, 0, NO_VALUE},
    [COMMAND_PEER_WRITE] = {0, 0, 7, 0, VALUES(bytes_moved)},
    [COMMAND_PEER_READ] = {0, 0, 7, 0, VALUES(bytes_moved)},
    [COMMAND_PEER_CLOSE] = {0, 0, 7, 0, NO_VALUE},
    [COMMAND_PEER_SHUTDOWN] = {0, 0, 7, 0, NO_VALUE},
    [COMMAND_PEER_CONNECT] = {0, 0, 7, 0, NO_VALUE},
    [COMMAND_PEER_URGENT] = {0, 0, 7, 0, NO_VALUE},
    [COMMAND_PEER_ERROR] = {0, 0, 7, 0, NO_VALUE},
    [COMMAND_ADVANCE] = {0, 0, 0, 0, VALUES(advances)},
    [COMMAND_FAIL] = {0, 0, 0, 0, VALUES(nth_calls)},
    [COMMAND_SPURIOUS] = {0, 0, 7, 0, VALUES(spurious_events)},
    [COMMAND_ORDER] = {0, 0, 0, 0, VALUES(orders)},
    [COMMAND_BATCH] = {0, 0, 0, 0, VALUES(batches)},
    [COMMAND_LIMIT] = {0, 0, 0, 0, VALUES(limits)},
    [COMMAND_REWIND] = {0, 0, 0, 0, VALUES(advances)},
};

#define LENGTH_OF                                                                                  \
    { 7, 0, 15, 7, 255, lengths }
static const struct use use_of_operation[ET_OPERATIONS] = {
    [ET_NOOP] = {7, 0, 0, 7, NO_VALUE},
    [ET_CANCEL] = {7, 15, 0, 7, NO_VALUE},
    [ET_ACCEPT] = {7, 7, 15, 7, NO_VALUE},
    [ET_CONNECT] = {7, 7, 15, 7, NO_VALUE},
    [ET_POLL] = {7, 0, 15, 7, VALUES(poll_events)},
    [ET_READ] = LENGTH_OF,
    [ET_PREAD] = LENGTH_OF,
    [ET_WRITE] = LENGTH_OF,
    [ET_PWRITE] = LENGTH_OF,
    [ET_SEND] = LENGTH_OF,
    [ET_RECV] = LENGTH_OF,
    [ET_SENDMSG] = LENGTH_OF,
    [ET_RECVMSG] = LENGTH_OF,
    [ET_CLOSE] = {7, 0, 15, 7, NO_VALUE},
    [ET_SHUTDOWN] = {7, 0, 15, 7, VALUES(hows)},
    [ET_TIMER] = {7, 0, 0, 7, VALUES(delays)},
};

static_assert(ET_OPERATIONS == 16, "four bits of a record hold an operation");
static_assert(FAULTY_CALLS > 16 && FAULTY_CALLS <= 32, "five bits of a record hold a call");
static_assert(PROGRAM_WORKERS == 4, "two bits hold a thread");
static_assert(PROGRAM_FEW == 8 && PROGRAM_BODIES == 8, "three bits hold each of these");

/* The handle's six bits in an operation; the highest two values are the descriptors that no handle
 * has. */
#define SELECTOR_BAD 62u
static unsigned handle_of_selector(unsigned selector) {
    return selector < SELECTOR_BAD ? selector & 7u : selector - SELECTOR_BAD + PROGRAM_HANDLES;
}

/* What is written in a field that has room for it beside what can be chosen: in the middle of a
 * cancel, in the number of a submit or describe. */
#define MIDDLE_NONE 15u
#define NUMBER_NONE (POOLED - 1)

static unsigned error_index(unsigned b) {
    if (b < USUAL_ERRORS * 8)
        return b / 8;
    return USUAL_ERRORS + (b - USUAL_ERRORS * 8) % ((unsigned)INJECTED_ERRORS - USUAL_ERRORS);
}

static unsigned kind_in_body(unsigned kind, unsigned body) {
    if (body == PROGRAM_BODY_WORLD && kind < COMMAND_FIRST_OF_WORLD)
        return kind_in_world[kind];
    return body == 0 && kind == COMMAND_RETURN ? COMMAND_TICK : kind;
}

/* Of send, recv, sendmsg and recvmsg: what the numbers from 64 on, which mean the same lengths as
 * those below, mean beside. */
static void decode_extras(struct command *out, unsigned n) {
    static const uint16_t flags[4] = {MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_ERRQUEUE | MSG_OOB};
    if (n >= 128 && n < 192)
        out->flags = flags[n >> 4 & 3u];
    else if (n >= 96 && n < 128 && out->operation == ET_SENDMSG)
        out->to = (uint8_t)((n & 7u) + 1);
}

static bool has_operation(unsigned kind) {
    return kind == COMMAND_SUBMIT || kind == COMMAND_DESCRIBE;
}

static void decode_record(struct command *out, const uint8_t *record) {
    static const uint8_t callback_body[8] = {0, 1, 2, 3, 4, 5, 6, 1};
    unsigned a = record[1], b = record[2], n = record[3];
    unsigned kind = kind_in_body(slot_kind[record[0] & 31u][n >> 5], record[0] >> 5);
    unsigned selector = a >> 7 << 5 | b >> 3, d = selector & 7u, other = a >> 3 & 7u;
    if (kind == COMMAND_RESET && (a >> 3 & 15u) > other)
        other = PROGRAM_COMPLETIONS; /* no carrier */
    if (kind == COMMAND_CANCEL && (a >> 3 & 15u) == MIDDLE_NONE)
        other = PROGRAM_COMPLETIONS;
    const struct use *use = &use_of_kind[kind];

    memset(out, 0, sizeof *out); /* the padding too: commands are compared by memcmp */
    out->kind = (uint8_t)kind;
    if (has_operation(kind)) {
        unsigned operation = a >> 3 & 15u;
        use = &use_of_operation[operation];
        out->operation =
            (uint8_t)(operation == ET_NOOP && n == NUMBER_NONE ? ET_OPERATIONS : operation);
        out->pool = n >= POOLED;
        n -= out->pool * POOLED;
        other = n & 7u; /* a has no room, and no operation has both other and value */
        if (operation == ET_CANCEL && n == NUMBER_NONE)
            other = PROGRAM_COMPLETIONS;
        d = handle_of_selector(selector);
        if ((operation_traits(operation, 0) & FLAGGED) != 0)
            decode_extras(out, n);
    } else if (kind == COMMAND_FAIL) {
        out->call = (uint8_t)(a >> 3 < FAULTY_CALLS ? a >> 3 : (a >> 3) - 16u);
        out->error = injected_errors[error_index(b)];
    }
    out->c = (uint8_t)(a & use->c);
    out->other = (uint8_t)(other & use->other);
    out->d = (uint8_t)(d & use->d);
    out->body = (uint8_t)(callback_body[b & 7u] & use->body);
    out->value = use->values[n & use->n_mask];
}

void program_decode(struct program *p, const uint8_t *bytes, size_t size) {
    size_t records = size / PROGRAM_RECORD;
    uint16_t next[PROGRAM_BODIES];

    if (records > PROGRAM_COMMANDS_MAX)
        records = PROGRAM_COMMANDS_MAX;
    memset(p->count, 0, sizeof p->count);
    for (size_t i = 0; i < records; i++)
        p->count[bytes[i * PROGRAM_RECORD] >> 5]++;
    p->commands = 0;
    for (unsigned body = 0; body < PROGRAM_BODIES; body++) {
        p->first[body] = next[body] = p->commands;
        p->commands = (uint16_t)(p->commands + p->count[body]);
    }
    assert(p->commands == records);
    for (size_t i = 0; i < records; i++) {
        const uint8_t *record = bytes + i * PROGRAM_RECORD;
        decode_record(&p->command[next[record[0] >> 5]++], record);
    }
}

/* ---- binary: encoding ------------------------------------------------------------------------ */

static uint64_t distance(uint64_t x, uint64_t y) {
    return x > y ? x - y : y - x;
}

static unsigned slot_of(unsigned kind) {
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned part = 0; part < PARTS; part++)
            if (slot_kind[slot][part] == kind)
                return slot;
    return 0;
}

static unsigned b_of_error(unsigned error) {
    unsigned best = 0;
    for (unsigned b = 0; b < 256; b++)
        if (distance(injected_errors[error_index(b)], error) <
            distance(injected_errors[error_index(best)], error))
            best = b;
    return best;
}

/* Chooses n last, since it decides on several fields: those that have no nearest value (kind,
 * to, flags, other, pool) go first. */
static void encode_number(const struct command *command, uint8_t *record) {
    unsigned best_n = 0, best_wrong = UINT32_MAX;
    uint64_t best_distance = UINT64_MAX;

    for (unsigned n = 0; n < 256 && (best_wrong != 0 || best_distance != 0); n++) {
        struct command got;
        record[3] = (uint8_t)n;
        decode_record(&got, record);
        unsigned wrong = (got.operation != command->operation) * 32u +
                         (got.kind != command->kind) * 16u + (got.to != command->to) * 8u +
                         (got.flags != command->flags) * 4u + (got.other != command->other) * 2u +
                         (got.pool != command->pool);
        uint64_t far = distance(got.value, command->value);
        if (wrong < best_wrong || (wrong == best_wrong && far < best_distance)) {
            best_n = n;
            best_wrong = wrong;
            best_distance = far;
        }
    }
    record[3] = (uint8_t)best_n;
}

static void encode_command(const struct command *command, unsigned body, uint8_t *record) {
    bool operation = has_operation(command->kind);
    unsigned selector = command->d < PROGRAM_HANDLES
                            ? command->d & 7u
                            : SELECTOR_BAD + (command->d > PROGRAM_HANDLES);
    bool none = command->kind == COMMAND_CANCEL && command->other >= PROGRAM_COMPLETIONS;
    unsigned middle = operation                       ? command->operation % ET_OPERATIONS
                      : none                          ? MIDDLE_NONE
                      : command->kind == COMMAND_FAIL ? command->call
                                                      : command->other;

    record[0] = (uint8_t)(slot_of(command->kind) | body << 5);
    record[1] = (uint8_t)((command->c & 7u) | (middle & 31u) << 3 | selector >> 5 << 7);
    record[2] = (uint8_t)((command->body & 7u) | (selector & 31u) << 3);
    if (command->kind == COMMAND_FAIL)
        record[2] = (uint8_t)b_of_error(command->error);
    encode_number(command, record);
}

/* ---- repetition ------------------------------------------------------------------------------ */

static uint64_t grown(struct command_series series, unsigned i) {
    uint64_t by = (uint64_t)series.by * i;
    return series.of != 0 ? by % series.of : by;
}

struct command command_repeated(const struct command *command, unsigned i) {
    static const struct command_series none;
    struct command one = *command;
    one.times = 0;
    one.c_series = one.other_series = one.d_series = one.value_series = none;
    one.c = (uint16_t)(command->c + grown(command->c_series, i));
    one.other = (uint16_t)(command->other + grown(command->other_series, i));
    one.d = (uint16_t)(command->d + grown(command->d_series, i));
    one.value = command->value + grown(command->value_series, i);
    return one;
}

/* One more than the largest that it comes to, if it is the number of something. */
static void reach(unsigned *needs, unsigned first, struct command_series series, unsigned times,
                  unsigned most) {
    uint64_t last = first;
    if (first >= most)
        return;
    if (series.of != 0)
        last += series.of - 1;
    else if (times > 1)
        last += (uint64_t)series.by * (times - 1);
    if (last >= *needs)
        *needs = (unsigned)(last < most ? last + 1 : most);
}

bool program_needs(const struct program *p, unsigned *completions, unsigned *handles) {
    bool repeats = false;
    *completions = *handles = PROGRAM_FEW;
    for (unsigned i = 0; i < p->commands && PROGRAM_COMPLETIONS > PROGRAM_FEW; i++) {
        const struct command *of = &p->command[i];
        unsigned to = of->to > 0 ? of->to - 1U : 0;
        repeats = repeats || of->times > 0;
        reach(completions, of->c, of->c_series, of->times, PROGRAM_COMPLETIONS);
        reach(handles, of->d, of->d_series, of->times, PROGRAM_HANDLES);
        reach(handles, to, (struct command_series){0}, of->times, PROGRAM_HANDLES);
        /* whichever it is: too much room does no harm */
        reach(completions, of->other, of->other_series, of->times, PROGRAM_COMPLETIONS);
        reach(handles, of->other, of->other_series, of->times, PROGRAM_HANDLES);
    }
    return repeats;
}

size_t program_encode(const struct program *p, uint8_t *bytes, size_t size) {
    size_t at = 0;
    for (unsigned body = 0; body < PROGRAM_BODIES; body++)
        for (unsigned i = 0; i < p->count[body] && size - at >= PROGRAM_RECORD;
             i++, at += PROGRAM_RECORD)
            encode_command(&p->command[p->first[body] + i], body, bytes + at);
    return at;
}

/* ---- text: the words ------------------------------------------------------------------------- */

/* clang-format off */
const struct command_text command_text[COMMAND_KINDS] = {
    [COMMAND_SUBMIT] = {"submit", "%c %p %x %b"},
    [COMMAND_ADD] = {"add", "%c"},
    [COMMAND_DELETE] = {"delete", "%c"},
    [COMMAND_TIMER] = {"timer", "%c %m %b"},
    [COMMAND_RESET] = {"reset", "%c %y %m %b"},
    [COMMAND_CANCEL] = {"cancel", "%N by %c %b"},
    [COMMAND_TICK] = {"tick", "%t"},
    [COMMAND_RUN] = {"run", "%r"},
    [COMMAND_STOP] = {"stop", ""},
    [COMMAND_UPDATE_NOW] = {"update_now", ""},
    [COMMAND_DEINIT] = {"deinit", ""},
    [COMMAND_POOL] = {"pool", "%P"},
    [COMMAND_ASYNC_WAIT] = {"async_wait", "%c %d %b"},
    [COMMAND_FORGET] = {"forget", "%c"},
    [COMMAND_DESCRIBE] = {"describe", "%c %p %x %b"},
    [COMMAND_RETURN] = {"return", "%a"},
    [COMMAND_TIMEOUT] = {"timeout", ""},
    [COMMAND_DESCRIPTOR] = {"descriptor", ""},
    [COMMAND_WAKEUP] = {"wakeup", ""},
    [COMMAND_STEP] = {"step", "%W"},
    [COMMAND_NOTIFY] = {"notify", "%d"},
    [COMMAND_OPEN] = {"open", "%d %k"},
    [COMMAND_CLOSE] = {"close", "%d"},
    [COMMAND_DUP] = {"dup", "%d to %h"},
    [COMMAND_PEER_WRITE] = {"peer_write", "%d %n"},
    [COMMAND_PEER_READ] = {"peer_read", "%d %n"},
    [COMMAND_PEER_CLOSE] = {"peer_close", "%d"},
    [COMMAND_PEER_SHUTDOWN] = {"peer_shutdown", "%d"},
    [COMMAND_PEER_CONNECT] = {"peer_connect", "%d"},
    [COMMAND_PEER_URGENT] = {"peer_urgent", "%d"},
    [COMMAND_PEER_ERROR] = {"peer_error", "%d"},
    [COMMAND_ADVANCE] = {"advance", "%u"},
    [COMMAND_FAIL] = {"fail", "%f %E at %i"},
    [COMMAND_SPURIOUS] = {"spurious", "%d %e"},
    [COMMAND_ORDER] = {"order", "%n"},
    [COMMAND_BATCH] = {"batch", "%n"},
    [COMMAND_LIMIT] = {"limit", "%n"},
    [COMMAND_REWIND] = {"rewind", "%u"},
};

const char *const operation_format[ET_OPERATIONS] = {
    [ET_NOOP] = "",            [ET_CANCEL] = "%N",   [ET_ACCEPT] = "%D into %h",
    [ET_CONNECT] = "%D to %h", [ET_POLL] = "%D %e",  [ET_READ] = "%D %l",
    [ET_PREAD] = "%D %l",      [ET_WRITE] = "%D %l", [ET_PWRITE] = "%D %l",
    [ET_SEND] = "%D %l %g",    [ET_RECV] = "%D %l %g",  [ET_SENDMSG] = "%D %l %T %g",
    [ET_RECVMSG] = "%D %l %g", [ET_CLOSE] = "%D",    [ET_SHUTDOWN] = "%D %w",
    [ET_TIMER] = "%m",
};

static const char *const operation_names[ET_OPERATIONS] = {
    [ET_NOOP] = "noop",       [ET_CANCEL] = "cancel", [ET_ACCEPT] = "accept",
    [ET_CONNECT] = "connect", [ET_POLL] = "poll",     [ET_READ] = "read",
    [ET_PREAD] = "pread",     [ET_WRITE] = "write",   [ET_PWRITE] = "pwrite",
    [ET_SEND] = "send",       [ET_RECV] = "recv",     [ET_SENDMSG] = "sendmsg",
    [ET_RECVMSG] = "recvmsg", [ET_CLOSE] = "close",   [ET_SHUTDOWN] = "shutdown",
    [ET_TIMER] = "timer",
};

const struct named event_names[] = {{"in", IN},   {"pri", PRI},     {"out", OUT}, {"err", ERR},
                                    {"hup", HUP}, {"rdhup", RDHUP}, {NULL, 0}};

const struct named flag_names[] = {
    {"oob", MSG_OOB},     {"peek", MSG_PEEK},         {"waitall", MSG_WAITALL},
    {"trunc", MSG_TRUNC}, {"errqueue", MSG_ERRQUEUE}, {NULL, 0},
};

const struct named duration_units[] = {
    {"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}, {NULL, 0}};

static const struct named how_names[] = {{"rd", 0}, {"wr", 1}, {"rdwr", 2}, {NULL, 0}};

static const struct named mode_names[] = {
    {"no_wait", ET_RUN_NO_WAIT},
    {"once", ET_RUN_ONCE},
    {"until_done", ET_RUN_UNTIL_DONE},
    {"turn", ET_RUN_TURN},
    {NULL, 0},
};

static const struct named action_names[] = {{"disarm", ET_DISARM}, {"rearm", ET_REARM}, {NULL, 0}};

static const struct named kind_names[] = {
    {"pipe_reader", WORLD_PIPE_READER}, {"pipe_writer", WORLD_PIPE_WRITER},
    {"stream", WORLD_STREAM},           {"datagram", WORLD_DATAGRAM},
    {"listener", WORLD_LISTENER},       {"socket", WORLD_SOCKET},
    {"eventfd", WORLD_EVENTFD},         {"timerfd", WORLD_TIMERFD},
    {"file", WORLD_FILE},               {"async", WORLD_ASYNC},
    {"port", WORLD_PORT},               {"tcp", WORLD_TCP},
    {"inet_stream", WORLD_INET_STREAM},     {"inet_datagram", WORLD_INET_DATAGRAM},
    {"inet_listener", WORLD_INET_LISTENER}, {"inet_socket", WORLD_INET_SOCKET},
    {"terminal", WORLD_TERMINAL},           {"signalfd", WORLD_SIGNALFD},
    {"inotify", WORLD_INOTIFY},             {"pidfd", WORLD_PIDFD},
    {NULL, 0},
};

static const struct named call_names[] = {
    {"epoll_ctl", FAULTY_EPOLL_CTL}, {"epoll_wait", FAULTY_EPOLL_WAIT}, {"read", FAULTY_READ},
    {"write", FAULTY_WRITE},         {"pread", FAULTY_PREAD},           {"pwrite", FAULTY_PWRITE},
    {"send", FAULTY_SEND},           {"recv", FAULTY_RECV},             {"sendmsg", FAULTY_SENDMSG},
    {"recvmsg", FAULTY_RECVMSG},     {"accept", FAULTY_ACCEPT},         {"connect", FAULTY_CONNECT},
    {"getsockopt", FAULTY_GETSOCKOPT}, {"shutdown", FAULTY_SHUTDOWN}, {"close", FAULTY_CLOSE},
    {"epoll_create", FAULTY_EPOLL_CREATE}, {"thread", FAULTY_THREAD}, {NULL, 0},
};
/* clang-format on */

const struct named *names_of(char field) {
    switch (field) {
    case 'w': return how_names;
    case 'r': return mode_names;
    case 'a': return action_names;
    case 'k': return kind_names;
    case 'f': return call_names;
    default: return NULL;
    }
}

const char *operation_name(unsigned operation) {
    return operation < ET_OPERATIONS ? operation_names[operation] : "unknown";
}

/* Two names of one number: the first is the one that is written. */
#define E(name)                                                                                    \
    { #name, name }
static const struct named errno_names[] = {
    E(EPERM),
    E(ENOENT),
    E(ESRCH),
    E(EINTR),
    E(EIO),
    E(ENXIO),
    E(E2BIG),
    E(ENOEXEC),
    E(EBADF),
    E(ECHILD),
    E(EAGAIN),
    E(ENOMEM),
    E(EACCES),
    E(EFAULT),
    E(ENOTBLK),
    E(EBUSY),
    E(EEXIST),
    E(EXDEV),
    E(ENODEV),
    E(ENOTDIR),
    E(EISDIR),
    E(EINVAL),
    E(ENFILE),
    E(EMFILE),
    E(ENOTTY),
    E(ETXTBSY),
    E(EFBIG),
    E(ENOSPC),
    E(ESPIPE),
    E(EROFS),
    E(EMLINK),
    E(EPIPE),
    E(EDOM),
    E(ERANGE),
    E(EDEADLK),
    E(ENAMETOOLONG),
    E(ENOLCK),
    E(ENOSYS),
    E(ENOTEMPTY),
    E(ELOOP),
    E(ENOMSG),
    E(EIDRM),
    E(ECHRNG),
    E(EL2NSYNC),
    E(EL3HLT),
    E(EL3RST),
    E(ELNRNG),
    E(EUNATCH),
    E(ENOCSI),
    E(EL2HLT),
    E(EBADE),
    E(EBADR),
    E(EXFULL),
    E(ENOANO),
    E(EBADRQC),
    E(EBADSLT),
    E(EBFONT),
    E(ENOSTR),
    E(ENODATA),
    E(ETIME),
    E(ENOSR),
    E(ENONET),
    E(ENOPKG),
    E(EREMOTE),
    E(ENOLINK),
    E(EADV),
    E(ESRMNT),
    E(ECOMM),
    E(EPROTO),
    E(EMULTIHOP),
    E(EDOTDOT),
    E(EBADMSG),
    E(EOVERFLOW),
    E(ENOTUNIQ),
    E(EBADFD),
    E(EREMCHG),
    E(ELIBACC),
    E(ELIBBAD),
    E(ELIBSCN),
    E(ELIBMAX),
    E(ELIBEXEC),
    E(EILSEQ),
    E(ERESTART),
    E(ESTRPIPE),
    E(EUSERS),
    E(ENOTSOCK),
    E(EDESTADDRREQ),
    E(EMSGSIZE),
    E(EPROTOTYPE),
    E(ENOPROTOOPT),
    E(EPROTONOSUPPORT),
    E(ESOCKTNOSUPPORT),
    E(EOPNOTSUPP),
    E(EPFNOSUPPORT),
    E(EAFNOSUPPORT),
    E(EADDRINUSE),
    E(EADDRNOTAVAIL),
    E(ENETDOWN),
    E(ENETUNREACH),
    E(ENETRESET),
    E(ECONNABORTED),
    E(ECONNRESET),
    E(ENOBUFS),
    E(EISCONN),
    E(ENOTCONN),
    E(ESHUTDOWN),
    E(ETOOMANYREFS),
    E(ETIMEDOUT),
    E(ECONNREFUSED),
    E(EHOSTDOWN),
    E(EHOSTUNREACH),
    E(EALREADY),
    E(EINPROGRESS),
    E(ESTALE),
    E(EUCLEAN),
    E(ENOTNAM),
    E(ENAVAIL),
    E(EISNAM),
    E(EREMOTEIO),
    E(EDQUOT),
    E(ENOMEDIUM),
    E(EMEDIUMTYPE),
    E(ECANCELED),
    E(ENOKEY),
    E(EKEYEXPIRED),
    E(EKEYREVOKED),
    E(EKEYREJECTED),
    E(EOWNERDEAD),
    E(ENOTRECOVERABLE),
    E(ERFKILL),
    E(EHWPOISON),
    E(EDEADLOCK),
    E(ENOTSUP),
    E(EWOULDBLOCK),
    {NULL, 0},
};

const char *errno_name(int error) {
    for (const struct named *e = errno_names; e->name; e++)
        if ((int)e->value == error)
            return e->name;
    return "E???";
}

int errno_number(const char *name, size_t length) {
    for (const struct named *e = errno_names; e->name; e++)
        if (strlen(e->name) == length && memcmp(e->name, name, length) == 0)
            return (int)e->value;
    return 0;
}

/* ---- text: writing a command ----------------------------------------------------------------- */

static void write_named(FILE *out, const struct named *names, uint64_t value) {
    for (; names->name; names++)
        if (names->value == value) {
            fprintf(out, " %s", names->name);
            return;
        }
    fprintf(out, " %" PRIu64, value);
}

static void write_bits(FILE *out, const struct named *names, uint64_t bits) {
    char between = ' ';
    for (; names->name; names++)
        if (bits & names->value) {
            fprintf(out, "%c%s", between, names->name);
            bits &= ~names->value;
            between = '|';
        }
    if (bits != 0 || between == ' ')
        fprintf(out, "%c%" PRIu64, between, bits);
}

static void write_duration(FILE *out, uint64_t ns) {
    const struct named *unit = duration_units;
    while (ns % unit->value != 0)
        unit++;
    fprintf(out, " %" PRIu64 "%s", ns / unit->value, unit->name);
}

static void write_series(FILE *out, struct command_series series, const char *unit) {
    if (series.by != 0)
        fprintf(out, "+%" PRIu32 "%s", series.by, unit);
    if (series.of != 0)
        fprintf(out, "%%%" PRIu32 "%s", series.of, unit);
}

static void write_numbered(FILE *out, char letter, unsigned number, struct command_series series) {
    fprintf(out, " %c%u", letter, number);
    write_series(out, series, "");
}

static void write_handle(FILE *out, unsigned d, struct command_series series) {
    if (d < PROGRAM_HANDLES)
        write_numbered(out, 'd', d, series);
    else
        fputs(d == PROGRAM_HANDLES ? " bad" : " huge", out);
}

static void write_format(FILE *out, const char *format, const struct command *command);

static void write_field(FILE *out, char field, const struct command *command) {
    switch (field) {
    case 'p':
        fprintf(out, " %s", operation_name(command->operation));
        if (command->operation < ET_OPERATIONS)
            write_format(out, operation_format[command->operation], command);
        break;
    case 'c': write_numbered(out, 'c', command->c, command->c_series); break;
    case 'N':
        if (command->other < PROGRAM_COMPLETIONS)
            write_numbered(out, 'c', command->other, command->other_series);
        else
            fputs(" none", out);
        break;
    case 'd':
    case 'D': write_handle(out, command->d, command->d_series); break;
    case 'h': write_handle(out, command->other, command->other_series); break;
    case 'W': fprintf(out, " w%u", command->other); break;
    case 'm':
        fprintf(out, " %" PRIu64 "ms", command->value);
        write_series(out, command->value_series, "ms");
        break;
    case 'u': write_duration(out, command->value); break;
    case 'e': write_bits(out, event_names, command->value); break;
    case 'g':
        if (command->flags != 0) {
            fputs(" flags", out);
            write_bits(out, flag_names, command->flags);
        }
        break;
    case 'T':
        if (command->to != 0) {
            fputs(" to", out);
            write_handle(out, command->to - 1U, (struct command_series){0});
        }
        break;
    case 'E': fprintf(out, " %s", errno_name(command->error)); break;
    case 'f': write_named(out, call_names, command->call); break;
    case 'x': fputs(command->pool ? " on_pool" : "", out); break;
    case 'y':
        if (command->other < PROGRAM_COMPLETIONS) {
            fputs(" by", out);
            write_numbered(out, 'c', command->other, command->other_series);
        }
        break;
    case 'b':
        if (command->body != 0)
            fprintf(out, " do b%u", command->body);
        break;
    default:
        if (names_of(field)) {
            write_named(out, names_of(field), command->value);
            break;
        }
        fprintf(out, " %" PRIu64, command->value);
        write_series(out, command->value_series, "");
    }
}

static void write_format(FILE *out, const char *format, const struct command *command) {
    while (*format) {
        size_t length = strcspn(format, " ");
        if (*format == '%')
            write_field(out, format[1], command);
        else
            fprintf(out, " %.*s", (int)length, format);
        format += length;
        format += *format == ' ';
    }
}

void command_write(FILE *out, const struct command *command) {
    if (command->kind >= COMMAND_KINDS) {
        fputs("unknown", out);
        return;
    }
    if (command->times > 0)
        fprintf(out, "repeat %u ", command->times);
    fputs(command_text[command->kind].word, out);
    write_format(out, command_text[command->kind].format, command);
}
