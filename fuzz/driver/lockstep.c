/* SPDX-License-Identifier: MIT */
/* The lockstep driver (lockstep.h). Every call is made on the model and on the subject, and
 * compared; whatever the subject asks of the kernel, and every callback, is put before the model at
 * once. After each of these the subject must be as the model has it: the states, the time, and what
 * a look inside shows (subject.h). */
#include "refine.h"
#include "state.h"

#include "../../model/words.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

/* above the limit of a loop that has so many numbers */
#define HUGE_DESCRIPTOR(numbers) ((int)(numbers) + 936)
/* not a whole millisecond: rounding errors must show */
#define CLOCK_START_NS UINT64_C(1000000700000)
#define ACCEPT_FLAGS   (SOCK_CLOEXEC | SOCK_NONBLOCK)
#define INIT_ATTEMPTS  4
#ifdef ETALON_MANY
#define LONG driver.long_by
#else
#define LONG 1
#endif
#define CALLBACKS_MAX (400 * LONG) /* then the loop is stopped: a program may rearm for ever */
#define COMMANDS_MAX  (4000 * LONG)
/* then they fail: some sockets are ready for ever without anything to read */
#define WAITS_MAX (4000 * LONG)
#define STEPS_MAX 100 /* of a thread that is to end */
/* what a program has opened, what is left registered of what it has closed, and the loop's own */
#ifdef ETALON_MANY
#define PROGRAM_DESCRIPTORS_MAX (HANDLES + 56)
#define REPORTS_MAX             MODEL_REPORTS /* that a wait can bring */
#else
#define PROGRAM_DESCRIPTORS_MAX 64
#define REPORTS_MAX             PROGRAM_DESCRIPTORS_MAX
#endif
#define NANOSECONDS_PER_MS UINT64_C(1000000)
#define IDLE_WAITS_MAX     64 /* in a row, without a callback, a try, or the clock moving */

uint32_t lockstep_errors[ET_OPERATIONS][LOCKSTEP_ERRORS];

struct lockstep driver;

/* ---- the subject ----------------------------------------------------------------------------- */

static bool enter(void) {
    return driver.subject->inside != NULL && driver.subject->inside(true);
}

static void leave(bool before) {
    if (driver.subject->inside != NULL)
        (void)driver.subject->inside(before);
}

/* All calls of the subject are made by these two: whose the calls of the C library are that come
 * then is known. */
#define ASK(answer, call)                                                                          \
    do {                                                                                           \
        bool before_ = enter();                                                                    \
        (answer) = driver.subject->calls->call;                                                    \
        leave(before_);                                                                            \
    } while (0)
#define TELL(call)                                                                                 \
    do {                                                                                           \
        bool before_ = enter();                                                                    \
        driver.subject->calls->call;                                                               \
        leave(before_);                                                                            \
    } while (0)

static const struct lockstep_inspect *inspect(void) {
    return driver.subject->inspect;
}

/* Of which threads of the pool sleep. */
static bool keeps_account(void) {
    return driver.subject->threads->sleeps == NULL;
}

enum et_state lockstep_state(unsigned c) {
    int state = ET_DEAD;
    if (driver.self != NULL)
        ASK(state, state(driver.self, c));
    return (enum et_state)state;
}

bool lockstep_busy(void) {
    return driver.busy;
}

bool lockstep_has_faults(void) {
    return driver.faults;
}

/* ---- reporting ------------------------------------------------------------------------------- */

void differ(const char *clause, const char *format, ...) {
    if (driver.report->differs)
        return;
    driver.report->differs = true;
    snprintf(driver.report->clause, sizeof driver.report->clause, "%s", clause);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(driver.report->what, sizeof driver.report->what, format, arguments);
    va_end(arguments);
    if (driver.self != NULL)
        TELL(stop(driver.self)); /* the shortest way out of the tick */
}

static bool failed(void) {
    return driver.report->differs || driver.report->not_possible;
}

/* An observation that the model has judged. */
static void judge(const char *clause) {
    unsigned due = driver.model.tick.due_completion;
    if (clause == NULL)
        return;
    if (driver.model.in_tick && due < COUNT)
        differ(clause, "%s (c%u comes next, with %lld)", driver.model.why, due,
               (long long)driver.model.tick.due_result);
    else
        differ(clause, "%s", driver.model.why != NULL ? driver.model.why : "");
}

static struct model_answer say(struct event event) {
    return model_step(&driver.model, &event);
}

/* To the model, of a call: what it must return; of what was seen: whether it is lawful. */
#define SAY(...) (say((struct event){.kind = __VA_ARGS__}).returns)
#define SEE(...) judge(say((struct event){.kind = __VA_ARGS__}).broken)

static void note(char mark, const char *format, ...) {
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    driver.log(driver.log_self, mark, line);
}

static const char *result_name(int64_t result);

/* Many callbacks in a row with the same result are one line. */
static void write_callbacks(void) {
    unsigned count = driver.unwritten.callbacks, first = driver.unwritten.first;
    const char *result = result_name(driver.unwritten.result);
    driver.unwritten.callbacks = 0;
    if (count == 1)
        note('>', "callback c%u %s", first, result);
    else if (count > 1)
        note('>', "%u callbacks, c%u to c%u, %s", count, first, driver.unwritten.last, result);
}

static void note_callback(unsigned c, int64_t result) {
    if (LONG == 1) {
        note('>', "callback c%u %s", c, result_name(result));
        return;
    }
    if (driver.unwritten.callbacks > 0 && driver.unwritten.result != result)
        write_callbacks();
    if (driver.unwritten.callbacks++ == 0)
        driver.unwritten.first = c;
    driver.unwritten.last = c;
    driver.unwritten.result = result;
}

static const char *result_name(int64_t result) {
    static char text[32];
    if (result < 0 && result > -4096)
        snprintf(text, sizeof text, "-%s", errno_name((int)-result));
    else
        snprintf(text, sizeof text, "%lld", (long long)result);
    return text;
}

static void command_text(const struct command *command, char *text, size_t size) {
    FILE *out = fmemopen(text, size, "w");
    text[0] = '\0';
    if (out == NULL)
        return;
    command_write(out, command);
    fclose(out);
    text[size - 1] = '\0';
}

void lockstep_disturbed(int error) {
    driver.faults = driver.disturbed = true;
    if (driver.disturbed_by == 0)
        driver.disturbed_by = error;
}

/* ---- the abstraction ------------------------------------------------------------------------- */

/* By a cancel that the loop has processed, and the model not yet. futile: a cancel that says that
 * it has not. */
static bool has_been_cancelled(unsigned target, unsigned futile) {
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        if (c->operation == ET_CANCEL && c->state == ET_ADDING && c->description.target == target &&
            i != futile && lockstep_state(i) != ET_ADDING)
            return true;
    }
    return false;
}

/* What has no callback ends unseen: the loop's word is taken for when. A poll may have ended by a
 * report of a file that has left its number; if a cancel has come to it since, that has ended it,
 * unless it is futile. */
static void settle_unseen_but(unsigned futile) {
    model_set dead = {0};
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        bool may = model_has(&driver.model.maybe_dead, i) || !c->description.has_callback;
        if (may && c->state != ET_DEAD && lockstep_state(i) == ET_DEAD &&
            (c->operation != ET_POLL || !has_been_cancelled(i, futile)))
            model_put(&dead, i);
    }
    if (!model_is_empty(&dead) || !model_is_empty(&driver.model.maybe_dead))
        (void)SAY(EVENT_DEAD, .c = EVENT_NOBODY, .dead = &dead);
}

static void settle_unseen(void) {
    settle_unseen_but(COUNT);
}

/* The clause that a difference breaks: that by which the model has it so, unless a call was refused
 * just now, or the loop is new. */
const char *lockstep_blame(const char *clause) {
    if (driver.context != NULL)
        return driver.context;
    return clause != NULL ? clause : "ET-STATE-1";
}

static void compare_states(const struct etalon_subject *calls, void *self) {
    int (*const state)(void *self, uint32_t c) = calls->state;
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        unsigned told = (unsigned)state(self, i);
        if (told == c->state || model_has(&driver.model.maybe_dead, i))
            continue;
        bool is_so = inspect() != NULL && inspect()->state(i) == c->state;
        differ(told > ET_DELETING || is_so ? "ET-STATE-2" : lockstep_blame(c->clause),
               "c%u is %s, expected %s", i, state_name(told), state_name(c->state));
    }
}

static bool is_hosted(void) {
    return (driver.subject->calls->offers & ETALON_OFFERS_HOSTED) != 0;
}

/* What a loop around this one would do now: ET-HOST-1 to -3, and -5. Where a call was made to fail,
 * it may be told to come at once, until the descriptor is as it should be. */
