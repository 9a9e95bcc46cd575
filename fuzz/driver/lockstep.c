/* SPDX-License-Identifier: MIT */
/* The lockstep driver (lockstep.h). Every call is made on the model and on the loop and compared;
 * whatever the loop asks of the kernel, and every callback, is put before the model at once. After
 * each of these the abstraction of the loop must equal the model: states, deadlines, both queues in
 * order, the active count, the time. */
#include "state.h"

#include "../../model/words.h"

/* tests/kit/strict.c compiles this file a second time, around a loop of which only the
 * interface is known: there the model's word is taken for what cannot be seen. */
#ifdef LOCKSTEP_BY_INTERFACE
#define LOOKS_INSIDE false
#else
#define LOOKS_INSIDE true
#endif

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER
#endif

#ifdef HAS_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#define POISON(memory, size)   ASAN_POISON_MEMORY_REGION(memory, size)
#define UNPOISON(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define POISON(memory, size)   memset(memory, 0xa5, size)
#define UNPOISON(memory, size) ((void)0)
#endif

/* not a whole millisecond: rounding errors must show */
#define CLOCK_START_NS UINT64_C(1000000700000)
#define INIT_ATTEMPTS  4
#define CALLBACKS_MAX  400 /* then the loop is stopped: a program may rearm for ever */
#define COMMANDS_MAX   4000
/* then they fail: some sockets are ready for ever without anything to read */
#define WAITS_MAX      4000
#define STEPS_MAX      100 /* of a thread that is to end */
#define IDLE_WAITS_MAX 64  /* in a row, without a callback, a try, or the clock moving */

uint32_t lockstep_errors[ET_OPERATIONS][LOCKSTEP_ERRORS];

#ifdef LOCKSTEP_BY_INTERFACE
static void forgotten(unsigned c); /* the loop is to let go of its memory for c, too */
static void described(unsigned c); /* what has been filled in is not told by a call */
/* its descriptor was closed behind its back: it is none any more */
static void async_gone(unsigned d);
static struct eti_worker *worker_of(void *thread);
static bool can_take(const struct eti_worker *worker); /* an idle thread would find work */
static bool sleeps(const struct eti_worker *worker);   /* until it is told, or for good */
#else
static struct eti_worker *worker_of(void *thread) {
    return thread;
}

static bool can_take(const struct eti_worker *worker) {
    (void)worker;
    return true; /* or goes to sleep */
}

static bool sleeps(const struct eti_worker *worker);

static void async_gone(unsigned d) {
    (void)d;
}

static void described(unsigned c) {
    (void)c;
}

static void forgotten(unsigned c) {
    (void)c;
}
#endif

struct lockstep driver;

/* ---- reporting ------------------------------------------------------------------------------- */

static void differ(const char *clause, const char *format, ...) {
    if (driver.report->differs)
        return;
    driver.report->differs = true;
    snprintf(driver.report->clause, sizeof driver.report->clause, "%s", clause);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(driver.report->what, sizeof driver.report->what, format, arguments);
    va_end(arguments);
    et_loop_stop(&driver.loop); /* the shortest way out of the tick */
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

static void note(char mark, const char *format, ...) {
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    driver.log(driver.log_self, mark, line);
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

enum et_state lockstep_state(unsigned c) {
    return et_completion_state(completion(c));
}

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
    uint32_t dead = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        bool may = (driver.model.maybe_dead >> i & 1) != 0 || !c->description.has_callback;
        if (may && c->state != ET_DEAD && lockstep_state(i) == ET_DEAD &&
            (c->operation != ET_POLL || !has_been_cancelled(i, futile)))
            dead |= 1u << i;
    }
    if (dead != 0 || driver.model.maybe_dead != 0)
        model_settled(&driver.model, dead);
}

static void settle_unseen(void) {
    settle_unseen_but(COUNT);
}

static void compare_queue(const char *name, const struct et_completion *c,
                          const struct model_queue *queue) {
    for (unsigned i = 0; i < queue->count; i++) {
        if (c == NULL || c != completion(queue->item[i])) {
            differ("ET-SUBMIT-1", "place %u of the %s: expected c%u", i, name, queue->item[i]);
            return;
        }
        c = c->internal.next;
    }
    if (c != NULL)
        differ("ET-SUBMIT-1", "the %s hold more than %u completions", name, queue->count);
}

/* What was handed over and is not delivered, in that order: the rest of what the pool phase has
 * taken, then the loop's list. */
static unsigned handed_over(const struct et_completion *in_order[2 * COUNT]) {
    unsigned count = 0, taken;
    for (const struct et_completion *c = driver.loop.delivering; c != NULL && count < COUNT;
         c = c->internal.next)
        in_order[count++] = c;
    taken = count;
    for (const struct et_completion *c = atomic_load(&driver.loop.handed_over);
         c != NULL && count < 2 * COUNT; c = c->internal.next)
        in_order[count++] = c;
    for (unsigned i = taken, j = count; i + 1 < j; i++) {
        const struct et_completion *swapped = in_order[i];
        in_order[i] = in_order[--j];
        in_order[j] = swapped;
    }
    return count;
}

static void compare_pool(void) {
    const struct et_completion *in_order[2 * COUNT];
    unsigned count = handed_over(in_order);
    if (driver.loop.lingering != driver.model.lingering)
        differ("ET-POOL-8", "%u completions are lingering, expected %u", driver.loop.lingering,
               driver.model.lingering);
    for (unsigned i = 0; i < count && i < driver.model.handed_over.count; i++)
        if (in_order[i] != completion(driver.model.handed_over.item[i]))
            differ("ET-POOL-10", "place %u of what was handed over: expected c%u", i,
                   driver.model.handed_over.item[i]);
    if (count != driver.model.handed_over.count)
        differ("ET-POOL-10", "%u completions are handed over, expected %u", count,
               driver.model.handed_over.count);
    if (driver.pool_threads_max == 0)
        return;
    compare_queue("pool's queue", driver.pool.head, &driver.model.queued);
    if (driver.loop.executing != driver.model.pool_busy)
        differ("ET-POOL-13", "%u threads have work of the loop, expected %u", driver.loop.executing,
               driver.model.pool_busy);
    if (driver.pool.threads != driver.model.pool_threads ||
        driver.pool.idle != driver.pool.threads - driver.model.pool_busy)
        differ("ET-POOL-15", "%u threads, %u of them idle, expected %u and %u", driver.pool.threads,
               driver.pool.idle, driver.model.pool_threads,
               driver.model.pool_threads - driver.model.pool_busy);
}

