/* The lockstep driver (lockstep.h). Every call is made on the model and on the loop and compared; whatever the loop asks of the
 * kernel, and every callback, is put before the model at once. After each of these the abstraction of the
 * loop must equal the model: states, deadlines, both queues in order, the active count, the time. */
#include "lockstep.h"

#include "../src/internal.h"
#include "model.h"

/* tests/conformance/strict.c compiles this file a second time, around a loop of which only the interface is known: there the
 * model's word is taken for what cannot be seen. */
#ifdef LOCKSTEP_BY_INTERFACE
#define LOOKS_INSIDE false
#else
#define LOOKS_INSIDE true
#endif

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
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

#define COUNT           PROGRAM_COMPLETIONS
#define DESCRIPTORS_MAX 64
#define HUGE_DESCRIPTOR 1000
#define BUFFER          4096
#define CLOCK_START_NS  UINT64_C(1000000700000) /* not a whole millisecond: rounding errors must show */
#define INIT_ATTEMPTS   4
#define CALLBACKS_MAX   400 /* then the loop is stopped: a program may rearm for ever */
#define COMMANDS_MAX    4000
#define WAITS_MAX       4000 /* then they fail: some sockets are ready for ever without anything to read */
#define IDLE_WAITS_MAX  64   /* in a row, without a callback, a try, or the clock moving */

uint64_t lockstep_allocations;
int64_t lockstep_unreleased;
uint32_t lockstep_errors[ET_OPERATIONS][LOCKSTEP_ERRORS];

#ifdef LOCKSTEP_BY_INTERFACE
static void forgotten(unsigned c); /* the loop is to let go of its memory for c, too */
static void described(unsigned c); /* what has been filled in is not told by a call */
#else
static void described(unsigned c) {
    (void)c;
}

static void forgotten(unsigned c) {
    (void)c;
}
#endif

/* What the driver keeps for one completion of the program. */
struct slot {
    unsigned generation; /* which of the two memories is in use */
    uint32_t body;       /* that the callback runs */
    uint8_t into;        /* of an accept: the handle that the accepted descriptor becomes */
    uint64_t installed;  /* the file behind the descriptor when the operation was first seen waiting; 0: not yet seen */
    struct sockaddr_storage address;
    socklen_t address_length;
    struct iovec iov[2];
    struct msghdr message;
};

static struct lockstep {
    struct et_loop loop;
    struct et_completion memory[2][COUNT];
    struct slot slot[COUNT];
    char buffer[COUNT][BUFFER];
    struct model model;
    const struct program *program;
    const struct world_kind_functions *world;
    struct lockstep_report *report;
    lockstep_log log;
    void *log_self;
    uint32_t serial;     /* makes each userdata unique */
    unsigned world_next; /* in the body of the world */
    unsigned idle_waits;
    struct {
        int fd, operation, error;
        uint32_t kept;
        bool contradicted;
        bool
            both_ways; /* the other way was just refused, as if this one were right: final, or it would go on for ever */
    } refused;         /* not final yet: the loop may try otherwise; fd -1: none */
    bool faults;       /* the program has asked for failures, or was disturbed */
    int disturbed_by;  /* the first failure since init was called */
    bool disturbed;    /* since the last wait */
    bool wake_pending, wake_credit;
    struct {
        bool open, checked;
        uint64_t end_ns;
        int64_t timeout_ns;
        unsigned reports;
    } wait;
    uint64_t allocations;
    uint64_t misled; /* descriptors for which a failure has claimed a registration that is not there */
    uint8_t stale_reports[DESCRIPTORS_MAX]; /* in a row, of a file that has left this number, with nothing waiting */
} s;

/* ---- reporting ---------------------------------------------------------------------------------------- */

static void differ(const char *clause, const char *format, ...) {
    if (s.report->differs)
        return;
    s.report->differs = true;
    snprintf(s.report->clause, sizeof s.report->clause, "%s", clause);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s.report->what, sizeof s.report->what, format, arguments);
    va_end(arguments);
    et_loop_stop(&s.loop); /* the shortest way out of the tick */
}

static bool failed(void) {
    return s.report->differs || s.report->not_possible;
}

/* An observation that the model has judged. */
static void judge(const char *clause) {
    unsigned due = s.model.tick.due_completion;
    if (clause == NULL)
        return;
    if (s.model.in_tick && due < COUNT)
        differ(clause, "%s (c%u comes next, with %lld)", s.model.why, due, (long long)s.model.tick.due_result);
    else
        differ(clause, "%s", s.model.why != NULL ? s.model.why : "");
}

