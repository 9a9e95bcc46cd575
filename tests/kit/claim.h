/* SPDX-License-Identifier: MIT */
/* The claim that a check allows to be made of a subject: section 1 of the law. */
#ifndef ETALON_CLAIM_H
#define ETALON_CLAIM_H

#include <stdio.h>

#include "check.h"

#define CLAIM_PROFILES 5

struct claim_profile {
    const char *name;
    unsigned entries;
    struct claim_entry {
        char of_case[96];
        unsigned besides; /* mask of the profiles that the case needs besides */
    } * entry;
};

struct claim_suite {
    char version[32];
    struct claim_profile profile[CLAIM_PROFILES];
};

/* Reads the lists of cases, FOLDER/NAME-1.0.txt. False after a complaint. */
bool claim_read(struct claim_suite *suite, const char *folder);
/* Reads the list of one of them, by its place. */
bool claim_read_list(struct claim_suite *suite, unsigned number, const char *path);

/* Writes the claim, without an end of line: what the subject offers, with its slack, except the
 * clauses that it fails. Nothing when no profile is offered, or a case of an offered one was not
 * looked at. */
void claim_write(FILE *out, const struct claim_suite *suite, const struct check *check,
                 unsigned subject);

/* A line for each profile that is offered: how many of its cases were asked, how many of these are
 * good, and which clauses fail. Nothing when a case of them was not looked at. */
void claim_profiles(FILE *out, const struct claim_suite *suite, const struct check *check,
                    unsigned subject);

#endif
