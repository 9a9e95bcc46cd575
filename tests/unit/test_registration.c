/* SPDX-License-Identifier: MIT */
/* What registrations cost, what the loop's own descriptors are like, and what a caller who breaks
 * his side of the bargain (etalon.md, section 15) cannot harm. */
#include "fixture.h"

#include "../../fuzz/driver/lockstep.h"

#include <sys/wait.h>

/* ---- costs, counted on the simulated kernel -------------------------------------------------- */

static unsigned registrations;

static void count_registrations(void *self, char mark, const char *line) {
    (void)self;
    registrations += mark == '.' && strncmp(line, "register:", 9) == 0;
}

static void run_program(const char *text,
                        void (*observe)(void *self, char mark, const char *line)) {
    struct trace trace;
    struct lockstep_report report;
    char error[200];
    if (trace_read(&trace, text, strlen(text), error, sizeof error) != 0)
        fail_msg("%s", error);
    lockstep_run(&lockstep_reference, &trace.program, &world_simulated, observe, NULL, &report);
    trace_free(&trace);
    if (report.differs)
        fail_msg("%s: %s", report.clause, report.what);
}

/* How often the program makes the loop call epoll_ctl. */
static unsigned cost(const char *text) {
    registrations = 0;
    run_program(text, count_registrations);
    return registrations;
}

static void ET_REGISTER_6_a_rearmed_read_costs_no_registration(void **state) {
    (void)state;
    assert_int_equal(
        cost("etalon-trace 1\nbody 1\n  return rearm\nmain\n  open d0 pipe_reader\n"
             "  submit c0 read d0 4 do b1\n  peer_write d0 12\n  tick 1\n  tick 1\n  tick 1\n"),
        1);
}

static void ET_REGISTER_4_a_read_that_is_added_again_costs_one(void **state) {
    (void)state;
    assert_int_equal(
        cost("etalon-trace 1\nbody 1\n  add c0\nmain\n  open d0 pipe_reader\n"
             "  submit c0 read d0 4 do b1\n  peer_write d0 12\n  tick 1\n  tick 1\n  tick 1\n"),
        3);
}

static void ET_SUBMIT_8_a_send_with_room_costs_none(void **state) {
    (void)state;
    assert_int_equal(
        cost("etalon-trace 1\nbody 1\n  return disarm\nmain\n  open d0 stream\n"
             "  submit c0 send d0 4 do b1\n  tick 1\n  submit c0 send d0 4 do b1\n  tick 1\n"),
        0);
}

static void ET_REGISTER_1_several_waiters_share_one_registration(void **state) {
    (void)state;
    assert_int_equal(
        cost(
            "etalon-trace 1\nmain\n  open d0 stream\n  submit c0 recv d0 4\n  submit c1 recv d0 4\n"
            "  submit c2 poll d0 out\n  submit c3 poll d0 pri\n  tick 0\n"),
        1);
}

/* ---- calls of the loop's own that fail ------------------------------------------------------- */

struct failure {
    enum world_call call;
    unsigned nth; /* such call, counted from the failure before it */
    int error;
};

static const struct failure *failing;
static unsigned failures, calls;
static char said[512]; /* of the answers that a loop around this one gets, a line each */

static int fail_in_order(enum world_call call, enum world_file file, bool own) {
    (void)file, (void)own;
    if (call != failing[failures].call || ++calls < failing[failures].nth)
        return 0;
    calls = 0;
    lockstep_disturbed(failing[failures].error);
    return failing[failures++].error;
}

static void begin_failures(void) {
    failures = calls = 0;
}

static void note_answers(void *self, char mark, const char *line) {
    (void)self;
    if (mark == '>' && (strncmp(line, "descriptor", 10) == 0 || strncmp(line, "timeout", 7) == 0 ||
                        strncmp(line, "callback", 8) == 0))
        snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", line);
}

/* failing_calls: to the first without an error. All of them are met. */
static void expect_answers(const struct failure *failing_calls, const char *program,
                           const char *answers) {
    static const struct world_failures in_order = {.begun = begin_failures, .fails = fail_in_order};
    char text[1024];
    snprintf(text, sizeof text, "etalon-trace 1\nbody 1\n  return disarm\nmain\n%s", program);
    said[0] = '\0';
    failing = failing_calls;
    world_failures = &in_order;
    run_program(text, note_answers);
    world_failures = NULL;
    assert_string_equal(said, answers);
    assert_int_equal(failing[failures].error, 0);
}

