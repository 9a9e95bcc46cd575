/* SPDX-License-Identifier: MIT */
/* The law of spec/etalon.md as an executable state machine; model.h says how it is driven.
 *
 * Between two observations the model passes by itself through everything that the law determines
 * and nobody can see (advance), up to the next thing that must be observed (tick.due). What an
 * observation changes is done when it comes, not before: until its callback is called, a completion
 * keeps the state that another callback would see. Where the law leaves a choice the model stops
 * too; an observation that does not take it declines it (move_on). `end` is the one way to dead;
 * every transition comes from the table of lifecycle.def. */
#ifdef MODEL_WIDE
#include "wide.h"
#else
#include "model.h"
#endif

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "words.h"

#define MS_NS UINT64_C(1000000)
/* ET-WAIT-3: the longest limit that a loop must be able to give */
#define WAIT_LIMIT_MS 2147483647
/* Twice what can be made: a completion is started, left, ended; a round has ten phases. */
#define SILENT_STEPS_MAX (8 * MODEL_COMPLETIONS + 20)

enum {
    READY_IN = 0x1,
    READY_PRI = 0x2,
    READY_OUT = 0x4,
    READY_ERR = 0x8,
    READY_ALWAYS = 0x18,
    READY_RDHUP = 0x2000
};
#define CAN_REGISTER ((uint32_t)(READY_IN | READY_PRI | READY_OUT | READY_RDHUP))

/* What an operation waits for (words.h). */
enum {
    POLL = WAITS_POLL,
    WAITING = WAITS_AT_ALL,
};

enum phase { OUTSIDE, SUBMISSIONS, DELETIONS, TIMERS, POOL, FLUSH, ASKED, DELIVERY, OVER, CUT };
enum due {
    DUE_END,
    DUE_CALLBACK,
    DUE_TRY,
    DUE_CHOICE,
    DUE_THREAD,
    /* nothing that can be seen; a pool thread decides, before the next observation, what it is */
    DUE_UNSEEN,
    DUE_WAIT,
    DUE_WOKEN,
    DUE_DELIVERY
};
enum step {
    STEP_MAY_TRY, /* ET-SUBMIT-8 */
    STEP_TRY,     /* of a connect or a shutdown */
    STEP_TARGET,  /* of a cancel: its target is to be ended */
    STEP_OWN,     /* of a cancel: its target has been ended */
    STEP_CLOSE,
    STEP_JOINED, /* of a pooled operation: the pool's queue */
    STEP_FAILED, /* ET-POOL-3 */
};

/* ---- the table of lifecycle.def -------------------------------------------------------------- */

enum on {
    ON_ADD,
    ON_DELETE,
    ON_TIMER,
    ON_RESET,
    ON_CANCEL,
    ON_ASYNC,
    ON_START,
    ON_RETIRE,
    ON_FINISH,
    ON_CANCELLED,
    ON_DEINIT
};
enum condition { IF_ALWAYS, IF_TIMER, IF_OTHER, IF_ALONE, IF_BUSY, IF_TAKEN, IF_WAITS, IF_ENDS };
enum { SILENT = 1, CALLBACK = 2 }; /* in the place of a return value */

#define LIFECYCLE(event, state, condition, next, result, clause, words)                            \
    [ON_##event][ET_##state][IF_##condition] = {true, ET_##next, result, clause},
static const struct transition {
    bool exists;
    uint8_t next;
    int result;
    const char *clause;
} table[ON_DEINIT + 1][ET_DELETING + 1][IF_ENDS + 1] = {
#include "../spec/lifecycle.def"
};
#undef LIFECYCLE

static const struct transition *transition(enum on event, unsigned state,
                                           enum condition condition) {
    assert(state <= ET_DELETING);
    const struct transition *always = &table[event][state][IF_ALWAYS],
                            *row = &table[event][state][condition];
    assert(always->exists || row->exists);
    return row->exists ? row : always;
}

/* A row has its effect; only some builds count that (MODEL_COUNTS). */
#ifdef MODEL_COUNTS
#define USED(row) model_row_used((unsigned)((row) - &table[0][0][0]))
#else
#define USED(row)
#endif

/* For every event but ON_START and, of an active timer, ON_RESET. */
static const struct transition *row_of(enum on event, const struct model_completion *of) {
    bool taken = of->pool >= MODEL_EXECUTING;
    return transition(event, of->state,
                      taken                       ? IF_TAKEN
                      : of->operation == ET_TIMER ? IF_TIMER
                                                  : IF_OTHER);
}

/* ---- small things ---------------------------------------------------------------------------- */

#if MODEL_COMPLETIONS > 32
#define BIT(c)      bit(c)
#define SOME(set)   some(set)
#define HAS(set, c) (((set)[(c) / 64] >> ((c) % 64) & 1) != 0)
static inline model_set bit(unsigned c) {
    model_set set = {0};
    model_put(&set, c);
    return set;
}
static inline bool some(model_set set) {
    return !model_is_empty(&set);
}
#define EACH(c, mask)                                                                              \
    for (unsigned word = 0; word < MODEL_COMPLETIONS / 64; word++)                                 \
        for (uint64_t rest = (mask)[word]; rest != 0; rest &= rest - 1)                            \
            for (unsigned c = word * 64 + (unsigned)__builtin_ctzll(rest), once = 1; once != 0;    \
                 once = 0)
#else
#define BIT(c)      (UINT32_C(1) << (c))
#define SOME(set)   ((set) != 0)
#define HAS(set, c) (((set)&BIT(c)) != 0)
#define EACH(c, mask)                                                                              \
    for (unsigned c = 0; c < MODEL_COMPLETIONS && (mask) >> c != 0; c++)                           \
        if (HAS(mask, c))
#endif
#define NOTHING   ((model_set){0})
#define BIT_OF(c) ((c) == MODEL_NONE ? NOTHING : BIT(c))
#define REFUSE_IF(condition, error, law)                                                           \
    if (condition)                                                                                 \
    return answer(m, error, law)
#define IN_PLACE(condition)                                                                        \
    if (!m->in_tick || m->in_callback != MODEL_NONE || !(condition))                               \
    return broken(m, misplaced(m), "this can be seen only within a tick, in its proper place")
#define BROKEN_IF(condition, law, sentence)                                                        \
    if (condition)                                                                                 \
    return broken(m, law, sentence)

static int answer(struct model *m, int result, const char *clause) {
    m->clause = clause;
    return result;
}

static const char *broken(struct model *m, const char *clause, const char *why) {
    m->why = why;
    return clause;
}

/* By which nothing is to be seen of the loop now: that its last tick was refused, or there is none.
 */
static const char *misplaced(const struct model *m) {
    bool refused = !m->in_tick && m->clause != NULL &&
                   (strcmp(m->clause, "ET-TICK-1") == 0 || strcmp(m->clause, "ET-RUN-4") == 0);
    return refused ? m->clause : "ET-CALL-5";
}

static void push(struct model_queue *queue, unsigned c) {
    assert(queue->count < MODEL_COMPLETIONS);
    queue->item[queue->count++] = (model_index)c;
}

static void take_out(struct model_queue *queue, unsigned c) {
    unsigned at = 0;
    while (at < queue->count && queue->item[at] != c)
        at++;
    assert(at < queue->count);
    for (queue->count--; at < queue->count; at++)
        queue->item[at] = queue->item[at + 1];
}

/* A pooled operation waits for nothing. */
static unsigned kind(const struct model_completion *of) {
    assert(of->operation < ET_OPERATIONS);
    const struct model_description *d = &of->description;
    return d->pool_mark ? 0 : operation_traits(of->operation, d->flags);
}

static model_set waiting_on(const struct model *m, int fd, unsigned kinds) {
    model_set mask = NOTHING;
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        if (of->state == ET_ACTIVE && of->description.fd == fd && (kind(of) & kinds & WAITING) != 0)
            mask |= BIT(c);
    }
    return mask;
}

/* The one that was started first, or MODEL_NONE. */
static unsigned first_of(const struct model *m, model_set mask) {
    unsigned first = MODEL_NONE;
    EACH(c, mask) {
        if (first == MODEL_NONE || m->completion[c].order < m->completion[first].order)
            first = c;
    }
    return first;
}

/* Of mask, on the descriptor of c: those that were started before c. The orphaned keep no order. */
static model_set earlier(const struct model *m, model_set mask, unsigned c) {
    const struct model_completion *of = &m->completion[c];
    model_set before = NOTHING;
    if (HAS(m->orphaned, c))
        return NOTHING;
    mask &= ~m->orphaned;
    EACH(i, mask) {
        if (m->completion[i].order < of->order &&
            m->completion[i].description.fd == of->description.fd)
            before |= BIT(i);
    }
    return before;
}

/* ET-STATE-4: those with a callback that are not lingering, that is those that cannot end without
 * being seen. */
static model_set loud(const struct model *m, model_set mask) {
    EACH(c, mask) {
        if (!m->completion[c].description.has_callback || m->completion[c].state == ET_DELETING)
            mask &= ~BIT(c);
    }
    return mask;
}

/* Those of mask that the report owes something: not the orphaned (ET-EVENT-9). */
static model_set claim_of(const struct model *m, const struct model_report *report,
                          model_set mask) {
    return report->source == MODEL_SEEN ? mask & ~m->orphaned : NOTHING;
}

/* The polls that must end by it: ET-EVENT-4. */
static model_set claim(const struct model *m, const struct model_report *report) {
    return claim_of(m, report, report->polls);
}

/* ET-REGISTER-3 */
static model_set must_be_refused(const struct model *m) {
    return m->refused & ~m->doubtful & ~m->orphaned;
}

/* ET-TIME-2: to the clock's resolution. ET-TIME-3: never back. */
static void update_time(struct model *m, const char *clause) {
    uint64_t clock_ms = m->clock_ns / MS_NS;
    uint32_t rest = m->clock_is_vague ? 0 : (uint32_t)(m->clock_ns % MS_NS);
    m->time_clause = clause;
    if (clock_ms < m->now_ms || (clock_ms == m->now_ms && rest < m->now_rest))
        return;
    m->now_ms = clock_ms;
    m->now_rest = rest;
    m->rest_is_vague = m->clock_is_vague;
}

/* ET-ADD-7: rounded up, unless there is no delay. */
static void set_deadline(struct model *m, unsigned c, const char *clause) {
    struct model_completion *of = &m->completion[c];
    of->deadline_clause = clause;
    uint64_t delay_ms = of->description.delay_ms;
    bool up = delay_ms > 0 && (m->now_rest > 0 || m->rest_is_vague);
    uint64_t from_ms = m->now_ms + up;
    of->deadline_ms = delay_ms > UINT64_MAX - from_ms ? UINT64_MAX : from_ms + delay_ms;
    of->is_vague = up && m->rest_is_vague;
}

/* ---- the ways of a completion ---------------------------------------------------------------- */

/* ET-RESET-8, ET-RESET-9: the carrier is dead; the reset that it still has is applied. The timer is
 * not among the expiring ones, from which timer_reset has taken it: so it does not fire in this
 * phase (ET-EXPIRE-5). */
static void release_carrier(struct model *m, unsigned carrier) {
    struct model_completion *of = &m->completion[carrier];
    of->is_carrier = false;
    if (of->carries == MODEL_NONE)
        return;
    struct model_completion *timer = &m->completion[of->carries];
    assert(timer->state == ET_ACTIVE && timer->operation == ET_TIMER && timer->carrier == carrier);
    assert(!HAS(m->tick.expiring, of->carries));
    timer->order = m->orders++;
    timer->carrier = of->carries = MODEL_NONE;
    timer->reset_clause = of->clause; /* ET-RESET-8, ET-RESET-9 */
}

/* ET-RESET-10, ET-RESET-11: the carrier goes on without a reset. */
static void drop_reset(struct model *m, unsigned timer, const char *clause) {
    struct model_completion *of = &m->completion[timer];
    if (of->carrier == MODEL_NONE)
        return;
    struct model_completion *carrier = &m->completion[of->carrier];
    assert(carrier->carries == timer);
    carrier->clause = carrier->reset_clause = clause; /* it stays adding */
    carrier->carries = MODEL_NONE;
    of->carrier = MODEL_NONE;
}

