/* SPDX-License-Identifier: MIT */
/* `etalon judge` (judge.h): reads a recording (spec/trace-format.md, section 3) event by event and
 * puts each before the model.
 *
 * What the recorder could not see is supplied so that the law allows what follows, wherever that is
 * possible: a wait ends, a descriptor is ready, a timer has expired when the next event needs it.
 * So only what was observed can break a clause. For this each event is held back until the next one
 * is known.
 *
 * The model has room for MODEL_COMPLETIONS that are alive; a recording names as many as it likes.
 * One that is dead, and that no cancel is about to look at, gives its place away when places are
 * short. */
#include "judge.h"

#include "../../model/wide.h"
#include "../../model/words.h"
#include "../kit/text.h"
#include "options.h"
#include "output.h"
#include "recording.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS_NS            UINT64_C(1000000)
#define BAD_INPUT        2
#define DIFFERENCES_MAX  100 /* so many are printed */
#define BUCKETS          4096
#define NO_SLOT          MODEL_NONE
#define UNSEEN_STEPS_MAX (4 * MODEL_COMPLETIONS)
/* that a loop may make between two events, unseen, with something still to come */
#define UNSEEN_ROUNDS 3

static struct judge {
    struct model model, before;
    struct recording recording;
    unsigned observes, only; /* what the recorder could see, and what --observes leaves of it */
    /* Places in the model, by the completion's number in the recording. */
    uint64_t id[MODEL_COMPLETIONS];
    bool used[MODEL_COMPLETIONS];
    bool deleted[MODEL_COMPLETIONS]; /* its last episode was, by the caller */
    bool within
        /* submitted in a callback of the last tick: without waits, no round is known that starts
           it */
        [MODEL_COMPLETIONS];
    model_index next[MODEL_COMPLETIONS], bucket[BUCKETS];
    unsigned taken;  /* places in use */
    unsigned spare;  /* no free place is below this one */
    unsigned pinned; /* what the event is about */

    bool any_errno; /* nothing but a refusal can explain it */
    /* of a tick that ends by a wait that failed unseen: so many before it did not */
    unsigned good_waits;
    bool in_deinit;    /* a deinit that waits for the pool */
    bool in_tick;      /* the subject's tick has begun and not ended */
    bool time_known;   /* some event has told it */
    bool clock_known;  /* and some event to the nanosecond */
    bool refused_tick; /* the model says that it returns `expected` at once */
    int expected;
    uint64_t line;
    bool lost; /* no sense can be made of what follows */
    struct difference difference[DIFFERENCES_MAX];
    struct judgement verdict;
    bool keep_going, strict, quiet;
    bool silent; /* standard output is the JSON file */
    const char *json;
    char malformed[200];
} judging;

/* ---- differences ----------------------------------------------------------------------------- */

/* Every other clause is a MUST (spec/etalon.md). */
static bool is_should(const char *clause) {
    return strcmp(clause, "ET-STOP-3") == 0 || strcmp(clause, "ET-WAIT-4") == 0;
}

static void differ(const char *clause, const char *expected, const char *format, ...) {
    struct difference d = {.line = judging.line, .clause = clause, .should = is_should(clause)};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(d.observed, sizeof d.observed, format, arguments);
    va_end(arguments);
    snprintf(d.expected, sizeof d.expected, "%s", expected);
    judging.verdict.differences++;
    judging.verdict.not_strict += d.should;
    if (judging.verdict.kept < DIFFERENCES_MAX) {
        judging.difference[judging.verdict.kept++] = d;
        if (!judging.quiet && !judging.silent)
            printf("%s:%llu: %s%s: expected: %s; observed: %s\n", judging.verdict.name,
                   (unsigned long long)d.line, clause, d.should ? " (should)" : "", d.expected,
                   d.observed);
    }
    if (!judging.keep_going && (!d.should || judging.strict))
        judging.lost = true;
}

/* The model has judged this event. Returns whether it was lawful. */
static bool judge(const char *clause, const struct event *event) {
    char expected[200], observed[120], result[32];
    unsigned c;
    if (clause == NULL)
        return true;
    const char *why = judging.model.why != NULL ? judging.model.why : "";
    event_text(event, observed, sizeof observed);
    if (judging.model.in_tick && wide_due(&judging.model, &c) == WIDE_CALLBACK &&
        c < judging.model.completions)
        snprintf(expected, sizeof expected, "%s (next is the callback of %llu with %s)", why,
                 (unsigned long long)judging.id[c],
                 result_text(judging.model.tick.due_result, result, sizeof result));
    else
        snprintf(expected, sizeof expected, "%s", why);
    differ(clause, expected, "%s", observed);
    return false;
}

/* The line makes no sense where it stands. */
static void malformed(const char *what) {
    if (judging.malformed[0] == '\0')
        snprintf(judging.malformed, sizeof judging.malformed, "%s", what);
    judging.lost = true;
}

/* ---- places in the model --------------------------------------------------------------------- */

static unsigned hash(uint64_t id) {
    return (unsigned)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 52);
}

static unsigned find(uint64_t id) {
    unsigned c = judging.bucket[hash(id)];
    while (c != NO_SLOT && judging.id[c] != id)
        c = judging.next[c];
    return c;
}

static void give_away(unsigned c) {
    model_index *at = &judging.bucket[hash(judging.id[c])];
    while (*at != c)
        at = &judging.next[*at];
    *at = judging.next[c];
    judging.used[c] = false;
    judging.taken--;
    judging.spare = c < judging.spare ? c : judging.spare;
    model_forget(&judging.model, c);
}

