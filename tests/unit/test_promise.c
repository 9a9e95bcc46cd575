/* SPDX-License-Identifier: MIT */
/* The promise, Part I of the law, clause by clause: a short sequence of events that breaks each
 * clause in each way that has a name (promise.def), and the near miss that does not. The last test
 * fails when a verdict of the table was never given. Everybody may run it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "filter.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "../../model/promise.h"

#define MS      UINT64_C(1000000)
#define START   (1000 * MS)
#define HOUR_NS (3600000 * (int64_t)MS)
enum { A, B, C, D, E, F };
enum { POLL_IN = 1, POLL_OUT = 4, POLL_ERR = 8, POLL_HUP = 16 };

static struct promise p;
static struct promise_settings settings;
static uint64_t clock_ns;
static bool given[PROMISE_VERDICTS]; /* by any test */

static struct promise_answer tell(struct event e) {
    e.has |= EVENT_HAS_CLOCK;
    e.clock_ns = clock_ns;
    struct promise_answer answer = promise_step(&p, &e);
    if (answer.broken != NULL)
        given[answer.verdict] = true;
    return answer;
}

#define TELL(...) tell((struct event){.kind = __VA_ARGS__})
#define LAWFUL(...)                                                                                \
    do {                                                                                           \
        struct promise_answer a_ = TELL(__VA_ARGS__);                                              \
        if (a_.broken != NULL)                                                                     \
            fail_msg("%s: %s/%s (%s)", #__VA_ARGS__, a_.broken, a_.kind, a_.why);                  \
    } while (0)
#define BREAKS(name, ...)                                                                          \
    do {                                                                                           \
        struct promise_answer a_ = TELL(__VA_ARGS__);                                              \
        if (a_.broken == NULL)                                                                     \
            fail_msg("%s: lawful, and not %s", #__VA_ARGS__, #name);                               \
        if (a_.verdict != PROMISE_##name)                                                          \
            fail_msg("%s: %s/%s and not %s", #__VA_ARGS__, a_.broken, a_.kind, #name);             \
    } while (0)

static void begin_anew(void) {
    clock_ns = START;
    promise_init(&p, &settings, 8, clock_ns);
}

static int set_up(void **state) {
    (void)state;
    memset(&settings, 0, sizeof settings);
    settings.slack_ns = MS;
    settings.stays_stopped = settings.has_turn = settings.keeps = settings.tells = true;
    begin_anew();
    return 0;
}

/* ---- the ordinary course of things ----------------------------------------------------------- */

static struct event add_event(unsigned c, unsigned operation, int fd) {
    return (struct event){.kind = EVENT_ADD,
                          .c = c,
                          .operation = (uint8_t)operation,
                          .fd = fd,
                          .events = operation == ET_POLL ? POLL_IN : 0,
                          .target = EVENT_NOBODY,
                          .has_callback = true,
                          .userdata = 100 + c};
}

static void lawful(struct event e) {
    struct promise_answer a = tell(e);
    if (a.broken != NULL)
        fail_msg("event %d: %s/%s (%s)", e.kind, a.broken, a.kind, a.why);
}

static void add(unsigned c, unsigned operation, int fd) {
    lawful(add_event(c, operation, fd));
}

static void add_silent(unsigned c, unsigned operation, int fd) {
    struct event e = add_event(c, operation, fd);
    e.has_callback = false;
    lawful(e);
}

#define TIMER(c_, delay, result_)                                                                  \
    EVENT_TIMER, .c = (c_), .delay_ms = (delay), .has_callback = true, .userdata = 100 + (c_),     \
                 .result = (result_)
#define RESET(c_, by_, delay, result_)                                                             \
    EVENT_RESET, .c = (c_), .by = (by_), .delay_ms = (delay), .has_callback = true,                \
                 .userdata = 100 + (c_), .result = (result_)
#define CANCEL(c_, by_, result_)                                                                   \
    EVENT_CANCEL, .c = (c_), .by = (by_), .has_callback = true, .userdata = 100 + (by_),           \
                  .result = (result_)
#define CALLED(c_, result_) EVENT_CALLBACK, .c = (c_), .result = (result_), .userdata = 100 + (c_)

static void timer(unsigned c, uint64_t delay_ms) {
    LAWFUL(TIMER(c, delay_ms, 0));
}
static void cancel(unsigned target, unsigned by) {
    LAWFUL(CANCEL(target, by, 0));
}
static void async_wait(unsigned c) {
    LAWFUL(EVENT_ASYNC_WAIT, .c = c, .fd = 0, .has_callback = true, .userdata = 100 + c);
}
static void run(enum et_run_mode mode) {
    LAWFUL(EVENT_RUN, .mode = (int8_t)mode);
}
static void ready(unsigned c, uint32_t events) {
    LAWFUL(EVENT_READY, .c = c, .events = events);
}
static void wait_for(int64_t limit_ns) {
    LAWFUL(EVENT_WAIT, .result = limit_ns, .coarse = true);
}
static void woken(void) {
    LAWFUL(EVENT_WOKEN);
}
static void polled(void) {
    wait_for(0);
    woken();
}
static void slept(int64_t limit_ms) {
    wait_for(limit_ms * (int64_t)MS);
    LAWFUL(EVENT_SLEEP);
    clock_ns += (uint64_t)limit_ms * MS;
    woken();
}
static void called(unsigned c, int64_t result) {
    LAWFUL(CALLED(c, result));
    LAWFUL(EVENT_RETURNED, .c = c);
}
static void ended(void) {
    LAWFUL(EVENT_END);
}
static void is_in_use(unsigned c, bool in_use) {
    LAWFUL(EVENT_SAYS_IN_USE, .c = c, .result = in_use);
}

/* ---- episodes -------------------------------------------------------------------------------- */

static void test_one_callback(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    called(A, 0);
    BREAKS(STATE_3, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    run(ET_RUN_NO_WAIT);
    BREAKS(STATE_3, CALLED(B, 0));
}

static void test_deleted(void **state) {
    (void)state;
    LAWFUL(EVENT_DELETE, .c = A);
    BREAKS(DELETE_1, EVENT_DELETE, .c = A, .result = -EINVAL);
    add(A, ET_POLL, 3);
    BREAKS(DELETE_3, EVENT_DELETE, .c = A, .result = -EBUSY);
    is_in_use(A, true);
    LAWFUL(EVENT_DELETE, .c = A);
    is_in_use(A, false);
    run(ET_RUN_NO_WAIT);
    polled();
    BREAKS(DELETE_4, CALLED(A, POLL_IN));
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    add(A, ET_POLL, 3);
    LAWFUL(EVENT_DELETE, .c = A);
    BREAKS(DELETE_4_BUFFER, EVENT_UNTRUE, .c = A, .source = PROMISE_UNTRUE_BUFFER);
}

static void test_in_use(void **state) {
    (void)state;
    is_in_use(A, false);
    BREAKS(INIT_2, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    add(A, ET_NOOP, 0);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = A, .result = 0);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = B, .result = 1);
    run(ET_RUN_ONCE);
    LAWFUL(CALLED(A, 0));
    is_in_use(A, false);
    BREAKS(CALL_1, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    LAWFUL(EVENT_RETURNED, .c = A);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    LAWFUL(EVENT_SAYS_IN_USE, .c = EVENT_NOBODY, .result = 1);
}

static void test_lingering(void **state) {
    (void)state;
    settings.lingers = true;
    begin_anew();
    add(A, ET_RECV, 3);
    LAWFUL(EVENT_DELETE, .c = A);
    is_in_use(A, true);
    struct event again = add_event(A, ET_RECV, 3);
    again.result = -EBUSY;
    lawful(again);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP); /* it may still be in use */
    woken();
    BREAKS(DELETE_4, CALLED(A, 1));
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    is_in_use(A, false);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    add(A, ET_POLL, 3);
    LAWFUL(EVENT_DELETE, .c = A);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = A, .result = 1); /* a poll does not linger */
}

static void test_submission(void **state) {
    (void)state;
    struct event e = add_event(A, ET_NOOP, 0);
    e.result = -ENOMEM;
    struct promise_answer a = tell(e);
    assert_int_equal(a.verdict, PROMISE_ADD_1);
    assert_false(promise_in_use(&p, A));
    e = add_event(A, ET_READ, 3);
    e.pool = true;
    e.result = -EOPNOTSUPP;
    lawful(e);
    add(A, ET_NOOP, 0);
    lawful(add_event(A, ET_NOOP, 0)); /* it has not begun */
    assert_true(promise_in_use(&p, A));
    e = add_event(A, ET_NOOP, 0);
    e.result = -EBUSY;
    lawful(e);
    e.result = -EINVAL;
    assert_int_equal(tell(e).verdict, PROMISE_ADD_3);
    add(B, ET_POLL, 3);
    run(ET_RUN_NO_WAIT);
    called(A, 0);
    polled();
    ended();
    BREAKS(ADD_3, EVENT_ADD, .c = B, .operation = ET_POLL, .fd = 3, .events = POLL_IN);
    BREAKS(TIMER_4, TIMER(B, 1, 0));
    LAWFUL(TIMER(B, 1, -EBUSY));
    BREAKS(ASYNC_1_BUSY, EVENT_ASYNC_WAIT, .c = B, .fd = 0);
}

static void test_without_a_pool(void **state) {
    (void)state;
    struct event e = add_event(A, ET_READ, 3);
    settings.no_pool = true;
    begin_anew();
    e.pool = true;
    e.result = -EOPNOTSUPP;
    lawful(e);
    e.result = -ENOMEM;
    assert_int_equal(tell(e).verdict, PROMISE_ADD_6);
    e.result = 0;
    assert_int_equal(tell(e).verdict, PROMISE_ADD_6);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(B, 0));
    e = add_event(B, ET_READ, 3);
    e.pool = true;
    e.kind = EVENT_RETURNED;
    e.has = EVENT_HAS_DESCRIPTION;
    e.rearm = true;
    lawful(e); /* it was described anew, and its add would be refused */
    is_in_use(B, false);
    add(B, ET_NOOP, 0);
    LAWFUL(CALLED(B, 0));
    e.pool = false;
    e.operation = ET_OPERATIONS;
    lawful(e); /* likewise */
    is_in_use(B, false);
    add(B, ET_NOOP, 0);
    LAWFUL(CALLED(B, 0));
    e.operation = ET_READ;
    lawful(e);
    is_in_use(B, true);
}

static void test_senseless(void **state) {
    (void)state;
    struct event e[] = {add_event(A, ET_OPERATIONS, 0), add_event(A, ET_CANCEL, 0),
                        add_event(A, ET_CANCEL, 0), add_event(A, ET_POLL, 3),
                        add_event(A, ET_RECV, 3)};
    e[2].target = A;
    e[3].events = 0x40;
    e[4].pool = true;
    for (size_t i = 0; i < sizeof e / sizeof *e; i++) {
        begin_anew();
        e[i].result = -EINVAL;
        lawful(e[i]);
        e[i].result = -EBUSY;
        assert_int_equal(tell(e[i]).verdict, PROMISE_ADD_5);
        e[i].result = 0;
        assert_int_equal(tell(e[i]).verdict, PROMISE_ADD_5);
    }
    BREAKS(ADD_5, EVENT_ADD, .c = EVENT_NOBODY);
    LAWFUL(EVENT_ADD, .c = EVENT_NOBODY, .result = -EINVAL);
    begin_anew();
    add(A, ET_NOOP, 0);
    e[0].result = -EINVAL;
    lawful(e[0]); /* in use, and senseless: either */
    e[0].result = -ENOMEM;
    assert_int_equal(tell(e[0]).verdict, PROMISE_ADD_3);
}

static void test_refused_with_kinds(void **state) {
    (void)state;
    BREAKS(TIMER_1, TIMER(A, 1, -ENOMEM));
    BREAKS(TIMER_1_ZERO, TIMER(A, 0, -EINVAL));
    BREAKS(TIMER_1_LONG, TIMER(A, UINT64_MAX, -EINVAL));
    BREAKS(RESET_3_ZERO, RESET(A, EVENT_NOBODY, 0, -EINVAL)); /* of a dead timer, too */
    BREAKS(ADD_1_ZERO, EVENT_ADD, .c = A, .operation = ET_TIMER, .result = -EINVAL);
    BREAKS(ADD_1_LONG, EVENT_ADD, .c = A, .operation = ET_TIMER, .delay_ms = UINT64_C(1) << 31,
           .result = -EINVAL);
    BREAKS(CANCEL_1, CANCEL(B, A, -ENOMEM));
    BREAKS(ASYNC_1_REFUSED, EVENT_ASYNC_WAIT, .c = A, .fd = 0, .result = -ENOMEM);
    timer(B, 5);
    BREAKS(RESET_3, RESET(B, C, 1, -EPERM));
    BREAKS(RESET_3_ZERO, RESET(B, C, 0, -EINVAL));
    BREAKS(RESET_3_LONG, RESET(B, C, UINT64_MAX, -EINVAL));
    LAWFUL(EVENT_STOP);
    BREAKS(TIMER_1_STOPPED, TIMER(A, 0, -EINVAL));
    BREAKS(RESET_3_STOPPED, RESET(B, C, 0, -EINVAL));
    BREAKS(CANCEL_1, CANCEL(B, A, -EINVAL));
    BREAKS(ADD_1_STOPPED, EVENT_ADD, .c = A, .operation = ET_NOOP, .result = -EINVAL);
    timer(A, 0);
}

/* A stopped loop refuses a delay that it takes at no time: for the reason that its manual gives. */
static void test_refused_in_a_stopped_loop(void **state) {
    (void)state;
    promise_excuse(&settings, PROMISE_TIMER_1_LONG);
    promise_excuse(&settings, PROMISE_RESET_3_LONG);
    promise_excuse(&settings, PROMISE_RESET_3_STOPPED);
    begin_anew();
    timer(B, 5);
    LAWFUL(EVENT_STOP);
    BREAKS(TIMER_1_LONG, TIMER(A, UINT64_MAX, -ERANGE));
    BREAKS(TIMER_1_STOPPED, TIMER(A, 0, -EINVAL));
    BREAKS(RESET_3_STOPPED, RESET(B, C, UINT64_MAX, -ERANGE));
}

static void test_call(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    BREAKS(CALL_5, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    add(C, ET_NOOP, 0);
    run(ET_RUN_NO_WAIT);
    BREAKS(CALL_2, EVENT_CALLBACK, .c = A, .userdata = 7);
    BREAKS(CALL_5_NESTED, CALLED(B, 0));
    LAWFUL(EVENT_RETURNED, .c = B);
    LAWFUL(EVENT_RETURNED, .c = A);
    LAWFUL(CALLED(C, 0));
    LAWFUL(EVENT_RETURNED, .c = C, .rearm = true); /* CALL-3 */
    is_in_use(C, true);
    BREAKS(CALL_4_ROUND, CALLED(C, 0));
    LAWFUL(EVENT_RETURNED, .c = C, .rearm = true);
    cancel(C, D);
    called(C, -ECANCELED); /* which it may be before it has begun */
    called(D, 0);
    add(C, ET_NOOP, 0);
    ended();
    run(ET_RUN_NO_WAIT);
    called(C, 0); /* another run */
    BREAKS(CALL_2, CALLED(EVENT_NOBODY, 0));
    LAWFUL(EVENT_RETURNED, .c = EVENT_NOBODY);
    ended();
    add(C, ET_NOOP, 0);
    run(ET_RUN_ONCE);
    LAWFUL(CALLED(C, 0));
    LAWFUL(EVENT_RETURNED, .c = C, .rearm = true, .has = EVENT_HAS_DESCRIPTION,
           .operation = ET_NOOP, .has_callback = true, .userdata = 9);
    LAWFUL(EVENT_CALLBACK, .c = C, .userdata = 9);
    timer(C, 5);
    LAWFUL(EVENT_RETURNED, .c = C, .rearm = true); /* which has been submitted already: refused */
    assert_int_equal(p.completion[C].operation, ET_TIMER);
}

/* A loop that has taken what none could carry out is blamed for that alone: a rearm submits what
 * its description says, and without one what was submitted before, which is refused now. */
static void test_rearm_of_unknown(void **state) {
    (void)state;
    for (int described = 0; described <= 1; described++) {
        BREAKS(ADD_5, EVENT_ADD, .c = C, .operation = ET_OPERATIONS, .has_callback = true,
               .userdata = 100 + C);
        run(ET_RUN_ONCE);
        LAWFUL(CALLED(C, 0));
        LAWFUL(EVENT_RETURNED, .c = C, .rearm = true, .has = described ? EVENT_HAS_DESCRIPTION : 0,
               .operation = ET_NOOP, .has_callback = true, .userdata = 100 + C);
        ended();
        is_in_use(C, described);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_now(void **state) {
    (void)state;
    clock_ns += MS / 2;
    LAWFUL(EVENT_NOW, .now_ms = 1000);
    BREAKS(TIME_2, EVENT_NOW, .now_ms = 1001);
    clock_ns += 10 * MS;
    LAWFUL(EVENT_NOW, .now_ms = 1005); /* between the last update and the clock */
    BREAKS(TIME_3, EVENT_NOW, .now_ms = 1004);
    LAWFUL(EVENT_UPDATE_NOW);
    begin_anew();
    clock_ns += 10 * MS;
    LAWFUL(EVENT_NOW, .now_ms = 1000);
    LAWFUL(EVENT_UPDATE_NOW);
    BREAKS(TIME_1, EVENT_NOW, .now_ms = 1009);
    LAWFUL(EVENT_NOW, .now_ms = 1010);
    add(A, ET_NOOP, 0);
    add(B, ET_POLL, 3);
    run(ET_RUN_ONCE);
    clock_ns += 5 * MS;
    wait_for(0);
    ready(B, POLL_IN);
    woken();
    clock_ns += 5 * MS;
    LAWFUL(CALLED(B, POLL_IN));
    BREAKS(TIME_1, EVENT_NOW, .now_ms = 1014);
    LAWFUL(EVENT_NOW, .now_ms = 1015);
}

static void test_now_of_a_wait_without_sleep(void **state) {
    (void)state;
    timer(A, 10);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 5 * MS;
    wait_for(0);
    clock_ns += 2 * MS;
    woken();
    LAWFUL(CALLED(B, 0));
    BREAKS(TIME_1, EVENT_NOW, .now_ms = 1004);
    LAWFUL(EVENT_NOW, .now_ms = 1005); /* from before the wait */
    LAWFUL(EVENT_RETURNED, .c = B);
    wait_for(5 * (int64_t)MS);
    LAWFUL(EVENT_SLEEP);
    clock_ns += 5 * MS;
    woken();
    LAWFUL(CALLED(A, 0));
    BREAKS(TIME_1, EVENT_NOW, .now_ms = 1011); /* from before the sleep */
}

static void test_not_early(void **state) {
    (void)state;
    timer(A, 10);
    timer(B, 20);
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 10 * MS - 1;
    polled();
    BREAKS(EXPIRE_4, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    clock_ns = START + 20 * MS;
    polled();
    called(B, 0);
    timer(A, 10); /* the loop time may still be that of the last wait */
    timer(C, 10);
    clock_ns += 10 * MS;
    BREAKS(EXPIRE_1_RESULT, CALLED(A, 1));
    LAWFUL(EVENT_RETURNED, .c = A);
    timer(A, 5);
    BREAKS(EXPIRE_1_RESULT, CALLED(C, -EINTR));
}

static void test_deadline_lies_between(void **state) {
    (void)state;
    clock_ns += 7 * MS;
    timer(A, 10); /* from 1000 or 1007 on */
    clock_ns = START + 10 * MS;
    run(ET_RUN_ONCE);
    called(A, 0);
    timer(A, 10);
    clock_ns = START + 20 * MS + MS / 2;
    LAWFUL(EVENT_NOW, .now_ms = 1020);
    timer(B, 10); /* from 1020 on */
    clock_ns = START + 30 * MS - 1;
    BREAKS(EXPIRE_4, CALLED(B, 0));
    LAWFUL(EVENT_RETURNED, .c = B);
    ended();
    timer(C, UINT64_MAX);
    clock_ns = UINT64_C(1) << 62;
    run(ET_RUN_NO_WAIT);
    polled();
    BREAKS(EXPIRE_4, CALLED(C, 0));
}

static void test_order_of_timers(void **state) {
    (void)state;
    timer(B, 15);
    timer(A, 10);
    timer(C, 11); /* differs from A by no more than the slack */
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 20 * MS;
    polled();
    called(C, 0);
    BREAKS(EXPIRE_2, CALLED(B, 0));
    LAWFUL(EVENT_RETURNED, .c = B);
    called(A, 0);
    ended();
    run(ET_RUN_UNTIL_DONE);
    timer(B, 15);
    timer(A, 10);
    clock_ns += 15 * MS;
    LAWFUL(CALLED(B, 0)); /* set in the same turn */
    LAWFUL(EVENT_RETURNED, .c = B);
    called(A, 0);
    ended();
    settings.slack_ns = 4 * MS;
    begin_anew();
    timer(B, 15);
    timer(A, 10);
    timer(C, 13);
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 20 * MS;
    polled();
    called(C, 0); /* differs from A by less than the slack */
    BREAKS(EXPIRE_2, CALLED(B, 0));
}

static void test_order_of_equal_timers(void **state) {
    (void)state;
    timer(A, 10);
    timer(B, 10);
    clock_ns += MS;
    timer(C, 10);
    clock_ns += MS;
    run(ET_RUN_UNTIL_DONE);
    timer(D, 9); /* what was set in this turn is not compared */
    clock_ns += 20 * MS;
    called(D, 0);
    polled();
    called(C, 0); /* perhaps later, and perhaps the same: no order */
    struct promise_answer a = TELL(CALLED(B, 0));
    assert_int_equal(a.verdict, PROMISE_EXPIRE_3);
    assert_true(a.should);
    LAWFUL(EVENT_RETURNED, .c = B);
    called(A, 0);
    ended();
    timer(A, 10);
    timer(B, 10);
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 20 * MS;
    polled();
    called(A, 0);
    called(B, 0);
    timer(A, 10);
    timer(B, 10);
    LAWFUL(RESET(A, EVENT_NOBODY, 10, 0)); /* it may keep its place, as it has not begun */
    clock_ns += 20 * MS;
    polled();
    called(A, 0);
    called(B, 0);
    timer(A, 10);
    timer(B, 10);
    polled();
    polled();
    LAWFUL(RESET(A, EVENT_NOBODY, 10, 0));
    LAWFUL(RESET(B, EVENT_NOBODY, 10, 0));
    timer(C, 10);
    clock_ns += 20 * MS;
    polled();
    called(C, 0); /* a timer that was reset has no place */
    called(B, 0);
    called(A, 0);
}

static void test_reset(void **state) {
    (void)state;
    timer(A, 10);
    LAWFUL(RESET(A, B, 30, 0));
    is_in_use(B, true); /* it may carry, or not */
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 20 * MS;
    polled();
    BREAKS(RESET_4, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    BREAKS(STATE_3, CALLED(B, 0)); /* a carrier has no callback */
    LAWFUL(EVENT_RETURNED, .c = B);
    is_in_use(B, false);
    timer(A, 10);
    LAWFUL(RESET(A, EVENT_NOBODY, 0, 0));
    called(A, 0);
    timer(A, 10);
    LAWFUL(RESET(A, A, 0, -EINVAL)); /* by itself */
    add(C, ET_POLL, 3);
    LAWFUL(RESET(A, C, 0, -EBUSY)); /* the carrier is in use: a loop may need it */
    BREAKS(RESET_3_ZERO, RESET(A, C, 0, -EINVAL));
    LAWFUL(RESET(A, C, 0, 0));       /* … or not */
    LAWFUL(RESET(C, B, 0, -EINVAL)); /* no timer */
    LAWFUL(RESET(C, B, 0, -EBUSY));
    wait_for(0);
    woken();
    BREAKS(RESET_2, RESET(C, B, 0, 0));
    add_silent(E, ET_TIMER, 0);
    LAWFUL(EVENT_DELETE, .c = A);
    LAWFUL(RESET(E, B, 5, 0)); /* it may have ended */
    is_in_use(B, true);
    is_in_use(B, false);
    LAWFUL(RESET(D, B, 5, 0)); /* of a dead one: as a timer */
    is_in_use(D, true);
}

static void test_set_anew_before_it_has_begun(void **state) {
    (void)state;
    timer(A, 10);
    LAWFUL(TIMER(A, 30, 0));
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 10 * MS;
    called(A, 0); /* without effect is lawful, too */
    timer(A, 30);
    LAWFUL(TIMER(A, 5, 0));
    clock_ns += 5 * MS;
    called(A, 0);
}

/* How often a loop looks at the kernel is its own business. */
static void test_when_an_episode_has_begun(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    run(ET_RUN_ONCE);
    for (unsigned i = 0; i < 3; i++) {
        polled();
        LAWFUL(EVENT_ADD, .c = A);
    }
    slept(1);
    BREAKS(ADD_3, EVENT_ADD, .c = A);
    begin_anew();
    timer(A, 10);
    run(ET_RUN_NO_WAIT);
    timer(B, 10);
    polled();
    polled();
    ended();
    BREAKS(TIMER_4, TIMER(A, 10, 0));
    LAWFUL(TIMER(B, 20, 0)); /* submitted in that run */
    run(ET_RUN_NO_WAIT);
    LAWFUL(EVENT_STOP);
    ended();
    LAWFUL(TIMER(B, 20, 0)); /* it was stopped */
    begin_anew();
    timer(A, 10);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    for (unsigned i = 0; i <= PROMISE_OVERTAKES; i++) {
        LAWFUL(TIMER(A, 10, 0));
        LAWFUL(CALLED(B, 0));
        LAWFUL(EVENT_RETURNED, .c = B, .rearm = true);
        polled();
    }
    BREAKS(TIMER_4, TIMER(A, 10, 0)); /* a noop would have been starved */
}

/* ---- waiting and progress -------------------------------------------------------------------- */

static void test_no_sleep_while_something_is_due(void **state) {
    (void)state;
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(EVENT_WAIT, .result = -1);
    timer(A, 5);
    clock_ns += 6 * MS;
    BREAKS(EXPIRE_1_WAITS, EVENT_SLEEP);
    called(A, 0);
    timer(A, 5);
    clock_ns += 6 * MS - 1; /* within the slack; but the limit is judged */
    wait_for(MS);
    LAWFUL(EVENT_SLEEP);
    LAWFUL(EVENT_DELETE, .c = A);
    add(A, ET_NOOP, 0);
    BREAKS(SUBMIT_2_WAITS, EVENT_SLEEP);
    called(A, 0);
    add(B, ET_POLL, 3);
    LAWFUL(EVENT_SLEEP);
    ready(B, POLL_IN);
    BREAKS(REGISTER_1, EVENT_SLEEP);
    ready(B, 0);
    LAWFUL(EVENT_SLEEP);
    add(C, ET_RECV, 3);
    add(D, ET_RECV, 3);
    ready(D, POLL_IN); /* the first is not ready: its turn */
    BREAKS(EVENT_1_WAITS, EVENT_SLEEP);
}

static void test_what_may_stand_before_it(void **state) {
    (void)state;
    add_silent(A, ET_RECV, 3);
    add(B, ET_RECV, 3);
    run(ET_RUN_UNTIL_DONE);
    ready(B, POLL_IN);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP); /* nobody knows whether A has ended */
    is_in_use(A, false);
    BREAKS(EVENT_1_WAITS, EVENT_SLEEP);
}

static void test_orphans(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(EVENT_MOVED, .fd = 3);
    ready(A, POLL_IN);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    woken();
    add(B, ET_POLL, 3);
    ready(B, POLL_IN);
    wait_for(-1);
    BREAKS(REGISTER_4, EVENT_SLEEP);
    ready(B, POLL_HUP);
    woken();
    BREAKS(REGISTER_4, CALLED(B, POLL_IN));
    LAWFUL(EVENT_RETURNED, .c = B);
    called(A, POLL_OUT); /* whatever it says */
    add(A, ET_READ, 4);
    add(C, ET_READ, 5);
    LAWFUL(EVENT_MOVED, .fd = 4);
    add(B, ET_READ, 4);
    ready(B, POLL_IN);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP); /* A may be tried in its place */
    woken();
    called(A, 0);
    wait_for(-1);
    BREAKS(REGISTER_4, EVENT_SLEEP);
}

static void test_length_of_a_wait(void **state) {
    (void)state;
    timer(A, 10);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP); /* for how long, it is not said */
    BREAKS(WAIT_2_FOREVER, EVENT_SLEEP, .result = -1);
    LAWFUL(EVENT_SLEEP, .result = (int64_t)(12 * MS)); /* the slack, and a millisecond */
    BREAKS(WAIT_2_LATE, EVENT_SLEEP, .result = (int64_t)(12 * MS) + 1);
    woken();
    LAWFUL(EVENT_WAIT, .result = (int64_t)(11 * MS) + 1);
    LAWFUL(EVENT_SLEEP, .result = (int64_t)(11 * MS));
    BREAKS(WAIT_2_LATE, EVENT_SLEEP, .result = (int64_t)(12 * MS));
    timer(B, 3);
    BREAKS(WAIT_2_LATE, EVENT_SLEEP, .result = (int64_t)(11 * MS));
    LAWFUL(EVENT_DELETE, .c = B);
    LAWFUL(EVENT_DELETE, .c = A);
    timer(A, UINT64_MAX);
    LAWFUL(EVENT_SLEEP, .result = -1); /* no kernel's clock gets there */
}

static void test_sleeps_that_make_no_sense(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_NOOP, 0);
    run(ET_RUN_NO_WAIT);
    called(B, 0);
    wait_for(-1);
    BREAKS(RUN_1, EVENT_SLEEP);
    woken();
    ended();
    add(B, ET_NOOP, 0);
    run(ET_RUN_ONCE);
    called(B, 0);
    wait_for(-1);
    BREAKS(WAIT_1_ENOUGH, EVENT_SLEEP);
    woken();
    ended();
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    LAWFUL(EVENT_DELETE, .c = A);
    BREAKS(WAIT_1_IDLE, EVENT_SLEEP);
    woken();
    ended();
}

static void spin(unsigned waits, uint32_t events) {
    for (unsigned i = 0; i < waits; i++) {
        wait_for(0);
        clock_ns += 1000;
        LAWFUL(EVENT_WOKEN, .events = events);
    }
    wait_for(0);
}

static void test_spinning(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    run(ET_RUN_UNTIL_DONE);
    spin(64, POLL_IN);
    BREAKS(REGISTER_5, EVENT_WOKEN, .events = POLL_IN);
    spin(64, 0);
    BREAKS(WAIT_2_SPINS, EVENT_WOKEN);
    timer(B, 10);
    spin(64, 0);
    BREAKS(WAIT_3, EVENT_WOKEN);
    spin(64, 0);
    slept(1); /* a wait that lasts is none in vain */
    spin(64, 0);
    LAWFUL(EVENT_WOKEN, .result = -EINTR);
    LAWFUL(EVENT_WAKEUP);
    wait_for(-1);
    woken();
    spin(64, POLL_IN);
    BREAKS(REGISTER_5, EVENT_WOKEN, .events = POLL_IN);
    struct event errors = add_event(C, ET_RECVMSG, 4);
    errors.flags = MSG_ERRQUEUE;
    lawful(errors);
    add(D, ET_RECV, 4);
    ready(C, POLL_IN);
    ready(D, POLL_IN);
    called(D, 1); /* it is of another class */
    spin(64, POLL_IN);
    BREAKS(EVENT_1_WAITS, EVENT_WOKEN, .events = POLL_IN);
    errors.c = E;
    lawful(errors);
    spin(64, POLL_IN);
    BREAKS(SUBMIT_8, EVENT_WOKEN, .events = POLL_IN);
    LAWFUL(EVENT_DELETE, .c = E);
    LAWFUL(EVENT_DELETE, .c = C);
    LAWFUL(EVENT_DELETE, .c = A);
    LAWFUL(EVENT_DELETE, .c = B);
    spin(64, 0);
    BREAKS(TICK_4_SPINS, EVENT_WOKEN);
    ended();
    add(A, ET_POLL, 3);
    run(ET_RUN_NO_WAIT);
    spin(64, 0);
    BREAKS(TICK_3, EVENT_WOKEN);
    ended();
}

static void test_one_timer_alone(void **state) {
    (void)state;
    timer(A, 10);
    run(ET_RUN_UNTIL_DONE);
    slept(3);
    slept(3);
    wait_for((int64_t)(3 * MS));
    struct promise_answer a = TELL(EVENT_SLEEP);
    assert_int_equal(a.verdict, PROMISE_WAIT_4);
    assert_true(a.should);
    woken();
    slept(1); /* told once */
    LAWFUL(EVENT_DELETE, .c = A);
    timer(A, 10);
    slept(3);
    slept(3);
    add(B, ET_POLL, 3);
    slept(3); /* not alone */
    LAWFUL(EVENT_DELETE, .c = B);
    slept(1);
}

static void test_bounded_overtaking(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    for (unsigned i = 0; i < 16; i++) {
        LAWFUL(CALLED(A, 0));
        LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    }
    add(C, ET_NOOP, 0); /* later than B */
    BREAKS(CALL_4_STARVED, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    called(B, 0);
    for (unsigned i = 0; i < 15; i++) {
        LAWFUL(CALLED(A, 0));
        LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    }
    BREAKS(CALL_4_STARVED, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    add(A, ET_NOOP, 0);
    BREAKS(PROGRESS, CALLED(A, 0)); /* by whomever it is submitted */
    LAWFUL(EVENT_RETURNED, .c = A);
    begin_anew();
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    for (unsigned i = 0; i < 40; i++) { /* what is cancelled does not count */
        add(A, ET_RECV, 3);
        cancel(A, i % 2 == 0 ? C : D);
        called(A, -ECANCELED);
        LAWFUL(EVENT_DELETE, .c = i % 2 == 0 ? C : D);
    }
    called(B, 0);
}

static void test_what_is_due_comes_in_a_run_without_waiting(void **state) {
    (void)state;
    timer(A, 5);
    clock_ns += 6 * MS;
    run(ET_RUN_NO_WAIT);
    BREAKS(EXPIRE_1_RETURNS, EVENT_END);
    LAWFUL(EVENT_DELETE, .c = A);
    add(A, ET_NOOP, 0);
    LAWFUL(EVENT_TICK, .callbacks = 0);
    add(B, ET_NOOP, 0); /* not due when it began */
    called(A, 0);
    ended();
    run(ET_RUN_NO_WAIT);
    BREAKS(SUBMIT_2_RETURNS, EVENT_END);
    LAWFUL(EVENT_DELETE, .c = B);
    add(A, ET_POLL, 3);
    ready(A, POLL_IN);
    run(ET_RUN_NO_WAIT);
    polled();
    BREAKS(EVENT_4_RETURNS, EVENT_END);
    add(C, ET_RECV, 4);
    ready(C, POLL_IN);
    ready(A, 0);
    run(ET_RUN_NO_WAIT);
    polled();
    BREAKS(EVENT_1_RETURNS, EVENT_END);
    LAWFUL(EVENT_DELETE, .c = C);
    ready(A, POLL_IN);
    run(ET_RUN_NO_WAIT);
    polled();
    ready(A, 0); /* no longer */
    ended();
    async_wait(B);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    run(ET_RUN_NO_WAIT);
    BREAKS(ASYNC_2_RETURNS, EVENT_END);
    run(ET_RUN_NO_WAIT);
    LAWFUL(EVENT_STOP);
    ended();
    settings.serves_max = 1;
    begin_anew();
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    run(ET_RUN_NO_WAIT);
    called(A, 0);
    ended(); /* its manual says: one */
    run(ET_RUN_NO_WAIT);
    BREAKS(SUBMIT_2_RETURNS, EVENT_END);
}

/* ---- running --------------------------------------------------------------------------------- */

static void test_runs_that_return_too_early(void **state) {
    (void)state;
    static const struct {
        unsigned callbacks;
        enum promise_verdict first;
    } runs[] = {
        {1, PROMISE_RUN_2_WOKEN}, {UINT32_MAX, PROMISE_RUN_3_WOKEN}, {2, PROMISE_TICK_4_WOKEN}};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned kind = 0; kind < 5; kind++) {
            begin_anew();
            add(A, ET_POLL, 3);
            add(B, ET_POLL, 3);
            LAWFUL(EVENT_TICK, .callbacks = i == 1 ? EVENT_NEVER_REACHED : runs[i].callbacks);
            wait_for(kind == 2 ? (int64_t)MS : -1);
            if (kind == 0)
                LAWFUL(EVENT_WAKEUP);
            if (kind == 2) {
                LAWFUL(EVENT_SLEEP);
                clock_ns += MS;
            }
            LAWFUL(EVENT_WOKEN, .result = kind == 1 ? -EINTR : 0, .events = kind == 4);
            if (kind == 3)
                LAWFUL(EVENT_DELETE, .c = B);
            struct promise_answer a = TELL(EVENT_END);
            assert_int_equal(a.verdict, runs[i].first + kind);
            if (kind == 3)
                continue;
            LAWFUL(EVENT_DELETE, .c = B); /* which the next run may have taken for something */
            LAWFUL(EVENT_TICK, .callbacks = i == 1 ? EVENT_NEVER_REACHED : runs[i].callbacks);
            a = TELL(EVENT_END);
            assert_int_equal(a.verdict, runs[i].first + 3);
            LAWFUL(EVENT_TICK, .callbacks = i == 1 ? EVENT_NEVER_REACHED : runs[i].callbacks);
            a = TELL(EVENT_END);
            assert_int_equal(a.verdict, runs[i].first + 3);
            LAWFUL(EVENT_TICK, .callbacks = i == 1 ? EVENT_NEVER_REACHED : runs[i].callbacks);
            a = TELL(EVENT_END);
            assert_int_equal(a.verdict, runs[i].first + 4);
        }
}

static void test_runs_that_go_on_long_enough(void **state) {
    (void)state;
    run(ET_RUN_ONCE);
    ended(); /* nothing is in use */
    add(A, ET_NOOP, 0);
    add(B, ET_POLL, 3);
    run(ET_RUN_ONCE);
    called(A, 0);
    ended();
    add_silent(A, ET_NOOP, 0); /* which may count, and nobody sees it */
    run(ET_RUN_ONCE);
    polled();
    ended();
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(EVENT_DELETE, .c = B);
    ended();
    add(B, ET_POLL, 3);
    LAWFUL(EVENT_TICK, .callbacks = 3);
    LAWFUL(EVENT_STOP);
    ended();
    begin_anew();
    add(B, ET_POLL, 3);
}

/* What ends one does so in whichever of its waits; and it is asked for one callback. */
static void test_turns(void **state) {
    (void)state;
    run(ET_RUN_TURN);
    ended(); /* nothing is in use */
    add(A, ET_POLL, 3);
    run(ET_RUN_TURN);
    polled();
    slept(5);
    polled(); /* it looks before it sleeps, and after that */
    ended();
    run(ET_RUN_TURN);
    slept(5);
    wait_for(MS);
    BREAKS(RUN_5, EVENT_SLEEP);
    woken();
    ended();
    LAWFUL(EVENT_WAKEUP);
    run(ET_RUN_TURN);
    polled();
    wait_for(MS);
    BREAKS(RUN_5, EVENT_SLEEP);
    woken();
    ended();
    run(ET_RUN_TURN);
    wait_for(0);
    LAWFUL(EVENT_WOKEN, .result = -EINTR);
    ended();
    add(B, ET_NOOP, 0);
    run(ET_RUN_TURN);
    called(B, 0);
    wait_for(MS);
    BREAKS(WAIT_1_ENOUGH, EVENT_SLEEP);
    woken();
    ended();
}

static void test_turns_that_bring_nothing(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_POLL, 4);
    run(ET_RUN_TURN);
    polled();
    BREAKS(RUN_5_EARLY, EVENT_END);
    LAWFUL(EVENT_DELETE, .c = B);
    run(ET_RUN_TURN);
    polled();
    ended(); /* with the deletion */
    run(ET_RUN_TURN);
    wait_for(MS);
    woken(); /* by what nobody waits for */
    ended();
    run(ET_RUN_TURN);
    LAWFUL(EVENT_STOP);
    ended();
}

/* ET-REPEAT-1: from its former deadline, or from anything since. */
static void test_timers_that_repeat(void **state) {
    (void)state;
    settings.repeats = true;
    settings.stays_stopped = false;
    begin_anew();
    timer(A, 10);
    timer(B, 11);
    run(ET_RUN_UNTIL_DONE);
    slept(10);
    clock_ns += 3 * MS; /* a busy loop */
    LAWFUL(CALLED(A, 0));
    clock_ns += 4 * MS; /* a slow callback */
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    called(B, 0);
    timer(C, 1); /* later than 10 ms after the former deadline of A, perhaps */
    polled();
    clock_ns = START + 19 * MS;
    called(C, 0);
    BREAKS(REPEAT_1, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true); /* its deadline was 20 ms */
    clock_ns = START + 30 * MS;
    LAWFUL(CALLED(A, 0));
    timer(B, 1);
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    polled();
    clock_ns = START + 40 * MS;
    LAWFUL(CALLED(A, 0)); /* before B, which was set first: it may count from before that */
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    called(B, 0);
    clock_ns = START + 52 * MS;
    wait_for(HOUR_NS);
    BREAKS(EXPIRE_1_WAITS, EVENT_SLEEP);
    woken();
    called(A, 0);
    BREAKS(STATE_3, CALLED(A, 0)); /* its callback has ended it */
    LAWFUL(EVENT_RETURNED, .c = A);
    LAWFUL(EVENT_STOP);
    ended();
    add(D, ET_NOOP, 0); /* what is no timer has no interval */
    run(ET_RUN_NO_WAIT);
    LAWFUL(CALLED(D, 0));
    LAWFUL(EVENT_RETURNED, .c = D, .rearm = true);
    ended();
    timer(A, 500);
    cancel(A, C);
    run(ET_RUN_NO_WAIT);
    LAWFUL(CALLED(A, -ECANCELED)); /* before its deadline: it counts from now */
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    called(C, 0);
    called(D, 0);
    ended();
    clock_ns += 500 * MS;
    run(ET_RUN_NO_WAIT);
    polled();
    called(A, 0);
    ended();
}

/* ET-LINGER-2: until the second turn after its deletion has ended. */
static void test_deleted_for_the_next_turn(void **state) {
    (void)state;
    settings.deletes_later = true;
    begin_anew();
    timer(A, 5);
    add(B, ET_POLL, 3);
    LAWFUL(EVENT_DELETE, .c = A);
    LAWFUL(EVENT_DELETE, .c = A); /* which makes it no later */
    is_in_use(A, true);
    LAWFUL(TIMER(A, 1, -EBUSY));
    cancel(A, C);
    run(ET_RUN_ONCE);
    is_in_use(A, true);
    called(C, -ENOENT);
    BREAKS(DELETE_4, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    polled();
    is_in_use(A, true);
    ended();
    BREAKS(LINGER_2, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    BREAKS(LINGER_2, TIMER(A, 1, -EBUSY));
    LAWFUL(EVENT_DELETE, .c = A);
    timer(A, 3);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = A, .result = 0);
    LAWFUL(EVENT_DELETE, .c = B);
    LAWFUL(RESET(A, EVENT_NOBODY, 7, 0));
    run(ET_RUN_NO_WAIT);
    LAWFUL(EVENT_DELETE, .c = A);
    is_in_use(A, false); /* at once, too */
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    LAWFUL(RESET(A, EVENT_NOBODY, 7, 0));
    LAWFUL(EVENT_DELETE, .c = A);
    polled();
    polled();
    is_in_use(A, true);
    polled(); /* a third turn begins */
    BREAKS(LINGER_2, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    ended();
    timer(A, 3);
    LAWFUL(EVENT_DELETE, .c = A);
    LAWFUL(RESET(A, EVENT_NOBODY, 7, 0)); /* as a timer that is dead */
    LAWFUL(EVENT_DELETE, .c = A);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    BREAKS(WAIT_1_IDLE, EVENT_SLEEP);
    woken();
    ended();
}

/* … where turns that a stop cuts short do not count. */
/* The turn of the deletion counts for nothing, whether or not it is whole. */
static void test_deleted_and_stopped_in_one_turn(void **state) {
    (void)state;
    for (int stops = 0; stops <= 1; stops++) {
        settings.deletes_later = true;
        settings.stays_stopped = false;
        begin_anew();
        timer(A, 500);
        add(B, ET_NOOP, 0);
        run(ET_RUN_NO_WAIT);
        LAWFUL(CALLED(B, 0));
        LAWFUL(EVENT_DELETE, .c = A);
        if (stops)
            LAWFUL(EVENT_STOP);
        LAWFUL(EVENT_RETURNED, .c = B);
        ended();
        run(ET_RUN_NO_WAIT);
        ended();
        is_in_use(A, true);
        run(ET_RUN_NO_WAIT);
        ended();
        BREAKS(LINGER_2, EVENT_SAYS_IN_USE, .c = A, .result = true);
    }
}

static void test_deleted_in_a_loop_that_is_stopped(void **state) {
    (void)state;
    settings.deletes_later = true;
    settings.stays_stopped = false;
    begin_anew();
    timer(A, 5);
    LAWFUL(EVENT_DELETE, .c = A);
    for (unsigned i = 0; i < 3; i++) {
        run(ET_RUN_NO_WAIT);
        LAWFUL(EVENT_STOP);
        polled();
        ended();
        LAWFUL(EVENT_RUN, .mode = -1);
        LAWFUL(EVENT_END, .result = -EINVAL);
        is_in_use(A, true);
    }
    run(ET_RUN_NO_WAIT);
    wait_for(0);
    LAWFUL(EVENT_WOKEN, .result = -ENOMEM);
    LAWFUL(EVENT_END, .result = -ENOMEM);
    is_in_use(A, true);
    settings.stays_stopped = true;
    p.settings = settings;
    LAWFUL(EVENT_STOP);
    for (unsigned i = 0; i < 3; i++) {
        run(ET_RUN_NO_WAIT);
        ended();
        is_in_use(A, true);
    }
}

/* ET-RUN-6: whatever is in use, and whatever has ended its waits. */
static void test_runs_until_stopped(void **state) {
    (void)state;
    settings.stays_stopped = false;
    for (unsigned kind = 0; kind < 5; kind++) {
        begin_anew();
        LAWFUL(EVENT_RUN, .mode = PROMISE_UNTIL_STOPPED);
        slept(3); /* nothing is in use */
        if (kind == 0)
            LAWFUL(EVENT_WAKEUP);
        wait_for(-1);
        if (kind == 2)
            LAWFUL(EVENT_SLEEP);
        LAWFUL(EVENT_WOKEN, .result = kind == 1 ? -EINTR : 0, .events = kind == 4);
        if (kind == 3) {
            add(A, ET_POLL, 3);
            LAWFUL(EVENT_DELETE, .c = A);
        }
        struct promise_answer a = TELL(EVENT_END);
        assert_int_equal(a.verdict, PROMISE_RUN_6_WOKEN + kind);
        assert_string_equal(a.broken, "ET-RUN-6");
    }
    LAWFUL(EVENT_RUN, .mode = PROMISE_UNTIL_STOPPED);
    LAWFUL(EVENT_STOP);
    wait_for(-1);
    BREAKS(STOP_2, EVENT_SLEEP);
    woken();
    ended();
    LAWFUL(EVENT_RUN, .mode = PROMISE_UNTIL_STOPPED); /* the next is as any other */
    for (unsigned i = 0; i < PROMISE_WAITS_MAX; i++)
        polled();
    wait_for(0);
    BREAKS(WAIT_2_SPINS, EVENT_WOKEN);
    LAWFUL(EVENT_STOP);
    ended();
}

static void test_modes(void **state) {
    (void)state;
    LAWFUL(EVENT_RUN, .mode = -1);
    LAWFUL(EVENT_END, .result = -EINVAL);
    LAWFUL(EVENT_RUN, .mode = 4);
    BREAKS(RUN_4, EVENT_END);
    add(A, ET_NOOP, 0);
    LAWFUL(EVENT_RUN, .mode = -1);
    BREAKS(RUN_4, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    LAWFUL(EVENT_END, .result = -EINVAL);
    settings.has_turn = false;
    begin_anew();
    LAWFUL(EVENT_RUN, .mode = ET_RUN_TURN);
    BREAKS(RUN_4, EVENT_END);
    LAWFUL(EVENT_STOP);
    LAWFUL(EVENT_RUN, .mode = ET_RUN_TURN);
    ended();
}

static void test_a_run_in_a_callback(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    run(ET_RUN_ONCE);
    LAWFUL(EVENT_END, .result = -EBUSY);
    LAWFUL(EVENT_RUN, .mode = -1);
    LAWFUL(EVENT_END, .result = -EINVAL);
    run(ET_RUN_ONCE);
    BREAKS(TICK_2, EVENT_END);
    run(ET_RUN_ONCE);
    BREAKS(TICK_2, CALLED(B, 0));
    LAWFUL(EVENT_RETURNED, .c = B);
    LAWFUL(EVENT_END, .result = -EBUSY);
    LAWFUL(EVENT_STOP);
    run(ET_RUN_ONCE);
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    settings.nests = true;
    begin_anew();
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    run(ET_RUN_ONCE);
    called(B, 0);
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
}

/* ET-RUN-7: one run within another. */
static void test_runs_within_runs(void **state) {
    (void)state;
    settings.nests = true;
    settings.stays_stopped = false;
    begin_anew();
    add(A, ET_NOOP, 0);
    timer(C, 5);
    run(ET_RUN_ONCE);
    LAWFUL(CALLED(A, 0));
    run(ET_RUN_ONCE);
    slept(5); /* the run around it has its callback, this one has none yet */
    LAWFUL(CALLED(C, 0));
    timer(D, 5);
    run(ET_RUN_NO_WAIT);
    wait_for(-1);
    BREAKS(RUN_1, EVENT_SLEEP);
    woken();
    ended();
    run(ET_RUN_UNTIL_DONE);
    BREAKS(RUN_7, EVENT_END, .result = -EBUSY);
    run(ET_RUN_UNTIL_DONE);
    BREAKS(RUN_3_EARLY, EVENT_END);
    LAWFUL(EVENT_RETURNED, .c = C);
    wait_for(MS);
    BREAKS(WAIT_1_ENOUGH, EVENT_SLEEP);
    woken();
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    wait_for(MS);
    BREAKS(WAIT_1_ENOUGH, EVENT_SLEEP);
    woken();
    ended();
    run(ET_RUN_UNTIL_DONE);
    BREAKS(RUN_3_EARLY, EVENT_END);
}

static void test_callbacks_and_stops_of_inner_runs(void **state) {
    (void)state;
    settings.nests = true;
    settings.stays_stopped = false;
    begin_anew();
    timer(D, 500);
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    LAWFUL(EVENT_TICK, .callbacks = 2);
    LAWFUL(CALLED(A, 0));
    run(ET_RUN_NO_WAIT);
    called(B, 0);
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    ended(); /* as both count, which they need not: */
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    LAWFUL(EVENT_TICK, .callbacks = 2);
    LAWFUL(CALLED(A, 0));
    run(ET_RUN_NO_WAIT);
    called(B, 0);
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    slept(500);
    called(D, 0);
    ended();
    timer(D, 500);
    add(A, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(EVENT_STOP);
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    ended(); /* it may end both, or the inner one: */
    add(A, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    LAWFUL(EVENT_STOP);
    run(ET_RUN_UNTIL_DONE);
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    wait_for(MS);
    BREAKS(STOP_2, EVENT_SLEEP);
    woken();
    ended();
    for (unsigned i = 0; i <= PROMISE_NESTED; i++) {
        add(A, ET_NOOP, 0);
        run(ET_RUN_ONCE);
        LAWFUL(CALLED(A, 0));
    }
    run(ET_RUN_ONCE); /* of more nobody keeps account */
    add(B, ET_NOOP, 0);
    called(B, 0);
    LAWFUL(EVENT_END, .result = -EIO);
    for (unsigned i = 0; i <= PROMISE_NESTED; i++) {
        LAWFUL(EVENT_RETURNED, .c = A);
        ended();
    }
}

/* What a wait has found stands while another run waits within it. */
static void test_polls_of_runs_within_runs(void **state) {
    (void)state;
    settings.nests = true;
    begin_anew();
    add(A, ET_POLL, 3);
    add(B, ET_POLL, 4);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(EVENT_READY, .c = A, .events = POLL_IN);
    LAWFUL(EVENT_READY, .c = B, .events = POLL_IN);
    polled();
    LAWFUL(CALLED(A, POLL_IN));
    LAWFUL(EVENT_READY, .c = B, .events = 0);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    LAWFUL(EVENT_RETURNED, .c = A);
    called(B, POLL_IN);
    ended();
}

static void test_result_of_a_run(void **state) {
    (void)state;
    run(ET_RUN_NO_WAIT);
    BREAKS(TICK_7, EVENT_END, .result = -EIO);
    run(ET_RUN_NO_WAIT);
    BREAKS(TICK_7, EVENT_END, .result = -EBUSY);
    run(ET_RUN_NO_WAIT);
    wait_for(0);
    LAWFUL(EVENT_WOKEN, .result = -EIO);
    LAWFUL(EVENT_END, .result = -EIO);
    run(ET_RUN_NO_WAIT);
    wait_for(0);
    LAWFUL(EVENT_WOKEN, .result = -EINTR);
    BREAKS(WAIT_5, EVENT_END, .result = -EINTR);
}

static void test_stop(void **state) {
    (void)state;
    LAWFUL(EVENT_SAYS_STOPPED, .result = 0);
    BREAKS(INIT_2, EVENT_SAYS_STOPPED, .result = 1);
    add(A, ET_NOOP, 0);
    BREAKS(STOP_1, EVENT_SAYS_STOPPED, .result = 1);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    LAWFUL(EVENT_STOP);
    LAWFUL(EVENT_SAYS_STOPPED, .result = 1);
    BREAKS(STOP_1, EVENT_SAYS_STOPPED, .result = 0);
    add(A, ET_NOOP, 0);
    add(C, ET_NOOP, 0);
    LAWFUL(EVENT_STOP);
    LAWFUL(EVENT_RETURNED, .c = A);
    called(B, 0); /* was under way */
    called(C, 0);
    called(A, 0); /* which callbacks come after the stop is unspecified */
    wait_for(-1);
    BREAKS(STOP_2, EVENT_SLEEP);
    woken();
    ended();
    add(A, ET_NOOP, 0);
    run(ET_RUN_ONCE);
    BREAKS(TICK_1_CALLED, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    BREAKS(TICK_1_REFUSED, EVENT_END, .result = -EINVAL);
    run(ET_RUN_ONCE);
    ended();
    settings.stays_stopped = false;
    begin_anew();
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    LAWFUL(EVENT_STOP);
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    run(ET_RUN_UNTIL_DONE);
    called(B, 0);
    ended();
}

static void test_deinit(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    add(B, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    LAWFUL(EVENT_DEINIT, .result = -EBUSY);
    BREAKS(DEINIT_1, EVENT_DEINIT);
    LAWFUL(EVENT_RETURNED, .c = A);
    called(B, 0);
    ended();
    add(A, ET_NOOP, 0);
    BREAKS(DEINIT_2, EVENT_DEINIT, .result = -EBUSY);
    LAWFUL(EVENT_INIT);
    run(ET_RUN_NO_WAIT);
    BREAKS(DEINIT_2, CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    add(A, ET_NOOP, 0);
    LAWFUL(EVENT_DEINIT);
    LAWFUL(EVENT_END, .of_deinit = true);
    add(B, ET_NOOP, 0);
    LAWFUL(EVENT_INIT); /* as a deinit that nobody told of */
    is_in_use(B, false);
}

/* ---- readiness ------------------------------------------------------------------------------- */

static void test_polls(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_POLL, 3);
    add(C, ET_POLL, 4);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    ready(A, POLL_IN | POLL_HUP);
    ready(B, POLL_IN | POLL_HUP);
    woken();
    BREAKS(EVENT_5, CALLED(B, POLL_IN | POLL_HUP));
    LAWFUL(EVENT_RETURNED, .c = B);
    ready(A, 0);
    called(A, POLL_HUP); /* it had */
    ready(C, POLL_HUP);
    BREAKS(EVENT_4_BITS, CALLED(C, POLL_IN));
    LAWFUL(EVENT_RETURNED, .c = C);
    ended();
    add(A, ET_POLL, 3);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    ready(A, POLL_IN | POLL_OUT);
    woken();
    BREAKS(EVENT_4_RESULT, CALLED(A, POLL_IN | POLL_OUT)); /* did not ask for that */
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    ready(A, 0);
    BREAKS(EVENT_6, CALLED(A, POLL_IN)); /* it is told of what was before */
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    ready(A, POLL_IN);
    called(A, POLL_IN); /* … unless it is still so */
    add(A, ET_POLL, 3);
    wait_for(-1);
    ready(A, POLL_IN);
    woken();
    BREAKS(EVENT_4_RESULT, CALLED(A, 0)); /* at least one */
    BREAKS(EVENT_4_RESULT, EVENT_UNTRUE, .c = A, .source = PROMISE_UNTRUE_ERROR);
}

/* What was told may be told again by a loop that is edge-triggered, and need not. */
static void test_edges(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_POLL, 3);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    ready(A, POLL_IN);
    BREAKS(REGISTER_1, EVENT_SLEEP);
    LAWFUL(EVENT_READY, .c = A, .events = POLL_IN, .forgiven = true);
    LAWFUL(EVENT_SLEEP);
    woken();
    ready(B, POLL_IN);
    wait_for(0);
    woken();
    called(B, POLL_IN); /* before A, which is stale */
    called(A, POLL_IN);
    ended();
    add(A, ET_POLL, 3);
    run(ET_RUN_NO_WAIT);
    LAWFUL(EVENT_READY, .c = A, .events = POLL_IN, .forgiven = true);
    polled();
    ended();
    ready(A, POLL_IN); /* an edge */
    run(ET_RUN_NO_WAIT);
    BREAKS(EVENT_4_RETURNS, EVENT_END);
}

/* ---- completion ------------------------------------------------------------------------------ */

static void test_results(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    BREAKS(SUBMIT_2_RESULT, CALLED(A, 1));
    LAWFUL(EVENT_RETURNED, .c = A);
    add(B, ET_RECV, 3);
    called(B, -ECONNRESET);
    BREAKS(OP_1_ERROR, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_ERROR);
    BREAKS(OP_1_END, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_END);
    BREAKS(OP_1_BYTES, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_BYTES);
    BREAKS(OP_1, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_LENGTH);
    BREAKS(CLOSE_2, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_CLOSES);
    BREAKS(OP_6_BYTES, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_GIVEN);
    BREAKS(OP_6_ADDRESS, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_ADDRESS);
    BREAKS(OP_6_FLAGS, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_FLAGS);
    BREAKS(OP_6_OFFSET, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_OFFSET);
    BREAKS(OP_6_MESSAGE, EVENT_UNTRUE, .c = B, .source = PROMISE_UNTRUE_MESSAGE);
    BREAKS(OP_1_BYTES, EVENT_UNTRUE, .c = EVENT_NOBODY, .source = PROMISE_UNTRUE_BYTES);
}

static void test_what_an_operation_was_ready_for_has_gone(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_PREAD, 3);
    add(C, ET_WRITE, 3);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    woken();
    ready(A, 0);
    called(C, -ECONNREFUSED); /* which has emptied the queue of a datagram socket */
    called(B, -ESPIPE);
    add(B, ET_READ, 3);
    wait_for(-1);
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    woken();
    ready(A, 0);
    BREAKS(SUBMIT_8, CALLED(B, 1)); /* it has taken it itself */
    begin_anew();
    add(A, ET_READ, 3);
    add(B, ET_READ, 3);
    add_silent(C, ET_WRITE, 4);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    ready(A, POLL_IN);
    woken();
    ready(A, 0);
    called(B, 1); /* nobody knows what C has done meanwhile */
}

static void test_order_of_operations(void **state) {
    (void)state;
    static const unsigned pairs[][2] = {{ET_RECV, ET_READ},    {ET_SEND, ET_WRITE},
                                        {ET_ACCEPT, ET_PREAD}, {ET_SENDMSG, ET_SEND},
                                        {ET_RECVMSG, ET_RECV}, {ET_PWRITE, ET_WRITE}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        begin_anew();
        add(A, pairs[i][0], 3);
        add(B, pairs[i][1], 3);
        run(ET_RUN_UNTIL_DONE);
        wait_for(-1);
        ready(B, POLL_IN);
        woken();
        called(B, 1); /* the first is not ready */
        add(B, pairs[i][1], 3);
        wait_for(-1);
        ready(A, POLL_IN);
        ready(B, POLL_IN);
        woken();
        BREAKS(SUBMIT_8, CALLED(B, 1));
        LAWFUL(EVENT_RETURNED, .c = B);
        called(A, 1);
        ended();
    }
    begin_anew();
    struct event addressed = add_event(A, ET_SENDMSG, 3);
    addressed.addressed = true; /* to a port that may have had no room */
    lawful(addressed);
    add(B, ET_SEND, 3);
    ready(A, POLL_OUT);
    ready(B, POLL_OUT);
    run(ET_RUN_UNTIL_DONE);
    called(B, 1);
    begin_anew();
    add(A, ET_RECV, 3);
    add(B, ET_SEND, 3);
    add(C, ET_RECV, 4);
    add(D, ET_RECV, 3);
    ready(A, POLL_IN);
    ready(B, POLL_OUT);
    ready(C, POLL_IN);
    cancel(D, E);
    run(ET_RUN_UNTIL_DONE);
    called(B, 1); /* another direction */
    called(C, 1); /* another descriptor */
    called(D, -ECANCELED);
}

static void test_cancel(void **state) {
    (void)state;
    LAWFUL(CANCEL(A, A, -EINVAL));
    LAWFUL(CANCEL(EVENT_NOBODY, A, -EINVAL));
    BREAKS(CANCEL_3, CANCEL(A, A, 0));
    begin_anew();
    add(A, ET_RECV, 3);
    cancel(A, B);
    LAWFUL(CANCEL(A, B, -EBUSY));
    BREAKS(CANCEL_2, CANCEL(A, B, 0));
    run(ET_RUN_UNTIL_DONE);
    BREAKS(CANCEL_4, CALLED(B, 0)); /* before its target */
    LAWFUL(EVENT_RETURNED, .c = B);
    LAWFUL(EVENT_DELETE, .c = A);
    add(A, ET_RECV, 3);
    cancel(A, B);
    called(A, -ECANCELED);
    called(B, 0);
    add(A, ET_RECV, 3);
    cancel(A, B);
    BREAKS(CANCEL_6, CALLED(B, -ENOENT)); /* it is in use */
    LAWFUL(EVENT_RETURNED, .c = B);
    cancel(A, B);
    called(A, 5);
    called(B, -ENOENT);
    add(A, ET_RECV, 3);
    cancel(A, B);
    called(A, -ECANCELED);
    BREAKS(CANCEL_4, CALLED(B, -ENOENT)); /* it was its work */
    LAWFUL(EVENT_RETURNED, .c = B);
    add(A, ET_RECV, 3);
    cancel(A, B);
    cancel(A, C);
    called(A, -ECANCELED);
    called(B, -ENOENT); /* the other one's */
    called(C, 0);
}

/* A cancel whose target has ended with -ECANCELED by another hand finds nothing to cancel. */
static void test_cancel_of_what_another_has_canceled(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    cancel(A, B);
    cancel(A, C);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, -ECANCELED));
    LAWFUL(EVENT_DELETE, .c = B); /* whose work it was */
    LAWFUL(EVENT_RETURNED, .c = A);
    called(C, -ENOENT);
    add(A, ET_RECV, 3);
    cancel(A, B);
    cancel(A, C);
    LAWFUL(CALLED(A, -ECANCELED));
    LAWFUL(EVENT_DELETE, .c = B);
    LAWFUL(EVENT_RETURNED, .c = A);
    called(C, 0); /* or this one's */
    add(A, ET_RECV, 3);
    add(B, ET_CLOSE, 3);
    cancel(A, C);
    called(A, -ECANCELED);
    called(B, 0);
    called(C, -ENOENT);
    add(A, ET_READ, 3);
    cancel(A, B);
    LAWFUL(CALLED(A, -ECANCELED), .forgiven = true); /* by its own system call */
    LAWFUL(EVENT_RETURNED, .c = A);
    called(B, -ENOENT);
    add(A, ET_RECV, 3);
    cancel(A, B);
    called(A, -ECANCELED);
    BREAKS(CANCEL_4, CALLED(B, -ENOENT)); /* whose else? */
    LAWFUL(EVENT_RETURNED, .c = B);
    add(A, ET_RECV, 3);
    cancel(A, B);
    LAWFUL(EVENT_CANCEL, .c = A, .by = C); /* which has no callback */
    called(A, -ECANCELED);
    is_in_use(C, false);
    called(B, -ENOENT);
}

static void test_a_timer_that_is_added_again_may_keep_its_deadline(void **state) {
    (void)state;
    run(ET_RUN_NO_WAIT);
    clock_ns += 20 * MS;
    LAWFUL(EVENT_TIMER, .c = A, .delay_ms = 10); /* perhaps it has fired by now */
    polled();
    is_in_use(A, true);
    ended();
    struct event again = add_event(A, ET_TIMER, -1);
    again.delay_ms = 10;
    again.has_callback = false;
    lawful(again); /* a second episode, or without effect */
    run(ET_RUN_NO_WAIT);
    polled();
    is_in_use(A, false);
    ended();
    run(ET_RUN_UNTIL_DONE);
    add_silent(A, ET_WRITE, 3);
    ready(A, POLL_OUT);
    add(B, ET_WRITE, 3);
    ready(B, POLL_OUT);
    polled();
    add_silent(A, ET_WRITE, 3); /* likewise: it may still stand before B */
    ready(A, POLL_OUT);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
}

static void test_cancel_that_loses(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    cancel(A, B);
    run(ET_RUN_UNTIL_DONE);
    ready(A, POLL_IN);
    called(B, -EALREADY);
    called(A, 5);
    add(A, ET_RECV, 3);
    cancel(A, B);
    called(A, 5);
    called(B, -EALREADY); /* it had its own result */
    cancel(A, B);
    BREAKS(CANCEL_9, CALLED(B, -EALREADY));
    LAWFUL(EVENT_RETURNED, .c = B);
    cancel(A, B);
    BREAKS(CANCEL_4, CALLED(B, 1));
    LAWFUL(EVENT_RETURNED, .c = B);
    add_silent(A, ET_RECV, 3);
    cancel(A, B);
    called(B, 0); /* its target has no callback */
    is_in_use(A, false);
    ended();
}

static void test_cancel_that_has_no_cause_to_lose(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    cancel(A, B);
    run(ET_RUN_UNTIL_DONE);
    BREAKS(CANCEL_11, CALLED(B, -EALREADY));
    LAWFUL(EVENT_RETURNED, .c = B);
    ready(A, POLL_IN);
    cancel(A, B);
    ready(A, 0);
    called(B, -EALREADY); /* it was ready */
    called(A, 5);
    timer(A, 10);
    cancel(A, B);
    clock_ns += 9 * MS;
    BREAKS(CANCEL_11, CALLED(B, -EALREADY));
    LAWFUL(EVENT_RETURNED, .c = B);
    cancel(A, B);
    clock_ns += MS;
    called(B, -EALREADY);
    called(A, 0);
    add(A, ET_RECV, 3);
    cancel(A, B);
    LAWFUL(CALLED(B, -EALREADY), .forgiven = true); /* a thread has it */
}

static void test_canceled_without_a_cause(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    add(B, ET_RECV, 4);
    run(ET_RUN_UNTIL_DONE);
    BREAKS(CANCEL_10, CALLED(A, -ECANCELED));
    LAWFUL(EVENT_RETURNED, .c = A);
    add(A, ET_READ, 3);
    LAWFUL(CALLED(A, -ECANCELED), .forgiven = true); /* its own system call has said so */
    LAWFUL(EVENT_RETURNED, .c = A);
    add(A, ET_RECV, 3);
    cancel(A, C);
    BREAKS(CANCEL_8, CALLED(B, -ECANCELED));
    LAWFUL(EVENT_RETURNED, .c = B);
    called(A, -ECANCELED);
    called(C, 0);
    add(A, ET_RECV, 3);
    add(B, ET_POLL, 3);
    add(C, ET_CLOSE, 3);
    called(A, -ECANCELED);
    BREAKS(CLOSE_1, CALLED(C, 0));
    LAWFUL(EVENT_RETURNED, .c = C);
    add(C, ET_CLOSE, 3);
    called(B, -ECANCELED);
    called(C, 0);
    add(C, ET_CLOSE, 3);
    add(A, ET_RECV, 3); /* later than the close */
    called(C, 0);
    timer(B, 5);
    add(C, ET_CLOSE, 0);
    BREAKS(CANCEL_10, CALLED(B, -ECANCELED)); /* it has no descriptor */
}

static void test_a_cancel_that_was_deleted_may_linger(void **state) {
    (void)state;
    for (unsigned lingers = 0; lingers < 2; lingers++) {
        settings.lingers = lingers;
        begin_anew();
        add(A, ET_RECV, 3);
        cancel(A, B);
        LAWFUL(EVENT_DELETE, .c = B);
        run(ET_RUN_UNTIL_DONE);
        if (lingers)
            called(A, -ECANCELED);
        else
            BREAKS(CANCEL_10, CALLED(A, -ECANCELED));
    }
}

static void test_silent(void **state) {
    (void)state;
    add_silent(A, ET_TIMER, 0);
    add_silent(B, ET_POLL, 3);
    run(ET_RUN_UNTIL_DONE);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = B, .result = 0);
    wait_for(-1);
    clock_ns += MS;
    is_in_use(A, true);
    is_in_use(A, false);
    LAWFUL(EVENT_SLEEP);
    ready(B, POLL_IN);
    woken();
    BREAKS(STATE_3, CALLED(B, POLL_IN));
    LAWFUL(EVENT_RETURNED, .c = B);
    struct event file = add_event(B, ET_POLL, 99);
    file.has_callback = false;
    file.forgiven = true; /* a file: nothing to wait for */
    lawful(file);
    is_in_use(B, false);
    ended();
    LAWFUL(EVENT_ASYNC_WAIT, .c = C, .fd = 0);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    is_in_use(C, true);
    run(ET_RUN_NO_WAIT);
    ended();
    is_in_use(C, false);
    add_silent(D, ET_POLL, 5);
    cancel(D, E);
    run(ET_RUN_UNTIL_DONE);
    called(E, 0);
    ended();
}

/* ---- threads --------------------------------------------------------------------------------- */

static void test_wakeup(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    LAWFUL(EVENT_WAKEUP);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    BREAKS(WAKE_1, EVENT_SLEEP);
    woken();
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    LAWFUL(EVENT_WAKEUP);
    BREAKS(WAKE_1, EVENT_SLEEP);
    LAWFUL(EVENT_WAKEUP);
    woken();
    wait_for(-1);
    LAWFUL(EVENT_SLEEP); /* two count as one */
}

static void woken_by(uint32_t own) {
    wait_for(-1);
    LAWFUL(EVENT_WOKEN, .events = POLL_IN, .claimed = own);
}

static void test_a_wakeup_ends_one_wait(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    LAWFUL(EVENT_WAKEUP);
    run(ET_RUN_UNTIL_DONE);
    woken_by(5);
    woken_by(5);
    wait_for(0);
    BREAKS(WAKE_2, EVENT_WOKEN);
    LAWFUL(EVENT_WAKEUP);
    woken_by(5);
    woken_by(6); /* another thing */
    LAWFUL(EVENT_WAKEUP);
    woken_by(5);
    LAWFUL(EVENT_WAKEUP);
    woken_by(5);
    add(B, ET_POLL, 4); /* the caller has asked something of it */
    woken_by(5);
    woken();
    LAWFUL(EVENT_WAKEUP);
    woken_by(5);
    woken_by(5);
    woken_by(5); /* for good: it spins */
    LAWFUL(EVENT_DELETE, .c = A);
    LAWFUL(EVENT_DELETE, .c = B);
    ended();
    add(A, ET_POLL, 3);
    LAWFUL(EVENT_WAKEUP);
    run(ET_RUN_NO_WAIT);
    woken_by(5);
    woken_by(5);
    BREAKS(WAKE_2, EVENT_END);
}

static void test_async(void **state) {
    (void)state;
    BREAKS(ASYNC_5, EVENT_ASYNC_WAIT, .c = A, .fd = -1, .result = -EBADF);
    LAWFUL(EVENT_ASYNC_WAIT, .c = A, .fd = -1, .result = -EINVAL);
    BREAKS(ASYNC_5, EVENT_NOTIFY, .fd = -1);
    LAWFUL(EVENT_NOTIFY, .fd = -1, .result = -EINVAL);
    BREAKS(ASYNC_5, EVENT_ASYNC_DEINIT, .fd = -1);
    BREAKS(ASYNC_2_REFUSED, EVENT_NOTIFY, .fd = 0, .result = -EAGAIN);
    async_wait(A);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    BREAKS(ASYNC_2, EVENT_SLEEP);
    woken();
    called(A, 8);
    async_wait(A);
    BREAKS(ASYNC_3, CALLED(A, 8));
    LAWFUL(EVENT_RETURNED, .c = A);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    async_wait(A);
    BREAKS(ASYNC_1, CALLED(A, 1));
    LAWFUL(EVENT_RETURNED, .c = A);
    async_wait(A);
    cancel(A, B);
    called(A, -ECANCELED);
    called(B, 0);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    async_wait(A);
    called(A, 0);
    async_wait(A); /* two may end one together, or one each */
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    woken();
    called(A, 8);
    async_wait(A);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    async_wait(C);
    LAWFUL(EVENT_ASYNC_DEINIT, .fd = 0);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
}

static void test_asyncs_that_are_not_kept(void **state) {
    (void)state;
    settings.keeps = false;
    begin_anew();
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    async_wait(A);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    BREAKS(ASYNC_2, EVENT_SLEEP);
    woken();
    LAWFUL(EVENT_DELETE, .c = A);
    async_wait(A);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP); /* it may have gone with the wait that was deleted */
    for (int fd = 1; fd < PROMISE_ASYNCS + 2; fd++)
        LAWFUL(EVENT_NOTIFY, .fd = fd); /* more than there is room for */
}

/* ---- the promise itself ---------------------------------------------------------------------- */

static void test_excuses(void **state) {
    (void)state;
    promise_excuse(&settings, PROMISE_EXPIRE_4);
    promise_excuse(&settings, PROMISE_STATE_3);
    begin_anew();
    timer(A, 10);
    run(ET_RUN_UNTIL_DONE);
    struct promise_answer a = TELL(CALLED(A, 0));
    assert_int_equal(a.verdict, PROMISE_EXPIRE_4);
    assert_true(a.should);
    LAWFUL(EVENT_RETURNED, .c = A);
    assert_false(TELL(CALLED(A, 0)).should); /* nobody can want that */
    LAWFUL(EVENT_RETURNED, .c = A);
    timer(A, 10);
    a = TELL(CALLED(A, 5)); /* what is not excused comes first */
    assert_int_equal(a.verdict, PROMISE_EXPIRE_1_RESULT);
    assert_false(a.should);
}

static void test_what_only_part_2_judges(void **state) {
    (void)state;
    struct promise before = p;
    LAWFUL(EVENT_REPORT, .fd = 3, .events = POLL_IN);
    before.steps++;
    assert_memory_equal(&before, &p, sizeof p);
    LAWFUL(EVENT_DELETE, .c = EVENT_NOBODY);
    LAWFUL(EVENT_READY, .c = EVENT_NOBODY);
    LAWFUL(EVENT_RETURNED, .c = EVENT_NOBODY, .rearm = true);
    LAWFUL(EVENT_END);
    LAWFUL(EVENT_SLEEP); /* outside of a run */
    wait_for(0);
    woken();
}

/* ---- an observer that knows more ------------------------------------------------------------- */

static int set_up_exact(void **state) {
    set_up(state);
    settings.exact = true;
    begin_anew();
    return 0;
}

static void test_exact_times(void **state) {
    (void)state;
    LAWFUL(EVENT_NOW, .now_ms = 1000, .rest_ns = 0);
    clock_ns += 300000;
    LAWFUL(EVENT_UPDATE_NOW);
    LAWFUL(EVENT_NOW, .now_ms = 1000, .rest_ns = 300000);
    clock_ns += 5 * MS;
    timer(A, 10); /* from the loop time on, not from the clock */
    run(ET_RUN_UNTIL_DONE);
    wait_for(8 * (int64_t)MS);
    BREAKS(WAIT_2_LATE, EVENT_SLEEP, .result = 8 * (int64_t)MS);
    clock_ns = START + 10 * MS + 299999;
    woken();
    BREAKS(EXPIRE_4, CALLED(A, 0));
}

static void test_tries(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    add(B, ET_RECV, 3);
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    run(ET_RUN_NO_WAIT);
    polled();
    LAWFUL(EVENT_TRY, .c = A, .operation = ET_RECV, .fd = 3, .result = -EAGAIN);
    called(B, 1); /* A was not ready */
    ended();
    run(ET_RUN_UNTIL_DONE);
    ready(A, POLL_IN);
    for (unsigned i = 0; i < 3 * PROMISE_WAITS_MAX; i++) { /* section 15, 7 */
        polled();
        LAWFUL(EVENT_TRY, .c = A, .fd = 3, .result = -EAGAIN, .forgiven = true);
    }
    LAWFUL(EVENT_DELETE, .c = A);
    ended();
    add(A, ET_CONNECT, 3);
    ready(A, POLL_OUT);
    LAWFUL(EVENT_TRY, .c = A, .fd = 3, .result = -EAGAIN); /* which answers a connect */
    assert_int_equal(p.completion[A].had, POLL_OUT);
    LAWFUL(EVENT_TRY, .c = A, .fd = 3, .result = -EINPROGRESS);
    assert_int_equal(p.completion[A].had, 0);
}

static void test_a_wait_that_brings_no_more(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_NOOP, 0);
    ready(A, POLL_IN);
    run(ET_RUN_NO_WAIT);
    wait_for(0);
    LAWFUL(EVENT_WOKEN, .events = 1, .forgiven = true);
    BREAKS(SUBMIT_2_RETURNS, EVENT_END); /* that rests on no report */
    run(ET_RUN_NO_WAIT);
    called(B, 0);
    wait_for(0);
    LAWFUL(EVENT_WOKEN, .events = 1, .forgiven = true);
    ended();
    run(ET_RUN_NO_WAIT);
    polled();
    BREAKS(EVENT_4_RETURNS, EVENT_END);
}

static void test_one_timer_and_reports_of_others(void **state) {
    (void)state;
    timer(A, 10);
    run(ET_RUN_UNTIL_DONE);
    for (unsigned i = 0; i < 3; i++) {
        wait_for(10 * (int64_t)MS);
        LAWFUL(EVENT_SLEEP);
        LAWFUL(EVENT_WOKEN, .events = 1, .others = true);
    }
    for (unsigned i = 0; i < 2; i++)
        slept(1);
    wait_for(8 * (int64_t)MS);
    BREAKS(WAIT_4, EVENT_SLEEP);
}

static void hosted(int64_t timeout, bool readable) {
    LAWFUL(EVENT_HOSTED, .result = timeout, .events = readable);
}

static void test_what_a_host_is_told(void **state) {
    (void)state;
    hosted(-1, false);
    BREAKS(HOST_2_VAIN, EVENT_HOSTED, .result = 0);
    BREAKS(HOST_2_VAIN, EVENT_HOSTED, .result = 100);
    add(A, ET_NOOP, 0);
    hosted(0, false);
    hosted(-1, true); /* the descriptor may tell it, too */
    BREAKS(HOST_1, EVENT_HOSTED, .result = -1);
    run(ET_RUN_NO_WAIT);
    called(A, 0);
    hosted(7, false); /* while it runs, nobody waits */
    polled();
    ended();
    hosted(-1, false);
    add(B, ET_POLL, 3);
    hosted(0, false); /* it may have to be taken up */
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    BREAKS(HOST_2_VAIN, EVENT_HOSTED, .result = 0);
    ready(B, POLL_IN);
    hosted(-1, true);
    hosted(0, false);
    BREAKS(HOST_5, EVENT_HOSTED, .result = -1);
    ready(B, 0);
    LAWFUL(EVENT_WAKEUP);
    hosted(-1, true);
    BREAKS(HOST_5, EVENT_HOSTED, .result = 5);
    LAWFUL(EVENT_STOP);
    hosted(-1, false);
    BREAKS(HOST_3, EVENT_HOSTED, .result = 0);
    BREAKS(HOST_5_STOPPED, EVENT_HOSTED, .result = -1, .events = true);
}

static void test_when_a_host_is_told_to_come(void **state) {
    (void)state;
    timer(A, 10);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    hosted(10, false);
    hosted(11, false); /* within the slack */
    BREAKS(HOST_2_EARLY, EVENT_HOSTED, .result = 9);
    BREAKS(HOST_2_EARLY, EVENT_HOSTED, .result = 0);
    clock_ns += 10 * MS + MS / 2;
    hosted(0, false);
    hosted(1, false);
    clock_ns += MS;
    hosted(0, false);
    BREAKS(HOST_2_LATE, EVENT_HOSTED, .result = 1);
    begin_anew();
    timer(A, 10);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    hosted(-1, false); /* it may be the descriptor that tells, as of a timerfd */
    clock_ns += 11 * MS;
    hosted(-1, true);
    BREAKS(HOST_2_LATE, EVENT_HOSTED, .result = 0); /* nobody asks again before */
    run(ET_RUN_NO_WAIT);
    called(A, 0);
    polled();
    ended();
}

static void test_a_counter_that_others_read(void **state) {
    (void)state;
    async_wait(A);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    LAWFUL(EVENT_TRY, .c = EVENT_NOBODY, .operation = ET_READ, .fd = 0, .result = 8);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    woken();
    BREAKS(ASYNC_3, CALLED(A, 8));
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    add(B, ET_READ, 0);
    async_wait(A);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP); /* the read was there before */
}

static void test_an_async_that_is_closed(void **state) {
    (void)state;
    async_wait(A);
    add(B, ET_CLOSE, 0);
    run(ET_RUN_UNTIL_DONE);
    called(A, -ECANCELED);
    called(B, 0);
    ended();
    async_wait(A);
    LAWFUL(EVENT_MOVED, .fd = 0);
    add(D, ET_READ, 0);
    ready(D, POLL_IN);
    run(ET_RUN_NO_WAIT);
    polled();
    called(A, 0); /* of the file that has its number now */
    ended();
    async_wait(A);
    LAWFUL(EVENT_MOVED, .fd = 0);
    run(ET_RUN_UNTIL_DONE);
    called(A, -EBADF);
}

/* ---- what Etalon's own loop was blamed for --------------------------------------------------- */

static void test_orphans_stand_before_others(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    LAWFUL(EVENT_MOVED, .fd = 3);
    add(B, ET_READ, 3);
    ready(B, POLL_IN);
    run(ET_RUN_NO_WAIT);
    polled();
    called(A, 1); /* it has taken what was there for B */
    ended();
}

static void test_a_carrier_is_cancelled(void **state) {
    (void)state;
    timer(A, 10);
    polled();
    LAWFUL(RESET(A, B, 30, 0));
    cancel(B, C);
    run(ET_RUN_NO_WAIT);
    called(C, 0); /* silently */
    ended();
    is_in_use(B, false);
}

static void test_silent_cancels(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    LAWFUL(EVENT_CANCEL, .c = A, .by = B);
    cancel(A, C);
    run(ET_RUN_UNTIL_DONE);
    called(A, -ECANCELED); /* by B, of which nobody hears */
    called(C, -ENOENT);
    is_in_use(B, false);
}

static void test_added_again_when_it_may_be_over(void **state) {
    (void)state;
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(EVENT_TIMER, .c = A, .delay_ms = 1);
    clock_ns += 5 * MS;
    LAWFUL(EVENT_UPDATE_NOW);
    LAWFUL(EVENT_ADD, .c = A, .operation = ET_TIMER, .delay_ms = 10, .target = EVENT_NOBODY);
    is_in_use(A, false); /* it had not begun, and its deadline has passed */
    add_silent(A, ET_WRITE, 3);
    add(B, ET_WRITE, 3);
    add(A, ET_WRITE, 3);
    ready(A, POLL_OUT);
    ready(B, POLL_OUT);
    polled();
    called(B, 1); /* if A had begun, and was submitted anew */
    called(A, 1);
    add_silent(A, ET_WRITE, 3);
    add(B, ET_WRITE, 3);
    add(A, ET_WRITE, 3);
    ready(A, POLL_OUT);
    ready(B, POLL_OUT);
    polled();
    called(A, 1); /* if not */
    called(B, 1);
}

static void test_a_rearm_that_is_refused(void **state) {
    (void)state;
    add(A, ET_NOOP, 0);
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(CALLED(A, 0));
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true, .has = EVENT_HAS_DESCRIPTION,
           .operation = ET_POLL, .fd = 3, .events = 0x40);
    is_in_use(A, false);
}

static void test_a_clock_that_goes_back(void **state) {
    (void)state;
    timer(A, 10);
    clock_ns += 5 * MS;
    run(ET_RUN_UNTIL_DONE);
    clock_ns -= 3 * MS;
    wait_for(8 * (int64_t)MS);
    LAWFUL(EVENT_SLEEP, .result = 8 * (int64_t)MS);
    BREAKS(WAIT_2_LATE, EVENT_SLEEP, .result = 11 * (int64_t)MS);
}

static void test_a_timer_that_is_moved_again_and_again(void **state) {
    (void)state;
    timer(B, 1);
    run(ET_RUN_UNTIL_DONE);
    clock_ns += 5 * MS;
    polled();
    for (unsigned i = 0; i < 3 * PROMISE_OVERTAKES; i++) {
        add(A, ET_NOOP, 0);
        LAWFUL(RESET(B, EVENT_NOBODY, 0, 0));
        clock_ns += 5 * MS;
        LAWFUL(CALLED(A, 0)); /* it is due, and was not when A began */
        LAWFUL(EVENT_RETURNED, .c = A);
    }
}

static void test_a_silent_wait_takes_a_notification(void **state) {
    (void)state;
    run(ET_RUN_UNTIL_DONE);
    LAWFUL(EVENT_ASYNC_WAIT, .c = A, .fd = 0, .forgiven = true);
    is_in_use(A, false); /* it was refused */
    LAWFUL(EVENT_ASYNC_WAIT, .c = A, .fd = 0);
    async_wait(B);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    polled();
    is_in_use(A, false);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    BREAKS(ASYNC_2, EVENT_SLEEP);
    woken();
    called(B, 8);
}

/* ---- calls that name nothing usable, or what is in use --------------------------------------- */

static void test_senseless_submissions_of_what_is_in_use(void **state) {
    (void)state;
    struct event senseless = add_event(A, ET_OPERATIONS, 3), async = add_event(C, ET_READ, -1);
    add(A, ET_READ, 3);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    assert_int_equal(tell(senseless).verdict, PROMISE_ADD_5); /* in use, and no operation at all */
    senseless.result = -EINVAL;
    lawful(senseless);
    senseless.result = -EBUSY;
    lawful(senseless);
    async.async = true;
    assert_int_equal(tell(async).verdict, PROMISE_ADD_5);
    add_silent(B, ET_NOOP, -1);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    senseless.c = B; /* which may be in use, and then is busy */
    lawful(senseless);
    async.c = D;
    async.result = -EINVAL;
    lawful(async);
    async.result = -EBUSY;
    assert_int_equal(tell(async).verdict, PROMISE_ADD_5);
}

static void test_set_anew_in_silence(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    LAWFUL(TIMER(A, 5, 0)); /* without effect: it has not begun, and is no timer */
    assert_int_equal(p.completion[A].operation, ET_READ);
    timer(B, 5);
    LAWFUL(EVENT_TIMER, .c = B, .delay_ms = 10);
    assert_true(p.has_nulls);
    assert_false(p.completion[B].has_callback);
    run(ET_RUN_ONCE);
    slept(12);
    ended(); /* nobody hears of it */
    is_in_use(B, false);
    is_in_use(A, true);
}

static void test_resets_that_name_nothing_usable(void **state) {
    (void)state;
    LAWFUL(RESET(EVENT_NOBODY, B, 5, -EINVAL));
    BREAKS(ADD_5, RESET(EVENT_NOBODY, B, 5, 0));
    timer(A, 5);
    LAWFUL(RESET(A, 9, 5, -EBUSY)); /* there is no such carrier: it may be said to be busy */
    LAWFUL(RESET(A, A, 5, -EINVAL));
    LAWFUL(RESET(A, A, 5, 0)); /* it is its own, and carries nothing */
    is_in_use(A, true);
    add(C, ET_READ, 3);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    LAWFUL(RESET(C, B, 5, -EINVAL));
    BREAKS(RESET_2, RESET(C, B, 5, 0));
    is_in_use(B, false);
}

static void test_a_loop_that_does_not_tell_has_no_carriers(void **state) {
    (void)state;
    settings.tells = false;
    begin_anew();
    timer(A, 5);
    LAWFUL(RESET(A, B, 5, 0));
    assert_int_equal(p.completion[B].use, PROMISE_DEAD);
}

/* Of a cancel that a loop has taken although it names nobody, nothing more can be asked. */
static void test_a_cancel_of_nobody(void **state) {
    (void)state;
    settings.lingers = true;
    begin_anew();
    BREAKS(CANCEL_3, CANCEL(EVENT_NOBODY, B, 0));
    run(ET_RUN_NO_WAIT);
    called(B, -ENOENT);
    BREAKS(CANCEL_3, CANCEL(EVENT_NOBODY, C, 0));
    LAWFUL(EVENT_DELETE, .c = C);
    polled();
    ended();
    is_in_use(B, false);
    is_in_use(C, false);
}

static void test_asyncs_beside_each_other(void **state) {
    (void)state;
    settings.keeps = false;
    begin_anew();
    LAWFUL(EVENT_ASYNC_WAIT, .c = A, .fd = 1, .has_callback = true, .userdata = 100);
    LAWFUL(EVENT_ASYNC_WAIT, .c = B, .fd = 2, .has_callback = true, .userdata = 101);
    LAWFUL(EVENT_NOTIFY, .fd = 1);
    LAWFUL(EVENT_NOTIFY, .fd = 2);
    LAWFUL(EVENT_DELETE, .c = A);
    LAWFUL(EVENT_ASYNC_DEINIT, .fd = 1);
    LAWFUL(EVENT_ASYNC_DEINIT, .fd = -1, .result = -EINVAL);
    BREAKS(ASYNC_5, EVENT_ASYNC_DEINIT, .fd = -1);
    run(ET_RUN_ONCE);
    wait_for(-1);
    BREAKS(ASYNC_2, EVENT_SLEEP, .result = -1); /* the other one is notified still */
    woken();
    called(B, 8);
    ended();
}

static void test_what_a_host_need_not_be_told(void **state) {
    (void)state;
    LAWFUL(EVENT_WAKEUP);
    LAWFUL(EVENT_HOSTED, .result = 0); /* it is told to run the loop at once */
    BREAKS(HOST_5, EVENT_HOSTED, .result = -1);
    begin_anew();
    add(A, ET_READ, 3);
    ready(A, POLL_IN);
    BREAKS(HOST_1, EVENT_HOSTED, .result = -1); /* it has not begun: no descriptor tells of it */
    run(ET_RUN_NO_WAIT);
    wait_for(0);
    ready(A, 0);
    woken();
    ended();
    ready(A, POLL_IN);
    BREAKS(HOST_5, EVENT_HOSTED, .result = -1);
    begin_anew();
    LAWFUL(EVENT_STOP);
    BREAKS(STOP_1, EVENT_SAYS_STOPPED); /* not that of a new loop */
}

/* In a callback: the run is refused, an unknown mode perhaps as such, and by a stopped loop
 * perhaps with 0. */
static void test_refused_in_a_callback_for_another_reason(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    run(ET_RUN_ONCE);
    LAWFUL(CALLED(A, 0));
    run((enum et_run_mode)77);
    LAWFUL(EVENT_END, .result = -EINVAL);
    run((enum et_run_mode)77);
    BREAKS(TICK_2, EVENT_END, .result = -EPERM);
    run(ET_RUN_ONCE);
    BREAKS(TICK_2, EVENT_END, .result = -EINVAL);
    LAWFUL(EVENT_STOP);
    run(ET_RUN_ONCE);
    LAWFUL(EVENT_END, .result = 0);
    run(ET_RUN_ONCE);
    BREAKS(TICK_2, EVENT_END, .result = -EPERM);
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    run((enum et_run_mode)77); /* and outside */
    LAWFUL(EVENT_END, .result = 0);
    run((enum et_run_mode)77);
    BREAKS(RUN_4, EVENT_END, .result = -EPERM);
}

static void test_a_wait_that_fails_after_an_interruption(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    run(ET_RUN_ONCE);
    wait_for(-1);
    LAWFUL(EVENT_WOKEN, .result = -EINTR);
    wait_for(-1);
    LAWFUL(EVENT_WOKEN, .result = -EBADF);
    LAWFUL(EVENT_END, .result = -EBADF); /* not because of the interruption */
    run(ET_RUN_ONCE);
    wait_for(-1);
    LAWFUL(EVENT_WOKEN, .result = -EINTR);
    BREAKS(WAIT_5, EVENT_END, .result = -EBADF);
    run(ET_RUN_ONCE);
    wait_for(-1);
    LAWFUL(EVENT_WOKEN, .result = -EBADF);
    LAWFUL(EVENT_WOKEN, .result = 0); /* which takes nothing back */
    LAWFUL(EVENT_END, .result = -EBADF);
}

static void test_refused_in_a_callback_of_a_stopped_run(void **state) {
    (void)state;
    settings.stays_stopped = false;
    begin_anew();
    add(A, ET_NOOP, -1);
    run(ET_RUN_ONCE);
    LAWFUL(CALLED(A, 0));
    LAWFUL(EVENT_STOP);
    run(ET_RUN_ONCE);
    LAWFUL(EVENT_END, .result = 0);
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
}

static void test_timers_nearer_to_each_other_than_the_slack(void **state) {
    (void)state;
    settings.slack_ns = 10 * MS;
    begin_anew();
    clock_ns += 20 * MS; /* which the loop may not have seen: the deadlines overlap */
    timer(A, 5);
    timer(B, 10);
    timer(C, 30);
    run(ET_RUN_ONCE);
    wait_for(35 * (int64_t)MS);
    LAWFUL(EVENT_SLEEP);
    clock_ns += 60 * MS;
    woken();
    BREAKS(EXPIRE_2, CALLED(C, 0)); /* of two, the one that was set first was set no later */
    LAWFUL(EVENT_RETURNED, .c = C);
    called(B, 0);
    called(A, 0);
    ended();
}

static void test_a_deadline_at_the_end_of_time(void **state) {
    (void)state;
    timer(A, UINT64_MAX);
    clock_ns = UINT64_MAX;
    run(ET_RUN_ONCE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP, .result = -1); /* it is never due, nor is any wait too long for it */
    woken();
    is_in_use(A, true);
}

static void test_a_cancel_of_another_is_no_rival(void **state) {
    (void)state;
    add(A, ET_READ, 3);
    add(B, ET_READ, 4);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    cancel(A, C);
    cancel(B, D);
    run(ET_RUN_NO_WAIT);
    called(A, -ECANCELED);
    BREAKS(CANCEL_4, CALLED(C, -ENOENT));
}

static void test_a_notification_that_nobody_waits_for(void **state) {
    (void)state;
    settings.keeps = false;
    begin_anew();
    LAWFUL(EVENT_ASYNC_WAIT, .c = A, .fd = 1, .has_callback = true, .userdata = 100);
    LAWFUL(EVENT_NOTIFY, .fd = 2);
    run(ET_RUN_ONCE);
    LAWFUL(EVENT_HOSTED, .result = 0); /* it is at work, whatever a host would be told */
    wait_for(-1);
    LAWFUL(EVENT_SLEEP, .result = -1);
    LAWFUL(EVENT_NOTIFY, .fd = 1);
    woken();
    called(A, 8);
    ended();
}

static void test_a_try_of_what_there_is_not(void **state) {
    (void)state;
    LAWFUL(EVENT_ASYNC_WAIT, .c = A, .fd = 1, .has_callback = true, .userdata = 100);
    LAWFUL(EVENT_NOTIFY, .fd = 1);
    LAWFUL(EVENT_TRY, .c = 99, .fd = 1); /* of no completion that is known: nobody has read it */
    run(ET_RUN_NO_WAIT);
    wait_for(0);
    woken();
    BREAKS(ASYNC_2_RETURNS, EVENT_END);
}

static void test_a_timer_in_the_place_of_what_may_be_over(void **state) {
    (void)state;
    add_silent(A, ET_NOOP, -1);
    add(B, ET_NOOP, -1);
    run(ET_RUN_ONCE);
    LAWFUL(CALLED(B, 0));
    LAWFUL(TIMER(A, 5, 0)); /* of the noop nothing is left */
    LAWFUL(EVENT_RETURNED, .c = B);
    polled();
    ended();
    is_in_use(A, true);
    run(ET_RUN_ONCE);
    BREAKS(EXPIRE_4, CALLED(A, 0));
}

/* A recording need not say what time it is. */
static void test_without_a_clock(void **state) {
    (void)state;
    struct event e = {.kind = EVENT_RUN, .mode = ET_RUN_ONCE};
    timer(A, 5);
    assert_null(promise_step(&p, &e).broken);
    e = (struct event){.kind = EVENT_WAIT, .result = HOUR_NS};
    assert_null(promise_step(&p, &e).broken);
    e = (struct event){.kind = EVENT_SLEEP, .result = HOUR_NS};
    assert_int_equal(promise_step(&p, &e).verdict, PROMISE_WAIT_2_LATE);
    assert_int_equal(p.clock_ns, START);
}

static void test_stopped_as_the_loop_says(void **state) {
    (void)state;
    BREAKS(INIT_2, EVENT_SAYS_STOPPED, .result = 1);
    add(A, ET_NOOP, -1);
    BREAKS(STOP_1, EVENT_SAYS_STOPPED, .result = 1);
    settings.stays_stopped = false;
    begin_anew();
    add(A, ET_NOOP, -1);
    run(ET_RUN_NO_WAIT);
    LAWFUL(EVENT_SAYS_STOPPED);
    LAWFUL(CALLED(A, 0));
    LAWFUL(EVENT_STOP);
    LAWFUL(EVENT_SAYS_STOPPED, .result = 1); /* for as long as the run lasts */
    BREAKS(STOP_1, EVENT_SAYS_STOPPED, .result = 0);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = B, .result = 1); /* not the one that was called */
    BREAKS(CALL_1, EVENT_SAYS_IN_USE, .c = A, .result = 1);
    LAWFUL(EVENT_RETURNED, .c = A);
    ended();
    LAWFUL(EVENT_SAYS_STOPPED);
}

