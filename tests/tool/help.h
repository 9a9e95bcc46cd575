/* SPDX-License-Identifier: MIT */
/* What etalon.c says of itself and of those commands whose options it reads. The others (check,
 * compare, judge, reproduce) have their own. */
#ifndef ETALON_TESTS_HELP_H
#define ETALON_TESTS_HELP_H

#include <stdio.h>

void help(FILE *out);

/* As help, when there is no such command. */
void help_on(FILE *out, const char *command);

#endif
