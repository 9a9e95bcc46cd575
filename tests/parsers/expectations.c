/* SPDX-License-Identifier: MIT */
/* The fuzz target of the list of errors that the runs of `make torture` must meet. */
#include "../tool/torture.h"

#include "target.h"

void parse(const char *text, size_t size) {
    struct torture_setting setting;
    const char *path = file_of(text, size);
    keep_complaints();
    bool taken = torture_read_expectations(path);
    expect_complaint(!taken);
    (void)torture_parse(text, &setting);
}