/* ---- conditions that decide alone ------------------------------------------------------------ */

/* ET-SUBMIT-8: what was deleted and is submitted again has a new place, whether or not it lingers
 * and whether or not it had begun. */
static void test_added_again_after_a_deletion(void **state) {
    (void)state;
    settings.lingers = true;
    begin_anew();
    add(A, ET_RECV, 3);
    LAWFUL(EVENT_DELETE, .c = A);
    add(B, ET_RECV, 3);
    add(A, ET_RECV, 3);
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    run(ET_RUN_NO_WAIT);
    polled();
    BREAKS(SUBMIT_8, CALLED(A, 1));
}

/* ET-STATE-4: a wait on an async that has no callback may have ended once its number names another
 * file (section 15, 9), and not because others were notified before it was there. */
static void test_when_a_silent_wait_may_have_ended(void **state) {
    (void)state;
    async_wait(A);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    run(ET_RUN_ONCE);
    called(A, 8);
    LAWFUL(EVENT_ASYNC_WAIT, .c = B, .fd = 0);
    BREAKS(STATE_2, EVENT_SAYS_IN_USE, .c = B, .result = 0);
    LAWFUL(EVENT_MOVED, .fd = 0);
    is_in_use(B, false);
}

/* ET-CALL-5: outside of a run nothing ends. A loop whose manual announces callbacks there is not
 * excused for a cancel that says what is not so (ET-CANCEL-4). */
