/* SPDX-License-Identifier: MIT */
/* The thread pool, the async and the wake-up with real threads on the real kernel. A pool of one
 * thread is held at work by a read of a pipe in blocking mode, so that every phase of the work
 * behind it can be looked at without a race. */
#include "fixture.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct et_pool pool;
static struct et_async async;
static int gate[2], data_file;
static char byte[COMPLETIONS];

static unsigned threads_of_others; /* an emulator's, which are there from the beginning */

static unsigned threads_now(void) {
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/task");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - threads_of_others;
}

static void remake_loop(unsigned threads_max, size_t stack_bytes) {
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_pool_init(&pool, &(struct et_pool_options){threads_max, stack_bytes}), 0);
    assert_int_equal(et_loop_init(&loop, &(struct et_options){.pool = &pool}), 0);
}

/* A joined thread may be listed for a moment yet. The watchdog ends what waits for ever. */
static void expect_no_other_thread(void) {
    while (threads_now() > 1)
        sched_yield();
}

/* A loop with a pool of one thread, a gate that can hold it, and a file "abcdefghijklmnop". */
static int set_up_pool(void **state) {
    setup(state);
    memset(byte, 0, sizeof byte);
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    keep(gate[0]);
    keep(gate[1]);
    data_file = keep(memfd_create("data", MFD_CLOEXEC));
    put(data_file, "abcdefghijklmnop");
    remake_loop(1, 0);
    return 0;
}

static int tear_down_pool(void **state) {
    et_loop_deinit(&loop);
    if (pool.workers != NULL)
        assert_int_equal(et_pool_deinit(&pool), 0);
    expect_no_other_thread();
    return teardown(state);
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up_pool, tear_down_pool)

static void submit_pread(unsigned i) {
    submit(&c[i], (struct et_completion){.operation = ET_PREAD,
                                         .on_pool = true,
                                         .fd = data_file,
                                         .pread = {&byte[i], 1, (int64_t)i}});
}

static bool is_executing(const struct et_completion *x) {
    pthread_mutex_lock(&pool.mutex);
    bool executing = !x->internal.is_queued;
    pthread_mutex_unlock(&pool.mutex);
    return executing;
}

/* c[0] holds the pool's thread until open_gate. */
static void hold_thread(void) {
    submit(&c[0], (struct et_completion){
                      .operation = ET_READ, .on_pool = true, .fd = gate[0], .read = {&byte[0], 1}});
    run(ET_RUN_NO_WAIT);
    while (!is_executing(&c[0]))
        sched_yield();
    EXPECT_NOTHING();
}

static void open_gate(void) {
    put(gate[1], "!");
}

/* ---- the way through the pool ---------------------------------------------------------------- */

static void ET_POOL_10_results_are_delivered(void **state) {
    (void)state;
    submit_pread(3);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[3], 1});
    assert_int_equal(byte[3], 'd');
    submit(&c[1],
           (struct et_completion){
               .operation = ET_PWRITE, .on_pool = true, .fd = data_file, .pwrite = {"XY", 2, 4}});
    run(ET_RUN_ONCE);
    EXPECT({&c[1], 2});
    submit(&c[2], (struct et_completion){
                      .operation = ET_READ, .on_pool = true, .fd = data_file, .read = {byte, 1}});
    run(ET_RUN_ONCE);
    EXPECT({&c[2], 0}); /* the file's position is at its end */
    assert_int_equal(lseek(data_file, 4, SEEK_SET), 4);
    submit(&c[2], (struct et_completion){
                      .operation = ET_READ, .on_pool = true, .fd = data_file, .read = {byte, 1}});
    run(ET_RUN_ONCE);
    EXPECT({&c[2], 1});
    assert_int_equal(byte[0], 'X');
}

