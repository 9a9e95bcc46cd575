/* SPDX-License-Identifier: MIT */
/* The notations of programs: what is decoded can be encoded, written and read back; what is
 * malformed is refused with the line where it is wrong; no bytes crash the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "../../fuzz/driver/generator.h"
#include "../../model/program.h"
#include "../../model/words.h"

#define RANDOM_PROGRAMS 30000
#define BYTES_MAX       (PROGRAM_COMMANDS_MAX * PROGRAM_RECORD)
#define SLOT_OF_FAIL    24

/* Every kind of line, command and operation. */
/* clang-format off */
static const char valid[] =
    "# every kind of line\n"
    "etalon-trace 1\n"
    "title an active timer is deleted, then added again (libxev #234) \xc3\xa9\n"
    "clause ET-DELETE-3 ET-ADD-4\n"
    "clause ET-STATE-1 # one more\n"
    "simulated\n"
    "\n"
    "body 1\n"
    "  delete c0\n"
    "  return rearm\n"
    "main\n"
    "  open d0 stream\n"
    "  open d7 pipe_writer # a comment\n"
    "  submit c0 noop\n"
    "  submit c0 unknown on_pool do b1\n"
    "  submit c1 cancel none\n"
    "  cancel none by c1\n"
    "  rewind 1500us\n"
    "  submit c0 recv d0 16 do b1\n"
    "  submit c1 cancel c0\n"
    "  submit c2 accept d1 into d3 do b2\n"
    "  submit c3 connect d2 to d1\n"
    "  submit c4 poll d0 in|out do b1\n"
    "  submit c4 poll d0 0\n"
    "  submit c4 poll bad pri|rdhup|1073741856\n"
    "  submit c5 shutdown d0 wr\n"
    "  submit c5 shutdown huge 3\n"
    "  submit c5 close d0\n"
    "  describe c6 read d0 32 on_pool\n"
    "  describe c6 timer 18446744073709551615ms on_pool do b6\n"
    "  timer c0 10ms do b1\n"
    "  reset c0 by c1 5ms do b2\n"
    "  cancel c0 by c1 do b3\n"
    "  add c0\n"
    "  delete c0\n"
    "  forget c0\n"
    "  stop\n"
    "  update_now\n"
    "  timeout\n"
    "  descriptor\n"
    "  deinit\n"
    "  pool 2\n"
    "  open d2 async\n"
    "  async_wait c0 d2 do b1\n"
    "  notify d2\n"
    "  step w3\n"
    "  fail thread EAGAIN at 1\n"
    "  wakeup\n"
    "  tick 1\n"
    "  run once\n"
    "  run no_wait\n"
    "  run until_done\n"
    "  run turn\n"
    "  run 4\n"
    "  close d0\n"
    "  dup d0 to d1\n"
    "  peer_write d0 18446744073709551615\n"
    "  peer_read d0 4\n"
    "  peer_close d0\n"
    "  peer_shutdown d0\n"
    "  peer_connect d0\n"
    "  advance 1500us\n"
    "  advance 2ms\n"
    "  advance 3s\n"
    "  advance 18446744073709551615ns\n"
    "  fail epoll_ctl ENOMEM at 1\n"
    "  spurious d0 in\n"
    "  order 1\n"
    "  batch 2\n"
    "  limit 4\n"
    "  > timer c0 10ms do b1 = 0, adding\n"
    "\t >callback c0 -ECANCELED # no comment\t \n"
    "body world\n"
    "  peer_write d0 5";
/* clang-format on */

/* A small generator with a fixed seed, so that a failure can be repeated. */
static uint64_t random_state = 20240229;
static uint64_t random_number(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1du;
}

/* Mostly short, as the fuzzers have them; sometimes longer than a program can be. */
static size_t random_bytes(uint8_t bytes[BYTES_MAX + 64]) {
    uint64_t number = random_number();
    size_t size = number % 512 == 0 ? BYTES_MAX + number / 512 % 64 : number / 512 % 128;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(random_number() >> 32);
    return size;
}

static bool equal(const struct program *p, const struct program *q) {
    return memcmp(p->first, q->first, sizeof p->first) == 0 &&
           memcmp(p->count, q->count, sizeof p->count) == 0 && p->commands == q->commands &&
           memcmp(p->command, q->command, p->commands * sizeof *p->command) == 0;
}

static void print_difference(const struct program *p, const struct program *q) {
    struct trace t = {.program = *p};
    trace_write(stderr, &t);
    fputs("----\n", stderr);
    t.program = *q;
    trace_write(stderr, &t);
}

/* ---- decoding -------------------------------------------------------------------------------- */

static bool sound(const struct command *command, unsigned body) {
    if (command->kind >= COMMAND_KINDS || command->c >= PROGRAM_COMPLETIONS ||
        command->other > PROGRAM_COMPLETIONS || command->d > PROGRAM_HANDLES + 1 ||
        command->body >= PROGRAM_BODY_WORLD || command->operation > ET_OPERATIONS ||
        command->call >= FAULTY_CALLS || command->pool > 1)
        return false;
    bool cancels = command->kind == COMMAND_CANCEL || command->kind == COMMAND_RESET ||
                   command->operation == ET_CANCEL;
    if (command->other == PROGRAM_COMPLETIONS && !cancels)
        return false;
    if (command->d >= PROGRAM_HANDLES && command->kind != COMMAND_SUBMIT &&
        command->kind != COMMAND_DESCRIBE)
        return false;
    if (body == PROGRAM_BODY_WORLD && command->kind < COMMAND_FIRST_OF_WORLD)
        return false;
    return !(body == 0 && command->kind == COMMAND_RETURN);
}

