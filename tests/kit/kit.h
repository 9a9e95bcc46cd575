/* SPDX-License-Identifier: MIT */
/* What the parts of the conformance kit share: one run of one program on one subject, in a process
 * of its own. Private to tests/kit/. The contract that these parts keep is RUNNER.md. */
#ifndef ETALON_KIT_H
#define ETALON_KIT_H

#include <stdbool.h>
#include <stdint.h>

#include "../../model/program.h"
#include "../../fuzz/world/world.h"
#include "../../fuzz/driver/etalon_subject.h"
#include "crash.h"

enum verdict {
    VERDICT_PASS,
    VERDICT_NOT_STRICT,
    VERDICT_FAIL,
    VERDICT_NOT_OFFERED,
    VERDICT_HANG,
    VERDICT_CRASH
};
#define VERDICTS 6
extern const char *const verdict_name[VERDICTS];

#define KIT_EVENTS_MAX    1500
#define KIT_CALLBACKS_MAX 400 /* then a program has shown what it can show */
#define KIT_CLOCK_NS      UINT64_C(1000000700000)

/* What is known of a completion: what the subject answers, or, where it cannot be asked, what its
 * caller knows. */
enum kit_state {
    KIT_DEAD, /* these four as enum et_state */
    KIT_ADDING,
    KIT_ACTIVE,
    KIT_DELETING,
    KIT_UNUSED, /* the subject tells these two apart, and no more */
    KIT_IN_USE,
    KIT_SUBMITTED, /* its callback is owed */
    KIT_CALLED,    /* its callback has come */
    KIT_SILENT,    /* it was deleted: its callback must not come */
    KIT_STATES
};

struct kit_event {
    uint64_t at_us;            /* since the beginning of the program */
    char kind;                 /* 'c'all, call'b'ack, 's'tate, 'w'ait, w'o'rld, 'e'nd */
    int16_t completion;        /* -1: of none */
    int8_t state[PROGRAM_FEW]; /* enum kit_state, at this moment; -1: nothing is known */
    char text[96];
    char raw[80]; /* of a wait that begins: the call as it was made, or empty */
};

/* Written by the process of the run, read by the runner: in memory that a subject may scribble on,
 * so nothing in it is believed unseen. */
struct kit_result {
    uint32_t magic; /* KIT_MAGIC once the run has come to its end */
    uint32_t verdict;
    char clause[24];
    char kind[16]; /* of failure, where a clause can be broken in several (RUNNER.md), or empty */
    char message[320];
    char undriven[64]; /* why virtual time may not drive it (interpose.h), or empty */
    uint32_t callbacks, waits;
    struct crash_record crash;
    uint32_t events;
    struct kit_event event[KIT_EVENTS_MAX];
};
#define KIT_MAGIC UINT32_C(0xe7a10917)

/* The capability's name in the report, by its bit; NULL for a bit without a meaning. */
const char *capability_name(unsigned bit);

/* Whether the subject offers what this command needs. */
bool kit_can(const struct etalon_subject *subject, const struct command *command);

/* What the program needs that the subject does not offer: a static sentence, or NULL. `clauses`:
 * those of the case. */
const char *kit_lacks(const struct etalon_subject *subject, const struct trace *trace);

/* Whether what a caller can see is enough to judge the clause; needs: what the subject has to offer
 * for that. */
bool clause_seen_from_outside(const char *clause, uint64_t *needs);

/* The two ways of judging: by the model of the reference loop, and by Part I alone.
 * Each runs the program and fills in the result; neither has to return. */
void strict_run(const struct etalon_subject *calls, const struct program *program,
                const struct world_kind_functions *world, struct kit_result *result);
/* lenient: a command that the subject leaves undefined is skipped, for random programs. */
void outside_run(const struct etalon_subject *subject, const struct program *program, bool lenient,
                 struct kit_result *result);

/* Why an adapter cannot document such a failure, "CLAUSE" or "CLAUSE/KIND", as a difference; NULL:
 * it can. */
const char *outside_refuses(const char *failure);

/* Whether the judge from outside can find such a failure, "CLAUSE/KIND", or any of "CLAUSE". */
bool outside_finds(const char *failure);

/* From here on the judge from outside goes on behind this failure, "CLAUSE" or "CLAUSE/KIND". NULL,
 * or why it cannot. */
const char *kit_tolerate(const char *failure);
bool kit_tolerates(const char *failure);

/* How the reference loop runs the same program, for the report. */
void reference_run(const struct program *program, const struct world_kind_functions *world,
                   struct kit_result *result);

void kit_event(struct kit_result *result, uint64_t clock_ns, char kind, int completion,
               const char *text);
/* From here on each event holds what `ask` fills in, of the first completions; what it leaves alone
 * is not known. */
void kit_ask_states(void (*ask)(int8_t state[PROGRAM_FEW]));
const char *kit_result_name(int64_t result); /* "-EBUSY", "0", "5" */
void kit_end(struct kit_result *result);     /* the process ends here, with what the result says */

/* "random-SEED-NUMBER" of a random program, with or without "-NAME" of a subject behind it, to
 * which *subject points then. False when the text is no such name. */
bool random_name(const char *text, uint64_t *seed, uint64_t *number, const char **subject);
#define RANDOM_MAX UINT64_C(100000000)

/* A random program of what the subject offers. */
void random_program(struct program *program, uint64_t seed, uint64_t number,
                    const struct etalon_subject *subject);

#endif
