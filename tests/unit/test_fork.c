/* SPDX-License-Identifier: MIT */
/* What a child of fork may do with the loops, pools and asyncs of its parent: real children, each
 * with an alarm, so that what would wait for ever fails. The tests run twice: in the second process
 * the kernel cannot wipe memory on fork, as on Linux before 4.14. */
#include "fixture.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CHILD_S        10
#define WITHOUT_WIPING "ETALON_TEST_WITHOUT_WIPING"
#define SNAPSHOT_BYTES 4096

static struct et_pool pool;
static struct et_async async;
static int gate[2], data_file;
static char byte[COMPLETIONS];
static bool is_child, no_memory;
static pid_t child;

int __real_madvise(void *address, size_t length, int advice);
int __wrap_madvise(void *address, size_t length, int advice);
#if defined(__GLIBC__) && !defined(__LP64__) /* the name for files of any size */
void *__real_mmap(void *address, size_t length, int protection, int flags, int fd,
                  off_t offset) __asm__("__real_mmap64");
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd,
                  off_t offset) __asm__("__wrap_mmap64");
#endif
void *__real_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);
int __real_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void));

static void (*is_faster)(void); /* what another thread does while this one makes the word */
static bool no_handlers;
static void *page; /* the last that was made, until it is given back */

int __wrap_madvise(void *address, size_t length, int advice) {
    void (*other_thread)(void) = is_faster;
    is_faster = NULL;
    if (other_thread != NULL)
        other_thread();
    page = address;
    if (getenv(WITHOUT_WIPING) == NULL)
        return __real_madvise(address, length, advice);
    errno = EINVAL;
    return -1;
}

void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    if (!no_memory)
        return __real_mmap(address, length, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

int __wrap_munmap(void *address, size_t length) {
    if (address == page)
        page = NULL;
    return __real_munmap(address, length);
}

int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
    return no_handlers ? ENOMEM : __real_pthread_atfork(before, parent, child);
}

/* ---- children -------------------------------------------------------------------------------- */

/* In a child, where cmocka's assertions would go on with the parent's tests. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, __LINE__, #condition);          \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void begin_child(void) {
    is_child = true;
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_S);
}

static void expect_child(pid_t process) {
    int status;
    assert_true(process > 0);
    assert_int_equal(waitpid(process, &status, 0), process);
    if (WIFSIGNALED(status))
        print_error("the child was ended by signal %d\n", WTERMSIG(status));
    assert_int_equal(status, 0);
}

static void in_child(void (*act)(void)) {
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        begin_child();
        act();
        _exit(0);
    }
    expect_child(process);
}

/* With LeakSanitizer, where it is linked: what deinit has not released. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

static void give_up(int signal_number) {
    (void)signal_number;
    _exit(0);
}

/* In a child. LeakSanitizer waits for ever for its allocator's lock if another thread of
 * the parent, which is not here, held it at the fork: then there is no answer. */
static void check_no_leak(void) {
    if (__lsan_do_recoverable_leak_check == NULL)
        return;
    signal(SIGALRM, give_up);
    alarm(2);
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    begin_child();
}

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

/* ---- what the parent must not notice --------------------------------------------------------- */

struct snapshot {
    char of[3][SNAPSHOT_BYTES]; /* the registrations of the epoll instance; two counters */
};

static void read_all(int fd, char *text) {
    char path[64];
    memset(text, 0, SNAPSHOT_BYTES);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int info = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(info >= 0);
    assert_true(read(info, text, SNAPSHOT_BYTES - 1) > 0);
    close(info);
}

static struct snapshot look(void) {
    static struct snapshot s;
    read_all(loop.epoll, s.of[0]);
    read_all(loop.wakeup, s.of[1]);
    read_all(async.fd, s.of[2]);
    return s;
}

static void expect_untouched_since(const struct snapshot *before) {
    struct snapshot now = look();
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(now.of[i], before->of[i]);
}

/* ---- before and after each test -------------------------------------------------------------- */

static int set_up_fork(void **state) {
    setup(state);
    memset(byte, 0, sizeof byte);
    child = 0;
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    keep(gate[0]);
    keep(gate[1]);
    data_file = keep(memfd_create("data", MFD_CLOEXEC));
    put(data_file, "abcdefghijklmnop");
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(et_async_init(&async), 0);
    assert_int_equal(et_pool_init(&pool, &(struct et_pool_options){.threads_max = 2}), 0);
    return et_loop_init(&loop, &(struct et_options){.pool = &pool});
}

