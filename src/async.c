/* SPDX-License-Identifier: MIT */
/* What other threads may do: raise a counter. The wake-up of a loop and the async are both an
 * eventfd whose owner may close it at any time, and a write that comes too late must not reach a
 * descriptor that was given the same number since. ET-… are clauses of spec/etalon.md.
 * `users` is the number of threads that are about to write, and the bit OPEN while they may. */
#include "internal.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OPEN UINT32_C(0x80000000)

void eti_raise_begins(_Atomic(uint32_t) *users) {
    assert(atomic_load_explicit(users, memory_order_relaxed) == 0);
    atomic_fetch_or_explicit(users, OPEN, memory_order_release);
}

bool eti_raise(_Atomic(uint32_t) *users, const int *fd) {
    /* Looked at before it is changed: what comes too late must not keep eti_raise_ends waiting. */
    if ((atomic_load_explicit(users, memory_order_relaxed) & OPEN) == 0)
        return false;
    int saved = errno, cancelling;
    /* Async-signal-safe since POSIX.1-2024. A thread that ended in write(2) would be waited for. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    /* Relaxed: what made *fd known to this thread has ordered it, or our caller has broken a
     * promise before; and nobody changes it as long as the count is not 0. See
     * tests/threads/ORDERS.md. */
    bool open = (atomic_fetch_add_explicit(users, 1, memory_order_relaxed) & OPEN) != 0;
    if (open) {
        uint64_t one = 1;
        /* It fails when the counter is full (EAGAIN): then its reader will be woken anyway. */
        ssize_t written = write(*fd, &one, sizeof one);
        (void)written;
    }
    atomic_fetch_sub_explicit(users, 1, memory_order_release);
    pthread_setcancelstate(cancelling, NULL);
    errno = saved;
    return open;
}

void eti_raise_ends(_Atomic(uint32_t) *users) {
    atomic_fetch_and_explicit(users, ~OPEN, memory_order_relaxed);
    while (atomic_load_explicit(users, memory_order_acquire) != 0)
        sched_yield(); /* for as long as a write to an eventfd takes */
}

void eti_raise_forgets(_Atomic(uint32_t) *users) {
    atomic_store_explicit(users, 0, memory_order_relaxed);
}

/* 0, -EINVAL, or -ECHILD in a child (ET-FORK-3). */
static int check_async(struct et_async *async) {
    if (async == NULL || (atomic_load_explicit(&async->users, memory_order_relaxed) & OPEN) == 0)
        return -EINVAL;
    return eti_is_inherited(async->process) ? -ECHILD : 0;
}

int et_async_init(struct et_async *async) {
    if (async == NULL)
        return -EINVAL;
    memset(async, 0, sizeof *async);
    int error = eti_number_process(&async->process);
    if (error != 0)
        return error;
    async->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (async->fd < 0)
        return -errno;
    eti_raise_begins(&async->users);
    return 0;
}

int et_async_deinit(struct et_async *async) {
    int error = check_async(async);
    if (error == -EINVAL)
        return error;
    if (error == 0)
        eti_raise_ends(&async->users);
    else
        eti_raise_forgets(&async->users); /* ET-FORK-2 */
    close(async->fd);
    async->fd = -1;
    return 0;
}

int et_async_notify(struct et_async *async) {
    int error = check_async(async);
    if (error != 0)
        return error;
    return eti_raise(&async->users, &async->fd) ? 0 : -EINVAL;
}

/* ET-ASYNC-1. A read takes the whole counter: notifications coalesce, and none is lost. */
int et_async_wait(struct et_loop *loop, struct et_async *async, struct et_completion *c,
                  et_callback callback, void *userdata) {
    int error = check_async(async);
    if (error == 0)
        error = eti_check_use(loop, c);
    if (error != 0)
        return error;
    if (eti_is_busy(c))
        return -EBUSY;
    c->operation = ET_READ;
    c->on_pool = false;
    c->fd = async->fd;
    c->callback = callback;
    c->userdata = userdata;
    c->read.buffer = &c->internal.result; /* its own: threads of several loops may read at once */
    c->read.length = sizeof c->internal.result;
    return et_loop_add(loop, c);
}
