/* SPDX-License-Identifier: MIT */
/* Random programs for a subject: of what it offers, and of nothing that it leaves undefined. */
#ifndef ETALON_WITHOUT_KIT

#include <poll.h>
#include <string.h>

#include "../../src/etalon_vocabulary.h"
#include "../../fuzz/driver/lively.h"
#include "../../fuzz/driver/shrink.h"
#include "kit.h"

#define MAIN_COMMANDS 24
#define DESCRIPTORS   4
/* Who offers this can be asked for most of what there is, and each second program is one of those
 * for the reference. */
#define EVERYTHING                                                                                 \
    (ETALON_OFFERS_CHECKED | ETALON_OFFERS_GUARDED | ETALON_OFFERS_READD | ETALON_OFFERS_STATE |   \
     ETALON_OFFERS_READ | ETALON_OFFERS_SEND)
#define ASYNC DESCRIPTORS /* the handle of the one async */

struct writer {
    uint64_t state, offers;
    const struct etalon_subject *subject;
    unsigned kind[DESCRIPTORS];
    struct program *program;
};

static unsigned draw(struct writer *w, unsigned below) {
    return (unsigned)(lively_random(&w->state) % below);
}

static bool has(const struct writer *w, uint64_t what) {
    return (w->offers & what) == what;
}

static void put(struct writer *w, const struct command *command) {
    if (w->program->commands < PROGRAM_COMMANDS_MAX)
        w->program->command[w->program->commands++] = *command;
}