/* Longer than any page or buffer that a pool may be tempted to think in. */
static void ET_POOL_4_the_whole_length_is_asked_for(void **state) {
    (void)state;
    enum { LENGTH = 300000 };
    static char text[LENGTH];
    int file = keep(memfd_create("long", MFD_CLOEXEC));
    submit(&c[0],
           (struct et_completion){
               .operation = ET_PWRITE, .on_pool = true, .fd = file, .pwrite = {text, LENGTH, 0}});
    run(ET_RUN_UNTIL_DONE);
    submit(&c[1], (struct et_completion){
                      .operation = ET_READ, .on_pool = true, .fd = file, .read = {text, LENGTH}});
    run(ET_RUN_UNTIL_DONE);
    submit(&c[2], (struct et_completion){
                      .operation = ET_WRITE, .on_pool = true, .fd = file, .write = {text, LENGTH}});
    run(ET_RUN_UNTIL_DONE);
    submit(&c[3], (struct et_completion){.operation = ET_PREAD,
                                         .on_pool = true,
                                         .fd = file,
                                         .pread = {text, LENGTH, LENGTH}});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], LENGTH}, {&c[1], LENGTH}, {&c[2], LENGTH}, {&c[3], LENGTH});
}

static void ET_POOL_2_first_in_first_out(void **state) {
    (void)state;
    hold_thread();
    for (unsigned i = 1; i < 8; i++)
        submit_pread(i);
    open_gate();
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1}, {&c[1], 1}, {&c[2], 1}, {&c[3], 1}, {&c[4], 1}, {&c[5], 1}, {&c[6], 1},
           {&c[7], 1});
}

static void ET_POOL_4_errors_are_results(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit(&c[0], (struct et_completion){
                      .operation = ET_READ, .on_pool = true, .fd = p[0], .read = {byte, 1}});
    submit(&c[1], (struct et_completion){
                      .operation = ET_READ, .on_pool = true, .fd = p[1], .read = {byte, 1}});
    submit(&c[2], (struct et_completion){
                      .operation = ET_WRITE, .on_pool = true, .fd = 9999, .write = {byte, 1}});
    submit(&c[3], (struct et_completion){.operation = ET_CLOSE, .on_pool = true, .fd = 9999});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -EAGAIN}, {&c[1], -EBADF}, {&c[2], -EBADF}, {&c[3], -EBADF});
}

static void ET_OP_5_no_SIGPIPE_reaches_the_program(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    drop(p[0]);
    signal(SIGPIPE, SIG_DFL);
    submit(&c[0], (struct et_completion){
                      .operation = ET_WRITE, .on_pool = true, .fd = p[1], .write = {"x", 1}});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -EPIPE});
}

static void ET_POOL_3_no_thread_can_be_created(void **state) {
    (void)state;
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_pool_deinit(&pool), 0);
    assert_int_equal(et_loop_init(&loop, NULL), 0);
    remake_loop(2, (size_t)15 << (sizeof(size_t) > 4 ? 42 : 28)); /* more than there is */
    submit_pread(1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], -EAGAIN});
}

static void ET_POOL_15_threads_come_when_needed(void **state) {
    (void)state;
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_pool_deinit(&pool), 0);
    assert_int_equal(et_loop_init(&loop, NULL), 0);
    remake_loop(2, 131072); /* the least that aarch64 has */
    assert_int_equal(threads_now(), 1);
    hold_thread();
    assert_int_equal(threads_now(), 2);
    submit_pread(1);
    run(ET_RUN_ONCE);
    EXPECT({&c[1], 1});
    assert_int_equal(threads_now(), 3);
    for (unsigned i = 2; i < 6; i++)
        submit_pread(i);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(threads_now(), 3);
    open_gate();
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(threads_now(), 3);
}

/* ---- cancel and delete ----------------------------------------------------------------------- */

static void ET_POOL_5_queued_work_is_cancelled(void **state) {
    (void)state;
    hold_thread();
    submit_pread(1);
    run(ET_RUN_NO_WAIT);
    submit_cancel(&c[2], &c[1]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[1], -ECANCELED}, {&c[2], 0});
    open_gate();
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1});
    assert_int_equal(byte[1], 0);
}

static void ET_POOL_6_executing_work_is_not(void **state) {
    (void)state;
    hold_thread();
    submit_cancel(&c[2], &c[0]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[2], -EALREADY});
    EXPECT_STATE(&c[0], ET_ACTIVE);
    open_gate();
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1});
}