static void decoding_is_total(void **state) {
    (void)state;
    static uint8_t bytes[BYTES_MAX + 64];
    struct program p;
    for (unsigned round = 0; round < RANDOM_PROGRAMS; round++) {
        size_t size = random_bytes(bytes), records = size / PROGRAM_RECORD;
        memset(&p, 0xa5, sizeof p);
        program_decode(&p, bytes, size);
        assert_int_equal(p.commands,
                         records < PROGRAM_COMMANDS_MAX ? records : PROGRAM_COMMANDS_MAX);
        unsigned next = 0;
        for (unsigned body = 0; body < PROGRAM_BODIES; body++) {
            assert_int_equal(p.first[body], next);
            for (unsigned i = 0; i < p.count[body]; i++)
                assert_true(sound(&p.command[next++], body));
        }
        assert_int_equal(next, p.commands);
    }
}

static void encoding_decodes_to_the_same(void **state) {
    (void)state;
    static uint8_t bytes[BYTES_MAX + 64], encoded[BYTES_MAX];
    struct program p, q;
    memset(&p, 0xa5, sizeof p);
    memset(&q, 0x5a, sizeof q);
    for (unsigned round = 0; round < RANDOM_PROGRAMS; round++) {
        size_t size = random_bytes(bytes);
        program_decode(&p, bytes, size);
        size_t length = program_encode(&p, encoded, sizeof encoded);
        assert_int_equal(length, p.commands * PROGRAM_RECORD);
        program_decode(&q, encoded, length);
        if (!equal(&p, &q)) {
            print_difference(&p, &q);
            fail();
        }
    }
}

/* All first bytes with all n, and all a with all b: no field depends on more of the record than one
 * of these pairs (a submission's n means something by the operation in a, which is why the other
 * bytes are random). */
static void every_record_returns(void **state) {
    (void)state;
    struct program p, q;
    uint8_t record[PROGRAM_RECORD], encoded[PROGRAM_RECORD];
    for (unsigned x = 0; x < 1u << 16; x++)
        for (unsigned turn = 0; turn < 4; turn++) {
            uint8_t low = (uint8_t)x, high = (uint8_t)(x >> 8), other = (uint8_t)random_number();
            memcpy(record,
                   turn < 2 ? (uint8_t[]){low, other, (uint8_t)(other * 7), high}
                            : (uint8_t[]){0, low, high, other},
                   sizeof record);
            if (turn == 3)
                record[0] = SLOT_OF_FAIL; /* unlike any other, it uses all of b as one number */
            program_decode(&p, record, sizeof record);
            if (turn == 3)
                assert_int_equal(p.command[0].kind, COMMAND_FAIL);
            assert_int_equal(program_encode(&p, encoded, sizeof encoded), sizeof encoded);
            program_decode(&q, encoded, sizeof encoded);
            assert_true(equal(&p, &q));
        }
}

static void everything_is_reached_and_rare_things_are_rare(void **state) {
    (void)state;
    enum { RECORDS = 1 << 20 };
    static unsigned kinds[COMMAND_KINDS], operations[ET_OPERATIONS + 1],
        handles[PROGRAM_HANDLES + 2], calls[FAULTY_CALLS];
    unsigned submits = 0, pooled = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct program p;
        uint64_t number = random_number();
        uint8_t record[PROGRAM_RECORD];
        memcpy(record, &number, sizeof record);
        program_decode(&p, record, sizeof record);
        const struct command *command = &p.command[0];
        kinds[command->kind]++;
        calls[command->call]++;
        if (command->kind == COMMAND_SUBMIT) {
            submits++;
            operations[command->operation]++;
            handles[command->d]++;
            pooled += command->pool;
        }
    }
    for (unsigned i = 0; i < COMMAND_KINDS; i++)
        assert_true(kinds[i] > 0);
    for (unsigned i = 0; i <= ET_OPERATIONS; i++)
        assert_true(operations[i] > 0);
    assert_true(operations[ET_OPERATIONS] < submits / 1000);
    for (unsigned i = 0; i < FAULTY_CALLS; i++)
        assert_true(calls[i] > 0);
    for (unsigned i = 0; i < PROGRAM_HANDLES + 2; i++)
        assert_true(handles[i] > 0);
    assert_true(kinds[COMMAND_DEINIT] < RECORDS / 200 && kinds[COMMAND_STOP] < RECORDS / 200);
    assert_true(handles[PROGRAM_HANDLES] < submits / 32 &&
                handles[PROGRAM_HANDLES + 1] < submits / 32);
    assert_true(pooled > 0 && pooled < submits / 12);
}

/* The examples of spec/trace-format.md: what a byte means must not change, or every stored
 * input means something else. */
