/* SPDX-License-Identifier: MIT */
/* Etalon itself, as a subject. Build: -DETALON_MANY -Wl,-Bsymbolic $(find src -name '*.c')
 *
 * The mapping is one to one: each function of the ABI is the function of etalon.h that has its
 * name, each completion number is one struct et_completion. Nothing is emulated; everything that
 * version 1.0-draft of the law speaks of is offered. The threads of a pool are the loop's own,
 * which the runner lets run from stop to stop. The same source is linked into the checks, where the
 * driver runs it (inspect.c). */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "etalon_loop.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER
#endif

#ifdef HAS_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#define CAN_LOOK               false
#define POISON(memory, size)   ASAN_POISON_MEMORY_REGION(memory, size)
#define UNPOISON(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define CAN_LOOK               true
#define POISON(memory, size)   memset(memory, LEFT, size)
#define UNPOISON(memory, size) ((void)0)
#endif

#define COUNT ETALON_LOOP_COMPLETIONS
#ifndef SLACK_MS
#define SLACK_MS 1 /* deadlines are whole milliseconds */
#endif
#define LEFT 0xa5 /* in every byte of a memory that a completion has left */

struct etalon_loop etalon_loop;

bool etalon_is_left_alone(uint32_t c) {
    struct et_completion *left = &etalon_loop.memory[etalon_loop.generation[c] ^ 1][c], untouched;
    if (!CAN_LOOK || !etalon_loop.left[c])
        return true;
    memset(&untouched, LEFT, sizeof untouched);
    return memcmp(left, &untouched, sizeof untouched) == 0;
}

static enum et_action on_callback(struct et_loop *loop, struct et_completion *c, int64_t result,
                                  void *userdata) {
    uint32_t i = loop == &etalon_loop.loop ? etalon_number(c) : ETALON_NOBODY;
    enum etalon_subject_action action =
        etalon_loop.host->called(i, result, (uint32_t)(uintptr_t)userdata);
    /* A callback that freed the completion does not ask for a rearm. */
    return action == ETALON_REARM ? ET_REARM : ET_DISARM;
}

static et_callback callback_if(int has_callback) {
    return has_callback ? on_callback : NULL;
}

static struct et_completion *completion_or_null(uint32_t c) {
    return c < COUNT ? etalon_completion(c) : NULL;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct et_options options = {.descriptors_max = host->descriptors_max};
    if (host->size > offsetof(struct etalon_subject_host, pool)) /* an older runner has none */
        options.pool = host->pool;
    etalon_loop.host = host;
    UNPOISON(etalon_loop.memory, sizeof etalon_loop.memory);
    memset(etalon_loop.memory, 0, sizeof etalon_loop.memory);
    memset(etalon_loop.generation, 0, sizeof etalon_loop.generation);
    memset(etalon_loop.left, 0, sizeof etalon_loop.left);
    *self = &etalon_loop;
    return et_loop_init(&etalon_loop.loop, &options);
}

static int deinit(void *of) {
    (void)of;
    return et_loop_deinit(&etalon_loop.loop);
}

static void fill_in(struct et_completion *c, const struct etalon_subject_description *d) {
    c->operation = (uint8_t)d->operation;
    c->on_pool = d->on_pool != 0;
    c->fd = d->fd;
    c->callback = callback_if(d->has_callback);
    c->userdata = (void *)(uintptr_t)d->userdata;
    switch (d->operation) {
    case ET_CANCEL: c->cancel.target = completion_or_null(d->target); break;
    case ET_ACCEPT:
        c->accept.address = d->address;
        c->accept.address_length = d->address_length;
        c->accept.flags = d->flags;
        break;
    case ET_CONNECT:
        c->connect.address = d->address;
        c->connect.address_length = *d->address_length;
        break;
    case ET_POLL: c->poll.events = d->events; break;
    case ET_READ:
    case ET_WRITE:
        c->read.buffer = d->buffer;
        c->read.length = d->length;
        break;
    case ET_PREAD:
    case ET_PWRITE:
        c->pread.buffer = d->buffer;
        c->pread.length = d->length;
        c->pread.offset = d->offset;
        break;
    case ET_SEND:
    case ET_RECV:
        c->recv.buffer = d->buffer;
        c->recv.length = d->length;
        c->recv.flags = d->flags;
        break;
    case ET_SENDMSG:
    case ET_RECVMSG:
        c->recvmsg.message = d->message;
        c->recvmsg.flags = d->flags;
        break;
    case ET_SHUTDOWN: c->shutdown.how = d->flags; break;
    case ET_TIMER: c->timer.delay_ms = d->delay_ms; break;
    default: break;
    }
}