static void ET_POOL_7_queued_work_is_deleted(void **state) {
    (void)state;
    hold_thread();
    submit_pread(1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_delete(&loop, &c[1]), 0);
    run(ET_RUN_NO_WAIT);
    EXPECT_STATE(&c[1], ET_DEAD);
    open_gate();
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1});
    assert_int_equal(byte[1], 0);
}

static void ET_POOL_8_executing_work_lingers(void **state) {
    (void)state;
    hold_thread();
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    run(ET_RUN_NO_WAIT);
    run(ET_RUN_NO_WAIT);
    EXPECT_STATE(&c[0], ET_DELETING);
    assert_int_equal(et_loop_delete(&loop, &c[0]), 0);
    assert_int_equal(et_loop_add(&loop, &c[0]), -EBUSY); /* ET-POOL-9 */
    assert_int_equal(et_loop_timer(&loop, &c[0], 1, note, NULL), -EBUSY);
    assert_int_equal(et_loop_timer_reset(&loop, &c[0], &c[1], 1, note, NULL), -EBUSY);
    assert_int_equal(et_loop_cancel(&loop, &c[0], &c[1], note, NULL), -EBUSY);
    submit_timer(&c[1], HOUR_MS);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_timer_reset(&loop, &c[1], &c[0], 1, note, NULL), -EBUSY);
    assert_int_equal(et_loop_delete(&loop, &c[1]), 0);
    submit_cancel(&c[2], &c[0]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[2], -ENOENT}); /* ET-CANCEL-6 */
    open_gate();
    run(ET_RUN_UNTIL_DONE); /* waits for what lingers: ET-TICK-4 */
    EXPECT_NOTHING();
    EXPECT_STATE(&c[0], ET_DEAD);
    assert_int_equal(byte[0], '!');
}

static void ET_CLOSE_1_a_pooled_close_ends_who_waits(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[1], p[0], byte, 1);
    run(ET_RUN_NO_WAIT);
    submit(&c[2],
           (struct et_completion){.operation = ET_CLOSE, .on_pool = true, .fd = forget(p[0])});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], -ECANCELED}, {&c[2], 0});
    assert_int_equal(fcntl(p[0], F_GETFD), -1);
}

static int other_pipe[2];
static bool is_rearmed_for_the_pool;

/* A read that is reported; then something else, during which the number gets another file; then a
 * read of that. */
static enum et_action read_pause_read(struct et_loop *l, struct et_completion *x, int64_t result,
                                      void *userdata) {
    note(l, x, result, userdata);
    if (events_count == 1 && is_rearmed_for_the_pool) {
        x->on_pool = true;
    } else if (events_count == 1) {
        x->operation = ET_TIMER;
        x->timer.delay_ms = 0;
    } else if (events_count == 2) {
        assert_int_equal(dup2(other_pipe[0], x->fd), x->fd);
        x->operation = ET_READ;
        x->on_pool = false;
        x->read.buffer = byte;
        x->read.length = 1;
    }
    return events_count < 3 ? ET_REARM : ET_DISARM;
}

static void rearm_twice(bool for_the_pool) {
    int p[2];
    is_rearmed_for_the_pool = for_the_pool;
    open_pipe(p);
    open_pipe(other_pipe);
    put(p[1], "1");
    put(other_pipe[1], "2");
    submit(&c[0],
           (struct et_completion){
               .operation = ET_READ, .fd = p[0], .read = {byte, 1}, .callback = read_pause_read});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1}, {&c[0], for_the_pool ? -EAGAIN : 0}, {&c[0], 1});
    assert_int_equal(byte[0], '2');
}

/* Only an episode that ended by a report vouches for the registration, and neither of these does.
 */
static void ET_REGISTER_4_after_a_rearm_as_a_timer(void **state) {
    (void)state;
    rearm_twice(false);
}

static void ET_REGISTER_4_after_a_rearm_for_the_pool(void **state) {
    (void)state;
    rearm_twice(true);
}

/* ---- the pool's life and the loops' ---------------------------------------------------------- */

/* When deinit has taken the queued work out, and so waits for what executes: it gives up the mutex
 * only for that. */
