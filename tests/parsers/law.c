/* SPDX-License-Identifier: MIT */
/* The fuzz target of the law's text, from which a report quotes. */
#include <stdlib.h>
#include <string.h>

#include "../kit/check.h"
#include "target.h"

void parse(const char *text, size_t size) {
    struct law law = {0};
    const char *path = file_of(text, size);
    keep_complaints();
    bool taken = law_read(&law, path);
    expect_complaint(!taken);
    for (unsigned i = 0; taken && i < law.clauses; i++)
        expect(law_text(&law, law.clause[i].id) != NULL, "a clause is not found by its name");
    free(law.clause);
}
