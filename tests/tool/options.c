/* SPDX-License-Identifier: MIT */
/* Options of a command line (options.h). */
#include "options.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void options_complain(const char *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "etalon: %s%s", command != NULL ? command : "", command != NULL ? ": " : "");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; see etalon %s%s--help\n", command != NULL ? command : "",
            command != NULL ? " " : "");
    va_end(arguments);
}

/* How many begin with this word; what stands behind a '=' is no part of it. One that is the whole
 * name counts alone. */
static unsigned beginning_with(const char *word, const struct option *options) {
    size_t length = strcspn(word, "=");
    unsigned count = 0;
    for (; options->name != NULL; options++) {
        if (strncmp(options->name, word, length) != 0)
            continue;
        if (options->name[length] == '\0')
            return 1;
        count++;
    }
    return count;
}

int options_next(const char *command, int argc, char **argv, const char *letters,
                 const struct option *options) {
    opterr = 0;
    int letter = getopt_long(argc, argv, letters, options, NULL);
    if (letter != '?' && letter != ':')
        return letter;
    const char *word = argv[optind - 1];
    bool is_long = optopt == 0 || optopt > 127 || strncmp(word, "--", 2) == 0;
    unsigned known = is_long ? beginning_with(word + 2, options) : 0;
    if (letter == ':' && is_long)
        options_complain(command, "%s needs an argument", word);
    else if (letter == ':')
        options_complain(command, "-%c needs an argument", optopt);
    else if (!is_long)
        options_complain(command, "unknown option '-%c'", optopt);
    else if (known > 1)
        options_complain(command, "%s can be more than one option", word);
    else if (known == 1)
        options_complain(command, "%.*s takes no argument", (int)strcspn(word, "="), word);
    else
        options_complain(command, "unknown option '%s'", word);
    return '?';
}
