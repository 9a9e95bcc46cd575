/* SPDX-License-Identifier: MIT */
/* Tells the promise what the model does (refine.h).
 *
 * A foreign loop's judge has to guess; here all is known: the loop time to the nanosecond, what the
 * kernel would report of each descriptor, which try was unanswered, which completion has ended
 * unseen. What is not told, and why:
 *   data        bytes, ends and errors (EVENT_UNTRUE): the model has only results, and the driver
 *               compares the arguments of each system call (ET-OP-2)
 *   ET-HOST-4   the descriptor itself, which lockstep.c asks for
 *   ET-POOL-…   of a pooled operation the promise hears of the call and of the end
 *   ET-WAKE-2   where there is a pool: a hand-over ends a wait by the same descriptor
 *   readiness   once calls were made to fail: neither loop nor model can know what is so
 *   anything    once the simulated clock has gone back, as no Linux lets CLOCK_MONOTONIC do */
#include "refine.h"

#include "state.h"

#include "../../model/promise.h"
#include "../../model/words.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define MS_NS UINT64_C(1000000)
/* Part II rounds deadlines up to whole milliseconds (section 2). */
#define SLACK_NS MS_NS
#define OWN      1 /* the loop's own descriptor, whichever: EVENT_WOKEN, claimed */

bool lockstep_refines = true;

static struct {
    struct promise promise;
    model_observer_function *others; /* were told before, and go on to be */
    bool is_on;
    bool excuses_readiness;
    uint64_t clock_ns; /* as it was told last */
    bool is_past;      /* it has gone back */
    /* A wait has ended; which reports it has brought is known when anything else comes. */
    bool ends_wait;
    struct event woken;
    unsigned reports;
    number_set reported;
    uint64_t now_ms, now_rest; /* as they were told last */
    uint64_t unanswered
        [PROGRAM_COMPLETIONS]; /* the episode whose try has been, since the last wait; or 0 */
    model_set canceled;        /* the kernel has said ECANCELED of it */
    bool relies_on_former;     /* of what is rearmed: its number names another file by now */
    number_set named;          /* by now they have named a file */
} told;

/* ---- telling --------------------------------------------------------------------------------- */

static void excuse_readiness(void) {
    for (unsigned v = 0; v < PROMISE_VERDICTS; v++)
        if (promise_laws[v].trusts_kernel)
            promise_excuse(&told.promise.settings, v);
    told.excuses_readiness = true;
}

static void tell(struct event event) {
    event.has |= EVENT_HAS_CLOCK;
    event.clock_ns = driver.world->clock();
    told.is_past = told.is_past || event.clock_ns < told.clock_ns;
    told.clock_ns = event.clock_ns;
    if (driver.report->differs || told.is_past)
        return;
    if (driver.faults && !told.excuses_readiness)
        excuse_readiness();
    const struct promise_answer a = promise_step(&told.promise, &event);
    if (a.broken == NULL || promise_excuses(&told.promise.settings, a.verdict))
        return;
    if (a.c < COUNT)
        differ(a.broken, "Part II allows what Part I forbids, of c%u; Part I: %s", (unsigned)a.c,
               a.why);
    else
        differ(a.broken, "Part II allows what Part I forbids; Part I: %s", a.why);
}

#define TELL(...) tell((struct event){.kind = __VA_ARGS__})

static void tell_now(const struct model *m) {
    if (m->now_ms == told.now_ms && m->now_rest == told.now_rest)
        return;
    told.now_ms = m->now_ms;
    told.now_rest = m->now_rest;
    TELL(EVENT_NOW, .now_ms = m->now_ms, .rest_ns = m->now_rest);
}

/* ---- what is ready --------------------------------------------------------------------------- */

static uint32_t ready_now(unsigned c) {
    const struct promise_completion *of = &told.promise.completion[c];
    unsigned class = operation_traits(of->operation, of->flags) & WAITS_CLASS;
    uint32_t ready = driver.world->ready(of->fd);
    if (of->operation == ET_POLL)
        return ready & (of->asked | EPOLLERR | EPOLLHUP);
    return told.unanswered[c] == of->order || (classes_of(ready) & class) == 0 ? 0 : ready;
}

