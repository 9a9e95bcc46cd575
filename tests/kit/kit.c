/* SPDX-License-Identifier: MIT */
/* What both judges and the runner need: the names of the capabilities, which clauses can be judged
 * from outside, what a program needs of a subject, and the events of a run. */
#ifndef ETALON_WITHOUT_KIT

#include "kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../fuzz/driver/generator.h"
#include "../../fuzz/world/interpose.h"
#include "../../src/etalon_vocabulary.h"

const char *const verdict_name[VERDICTS] = {"pass",        "not_strict", "fail",
                                            "not_offered", "hang",       "crash"};

static const struct {
    uint64_t bit;
    const char *name;
} capabilities[] = {
    {ETALON_OFFERS_TIMERS, "timers"},
    {ETALON_OFFERS_RESET, "reset"},
    {ETALON_OFFERS_CANCEL, "cancel"},
    {ETALON_OFFERS_DELETE, "delete"},
    {ETALON_OFFERS_READD, "readd"},
    {ETALON_OFFERS_REARM, "rearm"},
    {ETALON_OFFERS_NO_WAIT, "no_wait"},
    {ETALON_OFFERS_ONCE, "once"},
    {ETALON_OFFERS_UNTIL_DONE, "until_done"},
    {ETALON_OFFERS_TICK, "tick"},
    {ETALON_OFFERS_STOP, "stop"},
    {ETALON_OFFERS_STOPPED, "stopped"},
    {ETALON_OFFERS_WAKEUP, "wakeup"},
    {ETALON_OFFERS_NOW, "now"},
    {ETALON_OFFERS_UPDATE_NOW, "update_now"},
    {ETALON_OFFERS_STATE, "state"},
    {ETALON_OFFERS_IN_USE, "in_use"},
    {ETALON_OFFERS_DEINIT, "deinit"},
    {ETALON_OFFERS_GUARDED, "guarded"},
    {ETALON_OFFERS_CHECKED, "checked"},
    {ETALON_OFFERS_NULL_CALLBACK, "null_callback"},
    {ETALON_OFFERS_FORGET, "forget"},
    {ETALON_OFFERS_RESET_ALONE, "reset_alone"},
    {ETALON_OFFERS_TURN, "turn"},
    {ETALON_OFFERS_HOSTED, "hosted"},
    {ETALON_OFFERS_GUARDED_DEINIT, "guarded_deinit"},
    {ETALON_OFFERS_POLL, "poll"},
    {ETALON_OFFERS_POLL_MORE, "poll_more"},
    {ETALON_OFFERS_MANY_POLLS, "many_polls"},
    {ETALON_OFFERS_CLOSED_EARLY, "closed_early"},
    {ETALON_OFFERS_EDGES, "edges"},
    {ETALON_OFFERS_THREADS, "threads"},
    {ETALON_OFFERS_NOOP, "noop"},
    {ETALON_OFFERS_READ, "read"},
    {ETALON_OFFERS_POSITIONED, "positioned"},
    {ETALON_OFFERS_SEND, "send"},
    {ETALON_OFFERS_MESSAGES, "messages"},
    {ETALON_OFFERS_ACCEPT, "accept"},
    {ETALON_OFFERS_CONNECT, "connect"},
    {ETALON_OFFERS_CLOSE, "close"},
    {ETALON_OFFERS_SHUTDOWN, "shutdown"},
    {ETALON_OFFERS_FILES, "files"},
    {ETALON_OFFERS_POOL, "pool"},
    {ETALON_OFFERS_ASYNC, "async"},
    {ETALON_OFFERS_ASYNC_KEPT, "async_kept"},
    {ETALON_OFFERS_ROUNDS, "rounds"},
    {ETALON_OFFERS_DESCRIPTOR_LIMIT, "descriptor_limit"},
    {ETALON_OFFERS_UNTIL_STOPPED, "until_stopped"},
    {ETALON_OFFERS_DELETES_LATER, "deletes_later"},
    {ETALON_OFFERS_REARM_TIMERS, "rearm_timers"},
    {ETALON_OFFERS_REPEATS, "repeats"},
    {ETALON_OFFERS_NESTS, "nests"},
};

