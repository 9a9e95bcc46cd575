/* SPDX-License-Identifier: MIT */
/* The judge from outside, for subjects whose inner order is their own business (no
 * ETALON_OFFERS_ROUNDS): it runs a program on one and sees what any caller can see, which callbacks
 * come, with which results and userdata, when, what calls return, and how long the loop waits. What
 * is right and wrong the promise says (model/promise.c, Part I of the law).
 *
 * A completion is here only in use or not. Where the law lets a loop choose, or the subject has no
 * adding state, every lawful choice is accepted; so this judge never blames what the strict one
 * would allow. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside.h"

#define TURNS_MAX (1000 * observer.long_by)

struct observation observer;

/* ---- running --------------------------------------------------------------------------------- */

static void tell_run(const struct command *command, bool tick) {
    tell_ready(false);
    if (tick)
        TELL(EVENT_TICK, .callbacks = command->value);
    else
        TELL(EVENT_RUN,
             .mode = command->value <= ET_RUN_TURN ? (int8_t)command->value : (int8_t)-1);
}

static void run_nested(const struct command *command, bool tick) {
    if (!offers(ETALON_OFFERS_GUARDED) && !offers(ETALON_OFFERS_NESTS))
        LACKS("needs a run inside a callback to be refused, or carried out (guarded, nests)");
    if (observer.nested == PROMISE_NESTED) /* each in a callback of the one before */
        LACKS("needs more runs within each other than are asked for");
    observer.nested++;
    tell_run(command, tick);
    SUBJECT(tick ? observer.subject->tick(observer.self, (uint32_t)command->value)
                 : observer.subject->run(observer.self, (uint32_t)command->value));
    observer.nested--;
    settle_unseen();
    tell_ready(false);
    tell_call(command, (struct event){.kind = EVENT_END, .result = answer});
}

static void end_of_run(const struct command *command, int answer) {
    settle_unseen();
    tell_ready(false);
    check_descriptors();
    observer.running = false;
    tell_call(command, (struct event){.kind = EVENT_END, .result = answer});
}

static void run_stop(void) {
    if (!observer.running && !offers(ETALON_OFFERS_STOPPED))
        LACKS("needs a stop that lasts, outside of run (stopped)");
    bool before = interpose_inside(true);
    observer.subject->stop(observer.self);
    (void)interpose_inside(before);
    note('c', -1, "stop");
    TELL(EVENT_STOP);
    if (!offers(ETALON_OFFERS_STOPPED))
        return;
    SUBJECT(observer.subject->stopped(observer.self));
    TELL(EVENT_SAYS_STOPPED, .result = answer);
}

static bool anything_in_use(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (observer.item[c].in_use)
            return true;
    return false;
}

static void run_loop(const struct command *command);

/* A loop that offers one turn only is run until something is done as its programs do that. */
static void run_repeatedly(uint64_t callbacks) {
    const struct command once = {.kind = COMMAND_RUN, .value = ET_RUN_ONCE};
    unsigned begun = observer.callbacks;
    for (unsigned turns = 0;
         turns < TURNS_MAX && observer.callbacks - begun < callbacks && anything_in_use();
         turns++) {
        run_loop(&once);
        if (observer.promise.run.stopped || observer.promise.stopped)
            break;
    }
}

/* ---- a run that ends by a stop alone --------------------------------------------------------- */

/* How many callbacks a command asks for that such a run can serve; 0: it cannot, or the loop has a
 * run of its own for that. */
static uint64_t asks_until_stopped(const struct command *command) {
    bool run = command->kind == COMMAND_RUN;
    uint64_t other = run && command->value == ET_RUN_UNTIL_DONE ? ETALON_OFFERS_UNTIL_DONE
                     : command->value == 1                      ? ETALON_OFFERS_ONCE
                     : !run && command->value > 1               ? ETALON_OFFERS_TICK
                                                                : 0;
    bool repeats = other == ETALON_OFFERS_TICK && offers(ETALON_OFFERS_ONCE);
    if (!offers(ETALON_OFFERS_UNTIL_STOPPED) || other == 0 || offers(other) || repeats)
        return 0;
    return other == ETALON_OFFERS_UNTIL_DONE ? UINT64_MAX : command->value;
}

