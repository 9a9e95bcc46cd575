/* SPDX-License-Identifier: MIT */
/* The strict judge, for a subject that offers ETALON_OFFERS_ROUNDS: the lockstep driver
 * (lockstep.c), compiled once more around functions that pass each call of Etalon's interface
 * on to the subject. So a subject undergoes the very same comparisons as the reference loop, those
 * excepted that look into a loop's own memory: the queues, the count of active completions,
 * allocations. */
#ifndef ETALON_WITHOUT_KIT

#define LOCKSTEP_BY_INTERFACE

#define driver              strict_driver
#define lockstep_begin      strict_begin
#define lockstep_init       strict_init
#define lockstep_command    strict_command
#define lockstep_compare    strict_compare
#define lockstep_run        strict_lockstep_run
#define lockstep_errors     strict_errors
#define lockstep_disturbed  strict_disturbed
#define lockstep_state      strict_state
#define et_completion_state strict_completion_state
#define et_loop_init        strict_loop_init
#define et_loop_deinit      strict_loop_deinit
#define et_loop_run         strict_loop_run
#define et_loop_tick        strict_loop_tick
#define et_loop_stop        strict_loop_stop
#define et_loop_stopped     strict_loop_stopped
#define et_loop_now         strict_loop_now
#define et_loop_update_now  strict_loop_update_now
#define et_loop_wakeup      strict_loop_wakeup
#define et_loop_add         strict_loop_add
#define et_loop_delete      strict_loop_delete
#define et_loop_timer       strict_loop_timer
#define et_loop_timer_reset strict_loop_timer_reset
#define et_loop_cancel      strict_loop_cancel
#define et_pool_init        strict_pool_init
#define et_pool_deinit      strict_pool_deinit
#define eti_pool_step       strict_pool_step
#define et_async_init       strict_async_init
#define et_async_deinit     strict_async_deinit
#define et_async_notify     strict_async_notify
#define et_async_wait       strict_async_wait

#include "../../fuzz/driver/lockstep.c"

#include "../../fuzz/world/interpose.h"
#include "kit.h"

static struct {
    const struct etalon_subject *subject;
    struct kit_result *result;
    void *self; /* the subject's loop, or NULL */
    bool busy;  /* in init or deinit: not to be asked anything */
    void *pool; /* the subject's, or NULL */
    struct etalon_subject_host host;
    unsigned workers;
    struct worker {
        struct eti_worker seen; /* as the driver knows a thread: by where it stands */
        struct participant *thread;
    } worker[INTERPOSE_THREADS_MAX];
    unsigned asyncs_gone; /* mask: the subject's async had its descriptor closed behind its back */
} k;

/* ---- from the subject ------------------------------------------------------------------------ */

static enum etalon_subject_action called(uint32_t c, int64_t result, uint32_t userdata) {
    bool before = interpose_inside(false);
    enum et_action action = ET_DISARM;
    if (c >= COUNT)
        differ("ET-CALL-2", "a callback was called for completion %u, which does not exist", c);
    else
        action = on_callback(&driver.loop, completion(c), result, (void *)(uintptr_t)userdata);
    (void)interpose_inside(before);
    return action == ET_REARM ? ETALON_REARM : ETALON_DISARM;
}

#define ASK(type, call)                                                                            \
    bool before = interpose_inside(true);                                                          \
    type answer = (call);                                                                          \
    (void)interpose_inside(before);                                                                \
    return answer
#define TELL(call)                                                                                 \
    bool before = interpose_inside(true);                                                          \
    call;                                                                                          \
    (void)interpose_inside(before)

/* ---- to the subject -------------------------------------------------------------------------- */

int strict_loop_init(struct et_loop *loop, const struct et_options *options) {
    static struct et_descriptor *const some = (struct et_descriptor *)&k;
    /* what ET-POOL-16 says of it is the adapter's business */
    if (options->pool != NULL && k.pool == NULL)
        return -EINVAL;
    k.host = (struct etalon_subject_host){.size = sizeof k.host,
                                          .called = called,
                                          .descriptors_max = options->descriptors_max,
                                          .pool = options->pool != NULL ? k.pool : NULL};
    bool before = interpose_inside(true);
    k.busy = true;
    int answer = k.subject->init(&k.host, &k.self);
    k.busy = false;
    (void)interpose_inside(before);
    if (answer != 0)
        k.self = NULL;
    loop->descriptors = answer == 0 ? some : NULL;
    return answer;
}

