/* SPDX-License-Identifier: MIT */
/* The loop on this kernel in real time: calls and their refusals, callbacks, timers, stopping,
 * wake-ups, and what happens behind its back. Nothing here demands that a timer is punctual, only
 * that it is never early. */
#include "fixture.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/timerfd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#elif __has_feature(memory_sanitizer)
#define WITH_MSAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/allocator_interface.h>
#else
#include <malloc.h>
#endif

static char in[4][64];
static struct et_loop other;

/* ---- arguments ------------------------------------------------------------------------------- */

static void expect_unusable(struct et_loop *l) {
    for (int i = 0; i < 2; i++) {
        assert_int_equal(et_loop_deinit(l), -EINVAL);
        assert_int_equal(et_loop_run(l, ET_RUN_NO_WAIT), -EINVAL);
        assert_int_equal(et_loop_run(l, ET_RUN_ONCE), -EINVAL);
        assert_int_equal(et_loop_run(l, ET_RUN_UNTIL_DONE), -EINVAL);
        assert_int_equal(et_loop_run(l, (enum et_run_mode)99), -EINVAL);
        assert_int_equal(et_loop_tick(l, 0), -EINVAL);
        assert_int_equal(et_loop_tick(l, 1), -EINVAL);
        assert_int_equal(et_loop_add(l, &c[0]), -EINVAL);
        assert_int_equal(et_loop_delete(l, &c[0]), -EINVAL);
        assert_int_equal(et_loop_timer(l, &c[0], 1, note, NULL), -EINVAL);
        assert_int_equal(et_loop_timer_reset(l, &c[0], &c[1], 1, note, NULL), -EINVAL);
        assert_int_equal(et_loop_cancel(l, &c[0], &c[1], note, NULL), -EINVAL);
        assert_int_equal(et_loop_now(l), 0);
        et_loop_update_now(l);
        et_loop_wakeup(l);
        et_loop_stop(l); /* and all of it once more */
        et_loop_stopped(l);
        EXPECT_STATE(&c[0], ET_DEAD);
        EXPECT_STATE(&c[1], ET_DEAD);
        assert_int_equal(c[0].operation, ET_NOOP);
    }
}

static void ET_DEINIT_4_null_loop(void **state) {
    (void)state;
    assert_int_equal(et_loop_init(NULL, NULL), -EINVAL);
    expect_unusable(NULL);
}

static void ET_DEINIT_4_zeroed_loop(void **state) {
    (void)state;
    expect_unusable(memset(&other, 0, sizeof other));
}

static void ET_DEINIT_4_deinitialised_loop(void **state) {
    (void)state;
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(et_loop_deinit(&other), 0);
    expect_unusable(&other);
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_false(et_loop_stopped(&other));
    et_loop_stop(&other);
    assert_int_equal(et_loop_deinit(&other), 0);
    expect_unusable(&other);
}

static void ET_CALLER_1_null_completion(void **state) {
    (void)state;
    uint64_t before_ms = et_loop_now(&loop);
    assert_int_equal(et_loop_add(&loop, NULL), -EINVAL);
    assert_int_equal(et_loop_delete(&loop, NULL), -EINVAL);
    assert_int_equal(et_loop_timer(&loop, NULL, 1, note, NULL), -EINVAL);
    assert_int_equal(et_loop_timer_reset(&loop, NULL, &c[0], 1, note, NULL), -EINVAL);
    assert_int_equal(et_loop_timer_reset(&loop, NULL, NULL, 1, note, NULL), -EINVAL);
    assert_int_equal(et_loop_cancel(&loop, NULL, &c[0], note, NULL), -EINVAL);
    assert_int_equal(et_loop_cancel(&loop, NULL, NULL, note, NULL), -EINVAL);
    EXPECT_STATE(NULL, ET_DEAD);
    EXPECT_STATE(&c[0], ET_DEAD);
    assert_int_equal(et_loop_now(&loop), before_ms);
    run(ET_RUN_UNTIL_DONE);
    EXPECT_NOTHING();
}

static void ET_STATE_1_zeroed_completion(void **state) {
    (void)state;
    EXPECT_STATE(&c[0], ET_DEAD);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    assert_int_equal(et_loop_add(&loop, &c[0]), 0);
    assert_int_equal(et_loop_timer(&loop, &c[1], 0, NULL, NULL), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &c[2], &c[3], 0, NULL, NULL), 0);
    assert_int_equal(et_loop_cancel(&loop, &c[4], &c[5], NULL, NULL), 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT_NOTHING();
}

static void ET_STATE_1_loop_in_memory_that_was_used(void **state) {
    (void)state;
    memset(&other, 0xa5, sizeof other);
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_false(et_loop_stopped(&other));
    assert_int_equal(et_loop_add(&other, &c[0]), 0);
    assert_int_equal(et_loop_run(&other, ET_RUN_UNTIL_DONE), 0);
    EXPECT_STATE(&c[0], ET_DEAD);
    assert_int_equal(et_loop_deinit(&other), 0);
}

/* x is in use by another loop: every call with it is refused and leaves it as it is. */
static void expect_foreign(struct et_completion *x) {
    struct et_completion before = *x;
    assert_int_not_equal(et_completion_state(x), ET_DEAD);
    assert_int_equal(et_loop_add(&loop, x), -EINVAL);
    assert_int_equal(et_loop_delete(&loop, x), -EINVAL);
    assert_int_equal(et_loop_timer(&loop, x, 1, note, NULL), -EINVAL);
    assert_int_equal(et_loop_timer_reset(&loop, x, &c[8], 1, note, NULL), -EINVAL);
    assert_int_equal(et_loop_cancel(&loop, x, &c[8], note, NULL), -EINVAL);
    assert_memory_equal(x, &before, sizeof before);
    EXPECT_STATE(&c[8], ET_DEAD);
}

static void ET_CALLER_2_completion_of_another_loop(void **state) {
    (void)state;
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(et_loop_timer(&other, &c[0], HOUR_MS, note, NULL), 0);
    assert_int_equal(et_loop_timer(&other, &c[1], HOUR_MS, note, NULL), 0);
    assert_int_equal(et_loop_run(&other, ET_RUN_NO_WAIT), 0);
    assert_int_equal(et_loop_delete(&other, &c[1]), 0);
    assert_int_equal(et_loop_timer(&other, &c[2], 0, note, NULL), 0);
    for (int i = 0; i < 3; i++)
        expect_foreign(&c[i]);
    run(ET_RUN_UNTIL_DONE);
    EXPECT_NOTHING();
    EXPECT_STATE(&c[0], ET_ACTIVE);
    EXPECT_STATE(&c[1], ET_DELETING);
    EXPECT_STATE(&c[2], ET_ADDING);
    assert_int_equal(et_loop_run(&other, ET_RUN_NO_WAIT), 0);
    EXPECT_STATE(&c[1], ET_DEAD);
    assert_int_equal(events_count, 1);
    submit_noop(&c[1]); /* dead, it may change over */
    assert_int_equal(et_loop_deinit(&other), 0);
}

/* Its target or carrier belongs to another loop: whatever this one says, that one must not notice.
 */
static void ET_CANCEL_8_target_and_carrier_of_another_loop(void **state) {
    (void)state;
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(et_loop_timer(&other, &c[0], HOUR_MS, note, NULL), 0);
    assert_int_equal(et_loop_run(&other, ET_RUN_NO_WAIT), 0);
    assert_int_equal(et_loop_add(&other, &c[1]), 0);
    submit_timer(&c[2], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    for (int i = 0; i < 2; i++) {
        struct et_completion before = c[i];
        et_loop_cancel(&loop, &c[3], &c[i], NULL, NULL);
        assert_true(et_loop_timer_reset(&loop, &c[2], &c[i], 0, note, NULL) < 0);
        run(ET_RUN_NO_WAIT);
        EXPECT_NOTHING();
        assert_memory_equal(&c[i], &before, sizeof before);
    }
    assert_int_equal(et_loop_run(&other, ET_RUN_NO_WAIT), 0);
    EXPECT_STATE(&c[1], ET_DEAD);
    assert_int_equal(et_loop_deinit(&other), 0);
}

static void refuse(int result, struct et_completion description) {
    c[0] = description;
    assert_int_equal(et_loop_add(&loop, &c[0]), result);
    EXPECT_STATE(&c[0], ET_DEAD);
}

static void ET_ADD_5_invalid_descriptions(void **state) {
    (void)state;
    const uint32_t events_unknown[] = {POLLNVAL, POLLRDNORM, 1u << 28,  1u << 29,
                                       1u << 30, 1u << 31,   UINT32_MAX};
    refuse(-EINVAL, (struct et_completion){.operation = ET_OPERATIONS});
    refuse(-EINVAL, (struct et_completion){.operation = 255});
    refuse(-EINVAL, (struct et_completion){.operation = ET_CANCEL});
    refuse(-EINVAL, (struct et_completion){.operation = ET_CANCEL, .cancel = {&c[0]}});
    for (size_t i = 0; i < sizeof events_unknown / sizeof *events_unknown; i++)
        refuse(-EINVAL,
               (struct et_completion){.operation = ET_POLL, .poll = {POLLIN | events_unknown[i]}});
    for (uint8_t i = 0; i < ET_OPERATIONS; i++) {
        bool allowed =
            i == ET_READ || i == ET_PREAD || i == ET_WRITE || i == ET_PWRITE || i == ET_CLOSE;
        refuse(allowed ? -EOPNOTSUPP : -EINVAL,
               (struct et_completion){.operation = i, .on_pool = true, .fd = -1});
    }
    run(ET_RUN_UNTIL_DONE);
    EXPECT_NOTHING();
    submit_poll(&c[0], -1, POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -EBADF});
}

static void ET_ADD_5_refused_while_deleting_stays_deleting(void **state) {
    (void)state;
    submit_timer(&c[0], 0);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    c[0].on_pool = true;
    struct et_completion before = c[0];
    assert_int_equal(et_loop_add(&loop, &c[0]), -EINVAL);
    assert_memory_equal(&c[0], &before, sizeof before);
    EXPECT_STATE(&c[0], ET_DELETING);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
}

static void ET_ADD_3_calls_on_an_active_completion(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 1);
    submit_timer(&c[1], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    for (int i = 0; i < 2; i++) {
        struct et_completion before = c[i];
        assert_int_equal(et_loop_add(&loop, &c[i]), -EBUSY);
        assert_int_equal(et_loop_timer(&loop, &c[i], 0, note, NULL), -EBUSY);
        assert_int_equal(et_loop_cancel(&loop, &c[i], &c[2], note, NULL), -EBUSY);
        assert_int_equal(et_loop_cancel(&loop, &c[i], NULL, note, NULL), -EINVAL);
        assert_int_equal(et_loop_cancel(&loop, &c[i], &c[i], note, NULL), -EINVAL);
        assert_memory_equal(&c[i], &before, sizeof before);
    }
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[2], 0, note, NULL), -EINVAL);
    EXPECT_STATE(&c[2], ET_DEAD);
    put(p[1], "x");
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 1});
}

/* ---- init and deinit ------------------------------------------------------------------------- */

static void ET_DEINIT_3_init_without_descriptors_leaves_nothing(void **state) {
    (void)state;
    struct rlimit before, low;
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int room = 0; room < 2; room++) {
        memset(&other, 0, sizeof other);
        low = before;
        low.rlim_cur = (rlim_t)(next + room);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        int error = et_loop_init(&other, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(error, -EMFILE);
        expect_unusable(&other);
    }
}