/* In the callback in which a program of such a loop would stop it. What only a wake-up is left for
 * it sleeps through (ET-RUN-6). */
void stop_where_it_ends(bool is_rearmed) {
    const struct program *p = observer.program;
    unsigned next = p->first[PROGRAM_BODY_WORLD] + observer.world_next;
    bool woken_yet = observer.world_next < p->count[PROGRAM_BODY_WORLD] &&
                     p->command[next].kind == COMMAND_WAKEUP;
    bool over = !is_rearmed && !woken_yet && !anything_in_use();
    if (observer.stop_at == 0 || observer.promise.run.stopped)
        return;
    if (!over && observer.callbacks < observer.stop_at)
        return;
    observer.stopped_for_it = true;
    run_stop();
}

static void run_until_stopped(const struct command *command, uint64_t asked) {
    if (!anything_in_use())
        LACKS("needs a run that returns when nothing is in use (until_done)");
    if (observer.stopped_for_it && offers(ETALON_OFFERS_STOPPED))
        LACKS("needs several runs, each of which ends by a stop (a stop that is not for good)");
    observer.stop_at = asked > UINT64_MAX - observer.callbacks ? asked : observer.callbacks + asked;
    observer.running = true;
    observer.barren_waits = 0;
    tell_ready(false);
    TELL(EVENT_RUN, .mode = PROMISE_UNTIL_STOPPED);
    SUBJECT(observer.subject->run(observer.self, ETALON_RUN_UNTIL_STOPPED));
    end_of_run(command, answer);
    observer.stop_at = 0;
}

/* tick(0) is run(NO_WAIT), tick(1) is run(ONCE) (ET-RUN-1, ET-RUN-2). */
static void run_loop(const struct command *command) {
    static const uint64_t bits[] = {ETALON_OFFERS_NO_WAIT, ETALON_OFFERS_ONCE,
                                    ETALON_OFFERS_UNTIL_DONE, ETALON_OFFERS_TURN};
    bool until_done = command->kind == COMMAND_RUN && command->value == ET_RUN_UNTIL_DONE;
    bool many =
        (until_done && !offers(ETALON_OFFERS_UNTIL_DONE)) ||
        (command->kind == COMMAND_TICK && command->value > 1 && !offers(ETALON_OFFERS_TICK));
    uint64_t until_stopped = asks_until_stopped(command);
    if (until_stopped > 0 && !observer.in_callback) {
        run_until_stopped(command, until_stopped);
        return;
    }
    if (many && offers(ETALON_OFFERS_ONCE) &&
        (!observer.in_callback || offers(ETALON_OFFERS_NESTS))) {
        run_repeatedly(until_done ? UINT64_MAX : command->value);
        return;
    }
    bool tick = command->kind == COMMAND_TICK && (command->value > 1 || offers(ETALON_OFFERS_TICK));
    uint64_t mode =
        command->kind == COMMAND_TICK && command->value > 1 ? ET_RUN_ONCE : command->value;
    if (mode <= ET_RUN_TURN && !tick && !offers(bits[mode]))
        LACKS("needs a mode of run that is not offered");
    if (tick && !offers(ETALON_OFFERS_TICK))
        LACKS("needs tick with a number of callbacks (tick)");
    if (mode > ET_RUN_TURN && !offers(ETALON_OFFERS_CHECKED))
        LACKS("needs misuse to be refused: an unknown mode (checked)");
    if (observer.in_callback) {
        run_nested(command, tick);
        return;
    }
    observer.running = true;
    observer.barren_waits = 0;
    tell_run(command, tick);
    SUBJECT(tick ? observer.subject->tick(observer.self, (uint32_t)command->value)
                 : observer.subject->run(observer.self, (uint32_t)command->value));
    end_of_run(command, answer);
}

