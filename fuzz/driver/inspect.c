/* SPDX-License-Identifier: MIT */
/* The reference loop, as the driver runs it: its adapter (etalon_loop.c), what is seen inside, and
 * the threads of its pool, which the driver moves step by step. Of fuzz/ this file alone knows the
 * loop's insides. */
#include "../../src/internal.h"
#include "etalon_loop.h"
#include "state.h"
#include "subject.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static struct et_loop *const loop = &etalon_loop.loop;
static struct et_pool *const pool = &etalon_loop.pool;

/* ---- what is compared ------------------------------------------------------------------------ */

static bool is_queued(const struct model_queue *queue, unsigned c) {
    for (unsigned i = 0; i < queue->count; i++)
        if (queue->item[i] == c)
            return true;
    return false;
}

static bool is_linked(const struct et_completion *head, const struct et_completion *c) {
    for (unsigned i = 0; i < COUNT && head != NULL && head != c; i++)
        head = head->internal.next;
    return head == c;
}

/* Which completion a queue has wrong that has `found` (perhaps null) in the place of `expected`:
 * the one that should not be in it, or is missing, or else came behind the other. */
static unsigned misplaced(const struct et_completion *head, const struct model_queue *queue,
                          const struct et_completion *found, unsigned expected) {
    unsigned c = found != NULL ? etalon_number(found) : ETALON_NOBODY;
    bool missing = !is_linked(head, etalon_completion(expected));
    return c >= COUNT || (is_queued(queue, c) && missing) ? expected : c;
}

static void compare_queue(const char *name, const struct model *model,
                          const struct et_completion *head, const struct model_queue *queue) {
    const struct et_completion *c = head;
    for (unsigned i = 0; i < queue->count; i++) {
        unsigned expected = queue->item[i];
        if (c == NULL || c != etalon_completion(expected)) {
            unsigned wrong = misplaced(head, queue, c, expected);
            differ(lockstep_blame(model->completion[wrong].clause),
                   "place %u of the %s: expected c%u", i, name, expected);
            return;
        }
        c = c->internal.next;
    }
    uint32_t excess = c != NULL ? etalon_number(c) : ETALON_NOBODY;
    if (c != NULL)
        differ(lockstep_blame(excess < COUNT ? model->completion[excess].clause : model->clause),
               "the %s hold more than %u completions", name, queue->count);
}

/* What was handed over and is not delivered, in that order: the rest of what the pool phase has
 * taken, then the loop's list. */
static unsigned handed_over(const struct et_completion *in_order[]) {
    unsigned count = 0, taken;
    for (const struct et_completion *c = loop->delivering; c != NULL && count < COUNT;
         c = c->internal.next)
        in_order[count++] = c;
    taken = count;
    for (const struct et_completion *c = atomic_load(&loop->handed_over);
         c != NULL && count < 2 * COUNT; c = c->internal.next)
        in_order[count++] = c;
    for (unsigned i = taken, j = count; i + 1 < j; i++) {
        const struct et_completion *swapped = in_order[i];
        in_order[i] = in_order[--j];
        in_order[j] = swapped;
    }
    return count;
}

static void compare_pool(const struct model *model) {
    const struct et_completion *in_order[2 * PROGRAM_COMPLETIONS];
    unsigned count = handed_over(in_order);
    if (loop->lingering != model->lingering)
        differ("ET-POOL-8", "%u completions are lingering, expected %u", loop->lingering,
               model->lingering);
    for (unsigned i = 0; i < count && i < model->handed_over.count; i++)
        if (in_order[i] != etalon_completion(model->handed_over.item[i]))
            differ("ET-POOL-10", "place %u of what was handed over: expected c%u", i,
                   model->handed_over.item[i]);
    if (count != model->handed_over.count)
        differ("ET-POOL-10", "%u completions are handed over, expected %u", count,
               model->handed_over.count);
    if (!model->has_pool)
        return;
    compare_queue("pool's queue", model, pool->head, &model->queued);
    if (loop->executing != model->pool_busy)
        differ("ET-POOL-13", "%u threads have work of the loop, expected %u", loop->executing,
               model->pool_busy);
    if (pool->threads != model->pool_threads || pool->idle != pool->threads - model->pool_busy)
        differ("ET-POOL-15", "%u threads, %u of them idle, expected %u and %u", pool->threads,
               pool->idle, model->pool_threads, model->pool_threads - model->pool_busy);
}

static bool has_deadline(const struct model_completion *c) {
    return (c->state == ET_ACTIVE || c->state == ET_ADDING) && c->operation == ET_TIMER &&
           !c->is_carrier;
}