static void ET_DEINIT_3_init_without_memory_leaves_nothing(void **state) {
    (void)state;
#if defined(WITH_ASAN) || defined(WITH_MSAN)
    skip(); /* its shadow needs more address space than any limit leaves */
#else
    struct rlimit before, low;
    unsigned long pages;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (1 << 20);
    memset(&other, 0, sizeof other);
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    int error = et_loop_init(&other, &(struct et_options){.descriptors_max = 1 << 20});
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(error, -ENOMEM);
    expect_unusable(&other);
#endif
}

static void ET_SUBMIT_5_extreme_limits(void **state) {
    (void)state;
    const unsigned limits[] = {1, INT32_MAX, (unsigned)INT32_MAX + 1, UINT32_MAX};
    int p[2];
    open_pipe(p);
    put(p[1], "xyz");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(et_loop_deinit(&loop), 0);
        int error = et_loop_init(&loop, &(struct et_options){.descriptors_max = limits[i]});
        if (error == -ENOMEM || error == -EINVAL) { /* the first may not be too much */
            assert_int_not_equal(i, 0);
            assert_int_equal(et_loop_init(&loop, NULL), 0);
        }
        submit_read(&c[0], p[0], in[0], 1);
        submit_timer(&c[1], 0);
        run(ET_RUN_UNTIL_DONE);
        if (i == 0)
            EXPECT({&c[0], -EMFILE}, {&c[1], 0});
        else
            EXPECT({&c[1], 0}, {&c[0], 1});
    }
}

static void ET_DEINIT_2_everything_is_dead(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    struct et_completion *x = calloc(10, sizeof *x);
    assert_non_null(x);
    submit_timer(&x[0], HOUR_MS);
    submit_timer(&x[1], HOUR_MS);
    submit_recv(&x[2], p[0], in[0], 1);
    submit_recv(&x[3], p[0], in[1], 1);
    submit_poll(&x[4], p[0], POLLIN);
    submit_recv(&x[5], p[1], in[0], 1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &x[3]), 0);
    assert_int_equal(et_loop_delete(&loop, &x[1]), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &x[0], &x[6], HOUR_MS, note, NULL), 0);
    submit_noop(&x[7]);
    submit_cancel(&x[8], &x[5]);
    submit_close(&x[9], p[0]);
    assert_int_equal(et_loop_deinit(&loop), 0);
    for (int i = 0; i < 10; i++)
        EXPECT_STATE(&x[i], ET_DEAD);
    EXPECT_NOTHING();
    assert_int_equal(et_loop_init(&loop, NULL), 0); /* and every one can serve another loop */
    for (int i = 0; i < 6; i++)
        if (i != 3)
            assert_int_equal(et_loop_add(&loop, &x[i]), 0);
    run(ET_RUN_NO_WAIT);
    put(p[1], "x");
    run(ET_RUN_ONCE);
    EXPECT({&x[2], 1}, {&x[4], POLLIN});
    assert_int_equal(et_loop_deinit(&loop), 0);
    free(x);
    assert_int_equal(write(p[0], "still open", 10), 10);
}

static int results[4];

static enum et_action note_nested(struct et_loop *l, struct et_completion *x, int64_t result,
                                  void *userdata) {
    results[0] = et_loop_tick(l, 0);
    results[1] = et_loop_run(l, ET_RUN_UNTIL_DONE);
    results[2] = et_loop_deinit(l);
    results[3] = et_loop_run(&other, ET_RUN_UNTIL_DONE);
    return note(l, x, result, userdata);
}

static void ET_TICK_2_nested_run_is_refused(void **state) {
    (void)state;
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(et_loop_timer(&other, &c[2], 1, note, NULL), 0);
    submit_noop(&c[0]);
    c[0].callback = note_nested;
    submit_noop(&c[1]);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(results[0], -EBUSY);
    assert_int_equal(results[1], -EBUSY);
    assert_int_equal(results[2], -EBUSY);
    assert_int_equal(results[3], 0); /* another loop may run inside */
    events[0].loop = &loop;
    EXPECT({&c[2], 0}, {&c[0], 0}, {&c[1], 0});
    assert_int_equal(et_loop_deinit(&other), 0);
}

static enum et_action run_first_loop(struct et_loop *l, struct et_completion *x, int64_t result,
                                     void *userdata) {
    (void)l, (void)x, (void)result, (void)userdata;
    results[0] = et_loop_tick(&loop, 0);
    results[1] = et_loop_deinit(&loop);
    return ET_DISARM;
}

static enum et_action run_other_loop(struct et_loop *l, struct et_completion *x, int64_t result,
                                     void *userdata) {
    results[2] = et_loop_run(&other, ET_RUN_UNTIL_DONE);
    results[3] = et_loop_deinit(&other);
    return note(l, x, result, userdata);
}

static void ET_DEINIT_1_refused_inside_a_callback_of_the_same_loop_only(void **state) {
    (void)state;
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(et_loop_timer(&other, &c[1], 0, run_first_loop, NULL), 0);
    submit_noop(&c[0]);
    c[0].callback = run_other_loop;
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
    assert_int_equal(results[0], -EBUSY);
    assert_int_equal(results[1], -EBUSY);
    assert_int_equal(results[2], 0);
    assert_int_equal(results[3], 0);
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static void ET_CALL_3_rearm_adds(void **state) {
    (void)state;
    submit_noop(&c[0]);
    c[0].callback = note_and_rearm;
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0}); /* once, though it was added again in the same phase */
    EXPECT_STATE(&c[0], ET_ADDING);
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 0});
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT_NOTHING();
}

enum before_rearm {
    ADD,
    ADD_AND_DELETE,
    DELETE,
    INVALID,
    POOL,
    OTHER_LOOP,
    LONG_TIMER,
    CANCEL,
    OTHER_OPERATION
};

static enum et_action prepare_and_rearm(struct et_loop *l, struct et_completion *x, int64_t result,
                                        void *userdata) {
    note(l, x, result, userdata);
    if (events_count > 1)
        return ET_DISARM;
    switch (*(enum before_rearm *)userdata) {
    case ADD: et_loop_add(l, x); break;
    case ADD_AND_DELETE: et_loop_add(l, x), et_loop_delete(l, x); break;
    case DELETE: et_loop_delete(l, x); break;
    case INVALID: x->operation = ET_POLL, x->poll.events = POLLNVAL; break;
    case POOL: x->operation = ET_READ, x->on_pool = true; break;
    case OTHER_LOOP: et_loop_add(&other, x); break;
    case LONG_TIMER: et_loop_timer(l, x, HOUR_MS, prepare_and_rearm, userdata); break;
    case CANCEL: et_loop_cancel(l, &c[1], x, note, NULL); break;
    case OTHER_OPERATION: x->operation = ET_SHUTDOWN, x->fd = -1; break;
    }
    return ET_REARM;
}

/* A noop whose callback does this and returns ET_REARM; the state that it is then in. */
static enum et_state state_after(enum before_rearm what) {
    static enum before_rearm userdata;
    userdata = what;
    events_count = 0;
    submit_noop(&c[0]);
    c[0].callback = prepare_and_rearm;
    c[0].userdata = &userdata;
    assert_int_equal(et_loop_tick(&loop, 0), 0);
    assert_int_equal(events_count, 1);
    return et_completion_state(&c[0]);
}

static void ET_CALL_3_rearm_acts_as_add_in_every_state(void **state) {
    (void)state;
    const enum before_rearm adding[] = {ADD, DELETE, ADD_AND_DELETE};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(state_after(adding[i]), ET_ADDING);
        run(ET_RUN_UNTIL_DONE);
        EXPECT({&c[0], 0}, {&c[0], 0});
    }
    assert_int_equal(state_after(CANCEL), ET_ADDING);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0}, {&c[0], -ECANCELED}, {&c[1], 0});
    assert_int_equal(state_after(OTHER_OPERATION), ET_ADDING);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0}, {&c[0], -EBADF});
    assert_int_equal(state_after(LONG_TIMER), ET_ADDING);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0});
    EXPECT_STATE(&c[0], ET_ACTIVE);
}

static void ET_CALL_3_rearm_that_is_refused_leaves_it_as_it_is(void **state) {
    (void)state;
    assert_int_equal(state_after(INVALID), ET_DEAD);
    assert_int_equal(state_after(POOL), ET_DEAD);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(state_after(OTHER_LOOP), ET_ADDING);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(events_count, 1);
    assert_int_equal(et_loop_run(&other, ET_RUN_UNTIL_DONE), 0);
    assert_int_equal(events_count, 2);
    assert_ptr_equal(events[1].completion, &c[0]);
    assert_ptr_equal(events[1].loop, &other);
    assert_int_equal(et_loop_deinit(&other), 0);
}

static enum et_action note_late_and_rearm(struct et_loop *l, struct et_completion *x,
                                          int64_t result, void *userdata) {
    note(l, x, result, userdata);
    sleep_ms(12);
    et_loop_update_now(l);
    return events_count < 3 ? ET_REARM : ET_DISARM;
}

static void ET_CALL_3_rearmed_timer_counts_from_the_return(void **state) {
    (void)state;
    submit_timer(&c[0], 3);
    c[0].callback = note_late_and_rearm;
    run(ET_RUN_UNTIL_DONE);
    for (unsigned i = 1; i < 3; i++)
        assert_true(events[i].clock_ms >= events[i - 1].clock_ms + 12 + 3);
    EXPECT({&c[0], 0}, {&c[0], 0}, {&c[0], 0});
}

static void ET_CALL_2_what_was_last_described(void **state) {
    (void)state;
    int one, two, three;
    assert_int_equal(et_loop_timer(&loop, &c[0], 0, note_and_rearm, &one), 0);
    assert_int_equal(et_loop_timer(&loop, &c[0], 0, note, &two), 0);
    assert_int_equal(et_loop_timer(&loop, &c[1], HOUR_MS, note_and_rearm, &one), 0);
    run(ET_RUN_NO_WAIT);
    assert_ptr_equal(events[0].userdata, &two);
    EXPECT({&c[0], 0});
    assert_int_equal(et_loop_timer_reset(&loop, &c[1], &c[2], HOUR_MS, note_and_rearm, &two), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &c[1], &c[2], 0, note, &three), 0);
    run(ET_RUN_UNTIL_DONE);
    assert_ptr_equal(events[0].userdata, &three);
    EXPECT({&c[1], 0});
}

static enum et_action note_and_free(struct et_loop *l, struct et_completion *x, int64_t result,
                                    void *userdata) {
    note(l, x, result, userdata);
    memset(x, 0x5a, sizeof *x);
    free(x);
    return ET_DISARM;
}

/* A completion that frees itself. */
static struct et_completion *submit_free(struct et_completion description) {
    struct et_completion *x = calloc(1, sizeof *x);
    assert_non_null(x);
    description.callback = note_and_free;
    submit(x, description);
    return x;
}