static bool asks_as_a_host(void) {
    for (unsigned i = 0; i < observer.program->commands; i++) {
        unsigned kind = observer.program->command[i].kind;
        if (kind == COMMAND_TIMEOUT || kind == COMMAND_DESCRIPTOR)
            return true;
    }
    return false;
}

static void make_loop(void) {
    forget_all();
    observer.stopped_for_it = false;
    observer.host =
        (struct etalon_subject_host){.size = sizeof observer.host,
                                     .called = outside_called,
                                     .descriptors_max = observer.files > 256 ? FILES : 64};
    observer.busy = true;
    TELL(EVENT_INIT); /* the loop takes the time at any moment from now on */
    SUBJECT(observer.subject->init(&observer.host, &observer.self));
    observer.busy = false;
    if (answer != 0)
        observed("ET-INIT-2", "init returned %s", kit_result_name(answer));
    /* before the program has numbers, which it may close more than once */
    if (offers(ETALON_OFFERS_HOSTED) && asks_as_a_host()) {
        SUBJECT(observer.subject->descriptor(observer.self));
        (void)answer;
    }
    ask_now();
}

/* All numbers below the lowest that is free are in use: the kernel itself refuses another one. */
static void fail_to_make_loop(void) {
    struct rlimit usual, none;
    unsigned before = open_descriptors();
    int lowest = (int)syscall(SYS_fcntl, STDOUT_FILENO, F_DUPFD, 0);
    observer.fails_init = false;
    if (lowest < 0 || getrlimit(RLIMIT_NOFILE, &usual) != 0)
        return;
    (void)syscall(SYS_close, lowest);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = usual.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &none);
    observer.busy = true;
    SUBJECT(observer.subject->init(&observer.host, &observer.self));
    (void)setrlimit(RLIMIT_NOFILE, &usual);
    if (answer == 0) { /* it needs none */
        bool inside = interpose_inside(true);
        (void)observer.subject->deinit(observer.self);
        (void)interpose_inside(inside);
    }
    observer.self = NULL;
    observer.busy = false;
    note('c', -1, "init without a free number = %s", kit_result_name(answer));
    if (answer > 0)
        observed("ET-INIT-1", "an init that fails returned %s", kit_result_name(answer));
    if (open_descriptors() > before)
        observed("ET-INIT-1", "an init that returned %s leaves %u descriptor%s open",
                 kit_result_name(answer), open_descriptors() - before,
                 plural(open_descriptors() - before));
}

static int release_loop(void) {
    observer.busy = true;
    SUBJECT(observer.subject->deinit(observer.self));
    observer.busy = false;
    if (answer == 0)
        observer.self = NULL;
    observer.hosted_by = 0;
    return answer;
}

static void run_deinit(const struct command *command) {
    if (!offers(ETALON_OFFERS_DEINIT))
        LACKS("needs deinit with completions in use (deinit)");
    if (observer.in_callback && !offers(ETALON_OFFERS_GUARDED_DEINIT))
        LACKS("needs a deinit inside a callback to be refused (guarded_deinit)");
    int answer = release_loop();
    tell_call(command, (struct event){.kind = EVENT_DEINIT, .result = answer});
    if (!observer.in_callback && answer == 0)
        check_release();
    if (!observer.in_callback && answer == 0 && observer.fails_init)
        fail_to_make_loop();
    if (!observer.in_callback && answer == 0)
        make_loop();
}

/* ---- inside another loop --------------------------------------------------------------------- */

static bool is_readable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct timespec none = {0};
    return syscall(SYS_ppoll, &p, 1, &none, NULL, 8) == 1 && (p.revents & POLLIN) != 0;
}