/* A loop that does not exist cannot be asked: what ET-DEINIT-4 says of it is the adapter's
 * business. */
int strict_loop_deinit(struct et_loop *loop) {
    if (k.self == NULL)
        return -EINVAL;
    bool before = interpose_inside(true);
    k.busy = true;
    int answer = k.subject->deinit(k.self);
    k.busy = false;
    (void)interpose_inside(before);
    if (answer == 0) {
        k.self = NULL;
        loop->descriptors = NULL;
    }
    return answer;
}

int strict_loop_run(struct et_loop *loop, enum et_run_mode mode) {
    (void)loop;
    ASK(int, k.self == NULL ? -EINVAL : k.subject->run(k.self, (uint32_t)mode));
}

int strict_loop_tick(struct et_loop *loop, unsigned callbacks) {
    (void)loop;
    ASK(int, k.self == NULL ? -EINVAL : k.subject->tick(k.self, callbacks));
}

void strict_loop_stop(struct et_loop *loop) {
    (void)loop;
    if (k.self == NULL)
        return;
    TELL(k.subject->stop(k.self));
}

bool strict_loop_stopped(const struct et_loop *loop) {
    (void)loop;
    ASK(bool, k.self != NULL && k.subject->stopped(k.self) != 0);
}

uint64_t strict_loop_now(const struct et_loop *loop) {
    (void)loop;
    ASK(uint64_t, k.self == NULL ? 0 : k.subject->now(k.self));
}

void strict_loop_update_now(struct et_loop *loop) {
    (void)loop;
    TELL(k.subject->update_now(k.self));
}

void strict_loop_wakeup(struct et_loop *loop) {
    (void)loop;
    if (k.self == NULL)
        return;
    TELL(k.subject->wakeup(k.self));
}

enum et_state strict_completion_state(const struct et_completion *c) {
    ASK(enum et_state,
        k.self == NULL ? ET_DEAD : (enum et_state)k.subject->state(k.self, index_of(c)));
}

static uint32_t token_of(void *userdata) {
    return (uint32_t)(uintptr_t)userdata;
}

static void tell_parameters(const struct et_completion *c, unsigned i,
                            struct etalon_subject_description *d) {
    switch (c->operation) {
    case ET_CANCEL:
        d->target = c->cancel.target == NULL ? ETALON_NOBODY : index_of(c->cancel.target);
        break;
    case ET_ACCEPT:
        d->address = c->accept.address;
        d->address_length = c->accept.address_length;
        d->flags = c->accept.flags;
        break;
    case ET_CONNECT:
        driver.slot[i].address_length = c->connect.address_length;
        d->address = (struct sockaddr *)&driver.slot[i].address;
        d->address_length = &driver.slot[i].address_length;
        break;
    case ET_POLL: d->events = c->poll.events; break;
    case ET_READ:
    case ET_WRITE:
    case ET_SEND:
    case ET_RECV:
    case ET_PREAD:
    case ET_PWRITE:
        d->buffer = c->pread.buffer;
        d->length = c->pread.length;
        break;
    case ET_SENDMSG:
    case ET_RECVMSG: d->message = c->recvmsg.message; break;
    case ET_SHUTDOWN: d->flags = c->shutdown.how; break;
    case ET_TIMER: d->delay_ms = c->timer.delay_ms; break;
    default: break;
    }
}

static struct etalon_subject_description description(const struct et_completion *c) {
    struct etalon_subject_description d = {.operation = c->operation,
                                           .fd = c->fd,
                                           .target = ETALON_NOBODY,
                                           .userdata = token_of(c->userdata),
                                           .has_callback = c->callback != NULL,
                                           .on_pool = c->on_pool};
    tell_parameters(c, index_of(c), &d);
    return d;
}