static bool lingering(const struct model_completion *of) {
    return of->state == ET_DELETING && of->pool != MODEL_NO_POOL;
}

/* ET-POOL-5, ET-POOL-7: out of the pool's queue; or delivered. */
static void leave_pool(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    assert(of->pool != MODEL_EXECUTING);
    if (of->pool != MODEL_NO_POOL)
        take_out(of->pool == MODEL_QUEUED ? &m->queued : &m->handed_over, c);
    of->pool = MODEL_NO_POOL;
}

/* Takes c out of everything that its state has put it into; the caller gives it another state. */
static void leave(struct model *m, unsigned c) {
    assert(m->completion[c].state != ET_DEAD);
    m->completion[c].vouches = -1;
    m->orphaned &= ~BIT(c);
    if (lingering(&m->completion[c])) {
        m->lingering--;
        m->maybe_dead &= ~BIT(c);
        leave_pool(m, c);
        return;
    }
    if (m->completion[c].state == ET_ADDING) {
        take_out(&m->submissions, c);
        m->tick.snapshot &= ~BIT(c);
        return;
    }
    if (m->completion[c].state == ET_DELETING) {
        take_out(&m->deletions, c);
        return;
    }
    assert(m->active > 0);
    m->active--; /* ET-STATE-6 */
    m->refused &= ~BIT(c);
    m->doubtful &= ~BIT(c);
    m->maybe_dead &= ~BIT(c);
    m->tick.expiring &= ~BIT(c);
    if (m->tick.answered == c)
        m->tick.answered = MODEL_NONE;
    for (unsigned r = 0; r < m->reports; r++) {
        m->report[r].polls &= ~BIT(c);
        m->report[r].tried &= ~BIT(c);
    }
    leave_pool(m, c);
    drop_reset(m, c, "ET-RESET-10");
}

/* By which an episode that ends so leaves the completion dead. */
static const char *end_clause(const struct model *m, const struct model_completion *of,
                              enum on event) {
    if (of->is_carrier)
        return event == ON_START ? "ET-RESET-8" : "ET-RESET-9";
    if (event == ON_RETIRE)
        return "ET-RETIRE-1";
    if (of->state == ET_DELETING)
        return "ET-POOL-8";
    if (of->description.has_callback)
        return "ET-CALL-1";
    return event == ON_CANCELLED ? m->tick.due_clause : "ET-STATE-4";
}

/* Every end of an episode: ET-STATE-3. It comes before the callback: ET-CALL-1. */
static void end(struct model *m, unsigned c, enum on event) {
    struct model_completion *of = &m->completion[c];
    const char *clause = end_clause(m, of, event);
    const struct transition *row =
        event == ON_START ? transition(event, of->state, IF_ENDS) : row_of(event, of);
    assert(row->next == ET_DEAD);
    USED(row);
    leave(m, c);
    of->state = row->next;
    of->clause = clause;
    if (of->is_carrier)
        of->forbidden = "ET-RESET-8";
    release_carrier(m, c);
}

/* Those of mask that have a null callback: it counts as called (ET-STATE-4, ET-TICK-5). Those that
 * linger: ET-POOL-8. */
static void end_silently(struct model *m, model_set mask) {
    mask &= ~loud(m, mask);
    EACH(c, mask) {
        m->tick.called += m->completion[c].state == ET_ACTIVE;
        end(m, c, ON_FINISH);
    }
}

/* From dead or deleting. ET-ADD-4: a deletion is completed first, the reset of a carrier applied.
 */
static void begin_episode(struct model *m, unsigned c, const char *clause) {
    struct model_completion *of = &m->completion[c];
    const struct transition *row = row_of(ON_ADD, of);
    assert(of->state != ET_ADDING && row->next == ET_ADDING);
    if (of->state == ET_DELETING)
        end(m, c, ON_RETIRE);
    of->operation = of->description.operation;
    of->vouches = -1;
    m->orphaned &= ~BIT(c);
    set_deadline(m, c, "ET-ADD-7");
    of->state = row->next;
    of->clause = clause;
    of->forbidden = of->reset_clause = NULL;
    push(&m->submissions, c); /* not in the snapshot of a round in progress: ET-CALL-4 */
}

/* ---- set-up ---------------------------------------------------------------------------------- */

model_observer_function *MODEL_NAME(observer);

void MODEL_NAME(init)(struct model *m, unsigned completions, int descriptors_max,
                      uint64_t clock_ns) {
    assert(completions <= MODEL_COMPLETIONS);
    memset(m, 0, sizeof *m);
    m->completions = (model_index)completions;
    for (unsigned c = 0; c < MODEL_COMPLETIONS; c++)
        model_forget(m, c);
    m->in_callback = MODEL_NONE;
    m->descriptors_max = descriptors_max;
    m->clock_ns = clock_ns;
    update_time(m, "ET-INIT-2");
    if (MODEL_NAME(observer) != NULL)
        MODEL_NAME(observer)(m, &(struct event){.kind = EVENT_INIT}, NULL);
}

/* ---- calls. Every refusal comes before anything is changed: ET-STATE-5 ----------------------- */

static int on_add(struct model *m, unsigned c) {
    REFUSE_IF(m->dead || c >= m->completions, -EINVAL, "ET-DEINIT-4");
    const struct model_description *d = &m->completion[c].description;
    unsigned state = m->completion[c].state;
    const struct transition *row = row_of(ON_ADD, &m->completion[c]);
    if (row->next != ET_ADDING || state == ET_ADDING) { /* ET-ADD-2, ET-ADD-3, ET-POOL-9 */
        USED(row);
        return answer(m, row->result, row->clause);
    }
    bool bad_target = d->operation == ET_CANCEL && (d->target >= m->completions || d->target == c);
    bool bad_events = d->operation == ET_POLL && (d->events & ~(CAN_REGISTER | READY_ALWAYS)) != 0;
    REFUSE_IF(d->operation >= ET_OPERATIONS || bad_target || bad_events, -EINVAL, "ET-ADD-5");
    REFUSE_IF(d->pool_mark && (operation_traits(d->operation, 0) & POOLABLE) == 0, -EINVAL,
              "ET-ADD-5");
    REFUSE_IF(d->pool_mark && !m->has_pool, -EOPNOTSUPP, "ET-ADD-6");
    /* described are those that have a userdata */
    bool is_new =
        d->operation == ET_NOOP && d->userdata == 0 && !d->has_callback && state == ET_DEAD;
    const char *clause = is_new ? "ET-STATE-1" : row->clause;
    USED(row);
    begin_episode(m, c, clause); /* ET-ADD-1, ET-ADD-4 */
    return answer(m, row->result, clause);
}

/* By which c, if it is deleted now, is no longer where it is, and its callback forbidden. */
static const char *deletion_clause(const struct model *m, unsigned c, const char *usual) {
    bool in_progress = m->in_tick && m->tick.phase == SUBMISSIONS && m->tick.current == c;
    if (in_progress && m->completion[c].operation == ET_CANCEL)
        return "ET-CANCEL-7";
    if (in_progress && m->completion[c].operation == ET_CLOSE)
        return "ET-CLOSE-3";
    return usual;
}

static int on_delete(struct model *m, unsigned c) {
    REFUSE_IF(m->dead || c >= m->completions, -EINVAL, "ET-DEINIT-4");
    struct model_completion *of = &m->completion[c];
    const struct transition *row = row_of(ON_DELETE, of);
    USED(row);
    if (row->next != of->state && of->pool >= MODEL_EXECUTING) { /* ET-POOL-8 */
        of->clause = row->clause;
        of->forbidden = "ET-DELETE-4";
        m->active--;
        m->lingering++;
    } else if (row->next != of->state) { /* ET-DELETE-2, ET-DELETE-3; else ET-DELETE-1 */
        bool queued = of->pool == MODEL_QUEUED;
        of->clause = deletion_clause(m, c, queued ? "ET-POOL-7" : row->clause);
        of->forbidden = deletion_clause(m, c, "ET-DELETE-4"); /* of a close: of its system call */
        leave(m, c);
        push(&m->deletions, c);
    }
    of->state = row->next;
    return answer(m, row->result, row->clause);
}

static void set_timer(struct model *m, unsigned c, uint64_t delay_ms, bool has_callback,
                      uint32_t userdata, const char *clause) {
    struct model_description *d = &m->completion[c].description;
    d->delay_ms = delay_ms;
    d->has_callback = has_callback;
    d->userdata = userdata;
    set_deadline(m, c, clause);
}

static int on_timer(struct model *m, unsigned c, uint64_t delay_ms, bool has_callback,
                    uint32_t userdata) {
    REFUSE_IF(m->dead || c >= m->completions, -EINVAL, "ET-DEINIT-4");
    struct model_completion *of = &m->completion[c];
    const struct transition *row = row_of(ON_TIMER, of);
    USED(row);
    REFUSE_IF(row->result < 0, row->result, row->clause);            /* ET-TIMER-3, -4, ET-POOL-9 */
    set_timer(m, c, delay_ms, has_callback, userdata, "ET-TIMER-2"); /* that is all */
    of->description.operation = ET_TIMER;
    of->description.pool_mark = false;
    if (of->state != ET_ADDING)
        begin_episode(m, c, "ET-TIMER-1");
    return answer(m, row->result, row->clause);
}

static void describe_cancel(struct model *m, unsigned c, unsigned target, bool has_callback,
                            uint32_t userdata) {
    struct model_description *d = &m->completion[c].description;
    d->operation = ET_CANCEL;
    d->target = (model_index)target;
    d->pool_mark = false;
    d->has_callback = has_callback;
    d->userdata = userdata;
}

/* ET-RESET-13: without a carrier, of an active timer. */
static int on_reset_alone(struct model *m, unsigned c, uint64_t delay_ms, bool has_callback,
                          uint32_t userdata) {
    struct model_completion *of = &m->completion[c];
    bool pending = of->carrier != MODEL_NONE;
    const struct transition *row =
        transition(ON_RESET, of->state, of->operation == ET_TIMER ? IF_ALONE : IF_OTHER);
    USED(row);
    REFUSE_IF(row->result < 0, row->result, row->clause); /* ET-RESET-2 */
    drop_reset(m, c, "ET-RESET-14");
    set_timer(m, c, delay_ms, has_callback, userdata, row->clause);
    of->reset_clause = pending ? "ET-RESET-14" : row->clause;
    of->order = m->orders++;
    m->tick.expiring &= ~BIT(c); /* ET-RESET-4, ET-EXPIRE-5 */
    return answer(m, row->result, pending ? "ET-RESET-14" : row->clause);
}

static int on_reset(struct model *m, unsigned c, unsigned carrier, uint64_t delay_ms,
                    bool has_callback, uint32_t userdata) {
    REFUSE_IF(m->dead || c >= m->completions, -EINVAL, "ET-DEINIT-4");
    REFUSE_IF(carrier == c, -EINVAL, "ET-RESET-12");
    struct model_completion *of = &m->completion[c];
    if (of->state != ET_ACTIVE) {
        const struct transition *row = row_of(ON_RESET, of); /* ET-RESET-1, ET-POOL-9 */
        USED(row);
        return answer(m, on_timer(m, c, delay_ms, has_callback, userdata), row->clause);
    }
    if (carrier >= m->completions)
        return on_reset_alone(m, c, delay_ms, has_callback, userdata);
    struct model_completion *by = &m->completion[carrier];
    bool same = of->carrier == carrier && by->state == ET_ADDING; /* ET-RESET-5 */
    bool usable = same || by->state == ET_DEAD || by->state == ET_DELETING;
    enum condition condition = lingering(by) ? IF_TAKEN : usable ? IF_TIMER : IF_BUSY;
    condition = of->operation == ET_TIMER ? condition : IF_OTHER;
    const struct transition *row = transition(ON_RESET, of->state, condition);
    USED(row);
    REFUSE_IF(row->result < 0, row->result, row->clause); /* ET-RESET-2, -6, ET-POOL-9 */
    if (!same) {                                          /* ET-RESET-3 */
        drop_reset(m, c, "ET-RESET-11");
        describe_cancel(m, carrier, c, false, 0);
        begin_episode(m, carrier, row->clause);
        of->reset_clause = "ET-RESET-4";
        by->reset_clause = row->clause;
        by->is_carrier = true;
        by->carries = (model_index)c;
        of->carrier = (model_index)carrier;
    }
    set_timer(m, c, delay_ms, has_callback, userdata, same ? "ET-RESET-5" : row->clause);
    m->tick.expiring &= ~BIT(c); /* ET-RESET-4 */
    assert(of->carrier == carrier && by->carries == c);
    return answer(m, row->result, same ? "ET-RESET-5" : row->clause);
}