static void wait_until_nothing_is_queued(void) {
    for (bool queued = true; queued;) {
        sched_yield();
        pthread_mutex_lock(&pool.mutex);
        queued = pool.queued > 0;
        pthread_mutex_unlock(&pool.mutex);
    }
}

static void *open_gate_when_nothing_is_queued(void *argument) {
    (void)argument;
    wait_until_nothing_is_queued();
    open_gate();
    return NULL;
}

static void ET_POOL_13_deinit_waits_for_what_executes(void **state) {
    (void)state;
    pthread_t thread;
    hold_thread();
    submit_pread(1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(pthread_create(&thread, NULL, open_gate_when_nothing_is_queued, NULL), 0);
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(byte[0], '!');
    assert_int_equal(byte[1], 0);
    EXPECT_STATE(&c[0], ET_DEAD);
    EXPECT_STATE(&c[1], ET_DEAD);
    EXPECT_NOTHING();
    pthread_join(thread, NULL);
    /* the pool lives on */
    assert_int_equal(et_loop_init(&loop, &(struct et_options){.pool = &pool}), 0);
    submit_pread(2);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[2], 1});
}

static void ET_ADD_4_deinit_leaves_no_trace_of_the_pool(void **state) {
    (void)state;
    submit_pread(1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_loop_init(&loop, NULL), 0);
    c[1].operation = ET_NOOP; /* not zeroed in between */
    c[1].on_pool = false;
    assert_int_equal(et_loop_add(&loop, &c[1]), 0);
    assert_int_equal(et_loop_delete(&loop, &c[1]), 0);
    assert_int_equal(et_loop_add(&loop, &c[1]), 0); /* it does not linger */
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 0});
}

static void ET_POOL_14_a_pool_in_use_is_not_deinitialised(void **state) {
    (void)state;
    assert_int_equal(et_pool_deinit(&pool), -EBUSY);
    submit_pread(1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 1});
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_pool_deinit(&pool), 0);
    expect_no_other_thread();
}

static void ET_POOL_14_a_refusal_changes_nothing(void **state) {
    (void)state;
    submit_pread(1);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(et_pool_deinit(&pool), -EBUSY); /* its thread is idle */
    sleep_ms(10);
    for (unsigned i = 2; i < 4; i++) {
        submit_pread(i);
        run(ET_RUN_UNTIL_DONE);
    }
    EXPECT({&c[1], 1}, {&c[2], 1}, {&c[3], 1});
}

static void *deinit_pool_when_nothing_is_queued(void *result) {
    wait_until_nothing_is_queued();
    *(int *)result = et_pool_deinit(&pool);
    open_gate();
    return NULL;
}