/* Gives away the places of the dead. The target of a cancel must still be found dead when that
 * looks at it. */
static void bury_the_dead(void) {
    model_set wanted = {0};
    for (unsigned c = 0; c < judging.model.completions; c++) {
        const struct model_completion *of = &judging.model.completion[c];
        unsigned target = of->description.target;
        if (of->state != ET_DEAD && of->operation == ET_CANCEL && target < MODEL_COMPLETIONS)
            wanted[target / 64] |= UINT64_C(1) << (target % 64);
    }
    for (unsigned c = 0; c < judging.model.completions; c++) {
        bool needed = (wanted[c / 64] >> (c % 64) & 1) != 0 || c == judging.model.in_callback ||
                      c == judging.pinned;
        if (judging.used[c] && judging.model.completion[c].state == ET_DEAD && !needed)
            give_away(c);
    }
}

/* The place of the completion; a new one when it has none: then it is dead. */
static unsigned place(uint64_t id) {
    unsigned c = find(id);
    if (c != NO_SLOT)
        return c;
    if (judging.taken == judging.model.completions) {
        bury_the_dead();
        unsigned room = judging.model.completions < 16 ? 16 : judging.model.completions;
        if (judging.taken * 2 > room) /* else looking for the dead would be all that is done */
            room *= 2;
        judging.model.completions =
            (model_index)(room < MODEL_COMPLETIONS ? room : MODEL_COMPLETIONS);
    }
    if (judging.taken == judging.model.completions) {
        malformed("more than 4096 completions are at work at once");
        return NO_SLOT;
    }
    for (c = judging.spare; judging.used[c]; c++) {
    }
    judging.spare = c + 1;
    judging.used[c] = true;
    judging.deleted[c] = judging.within[c] = false;
    judging.id[c] = id;
    judging.taken++;
    judging.next[c] = judging.bucket[hash(id)];
    judging.bucket[hash(id)] = (model_index)c;
    return c;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void check_state(const struct event *e, unsigned c) {
    char expected[64];
    unsigned state = judging.model.completion[c].state;
    if (e->state == EVENT_NO_STATE || e->state == state)
        return;
    bool unknown =
        (judging.observes & OBSERVES_READINESS) == 0 && judging.model.in_callback != MODEL_NONE;
    bool gone = (e->state == ET_DEAD || e->state == ET_DELETING) &&
                (state == ET_DEAD || state == ET_DELETING);
    if (unknown && gone && e->kind == EVENT_DELETE &&
        judging.before.completion[c].state == ET_DELETING)
        return; /* deleted in an earlier callback: the deletions may have been gone through since */
    snprintf(expected, sizeof expected, "%llu is %s after this call",
             (unsigned long long)judging.id[c], state_names[state]);
    differ("ET-STATE-2", expected, "it is %s", state_names[e->state]);
}

static void check_returned(const struct event *e, int expected) {
    char text[64], result[32], seen[32];
    if (e->result == expected)
        return;
    snprintf(text, sizeof text, "the call returns %s",
             result_text(expected, result, sizeof result));
    differ(judging.model.clause, text, "it returned %s", result_text(e->result, seen, sizeof seen));
}

/* Without the time no deadline is known: a timer may fire when it is seen to. */
static uint64_t delay_of(const struct event *e) {
    return (judging.observes & OBSERVES_TIME) != 0 ? e->delay_ms : UINT64_MAX;
}

/* Whoever sees neither the end of an operation nor what ends it cannot say what the loop is to do
 * next. */
static void check_observable(const struct event *e, unsigned operation) {
    bool ready = operation >= ET_ACCEPT && operation <= ET_RECVMSG;
    bool timer = operation == ET_TIMER;
    if (e->has_callback || e->result < 0)
        return;
    if (ready && (judging.observes & OBSERVES_READINESS) == 0)
        malformed("an operation without a callback on a descriptor can be judged only when "
                  "readiness is observed");
    if (timer && (judging.observes & OBSERVES_TIME) == 0)
        malformed("a timer without a callback can be judged only when time is observed");
}

/* Of an add, or a rearming return: what the caller has filled in. */
static void describe(const struct event *e, unsigned c) {
    struct model_description d = {.operation = e->operation,
                                  .target = MODEL_NONE,
                                  .pool_mark = e->pool,
                                  .has_callback = e->has_callback,
                                  .fd = e->fd,
                                  .flags = e->flags,
                                  .events = e->events,
                                  .userdata = e->userdata,
                                  .delay_ms = delay_of(e)};
    if ((e->has & EVENT_HAS_DESCRIPTION) == 0)
        return;
    check_observable(e, e->operation);
    if (e->operation == ET_CANCEL && e->target != EVENT_NOBODY)
        d.target = (model_index)place(e->target);
    if (!judging.lost && judging.model.completion[c].state == ET_DEAD)
        model_describe(&judging.model, c, &d);
}

/* Whether a round has begun between two events is not known where no waits were seen. What a call
 * returned, or the state after it, tells whether c was started in it; but only of what may have
 * been, or nothing that a call returns would be wrong. */
static void start_unseen(const struct event *e, unsigned c) {
    bool called = judging.model.in_tick && judging.model.in_callback != MODEL_NONE;
    bool unknown = (judging.observes & OBSERVES_WAITS) == 0 &&
                   (called || (!judging.in_tick && judging.within[c]));
    const struct model_completion *of = &judging.model.completion[c];
    bool busy = e->result == -EBUSY, timer = of->operation == ET_TIMER;
    bool active = e->state == ET_ACTIVE, adding = e->state == ET_ADDING;
    if (e->state == EVENT_NO_STATE && e->kind == EVENT_RESET) {
        adding = busy && !timer;
    } else if (e->state == EVENT_NO_STATE &&
               (e->kind == EVENT_ADD || (e->kind == EVENT_TIMER && timer))) {
        active = busy;
        adding = e->result == 0;
    }
    if (unknown && of->state == ET_ADDING && active)
        wide_start(&judging.model, c);
    bool just_now = of->state == ET_ACTIVE && (!called || of->order >= judging.before.orders);
    if (unknown && just_now && adding)
        wide_unstart(&judging.model, c);
}

/* After a call that submits c. */
static void note_submission(unsigned c) {
    judging.within[c] =
        judging.model.completion[c].state == ET_ADDING ? judging.in_tick : judging.within[c];
}

/* What a recording of an add cannot do without. */
static void check_add(const struct event *e, unsigned c) {
    const struct model_completion *of = &judging.model.completion[c];
    bool described =
        (e->has & EVENT_HAS_DESCRIPTION) != 0 || of->state == ET_ADDING || of->state == ET_ACTIVE;
    if (e->pool && e->result == 0 && (judging.observes & OBSERVES_POOL) == 0)
        malformed("an operation with the pool mark can be judged only when the pool is observed");
    else if (!described)
        malformed(
            "\"op\" is missing: an add of a completion that is dead or deleting says what it is");
}

/* What comes after it is another loop; the clock goes on. */
static void begin_anew(void) {
    unsigned completions = judging.model.completions;
    uint64_t clock_ns = judging.model.clock_ns;
    struct model_async async[MODEL_ASYNCS];
    memcpy(async, judging.model.async, sizeof async);
    wide_init(&judging.model, completions, judging.recording.descriptors_max, clock_ns);
    memcpy(judging.model.async, async, sizeof async); /* they belong to no loop */
    memset(judging.used, 0, sizeof judging.used);
    memset(judging.bucket, 0xff, sizeof judging.bucket);
    judging.taken = judging.spare = 0;
    judging.time_known = false;
}

/* Returns whether the model is to be told. */
static bool check_async(const struct event *e) {
    if (e->kind == EVENT_NOTIFY && e->result < 0 && e->fd >= 0)
        return false; /* it is no async of the subject */
    if (!wide_knows_async(&judging.model, e->fd))
        malformed("more than 64 asyncs are in use at once");
    return true;
}

/* Before the model is told of a call. by: the cancel or carrier. Returns whether it is to be. */
static bool begin_call(const struct event *e, unsigned c, unsigned by) {
    unsigned submitted = e->kind == EVENT_CANCEL ? by : c;
    switch (e->kind) {
    case EVENT_DELETE:
        judging.deleted[c] = judging.deleted[c] || judging.model.completion[c].state != ET_DEAD;
        return true;
    case EVENT_ADD:
    case EVENT_TIMER:
    case EVENT_RESET:
    case EVENT_CANCEL:
    case EVENT_ASYNC_WAIT: break;
    case EVENT_NOTIFY:
    case EVENT_ASYNC_DEINIT: return check_async(e);
    default: return true;
    }
    if (e->kind == EVENT_ASYNC_WAIT)
        (void)check_async(e);
    if (e->kind == EVENT_TIMER || e->kind == EVENT_RESET || e->kind == EVENT_ASYNC_WAIT)
        check_observable(e, e->kind == EVENT_ASYNC_WAIT ? ET_READ : ET_TIMER);
    if (judging.lost)
        return false;
    judging.deleted[submitted] = false;
    start_unseen(e, submitted);
    if (e->kind == EVENT_ADD) {
        describe(e, c);
        if (!judging.lost)
            check_add(e, c);
    }
    return true;
}

/* The model has said what it must return. */
static void end_call(const struct event *e, unsigned c, unsigned by, int expected) {
    bool pool = judging.model.has_pool;
    if (e->kind == EVENT_STOP || e->kind == EVENT_UPDATE_NOW || e->kind == EVENT_WAKEUP)
        return;
    check_returned(e, expected);
    if (e->kind == EVENT_DEINIT && expected == 0 && !judging.lost) {
        judging.in_deinit = pool;
        if (!pool)
            begin_anew();
    }
    if (e->kind > EVENT_CANCEL && e->kind != EVENT_ASYNC_WAIT)
        return;
    unsigned submitted = e->kind == EVENT_CANCEL ? by : c;
    if (e->kind != EVENT_DELETE && e->kind != EVENT_ASYNC_WAIT)
        note_submission(submitted);
    check_state(e, submitted);
}

/* ---- what was not seen ----------------------------------------------------------------------- */

static uint64_t clock_at(const struct event *e) {
    if ((e->has & EVENT_HAS_CLOCK) != 0)
        return e->clock_ns;
    /* a loop time that stands still may be ahead of a clock that has gone back */
    bool known = (e->has & EVENT_HAS_NOW) != 0 && e->now_ms <= UINT64_MAX / MS_NS &&
                 e->now_ms > judging.model.now_ms;
    return known && e->now_ms * MS_NS > judging.model.clock_ns ? e->now_ms * MS_NS
                                                               : judging.model.clock_ns;
}

/* Else time must go by before the event, as it does in a wait. */
static bool at_this_time(const struct event *e) {
    return (judging.observes & OBSERVES_TIME) == 0 || (e->has & EVENT_HAS_NOW) == 0 ||
           e->now_ms == judging.model.now_ms;
}

/* The model stands at a try that nobody saw. c: whose callback follows, or NO_SLOT. */
static bool try_unseen(unsigned current, unsigned c, int64_t result) {
    const struct model_completion *of = &judging.model.completion[current];
    unsigned operation = of->operation;
    bool own = current == c;
    if (operation != ET_CONNECT && !own && of->description.has_callback)
        return false; /* a close or a shutdown ends before anything else is seen */
    int64_t answer = own ? result : operation == ET_CONNECT ? -EINPROGRESS : 0;
    struct event e = {.kind = EVENT_TRY,
                      .c = current,
                      .operation = of->operation,
                      .fd = of->description.fd,
                      .result = answer};
    return wide_step(&judging.model, &e).broken == NULL;
}

/* A wait that nobody saw, by every clause as it must be, ends with this error. */
static bool wait_unseen(const struct event *e, int error) {
    struct event wait = {
        .kind = EVENT_WAIT, .result = wide_lawful_limit(&judging.model), .forgiven = true};
    struct event woken = {.kind = EVENT_WOKEN, .result = -error};
    if (wide_step(&judging.model, &wait).broken != NULL)
        return false;
    if (clock_at(e) > judging.model.clock_ns)
        model_clock(&judging.model, clock_at(e));
    return wide_step(&judging.model, &woken).broken == NULL;
}

/* Goes past one thing that was not seen, in search of what makes the event lawful. c: whose
 * callback the event is. */
static bool pass(const struct event *e, unsigned c, unsigned *rounds) {
    unsigned current;
    bool ready = (judging.observes & OBSERVES_READINESS) != 0, is_end = e->kind == EVENT_END, fails;
    int64_t result = e->result;
    switch (wide_due(&judging.model, &current)) {
    case WIDE_TRY: return !ready && try_unseen(current, at_this_time(e) ? c : NO_SLOT, result);
    case WIDE_CHOICE:
        if (!ready && current == c && result != -ECANCELED && at_this_time(e))
            return try_unseen(current, c, result);
        return wide_move_on(&judging.model);
    case WIDE_DELIVERY: return wide_move_on(&judging.model);
    case WIDE_WAIT:
        if ((judging.observes & OBSERVES_WAITS) != 0 || ++*rounds > UNSEEN_ROUNDS)
            return false;
        fails = is_end && result < 0 && result > -4096 && *rounds > judging.good_waits;
        return wait_unseen(e, fails ? (int)-result : 0);
    case WIDE_UNSEEN: return wide_move_on(&judging.model);
    default: return false;
    }
}

/* Whether the callback is that of a registration which the kernel refused and nobody saw. Where a
 * try explains it as well, the errno decides: what comes before the wait and what comes after it
 * then cannot be told apart. Where nothing else does, every errno does. */
static bool refused_unseen(const struct event *e, unsigned c) {
    static const int typical[] = {EPERM, EBADF, ENOENT, ENOMEM, ENOSPC, EEXIST, EMFILE, ELOOP};
    unsigned current;
    enum wide_due due = wide_due(&judging.model, &current);
    bool waits = (judging.observes & OBSERVES_WAITS) != 0,
         ready = (judging.observes & OBSERVES_READINESS) != 0;
    if (ready || e->result >= 0 || e->result < -4095 || e->result == -ECANCELED ||
        !wide_waits(&judging.model, c))
        return false;
    if ((due == WIDE_CALLBACK || due == WIDE_TRY || due == WIDE_CHOICE) && current == c)
        return false;
    if (judging.any_errno)
        return true;
    if (due == WIDE_CALLBACK)
        return false;
    if (judging.model.completion[c].operation == ET_POLL || (waits && due == WIDE_WAIT))
        return true;
    for (unsigned i = 0; i < sizeof typical / sizeof *typical; i++)
        if (e->result == -typical[i])
            return true;
    return false;
}

/* One way to get there. */
static bool reach_by(const struct event *e, unsigned c) {
    unsigned rounds = 0, due, steps = 0;
    enum wide_due aim = e->kind == EVENT_WAIT ? WIDE_WAIT : WIDE_END;
    bool callback = e->kind == EVENT_CALLBACK, took = e->kind == EVENT_TOOK;
    aim = e->kind == EVENT_THREAD ? WIDE_THREAD : aim;
    (void)wide_due(&judging.model, &due);
    while (steps++ < UNSEEN_STEPS_MAX) {
        if (took && judging.model.completion[c].pool != MODEL_NO_POOL)
            return true;
        if (callback ? wide_may_end(&judging.model, c, e->result)
                     : wide_due(&judging.model, &due) == aim) {
            bool later = callback && (judging.observes & OBSERVES_WAITS) == 0 && !at_this_time(e);
            /* the pool may have given it back behind its phase, before a wait */
            if (!later || !wide_move_on(&judging.model))
                return true;
            continue;
        }
        if (callback && wide_due(&judging.model, &due) == WIDE_DELIVERY &&
            wide_ready_unseen(&judging.model, c, e->result))
            continue;
        if (callback && at_this_time(e) && refused_unseen(e, c)) {
            wide_refused_unseen(&judging.model, c, (int)-e->result);
            return true;
        }
        if (!pass(e, c, &rounds))
            break;
    }
    return false;
}

/* Brings the model to where the event is lawful, if it can. c: whose callback it is, or NO_SLOT. */
static void reach(const struct event *e, unsigned c) {
    bool callback = e->kind == EVENT_CALLBACK;
    unsigned due;
    if ((judging.observes & OBSERVES_READINESS) != 0 || !judging.model.in_tick ||
        judging.model.in_callback != MODEL_NONE)
        return;
    (void)wide_due(&judging.model, &due);
    wide_copy(&judging.before, &judging.model);
    for (judging.any_errno = false;; judging.any_errno = true) {
        if (reach_by(e, c) || e->kind == EVENT_END)
            return;
        /* so that the clause is told of the place where it was broken */
        wide_copy(&judging.model, &judging.before);
        if (!callback || judging.any_errno)
            return;
    }
}

/* In which round an unseen wait has failed, only what is active then can tell. */
static void reach_end(const struct event *e) {
    bool failed = (judging.observes & OBSERVES_WAITS) == 0 && e->result < 0;
    for (judging.good_waits = 0;; judging.good_waits++) {
        reach(e, NO_SLOT);
        bool fits = !failed || !judging.model.in_tick || (e->has & EVENT_HAS_ACTIVE) == 0 ||
                    judging.model.active == e->active;
        if (fits || judging.good_waits == UNSEEN_ROUNDS - 1)
            break;
        wide_copy(&judging.model, &judging.before);
    }
}

/* Before an event is put before the model, what it then does by itself may depend on what comes
 * after it. */
static void prepare(const struct event *next) {
    if (next == NULL)
        return;
    unsigned c = next->kind == EVENT_CALLBACK ? find(next->c) : NO_SLOT;
    bool fires =
        c != NO_SLOT && next->result == 0 && judging.model.completion[c].operation == ET_TIMER;
    if ((judging.observes & OBSERVES_TIME) == 0) {
        if (fires)
            wide_expire(&judging.model, c);
        return;
    }
    bool updated = fires || next->kind == EVENT_WAIT;
    if (updated && clock_at(next) > judging.model.clock_ns)
        model_clock(&judging.model, clock_at(next));
    if (fires && (next->has & EVENT_HAS_NOW) != 0)
        wide_settle(&judging.model, c, next->now_ms);
}

/* ---- ticks ----------------------------------------------------------------------------------- */

/* Returns whether the model is to be told. */
static bool begin_tick(void) {
    bool within =
        judging.refused_tick || (judging.in_tick && judging.model.in_callback == MODEL_NONE);
    if (within)
        malformed("a tick begins within another, outside of a callback");
    return !within;
}

static void tick_begun(int expected) {
    judging.refused_tick = expected != MODEL_RUNS;
    judging.expected = expected;
    if (!judging.in_tick)
        memset(judging.within, 0, sizeof judging.within);
    judging.in_tick = true;
}

static void check_active(const struct event *e) {
    char expected[64];
    unsigned least = judging.model.active, most = judging.model.active;
    for (unsigned c = 0; c < judging.model.completions && (judging.observes & OBSERVES_WAITS) == 0;
         c++) {
        least -= judging.within[c] && judging.model.completion[c].state == ET_ACTIVE;
        most += judging.within[c] && judging.model.completion[c].state == ET_ADDING;
    }
    if ((e->has & EVENT_HAS_ACTIVE) == 0 || (e->active >= least && e->active <= most))
        return;
    snprintf(expected, sizeof expected, "%u completions are active", judging.model.active);
    differ("ET-STATE-6", expected, "%u are", e->active);
}

static bool begin_end(const struct event *e) {
    if (e->of_deinit && judging.in_deinit)
        return true;
    if (!judging.in_tick || e->of_deinit) {
        malformed("a tick or deinit ends that has not begun");
        return false;
    }
    if (judging.refused_tick) {
        check_returned(e, judging.expected);
        judging.refused_tick = false;
        judging.in_tick = judging.model.in_tick;
        return false;
    }
    if (judging.model.in_callback != MODEL_NONE) {
        malformed("a tick ends within a callback that has not returned");
        return false;
    }
    reach_end(e);
    return true;
}

static void ended(const struct event *e, bool lawful) {
    if (!e->of_deinit) {
        judging.in_tick = false;
        if (lawful)
            check_active(e);
        return;
    }
    judging.in_deinit = false;
    if (lawful) {
        judging.model.clause = "ET-DEINIT-2"; /* a notification may have come meanwhile */
        check_returned(e, 0);
    }
    if (!judging.lost)
        begin_anew();
}

/* After a difference: the subject is right, as far as the model can follow it. */
static void believe_callback(unsigned c) {
    if (!judging.model.in_tick) {
        judging.lost = true; /* outside of every tick there is nothing to go on from */
        return;
    }
    wide_bury(&judging.model, c);
    judging.model.in_callback = (model_index)c;
}

static bool begin_callback(const struct event *e, unsigned c) {
    bool within = judging.model.in_callback != MODEL_NONE;
    if (within)
        malformed("a callback begins within another one that has not returned");
    else
        reach(e, c);
    return !within;
}

static bool begin_return(const struct event *e, unsigned c) {
    if (judging.model.in_callback != c) {
        malformed("a callback returns that does not run");
        return false;
    }
    if (e->rearm)
        describe(e, c);
    if (!judging.lost && (judging.observes & OBSERVES_READINESS) == 0)
        wide_hold(&judging.model);
    return true;
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool is_of_pool(const struct event *e) {
    return e->kind >= EVENT_THREAD && e->kind <= EVENT_IDLE;
}

/* Brings the model to where the event may be lawful. Returns whether the model is to be told. */
static bool begin_event(const struct event *e, unsigned c, unsigned by) {
    if (e->kind < EVENT_TICK)
        return begin_call(e, c, by);
    if (is_of_pool(e) && !judging.model.has_pool) {
        malformed("a thread of a pool, but nothing said that the loop has one");
        return false;
    }
    switch (e->kind) {
    case EVENT_TICK:
    case EVENT_RUN: return begin_tick();
    case EVENT_END: return begin_end(e);
    case EVENT_CALLBACK: return begin_callback(e, c);
    case EVENT_RETURNED: return begin_return(e, c);
    case EVENT_WAIT:
    case EVENT_THREAD:
    case EVENT_TOOK: reach(e, c); return true;
    case EVENT_DEAD: {
        const struct model_completion *of = &judging.model.completion[c];
        bool maybe = (judging.model.maybe_dead[c / 64] >> (c % 64) & 1) != 0;
        return maybe || (of->state != ET_DEAD && !of->description.has_callback);
    }
    default: return true;
    }
}

/* The model: without the time, of the limit of a wait counts only whether there is one. */
static struct model_answer tell(const struct event *e) {
    struct model_answer answer = wide_step(&judging.model, e);
    bool limit =
        e->kind == EVENT_WAIT && answer.broken != NULL && e->result >= 0 &&
        (strcmp(answer.broken, "ET-WAIT-2") == 0 || strcmp(answer.broken, "ET-WAIT-3") == 0);
    struct event lawful = *e;
    if (limit && (judging.observes & OBSERVES_TIME) == 0) {
        lawful.result = wide_lawful_limit(&judging.model);
        if (lawful.result >= 0)
            answer = wide_step(&judging.model, &lawful);
    }
    return answer;
}

/* What the model says, after a call or an observation. */
static void conclude_event(const struct event *e, unsigned c, unsigned by,
                           struct model_answer answer) {
    if (e->kind < EVENT_TICK) {
        end_call(e, c, by, answer.returns);
        return;
    }
    /* it is known how that episode ended */
    bool deleted = e->kind == EVENT_CALLBACK && answer.broken != NULL && judging.deleted[c] &&
                   strcmp(answer.broken, "ET-STATE-3") == 0;
    if (deleted) {
        answer.broken = "ET-DELETE-4";
        judging.model.why = "it was deleted";
    }
    bool lawful = e->kind <= EVENT_RUN || e->kind == EVENT_DEAD || judge(answer.broken, e);
    if (e->kind <= EVENT_RUN)
        tick_begun(answer.returns);
    else if (e->kind == EVENT_END)
        ended(e, lawful);
    else if (e->kind == EVENT_CALLBACK && !lawful && judging.model.in_callback != c)
        believe_callback(c);
    else if (e->kind == EVENT_RETURNED && e->rearm)
        judging.within[c] = true;
}

/* ET-TIME-1: the loop time that the subject shows at this event. */
static void check_time(const struct event *e) {
    char expected[64];
    if ((judging.observes & OBSERVES_TIME) == 0 || (e->has & EVENT_HAS_NOW) == 0 ||
        e->now_ms == judging.model.now_ms || judging.lost)
        return;
    snprintf(expected, sizeof expected, "the loop time is %llu",
             (unsigned long long)judging.model.now_ms);
    differ(e->now_ms < judging.model.now_ms ? "ET-TIME-3" : "ET-TIME-1", expected, "it is %llu",
           (unsigned long long)e->now_ms);
    judging.model.now_ms = e->now_ms;
    judging.model.now_rest = 0;
}

static bool is_call(const struct event *e) {
    return e->kind <= EVENT_CANCEL || e->kind == EVENT_ASYNC_WAIT || e->kind == EVENT_DEINIT ||
           e->kind == EVENT_UPDATE_NOW;
}

/* Puts the event before the model, under the names that its completions have there. */
static void perform(const struct event *e) {
    struct event told = *e;
    unsigned c = NO_SLOT, by = NO_SLOT;
    judging.pinned = NO_SLOT;
    if (e->c != EVENT_NOBODY && (c = place(e->c)) == NO_SLOT)
        return;
    if (e->kind != EVENT_TRY)
        judging.pinned = c;
    bool two = e->kind == EVENT_RESET || e->kind == EVENT_CANCEL;
    if (two && e->by != EVENT_NOBODY && (by = place(e->by)) == NO_SLOT)
        return;
    if (!begin_event(e, c, by) || judging.lost)
        return;
    told.c = c == NO_SLOT ? EVENT_NOBODY : c;
    told.by = by == NO_SLOT ? EVENT_NOBODY : by;
    told.delay_ms = delay_of(e);
    told.forgiven = e->forgiven || (judging.observes & OBSERVES_READINESS) == 0;
    if (e->kind == EVENT_CALLBACK && (e->has & EVENT_HAS_USERDATA) == 0)
        told.userdata = judging.model.completion[c].description.userdata;
    conclude_event(e, c, by, tell(&told));
}

/* The time at which the loop was made is that of the first event that tells one. */
static void begin_time(const struct event *e) {
    if (judging.time_known || (e->has & (EVENT_HAS_NOW | EVENT_HAS_CLOCK)) == 0)
        return;
    bool same = (e->has & EVENT_HAS_NOW) != 0 && e->now_ms == judging.model.clock_ns / MS_NS;
    judging.time_known = true;
    if ((e->has & EVENT_HAS_CLOCK) != 0)
        judging.model.clock_ns = e->clock_ns;
    else if (!same) /* to the nanosecond it may have been told to the loop before */
        judging.model.clock_ns = e->now_ms <= UINT64_MAX / MS_NS ? e->now_ms * MS_NS : 0;
    judging.model.now_ms =
        (e->has & EVENT_HAS_NOW) != 0 ? e->now_ms : judging.model.clock_ns / MS_NS;
    judging.clock_known = judging.clock_known || (e->has & EVENT_HAS_CLOCK) != 0;
    judging.model.clock_is_vague = !judging.clock_known;
    judging.model.rest_is_vague = true; /* the clock may have gone on since the loop looked at it */
    judging.model.now_rest = 0;
}

static void apply(struct event *e, const struct event *next) {
    judging.line = e->line;
    judging.verdict.events++;
    begin_time(e);
    if ((e->has & EVENT_HAS_CLOCK) != 0)
        model_clock(&judging.model, e->clock_ns);
    else if ((e->has & EVENT_HAS_NOW) != 0 && e->kind == EVENT_UPDATE_NOW)
        model_clock(&judging.model, clock_at(e));
    if (is_call(e) && judging.in_tick && !judging.refused_tick &&
        judging.model.in_callback == MODEL_NONE) {
        malformed("a call within a tick, outside of a callback");
        return;
    }
    bool thread = (e->kind >= EVENT_THREAD && e->kind <= EVENT_IDLE) || e->kind == EVENT_NOTIFY ||
                  e->kind == EVENT_WAKEUP;
    if (judging.in_deinit && !thread && !(e->kind == EVENT_END && e->of_deinit)) {
        malformed("a deinit that waits for its pool has not ended");
        return;
    }
    if (judging.refused_tick && e->kind != EVENT_END && !thread) {
        differ(judging.model.clause, "this tick ends at once", "something happens in it");
        judging.lost = true; /* the model makes no rounds there */
        return;
    }
    /* What the model does by itself after these comes after them in the subject too. */
    bool before = e->kind == EVENT_TICK || e->kind == EVENT_RUN || e->kind == EVENT_RETURNED ||
                  e->kind == EVENT_DEINIT;
    if (before)
        check_time(e);
    if (judging.lost)
        return;
    prepare(next);
    perform(e);
    if (!before)
        check_time(e);
    if (e->kind == EVENT_RETURNED && (judging.observes & OBSERVES_TIME) == 0)
        prepare(next); /* of a timer that was rearmed just now */
}

/* ---- the command ----------------------------------------------------------------------------- */

static void begin(void) {
    judging.in_tick = judging.in_deinit = judging.refused_tick = judging.lost = judging.time_known =
        judging.clock_known = false;
    judging.malformed[0] = '\0';
    judging.taken = judging.spare = 0;
    memset(judging.used, 0, sizeof judging.used);
    memset(judging.bucket, 0xff, sizeof judging.bucket);
    judging.pinned = NO_SLOT;
    wide_init(&judging.model, 0, judging.recording.descriptors_max, 0);
    wide_init(&judging.before, 0, judging.recording.descriptors_max, 0);
}

static void complain_of_input(void) {
    if (judging.recording.line == 0)
        fprintf(stderr, "etalon: %s: %s\n", judging.verdict.name, judging.recording.error);
    else
        fprintf(stderr, "etalon: %s:%llu: %s\n", judging.verdict.name,
                (unsigned long long)judging.recording.line, judging.recording.error);
}

/* The next event of those that are to be judged. */
static int next_event(struct event *e) {
    for (;;) {
        int status = recording_next(&judging.recording, e);
        if (status != 1)
            return status;
        bool ready = e->kind >= EVENT_REPORT && e->kind <= EVENT_REFUSED;
        bool pool = (e->kind >= EVENT_THREAD && e->kind <= EVENT_POOL) ||
                    (e->kind == EVENT_END && e->of_deinit);
        if (e->kind == EVENT_DEAD && (judging.observes & (OBSERVES_READINESS | OBSERVES_POOL)) == 0)
            continue;
        bool wait = e->kind == EVENT_WAIT || e->kind == EVENT_WOKEN;
        if (pool && (judging.observes & OBSERVES_POOL) == 0)
            continue;
        if ((ready && (judging.observes & OBSERVES_READINESS) == 0) ||
            (wait && (judging.observes & OBSERVES_WAITS) == 0))
            continue;
        if ((judging.observes & OBSERVES_TIME) == 0)
            e->has &= (uint8_t) ~(EVENT_HAS_NOW | EVENT_HAS_CLOCK);
        if ((judging.observes & OBSERVES_STATES) == 0) {
            e->has &= (uint8_t)~EVENT_HAS_ACTIVE;
            e->state = EVENT_NO_STATE;
        }
        return 1;
    }
}

/* Returns false when the input is bad. */
static bool judge_all(void) {
    struct event event[2];
    unsigned at = 0;
    int status = next_event(&event[0]);
    bool more = status == 1;
    while (more && !judging.lost) {
        status = next_event(&event[at ^ 1]);
        more = status == 1;
        apply(&event[at], more ? &event[at ^ 1] : NULL);
        at ^= 1;
    }
    judging.verdict.unfinished = judging.lost;
    if (judging.malformed[0] != '\0') {
        fprintf(stderr, "etalon: %s:%llu: %s\n", judging.verdict.name,
                (unsigned long long)judging.line, judging.malformed);
        return false;
    }
    if (status >= 0 || judging.lost)
        return true;
    complain_of_input();
    return false;
}

static void write_json(FILE *out, const void *verdict) {
    judgement_write(verdict, out);
}

static int conclude(void) {
    uint64_t broken = judging.verdict.differences - judging.verdict.not_strict;
    int status = broken > 0 || (judging.strict && judging.verdict.not_strict > 0);
    if (judging.silent)
        return status;
    printf("%s: %s in %llu event%s", judging.verdict.name,
           broken > 0                       ? "the law is broken"
           : judging.verdict.not_strict > 0 ? "lawful, but not strictly"
                                            : "lawful",
           (unsigned long long)judging.verdict.events, plural(judging.verdict.events));
    if (judging.verdict.differences > 0)
        printf(", %llu difference%s%s", (unsigned long long)judging.verdict.differences,
               plural(judging.verdict.differences),
               judging.lost ? "; the rest was not judged" : "");
    const char *separator = "; not observed, and so not judged: ";
    for (unsigned i = 0; i < OBSERVABLE; i++)
        if ((judging.observes >> i & 1) == 0) {
            printf("%s%s", separator, recording_observes[i]);
            separator = ", ";
        }
    putchar('\n');
    return status;
}

static void usage(FILE *out) {
    fputs("usage: etalon judge [OPTION...] RECORDING...\n"
          "\n"
          "Checks a recording of any loop against the law, clause by clause; - is standard input.\n"
          "spec/trace-format.md says what a recording is.\n"
          "\n"
          "  --keep-going     go on after the first clause that is broken\n"
          "  --strict         a SHOULD that is missed is a failure too\n"
          "  --json FILE      write everything that was found, of one recording; - and any other\n"
          "                   name of standard output: there nothing else is printed then\n"
          "  --quiet          print the verdict alone\n"
          "  --observes LIST  look only at these of what was observed, with commas between:\n"
          "                   time,states,waits,readiness,pool\n"
          "\n"
          "Exit status: 0 it is lawful, 1 it is not, 2 bad input or arguments, or an output that\n"
          "cannot be written.\n",
          out);
}

/* A list such as "time,states". */
static bool read_observes(char *list) {
    judging.only = 0;
    for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ",")) {
        unsigned i = 0;
        while (i < OBSERVABLE && strcmp(word, recording_observes[i]) != 0)
            i++;
        if (i == OBSERVABLE) {
            fprintf(stderr,
                    "etalon: judge: --observes: '%s' is not one of time, states, waits, readiness, "
                    "pool\n",
                    word);
            exit(BAD_INPUT);
        }
        judging.only |= 1U << i;
    }
    if ((judging.only & OBSERVES_READINESS) != 0 && (judging.only & OBSERVES_WAITS) == 0) {
        fputs("etalon: judge: --observes: what observes readiness observes waits too\n", stderr);
        exit(BAD_INPUT);
    }
    return true;
}

