/* SPDX-License-Identifier: MIT */
/* See record.h. What the model answers is what is written down as the loop's answer: in lockstep it
 * is the same, or the run ends there. */
#include "record.h"

#include "../../model/model.h"
#include "recording.h"

#include <inttypes.h>
#include <string.h>

static FILE *file;
static bool begun;
static bool new_loop; /* whether it has a pool is known when it is first used */
static uint64_t shown_ns;
static model_set orphaned; /* before this event */

static void write_header(const struct model *m) {
    fputs("{\"etalon-recording\":1,\"subject\":\"etalon\",\"observes\":[", file);
    for (unsigned i = 0; i < OBSERVABLE; i++)
        fprintf(file, "%s\"%s\"", i == 0 ? "" : ",", recording_observes[i]);
    fprintf(file, "],\"descriptors_max\":%d}\n", m->descriptors_max);
}

/* With what the subject shows beside the event. */
static void write_down(const struct model *m, const struct event *event) {
    struct event e = *event;
    bool call = e.kind <= EVENT_RUN && e.kind != EVENT_NOTIFY && e.kind != EVENT_ASYNC_DEINIT;
    bool submits = e.kind <= EVENT_CANCEL || e.kind == EVENT_ASYNC_WAIT;
    uint64_t c = e.kind == EVENT_CANCEL ? e.by : e.c;
    bool shows = submits && c < m->completions && model_is_empty(&m->maybe_dead);
    e.state = shows ? m->completion[c].state : EVENT_NO_STATE;
    bool end = e.kind == EVENT_END && !e.of_deinit;
    if (end && model_is_empty(&m->maybe_dead)) {
        e.has |= EVENT_HAS_ACTIVE;
        e.active = m->active;
    }
    if (e.kind == EVENT_ADD || (e.kind == EVENT_RETURNED && e.rearm)) {
        const struct model_description *d = &m->completion[c].description;
        e.has |= EVENT_HAS_DESCRIPTION;
        e.operation = d->operation;
        e.target = model_named(d->target);
        e.pool = d->pool_mark;
        e.has_callback = d->has_callback;
        e.fd = d->fd;
        e.flags = d->flags;
        e.events = d->events;
        e.userdata = d->userdata;
        e.delay_ms = d->delay_ms;
    }
    if (call || end || (e.kind >= EVENT_CALLBACK && e.kind <= EVENT_WOKEN)) {
        e.has |= EVENT_HAS_NOW | (m->clock_ns != shown_ns ? EVENT_HAS_CLOCK : 0);
        e.now_ms = m->now_ms;
        e.clock_ns = shown_ns = m->clock_ns;
    }
    event_write(&e, file);
}

/* What was handed over in that order, the others in that of starting, or of submission. */
static unsigned first_dead(const struct model *m, model_set left) {
    unsigned first = MODEL_NONE;
    for (unsigned i = m->handed_over.count; i-- > 0;)
        if (model_has(&left, m->handed_over.item[i]))
            first = m->handed_over.item[i];
    if (first != MODEL_NONE)
        return first;
    for (unsigned i = m->submissions.count; i-- > 0;)
        if (model_has(&left, m->submissions.item[i]))
            first = m->submissions.item[i];
    for (unsigned c = 0, adding = first; c < m->completions; c++)
        if (model_has(&left, c) && m->completion[c].state != ET_ADDING &&
            (first == adding || m->completion[c].order < m->completion[first].order))
            first = c;
    return first;
}

static void before(const struct model *m, const struct event *event) {
    struct event e = *event;
    model_set left = {0};
    if (e.dead != NULL)
        left = *(const model_set *)e.dead;
    orphaned = m->orphaned;
    if (e.kind == EVENT_INIT) {
        new_loop = true;
        if (!begun)
            write_header(m);
        begun = true;
    }
    if (e.kind <= EVENT_RUN && e.kind != EVENT_NOTIFY && e.kind != EVENT_ASYNC_DEINIT) {
        if (new_loop && m->has_pool)
            write_down(m, &(struct event){.kind = EVENT_POOL,
                                          .threads_max = m->pool_threads_max,
                                          .threads = m->pool_threads});
        new_loop = false;
    }
    if (e.kind == EVENT_TICK && e.callbacks == EVENT_NEVER_REACHED) {
        e.kind = EVENT_RUN;
        e.mode = 2;
    }
    /* behind these the model goes on by itself, and the loop has not */
    if (e.kind == EVENT_TICK || e.kind == EVENT_RUN || e.kind == EVENT_RETURNED)
        write_down(m, &e);
    while (e.kind == EVENT_DEAD && !model_is_empty(&left)) {
        e.c = first_dead(m, left);
        model_take(&left, (unsigned)e.c);
        write_down(m, &e);
    }
}

static void observe(const struct model *m, const struct event *event,
                    const struct model_answer *answer) {
    struct event e = *event;
    bool tick = e.kind == EVENT_TICK || e.kind == EVENT_RUN;
    if (answer == NULL) {
        before(m, event);
        return;
    }
    if (e.kind <= EVENT_RUN)
        e.result = answer->returns;
    if (tick && e.result == MODEL_RUNS)
        return;
    e.kind = tick ? EVENT_END : e.kind;
    bool silent = e.kind == EVENT_END && e.of_deinit && !m->has_pool;
    if (e.kind != EVENT_RETURNED && e.kind != EVENT_DEAD && !silent &&
        (e.kind != EVENT_MOVED || memcmp(&m->orphaned, &orphaned, sizeof orphaned) != 0))
        write_down(m, &e);
}

void record_to(FILE *out) {
    file = out;
    begun = false;
    shown_ns = 0;
    model_observer = out == NULL ? NULL : observe;
}