/* Both are asked for, as by a host that is about to wait. */
static void run_hosted(const struct command *command) {
    bool before = interpose_inside(true);
    int fd = observer.subject->descriptor(observer.self);
    (void)interpose_inside(false);
    interpose_expire_timers();                  /* which may be in the descriptor */
    bool readable = fd >= 0 && is_readable(fd); /* which ends the host's last wait */
    (void)interpose_inside(true);
    int64_t timeout = observer.subject->timeout(observer.self);
    (void)interpose_inside(before);
    readable = readable || (fd >= 0 && is_readable(fd));
    note('c', -1, "%s: timeout %lld ms, descriptor %d is %sreadable",
         command->kind == COMMAND_TIMEOUT ? "timeout" : "descriptor", (long long)timeout, fd,
         readable ? "" : "not ");
    if (fd < 0 || syscall(SYS_fcntl, fd, F_GETFD, 0) != FD_CLOEXEC)
        observed("ET-HOST-4", "descriptor returned %s, which is no close-on-exec descriptor",
                 kit_result_name(fd));
    if (observer.hosted_by != 0 && observer.hosted_by != fd + 1)
        observed("ET-HOST-4", "descriptor returned %d, and %d before", fd, observer.hosted_by - 1);
    observer.hosted_by = fd + 1;
    tell_ready(false);
    snprintf(observer.seen, sizeof observer.seen,
             "timeout returned %lld, and descriptor %d is %sreadable", (long long)timeout, fd,
             readable ? "" : "not ");
    TELL(EVENT_HOSTED, .result = timeout, .events = readable);
}

/* ---- the world ------------------------------------------------------------------------------- */

static bool closes_early(const struct command *command) {
    int fd = descriptor(command->kind == COMMAND_DUP ? command->other : command->d);
    for (unsigned c = 0; c < COUNT && fd >= 0; c++)
        if ((observer.item[c].in_use || is_leaving(c)) && waits_on(&observer.item[c]) &&
            observer.item[c].d.fd == fd && !offers(ETALON_OFFERS_CLOSED_EARLY))
            return true;
    return false;
}

static void *wake_up_there(void *kept) {
    errno = ERRNO_BEFORE;
    observer.subject->wakeup(observer.self);
    *(bool *)kept = errno == ERRNO_BEFORE;
    return NULL;
}

/* By another thread, as it is meant to be: some loops take one from their own thread for needless.
 */
static void wake_up(void) {
    pthread_t thread;
    bool before = interpose_inside(false), kept = true;
    if (pthread_create(&thread, NULL, wake_up_there, &kept) == 0)
        pthread_join(thread, NULL);
    (void)interpose_inside(before);
    if (!kept)
        observed("ET-WAKE-4", "a wake-up changes errno of the thread that makes it");
    TELL(EVENT_WAKEUP);
}

/* The first number of a program is 3 (spec/trace-format.md): here others may have it. */
static uint64_t limit_here(uint64_t limit) {
    uint64_t fd = 3;
    for (uint64_t left = limit < 3 ? 0 : limit - 3; limit != 0 && fd < FILES; fd++) {
        bool others = syscall(SYS_fcntl, (int)fd, 1 /* F_GETFD */, 0) >= 0 &&
                      world_real.installed((int)fd) == 0;
        if (!others && left-- == 0)
            break;
    }
    return limit == 0 ? 0 : fd;
}