static void ET_STATE_7_callbacks_free_their_completion(void **state) {
    (void)state;
    int p[2], q[2], file = keep(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    struct et_completion *x[12], *cancel = calloc(1, sizeof *cancel);
    open_pair(p, SOCK_STREAM);
    open_pair(q, SOCK_STREAM);
    x[0] = submit_free(
        (struct et_completion){.operation = ET_RECV, .fd = p[0], .recv = {in[0], 1, 0}});
    x[1] =
        submit_free((struct et_completion){.operation = ET_READ, .fd = p[0], .read = {in[1], 1}});
    x[2] = submit_free((struct et_completion){.operation = ET_POLL, .fd = p[0], .poll = {POLLIN}});
    x[3] = submit_free((struct et_completion){.operation = ET_POLL, .fd = p[0], .poll = {POLLIN}});
    x[4] = submit_free(
        (struct et_completion){.operation = ET_RECV, .fd = q[0], .recv = {in[2], 1, 0}});
    x[5] = submit_free((struct et_completion){.operation = ET_POLL, .fd = q[0], .poll = {POLLIN}});
    x[6] = submit_free((struct et_completion){.operation = ET_TIMER, .timer = {HOUR_MS}});
    run(ET_RUN_NO_WAIT);
    x[7] = submit_free((struct et_completion){.operation = ET_CLOSE, .fd = q[0]});
    x[8] = submit_free((struct et_completion){.operation = ET_READ, .fd = file});
    x[9] = submit_free((struct et_completion){.operation = ET_PREAD, .fd = file});
    x[10] = submit_free((struct et_completion){.operation = ET_TIMER});
    x[11] =
        submit_free((struct et_completion){.operation = ET_SEND, .fd = p[1], .send = {"ab", 2, 0}});
    assert_int_equal(et_loop_cancel(&loop, cancel, x[6], note_and_free, NULL), 0);
    run(ET_RUN_UNTIL_DONE);
    forget(q[0]);
    assert_int_equal(events_count, 13);
    assert_ptr_equal(events[0].completion, x[4]);
    assert_ptr_equal(events[1].completion, x[5]);
    assert_ptr_equal(events[2].completion, x[7]);
}

static void ET_STATE_7_memory_is_free_once_it_is_dead(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    struct et_completion *x = calloc(4, sizeof *x);
    assert_non_null(x);
    submit_recv(&x[0], p[0], in[0], 1);
    submit_poll(&x[1], p[0], POLLIN);
    submit_timer(&x[2], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    submit_noop(&x[3]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(et_loop_delete(&loop, &x[i]), 0);
    run(ET_RUN_NO_WAIT);
    for (int i = 0; i < 4; i++)
        EXPECT_STATE(&x[i], ET_DEAD);
    free(x);
    put(p[1], "x");
    submit_timer(&c[0], 3);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
    submit_recv(&c[1], p[0], in[0], 1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 1});
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static enum et_action note_and_delete_cancel(struct et_loop *l, struct et_completion *x,
                                             int64_t result, void *userdata) {
    note(l, x, result, userdata);
    results[0] = (int)et_completion_state(&c[1]);
    et_loop_delete(l, &c[1]);
    if (userdata != NULL)
        et_loop_timer(l, &c[1], 0, note, NULL);
    return ET_DISARM;
}

static void ET_CANCEL_7_target_deletes_the_cancel(void **state) {
    (void)state;
    for (int again = 0; again < 2; again++) {
        submit_timer(&c[0], HOUR_MS);
        c[0].callback = note_and_delete_cancel;
        c[0].userdata = again ? &c[1] : NULL;
        run(ET_RUN_NO_WAIT);
        submit_cancel(&c[1], &c[0]);
        run(ET_RUN_NO_WAIT);
        assert_int_equal(results[0], ET_ACTIVE);
        EXPECT({&c[0], -ECANCELED});
        EXPECT_STATE(&c[1], again ? ET_ADDING : ET_DEAD);
        run(ET_RUN_UNTIL_DONE);
    }
    EXPECT({&c[1], 0}); /* it had become a timer */
}

static void ET_CANCEL_5_target_behind_it_is_not_started(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_cancel(&c[1], &c[0]);
    submit_close(&c[0], p[0]);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -ECANCELED}, {&c[1], 0});
    assert_true(fcntl(p[0], F_GETFD) >= 0);
}

static void ET_CANCEL_6_nothing_to_cancel(void **state) {
    (void)state;
    submit_noop(&c[0]);
    submit_cancel(&c[1], &c[0]);
    submit_timer(&c[2], HOUR_MS);
    submit_cancel(&c[3], &c[2]);
    assert_int_equal(et_loop_delete(&loop, &c[2]), 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0}, {&c[1], -ENOENT}, {&c[3], -ENOENT});
}

static void ET_CANCEL_8_descriptor_of_the_former_target_stays(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 1);
    submit_read(&c[1], p[0], in[1], 1);
    run(ET_RUN_NO_WAIT);
    submit_cancel(&c[2], &c[0]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], -ECANCELED}, {&c[2], 0});
    submit_cancel(&c[2], &c[0]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[2], -ENOENT});
    put(p[1], "x");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 1});
}

static void ET_CANCEL_4_cancel_of_a_cancel(void **state) {
    (void)state;
    submit_timer(&c[0], 1);
    submit_cancel(&c[1], &c[2]);
    submit_cancel(&c[2], &c[0]);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[2], -ECANCELED}, {&c[1], 0}, {&c[0], 0});
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void ET_EXPIRE_4_never_early_by_the_clock(void **state) {
    (void)state;
    const uint64_t delays_ms[] = {0, 1, 2, 3, 5, 8, 13, 21, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
        et_loop_update_now(&loop);
        uint64_t deadline_ms = (loop.now_ns + 999999) / 1000000 + delays_ms[i];
        if (delays_ms[i] == 0)
            deadline_ms = et_loop_now(&loop);
        submit_timer(&c[0], delays_ms[i]);
        run(ET_RUN_UNTIL_DONE);
        assert_true(events[0].clock_ms >= deadline_ms);
        assert_true(events[0].loop_ms >= deadline_ms);
        assert_true(events[0].loop_ms <= events[0].clock_ms);
        EXPECT({&c[0], 0});
    }
}

static void ET_WAIT_4_one_timer_costs_few_waits(void **state) {
    (void)state;
    /* a thread may sleep for other reasons, but hardly three times in a row */
    long least = LONG_MAX;
    for (int i = 0; i < 3; i++) {
        long before = sleeps();
        submit_timer(&c[0], 15);
        run(ET_RUN_UNTIL_DONE);
        EXPECT({&c[0], 0});
        if (sleeps() - before < least)
            least = sleeps() - before;
    }
    assert_in_range(least, 1, 2);
}

static int timerfd_in(uint64_t ms) {
    int fd = keep(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    assert_int_equal(
        timerfd_settime(fd, 0, &(struct itimerspec){.it_value.tv_nsec = (long)ms * 1000000}, NULL),
        0);
    return fd;
}

static uint64_t set_at_ms;

static enum et_action set_timer(struct et_loop *l, struct et_completion *x, int64_t result,
                                void *userdata) {
    (void)x, (void)result, (void)userdata;
    set_at_ms = clock_ms();
    et_loop_timer(l, &c[1], 20, note, NULL);
    return ET_DISARM;
}

static void ET_TIME_1_timer_set_after_a_long_wait_is_not_early(void **state) {
    (void)state;
    uint64_t begun_ms = clock_ms();
    submit_poll(&c[0], timerfd_in(30), POLLIN);
    c[0].callback = set_timer;
    run(ET_RUN_UNTIL_DONE);
    assert_true(set_at_ms >= begun_ms + 30);
    assert_true(events[0].clock_ms >= begun_ms + 30 + 20);
    EXPECT({&c[1], 0});
}

static void ET_TIME_1_time_stands_still_between_updates(void **state) {
    (void)state;
    uint64_t before_ms = et_loop_now(&loop);
    submit_timer(&c[0], 1);
    submit_noop(&c[1]);
    sleep_ms(3);
    assert_int_equal(et_loop_now(&loop), before_ms);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(events[0].loop_ms, before_ms); /* the first phase does not read the clock */
    assert_true(events[1].loop_ms >= before_ms + 3);
    EXPECT({&c[1], 0}, {&c[0], 0});
    sleep_ms(2);
    uint64_t first_ms = clock_ms();
    et_loop_update_now(&loop);
    assert_in_range(et_loop_now(&loop), first_ms, clock_ms());
}

static void ET_ADD_7_deadline_counts_from_the_loop_time(void **state) {
    (void)state;
    uint64_t since_ns = loop.now_ns;
    sleep_ms(6);
    submit_timer(&c[0], 5); /* the loop has not looked at the clock since: it is due */
    assert_int_equal(loop.now_ns, since_ns);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0});
}

/* The loop time is set by hand. */
static uint64_t deadline_of(uint64_t now_ns, uint64_t delay_ms) {
    uint64_t before_ns = loop.now_ns;
    loop.now_ns = now_ns;
    assert_int_equal(et_loop_timer(&loop, &c[0], delay_ms, note, NULL), 0);
    uint64_t deadline_ms = c[0].internal.deadline_ms;
    loop.now_ns = before_ns;
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    return deadline_ms;
}

static void ET_ADD_7_deadlines_are_rounded_up(void **state) {
    (void)state;
    const uint64_t ms = 1000000;
    assert_int_equal(deadline_of(1000 * ms, 5), 1005);
    assert_int_equal(deadline_of(1000 * ms + 1, 5), 1006);
    assert_int_equal(deadline_of(1001 * ms - 1, 5), 1006);
    assert_int_equal(deadline_of(1000 * ms + 1, 0), 1000);
    assert_int_equal(deadline_of(1001 * ms - 1, 0), 1000);
    assert_true(deadline_of(1000 * ms, UINT64_MAX - 1000) == UINT64_MAX);
    assert_true(deadline_of(1000 * ms + 1, UINT64_MAX - 1002) == UINT64_MAX - 1);
    assert_true(deadline_of(1000 * ms + 1, UINT64_MAX - 1001) == UINT64_MAX);
    assert_true(deadline_of(1000 * ms + 1, UINT64_MAX - 1000) == UINT64_MAX);
    assert_true(deadline_of(UINT64_MAX, 1) == UINT64_MAX / ms + 2);
}

static void ET_ADD_7_delays_saturate(void **state) {
    (void)state;
    const uint64_t delays_ms[] = {
        UINT64_MAX,
        UINT64_MAX - 1,
        INT64_MAX,
        (uint64_t)INT64_MAX + 1,
        UINT64_MAX / 1000000,
        INT64_MAX / 1000000,
        INT32_MAX,
        (uint64_t)INT32_MAX + 1,
        UINT32_MAX,
        (uint64_t)1 << 32,
        UINT64_MAX / 1000,
        UINT64_MAX / 1000000 + 1,
        INT64_MAX / 1000,
        INT64_MAX / 1000 + 1,
        UINT64_MAX - et_loop_now(&loop),
    };
    for (size_t i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
        uint64_t cpu_before_ms = cpu_ms();
        int fd = timerfd_in(4);
        submit_timer(&c[0], delays_ms[i]);
        submit_poll(&c[1], fd, POLLIN);
        run(ET_RUN_ONCE);
        EXPECT({&c[1], POLLIN});
        assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[2], delays_ms[i], note, NULL), 0);
        run(ET_RUN_NO_WAIT);
        EXPECT_NOTHING();
        EXPECT_STATE(&c[0], ET_ACTIVE);
        assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
        run(ET_RUN_UNTIL_DONE);
        drop(fd);
        assert_true(cpu_ms() - cpu_before_ms < 1000);
    }
}

static void ET_EXPIRE_3_saturated_deadlines_are_later_than_all_others(void **state) {
    (void)state;
    submit_timer(&c[0], UINT64_MAX);
    submit_timer(&c[1], UINT64_MAX - 1);
    submit_timer(&c[2], 4);
    submit_timer(&c[3], 2);
    while (events_count < 2)
        run(ET_RUN_ONCE);
    EXPECT({&c[3], 0}, {&c[2], 0});
    EXPECT_STATE(&c[0], ET_ACTIVE);
    EXPECT_STATE(&c[1], ET_ACTIVE);
}

/* ---- many timers against a reference --------------------------------------------------------- */

#define TIMERS 10000

