/* SPDX-License-Identifier: MIT */
/* C sources as texts, for reproduce.c. */
#ifndef ETALON_SOURCE_H
#define ETALON_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The whole file, to be freed. False after a complaint. */
bool source_read(const char *path, char **text);

/* Whether a line includes this header. */
bool source_has_line(const char *text, const char *header);

/* Writes the text without the lines that include this header. */
void source_without_line(FILE *out, const char *text, const char *header);

/* Writes the text without comments and empty lines. */
void source_without_comments(FILE *out, const char *text);

/* Whether a static function of this name is defined. */
bool source_defines(const char *text, const char *function);

/* The text behind the lines that include headers, which it begins with. */
const char *source_behind_includes(const char *text);

/* The text behind the comments that it begins with. */
const char *source_behind_head(const char *text);

/* Whether the file's name is one of a source in C++. */
bool source_is_cpp(const char *path);

/* The word behind "Compiler:" in the line with "Build:", or empty. */
void source_compiler(const char *text, char *compiler, size_t size);

/* What stands behind "Build:" in the first line that has it. False: no line has it, or it is too
 * long. */
bool source_build(const char *text, char *build, size_t size);

#endif