static int on_cancel(struct model *m, unsigned cancel, unsigned target, bool has_callback,
                     uint32_t userdata) {
    REFUSE_IF(m->dead || cancel >= m->completions, -EINVAL, "ET-DEINIT-4");
    REFUSE_IF(target >= m->completions || target == cancel, -EINVAL, "ET-CANCEL-3");
    const struct transition *row = row_of(ON_CANCEL, &m->completion[cancel]);
    USED(row);
    REFUSE_IF(row->result < 0, row->result, row->clause); /* ET-CANCEL-2, ET-POOL-9 */
    describe_cancel(m, cancel, target, has_callback, userdata);
    begin_episode(m, cancel, row->clause); /* ET-CANCEL-1 */
    return answer(m, row->result, row->clause);
}

/* Of the async with this descriptor, which is noted if it is new. */
static struct model_async *async_of(struct model *m, int fd) {
    struct model_async *async = NULL;
    for (unsigned i = MODEL_ASYNCS; i-- > 0;)
        if (m->async[i].used ? m->async[i].fd == fd : async == NULL || !async->used)
            async = &m->async[i];
    assert(async != NULL);
    if (!async->used)
        *async = (struct model_async){.used = true, .fd = fd};
    return async;
}

static int on_async_wait(struct model *m, unsigned c, int fd, bool has_callback,
                         uint32_t userdata) {
    REFUSE_IF(m->dead || c >= m->completions, -EINVAL, "ET-DEINIT-4");
    REFUSE_IF(fd < 0, -EINVAL, "ET-ASYNC-5");
    const struct transition *row = row_of(ON_ASYNC, &m->completion[c]);
    USED(row);
    REFUSE_IF(row->result < 0, row->result, row->clause); /* ET-ASYNC-1, ET-POOL-9 */
    struct model_description *d = &m->completion[c].description;
    d->operation = ET_READ;
    d->fd = fd;
    d->pool_mark = false;
    d->has_callback = has_callback;
    d->userdata = userdata;
    (void)async_of(m, fd);
    begin_episode(m, c, row->clause);
    return answer(m, row->result, row->clause);
}

static int on_notify(struct model *m, int fd) {
    REFUSE_IF(fd < 0, -EINVAL, "ET-ASYNC-5");
    async_of(m, fd)->notified++;
    return answer(m, 0, "ET-ASYNC-2");
}

static int on_async_deinit(struct model *m, int fd) {
    REFUSE_IF(fd < 0, -EINVAL, "ET-ASYNC-5");
    async_of(m, fd)->used = false;
    return answer(m, 0, "ET-ASYNC-5");
}

static void on_stop(struct model *m) {
    m->stopped = true; /* ET-STOP-1 */
}

static void on_update_now(struct model *m) {
    if (!m->dead)
        update_time(m, "ET-TIME-1");
}

static int on_deinit(struct model *m) {
    REFUSE_IF(m->dead, -EINVAL, "ET-DEINIT-4");
    REFUSE_IF(m->in_callback != MODEL_NONE, -EBUSY, "ET-DEINIT-1");
    for (unsigned c = 0; c < m->completions; c++) { /* no callback, and no reset is applied */
        struct model_completion *of = &m->completion[c];
        if (of->state != ET_DEAD) {
            const struct transition *row = row_of(ON_DEINIT, of);
            USED(row);
            of->state = row->next;
        }
        of->is_carrier = false;
        of->carrier = of->carries = MODEL_NONE;
    }
    m->submissions.count = m->deletions.count = 0;
    m->active = m->lingering = 0;
    m->refused = m->doubtful = m->orphaned = m->maybe_dead = NOTHING;
    m->dead = true;
    return answer(m, 0, "ET-DEINIT-2");
}

static const char *on_deinit_end(struct model *m) {
    assert(m->dead);
    BROKEN_IF(m->pool_busy > 0, "ET-POOL-13",
              "a thread still executes work of the loop, or hands it over");
    for (unsigned c = 0; c < m->completions; c++)
        leave_pool(m, c);
    return NULL;
}

/* ---- from one observation to the next -------------------------------------------------------- */

static void enter(struct model *m, enum phase phase) {
    struct model_tick_state *t = &m->tick;
    bool registers = t->phase != TIMERS && t->phase != POOL;
    t->phase = (uint8_t)(!m->stopped ? phase : registers ? OVER : CUT); /* ET-STOP-2 */
    if (t->phase == POOL) {
        t->delivering = NOTHING;
        for (unsigned i = 0; i < m->handed_over.count; i++)
            t->delivering |= BIT(m->handed_over.item[i]);
        t->delivering_owed = t->delivering & ~t->recent;
        t->delivering_fixed = false;
    }
    if (t->phase != TIMERS)
        return;
    update_time(m, "ET-TIME-1");
    t->orders_timers = m->orders;
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        bool applied =
            /* ET-RESET-4 */
            of->state == ET_ACTIVE && of->operation == ET_TIMER && of->carrier == MODEL_NONE;
        /* ET-EXPIRE-4 */
        if (applied && of->deadline_ms <= m->now_ms)
            t->expiring |= BIT(c);
    }
}

static void begin_round(struct model *m) {
    m->tick.phase = SUBMISSIONS;
    m->tick.fresh = true;
    m->tick.current = MODEL_NONE;
    m->tick.snapshot = m->tick.expiring = NOTHING;
    for (unsigned i = 0; i < m->submissions.count; i++) /* ET-SUBMIT-1 */
        m->tick.snapshot |= BIT(m->submissions.item[i]);
}

/* ET-TICK-3, ET-TICK-4. What no observation has ended by now ended silently, unless it was only
 * allowed. */
static void end_delivery(struct model *m) {
    for (unsigned r = 0; r < m->reports; r++) {
        end_silently(m, claim(m, &m->report[r])); /* ET-EVENT-4 */
        m->report[r].polls = NOTHING;
    }
    m->maybe_dead = NOTHING;
    bool idle =
        m->active == 0 && m->lingering == 0 && m->submissions.count == 0 && m->deletions.count == 0;
    if (m->stopped || idle || m->tick.one_round || m->tick.called >= m->tick.asked)
        m->tick.phase = OVER;
    else
        begin_round(m);
}

/* What is due has been seen, or cannot be. The application of a reset is no callback: ET-TICK-5. */
static void end_due(struct model *m) {
    struct model_tick_state *t = &m->tick;
    unsigned c = t->due_completion;
    assert(t->due == DUE_CALLBACK);
    t->called += m->completion[c].is_carrier ? 0 : 1;
    end(m, c, (enum on)t->due_event);
    if (c == t->current)
        t->current = MODEL_NONE;
    else if (t->current != MODEL_NONE && t->step == STEP_TARGET)
        t->step = STEP_OWN;
}

static bool due(struct model *m, enum due due, const char *clause) {
    m->tick.due = (uint8_t)due;
    m->tick.due_clause = clause;
    return true;
}

/* True: the callback must be observed. False: there is none, the end is done. */
static bool due_callback(struct model *m, unsigned c, int64_t result, enum on event,
                         const char *clause) {
    (void)due(m, DUE_CALLBACK, clause);
    m->tick.due_completion = (model_index)c;
    m->tick.due_result = result;
    m->tick.due_event = (uint8_t)event;
    if (m->completion[c].description.has_callback)
        return true;
    end_due(m);
    return false;
}

/* ET-POOL-15. Whether a thread that has become idle since the last observation was so when the work
 * joined the queue, the model cannot know. That a thread takes work changes nothing: there is less
 * of both. */
static bool due_thread(struct model *m) {
    int lacking = m->queued.count - (int)(m->pool_threads - m->pool_busy);
    if (m->pool_threads < m->pool_threads_max && lacking > 0)
        return due(m, DUE_THREAD, "ET-POOL-15");
    if (m->pool_threads < m->pool_threads_max && lacking + (int)m->tick.idled > 0)
        return due(m, DUE_UNSEEN, "ET-POOL-15");
    m->tick.current = MODEL_NONE;
    return false;
}

/* ET-POOL-1 */
static void join_pool(struct model *m, unsigned c) {
    push(&m->queued, c);
    m->completion[c].pool = MODEL_QUEUED;
    m->completion[c].pool_called = m->completion[c].pool_kept = false;
    m->tick.step = STEP_JOINED;
}

/* The cancel c is to end its target. */
static bool due_target(struct model *m, unsigned c) {
    /* ET-CANCEL-8: nothing else that it used to use */
    unsigned target = m->completion[c].description.target;
    assert(target < m->completions && target != c);
    const struct model_completion *of = &m->completion[target];
    if (of->state == ET_DEAD || of->state == ET_DELETING)
        return due_callback(m, c, -ENOENT, ON_FINISH, "ET-CANCEL-6");
    /* ET-CANCEL-4, ET-CANCEL-5, ET-POOL-6 */
    const struct transition *row = row_of(ON_CANCELLED, of);
    if (row->result < 0) {
        USED(row);
        m->completion[target].pool_kept = true;
        return due_callback(m, c, row->result, ON_FINISH, row->clause);
    }
    if (of->pool == MODEL_QUEUED && !SOME(loud(m, BIT(target))))
        /* a thread may still take it before the loop looks */
        return due(m, DUE_UNSEEN, "ET-POOL-5");
    /* of a carrier: ET-RESET-9 */
    const char *clause = of->pool == MODEL_QUEUED   ? "ET-POOL-5"
                         : HAS(m->orphaned, target) ? "ET-EVENT-9"
                                                    : row->clause;
    return due_callback(m, target, -ECANCELED, ON_CANCELLED, clause);
}

/* The loop makes this close itself, and so knows that no registration stands. */
static void forget_vouched(struct model *m, int fd) {
    for (unsigned i = 0; i < m->completions; i++)
        if (m->completion[i].vouches == fd)
            m->completion[i].vouches = -1;
}

/* The submission phase is in the midst of an operation that it has started. */
static bool due_current(struct model *m) {
    unsigned c = m->tick.current;
    struct model_completion *of = &m->completion[c];
    if (of->state != ET_ACTIVE) { /* a callback has deleted it: ET-CANCEL-7, ET-CLOSE-3 */
        m->tick.current = MODEL_NONE;
        return false;
    }
    if (m->tick.step == STEP_MAY_TRY)
        return due(m, DUE_CHOICE, "ET-SUBMIT-8");
    if (m->tick.step == STEP_TRY)
        return due(m, DUE_TRY, of->operation == ET_CONNECT ? "ET-SUBMIT-7" : "ET-SUBMIT-9");
    if (m->tick.step == STEP_CLOSE) {
        unsigned first = first_of(m, waiting_on(m, of->description.fd, WAITING));
        if (first != MODEL_NONE)
            return due_callback(m, first, -ECANCELED, ON_CANCELLED, "ET-CLOSE-1");
        forget_vouched(m, of->description.fd);
        if (!of->description.pool_mark)
            return due(m, DUE_TRY, "ET-CLOSE-2");
        join_pool(m, c);
    }
    if (m->tick.step == STEP_JOINED)
        return due_thread(m);
    if (m->tick.step == STEP_FAILED)
        return due_callback(m, c, of->pool_result, ON_FINISH, "ET-POOL-3");
    if (m->tick.step == STEP_OWN)
        return due_callback(m, c, 0, ON_FINISH, "ET-CANCEL-4");
    return due_target(m, c);
}

/* ET-REGISTER-5: from now on the descriptor may rightly be registered. */
static void forget_useless(struct model *m, int fd) {
    for (unsigned i = 0; i < m->useless_count[m->useless_last]; i++)
        if (m->useless[m->useless_last][i].fd == fd)
            m->useless[m->useless_last][i].events = 0;
}