static int submit(void *of, uint32_t c, const struct etalon_subject_description *d) {
    (void)of;
    if (d != NULL)
        fill_in(etalon_completion(c), d);
    return et_loop_add(&etalon_loop.loop, etalon_completion(c));
}

static int describe(void *of, uint32_t c, const struct etalon_subject_description *d) {
    (void)of;
    fill_in(etalon_completion(c), d);
    return 0;
}

static int timer(void *of, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)of;
    return et_loop_timer(&etalon_loop.loop, etalon_completion(c), delay_ms,
                         callback_if(has_callback), (void *)(uintptr_t)userdata);
}

static int timer_reset(void *of, uint32_t c, uint32_t carrier, uint64_t delay_ms, uint32_t userdata,
                       int has_callback) {
    (void)of;
    return et_loop_timer_reset(&etalon_loop.loop, etalon_completion(c), completion_or_null(carrier),
                               delay_ms, callback_if(has_callback), (void *)(uintptr_t)userdata);
}

static int cancel(void *of, uint32_t c, uint32_t target, uint32_t userdata, int has_callback) {
    (void)of;
    return et_loop_cancel(&etalon_loop.loop, etalon_completion(c), completion_or_null(target),
                          callback_if(has_callback), (void *)(uintptr_t)userdata);
}

static int remove_completion(void *of, uint32_t c) {
    (void)of;
    return et_loop_delete(&etalon_loop.loop, etalon_completion(c));
}

/* To the other memory, so that a loop that still looked at the old one would show. */
static void forget(void *of, uint32_t c) {
    struct et_completion *old = etalon_completion(c), *fresh;
    (void)of;
    etalon_loop.generation[c] ^= 1;
    etalon_loop.left[c] = true;
    fresh = etalon_completion(c);
    for (uint32_t k = 0; k < COUNT; k++) /* nobody adds a cancel whose target is gone */
        if (k != c && etalon_completion(k)->operation == ET_CANCEL &&
            etalon_completion(k)->cancel.target == old)
            etalon_completion(k)->cancel.target = fresh;
    POISON(old, sizeof *old);
    UNPOISON(fresh, sizeof *fresh);
    memset(fresh, 0, sizeof *fresh);
}

static int state(void *of, uint32_t c) {
    (void)of;
    return (int)et_completion_state(etalon_completion(c));
}

static int run(void *of, uint32_t mode) {
    (void)of;
    return et_loop_run(&etalon_loop.loop, (enum et_run_mode)mode);
}

static int tick(void *of, uint32_t callbacks) {
    (void)of;
    return et_loop_tick(&etalon_loop.loop, callbacks);
}

static void stop(void *of) {
    (void)of;
    et_loop_stop(&etalon_loop.loop);
}

static int stopped(void *of) {
    (void)of;
    return et_loop_stopped(&etalon_loop.loop);
}

static void wakeup(void *of) {
    (void)of;
    et_loop_wakeup(&etalon_loop.loop);
}

static uint64_t now(void *of) {
    (void)of;
    return et_loop_now(&etalon_loop.loop);
}

static void update_now(void *of) {
    (void)of;
    et_loop_update_now(&etalon_loop.loop);
}