static int tear_down_fork(void **state) {
    put(gate[1], "!!!"); /* after a failure, threads may be held yet */
    et_loop_deinit(&loop);
    assert_int_equal(et_pool_deinit(&pool), 0);
    assert_int_equal(et_async_deinit(&async), 0);
    return teardown(state);
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up_fork, tear_down_fork)

static void submit_pooled(struct et_completion *x, int fd) {
    submit(x, (struct et_completion){
                  .operation = ET_READ, .on_pool = true, .fd = fd, .read = {&byte[x - c], 1}});
}

/* Two reads of an empty pipe hold both threads; what is submitted after them stays queued. */
static void hold_threads(void) {
    submit_pooled(&c[0], gate[0]);
    submit_pooled(&c[1], gate[0]);
    run(ET_RUN_NO_WAIT);
    unsigned queued = 1;
    while (queued > 0) {
        pthread_mutex_lock(&pool.mutex);
        queued = pool.queued;
        pthread_mutex_unlock(&pool.mutex);
    }
}

static void open_gate(void) {
    put(gate[1], "!!");
}

/* One completion in each state and place that there is between two ticks: c[0] to c[9]. */
static void fill_loop(void) {
    static int p[2];
    open_pipe(p);
    hold_threads();
    assert_int_equal(et_loop_delete(&loop, &c[1]), 0); /* lingering */
    submit_pooled(&c[2], gate[0]);                     /* queued */
    submit_timer(&c[3], HOUR_MS);
    submit_timer(&c[4], HOUR_MS);
    submit_read(&c[5], p[0], &byte[5], 1);
    submit_poll(&c[6], p[0], POLLIN);
    assert_int_equal(et_async_wait(&loop, &async, &c[7], note, NULL), 0);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    assert_int_equal(et_loop_timer_reset(&loop, &c[4], &c[8], HOUR_MS, note, NULL), 0); /* held */
    submit_noop(&c[9]);                                                                 /* adding */
    assert_int_equal(et_loop_delete(&loop, &c[5]), 0);
}

static void check_all_dead(void) {
    for (unsigned i = 0; i < COMPLETIONS; i++)
        CHECK(et_completion_state(&c[i]) == ET_DEAD);
    CHECK(events_count == 0);
}

/* The parent's loop is as it was: what was active ends, and nothing else. */
static void expect_works(void) {
    open_gate();
    put(gate[1], "!");
    assert_int_equal(et_async_notify(&async), 0);
    while (events_count < 4)
        run(ET_RUN_ONCE);
    bool ended[COMPLETIONS] = {false};
    assert_int_equal(events_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(events[i].result >= 0);
        ended[events[i].completion - c] = true;
    }
    assert_true(ended[0] && ended[2] && ended[7] && ended[9]);
    EXPECT_STATE(&c[4], ET_ACTIVE);
    EXPECT_STATE(&c[8], ET_DEAD);
    events_count = 0;
}

/* ---- deinit ---------------------------------------------------------------------------------- */

static void deinit_all(void) {
    int epoll = loop.epoll, wakeup = loop.wakeup, counter = async.fd;
    CHECK(et_loop_deinit(&loop) == 0);
    check_all_dead();
    CHECK(!is_open(epoll) && !is_open(wakeup));
    CHECK(et_pool_deinit(&pool) == 0);
    CHECK(et_async_deinit(&async) == 0);
    CHECK(!is_open(counter));
    CHECK(et_loop_deinit(&loop) == -EINVAL && et_pool_deinit(&pool) == -EINVAL);
    CHECK(et_async_deinit(&async) == -EINVAL && et_async_notify(&async) == -EINVAL);
    check_no_leak();
}

static void ET_FORK_1_everything_is_dead_and_released(void **state) {
    (void)state;
    fill_loop();
    struct snapshot before = look();
    in_child(deinit_all);
    expect_untouched_since(&before);
    expect_works();
}

static void deinit_pool_first(void) {
    CHECK(et_pool_deinit(&pool) == 0);
    memset(&pool, 0xa5, sizeof pool); /* its memory is the child's again */
    CHECK(et_loop_deinit(&loop) == 0);
    check_all_dead();
    check_no_leak();
}