#define FAILURES(...) ((const struct failure[]){__VA_ARGS__, {WORLD_CALLS, 0, 0}})

static void ET_HOST_4_a_descriptor_that_cannot_be_made(void **state) {
    (void)state;
    const char *program = "  open d0 stream\n  submit c0 recv d0 8 do b1\n  tick 0\n  descriptor\n"
                          "  timeout\n  tick 0\n  descriptor\n  timeout\n  peer_write d0 3\n"
                          "  descriptor\n  tick 1\n";
    const char *again =
        "timeout = -1\ndescriptor = 0\ntimeout = -1\ndescriptor = 1\ncallback c0 3\n";
    char answers[200];
    snprintf(answers, sizeof answers, "descriptor = %d\n%s", -ENFILE, again);
    expect_answers(FAILURES({WORLD_CALL_epoll_create1, 2, ENFILE}), program, answers);
    /* after that of the wake-up and of d0: the loop's own instance, in the outer one */
    snprintf(answers, sizeof answers, "descriptor = %d\n%s", -ENOMEM, again);
    expect_answers(FAILURES({WORLD_CALL_epoll_ctl_add, 3, ENOMEM}), program, answers);
}

/* A file has left its number and lives on: what it reports leads to a new instance. */
#define STALE                                                                                      \
    "  open d0 stream\n  submit c0 recv d0 8\n  descriptor\n  tick 0\n  dup d0 to d1\n"            \
    "  close d0\n  open d0 stream\n  submit c1 recv d0 8 do b1\n  tick 0\n  peer_write d1 3\n"     \
    "  tick 0\n"
#define LATER "  tick 0\n  timeout\n  descriptor\n  tick 0\n  descriptor\n  timeout\n"

static void ET_REGISTER_7_a_renewal_that_fails_is_tried_again(void **state) {
    (void)state;
    const char *answers =
        "descriptor = 0\ntimeout = -1\ndescriptor = 1\ndescriptor = 0\ntimeout = -1\n";
    expect_answers(FAILURES({WORLD_CALL_epoll_create1, 3, EMFILE}), STALE LATER, answers);
    expect_answers(FAILURES({WORLD_CALL_epoll_ctl_add, 5, ENOSPC}), STALE LATER, answers);
    expect_answers(FAILURES({WORLD_CALL_dup3, 1, EBUSY}), STALE LATER, answers);
    /* It is shown outside still: that it is (EEXIST) is no reason to run the loop all the time. */
    expect_answers(FAILURES({WORLD_CALL_epoll_ctl_remove, 1, EPERM}, {WORLD_CALL_dup3, 1, EBUSY}),
                   STALE LATER, answers);
}

/* The new instance is not in the outer one, at the second attempt either: then the loop must be run
 * until it is. */
static void ET_HOST_1_a_renewed_instance_that_is_not_shown(void **state) {
    (void)state;
    expect_answers(
        FAILURES({WORLD_CALL_epoll_ctl_add, 6, ENOMEM}, {WORLD_CALL_epoll_ctl_add, 1, ENOMEM}),
        STALE "  tick 0\n  timeout\n  tick 0\n  timeout\n  descriptor\n",
        "descriptor = 0\ntimeout = 0\ntimeout = -1\ndescriptor = 0\n");
}

static void ET_INIT_3_a_pool_without_memory(void **state) {
    (void)state;
    expect_answers(FAILURES({WORLD_CALL_allocation, 2, ENOMEM}), "  pool 2\n  timeout\n",
                   "timeout = -1\n");
}

static void ET_OP_3_what_getpeername_says_is_the_result(void **state) {
    (void)state;
    expect_answers(
        FAILURES({WORLD_CALL_connect, 1, EINPROGRESS}, {WORLD_CALL_getpeername, 1, ENOBUFS}),
        "  open d0 listener\n  open d1 socket\n  submit c0 connect d1 to d0 do b1\n"
        "  tick 1\n",
        "callback c0 -ENOBUFS\n");
}

/* ---- a number that is used again in the same batch ------------------------------------------- */

static struct sockaddr_in where;
static int partner;

/* As a proxy does: the end of one connection ends the other. */
static enum et_action drop_partner(struct et_loop *l, struct et_completion *x, int64_t result,
                                   void *userdata) {
    note(l, x, result, userdata);
    et_loop_delete(l, &c[1]);
    drop(partner);
    return ET_DISARM;
}

