/* SPDX-License-Identifier: MIT */
/* Recordings (recording.h), read with the JSON reader of Jansson. This is the one file that needs
 * it: where it is not installed everything else is built, and `etalon judge` says what is missing.
 */
#include "recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../model/program.h"
#include "../../model/words.h"

#if defined(ETALON_WITH_JANSSON)
#include <jansson.h>
#endif

#define LINE_MAX_BYTES 65536
#define ERRNO_MAX      4095

const char *const recording_observes[OBSERVABLE] = {"time", "states", "waits", "readiness", "pool"};

static const char *const call_names[] = {
    [EVENT_ADD] = "add",
    [EVENT_DELETE] = "delete",
    [EVENT_TIMER] = "timer",
    [EVENT_RESET] = "reset",
    [EVENT_CANCEL] = "cancel",
    [EVENT_STOP] = "stop",
    [EVENT_UPDATE_NOW] = "update_now",
    [EVENT_DEINIT] = "deinit",
    [EVENT_WAKEUP] = "wakeup",
    [EVENT_ASYNC_WAIT] = "async_wait",
    [EVENT_NOTIFY] = "notify",
    [EVENT_ASYNC_DEINIT] = "async_deinit",
    [EVENT_TICK] = "tick",
    [EVENT_RUN] = "run",
};

/* ---- an event as a line ---------------------------------------------------------------------- */

static const char *const mode_names[] = {"no_wait", "once", "until_done", "turn"};

enum {
    C = 1,
    BY = 2,
    FD = 4,
    DELAY = 8,
    CALLBACK = 16,
    RETURNS = 32,
    RESULT = 64,
    USERDATA = 128,
};
/* What is written behind the subject of the line, in this order. */
static const uint8_t fields[] = {
    [EVENT_ADD] = C | RETURNS,
    [EVENT_DELETE] = C | RETURNS,
    [EVENT_TIMER] = C | DELAY | CALLBACK | RETURNS,
    [EVENT_RESET] = C | BY | DELAY | CALLBACK | RETURNS,
    [EVENT_CANCEL] = C | BY | CALLBACK | RETURNS,
    [EVENT_DEINIT] = RETURNS,
    [EVENT_ASYNC_WAIT] = C | FD | CALLBACK | RETURNS,
    [EVENT_NOTIFY] = FD | RETURNS,
    [EVENT_ASYNC_DEINIT] = FD | RETURNS,
    [EVENT_END] = RETURNS,
    [EVENT_CALLBACK] = RESULT | USERDATA,
    [EVENT_TRY] = RESULT,
    [EVENT_EXECUTED] = RESULT,
    [EVENT_DEAD] = 0,
};

static void write_result(FILE *out, const char *key, int64_t result) {
    const char *name = result < 0 && result > -200 ? errno_name((int)-result) : "E?";
    if (name[1] == '?')
        fprintf(out, ",\"%s\":%" PRId64, key, result);
    else
        fprintf(out, ",\"%s\":\"-%s\"", key, name);
}

/* 2^53 and more is what many JSON readers round. */
static void write_count(FILE *out, const char *key, uint64_t count) {
    const char *quote = count >> 53 != 0 ? "\"" : "";
    fprintf(out, ",\"%s\":%s%" PRIu64 "%s", key, quote, count, quote);
}

static void write_callback(FILE *out, const struct event *e) {
    if (!e->has_callback)
        fputs(",\"has_callback\":false", out);
    else
        fprintf(out, ",\"userdata\":%" PRIu32, e->userdata);
}

