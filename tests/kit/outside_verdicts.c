/* SPDX-License-Identifier: MIT */
/* What the promise is told by the observer (outside.h), what its verdicts come to for a subject
 * with a manual, and the words in which the report tells of them. */
#ifndef ETALON_WITHOUT_KIT

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "outside.h"

void end_run(void) {
    (void)interpose_inside(false);
    observer.result->callbacks = observer.callbacks;
    kit_end(observer.result);
}

void lacks(const char *what) {
    (void)interpose_inside(false);
    observer.result->verdict = VERDICT_NOT_OFFERED;
    snprintf(observer.result->message, sizeof observer.result->message, "%s", what);
    end_run();
}

void note(char kind, int c, const char *format, ...) {
    char line[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    kit_event(observer.result, world_real.clock(), kind, c, line);
}

/* ---- documented differences ------------------------------------------------------------------ */

/* What only the observer sees. */
static const char *const own_clauses[] = {
    "ET-DEINIT-3", "ET-HOST-4",     "ET-INIT-1",  "ET-OP-5",    "ET-WAKE-4",      "ET-ASYNC-4",
    "ET-INIT-5",   "ET-REGISTER-9", "ET-CLOSE-4", "ET-STATE-9", "ET-REGISTER-10",
};

static void name_failure(char name[40], unsigned v) {
    snprintf(name, 40, "%s%s%s", promise_laws[v].clause, *promise_laws[v].kind != 0 ? "/" : "",
             promise_laws[v].kind);
}

static bool is_own(const char *failure) {
    for (unsigned i = 0; i < sizeof own_clauses / sizeof *own_clauses; i++)
        if (strcmp(own_clauses[i], failure) == 0)
            return true;
    return false;
}

const char *outside_refuses(const char *failure) {
    static char text[240];
    char name[40], last[40] = "";
    size_t clause = strcspn(failure, "/"), used = 0;
    if (is_own(failure))
        return NULL;
    for (unsigned v = 0; v < PROMISE_VERDICTS; v++) {
        bool cardinal = promise_laws[v].weight == PROMISE_CARDINAL;
        name_failure(name, v);
        if (strcmp(name, failure) == 0)
            return cardinal ? "which no documentation can excuse (RUNNER.md)" : NULL;
        if (strncmp(name, failure, clause) != 0 || strchr("/", name[clause]) == NULL || cardinal ||
            strcmp(name, last) == 0 || used >= sizeof text - 60)
            continue;
        used += (size_t)snprintf(
            text + used, sizeof text - used, "%s '%s'",
            used == 0 ? "which is no failure in the table of RUNNER.md; of this clause there are"
                      : ",",
            name);
        snprintf(last, sizeof last, "%s", name);
    }
    return used > 0
               ? text
               : "which is no failure in the table of RUNNER.md, nor is another one of this clause";
}

bool outside_finds(const char *failure) {
    char name[40];
    size_t length = strlen(failure);
    bool found = is_own(failure);
    for (unsigned v = 0; v < PROMISE_VERDICTS && !found; v++) {
        name_failure(name, v);
        found = strncmp(name, failure, length) == 0 && strchr("/", name[length]) != NULL;
    }
    return found;
}

static const char *documented(const char *failure) {
    const struct etalon_subject_difference *d = observer.subject->differences;
    if (kit_tolerates(failure))
        return "not, but --tolerate was given";
    for (; d != NULL && d->clause != NULL; d++)
        if (strcmp(d->clause, failure) == 0)
            return d->why;
    return NULL;
}

struct promise_settings outside_settings(void) {
    const struct etalon_subject *subject = observer.subject;
    struct promise_settings s = {.slack_ns = subject->slack_ms * MS_NS + READINGS_MAX * READING_NS,
                                 .stays_stopped = offers(ETALON_OFFERS_STOPPED),
                                 .keeps = offers(ETALON_OFFERS_ASYNC_KEPT),
                                 .tells = tells_states(),
                                 .has_turn = offers(ETALON_OFFERS_TURN),
                                 .no_pool = !offers(ETALON_OFFERS_POOL),
                                 .lingers = (subject->offers >> 33 & 0xff) != 0,
                                 .nests = offers(ETALON_OFFERS_NESTS),
                                 .repeats = offers(ETALON_OFFERS_REPEATS),
                                 .deletes_later = offers(ETALON_OFFERS_DELETES_LATER)};
    for (unsigned v = 0; v < PROMISE_VERDICTS; v++) {
        char name[40];
        name_failure(name, v);
        if (documented(name) != NULL)
            promise_excuse(&s, v);
    }
    return s;
}

/* ---- in words -------------------------------------------------------------------------------- */

static void say_early(char *text, size_t size, const struct promise_completion *of, unsigned c) {
    uint64_t clock = world_real.clock();
    if (of->earliest_ns >= VIRTUAL_END)
        snprintf(text, size,
                 "the timer c%u, which was set to %llu ms, fires %llu us later: no clock goes as "
                 "far as its deadline",
                 c, (unsigned long long)of->delay_ms,
                 (unsigned long long)((clock - of->set_ns) / 1000));
    else
        snprintf(text, size, "the timer c%u fires %llu us before its deadline", c,
                 (unsigned long long)((of->earliest_ns - clock + 999) / 1000));
}

/* What the loop's waits asked for, and what ended them. */
static void say_spins(char *text, size_t size) {
    char handle[32] = " (none of the program's)", asked[40] = "no limit";
    uint32_t events;
    int fd = interpose_reported(&events);
    if (observer.wait_ns >= 0)
        snprintf(asked, sizeof asked, "%lld ns", (long long)observer.wait_ns);
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (fd >= 0 && world_real.descriptor(d) == fd)
            snprintf(handle, sizeof handle, " (d%u)", d);
    int used = snprintf(text, size, "%u waits in a row led to nothing: the loop spins; ",
                        (unsigned)PROMISE_WAITS_MAX + 1);
    if (!observer.reported)
        snprintf(text + used, size - (size_t)used,
                 "no descriptor is reported, the last wait asked for %s", asked);
    else if (fd < 0)
        snprintf(text + used, size - (size_t)used,
                 "what is reported has no descriptor any more, the last wait asked for %s", asked);
    else
        snprintf(text + used, size - (size_t)used,
                 "descriptor %d%s is reported for %#x, the last wait asked for %s", fd, handle,
                 events, asked);
}

static void say_poll(char *text, size_t size, const struct promise_answer *a,
                     const struct event *e) {
    const struct promise_completion *of = &observer.promise.completion[a->c];
    if (a->verdict == PROMISE_EVENT_6)
        snprintf(text, size, "the poll c%u ends with %#llx, but its descriptor is not ready",
                 (unsigned)a->c, (unsigned long long)e->result);
    else if (a->verdict == PROMISE_EVENT_4_BITS)
        snprintf(text, size, "the poll c%u ends with %#llx, but %#x is ready", (unsigned)a->c,
                 (unsigned long long)e->result, of->had);
    else
        snprintf(text, size, "the poll c%u ends with %lld, it asks for %#x", (unsigned)a->c,
                 (long long)e->result, of->asked);
}

static void say_sleep(char *text, size_t size, const struct promise_answer *a) {
    const struct promise_completion *of = &observer.promise.completion[a->c < COUNT ? a->c : 0];
    if (a->verdict == PROMISE_WAIT_2_LATE)
        snprintf(
            text, size, "the loop waits beyond the deadline of c%u, for %llu us too long",
            (unsigned)a->c,
            (unsigned long long)(world_real.clock() + (uint64_t)observer.sleep_ns - of->latest_ns) /
                1000);
    else if (a->verdict == PROMISE_RUN_1)
        snprintf(text, size, "run(NO_WAIT) waits");
    else if (a->verdict == PROMISE_WAKE_1)
        snprintf(text, size, "the loop waits although it was woken");
    else if (a->c < COUNT)
        snprintf(text, size, "the loop waits, and c%u with it; expected: %s", (unsigned)a->c,
                 a->why);
    else
        snprintf(text, size, "the loop waits; expected: %s", a->why);
}

static void say_call(char *text, size_t size, const struct promise_answer *a,
                     const struct event *e) {
    const char *result = kit_result_name(e->result);
    if (a->verdict == PROMISE_EXPIRE_4 || a->verdict == PROMISE_RESET_4 ||
        a->verdict == PROMISE_REPEAT_1)
        say_early(text, size, &observer.promise.completion[a->c], (unsigned)a->c);
    else if (a->verdict == PROMISE_EVENT_6 || a->verdict == PROMISE_EVENT_4_BITS ||
             a->verdict == PROMISE_EVENT_4_RESULT)
        say_poll(text, size, a, e);
    else if (e->c >= COUNT)
        snprintf(text, size, "a callback was called for completion %u, which does not exist",
                 observer.called_for);
    else if (a->c < COUNT && a->c != e->c)
        snprintf(text, size, "c%u is called with %s, and not c%u; expected: %s", (unsigned)e->c,
                 result, (unsigned)a->c, a->why);
    else
        snprintf(text, size, "c%u is called with %s; expected: %s", (unsigned)e->c, result, a->why);
}

static void say_end(char *text, size_t size, const struct promise_answer *a) {
    const struct promise_run *run = &observer.promise.run;
    if (a->c < COUNT)
        snprintf(text, size, "the run returns, but c%u has not ended; expected: %s", (unsigned)a->c,
                 a->why);
    else if (run->asked == 0 || run->asked == EVENT_NEVER_REACHED)
        snprintf(text, size, "the run returns; expected: %s", a->why);
    else
        snprintf(text, size,
                 "the run returns after %llu callback%s, %llu %s asked for; expected: %s",
                 (unsigned long long)run->called, plural(run->called),
                 (unsigned long long)run->asked, run->asked == 1 ? "was" : "were", a->why);
}

/* What was seen, in words. */
static void say(char *text, size_t size, const struct promise_answer *a, const struct event *e) {
    if (e->kind == EVENT_UNTRUE)
        snprintf(text, size, "%s", observer.seen);
    else if (observer.seen[0] != 0)
        snprintf(text, size, "%s; expected: %s", observer.seen, a->why);
    else if (a->verdict == PROMISE_WAKE_2)
        snprintf(text, size, "descriptor %d, the loop's own, ends a second wait after one wake-up",
                 observer.own);
    else if (e->kind == EVENT_CALLBACK)
        say_call(text, size, a, e);
    else if (e->kind == EVENT_SLEEP)
        say_sleep(text, size, a);
    else if (e->kind == EVENT_WOKEN)
        say_spins(text, size);
    else if (e->kind == EVENT_SAYS_IN_USE)
        snprintf(text, size, "c%u is %s, expected %s", (unsigned)e->c,
                 e->result != 0 ? "in use" : "not in use",
                 e->result != 0 ? "not in use" : "in use");
    else if (e->kind == EVENT_NOW)
        snprintf(text, size, "the loop time is %llu ms when the clock says %llu ms; expected: %s",
                 (unsigned long long)e->now_ms, (unsigned long long)(e->clock_ns / MS_NS), a->why);
    else if (e->kind == EVENT_END)
        say_end(text, size, a);
    else
        snprintf(text, size, "expected: %s", a->why);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* The first one counts. A SHOULD that is missed, or what the manual announces, does not end the
 * run, where it can go on: it may still fail. */
static void decide(enum verdict verdict, const char *clause, const char *kind, bool ends,
                   const char *what) {
    char failure[40];
    if (verdict == VERDICT_NOT_STRICT && observer.result->verdict != VERDICT_PASS && !ends)
        return;
    snprintf(failure, sizeof failure, "%s%s%s", clause, *kind != 0 ? "/" : "", kind);
    const char *why = verdict == VERDICT_NOT_STRICT ? documented(failure) : NULL;
    observer.result->verdict = verdict;
    snprintf(observer.result->clause, sizeof observer.result->clause, "%s", clause);
    snprintf(observer.result->kind, sizeof observer.result->kind, "%s", kind);
    snprintf(observer.result->message, sizeof observer.result->message, "%s%s%s", what,
             why != NULL ? "; documented: " : "", why != NULL ? why : "");
    kit_event(observer.result, world_real.clock(), ends ? 'e' : 's', -1, what);
    if (ends)
        end_run();
}

/* A call was accepted that was to be refused: what has become of what it names nobody knows. */
static bool leaves_nothing_to_go_on_with(const struct promise_answer *a, const struct event *e) {
    bool refused_run = a->verdict == PROMISE_TICK_2 || a->verdict == PROMISE_RUN_4;
    return (e->kind < EVENT_TICK && e->result >= 0) ||
           (e->kind == EVENT_END && (e->result > 0 || refused_run));
}

bool tell(struct event event) {
    char what[200];
    bool before = interpose_inside(false);
    event.has |= EVENT_HAS_CLOCK;
    event.clock_ns = world_real.clock();
    if (event.kind == EVENT_SLEEP)
        observer.sleep_ns = event.result;
    struct promise_answer a = promise_step(&observer.promise, &event);
    if (a.broken != NULL) {
        char failure[40];
        name_failure(failure, a.verdict);
        bool goes_on = a.should || kit_tolerates(failure);
        say(what, sizeof what, &a, &event);
        decide(goes_on                               ? VERDICT_NOT_STRICT
               : a.verdict == PROMISE_WAIT_2_FOREVER ? VERDICT_HANG
                                                     : VERDICT_FAIL,
               a.broken, a.kind, !goes_on || leaves_nothing_to_go_on_with(&a, &event), what);
    }
    observer.seen[0] = 0;
    (void)interpose_inside(before);
    return a.broken == NULL;
}

void observed(const char *clause, const char *format, ...) {
    char what[200];
    bool before = interpose_inside(false), excused = documented(clause) != NULL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    decide(excused ? VERDICT_NOT_STRICT : VERDICT_FAIL, clause, "", true, what);
    (void)interpose_inside(before);
}

void advised(const char *clause, const char *format, ...) {
    char what[200];
    bool before = interpose_inside(false);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    decide(VERDICT_NOT_STRICT, clause, "", false, what);
    (void)interpose_inside(before);
}

void untrue(unsigned c, enum promise_untrue how, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(observer.seen, sizeof observer.seen, format, arguments);
    va_end(arguments);
    (void)TELL(EVENT_UNTRUE, .c = c, .source = (uint8_t)how);
}

#else
typedef int nothing_here;
#endif
