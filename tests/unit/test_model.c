/* SPDX-License-Identifier: MIT */
/* The trickiest rules of the model, one by one. A test is named after the clause that it is about;
 * where it expects a refusal, the clause that the model names is checked too. Everybody may run it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "filter.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "../../model/model.h"
#include "calls.h"

#define MS            INT64_C(1000000)
#define IS(state_, c) assert_int_equal(m.completion[c].state, ET_##state_)
#define LAWFUL(observation)                                                                        \
    do {                                                                                           \
        const char *clause_ = (observation);                                                       \
        if (clause_ != NULL)                                                                       \
            fail_msg("%s: %s (%s)", #observation, clause_, m.why);                                 \
    } while (0)
#define BREAKS(clause, observation)                                                                \
    do {                                                                                           \
        const char *clause_ = (observation);                                                       \
        assert_non_null(clause_);                                                                  \
        assert_string_equal(clause_, clause);                                                      \
        assert_non_null(m.why);                                                                    \
    } while (0)

enum { A, B, C, D, E, F };
enum { POLL_IN = 1, POLL_PRI = 2, POLL_OUT = 4, POLL_ERR = 8, POLL_HUP = 16 };

static struct model m;

static int set_up(void **state) {
    (void)state;
    model_init(&m, 8, 100, 1000 * MS);
    return 0;
}

/* Userdata is 100 + the completion, unless a test sets another. */
static struct model_description description(unsigned c, unsigned operation, int fd) {
    return (struct model_description){.operation = (uint8_t)operation,
                                      .target = MODEL_NONE,
                                      .has_callback = true,
                                      .fd = fd,
                                      .events = POLL_IN,
                                      .userdata = 100 + c};
}

static void add(unsigned c, unsigned operation, int fd) {
    struct model_description d = description(c, operation, fd);
    model_describe(&m, c, &d);
    assert_int_equal(model_add(&m, c), 0);
}

static void add_null(unsigned c, unsigned operation, int fd) {
    struct model_description d = description(c, operation, fd);
    d.has_callback = false;
    model_describe(&m, c, &d);
    assert_int_equal(model_add(&m, c), 0);
}

static void add_timer(unsigned c, uint64_t delay_ms) {
    assert_int_equal(model_timer(&m, c, delay_ms, true, 100 + c), 0);
}

static int reset(unsigned c, unsigned carrier, uint64_t delay_ms) {
    return model_reset(&m, c, carrier, delay_ms, true, 100 + c);
}

static int cancel(unsigned c, unsigned target) {
    return model_cancel(&m, c, target, true, 100 + c);
}

static const char *callback(unsigned c, int64_t result) {
    return model_callback(&m, c, result, 100 + c);
}

static void called(unsigned c, int64_t result) {
    LAWFUL(callback(c, result));
    IS(DEAD, c);
    LAWFUL(model_returned(&m, ET_DISARM));
}

static void tick(uint64_t callbacks) {
    assert_int_equal(model_tick(&m, callbacks), MODEL_RUNS);
}

static void polled(void) {
    LAWFUL(model_wait(&m, 0));
    LAWFUL(model_woken(&m, 0));
}

static void ended(void) {
    LAWFUL(model_tick_end(&m, 0));
    assert_int_equal(m.maybe_dead, 0);
}

static void tick_0(void) {
    tick(0);
    polled();
    ended();
}