/* By which what is started is active. */
static const char *start_clause(const struct model_completion *of) {
    if (of->operation == ET_TIMER)
        return "ET-SUBMIT-3";
    if (of->operation == ET_CANCEL)
        return "ET-CANCEL-7";
    if (of->operation == ET_CLOSE)
        return "ET-CLOSE-3";
    return of->description.pool_mark ? "ET-POOL-1" : "ET-SUBMIT-6";
}

/* ET-SUBMIT-3, ET-SUBMIT-6; a cancel, a close and what must be tried are active for as long as that
 * takes. */
static void start(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    unsigned kinds = kind(of);
    bool alone = !SOME(waiting_on(m, of->description.fd, kinds));
    bool orphaned = HAS(m->orphaned, c) && of->vouches == of->description.fd; /* ET-REGISTER-6 */
    leave(m, c);
    m->orphaned |= orphaned ? BIT(c) : NOTHING;
    const struct transition *row = transition(ON_START, ET_ADDING, IF_WAITS);
    USED(row);
    of->state = row->next;
    of->order = m->orders++;
    of->clause = start_clause(of);
    m->active++;
    if ((kinds & WAITING) != 0)
        forget_useless(m, of->description.fd);
    m->tick.current = (model_index)c;
    if (of->operation == ET_CONNECT || of->operation == ET_SHUTDOWN)
        m->tick.step = STEP_TRY;
    else if (of->operation == ET_CANCEL)
        m->tick.step = STEP_TARGET;
    else if (of->operation == ET_CLOSE)
        m->tick.step = STEP_CLOSE;
    else if (of->description.pool_mark)
        join_pool(m, c);
    else if ((kinds & TRIED_AT_ONCE) != 0 && alone) /* ET-SUBMIT-8 */
        m->tick.step = STEP_MAY_TRY;
    else
        m->tick.current = MODEL_NONE;
}

static bool due_submission(struct model *m) {
    unsigned c = m->submissions.count == 0 ? MODEL_NONE : m->submissions.item[0];
    if (m->tick.current != MODEL_NONE)
        return due_current(m);
    if (c == MODEL_NONE || !HAS(m->tick.snapshot, c)) { /* ET-SUBMIT-1, ET-CALL-4 */
        assert(!SOME(m->tick.snapshot));
        enter(m, DELETIONS);
        return false;
    }
    const struct model_completion *of = &m->completion[c];
    bool waits = (kind(of) & WAITING) != 0, negative = of->description.fd < 0,
         pooled = of->description.pool_mark;
    if (of->is_carrier)
        end(m, c, ON_START); /* ET-RESET-8 */
    else if (of->operation == ET_NOOP)
        return due_callback(m, c, 0, ON_START, "ET-SUBMIT-2");
    else if (negative &&
             (waits || pooled || of->operation == ET_CLOSE || of->operation == ET_SHUTDOWN))
        return due_callback(m, c, -EBADF, ON_START, "ET-SUBMIT-4");
    else if (waits && of->description.fd >= m->descriptors_max)
        return due_callback(m, c, -EMFILE, ON_START, "ET-SUBMIT-5");
    else
        start(m, c);
    return false;
}

static bool fires_before(const struct model_completion *a, const struct model_completion *b) {
    return a->deadline_ms != b->deadline_ms ? a->deadline_ms < b->deadline_ms /* ET-EXPIRE-2 */
                                            : a->order < b->order;            /* ET-EXPIRE-3 */
}

static bool due_timer(struct model *m) {
    unsigned first = MODEL_NONE;
    EACH(c, m->tick.expiring) {
        if (first == MODEL_NONE || fires_before(&m->completion[c], &m->completion[first]))
            first = c;
    }
    if (first != MODEL_NONE)
        return due_callback(m, first, 0, ON_FINISH, "ET-EXPIRE-1");
    enter(m, POOL);
    return false;
}

static bool due_delivery(struct model *m) {
    unsigned c = m->handed_over.count == 0 ? MODEL_NONE : m->handed_over.item[0];
    if (c == MODEL_NONE || !HAS(m->tick.delivering, c)) {
        enter(m, FLUSH);
        return false;
    }
    if (SOME(loud(m, BIT(c))))
        return due_callback(m, c, m->completion[c].pool_result, ON_FINISH, "ET-POOL-10");
    if (!HAS(m->tick.delivering_owed, c))
        return due(m, DUE_UNSEEN, "ET-POOL-10");
    end_silently(m, BIT(c));
    return false;
}

/* Those of mask that the report may serve. */
static model_set served_by(const struct model *m, const struct model_report *report,
                           model_set mask) {
    return report->source == MODEL_STALE ? mask & m->orphaned : mask; /* ET-REGISTER-8 */
}

/* Those that wait for the report in these classes, and that it has not led to a try of. */
static model_set untried(const struct model *m, const struct model_report *report,
                         unsigned classes) {
    return served_by(m, report, waiting_on(m, report->fd, classes) & ~report->tried);
}

/* What the reports still demand, or with `allowed` what they still permit: a clause, or NULL. */
static const char *open_report(const struct model *m, bool allowed) {
    for (unsigned r = 0; r < m->reports; r++) {
        const struct model_report *report = &m->report[r];
        model_set waiting = untried(m, report, report->tries_owed);
        model_set polls = served_by(m, report, report->polls);
        if (SOME(allowed ? waiting : claim_of(m, report, waiting)))
            return "ET-EVENT-10";
        if (SOME(loud(m, claim(m, report))) || (allowed && SOME(polls & ~claim(m, report))))
            return "ET-EVENT-4";
    }
    return NULL;
}

/* One step. True: it has found what must be observed next. */
static bool find_due(struct model *m) {
    struct model_tick_state *t = &m->tick;
    if (t->answered != MODEL_NONE)
        return due_callback(m, t->answered, t->answered_result, ON_FINISH, "ET-EVENT-2");
    switch (t->phase) {
    case SUBMISSIONS: return due_submission(m);
    case DELETIONS:
        while (m->deletions.count > 0) /* ET-RETIRE-1, ET-RESET-9 */
            end(m, m->deletions.item[0], ON_RETIRE);
        enter(m, TIMERS);
        return false;
    case TIMERS: return due_timer(m);
    case POOL: return due_delivery(m);
    case FLUSH: return due(m, DUE_WAIT, "ET-WAIT-1");
    case ASKED: return due(m, DUE_WOKEN, "ET-WAIT-1");
    case DELIVERY:
        if (t->collecting || open_report(m, true) != NULL)
            return due(m, DUE_DELIVERY, NULL);
        end_delivery(m);
        return false;
    default: return due(m, DUE_END, NULL);
    }
}

/* Null callbacks whose turn may have come, since everything before them that can be seen has been.
 */
static model_set unseen(const struct model *m, model_set owed) {
    model_set maybe = NOTHING, nulls = owed & ~loud(m, owed);
    EACH(c, nulls) {
        if (!SOME(earlier(m, owed, c) & ~nulls))
            maybe |= BIT(c);
    }
    return maybe;
}

/* Those of mask that may have ended unseen, in whatever order. */
static model_set free_to_end(const struct model *m, model_set mask) {
    return mask & ~loud(m, mask);
}

/* … by a report that owes them nothing. */
static model_set unclaimed(const struct model *m, const struct model_report *report) {
    return free_to_end(m, served_by(m, report, report->polls) & ~claim(m, report));
}

/* The cancel that the submission phase is at, if the loop may have processed it unseen: ET-POOL-5.
 */
static unsigned unseen_cancel(const struct model *m) {
    const struct model_tick_state *t = &m->tick;
    bool may = m->in_tick && m->in_callback == MODEL_NONE && t->due == DUE_UNSEEN;
    return may && t->current != MODEL_NONE && t->step == STEP_TARGET ? t->current : MODEL_NONE;
}

static void update_maybe(struct model *m) {
    unsigned cancel = unseen_cancel(m);
    m->maybe_dead =
        unseen(m, must_be_refused(m)) | free_to_end(m, m->refused & ~must_be_refused(m));
    if (cancel != MODEL_NONE)
        m->maybe_dead |=
            BIT(m->completion[cancel].description.target) | (BIT(cancel) & ~loud(m, BIT(cancel)));
    for (unsigned r = 0; r < m->reports; r++)
        m->maybe_dead |= unseen(m, claim(m, &m->report[r])) | unclaimed(m, &m->report[r]);
    const struct model_tick_state *t = &m->tick;
    bool before = t->phase < POOL || t->phase == DELIVERY;
    model_set may = NOTHING;
    if (t->phase == POOL)
        may = t->delivering & ~t->delivering_owed;
    else if (before)
        may = t->recent;
    for (unsigned i = 0; i < m->handed_over.count && m->in_tick && m->in_callback == MODEL_NONE;
         i++) {
        model_set of = BIT(m->handed_over.item[i]);
        if (SOME(loud(m, of)))
            break;
        m->maybe_dead |= of & may;
    }
}

static void advance(struct model *m) {
    unsigned steps = 0;
    while (!find_due(m)) {
        steps++;
        assert(steps < SILENT_STEPS_MAX);
    }
    update_maybe(m);
}

/* The loop has been seen to do something. If it is known in which phase, then what threads did
 * before came before that. */
static void observed(struct model *m, bool placed) {
    m->tick.fresh = false;
    m->tick.unanswered = MODEL_NONE;
    m->tick.placed = placed;
    if (!placed)
        return;
    m->tick.recent = NOTHING;
    m->tick.idled = 0;
}

/* The observation that has come does not take the choice that the subject had: so it is declined.
 */
static bool move_on(struct model *m) {
    struct model_tick_state *t = &m->tick;
    bool late =
        t->phase == POOL && t->due == DUE_CALLBACK && !HAS(t->delivering_owed, t->due_completion);
    if (t->due == DUE_UNSEEN && t->current != MODEL_NONE && t->step == STEP_TARGET)
        (void)due_callback(m, m->completion[t->current].description.target, -ECANCELED,
                           ON_CANCELLED, "ET-POOL-5");
    else if (t->due == DUE_CHOICE || (t->due == DUE_UNSEEN && t->current != MODEL_NONE))
        t->current = MODEL_NONE;
    else if (t->due == DUE_UNSEEN || late) /* handed over when the pool phase had begun */
        t->delivering = NOTHING;
    else if (t->due == DUE_DELIVERY && open_report(m, false) == NULL)
        end_delivery(m);
    else
        return false;
    advance(m);
    return true;
}

/* A refusal does not tell in which phase the loop is. What the loop may do or leave it has left;
 * what threads decide is still open. */
static void pass_choices(struct model *m) {
    while (m->tick.due != DUE_UNSEEN && m->tick.phase != POOL && move_on(m)) {
    }
}

/* Anything but a report has come: there are no more of them. What is due is looked for again in any
 * case, so that a driver that made a call outside of callbacks cannot leave it pointing at nothing.
 */
static void open_delivery(struct model *m) {
    m->tick.collecting = false;
    advance(m);
}

/* ---- ticks ----------------------------------------------------------------------------------- */

/* run_clause: of a run that acts as this tick. */
static int on_tick(struct model *m, uint64_t callbacks, bool one_round, const char *run_clause) {
    REFUSE_IF(m->dead, -EINVAL, "ET-DEINIT-4");
    REFUSE_IF(m->stopped, 0, "ET-TICK-1");
    REFUSE_IF(m->in_tick || m->in_callback != MODEL_NONE, -EBUSY, "ET-TICK-2");
    m->in_tick = true;
    m->tick = (struct model_tick_state){.asked = callbacks,
                                        .one_round = one_round,
                                        .answered = MODEL_NONE,
                                        .unanswered = MODEL_NONE,
                                        .run_clause = run_clause};
    m->reports = 0;
    begin_round(m);
    advance(m);
    return answer(m, MODEL_RUNS, "ET-TICK-4");
}

static bool failed(const struct model *m) {
    return m->tick.error != 0 && m->tick.error != EINTR;
}

