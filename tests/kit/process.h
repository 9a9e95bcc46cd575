/* SPDX-License-Identifier: MIT */
/* The processes of a check: a subject is only ever loaded in a process of its own (process.c). */
#ifndef ETALON_PROCESS_H
#define ETALON_PROCESS_H

#include "kit.h"

#define SUBJECT_DIFFERENCES 64

/* What is known of an adapter, after a process has looked at it. */
struct subject {
    char path[4096]; /* absolute */
    char name[64], version[64], notes[2048], file[256];
    uint64_t offers;
    unsigned slack_ms, differences;
    struct {
        char clause[24], kind[16], why[240];
    } difference[SUBJECT_DIFFERENCES];
};

/* False after one line in `error`: not an adapter, of another version, incomplete, or it crashes
 * when it is loaded. */
bool subject_look(const char *path, struct subject *subject, char *error, size_t error_size);

/* A run that has ended. */
struct outcome {
    bool ended; /* … or will not be begun */
    enum verdict verdict;
    char clause[24], kind[16];
    char message[320];
    char signal[16]; /* "SIGSEGV", or empty */
    unsigned callbacks, waits, events;
    struct kit_event *event; /* to be freed */
};

struct job {
    const struct subject *subject;
    const struct trace *trace;
    bool reference; /* the reference loop is run instead, for the report */
    bool lenient;   /* a random program: what is undefined for this subject is skipped */
    struct outcome *outcome;
};

/* Real time after which a run is taken for one without an end, in seconds. */
extern unsigned process_watchdog_s;

/* Runs all jobs, at most `parallel` at a time. progress may be null; it is called after each, which
 * is marked as ended, and may run others. */
void process_run(struct job *job, unsigned jobs, unsigned parallel,
                 void (*progress)(unsigned done, unsigned all));

void outcome_free(struct outcome *outcome);

#endif