static int pool_init(uint32_t threads_max, void **pool) {
    struct et_pool_options options = {.threads_max = threads_max};
    *pool = &etalon_loop.pool;
    return et_pool_init(&etalon_loop.pool, &options);
}

static int pool_deinit(void *pool) {
    return et_pool_deinit(pool);
}

static int async_init(void *of, uint32_t a) {
    (void)of;
    return et_async_init(&etalon_loop.async[a]);
}

static int async_deinit(void *of, uint32_t a) {
    (void)of;
    return et_async_deinit(&etalon_loop.async[a]);
}

static int async_notify(void *of, uint32_t a) {
    (void)of;
    return et_async_notify(&etalon_loop.async[a]);
}

static int async_wait(void *of, uint32_t c, uint32_t a, uint32_t userdata, int has_callback) {
    (void)of;
    return et_async_wait(&etalon_loop.loop, &etalon_loop.async[a], etalon_completion(c),
                         callback_if(has_callback), (void *)(uintptr_t)userdata);
}

static int64_t timeout(void *of) {
    (void)of;
    return et_loop_timeout(&etalon_loop.loop);
}

static int descriptor(void *of) {
    (void)of;
    return et_loop_descriptor(&etalon_loop.loop);
}

static const char *version(void) {
    return ET_VERSION;
}

#define CALLS                                                                                      \
    (ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_CANCEL | ETALON_OFFERS_DELETE |    \
     ETALON_OFFERS_READD | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE |      \
     ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_TICK | ETALON_OFFERS_STOP | ETALON_OFFERS_STOPPED |  \
     ETALON_OFFERS_WAKEUP | ETALON_OFFERS_NOW | ETALON_OFFERS_UPDATE_NOW | ETALON_OFFERS_STATE |   \
     ETALON_OFFERS_DEINIT | ETALON_OFFERS_GUARDED | ETALON_OFFERS_GUARDED_DEINIT |                 \
     ETALON_OFFERS_CHECKED | ETALON_OFFERS_NULL_CALLBACK | ETALON_OFFERS_FORGET |                  \
     ETALON_OFFERS_RESET_ALONE | ETALON_OFFERS_TURN | ETALON_OFFERS_HOSTED)
#define OPERATIONS                                                                                 \
    (ETALON_OFFERS_POLL | ETALON_OFFERS_POLL_MORE | ETALON_OFFERS_MANY_POLLS |                     \
     ETALON_OFFERS_CLOSED_EARLY | ETALON_OFFERS_NOOP | ETALON_OFFERS_READ |                        \
     ETALON_OFFERS_POSITIONED | ETALON_OFFERS_SEND | ETALON_OFFERS_MESSAGES |                      \
     ETALON_OFFERS_ACCEPT | ETALON_OFFERS_CONNECT | ETALON_OFFERS_CLOSE | ETALON_OFFERS_SHUTDOWN)
#define THREADS (ETALON_OFFERS_POOL | ETALON_OFFERS_ASYNC | ETALON_OFFERS_ASYNC_KEPT)

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "etalon",
    .notes = "The reference loop, one to one: every function of the ABI is the function of "
             "etalon.h with its name.",
    .offers = CALLS | OPERATIONS | THREADS | ETALON_OFFERS_ROUNDS | ETALON_OFFERS_DESCRIPTOR_LIMIT,
    .version = version,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .describe = describe,
    .timer = timer,
    .timer_reset = timer_reset,
    .cancel = cancel,
    .remove = remove_completion,
    .forget = forget,
    .state = state,
    .run = run,
    .tick = tick,
    .stop = stop,
    .stopped = stopped,
    .wakeup = wakeup,
    .now = now,
    .update_now = update_now,
    .pool_init = pool_init,
    .pool_deinit = pool_deinit,
    .async_init = async_init,
    .async_deinit = async_deinit,
    .async_notify = async_notify,
    .async_wait = async_wait,
    .slack_ms = SLACK_MS,
    .timeout = timeout,
    .descriptor = descriptor,
    .completions_max = ETALON_LOOP_COMPLETIONS,
};