static void note(char mark, const char *format, ...) {
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    s.log(s.log_self, mark, line);
}

static const char *state_name(unsigned state) {
    static const char *const name[] = {"dead", "adding", "active", "deleting"};
    return state < 4 ? name[state] : "no state";
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
    s.faults = s.disturbed = true;
    if (s.disturbed_by == 0)
        s.disturbed_by = error;
}

/* ---- the abstraction ---------------------------------------------------------------------------------- */

static inline struct et_completion *completion(unsigned c) {
    return &s.memory[s.slot[c].generation][c];
}

static unsigned index_of(const struct et_completion *c) {
    return (unsigned)((size_t)(c - &s.memory[0][0]) % COUNT);
}

/* Polls without a callback end unseen: the loop's word is taken for when. */
static void settle_unseen(void) {
    uint32_t dead = 0;
    if (s.model.maybe_dead == 0)
        return;
    for (unsigned i = 0; i < COUNT; i++)
        if (et_completion_state(completion(i)) == ET_DEAD)
            dead |= 1u << i;
    model_settled(&s.model, dead & s.model.maybe_dead);
}

static void compare_queue(const char *name, const struct et_completion *c, bool deletions,
                          const struct model_queue *queue) {
    for (unsigned i = 0; i < queue->count; i++) {
        if (c == NULL || c != completion(queue->item[i])) {
            differ("ET-SUBMIT-1", "place %u of the %s: expected c%u", i, name, queue->item[i]);
            return;
        }
        c = deletions ? c->internal.deletion_next : c->internal.next;
    }
    if (c != NULL)
        differ("ET-SUBMIT-1", "the %s hold more than %u completions", name, queue->count);
}

static void compare_completion(unsigned i) {
    const struct model_completion *expected = &s.model.completion[i];
    const struct et_completion *c = completion(i);
    unsigned state = et_completion_state(c);
    if (state != expected->state)
        differ("ET-STATE-2", "c%u is %s, expected %s", i, state_name(state), state_name(expected->state));
    else if (LOOKS_INSIDE && (state == ET_ACTIVE || state == ET_ADDING) && expected->operation == ET_TIMER &&
             !expected->is_carrier && c->internal.deadline_ms != expected->deadline_ms)
        differ("ET-ADD-7", "the deadline of c%u is %llu, expected %llu", i, (unsigned long long)c->internal.deadline_ms,
               (unsigned long long)expected->deadline_ms);
}

static void compare(void) {
    if (failed())
        return;
    for (unsigned i = 0; i < COUNT; i++)
        if ((s.model.maybe_dead >> i & 1) == 0)
            compare_completion(i);
    if (LOOKS_INSIDE) {
        compare_queue("submissions", s.loop.submissions_head, false, &s.model.submissions);
        compare_queue("deletions", s.loop.deletions_head, true, &s.model.deletions);
    }
    if (LOOKS_INSIDE && s.model.maybe_dead == 0 && s.loop.active != s.model.active)
        differ("ET-STATE-6", "%u completions are active, expected %u", s.loop.active, s.model.active);
    if (et_loop_now(&s.loop) != s.model.now_ms)
        differ("ET-TIME-1", "the loop time is %llu, expected %llu", (unsigned long long)et_loop_now(&s.loop),
               (unsigned long long)s.model.now_ms);
    if (et_loop_stopped(&s.loop) != s.model.stopped)
        differ("ET-STOP-1", "stopped is %d", et_loop_stopped(&s.loop));
    if (lockstep_allocations != s.allocations)
        differ("ET-STATE-8", "memory was allocated after init");
}

/* ---- what the loop asks of the kernel ----------------------------------------------------------------- */

/* ET-WAKE-2, once it is known what a wait has reported: it must have had a reason to end early. */
static void finish_wait(void) {
    if (!s.wait.open)
        return;
    s.wait.open = false;
    if (s.wait.reports > 0 || s.wait.timeout_ns == 0 || s.faults)
        return;
    if (s.wait.timeout_ns > 0 && s.world->clock() >= s.wait.end_ns)
        return;
    if (!s.wake_credit)
        differ("ET-WAKE-2", "a wait ended without a report, a wake-up or its time having come");
    s.wake_credit = false;
}

