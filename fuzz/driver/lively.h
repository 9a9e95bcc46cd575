/* SPDX-License-Identifier: MIT */
/* Random programs in which much happens, of nothing but what the real kernel can do too. For
 * tests/tool/compare.c. */
#ifndef ETALON_LIVELY_H
#define ETALON_LIVELY_H

#include "../../model/program.h"

/* The number that follows in a sequence; *state is where it stands, and any value may begin it. */
uint64_t lively_random(uint64_t *state);

/* A new program; the bases (at most one of them, changed in places) may be what it is made from. */
void lively_program(struct program *p, uint64_t *state, const struct program *const *bases,
                    unsigned count);

/* Whether the program asks for something that only the simulated kernel can do. */
bool lively_only_simulated(const struct program *p);

#endif
