/* SPDX-License-Identifier: MIT */
/* The rules of Part I (promise.h), clause by clause.
 *
 * Each event is first judged by what was known before it, and then taken as it was seen. What is
 * due is worked out anew at every event, so that each rule can ask since when it has been. */
#include "promise.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "words.h"

#define MS_NS      INT64_C(1000000)
#define COARSE_NS  MS_NS                        /* ET-WAIT-2: a wait in whole milliseconds */
#define FINE_NS    (MS_NS / 20)                 /* … any other: Linux's own slack of timers */
#define FARTHEST   UINT64_C(0x7fffffffffffffff) /* ns: the latest deadline that is told apart */
#define LONGEST_MS UINT64_C(0x7fffffff)

enum { READY_ERR = 8, READY_HUP = 16, POLLABLE = 0x201f };

#define LAW(clause, kind, weight, why, trusts)   {clause, kind, why, PROMISE_##weight, trusts},
#define VERDICT(name, clause, kind, weight, why) LAW(clause, kind, weight, why, false)
#define TRUSTS(name, clause, kind, weight, why)  LAW(clause, kind, weight, why, true)
const struct promise_law promise_laws[PROMISE_VERDICTS] = {
#include "promise.def"
};

/* What one step works with: the event, and the answer so far. */
struct step {
    struct promise *p;
    const struct event *e;
    struct promise_answer answer;
};

static void blame(struct step *s, enum promise_verdict v, uint64_t c) {
    const struct promise_law *law = &promise_laws[v];
    bool should = law->weight == PROMISE_SHOULD ||
                  (law->weight == PROMISE_MUST && promise_excuses(&s->p->settings, v));
    if (s->answer.broken == NULL || (s->answer.should && !should))
        s->answer = (struct promise_answer){law->clause, law->kind, law->why, should, v, c};
}

static uint64_t later(uint64_t ns, uint64_t by_ns) {
    return by_ns > FARTHEST - ns ? FARTHEST : ns + by_ns;
}

static uint64_t later_ms(uint64_t ns, uint64_t by_ms) {
    return by_ms > FARTHEST / MS_NS ? FARTHEST : later(ns, by_ms * MS_NS);
}

/* ---- what a completion is -------------------------------------------------------------------- */

/* The class of what takes something from a descriptor or gives it to one; 0: none, as a connect,
 * whose turn has no order. (What waits on an async that is gone may take from the next file.) */
static unsigned class_of(const struct promise_completion *of) {
    return (of->async && !of->orphaned) || of->operation == ET_CONNECT
               ? 0
               : operation_traits(of->operation, of->flags) & WAITS_CLASS;
}

/* A timer, say: nothing of it is a descriptor's. */
static bool has_descriptor(const struct promise_completion *of) {
    return !of->async && of->operation != ET_NOOP && of->operation != ET_CANCEL &&
           of->operation != ET_TIMER;
}

static bool waits(const struct promise_completion *of) {
    return !of->async && (operation_traits(of->operation, of->flags) & WAITS_AT_ALL) != 0;
}

/* It is in use, and the loop owes it something. */
static bool definite(const struct promise_completion *of) {
    return of->use == PROMISE_IN_USE && !of->orphaned;
}

static bool takes_pool_mark(unsigned operation) {
    return (operation_traits(operation, 0) & POOLABLE) != 0;
}

static bool known(const struct promise *p, uint64_t c) {
    return c < p->completions;
}

static bool in_run(const struct promise *p) {
    return p->run.number != 0;
}

/* ---- what is due ----------------------------------------------------------------------------- */

/* Something may have ended of which nobody hears, and have taken what others were ready for. */
static bool any_silent(const struct promise *p) {
    for (unsigned c = 0; c < p->completions; c++) {
        const struct promise_completion *of = &p->completion[c];
        if (of->use != PROMISE_DEAD && !of->has_callback && (of->async || has_descriptor(of)))
            return true;
    }
    return false;
}

static uint32_t *chain_of(struct promise *p, int fd) {
    return &p->chain[(unsigned)fd % PROMISE_CHAINS];
}

/* A descriptor's completions are looked for in one chain, so that thousands that are ready cost no
 * look at each of them for each. (What concerns_only() a poll or a timer changes no chain.) */
static void link_chains(struct promise *p) {
    memset(p->chain, 0, sizeof p->chain);
    for (unsigned c = p->completions; c-- > 0;) {
        struct promise_completion *of = &p->completion[c];
        if (of->use == PROMISE_DEAD || class_of(of) == 0)
            continue;
        uint32_t *first = chain_of(p, of->fd);
        of->next = *first;
        *first = c + 1;
    }
    p->is_linked = true;
}

/* Another one of the same descriptor and class that was submitted before it, and was ready at some
 * moment since the last wait, or whose number names another file now (it may be tried all the same:
 * section 15, 12). sure: its try would have been answered. What it was ready for may have gone with
 * what was called meanwhile, on the other side of its descriptor, too: a write to a datagram socket
 * whose peer has left empties its queue. */
static bool has_predecessor(struct promise *p, const struct promise_completion *of, bool sure) {
    unsigned class = class_of(of);
    if (class == 0 || (sure && any_silent(p)))
        return false;
    if (!p->is_linked)
        link_chains(p);
    for (unsigned d = *chain_of(p, of->fd); d != 0; d = p->completion[d - 1].next) {
        const struct promise_completion *other = &p->completion[d - 1];
        bool stands =
            sure ? definite(other) && other->stood != 0 && !other->addressed && !other->either_place
                 : other->use == PROMISE_PERHAPS || other->orphaned || other->had != 0;
        if (stands && other->fd == of->fd && other->order < of->order && !other->pool &&
            class_of(other) == class)
            return true;
    }
    return false;
}

static const struct promise_async *async_of(const struct promise *p, int fd) {
    for (unsigned i = 0; i < PROMISE_ASYNCS; i++)
        if (p->async[i].used && p->async[i].fd == fd)
            return &p->async[i];
    return NULL;
}

/* Whether its async was notified for it: it is the first that waits, as that one may take all. */
static bool is_notified(const struct promise *p, const struct promise_completion *of) {
    const struct promise_async *async = async_of(p, of->fd);
    if (async == NULL || async->least == 0)
        return false;
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *other = &p->completion[d];
        if (other->use == PROMISE_DEAD || other->fd != of->fd || other->order > of->order)
            continue;
        if (p->settings.exact && class_of(other) == (operation_traits(ET_READ, 0) & WAITS_CLASS))
            return false; /* it may take them all */
        if (other->async && other != of)
            return false;
    }
    return true;
}

static enum promise_due due_now(struct promise *p, const struct promise_completion *of) {
    if (!definite(of) || p->stopped || of->pool)
        return PROMISE_NOT_DUE;
    if (of->async)
        return is_notified(p, of) ? PROMISE_NOTIFIED : PROMISE_NOT_DUE;
    if (of->operation == ET_TIMER) {
        uint64_t at = later(of->latest_ns, p->settings.slack_ns);
        return p->clock_ns >= at && at != FARTHEST ? PROMISE_TIMER : PROMISE_NOT_DUE;
    }
    if (!waits(of))
        return PROMISE_QUEUED;
    return of->ready != 0 && !of->stale && !has_predecessor(p, of, false) ? PROMISE_READY
                                                                          : PROMISE_NOT_DUE;
}

/* A loop may have begun to end it, or a thread or the kernel to carry it out (ET-CANCEL-11). */
static bool is_beyond_recall(const struct promise *p, const struct promise_completion *of) {
    if (of->use == PROMISE_PERHAPS || of->pool || of->orphaned || of->due != PROMISE_NOT_DUE)
        return true;
    if (of->operation == ET_TIMER)
        return p->clock_ns >= of->earliest_ns;
    return of->had != 0;
}

static void refresh_late(struct promise *p) {
    for (unsigned c = 0; c < p->completions; c++) {
        struct promise_completion *of = &p->completion[c];
        if (of->use != PROMISE_DEAD && of->operation == ET_CANCEL && known(p, of->target))
            of->late_seen = of->late_seen || is_beyond_recall(p, &p->completion[of->target]);
    }
}

/* What c alone decides: whether it is due. Else: from when on the time may make it so. */
static void refresh_due_of(struct promise *p, struct promise_completion *of) {
    enum promise_due due = due_now(p, of);
    if (due != PROMISE_NOT_DUE && of->due == PROMISE_NOT_DUE) {
        of->due_since = p->ends;
        of->due_step = p->steps;
        of->due_among = p->used;
    }
    of->due = (uint8_t)due;
    if (of->use != PROMISE_IN_USE || of->operation != ET_TIMER || due != PROMISE_NOT_DUE)
        return;
    uint64_t at = of->has_callback ? later(of->latest_ns, p->settings.slack_ns) : of->earliest_ns;
    p->look_at_ns = at < p->look_at_ns ? at : p->look_at_ns;
}