/* ET-REGISTER-1 and, since a number that was reopened names another file, ET-REGISTER-4. The exception: the caller closed the
 * descriptor since the operation was seen waiting (ET-REGISTER-6: or since it was rearmed). */
static void check_registrations(void) {
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_completion *c = &s.model.completion[i];
        if (c->state != ET_ACTIVE || c->operation < ET_ACCEPT || c->operation > ET_RECVMSG)
            continue;
        uint64_t installed = s.world->installed(c->description.fd);
        if (s.slot[i].installed == 0)
            s.slot[i].installed = installed;
        if (installed == 0 || s.slot[i].installed != installed || (s.misled >> c->description.fd & 1) != 0)
            continue;
        uint32_t needed = EPOLLIN;
        if (c->operation == ET_POLL)
            needed = c->description.events & ~(uint32_t)(EPOLLERR | EPOLLHUP);
        else if (c->operation == ET_CONNECT || c->operation == ET_WRITE || c->operation == ET_PWRITE ||
                 c->operation == ET_SEND || c->operation == ET_SENDMSG)
            needed = EPOLLOUT;
        bool any;
        uint32_t registered = s.world->registered(c->description.fd, &any);
        if (!any || (needed & ~registered) != 0)
            differ("ET-REGISTER-1", "c%u waits on descriptor %d, which is registered for %#x%s, needed %#x", i,
                   c->description.fd, registered, any ? "" : " (not at all)", needed);
    }
}

/* Whether a refusal was final is known when the loop turns to something else. */
static void settle_refusal(void) {
    int fd = s.refused.fd;
    if (fd < 0)
        return;
    s.refused.fd = -1;
    settle_unseen();
    /* After EEXIST there is a registration, of which the kernel has not told what for: the loop's belief is as good as any. */
    if (s.refused.contradicted && LOOKS_INSIDE)
        s.refused.kept =
            s.loop.descriptors[fd].is_registered ? s.loop.descriptors[fd].registered | EPOLLERR | EPOLLHUP : 0;
    if (s.refused.error == (s.refused.operation == EPOLL_CTL_MOD ? ENOENT : EEXIST) && !s.refused.both_ways)
        differ("ET-REGISTER-2", "the registration of descriptor %d was refused and not tried the other way", fd);
    else
        judge(model_refused(&s.model, fd, s.refused.error, s.refused.kept));
}

static bool within(const void *pointer, const void *start, size_t size) {
    return (const char *)pointer >= (const char *)start && (const char *)pointer < (const char *)start + size;
}

static unsigned whose(const void *identity) {
    if (identity == NULL)
        return MODEL_NONE;
    if (within(identity, s.buffer, sizeof s.buffer))
        return (unsigned)((size_t)((const char *)identity - &s.buffer[0][0]) / BUFFER);
    if (within(identity, s.slot, sizeof s.slot))
        return (unsigned)((size_t)((const char *)identity - (const char *)s.slot) / sizeof *s.slot);
    return MODEL_NONE;
}

/* ET-OP-2 */
static void check_arguments(unsigned i, enum et_operation operation, int fd, uint64_t length, int64_t offset,
                            int flags) {
    const struct et_completion *c = completion(i);
    int expected_flags = 0;
    uint64_t expected_length = c->read.length;
    bool right = fd == s.model.completion[i].description.fd && operation == s.model.completion[i].operation;
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
    if (operation == ET_SENDMSG || operation == ET_RECVMSG || operation == ET_ACCEPT || operation == ET_CONNECT)
        expected_length = length;
    if (!right || flags != expected_flags || length != expected_length)
        differ("ET-OP-2", "c%u: %s of %llu bytes on descriptor %d with flags %#x", i, operation_name(operation),
               (unsigned long long)length, fd, (unsigned)flags);
}

static bool has_hung_up(int fd) {
    for (unsigned i = 0; i < s.model.reports; i++)
        if (s.model.report[i].fd == fd && (s.model.report[i].events & (EPOLLHUP | EPOLLERR)) != 0)
            return true;
    return false;
}

