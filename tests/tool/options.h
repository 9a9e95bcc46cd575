/* SPDX-License-Identifier: MIT */
/* The options of a command line, for etalon.c and the commands that read their own. */
#ifndef ETALON_TESTS_OPTIONS_H
#define ETALON_TESTS_OPTIONS_H

#include <getopt.h>

/* As getopt_long, for the command of this name, NULL: for the tool. The letters begin with ':'. Of
 * what is no option it complains in one line, which names --help, and returns '?'. */
int options_next(const char *command, int argc, char **argv, const char *letters,
                 const struct option *options);

/* Complains that the arguments are not those of the command, in one line that names its --help. */
void options_complain(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