static void check_hosted(void) {
    bool between = !driver.model.in_tick && driver.model.in_callback == MODEL_NONE;
    int64_t told;
    if (!is_hosted() || (!between && driver.model.in_callback == MODEL_NONE))
        return;
    int64_t expected = model_timeout(&driver.model);
    ASK(told, timeout(driver.self));
    if (told == 0 && driver.faults)
        return;
    if (told != expected)
        differ(driver.model.clause, "the timeout is %lld, expected %lld", (long long)told,
               (long long)expected);
    if (driver.descriptor < 0 || !between)
        return;
    bool due = !driver.model.stopped && driver.world->has_reports();
    if (driver.world->readable(driver.descriptor) != due &&
        !(driver.model.stopped && driver.faults))
        differ("ET-HOST-5", "the descriptor is %s", due ? "not readable" : "readable");
}

/* ET-TIME-3: it has been later. ET-TIME-2: it is later than any clock that it can have read. */
const char *lockstep_time_blame(uint64_t least_ns, uint64_t most_ns) {
    if (driver.context == NULL && most_ns < driver.now_ns)
        return "ET-TIME-3";
    if (least_ns > driver.latest_ns)
        return "ET-TIME-2";
    return lockstep_blame(driver.model.time_clause);
}

void lockstep_compare(void) {
    if (failed() || driver.deiniting)
        return;
    const struct etalon_subject *calls = driver.subject->calls;
    bool before = enter();
    uint64_t clock_ns = driver.world->clock();
    driver.latest_ns = clock_ns > driver.latest_ns ? clock_ns : driver.latest_ns;
    compare_states(calls, driver.self);
    if (inspect() != NULL)
        inspect()->compare(&driver.model);
    uint64_t now_ms = calls->now(driver.self);
    bool stopped = calls->stopped(driver.self) != 0;
    leave(before);
    /* what the loop has was just found to be right: then it tells it wrongly */
    const uint64_t least_ns = now_ms * NANOSECONDS_PER_MS;
    if (now_ms != driver.model.now_ms)
        differ(inspect() != NULL ? "ET-TIME-2"
                                 : lockstep_time_blame(least_ns, least_ns + NANOSECONDS_PER_MS - 1),
               "the loop time is %llu, expected %llu", (unsigned long long)now_ms,
               (unsigned long long)driver.model.now_ms);
    driver.now_ns = driver.model.now_ms * NANOSECONDS_PER_MS + driver.model.now_rest;
    if (stopped != driver.model.stopped)
        differ("ET-STOP-1", "stopped is %d", stopped);
    if (world_counts.allocations != driver.allocations)
        differ("ET-STATE-8", "memory was allocated after init");
    check_hosted();
    refine_compare();
}

/* Of a program that may do much, all is compared when the loop waits and after each of its main
 * commands, and between these what the event is about. */
static void compare_about(unsigned c) {
    if (LONG == 1) {
        lockstep_compare();
        return;
    }
    if (failed() || driver.deiniting || c >= COUNT || model_has(&driver.model.maybe_dead, c))
        return;
    unsigned told = lockstep_state(c), expected = driver.model.completion[c].state;
    if (told != expected)
        differ(lockstep_blame(driver.model.completion[c].clause), "c%u is %s, expected %s", c,
               state_name(told), state_name(expected));
}

/* ---- what the loop asks of the kernel -------------------------------------------------------- */

/* ET-WAKE-2, once it is known what a wait has reported: it must have had a reason to end early. */
static void finish_wait(void) {
    if (!driver.wait.open)
        return;
    driver.wait.open = false;
    if (driver.wait.reports > 0 || driver.wait.timeout_ns == 0 || driver.faults)
        return;
    if (driver.wait.timeout_ns > 0 && driver.world->clock() >= driver.wait.end_ns)
        return;
    if (!driver.wake_credit)
        differ("ET-WAKE-2", "a wait ended without a report, a wake-up or its time having come");
    driver.wake_credit = false;
}

/* Only then its description's number means anything: that of a timer is what a former life has left
 * there. */
static bool waits_on_descriptor(const struct model_completion *c) {
    return c->state == ET_ACTIVE && (operation_traits(c->operation, 0) & WAITS_AT_ALL) != 0 &&
           c->pool == MODEL_NO_POOL;
}

static unsigned class_of(const struct model_completion *c) {
    return operation_traits(c->operation, c->description.flags) & WAITS_CLASS;
}

/* Something may have made numbers name other files. */
static void see_files(void) {
    for (int fd = 0; fd < (int)NUMBERS; fd++) {
        uint64_t names = driver.world->installed(fd);
        if (names == driver.named[fd])
            continue;
        driver.named[fd] = names;
        drop_number(&driver.claimed, fd);
        (void)SAY(EVENT_MOVED, .fd = fd);
    }
}

/* ET-REGISTER-1 and, since a number that was reopened names another file, ET-REGISTER-4. */
static void check_registrations(void) {
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        if (!waits_on_descriptor(c) || model_has(&driver.model.orphaned, i) ||
            driver.world->installed(c->description.fd) == 0 ||
            has_number(&driver.claimed, c->description.fd))
            continue;
        unsigned traits = operation_traits(c->operation, c->description.flags);
        uint32_t polled = c->description.events & ~(uint32_t)(EPOLLERR | EPOLLHUP),
                 needed = traits_await(traits, polled);
        bool any;
        uint32_t registered = driver.world->registered(c->description.fd, &any);
        /* it was told of what the number named before */
        bool former = (needed & ~driver.told[c->description.fd]) == 0;
        if (!any || (needed & ~registered) != 0)
            differ(former ? "ET-REGISTER-4" : "ET-REGISTER-1",
                   "c%u waits on descriptor %d, which is registered for %#x%s, needed %#x", i,
                   c->description.fd, registered, any ? "" : " (not at all)", needed);
    }
}

/* Of an operation, and of the kernel itself: what it would report of the descriptor now is of the
 * operation's class, or matches the poll. Where failures were asked for, the loop cannot know. */
static bool is_ready(unsigned i) {
    const struct model_completion *c = &driver.model.completion[i];
    if (!waits_on_descriptor(c) || model_has(&driver.model.orphaned, i) || driver.faults ||
        has_number(&driver.claimed, c->description.fd))
        return false;
    uint32_t ready = driver.world->ready(c->description.fd);
    if (c->operation == ET_POLL)
        return (ready & (c->description.events | EPOLLERR | EPOLLHUP)) != 0;
    return (classes_of(ready) & class_of(c)) != 0;
}

/* ET-PROGRESS-1 */
static void check_nobody_is_ready(void) {
    for (unsigned i = 0; i < COUNT; i++)
        if (is_ready(i))
            differ("ET-PROGRESS-1",
                   "the loop waits, and c%u with it, although descriptor %d is ready for %#x", i,
                   driver.model.completion[i].description.fd,
                   driver.world->ready(driver.model.completion[i].description.fd));
}

/* The bound of ET-PROGRESS-2 for what is ready from now on: a wait brings as many reports as there
 * are descriptors, or as few as the program has asked for. */
static unsigned rounds_until_served(unsigned i) {
    const struct model_completion *c = &driver.model.completion[i];
    unsigned before = 0, brings = driver.batch != 0 ? driver.batch : REPORTS_MAX,
             turns = 1 + (PROGRAM_DESCRIPTORS_MAX - 1) / brings;
    for (unsigned k = 0; k < COUNT && c->operation != ET_POLL; k++) {
        const struct model_completion *other = &driver.model.completion[k];
        before += waits_on_descriptor(other) && other->order < c->order &&
                  other->description.fd == c->description.fd && class_of(other) == class_of(c);
    }
    return (1 + before) * turns + 2;
}

/* When the kernel is asked again: what the last wait could have reported was served, or overlooked
 * once more. */
static void check_progress(void) {
    for (unsigned i = 0; i < COUNT && driver.wait.counts; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        bool same = waits_on_descriptor(c) && driver.progress[i].order == c->order;
        if (!same || !driver.progress[i].is_ready)
            driver.progress[i].overlooked = 0;
        else if (++driver.progress[i].overlooked > driver.progress[i].bound)
            differ("ET-PROGRESS-2",
                   "c%u was ready when each of the last %u waits ended, and was not tried", i,
                   driver.progress[i].overlooked);
    }
}

static void see_who_is_ready(void) {
    for (unsigned i = 0; i < COUNT && driver.wait.counts; i++) {
        driver.progress[i].order = driver.model.completion[i].order;
        driver.progress[i].is_ready = is_ready(i);
        if (driver.progress[i].overlooked == 0 && driver.progress[i].is_ready)
            driver.progress[i].bound = rounds_until_served(i);
    }
}

/* Whether a refusal was final is known when the loop turns to something else. */
static void settle_refusal(void) {
    int fd = driver.refused.fd;
    if (fd < 0)
        return;
    driver.refused.fd = -1;
    settle_unseen();
    if (driver.refused.error == (driver.refused.operation == EPOLL_CTL_MOD ? ENOENT : EEXIST) &&
        !driver.refused.both_ways)
        differ("ET-REGISTER-2",
               "the registration of descriptor %d was refused and not tried the other way", fd);
    else
        SEE(EVENT_REFUSED, .fd = fd, .result = -driver.refused.error, .events = driver.refused.kept,
            .claimed = driver.refused.claimed);
}

static bool within(const void *pointer, const void *start, size_t size) {
    return (const char *)pointer >= (const char *)start &&
           (const char *)pointer < (const char *)start + size;
}