static void write_description(FILE *out, const struct event *e) {
    fprintf(out, ",\"op\":\"%s\"", operation_name(e->operation));
    if (e->flags != 0)
        fprintf(out, ",\"flags\":%d", e->flags);
    if (e->operation == ET_TIMER)
        write_count(out, "delay_ms", e->delay_ms);
    else if (e->operation == ET_CANCEL && e->target != EVENT_NOBODY)
        fprintf(out, ",\"target\":%" PRIu64, e->target);
    else if (e->operation != ET_CANCEL && e->operation != ET_NOOP)
        fprintf(out, ",\"fd\":%d", e->fd);
    if (e->operation == ET_POLL)
        fprintf(out, ",\"events\":%" PRIu32, e->events);
    if (e->pool)
        fputs(",\"pool\":true", out);
    write_callback(out, e);
}

/* What the line is about, and what only such lines have. */
static void write_subject(FILE *out, const struct event *e) {
    switch (e->kind) {
    case EVENT_END: fprintf(out, "\"end\":\"%s\"", e->of_deinit ? "deinit" : "tick"); break;
    case EVENT_CALLBACK: fprintf(out, "\"callback\":%" PRIu64, e->c); break;
    case EVENT_RETURNED:
        fprintf(out, "\"returned\":%" PRIu64 ",\"action\":\"%s\"", e->c,
                e->rearm ? "rearm" : "disarm");
        break;
    case EVENT_WAIT:
        if (e->result < 0)
            fputs("\"wait\":null", out);
        else
            fprintf(out, "\"wait\":%" PRId64, e->result);
        fputs(e->forgiven ? ",\"forgiven\":true" : "", out);
        break;
    case EVENT_WOKEN: fprintf(out, "\"woken\":%" PRId64, e->result); break;
    case EVENT_REPORT:
        fprintf(out, "\"report\":%d,\"events\":%" PRIu32 "%s", e->fd, e->events,
                e->source == MODEL_STALE ? ",\"stale\":true" : "");
        break;
    case EVENT_TRY:
        fprintf(out, "\"try\":\"%s\",\"fd\":%d", operation_name(e->operation), e->fd);
        if (e->c != EVENT_NOBODY)
            fprintf(out, ",\"c\":%" PRIu64, e->c);
        break;
    case EVENT_REFUSED:
        fprintf(out, "\"refused\":%d", e->fd);
        write_result(out, "error", e->result);
        fprintf(out, ",\"kept\":%" PRIu32, e->events);
        if (e->claimed != 0)
            fprintf(out, ",\"claimed\":%" PRIu32, e->claimed);
        break;
    case EVENT_MOVED: fprintf(out, "\"moved\":%d", e->fd); break;
    case EVENT_THREAD: fprintf(out, "\"thread\":%" PRId64, e->result); break;
    case EVENT_TOOK: fprintf(out, "\"took\":%" PRIu64, e->c); break;
    case EVENT_EXECUTED:
        fprintf(out, "\"executed\":%" PRIu64 ",\"op\":\"%s\",\"fd\":%d", e->c,
                operation_name(e->operation), e->fd);
        break;
    case EVENT_GAVE_BACK: fprintf(out, "\"gave_back\":%" PRIu64, e->c); break;
    case EVENT_IDLE: fputs("\"idle\":true", out); break;
    case EVENT_POOL:
        fprintf(out, "\"has_pool\":%" PRIu32 ",\"threads\":%" PRIu32, e->threads_max, e->threads);
        break;
    case EVENT_DEAD: fprintf(out, "\"dead\":%" PRIu64, e->c); break;
    default: fprintf(out, "\"call\":\"%s\"", call_names[e->kind]); break;
    }
    if (e->kind == EVENT_TICK)
        fprintf(out, ",\"callbacks\":%" PRIu64, e->callbacks);
    if (e->kind == EVENT_RUN)
        fprintf(out, ",\"mode\":\"%s\"", e->mode < 0 ? "unknown" : mode_names[e->mode]);
}

