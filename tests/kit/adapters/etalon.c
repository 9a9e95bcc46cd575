/* SPDX-License-Identifier: MIT */
/* Etalon itself, as a subject. Build: -Wl,-Bsymbolic $(find src -name '*.c')
 *
 * The mapping is one to one: each function of the ABI is the function of etalon.h that has its
 * name, each completion number is one struct et_completion. A completion that is forgotten moves to
 * memory of its own, so that a loop that still looked at the old one would show. Nothing is
 * emulated; everything that version 1.0-draft of the law speaks of is offered. The threads of a
 * pool are the loop's own, which the runner lets run from stop to stop. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/etalon.h"
#include "../etalon_subject.h"

#define COUNT ETALON_SUBJECT_COMPLETIONS

struct self {
    struct et_loop loop;
    const struct etalon_subject_host *host;
    struct et_completion *completion[COUNT];
};

static struct et_async asyncs[ETALON_SUBJECT_ASYNCS]; /* they belong to no loop */

static struct self *of_loop(struct et_loop *loop) {
    return (struct self *)loop;
}

static enum et_action on_callback(struct et_loop *loop, struct et_completion *c, int64_t result,
                                  void *userdata) {
    struct self *self = of_loop(loop);
    uint32_t i = 0;
    while (i < COUNT && self->completion[i] != c)
        i++;
    enum etalon_subject_action action =
        self->host->called(i, result, (uint32_t)(uintptr_t)userdata);
    /* A callback that freed the completion does not ask for a rearm. */
    return action == ETALON_REARM ? ET_REARM : ET_DISARM;
}

static et_callback callback_if(int has_callback) {
    return has_callback ? on_callback : NULL;
}

static void release(struct self *self) {
    for (unsigned i = 0; i < COUNT; i++)
        free(self->completion[i]);
    free(self);
}

static int init(const struct etalon_subject_host *host, void **result) {
    struct self *self = calloc(1, sizeof *self);
    struct et_options options = {.descriptors_max = host->descriptors_max};
    if (host->size > offsetof(struct etalon_subject_host, pool)) /* an older runner has none */
        options.pool = host->pool;
    if (self == NULL)
        return -ENOMEM;
    self->host = host;
    for (unsigned i = 0; i < COUNT; i++) {
        self->completion[i] = calloc(1, sizeof **self->completion);
        if (self->completion[i] == NULL) {
            release(self);
            return -ENOMEM;
        }
    }
    int error = et_loop_init(&self->loop, &options);
    if (error != 0) {
        release(self);
        return error;
    }
    *result = self;
    return 0;
}

static int deinit(void *of) {
    struct self *self = of;
    int error = et_loop_deinit(&self->loop);
    if (error == 0)
        release(self);
    return error;
}

