/* SPDX-License-Identifier: MIT */
/* Random programs (generator.h). Three kinds of bold ones: written from scratch with what belongs
 * together (a socket that has a listener, a transfer on what can transfer, a peer that acts, a
 * tick); a given program changed in places; and what random bytes decode to, which knows nothing
 * and therefore tries everything. A careful one is written from what the subject can.
 *
 * A seed means a program: whoever has written it down wants the same one again. So nothing here may
 * draw more or fewer numbers, or in another order, than it does. */
#include "generator.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "../../model/words.h"

#define COMMANDS_OF_MAIN 90
#define EVENTS           6

/* A program whose commands have not been put in the order of the bodies yet. */
struct draft {
    unsigned count;
    uint8_t body[PROGRAM_COMMANDS_MAX];
    struct command command[PROGRAM_COMMANDS_MAX];
};

/* What the writer of a program keeps in mind. It is about right; the program may do otherwise. */
struct writer {
    uint64_t *state;
    struct draft *draft;
    uint8_t kind[PROGRAM_FEW]; /* enum world_kind, or WORLD_KINDS when closed */
    uint8_t kinds[4];          /* that this program opens */
    unsigned bodies;           /* that callbacks may run: 1 … bodies */
    bool fills;                /* this program moves much at once */
    bool pooled;               /* it has a pool */
};

uint64_t generator_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned draw(uint64_t *state, unsigned below) {
    return (unsigned)(generator_random(state) % below);
}

/* ---- drafts ---------------------------------------------------------------------------------- */

static void put(struct draft *draft, unsigned body, const struct command *command) {
    if (draft->count == PROGRAM_COMMANDS_MAX)
        return;
    draft->body[draft->count] = (uint8_t)body;
    draft->command[draft->count++] = *command;
}

static void finish(const struct draft *draft, struct program *p) {
    memset(p, 0, sizeof *p);
    for (unsigned body = 0; body < PROGRAM_BODIES; body++) {
        p->first[body] = p->commands;
        for (unsigned i = 0; i < draft->count; i++)
            if (draft->body[i] == body)
                p->command[p->commands++] = draft->command[i];
        p->count[body] = (uint16_t)(p->commands - p->first[body]);
    }
}

static void reopen(const struct program *p, struct draft *draft) {
    draft->count = 0;
    for (unsigned body = 0; body < PROGRAM_BODIES; body++)
        for (unsigned i = 0; i < p->count[body]; i++)
            put(draft, body, &p->command[p->first[body] + i]);
}

static bool only_simulated(const struct command *command) {
    return command->kind == COMMAND_FAIL || command->kind == COMMAND_SPURIOUS ||
           command->kind == COMMAND_BATCH || command->kind == COMMAND_ORDER ||
           command->kind == COMMAND_PEER_URGENT || command->kind == COMMAND_PEER_ERROR ||
           command->kind == COMMAND_REWIND ||
           (command->kind == COMMAND_OPEN && command->value == WORLD_TCP) ||
           (command->flags & MSG_OOB) != 0; /* that of AF_UNIX depends on the version of Linux */
}

bool generator_only_simulated(const struct program *p) {
    for (unsigned i = 0; i < p->commands; i++)
        if (only_simulated(&p->command[i]))
            return true;
    return false;
}

/* ---- commands -------------------------------------------------------------------------------- */

static unsigned handle_of_kind(struct writer *w, unsigned kind) {
    unsigned d = draw(w->state, PROGRAM_FEW);
    for (unsigned i = 0; i < PROGRAM_FEW; i++, d = (d + 1) % PROGRAM_FEW)
        if (w->kind[d] == kind)
            return d;
    return d;
}

static unsigned open_handle(struct writer *w) {
    unsigned d = draw(w->state, PROGRAM_FEW);
    for (unsigned i = 0; i < PROGRAM_FEW && w->kind[d] == WORLD_KINDS; i++)
        d = (d + 1) % PROGRAM_FEW;
    return draw(w->state, 16) == 0 ? draw(w->state, PROGRAM_FEW) : d;
}

static uint64_t length(struct writer *w) {
    static const uint16_t lengths[] = {1,    2,    3,    5,    8,    8,    16,   31,
                                       64,   100,  192,  193,  700,  1000, 1728, 2047,
                                       2240, 2241, 3000, 4000, 4095, 4096, 4096, 0};
    if (w->fills)
        return draw(w->state, 4) == 0 ? 1 + draw(w->state, 4096) : 4096;
    return lengths[draw(w->state, sizeof lengths / sizeof *lengths)];
}

