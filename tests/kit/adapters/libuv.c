/* SPDX-License-Identifier: MIT */
/* libuv 1.x, for `etalon check`. Build: $(pkg-config --cflags --libs libuv)
 *
 * A completion is a handle: a uv_timer_t that does not repeat, or a uv_poll_t that its callback
 * stops, as one call is all that a completion gets. Timers are kept and started again. A uv_poll_t
 * belongs to one descriptor, and is made anew for each use; the old one is closed.
 *
 *   timer         uv_timer_start with no repeat
 *   timer_reset   uv_timer_stop, uv_timer_start; a carrier is not needed
 *   poll          uv_poll_init, uv_poll_start
 *   rearm         uv_timer_start with the same delay; a uv_poll_t as for a new poll
 *   remove        uv_timer_stop; uv_poll_stop, then uv_close
 *   state         uv_is_active
 *   run           uv_run: NOWAIT, ONCE, DEFAULT; ONCE is a turn, too
 *   timeout       uv_backend_timeout
 *   descriptor    uv_backend_fd
 *   stop          uv_stop
 *   now           uv_now
 *   update_now    uv_update_time
 *   wakeup        uv_async_send, of a uv_async_t without a reference
 *   async         a uv_async_t; notify is uv_async_send. While a completion waits on it, it holds a
 *                 reference (uv_ref), else none
 *   deinit        every handle is closed, uv_run until all of that is done, uv_loop_close
 *
 * uv_run returns whether something is left: 0 or more is success here. Not offered: a cancel that
 * calls back, libuv's repeat (it counts from the start, not from the callback), a stop for good
 * ("uv_stop: the loop will stop at the next iteration", and runs again later), several polls of one
 * descriptor ("it is not okay to have multiple active poll handles for the same socket"),
 * descriptors that are closed while they are polled, notifications that are kept until something
 * waits (the callback of a uv_async_t comes whether or not), and a uv_run within a callback
 * ("uv_run is not reentrant"). Streams are not operations on a caller's descriptor in the sense of
 * the law, and left out; so are uv_fs_* and the thread pool: a request can neither be deleted nor
 * be cancelled by a completion (uv_cancel), and the pool is one for the whole process, of a size
 * that is read once (UV_THREADPOOL_SIZE) and threads that are all made at the first request, so
 * that no program can have one of its own. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <uv.h>

#include "etalon_subject.h"

#define COUNT ETALON_SUBJECT_MANY

enum kind { TIMER, POLL, ASYNC };

struct async {
    uv_async_t async;
    struct watcher *waiter; /* or null */
};

struct watcher {
    union {
        uv_handle_t handle;
        uv_timer_t timer;
        uv_poll_t poll;
    };
    struct self *self;
    uint32_t c, userdata;
    enum kind kind;
    struct async *on;  /* that an ASYNC waits on */
    uint64_t delay_ms; /* of a TIMER */
    int fd, events;    /* of a POLL: UV_READABLE, UV_WRITABLE */
};

struct self {
    uv_loop_t loop;
    uv_async_t wakeup;
    const struct etalon_subject_host *host;
    struct async *asyncs[ETALON_SUBJECT_ASYNCS];  /* null: not initialised */
    struct watcher *timers[COUNT], *waits[COUNT]; /* null: it was no such thing yet */
    struct watcher *watcher[COUNT];               /* null: not in use */
    uint32_t uses[COUNT];                         /* how often it was started */
};

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void on_wakeup(uv_async_t *async) {
    (void)async;
}

