/* SPDX-License-Identifier: MIT */
/* The fuzz target of the names of differences: in an adapter's `.differences`, and behind
 * --tolerate. */
#include <string.h>

#include "../kit/outside.h"
#include "target.h"

void parse(const char *text, size_t size) {
    (void)size;
    const char *why = outside_refuses(text);
    if (why != NULL)
        expect_line(why);
    expect(why != NULL || outside_finds(text), "it is taken, and nothing would find it");
}
