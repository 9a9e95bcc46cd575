/* SPDX-License-Identifier: MIT */
/* The thread pool, and the way of a completion through it: queued, executing, handed over. The
 * loop's side of it is at the end. ET-… are clauses of spec/etalon.md.
 * A thread's work is cut into steps (enum eti_phase). What may be touched when is the whole point:
 * the completion until the hand-over, for its callback may free it at once; the loop until the
 * thread leaves, for et_loop_deinit waits for that. The order of the hand-over is proved in
 * model/spin/handover.pml, which names the comments "hand-over: …" of this file. */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 1024

/* ---- the queue: under the mutex -------------------------------------------------------------- */

static void join_queue(struct et_pool *pool, struct et_completion *c) {
    assert(!c->internal.is_queued && c->internal.on_pool);
    eti_append(&pool->head, &pool->tail, c);
    c->internal.is_queued = true;
    pool->queued++;
}

static void leave_queue(struct et_pool *pool, struct et_completion *c) {
    assert(c->internal.is_queued && pool->queued > 0);
    eti_unlink(&pool->head, &pool->tail, c);
    c->internal.is_queued = false;
    pool->queued--;
}

/* ---- a thread, step by step ------------------------------------------------------------------ */

/* Waits at most once: a test that calls eti_pool_step must be able to come back. */
static bool take(struct et_pool *pool, struct eti_worker *worker) {
    pthread_mutex_lock(&pool->mutex);
    if (pool->head == NULL && !pool->ending)
        pthread_cond_wait(&pool->work, &pool->mutex);
    struct et_completion *c = pool->head; /* ET-POOL-2 */
    if (c != NULL) {
        leave_queue(pool, c);
        pool->idle--;
        worker->work = c;
        worker->loop = c->internal.loop;
        worker->loop->executing++;
        worker->phase = ETI_EXECUTES;
    }
    bool goes_on = c != NULL || !pool->ending;
    pthread_mutex_unlock(&pool->mutex);
    return goes_on;
}

/* ET-POOL-4. Once: a close must not be repeated, and EAGAIN is what a caller who marks a
 * non-blocking descriptor wants to see. */
static void execute(struct et_completion *c) {
    int fd = c->internal.fd;
    int64_t value = 0;
    switch (c->internal.operation) {
    case ET_READ: value = read(fd, c->read.buffer, c->read.length); break;
    case ET_PREAD: value = pread(fd, c->pread.buffer, c->pread.length, c->pread.offset); break;
    case ET_WRITE: value = write(fd, c->write.buffer, c->write.length); break;
    case ET_PWRITE: value = pwrite(fd, c->pwrite.buffer, c->pwrite.length, c->pwrite.offset); break;
    default:
        assert(c->internal.operation == ET_CLOSE);
        value = close(fd) == 0 || errno == EINTR ? 0 : -1; /* the number is free even then */
    }
    c->internal.result = value >= 0 ? value : -errno;
}

/* Whether the list was empty: then this thread has to wake the loop. Otherwise the thread that
 * filled it has done so, or is about to. */
static bool hand_over(struct et_loop *loop, struct et_completion *c) {
    struct et_completion *last = atomic_load_explicit(&loop->handed_over, memory_order_relaxed);
    do
        c->internal.next = last;
    while (!atomic_compare_exchange_weak_explicit(&loop->handed_over, &last, c,
                                                  memory_order_release,
                                                  memory_order_relaxed)); /* hand-over: push */
    return last == NULL;
}

static void leave_loop(struct et_pool *pool, struct et_loop *loop) {
    pthread_mutex_lock(&pool->mutex);
    assert(loop->executing > 0);
    pool->idle++;
    loop->executing--; /* hand-over: leave */
    if (loop->executing == 0)
        pthread_cond_broadcast(&pool->left);
    pthread_mutex_unlock(&pool->mutex);
}