struct timer {
    struct et_completion timer, carrier;
    uint64_t deadline_ms, started;
};

static struct timer *timers;
static uint64_t fired[TIMERS];
static unsigned fired_count;

static enum et_action fire(struct et_loop *l, struct et_completion *x, int64_t result,
                           void *userdata) {
    (void)l, (void)x, (void)result;
    if (fired_count < TIMERS)
        fired[fired_count] = (uint64_t)((struct timer *)userdata - timers);
    fired_count++;
    return ET_DISARM;
}

static uint32_t random_below(uint32_t limit) {
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % limit;
}

static int earlier(const void *left, const void *right) {
    const struct timer *a = &timers[*(const uint64_t *)left],
                       *b = &timers[*(const uint64_t *)right];
    if (a->deadline_ms != b->deadline_ms)
        return a->deadline_ms < b->deadline_ms ? -1 : 1;
    return a->started < b->started ? -1 : 1;
}

/* ET-ADD-7 */
static uint64_t deadline_after(uint64_t delay_ms) {
    return delay_ms == 0 ? et_loop_now(&loop) : (loop.now_ns + 999999) / 1000000 + delay_ms;
}

/* Those that are due fire now, in the order of the reference; returns how many there were. */
static unsigned expect_due(void) {
    static uint64_t due[TIMERS];
    unsigned count = 0;
    uint64_t limit_ms = et_loop_now(&loop) + HOUR_MS / 2;
    for (uint64_t i = 0; i < TIMERS; i++)
        if (timers[i].deadline_ms < limit_ms)
            due[count++] = i;
    qsort(due, count, sizeof *due, earlier);
    fired_count = 0;
    sleep_ms(6);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(fired_count, count);
    assert_memory_equal(fired, due, count * sizeof *due);
    for (unsigned i = 0; i < count; i++)
        timers[due[i]].deadline_ms = UINT64_MAX;
    return count;
}

static void ET_EXPIRE_3_many_timers_in_random_order(void **state) {
    (void)state;
    timers = calloc(TIMERS, sizeof *timers);
    for (uint64_t i = 0; i < TIMERS; i++) {
        uint64_t delay_ms = random_below(6);
        timers[i].deadline_ms = deadline_after(delay_ms);
        timers[i].started = i;
        assert_int_equal(et_loop_timer(&loop, &timers[i].timer, delay_ms, fire, &timers[i]), 0);
    }
    assert_int_equal(expect_due(), TIMERS);
    free(timers);
}

static void ET_EXPIRE_2_many_timers_deleted_and_reset(void **state) {
    (void)state;
    uint64_t started = 0;
    timers = calloc(TIMERS, sizeof *timers);
    for (uint64_t i = 0; i < TIMERS; i++) {
        uint64_t delay_ms = HOUR_MS + random_below(1000);
        timers[i].deadline_ms = deadline_after(delay_ms);
        assert_int_equal(et_loop_timer(&loop, &timers[i].timer, delay_ms, fire, &timers[i]), 0);
    }
    run(ET_RUN_NO_WAIT);
    unsigned total = 0;
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < TIMERS / 5; i++) {
            struct timer *t = &timers[random_below(TIMERS)];
            uint64_t delay_ms =
                random_below(3) == 0 ? HOUR_MS + random_below(1000) : random_below(6);
            if (random_below(4) == 0) {
                assert_int_equal(et_loop_delete(&loop, &t->timer), 0);
                t->deadline_ms = UINT64_MAX;
                continue;
            }
            /* Where it is added or reset already it keeps its place, with the new deadline. */
            bool moves = et_completion_state(&t->timer) == ET_ACTIVE
                             ? et_completion_state(&t->carrier) != ET_ADDING
                             : et_completion_state(&t->timer) != ET_ADDING;
            if (et_completion_state(&t->timer) == ET_DELETING)
                continue; /* its carrier may still stand in the submissions */
            assert_int_equal(et_loop_timer_reset(&loop, &t->timer, &t->carrier, delay_ms, fire, t),
                             0);
            t->deadline_ms = deadline_after(delay_ms);
            if (moves)
                t->started = ++started;
        }
        total += expect_due();
    }
    assert_true(total > TIMERS / 2);
    assert_int_equal(et_loop_deinit(&loop), 0);
    free(timers);
}

/* ---- resets ---------------------------------------------------------------------------------- */

static void ET_RESET_4_does_not_fire_before_the_new_deadline(void **state) {
    (void)state;
    submit_timer(&c[0], 30);
    run(ET_RUN_NO_WAIT);
    EXPECT_STATE(&c[0], ET_ACTIVE);
    sleep_ms(31);
    et_loop_update_now(&loop);
    uint64_t deadline_ms = et_loop_now(&loop) + 15;
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[1], 15, note, NULL), 0);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    run(ET_RUN_UNTIL_DONE);
    assert_true(events[0].clock_ms >= deadline_ms);
    EXPECT({&c[0], 0});
}

static enum et_action note_and_reset_next(struct et_loop *l, struct et_completion *x,
                                          int64_t result, void *userdata) {
    note(l, x, result, userdata);
    results[0] = et_loop_timer_reset(l, x + 1, &c[8], 0, note, NULL);
    et_loop_delete(l, x + 2);
    return ET_DISARM;
}

static void ET_RESET_4_does_not_fire_in_the_round_that_was_about_to(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++)
        submit_timer(&c[i], 0);
    c[0].callback = note_and_reset_next;
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0}, {&c[3], 0});
    assert_int_equal(results[0], 0);
    EXPECT_STATE(&c[1], ET_ACTIVE);
    EXPECT_STATE(&c[2], ET_DELETING);
    EXPECT_STATE(&c[8], ET_ADDING);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 0});
}

#define HELD_MS 70 /* not in the lowest level of the heap */

static enum et_action note_and_hold_first(struct et_loop *l, struct et_completion *x,
                                          int64_t result, void *userdata) {
    note(l, x, result, userdata);
    results[0] = et_loop_timer_reset(l, &c[0], &c[8], HELD_MS, note, NULL);
    return ET_DISARM;
}

/* The heap leaves it linked, and comes across it when its deadline is reached. */
static void ET_RESET_4_does_not_fire_when_its_deadline_passes_while_it_is_held(void **state) {
    (void)state;
    submit_timer(&c[0], HELD_MS);
    submit_timer(&c[1], HELD_MS);
    run(ET_RUN_NO_WAIT);
    submit_noop(&c[2]);
    c[2].callback = note_and_hold_first;
    sleep_ms(HELD_MS + 10);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[2], 0}, {&c[1], 0});
    assert_int_equal(results[0], 0);
    EXPECT_STATE(&c[0], ET_ACTIVE);
    EXPECT_STATE(&c[8], ET_ADDING);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0});
}

static void ET_RESET_12_carrier_is_the_timer(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        enum et_state before = et_completion_state(&c[0]);
        assert_int_equal(before, i == 0 ? ET_DEAD : i == 1 ? ET_ADDING : ET_ACTIVE);
        assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[0], 0, note, NULL), -EINVAL);
        assert_int_equal(et_completion_state(&c[0]), before);
        if (i == 0)
            submit_timer(&c[0], HOUR_MS);
        else
            run(ET_RUN_NO_WAIT);
    }
    EXPECT_NOTHING();
}

/* Forwards and back, each time alone in the heap, at its root, and below it. */
static void ET_RESET_13_moved_at_once(void **state) {
    (void)state;
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], NULL, HOUR_MS, note, NULL), 0);
    EXPECT_STATE(&c[0], ET_ADDING);
    for (int i = 1; i < 5; i++)
        submit_timer(&c[i], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    for (int i = 4; i >= 0; i--)
        assert_int_equal(et_loop_timer_reset(&loop, &c[i], NULL, 5, note, &c[i]), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &c[2], NULL, HOUR_MS, note, NULL), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &c[3], NULL, 5, note, &c[3]), 0);
    EXPECT_STATE(&c[3], ET_ACTIVE);
    uint64_t deadline_ms = et_loop_now(&loop) + 5;
    while (events_count < 4)
        run(ET_RUN_ONCE);
    assert_true(events[0].clock_ms >= deadline_ms);
    assert_ptr_equal(events[3].userdata, &c[3]);
    EXPECT({&c[4], 0}, {&c[1], 0}, {&c[0], 0}, {&c[3], 0});
}

static enum et_action move_both(struct et_loop *l, struct et_completion *x, int64_t result,
                                void *userdata) {
    note(l, x, result, userdata);
    assert_int_equal(et_loop_timer_reset(l, &c[1], NULL, 0, note, NULL), 0);
    assert_int_equal(et_loop_timer_reset(l, &c[2], NULL, 0, note, NULL), 0);
    assert_int_equal(et_loop_timer_reset(l, &c[3], NULL, HOUR_MS, note, NULL), 0);
    return ET_DISARM;
}

/* c[1] and c[3] are about to fire in the same phase, c[2] is not. */
static void ET_RESET_13_moved_by_a_timer_that_fires(void **state) {
    (void)state;
    assert_int_equal(et_loop_timer(&loop, &c[0], 100, move_both, NULL), 0);
    submit_timer(&c[1], 100);
    submit_timer(&c[2], HOUR_MS);
    submit_timer(&c[3], 100);
    run(ET_RUN_NO_WAIT);
    sleep_ms(120);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0});
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[1], 0}, {&c[2], 0});
    EXPECT_STATE(&c[3], ET_ACTIVE);
}

static void ET_RESET_14_carrier_that_is_relieved(void **state) {
    (void)state;
    submit_timer(&c[0], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[1], HOUR_MS, note, NULL), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], NULL, 0, note, NULL), 0);
    EXPECT_STATE(&c[1], ET_ADDING);
    assert_int_equal(et_loop_delete(&loop, &c[1]), 0);
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 0});
    EXPECT_STATE(&c[1], ET_DEAD);
}

static void ET_RESET_6_busy_carriers(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        submit_timer(&c[i], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    submit_noop(&c[3]);
    assert_int_equal(et_loop_timer_reset(&loop, &c[1], &c[4], HOUR_MS, note, NULL), 0);
    struct et_completion before = c[0];
    for (int i = 2; i < 5; i++)
        assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[i], 0, note_and_rearm, &before),
                         -EBUSY);
    assert_memory_equal(&c[0], &before, sizeof before);
    assert_int_equal(et_loop_timer_reset(&loop, &c[3], &c[2], 0, note, NULL),
                     -EBUSY); /* ET-RESET-1: adding, no timer */
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[3], 0});
}

static void ET_RESET_9_deleted_and_cancelled_carriers_apply_it(void **state) {
    (void)state;
    submit_timer(&c[0], HOUR_MS);
    submit_timer(&c[1], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[2], 0, note, NULL), 0);
    assert_int_equal(et_loop_delete(&loop, &c[2]), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &c[1], &c[3], 0, note, NULL), 0);
    submit_cancel(&c[4], &c[3]);
    run(ET_RUN_NO_WAIT);
    /* c[3] is applied in the first phase, by its own turn before the cancel's: the cancel comes too
     * late. */
    EXPECT({&c[4], -ENOENT}, {&c[1], 0}, {&c[0], 0});
    submit_timer(&c[0], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    submit_cancel(&c[4], &c[3]);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[3], 0, note, NULL), 0);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[4], 0}, {&c[0], 0});
}

