/* The law of spec/etalon.md as an executable state machine; model.h says how it is driven.
 *
 * Between two observations the model passes by itself through everything that the law determines and nobody can
 * see (advance), up to the next thing that must be observed (tick.due). What an observation changes is done when
 * it comes, not before: until its callback is called, a completion keeps the state that another callback would
 * see. Where the law leaves a choice the model stops too; an observation that does not take it declines it (move_on).
 *
 * The phases share `end`, the one way to dead, which asks the table of lifecycle.def. */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define MS_NS            UINT64_C(1000000)
#define WAIT_LIMIT_MS    2147483647 /* ET-WAIT-3: the longest limit that a loop must be able to give */
#define SILENT_STEPS_MAX 1000       /* far more than MODEL_COMPLETIONS can make in two rounds */

enum { READY_IN = 0x1, READY_PRI = 0x2, READY_OUT = 0x4, READY_ERR = 0x8, READY_HUP = 0x10, READY_RDHUP = 0x2000 };
#define REPORTS_IN     ((uint32_t)(READY_IN | READY_RDHUP | READY_HUP | READY_ERR))
#define REPORTS_OUT    ((uint32_t)(READY_OUT | READY_HUP | READY_ERR))
#define REPORTS_ALWAYS ((uint32_t)(READY_ERR | READY_HUP))
#define CAN_REGISTER   ((uint32_t)(READY_IN | READY_PRI | READY_OUT | READY_RDHUP))
#define CAN_POLL       (CAN_REGISTER | REPORTS_ALWAYS)

/* What an operation waits for. Those without any of the first three do not wait. */
enum { IN = 1, OUT = 2, POLL = 4, WAITING = IN | OUT | POLL, SOCKET = 8, POOLABLE = 16 };
static const uint8_t kind_of[ET_OPERATIONS] = {
    [ET_ACCEPT] = IN,           [ET_CONNECT] = OUT,          [ET_POLL] = POLL,
    [ET_READ] = IN | POOLABLE,  [ET_WRITE] = OUT | POOLABLE, [ET_PREAD] = IN | POOLABLE,
    [ET_RECV] = IN | SOCKET,    [ET_SEND] = OUT | SOCKET,    [ET_PWRITE] = OUT | POOLABLE,
    [ET_RECVMSG] = IN | SOCKET, [ET_SENDMSG] = OUT | SOCKET, [ET_CLOSE] = POOLABLE,
};

enum phase { OUTSIDE, SUBMISSIONS, DELETIONS, TIMERS, FLUSH, ASKED, DELIVERY, OVER };

/* How far the operation is that the submission phase is at. */
enum step {
    STEP_MAY_TRY, /* ET-SUBMIT-8 */
    STEP_TRY,     /* of a connect or a shutdown */
    STEP_TARGET,  /* of a cancel: its target is to be ended */
    STEP_OWN,     /* of a cancel: its target has been ended */
    STEP_CLOSE,
};

enum due { DUE_END, DUE_CALLBACK, DUE_TRY, DUE_CHOICE, DUE_WAIT, DUE_WOKEN, DUE_DELIVERY };

/* ---- the table of lifecycle.def ---- */

enum event {
    EVENT_ADD,
    EVENT_DELETE,
    EVENT_TIMER,
    EVENT_RESET,
    EVENT_CANCEL,
    EVENT_START,
    EVENT_RETIRE,
    EVENT_FINISH,
    EVENT_CANCELLED,
    EVENT_DEINIT,
    EVENTS
};
enum condition { IF_ALWAYS, IF_TIMER, IF_OTHER, IF_BUSY, IF_WAITS, IF_ENDS, CONDITIONS };
enum { SILENT = 1, CALLBACK = 2 }; /* in the place of a return value */

struct transition {
    bool exists;
    uint8_t next;
    int result;
    const char *clause;
};
#define LIFECYCLE(event, state, condition, next, result, clause, words)                                                \
    [EVENT_##event][ET_##state][IF_##condition] = {true, ET_##next, result, clause},
static const struct transition table[EVENTS][ET_DELETING + 1][CONDITIONS] = {
#include "../spec/lifecycle.def"
};
#undef LIFECYCLE

static const struct transition *transition(enum event event, unsigned state, enum condition condition) {
    assert(state <= ET_DELETING);
    const struct transition *row = &table[event][state][IF_ALWAYS];
    if (!row->exists)
        row = &table[event][state][condition];
    assert(row->exists);
    return row;
}

/* ---- small things ---- */

static uint32_t bit(unsigned c) {
    assert(c < MODEL_COMPLETIONS);
    return UINT32_C(1) << c;
}

static const char *broken(struct model *m, const char *clause, const char *why) {
    m->why = why;
    return clause;
}

static int answer(struct model *m, int result, const char *clause) {
    m->clause = clause;
    return result;
}

static const char *out_of_place(struct model *m) {
    return broken(m, "ET-CALL-5", "this can only be seen within a tick, in its proper place");
}

static void push(struct model_queue *queue, unsigned c) {
    assert(queue->count < MODEL_COMPLETIONS);
    queue->item[queue->count++] = (uint8_t)c;
}

static void take_out(struct model_queue *queue, unsigned c) {
    unsigned at = 0;
    while (at < queue->count && queue->item[at] != c)
        at++;
    assert(at < queue->count);
    queue->count--;
    for (; at < queue->count; at++)
        queue->item[at] = queue->item[at + 1];
}

static unsigned kind(const struct model_completion *of) {
    assert(of->operation < ET_OPERATIONS);
    return kind_of[of->operation];
}

/* The one that was started first among the active ones of that descriptor that wait for any of `kinds`. */
static unsigned first_waiting(const struct model *m, int fd, unsigned kinds) {
    unsigned best = MODEL_NONE;
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        if (of->state != ET_ACTIVE || of->description.fd != fd || (kind(of) & kinds & WAITING) == 0)
            continue;
        if (best == MODEL_NONE || of->order < m->completion[best].order)
            best = c;
    }
    return best;
}

/* Of the completions in mask on the descriptor of c: those that were started before c. */
static uint32_t earlier(const struct model *m, uint32_t mask, unsigned c) {
    uint32_t result = 0;
    for (unsigned i = 0; mask != 0 && i < m->completions; i++)
        if ((mask & bit(i)) != 0 && m->completion[i].order < m->completion[c].order &&
            m->completion[i].description.fd == m->completion[c].description.fd)
            result |= bit(i);
    return result;
}

/* ET-STATE-4: those that the subject ends without anything to be seen. */
static uint32_t silent(const struct model *m, uint32_t mask) {
    for (unsigned i = 0; mask != 0 && i < m->completions; i++)
        if (m->completion[i].description.has_callback)
            mask &= ~bit(i);
    return mask;
}