int strict_loop_add(struct et_loop *loop, struct et_completion *c) {
    unsigned i = index_of(c), state = strict_completion_state(c);
    struct etalon_subject_description d = description(c);
    (void)loop;
    if (k.self == NULL)
        return -EINVAL;
    bool in_use = state == ET_ADDING || state == ET_ACTIVE;
    bool waits = c->operation == ET_READ && reads_own_memory(c, &c->internal.result);
    ASK(int, k.subject->submit(k.self, i, in_use || waits ? NULL : &d));
}

int strict_loop_delete(struct et_loop *loop, struct et_completion *c) {
    (void)loop;
    ASK(int, k.subject->remove(k.self, index_of(c)));
}

/* The description that a later add repeats. */
static void now_a_timer(struct et_completion *c, uint64_t delay_ms, et_callback callback,
                        void *userdata) {
    c->operation = ET_TIMER;
    c->on_pool = false;
    c->timer.delay_ms = delay_ms;
    c->callback = callback;
    c->userdata = userdata;
}

static void now_a_cancel(struct et_completion *c, struct et_completion *target,
                         et_callback callback, void *userdata) {
    c->operation = ET_CANCEL;
    c->on_pool = false;
    c->cancel.target = target;
    c->callback = callback;
    c->userdata = userdata;
}

int strict_loop_timer(struct et_loop *loop, struct et_completion *c, uint64_t delay_ms,
                      et_callback callback, void *userdata) {
    (void)loop;
    bool before = interpose_inside(true);
    int answer =
        k.subject->timer(k.self, index_of(c), delay_ms, token_of(userdata), callback != NULL);
    (void)interpose_inside(before);
    if (answer == 0)
        now_a_timer(c, delay_ms, callback, userdata);
    return answer;
}

int strict_loop_timer_reset(struct et_loop *loop, struct et_completion *c,
                            struct et_completion *carrier, uint64_t delay_ms, et_callback callback,
                            void *userdata) {
    (void)loop;
    uint32_t by = carrier == NULL ? ETALON_NOBODY : index_of(carrier);
    bool active = strict_completion_state(c) == ET_ACTIVE;
    bool before = interpose_inside(true);
    int answer = k.subject->timer_reset(k.self, index_of(c), by, delay_ms, token_of(userdata),
                                        callback != NULL);
    (void)interpose_inside(before);
    if (answer == 0)
        now_a_timer(c, delay_ms, callback, userdata);
    if (answer == 0 && active)
        now_a_cancel(carrier, c, NULL, NULL);
    return answer;
}

int strict_loop_cancel(struct et_loop *loop, struct et_completion *cancel,
                       struct et_completion *target, et_callback callback, void *userdata) {
    (void)loop;
    uint32_t whom = target == NULL ? ETALON_NOBODY : index_of(target);
    bool before = interpose_inside(true);
    int answer =
        k.subject->cancel(k.self, index_of(cancel), whom, token_of(userdata), callback != NULL);
    (void)interpose_inside(before);
    if (answer == 0)
        now_a_cancel(cancel, target, callback, userdata);
    return answer;
}

/* ---- its pool -------------------------------------------------------------------------------- */

int strict_pool_init(struct et_pool *pool, const struct et_pool_options *options) {
    (void)pool;
    bool before = interpose_inside(true);
    int answer = k.subject->pool_init(options->threads_max, &k.pool);
    (void)interpose_inside(before);
    if (answer != 0)
        k.pool = NULL;
    return answer;
}

int strict_pool_deinit(struct et_pool *pool) {
    (void)pool;
    if (k.pool == NULL)
        return -EINVAL;
    bool before = interpose_inside(true);
    int answer = k.subject->pool_deinit(k.pool);
    (void)interpose_inside(before);
    if (answer != 0)
        return answer;
    if (interpose_participants_left() > 0)
        differ("ET-POOL-14", "%u threads have not ended with their pool",
               interpose_participants_left());
    k.pool = NULL;
    k.workers = 0;
    return 0;
}

static struct eti_worker *worker_of(void *thread) {
    unsigned i = 0;
    while (i < k.workers && k.worker[i].thread != thread)
        i++;
    if (i == k.workers)
        k.worker[k.workers++] = (struct worker){.thread = thread};
    return &k.worker[i].seen;
}