static void ET_POOL_14_while_a_loop_waits_to_leave_it(void **state) {
    (void)state;
    pthread_t thread;
    int result = 0;
    hold_thread();
    submit_pread(1);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(pthread_create(&thread, NULL, deinit_pool_when_nothing_is_queued, &result), 0);
    assert_int_equal(et_loop_deinit(&loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(result, -EBUSY);
}

static void remake_pool(unsigned threads_max) {
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_pool_deinit(&pool), 0);
    assert_int_equal(et_pool_init(&pool, &(struct et_pool_options){.threads_max = threads_max}), 0);
    assert_int_equal(et_loop_init(&loop, &(struct et_options){.pool = &pool}), 0);
}

/* Two works that need each other, joining the queue together while both threads are idle. */
static void ET_POOL_15_every_idle_thread_is_told(void **state) {
    (void)state;
    remake_pool(2);
    for (unsigned i = 0; i < 50; i++) {
        submit(&c[0], (struct et_completion){
                          .operation = ET_READ, .on_pool = true, .fd = gate[0], .read = {byte, 1}});
        submit(&c[1],
               (struct et_completion){
                   .operation = ET_WRITE, .on_pool = true, .fd = gate[1], .write = {"!", 1}});
        run(ET_RUN_UNTIL_DONE);
        sleep_ms(1); /* they are idle again */
    }
    assert_int_equal(events_count, 100);
    events_count = 0;
}

static int second_gate[2];

static void *deinit_other_loop(void *other) {
    return (void *)(intptr_t)et_loop_deinit(other);
}

static void *open_both_gates(void *argument) {
    (void)argument;
    sleep_ms(50); /* both loops are waiting, the other one first */
    open_gate();
    sleep_ms(20);
    put(second_gate[1], "!");
    return NULL;
}

static void ET_POOL_13_two_loops_wait_at_once(void **state) {
    (void)state;
    static struct et_loop other;
    pthread_t opener, ender;
    void *result;
    remake_pool(2);
    assert_int_equal(pipe2(second_gate, O_CLOEXEC), 0);
    keep(second_gate[0]);
    keep(second_gate[1]);
    assert_int_equal(et_loop_init(&other, &(struct et_options){.pool = &pool}), 0);
    hold_thread();
    c[1] = (struct et_completion){
        .operation = ET_READ, .on_pool = true, .fd = second_gate[0], .read = {&byte[1], 1}};
    assert_int_equal(et_loop_add(&other, &c[1]), 0);
    assert_int_equal(et_loop_run(&other, ET_RUN_NO_WAIT), 0);
    while (!is_executing(&c[1]))
        sched_yield();
    assert_int_equal(pthread_create(&opener, NULL, open_both_gates, NULL), 0);
    assert_int_equal(pthread_create(&ender, NULL, deinit_other_loop, &other), 0);
    sleep_ms(10);
    assert_int_equal(et_loop_deinit(&loop), 0);
    pthread_join(opener, NULL);
    pthread_join(ender, &result);
    assert_null(result);
    assert_memory_equal(byte, "!!", 2);
}

static void ET_INIT_3_descriptors_stay_with_the_program(void **state) {
    (void)state;
    assert_int_equal(et_async_init(&async), 0);
    const int fds[] = {loop.epoll, loop.wakeup, async.fd};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
    assert_true((fcntl(loop.wakeup, F_GETFL) & O_NONBLOCK) != 0); /* ET-WAKE-4: never blocks */
    assert_true((fcntl(async.fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(et_async_deinit(&async), 0);
}

static void ET_POOL_16_no_pool(void **state) {
    (void)state;
    struct et_loop other;
    struct et_pool none = {.loops = 0};
    assert_int_equal(et_pool_deinit(&none), -EINVAL);
    assert_int_equal(et_pool_deinit(NULL), -EINVAL);
    assert_int_equal(et_pool_init(NULL, NULL), -EINVAL);
    assert_int_equal(et_pool_init(&none, &(struct et_pool_options){.threads_max = 1025}), -EINVAL);
    assert_int_equal(et_pool_init(&none, &(struct et_pool_options){.stack_bytes = 1}), -EINVAL);
    assert_int_equal(et_loop_init(&other, &(struct et_options){.pool = &none}), -EINVAL);
    assert_int_equal(et_loop_tick(&other, 0), -EINVAL);
    assert_int_equal(et_pool_init(&none, &(struct et_pool_options){.threads_max = 1024}), 0);
    assert_int_equal(et_pool_deinit(&none), 0);
    assert_int_equal(et_pool_init(&none, NULL), 0);
    assert_int_equal(none.threads_max, sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(et_pool_deinit(&none), 0);
    assert_int_equal(et_pool_deinit(&none), -EINVAL);
}

static void ET_POOL_2_two_loops_share_one_queue(void **state) {
    (void)state;
    struct et_loop other;
    assert_int_equal(et_loop_init(&other, &(struct et_options){.pool = &pool}), 0);
    hold_thread();
    c[1] = (struct et_completion){.operation = ET_PREAD,
                                  .on_pool = true,
                                  .fd = data_file,
                                  .pread = {&byte[1], 1, 1},
                                  .callback = note};
    assert_int_equal(et_loop_add(&other, &c[1]), 0);
    assert_int_equal(et_loop_run(&other, ET_RUN_NO_WAIT), 0);
    submit_pread(2);
    run(ET_RUN_NO_WAIT);
    open_gate();
    run(ET_RUN_UNTIL_DONE); /* c[2] came after c[1]: so that is handed over too */
    EXPECT({&c[0], 1}, {&c[2], 1});
    EXPECT_STATE(&c[1], ET_ACTIVE);
    assert_int_equal(et_loop_run(&other, ET_RUN_NO_WAIT), 0);
    assert_int_equal(events_count, 1);
    events_count = 0;
    assert_int_equal(et_loop_deinit(&other), 0);
}

/* ---- the async ------------------------------------------------------------------------------- */

static void ET_ASYNC_2_notifications_coalesce_and_none_is_lost(void **state) {
    (void)state;
    assert_int_equal(et_async_init(&async), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(et_async_notify(&async), 0);
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), 0);
    assert_int_equal(et_async_wait(&loop, &async, &c[1], note, NULL), 0);
    assert_int_equal(et_async_wait(&loop, &async, &c[1], note, NULL), -EBUSY);
    run(ET_RUN_ONCE);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 8});
    EXPECT_STATE(&c[1], ET_ACTIVE); /* ET-ASYNC-3 */
    assert_int_equal(et_async_wait(&loop, &async, &c[1], note, NULL), -EBUSY);
    assert_int_equal(et_async_notify(&async), 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 8});
    assert_int_equal(et_async_deinit(&async), 0);
}

static void notify_on_signal(int number) {
    (void)number;
    (void)et_async_notify(&async);
}

static void ET_ASYNC_4_from_a_signal_handler(void **state) {
    (void)state;
    assert_int_equal(et_async_init(&async), 0);
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), 0);
    run(ET_RUN_NO_WAIT);
    signal(SIGUSR1, notify_on_signal);
    errno = ERANGE;
    raise(SIGUSR1);
    assert_int_equal(errno, ERANGE);
    signal(SIGUSR1, SIG_DFL);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 8});
    uint64_t full = UINT64_MAX - 1; /* a further notification does not fit, and is not lost */
    assert_int_equal(write(async.fd, &full, sizeof full), sizeof full);
    errno = ERANGE;
    assert_int_equal(et_async_notify(&async), 0);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(et_async_deinit(&async), 0);
}