static void run_world(const struct command *command) {
    char text[96] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    if (out != NULL) {
        command_write(out, command);
        fclose(out);
    }
    note('o', -1, "world: %.80s", text);
    if (command->kind == COMMAND_WAKEUP) {
        wake_up();
        return;
    }
    if (touches_async(command))
        return;
    if (needs_its_descriptor(command))
        LACKS("needs the descriptor of an async (rounds)");
    if ((command->kind == COMMAND_CLOSE || command->kind == COMMAND_DUP) && closes_early(command))
        LACKS("closes a descriptor while a completion waits on it (closed_early)");
    if (command->kind == COMMAND_OPEN && command->value == WORLD_SIGNALFD &&
        offers(ETALON_OFFERS_THREADS))
        LACKS("needs signals that are for the first thread alone");
    observer.connects += command->kind == COMMAND_PEER_CONNECT;
    observer.stirred_all = observer.waits; /* the world may have done something to any of them */
    observer.endings += command->kind == COMMAND_CLOSE || command->kind == COMMAND_PEER_CLOSE ||
                        command->kind == COMMAND_PEER_SHUTDOWN;
    if (command->kind == COMMAND_DUP) {
        observer.duplicated = true;
        lose_place();
        lose_given();
    }
    if (command->kind == COMMAND_FAIL && command->call == FAULTY_EPOLL_CREATE) {
        observer.fails_init = true;
        return;
    }
    if (command->kind == COMMAND_FAIL && command->call == FAULTY_EPOLL_WAIT) {
        observer.fail_wait_at = (int)command->value;
        observer.fail_wait_error = command->error;
        return;
    }
    if (command->kind == COMMAND_FAIL && command->call == FAULTY_EPOLL_CTL) {
        unsigned k = 0;
        while (k < REFUSALS - 1 && observer.refusal[k].at != 0)
            k++;
        observer.refusal[k] =
            (struct refusal){observer.controls + (unsigned)command->value, command->error};
        return;
    }
    if (command->kind == COMMAND_FAIL && command->call == FAULTY_CLOSE) {
        real_world_interrupt_close((unsigned)command->value);
        return;
    }
    struct command rounded = *command;
    if (command->kind == COMMAND_ADVANCE)
        rounded.value = whole_us(command->value);
    if (command->kind == COMMAND_LIMIT)
        rounded.value = limit_here(command->value);
    uint64_t before = before_arrival(command);
    if (!world_real.command(&rounded))
        LACKS(command->d < PROGRAM_FEW
                  ? "needs a simulated kernel"
                  : "needs more open files than the system allows (ulimit -n)");
    note_arrival(command, before);
    if (command->kind == COMMAND_OPEN)
        note_mode(descriptor(command->d));
    if (command->kind == COMMAND_DUP)
        note_mode(descriptor(command->other));
}

/* The caller keeps the target of a cancel, and what is not dead. */
static bool may_be_forgotten(unsigned c) {
    for (unsigned k = 0; k < COUNT; k++)
        if (observer.item[k].in_use && observer.item[k].d.operation == ET_CANCEL &&
            observer.item[k].d.target == c)
            return false;
    return !observer.item[c].in_use && !is_leaving(c) && offers(ETALON_OFFERS_FORGET) &&
           (!tells_states() || ask_state(c) == ETALON_DEAD);
}

/* What happens to a completion that carries a reset is a matter of rounds (ET-RESET-5 to -11). */
static bool of_carrier(const struct command *command) {
    bool targets = command->kind == COMMAND_CANCEL || command->kind == COMMAND_RESET ||
                   (command->kind == COMMAND_SUBMIT && command->operation == ET_CANCEL);
    bool completion = command->kind <= COMMAND_CANCEL || command->kind == COMMAND_FORGET ||
                      command->kind == COMMAND_DESCRIBE;
    if (command->kind == COMMAND_DELETE && offers(ETALON_OFFERS_STATE | ETALON_OFFERS_CHECKED))
        return false; /* it ends silently, as others do: the timer has its deadline (ET-RESET-3) */
    return (completion && is_carrying(command->c)) ||
           (targets && command->other < COUNT && is_carrying(command->other));
}

/* It is about to be used again, which the loop leaves undefined before its deletion has taken
 * effect. */
static bool of_leaving(const struct command *command) {
    bool uses = command->kind <= COMMAND_CANCEL && command->kind != COMMAND_DELETE;
    uses = uses || command->kind == COMMAND_DESCRIBE || command->kind == COMMAND_ASYNC_WAIT;
    return uses && !offers(ETALON_OFFERS_CHECKED) && is_leaving(command->c);
}