static void ET_RESET_3_carrier_that_is_deleting_serves_at_once(void **state) {
    (void)state;
    submit_timer(&c[0], HOUR_MS);
    submit_timer(&c[1], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[2], 0, note, NULL), 0);
    assert_int_equal(et_loop_delete(&loop, &c[2]), 0);
    /* its own reset */
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[2], HOUR_MS, note, NULL), 0);
    assert_int_equal(et_loop_delete(&loop, &c[2]), 0);
    /* another's: c[0]'s is applied */
    assert_int_equal(et_loop_timer_reset(&loop, &c[1], &c[2], 0, note, NULL), 0);
    EXPECT_STATE(&c[2], ET_ADDING);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[1], 0});
    EXPECT_STATE(&c[0], ET_ACTIVE);
    EXPECT_STATE(&c[2], ET_DEAD);
}

static void ET_RESET_10_carrier_of_a_deleted_timer(void **state) {
    (void)state;
    struct et_completion *timer = calloc(1, sizeof *timer);
    submit_timer(timer, 0);
    timer->timer.delay_ms = HOUR_MS;
    assert_int_equal(et_loop_timer(&loop, timer, HOUR_MS, note, NULL), 0);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_timer_reset(&loop, timer, &c[0], 0, note, NULL), 0);
    assert_int_equal(et_loop_delete(&loop, timer), 0);
    run(ET_RUN_NO_WAIT);
    EXPECT_STATE(timer, ET_DEAD);
    EXPECT_STATE(&c[0], ET_DEAD);
    free(timer);
    run(ET_RUN_UNTIL_DONE);
    EXPECT_NOTHING();
}

static void ET_RESET_11_another_carrier_takes_over(void **state) {
    (void)state;
    submit_timer(&c[0], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[1], 0, note, NULL), 0);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[2], 5, note, NULL), 0);
    uint64_t deadline_ms = et_loop_now(&loop) + 5;
    run(ET_RUN_UNTIL_DONE);
    assert_true(events[0].clock_ms >= deadline_ms);
    EXPECT({&c[0], 0});
    EXPECT_STATE(&c[1], ET_DEAD);
    EXPECT_STATE(&c[2], ET_DEAD);
}

/* ---- running and stopping -------------------------------------------------------------------- */

static void ET_RUN_4_unknown_modes(void **state) {
    (void)state;
    submit_noop(&c[0]);
    assert_int_equal(et_loop_run(&loop, (enum et_run_mode)(ET_RUN_TURN + 1)), -EINVAL);
    assert_int_equal(et_loop_run(&loop, (enum et_run_mode)0xffffffff), -EINVAL);
    EXPECT_NOTHING();
    EXPECT_STATE(&c[0], ET_ADDING);
}

static void ET_RUN_1_NO_WAIT_never_waits(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_timer(&c[0], HOUR_MS);
    submit_read(&c[1], p[0], in[0], 1);
    long before = sleeps();
    for (int i = 0; i < 200; i++)
        run(ET_RUN_NO_WAIT);
    assert_in_range(sleeps() - before, 0, 20);
    EXPECT_NOTHING();
}

static void ET_TICK_4_enough_callbacks_or_nothing_left(void **state) {
    (void)state;
    run(ET_RUN_UNTIL_DONE); /* there is nothing to do */
    run(ET_RUN_ONCE);
    assert_int_equal(et_loop_tick(&loop, UINT32_MAX), 0);
    submit_noop(&c[0]);
    c[0].callback = note_and_rearm;
    submit_timer(&c[1], HOUR_MS);
    assert_int_equal(et_loop_tick(&loop, 3), 0);
    EXPECT({&c[0], 0}, {&c[0], 0}, {&c[0], 0});
    submit_noop(&c[2]);
    submit_noop(&c[3]);
    assert_int_equal(et_loop_tick(&loop, 2), 0); /* the round is always finished */
    EXPECT({&c[0], 0}, {&c[2], 0}, {&c[3], 0});
}

static void ET_TICK_5_null_callbacks_count_and_resets_do_not(void **state) {
    (void)state;
    submit_timer(&c[0], HOUR_MS);
    submit_timer(&c[4], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_add(&loop, &c[1]), 0); /* a noop without a callback */
    run(ET_RUN_ONCE);
    EXPECT_NOTHING();
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[2], 5, note, NULL), 0);
    assert_int_equal(et_loop_delete(&loop, &c[4]), 0);
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 0});
}

static enum et_action note_and_stop(struct et_loop *l, struct et_completion *x, int64_t result,
                                    void *userdata) {
    note(l, x, result, userdata);
    et_loop_stop(l);
    results[0] = et_loop_stopped(l);
    results[1] = et_loop_tick(l, 1);
    results[2] = et_loop_deinit(l);
    return ET_REARM;
}

static void ET_STOP_2_no_phase_after_the_one_in_progress(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    put(p[1], "x");
    submit_timer(&c[4], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    submit_read(&c[3], p[0], in[0], 1);
    submit_timer(&c[2], 0);
    submit_noop(&c[0]);
    c[0].callback = note_and_stop;
    submit_noop(&c[1]);
    assert_int_equal(et_loop_delete(&loop, &c[4]), 0);
    assert_false(et_loop_stopped(&loop));
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0}, {&c[1], 0}); /* ET-STOP-3: the phase is completed */
    assert_true(results[0]);
    assert_int_equal(results[1], 0);
    assert_int_equal(results[2], -EBUSY);
    EXPECT_STATE(&c[0], ET_ADDING);
    EXPECT_STATE(&c[4], ET_DELETING);
    assert_true(et_loop_stopped(&loop));
}

static void ET_TICK_1_stopped_loop_does_nothing(void **state) {
    (void)state;
    submit_noop(&c[0]);
    et_loop_stop(&loop);
    uint64_t before_ms = et_loop_now(&loop);
    sleep_ms(2);
    run(ET_RUN_UNTIL_DONE);
    run(ET_RUN_ONCE);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_tick(&loop, 7), 0);
    assert_int_equal(et_loop_run(&loop, (enum et_run_mode)99), -EINVAL);
    assert_int_equal(et_loop_now(&loop), before_ms);
    EXPECT_NOTHING();
    EXPECT_STATE(&c[0], ET_ADDING);
}

static void ET_STOP_2_stop_before_the_wait(void **state) {
    (void)state;
    int p[2], file = keep(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    open_pipe(p);
    put(p[1], "x");
    submit_read(&c[0], p[0], in[0], 1);
    submit_read(&c[1], file, in[1], 1);
    c[1].callback = note_and_stop;
    submit_read(&c[2], file, in[1], 1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], -EPERM}, {&c[2], -EPERM}); /* refused; but nobody has asked about the pipe */
    EXPECT_STATE(&c[0], ET_ACTIVE);
}

static void ET_STOP_2_stop_in_the_timer_and_kernel_phases(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    put(p[1], "x");
    submit_timer(&c[0], 0);
    c[0].callback = note_and_stop;
    submit_timer(&c[1], 0);
    submit_read(&c[2], p[0], in[0], 1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0}, {&c[1], 0});
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_loop_init(&loop, NULL), 0);
    submit_read(&c[2], p[0], in[0], 1);
    c[2].callback = note_and_stop;
    submit_timer(&c[0], 1);
    sleep_ms(1);
    run(ET_RUN_UNTIL_DONE);
    assert_ptr_equal(events[events_count - 1].completion, &c[2]);
}

/* ---- failure of the wait --------------------------------------------------------------------- */

/* The number of the loop's epoll instance, the only one of this process. */
static int find_epoll(void) {
    char path[64], target[64];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length > 0 && (target[length] = '\0', strcmp(target, "anon_inode:[eventpoll]") == 0))
            return fd;
    }
    fail_msg("there is no epoll instance");
    return -1;
}

static void ET_TICK_6_wait_that_fails_ends_the_tick(void **state) {
    (void)state;
    int p[2], epoll = find_epoll(), saved = keep(fcntl(epoll, F_DUPFD_CLOEXEC, 0)),
              null = keep(open("/dev/null", 0));
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(dup2(null, epoll), epoll);
    uint64_t before_ms = et_loop_now(&loop);
    sleep_ms(2);
    assert_int_equal(et_loop_run(&loop, ET_RUN_ONCE), -EINVAL);
    assert_true(et_loop_now(&loop) >= before_ms + 2);
    assert_int_equal(et_loop_tick(&loop, 0), -EINVAL);
    EXPECT_NOTHING();
    EXPECT_STATE(&c[0], ET_ACTIVE);
    assert_int_equal(dup2(saved, epoll), epoll);
    put(p[1], "x");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1});
}

/* ---- wake-ups -------------------------------------------------------------------------------- */

struct waker {
    unsigned count, every_ms;
    int fd; /* gets a byte when all are done */
};

static void *wake_often(void *argument) {
    struct waker *waker = argument;
    for (unsigned i = 0; i < waker->count; i++) {
        sleep_ms(waker->every_ms);
        et_loop_wakeup(&loop);
    }
    sleep_ms(waker->every_ms);
    return write(waker->fd, "x", 1) == 1 ? waker : NULL;
}

/* Waits for one read while a thread wakes the loop; returns how often the loop slept. */
static long sleeps_while_woken(unsigned count, unsigned every_ms) {
    int p[2];
    pthread_t thread;
    void *ended;
    open_pipe(p);
    struct waker waker = {count, every_ms, p[1]};
    submit_read(&c[0], p[0], in[0], 1);
    submit_timer(&c[1], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(pthread_create(&thread, NULL, wake_often, &waker), 0);
    long before = sleeps();
    run(ET_RUN_ONCE);
    long count_of_sleeps = sleeps() - before;
    EXPECT({&c[0], 1}); /* ET-TICK-5: a wake-up is no callback */
    pthread_join(thread, &ended);
    assert_ptr_equal(ended, &waker);
    return count_of_sleeps;
}

static void ET_WAKE_1_every_wakeup_from_a_thread_ends_a_wait(void **state) {
    (void)state;
    assert_in_range(sleeps_while_woken(5, 10), 3, 20);
}

static void ET_WAKE_1_flood_of_wakeups_does_no_harm(void **state) {
    (void)state;
    sleeps_while_woken(20000, 0);
}

static void ET_WAKE_2_wakeup_ends_one_wait_only(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        et_loop_wakeup(&loop);
    submit_timer(&c[0], 60);
    uint64_t deadline_ms = et_loop_now(&loop) + 60, cpu_before_ms = cpu_ms();
    long before = sleeps();
    run(ET_RUN_ONCE);
    assert_in_range(sleeps() - before, 1, 4);
    assert_true(cpu_ms() - cpu_before_ms < 30);
    assert_true(events[0].clock_ms >= deadline_ms);
    EXPECT({&c[0], 0});
}

static volatile sig_atomic_t alarms, errno_changed;

static void wake_in_handler(int number) {
    (void)number;
    int before = errno;
    errno = ENOTTY;
    et_loop_wakeup(&loop);
    errno_changed += errno != ENOTTY;
    errno = before;
    alarms++;
}

static void only_count(int number) {
    (void)number;
    alarms++;
}

static void alarm_every_ms(void (*handler)(int), int flags, long ms) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    struct itimerval interval = {{0, ms * 1000}, {0, ms * 1000}};
    alarms = errno_changed = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &interval, NULL), 0);
}

static void ET_WAKE_1_from_a_signal_handler(void **state) {
    (void)state;
    submit_timer(&c[0], 40);
    uint64_t deadline_ms = et_loop_now(&loop) + 40, cpu_before_ms = cpu_ms();
    alarm_every_ms(wake_in_handler, SA_RESTART, 3);
    run(ET_RUN_ONCE);
    alarm_every_ms(wake_in_handler, 0, 0);
    assert_true(events[0].clock_ms >= deadline_ms);
    assert_true(cpu_ms() - cpu_before_ms < 30);
    EXPECT({&c[0], 0});
}