/* When deinit waits for threads the subject's queue is empty; the model's is so afterwards. */
static bool can_take(const struct eti_worker *worker) {
    (void)worker;
    return driver.model.queued.count > 0 && !driver.deiniting;
}

static bool sleeps(const struct eti_worker *worker) {
    return interpose_sleeps(((const struct worker *)worker)->thread);
}

/* Whose system call it is that a thread is about to make: a close names no buffer, but the first of
 * its descriptor will be taken first. */
static unsigned work_of(const struct interpose_call *call) {
    if (call->operation != ET_CLOSE)
        return whose(call->identity);
    for (unsigned i = 0; i < driver.model.queued.count; i++) {
        const struct model_completion *c = &driver.model.completion[driver.model.queued.item[i]];
        if (c->operation == ET_CLOSE && c->description.fd == call->fd)
            return driver.model.queued.item[i];
    }
    return MODEL_NONE;
}

/* A write of nobody's buffer: what else should it be? */
static bool is_wake_up(const struct interpose_call *call) {
    return call->operation == ET_WRITE && whose(call->identity) == MODEL_NONE;
}

static void take_work(struct eti_worker *worker, const struct interpose_call *call) {
    unsigned i = work_of(call);
    if (i == MODEL_NONE) {
        differ("ET-POOL-4",
               "a thread is about to make a system call that belongs to no work: %s on %d",
               operation_name(call->operation), call->fd);
        return;
    }
    worker->work = completion(i);
    worker->phase = ETI_EXECUTES;
}

/* After the system call a thread goes to wake the loop, or to lock what leads out of the loop; by
 * then it has handed over. */
static void hand_over(struct eti_worker *worker, enum interpose_stop stop,
                      const struct interpose_call *call) {
    if (stop == INTERPOSE_CALL && !is_wake_up(call)) {
        differ("ET-POOL-4", "a thread is about to make a second system call for c%u: %s on %d",
               index_of(worker->work), operation_name(call->operation), call->fd);
        return;
    }
    worker->wakes = stop == INTERPOSE_CALL;
    worker->work = NULL;
    worker->phase = ETI_WAKES;
}

/* One step of the five of spec/trace-format.md, by the subject's own thread: from one place where
 * it stands still to the next. */
bool strict_pool_step(struct eti_worker *worker) {
    struct participant *thread = ((struct worker *)worker)->thread;
    bool idle = worker->phase == ETI_IDLE;
    if (worker->phase == ETI_WAKES && !worker->wakes) {
        worker->phase = ETI_LEAVES;
        return true;
    }
    enum interpose_stop stop = interpose_step(thread, !idle);
    if (stop == INTERPOSE_CALLED && worker->phase != ETI_EXECUTES)
        stop = interpose_step(thread, true);
    struct interpose_call call = interpose_call(thread);
    switch (worker->phase) {
    case ETI_IDLE:
        if (stop == INTERPOSE_CALL)
            take_work(worker, &call);
        break;
    case ETI_EXECUTES: worker->phase = ETI_HANDS_OVER; break;
    case ETI_HANDS_OVER: hand_over(worker, stop, &call); break;
    case ETI_WAKES: worker->phase = ETI_LEAVES; break;
    case ETI_LEAVES:
        worker->phase = ETI_IDLE;
        if (stop == INTERPOSE_CALL)
            differ("ET-POOL-13", "a thread goes on to %s on %d before it has left the loop alone",
                   operation_name(call.operation), call.fd);
        break;
    }
    return stop != INTERPOSE_ENDED;
}

/* ---- its asyncs ------------------------------------------------------------------------------ */

static unsigned async_number(const struct et_async *async) {
    return (unsigned)(async - driver.async);
}

/* The model knows an async by its descriptor. Which that is, is seen by what the subject makes
 * (world_kind_functions.gives). */
int strict_async_init(struct et_async *async) {
    unsigned a = async_number(async);
    bool before = interpose_inside(true);
    int answer = k.subject->async_init(k.self, a);
    (void)interpose_inside(before);
    async->fd = answer == 0 ? driver.world->descriptor(a) : -1;
    if (answer == 0)
        k.asyncs_gone &= ~(1u << a);
    return answer;
}