static void refresh_due(struct promise *p) {
    p->look_at_ns = FARTHEST;
    p->is_linked = false;
    p->used = 0;
    for (unsigned c = 0; c < p->completions; c++)
        p->used += p->completion[c].use != PROMISE_DEAD;
    for (unsigned c = 0; c < p->completions; c++)
        refresh_due_of(p, &p->completion[c]);
    if (p->has_cancels)
        refresh_late(p);
}

/* A close of its descriptor may be under way. */
static bool may_be_closed(const struct promise *p, const struct promise_completion *of) {
    bool can = has_descriptor(of) || (of->async && p->settings.exact);
    for (unsigned d = 0; can && d < p->completions; d++) {
        const struct promise_completion *other = &p->completion[d];
        if (other != of && other->use != PROMISE_DEAD && other->operation == ET_CLOSE &&
            other->fd == of->fd)
            return true;
    }
    return false;
}

/* A cancel of it, or a close of its descriptor, may be under way. */
static bool may_be_cancelled(const struct promise *p, unsigned c) {
    const struct promise_completion *of = &p->completion[c];
    if (of->may_be_cancelled || may_be_closed(p, of))
        return true;
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *other = &p->completion[d];
        if (other->use != PROMISE_DEAD && d != c && other->operation == ET_CANCEL &&
            other->target == c)
            return true;
    }
    return false;
}

/* Of what has no callback nobody hears when it ends: from when it may have, it is perhaps in use.
 */
static void refresh_perhaps(struct promise *p) {
    for (unsigned c = 0; in_run(p) && p->has_nulls && c < p->completions; c++) {
        struct promise_completion *of = &p->completion[c];
        bool may_end;
        if (of->use != PROMISE_IN_USE || of->has_callback)
            continue;
        if (of->async) {
            const struct promise_async *async = async_of(p, of->fd);
            may_end = of->refusable || of->orphaned || (async != NULL && async->most > 0);
        } else if (of->operation == ET_TIMER)
            may_end = p->clock_ns >= of->earliest_ns;
        else
            may_end = of->operation != ET_POLL || of->orphaned || of->refusable || of->had != 0;
        if (may_end || may_be_cancelled(p, c)) {
            of->use = PROMISE_PERHAPS;
            of->ended = PROMISE_CALLED;
            p->run.silent++;
            p->look_at_ns = 0; /* what is due may depend on it */
        }
    }
}

/* Something has begun or ended: from now on the loop is at work by itself. */
static void let_stand(struct promise *p) {
    for (unsigned c = 0; c < p->completions; c++)
        p->completion[c].stood = p->completion[c].ready;
}

/* ---- episodes -------------------------------------------------------------------------------- */

static void set_deadline(struct promise *p, struct promise_completion *of, uint64_t delay_ms) {
    of->due = PROMISE_NOT_DUE; /* or anew: until now it was the caller that kept it waiting */
    of->delay_ms = delay_ms;
    of->earliest_ns = later_ms(p->loop_ns, delay_ms);
    of->latest_ns = later_ms(p->settings.exact ? p->loop_ns : p->clock_ns, delay_ms);
    of->set_ns = p->clock_ns;
    of->set_epoch = p->epoch;
    of->set_turn = p->turns;
    of->set_order = ++p->orders;
}

static bool has_moved(const struct promise *p, int fd) {
    for (unsigned i = 0; i < PROMISE_MOVED && i < p->moved_count; i++)
        if (p->moved[i] == fd)
            return true;
    return false;
}

/* The only cancel of its target claims what becomes of it from now on. */
static void begin_cancel(struct promise *p, struct promise_completion *of) {
    if (!known(p, of->target))
        return;
    struct promise_completion *target = &p->completion[of->target];
    bool other = false;
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *k = &p->completion[d];
        other = other || (k != of && k->use != PROMISE_DEAD && k->operation == ET_CANCEL &&
                          k->target == of->target);
    }
    if (!other)
        target->canceled = target->disowned = 0;
    of->idle_seen = target->use != PROMISE_IN_USE;
    of->late_seen = false;
}

/* What the description says is in `of` already. */
static void begin(struct promise *p, struct promise_completion *of) {
    of->use = PROMISE_IN_USE;
    of->due = PROMISE_NOT_DUE;
    of->unbegun = true;
    of->ends_before = p->ends;
    of->orphaned = of->reset = of->either_place = of->told_slow = of->may_be_cancelled =
        of->carries = of->stale = of->leaving = of->left = of->repeated = false;
    of->ready = of->had = of->found = of->stood = 0;
    of->new_file = waits(of) && has_moved(p, of->fd);
    of->order = ++p->orders;
    of->turn = p->turns;
    of->by_callback_of = p->callbacks > 0 ? p->run.number : 0;
    if (of->operation == ET_TIMER)
        set_deadline(p, of, of->delay_ms);
    if (of->operation == ET_CANCEL)
        begin_cancel(p, of);
    p->fresh = false;
    p->alone = 0;
}

static void describe(struct promise *p, struct promise_completion *of, const struct event *e) {
    of->operation = e->kind == EVENT_TIMER || e->kind == EVENT_RESET ? ET_TIMER
                    : e->kind == EVENT_CANCEL                        ? ET_CANCEL
                    : e->kind == EVENT_ASYNC_WAIT                    ? ET_READ
                                                                     : e->operation;
    of->async = e->kind == EVENT_ASYNC_WAIT || e->async;
    of->pool = e->pool;
    of->refusable = e->forgiven;
    of->has_callback = e->has_callback;
    of->fd = e->fd;
    of->flags = e->flags;
    of->addressed = e->addressed;
    of->userdata = e->userdata;
    of->asked = e->events;
    of->delay_ms = e->delay_ms;
    of->target = e->kind == EVENT_CANCEL ? e->c : e->target;
    p->has_cancels = p->has_cancels || of->operation == ET_CANCEL;
    p->has_nulls = p->has_nulls || !of->has_callback;
}

/* A cancel ends, or may have ended, and nobody hears of it: what its target has ended with may have
 * been its doing. */
static void disown(struct promise *p, const struct promise_completion *of) {
    if (of->operation == ET_CANCEL && known(p, of->target))
        p->completion[of->target].disowned = p->completion[of->target].canceled;
}

static void end(struct promise *p, unsigned c, enum promise_ended how) {
    struct promise_completion *of = &p->completion[c];
    of->use = PROMISE_DEAD;
    of->ended = (uint8_t)how;
    of->due = PROMISE_NOT_DUE;
    of->leaving = false;
    p->alone = 0;
    for (unsigned d = 0; p->has_cancels && d < p->completions; d++)
        if (p->completion[d].operation == ET_CANCEL && p->completion[d].target == c)
            p->completion[d].idle_seen = true;
}

/* ET-LINGER-2: a turn has ended, or another one begins, unless the loop is stopped. */
static void let_leave(struct promise *p, bool begins) {
    bool any = !p->run.was_stopped && p->run.mode != PROMISE_UNKNOWN && p->depth == 0;
    bool whole = any && !p->run.stopped && !p->run.failed;
    if (begins)
        p->whole_turns += whole;
    else if (any && !whole) /* the last one was not */
        p->whole_turns--;
    for (unsigned c = 0; p->settings.deletes_later && c < p->completions; c++) {
        struct promise_completion *of = &p->completion[c];
        if (of->left_turn > p->whole_turns) /* in the one that was not */
            of->left_turn = p->whole_turns;
        if (!of->leaving || p->whole_turns < of->left_turn + (begins ? 3 : 2))
            continue;
        end(p, c, (enum promise_ended)of->ended);
        of->left = true;
    }
}

/* ---- submissions ----------------------------------------------------------------------------- */

/* A timer's refusal has kinds, in this order in promise.def. What a stopped loop refuses it may
 * have refused for its delay: then that is the kind, if the manual announces it and not the other
 * one. */
static enum promise_verdict refused_timer(const struct step *s, enum promise_verdict plain) {
    const struct promise_settings *settings = &s->p->settings;
    enum promise_verdict by_delay = plain + (s->e->delay_ms == 0           ? 1
                                             : s->e->delay_ms > LONGEST_MS ? 2
                                                                           : 0);
    bool announced = by_delay != plain && promise_excuses(settings, by_delay) &&
                     !promise_excuses(settings, plain + 3);
    return s->p->stopped && !announced ? plain + 3 : by_delay;
}

static enum promise_verdict refusal(const struct step *s) {
    switch (s->e->kind) {
    case EVENT_TIMER: return refused_timer(s, PROMISE_TIMER_1);
    case EVENT_CANCEL: return PROMISE_CANCEL_1;
    case EVENT_ASYNC_WAIT: return PROMISE_ASYNC_1_REFUSED;
    case EVENT_RESET: return refused_timer(s, PROMISE_RESET_3);
    default:
        return s->e->operation == ET_TIMER ? refused_timer(s, PROMISE_ADD_1)
               : s->p->stopped             ? PROMISE_ADD_1_STOPPED
                                           : PROMISE_ADD_1;
    }
}

