/* model/model.c with a larger table, and what a judge needs beside it: wide_model.h. */
#include "wide_model.h"

#include "../../model/model.c"

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

/* A limit that check_wait finds lawful. */
static int64_t lawful_limit(const struct model *m) {
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

const char *wide_wait_unseen(struct model *m, uint64_t clock_ns, int error) {
    m->forgive_registration = true;
    const char *clause = model_wait(m, lawful_limit(m));
    if (clause != NULL)
        return clause;
    if (clock_ns > m->clock_ns)
        model_clock(m, clock_ns);
    return model_woken(m, error);
}

const char *wide_wait_untimed(struct model *m, int64_t limit) {
    const char *clause = model_wait(m, limit);
    if (clause == NULL || (strcmp(clause, "ET-WAIT-2") != 0 && strcmp(clause, "ET-WAIT-3") != 0))
        return clause;
    int64_t lawful = lawful_limit(m);
    return limit >= 0 && lawful >= 0 ? model_wait(m, lawful) : clause;
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
        if (model_report(m, of->description.fd, (uint32_t)result, MODEL_INFERRED) != NULL)
            return false;
        m->report[0].polls = BIT(c); /* whether others were told of the same is not known */
        m->report[0].tries_owed = 0;
        m->tick.collecting = false;
        advance(m);
        return true;
    }
    uint32_t events = (kind(of) & IN) != 0 ? READY_IN : READY_OUT;
    return model_report(m, of->description.fd, events, MODEL_INFERRED) == NULL &&
           model_try(m, c, of->operation, of->description.fd, result) == NULL;
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

void wide_expire(struct model *m, unsigned c) {
    struct model_completion *of = &m->completion[c];
    bool is_timer = (of->state == ET_ADDING || of->state == ET_ACTIVE) && of->operation == ET_TIMER;
    if (!is_timer)
        return;
    of->deadline_ms = m->now_ms;
    bool in_phase = m->in_tick && m->tick.phase == TIMERS && of->order < m->tick.orders_timers;
    if (in_phase && of->state == ET_ACTIVE && of->carrier == MODEL_NONE)
        m->tick.expiring |= BIT(c);
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
