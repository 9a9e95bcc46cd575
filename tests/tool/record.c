/* See record.h. Each function tells the model first, then writes down what it was told and what it
 * answered: in lockstep that is what the loop answered too, or the run ends there. */
#include "record.h"

#include "../../model/model.h"
#include "../../model/program.h"

#include <inttypes.h>

static struct {
    FILE *out;
    bool begun;
    bool new_loop; /* whether it has a pool is known when it is first used */
    uint64_t clock_ns, shown_ns;
} r;

#define REAL(result, name, ...)                                                                    \
    result __real_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__)

void record_to(FILE *out) {
    r.out = out;
    r.begun = false;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void write_result(const char *key, int64_t result) {
    const char *name = result < 0 && result > -200 ? errno_name((int)-result) : "E?";
    if (name[1] == '?')
        fprintf(r.out, ",\"%s\":%" PRId64, key, result);
    else
        fprintf(r.out, ",\"%s\":\"-%s\"", key, name);
}

/* 2^53 and more is what many JSON readers round. */
static void write_count(const char *key, uint64_t count) {
    const char *quote = count >> 53 != 0 ? "\"" : "";
    fprintf(r.out, ",\"%s\":%s%" PRIu64 "%s", key, quote, count, quote);
}

/* Before the model is told anything else of a loop. */
static void write_pool(const struct model *m) {
    if (r.out != NULL && r.new_loop && m->has_pool)
        fprintf(r.out, "{\"has_pool\":%u,\"threads\":%u}\n", m->pool_threads_max, m->pool_threads);
    r.new_loop = false;
}

static void write_time(const struct model *m) {
    fprintf(r.out, ",\"now\":%" PRIu64, m->now_ms);
    if (r.clock_ns != r.shown_ns)
        fprintf(r.out, ",\"clock_ns\":%" PRIu64, r.clock_ns);
    r.shown_ns = r.clock_ns;
}

static void end_line(const struct model *m) {
    write_time(m);
    fputs("}\n", r.out);
}

static void write_state(const struct model *m, unsigned c) {
    static const char *const names[] = {"dead", "adding", "active", "deleting"};
    if (c < m->completions && m->maybe_dead == 0)
        fprintf(r.out, ",\"state\":\"%s\"", names[m->completion[c].state]);
}

static void write_callback(bool has_callback, uint32_t userdata) {
    if (!has_callback)
        fputs(",\"has_callback\":false", r.out);
    else
        fprintf(r.out, ",\"userdata\":%" PRIu32, userdata);
}

static void write_description(const struct model_description *d) {
    fprintf(r.out, ",\"op\":\"%s\"", operation_name(d->operation));
    if (d->operation == ET_TIMER)
        write_count("delay_ms", d->delay_ms);
    else if (d->operation == ET_CANCEL && d->target != MODEL_NONE)
        fprintf(r.out, ",\"target\":%u", d->target);
    else if (d->operation != ET_CANCEL && d->operation != ET_NOOP)
        fprintf(r.out, ",\"fd\":%d", d->fd);
    if (d->operation == ET_POLL)
        fprintf(r.out, ",\"events\":%" PRIu32, d->events);
    if (d->pool_mark)
        fputs(",\"pool\":true", r.out);
    write_callback(d->has_callback, d->userdata);
}

/* ---- calls ----------------------------------------------------------------------------------- */

REAL(void, model_init, struct model *m, unsigned completions, int descriptors_max,
     uint64_t clock_ns) {
    __real_model_init(m, completions, descriptors_max, clock_ns);
    r.clock_ns = clock_ns;
    r.new_loop = true;
    if (r.out == NULL || r.begun)
        return;
    r.begun = true;
    r.shown_ns = 0;
    fprintf(r.out,
            "{\"etalon-recording\":1,\"subject\":\"etalon\",\"observes\":[\"time\",\"states\","
            "\"waits\",\"readiness\","
            "\"pool\"],"
            "\"descriptors_max\":%d}\n",
            descriptors_max);
}

REAL(void, model_clock, struct model *m, uint64_t clock_ns) {
    __real_model_clock(m, clock_ns);
    r.clock_ns = clock_ns;
}

REAL(int, model_add, struct model *m, unsigned c) {
    write_pool(m);
    int result = __real_model_add(m, c);
    if (r.out == NULL)
        return result;
    fprintf(r.out, "{\"call\":\"add\",\"c\":%u", c);
    write_description(&m->completion[c].description);
    write_result("returns", result);
    write_state(m, c);
    end_line(m);
    return result;
}

REAL(int, model_delete, struct model *m, unsigned c) {
    write_pool(m);
    int result = __real_model_delete(m, c);
    if (r.out == NULL)
        return result;
    fprintf(r.out, "{\"call\":\"delete\",\"c\":%u", c);
    write_result("returns", result);
    write_state(m, c);
    end_line(m);
    return result;
}

static void write_timer(const struct model *m, const char *call, unsigned c, unsigned carrier,
                        uint64_t delay_ms, bool has_callback, uint32_t userdata, int result) {
    if (r.out == NULL)
        return;
    fprintf(r.out, "{\"call\":\"%s\",\"c\":%u", call, c);
    if (carrier != MODEL_NONE)
        fprintf(r.out, ",\"by\":%u", carrier);
    write_count("delay_ms", delay_ms);
    write_callback(has_callback, userdata);
    write_result("returns", result);
    write_state(m, c);
    end_line(m);
}

REAL(int, model_timer, struct model *m, unsigned c, uint64_t delay_ms, bool has_callback,
     uint32_t userdata) {
    write_pool(m);
    int result = __real_model_timer(m, c, delay_ms, has_callback, userdata);
    write_timer(m, "timer", c, MODEL_NONE, delay_ms, has_callback, userdata, result);
    return result;
}

REAL(int, model_reset, struct model *m, unsigned c, unsigned carrier, uint64_t delay_ms,
     bool has_callback, uint32_t userdata) {
    write_pool(m);
    int result = __real_model_reset(m, c, carrier, delay_ms, has_callback, userdata);
    write_timer(m, "reset", c, carrier, delay_ms, has_callback, userdata, result);
    return result;
}

REAL(int, model_cancel, struct model *m, unsigned cancel, unsigned target, bool has_callback,
     uint32_t userdata) {
    write_pool(m);
    int result = __real_model_cancel(m, cancel, target, has_callback, userdata);
    if (r.out == NULL)
        return result;
    fprintf(r.out, "{\"call\":\"cancel\",\"c\":%u,\"by\":%u", target, cancel);
    write_callback(has_callback, userdata);
    write_result("returns", result);
    write_state(m, cancel);
    end_line(m);
    return result;
}

static void write_bare(const struct model *m, const char *call) {
    if (r.out == NULL)
        return;
    fprintf(r.out, "{\"call\":\"%s\"", call);
    end_line(m);
}

REAL(void, model_stop, struct model *m) {
    write_pool(m);
    __real_model_stop(m);
    write_bare(m, "stop");
}

REAL(void, model_update_now, struct model *m) {
    write_pool(m);
    __real_model_update_now(m);
    write_bare(m, "update_now");
}

REAL(int, model_deinit, struct model *m) {
    write_pool(m);
    int result = __real_model_deinit(m);
    if (r.out == NULL)
        return result;
    fputs("{\"call\":\"deinit\"", r.out);
    write_result("returns", result);
    end_line(m);
    return result;
}

static void write_end(const struct model *m, int result) {
    fputs("{\"end\":\"tick\"", r.out);
    write_result("returns", result);
    if (m->maybe_dead == 0)
        fprintf(r.out, ",\"active\":%" PRIu32, m->active);
    end_line(m);
}

REAL(int, model_tick, struct model *m, uint64_t callbacks) {
    write_pool(m);
    uint64_t now_ms = m->now_ms;
    int result = __real_model_tick(m, callbacks);
    if (r.out == NULL)
        return result;
    /* the model has gone on by itself, the loop has not */
    struct model before = {.now_ms = now_ms};
    if (callbacks == MODEL_NEVER_REACHED)
        fputs("{\"call\":\"run\",\"mode\":\"until_done\"", r.out);
    else
        fprintf(r.out, "{\"call\":\"tick\",\"callbacks\":%" PRIu64, callbacks);
    end_line(&before);
    if (result != MODEL_RUNS)
        write_end(m, result);
    return result;
}

/* ---- what is seen in a tick ------------------------------------------------------------------ */

REAL(const char *, model_try, struct model *m, unsigned c, enum et_operation operation, int fd,
     int64_t result) {
    const char *clause = __real_model_try(m, c, operation, fd, result);
    if (r.out == NULL)
        return clause;
    fprintf(r.out, "{\"try\":\"%s\",\"fd\":%d", operation_name(operation), fd);
    if (c != MODEL_NONE)
        fprintf(r.out, ",\"c\":%u", c);
    write_result("result", result);
    fputs("}\n", r.out);
    return clause;
}

/* Only when it changes something. */
REAL(void, model_moved, struct model *m, int fd) {
    model_set before = m->orphaned;
    __real_model_moved(m, fd);
    if (r.out != NULL && m->orphaned != before)
        fprintf(r.out, "{\"moved\":%d}\n", fd);
}

REAL(const char *, model_refused, struct model *m, int fd, int error, uint32_t kept,
     uint32_t claimed) {
    const char *clause = __real_model_refused(m, fd, error, kept, claimed);
    if (r.out == NULL)
        return clause;
    fprintf(r.out, "{\"refused\":%d", fd);
    write_result("error", -error);
    fprintf(r.out, ",\"kept\":%" PRIu32, kept);
    if (claimed != 0)
        fprintf(r.out, ",\"claimed\":%" PRIu32, claimed);
    fputs("}\n", r.out);
    return clause;
}

REAL(const char *, model_wait, struct model *m, int64_t timeout_ns) {
    bool forgiven = m->forgive_registration;
    const char *clause = __real_model_wait(m, timeout_ns);
    if (r.out == NULL)
        return clause;
    if (timeout_ns < 0)
        fputs("{\"wait\":null", r.out);
    else
        fprintf(r.out, "{\"wait\":%" PRId64, timeout_ns);
    if (forgiven)
        fputs(",\"forgiven\":true", r.out);
    end_line(m);
    return clause;
}

REAL(const char *, model_woken, struct model *m, int error) {
    const char *clause = __real_model_woken(m, error);
    if (r.out == NULL)
        return clause;
    fprintf(r.out, "{\"woken\":%d", -error);
    end_line(m);
    return clause;
}

REAL(const char *, model_report, struct model *m, int fd, uint32_t events,
     enum model_source source) {
    const char *clause = __real_model_report(m, fd, events, source);
    if (r.out != NULL)
        fprintf(r.out, "{\"report\":%d,\"events\":%" PRIu32 "%s}\n", fd, events,
                source == MODEL_STALE ? ",\"stale\":true" : "");
    return clause;
}

REAL(const char *, model_callback, struct model *m, unsigned c, int64_t result, uint32_t userdata) {
    const char *clause = __real_model_callback(m, c, result, userdata);
    if (r.out == NULL)
        return clause;
    fprintf(r.out, "{\"callback\":%u", c);
    write_result("result", result);
    fprintf(r.out, ",\"userdata\":%" PRIu32, userdata);
    end_line(m);
    return clause;
}

REAL(const char *, model_returned, struct model *m, enum et_action action) {
    if (r.out == NULL)
        return __real_model_returned(m, action);
    unsigned c = m->in_callback;
    uint64_t now_ms = m->now_ms;
    fprintf(r.out, "{\"returned\":%u,\"action\":\"%s\"", c,
            action == ET_REARM ? "rearm" : "disarm");
    if (action == ET_REARM)
        write_description(&m->completion[c].description);
    struct model before = {.now_ms = now_ms};
    end_line(&before);
    return __real_model_returned(m, action);
}

REAL(const char *, model_settled, struct model *m, model_set dead) {
    model_set left = dead;
    /* What was handed over in that order, the others in that of starting, or of submission. */
    while (r.out != NULL && left != 0) {
        unsigned first = MODEL_NONE;
        for (unsigned i = m->handed_over.count; i-- > 0;)
            if ((left >> m->handed_over.item[i] & 1) != 0)
                first = m->handed_over.item[i];
        if (first != MODEL_NONE) {
            fprintf(r.out, "{\"dead\":%u}\n", first);
            left &= ~(UINT32_C(1) << first);
            continue;
        }
        for (unsigned i = m->submissions.count; i-- > 0;)
            if ((left >> m->submissions.item[i] & 1) != 0)
                first = m->submissions.item[i];
        for (unsigned c = 0, adding = first; c < m->completions; c++)
            if ((left >> c & 1) != 0 && m->completion[c].state != ET_ADDING &&
                (first == adding || m->completion[c].order < m->completion[first].order))
                first = c;
        fprintf(r.out, "{\"dead\":%u}\n", first);
        left &= ~(UINT32_C(1) << first);
    }
    return __real_model_settled(m, dead);
}

REAL(const char *, model_tick_end, struct model *m, int result) {
    const char *clause = __real_model_tick_end(m, result);
    if (r.out != NULL)
        write_end(m, result);
    return clause;
}

/* ---- the pool and the asyncs ----------------------------------------------------------------- */

REAL(int, model_async_wait, struct model *m, unsigned c, int fd, bool has_callback,
     uint32_t userdata) {
    write_pool(m);
    int result = __real_model_async_wait(m, c, fd, has_callback, userdata);
    if (r.out == NULL)
        return result;
    fprintf(r.out, "{\"call\":\"async_wait\",\"c\":%u,\"fd\":%d", c, fd);
    write_callback(has_callback, userdata);
    write_result("returns", result);
    write_state(m, c);
    end_line(m);
    return result;
}

static int write_async(const char *call, int fd, int result) {
    if (r.out == NULL)
        return result;
    fprintf(r.out, "{\"call\":\"%s\",\"fd\":%d", call, fd);
    write_result("returns", result);
    fputs("}\n", r.out);
    return result;
}

REAL(int, model_notify, struct model *m, int fd) {
    return write_async("notify", fd, __real_model_notify(m, fd));
}

REAL(int, model_async_deinit, struct model *m, int fd) {
    return write_async("async_deinit", fd, __real_model_async_deinit(m, fd));
}

REAL(const char *, model_deinit_end, struct model *m) {
    if (r.out != NULL && m->has_pool)
        fputs("{\"end\":\"deinit\",\"returns\":0}\n", r.out);
    return __real_model_deinit_end(m);
}

REAL(const char *, model_thread, struct model *m, int error) {
    if (r.out != NULL) {
        fprintf(r.out, "{\"thread\":%d}\n", -error);
    }
    return __real_model_thread(m, error);
}

static void write_thread(const char *event, unsigned c) {
    if (r.out != NULL)
        fprintf(r.out, "{\"%s\":%u}\n", event, c);
}

REAL(const char *, model_took, struct model *m, unsigned c) {
    write_thread("took", c);
    return __real_model_took(m, c);
}

REAL(const char *, model_executed, struct model *m, unsigned c, enum et_operation operation, int fd,
     int64_t result) {
    if (r.out != NULL) {
        fprintf(r.out, "{\"executed\":%u,\"op\":\"%s\",\"fd\":%d", c, operation_name(operation),
                fd);
        write_result("result", result);
        fputs("}\n", r.out);
    }
    return __real_model_executed(m, c, operation, fd, result);
}

REAL(const char *, model_gave_back, struct model *m, unsigned c) {
    write_thread("gave_back", c);
    return __real_model_gave_back(m, c);
}

REAL(const char *, model_idle, struct model *m) {
    if (r.out != NULL)
        fputs("{\"idle\":true}\n", r.out);
    return __real_model_idle(m);
}
