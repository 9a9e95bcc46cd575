/* SPDX-License-Identifier: MIT */
/* What a file is that was given as an adapter and is none. For process.c. */
#ifndef ETALON_OBJECT_H
#define ETALON_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

/* Before it is loaded. False after one sentence in `error` when the file can be no shared object:
 * then it is said what it is, and how an adapter is built. */
bool object_possible(const char *path, char *error, size_t size);

/* When it cannot be loaded, what the dynamic linker says of it being `said`. */
void object_explain(const char *path, const char *said, char *error, size_t size);

#endif