static void clock_ms(uint64_t ms) {
    model_clock(&m, ms * (uint64_t)MS);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void test_add_5_6(void **state) {
    (void)state;
    struct model_description d = description(A, ET_OPERATIONS, 0);
    model_describe(&m, A, &d);
    assert_int_equal(model_add(&m, A), -EINVAL);
    d = description(A, ET_CANCEL, 0);
    model_describe(&m, A, &d);
    assert_int_equal(model_add(&m, A), -EINVAL);
    d.target = A;
    model_describe(&m, A, &d);
    assert_int_equal(model_add(&m, A), -EINVAL);
    d = description(A, ET_POLL, 3);
    d.events = 0x201f;
    model_describe(&m, A, &d);
    assert_int_equal(model_add(&m, A), 0);
    d.events = 0x40;
    model_describe(&m, B, &d);
    assert_int_equal(model_add(&m, B), -EINVAL);
    assert_string_equal(m.clause, "ET-ADD-5");
    d = description(B, ET_RECV, 3);
    d.pool_mark = true;
    model_describe(&m, B, &d);
    assert_int_equal(model_add(&m, B), -EINVAL);
    d.operation = ET_CLOSE;
    model_describe(&m, B, &d);
    assert_int_equal(model_add(&m, B), -EOPNOTSUPP);
    IS(DEAD, B);
    add_timer(B, 5); /* described anew: no mark is left */
}

static void test_add_4_leaves_the_deletions(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    assert_int_equal(model_delete(&m, A), 0);
    assert_int_equal(model_delete(&m, B), 0);
    assert_int_equal(m.submissions.count, 0);
    assert_int_equal(model_add(&m, A), 0);
    assert_int_equal(m.deletions.count, 1);
    assert_int_equal(m.deletions.item[0], B);
    IS(ADDING, A);
    tick(0);
    called(A, 0);
    polled();
    ended();
    IS(DEAD, B);
}

static void test_timer_2_keeps_its_place(void **state) {
    (void)state;
    add_timer(A, 5);
    add(B, ET_NOOP, 0);
    clock_ms(1010);
    add_timer(A, 7);
    assert_int_equal(m.completion[A].deadline_ms, 1007);
    assert_int_equal(m.submissions.item[0], A);
    model_update_now(&m);
    assert_int_equal(model_timer(&m, A, UINT64_MAX, true, 0), 0);
    assert_true(m.completion[A].deadline_ms == UINT64_MAX);
    assert_int_equal(model_timer(&m, B, 1, true, 0), -EBUSY);
}

static uint64_t deadline_of(int64_t now_ns, uint64_t delay_ms) {
    model_init(&m, 8, 100, (uint64_t)now_ns);
    assert_int_equal(model_timer(&m, A, delay_ms, true, 0), 0);
    return m.completion[A].deadline_ms;
}

static void test_add_7_rounds_up(void **state) {
    (void)state;
    assert_int_equal(deadline_of(1000 * MS, 5), 1005);
    assert_int_equal(deadline_of(1000 * MS + 1, 5), 1006);
    assert_int_equal(deadline_of(1001 * MS - 1, 5), 1006);
    assert_int_equal(deadline_of(1000 * MS, 0), 1000);
    assert_int_equal(deadline_of(1000 * MS + 1, 0), 1000);
    assert_int_equal(deadline_of(1001 * MS - 1, 0), 1000);
    assert_true(deadline_of(1000 * MS, UINT64_MAX - 1000) == UINT64_MAX);
    assert_true(deadline_of(1000 * MS + 1, UINT64_MAX - 1002) == UINT64_MAX - 1);
    assert_true(deadline_of(1000 * MS + 1, UINT64_MAX - 1001) == UINT64_MAX);
    assert_true(deadline_of(1000 * MS + 1, UINT64_MAX - 1000) == UINT64_MAX);
}

static void test_reset_12_before_everything(void **state) {
    (void)state;
    assert_int_equal(reset(A, A, 1), -EINVAL);
    assert_string_equal(m.clause, "ET-RESET-12");
    IS(DEAD, A);
    assert_int_equal(reset(A, B, 1), 0); /* ET-RESET-1 */
    IS(ADDING, A);
    IS(DEAD, B);
}

static void test_reset_13_without_a_carrier(void **state) {
    (void)state;
    add_timer(A, 5);
    add_timer(B, 5);
    add(C, ET_NOOP, 0);
    assert_int_equal(reset(A, MODEL_NONE, 5), 0); /* ET-RESET-1: it is adding */
    assert_int_equal(reset(C, MODEL_NONE, 5), -EBUSY);
    tick(0);
    called(C, 0);
    polled();
    ended();
    assert_int_equal(reset(A, MODEL_NONE, 5), 0);
    assert_string_equal(m.clause, "ET-RESET-13");
    IS(ACTIVE, A);
    assert_true(m.completion[A].order > m.completion[B].order);
    clock_ms(1005);
    tick(0);
    BREAKS("ET-EXPIRE-3", callback(A, 0));
    LAWFUL(callback(B, 0));
    assert_int_equal(reset(A, MODEL_NONE, 0), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-EXPIRE-5", callback(A, 0));
    polled();
    ended();
    tick(0);
    called(A, 0);
    polled();
    ended();
}

static void test_reset_14_drops_the_one_that_a_carrier_has(void **state) {
    (void)state;
    add_timer(A, 5);
    tick_0();
    assert_int_equal(reset(A, B, 50), 0);
    assert_int_equal(reset(A, MODEL_NONE, 7), 0);
    assert_string_equal(m.clause, "ET-RESET-14");
    IS(ADDING, B);
    assert_int_equal(m.completion[A].carrier, MODEL_NONE);
    assert_int_equal(m.completion[B].carries, MODEL_NONE);
    assert_int_equal(m.completion[A].deadline_ms, 1007);
    tick_0();
    IS(DEAD, B);
    IS(ACTIVE, A);
    add(C, ET_READ, 3);
    tick_0();
    assert_int_equal(reset(C, MODEL_NONE, 1), -EINVAL);
    assert_string_equal(m.clause, "ET-RESET-2");
}

static void test_reset_3_applied_by_the_submission_phase(void **state) {
    (void)state;
    add_timer(A, 5);
    add_timer(C, 20);
    tick_0();
    IS(ACTIVE, A);
    assert_int_equal(reset(A, B, 20), 0);
    assert_int_equal(m.completion[A].carrier, B);
    assert_int_equal(reset(A, B, 20), 0);
    assert_string_equal(m.clause, "ET-RESET-5");
    add(D, ET_NOOP, 0);
    assert_int_equal(reset(A, D, 20), -EBUSY);
    clock_ms(1020);
    tick(0);
    called(D, 0);
    IS(DEAD, B);
    BREAKS("ET-EXPIRE-3", callback(A, 0)); /* started anew, after C */
    called(C, 0);
    called(A, 0);
    polled();
    ended();
    assert_int_equal(m.completion[B].description.operation, ET_CANCEL);
    assert_int_equal(m.completion[B].description.target, A);
    assert_int_equal(model_add(&m, B), 0); /* now a cancel like any other, without a callback */
    tick_0();
    IS(DEAD, B);
}

static void test_reset_4_in_the_timer_phase(void **state) {
    (void)state;
    add_timer(A, 5);
    add_timer(B, 6);
    tick_0();
    clock_ms(1010);
    tick(1);
    LAWFUL(callback(A, 0));
    assert_int_equal(reset(B, C, 0), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-RESET-4", callback(B, 0));
    polled();
    ended();
    tick(1);
    called(B, 0);
    polled();
    ended();
}

static void test_expire_5_carrier_deleted_and_used_in_the_timer_phase(void **state) {
    (void)state;
    add_timer(A, 5);
    add_timer(B, 6);
    tick_0();
    clock_ms(1010);
    tick(1);
    LAWFUL(callback(A, 0));
    assert_int_equal(reset(B, C, 0), 0);
    assert_int_equal(model_delete(&m, C), 0);
    assert_int_equal(model_add(&m, C), 0); /* ET-ADD-4 and ET-RESET-9: applied at once */
    assert_int_equal(m.completion[B].carrier, MODEL_NONE);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-EXPIRE-5", callback(B, 0));
    polled();
    ended();
}

static void test_reset_9_deleted_carrier(void **state) {
    (void)state;
    add_timer(A, 5);
    tick_0();
    assert_int_equal(reset(A, B, 2), 0);
    assert_int_equal(model_delete(&m, B), 0);
    assert_int_equal(reset(A, B, 3), 0); /* deleting: taken again */
    IS(ADDING, B);
    assert_int_equal(m.deletions.count, 0);
    assert_int_equal(model_delete(&m, B), 0);
    clock_ms(1003);
    tick(0);
    called(A, 0); /* phase 2 has applied it, phase 3 fires it */
    polled();
    ended();
}

static void test_reset_9_cancelled_carrier(void **state) {
    (void)state;
    add_timer(A, 5);
    tick_0();
    assert_int_equal(cancel(C, B), 0);
    assert_int_equal(reset(A, B, 50), 0);
    tick(1);
    called(C, 0);
    assert_int_equal(m.completion[A].carrier, MODEL_NONE);
    IS(DEAD, B);
    assert_int_equal(m.tick.called, 1);
    polled();
    ended();
}

static void test_reset_10_dropped(void **state) {
    (void)state;
    add_timer(A, 5);
    tick_0();
    assert_int_equal(reset(A, B, 50), 0);
    assert_int_equal(model_delete(&m, A), 0);
    IS(ADDING, B);
    assert_true(m.completion[B].is_carrier);
    tick(0);
    BREAKS("ET-RESET-8", callback(B, 0));
    polled();
    ended();
    IS(DEAD, B);
    IS(DEAD, A);
}

static void test_reset_11_moved(void **state) {
    (void)state;
    add_timer(A, 5);
    tick_0();
    assert_int_equal(reset(A, B, 50), 0);
    assert_int_equal(reset(A, C, 60), 0);
    assert_int_equal(m.completion[A].carrier, C);
    assert_int_equal(reset(A, B, 60), -EBUSY); /* B carries nothing now, but is adding */
    assert_string_equal(m.clause, "ET-RESET-6");
    tick_0();
    IS(DEAD, B);
    IS(DEAD, C);
    assert_int_equal(m.completion[A].deadline_ms, 1060);
}

static void test_cancel_3_and_2(void **state) {
    (void)state;
    assert_int_equal(cancel(A, A), -EINVAL);
    assert_int_equal(cancel(A, MODEL_NONE), -EINVAL);
    assert_int_equal(cancel(A, B), 0);
    assert_int_equal(cancel(A, C), -EBUSY);
    tick(0);
    BREAKS("ET-CANCEL-6", callback(A, 0));
    called(A, -ENOENT);
    polled();
    ended();
}

/* ---- the submission phase -------------------------------------------------------------------- */

static void test_cancel_4_nothing_in_between(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    tick_0();
    assert_int_equal(cancel(B, A), 0);
    add(C, ET_NOOP, 0);
    tick(0);
    LAWFUL(callback(A, -ECANCELED));
    IS(ACTIVE, B); /* ET-CANCEL-7 */
    IS(ADDING, C);
    assert_int_equal(m.active, 1);
    LAWFUL(model_returned(&m, ET_REARM));
    IS(ADDING, A);
    BREAKS("ET-CANCEL-4", callback(C, 0));
    called(B, 0);
    called(C, 0);
    BREAKS("ET-CALL-4", callback(A, -EBADF));
    polled();
    ended();
    IS(ADDING, A);
}

static void test_cancel_5_adding_target_behind(void **state) {
    (void)state;
    assert_int_equal(cancel(B, A), 0);
    add(A, ET_NOOP, 0);
    tick(0);
    BREAKS("ET-CANCEL-5", callback(A, 0));
    called(A, -ECANCELED);
    called(B, 0);
    polled();
    ended();
}

static void test_cancel_7_deleted_by_its_target(void **state) {
    (void)state;
    add_timer(A, 50);
    tick_0();
    assert_int_equal(cancel(B, A), 0);
    tick(1);
    LAWFUL(callback(A, -ECANCELED));
    assert_int_equal(model_delete(&m, B), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-CANCEL-7", callback(B, 0)); /* the model is past the deletion phase already */
    polled();
    ended();
    IS(DEAD, B);
}

static void test_cancel_of_a_null_target(void **state) {
    (void)state;
    add_null(A, ET_READ, 3);
    tick_0();
    assert_int_equal(cancel(B, A), 0);
    tick(0);
    called(B, 0);
    assert_int_equal(m.tick.called, 2); /* ET-TICK-5 */
    polled();
    ended();
}

static void test_submit_4_5(void **state) {
    (void)state;
    add(A, ET_READ, -1);
    add(B, ET_SHUTDOWN, -2);
    add(C, ET_SEND, 100);
    add(D, ET_CLOSE, 100);
    tick(0);
    called(A, -EBADF);
    called(B, -EBADF);
    called(C, -EMFILE);
    LAWFUL(model_try(&m, MODEL_NONE, ET_CLOSE, 100, -EINTR));
    BREAKS("ET-OP-1", callback(D, -EINTR));
    called(D, 0); /* ET-CLOSE-2 */
    BREAKS("ET-CLOSE-2", model_try(&m, MODEL_NONE, ET_CLOSE, 100, 0));
    polled();
    ended();
}

static void test_submit_7_connect(void **state) {
    (void)state;
    add(A, ET_CONNECT, 3);
    add(B, ET_CONNECT, 4);
    tick(0);
    BREAKS("ET-SUBMIT-7", model_wait(&m, 0));
    LAWFUL(model_try(&m, A, ET_CONNECT, 3, -EINPROGRESS));
    LAWFUL(model_try(&m, B, ET_CONNECT, 4, -EAGAIN)); /* of a connect, that is an answer */
    BREAKS("ET-EVENT-2", model_wait(&m, 0));
    called(B, -EAGAIN);
    IS(ACTIVE, A);
    BREAKS("ET-SUBMIT-7", model_try(&m, A, ET_CONNECT, 3, 0));
    polled();
    ended();
    tick(0);
    LAWFUL(model_wait(&m, 0));
    LAWFUL(model_woken(&m, 0));
    LAWFUL(model_report(&m, 3, POLL_OUT, MODEL_SEEN));
    LAWFUL(model_try(&m, MODEL_NONE, ET_CONNECT, 3, -ECONNREFUSED));
    BREAKS("ET-OP-3", callback(A, 0));
    called(A, -ECONNREFUSED);
    ended();
}

static void test_submit_8_choice(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    add(B, ET_RECV, 3);
    add(C, ET_SEND, 3);
    add(D, ET_NOOP, 0);
    tick(0);
    LAWFUL(model_try(&m, A, ET_RECV, 3, -EAGAIN));
    /* A was started before it; the choice of C is gone too */
    BREAKS("ET-SUBMIT-8", model_try(&m, B, ET_RECV, 3, 1));
    LAWFUL(callback(D, 0));
    IS(ACTIVE, B);
    IS(ACTIVE, C);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-SUBMIT-8", model_try(&m, C, ET_SEND, 3, 1));
    polled();
    ended();
}

static void test_submit_8_answered(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    add(B, ET_NOOP, 0);
    tick(0);
    LAWFUL(model_try(&m, A, ET_RECV, 3, -ECONNRESET));
    BREAKS("ET-OP-4", callback(B, -ECONNRESET));
    LAWFUL(callback(A, -ECONNRESET));
    IS(ADDING, B);
    LAWFUL(model_returned(&m, ET_REARM));
    called(B, 0);
    polled();
    ended();
    IS(ADDING, A);
}

static void test_event_8_no_read_at_the_start(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    tick(0);
    BREAKS("ET-EVENT-8", model_try(&m, A, ET_READ, 3, -EAGAIN));
}

static void test_submit_9_shutdown(void **state) {
    (void)state;
    add(A, ET_SHUTDOWN, 3);
    tick(0);
    BREAKS("ET-SUBMIT-9", callback(A, 0));
    LAWFUL(model_try(&m, MODEL_NONE, ET_SHUTDOWN, 3, -ENOTCONN));
    called(A, -ENOTCONN);
    polled();
    ended();
}

static void test_close_1_in_the_order_of_starting(void **state) {
    (void)state;
    add(B, ET_READ, 3);
    add(A, ET_POLL, 3);
    add_null(D, ET_READ, 3);
    tick_0();
    add(C, ET_CLOSE, 3);
    tick(0);
    BREAKS("ET-CLOSE-1", model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0));
    BREAKS("ET-CANCEL-10", callback(A, -ECANCELED));
    LAWFUL(callback(B, -ECANCELED));
    IS(ACTIVE, C);
    assert_int_equal(m.active, 3);
    LAWFUL(model_returned(&m, ET_DISARM));
    called(A, -ECANCELED);
    IS(DEAD, D);
    BREAKS("ET-CLOSE-2", model_wait(&m, 0));
    LAWFUL(model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0));
    called(C, 0);
    polled();
    ended();
}

static void test_close_3_deleted(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_READ, 3);
    tick_0();
    add(C, ET_CLOSE, 3);
    tick(0);
    LAWFUL(callback(A, -ECANCELED));
    assert_int_equal(model_delete(&m, C), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    IS(ACTIVE, B);
    BREAKS("ET-CLOSE-3", model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0));
    polled();
    ended();
    IS(ACTIVE, B);
}

static void test_submit_1_snapshot(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    tick(0);
    LAWFUL(callback(A, 0));
    assert_int_equal(model_delete(&m, B), 0);
    assert_int_equal(model_add(&m, B), 0); /* a new episode: not in this round */
    LAWFUL(model_returned(&m, ET_REARM));
    BREAKS("ET-CALL-4", callback(B, 0));
    polled();
    ended();
    assert_int_equal(m.submissions.count, 2);
}

static void test_call_3_rearm_of_a_completion_in_use(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    tick(0);
    LAWFUL(callback(A, 0));
    assert_int_equal(model_add(&m, A), 0);
    assert_int_equal(model_delete(&m, A), 0);
    LAWFUL(model_returned(&m, ET_REARM));
    IS(ADDING, A);
    assert_int_equal(m.deletions.count, 0);
    polled();
    ended();
}

static void test_call_2_userdata(void **state) {
    (void)state;
    add_timer(A, 0);
    assert_int_equal(model_timer(&m, A, 0, true, 7), 0);
    tick(0);
    BREAKS("ET-CALL-2", model_callback(&m, A, 0, 100));
}

static void test_call_5_out_of_place(void **state) {
    (void)state;
    BREAKS("ET-CALL-5", callback(A, 0));
    BREAKS("ET-CALL-5", model_returned(&m, ET_REARM));
    BREAKS("ET-CALL-5", model_wait(&m, 0));
    BREAKS("ET-CALL-5", model_woken(&m, 0));
    BREAKS("ET-CALL-5", model_report(&m, 0, 1, MODEL_SEEN));
    BREAKS("ET-CALL-5", model_try(&m, A, ET_READ, 0, 0));
    BREAKS("ET-CALL-5", model_refused(&m, 3, EPERM, 0, 0));
    BREAKS("ET-CALL-5", model_tick_end(&m, 0));
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    tick(0);
    BREAKS("ET-CALL-5", model_woken(&m, 0));
    BREAKS("ET-CALL-5", model_callback(&m, 200, 0, 0));
    LAWFUL(callback(A, 0));
    BREAKS("ET-CALL-5", callback(B, 0));
    BREAKS("ET-CALL-5", model_wait(&m, 0));
}

/* ---- timers and waiting ---------------------------------------------------------------------- */

static void test_expire_2_order(void **state) {
    (void)state;
    add_timer(A, 7);
    add_timer(B, 5);
    add_timer(C, 5);
    tick_0();
    clock_ms(1006);
    tick(0);
    BREAKS("ET-EXPIRE-4", callback(A, 0));
    BREAKS("ET-EXPIRE-3", callback(C, 0));
    clock_ms(1010);
    LAWFUL(callback(B, 0));
    model_update_now(&m); /* A has expired now, but not when the phase began */
    LAWFUL(model_returned(&m, ET_DISARM));
    called(C, 0);
    BREAKS("ET-EXPIRE-1", callback(A, 0));
    polled();
    ended();
    tick(0);
    BREAKS("ET-EXPIRE-1", model_wait(&m, 0));
    called(A, 0);
    polled();
    ended();
}

static void test_expire_2_earlier_deadline_first(void **state) {
    (void)state;
    add_timer(A, 7);
    add_timer(B, 5);
    tick_0();
    clock_ms(1010);
    tick(0);
    BREAKS("ET-EXPIRE-2", callback(A, 0));
    LAWFUL(callback(B, 0));
    assert_int_equal(model_delete(&m, A), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-DELETE-4", callback(A, 0));
    polled();
    ended();
    IS(DELETING, A);
}

/* Whether it fires when it is looked at again so much later. */
static bool fires_after(int64_t ns) {
    struct model before = m;
    model_clock(&m, m.clock_ns + (uint64_t)ns);
    tick(0);
    const char *clause = callback(A, 0);
    if (clause != NULL)
        assert_string_equal(clause, "ET-EXPIRE-4");
    m = before;
    return clause == NULL;
}

static void test_expire_4_to_the_nanosecond(void **state) {
    (void)state;
    model_clock(&m, (uint64_t)(1000 * MS + 1));
    model_update_now(&m);
    add_timer(A, 5);
    tick_0();
    assert_false(fires_after(5 * MS - 1));
    assert_false(fires_after(5 * MS));
    assert_false(fires_after(6 * MS - 2));
    assert_true(fires_after(6 * MS - 1));
    model_clock(&m, (uint64_t)(1000 * MS + 2)); /* the loop time is what counts, not the clock */
    assert_int_equal(model_delete(&m, A), 0);
    tick_0();
    clock_ms(1001);
    add_timer(A, 5);
    tick_0();
    assert_true(fires_after(5 * MS));
}

static void test_wait_limits(void **state) {
    (void)state;
    add_timer(A, 5);
    tick(1);
    model_clock(&m, (uint64_t)(1000 * MS + MS / 2));
    BREAKS("ET-WAIT-2", model_wait(&m, MODEL_WAIT_FOREVER));
    BREAKS("ET-WAIT-3", model_wait(&m, 9 * MS / 2 - 1));
    BREAKS("ET-WAIT-2", model_wait(&m, 11 * MS / 2 + 1));
    BREAKS("ET-WAIT-3", model_wait(&m, 0));
    LAWFUL(model_wait(&m, 11 * MS / 2));
    clock_ms(1005);
    LAWFUL(model_woken(&m, 0));
    BREAKS("ET-TICK-4", model_tick_end(&m, 0));
}

static void test_wait_3_far_deadlines(void **state) {
    (void)state;
    add_timer(A, UINT64_MAX);
    tick(1);
    BREAKS("ET-WAIT-3", model_wait(&m, INT64_C(2147483646) * MS));
    LAWFUL(model_wait(&m, INT64_C(2147483647) * MS));
    LAWFUL(model_woken(&m, EINTR));
    LAWFUL(model_wait(&m, INT64_MAX));
}

static void test_wait_1_without_waiting(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_NOOP, 0);
    tick(1);
    called(B, 0);
    BREAKS("ET-WAIT-1", model_wait(&m, MODEL_WAIT_FOREVER));
    polled();
    ended();
    tick(1);
    BREAKS("ET-WAIT-2", model_wait(&m, 0));
    LAWFUL(model_wait(&m, MODEL_WAIT_FOREVER));
    BREAKS("ET-WAIT-1", model_wait(&m, MODEL_WAIT_FOREVER));
    LAWFUL(model_woken(&m, EINTR));
    BREAKS("ET-WAIT-5", model_report(&m, 3, POLL_IN, MODEL_SEEN));
    LAWFUL(model_wait(&m, MODEL_WAIT_FOREVER)); /* another round */
    clock_ms(1500);
    LAWFUL(model_woken(&m, EBADF));
    assert_int_equal(m.now_ms, 1500);
    BREAKS("ET-TICK-6", model_wait(&m, 0));
    LAWFUL(model_tick_end(&m, -EBADF));
}

static void test_tick_6_7_results(void **state) {
    (void)state;
    tick(0);
    LAWFUL(model_wait(&m, 0));
    LAWFUL(model_woken(&m, ENOMEM));
    BREAKS("ET-TICK-6", model_tick_end(&m, 0));
    tick(0);
    polled();
    BREAKS("ET-TICK-7", model_tick_end(&m, -1));
    tick(0);
    BREAKS("ET-TICK-3", model_tick_end(&m, 0));
    tick(MODEL_NEVER_REACHED);
    polled();
    BREAKS("ET-TICK-4", model_wait(&m, 0)); /* nothing is active */
    ended();
    tick(0);
    polled();
    BREAKS("ET-TICK-3", model_wait(&m, 0));
}

static void test_run_5_turns(void **state) {
    (void)state;
    assert_int_equal(model_run(&m, ET_RUN_TURN), MODEL_RUNS); /* nothing is active */
    BREAKS("ET-WAIT-1", model_wait(&m, 1));
    polled();
    ended();
    add_timer(A, 5);
    assert_int_equal(model_run(&m, ET_RUN_TURN), MODEL_RUNS);
    BREAKS("ET-WAIT-3", model_wait(&m, 0));
    BREAKS("ET-WAIT-2", model_wait(&m, -1));
    LAWFUL(model_wait(&m, 5 * MS));
    clock_ms(1005);
    LAWFUL(model_woken(&m, EINTR));
    BREAKS("ET-RUN-5", model_wait(&m, 0));
    BREAKS("ET-RUN-5", callback(A, 0));
    ended();
    assert_int_equal(model_run(&m, ET_RUN_TURN), MODEL_RUNS);
    called(A, 0);
    polled();
    ended();
    add(A, ET_READ, 3);
    add(B, ET_NOOP, 0);
    assert_int_equal(model_run(&m, ET_RUN_TURN), MODEL_RUNS);
    called(B, 0);
    BREAKS("ET-RUN-5", model_wait(&m, -1));
    polled();
    ended();
    assert_int_equal(model_run(&m, ET_RUN_TURN + 1), -EINVAL);
    assert_string_equal(m.clause, "ET-RUN-4");
}

static void timeout_is(int64_t expected, const char *clause) {
    assert_true(model_timeout(&m) == expected);
    assert_string_equal(m.clause, clause);
}

static void test_host_1_2_3_timeouts(void **state) {
    (void)state;
    timeout_is(-1, "ET-HOST-2");
    add_timer(A, 10);
    timeout_is(0, "ET-HOST-1");
    tick_0();
    timeout_is(10, "ET-HOST-2");
    model_clock(&m, 1009 * MS + 1);
    timeout_is(1, "ET-HOST-2");
    model_clock(&m, 1011 * MS);
    timeout_is(0, "ET-HOST-2");
    tick(0);
    LAWFUL(callback(A, 0));
    timeout_is(0, "ET-HOST-1");
    LAWFUL(model_returned(&m, ET_DISARM));
    polled();
    ended();
    add_timer(A, UINT64_MAX);
    add_timer(B, 5);
    tick_0();
    timeout_is(5, "ET-HOST-2");
    assert_int_equal(model_delete(&m, B), 0);
    timeout_is(0, "ET-HOST-1");
    tick_0();
    timeout_is(INT64_MAX, "ET-HOST-2");
    model_stop(&m);
    timeout_is(-1, "ET-HOST-3");
    assert_int_equal(model_deinit(&m), 0);
    timeout_is(-EINVAL, "ET-DEINIT-4");
}

static void test_tick_4_rounds(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    tick(3);
    for (int i = 0; i < 3; i++) {
        LAWFUL(callback(A, 0));
        LAWFUL(model_returned(&m, ET_REARM));
        polled();
    }
    BREAKS("ET-TICK-4", callback(A, 0));
    ended();
}

static void test_time_3_never_back(void **state) {
    (void)state;
    clock_ms(2000);
    model_update_now(&m);
    clock_ms(1500);
    tick_0();
    assert_int_equal(m.now_ms, 2000);
    assert_int_equal(m.now_rest, 0);
    model_clock(&m, (uint64_t)(2000 * MS + 7));
    model_update_now(&m);
    assert_int_equal(m.now_rest, 7);
    model_clock(&m, (uint64_t)(2000 * MS + 6));
    model_update_now(&m);
    assert_int_equal(m.now_rest, 7);
    clock_ms(2001);
    model_update_now(&m);
    assert_int_equal(m.now_ms, 2001);
    assert_int_equal(m.now_rest, 0);
}

/* ---- stop, deinit ---------------------------------------------------------------------------- */

static void test_stop_2_and_3(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    tick(5);
    LAWFUL(callback(A, 0));
    assert_int_equal(model_tick(&m, 0), -EBUSY);
    assert_int_equal(model_deinit(&m), -EBUSY);
    model_stop(&m);
    assert_int_equal(model_tick(&m, 0), 0);
    LAWFUL(model_returned(&m, ET_REARM));
    struct model before = m;
    BREAKS("ET-STOP-3", model_tick_end(&m, 0));
    m = before;
    called(B, 0);
    BREAKS("ET-STOP-2", model_wait(&m, 0));
    ended();
    assert_int_equal(model_tick(&m, 0), 0);
    assert_int_equal(model_deinit(&m), 0);
    IS(DEAD, A);
    assert_int_equal(model_tick(&m, 0), -EINVAL);
    assert_int_equal(model_add(&m, A), -EINVAL);
    assert_int_equal(model_deinit(&m), -EINVAL);
}

static void test_stop_2_between_flush_and_wait(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_READ, 4);
    tick(1);
    LAWFUL(model_refused(&m, 3, EPERM, 0, 0));
    LAWFUL(callback(A, -EPERM));
    model_stop(&m);
    LAWFUL(model_returned(&m, ET_DISARM));
    LAWFUL(model_refused(&m, 4, EPERM, 0, 0)); /* the phase goes on */
    BREAKS("ET-STOP-2", model_wait(&m, 0));
    struct model before = m;
    BREAKS("ET-STOP-3", model_tick_end(&m, 0));
    m = before;
    called(B, -EPERM);
    ended();
}