const char *capability_name(unsigned bit) {
    for (unsigned i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        if (capabilities[i].bit == UINT64_C(1) << bit)
            return capabilities[i].name;
    return NULL;
}

/* ---- clauses --------------------------------------------------------------------------------- */

/* What the judge from outside has a rule for. A clause that is not here speaks of rounds, states or
 * system calls. */
static const struct {
    const char *clause;
    uint64_t needs;
} seen[] = {
    {"ET-STATE-2", ETALON_OFFERS_IN_USE},
    {"ET-STATE-3", 0},
    {"ET-STATE-4", ETALON_OFFERS_NULL_CALLBACK},
    {"ET-STATE-7", ETALON_OFFERS_FORGET},
    {"ET-STATE-9", 0},
    {"ET-ADD-1", 0},
    {"ET-ADD-3", ETALON_OFFERS_CHECKED},
    {"ET-ADD-5", ETALON_OFFERS_CHECKED},
    {"ET-ADD-7", ETALON_OFFERS_TIMERS},
    {"ET-DELETE-1", ETALON_OFFERS_DELETE},
    {"ET-DELETE-3", ETALON_OFFERS_DELETE},
    {"ET-DELETE-4", ETALON_OFFERS_DELETE},
    {"ET-LINGER-2", ETALON_OFFERS_DELETE | ETALON_OFFERS_DELETES_LATER},
    {"ET-TIMER-1", ETALON_OFFERS_TIMERS},
    {"ET-TIMER-4", ETALON_OFFERS_CHECKED},
    {"ET-REPEAT-1", ETALON_OFFERS_TIMERS | ETALON_OFFERS_REPEATS},
    {"ET-RESET-1", ETALON_OFFERS_RESET},
    {"ET-RESET-3", ETALON_OFFERS_RESET},
    {"ET-RESET-4", ETALON_OFFERS_RESET},
    {"ET-CANCEL-1", ETALON_OFFERS_CANCEL},
    {"ET-CANCEL-2", ETALON_OFFERS_CANCEL | ETALON_OFFERS_CHECKED},
    {"ET-CANCEL-4", ETALON_OFFERS_CANCEL},
    {"ET-CANCEL-6", ETALON_OFFERS_CANCEL},
    {"ET-CANCEL-11", ETALON_OFFERS_CANCEL},
    {"ET-CALL-1", ETALON_OFFERS_IN_USE},
    {"ET-CALL-2", 0},
    {"ET-CALL-3", ETALON_OFFERS_REARM},
    {"ET-CALL-4", 0},
    {"ET-CALL-5", 0},
    {"ET-TIME-1", ETALON_OFFERS_NOW},
    {"ET-TIME-2", ETALON_OFFERS_NOW},
    {"ET-TIME-3", ETALON_OFFERS_NOW},
    {"ET-TICK-1", ETALON_OFFERS_STOPPED},
    {"ET-TICK-2", ETALON_OFFERS_GUARDED},
    {"ET-TICK-4", ETALON_OFFERS_TICK},
    {"ET-TICK-5", ETALON_OFFERS_WAKEUP | ETALON_OFFERS_ONCE},
    {"ET-TICK-7", 0},
    {"ET-RUN-1", ETALON_OFFERS_NO_WAIT},
    {"ET-RUN-2", ETALON_OFFERS_ONCE},
    {"ET-RUN-3", ETALON_OFFERS_UNTIL_DONE},
    {"ET-RUN-4", ETALON_OFFERS_CHECKED},
    {"ET-RUN-5", ETALON_OFFERS_TURN},
    {"ET-RUN-6", ETALON_OFFERS_UNTIL_STOPPED},
    {"ET-RUN-7", ETALON_OFFERS_NESTS},
    {"ET-HOST-1", ETALON_OFFERS_HOSTED},
    {"ET-HOST-2", ETALON_OFFERS_HOSTED},
    {"ET-HOST-3", ETALON_OFFERS_HOSTED | ETALON_OFFERS_STOPPED},
    {"ET-HOST-4", ETALON_OFFERS_HOSTED},
    {"ET-HOST-5", ETALON_OFFERS_HOSTED},
    {"ET-HOST-6", ETALON_OFFERS_HOSTED},
    {"ET-STOP-1", ETALON_OFFERS_STOPPED},
    {"ET-STOP-2", ETALON_OFFERS_STOP},
    {"ET-INIT-1", ETALON_OFFERS_DEINIT},
    {"ET-INIT-2", 0},
    {"ET-INIT-5", 0},
    {"ET-DEINIT-1", ETALON_OFFERS_GUARDED_DEINIT},
    {"ET-DEINIT-2", ETALON_OFFERS_DEINIT},
    {"ET-DEINIT-3", ETALON_OFFERS_DEINIT},
    {"ET-WAKE-1", ETALON_OFFERS_WAKEUP},
    {"ET-WAKE-4", ETALON_OFFERS_WAKEUP},
    {"ET-SUBMIT-2", ETALON_OFFERS_NOOP},
    {"ET-SUBMIT-8", ETALON_OFFERS_SEND},
    {"ET-CLOSE-1", ETALON_OFFERS_CLOSE},
    {"ET-CLOSE-2", ETALON_OFFERS_CLOSE},
    {"ET-CLOSE-4", 0},
    {"ET-EXPIRE-1", ETALON_OFFERS_TIMERS},
    {"ET-EXPIRE-2", ETALON_OFFERS_TIMERS},
    {"ET-EXPIRE-3", ETALON_OFFERS_TIMERS},
    {"ET-EXPIRE-4", ETALON_OFFERS_TIMERS},
    {"ET-REGISTER-1", ETALON_OFFERS_POLL},
    {"ET-REGISTER-4", ETALON_OFFERS_POLL},
    {"ET-REGISTER-5", ETALON_OFFERS_POLL},
    {"ET-REGISTER-9", ETALON_OFFERS_POLL},
    {"ET-REGISTER-10", ETALON_OFFERS_POLL},
    {"ET-WAIT-1", 0},
    {"ET-WAIT-2", ETALON_OFFERS_TIMERS},
    {"ET-WAIT-4", ETALON_OFFERS_TIMERS},
    {"ET-WAIT-5", 0},
    {"ET-EVENT-1", ETALON_OFFERS_READ},
    {"ET-EVENT-4", ETALON_OFFERS_POLL},
    {"ET-EVENT-5", ETALON_OFFERS_MANY_POLLS},
    {"ET-EVENT-6", ETALON_OFFERS_POLL},
    {"ET-PROGRESS-1", 0},
    {"ET-PROGRESS-2", 0},
    {"ET-OP-1", 0},
    {"ET-OP-4", ETALON_OFFERS_READ},
    {"ET-OP-5", ETALON_OFFERS_READ},
    {"ET-OP-6", 0},
    {"ET-ASYNC-1", ETALON_OFFERS_ASYNC},
    {"ET-ASYNC-2", ETALON_OFFERS_ASYNC},
    {"ET-ASYNC-3", ETALON_OFFERS_ASYNC},
    {"ET-ASYNC-4", ETALON_OFFERS_ASYNC},
    {"ET-ASYNC-5", ETALON_OFFERS_ASYNC},
};

bool clause_seen_from_outside(const char *clause, uint64_t *needs) {
    for (unsigned i = 0; i < sizeof seen / sizeof *seen; i++)
        if (strcmp(seen[i].clause, clause) == 0) {
            *needs = seen[i].needs;
            return true;
        }
    return false;
}

/* A clause's needs are met: a state query tells more than IN_USE asks for. */
static bool judged(const struct etalon_subject *subject, const char *clause) {
    uint64_t needs, offers = subject->offers;
    if ((offers & ETALON_OFFERS_ROUNDS) != 0)
        return true;
    if ((offers & ETALON_OFFERS_STATE) != 0)
        offers |= ETALON_OFFERS_IN_USE;
    if ((offers & (ETALON_OFFERS_REARM_TIMERS | ETALON_OFFERS_REPEATS)) != 0)
        offers |= ETALON_OFFERS_REARM;
    return clause_seen_from_outside(clause, &needs) && (offers & needs) == needs;
}

/* ---- what is tolerated ---------------------------------------------------------------------- */

#define TOLERATED_MAX 32

static const char *tolerated[TOLERATED_MAX];
static unsigned tolerated_count;

/* Behind these there is nothing: the loop does not come back to the program. */
static bool has_nothing_behind(const char *failure) {
    static const char *const last[] = {"ET-WAIT-3", "ET-REGISTER-5", "ET-TICK-3",
                                       "ET-WAIT-2/forever"};
    const char *slash = strchr(failure, '/');
    bool found = slash != NULL && strcmp(slash, "/spins") == 0;
    for (unsigned i = 0; i < sizeof last / sizeof *last; i++)
        found = found || strcmp(failure, last[i]) == 0;
    return found;
}

const char *kit_tolerate(const char *failure) {
    if (!outside_finds(failure))
        return "no such failure (RUNNER.md has the table of them)";
    if (has_nothing_behind(failure))
        return "nothing comes behind this failure";
    if (tolerated_count == TOLERATED_MAX)
        return "too many";
    tolerated[tolerated_count++] = failure;
    return NULL;
}

bool kit_tolerates(const char *failure) {
    for (unsigned i = 0; i < tolerated_count; i++) {
        size_t length = strlen(tolerated[i]);
        if (strncmp(failure, tolerated[i], length) == 0 && strchr("/", failure[length]) != NULL &&
            !has_nothing_behind(failure))
            return true;
    }
    return false;
}

/* ---- what a program needs -------------------------------------------------------------------- */

static uint64_t operation_needs(const struct command *command) {
    static const uint64_t needs[ET_OPERATIONS] = {
        [ET_NOOP] = ETALON_OFFERS_NOOP,         [ET_CANCEL] = ETALON_OFFERS_CANCEL,
        [ET_ACCEPT] = ETALON_OFFERS_ACCEPT,     [ET_CONNECT] = ETALON_OFFERS_CONNECT,
        [ET_POLL] = ETALON_OFFERS_POLL,         [ET_READ] = ETALON_OFFERS_READ,
        [ET_WRITE] = ETALON_OFFERS_READ,        [ET_PREAD] = ETALON_OFFERS_POSITIONED,
        [ET_PWRITE] = ETALON_OFFERS_POSITIONED, [ET_SEND] = ETALON_OFFERS_SEND,
        [ET_RECV] = ETALON_OFFERS_SEND,         [ET_SENDMSG] = ETALON_OFFERS_MESSAGES,
        [ET_RECVMSG] = ETALON_OFFERS_MESSAGES,  [ET_CLOSE] = ETALON_OFFERS_CLOSE,
        [ET_SHUTDOWN] = ETALON_OFFERS_SHUTDOWN, [ET_TIMER] = ETALON_OFFERS_TIMERS,
    };
    uint64_t needed =
        command->operation < ET_OPERATIONS ? needs[command->operation] : ETALON_OFFERS_CHECKED;
    if (command->operation == ET_POLL && (command->value & ~UINT64_C(5)) != 0)
        needed |= ETALON_OFFERS_POLL_MORE;
    if (command->operation == ET_POLL && command->value == 0)
        needed |= ETALON_OFFERS_POLL_MORE;
    if (command->pool != 0)
        needed |= ETALON_OFFERS_CHECKED;
    return needed;
}

static uint64_t run_needs(const struct command *command) {
    static const uint64_t modes[] = {ETALON_OFFERS_NO_WAIT, ETALON_OFFERS_ONCE,
                                     ETALON_OFFERS_UNTIL_DONE, ETALON_OFFERS_TURN};
    if (command->value <= (command->kind == COMMAND_RUN ? ET_RUN_TURN : 1))
        return modes[command->value];
    return command->kind == COMMAND_RUN ? ETALON_OFFERS_CHECKED : ETALON_OFFERS_TICK;
}

static uint64_t command_needs(const struct command *command) {
    switch ((enum command_kind)command->kind) {
    case COMMAND_SUBMIT:
    case COMMAND_DESCRIBE: return operation_needs(command);
    case COMMAND_DELETE: return ETALON_OFFERS_DELETE;
    case COMMAND_TIMER: return ETALON_OFFERS_TIMERS;
    case COMMAND_RESET:
        return ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET |
               (command->other < PROGRAM_COMPLETIONS ? 0 : ETALON_OFFERS_RESET_ALONE);
    case COMMAND_CANCEL: return ETALON_OFFERS_CANCEL;
    case COMMAND_TICK:
    case COMMAND_RUN: return run_needs(command);
    case COMMAND_STOP: return ETALON_OFFERS_STOP;
    case COMMAND_TIMEOUT:
    case COMMAND_DESCRIPTOR: return ETALON_OFFERS_HOSTED;
    case COMMAND_UPDATE_NOW: return ETALON_OFFERS_UPDATE_NOW;
    case COMMAND_DEINIT: return ETALON_OFFERS_DEINIT;
    case COMMAND_FORGET: return ETALON_OFFERS_FORGET;
    case COMMAND_WAKEUP: return ETALON_OFFERS_WAKEUP;
    case COMMAND_RETURN: return command->value == 1 ? ETALON_OFFERS_REARM : 0;
    case COMMAND_SPURIOUS:
    case COMMAND_ORDER:
    case COMMAND_BATCH: return ETALON_OFFERS_ROUNDS;
    case COMMAND_LIMIT: return ETALON_OFFERS_ACCEPT;
    /* any wait can be interrupted; what else a loop makes of a failing kernel is its own business
     */
    case COMMAND_FAIL:
        if (command->call == FAULTY_EPOLL_CREATE && command->error == EMFILE && command->value == 1)
            return ETALON_OFFERS_DEINIT; /* whatever it opens, there is no number for it */
        if (command->call == FAULTY_EPOLL_CTL &&
            (command->error == ENOMEM || command->error == ENOSPC))
            return ETALON_OFFERS_STATE; /* others end the process then, or register at the call */
        if (command->error != EINTR)
            return ETALON_OFFERS_ROUNDS;
        return command->call == FAULTY_EPOLL_WAIT ? 0
               : command->call == FAULTY_CLOSE    ? ETALON_OFFERS_CLOSE
                                                  : ETALON_OFFERS_ROUNDS;
    case COMMAND_OPEN:
        if (command->value == WORLD_ASYNC)
            return ETALON_OFFERS_ASYNC;
        return command->value == WORLD_TIMERFD ? ETALON_OFFERS_ROUNDS : 0;
    case COMMAND_POOL:
    /* RUNNER.md: the strict judge's alone */
    case COMMAND_STEP: return ETALON_OFFERS_POOL | ETALON_OFFERS_ROUNDS;
    case COMMAND_ASYNC_WAIT:
    case COMMAND_NOTIFY: return ETALON_OFFERS_ASYNC;
    default: return 0;
    }
}

/* What commands can ask for, beside what is offered by name. */
static uint64_t can_be_asked(const struct etalon_subject *subject) {
    uint64_t offered = subject->offers;
    if ((offered & (ETALON_OFFERS_REARM_TIMERS | ETALON_OFFERS_REPEATS)) != 0)
        offered |= ETALON_OFFERS_REARM;               /* until something else is rearmed */
    if ((offered & ETALON_OFFERS_UNTIL_STOPPED) != 0) /* the runner stops it */
        offered |= ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_TICK;
    return offered;
}

bool kit_can(const struct etalon_subject *subject, const struct command *command) {
    return (command_needs(command) & ~can_be_asked(subject)) == 0;
}

/* Who offers this can be asked for most of what there is: each second program is a bold one. */
#define EVERYTHING                                                                                 \
    (ETALON_OFFERS_CHECKED | ETALON_OFFERS_GUARDED | ETALON_OFFERS_GUARDED_DEINIT |                \
     ETALON_OFFERS_READD | ETALON_OFFERS_STATE | ETALON_OFFERS_READ | ETALON_OFFERS_SEND)

static bool subject_can(const void *subject, const struct command *command) {
    return kit_can(subject, command);
}

void random_program(struct program *program, uint64_t seed, uint64_t number,
                    const struct etalon_subject *subject) {
    uint64_t state = seed << 32 ^ number, offers = subject->offers;
    bool all = (offers & EVERYTHING) == EVERYTHING && number % 2 != 0;
    const struct generator_subject can = {.can = subject_can,
                                          .self = subject,
                                          .careful = (offers & ETALON_OFFERS_ROUNDS) == 0 && !all,
                                          .shares = (offers & ETALON_OFFERS_MANY_POLLS) != 0,
                                          .files = (offers & ETALON_OFFERS_FILES) != 0,
                                          .nests = (offers & ETALON_OFFERS_NESTS) != 0};
    generate_program(program, &state, NULL, 0, &can);
}

static bool digits(const char **at, uint64_t most, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(*at, &end, 10);
    bool good = **at >= '0' && **at <= '9' && errno == 0 && *number <= most;
    *at = end;
    return good;
}

bool random_name(const char *text, uint64_t *seed, uint64_t *number, const char **subject) {
    const char *at = text + strlen("random-");
    if (strncmp(text, "random-", strlen("random-")) != 0 || !digits(&at, UINT32_MAX, seed) ||
        *at++ != '-' || !digits(&at, RANDOM_MAX - 1, number) || (*at != '\0' && *at != '-'))
        return false;
    *subject = at + (*at == '-');
    return true;
}

static const char *missing(uint64_t needed, uint64_t offered) {
    static char text[200];
    size_t used = (size_t)snprintf(text, sizeof text, "needs");
    for (unsigned bit = 0; bit < 64; bit++) {
        const char *name = capability_name(bit);
        if (((needed & ~offered) >> bit & 1) != 0 && name != NULL && used < sizeof text - 40)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s", name);
    }
    return text;
}

/* A loop that has no call for update_now is not asked for it (RUNNER.md), unless that is what the
 * case is about. */
static bool about_time(const struct trace *trace) {
    for (unsigned i = 0; i < trace->clauses; i++)
        if (strncmp(trace->clause[i], "ET-TIME-", 8) == 0)
            return true;
    return trace->clauses == 0;
}

const char *kit_lacks(const struct etalon_subject *subject, const struct trace *trace) {
    const struct program *p = &trace->program;
    uint64_t needed = 0, offered = can_be_asked(subject);
    if ((offered & ETALON_OFFERS_ONCE) != 0) /* again and again */
        offered |= ETALON_OFFERS_UNTIL_DONE | ETALON_OFFERS_TICK;
    for (unsigned i = 0; i < p->commands; i++)
        needed |= command_needs(&p->command[i]);
    if (!about_time(trace))
        offered |= ETALON_OFFERS_UPDATE_NOW;
    if ((needed & ~offered) != 0)
        return missing(needed, offered);
    unsigned completions, handles;
    (void)program_needs(p, &completions, &handles);
    if (completions > subject->completions_max && completions > PROGRAM_FEW)
        return "needs room for more completions (completions_max)";
    bool any = trace->clauses == 0;
    for (unsigned i = 0; i < trace->clauses; i++)
        any = any || judged(subject, trace->clause[i]);
    return any ? NULL : "its clauses cannot be seen from outside (rounds, states, system calls)";
}

/* ---- events ---------------------------------------------------------------------------------- */

const char *kit_result_name(int64_t result) {
    static char text[4][32];
    static unsigned next;
    char *name = text[next++ % 4];
    if (result < 0 && result > -4096)
        snprintf(name, sizeof text[0], "-%s", errno_name((int)-result));
    else
        snprintf(name, sizeof text[0], "%lld", (long long)result);
    return name;
}

static void (*ask_states)(int8_t *state);

void kit_ask_states(void (*ask)(int8_t state[PROGRAM_FEW])) {
    ask_states = ask;
}

void kit_event(struct kit_result *result, uint64_t clock_ns, char kind, int completion,
               const char *text) {
    if (result->events >= KIT_EVENTS_MAX)
        return;
    struct kit_event *event = &result->event[result->events++];
    event->at_us = clock_ns > KIT_CLOCK_NS ? (clock_ns - KIT_CLOCK_NS) / 1000 : 0;
    event->kind = kind;
    event->completion = (int16_t)completion;
    memset(event->state, -1, sizeof event->state);
    if (ask_states != NULL)
        ask_states(event->state);
    snprintf(event->text, sizeof event->text, "%s", text);
    bool begins = kind == 'w' && strncmp(text, "wait ", 5) == 0;
    snprintf(event->raw, sizeof event->raw, "%s", begins ? interpose_wait_call() : "");
}

/* Without running what a subject may have left to run at exit. */
void kit_end(struct kit_result *result) {
    __atomic_store_n(&result->magic, KIT_MAGIC, __ATOMIC_RELEASE);
    syscall(SYS_exit_group, 0);
    __builtin_unreachable();
}

#else
typedef int nothing_here;
#endif
