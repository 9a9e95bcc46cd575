/* SPDX-License-Identifier: MIT */
/* The callbacks of a subject that is judged from outside: what they tell, and what the program does
 * in them. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <sys/stat.h>

#include "answers.h"
#include "outside.h"

static enum etalon_subject_action run_body(unsigned body) {
    const struct program *p = observer.program;
    if (body == 0) /* the empty callback of a loop that has no null ones; body 0 is main */
        return ETALON_DISARM;
    for (unsigned i = 0; i < p->count[body] && observer.commands < COMMANDS_MAX; i++) {
        const struct command *command = &p->command[p->first[body] + i];
        if (command->kind == COMMAND_RETURN)
            return command->value == 1 ? ETALON_REARM : ETALON_DISARM;
        perform(command);
    }
    return ETALON_DISARM;
}

/* It is not open, or a file, for which epoll has no use. */
static bool takes_no_wait(const struct item *i) {
    struct stat status;
    return world_real.installed(i->d.fd) == 0 || fstat(i->d.fd, &status) != 0 ||
           S_ISREG(status.st_mode);
}

/* A call that submits c as it is described. */
struct event event_of(unsigned c, enum event_kind kind, int64_t result) {
    const struct item *i = &observer.item[c];
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
        .fd = !waits                          ? i->d.fd
              : observer.async_open[i->async] ? (int)i->async
                                              : -1,
        .events = i->d.operation == ET_POLL ? i->d.events : 0,
        .userdata = i->d.userdata,
        .c = kind == EVENT_CANCEL ? i->d.target : c,
        .by = kind == EVENT_CANCEL ? c : EVENT_NOBODY,
        .target = i->d.target < COUNT ? i->d.target : EVENT_NOBODY,
        .delay_ms = i->d.delay_ms,
        .result = result};
}

/* By the return of its callback, which was called with this result. The promise says whether an
 * `add` would have been refused. */
static void rearm(unsigned c, int64_t result) {
    struct item *i = &observer.item[c];
    uint64_t installed = i->installed;
    /* ET-REGISTER-6: also on a report of a file that has left the number, which a try refused */
    bool relies = waits_on(i) && result != -ECANCELED && !i->redescribed;
    struct event e = event_of(c, EVENT_RETURNED, 0);
    e.rearm = true;
    e.forgiven = (relies && installed != (i->d.fd >= 0 ? world_real.installed(i->d.fd) : 0)) ||
                 (!i->d.has_callback && waits_on(i) && takes_no_wait(i)); /* it may end unseen */
    (void)tell(e);
    if (observer.promise.completion[c].use != PROMISE_DEAD) {
        struct item before = *i;
        begin_again(c);
        if (relies) {
            i->installed = installed;
            i->level = before.level;
            i->edges = before.edges;
        }
        note('s', (int)c, "c%u is rearmed", c);
    }
    tell_ready(false);
}

/* Whether the subject leaves undefined what a rearm of c would do now; the program goes on without
 * it, or ends. */
static bool is_undefined(unsigned c, uint64_t serial) {
    const struct item *i = &observer.item[c];
    /* described anew, or used anew and deleted */
    bool otherwise = i->redescribed || (i->serial != serial && !i->in_use);
    bool timers =
        i->d.operation == ET_TIMER &&
        (observer.subject->offers & (ETALON_OFFERS_REARM_TIMERS | ETALON_OFFERS_REPEATS)) != 0;
    const char *why = !timers && !offers(ETALON_OFFERS_REARM)
                          ? "needs a rearm of what is no timer (rearm)"
                      : otherwise && !offers(ETALON_OFFERS_READD)
                          ? "needs a description that changes before a rearm (readd)"
                      : is_leaving(c) ? "needs a deletion that takes effect at once (deletes_later)"
                      : !i->in_use    ? undefined_submission(c, true)
                      : !offers(ETALON_OFFERS_CHECKED)
                          ? "needs misuse to be refused: a rearm of what is in use again (checked)"
                          : NULL;
    if (why != NULL && !observer.lenient)
        lacks(why);
    return why != NULL;
}

/* Of two callbacks at once the promise says by itself what is wrong. */
static void check_thread(unsigned c) {
    if (!interpose_is_first() && !offers(ETALON_OFFERS_THREADS))
        observed("ET-CALL-5",
                 "c%u is called by another thread than that of the run, and the adapter does not "
                 "say that there are such (threads)",
                 c);
    if (observer.in_callback && offers(ETALON_OFFERS_THREADS))
        snprintf(observer.seen, sizeof observer.seen,
                 "c%u is called while a callback of another completion runs", c);
}

enum etalon_subject_action outside_called(uint32_t c, int64_t result, uint32_t userdata) {
    bool before = interpose_inside(false);
    if (observer.long_by == 1)
        settle_unseen();
    if (c < COUNT)
        observer.known[c] = KIT_CALLED;
    check_thread(c);
    note('b', c < COUNT ? (int)c : -1, "callback c%u %s", c, kit_result_name(result));
    tell_ready(false);
    observer.called_for = c;
    bool own = result == -ECANCELED && c < COUNT && waits_on(&observer.item[c]) &&
               error_has_a_cause(&observer.item[c].d, ECANCELED, 0);
    own = own || (result == -EALREADY && interpose_other_threads()); /* one may have its target */
    TELL(EVENT_CALLBACK, .c = c < COUNT ? c : EVENT_NOBODY, .result = result, .userdata = userdata,
         .forgiven = own);
    if (c >= COUNT)
        end_run();
    struct item *i = &observer.item[c];
    stir(i);
    check_result(c, result);
    take_edges(i, result);
    i->in_use = i->moved = false;
    observer.callbacks++;
    observer.barren_waits = 0;
    check_growth();
    ask_now();
    ask_about(c);
    if (observer.callbacks >= CALLBACKS_MAX) {
        note('e', -1, "%u callbacks: the program ends here", observer.callbacks);
        end_run();
    }
    bool outer = observer.in_callback;
    uint64_t serial = i->serial;
    observer.in_callback = true;
    if (offers(ETALON_OFFERS_THREADS))
        interpose_settle(); /* if another thread calls back now, it does so beside this callback */
    enum etalon_subject_action action = run_body(i->body);
    observer.in_callback = outer;
    if (i->moved || (action == ETALON_REARM && is_undefined(c, serial)))
        action = ETALON_DISARM; /* whoever frees a completion does not rearm it */
    bool rearms = action == ETALON_REARM && !i->in_use && !is_carrying(c);
    if (!outer)
        stop_where_it_ends(rearms);
    if (rearms)
        rearm(c, result);
    else
        TELL(EVENT_RETURNED, .c = c);
    (void)interpose_inside(before);
    return action == ETALON_REARM ? ETALON_REARM : ETALON_DISARM;
}

#else
typedef int nothing_here;
#endif