static void ET_FORK_2_the_pool_may_go_before_its_loops(void **state) {
    (void)state;
    fill_loop();
    in_child(deinit_pool_first);
    expect_works();
}

static void ET_FORK_1_a_mutex_that_is_locked_for_ever(void **state) {
    (void)state;
    fill_loop();
    pthread_mutex_lock(&pool.mutex);
    in_child(deinit_all);
    pthread_mutex_unlock(&pool.mutex);
    expect_works();
}

/* As if other threads were between the first and the last line of eti_raise. */
static void ET_FORK_2_a_notify_that_never_ends(void **state) {
    (void)state;
    fill_loop();
    atomic_fetch_add(&async.users, 1);
    atomic_fetch_add(&loop.wakers, 1);
    in_child(deinit_all);
    atomic_fetch_sub(&loop.wakers, 1);
    atomic_fetch_sub(&async.users, 1);
    expect_works();
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse_all(void) {
    static struct et_loop was;
    static struct et_completion completions_were[COMPLETIONS];
    struct et_completion other = {0}, carrier = {0};
    struct et_loop fresh;
    memcpy(&was, &loop, sizeof was);
    memcpy(completions_were, c, sizeof c);
    CHECK(et_loop_run(&loop, ET_RUN_NO_WAIT) == -ECHILD);
    CHECK(et_loop_run(&loop, ET_RUN_UNTIL_DONE) == -ECHILD);
    CHECK(et_loop_run(&loop, (enum et_run_mode)99) == -ECHILD);
    CHECK(et_loop_tick(&loop, 1) == -ECHILD);
    CHECK(et_loop_add(&loop, &other) == -ECHILD);
    CHECK(et_loop_add(&loop, NULL) == -ECHILD);
    CHECK(et_loop_delete(&loop, &c[3]) == -ECHILD);
    CHECK(et_loop_timer(&loop, &other, 1, note, NULL) == -ECHILD);
    CHECK(et_loop_timer_reset(&loop, &c[3], &carrier, 1, note, NULL) == -ECHILD);
    CHECK(et_loop_timer_reset(&loop, &c[3], NULL, 1, note, NULL) == -ECHILD);
    CHECK(et_loop_cancel(&loop, &other, &c[3], note, NULL) == -ECHILD);
    CHECK(et_async_wait(&loop, &async, &other, note, NULL) == -ECHILD);
    CHECK(et_async_notify(&async) == -ECHILD);
    CHECK(et_loop_init(&fresh, &(struct et_options){.pool = &pool}) == -ECHILD);
    CHECK(et_loop_now(&loop) == 0);
    CHECK(!et_loop_stopped(&loop));
    et_loop_stop(&loop);
    et_loop_update_now(&loop);
    et_loop_wakeup(&loop);
    CHECK(memcmp(&was, &loop, sizeof was) == 0);
    CHECK(memcmp(completions_were, c, sizeof c) == 0);
    CHECK(events_count == 0);
    CHECK(et_loop_init(&fresh, NULL) == 0);
    CHECK(et_async_wait(&fresh, &async, &other, note, NULL) == -ECHILD);
    CHECK(et_loop_deinit(&fresh) == 0);
}

static void ET_FORK_3_every_other_call_is_refused(void **state) {
    (void)state;
    fill_loop();
    struct snapshot before = look();
    in_child(refuse_all);
    expect_untouched_since(&before);
    expect_works();
}

static void stopped_is_refused(void) {
    CHECK(et_loop_run(&loop, ET_RUN_NO_WAIT) == -ECHILD);
    CHECK(!et_loop_stopped(&loop));
    CHECK(et_loop_deinit(&loop) == 0);
}

static void ET_FORK_3_a_stopped_loop(void **state) {
    (void)state;
    et_loop_stop(&loop);
    in_child(stopped_is_refused);
    assert_true(et_loop_stopped(&loop));
}

/* A close by the loop would remove the parent's registration, a shutdown would end its
 * connection. */
static void try_to_harm(void) {
    struct et_completion closes = {.operation = ET_CLOSE, .fd = (int)c[0].fd};
    struct et_completion shuts = {.operation = ET_SHUTDOWN, .fd = (int)c[0].fd};
    CHECK(et_loop_add(&loop, &closes) == -ECHILD && et_loop_add(&loop, &shuts) == -ECHILD);
    CHECK(et_loop_run(&loop, ET_RUN_NO_WAIT) == -ECHILD);
    et_loop_wakeup(&loop);
    CHECK(et_async_notify(&async) == -ECHILD);
    CHECK(et_loop_deinit(&loop) == 0 && et_async_deinit(&async) == 0);
    CHECK(is_open(c[0].fd));
}

static void ET_FORK_4_the_parent_notices_nothing(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    submit_recv(&c[0], p[0], byte, 1);
    run(ET_RUN_NO_WAIT);
    struct snapshot before = look();
    assert_non_null(strstr(before.of[0], "tfd:"));
    in_child(try_to_harm);
    expect_untouched_since(&before);
    put(p[1], "x");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1});
}