static void ET_REGISTER_7_an_ordinary_close_renews_nothing(void **state) {
    (void)state;
    int listener = open_listener(8, &where), first[2], second[2], before;
    char buffer[8];
    open_pipe(first);
    open_pair(second, SOCK_STREAM);
    partner = second[0];
    submit(&c[0], (struct et_completion){.operation = ET_READ,
                                         .fd = first[0],
                                         .read = {buffer, 8},
                                         .callback = drop_partner});
    submit_recv(&c[1], second[0], buffer, 8);
    submit(&c[2], (struct et_completion){
                      .operation = ET_ACCEPT, .fd = listener, .accept = {.flags = SOCK_NONBLOCK}});
    run(ET_RUN_NO_WAIT);
    before = partner;
    put(first[1], "x");
    int client = keep(socket(AF_INET, SOCK_STREAM, 0));
    assert_int_equal(connect(client, (struct sockaddr *)&where, sizeof where), 0);
    put(second[1], "y");
    run(ET_RUN_NO_WAIT);
    assert_int_equal(events_count, 2);
    assert_int_equal(events[1].result, before); /* accept has got the number that was closed */
    keep(before);
    events_count = 0;
    assert_false(loop.epoll_stale);
    run(ET_RUN_NO_WAIT);
    assert_false(loop.epoll_stale);
}

/* ---- what the loop makes for itself ---------------------------------------------------------- */

static void ET_DEINIT_3_own_descriptors_are_closed_on_exec(void **state) {
    (void)state;
    assert_true(fcntl(loop.epoll, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(loop.wakeup, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(loop.wakeup, F_GETFL) & O_NONBLOCK);
}

static void ET_WAKE_1_leaves_errno_alone(void **state) {
    (void)state;
    errno = ENOTTY;
    et_loop_wakeup(&loop);
    assert_int_equal(errno, ENOTTY);
    uint64_t almost_full = UINT64_MAX - 2; /* with the wake-up before, no more fits */
    assert_int_equal(write(loop.wakeup, &almost_full, sizeof almost_full), sizeof almost_full);
    errno = ENOTTY;
    et_loop_wakeup(&loop);
    assert_int_equal(errno, ENOTTY);
    run(ET_RUN_NO_WAIT);
}

static void ET_INIT_4_a_limit_out_of_range_is_refused(void **state) {
    (void)state;
    struct et_loop other;
    struct et_options options = {.descriptors_max = (1 << 20) + 1};
    assert_int_equal(et_loop_init(&other, &options), -EINVAL);
    assert_int_equal(et_loop_add(&other, &c[0]), -EINVAL);
}

/* ---- section 15 ------------------------------------------------------------------------------ */

static void section_10_carrier_of_another_loop(void **state) {
    (void)state;
    struct et_loop other;
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(et_loop_timer(&other, &c[1], 0, note, NULL), 0);
    assert_int_equal(et_loop_delete(&other, &c[1]), 0); /* deleting, there */
    submit_timer(&c[0], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[1], 50, note, NULL), -EINVAL);
    EXPECT_STATE(&c[1], ET_DELETING);
    assert_int_equal(et_loop_deinit(&other), 0);
    submit_cancel(&c[2], &c[0]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], -ECANCELED}, {&c[2], 0});
}

/* Overwrites what the caller must leave alone of a submitted completion, but for the callback; or
 * its parameters alone. */
static void scribble(struct et_completion *x, int byte, bool all) {
    et_callback callback = x->callback;
    size_t first = all ? 0 : offsetof(struct et_completion, cancel);
    memset((char *)x + first, byte, offsetof(struct et_completion, internal) - first);
    x->callback = callback;
}