static unsigned whose(const void *identity) {
    if (identity == NULL)
        return MODEL_NONE;
    if (within(identity, driver.buffer, sizeof driver.buffer))
        return (unsigned)((size_t)((const char *)identity - &driver.buffer[0][0]) / BUFFER);
    if (within(identity, driver.slot, sizeof driver.slot))
        return (unsigned)((size_t)((const char *)identity - (const char *)driver.slot) /
                          sizeof *driver.slot);
    return MODEL_NONE;
}

/* A wait on an async reads into memory of the subject's. */
static bool reads_into(unsigned c, const void *identity) {
    return inspect() != NULL ? inspect()->reads_into(c, identity) : driver.slot[c].own_memory;
}

static unsigned whose_wait(const void *identity, int fd) {
    unsigned first = MODEL_NONE;
    for (unsigned i = 0; i < COUNT && identity != NULL; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        bool waits = c->state == ET_ACTIVE && c->operation == ET_READ && c->pool == MODEL_NO_POOL &&
                     c->description.fd == fd && reads_into(i, identity);
        if (waits && (first == MODEL_NONE || c->order < driver.model.completion[first].order))
            first = i;
    }
    return first;
}

/* ET-OP-2 */
static void check_arguments(unsigned i, enum et_operation operation, int fd, uint64_t length,
                            int64_t offset, int flags) {
    int expected_flags = driver.slot[i].flags;
    uint64_t expected_length = driver.slot[i].length;
    bool right = fd == driver.model.completion[i].description.fd &&
                 operation == driver.model.completion[i].operation;
    switch (operation) {
    case ET_SEND:
    case ET_SENDMSG: expected_flags |= MSG_NOSIGNAL | MSG_DONTWAIT; break;
    case ET_RECV:
    case ET_RECVMSG: expected_flags |= MSG_DONTWAIT; break;
    case ET_ACCEPT: expected_flags = ACCEPT_FLAGS; break;
    default: break;
    }
    if (operation == ET_PREAD || operation == ET_PWRITE)
        right = right && offset == driver.slot[i].offset;
    if (operation == ET_SENDMSG || operation == ET_RECVMSG || operation == ET_ACCEPT ||
        operation == ET_CONNECT)
        expected_length = length;
    if (!right || flags != expected_flags || length != expected_length)
        differ("ET-OP-2", "c%u: %s of %llu bytes on descriptor %d with flags %#x", i,
               operation_name(operation), (unsigned long long)length, fd, (unsigned)flags);
}

static bool has_hung_up(int fd) {
    for (unsigned i = 0; i < driver.model.reports; i++)
        if (driver.model.report[i].fd == fd &&
            (driver.model.report[i].events & (EPOLLHUP | EPOLLERR)) != 0)
            return true;
    return false;
}

static bool is_async(unsigned d) {
    return d < PROGRAM_FEW && (driver.asyncs >> d & 1) != 0;
}

/* Of the async whose counter fd names, perhaps by another number than the async's own; 0: it names
 * something else. */
static unsigned counter_of(int fd) {
    uint64_t installed = fd >= 0 ? driver.world->installed(fd) : 0;
    for (unsigned d = 0; d < HANDLES && installed != 0; d++)
        if (driver.counter[d].installed == installed)
            return driver.counter[d].number;
    return 0;
}

/* The handle names that counter now. */
static void names_counter(unsigned d, unsigned number) {
    driver.counter[d].number = number;
    driver.counter[d].installed =
        driver.world->descriptor(d) >= 0 ? driver.world->installed(driver.world->descriptor(d)) : 0;
}

static bool has_counter(unsigned d, unsigned number) {
    return is_async(d) && number != 0 && counter_of(driver.async_fd[d]) == number;
}

/* What fd names was raised by something else than a notify. */
static void raised_otherwise(int fd) {
    unsigned number = counter_of(fd);
    for (unsigned d = 0; d < PROGRAM_FEW; d++)
        if (has_counter(d, number))
            (void)SAY(EVENT_NOTIFY, .fd = driver.async_fd[d]);
}

/* by_wait: by what waits on it. */
static void is_read(int fd, bool by_wait) {
    unsigned number = counter_of(fd);
    for (unsigned d = 0; d < PROGRAM_FEW; d++)
        if (has_counter(d, number)) {
            driver.notified &= ~(1u << d);
            if (!by_wait)
                refine_counter_read(driver.async_fd[d]);
        }
}

/* What a system call for an operation has done to handles and asyncs. */
static void see_effects(unsigned i, enum et_operation operation, int fd, int64_t result) {
    if (operation == ET_READ && result == sizeof(uint64_t))
        is_read(fd, i != MODEL_NONE && driver.slot[i].own_memory);
    if (operation == ET_WRITE && result == sizeof(uint64_t))
        raised_otherwise(fd);
    if (operation == ET_ACCEPT && result >= 0)
        see_files();
    if (operation != ET_CLOSE)
        return;
    see_files();
    for (unsigned d = 0; d < PROGRAM_FEW; d++)
        if (is_async(d) && driver.async_fd[d] == fd) { /* it was closed behind its back */
            (void)SAY(EVENT_ASYNC_DEINIT, .fd = fd);
            driver.asyncs &= ~(1u << d);
            driver.async_is_gone |= 1u << d;
        }
}

static unsigned number_of(const struct thread *thread) {
    return (unsigned)(thread - driver.thread);
}

/* A participant's step has made a system call: ET-POOL-4. */
static void on_executed(enum et_operation operation, int fd, const void *identity, uint64_t length,
                        int64_t offset, int flags, int64_t result) {
    uint32_t i = driver.stepping->at.work;
    if (i >= COUNT || driver.executed++ > 0) {
        differ("ET-POOL-4", "a thread has made a system call that belongs to no work: %s on %d",
               operation_name(operation), fd);
        return;
    }
    if (driver.log != NULL)
        note('.', "w%u: %s on %d for c%u = %s", number_of(driver.stepping),
             operation_name(operation), fd, i, result_name(result));
    if (operation != ET_CLOSE && whose(identity) != i)
        differ("ET-OP-2", "%s on descriptor %d with another buffer than that of c%u",
               operation_name(operation), fd, i);
    if (operation != ET_CLOSE)
        check_arguments(i, operation, fd, length, offset, flags);
    SEE(EVENT_EXECUTED, .c = i, .operation = (uint8_t)operation, .fd = fd, .result = result);
}

static void note_try(unsigned i, enum et_operation operation, int fd, int64_t result) {
    if (i == MODEL_NONE)
        note('.', "%s on %d  = %s", operation_name(operation), fd, result_name(result));
    else
        note('.', "%s on %d for c%u = %s", operation_name(operation), fd, i, result_name(result));
}

static void on_tried(void *self, enum et_operation operation, int fd, const void *identity,
                     uint64_t length, int64_t offset, int flags, int64_t result) {
    (void)self;
    if (failed() || driver.closing)
        return;
    if (driver.stepping != NULL) {
        on_executed(operation, fd, identity, length, offset, flags, result);
        see_effects(MODEL_NONE, operation, fd, result);
        return;
    }
    if (driver.deiniting) {
        differ("ET-WAKE-3", "%s on descriptor %d when the loop is deinitialised",
               operation_name(operation), fd);
        return;
    }
    finish_wait();
    settle_refusal();
    /* Linux itself reports some sockets for ever that it then does not let us read (shut down for
     * reading). A file that has left its number is no such excuse: ET-REGISTER-7. */
    bool unanswered = result == -EAGAIN || result == -EINTR || result == -EINPROGRESS;
    if (!unanswered || has_number(&driver.reported, fd))
        driver.idle_waits = 0;
    unsigned i = whose(identity);
    if (i == MODEL_NONE) {
        i = whose_wait(identity, fd);
        if (i != MODEL_NONE && length != sizeof(uint64_t))
            differ("ET-ASYNC-1", "a wait reads %llu bytes of the counter",
                   (unsigned long long)length);
    }
    if (driver.log != NULL)
        note_try(i, operation, fd, result);
    if (operation == ET_CONNECT && i == MODEL_NONE && result == -EINPROGRESS && has_hung_up(fd))
        result = -ENOTCONN; /* ET-OP-3 */
    if (i == MODEL_NONE && operation != ET_CONNECT && operation != ET_CLOSE &&
        operation != ET_SHUTDOWN)
        differ("ET-OP-2", "%s on descriptor %d with nobody's buffer or address",
               operation_name(operation), fd);
    if (operation == ET_WRITE && result == -EPIPE && driver.world->is_socket(fd))
        differ("ET-OP-5", "a write to the socket %d has raised SIGPIPE", fd);
    /* ET-OP-5 */
    if (i != MODEL_NONE && operation == ET_SEND &&
        driver.model.completion[i].operation == ET_WRITE) {
        if (result == -ENOTSOCK)
            return;
        operation = ET_WRITE;
        flags -= MSG_NOSIGNAL | MSG_DONTWAIT;
    }
    if (i != MODEL_NONE) {
        check_arguments(i, operation, fd, length, offset, flags);
        driver.progress[i].is_ready = false;
    }
    settle_unseen();
    SEE(EVENT_TRY, .c = model_named(i), .operation = (uint8_t)operation, .fd = fd,
        .result = result);
    if (operation == ET_ACCEPT && result >= 0 && i != MODEL_NONE)
        driver.world->adopt(driver.slot[i].into, (int)result);
    see_effects(i, operation, fd, result);
}

