/* SPDX-License-Identifier: MIT */
/* A baseline: which failures of which subjects are known, so that only what is new fails, and what
 * has gone. RUNNER.md has the format of the file. For check.c and the outputs of a check. */
#ifndef ETALON_BASELINE_H
#define ETALON_BASELINE_H

#include "check.h"

struct baseline_entry {
    unsigned line; /* in the file */
    bool random;   /* of a random program: in how many of them, by which seed */
    uint64_t programs, seed;
    char subject[64], of_case[96], failure[OUTCOME_FAILURE];
    enum verdict verdict;
    bool met; /* by a result of this check */
};

struct baseline {
    const char *path;
    unsigned entries;
    struct baseline_entry *entry;
};

/* Reads the file, or nothing when `may_be_new` and there is none. False after a complaint with its
 * line. */
bool baseline_read(struct baseline *baseline, const char *path, bool may_be_new);

/* Whether what the baseline of the check says can be: its clauses and kinds of failures are those
 * of the law. The law and all cases were read. False after a complaint with its line. */
bool baseline_makes_sense(const struct check *check);

/* Compares the result with the baseline: sets its `known` and `expected`. */
void baseline_meet(struct baseline *baseline, const struct check *check,
                   struct check_result *result);

/* The next entry from *at on that this check could have met and has not: its failure is gone; NULL:
 * there is none any more. Those of cases with a result are not among them when `without_results`:
 * their results tell. */
const struct baseline_entry *baseline_gone(const struct check *check, unsigned *at,
                                           bool without_results);

/* Why: a sentence about the entry. */
const char *baseline_why(const struct check *check, const struct baseline_entry *entry);

/* The file as it has to be after this check (what: struct check). Entries that were not looked at
 * stay. */
void baseline_write(FILE *out, const void *what);

#endif
