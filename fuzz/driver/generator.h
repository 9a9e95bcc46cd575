/* SPDX-License-Identifier: MIT */
/* Random programs, for whoever runs what nobody has thought of (`etalon compare`, `etalon check`).
 * In the bold ones much happens, of nothing but what the real kernel can do too. The careful ones
 * are for a loop that leaves much undefined: each descriptor and each timer has its completions, so
 * that what is submitted is seldom in use already. Both hold only what `can` allows. */
#ifndef ETALON_GENERATOR_H
#define ETALON_GENERATOR_H

#include "../../model/program.h"

/* What a subject can, as far as it decides what is written for it. */
struct generator_subject {
    bool (*can)(const void *self, const struct command *command);
    const void *self;
    bool careful;
    bool shares; /* several completions can wait on one descriptor */
    bool files;  /* regular files can be read and written */
    bool nests;  /* a run inside a callback is carried out */
};

/* The number that follows in a sequence; *state is where it stands, and any value may begin it. */
uint64_t generator_random(uint64_t *state);

/* A new program for that subject; NULL: for one that can do all. The bases (at most one of them,
 * changed in places) may be what a bold one is made from. */
void generate_program(struct program *p, uint64_t *state, const struct program *const *bases,
                      unsigned count, const struct generator_subject *subject);

/* Whether the program asks for something that only the simulated kernel can do. */
bool generator_only_simulated(const struct program *p);

#endif