/* A registration was refused, perhaps not for good: what stays by what the kernel has said. */
static void refuse(int operation, int fd, int error, uint32_t kept) {
    bool again = driver.refused.fd == fd;
    bool exists =
        again && driver.refused.operation == EPOLL_CTL_ADD && driver.refused.error == EEXIST;
    bool denied =
        again && driver.refused.operation == EPOLL_CTL_MOD && driver.refused.error == ENOENT;
    bool any;
    driver.world->registered(fd, &any);
    if (any) /* also for no events at all: these two are always reported */
        kept |= EPOLLERR | EPOLLHUP;
    driver.refused.fd = fd;
    driver.refused.operation = operation;
    driver.refused.error = error;
    driver.refused.both_ways = exists || denied;
    driver.refused.kept = driver.refused.claimed = 0;
    if (exists)
        driver.refused.claimed = is_number(fd) ? driver.told[fd] : 0;
    else if (error == EBADF)
        return;
    else if (operation == EPOLL_CTL_ADD) /* it would be something new, were nothing registered */
        driver.refused.claimed = kept;
    else
        driver.refused.kept = kept;
}

static void on_controlled(void *self, int operation, int fd, uint32_t events, int error,
                          uint32_t kept, bool injected) {
    static const char *const name[] = {"?", "add", "remove", "modify"};
    (void)self;
    if (failed())
        return;
    finish_wait();
    if (driver.log != NULL)
        note('.', "register: %s %d for %#x = %s", name[operation & 3], fd, events,
             result_name(-error));
    /* Or the loop has tried to remove what the number does not name at this moment: ET-REGISTER-7
     * is the measure then. */
    if (injected || (operation == EPOLL_CTL_DEL && error != 0))
        driver.model.forgive_registration = true;
    if (driver.refused.fd != fd)
        settle_refusal();
    if (operation == EPOLL_CTL_ADD && error == EEXIST)
        put_number(&driver.claimed, fd);
    else if (error == 0 || error == ENOENT)
        drop_number(&driver.claimed, fd);
    if (is_number(fd) && (error == 0 || error == ENOENT))
        driver.told[fd] =
            error == 0 && operation != EPOLL_CTL_DEL ? events | EPOLLERR | EPOLLHUP : 0;
    /* another registration, which the next files may leave behind */
    if (error == 0 && is_number(fd))
        driver.stale_reports[fd] = 0;
    if (error != 0 && operation != EPOLL_CTL_DEL)
        refuse(operation, fd, error, kept);
    else
        driver.refused.fd = -1;
}

static bool on_waits(void *self, int64_t timeout_ns) {
    (void)self;
    if (failed())
        return false;
    driver.context = NULL;
    finish_wait();
    settle_refusal();
    if (driver.log != NULL && timeout_ns < 0)
        note('.', "wait without limit");
    else if (driver.log != NULL)
        note('.', "wait %lld ns", (long long)timeout_ns);
    driver.report->waits++;
    if (driver.faults)
        driver.model.forgive_registration = true;
    settle_unseen();
    SEE(EVENT_WAIT, .result = timeout_ns, .forgiven = driver.model.forgive_registration);
    lockstep_compare();
    check_registrations();
    check_progress();
    if (driver.disturbed) /* what the kernel refuses again and again the loop cannot end */
        driver.idle_waits = 0;
    driver.disturbed = false;
    if (++driver.idle_waits > IDLE_WAITS_MAX)
        differ("ET-REGISTER-5", "%u waits in a row led to nothing: the loop spins",
               driver.idle_waits);
    if (driver.report->waits > WAITS_MAX) {
        SEE(EVENT_WOKEN, .result = -EDEADLK);
        return false;
    }
    driver.wait.open = false;
    driver.wait.timeout_ns = timeout_ns;
    driver.wait.end_ns = driver.world->clock() + (uint64_t)(timeout_ns > 0 ? timeout_ns : 0);
    return !failed();
}

/* NULL: the body has no more. */
static const struct command *command_of(unsigned body, unsigned at) {
    const struct program *p = driver.program;
    if (driver.choose != NULL)
        return driver.choose(body, at);
    return at < p->count[body] ? &p->command[p->first[body] + at] : NULL;
}

/* ---- the pool's threads: participants, whose steps are made here ----------------------------- */

static bool sleeps(const struct thread *thread) {
    return keeps_account() ? thread->sleeps != NULL
                           : driver.subject->threads->sleeps(thread->handle);
}

/* An idle thread finds work, or goes to sleep, which is a step too where that is seen. When deinit
 * waits for threads the queue is empty already, which the model's is only afterwards. */
static bool can_step(const struct thread *thread) {
    bool has_work = keeps_account() || (driver.model.queued.count > 0 && !driver.deiniting);
    return !sleeps(thread) && (thread->at.phase != LOCKSTEP_IDLE || has_work);
}

/* ET-POOL-17: what sleeps is told by a thread that goes on, or by the loop before it turns to
 * something else. */
static void check_idle(void) {
    const struct thread *idle = NULL;
    for (unsigned k = 0; k < driver.threads; k++) {
        const struct thread *thread = &driver.thread[k];
        if (thread->at.phase == LOCKSTEP_IDLE && !sleeps(thread))
            return;
        idle = thread->at.phase == LOCKSTEP_IDLE ? thread : idle;
    }
    if (idle != NULL && driver.model.queued.count > 0)
        differ("ET-POOL-17",
               "c%u stays in the pool's queue, while w%u is idle and sleeps, or has ended",
               driver.model.queued.item[0], number_of(idle));
}

/* The step has led from there to where the thread is now. */
static void judge_step(const struct thread *thread, const struct lockstep_thread *before) {
    unsigned k = number_of(thread), i = thread->at.work;
    switch (before->phase) {
    case LOCKSTEP_IDLE:
        if (thread->at.phase == LOCKSTEP_IDLE)
            return;
        if (i >= COUNT) {
            differ("ET-POOL-4", "w%u has taken work that belongs to no completion", k);
            return;
        }
        if (driver.log != NULL)
            note('.', "w%u: takes c%u", k, i);
        SEE(EVENT_TOOK, .c = i);
        return;
    case LOCKSTEP_EXECUTES:
        if (driver.executed != 1)
            differ("ET-POOL-4", "a thread has made %u system calls for c%u", driver.executed, i);
        return;
    case LOCKSTEP_HANDS_OVER:
        if (driver.log != NULL)
            note('.', "w%u: hands over c%u", k, before->work);
        SEE(EVENT_GAVE_BACK, .c = before->work);
        return;
    case LOCKSTEP_WAKES:
        if (driver.log != NULL)
            note('.', "w%u: %s", k, before->wakes ? "wakes the loop" : "need not wake the loop");
        driver.wake_credit = driver.wake_credit || before->wakes; /* ET-POOL-11: one wait at most */
        return;
    case LOCKSTEP_LEAVES:
        if (driver.log != NULL)
            note('.', "w%u: is idle", k);
        SEE(EVENT_IDLE);
    }
}

/* One step. False: the thread has ended. */
static bool make_step(struct thread *thread) {
    struct lockstep_thread before = thread->at;
    if (keeps_account() && sleeps(thread))
        return thread->sleeps != thread->handle;
    driver.stepping = thread;
    driver.executed = 0;
    bool goes_on = driver.subject->threads->step(thread->handle, &thread->at);
    driver.stepping = NULL;
    if (!goes_on)
        thread->sleeps = thread->handle;
    if (!failed())
        judge_step(thread, &before);
    return goes_on;
}

/* Of the lowest that can do something. One that looks for work again and again, and does not sleep,
 * does nothing. */
static bool step_any(void) {
    for (unsigned k = 0; k < driver.threads; k++) {
        struct thread *thread = &driver.thread[k];
        enum lockstep_phase before = thread->at.phase;
        if (!can_step(thread))
            continue;
        (void)make_step(thread);
        if (!keeps_account() || thread->at.phase != before || sleeps(thread))
            return true;
    }
    return false;
}

/* A close names no buffer, but the first of its descriptor will be taken first. */
uint32_t lockstep_work(enum et_operation operation, int fd, const void *identity) {
    const struct model *m = &driver.model;
    for (unsigned k = 0; k < m->queued.count && operation == ET_CLOSE; k++) {
        unsigned i = m->queued.item[k];
        if (m->completion[i].operation == ET_CLOSE && m->completion[i].description.fd == fd)
            return i;
    }
    unsigned i = whose(identity);
    return i == MODEL_NONE ? ETALON_NOBODY : i;
}

