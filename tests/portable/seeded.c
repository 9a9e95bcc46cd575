/* SPDX-License-Identifier: MIT */
/* Faults that each analyser must find, or it finds nothing elsewhere, either: what is read through
 * is NULL where nothing was asked for; and for clang-tidy, which is not asked what clang's analyser
 * is, both branches are the same. Compiled by nobody; tests/portable/analysers.py reads it. */
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

int seeded_branches(int asked);

int seeded_branches(int asked) {
    if (asked > 0)
        return 2 * asked;
    else
        return 2 * asked;
}