static void test_a_cancel_that_ends_outside_of_a_run(void **state) {
    (void)state;
    promise_excuse(&settings, PROMISE_CALL_5);
    begin_anew();
    add_silent(A, ET_RECV, 3);
    cancel(A, B);
    BREAKS(CANCEL_4, CALLED(B, 0)); /* its target is in use */
    LAWFUL(EVENT_RETURNED, .c = B);
    LAWFUL(EVENT_DELETE, .c = A);
    cancel(A, B);
    struct promise_answer a = TELL(CALLED(B, -ENOENT));
    assert_int_equal(a.verdict, PROMISE_CALL_5); /* and no more than that */
    assert_true(a.should);
}

/* ET-EXPIRE-2: delays that differ by more than can be told apart in nanoseconds, of which no
 * multiple is any. */
static void test_order_of_the_farthest_timers(void **state) {
    (void)state;
    const uint64_t far_ms = UINT64_C(10000000000000), farther_ms = far_ms + (UINT64_C(1) << 58);
    timer(A, far_ms);
    timer(B, farther_ms);
    clock_ns = UINT64_MAX;
    run(ET_RUN_ONCE);
    polled();
    BREAKS(EXPIRE_2, CALLED(B, 0));
    LAWFUL(EVENT_RETURNED, .c = B);
    called(A, 0);
}