static void on_tried(void *self, enum et_operation operation, int fd, const void *identity, uint64_t length,
                     int64_t offset, int flags, int64_t result) {
    (void)self;
    if (failed())
        return;
    finish_wait();
    settle_refusal();
    s.idle_waits =
        0; /* Linux itself reports some sockets for ever that it then does not let us read (shut down for reading) */
    unsigned i = whose(identity);
    if (s.log != NULL)
        note('.', "%s on %d%s%c = %s", operation_name(operation), fd, i == MODEL_NONE ? "" : " for c",
             i == MODEL_NONE ? ' ' : (char)('0' + i), result_name(result));
    if (operation == ET_CONNECT && i == MODEL_NONE && result == -EINPROGRESS && has_hung_up(fd))
        result = -ENOTCONN; /* ET-OP-3 */
    if (i == MODEL_NONE && operation != ET_CONNECT && operation != ET_CLOSE && operation != ET_SHUTDOWN)
        differ("ET-OP-2", "%s on descriptor %d with nobody's buffer or address", operation_name(operation), fd);
    if (i != MODEL_NONE && operation == ET_SEND && s.model.completion[i].operation == ET_WRITE) { /* ET-OP-5 */
        if (result == -ENOTSOCK)
            return;
        operation = ET_WRITE;
        flags -= MSG_NOSIGNAL | MSG_DONTWAIT;
    }
    if (i != MODEL_NONE)
        check_arguments(i, operation, fd, length, offset, flags);
    settle_unseen();
    judge(model_try(&s.model, i, operation, fd, result));
    if (operation == ET_ACCEPT && result >= 0 && i != MODEL_NONE)
        s.world->adopt(s.slot[i].into, (int)result);
    if (operation == ET_CLOSE)
        s.world->released(fd);
}

/* What the loop may believe of a descriptor although it is not so, until the kernel tells it otherwise. */
static uint64_t mislead(uint64_t misled, int fd, int error, bool lie) {
    uint64_t bit = fd >= 0 && fd < DESCRIPTORS_MAX ? UINT64_C(1) << fd : 0;
    if (lie)
        return misled | bit;
    return error == 0 || error == ENOENT ? misled & ~bit : misled;
}

static void on_controlled(void *self, int operation, int fd, uint32_t events, int error, uint32_t kept, bool injected) {
    static const char *const name[] = {"?", "add", "remove", "modify"};
    (void)self;
    if (failed())
        return;
    finish_wait();
    if (s.log != NULL)
        note('.', "register: %s %d for %#x = %s", name[operation & 3], fd, events, result_name(-error));
    /* Or the loop has tried to remove what the number does not name at this moment: ET-REGISTER-7 is the measure then. */
    if (injected || (operation == EPOLL_CTL_DEL && error != 0))
        s.model.forgive_registration = true;
    if (s.refused.fd != fd)
        settle_refusal();
    bool contradicted = s.refused.fd == fd && s.refused.operation == EPOLL_CTL_ADD && s.refused.error == EEXIST;
    bool denied = s.refused.fd == fd && s.refused.operation == EPOLL_CTL_MOD && s.refused.error == ENOENT;
    s.refused.fd = -1;
    s.misled = mislead(s.misled, fd, error, injected && error == EEXIST && kept == 0 && !denied);
    for (unsigned i = 0; i < COUNT && operation != EPOLL_CTL_DEL;
         i++) /* whatever waits on it has been started by now */
        if (s.slot[i].installed == 0 && s.model.completion[i].description.fd == fd)
            s.slot[i].installed = s.world->installed(fd);
    if (error == 0 && fd >= 0 && fd < DESCRIPTORS_MAX)
        s.stale_reports[fd] = 0; /* another registration, which the next files may leave behind */
    if (error == 0 || operation == EPOLL_CTL_DEL)
        return;
    s.refused.fd = fd;
    s.refused.operation = operation;
    s.refused.error = error;
    /* Both answers say that nothing is registered for the file that the number names, whatever a failure was injected into. */
    bool any;
    s.world->registered(fd, &any);
    if (any) /* also for no events at all: these two are always reported */
        kept |= EPOLLERR | EPOLLHUP;
    s.refused.kept = error == EBADF || operation == EPOLL_CTL_ADD ? 0 : kept;
    s.refused.contradicted = contradicted;
    s.refused.both_ways = contradicted || denied;
}

