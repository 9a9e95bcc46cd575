/* SPDX-License-Identifier: MIT */
/* The calls of a program that name a completion or an async, as the observer (outside.h) makes
 * them, and the questions that it asks of a subject. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "answers.h"
#include "outside.h"

/* ---- what a subject is asked ----------------------------------------------------------------- */

int ask_state(unsigned c) {
    bool before = interpose_inside(true);
    int state = observer.subject->state(observer.self, c);
    interpose_asked(before);
    return state;
}

void ask_states(int8_t *known) {
    for (unsigned c = 0; c < PROGRAM_FEW; c++) {
        if (!tells_states()) {
            known[c] = observer.known[c];
        } else if (observer.self != NULL && !observer.busy) {
            int state = ask_state(c);
            bool used = state == ETALON_ACTIVE || state == ETALON_ADDING;
            if (!offers(ETALON_OFFERS_STATE))
                known[c] = used ? KIT_IN_USE : KIT_UNUSED;
            else
                known[c] = state >= 0 && state <= KIT_DELETING ? (int8_t)state : -1;
        }
    }
}

static void settle(unsigned c) {
    struct item *i = &observer.item[c];
    if (!i->in_use || i->d.has_callback)
        return;
    int state = ask_state(c);
    if (state == ETALON_ACTIVE || state == ETALON_ADDING)
        return;
    i->in_use = false;
    stir(i);
    lose_error(i);
    if (takes_bytes(i))
        lose_place();
    if (gives_bytes(i))
        lose_given();
}

void settle_unseen(void) {
    check_signals(); /* as long as it is known what was in use */
    for (unsigned c = 0; c < COUNT && tells_states() && observer.self != NULL; c++)
        settle(c);
}

bool is_carrying(unsigned c) {
    const struct promise_completion *of = &observer.promise.completion[c];
    return of->carries && of->use == PROMISE_PERHAPS && tells_states() && observer.self != NULL &&
           ask_state(c) != ETALON_DEAD; /* a loop without carriers leaves it alone */
}

bool is_leaving(unsigned c) {
    return observer.promise.completion[c].leaving;
}

void ask_now(void) {
    if (!offers(ETALON_OFFERS_NOW) || observer.self == NULL)
        return;
    bool before = interpose_inside(true);
    unsigned waits = observer.waits;
    uint64_t now = observer.subject->now(observer.self);
    interpose_asked(before);
    if (observer.waits == waits) /* no other thread's wait has ended meanwhile */
        TELL(EVENT_NOW, .now_ms = now);
}

/* What the promise knows already it is not told. */
static void ask_one(unsigned c) {
    unsigned callbacks = observer.callbacks;
    int state = ask_state(c);
    bool used = state == ETALON_ACTIVE || state == ETALON_ADDING;
    unsigned use = observer.promise.completion[c].use;
    bool is_new = use == PROMISE_PERHAPS ? !used : used != (use == PROMISE_IN_USE);
    if (is_new && offers(ETALON_OFFERS_THREADS))
        interpose_settle();
    if (observer.callbacks != callbacks) /* another thread has called back meanwhile */
        return;
    if (is_new)
        TELL(EVENT_SAYS_IN_USE, .c = c, .result = used);
    if (!used)
        check_buffer(c, state == ETALON_DEAD);
}

void ask_in_use(void) {
    if (!tells_states() || observer.self == NULL)
        return;
    settle_unseen();
    for (unsigned c = 0; c < COUNT; c++)
        ask_one(c);
}

void ask_about(unsigned c) {
    if (observer.long_by == 1) {
        ask_in_use();
        return;
    }
    if (!tells_states() || observer.self == NULL || c >= COUNT)
        return;
    settle(c);
    ask_one(c);
}

/* ---- episodes -------------------------------------------------------------------------------- */

void begin_again(unsigned c) {
    struct item *i = &observer.item[c];
    i->in_use = i->ever = true;
    observer.known[c] = KIT_SUBMITTED;
    i->redescribed = i->deleted = i->quiet = false;
    i->serial = ++observer.serial;
    i->told = i->level = i->edges = 0;
    i->stale = false;
    i->installed = i->d.fd >= 0 ? world_real.installed(i->d.fd) : 0;
    i->listener = 0;
    i->refused = 0;
    stir(i);
    if (i->d.operation == ET_CLOSE && i->d.fd >= 0 && i->d.fd < FILES)
        observer.to_close[i->d.fd] = true;
    if (i->d.operation == ET_CONNECT) {
        int fd = descriptor(i->into);
        if (takes_connections(fd, i->d.address, i->address_length))
            i->listener = world_real.installed(fd);
        observer.connects++;
    }
    i->passing = passing_causes(&i->d);
    begin_bytes(i);
    begin_at_peers(i);
    if (takes_bytes(i))
        memset(observer.buffer[c], 0, BUFFER);
}