/* About where milliseconds, or a deadline in a finer unit, are more than 31, 32, 63 or 64 bits. */
static uint64_t far_delay(struct writer *w) {
    static const uint64_t units[] = {1, 1000, 1000000};
    static const uint64_t ends[] = {INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    unsigned end = draw(w, sizeof ends / sizeof *ends);
    return (end < 2 ? ends[end] : ends[end] / units[draw(w, 3)]) + draw(w, 8) - (end == 3 ? 7 : 0);
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
static bool draw_operation(struct writer *w, unsigned d, struct command *c) {
    const uint8_t *possible = of_kind[w->kind[d]];
    c->value = POLLIN;
    unsigned offered = 0;
    uint8_t operation[12];
    for (unsigned i = 0; i < sizeof operation && possible[i] != ET_NOOP; i++) {
        c->operation = possible[i];
        if (kit_can(w->subject, c))
            operation[offered++] = possible[i];
    }
    if (offered == 0)
        return false;
    c->operation =
        operation[0] == ET_POLL && draw(w, 2) == 0 ? ET_POLL : operation[draw(w, offered)];
    bool shares = c->operation != ET_POLL && has(w, ETALON_OFFERS_MANY_POLLS) && draw(w, 3) == 0;
    c->c = (uint8_t)(shares ? draw(w, PROGRAM_COMPLETIONS) : d);
    c->d = (uint8_t)d;
    c->value = 1 + draw(w, 8);
    if (c->operation == ET_POLL)
        c->value = w->kind[d] == WORLD_PIPE_READER   ? 1
                   : w->kind[d] == WORLD_PIPE_WRITER ? 4
                                                     : 1 + draw(w, 2) * 4;
    else if (c->operation == ET_SHUTDOWN)
        c->value = draw(w, 3);
    else if (c->operation == ET_ACCEPT)
        c->other = (uint8_t)(DESCRIPTORS + 1 + draw(w, PROGRAM_HANDLES - DESCRIPTORS - 1));
    else if (c->operation == ET_CONNECT)
        c->other = (uint8_t)draw(w, DESCRIPTORS);
    return true;
}

/* A completion for a descriptor or a timer: each descriptor has one of its own where only one may
 * wait on it. */
static struct command operation(struct writer *w) {
    struct command c = {.kind = COMMAND_SUBMIT, .body = (uint8_t)(1 + draw(w, 4))};
    unsigned d = draw(w, DESCRIPTORS);
    if (has(w, ETALON_OFFERS_ASYNC) && draw(w, 5) == 0) {
        c.kind = COMMAND_ASYNC_WAIT;
        c.c = (uint8_t)(5 + draw(w, 3));
        c.d = ASYNC;
        return c;
    }
    if (has(w, ETALON_OFFERS_NOOP) && draw(w, 12) == 0) {
        c.operation = ET_NOOP;
        c.c = (uint8_t)draw(w, PROGRAM_COMPLETIONS);
        return c;
    }
    if (draw(w, 2) == 0 || !draw_operation(w, d, &c)) {
        static const uint8_t delays[] = {0, 1, 1, 2, 3, 5, 5, 10, 10, 20};
        c = (struct command){.kind = COMMAND_TIMER, .body = c.body};
        c.c = (uint8_t)(4 + draw(w, 4));
        c.value = draw(w, 16) == 0 ? far_delay(w) : delays[draw(w, sizeof delays)];
        return c;
    }
    return c;
}

static struct command on_the_loop(struct writer *w) {
    struct command c = operation(w);
    switch (draw(w, 10)) {
    case 0:
    case 1:
        if (has(w, ETALON_OFFERS_DELETE))
            return (struct command){.kind = COMMAND_DELETE,
                                    .c = (uint8_t)draw(w, PROGRAM_COMPLETIONS)};
        break;
    case 2:
        if (has(w, ETALON_OFFERS_RESET)) {
            struct command reset = {
                .kind = COMMAND_RESET, .c = (uint8_t)(5 + draw(w, 3)), .other = 4, .body = c.body};
            reset.value = draw(w, 16) == 0 ? far_delay(w) : draw(w, 12);
            return reset;
        }
        break;
    case 3:
        if (has(w, ETALON_OFFERS_CANCEL))
            return (struct command){.kind = COMMAND_CANCEL,
                                    .c = 4,
                                    .other = (uint8_t)draw(w, PROGRAM_COMPLETIONS - 4),
                                    .body = c.body};
        break;
    default: break;
    }
    return c;
}

static struct command in_the_world(struct writer *w) {
    struct command c = {.kind = COMMAND_ADVANCE, .d = (uint8_t)draw(w, DESCRIPTORS)};
    if (has(w, ETALON_OFFERS_ASYNC) && draw(w, 4) == 0)
        return (struct command){.kind = COMMAND_NOTIFY, .d = ASYNC};
    switch (draw(w, has(w, ETALON_OFFERS_WAKEUP) ? 6 : 5)) {
    case 0: c.value = draw(w, 12000); break;
    case 1: c.value = 1000 * draw(w, 12); break;
    case 2:
    case 3:
        c.kind = w->kind[c.d] == WORLD_LISTENER ? COMMAND_PEER_CONNECT : COMMAND_PEER_WRITE;
        c.value = 1 + draw(w, 8);
        return c;
    case 4:
        c.kind = draw(w, 4) == 0 ? COMMAND_PEER_CLOSE : COMMAND_PEER_READ, c.value = 4096;
        return c;
    default: c.kind = COMMAND_WAKEUP;
    }
    c.d = 0;
    return c;
}

static struct command turn(struct writer *w) {
    struct command c = {.kind = COMMAND_RUN};
    unsigned mode = draw(w, 3);
    if (mode == ET_RUN_NO_WAIT && !has(w, ETALON_OFFERS_NO_WAIT))
        mode = ET_RUN_ONCE;
    if (mode == ET_RUN_ONCE && !has(w, ETALON_OFFERS_ONCE))
        mode = ET_RUN_UNTIL_DONE;
    c.value = mode;
    return c;
}

static void body(struct writer *w, unsigned number) {
    struct program *p = w->program;
    p->first[number] = p->commands;
    unsigned count = number == 1 ? 0 : draw(w, 3);
    for (unsigned i = 0; i < count; i++) {
        struct command c = draw(w, 4) == 0 ? in_the_world(w) : on_the_loop(w);
        put(w, &c);
    }
    if (number == 4 && has(w, ETALON_OFFERS_STOP) && draw(w, 3) == 0) {
        struct command stop = {.kind = COMMAND_STOP};
        put(w, &stop);
    }
    if (number == 3 && has(w, ETALON_OFFERS_REARM) && draw(w, 2) == 0) {
        struct command rearm = {.kind = COMMAND_RETURN, .value = 1};
        put(w, &rearm);
    }
    p->count[number] = (uint16_t)(p->commands - p->first[number]);
}

static void main_body(struct writer *w) {
    static const uint8_t kinds[] = {WORLD_STREAM, WORLD_PIPE_READER, WORLD_PIPE_WRITER,
                                    WORLD_STREAM, WORLD_DATAGRAM,    WORLD_LISTENER,
                                    WORLD_SOCKET, WORLD_FILE};
    unsigned some = has(w, ETALON_OFFERS_FILES)     ? 8
                    : has(w, ETALON_OFFERS_CONNECT) ? 7
                    : has(w, ETALON_OFFERS_ACCEPT)  ? 6
                                                    : 5;
    struct program *p = w->program;
    p->first[0] = 0;
    for (unsigned d = 0; d < DESCRIPTORS; d++) {
        w->kind[d] = kinds[draw(w, some)];
        struct command any = {.kind = COMMAND_SUBMIT};
        if (!draw_operation(w, d, &any)) /* there is nothing to do with it */
            continue;
        struct command open = {.kind = COMMAND_OPEN, .d = (uint8_t)d, .value = w->kind[d]};
        put(w, &open);
    }
    if (has(w, ETALON_OFFERS_ASYNC)) {
        struct command open = {.kind = COMMAND_OPEN, .d = ASYNC, .value = WORLD_ASYNC};
        put(w, &open);
    }
    unsigned count = 4 + draw(w, MAIN_COMMANDS);
    for (unsigned i = 0; i < count; i++) {
        unsigned which = draw(w, 10);
        struct command c = which < 5 ? on_the_loop(w) : which < 7 ? in_the_world(w) : turn(w);
        put(w, &c);
    }
    struct command last = turn(w);
    put(w, &last);
    p->count[0] = p->commands;
}

void random_program(struct program *program, uint64_t seed, uint64_t number,
                    const struct etalon_subject *subject) {
    struct writer w = {.state = seed << 32 ^ number,
                       .offers = subject->offers,
                       .subject = subject,
                       .program = program};
    memset(program, 0, sizeof *program);
    if ((subject->offers & ETALON_OFFERS_ROUNDS) != 0 ||
        ((subject->offers & EVERYTHING) == EVERYTHING && number % 2 != 0)) {
        lively_program(program, &w.state, NULL, 0);
        for (unsigned i = program->commands; i-- > 0;)
            if (!kit_can(subject, &program->command[i]))
                program_remove(program, i, 1);
        return;
    }
    main_body(&w);
    for (unsigned b = 1; b < PROGRAM_BODY_WORLD; b++)
        body(&w, b);
    program->first[PROGRAM_BODY_WORLD] = program->commands;
    unsigned count = draw(&w, 6);
    for (unsigned i = 0; i < count; i++) {
        struct command c = in_the_world(&w);
        put(&w, &c);
    }
    program->count[PROGRAM_BODY_WORLD] = (uint16_t)count;
}

#else
typedef int nothing_here;
#endif