static bool on_waits(void *self, int64_t timeout_ns) {
    (void)self;
    if (failed())
        return false;
    finish_wait();
    settle_refusal();
    if (s.log != NULL && timeout_ns < 0)
        note('.', "wait without limit");
    else if (s.log != NULL)
        note('.', "wait %lld ns", (long long)timeout_ns);
    s.report->waits++;
    if (s.faults)
        s.model.forgive_registration = true;
    settle_unseen();
    judge(model_wait(&s.model, timeout_ns));
    compare();
    check_registrations();
    if (s.disturbed) /* what the kernel refuses again and again the loop cannot end */
        s.idle_waits = 0;
    s.disturbed = false;
    if (++s.idle_waits > IDLE_WAITS_MAX)
        differ("ET-REGISTER-5", "%u waits in a row led to nothing: the loop spins", s.idle_waits);
    if (s.report->waits > WAITS_MAX) {
        judge(model_woken(&s.model, EDEADLK));
        return false;
    }
    s.wait.open = false;
    s.wait.timeout_ns = timeout_ns;
    s.wait.end_ns = s.world->clock() + (uint64_t)(timeout_ns > 0 ? timeout_ns : 0);
    return !failed();
}

static void run_command(const struct command *command);

static bool on_blocked(void *self) {
    (void)self;
    if (failed())
        return false;
    if (s.wake_pending)
        differ("ET-WAKE-1", "the loop waits although it was woken");
    const struct program *p = s.program;
    if (failed() || s.world_next >= p->count[PROGRAM_BODY_WORLD] || s.report->commands >= COMMANDS_MAX)
        return false;
    run_command(&p->command[p->first[PROGRAM_BODY_WORLD] + s.world_next++]);
    return !failed();
}

static void on_woken(void *self, int error) {
    (void)self;
    if (failed())
        return;
    uint64_t now_ns = s.world->clock();
    if (s.log != NULL)
        note('.', "woken%s%s, the clock stands at +%llu us", error != 0 ? " by " : "",
             error != 0 ? errno_name(error) : "", (unsigned long long)((now_ns - CLOCK_START_NS) / 1000));
    if (now_ns != s.model.clock_ns)
        s.idle_waits = 0;
    model_clock(&s.model, now_ns);
    judge(model_woken(&s.model, error));
    s.wait.open = error == 0;
    s.wait.reports = 0;
    if (error == 0)
        s.wake_pending = false;
}

static void on_reported(void *self, int fd, uint32_t events, bool stale) {
    (void)self;
    if (failed())
        return;
    s.wait.reports++;
    if (s.log != NULL)
        note('.', "reported: %d for %#x%s", fd, events, stale ? ", of a file that has left this number" : "");
    bool awaited = false, left = stale;
    for (unsigned i = 0; i < COUNT; i++) {
        if (s.model.completion[i].state != ET_ACTIVE || s.model.completion[i].description.fd != fd)
            continue;
        awaited = true;
        /* Who waited when the caller put another file under the number has no claim to its reports (etalon.md, ET-REGISTER-1). */
        if (s.slot[i].installed != 0 && s.slot[i].installed != s.world->installed(fd))
            left = true;
    }
    bool known = fd >= 0 && fd < DESCRIPTORS_MAX;
    if (known &&
        (!stale || awaited)) /* a report that something waited for was no vain one: what follows is counted anew */
        s.stale_reports[fd] = 0;
    else if (known && !s.faults && ++s.stale_reports[fd] > 2)
        differ("ET-REGISTER-7", "descriptor %d is still reported for a file that has left this number", fd);
    judge(model_report(&s.model, fd, events, left));
}

static const struct world_observer observer = {on_tried, on_controlled, on_waits, on_blocked, on_woken, on_reported};

/* ---- callbacks ---------------------------------------------------------------------------------------- */

static enum et_action run_body(unsigned body) {
    const struct program *p = s.program;
    for (unsigned i = 0; i < p->count[body] && !failed() && s.report->commands < COMMANDS_MAX; i++) {
        const struct command *command = &p->command[p->first[body] + i];
        if (command->kind == COMMAND_RETURN)
            return (enum et_action)command->value;
        run_command(command);
    }
    return ET_DISARM;
}

