/* SPDX-License-Identifier: MIT */
/* The fuzz target of baseline files. */
#include "../kit/baseline.h"

#include <stdlib.h>

#include "target.h"

void parse(const char *text, size_t size) {
    struct baseline baseline;
    const char *path = file_of(text, size);
    keep_complaints();
    bool taken = baseline_read(&baseline, path, false);
    expect_complaint(!taken);
    free(baseline.entry);
}