static unsigned operation_for(struct writer *w, unsigned kind) {
    static const uint8_t usual[WORLD_KINDS + 1][EVENTS] = {
        [WORLD_PIPE_READER] = {ET_READ, ET_READ, ET_READ, ET_POLL, ET_CLOSE, ET_READ},
        [WORLD_PIPE_WRITER] = {ET_WRITE, ET_WRITE, ET_WRITE, ET_POLL, ET_CLOSE, ET_WRITE},
        [WORLD_STREAM] = {ET_SEND, ET_RECV, ET_SENDMSG, ET_RECVMSG, ET_SHUTDOWN, ET_WRITE},
        [WORLD_DATAGRAM] = {ET_SEND, ET_RECV, ET_SENDMSG, ET_RECVMSG, ET_READ, ET_WRITE},
        [WORLD_LISTENER] = {ET_ACCEPT, ET_ACCEPT, ET_ACCEPT, ET_POLL, ET_ACCEPT, ET_SHUTDOWN},
        [WORLD_SOCKET] = {ET_CONNECT, ET_CONNECT, ET_CONNECT, ET_SEND, ET_RECV, ET_POLL},
        [WORLD_EVENTFD] = {ET_READ, ET_WRITE, ET_READ, ET_POLL, ET_CLOSE, ET_WRITE},
        [WORLD_TIMERFD] = {ET_READ, ET_READ, ET_READ, ET_POLL, ET_CLOSE, ET_READ},
        [WORLD_FILE] = {ET_READ, ET_WRITE, ET_PREAD, ET_PWRITE, ET_POLL, ET_READ},
        [WORLD_ASYNC] = {ET_READ, ET_POLL, ET_CLOSE, ET_READ, ET_WRITE, ET_READ},
        [WORLD_PORT] = {ET_SENDMSG, ET_RECV, ET_SENDMSG, ET_RECVMSG, ET_SENDMSG, ET_SEND},
        [WORLD_TCP] = {ET_RECV, ET_RECVMSG, ET_SEND, ET_RECV, ET_RECVMSG, ET_POLL},
        [WORLD_KINDS] = {ET_NOOP, ET_TIMER, ET_CANCEL, ET_READ, ET_CLOSE, ET_POLL},
    };
    unsigned any = draw(w->state, 8);
    if (any == 0)
        return draw(w->state, ET_OPERATIONS);
    return any == 1 ? ET_POLL : usual[kind][draw(w->state, EVENTS)];
}

static void operation(struct writer *w, struct command *command) {
    static const uint16_t polled[] = {1, 4, 5, 0x2000, 0x2001, 2, 0x2005, 16, 0};
    static const uint16_t flags[] = {MSG_PEEK, MSG_ERRQUEUE, MSG_TRUNC, MSG_WAITALL};
    bool closed = draw(w->state, 40) == 0;
    command->d = (uint16_t)(closed ? PROGRAM_HANDLES + draw(w->state, 2) : open_handle(w));
    command->operation = (uint8_t)operation_for(w, closed ? WORLD_KINDS : w->kind[command->d]);
    switch (command->operation) {
    case ET_NOOP: command->d = 0; break;
    case ET_TIMER:
        command->d = 0;
        command->value = draw(w->state, 12);
        break;
    case ET_CANCEL:
        command->d = 0;
        command->other = (uint16_t)draw(w->state, PROGRAM_FEW);
        break;
    case ET_ACCEPT: command->other = (uint8_t)handle_of_kind(w, WORLD_KINDS); break;
    case ET_CONNECT: command->other = (uint8_t)handle_of_kind(w, WORLD_LISTENER); break;
    case ET_POLL: command->value = polled[draw(w->state, sizeof polled / sizeof *polled)]; break;
    case ET_CLOSE: break;
    case ET_SHUTDOWN: command->value = draw(w->state, 3); break;
    default: command->value = length(w);
    }
    unsigned traits = operation_traits(command->operation, 0);
    bool poolable = (traits & POOLABLE) != 0;
    if ((traits & FLAGGED) != 0 && draw(w->state, 8) == 0)
        command->flags = flags[draw(w->state, sizeof flags / sizeof *flags)];
    if (command->operation == ET_SENDMSG && w->kind[command->d % PROGRAM_FEW] == WORLD_PORT)
        command->to = (uint8_t)(1 + handle_of_kind(w, WORLD_PORT));
    command->pool = w->pooled && poolable && draw(w->state, 2) == 0;
    if (command->operation == ET_ACCEPT)
        w->kind[command->other] = WORLD_STREAM;
    if (command->operation == ET_CLOSE && command->d < PROGRAM_HANDLES)
        w->kind[command->d] = WORLD_KINDS;
}