static void compare_deadlines(const struct model *model) {
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *expected = &model->completion[i];
        if (!has_deadline(expected) || model_has(&model->maybe_dead, i))
            continue;
        uint64_t deadline_ms = etalon_completion(i)->internal.deadline_ms;
        if (deadline_ms != expected->deadline_ms)
            differ(lockstep_blame(expected->deadline_clause),
                   "the deadline of c%u is %llu, expected %llu", i, (unsigned long long)deadline_ms,
                   (unsigned long long)expected->deadline_ms);
    }
}

/* A caller sees whole milliseconds of it (ET-TIME-2), and deadlines count from all of it. */
static void compare_time(const struct model *model) {
    uint64_t ms = loop->now_ns / NANOSECONDS_PER_MS, rest = loop->now_ns % NANOSECONDS_PER_MS;
    if (ms != model->now_ms || rest != model->now_rest)
        differ(lockstep_time_blame(0, loop->now_ns),
               "the loop time is %llu ms and %llu ns, expected %llu ms and %llu ns",
               (unsigned long long)ms, (unsigned long long)rest, (unsigned long long)model->now_ms,
               (unsigned long long)model->now_rest);
}

/* A timer whose reset is not applied is held, and its carrier knows it. */
static void compare_resets(const struct model *model) {
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *expected = &model->completion[i];
        const struct et_completion *c = etalon_completion(i);
        bool held = expected->carrier != MODEL_NONE;
        if (expected->state == ET_ACTIVE && expected->operation == ET_TIMER &&
            (c->internal.place == PLACE_HELD) != held)
            differ(lockstep_blame(expected->reset_clause), "c%u is %sheld back", i,
                   held ? "not " : "");
        const struct et_completion *timer =
            expected->carries != MODEL_NONE ? etalon_completion(expected->carries) : NULL;
        if (expected->is_carrier && c->internal.partner != timer)
            differ(lockstep_blame(expected->reset_clause), "c%u carries another reset, or none", i);
    }
}

static void compare_forgotten(void) {
    for (unsigned i = 0; i < COUNT; i++)
        if (!etalon_is_left_alone(i))
            differ("ET-STATE-7", "the memory that c%u has left was written to", i);
}

static void compare(const struct model *model) {
    compare_time(model);
    compare_forgotten();
    compare_deadlines(model);
    compare_queue("submissions", model, loop->submissions_head, &model->submissions);
    compare_queue("deletions", model, loop->deletions_head, &model->deletions);
    if (!model_is_empty(&model->maybe_dead))
        return;
    compare_resets(model);
    compare_pool(model);
    if (model->in_tick && loop->called != model->tick.called)
        differ("ET-TICK-5", "%llu callbacks are counted, expected %llu",
               (unsigned long long)loop->called, (unsigned long long)model->tick.called);
    if (loop->active != model->active)
        differ("ET-STATE-6", "%u completions are active, expected %u", loop->active, model->active);
}

static enum et_state state(uint32_t c) {
    return (enum et_state)etalon_completion(c)->internal.state;
}

static bool reads_into(uint32_t c, const void *identity) {
    return etalon_completion(c)->read.buffer == identity;
}

static bool has_handed_over(void) {
    return atomic_load(&loop->handed_over) != NULL;
}

/* ---- what is gone must refuse calls ---------------------------------------------------------- */

static enum et_action never(struct et_loop *of, struct et_completion *c, int64_t result,
                            void *userdata) {
    (void)of, (void)c, (void)result, (void)userdata;
    differ("ET-DEINIT-4", "a callback of a loop that is not initialised");
    return ET_DISARM;
}

/* Each call but init, on a loop that is none. Its memory stays as it is. */
static void makes_calls(struct et_loop *none, const char *clause, const char *what) {
    struct et_completion c = {0}, other = {0};
    struct et_async async;
    unsigned char before[sizeof *none];
    memcpy(before, none, sizeof before);
    bool has_async = et_async_init(&async) == 0; /* the program may let it fail */
    et_loop_stop(none);
    et_loop_update_now(none);
    et_loop_wakeup(none);
    const struct {
        const char *call;
        int64_t result;
    } calls[] = {
        {"tick", et_loop_tick(none, 0)},
        {"run", et_loop_run(none, ET_RUN_NO_WAIT)},
        {"add", et_loop_add(none, &c)},
        {"delete", et_loop_delete(none, &c)},
        {"timer", et_loop_timer(none, &c, 0, never, NULL)},
        {"timer_reset", et_loop_timer_reset(none, &c, &other, 0, never, NULL)},
        {"cancel", et_loop_cancel(none, &c, &other, never, NULL)},
        {"async_wait", has_async ? et_async_wait(none, &async, &c, never, NULL) : -EINVAL},
        {"timeout", et_loop_timeout(none)},
        {"descriptor", et_loop_descriptor(none)},
        {"deinit", et_loop_deinit(none)},
    };
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].result != -EINVAL)
            differ(clause, "%s on %s returned %lld", calls[i].call, what,
                   (long long)calls[i].result);
    if (et_loop_stopped(none) || et_loop_now(none) != 0)
        differ(clause, "%s is stopped, or has a time", what);
    if (memcmp(before, none, sizeof before) != 0)
        differ(clause, "a call on %s has changed it", what);
    if (et_completion_state(&c) != ET_DEAD || et_completion_state(&other) != ET_DEAD)
        differ(clause, "a call on %s has added a completion", what);
    if (has_async)
        (void)et_async_deinit(&async);
}

