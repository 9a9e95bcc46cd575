/* SPDX-License-Identifier: MIT */
/* Does the lockstep driver bite? Each test is an honest program, and one lie about it: a call of
 * the loop's interface that returns something else, does something else, or does nothing. Without
 * the lie there must be no difference; with it, the one that its clause names. Then, what loop and
 * model agree on and Part I forbids. The calls are wrapped by the linker (test_driver.flags). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "filter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../fuzz/driver/lockstep.h"
#include "../../fuzz/world/kernel.h"
#include "../../model/promise.h"
#include "../../src/internal.h"

enum call {
    ADD,
    DELETE,
    TIMER,
    RESET,
    CANCEL,
    TICK,
    RUN,
    STOP,
    STOPPED,
    NOW,
    UPDATE_NOW,
    WAKE,
    INIT,
    DEINIT,
    STATE,
    NOTIFY,
    ASYNC_WAIT,
    ASYNC_DEINIT,
    POOL_INIT,
    POOL_DEINIT,
    STEP,
};

/* One call that is lied about, and what is known of it. */
struct at {
    struct et_loop *loop;
    struct et_completion *c;
    struct et_async *async;
    struct et_pool *pool;
    struct eti_worker *worker;
    int64_t result; /* what the caller gets */
};

struct lie {
    const char *name;
    const char *program; /* its lines, of "main" unless they say otherwise */
    const char *clause;
    const char *what; /* a part of the message; NULL: any */
    enum call call;
    unsigned nth;                   /* of the calls of this kind, from 1; 0: all */
    bool (*instead)(struct at *at); /* true: the call itself is not made; may be null */
    void (*besides)(struct at *at); /* after the call; may be null */
};

static struct {
    const struct lie *lie; /* null: all is honest */
    unsigned calls;
    bool told;               /* it has been */
    struct et_loop *loop;    /* the driver's */
    struct et_pool *pool;    /* the driver's, if there is one */
    struct et_completion *c; /* the last that was added */
    void *memory;            /* allocated by a lie */
    et_callback callback;
    enum eti_phase phase;
    /* What a lie has changed inside, to be put right before the loop has to end itself: its
     * assertions would end the test. */
    void (*undo)(struct at *at);
    struct at at;
} liar;

static void undone_by(struct at *at, void (*undo)(struct at *at)) {
    liar.at = *at;
    liar.undo = undo;
}

#define LIE_ABOUT(kind, at, real)                                                                  \
    do {                                                                                           \
        bool lying = begins(kind);                                                                 \
        if (!lying || liar.lie->instead == NULL || !liar.lie->instead(at))                         \
            (at)->result = (int64_t)(real);                                                        \
        if (lying && liar.lie->besides != NULL)                                                    \
            liar.lie->besides(at);                                                                 \
    } while (0)

static bool begins(enum call call) {
    if (liar.lie == NULL || liar.lie->call != call)
        return false;
    liar.calls++;
    bool lying = liar.lie->nth == 0 || liar.calls == liar.lie->nth;
    liar.told = liar.told || lying;
    return lying;
}

/* ---- the calls ------------------------------------------------------------------------------- */

#define WRAP_LOOP_CALL(kind, type, name, parameters, arguments, completion)                        \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters {                                                                \
        struct at at = {.loop = loop, .c = completion};                                            \
        if (liar.loop == NULL)                                                                     \
            liar.loop = loop;                                                                      \
        liar.c = at.c != NULL ? at.c : liar.c;                                                     \
        LIE_ABOUT(kind, &at, __real_##name arguments);                                             \
        return (type)at.result;                                                                    \
    }

WRAP_LOOP_CALL(ADD, int, et_loop_add, (struct et_loop * loop, struct et_completion *c), (loop, c),
               c)
WRAP_LOOP_CALL(DELETE, int, et_loop_delete, (struct et_loop * loop, struct et_completion *c),
               (loop, c), c)
WRAP_LOOP_CALL(TIMER, int, et_loop_timer,
               (struct et_loop * loop, struct et_completion *c, uint64_t delay_ms,
                et_callback callback, void *userdata),
               (loop, c, delay_ms, callback, userdata), c)
WRAP_LOOP_CALL(RESET, int, et_loop_timer_reset,
               (struct et_loop * loop, struct et_completion *c, struct et_completion *carrier,
                uint64_t delay_ms, et_callback callback, void *userdata),
               (loop, c, carrier, delay_ms, callback, userdata), c)
WRAP_LOOP_CALL(CANCEL, int, et_loop_cancel,
               (struct et_loop * loop, struct et_completion *c, struct et_completion *target,
                et_callback callback, void *userdata),
               (loop, c, target, callback, userdata), c)
WRAP_LOOP_CALL(TICK, int, et_loop_tick, (struct et_loop * loop, unsigned callbacks),
               (loop, callbacks), NULL)
WRAP_LOOP_CALL(RUN, int, et_loop_run, (struct et_loop * loop, enum et_run_mode mode), (loop, mode),
               NULL)
WRAP_LOOP_CALL(INIT, int, et_loop_init, (struct et_loop * loop, const struct et_options *options),
               (loop, options), NULL)

int __real_et_loop_deinit(struct et_loop *loop);
int __wrap_et_loop_deinit(struct et_loop *loop) {
    struct at at = {.loop = loop};
    if (liar.undo != NULL)
        liar.undo(&liar.at);
    liar.undo = NULL;
    LIE_ABOUT(DEINIT, &at, __real_et_loop_deinit(loop));
    return (int)at.result;
}

