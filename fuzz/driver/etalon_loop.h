/* SPDX-License-Identifier: MIT */
/* What the adapter of Etalon's own loop keeps: for itself (etalon_loop.c), and for those that look
 * inside: inspect.c and model/spin/explore_loop.c. */
#ifndef ETALON_LOOP_H
#define ETALON_LOOP_H

#include "../../src/etalon.h"
#include "etalon_subject.h"

/* For how many completions there is room. */
#ifdef ETALON_MANY
#define ETALON_LOOP_COMPLETIONS ETALON_SUBJECT_MANY
#else
#define ETALON_LOOP_COMPLETIONS ETALON_SUBJECT_COMPLETIONS
#endif

/* All of it is static: nothing is allocated while a loop exists, and the exhaustive search knows
 * where everything is. */
struct etalon_loop {
    struct et_loop loop;
    const struct etalon_subject_host *host;
    /* A completion that is forgotten moves to the other memory; what it leaves must not be touched,
     * and shows it under AddressSanitizer. */
    struct et_completion memory[2][ETALON_LOOP_COMPLETIONS];
    uint8_t generation[ETALON_LOOP_COMPLETIONS];
    bool left[ETALON_LOOP_COMPLETIONS];           /* it has left a memory since init */
    struct et_async async[ETALON_SUBJECT_ASYNCS]; /* they belong to no loop */
    struct et_pool pool;
};

extern struct etalon_loop etalon_loop;
extern const struct etalon_subject etalon_subject;

static inline struct et_completion *etalon_completion(uint32_t c) {
    return &etalon_loop.memory[etalon_loop.generation[c]][c];
}

/* Whether nobody has written to the memory that c has left: under AddressSanitizer always. */
bool etalon_is_left_alone(uint32_t c);

/* Of the completion that lives there now, or ETALON_NOBODY. */
static inline uint32_t etalon_number(const struct et_completion *c) {
    size_t at = (size_t)((uintptr_t)c - (uintptr_t)etalon_loop.memory) / sizeof *c;
    uint32_t i = (uint32_t)(at % ETALON_LOOP_COMPLETIONS);
    return c == etalon_completion(i) ? i : ETALON_NOBODY;
}

#endif
