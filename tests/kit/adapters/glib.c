/* SPDX-License-Identifier: MIT */
/* GLib's main context, for `etalon check`. Build: $(pkg-config --cflags --libs glib-2.0)
 *
 * A completion is a GSource of default priority: a timeout, or a Unix descriptor.
 *
 *   timer         g_timeout_source_new (milliseconds in an unsigned int; more is -ERANGE)
 *   timer_reset   as remove and timer: a GTimeoutSource has none; a carrier is not needed
 *   poll          g_unix_fd_source_new
 *   rearm         G_SOURCE_CONTINUE: "the function is called repeatedly until it returns FALSE"
 *   remove        g_source_destroy
 *   run           g_main_context_iteration, may_block for ONCE, which is a turn, too
 *   timeout       g_main_context_prepare and _query; 0 if a source is ready by then
 *   descriptor    an epoll instance with the descriptors of that query, as the host waits on one
 *   wakeup        g_main_context_wakeup
 *   async         a source of its own kind, attached for the life of the async; notify is
 *                 g_source_set_ready_time(source, 0), and its dispatch sets -1 first
 *   deinit        every source is destroyed first
 *
 * A source is out of use while its callback runs. When that callback uses the completion anew and
 * also asks to be rearmed, the new source stays and the old one ends. Not offered: notifications
 * that are kept until something waits (the source is dispatched whether or not), a cancel that
 * calls back, now and update_now (the context's time belongs to a source), UNTIL_DONE and stop (a
 * GMainLoop runs until it is told to quit, whether or not anything is left; a context alone has no
 * stop), refusals (iterations may be nested). */
#include <glib-unix.h>
#include <glib.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "etalon_subject.h"

struct completion {
    struct subject *subject;
    GSource *source;           /* null: out of use */
    uint32_t number, userdata; /* userdata: of a wait on an async */
    struct async *on;          /* that it waits on; null: on none */
};

/* What the source's kind adds to a GSource. */
struct async {
    GSource source;
    struct completion *waiter; /* or null */
};

#define POLLED_MAX 64

struct subject {
    GMainContext *context;
    int hosted;                  /* -1: not asked for */
    GPollFD host_fd[POLLED_MAX]; /* … with these */
    int host_fds;
    const struct etalon_subject_host *host;
    struct completion completions[ETALON_SUBJECT_MANY];
    struct async *asyncs[ETALON_SUBJECT_ASYNCS]; /* null: not initialised */
};

/* The loop's user data: a completion and its token, freed with the source. */
struct data {
    struct completion *completion;
    uint32_t userdata;
};

static gboolean call(struct data *data, int64_t result) {
    struct completion *c = data->completion;
    GSource *source = c->source;
    c->source = NULL;
    enum etalon_subject_action action = c->subject->host->called(c->number, result, data->userdata);
    if (action == ETALON_REARM && c->source == NULL && c->on == NULL) {
        c->source = source;
        return G_SOURCE_CONTINUE;
    }
    g_source_unref(source);
    return G_SOURCE_REMOVE;
}

static gboolean expired(gpointer data) {
    return call(data, 0);
}

static gboolean ready(gint fd, GIOCondition condition, gpointer data) {
    (void)fd;
    return call(data, (int64_t)condition);
}

static void end_wait(struct completion *c) {
    if (c->on != NULL)
        c->on->waiter = NULL;
    c->on = NULL;
}

static void wait_on(struct async *on, struct completion *c) {
    c->on = on;
    on->waiter = c;
}

static gboolean notified(GSource *source, GSourceFunc callback, gpointer data) {
    struct async *on = (struct async *)source;
    struct completion *c = on->waiter;
    (void)callback, (void)data;
    g_source_set_ready_time(source, -1);
    if (c == NULL)
        return G_SOURCE_CONTINUE;
    end_wait(c);
    if (c->subject->host->called(c->number, 0, c->userdata) == ETALON_REARM && c->source == NULL &&
        c->on == NULL)
        wait_on(on, c);
    return G_SOURCE_CONTINUE;
}

static int async_init(void *self, uint32_t a) {
    static GSourceFuncs kind = {.dispatch = notified};
    struct subject *s = self;
    GSource *source = g_source_new(&kind, sizeof(struct async));
    s->asyncs[a] = (struct async *)source;
    s->asyncs[a]->waiter = NULL;
    g_source_attach(source, s->context);
    return 0;
}

static int async_deinit(void *self, uint32_t a) {
    struct subject *s = self;
    GSource *source = &s->asyncs[a]->source;
    s->asyncs[a] = NULL;
    g_source_destroy(source);
    g_source_unref(source);
    return 0;
}

static int async_notify(void *self, uint32_t a) {
    struct subject *s = self;
    g_source_set_ready_time(&s->asyncs[a]->source, 0);
    return 0;
}

static int async_wait(void *self, uint32_t c, uint32_t a, uint32_t userdata, int has_callback) {
    struct subject *s = self;
    (void)has_callback;
    s->completions[c].userdata = userdata;
    wait_on(s->asyncs[a], &s->completions[c]);
    return 0;
}

static int delete_completion(void *self, uint32_t c) {
    struct subject *s = self;
    end_wait(&s->completions[c]);
    GSource *source = s->completions[c].source;
    s->completions[c].source = NULL;
    if (source != NULL) {
        g_source_destroy(source);
        g_source_unref(source);
    }
    return 0;
}

