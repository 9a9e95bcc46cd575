/* SPDX-License-Identifier: MIT */
/* The lockstep driver: runs a program on a subject and on the model side by side, and stops at the
 * first difference. It knows the model, and a subject by its interface (subject.h). Not reentrant:
 * one program at a time in a process. */
#ifndef ETALON_LOCKSTEP_H
#define ETALON_LOCKSTEP_H

#include <stdbool.h>
#include <stdint.h>

#include "../../model/program.h"
#include "../world/world.h"
#include "subject.h"

struct lockstep_report {
    bool differs;
    int init_error;    /* the errno of an init that failed, which ends the program */
    bool not_possible; /* the world cannot do one of the program's commands; the rest was not run */
    char clause[24];   /* the clause that is broken */
    char what[240];    /* one line: what was expected and what was seen */
    uint64_t commands; /* performed, those of callbacks and of the world included */
    uint64_t callbacks;
    uint64_t waits;
};

/* mark '>': an observation (a call and its result, a callback), as traces hold them; '.': what the
 * loop asked of the kernel and what the world did, for a reader. */
typedef void (*lockstep_log)(void *self, char mark, const char *line);

/* Whether the programs that run from now on are also checked against Part I (refine.h). It costs
 * time, and is true until somebody has more use for that. */
extern bool lockstep_refines;

/* log may be null. */
void lockstep_run(const struct lockstep_subject *subject, const struct program *program,
                  const struct world_kind_functions *world, lockstep_log log, void *self,
                  struct lockstep_report *report);

/* The state of c, as the subject tells it: for what a log calls, and not while the subject is busy:
 * in init or deinit, where it must not be asked. */
enum et_state lockstep_state(unsigned c);
bool lockstep_busy(void);

/* To be called by whoever lets a system call fail that the program did not ask for
 * (fuzz/driver/torture.c). error: what an init in progress must return, if it is the first; 0: this
 * failure is none that an init may fail of. */
void lockstep_disturbed(int error);

/* How many callbacks have ended an operation with an errno since the process began. */
#define LOCKSTEP_ERRORS 134
extern uint32_t lockstep_errors[ET_OPERATIONS][LOCKSTEP_ERRORS];

#endif
