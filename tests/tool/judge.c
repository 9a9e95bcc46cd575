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
#include "output.h"
#include "recording.h"
#include "wide_model.h"

#include <errno.h>
#include <getopt.h>
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
#define UNSEEN_ROUNDS                                                                              \
    3 /* that a loop may make between two events, with nothing seen of them, and something still   \
         to come */

static struct judge {
    struct model model, before;
    struct recording recording;
    unsigned observes, only; /* what the recorder could see, and what --observes leaves of it */
    /* Places in the model, by the completion's number in the recording. */
    uint64_t id[MODEL_COMPLETIONS];
    bool used[MODEL_COMPLETIONS];
    bool deleted[MODEL_COMPLETIONS]; /* its last episode was, by the caller */
    bool within
        /* submitted in a callback of the last tick: who sees no waits knows of no round that starts
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
    bool refused_tick; /* the model says that it returns `expected` at once */
    int expected;
    uint64_t line;
    bool lost; /* no sense can be made of what follows */
    struct difference difference[DIFFERENCES_MAX];
    struct judgement verdict;
    bool keep_going, strict, quiet;
    const char *json;
    char malformed[200];
} j;

/* ---- differences ----------------------------------------------------------------------------- */

/* Every other clause is a MUST (spec/etalon.md). */
static bool is_should(const char *clause) {
    return strcmp(clause, "ET-STOP-3") == 0 || strcmp(clause, "ET-WAIT-4") == 0;
}

static void differ(const char *clause, const char *expected, const char *format, ...) {
    struct difference d = {.line = j.line, .clause = clause, .should = is_should(clause)};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(d.observed, sizeof d.observed, format, arguments);
    va_end(arguments);
    snprintf(d.expected, sizeof d.expected, "%s", expected);
    j.verdict.differences++;
    j.verdict.not_strict += d.should;
    if (j.verdict.kept < DIFFERENCES_MAX) {
        j.difference[j.verdict.kept++] = d;
        if (!j.quiet)
            printf("%s:%llu: %s%s: expected: %s; observed: %s\n", j.verdict.name,
                   (unsigned long long)d.line, clause, d.should ? " (should)" : "", d.expected,
                   d.observed);
    }
    if (!j.keep_going && (!d.should || j.strict))
        j.lost = true;
}

/* The model has judged this event. Returns whether it was lawful. */
static bool judge(const char *clause, const struct event *event) {
    char expected[200], observed[120], result[32];
    unsigned c;
    if (clause == NULL)
        return true;
    const char *why = j.model.why != NULL ? j.model.why : "";
    event_text(event, observed, sizeof observed);
    if (j.model.in_tick && wide_due(&j.model, &c) == WIDE_CALLBACK && c < j.model.completions)
        snprintf(expected, sizeof expected, "%s (next is the callback of %llu with %s)", why,
                 (unsigned long long)j.id[c],
                 result_text(j.model.tick.due_result, result, sizeof result));
    else
        snprintf(expected, sizeof expected, "%s", why);
    differ(clause, expected, "%s", observed);
    return false;
}

/* The line makes no sense where it stands. */
static void malformed(const char *what) {
    if (j.malformed[0] == '\0')
        snprintf(j.malformed, sizeof j.malformed, "%s", what);
    j.lost = true;
}

/* ---- places in the model --------------------------------------------------------------------- */

static unsigned hash(uint64_t id) {
    return (unsigned)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 52);
}

static unsigned find(uint64_t id) {
    unsigned c = j.bucket[hash(id)];
    while (c != NO_SLOT && j.id[c] != id)
        c = j.next[c];
    return c;
}

static void give_away(unsigned c) {
    model_index *at = &j.bucket[hash(j.id[c])];
    while (*at != c)
        at = &j.next[*at];
    *at = j.next[c];
    j.used[c] = false;
    j.taken--;
    j.spare = c < j.spare ? c : j.spare;
    model_forget(&j.model, c);
}

/* Gives away the places of the dead. The target of a cancel must still be found dead when that
 * looks at it. */
static void bury_the_dead(void) {
    model_set wanted = {0};
    for (unsigned c = 0; c < j.model.completions; c++) {
        const struct model_completion *of = &j.model.completion[c];
        unsigned target = of->description.target;
        if (of->state != ET_DEAD && of->operation == ET_CANCEL && target < MODEL_COMPLETIONS)
            wanted[target / 64] |= UINT64_C(1) << (target % 64);
    }
    for (unsigned c = 0; c < j.model.completions; c++) {
        bool needed =
            (wanted[c / 64] >> (c % 64) & 1) != 0 || c == j.model.in_callback || c == j.pinned;
        if (j.used[c] && j.model.completion[c].state == ET_DEAD && !needed)
            give_away(c);
    }
}

