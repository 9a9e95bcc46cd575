/* SPDX-License-Identifier: MIT */
/* Lets the environment choose tests: TEST='*reset*' build/default/tests/unit/test_model. For the
 * files of unit tests, each of which includes it once, after cmocka.h. */
#ifndef FILTER_H
#define FILTER_H

#include <stdlib.h>

__attribute__((constructor)) static void choose_tests(void) {
    cmocka_set_test_filter(getenv("TEST"));
}

#endif