/* ET-TIME-2: whole milliseconds, rounded down. ET-TIME-3: never back. */
static void update_time(struct model *m) {
    uint64_t clock_ms = m->clock_ns / MS_NS;
    if (clock_ms > m->now_ms)
        m->now_ms = clock_ms;
}

static uint64_t deadline_after(const struct model *m, uint64_t delay_ms) {
    return delay_ms > UINT64_MAX - m->now_ms ? UINT64_MAX : m->now_ms + delay_ms;
}

/* ---- the ways of a completion ---- */

/* ET-RESET-8, -9: the carrier is dead, its reset (if it still has one) is applied. The timer is not in
 * tick.expiring, from which timer_reset has taken it: so it does not fire in this phase (ET-EXPIRE-5). */
static void release_carrier(struct model *m, unsigned carrier) {
    struct model_completion *of = &m->completion[carrier];
    of->is_carrier = false;
    if (of->carries == MODEL_NONE)
        return;
    struct model_completion *timer = &m->completion[of->carries];
    assert(timer->state == ET_ACTIVE && timer->operation == ET_TIMER && timer->carrier == carrier);
    assert((m->tick.expiring & bit(of->carries)) == 0);
    timer->carrier = MODEL_NONE;
    timer->order = m->orders++;
    of->carries = MODEL_NONE;
}

/* ET-RESET-10, -11: the carrier goes on without a reset, and ends as if it had been applied. */
static void drop_reset(struct model *m, unsigned timer) {
    struct model_completion *of = &m->completion[timer];
    if (of->carrier == MODEL_NONE)
        return;
    assert(m->completion[of->carrier].carries == timer);
    m->completion[of->carrier].carries = MODEL_NONE;
    of->carrier = MODEL_NONE;
}

/* Takes c out of everything that its present state has put it into; the caller gives it another state. */
static void leave(struct model *m, unsigned c) {
    const struct model_completion *of = &m->completion[c];
    assert(of->state != ET_DEAD);
    if (of->state == ET_ADDING) {
        take_out(&m->submissions, c);
        m->tick.snapshot &= ~bit(c);
    } else if (of->state == ET_DELETING) {
        take_out(&m->deletions, c);
    } else {
        assert(m->active > 0);
        m->active--; /* ET-STATE-6 */
        m->refused &= ~bit(c);
        m->maybe_dead &= ~bit(c);
        m->tick.expiring &= ~bit(c);
        for (unsigned r = 0; r < m->reports; r++)
            m->report[r].polls_owed &= ~bit(c);
        drop_reset(m, c);
    }
}

/* The end of an episode (ET-STATE-3), by any event but a call. ET-CALL-1: before the callback is called. */
static void end(struct model *m, unsigned c, enum event event) {
    const struct transition *row = transition(event, m->completion[c].state, IF_ENDS);
    assert(row->next == ET_DEAD);
    leave(m, c);
    m->completion[c].state = row->next;
    release_carrier(m, c);
}

/* An end whose null callback counts as called (ET-STATE-4, ET-TICK-5). */
static void end_silently(struct model *m, uint32_t mask) {
    for (unsigned c = 0; mask != 0 && c < m->completions; c++) {
        if ((mask & bit(c)) == 0)
            continue;
        assert(!m->completion[c].description.has_callback);
        m->tick.called++;
        end(m, c, EVENT_FINISH);
    }
}

/* From dead or deleting to adding. ET-ADD-4: a deletion is completed first; of a carrier: its reset applied. */
static void begin_episode(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    const struct transition *row = transition(EVENT_ADD, of->state, IF_ALWAYS);
    assert(of->state != ET_ADDING && row->next == ET_ADDING);
    if (of->state == ET_DELETING)
        end(m, c, EVENT_RETIRE);
    of->operation = of->description.operation;
    of->deadline_ms = deadline_after(m, of->description.delay_ms); /* ET-ADD-7 */
    of->state = row->next;
    push(&m->submissions, c); /* ET-ADD-1: the tail; not in the snapshot of a round in progress: ET-CALL-4 */
}

static int refuse_add(struct model *m, unsigned c) {
    const struct model_description *d = &m->completion[c].description;
    bool known = d->operation < ET_OPERATIONS;
    bool bad_target = d->operation == ET_CANCEL && (d->target >= m->completions || d->target == c);
    bool bad_events = d->operation == ET_POLL && (d->events & ~CAN_POLL) != 0;
    if (!known || bad_target || bad_events || (d->pool_mark && (kind_of[d->operation] & POOLABLE) == 0))
        return answer(m, -EINVAL, "ET-ADD-5");
    if (d->pool_mark && !m->has_pool)
        return answer(m, -EOPNOTSUPP, "ET-ADD-6");
    return 0;
}

/* ---- set-up ---- */

/* ET-STATE-1: dead, a noop, without a callback. */
static void make_zero(struct model_completion *of) {
    *of = (struct model_completion){.state = ET_DEAD, .carrier = MODEL_NONE, .carries = MODEL_NONE};
    of->description.target = MODEL_NONE;
}

void model_init(struct model *m, unsigned completions, int descriptors_max, uint64_t clock_ns) {
    assert(completions <= MODEL_COMPLETIONS);
    memset(m, 0, sizeof *m);
    m->completions = (uint8_t)completions;
    for (unsigned c = 0; c < MODEL_COMPLETIONS; c++)
        make_zero(&m->completion[c]);
    m->in_callback = MODEL_NONE;
    m->descriptors_max = descriptors_max;
    m->clock_ns = clock_ns;
    update_time(m); /* ET-TIME-1 */
}

void model_clock(struct model *m, uint64_t clock_ns) {
    m->clock_ns = clock_ns;
}

void model_describe(struct model *m, unsigned c, const struct model_description *description) {
    assert(c < m->completions && m->completion[c].state == ET_DEAD);
    m->completion[c].description = *description;
}

void model_forget(struct model *m, unsigned c) {
    assert(c < m->completions && m->completion[c].state == ET_DEAD);
    make_zero(&m->completion[c]);
}

/* ---- calls; whatever a refusal returns, it comes before anything is changed: ET-STATE-5 ---- */

static int closed(struct model *m) {
    return answer(m, -EINVAL, "ET-DEINIT-4");
}

int model_add(struct model *m, unsigned c) {
    if (m->dead || c >= m->completions)
        return closed(m);
    unsigned state = m->completion[c].state;
    const struct transition *row = transition(EVENT_ADD, state, IF_ALWAYS); /* ET-ADD-1, -2, -3, -4 */
    if (row->next == ET_ADDING && state != ET_ADDING) {
        int refused = refuse_add(m, c);
        if (refused != 0)
            return refused;
        begin_episode(m, c);
    }
    return answer(m, row->result, row->clause);
}

