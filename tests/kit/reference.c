/* SPDX-License-Identifier: MIT */
/* How the reference loop runs a case: the "expected" of the report. */
#ifndef ETALON_WITHOUT_KIT

#include <string.h>

#include "../../fuzz/driver/lockstep.h"
#include "kit.h"

struct run {
    struct kit_result *result;
    const struct world_kind_functions *world;
};

static void ask_states(int8_t *state) {
    for (unsigned c = 0; c < PROGRAM_COMPLETIONS; c++)
        state[c] = (int8_t)lockstep_state(c);
}

static void on_log(void *self, char mark, const char *line) {
    const struct run *run = self;
    const char *name = strstr(line, " c");
    int c = name != NULL && name[2] >= '0' && name[2] <= '7' ? name[2] - '0' : -1;
    char kind = mark == '>' ? 'c' : 'w';
    if (strncmp(line, "callback", 8) == 0)
        kind = 'b';
    if (strncmp(line, "world", 5) == 0)
        kind = 'o';
    kit_event(run->result, run->world->clock(), kind, c, line);
}

void reference_run(const struct program *program, const struct world_kind_functions *world,
                   struct kit_result *result) {
    struct lockstep_report report;
    struct run run = {result, world};
    kit_ask_states(ask_states);
    lockstep_run(program, world, on_log, &run, &report);
    kit_end(result);
}

#else
typedef int nothing_here;
#endif
