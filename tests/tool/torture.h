/* SPDX-License-Identifier: MIT */
/* Running programs again and again, each time with another system call failing. For etalon.c
 * only. */
#ifndef ETALON_TESTS_TORTURE_H
#define ETALON_TESTS_TORTURE_H

#include "../../fuzz/driver/torture.h"
#include "../../model/program.h"

struct torture_options {
    unsigned sample;      /* one run in so many is made; 1: all */
    unsigned seed;        /* which ones */
    const char *expected; /* the errors that must be met (tests/suites/errors.expected), or null */
    const char *report;   /* folder for errors.md and torture.json; null: none is written */
};

/* Reads which errors must be met. False after a complaint with its line. */
bool torture_read_expectations(const char *path);

/* "N:ERRNO", "N:ERRNO:same" or "N:ERRNO:on". False when it is none of them. */
bool torture_parse(const char *text, struct torture_setting *setting);

/* Two more rounds at the end: what was lost by a failure in the last one shows in the registrations
 * that they find. */
void torture_prolong(struct program *program);

/* Tortures count programs; load gives one, or false after a complaint. Prints the failures and a
 * summary. Returns the exit status of the tool. */
int torture_all(char **files, int count, bool (*load)(const char *path, struct trace *trace),
                const struct torture_options *options);

#endif