static void compare_completion(unsigned i) {
    const struct model_completion *expected = &driver.model.completion[i];
    const struct et_completion *c = completion(i);
    unsigned state = et_completion_state(c);
    if (state != expected->state)
        differ("ET-STATE-2", "c%u is %s, expected %s", i, state_name(state),
               state_name(expected->state));
    else if (LOOKS_INSIDE && (state == ET_ACTIVE || state == ET_ADDING) &&
             expected->operation == ET_TIMER && !expected->is_carrier &&
             c->internal.deadline_ms != expected->deadline_ms)
        differ("ET-ADD-7", "the deadline of c%u is %llu, expected %llu", i,
               (unsigned long long)c->internal.deadline_ms,
               (unsigned long long)expected->deadline_ms);
}

void lockstep_compare(void) {
    if (failed() || driver.deiniting)
        return;
    for (unsigned i = 0; i < COUNT; i++)
        if ((driver.model.maybe_dead >> i & 1) == 0)
            compare_completion(i);
    if (LOOKS_INSIDE) {
        compare_queue("submissions", driver.loop.submissions_head, &driver.model.submissions);
        compare_queue("deletions", driver.loop.deletions_head, &driver.model.deletions);
    }
    if (LOOKS_INSIDE && driver.model.maybe_dead == 0)
        compare_pool();
    if (LOOKS_INSIDE && driver.model.maybe_dead == 0 && driver.loop.active != driver.model.active)
        differ("ET-STATE-6", "%u completions are active, expected %u", driver.loop.active,
               driver.model.active);
    if (et_loop_now(&driver.loop) != driver.model.now_ms)
        differ("ET-TIME-1", "the loop time is %llu, expected %llu",
               (unsigned long long)et_loop_now(&driver.loop),
               (unsigned long long)driver.model.now_ms);
    if (et_loop_stopped(&driver.loop) != driver.model.stopped)
        differ("ET-STOP-1", "stopped is %d", et_loop_stopped(&driver.loop));
    if (world_counts.allocations != driver.allocations)
        differ("ET-STATE-8", "memory was allocated after init");
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
    return c->state == ET_ACTIVE && (operation_traits(c->operation) & WAITS_AT_ALL) != 0 &&
           c->pool == MODEL_NO_POOL;
}

static uint64_t mask_of(int fd) {
    return fd >= 0 && fd < DESCRIPTORS_MAX ? UINT64_C(1) << fd : 0;
}

/* Something may have made numbers name other files. */
static void see_files(void) {
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        uint64_t names = driver.world->installed(fd);
        if (names == driver.named[fd])
            continue;
        driver.named[fd] = names;
        driver.claimed &= ~mask_of(fd);
        model_moved(&driver.model, fd);
    }
}