static void fill_in(struct self *self, struct et_completion *c,
                    const struct etalon_subject_description *d) {
    c->operation = (uint8_t)d->operation;
    c->on_pool = d->on_pool != 0;
    c->fd = d->fd;
    c->callback = callback_if(d->has_callback);
    c->userdata = (void *)(uintptr_t)d->userdata;
    switch (d->operation) {
    case ET_CANCEL:
        c->cancel.target = d->target < COUNT ? self->completion[d->target] : NULL;
        break;
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
    struct self *self = of;
    if (d != NULL)
        fill_in(self, self->completion[c], d);
    return et_loop_add(&self->loop, self->completion[c]);
}

static int describe(void *of, uint32_t c, const struct etalon_subject_description *d) {
    struct self *self = of;
    fill_in(self, self->completion[c], d);
    return 0;
}

static int timer(void *of, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    struct self *self = of;
    return et_loop_timer(&self->loop, self->completion[c], delay_ms, callback_if(has_callback),
                         (void *)(uintptr_t)userdata);
}

static int timer_reset(void *of, uint32_t c, uint32_t carrier, uint64_t delay_ms, uint32_t userdata,
                       int has_callback) {
    struct self *self = of;
    return et_loop_timer_reset(&self->loop, self->completion[c],
                               carrier < COUNT ? self->completion[carrier] : NULL, delay_ms,
                               callback_if(has_callback), (void *)(uintptr_t)userdata);
}

static int cancel(void *of, uint32_t c, uint32_t target, uint32_t userdata, int has_callback) {
    struct self *self = of;
    return et_loop_cancel(&self->loop, self->completion[c],
                          target < COUNT ? self->completion[target] : NULL,
                          callback_if(has_callback), (void *)(uintptr_t)userdata);
}

static int remove_completion(void *of, uint32_t c) {
    struct self *self = of;
    return et_loop_delete(&self->loop, self->completion[c]);
}

static void forget(void *of, uint32_t c) {
    struct self *self = of;
    struct et_completion *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return;
    for (unsigned k = 0; k < COUNT; k++) /* nobody adds a cancel whose target is gone */
        if (self->completion[k]->operation == ET_CANCEL &&
            self->completion[k]->cancel.target == self->completion[c])
            self->completion[k]->cancel.target = fresh;
    memset(self->completion[c], 0xa5, sizeof *fresh);
    free(self->completion[c]);
    self->completion[c] = fresh;
}

static int state(void *of, uint32_t c) {
    struct self *self = of;
    return (int)et_completion_state(self->completion[c]);
}

static int run(void *of, uint32_t mode) {
    return et_loop_run(&((struct self *)of)->loop, (enum et_run_mode)mode);
}

static int tick(void *of, uint32_t callbacks) {
    return et_loop_tick(&((struct self *)of)->loop, callbacks);
}

static void stop(void *of) {
    et_loop_stop(&((struct self *)of)->loop);
}

static int stopped(void *of) {
    return et_loop_stopped(&((struct self *)of)->loop);
}

static void wakeup(void *of) {
    et_loop_wakeup(&((struct self *)of)->loop);
}

static uint64_t now(void *of) {
    return et_loop_now(&((struct self *)of)->loop);
}

static void update_now(void *of) {
    et_loop_update_now(&((struct self *)of)->loop);
}

static int pool_init(uint32_t threads_max, void **result) {
    struct et_pool_options options = {.threads_max = threads_max};
    struct et_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    int error = et_pool_init(pool, &options);
    if (error != 0) {
        free(pool);
        return error;
    }
    *result = pool;
    return 0;
}

static int pool_deinit(void *pool) {
    int error = et_pool_deinit(pool);
    if (error == 0)
        free(pool);
    return error;
}

static int async_init(void *of, uint32_t a) {
    (void)of;
    return et_async_init(&asyncs[a]);
}

static int async_deinit(void *of, uint32_t a) {
    (void)of;
    return et_async_deinit(&asyncs[a]);
}

static int async_notify(void *of, uint32_t a) {
    (void)of;
    return et_async_notify(&asyncs[a]);
}

static int async_wait(void *of, uint32_t c, uint32_t a, uint32_t userdata, int has_callback) {
    struct self *self = of;
    return et_async_wait(&self->loop, &asyncs[a], self->completion[c], callback_if(has_callback),
                         (void *)(uintptr_t)userdata);
}

static const char *version(void) {
    return ET_VERSION;
}

#define CALLS                                                                                      \
    (ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_CANCEL | ETALON_OFFERS_DELETE |    \
     ETALON_OFFERS_READD | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE |      \
     ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_TICK | ETALON_OFFERS_STOP | ETALON_OFFERS_STOPPED |  \
     ETALON_OFFERS_WAKEUP | ETALON_OFFERS_NOW | ETALON_OFFERS_UPDATE_NOW | ETALON_OFFERS_STATE |   \
     ETALON_OFFERS_DEINIT | ETALON_OFFERS_GUARDED | ETALON_OFFERS_CHECKED |                        \
     ETALON_OFFERS_NULL_CALLBACK | ETALON_OFFERS_FORGET)
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
};