/* ET-POOL-15 */
static void on_created(void *self, void *thread, int error) {
    (void)self;
    if (error == 0 && driver.threads < PROGRAM_WORKERS)
        driver.thread[driver.threads++] =
            (struct thread){.handle = thread, .at = {.work = ETALON_NOBODY}};
    if (failed())
        return;
    finish_wait();
    settle_refusal();
    settle_unseen();
    if (driver.log != NULL && error == 0)
        note('.', "thread w%u is created", driver.threads - 1);
    else if (driver.log != NULL)
        note('.', "no thread is created: %s", errno_name(error));
    SEE(EVENT_THREAD, .result = -error);
}

static bool act_in_world(void) {
    if (failed() || driver.report->commands >= COMMANDS_MAX)
        return false;
    const struct command *command = command_of(PROGRAM_BODY_WORLD, driver.world_next);
    if (command == NULL)
        return false;
    driver.world_next++;
    lockstep_command(command);
    return true;
}

static void on_parked(void *self, const void *condition) {
    (void)self;
    if (driver.stepping != NULL) {
        driver.stepping->sleeps = condition;
        return;
    }
    for (driver.awaited = condition; driver.awaited != NULL && (act_in_world() || step_any());)
        /* fuzz/world/interpose.c knows what is told of what, and comes again */
        if (!keeps_account())
            return;
    if (driver.awaited == NULL)
        return;
    differ("ET-POOL-13", "the loop waits for ever: no thread of the pool has anything left to do");
    longjmp(driver.stuck, 1);
}

/* A signal wakes one, and the system may choose which. */
static void on_told(void *self, const void *condition, bool all) {
    (void)self;
    if (driver.awaited == condition)
        driver.awaited = NULL;
    for (unsigned k = 0; k < driver.threads; k++)
        if (driver.thread[k].sleeps == condition) {
            driver.thread[k].sleeps = NULL;
            if (!all)
                return;
        }
}

static void on_joined(void *self, void *thread) {
    (void)self;
    struct thread stranger = {.handle = thread, .at = {.work = ETALON_NOBODY}};
    struct thread *joined = &stranger; /* unless it is one too many: ET-POOL-15 has been told */
    for (unsigned k = 0; k < driver.threads; k++)
        joined = driver.thread[k].handle == thread ? &driver.thread[k] : joined;
    driver.joined++;
    for (unsigned i = 0; i < STEPS_MAX; i++)
        if (!make_step(joined))
            return;
    differ("ET-POOL-14", "a thread of the pool does not end");
    longjmp(driver.stuck, 1);
}

/* ---- what the loop asks of the kernel, continued --------------------------------------------- */

/* ET-ASYNC-2 */
static void check_notified(unsigned i) {
    const struct model_completion *c = &driver.model.completion[i];
    if (c->state != ET_ACTIVE || c->operation != ET_READ || c->pool != MODEL_NO_POOL ||
        driver.faults)
        return;
    if (model_has(&driver.model.orphaned, i))
        return;
    for (unsigned d = 0; d < PROGRAM_FEW; d++)
        if (is_async(d) && (driver.notified >> d & 1) != 0 &&
            driver.async_fd[d] == c->description.fd)
            differ("ET-ASYNC-2", "the loop waits, and c%u with it, although d%u was notified", i,
                   d);
}

static bool on_blocked(void *self) {
    (void)self;
    if (failed())
        return false;
    if (driver.wake_pending)
        differ("ET-WAKE-1", "the loop waits although it was woken");
    for (unsigned i = 0; i < COUNT; i++)
        check_notified(i);
    check_nobody_is_ready();
    bool wakes = false;
    for (unsigned k = 0; k < driver.threads; k++) {
        const struct lockstep_thread *at = &driver.thread[k].at;
        wakes = wakes || (at->phase == LOCKSTEP_WAKES && at->wakes);
    }
    bool owed =
        inspect() != NULL ? inspect()->has_handed_over() : driver.model.handed_over.count > 0;
    if (owed && !wakes)
        differ("ET-POOL-11",
               "the loop waits although something was handed over, and nobody is about to wake it");
    check_idle();
    refine_sleeps();
    return !failed() && (act_in_world() || step_any()) && !failed();
}

static void on_woken(void *self, int error) {
    (void)self;
    if (failed())
        return;
    uint64_t now_ns = driver.world->clock();
    if (driver.log != NULL)
        note('.', "woken%s%s, the clock stands at %+lld us", error != 0 ? " by " : "",
             error != 0 ? errno_name(error) : "",
             (long long)((int64_t)(now_ns - CLOCK_START_NS) / 1000));
    if (now_ns != driver.model.clock_ns)
        driver.idle_waits = 0;
    model_clock(&driver.model, now_ns);
    SEE(EVENT_WOKEN, .result = -error);
    driver.wait.counts = error == 0 && driver.choose == NULL;
    see_who_is_ready();
    driver.wait.open = error == 0;
    driver.wait.reports = 0;
    driver.reported = NO_NUMBERS;
    if (error == 0)
        driver.wake_pending = false;
}

static void on_reported(void *self, int fd, uint32_t events, bool stale) {
    (void)self;
    if (failed())
        return;
    driver.wait.reports++;
    if (driver.log != NULL)
        note('.', "reported: %d for %#x%s", fd, events,
             stale ? ", of a file that has left this number" : "");
    bool awaited = false;
    for (unsigned i = 0; i < COUNT; i++)
        awaited = awaited || (waits_on_descriptor(&driver.model.completion[i]) &&
                              driver.model.completion[i].description.fd == fd);
    bool known = is_number(fd);
    if (!stale)
        put_number(&driver.reported, fd);
    if (known &&
        /* a report that something waited for was no vain one: what follows is counted anew */
        (!stale || awaited))
        driver.stale_reports[fd] = 0;
    else if (known && !driver.faults && ++driver.stale_reports[fd] > 2)
        differ("ET-REGISTER-7",
               "descriptor %d is still reported for a file that has left this number", fd);
    SEE(EVENT_REPORT, .fd = fd, .events = events, .source = stale ? MODEL_STALE : MODEL_SEEN);
}

static const struct world_observer observer = {on_tried, on_controlled, on_waits,   on_blocked,
                                               on_woken, on_reported,   on_created, on_parked,
                                               on_told,  on_joined};

/* ---- callbacks ------------------------------------------------------------------------------- */

static enum et_action run_body(unsigned body) {
    for (unsigned i = 0; !failed() && driver.report->commands < COMMANDS_MAX; i++) {
        const struct command *command = command_of(body, i);
        if (command == NULL)
            break;
        if (command->kind == COMMAND_RETURN)
            return (enum et_action)command->value;
        lockstep_command(command);
    }
    return ET_DISARM;
}

static enum et_action on_callback(unsigned i, int64_t result, uint32_t token) {
    driver.context = NULL;
    finish_wait();
    settle_refusal();
    driver.report->callbacks++;
    driver.idle_waits = 0;
    if (driver.log != NULL)
        note_callback(i, result);
    settle_unseen_but(result == -ENOENT ? i : COUNT);
    const struct model_completion *before = &driver.model.completion[i];
    if (result < 0 && result > -LOCKSTEP_ERRORS && before->operation < ET_OPERATIONS)
        lockstep_errors[before->operation][-result]++;
    SEE(EVENT_CALLBACK, .c = i, .result = result, .userdata = token);
    compare_about(i);
    if (driver.report->callbacks >= CALLBACKS_MAX) {
        TELL(stop(driver.self));
        (void)SAY(EVENT_STOP);
    }
    model_take(&driver.moved, i);
    enum et_action action = failed() ? ET_DISARM : run_body(token & 7);
    if (failed())
        return ET_DISARM;
    /* its memory is gone: a caller that frees a completion does not rearm it */
    if (model_has(&driver.moved, i))
        action = ET_DISARM;
    SEE(EVENT_RETURNED, .c = driver.model.in_callback, .rearm = action == ET_REARM);
    if (driver.log != NULL && action == ET_REARM)
        note('.', "rearm");
    return action;
}

static enum etalon_subject_action called(uint32_t c, int64_t result, uint32_t userdata) {
    bool before = driver.subject->inside != NULL && driver.subject->inside(false);
    enum et_action action = ET_DISARM;
    if (c == ETALON_NOBODY)
        differ("ET-CALL-2", "a callback got another loop or completion than it was set for");
    else if (c >= COUNT)
        differ("ET-CALL-2", "a callback was called for completion %u, which does not exist", c);
    else if (!failed())
        action = on_callback(c, result, userdata);
    leave(before);
    return action == ET_REARM ? ETALON_REARM : ETALON_DISARM;
}

/* ---- commands -------------------------------------------------------------------------------- */

/* An observation. Of what is repeated, one line for the first time, and one for each time that it
 * comes to something else. */
static void note_outcome(const struct command *command, const char *outcome) {
    char text[96];
    write_callbacks();
    bool repeated = command == driver.unwritten.one;
    if (repeated && driver.unwritten.known && strcmp(driver.unwritten.outcome, outcome) == 0)
        return;
    if (repeated && !driver.unwritten.known) {
        driver.unwritten.known = true;
        snprintf(driver.unwritten.outcome, sizeof driver.unwritten.outcome, "%s", outcome);
        command = driver.unwritten.repeating;
    }
    command_text(command, text, sizeof text);
    note('>', "%s = %s", text, outcome);
}

