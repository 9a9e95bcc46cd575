/* SPDX-License-Identifier: MIT */
/* A fault that each analyser must find, or it finds nothing elsewhere, either: what is read through
 * is NULL where nothing was asked for. Compiled by nobody; tests/portable/analysers.py reads it. */
#include <stddef.h>

struct seeded {
    int number;
};

int seeded(const struct seeded *first, int asked);

int seeded(const struct seeded *first, int asked) {
    const struct seeded *chosen = NULL;
    if (asked > 0)
        chosen = first;
    return chosen->number;
}