static void ET_TIME_1_after_an_interrupted_wait_without_a_limit(void **state) {
    (void)state;
    int p[2];
    char byte;
    open_pipe(p);
    submit_read(&c[0], p[0], &byte, 1);
    uint64_t began_ms = clock_ms();
    alarm_every_ms(only_count, SA_RESTART, 40);
    run(ET_RUN_TURN); /* which starts the read */
    while (alarms == 0)
        run(ET_RUN_TURN);
    alarm_every_ms(only_count, 0, 0);
    assert_in_range(et_loop_now(&loop), began_ms + 39, UINT64_MAX);
    EXPECT_NOTHING();
}

/* As a program does it that has to look at what its signal handlers have set. */
static void ET_RUN_5_turn_returns_after_a_signal(void **state) {
    (void)state;
    submit_timer(&c[0], HOUR_MS);
    alarm_every_ms(only_count, SA_RESTART, 5);
    while (alarms < 3)
        run(ET_RUN_TURN);
    alarm_every_ms(only_count, 0, 0);
    EXPECT_NOTHING();
    EXPECT_STATE(&c[0], ET_ACTIVE);
    et_loop_wakeup(&loop);
    run(ET_RUN_TURN);
    EXPECT_NOTHING();
}

static void ET_RUN_5_turns_fire_a_timer(void **state) {
    (void)state;
    submit_timer(&c[0], 20);
    unsigned turns = 0;
    for (; events_count == 0; turns++)
        run(ET_RUN_TURN);
    assert_int_equal(turns, 2); /* one that waits, one that fires it */
    EXPECT({&c[0], 0});
    run(ET_RUN_TURN); /* there is nothing to do */
}

/* ---- inside another loop --------------------------------------------------------------------- */

/* A host: waits for the descriptor and the timeout, and runs the loop. Returns how often it has
 * waited. */
static unsigned host_until(unsigned count) {
    unsigned waits = 0;
    struct pollfd polled = {.fd = et_loop_descriptor(&loop), .events = POLLIN};
    assert_true(polled.fd >= 0);
    for (; events_count < count; waits++) {
        int64_t timeout_ms = et_loop_timeout(&loop);
        assert_true(timeout_ms >= -1 && timeout_ms <= HOUR_MS);
        poll(&polled, 1, (int)timeout_ms);
        run(ET_RUN_NO_WAIT);
    }
    return waits;
}

static void *write_and_wake(void *writer) {
    for (int i = 0; i < 3; i++) {
        sleep_ms(3);
        if (write(*(int *)writer, "x", 1) != 1)
            return NULL;
        sleep_ms(3);
        et_loop_wakeup(&loop);
    }
    return writer;
}

static void ET_HOST_5_host_misses_nothing_and_does_not_spin(void **state) {
    (void)state;
    int ends[2], *wrote = NULL;
    pthread_t thread;
    open_pipe(ends);
    char byte;
    submit(&c[0], (struct et_completion){.operation = ET_READ,
                                         .fd = ends[0],
                                         .callback = note_and_rearm,
                                         .read = {&byte, 1}});
    submit_timer(&c[1], 10);
    submit_noop(&c[2]);
    assert_int_equal(et_loop_timeout(&loop), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_and_wake, &ends[1]), 0);
    unsigned waits = host_until(5);
    assert_int_equal(pthread_join(thread, (void **)&wrote), 0);
    assert_non_null(wrote);
    /* Of five events: each takes one that brings it and one that starts what it has submitted;
     * three are woken. */
    assert_true(waits <= 2 * 5 + 3 + 2);
}

static void ET_HOST_4_descriptor_is_close_on_exec_and_stays(void **state) {
    (void)state;
    unsigned before = descriptors_open();
    int fd = et_loop_descriptor(&loop);
    assert_true(fd >= 0);
    assert_int_equal(et_loop_descriptor(&loop), fd);
    assert_int_equal(descriptors_open(), before + 1);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(et_loop_descriptor(&loop), -EINVAL);
    assert_int_equal(et_loop_timeout(&loop), -EINVAL);
    assert_int_equal(et_loop_descriptor(NULL), -EINVAL);
    assert_int_equal(et_loop_timeout(NULL), -EINVAL);
}

static void ET_HOST_4_no_descriptor_left(void **state) {
    (void)state;
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = et_loop_descriptor(&loop);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(error, -EMFILE);
    assert_int_equal(et_loop_timeout(&loop), -1);
    assert_true(et_loop_descriptor(&loop) >= 0);
}

static void ET_HOST_3_stopped_loop_need_not_be_run(void **state) {
    (void)state;
    struct pollfd polled = {.fd = et_loop_descriptor(&loop), .events = POLLIN};
    submit_timer(&c[0], 0);
    et_loop_wakeup(&loop);
    assert_int_equal(poll(&polled, 1, 0), 1);
    et_loop_stop(&loop);
    assert_int_equal(poll(&polled, 1, 0), 0);
    assert_int_equal(et_loop_timeout(&loop), -1);
}

/* The descriptor is asked for late, of a loop that is stopped. */
static void ET_HOST_5_asked_for_after_stop(void **state) {
    (void)state;
    et_loop_wakeup(&loop);
    et_loop_stop(&loop);
    struct pollfd polled = {.fd = et_loop_descriptor(&loop), .events = POLLIN};
    assert_true(polled.fd >= 0);
    assert_int_equal(poll(&polled, 1, 0), 0);
}

static void renew_inside_a_host(void) {
    int host = keep(epoll_create1(EPOLL_CLOEXEC)), ends[2], others[2];
    struct epoll_event event = {.events = EPOLLIN};
    char bytes[4];
    open_pipe(ends);
    assert_int_equal(epoll_ctl(host, EPOLL_CTL_ADD, et_loop_descriptor(&loop), &event), 0);
    submit_read(&c[0], ends[0], bytes, sizeof bytes);
    run(ET_RUN_NO_WAIT);
    int copy = keep(fcntl(ends[0], F_DUPFD_CLOEXEC, 0)), number = ends[0];
    open_pipe(others);
    assert_int_equal(dup2(others[0], number), number); /* the first pipe lives on by its copy */
    assert_true(copy >= 0);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    unsigned reported = 0;
    while (epoll_wait(host, &event, 1, 0) == 1 && reported < 10) {
        reported++;
        run(ET_RUN_NO_WAIT);
    }
    assert_true(reported < 5);
    assert_int_equal(fcntl(loop.epoll, F_GETFD), FD_CLOEXEC); /* ET-INIT-5, of the new one, too */
    submit_read(&c[1], number, bytes, sizeof bytes);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(epoll_wait(host, &event, 1, 0), 0);
    assert_int_equal(write(others[1], "x", 1), 1);
    assert_int_equal(epoll_wait(host, &event, 1, 0), 1);
    while (events_count == 0)
        run(ET_RUN_NO_WAIT);
}

/* An epoll instance of the host's keeps its registration when the loop renews its own. */
static void ET_HOST_5_registered_with_epoll_while_the_instance_is_renewed(void **state) {
    (void)state;
    renew_inside_a_host();
}

/* A child that has not gone on to another program has the former instance open, so that its end in
 * the parent takes it out of nothing. */
static void ET_HOST_5_a_child_keeps_the_former_instance(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(WATCHDOG_S);
        for (;;)
            pause();
    }
    renew_inside_a_host();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void ET_WAKE_1_keeps_errno(void **state) {
    (void)state;
    submit_timer(&c[0], 30);
    alarm_every_ms(wake_in_handler, 0, 2);
    run(ET_RUN_ONCE);
    int alarms_seen = alarms;
    alarm_every_ms(wake_in_handler, 0, 0);
    assert_true(alarms_seen > 0);
    assert_int_equal(errno_changed, 0);
    EXPECT({&c[0], 0});
    assert_int_equal(et_loop_deinit(&loop), 0);
    errno = ENOTTY;
    et_loop_wakeup(&loop);
    et_loop_wakeup(NULL);
    assert_int_equal(errno, ENOTTY);
}

static void ET_WAIT_5_interrupted_waits(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_timer(&c[0], 30);
    submit_read(&c[1], p[0], in[0], 1);
    uint64_t deadline_ms = et_loop_now(&loop) + 30;
    alarm_every_ms(only_count, 0, 1);
    run(ET_RUN_ONCE);
    int alarms_seen = alarms;
    alarm_every_ms(only_count, 0, 0);
    assert_true(alarms_seen > 1);
    assert_true(events[0].clock_ms >= deadline_ms);
    EXPECT({&c[0], 0});
    EXPECT_STATE(&c[1], ET_ACTIVE);
}

/* ---- one descriptor, many operations --------------------------------------------------------- */

static enum et_action note_sum_and_rearm(struct et_loop *l, struct et_completion *x, int64_t result,
                                         void *userdata) {
    (void)l, (void)x;
    *(int64_t *)userdata += result;
    return result > 0 ? ET_REARM : ET_DISARM;
}

static void ET_REGISTER_6_rearmed_read_serves_many_messages(void **state) {
    (void)state;
    int p[2];
    int64_t sum = 0;
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    submit_read(&c[0], p[0], in[0], sizeof in[0]);
    c[0].callback = note_sum_and_rearm;
    c[0].userdata = &sum;
    for (int i = 0; i < 1000; i++) {
        put(p[1], "message");
        run(ET_RUN_ONCE);
        assert_int_equal(sum, 7 * (i + 1));
        EXPECT_STATE(&c[0], ET_ADDING);
    }
    drop(p[1]);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(sum, 7000);
    EXPECT_STATE(&c[0], ET_DEAD);
}

static void ET_EVENT_1_two_reads_of_one_descriptor(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 1);
    submit_read(&c[1], p[0], in[1], 1);
    run(ET_RUN_NO_WAIT);
    put(p[1], "a");
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 1});
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    submit_read(&c[0], p[0], in[0], 1);
    put(p[1], "bc");
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[1], 1}); /* one report serves one read */
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 1});
    assert_int_equal(in[1][0], 'b');
    assert_int_equal(in[0][0], 'c');
}

