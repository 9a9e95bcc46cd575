/* SPDX-License-Identifier: MIT */
/* `etalon judge`: checks recordings of any loop against the model (tests/tool/judge.c). */
#ifndef ETALON_TESTS_JUDGE_H
#define ETALON_TESTS_JUDGE_H

/* The command line from the word "judge" on: [--keep-going] [--strict] [--json FILE] [--quiet]
 * [--observes LIST] RECORDING..., of which
 * - is standard input. 0: no clause is broken; 1: one is; 2: bad arguments or input. */
int judge_main(int argc, char **argv);

#endif
