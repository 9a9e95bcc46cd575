/* SPDX-License-Identifier: MIT */
/* `etalon compare`: programs run on the simulated and on the real kernel, and must show the same
 * (tests/tool/compare.c). */
#ifndef ETALON_COMPARE_H
#define ETALON_COMPARE_H

#include <stdbool.h>

#include "../../model/program.h"

/* The command line from the word "compare" on: [--random N] [--seed S] [--output FOLDER] [FILE...].
 * Compares the files, then N random programs, some of which are made from the files. FOLDER
 * (build/report) gets compare.json, and the programs that differ or show a fault of the loop. load:
 * reads a trace or a fuzz input, and complains where it cannot. 0: no difference; 1: differences or
 * faults, which were printed; 2: bad arguments or files, or nothing to compare. */
int compare_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace));

#endif