void forget_all(void) {
    for (unsigned c = 0; c < COUNT; c++) { /* what was released with the loop before */
        const struct item *i = &observer.item[c];
        if (!i->in_use)
            continue;
        observer.known[c] = KIT_SILENT;
        lose_error(i);
        if (gives_bytes(i))
            lose_given();
    }
    memset(observer.item, 0, COUNT * sizeof *observer.item);
    memset(observer.async_open, 0, sizeof observer.async_open);
    lose_place();
    for (unsigned c = 0; c < COUNT; c++)
        observer.item[c].d.target = ETALON_NOBODY;
}

/* What a completion was before a call that was refused, and so has not happened. */
struct before {
    unsigned c;
    struct item item;
    int8_t known;
};

static struct before remember(unsigned c) {
    return (struct before){c, observer.item[c], observer.known[c]};
}

/* … but for the description, where that was the caller's. */
static void undo(const struct before *before, struct etalon_subject_description d) {
    observer.item[before->c] = before->item;
    observer.item[before->c].d = d;
    observer.known[before->c] = before->known;
}

void tell_call(const struct command *command, struct event event) {
    const char *result = kit_result_name(event.result);
    char text[96] = "", line[160];
    FILE *out = fmemopen(text, sizeof text, "w");
    if (out != NULL) {
        command_write(out, command);
        fclose(out);
    }
    snprintf(line, sizeof line, "%.80s = %s", text, result);
    bool run = command->kind == COMMAND_TICK || command->kind == COMMAND_RUN ||
               command->kind == COMMAND_DEINIT || command->kind >= COMMAND_FIRST_OF_WORLD;
    kit_event(observer.result, world_real.clock(), 'c', run ? -1 : command->c, line);
    if (event.kind != EVENT_END || event.result != 0)
        snprintf(observer.seen, sizeof observer.seen, "'%.60s' returned %s", text, result);
    (void)tell(event);
}

/* ---- descriptions ---------------------------------------------------------------------------- */

static uint32_t new_token(unsigned body) {
    return (++observer.tokens & 0xfffffff) << 3 | body;
}

#define HUGE_DESCRIPTOR (observer.files > 256 ? 9128 : 1000)

int descriptor(unsigned d) {
    return d < PROGRAM_HANDLES    ? world_real.descriptor(d)
           : d == PROGRAM_HANDLES ? -1
                                  : HUGE_DESCRIPTOR;
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
        i->into = command->other;
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
        i->iov[0] = (struct iovec){observer.buffer[command->c], length / 2};
        i->iov[1] = (struct iovec){observer.buffer[command->c] + length / 2, length - length / 2};
        i->message = (struct msghdr){.msg_iov = i->iov, .msg_iovlen = 2};
        d->message = &i->message;
        if (command->operation == ET_SENDMSG && command->to != 0) {
            unsigned size;
            const void *address = world_real.port(command->to - 1U, &size);
            memcpy(&i->address, address, size);
            i->message.msg_name = &i->address;
            i->message.msg_namelen = size;
            i->into = command->to - 1;
        }
        break;
    default:
        d->flags = command->flags;
        d->buffer = observer.buffer[command->c];
        d->length = length;
    }
}

static void describe(const struct command *command) {
    struct item *i = &observer.item[command->c];
    i->body = command->body;
    i->quiet = false; /* what is to be written is put into the buffer here */
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
    if (i->d.operation == ET_PREAD || i->d.operation == ET_PWRITE)
        i->d.offset = program_offset(i->d.length);
    if (gives_bytes(i) || i->d.operation == ET_PWRITE)
        fill_bytes(command->c);
}

/* ---- submissions ----------------------------------------------------------------------------- */

static int waiter(unsigned async) {
    for (unsigned c = 0; c < COUNT; c++)
        if ((observer.item[c].in_use || is_leaving(c)) &&
            observer.item[c].d.operation == ASYNC_WAIT && observer.item[c].async == async)
            return (int)c;
    return -1;
}