static enum et_action on_callback(struct et_loop *loop, struct et_completion *c, int64_t result, void *userdata) {
    unsigned i = index_of(c);
    uint32_t token = (uint32_t)(uintptr_t)userdata;
    if (failed())
        return ET_DISARM;
    finish_wait();
    settle_refusal();
    s.report->callbacks++;
    s.idle_waits = 0;
    if (s.log != NULL)
        note('>', "callback c%u %s", i, result_name(result));
    if (loop != &s.loop || c != completion(i))
        differ("ET-CALL-2", "a callback got another loop or completion than it was set for");
    settle_unseen();
    const struct model_completion *before = &s.model.completion[i];
    bool cancelled = result == -ECANCELED && s.model.tick.answered != i; /* and not told so by a try, as of a timerfd */
    bool reported = before->state == ET_ACTIVE && before->order < s.model.tick.orders_asked && !cancelled;
    if (result < 0 && result > -LOCKSTEP_ERRORS && before->operation < ET_OPERATIONS)
        lockstep_errors[before->operation][-result]++;
    judge(model_callback(&s.model, i, result, token));
    compare();
    if (reported && s.slot[i].installed == 0)
        s.slot[i].installed = s.world->installed(s.model.completion[i].description.fd);
    if (s.report->callbacks >= CALLBACKS_MAX) {
        et_loop_stop(&s.loop);
        model_stop(&s.model);
    }
    enum et_action action = failed() ? ET_DISARM : run_body(token & 7);
    if (failed())
        return ET_DISARM;
    if (c != completion(i)) /* its memory is gone: a caller that frees a completion does not rearm it */
        action = ET_DISARM;
    if (action == ET_REARM && !reported) /* ET-REGISTER-6 does not speak of it: it is as a fresh one */
        s.slot[i].installed = 0;
    judge(model_returned(&s.model, action));
    if (s.log != NULL && action == ET_REARM)
        note('.', "rearm");
    return action;
}

/* ---- commands ----------------------------------------------------------------------------------------- */

static void check_result(const struct command *command, int result, int expected, const char *clause) {
    if (s.log != NULL) {
        char text[96], name[32];
        command_text(command, text, sizeof text);
        snprintf(name, sizeof name, "%s", result_name(result));
        if (command->kind == COMMAND_TICK || command->kind == COMMAND_RUN)
            note('>', "%s = %s, %u active", text, name, LOOKS_INSIDE ? s.loop.active : s.model.active);
        else if (command->kind == COMMAND_DEINIT)
            note('>', "%s = %s", text, name);
        else
            note('>', "%s = %s, %s", text, name, state_name(et_completion_state(completion(command->c))));
    }
    if (result != expected && !failed()) {
        char name[32];
        snprintf(name, sizeof name, "%s", result_name(result));
        differ(clause, "the call returned %s, expected %s", name, result_name(expected));
    }
}

static void *new_userdata(unsigned body, uint32_t *token) {
    *token = (++s.serial & 0xfffffff) << 3 | body;
    return (void *)(uintptr_t)*token;
}

static int descriptor(unsigned d) {
    if (d == PROGRAM_HANDLES)
        return -1;
    return d > PROGRAM_HANDLES ? HUGE_DESCRIPTOR : s.world->descriptor(d);
}

static void describe_parameters(struct et_completion *c, struct slot *slot, const struct command *command) {
    size_t length = command->value < BUFFER ? (size_t)command->value : BUFFER;
    char *buffer = s.buffer[command->c];
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
        const void *address = s.world->address(command->other, &size);
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
        /* As an eventfd reads it: 1. What an earlier read left there could be more than an eventfd ever takes. */
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
    if (s.model.completion[i].state != ET_DEAD)
        return;
    struct model_description d = {.operation = command->operation,
                                  .target = MODEL_NONE,
                                  .pool_mark = command->pool != 0,
                                  .has_callback = command->body != 0};
    memset(&c->cancel, 0, offsetof(struct et_completion, internal) - offsetof(struct et_completion, cancel));
    c->operation = command->operation;
    c->on_pool = command->pool != 0;
    c->fd = d.fd = descriptor(command->d);
    c->callback = command->body != 0 ? on_callback : NULL;
    c->userdata = new_userdata(command->body, &d.userdata);
    describe_parameters(c, &s.slot[i], command);
    /* In its own callback and on its old descriptor: a rearm may still rely on the registration (ET-REGISTER-6). */
    if (s.model.in_callback != i || d.fd != s.model.completion[i].description.fd)
        s.slot[i].installed = 0;
    if (command->operation == ET_CANCEL)
        d.target = command->other;
    if (command->operation == ET_POLL)
        d.events = c->poll.events;
    if (command->operation == ET_TIMER)
        d.delay_ms = command->value;
    described(i);
    model_describe(&s.model, i, &d);
}

