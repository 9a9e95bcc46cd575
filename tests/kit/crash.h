/* SPDX-License-Identifier: MIT */
/* Where a run has crashed: its stack, or what it has said on standard error. By this, crashes are
 * told apart. For process.c. */
#ifndef ETALON_CRASH_H
#define ETALON_CRASH_H

#include <stddef.h>
#include <stdint.h>

#define CRASH_FRAMES_MAX 16

/* Written in the process that crashes. */
struct crash_record {
    uint32_t signal, frames; /* signal: 0: none was caught */
    struct {
        char object[200]; /* the file that the address belongs to */
        uint64_t offset;
    } frame[CRASH_FRAMES_MAX];
};

/* In the process of a run: from here on, a signal that would end it leaves its stack there first.
 * Signals that have a handler already are left alone. */
void crash_watch(struct crash_record *record);

/* The stack in words, the innermost function first, without the C library's and the runner's own:
 * "uv__io_poll < uv_run < run". Empty when there is none. */
void crash_stack(const struct crash_record *record, char *text, size_t size);

/* Where in what it has said the reason begins, at a line: of an assertion, a panic, a sanitizer's
 * report; NULL: there is none. */
const char *crash_reason(const char *said);

/* One word for where it was: of the text on standard error, when that is why the process has ended
 * (an assertion, a panic, a sanitizer's report), else the innermost function. Addresses, processes'
 * numbers and folders are not in it. Empty when nothing is known. */
void crash_place(const char *stack, const char *said, int signal, char *place, size_t size);

#endif