/* One number for both, so that a seed goes on as it did when there was no reset without one. */
static uint16_t draw_carrier(struct writer *w) {
    uint64_t drawn = generator_random(w->state);
    bool alone = (drawn >> 32) % 3 == 0;
    return alone ? PROGRAM_COMPLETIONS : (uint16_t)(drawn % PROGRAM_FEW);
}

/* Without drawing a number, for what came later. */
static bool half_of_them(const struct writer *w) {
    uint64_t next = *w->state;
    return generator_random(&next) % 2 == 0;
}

static void call_on_loop(struct writer *w, struct command *command) {
    static const uint8_t kinds[] = {
        COMMAND_SUBMIT,    COMMAND_SUBMIT, COMMAND_SUBMIT, COMMAND_SUBMIT,     COMMAND_SUBMIT,
        COMMAND_SUBMIT,    COMMAND_SUBMIT, COMMAND_SUBMIT, COMMAND_SUBMIT,     COMMAND_SUBMIT,
        COMMAND_ADD,       COMMAND_DELETE, COMMAND_CANCEL, COMMAND_TIMER,      COMMAND_RESET,
        COMMAND_FORGET,    COMMAND_CANCEL, COMMAND_DELETE, COMMAND_UPDATE_NOW, COMMAND_DESCRIBE,
        COMMAND_ASYNC_WAIT};
    command->kind = kinds[draw(w->state, sizeof kinds)];
    command->c = (uint16_t)draw(w->state, PROGRAM_FEW);
    if (draw(w->state, 10) != 0)
        command->body = (uint8_t)(1 + draw(w->state, w->bodies));
    switch (command->kind) {
    case COMMAND_SUBMIT:
    case COMMAND_DESCRIBE: operation(w, command); return;
    case COMMAND_RESET: command->other = draw_carrier(w); break;
    case COMMAND_CANCEL: command->other = (uint16_t)draw(w->state, PROGRAM_FEW); break;
    case COMMAND_UPDATE_NOW:
        command->c = command->body = 0;
        command->kind = half_of_them(w) ? COMMAND_UPDATE_NOW : COMMAND_DESCRIPTOR;
        return;
    case COMMAND_ASYNC_WAIT: command->d = (uint8_t)handle_of_kind(w, WORLD_ASYNC); return;
    default: break;
    }
    if (command->kind == COMMAND_TIMER || command->kind == COMMAND_RESET)
        command->value = draw(w->state, 12);
    else if (command->kind != COMMAND_CANCEL)
        command->body = 0;
}

static void turn(struct writer *w, struct command *command) {
    command->kind = draw(w->state, 3) == 0 ? COMMAND_RUN : COMMAND_TICK;
    command->value = draw(w->state, 4);
    if (draw(w->state, 150) == 0)
        *command = (struct command){.kind = COMMAND_DEINIT};
    else if (draw(w->state, 400) == 0)
        *command = (struct command){.kind = COMMAND_STOP};
    else if (draw(w->state, 400) == 0)
        *command = (struct command){.kind = COMMAND_POOL, .value = draw(w->state, 4)};
}