static void test_stop_2_in_the_timer_phase(void **state) {
    (void)state;
    add_timer(A, 0);
    add(B, ET_READ, 3);
    tick(5);
    LAWFUL(callback(A, 0));
    model_stop(&m);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-STOP-2", model_refused(&m, 3, EPERM, 0, 0));
    BREAKS("ET-STOP-2", model_wait(&m, 0));
    ended();
    IS(ACTIVE, B);
}

static void test_state_1_forgotten(void **state) {
    (void)state;
    add_timer(A, 5);
    assert_int_equal(model_delete(&m, A), 0);
    tick_0();
    model_forget(&m, A);
    assert_int_equal(model_add(&m, A), 0); /* a noop without a callback */
    tick(1);
    assert_int_equal(m.tick.called, 1); /* ET-STATE-4, ET-TICK-5 */
    polled();
    ended();
    IS(DEAD, A);
}

static void test_deinit_2_drops_resets(void **state) {
    (void)state;
    add_timer(A, 5);
    tick_0();
    assert_int_equal(reset(A, B, 50), 0);
    assert_int_equal(model_deinit(&m), 0);
    IS(DEAD, A);
    IS(DEAD, B);
    assert_int_equal(m.active, 0);
    assert_int_equal(m.submissions.count, 0);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_register_3_order_and_cover(void **state) {
    (void)state;
    add(B, ET_READ, 3);
    add(A, ET_WRITE, 3);
    add(C, ET_POLL, 3);
    add(D, ET_READ, 3);
    add(E, ET_READ, 4);
    tick(1);
    LAWFUL(model_refused(&m, 3, ENOMEM, POLL_OUT, 0));
    BREAKS("ET-REGISTER-3", model_wait(&m, 0));
    BREAKS("ET-REGISTER-3", callback(D, -ENOMEM));
    BREAKS("ET-EVENT-7", callback(A, -ENOMEM)); /* covered */
    BREAKS("ET-EVENT-7", callback(E, -ENOMEM));
    LAWFUL(callback(B, -ENOMEM));
    assert_int_equal(model_delete(&m, C), 0); /* no longer owed */
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-DELETE-4", callback(C, -ENOMEM));
    called(D, -ENOMEM);
    LAWFUL(model_wait(&m, 0));
}

static void test_register_3_at_the_start(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_NOOP, 0);
    tick(0);
    LAWFUL(model_refused(&m, 3, EPERM, 0, 0));
    LAWFUL(callback(A, -EPERM));
    IS(ADDING, B);
    assert_int_equal(model_delete(&m, B), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    polled();
    ended();
    IS(DEAD, B);
}

static void test_register_3_null_callbacks(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add_null(B, ET_READ, 3);
    add_null(C, ET_READ, 4);
    tick(1);
    LAWFUL(model_refused(&m, 3, EPERM, 0, 0));
    assert_int_equal(m.maybe_dead, 0); /* B comes after A */
    LAWFUL(model_refused(&m, 4, EPERM, 0, 0));
    assert_int_equal(m.maybe_dead, 1U << C);
    LAWFUL(model_settled(&m, 1U << C));
    IS(DEAD, C);
    called(A, -EPERM);
    LAWFUL(model_wait(&m, 0));
    IS(DEAD, B);
    assert_int_equal(m.tick.called, 3);
}

static void test_register_5(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    tick_0();
    assert_int_equal(model_delete(&m, A), 0);
    for (int forgiven = 0; forgiven < 2; forgiven++) {
        tick(0);
        polled();
        LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
        ended();
        tick(0);
        m.forgive_registration = forgiven == 0;
        polled();
        if (forgiven == 0)
            LAWFUL(model_report(&m, 3, POLL_IN | POLL_HUP, MODEL_SEEN));
        else
            BREAKS("ET-REGISTER-5", model_report(&m, 3, POLL_IN | POLL_HUP, MODEL_SEEN));
        ended();
        tick_0(); /* a wait without it */
    }
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_OUT, MODEL_SEEN));
    ended();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN)); /* narrowed in between */
    LAWFUL(model_report(&m, 5, POLL_IN, MODEL_SEEN));
    ended();
    add(A, ET_WRITE, 3);
    add(B, ET_READ, 5);
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN)); /* A was started since */
    LAWFUL(model_report(&m, 5, POLL_IN, MODEL_STALE));
    ended();
}

/* ---- delivery -------------------------------------------------------------------------------- */

static void test_event_10_first_once(void **state) {
    (void)state;
    add(B, ET_READ, 3);
    add(A, ET_RECV, 3);
    add(C, ET_WRITE, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN | POLL_HUP, MODEL_SEEN));
    BREAKS("ET-EVENT-10", model_tick_end(&m, 0));
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN | POLL_HUP, MODEL_SEEN));
    BREAKS("ET-EVENT-10", model_try(&m, A, ET_RECV, 3, 1));
    LAWFUL(model_try(&m, C, ET_WRITE, 3, -EAGAIN));
    LAWFUL(model_try(&m, B, ET_READ, 3, 1));
    BREAKS("ET-EVENT-2", model_try(&m, A, ET_RECV, 3, 1));
    called(B, 1);
    BREAKS("ET-EVENT-11", model_try(&m, A, ET_RECV, 3, 1));
    ended();
    IS(ACTIVE, C);
}

static void test_event_10_goes_on(void **state) {
    (void)state;
    add(B, ET_SENDMSG, 3);
    add(A, ET_SEND, 3);
    add(C, ET_SEND, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_OUT, MODEL_SEEN));
    LAWFUL(model_try(&m, B, ET_SENDMSG, 3, -EAGAIN));
    BREAKS("ET-EVENT-10", model_try(&m, B, ET_SENDMSG, 3, -EAGAIN)); /* each once */
    struct model before = m;
    BREAKS("ET-EVENT-10", model_tick_end(&m, 0));
    m = before;
    BREAKS("ET-EVENT-10", model_try(&m, C, ET_SEND, 3, 1));
    LAWFUL(model_try(&m, A, ET_SEND, 3, 1));
    called(A, 1);
    BREAKS("ET-EVENT-11", model_try(&m, C, ET_SEND, 3, 1));
    ended();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_OUT, MODEL_SEEN));
    LAWFUL(model_try(&m, B, ET_SENDMSG, 3, -EAGAIN)); /* it has kept its place: ET-EVENT-3 */
    LAWFUL(model_try(&m, C, ET_SEND, 3, -EINTR));
    ended();
    IS(ACTIVE, B);
    IS(ACTIVE, C);
}

static void add_flagged(unsigned c, unsigned operation, int fd, int flags) {
    struct model_description d = description(c, operation, fd);
    d.flags = flags;
    model_describe(&m, c, &d);
    assert_int_equal(model_add(&m, c), 0);
}

static void test_event_10_classes(void **state) {
    (void)state;
    add_flagged(A, ET_RECVMSG, 3, MSG_ERRQUEUE);
    add_flagged(B, ET_RECV, 3, MSG_OOB);
    add(C, ET_RECV, 3);
    add_flagged(D, ET_SEND, 3, MSG_OOB);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN)); /* of the class of C alone */
    BREAKS("ET-SUBMIT-8", model_try(&m, A, ET_RECVMSG, 3, -EAGAIN));
    BREAKS("ET-SUBMIT-8", model_try(&m, B, ET_RECV, 3, -EINVAL));
    LAWFUL(model_try(&m, C, ET_RECV, 3, -EAGAIN));
    ended();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_PRI, MODEL_SEEN));
    LAWFUL(model_try(&m, B, ET_RECV, 3, 1));
    called(B, 1);
    ended();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_ERR, MODEL_SEEN)); /* everybody's */
    LAWFUL(model_try(&m, D, ET_SEND, 3, -EAGAIN));
    LAWFUL(model_try(&m, C, ET_RECV, 3, -EAGAIN));
    BREAKS("ET-EVENT-10", model_tick_end(&m, 0)); /* A is owed a try */
}

/* Who waits for the error queue is no obstacle for a receive that is started after it. */
static void test_submit_8_classes(void **state) {
    (void)state;
    add_flagged(A, ET_RECVMSG, 3, MSG_ERRQUEUE);
    add(B, ET_RECV, 3);
    add_flagged(C, ET_RECVMSG, 3, MSG_ERRQUEUE);
    tick(0);
    LAWFUL(model_try(&m, A, ET_RECVMSG, 3, -EAGAIN));
    LAWFUL(model_try(&m, B, ET_RECV, 3, 5));
    called(B, 5);
    BREAKS("ET-SUBMIT-8", model_try(&m, C, ET_RECVMSG, 3, 0));
}

static void test_event_10_vanished(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_READ, 4);
    add(C, ET_READ, 4);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 4, POLL_IN, MODEL_SEEN));
    LAWFUL(model_try(&m, A, ET_READ, 3, 1));
    LAWFUL(callback(A, 1));
    assert_int_equal(model_delete(&m, B), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    struct model before = m;
    BREAKS("ET-EVENT-10", model_tick_end(&m, 0)); /* C's turn has come instead */
    m = before;
    LAWFUL(model_try(&m, C, ET_READ, 4, -EAGAIN));
    ended();
}