static void *notify_later(void *argument) {
    (void)argument;
    sleep_ms(10);
    assert_int_equal(et_async_notify(&async), 0);
    return NULL;
}

static void ET_ASYNC_4_from_another_thread(void **state) {
    (void)state;
    pthread_t thread;
    assert_int_equal(et_async_init(&async), 0);
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, notify_later, NULL), 0);
    run(ET_RUN_UNTIL_DONE);
    pthread_join(thread, NULL);
    EXPECT({&c[0], 8});
    assert_int_equal(et_async_deinit(&async), 0);
}

static void *notify_when_cancelled(void *argument) {
    (void)argument;
    /* it ends at the next cancellation point, which is in none of these */
    pthread_cancel(pthread_self());
    assert_int_equal(et_async_notify(&async), 0);
    et_loop_wakeup(&loop);
    pthread_testcancel();
    return &async;
}

static void ET_ASYNC_4_from_a_thread_that_is_cancelled(void **state) {
    (void)state;
    pthread_t thread;
    void *end;
    assert_int_equal(et_async_init(&async), 0);
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, notify_when_cancelled, NULL), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, PTHREAD_CANCELED);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 8});
    assert_int_equal(et_async_deinit(&async), 0); /* waits for nobody: nor does that of the loop */
}

/* ---- a schedule that is chosen: between the two looks of a late wake-up or notification there is
 * a call of pthread_setcancelstate ---- */

static void (*overtakes)(void); /* what another thread does meanwhile, all of it */

int __real_pthread_setcancelstate(int to, int *from);
int __wrap_pthread_setcancelstate(int to, int *from) {
    void (*other_thread)(void) = overtakes;
    overtakes = NULL;
    if (other_thread != NULL)
        other_thread();
    return __real_pthread_setcancelstate(to, from);
}

static int other_file; /* has the number of the eventfd that was closed */

static void take_number(int number) {
    other_file = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(keep(other_file), number);
}

