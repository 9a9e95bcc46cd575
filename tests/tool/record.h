/* SPDX-License-Identifier: MIT */
/* Recording what the model is told during a run of the lockstep driver, as the events of
 * spec/trace-format.md, section 3. For tests/tool/etalon.c only. */
#ifndef ETALON_TESTS_RECORD_H
#define ETALON_TESTS_RECORD_H

#include <stdio.h>

/* From now on into this file, header first; null: no more. */
void record_to(FILE *out);

#endif