static int init(const struct etalon_subject_host *host, void **result) {
    struct self *self = calloc(1, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->host = host;
    int error = uv_loop_init(&self->loop);
    if (error == 0)
        error = uv_async_init(&self->loop, &self->wakeup, on_wakeup);
    if (error != 0) {
        free(self);
        return error;
    }
    uv_unref((uv_handle_t *)&self->wakeup);
    self->wakeup.data = NULL;
    *result = self;
    return 0;
}

/* The number is free; the handle goes when libuv has closed it. */
static void let_go(struct self *self, uint32_t c) {
    struct watcher *w = self->watcher[c];
    self->watcher[c] = NULL;
    if (w == NULL)
        return;
    if (w->kind == TIMER) {
        uv_timer_stop(&w->timer);
        return;
    }
    if (w->kind == ASYNC) {
        w->on->waiter = NULL;
        uv_unref((uv_handle_t *)&w->on->async);
        return;
    }
    uv_poll_stop(&w->poll);
    uv_close(&w->handle, on_closed);
}

static int async_deinit(void *of, uint32_t a) {
    struct self *self = of;
    uv_close((uv_handle_t *)&self->asyncs[a]->async, on_closed);
    self->asyncs[a] = NULL;
    return 0;
}

static int deinit(void *of) {
    struct self *self = of;
    for (uint32_t c = 0; c < COUNT; c++)
        let_go(self, c);
    for (uint32_t a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (self->asyncs[a] != NULL)
            async_deinit(self, a);
    for (uint32_t c = 0; c < COUNT; c++)
        if (self->timers[c] != NULL)
            uv_close(&self->timers[c]->handle, NULL);
    uv_close((uv_handle_t *)&self->wakeup, NULL);
    uv_run(&self->loop, UV_RUN_DEFAULT);
    int error = uv_loop_close(&self->loop);
    for (uint32_t c = 0; c < COUNT && error == 0; c++) {
        free(self->timers[c]);
        free(self->waits[c]);
    }
    if (error == 0)
        free(self);
    return error;
}

static int start(struct watcher *w);

static void end(struct watcher *w, int64_t result) {
    struct watcher was = *w; /* the callback may start it otherwise */
    struct self *self = w->self;
    uint32_t c = w->c, uses = self->uses[c];
    let_go(self, c);
    if (self->host->called(c, result, was.userdata) == ETALON_REARM && self->uses[c] == uses)
        (void)start(&was);
}

static void on_timer(uv_timer_t *timer) {
    end(timer->data, 0);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    int64_t result = status;
    if (status == 0)
        result = ((events & UV_READABLE) != 0 ? EPOLLIN : 0) |
                 ((events & UV_WRITABLE) != 0 ? EPOLLOUT : 0);
    end(poll->data, result);
}

static void on_async(uv_async_t *async) {
    struct async *on = async->data;
    if (on->waiter != NULL)
        end(on->waiter, 0);
}

static int async_init(void *of, uint32_t a) {
    struct self *self = of;
    struct async *on = calloc(1, sizeof *on);
    if (on == NULL)
        return -ENOMEM;
    int error = uv_async_init(&self->loop, &on->async, on_async);
    if (error != 0) {
        free(on);
        return error;
    }
    on->async.data = on;
    uv_unref((uv_handle_t *)&on->async);
    self->asyncs[a] = on;
    return 0;
}

static int async_notify(void *of, uint32_t a) {
    return uv_async_send(&((struct self *)of)->asyncs[a]->async);
}

static int async_wait(void *of, uint32_t c, uint32_t a, uint32_t userdata, int has_callback) {
    struct self *self = of;
    (void)has_callback;
    return start(&(struct watcher){
        .self = self, .c = c, .kind = ASYNC, .userdata = userdata, .on = self->asyncs[a]});
}

static int start_async(const struct watcher *as) {
    struct self *self = as->self;
    struct watcher *w = self->waits[as->c];
    if (w == NULL && (w = self->waits[as->c] = calloc(1, sizeof *w)) == NULL)
        return -ENOMEM;
    *w = *as;
    self->watcher[as->c] = as->on->waiter = w;
    uv_ref((uv_handle_t *)&as->on->async);
    return 0;
}

/* Made for the first timer that c is. */
static struct watcher *timer_of(struct self *self, uint32_t c) {
    struct watcher *w = self->timers[c];
    if (w != NULL || (w = calloc(1, sizeof *w)) == NULL)
        return w;
    *w = (struct watcher){.self = self, .c = c, .kind = TIMER};
    uv_timer_init(&self->loop, &w->timer);
    w->timer.data = w;
    self->timers[c] = w;
    return w;
}

static int start_timer(const struct watcher *as) {
    struct watcher *w = timer_of(as->self, as->c);
    if (w == NULL)
        return -ENOMEM;
    w->userdata = as->userdata;
    w->delay_ms = as->delay_ms;
    as->self->watcher[as->c] = w;
    return uv_timer_start(&w->timer, on_timer, w->delay_ms, 0);
}

static int start_poll(const struct watcher *as) {
    struct self *self = as->self;
    struct watcher *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    *w = *as;
    int error = uv_poll_init(&self->loop, &w->poll, w->fd);
    if (error != 0) {
        free(w);
        return error;
    }
    w->poll.data = w;
    self->watcher[w->c] = w;
    error = uv_poll_start(&w->poll, w->events, on_poll);
    if (error != 0)
        let_go(self, w->c);
    return error;
}

/* A completion that is out of use begins an episode; `as` says which, and need not last. */
static int start(struct watcher *as) {
    as->self->uses[as->c]++;
    return as->kind == TIMER  ? start_timer(as)
           : as->kind == POLL ? start_poll(as)
                              : start_async(as);
}

static int submit(void *of, uint32_t c, const struct etalon_subject_description *d) {
    return start(&(struct watcher){.self = of,
                                   .c = c,
                                   .kind = POLL,
                                   .userdata = d->userdata,
                                   .fd = d->fd,
                                   .events = ((d->events & EPOLLIN) != 0 ? UV_READABLE : 0) |
                                             ((d->events & EPOLLOUT) != 0 ? UV_WRITABLE : 0)});
}

static int timer(void *of, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)has_callback;
    return start(&(struct watcher){
        .self = of, .c = c, .kind = TIMER, .userdata = userdata, .delay_ms = delay_ms});
}

static int timer_reset(void *of, uint32_t c, uint32_t carrier, uint64_t delay_ms, uint32_t userdata,
                       int has_callback) {
    struct self *self = of;
    struct watcher *w = self->watcher[c];
    (void)carrier;
    if (w == NULL)
        return timer(of, c, delay_ms, userdata, has_callback);
    w->userdata = userdata;
    w->delay_ms = delay_ms;
    uv_timer_stop(&w->timer);
    return uv_timer_start(&w->timer, on_timer, delay_ms, 0);
}

static int remove_watcher(void *of, uint32_t c) {
    let_go(of, c);
    return 0;
}

static int state(void *of, uint32_t c) {
    const struct watcher *w = ((struct self *)of)->watcher[c];
    return w != NULL && (w->kind == ASYNC || uv_is_active(&w->handle)) ? ETALON_ACTIVE
                                                                       : ETALON_DEAD;
}

static int run(void *of, uint32_t mode) {
    static const uv_run_mode modes[] = {UV_RUN_NOWAIT, UV_RUN_ONCE, UV_RUN_DEFAULT, UV_RUN_ONCE};
    int left = uv_run(&((struct self *)of)->loop, modes[mode]);
    return left > 0 ? 0 : left;
}

static int64_t timeout(void *of) {
    return uv_backend_timeout(&((struct self *)of)->loop);
}

static int descriptor(void *of) {
    return uv_backend_fd(&((struct self *)of)->loop);
}

static void stop(void *of) {
    uv_stop(&((struct self *)of)->loop);
}

static void wakeup(void *of) {
    uv_async_send(&((struct self *)of)->wakeup);
}

static uint64_t now(void *of) {
    return uv_now(&((struct self *)of)->loop);
}

static void update_now(void *of) {
    uv_update_time(&((struct self *)of)->loop);
}

#define OF_THE_PASS                                                                                \
    "the time is that of the beginning of the pass, and uv_update_time() is for callbacks that "   \
    "take long: uv_update_time(), design overview"

static const struct etalon_subject_difference differences[] = {
    {"ET-WAIT-1/enough", "a pass runs the timers that are due, then polls until the closest timer: "
                         "uv_run(), design overview"},
    {"ET-WAIT-2/late", OF_THE_PASS},
    {"ET-EXPIRE-1/waits", OF_THE_PASS},
    {"ET-EVENT-4/result",
     "an error of the descriptor is a negative status, UV_EBADF: uv_poll_start()"},
    {"ET-RUN-2/woken",
     "UV_RUN_ONCE polls for i/o once, and a wake-up is the callback of its uv_async_t: uv_run()"},
    {"ET-RUN-2/slice",
     "UV_RUN_ONCE polls for i/o once, which the end of the longest wait ends too: uv_run()"},
    {"ET-RUN-2/ended", "UV_RUN_ONCE polls for i/o once, without blocking while a handle is "
                       "closing: uv_run(), design overview"},
    {"ET-WAKE-1", "calls of uv_async_send coalesce until the callback is called, which may still "
                  "be in the same pass: uv_async_send()"},
    {NULL, NULL},
};

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "libuv",
    .notes = "A completion is a uv_timer_t without repeat, or a uv_poll_t that is closed when it "
             "is called; a rearm starts it again. delete is stop and close, wakeup a uv_async_t "
             "without a reference, run uv_run. An async is a uv_async_t, with a reference while a "
             "completion waits on it.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
              ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_STOP |
              ETALON_OFFERS_WAKEUP | ETALON_OFFERS_NOW | ETALON_OFFERS_UPDATE_NOW |
              ETALON_OFFERS_IN_USE | ETALON_OFFERS_DEINIT | ETALON_OFFERS_POLL |
              ETALON_OFFERS_ASYNC | ETALON_OFFERS_TURN | ETALON_OFFERS_HOSTED,
    .differences = differences,
    .version = uv_version_string,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .timer_reset = timer_reset,
    .remove = remove_watcher,
    .state = state,
    .run = run,
    .stop = stop,
    .wakeup = wakeup,
    .now = now,
    .update_now = update_now,
    .async_init = async_init,
    .async_deinit = async_deinit,
    .async_notify = async_notify,
    .async_wait = async_wait,
    .timeout = timeout,
    .descriptor = descriptor,
    .completions_max = ETALON_SUBJECT_MANY,
};