static void run_submit(const struct command *command) {
    if (command->kind != COMMAND_ADD)
        describe(command);
    if (command->kind == COMMAND_DESCRIBE)
        return;
    if (s.model.completion[command->c].state == ET_DEAD)
        s.slot[command->c].installed = 0;
    int expected = model_add(&s.model, command->c);
    check_result(command, et_loop_add(&s.loop, completion(command->c)), expected, "ET-ADD-1");
}

static void run_delete(const struct command *command) {
    int expected = model_delete(&s.model, command->c);
    check_result(command, et_loop_delete(&s.loop, completion(command->c)), expected, "ET-DELETE-1");
}

static void run_timer(const struct command *command) {
    uint32_t token;
    void *userdata = new_userdata(command->body, &token);
    et_callback callback = command->body != 0 ? on_callback : NULL;
    struct et_completion *c = completion(command->c);
    if (command->kind == COMMAND_TIMER) {
        int expected = model_timer(&s.model, command->c, command->value, callback != NULL, token);
        check_result(command, et_loop_timer(&s.loop, c, command->value, callback, userdata), expected, "ET-TIMER-1");
        return;
    }
    int expected = model_reset(&s.model, command->c, command->other, command->value, callback != NULL, token);
    int result = et_loop_timer_reset(&s.loop, c, completion(command->other), command->value, callback, userdata);
    check_result(command, result, expected, "ET-RESET-1");
}

static void run_cancel(const struct command *command) {
    uint32_t token;
    void *userdata = new_userdata(command->body, &token);
    et_callback callback = command->body != 0 ? on_callback : NULL;
    int expected = model_cancel(&s.model, command->c, command->other, callback != NULL, token);
    int result = et_loop_cancel(&s.loop, completion(command->c), completion(command->other), callback, userdata);
    check_result(command, result, expected, "ET-CANCEL-1");
}

static void run_tick(const struct command *command) {
    static const uint64_t asked[] = {0, 1, MODEL_NEVER_REACHED};
    bool run = command->kind == COMMAND_RUN;
    unsigned callbacks = (unsigned)command->value;
    int expected = -EINVAL;
    s.idle_waits = 0;
    if (!run || command->value < 3)
        expected = model_tick(&s.model, run ? asked[command->value] : callbacks);
    int result = run ? et_loop_run(&s.loop, (enum et_run_mode)command->value) : et_loop_tick(&s.loop, callbacks);
    if (failed())
        return;
    finish_wait();
    settle_refusal();
    settle_unseen();
    if (expected == MODEL_RUNS)
        judge(model_tick_end(&s.model, result));
    check_result(command, result, expected == MODEL_RUNS ? result : expected, "ET-TICK-1");
}

/* ET-INIT-1. Returns whether there is a loop now. */
static bool try_init(void) {
    struct et_options options = {.descriptors_max = DESCRIPTORS_MAX};
    s.disturbed_by = 0;
    int result = et_loop_init(&s.loop, &options);
    s.allocations = lockstep_allocations;
    if (s.disturbed_by != 0 && result != -s.disturbed_by)
        differ("ET-INIT-1", "init returned %s, where one of its calls has failed with %s", result_name(result),
               errno_name(s.disturbed_by));
    if (result == 0)
        return true;
    if (s.log != NULL)
        note('>', "init = %s", result_name(result));
    s.report->init_error = -result;
    if (et_loop_tick(&s.loop, 0) != -EINVAL || et_loop_deinit(&s.loop) != -EINVAL)
        differ("ET-INIT-1", "a loop whose init has failed takes calls");
    return false;
}

/* What the loop is like after this is compared by the caller: ET-INIT-2. */
static void init_loop(void) {
    model_init(&s.model, COUNT, DESCRIPTORS_MAX, s.world->clock());
    for (unsigned i = 0; i < COUNT; i++) {
        memset(completion(i), 0, sizeof *completion(i));
        s.slot[i].installed = 0;
    }
    s.wake_pending = s.wake_credit = s.wait.open = false;
    s.misled = 0;
    memset(s.stale_reports, 0, sizeof s.stale_reports);
    s.refused.fd = -1;
    bool made = false;
    for (unsigned attempt = 0; attempt < INIT_ATTEMPTS && !made && !failed(); attempt++)
        made = try_init();
    if (made)
        s.report->init_error = 0;
    else
        s.report->not_possible = true; /* there is no loop to go on with */
}

