/* SPDX-License-Identifier: MIT */
/* The reference loop, as the driver runs it: its adapter (etalon_loop.c), what is seen inside, and
 * the threads of its pool, which the driver moves step by step. Of fuzz/ this file alone knows the
 * loop's insides. */
#include "../../model/model.h"
#include "../../src/internal.h"
#include "etalon_loop.h"
#include "subject.h"

#include <errno.h>
#include <stdatomic.h>

#define COUNT  ETALON_SUBJECT_COMPLETIONS
#define differ lockstep_differ

static struct et_loop *const loop = &etalon_loop.loop;
static struct et_pool *const pool = &etalon_loop.pool;

/* ---- what is compared ------------------------------------------------------------------------ */

static void compare_queue(const char *name, const struct et_completion *c,
                          const struct model_queue *queue) {
    for (unsigned i = 0; i < queue->count; i++) {
        if (c == NULL || c != etalon_completion(queue->item[i])) {
            differ("ET-SUBMIT-1", "place %u of the %s: expected c%u", i, name, queue->item[i]);
            return;
        }
        c = c->internal.next;
    }
    if (c != NULL)
        differ("ET-SUBMIT-1", "the %s hold more than %u completions", name, queue->count);
}

/* What was handed over and is not delivered, in that order: the rest of what the pool phase has
 * taken, then the loop's list. */
static unsigned handed_over(const struct et_completion *in_order[2 * COUNT]) {
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
    const struct et_completion *in_order[2 * COUNT];
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
    compare_queue("pool's queue", pool->head, &model->queued);
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
        if (!has_deadline(expected) || (model->maybe_dead >> i & 1) != 0)
            continue;
        uint64_t deadline_ms = etalon_completion(i)->internal.deadline_ms;
        if (deadline_ms != expected->deadline_ms)
            differ("ET-ADD-7", "the deadline of c%u is %llu, expected %llu", i,
                   (unsigned long long)deadline_ms, (unsigned long long)expected->deadline_ms);
    }
}

/* A caller sees whole milliseconds of it (ET-TIME-2), and deadlines count from all of it. */
static void compare_time(const struct model *model) {
    uint64_t ms = loop->now_ns / NANOSECONDS_PER_MS, rest = loop->now_ns % NANOSECONDS_PER_MS;
    if (ms != model->now_ms || rest != model->now_rest)
        differ("ET-TIME-1", "the loop time is %llu ms and %llu ns, expected %llu ms and %llu ns",
               (unsigned long long)ms, (unsigned long long)rest, (unsigned long long)model->now_ms,
               (unsigned long long)model->now_rest);
}

static void compare(const struct model *model) {
    compare_time(model);
    compare_deadlines(model);
    compare_queue("submissions", loop->submissions_head, &model->submissions);
    compare_queue("deletions", loop->deletions_head, &model->deletions);
    if (model->maybe_dead != 0)
        return;
    compare_pool(model);
    if (loop->active != model->active)
        differ("ET-STATE-6", "%u completions are active, expected %u", loop->active, model->active);
}

static bool reads_into(uint32_t c, const void *identity) {
    return etalon_completion(c)->read.buffer == identity;
}

static bool has_handed_over(void) {
    return atomic_load(&loop->handed_over) != NULL;
}

/* ---- what is gone must refuse calls ---------------------------------------------------------- */

static void loop_is_gone(void) {
    et_loop_wakeup(loop); /* ET-WAKE-3: the driver hears of a write if it is not ignored */
    for (unsigned i = 0; i < COUNT; i++)
        if (et_completion_state(etalon_completion(i)) != ET_DEAD)
            differ("ET-DEINIT-2", "c%u is not dead after deinit", i);
    if (et_loop_tick(loop, 0) != -EINVAL || et_loop_add(loop, etalon_completion(0)) != -EINVAL ||
        et_loop_timeout(loop) != -EINVAL || et_loop_descriptor(loop) != -EINVAL)
        differ("ET-DEINIT-4", "a call on a deinitialised loop did not return -EINVAL");
}

static void pool_is_gone(void) {
    static struct et_loop other;
    struct et_options options = {.descriptors_max = 1, .pool = pool};
    int result = et_loop_init(&other, &options);
    bool refused = result == -EINVAL || (result < 0 && lockstep_has_faults());
    if (et_pool_deinit(pool) != -EINVAL || !refused)
        differ("ET-POOL-16", "a call with a deinitialised pool did not return -EINVAL");
}

static void gone(enum lockstep_gone what) {
    switch (what) {
    case GONE_INIT_FAILED:
        if (et_loop_tick(loop, 0) != -EINVAL || et_loop_deinit(loop) != -EINVAL)
            differ("ET-INIT-1", "a loop whose init has failed takes calls");
        break;
    case GONE_LOOP: loop_is_gone(); break;
    case GONE_POOL_INIT_FAILED:
        if (et_pool_deinit(pool) != -EINVAL)
            differ("ET-INIT-3", "a pool whose pool_init has failed takes calls");
        break;
    case GONE_POOL: pool_is_gone(); break;
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

static bool step(void *thread, struct lockstep_thread *seen) {
    struct eti_worker *worker = thread;
    bool goes_on = eti_pool_step(worker);
    seen->phase = phase_of(worker->phase);
    seen->work = worker->work != NULL ? etalon_number(worker->work) : ETALON_NOBODY;
    seen->wakes = worker->wakes;
    return goes_on;
}

static const struct lockstep_inspect inspect = {compare, reads_into, has_handed_over, gone};
static const struct lockstep_threads threads = {.step = step};

const struct lockstep_subject lockstep_reference = {
    .calls = &etalon_subject, .inspect = &inspect, .threads = &threads};