static bool is_gone(unsigned a) {
    return (k.asyncs_gone >> a & 1) != 0;
}

static void async_gone(unsigned a) {
    k.asyncs_gone |= 1u << a;
}

int strict_async_deinit(struct et_async *async) {
    unsigned a = async_number(async);
    ASK(int, is_gone(a) ? -EINVAL : k.subject->async_deinit(k.self, a));
}

int strict_async_notify(struct et_async *async) {
    unsigned a = async_number(async);
    ASK(int, is_gone(a) ? -EINVAL : k.subject->async_notify(k.self, a));
}

int strict_async_wait(struct et_loop *loop, struct et_async *async, struct et_completion *c,
                      et_callback callback, void *userdata) {
    unsigned a = async_number(async);
    (void)loop;
    if (k.self == NULL || is_gone(a))
        return -EINVAL;
    bool before = interpose_inside(true);
    int answer =
        k.subject->async_wait(k.self, index_of(c), a, token_of(userdata), callback != NULL);
    (void)interpose_inside(before);
    if (answer != 0)
        return answer;
    c->operation = ET_READ;
    c->on_pool = false;
    c->fd = async->fd;
    c->callback = callback;
    c->userdata = userdata;
    c->read.buffer = &c->internal.result; /* stands for the subject's own */
    c->read.length = sizeof c->internal.result;
    return 0;
}

static void described(unsigned c) {
    struct etalon_subject_description d = description(completion(c));
    if (k.self == NULL || k.subject->describe == NULL)
        return;
    TELL((void)k.subject->describe(k.self, c, &d));
}

static void forgotten(unsigned c) {
    if (k.self == NULL || k.subject->forget == NULL ||
        (k.subject->offers & ETALON_OFFERS_FORGET) == 0)
        return;
    TELL(k.subject->forget(k.self, c));
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void on_log(void *self, char mark, const char *line) {
    struct kit_result *result = self;
    char kind = mark == '>' ? 'c' : 'w';
    int c = -1;
    const char *name = strstr(line, " c");
    if (strncmp(line, "callback", 8) == 0)
        kind = 'b';
    if (strncmp(line, "world", 5) == 0)
        kind = 'o';
    if (name != NULL && name[2] >= '0' && name[2] <= '7')
        c = name[2] - '0';
    kit_event(result, driver.world->clock(), kind, c, line);
}

/* The subject is asked, except while it is made or released. */
static void ask_states(int8_t *state) {
    for (unsigned c = 0; c < COUNT && !k.busy; c++) {
        unsigned told = lockstep_state(c);
        state[c] = told <= KIT_DELETING ? (int8_t)told : -1;
    }
}

void strict_run(const struct etalon_subject *subject, const struct program *program,
                const struct world_kind_functions *world, struct kit_result *result) {
    struct lockstep_report report;
    k.subject = subject;
    k.result = result;
    kit_ask_states(ask_states);
    interpose_begin(INTERPOSE_WORLD, NULL);
    if ((subject->offers & ETALON_OFFERS_POOL) != 0)
        interpose_participants();
    strict_lockstep_run(program, world, on_log, result, &report);
    interpose_begin(INTERPOSE_NOTHING, NULL);
    result->callbacks = (uint32_t)report.callbacks;
    result->waits = (uint32_t)report.waits;
    if (report.differs) {
        result->verdict =
            strcmp(report.clause, "ET-WAIT-4") == 0 || strcmp(report.clause, "ET-STOP-3") == 0
                ? VERDICT_NOT_STRICT
                : VERDICT_FAIL;
        snprintf(result->clause, sizeof result->clause, "%s", report.clause);
        snprintf(result->message, sizeof result->message, "%s", report.what);
    } else if (report.not_possible && report.init_error == 0) {
        result->verdict = VERDICT_NOT_OFFERED;
        snprintf(result->message, sizeof result->message, "needs a kernel that the %s one is not",
                 world->name);
    }
    kit_end(result);
}

#else
typedef int nothing_here;
#endif
