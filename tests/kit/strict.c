/* SPDX-License-Identifier: MIT */
/* The strict judge, for a subject that offers ETALON_OFFERS_ROUNDS: the lockstep driver runs it as
 * it runs the reference loop, with every comparison but those that look into a loop's own memory
 * (the queues, the count of active completions). The threads of its pool are the subject's own,
 * which are let run from one place where they stand still to the next. */
#ifndef ETALON_WITHOUT_KIT

#include <string.h>

#include "../../fuzz/driver/lockstep.h"
#include "../../fuzz/world/interpose.h"
#include "../../model/program.h"
#include "kit.h"

/* ---- the threads of its pool ----------------------------------------------------------------- */

static void take_work(struct lockstep_thread *at, const struct interpose_call *call) {
    uint32_t i = lockstep_work(call->operation, call->fd, call->identity);
    if (i == ETALON_NOBODY) {
        differ("ET-POOL-4",
               "a thread is about to make a system call that belongs to no work: %s on %d",
               operation_name(call->operation), call->fd);
        return;
    }
    at->work = i;
    at->phase = LOCKSTEP_EXECUTES;
}

/* A write of nobody's buffer: what else should it be? */
static bool is_wake_up(const struct interpose_call *call) {
    return call->operation == ET_WRITE &&
           lockstep_work(call->operation, call->fd, call->identity) == ETALON_NOBODY;
}

/* After the system call a thread goes to wake the loop, or to lock what leads out of the loop; by
 * then it has handed over. */
static void hand_over(struct lockstep_thread *at, enum interpose_stop stop,
                      const struct interpose_call *call) {
    if (stop == INTERPOSE_CALL && !is_wake_up(call)) {
        differ("ET-POOL-4", "a thread is about to make a second system call for c%u: %s on %d",
               at->work, operation_name(call->operation), call->fd);
        return;
    }
    at->wakes = stop == INTERPOSE_CALL;
    at->work = ETALON_NOBODY;
    at->phase = LOCKSTEP_WAKES;
}

/* One step of the five of spec/trace-format.md. */
static bool step(void *thread, struct lockstep_thread *at) {
    if (at->phase == LOCKSTEP_WAKES && !at->wakes) {
        at->phase = LOCKSTEP_LEAVES;
        return true;
    }
    enum interpose_stop stop = interpose_step(thread, at->phase != LOCKSTEP_IDLE);
    if (stop == INTERPOSE_CALLED && at->phase != LOCKSTEP_EXECUTES)
        stop = interpose_step(thread, true);
    struct interpose_call call = interpose_call(thread);
    switch (at->phase) {
    case LOCKSTEP_IDLE:
        if (stop == INTERPOSE_CALL)
            take_work(at, &call);
        break;
    case LOCKSTEP_EXECUTES: at->phase = LOCKSTEP_HANDS_OVER; break;
    case LOCKSTEP_HANDS_OVER: hand_over(at, stop, &call); break;
    case LOCKSTEP_WAKES: at->phase = LOCKSTEP_LEAVES; break;
    case LOCKSTEP_LEAVES:
        at->phase = LOCKSTEP_IDLE;
        if (stop == INTERPOSE_CALL)
            differ("ET-POOL-13", "a thread goes on to %s on %d before it has left the loop alone",
                   operation_name(call.operation), call.fd);
        break;
    }
    return stop != INTERPOSE_ENDED;
}

static bool sleeps(const void *thread) {
    return interpose_sleeps(thread);
}

static const struct lockstep_threads threads = {step, sleeps, interpose_participants_left};

/* ---- a run ----------------------------------------------------------------------------------- */

struct run {
    struct kit_result *result;
    const struct world_kind_functions *world;
};

static void on_log(void *self, char mark, const char *line) {
    const struct run *run = self;
    char kind = mark == '>' ? 'c' : 'w';
    int c = -1;
    const char *name = strstr(line, " c");
    if (strncmp(line, "callback", 8) == 0)
        kind = 'b';
    if (strncmp(line, "world", 5) == 0)
        kind = 'o';
    if (name != NULL && name[2] >= '0' && name[2] <= '7')
        c = name[2] - '0';
    kit_event(run->result, run->world->clock(), kind, c, line);
}

static void ask_states(int8_t *state) {
    for (unsigned c = 0; c < PROGRAM_FEW && !lockstep_busy(); c++) {
        unsigned told = lockstep_state(c);
        state[c] = told <= KIT_DELETING ? (int8_t)told : -1;
    }
}

static struct lockstep_report run_in_lockstep(const struct lockstep_subject *subject,
                                              const struct program *program,
                                              const struct world_kind_functions *world,
                                              struct kit_result *result) {
    struct lockstep_report report;
    struct run run = {result, world};
    kit_ask_states(ask_states);
    lockstep_run(subject, program, world, on_log, &run, &report);
    return report;
}

void reference_run(const struct program *program, const struct world_kind_functions *world,
                   struct kit_result *result) {
    (void)run_in_lockstep(&lockstep_reference, program, world, result);
    kit_end(result);
}

void strict_run(const struct etalon_subject *calls, const struct program *program,
                const struct world_kind_functions *world, struct kit_result *result) {
    const struct lockstep_subject subject = {
        .calls = calls, .threads = &threads, .inside = interpose_inside};
    interpose_begin(INTERPOSE_WORLD, NULL);
    if ((calls->offers & ETALON_OFFERS_POOL) != 0)
        interpose_participants();
    const struct lockstep_report report = run_in_lockstep(&subject, program, world, result);
    interpose_begin(INTERPOSE_NOTHING, NULL);
    result->callbacks = (uint32_t)report.callbacks;
    result->waits = (uint32_t)report.waits;
    if (report.differs) {
        result->verdict =
            strcmp(report.clause, "ET-WAIT-4") == 0 || strcmp(report.clause, "ET-STOP-3") == 0
                ? VERDICT_NOT_STRICT
                : VERDICT_FAIL;
        snprintf(result->clause, sizeof result->clause, "%s", report.clause);
        snprintf(result->message, sizeof result->message, "%s", report.what);
    } else if (report.not_possible && report.init_error == 0) {
        result->verdict = VERDICT_NOT_OFFERED;
        snprintf(result->message, sizeof result->message, "needs a kernel that the %s one is not",
                 world->name);
    }
    kit_end(result);
}

#else
typedef int nothing_here;
#endif