static void deinit_loop_meanwhile(void) {
    int number = loop.wakeup, epoll = loop.epoll;
    assert_int_equal(et_loop_deinit(&loop), 0); /* waits for nobody: the other has only looked */
    if (epoll < number)
        keep(memfd_create("lower", MFD_CLOEXEC));
    take_number(number);
}

static void deinit_async_meanwhile(void) {
    int number = async.fd;
    assert_int_equal(et_async_deinit(&async), 0);
    take_number(number);
}

static void expect_untouched(int fd) {
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, 0);
}

/* Neither the former number may be written to, nor what the zeroed loop has in its place. */
static void ET_WAKE_3_overtaken_by_deinit(void **state) {
    (void)state;
    int standard_input = keep(fcntl(0, F_DUPFD_CLOEXEC, 0)),
        zero = memfd_create("zero", MFD_CLOEXEC);
    assert_int_equal(dup2(zero, 0), 0);
    close(zero);
    overtakes = deinit_loop_meanwhile;
    et_loop_wakeup(&loop);
    assert_null(overtakes); /* there was such a call */
    expect_untouched(other_file);
    expect_untouched(0);
    assert_int_equal(dup2(standard_input, 0), 0);
}

static void ET_ASYNC_5_overtaken_by_deinit(void **state) {
    (void)state;
    assert_int_equal(et_async_init(&async), 0);
    overtakes = deinit_async_meanwhile;
    assert_int_equal(et_async_notify(&async), -EINVAL);
    assert_null(overtakes);
    expect_untouched(other_file);
}

/* ---- a notify that is in progress, whose write blocks: the counter is full ------------------- */

static int full_counter = -1; /* what deinit waits for is let go when it first gives way */
static unsigned gave_way;

int __real_sched_yield(void);
int __wrap_sched_yield(void);
int __wrap_sched_yield(void) {
    uint64_t count;
    if (full_counter >= 0 && gave_way++ == 0)
        assert_int_equal(read(full_counter, &count, sizeof count), sizeof count);
    return __real_sched_yield();
}

static void *notify_once(void *result) {
    *(int *)result = et_async_notify(&async);
    return NULL;
}

static void ET_ASYNC_5_deinit_waits_for_a_notify(void **state) {
    (void)state;
    pthread_t thread;
    int result = 1;
    uint64_t count = UINT64_MAX - 1;
    assert_int_equal(et_async_init(&async), 0);
    assert_int_equal(fcntl(async.fd, F_SETFL, 0), 0);
    assert_int_equal(write(async.fd, &count, sizeof count), sizeof count);
    int duplicate = keep(fcntl(async.fd, F_DUPFD_CLOEXEC, 0));
    assert_int_equal(pthread_create(&thread, NULL, notify_once, &result), 0);
    while ((atomic_load(&async.users) & 1) == 0)
        __real_sched_yield();
    gave_way = 0;
    full_counter = duplicate;
    assert_int_equal(et_async_deinit(&async), 0);
    full_counter = -1;
    if (gave_way == 0)
        assert_int_equal(read(duplicate, &count, sizeof count), sizeof count);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(gave_way > 0); /* or the number could have been another file's by then */
    assert_int_equal(result, 0);
    assert_int_equal(read(duplicate, &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
}

/* section 15 of etalon.md, 3: both loops are this thread's */
static void ET_ASYNC_1_calls_that_name_nothing_usable(void **state) {
    (void)state;
    struct et_loop other;
    assert_int_equal(et_loop_init(&other, NULL), 0);
    assert_int_equal(et_async_init(&async), 0);
    assert_int_equal(et_async_wait(&loop, &async, NULL, note, NULL), -EINVAL);
    assert_int_equal(et_async_wait(NULL, &async, &c[0], note, NULL), -EINVAL);
    assert_int_equal(et_async_wait(&other, &async, &c[0], note, NULL), 0);
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), -EINVAL);
    EXPECT_STATE(&c[0], ET_ADDING);
    assert_int_equal(et_loop_deinit(&other), 0);
    assert_int_equal(et_async_deinit(&async), 0);
    assert_int_equal(et_loop_timer(&loop, &c[0], HOUR_MS, note, NULL), 0);
    /* whatever the state: ET-ASYNC-5 */
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), -EINVAL);
}

