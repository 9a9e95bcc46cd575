/* SPDX-License-Identifier: MIT */
/* The fuzz target of the lists of cases of a profile. */
#include <stdlib.h>

#include "../kit/claim.h"
#include "target.h"

void parse(const char *text, size_t size) {
    struct claim_suite suite = {.version = ""};
    const char *path = file_of(text, size);
    keep_complaints();
    bool taken = claim_read_list(&suite, 0, path);
    expect_complaint(!taken);
    expect(!taken || suite.profile[0].entries > 0, "a list without a case");
    free(suite.profile[0].entry);
}
