/* SPDX-License-Identifier: MIT */
/* Files that the tool writes: whole or not at all, and what is there and is no regular file stays
 * what it is. */
#ifndef ETALON_TESTS_OUTPUT_H
#define ETALON_TESTS_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

/* Calls write on a new file that gets the name `path` only when it is complete, and has the mode of
 * the one that it replaces. A symbolic link stays and leads to it; a device, a pipe and the file
 * that is standard output are written to. Without a path: on standard output. False after a
 * complaint; then `path` is as it was, unless it was written to. */
bool write_whole(const char *path, void (*write)(FILE *, const void *), const void *what);

/* Before long work: whether write_whole can be expected to succeed. False after a complaint, that
 * names the option. */
bool output_possible(const char *option, const char *path);

/* "-", and any other name of what standard output is, as /dev/stdout: there nothing else may be
 * printed. */
bool output_is_standard(const char *path);

/* Whether both would be the same file, of which the second output would leave nothing of the first.
 * Devices take both. */
bool output_same(const char *a, const char *b);

#endif