static void run_command(const struct command *command) {
    observer.commands++;
    if (of_carrier(command))
        LACKS("needs carriers (rounds)");
    if (of_leaving(command))
        LACKS("needs a deletion that takes effect at once (deletes_later)");
    switch ((enum command_kind)command->kind) {
    case COMMAND_SUBMIT:
    case COMMAND_ADD:
    case COMMAND_DESCRIBE: run_submit(command); break;
    case COMMAND_DELETE: run_delete(command); break;
    case COMMAND_TIMER: run_timer(command); break;
    case COMMAND_RESET: run_reset(command); break;
    case COMMAND_CANCEL: run_cancel(command); break;
    case COMMAND_TICK:
    case COMMAND_RUN: run_loop(command); break;
    case COMMAND_STOP: run_stop(); break;
    case COMMAND_ASYNC_WAIT: run_async_wait(command); break;
    case COMMAND_TIMEOUT:
    case COMMAND_DESCRIPTOR: run_hosted(command); break;
    case COMMAND_UPDATE_NOW: {
        if (!offers(ETALON_OFFERS_UPDATE_NOW))
            break;              /* its time is as old as it may be */
        TELL(EVENT_UPDATE_NOW); /* likewise */
        bool before = interpose_inside(true);
        observer.subject->update_now(observer.self);
        (void)interpose_inside(before);
        break;
    }
    case COMMAND_DEINIT: run_deinit(command); break;
    case COMMAND_FORGET:
        if (may_be_forgotten(command->c)) {
            bool before = interpose_inside(true);
            observer.subject->forget(observer.self, command->c);
            (void)interpose_inside(before);
            observer.item[command->c] = (struct item){.moved = true, .d.target = ETALON_NOBODY};
        }
        break;
    case COMMAND_RETURN: break;
    default: run_world(command); break;
    }
    check_signals();
    tell_ready(false);
    ask_now();
    ask_about(command->c);
}

void perform(const struct command *command) {
    if (command->times == 0)
        run_command(command);
    for (unsigned i = 0; i < command->times && observer.commands < COMMANDS_MAX; i++) {
        struct command one = command_repeated(command, i);
        run_command(&one);
    }
    if (observer.long_by > 1 && !observer.in_callback)
        ask_in_use();
}

/* ---- a program ------------------------------------------------------------------------------- */

static void finish(unsigned before) {
    int answer = release_loop();
    snprintf(observer.seen, sizeof observer.seen, "deinit returned %s", kit_result_name(answer));
    TELL(EVENT_DEINIT, .result = answer);
    interpose_begin(INTERPOSE_NOTHING, NULL);
    world_real.end();
    unsigned after = open_descriptors();
    if (after > before)
        observed("ET-DEINIT-3", "deinit leaves %u descriptor%s open", after - before,
                 plural(after - before));
}

void outside_run(const struct etalon_subject *subject, const struct program *program, bool lenient,
                 struct kit_result *result) {
    static const struct world_observer nobody;
    unsigned handles;
    observer.subject = subject; /* all else is as a new process has it */
    observer.program = program;
    bool repeats = program_needs(program, &observer.completions, &handles);
    observer.long_by = repeats ? PROGRAM_LONG : 1;
    observer.files = handles > PROGRAM_FEW ? FILES : 256;
    observer.result = result;
    observer.lenient = lenient;
    const struct promise_settings settings = outside_settings();
    promise_init(&observer.promise, &settings, COUNT, KIT_CLOCK_NS);
    memset(observer.known, -1, sizeof observer.known);
    kit_ask_states(ask_states);
    real_world_give_credentials();
    world_real.begin(&nobody, NULL, KIT_CLOCK_NS);
    interpose_begin(INTERPOSE_TIME, &outside_hooks);
    if (offers(ETALON_OFFERS_THREADS))
        interpose_drive_threads();
    note_others();
    /* what a library opens once for the whole process is no leak */
    if (offers(ETALON_OFFERS_DEINIT)) {
        make_loop();
        int answer = release_loop();
        if (answer != 0)
            observed("ET-DEINIT-2", "deinit of a fresh loop returned %s", kit_result_name(answer));
        result->events = 0; /* nothing was wrong, and the program has not begun */
    }
    unsigned before = open_descriptors();
    make_loop();
    for (unsigned i = 0; i < program->count[0] && observer.commands < COMMANDS_MAX; i++)
        perform(&program->command[program->first[0] + i]);
    if (offers(ETALON_OFFERS_DEINIT))
        finish(before);
    end_run();
}

#else
typedef int nothing_here;
#endif