static void act_in_world(struct writer *w, struct command *command) {
    static const uint8_t kinds[] = {
        COMMAND_PEER_WRITE, COMMAND_PEER_WRITE, COMMAND_PEER_WRITE,    COMMAND_PEER_READ,
        COMMAND_PEER_READ,  COMMAND_PEER_READ,  COMMAND_PEER_CONNECT,  COMMAND_PEER_CLOSE,
        COMMAND_ADVANCE,    COMMAND_CLOSE,      COMMAND_PEER_CONNECT,  COMMAND_DUP,
        COMMAND_OPEN,       COMMAND_OPEN,       COMMAND_PEER_SHUTDOWN, COMMAND_WAKEUP,
        COMMAND_LIMIT,      COMMAND_NOTIFY};
    if (w->pooled && draw(w->state, 3) != 0) {
        command->kind = COMMAND_STEP;
        command->other = (uint8_t)draw(w->state, 2);
        return;
    }
    command->kind = kinds[draw(w->state, sizeof kinds)];
    command->d = (uint8_t)open_handle(w);
    switch (command->kind) {
    case COMMAND_PEER_WRITE:
    case COMMAND_PEER_READ: command->value = draw(w->state, 12) == 0 ? 65536 : length(w); break;
    case COMMAND_PEER_CONNECT: command->d = (uint8_t)handle_of_kind(w, WORLD_LISTENER); break;
    case COMMAND_OPEN:
        command->d = (uint8_t)handle_of_kind(w, WORLD_KINDS);
        command->value = w->kinds[draw(w->state, sizeof w->kinds)];
        w->kind[command->d] = (uint8_t)command->value;
        break;
    case COMMAND_CLOSE: w->kind[command->d] = WORLD_KINDS; break;
    case COMMAND_DUP:
        command->other = (uint16_t)draw(w->state, PROGRAM_FEW);
        w->kind[command->other] = w->kind[command->d];
        break;
    case COMMAND_ADVANCE:
        command->d = 0;
        command->value = UINT64_C(700000) * draw(w->state, 12);
        break;
    case COMMAND_WAKEUP: command->d = 0; break;
    case COMMAND_NOTIFY: command->d = (uint8_t)handle_of_kind(w, WORLD_ASYNC); break;
    case COMMAND_LIMIT:
        command->d = 0;
        command->value = draw(w->state, 2) ? 0 : 3 + draw(w->state, 9);
        break;
    default: break;
    }
}

static struct command any_command(struct writer *w, unsigned body) {
    struct command command;
    memset(&command, 0, sizeof command); /* the padding too: commands are compared by memcmp */
    unsigned which = draw(w->state, 10);
    if (body == PROGRAM_BODY_WORLD || which < 4)
        act_in_world(w, &command);
    else if (which < 8 || body != 0)
        call_on_loop(w, &command);
    else
        turn(w, &command);
    return command;
}

/* ---- programs -------------------------------------------------------------------------------- */

static void begin_writing(struct writer *w, uint64_t *state, struct draft *draft) {
    static const uint8_t themes[][4] = {
        {WORLD_STREAM, WORLD_STREAM, WORLD_STREAM, WORLD_EVENTFD},
        {WORLD_LISTENER, WORLD_SOCKET, WORLD_SOCKET, WORLD_STREAM},
        {WORLD_PIPE_READER, WORLD_PIPE_WRITER, WORLD_PIPE_READER, WORLD_PIPE_WRITER},
        {WORLD_DATAGRAM, WORLD_DATAGRAM, WORLD_DATAGRAM, WORLD_TIMERFD},
        {WORLD_EVENTFD, WORLD_TIMERFD, WORLD_FILE, WORLD_PIPE_READER},
        {WORLD_FILE, WORLD_ASYNC, WORLD_PIPE_READER, WORLD_STREAM},
        {WORLD_PORT, WORLD_PORT, WORLD_PORT, WORLD_DATAGRAM},
    };
    *w = (struct writer){
        .state = state, .draft = draft, .bodies = 1 + draw(state, 6), .fills = draw(state, 3) == 0};
    w->pooled = draw(state, 3) == 0;
    unsigned theme = draw(state, 10);
    for (unsigned i = 0; i < 4; i++)
        w->kinds[i] = theme < sizeof themes / sizeof *themes ? themes[theme][i]
                                                             : (uint8_t)draw(state, WORLD_KINDS);
    memset(w->kind, WORLD_KINDS, sizeof w->kind);
}

static void write_bodies(struct writer *w) {
    struct command command;
    for (unsigned body = 1; body <= w->bodies; body++) {
        for (unsigned left = draw(w->state, 4); left > 0; left--) {
            command = any_command(w, body);
            put(w->draft, body, &command);
        }
        if (draw(w->state, 3) != 0)
            continue;
        memset(&command, 0, sizeof command);
        command.kind = COMMAND_RETURN;
        command.value = ET_REARM;
        put(w->draft, body, &command);
    }
    for (unsigned left = draw(w->state, 16); left > 0; left--) {
        command = any_command(w, PROGRAM_BODY_WORLD);
        put(w->draft, PROGRAM_BODY_WORLD, &command);
    }
}