/* ---- a fork inside a callback ---------------------------------------------------------------- */

static bool deinits_inside;

static enum et_action fork_here(struct et_loop *l, struct et_completion *x, int64_t result,
                                void *userdata) {
    note(l, x, result, userdata);
    if (child != 0) /* once */
        return ET_DISARM;
    fflush(NULL);
    child = fork();
    if (child != 0)
        return ET_DISARM;
    begin_child();
    events_count = 0;
    CHECK(et_loop_run(l, ET_RUN_NO_WAIT) == -ECHILD && et_loop_add(l, x) == -ECHILD);
    if (deinits_inside) {
        CHECK(et_loop_deinit(l) == 0);
        check_all_dead();
    }
    return ET_REARM;
}

/* Runs what was submitted, of which one callback is fork_here, in parent and child. */
static void run_forking(void) {
    struct snapshot before;
    for (unsigned i = 0; i < 2; i++)
        keep(dup(data_file)); /* numbers that a faulty child might close */
    int result = et_loop_run(&loop, ET_RUN_ONCE);
    if (is_child) {
        CHECK(result == -ECHILD);
        CHECK(events_count == 0);
        CHECK(et_loop_deinit(&loop) == (deinits_inside ? -EINVAL : 0));
        check_all_dead();
        check_no_leak();
        _exit(0);
    }
    assert_int_equal(result, 0);
    before = look();
    expect_child(child);
    expect_untouched_since(&before);
}

static void in_submissions(void) {
    submit(&c[0], (struct et_completion){.operation = ET_NOOP, .callback = fork_here});
    submit_noop(&c[1]);
    submit_timer(&c[2], 0);
    run_forking();
    EXPECT({&c[0], 0}, {&c[1], 0}, {&c[2], 0});
}

static void in_timers(void) {
    submit(&c[0], (struct et_completion){.operation = ET_TIMER, .callback = fork_here});
    submit_timer(&c[1], 0);
    submit_timer(&c[2], HOUR_MS);
    run_forking();
    EXPECT({&c[0], 0}, {&c[1], 0});
}

static void in_a_cancel(void) {
    submit(&c[0], (struct et_completion){.operation = ET_TIMER,
                                         .callback = fork_here,
                                         .timer = {.delay_ms = HOUR_MS}});
    run(ET_RUN_NO_WAIT);
    submit_cancel(&c[1], &c[0]);
    run_forking();
    EXPECT({&c[0], -ECANCELED}, {&c[1], 0});
}

static void in_a_close(void) {
    int p[2];
    open_pipe(p);
    submit(&c[0], (struct et_completion){
                      .operation = ET_READ, .fd = p[0], .callback = fork_here, .read = {byte, 1}});
    submit_read(&c[1], p[0], byte, 1);
    run(ET_RUN_NO_WAIT);
    submit_close(&c[2], forget(p[0]));
    run_forking();
    EXPECT({&c[0], -ECANCELED}, {&c[1], -ECANCELED}, {&c[2], 0});
}

static void in_a_refusal(void) {
    submit(&c[0],
           (struct et_completion){
               .operation = ET_READ, .fd = data_file, .callback = fork_here, .read = {byte, 1}});
    submit_read(&c[1], data_file, byte, 1);
    run_forking();
    EXPECT({&c[0], -EPERM}, {&c[1], -EPERM});
}