bool eti_pool_step(struct eti_worker *worker) {
    switch (worker->phase) {
    case ETI_IDLE: return take(worker->pool, worker);
    case ETI_EXECUTES:
        assert(worker->work != NULL && worker->loop != NULL);
        execute(worker->work);
        worker->phase = ETI_HANDS_OVER;
        return true;
    case ETI_HANDS_OVER:
        worker->wakes = hand_over(worker->loop, worker->work);
        worker->work = NULL; /* ET-POOL-12 */
        worker->phase = ETI_WAKES;
        return true;
    case ETI_WAKES:
        if (worker->wakes)
            eti_raise(&worker->loop->wakers, &worker->loop->wakeup); /* hand-over: wake */
        worker->phase = ETI_LEAVES;
        return true;
    case ETI_LEAVES:
        worker->phase = ETI_IDLE;
        leave_loop(worker->pool, worker->loop);
        return true;
    }
    return false;
}

static void *run(void *argument) {
    struct eti_worker *worker = argument;
    while (eti_pool_step(worker))
        continue;
    return NULL;
}

/* Under the mutex. All signals are blocked: they go to the program's own threads, and a SIGPIPE
 * that a write raises here is never delivered (ET-OP-5). */
static int create_thread(struct et_pool *pool) {
    struct eti_worker *worker = &pool->workers[pool->threads];
    sigset_t all, before;
    assert(pool->threads < pool->threads_max && !pool->ending);
    *worker = (struct eti_worker){.pool = pool};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, &pool->attributes, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return error;
    pool->threads++;
    pool->idle++;
    return 0;
}

/* ---- the pool's life ------------------------------------------------------------------------- */

static bool is_pool(const struct et_pool *pool) {
    return pool != NULL && pool->workers != NULL;
}

static int make_parts(struct et_pool *pool, size_t stack_bytes) {
    int error = pthread_attr_init(&pool->attributes);
    if (error != 0)
        return error;
    if (stack_bytes > 0)
        error = pthread_attr_setstacksize(&pool->attributes, stack_bytes);
    if (error == 0)
        error = pthread_mutex_init(&pool->mutex, NULL);
    if (error != 0)
        goto no_mutex;
    error = pthread_cond_init(&pool->work, NULL);
    if (error != 0)
        goto no_work;
    error = pthread_cond_init(&pool->left, NULL);
    if (error == 0)
        return 0;
    pthread_cond_destroy(&pool->work);
no_work:
    pthread_mutex_destroy(&pool->mutex);
no_mutex:
    pthread_attr_destroy(&pool->attributes);
    return error;
}

int et_pool_init(struct et_pool *pool, const struct et_pool_options *options) {
    if (pool == NULL)
        return -EINVAL;
    memset(pool, 0, sizeof *pool);
    uint32_t process;
    unsigned threads_max = options != NULL ? options->threads_max : 0;
    if (threads_max > THREADS_MAX)
        return -EINVAL;
    int error = eti_number_process(&process);
    if (error != 0)
        return error;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads_max == 0 && processors < 1)
        threads_max = 1;
    else if (threads_max == 0)
        threads_max = processors > THREADS_MAX ? THREADS_MAX : (unsigned)processors;
    struct eti_worker *workers = calloc(threads_max, sizeof *workers);
    if (workers == NULL)
        return -ENOMEM;
    error = make_parts(pool, options != NULL ? options->stack_bytes : 0);
    if (error != 0) {
        free(workers);
        memset(pool, 0, sizeof *pool);
        return -error;
    }
    pool->workers = workers;
    pool->threads_max = threads_max;
    pool->process = process;
    return 0;
}

/* All that a child may do to its copy: the mutex may be locked and the conditions waited for, for
 * ever, by threads that are not there; destroying them would wait, too (ET-FORK-2). */
static void release(struct et_pool *pool) {
    pthread_attr_destroy(&pool->attributes);
    free(pool->workers);
    memset(pool, 0, sizeof *pool);
}