/* What no loop could carry out, whatever it offers (ET-ADD-5, ET-CANCEL-3, ET-ASYNC-5). */
static bool is_senseless(const struct step *s, uint64_t c) {
    const struct event *e = s->e;
    switch (e->kind) {
    case EVENT_CANCEL: return !known(s->p, e->c) || e->c == c;
    case EVENT_ASYNC_WAIT: return e->fd < 0;
    case EVENT_ADD:
    case EVENT_RETURNED:
        return e->operation >= ET_OPERATIONS || (e->async && e->fd < 0) ||
               (e->operation == ET_CANCEL && (!known(s->p, e->target) || e->target == c)) ||
               (e->operation == ET_POLL && (e->events & ~(uint32_t)POLLABLE) != 0) ||
               (e->pool && !takes_pool_mark(e->operation));
    default: return false;
    }
}

static enum promise_verdict senseless_verdict(const struct step *s) {
    return s->e->kind == EVENT_CANCEL       ? PROMISE_CANCEL_3
           : s->e->kind == EVENT_ASYNC_WAIT ? PROMISE_ASYNC_5
                                            : PROMISE_ADD_5;
}

static enum promise_verdict busy_verdict(const struct step *s) {
    switch (s->e->kind) {
    case EVENT_CANCEL: return PROMISE_CANCEL_2;
    case EVENT_TIMER: return PROMISE_TIMER_4;
    case EVENT_RESET: return PROMISE_RESET_2;
    case EVENT_ASYNC_WAIT: return PROMISE_ASYNC_1_BUSY;
    default: return PROMISE_ADD_3;
    }
}

/* A submission of what is in use: refused, or without effect as long as it has not begun; a timer
 * that has not begun may be set anew by it. */
static void on_busy(struct step *s, unsigned c, bool senseless) {
    struct promise_completion *of = &s->p->completion[c];
    enum promise_verdict busy = busy_verdict(s);
    bool again = of->unbegun && (s->e->kind == EVENT_ADD || s->e->kind == EVENT_TIMER);
    if (s->e->result != 0) {
        if (s->e->result != -EBUSY && !(senseless && s->e->result == -EINVAL))
            blame(s, busy, c);
    } else if (!again)
        blame(s, senseless ? senseless_verdict(s) : busy, c);
    else if (s->e->kind == EVENT_TIMER && of->operation == ET_TIMER) {
        uint64_t earliest_ns = of->earliest_ns;
        set_deadline(s->p, of, s->e->delay_ms);
        of->either_place = true;
        of->earliest_ns = of->earliest_ns < earliest_ns ? of->earliest_ns : earliest_ns;
        of->userdata = s->e->userdata;
        of->has_callback = s->e->has_callback;
        s->p->has_nulls = s->p->has_nulls || !of->has_callback;
    }
}

/* What may have ended unseen may also be in use, and not have begun: then an `add` is without
 * effect, and it is the same episode, by its former deadline and in its former place. */
static void begin_anew(struct step *s, struct promise_completion *of) {
    struct promise_completion before = *of;
    bool perhaps = of->use == PROMISE_PERHAPS;
    if (perhaps)
        disown(s->p, of);
    describe(s->p, of, s->e);
    begin(s->p, of);
    if (!perhaps || before.ended != PROMISE_CALLED || !before.unbegun)
        return;
    of->either_place = true;
    of->order = before.order;
    if (of->operation == ET_TIMER && before.operation == ET_TIMER &&
        before.earliest_ns < of->earliest_ns)
        of->earliest_ns = before.earliest_ns;
}

static void on_submission(struct step *s, uint64_t c) {
    const struct event *e = s->e;
    bool senseless = is_senseless(s, c), poolless = e->pool && s->p->settings.no_pool;
    if (!known(s->p, c)) {
        if (e->result >= 0)
            blame(s, PROMISE_ADD_5, c);
        return;
    }
    struct promise_completion *of = &s->p->completion[c];
    if (of->use == PROMISE_IN_USE) {
        on_busy(s, (unsigned)c, senseless);
        return;
    }
    if (e->result == 0) {
        if (senseless || poolless)
            blame(s, senseless ? senseless_verdict(s) : PROMISE_ADD_6, c);
        begin_anew(s, of);
    } else if (senseless) {
        if (e->result != -EINVAL && of->use != PROMISE_PERHAPS)
            blame(s, senseless_verdict(s), c);
    } else if (of->use == PROMISE_PERHAPS)
        return;
    else if (of->left)
        blame(s, PROMISE_LINGER_2, c);
    else if (poolless && e->result != -EOPNOTSUPP)
        blame(s, PROMISE_ADD_6, c);
    else if (!e->pool)
        blame(s, refusal(s), c);
}

static void carry(struct promise *p, const struct event *e) {
    if (!p->settings.tells || !known(p, e->by) || e->by == e->c ||
        p->completion[e->by].use != PROMISE_DEAD)
        return;
    struct promise_completion *carrier = &p->completion[e->by];
    carrier->use = PROMISE_PERHAPS;
    carrier->ended = PROMISE_CALLED;
    carrier->operation = ET_NOOP; /* it ends nobody */
    carrier->has_callback = true; /* … and counts for none that is called */
    carrier->carries = true;
}

static void on_reset(struct step *s) {
    const struct event *e = s->e;
    struct promise *p = s->p;
    struct promise_completion *of = known(p, e->c) ? &p->completion[e->c] : NULL;
    bool perhaps =
        of != NULL && of->use == PROMISE_PERHAPS && of->operation == ET_TIMER && !of->leaving;
    bool free_carrier = e->by == EVENT_NOBODY || (known(p, e->by) && e->by != e->c &&
                                                  p->completion[e->by].use == PROMISE_DEAD);
    if (e->by == e->c && e->result < 0)
        return;
    if (of == NULL || of->use != PROMISE_IN_USE || of->operation != ET_TIMER) {
        if (of != NULL && of->use == PROMISE_IN_USE && e->result == -EINVAL)
            return;
        on_submission(s, e->c);
        if (perhaps && e->result == 0)
            of->reset = true;
    } else if (e->result == 0) {
        set_deadline(p, of, e->delay_ms);
        of->userdata = e->userdata;
        of->has_callback = e->has_callback;
        p->has_nulls = p->has_nulls || !of->has_callback;
        of->reset = perhaps = true;
        of->either_place = of->unbegun;
        p->alone = 0;
    } else if (free_carrier || e->result != -EBUSY)
        blame(s, refused_timer(s, PROMISE_RESET_3), e->c);
    if (perhaps && e->result == 0)
        carry(p, e);
}

/* They may have gone with what has waited. */
static void forget_notifications(struct promise *p, int fd) {
    for (unsigned i = 0; i < PROMISE_ASYNCS; i++)
        if (p->async[i].fd == fd)
            p->async[i].least = 0;
}

static void on_delete(struct step *s) {
    struct promise *p = s->p;
    if (!known(p, s->e->c))
        return;
    unsigned c = (unsigned)s->e->c;
    struct promise_completion *of = &p->completion[c];
    if (s->e->result != 0) {
        blame(s, of->use == PROMISE_IN_USE ? PROMISE_DELETE_3 : PROMISE_DELETE_1, c);
        return;
    }
    if (of->use == PROMISE_DEAD || of->leaving)
        return;
    bool lingers =
        (p->settings.lingers || of->pool) && has_descriptor(of) && of->operation != ET_POLL;
    if (p->settings.lingers && of->operation == ET_CANCEL && known(p, of->target))
        p->completion[of->target].may_be_cancelled = true;
    disown(p, of);
    for (unsigned i = 0; of->async && !p->settings.keeps && i < PROMISE_ASYNCS; i++)
        if (p->async[i].fd == of->fd)
            p->async[i].least = 0; /* it may have gone with the wait */
    end(p, c, PROMISE_DELETED);
    if (lingers)
        of->use = PROMISE_PERHAPS;
    else if (p->settings.deletes_later) {
        of->use = PROMISE_PERHAPS;
        of->has_callback = of->leaving = true; /* it counts for none that is called */
        of->left_turn = p->whole_turns;
    }
    if (in_run(p))
        p->run.something = true;
    else
        p->something = true;
}

static void on_deinit(struct step *s) {
    struct promise *p = s->p;
    if (p->callbacks > 0) {
        if (s->e->result != -EBUSY)
            blame(s, PROMISE_DEINIT_1, EVENT_NOBODY);
        return;
    }
    if (s->e->result != 0)
        blame(s, PROMISE_DEINIT_2, EVENT_NOBODY);
    for (unsigned c = 0; c < p->completions; c++)
        if (p->completion[c].use != PROMISE_DEAD)
            end(p, c, PROMISE_DROPPED);
    p->run = (struct promise_run){0};
    p->depth = 0;
    p->stopped = p->wake_pending = false;
}