/* Of a call, which the model has answered. */
static void check_result(const struct command *command, int result, int expected) {
    if (driver.log != NULL) {
        char outcome[64];
        bool runs = command->kind == COMMAND_TICK || command->kind == COMMAND_RUN;
        bool alone = command->kind == COMMAND_DEINIT || command->kind == COMMAND_POOL ||
                     command->kind == COMMAND_NOTIFY;
        int length = snprintf(outcome, sizeof outcome, "%s", result_name(result));
        if (runs)
            snprintf(outcome + length, sizeof outcome - (size_t)length, ", %u active",
                     driver.model.active);
        else if (!alone)
            snprintf(outcome + length, sizeof outcome - (size_t)length, ", %s",
                     state_name(lockstep_state(command->c)));
        note_outcome(command, outcome);
    }
    if (expected < 0)
        driver.context = "ET-STATE-5";
    if (result != expected && !failed()) {
        char name[32];
        snprintf(name, sizeof name, "%s", result_name(result));
        bool runs = command->kind == COMMAND_TICK || command->kind == COMMAND_RUN;
        differ(driver.model.stopped && !runs ? "ET-STOP-4" : driver.model.clause,
               "the call returned %s, expected %s", name, result_name(expected));
    }
}

/* What a call has returned, where that is no error. */
static void check_count(const struct command *command, int64_t count) {
    char outcome[32];
    if (driver.log == NULL)
        return;
    snprintf(outcome, sizeof outcome, "%lld", (long long)count);
    note_outcome(command, outcome);
}

static uint32_t new_userdata(unsigned body) {
    return (++driver.serial & 0xfffffff) << 3 | body;
}

static int descriptor(unsigned d) {
    if (d == PROGRAM_HANDLES)
        return -1;
    return d > PROGRAM_HANDLES ? HUGE_DESCRIPTOR(NUMBERS) : driver.world->descriptor(d);
}

static void address_message(struct slot *slot, unsigned port) {
    unsigned size;
    const void *address = driver.world->port(port, &size);
    memcpy(&slot->address, address, size);
    slot->message.msg_name = &slot->address;
    slot->message.msg_namelen = size;
}

static uint32_t target_of(const struct command *command) {
    return command->other < PROGRAM_COMPLETIONS ? command->other : ETALON_NOBODY;
}

static void describe_parameters(struct etalon_subject_description *d, struct slot *slot,
                                const struct command *command) {
    size_t length = command->value < BUFFER ? (size_t)command->value : BUFFER;
    char *buffer = driver.buffer[command->c];
    d->flags = command->flags;
    switch (command->operation) {
    case ET_CANCEL: d->target = target_of(command); break;
    case ET_ACCEPT:
        slot->into = command->other;
        slot->address_length = sizeof slot->address;
        d->address = (struct sockaddr *)&slot->address;
        d->address_length = &slot->address_length;
        d->flags = ACCEPT_FLAGS;
        break;
    case ET_CONNECT: {
        unsigned size;
        const void *address = driver.world->address(command->other, &size);
        memcpy(&slot->address, address, size);
        slot->address_length = size;
        d->address = (struct sockaddr *)&slot->address;
        d->address_length = &slot->address_length;
        break;
    }
    case ET_POLL: d->events = (uint32_t)command->value; break;
    case ET_WRITE:
    case ET_SEND:
    case ET_PWRITE:
        /* As an eventfd reads it: 1. What an earlier read left there could be more than an eventfd
         * ever takes. */
        memset(buffer, 0, sizeof(uint64_t));
        buffer[0] = 1;
        d->buffer = buffer;
        d->length = length;
        break;
    case ET_READ:
    case ET_RECV:
    case ET_PREAD:
        d->buffer = buffer;
        d->length = length;
        break;
    case ET_SENDMSG:
    case ET_RECVMSG:
        slot->iov[0] = (struct iovec){buffer, length / 2};
        slot->iov[1] = (struct iovec){buffer + length / 2, length - length / 2};
        slot->message = (struct msghdr){.msg_iov = slot->iov, .msg_iovlen = 2};
        d->message = &slot->message;
        if (command->to != 0)
            address_message(slot, command->to - 1U);
        break;
    case ET_SHUTDOWN: d->flags = (int)command->value; break;
    case ET_TIMER: d->delay_ms = command->value; break;
    default: break;
    }
}

static struct etalon_subject_description describe(const struct command *command) {
    struct slot *slot = &driver.slot[command->c];
    struct etalon_subject_description d = {.operation = command->operation,
                                           .fd = descriptor(command->d),
                                           .target = ETALON_NOBODY,
                                           .userdata = new_userdata(command->body),
                                           .has_callback = command->body != 0,
                                           .on_pool = command->pool != 0};
    describe_parameters(&d, slot, command);
    if (d.operation == ET_PREAD || d.operation == ET_PWRITE)
        d.offset = program_offset(d.length);
    slot->length = d.length;
    slot->offset = d.offset;
    slot->flags = command->flags;
    slot->own_memory = false;
    struct model_description described = {.operation = command->operation,
                                          .target =
                                              d.target < COUNT ? (model_index)d.target : MODEL_NONE,
                                          .pool_mark = command->pool != 0,
                                          .has_callback = command->body != 0,
                                          .fd = d.fd,
                                          .flags = command->flags,
                                          .events = d.events,
                                          .delay_ms = d.delay_ms,
                                          .userdata = d.userdata};
    model_describe(&driver.model, command->c, &described);
    return d;
}

/* What is in use keeps the description that it has: it is submitted as it is. */
static void run_submit(const struct command *command) {
    struct etalon_subject_description d;
    unsigned c = command->c;
    int result;
    bool anew = command->kind != COMMAND_ADD && driver.model.completion[c].state == ET_DEAD;
    if (anew)
        d = describe(command);
    if (command->kind == COMMAND_DESCRIBE) {
        if (anew)
            TELL(describe(driver.self, c, &d));
        return;
    }
    int expected = SAY(EVENT_ADD, .c = c);
    ASK(result, submit(driver.self, c, anew ? &d : NULL));
    check_result(command, result, expected);
}

static void run_delete(const struct command *command) {
    int expected = SAY(EVENT_DELETE, .c = command->c), result;
    ASK(result, remove(driver.self, command->c));
    check_result(command, result, expected);
}

static void run_timer(const struct command *command) {
    uint32_t userdata = new_userdata(command->body);
    bool has_callback = command->body != 0;
    int expected = SAY(EVENT_TIMER, .c = command->c, .delay_ms = command->value,
                       .has_callback = has_callback, .userdata = userdata);
    int result;
    ASK(result, timer(driver.self, command->c, command->value, userdata, has_callback));
    check_result(command, result, expected);
}

static void run_reset(const struct command *command) {
    uint32_t userdata = new_userdata(command->body);
    bool has_callback = command->body != 0, alone = command->other >= PROGRAM_COMPLETIONS;
    int expected =
        SAY(EVENT_RESET, .c = command->c, .by = alone ? EVENT_NOBODY : command->other,
            .delay_ms = command->value, .has_callback = has_callback, .userdata = userdata);
    int result;
    ASK(result, timer_reset(driver.self, command->c, alone ? ETALON_NOBODY : command->other,
                            command->value, userdata, has_callback));
    check_result(command, result, expected);
}

static void run_cancel(const struct command *command) {
    uint32_t userdata = new_userdata(command->body);
    bool has_callback = command->body != 0;
    uint32_t target = target_of(command);
    int expected = SAY(EVENT_CANCEL, .c = target < COUNT ? target : EVENT_NOBODY, .by = command->c,
                       .has_callback = has_callback, .userdata = userdata);
    int result;
    ASK(result, cancel(driver.self, command->c, target, userdata, has_callback));
    check_result(command, result, expected);
}

/* Both are seen by check_hosted, too; this writes them down. */
static void run_timeout(const struct command *command) {
    int64_t result = model_timeout(&driver.model);
    if (!is_hosted())
        return;
    ASK(result, timeout(driver.self));
    check_count(command, result);
}

/* ET-HOST-4 */
static void run_descriptor(const struct command *command) {
    int result;
    if (!is_hosted())
        return;
    driver.disturbed_by = 0;
    ASK(result, descriptor(driver.self));
    if (result < 0 ? result != -driver.disturbed_by && !driver.faults
                   : driver.descriptor >= 0 && result != driver.descriptor)
        differ("ET-HOST-4", "descriptor returned %s", result_name(result));
    if (result >= 0)
        driver.descriptor = result;
    check_count(command, result < 0 ? result : driver.world->readable(result));
}

static void run_tick(const struct command *command) {
    bool run = command->kind == COMMAND_RUN;
    unsigned callbacks = (unsigned)command->value;
    int expected, result;
    driver.idle_waits = 0;
    if (run)
        expected =
            SAY(EVENT_RUN, .mode = command->value <= ET_RUN_TURN ? (int8_t)command->value : -1);
    else
        expected = SAY(EVENT_TICK, .callbacks = callbacks);
    if (run)
        ASK(result, run(driver.self, (uint32_t)command->value));
    else
        ASK(result, tick(driver.self, callbacks));
    if (failed())
        return;
    finish_wait();
    settle_refusal();
    settle_unseen();
    if (expected == MODEL_RUNS)
        SEE(EVENT_END, .result = result);
    check_result(command, result, expected == MODEL_RUNS ? result : expected);
    if (expected == MODEL_RUNS)
        driver.context = NULL;
}