/* ET-REGISTER-1 and, since a number that was reopened names another file, ET-REGISTER-4. */
static void check_registrations(void) {
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        if (!waits_on_descriptor(c) || (driver.model.orphaned >> i & 1) != 0 ||
            driver.world->installed(c->description.fd) == 0 ||
            (driver.claimed & mask_of(c->description.fd)) != 0)
            continue;
        uint32_t polled = c->description.events & ~(uint32_t)(EPOLLERR | EPOLLHUP),
                 needed = operation_awaits(c->operation, polled);
        bool any;
        uint32_t registered = driver.world->registered(c->description.fd, &any);
        if (!any || (needed & ~registered) != 0)
            differ("ET-REGISTER-1",
                   "c%u waits on descriptor %d, which is registered for %#x%s, needed %#x", i,
                   c->description.fd, registered, any ? "" : " (not at all)", needed);
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
        judge(model_refused(&driver.model, fd, driver.refused.error, driver.refused.kept,
                            driver.refused.claimed));
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

/* A wait on an async reads into its completion, or wherever its loop likes. */
static bool reads_own_memory(const struct et_completion *c, const void *identity) {
    return LOOKS_INSIDE ? c->read.buffer == identity : c->read.buffer == &c->internal.result;
}

static unsigned whose_wait(const void *identity, int fd) {
    unsigned first = MODEL_NONE;
    for (unsigned i = 0; i < COUNT && identity != NULL; i++) {
        const struct model_completion *c = &driver.model.completion[i];
        bool waits = c->state == ET_ACTIVE && c->operation == ET_READ && c->pool == MODEL_NO_POOL &&
                     c->description.fd == fd && reads_own_memory(completion(i), identity);
        if (waits && (first == MODEL_NONE || c->order < driver.model.completion[first].order))
            first = i;
    }
    return first;
}

/* ET-OP-2 */
static void check_arguments(unsigned i, enum et_operation operation, int fd, uint64_t length,
                            int64_t offset, int flags) {
    const struct et_completion *c = completion(i);
    int expected_flags = 0;
    uint64_t expected_length = c->read.length;
    bool right = fd == driver.model.completion[i].description.fd &&
                 operation == driver.model.completion[i].operation;
    switch (operation) {
    case ET_SEND:
    case ET_SENDMSG: expected_flags = MSG_NOSIGNAL | MSG_DONTWAIT; break;
    case ET_RECV:
    case ET_RECVMSG: expected_flags = MSG_DONTWAIT; break;
    case ET_ACCEPT: expected_flags = c->accept.flags; break;
    default: break;
    }
    if (operation == ET_PREAD || operation == ET_PWRITE)
        right = right && offset == c->pread.offset;
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
    return d < PROGRAM_HANDLES && (driver.asyncs >> d & 1) != 0;
}

/* Of the async whose counter fd names, perhaps by another number than the async's own; 0: it names
 * something else. */
static unsigned counter_of(int fd) {
    uint64_t installed = fd >= 0 ? driver.world->installed(fd) : 0;
    for (unsigned d = 0; d < PROGRAM_HANDLES && installed != 0; d++)
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
    return is_async(d) && number != 0 && counter_of(driver.async[d].fd) == number;
}

/* What fd names was raised by something else than a notify. */
static void raised_otherwise(int fd) {
    unsigned number = counter_of(fd);
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (has_counter(d, number))
            (void)model_notify(&driver.model, driver.async[d].fd);
}

static void is_read(int fd) {
    unsigned number = counter_of(fd);
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (has_counter(d, number))
            driver.notified &= ~(1u << d);
}

/* What a system call for an operation has done to handles and asyncs. */
static void see_effects(enum et_operation operation, int fd, int64_t result) {
    if (operation == ET_READ && result == sizeof(uint64_t))
        is_read(fd);
    if (operation == ET_WRITE && result == sizeof(uint64_t))
        raised_otherwise(fd);
    if (operation == ET_ACCEPT && result >= 0)
        see_files();
    if (operation != ET_CLOSE)
        return;
    see_files();
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (is_async(d) && driver.async[d].fd == fd) { /* it was closed behind its back */
            (void)model_async_deinit(&driver.model, fd);
            memset(&driver.async[d], 0, sizeof driver.async[d]);
            driver.asyncs &= ~(1u << d);
            async_gone(d);
        }
}

static unsigned worker_number(const struct eti_worker *worker) {
    unsigned k = 0;
    while (k < driver.workers && driver.worker[k] != worker)
        k++;
    return k;
}

/* A participant's step has made a system call: ET-POOL-4. */
static void on_executed(enum et_operation operation, int fd, const void *identity, uint64_t length,
                        int64_t offset, int flags, int64_t result) {
    if (driver.stepping->work == NULL || driver.executed++ > 0) {
        differ("ET-POOL-4", "a thread has made a system call that belongs to no work: %s on %d",
               operation_name(operation), fd);
        return;
    }
    unsigned i = index_of(driver.stepping->work);
    if (driver.log != NULL)
        note('.', "w%u: %s on %d for c%u = %s", worker_number(driver.stepping),
             operation_name(operation), fd, i, result_name(result));
    if (operation != ET_CLOSE && whose(identity) != i)
        differ("ET-OP-2", "%s on descriptor %d with another buffer than that of c%u",
               operation_name(operation), fd, i);
    if (operation != ET_CLOSE)
        check_arguments(i, operation, fd, length, offset, flags);
    judge(model_executed(&driver.model, i, operation, fd, result));
}

static void on_tried(void *self, enum et_operation operation, int fd, const void *identity,
                     uint64_t length, int64_t offset, int flags, int64_t result) {
    (void)self;
    if (failed() || driver.closing)
        return;
    if (driver.stepping != NULL) {
        on_executed(operation, fd, identity, length, offset, flags, result);
        see_effects(operation, fd, result);
        return;
    }
    if (driver.deiniting) {
        differ("ET-WAKE-3", "%s on descriptor %d when the loop is deinitialised",
               operation_name(operation), fd);
        return;
    }
    finish_wait();
    settle_refusal();
    driver.idle_waits =
        /* Linux itself reports some sockets for ever that it then does not let us read (shut down
           for reading) */
        0;
    unsigned i = whose(identity);
    if (i == MODEL_NONE) {
        i = whose_wait(identity, fd);
        if (i != MODEL_NONE && length != sizeof(uint64_t))
            differ("ET-ASYNC-1", "a wait reads %llu bytes of the counter",
                   (unsigned long long)length);
    }
    if (driver.log != NULL)
        note('.', "%s on %d%s%c = %s", operation_name(operation), fd,
             i == MODEL_NONE ? "" : " for c", i == MODEL_NONE ? ' ' : (char)('0' + i),
             result_name(result));
    if (operation == ET_CONNECT && i == MODEL_NONE && result == -EINPROGRESS && has_hung_up(fd))
        result = -ENOTCONN; /* ET-OP-3 */
    if (i == MODEL_NONE && operation != ET_CONNECT && operation != ET_CLOSE &&
        operation != ET_SHUTDOWN)
        differ("ET-OP-2", "%s on descriptor %d with nobody's buffer or address",
               operation_name(operation), fd);
    /* ET-OP-5 */
    if (i != MODEL_NONE && operation == ET_SEND &&
        driver.model.completion[i].operation == ET_WRITE) {
        if (result == -ENOTSOCK)
            return;
        operation = ET_WRITE;
        flags -= MSG_NOSIGNAL | MSG_DONTWAIT;
    }
    if (i != MODEL_NONE)
        check_arguments(i, operation, fd, length, offset, flags);
    settle_unseen();
    judge(model_try(&driver.model, i, operation, fd, result));
    if (operation == ET_ACCEPT && result >= 0 && i != MODEL_NONE)
        driver.world->adopt(driver.slot[i].into, (int)result);
    see_effects(operation, fd, result);
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
        driver.refused.claimed = UINT32_MAX;
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
        driver.claimed |= mask_of(fd);
    else if (error == 0 || error == ENOENT)
        driver.claimed &= ~mask_of(fd);
    if (error == 0 && fd >= 0 && fd < DESCRIPTORS_MAX)
        driver.stale_reports[fd] =
            0; /* another registration, which the next files may leave behind */
    if (error != 0 && operation != EPOLL_CTL_DEL)
        refuse(operation, fd, error, kept);
    else
        driver.refused.fd = -1;
}

static bool on_waits(void *self, int64_t timeout_ns) {
    (void)self;
    if (failed())
        return false;
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
    judge(model_wait(&driver.model, timeout_ns));
    lockstep_compare();
    check_registrations();
    if (driver.disturbed) /* what the kernel refuses again and again the loop cannot end */
        driver.idle_waits = 0;
    driver.disturbed = false;
    if (++driver.idle_waits > IDLE_WAITS_MAX)
        differ("ET-REGISTER-5", "%u waits in a row led to nothing: the loop spins",
               driver.idle_waits);
    if (driver.report->waits > WAITS_MAX) {
        judge(model_woken(&driver.model, EDEADLK));
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

#ifndef LOCKSTEP_BY_INTERFACE
static bool sleeps(const struct eti_worker *worker) {
    return driver.sleeps[worker_number(worker)] != NULL;
}
#endif

static bool has_ended(const struct eti_worker *worker) {
    return driver.sleeps[worker_number(worker)] == worker;
}

static bool can_step(const struct eti_worker *worker) {
    return !sleeps(worker) && (worker->phase != ETI_IDLE || can_take(worker));
}

/* ET-POOL-17: who sleeps is told by a thread that goes on, or by the loop before it turns to
 * something else. */
static void check_idle(void) {
    const struct eti_worker *idle = NULL;
    for (unsigned k = 0; k < driver.workers; k++) {
        if (driver.worker[k]->phase == ETI_IDLE && !sleeps(driver.worker[k]))
            return;
        idle = driver.worker[k]->phase == ETI_IDLE ? driver.worker[k] : idle;
    }
    if (idle != NULL && driver.model.queued.count > 0)
        differ("ET-POOL-17",
               "c%u stays in the pool's queue, while w%u is idle and sleeps, or has ended",
               driver.model.queued.item[0], worker_number(idle));
}

/* The step has led from the phase `before` to another. work, wakes: the worker's, before the step.
 */
static void judge_step(const struct eti_worker *worker, enum eti_phase before,
                       const struct et_completion *work, bool wakes) {
    unsigned k = worker_number(worker), i = worker->work != NULL ? index_of(worker->work) : 0;
    switch (before) {
    case ETI_IDLE:
        if (worker->phase == ETI_IDLE)
            return;
        if (driver.log != NULL)
            note('.', "w%u: takes c%u", k, i);
        judge(model_took(&driver.model, i));
        return;
    case ETI_EXECUTES:
        if (driver.executed != 1)
            differ("ET-POOL-4", "a thread has made %u system calls for c%u", driver.executed, i);
        return;
    case ETI_HANDS_OVER:
        if (driver.log != NULL)
            note('.', "w%u: hands over c%u", k, index_of(work));
        judge(model_gave_back(&driver.model, index_of(work)));
        return;
    case ETI_WAKES:
        if (driver.log != NULL)
            note('.', "w%u: %s", k, wakes ? "wakes the loop" : "need not wake the loop");
        driver.wake_credit = driver.wake_credit || wakes; /* ET-POOL-11: one wait at most */
        return;
    case ETI_LEAVES:
        if (driver.log != NULL)
            note('.', "w%u: is idle", k);
        judge(model_idle(&driver.model));
    }
}

/* One step. False: the thread has ended. */
static bool make_step(struct eti_worker *worker) {
    enum eti_phase before = worker->phase;
    const struct et_completion *work = worker->work;
    bool wakes = worker->wakes;
    if (LOOKS_INSIDE && sleeps(worker))
        return !has_ended(worker);
    driver.stepping = worker;
    driver.executed = 0;
    bool goes_on = eti_pool_step(worker);
    driver.stepping = NULL;
    if (!goes_on)
        driver.sleeps[worker_number(worker)] = worker;
    if (!failed())
        judge_step(worker, before, work, wakes);
    return goes_on;
}

/* Of the lowest that can do something. One that looks for work again and again, and does not sleep,
 * does nothing. */
static bool step_any(void) {
    for (unsigned k = 0; k < driver.workers; k++) {
        const struct eti_worker *worker = driver.worker[k];
        enum eti_phase before = worker->phase;
        if (!can_step(worker))
            continue;
        (void)make_step(driver.worker[k]);
        if (!LOOKS_INSIDE || worker->phase != before || sleeps(worker))
            return true;
    }
    return false;
}

/* ET-POOL-15 */
static void on_created(void *self, void *thread, int error) {
    (void)self;
    if (error == 0 && driver.workers < PROGRAM_WORKERS) {
        driver.sleeps[driver.workers] = NULL;
        driver.worker[driver.workers++] = worker_of(thread);
    }
    if (failed())
        return;
    finish_wait();
    settle_refusal();
    settle_unseen();
    if (driver.log != NULL && error == 0)
        note('.', "thread w%u is created", driver.workers - 1);
    else if (driver.log != NULL)
        note('.', "no thread is created: %s", errno_name(error));
    judge(model_thread(&driver.model, error));
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
        driver.sleeps[worker_number(driver.stepping)] = condition;
        return;
    }
    for (driver.awaited = condition; driver.awaited != NULL && (act_in_world() || step_any());)
        /* fuzz/world/interpose.c knows who is told of what, and comes again */
        if (!LOOKS_INSIDE)
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
    for (unsigned k = 0; k < driver.workers; k++)
        if (driver.sleeps[k] == condition) {
            driver.sleeps[k] = NULL;
            if (!all)
                return;
        }
}

static void on_joined(void *self, void *thread) {
    (void)self;
    for (unsigned i = 0; i < STEPS_MAX; i++)
        if (!make_step(worker_of(thread)))
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
    if ((driver.model.orphaned >> i & 1) != 0)
        return;
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (is_async(d) && (driver.notified >> d & 1) != 0 &&
            driver.async[d].fd == c->description.fd)
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
    bool wakes = false;
    for (unsigned k = 0; k < driver.workers; k++)
        wakes = wakes || (driver.worker[k]->phase == ETI_WAKES && driver.worker[k]->wakes);
    if ((LOOKS_INSIDE ? atomic_load(&driver.loop.handed_over) != NULL
                      : driver.model.handed_over.count > 0) &&
        !wakes)
        differ("ET-POOL-11",
               "the loop waits although something was handed over, and nobody is about to wake it");
    check_idle();
    return !failed() && (act_in_world() || step_any()) && !failed();
}

static void on_woken(void *self, int error) {
    (void)self;
    if (failed())
        return;
    uint64_t now_ns = driver.world->clock();
    if (driver.log != NULL)
        note('.', "woken%s%s, the clock stands at +%llu us", error != 0 ? " by " : "",
             error != 0 ? errno_name(error) : "",
             (unsigned long long)((now_ns - CLOCK_START_NS) / 1000));
    if (now_ns != driver.model.clock_ns)
        driver.idle_waits = 0;
    model_clock(&driver.model, now_ns);
    judge(model_woken(&driver.model, error));
    driver.wait.open = error == 0;
    driver.wait.reports = 0;
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
    bool known = fd >= 0 && fd < DESCRIPTORS_MAX;
    if (known &&
        /* a report that something waited for was no vain one: what follows is counted anew */
        (!stale || awaited))
        driver.stale_reports[fd] = 0;
    else if (known && !driver.faults && ++driver.stale_reports[fd] > 2)
        differ("ET-REGISTER-7",
               "descriptor %d is still reported for a file that has left this number", fd);
    judge(model_report(&driver.model, fd, events, stale ? MODEL_STALE : MODEL_SEEN));
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

static enum et_action on_callback(struct et_loop *loop, struct et_completion *c, int64_t result,
                                  void *userdata) {
    unsigned i = index_of(c);
    uint32_t token = (uint32_t)(uintptr_t)userdata;
    if (failed())
        return ET_DISARM;
    finish_wait();
    settle_refusal();
    driver.report->callbacks++;
    driver.idle_waits = 0;
    if (driver.log != NULL)
        note('>', "callback c%u %s", i, result_name(result));
    if (loop != &driver.loop || c != completion(i))
        differ("ET-CALL-2", "a callback got another loop or completion than it was set for");
    settle_unseen_but(result == -ENOENT ? i : COUNT);
    const struct model_completion *before = &driver.model.completion[i];
    if (result < 0 && result > -LOCKSTEP_ERRORS && before->operation < ET_OPERATIONS)
        lockstep_errors[before->operation][-result]++;
    judge(model_callback(&driver.model, i, result, token));
    lockstep_compare();
    if (driver.report->callbacks >= CALLBACKS_MAX) {
        et_loop_stop(&driver.loop);
        model_stop(&driver.model);
    }
    driver.moved &= ~(1U << i);
    enum et_action action = failed() ? ET_DISARM : run_body(token & 7);
    if (failed())
        return ET_DISARM;
    /* its memory is gone: a caller that frees a completion does not rearm it */
    if ((driver.moved >> i & 1) != 0)
        action = ET_DISARM;
    judge(model_returned(&driver.model, action));
    if (driver.log != NULL && action == ET_REARM)
        note('.', "rearm");
    return action;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void check_result(const struct command *command, int result, int expected,
                         const char *clause) {
    if (driver.log != NULL) {
        char text[96], name[32];
        command_text(command, text, sizeof text);
        snprintf(name, sizeof name, "%s", result_name(result));
        if (command->kind == COMMAND_TICK || command->kind == COMMAND_RUN)
            note('>', "%s = %s, %u active", text, name,
                 LOOKS_INSIDE ? driver.loop.active : driver.model.active);
        else if (command->kind == COMMAND_DEINIT || command->kind == COMMAND_POOL ||
                 command->kind == COMMAND_NOTIFY)
            note('>', "%s = %s", text, name);
        else
            note('>', "%s = %s, %s", text, name, state_name(lockstep_state(command->c)));
    }
    if (result != expected && !failed()) {
        char name[32];
        snprintf(name, sizeof name, "%s", result_name(result));
        differ(clause, "the call returned %s, expected %s", name, result_name(expected));
    }
}

static void *new_userdata(unsigned body, uint32_t *token) {
    *token = (++driver.serial & 0xfffffff) << 3 | body;
    return (void *)(uintptr_t)*token;
}

static int descriptor(unsigned d) {
    if (d == PROGRAM_HANDLES)
        return -1;
    return d > PROGRAM_HANDLES ? HUGE_DESCRIPTOR : driver.world->descriptor(d);
}

static void describe_parameters(struct et_completion *c, struct slot *slot,
                                const struct command *command) {
    size_t length = command->value < BUFFER ? (size_t)command->value : BUFFER;
    char *buffer = driver.buffer[command->c];
    switch (command->operation) {
    case ET_CANCEL: c->cancel.target = completion(command->other); break;
    case ET_ACCEPT:
        slot->into = command->other;
        slot->address_length = sizeof slot->address;
        c->accept.address = (struct sockaddr *)&slot->address;
        c->accept.address_length = &slot->address_length;
        c->accept.flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
        break;
    case ET_CONNECT: {
        unsigned size;
        const void *address = driver.world->address(command->other, &size);
        memcpy(&slot->address, address, size);
        c->connect.address = (struct sockaddr *)&slot->address;
        c->connect.address_length = size;
        break;
    }
    case ET_POLL: c->poll.events = (uint32_t)command->value; break;
    case ET_READ:
    case ET_RECV:
    case ET_PREAD:
        c->pread.buffer = buffer;
        c->pread.length = length;
        break;
    case ET_WRITE:
    case ET_SEND:
    case ET_PWRITE:
        /* As an eventfd reads it: 1. What an earlier read left there could be more than an eventfd
         * ever takes. */
        memset(buffer, 0, sizeof(uint64_t));
        buffer[0] = 1;
        c->pwrite.buffer = buffer;
        c->pwrite.length = length;
        break;
    case ET_SENDMSG:
    case ET_RECVMSG:
        slot->iov[0] = (struct iovec){buffer, length / 2};
        slot->iov[1] = (struct iovec){buffer + length / 2, length - length / 2};
        slot->message = (struct msghdr){.msg_iov = slot->iov, .msg_iovlen = 2};
        c->recvmsg.message = &slot->message;
        break;
    case ET_SHUTDOWN: c->shutdown.how = (int)command->value; break;
    case ET_TIMER: c->timer.delay_ms = command->value; break;
    default: break;
    }
}

static void describe(const struct command *command) {
    unsigned i = command->c;
    struct et_completion *c = completion(i);
    if (driver.model.completion[i].state != ET_DEAD)
        return;
    struct model_description d = {.operation = command->operation,
                                  .target = MODEL_NONE,
                                  .pool_mark = command->pool != 0,
                                  .has_callback = command->body != 0};
    memset(&c->cancel, 0,
           offsetof(struct et_completion, internal) - offsetof(struct et_completion, cancel));
    c->operation = command->operation;
    c->on_pool = command->pool != 0;
    c->fd = d.fd = descriptor(command->d);
    c->callback = command->body != 0 ? on_callback : NULL;
    c->userdata = new_userdata(command->body, &d.userdata);
    describe_parameters(c, &driver.slot[i], command);
    /* In its own callback and on its old descriptor: a rearm may still rely on the registration
     * (ET-REGISTER-6). */
    if (command->operation == ET_CANCEL)
        d.target = command->other;
    if (command->operation == ET_POLL)
        d.events = c->poll.events;
    if (command->operation == ET_TIMER)
        d.delay_ms = command->value;
    described(i);
    model_describe(&driver.model, i, &d);
}

static void run_submit(const struct command *command) {
    if (command->kind != COMMAND_ADD)
        describe(command);
    if (command->kind == COMMAND_DESCRIBE)
        return;
    int expected = model_add(&driver.model, command->c);
    check_result(command, et_loop_add(&driver.loop, completion(command->c)), expected, "ET-ADD-1");
}

static void run_delete(const struct command *command) {
    int expected = model_delete(&driver.model, command->c);
    check_result(command, et_loop_delete(&driver.loop, completion(command->c)), expected,
                 "ET-DELETE-1");
}

static void run_timer(const struct command *command) {
    uint32_t token;
    void *userdata = new_userdata(command->body, &token);
    et_callback callback = command->body != 0 ? on_callback : NULL;
    struct et_completion *c = completion(command->c);
    if (command->kind == COMMAND_TIMER) {
        int expected =
            model_timer(&driver.model, command->c, command->value, callback != NULL, token);
        check_result(command, et_loop_timer(&driver.loop, c, command->value, callback, userdata),
                     expected, "ET-TIMER-1");
        return;
    }
    int expected = model_reset(&driver.model, command->c, command->other, command->value,
                               callback != NULL, token);
    int result = et_loop_timer_reset(&driver.loop, c, completion(command->other), command->value,
                                     callback, userdata);
    check_result(command, result, expected, "ET-RESET-1");
}

static void run_cancel(const struct command *command) {
    uint32_t token;
    void *userdata = new_userdata(command->body, &token);
    et_callback callback = command->body != 0 ? on_callback : NULL;
    int expected = model_cancel(&driver.model, command->c, command->other, callback != NULL, token);
    int result = et_loop_cancel(&driver.loop, completion(command->c), completion(command->other),
                                callback, userdata);
    check_result(command, result, expected, "ET-CANCEL-1");
}

static void run_tick(const struct command *command) {
    static const uint64_t asked[] = {0, 1, MODEL_NEVER_REACHED};
    bool run = command->kind == COMMAND_RUN;
    unsigned callbacks = (unsigned)command->value;
    int expected = -EINVAL;
    driver.idle_waits = 0;
    if (!run || command->value < 3)
        expected = model_tick(&driver.model, run ? asked[command->value] : callbacks);
    int result = run ? et_loop_run(&driver.loop, (enum et_run_mode)command->value)
                     : et_loop_tick(&driver.loop, callbacks);
    if (failed())
        return;
    finish_wait();
    settle_refusal();
    settle_unseen();
    if (expected == MODEL_RUNS)
        judge(model_tick_end(&driver.model, result));
    check_result(command, result, expected == MODEL_RUNS ? result : expected, "ET-TICK-1");
}

/* ET-INIT-1. Returns whether there is a loop now. */
static bool try_init(void) {
    struct et_options options = {.descriptors_max = DESCRIPTORS_MAX,
                                 .pool = driver.pool_threads_max > 0 ? &driver.pool : NULL};
    driver.disturbed_by = 0;
    int result = et_loop_init(&driver.loop, &options);
    driver.allocations = world_counts.allocations;
    if (driver.disturbed_by != 0 && result != -driver.disturbed_by)
        differ("ET-INIT-1", "init returned %s, where one of its calls has failed with %s",
               result_name(result), errno_name(driver.disturbed_by));
    if (result == 0)
        return true;
    if (driver.log != NULL)
        note('>', "init = %s", result_name(result));
    driver.report->init_error = -result;
    if (et_loop_tick(&driver.loop, 0) != -EINVAL || et_loop_deinit(&driver.loop) != -EINVAL)
        differ("ET-INIT-1", "a loop whose init has failed takes calls");
    return false;
}

/* What the loop is like after this is compared by the caller: ET-INIT-2. The pool and the asyncs
 * live on. */
void lockstep_init(void) {
    struct model_async async[MODEL_ASYNCS];
    memcpy(async, driver.model.async, sizeof async);
    model_init(&driver.model, COUNT, DESCRIPTORS_MAX, driver.world->clock());
    memcpy(driver.model.async, async, sizeof async);
    driver.model.has_pool = driver.pool_threads_max > 0;
    driver.model.pool_threads_max = driver.pool_threads_max;
    driver.model.pool_threads = driver.workers;
    for (unsigned i = 0; i < COUNT; i++) {
        memset(completion(i), 0, sizeof *completion(i));
    }
    driver.wake_pending = driver.wake_credit = driver.wait.open = false;
    driver.claimed = 0;
    memset(driver.stale_reports, 0, sizeof driver.stale_reports);
    driver.refused.fd = -1;
    see_files();
    bool made = false;
    for (unsigned attempt = 0; attempt < INIT_ATTEMPTS && !made && !failed(); attempt++)
        made = try_init();
    if (made)
        driver.report->init_error = 0;
    else
        driver.report->not_possible = true; /* there is no loop to go on with */
}

/* Returns what the model demands; *result is what the loop returned. */
static int deinit_loop(int *result) {
    if (driver.pool_threads_max > 0 && et_pool_deinit(&driver.pool) != -EBUSY)
        differ("ET-POOL-14", "pool_deinit did not refuse while a loop has the pool");
    int expected = model_deinit(&driver.model);
    driver.deiniting = expected == 0;
    *result = et_loop_deinit(&driver.loop);
    if (*result == 0 && expected == 0 && !failed()) {
        judge(model_deinit_end(&driver.model));
        et_loop_wakeup(&driver.loop); /* ET-WAKE-3: on_tried hears of it if it is not ignored */
        for (unsigned i = 0; i < COUNT; i++)
            if (lockstep_state(i) != ET_DEAD)
                differ("ET-DEINIT-2", "c%u is not dead after deinit", i);
        if (et_loop_tick(&driver.loop, 0) != -EINVAL ||
            et_loop_add(&driver.loop, completion(0)) != -EINVAL)
            differ("ET-DEINIT-4", "a call on a deinitialised loop did not return -EINVAL");
    }
    driver.deiniting = false;
    return expected;
}

/* ET-POOL-14, ET-POOL-16: when no loop has it any more. */
static void end_pool(void) {
    static struct et_loop other;
    struct et_options options = {.descriptors_max = 1, .pool = &driver.pool};
    if (driver.pool_threads_max == 0)
        return;
    driver.pool_threads_max = 0;
    int result = et_pool_deinit(&driver.pool);
    driver.workers = 0;
    if (failed())
        return;
    if (result != 0)
        differ("ET-POOL-14", "pool_deinit returned %s although no loop has the pool",
               result_name(result));
    result = et_loop_init(&other, &options);
    if (et_pool_deinit(&driver.pool) != -EINVAL ||
        (result != -EINVAL && (!driver.faults || result >= 0)))
        differ("ET-POOL-16", "a call with a deinitialised pool did not return -EINVAL");
}

static void begin_pool(unsigned threads_max) {
    struct et_pool_options options = {.threads_max = threads_max};
    for (unsigned attempt = 0; attempt < INIT_ATTEMPTS && threads_max > 0 && !failed(); attempt++) {
        driver.disturbed_by = 0;
        int result = et_pool_init(&driver.pool, &options);
        if (result == 0) {
            driver.pool_threads_max = threads_max;
            return;
        }
        driver.report->init_error = -result;
        if (result != -driver.disturbed_by || et_pool_deinit(&driver.pool) != -EINVAL)
            differ("ET-INIT-3", "pool_init returned %s", result_name(result));
    }
    driver.report->not_possible = driver.report->not_possible || threads_max > 0;
}

static void run_deinit(const struct command *command) {
    int result;
    int expected = deinit_loop(&result);
    check_result(command, result, expected, "ET-DEINIT-1");
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
    if (driver.model.completion[i].state != ET_DEAD || (driver.model.maybe_dead >> i & 1) != 0)
        return;
    /* the caller keeps a cancel's target until the cancel is dead */
    for (unsigned k = 0; k < COUNT; k++)
        if (driver.model.completion[k].state != ET_DEAD &&
            driver.model.completion[k].description.target == i)
            return;
    for (unsigned k = 0; k < COUNT; k++) /* and adds no cancel whose target is gone */
        if (k != i && completion(k)->operation == ET_CANCEL &&
            completion(k)->cancel.target == completion(i))
            completion(k)->cancel.target = &driver.memory[driver.slot[i].generation ^ 1][i];
    POISON(completion(i), sizeof *completion(i));
    driver.slot[i].generation ^= 1;
    driver.moved |= 1U << i;
    UNPOISON(completion(i), sizeof *completion(i));
    memset(completion(i), 0, sizeof *completion(i));
    forgotten(i);
    model_forget(&driver.model, i);
}

/* ---- asyncs ---------------------------------------------------------------------------------- */

static void run_async_wait(const struct command *command) {
    uint32_t token;
    void *userdata = new_userdata(command->body, &token);
    et_callback callback = command->body != 0 ? on_callback : NULL;
    unsigned i = command->c;
    int fd = is_async(command->d) ? driver.async[command->d].fd : -1;
    int expected = model_async_wait(&driver.model, i, fd, callback != NULL, token);
    int result =
        et_async_wait(&driver.loop, &driver.async[command->d], completion(i), callback, userdata);
    check_result(command, result, expected, "ET-ASYNC-1");
}

static void run_notify(const struct command *command) {
    const int untouched = EXDEV;
    int fd = is_async(command->d) ? driver.async[command->d].fd : -1;
    int expected = model_notify(&driver.model, fd);
    world_counts.notifying = expected == 0;
    errno = untouched;
    int result = et_async_notify(&driver.async[command->d]);
    if (errno != untouched)
        differ("ET-ASYNC-4", "notify has changed errno");
    world_counts.notifying = false;
    if (expected == 0)
        driver.notified |= 1u << command->d;
    check_result(command, result, expected, "ET-ASYNC-2");
}

static void open_async(unsigned d) {
    unsigned count = 0;
    for (unsigned i = 0; i < PROGRAM_HANDLES; i++)
        count += is_async(i);
    if (count == MODEL_ASYNCS || driver.world->descriptor(d) >= 0)
        return;
    driver.world->gives((int)d);
    driver.disturbed_by = 0;
    int result = et_async_init(&driver.async[d]);
    driver.world->gives(-1);
    if (result != 0) { /* no number was left, or it was made to fail */
        if (result > 0 || (driver.disturbed_by != 0 && result != -driver.disturbed_by) ||
            et_async_deinit(&driver.async[d]) != -EINVAL ||
            et_async_notify(&driver.async[d]) != -EINVAL)
            differ("ET-INIT-3", "async_init returned %s", result_name(result));
        memset(&driver.async[d], 0, sizeof driver.async[d]);
        return;
    }
    driver.asyncs |= 1u << d;
    driver.notified &= ~(1u << d);
    names_counter(d, ++driver.asyncs_made);
}

/* ET-ASYNC-5 */
static void close_async(unsigned d) {
    int fd = driver.async[d].fd;
    driver.closing = true;
    int result = et_async_deinit(&driver.async[d]);
    driver.closing = false;
    driver.asyncs &= ~(1u << d);
    if (failed())
        return;
    (void)model_async_deinit(&driver.model, fd);
    if (result != 0 || driver.world->descriptor(d) >= 0)
        differ("ET-ASYNC-5", "async_deinit has not released the descriptor");
    if (et_async_deinit(&driver.async[d]) != -EINVAL ||
        et_async_notify(&driver.async[d]) != -EINVAL)
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
    if (command->kind == COMMAND_PEER_WRITE)
        raised_otherwise(driver.world->descriptor(d));
    if (command->kind == COMMAND_DUP && d != command->other && driver.world->descriptor(d) >= 0 &&
        is_async(command->other))
        close_async(command->other);
    return false;
}

static void run_step(const struct command *command) {
    unsigned k = command->other;
    if (k < driver.workers)
        (void)make_step(driver.worker[k]);
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
    if (command->kind == COMMAND_WAKEUP) {
        driver.wake_pending = driver.wake_credit = true;
        const int untouched = EXDEV;
        errno = untouched;
        et_loop_wakeup(&driver.loop);
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
        see_files();
    } else {
        see_files();
    }
    model_clock(&driver.model, driver.world->clock());
}

void lockstep_command(const struct command *command) {
    driver.report->commands++;
    switch ((enum command_kind)command->kind) {
    case COMMAND_SUBMIT:
    case COMMAND_ADD:
    case COMMAND_DESCRIBE: run_submit(command); break;
    case COMMAND_DELETE: run_delete(command); break;
    case COMMAND_TIMER:
    case COMMAND_RESET: run_timer(command); break;
    case COMMAND_CANCEL: run_cancel(command); break;
    case COMMAND_TICK:
    case COMMAND_RUN: run_tick(command); break;
    case COMMAND_STOP:
        et_loop_stop(&driver.loop);
        model_stop(&driver.model);
        break;
    case COMMAND_UPDATE_NOW:
        et_loop_update_now(&driver.loop);
        model_update_now(&driver.model);
        break;
    case COMMAND_DEINIT:
    case COMMAND_POOL: run_deinit(command); break;
    case COMMAND_ASYNC_WAIT: run_async_wait(command); break;
    case COMMAND_FORGET: run_forget(command); break;
    case COMMAND_RETURN: break;
    default: run_world(command); break;
    }
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
    if (driver.loop.descriptors != NULL)
        (void)deinit_loop(&result);
    if (result != 0)
        differ("ET-DEINIT-2", "deinit failed at the end of the program");
    end_pool();
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (is_async(d))
            close_async(d);
}

void lockstep_begin(const struct program *program, const struct world_kind_functions *world,
                    lockstep_log log, void *self, struct lockstep_report *report) {
    memset(report, 0, sizeof *report);
    driver.program = program;
    driver.choose = NULL;
    driver.world = world;
    driver.report = report;
    driver.log = log;
    driver.log_self = self;
    driver.serial = driver.world_next = driver.idle_waits = driver.pool_threads_max =
        driver.workers = driver.asyncs = driver.notified = driver.asyncs_made = 0;
    driver.faults = driver.disturbed = driver.deiniting = driver.closing = false;
    driver.stepping = NULL;
    driver.awaited = NULL;
    memset(&driver.loop, 0, sizeof driver.loop);
    memset(driver.async, 0, sizeof driver.async);
    memset(driver.counter, 0, sizeof driver.counter);
    memset(driver.model.async, 0, sizeof driver.model.async);
    for (unsigned i = 0; i < COUNT; i++) {
        driver.slot[i].generation = 0;
        UNPOISON(&driver.memory[0][i], sizeof driver.memory[0][i]);
        UNPOISON(&driver.memory[1][i], sizeof driver.memory[1][i]);
    }
    memset(driver.named, 0, sizeof driver.named);
    world->begin(&observer, NULL, CLOCK_START_NS);
}

void lockstep_run(const struct program *program, const struct world_kind_functions *world,
                  lockstep_log log, void *self, struct lockstep_report *report) {
    lockstep_begin(program, world, log, self, report);
    if (setjmp(driver.stuck) == 0)
        perform(program);
    if (world_counts.unreleased != 0)
        differ("ET-DEINIT-3", "%lld blocks of memory were not released",
               (long long)world_counts.unreleased);
    int leaked = driver.world->end();
    if (leaked != 0)
        differ("ET-DEINIT-3", "%d descriptors of the loop were not released", leaked);
}