static void run_deinit(const struct command *command) {
    int expected = model_deinit(&s.model);
    check_result(command, et_loop_deinit(&s.loop), expected, "ET-DEINIT-1");
    if (failed() || expected != 0)
        return;
    for (unsigned i = 0; i < COUNT; i++)
        if (et_completion_state(completion(i)) != ET_DEAD)
            differ("ET-DEINIT-2", "c%u is not dead after deinit", i);
    if (et_loop_tick(&s.loop, 0) != -EINVAL || et_loop_add(&s.loop, completion(0)) != -EINVAL)
        differ("ET-DEINIT-4", "a call on a deinitialised loop did not return -EINVAL");
    init_loop();
}

/* ET-STATE-7: what the caller may do with a dead completion: its memory is gone, and c lives elsewhere. */
static void run_forget(const struct command *command) {
    unsigned i = command->c;
    if (s.model.completion[i].state != ET_DEAD || (s.model.maybe_dead >> i & 1) != 0)
        return;
    for (unsigned k = 0; k < COUNT; k++) /* the caller keeps a cancel's target until the cancel is dead */
        if (s.model.completion[k].state != ET_DEAD && s.model.completion[k].description.target == i)
            return;
    for (unsigned k = 0; k < COUNT; k++) /* and adds no cancel whose target is gone */
        if (k != i && completion(k)->operation == ET_CANCEL && completion(k)->cancel.target == completion(i))
            completion(k)->cancel.target = &s.memory[s.slot[i].generation ^ 1][i];
    POISON(completion(i), sizeof *completion(i));
    s.slot[i].generation ^= 1;
    UNPOISON(completion(i), sizeof *completion(i));
    memset(completion(i), 0, sizeof *completion(i));
    forgotten(i);
    model_forget(&s.model, i);
}

static void run_world(const struct command *command) {
    if (s.log != NULL) {
        char text[96];
        command_text(command, text, sizeof text);
        note('.', "world: %s", text);
    }
    s.idle_waits = 0;
    if (command->kind == COMMAND_FAIL)
        s.faults = true;
    if (command->kind == COMMAND_WAKEUP) {
        s.wake_pending = s.wake_credit = true;
        et_loop_wakeup(&s.loop);
    } else if (!s.world->command(command)) {
        s.report->not_possible = true;
    }
    model_clock(&s.model, s.world->clock());
}

static void run_command(const struct command *command) {
    s.report->commands++;
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
        et_loop_stop(&s.loop);
        model_stop(&s.model);
        break;
    case COMMAND_UPDATE_NOW:
        et_loop_update_now(&s.loop);
        model_update_now(&s.model);
        break;
    case COMMAND_DEINIT: run_deinit(command); break;
    case COMMAND_FORGET: run_forget(command); break;
    case COMMAND_RETURN: break;
    default: run_world(command); break;
    }
    compare();
}

/* ---- programs ----------------------------------------------------------------------------------------- */

void lockstep_run(const struct program *program, const struct world_kind_functions *world, lockstep_log log, void *self,
                  struct lockstep_report *report) {
    memset(report, 0, sizeof *report);
    s.program = program;
    s.world = world;
    s.report = report;
    s.log = log;
    s.log_self = self;
    s.serial = s.world_next = s.idle_waits = 0;
    s.faults = s.disturbed = false;
    for (unsigned i = 0; i < COUNT; i++) {
        s.slot[i].generation = 0;
        UNPOISON(&s.memory[0][i], sizeof s.memory[0][i]);
        UNPOISON(&s.memory[1][i], sizeof s.memory[1][i]);
    }
    world->begin(&observer, NULL, CLOCK_START_NS);
    init_loop();
    if (!failed())
        compare();
    for (unsigned i = 0; i < program->count[0] && !failed() && report->commands < COMMANDS_MAX; i++)
        run_command(&program->command[program->first[0] + i]);
    if (s.loop.descriptors != NULL && et_loop_deinit(&s.loop) != 0)
        differ("ET-DEINIT-2", "deinit failed at the end of the program");
    if (lockstep_unreleased != 0)
        differ("ET-DEINIT-3", "%lld blocks of memory were not released", (long long)lockstep_unreleased);
    int leaked = world->end();
    if (leaked != 0)
        differ("ET-DEINIT-3", "%d descriptors of the loop were not released", leaked);
}
