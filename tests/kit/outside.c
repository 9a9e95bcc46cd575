/* SPDX-License-Identifier: MIT */
/* The judge from outside, for subjects whose inner order is their own business (no
 * ETALON_OFFERS_ROUNDS). It checks what any caller can see against the law: which callbacks come,
 * with which results and userdata, how often, not before their time and not too late, in which
 * order where the law gives one by itself; what calls return; how long the loop waits, and whether
 * it could know better.
 *
 * A completion is here only in use or not. Where the law lets a loop choose, or the subject has no
 * adding state, every lawful choice is accepted; so this judge never blames what the strict one
 * would allow. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../fuzz/world/kernel.h"
#include "../../model/promise.h"
#include "../../model/words.h"
#include "answers.h"
#include "../../fuzz/world/interpose.h"
#include "kit.h"

#define COUNT  PROGRAM_COMPLETIONS
#define BUFFER 4096
#define MS_NS  UINT64_C(1000000)
/* beyond the slack: a kernel that takes whole milliseconds, and rounds up */
#define LATE_NS MS_NS
/* A clock that stands still while it is read again and again would give timers one deadline that no
 * real clock gives one. A call of the subject may read it so often before it takes the time. */
#define READING_NS   1000
#define READINGS_MAX 64
#define COMMANDS_MAX 4000
#define IDLE_MAX     64 /* waits in a row that led to nothing */
#define TURNS_MAX    1000
/* waits in a row that only let time pass: a long wait in slices, or one for ever */
#define BARREN_MAX    1000
#define STARVED_MAX   100 /* callbacks of others while something is due */
#define LONG_DELAY_MS UINT64_C(2147483647)
#define POLLED        (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)
#define STREAMS       64
#define FILES         256
#define MOVED_AWAY    UINT64_MAX
#define ASYNC_WAIT    1000 /* the operation of a completion that waits on an async */

struct item {
    bool in_use, ever;
    bool told_moved;  /* the promise knows that its number names another file */
    uint32_t told;    /* what it was last told to be ready for */
    bool redescribed; /* the subject knows nothing of what it is described as now */
    /* so many waits have to begin before it is certain that it was started: rounds are not seen */
    unsigned starting;
    /* likewise, that it has carried a reset: until then the subject may say that it is in use */
    unsigned carrying;
    bool in_this_run; /* called by the run in progress */
    bool moved;       /* forgotten, since its last callback began */
    bool entered;     /* it was in use when the run in progress began */
    struct etalon_subject_description d;
    unsigned body;
    uint64_t serial;           /* order of submission */
    uint64_t earliest, latest; /* of a timer: between these its deadline lies, ns */
    uint64_t began;            /* the clock at its submission */
    int due_since;             /* callbacks called when it was first seen due; -1: not due */
    bool patient;              /* a thread of the subject's may still come to it */
    short ready;               /* what was ready when the last wait ended */
    uint64_t installed;        /* the file behind its descriptor */
    bool deleted;              /* … and not submitted again */
    bool quiet;                /* deleted, told to be dead, and its buffer was cleared since */
    bool target_pooled;        /* of a cancel: the target's work may have been with a thread */
    bool has_ended_it;         /* of a cancel: its target was called with -ECANCELED */
    /* a timer set again while it may have been adding keeps its place, or takes a new one */
    bool either_place;
    uint8_t into;
    uint64_t target_serial; /* of a cancel: the episode that it is about; 0: there was none */
    unsigned async;         /* that it waits on */
    struct sockaddr_storage address;
    socklen_t address_length;
    struct iovec iov[2];
    struct msghdr message;
};

static struct {
    const struct etalon_subject *subject;
    const struct program *program;
    struct kit_result *result;
    void *self;
    struct etalon_subject_host host;
    struct item item[COUNT];
    int8_t known[COUNT]; /* enum kit_state, of a subject that cannot be asked */
    bool busy;           /* init or deinit runs: the subject is not to be asked anything */
    struct async {
        bool open;
        bool owed; /* a notification has to end a wait yet */
        /* so many notifications may end a wait yet, if none was taken for several */
        unsigned credits;
    } async[ETALON_SUBJECT_ASYNCS];
    char buffer[COUNT][BUFFER];
    struct stream {
        uint64_t installed; /* 0: free */
        bool placed;        /* it is certain which byte is read next: */
        unsigned char next;
        uint64_t before,
            /* bytes that had come to the other end when the first was written, and have been
               written since */
            given;
    } stream[STREAMS];
    bool duplicated;              /* a file may have several numbers */
    uint64_t serial, time_min_ns; /* the loop time is not before this */
    unsigned commands, world_next, tokens, callbacks, idle_waits, barren_waits;
    int woken_twice_by; /* by the last two */
    /* the descriptor that has just ended a wait as the loop was woken, plus 1; 0: none, or
     * something came after it */
    int woken_by;
    unsigned run_callbacks; /* in the run in progress */
    int running;            /* the mode, or -1 */
    uint64_t asked;         /* callbacks that the run was asked for */
    bool stopped, wake_pending, in_callback, stopped_in_run;
    bool reported;           /* something, by the last wait */
    bool woken, interrupted; /* since the run in progress, or before, has begun */
    /* for so many runs to come something is over: deleted, or a descriptor's callback was called */
    int ended;
    uint64_t now_ms; /* as the subject has last said */
    bool at_an_end;  /* a broken clause leaves nothing to go on with */
    /* what the subject leaves undefined is left out of a program, instead of ending it */
    bool lenient;
    int fail_wait_at, fail_wait_error;
    uint64_t file[FILES]; /* what each number names, as the promise was told */
    bool observed;        /* a verdict of the observer's own */
    char seen[200];       /* what was seen, in words, when the promise is told of it; or empty */
    int64_t wait_ns, sleep_ns; /* what the last wait asks for, and how long it sleeps */
    int own;                   /* the loop's descriptor that has ended a wait last */
    uint32_t called_for;       /* the number that a callback was called for */
    unsigned grace;            /* what one judge has seen, the other may see a little later */
} o;

/* Which judge decides: this file's own rules, the promise (model/promise.h), or both, which have to
 * agree: ETALON_JUDGE=old, new, both. */
static enum { JUDGE_OLD, JUDGE_NEW, JUDGE_BOTH } judge;
static struct promise promise;

/* What each judge has found first. */
static struct found {
    bool hard, soft;
    char failure[40], message[200];
} old_judge, new_judge;

static void differ(void) {
    const char *log = getenv("ETALON_JUDGE_LOG");
    const char *before = old_judge.hard || old_judge.soft ? old_judge.failure : "pass";
    const char *now = new_judge.hard || new_judge.soft ? new_judge.failure : "pass";
    if (old_judge.hard == new_judge.hard && strcmp(before, now) == 0)
        return;
    const char *failure = strcmp(now, "pass") == 0 ? before : now;
    o.result->verdict = VERDICT_FAIL;
    snprintf(o.result->clause, sizeof o.result->clause, "%.*s", (int)strcspn(failure, "/"),
             failure);
    snprintf(o.result->kind, sizeof o.result->kind, "judges");
    snprintf(o.result->message, sizeof o.result->message,
             "the judges differ: old %s%s (%.90s), new %s%s (%.90s)", before,
             old_judge.hard ? "" : "~", old_judge.message, now, new_judge.hard ? "" : "~",
             new_judge.message);
    FILE *out = log != NULL ? fopen(log, "a") : NULL;
    if (out != NULL) {
        fprintf(out, "%s %s\n", o.subject->name, o.result->message);
        fclose(out);
    }
}

static void end_run(void) {
    (void)interpose_inside(false);
    o.result->callbacks = o.callbacks;
    if (judge == JUDGE_BOTH && o.result->verdict != VERDICT_NOT_OFFERED)
        differ();
    kit_end(o.result);
}