static void in_reports(void) {
    int p[2], q[2];
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    open_pair(q, SOCK_STREAM | SOCK_NONBLOCK);
    submit_poll(&c[0], p[0], POLLIN);
    submit(&c[1],
           (struct et_completion){
               .operation = ET_RECV, .fd = p[0], .callback = fork_here, .recv = {byte, 1, 0}});
    submit(&c[2], (struct et_completion){
                      .operation = ET_WRITE, .fd = p[0], .callback = fork_here, .write = {"x", 1}});
    submit_recv(&c[3], q[0], byte, 1);
    put(p[1], "x");
    put(q[1], "x");
    run_forking();
    assert_int_equal(events_count, 4);
    events_count = 0;
}

static void in_polls(void) {
    int p[2];
    open_pipe(p);
    submit(&c[0], (struct et_completion){
                      .operation = ET_POLL, .fd = p[0], .callback = fork_here, .poll = {POLLIN}});
    submit_poll(&c[1], p[0], POLLIN);
    put(p[1], "x");
    run_forking();
    EXPECT({&c[0], POLLIN}, {&c[1], POLLIN});
}

static void in_the_pool_phase(void) {
    for (unsigned i = 0; i < 2; i++)
        submit(&c[i], (struct et_completion){.operation = ET_READ,
                                             .on_pool = true,
                                             .fd = gate[0],
                                             .callback = fork_here,
                                             .read = {&byte[i], 1}});
    run(ET_RUN_NO_WAIT);
    open_gate();
    for (unsigned at_work = 1; at_work > 0;) {
        pthread_mutex_lock(&pool.mutex);
        at_work = loop.executing + pool.queued;
        pthread_mutex_unlock(&pool.mutex);
    }
    run_forking();
    assert_int_equal(events_count, 2);
    events_count = 0;
}

static void fork_in_each(void (*where)(void)) {
    for (unsigned i = 0; i < 2; i++) {
        deinits_inside = i == 1;
        child = 0;
        where();
        assert_int_equal(et_loop_deinit(&loop), 0); /* what is left of it */
        assert_int_equal(et_loop_init(&loop, &(struct et_options){.pool = &pool}), 0);
    }
}

#define FORK_5(where)                                                                              \
    static void ET_FORK_5_##where(void **state) {                                                  \
        (void)state;                                                                               \
        fork_in_each(where);                                                                       \
    }
FORK_5(in_submissions)
FORK_5(in_timers)
FORK_5(in_a_cancel)
FORK_5(in_a_close)
FORK_5(in_a_refusal)
FORK_5(in_reports)
FORK_5(in_polls)
FORK_5(in_the_pool_phase)

/* ---- what the child makes itself ------------------------------------------------------------- */

static void use_pool_and_async(void) {
    submit(&c[0],
           (struct et_completion){
               .operation = ET_PREAD, .on_pool = true, .fd = data_file, .pread = {byte, 1, 2}});
    CHECK(et_loop_run(&loop, ET_RUN_UNTIL_DONE) == 0);
    CHECK(events_count == 1 && events[0].result == 1 && byte[0] == 'c');
    events_count = 0;
    CHECK(et_async_wait(&loop, &async, &c[1], note, NULL) == 0);
    CHECK(et_async_notify(&async) == 0);
    CHECK(et_loop_run(&loop, ET_RUN_UNTIL_DONE) == 0);
    CHECK(events_count == 1 && events[0].result == 8);
    events_count = 0;
    et_loop_wakeup(&loop);
    CHECK(et_loop_run(&loop, ET_RUN_NO_WAIT) == 0);
}

static void make_anew(void) {
    deinit_all();
    CHECK(et_async_init(&async) == 0);
    CHECK(et_pool_init(&pool, NULL) == 0);
    CHECK(et_loop_init(&loop, &(struct et_options){.pool = &pool}) == 0);
    use_pool_and_async();
}

static void end_anew(void) {
    CHECK(et_loop_deinit(&loop) == 0);
    CHECK(et_pool_deinit(&pool) == 0);
    CHECK(et_async_deinit(&async) == 0);
    check_no_leak();
}

static void make_and_end_anew(void) {
    make_anew();
    end_anew();
}

static void ET_FORK_6_in_the_same_memory(void **state) {
    (void)state;
    fill_loop();
    struct snapshot before = look();
    in_child(make_and_end_anew);
    expect_untouched_since(&before);
    expect_works();
}

static void await(pid_t process) {
    int status;
    CHECK(process > 0 && waitpid(process, &status, 0) == process && status == 0);
}