void event_write(const struct event *e, FILE *out) {
    unsigned has = e->kind < sizeof fields ? fields[e->kind] : 0;
    fputc('{', out);
    write_subject(out, e);
    if ((has & C) != 0 && e->c != EVENT_NOBODY)
        fprintf(out, ",\"c\":%" PRIu64, e->c);
    if ((has & BY) != 0 && e->by != EVENT_NOBODY)
        fprintf(out, ",\"by\":%" PRIu64, e->by);
    if ((has & FD) != 0)
        fprintf(out, ",\"fd\":%d", e->fd);
    if ((has & DELAY) != 0)
        write_count(out, "delay_ms", e->delay_ms);
    if ((has & CALLBACK) != 0)
        write_callback(out, e);
    if ((e->has & EVENT_HAS_DESCRIPTION) != 0)
        write_description(out, e);
    if ((has & RETURNS) != 0)
        write_result(out, "returns", e->result);
    if ((has & RESULT) != 0)
        write_result(out, "result", e->result);
    if ((has & USERDATA) != 0)
        fprintf(out, ",\"userdata\":%" PRIu32, e->userdata);
    if (e->state != EVENT_NO_STATE)
        fprintf(out, ",\"state\":\"%s\"", state_names[e->state]);
    if ((e->has & EVENT_HAS_ACTIVE) != 0)
        fprintf(out, ",\"active\":%" PRIu32, e->active);
    if ((e->has & EVENT_HAS_NOW) != 0)
        fprintf(out, ",\"now\":%" PRIu64, e->now_ms);
    if ((e->has & EVENT_HAS_CLOCK) != 0)
        fprintf(out, ",\"clock_ns\":%" PRIu64, e->clock_ns);
    fputs("}\n", out);
}

const char *result_text(int64_t result, char *text, size_t size) {
    const char *name = result < 0 && result >= -ERRNO_MAX ? errno_name((int)-result) : "E???";
    if (strcmp(name, "E???") == 0)
        snprintf(text, size, "%lld", (long long)result);
    else
        snprintf(text, size, "-%s", name);
    return text;
}

void event_text(const struct event *event, char *text, size_t size) {
    char result[32];
    unsigned long long c = event->c;
    result_text(event->result, result, sizeof result);
    switch (event->kind) {
    case EVENT_ADD:
    case EVENT_DELETE:
    case EVENT_ASYNC_WAIT:
    case EVENT_TIMER:
        snprintf(text, size, "%s of %llu returned %s", call_names[event->kind], c, result);
        break;
    case EVENT_RESET:
    case EVENT_CANCEL:
        snprintf(text, size, "%s of %llu by %llu returned %s", call_names[event->kind], c,
                 (unsigned long long)event->by, result);
        break;
    case EVENT_END: snprintf(text, size, "the tick returned %s", result); break;
    case EVENT_CALLBACK: snprintf(text, size, "callback of %llu with %s", c, result); break;
    case EVENT_RETURNED: snprintf(text, size, "the callback of %llu returned", c); break;
    case EVENT_WAIT:
        if (event->result < 0)
            snprintf(text, size, "a wait without limit");
        else
            snprintf(text, size, "a wait of at most %lld ns", (long long)event->result);
        break;
    case EVENT_WOKEN: snprintf(text, size, "the wait ended"); break;
    case EVENT_REPORT:
        snprintf(text, size, "descriptor %d was reported for %#x", event->fd, event->events);
        break;
    case EVENT_TRY:
        snprintf(text, size, "%s on descriptor %d gave %s", operation_name(event->operation),
                 event->fd, result);
        break;
    case EVENT_REFUSED:
        snprintf(text, size, "the registration of descriptor %d was refused", event->fd);
        break;
    case EVENT_MOVED:
        snprintf(text, size, "descriptor %d came to name another file", event->fd);
        break;
    case EVENT_THREAD: snprintf(text, size, "the pool was to make a thread: %s", result); break;
    case EVENT_TOOK: snprintf(text, size, "a thread took %llu", c); break;
    case EVENT_EXECUTED: snprintf(text, size, "a thread executed %llu: %s", c, result); break;
    case EVENT_GAVE_BACK: snprintf(text, size, "a thread gave %llu back", c); break;
    case EVENT_IDLE: snprintf(text, size, "a thread is idle"); break;
    case EVENT_POOL: snprintf(text, size, "the loop has a pool"); break;
    case EVENT_DEAD: snprintf(text, size, "%llu is dead", c); break;
    default: snprintf(text, size, "%s", call_names[event->kind]); break;
    }
}