static void on_init(struct promise *p) {
    for (unsigned c = 0; c < p->completions; c++)
        if (p->completion[c].use != PROMISE_DEAD)
            end(p, c, PROMISE_DROPPED);
    p->run = (struct promise_run){0};
    p->depth = 0;
    p->stopped = p->wake_pending = false;
    p->fresh = true;
    p->said_ms = 0;
    p->loop_ns = p->clock_ns;
}

/* ---- callbacks: results ---------------------------------------------------------------------- */

static void check_canceled(struct step *s, unsigned c) {
    const struct promise *p = s->p;
    bool elsewhere = false;
    if (may_be_cancelled(p, c) || s->e->forgiven)
        return;
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *k = &p->completion[d];
        elsewhere = elsewhere || (d != c && k->use != PROMISE_DEAD && k->operation == ET_CANCEL);
    }
    blame(s, elsewhere ? PROMISE_CANCEL_8 : PROMISE_CANCEL_10, c);
}

/* Whether the target was called since the cancel was submitted, with whatever. */
static bool has_ended_since(const struct promise_completion *target, uint64_t ends) {
    uint64_t last = 0;
    for (unsigned i = 0; i <= PROMISE_OVERTAKES; i++)
        last = target->ends[i] > last ? target->ends[i] : last;
    return last > ends;
}

/* Another cancel may have ended the target in this one's place. */
static bool has_rival(const struct promise *p, const struct promise_completion *cancel) {
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *k = &p->completion[d];
        if (k != cancel && k->use != PROMISE_DEAD && k->operation == ET_CANCEL &&
            k->target == cancel->target)
            return true;
    }
    return false;
}

static void check_cancel_end(struct step *s, unsigned c) {
    struct promise *p = s->p;
    const struct promise_completion *of = &p->completion[c];
    if (!known(p, of->target))
        return;
    struct promise_completion *target = &p->completion[of->target];
    bool idle = of->idle_seen || target->use != PROMISE_IN_USE;
    switch (s->e->result) {
    case 0:
        if (target->canceled > 0) {
            target->canceled--;
            if (target->disowned > target->canceled)
                target->disowned = target->canceled;
        } else if (target->carries)
            target->use = PROMISE_DEAD;
        else if (target->has_callback || target->use == PROMISE_IN_USE)
            blame(s, PROMISE_CANCEL_4, c);
        else if (target->use == PROMISE_PERHAPS)
            target->use = PROMISE_DEAD;
        break;
    case -ENOENT:
        if (!idle)
            blame(s, PROMISE_CANCEL_6, c);
        else if (target->canceled > target->disowned && !has_rival(p, of))
            blame(s, PROMISE_CANCEL_4, c);
        break;
    case -EALREADY:
        if (target->use == PROMISE_DEAD && !has_ended_since(target, of->due_since))
            blame(s, PROMISE_CANCEL_9, c);
        else if (target->use == PROMISE_IN_USE && !of->late_seen && !s->e->forgiven)
            blame(s, PROMISE_CANCEL_11, c);
        break;
    default: blame(s, PROMISE_CANCEL_4, c); break;
    }
}

static void check_poll(struct step *s, unsigned c) {
    const struct promise *p = s->p;
    const struct promise_completion *of = &p->completion[c];
    uint32_t asked = of->asked | READY_ERR | READY_HUP, may = of->had & asked;
    uint64_t told = (uint64_t)s->e->result;
    if (s->e->result < 0 || of->orphaned || (told != 0 && (told & ~(uint64_t)may) == 0))
        return;
    blame(s,
          told == 0 || (told & ~(uint64_t)asked) != 0 ? PROMISE_EVENT_4_RESULT
          : may == 0                                  ? PROMISE_EVENT_6
          : of->new_file                              ? PROMISE_REGISTER_4
                                                      : PROMISE_EVENT_4_BITS,
          c);
}

static void check_close(struct step *s, unsigned c) {
    const struct promise_completion *of = &s->p->completion[c];
    for (unsigned d = 0; d < s->p->completions; d++) {
        const struct promise_completion *other = &s->p->completion[d];
        if (definite(other) && waits(other) && !other->pool && other->fd == of->fd &&
            other->order < of->order)
            blame(s, PROMISE_CLOSE_1, c);
    }
}

static void check_timer(struct step *s, unsigned c) {
    const struct promise_completion *of = &s->p->completion[c];
    if (s->p->clock_ns < of->earliest_ns)
        blame(s,
              of->reset      ? PROMISE_RESET_4
              : of->repeated ? PROMISE_REPEAT_1
                             : PROMISE_EXPIRE_4,
              c);
    if (s->e->result != 0)
        blame(s, PROMISE_EXPIRE_1_RESULT, c);
}

static void check_result(struct step *s, unsigned c) {
    struct promise_completion *of = &s->p->completion[c];
    int64_t result = s->e->result;
    if (result == -ECANCELED)
        check_canceled(s, c);
    else if (of->async) {
        const struct promise_async *async = async_of(s->p, of->fd);
        if (of->orphaned) /* section 15, 9 */
            return;
        if (result != 8 && result != 0)
            blame(s, PROMISE_ASYNC_1, c);
        if (async == NULL || async->most == 0)
            blame(s, PROMISE_ASYNC_3, c);
    } else
        switch (of->operation) {
        case ET_TIMER: check_timer(s, c); break;
        case ET_CANCEL: check_cancel_end(s, c); break;
        case ET_POLL: check_poll(s, c); break;
        case ET_CLOSE: check_close(s, c); break;
        case ET_NOOP:
            if (result != 0)
                blame(s, PROMISE_SUBMIT_2_RESULT, c);
            break;
        default: break;
        }
}

/* ---- callbacks: whose turn it is ------------------------------------------------------------- */

/* Two timers that were set before the turn began: perhaps d should end before c. Deadlines are
 * certainly equal only if the loop cannot have taken the time in between. */
static void check_timers(struct step *s, unsigned c, const struct promise_completion *d) {
    const struct promise *p = s->p;
    const struct promise_completion *of = &p->completion[c];
    uint64_t slack = p->settings.slack_ns;
    /* The loop time does not go back: of two, the one that was set first was set no later; but one
     * that is repeated may count from before. */
    bool earlier = later(d->latest_ns, slack) < of->earliest_ns ||
                   (d->set_order < of->set_order && !of->repeated && of->delay_ms > d->delay_ms &&
                    (of->delay_ms - d->delay_ms > FARTHEST / MS_NS ||
                     (of->delay_ms - d->delay_ms) * MS_NS > slack));
    bool equal = d->delay_ms == of->delay_ms && d->set_ns == of->set_ns &&
                 d->set_epoch == of->set_epoch && d->set_order < of->set_order && !d->reset &&
                 !of->reset && !d->either_place && !of->either_place;
    if (d->set_turn == p->turns || of->set_turn == p->turns)
        return;
    if (earlier)
        blame(s, PROMISE_EXPIRE_2, (uint64_t)(d - p->completion));
    if (equal)
        blame(s, PROMISE_EXPIRE_3, (uint64_t)(d - p->completion));
}

static void check_order(struct step *s, unsigned c) {
    struct promise *p = s->p;
    const struct promise_completion *of = &p->completion[c];
    if (s->e->result == -ECANCELED || of->orphaned || of->pool)
        return;
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *other = &p->completion[d];
        if (d == c || !definite(other) || !other->has_callback)
            continue;
        if (of->operation == ET_TIMER) {
            if (other->operation == ET_TIMER)
                check_timers(s, c, other);
        } else if (of->operation == ET_POLL && other->operation == ET_POLL && other->fd == of->fd &&
                   other->order < of->order && !other->either_place && other->turn != p->turns &&
                   of->turn != p->turns && other->found != 0)
            blame(s, PROMISE_EVENT_5, c);
    }
    if (has_predecessor(p, of, true))
        blame(s, PROMISE_SUBMIT_8, c);
}

/* When c had ended for the last time but so many; 0: it has not so often. */
static uint64_t ended_before(const struct promise_completion *of, uint32_t times) {
    unsigned back = PROMISE_OVERTAKES - times;
    return of->ends[(of->overtaking + back) % (PROMISE_OVERTAKES + 1)];
}

/* An episode of c ends with a result: of nothing that is due may that be the seventeenth since, or
 * one of more, where a great many are in use. */
