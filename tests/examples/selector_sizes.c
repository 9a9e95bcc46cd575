/* SPDX-License-Identifier: MIT */
/* What a language that has no C compiler at hand must be told: linked into the library that
 * etalon_selector.py loads. */
#include "../../src/etalon.h"

const size_t selector_loop_bytes = sizeof(struct et_loop);
const size_t selector_completion_bytes = sizeof(struct et_completion);
const size_t selector_poll_offset = offsetof(struct et_completion, poll);