/* ET-INIT-1. Returns whether there is a loop now. */
static bool try_init(void) {
    void *self = NULL;
    int result;
    driver.descriptor = -1;
    driver.host = (struct etalon_subject_host){.size = sizeof driver.host,
                                               .called = called,
                                               .descriptors_max = NUMBERS,
                                               .pool = driver.pool};
    int owned = driver.world->owned();
    driver.disturbed_by = world_counts.failed = 0;
    driver.busy = true;
    ASK(result, init(&driver.host, &self));
    driver.busy = false;
    driver.self = result == 0 ? self : NULL;
    driver.allocations = world_counts.allocations;
    int failed_by = driver.disturbed_by != 0 ? driver.disturbed_by : world_counts.failed;
    bool may_go_on = driver.disturbed_by == 0 && result == 0;
    if (failed_by != 0 && !may_go_on && result != -failed_by)
        differ("ET-INIT-1", "init returned %s, where one of its calls has failed with %s",
               result_name(result), errno_name(failed_by));
    if (result == 0)
        return true;
    if (driver.world->owned() != owned || world_counts.unreleased != driver.unreleased)
        differ("ET-INIT-1", "an init that has failed has not released what it had acquired");
    if (driver.log != NULL)
        note('>', "init = %s", result_name(result));
    driver.report->init_error = -result;
    if (inspect() != NULL)
        inspect()->gone(GONE_INIT_FAILED);
    return false;
}

/* What the loop is like after this is compared by the caller: ET-INIT-2. The pool and the asyncs
 * live on. */
void lockstep_init(void) {
    struct model_async async[MODEL_ASYNCS];
    memcpy(async, driver.model.async, sizeof async);
    model_init(&driver.model, COUNT, (int)NUMBERS, driver.world->clock());
    memcpy(driver.model.async, async, sizeof async);
    driver.model.has_pool = driver.pool_threads_max > 0;
    driver.model.pool_threads_max = driver.pool_threads_max;
    driver.model.pool_threads = driver.threads;
    driver.wake_pending = driver.wake_credit = driver.wait.open = driver.wait.counts = false;
    driver.claimed = driver.reported = NO_NUMBERS;
    memset(driver.told, 0, sizeof driver.told);
    memset(driver.stale_reports, 0, sizeof driver.stale_reports);
    driver.refused.fd = -1;
    driver.context = "ET-INIT-2";
    driver.unreleased = world_counts.unreleased;
    driver.now_ns = driver.model.now_ms * NANOSECONDS_PER_MS + driver.model.now_rest;
    see_files();
    bool made = false;
    for (unsigned attempt = 0; attempt < INIT_ATTEMPTS && !made && !failed(); attempt++)
        made = try_init();
    if (made)
        driver.report->init_error = 0;
    else
        driver.report->not_possible = true; /* there is no loop to go on with */
}

static int deinit_subject(void) {
    int result;
    driver.busy = true;
    ASK(result, deinit(driver.self));
    driver.busy = false;
    if (result == 0)
        driver.self = NULL;
    return result;
}

static int deinit_pool(void) {
    int result = -EINVAL;
    if (driver.pool == NULL)
        return result;
    ASK(result, pool_deinit(driver.pool));
    if (result == 0)
        driver.pool = NULL;
    return result;
}

/* Returns what the model demands; *result is what the loop returned. */
static int deinit_loop(int *result) {
    if (driver.pool_threads_max > 0 && deinit_pool() != -EBUSY)
        differ("ET-POOL-14", "pool_deinit did not refuse while a loop has the pool");
    int expected = SAY(EVENT_DEINIT);
    driver.deiniting = expected == 0;
    *result = deinit_subject();
    if (*result == 0 && expected == 0 && !failed()) {
        SEE(EVENT_END, .of_deinit = true);
        if (world_counts.unreleased != driver.unreleased)
            differ("ET-DEINIT-3", "%lld blocks of memory were not released",
                   (long long)(world_counts.unreleased - driver.unreleased));
        if (inspect() != NULL)
            inspect()->gone(GONE_LOOP);
    }
    driver.deiniting = false;
    return expected;
}

/* ET-POOL-14, ET-POOL-16: when no loop has it any more. */
static void end_pool(void) {
    if (driver.pool_threads_max == 0)
        return;
    driver.pool_threads_max = driver.joined = 0;
    int result = deinit_pool();
    unsigned threads = driver.threads;
    driver.threads = 0;
    if (failed())
        return;
    unsigned left = driver.subject->threads->left != NULL ? driver.subject->threads->left()
                                                          : threads - driver.joined;
    if (result != 0)
        differ("ET-POOL-14", "pool_deinit returned %s although no loop has the pool",
               result_name(result));
    else if (left > 0)
        differ("ET-POOL-14", "%u threads have not ended with their pool", left);
    else if (world_counts.unreleased != 0)
        differ("ET-POOL-14", "%lld blocks of memory were not released with the pool",
               (long long)world_counts.unreleased);
    if (inspect() != NULL)
        inspect()->gone(GONE_POOL);
}

static void begin_pool(unsigned threads_max) {
    for (unsigned attempt = 0; attempt < INIT_ATTEMPTS && threads_max > 0 && !failed(); attempt++) {
        int result;
        driver.disturbed_by = 0;
        ASK(result, pool_init(threads_max, &driver.pool));
        if (result == 0) {
            driver.pool_threads_max = threads_max;
            return;
        }
        driver.pool = NULL;
        driver.report->init_error = -result;
        if (result != -driver.disturbed_by)
            differ("ET-INIT-3", "pool_init returned %s", result_name(result));
        if (world_counts.unreleased != 0)
            differ("ET-INIT-3", "a pool_init that has failed has not released what it had");
        if (inspect() != NULL)
            inspect()->gone(GONE_POOL_INIT_FAILED);
    }
    driver.report->not_possible = driver.report->not_possible || threads_max > 0;
}

static void run_deinit(const struct command *command) {
    int result;
    int expected = deinit_loop(&result);
    check_result(command, result, expected);
    if (failed() || expected != 0)
        return;
    if (command->kind == COMMAND_POOL) {
        end_pool();
        begin_pool((unsigned)command->value);
    }
    if (!failed())
        lockstep_init();
}

/* ET-STATE-7: what the caller may do with a dead completion: its memory is gone, and c lives
 * elsewhere. */
static void run_forget(const struct command *command) {
    unsigned i = command->c;
    if (driver.model.completion[i].state != ET_DEAD || model_has(&driver.model.maybe_dead, i))
        return;
    /* the caller keeps a cancel's target until the cancel is dead */
    for (unsigned k = 0; k < COUNT; k++)
        if (driver.model.completion[k].state != ET_DEAD &&
            driver.model.completion[k].description.target == i)
            return;
    model_put(&driver.moved, i);
    if ((driver.subject->calls->offers & ETALON_OFFERS_FORGET) != 0)
        TELL(forget(driver.self, i));
    model_forget(&driver.model, i);
}

/* ---- asyncs ---------------------------------------------------------------------------------- */

static bool is_gone(unsigned d) {
    return d < PROGRAM_FEW && (driver.async_is_gone >> d & 1) != 0;
}

static void run_async_wait(const struct command *command) {
    uint32_t userdata = new_userdata(command->body);
    unsigned i = command->c, d = command->d;
    bool has_callback = command->body != 0;
    int fd = is_async(d) ? driver.async_fd[d] : -1, result = -EINVAL;
    int expected =
        SAY(EVENT_ASYNC_WAIT, .c = i, .fd = fd, .has_callback = has_callback, .userdata = userdata);
    if (!is_gone(d))
        ASK(result, async_wait(driver.self, i, d, userdata, has_callback));
    if (result != -EINVAL && result != -EBUSY) { /* it is described */
        driver.slot[i].length = sizeof(uint64_t);
        driver.slot[i].flags = 0;
        driver.slot[i].own_memory = true;
    }
    check_result(command, result, expected);
}

static int notify(unsigned d) {
    int result = -EINVAL;
    if (!is_gone(d))
        ASK(result, async_notify(driver.self, d));
    return result;
}

static void run_notify(const struct command *command) {
    const int untouched = EXDEV;
    int fd = is_async(command->d) ? driver.async_fd[command->d] : -1;
    int expected = SAY(EVENT_NOTIFY, .fd = fd);
    world_counts.notifying = expected == 0;
    errno = untouched;
    int result = notify(command->d);
    if (errno != untouched)
        differ("ET-ASYNC-4", "notify has changed errno");
    world_counts.notifying = false;
    if (expected == 0)
        driver.notified |= 1u << command->d;
    check_result(command, result, expected);
}