static void test_event_10_two_reports(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_READ, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_INFERRED));
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    LAWFUL(model_try(&m, A, ET_READ, 3, 1));
    called(A, 1);
    LAWFUL(model_try(&m, B, ET_READ, 3, -EAGAIN)); /* by the inferred one: allowed */
    BREAKS("ET-EVENT-10", model_try(&m, B, ET_READ, 3, -EAGAIN));
    ended();
    IS(ACTIVE, B);
}

static void test_event_6_later_episode(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_READ, 4);
    tick_0();
    tick(2);
    LAWFUL(model_wait(&m, MODEL_WAIT_FOREVER));
    LAWFUL(model_woken(&m, 0));
    LAWFUL(model_report(&m, 4, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 9, POLL_IN, MODEL_STALE));
    LAWFUL(model_try(&m, B, ET_READ, 4, 1));
    LAWFUL(callback(B, 1));
    assert_int_equal(model_delete(&m, A), 0);
    assert_int_equal(model_add(&m, A), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-EVENT-6", callback(A, POLL_IN));
}

static void test_event_4_5_polls(void **state) {
    (void)state;
    struct model_description d = description(A, ET_POLL, 3);
    d.events = POLL_OUT;
    model_describe(&m, A, &d);
    add(B, ET_POLL, 3);
    assert_int_equal(model_add(&m, A), 0);
    add(C, ET_POLL, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN | POLL_OUT, MODEL_SEEN));
    BREAKS("ET-EVENT-5", callback(A, POLL_OUT));
    BREAKS("ET-EVENT-4", callback(B, POLL_IN | POLL_OUT));
    called(B, POLL_IN);
    called(A, POLL_OUT);
    BREAKS("ET-EVENT-4", model_wait(&m, 0));
    called(C, POLL_IN);
    ended();
}

static void test_event_4_null_polls(void **state) {
    (void)state;
    add_null(A, ET_POLL, 3);
    add(B, ET_POLL, 3);
    add_null(C, ET_POLL, 3);
    add_null(D, ET_POLL, 4);
    add_null(E, ET_POLL, 5);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 4, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 5, POLL_IN, MODEL_INFERRED));
    assert_int_equal(m.maybe_dead, 1U << A | 1U << D | 1U << E);
    LAWFUL(model_settled(&m, 1U << E));
    LAWFUL(callback(B, POLL_IN));
    IS(DEAD, A); /* it comes before B */
    IS(ACTIVE, D);
    assert_int_equal(m.maybe_dead, 1U << C | 1U << D);
    assert_int_equal(model_delete(&m, D), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    ended();
    IS(DEAD, C);
    IS(DEAD, E);
    IS(DELETING, D);
    assert_int_equal(m.active, 0);
}

static void test_event_7(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_ERR, MODEL_SEEN));
    BREAKS("ET-EVENT-7", callback(A, -EIO));
    LAWFUL(model_try(&m, A, ET_READ, 3, -EIO));
    called(A, -EIO);
    ended();
}

/* ---- the pool -------------------------------------------------------------------------------- */

static void pool(unsigned threads_max) {
    m.has_pool = true;
    m.pool_threads_max = threads_max;
}

static void add_pooled(unsigned c, unsigned operation, int fd, bool has_callback) {
    struct model_description d = description(c, operation, fd);
    d.pool_mark = true;
    d.has_callback = has_callback;
    model_describe(&m, c, &d);
    assert_int_equal(model_add(&m, c), 0);
}

static void executed(unsigned c, int64_t result) {
    LAWFUL(model_took(&m, c));
    LAWFUL(
        model_executed(&m, c, m.completion[c].operation, m.completion[c].description.fd, result));
}

static void gave_back(unsigned c, int64_t result) {
    executed(c, result);
    LAWFUL(model_gave_back(&m, c));
    LAWFUL(model_idle(&m));
}

/* A and B, reads with a callback, in the queue of a pool that has one thread and may have no more.
 */
static void two_queued(void) {
    pool(1);
    add_pooled(A, ET_READ, 3, true);
    add_pooled(B, ET_READ, 3, true);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    polled();
    ended();
    assert_int_equal(m.queued.count, 2);
}

static void test_pool_1_a_round_trip(void **state) {
    (void)state;
    two_queued();
    IS(ACTIVE, A);
    tick(0);
    BREAKS("ET-EVENT-8", model_try(&m, A, ET_READ, 3, 1)); /* it is no waiting operation */
    BREAKS("ET-POOL-10", callback(A, 5));
    gave_back(A, 5);
    LAWFUL(model_wait(&m, 0));
    LAWFUL(model_woken(&m, 0));
    /* of nobody's registration: useless, but once */
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    BREAKS("ET-TICK-3", callback(A, 5)); /* the pool phase is over */
    ended();
    tick(0);
    BREAKS("ET-POOL-4", callback(A, 6));
    BREAKS("ET-POOL-10", model_wait(&m, 0));
    called(A, 5);
    polled();
    ended();
    assert_int_equal(m.active, 1);
    assert_int_equal(m.pool_busy, 0);
}

static void test_pool_1_limits_are_not_for_it(void **state) {
    (void)state;
    pool(0);
    add_pooled(A, ET_READ, 100, true);
    add_pooled(B, ET_CLOSE, -1, true);
    add_pooled(C, ET_WRITE, -1, true);
    tick(0);
    called(B, -EBADF); /* ET-SUBMIT-4 */
    called(C, -EBADF);
    polled();
    ended();
    IS(ACTIVE, A);
    assert_int_equal(m.queued.count, 1);
}

static void test_pool_1_close(void **state) {
    (void)state;
    pool(1);
    add(A, ET_POLL, 3);
    add_pooled(B, ET_READ, 3, true);
    add_pooled(C, ET_CLOSE, 3, true);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    LAWFUL(callback(A, -ECANCELED));
    assert_int_equal(m.queued.count, 1);
    struct model before = m;
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-CLOSE-2", model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0));
    gave_back(B, 1); /* the close does not end what the pool has */
    gave_back(C, -EINTR);
    polled();
    ended();
    tick(0);
    called(B, 1);
    BREAKS("ET-POOL-4", callback(C, -EINTR));
    called(C, 0);
    polled();
    ended();
    m = before;
    assert_int_equal(model_delete(&m, C), 0); /* ET-CLOSE-3 */
    LAWFUL(model_returned(&m, ET_DISARM));
    gave_back(B, 1);
    BREAKS("ET-POOL-5", model_took(&m, C));
    polled();
    ended();
    IS(DEAD, C);
}

static void test_pool_2_4_threads(void **state) {
    (void)state;
    two_queued();
    BREAKS("ET-POOL-2", model_took(&m, B));
    BREAKS("ET-POOL-4", model_executed(&m, A, ET_READ, 3, 1));
    LAWFUL(model_took(&m, A));
    BREAKS("ET-POOL-4", model_took(&m, A));
    BREAKS("ET-POOL-15", model_took(&m, B)); /* the one thread is at work */
    BREAKS("ET-POOL-15", model_idle(&m));
    BREAKS("ET-POOL-4", model_gave_back(&m, A));
    BREAKS("ET-POOL-4", model_executed(&m, A, ET_WRITE, 3, 1));
    BREAKS("ET-POOL-4", model_executed(&m, A, ET_READ, 4, 1));
    LAWFUL(model_executed(&m, A, ET_READ, 3, -EAGAIN));
    BREAKS("ET-POOL-4", model_executed(&m, A, ET_READ, 3, 1));
    LAWFUL(model_gave_back(&m, A));
    BREAKS("ET-POOL-12", model_gave_back(&m, A));
    BREAKS("ET-POOL-15", model_took(&m, B)); /* not idle yet */
    LAWFUL(model_idle(&m));
    BREAKS("ET-POOL-15", model_idle(&m));
    executed(B, -EINTR);
    LAWFUL(model_gave_back(&m, B));
    BREAKS("ET-POOL-5", model_took(&m, C));
    tick(0);
    called(A, -EAGAIN);
    called(B, -EINTR);
    polled();
    ended();
}

static void test_pool_3_no_thread(void **state) {
    (void)state;
    pool(2);
    add_pooled(A, ET_READ, 3, true);
    add_pooled(B, ET_READ, 3, false);
    add_pooled(C, ET_READ, 3, true);
    add_pooled(D, ET_READ, 3, true);
    tick(0);
    BREAKS("ET-POOL-15", model_wait(&m, 0));
    LAWFUL(model_thread(&m, EAGAIN));
    assert_int_equal(m.queued.count, 0);
    BREAKS("ET-POOL-3", callback(A, -ENOMEM));
    called(A, -EAGAIN);
    LAWFUL(model_thread(&m, ENOMEM));
    IS(DEAD, B);
    assert_int_equal(m.tick.called, 2);
    LAWFUL(model_thread(&m, 0));
    LAWFUL(model_thread(&m, EAGAIN)); /* there is one */
    BREAKS("ET-POOL-10", callback(D, -EAGAIN));
    polled();
    ended();
    IS(ACTIVE, D);
    assert_int_equal(m.queued.count, 2);
}

static void test_pool_15_when_a_thread_is_created(void **state) {
    (void)state;
    pool(2);
    tick(0);
    BREAKS("ET-POOL-15", model_thread(&m, 0));
    polled();
    ended();
    add_pooled(A, ET_READ, 3, true);
    add(E, ET_NOOP, 0);
    tick(0);
    BREAKS("ET-POOL-15", callback(E, 0));
    LAWFUL(model_thread(&m, 0));
    called(E, 0);
    gave_back(A, 1);
    polled();
    BREAKS("ET-POOL-15", model_thread(&m, 0));
    ended();
    add_pooled(B, ET_READ, 3, true);
    add_pooled(C, ET_READ, 3, true);
    add_pooled(D, ET_READ, 3, true);
    tick(0); /* B has the idle thread, C needs one, D is too many */
    LAWFUL(model_thread(&m, 0));
    assert_int_equal(m.queued.count, 3);
    BREAKS("ET-POOL-15", model_thread(&m, 0));
    called(A, 1);
    polled();
    ended();
}

static void test_pool_15_a_thread_becomes_idle(void **state) {
    (void)state;
    pool(2);
    add_pooled(A, ET_READ, 3, true);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    executed(A, 1);
    LAWFUL(model_gave_back(&m, A));
    polled();
    ended();
    add_pooled(B, ET_READ, 3, true);
    tick(0);
    struct model before = m;
    LAWFUL(model_idle(&m)); /* before B joined, or after */
    LAWFUL(model_took(&m, B));
    struct model idle = m;
    LAWFUL(model_thread(&m, 0));
    called(A, 1);
    m = idle;
    called(A, 1);
    BREAKS("ET-POOL-15", model_thread(&m, 0));
    polled();
    ended();
    m = before;
    BREAKS("ET-POOL-15", callback(A, 1));
}

static void test_pool_5_cancel_in_the_queue(void **state) {
    (void)state;
    two_queued();
    assert_int_equal(cancel(C, A), 0);
    tick(0);
    struct model before = m;
    LAWFUL(model_took(&m, B)); /* A has left the queue already */
    BREAKS("ET-POOL-5", model_took(&m, A));
    LAWFUL(callback(A, -ECANCELED));
    LAWFUL(model_returned(&m, ET_DISARM));
    called(C, 0);
    polled();
    ended();
    m = before;
    LAWFUL(model_took(&m, A)); /* before the cancel looked */
    BREAKS("ET-POOL-6", callback(A, -ECANCELED));
    BREAKS("ET-POOL-6", callback(C, 0));
    called(C, -EALREADY);
    polled();
    ended();
    IS(ACTIVE, A);
}

static void test_pool_5_6_of_a_null_callback(void **state) {
    (void)state;
    pool(1);
    add_pooled(A, ET_READ, 3, false);
    add_pooled(B, ET_READ, 3, true);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    polled();
    ended();
    assert_int_equal(cancel(C, A), 0);
    tick(0);
    struct model before = m;
    called(C, 0);
    IS(DEAD, A);
    assert_int_equal(m.tick.called, 2);
    BREAKS("ET-POOL-5", model_took(&m, A));
    LAWFUL(model_took(&m, B));
    m = before;
    LAWFUL(model_took(&m, A));
    BREAKS("ET-POOL-6", callback(C, 0));
    called(C, -EALREADY);
    IS(ACTIVE, A);
    m = before;
    LAWFUL(model_took(&m, B));
    BREAKS("ET-POOL-5", model_took(&m, A));
    called(C, 0);
    IS(DEAD, A);
}

/* Two cancels, without callbacks as their targets are, and a socket operation between them: when a
 * refusal is seen the loop may stand anywhere. */
static void test_pool_5_unseen_and_a_refusal(void **state) {
    (void)state;
    pool(1);
    add_pooled(A, ET_READ, 3, false);
    add_pooled(B, ET_READ, 3, false);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    polled();
    ended();
    add(C, ET_ACCEPT, 4);
    assert_int_equal(model_cancel(&m, D, A, false, 0), 0);
    add(E, ET_RECV, 5);
    assert_int_equal(model_cancel(&m, F, B, false, 0), 0);
    tick(0);
    struct model started = m;
    LAWFUL(model_took(&m, A)); /* -EALREADY, which nobody hears */
    LAWFUL(model_settled(&m, 1U << D));
    LAWFUL(model_try(&m, E, ET_RECV, 5, -EAGAIN)); /* is still to be made, or not */
    m = started;
    LAWFUL(model_refused(&m, 4, EPERM, 0, 0));
    assert_int_equal(m.maybe_dead, 1U << A | 1U << D);
    struct model refused = m;
    LAWFUL(callback(C, -EPERM)); /* at its start */
    assert_int_equal(m.maybe_dead, 0);
    IS(ACTIVE, A);
    /* the callback can: the cancel has not been processed */
    assert_int_equal(model_delete(&m, A), 0);
    IS(DELETING, A);
    LAWFUL(model_returned(&m, ET_DISARM));
    assert_int_equal(m.maybe_dead, 0);
    m = refused;
    LAWFUL(model_settled(&m, 1U << A | 1U << D)); /* before the wait */
    IS(DEAD, A);
    IS(DEAD, D);
    IS(ACTIVE, B);
    assert_int_equal(m.maybe_dead, 0);
    struct model between = m;
    LAWFUL(model_settled(&m, 1U << B | 1U << F));
    assert_int_equal(m.maybe_dead, 0);
    called(C, -EPERM);
    IS(DEAD, B);
    IS(ACTIVE, E);
    BREAKS("ET-POOL-5", model_took(&m, B));
    polled();
    ended();
    m = between;
    LAWFUL(model_took(&m, B)); /* before the second cancel looked */
    LAWFUL(model_settled(&m, 1U << F));
    called(C, -EPERM);
    IS(DEAD, F);
    IS(ACTIVE, B);
    polled();
    ended();
    m = refused;
    LAWFUL(model_settled(&m, 1U << D)); /* a cancel that has ended has ended its target */
    IS(DEAD, A);
    m = started;
    LAWFUL(model_settled(&m, 1U << B | 1U << F)); /* and what comes before it is past */
    IS(DEAD, A);
    IS(DEAD, F);
    BREAKS("ET-SUBMIT-8", model_try(&m, E, ET_RECV, 5, 1));
}