/* No phase is left that could be entered. */
static bool must_end(const struct model *m) {
    return m->tick.phase >= OVER || (m->tick.phase == FLUSH && m->stopped);
}

/* The clause that is broken by something that would be in its place later, or in another round. */
static const char *undone(struct model *m) {
    BROKEN_IF(must_end(m) && failed(m), "ET-TICK-6", "the wait has failed: the tick must end");
    BROKEN_IF(must_end(m) && m->stopped, "ET-STOP-2",
              "the loop was stopped: no further phase may be entered");
    const char *run = m->tick.run_clause;
    BROKEN_IF(must_end(m) && m->tick.asked == 0, run != NULL ? run : "ET-TICK-3",
              "tick(0) makes exactly one round");
    BROKEN_IF(must_end(m) && m->tick.one_round, "ET-RUN-5", "a turn makes exactly one round");
    BROKEN_IF(must_end(m), run != NULL ? run : "ET-TICK-4",
              "enough callbacks were called, or nothing is left: the tick must end");
    const char *clause = m->tick.due == DUE_DELIVERY ? open_report(m, false) : m->tick.due_clause;
    return broken(m, clause == NULL ? "ET-CALL-5" : clause,
                  "something else, or another result, is due by this clause");
}

/* Classes that the last wait has reported for fd, while its round lasts or nothing of the next has
 * been seen. */
static unsigned reported(const struct model *m, int fd, bool stale) {
    unsigned result = 0;
    bool lasts = m->tick.phase == DELIVERY || m->tick.phase == OVER || m->tick.fresh;
    for (unsigned r = 0; lasts && r < m->reports; r++)
        if (m->report[r].fd == fd && stale == (m->report[r].source == MODEL_STALE))
            result |= classes_of(m->report[r].events);
    return result;
}

/* … and of these, those in which no try was answered. */
static unsigned still_owed(const struct model *m, int fd) {
    unsigned result = 0;
    for (unsigned r = 0; r < m->reports; r++)
        if (m->report[r].fd == fd && m->report[r].source != MODEL_STALE)
            result |= m->report[r].tries_owed;
    return result;
}

static bool any_reported(const struct model *m, int fd) {
    return (reported(m, fd, false) | reported(m, fd, true)) != 0;
}

/* A close of fd that a callback has deleted while it ended those that waited. */
static bool deleted_close(const struct model *m, int fd) {
    bool found = false;
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        found = found || (of->operation == ET_CLOSE && of->description.fd == fd &&
                          of->forbidden != NULL && strcmp(of->forbidden, "ET-CLOSE-3") == 0);
    }
    return found;
}

static const char *wrong_try(struct model *m, unsigned c, enum et_operation operation, int fd) {
    const struct model_tick_state *t = &m->tick;
    bool known = c != MODEL_NONE && m->completion[c].operation == operation;
    unsigned kinds = known ? kind(&m->completion[c]) : operation_traits(operation, 0);
    BROKEN_IF(operation == ET_CLOSE && deleted_close(m, fd), "ET-CLOSE-3",
              "the close was deleted by a callback of those that it has ended");
    BROKEN_IF(operation == ET_CLOSE && t->answered != MODEL_NONE &&
                  m->completion[t->answered].operation == ET_CLOSE,
              "ET-CLOSE-2", "closed exactly once, EINTR counting as success");
    BROKEN_IF(t->answered != MODEL_NONE, "ET-EVENT-2",
              "an answered try ends its operation before anything else");
    BROKEN_IF(kinds & reported(m, fd, false) & ~still_owed(m, fd), "ET-EVENT-11",
              "another operation of this class was answered by this report");
    BROKEN_IF(kinds & reported(m, fd, false), "ET-EVENT-10",
              "those of a class are tried in the order of starting, each once");
    BROKEN_IF(kinds & reported(m, fd, true), "ET-REGISTER-8",
              "the report is of a file that has left this number");
    BROKEN_IF(operation == ET_CONNECT, "ET-SUBMIT-7",
              "tried once when it is started, then only when reported");
    BROKEN_IF(operation == ET_SHUTDOWN, "ET-SUBMIT-9", "carried out once, when it is started");
    BROKEN_IF(operation == ET_CLOSE && t->due == DUE_CALLBACK, t->due_clause,
              "another callback is due before");
    BROKEN_IF(operation == ET_CLOSE, "ET-CLOSE-2",
              "closed once, by a close that was started and is not deleted");
    BROKEN_IF(kinds & TRIED_AT_ONCE, "ET-SUBMIT-8",
              "neither reported nor at its start with nothing before it");
    return broken(m, "ET-EVENT-8", "the kernel has not reported this descriptor");
}

static bool unanswered(enum et_operation operation, int64_t result) {
    if (operation == ET_CONNECT) /* its second step too: ET-OP-3 */
        return result == -EINPROGRESS || result == -EINTR;
    bool again = result == -EAGAIN || result == -EWOULDBLOCK || result == -EINTR;
    return again && operation != ET_CLOSE && operation != ET_SHUTDOWN;
}

/* A try that a report demands or allows. */
struct service {
    struct model_report *by;
    unsigned classes, c;
};

/* A demand is met first, so that what is only allowed remains. */
static struct service served(struct model *m, unsigned c, enum et_operation operation, int fd) {
    struct service found = {NULL, 0, MODEL_NONE};
    for (unsigned r = 0; r < m->reports; r++) {
        struct model_report *report = &m->report[r];
        if (report->fd != fd || (found.by != NULL && found.by->source == MODEL_SEEN))
            continue;
        for (unsigned one = WAITS_IN; one < WAITS_POLL; one <<= 1) {
            model_set waiting = untried(m, report, report->tries_owed & one);
            waiting = (waiting & m->orphaned) | BIT_OF(first_of(m, waiting & ~m->orphaned));
            EACH(i, waiting) {
                if (m->completion[i].operation != operation || (c != MODEL_NONE && c != i))
                    waiting &= ~BIT(i);
            }
            if (SOME(waiting))
                found = (struct service){report, one, first_of(m, waiting)};
        }
    }
    return found;
}

static bool is_async(const struct model *m, int fd) {
    for (unsigned i = 0; i < MODEL_ASYNCS; i++)
        if (m->async[i].used && m->async[i].fd == fd)
            return true;
    return false;
}

static const char *on_try(struct model *m, unsigned c, enum et_operation operation, int fd,
                          int64_t result) {
    struct model_tick_state *t = &m->tick;
    IN_PLACE(c == MODEL_NONE || c < m->completions);
    open_delivery(m);
    unsigned found = MODEL_NONE;
    struct service service = {NULL, 0, MODEL_NONE};
    do {
        const struct model_completion *of =
            t->current == MODEL_NONE ? NULL : &m->completion[t->current];
        if (t->due == DUE_DELIVERY)
            found = (service = served(m, c, operation, fd)).c;
        else if ((t->due == DUE_TRY || t->due == DUE_CHOICE) &&
                 (c == MODEL_NONE || c == t->current) && of->operation == operation &&
                 of->description.fd == fd)
            found = t->current;
    } while (found == MODEL_NONE && move_on(m));
    if (found == MODEL_NONE)
        return wrong_try(m, c, operation, fd);
    assert(m->completion[found].state == ET_ACTIVE);
    if (operation == ET_READ && result >= 0 && is_async(m, fd)) {
        BROKEN_IF(result != 8, "ET-ASYNC-1", "the counter has 8 bytes");
        BROKEN_IF(async_of(m, fd)->notified-- == 0, "ET-ASYNC-3",
                  "every notification has ended a wait already");
    }
    if (found == t->current)
        t->current = MODEL_NONE;
    bool stays = unanswered(operation, result);
    if (stays) { /* ET-EVENT-3: active, in its place */
        if (service.by != NULL)
            service.by->tried |= BIT(found);
    } else {
        if (service.by != NULL)
            service.by->tries_owed &= (uint8_t)~service.classes; /* ET-EVENT-11 */
        t->answered = (model_index)found;
        /* ET-CLOSE-2 */
        t->answered_result = operation == ET_CLOSE && result == -EINTR ? 0 : result;
    }
    observed(m, true);
    t->unanswered = stays ? (model_index)found : MODEL_NONE;
    advance(m);
    return NULL;
}

static bool covered(const struct model_completion *of, uint32_t kept) {
    uint32_t asked = traits_await(kind(of), of->description.events) & CAN_REGISTER;
    return kept != 0 && (kept & asked) == asked;
}

/* ET-REGISTER-3. Lawful at any moment but while the kernel is being asked: a loop may register when
 * an operation is started, or merge all registrations before the wait. */
static const char *on_refused(struct model *m, int fd, int error, uint32_t kept, uint32_t claimed) {
    IN_PLACE(m->tick.phase != ASKED && error > 0);
    open_delivery(m);
    pass_choices(m);
    BROKEN_IF(m->tick.phase == CUT, "ET-STOP-2",
              "the loop was stopped in the timer phase: nothing may be registered");
    observed(m, false);
    forget_useless(m, fd); /* the loop has tried to narrow it */
    model_set owed = waiting_on(m, fd, WAITING) & ~must_be_refused(m);
    EACH(c, owed) {
        if (covered(&m->completion[c], kept))
            owed &= ~BIT(c);
        else
            m->completion[c].refusal = error;
        m->doubtful &= ~(owed & BIT(c));
        if (covered(&m->completion[c], kept | claimed))
            m->doubtful |= owed & BIT(c);
    }
    m->refused |= owed;
    /* refused at the start: there is nothing to wait for */
    if (m->tick.phase == SUBMISSIONS && m->tick.due != DUE_UNSEEN)
        end_silently(m, owed & must_be_refused(m));
    advance(m);
    return NULL;
}

static void on_moved(struct model *m, int fd) {
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        bool active = of->state == ET_ACTIVE && (kind(of) & WAITING) != 0;
        if (active ? of->description.fd == fd : of->vouches == fd && fd >= 0)
            m->orphaned |= BIT(c);
    }
    if (m->in_tick && m->tick.phase != ASKED)
        update_maybe(m);
}

/* ET-WAIT-1, -2, -3. ET-WAIT-4 follows: a wait that reaches its limit reaches the deadline, unless
 * that is more than WAIT_LIMIT_MS away, where the limit may be the kernel's and the number of waits
 * is not judged. */
static const char *check_wait(struct model *m, int64_t timeout_ns) {
    uint64_t earliest = 0, timeout = timeout_ns < 0 ? 0 : (uint64_t)timeout_ns;
    bool timers = false, is_vague = false;
    bool queued = m->submissions.count > 0 || m->deletions.count > 0;
    bool enough = m->tick.called >= m->tick.asked, alone = !queued && m->active + m->lingering > 0;
    BROKEN_IF(enough && alone && timeout_ns != 0 && m->tick.run_clause != NULL, m->tick.run_clause,
              "enough callbacks were called: the kernel must be asked without waiting");
    if (enough || !alone)
        return timeout_ns == 0 ? NULL
                               : broken(m, "ET-WAIT-1", "the kernel must be asked without waiting");
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        if (of->state != ET_ACTIVE || of->operation != ET_TIMER)
            continue;
        assert(of->carrier == MODEL_NONE); /* else a queue would not be empty */
        if (!timers || of->deadline_ms < earliest)
            earliest = of->deadline_ms;
        timers = true;
        is_vague = is_vague || of->is_vague;
    }
    BROKEN_IF(timers != (timeout_ns >= 0), "ET-WAIT-2",
              "a wait has a limit when a timer is active, and only then");
    if (!timers)
        return NULL;
    uint64_t limit = timeout > UINT64_MAX - m->clock_ns ? UINT64_MAX : m->clock_ns + timeout;
    bool reachable = earliest <= UINT64_MAX / MS_NS;
    bool beyond =
        reachable && timeout > 0 && limit > earliest * MS_NS && limit - earliest * MS_NS > MS_NS;
    BROKEN_IF(beyond, "ET-WAIT-2", "the wait must not last beyond the earliest deadline");
    /* of a recording: the clock, and perhaps the deadline, to less than a millisecond */
    uint64_t vague = (m->clock_is_vague ? MS_NS - 1 : 0) + (is_vague ? MS_NS : 0);
    uint64_t latest = limit > UINT64_MAX - vague ? UINT64_MAX : limit + vague;
    bool too_early = (!reachable || latest < earliest * MS_NS) && timeout < WAIT_LIMIT_MS * MS_NS;
    BROKEN_IF(too_early, "ET-WAIT-3",
              "the limit of the wait must not lie before the earliest deadline");
    return NULL;
}