/* Deinitialised, or its async_init has failed. */
static bool refuses_calls(unsigned d) {
    int result;
    ASK(result, async_deinit(driver.self, d));
    return result == -EINVAL && notify(d) == -EINVAL;
}

static void open_async(unsigned d) {
    unsigned count = 0;
    int result;
    for (unsigned i = 0; i < PROGRAM_FEW; i++)
        count += is_async(i);
    if (count == MODEL_ASYNCS || driver.world->descriptor(d) >= 0)
        return;
    driver.world->gives((int)d);
    driver.disturbed_by = world_counts.failed = 0;
    ASK(result, async_init(driver.self, d));
    driver.world->gives(-1);
    driver.async_is_gone &= ~(1u << d);
    if (result != 0) { /* no number was left, or it was made to fail */
        int failed_by = driver.disturbed_by != 0 ? driver.disturbed_by : world_counts.failed;
        if (result > 0 || (failed_by != 0 && result != -failed_by) || !refuses_calls(d))
            differ("ET-INIT-3", "async_init returned %s", result_name(result));
        return;
    }
    driver.async_fd[d] = driver.world->descriptor(d);
    driver.asyncs |= 1u << d;
    driver.notified &= ~(1u << d);
    names_counter(d, ++driver.asyncs_made);
}

/* ET-ASYNC-5 */
static void close_async(unsigned d) {
    int result;
    driver.closing = true;
    ASK(result, async_deinit(driver.self, d));
    driver.closing = false;
    driver.asyncs &= ~(1u << d);
    if (failed())
        return;
    (void)SAY(EVENT_ASYNC_DEINIT, .fd = driver.async_fd[d]);
    if (result != 0 || driver.world->descriptor(d) >= 0)
        differ("ET-ASYNC-5", "async_deinit has not released the descriptor");
    if (!refuses_calls(d))
        differ("ET-ASYNC-5", "a call on a deinitialised async did not return -EINVAL");
}

/* What the world does that concerns an async. Returns whether that was all. */
static bool touches_async(const struct command *command) {
    unsigned d = command->d;
    if (command->kind == COMMAND_OPEN && command->value == WORLD_ASYNC) {
        open_async(d);
        return true;
    }
    if (command->kind == COMMAND_CLOSE && is_async(d)) {
        close_async(d);
        return true;
    }
    if (command->kind == COMMAND_PEER_WRITE && command->value > 0)
        raised_otherwise(driver.world->descriptor(d));
    if (command->kind == COMMAND_DUP && d != command->other && driver.world->descriptor(d) >= 0 &&
        is_async(command->other))
        close_async(command->other);
    return false;
}

static void run_step(const struct command *command) {
    unsigned k = command->other;
    if (k < driver.threads)
        (void)make_step(&driver.thread[k]);
}

static void run_world(const struct command *command) {
    if (driver.log != NULL) {
        char text[96];
        command_text(command, text, sizeof text);
        note('.', "world: %s", text);
    }
    driver.idle_waits = 0;
    if (command->kind == COMMAND_FAIL)
        driver.faults = true;
    if (command->kind == COMMAND_BATCH)
        driver.batch = (unsigned)(command->value < NUMBERS ? command->value : 0);
    if (command->kind == COMMAND_WAKEUP) {
        driver.wake_pending = driver.wake_credit = true;
        const int untouched = EXDEV;
        errno = untouched;
        if (driver.self != NULL)
            TELL(wakeup(driver.self));
        refine_woken_up();
        if (errno != untouched)
            differ("ET-WAKE-4", "wakeup has changed errno");
    } else if (command->kind == COMMAND_STEP) {
        run_step(command);
    } else if (command->kind == COMMAND_NOTIFY) {
        run_notify(command);
    } else if (!touches_async(command)) {
        unsigned number =
            command->kind == COMMAND_DUP ? counter_of(driver.world->descriptor(command->d)) : 0;
        if (!driver.world->command(command))
            driver.report->not_possible = true;
        else if (number != 0)
            names_counter(command->other, number);
    }
    /* no other command gives a number to a file, or takes it away */
    if (command->kind == COMMAND_OPEN || command->kind == COMMAND_CLOSE ||
        command->kind == COMMAND_DUP)
        see_files();
    model_clock(&driver.model, driver.world->clock());
}

static void run_command(const struct command *command) {
    driver.report->commands++;
    driver.context = NULL;
    switch ((enum command_kind)command->kind) {
    case COMMAND_SUBMIT:
    case COMMAND_ADD:
    case COMMAND_DESCRIBE: run_submit(command); break;
    case COMMAND_DELETE: run_delete(command); break;
    case COMMAND_TIMER: run_timer(command); break;
    case COMMAND_RESET: run_reset(command); break;
    case COMMAND_CANCEL: run_cancel(command); break;
    case COMMAND_TICK:
    case COMMAND_RUN: run_tick(command); break;
    case COMMAND_STOP:
        TELL(stop(driver.self));
        (void)SAY(EVENT_STOP);
        break;
    case COMMAND_UPDATE_NOW:
        TELL(update_now(driver.self));
        (void)SAY(EVENT_UPDATE_NOW);
        break;
    case COMMAND_DEINIT:
    case COMMAND_POOL: run_deinit(command); break;
    case COMMAND_ASYNC_WAIT: run_async_wait(command); break;
    case COMMAND_FORGET: run_forget(command); break;
    case COMMAND_TIMEOUT: run_timeout(command); break;
    case COMMAND_DESCRIPTOR: run_descriptor(command); break;
    case COMMAND_RETURN: break;
    default: run_world(command); break;
    }
}

static void repeat_command(const struct command *command) {
    bool known = false;
    for (unsigned i = 0; i < command->times && !failed() && driver.report->commands < COMMANDS_MAX;
         i++) {
        struct command one = command_repeated(command, i);
        driver.unwritten.repeating = command; /* what its callbacks do may be repeated, too */
        driver.unwritten.one = &one;
        driver.unwritten.known = known;
        run_command(&one);
        known = true;
        compare_about(one.c);
    }
    driver.unwritten.one = NULL;
    lockstep_compare();
}

void lockstep_command(const struct command *command) {
    if (command->times > 0) {
        repeat_command(command);
        return;
    }
    run_command(command);
    if (driver.model.in_tick)
        compare_about(command->c);
    else
        lockstep_compare();
}

/* ---- programs -------------------------------------------------------------------------------- */

static void perform(const struct program *program) {
    int result = 0;
    lockstep_init();
    if (!failed())
        lockstep_compare();
    for (unsigned i = 0;
         i < program->count[0] && !failed() && driver.report->commands < COMMANDS_MAX; i++)
        lockstep_command(&program->command[program->first[0] + i]);
    if (driver.self != NULL)
        (void)deinit_loop(&result);
    if (result != 0)
        differ("ET-DEINIT-2", "deinit failed at the end of the program");
    end_pool();
    for (unsigned d = 0; d < PROGRAM_FEW; d++)
        if (is_async(d))
            close_async(d);
}

void lockstep_begin(const struct lockstep_subject *subject, const struct program *program,
                    const struct world_kind_functions *world, lockstep_log log, void *self,
                    struct lockstep_report *report) {
    memset(report, 0, sizeof *report);
#ifdef ETALON_MANY
    bool repeats = program_needs(program, &driver.completions, &driver.handles);
    driver.long_by = repeats ? PROGRAM_LONG : 1;
    driver.numbers = driver.handles > PROGRAM_FEW ? DESCRIPTORS_MAX : 64;
#endif
    driver.subject = subject;
    driver.program = program;
    driver.choose = NULL;
    driver.world = world;
    driver.report = report;
    driver.log = log;
    driver.log_self = self;
    driver.batch = 0;
    memset(&driver.unwritten, 0, sizeof driver.unwritten);
    memset(driver.progress, 0, COUNT * sizeof *driver.progress);
    driver.serial = driver.world_next = driver.idle_waits = driver.pool_threads_max =
        driver.threads = driver.asyncs = driver.notified = driver.asyncs_made = 0;
    driver.faults = driver.disturbed = driver.busy = driver.deiniting = driver.closing = false;
    driver.self = driver.pool = NULL;
    driver.stepping = NULL;
    driver.awaited = NULL;
    memset(driver.counter, 0, sizeof driver.counter);
    memset(driver.model.async, 0, sizeof driver.model.async);
    memset(driver.named, 0, sizeof driver.named);
    world->begin(&observer, NULL, CLOCK_START_NS);
}

void lockstep_run(const struct lockstep_subject *subject, const struct program *program,
                  const struct world_kind_functions *world, lockstep_log log, void *self,
                  struct lockstep_report *report) {
    lockstep_begin(subject, program, world, log, self, report);
    refine_begin();
    if (setjmp(driver.stuck) == 0)
        perform(program);
    if (world_counts.unreleased != 0)
        differ("ET-DEINIT-3", "%lld blocks of memory were not released",
               (long long)world_counts.unreleased);
    if (log != NULL)
        write_callbacks();
    refine_end();
    int leaked = driver.world->end();
    if (leaked != 0)
        differ("ET-DEINIT-3", "%d descriptors of the loop were not released", leaked);
}