static void write_from_scratch(struct program *p, uint64_t *state) {
    static struct draft draft;
    struct writer w;
    draft.count = 0;
    begin_writing(&w, state, &draft);
    unsigned handles = 1 + draw(state, PROGRAM_FEW);
    if (w.pooled) {
        struct command command;
        memset(&command, 0, sizeof command);
        command.kind = COMMAND_POOL;
        command.value = 1 + draw(state, 3);
        put(&draft, 0, &command);
    }
    for (unsigned d = 0; d < handles; d++) {
        struct command command;
        memset(&command, 0, sizeof command);
        command.kind = COMMAND_OPEN;
        command.d = (uint8_t)d;
        command.value = w.kind[d] = w.kinds[draw(state, 4)];
        put(&draft, 0, &command);
    }
    for (unsigned left = 5 + draw(state, COMMANDS_OF_MAIN); left > 0; left--) {
        struct command command = any_command(&w, 0);
        put(&draft, 0, &command);
    }
    write_bodies(&w);
    finish(&draft, p);
}

static void change_a_field(struct command *command, uint64_t *state) {
    switch (draw(state, 4)) {
    case 0: command->c = (uint16_t)draw(state, PROGRAM_FEW); break;
    case 1: command->d = (uint16_t)draw(state, PROGRAM_FEW); break;
    case 2: command->value = draw(state, 8); break;
    default: command->other = (uint16_t)draw(state, PROGRAM_FEW); break;
    }
    if (command->kind == COMMAND_RETURN)
        command->value &= 1;
}

/* Before the one at `at`, or at the end; unless there is no room. */
static void insert(struct draft *draft, unsigned at, unsigned body, const struct command *command) {
    if (draft->count == PROGRAM_COMMANDS_MAX)
        return;
    memmove(&draft->body[at + 1], &draft->body[at], draft->count - at);
    memmove(&draft->command[at + 1], &draft->command[at], (draft->count - at) * sizeof *command);
    draft->body[at] = (uint8_t)body;
    draft->command[at] = *command;
    draft->count++;
}

static void change(struct program *p, uint64_t *state, const struct program *base) {
    static struct draft draft;
    struct writer w;
    reopen(base, &draft);
    begin_writing(&w, state, &draft);
    for (unsigned i = 0; i < draft.count; i++)
        if (draft.command[i].kind == COMMAND_OPEN && draft.command[i].d < PROGRAM_FEW)
            w.kind[draft.command[i].d] =
                (uint8_t)(draft.command[i].value < WORLD_KINDS ? draft.command[i].value
                                                               : WORLD_KINDS);
    for (unsigned left = 1 + draw(state, 10); left > 0 && draft.count > 0; left--) {
        unsigned at = draw(state, draft.count), body = draft.body[at];
        struct command command = any_command(&w, body);
        switch (draw(state, 5)) {
        case 0: draft.command[at] = command; break;
        case 1: change_a_field(&draft.command[at], state); break;
        case 2: insert(&draft, at, body, &draft.command[draw(state, draft.count)]); break;
        default: insert(&draft, at, body, &command); break;
        }
    }
    finish(&draft, p);
}

/* A seed means its program for good, and these bytes had another meaning when seeds began. */
static void as_it_was(uint8_t *record) {
    static struct program p;
    program_decode(&p, record, PROGRAM_RECORD);
    const struct command *command = &p.command[0];
    bool moves_clock = command->kind == COMMAND_ADVANCE || command->kind == COMMAND_REWIND;
    if (moves_clock || command->operation == ET_OPERATIONS) /* of a table that was half as long */
        record[3] &= 63;
    else if (command->kind == COMMAND_CANCEL && command->other == PROGRAM_COMPLETIONS)
        record[1] &= 0xbf;
    else if (command->other == PROGRAM_COMPLETIONS && command->operation == ET_CANCEL)
        record[3] = 7;
}

static void decode_bytes(struct program *p, uint64_t *state) {
    static uint8_t bytes[PROGRAM_COMMANDS_MAX * PROGRAM_RECORD];
    size_t size = PROGRAM_RECORD * (1 + draw(state, 200));
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)generator_random(state);
    for (size_t i = 0; i < size;
         /* most of it in the main sequence, and something open in the beginning */
         i += PROGRAM_RECORD)
        bytes[i] = i < 32 ? 15 : bytes[i] & (draw(state, 2) ? 0x1f : 0xff);
    for (size_t i = 0; i < size; i += PROGRAM_RECORD)
        as_it_was(bytes + i);
    program_decode(p, bytes, size);
}

/* A command that stands where it may not stand, or that the real kernel or the subject cannot do,
 * goes. */
