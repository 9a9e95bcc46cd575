/* SPDX-License-Identifier: MIT */
/* What the fuzz targets of the parsers share. Each is a file here with one function, parse(): it
 * gives the bytes to one parser, and asks that what is refused is refused with one clear line, and
 * that what is taken means the same when it is written and read again. For libFuzzer and whatever
 * has its interface; target.c gives the function that such engines call. */
#ifndef ETALON_TESTS_PARSERS_TARGET_H
#define ETALON_TESTS_PARSERS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Of each target. text has a byte 0 behind its end. */
void parse(const char *text, size_t size);

/* A regular file of these bytes, by a path that lasts until parse() returns. */
const char *file_of(const char *text, size_t size);

/* What is written to standard error, or to standard output, is kept, or thrown away, until
 * parse() returns. */
void keep_complaints(void);
void silence_output(void);

/* A complaint was printed exactly when the input was refused: one line, of characters that a
 * terminal shows. */
void expect_complaint(bool refused);
/* The same of an error that was not printed. */
void expect_line(const char *line);
void expect(bool condition, const char *what);

/* Whether two programs are the same; what is behind their last command means nothing. */
struct program;
bool same_program(const struct program *a, const struct program *b);

#endif
