/* SPDX-License-Identifier: MIT */
/* systemd's sd-event, for `etalon check`. Build: $(pkg-config --cflags --libs libsystemd)
 *
 * A completion is an event source that is enabled for one shot: a timer on CLOCK_MONOTONIC with the
 * accuracy of 1 µs, or an I/O source. A timer is kept when it has been called, and set anew when
 * the completion is used as a timer again.
 *
 *   timer         sd_event_add_time_relative
 *   timer_reset   sd_event_source_set_time_relative; a carrier is not needed
 *   poll          sd_event_add_io, SD_EVENT_ONESHOT
 *   noop          sd_event_add_defer, which is enabled for one shot
 *   rearm         sd_event_source_set_enabled, of a timer after sd_event_source_set_time_relative
 *   remove        sd_event_source_disable_unref
 *   forget        sd_event_source_disable_unref
 *   state         sd_event_source_get_enabled
 *   run           sd_event_run, with a timeout of 0 or without, which is a turn, too; behind a
 *                 timeout sd_event_wait and sd_event_dispatch, as sd_event_get_fd(3) shows it
 *   timeout       sd_event_prepare: 0 when something is pending, else -1, as timers are in the
 *                 descriptor, too; before it sd_event_wait without waiting, if that was prepared
 *   descriptor    sd_event_get_fd
 *   stop          sd_event_exit; stopped: sd_event_get_exit_code
 *   now           sd_event_now
 *   deinit        all sources are released, then the loop
 *
 * Not offered: UNTIL_DONE (sd_event_loop runs until sd_event_exit, whether or not anything is
 * left), several polls of one descriptor (-EEXIST), wake-ups and asyncs (a loop is its own
 * thread's, and no call is said to be safe from another: sd-event(3)), a cancel that calls back,
 * update_now (there are none), refusals other than that of a run inside a handler (-EBUSY:
 * sd_event_run(3)). */
#include <systemd/sd-event.h>

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "etalon_subject.h"

struct completion {
    struct subject *subject;
    sd_event_source *source;
    int is_timer;
    uint32_t number, userdata;
    uint64_t delay_ms; /* of a timer */
    uint32_t uses;     /* how often it was started, or forgotten */
};

struct subject {
    sd_event *event;
    const struct etalon_subject_host *host;
    struct completion completions[ETALON_SUBJECT_MANY];
};

/* Calls back, and says whether the source is to be enabled again. */
static int rearms(const struct completion *c, int64_t result) {
    uint32_t uses = c->uses;
    return c->subject->host->called(c->number, result, c->userdata) == ETALON_REARM &&
           c->uses == uses;
}

/* UINT64_MAX means never: what a delay beyond that many microseconds comes to. */
static uint64_t microseconds(uint64_t delay_ms) {
    return delay_ms > UINT64_MAX / 1000 ? UINT64_MAX : delay_ms * 1000;
}

static int expired(sd_event_source *source, uint64_t usec, void *userdata) {
    const struct completion *c = userdata;
    (void)usec;
    if (!rearms(c, 0))
        return 0;
    int error = sd_event_source_set_time_relative(source, microseconds(c->delay_ms));
    return error < 0 ? error : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int ready(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    (void)fd;
    return rearms(userdata, events) ? sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) : 0;
}

static int deferred(sd_event_source *source, void *userdata) {
    return rearms(userdata, 0) ? sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) : 0;
}

static void forget(void *self, uint32_t c) {
    struct subject *s = self;
    s->completions[c].uses++;
    s->completions[c].source = sd_event_source_disable_unref(s->completions[c].source);
}

static int deinit(void *self) {
    struct subject *s = self;
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        forget(self, c);
    sd_event_unref(s->event);
    free(s);
    return 0;
}

static int init(const struct etalon_subject_host *host, void **self) {
    struct subject *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->host = host;
    int error = sd_event_new(&s->event);
    if (error < 0) {
        free(s);
        return error;
    }
    for (uint32_t c = 0; c < ETALON_SUBJECT_MANY; c++)
        s->completions[c] = (struct completion){.subject = s, .number = c};
    *self = s;
    return 0;
}

static int timer_reset(void *self, uint32_t c, uint32_t carrier, uint64_t delay_ms,
                       uint32_t userdata, int has_callback) {
    struct subject *s = self;
    struct completion *its = &s->completions[c];
    int error = 0;
    (void)carrier, (void)has_callback;
    if (!its->is_timer)
        forget(self, c);
    its->is_timer = 1;
    if (its->source == NULL)
        error = sd_event_add_time_relative(s->event, &its->source, CLOCK_MONOTONIC,
                                           microseconds(delay_ms), 1, expired, its);
    else
        error = sd_event_source_set_time_relative(its->source, microseconds(delay_ms));
    if (error >= 0)
        error = sd_event_source_set_enabled(its->source, SD_EVENT_ONESHOT);
    if (error < 0) /* it goes on as it was */
        return error;
    its->userdata = userdata;
    its->delay_ms = delay_ms;
    its->uses++;
    return 0;
}

static int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    return timer_reset(self, c, ETALON_NOBODY, delay_ms, userdata, has_callback);
}

static int submit(void *self, uint32_t c, const struct etalon_subject_description *description) {
    struct subject *s = self;
    struct completion *its = &s->completions[c];
    forget(self, c);
    its->is_timer = 0;
    its->userdata = description->userdata;
    int error = description->operation == ETALON_NOOP
                    ? sd_event_add_defer(s->event, &its->source, deferred, its)
                    : sd_event_add_io(s->event, &its->source, description->fd, description->events,
                                      ready, its);
    if (error >= 0)
        error = sd_event_source_set_enabled(its->source, SD_EVENT_ONESHOT);
    return error < 0 ? error : 0;
}