static const char *on_wait(struct model *m, int64_t timeout_ns) {
    IN_PLACE(true);
    open_delivery(m);
    while (m->tick.due != DUE_WAIT && move_on(m)) {
    }
    if (m->tick.due != DUE_WAIT || must_end(m))
        return undone(m);
    end_silently(m, must_be_refused(m));
    BROKEN_IF(SOME(must_be_refused(m)), "ET-REGISTER-3",
              "what could not be registered ends before the kernel is asked");
    const char *clause = check_wait(m, timeout_ns);
    if (clause != NULL)
        return clause;
    m->tick.phase = ASKED;
    observed(m, true);
    m->tick.orders_asked = m->orders;
    m->reports = 0;
    m->maybe_dead = m->refused = m->doubtful = NOTHING;
    m->forgiven = m->forgive_registration;
    m->forgive_registration = false;
    m->useless_last ^= 1U;
    m->useless_count[m->useless_last] = 0;
    advance(m);
    return NULL;
}

static const char *on_woken(struct model *m, int error) {
    IN_PLACE(m->tick.phase == ASKED && error >= 0);
    observed(m, true);
    m->tick.error = error;
    update_time(m, failed(m) ? "ET-TICK-6" : "ET-TIME-1");
    m->tick.phase = failed(m) ? OVER : DELIVERY; /* ET-TICK-6, ET-WAIT-5 */
    m->tick.collecting = !failed(m);
    advance(m);
    return NULL;
}

static const char *on_report(struct model *m, int fd, uint32_t events, enum model_source source) {
    IN_PLACE(m->tick.collecting && m->reports < MODEL_REPORTS);
    BROKEN_IF(m->tick.error == EINTR, "ET-WAIT-5", "an interrupted wait has no reports");
    struct model_report *report = &m->report[m->reports++];
    *report = (struct model_report){.fd = fd, .events = events, .source = (uint8_t)source};
    unsigned tries = classes_of(events);
    report->tries_owed = (uint8_t)tries;
    report->polls = waiting_on(m, fd, POLL);
    EACH(c, report->polls) {
        if ((events & (m->completion[c].description.events | READY_ALWAYS)) == 0)
            report->polls &= ~BIT(c);
    }
    update_maybe(m);
    if (source != MODEL_SEEN || SOME(report->polls) || SOME(waiting_on(m, fd, tries)))
        return NULL;
    unsigned last = m->useless_last, before = last ^ 1U;
    m->useless[last][m->useless_count[last]++] = (struct model_useless){fd, events};
    for (unsigned i = 0; i < m->useless_count[before] && !m->forgiven; i++)
        BROKEN_IF(m->useless[before][i].fd == fd && (m->useless[before][i].events & events) != 0,
                  "ET-REGISTER-5",
                  "reported in vain a second time: it should have been removed or narrowed");
    return NULL;
}

/* What the submission phase is at leaves a choice, and some of the dead have ended, without a
 * callback, by it or after it: it is past. */
static bool goes_on_unseen(struct model *m, model_set dead) {
    struct model_tick_state *t = &m->tick;
    unsigned current = t->current, due = t->due, cancel = unseen_cancel(m);
    model_set past = dead & ~m->maybe_dead;
    if (cancel != MODEL_NONE)
        past |= dead & (BIT(cancel) | BIT(m->completion[cancel].description.target));
    /* Nothing is left of the last round: what is still adding there can have ended in the next one
     * only. */
    bool between = t->phase == DELIVERY && due == DUE_DELIVERY && open_report(m, false) == NULL;
    if (!m->in_tick || m->in_callback != MODEL_NONE || (t->phase != SUBMISSIONS && !between))
        return false;
    EACH(c, dead) {
        if (m->completion[c].state == ET_DEAD || (between && m->completion[c].state != ET_ADDING))
            past &= ~BIT(c);
    }
    if (between && SOME(past)) { /* but what a report was free to end may have ended before that */
        end_silently(m, dead & m->maybe_dead);
        return move_on(m);
    }
    if (between)
        return false;
    if ((due != DUE_CHOICE && due != DUE_UNSEEN) || !SOME(past))
        return false;
    advance(m); /* a thread may have taken the cancel's target since: ET-POOL-6 */
    return t->due != due || t->current != current || move_on(m);
}