static void tell_ready(void) {
    for (unsigned c = 0; c < COUNT; c++) {
        const struct promise_completion *of = &told.promise.completion[c];
        if (of->use == PROMISE_DEAD || of->pool || of->async || of->orphaned ||
            (operation_traits(of->operation, of->flags) & WAITS_AT_ALL) == 0)
            continue;
        uint32_t ready = ready_now(c);
        if (ready != of->ready)
            TELL(EVENT_READY, .c = c, .events = ready);
    }
}

/* ---- waits ----------------------------------------------------------------------------------- */

/* By what the loop waits on besides: nothing was reported, and its time has not come. */
static bool ended_by_its_own(const struct model *m) {
    return told.reports == 0 && !driver.faults && !m->has_pool && told.woken.result == 0 &&
           driver.wait.timeout_ns != 0 &&
           (driver.wait.timeout_ns < 0 || driver.world->clock() < driver.wait.end_ns);
}

/* What one wait does not report, ET-TICK-3 does not ask for. That it is reported in the end is what
 * ET-PROGRESS-2 asks of Part II, and lockstep.c judges. */
static bool has_left_out_something(void) {
    for (unsigned c = 0; c < COUNT; c++) {
        const struct promise_completion *of = &told.promise.completion[c];
        if (of->use != PROMISE_DEAD && of->ready != 0 && !has_number(&told.reported, of->fd))
            return true;
    }
    return false;
}

static void end_wait(const struct model *m) {
    if (!told.ends_wait)
        return;
    told.ends_wait = false;
    told.woken.events = told.reports > 0;
    told.woken.others = told.reports > 0;
    told.woken.claimed = ended_by_its_own(m) ? OWN : 0;
    told.woken.forgiven = has_left_out_something();
    tell(told.woken);
}

/* ---- what the model is told ------------------------------------------------------------------ */

/* Of a description. Where its async is gone, it is no more than a read of that number. */
static bool is_async_wait(const struct model *m, unsigned c) {
    const struct model_description *d = &m->completion[c].description;
    for (unsigned k = 0; k < PROGRAM_FEW; k++)
        if ((driver.asyncs >> k & 1) != 0 && driver.async_fd[k] == d->fd)
            return driver.slot[c].own_memory && d->operation == ET_READ;
    return false;
}

/* As it would be submitted now. */
static void describe(struct event *e, const struct model *m, unsigned c) {
    const struct model_description *d = &m->completion[c].description;
    e->has |= EVENT_HAS_DESCRIPTION;
    e->operation = d->operation;
    e->target = model_named(d->target);
    e->pool = d->pool_mark;
    e->has_callback = d->has_callback;
    e->fd = d->fd;
    e->flags = d->flags;
    e->events = d->operation == ET_POLL ? d->events : 0;
    e->userdata = d->userdata;
    e->delay_ms = d->delay_ms;
    e->async = is_async_wait(m, c);
    /* a refusal by the kernel may end it, and nobody hears of that */
    e->forgiven = e->kind != EVENT_RETURNED && !d->has_callback;
}

static bool is_used(const struct model *m, unsigned c) {
    return m->completion[c].state == ET_ADDING || m->completion[c].state == ET_ACTIVE;
}

static void returned(const struct model *m, const struct event *event) {
    struct event e = *event;
    unsigned c = (unsigned)e.c;
    if (c >= COUNT)
        return;
    describe(&e, m, c);
    e.rearm = e.rearm && (!e.pool || m->has_pool); /* ET-ADD-6 */
    e.forgiven = told.relies_on_former || !e.has_callback;
    tell(e);
}

static void submitted(const struct model *m, const struct event *event, int result) {
    struct event e = *event;
    uint64_t c = e.kind == EVENT_CANCEL ? e.by : e.c;
    e.result = result;
    if (e.kind == EVENT_ADD && c < COUNT)
        describe(&e, m, (unsigned)c);
    if (e.kind == EVENT_ASYNC_WAIT)
        e.forgiven = !e.has_callback;
    tell_now(m);
    tell(e);
    tell_ready();
}