/* Of a wait that is about to begin, by c, which is not in use. */
static const char *undefined_wait(unsigned c) {
    const struct item *i = &observer.item[c];
    if (i->d.operation != ASYNC_WAIT)
        return NULL;
    if (waiter(i->async) >= 0)
        return "needs several completions that wait on one async (rounds)";
    if (!observer.async_open[i->async] && !offers(ETALON_OFFERS_CHECKED))
        return "needs misuse to be refused: a wait on no async (checked)";
    return NULL;
}

/* What cannot be asked of a subject that leaves it undefined. A rearm returns nothing: what another
 * submission learns from the call, that the kernel refuses it, has to be known before. */
const char *undefined_submission(unsigned c, bool is_rearm) {
    const struct item *i = &observer.item[c];
    if (i->d.operation == ASYNC_WAIT)
        return undefined_wait(c);
    for (unsigned k = 0; k < COUNT && waits_on(i); k++)
        if (k != c && (observer.item[k].in_use || is_leaving(k)) && waits_on(&observer.item[k]) &&
            observer.item[k].d.fd == i->d.fd && !offers(ETALON_OFFERS_MANY_POLLS))
            return "needs several completions that wait on one descriptor (many_polls)";
    if (waits_on(i) && world_real.installed(i->d.fd) == 0 && !offers(ETALON_OFFERS_CHECKED))
        return "needs misuse to be refused: a descriptor that is not open (checked)";
    if (is_rearm && waits_on(i) && error_has_a_cause(&i->d, EPERM, 0))
        return "needs the kernel's refusal of a rearm to be the callback's result (rounds)";
    return NULL;
}

/* As submit() makes it. */
static struct event submission_of(unsigned c, int result) {
    bool timer = observer.item[c].d.operation == ET_TIMER && !offers(ETALON_OFFERS_READD);
    bool cancel = observer.item[c].d.operation == ET_CANCEL && !offers(ETALON_OFFERS_READD);
    return event_of(c, timer ? EVENT_TIMER : cancel ? EVENT_CANCEL : EVENT_ADD, result);
}

static int submit(unsigned c) {
    const struct item *i = &observer.item[c];
    if (i->d.operation == ET_TIMER && !offers(ETALON_OFFERS_READD)) {
        SUBJECT(observer.subject->timer(observer.self, c, i->d.delay_ms, i->d.userdata,
                                        i->d.has_callback));
        return answer;
    }
    if (i->d.operation == ET_CANCEL && !offers(ETALON_OFFERS_READD)) {
        SUBJECT(observer.subject->cancel(observer.self, c, i->d.target, i->d.userdata,
                                         i->d.has_callback));
        return answer;
    }
    if (i->d.operation == ASYNC_WAIT) {
        SUBJECT(observer.subject->async_wait(observer.self, c, i->async, i->d.userdata,
                                             i->d.has_callback));
        return answer;
    }
    SUBJECT(observer.subject->submit(observer.self, c, &i->d));
    return answer;
}

static bool names_async(const struct command *command) {
    return command->d < ETALON_SUBJECT_ASYNCS && observer.async_open[command->d] &&
           command->operation >= ET_ACCEPT && command->operation < ET_TIMER;
}

