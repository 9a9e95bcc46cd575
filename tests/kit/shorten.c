/* SPDX-License-Identifier: MIT */
/* Shrinking what a subject fails by (shorten.h): each try is a run in a process of its own. */
#ifndef ETALON_WITHOUT_KIT

#include "shorten.h"

#include <string.h>

#include "../../fuzz/driver/shrink.h"

#define RUNS_MAX 3000

struct etalon_subject subject_shape(const struct subject *subject) {
    return (struct etalon_subject){.name = subject->name,
                                   .offers = subject->offers,
                                   .completions_max = subject->completions_max};
}

struct wanted {
    const struct subject *subject;
    const struct outcome *like;
    bool lenient, simulated, real;
    unsigned runs;
    struct outcome shortest; /* of the last run that shows it: of the shortest program */
};

static bool shows(const struct program *p, void *self) {
    struct wanted *wanted = self;
    static struct trace trace;
    struct outcome outcome;
    if (++wanted->runs > RUNS_MAX)
        return false;
    memset(&trace, 0, sizeof trace);
    trace.program = *p;
    trace.simulated_only = wanted->simulated;
    trace.real_only = wanted->real;
    struct etalon_subject subject = subject_shape(wanted->subject);
    if (kit_lacks(&subject, &trace) != NULL)
        return false;
    struct job job = {.subject = wanted->subject,
                      .trace = &trace,
                      .lenient = wanted->lenient,
                      .outcome = &outcome};
    process_run(&job, 1, 1, NULL);
    bool same = outcome_alike(&outcome, wanted->like);
    if (same) {
        outcome_free(&wanted->shortest);
        wanted->shortest = outcome;
    } else {
        outcome_free(&outcome);
    }
    return same;
}

void shorten(const struct subject *subject, const struct trace *trace, const struct outcome *like,
             bool lenient, struct program *p, struct outcome *shortest) {
    struct wanted wanted = {.subject = subject,
                            .like = like,
                            .lenient = lenient,
                            .simulated = trace->simulated_only,
                            .real = trace->real_only};
    *p = trace->program;
    memset(shortest, 0, sizeof *shortest);
    if (like->verdict == VERDICT_HANG && like->clause[0] == '\0')
        return; /* each try would take seconds */
    if (shows(p, &wanted))
        shrink_program(p, shows, &wanted);
    *shortest = wanted.shortest;
}

#else
typedef int nothing_here;
#endif