static int fails(struct recording *r, const char *what, const char *name) {
    snprintf(r->error, sizeof r->error, what, name);
    return -1;
}

#ifndef ETALON_WITH_JANSSON

bool recording_open(struct recording *r, FILE *file, const char *name) {
    *r = (struct recording){.file = file, .name = name};
    (void)fails(
        r,
        "this etalon was built without Jansson%s: apt-get install libjansson-dev, then build again",
        "");
    return false;
}

void recording_close(struct recording *r) {
    free(r->text);
}

int recording_next(struct recording *r, struct event *event) {
    (void)event;
    return fails(r, "nothing can be read%s", "");
}

bool judgement_write(const struct judgement *judgement, FILE *out) {
    (void)judgement, (void)out;
    return false;
}

#else

/* ---- fields ---------------------------------------------------------------------------------- */

static bool read_count(const json_t *value, uint64_t *number) {
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value); /* numbers that JSON readers round */
    if (text == NULL || text[0] < '0' || text[0] > '9' || strlen(text) > 20)
        return false;
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* Of a completion. */
static bool read_name(const json_t *value, uint64_t *number) {
    return read_count(value, number) && *number != EVENT_NOBODY;
}

static bool read_result(const json_t *value, int64_t *number) {
    if (json_is_integer(value)) {
        *number = json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (text == NULL || text[0] != '-' || text[1] != 'E' || text[2] == '?')
        return false;
    for (int error = 1; error <= 133; error++)
        if (strcmp(errno_name(error), text + 1) == 0) {
            *number = -error;
            return true;
        }
    return false;
}

static bool read_word(const json_t *value, const char *const *words, unsigned count,
                      unsigned *number) {
    const char *text = json_string_value(value);
    for (*number = 0; text != NULL && *number < count; ++*number)
        if (words[*number] != NULL && strcmp(words[*number], text) == 0)
            return true;
    return false;
}

static bool read_operation(const json_t *value, uint8_t *operation) {
    const char *text = json_string_value(value);
    for (*operation = 0; text != NULL && *operation < ET_OPERATIONS; ++*operation)
        if (strcmp(operation_name(*operation), text) == 0)
            return true;
    *operation = 255; /* one that no loop knows: lawful to try, unlawful to accept (ET-ADD-5) */
    return text != NULL && strcmp(text, "unknown") == 0;
}

static bool read_u32(const json_t *value, uint32_t *number) {
    uint64_t wide;
    if (!read_count(value, &wide) || wide > UINT32_MAX)
        return false;
    *number = (uint32_t)wide;
    return true;
}

static bool read_flag(const json_t *value, bool *flag) {
    *flag = json_is_true(value);
    return json_is_boolean(value);
}

static bool read_stale(const json_t *value, uint8_t *source) {
    *source = json_is_true(value) ? MODEL_STALE : MODEL_SEEN;
    return json_is_boolean(value);
}

static bool read_descriptor(const json_t *value, int *fd) {
    int64_t wide = json_integer_value(value);
    *fd = (int)wide;
    return json_is_integer(value) && wide >= INT32_MIN && wide <= INT32_MAX;
}

/* The first key says what the event is. */
static bool read_what(struct event *e, const char *key, const json_t *value, bool *known) {
    static const char *const ends[] = {"tick", "run", "deinit"};
    static const char *const threads[] = {"took", "executed", "gave_back"};
    unsigned number;
    *known = true;
    if (strcmp(key, "call") == 0) {
        bool right = read_word(value, call_names, EVENT_RUN + 1, &number);
        e->kind = (enum event_kind)number;
        return right;
    }
    if (strcmp(key, "end") == 0) {
        e->kind = EVENT_END;
        bool right = read_word(value, ends, 3, &number);
        e->of_deinit = number == 2;
        return right;
    }
    if (strcmp(key, "callback") == 0 || strcmp(key, "returned") == 0 || strcmp(key, "dead") == 0) {
        e->kind = key[0] == 'c' ? EVENT_CALLBACK : key[0] == 'r' ? EVENT_RETURNED : EVENT_DEAD;
        return read_name(value, &e->c);
    }
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(key, threads[i]) == 0) {
            e->kind = (enum event_kind)(EVENT_TOOK + i);
            return read_name(value, &e->c);
        }
    if (strcmp(key, "thread") == 0) {
        e->kind = EVENT_THREAD;
        return read_result(value, &e->result) && e->result <= 0 && e->result >= -ERRNO_MAX;
    }
    if (strcmp(key, "idle") == 0 || strcmp(key, "has_pool") == 0) {
        e->kind = key[0] == 'i' ? EVENT_IDLE : EVENT_POOL;
        return key[0] == 'i' ? json_is_true(value) : read_u32(value, &e->threads_max);
    }
    if (strcmp(key, "wait") == 0) {
        e->kind = EVENT_WAIT;
        e->result = json_is_null(value) ? -1 : json_integer_value(value);
        return json_is_null(value) || (json_is_integer(value) && e->result >= 0);
    }
    if (strcmp(key, "woken") == 0) {
        e->kind = EVENT_WOKEN;
        return read_result(value, &e->result) && e->result <= 0 && e->result >= -ERRNO_MAX;
    }
    if (strcmp(key, "report") == 0 || strcmp(key, "refused") == 0) {
        e->kind = key[2] == 'p' ? EVENT_REPORT : EVENT_REFUSED;
        return read_descriptor(value, &e->fd);
    }
    if (strcmp(key, "moved") == 0) {
        e->kind = EVENT_MOVED;
        return read_descriptor(value, &e->fd);
    }
    e->kind = EVENT_TRY;
    *known = strcmp(key, "try") == 0;
    return *known && read_operation(value, &e->operation);
}

