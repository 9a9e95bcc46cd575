/* The lockstep driver: runs a program on the loop and on the model side by side, and stops at the first difference.
 * It knows both; nobody in src/ or in the model knows it. Not reentrant: one program at a time in a process. */
#ifndef ETALON_LOCKSTEP_H
#define ETALON_LOCKSTEP_H

#include <stdbool.h>
#include <stdint.h>

#include "program.h"
#include "world.h"

struct lockstep_report {
    bool differs;
    bool not_possible; /* the world cannot do one of the program's commands; the rest was not run */
    char clause[24];   /* the clause that is broken */
    char what[240];    /* one line: what was expected and what was seen */
    uint64_t commands; /* performed, those of callbacks and of the world included */
    uint64_t callbacks;
    uint64_t waits;
};

/* mark '>': an observation (a call and its result, a callback), as traces hold them; '.': what the loop asked of the kernel and
 * what the world did, for a reader. */
typedef void (*lockstep_log)(void *self, char mark, const char *line);

/* log may be null. */
void lockstep_run(const struct program *program, const struct world_kind_functions *world, lockstep_log log, void *self,
                  struct lockstep_report *report);

/* Counts calls of malloc and its kind; kept by whoever wraps them (fuzz/wrap.c), 0 for ever where nobody does. */
extern uint64_t lockstep_allocations;

#endif