static int deinit(void *self) {
    struct subject *s = self;
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        delete_completion(self, c);
    for (uint32_t a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        if (s->asyncs[a] != NULL)
            async_deinit(s, a);
    g_main_context_unref(s->context);
    if (s->hosted >= 0)
        close(s->hosted);
    free(s);
    return 0;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct subject *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->host = host;
    s->context = g_main_context_new();
    s->hosted = -1;
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        s->completions[c] = (struct completion){.subject = s, .number = c};
    *self = s;
    return 0;
}

static int attach(struct subject *s, uint32_t c, GSource *source, GSourceFunc function,
                  uint32_t userdata) {
    struct data *data = g_new(struct data, 1);
    *data = (struct data){.completion = &s->completions[c], .userdata = userdata};
    g_source_set_callback(source, function, data, g_free);
    g_source_attach(source, s->context);
    s->completions[c].source = source;
    return 0;
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    (void)has_callback;
    if (delay_ms > G_MAXUINT)
        return -ERANGE;
    return attach(self, c, g_timeout_source_new((guint)delay_ms), expired, userdata);
}

static int timer_reset(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback) {
    (void)carrier;
    if (delay_ms > G_MAXUINT)
        return -ERANGE;
    delete_completion(self, c);
    return timer(self, c, delay_ms, userdata, has_callback);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *description) {
    GIOCondition condition = (description->events & EPOLLIN ? G_IO_IN : 0) |
                             (description->events & EPOLLOUT ? G_IO_OUT : 0);
    GSource *source = g_unix_fd_source_new(description->fd, condition);
    return attach(self, c, source, (GSourceFunc)(void (*)(void))ready, description->userdata);
}

static int state(void *self, uint32_t c) {
    const struct subject *s = self;
    return s->completions[c].source != NULL || s->completions[c].on != NULL ? ETALON_ACTIVE
                                                                            : ETALON_DEAD;
}

static int run(void *self, uint32_t mode) {
    const struct subject *s = self;
    g_main_context_iteration(s->context, mode != ETALON_RUN_NO_WAIT);
    return 0;
}

/* What a host asks before it polls. As it does not dispatch, the context is prepared anew by the
 * next iteration. */
static int query(struct subject *s, GPollFD fds[POLLED_MAX], gint *timeout_ms) {
    gint priority;
    gboolean at_once = FALSE;
    if (!g_main_context_acquire(s->context))
        return -EBUSY;
    at_once = g_main_context_prepare(s->context, &priority);
    gint count = g_main_context_query(s->context, priority, timeout_ms, fds, POLLED_MAX);
    g_main_context_release(s->context);
    if (at_once)
        *timeout_ms = 0;
    return count <= POLLED_MAX ? count : -ENOBUFS;
}

static int64_t timeout(void *self) {
    GPollFD fds[POLLED_MAX];
    gint timeout_ms;
    int count = query(self, fds, &timeout_ms);
    return count < 0 ? count : timeout_ms;
}

static int descriptor(void *self) {
    struct subject *s = self;
    gint timeout_ms;
    if (s->hosted < 0)
        s->hosted = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < s->host_fds; i++)
        (void)epoll_ctl(s->hosted, EPOLL_CTL_DEL, s->host_fd[i].fd, NULL);
    s->host_fds = query(s, s->host_fd, &timeout_ms);
    for (int i = 0; i < s->host_fds; i++) {
        struct epoll_event event = {.events = s->host_fd[i].events};
        (void)epoll_ctl(s->hosted, EPOLL_CTL_ADD, s->host_fd[i].fd, &event);
    }
    return s->hosted;
}

static void wakeup(void *self) {
    const struct subject *s = self;
    g_main_context_wakeup(s->context);
}

static const char *version(void) {
    static char text[24];
    snprintf(text, sizeof(text), "%u.%u.%u", glib_major_version, glib_minor_version,
             glib_micro_version);
    return text;
}

/* Its manual gives no list of reasons. */
#define SOME_RETURN_EARLY                                                                          \
    "an iteration may return without a dispatch, as the wait may be interrupted for other "        \
    "reasons than a source that is ready: g_main_context_iteration()"

static const struct etalon_subject_difference differences[] = {
    {"ET-RUN-2/woken", SOME_RETURN_EARLY},
    {"ET-RUN-2/interrupted", SOME_RETURN_EARLY},
    {"ET-RUN-2/slice", SOME_RETURN_EARLY},
    {"ET-RUN-2/ended", SOME_RETURN_EARLY},
    {"ET-RUN-2/early", SOME_RETURN_EARLY},
    {"ET-WAIT-1/idle",
     "an iteration that may block waits for a source to become ready, also when there is none: "
     "g_main_context_iteration()"},
    {"ET-TIMER-1/long", "an interval is an unsigned int of milliseconds: g_timeout_source_new()"},
    {"ET-RESET-3/long", "an interval is an unsigned int of milliseconds: g_timeout_source_new()"},
    {NULL, NULL},
};

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "glib",
    .notes = "A completion is a GSource of default priority, a timeout or a Unix descriptor; "
             "rearming is G_SOURCE_CONTINUE. A reset destroys the source and makes another one. "
             "run is one g_main_context_iteration, which blocks for ONCE. An async is a source of "
             "its own kind, whose ready time is set.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
              ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_WAKEUP | ETALON_OFFERS_IN_USE |
              ETALON_OFFERS_DEINIT | ETALON_OFFERS_POLL | ETALON_OFFERS_MANY_POLLS |
              ETALON_OFFERS_ASYNC | ETALON_OFFERS_TURN | ETALON_OFFERS_HOSTED,
    .differences = differences,
    .version = version,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .timer_reset = timer_reset,
    .remove = delete_completion,
    .state = state,
    .run = run,
    .wakeup = wakeup,
    .async_init = async_init,
    .async_deinit = async_deinit,
    .async_notify = async_notify,
    .async_wait = async_wait,
    .timeout = timeout,
    .descriptor = descriptor,
    .completions_max = ETALON_SUBJECT_MANY,
};