/* A child of the child has neither's, whether the child has made something or not. */
static void fork_again(void) {
    for (unsigned generation = 0; generation < 3; generation++) {
        pid_t process = fork();
        if (process == 0) {
            begin_child();
            if (generation == 2)
                refuse_all();
            else if (generation == 1)
                make_and_end_anew();
            else
                deinit_all();
            _exit(0);
        }
        await(process);
    }
    make_anew();
    pid_t process = fork();
    if (process == 0) {
        begin_child();
        CHECK(et_loop_run(&loop, ET_RUN_NO_WAIT) == -ECHILD);
        make_and_end_anew();
        _exit(0);
    }
    await(process);
    use_pool_and_async();
    end_anew();
}

static void ET_FORK_6_a_child_of_a_child(void **state) {
    (void)state;
    fill_loop();
    in_child(fork_again);
    expect_works();
}

/* A handler that was there before the library's runs before it in the child, too. */
static bool handler_makes;
static struct et_loop of_handler;

static void on_fork(void) {
    if (handler_makes)
        CHECK(et_loop_init(&of_handler, NULL) == 0);
}

static void ET_FORK_6_made_by_a_handler_of_the_fork(void **state) {
    (void)state;
    if (getenv(WITHOUT_WIPING) != NULL)
        return; /* the handler comes before anybody can know of the fork */
    handler_makes = true;
    pid_t process = fork();
    handler_makes = false;
    if (process == 0) {
        CHECK(et_loop_run(&of_handler, ET_RUN_NO_WAIT) == 0);
        CHECK(et_loop_deinit(&of_handler) == 0);
        CHECK(et_loop_run(&loop, ET_RUN_NO_WAIT) == -ECHILD);
        _exit(0);
    }
    expect_child(process);
}

/* No handler of pthread_atfork runs in a child of a bare clone. */
static void ET_FORK_3_a_bare_clone(void **state) {
    (void)state;
    if (getenv(WITHOUT_WIPING) != NULL)
        return; /* nobody can tell there */
    struct snapshot before = look();
    pid_t process = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (process == 0) {
        et_loop_wakeup(&loop);
        syscall(SYS_exit_group, et_async_notify(&async) == -ECHILD ? 0 : 1);
    }
    expect_child(process);
    expect_untouched_since(&before);
}

/* ---- other threads at the moment of the fork ------------------------------------------------- */

static void *drive(void *unused) {
    (void)unused;
    return (void *)(intptr_t)et_loop_run(&loop, ET_RUN_UNTIL_DONE);
}

static void ET_FORK_1_while_another_thread_waits(void **state) {
    (void)state;
    pthread_t thread;
    void *result;
    assert_int_equal(et_async_wait(&loop, &async, &c[0], note, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, drive, NULL), 0);
    sleep_ms(50);
    in_child(deinit_all);
    assert_int_equal(et_async_notify(&async), 0);
    pthread_join(thread, &result);
    assert_null(result);
    EXPECT({&c[0], 8});
}

static _Atomic(bool) enough;

static enum et_action again(struct et_loop *l, struct et_completion *x, int64_t result,
                            void *userdata) {
    (void)l, (void)x, (void)result, (void)userdata;
    return atomic_load(&enough) ? ET_DISARM : ET_REARM;
}

static void with_a_pool_in_full_work(void) {
    static struct et_loop own;
    struct et_completion x = {.operation = ET_PREAD, .on_pool = true, .fd = data_file};
    x.pread.buffer = byte, x.pread.length = 1;
    CHECK(et_pool_deinit(&pool) == 0);
    CHECK(et_pool_init(&pool, &(struct et_pool_options){.threads_max = 1}) == 0);
    CHECK(et_loop_init(&own, &(struct et_options){.pool = &pool}) == 0);
    CHECK(et_loop_add(&own, &x) == 0 && et_loop_run(&own, ET_RUN_UNTIL_DONE) == 0);
    CHECK(byte[0] == 'a');
    CHECK(et_loop_deinit(&own) == 0 && et_pool_deinit(&pool) == 0);
}

static void ET_FORK_2_while_the_pool_works(void **state) {
    (void)state;
    pthread_t thread;
    atomic_store(&enough, false);
    for (unsigned i = 0; i < 8; i++)
        submit(&c[i], (struct et_completion){.operation = ET_PREAD,
                                             .on_pool = true,
                                             .fd = data_file,
                                             .callback = again,
                                             .pread = {&byte[i], 1, (int64_t)i}});
    assert_int_equal(pthread_create(&thread, NULL, drive, NULL), 0);
    /* A thread that has just begun may be in the allocator, and a sanitizer's lock stays locked. */
    usleep(100000);
    for (unsigned i = 0; i < 20; i++)
        in_child(with_a_pool_in_full_work);
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
}