static bool read_options(int argc, char **argv) {
    static const struct option options[] = {
        {"keep-going", no_argument, NULL, 'k'},
        {"strict", no_argument, NULL, 's'},
        {"json", required_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},
        {"observes", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int letter;
    while ((letter = options_next("judge", argc, argv, ":kqh", options)) != -1) {
        switch (letter) {
        case 'k': judging.keep_going = true; break;
        case 's': judging.strict = true; break;
        case 'q': judging.quiet = true; break;
        case 'o':
            if (!read_observes(optarg))
                return false;
            break;
        case 'j': judging.json = optarg; break;
        case 'h': usage(stdout); exit(fflush(stdout) != 0);
        default: return false;
        }
    }
    if (argc - optind < 1)
        usage(stderr);
    return argc - optind >= 1;
}

static int judge_file(const char *name) {
    bool standard = strcmp(name, "-") == 0;
    FILE *file = standard ? stdin : fopen(name, "rb");
    if (file == NULL) {
        fprintf(stderr, "etalon: %s: %s\n", name, strerror(errno));
        return BAD_INPUT;
    }
    judging.verdict = (struct judgement){.name = standard ? "standard input" : name,
                                         .recording = &judging.recording,
                                         .difference = judging.difference};
    int status = BAD_INPUT;
    if (!recording_open(&judging.recording, file, judging.verdict.name)) {
        complain_of_input();
    } else {
        judging.observes = judging.recording.observes & judging.only;
        begin();
        if (judge_all() &&
            (judging.json == NULL ||
             write_whole(judging.silent ? NULL : judging.json, write_json, &judging.verdict)))
            status = conclude();
    }
    recording_close(&judging.recording);
    if (!standard)
        fclose(file);
    return status;
}

int judge_main(int argc, char **argv) {
    int worst = 0;
    judging.only = ~0U;
    if (!read_options(argc, argv))
        return BAD_INPUT;
    if (judging.json != NULL && argc - optind > 1) {
        fputs("etalon: judge: --json takes one recording at a time\n", stderr);
        return BAD_INPUT;
    }
    if (judging.json != NULL && output_same(judging.json, argv[optind])) {
        fprintf(stderr, "etalon: judge: --json %s: it is read, and would be overwritten\n",
                judging.json);
        return BAD_INPUT;
    }
    judging.silent = judging.json != NULL && output_is_standard(judging.json);
    for (int i = optind; i < argc; i++) {
        int status = judge_file(argv[i]);
        worst = status > worst ? status : worst;
    }
    return worst;
}