int et_pool_deinit(struct et_pool *pool) {
    if (!is_pool(pool))
        return -EINVAL;
    if (eti_is_inherited(pool->process)) {
        release(pool);
        return 0;
    }
    pthread_mutex_lock(&pool->mutex);
    bool used = pool->loops > 0;
    pool->ending = !used;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    if (used)
        return -EBUSY;
    for (unsigned i = 0; i < pool->threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->left);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    release(pool);
    return 0;
}

/* ---- the loop's side: on the thread that drives it ------------------------------------------- */

int eti_pool_attach(struct et_loop *loop, struct et_pool *pool) {
    assert(loop->pool == NULL);
    if (!is_pool(pool))
        return -EINVAL;
    if (eti_is_inherited(pool->process))
        return -ECHILD;
    pthread_mutex_lock(&pool->mutex);
    pool->loops++;
    pthread_mutex_unlock(&pool->mutex);
    loop->pool = pool;
    return 0;
}

int eti_pool_queue(struct et_loop *loop, struct et_completion *c) {
    struct et_pool *pool = loop->pool;
    int error = 0;
    assert(c->internal.state == ET_ACTIVE && c->internal.place == PLACE_POOL);
    pthread_mutex_lock(&pool->mutex);
    join_queue(pool, c);
    if (pool->queued > pool->idle && pool->threads < pool->threads_max) /* ET-POOL-15 */
        error = create_thread(pool);
    if (pool->threads == 0)
        leave_queue(pool, c);
    else
        error = 0; /* those that are there will come to it */
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    return -error;
}

bool eti_pool_recall(struct et_loop *loop, struct et_completion *c) {
    assert(c->internal.state == ET_ACTIVE && c->internal.place == PLACE_POOL);
    pthread_mutex_lock(&loop->pool->mutex);
    bool queued = c->internal.is_queued;
    if (queued)
        leave_queue(loop->pool, c);
    pthread_mutex_unlock(&loop->pool->mutex);
    return queued;
}

/* Takes all that was handed over, in the order of handing over. */
static struct et_completion *take_handed_over(struct et_loop *loop) {
    struct et_completion *in_order = NULL;
    /* hand-over: take */
    struct et_completion *c =
        atomic_exchange_explicit(&loop->handed_over, NULL, memory_order_acquire);
    while (c != NULL) {
        struct et_completion *before = c->internal.next;
        c->internal.next = in_order;
        in_order = c;
        c = before;
    }
    return in_order;
}

/* ET-POOL-10. What a callback of this phase deletes lingers in the list until its turn comes. */
void eti_deliver_handed_over(struct et_loop *loop) {
    if (loop->pool == NULL)
        return;
    assert(loop->delivering == NULL);
    loop->delivering = take_handed_over(loop);
    while (eti_is_ours(loop) && loop->delivering != NULL) {
        struct et_completion *c = loop->delivering;
        loop->delivering = c->internal.next;
        if (c->internal.state == ET_ACTIVE)
            eti_finish(loop, c, c->internal.result);
        else
            eti_end_lingering(loop, c); /* ET-POOL-8 */
    }
}

/* By the loop's own list: in a child, the pool's may be as a thread left it that was just changing
 * it. */
void eti_pool_forget(struct et_loop *loop) {
    for (struct et_completion *c = loop->pooled; c != NULL; c = c->internal.pooled_next) {
        c->internal.is_queued = false;
        eti_abandon(loop, c);
    }
}

void eti_pool_detach(struct et_loop *loop) {
    struct et_pool *pool = loop->pool;
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    for (struct et_completion *c = loop->pooled; c != NULL; c = c->internal.pooled_next)
        if (c->internal.is_queued)
            leave_queue(pool, c);
    assert(pool->loops > 0);
    while (loop->executing > 0) /* ET-POOL-13 */
        pthread_cond_wait(&pool->left, &pool->mutex);
    pool->loops--;
    pthread_mutex_unlock(&pool->mutex);
    eti_pool_forget(loop); /* hand-over: forget */
}