/* The first three tests: nothing was initialised before them. */
static void expect_nothing_made(void) {
    struct et_loop l;
    struct et_pool p;
    struct et_async a;
    assert_int_equal(et_loop_init(&l, NULL), -ENOMEM);
    assert_int_equal(et_pool_init(&p, NULL), -ENOMEM);
    assert_int_equal(et_async_init(&a), -ENOMEM);
    assert_int_equal(et_loop_run(&l, ET_RUN_NO_WAIT), -EINVAL);
    assert_int_equal(et_pool_deinit(&p), -EINVAL);
    assert_int_equal(et_async_notify(&a), -EINVAL);
    assert_null(page); /* none is kept */
}

static void ET_INIT_1_no_memory_for_the_word(void **state) {
    (void)state;
    no_memory = true;
    expect_nothing_made();
    no_memory = false;
}

/* Where the kernel wipes nothing a child could not be told from its parent without them. */
static void ET_INIT_1_no_memory_for_the_handlers(void **state) {
    (void)state;
    no_handlers = true;
    expect_nothing_made();
    no_handlers = false;
}

static struct et_async of_faster;

static void make_async(void) {
    assert_int_equal(et_async_init(&of_faster), 0);
}

/* Two threads make the first two things of a process: the process has one number. */
static void ET_FORK_3_two_threads_make_the_word(void **state) {
    (void)state;
    struct et_async slower;
    is_faster = make_async;
    assert_int_equal(et_async_init(&slower), 0);
    assert_null(is_faster);
    assert_null(page); /* the slower one's has been given back */
    assert_int_equal(slower.process, of_faster.process);
    assert_int_equal(et_async_notify(&slower), 0);
    assert_int_equal(et_async_notify(&of_faster), 0);
    assert_int_equal(et_async_deinit(&slower), 0);
    assert_int_equal(et_async_deinit(&of_faster), 0);
}

/* The same tests in a process whose memory is not wiped. */
static int run_without_wiping(char *program) {
    int status;
    char *arguments[] = {program, NULL};
    if (getenv(WITHOUT_WIPING) != NULL)
        return 0;
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        setenv(WITHOUT_WIPING, "1", 1);
        execv("/proc/self/exe", arguments);
        _exit(1);
    }
    return process > 0 && waitpid(process, &status, 0) == process && status == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ET_INIT_1_no_memory_for_the_word),
        cmocka_unit_test(ET_INIT_1_no_memory_for_the_handlers),
        cmocka_unit_test(ET_FORK_3_two_threads_make_the_word),
        TEST(ET_FORK_1_everything_is_dead_and_released),
        TEST(ET_FORK_1_a_mutex_that_is_locked_for_ever),
        TEST(ET_FORK_1_while_another_thread_waits),
        TEST(ET_FORK_2_the_pool_may_go_before_its_loops),
        TEST(ET_FORK_2_a_notify_that_never_ends),
        TEST(ET_FORK_2_while_the_pool_works),
        TEST(ET_FORK_3_every_other_call_is_refused),
        TEST(ET_FORK_3_a_stopped_loop),
        TEST(ET_FORK_3_a_bare_clone),
        TEST(ET_FORK_4_the_parent_notices_nothing),
        TEST(ET_FORK_5_in_submissions),
        TEST(ET_FORK_5_in_timers),
        TEST(ET_FORK_5_in_a_cancel),
        TEST(ET_FORK_5_in_a_close),
        TEST(ET_FORK_5_in_a_refusal),
        TEST(ET_FORK_5_in_reports),
        TEST(ET_FORK_5_in_polls),
        TEST(ET_FORK_5_in_the_pool_phase),
        TEST(ET_FORK_6_in_the_same_memory),
        TEST(ET_FORK_6_a_child_of_a_child),
        TEST(ET_FORK_6_made_by_a_handler_of_the_fork),
    };
    pthread_atfork(NULL, NULL, on_fork);
    int status = run_without_wiping(argc > 0 ? argv[0] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL) != 0 || status != 0;
}