/* ET-EVENT-5: what a wait has found ends in the order of submission; a poll that was submitted
 * since was not found by it. */
static void test_polls_that_no_wait_has_found(void **state) {
    (void)state;
    run(ET_RUN_UNTIL_DONE);
    polled();
    add(A, ET_POLL, 3);
    add(B, ET_POLL, 3);
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    called(B, POLL_IN); /* neither was */
    polled();
    add(B, ET_POLL, 3);
    ready(B, POLL_IN);
    called(B, POLL_IN); /* the other one was */
    add(B, ET_POLL, 3);
    ready(B, POLL_IN);
    polled();
    BREAKS(EVENT_5, CALLED(B, POLL_IN)); /* both were */
}

/* ET-EVENT-5, ET-ADD-2: a poll without a callback that may be over is submitted again, and may have
 * kept its place or not. */
static void test_a_poll_in_either_place(void **state) {
    (void)state;
    run(ET_RUN_UNTIL_DONE);
    add_silent(A, ET_POLL, 3);
    ready(A, POLL_IN);
    add(B, ET_POLL, 3);
    add(A, ET_POLL, 3);
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    polled();
    called(B, POLL_IN);
    called(A, POLL_IN);
    add(A, ET_POLL, 3); /* and now the first without any doubt */
    add(B, ET_POLL, 3);
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    polled();
    BREAKS(EVENT_5, CALLED(B, POLL_IN));
}

