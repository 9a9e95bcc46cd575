/* SPDX-License-Identifier: MIT */
/* The shrinker (shrink.h): takes commands away, in ever smaller pieces, then makes their numbers
 * small. */
#include "shrink.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void program_remove(struct program *p, unsigned first, unsigned count) {
    for (unsigned body = 0; body < PROGRAM_BODIES; body++) {
        unsigned from = p->first[body] > first ? p->first[body] : first;
        unsigned to = p->first[body] + p->count[body] < first + count
                          ? p->first[body] + p->count[body]
                          : first + count;
        unsigned inside = to > from ? to - from : 0;
        unsigned before = p->first[body] > first
                              ? (p->first[body] < first + count ? p->first[body] - first : count)
                              : 0;
        p->first[body] = (uint16_t)(p->first[body] - before);
        p->count[body] = (uint16_t)(p->count[body] - inside);
    }
    memmove(&p->command[first], &p->command[first + count],
            (p->commands - first - count) * sizeof *p->command);
    p->commands = (uint16_t)(p->commands - count);
}

/* Smaller numbers read better, and often one command then turns out not to be needed. */
static bool simplify_value(struct program *p, unsigned i,
                           bool (*shows)(const struct program *, void *), void *self) {
    static const uint64_t simple[] = {0, 1, 10};
    /* 0 means nothing there */
    if (p->command[i].kind == COMMAND_FAIL || p->command[i].kind == COMMAND_RETURN)
        return false;
    for (unsigned k = 0; k < sizeof simple / sizeof *simple; k++) {
        uint64_t old = p->command[i].value;
        if (old <= simple[k])
            return false;
        p->command[i].value = simple[k];
        if (shows(p, self))
            return true;
        p->command[i].value = old;
    }
    return false;
}

/* What is repeated: less often, or not at all. */
static bool repeat_less(struct program *p, unsigned i,
                        bool (*shows)(const struct program *, void *), void *self) {
    const struct command whole = p->command[i];
    if (whole.times == 0)
        return false;
    p->command[i] = command_repeated(&whole, 0);
    if (shows(p, self))
        return true;
    p->command[i] = whole;
    for (unsigned quarters = 2; quarters < 4; quarters++) {
        p->command[i].times = (uint16_t)(whole.times * quarters / 4);
        if (p->command[i].times > 0 && p->command[i].times < whole.times && shows(p, self))
            return true;
        p->command[i] = whole;
    }
    return false;
}

void shrink_program(struct program *p, bool (*shows)(const struct program *, void *), void *self) {
    bool smaller = true;
    while (smaller) {
        smaller = false;
        for (unsigned size = p->commands / 2u; size >= 1; size /= 2)
            for (unsigned first = 0; first + size <= p->commands;) {
                struct program shorter = *p;
                program_remove(&shorter, first, size);
                if (shows(&shorter, self)) {
                    *p = shorter;
                    smaller = true;
                } else {
                    first += size;
                }
            }
        for (unsigned i = 0; i < p->commands; i++)
            smaller = simplify_value(p, i, shows, self) || smaller;
        for (unsigned i = 0; i < p->commands; i++)
            while (repeat_less(p, i, shows, self))
                smaller = true;
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\retalon: %u commands left ", p->commands);
    }
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
}