bool __real_et_loop_stopped(const struct et_loop *loop);
bool __wrap_et_loop_stopped(const struct et_loop *loop) {
    struct at at = {.result = 0};
    LIE_ABOUT(STOPPED, &at, __real_et_loop_stopped(loop));
    return at.result != 0;
}

uint64_t __real_et_loop_now(const struct et_loop *loop);
uint64_t __wrap_et_loop_now(const struct et_loop *loop) {
    struct at at = {.result = 0};
    LIE_ABOUT(NOW, &at, __real_et_loop_now(loop));
    return (uint64_t)at.result;
}

#define WRAP_VOID_CALL(kind, name)                                                                 \
    void __real_##name(struct et_loop *loop);                                                      \
    void __wrap_##name(struct et_loop *loop) {                                                     \
        struct at at = {.loop = loop};                                                             \
        LIE_ABOUT(kind, &at, (__real_##name(loop), 0));                                            \
    }

WRAP_VOID_CALL(STOP, et_loop_stop)
WRAP_VOID_CALL(UPDATE_NOW, et_loop_update_now)
WRAP_VOID_CALL(WAKE, et_loop_wakeup)

enum et_state __real_et_completion_state(const struct et_completion *c);
enum et_state __wrap_et_completion_state(const struct et_completion *c) {
    struct at at = {.result = 0};
    LIE_ABOUT(STATE, &at, __real_et_completion_state(c));
    return (enum et_state)at.result;
}

int __real_et_async_notify(struct et_async *async);
int __wrap_et_async_notify(struct et_async *async) {
    struct at at = {.async = async};
    LIE_ABOUT(NOTIFY, &at, __real_et_async_notify(async));
    return (int)at.result;
}

int __real_et_async_deinit(struct et_async *async);
int __wrap_et_async_deinit(struct et_async *async) {
    struct at at = {.async = async};
    LIE_ABOUT(ASYNC_DEINIT, &at, __real_et_async_deinit(async));
    return (int)at.result;
}

int __real_et_async_wait(struct et_loop *loop, struct et_async *async, struct et_completion *c,
                         et_callback callback, void *userdata);
int __wrap_et_async_wait(struct et_loop *loop, struct et_async *async, struct et_completion *c,
                         et_callback callback, void *userdata) {
    struct at at = {.loop = loop, .async = async, .c = c};
    LIE_ABOUT(ASYNC_WAIT, &at, __real_et_async_wait(loop, async, c, callback, userdata));
    return (int)at.result;
}

int __real_et_pool_init(struct et_pool *pool, const struct et_pool_options *options);
int __wrap_et_pool_init(struct et_pool *pool, const struct et_pool_options *options) {
    struct at at = {.pool = pool};
    liar.pool = pool;
    LIE_ABOUT(POOL_INIT, &at, __real_et_pool_init(pool, options));
    return (int)at.result;
}

int __real_et_pool_deinit(struct et_pool *pool);
int __wrap_et_pool_deinit(struct et_pool *pool) {
    struct at at = {.pool = pool};
    LIE_ABOUT(POOL_DEINIT, &at, __real_et_pool_deinit(pool));
    return (int)at.result;
}

bool __real_eti_pool_step(struct eti_worker *worker);
bool __wrap_eti_pool_step(struct eti_worker *worker) {
    struct at at = {.worker = worker};
    liar.phase = worker->phase;
    LIE_ABOUT(STEP, &at, __real_eti_pool_step(worker));
    return at.result != 0;
}

/* ---- the lies: what is returned -------------------------------------------------------------- */

static void returns_busy(struct at *at) {
    at->result = -EBUSY;
}

static void returns_invalid(struct at *at) {
    at->result = -EINVAL;
}

static void returns_io_error(struct at *at) {
    at->result = -EIO;
}

static void returns_one_more(struct at *at) {
    at->result++;
}

static void returns_the_opposite(struct at *at) {
    at->result = at->result == 0;
}

static void returns_success(struct at *at) {
    at->result = 0;
}

static void returns_no_state(struct at *at) {
    at->result = 4;
}

/* ---- what is done ---------------------------------------------------------------------------- */

static bool nothing(struct at *at) {
    at->result = 0;
    return true;
}

static bool nothing_but_refused(struct at *at) {
    at->result = -EBUSY;
    return true;
}

static void becomes_adding(struct at *at) {
    at->c->internal.state = ET_ADDING;
}

static void becomes_active(struct at *at) {
    at->c->internal.state = ET_ACTIVE;
    undone_by(at, becomes_adding);
}

static void one_less_active(struct at *at) {
    at->loop->active--;
}

static void one_more_active(struct at *at) {
    at->loop->active++;
    undone_by(at, one_less_active);
}

static void time_moves(struct at *at) {
    at->loop->now_ns++;
}

static void deadline_moves(struct at *at) {
    at->c->internal.deadline_ms++;
}

static void something_is_active(struct at *at) {
    (void)at;
    liar.c->internal.state = ET_ACTIVE;
}

static void order_changes(struct at *at) {
    struct et_loop *loop = at->loop;
    struct et_completion *c = loop->submissions_head;
    eti_unlink(&loop->submissions_head, &loop->submissions_tail, c);
    eti_append(&loop->submissions_head, &loop->submissions_tail, c);
    undone_by(at, liar.undo == NULL ? order_changes : NULL);
}

static void is_submitted(struct at *at) {
    eti_append(&at->loop->submissions_head, &at->loop->submissions_tail, at->c);
}

static void is_not_submitted(struct at *at) {
    eti_unlink(&at->loop->submissions_head, &at->loop->submissions_tail, at->c);
    undone_by(at, is_submitted);
}

static struct et_completion another;

static void is_not_deleted(struct at *at) {
    eti_unlink(&at->loop->deletions_head, &at->loop->deletions_tail, &another);
}

static void is_also_deleted(struct at *at) {
    memset(&another, 0, sizeof another);
    eti_append(&at->loop->deletions_head, &at->loop->deletions_tail, &another);
    undone_by(at, is_not_deleted);
}

static void allocates(struct at *at) {
    (void)at;
    free(liar.memory);
    liar.memory = malloc(1);
}

static bool allocates_before(struct at *at) {
    allocates(at);
    return false;
}

static bool opens_before(struct at *at) {
    (void)at;
    assert_true(epoll_create1(EPOLL_CLOEXEC) >= 0);
    return false;
}

/* ---- what callbacks see ---------------------------------------------------------------------- */

static void has_no_callback(struct at *at) {
    at->c->callback = NULL;
}

static enum et_action calls_twice(struct et_loop *loop, struct et_completion *c, int64_t result,
                                  void *userdata) {
    liar.callback(loop, c, result, userdata);
    return liar.callback(loop, c, result, userdata);
}

static enum et_action calls_with_another_result(struct et_loop *loop, struct et_completion *c,
                                                int64_t result, void *userdata) {
    return liar.callback(loop, c, result + 1, userdata);
}

static enum et_action calls_with_another_loop(struct et_loop *loop, struct et_completion *c,
                                              int64_t result, void *userdata) {
    static struct et_loop another;
    (void)loop;
    return liar.callback(&another, c, result, userdata);
}

static enum et_action calls_with_other_userdata(struct et_loop *loop, struct et_completion *c,
                                                int64_t result, void *userdata) {
    return liar.callback(loop, c, result, (void *)((uintptr_t)userdata + 8));
}

static void lies_in_its_callback(struct at *at, et_callback callback) {
    liar.callback = at->c->callback;
    at->c->callback = callback;
}

static void twice(struct at *at) {
    lies_in_its_callback(at, calls_twice);
}

static void another_result(struct at *at) {
    lies_in_its_callback(at, calls_with_another_result);
}

static void another_loop(struct at *at) {
    lies_in_its_callback(at, calls_with_another_loop);
}

static void other_userdata(struct at *at) {
    lies_in_its_callback(at, calls_with_other_userdata);
}

static void is_called_at_once(struct at *at) {
    at->c->callback(at->loop, at->c, 0, at->c->userdata);
}

/* ---- what the kernel is asked ---------------------------------------------------------------- */

static int d0(void) {
    return world_simulated.descriptor(0);
}

static void reads_into_nobodys_buffer(struct at *at) {
    char byte;
    (void)at;
    (void)recv(d0(), &byte, 1, MSG_DONTWAIT);
}

static void receives_without_flags(struct at *at) {
    (void)recv(d0(), at->c->recv.buffer, at->c->recv.length, 0);
}

static void receives_less(struct at *at) {
    (void)recv(d0(), at->c->recv.buffer, at->c->recv.length - 1, MSG_DONTWAIT);
}

static void shuts_down(struct at *at) {
    (void)at;
    (void)shutdown(d0(), SHUT_RDWR);
}

static void unregisters(struct at *at) {
    (void)epoll_ctl(at->loop->epoll, EPOLL_CTL_DEL, d0(), NULL);
}

static void registers_twice(struct at *at) {
    struct epoll_event event = {.events = EPOLLIN};
    (void)epoll_ctl(at->loop->epoll, EPOLL_CTL_ADD, d0(), &event);
}

static void raises_its_eventfd(struct at *at) {
    (void)at;
    int saved = errno;
    (void)write(liar.loop->wakeup, &(uint64_t){1}, sizeof(uint64_t));
    errno = saved;
}

static void waits_too_long(struct at *at) {
    struct epoll_event event;
    (void)epoll_pwait2(at->loop->epoll, &event, 1, NULL, NULL);
}

static bool writes_after_deinit(struct at *at) {
    if (at->loop->descriptors != NULL)
        return false;
    (void)write(d0(), "", 1);
    return true;
}

static bool writes_in_deinit(struct at *at) {
    (void)at;
    (void)write(d0(), "", 1);
    return false;
}

/* ---- asyncs ---------------------------------------------------------------------------------- */

static void changes_errno(struct at *at) {
    (void)at;
    errno = EDOM;
}

static void reads_less(struct at *at) {
    at->c->read.length = 4;
}

/* ---- the pool -------------------------------------------------------------------------------- */

static void none_lingers(struct at *at) {
    at->loop->lingering--;
}

static void one_lingers(struct at *at) {
    at->loop->lingering++;
    undone_by(at, none_lingers);
}

static void none_executes(struct at *at) {
    at->loop->executing--;
}

static void one_executes(struct at *at) {
    at->loop->executing++;
    undone_by(at, none_executes);
}

static void none_is_idle(struct at *at) {
    at->loop->pool->idle--;
}

static void one_is_idle(struct at *at) {
    at->loop->pool->idle++;
    undone_by(at, none_is_idle);
}

static void one_thread_less(struct at *at) {
    at->loop->pool->threads--;
    at->loop->pool->idle--;
}

static void one_thread_more(struct at *at) {
    at->loop->pool->threads++;
    at->loop->pool->idle++;
    undone_by(at, one_thread_less);
}

static void pool_remembers(struct at *at) {
    at->loop->pool->head = at->loop->pool->tail = at->c;
}

static void pool_forgets(struct at *at) {
    struct at first = {.loop = at->loop, .c = at->loop->pool->head};
    at->loop->pool->head = at->loop->pool->tail = NULL;
    undone_by(&first, pool_remembers);
}

static void hands_over_no_other(struct at *at) {
    atomic_store(&at->loop->handed_over, another.internal.next);
}

static void hands_over_another(struct at *at) {
    if (liar.phase != ETI_HANDS_OVER || liar.undo != NULL)
        return;
    struct at at_loop = {.loop = at->worker->loop};
    memset(&another, 0, sizeof another);
    another.internal.next = atomic_load(&at_loop.loop->handed_over);
    atomic_store(&at_loop.loop->handed_over, &another);
    undone_by(&at_loop, hands_over_no_other);
}

static void hands_over_in_front(struct at *at) {
    struct et_loop *loop = at->worker->loop;
    struct et_completion *last = loop != NULL ? atomic_load(&loop->handed_over) : NULL;
    if (liar.phase != ETI_HANDS_OVER || last->internal.next == NULL)
        return;
    struct et_completion *first = last->internal.next;
    last->internal.next = NULL;
    first->internal.next = last;
    atomic_store(&loop->handed_over, first);
}

static bool executes_nothing(struct at *at) {
    if (at->worker->phase != ETI_EXECUTES)
        return false;
    at->worker->phase = ETI_HANDS_OVER;
    at->result = true;
    return true;
}

static void executes_twice(struct at *at) {
    if (liar.phase != ETI_EXECUTES)
        return;
    at->worker->phase = ETI_EXECUTES;
    (void)__real_eti_pool_step(at->worker);
}

static bool executes_into_another_buffer(struct at *at) {
    static char elsewhere[64];
    if (at->worker->phase == ETI_EXECUTES)
        at->worker->work->read.buffer = elsewhere;
    return false;
}

static bool executes_at_another_offset(struct at *at) {
    char *buffer = at->worker->phase == ETI_EXECUTES ? at->worker->work->pread.buffer : NULL;
    if (buffer == NULL)
        return false;
    (void)pread(d0(), buffer, at->worker->work->pread.length, 3);
    at->worker->phase = ETI_HANDS_OVER;
    at->result = true;
    return true;
}

static bool executes_without_work(struct at *at) {
    char byte;
    if (at->worker->phase != ETI_IDLE)
        return false;
    (void)read(d0(), &byte, 1);
    at->result = true;
    return true;
}

static bool takes_the_last(struct at *at) {
    struct et_pool *pool = at->worker->pool;
    if (at->worker->phase == ETI_IDLE && pool->head != NULL && pool->head != pool->tail) {
        struct et_completion *first = pool->head;
        eti_unlink(&pool->head, &pool->tail, first);
        eti_append(&pool->head, &pool->tail, first);
    }
    return false;
}

static struct et_completion *taken;

static void takes_the_first(struct at *at) {
    at->worker->work = taken;
}

static void takes_nobodys(struct at *at) {
    if (liar.phase != ETI_IDLE || at->worker->work == NULL)
        return;
    taken = at->worker->work;
    at->worker->work = &another;
    undone_by(at, takes_the_first);
}

static bool hands_over_nothing(struct at *at) {
    if (at->worker->phase != ETI_HANDS_OVER)
        return false;
    at->worker->phase = ETI_WAKES;
    at->worker->wakes = false;
    at->result = true;
    return true;
}

static bool wakes_nobody(struct at *at) {
    if (at->worker->phase == ETI_WAKES)
        at->worker->wakes = false;
    return false;
}

static bool never_leaves(struct at *at) {
    if (at->worker->phase != ETI_LEAVES)
        return false;
    at->worker->phase = ETI_IDLE;
    at->result = true;
    return true;
}

static void ends_when_it_has_left(struct at *at) {
    if (liar.phase == ETI_LEAVES)
        at->result = false;
}

static bool sleeps_beside_work(struct at *at) {
    struct et_pool *pool = at->worker->pool;
    if (at->worker->phase != ETI_IDLE || pool->head == NULL)
        return false;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_wait(&pool->work, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    at->result = true;
    return true;
}

static bool leaves_and_tells_others(struct at *at) {
    if (at->worker->phase != ETI_LEAVES)
        return false;
    at->worker->phase = ETI_IDLE;
    at->worker->pool->idle++;
    at->worker->loop->executing--;
    pthread_cond_broadcast(&at->worker->pool->work);
    at->result = true;
    return true;
}

static void never_ends(struct at *at) {
    at->result = true;
}

/* As a notify does, of which the model is not told. */
static void raises_unseen(struct at *at) {
    uint64_t one = 1;
    world_counts.notifying = true;
    assert_int_equal(write(at->async->fd, &one, sizeof one), sizeof one);
    world_counts.notifying = false;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* `pool` ends the loop that is there, and then each call is made on two loops that are none. */
#define POOLED                                                                                     \
    "pool 1\n open d0 file\n submit c0 pread d0 8 on_pool do b1\n submit c1 pread d0 8 on_pool "   \
    "do b1\n tick 0\n"                                                                             \
    " step w0\n step w0\n step w0\n step w0\n step w0\n"
#define RECEIVES "open d0 stream\n submit c0 recv d0 8 do b1\n tick 0\n"

static const struct lie lies[] = {
    {"add returns another result", "submit c0 noop do b1\n", "ET-ADD-1", "returned -EBUSY", ADD, 1,
     NULL, returns_busy},
    {"delete returns another result", "delete c0\n", "ET-DELETE-1", "returned -EINVAL", DELETE, 1,
     NULL, returns_invalid},
    {"timer returns another result", "timer c0 5ms do b1\n", "ET-TIMER-1", NULL, TIMER, 1, NULL,
     returns_busy},
    {"timer_reset returns another result",
     "timer c0 5ms do b1\n tick 0\n reset c0 by c1 9ms do b1\n", "ET-RESET-3", NULL, RESET, 1, NULL,
     returns_busy},
    {"cancel returns another result", "cancel c0 by c1 do b1\n", "ET-CANCEL-1", NULL, CANCEL, 1,
     NULL, returns_busy},
    {"tick reports an error that there was not", "submit c0 noop do b1\n tick 1\n", "ET-TICK-7",
     NULL, TICK, 1, NULL, returns_io_error},
    {"deinit is refused", "deinit\n", "ET-DEINIT-2", NULL, DEINIT, 1, nothing_but_refused, NULL},
    {"a completion has another state", "submit c0 noop do b1\n", "ET-ADD-1",
     "active, expected adding", ADD, 1, NULL, becomes_active},
    {"the state cannot be right", "stop\n", "ET-STATE-2", "c0 is no state", STATE, 1, NULL,
     returns_no_state},
    {"one more is active", "submit c0 noop do b1\n", "ET-STATE-6", NULL, ADD, 1, NULL,
     one_more_active},
    {"a deadline is another", "timer c0 5ms do b1\n", "ET-ADD-7", NULL, TIMER, 1, NULL,
     deadline_moves},
    {"the submissions are in another order", "submit c0 noop do b1\n submit c1 noop do b1\n",
     "ET-ADD-1", "place 0", ADD, 2, NULL, order_changes},
    {"a submission is missing", "submit c0 noop do b1\n", "ET-ADD-1", "place 0", ADD, 1, NULL,
     is_not_submitted},
    {"there is a deletion too many", "delete c0\n", "ET-DELETE-1", "hold more than 0", DELETE, 1,
     NULL, is_also_deleted},
    {"the loop time is another, by a nanosecond", "update_now\n", "ET-TIME-1", NULL, UPDATE_NOW, 1,
     NULL, time_moves},
    {"the loop time is told wrongly", "update_now\n", "ET-TIME-2", NULL, NOW, 1, NULL,
     returns_one_more},
    {"the time is not updated", "advance 5ms\n update_now\n", "ET-TIME-1", NULL, UPDATE_NOW, 1,
     nothing, NULL},
    {"the loop says that it has stopped", "update_now\n", "ET-STOP-1", NULL, STOPPED, 1, NULL,
     returns_the_opposite},
    {"the loop does not stop", "stop\n", "ET-STOP-1", NULL, STOP, 1, nothing, NULL},
    {"memory is allocated", "submit c0 noop do b1\n", "ET-STATE-8", NULL, ADD, 1, NULL, allocates},
    {"memory is not released", "submit c0 noop do b1\n", "ET-DEINIT-3", "memory", INIT, 1,
     allocates_before, NULL},
    {"a descriptor is not released", "submit c0 noop do b1\n", "ET-DEINIT-3", "descriptors", INIT,
     1, opens_before, NULL},
    {"nothing runs", "submit c0 noop do b1\n tick 1\n", "ET-TICK-4", NULL, TICK, 1, nothing, NULL},
    {"a callback does not come", "submit c0 noop do b1\n tick 1\n", "ET-SUBMIT-2", NULL, ADD, 1,
     NULL, has_no_callback},
    {"a callback comes twice", "submit c0 noop do b1\n tick 1\n", "ET-STATE-3", NULL, ADD, 1, NULL,
     twice},
    {"a callback gets another result", "submit c0 noop do b1\n tick 1\n", "ET-SUBMIT-2", NULL, ADD,
     1, NULL, another_result},
    {"a callback gets another loop", "submit c0 noop do b1\n tick 1\n", "ET-CALL-2", NULL, ADD, 1,
     NULL, another_loop},
    {"a callback gets other userdata", "submit c0 noop do b1\n tick 1\n", "ET-CALL-2", NULL, ADD, 1,
     NULL, other_userdata},
    {"a callback comes outside a tick", "submit c0 noop do b1\n", "ET-CALL-5", NULL, ADD, 1, NULL,
     is_called_at_once},
    {"something is read into nobody's buffer",
     RECEIVES "peer_write d0 8\n submit c1 noop do b1\n tick 1\n", "ET-OP-2", "nobody's", ADD, 2,
     NULL, reads_into_nobodys_buffer},
    {"a socket is read without MSG_DONTWAIT",
     RECEIVES "peer_write d0 8\n submit c0 noop\n tick 1\n", "ET-OP-2", "flags 0", ADD, 2, NULL,
     receives_without_flags},
    {"less is read than was described", RECEIVES "peer_write d0 8\n submit c0 noop\n tick 1\n",
     "ET-OP-2", "7 bytes", ADD, 2, NULL, receives_less},
    {"a callback shuts a descriptor down itself",
     "body 1\n timer c1 5ms\n main\n" RECEIVES " submit c2 noop do b1\n run once\n", "ET-CALL-5",
     NULL, TIMER, 1, NULL, shuts_down},
    {"a registration is removed",
     "body 1\n timer c1 5ms\n main\n open d0 stream\n submit c0 recv d0 8 do b1\n tick 0\n submit "
     "c2 noop do b1\n run once\n run once\n",
     "ET-REGISTER-1", "not at all", TIMER, 1, NULL, unregisters},
    {"a registration is made twice",
     "body 1\n timer c1 5ms\n main\n open d0 stream\n submit c0 recv d0 8 do b1\n tick 0\n submit "
     "c2 noop do b1\n run once\n run once\n",
     "ET-REGISTER-2", NULL, TIMER, 1, NULL, registers_twice},
    {"a wait ends for nothing",
     "body world\n notify d0\n main\n timer c0 5ms do b1\n tick 0\n run once\n", "ET-WAKE-2", NULL,
     NOTIFY, 1, NULL, raises_its_eventfd},
    {"a callback waits in the kernel",
     "body 1\n timer c1 5ms\n main\n submit c0 noop do b1\n run until_done\n", "ET-CALL-5", NULL,
     TIMER, 1, NULL, waits_too_long},
    {"a wake-up is lost", "timer c0 5ms do b1\n tick 0\n wakeup\n tick 1\n", "ET-WAKE-1", NULL,
     WAKE, 1, nothing, NULL},
    {"a wake-up changes errno", "wakeup\n tick 0\n", "ET-WAKE-4", NULL, WAKE, 1, NULL,
     changes_errno},
    {"a late wake-up writes", "open d0 stream\n deinit\n", "ET-WAKE-3", NULL, WAKE, 0,
     writes_after_deinit, NULL},
    {"deinit touches a descriptor", "open d0 stream\n deinit\n", "ET-WAKE-3", NULL, DEINIT, 1,
     writes_in_deinit, NULL},
    {"deinit leaves something active", "submit c0 noop do b1\n deinit\n", "ET-DEINIT-2", NULL,
     DEINIT, 1, NULL, something_is_active},
    {"a deinitialised loop runs", "deinit\n", "ET-DEINIT-4", NULL, TICK, 1, NULL, returns_success},
    {"a deinitialised loop takes a completion", "deinit\n", "ET-DEINIT-4", NULL, ADD, 1, NULL,
     returns_success},
    {"a loop whose init has failed runs", "fail epoll_create EMFILE at 1\n deinit\n", "ET-INIT-1",
     "tick on a loop whose init has failed", TICK, 3, NULL, returns_success},
    {"a loop whose init has failed is deinitialised", "fail epoll_create EMFILE at 1\n deinit\n",
     "ET-INIT-1", "deinit on a loop whose init has failed", DEINIT, 4, NULL, returns_success},
    {"a cancel is refused, beside a poll that a report of another file has not ended",
     "body 1\n cancel c1 by c7 do b2\n main\n open d0 pipe_reader\n dup d0 to d1\n submit c0 read "
     "d0 0 do b1\n"
     " tick 0\n submit c1 poll d0 in\n close d0\n open d2 pipe_reader\n peer_write d1 1\n cancel "
     "c3 by c5 do b1\n"
     " tick 5\n cancel c3 by c5 do b1\n",
     "ET-CANCEL-1", NULL, CANCEL, 3, NULL, returns_busy},
    {"a notification is refused", "open d0 async\n notify d0\n", "ET-ASYNC-2", NULL, NOTIFY, 1,
     NULL, returns_invalid},
    {"a notification changes errno", "open d0 async\n notify d0\n", "ET-ASYNC-4", NULL, NOTIFY, 1,
     NULL, changes_errno},
    {"a notification is lost",
     "open d0 async\n async_wait c0 d0 do b1\n tick 0\n notify d0\n run once\n", "ET-ASYNC-2",
     "was notified", NOTIFY, 1, nothing, NULL},
    {"a notification is lost, and 8 bytes are read that are no counter's",
     "open d0 async\n open d1 stream\n async_wait c0 d0 do b1\n submit c1 read d1 8 do b1\n tick "
     "0\n notify d0\n"
     " peer_write d1 8\n tick 1\n run until_done\n",
     "ET-ASYNC-2", "was notified", NOTIFY, 1, nothing, NULL},
    {"a notification is lost, and the counter of another async is read",
     "open d0 async\n open d1 async\n dup d1 to d2\n peer_write d2 1\n async_wait c0 d0 do b1\n "
     "tick 0\n notify d0\n"
     " submit c1 read d2 8 do b1\n run until_done\n",
     "ET-ASYNC-2", "was notified", NOTIFY, 1, nothing, NULL},
    {"a notification is lost after the counter was raised by another number",
     "open d0 async\n dup d0 to d1\n dup d1 to d2\n close d1\n submit c1 write d2 8 do b1\n run "
     "until_done\n"
     " async_wait c0 d0 do b1\n run until_done\n peer_write d2 1\n async_wait c0 d0 do b1\n run "
     "until_done\n"
     " async_wait c0 d0 do b1\n tick 0\n notify d0\n run until_done\n",
     "ET-ASYNC-2", "was notified", NOTIFY, 1, nothing, NULL},
    {"a wait ends without a notification, and 8 bytes are written that raise no counter",
     "open d0 async\n open d1 stream\n submit c1 write d1 8 do b1\n run until_done\n async_wait c0 "
     "d0 do b1\n"
     " run until_done\n",
     "ET-ASYNC-3", NULL, ASYNC_WAIT, 1, NULL, raises_unseen},
    {"a wait ends without a notification, and the counter of another async is raised",
     "open d0 async\n open d1 async\n dup d1 to d2\n peer_write d2 1\n submit c1 write d2 8 do "
     "b1\n run until_done\n"
     " async_wait c0 d0 do b1\n run until_done\n",
     "ET-ASYNC-3", NULL, ASYNC_WAIT, 1, NULL, raises_unseen},
    {"a wait on an async is refused", "open d0 async\n async_wait c0 d0 do b1\n", "ET-ASYNC-1",
     NULL, ASYNC_WAIT, 1, NULL, returns_busy},
    {"a wait reads a part of the counter",
     "open d0 async\n async_wait c0 d0 do b1\n notify d0\n tick 1\n", "ET-ASYNC-1", "4 bytes",
     ASYNC_WAIT, 1, NULL, reads_less},
    {"an async is not released", "open d0 async\n close d0\n", "ET-ASYNC-5", "not released",
     ASYNC_DEINIT, 1, nothing, NULL},
    {"an async is deinitialised twice", "open d0 async\n close d0\n", "ET-ASYNC-5", "-EINVAL",
     ASYNC_DEINIT, 2, NULL, returns_success},
    {"a deinitialised async is notified", "open d0 async\n close d0\n", "ET-ASYNC-5", "-EINVAL",
     NOTIFY, 1, NULL, returns_success},
    {"one lingers", POOLED, "ET-POOL-8", NULL, ADD, 4, NULL, one_lingers},
    {"one executes", POOLED, "ET-POOL-13", NULL, ADD, 4, NULL, one_executes},
    {"one thread more is idle", POOLED, "ET-POOL-15", "0 threads, 1 of them idle, expected 0 and 0",
     ADD, 4, NULL, one_is_idle},
    {"there is a thread more", POOLED, "ET-POOL-15", "1 threads, 1 of them idle, expected 0 and 0",
     ADD, 4, NULL, one_thread_more},
    {"the pool forgets its queue",
     "pool 1\n open d0 file\n submit c0 pread d0 8 on_pool do b1\n tick 0\n stop\n", "ET-POOL-1",
     "pool's queue", STOP, 3, NULL, pool_forgets},
    {"another one is handed over", POOLED, "ET-POOL-10", "2 completions are", STEP, 0, NULL,
     hands_over_another},
    {"the last is handed over first", POOLED "step w0\n step w0\n step w0\n", "ET-POOL-10",
     "place 0", STEP, 0, NULL, hands_over_in_front},
    {"work is not executed", POOLED, "ET-POOL-4", "0 system calls", STEP, 0, executes_nothing,
     NULL},
    {"work is executed twice", POOLED, "ET-POOL-4", NULL, STEP, 0, NULL, executes_twice},
    {"work is executed into another buffer", POOLED, "ET-OP-2", "another buffer", STEP, 0,
     executes_into_another_buffer, NULL},
    {"work is executed elsewhere in the file", POOLED, "ET-OP-2", "pread of 8 bytes", STEP, 0,
     executes_at_another_offset, NULL},
    {"an idle thread makes a system call", POOLED, "ET-POOL-4", "no work", STEP, 0,
     executes_without_work, NULL},
    {"the last work is taken first", POOLED, "ET-POOL-2", NULL, STEP, 0, takes_the_last, NULL},
    {"work is taken that is nobody's", POOLED, "ET-POOL-4", "no completion", STEP, 0, NULL,
     takes_nobodys},
    {"work is not handed over", POOLED, "ET-POOL-10", NULL, STEP, 0, hands_over_nothing, NULL},
    {"no thread wakes the loop", POOLED "step w0\n step w0\n tick 2\n run until_done\n",
     "ET-POOL-11", NULL, STEP, 0, wakes_nobody, NULL},
    {"a thread never leaves the loop", POOLED, "ET-POOL-13", NULL, STEP, 0, never_leaves, NULL},
    {"a thread tells others that it has left the loop", POOLED "step w0\n step w0\n", "ET-POOL-13",
     "waits for ever", STEP, 0, leaves_and_tells_others, NULL},
    {"a thread ends after its first work", POOLED "step w0\n step w0\n run until_done\n",
     "ET-POOL-17", "c1 stays", STEP, 0, NULL, ends_when_it_has_left},
    {"a thread sleeps while work is queued", POOLED "run until_done\n", "ET-POOL-17", "c0 stays",
     STEP, 0, sleeps_beside_work, NULL},
    {"a thread never ends", POOLED, "ET-POOL-14", "does not end", STEP, 0, NULL, never_ends},
    {"a pool in use is deinitialised", POOLED, "ET-POOL-14", "did not refuse", POOL_DEINIT, 1,
     nothing, NULL},
    {"a pool is said to be in use", POOLED, "ET-POOL-14", "although no loop", POOL_DEINIT, 2, NULL,
     returns_busy},
    {"a pool is deinitialised twice", POOLED, "ET-POOL-16", "a pool that is none", POOL_DEINIT, 3,
     NULL, returns_success},
    {"pool_init fails for no reason", "pool 1\n", "ET-INIT-3", "pool_init", POOL_INIT, 1,
     nothing_but_refused, NULL},
};

#define LIES (sizeof lies / sizeof *lies)

static void run_program(const char *lines, struct lockstep_report *report) {
    char text[1024], error[200];
    struct trace trace = {.clauses = 0};
    bool has_main = strstr(lines, "main\n") != NULL;
    snprintf(text, sizeof text, "etalon-trace 1\ntitle a lie\nclause ET-CALL-1\n%s%s\n",
             has_main ? "" : "body 1\nmain\n", lines);
    if (trace_read(&trace, text, strlen(text), error, sizeof error) < 0)
        fail_msg("%s\n%s", error, text);
    lockstep_run(&lockstep_reference, &trace.program, &world_simulated, NULL, NULL, report);
    trace_free(&trace);
}

/* A lie may have kept the loop or the pool from being deinitialised. */
static void free_what_is_left(void) {
    free(liar.memory);
    if (liar.loop != NULL)
        free(liar.loop->timers);
    if (liar.pool != NULL)
        free(liar.pool->workers);
}

static void is_seen(void **state) {
    const struct lie *lie = *state;
    struct lockstep_report report;
    memset(&liar, 0, sizeof liar);
    run_program(lie->program, &report);
    if (report.differs)
        fail_msg("without the lie: %s: %s", report.clause, report.what);
    liar.lie = lie;
    run_program(lie->program, &report);
    liar.lie = NULL;
    free_what_is_left();
    assert_true(liar.told);
    if (!report.differs)
        fail_msg("the lie was not seen");
    if (strcmp(report.clause, lie->clause) != 0 ||
        (lie->what != NULL && strstr(report.what, lie->what) == NULL))
        fail_msg("expected %s: …%s…, got %s: %s", lie->clause, lie->what != NULL ? lie->what : "",
                 report.clause, report.what);
}

/* ---- what loop and model agree on, and Part I forbids (refine.h) ----------------------------- */

/* What the promise is told, as if loop and model had both done it so: then nobody else knows
 * better. */
struct agreement {
    const char *name, *program, *clause;
    enum event_kind kind;
    unsigned nth;                        /* of the events of this kind, from 1 */
    bool (*change)(struct event *event); /* false: it does not happen */
};

static struct {
    const struct agreement *agreement; /* null: what is told is so */
    unsigned events;
} agreed;

struct promise_answer __real_promise_step(struct promise *p, const struct event *event);
struct promise_answer __wrap_promise_step(struct promise *p, const struct event *event);
struct promise_answer __wrap_promise_step(struct promise *p, const struct event *event) {
    struct event changed = *event;
    const struct agreement *a = agreed.agreement;
    if (a != NULL && event->kind == a->kind && ++agreed.events == a->nth && !a->change(&changed))
        return (struct promise_answer){.c = EVENT_NOBODY};
    return __real_promise_step(p, &changed);
}

static bool never(struct event *event) {
    (void)event;
    return false;
}

static bool was_set_to_more(struct event *event) {
    event->delay_ms += 2;
    return true;
}

static bool ends_with_an_error(struct event *event) {
    event->result = -EIO;
    return true;
}

static bool of_another_userdata(struct event *event) {
    event->userdata++;
    return true;
}

static bool for_longer(struct event *event) {
    event->result += 3000000;
    return true;
}

static bool refused_without_a_reason(struct event *event) {
    event->result = -ENOMEM;
    return true;
}

static bool says_that_it_is_done(struct event *event) {
    event->result = 0;
    return true;
}

static const struct agreement agreements[] = {
    {"a timer may be early", "timer c0 10ms do b1\n run until_done\n", "ET-EXPIRE-4", EVENT_TIMER,
     1, was_set_to_more},
    {"a callback may be left out", "submit c0 noop do b1\n tick 1\n", "ET-STATE-2", EVENT_CALLBACK,
     1, never},
    {"a timer may end with an error", "timer c0 1ms do b1\n run until_done\n", "ET-EXPIRE-1",
     EVENT_CALLBACK, 1, ends_with_an_error},
    {"a callback may get any userdata", "submit c0 noop do b1\n tick 1\n", "ET-CALL-2",
     EVENT_CALLBACK, 1, of_another_userdata},
    {"a wait may be too long", "timer c0 10ms do b1\n run until_done\n", "ET-WAIT-2", EVENT_SLEEP,
     1, for_longer},
    {"an add may be refused", "submit c0 noop do b1\n tick 1\n", "ET-ADD-1", EVENT_ADD, 1,
     refused_without_a_reason},
    {"a cancel may claim what it has not done",
     "submit c0 noop do b1\n tick 1\n cancel c0 by c1 do b1\n tick 1\n", "ET-CANCEL-4",
     EVENT_CALLBACK, 2, says_that_it_is_done},
};

#define AGREEMENTS (sizeof agreements / sizeof *agreements)

static void is_forbidden(void **state) {
    struct lockstep_report report;
    memset(&liar, 0, sizeof liar);
    agreed.agreement = NULL;
    const struct agreement *agreement = *state;
    run_program(agreement->program, &report);
    if (report.differs)
        fail_msg("without the agreement: %s: %s", report.clause, report.what);
    agreed.agreement = agreement;
    agreed.events = 0;
    run_program(agreement->program, &report);
    agreed.agreement = NULL;
    assert_true(agreed.events >= agreement->nth);
    if (!report.differs || strcmp(report.clause, agreement->clause) != 0 ||
        strstr(report.what, "Part I") == NULL)
        fail_msg("expected %s, got %s: %s", agreement->clause, report.clause, report.what);
    lockstep_refines = false;
    agreed.agreement = agreement;
    run_program(agreement->program, &report);
    agreed.agreement = NULL;
    lockstep_refines = true;
    if (report.differs)
        fail_msg("without refine.h: %s: %s", report.clause, report.what);
}

int main(void) {
    static struct CMUnitTest tests[LIES + AGREEMENTS];
    for (size_t i = 0; i < LIES; i++)
        tests[i] = (struct CMUnitTest){.name = lies[i].name,
                                       .test_func = is_seen,
                                       .initial_state = (void *)(uintptr_t)&lies[i]};
    for (size_t i = 0; i < AGREEMENTS; i++)
        tests[LIES + i] = (struct CMUnitTest){.name = agreements[i].name,
                                              .test_func = is_forbidden,
                                              .initial_state = (void *)(uintptr_t)&agreements[i]};
    return _cmocka_run_group_tests("driver", tests, LIES + AGREEMENTS, NULL, NULL);
}