static int state(void *self, uint32_t c) {
    const struct subject *s = self;
    return sd_event_source_get_enabled(s->completions[c].source, NULL) > 0 ? ETALON_ACTIVE
                                                                           : ETALON_DEAD;
}

static int delete_completion(void *self, uint32_t c) {
    if (state(self, c) != ETALON_DEAD)
        forget(self, c);
    return 0;
}

/* What `timeout` has prepared is waited for, and dispatched. */
static int run(void *self, uint32_t mode) {
    const struct subject *s = self;
    uint64_t limit = mode == ETALON_RUN_NO_WAIT ? 0 : UINT64_MAX;
    int error = 0, state = sd_event_get_state(s->event);
    if (state == SD_EVENT_ARMED)
        error = sd_event_wait(s->event, limit);
    if (state == SD_EVENT_PENDING || error > 0)
        error = sd_event_dispatch(s->event);
    else if (state != SD_EVENT_ARMED)
        error = sd_event_run(s->event, limit);
    return error < 0 ? error : 0;
}

static int64_t timeout(void *self) {
    const struct subject *s = self;
    if (sd_event_get_state(s->event) == SD_EVENT_ARMED)
        (void)sd_event_wait(s->event, 0);
    if (sd_event_get_state(s->event) == SD_EVENT_INITIAL)
        (void)sd_event_prepare(s->event);
    return sd_event_get_state(s->event) == SD_EVENT_PENDING ? 0 : -1;
}

static int descriptor(void *self) {
    const struct subject *s = self;
    return sd_event_get_fd(s->event);
}

static void stop(void *self) {
    const struct subject *s = self;
    sd_event_exit(s->event, 0);
}

static int stopped(void *self) {
    const struct subject *s = self;
    int code;
    return sd_event_get_exit_code(s->event, &code) >= 0;
}

static uint64_t now(void *self) {
    const struct subject *s = self;
    uint64_t microseconds_now = 0;
    sd_event_now(s->event, CLOCK_MONOTONIC, &microseconds_now);
    return microseconds_now / 1000;
}

static const struct etalon_subject_difference differences[] = {
    {"ET-EXPIRE-1/returns", "each iteration dispatches a single source: sd-event(3)"},
    {"ET-SUBMIT-2/returns", "each iteration dispatches a single source: sd-event(3)"},
    {"ET-EVENT-4/returns", "each iteration dispatches a single source: sd-event(3)"},
    {"ET-EXPIRE-2",
     "the order of sources with the same priority is undefined: sd_event_source_set_priority(3)"},
    {"ET-EXPIRE-3",
     "the order of sources with the same priority is undefined: sd_event_source_set_priority(3)"},
    {"ET-WAIT-1/idle",
     "an iteration waits until there is an event, also when there is no source: sd_event_run(3)"},
    {"ET-HOST-3",
     "an exit is carried out by the next iteration, which calls the exit sources, so a "
     "host has to make it: sd_event_exit(3), sd_event_add_exit(3)"},
    {"ET-TICK-1/refused", "a loop that has exited refuses to run, -ESTALE: sd_event_run(3)"},
    {"ET-ADD-1/stopped", "a loop that has exited takes no source, -ESTALE: sd_event_add_io(3)"},
    {"ET-TIMER-1/stopped", "a loop that has exited takes no source, -ESTALE: sd_event_add_time(3)"},
    {"ET-TIMER-1/long", "a time is 64 bits of microseconds: sd_event_add_time(3)"},
    {"ET-RESET-3/long", "a time is 64 bits of microseconds: sd_event_source_set_time_relative(3)"},
    {"ET-RESET-3/stopped",
     "a loop that has exited changes no source, -ESTALE: sd_event_source_set_time(3)"},
    {NULL, NULL},
};

/* libsystemd has no call for its version; its file has it in its name. */
static const char *version(void) {
    static char path[PATH_MAX];
    Dl_info found;
    if (dladdr((const void *)sd_event_new, &found) == 0 || realpath(found.dli_fname, path) == NULL)
        return NULL;
    const char *number = strstr(path, ".so.");
    return number != NULL ? number + 4 : NULL;
}

ETALON_SUBJECT = {
    .abi = ETALON_SUBJECT_ABI,
    .size = sizeof(struct etalon_subject),
    .name = "sd-event",
    .notes = "A completion is a one-shot event source: a timer of CLOCK_MONOTONIC with an accuracy "
             "of 1 us, an I/O source, or a deferred one (a noop); a rearm enables it again. run is "
             "one sd_event_run, which "
             "dispatches one event. stop is sd_event_exit.",
    .offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
              ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM | ETALON_OFFERS_NO_WAIT |
              ETALON_OFFERS_ONCE | ETALON_OFFERS_STOP | ETALON_OFFERS_STOPPED | ETALON_OFFERS_NOW |
              ETALON_OFFERS_IN_USE | ETALON_OFFERS_DEINIT | ETALON_OFFERS_FORGET |
              ETALON_OFFERS_POLL | ETALON_OFFERS_POLL_MORE | ETALON_OFFERS_NOOP |
              ETALON_OFFERS_TURN | ETALON_OFFERS_HOSTED | ETALON_OFFERS_GUARDED,
    .differences = differences,
    .version = version,
    .init = init,
    .deinit = deinit,
    .submit = submit,
    .timer = timer,
    .timer_reset = timer_reset,
    .remove = delete_completion,
    .forget = forget,
    .state = state,
    .run = run,
    .stop = stop,
    .stopped = stopped,
    .now = now,
    .timeout = timeout,
    .descriptor = descriptor,
    .completions_max = ETALON_SUBJECT_MANY,
};