static void ET_ASYNC_5_after_deinit(void **state) {
    (void)state;
    memset(&async, 0, sizeof async);
    assert_int_equal(et_async_notify(&async), -EINVAL);
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), -EINVAL);
    assert_int_equal(et_async_deinit(&async), -EINVAL);
    assert_int_equal(et_async_init(NULL), -EINVAL);
    assert_int_equal(et_async_notify(NULL), -EINVAL);
    assert_int_equal(et_async_deinit(NULL), -EINVAL);
    assert_int_equal(et_async_wait(&loop, NULL, &c[0], note, NULL), -EINVAL);
    assert_int_equal(et_async_init(&async), 0);
    int number = async.fd;
    assert_int_equal(et_async_deinit(&async), 0);
    int p[2];
    open_pipe(p);
    assert_int_equal(p[0], number); /* the number is somebody else's now */
    assert_int_equal(et_async_notify(&async), -EINVAL);
    assert_int_equal(et_async_deinit(&async), -EINVAL);
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), -EINVAL);
    EXPECT_STATE(&c[0], ET_DEAD);
    assert_int_equal(fcntl(p[0], F_GETFD), FD_CLOEXEC);
}

static void ET_WAKE_3_after_deinit(void **state) {
    (void)state;
    int number = loop.wakeup;
    assert_int_equal(et_loop_deinit(&loop), 0);
    int other = keep(memfd_create("other", MFD_CLOEXEC));
    assert_int_equal(dup2(other, number), number);
    keep(number);
    et_loop_wakeup(&loop);
    et_loop_wakeup(NULL);
    expect_untouched(number);
}

int main(void) {
    threads_of_others = threads_now() - 1;
    const struct CMUnitTest tests[] = {
        TEST(ET_POOL_10_results_are_delivered),
        TEST(ET_POOL_4_the_whole_length_is_asked_for),
        TEST(ET_POOL_2_first_in_first_out),
        TEST(ET_POOL_4_errors_are_results),
        TEST(ET_OP_5_no_SIGPIPE_reaches_the_program),
        TEST(ET_POOL_3_no_thread_can_be_created),
        TEST(ET_POOL_15_threads_come_when_needed),
        TEST(ET_POOL_5_queued_work_is_cancelled),
        TEST(ET_POOL_6_executing_work_is_not),
        TEST(ET_POOL_7_queued_work_is_deleted),
        TEST(ET_POOL_8_executing_work_lingers),
        TEST(ET_CLOSE_1_a_pooled_close_ends_who_waits),
        TEST(ET_REGISTER_4_after_a_rearm_as_a_timer),
        TEST(ET_REGISTER_4_after_a_rearm_for_the_pool),
        TEST(ET_POOL_13_deinit_waits_for_what_executes),
        TEST(ET_ADD_4_deinit_leaves_no_trace_of_the_pool),
        TEST(ET_POOL_14_a_pool_in_use_is_not_deinitialised),
        TEST(ET_POOL_14_a_refusal_changes_nothing),
        TEST(ET_POOL_14_while_a_loop_waits_to_leave_it),
        TEST(ET_POOL_15_every_idle_thread_is_told),
        TEST(ET_POOL_13_two_loops_wait_at_once),
        TEST(ET_INIT_3_descriptors_stay_with_the_program),
        TEST(ET_POOL_16_no_pool),
        TEST(ET_ASYNC_1_calls_that_name_nothing_usable),
        TEST(ET_POOL_2_two_loops_share_one_queue),
        TEST(ET_ASYNC_2_notifications_coalesce_and_none_is_lost),
        TEST(ET_ASYNC_4_from_a_signal_handler),
        TEST(ET_ASYNC_4_from_another_thread),
        TEST(ET_ASYNC_4_from_a_thread_that_is_cancelled),
        TEST(ET_ASYNC_5_after_deinit),
        TEST(ET_WAKE_3_after_deinit),
        TEST(ET_WAKE_3_overtaken_by_deinit),
        TEST(ET_ASYNC_5_overtaken_by_deinit),
        TEST(ET_ASYNC_5_deinit_waits_for_a_notify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