/* It may be the result: the kernel has said ECANCELED. */
static void says_canceled(unsigned c, int64_t result) {
    if (c < COUNT && result == -ECANCELED)
        model_put(&told.canceled, c);
    else if (c < COUNT)
        model_take(&told.canceled, c);
}

/* … to a registration, or to the creation of a thread: whose end it may be. */
static void refused(const struct event *event) {
    for (unsigned c = 0; c < COUNT; c++) {
        const struct promise_completion *of = &told.promise.completion[c];
        if (event->kind == EVENT_THREAD ? of->pool : of->fd == event->fd)
            says_canceled(c, event->result);
    }
}

static void tried(const struct event *event) {
    struct event e = *event;
    says_canceled((unsigned)e.c, e.result);
    if (e.c >= COUNT || (e.result != -EAGAIN && e.result != -EINTR && e.result != -EINPROGRESS))
        return;
    told.unanswered[e.c] = told.promise.completion[e.c].order;
    e.forgiven = has_number(&driver.reported, e.fd);
    tell(e);
}

/* What the kernel has said of a descriptor was so when the wait ended, which is told after it. */
static void reported(const struct event *event) {
    told.reports++;
    put_number(&told.reported, event->fd);
    for (unsigned c = 0; c < COUNT; c++) {
        const struct promise_completion *of = &told.promise.completion[c];
        uint32_t more = event->events & (of->asked | EPOLLERR | EPOLLHUP) & ~of->ready;
        if (of->use != PROMISE_DEAD && of->operation == ET_POLL && of->fd == event->fd && more != 0)
            TELL(EVENT_READY, .c = c, .events = of->ready | more);
    }
}

static void say_in_use(const struct model *m) {
    for (unsigned c = 0; c < COUNT; c++) {
        unsigned use = told.promise.completion[c].use, state = m->completion[c].state;
        if (model_has(&m->maybe_dead, c))
            continue;
        bool gone =
            state == ET_DEAD || (state == ET_DELETING && m->completion[c].pool == MODEL_NO_POOL);
        if (use == PROMISE_PERHAPS ? gone : is_used(m, c) != (use == PROMISE_IN_USE))
            TELL(EVENT_SAYS_IN_USE, .c = c, .result = is_used(m, c));
    }
}

static void before(const struct model *m, const struct event *event) {
    if (event->kind != EVENT_REPORT)
        end_wait(m);
    switch (event->kind) {
    case EVENT_INIT:
        told.now_ms = told.now_rest = 0;
        told.ends_wait = false;
        tell(*event);
        tell_now(m);
        break;
    case EVENT_TICK:
    case EVENT_RUN:
        tell_ready();
        tell(*event);
        break;
    case EVENT_RETURNED: /* behind it the model may go on, and its time, too */
        tell_now(m);
        told.relies_on_former =
            event->c < COUNT && model_has(&m->orphaned, (unsigned)event->c) &&
            m->completion[event->c].vouches == m->completion[event->c].description.fd;
        break;
    case EVENT_CALLBACK:
    case EVENT_END: tell_ready(); break;
    default: break;
    }
}

static void after(const struct model *m, const struct event *event, int result) {
    struct event e = *event;
    switch (e.kind) {
    case EVENT_ADD:
    case EVENT_TIMER:
    case EVENT_RESET:
    case EVENT_CANCEL:
    case EVENT_ASYNC_WAIT: submitted(m, event, result); break;
    case EVENT_TICK:
    case EVENT_RUN: /* it was told when it began */
        if (result != MODEL_RUNS)
            TELL(EVENT_END, .result = result);
        break;
    case EVENT_DELETE:
    case EVENT_DEINIT:
    case EVENT_NOTIFY:
    case EVENT_ASYNC_DEINIT:
        e.result = result;
        tell(e);
        break;
    case EVENT_CALLBACK:
        e.forgiven = e.c < COUNT && model_has(&told.canceled, (unsigned)e.c);
        says_canceled((unsigned)e.c, 0);
        tell(e);
        tell_now(m);
        break;
    case EVENT_UPDATE_NOW:
        tell(e);
        tell_now(m);
        break;
    case EVENT_RETURNED: returned(m, event); break;
    case EVENT_WAIT:
        e.coarse = e.result > 0 && e.result % (int64_t)MS_NS == 0;
        tell(e);
        break;
    case EVENT_WOKEN: /* what comes next may have taken what was there */
        /* the driver has had enough of its waits */
        if (e.result == -EDEADLK && !told.promise.slept)
            excuse_readiness();
        memset(told.unanswered, 0, sizeof told.unanswered);
        tell_ready();
        told.ends_wait = true;
        told.woken = e;
        told.reports = 0;
        told.reported = NO_NUMBERS;
        break;
    case EVENT_REPORT: reported(event); break;
    case EVENT_REFUSED:
    case EVENT_THREAD: refused(event); break;
    case EVENT_TRY: tried(event); break;
    case EVENT_EXECUTED: says_canceled((unsigned)e.c, e.result); break;
    case EVENT_DEAD: say_in_use(m); break;
    case EVENT_MOVED:
        if (has_number(&told.named, e.fd)) /* else it is the first that it names */
            tell(e);
        put_number(&told.named, e.fd);
        break;
    case EVENT_STOP:
    case EVENT_END: tell(e); break;
    default: break; /* nothing that Part I knows */
    }
}