/* ET-PROGRESS-2: of what has no callback nobody can say that it has not had its turn. */
static void test_what_is_silent_is_not_overtaken(void **state) {
    (void)state;
    promise_excuse(&settings, PROMISE_CALL_5);
    for (unsigned silent = 0; silent < 2; silent++) {
        begin_anew();
        struct event due = add_event(B, ET_NOOP, -1);
        due.has_callback = silent == 0;
        lawful(due);
        for (unsigned i = 0; i < 2 * PROMISE_OVERTAKES; i++) {
            add(A, ET_NOOP, -1);
            enum promise_verdict found = TELL(CALLED(A, 0)).verdict;
            if (i == PROMISE_OVERTAKES && !silent)
                assert_int_equal(found, PROMISE_PROGRESS);
            else if (i <= PROMISE_OVERTAKES || silent)
                assert_int_equal(found, PROMISE_CALL_5); /* outside of a run, which is announced */
            LAWFUL(EVENT_RETURNED, .c = A);
        }
    }
}

/* ET-CALL-4: what a callback submits comes in the next run; of what another hand submits while the
 * loop waits nothing is said. */
static void test_called_twice_in_a_run(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    run(ET_RUN_NO_WAIT);
    called(A, 0);
    wait_for(0);
    add(A, ET_NOOP, -1);
    woken();
    LAWFUL(CALLED(A, 0));
    add(A, ET_NOOP, -1);
    LAWFUL(EVENT_RETURNED, .c = A);
    BREAKS(CALL_4_ROUND, CALLED(A, 0));
}

