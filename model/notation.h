/* SPDX-License-Identifier: MIT */
/* The words of the text notation (spec/trace-format.md), once for the writer (program.c) and the
 * reader (trace.c). Private to these two files. */
#ifndef ETALON_NOTATION_H
#define ETALON_NOTATION_H

#include <stdint.h>

#include "program.h"

/* The longest operation that a program can describe. Drivers may keep buffers of this size. */
#define NOTATION_LENGTH_MAX 4096

/* What follows the first word of a command: words, and fields that stand for one word each.
 *   %p operation, then its own format   %c completion   %N completion (other), or none
 *   %d handle   %h handle (other)   %D handle, bad or huge   %l length   %n number   %t tick
 *   %i number from 1   %m delay   %u duration   %e events   %E errno   %f faulty call
 *   %P threads of a pool   %W thread   %w how to shut down   %r run mode   %a action
 *   %k kind of descriptor; and five that may be left out:
 *   %x "on_pool"   %y "by c1"   %b "do b1"   %T "to d1"   %g "flags oob" */
struct command_text {
    const char *word;
    const char *format;
};
extern const struct command_text command_text[COMMAND_KINDS];
extern const char *const operation_format[];

struct named {
    const char *name; /* NULL ends a list */
    uint64_t value;
};
extern const struct named event_names[];
extern const struct named flag_names[];

/* The names that the field %w, %r, %a, %k or %f can have, or NULL for any other field. */
const struct named *names_of(char field);

/* The units of a duration, largest first; value: microseconds. */
extern const struct named duration_units[];

#endif