static const char *on_settled(struct model *m, model_set dead) {
    while (goes_on_unseen(m, dead)) {
    }
    dead &= m->maybe_dead;
    for (unsigned i = 0; i < m->handed_over.count;) {
        unsigned c = m->handed_over.item[i];
        if (!HAS(dead, c)) {
            i++;
            continue;
        }
        advance(m);
        while (m->tick.phase != POOL || m->tick.due != DUE_UNSEEN)
            BROKEN_IF(!move_on(m), "ET-POOL-10", "only the pool phase delivers");
        BROKEN_IF(m->handed_over.item[0] != c, "ET-POOL-10",
                  "something that was handed over before it is delivered first");
        end_silently(m, BIT(c));
        dead &= ~BIT(c);
        i = 0;
    }
    for (unsigned r = 0; SOME(dead) && r < m->reports; r++) {
        model_set polls = m->report[r].polls;
        EACH(c, dead & polls) {
            BROKEN_IF(SOME(earlier(m, polls, c) & ~dead), "ET-EVENT-5",
                      "polls end in the order of starting");
        }
    }
    end_silently(m, dead);
    update_maybe(m);
    return NULL;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

/* The report by which the poll c ends with this result: ET-EVENT-4. */
static const struct model_report *report_for(const struct model *m, unsigned c, int64_t result) {
    uint32_t events = m->completion[c].description.events | READY_ALWAYS;
    for (unsigned r = 0; r < m->reports; r++)
        if (HAS(served_by(m, &m->report[r], m->report[r].polls), c) &&
            result == (int64_t)(m->report[r].events & events))
            return &m->report[r];
    return NULL;
}

/* … or ends, if it was a report of the last wait that may not end it. */
static bool matches_stale(const struct model *m, unsigned c, int64_t result) {
    const struct model_completion *of = &m->completion[c];
    uint32_t events = of->description.events | READY_ALWAYS;
    bool waited = of->state == ET_ACTIVE && of->operation == ET_POLL &&
                  of->order < m->tick.orders_asked && reported(m, of->description.fd, true) != 0;
    for (unsigned r = 0; waited && r < m->reports; r++)
        if (m->report[r].fd == of->description.fd && m->report[r].source == MODEL_STALE &&
            result == (int64_t)(m->report[r].events & events))
            return true;
    return false;
}

/* Before the callback that is due now, nothing may come: ET-EVENT-2, ET-CANCEL-4. */
static bool nothing_between(const struct model *m) {
    const struct model_tick_state *t = &m->tick;
    return t->answered != MODEL_NONE || (t->current != MODEL_NONE && t->step == STEP_OWN);
}

/* ET-REGISTER-6: c has ended by a report, and will be as it was if its callback rearms it. */
static void vouch(struct model *m, unsigned c, bool orphaned) {
    m->completion[c].vouches = m->completion[c].description.fd;
    m->orphaned |= orphaned ? BIT(c) : NOTHING;
}

/* Ends c for this callback, if the law allows it now. */
static bool take_callback(struct model *m, unsigned c, int64_t result) {
    struct model_tick_state *t = &m->tick;
    if (t->due == DUE_CALLBACK && t->due_completion == c && t->due_result == result) {
        bool orphaned = HAS(m->orphaned, c), by_report = t->answered == c && t->phase == DELIVERY;
        t->delivering_fixed = t->phase == POOL;
        end_due(m);
        if (by_report)
            vouch(m, c, orphaned);
        observed(m, true);
        return true;
    }
    bool by_refusal = HAS(m->refused, c) && result == -(int64_t)m->completion[c].refusal;
    const struct model_report *by = t->due == DUE_DELIVERY ? report_for(m, c, result) : NULL;
    if (nothing_between(m) || (!by_refusal && by == NULL))
        return false;
    /* ET-REGISTER-3, ET-EVENT-5 */
    model_set before = earlier(m, by_refusal ? must_be_refused(m) : by->polls, c);
    if (SOME(loud(m, before)))
        return false;
    if (by_refusal || by->source == MODEL_SEEN)
        end_silently(m, before);
    bool orphaned = HAS(m->orphaned, c);
    m->tick.called++;
    end(m, c, ON_FINISH);
    if (!by_refusal)
        vouch(m, c, orphaned);
    observed(m, !by_refusal);
    return true;
}

/* The clause for the callback of a pooled operation that is in the pool. */
static const char *wrong_pooled(struct model *m, const struct model_completion *of,
                                int64_t result) {
    bool taken = of->pool >= MODEL_EXECUTING;
    BROKEN_IF(taken && result == -ECANCELED, "ET-POOL-6",
              "it cannot be cancelled: a thread has taken it");
    BROKEN_IF(of->pool != MODEL_HANDED_OVER, "ET-POOL-10", "it has not been handed over");
    BROKEN_IF(result != of->pool_result, of->pool_kept ? "ET-CANCEL-9" : "ET-POOL-4",
              "an operation ends with what its system call has said");
    if (must_end(m))
        return undone(m);
    return broken(m, "ET-POOL-10",
                  "what the pool phase found handed over is delivered there, in that order");
}

static const char *wrong_timer(struct model *m, unsigned c) {
    const struct model_completion *of = &m->completion[c];
    const struct model_tick_state *t = &m->tick;
    BROKEN_IF(of->carrier != MODEL_NONE, "ET-RESET-4", "its reset has not been applied");
    BROKEN_IF(of->deadline_ms > m->now_ms, "ET-EXPIRE-4",
              "its deadline is later than the loop time");
    if (must_end(m))
        return undone(m);
    bool late = of->order >= t->orders_timers && t->phase >= TIMERS && t->phase <= FLUSH;
    BROKEN_IF(late, "ET-EXPIRE-5", "its reset was applied in this timer phase");
    BROKEN_IF(!HAS(t->expiring, c), "ET-EXPIRE-1", "it had not expired when the timer phase began");
    if (of->deadline_ms != m->completion[t->due_completion].deadline_ms)
        return broken(m, "ET-EXPIRE-2", "a timer with an earlier deadline fires first");
    return broken(m, "ET-EXPIRE-3", "a timer with the same deadline was started before it");
}

/* The clause for a callback of c that a cancel, or a close which was deleted, must not bring; or
 * NULL. */
static const char *wrong_cancellation(struct model *m, unsigned c, int64_t result) {
    const struct model_tick_state *t = &m->tick;
    const struct model_completion *of = &m->completion[c];
    if (result != -ECANCELED || of->state != ET_ACTIVE)
        return NULL;
    BROKEN_IF((kind(of) & WAITING) != 0 && deleted_close(m, of->description.fd), "ET-CLOSE-3",
              "the close was deleted before it came to this one, which stays active");
    bool cancels = t->phase == SUBMISSIONS && t->current != MODEL_NONE &&
                   m->completion[t->current].operation == ET_CANCEL;
    BROKEN_IF(cancels && c != t->current && c != m->completion[t->current].description.target,
              "ET-CANCEL-8", "a cancel touches nothing but its target");
    BROKEN_IF(of->pool == MODEL_NO_POOL && (t->due != DUE_CALLBACK || t->due_completion != c),
              "ET-CANCEL-10", "nothing has cancelled it");
    return NULL;
}

/* The clause for a callback that the law does not allow here. */
static const char *wrong_callback(struct model *m, unsigned c, int64_t result) {
    const struct model_completion *of = &m->completion[c];
    const struct model_tick_state *t = &m->tick;
    bool waits = (kind(of) & WAITING) != 0, active = of->state == ET_ACTIVE,
         answered = t->answered != MODEL_NONE;
    bool later =
        waits && (!active || of->order >= t->orders_asked) && any_reported(m, of->description.fd);
    bool connected = t->answered == c && t->phase == DELIVERY && of->operation == ET_CONNECT;
    BROKEN_IF(connected, "ET-OP-3", "a connect ends with the pending error, or 0");
    BROKEN_IF(t->answered == c, "ET-OP-1", "an operation ends with the result of its try");
    BROKEN_IF(of->state == ET_DELETING, of->forbidden, "it was deleted");
    const char *cancellation = wrong_cancellation(m, c, result);
    if (cancellation != NULL)
        return cancellation;
    BROKEN_IF(t->unanswered == c && unanswered((enum et_operation)of->operation, result),
              "ET-EVENT-3", "its try was unanswered: it stays active");
    BROKEN_IF(answered && result < 0 && result == t->answered_result, "ET-OP-4",
              "another operation met that error");
    if (active && of->pool != MODEL_NO_POOL && !nothing_between(m) && t->due != DUE_THREAD)
        return wrong_pooled(m, of, result);
    if (nothing_between(m) || t->due == DUE_THREAD ||
        (t->due == DUE_CALLBACK && t->due_completion == c))
        return undone(m);
    BROKEN_IF(later, "ET-EVENT-6", "it is not the episode that waited for this report");
    BROKEN_IF(of->state == ET_DEAD && of->forbidden != NULL, of->forbidden,
              "its episode has ended without a callback");
    BROKEN_IF(of->state == ET_DEAD, "ET-STATE-3", "its episode has ended");
    if (active && of->operation == ET_TIMER)
        return wrong_timer(m, c);
    BROKEN_IF(HAS(m->refused, c), "ET-REGISTER-3",
              "with the negated errno, in the order of starting");
    bool unordered = t->due == DUE_DELIVERY && report_for(m, c, result) != NULL;
    BROKEN_IF(matches_stale(m, c, result), "ET-REGISTER-8",
              "the report is of a file that has left this number");
    BROKEN_IF(unordered, "ET-EVENT-5",
              "a poll of the same descriptor that was started before it ends first");
    BROKEN_IF(active && of->operation == ET_POLL, "ET-EVENT-4",
              "a poll ends with the events of a report");
    BROKEN_IF(active && waits, "ET-EVENT-7",
              "it ends only by a try, a refusal, a cancel or a close");
    if (active || must_end(m))
        return undone(m);
    BROKEN_IF(!HAS(t->snapshot, c), "ET-CALL-4",
              "it joined the submissions too late for this round");
    return broken(m, "ET-SUBMIT-1", "something before it in the submissions is due");
}

static const char *on_callback(struct model *m, unsigned c, int64_t result, uint32_t userdata) {
    IN_PLACE(c < m->completions);
    BROKEN_IF(m->completion[c].is_carrier, "ET-RESET-8", "a carrier has no callback");
    const char *forbidden = m->completion[c].forbidden;
    BROKEN_IF(!m->completion[c].description.has_callback,
              forbidden != NULL ? forbidden : "ET-STATE-3", "it has no callback");
    open_delivery(m);
    while (!take_callback(m, c, result))
        if (!move_on(m))
            return wrong_callback(m, c, result);
    m->in_callback = (model_index)c;
    update_maybe(m);
    assert(m->completion[c].state == ET_DEAD); /* ET-CALL-1 */
    BROKEN_IF(userdata != m->completion[c].description.userdata, "ET-CALL-2",
              "the userdata is not what was last set");
    return NULL;
}

static const char *on_returned(struct model *m, enum et_action action) {
    unsigned c = m->in_callback;
    BROKEN_IF(!m->in_tick || c == MODEL_NONE, "ET-CALL-5", "no callback runs");
    m->in_callback = MODEL_NONE;
    observed(m, m->tick.placed);
    struct model_completion *of = &m->completion[c];
    bool dead = of->state == ET_DEAD, orphaned = dead && HAS(m->orphaned, c);
    int vouches = dead ? of->vouches : -1;
    if (dead) {
        of->vouches = -1;
        m->orphaned &= ~BIT(c);
    }
    /* ET-CALL-3: a refusal changes nothing */
    if (action == ET_REARM && on_add(m, c) == 0)
        of->clause = "ET-CALL-3";
    if (action == ET_REARM && of->state == ET_ADDING && dead) {
        of->vouches = vouches;
        m->orphaned |= orphaned ? BIT(c) : NOTHING;
    }
    advance(m);
    return NULL;
}

/* ---- what pool threads do -------------------------------------------------------------------- */

static const char *on_thread(struct model *m, int error) {
    struct model_tick_state *t = &m->tick;
    IN_PLACE(error >= 0);
    open_delivery(m);
    while (t->current == MODEL_NONE || t->step != STEP_JOINED)
        BROKEN_IF(!move_on(m), "ET-POOL-15",
                  "no work has joined the queue that needs another thread");
    struct model_completion *of = &m->completion[t->current];
    if (error == 0) {
        m->pool_threads++;
        t->current = MODEL_NONE;
    } else if (m->pool_threads > 0) {
        t->current = MODEL_NONE;
    } else { /* ET-POOL-3 */
        leave_pool(m, t->current);
        of->pool_result = -error;
        t->step = STEP_FAILED;
    }
    observed(m, true);
    advance(m);
    return NULL;
}

/* The loop goes through its submissions unseen: the work may have joined the queue, or been
 * cancelled in it, since it was last seen to do something. */
static void find_head(struct model *m, unsigned c) {
    const struct model_tick_state *t = &m->tick;
    const struct model_completion *of = &m->completion[c];
    if (m->in_tick && m->in_callback == MODEL_NONE && of->pool == MODEL_NO_POOL) {
        open_delivery(m);
        while (of->pool == MODEL_NO_POOL && move_on(m)) {
        }
    }
    unsigned head = m->queued.count == 0 ? MODEL_NONE : m->queued.item[0];
    bool cancels = t->phase == SUBMISSIONS && t->current != MODEL_NONE && t->step == STEP_TARGET;
    if (cancels && head != c && m->completion[t->current].description.target == head)
        leave_pool(m, head); /* ET-POOL-5 */
}

static const char *on_took(struct model *m, unsigned c) {
    assert(m->has_pool && c < m->completions);
    find_head(m, c);
    struct model_completion *of = &m->completion[c];
    BROKEN_IF(of->state == ET_DELETING && of->pool == MODEL_NO_POOL, "ET-POOL-7",
              "it was deleted before");
    BROKEN_IF(of->pool == MODEL_NO_POOL, "ET-POOL-5",
              "it is not in the pool's queue, or not any more");
    BROKEN_IF(of->pool != MODEL_QUEUED, "ET-POOL-4", "a thread has taken it already");
    BROKEN_IF(m->queued.item[0] != c, "ET-POOL-2", "other work joined the queue before it");
    BROKEN_IF(m->pool_busy >= m->pool_threads, "ET-POOL-15", "there is no idle thread");
    take_out(&m->queued, c);
    of->pool = MODEL_EXECUTING;
    m->pool_busy++;
    return NULL;
}

static const char *on_executed(struct model *m, unsigned c, enum et_operation operation, int fd,
                               int64_t result) {
    assert(c < m->completions);
    struct model_completion *of = &m->completion[c];
    BROKEN_IF(of->pool != MODEL_EXECUTING, "ET-POOL-4", "no thread has taken it");
    BROKEN_IF(of->pool_called, "ET-POOL-4", "the system call is made once");
    bool same = of->operation == operation && of->description.fd == fd;
    BROKEN_IF(!same, "ET-POOL-4", "the system call is that of the description");
    of->pool_called = true;
    of->pool_result = operation == ET_CLOSE && result == -EINTR ? 0 : result;
    return NULL;
}

static const char *on_gave_back(struct model *m, unsigned c) {
    assert(c < m->completions);
    struct model_completion *of = &m->completion[c];
    struct model_tick_state *t = &m->tick;
    BROKEN_IF(of->pool != MODEL_EXECUTING, "ET-POOL-12", "no thread has it");
    BROKEN_IF(!of->pool_called, "ET-POOL-4", "the system call was not made");
    of->pool = MODEL_HANDED_OVER;
    push(&m->handed_over, c);
    t->recent |= BIT(c);
    /* perhaps it has not begun */
    if ((t->phase == POOL || t->phase == FLUSH) && !t->delivering_fixed) {
        t->phase = POOL;
        t->delivering |= BIT(c);
    }
    update_maybe(m);
    return NULL;
}

static const char *on_idle(struct model *m) {
    unsigned executing = 0;
    for (unsigned c = 0; c < m->completions; c++)
        executing += m->completion[c].pool == MODEL_EXECUTING;
    BROKEN_IF(m->pool_busy <= executing, "ET-POOL-15",
              "no thread has handed over and is not idle yet");
    m->pool_busy--;
    m->tick.idled++;
    return NULL;
}

/* ---- the end of a tick ----------------------------------------------------------------------- */

static const char *check_end(struct model *m, int result) {
    const struct model_tick_state *t = &m->tick;
    if (must_end(m) && m->stopped)
        end_silently(m, must_be_refused(m));
    bool rest = !must_end(m) || (t->phase == FLUSH && SOME(must_be_refused(m)));
    BROKEN_IF(m->stopped && rest, "ET-STOP-3",
              "the phase in which the loop was stopped should be completed");
    BROKEN_IF(!must_end(m) && t->error == EINTR && result == -EINTR, "ET-WAIT-5",
              "an interrupted wait ends as one without a report");
    bool refused = result == -ENOSYS || result == -EPERM || result == -EACCES ||
                   result == -EINVAL || result == -ENOTSUP;
    BROKEN_IF(t->due == DUE_WAIT && refused, "ET-WAIT-6",
              "a call that the system does not know is made by an older one");
    BROKEN_IF(!must_end(m) && t->fresh,
              t->run_clause != NULL ? t->run_clause
              : t->asked == 0       ? "ET-TICK-3"
                                    : "ET-TICK-4",
              "another round must be made");
    if (!must_end(m))
        return undone(m);
    BROKEN_IF(failed(m) && result != -t->error, "ET-TICK-6",
              "the negated errno of the wait must be returned");
    BROKEN_IF(!failed(m) && result != 0, "ET-TICK-7", "0 must be returned");
    return NULL;
}

static const char *on_tick_end(struct model *m, int result) {
    IN_PLACE(true);
    open_delivery(m);
    while (move_on(m)) {
    }
    const char *clause = check_end(m, result);
    m->in_tick = false;
    m->tick.phase = OUTSIDE;
    m->tick.snapshot = m->tick.expiring = NOTHING;
    m->reports = 0;
    return clause;
}

/* ---- the one way in -------------------------------------------------------------------------- */

/* EVENT_NOBODY, and what no table can hold, is nobody. */
static unsigned place(uint64_t c) {
    return c < MODEL_COMPLETIONS ? (unsigned)c : MODEL_NONE;
}

/* ET-RUN-1, -2, -3, -5: run acts as a tick. ET-RUN-4: an unknown mode is none. */
static int on_run(struct model *m, int mode) {
    static const struct {
        uint64_t callbacks;
        const char *clause;
    } as[] = {
        [ET_RUN_NO_WAIT] = {0, "ET-RUN-1"},
        [ET_RUN_ONCE] = {1, "ET-RUN-2"},
        [ET_RUN_UNTIL_DONE] = {EVENT_NEVER_REACHED, "ET-RUN-3"},
        [ET_RUN_TURN] = {1, "ET-RUN-5"},
    };
    REFUSE_IF(mode < 0 || mode > ET_RUN_TURN, -EINVAL, "ET-RUN-4");
    return on_tick(m, as[mode].callbacks, mode == ET_RUN_TURN, as[mode].clause);
}

/* What the call must return. */
static int call(struct model *m, const struct event *e) {
    unsigned c = place(e->c), by = place(e->by);
    switch (e->kind) {
    case EVENT_ADD: return on_add(m, c);
    case EVENT_DELETE: return on_delete(m, c);
    case EVENT_TIMER: return on_timer(m, c, e->delay_ms, e->has_callback, e->userdata);
    case EVENT_RESET: return on_reset(m, c, by, e->delay_ms, e->has_callback, e->userdata);
    case EVENT_CANCEL: return on_cancel(m, by, c, e->has_callback, e->userdata);
    case EVENT_STOP: return on_stop(m), 0;
    case EVENT_UPDATE_NOW: return on_update_now(m), 0;
    case EVENT_DEINIT: return on_deinit(m);
    case EVENT_ASYNC_WAIT: return on_async_wait(m, c, e->fd, e->has_callback, e->userdata);
    case EVENT_NOTIFY: return on_notify(m, e->fd);
    case EVENT_ASYNC_DEINIT: return on_async_deinit(m, e->fd);
    case EVENT_TICK: return on_tick(m, e->callbacks, false, NULL);
    case EVENT_RUN: return on_run(m, e->mode);
    default: return 0;
    }
}

static void on_pool(struct model *m, const struct event *e) {
    m->has_pool = true;
    m->pool_threads_max = e->threads_max;
    m->pool_threads = e->threads;
}

static const char *on_dead(struct model *m, const struct event *e) {
    model_set dead = NOTHING;
    if (e->dead != NULL)
        dead = *(const model_set *)e->dead;
    if (e->c < m->completions)
        dead |= BIT((unsigned)e->c);
    return on_settled(m, dead);
}

/* The clause that is broken, or NULL. */
static const char *observe(struct model *m, const struct event *e) {
    unsigned c = place(e->c);
    enum et_operation operation = (enum et_operation)e->operation;
    int error = (int)-e->result;
    switch (e->kind) {
    case EVENT_END: return e->of_deinit ? on_deinit_end(m) : on_tick_end(m, (int)e->result);
    case EVENT_CALLBACK: return on_callback(m, c, e->result, e->userdata);
    case EVENT_RETURNED: return on_returned(m, e->rearm ? ET_REARM : ET_DISARM);
    case EVENT_WAIT: m->forgive_registration = e->forgiven; return on_wait(m, e->result);
    case EVENT_WOKEN: return on_woken(m, error);
    case EVENT_REPORT: return on_report(m, e->fd, e->events, (enum model_source)e->source);
    case EVENT_TRY: return on_try(m, c, operation, e->fd, e->result);
    case EVENT_REFUSED: return on_refused(m, e->fd, error, e->events, e->claimed);
    case EVENT_MOVED: return on_moved(m, e->fd), NULL;
    case EVENT_THREAD: return on_thread(m, error);
    case EVENT_TOOK: return on_took(m, c);
    case EVENT_EXECUTED: return on_executed(m, c, operation, e->fd, e->result);
    case EVENT_GAVE_BACK: return on_gave_back(m, c);
    case EVENT_IDLE: return on_idle(m);
    case EVENT_POOL: return on_pool(m, e), NULL;
    case EVENT_DEAD: return on_dead(m, e);
    default: return NULL;
    }
}

struct model_answer MODEL_NAME(step)(struct model *m, const struct event *event) {
    struct model_answer answer = {NULL, 0};
    if (MODEL_NAME(observer) != NULL)
        MODEL_NAME(observer)(m, event, NULL);
    if (event->kind <= EVENT_RUN)
        answer.returns = call(m, event);
    else
        answer.broken = observe(m, event);
    if (MODEL_NAME(observer) != NULL)
        MODEL_NAME(observer)(m, event, &answer);
    return answer;
}

/* ---- what a loop around this one asks -------------------------------------------------------- */

static int64_t answer_timeout(struct model *m, int64_t result, const char *clause) {
    m->clause = clause;
    return result;
}

int64_t MODEL_NAME(timeout)(struct model *m) {
    uint64_t earliest = 0, now_ms = m->clock_ns / MS_NS;
    bool timers = false;
    bool queued = m->submissions.count + m->deletions.count + m->handed_over.count > 0;
    if (m->dead)
        return answer_timeout(m, -EINVAL, "ET-DEINIT-4");
    if (m->stopped)
        return answer_timeout(m, -1, "ET-HOST-3");
    if (queued || m->in_callback != MODEL_NONE)
        return answer_timeout(m, 0, "ET-HOST-1");
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        if (of->state != ET_ACTIVE || of->operation != ET_TIMER)
            continue;
        earliest = !timers || of->deadline_ms < earliest ? of->deadline_ms : earliest;
        timers = true;
    }
    if (!timers)
        return answer_timeout(m, -1, "ET-HOST-2");
    uint64_t left_ms = earliest > now_ms ? earliest - now_ms : 0;
    return answer_timeout(m, left_ms < INT64_MAX ? (int64_t)left_ms : INT64_MAX, "ET-HOST-2");
}