/* ET-CALL-3: a rearm is an add. Of what is no operation, that a loop has taken all the same, it is
 * refused. */
static void test_a_rearm_of_no_operation(void **state) {
    (void)state;
    struct event senseless = add_event(A, ET_OPERATIONS, 3);
    assert_int_equal(tell(senseless).verdict, PROMISE_ADD_5);
    run(ET_RUN_ONCE);
    LAWFUL(CALLED(A, -EINVAL));
    LAWFUL(EVENT_RETURNED, .c = A, .rearm = true);
    is_in_use(A, false);
    ended();
}

/* ET-WAIT-2 asks nothing of a loop that is stopped: its timers end by a deletion only (ET-STOP-4).
 */
static void test_a_sleep_of_a_stopped_loop(void **state) {
    (void)state;
    promise_excuse(&settings, PROMISE_STOP_2);
    begin_anew();
    timer(A, 10);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    BREAKS(WAIT_2_FOREVER, EVENT_SLEEP, .result = -1);
    LAWFUL(EVENT_STOP);
    struct promise_answer a = TELL(EVENT_SLEEP, .result = -1);
    assert_int_equal(a.verdict, PROMISE_STOP_2);
    assert_true(a.should);
}

/* ET-SUBMIT-8 puts only what is of one class in an order. */
static void test_spinning_beside_another_class(void **state) {
    (void)state;
    add(A, ET_RECV, 3);
    add(B, ET_SEND, 3);
    run(ET_RUN_UNTIL_DONE);
    ready(A, POLL_IN);
    spin(64, POLL_IN);
    BREAKS(EVENT_1_WAITS, EVENT_WOKEN, .events = POLL_IN); /* none stands before it */
}

