/* SPDX-License-Identifier: MIT */
/* What the programs that a fuzz target runs have used: rows of the lifecycle, and results of each
 * operation. For harness.c, in the variants that count (make fuzz-report); in any other build this
 * is nothing. */
#ifndef ETALON_SEEN_H
#define ETALON_SEEN_H

#ifdef MODEL_COUNTS
/* Counts in the file that the environment's ETALON_FUZZ_SEEN names, if it names one. */
void seen_begin(void);
#else
static inline void seen_begin(void) {}
#endif

#endif