/* What is refused has been submitted after a cancel that nobody sees. */
static void test_register_3_after_an_unseen_cancel(void **state) {
    (void)state;
    pool(1);
    add_pooled(A, ET_READ, 3, false);
    add(B, ET_RECV, 4);
    assert_int_equal(model_cancel(&m, C, A, false, 0), 0);
    add_null(D, ET_READ, 4);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    LAWFUL(model_settled(&m, 1U << A | 1U << C));
    LAWFUL(model_refused(&m, 4, EPERM, 0, 0));
    called(B, -EPERM);
    LAWFUL(model_settled(&m, 1U << D));
    polled();
    IS(DEAD, D);
    ended();
}

static void test_pool_6_handed_over(void **state) {
    (void)state;
    two_queued();
    gave_back(A, 1);
    assert_int_equal(cancel(C, A), 0);
    tick(0);
    called(C, -EALREADY);
    called(A, 1); /* in the same round */
    polled();
    ended();
}

static void test_pool_7_delete_in_the_queue(void **state) {
    (void)state;
    two_queued();
    assert_int_equal(model_delete(&m, A), 0);
    assert_string_equal(m.clause, "ET-DELETE-3");
    assert_int_equal(m.deletions.count, 1);
    assert_int_equal(m.lingering, 0);
    BREAKS("ET-POOL-7", model_took(&m, A));
    gave_back(B, 1);
    assert_int_equal(model_add(&m, A), 0);
    tick(0);
    called(B, 1);
    polled();
    ended();
    LAWFUL(model_took(&m, A));
}

static void test_pool_8_9_lingering(void **state) {
    (void)state;
    two_queued();
    LAWFUL(model_took(&m, A));
    assert_int_equal(model_delete(&m, A), 0);
    assert_string_equal(m.clause, "ET-POOL-8");
    IS(DELETING, A);
    assert_int_equal(m.active, 1);
    assert_int_equal(m.lingering, 1);
    assert_int_equal(m.deletions.count, 0);
    assert_int_equal(model_delete(&m, A), 0);
    assert_int_equal(m.lingering, 1);
    add_timer(D, 50);
    tick_0();
    assert_int_equal(model_add(&m, A), -EBUSY);
    assert_string_equal(m.clause, "ET-POOL-9");
    assert_int_equal(model_timer(&m, A, 1, true, 0), -EBUSY);
    assert_string_equal(m.clause, "ET-POOL-9");
    assert_int_equal(reset(A, E, 1), -EBUSY);
    assert_string_equal(m.clause, "ET-POOL-9");
    assert_int_equal(reset(D, A, 1), -EBUSY);
    assert_string_equal(m.clause, "ET-POOL-9");
    assert_int_equal(reset(B, A, 1), -EINVAL); /* ET-RESET-2 */
    assert_int_equal(cancel(A, D), -EBUSY);
    assert_string_equal(m.clause, "ET-POOL-9");
    assert_int_equal(model_async_wait(&m, A, 5, true, 0), -EBUSY);
    assert_string_equal(m.clause, "ET-POOL-9");
    assert_int_equal(m.completion[A].description.operation, ET_READ);
    assert_int_equal(cancel(E, A), 0);
    tick(0);
    called(E, -ENOENT); /* ET-CANCEL-6 */
    polled();
    ended();
    LAWFUL(model_executed(&m, A, ET_READ, 3, 1));
    LAWFUL(model_gave_back(&m, A));
    assert_int_equal(model_add(&m, A), -EBUSY);
    tick(0);
    BREAKS("ET-DELETE-4", callback(A, 1));
    IS(DEAD, A);
    assert_int_equal(m.lingering, 0);
    assert_int_equal(m.tick.called, 0);
    polled();
    ended();
    assert_int_equal(model_add(&m, A), 0);
}

static void test_pool_8_at_its_place(void **state) {
    (void)state;
    pool(1);
    for (unsigned c = A; c <= C; c++)
        add_pooled(c, ET_READ, 3, true);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    polled();
    ended();
    for (unsigned c = A; c <= C; c++)
        gave_back(c, 1);
    tick(0);
    BREAKS("ET-POOL-10", callback(B, 1));
    LAWFUL(callback(A, 1));
    assert_int_equal(model_delete(&m, B), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    LAWFUL(callback(C, 1));
    IS(DEAD, B);
    LAWFUL(model_returned(&m, ET_REARM));
    polled();
    ended();
    IS(ADDING, C);
}

static void test_pool_8_last_and_idle(void **state) {
    (void)state;
    pool(1);
    add_pooled(A, ET_READ, 3, true);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    polled();
    ended();
    LAWFUL(model_took(&m, A));
    assert_int_equal(model_delete(&m, A), 0);
    assert_int_equal(m.active, 0);
    tick(MODEL_NEVER_REACHED);
    BREAKS("ET-WAIT-2", model_wait(&m, 0)); /* lingering: there is something to wait for */
    LAWFUL(model_wait(&m, MODEL_WAIT_FOREVER));
    LAWFUL(model_executed(&m, A, ET_READ, 3, 1));
    LAWFUL(model_gave_back(&m, A));
    LAWFUL(model_woken(&m, 0));
    struct model before = m;
    BREAKS("ET-TICK-4", model_tick_end(&m, 0)); /* nor is the loop idle */
    m = before;
    LAWFUL(model_wait(&m, 0));
    IS(DEAD, A);
    LAWFUL(model_woken(&m, 0));
    ended();
}

static void test_pool_10_snapshot(void **state) {
    (void)state;
    two_queued();
    gave_back(A, 1);
    tick(0);
    LAWFUL(callback(A, 1));
    gave_back(B, 2); /* the phase has begun */
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-POOL-10", callback(B, 2));
    polled();
    BREAKS("ET-TICK-3", callback(B, 2));
    ended();
    tick(0);
    called(B, 2);
    polled();
    ended();
}

static void test_pool_10_handed_over_unseen(void **state) {
    (void)state;
    two_queued();
    tick(0);
    gave_back(A, 1);
    struct model before = m;
    called(A, 1); /* before the phase began */
    polled();
    ended();
    m = before;
    polled(); /* after it had begun */
    ended();
    tick(0);
    BREAKS("ET-POOL-10", model_wait(&m, 0));
    called(A, 1);
    gave_back(B, 1); /* for the next phase, since this one has begun */
    BREAKS("ET-POOL-10", callback(B, 1));
    polled();
    ended();
}

static void test_pool_10_unseen_ends(void **state) {
    (void)state;
    pool(1);
    add_pooled(A, ET_READ, 3, false);
    add_pooled(B, ET_READ, 3, true);
    add_pooled(C, ET_READ, 3, true);
    add_pooled(D, ET_READ, 3, false);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    polled();
    ended();
    tick(0);
    gave_back(A, 1);
    executed(B, 1);
    assert_int_equal(model_delete(&m, B), 0);
    LAWFUL(model_gave_back(&m, B));
    LAWFUL(model_idle(&m));
    gave_back(C, 1);
    gave_back(D, 1);
    assert_int_equal(m.maybe_dead, 1U << A | 1U << B);
    struct model before = m;
    BREAKS("ET-POOL-10", model_settled(&m, 1U << B)); /* A goes first */
    m = before;
    LAWFUL(model_settled(&m, 1U << A));
    IS(DEAD, A);
    IS(DELETING, B);
    assert_int_equal(m.tick.called, 1);
    polled();
    ended();
    m = before;
    LAWFUL(model_settled(&m, 0));
    BREAKS("ET-POOL-10", callback(C, 1)); /* B has not ended */
    m = before;
    LAWFUL(model_settled(&m, 1U << A | 1U << B));
    LAWFUL(callback(C, 1));
    IS(DEAD, B);
    assert_int_equal(m.tick.called, 2);
    LAWFUL(model_returned(&m, ET_DISARM));
    assert_int_equal(m.maybe_dead, 1U << D);
    LAWFUL(model_settled(&m, 0));
    polled();
    ended();
    tick_0();
    IS(DEAD, D);
}

static void test_pool_10_stopped(void **state) {
    (void)state;
    two_queued();
    gave_back(A, 1);
    gave_back(B, 1);
    struct model before = m;
    tick(5);
    LAWFUL(callback(A, 1));
    model_stop(&m);
    LAWFUL(model_returned(&m, ET_DISARM));
    struct model stopped = m;
    BREAKS("ET-STOP-3", model_tick_end(&m, 0));
    m = stopped;
    called(B, 1);
    BREAKS("ET-STOP-2", model_refused(&m, 3, ENOSPC, 0, 0));
    BREAKS("ET-STOP-2", model_wait(&m, 0));
    ended();
    m = before;
    add(C, ET_NOOP, 0);
    tick(5);
    LAWFUL(callback(C, 0));
    model_stop(&m);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-STOP-2", callback(A, 1)); /* the pool phase is not entered */
    ended();
}

/* The loop has declined a try, and gone on to a submission, the pool phase and the wait, when it is
 * seen again. */
static void test_pool_threads_are_ahead_of_what_is_seen(void **state) {
    (void)state;
    pool(1);
    m.pool_threads = 1;
    add_pooled(B, ET_READ, 4, true);
    tick_0();
    add(A, ET_RECV, 3);
    add_pooled(C, ET_READ, 4, false);
    tick(0);
    gave_back(B, 1); /* perhaps after the pool phase */
    struct model before = m;
    LAWFUL(model_try(&m, A, ET_RECV, 3, -EAGAIN));
    BREAKS("ET-POOL-10", model_wait(&m, 0)); /* it was before: the try comes earlier */
    m = before;
    polled();
    ended();
    IS(ACTIVE, B);
    m = before;
    gave_back(C, 1);
    assert_int_equal(m.maybe_dead, 0); /* B comes first */
    called(B, 1);
    assert_int_equal(m.maybe_dead, 1U << C);
    LAWFUL(model_settled(&m, 1U << C));
    IS(DEAD, C);
    polled();
    ended();
}

static void test_pool_8_settled_before_it_is_seen_where(void **state) {
    (void)state;
    pool(1);
    m.pool_threads = 1;
    add_pooled(B, ET_READ, 4, false);
    tick_0();
    add(A, ET_RECV, 3);
    struct model added = m;
    tick(0);
    gave_back(B, 1);
    assert_int_equal(m.maybe_dead, 1U << B);
    LAWFUL(model_settled(&m, 1U << B));
    polled();
    ended();
    m = added;
    add(C, ET_NOOP, 0);
    assert_int_equal(model_delete(&m, A), 0);
    tick(0);
    gave_back(B, 1);
    BREAKS("ET-POOL-10", model_settled(&m, 1U << B)); /* C is due, and that is an earlier phase */
}

static void test_pool_10_every_round_has_its_snapshot(void **state) {
    (void)state;
    two_queued();
    gave_back(A, 1);
    tick(5);
    LAWFUL(callback(A, 1));
    add(C, ET_CONNECT, 5);
    LAWFUL(model_returned(&m, ET_DISARM));
    polled();
    LAWFUL(model_try(&m, C, ET_CONNECT, 5, -EINPROGRESS));
    gave_back(B, 1); /* before the second round's pool phase, or after */
    called(B, 1);
    LAWFUL(model_wait(&m, MODEL_WAIT_FOREVER));
}

static void test_pool_15_idle_before_the_work_joined(void **state) {
    (void)state;
    pool(2);
    add_pooled(A, ET_READ, 3, true);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    executed(A, 1);
    LAWFUL(model_gave_back(&m, A));
    polled();
    ended();
    add(E, ET_NOOP, 0);
    add_pooled(B, ET_READ, 3, true);
    tick(0);
    LAWFUL(model_idle(&m));
    called(E, 0);
    BREAKS("ET-POOL-15", model_thread(&m, 0));
    called(A, 1);
    polled();
    ended();
}

/* A refusal is seen while the model cannot know whether a silent cancel, or the pool phase, is
 * over. */
static void test_pool_refusals_leave_it_open(void **state) {
    (void)state;
    pool(1);
    m.pool_threads = 1;
    add(C, ET_READ, 5);
    add_pooled(B, ET_READ, 4, true);
    add_pooled(E, ET_READ, 4, false);
    tick_0();
    assert_int_equal(model_cancel(&m, D, E, false, 0), 0);
    struct model prepared = m;
    tick(0);
    LAWFUL(model_took(&m, B));
    LAWFUL(model_executed(&m, B, ET_READ, 4, 1));
    LAWFUL(model_refused(&m, 5, ENOSPC, 0, 0));
    LAWFUL(model_gave_back(&m, B));
    LAWFUL(model_idle(&m));
    struct model before = m;
    LAWFUL(callback(C, -ENOSPC));
    LAWFUL(model_returned(&m, ET_DISARM));
    struct model returned = m;
    polled(); /* B came after the pool phase */
    ended();
    IS(DEAD, E);
    m = returned;
    called(B, 1);
    polled();
    ended();
    m = before;
    LAWFUL(model_took(&m, E)); /* the cancel has not looked yet */
    called(C, -ENOSPC);
    polled();
    ended();
    IS(ACTIVE, E);
    IS(DEAD, D);
    m = prepared;
    assert_int_equal(model_delete(&m, D), 0);
    add(A, ET_RECV, 3);
    tick(0);
    gave_back(B, 1);
    LAWFUL(model_refused(&m, 5, ENOSPC, 0, 0));
    called(B, 1); /* the pool phase comes after the refusal */
    called(C, -ENOSPC);
    polled();
    ended();
}

/* Nobody knows in which phase a loop registers: after a refusal the pool phase may come, or be
 * over. */
static void test_pool_10_and_refusals(void **state) {
    (void)state;
    two_queued();
    add(C, ET_READ, 5);
    gave_back(A, 1);
    tick(0);
    LAWFUL(model_refused(&m, 5, ENOSPC, 0, 0));
    gave_back(B, 1);
    LAWFUL(callback(C, -ENOSPC));
    struct model before = m;
    LAWFUL(model_returned(&m, ET_DISARM));
    called(A, 1);
    called(B, 1);
    polled();
    ended();
    m = before;
    LAWFUL(model_returned(&m, ET_DISARM));
    called(A, 1);
    polled();
    ended();
    IS(ACTIVE, B);
}

/* What is handed over in a callback whose place is known is there when a later pool phase begins.
 */
static void test_pool_10_after_a_callback(void **state) {
    (void)state;
    two_queued();
    add(C, ET_NOOP, 0);
    tick(0);
    LAWFUL(callback(C, 0));
    gave_back(A, 1);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-POOL-10", model_wait(&m, 0));
    called(A, 1);
    gave_back(B, 1);
    polled();
    ended();
}

static void test_pool_13_deinit(void **state) {
    (void)state;
    two_queued();
    LAWFUL(model_took(&m, A));
    struct model before = m;
    assert_int_equal(model_deinit(&m), 0);
    IS(DEAD, A);
    IS(DEAD, B);
    BREAKS("ET-POOL-13", model_deinit_end(&m));
    LAWFUL(model_executed(&m, A, ET_READ, 3, 1));
    LAWFUL(model_gave_back(&m, A));
    BREAKS("ET-POOL-13", model_deinit_end(&m));
    LAWFUL(model_idle(&m));
    LAWFUL(model_deinit_end(&m));
    assert_int_equal(m.queued.count, 0);
    assert_int_equal(m.handed_over.count, 0);
    m = before;
    assert_int_equal(model_delete(&m, A), 0);
    LAWFUL(model_executed(&m, A, ET_READ, 3, 1));
    LAWFUL(model_gave_back(&m, A));
    LAWFUL(model_idle(&m));
    LAWFUL(model_took(&m, B)); /* before deinit has emptied the queue */
    assert_int_equal(model_deinit(&m), 0);
    BREAKS("ET-POOL-13", model_deinit_end(&m));
    LAWFUL(model_executed(&m, B, ET_READ, 3, 1));
    LAWFUL(model_gave_back(&m, B));
    LAWFUL(model_idle(&m));
    LAWFUL(model_deinit_end(&m));
}

/* ---- the async ------------------------------------------------------------------------------- */

static void test_async_1_wait(void **state) {
    (void)state;
    pool(1);
    assert_int_equal(model_async_wait(&m, A, -1, true, 0), -EINVAL);
    IS(DEAD, A);
    m.completion[A].description.pool_mark = true;
    assert_int_equal(model_async_wait(&m, A, 7, true, 100), 0);
    IS(ADDING, A);
    assert_int_equal(model_async_wait(&m, A, 7, true, 100), -EBUSY);
    assert_string_equal(m.clause, "ET-ASYNC-1");
    tick_0();
    assert_int_equal(m.queued.count, 0);
    assert_int_equal(model_async_wait(&m, A, 7, true, 100), -EBUSY);
    assert_int_equal(model_delete(&m, A), 0);
    assert_int_equal(model_async_wait(&m, A, 7, true, 100), 0);
    assert_int_equal(m.deletions.count, 0);
}

static void test_async_2_3_notifications(void **state) {
    (void)state;
    assert_int_equal(model_notify(&m, -1), -EINVAL);
    assert_int_equal(model_async_deinit(&m, -1), -EINVAL);
    assert_int_equal(model_notify(&m, 7), 0); /* before anything waits */
    assert_int_equal(model_async_wait(&m, A, 7, true, 100), 0);
    assert_int_equal(model_async_wait(&m, B, 7, true, 101), 0);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 7, POLL_IN, MODEL_SEEN));
    LAWFUL(model_try(&m, A, ET_READ, 7, 8));
    called(A, 8);
    ended();
    struct model before = m;
    tick(0);
    polled();
    LAWFUL(model_report(&m, 7, POLL_IN, MODEL_SEEN));
    struct model reported = m;
    BREAKS("ET-ASYNC-3", model_try(&m, B, ET_READ, 7, 8));
    m = reported;
    LAWFUL(model_try(&m, B, ET_READ, 7, -EAGAIN));
    ended();
    m = before;
    assert_int_equal(model_notify(&m, 7), 0);
    tick(0);
    polled();
    LAWFUL(model_report(&m, 7, POLL_IN, MODEL_SEEN));
    reported = m;
    BREAKS("ET-ASYNC-1", model_try(&m, B, ET_READ, 7, 4));
    m = reported;
    LAWFUL(model_try(&m, B, ET_READ, 7, 8));
    called(B, 8);
    ended();
    assert_int_equal(model_async_deinit(&m, 7), 0);
    add(C, ET_READ, 7); /* another file by now */
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 7, POLL_IN, MODEL_SEEN));
    LAWFUL(model_try(&m, C, ET_READ, 7, 1));
}