/* ET-TICK-4: a run that is stopped, or has called what was asked for, has to return; before that it
 * has to sleep (ET-WAIT-2). */
static void test_spinning_at_the_end(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_NOOP, -1);
    run(ET_RUN_ONCE);
    called(B, 0);
    spin(64, 0);
    BREAKS(TICK_4_SPINS, EVENT_WOKEN);
    ended();
    run(ET_RUN_ONCE);
    spin(64, 0);
    BREAKS(WAIT_2_SPINS, EVENT_WOKEN);
    LAWFUL(EVENT_STOP);
    spin(64, 0);
    BREAKS(TICK_4_SPINS, EVENT_WOKEN);
    ended();
}

/* ET-RUN-5: a turn has slept, however its wait was asked for. */
static void test_turns_that_sleep_unasked(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    run(ET_RUN_TURN);
    wait_for(0);
    LAWFUL(EVENT_SLEEP);
    woken();
    wait_for(0);
    BREAKS(RUN_5, EVENT_SLEEP);
    woken();
    ended();
}

/* ET-RUN-5: a turn that waits for nothing may return for a deletion in the run before, and for a
 * wake-up from before it. */
static void test_turns_that_need_no_wait(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    add(B, ET_POLL, 4);
    run(ET_RUN_NO_WAIT);
    LAWFUL(EVENT_DELETE, .c = B);
    polled();
    ended();
    run(ET_RUN_TURN);
    ended();
    run(ET_RUN_TURN);
    BREAKS(RUN_5_EARLY, EVENT_END);
    LAWFUL(EVENT_WAKEUP);
    run(ET_RUN_TURN);
    ended();
}