static void section_10_a_scribbled_description_harms_nobody_else(void **state) {
    (void)state;
    static const int bytes[] = {0xff, 0x00, 0x40, 0x10, 0x7f};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        for (int variant = 0; variant < 4; variant++) {
            bool started = (variant & 1) != 0, all = (variant & 2) != 0;
            int p[2];
            char buffer[8];
            open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
            submit_poll(&c[0], p[0], POLLPRI);
            submit_timer(&c[1], HOUR_MS);
            submit_recv(&c[2], p[0], buffer, sizeof buffer);
            submit(&c[3], (struct et_completion){.operation = ET_RECV,
                                                 .fd = p[0],
                                                 .recv = {buffer, sizeof buffer, 0},
                                                 .callback = note_and_rearm});
            if (started)
                run(ET_RUN_NO_WAIT);
            scribble(&c[0], bytes[i], all);
            scribble(&c[1], bytes[i], all);
            if (started)
                assert_int_equal(et_loop_delete(&loop, &c[2]), 0);
            else
                scribble(&c[2], bytes[i], all);
            for (int k = 0; k < 5; k++) { /* the one that is left whole is served every time */
                events_count = 0;
                put(p[1], "z");
                for (int tries = 0; tries < 4; tries++)
                    run(ET_RUN_NO_WAIT);
                unsigned served = 0;
                for (unsigned e = 0; e < events_count; e++)
                    served += events[e].completion == &c[3] && events[e].result == 1;
                assert_int_equal(served, 1);
            }
            for (int k = 0; k < 4; k++)
                assert_int_equal(et_loop_delete(&loop, &c[k]), 0);
            run(ET_RUN_NO_WAIT);
            memset(c, 0, sizeof c);
            events_count = 0;
            drop(p[0]);
            drop(p[1]);
        }
    }
}

/* ---- results --------------------------------------------------------------------------------- */

static void ET_OP_3_a_failed_connect_ends_beside_a_receive(void **state) {
    (void)state;
    char buffer[8];
    drop(open_listener(1, &where));
    int fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    submit_recv(&c[1], fd, buffer, sizeof buffer);
    submit(&c[0], (struct et_completion){.operation = ET_CONNECT,
                                         .fd = fd,
                                         .connect = {(struct sockaddr *)&where, sizeof where}});
    assert_int_equal(et_loop_tick(&loop, 2), 0);
    assert_int_equal(events_count, 2);
    for (unsigned e = 0; e < 2; e++)
        if (events[e].completion == &c[0])
            assert_int_equal(events[e].result, -ECONNREFUSED);
}

/* In a process of its own, in which SIGPIPE ends it. A pipe first had the number, so that the loop
 * has learned that this is no socket. */
static int write_after_pipe(bool pipe_first) {
    int p[2];
    signal(SIGPIPE, SIG_DFL);
    alarm(10);
    if (et_loop_init(&loop, NULL) != 0)
        return 2;
    if (pipe_first) {
        if (pipe2(p, O_NONBLOCK) != 0)
            return 3;
        submit_write(&c[0], p[1], "x", 1);
        run(ET_RUN_UNTIL_DONE);
        submit_close(&c[0], p[1]);
        run(ET_RUN_UNTIL_DONE);
        close(p[0]);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) != 0)
        return 4;
    /* the lower number is that of the pipe's reader, the higher its writer's */
    int writer = pipe_first ? p[1] : p[0];
    close(pipe_first ? p[0] : p[1]);
    events_count = 0;
    submit_write(&c[0], writer, "x", 1);
    run(ET_RUN_UNTIL_DONE);
    return events_count == 1 && events[0].result == -EPIPE ? 0 : 5;
}

