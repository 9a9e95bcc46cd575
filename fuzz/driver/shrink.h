/* SPDX-License-Identifier: MIT */
/* Makes a program shorter as long as it still shows what it is kept for. For the commands of the
 * tool (tests/tool/etalon.c, tests/tool/compare.c). */
#ifndef ETALON_SHRINK_H
#define ETALON_SHRINK_H

#include <stdbool.h>

#include "../../model/program.h"

/* shows: whether this program still shows it. It is called for every shorter or simpler program,
 * hundreds of times. */
void shrink_program(struct program *p, bool (*shows)(const struct program *p, void *self),
                    void *self);

/* Takes command[first] … command[first + count - 1] out, whatever bodies they stand in. */
void program_remove(struct program *p, unsigned first, unsigned count);

#endif
