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
    unsigned slack_ms, differences, completions_max;
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
    char place[96];  /* of a crash: one word by which it is told from others (crash.h), or empty */
    char stack[400]; /* of a crash: the functions that it was in, or empty */
    char said[1200]; /* the end of what it has written to standard error, in lines */
    char undriven[64]; /* why virtual time may not drive it, or empty */
    double seconds;    /* real ones, that it has taken */
    long asleep_in;    /* of one without an end: the system call that it slept in, or -1 */
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

/* Zeroed, for as long as the tool runs, for long lists: no run has a copy of them, which would take
 * most of the time that it takes to make its process. */
void *process_list(size_t count, size_t size);

/* Runs all jobs, at most `parallel` at a time. progress may be null; it is called after each, which
 * is marked as ended, and may run others. */
void process_run(struct job *job, unsigned jobs, unsigned parallel,
                 void (*progress)(unsigned done, unsigned all));

/* The same failure: by verdict, clause and kind, of crashes by signal and place. */
bool outcome_alike(const struct outcome *a, const struct outcome *b);

/* By what it has failed, as a word: "ET-RUN-2/woken", "SIGSEGV/uv__io_poll", "exit/…" of one that
 * ends itself, "-" when there is no more to say, as of a hang. */
#define OUTCOME_FAILURE 128
void outcome_failure(const struct outcome *outcome, char name[OUTCOME_FAILURE]);

void outcome_free(struct outcome *outcome);

#endif