int model_delete(struct model *m, unsigned c) {
    if (m->dead || c >= m->completions)
        return closed(m);
    unsigned state = m->completion[c].state;
    const struct transition *row = transition(EVENT_DELETE, state, IF_ALWAYS);
    if (row->next != state) { /* ET-DELETE-2, -3; else ET-DELETE-1. A timer's reset is dropped: ET-RESET-10 */
        leave(m, c);
        m->completion[c].state = row->next;
        push(&m->deletions, c);
    }
    return answer(m, row->result, row->clause);
}

static enum condition is_timer(const struct model_completion *of) {
    return of->operation == ET_TIMER ? IF_TIMER : IF_OTHER;
}

int model_timer(struct model *m, unsigned c, uint64_t delay_ms, bool has_callback, uint32_t userdata) {
    if (m->dead || c >= m->completions)
        return closed(m);
    struct model_completion *of = &m->completion[c];
    const struct transition *row = transition(EVENT_TIMER, of->state, is_timer(of));
    if (row->result < 0) /* ET-TIMER-3, -4 */
        return answer(m, row->result, row->clause);
    of->description.operation = ET_TIMER;
    of->description.pool_mark = false;
    of->description.delay_ms = delay_ms;
    of->description.has_callback = has_callback;
    of->description.userdata = userdata;
    if (of->state == ET_ADDING) /* ET-TIMER-2: keeps its place */
        of->deadline_ms = deadline_after(m, delay_ms);
    else /* ET-TIMER-1 */
        begin_episode(m, c);
    return answer(m, row->result, row->clause);
}

static void describe_cancel(struct model *m, unsigned c, unsigned target, bool has_callback, uint32_t userdata) {
    struct model_description *d = &m->completion[c].description;
    d->operation = ET_CANCEL;
    d->target = (uint8_t)target;
    d->pool_mark = false;
    d->has_callback = has_callback;
    d->userdata = userdata;
}

/* ET-RESET-5: the carrier is at this very reset. ET-RESET-6: it is adding or active for anything else. */
static enum condition usable(const struct model *m, unsigned timer, unsigned carrier) {
    if (m->completion[timer].operation != ET_TIMER)
        return IF_OTHER; /* ET-RESET-2 */
    unsigned state = m->completion[carrier].state;
    bool same = m->completion[timer].carrier == carrier && state == ET_ADDING;
    return same || state == ET_DEAD || state == ET_DELETING ? IF_TIMER : IF_BUSY;
}

int model_reset(struct model *m, unsigned c, unsigned carrier, uint64_t delay_ms, bool has_callback,
                uint32_t userdata) {
    if (m->dead || c >= m->completions)
        return closed(m);
    if (carrier >= m->completions || carrier == c)
        return answer(m, -EINVAL, "ET-RESET-7");
    struct model_completion *of = &m->completion[c];
    if (of->state != ET_ACTIVE) { /* ET-RESET-1 */
        int result = model_timer(m, c, delay_ms, has_callback, userdata);
        return answer(m, result, "ET-RESET-1");
    }
    const struct transition *row = transition(EVENT_RESET, of->state, usable(m, c, carrier));
    if (row->result < 0)
        return answer(m, row->result, row->clause);
    bool same = m->completion[carrier].state == ET_ADDING;
    if (!same) {          /* ET-RESET-3 */
        drop_reset(m, c); /* ET-RESET-11 */
        describe_cancel(m, carrier, c, false, 0);
        begin_episode(m, carrier);
        m->completion[carrier].is_carrier = true;
        m->completion[carrier].carries = (uint8_t)c;
        of->carrier = (uint8_t)carrier;
    }
    of->description.delay_ms = delay_ms;
    of->description.has_callback = has_callback;
    of->description.userdata = userdata;
    of->deadline_ms = deadline_after(m, delay_ms);
    m->tick.expiring &= ~bit(c); /* ET-RESET-4 */
    assert(of->carrier == carrier && m->completion[carrier].carries == c);
    return answer(m, row->result, same ? "ET-RESET-5" : row->clause);
}

int model_cancel(struct model *m, unsigned cancel, unsigned target, bool has_callback, uint32_t userdata) {
    if (m->dead || cancel >= m->completions)
        return closed(m);
    if (target >= m->completions || target == cancel)
        return answer(m, -EINVAL, "ET-CANCEL-3");
    const struct transition *row = transition(EVENT_CANCEL, m->completion[cancel].state, IF_ALWAYS);
    if (row->result >= 0) { /* ET-CANCEL-1; else ET-CANCEL-2 */
        describe_cancel(m, cancel, target, has_callback, userdata);
        begin_episode(m, cancel);
    }
    return answer(m, row->result, row->clause);
}

void model_stop(struct model *m) {
    m->stopped = true; /* ET-STOP-1 */
}

void model_update_now(struct model *m) {
    if (!m->dead)
        update_time(m); /* ET-TIME-1 */
}

int model_deinit(struct model *m) {
    if (m->dead)
        return closed(m);
    if (m->in_callback != MODEL_NONE)
        return answer(m, -EBUSY, "ET-DEINIT-1");
    for (unsigned c = 0; c < m->completions; c++) { /* ET-DEINIT-2: no callback, no reset is applied */
        struct model_completion *of = &m->completion[c];
        if (of->state != ET_DEAD)
            of->state = transition(EVENT_DEINIT, of->state, IF_ALWAYS)->next;
        of->is_carrier = false;
        of->carrier = of->carries = MODEL_NONE;
    }
    m->submissions.count = m->deletions.count = 0;
    m->active = m->refused = m->maybe_dead = 0;
    m->dead = true;
    return answer(m, 0, "ET-DEINIT-2");
}

/* ---- from one observation to the next ---- */

static void enter(struct model *m, enum phase phase) {
    struct model_tick_state *t = &m->tick;
    t->phase = (uint8_t)(m->stopped ? OVER : phase); /* ET-STOP-2 */
    if (t->phase != TIMERS)
        return;
    update_time(m); /* ET-TIME-1 */
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        bool timer = of->state == ET_ACTIVE && of->operation == ET_TIMER;
        if (timer && of->carrier == MODEL_NONE && of->deadline_ms <= m->now_ms) /* ET-EXPIRE-4, ET-RESET-4 */
            t->expiring |= bit(c);
    }
}

static void begin_round(struct model *m) {
    struct model_tick_state *t = &m->tick;
    t->phase = SUBMISSIONS;
    t->fresh = true;
    t->current = MODEL_NONE;
    t->snapshot = 0;
    t->expiring = 0;
    for (unsigned i = 0; i < m->submissions.count; i++) /* ET-SUBMIT-1 */
        t->snapshot |= bit(m->submissions.item[i]);
}

/* ET-TICK-3, ET-TICK-4. */
static void end_round(struct model *m) {
    const struct model_tick_state *t = &m->tick;
    bool idle = m->active == 0 && m->submissions.count == 0 && m->deletions.count == 0;
    if (m->stopped || idle || t->called >= t->asked)
        m->tick.phase = OVER;
    else
        begin_round(m);
}