/* Returns whether the value is right; known: whether the key is. A key that nobody knows is passed
 * over, so that a recorder may say more than a judge asks. */
static bool read_field(struct event *e, const char *key, const json_t *value) {
    static const char *const actions[] = {"disarm", "rearm"};
    unsigned number;
    bool right;
    if (strcmp(key, "now") == 0)
        return e->has |= EVENT_HAS_NOW, read_count(value, &e->now_ms);
    if (strcmp(key, "returns") == 0 || strcmp(key, "result") == 0 || strcmp(key, "error") == 0)
        return read_result(value, &e->result);
    if (strcmp(key, "c") == 0)
        return read_name(value, &e->c);
    if (strcmp(key, "op") == 0)
        return e->has |= EVENT_HAS_DESCRIPTION, read_operation(value, &e->operation);
    if (strcmp(key, "fd") == 0)
        return read_descriptor(value, &e->fd);
    if (strcmp(key, "events") == 0)
        return read_u32(value, &e->events);
    if (strcmp(key, "flags") == 0) {
        uint32_t flags = 0;
        right = read_u32(value, &flags) && flags <= INT32_MAX;
        e->flags = (int)(flags & INT32_MAX);
        return right;
    }
    if (strcmp(key, "delay_ms") == 0)
        return read_count(value, &e->delay_ms);
    if (strcmp(key, "has_callback") == 0)
        return read_flag(value, &e->has_callback);
    if (strcmp(key, "userdata") == 0)
        return e->has |= EVENT_HAS_USERDATA, read_u32(value, &e->userdata);
    if (strcmp(key, "action") == 0) {
        right = read_word(value, actions, 2, &number);
        e->rearm = number == 1;
        return right;
    }
    if (strcmp(key, "state") == 0) {
        right = read_word(value, state_names, 4, &number);
        e->state = (uint8_t)number;
        return right;
    }
    if (strcmp(key, "by") == 0)
        return read_name(value, &e->by);
    if (strcmp(key, "forgiven") == 0)
        return read_flag(value, &e->forgiven);
    if (strcmp(key, "target") == 0)
        return json_is_null(value) || read_name(value, &e->target);
    if (strcmp(key, "pool") == 0)
        return read_flag(value, &e->pool);
    if (strcmp(key, "callbacks") == 0)
        return read_count(value, &e->callbacks);
    if (strcmp(key, "clock_ns") == 0)
        return e->has |= EVENT_HAS_CLOCK, read_count(value, &e->clock_ns);
    if (strcmp(key, "active") == 0)
        return e->has |= EVENT_HAS_ACTIVE, read_u32(value, &e->active);
    if (strcmp(key, "stale") == 0)
        return read_stale(value, &e->source);
    if (strcmp(key, "threads") == 0)
        return read_u32(value, &e->threads) && e->threads <= INT32_MAX;
    if (strcmp(key, "kept") == 0)
        return read_u32(value, &e->events);
    if (strcmp(key, "claimed") == 0)
        return read_u32(value, &e->claimed);
    if (strcmp(key, "mode") == 0) {
        e->mode = read_word(value, mode_names, 4, &number) ? (int8_t)number : -1;
        return e->mode >= 0 ||
               (json_is_string(value) && strcmp(json_string_value(value), "unknown") == 0);
    }
    return true;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* What an event of its kind cannot do without. */
static int check_complete(struct recording *r, const struct event *e, const json_t *object) {
    static const char *const needed[][3] = {
        [EVENT_ADD] = {"c", "returns"},
        [EVENT_DELETE] = {"c", "returns"},
        [EVENT_TIMER] = {"c", "delay_ms", "returns"},
        [EVENT_RESET] = {"c", "delay_ms", "returns"},
        [EVENT_CANCEL] = {"by", "returns"},
        [EVENT_DEINIT] = {"returns"},
        [EVENT_TICK] = {"callbacks"},
        [EVENT_RUN] = {"mode"},
        [EVENT_END] = {"returns"},
        [EVENT_CALLBACK] = {"result"},
        [EVENT_RETURNED] = {"action"},
        [EVENT_REPORT] = {"events"},
        [EVENT_TRY] = {"fd", "result"},
        [EVENT_REFUSED] = {"error"},
        [EVENT_MOVED] = {NULL},
        [EVENT_DEAD] = {NULL},
        [EVENT_ASYNC_WAIT] = {"c", "fd", "returns"},
        [EVENT_NOTIFY] = {"fd", "returns"},
        [EVENT_ASYNC_DEINIT] = {"fd", "returns"},
        [EVENT_EXECUTED] = {"op", "fd", "result"},
    };
    for (unsigned i = 0; i < 3 && needed[e->kind][i] != NULL; i++)
        if (json_object_get(object, needed[e->kind][i]) == NULL)
            return fails(r, "\"%s\" is missing", needed[e->kind][i]);
    bool no_now = (r->observes & OBSERVES_TIME) != 0 && (e->has & EVENT_HAS_NOW) == 0;
    bool elsewhere = e->kind == EVENT_NOTIFY || e->kind == EVENT_WAKEUP ||
                     e->kind == EVENT_ASYNC_DEINIT || e->of_deinit; /* perhaps another thread's */
    if (no_now && !elsewhere && (e->kind <= EVENT_CALLBACK || e->kind == EVENT_WAIT))
        return fails(r, "\"%s\" is missing, although the header says that time is observed", "now");
    bool wait = e->kind == EVENT_WAIT || e->kind == EVENT_WOKEN;
    if (wait && (r->observes & OBSERVES_WAITS) == 0)
        return fails(r, "a wait, although the header does not say that they are observed%s", "");
    bool ready = e->kind == EVENT_REPORT || e->kind == EVENT_TRY || e->kind == EVENT_REFUSED;
    if (ready && (r->observes & OBSERVES_READINESS) == 0)
        return fails(r,
                     "a report, try or refusal, although the header does not say that readiness is "
                     "observed%s",
                     "");
    if (e->kind >= EVENT_THREAD && e->kind <= EVENT_POOL && (r->observes & OBSERVES_POOL) == 0)
        return fails(r, "a pool, although the header does not say that it is observed%s", "");
    if (e->kind == EVENT_REFUSED && (e->result >= 0 || e->result < -ERRNO_MAX))
        return fails(r, "\"error\" is no negated errno%s", "");
    return 1;
}

static int read_event(struct recording *r, const json_t *object, struct event *e) {
    const char *key;
    json_t *value;
    unsigned subjects = 0;
    *e = (struct event){.line = r->line,
                        .c = EVENT_NOBODY,
                        .by = EVENT_NOBODY,
                        .target = EVENT_NOBODY,
                        .has_callback = true,
                        .state = EVENT_NO_STATE,
                        .fd = -1,
                        .mode = -1};
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool known;
        bool right = read_what(e, key, value, &known);
        subjects += known;
        if (known && !right)
            return fails(r, "\"%s\" has a value that it cannot have", key);
        if (known && subjects > 1)
            return fails(r, "\"%s\": two events on one line", key);
        break; /* the others are looked at below; this finds the usual order at once */
    }
    if (subjects == 0) {
        static const char *const keys[] = {"call",     "end",      "callback",  "returned", "dead",
                                           "wait",     "woken",    "report",    "refused",  "try",
                                           "took",     "executed", "gave_back", "thread",   "idle",
                                           "has_pool", "moved"};
        for (unsigned i = 0; i < sizeof keys / sizeof *keys && subjects == 0; i++)
            if ((value = json_object_get(object, keys[i])) != NULL) {
                bool known;
                subjects = 1;
                if (!read_what(e, keys[i], value, &known))
                    return fails(r, "\"%s\" has a value that it cannot have", keys[i]);
            }
    }
    if (subjects == 0)
        return fails(r,
                     "this is no event: no call, end, callback, returned, wait or what else "
                     "spec/trace-format.md names%s",
                     "");
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (!read_field(e, key, value))
            return fails(r, "\"%s\" has a value that it cannot have", key);
    }
    return check_complete(r, e, object);
}

