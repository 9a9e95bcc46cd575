/* SPDX-License-Identifier: MIT */
/* Recordings: one event of a loop's life on each line, as JSON (spec/trace-format.md, section 3).
 * Read for `etalon judge`, written for `etalon record`. */
#ifndef ETALON_TESTS_RECORDING_H
#define ETALON_TESTS_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../../model/event.h"

#define OBSERVABLE 5
enum {
    OBSERVES_TIME = 1,
    OBSERVES_STATES = 2,
    OBSERVES_WAITS = 4,
    OBSERVES_READINESS = 8,
    OBSERVES_POOL = 16
};

extern const char *const recording_observes[OBSERVABLE]; /* their names, in this order */

struct recording {
    FILE *file;
    const char *name;
    uint64_t line;
    unsigned observes;
    int descriptors_max;
    char subject[80];
    char error[200]; /* what is wrong with that line; line 0: with the file */
    char *text;
};

/* False: there is no JSON reader in this build; what to do about it is in error. */
bool recording_open(struct recording *recording, FILE *file, const char *name);
void recording_close(struct recording *recording);
/* 1: an event; 0: the end; -1: an error. */
int recording_next(struct recording *recording, struct event *event);

/* The event as a line, which recording_next reads. */
void event_write(const struct event *event, FILE *out);

/* One sentence for a person: "callback of 5 with -ECANCELED". */
void event_text(const struct event *event, char *text, size_t size);
/* "-EBUSY", or a number. */
const char *result_text(int64_t result, char *text, size_t size);

struct difference {
    uint64_t line;
    const char *clause;
    bool should; /* the clause is a SHOULD */
    char expected[200], observed[120];
};

struct judgement {
    const char *name;
    const struct recording *recording;
    uint64_t events, differences, not_strict;
    /* stopped at the first difference, or where no sense can be made of the rest */
    bool unfinished;
    const struct difference *difference;
    unsigned kept;
};
/* Writes a judgement as JSON. False when it cannot be written. */
bool judgement_write(const struct judgement *judgement, FILE *out);

#endif