/* ---- what a loop does wrong, where no test above says it ------------------------------------- */

static void test_submit_9_shut_down_twice(void **state) {
    (void)state;
    add(A, ET_SHUTDOWN, 3);
    tick(0);
    LAWFUL(model_try(&m, MODEL_NONE, ET_SHUTDOWN, 3, 0));
    called(A, 0);
    BREAKS("ET-SUBMIT-9", model_try(&m, MODEL_NONE, ET_SHUTDOWN, 3, 0));
}

static void test_call_5_no_callback_returns(void **state) {
    (void)state;
    BREAKS("ET-CALL-5", model_returned(&m, ET_DISARM));
    tick(0);
    BREAKS("ET-CALL-5", model_returned(&m, ET_DISARM));
}

static void test_reset_8_a_carrier_calls_back(void **state) {
    (void)state;
    add_timer(A, 5);
    tick_0();
    struct model_description d = description(B, ET_NOOP, -1);
    model_describe(&m, B, &d);
    add(C, ET_NOOP, -1); /* comes before it */
    assert_int_equal(reset(A, B, 9), 0);
    tick(0);
    BREAKS("ET-RESET-8", callback(B, 0));
}

static void test_op_4_the_error_of_another(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    add(B, ET_RECV, 4);
    tick(0);
    LAWFUL(model_try(&m, A, ET_RECV, 3, -ECONNRESET));
    BREAKS("ET-OP-4", callback(B, -ECONNRESET));
}

static void test_call_4_added_in_this_round(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    add(B, ET_NOOP, -1);
    tick(0);
    LAWFUL(callback(A, 0));
    add(C, ET_NOOP, -1);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-CALL-4", callback(C, 0));
}

static void test_event_5_polls_end_unseen_in_order(void **state) {
    (void)state;
    add_null(A, ET_POLL, 3);
    add_null(B, ET_POLL, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    BREAKS("ET-EVENT-5", model_settled(&m, 1U << B));
}

static void test_pool_15_a_thread_for_nothing(void **state) {
    (void)state;
    m.has_pool = true;
    m.pool_threads_max = 2;
    add(A, ET_NOOP, -1);
    tick(0);
    BREAKS("ET-POOL-15", model_thread(&m, 0));
}

static void test_deinit_4_every_call(void **state) {
    (void)state;
    assert_int_equal(model_deinit(&m), 0);
    LAWFUL(model_deinit_end(&m));
    assert_int_equal(model_add(&m, A), -EINVAL);
    assert_int_equal(model_delete(&m, A), -EINVAL);
    assert_int_equal(model_timer(&m, A, 5, true, 100), -EINVAL);
    assert_int_equal(reset(A, B, 5), -EINVAL);
    assert_int_equal(cancel(A, B), -EINVAL);
    assert_int_equal(model_async_wait(&m, A, 3, true, 100), -EINVAL);
    assert_string_equal(m.clause, "ET-DEINIT-4");
    uint64_t now_ms = m.now_ms;
    clock_ms(5000);
    model_update_now(&m);
    assert_int_equal(m.now_ms, now_ms);
    assert_int_equal(model_tick(&m, 1), -EINVAL);
}

/* ---- events ---------------------------------------------------------------------------------- */

static int run(int mode) {
    struct event event = {.kind = EVENT_RUN, .mode = (int8_t)mode};
    return model_step(&m, &event).returns;
}

static void test_run_4_unknown_modes(void **state) {
    (void)state;
    assert_int_equal(run(ET_RUN_TURN + 1), -EINVAL);
    assert_int_equal(run(-1), -EINVAL);
    assert_string_equal(m.clause, "ET-RUN-4");
    assert_false(m.in_tick);
}

static void test_run_1_2_3_known_modes(void **state) {
    (void)state;
    static const uint64_t callbacks[] = {0, 1, EVENT_NEVER_REACHED};
    for (int mode = 0; mode < 3; mode++) {
        assert_int_equal(run(mode), MODEL_RUNS);
        assert_int_equal(m.tick.asked, callbacks[mode]);
        polled();
        ended();
    }
}

static void test_a_pool_is_told(void **state) {
    (void)state;
    struct event event = {.kind = EVENT_POOL, .threads_max = 3, .threads = 2};
    assert_null(model_step(&m, &event).broken);
    assert_true(m.has_pool);
    assert_int_equal(m.pool_threads_max, 3);
    assert_int_equal(m.pool_threads, 2);
}

static void test_one_is_seen_dead(void **state) {
    (void)state;
    add_null(A, ET_POLL, 3);
    add_null(B, ET_POLL, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, false));
    struct event event = {.kind = EVENT_DEAD, .c = B};
    BREAKS("ET-EVENT-5", model_step(&m, &event).broken);
    event.c = A;
    LAWFUL(model_step(&m, &event).broken);
    IS(DEAD, A);
    event.c = B;
    LAWFUL(model_step(&m, &event).broken);
    IS(DEAD, B);
}

static unsigned seen_before, seen_after, state_before;

static void observe(const struct model *model, const struct event *event,
                    const struct model_answer *answer) {
    assert_ptr_equal(model, &m);
    assert_true(event->kind == EVENT_ADD || event->kind == EVENT_INIT);
    if (answer == NULL) {
        seen_before++;
        state_before = m.completion[A].state;
        return;
    }
    seen_after++;
    assert_int_equal(state_before, ET_DEAD);
    assert_int_equal(answer->returns, 0);
    IS(ADDING, A);
}

static void test_observer_sees_before_and_after(void **state) {
    (void)state;
    model_observer = observe;
    model_init(&m, 8, 100, 1000 * MS);
    assert_int_equal(seen_before, 1);
    add(A, ET_NOOP, -1);
    model_observer = NULL;
    assert_int_equal(seen_before, 2);
    assert_int_equal(seen_after, 1);
}

/* ---- the edges of the table, and of each place ----------------------------------------------- */

static void test_deinit_4_a_completion_that_there_is_not(void **state) {
    (void)state;
    const unsigned none = 8;
    assert_int_equal(model_add(&m, none), -EINVAL);
    assert_string_equal(m.clause, "ET-DEINIT-4");
    assert_int_equal(model_delete(&m, none), -EINVAL);
    assert_int_equal(model_timer(&m, none, 1, true, 1), -EINVAL);
    assert_int_equal(reset(none, MODEL_NONE, 1), -EINVAL);
    assert_int_equal(cancel(none, A), -EINVAL);
    assert_int_equal(model_async_wait(&m, none, -1, true, 1), -EINVAL);
    assert_string_equal(m.clause, "ET-DEINIT-4");
    assert_int_equal(m.submissions.count, 0);
}

static void test_what_the_model_does_not_judge(void **state) {
    (void)state;
    struct model before = m;
    assert_int_equal(model_step(&m, &(struct event){.kind = EVENT_WAKEUP}).returns, 0);
    assert_null(model_step(&m, &(struct event){.kind = EVENT_NOW, .c = A}).broken);
    assert_memory_equal(&m, &before, sizeof m);
}

static void test_state_1_what_is_new(void **state) {
    (void)state;
    struct model_description d = {.operation = ET_NOOP, .target = MODEL_NONE, .fd = -1};
    model_describe(&m, A, &d);
    assert_int_equal(model_add(&m, A), 0);
    assert_string_equal(m.clause, "ET-STATE-1");
    assert_int_equal(model_delete(&m, A), 0);
    assert_int_equal(model_add(&m, A), 0);
    assert_string_equal(m.clause, "ET-ADD-4");
    d.has_callback = true;
    model_describe(&m, B, &d);
    assert_int_equal(model_add(&m, B), 0);
    assert_string_equal(m.clause, "ET-ADD-1");
}

/* What cannot be seen while a callback runs, whatever it says. */
static void expect_nothing_now(void) {
    BREAKS("ET-CALL-5", model_wait(&m, 0));
    BREAKS("ET-CALL-5", model_woken(&m, 0));
    BREAKS("ET-CALL-5", model_report(&m, 3, POLL_IN, MODEL_SEEN));
    BREAKS("ET-CALL-5", model_refused(&m, 3, ENOMEM, 0, 0));
    BREAKS("ET-CALL-5", model_try(&m, B, ET_READ, 3, 1));
    BREAKS("ET-CALL-5", model_thread(&m, 0));
    BREAKS("ET-CALL-5", model_tick_end(&m, 0));
    BREAKS("ET-CALL-5", callback(B, 0));
}