static void tidy(struct program *p, const struct generator_subject *subject) {
    static struct draft draft;
    unsigned kept = 0;
    reopen(p, &draft);
    for (unsigned i = 0; i < draft.count; i++) {
        const struct command *command = &draft.command[i];
        bool misplaced =
            (draft.body[i] == 0 && command->kind == COMMAND_RETURN) ||
            (draft.body[i] == PROGRAM_BODY_WORLD && command->kind < COMMAND_FIRST_OF_WORLD);
        bool possible = subject == NULL || subject->can(subject->self, command);
        if (misplaced || only_simulated(command) || !possible)
            continue;
        draft.body[kept] = draft.body[i];
        draft.command[kept++] = *command;
    }
    draft.count = kept;
    finish(&draft, p);
}

/* ---- careful programs ------------------------------------------------------------------------ */

#define CAREFUL_COMMANDS 24
#define DESCRIPTORS      4
#define ASYNC            DESCRIPTORS /* the handle of the one async */

struct careful {
    uint64_t *state;
    const struct generator_subject *subject;
    struct draft *draft;
    unsigned body;
    unsigned kind[DESCRIPTORS];
};

static bool can(const struct careful *w, const struct command *command) {
    return w->subject->can(w->subject->self, command);
}

static bool can_do(const struct careful *w, unsigned kind, uint64_t value) {
    return can(w, &(struct command){.kind = (uint8_t)kind, .value = value});
}

static bool can_submit(const struct careful *w, unsigned operation) {
    return can(w, &(struct command){.kind = COMMAND_SUBMIT, .operation = (uint8_t)operation});
}