static void loop_is_gone(void) {
    static struct et_loop zero;
    for (unsigned i = 0; i < COUNT; i++)
        if (et_completion_state(etalon_completion(i)) != ET_DEAD)
            differ("ET-DEINIT-2", "c%u is not dead after deinit", i);
    makes_calls(loop, "ET-DEINIT-4", "a deinitialised loop"); /* ET-WAKE-3, too */
    makes_calls(&zero, "ET-DEINIT-4", "a zero-initialised loop");
}

static void pool_is_gone(const char *clause) {
    static struct et_loop other;
    struct et_options options = {.descriptors_max = 1, .pool = pool};
    int result = et_loop_init(&other, &options);
    bool refused = result == -EINVAL || (result < 0 && lockstep_has_faults());
    if (result == 0)
        (void)et_loop_deinit(&other);
    if (et_pool_deinit(pool) != -EINVAL || !refused)
        differ(clause, "a call with a pool that is none did not return -EINVAL");
}

/* ET-INIT-3: what cannot be asked for is refused before any call is made. */
static void refuses_arguments(void) {
    struct et_pool_options many = {.threads_max = 1025};
    struct et_pool none;
    if (et_pool_init(NULL, NULL) != -EINVAL || et_async_init(NULL) != -EINVAL)
        differ("ET-INIT-3", "an init of a null pointer did not return -EINVAL");
    if (et_pool_init(&none, &many) != -EINVAL)
        differ("ET-INIT-3", "a pool of 1025 threads was not refused");
    else if (et_pool_deinit(&none) != -EINVAL)
        differ("ET-INIT-3", "a pool whose pool_init has failed takes calls");
}

static void gone(enum lockstep_gone what) {
    switch (what) {
    case GONE_INIT_FAILED: makes_calls(loop, "ET-INIT-1", "a loop whose init has failed"); break;
    case GONE_LOOP: loop_is_gone(); break;
    case GONE_POOL_INIT_FAILED: pool_is_gone("ET-INIT-3"); break;
    case GONE_POOL:
        pool_is_gone("ET-POOL-16");
        refuses_arguments();
        break;
    }
}

/* ---- its threads ----------------------------------------------------------------------------- */

static enum lockstep_phase phase_of(enum eti_phase phase) {
    switch (phase) {
    case ETI_IDLE: return LOCKSTEP_IDLE;
    case ETI_EXECUTES: return LOCKSTEP_EXECUTES;
    case ETI_HANDS_OVER: return LOCKSTEP_HANDS_OVER;
    case ETI_WAKES: return LOCKSTEP_WAKES;
    default: return LOCKSTEP_LEAVES;
    }
}

/* ET-POOL-12: from the hand-over on, a step must leave every completion as it is. */
static bool step(void *thread, struct lockstep_thread *seen) {
    static struct et_completion before[PROGRAM_COMPLETIONS];
    struct eti_worker *worker = thread;
    bool after = worker->phase == ETI_WAKES || worker->phase == ETI_LEAVES;
    for (unsigned i = 0; i < COUNT && after; i++)
        before[i] = *etalon_completion(i);
    bool goes_on = eti_pool_step(worker);
    for (unsigned i = 0; i < COUNT && after; i++)
        if (memcmp(&before[i], etalon_completion(i), sizeof before[i]) != 0)
            differ("ET-POOL-12", "a thread has written to c%u after it has handed over", i);
    seen->phase = phase_of(worker->phase);
    seen->work = worker->work != NULL ? etalon_number(worker->work) : ETALON_NOBODY;
    seen->wakes = worker->wakes;
    return goes_on;
}

static const struct lockstep_inspect inspect = {compare, state, reads_into, has_handed_over, gone};
static const struct lockstep_threads threads = {.step = step};

const struct lockstep_subject lockstep_reference = {
    .calls = &etalon_subject, .inspect = &inspect, .threads = &threads};