static void test_call_5_each_in_its_place(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    expect_nothing_now();
    tick(0);
    LAWFUL(callback(A, 0));
    expect_nothing_now();
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-CALL-5", model_refused(&m, 3, -ENOMEM, 0, 0)); /* no error is negative */
    BREAKS("ET-CALL-5", model_thread(&m, -EAGAIN));
    BREAKS("ET-CALL-5", model_try(&m, 9, ET_READ, 3, 1)); /* nor is there such a completion */
    BREAKS("ET-CALL-5", callback(9, 0));
    BREAKS("ET-CALL-5", model_woken(&m, 0));
    LAWFUL(model_wait(&m, 0));
    BREAKS("ET-CALL-5", model_refused(&m, 3, ENOMEM, 0, 0));
    BREAKS("ET-CALL-5", model_report(&m, 3, POLL_IN, MODEL_SEEN));
    BREAKS("ET-CALL-5", model_woken(&m, -EINTR));
    LAWFUL(model_woken(&m, 0));
    for (int fd = 10; fd < 10 + MODEL_REPORTS; fd++)
        LAWFUL(model_report(&m, fd, POLL_IN, MODEL_SEEN));
    BREAKS("ET-CALL-5", model_report(&m, 9, POLL_IN, MODEL_SEEN));
    ended();
}

/* What a subject does after a tick that was refused is blamed on the refusal. */
static void test_tick_1_run_4_blamed_for_what_follows(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    assert_int_equal(model_run(&m, -1), -EINVAL);
    BREAKS("ET-RUN-4", callback(A, 0));
    model_stop(&m);
    assert_int_equal(model_tick(&m, 0), 0);
    BREAKS("ET-TICK-1", callback(A, 0));
    assert_int_equal(model_add(&m, A), 0);
    BREAKS("ET-CALL-5", callback(A, 0));
}

static void test_tick_2_in_a_callback(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    tick(0);
    LAWFUL(callback(A, 0));
    assert_int_equal(model_tick(&m, 0), -EBUSY);
    assert_string_equal(m.clause, "ET-TICK-2");
    LAWFUL(model_returned(&m, ET_DISARM));
    assert_int_equal(model_tick(&m, 0), -EBUSY);
}

static void test_tick_3_4_another_round(void **state) {
    (void)state;
    tick(0);
    polled();
    BREAKS("ET-TICK-3", model_wait(&m, 0));
    ended();
    assert_int_equal(model_run(&m, ET_RUN_NO_WAIT), MODEL_RUNS);
    polled();
    BREAKS("ET-RUN-1", model_wait(&m, 0));
    ended();
    tick(1);
    polled();
    BREAKS("ET-TICK-4", model_wait(&m, 0)); /* nothing is left */
    ended();
    assert_int_equal(model_run(&m, ET_RUN_ONCE), MODEL_RUNS);
    polled();
    BREAKS("ET-RUN-2", model_wait(&m, 0));
    ended();
}

static void test_submit_1_out_of_turn(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    add(B, ET_NOOP, -1);
    tick(0);
    BREAKS("ET-SUBMIT-1", callback(B, 0));
    called(A, 0);
    add(C, ET_NOOP, -1);
    BREAKS("ET-CALL-4", callback(C, 0));
    called(B, 0);
    polled();
    ended();
}

static void test_state_3_what_has_no_callback(void **state) {
    (void)state;
    tick(0);
    BREAKS("ET-STATE-3", callback(A, 0));
    polled();
    ended();
}

/* ---- tries out of place ---- */

static void test_close_2_and_what_is_in_its_way(void **state) {
    (void)state;
    add(A, ET_CLOSE, 3);
    add(B, ET_CLOSE, 4);
    tick(0);
    BREAKS("ET-CLOSE-2", model_try(&m, A, ET_CLOSE, 5, 0));
    LAWFUL(model_try(&m, MODEL_NONE, ET_CLOSE, 3, -EINTR));
    BREAKS("ET-CLOSE-2", model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0));
    BREAKS("ET-EVENT-2", model_try(&m, MODEL_NONE, ET_SHUTDOWN, 4, 0));
    BREAKS("ET-OP-1", callback(A, -EINTR)); /* which counts as success */
    called(A, 0);
    LAWFUL(model_try(&m, MODEL_NONE, ET_CLOSE, 4, -EIO));
    called(B, -EIO);
    add(C, ET_SHUTDOWN, 5);
    polled();
    ended();
    tick(0);
    LAWFUL(model_try(&m, MODEL_NONE, ET_SHUTDOWN, 5, -EINTR));
    BREAKS("ET-EVENT-2", model_try(&m, MODEL_NONE, ET_CLOSE, 5, 0));
    called(C, -EINTR); /* it is carried out once, and this was its answer */
    polled();
    ended();
}

static void test_register_8_a_report_of_a_former_file(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_POLL, 3);
    add(C, ET_POLL, 4);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 4, POLL_IN, MODEL_STALE));
    LAWFUL(model_report(&m, 3, POLL_IN | POLL_OUT, MODEL_STALE));
    BREAKS("ET-REGISTER-8", model_try(&m, A, ET_READ, 3, 1));
    BREAKS("ET-REGISTER-8", callback(B, POLL_IN));
    BREAKS("ET-EVENT-4", callback(B, POLL_OUT)); /* nor would any other report say so */
    BREAKS("ET-REGISTER-8", callback(C, POLL_IN));
    ended();
}

/* ---- ends and callbacks that are blamed on one clause and no other ---- */

static void test_wait_5_6_how_a_tick_ends_too_early(void **state) {
    (void)state;
    add_timer(A, 1000);
    tick(1);
    LAWFUL(model_wait(&m, 1000 * MS));
    LAWFUL(model_woken(&m, EINTR));
    BREAKS("ET-WAIT-5", model_tick_end(&m, -EINTR));
    tick(1);
    LAWFUL(model_wait(&m, 1000 * MS));
    LAWFUL(model_woken(&m, EINTR));
    BREAKS("ET-TICK-4", model_tick_end(&m, 0));
    tick(1);
    LAWFUL(model_wait(&m, 1000 * MS));
    LAWFUL(model_woken(&m, 0));
    BREAKS("ET-TICK-4", model_tick_end(&m, -EINTR));
    static const int unknown[] = {ENOSYS, EPERM, EACCES, EINVAL, ENOTSUP};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        tick(1);
        BREAKS("ET-WAIT-6", model_tick_end(&m, -unknown[i]));
    }
    tick(1);
    BREAKS("ET-TICK-4", model_tick_end(&m, -EIO)); /* which no older call would mend */
    tick(1);
    BREAKS("ET-TICK-4", model_tick_end(&m, 0)); /* nothing at all was done */
    add(B, ET_NOOP, -1);
    tick(2);
    called(B, 0);
    BREAKS("ET-WAIT-1", model_tick_end(&m, 0));
    tick(0);
    polled();
    BREAKS("ET-TICK-7", model_tick_end(&m, -EINTR));
}

static void test_event_3_op_4_whose_result_it_is(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_READ, 4);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 4, POLL_IN, MODEL_SEEN));
    BREAKS("ET-EVENT-8", model_try(&m, A, ET_WRITE, 5, 1)); /* not its operation */
    LAWFUL(model_try(&m, A, ET_READ, 3, -EAGAIN));
    BREAKS("ET-EVENT-3", callback(A, -EAGAIN));
    BREAKS("ET-EVENT-7", callback(A, 3));
    LAWFUL(model_try(&m, B, ET_READ, 4, -EIO));
    BREAKS("ET-OP-4", callback(A, -EIO));
    BREAKS("ET-EVENT-2", callback(A, -EPERM));
    BREAKS("ET-EVENT-2", callback(A, 7));
    BREAKS("ET-OP-1", callback(B, 0));
    called(B, -EIO);
    ended();
    IS(ACTIVE, A);
}

static void test_cancel_10_nothing_has_cancelled_it(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add_timer(B, 5);
    tick_0();
    assert_int_equal(cancel(C, A), 0);
    add(D, ET_NOOP, -1);
    clock_ms(2000);
    tick(0);
    BREAKS("ET-CANCEL-8", callback(B, -ECANCELED));
    called(A, -ECANCELED);
    BREAKS("ET-CANCEL-4", callback(A, -ECANCELED));
    BREAKS("ET-CANCEL-4", callback(C, -ECANCELED));
    called(C, 0);
    called(D, 0);
    BREAKS("ET-EXPIRE-1", callback(B, -ECANCELED)); /* but it is its turn */
    called(B, 0);
    add(A, ET_READ, 3);
    polled();
    ended();
    tick_0();
    tick(0);
    BREAKS("ET-CANCEL-10", callback(A, -ECANCELED));
    polled();
    BREAKS("ET-CANCEL-10", callback(A, -ECANCELED));
    ended();
}

static void test_register_3_with_its_own_error(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    tick_0();
    tick(0);
    LAWFUL(model_refused(&m, 3, ENOMEM, 0, 0));
    BREAKS("ET-REGISTER-3", callback(A, -EPERM));
    called(A, -ENOMEM);
    polled();
    ended();
    model_moved(&m, -1); /* no number: nobody waits on it, or vouches for it */
    assert_int_equal(m.orphaned, 0);
}

static void test_event_4_neither_report_says_so(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    tick_0();
    tick(0);
    polled();
    BREAKS("ET-EVENT-4", callback(A, POLL_IN));
    ended();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN | POLL_HUP, MODEL_SEEN));
    LAWFUL(model_report(&m, 3, POLL_OUT, MODEL_STALE));
    BREAKS("ET-EVENT-4", callback(A, POLL_IN));
    called(A, POLL_IN | POLL_HUP);
    ended();
}

static void test_close_2_after_a_deletion(void **state) {
    (void)state;
    add(A, ET_CLOSE, 3);
    assert_int_equal(model_delete(&m, A), 0);
    tick(0);
    BREAKS("ET-CLOSE-2", model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0)); /* no callback was before */
    polled();
    ended();
}

static void test_pool_4_of_what_lingers(void **state) {
    (void)state;
    struct event pool = {.kind = EVENT_POOL, .threads_max = 1, .threads = 1};
    (void)model_step(&m, &pool);
    struct model_description d = description(A, ET_READ, 3);
    d.pool_mark = true;
    model_describe(&m, A, &d);
    assert_int_equal(model_add(&m, A), 0);
    tick_0();
    LAWFUL(model_took(&m, A));
    assert_int_equal(model_delete(&m, A), 0);
    IS(DELETING, A);
    BREAKS("ET-POOL-4", model_took(&m, A)); /* not ET-POOL-7: it had been taken */
    LAWFUL(model_executed(&m, A, ET_READ, 3, 1));
    LAWFUL(model_gave_back(&m, A));
    LAWFUL(model_idle(&m));
}

/* ---- clocks that are not known to the nanosecond ---- */

static void test_wait_3_a_vague_clock(void **state) {
    (void)state;
    m.clock_is_vague = true;
    clock_ms(2000);
    model_update_now(&m);
    add_timer(A, 10);
    add_timer(B, 20); /* as vague, and later */
    tick(1);
    /* the deadline is 2011, a millisecond of each may be unknown: this is too early by 1 ns */
    BREAKS("ET-WAIT-3", model_wait(&m, 9 * MS));
    LAWFUL(model_wait(&m, 9 * MS + 1));
    LAWFUL(model_woken(&m, 0));
    m.clock_is_vague = false;
    clock_ms(2011);
    called(A, 0);
    assert_int_equal(model_delete(&m, B), 0);
    add_timer(C, UINT64_MAX);
    polled();
    ended();
    model_clock(&m, UINT64_MAX - 5);
    m.clock_is_vague = true;
    tick(1);
    LAWFUL(model_wait(&m, INT64_MAX)); /* further than times go */
}

/* ---- the last completion that the table has room for ---- */

#define LAST (MODEL_COMPLETIONS - 1)

static int set_up_all(void **state) {
    (void)state;
    model_init(&m, MODEL_COMPLETIONS, 100, 1000 * MS);
    return 0;
}

static void test_last_expires_and_is_reported(void **state) {
    (void)state;
    add_timer(LAST, 5);
    add_timer(A, 5);
    add(B, ET_POLL, 3);
    add(C, ET_READ, 3);
    tick_0();
    clock_ms(2000);
    tick(0);
    BREAKS("ET-EXPIRE-3", callback(A, 0));
    called(LAST, 0);
    called(A, 0);
    add(LAST, ET_POLL, 3);
    polled();
    ended();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    BREAKS("ET-EVENT-5", callback(LAST, POLL_IN)); /* which did not wait yet: the next wait does */
    LAWFUL(model_try(&m, C, ET_READ, 3, 1));
    called(C, 1);
    called(B, POLL_IN);
    called(LAST, POLL_IN);
    ended();
}

static void test_last_is_tried_and_refused(void **state) {
    (void)state;
    add(LAST, ET_READ, 3);
    add(A, ET_READ, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    BREAKS("ET-EVENT-10", model_try(&m, A, ET_READ, 3, 1));
    LAWFUL(model_try(&m, LAST, ET_READ, 3, 1));
    called(LAST, 1);
    add(LAST, ET_READ, 3);
    ended();
    tick(0);
    LAWFUL(model_refused(&m, 3, ENOMEM, 0, 0));
    BREAKS("ET-REGISTER-3", callback(LAST, -ENOMEM));
    called(A, -ENOMEM);
    called(LAST, -ENOMEM);
    polled();
    ended();
}

static void test_last_ends_unseen(void **state) {
    (void)state;
    add_null(A, ET_POLL, 3);
    add_null(LAST, ET_POLL, 3);
    tick_0();
    tick(0);
    polled();
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    struct event event = {.kind = EVENT_DEAD, .c = LAST};
    BREAKS("ET-EVENT-5", model_step(&m, &event).broken);
    LAWFUL(model_settled(&m, (model_set)1 << A | (model_set)1 << LAST));
    IS(DEAD, LAST);
    ended();
    add_null(LAST, ET_NOOP, -1);
    tick_0();
    LAWFUL(model_settled(&m, (model_set)1 << LAST));
    IS(DEAD, LAST);
}

/* ---- conditions that decide alone ---- */

/* In the midst of a phase, and in no callback: only that of a cancel or a close in progress has a
 * clause of its own (ET-CANCEL-7, ET-CLOSE-3). */
static void test_delete_3_of_what_is_in_progress(void **state) {
    (void)state;
    add(A, ET_CONNECT, 3);
    tick(0);
    assert_int_equal(model_delete(&m, A), 0);
    assert_string_equal(m.completion[A].clause, "ET-DELETE-3");
    BREAKS("ET-DELETE-4", callback(A, 0));
    BREAKS("ET-SUBMIT-7", model_try(&m, A, ET_CONNECT, 3, 0));
    polled();
    ended();
    IS(DEAD, A);
    add(B, ET_CLOSE, 3);
    tick(0);
    assert_int_equal(model_delete(&m, B), 0);
    assert_string_equal(m.completion[B].clause, "ET-CLOSE-3");
    BREAKS("ET-CLOSE-3", callback(B, 0));
    BREAKS("ET-CLOSE-3", model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0));
    polled();
    ended();
}