/* The place of the completion; a new one when it has none: then it is dead. */
static unsigned place(uint64_t id) {
    unsigned c = find(id);
    if (c != NO_SLOT)
        return c;
    if (j.taken == j.model.completions) {
        bury_the_dead();
        unsigned room = j.model.completions < 16 ? 16 : j.model.completions;
        if (j.taken * 2 > room) /* else looking for the dead would be all that is done */
            room *= 2;
        j.model.completions = (model_index)(room < MODEL_COMPLETIONS ? room : MODEL_COMPLETIONS);
    }
    if (j.taken == j.model.completions) {
        malformed("more than 1024 completions are at work at once");
        return NO_SLOT;
    }
    for (c = j.spare; j.used[c]; c++) {
    }
    j.spare = c + 1;
    j.used[c] = true;
    j.deleted[c] = j.within[c] = false;
    j.id[c] = id;
    j.taken++;
    j.next[c] = j.bucket[hash(id)];
    j.bucket[hash(id)] = (model_index)c;
    return c;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static const char *const state_names[] = {"dead", "adding", "active", "deleting"};

static void check_state(const struct event *e, unsigned c) {
    char expected[64];
    unsigned state = j.model.completion[c].state;
    if (e->state == NO_STATE || e->state == state)
        return;
    bool unknown = (j.observes & OBSERVES_READINESS) == 0 && j.model.in_callback != MODEL_NONE;
    bool gone = (e->state == ET_DEAD || e->state == ET_DELETING) &&
                (state == ET_DEAD || state == ET_DELETING);
    if (unknown && gone && e->kind == EVENT_DELETE && j.before.completion[c].state == ET_DELETING)
        return; /* deleted in an earlier callback: the deletions may have been gone through since */
    snprintf(expected, sizeof expected, "%llu is %s after this call", (unsigned long long)j.id[c],
             state_names[state]);
    differ("ET-STATE-2", expected, "it is %s", state_names[e->state]);
}

static void check_returned(const struct event *e, int expected) {
    char text[64], result[32], seen[32];
    if (e->result == expected)
        return;
    snprintf(text, sizeof text, "the call returns %s",
             result_text(expected, result, sizeof result));
    differ(j.model.clause, text, "it returned %s", result_text(e->result, seen, sizeof seen));
}

/* Without the time no deadline is known: a timer may fire when it is seen to. */
static uint64_t delay_of(const struct event *e) {
    return (j.observes & OBSERVES_TIME) != 0 ? e->delay_ms : UINT64_MAX;
}

/* Whoever sees neither the end of an operation nor what ends it cannot say what the loop is to do
 * next. */
static void check_observable(const struct event *e, unsigned operation) {
    bool ready = operation >= ET_ACCEPT && operation <= ET_RECVMSG;
    bool timer = operation == ET_TIMER;
    if (e->has_callback || e->result < 0)
        return;
    if (ready && (j.observes & OBSERVES_READINESS) == 0)
        malformed("an operation without a callback on a descriptor can be judged only when "
                  "readiness is observed");
    if (timer && (j.observes & OBSERVES_TIME) == 0)
        malformed("a timer without a callback can be judged only when time is observed");
}

static void describe(const struct event *e, unsigned c) {
    if ((e->has & HAS_DESCRIPTION) == 0)
        return;
    struct model_description d = {.operation = (uint8_t)e->operation,
                                  .target = MODEL_NONE,
                                  .pool_mark = e->pool,
                                  .has_callback = e->has_callback,
                                  .fd = e->fd,
                                  .events = e->events,
                                  .userdata = e->userdata,
                                  .delay_ms = delay_of(e)};
    check_observable(e, e->operation);
    if (e->operation == ET_CANCEL && e->has_target)
        d.target = (model_index)place(e->target);
    if (!j.lost && j.model.completion[c].state == ET_DEAD)
        model_describe(&j.model, c, &d);
}

/* Whether a round has begun between two events is not known to who sees no waits. What a call
 * returned, or the state after it, tells whether c was started in it; but only of what may have
 * been, or nothing that a call returns would be wrong. */
static void start_unseen(const struct event *e, unsigned c) {
    bool called = j.model.in_tick && j.model.in_callback != MODEL_NONE;
    bool unknown = (j.observes & OBSERVES_WAITS) == 0 && (called || (!j.in_tick && j.within[c]));
    const struct model_completion *of = &j.model.completion[c];
    bool busy = e->result == -EBUSY, timer = of->operation == ET_TIMER;
    bool active = e->state == ET_ACTIVE, adding = e->state == ET_ADDING;
    if (e->state == NO_STATE && e->kind == EVENT_RESET) {
        adding = busy && !timer;
    } else if (e->state == NO_STATE &&
               (e->kind == EVENT_ADD || (e->kind == EVENT_TIMER && timer))) {
        active = busy;
        adding = e->result == 0;
    }
    if (unknown && of->state == ET_ADDING && active)
        wide_start(&j.model, c);
    bool just_now = of->state == ET_ACTIVE && (!called || of->order >= j.before.orders);
    if (unknown && just_now && adding)
        wide_unstart(&j.model, c);
}

/* After a call that submits c. */
static void note_submission(unsigned c) {
    j.within[c] = j.model.completion[c].state == ET_ADDING ? j.in_tick : j.within[c];
}

static void on_add(const struct event *e, unsigned c) {
    start_unseen(e, c);
    describe(e, c);
    if (j.lost)
        return;
    if (e->pool && e->result == 0 && (j.observes & OBSERVES_POOL) == 0) {
        malformed("an operation with the pool mark can be judged only when the pool is observed");
        return;
    }
    const struct model_completion *of = &j.model.completion[c];
    bool described =
        (e->has & HAS_DESCRIPTION) != 0 || of->state == ET_ADDING || of->state == ET_ACTIVE;
    if (!described) {
        malformed(
            "\"op\" is missing: an add of a completion that is dead or deleting says what it is");
        return;
    }
    check_returned(e, model_add(&j.model, c));
    note_submission(c);
    check_state(e, c);
}

static void on_timer(const struct event *e, unsigned c) {
    unsigned by = (e->has & HAS_BY) != 0 ? place(e->by) : NO_SLOT;
    int expected;
    start_unseen(e, c);
    check_observable(e, ET_TIMER);
    if (j.lost)
        return;
    if (e->kind == EVENT_TIMER)
        expected = model_timer(&j.model, c, delay_of(e), e->has_callback, e->userdata);
    else
        expected = model_reset(&j.model, c, by, delay_of(e), e->has_callback, e->userdata);
    check_returned(e, expected);
    note_submission(c);
    check_state(e, c);
}

static void on_cancel(const struct event *e, unsigned target) {
    unsigned by = place(e->by);
    if (j.lost)
        return;
    j.deleted[by] = false;
    start_unseen(e, by);
    check_returned(e, model_cancel(&j.model, by, target, e->has_callback, e->userdata));
    note_submission(by);
    check_state(e, by);
}

/* What comes after it is another loop; the clock goes on. */
static void begin_anew(void) {
    unsigned completions = j.model.completions;
    uint64_t clock_ns = j.model.clock_ns;
    struct model_async async[MODEL_ASYNCS];
    memcpy(async, j.model.async, sizeof async);
    model_init(&j.model, completions, j.recording.descriptors_max, clock_ns);
    memcpy(j.model.async, async, sizeof async); /* they belong to no loop */
    memset(j.used, 0, sizeof j.used);
    memset(j.bucket, 0xff, sizeof j.bucket);
    j.taken = j.spare = 0;
    j.time_known = false;
}

static void on_deinit(const struct event *e) {
    bool pool = j.model.has_pool;
    int expected = model_deinit(&j.model);
    check_returned(e, expected);
    if (expected != 0 || j.lost)
        return;
    j.in_deinit = pool;
    if (!pool)
        begin_anew();
}

static void on_async(const struct event *e, unsigned c) {
    if (e->kind == EVENT_NOTIFY && e->result < 0 && e->fd >= 0)
        return; /* it is no async of the subject */
    if (!wide_knows_async(&j.model, e->fd)) {
        malformed("more than 64 asyncs are in use at once");
        return;
    }
    if (e->kind == EVENT_NOTIFY)
        check_returned(e, model_notify(&j.model, e->fd));
    else if (e->kind == EVENT_ASYNC_DEINIT)
        check_returned(e, model_async_deinit(&j.model, e->fd));
    else
        check_observable(e, ET_READ);
    if (e->kind != EVENT_ASYNC_WAIT || j.lost)
        return;
    start_unseen(e, c);
    check_returned(e, model_async_wait(&j.model, c, e->fd, e->has_callback, e->userdata));
    check_state(e, c);
}

/* ---- what was not seen ----------------------------------------------------------------------- */

static uint64_t clock_at(const struct event *e) {
    if ((e->has & HAS_CLOCK) != 0)
        return e->clock_ns;
    bool known = (e->has & HAS_NOW) != 0 && e->now_ms <= UINT64_MAX / MS_NS;
    return known && e->now_ms * MS_NS > j.model.clock_ns ? e->now_ms * MS_NS : j.model.clock_ns;
}

/* Else time must go by before the event, as it does in a wait. */
static bool at_this_time(const struct event *e) {
    return (j.observes & OBSERVES_TIME) == 0 || (e->has & HAS_NOW) == 0 ||
           e->now_ms == j.model.now_ms;
}

/* The model stands at a try that nobody saw. c: whose callback follows, or NO_SLOT. */
static bool try_unseen(unsigned current, unsigned c, int64_t result) {
    const struct model_completion *of = &j.model.completion[current];
    enum et_operation operation = (enum et_operation)of->operation;
    int fd = of->description.fd;
    bool own = current == c;
    if (operation != ET_CONNECT && !own && of->description.has_callback)
        return false; /* a close or a shutdown ends before anything else is seen */
    int64_t answer = own ? result : operation == ET_CONNECT ? -EINPROGRESS : 0;
    return model_try(&j.model, current, operation, fd, answer) == NULL;
}

/* Goes past one thing that was not seen, in search of what makes the event lawful. c: whose
 * callback the event is. */
static bool pass(const struct event *e, unsigned c, unsigned *rounds) {
    unsigned current;
    bool ready = (j.observes & OBSERVES_READINESS) != 0, is_end = e->kind == EVENT_END, fails;
    int64_t result = e->result;
    switch (wide_due(&j.model, &current)) {
    case WIDE_TRY: return !ready && try_unseen(current, at_this_time(e) ? c : NO_SLOT, result);
    case WIDE_CHOICE:
        if (!ready && current == c && result != -ECANCELED && at_this_time(e))
            return try_unseen(current, c, result);
        return wide_move_on(&j.model);
    case WIDE_DELIVERY: return wide_move_on(&j.model);
    case WIDE_WAIT:
        if ((j.observes & OBSERVES_WAITS) != 0 || ++*rounds > UNSEEN_ROUNDS)
            return false;
        fails = is_end && result < 0 && result > -4096 && *rounds > j.good_waits;
        return wide_wait_unseen(&j.model, clock_at(e), fails ? (int)-result : 0) == NULL;
    case WIDE_UNSEEN: return wide_move_on(&j.model);
    default: return false;
    }
}

/* Whether the callback is that of a registration which the kernel refused and nobody saw. Where a
 * try explains it as well, the errno decides: what comes before the wait and what comes after it
 * then cannot be told apart. Where nothing else does, every errno does. */
static bool refused_unseen(const struct event *e, unsigned c) {
    static const int typical[] = {EPERM, EBADF, ENOENT, ENOMEM, ENOSPC, EEXIST, EMFILE, ELOOP};
    unsigned current;
    enum wide_due due = wide_due(&j.model, &current);
    bool waits = (j.observes & OBSERVES_WAITS) != 0, ready = (j.observes & OBSERVES_READINESS) != 0;
    if (ready || e->result >= 0 || e->result < -4095 || e->result == -ECANCELED ||
        !wide_waits(&j.model, c))
        return false;
    if ((due == WIDE_CALLBACK || due == WIDE_TRY || due == WIDE_CHOICE) && current == c)
        return false;
    if (j.any_errno)
        return true;
    if (due == WIDE_CALLBACK)
        return false;
    if (j.model.completion[c].operation == ET_POLL || (waits && due == WIDE_WAIT))
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
    (void)wide_due(&j.model, &due);
    while (steps++ < UNSEEN_STEPS_MAX) {
        if (took && j.model.completion[c].pool != MODEL_NO_POOL)
            return true;
        if (callback ? wide_may_end(&j.model, c, e->result) : wide_due(&j.model, &due) == aim) {
            bool later = callback && (j.observes & OBSERVES_WAITS) == 0 && !at_this_time(e);
            /* the pool may have given it back behind its phase, before a wait */
            if (!later || !wide_move_on(&j.model))
                return true;
            continue;
        }
        if (callback && wide_due(&j.model, &due) == WIDE_DELIVERY &&
            wide_ready_unseen(&j.model, c, e->result))
            continue;
        if (callback && at_this_time(e) && refused_unseen(e, c)) {
            wide_refused_unseen(&j.model, c, (int)-e->result);
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
    if ((j.observes & OBSERVES_READINESS) != 0 || !j.model.in_tick ||
        j.model.in_callback != MODEL_NONE)
        return;
    (void)wide_due(&j.model, &due);
    wide_copy(&j.before, &j.model);
    for (j.any_errno = false;; j.any_errno = true) {
        if (reach_by(e, c) || e->kind == EVENT_END)
            return;
        /* so that the clause is told of the place where it was broken */
        wide_copy(&j.model, &j.before);
        if (!callback || j.any_errno)
            return;
    }
}

/* In which round an unseen wait has failed, only what is active then can tell. */
static void reach_end(const struct event *e) {
    bool failed = (j.observes & OBSERVES_WAITS) == 0 && e->result < 0;
    for (j.good_waits = 0;; j.good_waits++) {
        reach(e, NO_SLOT);
        bool fits = !failed || !j.model.in_tick || (e->has & HAS_ACTIVE) == 0 ||
                    j.model.active == e->active;
        if (fits || j.good_waits == UNSEEN_ROUNDS - 1)
            break;
        wide_copy(&j.model, &j.before);
    }
}

/* Before an event is put before the model, what it then does by itself may depend on what comes
 * after it. */
static void prepare(const struct event *next) {
    if (next == NULL)
        return;
    unsigned c = next->kind == EVENT_CALLBACK ? find(next->c) : NO_SLOT;
    bool fires = c != NO_SLOT && next->result == 0 && j.model.completion[c].operation == ET_TIMER;
    if ((j.observes & OBSERVES_TIME) == 0) {
        if (fires)
            wide_expire(&j.model, c);
        return;
    }
    bool updated = fires || next->kind == EVENT_WAIT;
    if (updated && clock_at(next) > j.model.clock_ns)
        model_clock(&j.model, clock_at(next));
}

/* ---- ticks ----------------------------------------------------------------------------------- */

static void on_tick(const struct event *e) {
    static const uint64_t asked[] = {0, 1, MODEL_NEVER_REACHED};
    bool unknown = e->kind == EVENT_RUN && e->mode < 0;
    if (j.refused_tick || (j.in_tick && j.model.in_callback == MODEL_NONE)) {
        malformed("a tick begins within another, outside of a callback");
        return;
    }
    int expected = -EINVAL;
    if (unknown)
        j.model.clause = "ET-RUN-4";
    else
        expected = model_tick(&j.model, e->kind == EVENT_RUN ? asked[e->mode] : e->callbacks);
    j.refused_tick = expected != MODEL_RUNS;
    j.expected = expected;
    if (!j.in_tick)
        memset(j.within, 0, sizeof j.within);
    j.in_tick = true;
}

static void check_active(const struct event *e) {
    char expected[64];
    unsigned least = j.model.active, most = j.model.active;
    for (unsigned c = 0; c < j.model.completions && (j.observes & OBSERVES_WAITS) == 0; c++) {
        least -= j.within[c] && j.model.completion[c].state == ET_ACTIVE;
        most += j.within[c] && j.model.completion[c].state == ET_ADDING;
    }
    if ((e->has & HAS_ACTIVE) == 0 || (e->active >= least && e->active <= most))
        return;
    snprintf(expected, sizeof expected, "%u completions are active", j.model.active);
    differ("ET-STATE-6", expected, "%u are", e->active);
}

static void on_end(const struct event *e) {
    if (e->of_deinit && j.in_deinit) {
        j.in_deinit = false;
        if (judge(model_deinit_end(&j.model), e)) {
            j.model.clause = "ET-DEINIT-2"; /* a notification may have come meanwhile */
            check_returned(e, 0);
        }
        if (!j.lost)
            begin_anew();
        return;
    }
    if (!j.in_tick || e->of_deinit) {
        malformed("a tick or deinit ends that has not begun");
        return;
    }
    if (j.refused_tick) {
        check_returned(e, j.expected);
        j.refused_tick = false;
        j.in_tick = j.model.in_tick;
        return;
    }
    if (j.model.in_callback != MODEL_NONE) {
        malformed("a tick ends within a callback that has not returned");
        return;
    }
    reach_end(e);
    j.in_tick = false;
    if (judge(model_tick_end(&j.model, (int)e->result), e))
        check_active(e);
}

/* After a difference: the subject is right, as far as the model can follow it. */
static void believe_callback(unsigned c) {
    if (!j.model.in_tick) {
        j.lost = true; /* outside of every tick there is nothing to go on from */
        return;
    }
    wide_bury(&j.model, c);
    j.model.in_callback = (model_index)c;
}

static void on_callback(const struct event *e, unsigned c) {
    if (j.model.in_callback != MODEL_NONE) {
        malformed("a callback begins within another one that has not returned");
        return;
    }
    if ((e->has & HAS_USERDATA) == 0)
        ((struct event *)(uintptr_t)e)->userdata = j.model.completion[c].description.userdata;
    reach(e, c);
    const char *clause = model_callback(&j.model, c, e->result, e->userdata);
    /* it is known how that episode ended */
    if (clause != NULL && j.deleted[c] && strcmp(clause, "ET-STATE-3") == 0) {
        clause = "ET-DELETE-4";
        j.model.why = "it was deleted";
    }
    if (!judge(clause, e) && j.model.in_callback != c)
        believe_callback(c);
}

static void on_returned(const struct event *e, unsigned c) {
    if (j.model.in_callback != c) {
        malformed("a callback returns that does not run");
        return;
    }
    if (e->rearm && j.model.completion[c].state == ET_DEAD)
        describe(e, c);
    if (j.lost)
        return;
    if ((j.observes & OBSERVES_READINESS) == 0)
        wide_hold(&j.model);
    judge(model_returned(&j.model, e->rearm ? ET_REARM : ET_DISARM), e);
    if (e->rearm)
        j.within[c] = true;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_dead(unsigned c) {
    model_set dead = {0};
    dead[c / 64] |= UINT64_C(1) << (c % 64);
    const struct model_completion *of = &j.model.completion[c];
    bool maybe = (j.model.maybe_dead[c / 64] >> (c % 64) & 1) != 0;
    if (maybe || (of->state != ET_DEAD && !of->description.has_callback))
        model_settled(&j.model, dead);
}

static void on_pool(const struct event *e, unsigned c) {
    if (e->kind == EVENT_POOL) {
        j.model.has_pool = true;
        j.model.pool_threads_max = e->threads_max;
        j.model.pool_threads = e->threads;
        return;
    }
    if (!j.model.has_pool) {
        malformed("a thread of a pool, but nothing said that the loop has one");
        return;
    }
    if (e->kind == EVENT_THREAD || e->kind == EVENT_TOOK)
        reach(e, c);
    switch (e->kind) {
    case EVENT_THREAD: judge(model_thread(&j.model, (int)-e->result), e); break;
    case EVENT_TOOK: judge(model_took(&j.model, c), e); break;
    case EVENT_EXECUTED:
        judge(model_executed(&j.model, c, (enum et_operation)e->operation, e->fd, e->result), e);
        break;
    case EVENT_GAVE_BACK: judge(model_gave_back(&j.model, c), e); break;
    default: judge(model_idle(&j.model), e); break;
    }
}

static void on_kernel(const struct event *e) {
    unsigned c = MODEL_NONE;
    if (e->kind == EVENT_TRY && (e->has & HAS_C) != 0)
        c = place(e->c);
    if (j.lost)
        return;
    switch (e->kind) {
    case EVENT_WAIT:
        reach(e, NO_SLOT);
        j.model.forgive_registration = e->forgiven || (j.observes & OBSERVES_READINESS) == 0;
        judge((j.observes & OBSERVES_TIME) != 0 ? model_wait(&j.model, e->result)
                                                : wide_wait_untimed(&j.model, e->result),
              e);
        break;
    case EVENT_WOKEN: judge(model_woken(&j.model, (int)-e->result), e); break;
    case EVENT_REPORT:
        judge(model_report(&j.model, e->fd, e->events, e->stale ? MODEL_STALE : MODEL_SEEN), e);
        break;
    case EVENT_MOVED: model_moved(&j.model, e->fd); break;
    case EVENT_TRY:
        judge(model_try(&j.model, c, (enum et_operation)e->operation, e->fd, e->result), e);
        break;
    default: judge(model_refused(&j.model, e->fd, (int)-e->result, e->kept, e->claimed), e); break;
    }
}

/* ET-TIME-1: the loop time that the subject shows at this event. */
static void check_time(const struct event *e) {
    char expected[64];
    if ((j.observes & OBSERVES_TIME) == 0 || (e->has & HAS_NOW) == 0 ||
        e->now_ms == j.model.now_ms || j.lost)
        return;
    snprintf(expected, sizeof expected, "the loop time is %llu",
             (unsigned long long)j.model.now_ms);
    differ(e->now_ms < j.model.now_ms ? "ET-TIME-3" : "ET-TIME-1", expected, "it is %llu",
           (unsigned long long)e->now_ms);
    j.model.now_ms = e->now_ms;
}

static bool is_call(const struct event *e) {
    return e->kind <= EVENT_CANCEL || e->kind == EVENT_ASYNC_WAIT || e->kind == EVENT_DEINIT ||
           e->kind == EVENT_UPDATE_NOW;
}

static void perform(struct event *e) {
    unsigned c = NO_SLOT;
    bool begins = e->kind == EVENT_ADD || e->kind == EVENT_TIMER || e->kind == EVENT_RESET ||
                  e->kind == EVENT_ASYNC_WAIT;
    j.pinned = NO_SLOT;
    if ((e->has & HAS_C) != 0 && e->kind != EVENT_TRY && (c = place(e->c)) == NO_SLOT)
        return;
    j.pinned = c;
    if (begins)
        j.deleted[c] = false;
    switch (e->kind) {
    case EVENT_ADD: on_add(e, c); break;
    case EVENT_DELETE:
        j.deleted[c] = j.deleted[c] || j.model.completion[c].state != ET_DEAD;
        check_returned(e, model_delete(&j.model, c));
        check_state(e, c);
        break;
    case EVENT_TIMER:
    case EVENT_RESET: on_timer(e, c); break;
    case EVENT_CANCEL: on_cancel(e, c); break;
    case EVENT_STOP: model_stop(&j.model); break;
    case EVENT_UPDATE_NOW: model_update_now(&j.model); break;
    case EVENT_DEINIT: on_deinit(e); break;
    case EVENT_WAKEUP: break;
    case EVENT_TICK:
    case EVENT_RUN: on_tick(e); break;
    case EVENT_END: on_end(e); break;
    case EVENT_CALLBACK: on_callback(e, c); break;
    case EVENT_RETURNED: on_returned(e, c); break;
    case EVENT_ASYNC_WAIT:
    case EVENT_NOTIFY:
    case EVENT_ASYNC_DEINIT: on_async(e, c); break;
    case EVENT_THREAD:
    case EVENT_TOOK:
    case EVENT_EXECUTED:
    case EVENT_GAVE_BACK:
    case EVENT_IDLE:
    case EVENT_POOL: on_pool(e, c); break;
    case EVENT_DEAD: on_dead(c); break;
    default: on_kernel(e); break;
    }
}

/* The time at which the loop was made is that of the first event that tells one. */
static void begin_time(const struct event *e) {
    if (j.time_known || (e->has & (HAS_NOW | HAS_CLOCK)) == 0)
        return;
    bool same = (e->has & HAS_NOW) != 0 && e->now_ms == j.model.clock_ns / MS_NS;
    j.time_known = true;
    if ((e->has & HAS_CLOCK) != 0)
        j.model.clock_ns = e->clock_ns;
    else if (!same) /* to the nanosecond it may have been told to the loop before */
        j.model.clock_ns = e->now_ms <= UINT64_MAX / MS_NS ? e->now_ms * MS_NS : 0;
    j.model.now_ms = (e->has & HAS_NOW) != 0 ? e->now_ms : j.model.clock_ns / MS_NS;
}

static void apply(struct event *e, const struct event *next) {
    j.line = e->line;
    j.verdict.events++;
    begin_time(e);
    if ((e->has & HAS_CLOCK) != 0)
        model_clock(&j.model, e->clock_ns);
    else if ((e->has & HAS_NOW) != 0 && e->kind == EVENT_UPDATE_NOW)
        model_clock(&j.model, clock_at(e));
    if (is_call(e) && j.in_tick && !j.refused_tick && j.model.in_callback == MODEL_NONE) {
        malformed("a call within a tick, outside of a callback");
        return;
    }
    bool thread = (e->kind >= EVENT_THREAD && e->kind <= EVENT_IDLE) || e->kind == EVENT_NOTIFY ||
                  e->kind == EVENT_WAKEUP;
    if (j.in_deinit && !thread && !(e->kind == EVENT_END && e->of_deinit)) {
        malformed("a deinit that waits for its pool has not ended");
        return;
    }
    if (j.refused_tick && e->kind != EVENT_END && !thread) {
        differ(j.model.clause, "this tick ends at once", "something happens in it");
        j.lost = true; /* the model makes no rounds there */
        return;
    }
    /* What the model does by itself after these comes after them in the subject too. */
    bool before = e->kind == EVENT_TICK || e->kind == EVENT_RUN || e->kind == EVENT_RETURNED ||
                  e->kind == EVENT_DEINIT;
    if (before)
        check_time(e);
    if (j.lost)
        return;
    prepare(next);
    perform(e);
    if (!before)
        check_time(e);
    if (e->kind == EVENT_RETURNED && (j.observes & OBSERVES_TIME) == 0)
        prepare(next); /* of a timer that was rearmed just now */
}

/* ---- the command ----------------------------------------------------------------------------- */

static void begin(void) {
    j.in_tick = j.in_deinit = j.refused_tick = j.lost = j.time_known = false;
    j.malformed[0] = '\0';
    j.taken = j.spare = 0;
    memset(j.used, 0, sizeof j.used);
    memset(j.bucket, 0xff, sizeof j.bucket);
    j.pinned = NO_SLOT;
    model_init(&j.model, 0, j.recording.descriptors_max, 0);
    model_init(&j.before, 0, j.recording.descriptors_max, 0);
}

static void complain_of_input(void) {
    if (j.recording.line == 0)
        fprintf(stderr, "etalon: %s: %s\n", j.verdict.name, j.recording.error);
    else
        fprintf(stderr, "etalon: %s:%llu: %s\n", j.verdict.name,
                (unsigned long long)j.recording.line, j.recording.error);
}

/* The next event of those that are to be judged. */
static int next_event(struct event *e) {
    for (;;) {
        int status = recording_next(&j.recording, e);
        if (status != 1)
            return status;
        bool ready = e->kind >= EVENT_REPORT && e->kind <= EVENT_REFUSED;
        bool pool = (e->kind >= EVENT_THREAD && e->kind <= EVENT_POOL) ||
                    (e->kind == EVENT_END && e->of_deinit);
        if (e->kind == EVENT_DEAD && (j.observes & (OBSERVES_READINESS | OBSERVES_POOL)) == 0)
            continue;
        bool wait = e->kind == EVENT_WAIT || e->kind == EVENT_WOKEN;
        if (pool && (j.observes & OBSERVES_POOL) == 0)
            continue;
        if ((ready && (j.observes & OBSERVES_READINESS) == 0) ||
            (wait && (j.observes & OBSERVES_WAITS) == 0))
            continue;
        if ((j.observes & OBSERVES_TIME) == 0)
            e->has &= ~(unsigned)(HAS_NOW | HAS_CLOCK);
        if ((j.observes & OBSERVES_STATES) == 0) {
            e->has &= ~(unsigned)HAS_ACTIVE;
            e->state = NO_STATE;
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
    while (more && !j.lost) {
        status = next_event(&event[at ^ 1]);
        more = status == 1;
        apply(&event[at], more ? &event[at ^ 1] : NULL);
        at ^= 1;
    }
    j.verdict.unfinished = j.lost;
    if (j.malformed[0] != '\0') {
        fprintf(stderr, "etalon: %s:%llu: %s\n", j.verdict.name, (unsigned long long)j.line,
                j.malformed);
        return false;
    }
    if (status >= 0 || j.lost)
        return true;
    complain_of_input();
    return false;
}

static void write_json(FILE *out, const void *verdict) {
    judgement_write(verdict, out);
}

static int conclude(void) {
    uint64_t broken = j.verdict.differences - j.verdict.not_strict;
    int status = broken > 0 || (j.strict && j.verdict.not_strict > 0);
    printf("%s: %s in %llu events", j.verdict.name,
           broken > 0                 ? "the law is broken"
           : j.verdict.not_strict > 0 ? "lawful, but not strictly"
                                      : "lawful",
           (unsigned long long)j.verdict.events);
    if (j.verdict.differences > 0)
        printf(", %llu difference%s%s", (unsigned long long)j.verdict.differences,
               j.verdict.differences == 1 ? "" : "s", j.lost ? "; the rest was not judged" : "");
    const char *separator = "; not observed, and so not judged: ";
    for (unsigned i = 0; i < OBSERVABLE; i++)
        if ((j.observes >> i & 1) == 0) {
            printf("%s%s", separator, recording_observes[i]);
            separator = ", ";
        }
    putchar('\n');
    return status;
}

static void usage(FILE *out) {
    fputs("usage: etalon judge [--keep-going] [--strict] [--json FILE] [--quiet] [--observes LIST] "
          "RECORDING, or - for "
          "standard input\n",
          out);
}

/* A list such as "time,states". */
static bool read_observes(char *list) {
    j.only = 0;
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
        j.only |= 1U << i;
    }
    if ((j.only & OBSERVES_READINESS) != 0 && (j.only & OBSERVES_WAITS) == 0) {
        fputs("etalon: judge: --observes: who observes readiness observes waits too\n", stderr);
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
    while ((letter = getopt_long(argc, argv, "kqh", options, NULL)) != -1) {
        switch (letter) {
        case 'k': j.keep_going = true; break;
        case 's': j.strict = true; break;
        case 'q': j.quiet = true; break;
        case 'o':
            if (!read_observes(optarg))
                return false;
            break;
        case 'j': j.json = optarg; break;
        case 'h': usage(stdout); exit(fflush(stdout) != 0);
        default: return false;
        }
    }
    return argc - optind >= 1;
}

static int judge_file(const char *name) {
    bool standard = strcmp(name, "-") == 0;
    FILE *file = standard ? stdin : fopen(name, "rb");
    if (file == NULL) {
        fprintf(stderr, "etalon: %s: %s\n", name, strerror(errno));
        return BAD_INPUT;
    }
    j.verdict = (struct judgement){.name = standard ? "standard input" : name,
                                   .recording = &j.recording,
                                   .difference = j.difference};
    int status = BAD_INPUT;
    if (!recording_open(&j.recording, file, j.verdict.name)) {
        complain_of_input();
    } else {
        j.observes = j.recording.observes & j.only;
        begin();
        if (judge_all() && (j.json == NULL || write_whole(j.json, write_json, &j.verdict)))
            status = conclude();
    }
    recording_close(&j.recording);
    if (!standard)
        fclose(file);
    return status;
}

int judge_main(int argc, char **argv) {
    int worst = 0;
    j.only = ~0U;
    if (!read_options(argc, argv)) {
        usage(stderr);
        return BAD_INPUT;
    }
    if (j.json != NULL && argc - optind > 1) {
        fputs("etalon: judge: --json takes one recording at a time\n", stderr);
        return BAD_INPUT;
    }
    for (int i = optind; i < argc; i++) {
        int status = judge_file(argv[i]);
        worst = status > worst ? status : worst;
    }
    return worst;
}
