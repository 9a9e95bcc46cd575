/* SPDX-License-Identifier: MIT */
/* What the driver runs beside the model: the calls of a subject (etalon_subject.h), and what more
 * there may be to look into and to move. */
#ifndef ETALON_LOCKSTEP_SUBJECT_H
#define ETALON_LOCKSTEP_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "../../src/etalon_vocabulary.h"
#include "etalon_subject.h"

struct model;

/* What must refuse all calls from now on. */
enum lockstep_gone { GONE_INIT_FAILED, GONE_LOOP, GONE_POOL_INIT_FAILED, GONE_POOL };

/* What only a look inside can compare. It says what differs by differ. */
struct lockstep_inspect {
    /* The loop that exists: its queues in order, deadlines, counts, the pool. */
    void (*compare)(const struct model *model);
    /* What c's state is, whatever is told of it. */
    enum et_state (*state)(uint32_t c);
    /* c's read goes there: of a wait on an async, whose memory is the loop's own. */
    bool (*reads_into)(uint32_t c, const void *identity);
    bool (*has_handed_over)(void);
    /* Makes the calls that must be refused now. */
    void (*gone)(enum lockstep_gone what);
};

/* Where a thread of a pool stands: what its next step does (spec/trace-format.md). */
enum lockstep_phase {
    LOCKSTEP_IDLE, /* takes work, or waits for some */
    LOCKSTEP_EXECUTES,
    LOCKSTEP_HANDS_OVER,
    LOCKSTEP_WAKES, /* the loop, if `wakes` */
    LOCKSTEP_LEAVES,
};

struct lockstep_thread {
    enum lockstep_phase phase;
    uint32_t work; /* a completion, or ETALON_NOBODY */
    bool wakes;
};

/* How the threads of its pool are moved. A thread is named by what the world has called it
 * (world_observer.created). */
struct lockstep_threads {
    /* One step, and where that has led. False: it has ended. */
    bool (*step)(void *thread, struct lockstep_thread *seen);
    /* It does nothing until it is told, or has ended; null: `step` returns where it waits for a
     * condition (world_observer.parked), so that the driver can keep account. */
    bool (*sleeps)(const void *thread);
    /* How many have not ended; null: whatever the world has been told. */
    unsigned (*left)(void);
};

struct lockstep_subject {
    const struct etalon_subject *calls;
    const struct lockstep_inspect *inspect; /* null: the model's word is taken for it */
    const struct lockstep_threads *threads;
    /* Told around each call whether the calls of the C library that come now are the subject's;
     * returns what it was before. May be null. */
    bool (*inside)(bool inside);
};

extern const struct lockstep_subject lockstep_reference; /* Etalon's own loop: inspect.c */

/* ---- for those who implement these ----------------------------------------------------------- */

/* The subject breaks this clause; only the first one counts. */
void differ(const char *clause, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The clause to blame for what differs from what the model has by this one. */
const char *lockstep_blame(const char *clause);
/* … for a loop time that lies between these, and should not. */
const char *lockstep_time_blame(uint64_t least_ns, uint64_t most_ns);
/* Calls of the kernel were made to fail in this program: by now, and more may be. */
bool lockstep_has_faults(void);
/* The completion whose system call it is that a thread of the pool is about to make, or
 * ETALON_NOBODY. */
uint32_t lockstep_work(enum et_operation operation, int fd, const void *identity);

#endif