/* What is due has come, or cannot be seen. The application of a reset counts as no callback (ET-TICK-5). */
static void end_due(struct model *m) {
    struct model_tick_state *t = &m->tick;
    unsigned c = t->due_completion;
    assert(t->due == DUE_CALLBACK);
    if (!m->completion[c].is_carrier)
        t->called++;
    end(m, c, (enum event)t->due_event);
    if (c == t->answered)
        t->answered = MODEL_NONE;
    else if (c == t->current)
        t->current = MODEL_NONE;
    else if (t->current != MODEL_NONE && t->step == STEP_TARGET)
        t->step = STEP_OWN;
}

/* True: the callback must be observed. False: there is none, the end is done. */
static bool due_callback(struct model *m, unsigned c, int64_t result, enum event event, const char *clause) {
    struct model_tick_state *t = &m->tick;
    t->due = DUE_CALLBACK;
    t->due_completion = (uint8_t)c;
    t->due_result = result;
    t->due_event = (uint8_t)event;
    t->due_clause = clause;
    t->due_why = "another callback is due, or the due one with another result";
    if (m->completion[c].description.has_callback)
        return true;
    end_due(m);
    return false;
}

static bool due(struct model *m, enum due due, const char *clause, const char *why) {
    m->tick.due = (uint8_t)due;
    m->tick.due_clause = clause;
    m->tick.due_why = why;
    return true;
}

/* ET-CANCEL-8: by its number alone; what its descriptor or number means now is of no concern. */
static bool due_cancel(struct model *m, unsigned cancel) {
    if (m->tick.step == STEP_OWN)
        return due_callback(m, cancel, 0, EVENT_FINISH, "ET-CANCEL-4");
    unsigned target = m->completion[cancel].description.target;
    assert(target < m->completions && target != cancel);
    unsigned state = m->completion[target].state;
    if (state == ET_DEAD || state == ET_DELETING)
        return due_callback(m, cancel, -ENOENT, EVENT_FINISH, "ET-CANCEL-6");
    const char *clause = transition(EVENT_CANCELLED, state, IF_ALWAYS)->clause; /* ET-CANCEL-4, -5; ET-RESET-9 */
    return due_callback(m, target, -ECANCELED, EVENT_CANCELLED, clause);
}

/* The submission phase is in the midst of an operation that it has started. */
static bool due_current(struct model *m) {
    struct model_tick_state *t = &m->tick;
    const struct model_completion *of = &m->completion[t->current];
    if (of->state != ET_ACTIVE) { /* a callback has deleted it: ET-CANCEL-7, ET-CLOSE-3 */
        t->current = MODEL_NONE;
        return false;
    }
    switch (t->step) {
    case STEP_MAY_TRY: return due(m, DUE_CHOICE, "ET-SUBMIT-8", "a socket operation may be tried");
    case STEP_TRY:
        if (of->operation == ET_CONNECT)
            return due(m, DUE_TRY, "ET-SUBMIT-7", "the connect that was started must be tried first");
        return due(m, DUE_TRY, "ET-SUBMIT-9", "the shutdown that was started must be carried out first");
    case STEP_CLOSE: {
        unsigned c = first_waiting(m, of->description.fd, WAITING);
        if (c != MODEL_NONE)
            return due_callback(m, c, -ECANCELED, EVENT_CANCELLED, "ET-CLOSE-1");
        return due(m, DUE_TRY, "ET-CLOSE-2", "the close that was started must close its descriptor first");
    }
    default: return due_cancel(m, t->current);
    }
}

/* A result without a system call, or 1. */
static int result_at_start(const struct model *m, unsigned c, const char **clause) {
    const struct model_completion *of = &m->completion[c];
    bool waits = (kind(of) & WAITING) != 0;
    bool descriptor = waits || of->operation == ET_CLOSE || of->operation == ET_SHUTDOWN;
    if (of->operation == ET_NOOP) {
        *clause = "ET-SUBMIT-2";
        return 0;
    }
    if (descriptor && of->description.fd < 0) {
        *clause = "ET-SUBMIT-4";
        return -EBADF;
    }
    if (waits && of->description.fd >= m->descriptors_max) {
        *clause = "ET-SUBMIT-5";
        return -EMFILE;
    }
    return 1;
}

/* ET-SUBMIT-3, ET-SUBMIT-6; a cancel, a close and what is tried are active for as long as that takes. */
static void start(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    struct model_tick_state *t = &m->tick;
    unsigned kinds = kind(of);
    bool alone = first_waiting(m, of->description.fd, kinds) == MODEL_NONE;
    leave(m, c);
    of->state = transition(EVENT_START, ET_ADDING, IF_WAITS)->next;
    of->order = m->orders++;
    m->active++;
    if ((kinds & WAITING) != 0) { /* ET-REGISTER-5: the descriptor may be registered anew from now on */
        struct model_useless *useless = m->useless[m->useless_last];
        for (unsigned i = 0; i < m->useless_count[m->useless_last]; i++)
            if (useless[i].fd == of->description.fd)
                useless[i].events = 0;
    }
    t->current = (uint8_t)c;
    if (of->operation == ET_CONNECT || of->operation == ET_SHUTDOWN)
        t->step = STEP_TRY;
    else if (of->operation == ET_CANCEL)
        t->step = STEP_TARGET;
    else if (of->operation == ET_CLOSE)
        t->step = STEP_CLOSE;
    else if ((kinds & SOCKET) != 0 && alone) /* ET-SUBMIT-8 */
        t->step = STEP_MAY_TRY;
    else
        t->current = MODEL_NONE;
}

static bool due_submission(struct model *m) {
    const struct model_tick_state *t = &m->tick;
    if (t->current != MODEL_NONE)
        return due_current(m);
    unsigned c = m->submissions.count == 0 ? MODEL_NONE : m->submissions.item[0];
    if (c == MODEL_NONE || (t->snapshot & bit(c)) == 0) { /* ET-SUBMIT-1, ET-CALL-4 */
        assert(t->snapshot == 0);
        enter(m, DELETIONS);
        return false;
    }
    if (m->completion[c].is_carrier) { /* ET-RESET-8 */
        end(m, c, EVENT_START);
        return false;
    }
    const char *clause = NULL;
    int result = result_at_start(m, c, &clause);
    if (result <= 0)
        return due_callback(m, c, result, EVENT_START, clause);
    start(m, c);
    return false;
}

static bool due_deletion(struct model *m) {
    while (m->deletions.count > 0) /* ET-RETIRE-1; a carrier's reset: ET-RESET-9 */
        end(m, m->deletions.item[0], EVENT_RETIRE);
    enter(m, TIMERS);
    return false;
}

static bool fires_before(const struct model_completion *a, const struct model_completion *b) {
    if (a->deadline_ms != b->deadline_ms)
        return a->deadline_ms < b->deadline_ms; /* ET-EXPIRE-2 */
    return a->order < b->order;                 /* ET-EXPIRE-3 */
}