static void the_bytes_mean_what_they_meant(void **state) {
    (void)state;
    static const struct {
        uint8_t record[PROGRAM_RECORD];
        unsigned body;
        const char *text;
    } cases[] = {
        {{0x00, 0x00, 0x00, 0x00}, 0, "submit c0 noop"},
        {{0x00, 0x02, 0x01, 0xef}, 0, "submit c2 unknown do b1"},
        {{0x00, 0x09, 0x00, 0xef}, 0, "submit c1 cancel none"},
        {{0x05, 0x7d, 0x01, 0x00}, 0, "cancel none by c5 do b1"},
        {{0x17, 0x00, 0x00, 0xe0}, 0, "rewind 4ms"},
        {{0x00, 0x51, 0x0a, 0x10}, 0, "submit c1 recv d1 16 do b2"},
        {{0x00, 0x18, 0x0b, 0x05}, 0, "submit c0 connect d1 to d5 do b3"},
        {{0x00, 0xa0, 0xf8, 0x1d}, 0, "submit c0 poll huge in|out|rdhup"},
        {{0x00, 0x29, 0x0a, 0xf5}, 0, "submit c1 read d1 5 on_pool do b2"},
        {{0x00, 0x51, 0x0a, 0x85}, 0, "submit c1 recv d1 5 flags errqueue do b2"},
        {{0x00, 0x59, 0x0a, 0x62}, 0, "submit c1 sendmsg d1 34 to d2 do b2"},
        {{0x16, 0x00, 0x10, 0x80}, 0, "peer_urgent d2"},
        {{0x03, 0x01, 0x0a, 0x0a}, 0, "timer c1 10ms do b2"},
        {{0x04, 0x0a, 0x02, 0xef}, 0, "reset c2 by c1 18446744073709551615ms do b2"},
        {{0x05, 0x1d, 0x01, 0x00}, 0, "cancel c3 by c5 do b1"},
        {{0x06, 0x00, 0x00, 0x00}, 0, "tick 1"},
        {{0x0d, 0x00, 0x00, 0x01}, 0, "tick 0"},
        {{0x2d, 0x00, 0x00, 0x01}, 1, "return rearm"},
        {{0x08, 0x1f, 0xff, 0x00}, 0, "update_now"},
        {{0x0a, 0x00, 0x00, 0xff}, 0, "tick 4294967295"},
        {{0x18, 0x10, 0x18, 0x0b}, 0, "fail read EMFILE at 3"},
        {{0x18, 0x10, 0x8b, 0x00}, 0, "fail read EFAULT at 1"},
        {{0xf2, 0x00, 0x10, 0x04}, 7, "peer_write d2 5"},
        {{0xf7, 0x00, 0x00, 0x07}, 7, "advance 750us"},
        {{0x9a, 0x00, 0x00, 0x81}, 4, "batch 1"},
        {{0x1a, 0x00, 0x00, 0xe3}, 0, "limit 5"},
        {{0x1c, 0x00, 0x00, 0xc0}, 0, "pool 2"},
        {{0x1c, 0x02, 0x09, 0x00}, 0, "async_wait c2 d1 do b1"},
        {{0x1b, 0x08, 0x00, 0x00}, 0, "step w1"},
        {{0xff, 0x00, 0x10, 0x80}, 7, "notify d2"},
        {{0x18, 0x80, 0x08, 0x00}, 0, "fail thread EAGAIN at 1"},
        {{0x11, 0x18, 0x30, 0x00}, 0, "dup d6 to d3"},
        {{0x19, 0x00, 0x08, 0x09}, 0, "spurious d1 in|out|err|hup"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct program p;
        char text[128] = "";
        program_decode(&p, cases[i].record, PROGRAM_RECORD);
        assert_int_equal(p.count[cases[i].body], 1);
        FILE *out = fmemopen(text, sizeof text, "w");
        command_write(out, &p.command[0]);
        fclose(out);
        assert_string_equal(text, cases[i].text);
    }
}

static void what_is_no_command_is_written_as_unknown(void **state) {
    (void)state;
    char text[128] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    command_write(out, &(struct command){.kind = COMMAND_KINDS});
    fclose(out);
    assert_string_equal(text, "unknown");
}

static void encoding_takes_the_nearest(void **state) {
    (void)state;
    static const struct {
        struct command wanted;
        uint64_t value;
    } cases[] = {
        {{.kind = COMMAND_TIMER, .value = 100000000000}, 4294967296},
        {{.kind = COMMAND_TIMER, .value = UINT64_MAX - 1}, UINT64_MAX - 1},
        {{.kind = COMMAND_TICK, .value = 90}, 100},
        {{.kind = COMMAND_SUBMIT, .operation = ET_READ, .value = 4000}, 4095},
        {{.kind = COMMAND_SUBMIT, .operation = ET_READ, .value = 4000, .pool = 1}, 15},
        {{.kind = COMMAND_SUBMIT, .operation = ET_CANCEL, .other = 6, .pool = 1}, 0},
        {{.kind = COMMAND_FAIL, .error = EDOM, .value = 7}, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct program p = {.count = {1}, .commands = 1, .command = {cases[i].wanted}}, q;
        uint8_t bytes[8];
        assert_int_equal(program_encode(&p, bytes, sizeof bytes), PROGRAM_RECORD);
        program_decode(&q, bytes, PROGRAM_RECORD);
        assert_int_equal(q.command[0].kind, cases[i].wanted.kind);
        assert_int_equal(q.command[0].other, cases[i].wanted.other);
        assert_int_equal(q.command[0].pool, cases[i].wanted.pool);
        assert_true(q.command[0].value == cases[i].value);
    }
    struct program p = {.count = {2}, .commands = 2};
    uint8_t small[7];
    assert_int_equal(program_encode(&p, small, sizeof small), PROGRAM_RECORD);
    assert_int_equal(program_encode(&p, small, 3), 0);
}

static void print_speed_of_decoding(void **state) {
    (void)state;
    static uint8_t bytes[BYTES_MAX];
    static struct program p;
    const unsigned lengths[] = {32, 256, BYTES_MAX};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(random_number() >> 32);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        unsigned sum = 0, rounds = 20000;
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (unsigned i = 0; i < rounds; i++) {
            bytes[i % lengths[l]]++; /* so that no round can be left out */
            program_decode(&p, bytes, lengths[l]);
            sum += p.command[0].kind;
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
        print_message("decoding %4u commands: %8.0f ns, %5.2f ns each (%u)\n",
                      lengths[l] / PROGRAM_RECORD, ns / rounds,
                      ns / rounds / (lengths[l] / PROGRAM_RECORD), sum % 10);
    }
}

/* ---- text ------------------------------------------------------------------------------------ */

static char *text_of(const struct trace *t, size_t *size) {
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    assert_non_null(out);
    trace_write(out, t);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void text_reads_back(void **state) {
    (void)state;
    static uint8_t bytes[BYTES_MAX + 64];
    static struct trace t, back;
    static char text[1 << 16];
    char error[256];
    /* one stream for all rounds: opening is slower than the rest */
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    setvbuf(out, NULL, _IOFBF, sizeof text);
    for (unsigned round = 0; round < RANDOM_PROGRAMS; round++) {
        program_decode(&t.program, bytes, random_bytes(bytes));
        rewind(out);
        trace_write(out, &t);
        size_t size = (size_t)ftell(out);
        fflush(out);
        assert_true(size < sizeof text);
        if (trace_read(&back, text, size, error, sizeof error) < 0 ||
            !equal(&t.program, &back.program)) {
            fprintf(stderr, "%s\n", error);
            print_difference(&t.program, &back.program);
            fail();
        }
    }
    fclose(out);
}

/* Each of its numbers goes on by itself, and what it says reads back as the same program. */
static void a_repetition_reads_back_and_counts_on(void **state) {
    (void)state;
    static const char text[] = "etalon-trace 1\nreal\nmain\n"
                               "repeat 5 reset c0+1 by c3+2%4 10ms+7ms%20ms do b1\n"
                               "repeat 3 submit c7 connect d0+3 to d7 do b2\n"
                               "repeat 2 peer_write d1 5+2\n"
                               "repeat 4 cancel none by c1+1\n";
    struct trace t, back;
    char error[256] = "";
    size_t size = 0;
    if (trace_read(&t, text, sizeof text - 1, error, sizeof error) < 0)
        fail_msg("%s", error);
    assert_true(t.real_only);
    static const uint64_t delays[] = {10, 17, 24, 11, 18};
    for (unsigned i = 0; i < 5; i++) {
        struct command one = command_repeated(&t.program.command[0], i);
        assert_int_equal(one.times, 0);
        assert_int_equal(one.c, i);
        assert_int_equal(one.other, 3 + 2 * i % 4);
        assert_int_equal(one.value, delays[i]);
    }
    assert_int_equal(command_repeated(&t.program.command[1], 2).d, 6);
    assert_int_equal(command_repeated(&t.program.command[2], 1).value, 7);
    char *again = text_of(&t, &size);
    assert_int_equal(trace_read(&back, again, size, error, sizeof error), 0);
    assert_memory_equal(&t.program, &back.program, sizeof t.program);
    assert_non_null(strstr(again, "  repeat 5 reset c0+1 by c3+2%4 10ms+7ms%20ms do b1\n"));
    free(again);
    trace_free(&t);
    trace_free(&back);
}

static void a_trace_reads_back_whole(void **state) {
    (void)state;
    struct trace t, back;
    char error[256] = "";
    size_t size = 0, size_again = 0;
    if (trace_read(&t, valid, sizeof valid - 1, error, sizeof error) < 0)
        fail_msg("%s", error);
    assert_string_equal(t.title,
                        "an active timer is deleted, then added again (libxev #234) \xc3\xa9");
    assert_int_equal(t.clauses, 3);
    assert_string_equal(t.clause[2], "ET-STATE-1");
    assert_true(t.simulated_only);
    assert_int_equal(t.observations, 2);
    assert_string_equal(t.observed[0], "timer c0 10ms do b1 = 0, adding");
    assert_string_equal(t.observed[1], "callback c0 -ECANCELED # no comment");
    const struct program *p = &t.program;
    assert_int_equal(p->count[1], 2);
    assert_int_equal(p->count[PROGRAM_BODY_WORLD], 1);
    assert_int_equal(p->first[1], p->count[0]);
    assert_int_equal(p->command[0].kind, COMMAND_OPEN);
    assert_int_equal(p->command[p->first[1]].kind, COMMAND_DELETE);
    assert_int_equal(p->command[p->first[PROGRAM_BODY_WORLD]].value, 5);

    char *text = text_of(&t, &size);
    assert_int_equal(trace_read(&back, text, size, error, sizeof error), 0);
    assert_memory_equal(&t.program, &back.program, sizeof t.program);
    assert_memory_equal(t.title, back.title, sizeof t.title);
    assert_memory_equal(t.clause, back.clause, sizeof t.clause);
    assert_int_equal(t.observations, back.observations);
    assert_memory_equal(t.observed, back.observed, t.observations * sizeof *t.observed);
    char *again = text_of(&back, &size_again);
    assert_string_equal(text, again);
    free(text);
    free(again);
    trace_free(&t);
    trace_free(&back);
    trace_free(&back);
}

static void the_fields_are_where_they_belong(void **state) {
    (void)state;
    static const struct {
        const char *line;
        struct command command;
    } cases[] = {
        {"submit c2 accept d1 into d3 do b2",
         {.kind = COMMAND_SUBMIT, .operation = ET_ACCEPT, .c = 2, .d = 1, .other = 3, .body = 2}},
        {"submit c3 connect d2 to d1",
         {.kind = COMMAND_SUBMIT, .operation = ET_CONNECT, .c = 3, .d = 2, .other = 1}},
        {"submit c1 cancel c7",
         {.kind = COMMAND_SUBMIT, .operation = ET_CANCEL, .c = 1, .other = 7}},
        {"submit c4 poll huge in|out|rdhup|2147483648",
         {.kind = COMMAND_SUBMIT,
          .operation = ET_POLL,
          .c = 4,
          .d = PROGRAM_HANDLES + 1,
          .value = 0x80002005}},
        {"describe c6 pwrite bad 32 on_pool do b5",
         {.kind = COMMAND_DESCRIBE,
          .operation = ET_PWRITE,
          .c = 6,
          .d = 8,
          .value = 32,
          .pool = 1,
          .body = 5}},
        {"submit c0 shutdown d4 rdwr",
         {.kind = COMMAND_SUBMIT, .operation = ET_SHUTDOWN, .d = 4, .value = 2}},
        {"submit c1 cancel none do b1",
         {.kind = COMMAND_SUBMIT, .operation = ET_CANCEL, .c = 1, .other = 8, .body = 1}},
        {"submit c1 unknown", {.kind = COMMAND_SUBMIT, .operation = ET_OPERATIONS, .c = 1}},
        {"cancel none by c3 do b6", {.kind = COMMAND_CANCEL, .c = 3, .other = 8, .body = 6}},
        {"rewind 7ms", {.kind = COMMAND_REWIND, .value = 7000000}},
        {"timer c5 7ms", {.kind = COMMAND_TIMER, .c = 5, .value = 7}},
        {"reset c0 by c1 5ms do b2", {.kind = COMMAND_RESET, .other = 1, .value = 5, .body = 2}},
        {"reset c0 5ms", {.kind = COMMAND_RESET, .other = PROGRAM_COMPLETIONS, .value = 5}},
        {"cancel c4 by c3 do b6", {.kind = COMMAND_CANCEL, .c = 3, .other = 4, .body = 6}},
        {"run until_done", {.kind = COMMAND_RUN, .value = ET_RUN_UNTIL_DONE}},
        {"run turn", {.kind = COMMAND_RUN, .value = ET_RUN_TURN}},
        {"open d6 timerfd", {.kind = COMMAND_OPEN, .d = 6, .value = WORLD_TIMERFD}},
        {"dup d2 to d5", {.kind = COMMAND_DUP, .d = 2, .other = 5}},
        {"advance 86400s", {.kind = COMMAND_ADVANCE, .value = 86400000000000}},
        {"advance 0s", {.kind = COMMAND_ADVANCE}},
        {"fail getsockopt EPIPE at 3",
         {.kind = COMMAND_FAIL, .call = FAULTY_GETSOCKOPT, .error = EPIPE, .value = 3}},
        {"spurious d1 err|hup", {.kind = COMMAND_SPURIOUS, .d = 1, .value = 0x18}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256], error[256] = "", *written = NULL;
        size_t size = 0;
        static struct trace t;
        int length = snprintf(text, sizeof text, "etalon-trace 1\nmain\n%s\n", cases[i].line);
        if (trace_read(&t, text, (size_t)length, error, sizeof error) < 0)
            fail_msg("%s: %s", cases[i].line, error);
        const struct command *got = &t.program.command[0], *want = &cases[i].command;
        assert_int_equal(t.program.commands, 1);
        assert_memory_equal(got, want, offsetof(struct command, error));
        assert_int_equal(got->error, want->error);
        assert_true(got->value == want->value);
        FILE *out = open_memstream(&written, &size);
        command_write(out, got);
        fclose(out);
        assert_string_equal(written, cases[i].line);
        free(written);
    }
}

/* clang-format off */
#define HEAD "etalon-trace 1\n"
#define MAIN HEAD "main\n"
#define NINES "99999999999999999999"
#define FIVE_CLAUSES " ET-A ET-A ET-A ET-A ET-A"
#define TEXT40 "0123456789012345678901234567890123456789"

static const struct malformed {
    unsigned line;
    const char *text, *part; /* part: of the message */
} malformed[] = {
    {1, "", "header"},
    {1, "main\n", "header"},
    {2, "# only\n\n", "header"},
    {1, "> early\n", "header"},
    {1, "etalon-trace\nmain\n", "version 1"},
    {1, "etalon-trace 2\nmain\n", "version 1"},
    {1, "etalon-trace 1 1\nmain\n", "end of the line"},
    {1, "etalon-trace 1\r\nmain\n", "\\x0d"},
    {1, "\xef\xbb\xbf" MAIN, "header"},
    {1, HEAD, "without main"},
    {3, HEAD "\nbody 1\n", "without main"},
    {2, HEAD HEAD "main\n", "a command"},
    {2, HEAD "titel x\n", "\"titel\""},
    {2, HEAD "title\n", "title"},
    {2, HEAD "title \t \n", "title"},
    {2, HEAD "title " TEXT40 TEXT40 TEXT40 TEXT40 "\n", "159"},
    {3, HEAD "title a\ntitle b\n", "second title"},
    {3, MAIN "title a\n", "after the first body"},
    {3, MAIN "clause ET-ADD-1\n", "after the first body"},
    {3, MAIN "simulated\n", "after the first body"},
    {2, HEAD "simulated yes\n", "end of the line"},
    {2, HEAD "clause\n", "clause"},
    {2, HEAD "clause ADD-1\n", "clause"},
    {2, HEAD "clause ET-ADD-1, ET-ADD-2\n", "clause"},
    {2, HEAD "clause ET-ABCDEFGHIJKLMNOPQRST-1\n", "clause"},
    {2, HEAD "clause" FIVE_CLAUSES FIVE_CLAUSES FIVE_CLAUSES FIVE_CLAUSES FIVE_CLAUSES "\n", "24"},
    {2, HEAD "add c0\n", "before the first body"},
    {2, HEAD "body\n", "a body"},
    {2, HEAD "body 0\n", "a body"},
    {2, HEAD "body 7\n", "a body"},
    {2, HEAD "body 01\n", "a body"},
    {2, HEAD "body world 1\n", "end of the line"},
    {2, HEAD "body 1 x\n", "end of the line"},
    {3, HEAD "body 1\nbody 1\n", "second body"},
    {3, HEAD "body world\nbody world\n", "second body world"},
    {4, MAIN "body 1\nmain\n", "second main"},
    {2, HEAD "main 1\n", "end of the line"},
    {3, MAIN "frob c0\n", "a command"},
    {3, MAIN "Add c0\n", "a command"},
    {3, MAIN "\x1b[2J\n", "\\x1b"},
    {3, MAIN "\xff\"\\\n", "\\xff\\x22\\x5c"},
    {3, MAIN "return rearm\n", "return in main"},
    {3, HEAD "body world\nadd c0\n", "add in the body of the world"},
    {3, HEAD "body world\nreturn rearm\n", "return in the body of the world"},
    {3, HEAD "body world\ntick 1\n", "tick in the body of the world"},
    {3, MAIN "add\n", "not the end of the line"},
    {3, MAIN "add c8\n", "c0 to c7"},
    {3, MAIN "add c00\n", "c0 to c7"},
    {3, MAIN "repeat\n", "how often it is repeated, 1 to 10000, not the end of the line"},
    {3, MAIN "repeat 0 add c0\n", "how often it is repeated"},
    {3, MAIN "repeat 10001 add c0\n", "how often it is repeated"},
    {3, MAIN "repeat 2\n", "expected a command, not the end"},
    {3, MAIN "repeat 2 repeat 2 add c0\n", "expected a command, not"},
    {4, MAIN "body 1\nrepeat 2 return rearm\n", "return is repeated"},
    {3, MAIN "repeat 9 add c0+1\n", "c0 to c7"},
    {3, MAIN "repeat 2 add c1+1%8\n", "c0 to c7"},
    {3, MAIN "repeat 2 add c0+\n", "a step such as c0+1"},
    {3, MAIN "repeat 2 add c0+0\n", "a step such as c0+1"},
    {3, MAIN "repeat 2 add c0+1%0\n", "a step such as c0+1"},
    {3, MAIN "repeat 2 add c0+4294967296\n", "a step such as c0+1"},
    {3, MAIN "add c0+1\n", "no step, as nothing is repeated here"},
    {3, MAIN "repeat 2 timer c0 5ms+1\n", "a step such as c0+1"},
    {3, MAIN "repeat 2 timer c0 18446744073709551615ms+1ms\n", "a delay such as 10ms"},
    {3, MAIN "repeat 9 submit c0 read d0 4090+1\n", "a length up to 4096"},
    {3, MAIN "repeat 2 submit c0 sendmsg d0 1 to d1+1\n", "is the same each time"},
    {3, MAIN "notify d8\n", "d0 to d7"},
    {3, HEAD "simulated\nreal\n", "no kernel is both"},
    {3, MAIN "add c\n", "c0 to c7"},
    {3, MAIN "add c10\n", "c0 to c7"},
    {3, MAIN "add d0\n", "c0 to c7"},
    {3, MAIN "add c0 c1\n", "end of the line"},
    {3, MAIN "add c0#\n", "c0 to c7"},
    {3, MAIN "stop now\n", "end of the line"},
    {3, MAIN "submit c0\n", "an operation"},
    {3, MAIN "submit c0 nonsense\n", "an operation"},
    {3, MAIN "submit c0 recv\n", "a handle"},
    {3, MAIN "submit c0 recv d8 1\n", "bad or huge"},
    {3, MAIN "submit c0 recv d0\n", "a length"},
    {3, MAIN "submit c0 recv d0 4097\n", "4096"},
    {3, MAIN "submit c0 recv d0 -1\n", "a length"},
    {3, MAIN "submit c0 recv d0 0x10\n", "a length"},
    {3, MAIN "submit c0 recv d0 1 do\n", "b1 to b6"},
    {3, MAIN "submit c0 recv d0 1 do b0\n", "b1 to b6"},
    {3, MAIN "submit c0 recv d0 1 do b7\n", "b1 to b6"},
    {3, MAIN "submit c0 recv d0 1 do b1 do b1\n", "end of the line"},
    {3, MAIN "submit c0 recv d0 1 do b1 on_pool\n", "end of the line"},
    {3, MAIN "submit c0 accept d0 d1\n", "expected into"},
    {3, MAIN "submit c0 accept d0 into bad\n", "d0 to d7"},
    {3, MAIN "submit c0 connect d0 into d1\n", "expected to"},
    {3, MAIN "submit c0 poll d0\n", "events"},
    {3, MAIN "submit c0 poll d0 in|\n", "events"},
    {3, MAIN "submit c0 poll d0 |in\n", "events"},
    {3, MAIN "submit c0 poll d0 in||out\n", "events"},
    {3, MAIN "submit c0 poll d0 In\n", "events"},
    {3, MAIN "submit c0 poll d0 4294967296\n", "events"},
    {3, MAIN "submit c0 shutdown d0 both\n", "rdwr"},
    {3, MAIN "submit c0 shutdown d0 2147483648\n", "rdwr"},
    {3, MAIN "submit c0 timer 5\n", "a delay"},
    {3, MAIN "timer c0 ms\n", "a delay"},
    {3, MAIN "timer c0 1s\n", "a delay"},
    {3, MAIN "timer c0 18446744073709551616ms\n", "a delay"},
    {3, MAIN "timer c0 " NINES "ms\n", "a delay"},
    {3, MAIN "reset c0 c1 5ms\n", "expected a delay"},
    {3, MAIN "reset c0 by c9 5ms\n", "c0 to c7"},
    {3, MAIN "cancel c0 by\n", "c0 to c7"},
    {3, MAIN "tick\n", "a number of callbacks"},
    {3, MAIN "tick 4294967296\n", "a number of callbacks"},
    {3, MAIN "run twice\n", "no_wait"},
    {3, HEAD "body 2\nreturn again\n", "disarm or rearm"},
    {3, HEAD "body 2\nreturn 1\n", "disarm or rearm"},
    {3, MAIN "open d0\n", "kind of descriptor"},
    {3, MAIN "step\n", "thread, w0 to w3"},
    {3, MAIN "step w4\n", "thread, w0 to w3"},
    {3, MAIN "step c0\n", "thread, w0 to w3"},
    {3, MAIN "pool 5\n", "threads up to 4"},
    {3, MAIN "pool\n", "threads up to 4"},
    {3, MAIN "notify\n", "handle, d0 to d7"},
    {3, MAIN "async_wait c0 bad\n", "handle, d0 to d7"},
    {3, MAIN "open d0 file9\n", "kind of descriptor"},
    {3, MAIN "open bad stream\n", "d0 to d7"},
    {3, MAIN "close huge\n", "d0 to d7"},
    {3, MAIN "dup d0 d1\n", "expected to"},
    {3, MAIN "peer_write d0 18446744073709551616\n", "a number"},
    {3, MAIN "peer_write d0 1e3\n", "a number"},
    {3, MAIN "advance 5\n", "a duration"},
    {3, MAIN "advance us\n", "a duration"},
    {3, MAIN "advance 5m\n", "a duration"},
    {3, MAIN "advance 18446744073710s\n", "a duration"},
    {3, MAIN "advance 18446744073709551616ns\n", "a duration"},
    {3, MAIN "fail open ENOMEM at 1\n", "system call"},
    {3, MAIN "fail read ENONSENSE at 1\n", "errno"},
    {3, MAIN "fail read\n", "errno"},
    {3, MAIN "fail read ENOMEM 1\n", "expected at"},
    {3, MAIN "fail read ENOMEM at 0\n", "from 1"},
    {3, MAIN ">\n", "observation"},
    {3, MAIN "  > \t\n", "observation"},
    {3, MAIN "> " TEXT40 TEXT40 "0123456789012345\n", "95"},
    {5, MAIN "\n# comment\norder\n", "a number"},
    {3, MAIN "\x7f \n", "\\x7f"},
    {3, MAIN TEXT40 TEXT40 TEXT40 "\n", "..."}, /* what is quoted has a length */
    {3, MAIN "submit c0 recv d0 1 flags nonsense\n", "flags: oob"},
    {3, MAIN "submit c0 sendmsg d0 1 to d8\n", "d0 to d7"},
    {3, MAIN "submit c0 shutdown d0 2147483648\n", "rd, wr, rdwr or a number up to"},
    {3, MAIN "run 2147483648\n", "until_done, turn or a number up to"},
};
/* clang-format on */

static void check_error(const struct malformed *m, const char *text, size_t size) {
    struct trace t;
    char error[256] = "", start[32];
    snprintf(start, sizeof start, "line %u: ", m->line);
    int result = trace_read(&t, text, size, error, sizeof error);
    if (result != -1 || strncmp(error, start, strlen(start)) != 0 || !strstr(error, m->part))
        fail_msg("%d, \"%s\", expected \"%s… %s\" for:\n%.200s", result, error, start, m->part,
                 text);
    for (const char *p = error; *p; p++)
        assert_true(*p >= 0x20 && *p < 0x7f);
    trace_free(&t);
}

static void malformed_texts_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        check_error(&malformed[i], malformed[i].text, strlen(malformed[i].text));
    check_error(&(struct malformed){3, NULL, "\\x00"}, MAIN "add\0c0\n",
                sizeof MAIN "add\0c0\n" - 1);
    struct trace t;
    assert_int_equal(trace_read(&t, NULL, 0, NULL, 0), -1);
}

/* A text of MAIN, then `times` times the line. */
static char *repeated(const char *line, unsigned times, size_t *size) {
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    fputs(MAIN, out);
    for (unsigned i = 0; i < times; i++)
        fputs(line, out);
    fclose(out);
    return text;
}

static void limits_are_kept(void **state) {
    (void)state;
    static const struct {
        const char *line;
        unsigned most;
        struct malformed error;
    } cases[] = {
        {"add c0\n", PROGRAM_COMMANDS_MAX, {PROGRAM_COMMANDS_MAX + 3, NULL, "512 commands"}},
        {"> x\n", TRACE_OBSERVATIONS_MAX, {TRACE_OBSERVATIONS_MAX + 3, NULL, "2048 observations"}},
        {" ", 1023, {3, NULL, "longer than 1023"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace t;
        char error[256];
        size_t size = 0;
        char *text = repeated(cases[i].line, cases[i].most, &size);
        assert_int_equal(trace_read(&t, text, size, error, sizeof error), 0);
        trace_free(&t);
        free(text);
        text = repeated(cases[i].line, cases[i].most + 1, &size);
        check_error(&cases[i].error, text, size);
        free(text);
    }
}

/* What is damaged is refused with a message, or it is a trace. The copy is of the exact size, so
 * that a sanitizer sees the first byte that is read beyond the end. */
static void try_damaged(const char *text, size_t size) {
    char *copy = malloc(size > 0 ? size : 1), error[256] = "";
    static struct trace t, back;
    assert_non_null(copy);
    memcpy(copy, text, size);
    if (trace_read(&t, copy, size, error, sizeof error) < 0) {
        assert_int_equal(strncmp(error, "line ", 5), 0);
    } else {
        size_t length = 0;
        char *again = text_of(&t, &length);
        if (trace_read(&back, again, length, error, sizeof error) < 0)
            fail_msg("%s in\n%s", error, again);
        assert_memory_equal(&t.program, &back.program, sizeof t.program);
        assert_int_equal(t.observations, back.observations);
        trace_free(&back);
        free(again);
    }
    trace_free(&t);
    free(copy);
}

static void truncations_do_no_harm(void **state) {
    (void)state;
    for (size_t size = 0; size < sizeof valid; size++)
        try_damaged(valid, size);
}

static void corruptions_do_no_harm(void **state) {
    (void)state;
    char text[sizeof valid];
    memcpy(text, valid, sizeof valid);
    for (size_t at = 0; at < sizeof valid - 1; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            try_damaged(text, sizeof valid - 1);
        }
        text[at] = valid[at];
    }
}

static void names_and_numbers_agree(void **state) {
    (void)state;
    assert_string_equal(operation_name(ET_NOOP), "noop");
    assert_string_equal(operation_name(ET_TIMER), "timer");
    assert_string_equal(operation_name(ET_OPERATIONS), "unknown");
    assert_string_equal(errno_name(EBUSY), "EBUSY");
    assert_string_equal(errno_name(EAGAIN), "EAGAIN");
    assert_string_equal(errno_name(EOPNOTSUPP), "EOPNOTSUPP");
    assert_string_equal(errno_name(0), "E???");
    assert_string_equal(errno_name(-EBUSY), "E???");
    assert_int_equal(errno_number("EBUSYBODY", 5), EBUSY);
    assert_int_equal(errno_number("EWOULDBLOCK", 11), EAGAIN);
    assert_int_equal(errno_number("EBUS", 4), 0);
    assert_int_equal(errno_number("", 0), 0);
    for (int error = 1; error < 200; error++) {
        const char *name = errno_name(error);
        assert_true(errno_number(name, strlen(name)) == (strcmp(name, "E???") == 0 ? 0 : error));
    }
}

static void operations_wait_for_what_they_say(void **state) {
    (void)state;
    const int both = MSG_ERRQUEUE | MSG_OOB;
    assert_int_equal(traits_await(operation_traits(ET_READ, both), 0), EPOLLIN);
    assert_int_equal(traits_await(operation_traits(ET_CONNECT, 0), 0), EPOLLOUT);
    assert_int_equal(traits_await(operation_traits(ET_SEND, both), 0), EPOLLOUT);
    assert_int_equal(traits_await(operation_traits(ET_RECV, MSG_PEEK), EPOLLPRI), EPOLLIN);
    assert_int_equal(traits_await(operation_traits(ET_RECV, MSG_OOB), 0), EPOLLPRI);
    assert_int_equal(traits_await(operation_traits(ET_RECVMSG, both), EPOLLPRI), 0);
    assert_int_equal(traits_await(operation_traits(ET_POLL, 0), EPOLLPRI), EPOLLPRI);
    assert_int_equal(traits_await(operation_traits(ET_CLOSE, 0), EPOLLIN), 0);
    assert_int_equal(traits_await(operation_traits(ET_OPERATIONS, 0), EPOLLIN), 0);
    assert_int_equal(operation_traits(ET_OPERATIONS, both), 0);
    assert_int_equal(operation_traits(ET_RECVMSG, both) & WAITS_CLASS, WAITS_ERROR);
    assert_int_equal(classes_of(EPOLLRDHUP), WAITS_IN);
    assert_int_equal(classes_of(EPOLLOUT | EPOLLPRI), WAITS_OUT | WAITS_PRIORITY);
    assert_int_equal(classes_of(EPOLLHUP), WAITS_CLASS);
    for (unsigned o = 0; o < ET_OPERATIONS; o++) {
        unsigned traits = operation_traits(o, 0), waits = traits & WAITS_AT_ALL,
                 bytes = traits & (TAKES_BYTES | GIVES_BYTES);
        assert_true((waits & (waits - 1)) == 0 && (bytes & (bytes - 1)) == 0);
        assert_true((traits & TAKES_BYTES) == 0 || waits == WAITS_IN);
        assert_true((traits & GIVES_BYTES) == 0 || waits == WAITS_OUT);
        assert_true((traits & POSITIONED) == 0 || bytes != 0);
    }
    assert_string_equal(state_name(ET_DELETING), "deleting");
    assert_string_equal(state_name(ET_DELETING + 1), "no state");
}

static bool can_all(const void *self, const struct command *command) {
    (void)self, (void)command;
    return true;
}

static bool can_poll(const void *self, const struct command *command) {
    (void)self;
    /* what generators did not know when these programs were first written */
    bool later = (command->kind == COMMAND_RUN && command->value == ET_RUN_TURN) ||
                 (command->kind == COMMAND_RESET && command->other == PROGRAM_COMPLETIONS);
    return !later && (command->kind != COMMAND_SUBMIT || command->operation == ET_POLL);
}

/* Of 300 programs, as text; FNV-1a. */
static uint64_t hash_of_programs(const struct generator_subject *subject) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint64_t i = 0; i < 300; i++) {
        struct trace trace = {.title = ""};
        uint64_t seed = UINT64_C(1) << 32 ^ i;
        char *text = NULL;
        size_t size = 0;
        generate_program(&trace.program, &seed, NULL, 0, subject);
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        trace_write(out, &trace);
        assert_int_equal(fclose(out), 0);
        for (size_t at = 0; at < size; at++)
            hash = (hash ^ (unsigned char)text[at]) * UINT64_C(0x100000001b3);
        free(text);
    }
    return hash;
}

/* Seeds are written down, in reports and by users: each has to mean its program for good. */
static void a_seed_means_a_program(void **state) {
    const struct generator_subject all = {.can = can_all, .careful = true, .shares = true},
                                   polls = {.can = can_poll, .careful = true};
    (void)state;
    assert_true(hash_of_programs(NULL) == UINT64_C(0x5cf0bd99c9f93591));
    assert_true(hash_of_programs(&all) == UINT64_C(0xed8f7611448730e2));
    assert_true(hash_of_programs(&polls) == UINT64_C(0x569912e30b81bc34));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_is_total),
        cmocka_unit_test(encoding_decodes_to_the_same),
        cmocka_unit_test(every_record_returns),
        cmocka_unit_test(everything_is_reached_and_rare_things_are_rare),
        cmocka_unit_test(the_bytes_mean_what_they_meant),
        cmocka_unit_test(encoding_takes_the_nearest),
        cmocka_unit_test(print_speed_of_decoding),
        cmocka_unit_test(text_reads_back),
        cmocka_unit_test(a_repetition_reads_back_and_counts_on),
        cmocka_unit_test(a_trace_reads_back_whole),
        cmocka_unit_test(the_fields_are_where_they_belong),
        cmocka_unit_test(what_is_no_command_is_written_as_unknown),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(truncations_do_no_harm),
        cmocka_unit_test(corruptions_do_no_harm),
        cmocka_unit_test(names_and_numbers_agree),
        cmocka_unit_test(operations_wait_for_what_they_say),
        cmocka_unit_test(a_seed_means_a_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