/* ---- what a judge supplies: it happened, and nobody saw it (wide.h) -------------------------- */

#ifdef MODEL_WIDE

enum wide_due wide_due(struct model *m, unsigned *c) {
    static const enum wide_due public[] = {
        [DUE_END] = WIDE_END,       [DUE_CALLBACK] = WIDE_CALLBACK, [DUE_TRY] = WIDE_TRY,
        [DUE_CHOICE] = WIDE_CHOICE, [DUE_THREAD] = WIDE_THREAD,     [DUE_UNSEEN] = WIDE_UNSEEN,
        [DUE_WAIT] = WIDE_WAIT,     [DUE_WOKEN] = WIDE_WOKEN,       [DUE_DELIVERY] = WIDE_DELIVERY,
    };
    advance(m);
    *c = m->tick.due == DUE_CALLBACK ? m->tick.due_completion : m->tick.current;
    return public[m->tick.due];
}

bool wide_move_on(struct model *m) {
    m->tick.collecting = false;
    return move_on(m);
}

int64_t wide_lawful_limit(const struct model *m) {
    uint64_t earliest = UINT64_MAX;
    bool timers = false;
    if (m->tick.called >= m->tick.asked || m->submissions.count > 0 || m->deletions.count > 0 ||
        m->active + m->lingering == 0)
        return 0;
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        if (of->state != ET_ACTIVE || of->operation != ET_TIMER)
            continue;
        timers = true;
        earliest = of->deadline_ms < earliest ? of->deadline_ms : earliest;
    }
    if (!timers)
        return MODEL_WAIT_FOREVER;
    uint64_t now_ms = m->clock_ns / MS_NS;
    if (earliest > now_ms && earliest - now_ms > WAIT_LIMIT_MS)
        return (int64_t)(WAIT_LIMIT_MS * MS_NS);
    return earliest * MS_NS > m->clock_ns ? (int64_t)(earliest * MS_NS - m->clock_ns) : 0;
}

bool wide_waits(const struct model *m, unsigned c) {
    const struct model_completion *of = &m->completion[c];
    return of->state == ET_ACTIVE && (kind(of) & WAITING) != 0;
}

bool wide_ready_unseen(struct model *m, unsigned c, int64_t result) {
    const struct model_completion *of = &m->completion[c];
    if (m->tick.phase != DELIVERY || m->tick.error != 0 || !wide_waits(m, c) ||
        of->order >= m->tick.orders_asked)
        return false;
    m->reports = 0; /* what the former ones allowed was taken, or is not known to have been owed */
    m->tick.collecting = true;
    if ((kind(of) & POLL) != 0) {
        uint32_t asked = of->description.events | READY_ALWAYS;
        if (result <= 0 || result > UINT32_MAX || ((uint32_t)result & ~asked) != 0)
            return false;
        if (on_report(m, of->description.fd, (uint32_t)result, MODEL_INFERRED) != NULL)
            return false;
        m->report[0].polls = BIT(c); /* whether others were told of the same is not known */
        m->report[0].tries_owed = 0;
        m->tick.collecting = false;
        advance(m);
        return true;
    }
    uint32_t events = traits_await(kind(of), 0);
    if (on_report(m, of->description.fd, events != 0 ? events : READY_ERR, MODEL_INFERRED) != NULL)
        return false;
    /* what was started before it was tried, too, if it was not answered */
    m->report[0].tried = earlier(m, waiting_on(m, of->description.fd, kind(of)), c);
    return on_try(m, c, of->operation, of->description.fd, result) == NULL;
}

void wide_hold(struct model *m) {
    if (m->in_tick && m->tick.phase == DELIVERY && m->tick.error == 0)
        m->tick.collecting = true;
}

void wide_refused_unseen(struct model *m, unsigned c, int error) {
    m->completion[c].refusal = error;
    m->refused |= BIT(c);
}

void wide_start(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    bool lasts = of->state == ET_ADDING && (of->operation == ET_TIMER || (kind(of) & WAITING) != 0);
    bool ends = (kind(of) & WAITING) != 0 &&
                (of->description.fd < 0 || of->description.fd >= m->descriptors_max);
    if (!lasts || ends || of->is_carrier)
        return;
    model_index current = m->tick.current;
    start(m, c);
    m->tick.current = current;
    if (m->tick.phase != TIMERS)
        return;
    /* the submission phase has done it, and so before this phase */
    m->tick.orders_timers = m->orders;
    if (of->operation == ET_TIMER && of->deadline_ms <= m->now_ms)
        m->tick.expiring |= BIT(c);
}

void wide_unstart(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    bool lasts = of->operation == ET_TIMER || (kind(of) & WAITING) != 0;
    if (of->state != ET_ACTIVE || !lasts || m->tick.current == c)
        return;
    leave(m, c);
    of->state = ET_ADDING;
    push(&m->submissions, c);
}

static void expire_at(struct model *m, unsigned c, uint64_t deadline_ms) {
    struct model_completion *of = &m->completion[c];
    of->deadline_ms = deadline_ms;
    of->is_vague = false;
    bool in_phase = m->in_tick && m->tick.phase == TIMERS && of->order < m->tick.orders_timers;
    if (in_phase && of->state == ET_ACTIVE && of->carrier == MODEL_NONE && deadline_ms <= m->now_ms)
        m->tick.expiring |= BIT(c);
}

void wide_expire(struct model *m, unsigned c) {
    const struct model_completion *of = &m->completion[c];
    if ((of->state == ET_ADDING || of->state == ET_ACTIVE) && of->operation == ET_TIMER)
        expire_at(m, c, m->now_ms);
}

void wide_settle(struct model *m, unsigned c, uint64_t now_ms) {
    const struct model_completion *of = &m->completion[c];
    bool runs = (of->state == ET_ADDING || of->state == ET_ACTIVE) && of->operation == ET_TIMER;
    if (runs && of->is_vague && now_ms == of->deadline_ms - 1)
        expire_at(m, c, now_ms);
}

bool wide_may_end(const struct model *m, unsigned c, int64_t result) {
    const struct model_tick_state *t = &m->tick;
    if (t->due == DUE_CALLBACK)
        return t->due_completion == c && t->due_result == result;
    if (HAS(m->refused, c) && result == -(int64_t)m->completion[c].refusal)
        return true;
    return t->due == DUE_DELIVERY && report_for(m, c, result) != NULL;
}

void wide_bury(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    if (of->state == ET_DEAD)
        return;
    if (of->pool == MODEL_EXECUTING) /* its thread is busy with it for ever */
        of->pool = MODEL_NO_POOL;
    leave(m, c);
    of->state = ET_DEAD;
    release_carrier(m, c);
    if (m->tick.current == c)
        m->tick.current = MODEL_NONE;
}

bool wide_knows_async(const struct model *m, int fd) {
    bool room = fd < 0;
    for (unsigned i = 0; i < MODEL_ASYNCS; i++)
        room = room || !m->async[i].used || m->async[i].fd == fd;
    return room;
}

void wide_copy(struct model *to, const struct model *from) {
    size_t fixed = offsetof(struct model, completions);
    memcpy(to->completion, from->completion, from->completions * sizeof *to->completion);
    for (unsigned c = from->completions; c < to->completions; c++)
        to->completion[c] = (struct model_completion){.carrier = MODEL_NONE, .carries = MODEL_NONE};
    size_t reports = offsetof(struct model, report), tick = offsetof(struct model, tick);
    memcpy((char *)to + fixed, (const char *)from + fixed, reports - fixed);
    memcpy(to->report, from->report, from->reports * sizeof *to->report);
    memcpy((char *)to + tick, (const char *)from + tick, sizeof *to - tick);
}

#endif