static bool due_timer(struct model *m) {
    unsigned first = MODEL_NONE;
    for (unsigned c = 0; m->tick.expiring != 0 && c < m->completions; c++) {
        bool expiring = (m->tick.expiring & bit(c)) != 0;
        if (expiring && (first == MODEL_NONE || fires_before(&m->completion[c], &m->completion[first])))
            first = c;
    }
    if (first != MODEL_NONE)
        return due_callback(m, first, 0, EVENT_FINISH, "ET-EXPIRE-1");
    enter(m, FLUSH); /* the pool phase is empty in this version */
    return false;
}

/* What the reports still demand, or with `allowed` what they still permit: a clause, or NULL. */
static const char *open_report(const struct model *m, bool allowed) {
    for (unsigned r = 0; r < m->reports; r++) {
        const struct model_report *report = &m->report[r];
        if (report->stale && !allowed)
            continue;
        if (report->in_owed && first_waiting(m, report->fd, IN) != MODEL_NONE)
            return "ET-EVENT-1";
        if (report->out_owed && first_waiting(m, report->fd, OUT) != MODEL_NONE)
            return "ET-EVENT-1";
        uint32_t polls = report->polls_owed;
        if ((allowed && report->stale ? polls : polls & ~silent(m, polls)) != 0)
            return "ET-EVENT-4";
    }
    return NULL;
}

static void end_delivery(struct model *m) {
    for (unsigned r = 0; r < m->reports; r++)
        if (!m->report[r]
                 .stale) /* ET-EVENT-4 of null callbacks; a stale one that was not settled has not been served */
            end_silently(m, silent(m, m->report[r].polls_owed));
    for (unsigned r = 0; r < m->reports; r++)
        m->report[r].polls_owed = 0;
    m->maybe_dead = 0;
    end_round(m);
}

static bool due_delivery(struct model *m) {
    if (!m->tick.collecting && open_report(m, true) == NULL) {
        end_delivery(m);
        return false;
    }
    return due(m, DUE_DELIVERY, open_report(m, false), "what the kernel has reported must be delivered first");
}

static bool find_due(struct model *m) {
    struct model_tick_state *t = &m->tick;
    if (t->answered != MODEL_NONE) /* ET-EVENT-2, ET-SUBMIT-7, -8, -9, ET-CLOSE-2 */
        return due_callback(m, t->answered, t->answered_result, EVENT_FINISH, "ET-OP-1");
    switch (t->phase) {
    case SUBMISSIONS: return due_submission(m);
    case DELETIONS: return due_deletion(m);
    case TIMERS: return due_timer(m);
    case FLUSH: return due(m, DUE_WAIT, "ET-WAIT-1", "the kernel must be asked once in each round");
    case ASKED: return due(m, DUE_WOKEN, "ET-CALL-5", "the kernel has been asked and has not answered");
    case DELIVERY: return due_delivery(m);
    default: return due(m, DUE_END, NULL, "the tick must end here");
    }
}

static void advance(struct model *m) {
    unsigned steps = 0;
    while (!find_due(m)) {
        steps++;
        assert(steps < SILENT_STEPS_MAX);
    }
}

/* The observation that has come does not take the choice that the subject had: so it is declined. */
static bool move_on(struct model *m) {
    struct model_tick_state *t = &m->tick;
    if (t->due == DUE_CHOICE)
        t->current = MODEL_NONE;
    else if (t->due == DUE_DELIVERY && open_report(m, false) == NULL)
        end_delivery(m);
    else
        return false;
    advance(m);
    return true;
}

/* Anything but a report: there are no more. */
static void open_delivery(struct model *m) {
    if (!m->tick.collecting)
        return;
    m->tick.collecting = false;
    advance(m);
}

/* Who may have ended without having been seen: see model.h. */
static void update_maybe(struct model *m) {
    uint32_t maybe = 0;
    uint32_t refused = silent(m, m->refused);
    for (unsigned c = 0; refused != 0 && c < m->completions; c++)
        if ((refused & bit(c)) != 0 && (earlier(m, m->refused, c) & ~refused) == 0)
            maybe |= bit(c);
    for (unsigned r = 0; r < m->reports; r++) {
        uint32_t polls = m->report[r].polls_owed;
        uint32_t nulls = silent(m, polls);
        for (unsigned c = 0; nulls != 0 && c < m->completions; c++)
            if ((nulls & bit(c)) != 0 && (earlier(m, polls, c) & ~nulls) == 0)
                maybe |= bit(c);
    }
    m->maybe_dead = maybe;
}

/* ---- ticks ---- */

int model_tick(struct model *m, uint64_t callbacks) {
    if (m->dead)
        return closed(m);
    if (m->stopped)
        return answer(m, 0, "ET-TICK-1");
    if (m->in_tick || m->in_callback != MODEL_NONE)
        return answer(m, -EBUSY, "ET-TICK-2");
    m->in_tick = true;
    m->tick = (struct model_tick_state){.asked = callbacks, .current = MODEL_NONE, .answered = MODEL_NONE};
    m->reports = 0;
    begin_round(m);
    advance(m);
    return answer(m, MODEL_RUNS, "ET-TICK-4");
}

int model_run(struct model *m, unsigned mode) {
    switch (mode) {
    case ET_RUN_NO_WAIT: /* ET-RUN-1 */ return model_tick(m, 0);
    case ET_RUN_ONCE: /* ET-RUN-2 */ return model_tick(m, 1);
    case ET_RUN_UNTIL_DONE: /* ET-RUN-3 */ return model_tick(m, MODEL_NEVER_REACHED);
    default: return answer(m, -EINVAL, "ET-RUN-4");
    }
}

/* Why no more may come in this tick. */
static const char *tick_must_end(struct model *m) {
    if (m->tick.error != 0 && m->tick.error != EINTR)
        return broken(m, "ET-TICK-6", "the wait has failed: the tick must end");
    if (m->stopped)
        return broken(m, "ET-STOP-2", "the loop was stopped: no further phase may be entered");
    if (m->tick.asked == 0)
        return broken(m, "ET-TICK-3", "tick(0) must make exactly one round");
    return broken(m, "ET-TICK-4", "the tick must end after the round that reaches its number, or leaves nothing to do");
}

static bool must_end(const struct model *m) {
    return m->tick.phase == OVER || (m->tick.phase == FLUSH && m->stopped);
}

static const char *undone(struct model *m) {
    if (must_end(m))
        return tick_must_end(m);
    return broken(m, m->tick.due_clause == NULL ? "ET-CALL-5" : m->tick.due_clause, m->tick.due_why);
}