static void find(struct found *found, const char *failure, bool hard, const char *message) {
    if (found->hard || (found->soft && !hard))
        return;
    found->hard = hard;
    found->soft = !hard;
    snprintf(found->failure, sizeof found->failure, "%s", failure);
    snprintf(found->message, sizeof found->message, "%s", message);
    if (judge == JUDGE_BOTH && old_judge.hard && new_judge.hard)
        end_run();
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static void lacks(const char *what) {
    (void)interpose_inside(false);
    o.result->verdict = VERDICT_NOT_OFFERED;
    snprintf(o.result->message, sizeof o.result->message, "%s", what);
    end_run();
}

#define LACKS(what)                                                                                \
    do {                                                                                           \
        if (o.lenient)                                                                             \
            return;                                                                                \
        lacks(what);                                                                               \
    } while (0)

/* No documentation can make these good. */
static bool inexcusable(const char *clause) {
    static const char *const always[] = {"ET-DELETE-4", "ET-STATE-3",      "ET-CALL-2",
                                         "ET-EVENT-6",  "ET-REGISTER-5",   "ET-WAIT-3",
                                         "ET-TICK-3",   "ET-WAIT-2/spins", "ET-TICK-4/spins"};
    for (unsigned i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(clause, always[i]) == 0)
            return true;
    return false;
}

/* Every failure that this judge can find, by the clause and, where one clause can be broken in
 * several ways, by which. What a loop documents excuses one of them, not the clause. */
static const char *const failures[] = {
    "ET-STATE-2",
    "ET-STATE-3",
    "ET-ADD-1",
    "ET-ADD-1/stopped",
    "ET-ADD-1/zero",
    "ET-ADD-1/long",
    "ET-ADD-3",
    "ET-ADD-5",
    "ET-DELETE-1",
    "ET-DELETE-3",
    "ET-DELETE-4",
    "ET-TIMER-1",
    "ET-TIMER-1/stopped",
    "ET-TIMER-1/zero",
    "ET-TIMER-1/long",
    "ET-TIMER-4",
    "ET-RESET-3",
    "ET-RESET-3/stopped",
    "ET-RESET-3/zero",
    "ET-RESET-3/long",
    "ET-CANCEL-1",
    "ET-CANCEL-2",
    "ET-CANCEL-3",
    "ET-CANCEL-4",
    "ET-CALL-2",
    "ET-CALL-5",
    "ET-TIME-1",
    "ET-TIME-2",
    "ET-TIME-3",
    "ET-TICK-1/called",
    "ET-TICK-1/refused",
    "ET-TICK-2",
    "ET-TICK-3",
    "ET-TICK-4/spins",
    "ET-TICK-4/woken",
    "ET-TICK-4/slice",
    "ET-TICK-4/interrupted",
    "ET-TICK-4/ended",
    "ET-TICK-4/early",
    "ET-TICK-7",
    "ET-RUN-1",
    "ET-RUN-2/woken",
    "ET-RUN-2/slice",
    "ET-RUN-2/interrupted",
    "ET-RUN-2/ended",
    "ET-RUN-2/early",
    "ET-RUN-3",
    "ET-RUN-4",
    "ET-STOP-1",
    "ET-STOP-2",
    "ET-INIT-2",
    "ET-DEINIT-1",
    "ET-DEINIT-2",
    "ET-DEINIT-3",
    "ET-WAKE-1",
    "ET-WAKE-2",
    "ET-SUBMIT-2/waits",
    "ET-SUBMIT-2/result",
    "ET-SUBMIT-2/returns",
    "ET-EXPIRE-1/waits",
    "ET-EXPIRE-1/result",
    "ET-EXPIRE-1/returns",
    "ET-EXPIRE-2",
    "ET-EXPIRE-3",
    "ET-EXPIRE-4",
    "ET-REGISTER-1",
    "ET-REGISTER-5",
    "ET-WAIT-1/enough",
    "ET-WAIT-1/idle",
    "ET-WAIT-2/late",
    "ET-WAIT-2/forever",
    "ET-WAIT-2/spins",
    "ET-WAIT-3",
    "ET-WAIT-4",
    "ET-WAIT-5",
    "ET-EVENT-1",
    "ET-EVENT-1/returns",
    "ET-ASYNC-1",
    "ET-ASYNC-2",
    "ET-ASYNC-3",
    "ET-ASYNC-5",
    "ET-SUBMIT-8",
    "ET-CLOSE-1",
    "ET-CALL-4/round",
    "ET-CALL-4/starved",
    "ET-EVENT-4/result",
    "ET-EVENT-4/bits",
    "ET-EVENT-4/returns",
    "ET-EVENT-5",
    "ET-EVENT-6",
    "ET-OP-1",
    "ET-OP-1/error",
    "ET-OP-1/end",
    "ET-OP-1/bytes",
};

const char *outside_refuses(const char *failure) {
    static char text[240];
    size_t clause = strcspn(failure, "/"), used = 0;
    if (inexcusable(failure))
        return "which no documentation can excuse (RUNNER.md)";
    for (unsigned i = 0; i < sizeof failures / sizeof *failures; i++) {
        if (strcmp(failures[i], failure) == 0)
            return NULL;
        if (strncmp(failures[i], failure, clause) == 0 &&
            strchr("/", failures[i][clause]) != NULL && !inexcusable(failures[i]) &&
            used < sizeof text - 60)
            used += (size_t)snprintf(
                text + used, sizeof text - used, "%s '%s'",
                used == 0
                    ? "which is no failure in the table of RUNNER.md; of this clause there are"
                    : ",",
                failures[i]);
    }
    return used > 0
               ? text
               : "which is no failure in the table of RUNNER.md, nor is another one of this clause";
}

static const char *failure_of(const char *clause, const char *kind) {
    static char text[40];
    snprintf(text, sizeof text, "%s%s%s", clause, kind != NULL ? "/" : "",
             kind != NULL ? kind : "");
    return text;
}

static const char *documented(const char *failure) {
    const struct etalon_subject_difference *d = o.subject->differences;
    for (; d != NULL && d->clause != NULL; d++)
        if (strcmp(d->clause, failure) == 0 && !inexcusable(failure))
            return d->why;
    return NULL;
}

/* A difference that the subject documents does not end the run, where it can go on: it may still
 * fail. */
static void broken(enum verdict verdict, const char *failure, const char *format, ...) {
    char what[200];
    if (judge == JUDGE_NEW && !o.observed)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const char *why = documented(failure);
    if (why != NULL && o.result->verdict != VERDICT_PASS && !o.at_an_end)
        return;
    bool before = interpose_inside(false);
    o.result->verdict = why != NULL ? VERDICT_NOT_STRICT : verdict;
    size_t length = strcspn(failure, "/");
    snprintf(o.result->clause, sizeof o.result->clause, "%.*s", (int)length, failure);
    snprintf(o.result->kind, sizeof o.result->kind, "%s",
             failure[length] == '/' ? failure + length + 1 : "");
    snprintf(o.result->message, sizeof o.result->message, "%s%s%s", what,
             why != NULL ? "; documented: " : "", why != NULL ? why : "");
    bool ends = why == NULL || o.at_an_end;
    kit_event(o.result, world_real.clock(), ends ? 'e' : 's', -1, what);
    if (judge == JUDGE_BOTH)
        find(&old_judge, failure, why == NULL, what);
    if (ends && judge == JUDGE_BOTH && why == NULL && ++o.grace < 200)
        ends = false;
    if (ends)
        end_run();
    (void)interpose_inside(before);
}

#define FAIL_IF(condition, failure, ...)                                                           \
    do {                                                                                           \
        if (condition)                                                                             \
            broken(VERDICT_FAIL, failure, __VA_ARGS__);                                            \
    } while (0)

/* What the observer alone can judge, whoever judges the rest. */
#define OBSERVED_IF(condition, failure, ...)                                                       \
    do {                                                                                           \
        o.observed = true;                                                                         \
        if (judge == JUDGE_BOTH && (condition))                                                    \
            find(&new_judge, failure, true, "seen by the observer");                               \
        FAIL_IF(condition, failure, __VA_ARGS__);                                                  \
        o.observed = false;                                                                        \
    } while (0)

/* A SHOULD is missed: the run goes on, and may still fail. */
static void not_strict(const char *clause, const char *what) {
    if (judge == JUDGE_BOTH)
        find(&old_judge, clause, false, what);
    if (o.result->verdict != VERDICT_PASS || judge == JUDGE_NEW)
        return;
    o.result->verdict = VERDICT_NOT_STRICT;
    snprintf(o.result->clause, sizeof o.result->clause, "%s", clause);
    snprintf(o.result->message, sizeof o.result->message, "%s", what);
}

static void note(char kind, int c, const char *format, ...) {
    char line[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    kit_event(o.result, world_real.clock(), kind, c, line);
}

static bool offers(uint64_t what) {
    return (o.subject->offers & what) == what;
}

static bool tells_states(void) {
    return (o.subject->offers & (ETALON_OFFERS_STATE | ETALON_OFFERS_IN_USE)) != 0;
}

/* ---- what the promise is told ---------------------------------------------------------------- */

static struct promise_settings settings_of(const struct etalon_subject *subject) {
    struct promise_settings s = {.slack_ns = subject->slack_ms * MS_NS + READINGS_MAX * READING_NS,
                                 .stays_stopped = offers(ETALON_OFFERS_STOPPED),
                                 .keeps = offers(ETALON_OFFERS_ASYNC_KEPT),
                                 .tells = tells_states(),
                                 .no_pool = !offers(ETALON_OFFERS_POOL),
                                 .lingers = (subject->offers >> 33 & 0xff) != 0};
    for (unsigned v = 0; v < PROMISE_VERDICTS; v++)
        if (documented(failure_of(promise_laws[v].clause,
                                  *promise_laws[v].kind != 0 ? promise_laws[v].kind : NULL)) !=
            NULL)
            promise_excuse(&s, v);
    return s;
}

static void decide(const struct promise_answer *a, const char *failure, const char *what) {
    const char *why = documented(failure);
    if (a->should && o.result->verdict != VERDICT_PASS && !o.at_an_end)
        return;
    o.result->verdict = a->should                              ? VERDICT_NOT_STRICT
                        : a->verdict == PROMISE_WAIT_2_FOREVER ? VERDICT_HANG
                                                               : VERDICT_FAIL;
    snprintf(o.result->clause, sizeof o.result->clause, "%s", a->broken);
    snprintf(o.result->kind, sizeof o.result->kind, "%s", a->kind);
    snprintf(o.result->message, sizeof o.result->message, "%s%s%s", what,
             why != NULL ? "; documented: " : "", why != NULL ? why : "");
    bool ends = !a->should || o.at_an_end;
    kit_event(o.result, world_real.clock(), ends ? 'e' : 's', -1, what);
    if (ends)
        end_run();
}

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
    if (o.wait_ns >= 0)
        snprintf(asked, sizeof asked, "%lld ns", (long long)o.wait_ns);
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (fd >= 0 && world_real.descriptor(d) == fd)
            snprintf(handle, sizeof handle, " (d%u)", d);
    int used = snprintf(text, size, "%u waits in a row led to nothing: the loop spins; ",
                        PROMISE_WAITS_MAX + 1);
    if (!o.reported)
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
    const struct promise_completion *of = &promise.completion[a->c];
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
    const struct promise_completion *of = &promise.completion[a->c < COUNT ? a->c : 0];
    if (a->verdict == PROMISE_WAIT_2_LATE)
        snprintf(text, size, "the loop waits beyond the deadline of c%u, for %llu us too long",
                 (unsigned)a->c,
                 (unsigned long long)(world_real.clock() + (uint64_t)o.sleep_ns - of->latest_ns) /
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
    if (a->verdict == PROMISE_EXPIRE_4 || a->verdict == PROMISE_RESET_4)
        say_early(text, size, &promise.completion[a->c], (unsigned)a->c);
    else if (a->verdict == PROMISE_EVENT_6 || a->verdict == PROMISE_EVENT_4_BITS ||
             a->verdict == PROMISE_EVENT_4_RESULT)
        say_poll(text, size, a, e);
    else if (e->c >= COUNT)
        snprintf(text, size, "a callback was called for completion %u, which does not exist",
                 o.called_for);
    else if (a->c < COUNT && a->c != e->c)
        snprintf(text, size, "c%u is called with %s, and not c%u; expected: %s", (unsigned)e->c,
                 result, (unsigned)a->c, a->why);
    else
        snprintf(text, size, "c%u is called with %s; expected: %s", (unsigned)e->c, result, a->why);
}

/* What was seen, in words. */
static void say(char *text, size_t size, const struct promise_answer *a, const struct event *e) {
    if (o.seen[0] != 0)
        snprintf(text, size, "%s", o.seen);
    else if (a->verdict == PROMISE_WAKE_2)
        snprintf(text, size, "descriptor %d, the loop's own, ends a second wait after one wake-up",
                 o.own);
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
        snprintf(text, size, "the loop time is %llu ms; expected: %s",
                 (unsigned long long)e->now_ms, a->why);
    else if (e->kind == EVENT_END && a->c < COUNT)
        snprintf(text, size, "the run returns, but c%u has not ended; expected: %s", (unsigned)a->c,
                 a->why);
    else if (e->kind == EVENT_END)
        snprintf(text, size, "the run returns; expected: %s", a->why);
    else
        snprintf(text, size, "expected: %s", a->why);
}

static bool tell(struct event event) {
    char failure[40], what[200];
    if (judge == JUDGE_OLD)
        return true;
    bool before = interpose_inside(false);
    event.has |= EVENT_HAS_CLOCK;
    event.clock_ns = world_real.clock();
    if (event.kind == EVENT_SLEEP)
        o.sleep_ns = event.result;
    struct promise_answer a = promise_step(&promise, &event);
    if (a.broken != NULL) {
        snprintf(failure, sizeof failure, "%s%s%s", a.broken, *a.kind != 0 ? "/" : "", a.kind);
        say(what, sizeof what, &a, &event);
        if (judge == JUDGE_BOTH)
            find(&new_judge, failure, !a.should, what);
        else
            decide(&a, failure, what);
    }
    o.seen[0] = 0;
    (void)interpose_inside(before);
    return a.broken == NULL;
}

#define TELL(...) tell((struct event){.kind = __VA_ARGS__})

#define UNTRUE_IF(condition, c_, untrue, failure, ...)                                             \
    do {                                                                                           \
        if (condition) {                                                                           \
            snprintf(o.seen, sizeof o.seen, __VA_ARGS__);                                          \
            TELL(EVENT_UNTRUE, .c = (c_), .source = (untrue));                                     \
            broken(VERDICT_FAIL, failure, __VA_ARGS__);                                            \
        }                                                                                          \
    } while (0)

/* ---- what is due ----------------------------------------------------------------------------- */

/* The flags of accept and shutdown say nothing here. */
static unsigned traits(const struct item *i) {
    return operation_traits(i->d.operation, i->d.flags);
}

static bool waits_on(const struct item *i) {
    return (traits(i) & WAITS_AT_ALL) != 0;
}

static short awaited(const struct item *i) {
    return (short)traits_await(traits(i), i->d.events & POLLED);
}

/* What is ready on the descriptor of i now: of what it waits for, and what is always told. */
static short ready_now(const struct item *i) {
    struct pollfd p = {.fd = i->d.fd, .events = awaited(i)};
    struct timespec none = {0};
    if (!waits_on(i) || world_real.installed(i->d.fd) == 0 ||
        world_real.installed(i->d.fd) != i->installed)
        return 0;
    return syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0 ? (short)(p.revents & ~POLLNVAL) : 0;
}

/* From or to where the last ones have ended, which is what can be counted. */
static bool in_sequence(const struct item *i, unsigned trait) {
    return (traits(i) & trait) != 0 && (traits(i) & POSITIONED) == 0;
}

static bool takes_bytes(const struct item *i) {
    return in_sequence(i, TAKES_BYTES);
}

static bool gives_bytes(const struct item *i) {
    return in_sequence(i, GIVES_BYTES);
}

static bool is_addressed(const struct item *i) {
    return i->d.operation == ET_SENDMSG && i->message.msg_name != NULL;
}

/* The port that it is addressed to has no room. Linux calls a socket unwritable for that if it is
 * connected to the port, and no other (section 15 of the law, 7). */
static bool goes_to_a_full_port(const struct item *i) {
    struct pollfd p = {.events = POLLOUT};
    struct timespec none = {0};
    if (!is_addressed(i))
        return false;
    p.fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool full = p.fd >= 0 &&
                syscall(SYS_connect, p.fd, i->message.msg_name, i->message.msg_namelen) == 0 &&
                syscall(SYS_ppoll, &p, 1, &none, NULL, 8) == 0;
    (void)syscall(SYS_close, p.fd);
    return full;
}

/* A socket that is said to be readable, although nothing can be received, a listener that was shut
 * down, or a socket that is writable and cannot send to a full port: Linux answers the try with
 * EAGAIN, and what waits for it has to stay (ET-EVENT-3). */
static bool falsely_ready(const struct item *i) {
    if (goes_to_a_full_port(i))
        return true;
    struct pollfd p = {.fd = i->d.fd, .events = POLLIN | POLLRDHUP};
    struct timespec none = {0};
    int listens = 0;
    socklen_t length = sizeof listens;
    char byte;
    if (syscall(SYS_ppoll, &p, 1, &none, NULL, 8) <= 0)
        return false;
    if (i->d.operation == ET_ACCEPT) /* what does not listen refuses */
        return (p.revents & (POLLRDHUP | POLLHUP)) != 0 &&
               syscall(SYS_getsockopt, i->d.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) ==
                   0 &&
               listens != 0;
    return takes_bytes(i) && (p.revents & POLLIN) != 0 &&
           syscall(SYS_recvfrom, i->d.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) < 0 &&
           errno == EAGAIN;
}

/* The class of an operation that takes from a descriptor or gives to it; 0: none. */
static unsigned class(const struct item *i) {
    return i->d.operation != ET_CONNECT && !i->d.on_pool ? traits(i) & WAITS_CLASS : 0;
}

/* They are of one descriptor and class, and `before` is tried before i. */
static bool is_in_line_before(const struct item *before, const struct item *i) {
    return before->in_use && before->serial < i->serial && class(i) != 0 &&
           class(before) == class(i) && before->d.fd == i->d.fd;
}

/* A report is answered by one operation of each class, and the first is tried first (ET-EVENT-10,
 * ET-EVENT-11). */
static bool is_first_in_line(const struct item *i) {
    for (unsigned k = 0; k < COUNT; k++)
        if (is_in_line_before(&o.item[k], i) && !goes_to_a_full_port(&o.item[k]))
            return false;
    return true;
}

static bool is_stream(int fd) {
    int type = SOCK_STREAM; /* of what is no socket, too */
    socklen_t length = sizeof type;
    (void)syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length);
    return type == SOCK_STREAM;
}

/* What is known of the open file that i waits on. */
static struct stream *stream_of(const struct item *i) {
    unsigned k = 0;
    while (k < STREAMS && o.stream[k].installed != i->installed && o.stream[k].installed != 0)
        k++;
    if (k == STREAMS || i->installed == 0)
        return NULL;
    struct stream *stream = &o.stream[k];
    if (stream->installed == 0) {
        if (!real_world_received(i->d.fd, &stream->before))
            stream->before = UINT64_MAX;
        stream->placed = is_stream(i->d.fd) && !o.duplicated; /* nothing was read of it */
        stream->next = real_world_byte(0);
    }
    stream->installed = i->installed;
    return stream;
}

/* Whoever takes a read back may have bytes already: the place of the next is not known then. */
static void lose_place(void) {
    for (unsigned k = 0; k < STREAMS; k++)
        o.stream[k].placed = false;
}

static bool is_being_closed(int fd) {
    for (unsigned c = 0; c < COUNT; c++)
        if (o.item[c].in_use && o.item[c].d.operation == ET_CLOSE && o.item[c].d.fd == fd)
            return true;
    return false;
}

/* What waits is told of what its descriptor is ready for, when that has changed. settled: a thread
 * of the subject's, if there is one, has done what it can. */
static void tell_ready(bool settled) {
    for (int fd = 0; judge != JUDGE_OLD && fd < FILES; fd++) {
        uint64_t installed = world_real.installed(fd);
        if (is_being_closed(fd))
            continue; /* by the loop, whose callback tells it */
        if (o.file[fd] != 0 && o.file[fd] != installed)
            TELL(EVENT_MOVED, .fd = fd);
        o.file[fd] = installed != 0 || o.file[fd] == 0 ? installed : MOVED_AWAY;
    }
    bool threads = !settled && judge != JUDGE_OLD && interpose_other_threads();
    for (unsigned c = 0; judge != JUDGE_OLD && c < COUNT; c++) {
        struct item *i = &o.item[c];
        if (!i->in_use || !waits_on(i))
            continue;
        uint32_t ready = falsely_ready(i) ? 0 : (uint32_t)(unsigned short)ready_now(i);
        if (i->d.operation == ET_POLL && !offers(ETALON_OFFERS_POLL_MORE) &&
            (ready & (POLLHUP | POLLERR)) != 0)
            ready |= i->d.events;
        if (threads && i->d.operation != ET_POLL)
            ready = 0;
        if (ready != i->told)
            TELL(EVENT_READY, .c = c, .events = ready);
        i->told = ready;
    }
}

static bool is_due(const struct item *i) {
    if (!i->in_use)
        return false;
    if (i->d.operation == ET_TIMER)
        return i->latest <= world_real.clock();
    if (i->d.operation == ASYNC_WAIT)
        return o.async[i->async].owed;
    return i->d.operation == ET_NOOP ||
           (ready_now(i) != 0 && !falsely_ready(i) && is_first_in_line(i));
}

static bool anything_in_use(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (o.item[c].in_use)
            return true;
    return false;
}

static void look_for_starved(void) {
    for (unsigned c = 0; c < COUNT; c++) {
        struct item *i = &o.item[c];
        if (!is_due(i))
            i->due_since = -1;
        else if (i->due_since < 0)
            i->due_since = (int)o.callbacks, i->patient = true;
        bool by_a_thread = i->patient && i->d.operation != ET_TIMER && interpose_other_threads();
        if (i->due_since >= 0 && (int)o.callbacks - i->due_since > STARVED_MAX && by_a_thread) {
            /* what a thread of the subject's does takes real time, and the callbacks took none */
            interpose_grace();
            i->due_since = (int)o.callbacks;
            i->patient = false;
        }
        FAIL_IF(i->due_since >= 0 && (int)o.callbacks - i->due_since > STARVED_MAX,
                "ET-CALL-4/starved",
                "c%u is starved: %d callbacks of others were called while it was due", c,
                (int)o.callbacks - i->due_since);
    }
}

static void check_now(const char *when) {
    if (!offers(ETALON_OFFERS_NOW) || o.self == NULL)
        return;
    bool before = interpose_inside(true);
    uint64_t now = o.subject->now(o.self);
    (void)interpose_inside(before);
    TELL(EVENT_NOW, .now_ms = now);
    FAIL_IF(now < o.now_ms, "ET-TIME-3", "%s the loop time went back from %llu to %llu ms", when,
            (unsigned long long)o.now_ms, (unsigned long long)now);
    FAIL_IF(now > world_real.clock() / MS_NS, "ET-TIME-2",
            "%s the loop time is %llu ms, later than the clock (%llu ms)", when,
            (unsigned long long)now, (unsigned long long)(world_real.clock() / MS_NS));
    FAIL_IF(now < o.time_min_ns / MS_NS, "ET-TIME-1",
            "%s the loop time is %llu ms, but was due to be updated at %llu ms", when,
            (unsigned long long)now, (unsigned long long)(o.time_min_ns / MS_NS));
    o.now_ms = now;
}

/* What has no callback ends unseen, unless one can ask for it. */
static bool may_be_null(void) {
    return offers(ETALON_OFFERS_NULL_CALLBACK) && tells_states();
}

static int ask_state(unsigned c) {
    bool before = interpose_inside(true);
    int state = o.subject->state(o.self, c);
    (void)interpose_inside(before);
    return state;
}

/* For the events of the run: nothing is invented. A subject is not asked while it is made or
 * released. */
static void ask_states(int8_t *known) {
    for (unsigned c = 0; c < COUNT; c++) {
        if (!tells_states()) {
            known[c] = o.known[c];
        } else if (o.self != NULL && !o.busy) {
            int state = ask_state(c);
            bool used = state == ETALON_ACTIVE || state == ETALON_ADDING;
            if (!offers(ETALON_OFFERS_STATE))
                known[c] = used ? KIT_IN_USE : KIT_UNUSED;
            else
                known[c] = state >= 0 && state <= KIT_DELETING ? (int8_t)state : -1;
        }
    }
}

/* What has no callback ends unseen: the subject's word is taken for when, and it counts as called
 * (ET-TICK-5). */
static void settle_unseen(void) {
    for (unsigned c = 0; c < COUNT && tells_states() && o.self != NULL; c++) {
        struct item *i = &o.item[c];
        int state = i->in_use && !i->d.has_callback ? ask_state(c) : ETALON_ACTIVE;
        if (state == ETALON_ACTIVE || state == ETALON_ADDING)
            continue;
        i->in_use = false;
        if (takes_bytes(i))
            lose_place();
        o.run_callbacks++;
    }
}

/* The buffer of what was deleted and is dead belongs to the caller again. */
static void check_buffer(unsigned c, bool dead) {
    struct item *i = &o.item[c];
    if (!dead || !i->deleted || !takes_bytes(i) || i->d.on_pool)
        return;
    if (!i->quiet)
        memset(o.buffer[c], 0, BUFFER);
    i->quiet = true;
    for (unsigned k = 0; k < BUFFER; k++)
        UNTRUE_IF(o.buffer[c][k] != 0, c, PROMISE_UNTRUE_BUFFER, "ET-DELETE-4",
                  "the buffer of c%u is written to, which was deleted and is dead", c);
}

static void check_in_use(void) {
    if (!tells_states() || o.self == NULL)
        return;
    settle_unseen();
    for (unsigned c = 0; c < COUNT; c++) {
        int state = ask_state(c);
        bool used = state == ETALON_ACTIVE || state == ETALON_ADDING;
        TELL(EVENT_SAYS_IN_USE, .c = c, .result = used);
        if (o.item[c].carrying > 0)
            continue;
        FAIL_IF(used != o.item[c].in_use, "ET-STATE-2", "c%u is %s, expected %s", c,
                used ? "in use" : "not in use", o.item[c].in_use ? "in use" : "not in use");
        if (!used)
            check_buffer(c, state == ETALON_DEAD);
    }
}

/* ---- waiting (interpose.h) ------------------------------------------------------------------- */

static uint64_t clock_now(void) {
    return world_real.clock();
}

static void clock_is_read(void) {
    struct command moment = {.kind = COMMAND_ADVANCE, .value = READING_NS};
    world_real.command(&moment);
}

static void wait_must_be_lawful(bool sleeps) {
    uint64_t clock = world_real.clock();
    settle_unseen();
    FAIL_IF(sleeps && o.running == ET_RUN_NO_WAIT, "ET-RUN-1", "run(NO_WAIT) waits");
    FAIL_IF(sleeps && o.stopped_in_run, "ET-STOP-2", "the loop waits although it was stopped");
    FAIL_IF(sleeps && o.wake_pending, "ET-WAKE-1", "the loop waits although it was woken");
    FAIL_IF(sleeps && o.run_callbacks >= o.asked, "ET-WAIT-1/enough",
            "the loop waits although enough callbacks were called");
    for (unsigned c = 0; c < COUNT && sleeps; c++) {
        const struct item *i = &o.item[c];
        if (!i->in_use)
            continue;
        FAIL_IF(i->d.operation == ET_TIMER && i->latest <= clock, "ET-EXPIRE-1/waits",
                "the loop waits although the timer c%u has expired", c);
        FAIL_IF(i->d.operation == ET_NOOP, "ET-SUBMIT-2/waits",
                "the loop waits although c%u is a noop", c);
        FAIL_IF(i->d.operation == ASYNC_WAIT && o.async[i->async].owed, "ET-ASYNC-2",
                "the loop waits, and c%u with it, although d%u was notified", c, i->async);
        FAIL_IF(i->d.operation == ET_POLL && ready_now(i) != 0, "ET-REGISTER-1",
                "the loop waits although descriptor %d, on which c%u waits, is ready", i->d.fd, c);
        FAIL_IF(waits_on(i) && i->d.operation != ET_POLL && ready_now(i) != 0, "ET-EVENT-1",
                "the loop waits although descriptor %d, on which c%u waits, is ready", i->d.fd, c);
    }
    FAIL_IF(sleeps && !anything_in_use(), "ET-WAIT-1/idle",
            "the loop waits although nothing is active");
}

static bool timer_in_use(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (o.item[c].in_use && o.item[c].d.operation == ET_TIMER)
            return true;
    return false;
}

/* Also what is orphaned, and may be tried on the next file of its number (section 15, 12). */
static bool any_falsely_ready(void) {
    for (unsigned c = 0; c < COUNT; c++) {
        const struct item *i = &o.item[c];
        bool orphaned = waits_on(i) && world_real.installed(i->d.fd) != i->installed;
        if (i->in_use && (orphaned || ready_now(i) != 0) && falsely_ready(i))
            return true;
    }
    return false;
}

/* Which clause a loop that spins breaks: by what its waits were ended, or else by what they should
 * have asked for. */
static void spins(int64_t timeout_ns) {
    char asked[64], handle[32] = " (none of the program's)";
    uint32_t events;
    int fd = interpose_reported(&events);
    snprintf(asked, sizeof asked, timeout_ns < 0 ? "no limit" : "%lld ns", (long long)timeout_ns);
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (fd >= 0 && world_real.descriptor(d) == fd)
            snprintf(handle, sizeof handle, " (d%u)", d);
    if (o.reported && fd >= 0)
        broken(VERDICT_FAIL, "ET-REGISTER-5",
               "%u waits in a row led to nothing: the loop spins; descriptor %d%s is reported for "
               "%#x, the last wait "
               "asked for %s",
               o.idle_waits, fd, handle, events, asked);
    if (o.reported)
        broken(VERDICT_FAIL, "ET-REGISTER-5",
               "%u waits in a row led to nothing: the loop spins; what is reported has no "
               "descriptor any more, the "
               "last wait asked for %s",
               o.idle_waits, asked);
    bool done = o.stopped_in_run || o.run_callbacks >= o.asked || !anything_in_use();
    const char *failure = o.running == ET_RUN_NO_WAIT ? "ET-TICK-3"
                          : done                      ? "ET-TICK-4/spins"
                          : timer_in_use()            ? "ET-WAIT-3"
                                                      : "ET-WAIT-2/spins";
    broken(VERDICT_FAIL, failure,
           "%u waits in a row led to nothing: the loop spins; no descriptor is reported, the last "
           "wait asked for %s",
           o.idle_waits, asked);
}

static int wait_begins(int64_t timeout_ns) {
    /* no call of the kernel takes no time at all */
    struct command moment = {.kind = COMMAND_ADVANCE, .value = 1000};
    o.result->waits++;
    o.wait_ns = timeout_ns;
    TELL(EVENT_WAIT, .result = timeout_ns, .coarse = true);
    world_real.command(&moment);
    for (unsigned c = 0; c < COUNT; c++) {
        o.item[c].starting -= o.item[c].starting > 0;
        o.item[c].carrying -= o.item[c].carrying > 0;
    }
    if (timeout_ns < 0)
        note('w', -1, "wait without limit");
    else
        note('w', -1, "wait %lld ns", (long long)timeout_ns);
    if (++o.idle_waits > IDLE_MAX && any_falsely_ready()) {
        for (unsigned c = 0; c < COUNT; c++)
            FAIL_IF(class(&o.item[c]) != 0 && is_due(&o.item[c]), "ET-SUBMIT-8",
                    "%u waits in a row led to nothing, and c%u has not ended, which was ready and "
                    "stands behind one that cannot be served",
                    o.idle_waits, c);
        note('e', -1,
             "the kernel reports again and again what cannot be had: the program ends here");
        end_run();
    }
    if (o.idle_waits > IDLE_MAX)
        spins(timeout_ns);
    if (o.fail_wait_error != 0 && --o.fail_wait_at == 0) {
        int error = o.fail_wait_error;
        o.fail_wait_error = 0;
        o.interrupted = true;
        note('o', -1, "the wait fails: %s", errno_name(error));
        return error;
    }
    return 0;
}

static void run_command(const struct command *command);

static bool looks_unlawful(void) {
    bool due = o.wake_pending;
    for (unsigned c = 0; c < COUNT; c++)
        due = due || is_due(&o.item[c]) || (o.item[c].in_use && ready_now(&o.item[c]) != 0);
    return due;
}

static bool blocked(int64_t timeout_ns) {
    const struct program *p = o.program;
    (void)timeout_ns;
    settle_unseen();
    tell_ready(true);
    TELL(EVENT_SLEEP);
    wait_must_be_lawful(true);
    if (o.world_next >= p->count[PROGRAM_BODY_WORLD] || o.commands >= COMMANDS_MAX)
        return false;
    run_command(&p->command[p->first[PROGRAM_BODY_WORLD] + o.world_next++]);
    return true;
}

static void forever(void);

/* The clock moves by whole microseconds here: what a loop rounds away that counts in those is not
 * held against it. */
static uint64_t whole_us(uint64_t ns) {
    return ns > UINT64_MAX - 999 ? ns : (ns + 999) / 1000 * 1000;
}

static void advance(uint64_t clock_ns) {
    clock_ns = clock_ns < VIRTUAL_END ? clock_ns : VIRTUAL_END;
    for (unsigned c = 0; c < COUNT; c++) {
        const struct item *i = &o.item[c];
        bool late = i->in_use && i->d.operation == ET_TIMER && clock_ns > i->latest &&
                    clock_ns - i->latest > LATE_NS;
        FAIL_IF(late, "ET-WAIT-2/late",
                "the loop waits beyond the deadline of c%u, for %llu us too long", c,
                (unsigned long long)((clock_ns - i->latest) / 1000));
    }
    uint64_t now = world_real.clock();
    if (clock_ns < VIRTUAL_END)
        TELL(EVENT_SLEEP, .result = clock_ns > now ? (int64_t)(clock_ns - now) : 0);
    if (clock_ns == VIRTUAL_END) {
        note('e', -1, "no kernel's clock goes as far as the loop waits: the program ends here");
        end_run();
    }
    if (clock_ns > now) {
        struct command forward = {.kind = COMMAND_ADVANCE, .value = whole_us(clock_ns - now)};
        world_real.command(&forward);
        o.idle_waits = 0;
        if (++o.barren_waits <= BARREN_MAX)
            return;
        if (!timer_in_use())
            forever();
        not_strict("ET-WAIT-4", "waiting for one timer takes more than a thousand waits");
        end_run();
    }
}

static bool of_program(int fd) {
    return world_real.installed(fd) != 0;
}

/* One wake-up has ended two waits. A loop that it keeps awake for good spins, and is told so. */
static void check_woken_once(void) {
    FAIL_IF(o.woken_twice_by > 0, "ET-WAKE-2",
            "descriptor %d, the loop's own, ends a second wait after one wake-up",
            o.woken_twice_by - 1);
}

/* One descriptor alone has ended the wait, and it is the loop's own. */
static bool ended_by_its_own(int ready) {
    uint32_t events;
    int fd = interpose_reported(&events);
    bool own = ready == 1 && fd >= 0 && !of_program(fd) && !interpose_is_timer(fd) &&
               !interpose_other_threads();
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        own = own && !o.async[a].open;
    return own;
}

/* The descriptor by which a wake-up has ended a wait may end the next one, too, and nobody has
 * asked anything of the loop in between. */
static void look_for_second_wait(int ready) {
    uint32_t events;
    int fd = interpose_reported(&events);
    bool own = ended_by_its_own(ready);
    bool third = own && o.woken_twice_by == fd + 1,
         second = own && !o.wake_pending && o.woken_by == fd + 1;
    if (!third)
        check_woken_once();
    o.woken_twice_by = second ? fd + 1 : 0;
    o.woken_by = own && o.wake_pending ? fd + 1 : 0;
}

static void wait_ends(int ready) {
    uint32_t events;
    o.reported = ready > 0;
    tell_ready(true);
    bool own = ended_by_its_own(ready);
    uint32_t claimed = own ? (uint32_t)interpose_reported(&events) + 1 : 0;
    TELL(EVENT_WOKEN, .result = ready < 0 ? ready : 0, .events = ready > 0, .claimed = claimed);
    if (own)
        o.own = (int)claimed - 1;
    o.time_min_ns = world_real.clock();
    note('w', -1, "woken, %d ready, the clock stands at +%llu us", ready,
         (unsigned long long)((world_real.clock() - KIT_CLOCK_NS) / 1000));
    o.reported = ready > 0;
    look_for_second_wait(ready);
    if (ready >= 0) /* it did not sleep, or blocked() would have said so */
        o.wake_pending = false;
    if (ready > 0)
        o.barren_waits = 0;
    for (unsigned c = 0; c < COUNT; c++)
        o.item[c].ready = o.item[c].in_use ? ready_now(&o.item[c]) : 0;
}

static void forever(void) {
    bool reachable = false; /* else no clock can tell whether the wait would have ended */
    for (unsigned c = 0; c < COUNT; c++)
        reachable = reachable || (o.item[c].in_use && o.item[c].d.operation == ET_TIMER &&
                                  o.item[c].latest < VIRTUAL_END);
    TELL(EVENT_SLEEP, .result = -1);
    o.at_an_end = true;
    if (reachable)
        broken(VERDICT_HANG, "ET-WAIT-2/forever",
               "the loop waits for ever although a timer is active");
    note('e', -1, "the loop waits for what will never come, as it may: the program ends here");
    end_run();
}

static const struct interpose_hooks hooks = {clock_now,   clock_is_read,  advance,
                                             wait_begins, looks_unlawful, blocked,
                                             wait_ends,   forever,        of_program};

/* ---- callbacks ------------------------------------------------------------------------------- */

static enum etalon_subject_action run_body(unsigned body) {
    const struct program *p = o.program;
    if (body == 0) /* the empty callback of a loop that has no null ones; body 0 is main */
        return ETALON_DISARM;
    for (unsigned i = 0; i < p->count[body] && o.commands < COMMANDS_MAX; i++) {
        const struct command *command = &p->command[p->first[body] + i];
        if (command->kind == COMMAND_RETURN)
            return command->value == 1 ? ETALON_REARM : ETALON_DISARM;
        run_command(command);
    }
    return ETALON_DISARM;
}

static void check_timer(unsigned c) {
    const struct item *i = &o.item[c];
    uint64_t clock = world_real.clock();
    FAIL_IF(i->earliest >= VIRTUAL_END, "ET-EXPIRE-4",
            "the timer c%u, which was set to %llu ms, fires %llu us later: no clock goes as far as "
            "its deadline",
            c, (unsigned long long)i->d.delay_ms, (unsigned long long)((clock - i->began) / 1000));
    FAIL_IF(clock < i->earliest, "ET-EXPIRE-4", "the timer c%u fires %llu us before its deadline",
            c, (unsigned long long)((i->earliest - clock + 999) / 1000));
    for (unsigned k = 0; k < COUNT; k++) {
        const struct item *other = &o.item[k];
        if (k == c || !other->in_use || other->d.operation != ET_TIMER || !other->entered ||
            !i->entered)
            continue;
        FAIL_IF(other->latest < i->earliest && other->latest <= clock, "ET-EXPIRE-2",
                "c%u fires before c%u, which has an earlier deadline", c, k);
        bool tie = !i->either_place && !other->either_place && other->began == i->began &&
                   other->earliest == i->earliest && other->latest == i->latest;
        if (tie && other->serial < i->serial)
            not_strict("ET-EXPIRE-3", "a timer fires before another one with the same deadline, "
                                      "which was started before it");
    }
    bool alone = true;
    for (unsigned k = 0; k < COUNT; k++)
        alone = alone && (k == c || !o.item[k].in_use);
    if (alone && o.barren_waits > 2 && i->d.delay_ms < LONG_DELAY_MS)
        not_strict("ET-WAIT-4", "waiting for one timer alone took more than two waits");
}

/* It was closed behind the loop's back, and its number may name another file now; or it is not
 * open, or too high (ET-SUBMIT-5). */
static bool is_of_no_descriptor(const struct item *i, int64_t result) {
    uint64_t installed = world_real.installed(i->d.fd);
    return result < 0 && (installed != i->installed || (result == -EBADF && installed == 0) ||
                          (result == -EMFILE && i->d.fd >= (int)o.host.descriptors_max));
}

static void check_poll(unsigned c, int64_t result) {
    struct item *i = &o.item[c];
    uint32_t told = (uint32_t)result, asked = i->d.events | POLLERR | POLLHUP;
    short now = ready_now(i), any = (short)(i->ready | now);
    if (is_of_no_descriptor(i, result))
        return;
    if (result < 0 && result > -4096 && i->installed != 0 && error_has_a_cause(&i->d, (int)-result))
        return;
    if (result < 0) {
        snprintf(o.seen, sizeof o.seen, "the poll c%u ends with %lld, it asks for %#x", c,
                 (long long)result, i->d.events);
        TELL(EVENT_UNTRUE, .c = c, .source = PROMISE_UNTRUE_ERROR);
    }
    FAIL_IF(result <= 0 || (told & ~asked) != 0, "ET-EVENT-4/result",
            "the poll c%u ends with %lld, it asks for %#x", c, (long long)result, i->d.events);
    if (world_real.installed(i->d.fd) != i->installed)
        return; /* closed behind the loop's back */
    FAIL_IF(any == 0, "ET-EVENT-6", "the poll c%u ends with %#x, but its descriptor is not ready",
            c, told);
    bool vague = !offers(ETALON_OFFERS_POLL_MORE) && (any & (POLLHUP | POLLERR)) != 0;
    FAIL_IF(!vague && (told & ~(uint32_t)any) != 0, "ET-EVENT-4/bits",
            "the poll c%u ends with %#x, but %#x is ready", c, told, (unsigned)any);
    for (unsigned k = 0; k < COUNT; k++) {
        const struct item *other = &o.item[k];
        bool same =
            k != c && other->in_use && other->d.operation == ET_POLL && other->d.fd == i->d.fd;
        FAIL_IF(same && other->serial < i->serial && other->ready != 0 && i->ready != 0,
                "ET-EVENT-5",
                "the poll c%u ends before c%u of the same descriptor, which was started before it",
                c, k);
    }
}

static unsigned char after(unsigned char byte) {
    return byte == real_world_byte(126) ? real_world_byte(0) : (unsigned char)(byte + 1);
}

static size_t room_of(const struct item *i) {
    return i->d.operation == ET_RECVMSG ? i->iov[0].iov_len + i->iov[1].iov_len : i->d.length;
}

/* The bytes are those that the other end has sent next, as far as that is certain. */
static void check_taken(unsigned c, int64_t result) {
    struct item *i = &o.item[c];
    struct stream *stream = stream_of(i);
    const unsigned char *bytes = (const unsigned char *)o.buffer[c];
    UNTRUE_IF(result == 0 && i->d.length > 0 && i->d.operation != ET_RECVMSG &&
                  !can_be_at_its_end(i->d.fd),
              c, PROMISE_UNTRUE_END, "ET-OP-1/end",
              "c%u ends with 0, the end of a stream, but its descriptor %d is at no end", c,
              i->d.fd);
    if (result <= 0 || !real_world_letters(i->d.fd) || stream == NULL || room_of(i) == 0)
        return;
    if ((i->d.flags & (MSG_OOB | MSG_ERRQUEUE)) != 0) { /* what that takes follows no place */
        stream->placed = false;
        return;
    }
    if ((i->d.flags & MSG_TRUNC) != 0 && result > (int64_t)room_of(i))
        result = (int64_t)room_of(i); /* told was the length of the whole datagram */
    for (int64_t k = 0; k < result && k < BUFFER; k++) {
        bool follows = k > 0 ? bytes[k] == after(bytes[k - 1])
                             : bytes[0] >= real_world_byte(0) && bytes[0] <= real_world_byte(126);
        UNTRUE_IF(
            !follows, c, PROMISE_UNTRUE_BYTES, "ET-OP-1/bytes",
            "c%u ends with %lld bytes, but byte %lld in its buffer (%#x) is not what was sent", c,
            (long long)result, (long long)k, bytes[k]);
    }
    UNTRUE_IF(stream->placed && bytes[0] != stream->next, c, PROMISE_UNTRUE_BYTES, "ET-OP-1/bytes",
              "c%u ends with %lld bytes, but others were to come before", c, (long long)result);
    if ((i->d.flags & MSG_PEEK) != 0)
        return;
    stream->placed = is_stream(i->d.fd) && !o.duplicated;
    stream->next = after(bytes[result - 1]);
}

/* What is written is in the pipe or socket, where the other end finds it. */
static void check_given(unsigned c, int64_t result) {
    const struct item *i = &o.item[c];
    struct stream *stream = stream_of(i);
    uint64_t received;
    UNTRUE_IF(result == 0 && i->d.length > 0, c, PROMISE_UNTRUE_BYTES, "ET-OP-1/bytes",
              "c%u ends with 0 bytes of %zu", c, i->d.length);
    if (result <= 0 || stream == NULL || stream->before == UINT64_MAX ||
        !real_world_received(i->d.fd, &received))
        return;
    stream->given += (uint64_t)result;
    UNTRUE_IF(
        received - stream->before < stream->given, c, PROMISE_UNTRUE_BYTES, "ET-OP-1/bytes",
        "c%u ends with %lld bytes, but %llu less than were written have come to the other end", c,
        (long long)result, (unsigned long long)(stream->given - (received - stream->before)));
}

/* It has taken bytes of the file that its number names now: which are the next, is not known. */
static void took_anothers(const struct item *i) {
    struct item now = *i;
    now.installed = world_real.installed(i->d.fd);
    (void)stream_of(&now);
    lose_place();
}

/* Of what an operation other than a poll tells. */
static void check_operation(unsigned c, int64_t result) {
    const struct item *i = &o.item[c];
    bool same = i->installed != 0 && world_real.installed(i->d.fd) == i->installed;
    bool bytes = i->d.operation >= ET_READ && i->d.operation <= ET_RECV;
    bool truncated = (i->d.flags & MSG_TRUNC) != 0 && !is_stream(i->d.fd);
    UNTRUE_IF(bytes && !truncated && result > (int64_t)i->d.length, c, PROMISE_UNTRUE_LENGTH,
              "ET-OP-1", "c%u ends with %lld bytes of %zu", c, (long long)result, i->d.length);
    if (!same) {
        UNTRUE_IF(result < 0 && !is_of_no_descriptor(i, result), c, PROMISE_UNTRUE_ERROR,
                  "ET-OP-1/error", "c%u ends with %s, but its descriptor is not open", c,
                  kit_result_name(result));
        if (result > 0)
            took_anothers(i);
        return; /* closed behind the loop's back */
    }
    UNTRUE_IF(result < 0 && (result < -4095 || !error_has_a_cause(&i->d, (int)-result)), c,
              PROMISE_UNTRUE_ERROR, "ET-OP-1/error",
              "c%u ends with %s, which has no cause: what Linux has to answer on its descriptor %d "
              "is another thing",
              c, kit_result_name(result), i->d.fd);
    UNTRUE_IF(result == 0 && !is_brought_about(&i->d), c, PROMISE_UNTRUE_END, "ET-OP-1/end",
              "c%u ends with 0, but what it is for has not happened", c);
    if (takes_bytes(i))
        check_taken(c, result);
    if (gives_bytes(i))
        check_given(c, result);
}

static void check_cancel(unsigned c, int64_t result) {
    struct item *i = &o.item[c], *target = &o.item[i->d.target % COUNT];
    bool same = target->in_use && target->serial == i->target_serial;
    FAIL_IF(result != 0 && result != -ENOENT && result != -EALREADY, "ET-CANCEL-4",
            "the cancel c%u ends with %s", c, kit_result_name(result));
    FAIL_IF(result == 0 && !i->has_ended_it && (target->d.has_callback || !may_be_null()),
            "ET-CANCEL-4",
            "the cancel c%u ends with 0, but its target has not been called with -ECANCELED", c);
    for (unsigned k = 0; k < COUNT && result == 0; k++)
        if (o.item[k].d.target == i->d.target)
            o.item[k].has_ended_it = false;
    FAIL_IF(result == -EALREADY && !same && !i->target_pooled, "ET-CANCEL-4",
            "the cancel c%u ends with -EALREADY, but its target is not in use", c);
    FAIL_IF(result == -ENOENT && same, "ET-CANCEL-4",
            "the cancel c%u ends with -ENOENT, but its target is in use", c);
}

static bool cancelled(unsigned c, int64_t result) {
    if (result != -ECANCELED)
        return false;
    bool by_one = false;
    for (unsigned k = 0; k < COUNT; k++) /* which of several it was, its own callback tells */
        if (o.item[k].in_use && o.item[k].d.operation == ET_CANCEL && o.item[k].d.target == c)
            by_one = o.item[k].has_ended_it = true;
    if (by_one)
        return true;
    for (unsigned k = 0; k < COUNT; k++) /* ET-CLOSE-1 */
        if (o.item[k].in_use && o.item[k].d.operation == ET_CLOSE &&
            o.item[k].d.fd == o.item[c].d.fd)
            return true;
    return false;
}

/* Operations of one descriptor and class are tried in the order of starting (ET-EVENT-10,
 * ET-SUBMIT-8). The try of one that is addressed may have been unanswered. */
static void check_turn(unsigned c) {
    const struct item *i = &o.item[c];
    for (unsigned k = 0; k < COUNT; k++) {
        const struct item *other = &o.item[k];
        FAIL_IF(is_in_line_before(other, i) && other->installed == i->installed &&
                    !is_addressed(other),
                "ET-SUBMIT-8",
                "c%u is served before c%u, which waits on the same descriptor and was started "
                "before it",
                c, k);
    }
}

static void check_close(unsigned c, int64_t result) {
    for (unsigned k = 0; k < COUNT; k++) {
        const struct item *other = &o.item[k];
        FAIL_IF(other->in_use && waits_on(other) && other->d.fd == o.item[c].d.fd &&
                    other->serial < o.item[c].serial && !other->d.on_pool,
                "ET-CLOSE-1", "c%u closes descriptor %d, on which c%u still waits", c, other->d.fd,
                k);
    }
    const struct item *i = &o.item[c];
    bool open = i->installed != 0 && world_real.installed(i->d.fd) == i->installed &&
                syscall(SYS_fcntl, i->d.fd, 1 /* F_GETFD */, 0) >= 0;
    UNTRUE_IF(result > 0 || (result < 0 && i->installed != 0 && (open || result != -EBADF)), c,
              PROMISE_UNTRUE_ERROR, "ET-OP-1/error", "the close c%u ends with %s", c,
              kit_result_name(result));
    UNTRUE_IF(result == 0 && open && !interpose_other_threads(), c, PROMISE_UNTRUE_END,
              "ET-OP-1/end", "the close c%u ends with 0, but descriptor %d is open", c, i->d.fd);
}

/* Notifications may be taken together, and at any time before the callback: so this one may stand
 * for all that came before it. */
static void check_wait(unsigned c, int64_t result) {
    struct async *async = &o.async[o.item[c].async];
    FAIL_IF(result != sizeof(uint64_t) && result != 0, "ET-ASYNC-1", "the wait c%u ends with %s", c,
            kit_result_name(result));
    FAIL_IF(async->credits == 0, "ET-ASYNC-3",
            "the wait c%u ends, but no notification has come that did not end one", c);
    async->credits--;
    async->owed = false;
}

static void check_result(unsigned c, int64_t result) {
    const struct item *i = &o.item[c];
    if (cancelled(c, result)) {
        lose_place();
        return;
    }
    if (result >= 0)
        check_turn(c);
    switch (i->d.operation) {
    case ET_TIMER:
        FAIL_IF(result != 0, "ET-EXPIRE-1/result", "the timer c%u ends with %s", c,
                kit_result_name(result));
        check_timer(c);
        break;
    case ET_POLL: check_poll(c, result); break;
    case ET_NOOP:
        FAIL_IF(result != 0, "ET-SUBMIT-2/result", "the noop c%u ends with %s", c,
                kit_result_name(result));
        break;
    case ET_CANCEL: check_cancel(c, result); break;
    case ASYNC_WAIT: check_wait(c, result); break;
    case ET_CLOSE: check_close(c, result); break;
    case ET_ACCEPT:
        UNTRUE_IF(result >= 0 && syscall(SYS_fcntl, (int)result, 1 /* F_GETFD */, 0) < 0, c,
                  PROMISE_UNTRUE_END, "ET-OP-1/end",
                  "the accept c%u ends with descriptor %lld, which is not open", c,
                  (long long)result);
        check_operation(c, result);
        if (result >= 0)
            world_real.adopt(i->into, (int)result);
        break;
    default: check_operation(c, result);
    }
}

static void check_place(uint32_t c, int64_t result, uint32_t userdata) {
    FAIL_IF(c >= COUNT, "ET-CALL-2",
            "a callback was called for completion %u, which does not exist", c);
    const struct item *i = &o.item[c];
    FAIL_IF(o.running < 0, "ET-CALL-5", "the callback of c%u is called outside of run", c);
    FAIL_IF(!i->ever, "ET-STATE-3", "the callback of c%u is called, which was never submitted", c);
    FAIL_IF(!i->in_use && i->deleted, "ET-DELETE-4",
            "the callback of c%u is called after its deletion", c);
    FAIL_IF(!i->in_use, "ET-STATE-3", "the callback of c%u is called a second time in one episode",
            c);
    FAIL_IF(userdata != i->d.userdata && o.subject->offers != 0, "ET-CALL-2",
            "the callback of c%u is called with another userdata than was last set", c);
    (void)result;
}

static void starting(unsigned c);
static const char *undefined_wait(unsigned c);

/* It is not open, or a file, for which epoll has no use. */
static bool takes_no_wait(const struct item *i) {
    struct stat status;
    return world_real.installed(i->d.fd) == 0 || fstat(i->d.fd, &status) != 0 ||
           S_ISREG(status.st_mode);
}

/* A call that submits c as it is described. */
static struct event event_of(unsigned c, enum event_kind kind, int64_t result) {
    const struct item *i = &o.item[c];
    bool waits = i->d.operation == ASYNC_WAIT;
    return (struct event){
        .kind = waits && kind == EVENT_ADD ? EVENT_ASYNC_WAIT : kind,
        .has = EVENT_HAS_DESCRIPTION,
        .operation = waits                            ? ET_READ
                     : i->d.operation < ET_OPERATIONS ? (uint8_t)i->d.operation
                                                      : ET_OPERATIONS,
        .async = waits,
        .pool = i->d.on_pool,
        .flags = i->d.operation == ET_ACCEPT || i->d.operation == ET_SHUTDOWN ? 0 : i->d.flags,
        .addressed = is_addressed(i),
        .forgiven = kind != EVENT_RETURNED && waits_on(i) && takes_no_wait(i),
        .has_callback = i->d.has_callback,
        .fd = !waits                   ? i->d.fd
              : o.async[i->async].open ? (int)i->async
                                       : -1,
        .events = i->d.operation == ET_POLL ? i->d.events : 0,
        .userdata = i->d.userdata,
        .c = kind == EVENT_CANCEL ? i->d.target : c,
        .by = kind == EVENT_CANCEL ? c : EVENT_NOBODY,
        .target = i->d.target < COUNT ? i->d.target : EVENT_NOBODY,
        .delay_ms = i->d.delay_ms,
        .result = result};
}

/* What cannot be added (ET-ADD-5, -6): 0 or a negative errno. */
static int refusal(unsigned c) {
    const struct etalon_subject_description *d = &o.item[c].d;
    bool poolable = (operation_traits(d->operation, 0) & POOLABLE) != 0;
    bool no_async = d->operation == ASYNC_WAIT && !o.async[o.item[c].async].open;
    bool unknown =
        (d->operation >= ET_OPERATIONS && d->operation != ASYNC_WAIT) || no_async ||
        (d->on_pool && !poolable) ||
        (d->operation == ET_CANCEL && (d->target >= COUNT || d->target == c)) ||
        (d->operation == ET_POLL && (d->events & ~(uint32_t)(POLLED | POLLERR | POLLHUP)) != 0);
    return unknown ? -EINVAL : d->on_pool && !offers(ETALON_OFFERS_POOL) ? -EOPNOTSUPP : 0;
}

/* By the return of its callback, which was called with this result. */
static void rearm(unsigned c, int64_t result) {
    struct item *i = &o.item[c];
    uint64_t installed = i->installed;
    bool relies = waits_on(i) && result >= 0 && !i->redescribed; /* ET-REGISTER-6 */
    struct event e = event_of(c, EVENT_RETURNED, 0);
    starting(c);
    if (relies)
        i->installed = installed;
    note('s', (int)c, "c%u is rearmed", c);
    e.rearm = true;
    e.forgiven = relies && installed != world_real.installed(i->d.fd);
    (void)tell(e);
    tell_ready(false);
}

static enum etalon_subject_action called(uint32_t c, int64_t result, uint32_t userdata) {
    bool before = interpose_inside(false);
    settle_unseen();
    if (c < COUNT)
        o.known[c] = KIT_CALLED;
    note('b', c < COUNT ? (int)c : -1, "callback c%u %s", c, kit_result_name(result));
    check_woken_once();
    tell_ready(false);
    o.called_for = c;
    bool own = result == -ECANCELED && c < COUNT && waits_on(&o.item[c]) &&
               error_has_a_cause(&o.item[c].d, ECANCELED);
    TELL(EVENT_CALLBACK, .c = c < COUNT ? c : EVENT_NOBODY, .result = result, .userdata = userdata,
         .forgiven = own);
    check_place(c, result, userdata);
    if (c >= COUNT)
        end_run();
    struct item *i = &o.item[c];
    check_result(c, result);
    FAIL_IF(o.running == ET_RUN_NO_WAIT && i->in_this_run && result != -ECANCELED,
            "ET-CALL-4/round",
            "c%u, which was submitted again, is called a second time by one run(NO_WAIT)", c);
    i->in_this_run = true;
    i->in_use = i->moved = false;
    i->due_since = -1;
    if (waits_on(i))
        o.ended = 2;
    o.callbacks++;
    o.run_callbacks++;
    o.woken_by = 0;
    o.idle_waits = 0;
    o.barren_waits = 0;
    look_for_starved();
    check_now("in a callback");
    check_in_use();
    if (o.callbacks >= KIT_CALLBACKS_MAX) {
        note('e', -1, "%u callbacks: the program ends here", o.callbacks);
        end_run();
    }
    bool outer = o.in_callback;
    uint64_t serial = i->serial;
    o.in_callback = true;
    enum etalon_subject_action action = run_body(i->body);
    o.in_callback = outer;
    if (i->moved) /* whoever frees a completion does not rearm it */
        action = ETALON_DISARM;
    bool otherwise =
        /* described anew, or used anew and deleted */
        i->redescribed || (i->serial != serial && !i->in_use);
    if (action == ETALON_REARM && otherwise && !offers(ETALON_OFFERS_READD)) {
        if (!o.lenient)
            lacks("needs a description that changes before a rearm (readd)");
        action = ETALON_DISARM;
    }
    if (action == ETALON_REARM && !i->in_use && undefined_wait(c) != NULL) {
        if (!o.lenient)
            lacks(undefined_wait(c));
        action = ETALON_DISARM;
    }
    if (action == ETALON_REARM && !i->in_use && i->carrying == 0 && refusal(c) == 0)
        rearm(c, result);
    else
        TELL(EVENT_RETURNED, .c = c);
    (void)interpose_inside(before);
    return action == ETALON_REARM ? ETALON_REARM : ETALON_DISARM;
}

/* ---- commands -------------------------------------------------------------------------------- */

static uint64_t later(uint64_t ns, uint64_t delay_ms) {
    return delay_ms > (VIRTUAL_NEVER - ns) / MS_NS ? VIRTUAL_NEVER : ns + delay_ms * MS_NS;
}

/* A timer's deadline: the loop time at the call plus the delay. The loop time lies between what the
 * clock showed when it last had to be updated, to the nanosecond, and what it shows now; of a delay
 * of 0 it counts in whole milliseconds. The timer is due when the slack has passed as well. */
static void deadline(struct item *i) {
    uint64_t counts_ns = i->d.delay_ms > 0 ? 1 : MS_NS;
    i->began = world_real.clock();
    /* a wait that does not sleep takes a moment, and the loop may have read the clock before it */
    uint64_t least_ns = o.time_min_ns - 2 * READING_NS;
    i->earliest = later(least_ns / counts_ns * counts_ns, i->d.delay_ms);
    i->latest =
        later(i->began + READINGS_MAX * READING_NS + o.subject->slack_ms * MS_NS, i->d.delay_ms);
}

/* What is submitted in a run may have missed the submissions of this round; its wait is then one
 * too early. */
static unsigned rounds_to_go(void) {
    return o.running >= 0 ? 2 : 1;
}

static void starting(unsigned c) {
    struct item *i = &o.item[c];
    i->in_use = i->ever = true;
    o.known[c] = KIT_SUBMITTED;
    i->entered = i->redescribed = false;
    i->starting = rounds_to_go();
    i->serial = ++o.serial;
    i->due_since = -1;
    i->ready = 0;
    i->deleted = i->has_ended_it = i->either_place = false;
    i->told = 0;
    i->quiet = false;
    i->installed = i->d.fd >= 0 ? world_real.installed(i->d.fd) : 0;
    if (takes_bytes(i) || gives_bytes(i))
        (void)stream_of(i);
    if (takes_bytes(i))
        memset(o.buffer[c], 0, BUFFER);
    i->target_serial = 0;
    i->target_pooled =
        i->d.operation == ET_CANCEL && i->d.target < COUNT && o.item[i->d.target].d.on_pool;
    if (i->d.operation == ET_CANCEL && i->d.target < COUNT && o.item[i->d.target].in_use)
        i->target_serial = o.item[i->d.target].serial;
    deadline(i);
}

/* False when it is not as expected, but documented. What was refused has not happened then, and the
 * run goes on without it. */
static bool expect(const struct command *command, const char *failure, struct event event,
                   int wanted, int also) {
    int result = (int)event.result;
    char text[96] = "", line[160];
    FILE *out = fmemopen(text, sizeof text, "w");
    if (out != NULL) {
        command_write(out, command);
        fclose(out);
    }
    snprintf(line, sizeof line, "%.80s = %s", text, kit_result_name(result));
    bool run = command->kind == COMMAND_TICK || command->kind == COMMAND_RUN ||
               command->kind == COMMAND_DEINIT || command->kind >= COMMAND_FIRST_OF_WORLD;
    kit_event(o.result, world_real.clock(), 'c', run ? -1 : command->c, line);
    bool good = result == wanted || result == also;
    o.at_an_end = !good && (wanted != 0 || result > 0);
    if (!good)
        snprintf(o.seen, sizeof o.seen, "'%.60s' returned %s, expected %s%s", text,
                 strchr(line, '=') + 2, kit_result_name(wanted),
                 strcmp(failure, "ET-WAIT-5") == 0 ? ": its wait was interrupted (EINTR)" : "");
    (void)tell(event);
    if (good)
        return true;
    char name[32];
    snprintf(name, sizeof name, "%s", kit_result_name(result));
    broken(VERDICT_FAIL, failure, "'%.60s' returned %s, expected %s%s", text, name,
           kit_result_name(wanted),
           strcmp(failure, "ET-WAIT-5") == 0 ? ": its wait was interrupted (EINTR)" : "");
    return false;
}

/* What a completion was before a call that a documented refusal may undo. */
struct before {
    unsigned c;
    struct item item;
    int8_t known;
};

static struct before remember(unsigned c) {
    return (struct before){c, o.item[c], o.known[c]};
}

static void undo(const struct before *before) {
    o.item[before->c] = before->item;
    o.known[before->c] = before->known;
}

#define SUBJECT(call)                                                                              \
    bool before_call = interpose_inside(true);                                                     \
    int answer = (call);                                                                           \
    (void)interpose_inside(before_call)

/* Why a subject may have refused what the law lets one do. */
static const char *refused(const char *clause, uint64_t delay_ms) {
    return failure_of(clause, o.stopped                  ? "stopped"
                              : delay_ms == 0            ? "zero"
                              : delay_ms > LONG_DELAY_MS ? "long"
                                                         : NULL);
}

static uint32_t new_token(unsigned body) {
    return (++o.tokens & 0xfffffff) << 3 | body;
}

static int descriptor(unsigned d) {
    return d < PROGRAM_HANDLES ? world_real.descriptor(d) : d == PROGRAM_HANDLES ? -1 : 1000;
}

/* Of a cancel: the completion, or a null pointer. */
static uint32_t target_of(const struct command *command) {
    return command->other < COUNT ? command->other : ETALON_NOBODY;
}

static void describe_parameters(struct item *i, const struct command *command) {
    struct etalon_subject_description *d = &i->d;
    size_t length = command->value < BUFFER ? (size_t)command->value : BUFFER;
    switch (command->operation) {
    case ET_CANCEL: d->target = target_of(command); break;
    case ET_POLL: d->events = (uint32_t)command->value; break;
    case ET_SHUTDOWN: d->flags = (int)command->value; break;
    case ET_TIMER: d->delay_ms = command->value; break;
    case ET_CONNECT: {
        unsigned size;
        const void *address = world_real.address(command->other, &size);
        memcpy(&i->address, address, size);
        i->address_length = size;
        d->address = (struct sockaddr *)&i->address;
        d->address_length = &i->address_length;
        break;
    }
    case ET_ACCEPT:
        i->into = command->other;
        i->address_length = sizeof i->address;
        d->address = (struct sockaddr *)&i->address;
        d->address_length = &i->address_length;
        d->flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
        break;
    case ET_SENDMSG:
    case ET_RECVMSG:
        d->flags = command->flags;
        i->iov[0] = (struct iovec){o.buffer[command->c], length / 2};
        i->iov[1] = (struct iovec){o.buffer[command->c] + length / 2, length - length / 2};
        i->message = (struct msghdr){.msg_iov = i->iov, .msg_iovlen = 2};
        d->message = &i->message;
        if (command->to != 0) {
            unsigned size;
            const void *address = world_real.port(command->to - 1U, &size);
            memcpy(&i->address, address, size);
            i->message.msg_name = &i->address;
            i->message.msg_namelen = size;
        }
        break;
    case ET_WRITE:
    case ET_PWRITE:
    case ET_SEND:
        memset(o.buffer[command->c], 0, sizeof(uint64_t)); /* as an eventfd reads it: 1 */
        o.buffer[command->c][0] = 1;                       /* fall through */
    default:
        d->flags = command->flags;
        d->buffer = o.buffer[command->c];
        d->length = length;
    }
}

static void describe(const struct command *command) {
    struct item *i = &o.item[command->c];
    i->body = command->body;
    i->d = (struct etalon_subject_description){.operation = command->operation,
                                               .fd = command->operation == ET_NOOP ||
                                                             command->operation == ET_TIMER ||
                                                             command->operation == ET_CANCEL
                                                         ? -1
                                                         : descriptor(command->d),
                                               .target = ETALON_NOBODY,
                                               .userdata = new_token(command->body),
                                               .has_callback = command->body != 0 || !may_be_null(),
                                               .on_pool = command->pool};
    describe_parameters(i, command);
}

static int waiter(unsigned async) {
    for (unsigned c = 0; c < COUNT; c++)
        if (o.item[c].in_use && o.item[c].d.operation == ASYNC_WAIT && o.item[c].async == async)
            return (int)c;
    return -1;
}

/* Of a wait that is about to begin, by c, which is not in use. */
static const char *undefined_wait(unsigned c) {
    const struct item *i = &o.item[c];
    if (i->d.operation != ASYNC_WAIT)
        return NULL;
    if (waiter(i->async) >= 0)
        return "needs several completions that wait on one async (rounds)";
    if (!o.async[i->async].open && !offers(ETALON_OFFERS_CHECKED))
        return "needs misuse to be refused: a wait on no async (checked)";
    return NULL;
}

/* What cannot be asked of a subject that leaves it undefined. */
static const char *undefined_submission(unsigned c) {
    const struct item *i = &o.item[c];
    if (i->d.operation == ASYNC_WAIT)
        return undefined_wait(c);
    for (unsigned k = 0; k < COUNT && waits_on(i); k++)
        if (k != c && o.item[k].in_use && waits_on(&o.item[k]) && o.item[k].d.fd == i->d.fd &&
            !offers(ETALON_OFFERS_MANY_POLLS))
            return "needs several completions that wait on one descriptor (many_polls)";
    if (waits_on(i) && world_real.installed(i->d.fd) == 0 && !offers(ETALON_OFFERS_CHECKED))
        return "needs misuse to be refused: a descriptor that is not open (checked)";
    return NULL;
}

/* As submit() makes it. */
static struct event submission_of(unsigned c, int result) {
    bool timer = o.item[c].d.operation == ET_TIMER && !offers(ETALON_OFFERS_READD);
    bool cancel = o.item[c].d.operation == ET_CANCEL && !offers(ETALON_OFFERS_READD);
    return event_of(c, timer ? EVENT_TIMER : cancel ? EVENT_CANCEL : EVENT_ADD, result);
}

static int submit(unsigned c) {
    const struct item *i = &o.item[c];
    if (i->d.operation == ET_TIMER && !offers(ETALON_OFFERS_READD)) {
        SUBJECT(o.subject->timer(o.self, c, i->d.delay_ms, i->d.userdata, i->d.has_callback));
        return answer;
    }
    if (i->d.operation == ET_CANCEL && !offers(ETALON_OFFERS_READD)) {
        SUBJECT(o.subject->cancel(o.self, c, i->d.target, i->d.userdata, i->d.has_callback));
        return answer;
    }
    if (i->d.operation == ASYNC_WAIT) {
        SUBJECT(o.subject->async_wait(o.self, c, i->async, i->d.userdata, i->d.has_callback));
        return answer;
    }
    SUBJECT(o.subject->submit(o.self, c, &i->d));
    return answer;
}

static bool names_async(const struct command *command) {
    return command->d < ETALON_SUBJECT_ASYNCS && o.async[command->d].open &&
           command->operation >= ET_ACCEPT && command->operation < ET_TIMER;
}

static void run_submit(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &o.item[c];
    if (i->in_use) {
        if (!offers(ETALON_OFFERS_CHECKED))
            LACKS("needs misuse to be refused: a completion that is in use is added (checked)");
        SUBJECT(o.subject->submit(o.self, c, NULL));
        expect(command, "ET-ADD-3", event_of(c, EVENT_ADD, answer), -EBUSY,
               i->starting == 0 ? -EBUSY : 0);
        i->told = 0; /* to the promise that may be another episode */
        return;
    }
    if (command->kind != COMMAND_ADD && names_async(command))
        LACKS("needs the descriptor of an async (rounds)");
    struct before before = remember(c);
    if (command->kind != COMMAND_ADD)
        describe(command);
    if (command->kind == COMMAND_DESCRIBE && offers(ETALON_OFFERS_READD) &&
        o.subject->describe != NULL) {
        SUBJECT(o.subject->describe(o.self, c, &i->d));
        (void)answer;
    }
    if (command->kind == COMMAND_DESCRIBE) {
        i->redescribed = true;
        return;
    }
    if (!i->ever && command->kind == COMMAND_ADD && i->d.userdata == 0)
        LACKS("needs a zero-initialised completion (rounds)");
    const char *undefined = undefined_submission(c);
    if (undefined != NULL)
        LACKS(undefined);
    int wanted = refusal(c);
    if (wanted == 0)
        starting(c);
    int result = submit(c);
    if (wanted == 0 && result < 0 && waits_on(i) && error_has_a_cause(&i->d, -result)) {
        undo(&before); /* it registers at the call, and so hears of it there */
        LACKS("needs the kernel's refusal to be the callback's result, not the call's (rounds)");
        return;
    }
    if (!expect(command,
                wanted == 0 ? refused("ET-ADD-1", i->d.operation == ET_TIMER ? i->d.delay_ms : 1)
                            : "ET-ADD-5",
                submission_of(c, result), wanted, wanted))
        undo(&before);
}

static void run_delete(const struct command *command) {
    struct item *i = &o.item[command->c];
    struct before before = remember(command->c);
    bool was = i->in_use;
    i->in_use = false;
    if (was)
        o.ended = 2;
    if (was && takes_bytes(i))
        lose_place();
    if (was)
        o.known[command->c] = KIT_SILENT;
    i->deleted = true;
    if (was && i->d.operation == ASYNC_WAIT && !offers(ETALON_OFFERS_ASYNC_KEPT))
        o.async[i->async].owed = false; /* it may have gone with the wait */
    SUBJECT(o.subject->remove(o.self, command->c));
    if (!expect(command, was ? "ET-DELETE-3" : "ET-DELETE-1",
                (struct event){.kind = EVENT_DELETE, .c = command->c, .result = answer}, 0, 0))
        undo(&before);
}

static void describe_timer(const struct command *command) {
    struct item *i = &o.item[command->c];
    i->body = command->body;
    i->d =
        (struct etalon_subject_description){.operation = ET_TIMER,
                                            .fd = -1,
                                            .target = ETALON_NOBODY,
                                            .delay_ms = command->value,
                                            .userdata = new_token(command->body),
                                            .has_callback = command->body != 0 || !may_be_null()};
}

static void run_timer(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &o.item[c];
    if (i->in_use) {
        if (!offers(ETALON_OFFERS_CHECKED))
            LACKS("needs misuse to be refused: a timer that is in use is set (checked)");
        /* it may still be adding: ET-TIMER-2 */
        bool fresh = i->starting > 0 && i->d.operation == ET_TIMER;
        if (fresh)
            LACKS("needs adding completions (rounds)");
        SUBJECT(o.subject->timer(o.self, c, command->value, new_token(command->body), 1));
        struct event e = {
            .kind = EVENT_TIMER, .c = c, .delay_ms = command->value, .result = answer};
        expect(command, "ET-TIMER-4", e, -EBUSY, -EBUSY);
        return;
    }
    struct before before = remember(c);
    describe_timer(command);
    starting(c);
    SUBJECT(o.subject->timer(o.self, c, command->value, i->d.userdata, i->d.has_callback));
    if (!expect(command, refused("ET-TIMER-1", command->value), event_of(c, EVENT_TIMER, answer), 0,
                0))
        undo(&before);
}

static void run_reset(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &o.item[c];
    bool alone = command->other >= COUNT;
    bool misuse = command->other == c || (i->in_use && i->d.operation != ET_TIMER) ||
                  (!alone && o.item[command->other].in_use);
    if (alone && !offers(ETALON_OFFERS_RESET_ALONE))
        LACKS("needs a reset without a carrier (reset_alone)");
    if (misuse && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a reset of no timer, or by a carrier at work (checked)");
    if (misuse)
        LACKS("needs carriers (rounds)");
    for (unsigned k = 0; k < COUNT; k++)
        if (o.item[k].in_use && o.item[k].d.operation == ET_CANCEL &&
            o.item[k].d.target == command->other)
            LACKS("needs carriers that are cancelled (rounds)");
    bool again = i->in_use && i->starting > 0; /* ET-TIMER-2 */
    struct before before = remember(c);
    describe_timer(command);
    starting(c);
    i->either_place = again;
    SUBJECT(o.subject->timer_reset(o.self, c, alone ? ETALON_NOBODY : command->other,
                                   command->value, i->d.userdata, i->d.has_callback));
    /* a loop without carriers leaves it alone */
    if (!alone && tells_states() && ask_state(command->other) != ETALON_DEAD)
        o.item[command->other].carrying = rounds_to_go();
    struct event e = event_of(c, EVENT_RESET, answer);
    e.by = command->other < COUNT ? command->other : EVENT_NOBODY;
    if (!expect(command, refused("ET-RESET-3", command->value), e, 0, 0))
        undo(&before);
}

static void run_cancel(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &o.item[c];
    uint32_t target = target_of(command);
    bool invalid = target == c || target >= COUNT;
    if ((i->in_use || invalid) && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a cancel that is in use, or of itself (checked)");
    if (i->in_use || invalid) {
        SUBJECT(o.subject->cancel(o.self, c, target, 0, 1));
        struct event e = {.kind = EVENT_CANCEL,
                          .c = target < COUNT ? target : EVENT_NOBODY,
                          .by = c,
                          .result = answer};
        expect(command, invalid ? "ET-CANCEL-3" : "ET-CANCEL-2", e, invalid ? -EINVAL : -EBUSY,
               -EBUSY);
        return;
    }
    struct before before = remember(c);
    i->body = command->body;
    i->d =
        (struct etalon_subject_description){.operation = ET_CANCEL,
                                            .fd = -1,
                                            .target = target,
                                            .userdata = new_token(command->body),
                                            .has_callback = command->body != 0 || !may_be_null()};
    starting(c);
    SUBJECT(o.subject->cancel(o.self, c, target, i->d.userdata, i->d.has_callback));
    if (!expect(command, "ET-CANCEL-1", event_of(c, EVENT_CANCEL, answer), 0, 0))
        undo(&before);
}

/* ---- asyncs ---------------------------------------------------------------------------------- */

static void run_async_wait(const struct command *command) {
    struct item *i = &o.item[command->c];
    if (i->in_use) {
        if (!offers(ETALON_OFFERS_CHECKED))
            LACKS("needs misuse to be refused: a wait by a completion that is in use (checked)");
        SUBJECT(o.subject->async_wait(o.self, command->c, command->d, new_token(command->body), 1));
        struct event e = {.kind = EVENT_ASYNC_WAIT,
                          .c = command->c,
                          .fd = o.async[command->d].open ? command->d : -1,
                          .result = answer};
        expect(command, "ET-ASYNC-1", e, -EBUSY, -EBUSY);
        return;
    }
    struct before before = remember(command->c);
    i->body = command->body;
    i->async = command->d;
    i->d = (struct etalon_subject_description){
        .operation = ASYNC_WAIT,
        .fd = -1,
        .target = ETALON_NOBODY,
        .userdata = new_token(command->body),
        .has_callback = command->body != 0 || !offers(ETALON_OFFERS_NULL_CALLBACK)};
    const char *undefined = undefined_wait(command->c);
    if (undefined != NULL)
        LACKS(undefined);
    int wanted = o.async[command->d].open ? 0 : -EINVAL;
    if (wanted == 0)
        starting(command->c);
    int result = submit(command->c);
    if (!expect(command, wanted == 0 ? "ET-ASYNC-1" : "ET-ASYNC-5",
                submission_of(command->c, result), wanted, wanted))
        undo(&before);
}

static void open_async(const struct command *command) {
    struct async *async = &o.async[command->d];
    if (async->open || world_real.descriptor(command->d) >= 0)
        return;
    SUBJECT(o.subject->async_init(o.self, command->d));
    struct event e = {.kind = EVENT_IDLE, .result = answer};
    if (expect(command, "ET-ASYNC-5", e, 0, 0))
        *async = (struct async){.open = true};
}

static void close_async(const struct command *command) {
    if (waiter(command->d) >= 0)
        LACKS("needs an async that is deinitialised while a completion waits on it (rounds)");
    SUBJECT(o.subject->async_deinit(o.self, command->d));
    struct event e = {.kind = EVENT_ASYNC_DEINIT, .fd = command->d, .result = answer};
    if (expect(command, "ET-ASYNC-5", e, 0, 0))
        o.async[command->d].open = false;
}

struct notice {
    unsigned async;
    int result;
};

static void *notify_there(void *of) {
    struct notice *notice = of;
    notice->result = o.subject->async_notify(o.self, notice->async);
    return NULL;
}

static void there(void *(*start)(void *), void *argument);

static void notify(const struct command *command) {
    struct async *async = &o.async[command->d];
    struct notice notice = {.async = command->d};
    if (!async->open && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a notification of no async (checked)");
    if (async->open && waiter(command->d) < 0 && !offers(ETALON_OFFERS_ASYNC_KEPT))
        LACKS("needs notifications that wait for a wait (async_kept)");
    struct async before = *async;
    if (async->open) {
        async->owed = true;
        async->credits++;
    }
    there(notify_there, &notice);
    int wanted = async->open ? 0 : -EINVAL;
    struct event e = {
        .kind = EVENT_NOTIFY, .fd = async->open ? command->d : -1, .result = notice.result};
    if (!expect(command, async->open ? "ET-ASYNC-2" : "ET-ASYNC-5", e, wanted, wanted))
        *async = before;
}

/* Returns whether the command is about an async and no more. */
static bool touches_async(const struct command *command) {
    bool of_async = command->d < ETALON_SUBJECT_ASYNCS && o.async[command->d].open;
    if (command->kind == COMMAND_NOTIFY)
        notify(command);
    else if (command->kind == COMMAND_OPEN && command->value == WORLD_ASYNC)
        open_async(command);
    else if (command->kind == COMMAND_CLOSE && of_async)
        close_async(command);
    else
        return of_async && (command->kind == COMMAND_OPEN || command->kind == COMMAND_CLOSE);
    return true;
}

static bool needs_its_descriptor(const struct command *command) {
    bool dup = command->kind == COMMAND_DUP;
    return (dup ||
            (command->kind >= COMMAND_PEER_WRITE && command->kind <= COMMAND_PEER_CONNECT)) &&
           ((command->d < ETALON_SUBJECT_ASYNCS && o.async[command->d].open) ||
            (dup && command->other < ETALON_SUBJECT_ASYNCS && o.async[command->other].open));
}

/* ---- running --------------------------------------------------------------------------------- */

/* What was due when the run began must have been served by its end. */
static void check_served(const bool *due) {
    for (unsigned c = 0; c < COUNT && !o.stopped_in_run; c++) {
        const struct item *i = &o.item[c];
        if (!due[c] || !i->in_use || !i->entered || !is_due(i))
            continue;
        FAIL_IF(i->d.operation == ET_TIMER, "ET-EXPIRE-1/returns",
                "the run returns, but the timer c%u has not fired, which had expired", c);
        FAIL_IF(i->d.operation == ET_POLL, "ET-EVENT-4/returns",
                "the run returns, but the poll c%u was not called, whose descriptor was ready", c);
        FAIL_IF(i->d.operation == ET_NOOP, "ET-SUBMIT-2/returns",
                "the run returns, but the noop c%u was not called", c);
        FAIL_IF(class(i) != 0 && !interpose_other_threads(), "ET-EVENT-1/returns",
                "the run returns, but c%u has not ended, whose descriptor was ready", c);
        FAIL_IF(i->d.operation == ASYNC_WAIT, "ET-ASYNC-2",
                "the run returns, but the wait c%u was not called, whose async had been notified",
                c);
    }
}

/* What the run that has just returned too early can have taken for a callback. */
static const char *early_return(const char *clause) {
    return failure_of(clause, o.woken          ? "woken"
                              : o.interrupted  ? "interrupted"
                              : o.barren_waits ? "slice"
                              : o.ended > 0    ? "ended"
                                               : "early");
}

static void check_run_end(int mode, const bool *due) {
    if (mode == ET_RUN_UNTIL_DONE && !o.stopped_in_run) {
        for (unsigned c = 0; c < COUNT; c++)
            FAIL_IF(o.item[c].in_use, "ET-RUN-3", "run(UNTIL_DONE) returns although c%u is in use",
                    c);
        return;
    }
    bool enough = o.run_callbacks >= o.asked || !anything_in_use() || o.stopped_in_run;
    FAIL_IF(mode != ET_RUN_UNTIL_DONE && !enough,
            early_return(o.asked == 1 ? "ET-RUN-2" : "ET-TICK-4"),
            "the run returns after %u callbacks, %llu were asked for, and something is in use",
            o.run_callbacks, (unsigned long long)o.asked);
    if (mode == ET_RUN_NO_WAIT)
        check_served(due);
}

static void tell_run(const struct command *command, bool tick) {
    tell_ready(false);
    if (tick)
        TELL(EVENT_TICK, .callbacks = command->value);
    else
        TELL(EVENT_RUN,
             .mode = command->value <= ET_RUN_UNTIL_DONE ? (int8_t)command->value : (int8_t)-1);
}

static void run_nested(const struct command *command, bool tick) {
    if (!offers(ETALON_OFFERS_GUARDED))
        LACKS("needs a run inside a callback to be refused (guarded)");
    tell_run(command, tick);
    SUBJECT(tick ? o.subject->tick(o.self, (uint32_t)command->value)
                 : o.subject->run(o.self, (uint32_t)command->value));
    struct event e = {.kind = EVENT_END, .result = answer};
    if (!tick && command->value > ET_RUN_UNTIL_DONE)
        expect(command, "ET-RUN-4", e, -EINVAL, -EINVAL);
    else
        expect(command, "ET-TICK-2", e, -EBUSY, o.stopped ? 0 : -EBUSY);
}

static void run_loop(const struct command *command);

/* A loop that offers one turn only is run until something is done as its programs do that. */
static void run_repeatedly(uint64_t callbacks) {
    const struct command once = {.kind = COMMAND_RUN, .value = ET_RUN_ONCE};
    unsigned begun = o.callbacks;
    for (unsigned turns = 0;
         turns < TURNS_MAX && o.callbacks - begun < callbacks && anything_in_use(); turns++) {
        run_loop(&once);
        if (o.stopped_in_run || o.stopped)
            break;
    }
}

/* tick(0) is run(NO_WAIT), tick(1) is run(ONCE) (ET-RUN-1, ET-RUN-2). */
static void run_loop(const struct command *command) {
    static const uint64_t bits[] = {ETALON_OFFERS_NO_WAIT, ETALON_OFFERS_ONCE,
                                    ETALON_OFFERS_UNTIL_DONE};
    bool until_done = command->kind == COMMAND_RUN && command->value == ET_RUN_UNTIL_DONE;
    bool many =
        (until_done && !offers(ETALON_OFFERS_UNTIL_DONE)) ||
        (command->kind == COMMAND_TICK && command->value > 1 && !offers(ETALON_OFFERS_TICK));
    if (many && offers(ETALON_OFFERS_ONCE) && !o.in_callback) {
        run_repeatedly(until_done ? UINT64_MAX : command->value);
        return;
    }
    bool tick = command->kind == COMMAND_TICK && (command->value > 1 || offers(ETALON_OFFERS_TICK));
    uint64_t mode =
        command->kind == COMMAND_TICK && command->value > 1 ? ET_RUN_ONCE : command->value;
    if (mode == ET_RUN_TURN)
        LACKS("needs a turn, which only the rounds say (rounds)");
    if (mode <= ET_RUN_UNTIL_DONE && !tick && !offers(bits[mode]))
        LACKS("needs a mode of run that is not offered");
    if (tick && !offers(ETALON_OFFERS_TICK))
        LACKS("needs tick with a number of callbacks (tick)");
    if (mode > ET_RUN_UNTIL_DONE && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: an unknown mode (checked)");
    if (o.in_callback) {
        run_nested(command, tick);
        return;
    }
    bool due[COUNT];
    for (unsigned c = 0; c < COUNT; c++) {
        o.item[c].entered = o.item[c].in_use;
        o.item[c].in_this_run = false;
        due[c] = is_due(&o.item[c]);
    }
    o.running = (int)mode;
    o.run_callbacks = 0;
    o.stopped_in_run = false;
    o.idle_waits = o.barren_waits = 0;
    o.asked = command->kind == COMMAND_TICK ? command->value
              : mode == ET_RUN_UNTIL_DONE   ? UINT64_MAX
                                            : mode;
    bool refused = mode > ET_RUN_UNTIL_DONE, was_stopped = o.stopped;
    tell_run(command, tick);
    SUBJECT(tick ? o.subject->tick(o.self, (uint32_t)command->value)
                 : o.subject->run(o.self, (uint32_t)command->value));
    settle_unseen();
    tell_ready(false);
    check_woken_once();
    o.woken_by = 0;
    o.running = -1;
    struct event e = {.kind = EVENT_END, .result = answer};
    if (refused) {
        expect(command, "ET-RUN-4", e, -EINVAL, -EINVAL);
    } else if (was_stopped) {
        FAIL_IF(o.run_callbacks > 0, "ET-TICK-1/called", "a stopped loop calls callbacks");
        expect(command, "ET-TICK-1/refused", e, 0, 0);
    } else {
        expect(command, o.interrupted && answer < 0 ? "ET-WAIT-5" : "ET-TICK-7", e, 0, 0);
        if (answer == 0)
            check_run_end((int)mode, due);
    }
    o.woken = o.wake_pending;
    o.interrupted = false;
    o.ended -= o.ended > 0;
    o.stopped = o.stopped_in_run && offers(ETALON_OFFERS_STOPPED) ? true : was_stopped;
}

static void run_stop(void) {
    if (o.running < 0 && !offers(ETALON_OFFERS_STOPPED))
        LACKS("needs a stop that lasts, outside of run (stopped)");
    bool before = interpose_inside(true);
    o.subject->stop(o.self);
    (void)interpose_inside(before);
    o.stopped_in_run = o.running >= 0;
    note('c', -1, "stop");
    TELL(EVENT_STOP);
    if (!offers(ETALON_OFFERS_STOPPED))
        return;
    o.stopped = true;
    SUBJECT(o.subject->stopped(o.self));
    TELL(EVENT_SAYS_STOPPED, .result = answer);
    FAIL_IF(answer == 0, "ET-STOP-1", "stopped is false after stop");
}

static unsigned open_descriptors(void) {
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += syscall(SYS_fcntl, fd, 1 /* F_GETFD */, 0) >= 0;
    return count;
}

static void make_loop(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (o.item[c].in_use) /* it was released with the loop before */
            o.known[c] = KIT_SILENT;
    memset(o.item, 0, sizeof o.item);
    memset(o.async, 0, sizeof o.async);
    lose_place();
    for (unsigned c = 0; c < COUNT; c++) {
        o.item[c].d.target = ETALON_NOBODY;
        o.item[c].due_since = -1;
    }
    o.host = (struct etalon_subject_host){
        .size = sizeof o.host, .called = called, .descriptors_max = 64};
    o.now_ms = 0;
    o.time_min_ns = world_real.clock();
    o.stopped = o.wake_pending = false;
    o.busy = true;
    TELL(EVENT_INIT); /* the loop takes the time at any moment from now on */
    SUBJECT(o.subject->init(&o.host, &o.self));
    o.busy = false;
    OBSERVED_IF(answer != 0, "ET-INIT-2", "init returned %s", kit_result_name(answer));
    check_now("after init");
}

static int release_loop(void) {
    o.busy = true;
    SUBJECT(o.subject->deinit(o.self));
    o.busy = false;
    if (answer == 0)
        o.self = NULL;
    return answer;
}

static void run_deinit(const struct command *command) {
    if (!offers(ETALON_OFFERS_DEINIT))
        LACKS("needs deinit with completions in use (deinit)");
    if (o.in_callback && !offers(ETALON_OFFERS_GUARDED))
        LACKS("needs a deinit inside a callback to be refused (guarded)");
    int answer = release_loop();
    int wanted = o.in_callback ? -EBUSY : 0;
    struct event e = {.kind = EVENT_DEINIT, .result = answer};
    bool good = expect(command, o.in_callback ? "ET-DEINIT-1" : "ET-DEINIT-2", e, wanted, wanted);
    if (o.in_callback || !good)
        return;
    make_loop();
}

/* ---- the world ------------------------------------------------------------------------------- */

static bool closes_early(const struct command *command) {
    int fd = descriptor(command->kind == COMMAND_DUP ? command->other : command->d);
    for (unsigned c = 0; c < COUNT && fd >= 0; c++)
        if (o.item[c].in_use && waits_on(&o.item[c]) && o.item[c].d.fd == fd &&
            !offers(ETALON_OFFERS_CLOSED_EARLY))
            return true;
    return false;
}

static void *wake_up_there(void *unused) {
    o.subject->wakeup(o.self);
    return unused;
}

/* By another thread, as a wake-up is meant to be: some loops take one from their own thread for
 * needless. */
static void there(void *(*start)(void *), void *argument) {
    pthread_t thread;
    bool before = interpose_inside(false);
    if (pthread_create(&thread, NULL, start, argument) == 0)
        pthread_join(thread, NULL);
    (void)interpose_inside(before);
}

static void run_world(const struct command *command) {
    char text[96] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    if (out != NULL) {
        command_write(out, command);
        fclose(out);
    }
    note('o', -1, "world: %.80s", text);
    if (command->kind == COMMAND_WAKEUP) {
        o.wake_pending = o.woken = true;
        there(wake_up_there, NULL);
        TELL(EVENT_WAKEUP);
        return;
    }
    if (touches_async(command))
        return;
    if (needs_its_descriptor(command))
        LACKS("needs the descriptor of an async (rounds)");
    if ((command->kind == COMMAND_CLOSE || command->kind == COMMAND_DUP) && closes_early(command))
        LACKS("closes a descriptor while a completion waits on it (closed_early)");
    if (command->kind == COMMAND_DUP) {
        o.duplicated = true;
        lose_place();
    }
    if (command->kind == COMMAND_FAIL && command->call == FAULTY_EPOLL_WAIT) {
        o.fail_wait_at = (int)command->value;
        o.fail_wait_error = command->error;
        return;
    }
    struct command rounded = *command;
    if (command->kind == COMMAND_ADVANCE)
        rounded.value = whole_us(command->value);
    if (!world_real.command(&rounded))
        LACKS("needs a simulated kernel");
}

/* The caller keeps the target of a cancel, and what is not dead. */
static bool may_be_forgotten(unsigned c) {
    for (unsigned k = 0; k < COUNT; k++)
        if (o.item[k].in_use && o.item[k].d.operation == ET_CANCEL && o.item[k].d.target == c)
            return false;
    return !o.item[c].in_use && offers(ETALON_OFFERS_FORGET) &&
           (!tells_states() || ask_state(c) == ETALON_DEAD);
}

/* What happens to a completion that carries a reset is a matter of rounds (ET-RESET-5 to -11). */
static bool of_carrier(const struct command *command) {
    bool targets = command->kind == COMMAND_CANCEL || command->kind == COMMAND_RESET ||
                   (command->kind == COMMAND_SUBMIT && command->operation == ET_CANCEL);
    bool completion = command->kind <= COMMAND_CANCEL || command->kind == COMMAND_FORGET ||
                      command->kind == COMMAND_DESCRIBE;
    return (completion && o.item[command->c].carrying > 0) ||
           (targets && command->other < COUNT && o.item[command->other].carrying > 0);
}

static void run_command(const struct command *command) {
    o.commands++;
    o.woken_by = 0;
    if (of_carrier(command))
        LACKS("needs carriers (rounds)");
    if (command->kind != COMMAND_TICK && command->kind != COMMAND_RUN)
        o.idle_waits = 0;
    switch ((enum command_kind)command->kind) {
    case COMMAND_SUBMIT:
    case COMMAND_ADD:
    case COMMAND_DESCRIBE: run_submit(command); break;
    case COMMAND_DELETE: run_delete(command); break;
    case COMMAND_TIMER: run_timer(command); break;
    case COMMAND_RESET: run_reset(command); break;
    case COMMAND_CANCEL: run_cancel(command); break;
    case COMMAND_TICK:
    case COMMAND_RUN: run_loop(command); break;
    case COMMAND_STOP: run_stop(); break;
    case COMMAND_ASYNC_WAIT: run_async_wait(command); break;
    case COMMAND_UPDATE_NOW: {
        TELL(EVENT_UPDATE_NOW); /* likewise */
        bool before = interpose_inside(true);
        o.subject->update_now(o.self);
        (void)interpose_inside(before);
        o.time_min_ns = world_real.clock();
        break;
    }
    case COMMAND_DEINIT: run_deinit(command); break;
    case COMMAND_FORGET:
        if (may_be_forgotten(command->c)) {
            bool before = interpose_inside(true);
            o.subject->forget(o.self, command->c);
            (void)interpose_inside(before);
            o.item[command->c] =
                (struct item){.moved = true, .due_since = -1, .d.target = ETALON_NOBODY};
        }
        break;
    case COMMAND_RETURN: break;
    default: run_world(command); break;
    }
    tell_ready(false);
    check_now("after a call");
    check_in_use();
}

static void finish(unsigned before) {
    int answer = release_loop();
    TELL(EVENT_DEINIT, .result = answer);
    FAIL_IF(answer != 0, "ET-DEINIT-2", "deinit returned %s", kit_result_name(answer));
    interpose_begin(INTERPOSE_NOTHING, NULL);
    world_real.end();
    unsigned after = open_descriptors();
    OBSERVED_IF(after > before, "ET-DEINIT-3", "deinit leaves %u descriptors open", after - before);
}

void outside_run(const struct etalon_subject *subject, const struct program *program, bool lenient,
                 struct kit_result *result) {
    static const struct world_observer nobody;
    memset(&o, 0, sizeof o);
    o.subject = subject;
    o.program = program;
    o.result = result;
    o.running = -1;
    o.lenient = lenient;
    const char *which = getenv("ETALON_JUDGE");
    judge = which == NULL                ? JUDGE_OLD
            : strcmp(which, "new") == 0  ? JUDGE_NEW
            : strcmp(which, "both") == 0 ? JUDGE_BOTH
                                         : JUDGE_OLD;
    const struct promise_settings settings = settings_of(subject);
    promise_init(&promise, &settings, COUNT, KIT_CLOCK_NS);
    memset(o.known, -1, sizeof o.known);
    kit_ask_states(ask_states);
    world_real.begin(&nobody, NULL, KIT_CLOCK_NS);
    interpose_begin(INTERPOSE_TIME, &hooks);
    unsigned before = open_descriptors();
    /* what a library opens once for the whole process is no leak */
    if (offers(ETALON_OFFERS_DEINIT)) {
        make_loop();
        int answer = release_loop();
        OBSERVED_IF(answer != 0, "ET-DEINIT-2", "deinit of a fresh loop returned %s",
                    kit_result_name(answer));
        before = open_descriptors();
        result->events = 0; /* nothing was wrong, and the program has not begun */
    }
    make_loop();
    for (unsigned i = 0; i < program->count[0] && o.commands < COMMANDS_MAX; i++)
        run_command(&program->command[program->first[0] + i]);
    if (offers(ETALON_OFFERS_DEINIT))
        finish(before);
    end_run();
}

#else
typedef int nothing_here;
#endif
