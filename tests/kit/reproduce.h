/* SPDX-License-Identifier: MIT */
/* `etalon reproduce`: a failure as one C file that needs no Etalon. */
#ifndef ETALON_REPRODUCE_H
#define ETALON_REPRODUCE_H

#include <stdbool.h>

#include "../../model/program.h"

int reproduce_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace));

#endif