/* The clause for a try that nothing allows. */
static const char *wrong_try(struct model *m, enum et_operation operation, int fd) {
    const struct model_tick_state *t = &m->tick;
    if (t->answered != MODEL_NONE)
        return broken(m, "ET-EVENT-2", "an answered try must end its operation before anything else");
    unsigned kinds = (unsigned)operation < ET_OPERATIONS ? kind_of[operation] : 0;
    unsigned reported = 0;
    for (unsigned r = 0; r < m->reports && (t->phase != SUBMISSIONS || t->fresh); r++)
        if (m->report[r].fd == fd)
            reported |= ((m->report[r].events & REPORTS_IN) != 0 ? (unsigned)IN : 0U) |
                        ((m->report[r].events & REPORTS_OUT) != 0 ? (unsigned)OUT : 0U);
    if ((kinds & reported) != 0)
        return broken(m, "ET-EVENT-1", "a report serves the first operation of each direction, once");
    if (operation == ET_CONNECT)
        return broken(m, "ET-SUBMIT-7", "a connect is tried once when it is started, then only when it is reported");
    if (operation == ET_SHUTDOWN)
        return broken(m, "ET-SUBMIT-9", "a shutdown is carried out once, when it is started");
    if (operation == ET_CLOSE && t->due == DUE_CALLBACK)
        return broken(m, t->due_clause, "operations on the descriptor must end before it is closed");
    if (operation == ET_CLOSE)
        return broken(m, "ET-CLOSE-2", "a descriptor is closed once, by a close that is started and not deleted");
    if ((kinds & SOCKET) != 0)
        return broken(m, "ET-SUBMIT-8", "not reported, and not a start with nothing before it");
    return broken(m, "ET-EVENT-8", "the kernel has not reported this descriptor");
}

static bool unanswered(enum et_operation operation, int64_t result) {
    if (operation == ET_CLOSE || operation == ET_SHUTDOWN)
        return false;
    if (operation == ET_CONNECT) /* its second step too: ET-OP-3 */
        return result == -EINPROGRESS || result == -EINTR;
    return result == -EAGAIN || result == -EWOULDBLOCK || result == -EINTR;
}

/* ET-EVENT-2, -3: an unanswered one stays active, in its place. */
static void settle_try(struct model *m, unsigned c, int64_t result) {
    struct model_tick_state *t = &m->tick;
    enum et_operation operation = (enum et_operation)m->completion[c].operation;
    assert(m->completion[c].state == ET_ACTIVE);
    if (t->current == c)
        t->current = MODEL_NONE;
    if (!unanswered(operation, result)) {
        t->answered = (uint8_t)c;
        t->answered_result = operation == ET_CLOSE && result == -EINTR ? 0 : result; /* ET-CLOSE-2 */
    }
    t->fresh = false;
    advance(m);
}

/* A report that demands or allows this try; a demand is met first, so that what is only allowed remains. */
static unsigned served(struct model *m, unsigned c, enum et_operation operation, int fd) {
    unsigned direction = (unsigned)operation < ET_OPERATIONS ? kind_of[operation] & (IN | OUT) : 0;
    unsigned first = direction == 0 ? MODEL_NONE : first_waiting(m, fd, direction);
    if (first == MODEL_NONE || (c != MODEL_NONE && c != first) || m->completion[first].operation != operation)
        return MODEL_NONE;
    bool *taken = NULL;
    for (unsigned r = 0; r < m->reports; r++) {
        bool *owed = direction == IN ? &m->report[r].in_owed : &m->report[r].out_owed;
        if (m->report[r].fd == fd && *owed && (taken == NULL || !m->report[r].stale))
            taken = owed;
    }
    if (taken == NULL)
        return MODEL_NONE;
    *taken = false; /* ET-EVENT-1: once */
    return first;
}

const char *model_try(struct model *m, unsigned c, enum et_operation operation, int fd, int64_t result) {
    if (!m->in_tick || m->in_callback != MODEL_NONE || (c != MODEL_NONE && c >= m->completions))
        return out_of_place(m);
    const struct model_tick_state *t = &m->tick;
    open_delivery(m);
    do {
        unsigned found = MODEL_NONE;
        if (t->due == DUE_TRY || t->due == DUE_CHOICE) {
            const struct model_completion *of = &m->completion[t->current];
            if ((c == MODEL_NONE || c == t->current) && of->operation == operation && of->description.fd == fd)
                found = t->current;
        } else if (t->due == DUE_DELIVERY) {
            found = served(m, c, operation, fd);
        }
        if (found != MODEL_NONE) {
            settle_try(m, found, result);
            return NULL;
        }
    } while (move_on(m));
    return wrong_try(m, operation, fd);
}

static bool covered(const struct model_completion *of, uint32_t kept) {
    uint32_t asked = of->description.events & CAN_REGISTER;
    if ((kind(of) & IN) != 0)
        return (kept & READY_IN) != 0;
    if ((kind(of) & OUT) != 0)
        return (kept & READY_OUT) != 0;
    return kept != 0 && (kept & asked) == asked;
}

/* ET-REGISTER-3. Lawful at any moment but while the kernel is asked: a loop may register when an operation is
 * started, or merge all registrations before the wait. Then nothing that this round starts is left to be tried. */
const char *model_refused(struct model *m, int fd, int error, uint32_t kept) {
    if (!m->in_tick || m->in_callback != MODEL_NONE || m->tick.phase == ASKED || error <= 0)
        return out_of_place(m);
    open_delivery(m);
    while (move_on(m)) {
    }
    m->tick.fresh = false;
    uint32_t newly = 0;
    for (unsigned c = 0; c < m->completions; c++) {
        struct model_completion *of = &m->completion[c];
        bool waits = of->state == ET_ACTIVE && of->description.fd == fd && (kind(of) & WAITING) != 0;
        if (!waits || (m->refused & bit(c)) != 0 || covered(of, kept))
            continue;
        of->refusal = error;
        newly |= bit(c);
    }
    m->refused |= newly;
    struct model_useless *useless = m->useless[m->useless_last];
    for (unsigned i = 0; i < m->useless_count[m->useless_last]; i++)
        if (useless[i].fd == fd)
            useless[i].events = 0;    /* the loop has tried to narrow it (ET-REGISTER-5) */
    if (m->tick.phase == SUBMISSIONS) /* refused at the start: there is nothing to wait for */
        end_silently(m, silent(m, newly));
    advance(m);
    update_maybe(m);
    return NULL;
}

/* ET-WAIT-1, -2, -3. ET-WAIT-4 follows: a wait that reaches its limit reaches the deadline, unless that is more than
 * WAIT_LIMIT_MS away, where the limit may be the kernel's and the number of waits is not judged. */