static void ET_OP_5_a_write_to_a_socket_raises_no_signal(void **state) {
    (void)state;
    for (int pipe_first = 0; pipe_first < 2; pipe_first++) {
        pid_t child = fork();
        if (child == 0)
            _exit(write_after_pipe(pipe_first != 0));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

/* Among several whose registrations have to be looked at it may be the first and the last. */
static void ET_REGISTER_1_number_0_is_like_any_other(void **state) {
    (void)state;
    int one[2], other[2], input = dup(STDIN_FILENO);
    open_pipe(one);
    open_pipe(other);
    assert_int_equal(dup2(one[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(write(one[1], "!", 1) + write(other[1], "!", 1), 2);
    for (int last = 0; last < 2; last++) {
        submit_poll(&c[last], last == 0 ? STDIN_FILENO : other[0], POLLIN);
        submit_poll(&c[!last], last == 0 ? other[0] : STDIN_FILENO, POLLIN);
        assert_int_equal(et_loop_tick(&loop, 2), 0);
        EXPECT({&c[0], POLLIN}, {&c[1], POLLIN});
        assert_int_equal(et_loop_tick(&loop, 0), 0); /* nothing is registered any more */
    }
    assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
    close(input);
}

static void ET_OP_2_send_and_sendmsg_pass_their_flags(void **state) {
    (void)state;
    int listener = open_listener(1, &where);
    int fd = keep(socket(AF_INET, SOCK_STREAM, 0));
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    int server = keep(accept(listener, NULL, NULL));
    struct iovec piece = {"!", 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    for (int k = 0; k < 2; k++) {
        submit_poll(&c[1], server, POLLPRI);
        if (k == 0)
            submit(&c[0], (struct et_completion){
                              .operation = ET_SEND, .fd = fd, .send = {"!", 1, MSG_OOB}});
        else
            submit(&c[0], (struct et_completion){
                              .operation = ET_SENDMSG, .fd = fd, .sendmsg = {&message, MSG_OOB}});
        assert_int_equal(et_loop_tick(&loop, 2), 0);
        EXPECT({&c[0], 1}, {&c[1], POLLPRI});
        char byte = 0;
        submit(&c[2], (struct et_completion){
                          .operation = ET_RECV, .fd = server, .recv = {&byte, 1, MSG_OOB}});
        submit_poll(&c[3], server, POLLIN); /* may be reported or not: deleted below */
        put(fd, ".");
        run(ET_RUN_ONCE);
        assert_int_equal(byte, '!');
        et_loop_delete(&loop, &c[3]);
        run(ET_RUN_NO_WAIT);
        events_count = 0;
        char rest[4];
        assert_true(recv(server, rest, sizeof rest, 0) > 0);
    }
}

/* ---- rounds are counted far: nothing may repeat after 65,536 of them ------------------------- */

/* Whether a file that has left its number is still registered with the loop's epoll. */
static bool is_watched(int number) {
    char path[64], line[200];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", loop.epoll);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    bool found = false;
    int watched;
    while (fgets(line, sizeof line, file) != NULL)
        found = found || (sscanf(line, "tfd: %d", &watched) == 1 && watched == number);
    fclose(file);
    return found;
}

static void ET_REGISTER_7_after_65536_rounds(void **state) {
    (void)state;
    for (uint32_t before = 65536; before >= 65528; before--) {
        int p[2];
        char byte;
        open_pipe(p);
        int duplicate = keep(dup(p[0]));
        loop.round = before; /* as after as many ticks */
        submit(&c[0], (struct et_completion){.operation = ET_READ, .fd = p[0], .read = {&byte, 1}});
        run(ET_RUN_NO_WAIT);
        int number = p[0];
        drop(p[0]); /* behind the loop's back, while the duplicate keeps the registration alive */
        assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
        run(ET_RUN_NO_WAIT);
        put(p[1], "x");
        for (unsigned i = 0; i < 3; i++)
            run(ET_RUN_NO_WAIT);
        assert_false(is_watched(number));
        drop(duplicate);
        drop(p[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ET_REGISTER_6_a_rearmed_read_costs_no_registration),
        cmocka_unit_test(ET_REGISTER_4_a_read_that_is_added_again_costs_one),
        cmocka_unit_test(ET_SUBMIT_8_a_send_with_room_costs_none),
        cmocka_unit_test(ET_REGISTER_1_several_waiters_share_one_registration),
        cmocka_unit_test(ET_HOST_4_a_descriptor_that_cannot_be_made),
        cmocka_unit_test(ET_REGISTER_7_a_renewal_that_fails_is_tried_again),
        cmocka_unit_test(ET_HOST_1_a_renewed_instance_that_is_not_shown),
        cmocka_unit_test(ET_INIT_3_a_pool_without_memory),
        cmocka_unit_test(ET_OP_3_what_getpeername_says_is_the_result),
        TEST(ET_REGISTER_7_an_ordinary_close_renews_nothing),
        TEST(ET_DEINIT_3_own_descriptors_are_closed_on_exec),
        TEST(ET_WAKE_1_leaves_errno_alone),
        TEST(ET_INIT_4_a_limit_out_of_range_is_refused),
        TEST(section_10_carrier_of_another_loop),
        TEST(section_10_a_scribbled_description_harms_nobody_else),
        TEST(ET_OP_3_a_failed_connect_ends_beside_a_receive),
        TEST(ET_OP_5_a_write_to_a_socket_raises_no_signal),
        TEST(ET_REGISTER_1_number_0_is_like_any_other),
        TEST(ET_OP_2_send_and_sendmsg_pass_their_flags),
        TEST(ET_REGISTER_7_after_65536_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