static void observe(const struct model *m, const struct event *event,
                    const struct model_answer *answer) {
    if (answer == NULL)
        before(m, event);
    else if (answer->broken == NULL) /* else the driver says so */
        after(m, event, answer->returns);
    if (told.others != NULL)
        told.others(m, event, answer);
}

/* ---- what the driver tells ------------------------------------------------------------------- */

void refine_woken_up(void) {
    if (!told.is_on)
        return;
    end_wait(&driver.model);
    TELL(EVENT_WAKEUP);
}

void refine_sleeps(void) {
    if (!told.is_on)
        return;
    uint64_t clock_ns = driver.world->clock();
    int64_t left_ns = driver.wait.timeout_ns < 0       ? -1
                      : driver.wait.end_ns <= clock_ns ? 0
                                                       : (int64_t)(driver.wait.end_ns - clock_ns);
    tell_ready();
    TELL(EVENT_SLEEP, .result = left_ns);
}

void refine_counter_read(int fd) {
    if (told.is_on)
        TELL(EVENT_TRY, .c = EVENT_NOBODY, .operation = ET_READ, .fd = fd,
             .result = sizeof(uint64_t));
}

/* By Part II all that has been started is registered, level-triggered, and so is what wakes the
 * loop. Whether the loop's own registrations say so, lockstep.c asks. */
static bool is_shown(const struct model *m) {
    for (unsigned c = 0; c < COUNT; c++) {
        unsigned due = told.promise.completion[c].due;
        if (m->completion[c].state == ET_ACTIVE &&
            (due == PROMISE_READY || due == PROMISE_NOTIFIED))
            return true;
    }
    return told.promise.wake_pending || driver.world->has_reports();
}

/* What a host would be told, if the loop had one. The loop's own was compared with the model's. */
static void tell_hosted(struct model *m) {
    if (m->in_tick || m->in_callback != MODEL_NONE || driver.faults)
        return;
    tell_now(m);
    tell_ready();
    TELL(EVENT_HOSTED, .result = model_timeout(m), .events = !m->stopped && is_shown(m));
}

void refine_compare(void) {
    if (!told.is_on || driver.report->differs)
        return;
    end_wait(&driver.model);
    say_in_use(&driver.model);
    tell_hosted(&driver.model);
    if (told.promise.stopped != driver.model.stopped)
        TELL(EVENT_SAYS_STOPPED, .result = driver.model.stopped);
}

void refine_begin(void) {
    const struct promise_settings settings = {.slack_ns = SLACK_NS,
                                              .stays_stopped = true,
                                              .tells = true,
                                              .has_turn = true,
                                              .keeps = true,
                                              .exact = true};
    told.is_on = lockstep_refines;
    if (!told.is_on)
        return;
    model_observer_function *others = model_observer;
    memset(&told, 0, sizeof told);
    told.is_on = true;
    told.others = others;
    promise_init(&told.promise, &settings, COUNT, driver.world->clock());
    model_observer = observe;
}

void refine_end(void) {
    if (told.is_on)
        model_observer = told.others;
    told.is_on = false;
}
