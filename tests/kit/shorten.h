/* SPDX-License-Identifier: MIT */
/* The shortest program by which a subject fails in the same way, for check.c and reproduce.c. */
#ifndef ETALON_SHORTEN_H
#define ETALON_SHORTEN_H

#include "process.h"

/* As much of a subject as tells what it offers. */
struct etalon_subject subject_shape(const struct subject *subject);

/* Makes the program of the trace, which has failed like this, as short as it gets: into *p, which
 * is that program otherwise. Fills in the run of *p, when it is seen to fail alike; else that run
 * has no events. lenient: as of a random program. */
void shorten(const struct subject *subject, const struct trace *trace, const struct outcome *like,
             bool lenient, struct program *p, struct outcome *shortest);

#endif