static void check_progress(struct step *s, unsigned c) {
    struct promise *p = s->p;
    struct promise_completion *of = &p->completion[c];
    if (s->e->result == -ECANCELED)
        return;
    of->ends[of->overtaking] = ++p->ends;
    of->overtaking = (uint8_t)((of->overtaking + 1) % (PROMISE_OVERTAKES + 1));
    uint64_t oldest = ended_before(of, PROMISE_MAY_OVERTAKE(p->used));
    bool again = in_run(p) && of->by_callback_of == p->run.number;
    for (unsigned d = 0; d < p->completions; d++) {
        struct promise_completion *other = &p->completion[d];
        if (other->ends_before < oldest)
            other->unbegun = false;
        if (d != c && other->due != PROMISE_NOT_DUE && other->has_callback &&
            other->due_since < ended_before(of, PROMISE_MAY_OVERTAKE(other->due_among)))
            blame(s, again ? PROMISE_CALL_4_STARVED : PROMISE_PROGRESS, d);
    }
}

static void check_caller(struct step *s, uint64_t c) {
    struct promise *p = s->p;
    if (!in_run(p))
        blame(s, PROMISE_CALL_5, c);
    else if (p->refused > 0 && !p->settings.nests)
        blame(s, PROMISE_TICK_2, c);
    else if (p->callbacks > 0 && !p->settings.nests)
        blame(s, PROMISE_CALL_5_NESTED, c);
    else if (p->run.mode == PROMISE_UNKNOWN)
        blame(s, PROMISE_RUN_4, c);
    else if (p->run.was_stopped)
        blame(s, PROMISE_TICK_1_CALLED, c);
}

/* One wake-up has ended two waits. A loop that it keeps awake for good spins, and is told so. */
static void check_woken_once(struct step *s) {
    if (s->p->woken_twice_by != 0)
        blame(s, PROMISE_WAKE_2, EVENT_NOBODY);
    s->p->woken_by = s->p->woken_twice_by = 0;
}

static void check_unexpected(struct step *s, unsigned c) {
    uint8_t ended = s->p->completion[c].ended;
    blame(s,
          ended == PROMISE_DELETED   ? PROMISE_DELETE_4
          : ended == PROMISE_DROPPED ? PROMISE_DEINIT_2
                                     : PROMISE_STATE_3,
          c);
}

static void check_episode(struct step *s, unsigned c) {
    struct promise *p = s->p;
    const struct promise_completion *of = &p->completion[c];
    if (s->e->userdata != of->userdata)
        blame(s, PROMISE_CALL_2, c);
    /* a cancel may end it before it has begun */
    bool again = in_run(p) && of->called_in == p->run.number && s->e->result != -ECANCELED;
    if (again && p->run.mode == ET_RUN_NO_WAIT && of->by_callback_of == p->run.number)
        blame(s, PROMISE_CALL_4_ROUND, c);
    check_result(s, c);
    check_order(s, c);
    check_progress(s, c);
}

static void take_notification(struct promise *p, const struct promise_completion *of) {
    for (unsigned i = 0; i < PROMISE_ASYNCS; i++)
        if (p->async[i].used && p->async[i].fd == of->fd && p->async[i].most > 0) {
            p->async[i].most--;
            p->async[i].least = 0; /* several may have ended it together */
        }
}

/* A cancel of it may be under way of which nobody hears. */
static bool is_cancelled_silently(const struct promise *p, unsigned c) {
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *other = &p->completion[d];
        if (other->use != PROMISE_DEAD && other->operation == ET_CANCEL && other->target == c &&
            !other->has_callback)
            return true;
    }
    return false;
}

static void on_callback(struct step *s) {
    struct promise *p = s->p;
    uint64_t c = s->e->c;
    check_woken_once(s);
    check_caller(s, c);
    if (!known(p, c))
        blame(s, PROMISE_CALL_2, c);
    else if (p->completion[c].use != PROMISE_IN_USE)
        check_unexpected(s, (unsigned)c);
    else {
        struct promise_completion *of = &p->completion[c];
        check_episode(s, (unsigned)c);
        if (of->async && s->e->result != -ECANCELED)
            take_notification(p, of);
        if (s->e->result == -ECANCELED) {
            of->canceled++;
            of->disowned +=
                s->e->forgiven || may_be_closed(p, of) || is_cancelled_silently(p, (unsigned)c);
        }
        of->called_in = p->run.number;
        p->run.something = p->run.something || has_descriptor(of);
        end(p, (unsigned)c, PROMISE_CALLED);
    }
    p->callbacks++;
    p->in_callback = c;
    p->run.called += in_run(p);
    p->spins = p->alone = 0;
    p->epoch++;
    let_stand(p);
}

/* ET-REPEAT-1: from its former deadline on, or from anything since. */
static void repeat(struct promise_completion *of, uint64_t former_ns) {
    uint64_t at = later_ms(former_ns, of->delay_ms);
    of->earliest_ns = at < of->earliest_ns ? at : of->earliest_ns;
    of->repeated = true;
}

static void on_returned(struct step *s) {
    struct promise *p = s->p;
    const struct event *e = s->e;
    p->epoch++; /* it may count from the time at which the callback was called */
    if (e->rearm && known(p, e->c) && p->completion[e->c].use == PROMISE_DEAD) {
        struct promise_completion *of = &p->completion[e->c];
        bool described = (e->has & EVENT_HAS_DESCRIPTION) != 0;
        bool refused = described ? is_senseless(s, e->c) || (e->pool && p->settings.no_pool)
                                 : of->operation >= ET_OPERATIONS;
        uint64_t former_ns = of->earliest_ns;
        if (described)
            describe(p, of, e);
        if (!refused) { /* ET-CALL-3 */
            begin(p, of);
            of->orphaned = e->forgiven && waits(of);
            if (p->settings.repeats && of->operation == ET_TIMER)
                repeat(of, former_ns);
        }
    }
    p->callbacks -= p->callbacks > 0;
    p->in_callback = EVENT_NOBODY;
    p->epoch++;
    let_stand(p);
}

/* ---- waits ----------------------------------------------------------------------------------- */

static void on_wait(struct step *s) {
    struct promise *p = s->p;
    p->waiting = true;
    p->slept = false;
    p->could_sleep = s->e->result != 0;
    p->wait_coarse = s->e->coarse;
    p->wait_began_ns = p->clock_ns;
}

/* It sleeps, or a run returns, while `of` is due. */
static enum promise_verdict overlooked(const struct promise_completion *of, bool returns) {
    switch (of->due) {
    case PROMISE_TIMER: return returns ? PROMISE_EXPIRE_1_RETURNS : PROMISE_EXPIRE_1_WAITS;
    case PROMISE_QUEUED: return returns ? PROMISE_SUBMIT_2_RETURNS : PROMISE_SUBMIT_2_WAITS;
    case PROMISE_NOTIFIED: return returns ? PROMISE_ASYNC_2_RETURNS : PROMISE_ASYNC_2;
    default: break;
    }
    if (of->new_file)
        return PROMISE_REGISTER_4;
    if (of->operation == ET_POLL)
        return returns ? PROMISE_EVENT_4_RETURNS : PROMISE_REGISTER_1;
    return returns ? PROMISE_EVENT_1_RETURNS : PROMISE_EVENT_1_WAITS;
}

static void check_due(struct step *s) {
    const struct promise *p = s->p;
    for (unsigned c = 0; c < p->completions; c++)
        if (p->completion[c].due != PROMISE_NOT_DUE)
            blame(s, overlooked(&p->completion[c], false), c);
}

/* How many completions are or may be in use, but for those whose deletion waits for a turn alone;
 * *timer: the definite one with the earliest deadline. */
static unsigned count_used(const struct promise *p, const struct promise_completion **timer) {
    unsigned used = 0;
    *timer = NULL;
    for (unsigned c = 0; c < p->completions; c++) {
        const struct promise_completion *of = &p->completion[c];
        used += of->use != PROMISE_DEAD && !of->leaving;
        if (of->use == PROMISE_IN_USE && of->operation == ET_TIMER &&
            (*timer == NULL || of->latest_ns < (*timer)->latest_ns))
            *timer = of;
    }
    return used;
}

static void check_length(struct step *s, const struct promise_completion *timer) {
    const struct promise *p = s->p;
    int64_t length_ns = s->e->result;
    uint64_t c = (uint64_t)(timer - p->completion);
    uint64_t at = later(timer->latest_ns, p->settings.slack_ns);
    uint64_t until = later(at, (uint64_t)(p->wait_coarse ? COARSE_NS : FINE_NS));
    if (at == FARTHEST || p->stopped)
        return;
    /* the clock as it is, even where it has gone back (ET-TIME-3) */
    uint64_t now_ns = (s->e->has & EVENT_HAS_CLOCK) != 0 ? s->e->clock_ns : p->clock_ns;
    if (length_ns < 0)
        blame(s, PROMISE_WAIT_2_FOREVER, c);
    else if (later(now_ns, (uint64_t)length_ns) > until)
        blame(s, PROMISE_WAIT_2_LATE, c);
}

