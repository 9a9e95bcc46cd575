/* SPDX-License-Identifier: MIT */
/* A whole check, as its outputs see it (check.c, report.c). */
#ifndef ETALON_CHECK_H
#define ETALON_CHECK_H

#include <stdio.h>

#include "process.h"
#include "text.h"

#define SUBJECTS_MAX 16

struct law_clause {
    char id[24], section[80], level[8];
    char text[1024];
};

struct law {
    unsigned clauses;
    struct law_clause *clause;
};

struct check_case {
    char id[96];
    char *description; /* the comments at the head of the case */
    struct trace trace;
    struct outcome reference;
};

struct check_result {
    unsigned subject, of_case;
    struct outcome outcome;
    struct program *shrunk;   /* or NULL */
    char shrunk_message[320]; /* of the run of that one */
    struct outcome shortest;  /* that run, or that of the program itself; without events: none */
    bool random;              /* of a random program */
    uint64_t programs;        /* of random ones: how many have failed so, with this one */
    bool counts;              /* it is a failure here: fail, hang, crash, or not strict */
    bool known;               /* … which the baseline has */
    const struct baseline_entry *expected; /* what the baseline has of this case, or NULL */
};

struct check {
    struct law law;
    unsigned subjects, cases, results;
    struct subject subject[SUBJECTS_MAX];
    struct check_case *cases_list;
    struct check_result *result;
    uint64_t seed, random;
    bool strict, tolerant; /* tolerant: failures were left out of account by --tolerate */
    bool quiet;
    unsigned all_cases;        /* of the list: before any were chosen, those that there are */
    bool other_cases;          /* they are not those that belong to the tool */
    struct baseline *baseline; /* or NULL */
    struct check_tally {       /* of random programs, by subject */
        uint64_t programs, judged, bad, excused;
        bool too_many; /* there are more sorts of failures than are told */
    } tally[SUBJECTS_MAX];
};

struct baseline_entry;
struct baseline;

/* A failure, a hang or a crash. */
bool is_bad(enum verdict verdict);

/* What may be claimed of a subject (claim.h), to be freed; empty: nothing. */
char *check_claim(const struct check *check, unsigned subject);

/* Reads the numbered clauses of etalon.md. False after a complaint. */
bool law_read(struct law *law, const char *path);

/* What a subject passes of each profile that it offers, a line for each (claim.h). */
void check_profiles(FILE *out, const struct check *check, unsigned subject);

/* The clause's text, or NULL. */
const char *law_text(const struct law *law, const char *id);

/* … for people: of what says no more than that one run acts as another, in terms of callbacks. */
const char *law_expects(const struct law *law, const char *id);

/* Text behind a word in the margin, in lines of 100 columns (tell.c). No line ends at a JOINED
 * blank. */
#define JOINED "\x1f"
void paragraph(FILE *out, const char *margin, const char *text);

/* What a person has to know (tell.c): of what fails the shortest program, what was expected and
 * what was seen; the claim; what was not asked. */
void tell_people(FILE *out, const void *check);

/* The test-anything protocol (tap.c): one result, as it comes; those that the baseline has and no
 * result tells, which returns the number of all; and the whole. */
void tap_result(FILE *out, const struct check *check, unsigned number);
unsigned tap_gone(FILE *out, const struct check *check);
void tap_write(FILE *out, const void *check);

void junit_write(FILE *out, const void *check); /* JUnit's XML (junit.c) */

void report_full(FILE *out, const void *check);  /* conform.full.json */
void report_short(FILE *out, const void *check); /* conform.json */

/* A file that belongs to the tool, to be freed, or NULL: where it is installed, or where it is in
 * the tree. */
char *tool_file(const char *installed, const char *in_the_tree);

/* What an option has given, or else such a file; it is kept until the tool ends. */
const char *tool_path(const char *given, const char *installed, const char *in_the_tree);

/* Whether there is what makes a page; false after a complaint. */
bool page_possible(void);
/* Lets report.py make the page of the whole check. False after a complaint; then `path` is as it
 * was. */
bool page_write(const char *path, const struct check *check);

/* The command: etalon check … */
int check_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace));

#endif
