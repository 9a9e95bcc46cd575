/* SPDX-License-Identifier: MIT */
/* What the shared words (src/etalon_vocabulary.h) mean beyond their numbers: what each operation
 * does with its descriptor, and the names of states. For the model, the drivers and every test; the
 * loop has its own opinion. */
#ifndef ETALON_WORDS_H
#define ETALON_WORDS_H

#include <stdint.h>

#include "../src/etalon_vocabulary.h"

/* What an operation does with its descriptor. Those without any of the first three do not wait. */
enum {
    WAITS_IN = 1,
    WAITS_OUT = 2,
    WAITS_POLL = 4,
    WAITS_AT_ALL = WAITS_IN | WAITS_OUT | WAITS_POLL,
    TRIED_AT_ONCE = 8, /* ET-SUBMIT-8 */
    POOLABLE = 16,
    TAKES_BYTES = 32,
    GIVES_BYTES = 64,
    POSITIONED = 128,
};
/* Of any number: 0 for what is no operation. */
unsigned operation_traits(unsigned operation);
extern const uint8_t traits_of[ET_OPERATIONS];
/* What has to be ready for it, as EPOLLIN and EPOLLOUT; `polled` of a poll; 0: it does not wait. */
uint32_t operation_awaits(unsigned operation, uint32_t polled);

extern const char *const state_names[ET_DELETING + 1];
const char *state_name(unsigned state); /* or "no state" */

#endif