/* ET-ASYNC-2: a notification is for who waits on that async. Where it is named by any number, that
 * of a descriptor is another thing; and so is the file that the number of a descriptor names. */
static void test_an_async_is_no_descriptor(void **state) {
    (void)state;
    settings.keeps = false;
    begin_anew();
    add(A, ET_READ, 0);
    LAWFUL(EVENT_NOTIFY, .fd = 0); /* nobody waits for it */
    async_wait(B);
    run(ET_RUN_UNTIL_DONE);
    wait_for(-1);
    LAWFUL(EVENT_SLEEP);
    LAWFUL(EVENT_MOVED, .fd = 0);
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    BREAKS(ASYNC_2, EVENT_SLEEP);
    woken();
    called(B, 8);
}

/* ET-HOST-5: of a notification the descriptor tells, or the timeout. */
static void test_a_host_and_a_notification(void **state) {
    (void)state;
    async_wait(A);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    LAWFUL(EVENT_NOTIFY, .fd = 0);
    hosted(-1, true);
    hosted(0, false);
    BREAKS(HOST_5, EVENT_HOSTED, .result = -1);
}

/* ET-HOST-1: what a loop says in a callback stands for nothing, be it outside of a run. */
static void test_a_host_that_asks_in_a_callback(void **state) {
    (void)state;
    add(A, ET_NOOP, -1);
    BREAKS(CALL_5, CALLED(A, 0));
    add(B, ET_NOOP, -1);
    hosted(-1, false);
    LAWFUL(EVENT_RETURNED, .c = A);
    BREAKS(HOST_1, EVENT_HOSTED, .result = -1);
}

/* ET-HOST-2: a timeout beyond what can be told apart comes too early for no deadline, not even for
 * one of a clock that is beyond it, too. */
static void test_a_host_at_the_end_of_time(void **state) {
    (void)state;
    clock_ns = UINT64_C(1) << 63;
    LAWFUL(EVENT_UPDATE_NOW);
    timer(A, 10);
    run(ET_RUN_NO_WAIT);
    polled();
    ended();
    hosted(10, false);
    BREAKS(HOST_2_EARLY, EVENT_HOSTED, .result = 9);
    hosted(INT64_MAX, false);
}

/* ET-SUBMIT-8: of one descriptor, and of one class; flags make a class of their own only where a
 * description has them. */
static void test_what_has_an_order(void **state) {
    (void)state;
    struct event flagged = add_event(A, ET_READ, 3);
    flagged.flags = MSG_OOB;
    lawful(flagged);
    add(B, ET_RECV, 3);
    add(C, ET_RECV, 3 + PROMISE_CHAINS); /* in the same chain */
    ready(A, POLL_IN);
    ready(B, POLL_IN);
    ready(C, POLL_IN);
    run(ET_RUN_ONCE);
    polled();
    called(C, 1);
    BREAKS(SUBMIT_8, CALLED(B, 1));
}

/* ET-REGISTER-5, and no operation is blamed for it: a poll has no try that could be answered. */
static void test_spinning_with_a_poll_that_is_ready(void **state) {
    (void)state;
    add(A, ET_POLL, 3);
    run(ET_RUN_UNTIL_DONE);
    ready(A, POLL_IN);
    spin(64, POLL_IN);
    BREAKS(REGISTER_5, EVENT_WOKEN, .events = POLL_IN);
}

/* Runs last: every way to break the law has been shown. */
static void test_every_verdict_was_given(void **state) {
    (void)state;
    if (getenv("TEST") != NULL)
        return;
    for (unsigned v = 0; v < PROMISE_VERDICTS; v++)
        if (!given[v])
            fail_msg("no test breaks %s/%s", promise_laws[v].clause, promise_laws[v].kind);
}

#define TEST(name)  cmocka_unit_test_setup(name, set_up)
#define EXACT(name) cmocka_unit_test_setup(name, set_up_exact)
static const struct CMUnitTest tests[] = {
    TEST(test_one_callback),
    TEST(test_deleted),
    TEST(test_in_use),
    TEST(test_lingering),
    TEST(test_submission),
    TEST(test_without_a_pool),
    TEST(test_senseless),
    TEST(test_refused_with_kinds),
    TEST(test_refused_in_a_stopped_loop),
    TEST(test_call),
    TEST(test_rearm_of_unknown),
    TEST(test_now),
    TEST(test_now_of_a_wait_without_sleep),
    TEST(test_not_early),
    TEST(test_deadline_lies_between),
    TEST(test_order_of_timers),
    TEST(test_order_of_equal_timers),
    TEST(test_reset),
    TEST(test_set_anew_before_it_has_begun),
    TEST(test_when_an_episode_has_begun),
    TEST(test_no_sleep_while_something_is_due),
    TEST(test_what_may_stand_before_it),
    TEST(test_orphans),
    TEST(test_length_of_a_wait),
    TEST(test_sleeps_that_make_no_sense),
    TEST(test_spinning),
    TEST(test_one_timer_alone),
    TEST(test_bounded_overtaking),
    TEST(test_what_is_due_comes_in_a_run_without_waiting),
    TEST(test_runs_that_return_too_early),
    TEST(test_runs_that_go_on_long_enough),
    TEST(test_turns),
    TEST(test_turns_that_bring_nothing),
    TEST(test_timers_that_repeat),
    TEST(test_deleted_for_the_next_turn),
    TEST(test_deleted_and_stopped_in_one_turn),
    TEST(test_deleted_in_a_loop_that_is_stopped),
    TEST(test_runs_until_stopped),
    TEST(test_modes),
    TEST(test_a_run_in_a_callback),
    TEST(test_runs_within_runs),
    TEST(test_callbacks_and_stops_of_inner_runs),
    TEST(test_polls_of_runs_within_runs),
    TEST(test_result_of_a_run),
    TEST(test_stop),
    TEST(test_deinit),
    TEST(test_polls),
    TEST(test_edges),
    TEST(test_results),
    TEST(test_order_of_operations),
    TEST(test_what_an_operation_was_ready_for_has_gone),
    TEST(test_cancel),
    TEST(test_cancel_of_what_another_has_canceled),
    TEST(test_a_timer_that_is_added_again_may_keep_its_deadline),
    TEST(test_cancel_that_loses),
    TEST(test_cancel_that_has_no_cause_to_lose),
    TEST(test_canceled_without_a_cause),
    TEST(test_a_cancel_that_was_deleted_may_linger),
    TEST(test_silent),
    TEST(test_wakeup),
    TEST(test_a_wakeup_ends_one_wait),
    TEST(test_async),
    TEST(test_asyncs_that_are_not_kept),
    TEST(test_excuses),
    TEST(test_what_only_part_2_judges),
    EXACT(test_exact_times),
    EXACT(test_tries),
    EXACT(test_a_wait_that_brings_no_more),
    TEST(test_what_a_host_is_told),
    TEST(test_when_a_host_is_told_to_come),
    EXACT(test_one_timer_and_reports_of_others),
    EXACT(test_a_counter_that_others_read),
    EXACT(test_an_async_that_is_closed),
    TEST(test_orphans_stand_before_others),
    TEST(test_a_carrier_is_cancelled),
    TEST(test_silent_cancels),
    TEST(test_added_again_when_it_may_be_over),
    TEST(test_a_rearm_that_is_refused),
    TEST(test_a_clock_that_goes_back),
    EXACT(test_a_timer_that_is_moved_again_and_again),
    TEST(test_a_silent_wait_takes_a_notification),
    TEST(test_senseless_submissions_of_what_is_in_use),
    TEST(test_set_anew_in_silence),
    TEST(test_resets_that_name_nothing_usable),
    TEST(test_a_loop_that_does_not_tell_has_no_carriers),
    TEST(test_a_cancel_of_nobody),
    TEST(test_asyncs_beside_each_other),
    TEST(test_what_a_host_need_not_be_told),
    TEST(test_refused_in_a_callback_for_another_reason),
    TEST(test_a_wait_that_fails_after_an_interruption),
    TEST(test_refused_in_a_callback_of_a_stopped_run),
    TEST(test_timers_nearer_to_each_other_than_the_slack),
    TEST(test_a_deadline_at_the_end_of_time),
    TEST(test_a_cancel_of_another_is_no_rival),
    TEST(test_a_notification_that_nobody_waits_for),
    TEST(test_a_try_of_what_there_is_not),
    TEST(test_a_timer_in_the_place_of_what_may_be_over),
    TEST(test_without_a_clock),
    TEST(test_stopped_as_the_loop_says),
    TEST(test_added_again_after_a_deletion),
    EXACT(test_when_a_silent_wait_may_have_ended),
    TEST(test_a_cancel_that_ends_outside_of_a_run),
    TEST(test_order_of_the_farthest_timers),
    TEST(test_polls_that_no_wait_has_found),
    TEST(test_a_poll_in_either_place),
    TEST(test_what_is_silent_is_not_overtaken),
    TEST(test_called_twice_in_a_run),
    TEST(test_a_rearm_of_no_operation),
    TEST(test_a_sleep_of_a_stopped_loop),
    TEST(test_spinning_beside_another_class),
    TEST(test_spinning_at_the_end),
    TEST(test_turns_that_sleep_unasked),
    TEST(test_turns_that_need_no_wait),
    TEST(test_an_async_is_no_descriptor),
    TEST(test_a_host_and_a_notification),
    TEST(test_a_host_that_asks_in_a_callback),
    TEST(test_a_host_at_the_end_of_time),
    TEST(test_what_has_an_order),
    TEST(test_spinning_with_a_poll_that_is_ready),
    TEST(test_every_verdict_was_given),
};

int main(void) {
    return cmocka_run_group_tests(tests, NULL, NULL);
}