/* 1: a line; 0: the end. Not by fgets, which does not tell how much it has read: a line may hold
 * null bytes. */
static int read_line(struct recording *r, size_t *length) {
    size_t used = 0;
    int byte;
    while ((byte = getc_unlocked(r->file)) != EOF && byte != '\n') {
        if (used == LINE_MAX_BYTES) {
            r->line++;
            return fails(r, "longer than 65536 bytes%s", "");
        }
        r->text[used++] = (char)byte;
    }
    if (byte == EOF && ferror(r->file)) {
        r->line = 0;
        return fails(r, "%s", strerror(errno));
    }
    if (byte == EOF && used == 0)
        return 0;
    r->line++;
    *length = used;
    return 1;
}

static json_t *parse(struct recording *r, size_t length) {
    json_error_t error;
    json_t *object = json_loadb(r->text, length, JSON_REJECT_DUPLICATES, &error);
    if (object != NULL && json_is_object(object))
        return object;
    if (object == NULL)
        snprintf(r->error, sizeof r->error, "no JSON, near column %d: %.120s", error.column,
                 error.text);
    else
        (void)fails(r, "no JSON object%s", "");
    for (char *at = r->error; *at != '\0'; at++) /* what is quoted may hold anything */
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '?';
    json_decref(object);
    return NULL;
}