static void ET_EVENT_1_read_and_write_of_one_descriptor(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    put(p[1], "in");
    submit_read(&c[0], p[0], in[0], 8);
    submit_write(&c[1], p[0], "out", 3);
    submit_poll(&c[2], p[0], POLLOUT);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(events_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(events[i].result, events[i].completion == &c[0]   ? 2
                                           : events[i].completion == &c[1] ? 3
                                                                           : POLLOUT);
    assert_int_equal(read(p[1], in[1], 8), 3);
}

#define MANY 300 /* more than one wait reports */

static enum et_action count_call(struct et_loop *l, struct et_completion *x, int64_t result,
                                 void *userdata) {
    (void)l, (void)x;
    *(unsigned *)userdata += result == 8;
    return ET_DISARM;
}

static void ET_EVENT_1_many_descriptors_at_once(void **state) {
    (void)state;
    static int fds[MANY];
    static uint64_t values[MANY];
    struct et_completion *x = calloc(MANY, sizeof *x);
    unsigned called = 0;
    assert_non_null(x);
    for (int i = 0; i < MANY; i++) {
        fds[i] = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        submit_read(&x[i], fds[i], &values[i], sizeof values[i]);
        x[i].callback = count_call;
        x[i].userdata = &called;
    }
    et_loop_wakeup(&loop);
    run(ET_RUN_UNTIL_DONE);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(close(fds[i]), 0);
    free(x);
    assert_int_equal(called, MANY);
}

#define CROWD 600 /* more than two waits report */

static enum et_action count_and_rearm(struct et_loop *l, struct et_completion *x, int64_t result,
                                      void *userdata) {
    (void)l, (void)x;
    *(unsigned *)userdata += result == 8;
    return ET_REARM;
}

/* What has been served stands behind what has not, however often it is ready again. */
static void ET_PROGRESS_2_a_crowd_that_stays_ready(void **state) {
    (void)state;
    static int fds[CROWD];
    static uint64_t values[CROWD];
    static unsigned called[CROWD];
    unsigned served = 0;
    struct et_completion *x = calloc(CROWD, sizeof *x);
    assert_non_null(x);
    memset(called, 0, sizeof called);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = eventfd(1000, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
        submit_read(&x[i], fds[i], &values[i], sizeof values[i]);
        x[i].callback = count_and_rearm;
        x[i].userdata = &called[i];
    }
    for (int turn = 0; turn < 3; turn++)
        run(ET_RUN_NO_WAIT);
    for (int i = 0; i < CROWD; i++) {
        served += called[i] > 0;
        assert_int_equal(et_loop_delete(&loop, &x[i]), 0);
    }
    run(ET_RUN_NO_WAIT);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(close(fds[i]), 0);
    free(x);
    assert_int_equal(served, CROWD);
}

static enum et_action note_and_delete_others(struct et_loop *l, struct et_completion *x,
                                             int64_t result, void *userdata) {
    note(l, x, result, userdata);
    for (int i = 0; i < 4; i++)
        if (&c[i] != x && et_loop_delete(l, &c[i]) == 0 && userdata != NULL)
            et_loop_add(l, &c[i]);
    return ET_DISARM;
}

static void ET_EVENT_6_callbacks_delete_each_other(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    put(p[1], "x");
    for (int again = 0; again < 2; again++) {
        submit_read(&c[0], p[0], in[0], 1);
        submit_write(&c[1], p[0], "y", 1);
        submit_poll(&c[2], p[0], POLLOUT);
        submit_poll(&c[3], p[0], POLLIN | POLLOUT);
        for (int i = 0; i < 4; i++)
            c[i].callback = note_and_delete_others, c[i].userdata = again ? c : NULL;
        run(ET_RUN_NO_WAIT);
        assert_int_equal(events_count, 1); /* of the first of them, whichever that is */
        events_count = 0;
        for (int i = 0; i < 4; i++)
            assert_int_equal(et_loop_delete(&loop, &c[i]), 0);
        run(ET_RUN_NO_WAIT);
        EXPECT_NOTHING();
    }
}

/* ---- behind the loop's back ------------------------------------------------------------------ */

static int pipe_now[2];

/* Closes the descriptor and opens another pipe under the same number. */
static void reopen(int fd) {
    int q[2];
    assert_int_equal(close(fd), 0);
    assert_int_equal(pipe2(q, O_NONBLOCK | O_CLOEXEC), 0);
    pipe_now[0] = fd;
    pipe_now[1] = keep(q[1] == fd ? fcntl(q[1], F_DUPFD_CLOEXEC, 0) : q[1]);
    if (q[0] != fd) {
        assert_int_equal(dup3(q[0], fd, O_CLOEXEC), fd);
        assert_int_equal(close(q[0]), 0);
    }
}

static enum et_action note_and_reopen(struct et_loop *l, struct et_completion *x, int64_t result,
                                      void *userdata) {
    note(l, x, result, userdata);
    reopen(x->fd);
    et_loop_add(l, &c[1]);
    return ET_DISARM;
}

static void ET_REGISTER_4_reopened_in_a_callback(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 1);
    c[0].callback = note_and_reopen;
    c[1] = (struct et_completion){
        .operation = ET_READ, .fd = p[0], .callback = note, .read = {in[1], 8}};
    put(p[1], "x");
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 1});
    put(pipe_now[1], "new");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 3});
}

static void ET_REGISTER_4_reopened_while_nothing_waits(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 1);
    run(ET_RUN_NO_WAIT);
    for (int i = 0; i < 5; i++) {
        submit_cancel(&c[1], &c[0]);
        run(ET_RUN_NO_WAIT);
        EXPECT({&c[0], -ECANCELED}, {&c[1], 0});
        reopen(p[0]);
        submit_read(&c[0], p[0], in[0], 8);
        run(ET_RUN_NO_WAIT);
        EXPECT_NOTHING();
        put(pipe_now[1], "new");
        run(ET_RUN_ONCE);
        EXPECT({&c[0], 3});
        submit_read(&c[0], p[0], in[0], 8);
        run(ET_RUN_NO_WAIT);
        EXPECT_NOTHING();
    }
}

static void ET_REGISTER_4_reopened_beside_a_read_that_waits(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    reopen(p[0]);
    submit_poll(&c[1], p[0], POLLIN);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    put(pipe_now[1], "new");
    run(ET_RUN_NO_WAIT);
    unsigned polled = events_count;
    for (unsigned i = 0; i < polled; i++)
        assert_true(events[i].result > 0);
    assert_true(events[0].completion == &c[1] || (polled > 1 && events[1].completion == &c[1]));
}

/* The registration of the old file stays in the kernel, because the duplicate keeps that file open.
 */
static void ET_REGISTER_2_the_same_file_under_the_same_number_again(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    int duplicate = keep(fcntl(p[0], F_DUPFD_CLOEXEC, 0));
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    run(ET_RUN_NO_WAIT);
    reopen(p[0]);
    submit_read(&c[0], p[0], in[0], 8); /* the new pipe becomes known under this number */
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(dup3(duplicate, p[0], O_CLOEXEC), p[0]);
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    put(p[1], "old");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 3});
}

static void ET_REGISTER_2_the_same_file_after_a_refusal(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    int duplicate = keep(fcntl(p[0], F_DUPFD_CLOEXEC, 0));
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(close(p[0]), 0);
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], -EBADF});
    assert_int_equal(dup3(duplicate, p[0], O_CLOEXEC), p[0]);
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    put(p[1], "old");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 3});
}

static void ET_REGISTER_4_accepted_under_a_number_that_was_known(void **state) {
    (void)state;
    struct sockaddr_in server;
    int p[2], listener = open_listener(1, &server);
    int client = keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 8);
    submit(&c[1], (struct et_completion){.operation = ET_ACCEPT,
                                         .fd = listener,
                                         .accept = {NULL, NULL, SOCK_CLOEXEC}});
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    run(ET_RUN_NO_WAIT);
    drop(p[0]); /* the lowest free number now */
    assert_int_equal(connect(client, (struct sockaddr *)&server, sizeof server), -1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], p[0]});
    keep(p[0]);
    submit_recv(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    put(client, "new");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 3});
}

/* Makes the loop remember a registration of a socket that is closed, for a number that means
 * another socket then. */
static void leave_stale_registration(int p[2], uint32_t asked) {
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    put(p[1], "x");
    submit_poll(&c[0], p[0], asked);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], asked});
    int q[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, q), 0);
    assert_int_equal(dup3(q[0], p[0], O_CLOEXEC), p[0]);
    assert_int_equal(dup3(q[1], p[1], O_CLOEXEC), p[1]);
    assert_int_equal(close(q[0]), 0);
    assert_int_equal(close(q[1]), 0);
}

static enum et_action note_and_rearm_once(struct et_loop *l, struct et_completion *x,
                                          int64_t result, void *userdata) {
    note(l, x, result, userdata);
    return events_count == 1 ? ET_REARM : ET_DISARM;
}

/* What is added after the reopening is registered anew also when its first episode ends before the
 * kernel is asked. */
static void ET_REGISTER_4_rearmed_send_that_was_answered_at_its_start(void **state) {
    (void)state;
    static char large[1 << 20];
    int p[2];
    leave_stale_registration(p, POLLOUT);
    submit_send(&c[1], p[0], large, sizeof large);
    c[1].callback = note_and_rearm_once;
    run(ET_RUN_ONCE);
    assert_int_equal(events_count, 1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(events_count, 1); /* no room is left */
    EXPECT_STATE(&c[1], ET_ACTIVE);
    while (read(p[1], large, sizeof large) > 0)
        ;
    submit_timer(&c[2], 100);
    run(ET_RUN_ONCE);
    assert_int_equal(events_count, 2);
    assert_ptr_equal(events[1].completion, &c[1]);
}

/* A read that is cancelled (before it has been started, or in the phase that has started it) and
 * rearmed. */
static void rearm_a_cancelled_read(bool started) {
    int p[2];
    leave_stale_registration(p, POLLIN);
    c[0].operation = ET_RECV;
    c[0].recv.buffer = in[0];
    c[0].recv.length = 8;
    c[0].recv.flags = 0;
    c[0].callback = note_and_rearm_once;
    if (!started)
        submit_cancel(&c[1], &c[0]);
    assert_int_equal(et_loop_add(&loop, &c[0]), 0);
    if (started)
        submit_cancel(&c[1], &c[0]);
    run(ET_RUN_NO_WAIT);
    run(ET_RUN_NO_WAIT);
    put(p[1], "new");
    submit_timer(&c[2], 100);
    run(ET_RUN_ONCE);
    EXPECT({&c[0], -ECANCELED}, {&c[1], 0}, {&c[0], 3});
}

static void ET_REGISTER_4_rearmed_read_that_was_cancelled_before_its_start(void **state) {
    (void)state;
    rearm_a_cancelled_read(false);
}

static void ET_REGISTER_4_rearmed_read_that_was_cancelled_at_its_start(void **state) {
    (void)state;
    rearm_a_cancelled_read(true);
}

static void run_for_100_ms_at_rest(struct et_completion *timer) {
    uint64_t before_ms = cpu_ms();
    submit_timer(timer, 100);
    run(ET_RUN_UNTIL_DONE);
    assert_true(cpu_ms() - before_ms < 40);
}

static void ET_REGISTER_7_duplicate_of_a_descriptor_closed_behind_its_back(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    keep(fcntl(p[0], F_DUPFD_CLOEXEC, 0));
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    drop(p[0]);
    put(p[1], "x");
    run_for_100_ms_at_rest(&c[1]);
    EXPECT({&c[1], 0});
}

static void ET_REGISTER_7_duplicate_of_a_descriptor_closed_by_the_loop(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    keep(fcntl(p[0], F_DUPFD_CLOEXEC, 0));
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    submit_close(&c[2], p[0]);
    put(p[1], "x");
    run_for_100_ms_at_rest(&c[1]);
    forget(p[0]);
    EXPECT({&c[0], -ECANCELED}, {&c[2], 0}, {&c[1], 0});
}

static void ET_REGISTER_5_data_that_nobody_reads(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    submit_recv(&c[0], p[0], in[0], 1);
    submit_poll(&c[2], p[0], POLLRDHUP);
    put(p[1], "xyz");
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 1});
    submit_timer(&c[1], 100);
    uint64_t before_ms = cpu_ms();
    run(ET_RUN_ONCE);
    assert_true(cpu_ms() - before_ms < 40);
    EXPECT({&c[1], 0});
    submit_recv(&c[0], p[0], in[0], 8);
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 2});
}

/* The kernel reports the old file under a number on which something does wait, in vain. */
static void ET_REGISTER_7_other_file_under_the_number_and_a_read_that_waits(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    keep(fcntl(p[0], F_DUPFD_CLOEXEC, 0));
    submit_read(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    reopen(p[0]);
    put(p[1], "old");
    submit_read(&c[2], p[0], in[2], 8);
    submit_timer(&c[1], 100);
    uint64_t before_ms = cpu_ms();
    run(ET_RUN_ONCE);
    EXPECT({&c[1], 0});
    uint64_t cost_ms = cpu_ms() - before_ms;
    put(pipe_now[1], "new");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[2], 3});
    assert_memory_equal(in[2], "new", 3);
    assert_true(cost_ms < 40);
}