static void on_sleep(struct step *s) {
    struct promise *p = s->p;
    const struct promise_completion *timer;
    unsigned used = count_used(p, &timer);
    if (in_run(p)) {
        if (p->run.mode == ET_RUN_NO_WAIT)
            blame(s, PROMISE_RUN_1, EVENT_NOBODY);
        if (p->run.stopped)
            blame(s, PROMISE_STOP_2, EVENT_NOBODY);
        if (p->wake_pending)
            blame(s, PROMISE_WAKE_1, EVENT_NOBODY);
        if (p->run.mode == ET_RUN_TURN && p->run.turned)
            blame(s, PROMISE_RUN_5, EVENT_NOBODY);
        if (p->run.asked > 0 && p->run.called >= p->run.asked)
            blame(s, PROMISE_WAIT_1_ENOUGH, EVENT_NOBODY);
        check_due(s);
        if (used == 0 && p->run.mode != PROMISE_UNTIL_STOPPED)
            blame(s, PROMISE_WAIT_1_IDLE, EVENT_NOBODY);
        if (timer != NULL)
            check_length(s, timer);
    }
    if (!p->slept && timer != NULL && used == 1) {
        struct promise_completion *alone = &p->completion[timer - p->completion];
        if (++p->alone > 2 + alone->delay_ms / LONGEST_MS && !alone->told_slow) {
            alone->told_slow = true;
            blame(s, PROMISE_WAIT_4, (uint64_t)(timer - p->completion));
        }
    }
    for (unsigned c = 0; in_run(p) && c < p->completions; c++)
        p->completion[c].unbegun = false;
    p->slept = true;
}

/* Nothing else of its descriptor and class may be in use. */
static bool is_alone(const struct promise *p, const struct promise_completion *of) {
    for (unsigned d = 0; d < p->completions; d++) {
        const struct promise_completion *other = &p->completion[d];
        if (other != of && other->use != PROMISE_DEAD && other->fd == of->fd &&
            class_of(other) == class_of(of))
            return false;
    }
    return true;
}

/* A wait has led to nothing. */
static void count_spin(struct step *s) {
    struct promise *p = s->p;
    const struct promise_completion *timer;
    unsigned used = count_used(p, &timer);
    if (!in_run(p) || ++p->spins <= PROMISE_WAITS_MAX)
        return;
    p->spins = 0;
    for (unsigned c = 0; c < p->completions; c++)
        if (p->completion[c].due == PROMISE_READY && class_of(&p->completion[c]) != 0)
            blame(s,
                  is_alone(p, &p->completion[c])
                      ? PROMISE_EVENT_1_WAITS
                      : PROMISE_SUBMIT_8, /* it stands behind one that cannot be served */
                  c);
    bool idle = used == 0 && p->run.mode != PROMISE_UNTIL_STOPPED;
    bool over = p->run.stopped || idle || (p->run.asked > 0 && p->run.called >= p->run.asked);
    blame(s,
          s->e->events != 0               ? PROMISE_REGISTER_5
          : p->run.mode == ET_RUN_NO_WAIT ? PROMISE_TICK_3
          : over                          ? PROMISE_TICK_4_SPINS
          : timer != NULL                 ? PROMISE_WAIT_3
                                          : PROMISE_WAIT_2_SPINS,
          EVENT_NOBODY);
}

/* What has ended a wait as the loop was woken may end the next one, too, and nobody has asked
 * anything of the loop in between. */
static void look_for_second_wait(struct step *s) {
    struct promise *p = s->p;
    uint32_t own = s->e->claimed, before = p->woken_by;
    if (own == 0 || own != p->woken_twice_by)
        check_woken_once(s);
    p->woken_twice_by = own == before ? own : 0; /* `before` is 0 if it was asked since */
    p->woken_by = p->wake_pending ? own : 0;
}