static int read_header(struct recording *r) {
    size_t length;
    r->text = malloc(LINE_MAX_BYTES);
    if (r->text == NULL)
        return fails(r, "%s", strerror(errno));
    int status = read_line(r, &length);
    if (status <= 0) {
        r->line = status == 0 ? 1 : r->line;
        return status == 0
                   ? fails(r, "empty: the first line must be {\"etalon-recording\": 1, ...}%s", "")
                   : -1;
    }
    json_t *object = parse(r, length);
    if (object == NULL)
        return -1;
    const json_t *version = json_object_get(object, "etalon-recording"),
                 *observes = json_object_get(object, "observes");
    const char *subject = json_string_value(json_object_get(object, "subject"));
    snprintf(r->subject, sizeof r->subject, "%s", subject != NULL ? subject : "");
    if (!json_is_integer(version) || json_integer_value(version) != 1)
        status = fails(
            r, "the first line must be {\"etalon-recording\": 1, ...}; no other version is known%s",
            "");
    else if (!json_is_array(observes))
        status = fails(r,
                       "\"observes\" must be a list of \"time\", \"states\", \"waits\", "
                       "\"readiness\", \"pool\"%s",
                       "");
    const json_t *limit = json_object_get(object, "descriptors_max");
    r->descriptors_max = INT32_MAX;
    if (status == 1 && limit != NULL &&
        (!read_descriptor(limit, &r->descriptors_max) || r->descriptors_max < 0))
        status = fails(r, "\"descriptors_max\" is no limit of descriptors%s", "");
    for (size_t i = 0; status == 1 && i < json_array_size(observes); i++) {
        unsigned number;
        if (!read_word(json_array_get(observes, i), recording_observes, OBSERVABLE, &number))
            status = fails(r,
                           "\"observes\" must be a list of \"time\", \"states\", \"waits\", "
                           "\"readiness\", \"pool\"%s",
                           "");
        else
            r->observes |= 1U << number;
    }
    if (status == 1 && (r->observes & OBSERVES_READINESS) != 0 &&
        (r->observes & OBSERVES_WAITS) == 0)
        status = fails(r, "what observes \"readiness\" observes \"waits\" too%s", "");
    json_decref(object);
    return status;
}