static enum et_action note_and_reopen_partner(struct et_loop *l, struct et_completion *x,
                                              int64_t result, void *userdata) {
    note(l, x, result, userdata);
    struct et_completion *partner = x == &c[0] ? &c[1] : &c[0];
    if (events_count > 1)
        return ET_DISARM;
    et_loop_delete(l, partner);
    reopen(partner->fd);
    et_loop_add(l, partner);
    return ET_DISARM;
}

static void ET_EVENT_6_stale_report_of_a_reopened_number(void **state) {
    (void)state;
    int p[2], q[2];
    open_pipe(p);
    open_pipe(q);
    submit_read(&c[0], p[0], in[0], 8);
    submit_read(&c[1], q[0], in[1], 8);
    c[0].callback = c[1].callback = note_and_reopen_partner;
    put(p[1], "x");
    put(q[1], "x");
    run(ET_RUN_NO_WAIT);
    assert_int_equal(events_count, 1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(events_count, 1);
    put(pipe_now[1], "new");
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(events_count, 2);
    assert_int_equal(events[1].result, 3);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static volatile unsigned long allocations;

#ifdef WITH_ASAN
static void count_allocation(const volatile void *memory, size_t size) {
    (void)memory, (void)size;
    allocations++;
}

static void count_free(const volatile void *memory) {
    (void)memory;
    allocations++;
}

static void begin_counting(void) {
    static bool installed;
    if (!installed)
        assert_true(__sanitizer_install_malloc_and_free_hooks(count_allocation, count_free));
    installed = true;
    allocations = 0;
}

static unsigned long allocations_counted(void) {
    return allocations;
}
#elif !defined(__GLIBC__)
/* Nothing can be seen here; the worlds of the cases count. */
static void begin_counting(void) {
    allocations = 0;
}

static unsigned long allocations_counted(void) {
    return allocations;
}
#else
/* Only what is kept can be seen here, not what is allocated and freed again. */
static void begin_counting(void) {
    allocations = mallinfo2().uordblks + mallinfo2().hblkhd;
}

static unsigned long allocations_counted(void) {
    return mallinfo2().uordblks + mallinfo2().hblkhd - allocations;
}
#endif

static enum et_action do_nothing(struct et_loop *l, struct et_completion *x, int64_t result,
                                 void *userdata) {
    (void)l, (void)x, (void)result, (void)userdata;
    return ET_DISARM;
}

static void ET_STATE_8_no_allocation_after_init(void **state) {
    (void)state;
    int p[2], q[2], failures = 0;
    open_pair(p, SOCK_STREAM);
    open_pipe(q);
    begin_counting();
    for (int i = 0; i < 2000; i++) {
        const struct et_completion descriptions[] = {
            {.operation = ET_NOOP},
            {.operation = ET_TIMER, .timer = {0}},
            {.operation = ET_READ, .fd = q[0], .read = {in[0], 4}},
            {.operation = ET_WRITE, .fd = q[1], .write = {"data", 4}},
            {.operation = ET_RECV, .fd = p[0], .recv = {in[1], 4, 0}},
            {.operation = ET_SEND, .fd = p[1], .send = {"data", 4, 0}},
            {.operation = ET_POLL, .fd = p[0], .poll = {POLLOUT}},
            {.operation = ET_TIMER, .timer = {HOUR_MS}},
        };
        for (int k = 0; k < 8; k++) {
            c[k] = descriptions[k];
            c[k].callback = do_nothing;
            failures += et_loop_add(&loop, &c[k]) != 0;
        }
        failures += et_loop_run(&loop, ET_RUN_NO_WAIT) != 0;
        failures += et_loop_timer_reset(&loop, &c[7], &c[8], HOUR_MS, do_nothing, NULL) != 0;
        et_loop_wakeup(&loop);
        failures += et_loop_run(&loop, ET_RUN_NO_WAIT) != 0;
        failures += et_loop_cancel(&loop, &c[8], &c[7], do_nothing, NULL) != 0;
        failures += et_loop_run(&loop, ET_RUN_UNTIL_DONE) != 0;
    }
    unsigned long counted = allocations_counted();
    assert_int_equal(failures, 0);
    assert_int_equal(counted, 0);
}

static const struct CMUnitTest tests[] = {
    TEST(ET_DEINIT_4_null_loop),
    TEST(ET_DEINIT_4_zeroed_loop),
    TEST(ET_DEINIT_4_deinitialised_loop),
    TEST(ET_CALLER_1_null_completion),
    TEST(ET_STATE_1_zeroed_completion),
    TEST(ET_STATE_1_loop_in_memory_that_was_used),
    TEST(ET_CALLER_2_completion_of_another_loop),
    TEST(ET_CANCEL_8_target_and_carrier_of_another_loop),
    TEST(ET_ADD_5_invalid_descriptions),
    TEST(ET_ADD_5_refused_while_deleting_stays_deleting),
    TEST(ET_ADD_3_calls_on_an_active_completion),
    TEST(ET_DEINIT_3_init_without_descriptors_leaves_nothing),
    TEST(ET_DEINIT_3_init_without_memory_leaves_nothing),
    TEST(ET_SUBMIT_5_extreme_limits),
    TEST(ET_DEINIT_2_everything_is_dead),
    TEST(ET_TICK_2_nested_run_is_refused),
    TEST(ET_DEINIT_1_refused_inside_a_callback_of_the_same_loop_only),
    TEST(ET_CALL_3_rearm_adds),
    TEST(ET_CALL_3_rearm_acts_as_add_in_every_state),
    TEST(ET_CALL_3_rearm_that_is_refused_leaves_it_as_it_is),
    TEST(ET_CALL_3_rearmed_timer_counts_from_the_return),
    TEST(ET_CALL_2_what_was_last_described),
    TEST(ET_STATE_7_callbacks_free_their_completion),
    TEST(ET_STATE_7_memory_is_free_once_it_is_dead),
    TEST(ET_CANCEL_7_target_deletes_the_cancel),
    TEST(ET_CANCEL_5_target_behind_it_is_not_started),
    TEST(ET_CANCEL_6_nothing_to_cancel),
    TEST(ET_CANCEL_8_descriptor_of_the_former_target_stays),
    TEST(ET_CANCEL_4_cancel_of_a_cancel),
    TEST(ET_EXPIRE_4_never_early_by_the_clock),
    TEST(ET_WAIT_4_one_timer_costs_few_waits),
    TEST(ET_TIME_1_timer_set_after_a_long_wait_is_not_early),
    TEST(ET_TIME_1_time_stands_still_between_updates),
    TEST(ET_ADD_7_deadline_counts_from_the_loop_time),
    TEST(ET_ADD_7_deadlines_are_rounded_up),
    TEST(ET_ADD_7_delays_saturate),
    TEST(ET_EXPIRE_3_saturated_deadlines_are_later_than_all_others),
    TEST(ET_EXPIRE_3_many_timers_in_random_order),
    TEST(ET_EXPIRE_2_many_timers_deleted_and_reset),
    TEST(ET_RESET_4_does_not_fire_before_the_new_deadline),
    TEST(ET_RESET_4_does_not_fire_in_the_round_that_was_about_to),
    TEST(ET_RESET_4_does_not_fire_when_its_deadline_passes_while_it_is_held),
    TEST(ET_RESET_12_carrier_is_the_timer),
    TEST(ET_RESET_13_moved_at_once),
    TEST(ET_RESET_13_moved_by_a_timer_that_fires),
    TEST(ET_RESET_14_carrier_that_is_relieved),
    TEST(ET_RESET_6_busy_carriers),
    TEST(ET_RESET_9_deleted_and_cancelled_carriers_apply_it),
    TEST(ET_RESET_3_carrier_that_is_deleting_serves_at_once),
    TEST(ET_RESET_10_carrier_of_a_deleted_timer),
    TEST(ET_RESET_11_another_carrier_takes_over),
    TEST(ET_RUN_4_unknown_modes),
    TEST(ET_RUN_1_NO_WAIT_never_waits),
    TEST(ET_TICK_4_enough_callbacks_or_nothing_left),
    TEST(ET_TICK_5_null_callbacks_count_and_resets_do_not),
    TEST(ET_STOP_2_no_phase_after_the_one_in_progress),
    TEST(ET_TICK_1_stopped_loop_does_nothing),
    TEST(ET_STOP_2_stop_before_the_wait),
    TEST(ET_STOP_2_stop_in_the_timer_and_kernel_phases),
    TEST(ET_TICK_6_wait_that_fails_ends_the_tick),
    TEST(ET_WAKE_1_every_wakeup_from_a_thread_ends_a_wait),
    TEST(ET_WAKE_1_flood_of_wakeups_does_no_harm),
    TEST(ET_WAKE_2_wakeup_ends_one_wait_only),
    TEST(ET_WAKE_1_from_a_signal_handler),
    TEST(ET_WAKE_1_keeps_errno),
    TEST(ET_TIME_1_after_an_interrupted_wait_without_a_limit),
    TEST(ET_RUN_5_turn_returns_after_a_signal),
    TEST(ET_RUN_5_turns_fire_a_timer),
    TEST(ET_HOST_5_host_misses_nothing_and_does_not_spin),
    TEST(ET_HOST_4_descriptor_is_close_on_exec_and_stays),
    TEST(ET_HOST_4_no_descriptor_left),
    TEST(ET_HOST_3_stopped_loop_need_not_be_run),
    TEST(ET_HOST_5_asked_for_after_stop),
    TEST(ET_HOST_5_a_child_keeps_the_former_instance),
    TEST(ET_HOST_5_registered_with_epoll_while_the_instance_is_renewed),
    TEST(ET_WAIT_5_interrupted_waits),
    TEST(ET_REGISTER_6_rearmed_read_serves_many_messages),
    TEST(ET_EVENT_1_two_reads_of_one_descriptor),
    TEST(ET_EVENT_1_read_and_write_of_one_descriptor),
    TEST(ET_EVENT_1_many_descriptors_at_once),
    TEST(ET_PROGRESS_2_a_crowd_that_stays_ready),
    TEST(ET_EVENT_6_callbacks_delete_each_other),
    TEST(ET_REGISTER_4_reopened_in_a_callback),
    TEST(ET_REGISTER_4_reopened_while_nothing_waits),
    TEST(ET_REGISTER_4_reopened_beside_a_read_that_waits),
    TEST(ET_REGISTER_4_accepted_under_a_number_that_was_known),
    TEST(ET_REGISTER_4_rearmed_send_that_was_answered_at_its_start),
    TEST(ET_REGISTER_4_rearmed_read_that_was_cancelled_before_its_start),
    TEST(ET_REGISTER_4_rearmed_read_that_was_cancelled_at_its_start),
    TEST(ET_REGISTER_2_the_same_file_under_the_same_number_again),
    TEST(ET_REGISTER_2_the_same_file_after_a_refusal),
    TEST(ET_REGISTER_7_duplicate_of_a_descriptor_closed_behind_its_back),
    TEST(ET_REGISTER_7_duplicate_of_a_descriptor_closed_by_the_loop),
    TEST(ET_REGISTER_5_data_that_nobody_reads),
    TEST(ET_REGISTER_7_other_file_under_the_number_and_a_read_that_waits),
    TEST(ET_EVENT_6_stale_report_of_a_reopened_number),
    TEST(ET_STATE_8_no_allocation_after_init),
};

int main(void) {
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