static void on_woken(struct step *s) {
    struct promise *p = s->p;
    const struct event *e = s->e;
    bool due = false;
    for (unsigned c = 0; c < p->completions; c++) {
        due = due || p->completion[c].due != PROMISE_NOT_DUE;
        const uint32_t outer = p->depth > 0 ? ~0U : 0; /* what a wait around it has found stands */
        const uint32_t owed = p->completion[c].stale ? 0 : p->completion[c].ready;
        p->completion[c].had = (p->completion[c].had & outer) | p->completion[c].ready;
        p->completion[c].found = (p->completion[c].found & outer) | owed;
    }
    look_for_second_wait(s);
    p->run.turned =
        p->run.turned || p->could_sleep || p->slept || p->wake_pending || e->result == -EINTR;
    p->run.failed = p->run.failed || (e->result != 0 && e->result != -EINTR);
    p->run.full = p->run.full || e->forgiven;
    p->run.interrupted = p->run.interrupted || e->result == -EINTR;
    p->run.woken = p->run.woken || p->wake_pending;
    p->run.sliced = p->slept && e->result == 0 && e->events == 0 && !due && !p->wake_pending;
    if (p->wake_pending || e->result == -EINTR ||
        (p->slept && p->clock_ns - p->wait_began_ns >= (uint64_t)MS_NS)) {
        p->spins = 0;
    } else
        count_spin(s);
    /* a last report of what nothing waits for any more is none for the timer (ET-REGISTER-5) */
    if (p->wake_pending || e->result == -EINTR || e->others)
        p->alone = 0;
    p->wake_pending = p->waiting = false;
    let_stand(p);
    if (p->slept) /* otherwise it may have taken the time when it began to wait */
        p->loop_ns = p->clock_ns;
    else if (p->loop_ns < p->wait_began_ns)
        p->loop_ns = p->wait_began_ns;
    p->turns++;
    p->epoch++;
    let_leave(p, true);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void on_run(struct step *s) {
    struct promise *p = s->p;
    const struct event *e = s->e;
    static const uint64_t asked[] = {0, 1, EVENT_NEVER_REACHED, 1};
    bool tick = e->kind == EVENT_TICK, until_stopped = e->mode == PROMISE_UNTIL_STOPPED;
    bool known_mode = tick || until_stopped ||
                      (e->mode >= 0 &&
                       (e->mode < ET_RUN_TURN || (e->mode == ET_RUN_TURN && p->settings.has_turn)));
    bool nests = in_run(p) && p->settings.nests && p->depth < PROMISE_NESTED;
    if (in_run(p) && !nests) {
        p->refused++;
        p->refused_unknown = !known_mode;
        return;
    }
    struct promise_run run = {.callbacks = nests ? p->callbacks : 0,
                              .in_callback = nests ? p->in_callback : EVENT_NOBODY,
                              .may_end = nests && (p->run.stopped | p->run.may_end),
                              .number = ++p->runs,
                              .step = p->steps,
                              .order = p->orders};
    run.mode = !known_mode                           ? PROMISE_UNKNOWN
               : !tick                               ? (uint8_t)e->mode
               : e->callbacks == 0                   ? ET_RUN_NO_WAIT
               : e->callbacks == 1                   ? ET_RUN_ONCE
               : e->callbacks == EVENT_NEVER_REACHED ? ET_RUN_UNTIL_DONE
                                                     : PROMISE_TICKS;
    run.asked = tick            ? e->callbacks
                : until_stopped ? EVENT_NEVER_REACHED
                : known_mode    ? asked[e->mode]
                                : 0;
    run.stopped = run.was_stopped = p->stopped;
    run.woken = p->wake_pending;
    run.before_it = p->run.something;
    /* what is refused makes no turn */
    run.something = p->something || (!known_mode && p->run.something);
    p->something = false;
    for (unsigned c = 0; c < p->completions; c++)
        run.silent += p->completion[c].use == PROMISE_PERHAPS && !p->completion[c].has_callback;
    if (nests)
        p->around[p->depth++] = p->run;
    p->run = run;
    p->spins = p->alone = 0;
    p->epoch++;
    if (!known_mode)
        return;
    p->told_late = false;
    let_stand(p);
    p->turns++;
    let_leave(p, true);
}

/* Why a run may have returned too early: a verdict's kinds, in this order in promise.def. */
static enum promise_verdict too_early(const struct promise *p, enum promise_verdict first) {
    const struct promise_run *r = &p->run;
    return first + (r->woken                       ? 0
                    : r->interrupted               ? 1
                    : r->sliced                    ? 2
                    : r->something || r->before_it ? 3
                                                   : 4);
}

/* What was submitted before a run that does not wait has begun, too: the loop cannot know what is
 * due of what it has not looked at. */
static void check_left(struct step *s) {
    struct promise *p = s->p;
    if (p->settings.serves_max != 0 && p->run.called >= p->settings.serves_max)
        return;
    for (unsigned c = 0; c < p->completions; c++) {
        p->completion[c].unbegun =
            p->completion[c].unbegun && p->completion[c].order > p->run.order;
        if (p->completion[c].due != PROMISE_NOT_DUE && p->completion[c].due_step <= p->run.step &&
            !(p->completion[c].due == PROMISE_READY && p->run.full))
            blame(s, overlooked(&p->completion[c], true), c);
    }
}

static void check_return(struct step *s) {
    struct promise *p = s->p;
    bool used = false;
    for (unsigned c = 0; c < p->completions; c++)
        used = used || definite(&p->completion[c]);
    if (p->run.stopped || p->run.may_end)
        return;
    if (p->run.mode == ET_RUN_NO_WAIT)
        check_left(s);
    if (p->run.mode == PROMISE_UNTIL_STOPPED) {
        blame(s, too_early(p, PROMISE_RUN_6_WOKEN), EVENT_NOBODY);
        return;
    }
    if (!used || p->run.called + p->run.silent + p->run.nested >= p->run.asked)
        return;
    if (p->run.mode == ET_RUN_TURN) {
        if (!p->run.turned && !p->run.woken && !p->run.something && !p->run.before_it)
            blame(s, PROMISE_RUN_5_EARLY, EVENT_NOBODY);
        return;
    }
    blame(s,
          too_early(p, p->run.mode == ET_RUN_ONCE         ? PROMISE_RUN_2_WOKEN
                       : p->run.mode == ET_RUN_UNTIL_DONE ? PROMISE_RUN_3_WOKEN
                                                          : PROMISE_TICK_4_WOKEN),
          EVENT_NOBODY);
}

static void on_refused_end(struct step *s) {
    struct promise *p = s->p;
    int64_t result = s->e->result;
    p->refused--;
    if (!p->settings.nests && result != -EBUSY && !(p->refused_unknown && result == -EINVAL) &&
        !((p->stopped || p->run.stopped) && result == 0))
        blame(s, PROMISE_TICK_2, EVENT_NOBODY);
}

/* The run around one that has ended, in whose callback that was. */
static void go_on_around(struct promise *p) {
    struct promise_run inner = p->run;
    p->run = p->around[--p->depth];
    p->run.may_end |= inner.stopped | inner.may_end;
    p->run.nested += inner.called + inner.nested;
    p->run.woken |= inner.woken;
    p->run.interrupted |= inner.interrupted;
    p->run.something |= inner.something;
}

static void on_end(struct step *s) {
    struct promise *p = s->p;
    int64_t result = s->e->result;
    if (s->e->of_deinit || !in_run(p))
        return;
    if (p->refused == 0)
        check_woken_once(s);
    if (p->refused > 0) {
        on_refused_end(s);
        return;
    }
    if (p->run.mode == PROMISE_UNKNOWN) {
        if (result != -EINVAL && !(p->run.was_stopped && result == 0))
            blame(s, PROMISE_RUN_4, EVENT_NOBODY);
    } else if (p->run.was_stopped) {
        if (result != 0)
            blame(s, PROMISE_TICK_1_REFUSED, EVENT_NOBODY);
    } else if (result == -EBUSY && p->depth > 0)
        blame(s, PROMISE_RUN_7, EVENT_NOBODY);
    else if (result == -EINTR || (result < 0 && p->run.interrupted && !p->run.failed))
        blame(s, PROMISE_WAIT_5, EVENT_NOBODY);
    else if (result != 0 && !p->run.failed)
        blame(s, PROMISE_TICK_7, EVENT_NOBODY);
    else if (result == 0)
        check_return(s);
    let_leave(p, false);
    p->callbacks = p->run.callbacks;
    p->in_callback = p->run.in_callback;
    p->run.number = 0;
    if (p->depth > 0)
        go_on_around(p);
}

static void on_stop(struct promise *p) {
    p->stopped = p->stopped || p->settings.stays_stopped;
    p->run.stopped = p->run.stopped || in_run(p);
}

/* ---- wake-ups and asyncs --------------------------------------------------------------------- */

static struct promise_async *make_async(struct promise *p, int fd) {
    for (unsigned i = 0; i < PROMISE_ASYNCS; i++)
        if (p->async[i].used && p->async[i].fd == fd)
            return &p->async[i];
    for (unsigned i = 0; i < PROMISE_ASYNCS; i++)
        if (!p->async[i].used) {
            p->async[i] = (struct promise_async){.used = true, .fd = fd};
            return &p->async[i];
        }
    return NULL;
}

static void on_notify(struct step *s) {
    struct promise *p = s->p;
    int fd = s->e->fd;
    bool wanted = p->settings.keeps;
    if (fd < 0) {
        if (s->e->result != -EINVAL)
            blame(s, PROMISE_ASYNC_5, EVENT_NOBODY);
        return;
    }
    if (s->e->result != 0) {
        blame(s, PROMISE_ASYNC_2_REFUSED, EVENT_NOBODY);
        return;
    }
    for (unsigned c = 0; c < p->completions; c++)
        wanted = wanted || (p->completion[c].use != PROMISE_DEAD && p->completion[c].async &&
                            p->completion[c].fd == fd);
    struct promise_async *async = make_async(p, fd);
    if (async == NULL)
        return;
    async->most++;
    async->least += wanted;
    p->run.woken = p->run.woken || in_run(p);
}

static void on_async_deinit(struct step *s) {
    struct promise *p = s->p;
    if (s->e->fd < 0 && s->e->result != -EINVAL)
        blame(s, PROMISE_ASYNC_5, EVENT_NOBODY);
    for (unsigned i = 0; s->e->result == 0 && i < PROMISE_ASYNCS; i++)
        if (p->async[i].fd == s->e->fd)
            p->async[i].used = false;
}

/* ---- what the loop says, and what is so ------------------------------------------------------ */

static void on_now(struct step *s) {
    struct promise *p = s->p;
    uint64_t now_ms = s->e->now_ms;
    if (now_ms > p->clock_ns / MS_NS) {
        blame(s, PROMISE_TIME_2, EVENT_NOBODY);
        return;
    }
    if (now_ms < p->said_ms)
        blame(s, PROMISE_TIME_3, EVENT_NOBODY);
    else if (now_ms < p->loop_ns / MS_NS)
        blame(s, PROMISE_TIME_1, EVENT_NOBODY);
    else if (now_ms * MS_NS + s->e->rest_ns > p->loop_ns)
        p->loop_ns = now_ms * MS_NS + s->e->rest_ns;
    p->said_ms = now_ms;
}

/* Nobody has heard of it: what it has waited for may have gone with it. */
static void end_unseen(struct promise *p, unsigned c) {
    struct promise_completion *of = &p->completion[c];
    disown(p, of);
    if (of->async)
        forget_notifications(p, of->fd);
    end(p, c, (enum promise_ended)of->ended);
}

static void on_says_in_use(struct step *s) {
    struct promise *p = s->p;
    bool says = s->e->result != 0;
    if (!known(p, s->e->c))
        return;
    struct promise_completion *of = &p->completion[s->e->c];
    if (of->use == PROMISE_PERHAPS) {
        if (!says)
            end_unseen(p, (unsigned)s->e->c);
    } else if (says != (of->use == PROMISE_IN_USE))
        blame(s,
              says && p->callbacks > 0 && p->in_callback == s->e->c ? PROMISE_CALL_1
              : says && p->fresh                                    ? PROMISE_INIT_2
              : says && of->left                                    ? PROMISE_LINGER_2
                                                                    : PROMISE_STATE_2,
              s->e->c);
}

static void on_says_stopped(struct step *s) {
    const struct promise *p = s->p;
    bool stopped = p->stopped || (in_run(p) && p->run.stopped);
    if ((s->e->result != 0) != stopped)
        blame(s, p->fresh && !stopped ? PROMISE_INIT_2 : PROMISE_STOP_1, EVENT_NOBODY);
}

/* ---- inside another loop --------------------------------------------------------------------- */

/* The host is told of nothing, and would wait. A timeout that was too long stands until the loop is
 * run: then it is the descriptor that has to tell. */
static void check_told(struct step *s) {
    const struct promise *p = s->p;
    bool tells = s->e->events != 0, at_once = s->e->result == 0 && !p->told_late;
    for (unsigned c = 0; c < p->completions && !tells; c++) {
        const struct promise_completion *of = &p->completion[c];
        if (of->due == PROMISE_TIMER && !at_once)
            blame(s, PROMISE_HOST_2_LATE, c);
        else if (of->due == PROMISE_QUEUED && s->e->result != 0)
            blame(s, PROMISE_HOST_1, c);
        else if ((of->due == PROMISE_READY || of->due == PROMISE_NOTIFIED) && s->e->result != 0)
            blame(s, of->unbegun ? PROMISE_HOST_1 : PROMISE_HOST_5, c);
    }
    if (p->wake_pending && !tells && s->e->result != 0)
        blame(s, PROMISE_HOST_5, EVENT_NOBODY);
}

/* Something may have to be taken up, or let go, of which nothing is to be seen. */
static bool may_be_at_work(const struct promise *p) {
    bool any = p->something || p->run.something || p->run.silent > 0 || p->wake_pending;
    for (unsigned c = 0; c < p->completions; c++) {
        const struct promise_completion *of = &p->completion[c];
        any = any || of->use == PROMISE_PERHAPS || of->due != PROMISE_NOT_DUE ||
              (of->use == PROMISE_IN_USE && (of->unbegun || of->pool));
    }
    return any;
}

static void on_hosted(struct step *s) {
    struct promise *p = s->p;
    const struct promise_completion *timer;
    int64_t told = s->e->result;
    (void)count_used(p, &timer);
    if (p->callbacks > 0 || in_run(p))
        return;
    if (p->stopped) {
        if (told != -1)
            blame(s, PROMISE_HOST_3, EVENT_NOBODY);
        if (s->e->events != 0)
            blame(s, PROMISE_HOST_5_STOPPED, EVENT_NOBODY);
        return;
    }
    check_told(s);
    uint64_t until = told < 0 ? FARTHEST : later_ms(p->clock_ns, (uint64_t)told);
    uint64_t at = timer != NULL ? later(timer->latest_ns, p->settings.slack_ns) : FARTHEST;
    p->told_late = p->told_late || (told != 0 && at != FARTHEST && until >= later(at, COARSE_NS));
    if (may_be_at_work(p) || told < 0)
        return;
    if (timer == NULL)
        blame(s, PROMISE_HOST_2_VAIN, EVENT_NOBODY);
    else if (until < timer->earliest_ns && until != FARTHEST)
        blame(s, PROMISE_HOST_2_EARLY, (uint64_t)(timer - p->completion));
}

static void on_untrue(struct step *s) {
    static const enum promise_verdict verdict[] = {
        [PROMISE_UNTRUE_ERROR] = PROMISE_OP_1_ERROR,
        [PROMISE_UNTRUE_END] = PROMISE_OP_1_END,
        [PROMISE_UNTRUE_LENGTH] = PROMISE_OP_1,
        [PROMISE_UNTRUE_BYTES] = PROMISE_OP_1_BYTES,
        [PROMISE_UNTRUE_CLOSES] = PROMISE_CLOSE_2,
        [PROMISE_UNTRUE_BUFFER] = PROMISE_DELETE_4_BUFFER,
        [PROMISE_UNTRUE_GIVEN] = PROMISE_OP_6_BYTES,
        [PROMISE_UNTRUE_ADDRESS] = PROMISE_OP_6_ADDRESS,
        [PROMISE_UNTRUE_FLAGS] = PROMISE_OP_6_FLAGS,
        [PROMISE_UNTRUE_OFFSET] = PROMISE_OP_6_OFFSET,
        [PROMISE_UNTRUE_MESSAGE] = PROMISE_OP_6_MESSAGE,
    };
    assert(s->e->source < PROMISE_UNTRUES);
    bool poll = known(s->p, s->e->c) && s->p->completion[s->e->c].operation == ET_POLL;
    blame(s,
          poll && s->e->source == PROMISE_UNTRUE_ERROR ? PROMISE_EVENT_4_RESULT
                                                       : verdict[s->e->source],
          s->e->c);
}

static void on_moved(struct promise *p, int fd) {
    for (unsigned c = 0; c < p->completions; c++) {
        struct promise_completion *of = &p->completion[c];
        bool has_number = waits(of) || (of->async && p->settings.exact);
        of->orphaned = of->orphaned || (of->use != PROMISE_DEAD && has_number && of->fd == fd);
    }
    p->moved[p->moved_count++ % PROMISE_MOVED] = fd;
}

static void on_ready(struct promise *p, const struct event *e) {
    if (!known(p, e->c))
        return;
    p->completion[e->c].ready = e->events;
    p->completion[e->c].stale = e->forgiven;
    p->completion[e->c].had |= e->events;
}

static bool is_unanswered(const struct promise_completion *of, int64_t result) {
    return of->operation == ET_CONNECT ? result == -EINPROGRESS || result == -EINTR
                                       : result == -EAGAIN || result == -EINTR;
}

/* What was seen of a try that no callback tells. */
static void on_try(struct promise *p, const struct event *e) {
    if (known(p, e->c)) {
        struct promise_completion *of = &p->completion[e->c];
        if (is_unanswered(of, e->result)) /* so it was not ready (section 2) */
            of->ready = of->had = of->stood = 0;
        if (e->forgiven) /* section 15, 7: Linux reports it again and again */
            p->spins = 0;
        return;
    }
    for (unsigned i = 0; e->c == EVENT_NOBODY && i < PROMISE_ASYNCS; i++)
        if (p->async[i].fd == e->fd)
            p->async[i].least = p->async[i].most = 0;
}

/* ---- the one way in -------------------------------------------------------------------------- */

static void take(struct step *s) {
    struct promise *p = s->p;
    switch (s->e->kind) {
    case EVENT_ADD:
    case EVENT_TIMER:
    case EVENT_ASYNC_WAIT: on_submission(s, s->e->c); break;
    case EVENT_CANCEL: on_submission(s, s->e->by); break;
    case EVENT_RESET: on_reset(s); break;
    case EVENT_DELETE: on_delete(s); break;
    case EVENT_STOP: on_stop(p); break;
    case EVENT_UPDATE_NOW: p->loop_ns = p->clock_ns, p->epoch++; break;
    case EVENT_DEINIT: on_deinit(s); break;
    case EVENT_INIT: on_init(p); break;
    case EVENT_WAKEUP: p->wake_pending = true; break;
    case EVENT_NOTIFY: on_notify(s); break;
    case EVENT_ASYNC_DEINIT: on_async_deinit(s); break;
    case EVENT_TICK:
    case EVENT_RUN: on_run(s); break;
    case EVENT_END: on_end(s); break;
    case EVENT_CALLBACK: on_callback(s); break;
    case EVENT_RETURNED: on_returned(s); break;
    case EVENT_WAIT: on_wait(s); break;
    case EVENT_SLEEP: on_sleep(s); break;
    case EVENT_WOKEN: on_woken(s); break;
    case EVENT_MOVED: on_moved(p, s->e->fd); break;
    case EVENT_READY: on_ready(p, s->e); break;
    case EVENT_TRY: on_try(p, s->e); break;
    case EVENT_NOW: on_now(s); break;
    case EVENT_SAYS_IN_USE: on_says_in_use(s); break;
    case EVENT_SAYS_STOPPED: on_says_stopped(s); break;
    case EVENT_HOSTED: on_hosted(s); break;
    case EVENT_UNTRUE: on_untrue(s); break;
    default: break; /* what only Part II judges */
    }
}

/* Where nothing that it says can make another completion due, or let it end unseen, than c: that of
 * the event. (Two that take from one descriptor stand in each other's way, and a cancel in its
 * target's.) */
static bool concerns_only(const struct promise *p, const struct event *e, uint64_t c) {
    switch (e->kind) {
    case EVENT_NOW:
    case EVENT_SAYS_STOPPED:
    case EVENT_UNTRUE: return true;
    case EVENT_TIMER:
    case EVENT_ADD:
    case EVENT_CALLBACK:
    case EVENT_RETURNED:
    case EVENT_READY: break;
    default: return false;
    }
    if (!known(p, c) || p->has_cancels)
        return false;
    const struct promise_completion *of = &p->completion[c];
    return of->has_callback && !of->async &&
           (of->operation == ET_TIMER || of->operation == ET_POLL);
}

static void refresh(struct promise *p) {
    refresh_due(p);
    refresh_perhaps(p);
}

struct promise_answer promise_step(struct promise *p, const struct event *event) {
    struct step s = {p, event, {.c = EVENT_NOBODY}};
    p->steps++;
    if ((event->has & EVENT_HAS_CLOCK) != 0 && event->clock_ns > p->clock_ns)
        p->clock_ns = event->clock_ns;
    if (p->clock_ns >= p->look_at_ns || p->has_cancels)
        refresh(p);
    if (event->kind <= EVENT_RUN)
        p->woken_by = 0;
    bool before = concerns_only(p, event, event->c);
    take(&s);
    if (!before || !concerns_only(p, event, event->c))
        refresh(p);
    else if (known(p, event->c))
        refresh_due_of(p, &p->completion[event->c]);
    return s.answer;
}

void promise_init(struct promise *p, const struct promise_settings *settings, unsigned completions,
                  uint64_t clock_ns) {
    assert(completions <= PROMISE_COMPLETIONS);
    const size_t rest = offsetof(struct promise, async);
    memset(p, 0, offsetof(struct promise, completion));
    memset(p->completion, 0, completions * sizeof *p->completion);
    memset((char *)p + rest, 0, sizeof *p - rest);
    p->settings = *settings;
    p->completions = completions;
    p->clock_ns = clock_ns;
    p->in_callback = EVENT_NOBODY;
    p->look_at_ns = FARTHEST;
    on_init(p);
}