bool recording_open(struct recording *r, FILE *file, const char *name) {
    *r = (struct recording){.file = file, .name = name};
    return read_header(r) == 1;
}

void recording_close(struct recording *r) {
    free(r->text);
    r->text = NULL;
}

int recording_next(struct recording *r, struct event *event) {
    size_t length;
    int status = read_line(r, &length);
    if (status <= 0)
        return status;
    json_t *object = parse(r, length);
    if (object == NULL)
        return -1;
    status = read_event(r, object, event);
    json_decref(object);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

bool judgement_write(const struct judgement *j, FILE *out) {
    json_t *list = json_array();
    for (unsigned i = 0; i < j->kept; i++) {
        const struct difference *d = &j->difference[i];
        json_array_append_new(list,
                              json_pack("{s:I, s:s, s:s, s:s, s:s}", "line", (json_int_t)d->line,
                                        "clause", d->clause, "level", d->should ? "SHOULD" : "MUST",
                                        "expected", d->expected, "observed", d->observed));
    }
    const char *verdict = j->differences > j->not_strict ? "fail"
                          : j->not_strict > 0            ? "not_strict"
                                                         : "pass";
    json_t *all =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b, s:o}", "file", j->name, "subject",
                  j->recording->subject, "verdict", verdict, "events", (json_int_t)j->events,
                  "failed", (json_int_t)(j->differences - j->not_strict), "not_strict",
                  (json_int_t)j->not_strict, "unfinished", (int)j->unfinished, "differences", list);
    bool written = all != NULL && json_dumpf(all, out, JSON_INDENT(1) | JSON_PRESERVE_ORDER) == 0 &&
                   fputc('\n', out) != EOF;
    json_decref(all);
    return written;
}

#endif