static const char *check_wait(struct model *m, int64_t timeout_ns) {
    const struct model_tick_state *t = &m->tick;
    uint64_t earliest = 0;
    bool timers = false;
    if (t->called >= t->asked || m->submissions.count > 0 || m->deletions.count > 0 || m->active == 0)
        return timeout_ns == 0 ? NULL : broken(m, "ET-WAIT-1", "the kernel must be asked without waiting");
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        if (of->state != ET_ACTIVE || of->operation != ET_TIMER)
            continue;
        assert(of->carrier == MODEL_NONE); /* else a queue would not be empty */
        if (!timers || of->deadline_ms < earliest)
            earliest = of->deadline_ms;
        timers = true;
    }
    if (!timers)
        return timeout_ns == MODEL_WAIT_FOREVER ? NULL : broken(m, "ET-WAIT-2", "no timer: there is no limit");
    if (timeout_ns < 0)
        return broken(m, "ET-WAIT-2", "a timer is active: the wait must have a limit");
    uint64_t timeout = (uint64_t)timeout_ns;
    uint64_t limit = timeout > UINT64_MAX - m->clock_ns ? UINT64_MAX : m->clock_ns + timeout;
    bool reachable = earliest <= UINT64_MAX / MS_NS;
    if (reachable && timeout > 0 && limit > earliest * MS_NS && limit - earliest * MS_NS > MS_NS)
        return broken(m, "ET-WAIT-2", "the wait must not last beyond the earliest deadline");
    bool too_early = !reachable || limit < earliest * MS_NS;
    if (too_early && timeout < WAIT_LIMIT_MS * MS_NS)
        return broken(m, "ET-WAIT-3", "the wait must not be limited to less than the earliest deadline");
    return NULL;
}

const char *model_wait(struct model *m, int64_t timeout_ns) {
    if (!m->in_tick || m->in_callback != MODEL_NONE)
        return out_of_place(m);
    open_delivery(m);
    while (m->tick.due != DUE_WAIT && move_on(m)) {
    }
    if (m->tick.due != DUE_WAIT || must_end(m))
        return m->tick.due == DUE_WOKEN ? broken(m, "ET-WAIT-1", "the kernel is asked once in a round") : undone(m);
    end_silently(m, silent(m, m->refused));
    if (m->refused != 0)
        return broken(m, "ET-REGISTER-3", "what could not be registered must end before the kernel is asked");
    const char *clause = check_wait(m, timeout_ns);
    if (clause != NULL)
        return clause;
    m->tick.phase = ASKED;
    m->tick.fresh = false;
    m->reports = 0;
    m->maybe_dead = 0;
    m->forgiven = m->forgive_registration;
    m->forgive_registration = false;
    m->useless_last ^= 1U;
    m->useless_count[m->useless_last] = 0;
    advance(m);
    return NULL;
}

const char *model_woken(struct model *m, int error) {
    struct model_tick_state *t = &m->tick;
    if (!m->in_tick || m->in_callback != MODEL_NONE || t->phase != ASKED || error < 0)
        return out_of_place(m);
    update_time(m); /* ET-TIME-1 */
    t->error = error;
    t->phase = error == 0 || error == EINTR ? DELIVERY : OVER; /* ET-TICK-6, ET-WAIT-5 */
    t->collecting = t->phase == DELIVERY;
    advance(m);
    return NULL;
}

/* ET-REGISTER-5: was it reported in vain by the wait before, with nothing started on it since? */
static const char *report_in_vain(struct model *m, int fd, uint32_t events) {
    unsigned last = m->useless_last, before = last ^ 1U;
    for (unsigned i = 0; i < m->useless_count[before] && !m->forgiven; i++)
        if (m->useless[before][i].fd == fd && (m->useless[before][i].events & events) != 0)
            return broken(m, "ET-REGISTER-5",
                          "reported a second time with nothing waiting for it: it is still registered");
    m->useless[last][m->useless_count[last]++] = (struct model_useless){fd, events};
    return NULL;
}

const char *model_report(struct model *m, int fd, uint32_t events, bool stale) {
    if (!m->in_tick || m->in_callback != MODEL_NONE || !m->tick.collecting || m->reports == MODEL_REPORTS)
        return out_of_place(m);
    if (m->tick.error == EINTR)
        return broken(m, "ET-WAIT-5", "an interrupted wait has no reports");
    struct model_report *report = &m->report[m->reports++];
    *report = (struct model_report){.fd = fd, .events = events, .stale = stale};
    report->in_owed = (events & REPORTS_IN) != 0 && first_waiting(m, fd, IN) != MODEL_NONE;
    report->out_owed = (events & REPORTS_OUT) != 0 && first_waiting(m, fd, OUT) != MODEL_NONE;
    for (unsigned c = 0; c < m->completions; c++) {
        const struct model_completion *of = &m->completion[c];
        bool poll = of->state == ET_ACTIVE && of->operation == ET_POLL && of->description.fd == fd;
        if (poll && (events & (of->description.events | REPORTS_ALWAYS)) != 0)
            report->polls_owed |= bit(c);
    }
    if (report->polls_owed != 0)
        update_maybe(m);
    if (!stale && !report->in_owed && !report->out_owed && report->polls_owed == 0)
        return report_in_vain(m, fd, events);
    return NULL;
}

const char *model_settled(struct model *m, uint32_t dead) {
    dead &= m->maybe_dead;
    for (unsigned c = 0; dead != 0 && c < m->completions; c++) {
        if ((dead & bit(c)) == 0)
            continue;
        for (unsigned r = 0; r < m->reports; r++) {
            uint32_t polls = m->report[r].polls_owed;
            if (!m->report[r].stale && (polls & bit(c)) != 0 && (earlier(m, polls, c) & ~dead) != 0)
                return broken(m, "ET-EVENT-5",
                              "a poll of the same descriptor that was started before it must end first");
        }
    }
    end_silently(m, dead);
    update_maybe(m);
    return NULL;
}

/* ---- callbacks ---- */

/* The report by which the poll c may end now with this result, or MODEL_REPORTS. */
static unsigned report_for(const struct model *m, unsigned c, int64_t result, bool in_order) {
    const struct model_completion *of = &m->completion[c];
    for (unsigned r = 0; r < m->reports; r++) {
        const struct model_report *report = &m->report[r];
        if ((report->polls_owed & bit(c)) == 0 ||
            result != (report->events & (of->description.events | REPORTS_ALWAYS)))
            continue; /* ET-EVENT-4 */
        uint32_t loud = report->polls_owed & ~silent(m, report->polls_owed);
        if (!in_order || earlier(m, loud, c) == 0) /* ET-EVENT-5 */
            return r;
    }
    return MODEL_REPORTS;
}

/* Between these and the due callback, nothing may come: ET-EVENT-2, ET-CANCEL-4. */
static bool nothing_between(const struct model *m) {
    return m->tick.answered != MODEL_NONE || (m->tick.current != MODEL_NONE && m->tick.step == STEP_OWN);
}