static void submit_again(const struct command *command) {
    unsigned c = command->c;
    if (!offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a completion that is in use is added (checked)");
    SUBJECT(observer.subject->submit(observer.self, c, NULL));
    tell_call(command, event_of(c, EVENT_ADD, answer));
    observer.item[c].told = 0; /* to the promise that may be another episode */
}

static void describe_there(unsigned c) {
    if (offers(ETALON_OFFERS_READD) && observer.subject->describe != NULL) {
        SUBJECT(observer.subject->describe(observer.self, c, &observer.item[c].d));
        (void)answer;
    }
    observer.item[c].redescribed = true;
}

void run_submit(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &observer.item[c];
    if (i->in_use) {
        submit_again(command);
        return;
    }
    if (command->kind != COMMAND_ADD && names_async(command))
        LACKS("needs the descriptor of an async (rounds)");
    struct before before = remember(c);
    if (command->kind != COMMAND_ADD)
        describe(command);
    if (command->kind == COMMAND_DESCRIBE) {
        describe_there(c);
        return;
    }
    if (!i->ever && command->kind == COMMAND_ADD && i->d.userdata == 0)
        LACKS("needs a zero-initialised completion (rounds)");
    const char *undefined = undefined_submission(c, false);
    if (undefined != NULL) {
        undo(&before, before.item.d);
        LACKS(undefined);
    }
    begin_again(c);
    int result = submit(c);
    if (result != 0)
        undo(&before, i->d);
    if (result < 0 && result != -EINVAL && waits_on(i) &&
        (i->refused == -result || error_has_a_cause(&i->d, -result, i->passing)))
        /* it registers at the call, and so hears of it there */
        LACKS("needs the kernel's refusal to be the callback's result, not the call's (rounds)");
    tell_call(command, submission_of(c, result));
    i->told = 0; /* if the call has waited, that was before the promise knew of it */
}

void run_delete(const struct command *command) {
    struct item *i = &observer.item[command->c];
    struct before before = remember(command->c);
    stir(i);
    if (i->in_use) {
        observer.known[command->c] = KIT_SILENT;
        lose_error(i);
        if (takes_bytes(i))
            lose_place();
        if (gives_bytes(i))
            lose_given();
    }
    i->in_use = false;
    i->deleted = true;
    SUBJECT(observer.subject->remove(observer.self, command->c));
    if (answer != 0)
        undo(&before, i->d);
    tell_call(command, (struct event){.kind = EVENT_DELETE, .c = command->c, .result = answer});
}

static void describe_timer(const struct command *command) {
    struct item *i = &observer.item[command->c];
    i->body = command->body;
    i->d =
        (struct etalon_subject_description){.operation = ET_TIMER,
                                            .fd = -1,
                                            .target = ETALON_NOBODY,
                                            .delay_ms = command->value,
                                            .userdata = new_token(command->body),
                                            .has_callback = command->body != 0 || !may_be_null()};
}

void run_timer(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &observer.item[c];
    struct before before = remember(c);
    if (i->in_use && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a timer that is in use is set (checked)");
    if (i->in_use && observer.promise.completion[c].unbegun && i->d.operation == ET_TIMER)
        LACKS("needs adding completions (rounds)"); /* ET-TIMER-2 */
    if (i->in_use) {
        SUBJECT(
            observer.subject->timer(observer.self, c, command->value, new_token(command->body), 1));
        struct event e = {
            .kind = EVENT_TIMER, .c = c, .delay_ms = command->value, .result = answer};
        tell_call(command, e);
        return;
    }
    describe_timer(command);
    begin_again(c);
    SUBJECT(observer.subject->timer(observer.self, c, command->value, i->d.userdata,
                                    i->d.has_callback));
    struct event e = event_of(c, EVENT_TIMER, answer);
    if (answer != 0)
        undo(&before, before.item.d);
    tell_call(command, e);
}

void run_reset(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &observer.item[c];
    bool alone = command->other >= COUNT;
    bool misuse = command->other == c || (i->in_use && i->d.operation != ET_TIMER) ||
                  (!alone && observer.item[command->other].in_use);
    if (alone && !offers(ETALON_OFFERS_RESET_ALONE))
        LACKS("needs a reset without a carrier (reset_alone)");
    if (misuse && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a reset of no timer, or by a carrier at work (checked)");
    if (misuse)
        LACKS("needs carriers (rounds)");
    for (unsigned k = 0; k < COUNT; k++)
        if (observer.item[k].in_use && observer.item[k].d.operation == ET_CANCEL &&
            observer.item[k].d.target == command->other)
            LACKS("needs carriers that are cancelled (rounds)");
    struct before before = remember(c);
    describe_timer(command);
    begin_again(c);
    SUBJECT(observer.subject->timer_reset(observer.self, c, alone ? ETALON_NOBODY : command->other,
                                          command->value, i->d.userdata, i->d.has_callback));
    struct event e = event_of(c, EVENT_RESET, answer);
    e.by = command->other < COUNT ? command->other : EVENT_NOBODY;
    if (answer != 0)
        undo(&before, before.item.d);
    tell_call(command, e);
}

void run_cancel(const struct command *command) {
    unsigned c = command->c;
    struct item *i = &observer.item[c];
    uint32_t target = target_of(command);
    bool misuse = i->in_use || target == c || target >= COUNT;
    if (misuse && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a cancel that is in use, or of itself (checked)");
    if (misuse) {
        SUBJECT(observer.subject->cancel(observer.self, c, target, 0, 1));
        struct event e = {.kind = EVENT_CANCEL,
                          .c = target < COUNT ? target : EVENT_NOBODY,
                          .by = c,
                          .result = answer};
        tell_call(command, e);
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
    begin_again(c);
    SUBJECT(observer.subject->cancel(observer.self, c, target, i->d.userdata, i->d.has_callback));
    struct event e = event_of(c, EVENT_CANCEL, answer);
    if (answer != 0)
        undo(&before, before.item.d);
    tell_call(command, e);
}

/* ---- asyncs ---------------------------------------------------------------------------------- */

void run_async_wait(const struct command *command) {
    struct item *i = &observer.item[command->c];
    if (i->in_use) {
        if (!offers(ETALON_OFFERS_CHECKED))
            LACKS("needs misuse to be refused: a wait by a completion that is in use (checked)");
        SUBJECT(observer.subject->async_wait(observer.self, command->c, command->d,
                                             new_token(command->body), 1));
        struct event e = {.kind = EVENT_ASYNC_WAIT,
                          .c = command->c,
                          .fd = observer.async_open[command->d] ? command->d : -1,
                          .result = answer};
        tell_call(command, e);
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
    if (undefined != NULL) {
        undo(&before, before.item.d);
        LACKS(undefined);
    }
    begin_again(command->c);
    int result = submit(command->c);
    struct event e = submission_of(command->c, result);
    if (result != 0)
        undo(&before, i->d);
    tell_call(command, e);
}

static void open_async(const struct command *command) {
    if (observer.async_open[command->d] || world_real.descriptor(command->d) >= 0)
        return;
    SUBJECT(observer.subject->async_init(observer.self, command->d));
    observer.async_open[command->d] = answer == 0;
    if (answer != 0)
        observed("ET-ASYNC-5", "async_init returned %s", kit_result_name(answer));
    tell_call(command, (struct event){.kind = EVENT_IDLE, .result = answer});
}

static void close_async(const struct command *command) {
    if (waiter(command->d) >= 0)
        LACKS("needs an async that is deinitialised while a completion waits on it (rounds)");
    SUBJECT(observer.subject->async_deinit(observer.self, command->d));
    if (answer == 0)
        observer.async_open[command->d] = false;
    struct event e = {.kind = EVENT_ASYNC_DEINIT, .fd = command->d, .result = answer};
    tell_call(command, e);
}

struct notice {
    unsigned async;
    int result;
    bool kept; /* errno */
};

static void *notify_there(void *of) {
    struct notice *notice = of;
    errno = ERRNO_BEFORE;
    notice->result = observer.subject->async_notify(observer.self, notice->async);
    notice->kept = errno == ERRNO_BEFORE;
    return NULL;
}

/* By another thread, as it is meant to be. */
static void notify(const struct command *command) {
    bool open = observer.async_open[command->d];
    struct notice notice = {.async = command->d, .kept = true};
    pthread_t thread;
    if (!open && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: a notification of no async (checked)");
    if (open && waiter(command->d) < 0 && !offers(ETALON_OFFERS_ASYNC_KEPT))
        LACKS("needs notifications that wait for a wait (async_kept)");
    bool before = interpose_inside(false);
    if (pthread_create(&thread, NULL, notify_there, &notice) == 0)
        pthread_join(thread, NULL);
    (void)interpose_inside(before);
    if (!notice.kept)
        observed("ET-ASYNC-4", "a notification changes errno of the thread that makes it");
    struct event e = {.kind = EVENT_NOTIFY, .fd = open ? command->d : -1, .result = notice.result};
    tell_call(command, e);
}

bool touches_async(const struct command *command) {
    bool of_async = command->d < ETALON_SUBJECT_ASYNCS && observer.async_open[command->d];
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

bool needs_its_descriptor(const struct command *command) {
    bool dup = command->kind == COMMAND_DUP;
    return (dup ||
            (command->kind >= COMMAND_PEER_WRITE && command->kind <= COMMAND_PEER_CONNECT)) &&
           ((command->d < ETALON_SUBJECT_ASYNCS && observer.async_open[command->d]) ||
            (dup && command->other < ETALON_SUBJECT_ASYNCS && observer.async_open[command->other]));
}

#else
typedef int nothing_here;
#endif
