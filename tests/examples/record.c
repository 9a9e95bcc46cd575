/* SPDX-License-Identifier: MIT */
/* How a program records what its event loop does, so that `etalon judge` can check it against the
 * law: spec/trace-format.md, section 3. Here the loop is Etalon's own; with another one the six
 * functions of the first part look the same.
 *
 *   record [--rounds N] [--timers N] >FILE.ndjson        etalon judge FILE.ndjson
 *
 * A pipe is written to and read from, beside timers that are rearmed, reset, cancelled and deleted.
 * Exit status: 0, or 1 and a message. */
#include <errno.h>
#include "../../src/etalon.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the recorder ---------------------------------------------------------------------------- */

/* What it can see: every call with its return value and the state after it, every callback, and the
 * loop's time. Not: what the loop asks of the kernel. Those who only see calls and callbacks leave
 * the list empty. */
static void record_header(void) {
    puts("{\"etalon-recording\":1,\"subject\":\"etalon, by "
         "tests/examples/record.c\",\"observes\":[\"time\",\"states\"]}");
}

static const char *const state_name[] = {"dead", "adding", "active", "deleting"};

/* The number of a completion: any that is its own. Here, its place; an address will do as well. */
static size_t number_of(const struct et_completion *c);

/* After each call; `rest` is what the kind of call needs besides: the description, the carrier, the
 * delay. */
static int record_call(struct et_loop *loop, const char *call, const struct et_completion *c,
                       const char *rest, int result, const struct et_completion *whose_state) {
    printf("{\"call\":\"%s\",\"c\":%zu%s,\"returns\":%d,\"state\":\"%s\",\"now\":%" PRIu64 "}\n",
           call, number_of(c), rest, result, state_name[et_completion_state(whose_state)],
           et_loop_now(loop));
    return result;
}

static int record_tick(struct et_loop *loop, unsigned callbacks) {
    printf("{\"call\":\"tick\",\"callbacks\":%u,\"now\":%" PRIu64 "}\n", callbacks,
           et_loop_now(loop));
    int result = et_loop_tick(loop, callbacks);
    printf("{\"end\":\"tick\",\"returns\":%d,\"now\":%" PRIu64 "}\n", result, et_loop_now(loop));
    return result;
}

/* First and last thing in every callback. What is rearmed is described as by add. */
static void record_callback(struct et_loop *loop, const struct et_completion *c, int64_t result) {
    printf("{\"callback\":%zu,\"result\":%" PRId64 ",\"now\":%" PRIu64 "}\n", number_of(c), result,
           et_loop_now(loop));
}

static enum et_action record_return(struct et_loop *loop, const struct et_completion *c,
                                    enum et_action action, const char *description) {
    printf("{\"returned\":%zu,\"action\":\"%s\"%s,\"now\":%" PRIu64 "}\n", number_of(c),
           action == ET_REARM ? "rearm" : "disarm", action == ET_REARM ? description : "",
           et_loop_now(loop));
    return action;
}

/* ---- the program that is recorded ------------------------------------------------------------ */

enum { READER, WRITER, IDLE, CARRIER, DOOMED, CANCEL, TIMERS, TIMERS_MAX = 800 };
static struct et_completion completion[TIMERS + TIMERS_MAX];
static char text[TIMERS + TIMERS_MAX][48]; /* descriptions */
static char byte[2];
static unsigned rounds = 100, timers = 4;

static size_t number_of(const struct et_completion *c) {
    return (size_t)(c - completion);
}

static enum et_action on_anything(struct et_loop *loop, struct et_completion *c, int64_t result,
                                  void *userdata) {
    enum et_action action =
        result >= 0 && rounds > 0 && c >= &completion[TIMERS] ? ET_REARM : ET_DISARM;
    record_callback(loop, c, result);
    if (c == &completion[READER] && result > 0 && rounds > 0) {
        record_call(loop, "add", &completion[WRITER], text[WRITER],
                    et_loop_add(loop, &completion[WRITER]), &completion[WRITER]);
        int reset = et_loop_timer_reset(loop, &completion[IDLE], &completion[CARRIER], 50,
                                        on_anything, userdata);
        record_call(loop, "reset", &completion[IDLE], ",\"by\":3,\"delay_ms\":50", reset,
                    &completion[IDLE]);
        action = ET_REARM;
    }
    return record_return(loop, c, action, text[number_of(c)]);
}

static void describe(size_t i, enum et_operation operation, int fd, uint64_t delay_ms) {
    struct et_completion *c = &completion[i];
    c->operation = (uint8_t)operation;
    c->callback = on_anything;
    c->fd = fd;
    if (operation == ET_TIMER) {
        c->timer.delay_ms = delay_ms;
        snprintf(text[i], sizeof text[i], ",\"op\":\"timer\",\"delay_ms\":%" PRIu64, delay_ms);
        return;
    }
    c->read.buffer = byte; /* write, too */
    c->read.length = 1;
    snprintf(text[i], sizeof text[i], ",\"op\":\"%s\",\"fd\":%d",
             operation == ET_READ ? "read" : "write", fd);
}

static void add(struct et_loop *loop, size_t i) {
    record_call(loop, "add", &completion[i], text[i], et_loop_add(loop, &completion[i]),
                &completion[i]);
}

static int run(struct et_loop *loop) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return -errno;
    record_header();
    describe(READER, ET_READ, ends[0], 0);
    describe(WRITER, ET_WRITE, ends[1], 0);
    describe(IDLE, ET_TIMER, -1, 50);
    describe(DOOMED, ET_TIMER, -1, 1000);
    for (size_t i = 0; i < TIMERS + timers; i++) {
        if (i >= TIMERS)
            describe(i, ET_TIMER, -1, i % 3);
        if (i != CARRIER && i != CANCEL)
            add(loop, i);
    }
    int result = record_tick(loop, 1);
    int cancelled =
        et_loop_cancel(loop, &completion[CANCEL], &completion[DOOMED], on_anything, NULL);
    record_call(loop, "cancel", &completion[DOOMED], ",\"by\":5", cancelled, &completion[CANCEL]);
    for (; result == 0 && rounds > 0; rounds--)
        result = record_tick(loop, 1 + rounds % 3);
    for (size_t i = 0; i < TIMERS + timers; i++)
        record_call(loop, "delete", &completion[i], "", et_loop_delete(loop, &completion[i]),
                    &completion[i]);
    result = result == 0 ? record_tick(loop, 0) : result;
    close(ends[0]);
    close(ends[1]);
    return result;
}

int main(int argc, char **argv) {
    struct et_loop loop;
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned number = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--rounds") == 0)
            rounds = number;
        else if (strcmp(argv[i], "--timers") == 0 && number <= TIMERS_MAX)
            timers = number;
        else
            argc = 0;
    }
    if (argc % 2 == 0) {
        fprintf(stderr, "usage: record [--rounds N] [--timers N, at most %d]\n", TIMERS_MAX);
        return 2;
    }
    int result = et_loop_init(&loop, NULL);
    if (result == 0) {
        result = run(&loop);
        et_loop_deinit(&loop);
    }
    if (result != 0 || fflush(stdout) != 0) {
        fprintf(stderr, "record: %s\n",
                result != 0 ? strerror(-result) : "the output cannot be written");
        return 1;
    }
    return 0;
}