/* About where milliseconds, or a deadline in a finer unit, are more than 31, 32, 63 or 64 bits. */
static uint64_t far_delay(struct careful *w) {
    static const uint64_t units[] = {1, 1000, 1000000};
    static const uint64_t ends[] = {INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    unsigned end = draw(w->state, sizeof ends / sizeof *ends);
    uint64_t unit = end < 2 ? 1 : units[draw(w->state, 3)];
    return ends[end] / unit + draw(w->state, 8) - (end == 3 ? 7 : 0);
}

/* What can be asked of a descriptor of that kind, by operation; a poll is one of several. */
static const uint8_t of_kind[WORLD_KINDS][12] = {
    [WORLD_PIPE_READER] = {ET_POLL, ET_READ, ET_CLOSE},
    [WORLD_PIPE_WRITER] = {ET_POLL, ET_WRITE, ET_CLOSE},
    [WORLD_STREAM] = {ET_POLL, ET_READ, ET_WRITE, ET_SEND, ET_RECV, ET_SENDMSG, ET_RECVMSG,
                      ET_SHUTDOWN, ET_CLOSE},
    [WORLD_DATAGRAM] = {ET_POLL, ET_SEND, ET_RECV, ET_SENDMSG, ET_RECVMSG, ET_CLOSE},
    [WORLD_LISTENER] = {ET_ACCEPT, ET_ACCEPT, ET_CLOSE},
    [WORLD_SOCKET] = {ET_CONNECT, ET_CONNECT, ET_CLOSE},
    [WORLD_FILE] = {ET_READ, ET_WRITE, ET_PREAD, ET_PWRITE, ET_CLOSE},
};

/* An operation of descriptor d, if the subject offers one: half of them polls, where those are
 * possible. */
static bool draw_careful(struct careful *w, unsigned d, struct command *c) {
    const uint8_t *possible = of_kind[w->kind[d]];
    c->value = POLLIN;
    unsigned offered = 0;
    uint8_t operation[12];
    for (unsigned i = 0; i < sizeof operation && possible[i] != ET_NOOP; i++) {
        c->operation = possible[i];
        if (can(w, c))
            operation[offered++] = possible[i];
    }
    if (offered == 0)
        return false;
    c->operation = operation[0] == ET_POLL && draw(w->state, 2) == 0
                       ? ET_POLL
                       : operation[draw(w->state, offered)];
    bool shares = c->operation != ET_POLL && w->subject->shares && draw(w->state, 3) == 0;
    c->c = (uint16_t)(shares ? draw(w->state, PROGRAM_FEW) : d);
    c->d = (uint8_t)d;
    c->value = 1 + draw(w->state, 8);
    if (c->operation == ET_POLL)
        c->value = w->kind[d] == WORLD_PIPE_READER   ? 1
                   : w->kind[d] == WORLD_PIPE_WRITER ? 4
                                                     : 1 + draw(w->state, 2) * 4;
    else if (c->operation == ET_SHUTDOWN)
        c->value = draw(w->state, 3);
    else if (c->operation == ET_ACCEPT)
        c->other = (uint16_t)(DESCRIPTORS + 1 + draw(w->state, PROGRAM_FEW - DESCRIPTORS - 1));
    else if (c->operation == ET_CONNECT)
        c->other = (uint8_t)draw(w->state, DESCRIPTORS);
    return true;
}

/* A completion for a descriptor or a timer: each descriptor has one of its own where only one may
 * wait on it. */
static struct command careful_operation(struct careful *w) {
    struct command c = {.kind = COMMAND_SUBMIT, .body = (uint8_t)(1 + draw(w->state, 4))};
    unsigned d = draw(w->state, DESCRIPTORS);
    if (can_do(w, COMMAND_ASYNC_WAIT, 0) && draw(w->state, 5) == 0) {
        c.kind = COMMAND_ASYNC_WAIT;
        c.c = (uint8_t)(5 + draw(w->state, 3));
        c.d = ASYNC;
        return c;
    }
    if (can_submit(w, ET_NOOP) && draw(w->state, 12) == 0) {
        c.operation = ET_NOOP;
        c.c = (uint16_t)draw(w->state, PROGRAM_FEW);
        return c;
    }
    if (draw(w->state, 2) == 0 || !draw_careful(w, d, &c)) {
        static const uint8_t delays[] = {0, 1, 1, 2, 3, 5, 5, 10, 10, 20};
        c = (struct command){.kind = COMMAND_TIMER, .body = c.body};
        c.c = (uint8_t)(4 + draw(w->state, 4));
        c.value = draw(w->state, 16) == 0 ? far_delay(w) : delays[draw(w->state, sizeof delays)];
        return c;
    }
    return c;
}

static struct command careful_call(struct careful *w) {
    struct command c = careful_operation(w);
    switch (draw(w->state, 10)) {
    case 0:
    case 1:
        if (can_do(w, COMMAND_DELETE, 0))
            return (struct command){.kind = COMMAND_DELETE,
                                    .c = (uint16_t)draw(w->state, PROGRAM_FEW)};
        break;
    case 2:
        if (can_do(w, COMMAND_RESET, 0)) {
            struct command reset = {.kind = COMMAND_RESET,
                                    .c = (uint8_t)(5 + draw(w->state, 3)),
                                    .other = 4,
                                    .body = c.body};
            reset.value = draw(w->state, 16) == 0 ? far_delay(w) : draw(w->state, 12);
            struct command alone = reset;
            alone.other = PROGRAM_COMPLETIONS;
            return can(w, &alone) && (reset.value & 1) != 0 ? alone : reset;
        }
        break;
    case 3:
        if (can_do(w, COMMAND_CANCEL, 0))
            return (struct command){.kind = COMMAND_CANCEL,
                                    .c = 4,
                                    .other = (uint16_t)draw(w->state, PROGRAM_FEW - 4),
                                    .body = c.body};
        break;
    default: break;
    }
    return c;
}

static struct command careful_act(struct careful *w) {
    struct command c = {.kind = COMMAND_ADVANCE, .d = (uint8_t)draw(w->state, DESCRIPTORS)};
    if (can_do(w, COMMAND_ASYNC_WAIT, 0) && draw(w->state, 4) == 0)
        return (struct command){.kind = COMMAND_NOTIFY, .d = ASYNC};
    switch (draw(w->state, can_do(w, COMMAND_WAKEUP, 0) ? 6 : 5)) {
    case 0: c.value = UINT64_C(1000) * draw(w->state, 12000); break;
    case 1: c.value = UINT64_C(1000000) * draw(w->state, 12); break;
    case 2:
    case 3:
        c.kind = w->kind[c.d] == WORLD_LISTENER ? COMMAND_PEER_CONNECT : COMMAND_PEER_WRITE;
        c.value = 1 + draw(w->state, 8);
        return c;
    case 4:
        c.kind = draw(w->state, 4) == 0 ? COMMAND_PEER_CLOSE : COMMAND_PEER_READ, c.value = 4096;
        return c;
    default: c.kind = COMMAND_WAKEUP;
    }
    c.d = 0;
    return c;
}

static struct command careful_turn(struct careful *w) {
    struct command c = {.kind = COMMAND_RUN};
    uint64_t drawn = generator_random(w->state);
    uint64_t mode = drawn % 3;
    if (can_do(w, COMMAND_RUN, ET_RUN_TURN) && (drawn >> 32) % 4 == 0)
        mode = ET_RUN_TURN;
    if (mode == ET_RUN_NO_WAIT && !can_do(w, COMMAND_RUN, ET_RUN_NO_WAIT))
        mode = ET_RUN_ONCE;
    if (mode == ET_RUN_ONCE && !can_do(w, COMMAND_RUN, ET_RUN_ONCE))
        mode = ET_RUN_UNTIL_DONE;
    c.value = mode;
    return c;
}

static void careful_body(struct careful *w, unsigned number) {
    w->body = number;
    unsigned count = number == 1 ? 0 : draw(w->state, 3);
    for (unsigned i = 0; i < count; i++) {
        struct command c = draw(w->state, 4) == 0 ? careful_act(w) : careful_call(w);
        put(w->draft, w->body, &c);
    }
    if (w->subject->nests && draw(w->state, 6) == 0) {
        struct command run = careful_turn(w);
        put(w->draft, w->body, &run);
    }
    if (number == 4 && can_do(w, COMMAND_STOP, 0) && draw(w->state, 3) == 0) {
        struct command stop = {.kind = COMMAND_STOP};
        put(w->draft, w->body, &stop);
    }
    if (number == 3 && can_do(w, COMMAND_RETURN, ET_REARM) && draw(w->state, 2) == 0) {
        struct command rearm = {.kind = COMMAND_RETURN, .value = 1};
        put(w->draft, w->body, &rearm);
    }
}

static void careful_main(struct careful *w) {
    static const uint8_t kinds[] = {WORLD_STREAM, WORLD_PIPE_READER, WORLD_PIPE_WRITER,
                                    WORLD_STREAM, WORLD_DATAGRAM,    WORLD_LISTENER,
                                    WORLD_SOCKET, WORLD_FILE};
    unsigned some = w->subject->files           ? 8
                    : can_submit(w, ET_CONNECT) ? 7
                    : can_submit(w, ET_ACCEPT)  ? 6
                                                : 5;
    for (unsigned d = 0; d < DESCRIPTORS; d++) {
        w->kind[d] = kinds[draw(w->state, some)];
        struct command any = {.kind = COMMAND_SUBMIT};
        if (!draw_careful(w, d, &any)) /* there is nothing to do with it */
            continue;
        struct command open = {.kind = COMMAND_OPEN, .d = (uint8_t)d, .value = w->kind[d]};
        put(w->draft, w->body, &open);
    }
    if (can_do(w, COMMAND_ASYNC_WAIT, 0)) {
        struct command open = {.kind = COMMAND_OPEN, .d = ASYNC, .value = WORLD_ASYNC};
        put(w->draft, w->body, &open);
    }
    unsigned count = 4 + draw(w->state, CAREFUL_COMMANDS);
    for (unsigned i = 0; i < count; i++) {
        unsigned which = draw(w->state, 10);
        struct command c = which < 5   ? careful_call(w)
                           : which < 7 ? careful_act(w)
                                       : careful_turn(w);
        put(w->draft, w->body, &c);
    }
    struct command last = careful_turn(w);
    put(w->draft, w->body, &last);
}

static void write_carefully(struct program *p, uint64_t *state,
                            const struct generator_subject *subject) {
    static struct draft draft;
    struct careful w = {.state = state, .subject = subject, .draft = &draft};
    draft.count = 0;
    careful_main(&w);
    for (unsigned body = 1; body < PROGRAM_BODY_WORLD; body++)
        careful_body(&w, body);
    w.body = PROGRAM_BODY_WORLD;
    for (unsigned left = draw(state, 6); left > 0; left--) {
        struct command c = careful_act(&w);
        put(&draft, w.body, &c);
    }
    finish(&draft, p);
}

/* ---- all of them ----------------------------------------------------------------------------- */

void generate_program(struct program *p, uint64_t *state, const struct program *const *bases,
                      unsigned count, const struct generator_subject *subject) {
    if (subject != NULL && subject->careful) {
        write_carefully(p, state, subject);
        return;
    }
    unsigned which = draw(state, 10);
    if (which < 2)
        decode_bytes(p, state);
    else if (which < 5 && count > 0)
        change(p, state, bases[draw(state, count)]);
    else
        write_from_scratch(p, state);
    tidy(p, subject);
}