/* Ends c for this callback if the law allows it now. */
static bool take_callback(struct model *m, unsigned c, int64_t result) {
    struct model_tick_state *t = &m->tick;
    if (t->due == DUE_CALLBACK && t->due_completion == c && t->due_result == result) {
        end_due(m);
        return true;
    }
    if (nothing_between(m))
        return false;
    uint32_t before;
    if ((m->refused & bit(c)) != 0 && result == -(int64_t)m->completion[c].refusal) {
        before = earlier(m, m->refused, c); /* ET-REGISTER-3: in the order of starting */
    } else {
        unsigned r = t->due == DUE_DELIVERY ? report_for(m, c, result, true) : MODEL_REPORTS;
        if (r == MODEL_REPORTS)
            return false;
        before = m->report[r].stale ? 0 : earlier(m, m->report[r].polls_owed, c);
    }
    if (silent(m, before) != before)
        return false;
    end_silently(m, before);
    t->called++;
    end(m, c, EVENT_FINISH);
    return true;
}

static const char *wrong_timer(struct model *m, unsigned c) {
    const struct model_completion *of = &m->completion[c];
    const struct model_tick_state *t = &m->tick;
    if (of->carrier != MODEL_NONE)
        return broken(m, "ET-RESET-4", "its reset has not been applied");
    if (of->deadline_ms > m->now_ms)
        return broken(m, "ET-EXPIRE-4", "its deadline is later than the loop time");
    if (must_end(m))
        return tick_must_end(m);
    if (t->phase != TIMERS)
        return broken(m, "ET-EXPIRE-1", "timers fire in the timer phase, with the result 0");
    if ((t->expiring & bit(c)) == 0)
        return broken(m, "ET-EXPIRE-5",
                      "it had not expired when this phase began, or its reset has been applied since");
    if (of->deadline_ms != m->completion[t->due_completion].deadline_ms)
        return broken(m, "ET-EXPIRE-2", "a timer with an earlier deadline must fire first");
    return broken(m, "ET-EXPIRE-3", "a timer with the same deadline was started before it");
}

static const char *wrong_active(struct model *m, unsigned c, int64_t result) {
    const struct model_completion *of = &m->completion[c];
    if (of->operation == ET_TIMER)
        return wrong_timer(m, c);
    if ((m->refused & bit(c)) != 0)
        return broken(m, "ET-REGISTER-3", "refused ones end with the negated errno, in the order of starting");
    if (of->operation == ET_POLL && report_for(m, c, result, false) != MODEL_REPORTS)
        return broken(m, "ET-EVENT-5", "a poll of the same descriptor that was started before it must end first");
    if (of->operation == ET_POLL)
        return broken(m, "ET-EVENT-4", "a poll ends with the events of a report that matches it");
    if ((kind(of) & WAITING) != 0)
        return broken(m, "ET-EVENT-7", "it ends only by a try, a refusal, a cancel or a close");
    return undone(m);
}

/* The clause for a callback that the law does not allow here. */
static const char *wrong_callback(struct model *m, unsigned c, int64_t result) {
    const struct model_completion *of = &m->completion[c];
    const struct model_tick_state *t = &m->tick;
    if (t->answered == c)
        return t->phase == DELIVERY && of->operation == ET_CONNECT
                   ? broken(m, "ET-OP-3", "a connect ends with the pending error, or 0")
                   : broken(m, "ET-OP-1", "an operation ends with the result of its try");
    if (of->state == ET_DELETING)
        return broken(m, "ET-DELETE-4", "it was deleted");
    if (of->is_carrier)
        return broken(m, "ET-RESET-8", "a carrier has no callback");
    if (t->answered != MODEL_NONE)
        return t->answered_result < 0 && result == t->answered_result
                   ? broken(m, "ET-OP-4", "the error belongs to the operation that met it")
                   : broken(m, "ET-EVENT-2", "an answered try must end its operation before anything else");
    if (t->due == DUE_CALLBACK && (t->due_completion == c || nothing_between(m)))
        return undone(m);
    if (t->phase == DELIVERY && of->state != ET_ACTIVE)
        return broken(m, "ET-EVENT-6", "it is not active: no report can concern it");
    if (of->state == ET_DEAD)
        return broken(m, "ET-STATE-3", "its episode has ended");
    if (of->state == ET_ACTIVE)
        return wrong_active(m, c, result);
    if (must_end(m))
        return tick_must_end(m);
    if (t->phase != SUBMISSIONS || (t->snapshot & bit(c)) == 0)
        return broken(m, "ET-CALL-4", "it joined the submissions too late for this round");
    return broken(m, "ET-SUBMIT-1", "it is not at the head of the submissions, or another thing is due");
}

const char *model_callback(struct model *m, unsigned c, int64_t result, uint32_t userdata) {
    if (!m->in_tick || m->in_callback != MODEL_NONE || c >= m->completions)
        return out_of_place(m); /* ET-CALL-5 */
    if (!m->completion[c].description.has_callback)
        return broken(m, "ET-STATE-3", "it has no callback");
    open_delivery(m);
    while (!take_callback(m, c, result))
        if (!move_on(m))
            return wrong_callback(m, c, result);
    assert(m->completion[c].state == ET_DEAD); /* ET-CALL-1 */
    m->tick.fresh = false;
    m->in_callback = (uint8_t)c;
    update_maybe(m);
    if (userdata != m->completion[c].description.userdata)
        return broken(m, "ET-CALL-2", "the userdata is not what was last set");
    return NULL;
}

const char *model_returned(struct model *m, enum et_action action) {
    unsigned c = m->in_callback;
    if (!m->in_tick || c == MODEL_NONE)
        return out_of_place(m);
    m->in_callback = MODEL_NONE;
    if (action == ET_REARM)
        (void)model_add(m, c); /* ET-CALL-3: a refusal changes nothing */
    advance(m);
    update_maybe(m);
    return NULL;
}

/* ---- the end of a tick ---- */

static const char *check_end(struct model *m, int result) {
    const struct model_tick_state *t = &m->tick;
    bool failed = t->error != 0 && t->error != EINTR;
    if (must_end(m) && m->stopped)
        end_silently(m, silent(m, m->refused));
    if (m->stopped && (!must_end(m) || (t->phase == FLUSH && m->refused != 0) || t->answered != MODEL_NONE))
        return broken(m, "ET-STOP-3", "the phase in which the loop was stopped should be completed");
    if (!must_end(m) && t->fresh)
        return broken(m, t->asked == 0 ? "ET-TICK-3" : "ET-TICK-4", "another round must be made");
    if (!must_end(m))
        return undone(m);
    if (failed)
        return result == -t->error ? NULL : broken(m, "ET-TICK-6", "the negated errno of the wait must be returned");
    return result == 0 ? NULL : broken(m, "ET-TICK-7", "the tick has not failed: 0 must be returned");
}

const char *model_tick_end(struct model *m, int result) {
    if (!m->in_tick || m->in_callback != MODEL_NONE)
        return out_of_place(m);
    open_delivery(m);
    while (move_on(m)) {
    }
    const char *clause = check_end(m, result);
    m->in_tick = false;
    m->tick.phase = OUTSIDE;
    m->tick.snapshot = m->tick.expiring = 0;
    m->reports = 0;
    return clause;
}