static void test_submit_7_9_whose_try_is_due(void **state) {
    (void)state;
    add(A, ET_CONNECT, 3);
    add(B, ET_CONNECT, 3);
    add(C, ET_SHUTDOWN, 3);
    tick(0);
    BREAKS("ET-SUBMIT-7", model_try(&m, B, ET_CONNECT, 3, 0)); /* of the other one */
    BREAKS("ET-SUBMIT-9", model_try(&m, MODEL_NONE, ET_SHUTDOWN, 3, 0));
    LAWFUL(model_try(&m, A, ET_CONNECT, 3, -EINPROGRESS));
    BREAKS("ET-SUBMIT-7", model_try(&m, A, ET_CONNECT, 3, 0));
    LAWFUL(model_try(&m, MODEL_NONE, ET_CONNECT, 3, -EINPROGRESS));
    BREAKS("ET-CLOSE-2", model_try(&m, MODEL_NONE, ET_CLOSE, 3, 0)); /* a shutdown is due */
    LAWFUL(model_try(&m, MODEL_NONE, ET_SHUTDOWN, 3, 0));
    called(C, 0);
    polled();
    ended();
}

/* Of two cancels the first has lost its target to a thread, and is seen to have ended: of the
 * second nothing is known. */
static void test_pool_5_6_of_another_cancel(void **state) {
    (void)state;
    pool(2);
    add_pooled(A, ET_READ, 3, false);
    add_pooled(B, ET_READ, 3, false);
    tick(0);
    LAWFUL(model_thread(&m, 0));
    LAWFUL(model_thread(&m, 0));
    polled();
    ended();
    assert_int_equal(model_cancel(&m, C, A, false, 0), 0);
    assert_int_equal(model_cancel(&m, D, B, false, 0), 0);
    tick(0);
    LAWFUL(model_took(&m, A));
    LAWFUL(model_settled(&m, 1U << C));
    IS(DEAD, C);
    IS(ACTIVE, A);
    struct model before = m;
    LAWFUL(model_took(&m, B)); /* before the second one looked */
    polled();
    ended();
    IS(ACTIVE, B);
    m = before;
    LAWFUL(model_settled(&m, 1U << B | 1U << D)); /* after that */
    BREAKS("ET-POOL-5", model_took(&m, B));
    polled();
    ended();
    IS(DEAD, B);
}

static void test_event_4_before_a_wait(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    tick(0);
    BREAKS("ET-EVENT-4", callback(A, POLL_IN)); /* no report, neither of this file nor of another */
    polled();
    ended();
    IS(ACTIVE, A);
}

static void test_expire_1_in_another_phase(void **state) {
    (void)state;
    add_timer(A, 0);
    add(B, ET_CONNECT, 3);
    tick(0);
    BREAKS("ET-EXPIRE-1", callback(A, 0)); /* the submission phase */
    LAWFUL(model_try(&m, B, ET_CONNECT, 3, -EINPROGRESS));
    called(A, 0);
    polled();
    ended();
    add_timer(A, 50);
    add(C, ET_POLL, 4);
    add(D, ET_POLL, 5);
    tick_0();
    tick(3);
    LAWFUL(model_wait(&m, 50 * MS));
    LAWFUL(model_woken(&m, 0));
    LAWFUL(model_report(&m, 4, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 5, POLL_IN, MODEL_SEEN));
    LAWFUL(callback(C, POLL_IN));
    assert_int_equal(reset(A, MODEL_NONE, 0), 0); /* not applied in a timer phase: ET-EXPIRE-5 */
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-EXPIRE-1", callback(A, 0)); /* the delivery */
    called(D, POLL_IN);
    called(A, 0);
    polled();
    ended();
}

static void test_cancel_10_while_a_noop_is_due(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    tick_0();
    add(B, ET_NOOP, -1);
    tick(0);
    BREAKS("ET-CANCEL-10", callback(A, -ECANCELED)); /* no cancel is in progress */
    called(B, 0);
    polled();
    ended();
    IS(ACTIVE, A);
}

static void test_event_6_an_episode_that_has_not_begun(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_POLL, 4);
    add(C, ET_POLL, 5);
    tick_0();
    tick(3);
    LAWFUL(model_wait(&m, MODEL_WAIT_FOREVER));
    LAWFUL(model_woken(&m, 0));
    LAWFUL(model_report(&m, 3, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 4, POLL_IN, MODEL_SEEN));
    LAWFUL(model_report(&m, 5, POLL_IN, MODEL_SEEN));
    LAWFUL(callback(A, POLL_IN));
    assert_int_equal(model_delete(&m, B), 0);
    assert_int_equal(model_add(&m, B), 0);
    LAWFUL(model_returned(&m, ET_REARM));
    IS(ADDING, B);
    BREAKS("ET-EVENT-6", callback(B, POLL_IN));
    BREAKS("ET-EVENT-6", callback(A, POLL_IN));
    called(C, POLL_IN);
}

/* ET-CANCEL-4: nothing may come between the target and its cancel, nor what a thread has done. */
static void test_cancel_4_and_the_pool(void **state) {
    (void)state;
    two_queued();
    add(C, ET_POLL, 3);
    tick_0();
    gave_back(A, 1);
    assert_int_equal(cancel(D, C), 0);
    tick(0);
    called(C, -ECANCELED);
    BREAKS("ET-CANCEL-4", callback(A, 1));
    called(D, 0);
    called(A, 1);
    polled();
    ended();
}

static void test_cancel_9_with_its_own_result(void **state) {
    (void)state;
    two_queued();
    assert_int_equal(cancel(C, A), 0);
    executed(A, 5);
    tick(0);
    called(C, -EALREADY);
    LAWFUL(model_gave_back(&m, A));
    LAWFUL(model_idle(&m));
    gave_back(B, 5);
    struct model before = m; /* they may also have been too late for this pool phase */
    BREAKS("ET-CANCEL-9", callback(A, 3));
    m = before;
    called(A, 5);
    before = m;
    BREAKS("ET-POOL-4", callback(B, 3)); /* of which no cancel has spoken */
    m = before;
    called(B, 5);
    polled();
    ended();
}

static void test_close_3_ends_no_others(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_READ, 3);
    struct model_description d = description(D, ET_TIMER, 3); /* of which it has no use */
    d.delay_ms = 50;
    model_describe(&m, D, &d);
    assert_int_equal(model_add(&m, D), 0);
    tick_0();
    add(C, ET_CLOSE, 3);
    tick(0);
    LAWFUL(callback(A, -ECANCELED));
    assert_int_equal(model_delete(&m, C), 0);
    LAWFUL(model_returned(&m, ET_DISARM));
    BREAKS("ET-CLOSE-3", callback(B, -ECANCELED));
    BREAKS("ET-CANCEL-10", callback(D, -ECANCELED)); /* it has nothing to do with it */
    polled();
    ended();
}

static void test_tick_3_4_not_even_one_round(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    tick(0);
    BREAKS("ET-TICK-3", model_tick_end(&m, 0));
    tick(2);
    BREAKS("ET-TICK-4", model_tick_end(&m, 0));
    assert_int_equal(model_run(&m, ET_RUN_NO_WAIT), MODEL_RUNS);
    BREAKS("ET-RUN-1", model_tick_end(&m, 0));
    tick_0();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(test_##name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(add_5_6),
        TEST(add_4_leaves_the_deletions),
        TEST(timer_2_keeps_its_place),
        TEST(reset_12_before_everything),
        TEST(reset_13_without_a_carrier),
        TEST(reset_14_drops_the_one_that_a_carrier_has),
        TEST(reset_3_applied_by_the_submission_phase),
        TEST(reset_4_in_the_timer_phase),
        TEST(expire_5_carrier_deleted_and_used_in_the_timer_phase),
        TEST(reset_9_deleted_carrier),
        TEST(reset_9_cancelled_carrier),
        TEST(reset_10_dropped),
        TEST(reset_11_moved),
        TEST(cancel_3_and_2),
        TEST(cancel_4_nothing_in_between),
        TEST(cancel_5_adding_target_behind),
        TEST(cancel_7_deleted_by_its_target),
        TEST(cancel_of_a_null_target),
        TEST(submit_4_5),
        TEST(submit_7_connect),
        TEST(submit_8_choice),
        TEST(submit_8_answered),
        TEST(event_8_no_read_at_the_start),
        TEST(submit_9_shutdown),
        TEST(close_1_in_the_order_of_starting),
        TEST(close_3_deleted),
        TEST(submit_1_snapshot),
        TEST(call_3_rearm_of_a_completion_in_use),
        TEST(call_2_userdata),
        TEST(call_5_out_of_place),
        TEST(expire_2_order),
        TEST(add_7_rounds_up),
        TEST(expire_2_earlier_deadline_first),
        TEST(expire_4_to_the_nanosecond),
        TEST(wait_limits),
        TEST(wait_3_far_deadlines),
        TEST(wait_1_without_waiting),
        TEST(tick_6_7_results),
        TEST(run_5_turns),
        TEST(host_1_2_3_timeouts),
        TEST(tick_4_rounds),
        TEST(time_3_never_back),
        TEST(stop_2_and_3),
        TEST(stop_2_between_flush_and_wait),
        TEST(stop_2_in_the_timer_phase),
        TEST(state_1_forgotten),
        TEST(deinit_2_drops_resets),
        TEST(register_3_order_and_cover),
        TEST(register_3_at_the_start),
        TEST(register_3_null_callbacks),
        TEST(register_5),
        TEST(event_10_first_once),
        TEST(event_10_goes_on),
        TEST(event_10_classes),
        TEST(submit_8_classes),
        TEST(event_10_vanished),
        TEST(event_10_two_reports),
        TEST(event_6_later_episode),
        TEST(event_4_5_polls),
        TEST(event_4_null_polls),
        TEST(event_7),
        TEST(pool_1_a_round_trip),
        TEST(pool_1_limits_are_not_for_it),
        TEST(pool_1_close),
        TEST(pool_2_4_threads),
        TEST(pool_3_no_thread),
        TEST(pool_15_when_a_thread_is_created),
        TEST(pool_15_a_thread_becomes_idle),
        TEST(pool_5_cancel_in_the_queue),
        TEST(pool_5_6_of_a_null_callback),
        TEST(pool_5_unseen_and_a_refusal),
        TEST(register_3_after_an_unseen_cancel),
        TEST(pool_6_handed_over),
        TEST(pool_7_delete_in_the_queue),
        TEST(pool_8_9_lingering),
        TEST(pool_8_at_its_place),
        TEST(pool_8_last_and_idle),
        TEST(pool_10_snapshot),
        TEST(pool_10_handed_over_unseen),
        TEST(pool_10_unseen_ends),
        TEST(pool_10_stopped),
        TEST(pool_threads_are_ahead_of_what_is_seen),
        TEST(pool_10_and_refusals),
        TEST(pool_10_after_a_callback),
        TEST(pool_8_settled_before_it_is_seen_where),
        TEST(pool_10_every_round_has_its_snapshot),
        TEST(pool_15_idle_before_the_work_joined),
        TEST(pool_refusals_leave_it_open),
        TEST(pool_13_deinit),
        TEST(async_1_wait),
        TEST(async_2_3_notifications),
        TEST(submit_9_shut_down_twice),
        TEST(call_5_no_callback_returns),
        TEST(reset_8_a_carrier_calls_back),
        TEST(op_4_the_error_of_another),
        TEST(call_4_added_in_this_round),
        TEST(event_5_polls_end_unseen_in_order),
        TEST(pool_15_a_thread_for_nothing),
        TEST(deinit_4_every_call),
        TEST(run_4_unknown_modes),
        TEST(run_1_2_3_known_modes),
        TEST(a_pool_is_told),
        TEST(one_is_seen_dead),
        TEST(observer_sees_before_and_after),
        TEST(deinit_4_a_completion_that_there_is_not),
        TEST(what_the_model_does_not_judge),
        TEST(state_1_what_is_new),
        TEST(call_5_each_in_its_place),
        TEST(tick_1_run_4_blamed_for_what_follows),
        TEST(tick_2_in_a_callback),
        TEST(tick_3_4_another_round),
        TEST(submit_1_out_of_turn),
        TEST(state_3_what_has_no_callback),
        TEST(close_2_and_what_is_in_its_way),
        TEST(register_8_a_report_of_a_former_file),
        TEST(wait_3_a_vague_clock),
        TEST(wait_5_6_how_a_tick_ends_too_early),
        TEST(event_3_op_4_whose_result_it_is),
        TEST(cancel_10_nothing_has_cancelled_it),
        TEST(register_3_with_its_own_error),
        TEST(event_4_neither_report_says_so),
        TEST(close_2_after_a_deletion),
        TEST(pool_4_of_what_lingers),
        TEST(delete_3_of_what_is_in_progress),
        TEST(submit_7_9_whose_try_is_due),
        TEST(pool_5_6_of_another_cancel),
        TEST(event_4_before_a_wait),
        TEST(expire_1_in_another_phase),
        TEST(cancel_10_while_a_noop_is_due),
        TEST(event_6_an_episode_that_has_not_begun),
        TEST(cancel_4_and_the_pool),
        TEST(cancel_9_with_its_own_result),
        TEST(close_3_ends_no_others),
        TEST(tick_3_4_not_even_one_round),
        cmocka_unit_test_setup(test_last_expires_and_is_reported, set_up_all),
        cmocka_unit_test_setup(test_last_is_tried_and_refused, set_up_all),
        cmocka_unit_test_setup(test_last_ends_unseen, set_up_all),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
